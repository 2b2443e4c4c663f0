"""ORDER BY, which may name columns of the select list by name or number, and what tells rows apart beside it.

    ORDER BY birth DESC          ORDER BY sealgate.ord(birth) DESC
    count(DISTINCT email)        count(DISTINCT sealgate.eq(email))
    PARTITION BY email           PARTITION BY sealgate.eq(email)

Order terms are bytea and sort as the values do. Whose name goes first follows PostgreSQL (findTargetlistEntrySQL92): ORDER
BY looks at the select list, then at the columns of FROM. A number that decides makes the plan good for this number only.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from sqlglot import exp

from proxy.sql import capability, comparisons, expressions, refusals, selection
from proxy.sql.capability import By
from proxy.sql.columns import bare, column_span, resolved, sealed_column, spelled
from proxy.sql.draft import Draft
from proxy.sql.parse import position
from proxy.sql.scope import Field, Scope, SealedRef, Shape
from proxy.sql.selection import Item, Result
from proxy.sql.tree import only, row, text_at, unbracketed
from proxy.sql.values import word


@dataclass(frozen=True, slots=True)
class Sorted:
    """One item of ORDER BY, for DISTINCT to know."""

    place: int | None
    """Of the result column that it is, if it is one by name or number."""
    node: exp.Expr
    column: Field | None
    """The column that it is, if it is one."""
    ref: SealedRef | None
    text: str = ""
    """Of a sealed one, how its value is written."""
    end: int = 0
    """Offset behind it, with ASC and NULLS FIRST."""


def order(draft: Draft, scope: Scope, node: object, result: Result) -> list[Sorted]:
    if not isinstance(node, exp.Expr):
        return []
    only(node, "expressions")
    return [_sorted(draft, scope, item, result) for item in node.expressions]


def _sorted(draft: Draft, scope: Scope, item: exp.Expr, result: Result) -> Sorted:
    if not isinstance(item, exp.Ordered):
        raise refusals.not_understood("ORDER BY")
    only(item, "this", "desc", "nulls_first")
    node = unbracketed(item.this)
    place = place_of_output(draft, scope, node, result)
    if place is None:
        return _sorted_by(draft, scope, item.this)
    chosen = result.items[place]
    column = selection.column_of(draft, scope, chosen)
    draft.use_cells(chosen.field.cells)
    ref = chosen.field.sealed
    if ref is None:
        return Sorted(place, node, column, None)
    check_own(ref, chosen, column, "in ORDER BY")
    by = capability.order(draft, ref)
    at, text = put_term(draft, scope, chosen, ref, node, by, "in ORDER BY")
    return Sorted(place, node, column, ref, text, _end(draft, behind(draft, at, item.this)))


def _sorted_by(draft: Draft, scope: Scope, node: exp.Expr) -> Sorted:
    """An item that is no column of the select list."""
    inner = unbracketed(node)
    ref = _sort(draft, scope, node)
    column = column_of(draft, scope, inner)
    if ref is None:
        return Sorted(None, inner, column, None)
    collated = isinstance(inner, exp.Collate)
    name = bare(inner.this if collated else inner)
    if not isinstance(name, exp.Column):
        return Sorted(None, inner, column, ref)
    if collated:
        at = behind(draft, column_span(draft, inner.this)[1] + 1, node)
    else:
        _, at = column_span(draft, node)
    return Sorted(None, inner, column, ref, spelled(draft, scope, name), _end(draft, at))


def place_of_output(draft: Draft, scope: Scope, node: exp.Expr, result: Result) -> int | None:
    """The result column that ORDER BY and DISTINCT ON mean by a name or number."""
    if isinstance(node, exp.Column) and node.args.get("table") is None:
        if isinstance(node.this, exp.Star):
            return None
        place = selection.reference(draft, scope, result, node.name)
        if place is not None:
            draft.name(node.this)
            for one in result.named(node.name):
                draft.use_cells(result.items[one].field.cells)
        return place
    number = selection.ordinal(draft, node)
    return None if number is None else _numbered(draft, node, number, result, "in ORDER BY")


def _numbered(draft: Draft, node: exp.Expr, number: int, result: Result, how: str) -> int | None:
    """The place of column `number`; None where it does not matter which it is."""
    sealed = result.sealed
    if sealed is None:
        for item in result.items:
            draft.use_cells(item.field.cells)
        return None
    draft.deciding.add(draft.tokens[token(node)].start)
    if result.open or not 1 <= number <= len(result.items):
        raise refusals.misuse(sealed.label, how)
    return number - 1


def put_term(
    draft: Draft, scope: Scope, chosen: Item, ref: SealedRef, node: exp.Expr, by: By, how: str
) -> tuple[int, str]:
    """The name or number of a result column becomes a term of it; returns the token, and the column as it is written."""
    text = selection.text(draft, scope, chosen)
    if text is None:
        raise refusals.by_reference(ref.label, how)
    at = token(node)
    check_alone(draft, at, at + 1)
    draft.edit(draft.tokens[at].start, draft.tokens[at].end, f"{by.opening}{text})")
    return at, text


def token(node: exp.Expr) -> int:
    """Of a name or a number."""
    index = position(node.this if isinstance(node, exp.Column) else node)
    if index is None:
        raise refusals.not_understood("ORDER BY")
    return index


def check_own(ref: SealedRef, chosen: Item, column: Field | None, how: str) -> None:
    """Raises Refused for values of a list that are sealed as they are stored: they were others before (1.005, 1.01)."""
    listed = chosen.node is None or isinstance(bare(chosen.node), exp.Column)
    if listed and (column is None or column.sealed is None):
        raise refusals.misuse(ref.label, how)


def behind(draft: Draft, at: int, node: exp.Expr) -> int:
    """The token behind a name or a number and its brackets."""
    end = at + 1
    while isinstance(node, exp.Paren) and text_at(draft, end) == ")":
        node = node.this
        end += 1
    return end


def column_of(draft: Draft, scope: Scope, node: exp.Expr) -> Field | None:
    inner = bare(node)
    if not isinstance(inner, exp.Column) or isinstance(inner.this, exp.Star):
        return None
    return resolved(draft, scope, inner)


def _end(draft: Draft, at: int) -> int:
    """Offset of the end of ORDER BY's item whose expression ends before token `at`."""
    at += word(draft.tokens, at) in ("asc", "desc")
    if word(draft.tokens, at) == "nulls":
        at += 2
    return draft.tokens[at - 1].end


