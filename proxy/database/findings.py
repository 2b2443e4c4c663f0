"""What `sealgate check` finds: configuration against facts. Pure; every rule is one function and one or two codes.

Codes are stable: monitoring may match on them. SG00x tables and columns, SG01x schema, SG02x keys and stored values,
SG03x search, SG04x roles and grants, SG05x what goes around the proxy, SG09x what could not be looked at.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum

from policy import Grant, Policy
from proxy.catalog import SCHEMA, SealedColumn
from proxy.database import obstacles, schema
from proxy.database.obstacles import EQUALITY, term_expression
from proxy.database.steps import serves_equality
from proxy.database.tables import ColumnFacts, RoleFacts, TableFacts

APPLY = "Run `sealgate apply`."
NAMES_SHOWN = 5
ENOUGH_TERMS = 50
FEW_DISTINCT = 256
REPEATED = 4
LARGE_SHARE = 0.2


class Severity(Enum):
    ERROR = "error"
    WARNING = "warning"
    INFO = "info"


@dataclass(frozen=True, slots=True)
class Finding:
    code: str
    severity: str
    """error: something does not work or is not protected; warning: it leaks or nobody can use it; info: to know."""
    subject: str
    message: str
    fix: str

    def __str__(self) -> str:
        return f"{self.code} {self.severity} {self.subject}: {self.message}. {self.fix}"


@dataclass(frozen=True, slots=True)
class Access:
    """Who may do what in the database, as far as the declared columns go. Logins by name, superusers left out of the sets."""

    existing: frozenset[str]
    """Those of the policy's roles that exist."""
    logins: Mapping[str, tuple[str, ...]]
    """Per role of the policy, the logins that are it or members of it."""
    readers: Mapping[str, frozenset[str]]
    """Per column that exists, the logins that may SELECT it."""
    writers: Mapping[str, frozenset[str]]
    """Per column that exists, the logins that may INSERT or UPDATE it."""
    superusers: tuple[str, ...]
    everywhere: tuple[tuple[str, str], ...]
    """(login, predefined role) of logins that read or write all tables, or the server's files."""
    owners: Mapping[str, tuple[str, ...]]
    """Per table (or `schema sealgate`), the logins that are its owner or members of the owner."""


@dataclass(frozen=True, slots=True)
class Stored:
    """What a sealed column holds: counted, over a sample where the table is large. No values."""

    cells: int
    sampled: bool
    terms: int
    distinct_terms: int
    most_frequent: int
    """How often the most frequent term occurs."""
    keys: Mapping[int, int] = field(default_factory=dict)
    """Per key id, how many cells."""
    opened: int = 0
    tampered: int = 0


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """A column somewhere that is not declared. kind is pg_class.relkind of its relation."""

    label: str
    kind: str
    type_text: str
    of: str = ""
    """The declared column that it has the name of; empty for a sealed one."""


@dataclass(frozen=True, slots=True)
class Facts:
    """Everything that check looked at."""

    role: RoleFacts
    schema: schema.SchemaFacts
    tables: Mapping[str, TableFacts]
    access: Access
    stored: Mapping[str, Stored | None]
    """Per sealed declared column; None: this login may not read it."""
    undeclared: Sequence[Elsewhere] = ()
    namesakes: Sequence[Elsewhere] = ()
    functions: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """Per declared column, the functions whose source names it."""


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
        *_of_roles(facts.access, policy),
        *_of_grants(facts, policy),
        *_of_columns_without_readers(policy),
        *_of_logins_without_grants(facts.access, policy),
        *_of_powers(facts, policy),
        *_of_namesakes(facts.namesakes),
        *_of_publications(facts.tables),
        *_of_functions(facts.functions),
        *_of_unread(facts),
    ]
    order = [severity.value for severity in Severity]
    return sorted(found, key=lambda f: (order.index(f.severity), f.code, f.subject))


def _error(code: str, subject: str, message: str, fix: str) -> Finding:
    return Finding(code, Severity.ERROR.value, subject, message, fix)


