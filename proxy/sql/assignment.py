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
from proxy.cells import TypeSpecError, logical_type
from proxy.sql import cases, comparisons, expressions, refusals, resolve
from proxy.sql.columns import (
    Span,
    bare,
    cast_around,
    column_span,
    column_tokens,
    field_of,
    sealed_column,
    shown_as,
    take_off,
    with_modifier,
    without_modifier,
)
from proxy.sql.draft import Draft
from proxy.sql.lexer import Kind
from proxy.sql.parse import position
from proxy.sql.plan import Form, Use
from proxy.sql.scope import Cell, Field, Scope, SealedRef, Shape, Targets
from proxy.sql.tree import case_branches, keyword, unbracketed
from proxy.sql.values import Value, chain, locate, one_cast, word


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
        for branch in case_branches(node_in):
            sealable(draft, scope, branch, target, direct=False, use=use, cast=cast)
    elif cast is not None and shown_as(target, cast) is None:
        raise refusals.odd_cast(target.label)
    elif _is_coalesce(draft, node_in):
        expressions.function(draft, scope, node_in)
        for argument in node_in.expressions:
            sealable(draft, scope, argument, target, direct=False, use=use)
    elif _is_nullif(draft, node_in):
        flow((Field(None, _nullif(draft, scope, node_in, named=False)),), (target,), use)
    elif isinstance(node_in, exp.Subquery):
        shape = resolve.query(draft, scope, node_in, Targets((target,), use, "text"))
        flow(shape.fields, (target,), use)
    elif (array := unnested(node_in)) is not None:
        _seal_array(draft, target, array, use)
    elif seal_values_column(draft, scope, node_in, target, use=use) is None:
        ref = sealed_column(draft, scope, node_in)
        if ref is None:
            if isinstance(node_in, exp.Column):
                flow((Field(None),), (target,), use)
            expressions.walk(draft, scope, node_in, f"in a value for {target.label}")
            raise refusals.not_a_value(target.label)
        flow((Field(None, ref),), (target,), use)


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


def unnested(node: exp.Expr) -> exp.Expr | None:
    """The array in `unnest(array)`."""
    if isinstance(node, exp.Anonymous) and node.name == "unnest" and len(node.expressions) == 1:
        return node.expressions[0]  # type: ignore[no-any-return]
    return None


def _seal_array(draft: Draft, target: SealedRef, node: exp.Expr, use: Use) -> None:
    """`$1::text[]`, `'{a,b}'::text[]`: each element is sealed."""
    if target.column is None:
        raise refusals.undeclared(target.label)
    found = chain(node)
    if found is None:
        comparisons.seal_items(draft, target, node, use)
        return
    value = locate(draft.tokens, found)
    if value is None or (value.cast is not None and not value.cast.endswith("[]")):
        raise refusals.odd_cast(target.label)
    if word(draft.tokens, value.leaf) == "null":
        draft.replace_around(value, "", "::bytea[]")
    elif draft.tokens[value.leaf].kind in (Kind.PARAM, Kind.STRING):
        typed = "::bytea[]" if draft.tokens[value.leaf].kind is Kind.PARAM else ""
        draft.seal(value, target, Form.VALUES, after=typed, use=use)
    else:
        raise refusals.odd_cast(target.label)


def is_array(node: exp.Expr) -> bool:
    """`$1`, `'{a,b}'::text[]`, `ARRAY['a', $1]`"""
    if chain(node) is not None:
        return True
    array = bare(node)
    return isinstance(array, exp.Array) and all(chain(item) for item in array.expressions)


def cell(node: exp.Expr) -> Cell | None:
    """A constant or parameter that may be sealed where it stands, once it is known for what."""
    array = unnested(unbracketed(node))
    if array is not None:
        return Cell(array, array=True) if is_array(array) else None
    return Cell(node) if chain(node) is not None else None


def seal_values_column(
    draft: Draft, scope: Scope, node: exp.Expr, target: SealedRef, *, use: Use
) -> tuple[int, int] | None:
    """`v.email` of FROM (VALUES ...) AS v: sealed in the list itself, where it has no other use.

    One cast around the reference is taken over by the values. Returns the tokens of the reference;
    None if it is something else.
    """
    cast = node if type(node) is exp.Cast else None
    inner = unbracketed(cast.this) if cast is not None else unbracketed(node)
    if not isinstance(inner, exp.Column) or isinstance(inner.this, exp.Star):
        return None
    field = field_of(draft, scope, inner)
    if field.sealed is not None or not field.cells or field.name is None:
        return None
    taken = _without_cast(draft, inner) if cast is not None else None
    seal_cells(draft, field, target, taken, use=use)
    return column_span(draft, node)


