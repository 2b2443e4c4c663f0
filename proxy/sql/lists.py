"""Values in lists: VALUES, SELECT of constants, unnest(): sealed where they stand.

A column that comes from constants and parameters of the text alone remembers them as *cells*, through
FROM, WITH, LATERAL and UNION ALL. What they are for shows further on: where a sealed column takes them
or is compared with them, all of them are sealed in the text; any other use marks them as used as they
are. Cells that are both are refused (`Draft.settle`). ADR 14 says why.
"""

from __future__ import annotations

from dataclasses import replace

from sqlglot import exp

from policy import Access
from proxy.cells import TypeSpecError, logical_type
from proxy.sql import arrays, assignment, common, refusals
from proxy.sql.columns import (
    Span,
    bare,
    cast_around,
    column_span,
    column_tokens,
    field_of,
    shown_as,
    take_off,
)
from proxy.sql.draft import Draft
from proxy.sql.lexer import Kind
from proxy.sql.plan import Form, Use
from proxy.sql.scope import Cell, Field, Scope, SealedRef, Shape
from proxy.sql.tree import unbracketed
from proxy.sql.values import chain, locate, one_cast, word


def cell(node: exp.Expr) -> Cell | None:
    """A constant or parameter that may be sealed where it stands, once it is known for what."""
    array = unnested(unbracketed(node))
    if array is not None:
        return Cell(array, array=True) if is_array(array) else None
    return Cell(node) if chain(node) is not None else None


def is_array(node: exp.Expr) -> bool:
    """`$1`, `'{a,b}'::text[]`, `ARRAY['a', $1]`"""
    if chain(node) is not None:
        return True
    array = bare(node)
    return isinstance(array, exp.Array) and all(chain(item) for item in array.expressions)


def unnested(node: exp.Expr) -> exp.Expr | None:
    """The array in `unnest(array)`."""
    if isinstance(node, exp.Anonymous) and node.name == "unnest" and len(node.expressions) == 1:
        return node.expressions[0]  # type: ignore[no-any-return]
    return None


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


def _without_cast(draft: Draft, node: exp.Expr) -> str:
    """Takes the cast from around a reference; returns its type."""
    inner = Span(*column_tokens(draft, node))
    span, found = cast_around(draft, inner)
    draft.literal_shaped |= found.modified
    take_off(draft, inner, span)
    return found.name


def seal_cells(
    draft: Draft, field: Field, target: SealedRef, cast: str | None = None, *, use: Use
) -> None:
    """All that a column's values come from is sealed where it stands."""
    draft.seal_cells(field.cells, target)
    if cast is None:
        common.check_cells(draft, target, field.cells)
    for one in field.cells:
        if one.array:
            if cast is not None:
                raise refusals.odd_cast(target.label)
            seal_array(draft, target, one.node, use)
            continue
        found = chain(one.node)
        value = locate(draft.tokens, found) if found is not None else None
        if value is not None and cast is not None:
            both = one_cast(value.cast, cast)
            if both is None:
                raise refusals.odd_cast(target.label)
            value = replace(value, cast=both)
        assignment.seal_value(draft, target, value, direct=False, use=use, default=one.type)
        if value is not None and one.label is not None:
            end = draft.tokens[value.end - 1].end
            draft.edit(end, end, f' AS "{one.label}"')


def label(draft: Draft, node: exp.Expr) -> str | None:
    """The name of a result column that is a value without AS (FigureColname): the type of its cast, or none."""
    found = chain(node)
    value = locate(draft.tokens, found) if found is not None else None
    if value is None:
        return None
    if value.cast is None:
        return "?column?"
    return _type_name(value.cast.removesuffix("[]"))


def seal_array(draft: Draft, target: SealedRef, node: exp.Expr, use: Use) -> None:
    """`$1::text[]`, `'{a,b}'::text[]`: each element is sealed."""
    if target.column is None:
        raise refusals.undeclared(target.label)
    found = chain(node)
    if found is None:
        arrays.seal_items(draft, target, node, use)
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


def beside(draft: Draft, field: Field, ref: SealedRef) -> None:
    """Values in a result column that carries sealed ones are sealed as these are."""
    before = len(draft.marks) + len(draft.parameters)
    seal_cells(draft, field, ref, use=assignment.BESIDE)
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
    seal_cells(draft, field, ref, use=assignment.BESIDE)
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
