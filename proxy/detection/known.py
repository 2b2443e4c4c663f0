"""What a login has been seen with before: networks, applications, shapes of statements, tables it copied.

For `learn_days` after the login's first event everything is learned and nothing told. A login that shows more of a kind than
is kept is `restless` in it, for good: that is told once, and then nothing new is news. (An application that writes
its lists into the text has a new shape each time; so has an attacker who wants the set full, and he is told of that way.)
"""

from __future__ import annotations

from enum import Enum
from typing import Any, Final, final

from proxy.detection.peaks import DAY_MS


class News(Enum):
    """What one more of a kind is."""

    NONE = 0
    NEW = 1
    RESTLESS = 2


NETWORKS: Final = 64
APPLICATIONS: Final = 64
SHAPES: Final = 512
TABLES: Final = 64


@final
class Known:
    """The things of one kind that one login was seen with."""

    __slots__ = ("limit", "restless", "things")

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.things: set[str] = set()
        self.restless = False

    def see(self, thing: str, *, learning: bool) -> News:
        """And know it from now on."""
        if thing in self.things or self.restless:
            return News.NONE
        if len(self.things) >= self.limit:
            self.restless = True
            return News.RESTLESS
        self.things.add(thing)
        return News.NONE if learning else News.NEW

    def snapshot(self) -> list[Any]:
        return [self.restless, sorted(self.things)]

    def restore(self, data: Any) -> None:
        restless, things = data
        if not isinstance(things, list) or not all(isinstance(thing, str) for thing in things):
            raise ValueError("things")
        self.restless, self.things = bool(restless), set(things[: self.limit])


HOURS_KNOWN: Final = 200
"""Events after which a login's hours are known."""
RARE_PERMILLE: Final = 5


@final
class Hours:
    """At which hours of the day (UTC), on working days and on weekends, a login is busy."""

    __slots__ = ("counts", "total")

    def __init__(self) -> None:
        self.counts = [0] * 48
        self.total = 0

    def odd(self, ms: int) -> bool:
        """Fewer than 5 in a thousand of its events were within an hour of this one."""
        if self.total < HOURS_KNOWN:
            return False
        start, hour = divmod(_bin(ms), 24)
        near = sum(self.counts[start * 24 + (hour + step) % 24] for step in (-1, 0, 1))
        return near * 1000 < self.total * RARE_PERMILLE

    def learn(self, ms: int) -> None:
        self.counts[_bin(ms)] += 1
        self.total += 1
        if self.total >= 1 << 16:  # what was long ago counts half
            self.counts = [count // 2 for count in self.counts]
            self.total = sum(self.counts)

    def snapshot(self) -> list[int]:
        return self.counts

    def restore(self, data: Any) -> None:
        if not isinstance(data, list) or len(data) != 48:
            raise ValueError("hours")
        self.counts = [min(max(0, int(count)), 1 << 20) for count in data]
        self.total = sum(self.counts)


def _bin(ms: int) -> int:
    day, within = divmod(ms, DAY_MS)
    weekend = (day + 3) % 7 >= 5  # 1 January 1970 was a Thursday
    return (24 if weekend else 0) + within // 3_600_000
