"""GROUP BY a sealed column: by its terms, and what the rest of the query then sees of it.

    SELECT email, count(*) FROM customers GROUP BY email HAVING email <> 'x'
    SELECT sealgate.any_value(email) AS "email", count(*) FROM customers GROUP BY sealgate.eq(email)
      HAVING sealgate.eq(sealgate.any_value(email)) <> sealgate.eq(...)

Equal values are sealed differently each time, so a group is one of terms, and its column shows one of its values:
which of those that are equal (1.0 or 1.00) is as open as in PostgreSQL. The scope behind GROUP BY (`grouped`) has for each
such column what a reference to it becomes; arguments of aggregates are about rows, and see the columns themselves
(`Scope.rows`). A column by which is not grouped stays as it is, and the server says of it what it says of any (42803).

In a row of GROUPING SETS, ROLLUP or CUBE whose set is without the column its term is NULL, and so is what is shown of it.

A name is first a column of FROM, then one of the select list; a number is a place in that list, in grouping sets as well
(findTargetlistEntrySQL92).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from sqlglot import exp

from proxy.catalog import SCHEMA
from proxy.sql import capability, comparisons, expressions, ordering, refusals, selection
from proxy.sql.capability import By
from proxy.sql.columns import bare, resolved
from proxy.sql.draft import Draft
from proxy.sql.scope import SYSTEM_COLUMNS, Field, RowSource, Scope, SealedRef
from proxy.sql.selection import Result
from proxy.sql.tree import only, unbracketed


@dataclass(slots=True)
class Grouping:
    """A GROUP BY clause as read before the select list."""

    scope: Scope
    """As the groups see it."""
    referred: list[tuple[exp.Expr, int]] = field(default_factory=list)
    """Names and numbers of result columns that are no columns of FROM: with their places."""
    numbers: list[exp.Expr] = field(default_factory=list)
    expressions: list[tuple[exp.Expr, SealedRef]] = field(default_factory=list)
    """What is grouped by and is no column, of which the values are sealed."""


def read(draft: Draft, scope: Scope, node: exp.Select) -> Grouping:
    """Reads GROUP BY and makes it one of terms. `scope`: FROM as its rows see it."""
    clause = node.args.get("group")
    if clause is None:
        return Grouping(scope)
    # DISTINCT and ALL are about grouping sets that are the same twice.
    only(clause, "expressions", "grouping_sets", "cube", "rollup", "all")
    result = selection.outline(draft, scope, node.expressions)
    found = Grouping(scope)
    columns: list[tuple[Field, str]] = []
    parts = [one for key in _PARTS for one in clause.args.get(key) or ()]
    sets = any(map(_has_sets, parts))
    places: dict[int, int | None] = {}
    for leaf in [leaf for part in parts for leaf in _leaves(part)]:
        place = _output(draft, scope, leaf, result, found)
        grouped = _by_expression(draft, scope, leaf, found) if place is None else None
        if place is not None:
            grouped = _by_output(draft, scope, leaf, result, place)
            if grouped is None:
                found.referred.append((leaf, place))
        if grouped is not None:
            column, by = grouped
            if sets and places.setdefault(id(column), place) != place:
                # Each result column is then one of its own, which is NULL where its own place is not in the set.
                raise refusals.misuse(_label(column), "in grouping sets as two result columns")
            columns.append((column, _shown(by, sets=sets)))
    if columns:
        found.scope = _grouped(scope, columns)
    return found


def _label(column: Field) -> str:
    return column.sealed.label if column.sealed is not None else ""


_PARTS = ("expressions", "grouping_sets", "cube", "rollup")
_SETS = (exp.Rollup, exp.Cube, exp.GroupingSets)


def _shown(by: By, *, sets: bool) -> str:
    """What a reference to the column becomes, `{0}` for itself."""
    value = f"{SCHEMA}.any_value({{0}})"
    return f"CASE WHEN {by.opening}{{0}}) IS NOT NULL THEN {value} END" if sets else value


def _leaves(node: exp.Expr) -> Iterator[exp.Expr]:
    """What is grouped by, of lists in brackets and grouping sets each item."""
    inner = unbracketed(node)
    if isinstance(inner, (exp.Tuple, *_SETS)):
        for part in inner.expressions:
            yield from _leaves(part)
    else:
        yield node


def _has_sets(node: exp.Expr) -> bool:
    return isinstance(unbracketed(node), _SETS)


def _output(
    draft: Draft, scope: Scope, leaf: exp.Expr, result: Result, found: Grouping
) -> int | None:
    """The result column that a name or number means; None: it is an expression."""
    node = unbracketed(leaf)
    if isinstance(node, exp.Column) and not isinstance(node.this, exp.Star):
        if node.args.get("table") is not None or scope.has_local(node.name):
            return None
        place = selection.reference(draft, scope, result, node.name)
        if place is not None and (scope.open or node.name in SYSTEM_COLUMNS):
            # FROM may have a column of this name, which goes first.
            found.referred.append((node, place))
            return None
        if place is not None:
            _check_one(draft, scope, result, node.name)
            draft.name(node.this)
        return place
    number = selection.ordinal(draft, node)
    if number is None:
        return None
    found.numbers.append(node)
    columns = [selection.column_of(draft, scope, item) for item in result.items]
    if any(one is not None and one.sealed is not None for one in columns):
        draft.deciding.add(draft.tokens[ordering.token(node)].start)
    return number - 1 if not result.open and 1 <= number <= len(result.items) else None


def _check_one(draft: Draft, scope: Scope, result: Result, name: str) -> None:
    """Raises Refused for a name that several result columns have, of which a sealed one becomes its term."""
    columns = [selection.column_of(draft, scope, result.items[at]) for at in result.named(name)]
    sealed = any(one is not None and one.sealed is not None for one in columns)
    if sealed and any(one is None or one is not columns[0] for one in columns):
        raise refusals.ambiguous_column(name)


def _by_expression(
    draft: Draft, scope: Scope, leaf: exp.Expr, grouping: Grouping
) -> tuple[Field, By] | None:
    """An item that is grouped by as it stands. Returns the sealed column that it is, for the select list."""
    if isinstance(unbracketed(leaf), exp.Literal):
        return None
    found = comparisons.operand(draft, scope, leaf, capability.equality)
    if found is None:
        expressions.walk(draft, scope, leaf, "in GROUP BY")
        return None
    ordering.check_alone(draft, *comparisons.term(draft, scope, found[0], leaf, found[1]))
    inner = bare(leaf)
    if isinstance(inner, exp.Column):
        return resolved(draft, scope, inner), found[1]
    grouping.expressions.append((unbracketed(leaf), found[0]))
    return None


def _by_output(
    draft: Draft, scope: Scope, leaf: exp.Expr, result: Result, place: int
) -> tuple[Field, By] | None:
    """An item that names a result column. None: that is no sealed column, or a plain one."""
    item = result.items[place]
    column = selection.column_of(draft, scope, item)
    if column is None or column.sealed is None:
        return None
    by = capability.equality(draft, column.sealed)
    text = selection.text(draft, scope, item)
    if text is None:
        raise refusals.by_reference(column.sealed.label, "in GROUP BY")
    at = ordering.token(unbracketed(leaf))
    ordering.check_alone(draft, at, at + 1)
    token = draft.tokens[at]
    draft.edit(token.start, token.end, f"{by.opening}{text})")
    return column, by


def settle(draft: Draft, grouping: Grouping, result: Result) -> None:
    """Looks at what the clause refers to, now that the select list is known."""
    sealed = result.sealed
    if grouping.numbers and sealed is not None:
        draft.deciding.update(draft.tokens[ordering.token(one)].start for one in grouping.numbers)
        if result.open:
            raise refusals.misuse(sealed.label, "in GROUP BY")
    for node, ref in grouping.expressions:
        # Of two values that are written alike the sealed ones differ, and the server would say that it is not grouped by.
        draft.literal_shaped = True
        if any(item.node is not None and unbracketed(item.node) == node for item in result.items):
            raise refusals.by_reference(ref.label, "in GROUP BY")
    for _, place in grouping.referred:
        column = result.items[place].field
        if column.sealed is not None:
            raise refusals.by_reference(column.sealed.label, "in GROUP BY")
        draft.use_cells(column.cells)


def grouping(draft: Draft, scope: Scope, node: exp.Anonymous) -> None:
    """`GROUPING(email)` names what is grouped by. `scope`: that of rows, as in GROUP BY."""
    for item in node.expressions:
        ordering.told_apart(draft, scope, item, "as an argument of grouping()")


def _grouped(scope: Scope, columns: list[tuple[Field, str]]) -> Scope:
    """The scope in which references to these columns are to groups."""
    new: dict[int, Field] = {}
    for column, shown in columns:
        new[id(column)] = replace(column, grouped=shown, domain=False)
        for other in _same(scope, column):
            new[id(other)] = replace(other, grouped=shown, domain=False)
    sources = [_with(source, new) for source in scope.sources]
    visible = [new.get(id(one), one) for one in scope.visible]
    return replace(scope, sources=sources, visible=visible, ungrouped=scope)


def _same(scope: Scope, column: Field) -> Iterator[Field]:
    """A merged column of JOIN ... USING is that of one of its sides."""
    sides = [
        one
        for source in scope.sources
        for one in source.shape.fields
        if (one.of, one.name) == (column.of, column.name)
    ]
    merged = [one for one in scope.visible if one.qualified is not None]
    for one in (*sides, *merged):
        same = one is not column and (one.of, one.name) == (column.of, column.name)
        if same and (column.qualified is not None or one.qualified is not None):
            yield one


def _with(source: RowSource, new: dict[int, Field]) -> RowSource:
    if not any(id(one) in new for one in source.shape.fields):
        return source
    fields = tuple(new.get(id(one), one) for one in source.shape.fields)
    return replace(source, shape=replace(source.shape, fields=fields))
