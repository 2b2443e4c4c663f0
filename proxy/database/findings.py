"""What `sealgate check` finds: configuration against facts. Pure; every rule is one function and one or two codes.

Codes are stable: monitoring may match on them. SG00x tables and columns, SG01x schema, SG02x keys and stored values,
SG03x search, SG04x roles and grants, SG05x what goes around the proxy, SG09x what could not be looked at.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from policy import Policy
from proxy.catalog import SCHEMA, SealedColumn
from proxy.database import obstacles, schema
from proxy.database.exposure import exposure
from proxy.database.finding import (
    Elsewhere,
    Facts,
    Finding,
    Severity,
    Stored,
    error,
    info,
    listed,
    warning,
)
from proxy.database.tables import ColumnFacts, TableFacts
from proxy.database.terms import TERMS, declared_terms, serves

__all__ = ["Facts", "Finding", "findings"]

APPLY = "Run `sealgate apply`."
ENOUGH_TERMS = 50
FEW_DISTINCT = 256
REPEATED = 4
LARGE_SHARE = 0.2


def findings(
    facts: Facts,
    declared: Mapping[str, SealedColumn],
    policy: Policy,
    keys: Mapping[int, str] | None,
    missing_keys: Iterable[str],
) -> list[Finding]:
    """All of them, errors first. `keys` names the column of each data key; None: there is no keystore to look into."""
    found = [
        *_of_schema(facts.schema),
        *_of_columns(facts.tables, declared),
        *_of_undeclared(facts.undeclared),
        *_of_keys(missing_keys),
        *_of_stored(facts.stored, declared, keys),
        *_of_entropy(facts.stored, declared),
        *_of_indexes(facts.tables, declared),
        *exposure(facts, policy),
        *_of_unread(facts),
    ]
    order = [severity.value for severity in Severity]
    return sorted(found, key=lambda f: (order.index(f.severity), f.code, f.subject))


# -- SG01x: schema sealgate ---------------------------------------------------------------------------------------


def _of_schema(facts: schema.SchemaFacts) -> Iterator[Finding]:
    subject = f"schema {SCHEMA}"
    if not facts.exists:
        yield error("SG010", subject, "it does not exist", APPLY)
        return
    if facts.version is not None and facts.version > schema.SCHEMA_VERSION:
        yield error(
            "SG011",
            subject,
            f"a newer Sealgate made it (version {facts.version}; this one knows {schema.SCHEMA_VERSION})",
            "Use that release, or a newer one.",
        )
        return
    broken = [n for n, d in (facts.domains or {}).items() if n in schema.expected_domains()]
    broken = [name for name in broken if not (facts.domains or {})[name].intact]
    for name in broken:
        yield error(
            "SG012",
            f"{SCHEMA}.{name}",
            "its CHECK is not the one that apply writes: the database may take plaintext",
            f"{APPLY} It restores the CHECK and says where plaintext came in.",
        )
    rest = [c.said for c in schema.changes(facts) if not any(name in c.said for name in broken)]
    if rest:
        yield error("SG011", subject, f"it is not up to date: apply would {listed(rest)}", APPLY)


# -- SG00x: tables and columns ------------------------------------------------------------------------------------


def _of_columns(
    tables: Mapping[str, TableFacts], declared: Mapping[str, SealedColumn]
) -> Iterator[Finding]:
    for column in declared.values():
        table = tables.get(column.table)
        if table is None:
            problem = obstacles.missing_table(column)
            yield error("SG001", column.label, problem.problem, problem.fix)
            continue
        facts = table.column(column.label)
        if facts is None:
            problem = obstacles.missing_column(column, table)
            yield error("SG002", column.label, problem.problem, problem.fix)
        else:
            yield from _of_column(table, facts, column)


def _of_column(table: TableFacts, facts: ColumnFacts, column: SealedColumn) -> Iterator[Finding]:
    if facts.sealed is None:
        yield error("SG003", column.label, "it is not sealed: the database holds plaintext", APPLY)
    if table.kind not in ("r", "p"):
        yield error(
            "SG006",
            column.label,
            "apply will refuse it: it belongs to no table but to a view or foreign table",
            "Declare the column of the table that holds the data.",
        )
    for obstacle in obstacles.of_column(facts, column, table):
        if obstacle.of_type:
            yield error("SG004", column.label, obstacle.problem, obstacle.fix)
        else:
            message = f"apply will refuse it: {obstacle.problem}"
            yield error("SG006", column.label, message, obstacle.fix)


def _of_undeclared(columns: Iterable[Elsewhere]) -> Iterator[Finding]:
    for column in columns:
        yield warning(
            "SG005",
            column.label,
            f"its type is {column.type_text}, but the configuration does not declare it:"
            " what it holds is unsealed by its keys, but nothing can be written to it or compared",
            "Declare it, unless only triggers write it (a history table).",
        )


# -- SG02x: keys and what is stored -------------------------------------------------------------------------------


def _of_keys(missing: Iterable[str]) -> Iterator[Finding]:
    for name in missing:
        yield error(
            "SG020",
            name,
            "the keystore has no active keys for it",
            "Run `sealgate apply`, which adds keys for newly declared columns.",
        )


def _of_stored(
    stored: Mapping[str, Stored | None],
    declared: Mapping[str, SealedColumn],
    keys: Mapping[int, str] | None,
) -> Iterator[Finding]:
    for name, facts in stored.items():
        if facts is None:
            continue
        among = _among(facts)
        for key, count in sorted(facts.keys.items()) if keys is not None else ():
            owner = (keys or {}).get(key)
            if owner is None:
                yield error(
                    "SG021",
                    name,
                    f"{_values(count)}{among} are sealed under key {key:08x}, which the keystore does not have",
                    "Restore the keystore that has it; without it these values cannot be read.",
                )
            elif owner != name:
                yield warning(
                    "SG022",
                    name,
                    f"{_values(count)}{among} were sealed for {owner}: that column's grants decide who reads them",
                    "Somebody copied them in the database; write them through the proxy instead.",
                )
        if facts.tampered:
            yield error(
                "SG023",
                name,
                f"{facts.tampered} of {_values(facts.opened)} that were opened as a sample do not authenticate",
                "Somebody or something changed them; restore them from a backup.",
            )
        lacking = facts.cells - facts.terms
        if declared[name].search.equality and lacking:
            yield error(
                "SG031",
                name,
                f"{_values(lacking)}{among} carry no equality term: comparisons miss them",
                f"{APPLY} It seals them anew, with terms.",
            )
        if not declared[name].search.equality and facts.terms:
            yield warning(
                "SG032",
                name,
                f"{_values(facts.terms)}{among} carry equality terms, though it declares no equality",
                f"{APPLY} It seals them anew, without terms.",
            )


# -- SG03x: search ------------------------------------------------------------------------------------------------


def _of_entropy(
    stored: Mapping[str, Stored | None], declared: Mapping[str, SealedColumn]
) -> Iterator[Finding]:
    fix = 'Remove "equality" from its search unless it is worth that.'
    for column in declared.values():
        if not column.search.equality:
            continue
        facts = stored.get(column.label)
        counted = _counted(facts) if facts is not None else ""
        if column.type.name == "bool":
            yield warning(
                "SG033",
                column.label,
                f"a boolean has two values: its terms say which rows are alike, so all but say which is which{counted}",
                fix,
            )
        elif facts is not None and _tells_much(facts):
            yield warning(
                "SG033",
                column.label,
                f"its terms leak: whoever reads the table sees how often each value occurs, and these repeat{counted}",
                fix,
            )


def _tells_much(facts: Stored) -> bool:
    if facts.terms < ENOUGH_TERMS:
        return False
    few = facts.distinct_terms < FEW_DISTINCT and facts.terms >= REPEATED * facts.distinct_terms
    return few or facts.most_frequent / facts.terms >= LARGE_SHARE


def _counted(facts: Stored) -> str:
    if not facts.terms:
        return ""
    share = 100 * facts.most_frequent / facts.terms
    return (
        f" ({facts.distinct_terms:,} distinct among {facts.terms:,}{' sampled' if facts.sampled else ''},"
        f" the most frequent {share:.2g} %)"
    )


def _of_indexes(
    tables: Mapping[str, TableFacts], declared: Mapping[str, SealedColumn]
) -> Iterator[Finding]:
    for column in declared.values():
        table = tables.get(column.table)
        facts = table.column(column.label) if table else None
        if facts is None or facts.sealed is None:
            continue
        wanted = declared_terms(column.search)
        for term in TERMS:
            on_term = [i for i in facts.indexes if i.keys == (term.expression(facts.quoted),)]
            if term not in wanted:
                for index in on_term:
                    yield info(
                        "SG035",
                        column.label,
                        f"index {index.name} is on its {term.said} term, though it declares no {term.said}",
                        f"{APPLY} It drops the index.",
                    )
            elif not any(serves(facts, i, term) and i.table == column.table for i in on_term):
                yield warning(
                    "SG030",
                    column.label,
                    f"it declares {term.said} but has no index on {SCHEMA}.{term.function}: every such comparison reads the whole table",
                    APPLY,
                )


# -- SG09x --------------------------------------------------------------------------------------------------------


def _of_unread(facts: Facts) -> Iterator[Finding]:
    unread = sorted(name for name, stored in facts.stored.items() if stored is None)
    if unread:
        yield info(
            "SG090",
            facts.role.name,
            f"may not SELECT {listed(unread)}: what is stored there was not looked at",
            "Run check with a login that may (it sees sealed values only).",
        )


def _among(facts: Stored) -> str:
    return f" of {facts.cells:,} sampled" if facts.sampled else f" of {facts.cells:,}"


def _values(count: int) -> str:
    return "1 value" if count == 1 else f"{count:,} values"
