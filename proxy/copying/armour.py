"""Encodings in which the second byte of a character may look like a backslash, a quote or a delimiter.

The server converts a stream to its own encoding before it looks for rows (CopyConvertBuf); there, no byte of a
multibyte character is below 0x80. Here the stream keeps the client's encoding, so such characters are written in
another way while rows are taken apart: behind 0xFF, which none of these encodings has, with the high bit of every byte
set. SJIS, BIG5, GBK, UHC and GB18030 need it (PG_ENCODING_IS_CLIENT_ONLY in src/include/mb/pg_wchar.h; JOHAB's second
bytes are all high). How long a character is: pg_*_mblen in src/common/wchar.c.
"""

from __future__ import annotations

import re
from typing import Final

from proxy.copying.errors import CopyError

_TWO: Final = rb"[\x80-\xff]"
_CHARACTERS: Final = {
    "SJIS": re.compile(rb"[\x80-\xa0\xe0-\xff](?:.|\Z)", re.DOTALL),
    "BIG5": re.compile(_TWO + rb"(?:.|\Z)", re.DOTALL),
    "GBK": re.compile(_TWO + rb"(?:.|\Z)", re.DOTALL),
    "UHC": re.compile(_TWO + rb"(?:.|\Z)", re.DOTALL),
    "GB18030": re.compile(_TWO + rb"(?:[0-9](?:..|.?\Z)|.|\Z)", re.DOTALL),
}
"""Every character of more than one byte; a shorter match is one that is cut off by the end."""
_ARMOURED: Final = re.compile(rb"\xff(?:\xff(....)|(..))", re.DOTALL)


def needs_armour(encoding: str) -> bool:
    return encoding in _CHARACTERS


class Armour:
    """Puts it on a stream, piece by piece."""

    __slots__ = ("_characters", "_cut", "_encoding", "_four")

    def __init__(self, encoding: str) -> None:
        self._encoding = encoding
        self._characters = _CHARACTERS[encoding]
        self._four = encoding == "GB18030"
        self._cut = b""

    def put_on(self, data: bytes) -> bytes:
        """The stream's next bytes, without a character that is not whole yet."""
        data = self._cut + data
        self._cut = b""
        return data if data.isascii() else self._characters.sub(self._armoured, data)

    def _armoured(self, match: re.Match[bytes]) -> bytes:
        character = match[0]
        size = len(character)
        short = size < 2 or (self._four and size < 4 and 0x30 <= character[1] <= 0x39)
        if short:
            self._cut = character
            return b""
        if 0xFF in character:
            raise _invalid(self._encoding)
        if size == 2 and character[1] >= 0x80:
            return character
        high = bytes(byte | 0x80 for byte in character)
        return (b"\xff" if size == 2 else b"\xff\xff") + high

    def finish(self) -> None:
        if self._cut:
            raise _invalid(self._encoding)


def _invalid(encoding: str) -> CopyError:
    return CopyError(f'invalid byte sequence for encoding "{encoding}"', sqlstate="22021")


def take_off(data: bytes) -> bytes:
    """The client's own bytes again."""
    return _ARMOURED.sub(_plain, data) if b"\xff" in data else data


def _plain(match: re.Match[bytes]) -> bytes:
    four, two = match.groups()
    if two is not None:
        return bytes((two[0], two[1] & 0x7F))
    return bytes((four[0], four[1] & 0x7F, four[2], four[3] & 0x7F))
