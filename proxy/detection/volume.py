"""More cells than this login is usually shown: in a window, and in a day (UTC).

Found: more cells than `cells` (`day_cells`), and more than `percent` of the usual maximum of a window (a day), by `peaks`.
"""

from __future__ import annotations

from typing import Any, Final, final

from proxy.detection.peaks import DAY_MS, Peaks
from proxy.detection.seen import Seen
from proxy.detection.settings import Volume
from proxy.detection.signal import Signal
from proxy.detection.windows import Count, whole_numbers

NAME: Final = "volume"


@final
class Shown:
    """The cells that one login is shown."""

    __slots__ = ("cells", "day", "day_cells", "settings", "usual", "usual_day")

    def __init__(self, settings: Volume) -> None:
        self.settings = settings
        self.cells = Count(settings.window_seconds)
        self.day = 0
        self.day_cells = 0
        self.usual = Peaks(settings.cells)
        self.usual_day = Peaks(settings.day_cells)

    def observe(self, seen: Seen, *, learn: bool) -> list[Signal]:
        if not seen.cells:
            return []
        now, percent = seen.time, self.settings.percent
        day = now // DAY_MS
        if day != self.day and day != self.day - 1:
            self.day, self.day_cells = day, 0
        self.day_cells += seen.cells
        cells = self.cells.add(now, seen.cells)
        limit, day_limit = self.usual.limit(percent), self.usual_day.limit(percent)
        numbers = {"cells": cells, "limit": limit, "day_cells": self.day_cells}
        numbers["day_limit"] = day_limit
        if cells > limit:
            return [Signal(NAME, "Many more cells than usual", "medium", numbers, "window")]
        if self.day_cells > day_limit:
            return [Signal(NAME, "Many more cells in a day than usual", "medium", numbers, "day")]
        if learn:
            self.usual.learn(now, cells)
            self.usual_day.learn(now, self.day_cells)
        return []

    def snapshot(self) -> list[Any]:
        usual = [self.usual.snapshot(), self.usual_day.snapshot()]
        return [self.cells.snapshot(), [self.day, self.day_cells], *usual]

    def restore(self, data: Any) -> None:
        cells, day, usual, usual_day = data
        self.cells.restore(cells)
        self.day, self.day_cells = whole_numbers(day, 2)
        self.usual.restore(usual)
        self.usual_day.restore(usual_day)
