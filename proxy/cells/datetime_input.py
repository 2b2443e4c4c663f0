"""What the fields of a date/time text mean together.

Mirrors DecodeDateTime and its companions in src/backend/utils/adt/datetime.c, decision for decision: the meaning
of a number depends on the fields before it, on its length and on DateStyle's order. `Reading` is what has been
understood so far; `seen` says of which fields, and the same one twice is an error.

Words that depend on the clock (now, today, tomorrow, yesterday) are understood and then refused: nothing here
may ask what time it is.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from proxy.cells import abbreviations, calendar
from proxy.cells.datetime_fields import Field, Kind, Word, keyword
from proxy.cells.datetime_numbers import (
    DIGITS_AND_POINT,
    Malformed,
    Reason,
    fraction,
    integer,
    microseconds,
    offset_west,
    split_date,
    wrapped,
)
from proxy.cells.errors import alone
from proxy.cells.local_time import Zone
from proxy.cells.zones import zone

YEAR, MONTH, DAY, DAY_OF_YEAR, TIME, ZONE, DAYLIGHT, DST_WORD, HALF_DAY, ERA, WEEKDAY, VARYING = (
    1 << n for n in range(12)
)
DATE = YEAR | MONTH | DAY


@dataclass(slots=True)
class Reading:
    """A date/time text half understood. Years count with a year zero once `finish` has run."""

    order: str
    session: Zone
    year: int = 0
    month: int = 0
    day: int = 0
    day_of_year: int = 0
    hour: int = 0
    minute: int = 0
    second: int = 0
    microsecond: int = 0
    west: int = 0
    special: str | None = None
    """infinity, -infinity or epoch: nothing else counts then."""
    seen: int = 0
    prefix: str | None = None
    """What a unit before a number says about it."""
    text_month: bool = False
    julian: bool = False
    two_digits: bool = False
    era: str | None = None
    half_day: str | None = None
    relative: bool = False
    named_zone: Zone | None = None
    varying: tuple[Zone, str] | None = None
    """An abbreviation whose offset depends on the date, and the zone that tells."""

    def read(self, fields: list[Field]) -> None:
        """Understands all fields; raises Malformed."""
        for kind, text in fields:
            mask = _READERS[kind](self, text)
            if mask & self.seen:
                raise Malformed(Reason.FORMAT)
            self.seen |= mask
        if self.prefix is not None:
            raise Malformed(Reason.FORMAT)
        if self.special is None:
            self._finish()
        if self.relative:
            raise Malformed(Reason.RELATIVE)

    def _finish(self) -> None:
        self._validate_date()
        if self.half_day is not None:
            if self.hour > 12:
                raise Malformed(Reason.FIELD)
            self.hour = self.hour % 12 + (12 if self.half_day == "pm" else 0)
        if self.seen & DATE != DATE:
            raise Malformed(Reason.FORMAT)
        if (self.named_zone or self.varying or not self.seen & ZONE) and self.seen & DST_WORD:
            raise Malformed(Reason.FORMAT)
        if self.named_zone is not None:
            self.west = self.offset_in(self.named_zone)[0]
        if self.varying is not None:
            self.west = self._offset_by_abbreviation(*self.varying)
        if not self.seen & ZONE:
            self.west = self.offset_in(self.session)[0]

    def _validate_date(self) -> None:
        if self.seen & YEAR and not self.julian:
            if self.era == "bc":
                if self.year <= 0:
                    raise Malformed(Reason.FIELD)
                self.year = 1 - self.year
            elif self.two_digits:
                self.year += 2000 if self.year < 70 else 1900 if self.year < 100 else 0
            elif self.year <= 0:
                raise Malformed(Reason.FIELD)
        if self.seen & DAY_OF_YEAR:
            january = calendar.julian_day(self.year, 1, 1)
            self.year, self.month, self.day = calendar.date_of(january + self.day_of_year - 1)
        if self.seen & MONTH and not 1 <= self.month <= 12:
            raise Malformed(Reason.FIELD)
        if self.seen & DAY and not 1 <= self.day <= 31:
            raise Malformed(Reason.FIELD)
        if self.seen & DATE == DATE and self.day > calendar.month_length(self.year, self.month):
            raise Malformed(Reason.FIELD)

    def offset_in(self, place: Zone) -> tuple[int, int]:
        """(seconds west, UTC second) of the local time read; (0, 0) out of range."""
        if not calendar.is_valid_julian(self.year, self.month):
            return 0, 0
        days = calendar.julian_day(self.year, self.month, self.day) - calendar.UNIX_EPOCH
        local = days * 86400 + (self.hour * 60 + self.minute) * 60 + self.second
        offset = place.of_local(local).offset
        return -offset, local - offset

    def _offset_by_abbreviation(self, place: Zone, abbreviation: str) -> int:
        west, second = self.offset_in(place)
        meaning = place.meaning(abbreviation, second)
        return west if meaning is None else -meaning.offset

    # Each reader below takes one field and returns the mask of what it found.

    def read_date(self, text: str) -> int:
        if self.prefix == "julian":
            return self.read_julian_with_zone(text)
        if self.prefix is None and self.seen & (MONTH | DAY) != MONTH | DAY:
            return self.read_date_parts(text)
        if self.prefix is None and not text[0].isdigit():
            self.named_zone = zone(text)
            if self.named_zone is None:
                raise Malformed(Reason.UNKNOWN_ZONE)
            return ZONE
        if self.prefix not in (None, "time") or self.seen & TIME or "-" not in text:
            raise Malformed(Reason.FORMAT)
        self.prefix = None
        hyphen = text.index("-")
        self.west = offset_west(text[hyphen:])
        return self.read_run_together(text[:hyphen], self.seen) | ZONE

    def read_julian_with_zone(self, text: str) -> int:
        number, end = integer(text)
        if number < 0:
            raise Malformed(Reason.FIELD)
        self.year, self.month, self.day = calendar.date_of(number)
        self.julian = True
        self.west = offset_west(text[end:])
        self.prefix = None
        return DATE | TIME | ZONE

    def read_date_parts(self, text: str) -> int:
        parts = split_date(text)
        seen, mask = self.seen, 0
        text_month = False
        for index, part in enumerate(parts):
            if part[0].isalpha():
                word = keyword(part)
                if word is not None and word[0] is Word.IGNORED:
                    continue
                if word is None or word[0] is not Word.MONTH or seen & MONTH:
                    raise Malformed(Reason.FORMAT)
                self.month = int(word[1])
                text_month = True
                seen |= MONTH
                mask |= MONTH
                parts[index] = ""
        for part in filter(None, parts):
            found = self.read_plain_number(part, text_month, seen)
            if seen & found:
                raise Malformed(Reason.FORMAT)
            seen |= found
            mask |= found
        if seen & ~(DAY_OF_YEAR | ZONE) != DATE:
            raise Malformed(Reason.FORMAT)
        return mask

    def read_time(self, text: str) -> int:
        if self.prefix not in (None, "time"):
            raise Malformed(Reason.FORMAT)
        self.prefix = None
        hour, end = integer(text)
        minute, end = integer(text, end + 1)
        second = micro = 0
        if text[end : end + 1] == ".":  # mm:ss.fff
            hour, minute, second, micro = 0, hour, minute, microseconds(text[end:])
        elif text[end : end + 1] == ":":
            second, end = integer(text, end + 1)
            if text[end : end + 1] == ".":
                micro = microseconds(text[end:])
            elif end != len(text):
                raise Malformed(Reason.FORMAT)
        total = ((hour * 60 + minute) * 60 + second) * 1_000_000 + micro
        if minute > 59 or second > 60 or hour > 24 or total > calendar.DAY:
            raise Malformed(Reason.FIELD)
        self.hour, self.minute, self.second, self.microsecond = hour, minute, second, micro
        return TIME

    def read_offset(self, text: str) -> int:
        self.west = offset_west(text)
        return ZONE

    def read_number(self, text: str) -> int:
        if self.prefix is not None:
            return self.read_labelled_number(text)
        point = text.find(".")
        if point >= 0 and not self.seen & DATE:
            return self.read_date_parts(text)
        if point > 2 or (len(text) >= 6 and not (self.seen & DATE and self.seen & TIME)):
            return self.read_run_together(text, self.seen)
        return self.read_plain_number(text, self.text_month, self.seen)

    def read_labelled_number(self, text: str) -> int:
        number, end = integer(text)
        rest = text[end:]
        if rest[:1] not in ("", "."):
            raise Malformed(Reason.FORMAT)
        prefix, self.prefix = self.prefix, None
        if prefix == "time":
            if self.read_run_together(text, self.seen | DATE) != TIME:
                raise Malformed(Reason.FORMAT)
            return TIME
        if prefix != "julian":
            raise Malformed(Reason.FORMAT)
        self.year, self.month, self.day = calendar.date_of(number)
        self.julian = True
        if not rest:
            return DATE
        micro = int(fraction(rest) * calendar.DAY)
        self.hour, micro = divmod(micro, calendar.HOUR)
        self.minute, micro = divmod(micro, calendar.MINUTE)
        self.second, self.microsecond = divmod(micro, calendar.SECOND)
        return DATE | TIME

    def read_plain_number(self, text: str, text_month: bool, seen: int) -> int:
        """A number on its own: year, month, day, day of the year, or a time if the date is complete."""
        number, end = integer(text)
        if end == 0:
            raise Malformed(Reason.FORMAT)
        if text[end : end + 1] == ".":
            if end > 2:
                return self.read_run_together(text, seen | DATE)
            self.microsecond = microseconds(text[end:])
        elif end != len(text):
            raise Malformed(Reason.FORMAT)
        date = seen & DATE
        if len(text) == 3 and date == YEAR and 1 <= number <= 366:
            self.day_of_year = number
            return DAY_OF_YEAR | MONTH | DAY
        if date == DATE:
            return self.read_run_together(text, seen)
        mask = self._role(date, len(text), text_month)
        if mask == YEAR:
            self.year = number
            self.two_digits = len(text) <= 2
        elif mask == MONTH:
            self.month = number
        elif date == YEAR | MONTH and text_month and len(text) >= 3 and self.two_digits:
            # DD-MON-YYYY in YMD order: what was taken for the year was the day.
            self.day, self.year = self.year, number
            self.two_digits = False
        else:
            self.day = number
        return mask

    def _role(self, date: int, length: int, text_month: bool) -> int:
        """Which of YEAR, MONTH, DAY the next number is, given which are known."""
        if date == 0:
            if length >= 3 or self.order == "YMD":
                return YEAR
            return DAY if self.order == "DMY" else MONTH
        if date == MONTH and text_month:
            return YEAR if length >= 3 or self.order == "YMD" else DAY
        try:
            return {YEAR: MONTH, MONTH: DAY, YEAR | MONTH: DAY, DAY: MONTH, MONTH | DAY: YEAR}[date]
        except KeyError:
            raise alone(Malformed(Reason.FORMAT)) from None

    def read_run_together(self, text: str, seen: int) -> int:
        """yymmdd, yyyymmdd and longer years; hhmmss, hhmm, with a fraction of a second."""
        if DIGITS_AND_POINT.fullmatch(text) is None:
            raise Malformed(Reason.FORMAT)
        point = text.find(".")
        if point >= 0:
            self.microsecond = microseconds(text[point:])
            text = text[:point]
        elif seen & DATE != DATE and len(text) >= 6:
            self.day, self.month = int(text[-2:]), int(text[-4:-2])
            self.year = wrapped(int(text[:-4]))
            self.two_digits = self.two_digits or len(text) == 6
            return DATE
        if seen & TIME or len(text) not in (4, 6):
            raise Malformed(Reason.FORMAT)
        self.hour, self.minute, self.second = int(text[:2]), int(text[2:4]), int(text[4:] or "0")
        return TIME

    def read_word(self, text: str) -> int:
        mask = self.read_abbreviation(text)
        if mask:
            return mask
        word = keyword(text)
        if word is None:
            self.named_zone = zone(text)
            if self.named_zone is None:
                raise Malformed(Reason.FORMAT)
            return ZONE
        return _WORD_READERS[word[0]](self, word[1])

    def read_abbreviation(self, text: str) -> int:
        """Time zone abbreviations: the session zone's own, then the well-known ones; 0 if it is none."""
        upper = text.upper()
        meanings = self.session.meanings(upper)
        if len(meanings) > 1:
            self.varying = self.session, upper
            return ZONE | VARYING
        fixed = next(iter(meanings)) if meanings else abbreviations.FIXED.get(text[:10])
        if fixed is not None:
            self.west = -fixed[0]
            return ZONE | (DAYLIGHT if fixed[1] else 0)
        name = abbreviations.BY_ZONE.get(text[:10])
        place = zone(name) if name else None
        if place is None:
            return 0
        self.varying = place, upper
        return ZONE | VARYING

    def read_reserved(self, value: str | int) -> int:
        if value == "allballs":
            self.hour = self.minute = self.second = self.west = 0
            return TIME | ZONE
        if value in ("now", "day"):
            self.relative = True
            self.year, self.month, self.day = 2000, 1, 1
            return DATE | TIME | ZONE if value == "now" else DATE
        self.special = str(value)
        return DATE | TIME | ZONE

    def read_month(self, value: str | int) -> int:
        mask = MONTH
        if (
            self.seen & MONTH
            and not self.text_month
            and not self.seen & DAY
            and 1 <= self.month <= 31
        ):
            self.day = self.month
            mask = DAY
        self.text_month = True
        self.month = int(value)
        return mask

    def read_unit(self, value: str | int) -> int:
        if self.prefix is not None:
            raise Malformed(Reason.FORMAT)
        self.prefix = str(value)
        return 0

    def read_iso_time(self, value: str | int) -> int:
        if self.seen & DATE != DATE:
            raise Malformed(Reason.FORMAT)
        return self.read_unit(value)

    def read_era(self, value: str | int) -> int:
        self.era = str(value)
        return ERA

    def read_half_day(self, value: str | int) -> int:
        self.half_day = str(value)
        return HALF_DAY

    def read_dst(self, _value: str | int) -> int:
        self.west -= 3600
        return DST_WORD | DAYLIGHT


_READERS: dict[Kind, Callable[[Reading, str], int]] = {
    Kind.DATE: Reading.read_date,
    Kind.TIME: Reading.read_time,
    Kind.TZ: Reading.read_offset,
    Kind.NUMBER: Reading.read_number,
    Kind.STRING: Reading.read_word,
    Kind.SPECIAL: Reading.read_word,
}
_WORD_READERS: dict[Word, Callable[[Reading, str | int], int]] = {
    Word.RESERVED: Reading.read_reserved,
    Word.MONTH: Reading.read_month,
    Word.WEEKDAY: lambda _reading, _value: WEEKDAY,
    Word.ERA: Reading.read_era,
    Word.HALF_DAY: Reading.read_half_day,
    Word.UNITS: Reading.read_unit,
    Word.ISO_TIME: Reading.read_iso_time,
    Word.DST: Reading.read_dst,
    Word.IGNORED: lambda _reading, _value: 0,
}
