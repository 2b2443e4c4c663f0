"""Where a value of one type falls among the values of a sealed column of another, for <, <=, > and >=.

The server compares two types in the wider of them: an integer column with 5.5 as numeric, a date with a timestamp as
timestamp. What is stored has one order term, of its own type. So the operand becomes a place in that order: at a value
that the column can hold, or between two of them (a cut: 5.5 lies just above 5; 10^12 above every int4). All four
operators agree on it, and so does =, which no cut satisfies.

That asks of a comparison that it keeps the column's values apart. Where it does not (an int8 of more than 53 bits, or a
numeric, beside a float: several of them are one float8), or where a time zone stands between the two (a timestamp
column beside a timestamptz), the comparison is refused (0A000), never guessed. Mirrors numeric.c, int8.c, float.c
(float48lt and its kin), date.c (date_cmp_timestamp_internal) and timestamp.c in src/backend/utils/adt, and oper.c, which
takes numbers beside a float to float8.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum, unique
from math import floor, inf, isinf, isnan
from struct import Struct
from typing import Final

from keystore.order import HIGHEST, LOWEST, just_above
from proxy.cells import CellError, LogicalType, Settings, calendar, convert, logical_type, sql_name
from proxy.cells import numeric as numerics
from proxy.cells.order import operand_form

_CHARACTER: Final = frozenset({"text", "varchar", "bpchar"})
_INTEGERS: Final = {"int2": 2, "int4": 4, "int8": 8}
_FLOATS: Final = frozenset({"float4", "float8"})
_DATETIMES: Final = frozenset({"date", "timestamp", "timestamptz"})
_COMPARABLE: Final = (_CHARACTER, frozenset({*_INTEGERS, *_FLOATS, "numeric"}), _DATETIMES)

_SINGLE: Final = Struct(">f")
_DOUBLE: Final = Struct(">d")
_LARGEST_SINGLE: Final = float((2**24 - 1) * 2**104)
_EXACT_INTEGER: Final = 2.0**53
"""Integers up to it have a float8 each."""


@unique
class Edge(Enum):
    """How an operand stands to its form."""

    EXACT = "at the value of this form"
    ABOVE = "above the value of this form and below the next"
    LOWEST = "below every value"
    HIGHEST = "above every value"


@dataclass(frozen=True, slots=True, repr=False)
class Operand:
    """A place in a column's order, which it does not print. LOWEST and HIGHEST have no form."""

    form: bytes
    edge: Edge = Edge.EXACT


BELOW_ALL: Final = Operand(b"", Edge.LOWEST)
ABOVE_ALL: Final = Operand(b"", Edge.HIGHEST)


def edged(term: bytes, edge: Edge) -> bytes:
    """What stands in place of an order term: `term` is the form's, and no matter where there is none."""
    if edge is Edge.EXACT:
        return term
    if edge is Edge.ABOVE:
        return just_above(term)
    return LOWEST if edge is Edge.LOWEST else HIGHEST


def operand(
    source: LogicalType, target: LogicalType, prefix: int, canonical: bytes, settings: Settings
) -> Operand:
    """Where the value of type `source` falls among those of a column of type `target`.

    `prefix` as in `order_form`. Raises CellError: 42883 where the server has no such operator, 0A000 for what only the
    server could decide and for texts longer than the prefix, and what the server itself raises for a value that the
    comparison would have to convert and cannot.
    """
    one, other = source.name, target.name
    form = operand_form(target, prefix)
    if one == other:
        return Operand(form(canonical))
    check_ordered(source, target)
    if other in _INTEGERS:
        return _among_integers(one, target, canonical)
    if other == "float4":
        return _among_singles(source, target, canonical)
    if other == "date":
        return _among_dates(target, canonical)
    if one in _DATETIMES:
        return _among_timestamps(source, target, canonical, settings)
    return Operand(form(convert(source, target, canonical, settings)))


def check_ordered(source: LogicalType, target: LogicalType) -> None:
    """Raises CellError if the server has no `<` for the two types, or none that can be repeated here."""
    one, other = source.name, target.name
    if one == other:
        return
    if not any({one, other} <= family for family in _COMPARABLE):
        raise CellError("42883", f"operator does not exist: {_name(target)} < {_name(source)}")
    if (one, other) in _SERVER_ONLY:
        raise _server_only(one, target)


_SERVER_ONLY: Final = frozenset(
    {
        ("float4", "numeric"),
        ("float8", "numeric"),
        ("timestamptz", "date"),
        ("timestamptz", "timestamp"),
        ("bpchar", "varchar"),  # compared as bpchar, without the trailing blanks of either
    }
)


