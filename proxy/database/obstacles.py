"""What stands in the way of sealing a column: one sentence what, one what to do about it. Pure.

PostgreSQL itself refuses ALTER COLUMN TYPE where a view, rule, policy, trigger, publication or function body reads the
column. We refuse these first, by name, and also what PostgreSQL would carry over with another meaning: a CHECK, an
expression index, statistics, a default would then be over random-looking bytes. Indexes that can say the same of
equality terms as they said of values are not obstacles; `steps` recreates them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from proxy.catalog import SCHEMA, SealedColumn, domain_name, label
from proxy.cells import TypeSpecError, logical_type
from proxy.database.schema import SCHEMA_VERSION, SchemaFacts, changes, expected_domains
from proxy.database.tables import ColumnFacts, DependentFacts, IndexFacts, RoleFacts, TableFacts
from proxy.database.terms import changed, comparing

INDEXABLE = ("btree", "hash")
_NULL_DEFAULT = re.compile(r"NULL(::.+)?\Z")
_KINDS = {"v": "a view", "m": "a materialized view", "f": "a foreign table"}
_SHORT_TYPES = (
    ("character varying", "varchar"),
    ("character(", "char("),
    ("timestamp with time zone", "timestamptz"),
    ("timestamp without time zone", "timestamp"),
)


@dataclass(frozen=True, slots=True)
class Obstacle:
    """Why `subject` (a column's or table's label) is not sealed as the configuration asks."""

    subject: str
    problem: str
    fix: str
    of_type: bool = False
    """The declared type and the column's are not the same."""

    def __str__(self) -> str:
        return f"{self.subject}: {self.problem}. {self.fix}"


def of_schema(facts: SchemaFacts, role: RoleFacts) -> Iterator[Obstacle]:
    """What forbids bringing schema `sealgate` in line."""
    subject = f"schema {SCHEMA}"
    if facts.version is not None and facts.version > SCHEMA_VERSION:
        yield Obstacle(
            subject,
            f"a newer Sealgate made it (version {facts.version}; this one knows {SCHEMA_VERSION})",
            "Use that release, or a newer one.",
        )
        return
    for name, domain in (facts.domains or {}).items():
        if name in expected_domains() and domain.base != "bytea":
            yield Obstacle(
                subject,
                f"domain {name} is over {domain.base}, not bytea",
                f"DROP DOMAIN {SCHEMA}.{name}, then run apply again.",
            )
    if facts.history is not None and not facts.history.complete:
        yield Obstacle(
            subject,
            "table cell_history has other columns than it should",
            f"ALTER TABLE {SCHEMA}.cell_history RENAME TO something else, then run apply again.",
        )
    if not changes(facts):
        return
    if not facts.exists and not role.may_create_schema:
        yield Obstacle(
            subject,
            f"it does not exist, and {role.name} may not create schemas in database {role.database}",
            f"Run apply once with --dsn as the database's owner, or GRANT CREATE ON DATABASE {label(role.database)} TO {role.name}.",
        )
    if facts.exists and not facts.owned:
        yield Obstacle(
            subject,
            f"it has to be changed ({changes(facts)[0].said} ...), and {role.name} does not own it",
            "Run apply with --dsn as its owner.",
        )


def of_table(table: TableFacts, role: RoleFacts) -> Iterator[Obstacle]:
    """What forbids changing the table at all, for this login. Only asked when there is something to change."""

    def obstacle(problem: str, fix: str) -> Obstacle:
        return Obstacle(table.label, problem, fix)

    if table.kind not in ("r", "p"):
        what = _KINDS.get(table.kind, "no table")
        yield obstacle(f"it is {what}", "Declare the column of the table that holds the data.")
        return
    if not table.owned:
        yield obstacle(
            f"it belongs to {table.owner} (its partitions and children count too), and {role.name} is not a member of that role",
            f"Run apply with --dsn as a login that owns it, or GRANT {table.owner} TO {role.name}.",
        )
    if not role.may_create_temporary:
        yield obstacle(
            f"{role.name} may not create temporary tables in database {role.database}",
            f"GRANT TEMPORARY ON DATABASE {label(role.database)} TO {role.name}.",
        )
    if table.foreign_children:
        yield obstacle(
            "some of its partitions or children are foreign tables",
            "Detach them, and seal their columns where the data is.",
        )
    if table.typed:
        yield obstacle(
            "it is a typed table (CREATE TABLE ... OF), whose columns follow their type",
            f"ALTER TABLE {table.qualified} NOT OF, then run apply again.",
        )
    if table.forced_row_security:
        yield obstacle(
            "row security is forced on its owner, so this login may not see every row",
            f"ALTER TABLE {table.qualified} NO FORCE ROW LEVEL SECURITY, run apply, then FORCE it again.",
        )
    for user in table.row_type_used_by:
        yield obstacle(
            f"column {user} has its row type, and PostgreSQL then changes no column's type",
            f"Change or drop {user} first.",
        )


