"""What `sealgate check` finds: configuration against facts. Pure; every rule is one function and one or two codes.

Codes are stable: monitoring may match on them. SG00x tables and columns, SG01x schema, SG02x keys and stored values,
SG03x search, SG04x roles and grants, SG05x what goes around the proxy, SG06x whose data it is, SG09x what could not be looked at.
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
from proxy.database.searching import APPLY, searching
from proxy.database.tables import ColumnFacts, TableFacts
from proxy.database.whose import whose

__all__ = ["Facts", "Finding", "findings"]


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
        *_of_stored(facts.stored, keys),
        *searching(facts.tables, facts.stored, declared),
        *exposure(facts, policy),
        *whose(facts),
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
    stored: Mapping[str, Stored | None], keys: Mapping[int, str] | None
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
