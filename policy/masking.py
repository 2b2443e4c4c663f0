"""Masks: a canonical plaintext in, a canonical plaintext of the same type out, or NULL.

    email          text      `a***@example.com`; `***` where it is no e-mail address
    keep_last:N    text      a star for every code point but the last N
    keep_first:N   text      a star for every code point but the first N
    year           date, timestamp, timestamptz      1 January of the year, 00:00 (UTC)
    constant:TEXT  any       always TEXT, read as the type reads it
    null           any       always NULL

Characters are Unicode code points. A mask never shows all of a value: `keep_last:4` of a value
with four characters or fewer is stars only, and `email` shows no part of a local part that has one
character. Beyond that the number N is the administrator's choice, and so is what it gives away of
short values: a value one character longer than N keeps one secret.

The stars of keep_first and keep_last tell the value's length; those of `email` do not. A masked
varchar(n) is cut to n, a masked char(n) is padded with blanks as before.

What is compiled here runs once per cell; it does not raise on any plaintext.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal

from policy.errors import PolicyError

Mask = Callable[[bytes], bytes | None]

MASKS: Final = "email, keep_last:N, keep_first:N, year, constant:TEXT, null"
_NUMBER: Final = re.compile(r"[1-9][0-9]{0,5}")
_TYPE: Final = re.compile(
    r"([a-z][a-z0-9 ]*?) ?(?:\( ?(-?[0-9]{1,10})(?: ?, ?-?[0-9]{1,10})? ?\))?( with(?:out)? time zone)?"
)
# What follows the last @ must be a host name: else it may be anything, and is not shown.
_HOST: Final = re.compile(r"[\w-]+(?:\.[\w-]+)*")

Family = Literal["text", "date", "timestamp", "other"]
_FAMILIES: Final[dict[str, Family]] = {
    **dict.fromkeys(("text", "varchar", "character varying"), "text"),
    **dict.fromkeys(("bpchar", "char", "character"), "text"),
    "date": "date",
    **dict.fromkeys(("timestamp", "timestamp without time zone"), "timestamp"),
    **dict.fromkeys(("timestamptz", "timestamp with time zone"), "timestamp"),
}
_BLANK_PADDED: Final = frozenset(("bpchar", "char", "character"))


@dataclass(frozen=True, slots=True)
class TypeName:
    """As much of a type's name as masks need. `limit` is the n of varchar(n) and char(n)."""

    name: str
    family: Family
    limit: int | None
    blank_padded: bool


def read_type(spec: str) -> TypeName:
    """`character varying(40)`, `timestamp(3) with time zone`, ...

    Types that masks treat alike are not told apart: whether `spec` is a type at all is for those
    to say who read its values.
    """
    spelled = " ".join(spec.lower().split())
    match = _TYPE.fullmatch(spelled)
    if match is None:
        return TypeName(spelled, "other", None, False)
    name = match[1] + (match[3] or "")
    family = _FAMILIES.get(name, "other")
    limit = int(match[2]) if match[2] and family == "text" else None
    if limit is None and name in ("char", "character"):
        limit = 1  # the standard's char is char(1); bpchar without a number has no limit
    return TypeName(name, family, limit, name in _BLANK_PADDED)


def compile_mask(spec: str, type_name: str, parse: Callable[[str], bytes]) -> Mask:
    """The mask `spec` for a column of this type. Raises PolicyError (with the key `mask`).

    `parse` reads a text as the column's type (and its modifier) into its canonical plaintext; used
    for `constant:TEXT` only, and what it raises is taken as "not a value of that type".
    """
    described = read_type(type_name)
    check_mask(spec, described, "mask")
    kind, _, argument = spec.partition(":")
    if kind == "null":
        return _null
    if kind == "constant":
        return _constant(constant_value(argument, type_name, parse, "mask"))
    if kind == "year":
        return _year_of_date if described.family == "date" else _year_of_timestamp
    return _of_text(_text_mask(kind, argument), described)


def check_mask(spec: str, of: TypeName, key: str) -> None:
    """Raise PolicyError naming `key` unless `spec` is a mask that columns of this type can have."""
    kind, colon, argument = spec.partition(":")
    if kind not in _FITS or bool(colon) != (kind in _TAKES_ARGUMENT):
        raise PolicyError(key, f"{spec!r} is no mask", f"Write one of: {MASKS}.")
    if kind in ("keep_last", "keep_first") and not _NUMBER.fullmatch(argument):
        raise PolicyError(
            key, f"{spec!r} keeps no number of characters", f'Write for example "{kind}:4".'
        )
    if of.family not in _FITS[kind]:
        fitting = ", ".join(mask for mask, families in _FITS.items() if of.family in families)
        raise PolicyError(
            key,
            f"{kind} does not give a value of type {of.name}",
            f"Masks for this type: {fitting}.",
        )


