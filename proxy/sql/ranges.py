"""`<`, `<=`, `>`, `>=` and BETWEEN, by order terms: bytes that sort as the values do.

Both sides become terms, `sealgate.ord(birth) < sealgate.ord($1)`, and the server's own operators on bytea do the rest: rows
are compared field by field as ever, NULL is as ever. An operand of another type than the column's becomes the place between
two terms where it would stand (`proxy.cut`), which equals no term, so that every operator is right about it.

The term of a text tells its first bytes and whether there are more. A value of no more bytes than that has its exact
place; two columns, which both may hold longer texts, cannot be compared.
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlglot import exp

from proxy.sql import capability, comparisons, expressions, refusals
from proxy.sql.capability import By
from proxy.sql.columns import Span, column_span, sealed_column
from proxy.sql.draft import Draft
from proxy.sql.plan import Use
from proxy.sql.scope import Scope, SealedRef
from proxy.sql.tree import row
from proxy.sql.values import Value, word


def less(draft: Draft, scope: Scope, node: exp.Expr) -> bool:
    """`birth < $1`, `(birth, id) > ($1, $2)`, `birth >= ALL (SELECT ...)`; False if nothing in it is sealed."""
    return comparisons.comparison(draft, scope, node, capability.order)


def between(draft: Draft, scope: Scope, node: exp.Between) -> bool:
    """`birth [NOT] BETWEEN [SYMMETRIC] $1 AND $2`; the column may be any of the three. Rows field by field."""
    parts = [node.this, node.args["low"], node.args["high"]]
    rows = [row(part) for part in parts]
    lengths = {len(fields) if fields is not None else 0 for fields in rows}
    if len(lengths) == 1 and 0 not in lengths:
        for fields in zip(*(fields for fields in rows if fields is not None), strict=True):
            if _terms(draft, scope, fields) is None:
                expressions.walk_all(draft, scope, fields, "in a row comparison")
        return True
    spans = _terms(draft, scope, parts)
    if spans is not None:
        _check_words(draft, spans)
    return spans is not None


def _terms(draft: Draft, scope: Scope, parts: Sequence[exp.Expr]) -> list[Span] | None:
    """What is tested and its two bounds become order terms; None if nothing in them is sealed."""
    found = [comparisons.operand(draft, scope, part, capability.order) for part in parts]
    first = next((one for one in found if one is not None), None)
    if first is None:
        return None
    ref, by = first
    if by.prefix and _texts(found):
        raise refusals.first_bytes_only(ref.label)
    return [Span(*comparisons.term(draft, scope, ref, part, by)) for part in parts]


def _texts(found: list[tuple[SealedRef, By] | None]) -> bool:
    """Two columns would be compared with one another, not each with a value."""
    tested, *bounds = found
    return tested is not None and any(bounds)


def _check_words(draft: Draft, spans: list[Span]) -> None:
    tested, low, high = spans
    words = [word(draft.tokens, at) for at in range(tested.end, low.start)]
    if words[:1] == ["not"]:
        del words[0]
    if words not in (["between"], ["between", "symmetric"], ["between", "asymmetric"]):
        raise refusals.not_understood("BETWEEN")
    # `BETWEEN 1 AND 5 OPERATOR(pg_catalog.+) 3` ends behind the 3, which the tree does not say.
    further = word(draft.tokens, high.end) == "operator"
    if high.start != low.end + 1 or word(draft.tokens, low.end) != "and" or further:
        raise refusals.not_understood("BETWEEN")


def prefix(draft: Draft, scope: Scope, node: exp.Expr, value: Value) -> None:
    """`name LIKE 'abc%'`: between what begins so and what would come behind all of that.

    `node`: the column; `value`: the pattern, which must stand alone between the operator and the end. The caller has read
    the operator. What is no such pattern, or a longer one than the terms tell, is refused when it is seen.
    """
    ref = sealed_column(draft, scope, node)
    if ref is None:
        raise refusals.not_understood("LIKE")
    capability.order(draft, ref)
    start, end = column_span(draft, node)
    first, last = draft.tokens[start], draft.tokens[end - 1]
    draft.edit(first.start, first.start, "sealgate.ord_prefix(")
    draft.edit(last.end, draft.tokens[value.start].start, ", ")
    draft.seal(value, ref, after=")", use=Use.PREFIXED)
