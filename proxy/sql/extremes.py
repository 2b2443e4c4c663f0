"""min() and max() of a sealed column: the sealed value whose order term is first, or last.

    min(birth)                               sealgate.min(birth)
    max(birth) FILTER (WHERE id > 1)         sealgate.max(birth) FILTER (WHERE id > 1)
    min(birth) OVER (PARTITION BY city)      sealgate.min(birth) OVER (PARTITION BY city)

The result is a value of the column: it is read, compared and sorted as the column itself is.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from sqlglot import exp

from proxy.catalog import SCHEMA
from proxy.sql import capability, columns, expressions, refusals
from proxy.sql.commands import closing
from proxy.sql.draft import Draft
from proxy.sql.scope import Scope, SealedRef
from proxy.sql.tree import place_of, text_at
from proxy.sql.values import word

CALLS: Final = (exp.Anonymous, exp.Filter, exp.Window)
_EXTREMES: Final = frozenset({"min", "max"})


def carried(draft: Draft, scope: Scope, node: exp.Expr) -> SealedRef | None:
    """The sealed column whose least or greatest value an expression, without brackets and casts, is."""
    if not is_extreme(node):
        return None
    call, over = _call(node), isinstance(node, exp.Window)
    # Of a window function the arguments are of groups, as its partition is.
    inside = scope if over else scope.rows
    ref = columns.sealed_column(draft, inside, call.expressions[0])
    if ref is None:
        return None
    capability.order(draft, ref)
    if expressions.function_name(draft, call) is None:
        raise refusals.not_understood(f"{call.name}()")
    name = draft.tokens[place_of(call)]
    draft.edit(name.start, name.end, f"{SCHEMA}.{call.name}")
    part = node
    while isinstance(part, (exp.Window, exp.Filter)):
        if isinstance(part, exp.Window):
            expressions.over(draft, scope, part)
        else:
            expressions.walk(draft, inside, part.expression, "as a condition")
        part = part.this
    span(draft, node)
    # The aggregate is one of text, and knows no length.
    return replace(ref, shown="text") if ref.type == "varchar" else columns.without_modifier(ref)


def is_extreme(node: exp.Expr) -> bool:
    """`min(x)`, with FILTER and OVER or without; what x is does not show."""
    call = _call(node)
    return (
        isinstance(call, exp.Anonymous)
        and call.name in _EXTREMES
        and len(call.expressions) == 1
        and not isinstance(call.parent, exp.Dot)
        and isinstance(columns.bare(call.expressions[0]), (exp.Column, *CALLS))
    )


def _call(node: exp.Expr) -> exp.Expr:
    while isinstance(node, (exp.Window, exp.Filter)):
        node = node.this
    return node


def span(draft: Draft, node: exp.Expr) -> tuple[int, int]:
    """Tokens [start, end) of a call with the FILTER and OVER behind it."""
    if isinstance(node, exp.Filter):
        start, end = span(draft, node.this)
        return start, _bracketed(draft, end, "filter")
    if isinstance(node, exp.Window):
        start, end = span(draft, node.this)
        if word(draft.tokens, end) == "over" and text_at(draft, end + 1) != "(":
            return start, end + 2
        return start, _bracketed(draft, end, "over")
    start = place_of(node)
    return start, _bracketed(draft, start, text_at(draft, start).lower())


def _bracketed(draft: Draft, at: int, name: str) -> int:
    """Behind the bracket that closes `name (`."""
    if at < 0 or text_at(draft, at).lower() != name or text_at(draft, at + 1) != "(":
        raise refusals.not_understood("an expression")
    return closing(draft.tokens, at + 1) + 1