def _warning(code: str, subject: str, message: str, fix: str) -> Finding:
    return Finding(code, Severity.WARNING.value, subject, message, fix)


def _info(code: str, subject: str, message: str, fix: str) -> Finding:
    return Finding(code, Severity.INFO.value, subject, message, fix)


# -- SG01x: schema sealgate ---------------------------------------------------------------------------------------


def _of_schema(facts: schema.SchemaFacts) -> Iterator[Finding]:
    subject = f"schema {SCHEMA}"
    if not facts.exists:
        yield _error("SG010", subject, "it does not exist", APPLY)
        return
    if facts.version is not None and facts.version > schema.SCHEMA_VERSION:
        yield _error(
            "SG011",
            subject,
            f"a newer Sealgate made it (version {facts.version}; this one knows {schema.SCHEMA_VERSION})",
            "Use that release, or a newer one.",
        )
        return
    broken = [n for n, d in (facts.domains or {}).items() if n in schema.expected_domains()]
    broken = [name for name in broken if not (facts.domains or {})[name].intact]
    for name in broken:
        yield _error(
            "SG012",
            f"{SCHEMA}.{name}",
            "its CHECK is not the one that apply writes: the database may take plaintext",
            f"{APPLY} It restores the CHECK and says where plaintext came in.",
        )
    rest = [c.said for c in schema.changes(facts) if not any(name in c.said for name in broken)]
    if rest:
        yield _error("SG011", subject, f"it is not up to date: apply would {_listed(rest)}", APPLY)


# -- SG00x: tables and columns ------------------------------------------------------------------------------------


def _of_columns(
    tables: Mapping[str, TableFacts], declared: Mapping[str, SealedColumn]
) -> Iterator[Finding]:
    for column in declared.values():
        table = tables.get(column.table)
        if table is None:
            problem = obstacles.missing_table(column)
            yield _error("SG001", column.label, problem.problem, problem.fix)
            continue
        facts = table.column(column.label)
        if facts is None:
            problem = obstacles.missing_column(column, table)
            yield _error("SG002", column.label, problem.problem, problem.fix)
        else:
            yield from _of_column(table, facts, column)


def _of_column(table: TableFacts, facts: ColumnFacts, column: SealedColumn) -> Iterator[Finding]:
    if facts.sealed is None:
        yield _error("SG003", column.label, "it is not sealed: the database holds plaintext", APPLY)
    if table.kind not in ("r", "p"):
        yield _error(
            "SG006",
            column.label,
            "apply will refuse it: it belongs to no table but to a view or foreign table",
            "Declare the column of the table that holds the data.",
        )
    for obstacle in obstacles.of_column(facts, column, table):
        if obstacle.of_type:
            yield _error("SG004", column.label, obstacle.problem, obstacle.fix)
        else:
            message = f"apply will refuse it: {obstacle.problem}"
            yield _error("SG006", column.label, message, obstacle.fix)


def _of_undeclared(columns: Iterable[Elsewhere]) -> Iterator[Finding]:
    for column in columns:
        yield _warning(
            "SG005",
            column.label,
            f"its type is {column.type_text}, but the configuration does not declare it:"
            " what it holds is unsealed by its keys, but nothing can be written to it or compared",
            "Declare it, unless only triggers write it (a history table).",
        )


# -- SG02x: keys and what is stored -------------------------------------------------------------------------------


