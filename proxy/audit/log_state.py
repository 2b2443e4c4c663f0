"""Where the access log stands: what all processes that write one log for one service share. [io]

An anonymous mapping, inherited by fork, of 64-bit numbers. It is read and written under the lock of the log's file;
only what a writer has lost is counted outside of it, in numbers that this writer alone writes.

`numbers[OFFSET]` is written last after an event. A process that is killed between its `write` and that leaves a file
that is longer than the state says; the next writer finds out by its size and reads what is behind (`AuditLog`).
"""

from __future__ import annotations

import mmap
from typing import Final, NamedTuple

GENERATION: Final = 0
"""Counts the files; a process that has opened an earlier one must follow."""
DEVICE: Final = 1
INODE: Final = 2
OFFSET: Final = 3
"""Bytes in the file for which the next three hold."""
SEQUENCE: Final = 4
"""Number of the last event."""
TIME: Final = 5
"""Milliseconds in the last uid: uids are in the order of the file whatever the clocks do."""
UNSAID: Final = 6
"""1: some writer has lost events of which the log does not tell yet."""
_HEADER: Final = 16
_LOST, _TOLD, _SINCE = 0, 1, 2  # of each writer
_PER_WRITER: Final = 4
_REASON_BYTES: Final = 64


class Losses(NamedTuple):
    """Events that are not in the log, since when (epoch ms), and why."""

    lost: int
    since: int
    reason: str


class LogState:
    """`numbers` of a service whose `writers` (processes) are numbered from 0."""

    def __init__(self, writers: int) -> None:
        self._writers = writers
        self._reasons_at = 8 * (_HEADER + _PER_WRITER * writers)
        self._chain_at = self._reasons_at + _REASON_BYTES * writers
        self._memory = mmap.mmap(-1, self._chain_at + 96)
        self.numbers: memoryview[int] = memoryview(self._memory)[: self._reasons_at].cast("q")

    def seal(self) -> tuple[bytes, bytes, bytes]:
        at = self._chain_at
        return (
            self._memory[at : at + 32],
            self._memory[at + 32 : at + 64],
            self._memory[at + 64 : at + 96],
        )

    def sealed(self, head: bytes, seal: bytes, key: bytes) -> None:
        self._memory[self._chain_at : self._chain_at + 96] = head + seal + key

    def lose(self, writer: int, count: int, now: int, reason: str) -> None:
        """`count` events of this writer are not in the log."""
        numbers, at = self.numbers, _HEADER + _PER_WRITER * writer
        if numbers[at + _LOST] == numbers[at + _TOLD]:
            numbers[at + _SINCE] = now
            start = self._reasons_at + _REASON_BYTES * writer
            text = reason.encode()[:_REASON_BYTES].ljust(_REASON_BYTES, b"\0")
            self._memory[start : start + _REASON_BYTES] = text
        numbers[at + _LOST] += count
        numbers[UNSAID] = 1

    def losses(self) -> Losses:
        """What all writers have lost and nobody told."""
        lost, since, reason = 0, 0, ""
        for writer in range(self._writers):
            at = _HEADER + _PER_WRITER * writer
            missing = self.numbers[at + _LOST] - self.numbers[at + _TOLD]
            if missing and (not since or self.numbers[at + _SINCE] < since):
                since = self.numbers[at + _SINCE]
                reason = self._reason(writer)
            lost += missing
        return Losses(lost, since, reason)

    def counts(self) -> list[int]:
        """What each writer has lost since the start; for `told`."""
        return [self.numbers[_HEADER + _PER_WRITER * w + _LOST] for w in range(self._writers)]

    def told(self, counts: list[int]) -> None:
        """The log tells of so many."""
        for writer, count in enumerate(counts):
            self.numbers[_HEADER + _PER_WRITER * writer + _TOLD] = count

    def _reason(self, writer: int) -> str:
        start = self._reasons_at + _REASON_BYTES * writer
        return self._memory[start : start + _REASON_BYTES].rstrip(b"\0").decode(errors="replace")
