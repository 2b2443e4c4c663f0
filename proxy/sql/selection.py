"""The columns of a result, as the other clauses of its query refer to them: by name, by number, all of them.

Where such a clause needs the term of a sealed column, the reference is replaced by the column's own text: ORDER BY 2
becomes ORDER BY sealgate.ord(birth). That can be done for what stands in the select list without a constant; a value
of the client's has one place in the text.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from sqlglot import exp

from proxy.sql import extremes, refusals
from proxy.sql.columns import bare, column_span, resolved, spelled, with_modifier
from proxy.sql.draft import Draft
from proxy.sql.lexer import Kind
from proxy.sql.parse import position
from proxy.sql.scope import Field, RowSource, Scope, SealedRef, Shape
from proxy.sql.tree import only, text_at, unbracketed
from proxy.sql.values import word


@dataclass(frozen=True, slots=True)
class Item:
    """One column of a result."""

    field: Field
    node: exp.Expr | None = None
    """Its expression, without AS; None: one of the columns that a * stands for."""
    column: Field | None = None
    """Of a *, the column of FROM."""
    written: str | None = None
    """How that column is written by itself, if it can be."""
    at: int | None = None
    """The token of that *."""


@dataclass(slots=True)
class Result:
    """The select list as analysed."""

    items: list[Item] = field(default_factory=list)
    open: bool = False

    @property
    def sealed(self) -> SealedRef | None:
        """One of the sealed columns it carries, for a message."""
        return next((item.field.sealed for item in self.items if item.field.sealed), None)

    @property
    def shape(self) -> Shape:
        """What is seen of it from outside, where nothing is a column of this FROM or of its groups."""
        return Shape(tuple(_outside(item.field) for item in self.items), self.open)

    def named(self, name: str) -> list[int]:
        """Places of the columns that have this name, and of sealed ones of which no name is known."""
        return [
            place
            for place, item in enumerate(self.items)
            if item.field.name == name
            or (item.field.name is None and item.field.sealed is not None)
        ]


def _outside(column: Field) -> Field:
    if column.grouped is None and column.qualified is None:
        return column
    ref = column.sealed
    if ref is not None and column.grouped is not None:
        ref = with_modifier(ref)
    return replace(column, sealed=ref, qualified=None, grouped=None)


def text(draft: Draft, scope: Scope, item: Item) -> str | None:
    """A column of the result as an expression of the same query; None: there is no such text."""
    if item.node is None:
        return _of_group(item)
    inner = bare(item.node)
    if isinstance(inner, exp.Column):
        return spelled(draft, scope, inner)
    if not isinstance(inner, exp.Window) and not extremes.is_extreme(inner):
        return None
    return _copied(draft, *column_span(draft, item.node))


def _of_group(item: Item) -> str | None:
    grouped = item.column.grouped if item.column is not None else None
    if item.written is None or grouped is None:
        return item.written
    return grouped.format(item.written)


def _copied(draft: Draft, start: int, end: int) -> str | None:
    """The text of tokens [start, end) as it is sent; None if a constant is in it."""
    tokens = draft.tokens
    if any(t.kind in (Kind.STRING, Kind.NUMBER) for t in tokens[start:end]) or any(
        index in draft.marks for index in range(start, end)
    ):
        return None
    first, last = tokens[start].start, tokens[end - 1].end
    pieces = [
        (one.start, one.end, one.text)
        for one in draft.edits
        if first <= one.start and one.end <= last and one.start < last
    ]
    edited = tuple(pieces)
    for index in range(start, end):
        token = tokens[index]
        gap = index + 1 < end and token.end < tokens[index + 1].start
        if not any(at <= token.start and token.end <= to and at < to for at, to, _ in edited):
            pieces.append((token.start, token.end, token.text))
        if gap and not any(at <= token.end and to > token.end for at, to, _ in edited):
            pieces.append((token.end, token.end, " "))
    return "".join(text for _, _, text in sorted(pieces, key=lambda piece: piece[:2]))


def column_of(draft: Draft, scope: Scope, item: Item) -> Field | None:
    """The column that an item is, casts aside. Two references mean the same one if this is one object."""
    if item.node is None:
        return item.column
    inner = bare(item.node)
    if not isinstance(inner, exp.Column) or isinstance(inner.this, exp.Star):
        return None
    return resolved(draft, scope, inner)


def ordinal(draft: Draft, node: exp.Expr) -> int | None:
    """The number that `ORDER BY 2` and `GROUP BY (2)` are; -1 for one that is no place for certain."""
    node = unbracketed(node)
    index = position(node) if isinstance(node, exp.Literal) else None
    if index is None or draft.tokens[index].kind is not Kind.NUMBER:
        return None
    number = draft.tokens[index].value
    return int(number) if number.isdigit() and len(number) < 5 else -1


def outline(draft: Draft, scope: Scope, nodes: list[exp.Expr]) -> Result:
    """The select list before it is analysed: of expressions nothing but their names."""
    result = Result()
    for node in nodes:
        columns = star(draft, scope, node)
        if columns is None:
            inner = node.this if isinstance(node, exp.Alias) else node
            result.items.append(Item(Field(output_name(draft, node)), inner))
        else:
            result.items.extend(columns.items)
            result.open |= columns.open
    return result


def star(draft: Draft, scope: Scope, node: exp.Expr) -> Result | None:
    """The columns that `*` or `t.*` stands for; None for anything else."""
    if isinstance(node, exp.Star):
        only(node)
        place = position(node)
        return Result([_visible(scope, one, place) for one in scope.visible], scope.open)
    if isinstance(node, exp.Column) and isinstance(node.this, exp.Star):
        only(node.this)
        only(node, "this", "table", "db")
        schema = node.args.get("db")
        named_schema = draft.name(schema) if schema is not None else None
        source = scope.source(named_schema, draft.name(node.args["table"]))
        place = position(node.this)
        columns = source.shape.fields
        return Result([_of(scope, source, one, place) for one in columns], source.shape.open)
    return None


def _visible(scope: Scope, column: Field, place: int | None) -> Item:
    if column.qualified is not None:
        return Item(column, None, column, column.qualified, place)
    for source in scope.sources:
        if any(one is column for one in source.shape.fields):
            return _of(scope, source, column, place)
    # Of USING: the one of its name.
    alone = [one.name for one in scope.visible].count(column.name) == 1 and not scope.open
    written = quoted(column.name) if alone and column.name is not None else None
    return Item(column, None, column, written, place)


def _of(scope: Scope, source: RowSource, column: Field, place: int | None) -> Item:
    written = None
    # A name that two schemas' tables have in one FROM is no name for either.
    others = any(s.name == source.name and s is not source for s in scope.sources)
    alone = [one.name for one in source.shape.fields].count(column.name) == 1
    if alone and not others and column.name is not None and source.name is not None:
        written = f"{quoted(source.name)}.{quoted(column.name)}"
    return Item(column, None, column, written, place)


def write_out(draft: Draft, node: exp.Expr, starred: Result) -> None:
    """`*` and `t.*` where a column is no longer what it stands for: of a group, or merged by USING."""
    columns = [item.column for item in starred.items]
    if not any(c is not None and (c.grouped or c.qualified) for c in columns):
        return
    parts = []
    for item in starred.items:
        written = _of_group(item)
        if written is None or starred.open:
            raise refusals.not_understood("*")
        grouped = item.column is not None and item.column.grouped is not None
        parts.append(f"{written} AS {quoted(item.field.name or '')}" if grouped else written)
    names = [node.args.get(key) for key in ("db", "table")] if node.args.get("table") else [node]
    first = next(
        (place for n in names if n is not None and (place := position(n)) is not None), None
    )
    last = starred.items[0].at
    if first is None or last is None:
        raise refusals.not_understood("*")
    draft.edit(draft.tokens[first].start, draft.tokens[last].end, ", ".join(parts))


def quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def output_name(draft: Draft, node: exp.Expr) -> str | None:
    """The name of a result column."""
    return draft.name(node.args["alias"]) if isinstance(node, exp.Alias) else figured_name(node)


def figured_name(node: exp.Expr) -> str | None:
    """The name PostgreSQL gives a column without AS (FigureColname), where that is simple."""
    node = unbracketed(node)
    if isinstance(node, exp.Cast):
        return figured_name(node.this)
    if isinstance(node, exp.Case):
        default = node.args.get("default")
        found = figured_name(default) if default is not None else None
        return found or "case"
    if isinstance(node, exp.Column):
        return node.name
    if isinstance(node, exp.Subquery) and isinstance(node.this, exp.Select):
        first = node.this.expressions[0] if node.this.expressions else node.this
        return first.alias if isinstance(first, exp.Alias) else figured_name(first)
    if isinstance(node, (exp.Filter, exp.Window)):
        return figured_name(node.this)
    if isinstance(node, exp.Anonymous) and node.name not in ("operator", ""):
        return node.name
    return None


def reference(draft: Draft, scope: Scope, result: Result, name: str) -> int | None:
    """The place of the column that an output name means; None: no column has the name.

    Raises Refused where a sealed one may be meant and it is not certain which.
    """
    places = result.named(name)
    certain = [place for place in places if result.items[place].field.name == name]
    if any(result.items[place].field.sealed for place in places) and len(places) > 1:
        columns = [column_of(draft, scope, result.items[place]) for place in places]
        if columns[0] is None or any(one is not columns[0] for one in columns):
            raise refusals.ambiguous_column(name)
    elif places and not certain:
        raise refusals.ambiguous_column(name)
    return certain[0] if certain else None


def keep_name(draft: Draft, scope: Scope, node: exp.Expr) -> None:
    """A result column without AS that has the name of a column which is now one of a group: it keeps the name."""
    column = _naming(node)
    if column is None or resolved(draft, scope, column).grouped is None:
        return
    end = draft.tokens[_end(draft, node) - 1].end
    draft.edit(end, end, f" AS {quoted(column.name)}")


def _naming(node: exp.Expr) -> exp.Column | None:
    """The column after which a result column is called (FigureColname)."""
    inner = bare(node)
    if isinstance(inner, exp.Case):
        default = inner.args.get("default")
        return _naming(default) if default is not None else None
    if not isinstance(inner, exp.Column) or isinstance(inner.this, exp.Star):
        return None
    return inner


def _end(draft: Draft, node: exp.Expr) -> int:
    """The token behind such a result column."""
    inner = unbracketed(node)
    brackets = 0
    while node is not inner:
        node, brackets = node.this, brackets + 1
    if not isinstance(inner, exp.Case):
        return column_span(draft, node)[1] + brackets
    end = _end(draft, inner.args["default"])
    if word(draft.tokens, end) != "end":
        raise refusals.not_understood("CASE")
    end += 1
    if any(text_at(draft, at) != ")" for at in range(end, end + brackets)):
        raise refusals.not_understood("CASE")
    return end + brackets
