"""What bringing one table in line takes: facts and declarations in, steps or obstacles out. Pure.

A column is sealed (it is plain), resealed (it is sealed, but its values lack the equality terms it now declares, or
carry terms it no longer does) or kept. Sealing recreates each equality-capable index on `sealgate.eq(column)` under its
own name; a column that declares equality and ends up without such an index gets one.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum

from proxy.catalog import SealedColumn, label_parts
from proxy.database import obstacles
from proxy.database.obstacles import INDEXABLE, Obstacle, term_expression
from proxy.database.tables import ColumnFacts, IndexFacts, RoleFacts, TableFacts

NAME_BYTES = 63


class Action(Enum):
    SEAL = "seal"
    RESEAL = "reseal"
    KEEP = "keep"


@dataclass(frozen=True, slots=True)
class NewIndex:
    """An index to create on the column's equality term. `replaces` is what was dropped for it."""

    name: str
    table: str
    """Label."""
    column: str
    """As quote_ident writes it."""
    method: str = "btree"
    unique: bool = False
    nulls_distinct: bool = True
    predicate: str | None = None
    options: tuple[str, ...] = ()
    tablespace: str | None = None
    comment: str | None = None
    replaces: IndexFacts | None = None

    def statements(self) -> Iterable[str]:
        unique = "UNIQUE " if self.unique else ""
        nulls = "" if self.nulls_distinct else " NULLS NOT DISTINCT"
        options = f" WITH ({', '.join(self.options)})" if self.options else ""
        tablespace = f" TABLESPACE {identifier(self.tablespace)}" if self.tablespace else ""
        where = f" WHERE {self.predicate}" if self.predicate else ""
        table = qualified(self.table)
        yield (
            f"CREATE {unique}INDEX {identifier(self.name)} ON {table} USING {self.method}"
            f" (sealgate.eq({self.column})){nulls}{options}{tablespace}{where}"
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

    @property
    def equality(self) -> bool:
        return self.declared.search.equality

    @property
    def domain(self) -> str:
        return obstacles.domain_of(self.declared)


@dataclass(frozen=True, slots=True)
class TableSteps:
    table: TableFacts
    columns: tuple[ColumnSteps, ...]
    notes: tuple[str, ...] = ()

    @property
    def rewritten(self) -> tuple[ColumnSteps, ...]:
        """The columns whose values change, all in one rewrite of the table."""
        return tuple(c for c in self.columns if c.action is not Action.KEEP)

    @property
    def nothing(self) -> bool:
        return not self.rewritten and not any(c.created for c in self.columns)

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
) -> tuple[TableSteps, tuple[Obstacle, ...]]:
    """What is to be done with `table`, and what stands in its way (then none of it is done).

    other_terms  labels of sealed columns whose stored values lack or carry terms unlike what is declared.
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
    steps = TableSteps(table, tuple(columns), tuple(_notes(table, columns)))
    if not steps.nothing:
        found += obstacles.of_table(table, role)
    if steps.created and not table.schema_create and not role.superuser:
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
    sealed = Action.RESEAL if other_terms else Action.KEEP
    action = sealed if facts.sealed else Action.SEAL
    equality = declared.search.equality
    dropped: tuple[IndexFacts, ...] = ()
    created: list[NewIndex] = []
    if action is Action.SEAL:
        dropped = tuple(i for i in facts.indexes if i.on_column and not i.parent)
        created = [_recreated(facts, index) for index in dropped]
    if equality:
        have = {i.table for i in created if i.predicate is None}
        have |= {i.table for i in facts.indexes if serves_equality(facts, i)}
        places = [table.label, *(table.children if table.kind == "r" else ())]
        created += [_new_index(place, facts) for place in places if place not in have]
    return ColumnSteps(declared, facts, action, dropped, tuple(created))


def _recreated(column: ColumnFacts, index: IndexFacts) -> NewIndex:
    return NewIndex(
        name=index.name,
        table=index.table,
        column=column.quoted,
        method=index.method,
        unique=index.unique,
        nulls_distinct=index.nulls_distinct,
        predicate=index.predicate,
        options=index.options,
        tablespace=index.tablespace,
        comment=index.comment,
        replaces=index,
    )


def serves_equality(column: ColumnFacts, index: IndexFacts) -> bool:
    return (
        index.keys == (term_expression(column),)
        and index.method in INDEXABLE
        and index.valid
        and index.predicate in (None, f"({column.quoted} IS NOT NULL)")
    )


def _new_index(table: str, column: ColumnFacts) -> NewIndex:
    name = label_parts(table)[1]
    return NewIndex(
        name=_fitting(f"{name}_{column.name}", "_eq"), table=table, column=column.quoted
    )


def _fitting(stem: str, ending: str) -> str:
    """An identifier within PostgreSQL's 63 bytes, cut between characters."""
    room = NAME_BYTES - len(ending)
    return stem.encode()[:room].decode(errors="ignore") + ending


def _notes(table: TableFacts, columns: Iterable[ColumnSteps]) -> Iterable[str]:
    """What apply keeps but a reader of its report should know."""
    rewritten = [c for c in columns if c.action is not Action.KEEP]
    for column in rewritten:
        for index in column.dropped:
            if index.constraint:
                yield (
                    f"UNIQUE constraint {index.name} of {index.table} becomes a unique index of that name on"
                    f" sealgate.eq({column.facts.quoted}); ON CONFLICT ON CONSTRAINT {index.name} no longer works"
                )
    for column in columns:
        if not column.equality:
            for index in column.facts.indexes:
                if index.keys == (term_expression(column.facts),):
                    yield f"index {index.name} serves nothing any more: {column.facts.label} declares no equality; drop it"
    if not rewritten:
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
