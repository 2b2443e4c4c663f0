"""int2, int4, int8: two's complement, big endian; text in decimal, hexadecimal, octal or binary.

Mirrors pg_strtoint16/32/64 in src/backend/utils/adt/numutils.c: blanks around, one sign, `0x`, `0o`, `0b`,
single underscores between digits (after a prefix also before the first). The server notices an overflow at the
digit that causes it, so `99999999999x` is out of range and `12x` is bad syntax.
"""

from __future__ import annotations

import re
from struct import Struct, error
from typing import Final

from proxy.cells import encoding
from proxy.cells.errors import corrupt, invalid_syntax, out_of_range, wrong_size
from proxy.cells.settings import Convert, Family, Settings, always, identity, unmodified

_DIGITS = re.compile(
    rb"[ \t\n\v\f\r]*([+-]?)(?:0[xX]((?:_?[0-9a-fA-F])+)|0[oO]((?:_?[0-7])+)|0[bB]((?:_?[01])+)"
    rb"|([0-9]+(?:_[0-9]+)*))"
)
_END = re.compile(rb"[ \t\n\v\f\r]*")
_LONGEST = {16: 16, 8: 22, 2: 64, 10: 20}
"""Digits that any int8 fits in, leading zeros aside."""


def family(name: str, size: int, code: str) -> Family:
    """`name` as in messages: smallint, integer, bigint."""
    form = Struct(">" + code)
    pack, unpack = form.pack, form.unpack
    least = -(1 << (8 * size - 1))

    def parse(value: bytes) -> bytes:
        try:
            return pack(int(value))
        except (ValueError, error):
            pass  # and not on from here: the exception quotes the value and must not become a context
        return pack(_unusual(value, least, name))

    def from_text(settings: Settings) -> Convert:
        return encoding.ascii_form(parse, settings.encoding)

    def from_binary(value: bytes) -> bytes:
        if len(value) != size:
            raise wrong_size(value, size)
        return value

    def to_text(canonical: bytes) -> bytes:
        if len(canonical) != size:
            raise corrupt(name)
        return str(unpack(canonical)[0]).encode()

    return Family(
        from_text,
        always(from_binary),
        always(to_text),
        always(identity),
        unmodified,
        unmodified,
        identity,
    )


def _unusual(value: bytes, least: int, name: str) -> int:
    """A number that `int` does not read, or that does not fit; raises what PostgreSQL raises."""
    match = _DIGITS.match(value)
    if match is None or match.lastindex is None:
        raise invalid_syntax(name)
    base = (16, 8, 2, 10)[match.lastindex - 2]
    digits = match[match.lastindex].replace(b"_", b"").lstrip(b"0")
    range_error = out_of_range(f"value is out of range for type {name}")
    if len(digits) > _LONGEST[base]:
        raise range_error
    number = int(digits or b"0", base)
    # The digit loop stops once what it has read so far leaves no room for another digit.
    if number // base > -least // base:
        raise range_error
    if _END.fullmatch(value, match.end()) is None:
        raise invalid_syntax(name)
    number = -number if match[1] == b"-" else number
    if not least <= number < -least:
        raise range_error
    return number


INT2: Final[Family] = family("smallint", 2, "h")
INT4: Final[Family] = family("integer", 4, "i")
INT8: Final[Family] = family("bigint", 8, "q")
