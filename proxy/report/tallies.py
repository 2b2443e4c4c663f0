"""Counts over a log of any length in bounded memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final, Generic, TypeVar

K = TypeVar("K")
T = TypeVar("T")

KEPT: Final = 10_000
"""Keys of one kind that are told apart. A client chooses its application's name: it must not choose our memory."""


class Tallies(Generic[K, T]):
    """A dict that stops growing: what comes for further keys is counted in `beyond`, together."""

    def __init__(self, make: Callable[[], T], limit: int = KEPT) -> None:
        self._make = make
        self._limit = limit
        self._kept: dict[K, T] = {}
        self.beyond: T | None = None
        """Of all keys that are not told apart; None: there are none."""

    def __getitem__(self, key: K) -> T:
        found = self._kept.get(key)
        if found is not None:
            return found
        if len(self._kept) < self._limit:
            return self._kept.setdefault(key, self._make())
        if self.beyond is None:
            self.beyond = self._make()
        return self.beyond

    def __len__(self) -> int:
        return len(self._kept)

    def __contains__(self, key: object) -> bool:
        return key in self._kept

    def get(self, key: K) -> T | None:
        return self._kept.get(key)

    def items(self) -> Iterator[tuple[K, T]]:
        """In the order in which they were first seen."""
        yield from self._kept.items()

    def values(self) -> Iterator[T]:
        """Without what is `beyond`."""
        yield from self._kept.values()


@dataclass(slots=True)
class Span:
    """When something happened, and how often. Times in epoch milliseconds; the log's order need not be the clock's."""

    events: int = 0
    first: int = 0
    last: int = 0

    def at(self, time: int) -> None:
        self.first = min(self.first, time) if self.events else time
        self.last = max(self.last, time) if self.events else time
        self.events += 1


@dataclass(slots=True)
class Cells(Span):
    """And with how many cells, by outcome."""

    cells: dict[str, int] = field(default_factory=dict)

    def add(self, outcome: str, cells: int) -> None:
        self.cells[outcome] = self.cells.get(outcome, 0) + cells

    def of(self, outcome: str) -> int:
        return self.cells.get(outcome, 0)
