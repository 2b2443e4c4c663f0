"""bytea: the bytes themselves; text in hex (`\\x...`) or escape format, output by bytea_output.

Mirrors byteain and byteaout in src/backend/utils/adt/varlena.c (bytea.c from 19 on) and hex_decode in encode.c.
Hex input may have blanks between bytes; escape input takes `\\\\` and three octal digits, anything else as it is
after conversion to the server's encoding.
"""

from __future__ import annotations

import re
from contextlib import suppress
from typing import Final

from proxy.cells import encoding
from proxy.cells.errors import CellError, invalid_syntax
from proxy.cells.settings import Convert, Family, Settings, always, identity, unmodified

_PAIRS = re.compile(rb"(?:[ \n\t\r]*[0-9a-fA-F]{2})*[ \n\t\r]*")
_ESCAPES = re.compile(rb"\\(?:([0-3][0-7][0-7])|(\\)|)")
_UNPRINTABLE = re.compile(rb"[^\x20-\x5b\x5d-\x7e]")


def _parse_hex(digits: bytes) -> bytes:
    if b"\v" not in digits and b"\f" not in digits:  # blanks to Python, not to PostgreSQL
        with suppress(ValueError):
            return bytes.fromhex(digits.decode("ascii"))
    match = _PAIRS.match(digits)
    rest = digits[match.end() :] if match else digits
    if len(rest) == 1 and rest in b"0123456789abcdefABCDEF":
        raise CellError("22023", "invalid hexadecimal data: odd number of digits")
    raise CellError("22023", "invalid hexadecimal digit")


def _parse_escape(value: bytes) -> bytes:
    if b"\\" not in value:
        return value

    def octet(match: re.Match[bytes]) -> bytes:
        if match[1] is not None:
            return bytes((int(match[1], 8),))
        if match[2] is None:
            raise invalid_syntax("bytea")
        return b"\\"

    return _ESCAPES.sub(octet, value)


def _from_text(settings: Settings) -> Convert:
    to_utf8 = encoding.to_utf8(settings.encoding)

    def convert(value: bytes) -> bytes:
        value = to_utf8(value)
        return _parse_hex(value[2:]) if value.startswith(b"\\x") else _parse_escape(value)

    return convert


def _octal(match: re.Match[bytes]) -> bytes:
    return b"\\\\" if match[0] == b"\\" else b"\\%03o" % match[0][0]


def _to_text(settings: Settings) -> Convert:
    if settings.bytea_output == "escape":
        return lambda canonical: _UNPRINTABLE.sub(_octal, canonical)
    return lambda canonical: b"\\x" + canonical.hex().encode()


BYTEA: Final[Family] = Family(
    _from_text, always(identity), _to_text, always(identity), unmodified, unmodified, identity
)
