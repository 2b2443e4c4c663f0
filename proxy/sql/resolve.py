"""Queries: which sealed column each result column carries.

`query` takes a SELECT, a set operation, VALUES or a bracketed one of these and returns its `Shape`.
On the way every expression in it is analysed (`expressions`), every name explained. With `targets`
the query's result is stored (INSERT ... SELECT, SET (a, b) = (SELECT ...)): a value that stands in
the place of a sealed column is sealed there, and sealed values may only go where they belong.

Sealed values pass through FROM, WITH, views and UNION ALL unchanged; wherever the server would have
to compare, sort or deduplicate them, the statement is refused.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from functools import reduce
from typing import Final

from sqlglot import exp

from proxy.sql import (
    assignment,
    common,
    distinct,
    expressions,
    functions,
    grouping,
    lists,
    ordering,
    refusals,
    selection,
    sources,
    uniting,
    writes,
)
from proxy.sql.columns import bare, field_of, listed, type_of, with_modifier, without_modifier
from proxy.sql.draft import Draft
from proxy.sql.parse import position
from proxy.sql.scope import PLAIN, Cell, Field, Scope, SealedRef, Shape, Targets
from proxy.sql.selection import Item, Result
from proxy.sql.tree import only, unbracketed
from proxy.sql.values import chain

_SELECT: Final = (
    "with_", "distinct", "expressions", "from_", "joins", "where", "group", "having", "windows",
    "order", "limit", "offset", "locks",
)  # fmt: skip


_MODIFIERS: Final = ("order", "limit", "offset")
MOST_COLUMNS: Final = 1664
"""MaxTupleAttributeNumber: a chain of WITH queries that doubles its columns is not followed for long."""


def query(
    draft: Draft, parent: Scope | None, node: exp.Expr, targets: Targets | None = None
) -> Shape:
    key = (id(node), targets)
    if key not in draft.shapes:
        draft.shapes[key] = _query(draft, parent, node, targets)
    return draft.shapes[key]


def _query(draft: Draft, parent: Scope | None, node: exp.Expr, targets: Targets | None) -> Shape:
    if isinstance(node, exp.Select):
        listed_rows = _bare_values(node)
        if listed_rows is not None:
            return _values(draft, parent, listed_rows, targets)
        return _select(draft, parent, node, targets, ())
    if isinstance(node, exp.SetOperation):
        return _set_operation(draft, parent, node, targets)
    if isinstance(node, exp.Values):
        return _values(draft, parent, node, targets)
    if isinstance(node, exp.Subquery):
        return _bracketed(draft, parent, node, targets)
    raise refusals.not_understood()


def _bare_values(node: exp.Select) -> exp.Values | None:
    """The VALUES around which sqlglot puts a SELECT * of its own, in WITH for instance."""
    star = node.expressions[0] if node.expressions else None
    source = node.args.get("from_")
    if not isinstance(star, exp.Star) or position(star) is not None or source is None:
        return None
    if not isinstance(source.this, exp.Values):
        return None
    only(node, "expressions", "from_")
    return source.this


def with_queries(draft: Draft, parent: Scope | None, node: exp.Expr) -> Scope:
    """A scope in which the WITH queries of `node` are known; `parent`'s columns stay in reach."""
    known = dict(parent.ctes) if parent is not None else {}
    scope = Scope(parent, ctes=known)
    clause = node.args.get("with_")
    if clause is None:
        return scope
    only(clause, "expressions", "recursive")
    recursive = bool(clause.args.get("recursive"))
    if recursive:
        # A query may refer to itself and, though PostgreSQL orders them first, to later ones.
        known.update((_cte_name(draft, cte), None) for cte in clause.expressions)
    for cte in clause.expressions:
        only(cte, "this", "alias", "materialized")
        name = _cte_name(draft, cte)
        aliases = [draft.name(c) for c in cte.args["alias"].args.get("columns") or ()]
        if recursive and isinstance(cte.this, exp.SetOperation):
            known[name] = use_cells(draft, query(draft, scope, cte.this.this)).renamed(aliases)
        seed = known.get(name)
        body = cte.this
        if isinstance(body, writes.WRITES):
            shape = writes.write(draft, scope, body)
        else:
            shape = query(draft, scope, body)
        known[name] = lists.typed(draft, shape).renamed(aliases)
        if recursive and seed is not None and seed != known[name]:
            # The recursive term was read as if its own rows were the first term's.
            raise refusals.not_understood("WITH RECURSIVE")
    return scope


