"""Cutting date/time text into fields, before any meaning is given to them.

Mirrors ParseDateTime in src/backend/utils/adt/datetime.c: at most 25 fields in a buffer of fixed size, text in
lower case, each field with the type its first characters suggest. Words are looked up in the first 10 letters.
"""

from __future__ import annotations

import re
from enum import Enum, auto
from typing import NamedTuple

_MAX_FIELDS = 25
TOKEN_LENGTH = 10


class Kind(Enum):
    """Field types, by PostgreSQL's names (DTK_...)."""

    NUMBER = auto()
    DATE = auto()
    TIME = auto()
    STRING = auto()
    SPECIAL = auto()
    TZ = auto()


class Field(NamedTuple):
    kind: Kind
    text: str


class Word(Enum):
    """Token types of the keyword table."""

    RESERVED = auto()
    MONTH = auto()
    WEEKDAY = auto()
    ERA = auto()
    HALF_DAY = auto()
    UNITS = auto()
    DST = auto()
    ISO_TIME = auto()
    IGNORED = auto()


_MONTHS = [
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
]
_WEEKDAYS = ["sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday"]

KEYWORDS: dict[str, tuple[Word, str | int]] = {
    **{name: (Word.MONTH, n) for n, month in enumerate(_MONTHS, 1) for name in (month, month[:3])},
    "sept": (Word.MONTH, 9),
    **{name: (Word.WEEKDAY, n) for n, day in enumerate(_WEEKDAYS) for name in (day, day[:3])},
    "tues": (Word.WEEKDAY, 2),
    "weds": (Word.WEEKDAY, 3),
    "thur": (Word.WEEKDAY, 4),
    "thurs": (Word.WEEKDAY, 4),
    "ad": (Word.ERA, "ad"),
    "bc": (Word.ERA, "bc"),
    "am": (Word.HALF_DAY, "am"),
    "pm": (Word.HALF_DAY, "pm"),
    "at": (Word.IGNORED, 0),
    "on": (Word.IGNORED, 0),
    "dst": (Word.DST, 0),
    "t": (Word.ISO_TIME, "time"),
    "j": (Word.UNITS, "julian"),
    "jd": (Word.UNITS, "julian"),
    "julian": (Word.UNITS, "julian"),
    **{
        name: (Word.UNITS, name)
        for name in ("d", "dow", "doy", "h", "isodow", "isoyear", "m", "mm", "s", "y")
    },
    "+infinity": (Word.RESERVED, "infinity"),
    "infinity": (Word.RESERVED, "infinity"),
    "-infinity": (Word.RESERVED, "-infinity"),
    "epoch": (Word.RESERVED, "epoch"),
    "allballs": (Word.RESERVED, "allballs"),
    "now": (Word.RESERVED, "now"),
    **dict.fromkeys(("today", "tomorrow", "yesterday"), (Word.RESERVED, "day")),
}

_BLANKS = re.compile(r"[ \t\n\v\f\r]+")
_SKIPPED = re.compile(r"[ \t\n\v\f\r!-*,/:-@\[-`{-~]+")
"""Blanks, and punctuation other than + - and the point: these only separate."""
_DIGITS = re.compile(r"[0-9]+")
_TIME = re.compile(r":[0-9:.]*")
_LETTERS = re.compile(r"[A-Za-z]+")
_ZONE_REST = re.compile(r"[+\-/_.:0-9A-Za-z]+")
_OFFSET = re.compile(r"[0-9][0-9:.\-]*")
_FRACTION = re.compile(r"\.[0-9]*")
_AFTER_DELIMITER = {
    delimiter: (
        re.compile(rf"[0-9{re.escape(delimiter)}]*"),
        re.compile(rf"[0-9A-Za-z{re.escape(delimiter)}]*"),
    )
    for delimiter in "-/."
}


def keyword(text: str) -> tuple[Word, str | int] | None:
    return KEYWORDS.get(text[:TOKEN_LENGTH])


def fields(text: str, room: int) -> list[Field] | None:
    """The fields of `text`, or None where the server finds it malformed. `room`: its buffer in bytes."""
    found: list[Field] = []
    position = used = 0
    while position < len(text):
        first = text[position]
        if (skipped := _SKIPPED.match(text, position)) is not None:
            if len(found) >= _MAX_FIELDS and not skipped[0].isspace():
                return None
            position = skipped.end()
            continue
        if len(found) >= _MAX_FIELDS:
            return None
        if first.isascii() and first.isalnum():
            field, position = _number(text, position) if first.isdigit() else _word(text, position)
        elif first in "+-":
            signed = _signed(text, position)
            if signed is None:
                return None
            field, position = signed
        elif (fraction := _FRACTION.match(text, position)) is not None:
            field, position = Field(Kind.NUMBER, fraction[0]), fraction.end()
        else:
            return None
        if used + len(field.text) >= room:
            return None
        used += len(field.text) + 1
        found.append(field)
    return found


def _end(pattern: re.Pattern[str], text: str, position: int) -> int:
    match = pattern.match(text, position)
    return match.end() if match is not None else position


def _number(text: str, start: int) -> tuple[Field, int]:
    position = _end(_DIGITS, text, start)
    follows = text[position : position + 1]
    kind = Kind.NUMBER
    if follows == ":":
        kind = Kind.TIME
        position = _end(_TIME, text, position)
    elif follows and follows in "-/.":
        digits_only, anything = _AFTER_DELIMITER[follows]
        position += 1
        second = _end(_DIGITS, text, position)
        if second == position:
            kind = Kind.DATE
            position = _end(anything, text, position)
        else:
            kind = Kind.NUMBER if follows == "." else Kind.DATE
            position = second
            if text[position : position + 1] == follows:
                kind = Kind.DATE
                position = _end(digits_only, text, position)
    return Field(kind, text[start:position].lower()), position


def _word(text: str, start: int) -> tuple[Field, int]:
    """Letters; a date or a zone name if punctuation or digits follow that a keyword does not explain."""
    position = _end(_LETTERS, text, start)
    follows = text[position : position + 1]
    joined = bool(follows) and (
        follows in "-/."
        or (
            (follows == "+" or "0" <= follows <= "9")
            and keyword(text[start:position].lower()) is None
        )
    )
    if joined:
        position = _end(_ZONE_REST, text, position)
    return Field(Kind.DATE if joined else Kind.STRING, text[start:position].lower()), position


def _signed(text: str, start: int) -> tuple[Field, int] | None:
    position = _end(_BLANKS, text, start + 1)
    for kind, pattern in ((Kind.TZ, _OFFSET), (Kind.SPECIAL, _LETTERS)):
        match = pattern.match(text, position)
        if match is not None:
            return Field(kind, text[start] + match[0].lower()), match.end()
    return None
