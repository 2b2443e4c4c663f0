"""What may go into a sealed column, and which sealed column a result carries.

`sealable` turns an expression into one whose value the column can hold: values are sealed where
they stand, the column's own values pass. `flow` is the rule for values that are already columns:
only the same sealed column takes sealed values. `carried` tells which sealed column an expression
hands through unchanged, for the columns of a result.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from sqlglot import exp

from policy import Access
from proxy.sql import (
    capability,
    cases,
    common,
    comparisons,
    expressions,
    lists,
    refusals,
    resolve,
)
from proxy.sql.columns import (
    bare,
    sealed_column,
    shown_as,
    with_modifier,
    without_modifier,
)
from proxy.sql.draft import Draft
from proxy.sql.lexer import Kind
from proxy.sql.parse import position
from proxy.sql.plan import COMPARISONS, Use
from proxy.sql.scope import Field, Scope, SealedRef, Targets
from proxy.sql.tree import case_branches, keyword, unbracketed
from proxy.sql.values import Value, chain, locate, word

BESIDE: Final = Use.STORED | Use.SHOWN
"""For a value beside the column's own in a result, which is shown, or stored further out."""


def sealable(
    draft: Draft,
    scope: Scope,
    node: exp.Expr,
    target: SealedRef,
    *,
    direct: bool,
    use: Use = Use.STORED,
    default: str | None = None,
    cast: str | None = None,
) -> None:
    """Make an expression into something that the sealed column `target` can hold.

    `direct`: it stands where the server knows the column's type (VALUES, SET); elsewhere a
    parameter gets its type written behind it. `use`: stored there, or compared with what is.
    `cast`: that of a CASE around it, which is the value's own from here on.
    """
    node_in = unbracketed(node)
    if is_default(draft, node_in):
        return
    found = chain(node)
    if found is not None:
        value = locate(draft.tokens, found)
        if value is not None and cast is not None and word(draft.tokens, value.leaf) != "null":
            both = cases.branch_cast(draft, value, cast)
            value = replace(value, cast=both) if both is not None else None
        seal_value(draft, target, value, direct=direct, use=use, default=default)
    elif (inner := cases.cast_case(node_in)) is not None and cast is None:
        sealable(
            draft, scope, inner, target, direct=False, use=use, cast=cases.take_over(draft, inner)
        )
    elif isinstance(node_in, exp.Case):
        comparisons.case_conditions(draft, scope, node_in)
        if cast is None:
            common.check_nodes(draft, target, _leaves(draft, node_in))
        for branch in case_branches(node_in):
            sealable(draft, scope, branch, target, direct=False, use=use, cast=cast)
    elif cast is not None and shown_as(target, cast) is None:
        raise refusals.odd_cast(target.label)
    elif is_coalesce(draft, node_in):
        expressions.function_name(draft, node_in)
        common.check_nodes(draft, target, _leaves(draft, node_in))
        for argument in node_in.expressions:
            sealable(draft, scope, argument, target, direct=False, use=use)
    elif _is_nullif(draft, node_in):
        ref = _nullif(draft, scope, node_in)
        if ref is None:
            raise refusals.not_a_value(target.label)
        flow(draft, (Field(None, ref),), (target,), use)
    elif isinstance(node_in, exp.Subquery):
        shape = resolve.query(draft, scope, node_in, Targets((target,), use, "text"))
        flow(draft, shape.fields, (target,), use)
    elif (array := lists.unnested(node_in)) is not None:
        lists.seal_array(draft, target, array, use)
    elif lists.seal_values_column(draft, scope, node_in, target, use=use) is None:
        ref = sealed_column(draft, scope, node_in)
        if ref is None:
            if isinstance(node_in, exp.Column):
                flow(draft, (Field(None),), (target,), use)
            expressions.walk(draft, scope, node_in, f"in a value for {target.label}")
            raise refusals.not_a_value(target.label)
        flow(draft, (Field(None, ref),), (target,), use, proposed=_proposed(draft, scope, node_in))


