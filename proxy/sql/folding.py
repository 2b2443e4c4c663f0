"""`lower(email) = lower($1)`: compared by case-folded terms, where the column has them.

`lower(column)` and `lower(value)` become the term of what is in the brackets. A value without lower() around it is
sealed as one that equals what lower() gives only if it is in lower case itself, as on the server.
"""

from __future__ import annotations

from sqlglot import exp

from proxy.sql import capability, refusals
from proxy.sql.columns import Span, bare, column_span, function_span, sealed_column
from proxy.sql.draft import Draft
from proxy.sql.plan import Use
from proxy.sql.scope import Scope, SealedRef
from proxy.sql.tree import keyword, place_of, text_at, unbracketed
from proxy.sql.values import Value, chain, locate, word


def column(draft: Draft, scope: Scope, node: exp.Expr) -> SealedRef | None:
    """The sealed column in `lower(column)`."""
    argument = _lowered(draft, node)
    return sealed_column(draft, scope, argument) if argument is not None else None


def term(draft: Draft, scope: Scope, ref: SealedRef, node: exp.Expr) -> tuple[int, int]:
    """One side of a comparison with `lower(ref)` becomes a case-folded term; returns the tokens where it stood."""
    argument = _lowered(draft, node)
    if argument is None:
        value = _value(draft, ref, node)
        _seal(draft, ref, value, capability.FOLDED.opening, ")", Use.FOLDED_EXACT)
        return value.start, value.end
    if chain(argument) is not None:
        value = _value(draft, ref, argument)
        _seal(draft, ref, value, "", "", Use.FOLDED)
        inner = Span(value.start, value.end)
    else:
        other = sealed_column(draft, scope, argument)
        if other is None:
            raise refusals.not_comparable(ref.label)
        capability.require_comparable(draft, ref, other)
        inner = Span(*column_span(draft, argument))
    name = place_of(unbracketed(node))
    if inner.start != name + 2 or text_at(draft, name + 1) != "(":
        raise refusals.not_understood("lower()")
    draft.explain(name)
    token = draft.tokens[name]
    draft.edit(token.start, token.end, capability.FOLDED.opening.removesuffix("("))
    span = function_span(draft, node, inner)
    return span.start, span.end


def _lowered(draft: Draft, node: exp.Expr) -> exp.Expr | None:
    """What is in the brackets of lower()."""
    call = unbracketed(node)
    if not isinstance(call, exp.Anonymous) or len(call.expressions) != 1:
        return None
    argument: exp.Expr = call.expressions[0]
    if keyword(draft, call) != "lower" or not isinstance(bare(argument), (exp.Column, *_VALUES)):
        return None
    return argument


_VALUES = (exp.Literal, exp.Parameter, exp.Null)


def _value(draft: Draft, ref: SealedRef, node: exp.Expr) -> Value:
    found = chain(node)
    if found is None:
        raise refusals.not_comparable(ref.label)
    value = locate(draft.tokens, found)
    if value is None:
        raise refusals.odd_cast(ref.label)
    return value


def _seal(draft: Draft, ref: SealedRef, value: Value, before: str, after: str, use: Use) -> None:
    if word(draft.tokens, value.leaf) == "null":
        draft.replace_around(value, "", "::bytea")
    else:
        draft.seal(value, ref, before=before, after=after, use=use)
