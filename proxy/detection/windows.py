"""Counting within a window of time, in memory that does not grow with what is counted.

The window slides in two lengths: what is counted is that of this length of the clock and that of the one before. So whatever
happens within one window's time is counted together, always, and nothing counts that is older than two: counts are never
too low, and at most those of twice the time. Time is the events' own. A clock that steps back by more than a window begins a
new length and keeps the one before, so that it makes nobody forgotten.

A snapshot is JSON: `Windows(seconds).restore(windows.snapshot())` goes on where it was.
"""

from __future__ import annotations

import base64
import math
from typing import Any, Final, final

TALLIED: Final = 4096
"""Names that a tally tells apart in one length of its window."""


class Turning:
    """What all windows have in common: which length of the clock it is."""

    __slots__ = ("index", "length")

    def __init__(self, seconds: int) -> None:
        self.length = seconds * 1000
        self.index = 0

    def turn(self, ms: int) -> int:
        """0: the length goes on. 1: a new one begins. 2: a new one, and the one before was empty."""
        index = ms // self.length
        step = index - self.index
        if step in (0, -1):  # or a late event: counted now
            return 0
        self.index = index
        return 1 if step == 1 or step < 0 else 2


@final
class Count(Turning):
    """How many."""

    __slots__ = ("before", "now")

    def __init__(self, seconds: int) -> None:
        super().__init__(seconds)
        self.now = self.before = 0

    def add(self, ms: int, number: int = 1) -> int:
        """How many there are with these."""
        if turned := self.turn(ms):
            self.before = self.now if turned == 1 else 0
            self.now = 0
        self.now += number
        return self.now + self.before

    def snapshot(self) -> list[int]:
        return [self.index, self.now, self.before]

    def restore(self, data: Any) -> None:
        self.index, self.now, self.before = whole_numbers(data, 3)


@final
class Tally(Turning):
    """How many of each name. `full`: there were more names than it tells apart, in this window."""

    __slots__ = ("before", "full", "limit", "now")

    def __init__(self, seconds: int, limit: int = TALLIED) -> None:
        super().__init__(seconds)
        self.limit = limit
        self.now: dict[str, int] = {}
        self.before: dict[str, int] = {}
        self.full = False

    def add(self, ms: int, key: str, number: int = 1) -> int:
        """How many there are of it with these."""
        self.move(ms)
        known = self.now.get(key)
        if known is None:
            if len(self.now) >= self.limit:
                self.full = True
                return number + self.before.get(key, 0)
            known = 0
        self.now[key] = known + number
        return known + number + self.before.get(key, 0)

    def of(self, ms: int, key: str) -> int:
        """How many there are of it."""
        self.move(ms)
        return self.now.get(key, 0) + self.before.get(key, 0)

    def names(self, ms: int) -> int:
        """How many names."""
        self.move(ms)
        return len(self.now.keys() | self.before.keys())

    def forget(self, key: str) -> None:
        self.now.pop(key, None)
        self.before.pop(key, None)

    def move(self, ms: int) -> None:
        if turned := self.turn(ms):
            self.before = self.now if turned == 1 else {}
            self.now = {}
            self.full = False

    def snapshot(self) -> list[Any]:
        return [self.index, self.now, self.before, self.full]

    def restore(self, data: Any) -> None:
        index, now, before, full = data
        self.index = whole_numbers([index], 1)[0]
        self.now, self.before = counts(now, self.limit), counts(before, self.limit)
        self.full = bool(full)


_BITS: Final = 1 << 15


@final
class Distinct(Turning):
    """How many different cells, by linear counting (Whang, Vander-Zanden, Taylor 1990) on 32,768 bits for each length.

    A cell id is the start of a random nonce, so it is its own hash, and no client chooses it. The error is below 1 %
    up to 30,000 cells; beyond 150,000 it says too few, and `full` is true.
    """

    __slots__ = ("before", "before_set", "now", "now_set", "union_set")

    def __init__(self, seconds: int) -> None:
        super().__init__(seconds)
        self.now = bytearray()
        self.before = bytearray()
        self.now_set = self.before_set = self.union_set = 0

    def add(self, ms: int, ids: list[str]) -> int:
        """How many there are with these (16 hexadecimal digits each). Raises ValueError, TypeError."""
        if turned := self.turn(ms):
            if turned == 1:
                self.before, self.before_set = self.now, self.now_set
            else:
                self.before, self.before_set = bytearray(), 0
            self.now, self.now_set, self.union_set = bytearray(), 0, self.before_set
        now, before = self.now, self.before
        if not now:
            now = self.now = bytearray(_BITS // 8)
        for cell_id in ids:
            bit = int(cell_id[:8], 16) % _BITS
            byte, mask = bit >> 3, 1 << (bit & 7)
            if not now[byte] & mask:
                now[byte] |= mask
                self.now_set += 1
                if not before or not before[byte] & mask:
                    self.union_set += 1
        return estimate(self.union_set)

    @property
    def full(self) -> bool:
        return self.union_set > _BITS * 0.99

    def snapshot(self) -> list[Any]:
        return [self.index, packed(self.now), packed(self.before)]

    def restore(self, data: Any) -> None:
        index, now, before = data
        self.index = whole_numbers([index], 1)[0]
        self.now, self.before = unpacked(now), unpacked(before)
        self.now_set = int.from_bytes(self.now).bit_count()
        self.before_set = int.from_bytes(self.before).bit_count()
        self.union_set = (int.from_bytes(self.now) | int.from_bytes(self.before)).bit_count()


def estimate(bits: int) -> int:
    """How many different things set that many bits."""
    left = max(1, _BITS - bits)
    return round(-_BITS * math.log(left / _BITS))


def packed(data: bytearray) -> str:
    return base64.b64encode(data).decode()


def unpacked(text: Any) -> bytearray:
    data = bytearray(base64.b64decode(text, validate=True))
    if len(data) not in (0, _BITS // 8):
        raise ValueError("bits")
    return data


def whole_numbers(data: Any, length: int) -> list[int]:
    """That many whole numbers. Raises ValueError, TypeError."""
    if not isinstance(data, list) or len(data) != length:
        raise ValueError("numbers")
    for number in data:
        if type(number) is not int or not 0 <= number <= 1 << 53:
            raise ValueError("number")
    return data


def counts(data: Any, limit: int) -> dict[str, int]:
    """Names and their counts. Raises ValueError, TypeError."""
    if not isinstance(data, dict) or len(data) > limit:
        raise ValueError("counts")
    whole_numbers(list(data.values()), len(data))
    return dict(data)
