"""Values side by side get one type before anything else happens to them: select_common_type in parse_coerce.c.

The branches of CASE and COALESCE, the items of ARRAY[...] and IN (...), the rows of VALUES and of UNION ALL. Sealed, each
value is converted by itself, so the list has to be one in which that makes no difference: `tz IN ('... +07', ts::timestamp)`
is none, because the first value would be read as a timestamp and lose its zone.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from sqlglot import exp

from proxy.cells import TypeSpecError, logical_type
from proxy.sql import refusals
from proxy.sql.draft import Draft
from proxy.sql.lexer import Kind
from proxy.sql.scope import Cell, SealedRef
from proxy.sql.tree import unbracketed
from proxy.sql.values import Value, chain, locate, word

_UNTYPED: Final = ""
_EXACT: Final = frozenset({"number", "int2", "int4", "int8", "numeric"})
_INTEGERS: Final = frozenset({"int2", "int4", "int8"})
MOST_DIGITS: Final = 19
"""Of an integer constant that is no numeric for certain, plus one."""
_NUMBERS: Final = _EXACT | {"float4", "float8"}
_TEXT: Final = frozenset({"text", "varchar"})


def check_values(draft: Draft, ref: SealedRef, values: Iterable[Value]) -> None:
    """Raises Refused if the values would become others by getting one type."""
    _check({_kind(draft, value, None) for value in values}, ref)


def check_nodes(draft: Draft, ref: SealedRef, nodes: Iterable[exp.Expr]) -> None:
    """The same, for those of the expressions that are values."""
    values = (_value(draft, node) for node in nodes)
    check_values(draft, ref, (value for value in values if value is not None))


def check_cells(draft: Draft, ref: SealedRef, cells: Iterable[Cell]) -> None:
    """The same, for the values of a list's column, each of which has got its type if it had none."""
    found = ((_value(draft, cell.node), cell.type) for cell in cells if not cell.array)
    _check({_kind(draft, value, given) for value, given in found if value is not None}, ref)


def check_union(
    draft: Draft, node: exp.SetOperation, refs: Iterable[tuple[int, SealedRef | None]]
) -> None:
    """The same, for the columns of SELECTs of values that UNION ALL puts one below the other."""
    selects = list(_selects(node))
    for place, ref in refs:
        if ref is not None:
            column = [s.expressions[place] for s in selects if place < len(s.expressions)]
            check_nodes(draft, ref, [c.this if isinstance(c, exp.Alias) else c for c in column])


def type_of(draft: Draft, node: exp.Expr) -> str | None:
    """The type that is written at a value; "" where none is; None for what is no value, and for NULL."""
    value = _value(draft, node)
    return _kind(draft, value, None) if value is not None else None


def check_nullif(draft: Draft, ref: SealedRef, node: exp.Expr) -> None:
    """Raises Refused where the operator of NULLIF(column, value) is of a wider type, which is the result's then."""
    value = _value(draft, node)
    kind = _kind(draft, value, None) if value is not None else None
    if value is None or kind in (None, _UNTYPED, ref.type):
        return
    own = ref.type or ""
    if own in _INTEGERS and kind == "number":
        # `1.5` and a long one are numerics.
        draft.literal_shaped = True
        text = draft.tokens[value.leaf].text
        if text.isdigit() and len(text) < MOST_DIGITS:
            return
    elif own in _INTEGERS and kind in _INTEGERS:
        return
    widest = {"numeric": _EXACT, "float8": _NUMBERS}.get(own, frozenset())
    if kind not in widest and not {own, kind} <= _TEXT:
        raise refusals.odd_cast(ref.label)


def _selects(node: exp.Expr) -> Iterable[exp.Select]:
    pending = [node]
    while pending:
        part = pending.pop()
        if isinstance(part, exp.Select):
            yield part
        elif isinstance(part, exp.SetOperation):
            pending += [part.this, part.expression]
        elif isinstance(part, exp.Subquery):
            pending.append(part.this)


def _value(draft: Draft, node: exp.Expr) -> Value | None:
    found = chain(unbracketed(node))
    return locate(draft.tokens, found) if found is not None else None


def _kind(draft: Draft, value: Value, given: str | None) -> str | None:
    """The name of the value's type; None for NULL, which is of any."""
    token = draft.tokens[value.leaf]
    if word(draft.tokens, value.leaf) == "null":
        return None
    if value.cast is not None or given is not None:
        return _type_name(value.cast or given or "")
    if token.kind is Kind.NUMBER:
        return "number"
    return "bool" if token.kind is Kind.IDENT else _UNTYPED


def _type_name(spec: str) -> str:
    spec = spec.removesuffix("[]")
    try:
        return logical_type(spec).name
    except TypeSpecError:
        return spec


def _check(kinds: set[str | None], ref: SealedRef) -> None:
    typed = kinds - {None, _UNTYPED}
    own = {ref.type}
    if len(kinds - {None}) <= 1:
        return
    untyped = _UNTYPED in kinds
    if typed <= _EXACT and (not untyped or own <= _NUMBERS):
        return
    if typed <= _TEXT and (not untyped or own <= _TEXT):
        return
    if typed != own:
        raise refusals.mixed_types(ref.label)