def of_column(column: ColumnFacts, declared: SealedColumn, table: TableFacts) -> Iterator[Obstacle]:
    """What forbids that the column becomes, or is, the declared one."""
    if column.inherited:
        yield Obstacle(
            column.label,
            "it is inherited from a parent table or belongs to a partition",
            "Declare the parent's column; sealing it seals the children's.",
        )
    yield from _of_search(column, declared)
    if column.sealed is not None:
        yield from _of_sealed(column, declared)
        yield from _of_change(column, declared)
        return
    yield from _of_type(column, declared)
    yield from _of_definition(column, table)
    for dependent in column.dependents:
        if (dependent.kind, dependent.detail) != ("pg_constraint", "u"):  # judged by its index
            yield _of_dependent(column, dependent)
    for index in column.indexes:
        yield from _of_index(column, declared, index)


def of_pass(table: TableFacts, role: RoleFacts) -> Iterator[Obstacle]:
    """What forbids updating the table's rows where they stand."""
    acting = [t.name for t in table.on_update if t.always or not role.may_replicate]
    if acting:
        yield Obstacle(
            table.label,
            f"{', '.join(acting)} would act on every row that gets other terms, as if somebody had changed it",
            "Run apply with --dsn as a superuser, whose session can keep ordinary triggers out (session_replication_role),"
            " or with --fire-triggers if they may act.",
        )


def missing_table(declared: SealedColumn) -> Obstacle:
    return Obstacle(
        declared.label,
        f"table {declared.table} does not exist",
        "Create it first (with the plain type; apply then seals the column), or correct the configuration.",
    )


def missing_column(declared: SealedColumn, table: TableFacts) -> Obstacle:
    return Obstacle(
        declared.label,
        f"table {table.label} has no column {declared.name}",
        "Add it first (with the plain type; apply then seals it), or correct the configuration.",
    )


def missing_keys(labels: Iterable[str]) -> Iterator[Obstacle]:
    for name in labels:
        yield Obstacle(
            name,
            "the keystore has no active keys for it",
            "Load the keystore after adding keys (`sealgate apply` and `sealgate init` do).",
        )


def drops_default(column: ColumnFacts) -> bool:
    """DEFAULT NULL::varchar says nothing that no default would not."""
    return column.default is not None and _NULL_DEFAULT.match(column.default) is not None


def configuration_type(type_text: str) -> str | None:
    """How the configuration writes a type that format_type wrote; None if it cannot be sealed."""
    try:
        found = logical_type(type_text)
    except TypeSpecError:
        return None
    for long, short in _SHORT_TYPES:
        candidate = type_text.replace(long, short)
        if candidate != type_text and _same_type(candidate, found.oid, found.modifier):
            return candidate
    return type_text


def configuration_key(name: str) -> str:
    """A column's table as it is written in TOML."""
    return f"columns.'{name}'" if '"' in name else f'columns."{name}"'


def keeps_predicate(column: ColumnFacts, index: IndexFacts) -> bool:
    """Does the index's WHERE say the same once the column is sealed? NULL stays NULL; nothing else may be asked of it."""
    if index.predicate is None:
        return True
    kept = (f"({column.quoted} IS NOT NULL)", f"({column.quoted} IS NULL)")
    mentioned = column.name.lower() in index.predicate.lower()
    return index.predicate in kept or not mentioned


