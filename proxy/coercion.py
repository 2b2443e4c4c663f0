"""What the server would make of a value of one type where a sealed column of another type stands.

Three things happen to a value on its way, in this order; each mirrors src/backend/parser (parse_coerce.c,
parse_oper.c, make_const in parse_node.c):

- a constant has a type of its own (`natural`): 5 is an int4, 1.5 a numeric, TRUE a bool; a quoted one has none
  and takes the type of its place;
- an explicit cast in the text (`cast`) converts it and cuts it to a length;
- its place converts it: an assignment (`proxy.cells.convert`, then the column's modifier), or a comparison
  (`compared`).

A comparison of two types happens on the server in the wider of the two. Sealgate has one equality form per stored
value, in the column's type, so the value must be taken there without a loss: a value that no value of the column
is equal to becomes `UNMATCHED`; what only the server could decide is refused (0A000), never guessed.
"""

from __future__ import annotations

import re
from dataclasses import replace
from struct import unpack
from typing import Final

from proxy.cells import (
    CellError,
    LogicalType,
    Settings,
    can_convert,
    convert,
    is_implicit,
    logical_type,
    sql_name,
)
from proxy.sql.plan import Constant

UNMATCHED: Final = b"unlike every value"
"""An equality form that no value has: types whose values can be missed have forms of at most 8 bytes."""

_INTEGER: Final = re.compile(r"-?[0-9]+")
_CHARACTER: Final = frozenset({"text", "varchar", "bpchar"})
_INTEGERS: Final = frozenset({"int2", "int4", "int8"})
_FLOATS: Final = frozenset({"float4", "float8"})
_DATETIMES: Final = frozenset({"date", "timestamp", "timestamptz"})
_NUMBERS: Final = _INTEGERS | _FLOATS | {"numeric"}
_COMPARABLE: Final = (_CHARACTER, _NUMBERS, _DATETIMES)
_EXACT_BELOW: Final = {"float4": 2.0**24, "float8": 2.0**53}
"""Integers below it, and no others for certain, are themselves as a float."""
_BOOLEANS: Final = frozenset({("int4", "bool"), ("bool", "int4")})
_ON_SERVER_ONLY: Final = frozenset(
    {("jsonb", name) for name in ("bool", *_NUMBERS)}
    | {(name, "bytea") for name in _INTEGERS}
    | {("bytea", name) for name in _INTEGERS}
)
"""Explicit casts that PostgreSQL has and that are not repeated here."""


def natural(constant: Constant, text: str) -> LogicalType:
    """The type of a constant that is not quoted; a number's text has its sign."""
    if constant is Constant.BOOLEAN:
        return logical_type("bool")
    if _INTEGER.fullmatch(text) and len(text.lstrip("-0")) < 20:
        value = int(text)
        if -(2**31) <= value < 2**31:
            return logical_type("int4")
        if -(2**63) <= value < 2**63:
            return logical_type("int8")
    return logical_type("numeric")


def alike(one: LogicalType | None, other: LogicalType) -> bool:
    """Values of the one are values of the other, whatever they are."""
    if one is None or one.modifier >= 0:
        return False
    pair = one.name, other.name
    return one.name == other.name or set(pair) <= {"text", "varchar"} or pair in _WITHIN


_WITHIN: Final = frozenset({("int2", "int4"), ("int2", "int8"), ("int4", "int8")})


def cast(source: LogicalType, target: LogicalType, canonical: bytes, settings: Settings) -> bytes:
    """`value::target`, the modifier applied."""
    check_cast(source, target)
    if can_convert(source, target):
        return target.cast(convert(source, target, canonical, settings))
    if source.name in _CHARACTER:
        return target.cast(target.from_text(canonical, settings))
    if target.name == "bool":
        return b"\x01" if any(canonical) else b"\x00"
    return b"\x00\x00\x00" + canonical  # bool to int4


def check_cast(source: LogicalType, target: LogicalType) -> None:
    """Raises CellError if there is no explicit cast, or none here."""
    pair = source.name, target.name
    if can_convert(source, target) or source.name in _CHARACTER or pair in _BOOLEANS:
        return
    if pair in _ON_SERVER_ONLY:
        raise CellError("0A000", f"a cast of {_name(source)} to {_name(target)} is not supported")
    raise CellError("42846", f"cannot cast type {_name(source)} to {_name(target)}")


