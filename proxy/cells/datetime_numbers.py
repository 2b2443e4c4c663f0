"""The numbers inside date/time fields, as C's strtol and strtod read them, and what can be wrong with them.

Mirrors strtoint, ParseFraction, ParseFractionalSecond and DecodeTimezone, and the errors of DateTimeParseError, in
src/backend/utils/adt/datetime.c.
"""

from __future__ import annotations

import re
from enum import Enum

from proxy.cells.errors import alone


class Reason(Enum):
    """Why a text is no date or time: (SQLSTATE, message), {} standing for the type's name."""

    FORMAT = ("22007", "invalid input syntax for type {}")
    FIELD = ("22008", "date/time field value out of range")
    DISPLACEMENT = ("22009", "time zone displacement out of range")
    UNKNOWN_ZONE = ("22023", "time zone not recognized")
    RELATIVE = (
        "0A000",
        'words that depend on the clock (like "now" or "today") are not supported as values of sealed columns',
    )


class Malformed(Exception):
    def __init__(self, reason: Reason) -> None:
        super().__init__(reason)
        self.reason = reason


_INTEGER = re.compile(r"[+-]?[0-9]+")
DIGITS_AND_POINT = re.compile(r"[0-9.]*")
_DATE_PART = re.compile(r"[^0-9a-z]*([0-9]+|[a-z]+|\Z)")
_FRACTION = re.compile(r"\.[0-9]*")


def integer(text: str, start: int = 0) -> tuple[int, int]:
    """C's strtol: (number or 0, where it ends); out of an int's range is an error of the field."""
    match = _INTEGER.match(text, start)
    if match is None:
        return 0, start
    number = int(match[0])
    if not -0x80000000 <= number <= 0x7FFFFFFF:
        raise Malformed(Reason.FIELD)
    return number, match.end()


def fraction(text: str) -> float:
    """The value of a point and the digits after it, which must be all of `text`."""
    if _FRACTION.fullmatch(text) is None:
        raise Malformed(Reason.FORMAT)
    return float(text) if len(text) > 1 else 0.0


def microseconds(text: str) -> int:
    return round(fraction(text) * 1_000_000)


def offset_west(text: str) -> int:
    """Seconds west of Greenwich of +hh, +hhmm, +hh:mm, +hh:mm:ss."""
    if text[:1] not in ("+", "-"):
        raise Malformed(Reason.FORMAT)
    minutes = seconds = 0
    try:
        hours, end = integer(text, 1)
        if text[end : end + 1] == ":":
            minutes, end = integer(text, end + 1)
            if text[end : end + 1] == ":":
                seconds, end = integer(text, end + 1)
        elif end == len(text) and len(text) > 3:
            hours, minutes = hours // 100, hours % 100
    except Malformed:
        raise alone(Malformed(Reason.DISPLACEMENT)) from None
    if not (0 <= hours <= 15 and 0 <= minutes < 60 and 0 <= seconds < 60):
        raise Malformed(Reason.DISPLACEMENT)
    if end != len(text):
        raise Malformed(Reason.FORMAT)
    east = hours * 3600 + minutes * 60 + seconds
    return east if text[0] == "-" else -east


def split_date(text: str) -> list[str]:
    """Runs of digits or of letters; the one character after a run is dropped whatever it is."""
    parts: list[str] = []
    position = 0
    while position < len(text) and len(parts) < 25:
        match = _DATE_PART.match(text, position)
        if match is None or not match[1]:
            raise Malformed(Reason.FORMAT)
        parts.append(match[1])
        position = match.end() + 1
    return parts


def wrapped(number: int) -> int:
    """C's atoi on digits that may be too many: what strtol clamps, cut to an int."""
    return -1 if number > 0x7FFFFFFFFFFFFFFF else (number + 0x80000000 & 0xFFFFFFFF) - 0x80000000
