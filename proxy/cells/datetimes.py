"""date, timestamp, timestamptz: days in int4, microseconds in int8, both from 2000-01-01 and big endian.

Mirrors date_in, timestamp_in, timestamptz_in and their binary twins in src/backend/utils/adt/date.c and
timestamp.c. A timestamptz is an instant: the session's TimeZone takes part in reading and writing text only. ISO
dates and timestamps, the usual case in every DateStyle, are read by one regular expression each; all other text
goes through `datetime_fields` and `datetime_input`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC as UTC_ZONE
from datetime import date, datetime, timedelta
from functools import lru_cache
from struct import Struct
from typing import Final

from proxy.cells import calendar, datetime_output, encoding
from proxy.cells.datetime_fields import fields
from proxy.cells.datetime_input import Reading
from proxy.cells.datetime_numbers import Malformed, Reason
from proxy.cells.errors import CellError, corrupt, long_message, short_message
from proxy.cells.local_time import UTC, Zone
from proxy.cells.settings import Convert, Family, Settings, always, identity, unmodified
from proxy.cells.zones import zone

DATE_FORM = Struct(">i")
TIMESTAMP_FORM = Struct(">q")
_ORDINAL_2000 = date(2000, 1, 1).toordinal()
_HYPHEN: Final = 0x2D
_ISO_TIMESTAMP = re.compile(
    rb"[0-9]{4}-[0-9]{2}-[0-9]{2}[ T](?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](?:\.[0-9]{1,6})?"
    rb"(Z|[+-](?:0[0-9]|1[0-5])(?::?[0-5][0-9])?)?"
)
_EPOCH = datetime(2000, 1, 1)
_EPOCH_UTC = datetime(2000, 1, 1, tzinfo=UTC_ZONE)


@lru_cache(maxsize=256)
def session_zone(name: str) -> Zone:
    found = zone(name)
    if found is None:
        raise CellError(
            "0A000",
            "the session's TimeZone is not known to Sealgate: set one from the IANA database",
        )
    return found


def _known_zone(name: str) -> Zone | None:
    """The session's zone if it is known; if not, only what does not need it can be read."""
    with suppress(CellError):
        return session_zone(name)
    return None


def _read(value: bytes, settings: Settings, room: int, type_name: str) -> Reading:
    """What the server would understand; raises the error it would give."""
    session = session_zone(settings.time_zone)
    try:
        found = fields(value.decode("latin-1"), room)
        if found is None:
            raise Malformed(Reason.FORMAT)
        reading = Reading(datetime_output.style(settings.date_style)[1], session)
        reading.read(found)
    except Malformed as malformed:
        sqlstate, message = malformed.reason.value
    else:
        return reading
    raise CellError(sqlstate, message.format(type_name))


def _date_from_text(settings: Settings) -> Convert:
    def parse(value: bytes) -> bytes:
        # Of the forms that Python reads, only yyyy-mm-dd has hyphens in both places.
        if len(value) == 10 and value[4] == _HYPHEN and value[7] == _HYPHEN:
            try:
                day = date.fromisoformat(value.decode())
            except ValueError:
                pass  # and not on from here: the exception quotes the value and must not become a context
            else:
                return DATE_FORM.pack(day.toordinal() - _ORDINAL_2000)
        reading = _read(value, settings, 129, "date")
        return DATE_FORM.pack(
            _SPECIAL_DATES[reading.special] if reading.special else _date(reading)
        )

    return encoding.ascii_form(parse, settings.encoding)


_SPECIAL_DATES = {
    "infinity": calendar.DATE_INFINITE,
    "-infinity": calendar.DATE_NEGATIVE_INFINITE,
    "epoch": calendar.UNIX_EPOCH - calendar.POSTGRES_EPOCH,
}
_SPECIAL_TIMESTAMPS = {
    "infinity": calendar.TIMESTAMP_INFINITE,
    "-infinity": calendar.TIMESTAMP_NEGATIVE_INFINITE,
    "epoch": -calendar.EPOCH_SECONDS * calendar.SECOND,
}


def _date(reading: Reading) -> int:
    if calendar.is_valid_julian(reading.year, reading.month):
        julian = calendar.julian_day(reading.year, reading.month, reading.day)
        days = julian - calendar.POSTGRES_EPOCH
        if calendar.DATE_MIN <= days < calendar.DATE_END:
            return days
    raise CellError("22008", "date out of range")


def _timestamp(reading: Reading, west: int) -> int:
    if calendar.is_valid_julian(reading.year, reading.month):
        julian = calendar.julian_day(reading.year, reading.month, reading.day)
        seconds = (reading.hour * 60 + reading.minute) * 60 + reading.second + west
        value = (julian - calendar.POSTGRES_EPOCH) * calendar.DAY
        value += seconds * calendar.SECOND + reading.microsecond
        if calendar.TIMESTAMP_MIN <= value < calendar.TIMESTAMP_END:
            return value
    raise CellError("22008", "timestamp out of range")


