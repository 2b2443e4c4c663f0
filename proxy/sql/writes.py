"""INSERT, UPDATE, DELETE and MERGE (`merge`): what goes into sealed columns, and what RETURNING gives back.

A value for a sealed column is sealed in its place; a sealed value goes into the column it belongs
to and nowhere else. ON CONFLICT (email) infers a unique index on the column's terms, which is what
`sealgate apply` makes of a unique index on the column. Every write of a sealed column is a touch,
DEFAULT and NULL included.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from sqlglot import exp

from policy import Access
from proxy.sql import comparisons, expressions, merge, refusals, resolve, sources
from proxy.sql.columns import sealed_column
from proxy.sql.draft import Draft
from proxy.sql.scope import RowSource, Scope, SealedRef, Shape, Targets
from proxy.sql.tree import only, row, unbracketed

WRITES: Final = (exp.Insert, exp.Update, exp.Delete, exp.Merge)


def write(draft: Draft, parent: Scope | None, node: exp.Expr) -> Shape:
    """Analyse a write; returns the shape of its RETURNING."""
    if isinstance(node, exp.Insert):
        return _insert(draft, parent, node)
    if isinstance(node, exp.Update):
        return _update(draft, parent, node)
    if isinstance(node, exp.Delete):
        return _delete(draft, parent, node)
    if isinstance(node, exp.Merge):
        return merge.merge(draft, parent, node)
    raise refusals.not_understood()


# INSERT.


def _insert(draft: Draft, parent: Scope | None, node: exp.Insert) -> Shape:
    only(node, "this", "expression", "default", "conflict", "returning", "with_")
    scope = resolve.with_queries(draft, parent, node)
    target, columns = _insert_target(draft, node.this)
    source = node.expression
    targets = Targets(tuple(columns))
    if isinstance(source, exp.Values):
        only(source, "expressions")
        for row in source.expressions:
            cells = row.expressions if isinstance(row, exp.Tuple) else [row]
            if len(cells) > len(columns) and not target.shape.open and target.shape.sealed:
                raise refusals.too_many_values()
            resolve.value_row(draft, scope, cells, targets, direct=True)
            written(draft, columns[: len(cells)])
    elif source is not None:
        shape = resolve.query(draft, scope, source, targets)
        if shape.open and target.shape.sealed is not None:
            raise refusals.not_understood("* in a query that fills sealed columns")
        written(draft, columns[: len(shape.fields)])
    elif not node.args.get("default"):
        raise refusals.not_understood()
    _on_conflict(draft, scope, node.args.get("conflict"), target)
    return returning(draft, _result_scope(scope, target), node, target)


def _insert_target(draft: Draft, node: exp.Expr) -> tuple[RowSource, list[SealedRef | None]]:
    """The relation, and per column that gets a value the sealed column that it is."""
    names: Sequence[exp.Expr] | None = None
    if isinstance(node, exp.Schema):
        only(node, "this", "expressions")
        node, names = node.this, node.expressions
    if not isinstance(node, exp.Table) or not isinstance(node.this, exp.Identifier):
        raise refusals.not_understood()
    target = sources.table(draft, None, node)
    if names is None:
        return target, [f.sealed for f in target.shape.fields]
    return target, [target_column(draft, target, name) for name in names]


def target_column(draft: Draft, target: RowSource, name: exp.Expr) -> SealedRef | None:
    spelled = draft.name(name)
    for field in target.shape.fields:
        if field.name == spelled:
            return field.sealed
    if target.shape.sealed is not None:
        raise refusals.unknown_column()
    return None


def written(draft: Draft, targets: Sequence[SealedRef | None]) -> None:
    for target in targets:
        if target is not None:
            if target.view:
                raise refusals.through_view(target.label)
            draft.touch(target, Access.WRITE)


def _on_conflict(draft: Draft, scope: Scope, node: exp.Expr | None, target: RowSource) -> None:
    if node is None:
        return
    only(node, "action", "conflict_keys", "constraint", "expressions", "index_predicate", "where")
    rows = Scope(scope.parent, ctes=scope.ctes)
    rows.add(target)
    for key in node.args.get("conflict_keys") or ():
        _conflict_key(draft, rows, key)
    predicate = node.args.get("index_predicate")
    if predicate is not None:
        expressions.walk(draft, rows, predicate.this, "in the predicate of ON CONFLICT")
    if node.args.get("constraint") is not None:
        draft.name(node.args["constraint"])
    rows.add(RowSource("excluded", target.shape, qualified_only=True))
    assignments(draft, rows, node.expressions, target)
    _where(draft, rows, node)


def _conflict_key(draft: Draft, scope: Scope, node: exp.Expr) -> None:
    inner = node.this if isinstance(node, exp.Ordered) else node
    ref = sealed_column(draft, scope, inner)
    if ref is None:
        expressions.walk(draft, scope, node, "in ON CONFLICT")
        return
    comparisons.conflict_term(draft, ref, inner)


# UPDATE.


def _update(draft: Draft, parent: Scope | None, node: exp.Update) -> Shape:
    only(node, "this", "expressions", "from_", "where", "returning", "with_")
    scope = resolve.with_queries(draft, parent, node)
    target = target_of(draft, node)
    scope.add(target)
    clause = node.args.get("from_")
    if clause is not None:
        sources.from_items(draft, scope, [clause.this], ())
    assignments(draft, scope, node.expressions, target)
    _where(draft, scope, node)
    return returning(draft, scope, node, target)


def target_of(draft: Draft, node: exp.Expr) -> RowSource:
    if not isinstance(node.this, exp.Table) or not isinstance(node.this.this, exp.Identifier):
        raise refusals.not_understood()
    if node.this.args.get("joins"):
        raise refusals.not_understood()
    return sources.table(draft, None, node.this)


def _where(draft: Draft, scope: Scope, node: exp.Expr) -> None:
    clause = node.args.get("where")
    if clause is not None:
        expressions.walk(draft, scope, clause.this, "as a condition")


def assignments(draft: Draft, scope: Scope, nodes: Sequence[exp.Expr], target: RowSource) -> None:
    for node in nodes:
        if not isinstance(node, exp.EQ):
            raise refusals.not_understood()
        left, right = node.this, node.expression
        if isinstance(left, exp.Tuple):
            _assign_row(
                draft, scope, [_assigned(draft, target, c) for c in left.expressions], right
            )
        elif isinstance(left, exp.Paren):
            _assign_row(draft, scope, [_assigned(draft, target, left.this)], right)
        else:
            _assign(draft, scope, _assigned(draft, target, left), right)


def _assigned(draft: Draft, target: RowSource, node: exp.Expr) -> SealedRef | None:
    """The sealed column on the left of a SET; None for another column."""
    parts = node
    while isinstance(parts, (exp.Bracket, exp.Dot)):
        if isinstance(parts, exp.Bracket):
            expressions.walk_all(draft, Scope(), parts.expressions, "in a subscript")
        elif isinstance(parts.expression, exp.Identifier):
            draft.name(parts.expression)
        parts = parts.this
    if not isinstance(parts, exp.Column):
        raise refusals.not_understood()
    names = [parts.args[key] for key in ("db", "table", "this") if parts.args.get(key) is not None]
    ref = target_column(draft, target, names[0])
    for name in names[1:]:
        draft.name(name)
    if ref is not None and (len(names) > 1 or parts is not node):
        raise refusals.misuse(ref.label, "in parts")
    written(draft, (ref,))
    return ref


def _assign(draft: Draft, scope: Scope, target: SealedRef | None, node: exp.Expr) -> None:
    resolve.value_row(draft, scope, [node], Targets((target,)), direct=True)


def _assign_row(
    draft: Draft, scope: Scope, targets: list[SealedRef | None], node: exp.Expr
) -> None:
    """`SET (a, b) = (x, y)`, `= ROW(x, y)`, `= (SELECT x, y)`"""
    fields = row(node)
    if fields is None and len(targets) == 1 and isinstance(node, exp.Paren):
        fields = [node]
    if fields is not None and len(fields) == len(targets):
        resolve.value_row(draft, scope, fields, Targets(tuple(targets)), direct=True)
        return
    inner = unbracketed(node)
    if not isinstance(inner, exp.Subquery):
        raise refusals.not_understood()
    shape = resolve.query(draft, scope, inner, Targets(tuple(targets), default="text"))
    if shape.open and any(targets):
        raise refusals.not_understood("* in a query that fills sealed columns")


# DELETE.


def _delete(draft: Draft, parent: Scope | None, node: exp.Delete) -> Shape:
    only(node, "this", "using", "where", "returning", "with_")
    scope = resolve.with_queries(draft, parent, node)
    target = target_of(draft, node)
    scope.add(target)
    sources.from_items(draft, scope, node.args.get("using") or (), ())
    _where(draft, scope, node)
    return returning(draft, scope, node, target)


# RETURNING.


def _result_scope(scope: Scope, target: RowSource) -> Scope:
    """RETURNING of an INSERT sees the new row alone."""
    rows = Scope(scope.parent, ctes=scope.ctes)
    rows.add(target)
    return rows


def returning(draft: Draft, scope: Scope, node: exp.Expr, target: RowSource) -> Shape:
    clause = node.args.get("returning")
    if clause is None:
        return Shape()
    only(clause, "expressions")
    for name in ("old", "new"):
        if all(source.name != name for source in scope.sources):
            scope.add(RowSource(name, target.shape, qualified_only=True))
    return resolve.returned(draft, scope, clause.expressions)