def constant_value(text: str, type_: str, parse: Callable[[str], bytes], key: str) -> bytes:
    """The canonical plaintext of `constant:TEXT`."""
    try:
        return parse(text)
    except Exception:  # noqa: S110 - the parser's errors are not ours to know; reported below
        pass
    raise PolicyError(
        key,
        f"the constant is not a value of type {type_}",
        "Write one as PostgreSQL would read it.",
    )


_EVERY: Final = frozenset(("text", "date", "timestamp", "other"))
_FITS: Final = {
    "email": frozenset(("text",)),
    "keep_last": frozenset(("text",)),
    "keep_first": frozenset(("text",)),
    "year": frozenset(("date", "timestamp")),
    "constant": _EVERY,
    "null": _EVERY,
}
_TAKES_ARGUMENT: Final = frozenset(("keep_last", "keep_first", "constant"))


def _null(plaintext: bytes) -> None:
    return None


def _constant(value: bytes) -> Mask:
    def constant(plaintext: bytes) -> bytes:
        return value

    return constant


def _text_mask(kind: str, argument: str) -> Callable[[str], str]:
    if kind == "email":
        return _email
    keep = int(argument)
    if kind == "keep_last":
        return lambda text: (
            "*" * (len(text) - keep) + text[-keep:] if len(text) > keep else "*" * len(text)
        )
    return lambda text: (
        text[:keep] + "*" * (len(text) - keep) if len(text) > keep else "*" * len(text)
    )


def _email(text: str) -> str:
    local, at, host = text.rpartition("@")
    if not at or not _HOST.fullmatch(host):
        return "***"
    shown = local[0] if len(local) > 1 else ""
    return f"{shown}***@{host}"


def _of_text(mask: Callable[[str], str], of: TypeName) -> Mask:
    def masked(plaintext: bytes) -> bytes:
        try:
            text = plaintext.decode()
        except UnicodeDecodeError:
            text = "***"  # nothing that PostgreSQL calls text; show none of it
        if not of.blank_padded:
            return mask(text)[: of.limit].encode()
        # Trailing blanks are no characters of a char(n): keep_last:4 would show only them.
        return mask(text.rstrip(" "))[: of.limit].ljust(len(text)).encode()

    return masked


# Dates are int32 days, timestamps int64 microseconds, both since 2000-01-01, with the type's
# extremes for -infinity and infinity. They reach from 4714-11-24 BC (Julian day 0) to the year
# 5874897, far beyond Python's datetime, so the calendar (proleptic Gregorian) is computed here.
_DAY: Final = 86_400_000_000
_JULIAN_DAY_0: Final = -2_451_545
_DAYS_IN_400_YEARS: Final = 146_097
_INFINITE_DATES: Final = (-(1 << 31), (1 << 31) - 1)
_INFINITE_TIMESTAMPS: Final = (-(1 << 63), (1 << 63) - 1)


def _year_of_date(plaintext: bytes) -> bytes:
    days = int.from_bytes(plaintext, "big", signed=True)
    if days in _INFINITE_DATES:  # they have no year, and are no one's date
        return plaintext
    return _first_of_january(days).to_bytes(4, "big", signed=True)


def _year_of_timestamp(plaintext: bytes) -> bytes:
    microseconds = int.from_bytes(plaintext, "big", signed=True)
    if microseconds in _INFINITE_TIMESTAMPS:
        return plaintext
    return (_first_of_january(microseconds // _DAY) * _DAY).to_bytes(8, "big", signed=True)


def _first_of_january(days: int) -> int:
    """Days from 2000-01-01 to 1 January of the year that `days` falls in.

    2000 begins a 400-year cycle: its first year is a leap year, then come 399 with a leap year
    every fourth but for three centuries. 4714 BC began before the first date there is; its
    dates give that one.
    """
    cycles, day = divmod(days, _DAYS_IN_400_YEARS)
    year = day // 366  # at or before the year sought
    while _days_before(year + 1) <= day:
        year += 1
    return max(cycles * _DAYS_IN_400_YEARS + _days_before(year), _JULIAN_DAY_0)


def _days_before(year: int) -> int:
    """Days from the start of a 400-year cycle to that of its `year`-th year (0 to 400)."""
    return year * 365 + (year + 3) // 4 - (year + 99) // 100 + (year + 399) // 400