def _of_keys(missing: Iterable[str]) -> Iterator[Finding]:
    for name in missing:
        yield _error(
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
                yield _error(
                    "SG021",
                    name,
                    f"{_values(count)}{among} are sealed under key {key:08x}, which the keystore does not have",
                    "Restore the keystore that has it; without it these values cannot be read.",
                )
            elif owner != name:
                yield _warning(
                    "SG022",
                    name,
                    f"{_values(count)}{among} were sealed for {owner}: that column's grants decide who reads them",
                    "Somebody copied them in the database; write them through the proxy instead.",
                )
        if facts.tampered:
            yield _error(
                "SG023",
                name,
                f"{facts.tampered} of {_values(facts.opened)} that were opened as a sample do not authenticate",
                "Somebody or something changed them; restore them from a backup.",
            )
        lacking = facts.cells - facts.terms
        if EQUALITY in declared[name].search and lacking:
            yield _error(
                "SG031",
                name,
                f"{_values(lacking)}{among} carry no equality term: comparisons miss them",
                f"{APPLY} It seals them anew, with terms.",
            )
        if EQUALITY not in declared[name].search and facts.terms:
            yield _warning(
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
        if EQUALITY not in column.search:
            continue
        facts = stored.get(column.label)
        counted = _counted(facts) if facts is not None else ""
        if column.type.name == "bool":
            yield _warning(
                "SG033",
                column.label,
                f"a boolean has two values: its terms say which rows are alike, so all but say which is which{counted}",
                fix,
            )
        elif facts is not None and _tells_much(facts):
            yield _warning(
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
        if EQUALITY not in column.search:
            for index in facts.indexes:
                if index.keys == (term_expression(facts),):
                    yield _info(
                        "SG035",
                        column.label,
                        f"index {index.name} is on its equality term, though it declares no equality",
                        "Drop the index.",
                    )
        elif not any(serves_equality(facts, i) and i.table == column.table for i in facts.indexes):
            yield _warning(
                "SG030",
                column.label,
                "it declares equality but has no index on sealgate.eq: every comparison reads the whole table",
                APPLY,
            )


# -- SG04x: roles and grants --------------------------------------------------------------------------------------


def _of_roles(access: Access, policy: Policy) -> Iterator[Finding]:
    for role in sorted(policy.roles):
        if role not in access.existing:
            yield _error(
                "SG040",
                f"roles.{role}",
                "there is no such role in PostgreSQL",
                f'CREATE ROLE "{role}", or correct the name.',
            )
        elif not access.logins.get(role):
            yield _warning(
                "SG041",
                f"roles.{role}",
                "no login is this role or a member of it, so nobody can use its grants",
                f'GRANT "{role}" TO a login.',
            )
    for unused in policy.unused:
        yield _warning(
            "SG044", unused, "this grant means no declared column", "Correct or remove it."
        )


def _of_grants(facts: Facts, policy: Policy) -> Iterator[Finding]:
    """Sealgate's grant without PostgreSQL's: it has no effect."""
    access, superusers = facts.access, set(facts.access.superusers)
    for role in sorted(access.existing & policy.roles.keys()):
        logins = set(access.logins.get(role, ()))
        if not logins or logins & superusers:
            continue
        for grants, able, privilege in (
            ((Grant.CLEAR, Grant.MASKED, Grant.SEARCH), access.readers, "SELECT"),
            ((Grant.WRITE,), access.writers, "INSERT or UPDATE"),
        ):
            useless = [
                column
                for column, holders in policy.holders.items()
                if column in able
                and any(role in holders[grant] for grant in grants)
                and not logins & able[column]
            ]
            if useless:
                yield _warning(
                    "SG042",
                    f"roles.{role}",
                    f"it grants {', '.join(g.value for g in grants)} on {_listed(useless)}, but no login that has the role"
                    f" has PostgreSQL's {privilege} there",
                    f'GRANT {privilege.replace(" or ", ", ")} ON the table TO "{role}", or remove the grant.',
                )


def _of_columns_without_readers(policy: Policy) -> Iterator[Finding]:
    for column, holders in sorted(policy.holders.items()):
        if not holders[Grant.CLEAR] and not holders[Grant.MASKED]:
            yield _warning(
                "SG045", column, "no role may read it, not even masked", "Grant it to a role."
            )
        if not holders[Grant.WRITE]:
            yield _info("SG046", column, "no role may write it", "Grant write if one should.")


def _of_logins_without_grants(access: Access, policy: Policy) -> Iterator[Finding]:
    granted = {login for role in policy.roles for login in access.logins.get(role, ())}
    outside: dict[tuple[str, ...], list[str]] = {}
    for column, readers in access.readers.items():
        logins = tuple(sorted(readers - granted))
        if logins:
            outside.setdefault(logins, []).append(column)
    for logins, columns in outside.items():
        yield _info(
            "SG043",
            _listed(logins),
            f"may SELECT {_listed(columns)} in PostgreSQL, but has no role of the policy: the values are withheld",
            "Nothing, if that is meant; else grant a role.",
        )


# -- SG05x: around the proxy --------------------------------------------------------------------------------------


def _of_powers(facts: Facts, policy: Policy) -> Iterator[Finding]:
    access = facts.access
    granted = {login for role in policy.roles for login in access.logins.get(role, ())}
    for login in sorted(granted & set(access.superusers)):
        yield _warning(
            "SG052",
            login,
            "it has grants and is a superuser: it may change types and CHECKs, and write plaintext then",
            "Let applications use logins that are not superusers.",
        )
    plain = sorted(set(access.superusers) - granted)
    if plain:
        yield _info(
            "SG050",
            _listed(plain),
            "superusers: they read only sealed values, but can drop the CHECKs that keep plaintext out",
            "Run `sealgate check` regularly: it sees that.",
        )
    for role in sorted({role for _, role in access.everywhere}):
        logins = sorted(login for login, held in access.everywhere if held == role)
        yield _info(
            "SG051",
            _listed(logins),
            f"has {role}: it reaches every table or the server's files, where it finds sealed values",
            "Keep it for those who need it.",
        )
    for subject, owners in sorted(access.owners.items()):
        owning = sorted(granted & set(owners) - set(access.superusers))
        if owning:
            yield _info(
                "SG053",
                subject,
                f"{_listed(owning)} {'have' if len(owning) > 1 else 'has'} grants and may act as its owner:"
                " an owner can change the column back to a plain type",
                "Let a login that no application uses own it.",
            )


def _of_namesakes(columns: Iterable[Elsewhere]) -> Iterator[Finding]:
    by_declared: dict[str, list[Elsewhere]] = {}
    for column in columns:
        by_declared.setdefault(column.of, []).append(column)
    for name, others in by_declared.items():
        kinds = {"m": " (materialized view)", "v": " (view)", "f": " (foreign table)"}
        places = [f"{c.label}{kinds.get(c.kind, '')}" for c in others]
        yield _info(
            "SG054",
            name,
            f"columns of the same name and kind are not sealed: {_listed(places)}",
            "Declare them too if they hold the same data.",
        )


def _of_publications(tables: Mapping[str, TableFacts]) -> Iterator[Finding]:
    for table in tables.values():
        if table.publications and any(c.sealed for c in table.columns):
            yield _info(
                "SG055",
                table.label,
                f"it is published by {_listed(table.publications)}: subscribers get sealed values",
                "Create schema sealgate and the sealed types there too; check that no old plaintext rows are left there.",
            )


def _of_functions(functions: Mapping[str, Sequence[str]]) -> Iterator[Finding]:
    for name, named in functions.items():
        yield _info(
            "SG056",
            name,
            f"functions name it: {_listed(named)}; they run in the server, where the value is sealed",
            "See that they only copy it, or let the application do what they do with it.",
        )


# -- SG09x --------------------------------------------------------------------------------------------------------


def _of_unread(facts: Facts) -> Iterator[Finding]:
    unread = sorted(name for name, stored in facts.stored.items() if stored is None)
    if unread:
        yield _info(
            "SG090",
            facts.role.name,
            f"may not SELECT {_listed(unread)}: what is stored there was not looked at",
            "Run check with a login that may (it sees sealed values only).",
        )


def _among(facts: Stored) -> str:
    return f" of {facts.cells:,} sampled" if facts.sampled else f" of {facts.cells:,}"


def _values(count: int) -> str:
    return "1 value" if count == 1 else f"{count:,} values"


def _listed(names: Sequence[str]) -> str:
    shown = list(names[:NAMES_SHOWN])
    rest = len(names) - len(shown)
    return ", ".join(shown) + (f" and {rest} more" if rest else "")
