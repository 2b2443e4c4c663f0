"""How many clients each worker has, and all together: in memory that all of them share. [io]

Each number has one writer. The supervisor counts whom it hands to a worker, before it does; the worker counts who has
left. So a client is counted before any worker looks at the sum, and of two that are one too many the one that came
later always sees both: never more than `max_connections` are let in, whatever worker they are with.
"""

from __future__ import annotations

import mmap
from typing import Final

_HANDED: Final = 0  # written by the supervisor
_LEFT: Final = 1  # written by the worker
_FIELDS: Final = 2


class Crowd:
    """Numbers of `workers`, which are counted from 0."""

    def __init__(self, workers: int) -> None:
        self._fields = _FIELDS * workers
        memory = mmap.mmap(-1, 8 * self._fields)
        self._numbers: memoryview[int] = memoryview(memory).cast("q")

    @property
    def total(self) -> int:
        """Clients of all workers."""
        numbers = self._numbers[: self._fields].tolist()
        return sum(numbers[_HANDED::_FIELDS]) - sum(numbers[_LEFT::_FIELDS])

    def of(self, worker: int) -> int:
        at = _FIELDS * worker
        return self._numbers[at + _HANDED] - self._numbers[at + _LEFT]

    def handed(self, worker: int, count: int = 1) -> None:
        """The supervisor hands the worker a client; or takes it back (-1), since that failed."""
        self._numbers[_FIELDS * worker + _HANDED] += count

    def left(self, worker: int) -> None:
        self._numbers[_FIELDS * worker + _LEFT] += 1

    def ended(self, worker: int) -> None:
        """The worker is no more, and its clients with it."""
        at = _FIELDS * worker
        self._numbers[at + _LEFT] = self._numbers[at + _HANDED]
