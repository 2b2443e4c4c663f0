"""COPY's binary format: signature, flags, header extension; tuples of counted fields; a trailer (manual, COPY).

Of a tuple only the fields that matter are taken out; what stands between them stays in one piece.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from proxy.copying.errors import CopyError
from proxy.copying.stream import Rest
from proxy.wire.framing import int16_at, int32_at

SIGNATURE: Final = b"PGCOPY\n\xff\r\n\0"
_FIXED: Final = len(SIGNATURE) + 8
_OIDS: Final = 1 << 16
_CRITICAL: Final = 0xFFFF0000
TRAILER: Final = b"\xff\xff"
_NULL: Final = b"\xff\xff\xff\xff"

Tuple = list["bytes | None"]
"""Bytes, a field, bytes, a field, ..., bytes: fields without their lengths, NULL is None; all else as it is written."""


class BinaryRows:
    """Cuts a stream in binary format into tuples. Like `lines.Lines`: `error` and `ended` stand behind the last one."""

    def __init__(self, limit: int, fields: int, places: Iterable[int]) -> None:
        self.header: bytes | None = None
        """All that stands before the first tuple, once it is there."""
        self.error: CopyError | None = None
        self.ended = False
        self._fields = fields
        taken = frozenset(places)
        self._taken = tuple(i in taken for i in range(fields))
        self._rest = Rest(limit)

    def feed(self, data: bytes) -> list[Tuple]:
        if self.error is not None:
            return []
        block = self._rest.add(data)
        rows: list[Tuple] = []
        if not block:
            return rows
        try:
            begin = 0
            if self.header is None:
                begin = self._read_header(block)
            if self.header is not None:
                begin = self._tuples(block, begin, rows)
            self._rest.keep(block[begin:])
        except CopyError as error:
            self.error = error
        return rows

    def finish(self) -> list[Tuple]:
        """The stream is complete. It may end in front of any tuple, trailer or not."""
        if self.error is not None:
            return []
        block = self._rest.take()
        rows: list[Tuple] = []
        try:
            if self.header is None:
                raise _cut_header(block)
            rest = len(block) - self._tuples(block, 0, rows)
            if rest >= 2:
                raise CopyError("unexpected EOF in COPY data")
        except CopyError as error:
            self.error = error
        return rows

    def _read_header(self, block: bytes) -> int:
        """Where the first tuple begins; 0: the header is not whole yet."""
        known = min(len(block), len(SIGNATURE))
        if block[:known] != SIGNATURE[:known]:
            raise CopyError("COPY file signature not recognized")
        if len(block) < _FIXED:
            return 0
        flags = int.from_bytes(block[11:15], "big")
        extension = int32_at(block, 15)
        if flags & _OIDS:
            raise CopyError("invalid COPY file header (WITH OIDS)")
        if flags & _CRITICAL:
            raise CopyError("unrecognized critical flags in COPY file header")
        if extension < 0:
            raise CopyError("invalid COPY file header (missing length)")
        self._check_size(extension)
        end = _FIXED + extension
        if len(block) < end:
            return 0
        self.header = block[:end]
        return int(end)

    def _tuples(self, block: bytes, begin: int, rows: list[Tuple]) -> int:
        """Append the whole tuples; return where the rest begins."""
        size = len(block)
        if self.ended and begin < size:
            raise CopyError("received copy data after EOF marker")
        while begin + 2 <= size:
            count = int16_at(block, begin)
            if count == -1:
                self.ended = True
                if begin + 2 < size:
                    raise CopyError("received copy data after EOF marker")
                return begin + 2
            if count != self._fields:
                raise CopyError(f"row field count is {count}, expected {self._fields}")
            end = self._tuple(block, begin, rows)
            if end < 0:
                break
            begin = end
        return begin

    def _tuple(self, block: bytes, begin: int, rows: list[Tuple]) -> int:
        """Append the tuple at `begin`; return where it ends, -1: not in this block."""
        size = len(block)
        parts: Tuple = []
        at, mark = begin + 2, begin
        for taken in self._taken:
            value_at = at + 4
            if value_at > size:
                return -1
            length = int32_at(block, at)
            end = value_at
            if length < 0:
                if length != -1:
                    raise CopyError("invalid field size")
            else:
                end += length
                if end > size:
                    self._check_size(length)
                    return -1
            if taken:
                parts.append(block[mark:at])
                parts.append(block[value_at:end] if length >= 0 else None)
                mark = end
            at = end
        parts.append(block[mark:at])
        rows.append(parts)
        return at

    def _check_size(self, size: int) -> None:
        if size > self._rest.limit:
            text = f"COPY row exceeds the limit of {self._rest.limit} bytes"
            raise CopyError(text, sqlstate="54000")


def _cut_header(block: bytes) -> CopyError:
    if len(block) < len(SIGNATURE):
        return CopyError("COPY file signature not recognized")
    missing = {True: "missing flags", False: "missing length"}[len(block) < 15]
    return CopyError(
        f"invalid COPY file header ({missing if len(block) < _FIXED else 'wrong length'})"
    )


def written(row: Tuple) -> list[bytes]:
    """A tuple in pieces."""
    parts: list[bytes] = []
    is_field = False
    for part in row:
        if part is None:
            parts.append(_NULL)
        else:
            if is_field:
                parts.append(len(part).to_bytes(4, "big"))
            parts.append(part)
        is_field = not is_field
    return parts
