"""Arrays of values beside a sealed column: what `= ANY (...)` and `< ALL (...)` compare it with, and what unnest() lists."""

from __future__ import annotations

from dataclasses import replace

from sqlglot import exp

from proxy.sql import assignment, common, refusals
from proxy.sql.capability import By
from proxy.sql.draft import Draft
from proxy.sql.lexer import Kind
from proxy.sql.plan import Form, Use
from proxy.sql.scope import SealedRef
from proxy.sql.tree import text_at, unbracketed
from proxy.sql.values import Value, chain, locate, one_cast, word


def quantified(node: exp.Expr) -> exp.Expr | None:
    """What is inside ANY(...), SOME(...) or ALL(...)."""
    if isinstance(node, (exp.Any, exp.All)):
        inner: exp.Expr = node.this
        # The brackets of ANY($1) are the operator's.
        return inner.this if type(inner) is exp.Paren else inner
    if isinstance(node, exp.Anonymous) and node.name in ("all", "some"):
        return next(iter(node.expressions), None)
    return None


def compared(draft: Draft, ref: SealedRef, node: exp.Expr, by: By) -> None:
    """`= ANY($1)`, `= ANY('{a,b}'::text[])`, `= ANY(ARRAY['a', $1])`"""
    found = chain(node)
    if found is not None:
        value = locate(draft.tokens, found)
        if value is None or (value.cast is not None and not value.cast.endswith("[]")):
            raise refusals.odd_cast(ref.label)
        draft.seal(value, ref, Form.TERMS, use=by.of_value)
        return
    seal_items(draft, ref, node, by)


def seal_items(draft: Draft, ref: SealedRef, node: exp.Expr, use: Use | By) -> None:
    """`ARRAY['a', $1]`, `ARRAY['a', $1]::text[]`: each item is sealed, or becomes a term."""
    array = unbracketed(node)
    cast = isinstance(array, exp.Cast)
    if cast:
        array = array.this
    if not isinstance(array, exp.Array) or not array.expressions:
        raise refusals.not_comparable(ref.label)
    values = []
    for element in array.expressions:
        item = chain(element)
        value = locate(draft.tokens, item) if item is not None else None
        if value is None:
            raise refusals.not_comparable(ref.label)
        values.append(value)
    if cast:
        of = _retype_array(draft, ref, values[-1].end)
        values = [_retyped(draft, ref, value, of) for value in values]
    common.check_values(draft, ref, values)
    for value in values:
        if isinstance(use, By):
            seal_term(draft, ref, value, use)
        else:
            assignment.seal_value(draft, ref, value, direct=False, use=use)


def _retyped(draft: Draft, ref: SealedRef, value: Value, of: str) -> Value:
    """An item of ARRAY[...]::type[]: the cast is each item's own (transformArrayExpr in parse_expr.c)."""
    if word(draft.tokens, value.leaf) == "null":
        return value
    if draft.tokens[value.leaf].kind is Kind.NUMBER and value.cast is None:
        return replace(value, cast=of)
    both = one_cast(value.cast, of)
    if both is None:
        raise refusals.odd_cast(ref.label)
    return replace(value, cast=both)


def _retype_array(draft: Draft, ref: SealedRef, bracket: int) -> str:
    """`ARRAY[...]::text[]`: the elements are bytea now. Returns the type that they were cast to."""
    tokens = draft.tokens
    found = draft.type_at(bracket + 2)
    if text_at(draft, bracket) != "]" or text_at(draft, bracket + 1) != "::" or found is None:
        raise refusals.odd_cast(ref.label)
    if not found.name.endswith("[]"):
        raise refusals.odd_cast(ref.label)
    draft.literal_shaped |= found.modified
    draft.edit(tokens[bracket + 1].start, tokens[found.end - 1].end, "::bytea[]")
    return found.name.removesuffix("[]")


def seal_term(draft: Draft, ref: SealedRef, value: Value, by: By) -> None:
    if word(draft.tokens, value.leaf) == "null":
        draft.replace_around(value, "", "::bytea")
    else:
        draft.seal(value, ref, before=by.opening, after=")", use=by.of_value)
