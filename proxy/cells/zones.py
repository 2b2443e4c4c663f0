"""Time zones as the server's own copy of the IANA code sees them.

Mirrors src/timezone/localtime.c (localsub, pg_next_dst_boundary, pg_interpret_timezone_abbrev) and pgtz.c:
names are found without regard to case, from the tzdata package; anything else is tried as a POSIX rule string
(`posix_zone.py`). Transitions run through the file's table, then by the rule in its footer through 400 years,
after which the calendar repeats; before the first one, the zone's first type holds (local mean time).
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from itertools import pairwise
from struct import unpack_from

CYCLE = 146097 * 86400
"""Seconds in 400 Gregorian years, after which weekdays and leap years repeat."""
_MAX_NAME = 255
_MAX_TRANSITIONS = 2000


@dataclass(frozen=True, slots=True)
class LocalTime:
    """A local time type: seconds east of Greenwich, whether it is daylight-saving time, its abbreviation."""

    offset: int
    daylight: bool
    abbreviation: str


@dataclass(frozen=True, slots=True)
class Zone:
    times: tuple[int, ...]
    """When local time changes, in seconds from 1970-01-01 UTC."""
    types: tuple[int, ...]
    """Index into `kinds` from each of `times` on."""
    kinds: tuple[LocalTime, ...]
    first: int
    """Index into `kinds` before the first of `times`."""
    repeats_before: bool
    repeats_after: bool

    def at(self, second: int) -> LocalTime:
        """The local time type at a UTC second."""
        times = self.times
        if not times:
            return self.kinds[self.first]
        second += self._into_table(second)
        index = bisect_right(times, second)
        return self.kinds[self.types[index - 1] if index else self.first]

    def next_change(self, second: int) -> tuple[LocalTime, int | None, LocalTime]:
        """(type at `second`, when it changes next or None, type from then on)."""
        times = self.times
        if not times:
            return self.kinds[self.first], None, self.kinds[self.first]
        shift = self._into_table(second)
        index = bisect_right(times, second + shift)
        before = self.kinds[self.types[index - 1] if index else self.first]
        if index == len(times):
            return before, None, before
        return before, times[index] - shift, self.kinds[self.types[index]]

    def meaning(self, abbreviation: str, second: int) -> LocalTime | None:
        """What an upper-case abbreviation meant here at or last before `second`, else first after it."""
        cutoff = bisect_right(self.times, second)
        order = (*self.types[cutoff - 1 :: -1],) if cutoff else ()
        for index in (*order, self.first, *self.types[cutoff:]):
            if self.kinds[index].abbreviation == abbreviation:
                return self.kinds[index]
        return None

    def meanings(self, abbreviation: str) -> frozenset[tuple[int, bool]]:
        """Every (offset, daylight) that an upper-case abbreviation has had here."""
        return frozenset(
            (kind.offset, kind.daylight) for kind in self.kinds if kind.abbreviation == abbreviation
        )

    def _into_table(self, second: int) -> int:
        """A multiple of 400 years that brings `second` into the table, where the table repeats; else 0."""
        if self.repeats_before and second < self.times[0]:
            return ((self.times[0] - second - 1) // CYCLE + 1) * CYCLE
        if self.repeats_after and second > self.times[-1]:
            return -((second - self.times[-1] - 1) // CYCLE + 1) * CYCLE
        return 0


UTC = Zone((), (), (LocalTime(0, False, "UTC"),), 0, False, False)
_GMT = Zone((), (), (LocalTime(0, False, "GMT"),), 0, False, False)


def zone(name: str) -> Zone | None:
    """The zone of a name, in any case, or of a POSIX rule string; None if it is neither."""
    if len(name) > _MAX_NAME:
        return None
    return _zone(name.upper() if name.isascii() else name)


@lru_cache(maxsize=256)
def _zone(name: str) -> Zone | None:
    from proxy.cells.posix_zone import posix_zone

    if name == "GMT":
        return _GMT
    path = _names().get(name.removeprefix(":"))
    if path is not None:
        return _load(path)
    return None if name.startswith(":") else posix_zone(name)


@lru_cache(maxsize=1)
def _names() -> dict[str, str]:
    listed = resources.files("tzdata").joinpath("zones").read_text(encoding="ascii")
    return {name.upper(): name for name in listed.split()}


@lru_cache(maxsize=600)
def _load(path: str) -> Zone:
    return _read(resources.files("tzdata").joinpath("zoneinfo", *path.split("/")).read_bytes())


def _read(data: bytes) -> Zone:
    """A TZif file, version 2 or later (RFC 9636): the 64-bit block and the footer."""
    start = 44 + _block_size(data, 0, 4)
    std_ut, standard, leaps, times_count, kinds_count, letters_count = unpack_from(
        ">6l", data, start + 20
    )
    position = start + 44
    times = unpack_from(f">{times_count}q", data, position)
    position += 8 * times_count
    types = tuple(data[position : position + times_count])
    position += times_count
    raw = [unpack_from(">lBB", data, position + 6 * i) for i in range(kinds_count)]
    position += 6 * kinds_count
    letters = data[position : position + letters_count]
    footer = data[position + letters_count + 12 * leaps + standard + std_ut :].strip(b"\n").decode()
    kinds = tuple(
        LocalTime(offset, bool(daylight), letters[at : letters.index(b"\0", at)].decode())
        for offset, daylight, at in raw
    )
    return _extend(times, types, kinds, footer)


def _block_size(data: bytes, start: int, width: int) -> int:
    std_ut, standard, leaps, times, kinds, letters = unpack_from(">6l", data, start + 20)
    return int(times * (width + 1) + kinds * 6 + letters + leaps * (width + 4) + standard + std_ut)


def _extend(
    times: tuple[int, ...], types: tuple[int, ...], kinds: tuple[LocalTime, ...], footer: str
) -> Zone:
    """The table continued by the footer's rule, as tzloadbody does it."""
    from proxy.cells.posix_zone import posix_zone

    rule = posix_zone(footer) if footer else None
    if rule is not None:
        while len(times) > 1 and types[-1] == types[-2]:
            times, types = times[:-1], types[:-1]
        start = bisect_right(rule.times, times[-1]) if times else 0
        room = _MAX_TRANSITIONS - len(times)
        more = rule.times[start : start + room]
        types += tuple(kind + len(kinds) for kind in rule.types[start : start + room])
        times += more
        kinds += rule.kinds
    known = set(times)
    span = zip(times, types, strict=True)
    by_time = dict(span)

    def same(one: int, other: int) -> bool:
        return kinds[by_time[one]] == kinds[by_time[other]]

    before = bool(times) and times[0] + CYCLE in known and same(times[0], times[0] + CYCLE)
    after = bool(times) and times[-1] - CYCLE in known and same(times[-1], times[-1] - CYCLE)
    return Zone(times, types, kinds, 0, before, after)


def is_sorted(zone: Zone) -> bool:
    """Whether transitions come in order, which everything above relies on."""
    return all(one < other for one, other in pairwise(zone.times))
