"""Days and dates: Julian day numbers to the proleptic Gregorian calendar and back, in integers.

Mirrors date2j and j2date in src/backend/utils/adt/datetime.c and the limits of src/include/datatype/timestamp.h.
Years count with a year zero (1 BC is 0). Dates count days, timestamps microseconds, from 2000-01-01 00:00.
"""

from __future__ import annotations

POSTGRES_EPOCH = 2451545
"""Julian day of 2000-01-01."""
UNIX_EPOCH = 2440588
EPOCH_SECONDS = (POSTGRES_EPOCH - UNIX_EPOCH) * 86400
"""2000-01-01 in seconds from 1970-01-01."""

SECOND = 1_000_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR

DATE_MIN = -POSTGRES_EPOCH
DATE_END = 2147483494 - POSTGRES_EPOCH
TIMESTAMP_MIN = -211813488000000000
TIMESTAMP_END = 9223371331200000000

DATE_INFINITE = 0x7FFFFFFF
DATE_NEGATIVE_INFINITE = -0x80000000
TIMESTAMP_INFINITE = 0x7FFFFFFFFFFFFFFF
TIMESTAMP_NEGATIVE_INFINITE = -0x8000000000000000

_MONTH_LENGTHS = (31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)


def is_leap(year: int) -> bool:
    return year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)


def month_length(year: int, month: int) -> int:
    return 29 if month == 2 and is_leap(year) else _MONTH_LENGTHS[month - 1]


def julian_day(year: int, month: int, day: int) -> int:
    """The Julian day of a date; for any integers, as a 32-bit int would hold it."""
    if month > 2:
        month += 1
        year += 4800
    else:
        month += 13
        year += 4799
    century = _quotient(year, 100)
    number = year * 365 - 32167
    number += _quotient(year, 4) - century + _quotient(century, 4)
    number += _quotient(7834 * month, 256) + day
    return (number + 0x80000000 & 0xFFFFFFFF) - 0x80000000


def _quotient(dividend: int, divisor: int) -> int:
    """Division as C has it, towards zero."""
    return dividend // divisor if dividend >= 0 else -(-dividend // divisor)


def date_of(day_number: int) -> tuple[int, int, int]:
    """(year, month, day) of a Julian day, for any integer (Fliegel and Van Flandern's cycle of 146097 days)."""
    days = day_number - 1721120
    cycle, days = divmod(days, 146097)
    century = min(days // 36524, 3)
    days -= century * 36524
    four, days = divmod(days, 1461)
    years = min(days // 365, 3)
    days -= years * 365
    month = (5 * days + 2) // 153
    day = days - (153 * month + 2) // 5 + 1
    year = 400 * cycle + 100 * century + 4 * four + years
    return (year, month + 3, day) if month < 10 else (year + 1, month - 9, day)


def is_valid_julian(year: int, month: int) -> bool:
    """Whether `julian_day` gives a non-negative number (month precision, as the server checks it)."""
    return (year, month) >= (-4713, 11) and (year, month) < (5874898, 6)