def _cte_name(draft: Draft, cte: exp.Expr) -> str:
    return draft.name(cte.args["alias"].this)


def _select(
    draft: Draft,
    parent: Scope | None,
    node: exp.Select,
    targets: Targets | None,
    orders: Sequence[exp.Expr],
) -> Shape:
    # SELECT INTO stands at the top only, where `analysis` looks at it.
    only(node, *_SELECT, *(("into",) if parent is None else ()))
    scope = with_queries(draft, parent, node)
    sources.from_clause(draft, scope, node)
    _condition(draft, scope, node, "where")
    groups = grouping.read(draft, scope, node)
    scope = groups.scope
    result = _projections(draft, scope, node.expressions, targets)
    grouping.settle(draft, groups, result)
    _condition(draft, scope, node, "having")
    expressions.walk_all(draft, scope, node.args.get("windows") or (), "in a window definition")
    sorts = [
        item
        for order in (node.args.get("order"), *orders)
        for item in ordering.order(draft, scope, order, result)
    ]
    distinct.distinct(draft, scope, node.args.get("distinct"), result, sorts)
    if ordering.with_ties(node) or (orders and ordering.with_ties(node.parent)):
        ordering.tell_peers(draft, sorts)
    _limits(draft, scope, node)
    return result.shape


def _condition(draft: Draft, scope: Scope, node: exp.Expr, key: str) -> None:
    clause = node.args.get(key)
    if clause is not None:
        expressions.walk(draft, scope, clause.this, "as a condition")


def _limits(draft: Draft, scope: Scope, node: exp.Expr) -> None:
    for key in ("limit", "offset"):
        clause = node.args.get(key)
        if isinstance(clause, exp.Expr):
            expressions.walk(draft, scope, clause, "in LIMIT")
    for lock in node.args.get("locks") or ():
        for table in lock.expressions:
            draft.name(table.this)


def returned(draft: Draft, scope: Scope, nodes: Sequence[exp.Expr]) -> Shape:
    """The shape of a RETURNING list."""
    return _projections(draft, scope, nodes).shape


def _projections(
    draft: Draft, scope: Scope, nodes: Sequence[exp.Expr], targets: Targets | None = None
) -> Result:
    result = Result()
    for node in nodes:
        place = len(result.items)
        if place > MOST_COLUMNS:
            raise refusals.too_many_columns()
        starred = _star(draft, scope, node)
        if starred is None:
            inner = node.this if isinstance(node, exp.Alias) else node
            result.items.append(Item(_projection(draft, scope, node, result, targets), inner))
            continue
        if targets is not None:
            if (result.open or starred.open) and any(targets.refs[place:]):
                raise refusals.not_understood("* in a query that fills sealed columns")
            _store(draft, starred.shape, targets.behind(place))
            # What is listed is stored now, and used by nobody else.
            starred.items = [
                replace(item, field=replace(item.field, cells=(), domain=False))
                for item in starred.items
            ]
        result.items.extend(starred.items)
        result.open |= starred.open
    return result


def _store(draft: Draft, starred: Shape, targets: Targets) -> None:
    """The columns that a `*` stands for go into `targets` and, beyond these, into plain columns."""
    for place, column in enumerate(starred.fields):
        target = targets.at(place)
        if target is not None and column.cells:
            lists.seal_cells(draft, column, target, use=targets.use)
        else:
            draft.use_cells(column.cells)
            assignment.flow(draft, (column,), (target,), targets.use)


def _star(draft: Draft, scope: Scope, node: exp.Expr) -> Result | None:
    """The columns that `*` or `t.*` stands for."""
    if isinstance(node, exp.Dot) and isinstance(node.expression, exp.Star):
        expressions.walk(draft, scope, node)
        return Result(open=True)
    starred = selection.star(draft, scope, node)
    if starred is not None:
        selection.write_out(draft, node, starred)
    return starred


