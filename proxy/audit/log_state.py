"""What the processes of one service have not been able to write: in memory that all of them share. [io]

An anonymous mapping, inherited by fork, of 64-bit numbers. Of each writer's numbers the first is written by it alone, the
others under the lock of the log.
"""

from __future__ import annotations

import mmap
from typing import Final, NamedTuple

_UNSAID, _FAILING = 0, 1
_HEADER: Final = 2
_LOST, _TOLD, _SINCE = 0, 1, 2  # of each writer
_PER_WRITER: Final = 3
_REASON_BYTES: Final = 64


class Losses(NamedTuple):
    """Events that are not in the log, since when (epoch ms), and why."""

    lost: int
    since: int
    reason: str


class LogState:
    """Of a service whose `writers` (processes) are numbered from 0."""

    def __init__(self, writers: int) -> None:
        self._writers = writers
        self._reasons_at = 8 * (_HEADER + _PER_WRITER * writers)
        self._memory = mmap.mmap(-1, self._reasons_at + _REASON_BYTES * writers)
        self._numbers: memoryview[int] = memoryview(self._memory)[: self._reasons_at].cast("q")

    @property
    def unsaid(self) -> bool:
        """Some writer has lost events of which the log does not tell yet."""
        return self._numbers[_UNSAID] != 0

    @unsaid.setter
    def unsaid(self, unsaid: bool) -> None:
        self._numbers[_UNSAID] = unsaid

    @property
    def failing(self) -> bool:
        """Something could not be written, and no checkpoint has been since."""
        return self._numbers[_FAILING] != 0

    @failing.setter
    def failing(self, failing: bool) -> None:
        self._numbers[_FAILING] = failing

    def lose(self, writer: int, count: int, now: int, reason: str) -> None:
        """`count` events of this writer are not in the log."""
        numbers, at = self._numbers, _HEADER + _PER_WRITER * writer
        if numbers[at + _LOST] == numbers[at + _TOLD]:
            numbers[at + _SINCE] = now
            start = self._reasons_at + _REASON_BYTES * writer
            text = reason.encode()[:_REASON_BYTES].ljust(_REASON_BYTES, b"\0")
            self._memory[start : start + _REASON_BYTES] = text
        numbers[at + _LOST] += count
        numbers[_UNSAID] = numbers[_FAILING] = 1

    def losses(self) -> Losses:
        """What all writers have lost and nobody told."""
        lost, since, reason = 0, 0, ""
        for writer in range(self._writers):
            at = _HEADER + _PER_WRITER * writer
            missing = self._numbers[at + _LOST] - self._numbers[at + _TOLD]
            if missing and (not since or self._numbers[at + _SINCE] < since):
                since = self._numbers[at + _SINCE]
                reason = self._reason(writer)
            lost += missing
        return Losses(lost, since, reason)

    def counts(self) -> list[int]:
        """What each writer has lost since the start; for `told`."""
        return [self._numbers[_HEADER + _PER_WRITER * w + _LOST] for w in range(self._writers)]

    def told(self, counts: list[int]) -> None:
        """The log tells of so many."""
        for writer, count in enumerate(counts):
            self._numbers[_HEADER + _PER_WRITER * writer + _TOLD] = count

    def _reason(self, writer: int) -> str:
        start = self._reasons_at + _REASON_BYTES * writer
        return self._memory[start : start + _REASON_BYTES].rstrip(b"\0").decode(errors="replace")
