"""Which name is which column: PostgreSQL's scoping (parse_relation.c) over what the catalog tells.

A `Scope` is one query level: its row sources by alias, the columns that unqualified names can mean
(`visible`, which differs from the sources' columns where JOIN USING merges some), the WITH queries
in reach, and the level around it.

What is not known for certain is kept as such. A source is *open* when it can have columns that are
not listed (a function, a system view, a table that the catalog picture does not have). A name that
an open source may explain and a sealed column of an outer level also explains is refused as
ambiguous; a name that nothing explains is refused where a sealed table is in reach, because the
literal beside it would end in the server's log with the error.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from sqlglot import exp

from proxy.catalog import SealedColumn
from proxy.sql import refusals
from proxy.sql.plan import Use

SYSTEM_COLUMNS: Final = frozenset({"ctid", "xmin", "xmax", "cmin", "cmax", "tableoid"})


@dataclass(frozen=True, slots=True)
class SealedRef:
    """The sealed column whose values something carries."""

    label: str
    table: str
    column: SealedColumn | None
    """None: the attribute has a sealgate domain but is not declared (a view, a history table), so
    whose values these are is known to each value alone."""
    type: str | None = None
    """The logical type's name; None for a type that holds sealed values inside."""
    shown: str | None = None
    """The type that a cast in the text shows the values as; None: their own."""
    view: bool = False
    """A column of a view: what is written to it goes into the tables behind it."""


@dataclass(frozen=True, slots=True)
class Cell:
    """A constant or parameter of the text whose value becomes that of a column."""

    node: exp.Expr
    array: bool = False
    """An argument of unnest(): each element is a value."""
    type: str | None = None
    """The type it has got on its way through FROM or WITH, if the text gives it none."""
    label: str | None = None
    """The name that its column has without AS; sealed, the value has a cast and would give another."""


@dataclass(frozen=True, slots=True)
class Field:
    """One column of a row source or result. `name` None: it has one that we do not compute."""

    name: str | None
    sealed: SealedRef | None = None
    domain: bool = field(default=False, compare=False)
    """It is a relation's column handed through, so that the server knows its type: the sealed domain."""
    type_oid: int | None = field(default=None, compare=False)
    """Of a relation's column, sealed or not."""
    of: str | None = field(default=None, compare=False)
    """The name of the row source that it is a column of, as FROM has it."""
    qualified: str | None = field(default=None, compare=False)
    """How it is written now that its bare name means nothing: a column of USING that had to become one of ON."""
    cells: tuple[Cell, ...] = field(default=(), compare=False)
    """All that the column's values come from, if these are constants and parameters of the text:
    they may be sealed where they stand."""
    grouped: str | None = field(default=None, compare=False)
    """Behind GROUP BY, for a sealed column by whose terms is grouped: what a reference to it becomes, `{0}` for itself."""


PLAIN: Final = Field(None)


@dataclass(frozen=True, slots=True)
class Targets:
    """Where the columns of a query or a row go: sealed columns, None for others."""

    refs: tuple[SealedRef | None, ...]
    use: Use = Use.STORED
    """COMPARED: nowhere, they are compared with these columns."""
    default: str | None = None
    """The type of values that nothing gives one: text in a subquery, None where the column's own."""

    def at(self, place: int) -> SealedRef | None:
        return self.refs[place] if place < len(self.refs) else None

    def behind(self, place: int) -> Targets:
        return replace(self, refs=self.refs[place:])


@dataclass(frozen=True, slots=True)
class Shape:
    """Columns of a result. `open`: more may be there, or at other places."""

    fields: tuple[Field, ...] = ()
    open: bool = False

    @property
    def sealed(self) -> SealedRef | None:
        """One of the sealed columns it carries, for a message."""
        return next((f.sealed for f in self.fields if f.sealed is not None), None)

    def renamed(self, names: Iterable[str]) -> Shape:
        """With a column alias list, which may be shorter than the columns."""
        given = list(names)
        if given and self.open and self.sealed is not None:
            raise refusals.not_understood("a column alias list")
        renamed = [replace(f, name=name) for name, f in zip(given, self.fields, strict=False)]
        rest = list(self.fields[len(given) :])
        if self.open:
            rest += [Field(name) for name in given[len(self.fields) :]]
        return Shape((*renamed, *rest), self.open)


