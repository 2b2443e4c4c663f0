"""Where lines end, as CopyReadLineText finds it: the first line's end decides for all of them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Final

from proxy.copying.errors import CopyError
from proxy.copying.stream import Rest

_CR: Final = 0x0D
_WORDS: Final = {
    False: (
        "literal carriage return found in data",
        'Use "\\r" to represent carriage return.',
        "literal newline found in data",
        'Use "\\n" to represent newline.',
    ),
    True: (
        "unquoted carriage return found in data",
        "Use quoted CSV field to represent carriage return.",
        "unquoted newline found in data",
        "Use quoted CSV field to represent newline.",
    ),
}


class Lines(ABC):
    """Rows of a stream of lines; how lines hang together is the format's (`_rows_of`).

    `feed` and `finish` return whole rows without their ends. What stands behind the last of them may be wrong:
    `error`; or it may be the marker `\\.`: `ended`, and the rest of the stream says nothing.
    """

    csv = False

    def __init__(self, limit: int, end: bytes = b"", *, marker: bool = True) -> None:
        self.end = end
        """What ends a line; empty as long as no line has ended."""
        self.error: CopyError | None = None
        self.ended = False
        self.unterminated = False
        """The stream's last row had no end."""
        self._marker = marker
        self._rest = Rest(limit)

    def feed(self, data: bytes) -> list[bytes]:
        if self.ended or self.error is not None:
            return []
        block = self._rest.add(data)
        if not block:
            return []
        rows: list[bytes] = []
        try:
            self._rest.keep(block[self._rows(block, rows, last=False) :])
        except CopyError as error:
            self.error = error
        return rows

    def finish(self) -> list[bytes]:
        """The stream is complete."""
        block = self._rest.take()
        if self.ended or self.error is not None or not block:
            return []
        rows: list[bytes] = []
        try:
            end = self._rows(block, rows, last=True)
        except CopyError as error:
            self.error = error
            return rows
        if end < len(block) and not self.ended:
            rows.append(block[end:])
            self.unterminated = True
        return rows

    def _rows(self, block: bytes, rows: list[bytes], *, last: bool) -> int:
        """Append the whole rows of `block`; return where the rest begins."""
        begin = 0
        if not self.end:
            begin = self._slowly(block, 0, rows, last=last, most=1)
            if not self.end or self.ended:
                return begin
        end = self._quickly(block[begin:] if begin else block, rows)
        if end is not None:
            return begin + end
        return self._slowly(block, begin, rows, last=last)

    @abstractmethod
    def _quickly(self, block: bytes, rows: list[bytes]) -> int | None:
        """`_rows` where nothing in the block needs a second look; None where something does."""

    @abstractmethod
    def _slowly(
        self, block: bytes, begin: int, rows: list[bytes], *, last: bool, most: int = 0
    ) -> int:
        """`_rows` from `begin` on, looking at every character that can matter. `most`: rows to find; 0: all."""

    def _behind_end(self, block: bytes, at: int, *, last: bool) -> int:
        """Where the line end at `at` ends; -1: it may go on. Raises CopyError for another one than the first line's."""
        carriage_return, hint_r, newline, hint_n = _WORDS[self.csv]
        if block[at] == _CR:
            if self.end == b"\n":
                raise CopyError(carriage_return, hint_r)
            if self.end == b"\r":
                return at + 1
            if at + 1 == len(block) and not last:
                return -1
            if block[at + 1 : at + 2] == b"\n":
                self.end = b"\r\n"
                return at + 2
            if self.end:
                raise CopyError(carriage_return, hint_r)
            self.end = b"\r"
            return at + 1
        if self.end in (b"\r", b"\r\n"):
            raise CopyError(newline, hint_n)
        self.end = b"\n"
        return at + 1

    def _only_ends(self, block: bytes) -> bool:
        """Every CR and LF in the block is (part of) a line end of the known kind."""
        if self.end == b"\n":
            return b"\r" not in block
        if self.end == b"\r":
            return b"\n" not in block
        pairs = block.count(b"\r\n")
        cut = block.endswith(b"\r")
        return block.count(b"\n") == pairs and block.count(b"\r") == pairs + cut
