"""ORDER BY and DISTINCT, which may name columns of the select list by name or number.

    ORDER BY birth DESC          ORDER BY sealgate.ord(birth) DESC
    SELECT DISTINCT a, email     SELECT DISTINCT ON (1, sealgate.eq(email)) a, email
    DISTINCT ON (email)          DISTINCT ON (sealgate.eq(email))
    count(DISTINCT email)        count(DISTINCT sealgate.eq(email))
    PARTITION BY email           PARTITION BY sealgate.eq(email)

Order terms are bytea and sort as the values do; terms of equality tell apart what PostgreSQL tells apart. Which of two
equal values DISTINCT keeps is as open as in PostgreSQL (1.0 or 1.00).

Whose name goes first follows PostgreSQL (findTargetlistEntrySQL92): ORDER BY and DISTINCT ON look at the select list,
then at the columns of FROM. A number that decides makes the plan good for this text only. Of DISTINCT and ORDER BY
together PostgreSQL demands that they speak of the same expressions (transformDistinctOnClause), so a column that is
sorted by is told apart by its order terms; a text, whose order terms tell its first bytes only, by both of its terms.
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
    _check_own(ref, chosen, column, "in ORDER BY")
    by = capability.order(draft, ref)
    at, text = _put(draft, scope, chosen, ref, node, by, "in ORDER BY")
    return Sorted(place, node, column, ref, text, _end(draft, _behind(draft, at, item.this)))


def _sorted_by(draft: Draft, scope: Scope, node: exp.Expr) -> Sorted:
    """An item that is no column of the select list."""
    inner = unbracketed(node)
    ref = _sort(draft, scope, node)
    column = _column(draft, scope, inner)
    if ref is None:
        return Sorted(None, inner, column, None)
    collated = isinstance(inner, exp.Collate)
    name = bare(inner.this if collated else inner)
    if not isinstance(name, exp.Column):
        return Sorted(None, inner, column, ref)
    if collated:
        at = _behind(draft, column_span(draft, inner.this)[1] + 1, node)
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


def _put(
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


def _check_own(ref: SealedRef, chosen: Item, column: Field | None, how: str) -> None:
    """Raises Refused for values of a list that are sealed as they are stored: they were others before (1.005, 1.01)."""
    listed = chosen.node is None or isinstance(bare(chosen.node), exp.Column)
    if listed and (column is None or column.sealed is None):
        raise refusals.misuse(ref.label, how)


def _behind(draft: Draft, at: int, node: exp.Expr) -> int:
    """The token behind a name or a number and its brackets."""
    end = at + 1
    while isinstance(node, exp.Paren) and text_at(draft, end) == ")":
        node = node.this
        end += 1
    return end


def _column(draft: Draft, scope: Scope, node: exp.Expr) -> Field | None:
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
        _add(draft, one.end, [equality], one.text)


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


# DISTINCT.


def distinct(
    draft: Draft,
    scope: Scope,
    node: exp.Expr | None,
    result: Result,
    orders: Sequence[Sorted],
) -> None:
    if node is None:
        return
    only(node, "on")
    on = node.args.get("on")
    if on is not None:
        for item in on.expressions if isinstance(on, exp.Tuple) else [on]:
            _distinct_on(draft, scope, item, result, orders)
        return
    for item in result.items:
        draft.use_cells(item.field.cells)
    sealed = result.sealed
    if sealed is None:
        return
    if result.open:
        raise refusals.misuse(sealed.label, "in DISTINCT")
    for one in orders:
        _check_listed(draft, scope, result, one)
    listed = terms(draft, scope, result, orders)
    at = _distinct_token(draft, result)
    end = draft.tokens[at].end
    blank = "" if draft.tokens[at + 1].start > end else " "
    draft.edit(end, end, f" ON ({', '.join(listed)}){blank}")


def terms(draft: Draft, scope: Scope, result: Result, orders: Sequence[Sorted]) -> list[str]:
    """What tells rows of a result apart: numbers of plain columns, terms of sealed ones."""
    found: list[str] = []
    for place, chosen in enumerate(result.items):
        ref = chosen.field.sealed
        if ref is None:
            found.append(str(place + 1))
            continue
        text = selection.text(draft, scope, chosen)
        if text is None:
            raise refusals.by_reference(ref.label, "in DISTINCT")
        column = selection.column_of(draft, scope, chosen)
        _check_own(ref, chosen, column, "in DISTINCT")
        told = _told_apart(draft, ref, _sorting(orders, place, column, chosen.node))
        found += [f"{by.opening}{text})" for by in told]
    return found


def _distinct_on(
    draft: Draft, scope: Scope, item: exp.Expr, result: Result, orders: Sequence[Sorted]
) -> None:
    node = unbracketed(item)
    place = place_of_output(draft, scope, node, result)
    if place is not None:
        chosen = result.items[place]
        draft.use_cells(chosen.field.cells)
        ref = chosen.field.sealed
        if ref is not None:
            column = selection.column_of(draft, scope, chosen)
            _check_own(ref, chosen, column, "in DISTINCT")
            sorting = _sorting(orders, place, column, chosen.node)
            first, *more = _told_apart(draft, ref, sorting)
            at, text = _put(draft, scope, chosen, ref, node, first, "in DISTINCT")
            _add(draft, draft.tokens[_behind(draft, at, item) - 1].end, more, text)
        return
    inner = bare(node)
    ref = sealed_column(draft, scope, node)
    if ref is None or not isinstance(inner, exp.Column):
        told_apart(draft, scope, item, "in DISTINCT")
        return
    sorting = _sorting(orders, None, _column(draft, scope, node), node)
    first, *more = _told_apart(draft, ref, sorting)
    start, end = column_span(draft, item)
    check_alone(draft, start, end)
    comparisons.as_term(draft, node, first)
    _add(draft, draft.tokens[end - 1].end, more, spelled(draft, scope, inner))


def _add(draft: Draft, end: int, terms: Sequence[By], text: str) -> None:
    """Further terms of a value, behind its first one."""
    for by in terms:
        draft.edit(end, end, f", {by.opening}{text})")


def _sorting(
    orders: Sequence[Sorted], place: int | None, column: Field | None, node: exp.Expr | None
) -> list[Sorted]:
    """The items of ORDER BY that are this column of the result, or of FROM, or this expression."""
    return [
        one
        for one in orders
        if (place is not None and one.place == place)
        or (column is not None and one.column is column)
        or (node is not None and one.ref is not None and one.node == unbracketed(node))
    ]


def _told_apart(draft: Draft, ref: SealedRef, orders: Sequence[Sorted]) -> list[By]:
    """The terms by which DISTINCT tells a column's values apart, and ORDER BY sorts them where it does."""
    equality = capability.equality(draft, ref)
    if not orders:
        return [equality]
    by = capability.order(draft, ref)
    if not by.prefix:
        return [by]
    if equality.function != "eq":
        raise refusals.misuse(ref.label, "in DISTINCT and in ORDER BY at once")
    for one in orders:
        if not one.text:
            raise refusals.by_reference(ref.label, "in DISTINCT")
        _add(draft, one.end, [equality], one.text)
    return [by, equality]


