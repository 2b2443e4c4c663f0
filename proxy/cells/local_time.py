"""A time zone as a table of changes: which local time holds at an instant, and which instant a local time names.

Mirrors src/timezone/localtime.c (localsub, pg_next_dst_boundary, pg_interpret_timezone_abbrev,
pg_timezone_abbrev_is_known) and DetermineTimeZoneOffset in src/backend/utils/adt/datetime.c.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass

CYCLE = 146097 * 86400
"""Seconds in 400 Gregorian years, after which weekdays and leap years repeat."""


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

    def of_local(self, second: int) -> LocalTime:
        """The type of a local time, given as if it were UTC.

        A time that a change skipped is read by the offset before it, one that occurred twice by the one after.
        """
        before, change, after = self.next_change(second - 86400)
        if change is None:
            return before
        early, late = second - before.offset, second - after.offset
        if early < change and late < change:
            return before
        if early > change and late >= change:
            return after
        return before if early > late else after

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
GMT = Zone((), (), (LocalTime(0, False, "GMT"),), 0, False, False)
