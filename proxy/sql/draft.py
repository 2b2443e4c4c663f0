"""A plan in the making: what the analysis of one statement has found so far.

The analysis walks the syntax tree and tells a `Draft` what it learns: edits at token spans, which
literals and parameters are sealed, what is touched. The draft also keeps the accounts: every
identifier token that was *explained* (resolved as a relation, column, alias ...). In the end each
token that spells an interesting relation's name, or the name of a sealed column of a relation in
the statement, must be explained, and no parameter may be used both sealed and unsealed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from sqlglot import exp

from policy import Access
from proxy.catalog import Catalog, Relation, SealedColumn, label, label_parts
from proxy.cells.paths import Operand
from proxy.sql import refusals
from proxy.sql.lexer import Kind, Token
from proxy.sql.parse import position
from proxy.sql.plan import COMPARISONS, Constant, Form, Pattern, Seal, Test, Touch, Use
from proxy.sql.scope import Cell, Field, RowSource, SealedRef, Shape
from proxy.sql.values import TypeName, Value, read_type, word

SYSTEM_SCHEMAS = frozenset({"pg_catalog", "information_schema", "pg_toast"})


@dataclass(frozen=True, slots=True)
class Edit:
    """Replace the text between two offsets; nothing but what is edited lies between them."""

    start: int
    end: int
    text: str


@dataclass(frozen=True, slots=True)
class Mark:
    """A literal or a TRUE or FALSE that is sealed in its place."""

    seal: Seal
    negative: bool = False


@dataclass(slots=True)
class Draft:
    catalog: Catalog
    search_path: tuple[str, ...] | None
    tokens: Sequence[Token]
    """Of one statement; `parse.position` counts in these."""
    edits: dict[Edit, None] = field(default_factory=dict)
    """An ordered set: analysing an expression twice edits it once."""
    marks: dict[int, Mark] = field(default_factory=dict)
    """By token index."""
    parameters: dict[int, Seal] = field(default_factory=dict)
    literal_shaped: bool = False
    """A literal's value decided something: the plan is good for this very text only."""
    deciding: set[int] = field(default_factory=set)
    """Offsets of literals that did: the plan is good for texts that have the same ones there."""
    shapes: dict[tuple[int, object], Shape] = field(default_factory=dict)
    """Queries analysed so far, by id of the node and what they are assigned to."""
    copied: set[str] = field(default_factory=set)
    """Sealed columns that get values which are in the database already."""
    tests: dict[int, dict[Test, None]] = field(default_factory=dict)
    """LIKE on what the result shows, by id of the conjunct: one of each conjunct's has to succeed."""
    _touches: dict[Touch, None] = field(default_factory=dict)
    _explained: set[int] = field(default_factory=set)
    _sealed_parameters: set[int] = field(default_factory=set)
    """Token indexes of parameters in sealed places."""
    _cells: dict[int, SealedRef] = field(default_factory=dict)
    """Cells that are sealed, by id of the node: for which column."""
    _plain_cells: set[int] = field(default_factory=set)
    """Cells that are used as they are."""
    _presence: list[Value] = field(default_factory=list)
    """`$n IS NULL`: right for a sealed value as well as for any other."""
    _names: set[str] = field(default_factory=set)
    """Names of sealed columns of the relations in the statement."""

    @property
    def touches(self) -> tuple[Touch, ...]:
        return tuple(self._touches)

    @property
    def changed(self) -> bool:
        """Something other than the client's own text is sent."""
        return bool(self.edits or self.marks or self.parameters)

    # What the statement names.

    def name(self, identifier: exp.Expr | None) -> str:
        """The name that an identifier in the tree spells, which is thereby explained."""
        if not isinstance(identifier, exp.Identifier):
            raise refusals.not_understood()
        index = position(identifier)
        if index is None or self.tokens[index].value != identifier.this:
            raise refusals.not_understood()
        self._explained.add(index)
        return self.tokens[index].value

    def explain(self, index: int) -> None:
        self._explained.add(index)

    def type_at(self, index: int) -> TypeName | None:
        return read_type(self.tokens, index)

    def relation(self, schema: str | None, name: str) -> RowSource:
        """What a relation's name means on this search_path."""
        found = self._find(schema, name)
        if found is None:
            if name in self.catalog.interesting and schema not in SYSTEM_SCHEMAS:
                raise refusals.unknown_relation(name)
            return RowSource(name, Shape(open=True), schema, relation=True)
        shape = Shape(
            tuple(
                Field(a.name, self._sealed(found, i), domain=True, type_oid=a.type_oid)
                for i, a in enumerate(found.attributes)
            )
        )
        self._names |= {f.name for f in shape.fields if f.sealed is not None and f.name is not None}
        return RowSource(name, shape, found.schema, relation=True)

    def _find(self, schema: str | None, name: str) -> Relation | None:
        if schema is not None:
            return self.catalog.relation(schema, name)
        if self.search_path is not None:
            found = (self.catalog.relation(place, name) for place in self.search_path)
            return next((relation for relation in found if relation is not None), None)
        candidates = self.catalog.named(name)
        if len(candidates) > 1 and name in self.catalog.interesting:
            raise refusals.which_schema(name)
        return candidates[0] if len(candidates) == 1 else None

    def _sealed(self, relation: Relation, index: int) -> SealedRef | None:
        attribute = relation.attributes[index]
        full = label(relation.schema, relation.name, attribute.name)
        declared = self.catalog.sealed.get(full) or self._inherited(relation, attribute.name)
        if declared is not None:
            return SealedRef(declared.label, declared.table, declared, declared.type.name)
        if not attribute.sealed and not attribute.carries_sealed:
            return None
        return SealedRef(full, relation.label, None, attribute.sealed, view=relation.kind == "v")

    def _inherited(self, relation: Relation, name: str) -> SealedColumn | None:
        """The column that a parent declares: its values and those of its children are one set, and
        a row of a partitioned table is its partition's. None too if parents differ about it."""
        found: dict[str, SealedColumn] = {}
        pending, seen = [relation.oid], {relation.oid}
        while pending:
            child = pending.pop()
            for edge in self.catalog.dependencies:
                parent = edge.referenced
                if edge.inheritance and edge.dependent == child and parent not in seen:
                    seen.add(parent)
                    pending.append(parent)
        for parent_relation in self.catalog.relations if len(seen) > 1 else ():
            if parent_relation.oid in seen:
                full = label(parent_relation.schema, parent_relation.name, name)
                column = self.catalog.sealed.get(full)
                if column is not None:
                    found[full] = column
        return next(iter(found.values())) if len(found) == 1 else None

    # What happens to sealed columns.

    def touch(self, ref: SealedRef, access: Access) -> None:
        if ref.column is not None:
            if access is Access.COMPARE and ref.column.incomplete:
                raise refusals.incomplete(ref.label)
            self._touches[Touch(ref.table, ref.label, access)] = None
        elif ref.view and access is Access.PRESENCE:
            for column in self._behind(ref):
                self._touches[Touch(column.table, column.label, access)] = None

    def _behind(self, ref: SealedRef) -> Sequence[SealedColumn]:
        """The declared columns that a view's column may show: those of its name, else all of its type."""
        oids = {relation.oid: relation.label for relation in self.catalog.relations}
        reached = {oid for oid, name in oids.items() if name == ref.table}
        pending = list(reached)
        while pending:
            view = pending.pop()
            below = {d.referenced for d in self.catalog.dependencies if d.dependent == view}
            pending += below - reached
            reached |= below
        tables = {oids[oid] for oid in reached if oid in oids}
        of_type = [
            column
            for column in self.catalog.sealed.values()
            if column.table in tables and ref.type in (None, column.type.name)
        ]
        name = label_parts(ref.label)[-1]
        return [column for column in of_type if column.name == name] or of_type

    def seal(
        self,
        value: Value,
        ref: SealedRef,
        form: Form = Form.VALUE,
        before: str = "",
        after: str = "",
        use: Use = Use.STORED,
        default: str | None = None,
        at: Operand | None = None,
        pattern: Pattern | None = None,
    ) -> None:
        """Seal a value in its place, without the casts, signs and brackets it has in the text."""
        token = self.tokens[value.leaf]
        constant = _CONSTANTS.get(token.kind)
        seal = Seal(ref.label, form, value.cast, use, constant, default, None, pattern, at)
        if value.modified:
            self.literal_shaped = True
        if token.kind is Kind.PARAM:
            self._seal_parameter(int(token.value), seal)
            self._sealed_parameters.add(value.leaf)
        elif token.kind is not Kind.IDENT or token.value != "null":
            known = self.marks.get(value.leaf)
            if known is not None:  # A value of a list that has several uses.
                seal = replace(seal, use=seal.use | known.seal.use)
                if seal != replace(known.seal, use=seal.use):
                    raise refusals.listed_twice(ref.label)
            self.marks[value.leaf] = Mark(seal, value.negative)
        self.replace_around(value, before, after)

    def take(self, value: Value, ref: SealedRef, form: Form) -> None:
        """A parameter that is read and not sent. The text where it stands is for who calls to take out."""
        seal = Seal(ref.label, form, value.cast, Use.COMPARED, default="text")
        self._seal_parameter(int(self.tokens[value.leaf].value), seal)
        self._sealed_parameters.add(value.leaf)

    def replace_around(self, value: Value, before: str, after: str) -> None:
        """Put `before` and `after` around a value's constant in place of what stands there."""
        first, leaf, last = (self.tokens[i] for i in (value.start, value.leaf, value.end - 1))
        self.edit(first.start, leaf.start, before)
        self.edit(leaf.end, last.end, after)

    def edit(self, start: int, end: int, text: str) -> None:
        if start != end or text:
            self.edits[Edit(start, end, text)] = None

    def presence(self, value: Value) -> None:
        self._presence.append(value)

    def _seal_parameter(self, number: int, seal: Seal) -> None:
        if number < 1:
            raise refusals.no_such_parameter(number)
        known = self.parameters.get(number, seal)
        if known.column != seal.column and self._same_terms(known, seal):
            seal = replace(seal, column=known.column)
        if known.cast is None or seal.cast is None:
            cast = known.cast or seal.cast
            known, seal = replace(known, cast=cast), replace(seal, cast=cast)
        default = known.default or seal.default
        known, seal = replace(known, default=default), replace(seal, default=default)
        use = known.use | seal.use
        mixed = seal.form is Form.TERMS and known.use != seal.use
        mixed = mixed and not self._all_ordered(seal.column, use)
        known, seal = replace(known, use=use), replace(seal, use=use)
        if known != seal or mixed:
            raise refusals.parameter_conflict(number)
        self.parameters[number] = seal

    def _all_ordered(self, column: str, use: Use) -> bool:
        """An item of an array is one term, and that of an order alone serves `=` and `<`."""
        by = self.catalog.sealed[column].search.equality_function
        return by == "ord" and not use & ~_EQUAL_OR_LESS

    def _same_terms(self, one: Seal, other: Seal) -> bool:
        """Both are compared only, with columns of one type whose terms are alike."""
        if (one.use | other.use) & ~COMPARISONS:
            return False
        first, second = (self.catalog.sealed.get(seal.column) for seal in (one, other))
        if first is None or second is None or not first.comparable_with(second):
            return False
        return first.type.name == second.type.name

    def seal_cells(self, cells: Sequence[Cell], ref: SealedRef) -> None:
        """The cells are sealed for `ref`, in every use."""
        for cell in cells:
            if self._cells.setdefault(id(cell.node), ref).label != ref.label:
                raise refusals.listed_twice(ref.label)

    def sealed_cell(self, cell: Cell) -> SealedRef | None:
        """For which column a cell is sealed so far."""
        return self._cells.get(id(cell.node))

    def use_cells(self, cells: Sequence[Cell]) -> None:
        """The cells are used as they are."""
        self._plain_cells.update(id(cell.node) for cell in cells)

    # The accounts.

    def settle(self) -> None:
        """Raises Refused if something is left that the analysis did not see."""
        for cell in self._plain_cells & self._cells.keys():
            raise refusals.listed_twice(self._cells[cell].label)
        for value in self._presence:
            number = int(self.tokens[value.leaf].value)
            if number in self.parameters and value.leaf not in self._sealed_parameters:
                form = self.parameters[number].form
                self._sealed_parameters.add(value.leaf)
                self.replace_around(value, "", f"::{form.sql_type}")
        self._explain_types()
        for index, token in enumerate(self.tokens):
            if token.kind is Kind.PARAM:
                if int(token.value) in self.parameters and index not in self._sealed_parameters:
                    raise refusals.parameter_conflict(int(token.value))
            elif token.kind is Kind.IDENT or token.kind is Kind.QUOTED_IDENT:
                protected = token.value in self.catalog.interesting or token.value in self._names
                if protected and index not in self._explained:
                    raise refusals.unexplained(token.value)

    def _explain_types(self) -> None:
        """`::date`, `AS date)` and `date '...'`: types, though a sealed column may have the name."""
        for index, token in enumerate(self.tokens):
            if token.text == "::" or word(self.tokens, index) == "as":
                found = read_type(self.tokens, index + 1)
                closed = (
                    found and found.end < len(self.tokens) and self.tokens[found.end].text == ")"
                )
                if found is not None and (closed or token.text == "::"):
                    self._explain_type(range(index + 1, found.end))
            elif token.kind is Kind.STRING and index:
                self._explain_type(range(index - 1, index))

    def _explain_type(self, indexes: range) -> None:
        names = (i for i in indexes if self.tokens[i].value not in self.catalog.interesting)
        self._explained.update(names)


_EQUAL_OR_LESS: Final = Use.COMPARED | Use.ORDERED

# TRUE and FALSE are identifiers to the scanner.
_CONSTANTS: Final = {Kind.NUMBER: Constant.NUMBER, Kind.IDENT: Constant.BOOLEAN}
