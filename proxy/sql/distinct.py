"""SELECT DISTINCT and DISTINCT ON, which become DISTINCT ON of terms.

    SELECT DISTINCT a, email             SELECT DISTINCT ON (1, sealgate.eq(email)) a, email
    SELECT DISTINCT ON (email) id        SELECT DISTINCT ON (sealgate.eq(email)) id

Terms of equality tell apart what PostgreSQL tells apart. Which of two equal values is kept is as open as there (1.0 or
1.00). Of DISTINCT and ORDER BY together PostgreSQL demands that they speak of the same expressions
(transformDistinctOnClause), so a column that is sorted by is told apart by its order terms; a text, whose order terms tell
its first bytes only, by both of its terms.
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlglot import exp

from proxy.sql import capability, comparisons, ordering, refusals, selection
from proxy.sql.capability import By
from proxy.sql.columns import bare, column_span, sealed_column, spelled
from proxy.sql.draft import Draft
from proxy.sql.ordering import Sorted
from proxy.sql.scope import Field, Scope, SealedRef
from proxy.sql.selection import Item, Result
from proxy.sql.tree import only, text_at, unbracketed
from proxy.sql.values import word


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
        ordering.check_own(ref, chosen, column, "in DISTINCT")
        told = _told_apart(draft, ref, _sorting(orders, place, column, chosen.node))
        found += [f"{by.opening}{text})" for by in told]
    return found


def _distinct_on(
    draft: Draft, scope: Scope, item: exp.Expr, result: Result, orders: Sequence[Sorted]
) -> None:
    node = unbracketed(item)
    place = ordering.place_of_output(draft, scope, node, result)
    if place is not None:
        chosen = result.items[place]
        draft.use_cells(chosen.field.cells)
        ref = chosen.field.sealed
        if ref is not None:
            column = selection.column_of(draft, scope, chosen)
            ordering.check_own(ref, chosen, column, "in DISTINCT")
            sorting = _sorting(orders, place, column, chosen.node)
            first, *more = _told_apart(draft, ref, sorting)
            at, text = ordering.put_term(draft, scope, chosen, ref, node, first, "in DISTINCT")
            ordering.add_terms(
                draft, draft.tokens[ordering.behind(draft, at, item) - 1].end, more, text
            )
        return
    inner = bare(node)
    ref = sealed_column(draft, scope, node)
    if ref is None or not isinstance(inner, exp.Column):
        ordering.told_apart(draft, scope, item, "in DISTINCT")
        return
    sorting = _sorting(orders, None, ordering.column_of(draft, scope, node), node)
    first, *more = _told_apart(draft, ref, sorting)
    start, end = column_span(draft, item)
    ordering.check_alone(draft, start, end)
    comparisons.as_term(draft, node, first)
    ordering.add_terms(draft, draft.tokens[end - 1].end, more, spelled(draft, scope, inner))


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
        ordering.add_terms(draft, one.end, [equality], one.text)
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
