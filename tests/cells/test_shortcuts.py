"""Shortcuts for usual values: they give what the full readers give, and refuse what those refuse."""

from __future__ import annotations

import random
from collections.abc import Callable
from functools import partial

import pytest

from proxy.cells import CellError, Settings, datetimes, logical_type, numeric
from tests.cells import values

ASCII = Settings()
SPECS = (
    "numeric(10,2)",
    "numeric(10,0)",
    "numeric(4,4)",
    "numeric(2,5)",
    "numeric(3,-2)",
    "numeric(30,16)",
    "numeric(40,17)",
    "numeric(1000,2)",
    "varchar(5)",
    "char(5)",
    "timestamp(2)",
    "int4",
    "text",
)


def outcome(convert: Callable[[bytes], bytes], value: bytes) -> bytes | tuple[str, str]:
    try:
        return convert(value)
    except CellError as error:
        return error.sqlstate, error.message


def plain_numbers(rng: random.Random, count: int) -> list[bytes]:
    """What a shortcut is for, around its borders: signs, leading zeros, no digits on one side, 15 to 17 digits."""
    found = []
    for _ in range(count):
        whole = "".join(rng.choices("00123456789", k=rng.choice((0, 1, 2, 3, 4, 5, 8, 9, 15, 17))))
        fraction = "".join(rng.choices("00123456789", k=rng.choice((0, 1, 2, 3, 4, 5, 15, 17))))
        point = rng.choice((".", "", ".", "..", ".-", "e", ".e", ". ", "_"))
        text = rng.choice(("", "", "-", "+", " ", "--", "- ")) + whole + point + fraction
        found.append((text + rng.choice(("", "", "", " ", "\n", "_", "\0"))).encode())
    return found


def test_plain_numbers_are_read_as_all_numbers_are(rng: random.Random) -> None:
    """numeric: one integer cut into digits of 10000, or text cut into them, the same bytes and errors."""
    texts = values.texts("numeric", rng, 5000) + plain_numbers(rng, 20000)
    full = [outcome(numeric._parse_any, text.strip(b" \t\n\v\f\r")) for text in texts]
    assert [outcome(numeric.parse, text) for text in texts] == full
    assert sum(isinstance(one, bytes) for one in full) > 5000


@pytest.mark.parametrize("spec", SPECS)
def test_storing_is_reading_and_assigning(spec: str, rng: random.Random) -> None:
    """`storing` in one step, `decoder` and `assign` in two: the same bytes and errors, in both formats."""
    logical = logical_type(spec)
    texts = values.texts(logical.name, rng, 3000)
    if logical.name == "numeric":
        texts += plain_numbers(rng, 10000)
    decode = logical.decoder(0, ASCII)
    stored = [outcome(logical.storing(0, ASCII), text) for text in texts]
    assert stored == [outcome(lambda text: logical.assign(decode(text)), text) for text in texts]
    binary = [one for one in (outcome(decode, text) for text in texts) if isinstance(one, bytes)]
    assert len(binary) > 500
    assert [outcome(logical.storing(1, ASCII), one) for one in binary] == [
        outcome(logical.assign, one) for one in binary
    ]


def test_numbers_that_fit_are_assigned_as_all_numbers_are(rng: random.Random) -> None:
    """numeric(p,s): a value with no more digits than the column has, by its header or by its digits."""
    texts = values.texts("numeric", rng, 3000) + plain_numbers(rng, 10000)
    parsed = [one for text in texts if isinstance(one := outcome(numeric.parse, text), bytes)]
    for precision, scale in ((10, 2), (4, 4), (2, 5), (3, -2), (9, 0), (40, 17)):
        assign = partial(numeric.assign, modifier=(precision << 16 | scale & 0x7FF) + 4)
        rounded = partial(numeric._rounded, precision=precision, scale=scale)
        assert [outcome(assign, one) for one in parsed] == [outcome(rounded, one) for one in parsed]


def test_iso_dates_are_read_as_all_dates_are(rng: random.Random) -> None:
    """yyyy-mm-dd, and what has hyphens in the same places, by Python or field by field."""
    texts = values.texts("date", rng, 3000)
    for _ in range(5000):
        year, month, day = rng.randint(0, 9999), rng.randint(0, 13), rng.randint(0, 32)
        text = bytearray(b"%04d-%02d-%02d" % (year, month, day))
        if rng.random() < 0.3:
            text[rng.randrange(len(text))] = rng.choice(b"0129-W /+\xc3\0")
        texts.append(bytes(text))
    convert = logical_type("date").decoder(0, ASCII)

    def full(value: bytes) -> bytes:
        reading = datetimes._read(value, ASCII, 129, "date")
        special = datetimes._SPECIAL_DATES.get(reading.special or "")
        return datetimes.DATE_FORM.pack(datetimes._date(reading) if special is None else special)

    found = [outcome(convert, text) for text in texts if text.isascii() and 0 not in text]
    assert found == [outcome(full, text) for text in texts if text.isascii() and 0 not in text]
    assert sum(isinstance(one, bytes) for one in found) > 2000
