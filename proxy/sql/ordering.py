"""GROUP BY, DISTINCT and ORDER BY, which may name columns of the select list by name or number.

Whose name goes first follows PostgreSQL (findTargetlistEntrySQL92): ORDER BY and DISTINCT ON look
at the select list, GROUP BY at the columns of FROM. A number that decides makes the plan good for
this text only.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from sqlglot import exp

from proxy.sql import expressions, refusals
from proxy.sql.draft import Draft
from proxy.sql.lexer import Kind
from proxy.sql.parse import position
from proxy.sql.scope import Field, Scope, Shape
from proxy.sql.tree import only


@dataclass(slots=True)
class Result:
    """The select list as analysed, for ORDER BY, GROUP BY and DISTINCT to refer to."""

    fields: list[Field] = field(default_factory=list)
    open: bool = False


def group(draft: Draft, scope: Scope, node: exp.Expr | None, result: Result) -> None:
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


def distinct(draft: Draft, scope: Scope, node: exp.Expr | None, result: Result) -> None:
    if node is None:
        return
    only(node, "on")
    on = node.args.get("on")
    if on is None:
        sealed = Shape(tuple(result.fields)).sealed
        if sealed is not None:
            raise refusals.misuse(sealed.label, "in DISTINCT")
        for column in result.fields:
            draft.use_cells(column.cells)
        return
    for item in on.expressions if isinstance(on, exp.Tuple) else [on]:
        _sorted(draft, scope, item, result, "in DISTINCT")


def order(draft: Draft, scope: Scope, node: object, result: Result) -> None:
    if not isinstance(node, exp.Expr):
        return
    only(node, "expressions")
    for item in node.expressions:
        if isinstance(item, exp.Ordered):
            only(item, "this", "desc", "nulls_first")
            _sorted(draft, scope, item.this, result, "in ORDER BY")
        else:
            raise refusals.not_understood("ORDER BY")


def order_by_output(draft: Draft, node: exp.Expr, shape: Shape) -> None:
    """ORDER BY behind a set operation knows names and numbers of result columns, nothing else."""
    clause = node.args.get("order")
    result = Result(list(shape.fields), shape.open)
    for item in clause.expressions if clause is not None else ():
        sort = item.this
        named = isinstance(sort, exp.Column) and sort.args.get("table") is None
        if named and _output(draft, sort, result, "in ORDER BY"):
            continue
        if not _ordinal(draft, sort, result, "in ORDER BY") and (shape.sealed or not named):
            raise refusals.not_understood("ORDER BY")


def _sorted(draft: Draft, scope: Scope, item: exp.Expr, result: Result, how: str) -> None:
    """ORDER BY prefers a column of the select list to one of FROM."""
    named = isinstance(item, exp.Column) and item.args.get("table") is None
    if named and _output(draft, item, result, how):
        return
    if not _ordinal(draft, item, result, how):
        expressions.walk(draft, scope, item, how)


def _output(draft: Draft, item: exp.Expr, result: Result, how: str) -> bool:
    """`item` is the name of a column in the select list."""
    name = item.name
    matches = [f for f in result.fields if f.name == name]
    nameless = [f for f in result.fields if f.name is None and f.sealed is not None]
    for match in matches + nameless:
        if match.sealed is not None:
            raise refusals.misuse(match.sealed.label, how)
        draft.use_cells(match.cells)
    if matches:
        draft.name(item.this)
    return bool(matches)


def _ordinal(draft: Draft, item: exp.Expr, result: Result, how: str) -> bool:
    """`item` is the number of a column in the select list."""
    index = position(item) if isinstance(item, exp.Literal) else None
    if index is None or draft.tokens[index].kind is not Kind.NUMBER:
        return False
    sealed = Shape(tuple(result.fields)).sealed
    if sealed is None:
        for column in result.fields:
            draft.use_cells(column.cells)
        return True
    draft.literal_shaped = True
    number = draft.tokens[index].value
    place = int(number) - 1 if number.isdigit() and len(number) < 5 else -1
    if result.open or not 0 <= place < len(result.fields):
        raise refusals.misuse(sealed.label, how)
    if (ref := result.fields[place].sealed) is not None:
        raise refusals.misuse(ref.label, how)
    draft.use_cells(result.fields[place].cells)
    return True
