"""MERGE: one source of rows, and what each row does to the target.

Which names a part of it may use follows transformMergeStmt (parse_merge.c): ON and WHEN MATCHED see
target and source, WHEN NOT MATCHED sees the source, WHEN NOT MATCHED BY SOURCE the target, RETURNING
all of it, source first. What goes into sealed columns is sealed as in INSERT and UPDATE; the values of
`USING (VALUES ($1, $2)) AS s(id, email)` are sealed in the list, by what the statement does with them.
"""

from __future__ import annotations

from sqlglot import exp

from proxy.sql import expressions, refusals, resolve, sources, writes
from proxy.sql.draft import Draft
from proxy.sql.scope import RowSource, Scope, Shape, Targets
from proxy.sql.tree import only


def merge(draft: Draft, parent: Scope | None, node: exp.Merge) -> Shape:
    """Returns the shape of its RETURNING."""
    only(node, "this", "using", "on", "whens", "returning", "with_")
    around = resolve.with_queries(draft, parent, node)
    target = writes.target_of(draft, node)
    source = Scope(around.parent, ctes=around.ctes)
    sources.from_items(draft, source, [node.args["using"]], ())
    both = _both(source, target)
    expressions.walk(draft, both, node.args["on"], "as a condition")
    for when in node.args["whens"].expressions:
        only(when, "matched", "source", "condition", "then")
        _when(draft, when, target, source if not when.args["matched"] else both)
    return writes.returning(draft, both, node, target)


def _both(source: Scope, target: RowSource) -> Scope:
    scope = Scope(
        source.parent, list(source.sources), list(source.visible), source.open, source.ctes
    )
    scope.add(target)
    return scope


def _when(draft: Draft, when: exp.Expr, target: RowSource, scope: Scope) -> None:
    if not when.args["matched"] and when.args.get("source"):
        scope = Scope(scope.parent, ctes=scope.ctes)
        scope.add(target)
    condition = when.args.get("condition")
    if condition is not None:
        expressions.walk(draft, scope, condition, "as a condition")
    action = when.args["then"]
    if isinstance(action, exp.Update):
        only(action, "expressions")
        writes.assignments(draft, scope, action.expressions, target)
    elif isinstance(action, exp.Insert):
        _insert(draft, scope, action, target)
    elif not isinstance(action, exp.Var) or action.name.lower() not in ("delete", "do nothing"):
        raise refusals.not_understood()


def _insert(draft: Draft, scope: Scope, action: exp.Insert, target: RowSource) -> None:
    only(action, "this", "expression")
    values = action.expression
    columns = action.this.expressions if action.this else None
    if values is None:
        if not isinstance(columns, list) or not all(isinstance(c, exp.Var) for c in columns):
            raise refusals.not_understood()
        return  # DEFAULT VALUES
    if not isinstance(values, exp.Tuple):
        raise refusals.not_understood()
    refs = [field.sealed for field in target.shape.fields]
    if columns is not None:
        refs = [writes.target_column(draft, target, _name(column)) for column in columns]
    if len(values.expressions) > len(refs) and not target.shape.open and target.shape.sealed:
        raise refusals.too_many_values()
    resolve.value_row(draft, scope, values.expressions, Targets(tuple(refs)), direct=True)
    writes.written(draft, refs[: len(values.expressions)])


def _name(column: exp.Expr) -> exp.Identifier:
    if not isinstance(column, exp.Column) or column.args.get("table") is not None:
        raise refusals.not_understood()
    name = column.this
    if not isinstance(name, exp.Identifier):
        raise refusals.not_understood()
    return name
