"""What bringing one table in line takes: facts and declarations in, steps or obstacles out. Pure.

A plain column is sealed, under the table's lock, in one rewrite: each index that can say the same of terms as it said of
values is recreated under its own name on the term that `=` compares. A sealed column whose values do not all carry
the terms that are declared gets them from a pass over the rows while everybody works (`deriving`). Each declared
term ends up with an index that serves it, each other loses its own, and the column with the server's word for it (`terms`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import Enum

from proxy.catalog import SCHEMA, SealedColumn, label_parts
from proxy.database import obstacles
from proxy.database.obstacles import Obstacle
from proxy.database.schema import Change
from proxy.database.tables import AssuranceFacts, ColumnFacts, IndexFacts, RoleFacts, TableFacts
from proxy.database.terms import (
    TERMS,
    Assurance,
    Term,
    comparing,
    declared_terms,
    said,
    serves,
    stale,
    unassured,
)

NAME_BYTES = 63


class Action(Enum):
    SEAL = "seal"
    DERIVE = "derive"
    KEEP = "keep"


@dataclass(frozen=True, slots=True)
class NewIndex:
    """An index to create on a term of the column. `replaces` is what was dropped for it."""

    name: str
    table: str
    """Label."""
    column: str
    """As quote_ident writes it."""
    function: str = "eq"
    method: str = "btree"
    unique: bool = False
    nulls_distinct: bool = True
    predicate: str | None = None
    options: tuple[str, ...] = ()
    tablespace: str | None = None
    comment: str | None = None
    replaces: IndexFacts | None = None

    def statements(self, *, concurrently: bool = False, only: bool = False) -> Iterable[str]:
        """only: not on the partitions."""
        unique = "UNIQUE " if self.unique else ""
        how = "CONCURRENTLY " if concurrently else ""
        nulls = "" if self.nulls_distinct else " NULLS NOT DISTINCT"
        options = f" WITH ({', '.join(self.options)})" if self.options else ""
        tablespace = f" TABLESPACE {identifier(self.tablespace)}" if self.tablespace else ""
        where = f" WHERE {self.predicate}" if self.predicate else ""
        table = f"{'ONLY ' if only else ''}{qualified(self.table)}"
        yield (
            f"CREATE {unique}INDEX {how}{identifier(self.name)} ON {table} USING {self.method}"
            f" ({SCHEMA}.{self.function}({self.column})){nulls}{options}{tablespace}{where}"
        )
        if self.comment is not None:
            schema = label_parts(self.table)[0]
            name = f"{identifier(schema)}.{identifier(self.name)}"
            yield f"COMMENT ON INDEX {name} IS {literal(self.comment)}"


@dataclass(frozen=True, slots=True)
class ColumnSteps:
    declared: SealedColumn
    facts: ColumnFacts
    action: Action
    dropped: tuple[IndexFacts, ...] = ()
    created: tuple[NewIndex, ...] = ()
    """In place of `dropped`, under the table's lock."""
    needless: tuple[IndexFacts, ...] = ()
    """On terms that are not declared."""
    unserved: tuple[Term, ...] = ()
    """Terms without an index somewhere in the tree."""
    unassured: tuple[Assurance, ...] = ()
    """Still to be had from the server."""
    stale: tuple[AssuranceFacts, ...] = ()
    """To be taken back by it, before anything that they speak of changes."""

    @property
    def search(self) -> str:
        return said(self.declared.search)

    @property
    def nothing(self) -> bool:
        left = (self.created, self.needless, self.unserved, self.unassured, self.stale)
        return self.action is Action.KEEP and not any(left)

    @property
    def domain(self) -> str:
        return obstacles.domain_of(self.declared)


@dataclass(frozen=True, slots=True)
class TableSteps:
    table: TableFacts
    columns: tuple[ColumnSteps, ...]
    notes: tuple[str, ...] = ()
    history: tuple[Change, ...] = ()
    """What keeps where values stood that are gone; see `history`."""

    @property
    def rewritten(self) -> tuple[ColumnSteps, ...]:
        """The columns that are plain, all sealed in one rewrite of the table."""
        return tuple(c for c in self.columns if c.action is Action.SEAL)

    @property
    def derived(self) -> tuple[ColumnSteps, ...]:
        """The columns whose values get other terms, in one pass."""
        return tuple(c for c in self.columns if c.action is Action.DERIVE)

    @property
    def nothing(self) -> bool:
        return self.settled and not self.history

    @property
    def settled(self) -> bool:
        """Values, terms and indexes are as declared."""
        return all(c.nothing for c in self.columns)

    @property
    def indexes(self) -> tuple[NewIndex, ...]:
        """Those to be made anew on the whole tree; `indexing` makes them."""
        return tuple(
            new_index(self.table.label, c.facts, term) for c in self.columns for term in c.unserved
        )

    @property
    def dropped(self) -> tuple[IndexFacts, ...]:
        return tuple(index for c in self.columns for index in c.dropped)

    @property
    def created(self) -> tuple[NewIndex, ...]:
        return tuple(index for c in self.columns for index in c.created)


