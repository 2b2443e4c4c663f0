"""What a login usually does at most, learned in 14 numbers, so that one who knows the formula has to be patient.

Kept is the largest value of each of the last 14 days on which there was one, be it 0. The limit is a multiple of the *second* largest,
so that one odd day does not move it. A day is learned at no more than 1.1 times the second largest: who wants the limit a
hundred times as high needs weeks of steps, each of them on two days (docs/detection.md has the table). Values of a time with
a finding are not learned at all.
"""

from __future__ import annotations

from typing import Any, Final, final

from proxy.detection.windows import whole_numbers

DAYS: Final = 14
KNOWN_AFTER: Final = 3
"""Days after which the limit is the login's own."""
COLD: Final = 10
"""Until then it is so many times the floor."""
DAY_MS: Final = 86_400_000


@final
class Peaks:
    """The usual maximum of one number of one login."""

    __slots__ = ("day", "days", "floor", "today", "usual")

    def __init__(self, floor: int) -> None:
        self.floor = floor
        self.day = 0
        self.today = 0
        self.days: list[int] = []
        self.usual = 0
        """The second largest, 0 until there are enough days."""

    def limit(self, percent: int) -> int:
        """What is still usual: `percent` of the usual maximum, and never below the floor."""
        if len(self.days) < KNOWN_AFTER:
            return self.floor * COLD
        return max(self.floor, self.usual * percent // 100)

    def learn(self, ms: int, value: int) -> None:
        """This was seen, and nothing was wrong."""
        day = ms // DAY_MS
        if day != self.day and day != self.day - 1:  # a late event belongs to today
            self._end_day()
            self.day = day
        if value > self.today:
            self.today = value

    def _end_day(self) -> None:
        if not self.day:
            return
        learned = self.today
        if len(self.days) >= KNOWN_AFTER:
            learned = min(learned, max(self.floor, self.usual * 11 // 10))
        self.days = [*self.days, learned][-DAYS:]
        self.today = 0
        self._find_usual()

    def _find_usual(self) -> None:
        self.usual = sorted(self.days)[-2] if len(self.days) >= KNOWN_AFTER else 0

    def snapshot(self) -> list[Any]:
        return [self.day, self.today, self.days]

    def restore(self, data: Any) -> None:
        day, today, days = data
        self.day, self.today = whole_numbers([day, today], 2)
        self.days = list(whole_numbers(days, len(days)))[-DAYS:]
        self._find_usual()
