"""A login that tries doors: many refused statements, or refused for many different columns, within a window."""

from __future__ import annotations

from typing import Any, Final, final

from proxy.detection.seen import Seen, short
from proxy.detection.settings import Refusals
from proxy.detection.signal import Signal
from proxy.detection.windows import Count, Tally

NAME: Final = "refusals"
_COLUMNS: Final = 64
_FEWEST: Final = 2
"""Refused statements below which the number of columns says nothing: one statement may name many."""


@final
class Doors:
    """The refused statements of one login."""

    __slots__ = ("columns", "refused", "settings")

    def __init__(self, settings: Refusals) -> None:
        self.settings = settings
        self.refused = Count(settings.window_seconds)
        self.columns = Tally(settings.window_seconds, _COLUMNS)

    def observe(self, seen: Seen) -> list[Signal]:
        limits, now = self.settings, seen.time
        refused = self.refused.add(now)
        for column in seen.denied:
            self.columns.add(now, short(column))
        columns = self.columns.names(now) if seen.denied else 0
        numbers = {"refusals": refused, "columns": columns}
        if columns >= limits.columns and refused >= _FEWEST:
            return [Signal(NAME, "Many columns refused", "medium", numbers, "columns")]
        if refused >= limits.refusals:
            return [Signal(NAME, "Many statements refused", "medium", numbers, "refusals")]
        return []

    def snapshot(self) -> list[Any]:
        return [self.refused.snapshot(), self.columns.snapshot()]

    def restore(self, data: Any) -> None:
        refused, columns = data
        self.refused.restore(refused)
        self.columns.restore(columns)
