"""FROM: tables, views, WITH queries, subqueries, functions, VALUES, and how they are joined.

What unqualified names can mean follows the joins: JOIN USING merges columns, an alias of a bracketed
join hides the names inside, ON sees its own two sides, and only LATERAL sees what stands to its left.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from sqlglot import exp

from proxy.sql import expressions, functions, lists, merging, refusals, resolve
from proxy.sql.draft import Draft
from proxy.sql.merging import Joined
from proxy.sql.scope import Cell, Field, RowSource, Scope, Shape
from proxy.sql.tree import only

_TABLE: Final = (
    "this",
    "db",
    "catalog",
    "alias",
    "joins",
    "only",
    "sample",
    "ordinality",
    "rows_from",
)  # fmt: skip


_JOIN: Final = ("this", "on", "using", "side", "kind", "method")


def from_clause(draft: Draft, scope: Scope, node: exp.Expr) -> None:
    """Adds the row sources of a FROM clause to a resolve.query's scope."""
    clause = node.args.get("from_")
    if clause is not None:
        only(clause, "this")
    from_items(
        draft, scope, [clause.this] if clause is not None else [], node.args.get("joins") or ()
    )


def from_items(
    draft: Draft, scope: Scope, items: Sequence[exp.Expr], joins: Sequence[exp.Expr]
) -> None:
    last = Joined()
    for item in items:
        _enter(scope, last)
        last = _item(draft, scope, item)
    for join in joins:
        only(join, *_JOIN)
        if any(join.args.get(key) for key in ("on", "using", "side", "kind", "method")):
            _join(draft, scope, last, join)
        else:  # a comma
            _enter(scope, last)
            last = _item(draft, scope, join.this)
    _enter(scope, last)


def _enter(scope: Scope, joined: Joined) -> None:
    """A finished item of FROM: the ones to its right may refer to it if they are LATERAL."""
    scope.sources.extend(joined.sources)
    scope.visible.extend(joined.visible)
    scope.open |= joined.open


def _join(draft: Draft, scope: Scope, left: Joined, join: exp.Expr) -> None:
    """Joins one more item to `left`."""
    siblings = Scope(scope.parent, list(scope.sources), list(scope.visible), scope.open, scope.ctes)
    _enter(siblings, left)
    right = _item(draft, siblings, join.this)
    using = [draft.name(_using_name(column)) for column in join.args.get("using") or ()]
    if join.args.get("method"):
        using = _natural(left, right)
    left.visible = merging.merged(draft, merging.Sides(left, right, join), using)
    left.sources.extend(right.sources)
    left.open |= right.open
    on = join.args.get("on")
    if on is not None:
        expressions.walk(draft, left.scope(scope), on, "as a condition")


def _using_name(node: exp.Expr) -> exp.Expr:
    return node.this if isinstance(node, exp.Column) else node


def _natural(left: Joined, right: Joined) -> list[str]:
    if (left.open and Shape(tuple(right.visible)).sealed) or (
        right.open and Shape(tuple(left.visible)).sealed
    ):
        raise refusals.not_understood("NATURAL JOIN")
    names = {f.name for f in right.visible}
    return [f.name for f in left.visible if f.name is not None and f.name in names]


def _item(draft: Draft, scope: Scope, node: exp.Expr) -> Joined:
    """One item of FROM. `scope` holds the items to its left, for LATERAL."""
    joined = Joined()
    if (
        isinstance(node, exp.Subquery)
        and isinstance(node.this, (exp.Table, exp.Subquery))
        and _is_join(node)
    ):
        joined = _bracketed_join(draft, scope, node)
    else:
        joined = _alone(_source(draft, scope, node))
    for join in node.args.get("joins") or ():
        only(join, *_JOIN)
        _join(draft, scope, joined, join)
    return joined


def _alone(source: RowSource) -> Joined:
    columns = [replace(f, of=source.name, qualified=None) for f in source.shape.fields]
    # One object for one column, whether it is reached by the source's name or without.
    source = replace(source, shape=Shape(tuple(columns), source.shape.open))
    return Joined([source], columns, source.shape.open)


def _is_join(node: exp.Expr) -> bool:
    """Brackets around a join rather than a resolve.query."""
    while isinstance(node, exp.Subquery):
        if node.args.get("joins"):
            return True
        node = node.this
    return isinstance(node, exp.Table)


def _bracketed_join(draft: Draft, scope: Scope, node: exp.Subquery) -> Joined:
    only(node, "this", "alias", "joins")
    inner = _item(draft, scope, node.this)
    alias = node.args.get("alias")
    if alias is None:
        return inner
    # An alias hides the names inside.
    merging.check_unmerged(inner.visible)
    name, shape = _aliased(draft, alias, None, Shape(tuple(inner.visible), inner.open))
    return _alone(RowSource(name, shape))


