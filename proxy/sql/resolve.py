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
from dataclasses import dataclass, field, replace
from typing import Final

from sqlglot import exp

from proxy.sql import expressions, refusals, writes
from proxy.sql.draft import Draft
from proxy.sql.lexer import Kind
from proxy.sql.parse import position
from proxy.sql.scope import Field, RowSource, Scope, SealedRef, Shape
from proxy.sql.values import chain

Targets = tuple[SealedRef | None, ...] | None


def only(node: exp.Expr, *known: str) -> None:
    """Refuses a clause that nobody here reads."""
    for key, argument in node.args.items():
        if argument and key not in known:
            raise refusals.not_understood()


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


# SELECT.

_SELECT: Final = (
    "with_", "distinct", "expressions", "from_", "joins", "where", "group", "having", "windows",
    "order", "limit", "offset", "locks",
)  # fmt: skip
_MODIFIERS: Final = ("order", "limit", "offset")


@dataclass(slots=True)
class _Result:
    """The select list as analysed, for ORDER BY, GROUP BY and DISTINCT to refer to."""

    fields: list[Field] = field(default_factory=list)
    open: bool = False


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
    _from(draft, scope, node)
    _condition(draft, scope, node, "where")
    result = _projections(draft, scope, node.expressions, targets)
    _group(draft, scope, node.args.get("group"), result)
    _condition(draft, scope, node, "having")
    expressions.walk_all(draft, scope, node.args.get("windows") or (), "in a window definition")
    _distinct(draft, scope, node.args.get("distinct"), result)
    for order in (node.args.get("order"), *orders):
        _order(draft, scope, order, result)
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
) -> _Result:
    result = _Result()
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
            expressions.seal_cells(draft, column.cells, target)
        else:
            draft.use_cells(column.cells)
            expressions.flow((column,), (target,))


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
    draft: Draft, scope: Scope, node: exp.Expr, result: _Result, targets: Targets
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
        expressions.sealable(draft, scope, expression, target, direct=False)
        return Field(name, target)
    ref = expressions.carried(draft, scope, expression)
    if ref is not None and targets is not None:
        raise refusals.plain_target(ref.label)
    return Field(name, ref)


def _figured_name(node: exp.Expr) -> str | None:
    """The name PostgreSQL gives a column without AS (FigureColname), where that is simple."""
    node = expressions.unbracketed(node)
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


def _group(draft: Draft, scope: Scope, node: exp.Expr | None, result: _Result) -> None:
    if node is None:
        return
    only(node, "expressions", "grouping_sets", "cube", "rollup")
    for key, argument in node.args.items():
        for item in argument if isinstance(argument, list) else ():
            if isinstance(item, exp.Column) and item.args.get("table") is None:
                # GROUP BY prefers a column of FROM to one of the select list.
                if not scope.has_local(item.name) and _output(draft, item, result, "in GROUP BY"):
                    continue
            elif key == "expressions" and _ordinal(draft, item, result, "in GROUP BY"):
                continue
            expressions.walk(draft, scope, item, "in GROUP BY")


def _distinct(draft: Draft, scope: Scope, node: exp.Expr | None, result: _Result) -> None:
    if node is None:
        return
    only(node, "on")
    on = node.args.get("on")
    if on is None:
        sealed = Shape(tuple(result.fields)).sealed
        if sealed is not None:
            raise refusals.misuse(sealed.label, "in DISTINCT")
        return
    for item in on.expressions if isinstance(on, exp.Tuple) else [on]:
        _sorted(draft, scope, item, result, "in DISTINCT")


def _order(draft: Draft, scope: Scope, node: object, result: _Result) -> None:
    if not isinstance(node, exp.Expr):
        return
    only(node, "expressions")
    for item in node.expressions:
        if isinstance(item, exp.Ordered):
            only(item, "this", "desc", "nulls_first")
            _sorted(draft, scope, item.this, result, "in ORDER BY")
        else:
            raise refusals.not_understood("ORDER BY")


def _sorted(draft: Draft, scope: Scope, item: exp.Expr, result: _Result, how: str) -> None:
    """ORDER BY prefers a column of the select list to one of FROM."""
    named = isinstance(item, exp.Column) and item.args.get("table") is None
    if named and _output(draft, item, result, how):
        return
    if not _ordinal(draft, item, result, how):
        expressions.walk(draft, scope, item, how)


def _output(draft: Draft, item: exp.Expr, result: _Result, how: str) -> bool:
    """`item` is the name of a column in the select list."""
    name = item.name
    matches = [f for f in result.fields if f.name == name]
    nameless = [f for f in result.fields if f.name is None and f.sealed is not None]
    for match in matches + nameless:
        if match.sealed is not None:
            raise refusals.misuse(match.sealed.label, how)
    if matches:
        draft.name(item.this)
    return bool(matches)


