"""How many different sealed values: linear counting, in memory that all workers share.

Whang, Vander-Zanden and Taylor, "A Linear-Time Probabilistic Counting Algorithm for Database Applications", 1990. A cell
id is random (the beginning of a nonce), so it is its own hash. It has a place in a map, and the place says in which bin of
time it was seen last. Ids that share a place are counted once: so the limit on places (`most`) is lower than the limit on
subjects, by what is lost on average at that many and by four standard deviations. Of 10,000 windows in which a login sees
more than its limit, one at most is not noticed at the limit, but a few subjects later.

A place that two workers write at the same moment is counted by both, never by none.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterable
from math import exp, floor, log, sqrt
from typing import Final

from librt.strings import read_i32_be

from proxy.detection.shared import Counts, Directory

_SMALLEST: Final = 1 << 14
_LARGEST: Final = 1 << 20
_POOL: Final = 256 << 20
"""Bytes of address space for all maps; memory is what of it is touched."""
_MOST_MAPS: Final = 4096


def size_for(limit: int) -> int:
    """Places of a map for so many subjects: eight for each, a power of two, from 16,384 to 1,048,576."""
    return min(max(1 << (8 * limit - 1).bit_length(), _SMALLEST), _LARGEST)


def most(limit: int, size: int) -> int:
    """How many places of `size` may be taken, so that the subjects are not more than `limit`."""
    load = limit / size
    expected = size * (1 - exp(-load))
    deviation = sqrt(max(0.0, size * exp(-load) * (1 - (1 + load) * exp(-load))))
    return max(1, floor(expected - 4 * deviation))


def estimate(taken: int, size: int) -> int:
    """Subjects that take so many places, in the mean."""
    return round(-size * log(1 - min(taken, size - 1) / size))


class Subjects:
    """Of each login and column, which subjects were shown in the last window. `limit`: what the maps are made for."""

    __slots__ = ("_directory", "_maps", "counts", "size")

    def __init__(self, workers: int, limit: int) -> None:
        self.size = size_for(limit)
        maps = min(_MOST_MAPS, _POOL // (4 * self.size))
        self._directory = Directory(maps)
        self.counts = Counts(maps, workers)
        self._maps: memoryview[int] = memoryview(mmap.mmap(-1, 4 * maps * self.size)).cast("I")

    def in_worker(self, number: int) -> None:
        self.counts.in_worker(number)

    def map_of(self, login: str, column: str) -> int:
        return self._directory.place(f"{login}\0{column}")

    def mark(self, place: int, time: int, ids: Iterable[bytes]) -> int:
        """These are about to be shown, in the bin `time`; how many places are to be counted for it, that were not."""
        maps = self._maps
        base, mask = place * self.size, self.size - 1
        new = 0
        for cell in ids:
            at = base + (read_i32_be(cell, 0) & mask)
            last = maps[at]
            if last < time or last > time + 1:
                maps[at] = time
                new += 1
                if time - 2 <= last < time:
                    self.counts.add(place, last, -1)
        return new

    def forget(self, place: int) -> None:
        """Nothing was shown."""
        at = place * self.size
        self._maps[at : at + self.size] = memoryview(bytes(4 * self.size)).cast("I")
        self.counts.forget(place)
