"""Bytes of a stream that are not a whole row yet, in bounded memory and linear time."""

from __future__ import annotations

from typing import Final

from proxy.copying.errors import CopyError

_SMALL: Final = 64 * 1024
"""A rest of this size is looked at again whenever something comes; a larger one when it has doubled."""


class Rest:
    """What is left over of the stream. `limit`: of one row, in bytes."""

    __slots__ = ("_chunks", "_needed", "_size", "limit")

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._chunks: list[bytes] = []
        self._size = 0
        self._needed = 0

    def __len__(self) -> int:
        return self._size

    def add(self, data: bytes) -> bytes:
        """Everything there is, if it is time to look at it again; else `b""`."""
        if not self._chunks:
            return data
        self._chunks.append(data)
        self._size += len(data)
        return self.take() if self._size >= self._needed else b""

    def keep(self, rest: bytes) -> None:
        """The end of what `add` or `take` gave, which is not a whole row."""
        size = len(rest)
        if size > self.limit:
            text = f"COPY row exceeds the limit of {self.limit} bytes"
            raise CopyError(text, sqlstate="54000")
        if size:
            self._chunks.append(rest)
            self._size = size
            self._needed = 2 * size if size > _SMALL else 0

    def take(self) -> bytes:
        """Everything there is."""
        whole = b"".join(self._chunks)
        self._chunks.clear()
        self._size = 0
        return whole