def _ordinal(draft: Draft, item: exp.Expr, result: _Result, how: str) -> bool:
    """`item` is the number of a column in the select list."""
    index = position(item) if isinstance(item, exp.Literal) else None
    if index is None or draft.tokens[index].kind is not Kind.NUMBER:
        return False
    sealed = Shape(tuple(result.fields)).sealed
    if sealed is None:
        return True
    draft.literal_shaped = True
    number = draft.tokens[index].value
    place = int(number) - 1 if number.isdigit() and len(number) < 5 else -1
    if result.open or not 0 <= place < len(result.fields):
        raise refusals.misuse(sealed.label, how)
    if (ref := result.fields[place].sealed) is not None:
        raise refusals.misuse(ref.label, how)
    return True


# Set operations, VALUES, brackets.


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
    _order_by_output(draft, node, shape)
    _limits(draft, scope, node)
    return shape


def _order_by_output(draft: Draft, node: exp.Expr, shape: Shape) -> None:
    """ORDER BY behind a set operation knows names and numbers of result columns, nothing else."""
    clause = node.args.get("order")
    result = _Result(list(shape.fields), shape.open)
    for item in clause.expressions if clause is not None else ():
        sort = item.this
        named = isinstance(sort, exp.Column) and sort.args.get("table") is None
        if named and _output(draft, sort, result, "in ORDER BY"):
            continue
        if not _ordinal(draft, sort, result, "in ORDER BY") and (shape.sealed or not named):
            raise refusals.not_understood("ORDER BY")


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
    node = expressions.unbracketed(node)
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
    _order_by_output(draft, node, shape)
    _limits(draft, scope, node)
    return shape


def value_row(
    draft: Draft, scope: Scope, cells: Sequence[exp.Expr], targets: Targets, *, direct: bool = False
) -> None:
    """Expressions that are stored, or only listed, side by side."""
    for place, cell in enumerate(cells):
        target = _target(targets, place)
        if target is not None:
            expressions.sealable(draft, scope, cell, target, direct=direct)
        elif not expressions.is_default(draft, cell):
            ref = expressions.carried(draft, scope, cell)
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
        _order_by_output(draft, node, shape)
    _limits(draft, scope, node)
    return shape


# FROM.

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
)
_JOIN: Final = ("this", "on", "using", "side", "kind", "method")


@dataclass(slots=True)
class _Joined:
    """One item of FROM with all that is joined to it."""

    sources: list[RowSource] = field(default_factory=list)
    visible: list[Field] = field(default_factory=list)
    open: bool = False

    def scope(self, around: Scope) -> Scope:
        return Scope(around.parent, list(self.sources), list(self.visible), self.open, around.ctes)


def _from(draft: Draft, scope: Scope, node: exp.Expr) -> None:
    """Adds the row sources of a FROM clause to a query's scope."""
    clause = node.args.get("from_")
    if clause is not None:
        only(clause, "this")
    from_items(
        draft, scope, [clause.this] if clause is not None else [], node.args.get("joins") or ()
    )


def from_items(
    draft: Draft, scope: Scope, items: Sequence[exp.Expr], joins: Sequence[exp.Expr]
) -> None:
    last = _Joined()
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


def _enter(scope: Scope, joined: _Joined) -> None:
    """A finished item of FROM: the ones to its right may refer to it if they are LATERAL."""
    scope.sources.extend(joined.sources)
    scope.visible.extend(joined.visible)
    scope.open |= joined.open


def _join(draft: Draft, scope: Scope, left: _Joined, join: exp.Expr) -> None:
    """Joins one more item to `left`."""
    siblings = Scope(scope.parent, list(scope.sources), list(scope.visible), scope.open, scope.ctes)
    _enter(siblings, left)
    right = _item(draft, siblings, join.this)
    using = [draft.name(_using_name(column)) for column in join.args.get("using") or ()]
    if join.args.get("method"):
        using = _natural(left, right)
    left.visible = _merged(
        draft, left, right, using, "in NATURAL JOIN" if join.args.get("method") else "in USING"
    )
    left.sources.extend(right.sources)
    left.open |= right.open
    on = join.args.get("on")
    if on is not None:
        expressions.walk(draft, left.scope(scope), on, "as a condition")


def _using_name(node: exp.Expr) -> exp.Expr:
    return node.this if isinstance(node, exp.Column) else node


