"""CASE, COALESCE and subqueries on one side of a comparison: the term of whatever value they give.

    coalesce(born, '2000-01-01') < $1    sealgate.ord(coalesce(born, ...)) < sealgate.ord($1)

What they may give is sealed values: of columns whose terms are alike, and of the values that stand in the text.
"""

from __future__ import annotations

from sqlglot import exp

from proxy.sql import assignment, refusals, resolve, subqueries
from proxy.sql.columns import Span, sealed_column, with_brackets
from proxy.sql.commands import closing
from proxy.sql.draft import Draft
from proxy.sql.parse import position
from proxy.sql.scope import Scope, SealedRef
from proxy.sql.tree import case_branches, place_of, text_at, unbracketed
from proxy.sql.values import word


def column(draft: Draft, scope: Scope, node: exp.Expr) -> SealedRef | None:
    """One of the sealed columns whose values an operand may give."""
    inner = unbracketed(node)
    if isinstance(inner, exp.Subquery):
        shape = resolve.query(draft, scope, inner)
        return shape.sealed if len(shape.fields) == 1 and not shape.open else None
    branches: list[exp.Expr] = []
    if isinstance(inner, exp.Case):
        branches = case_branches(inner)
    elif assignment.is_coalesce(draft, inner):
        branches = inner.expressions
    found = (sealed_column(draft, scope, b) or column(draft, scope, b) for b in branches)
    return next((ref for ref in found if ref is not None), None)


def span(draft: Draft, node: exp.Expr) -> Span | None:
    """The tokens of CASE, COALESCE or a subquery with the brackets around it; None for anything else."""
    inner = unbracketed(node)
    if isinstance(inner, exp.Case):
        own = _case(draft, inner)
    elif assignment.is_coalesce(draft, inner):
        start = place_of(inner)
        if text_at(draft, start + 1) != "(":
            raise refusals.not_understood("COALESCE")
        own = Span(start, closing(draft.tokens, start + 1) + 1)
    elif isinstance(inner, exp.Subquery) and isinstance(inner.this, exp.Select):
        opening, end = subqueries.brackets(draft, inner, frozenset())
        own = Span(opening, end + 1)
    else:
        return None
    return with_brackets(draft, node, own)


def _case(draft: Draft, node: exp.Expr) -> Span:
    """From CASE to its END: the nearest around all of it that holds as many as the tree does."""
    places = [place for part in node.walk() if (place := position(part)) is not None]
    cases = sum(isinstance(part, exp.Case) for part in node.walk())
    for start in range(min(places, default=0) - 1, -1, -1):
        if word(draft.tokens, start) != "case":
            continue
        end = _end(draft, start)
        held = sum(word(draft.tokens, at) == "case" for at in range(start, end))
        if held == cases and end > max(places):
            return Span(start, end)
    raise refusals.not_understood("CASE")


def _end(draft: Draft, start: int) -> int:
    """Behind the END of the CASE at `start`."""
    depth = 0
    for at in range(start, len(draft.tokens)):
        depth += (word(draft.tokens, at) == "case") - (word(draft.tokens, at) == "end")
        if depth == 0:
            return at + 1
    raise refusals.not_understood("CASE")