def _source(draft: Draft, scope: Scope, node: exp.Expr) -> RowSource:
    if isinstance(node, exp.Lateral):
        only(node, "this", "alias", "ordinality", "outer", "view", "cross_apply")
        if isinstance(node.this, exp.Subquery):
            return _derived(draft, node.args.get("alias"), resolve.query(draft, scope, node.this))
        return _function(draft, scope, node)
    if isinstance(node, (exp.Subquery, exp.Values)):
        # Without LATERAL the items to the left are out of reach.
        outer = Scope(scope.parent, ctes=scope.ctes)
        return _derived(draft, node.args.get("alias"), resolve.query(draft, outer, node))
    if isinstance(node, exp.Table) and isinstance(node.this, exp.Identifier):
        return table(draft, scope, node)
    if isinstance(node, exp.Table):
        return _function(draft, scope, node)
    raise refusals.not_understood()


def _derived(draft: Draft, alias: exp.Expr | None, shape: Shape) -> RowSource:
    name, shape = _aliased(draft, alias, None, lists.typed(draft, shape))
    return RowSource(name, shape)


def table(draft: Draft, scope: Scope | None, node: exp.Expr) -> RowSource:
    """A table, view or WITH resolve.query by name; `scope` None: not a WITH resolve.query (the target of a write)."""
    only(node, *_TABLE)
    if node.args.get("catalog") is not None:
        catalog = draft.name(node.args["catalog"])
        if catalog != draft.catalog.database:
            raise refusals.unknown_qualifier()
    schema = draft.name(node.args["db"]) if node.args.get("db") is not None else None
    name = draft.name(node.this)
    sample = node.args.get("sample")
    if sample is not None:
        expressions.walk(draft, scope or Scope(), sample, "in TABLESAMPLE")
    alias = node.args.get("alias")
    if scope is not None and schema is None and name in scope.ctes:
        shape = scope.ctes[name]
        if shape is None:
            raise refusals.not_understood("WITH RECURSIVE")
        named, shape = _aliased(draft, alias, name, shape)
        return RowSource(named, shape)
    found = draft.relation(schema, name)
    if alias is None:
        return found
    named, shape = _aliased(draft, alias, name, found.shape)
    return RowSource(named, shape, relation=True)


def _aliased(
    draft: Draft, alias: exp.Expr | None, name: str | None, shape: Shape
) -> tuple[str | None, Shape]:
    if alias is None:
        return name, shape
    only(alias, "this", "columns")
    if alias.args.get("this") is not None:
        name = draft.name(alias.this)
    columns = [
        draft.name(c.this if isinstance(c, exp.ColumnDef) else c)
        for c in alias.args.get("columns") or ()
    ]
    return name, shape.renamed(columns)


def _function(draft: Draft, scope: Scope, node: exp.Expr) -> RowSource:
    """A function in FROM: its columns are not known."""
    if isinstance(node, exp.Table):
        only(node, *_TABLE)
        for key in ("db", "catalog"):
            if node.args.get(key) is not None and draft.name(node.args[key]) == "sealgate":
                raise refusals.terms_are_internal()
    alias = node.args.get("alias")
    shape = _unnested(draft, node)
    if shape is not None:
        name, shape = _aliased(draft, alias, "unnest", shape)
        if alias is not None and len(shape.fields) == 1 and not alias.args.get("columns"):
            shape = shape.renamed([name or ""])
        return RowSource(name, shape)
    name = None
    calls = node.args.get("rows_from") or [node]
    for call in calls:
        function = call.this
        if not isinstance(function, exp.Expr):
            raise refusals.not_understood()
        expressions.walk(draft, scope, function, "as an argument of a function")
        name = function.name if isinstance(function, exp.Anonymous) and len(calls) == 1 else None
        returned = _returned(draft, node, function)
        if returned is not None and len(calls) > 1:
            raise refusals.not_understood("ROWS FROM")
        if returned is not None:
            return RowSource(*_aliased(draft, alias, name, returned))
    name, shape = _aliased(draft, alias, name, Shape(open=True))
    if name is not None and not shape.fields:
        # A function that returns a scalar has one column, named as the function or its alias.
        shape = Shape((Field(name),), open=True)
    return RowSource(name, shape)


def _returned(draft: Draft, node: exp.Expr, function: exp.Expr) -> Shape | None:
    """The columns of a function whose result holds sealed values."""
    db, alias = node.args.get("db"), node.args.get("alias")
    named = alias.args.get("this") if alias is not None else None
    shape = functions.table_shape(
        draft,
        function,
        draft.name(db) if db is not None else None,
        draft.name(named) if named is not None else None,
    )
    if shape is not None and node.args.get("ordinality"):
        shape = Shape((*shape.fields, Field("ordinality")))
    return shape


def _unnested(draft: Draft, node: exp.Expr) -> Shape | None:
    """unnest() of arrays that are written out or given as parameters: one column for each."""
    call = node.this
    if node.args.get("rows_from") or not isinstance(call, exp.Anonymous) or call.name != "unnest":
        return None
    if not call.expressions or not all(map(lists.is_array, call.expressions)):
        return None
    columns = [Field("unnest", cells=(Cell(array, array=True),)) for array in call.expressions]
    if node.args.get("ordinality"):
        columns.append(Field("ordinality"))
    return Shape(tuple(columns))
