"""Casts between logical types, on canonical values.

Mirrors the entries of src/include/catalog/pg_cast.dat among the types that can be sealed: those the server
applies by itself in assignments (`can_convert`) and, fewer, in comparisons (`is_implicit`). Any type is assigned
to a character type by its text form. A cast that reads a local time as an instant, or back, needs the session's
settings.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from math import isinf, isnan
from typing import TypeAlias

from proxy.cells import calendar, numeric
from proxy.cells.datetimes import DATE_FORM, TIMESTAMP_FORM, local_to_instant, session_zone
from proxy.cells.errors import CellError, out_of_range
from proxy.cells.floating import DOUBLE, SINGLE, parse_double, parse_single
from proxy.cells.logical import LogicalType
from proxy.cells.settings import Settings

_CHARACTER = frozenset({"text", "varchar", "bpchar"})
_INTEGERS: Mapping[str, tuple[int, str]] = {
    "int2": (2, "smallint"),
    "int4": (4, "integer"),
    "int8": (8, "bigint"),
}
_IMPLICIT = frozenset(
    (source, target)
    for source, targets in {
        "int2": "int4 int8 numeric float4 float8",
        "int4": "int8 numeric float4 float8",
        "int8": "numeric float4 float8",
        "numeric": "float4 float8",
        "float4": "float8",
        "date": "timestamp timestamptz",
        "timestamp": "timestamptz",
        "text": "varchar bpchar",
        "varchar": "text bpchar",
        "bpchar": "text varchar",
    }.items()
    for target in targets.split()
)
_ASSIGNMENT = frozenset(
    (source, target)
    for source, targets in {
        "int4": "int2",
        "int8": "int2 int4",
        "numeric": "int2 int4 int8",
        "float4": "int2 int4 int8 numeric",
        "float8": "int2 int4 int8 numeric float4",
        "timestamp": "date",
        "timestamptz": "date timestamp",
        "json": "jsonb",
        "jsonb": "json",
    }.items()
    for target in targets.split()
)
_NEEDS_ZONE = frozenset(
    {
        ("date", "timestamptz"),
        ("timestamp", "timestamptz"),
        ("timestamptz", "date"),
        ("timestamptz", "timestamp"),
    }
)

Cast: TypeAlias = Callable[[bytes, str, str, Settings], bytes]


def is_implicit(source: LogicalType, target: LogicalType) -> bool:
    """Whether the server casts by itself wherever it needs `target`, comparisons included."""
    return source.name == target.name or (source.name, target.name) in _IMPLICIT


def can_convert(source: LogicalType, target: LogicalType) -> bool:
    """Whether the server casts by itself when a value is assigned to a column of type `target`."""
    return (
        is_implicit(source, target)
        or (source.name, target.name) in _ASSIGNMENT
        or target.name in _CHARACTER
    )


def convert(
    source: LogicalType, target: LogicalType, canonical: bytes, settings: Settings | None = None
) -> bytes:
    """The value cast to `target`, its modifier not yet applied (see `LogicalType.assign`).

    Raises 22003 for a number that does not fit and 42804 for a pair that `can_convert` denies. Without settings,
    defaults are used: pass the session's where text forms or time zones may be involved.
    """
    settings = settings or Settings()
    one, other = source.name, target.name
    if one == other:
        return canonical
    if not can_convert(source, target):
        raise CellError(
            "42804", f"a value of type {one} cannot be assigned to a column of type {other}"
        )
    if one == "bool":
        return b"false" if canonical == b"\x00" else b"true"
    if other in _CHARACTER:
        if one in _CHARACTER:
            return canonical.rstrip(b" ") if one == "bpchar" else canonical
        return target.from_text(source.to_text(canonical, settings), settings)
    if one in ("json", "jsonb"):
        return target.from_text(source.to_text(canonical, Settings()), Settings())
    if one in ("date", "timestamp", "timestamptz"):
        return _datetime(canonical, one, other, settings)
    return _TO_NUMBER[other](canonical, one)


def _number(canonical: bytes, source: str) -> float:
    return float((SINGLE if source == "float4" else DOUBLE).unpack(canonical)[0])


def _to_integer(target: str) -> Callable[[bytes, str], bytes]:
    size, name = _INTEGERS[target]
    limit = 1 << (8 * size - 1)

    def cast(canonical: bytes, source: str) -> bytes:
        value = _integral(canonical, source, name)
        if not -limit <= value < limit:
            raise out_of_range(f"{name} out of range")
        return value.to_bytes(size, "big", signed=True)

    return cast


def _integral(canonical: bytes, source: str, name: str) -> int:
    """The integer nearest to a number: half to even from floats, half away from zero from numeric."""
    if source in _INTEGERS:
        return int.from_bytes(canonical, "big", signed=True)
    if source == "numeric":
        return _numeric_integral(canonical, name)
    value = _number(canonical, source)
    if isnan(value) or isinf(value):
        raise out_of_range(f"{name} out of range")
    return round(value)


def _numeric_integral(canonical: bytes, name: str) -> int:
    sign, digits, point = numeric.round_to(canonical, 0)
    if sign == numeric.NAN:
        raise CellError("0A000", f"cannot convert NaN to {name}")
    if sign in (numeric.INFINITE, numeric.NEGATIVE_INFINITE):
        raise CellError("0A000", f"cannot convert infinity to {name}")
    whole = digits.ljust(point, "0").lstrip("0") if point < 100 or digits.strip("0") else ""
    if len(whole) > 20:
        raise out_of_range(f"{name} out of range")
    value = int(whole or "0")
    return -value if sign == numeric.NEGATIVE else value


def _to_numeric(canonical: bytes, source: str) -> bytes:
    if source in _INTEGERS:
        return numeric.parse(b"%d" % int.from_bytes(canonical, "big", signed=True))
    value = _number(canonical, source)
    if isnan(value) or isinf(value):
        return numeric.parse(repr(value).encode())
    return numeric.parse(f"{value:.{6 if source == 'float4' else 15}g}".encode())


def _to_float(target: str) -> Callable[[bytes, str], bytes]:
    form = SINGLE if target == "float4" else DOUBLE

    def cast(canonical: bytes, source: str) -> bytes:
        if source == "numeric":
            return _numeric_to_float(canonical, target)
        if source in _INTEGERS:
            return _pack_integer(int.from_bytes(canonical, "big", signed=True), target)
        value = _number(canonical, source)
        if isnan(value) or isinf(value):
            return form.pack(value)
        packed = None
        with suppress(OverflowError):
            packed = form.pack(value)
        if packed is None:
            raise out_of_range("value out of range: overflow")
        if value != 0.0 and form.unpack(packed)[0] == 0.0:
            raise out_of_range("value out of range: underflow")
        return packed

    return cast


def _pack_integer(value: int, target: str) -> bytes:
    return (parse_single if target == "float4" else parse_double)(b"%d" % value)


def _numeric_to_float(canonical: bytes, target: str) -> bytes:
    return (parse_single if target == "float4" else parse_double)(numeric.render(canonical))


_TO_NUMBER: Mapping[str, Callable[[bytes, str], bytes]] = {
    **{target: _to_integer(target) for target in _INTEGERS},
    "numeric": _to_numeric,
    "float4": _to_float("float4"),
    "float8": _to_float("float8"),
}


def _datetime(canonical: bytes, source: str, target: str, settings: Settings) -> bytes:
    if source == "date":
        (days,) = DATE_FORM.unpack(canonical)
        micro = _INFINITE_DAYS.get(days, days * calendar.DAY)
        if days not in _INFINITE_DAYS and micro >= calendar.TIMESTAMP_END:
            raise CellError("22008", "date out of range for timestamp")
    else:
        (micro,) = TIMESTAMP_FORM.unpack(canonical)
    infinite = micro in (calendar.TIMESTAMP_INFINITE, calendar.TIMESTAMP_NEGATIVE_INFINITE)
    if not infinite and (source, target) in _NEEDS_ZONE:
        place = session_zone(settings.time_zone)
        if target == "timestamptz":
            micro = local_to_instant(micro, place)
        else:
            micro += (
                place.at(micro // calendar.SECOND + calendar.EPOCH_SECONDS).offset * calendar.SECOND
            )
        # A date is not checked again: the server, too, lets local midnight fall before its first day.
        in_range = calendar.TIMESTAMP_MIN <= micro < calendar.TIMESTAMP_END
        if target != "date" and not in_range:
            raise CellError("22008", "timestamp out of range")
    if target != "date":
        return TIMESTAMP_FORM.pack(micro)
    return DATE_FORM.pack(_INFINITE_MICROSECONDS.get(micro, micro // calendar.DAY))


_INFINITE_DAYS = {
    calendar.DATE_INFINITE: calendar.TIMESTAMP_INFINITE,
    calendar.DATE_NEGATIVE_INFINITE: calendar.TIMESTAMP_NEGATIVE_INFINITE,
}
_INFINITE_MICROSECONDS = {micro: days for days, micro in _INFINITE_DAYS.items()}