def _check_listed(draft: Draft, scope: Scope, result: Result, item: Sorted) -> None:
    """Raises Refused for what the server does not take with DISTINCT, and would with DISTINCT ON."""
    if item.place is not None or selection.ordinal(draft, item.node) is not None:
        return
    draft.literal_shaped |= item.column is None
    for chosen in result.items:
        if item.column is not None and selection.column_of(draft, scope, chosen) is item.column:
            return
        if chosen.node is not None and unbracketed(chosen.node) == item.node:
            return
    raise refusals.not_listed()


def _distinct_token(draft: Draft, result: Result) -> int:
    """The keyword, in front of the select list."""
    places = (_first(draft, item) for item in result.items if item.field.sealed is not None)
    at = next((place for place in places if place is not None), -1)
    depth = 0
    while at >= 0:
        text = text_at(draft, at)
        depth += (text in (")", "]")) - (text in ("(", "["))
        depth = max(depth, 0)
        if depth == 0 and word(draft.tokens, at) == "select" and is_keyword(draft, at):
            if word(draft.tokens, at + 1) == "distinct":
                return at + 1
            break
        at -= 1
    raise refusals.not_understood("DISTINCT")


def is_keyword(draft: Draft, at: int) -> bool:
    """`t.select` and `AS select` are names."""
    return at == 0 or (text_at(draft, at - 1) != "." and word(draft.tokens, at - 1) != "as")


def _first(draft: Draft, item: Item) -> int | None:
    """A token of a result column that stands in no subquery."""
    return column_span(draft, item.node)[0] if item.node is not None else item.at


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
