"""COPY's text format: lines, a delimiter, backslashes (CopyReadAttributesText, CopyAttributeOutText)."""

from __future__ import annotations

import re
from typing import Final

from proxy.copying.errors import CopyError
from proxy.copying.lines import Lines

_SPECIAL: Final = re.compile(rb"\\.?|[\r\n]", re.DOTALL)
_ESCAPE: Final = re.compile(rb"\\(?:([0-7]{1,3})|x([0-9A-Fa-f]{1,2})|(.))", re.DOTALL)
_LETTERS: Final = {
    b"b": b"\b",
    b"f": b"\f",
    b"n": b"\n",
    b"r": b"\r",
    b"t": b"\t",
    b"v": b"\v",
}
_BACKSLASH: Final = 0x5C
NOT_ALONE: Final = "end-of-copy marker is not alone on its line"
OTHER_STYLE: Final = "end-of-copy marker does not match previous newline style"


class TextRows(Lines):
    """Cuts a stream in text format into rows. `marker`: a line `\\.` ends it."""

    def _quickly(self, block: bytes, rows: list[bytes]) -> int | None:
        if b"\\" in block and (
            b"\\\n" in block or b"\\\r" in block or (self._marker and b"\\." in block)
        ):
            return None
        if not self._only_ends(block):
            return None
        found = block.split(self.end)
        rest = found.pop()
        rows += found
        return len(block) - len(rest)

    def _slowly(
        self, block: bytes, begin: int, rows: list[bytes], *, last: bool, most: int = 0
    ) -> int:
        position = begin
        while (match := _SPECIAL.search(block, position)) is not None:
            at, position = match.span()
            if block[at] == _BACKSLASH:
                if position - at == 1:
                    break  # What it escapes has not come yet, or never will.
                if self._marker and match[0] == b"\\.":
                    if self._ends_here(block, begin, at, last=last):
                        self.ended = True
                        return len(block)
                    break
                continue
            position = self._behind_end(block, at, last=last)
            if position < 0:
                break
            rows.append(block[begin:at])
            begin = position
            if len(rows) == most:
                break
        return begin

    def _ends_here(self, block: bytes, begin: int, at: int, *, last: bool) -> bool:
        """Whether the `\\.` at `at` is the end of the data. False: more is needed to know. Raises CopyError."""
        size = 2 if self.end == b"\r\n" else 1
        following = block[at + 2 : at + 2 + size]
        if len(following) < size:
            if not last:
                return False
            following += b"\0"
        if size == 2 and following[:1] == b"\n":
            raise CopyError(OTHER_STYLE)
        if (size == 2 and following[:1] != b"\r") or following[-1:] not in (b"\r", b"\n"):
            raise CopyError(NOT_ALONE)
        if self.end and following != self.end:
            raise CopyError(OTHER_STYLE)
        if at > begin:
            raise CopyError(NOT_ALONE)
        return True


def split(row: bytes, delimiter: bytes) -> list[bytes]:
    """The fields of a row, as they are written."""
    fields = row.split(delimiter)
    if b"\\" not in row or b"\\" + delimiter not in row:
        return fields
    merged = [fields[0]]
    for piece in fields[1:]:
        if _ends_in_escape(merged[-1]):
            merged[-1] += delimiter + piece
        else:
            merged.append(piece)
    return merged


def _ends_in_escape(field: bytes) -> bool:
    return (len(field) - len(field.rstrip(b"\\"))) % 2 == 1


def cut_escape(field: bytes) -> bytes:
    """A field without the lone backslash that the end of the data leaves at the end of its last row."""
    return field[:-1] if _ends_in_escape(field) else field


def unescape(field: bytes) -> bytes:
    """The value that a field with backslashes stands for."""
    return _ESCAPE.sub(_unescaped, field)


def _unescaped(match: re.Match[bytes]) -> bytes:
    octal, hexadecimal, other = match.groups()
    if octal is not None:
        return bytes((int(octal, 8) & 0xFF,))
    if hexadecimal is not None:
        return bytes((int(hexadecimal, 16),))
    return _LETTERS.get(other, other)


class TextWriter:
    """Writes values as fields."""

    __slots__ = ("_special", "_written")

    def __init__(self, delimiter: bytes) -> None:
        self._special = re.compile(b"[\b\f\n\r\t\v\\\\" + re.escape(delimiter) + b"]")
        self._written = {value: b"\\" + letter for letter, value in _LETTERS.items()}
        for character in (b"\\", delimiter):
            self._written.setdefault(character, b"\\" + character)

    def write(self, value: bytes) -> bytes:
        return self._special.sub(lambda m: self._written[m[0]], value)