def _iso_timestamp(text: str, zoned: bool, offset: bool, session: Zone | None) -> int | None:
    """Microseconds of an ISO text that may have an `offset`; None if there is no such day, or no known zone for it."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    if not zoned:
        since = (moment.replace(tzinfo=None) if offset else moment) - _EPOCH
    elif offset:
        since = moment - _EPOCH_UTC
    elif session is None:
        return None
    else:
        since = moment - _EPOCH
        local = since.days * 86400 + since.seconds + calendar.EPOCH_SECONDS
        since -= timedelta(seconds=session.of_local(local).offset)
    return (since.days * 86400 + since.seconds) * calendar.SECOND + since.microseconds


def _timestamp_from_text(zoned: bool) -> Callable[[Settings], Convert]:
    type_name = "timestamp with time zone" if zoned else "timestamp"

    def compile_for(settings: Settings) -> Convert:
        session = _known_zone(settings.time_zone) if zoned else None

        def parse(value: bytes) -> bytes:
            match = _ISO_TIMESTAMP.fullmatch(value)
            if match is not None:
                offset = match[1] is not None
                found = _iso_timestamp(value.decode(), zoned, offset, session)
                if found is not None:
                    return TIMESTAMP_FORM.pack(found)
            reading = _read(value, settings, 153, type_name)
            if reading.special:
                return TIMESTAMP_FORM.pack(_SPECIAL_TIMESTAMPS[reading.special])
            return TIMESTAMP_FORM.pack(_timestamp(reading, reading.west if zoned else 0))

        return encoding.ascii_form(parse, settings.encoding)

    return compile_for


def _date_from_binary(value: bytes) -> bytes:
    if len(value) < 4:
        raise short_message()
    (days,) = DATE_FORM.unpack_from(value)
    infinite = days in (calendar.DATE_INFINITE, calendar.DATE_NEGATIVE_INFINITE)
    if not infinite and not calendar.DATE_MIN <= days < calendar.DATE_END:
        raise CellError("22008", "date out of range")
    if len(value) > 4:
        raise long_message()
    return value


def _timestamp_from_binary(value: bytes) -> bytes:
    if len(value) < 8:
        raise short_message()
    (micro,) = TIMESTAMP_FORM.unpack_from(value)
    infinite = micro in (calendar.TIMESTAMP_INFINITE, calendar.TIMESTAMP_NEGATIVE_INFINITE)
    if not infinite and not calendar.TIMESTAMP_MIN <= micro < calendar.TIMESTAMP_END:
        raise CellError("22008", "timestamp out of range")
    if len(value) > 8:
        raise long_message()
    return value


def _date_to_text(settings: Settings) -> Convert:
    show = datetime_output.date_text(settings.date_style)

    def convert(canonical: bytes) -> bytes:
        if len(canonical) != 4:
            raise corrupt("date")
        return show(int.from_bytes(canonical, "big", signed=True))

    return convert


def _timestamp_to_text(zoned: bool) -> Callable[[Settings], Convert]:
    def compile_for(settings: Settings) -> Convert:
        place = session_zone(settings.time_zone) if zoned else None
        show = datetime_output.timestamp_text(settings.date_style, place)

        def convert(canonical: bytes) -> bytes:
            if len(canonical) != 8:
                raise corrupt("timestamp")
            return show(int.from_bytes(canonical, "big", signed=True))

        return convert

    return compile_for


def round_timestamp(canonical: bytes, modifier: int) -> bytes:
    """AdjustTimestampForTypmod: half away from 2000-01-01, to `modifier` digits of a second."""
    if not 0 <= modifier < 6 or len(canonical) != 8:
        return canonical
    (value,) = TIMESTAMP_FORM.unpack(canonical)
    if value in (calendar.TIMESTAMP_INFINITE, calendar.TIMESTAMP_NEGATIVE_INFINITE):
        return canonical
    unit = 10 ** (6 - modifier)
    rounded = (abs(value) + unit // 2) // unit * unit
    return TIMESTAMP_FORM.pack(rounded if value >= 0 else -rounded)


def local_to_instant(micro: int, place: Zone) -> int:
    """The instant that a local time names in a zone: timestamp2timestamptz."""
    reading = Reading("MDY", UTC)
    days, rest = divmod(micro, calendar.DAY)
    reading.year, reading.month, reading.day = calendar.date_of(days + calendar.POSTGRES_EPOCH)
    reading.second = rest // calendar.SECOND
    return micro + reading.offset_in(place)[0] * calendar.SECOND


DATE: Final[Family] = Family(
    _date_from_text,
    always(_date_from_binary),
    _date_to_text,
    always(identity),
    unmodified,
    unmodified,
    identity,
)
TIMESTAMP: Final[Family] = Family(
    _timestamp_from_text(zoned=False),
    always(_timestamp_from_binary),
    _timestamp_to_text(zoned=False),
    always(identity),
    round_timestamp,
    round_timestamp,
    identity,
)
TIMESTAMPTZ: Final[Family] = Family(
    _timestamp_from_text(zoned=True),
    always(_timestamp_from_binary),
    _timestamp_to_text(zoned=True),
    always(identity),
    round_timestamp,
    round_timestamp,
    identity,
)
