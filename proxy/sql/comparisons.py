"""What the server may compare: terms, and NULL.

A sealed column becomes a term of it, `sealgate.eq(column)`, and what it is compared with becomes the
same term of a sealed value or of a column with the same keys; which term it is, `capability` says.
Between the two must stand the very operator: the tree's class is not enough, so the token is looked at.
"""

from __future__ import annotations

from typing import Final

from sqlglot import exp

from policy import Access
from proxy.sql import (
    arrays,
    assignment,
    capability,
    common,
    computed,
    expressions,
    folding,
    lists,
    refusals,
    resolve,
    subqueries,
)
from proxy.sql.capability import By, Pick
from proxy.sql.columns import (
    Span,
    bare,
    column_span,
    column_tokens,
    listed,
    sealed_column,
    sealed_row,
    spelled,
    with_brackets,
)
from proxy.sql.draft import Draft
from proxy.sql.plan import Use
from proxy.sql.scope import Scope, SealedRef
from proxy.sql.tree import place_of, row, text_at, unbracketed
from proxy.sql.values import chain, locate, word


def equality(draft: Draft, scope: Scope, node: exp.Expr) -> bool:
    return comparison(draft, scope, node, capability.equality)


def comparison(draft: Draft, scope: Scope, node: exp.Expr, pick: Pick) -> bool:
    """`a operator b`, of single values or of rows field by field; False if nothing in it is sealed."""
    left, right = node.this, node.expression
    rows = row(left), row(right)
    if rows[0] is not None and rows[1] is not None and len(rows[0]) == len(rows[1]):
        for one, other in zip(rows[0], rows[1], strict=True):
            if not _compared(draft, scope, one, other, node, pick, in_row=True):
                expressions.walk_all(draft, scope, (one, other), "in a row comparison")
        return True
    found = _with_query(draft, scope, node, pick)
    return found if found is not None else _compared(draft, scope, left, right, node, pick)


def _with_query(draft: Draft, scope: Scope, node: exp.Expr, pick: Pick) -> bool | None:
    """A comparison with a subquery; None if it is something else."""
    left, right = node.this, node.expression
    quantified = arrays.quantified(right)
    if quantified is not None and subqueries.is_query(quantified):
        return subqueries.compared(draft, scope, left, quantified, _QUANTIFIERS, pick)
    if subqueries.is_query(right):
        return subqueries.compared(draft, scope, left, right, _LAST_WORDS, pick)
    if subqueries.is_query(left) and quantified is None:
        return subqueries.compared(draft, scope, right, left, frozenset(), pick)
    return None


_QUANTIFIERS: Final = frozenset({"any", "some", "all"})
_LAST_WORDS: Final = frozenset({"=", "<>", "!=", "from", "<", "<=", ">", ">="})
_IN: Final = frozenset({"in"})


def _compared(
    draft: Draft,
    scope: Scope,
    left: exp.Expr,
    right: exp.Expr,
    node: exp.Expr,
    pick: Pick,
    *,
    in_row: bool = False,
) -> bool:
    for one, other in ((left, right), (right, left)):
        found = operand(draft, scope, one, pick)
        if found is None:
            continue
        ref, by = found
        start, end = term(draft, scope, ref, one, by)
        quantified = None if in_row else arrays.quantified(other)
        if quantified is not None and one is left:
            _check_operator(draft, node, end, end + 1)
            arrays.compared(draft, ref, quantified, by)
        else:
            other_start, other_end = beside(draft, scope, ref, other, by)
            if not in_row:
                _check_operator(draft, node, min(end, other_end), max(start, other_start))
        return True
    return False


def operand(draft: Draft, scope: Scope, node: exp.Expr, pick: Pick) -> tuple[SealedRef, By] | None:
    """The sealed column that one side of a comparison is about, and what it is compared by."""
    if pick is capability.equality:
        ref = folding.column(draft, scope, node)
        if ref is not None:
            return ref, capability.folded(draft, ref)
    elif pick is capability.order and isinstance(unbracketed(node), exp.Collate):
        node = unbracketed(node).this
    ref = sealed_column(draft, scope, node) or computed.column(draft, scope, node)
    return (ref, pick(draft, ref)) if ref is not None else None


_OPERATORS: Final[dict[type[exp.Expr], tuple[list[str], ...]]] = {
    exp.EQ: (["="],),
    exp.NEQ: (["<>"], ["!="]),
    exp.LT: (["<"],),
    exp.LTE: (["<="],),
    exp.GT: ([">"],),
    exp.GTE: ([">="],),
    exp.NullSafeEQ: (["is", "not", "distinct", "from"],),
    exp.NullSafeNEQ: (["is", "distinct", "from"],),
}


