"""What a login was never seen with: a network, an application name, a shape of statement, an hour; and all of it together.

Alone each of them is weak: people travel, programs are upgraded. Together, within an hour, they are what a stolen password looks
like: `stolen_login` finds 100 * (1 - product of (1 - weight)) of at least `score`, a noisy or.
"""

from __future__ import annotations

from typing import Any, Final, final

from proxy.detection.known import APPLICATIONS, NETWORKS, SHAPES, Hours, Known, News
from proxy.detection.seen import Seen
from proxy.detection.settings import Detection
from proxy.detection.signal import Signal

NETWORK: Final = "new_network"
APPLICATION: Final = "new_application"
STATEMENT: Final = "new_statement"
STOLEN: Final = "stolen_login"

WEIGHTS: Final = {
    "new_network": 0.45,
    "new_application": 0.45,
    "new_statement": 0.35,
    "five_new_statements": 0.25,
    "odd_hour": 0.3,
    "more_than_usual": 0.35,
}
WITHIN_MS: Final = 3_600_000
_MANY_SHAPES: Final = 5
_DAY_MS: Final = 86_400_000


@final
class Habits:
    """What one login was seen with."""

    __slots__ = (
        "applications",
        "first",
        "hours",
        "last",
        "networks",
        "new_shapes",
        "odd",
        "settings",
        "shapes",
    )

    def __init__(self, settings: Detection) -> None:
        self.settings = settings
        self.first = 0
        """When the login was first seen, epoch milliseconds."""
        self.networks = Known(NETWORKS)
        self.applications = Known(APPLICATIONS)
        self.shapes = Known(SHAPES)
        self.hours = Hours()
        self.last = ("", "")
        self.odd: dict[str, int] = {}
        """What of `WEIGHTS` there was, and when last."""
        self.new_shapes = 0

    def learning(self, ms: int, days: int) -> bool:
        return not self.first or ms - self.first < days * _DAY_MS

    def observe(self, seen: Seen, more_than_usual: bool) -> list[Signal]:
        now, signals = seen.time, list[Signal]()
        if not self.first:
            self.first = now
        if self.last != (seen.network, seen.application):
            signals += self._from_where(seen)
            self.last = (seen.network, seen.application)
        if seen.fingerprint:
            thing = seen.fingerprint.removeprefix("sha256:")[:16]
            if thing not in self.shapes.things:
                learning = self.learning(now, self.settings.new_statement.learn_days)
                news = self.shapes.see(thing, learning=learning)
                signals += self._told(STATEMENT, "statement shape", news, thing, now, "shapes")
        if more_than_usual:
            self.odd["more_than_usual"] = now
        if signals or more_than_usual:
            signals += self._together(now)
        self.hours.learn(now)
        return signals

    def _from_where(self, seen: Seen) -> list[Signal]:
        settings, now = self.settings, seen.time
        learning = self.learning(now, settings.new_network.learn_days)
        news = self.networks.see(seen.network, learning=learning)
        signals = self._told(NETWORK, "network", news, seen.network, now, "networks")
        learning = self.learning(now, settings.new_application.learn_days)
        news = self.applications.see(seen.application, learning=learning)
        return signals + self._told(
            APPLICATION, "application name", news, seen.application, now, "applications"
        )

    def _told(
        self, detector: str, what: str, news: News, thing: str, now: int, kind: str
    ) -> list[Signal]:
        if news is News.NONE:
            return []
        known: Known = getattr(self, kind)
        numbers = {"known": len(known.things)}
        if news is News.RESTLESS:
            title = f"Too many of them to know a new {what}"
            return [Signal(detector, title, "low", numbers, "restless")]
        if detector == STATEMENT:
            last = self.odd.get(STATEMENT, 0)
            self.new_shapes = self.new_shapes + 1 if 0 <= now - last < WITHIN_MS else 1
            if self.new_shapes >= _MANY_SHAPES:
                self.odd["five_new_statements"] = now
        self.odd[detector] = now
        return [Signal(detector, f"First time with this {what}", "low", numbers, thing)]

    def _together(self, now: int) -> list[Signal]:
        """What came together within an hour, with or without an odd hour of the day."""
        if self.hours.odd(now):
            self.odd["odd_hour"] = now
        recent = [sign for sign, ms in self.odd.items() if abs(now - ms) < WITHIN_MS]
        left = 1.0
        for sign in recent:
            left *= 1 - WEIGHTS[sign]
        score = round(100 * (1 - left))
        if score < self.settings.stolen_login.score:
            return []
        numbers = {"score": score} | dict.fromkeys(sorted(recent), 1)
        return [Signal(STOLEN, "The login does not behave as itself", "high", numbers, "together")]

    def snapshot(self) -> list[Any]:
        known = [self.networks.snapshot(), self.applications.snapshot(), self.shapes.snapshot()]
        return [self.first, known, self.hours.snapshot(), self.odd, self.new_shapes]

    def restore(self, data: Any) -> None:
        first, known, hours, odd, new_shapes = data
        self.first, self.new_shapes = int(first), int(new_shapes)
        for place, saved in zip(
            (self.networks, self.applications, self.shapes), known, strict=True
        ):
            place.restore(saved)
        self.hours.restore(hours)
        self.odd = {sign: int(ms) for sign, ms in odd.items() if sign in WEIGHTS}