def _projection(
    draft: Draft, scope: Scope, node: exp.Expr, result: Result, targets: Targets | None
) -> Field:
    expression = node
    if isinstance(node, exp.Alias):
        expression = node.this
        name: str | None = draft.name(node.args["alias"])
    else:
        name = selection.figured_name(node)
    place = len(result.items)
    target = _target(targets, place)
    if targets is not None and target is not None:
        if result.open:
            raise refusals.not_understood("* in a query that fills sealed columns")
        assignment.sealable(
            draft, scope, expression, target, direct=False, use=targets.use, default=targets.default
        )
        return Field(name, target)
    if targets is None:
        cells = _cells(draft, scope, expression)
        if len(cells) == 1 and expression is node and chain(unbracketed(node)) is not None:
            cells = (replace(cells[0], label=lists.label(draft, node)),)
        if cells:
            return Field(name, cells=cells)
    ref = assignment.carried(draft, scope, expression)
    ref = ref or functions.scalar_ref(draft, expression)
    if expression is node:
        selection.keep_name(draft, scope, node)
    if targets is not None:
        assignment.flow(draft, (Field(name, ref),), (None,), targets.use)
    return Field(name, ref, domain=ref is not None and _keeps_domain(draft, scope, expression))


def _keeps_domain(draft: Draft, scope: Scope, node: exp.Expr) -> bool:
    """A column, or a subquery of one: anything else is bytea to the server."""
    inner = bare(node)
    if isinstance(inner, exp.Column) and not isinstance(inner.this, exp.Star):
        return field_of(draft, scope, inner).domain
    if isinstance(inner, exp.Subquery):
        return all(field.domain for field in query(draft, scope, inner).fields)
    return False


def _cells(draft: Draft, scope: Scope, node: exp.Expr) -> tuple[Cell, ...]:
    """The values of a result column, as long as nobody has used them."""
    cells = listed(draft, scope, node)
    cell = lists.cell(node)
    if cells or cell is None:
        return cells
    function = unbracketed(node)
    if isinstance(function, exp.Anonymous):
        expressions.function(draft, scope, function)
    return (cell,)


def use_cells(draft: Draft, shape: Shape) -> Shape:
    """The values in a result are used as they are."""
    for field in shape.fields:
        draft.use_cells(field.cells)
    return shape


def _set_operation(
    draft: Draft, parent: Scope | None, node: exp.SetOperation, targets: Targets | None
) -> Shape:
    only(node, "this", "expression", "distinct", "with_", *_MODIFIERS)
    scope = with_queries(draft, parent, node)
    if targets is not None and not isinstance(node.parent, exp.SetOperation):
        common.check_union(draft, node, enumerate(targets.refs))
    left = query(draft, scope, node.this, targets)
    right = query(draft, scope, node.expression, targets)
    bag = isinstance(node, exp.Union) and not node.args.get("distinct")
    if not bag:
        use_cells(draft, left)
        use_cells(draft, right)
    shape = _united(draft, left, right)
    sealed = shape.sealed or left.sealed or right.sealed
    united = not bag and sealed is not None and not uniting.is_absorbed(node)
    if united and sealed is not None and (targets is not None or not isinstance(node, exp.Union)):
        raise refusals.deduplicated(sealed.label)
    if united or (targets is None and ordering.sorts_sealed(draft, node, shape)):
        uniting.unite(draft, node, shape)
    else:
        ordering.order_by_output(draft, node, shape)
    _limits(draft, scope, node)
    return shape


def _united(draft: Draft, left: Shape, right: Shape) -> Shape:
    if left.open or right.open or len(left.fields) != len(right.fields):
        sealed = left.sealed or right.sealed
        if sealed is not None:
            raise refusals.mixed(sealed.label)
        use_cells(draft, left)
        use_cells(draft, right)
        return Shape(left.fields, open=True)
    return Shape(
        tuple(_side_by_side(draft, *sides) for sides in zip(left.fields, right.fields, strict=True))
    )


def _side_by_side(draft: Draft, one: Field, other: Field) -> Field:
    """A column of UNION: of one sealed column, of values that may be sealed for it, or of neither."""
    ref = one.sealed or other.sealed
    if ref is None:
        if one.cells and other.cells:
            # One list may be named many times.
            both = {(id(c.node), c.type): c for c in (*one.cells, *other.cells)}
            return Field(one.name, cells=tuple(both.values()))
        draft.use_cells((*one.cells, *other.cells))
        return Field(one.name)
    for side in (one, other):
        if side.cells and side.sealed is None:
            lists.beside(draft, side, ref)
        elif side.sealed is None or side.sealed.label != ref.label:
            raise refusals.mixed(ref.label)
    domain = one.domain and other.domain
    if one.sealed is None or other.sealed is None or type_of(one.sealed) != type_of(other.sealed):
        return Field(one.name, without_modifier(one.sealed or ref), domain=domain)
    return Field(one.name, with_modifier(ref), domain=domain)


