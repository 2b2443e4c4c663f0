"""References to columns: which one it is, and where it stands."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from sqlglot import exp

from proxy.cells import TypeSpecError, logical_type, sql_name
from proxy.sql import extremes, refusals
from proxy.sql.draft import Draft
from proxy.sql.lexer import Kind
from proxy.sql.parse import position
from proxy.sql.scope import PLAIN, Cell, Field, RowSource, Scope, SealedRef
from proxy.sql.tree import text_at, unbracketed
from proxy.sql.values import RESERVED, TypeName, word


def column(draft: Draft, scope: Scope, node: exp.Column) -> Field:
    """The column that a reference means; refuses references to whole rows with sealed columns."""
    if isinstance(node.this, exp.Star):
        source = scope.source(_part(draft, node, "db"), draft.name(node.args["table"]))
        if source.shape.sealed is not None:
            raise refusals.whole_row(source.shape.sealed.label, f"{source.name}.*")
        for listed_column in source.shape.fields:
            draft.use_cells(listed_column.cells)
        return PLAIN
    field = field_of(draft, scope, node)
    draft.use_cells(field.cells)
    return field


def field_of(draft: Draft, scope: Scope, node: exp.Column) -> Field:
    """The column that a reference means; the reference becomes what it has to be for the server to see the same."""
    field = resolved(draft, scope, node)
    text = _rewritten(draft, scope, node, field)
    if text is not None:
        start, end = column_tokens(draft, node)
        draft.edit(draft.tokens[start].start, draft.tokens[end - 1].end, text)
    return field


def resolved(draft: Draft, scope: Scope, node: exp.Column) -> Field:
    """The column that a reference means."""
    if node.args.get("catalog") is not None:
        catalog = draft.name(node.args["catalog"])
        if catalog != draft.catalog.database:
            raise refusals.unknown_qualifier()
    name = draft.name(node.this)
    if node.args.get("table") is not None:
        return scope.qualified(_part(draft, node, "db"), draft.name(node.args["table"]), name)
    if name in RESERVED and not node.this.args.get("quoted") and _reserved(draft, node.this):
        return PLAIN
    return scope.column(name)


def _rewritten(draft: Draft, scope: Scope, node: exp.Column, field: Field) -> str | None:
    """What a reference becomes; None: it stays as it is."""
    text = None
    if field.qualified is not None and node.args.get("table") is None:
        _check_reach(scope, field)
        text = field.qualified
    if field.grouped is not None:
        text = field.grouped.format(text or _written(draft, node))
    return text


def _written(draft: Draft, node: exp.Column) -> str:
    start, end = column_tokens(draft, node)
    return "".join(token.text for token in draft.tokens[start:end])


def _check_reach(scope: Scope, field: Field) -> None:
    """The name of the row source means the same here as where the column was found."""
    for level in scope.levels():
        found = any(one is field for one in level.visible)
        of = [source for source in level.sources if source.name == field.of]
        if found and len(of) == 1:
            return
        if found or of:
            break
    raise refusals.not_understood("a column of USING")


def _reserved(draft: Draft, identifier: exp.Expr) -> bool:
    """`default`, `user`: the tree calls some keywords columns."""
    index = position(identifier)
    return index is not None and draft.tokens[index].kind is Kind.IDENT


def _part(draft: Draft, node: exp.Expr, key: str) -> str | None:
    part = node.args.get(key)
    return draft.name(part) if part is not None else None


def sealed_column(draft: Draft, scope: Scope, node: exp.Expr) -> SealedRef | None:
    """The sealed column that an operand is, or whose min() or max() it is, brackets aside.

    Casts that leave its values what they are (`email::text`, as object mappers write them) are taken
    out of the text: what the server has there is no text. The type they give shows in the result.
    """
    inner = bare(node)
    if isinstance(inner, extremes.CALLS):
        ref = extremes.carried(draft, scope, inner)
    elif not isinstance(inner, exp.Column) or isinstance(inner.this, exp.Star):
        return None
    else:
        field = field_of(draft, scope, inner)
        ref = field.sealed
        if ref is not None and field.grouped is not None:
            ref = with_modifier(ref)
    if ref is None or inner is unbracketed(node):
        return ref
    span = Span(*column_tokens(draft, inner))
    for layer in reversed(_layers(node)):
        if isinstance(layer, exp.Cast):
            span, ref = _without_cast(draft, span, ref)
        else:
            span = _around(draft, span)
    return ref


def bare(node: exp.Expr) -> exp.Expr:
    """Without brackets and casts."""
    while type(node) is exp.Paren or type(node) is exp.Cast:
        node = node.this
    return node


def _layers(node: exp.Expr) -> list[exp.Expr]:
    """Brackets and casts around an operand, the outermost first."""
    layers: list[exp.Expr] = []
    while type(node) is exp.Paren or type(node) is exp.Cast:
        layers.append(node)
        node = node.this
    return layers


@dataclass(frozen=True, slots=True)
class Span:
    """Tokens [start, end)."""

    start: int
    end: int


def _around(draft: Draft, inner: Span) -> Span:
    span = Span(inner.start - 1, inner.end + 1)
    if text_at(draft, span.start) != "(" or text_at(draft, inner.end) != ")":
        raise refusals.not_understood()
    return span


def cast_around(draft: Draft, inner: Span) -> tuple[Span, TypeName]:
    """The cast with `inner` in it, and its type: `inner::type` or `CAST(inner AS type)`."""
    found = draft.type_at(inner.end + 1)
    if found is not None and text_at(draft, inner.end) == "::":
        return Span(inner.start, found.end), found
    span = Span(inner.start - 2, found.end + 1 if found is not None else 0)
    words = (word(draft.tokens, span.start), word(draft.tokens, inner.end))
    brackets = text_at(draft, inner.start - 1) + text_at(draft, span.end - 1)
    if found is None or words != ("cast", "as") or brackets != "()":
        raise refusals.not_understood("a cast")
    return span, found


def function_span(draft: Draft, node: exp.Expr, argument: Span) -> Span:
    """Tokens of a call with one argument, with the brackets around it."""
    span = _around(draft, argument)
    return with_brackets(draft, node, Span(span.start - 1, span.end))


def with_brackets(draft: Draft, node: exp.Expr, span: Span) -> Span:
    """`span` is what stands inside the brackets of `node`."""
    while type(node) is exp.Paren:
        span = _around(draft, span)
        node = node.this
    return span


def _without_cast(draft: Draft, inner: Span, ref: SealedRef) -> tuple[Span, SealedRef]:
    span, found = cast_around(draft, inner)
    shown = shown_as(ref, found.name)
    if shown is None:
        raise refusals.misuse(ref.label, "under a cast")
    take_off(draft, inner, span)
    return span, shown


def take_off(draft: Draft, inner: Span, span: Span) -> None:
    """Takes out of the text what `span` has around `inner`."""
    tokens = draft.tokens
    draft.edit(tokens[span.start].start, tokens[inner.start].start, "")
    draft.edit(tokens[inner.end - 1].end, tokens[span.end - 1].end, "")


_TEXT: Final = frozenset({"text", "varchar"})


def shown_as(ref: SealedRef, name: str) -> SealedRef | None:
    """The column as a cast shows it; None: the cast makes other values of it."""
    try:
        given = logical_type(name)
    except TypeSpecError:
        return None
    same = given.name == ref.type or {given.name, ref.type} <= _TEXT
    if not same or given.modifier != -1:
        return None
    own = ref.column.type if ref.column is not None else None
    is_own = own is not None and (own.name, own.modifier) == (given.name, -1)
    return replace(ref, shown=None if is_own else given.name)


def sealed_row(draft: Draft, scope: Scope, node: exp.Expr) -> RowSource | None:
    """A row source with sealed columns that is referred to as a whole: `c`, `c.*`."""
    inner = unbracketed(node)
    if not isinstance(inner, exp.Column) or inner.args.get("catalog") is not None:
        return None
    if isinstance(inner.this, exp.Star):
        source = scope.source(_part(draft, inner, "db"), draft.name(inner.args["table"]))
    elif inner.args.get("table") is not None or draft.name(inner.this) in RESERVED:
        return None
    else:
        found = scope.row(draft.name(inner.this))
        if found is None:
            return None
        source = found
    return source if source.shape.sealed is not None else None


# The server tells the origin of plain columns only; of others the plan says which type they have.


def type_of(ref: SealedRef) -> str | None:
    """The type that a client sees, with its modifier."""
    if ref.shown is not None or ref.column is None:
        return ref.shown or ref.type
    return sql_name(ref.column.type)


def with_modifier(ref: SealedRef) -> SealedRef:
    """A result of this type, whose origin the server does not tell."""
    shown = type_of(ref)
    return replace(ref, shown=shown if shown is not None and "(" in shown else ref.shown)


def without_modifier(ref: SealedRef) -> SealedRef:
    """A result of several types of one kind: the first of them, of any length."""
    shown = type_of(ref)
    return replace(ref, shown=logical_type(shown).name) if shown is not None else ref


def listed(draft: Draft, scope: Scope, node: exp.Expr) -> tuple[Cell, ...]:
    """The values of a column that lists them, as a reference to it."""
    inner = unbracketed(node)
    if not isinstance(inner, exp.Column) or isinstance(inner.this, exp.Star):
        return ()
    field = field_of(draft, scope, inner)
    return field.cells if field.sealed is None and field.name is not None else ()


def spelled(draft: Draft, scope: Scope, node: exp.Column) -> str:
    """A column reference as the server is to read it."""
    field = resolved(draft, scope, node)
    return _rewritten(draft, scope, node, field) or _written(draft, node)


def column_tokens(draft: Draft, node: exp.Expr) -> tuple[int, int]:
    """Tokens [start, end) of a column reference, or of a call."""
    if isinstance(node, extremes.CALLS):
        return extremes.span(draft, node)
    parts = [node.args.get(key) for key in ("catalog", "db", "table", "this")]
    places = [position(part) for part in parts if part is not None]
    first, last = places[0], places[-1]
    if first is None or last is None or last - first != 2 * (len(places) - 1):
        raise refusals.not_understood()
    return first, last + 1


def column_span(draft: Draft, node: exp.Expr) -> tuple[int, int]:
    """Tokens [start, end) of a column reference or call with its brackets and casts."""
    span = Span(*column_tokens(draft, bare(node)))
    for layer in reversed(_layers(node)):
        if isinstance(layer, exp.Cast):
            span, _ = cast_around(draft, span)
        else:
            span = _around(draft, span)
    return span.start, span.end
