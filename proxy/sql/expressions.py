"""Expressions: the default deny.

`walk` goes through any expression whose own result is not sealed. A sealed column in it is refused,
with the way it is used, unless its immediate use is one that the server can do on sealed values:
comparisons and tests for NULL (`comparisons`), count(column), sorting and grouping (`ordering`, `grouping`).

The modules of this analysis refer to one another as SQL's grammar does: expressions hold queries
(`resolve`), queries hold expressions, both hold values for columns (`assignment`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import cache
from typing import Any, Final

from sqlglot import exp

from policy import Access
from proxy.sql import (
    aggregates,
    comparisons,
    grouping,
    ordering,
    paths,
    patterns,
    ranges,
    refusals,
    resolve,
)
from proxy.sql.columns import column, sealed_column, sealed_row
from proxy.sql.draft import Draft
from proxy.sql.parse import position
from proxy.sql.scope import Scope
from proxy.sql.tree import case_branches

QUERIES: Final = (exp.Select, exp.SetOperation, exp.Subquery, exp.Values)


def walk(draft: Draft, scope: Scope, node: exp.Expr, how: str = "in an expression") -> None:
    """Analyse an expression whose own result is not sealed. `how` it is used, for a refusal."""
    if isinstance(node, exp.Column):
        field = column(draft, scope, node)
        if field.sealed is not None:
            raise refusals.misuse(field.sealed.label, how)
    elif isinstance(node, QUERIES):
        shape = resolve.use_cells(draft, resolve.query(draft, scope, node))
        if shape.sealed is not None:
            raise refusals.misuse(shape.sealed.label, "in a subquery that an expression uses")
    elif isinstance(node, (exp.Query, exp.DML, exp.With, exp.Table)):
        raise refusals.not_understood()
    elif not _special(draft, scope, node):
        inner = _use(node, how)
        for child in children(node):
            walk(draft, scope, child, inner)


def walk_all(draft: Draft, scope: Scope, nodes: Sequence[exp.Expr], how: str) -> None:
    for node in nodes:
        walk(draft, scope, node, how)


def children(node: exp.Expr) -> Iterator[exp.Expr]:
    """The expressions directly inside one; types and bare names are none."""
    for key, argument in node.args.items():
        if isinstance(node, exp.Cast) and key == "to":
            continue
        for child in argument if isinstance(argument, list) else (argument,):
            if isinstance(child, exp.Expr) and not isinstance(child, _NO_EXPRESSIONS):
                yield child


_NO_EXPRESSIONS: Final = (exp.Identifier, exp.DataType, exp.Var, exp.Star)


def _use(node: exp.Expr, how: str) -> str:
    """How an expression uses what is inside it."""
    if isinstance(node, _TRANSPARENT):
        return how
    if isinstance(node, exp.Anonymous) and node.name != "operator":
        return f"as an argument of {node.name}()"
    return next((use for kind, use in _USES if isinstance(node, kind)), "in an expression")


_TRANSPARENT: Final = (
    exp.Paren, exp.Ordered, exp.Order, exp.Tuple, exp.Rollup, exp.Cube, exp.GroupingSets
)  # fmt: skip


_USES: Final[tuple[tuple[type[exp.Expr], str], ...]] = (
    (exp.Like, "with LIKE"),
    (exp.ILike, "with LIKE"),
    (exp.SimilarTo, "with a pattern"),
    (exp.Cast, "under a cast"),
    (exp.Collate, "with a collation"),
    (exp.Array, "in an array"),
    (exp.Window, "in a window definition"),
    (exp.And, "as a condition"),
    (exp.Or, "as a condition"),
    (exp.Not, "as a condition"),
    (exp.Where, "as a condition"),
    (exp.Having, "as a condition"),
)


def _special(draft: Draft, scope: Scope, node: exp.Expr) -> bool:
    """Handles the expressions that are more than their parts; False for all others."""
    handler = _handlers().get(type(node))
    return handler is not None and handler(draft, scope, node)


def function(draft: Draft, scope: Scope, node: exp.Anonymous) -> bool:
    """A call; False: its arguments are not looked at yet."""
    name = function_name(draft, node)
    if name is None:
        return False
    if name == "nullif":
        walk_all(draft, scope, node.expressions, "in NULLIF")
        return True
    if name == "grouping":
        grouping.grouping(draft, scope.rows, node)
        return True
    if name in aggregates.NAMES:
        aggregate(draft, scope.rows, node)
        return True
    return False


def aggregate(draft: Draft, scope: Scope, node: exp.Anonymous) -> None:
    """The arguments of an aggregate, or of what has the name of one. `scope`: what they are about, rows or groups."""
    if node.name == "count" and len(node.expressions) == 1:
        argument = node.expressions[0]
        if sealed_row(draft, scope, argument) is not None:
            return  # A row as such is never NULL, whatever is in it.
        ref = sealed_column(draft, scope, argument)
        if ref is not None:
            draft.touch(ref, Access.PRESENCE)
            return
        if isinstance(argument, exp.Distinct) and len(argument.expressions) == 1:
            ordering.told_apart(draft, scope, argument.expressions[0], "in DISTINCT")
            return
    walk_all(draft, scope, node.expressions, f"as an argument of {node.name}()")


def function_name(draft: Draft, node: exp.Expr) -> str | None:
    """The name of a function that is called, which is thereby explained."""
    index = position(node)
    if index is None:
        return None
    name = draft.tokens[index].value
    if name not in draft.catalog.interesting:
        draft.explain(index)
    return name


def _dot(draft: Draft, scope: Scope, node: exp.Expr) -> bool:
    """`schema.function(...)`, `(composite).field`"""
    base, member = node.this, node.expression
    if isinstance(base, exp.Identifier):
        if draft.name(base) == "sealgate":
            raise refusals.terms_are_internal()
    else:
        walk(draft, scope, base, "as a composite value")
    if isinstance(member, exp.Identifier):
        draft.name(member)
    elif not isinstance(member, exp.Star):
        walk(draft, scope, member)
    return True


def _case(draft: Draft, scope: Scope, node: exp.Expr) -> bool:
    """A CASE whose result is not sealed; `CASE email WHEN 'x'` compares."""
    comparisons.case_conditions(draft, scope, node)
    for branch in case_branches(node):
        walk(draft, scope, branch, "in CASE, next to other values")
    return True


def _exists(draft: Draft, scope: Scope, node: exp.Expr) -> bool:
    # What EXISTS selects goes nowhere.
    resolve.query(draft, scope, node.this)
    return True


def _window(draft: Draft, scope: Scope, node: exp.Expr) -> bool:
    """`f(...) OVER ...`, or `name AS (...)` of the WINDOW clause. Of a window function the arguments are of groups."""
    call = node.this
    if isinstance(call, exp.Identifier):
        draft.name(call)
    else:
        if isinstance(call, exp.Filter):
            walk(draft, scope, call.expression, "as a condition")
            call = call.this
        if isinstance(call, exp.Anonymous) and function_name(draft, call) in aggregates.NAMES:
            aggregate(draft, scope, call)
        else:
            walk(draft, scope, call)
    over(draft, scope, node)
    return True


def over(draft: Draft, scope: Scope, node: exp.Expr) -> None:
    """What stands behind OVER."""
    if isinstance(node.args.get("alias"), exp.Identifier):
        draft.name(node.args["alias"])
    for part in node.args.get("partition_by") or ():
        ordering.told_apart(draft, scope, part, "in a window definition")
    order, frame = node.args.get("order"), node.args.get("spec")
    if order is not None:
        ordering.tell_peers(draft, ordering.sorted_by(draft, scope, order.expressions, frame))
    if frame is not None:
        walk(draft, scope, frame, "in a window definition")
    for key, argument in node.args.items():
        if key not in _WINDOW and argument:
            raise refusals.not_understood("a window definition")


_WINDOW: Final = frozenset({"this", "alias", "partition_by", "order", "spec", "over"})


def _filter(draft: Draft, scope: Scope, node: exp.Expr) -> bool:
    """`f(...) FILTER (WHERE ...)`: an aggregate, whatever its name."""
    if isinstance(node.this, exp.Anonymous):
        function_name(draft, node.this)
        aggregate(draft, scope.rows, node.this)
    else:
        walk(draft, scope, node.this)
    walk(draft, scope.rows, node.expression, "as a condition")
    return True


def _within_group(draft: Draft, scope: Scope, node: exp.Expr) -> bool:
    """`percentile_disc(0.5) WITHIN GROUP (ORDER BY ...)`: values of the column itself are wanted, not terms."""
    walk(draft, scope, node.this)
    for item in node.expression.expressions:
        walk(draft, scope.rows, item, "in WITHIN GROUP")
    return True


def _order(draft: Draft, scope: Scope, node: exp.Expr) -> bool:
    """ORDER BY inside an aggregate's brackets hangs on its last argument."""
    if isinstance(node.this, exp.Expr):
        walk(draft, scope.rows, node.this, "as an argument of an aggregate")
    ordering.sorted_by(draft, scope.rows, node.expressions)
    return True