def _values(draft: Draft, parent: Scope | None, node: exp.Values, targets: Targets | None) -> Shape:
    only(node, "expressions", "alias", *_MODIFIERS)
    scope = Scope(parent, ctes=parent.ctes if parent is not None else {})
    rows = [row.expressions if isinstance(row, exp.Tuple) else [row] for row in node.expressions]
    if targets is None:
        shape = _listed_rows(draft, scope, rows)
    else:
        for place, ref in enumerate(targets.refs):
            if ref is not None:
                common.check_nodes(draft, ref, [row[place] for row in rows if place < len(row)])
        typed = {n for row in rows for n, cell in enumerate(row) if common.type_of(draft, cell)}
        for row in rows:
            value_row(draft, scope, row, targets, typed=typed)
        width = max(map(len, rows))
        shape = Shape(tuple(Field(f"column{n + 1}", targets.at(n)) for n in range(width)))
    ordering.order_by_output(draft, node, shape)
    _limits(draft, scope, node)
    return shape


def _listed_rows(draft: Draft, scope: Scope, rows: Sequence[Sequence[exp.Expr]]) -> Shape:
    """The columns of VALUES that is not stored: rows of it are side by side as in UNION ALL."""
    if len({len(row) for row in rows}) != 1:
        raise refusals.not_understood("VALUES with lists of several lengths")
    columns = zip(*([_listed(draft, scope, cell) for cell in row] for row in rows), strict=True)
    return Shape(
        tuple(
            replace(_one_below_other(draft, column), name=f"column{n + 1}")
            for n, column in enumerate(columns)
        )
    )


def _listed(draft: Draft, scope: Scope, node: exp.Expr) -> Field:
    cells = _cells(draft, scope, node)
    if cells or assignment.is_default(draft, node):
        return Field(None, cells=cells)
    ref = assignment.carried(draft, scope, node)
    return Field(None, ref, domain=ref is not None and _keeps_domain(draft, scope, node))


def _one_below_other(draft: Draft, column: Sequence[Field]) -> Field:
    if all(field.cells for field in column):
        return Field(None, cells=tuple(cell for field in column for cell in field.cells))
    if not any(field.sealed for field in column):
        for field in column:
            draft.use_cells(field.cells)
        return PLAIN
    first = next(field for field in column if field.sealed)
    return reduce(lambda one, other: _side_by_side(draft, one, other), column, first)


def value_row(
    draft: Draft,
    scope: Scope,
    cells: Sequence[exp.Expr],
    targets: Targets | None,
    *,
    direct: bool = False,
    typed: Collection[int] = (),
) -> None:
    """Expressions that are stored, or only listed, side by side. `typed`: places where a value in some row has a type,
    which is that of the others then."""
    for place, cell in enumerate(cells):
        target = _target(targets, place)
        if targets is not None and target is not None:
            default = None if place in typed else targets.default
            assignment.sealable(
                draft, scope, cell, target, direct=direct, use=targets.use, default=default
            )
        elif not assignment.is_default(draft, cell):
            ref = assignment.carried(draft, scope, cell)
            if ref is not None:
                raise refusals.plain_target(ref.label)


def _target(targets: Targets | None, place: int) -> SealedRef | None:
    return targets.at(place) if targets is not None else None


def _bracketed(
    draft: Draft, parent: Scope | None, node: exp.Subquery, targets: Targets | None
) -> Shape:
    # Joins behind the brackets are the FROM clause's.
    only(node, "this", "alias", "with_", "joins", *_MODIFIERS)
    scope = with_queries(draft, parent, node)
    order = node.args.get("order")
    if isinstance(node.this, exp.Select):
        # An ORDER BY behind the brackets sees what the SELECT inside sees.
        shape = _select(draft, scope, node.this, targets, [order] if order else [])
    else:
        shape = query(draft, scope, node.this, targets)
        ordering.order_by_output(draft, node, shape)
    _limits(draft, scope, node)
    return shape