def seal_cells(
    draft: Draft, field: Field, target: SealedRef, cast: str | None = None, *, use: Use
) -> None:
    """All that a column's values come from is sealed where it stands."""
    draft.seal_cells(field.cells, target)
    for one in field.cells:
        if one.array:
            if cast is not None:
                raise refusals.odd_cast(target.label)
            _seal_array(draft, target, one.node, use)
            continue
        found = chain(one.node)
        value = locate(draft.tokens, found) if found is not None else None
        if value is not None and cast is not None:
            both = one_cast(value.cast, cast)
            if both is None:
                raise refusals.odd_cast(target.label)
            value = replace(value, cast=both)
        seal_value(draft, target, value, direct=False, use=use, default=one.type)


def _without_cast(draft: Draft, node: exp.Expr) -> str:
    """Takes the cast from around a reference; returns its type."""
    inner = Span(*column_tokens(draft, node))
    span, found = cast_around(draft, inner)
    draft.literal_shaped |= found.modified
    take_off(draft, inner, span)
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


def _is_nullif(draft: Draft, node: exp.Expr) -> bool:
    found = isinstance(node, exp.Anonymous) and keyword(draft, node) == "nullif"
    return found and len(node.expressions) == 2


def _is_coalesce(draft: Draft, node: exp.Expr) -> bool:
    return isinstance(node, exp.Anonymous) and keyword(draft, node) == "coalesce"


def flow(
    fields: Sequence[Field], targets: Sequence[SealedRef | None], use: Use = Use.STORED
) -> None:
    """Values of `fields` are stored in `targets`, or compared with them: a sealed column takes the
    sealed values that are its own."""
    compared = use is Use.COMPARED
    for field, target in zip(fields, targets, strict=False):
        if field.sealed is None:
            if target is not None:
                label = target.label
                raise refusals.not_comparable(label) if compared else refusals.plain_source(label)
        elif target is None:
            label = field.sealed.label
            raise refusals.not_comparable(label) if compared else refusals.plain_target(label)
        elif compared and target.label != field.sealed.label:
            raise refusals.other_key_comparison(target.label, field.sealed.label)
        elif target.column is not None and target.label != field.sealed.label:
            raise refusals.other_key(field.sealed.label, target.label)


def _nullif(draft: Draft, scope: Scope, node: exp.Expr, *, named: bool) -> SealedRef | None:
    ref = sealed_column(draft, scope, node.expressions[0])
    if ref is None or not isinstance(node, exp.Anonymous):
        expressions.walk(draft, scope, node)
        return None
    expressions.function_name(draft, node)
    comparisons.nullif(draft, scope, node, ref, named=named)
    return ref


def carried(
    draft: Draft, scope: Scope, node: exp.Expr, *, named: bool = False
) -> SealedRef | None:
    """The sealed column whose values a result column hands through, or None after a `expressions.walk`."""
    ref = _carrier(draft, scope, node)
    inner = unbracketed(node)
    if ref is None:
        expressions.walk(draft, scope, node)
    elif _is_nullif(draft, inner):
        if inner is not node and named:
            raise refusals.misuse(ref.label, "in NULLIF")
        _nullif(draft, scope, inner, named=named)
        return with_modifier(ref)
    elif isinstance(inner, exp.Window):
        return _windowed(draft, scope, inner, ref)
    elif isinstance(inner, (exp.Case, exp.Anonymous)):
        _check_unmixed(draft, scope, inner, ref)
        # Values next to the column's own are sealed by its keys, which is as good as comparing.
        before = len(draft.marks) + len(draft.parameters)
        sealable(draft, scope, inner, ref, direct=False)
        if len(draft.marks) + len(draft.parameters) > before:
            draft.touch(ref, Access.COMPARE)
        plain = _is_plain(draft, scope, inner)
        return with_modifier(ref) if plain else without_modifier(ref)
    return with_modifier(ref) if ref is not None and isinstance(inner, exp.Subquery) else ref


