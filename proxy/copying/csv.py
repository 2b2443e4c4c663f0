"""COPY's CSV format (CopyReadLineText, CopyReadAttributesCSV, CopyAttributeOutCSV)."""

from __future__ import annotations

import re

from proxy.copying.errors import CopyError
from proxy.copying.lines import Lines

UNTERMINATED = "unterminated CSV quoted field"


class CsvRows(Lines):
    """Cuts a stream in CSV format into rows; a quoted field may hold line ends.

    `marker`: a line `\\.` ends the data, as it does before PostgreSQL 18.
    """

    csv = True

    def __init__(
        self, limit: int, quote: bytes, escape: bytes, end: bytes = b"", *, marker: bool = False
    ) -> None:
        super().__init__(limit, end, marker=marker)
        self._quote = quote
        self._escape = escape if escape != quote else b""
        characters = b"".join(map(re.escape, (quote, self._escape)))
        self._special = re.compile(b"[\r\n" + characters + b"]")

    def _quickly(self, block: bytes, rows: list[bytes]) -> int | None:
        if (self._escape and self._escape in block) or (self._marker and b"\\." in block):
            return None
        if not self._only_ends(block):
            return None
        quote = self._quote
        if quote in (b"\r", b"\n"):
            return None
        pieces = block.split(self.end)
        rest = len(pieces.pop())
        if quote not in block:
            rows += pieces
            return len(block) - rest
        whole, open_ = _whole(pieces, quote, self.end)
        rows += whole
        rest += sum(len(piece) + len(self.end) for piece in open_)
        return len(block) - rest

    def _slowly(
        self, block: bytes, begin: int, rows: list[bytes], *, last: bool, most: int = 0
    ) -> int:
        position = begin
        quoted = escaped = False
        previous = -1
        while (match := self._special.search(block, position)) is not None:
            at, position = match.span()
            character = match[0]
            if at != previous:
                escaped = False
            previous = position
            if quoted and character == self._escape:
                escaped = not escaped
            if character == self._quote and not escaped:
                quoted = not quoted
            if character != self._escape:
                escaped = False
            if quoted or character not in (b"\r", b"\n"):
                continue
            position = self._behind_end(block, at, last=last)
            if position < 0:
                break
            row = block[begin:at]
            if self._marker and row == b"\\.":
                self.ended = True
                return len(block)
            rows.append(row)
            begin = position
            if len(rows) == most:
                break
        return begin


class CsvFields:
    """Fields of a row: taken apart, read, and written."""

    __slots__ = (
        "_delimiter",
        "_doubled",
        "_escape",
        "_null_marker",
        "_quote",
        "_special",
        "_words",
    )

    def __init__(self, delimiter: bytes, quote: bytes, escape: bytes, null: bytes) -> None:
        self._delimiter = delimiter
        self._quote = quote
        self._escape = escape
        self._null_marker = null
        self._doubled = escape + quote
        self._special = re.compile(b"[" + b"".join(map(re.escape, (delimiter, quote))) + b"\r\n]")
        both = b"".join(map(re.escape, (quote, escape)))
        self._words = re.compile(b"[" + both + re.escape(delimiter) + b"]")

    def split(self, row: bytes) -> list[bytes]:
        """The fields, as they are written. Raises CopyError."""
        pieces = row.split(self._delimiter)
        quote = self._quote
        if quote not in row:
            return pieces
        if self._escape != quote and self._escape in row:
            return self._split_slowly(row)
        fields, open_ = _whole(pieces, quote, self._delimiter)
        if open_:
            raise CopyError(UNTERMINATED)
        return fields

    def _split_slowly(self, row: bytes) -> list[bytes]:
        fields: list[bytes] = []
        begin = position = 0
        quoted = False
        while (match := self._words.search(row, position)) is not None:
            at, position = match.span()
            character = match[0]
            if quoted and character == self._escape:
                if row[position : position + 1] in (self._escape, self._quote):
                    position += 1
                    continue
                if character != self._quote:
                    continue
            if character == self._quote:
                quoted = not quoted
            elif not quoted and character == self._delimiter:
                fields.append(row[begin:at])
                begin = position
        if quoted:
            raise CopyError(UNTERMINATED)
        fields.append(row[begin:])
        return fields

    def read(self, field: bytes) -> bytes:
        """The value that a field with quotes stands for."""
        quote, doubled = self._quote, self._doubled
        if field[:1] == quote == field[-1:] and len(field) > 1:
            inner = field[1:-1]
            if quote not in inner and self._escape not in inner:
                return inner
            if self._escape == quote and quote not in inner.replace(doubled, b""):
                return inner.replace(doubled, quote)
        return self._read_slowly(field)

    def _read_slowly(self, field: bytes) -> bytes:
        value = bytearray()
        position = 0
        quoted = False
        while position < len(field):
            character = field[position : position + 1]
            position += 1
            if quoted and character == self._escape:
                following = field[position : position + 1]
                if following and following in (self._escape, self._quote):
                    value += following
                    position += 1
                    continue
            if character == self._quote:
                quoted = not quoted
            else:
                value += character
        return bytes(value)

    def write(self, value: bytes, *, quoted: bool = False, alone: bool = False) -> bytes:
        """A value as a field, quoted where it must be or shall be. `alone`: there is no other field in the row."""
        if not (
            quoted
            or value == self._null_marker
            or (alone and value == b"\\.")
            or self._special.search(value)
        ):
            return value
        quote, escape = self._quote, self._escape
        if escape != quote:
            value = value.replace(escape, escape + escape)
        return quote + value.replace(quote, escape + quote) + quote


def _whole(pieces: list[bytes], quote: bytes, cut: bytes) -> tuple[list[bytes], list[bytes]]:
    """Pieces that were cut apart at every `cut`, joined again where it stood in quotes; and those whose quotes stay open."""
    whole: list[bytes] = []
    open_: list[bytes] = []
    for piece in pieces:
        odd = piece.count(quote) & 1
        if open_:
            open_.append(piece)
            if odd:
                whole.append(cut.join(open_))
                open_ = []
        elif odd:
            open_ = [piece]
        else:
            whole.append(piece)
    return whole, open_