def _same_type(spec: str, oid: int, modifier: int) -> bool:
    try:
        other = logical_type(spec)
    except TypeSpecError:
        return False
    return (other.oid, other.modifier) == (oid, modifier)


def _of_search(column: ColumnFacts, declared: SealedColumn) -> Iterator[Obstacle]:
    if not declared.search:
        return
    if not declared.type.has_equality:
        yield Obstacle(
            column.label,
            f"type {declared.type.name} has no equality in PostgreSQL",
            "Remove its search, or make the column jsonb.",
        )
    if not column.deterministic:
        yield Obstacle(
            column.label,
            "its collation is not deterministic: strings that differ may be equal to SQL, but have different terms",
            "Remove its search, or give the column a deterministic collation.",
        )


def _of_change(column: ColumnFacts, declared: SealedColumn) -> Iterator[Obstacle]:
    """A proxy that still has the configuration from before writes terms that look right, so nothing could ever keep them out."""
    for term in changed(declared, column):
        yield Obstacle(
            column.label,
            f"its {term.said} terms are to be made otherwise (another length, prefix, path or search_group), and those of"
            " proxies that have not been reloaded could not be told from the new ones",
            f"Remove {term.said} from its search, run apply and reload every proxy; then declare it anew, run apply, reload.",
        )


def _of_sealed(column: ColumnFacts, declared: SealedColumn) -> Iterator[Obstacle]:
    if column.sealed != declared.type.name:
        yield Obstacle(
            column.label,
            f"it is sealed already, as {column.sealed}, but declared as {declared.type.name}",
            f'Write type = "{column.sealed}" in [{configuration_key(column.label)}], or restore the plain column and seal it anew.',
            of_type=True,
        )


def _of_type(column: ColumnFacts, declared: SealedColumn) -> Iterator[Obstacle]:
    if (column.type_oid, column.type_modifier) == (declared.type.oid, declared.type.modifier):
        return
    written = configuration_type(column.type_text)
    if written is None:
        yield Obstacle(
            column.label,
            f"its type is {column.type_text}, which Sealgate does not seal",
            "Change the column to one of the types that it does (text, varchar, numeric, date, jsonb ...) first.",
            of_type=True,
        )
        return
    yield Obstacle(
        column.label,
        f"its type is {column.type_text}, and the configuration declares another",
        f'Write type = "{written}" in [{configuration_key(column.label)}].',
        of_type=True,
    )


def _of_definition(column: ColumnFacts, table: TableFacts) -> Iterator[Obstacle]:
    alter = f"ALTER TABLE {table.qualified} ALTER COLUMN {column.quoted}"
    if column.generated:
        yield Obstacle(
            column.label,
            "it is a generated column: the server computes it, so the server knows it",
            "Let the application write it, or seal the columns it is computed from and drop it.",
        )
    elif column.identity:
        yield Obstacle(
            column.label,
            "it is an identity column, whose values the server makes",
            f"{alter} DROP IDENTITY, or leave it plain.",
        )
    elif column.default is not None and not drops_default(column):
        yield Obstacle(
            column.label,
            "it has a DEFAULT, which the server would store as plaintext",
            f"{alter} DROP DEFAULT, and let the application give the value.",
        )


def _of_dependent(column: ColumnFacts, dependent: DependentFacts) -> Obstacle:
    problem, fix = _judged(dependent)
    return Obstacle(column.label, problem, fix)