def _check_operator(draft: Draft, node: exp.Expr, start: int, end: int) -> None:
    """Between the operands must be the very operator: the tree's class is not enough."""
    between = [token.value for token in draft.tokens[start:end]]
    if between not in _OPERATORS[type(node)]:
        raise refusals.not_understood("the operator of a comparison")


def as_term(draft: Draft, node: exp.Expr, by: By) -> None:
    """`email` becomes `sealgate.eq(email)`."""
    tokens = draft.tokens
    start, end = column_tokens(draft, bare(node))
    draft.edit(tokens[start].start, tokens[start].start, by.opening)
    draft.edit(tokens[end - 1].end, tokens[end - 1].end, ")")


def nullif(draft: Draft, scope: Scope, node: exp.Anonymous, ref: SealedRef) -> None:
    """`NULLIF(email, 'x')` becomes NULLIF(email, CASE WHEN terms are equal THEN email END): a function
    of that name still, after which the result column is called."""
    tokens, place = draft.tokens, place_of(node)
    column, other = node.expressions
    by = capability.equality(draft, ref)
    common.check_nullif(draft, ref, other)
    start, end = column_span(draft, column)
    other_start, other_end = term(draft, scope, ref, other, by)
    around = [text_at(draft, at) for at in (start - 1, end, other_end)]
    if start != place + 2 or other_start != end + 1 or around != ["(", ",", ")"]:
        raise refusals.not_understood("NULLIF")
    inner = bare(column)
    if not isinstance(inner, exp.Column):
        raise refusals.not_understood("NULLIF")
    name = spelled(draft, scope, inner)
    # In place of the comma: what the value's own edits put in front of it may begin right behind.
    draft.edit(tokens[end].start, tokens[end].end, f", CASE WHEN {by.opening}{name}) =")
    draft.edit(tokens[other_end - 1].end, tokens[other_end - 1].end, f" THEN {name} END")


def conflict_term(draft: Draft, ref: SealedRef, node: exp.Expr) -> None:
    """`ON CONFLICT (email)` infers the unique index on the column's terms."""
    as_term(draft, node, capability.equality(draft, ref))


def beside(draft: Draft, scope: Scope, ref: SealedRef, node: exp.Expr, by: By) -> tuple[int, int]:
    """What values of `ref` are compared with becomes a term; returns the tokens where it stood."""
    inner = collated(node, by)
    if by.prefix and chain(inner) is None and not listed(draft, scope, inner):
        raise refusals.first_bytes_only(ref.label)
    return term(draft, scope, ref, node, by)


def term(draft: Draft, scope: Scope, ref: SealedRef, node: exp.Expr, by: By) -> tuple[int, int]:
    """One side of a comparison with values of `ref`: a column with its keys, or what may be sealed as it is.

    Returns the tokens where it stood.
    """
    if by is capability.FOLDED:
        return folding.term(draft, scope, ref, node)
    inner = collated(node, by)
    if inner is not node:
        return _without_collation(draft, node, by, *term(draft, scope, ref, inner, by))
    found = chain(node)
    if found is not None:
        value = locate(draft.tokens, found)
        if value is None:
            raise refusals.odd_cast(ref.label)
        arrays.seal_term(draft, ref, value, by)
        return value.start, value.end
    listed_at = lists.seal_values_column(draft, scope, node, ref, use=by.use)
    if listed_at is not None:
        as_term(draft, node, by)
        return listed_at
    span = computed.span(draft, node)
    if span is not None:
        # A value that may be compared with another value must be itself: not only unlike every value of the column.
        assignment.sealable(draft, scope, node, ref, direct=False, use=Use.STORED | by.use)
        first, last = draft.tokens[span.start], draft.tokens[span.end - 1]
        draft.edit(first.start, first.start, by.opening)
        draft.edit(last.end, last.end, ")")
        return span.start, span.end
    other = sealed_column(draft, scope, node)
    if other is None:
        raise refusals.not_comparable(ref.label)
    capability.require_comparable(draft, ref, other)
    as_term(draft, node, by)
    return column_span(draft, node)


def collated(node: exp.Expr, by: By) -> exp.Expr:
    """What is under COLLATE, where that may name the order that the terms are in."""
    inner = unbracketed(node)
    if by.prefix and isinstance(inner, exp.Collate):
        under: exp.Expr = inner.this
        return under
    return node


