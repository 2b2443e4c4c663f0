"""Order forms: bytes that sort, unsigned and from the left, as SQL sorts the values; order terms are made of them.

    int2, int4, int8, date, timestamp, timestamptz     the canonical integer with its sign bit turned over; PostgreSQL's
                                                       infinite dates are the ends of the integers already
    float4, float8   IEEE 754 with the sign bit turned over, of negative numbers all bits; NaN is above infinity and
                     -0.0 is 0.0, as float8_cmp_internal (src/include/utils/float.h) has it
    numeric          one byte for sign and weight, then the base-10000 digits (`_numeric`); NaN is above infinity
    text, varchar    by collation C: the first `prefix` bytes of UTF-8, filled up with zero bytes, which no text holds,
                     and one byte that says whether there were more

Of one column no form is the start of another. Values have the same form only if they are equal, but for texts longer
than the prefix.
"""

from __future__ import annotations

from functools import lru_cache
from struct import Struct
from typing import Final

from proxy.cells import numeric
from proxy.cells.errors import CellError, corrupt
from proxy.cells.logical import LogicalType
from proxy.cells.settings import Convert

MOST_NUMERIC_DIGITS: Final = 40
"""Base-10000 digits of a numeric that can be stored in a column with an order: 157 to 160 decimal ones."""

_INTEGERS: Final = {"int2": 2, "int4": 4, "int8": 8, "date": 4, "timestamp": 8, "timestamptz": 8}
_FLOATS: Final = {"float4": 4, "float8": 8}
_TEXTS: Final = frozenset({"text", "varchar"})


def order_form(logical: LogicalType, prefix: int) -> Convert:
    """From a value that is stored to its form; `prefix`: bytes of a text, 0 for all other types.

    Calling it raises CellError: 0A000 for a numeric of too many digits, and for what is no canonical value as LogicalType
    does. Raises it itself (0A000) for a type without an order.
    """
    return _storable_numeric if logical.name == "numeric" else _form(logical.name, prefix)


def operand_form(logical: LogicalType, prefix: int) -> Convert:
    """From a value of the same type, to be compared with stored ones, to a form that lies right among theirs.

    Calling it raises CellError (0A000) for a text longer than the prefix: of those stored that begin as it does, the
    forms do not say which is less.
    """
    return _comparable(prefix) if logical.name in _TEXTS else _form(logical.name, prefix)


@lru_cache(maxsize=256)
def _form(name: str, prefix: int) -> Convert:
    if name in _INTEGERS:
        return _integer(name, _INTEGERS[name])
    if name in _FLOATS:
        return _floating(name, _FLOATS[name])
    if name == "numeric":
        return _numeric
    if name in _TEXTS and prefix > 0:
        return _text(prefix)
    raise CellError("0A000", f"values of type {name} have no order here")


def _integer(name: str, size: int) -> Convert:
    def form(canonical: bytes) -> bytes:
        if len(canonical) != size:
            raise corrupt(name)
        return _TURNED[canonical[0]] + canonical[1:]

    return form


_TURNED: Final = [bytes((byte ^ 0x80,)) for byte in range(256)]


def _floating(name: str, size: int) -> Convert:
    sign = 1 << 8 * size - 1
    infinity = 0x7F800000 if size == 4 else 0x7FF0000000000000
    nan = b"\xff" * size

    def form(canonical: bytes) -> bytes:
        if len(canonical) != size:
            raise corrupt(name)
        bits = int.from_bytes(canonical, "big")
        magnitude = bits & sign - 1
        if magnitude > infinity:
            return nan
        if bits == magnitude or not magnitude:
            return (sign | magnitude).to_bytes(size, "big")
        return (sign - 1 - magnitude).to_bytes(size, "big")

    return form


def _text(prefix: int) -> Convert:
    def form(canonical: bytes) -> bytes:
        if len(canonical) > prefix:
            return canonical[:prefix] + b"\x01"
        return canonical.ljust(prefix + 1, b"\0")

    return form


@lru_cache(maxsize=256)
def _comparable(prefix: int) -> Convert:
    form = _form("text", prefix)

    def comparable(canonical: bytes) -> bytes:
        if len(canonical) > prefix:
            raise CellError(
                "0A000",
                f"a text longer than {prefix} bytes cannot be compared with a column that is ordered by its first {prefix}",
            )
        return form(canonical)

    return comparable


_ZERO: Final = b"\x80"
_SPECIAL: Final = {
    numeric.NEGATIVE_INFINITE: b"\x00",
    numeric.INFINITE: b"\xfe",
    numeric.NAN: b"\xff",
}
_MIDDLE: Final = 0xBF
_REACH: Final = 61
_FAR_BELOW: Final = b"\x81"
_FAR_ABOVE: Final = b"\xfd"
_COMPLEMENT: Final = bytes(range(255, -1, -1))
_HEADER: Final = Struct(">HhH")


def _storable_numeric(canonical: bytes) -> bytes:
    if len(canonical) > 8 + 2 * MOST_NUMERIC_DIGITS:
        raise CellError(
            "0A000",
            f"a numeric of more than {4 * MOST_NUMERIC_DIGITS - 3} digits cannot be stored in a column that has an order",
        )
    return _numeric(canonical)


def _numeric(canonical: bytes) -> bytes:
    """Of a positive number: its weight (one byte, or one and two where it is far from 0), then each digit doubled, plus
    1 if more follow, so that 1.2 is below 1.20003 and neither form starts the other. Of a negative number all bits of
    its absolute value's form turned over.

    Digits beyond the most that can be stored are left out, not so that more follow: such a form equals none that is
    stored and lies between the right ones.
    """
    if len(canonical) < 8:
        raise corrupt("numeric")
    count, weight, sign = _HEADER.unpack_from(canonical)
    if len(canonical) != 8 + 2 * count:
        raise corrupt("numeric")
    if sign > numeric.NEGATIVE:
        return _SPECIAL[sign]
    if not count:
        return _ZERO
    if -_REACH <= weight <= _REACH:
        found = bytearray((_MIDDLE + weight,))
    else:
        found = bytearray(_FAR_BELOW if weight < 0 else _FAR_ABOVE)
        found += (weight + 0x8000).to_bytes(2, "big")
    last = 6 + 2 * count
    for at in range(8, min(last, 6 + 2 * MOST_NUMERIC_DIGITS) + 1, 2):
        doubled = (canonical[at] << 8 | canonical[at + 1]) << 1
        found += (doubled if at == last else doubled + 1).to_bytes(2, "big")
    return bytes(found if sign == numeric.POSITIVE else found.translate(_COMPLEMENT))