def _judged(dependent: DependentFacts) -> tuple[str, str]:
    name = dependent.name
    match dependent.kind:
        case "pg_constraint":
            return {
                "p": (
                    f"it is part of the primary key ({name})",
                    "Use a key that need not be secret.",
                ),
                "f": (
                    f"it is part of a foreign key ({name})",
                    "Drop the foreign key, or leave it plain.",
                ),
                "c": (f"a CHECK reads it ({name})", "Drop it; the application must check instead."),
                "x": (f"an exclusion constraint compares it ({name})", "Drop the constraint."),
            }.get(dependent.detail, (f"{name} reads it", "Drop the constraint."))
        case "pg_rewrite" if dependent.detail[:1] in ("v", "m"):
            kind = "materialized view" if dependent.detail[0] == "m" else "view"
            view = dependent.detail[2:]
            return (
                f"{kind} {view} reads it",
                f"Keep its definition (SELECT pg_get_viewdef('{view}')), drop it, run apply, create it again.",
            )
        case "pg_rewrite":
            return (f"{name} reads it", "Drop the rule.")
        case "pg_policy":
            return (
                f"row security {name} reads it",
                "Drop the policy, or write it without this column.",
            )
        case "pg_trigger":
            return (
                f"{name} names it, in its column list or WHEN",
                "Create the trigger without naming the column, then run apply.",
            )
        case "pg_publication_rel":
            return (
                f"{name} names it in its column list",
                "Drop the table from the publication, run apply, add it again (subscribers need the sealed type too).",
            )
        case "pg_statistic_ext":
            return (
                f"{name} is about it",
                "DROP STATISTICS: of sealed values it would say nothing.",
            )
        case "pg_proc":
            return (f"{name} reads it", "Drop the function, run apply, create it again.")
        case "pg_attrdef":
            return (f"{name} is computed from it", "Drop the generated column.")
        case "pg_class" if name.startswith("column "):  # PostgreSQL 14's way to say so
            return (f"{name} is computed from it", "Drop the generated column.")
        case "partition key":
            return (
                "it is in the table's partition key",
                "Partition by something that need not be secret.",
            )
        case "pg_class" if name.startswith("sequence "):
            return (f"{name} belongs to it", "ALTER SEQUENCE ... OWNED BY NONE.")
        case _:
            return (f"{name} depends on it", "Drop it first, run apply, create it again.")


def _of_index(column: ColumnFacts, declared: SealedColumn, index: IndexFacts) -> Iterator[Obstacle]:
    if index.parent or index.constraint_kind in ("p", "x"):
        return  # the parent's index, or the constraint among the dependents, is judged instead
    problem = _index_problem(column, declared, index)
    if problem:
        what = "UNIQUE constraint" if index.constraint else "index"
        drop = (
            f"ALTER TABLE {index.table} DROP CONSTRAINT {label(index.name)}"
            if index.constraint
            else f"DROP INDEX {label(index.schema, index.name)}"
        )
        yield Obstacle(column.label, f"{what} {index.name} {problem[0]}", f"{drop}{problem[1]}.")


def _index_problem(
    column: ColumnFacts, declared: SealedColumn, index: IndexFacts
) -> tuple[str, str] | None:
    if not keeps_predicate(column, index):
        return "compares it in its WHERE", ""
    if not index.on_column:
        # Either its WHERE asks only for NULL, which stays, or an expression computes with the value.
        return ("computes with it", "") if any(_mentions(k, column) for k in index.keys) else None
    term = comparing(declared.search)
    if term is None:
        return (
            "orders or compares its values, and the column declares no search that does",
            ', or declare search = ["equality"]',
        )
    if index.unique and declared.search.equality_function is None:
        return (
            "is unique, and terms of order by a prefix are not",
            ', or declare search = ["equality", ...]',
        )
    if len(index.keys) > 1:
        return "has further columns, or includes some", ", and create one without this column"
    if index.method not in INDEXABLE or not index.default_operators:
        return "is for other operators than those of a btree", ""
    if not index.valid:
        return "is not valid", ", or finish building it with REINDEX"
    if index.deferrable:
        return "is deferrable, which no unique index is", ", and add it NOT DEFERRABLE"
    if index.replica_identity:
        return "is the table's replica identity", ", after choosing another REPLICA IDENTITY"
    if index.clustered:
        return "is the one the table is clustered on", ", or ALTER TABLE ... SET WITHOUT CLUSTER"
    return None


def _mentions(expression: str, column: ColumnFacts) -> bool:
    return column.name.lower() in expression.lower()


def domain_of(declared: SealedColumn) -> str:
    return f"{SCHEMA}.{domain_name(declared.type.name)}"
