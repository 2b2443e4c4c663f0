"""Queries: which sealed column each result column carries.

`query` takes a SELECT, a set operation, VALUES or a bracketed one of these and returns its `Shape`.
On the way every expression in it is analysed (`expressions`), every name explained. With `targets`
the query's result is stored (INSERT ... SELECT, SET (a, b) = (SELECT ...)): a value that stands in
the place of a sealed column is sealed there, and sealed values may only go where they belong.

Sealed values pass through FROM, WITH, views and UNION ALL unchanged; wherever the server would have
to compare, sort or deduplicate them, the statement is refused.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from sqlglot import exp

from proxy.sql import assignment, expressions, ordering, refusals, sources, writes
from proxy.sql.draft import Draft
from proxy.sql.scope import Field, Scope, SealedRef, Shape
from proxy.sql.tree import only, unbracketed

Targets = tuple[SealedRef | None, ...] | None


_SELECT: Final = (
    "with_", "distinct", "expressions", "from_", "joins", "where", "group", "having", "windows",
    "order", "limit", "offset", "locks",
)  # fmt: skip


_MODIFIERS: Final = ("order", "limit", "offset")


def query(draft: Draft, parent: Scope | None, node: exp.Expr, targets: Targets = None) -> Shape:
    key = (id(node), targets)
    if key not in draft.shapes:
        draft.shapes[key] = _query(draft, parent, node, targets)
    return draft.shapes[key]


def _query(draft: Draft, parent: Scope | None, node: exp.Expr, targets: Targets) -> Shape:
    if isinstance(node, exp.Select):
        return _select(draft, parent, node, targets, ())
    if isinstance(node, exp.SetOperation):
        return _set_operation(draft, parent, node, targets)
    if isinstance(node, exp.Values):
        return _values(draft, parent, node, targets)
    if isinstance(node, exp.Subquery):
        return _bracketed(draft, parent, node, targets)
    raise refusals.not_understood()


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
            known[name] = query(draft, scope, cte.this.this).renamed(aliases)
        seed = known.get(name)
        body = cte.this
        if isinstance(body, writes.WRITES):
            shape = writes.write(draft, scope, body)
        else:
            shape = query(draft, scope, body)
        known[name] = shape.renamed(aliases)
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
    targets: Targets,
    orders: Sequence[exp.Expr],
) -> Shape:
    # SELECT INTO stands at the top only, where `analysis` looks at it.
    only(node, *_SELECT, *(("into",) if parent is None else ()))
    scope = with_queries(draft, parent, node)
    sources.from_clause(draft, scope, node)
    _condition(draft, scope, node, "where")
    result = _projections(draft, scope, node.expressions, targets)
    ordering.group(draft, scope, node.args.get("group"), result)
    _condition(draft, scope, node, "having")
    expressions.walk_all(draft, scope, node.args.get("windows") or (), "in a window definition")
    ordering.distinct(draft, scope, node.args.get("distinct"), result)
    for order in (node.args.get("order"), *orders):
        ordering.order(draft, scope, order, result)
    _limits(draft, scope, node)
    return Shape(tuple(result.fields), result.open)


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
    result = _projections(draft, scope, nodes)
    return Shape(tuple(result.fields), result.open)


def _projections(
    draft: Draft, scope: Scope, nodes: Sequence[exp.Expr], targets: Targets = None
) -> ordering.Result:
    result = ordering.Result()
    for node in nodes:
        starred = _star(draft, scope, node)
        if starred is None:
            result.fields.append(_projection(draft, scope, node, result, targets))
            continue
        if targets is not None:
            place = len(result.fields)
            if (result.open or starred.open) and any(targets[place:]):
                raise refusals.not_understood("* in a query that fills sealed columns")
            _store(draft, starred, targets[place:])
        else:
            for column in starred.fields:
                draft.use_cells(column.cells)
        result.fields.extend(Field(f.name, f.sealed) for f in starred.fields)
        result.open |= starred.open
    return result


def _store(draft: Draft, starred: Shape, targets: tuple[SealedRef | None, ...]) -> None:
    """The columns that a `*` stands for go into `targets` and, beyond these, into plain columns."""
    for place, column in enumerate(starred.fields):
        target = _target(targets, place)
        if target is not None and column.cells:
            assignment.seal_cells(draft, column.cells, target)
        else:
            draft.use_cells(column.cells)
            assignment.flow((column,), (target,))


def _star(draft: Draft, scope: Scope, node: exp.Expr) -> Shape | None:
    """The columns that `*` or `t.*` stands for."""
    if isinstance(node, exp.Star):
        only(node)
        return Shape(tuple(scope.visible), scope.open)
    if isinstance(node, exp.Column) and isinstance(node.this, exp.Star):
        only(node.this)
        only(node, "this", "table", "db")
        schema = node.args.get("db")
        named = draft.name(schema) if schema is not None else None
        return scope.source(named, draft.name(node.args["table"])).shape
    if isinstance(node, exp.Dot) and isinstance(node.expression, exp.Star):
        expressions.walk(draft, scope, node)
        return Shape(open=True)
    return None


def _projection(
    draft: Draft, scope: Scope, node: exp.Expr, result: ordering.Result, targets: Targets
) -> Field:
    expression = node
    if isinstance(node, exp.Alias):
        expression = node.this
        name: str | None = draft.name(node.args["alias"])
    else:
        name = _figured_name(node)
    place = len(result.fields)
    target = targets[place] if targets is not None and place < len(targets) else None
    if target is not None:
        if result.open:
            raise refusals.not_understood("* in a query that fills sealed columns")
        assignment.sealable(draft, scope, expression, target, direct=False)
        return Field(name, target)
    ref = assignment.carried(draft, scope, expression)
    if ref is not None and targets is not None:
        raise refusals.plain_target(ref.label)
    return Field(name, ref)


def _figured_name(node: exp.Expr) -> str | None:
    """The name PostgreSQL gives a column without AS (FigureColname), where that is simple."""
    node = unbracketed(node)
    if isinstance(node, exp.Cast):
        return _figured_name(node.this)
    if isinstance(node, exp.Case):
        default = node.args.get("default")
        found = _figured_name(default) if default is not None else None
        return found or "case"
    if isinstance(node, exp.Column):
        return node.name
    if isinstance(node, exp.Subquery) and isinstance(node.this, exp.Select):
        first = node.this.expressions[0] if node.this.expressions else node.this
        return first.alias if isinstance(first, exp.Alias) else _figured_name(first)
    if isinstance(node, exp.Anonymous) and node.name not in ("operator", ""):
        return node.name
    return None


def _set_operation(
    draft: Draft, parent: Scope | None, node: exp.SetOperation, targets: Targets
) -> Shape:
    only(node, "this", "expression", "distinct", "with_", *_MODIFIERS)
    scope = with_queries(draft, parent, node)
    left = query(draft, scope, node.this, targets)
    right = query(draft, scope, node.expression, targets)
    shape = _united(left, right, _null_columns(node.this), _null_columns(node.expression))
    bag = isinstance(node, exp.Union) and not node.args.get("distinct")
    sealed = shape.sealed or left.sealed or right.sealed
    if sealed is not None and not bag:
        raise refusals.deduplicated(sealed.label)
    ordering.order_by_output(draft, node, shape)
    _limits(draft, scope, node)
    return shape


def _united(left: Shape, right: Shape, left_nulls: list[bool], right_nulls: list[bool]) -> Shape:
    if left.open or right.open or len(left.fields) != len(right.fields):
        sealed = left.sealed or right.sealed
        if sealed is not None:
            raise refusals.mixed(sealed.label)
        return Shape(left.fields, open=True)
    fields = []
    for place, (one, other) in enumerate(zip(left.fields, right.fields, strict=True)):
        ref = one.sealed or other.sealed
        if ref is not None:
            same = one.sealed == other.sealed
            null = left_nulls if one.sealed is None else right_nulls
            if not same and not (
                None in (one.sealed, other.sealed) and place < len(null) and null[place]
            ):
                raise refusals.mixed(ref.label)
        fields.append(Field(one.name, ref))
    return Shape(tuple(fields))


def _null_columns(node: exp.Expr) -> list[bool]:
    """Which columns of a branch are the constant NULL."""
    node = unbracketed(node)
    while isinstance(node, exp.Subquery):
        node = node.this
    if isinstance(node, exp.SetOperation):
        pairs = zip(_null_columns(node.this), _null_columns(node.expression), strict=False)
        return [one and other for one, other in pairs]
    if not isinstance(node, exp.Select):
        return []
    return [
        isinstance(e.this if isinstance(e, exp.Alias) else e, exp.Null) for e in node.expressions
    ]


def _values(draft: Draft, parent: Scope | None, node: exp.Values, targets: Targets) -> Shape:
    only(node, "expressions", "alias", *_MODIFIERS)
    scope = Scope(parent, ctes=parent.ctes if parent is not None else {})
    width = 0
    for row in node.expressions:
        cells = row.expressions if isinstance(row, exp.Tuple) else [row]
        width = max(width, len(cells))
        value_row(draft, scope, cells, targets)
    shape = Shape(tuple(Field(f"column{n + 1}", _target(targets, n)) for n in range(width)))
    ordering.order_by_output(draft, node, shape)
    _limits(draft, scope, node)
    return shape


def value_row(
    draft: Draft, scope: Scope, cells: Sequence[exp.Expr], targets: Targets, *, direct: bool = False
) -> None:
    """Expressions that are stored, or only listed, side by side."""
    for place, cell in enumerate(cells):
        target = _target(targets, place)
        if target is not None:
            assignment.sealable(draft, scope, cell, target, direct=direct)
        elif not assignment.is_default(draft, cell):
            ref = assignment.carried(draft, scope, cell)
            if ref is not None:
                raise refusals.plain_target(ref.label)


def _target(targets: Targets, place: int) -> SealedRef | None:
    return targets[place] if targets is not None and place < len(targets) else None


def _bracketed(draft: Draft, parent: Scope | None, node: exp.Subquery, targets: Targets) -> Shape:
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
