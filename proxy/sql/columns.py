"""References to columns: which one it is, and where it stands."""

from __future__ import annotations

from sqlglot import exp

from proxy.sql import refusals
from proxy.sql.draft import Draft
from proxy.sql.lexer import Kind
from proxy.sql.parse import position
from proxy.sql.scope import PLAIN, Field, Scope, SealedRef
from proxy.sql.tree import text_at, unbracketed
from proxy.sql.values import RESERVED


def column(draft: Draft, scope: Scope, node: exp.Column) -> Field:
    """The column that a reference means; refuses references to whole rows with sealed columns."""
    if isinstance(node.this, exp.Star):
        source = scope.source(_part(draft, node, "db"), draft.name(node.args["table"]))
        if source.shape.sealed is not None:
            raise refusals.whole_row(source.shape.sealed.label, f"{source.name}.*")
        return PLAIN
    if node.args.get("catalog") is not None:
        catalog = draft.name(node.args["catalog"])
        if catalog != draft.catalog.database:
            raise refusals.unknown_qualifier()
    field = field_of(draft, scope, node)
    draft.use_cells(field.cells)
    return field


def field_of(draft: Draft, scope: Scope, node: exp.Column) -> Field:
    name = draft.name(node.this)
    if node.args.get("table") is None:
        quoted = node.this.args.get("quoted")
        return (
            PLAIN
            if name in RESERVED and not quoted and _reserved(draft, node.this)
            else scope.column(name)
        )
    return scope.qualified(_part(draft, node, "db"), draft.name(node.args["table"]), name)


def _reserved(draft: Draft, identifier: exp.Expr) -> bool:
    """`default`, `user`: the tree calls some keywords columns."""
    index = position(identifier)
    return index is not None and draft.tokens[index].kind is Kind.IDENT


def _part(draft: Draft, node: exp.Expr, key: str) -> str | None:
    part = node.args.get(key)
    return draft.name(part) if part is not None else None


def sealed_column(draft: Draft, scope: Scope, node: exp.Expr) -> SealedRef | None:
    """The sealed column that an operand is, brackets aside."""
    node = unbracketed(node)
    if isinstance(node, exp.Column) and not isinstance(node.this, exp.Star):
        return column(draft, scope, node).sealed
    return None


def column_tokens(draft: Draft, node: exp.Expr) -> tuple[int, int]:
    """Tokens [start, end) of a column reference."""
    parts = [node.args.get(key) for key in ("catalog", "db", "table", "this")]
    places = [position(part) for part in parts if part is not None]
    first, last = places[0], places[-1]
    if first is None or last is None or last - first != 2 * (len(places) - 1):
        raise refusals.not_understood()
    return first, last + 1


def column_span(draft: Draft, node: exp.Expr) -> tuple[int, int]:
    """Tokens [start, end) of a column reference with its brackets."""
    start, end = column_tokens(draft, unbracketed(node))
    while isinstance(node, exp.Paren):
        start, end = start - 1, end + 1
        if start < 0 or draft.tokens[start].text != "(" or text_at(draft, end - 1) != ")":
            raise refusals.not_understood()
        node = node.this
    return start, end