def _natural(left: _Joined, right: _Joined) -> list[str]:
    if (left.open and Shape(tuple(right.visible)).sealed) or (
        right.open and Shape(tuple(left.visible)).sealed
    ):
        raise refusals.not_understood("NATURAL JOIN")
    names = {f.name for f in right.visible}
    return [f.name for f in left.visible if f.name is not None and f.name in names]


def _merged(draft: Draft, left: _Joined, right: _Joined, using: list[str], how: str) -> list[Field]:
    """The columns of a join: those of USING once and first, then the rest of both sides."""
    for column in (*left.visible, *right.visible):
        if column.name in using and column.sealed is not None:
            raise refusals.misuse(column.sealed.label, how)
        if column.name in using:
            draft.use_cells(column.cells)
    rest = [f for f in (*left.visible, *right.visible) if f.name not in using]
    return [*(Field(name) for name in using), *rest]


def _item(draft: Draft, scope: Scope, node: exp.Expr) -> _Joined:
    """One item of FROM. `scope` holds the items to its left, for LATERAL."""
    joined = _Joined()
    if (
        isinstance(node, exp.Subquery)
        and isinstance(node.this, (exp.Table, exp.Subquery))
        and _is_join(node)
    ):
        joined = _bracketed_join(draft, scope, node)
    else:
        source = _source(draft, scope, node)
        joined.sources.append(source)
        joined.visible.extend(source.shape.fields)
        joined.open = source.shape.open
    for join in node.args.get("joins") or ():
        only(join, *_JOIN)
        _join(draft, scope, joined, join)
    return joined


def _is_join(node: exp.Expr) -> bool:
    """Brackets around a join rather than a query."""
    while isinstance(node, exp.Subquery):
        if node.args.get("joins"):
            return True
        node = node.this
    return isinstance(node, exp.Table)


def _bracketed_join(draft: Draft, scope: Scope, node: exp.Subquery) -> _Joined:
    only(node, "this", "alias", "joins")
    inner = _item(draft, scope, node.this)
    alias = node.args.get("alias")
    if alias is None:
        return inner
    # An alias hides the names inside.
    name, shape = _aliased(draft, alias, None, Shape(tuple(inner.visible), inner.open))
    return _Joined([RowSource(name, shape)], list(shape.fields), shape.open)


def _source(draft: Draft, scope: Scope, node: exp.Expr) -> RowSource:
    if isinstance(node, exp.Lateral):
        only(node, "this", "alias", "ordinality", "outer", "view", "cross_apply")
        if isinstance(node.this, exp.Subquery):
            return _derived(draft, node.args.get("alias"), query(draft, scope, node.this))
        return _function(draft, scope, node)
    if isinstance(node, (exp.Subquery, exp.Values)):
        # Without LATERAL the items to the left are out of reach.
        outer = Scope(scope.parent, ctes=scope.ctes)
        shape = query(draft, outer, node)
        if isinstance(node, exp.Values):
            shape = _with_cells(shape, node)
        return _derived(draft, node.args.get("alias"), shape)
    if isinstance(node, exp.Table) and isinstance(node.this, exp.Identifier):
        return table(draft, scope, node)
    if isinstance(node, exp.Table):
        return _function(draft, scope, node)
    raise refusals.not_understood()


def _with_cells(shape: Shape, node: exp.Values) -> Shape:
    """Remembers the expressions of each column of a VALUES list, if every one is a plain value."""
    rows = [row.expressions if isinstance(row, exp.Tuple) else [row] for row in node.expressions]
    if node.args.get("order") or len({len(row) for row in rows}) != 1:
        return shape
    columns = zip(*rows, strict=True)
    return Shape(
        tuple(
            replace(f, cells=cells if all(map(chain, cells)) else ())
            for f, cells in zip(shape.fields, columns, strict=True)
        )
    )


def _derived(draft: Draft, alias: exp.Expr | None, shape: Shape) -> RowSource:
    name, shape = _aliased(draft, alias, None, shape)
    return RowSource(name, shape)


def table(draft: Draft, scope: Scope | None, node: exp.Expr) -> RowSource:
    """A table, view or WITH query by name; `scope` None: not a WITH query (the target of a write)."""
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
    name = None
    calls = node.args.get("rows_from") or [node]
    for call in calls:
        function = call.this
        if not isinstance(function, exp.Expr):
            raise refusals.not_understood()
        expressions.walk(draft, scope, function, "as an argument of a function")
        name = function.name if isinstance(function, exp.Anonymous) and len(calls) == 1 else None
    alias = node.args.get("alias")
    name, shape = _aliased(draft, alias, name, Shape(open=True))
    if name is not None and not shape.fields:
        # A function that returns a scalar has one column, named as the function or its alias.
        shape = Shape((Field(name),), open=True)
    return RowSource(name, shape)