def tell_peers(draft: Draft, orders: Sequence[Sorted]) -> None:
    """For what asks which rows are equal in ORDER BY: rank(), a window's frame, WITH TIES.

    The order terms of a text tell its first bytes only, so its terms of equality stand behind them.
    """
    for one in orders:
        if one.ref is None or not capability.order(draft, one.ref).prefix:
            continue
        equality = capability.equality(draft, one.ref)
        if equality.function != "eq" or not one.text:
            raise refusals.misuse(one.ref.label, "to tell which rows are equal in ORDER BY")
        add_terms(draft, one.end, [equality], one.text)


def with_ties(node: exp.Expr | None) -> bool:
    """FETCH FIRST ... WITH TIES"""
    limit = node.args.get("limit") if node is not None else None
    options = limit.args.get("limit_options") if isinstance(limit, exp.Fetch) else None
    return options is not None and bool(options.args.get("with_ties"))


# Where there is no select list to refer to.


def sorted_by(
    draft: Draft, scope: Scope, items: Sequence[exp.Expr], frame: exp.Expr | None = None
) -> list[Sorted]:
    """ORDER BY of an aggregate or a window. `frame`: of the window, which may measure distances."""
    found = []
    for item in items:
        if not isinstance(item, exp.Ordered):
            raise refusals.not_understood("ORDER BY")
        only(item, "this", "desc", "nulls_first")
        one = _sorted_by(draft, scope, item.this)
        if one.ref is not None and frame is not None and _measures(frame):
            raise refusals.misuse(one.ref.label, "to measure distances in a window")
        found.append(one)
    return found


def _measures(frame: exp.Expr) -> bool:
    """RANGE BETWEEN 7 PRECEDING AND ...: the server would have to add to the value."""
    bounds = (frame.args.get("start"), frame.args.get("end"))
    return frame.args.get("kind") == "range" and any(isinstance(b, exp.Expr) for b in bounds)