@dataclass(frozen=True, slots=True)
class RowSource:
    """Something in FROM, or the target of a write."""

    name: str | None
    """Alias, or the relation's own name without one; None: it has no name (a bare join)."""
    shape: Shape
    schema: str | None = None
    """For `schema.table.column`; None under an alias."""
    qualified_only: bool = False
    """`excluded`, `old`, `new`: reached by their names alone."""
    relation: bool = False
    """A table or view: it has system columns, and its rows are of a named type."""


@dataclass(slots=True)
class Scope:
    parent: Scope | None = None
    sources: list[RowSource] = field(default_factory=list)
    visible: list[Field] = field(default_factory=list)
    open: bool = False
    ctes: Mapping[str, Shape | None] = field(default_factory=dict)
    """WITH queries of this level and around it; None: named, but not defined yet."""
    ungrouped: Scope | None = None
    """The same level as its rows see it, if this one sees their groups: for arguments of aggregates."""

    @property
    def rows(self) -> Scope:
        return self.ungrouped or self

    def add(self, source: RowSource) -> None:
        """A source all of whose columns are visible."""
        self.sources.append(source)
        if not source.qualified_only:
            self.visible.extend(source.shape.fields)
            self.open |= source.shape.open

    def levels(self) -> Iterator[Scope]:
        level: Scope | None = self
        while level is not None:
            yield level
            level = level.parent

    def has_local(self, name: str) -> bool:
        return any(f.name == name for f in self.visible)

    def column(self, name: str) -> Field:
        """What an unqualified name means."""
        uncertain = False
        for level in self.levels():
            matches = [f for f in level.visible if f.name == name]
            if matches:
                return _certain(name, matches, uncertain)
            for nameless in level.visible:
                if nameless.name is None:
                    if nameless.sealed is not None:
                        raise refusals.ambiguous_column(name)
                    uncertain = True
            uncertain |= level.open
        row = self._source(name, None)
        if row is not None:
            return _whole_row(name, row)
        if not uncertain and name not in SYSTEM_COLUMNS and self._reaches_sealed():
            raise refusals.unknown_column()
        return PLAIN

    def row(self, name: str) -> RowSource | None:
        """The row source whose whole row `name` means for certain."""
        for level in self.levels():
            if level.open or any(f.name in (name, None) for f in level.visible):
                return None
        return self._source(name, None)

    def qualified(self, schema: str | None, qualifier: str, name: str) -> Field:
        """What `[schema.]qualifier.name` means."""
        source = self.source(schema, qualifier)
        matches = [f for f in source.shape.fields if f.name == name]
        if matches:
            return _certain(name, matches, uncertain=False)
        nameless = [f for f in source.shape.fields if f.name is None]
        if any(f.sealed for f in nameless):
            raise refusals.ambiguous_column(name)
        known = source.shape.open or nameless or name in SYSTEM_COLUMNS
        if not known and source.shape.sealed is not None:
            # Not a column, so `name` may be a function of the whole row.
            raise refusals.unknown_column()
        return PLAIN

    def source(self, schema: str | None, qualifier: str) -> RowSource:
        found = self._source(qualifier, schema)
        if found is None:
            raise refusals.unknown_qualifier()
        return found

    def _source(self, name: str, schema: str | None) -> RowSource | None:
        for level in self.levels():
            for source in level.sources:
                if source.name == name and (schema is None or source.schema == schema):
                    return source
        return None

    def _reaches_sealed(self) -> bool:
        return any(s.shape.sealed for level in self.levels() for s in level.sources)


def _certain(name: str, matches: list[Field], uncertain: bool) -> Field:
    sealed = [f for f in matches if f.sealed is not None]
    # One that is written out, because USING became ON, would no longer be ambiguous to the server.
    written = [f for f in matches if f.qualified is not None]
    if (sealed and uncertain) or ((sealed or written) and len(matches) > 1):
        raise refusals.ambiguous_column(name)
    return matches[0]


def _whole_row(name: str, source: RowSource) -> Field:
    sealed = source.shape.sealed
    if sealed is not None:
        raise refusals.whole_row(sealed.label, name)
    return Field(None, cells=tuple(cell for f in source.shape.fields for cell in f.cells))
