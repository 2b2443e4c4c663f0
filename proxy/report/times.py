"""Points in time and periods, as people give them and as reports print them."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Final

MILLISECONDS: Final = 1000
DAY: Final = 86_400_000
HOUR: Final = 3_600_000
_LATEST: Final = int(datetime(9999, 12, 31, tzinfo=UTC).timestamp()) * MILLISECONDS
_PERIOD: Final = re.compile(r"([1-9][0-9]{0,4})([dhw])", re.ASCII)
_UNITS: Final = {"h": HOUR, "d": DAY, "w": 7 * DAY}


class BadTime(ValueError):
    """The text is no time; says what to write."""


def epoch(text: str) -> int:
    """Epoch milliseconds of an RFC 3339 time, or of a date (its first moment in UTC). Raises BadTime.

    A time without an offset is refused: whose clock it is decides what it means.
    """
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise BadTime(
            f"{text!r} is no time: write 2026-11-23T09:00Z, 2026-11-23T10:00+01:00 or 2026-11-23"
        ) from None
    if moment.tzinfo is None:
        if len(text) > len("2026-11-23"):
            raise BadTime(f"{text!r} has no time zone: write {text}Z for UTC, or {text}+01:00")
        moment = moment.replace(tzinfo=UTC)
    return round(moment.timestamp() * MILLISECONDS)


def period(text: str) -> int:
    """Milliseconds of `90d`, `12h` or `4w`. Raises BadTime."""
    found = _PERIOD.fullmatch(text)
    if found is None:
        raise BadTime(f"{text!r} is no period: write 90d, 12h or 4w")
    return int(found[1]) * _UNITS[found[2]]


def moment(milliseconds: int) -> datetime:
    """A log's time, which may be anything."""
    return datetime.fromtimestamp(0, UTC) + timedelta(
        milliseconds=max(0, min(milliseconds, _LATEST))
    )


def rfc3339(when: datetime) -> str:
    """In UTC, to the millisecond."""
    return when.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def said(when: datetime | None) -> str:
    """For people: to the second, in UTC."""
    return "—" if when is None else when.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def spoken(milliseconds: int) -> str:
    """A length of time: `3 d 4 h`, `25 min`, `12 s`."""
    seconds = abs(milliseconds) // MILLISECONDS
    if seconds >= 2 * 86_400:
        return f"{seconds // 86_400} d {seconds % 86_400 // 3600} h"
    if seconds >= 3600:
        return f"{seconds // 3600} h {seconds % 3600 // 60} min"
    return f"{seconds // 60} min" if seconds >= 120 else f"{seconds} s"