# Window functions that give the value of their first argument in another row of the partition.
_IN_WINDOW: Final = frozenset({"first_value", "lag", "last_value", "lead", "nth_value"})


def _windowed(draft: Draft, scope: Scope, node: exp.Window, ref: SealedRef) -> SealedRef:
    """`lag(email, 1, 'none') OVER (...)`"""
    call = node.this
    expressions.function(draft, scope, call)
    _, *others = call.expressions
    expressions.walk_all(draft, scope, others[:1], f"as an argument of {call.name}()")
    for default in others[1:]:
        sealable(draft, scope, default, ref, direct=False)
        draft.touch(ref, Access.COMPARE)
    if isinstance(node.args.get("alias"), exp.Identifier):
        draft.name(node.args["alias"])
    expressions.window_definition(draft, scope, node)
    return without_modifier(ref)


def _is_plain(draft: Draft, scope: Scope, node: exp.Expr) -> bool:
    """Nothing but columns, so that the result has the modifier that they have (exprTypmod)."""
    if isinstance(node, exp.Case) and not node.args.get("default"):
        return False
    return all(sealed_column(draft, scope, branch) for branch in _branches(draft, node))


def beside(draft: Draft, field: Field, ref: SealedRef) -> None:
    """Values in a result column that carries sealed ones are sealed as these are."""
    before = len(draft.marks) + len(draft.parameters)
    seal_cells(draft, field, ref, use=Use.STORED)
    if len(draft.marks) + len(draft.parameters) > before:
        draft.touch(ref, Access.COMPARE)


def shown(draft: Draft, field: Field) -> Field:
    """A column of the final result that lists values: where these are sealed for a column that they
    are compared with, it carries sealed values as that column does."""
    refs = {draft.sealed_cell(cell) for cell in field.cells}
    ref = next(iter(refs)) if len(refs) == 1 else None
    if ref is None:
        draft.use_cells(field.cells)
        return field
    types = {_listed_type(draft, cell) for cell in field.cells}
    as_type = shown_as(ref, next(iter(types)) or "") if len(types) == 1 else None
    if as_type is None:
        raise refusals.listed_twice(ref.label)
    seal_cells(draft, field, ref, use=Use.STORED)
    return Field(field.name, as_type)


def _listed_type(draft: Draft, cell: Cell) -> str | None:
    found = chain(cell.node)
    value = locate(draft.tokens, found) if found is not None else None
    given = value.cast if value is not None else None
    return given.removesuffix("[]") if given is not None and cell.array else given or cell.type


def typed(draft: Draft, shape: Shape) -> Shape:
    """A result in FROM or WITH: values that the text gives no type have got one.

    As select_common_type does: that of the values beside it, else text.
    """
    fields = (replace(f, cells=_typed(draft, f.cells)) if f.cells else f for f in shape.fields)
    return replace(shape, fields=tuple(fields))


def _typed(draft: Draft, cells: tuple[Cell, ...]) -> tuple[Cell, ...]:
    if any(cell.array for cell in cells):
        return cells
    kinds: set[Kind] = set()
    types: set[str] = set()
    for cell in cells:
        found = chain(cell.node)
        value = locate(draft.tokens, found) if found is not None else None
        if value is None or word(draft.tokens, value.leaf) == "null":
            continue
        given = value.cast or cell.type
        if given is not None:
            types.add(given)
        else:
            kinds.add(draft.tokens[value.leaf].kind)
    unknown = kinds & {Kind.STRING, Kind.PARAM}
    if not unknown:
        return cells
    common = types or {"text"}
    if kinds != unknown or len(common) > 1 or "(" in min(common):
        draft.use_cells(cells)
        return ()
    name = _type_name(min(common))
    if name is None:
        draft.use_cells(cells)
        return ()
    return tuple(replace(cell, type=cell.type or name) for cell in cells)


def _type_name(spec: str) -> str | None:
    try:
        return logical_type(spec).name
    except TypeSpecError:
        return None


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
    return list(node.expressions) if _is_coalesce(draft, node) else []


def _carrier(draft: Draft, scope: Scope, node: exp.Expr) -> SealedRef | None:
    if isinstance(bare(node), exp.Column):
        return sealed_column(draft, scope, node)
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