def _among_integers(source: str, target: LogicalType, canonical: bytes) -> Operand:
    if source in _INTEGERS:
        return _at_integer(int.from_bytes(canonical, "big", signed=True), True, target)
    if source == "numeric":
        return _numeric_among_integers(canonical, target)
    value = _float(source, canonical)
    if isnan(value) or value == inf:
        return ABOVE_ALL
    if value == -inf:
        return BELOW_ALL
    if target.name == "int8" and _EXACT_INTEGER <= abs(value) <= 2.0**63:
        raise _server_only(source, target)
    whole = floor(value)
    return _at_integer(whole, whole == value, target)


def _numeric_among_integers(canonical: bytes, target: LogicalType) -> Operand:
    sign, digits, point, _ = numerics.decompose(canonical)
    if sign in (numerics.NAN, numerics.INFINITE):
        return ABOVE_ALL
    negative = sign != numerics.POSITIVE
    if sign == numerics.NEGATIVE_INFINITE or point > 40:
        return BELOW_ALL if negative else ABOVE_ALL
    behind = digits[max(0, point) :].strip("0")
    whole = int(digits[: max(0, point)].ljust(point, "0") or "0")
    if negative:
        whole = -whole - 1 if behind else -whole
    return _at_integer(whole, not behind, target)


def _at_integer(value: int, exact: bool, target: LogicalType) -> Operand:
    """At `value`, or between it and the next."""
    size = _INTEGERS[target.name]
    limit = 1 << 8 * size - 1
    if value >= limit:
        return ABOVE_ALL
    if value < -limit:
        return BELOW_ALL
    return _at(value.to_bytes(size, "big", signed=True), exact, target)


def _among_singles(source: LogicalType, target: LogicalType, canonical: bytes) -> Operand:
    """Compared as float8, which has every float4."""
    wide = convert(source, logical_type("float8"), canonical)
    value = _float("float8", wide)
    if isnan(value) or isinf(value):
        return _at(_SINGLE.pack(value), True, target)
    if value > _LARGEST_SINGLE:
        return _at(_SINGLE.pack(_LARGEST_SINGLE), False, target)
    if value < -_LARGEST_SINGLE:
        return _at(_SINGLE.pack(-inf), False, target)
    near = _SINGLE.pack(value)
    found = _float("float4", near)
    if found > value:
        near = _single_below(near)
    return _at(near, found == value, target)


def _single_below(single: bytes) -> bytes:
    """The greatest float4 below one that is not the least."""
    bits = int.from_bytes(single, "big")
    if bits in (0, 0x80000000):
        return b"\x80\x00\x00\x01"
    return (bits + 1 if bits & 0x80000000 else bits - 1).to_bytes(4, "big")


def _among_dates(target: LogicalType, canonical: bytes) -> Operand:
    """A timestamp among midnights."""
    micro = int.from_bytes(canonical, "big", signed=True)
    if micro == calendar.TIMESTAMP_INFINITE:
        days, rest = calendar.DATE_INFINITE, 0
    elif micro == calendar.TIMESTAMP_NEGATIVE_INFINITE:
        days, rest = calendar.DATE_NEGATIVE_INFINITE, 0
    else:
        days, rest = divmod(micro, calendar.DAY)
    return _at(days.to_bytes(4, "big", signed=True), not rest, target)


def _among_timestamps(
    source: LogicalType, target: LogicalType, canonical: bytes, settings: Settings
) -> Operand:
    """A date or local time as the moment that it is; past the last or before the first it is next to infinity."""
    try:
        return _at(convert(source, target, canonical, settings), True, target)
    except CellError as error:
        if error.sqlstate != "22008":
            raise
    last = (
        calendar.TIMESTAMP_NEGATIVE_INFINITE if canonical[0] & 0x80 else calendar.TIMESTAMP_END - 1
    )
    return _at(last.to_bytes(8, "big", signed=True), False, target)


def _at(canonical: bytes, exact: bool, target: LogicalType) -> Operand:
    return Operand(operand_form(target, 0)(canonical), Edge.EXACT if exact else Edge.ABOVE)


def _float(name: str, canonical: bytes) -> float:
    value: float = (_SINGLE if name == "float4" else _DOUBLE).unpack(canonical)[0]
    return value


def _server_only(source: str, target: LogicalType) -> CellError:
    # What a driver makes of a float: the one refusal here that programs meet without a cast of their own.
    instead = ": cast the value to numeric, or send a decimal" if target.name == "numeric" else ""
    one, other = _name(target), _name(logical_type(source))
    return CellError(
        "0A000", f"this comparison of {one} with {other} cannot be made on sealed values{instead}"
    )


def _name(logical: LogicalType) -> str:
    return sql_name(replace(logical, modifier=-1))