def steps_for(
    table: TableFacts,
    declared: Iterable[SealedColumn],
    role: RoleFacts,
    other_terms: frozenset[str],
    *,
    history: tuple[Change, ...] = (),
    fire_triggers: bool = False,
) -> tuple[TableSteps, tuple[Obstacle, ...]]:
    """What is to be done with `table`, and what stands in its way (then none of it is done).

    other_terms    labels of sealed columns of which some stored value has other terms than are declared
    fire_triggers  the table's own triggers and rules may act on the rows that a pass updates
    """
    columns: list[ColumnSteps] = []
    found: list[Obstacle] = []
    for column in declared:
        facts = table.column(column.label)
        if facts is None:
            found.append(obstacles.missing_column(column, table))
            continue
        found += obstacles.of_column(facts, column, table)
        columns.append(_column_steps(table, facts, column, column.label in other_terms))
    steps = TableSteps(table, tuple(columns), tuple(_notes(table, columns)), history)
    if not steps.nothing:
        found += obstacles.of_table(table, role)
    if steps.derived and not fire_triggers:
        found += obstacles.of_pass(table, role)
    if (steps.created or steps.indexes) and not table.schema_create and not role.superuser:
        found.append(
            Obstacle(
                table.label,
                f"{role.name} may not create indexes in schema {table.schema}",
                f"GRANT CREATE ON SCHEMA {identifier(table.schema)} TO {role.name}.",
            )
        )
    return steps, tuple(found)


def _column_steps(
    table: TableFacts, facts: ColumnFacts, declared: SealedColumn, other_terms: bool
) -> ColumnSteps:
    wanted = declared_terms(declared.search)
    dropped: tuple[IndexFacts, ...] = ()
    created: tuple[NewIndex, ...] = ()
    missing = unassured(declared, facts)
    if facts.sealed is None:
        action = Action.SEAL
        dropped = tuple(i for i in facts.indexes if i.on_column and not i.parent)
        term = comparing(declared.search)
        if term is not None:
            created = tuple(_recreated(facts, index, term) for index in dropped)
    else:
        action = Action.DERIVE if other_terms or missing else Action.KEEP
    return ColumnSteps(
        declared=declared,
        facts=facts,
        action=action,
        dropped=dropped,
        created=created,
        needless=tuple(_needless(facts, wanted)),
        unserved=tuple(t for t in wanted if not _served(table, facts, t, created)),
        unassured=missing,
        stale=stale(declared, facts),
    )


def _needless(facts: ColumnFacts, wanted: tuple[Term, ...]) -> Iterator[IndexFacts]:
    keys = {(term.expression(facts.quoted),) for term in TERMS if term not in wanted}
    return (index for index in facts.indexes if index.keys in keys and not index.parent)


def _served(
    table: TableFacts, facts: ColumnFacts, term: Term, created: tuple[NewIndex, ...]
) -> bool:
    """A partitioned table by its own index, which is valid when each partition has its part; else each table by one."""
    have = {i.table for i in created if i.function == term.function and i.predicate is None}
    have |= {index.table for index in facts.indexes if serves(facts, index, term)}
    if table.kind == "p":
        return table.label in have
    return have >= {member.label for member in table.members if member.kind == "r"} | {table.label}


def _recreated(column: ColumnFacts, index: IndexFacts, term: Term) -> NewIndex:
    return NewIndex(
        name=index.name,
        table=index.table,
        column=column.quoted,
        function=term.function,
        method=index.method,
        unique=index.unique,
        nulls_distinct=index.nulls_distinct,
        predicate=index.predicate,
        options=index.options,
        tablespace=index.tablespace,
        comment=index.comment,
        replaces=index,
    )


def new_index(table: str, column: ColumnFacts, term: Term) -> NewIndex:
    name = label_parts(table)[1]
    return NewIndex(
        name=_fitting(f"{name}_{column.name}", f"_{term.function}"),
        table=table,
        column=column.quoted,
        function=term.function,
        method=term.method,
    )


def _fitting(stem: str, ending: str) -> str:
    """An identifier within PostgreSQL's 63 bytes, cut between characters."""
    room = NAME_BYTES - len(ending)
    return stem.encode()[:room].decode(errors="ignore") + ending


def _notes(table: TableFacts, columns: Iterable[ColumnSteps]) -> Iterable[str]:
    """What apply keeps, or drops, but a reader of its report should know."""
    for column in columns:
        for new, old in zip(column.created, column.dropped, strict=False):
            if old.constraint:
                yield (
                    f"UNIQUE constraint {old.name} of {old.table} becomes a unique index of that name on"
                    f" sealgate.{new.function}({column.facts.quoted}); ON CONFLICT ON CONSTRAINT {old.name} no longer works"
                )
        for index in column.needless:
            unique = ", and with it uniqueness" if index.unique else ""
            yield f"index {index.name} serves nothing that {column.facts.label} declares: it goes{unique}"
    if any(c.action is Action.DERIVE for c in columns):
        yield (
            f"{table.label}: rows whose terms change are updated a few thousand at a time while everybody works;"
            " the old versions are dead rows until VACUUM has been there"
        )
    if not any(c.action is Action.SEAL for c in columns):
        return
    for trigger in table.triggers:
        yield f"trigger {trigger} on {table.label} sees sealed values in the sealed columns"
    for view in table.whole_row_views:
        yield f"view {view} takes whole rows or no columns of {table.label}: it is kept, and shows sealed values sealed"
    for publication in table.publications:
        yield (
            f"publication {publication} publishes {table.label}: subscribers need schema sealgate and the sealed types,"
            " and are not sent the sealed rows; synchronise the table anew"
        )


def identifier(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def qualified(table: str) -> str:
    return ".".join(identifier(part) for part in label_parts(table))


def literal(text: str) -> str:
    escaped = text.replace("'", "''")
    return f"'{escaped}'" if "\\" not in escaped else "E'" + escaped.replace("\\", "\\\\") + "'"
