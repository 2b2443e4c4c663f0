"""What goes to the client of one buffer from the server: runs of it as they came, and what stands in place of messages.

A run is cut out when something else comes behind it, so a buffer in which nothing is replaced goes out whole, uncopied.
"""

from __future__ import annotations

from typing import final

from proxy.wire.long import LONG_COPY, cut


@final
class Outgoing:
    """`at`: where the message at hand begins. What is before it has been dealt with."""

    __slots__ = ("_data", "_from", "_parts", "at")

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._data = b""
        self._from = 0
        """From here to `at` the buffer is relayed as it is."""
        self.at = 0

    def begin(self, data: bytes) -> None:
        """Another buffer. All of the one before has been taken."""
        self._data = data
        self._from = self.at = 0

    def append(self, piece: bytes) -> None:
        """`piece` goes out in front of the message at hand."""
        self._cut()
        self._parts.append(piece)

    def skip(self, end: int) -> None:
        """The messages from `at` up to `end` do not go out: what stands in their place has been appended, or waits."""
        self._cut()
        self._from = self.at = end

    def take(self) -> bytes:
        """All that goes out in front of the message at hand, and has not been taken yet."""
        self._cut()
        parts = self._parts
        if len(parts) == 1:
            return parts.pop()
        whole = b"".join(parts)
        parts.clear()
        return whole

    def drop(self) -> None:
        """Nothing of it goes out."""
        self._parts.clear()
        self.begin(b"")

    def _cut(self) -> None:
        data, start, end = self._data, self._from, self.at
        if start < end:
            self._from = end
            if start == 0 and end == len(data):
                self._parts.append(data)
            else:
                self._parts.append(
                    cut(data, start, end) if end - start > LONG_COPY else data[start:end]
                )