def _without_collation(
    draft: Draft, node: exp.Expr, by: By, start: int, end: int
) -> tuple[int, int]:
    """Takes `COLLATE "C"` away from behind a term: terms are in that order."""
    tokens = draft.tokens
    named = end + 1 < len(tokens) and tokens[end + 1].value == by.collation
    if word(tokens, end) != "collate" or not named or text_at(draft, end + 2) == ".":
        raise refusals.unsupported("another collation than that of the search", _COLLATION)
    draft.edit(tokens[end - 1].end, tokens[end + 1].end, "")
    span = with_brackets(draft, node, Span(start, end + 2))
    return span.start, span.end


_COLLATION: Final = 'Write COLLATE "C", or nothing: terms of order are in that collation.'


def in_list(draft: Draft, scope: Scope, node: exp.Expr) -> bool:
    """`email IN ('a', $1)`, `(id, email) IN ((1, 'a'))`, `email IN (SELECT ...)`"""
    only = node.expressions[0] if len(node.expressions) == 1 else None
    query = only if isinstance(only, exp.Values) else node.args.get("query")
    if query is not None:
        return subqueries.compared(draft, scope, node.this, query, _IN, capability.equality)
    fields = row(node.this)
    if fields is not None:
        return _row_in(draft, scope, fields, node)
    found = operand(draft, scope, node.this, capability.equality)
    if found is None:
        return False
    ref, by = found
    if not node.expressions or node.args.get("unnest"):
        raise refusals.misuse(ref.label, "in a subquery that an expression uses")
    _, end = term(draft, scope, ref, node.this, by)
    end += word(draft.tokens, end) == "not"
    if word(draft.tokens, end) != "in" or text_at(draft, end + 1) != "(":
        raise refusals.not_understood()
    common.check_nodes(draft, ref, node.expressions)
    for item in node.expressions:
        term(draft, scope, ref, item, by)
    return True


def _row_in(draft: Draft, scope: Scope, fields: list[exp.Expr], node: exp.Expr) -> bool:
    operands = [operand(draft, scope, part, capability.equality) for part in fields]
    if not any(operands):
        return False
    items = [row(item) for item in node.expressions]
    if not items or any(item is None or len(item) != len(fields) for item in items):
        label = next(found[0].label for found in operands if found is not None)
        raise refusals.misuse(label, "in a row comparison with something else than rows")
    for place, found in enumerate(operands):
        parts = [item[place] for item in items if item is not None]
        if found is None:
            expressions.walk_all(draft, scope, [fields[place], *parts], "in a row comparison")
            continue
        for part in (fields[place], *parts):
            term(draft, scope, found[0], part, found[1])
    return True


def is_null(draft: Draft, scope: Scope, node: exp.Expr) -> bool:
    null = isinstance(node.expression, exp.Null)
    found = chain(node.this)
    if found is not None and null and isinstance(found.leaf, exp.Parameter):
        value = locate(draft.tokens, found)
        if value is not None:
            draft.presence(value)
        return True
    row_source = sealed_row(draft, scope, node.this) if null else None
    if row_source is not None:
        for field in row_source.shape.fields:
            if field.sealed is not None:
                draft.touch(field.sealed, Access.PRESENCE)
        return True
    ref = sealed_column(draft, scope, node.this)
    inner = unbracketed(node.this)
    if null and isinstance(inner, exp.Subquery):
        shape = resolve.query(draft, scope, inner)
        ref = shape.sealed if len(shape.fields) == 1 else None
    if ref is None:
        # A sealed NULL is NULL as well: this is no use of the values in a list.
        return null and bool(listed(draft, scope, node.this))
    if not null or _is_unknown(draft, node.this):
        raise refusals.misuse(ref.label, "in IS TRUE")
    draft.touch(ref, Access.PRESENCE)
    return True


def _is_unknown(draft: Draft, operand: exp.Expr) -> bool:
    """IS [NOT] UNKNOWN, which takes a boolean; the tree has a NULL there."""
    if not isinstance(bare(operand), exp.Column):
        return False
    _, end = column_span(draft, operand)
    return "unknown" in (word(draft.tokens, end + 1), word(draft.tokens, end + 2))


def case_conditions(draft: Draft, scope: Scope, node: exp.Expr) -> None:
    subject: exp.Expr | None = node.this
    conditions = [branch.this for branch in node.args["ifs"]]
    ref = sealed_column(draft, scope, subject) if subject is not None else None
    if ref is not None and subject is not None:
        by = capability.equality(draft, ref)
        as_term(draft, subject, by)
        for condition in conditions:
            term(draft, scope, ref, condition, by)
        return
    if subject is not None:
        expressions.walk(draft, scope, subject)
    expressions.walk_all(draft, scope, conditions, "as a condition")
