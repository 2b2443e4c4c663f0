"""POSIX rule strings such as `CET-1CEST,M3.5.0,M10.5.0/3` or `<+0330>-3:30` as time zones.

Mirrors tzparse in src/timezone/localtime.c: a name, an offset west of Greenwich, and if there is daylight-saving
time its name, its offset (an hour ahead), and when it starts and ends (the rules of the United States if not said).
An empty standard name is allowed. Transitions are computed for 400 years, then repeat.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from proxy.cells.calendar import is_leap, month_length
from proxy.cells.local_time import LocalTime, Zone

_NAME = r"(?:<([^>]*)>|([^0-9,+\-<][^0-9,+\-]*+))"
_TIME = r"[+-]?[0-9]++(?::[0-9]++(?::[0-9]++|(?!:))|(?!:))"
_DATE = rf"(J?[0-9]+|M[0-9]+\.[0-9]+\.[0-9]+)(?:/({_TIME}))?"
_RULE = re.compile(
    rf"(?:<([^>]*)>|([^0-9,+\-<][^0-9,+\-]*+)?)({_TIME})(?:{_NAME}({_TIME})?(?:[,;]{_DATE},{_DATE})?)?"
)
_DEFAULT_START, _DEFAULT_END = "M3.2.0", "M11.1.0"
_NEW_YEAR_1770 = (-6_311_347_200, 1)
"""1770-01-01 00:00 UTC in seconds from 1970-01-01, and its weekday (a Monday)."""


@dataclass(frozen=True, slots=True)
class _Change:
    """A day of the year and a time in seconds on it."""

    kind: str
    month: int
    week: int
    day: int
    time: int

    def second_of_year(self, year: int, january_first_weekday: int) -> int:
        leap = is_leap(year)
        if self.kind == "J":
            day = self.day - 1 + (leap and self.day >= 60)
        elif self.kind == "D":
            day = self.day
        else:
            before = sum(month_length(year, month) for month in range(1, self.month))
            first = (january_first_weekday + before) % 7
            in_month = (self.day - first) % 7
            for _ in range(1, self.week):
                if in_month + 7 >= month_length(year, self.month):
                    break
                in_month += 7
            day = before + in_month
        return day * 86400 + self.time


def _seconds(text: str | None) -> int | None:
    """hh[:mm[:ss]] with a sign, or None if out of the range that POSIX rules may have."""
    if text is None:
        return None
    parts = text.lstrip("+-").split(":")
    if any(len(part.lstrip("0")) > 3 for part in parts):
        return None
    numbers = [int(part) for part in parts] + [0, 0]
    if numbers[0] > 167 or numbers[1] > 59 or numbers[2] > 60:
        return None
    total = numbers[0] * 3600 + numbers[1] * 60 + numbers[2]
    return -total if text.startswith("-") else total


def _change(date: str, time: str | None) -> _Change | None:
    second = 7200 if time is None else _seconds(time)
    if second is None or len(date) > 20:
        return None
    if date.startswith("M"):
        month, week, day = (int(part) for part in date[1:].split("."))
        valid = 1 <= month <= 12 and 1 <= week <= 5 and day <= 6
        return _Change("M", month, week, day, second) if valid else None
    if date.startswith("J"):
        return _Change("J", 0, 0, int(date[1:]), second) if 1 <= int(date[1:]) <= 365 else None
    return _Change("D", 0, 0, int(date), second) if int(date) <= 365 else None


def posix_zone(rule: str) -> Zone | None:
    """The zone that a rule string describes, None if it is not one."""
    match = _RULE.fullmatch(rule)
    if match is None:
        return None
    quoted, plain, west, quoted_dst, plain_dst, west_dst, *dates = match.groups()
    offset = _seconds(west)
    if offset is None:
        return None
    standard = LocalTime(-offset, False, quoted if quoted is not None else plain or "")
    name = quoted_dst if quoted_dst is not None else plain_dst
    if name is None:
        return Zone((), (), (standard,), 0, False, False)
    offset_dst = offset - 3600 if west_dst is None else _seconds(west_dst)
    if dates[0] is None:
        dates = [_DEFAULT_START, None, _DEFAULT_END, None]
    start, end = _change(dates[0], dates[1]), _change(dates[2], dates[3])
    if not name or offset_dst is None or start is None or end is None:
        return None
    return _alternate(standard, LocalTime(-offset_dst, True, name), start, end)


def _alternate(standard: LocalTime, daylight: LocalTime, start: _Change, end: _Change) -> Zone:
    """Two changes a year from 1770 on, through 400 years from the first year that has them."""
    times: list[int] = []
    types: list[int] = []
    first_year = 1770
    limit = first_year + 401
    january_first, weekday = _NEW_YEAR_1770
    year = first_year
    while year < limit:
        one = start.second_of_year(year, weekday) - standard.offset
        other = end.second_of_year(year, weekday) - daylight.offset
        days = 366 if is_leap(year) else 365
        reverse = other < one
        if reverse:
            one, other = other, one
        # The server leaves out a year that is all daylight-saving time.
        if reverse or (
            one < other and other - one < days * 86400 - standard.offset + daylight.offset
        ):
            if len(times) > 1998:
                break
            times += (january_first + one, january_first + other)
            types += (0, 1) if reverse else (1, 0)
            limit = year + 401
        january_first += days * 86400
        weekday = (weekday + days) % 7
        year += 1
    if not times:
        return Zone((), (), (daylight,), 0, False, False)
    repeats = year - first_year > 400
    return Zone(tuple(times), tuple(types), (standard, daylight), 0, repeats, repeats)