def compared(
    source: LogicalType, target: LogicalType, canonical: bytes, settings: Settings
) -> bytes:
    """The equality form, in type `target`, of the values that equal this one of type `source`; or UNMATCHED."""
    one, other = source.name, target.name
    if one == other:
        return target.equality_form(canonical)
    pair = {one, other}
    if pair <= _CHARACTER:
        return _compared_text(source, target, canonical)
    check_compared(source, target)
    if other in _INTEGERS:
        if one in _FLOATS:
            _require_exact(source, target, canonical)
        return _narrowed(source, target, canonical, settings)
    if other == "float4":
        return _compared_single(source, target, canonical, settings)
    if pair == {"date", "timestamp"} and other == "date":
        return _narrowed(source, target, canonical, settings)
    if is_implicit(source, target):
        return _widened(source, target, canonical, settings)
    raise _server_only(source, target)


def check_compared(source: LogicalType, target: LogicalType) -> None:
    """Raises CellError if the server has no `=` for the two types."""
    pair = {source.name, target.name}
    if len(pair) > 1 and not any(pair <= family for family in _COMPARABLE):
        raise CellError("42883", f"operator does not exist: {_name(target)} = {_name(source)}")


def carried(
    source: LogicalType, target: LogicalType, canonical: bytes, settings: Settings
) -> bytes:
    """The value next to the column's own in a result (COALESCE, CASE), where the result keeps the column's type."""
    alike = {source.name, target.name} <= {"text", "varchar"}
    characters = {source.name, target.name} <= _CHARACTER
    if alike or source.name == target.name or (is_implicit(source, target) and not characters):
        return convert(source, target, canonical, settings)
    raise CellError(
        "0A000",
        f"a value of type {_name(source)} next to values of type {_name(target)} is not supported",
    )


def _compared_text(source: LogicalType, target: LogicalType, canonical: bytes) -> bytes:
    # varchar = bpchar compares as bpchar, text = bpchar as text, bpchar IN (text, ...) as bpchar: they part on
    # trailing blanks.
    blanks = target.name == "bpchar" and canonical.endswith(b" ")
    if blanks or (source.name, target.name) == ("bpchar", "varchar"):
        raise _server_only(source, target)
    return target.equality_form(convert(source, target, canonical))


def _require_exact(source: LogicalType, target: LogicalType, canonical: bytes) -> None:
    """An integer column compares with a float as a float, which large integers share."""
    value: float = unpack(">f" if source.name == "float4" else ">d", canonical)[0]
    finite = abs(value) < float("inf")
    always = source.name == "float8" and target.name != "int8"
    if finite and not always and abs(value) >= _EXACT_BELOW[source.name]:
        raise _server_only(source, target)


def _compared_single(
    source: LogicalType, target: LogicalType, canonical: bytes, settings: Settings
) -> bytes:
    """float4 compares with other numbers as float8, but IN takes integers and numerics to float4 first."""
    double = logical_type("float8")
    wide = convert(source, double, canonical, settings)
    form = _narrowed(double, target, wide, settings)
    if form == UNMATCHED and source.name != "float8":
        raise _server_only(source, target)
    return form


def _widened(
    source: LogicalType, target: LogicalType, canonical: bytes, settings: Settings
) -> bytes:
    beyond = False
    try:
        return target.equality_form(convert(source, target, canonical, settings))
    except CellError:
        beyond = source.name in _DATETIMES  # A date past every timestamp: `=` finds none, IN fails.
        if not beyond:
            raise
    raise _server_only(source, target)


def _narrowed(
    source: LogicalType, target: LogicalType, canonical: bytes, settings: Settings
) -> bytes:
    """There and back: only a value that survives it equals one of the column's."""
    try:
        found = convert(source, target, canonical, settings)
        again = convert(target, source, found, settings)
    except CellError:
        return UNMATCHED
    if source.equality_form(again) != source.equality_form(canonical):
        return UNMATCHED
    return target.equality_form(found)


def _server_only(source: LogicalType, target: LogicalType) -> CellError:
    return CellError(
        "0A000",
        f"this comparison of {_name(target)} with {_name(source)} cannot be made on sealed values",
    )


def _name(logical: LogicalType) -> str:
    return sql_name(replace(logical, modifier=-1))