def _proposed(draft: Draft, scope: Scope, node: exp.Expr) -> bool:
    """A column of the row that the same INSERT has proposed: what goes into it is known there."""
    inner = bare(node)
    if not isinstance(inner, exp.Column) or inner.args.get("table") is None:
        return False
    row = scope.row("excluded")
    return row is not None and row.qualified_only and draft.name(inner.args["table"]) == "excluded"


def seal_value(
    draft: Draft,
    target: SealedRef,
    value: Value | None,
    *,
    direct: bool,
    use: Use,
    default: str | None = None,
) -> None:
    if value is None:
        raise refusals.odd_cast(target.label)
    if word(draft.tokens, value.leaf) == "null":
        # Elsewhere than in VALUES and SET, a column of nothing but NULL would be text.
        draft.replace_around(value, "", "" if direct else "::bytea")
        return
    if target.column is None:
        raise refusals.undeclared(target.label)
    typed = "" if direct or draft.tokens[value.leaf].kind is not Kind.PARAM else "::bytea"
    draft.seal(value, target, after=typed, use=use, default=default)


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


def _is_nullif(draft: Draft, node: exp.Expr) -> bool:
    found = isinstance(node, exp.Anonymous) and keyword(draft, node) == "nullif"
    return found and len(node.expressions) == 2


def is_coalesce(draft: Draft, node: exp.Expr) -> bool:
    return isinstance(node, exp.Anonymous) and keyword(draft, node) == "coalesce"


def flow(
    draft: Draft,
    fields: Sequence[Field],
    targets: Sequence[SealedRef | None],
    use: Use = Use.STORED,
    *,
    proposed: bool = False,
) -> None:
    """Values of `fields` are stored in `targets`, or compared with them: a sealed column takes the
    sealed values that are its own, and one that is not declared those of any (ADR 15).

    `proposed`: they come with the statement, and from no row that is there.
    """
    compared = bool(use & COMPARISONS)
    for field, target in zip(fields, targets, strict=False):
        if field.sealed is None:
            if target is not None:
                label = target.label
                raise refusals.not_comparable(label) if compared else refusals.plain_source(label)
        elif target is None:
            label = field.sealed.label
            raise refusals.not_comparable(label) if compared else refusals.plain_target(label)
        elif compared:
            capability.require_comparable(draft, target, field.sealed)
        elif target.column is not None and target.label != field.sealed.label:
            raise refusals.other_key(field.sealed.label, target.label)
        elif target.column is None:
            draft.touch(field.sealed, copied(field.sealed))
        elif not proposed:
            draft.copied.add(target.label)


def copied(ref: SealedRef) -> Access:
    """What it takes to have a column's values in another table: who has them sees which are equal."""
    searchable = ref.column is not None and ref.column.search
    return Access.COMPARE if searchable else Access.PRESENCE


def _nullif(draft: Draft, scope: Scope, node: exp.Expr) -> SealedRef | None:
    ref = sealed_column(draft, scope, node.expressions[0])
    if ref is None or not isinstance(node, exp.Anonymous):
        expressions.walk(draft, scope, node)
        return None
    expressions.function_name(draft, node)
    comparisons.nullif(draft, scope, node, ref)
    return ref


def carried(draft: Draft, scope: Scope, node: exp.Expr) -> SealedRef | None:
    """The sealed column whose values a result column hands through, or None after a `expressions.walk`."""
    ref = sealed_column(draft, scope, node)
    if ref is not None:
        return ref
    ref = _carrier(draft, scope, node)
    inner = unbracketed(node)
    if ref is None:
        expressions.walk(draft, scope, node)
    elif _is_nullif(draft, inner):
        _nullif(draft, scope, inner)
        # There is no operator of varchar's own, and the result is what the operator takes.
        return replace(ref, shown="text") if ref.type == "varchar" else with_modifier(ref)
    elif isinstance(inner, exp.Window):
        return _windowed(draft, scope, inner, ref)
    elif isinstance(inner, (exp.Case, exp.Anonymous)):
        _check_unmixed(draft, scope, inner, ref)
        # Values next to the column's own are sealed by its keys, which is as good as comparing.
        before = len(draft.marks) + len(draft.parameters)
        sealable(draft, scope, inner, ref, direct=False, use=BESIDE)
        if len(draft.marks) + len(draft.parameters) > before:
            draft.touch(ref, Access.COMPARE)
        if ref.type == "varchar" and _is_text(draft, inner):
            return replace(ref, shown="text")
        plain = _is_plain(draft, scope, inner)
        return with_modifier(ref) if plain else without_modifier(ref)
    return with_modifier(ref) if ref is not None and isinstance(inner, exp.Subquery) else ref