def _distinct(draft: Draft, scope: Scope, node: exp.Expr) -> bool:
    walk_all(draft, scope.rows, node.expressions, "in DISTINCT")
    return True


def _named_argument(draft: Draft, scope: Scope, node: exp.Expr) -> bool:
    walk(draft, scope, node.expression, "as an argument of a function")
    return True


def _equality(draft: Draft, scope: Scope, node: exp.Expr) -> bool:
    return paths.comparison(draft, scope, node) or comparisons.equality(draft, scope, node)


def _in(draft: Draft, scope: Scope, node: exp.In) -> bool:
    return paths.in_list(draft, scope, node) or comparisons.in_list(draft, scope, node)


def _operator(draft: Draft, scope: Scope, node: exp.Expr) -> bool:
    return patterns.like(draft, scope, node) or paths.operator(draft, scope, node)


@cache
def _handlers() -> dict[type[exp.Expr], Callable[[Draft, Scope, Any], bool]]:
    # Made at the first use: this module and `comparisons` import one another.
    return {
        exp.EQ: _equality,
        exp.NEQ: _equality,
        exp.NullSafeEQ: _equality,
        exp.NullSafeNEQ: _equality,
        exp.LT: ranges.less,
        exp.LTE: ranges.less,
        exp.GT: ranges.less,
        exp.GTE: ranges.less,
        exp.Between: ranges.between,
        exp.In: _in,
        exp.Like: patterns.like,
        exp.ILike: patterns.like,
        exp.Escape: patterns.like,
        exp.Operator: _operator,
        exp.Bracket: paths.element,
        exp.Is: comparisons.is_null,
        exp.Anonymous: function,
        exp.Dot: _dot,
        exp.Case: _case,
        exp.Exists: _exists,
        exp.Window: _window,
        exp.Filter: _filter,
        exp.WithinGroup: _within_group,
        exp.Order: _order,
        exp.Distinct: _distinct,
        exp.Kwarg: _named_argument,
    }
