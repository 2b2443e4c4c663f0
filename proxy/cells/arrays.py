"""One-dimensional arrays, taken apart: `= ANY($1)` and `IN` compare a sealed column with each element.

Mirrors array_in and array_recv in src/backend/utils/adt/arrayfuncs.c: `{a,"b c",NULL}` with optional bounds
(`[1:2]={...}`), or the binary form with dimension, flags, element type and lengths. Arrays of several dimensions
are well-formed to the server and refused here (0A000): equality on a column needs a list.
"""

from __future__ import annotations

import re
from dataclasses import replace
from struct import error, unpack_from

from proxy.cells import encoding
from proxy.cells.errors import CellError, alone, long_message, short_message
from proxy.cells.logical import LogicalType, by_oid
from proxy.cells.settings import Settings

_FIRST_UNPINNED_OID = 10000
"""Types from here on may have other OIDs on the client's side, so the server trusts the parameter's own type."""
_MAX_ITEMS = 0x3FFFFFFF // 8
_BLANK = rb"[ \t\n\v\f\r]*+"
_BLANK_RUN = re.compile(_BLANK)
_BOUND = re.compile(rb"\[([+-]?[0-9]+)(?::([+-]?[0-9]+))?\]")
_ITEM = re.compile(
    _BLANK
    + rb'(?:"((?>(?:[^"\\]++|\\[\x00-\xff])*))"'
    + rb'|((?:[^"\\{},\x20\t\n\v\f\r]|\\[\x00-\xff])(?>(?:[^"\\{},]++|\\[\x00-\xff])*))|(\{)|(?=\}))'
    + _BLANK
    + rb"([,}])?"
)
_ESCAPED = re.compile(rb"\\([\x00-\xff])")
_BLANKS = b" \t\n\v\f\r"


def _malformed() -> CellError:
    return CellError("22P02", "malformed array literal")


def _several_dimensions() -> CellError:
    return CellError("0A000", "multidimensional arrays cannot be compared with a sealed column")


def array_items(
    format: int,  # noqa: A002 - the protocol's word
    value: bytes,
    element: LogicalType,
    settings: Settings,
) -> list[bytes | None]:
    """The elements of an array parameter or literal in canonical form, None for NULL."""
    if format == 1:
        return _binary_items(value, element, settings)
    value = encoding.to_utf8(settings.encoding)(value)
    decode = element.decoder(0, replace(settings, encoding="UTF8"))
    items: list[bytes | None] = []
    position, size = _open(value)
    while True:
        match = _ITEM.match(value, position)
        if match is None:
            raise _malformed()
        if match[3] is not None:
            raise _several_dimensions()
        found = _item(match)
        # The server converts a quoted element before it finds fault with a brace behind it.
        if match[4] is not None or (match[1] is not None and value.startswith(b"{", match.end())):
            found = [item if item is None else decode(item) for item in found]
        if match[4] is None or not (found or (match[4] == b"}" and not items)):
            raise _malformed()
        items += found
        position = match.end()
        if match[4] == b"}":
            break
    if value[position:].strip(_BLANKS) or (size is not None and size != len(items)):
        raise _malformed()
    return items


def _item(match: re.Match[bytes]) -> list[bytes | None]:
    """One element without quotes and escapes, None for NULL; nothing where nothing stands."""
    if match[1] is not None:
        return [_ESCAPED.sub(rb"\1", match[1]) if b"\\" in match[1] else match[1]]
    if match[2] is None:
        return []
    bare: bytes = match[2].rstrip(_BLANKS)
    if b"\\" not in bare:
        return [None if bare.upper() == b"NULL" else bare]
    backslashes = len(bare) - len(bare.rstrip(b"\\"))
    if backslashes % 2:  # the last one escapes a blank, which stays
        bare = match[2][: len(bare) + 1]
    return [_ESCAPED.sub(rb"\1", bare)]


def _open(value: bytes) -> tuple[int, int | None]:
    """(position after the opening brace, number of elements the bounds announce or None)."""
    sizes: list[int] = []
    position = _skip_blanks(value, 0)
    while value[position : position + 1] == b"[":
        bound = _BOUND.match(value, position)
        if bound is None:
            raise _malformed()
        sizes.append(_size(bound[1], bound[2]))
        position = _skip_blanks(value, bound.end())
    if sizes:
        if value[position : position + 1] != b"=":
            raise _malformed()
        position = _skip_blanks(value, position + 1)
    if value[position : position + 1] != b"{":
        raise _malformed()
    if len(sizes) > 1:
        raise _several_dimensions()
    return position + 1, sizes[0] if sizes else None


def _skip_blanks(value: bytes, position: int) -> int:
    match = _BLANK_RUN.match(value, position)
    return match.end() if match is not None else position


def _size(first: bytes, second: bytes | None) -> int:
    """How many elements `[first:second]` announces; `[n]` counts from 1."""
    if len(first) > 12 or (second is not None and len(second) > 12):
        raise _bound_out_of_range()
    low, high = (1, int(first)) if second is None else (int(first), int(second))
    if not (-0x80000000 <= low <= 0x7FFFFFFF and -0x80000000 <= high <= 0x7FFFFFFF):
        raise _bound_out_of_range()
    if high < low:
        raise CellError("2202E", "upper bound cannot be less than lower bound")
    if high == 0x7FFFFFFF or high - low + 1 > 0x7FFFFFFF:
        raise _bound_out_of_range()
    return high - low + 1


def _bound_out_of_range() -> CellError:
    return CellError("54000", "array bound is out of integer range")


def _binary_items(value: bytes, element: LogicalType, settings: Settings) -> list[bytes | None]:
    decode = element.decoder(1, settings)
    try:
        dimensions, flags, oid = unpack_from(">iiI", value)
        if dimensions < 0:
            raise CellError("22P03", "invalid number of dimensions")
        if dimensions > 6:
            raise CellError("54000", "number of array dimensions exceeds the maximum allowed (6)")
        if flags not in (0, 1):
            raise CellError("22P03", "invalid array flags")
        if oid != element.oid and oid < _FIRST_UNPINNED_OID:
            raise _wrong_element(oid, element)
        if dimensions > 1:
            raise _several_dimensions()
        position, count = 12, 0
        if dimensions:
            count, lower = unpack_from(">ii", value, position)
            position = 20
            if not 0 <= count <= _MAX_ITEMS or lower + count > 0x7FFFFFFF:
                raise CellError("54000", "array size exceeds the maximum allowed")
        items: list[bytes | None] = []
        for _ in range(count):
            (length,) = unpack_from(">i", value, position)
            position += 4
            if length < -1 or length > len(value) - position:
                raise CellError("22P03", "insufficient data left in message")
            if length == -1:
                items.append(None)
            else:
                items.append(decode(value[position : position + length]))
                position += length
    except error:
        raise alone(short_message()) from None
    if position != len(value):
        raise long_message()
    return items


def _wrong_element(oid: int, element: LogicalType) -> CellError:
    found = by_oid(oid)
    shown = found.name if found else str(oid)
    return CellError(
        "42804", f"binary data has array element type {shown} instead of expected {element.name}"
    )