# Window functions that give the value of their first argument in another row of the partition.
_IN_WINDOW: Final = frozenset({"first_value", "lag", "last_value", "lead", "nth_value"})


def _windowed(draft: Draft, scope: Scope, node: exp.Window, ref: SealedRef) -> SealedRef:
    """`lag(email, 1, 'none') OVER (...)`"""
    call = node.this
    expressions.function_name(draft, call)
    _, *others = call.expressions
    expressions.walk_all(draft, scope, others[:1], f"as an argument of {call.name}()")
    for default in others[1:]:
        sealable(draft, scope, default, ref, direct=False, use=BESIDE)
        draft.touch(ref, Access.COMPARE)
    expressions.over(draft, scope, node)
    return without_modifier(ref)


def _is_plain(draft: Draft, scope: Scope, node: exp.Expr) -> bool:
    """Nothing but columns, so that the result has the modifier that they have (exprTypmod)."""
    if isinstance(node, exp.Case) and not node.args.get("default"):
        return False
    return all(sealed_column(draft, scope, branch) for branch in _branches(draft, node))


def _check_unmixed(draft: Draft, scope: Scope, node: exp.Expr, ref: SealedRef) -> None:
    """Columns beside a sealed one in COALESCE or CASE must be the same one."""
    node = unbracketed(node)
    for branch in _branches(draft, node):
        _check_unmixed(draft, scope, branch, ref)
    if isinstance(bare(node), exp.Column):
        other = sealed_column(draft, scope, node)
        if other is None or other.label != ref.label:
            raise refusals.mixed(ref.label)


def _branches(draft: Draft, node: exp.Expr) -> list[exp.Expr]:
    if isinstance(node, exp.Case):
        return case_branches(node)
    return list(node.expressions) if is_coalesce(draft, node) else []


def _leaves(draft: Draft, node: exp.Expr) -> list[exp.Expr]:
    """What CASE and COALESCE inside one another may give."""
    inner = unbracketed(node)
    branches = _branches(draft, inner)
    return [leaf for branch in branches for leaf in _leaves(draft, branch)] or [inner]


def _is_text(draft: Draft, node: exp.Expr) -> bool | None:
    """Do CASE and COALESCE give text where their column is varchar? None: an untyped constant.

    Of varchar and text the first wins (select_common_type), ELSE before all others (transformCaseExpr); NULLIF of a varchar
    is text, and so is what has nothing but constants.
    """
    inner = unbracketed(node)
    branches = _branches(draft, inner)
    if not branches:
        written = "text" if _is_nullif(draft, inner) else common.type_of(draft, inner)
        typed = written or isinstance(bare(inner), (exp.Column, exp.Subquery))
        return written == "text" if typed else None
    default = inner.args.get("default") if isinstance(inner, exp.Case) else None
    if default is not None:
        branches = [default, *branches]
    found = (_is_text(draft, branch) for branch in branches)
    return next((known for known in found if known is not None), True)


def _carrier(draft: Draft, scope: Scope, node: exp.Expr) -> SealedRef | None:
    ref = sealed_column(draft, scope, node)
    if ref is not None:
        return ref
    node = unbracketed(node)
    if isinstance(node, exp.Subquery):
        return resolve.use_cells(draft, resolve.query(draft, scope, node)).sealed
    if _is_nullif(draft, node):
        return sealed_column(draft, scope, node.expressions[0])
    if isinstance(node, exp.Window):
        call = node.this
        windowed = isinstance(call, exp.Anonymous) and call.name in _IN_WINDOW and call.expressions
        return sealed_column(draft, scope, call.expressions[0]) if windowed else None
    found = (_carrier(draft, scope, branch) for branch in _branches(draft, node))
    return next((ref for ref in found if ref is not None), None)