def _sort(draft: Draft, scope: Scope, node: exp.Expr) -> SealedRef | None:
    """An expression that is sorted by becomes its order term, where it is a sealed value."""
    collated = unbracketed(node)
    if isinstance(collated, exp.Collate):
        return _collated(draft, scope, collated)
    found = comparisons.operand(draft, scope, node, capability.order)
    if found is None:
        expressions.walk(draft, scope, node, "in ORDER BY")
        return None
    check_alone(draft, *comparisons.term(draft, scope, found[0], node, found[1]))
    return found[0]


def _collated(draft: Draft, scope: Scope, node: exp.Collate) -> SealedRef | None:
    """`name COLLATE "C"`: the collation of the terms."""
    ref = sealed_column(draft, scope, node.this)
    if ref is None:
        expressions.walk(draft, scope, node, "in ORDER BY")
        return None
    by = capability.order(draft, ref)
    _, end = column_span(draft, node.this)
    name = draft.tokens[end + 1].value if end + 1 < len(draft.tokens) else ""
    of = ref.column.search.order if ref.column is not None else None
    if word(draft.tokens, end) != "collate" or of is None or name != of.collation:
        raise refusals.misuse(ref.label, "with a collation")
    check_alone(draft, column_span(draft, node.this)[0], end + 2)
    comparisons.as_term(draft, node.this, by)
    draft.edit(draft.tokens[end - 1].end, draft.tokens[end + 1].end, "")
    return ref


def told_apart(draft: Draft, scope: Scope, node: exp.Expr, how: str) -> None:
    """An expression by whose values rows are told apart becomes its term, where it is a sealed value."""
    fields = row(node)
    if fields is not None:
        for part in fields:
            told_apart(draft, scope, part, how)
        return
    found = comparisons.operand(draft, scope, node, capability.equality)
    if found is None:
        expressions.walk(draft, scope, node, how)
    else:
        check_alone(draft, *comparisons.term(draft, scope, found[0], node, found[1]))


def check_alone(draft: Draft, start: int, end: int) -> None:
    """The expression must be all of its item: the tree's word is not enough."""
    tokens = draft.tokens
    before = text_at(draft, start - 1) in ("(", ",") or word(tokens, start - 1) in _BEFORE
    after = end == len(tokens) or text_at(draft, end) in (")", ",") or word(tokens, end) in _AFTER
    if not before or not after:
        raise refusals.not_understood("an item of ORDER BY, GROUP BY or DISTINCT")


_BEFORE: Final = frozenset({"all", "by", "distinct"})
_AFTER: Final = frozenset(
    {
        *("asc", "desc", "nulls", "having", "window", "order", "limit", "offset", "fetch", "for"),
        *("union", "intersect", "except", "rows", "range", "groups", "on", "returning"),
    }
)


def add_terms(draft: Draft, end: int, terms: Sequence[By], text: str) -> None:
    """Further terms of a value, behind its first one."""
    for by in terms:
        draft.edit(end, end, f", {by.opening}{text})")


def order_by_output(draft: Draft, node: exp.Expr, shape: Shape) -> None:
    """ORDER BY behind a set operation or VALUES knows names and numbers of result columns, nothing else."""
    clause = node.args.get("order")
    if clause is None:
        return
    result = Result([Item(column) for column in shape.fields], shape.open)
    for item in clause.expressions:
        sort = unbracketed(item.this)
        place = place_of_output(draft, Scope(), sort, result)
        if place is not None:
            column = result.items[place].field
            if column.sealed is not None:
                raise refusals.united_order(column.sealed.label)
            draft.use_cells(column.cells)
            continue
        named = isinstance(sort, exp.Column) and sort.args.get("table") is None
        if selection.ordinal(draft, sort) is None and (shape.sealed or not named):
            raise refusals.not_understood("ORDER BY")


def sorts_sealed(draft: Draft, node: exp.Expr, shape: Shape) -> bool:
    """Does ORDER BY behind a set operation name a sealed column?"""
    clause = node.args.get("order")
    result = Result([Item(column) for column in shape.fields], shape.open)
    for item in clause.expressions if clause is not None else ():
        place = place_of_output(draft, Scope(), unbracketed(item.this), result)
        if place is not None and result.items[place].field.sealed is not None:
            return True
    return False
