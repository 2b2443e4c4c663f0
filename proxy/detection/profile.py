"""All that the detectors keep of one login that has got in."""

from __future__ import annotations

from typing import Any, Final, final

from proxy.detection.bulk_export import Exports
from proxy.detection.enumeration import LookUps
from proxy.detection.novelty import Habits
from proxy.detection.refusals import Doors
from proxy.detection.seen import Seen
from proxy.detection.settings import Detection
from proxy.detection.signal import Signal
from proxy.detection.volume import Shown

UNLEARNED_MS: Final = 3_600_000
"""For so long after a finding nothing of what is measured becomes usual."""


@final
class Profile:
    """One login."""

    __slots__ = ("alarmed", "doors", "exports", "habits", "look_ups", "shown")

    def __init__(self, settings: Detection) -> None:
        self.look_ups = LookUps(settings.enumeration)
        self.doors = Doors(settings.refusals)
        self.exports = Exports(settings.bulk_export)
        self.shown = Shown(settings.volume)
        self.habits = Habits(settings)
        self.alarmed = 0
        """When a finding of more than low severity was last, epoch milliseconds; 0: never."""

    def session(self, seen: Seen) -> list[Signal]:
        """It came in."""
        return self.habits.observe(seen, more_than_usual=False)

    def statement(self, seen: Seen) -> list[Signal]:
        """Something on sealed columns. Raises ValueError, TypeError where cell ids are none."""
        now = seen.time
        signals: list[Signal] = []
        if seen.kind == "statement.refused":
            signals += self.doors.observe(seen)
        else:
            habits = self.habits
            learn = not self.alarmed or abs(now - self.alarmed) >= UNLEARNED_MS
            days = habits.settings.new_statement.learn_days
            signals += self.look_ups.observe(seen, learn=learn)
            signals += self.exports.observe(seen, learn=learn, learning=habits.learning(now, days))
            signals += self.shown.observe(seen, learn=learn)
        signals += self.habits.observe(seen, more_than_usual=bool(signals))
        if signals and any(signal.severity != "low" for signal in signals):
            self.alarmed = now
        return signals

    def snapshot(self) -> list[Any]:
        parts = [part.snapshot() for part in self._parts()]
        return [self.alarmed, *parts]

    def restore(self, data: Any) -> None:
        alarmed, *parts = data
        self.alarmed = int(alarmed)
        for part, saved in zip(self._parts(), parts, strict=True):
            part.restore(saved)

    def _parts(self) -> tuple[LookUps | Doors | Exports | Shown | Habits, ...]:
        return self.look_ups, self.doors, self.exports, self.shown, self.habits
