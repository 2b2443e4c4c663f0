"""Dates and timestamps as text, in the style and order that DateStyle asks for.

Mirrors EncodeDateOnly, EncodeDateTime and EncodeTimezone in src/backend/utils/adt/datetime.c. Values are the
server's own: days, or microseconds, from 2000-01-01.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime, timedelta
from functools import lru_cache

from proxy.cells import calendar
from proxy.cells.local_time import LocalTime, Zone

_MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
_WEEKDAYS = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"]
_EPOCH_ORDINAL = date(2000, 1, 1).toordinal()
_LAST_ORDINAL = date.max.toordinal()
_EPOCH = datetime(2000, 1, 1)
# What Python's datetime can hold, and writes several times faster: the years 1 to 9999.
_FIRST = (1 - _EPOCH_ORDINAL) * calendar.DAY
_END = (_LAST_ORDINAL + 1 - _EPOCH_ORDINAL) * calendar.DAY
_MAX_ABBREVIATION = 10


@lru_cache(maxsize=64)
def style(date_style: str) -> tuple[str, str]:
    """(ISO, SQL, Postgres or German; MDY, DMY or YMD) of a DateStyle setting, read as check_datestyle reads it."""
    form, order = "ISO", "MDY"
    ordered = False
    for word in date_style.upper().replace(",", " ").split():
        if word in ("ISO", "SQL", "GERMAN"):
            form = word
            if word == "GERMAN" and not ordered:
                order = "DMY"
        elif word.startswith("POSTGRES"):
            form = "POSTGRES"
        elif word == "YMD":
            order, ordered = "YMD", True
        elif word == "DMY" or word.startswith("EURO"):
            order, ordered = "DMY", True
        elif word in ("MDY", "US") or word.startswith("NONEURO"):
            order, ordered = "MDY", True
    return form, order


@lru_cache(maxsize=64)
def _layout(date_style: str) -> Callable[[int, int, int], str]:
    """Year (counted without a year zero), month, day to text; without the era."""
    form, order = style(date_style)
    if form == "ISO":
        return "{:04d}-{:02d}-{:02d}".format
    if form == "GERMAN":
        return "{2:02d}.{1:02d}.{0:04d}".format
    separator = "/" if form == "SQL" else "-"
    if order == "DMY":
        return f"{{2:02d}}{separator}{{1:02d}}{separator}{{0:04d}}".format
    return f"{{1:02d}}{separator}{{2:02d}}{separator}{{0:04d}}".format


def date_text(date_style: str) -> Callable[[int], bytes]:
    """Days to text."""
    layout = _layout(date_style)
    iso = style(date_style)[0] == "ISO"

    def show(days: int) -> bytes:
        ordinal = days + _EPOCH_ORDINAL
        if iso and 0 < ordinal <= _LAST_ORDINAL:
            return date.fromordinal(ordinal).isoformat().encode()
        if days == calendar.DATE_INFINITE:
            return b"infinity"
        if days == calendar.DATE_NEGATIVE_INFINITE:
            return b"-infinity"
        year, month, day = calendar.date_of(days + calendar.POSTGRES_EPOCH)
        if year > 0:
            return layout(year, month, day).encode()
        return layout(1 - year, month, day).encode() + b" BC"

    return show


def _clock(microseconds: int) -> str:
    """Microseconds of a day as hh:mm:ss and as much of a fraction as there is."""
    seconds, fraction = divmod(microseconds, calendar.SECOND)
    minutes, second = divmod(seconds, 60)
    hour, minute = divmod(minutes, 60)
    if fraction:
        return f"{hour:02d}:{minute:02d}:{second:02d}.{fraction:06d}".rstrip("0")
    return f"{hour:02d}:{minute:02d}:{second:02d}"


@lru_cache(maxsize=1024)
def _offset(east: int) -> str:
    """+hh, +hh:mm or +hh:mm:ss."""
    minutes, second = divmod(abs(east), 60)
    hour, minute = divmod(minutes, 60)
    sign = "+" if east >= 0 else "-"
    if second:
        return f"{sign}{hour:02d}:{minute:02d}:{second:02d}"
    return f"{sign}{hour:02d}:{minute:02d}" if minute else f"{sign}{hour:02d}"


def timestamp_text(date_style: str, zone: Zone | None) -> Callable[[int], bytes]:
    """Microseconds to text; with a zone, to local time there and its offset or abbreviation."""
    form, order = style(date_style)
    layout = _layout(date_style)

    def one_line(days: int, clock: str, kind: LocalTime | None) -> str:
        ordinal = days + _EPOCH_ORDINAL
        era = ""
        if form == "ISO" and 0 < ordinal <= _LAST_ORDINAL:
            written = date.fromordinal(ordinal).isoformat()
        else:
            year, month, day = calendar.date_of(days + calendar.POSTGRES_EPOCH)
            era = "" if year > 0 else " BC"
            written = layout(year if year > 0 else 1 - year, month, day)
        if kind is None:
            return f"{written} {clock}{era}"
        if form == "ISO":
            return f"{written} {clock}{_offset(kind.offset)}{era}"
        return f"{written} {clock} {kind.abbreviation[:_MAX_ABBREVIATION]}{era}"

    def traditional(days: int, clock: str, kind: LocalTime | None) -> str:
        julian = days + calendar.POSTGRES_EPOCH
        year, month, day = calendar.date_of(julian)
        name = _MONTHS[month - 1]
        middle = f"{day:02d} {name}" if order == "DMY" else f"{name} {day:02d}"
        era = "" if year > 0 else " BC"
        year = year if year > 0 else 1 - year
        place = "" if kind is None else f" {kind.abbreviation[:_MAX_ABBREVIATION]}"
        return f"{_WEEKDAYS[(julian + 1) % 7]} {middle} {clock} {year:04d}{place}{era}"

    write = traditional if form == "POSTGRES" else one_line

    fast = form == "ISO"

    def show(value: int) -> bytes:
        if value == calendar.TIMESTAMP_INFINITE:
            return b"infinity"
        if value == calendar.TIMESTAMP_NEGATIVE_INFINITE:
            return b"-infinity"
        kind = None
        if zone is not None:
            kind = zone.at(value // calendar.SECOND + calendar.EPOCH_SECONDS)
            value += kind.offset * calendar.SECOND
        if fast and _FIRST <= value < _END:
            text = (_EPOCH + timedelta(0, 0, value)).isoformat(" ")
            if len(text) > 19:
                text = text.rstrip("0")
            return (text if kind is None else text + _offset(kind.offset)).encode()
        days, time = divmod(value, calendar.DAY)
        return write(days, _clock(time), kind).encode()

    return show
