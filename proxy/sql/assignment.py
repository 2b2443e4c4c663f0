"""What may go into a sealed column, and which sealed column a result carries.

`sealable` turns an expression into one whose value the column can hold: values are sealed where
they stand, the column's own values pass. `flow` is the rule for values that are already columns:
only the same sealed column takes sealed values. `carried` tells which sealed column an expression
hands through unchanged, for the columns of a result.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from sqlglot import exp

from policy import Access
from proxy.sql import comparisons, expressions, refusals, resolve
from proxy.sql.columns import column_span, column_tokens, field_of, sealed_column
from proxy.sql.draft import Draft
from proxy.sql.lexer import Kind
from proxy.sql.parse import position
from proxy.sql.scope import Field, Scope, SealedRef
from proxy.sql.tree import case_branches, keyword, text_at, unbracketed
from proxy.sql.values import Value, chain, locate, same_type, word


def sealable(
    draft: Draft, scope: Scope, node: exp.Expr, target: SealedRef, *, direct: bool
) -> None:
    """Make an expression into something that the sealed column `target` can hold.

    `direct`: it stands where the server knows the column's type (VALUES, SET); elsewhere a
    parameter gets its type written behind it.
    """
    node_in = unbracketed(node)
    if is_default(draft, node_in):
        return
    found = chain(node)
    if found is not None:
        _seal_value(draft, target, locate(draft.tokens, found), direct=direct)
    elif isinstance(node_in, exp.Case):
        comparisons.case_conditions(draft, scope, node_in)
        for branch in case_branches(node_in):
            sealable(draft, scope, branch, target, direct=False)
    elif _is_coalesce(draft, node_in):
        expressions.function(draft, scope, node_in)
        for argument in node_in.expressions:
            sealable(draft, scope, argument, target, direct=False)
    elif isinstance(node_in, exp.Subquery):
        flow(resolve.query(draft, scope, node_in, (target,)).fields, (target,))
    elif seal_values_column(draft, scope, node_in, target) is None:
        ref = sealed_column(draft, scope, node_in)
        if ref is None:
            if isinstance(node_in, exp.Column):
                raise refusals.plain_source(target.label)
            expressions.walk(draft, scope, node_in, f"in a value for {target.label}")
            raise refusals.not_a_value(target.label)
        flow((Field(None, ref),), (target,))


def _seal_value(draft: Draft, target: SealedRef, value: Value | None, *, direct: bool) -> None:
    if value is None:
        raise refusals.odd_cast(target.label)
    if word(draft.tokens, value.leaf) == "null":
        # Elsewhere than in VALUES and SET, a column of nothing but NULL would be text.
        draft.replace_around(value, "", "" if direct else "::bytea")
        return
    if target.column is None:
        raise refusals.undeclared(target.label)
    typed = "" if direct or draft.tokens[value.leaf].kind is not Kind.PARAM else "::bytea"
    draft.seal(value, target, after=typed)


def seal_values_column(
    draft: Draft, scope: Scope, node: exp.Expr, target: SealedRef
) -> tuple[int, int] | None:
    """`v.email` of FROM (VALUES ...) AS v: sealed in the list itself, where it has no other use.

    One cast around the reference is taken over by the values. Returns the tokens of the reference
    without the cast; None if it is something else.
    """
    cast = node if type(node) is exp.Cast else None
    inner = unbracketed(cast.this) if cast is not None else unbracketed(node)
    if not isinstance(inner, exp.Column) or isinstance(inner.this, exp.Star):
        return None
    field = field_of(draft, scope, inner)
    if field.sealed is not None or not field.cells or field.name is None:
        return None
    seal_cells(
        draft, field.cells, target, _without_cast(draft, inner) if cast is not None else None
    )
    return column_span(draft, node) if cast is None else column_tokens(draft, inner)


def seal_cells(
    draft: Draft, cells: Sequence[exp.Expr], target: SealedRef, cast: str | None = None
) -> None:
    draft.seal_cells(cells, target)
    for cell in cells:
        found = chain(cell)
        value = locate(draft.tokens, found) if found is not None else None
        if value is not None and cast is not None:
            if value.cast is not None and not same_type(value.cast, cast):
                raise refusals.odd_cast(target.label)
            value = replace(value, cast=value.cast or cast)
        _seal_value(draft, target, value, direct=False)


def _without_cast(draft: Draft, node: exp.Expr) -> str:
    """Takes `::type` or CAST( AS type) from around a reference; returns the type."""
    tokens = draft.tokens
    start, end = column_tokens(draft, node)
    prefixed = text_at(draft, end) != "::"
    found = draft.type_at(end + 1)
    last = found.end if found is not None else end
    if prefixed:
        closed = word(tokens, end) == "as" and text_at(draft, last) == ")"
        opened = word(tokens, start - 2) == "cast" and text_at(draft, start - 1) == "("
        if not (closed and opened):
            found = None
        draft.edit(tokens[start - 2].start, tokens[start].start, "")
        last += 1
    if found is None or found.modified or last > len(tokens):
        raise refusals.not_understood("a cast")
    draft.edit(tokens[end - 1].end, tokens[last - 1].end, "")
    return found.name


def is_default(draft: Draft, node: exp.Expr) -> bool:
    """The keyword DEFAULT, which the tree has as a Var or a column."""
    if isinstance(node, exp.Var):
        return node.name.lower() == "default"
    if not isinstance(node, exp.Column) or node.args.get("table") is not None:
        return False
    index = position(node.this)
    if index is None or word(draft.tokens, index) != "default":
        return False
    draft.explain(index)
    return True


def _is_coalesce(draft: Draft, node: exp.Expr) -> bool:
    return isinstance(node, exp.Anonymous) and keyword(draft, node) == "coalesce"


def flow(fields: Sequence[Field], targets: Sequence[SealedRef | None]) -> None:
    """Values of `fields` are stored in `targets`: only the same sealed column takes sealed values."""
    for field, target in zip(fields, targets, strict=False):
        if field.sealed is None:
            if target is not None:
                raise refusals.plain_source(target.label)
        elif target is None:
            raise refusals.plain_target(field.sealed.label)
        elif target.column is not None and target.label != field.sealed.label:
            raise refusals.other_key(field.sealed.label, target.label)


def carried(draft: Draft, scope: Scope, node: exp.Expr) -> SealedRef | None:
    """The sealed column whose values a result column hands through, or None after a `expressions.walk`."""
    ref = _carrier(draft, scope, node)
    inner = unbracketed(node)
    if ref is None:
        expressions.walk(draft, scope, node)
    elif isinstance(inner, (exp.Case, exp.Anonymous)):
        _check_unmixed(draft, scope, inner, ref)
        # Values next to the column's own are sealed by its keys, which is as good as comparing.
        before = len(draft.marks) + len(draft.parameters)
        sealable(draft, scope, inner, ref, direct=False)
        if len(draft.marks) + len(draft.parameters) > before:
            draft.touch(ref, Access.COMPARE)
    return ref


def _check_unmixed(draft: Draft, scope: Scope, node: exp.Expr, ref: SealedRef) -> None:
    """Columns beside a sealed one in COALESCE or CASE must be the same one."""
    node = unbracketed(node)
    for branch in _branches(draft, node):
        _check_unmixed(draft, scope, branch, ref)
    if isinstance(node, exp.Column):
        other = sealed_column(draft, scope, node)
        if other is None or other.label != ref.label:
            raise refusals.mixed(ref.label)


def _branches(draft: Draft, node: exp.Expr) -> list[exp.Expr]:
    if isinstance(node, exp.Case):
        return case_branches(node)
    return list(node.expressions) if _is_coalesce(draft, node) else []


def _carrier(draft: Draft, scope: Scope, node: exp.Expr) -> SealedRef | None:
    node = unbracketed(node)
    if isinstance(node, exp.Column):
        return sealed_column(draft, scope, node)
    if isinstance(node, exp.Subquery):
        return resolve.query(draft, scope, node).sealed
    found = (_carrier(draft, scope, branch) for branch in _branches(draft, node))
    return next((ref for ref in found if ref is not None), None)
