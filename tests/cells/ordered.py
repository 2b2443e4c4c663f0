"""Values of the types that have an order: extremes, random ones, and neighbours that differ by as little as they can."""

from __future__ import annotations

import random

from proxy.cells import CellError, LogicalType, Settings, calendar
from tests.cells import values

NAMES = (
    *("int2", "int4", "int8", "numeric", "float4", "float8"),
    *("date", "timestamp", "timestamptz", "text", "varchar"),
)
PREFIX = 8
"""Bytes of a text by which it is ordered here."""
DEFAULTS = Settings()


def _words(text: str) -> list[str]:
    return text.split()


_NUMBERS = _words(
    "0 1 -1 2 5 -5 9999 10000 10001 -9999 -10000 99999999 100000000 32767 -32768 32768 -32769 2147483647 -2147483648"
    " 2147483648 -2147483649 16777216 16777217 -16777217 9007199254740991 9007199254740992 9007199254740993"
    " -9007199254740991 -9007199254740993 9223372036854774784 9223372036854775807 -9223372036854775808"
    " 9223372036854775808 -9223372036854775809 9223372036854777856 -9223372036854777856 1e19 -1e19 1e40 -1e40"
)
_FRACTIONS = _words(
    "0.5 -0.5 5.5 -5.5 1.0 1.00 0.1 -0.1 0.0001 0.00001 -0.0001 1.0001 1.00010001 -1.0001 -0 2147483647.5 -2147483648.5"
    " 32767.0001 1e-20 -1e-20 9223372036854775807.5 -9223372036854775808.5 0.9999 0.99999999 -0.9999 123456789.123456789"
    " 9007199254740991.5 3.4028234663852886e38 3.4028235e38 3.5e38 -3.5e38 1e-45 1e-46 1.1754943508222875e-38"
)
_SPECIAL = ["NaN", "Infinity", "-Infinity"]
_HUGE = [
    *("1e131071", "-1e131071", "1e-16383", "-1e-16383", "1e300", "1e-300", "1e-310", "-1e-310"),
    *("1e247", "1e248", "1e249", "1e-244", "1e-248", "1e-249", "-1e247", "-1e248", "-1e-249"),
    *("9" * 160, "9" * 161, "-" + "9" * 160, "1" + "0" * 200 + "1", "0." + "1" * 200),
    *("123" * 60, "-" + "123" * 60, "123" * 60 + "4", "-" + "123" * 60 + "4"),
]
_DATES = [
    *_words(
        "infinity -infinity epoch 2000-01-01 1999-12-31 2000-01-02 5874897-12-31 294276-12-31 294277-01-01 0001-01-01"
        " 2024-03-10 2024-03-30 2024-03-31 2024-10-27 2024-11-03 2011-12-30 2011-12-31"
    ),
    *("4714-11-24 BC", "4714-11-25 BC", "0001-12-31 BC"),
]
_TIMES = [
    *("2000-01-01 00:00:00.000001", "1999-12-31 23:59:59.999999", "294276-12-31 23:59:59.999999"),
    *("2024-03-10 02:30:00", "2024-03-31 02:30:00", "2024-03-31 03:00:00", "2024-10-27 02:30:00"),
    *(
        "2024-11-03 01:30:00",
        "2011-12-30 12:00:00",
        "4714-11-24 00:00:00 BC",
        "2024-03-31 12:34:56.5",
    ),
    *("294276-12-31 20:00:00", "4714-11-24 05:00:00 BC", "1999-12-31 12:00:00"),
]
_TEXTS = [
    *("", " ", "a", "a ", "A", "B", "b", "ab", "aB", "abc", "ab c", "Z", "_", "~", "\x01", "\x7f", "a\x01"),
    *("é", "e\u0301", "ß", "ss", "中", "😀", "\uffff", "\U0010ffff", "12345678", "1234567", "1234567é", "123456é"),
    *("123456789", "12345678 ", "12345678é", "1234567890", "1234567😀", "12345中", "1234中文", "١", "ı", "İ"),
]  # fmt: skip

_EXTREMES: dict[str, list[str]] = {
    "int2": _NUMBERS,
    "int4": _NUMBERS,
    "int8": _NUMBERS,
    "numeric": [*_NUMBERS, *_FRACTIONS, *_SPECIAL, *_HUGE],
    "float4": [*_NUMBERS, *_FRACTIONS, *_SPECIAL],
    "float8": [*_NUMBERS, *_FRACTIONS, *_SPECIAL, *_HUGE, "4.9e-324", "1.7976931348623157e308"],
    "date": _DATES,
    "timestamp": [*_DATES, *_TIMES],
    "timestamptz": [*_DATES, *_TIMES],
    "text": _TEXTS,
    "varchar": _TEXTS,
}


def samples(logical: LogicalType, rng: random.Random, count: int) -> list[bytes]:
    """All extremes of the type and about `count` random values and neighbours, canonical, each once."""
    texts = [text.encode() for text in _EXTREMES[logical.name]]
    found = _canonical(logical, texts)
    found += _canonical(logical, values.texts(logical.name, rng, count))
    if logical.length > 0:
        found += [rng.randbytes(logical.length) for _ in range(count // 2)]
    near = rng.sample(found, min(len(found), count // 2))
    found += [_neighbour(logical, value, rng) for value in near]
    return list(dict.fromkeys(_canonical_binary(logical, found)))


def _canonical(logical: LogicalType, texts: list[bytes]) -> list[bytes]:
    found = []
    for text in texts:
        try:
            found.append(logical.from_text(text, DEFAULTS))
        except CellError:
            continue
    return found


def _canonical_binary(logical: LogicalType, candidates: list[bytes]) -> list[bytes]:
    """Those that the server would take as a value in binary form."""
    found = []
    for value in candidates:
        try:
            found.append(logical.from_binary(value, DEFAULTS))
        except CellError:
            continue
    return found


def _neighbour(logical: LogicalType, value: bytes, rng: random.Random) -> bytes:
    """A value next to it, or near; not always a value at all."""
    if logical.name in ("text", "varchar"):
        return rng.choice(
            (value + b" ", value[:-1], value + b"a", value + b"\x01", b"\x01" + value)
        )
    if logical.name == "numeric":
        text = logical.to_text(value, DEFAULTS)
        if not text[-1:].isdigit():
            return value
        longer = text if b"." in text else text + b"."
        more = rng.choice((b"0001", b"00000001", b"9999", b"0" * 40 + b"1", b"0", b"1" * 150))
        return next(iter(_canonical(logical, [longer + more])), value)
    step = rng.choice((-1, 1, 1 << rng.randrange(8 * len(value) - 1)))
    if logical.name in ("timestamp", "timestamptz") and rng.random() < 0.3:
        step = rng.choice((-1, 1)) * calendar.DAY
    number = int.from_bytes(value, "big") + step
    return (number % (1 << 8 * len(value))).to_bytes(len(value), "big")
