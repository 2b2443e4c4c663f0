"""Somebody looks up one subject after the other.

A look-up is a statement on a sealed table with a result of at most `rows` rows, be it that of UPDATE ... RETURNING. Counted within a window, per login:

- different cells shown by look-ups, of the fullest column. Found: at least `distinct`, and more than the login's usual maximum
  (`peaks`) times `percent`, and of the cells looked up `new_percent` were not looked up before in the window. An application
  that serves people looks up as many, but comes back to the same ones.
- look-ups that find nothing. Found: at least `distinct` and more than usual, and more than half of all look-ups: guessing
  what is in a column.
"""

from __future__ import annotations

from typing import Any, Final, final

from proxy.detection.peaks import Peaks
from proxy.detection.seen import Seen
from proxy.detection.settings import Enumeration
from proxy.detection.signal import Signal
from proxy.detection.windows import Count, Distinct

NAME: Final = "enumeration"


@final
class LookUps:
    """The look-ups of one login."""

    __slots__ = ("cells", "distinct", "misses", "settings", "total", "usual", "usual_misses")

    def __init__(self, settings: Enumeration) -> None:
        self.settings = settings
        seconds = settings.window_seconds
        self.total = Count(seconds)
        self.misses = Count(seconds)
        self.cells = Count(seconds)
        self.distinct = Distinct(seconds)
        self.usual = Peaks(settings.distinct)
        self.usual_misses = Peaks(settings.distinct)

    def observe(self, seen: Seen, *, learn: bool) -> list[Signal]:
        """Raises ValueError, TypeError where ids are none."""
        limits, now = self.settings, seen.time
        if seen.rows > limits.rows or seen.part > 1:
            return []  # the rest of a larger result is none
        if seen.kind == "statement.write" and (seen.command == "INSERT" or not seen.ids):
            return []  # UPDATE ... RETURNING is one; what was just inserted was known
        total = self.total.add(now)
        if not seen.rows:
            misses = self.misses.add(now)
            limit = self.usual_misses.limit(limits.percent)
            if misses >= limit and misses * 2 > total:
                numbers = {"look_ups": total, "misses": misses, "limit": limit}
                return [Signal(NAME, "Look-ups that find nothing", "medium", numbers, "misses")]
        else:
            misses = 0
        if learn:
            self.usual_misses.learn(now, misses)
        if seen.ids:
            cells = self.cells.add(now, len(seen.ids))
            distinct = self.distinct.add(now, seen.ids)
            limit = self.usual.limit(limits.percent)
            if distinct >= limit and distinct * 100 >= cells * limits.new_percent:
                numbers = {"look_ups": total, "distinct": distinct, "cells": cells, "limit": limit}
                return [Signal(NAME, "Many subjects looked up", "high", numbers, "distinct")]
            if learn:
                self.usual.learn(now, distinct)
        return []

    def snapshot(self) -> list[Any]:
        return [part.snapshot() for part in self._parts()]

    def restore(self, data: Any) -> None:
        for part, saved in zip(self._parts(), data, strict=True):
            part.restore(saved)

    def _parts(self) -> tuple[Count | Distinct | Peaks, ...]:
        return (
            self.total,
            self.misses,
            self.cells,
            self.distinct,
            self.usual,
            self.usual_misses,
        )
