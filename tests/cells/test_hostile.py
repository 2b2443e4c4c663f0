"""Values made to break a reader: they end soon, in a value or in a CellError that does not quote them."""

from __future__ import annotations

import random
import time
import traceback
from collections.abc import Callable
from functools import partial

import pytest

from proxy.cells import CellError, Settings, convert
from proxy.cells.logical import TYPES
from tests.cells import values
from tests.cells.oracle import Oracle, decoding, encoding, ours

MEGABYTE = 1_000_000
SETTINGS = (
    Settings(),
    Settings(
        encoding="SJIS",
        date_style="Postgres, DMY",
        time_zone="Europe/London",
        extra_float_digits=-3,
        bytea_output="escape",
    ),
)
HOSTILE = {
    "digits": b"9" * MEGABYTE,
    "fraction": b"0." + b"9" * MEGABYTE,
    "small": b"1e-" + b"9" * MEGABYTE,
    "large": b"1e" + b"9" * MEGABYTE,
    "underscores": b"1" + b"_1" * (MEGABYTE // 2),
    "hexadecimal": b"0x" + b"f" * MEGABYTE,
    "binary": b"0b" + b"1" * MEGABYTE,
    "hexadecimal float": b"0x1." + b"8" * MEGABYTE + b"p" + b"9" * MEGABYTE,
    "zeros": b"0" * MEGABYTE + b"1e-16383",
    "blanks": b" " * MEGABYTE,
    "quotes": b'"' * MEGABYTE,
    "open string": b'"' + b"a" * MEGABYTE,
    "escapes": b'"' + b"\\u00e9" * (MEGABYTE // 6) + b'"',
    "backslashes": b"\\" * MEGABYTE,
    "brackets": b"[" * MEGABYTE,
    "braces": b'{"":' * (MEGABYTE // 4),
    "deep": b"[" * 100_000 + b"]" * 100_000,
    "deep objects": b'{"a":' * 9_999 + b"1" + b"}" * 9_999,
    "deep and long": b"[" * 9_000 + b"1," * 100_000 + b"1" + b"]" * 9_000,
    "many keys": b"{" + b",".join(b'"%d":1' % (n % 5000) for n in range(40_000)) + b"}",
    "punctuation": b",!" * (MEGABYTE // 2),
    "dashes": b"1-" * (MEGABYTE // 2),
    "colons": b"1:" * (MEGABYTE // 2),
    "letters": b"a" * MEGABYTE,
    "zone": b"2024-01-01 00:00 " + b"A" * MEGABYTE,
    "posix zone": b"2024-01-01 00:00 XST3XDT,M3.2.0/" + b"9" * 80,
    "octal": b"\\001" * (MEGABYTE // 4),
    "hex with blanks": b"\\x" + b"0 " * (MEGABYTE // 2),
    "not text": b"\xff" * MEGABYTE,
    "two bytes": b"\x81\x40" * (MEGABYTE // 2),
}


@pytest.mark.parametrize("attack", HOSTILE)
def test_hostile_text_ends_soon(attack: str) -> None:
    """No type spends more than moments on a megabyte of anything, under plain settings and odd ones."""
    for name, logical in TYPES.items():
        for settings in SETTINGS:
            started = time.perf_counter()
            result = ours(logical.decoder(0, settings), HOSTILE[attack])
            if isinstance(result, bytes):
                ours(logical.encoder(0, settings), result)
                if logical.has_equality:
                    logical.equality_form(result)
            # A generous bound for a busy machine: quadratic work on a megabyte would take minutes.
            assert time.perf_counter() - started < 5, name


@pytest.mark.parametrize("attack", HOSTILE)
def test_hostile_binary_is_read(attack: str) -> None:
    """The same bytes as binary forms are values or CellErrors."""
    for logical in TYPES.values():
        ours(logical.decoder(1, SETTINGS[1]), HOSTILE[attack])
        ours(logical.decoder(1, SETTINGS[1]), b"\x01" + HOSTILE[attack])
        ours(logical.decoder(1, SETTINGS[1]), b"\xff\xff\x7f\xff\x00\x00\x00\x01" + HOSTILE[attack])


def test_the_largest_numerics(oracle: Oracle) -> None:
    """131072 digits before the point and 16383 after it are the server's limits, and read and written exactly."""
    texts = [
        b"9" * 131072 + b"." + b"9" * 16383,
        b"1e131071",
        b"1e131072",
        b"1e-16383",
        b"1e-16384",
        b"0x" + b"f" * 108_000,
    ]
    numeric = TYPES["numeric"]
    assert decoding(oracle, numeric, texts, Settings()) == []
    read = [
        value
        for text in texts
        if isinstance(value := ours(numeric.decoder(0, Settings()), text), bytes)
    ]
    assert encoding(oracle, numeric, read, Settings()) == []
    for target in ("int8", "float8", "text"):
        for value in read:
            failure = failure_of(partial(convert, numeric, TYPES[target]), value)
            assert failure is None or failure.sqlstate == "22003"


def test_random_bytes(rng: random.Random) -> None:
    """Random bytes in both formats never raise anything but a CellError."""
    for name, logical in TYPES.items():
        for _ in range(300):
            junk = rng.randbytes(rng.randint(0, 24))
            mixed = values.GENERATORS[name](rng).encode() + junk[:2]
            for settings in SETTINGS:
                for format_code in (0, 1):
                    for value in (junk, mixed):
                        result = ours(logical.decoder(format_code, settings), value)
                        if isinstance(result, bytes):
                            ours(logical.encoder(0, settings), result)
            ours(logical.encoder(0, SETTINGS[1]), junk) if name not in (
                "text",
                "varchar",
                "bpchar",
                "json",
            ) else None


CANARY = "7391cana7ry"
BEARERS = (
    CANARY,
    CANARY + "\xff",
    f'{{"{CANARY}',
    f"\\x{CANARY}",
    f"2024-01-01 {CANARY}/City",
    f"{CANARY}9" * 40,
    f'"{CANARY}\\ud800"',
)


@pytest.mark.parametrize("settings", SETTINGS)
@pytest.mark.parametrize("name", TYPES)
def test_errors_do_not_quote_values(name: str, settings: Settings) -> None:
    """No message holds the value, and no exception that does is behind the error as its context."""
    for text in BEARERS:
        failure = failure_of(TYPES[name].decoder(0, settings), text.encode("latin-1"))
        if failure is not None:
            shown = "".join(traceback.format_exception_only(failure)) + repr(failure) + str(failure)
            assert CANARY not in shown
            assert failure.__context__ is None


def failure_of(convert: Callable[[bytes], bytes], value: bytes) -> CellError | None:
    try:
        convert(value)
    except CellError as error:
        return error
    return None


@pytest.mark.parametrize("word", ["now", "today", "TOMORROW", "yesterday 04:05", "today allballs"])
def test_words_that_depend_on_the_clock_are_refused(word: str) -> None:
    """Relative dates are refused with a message that says so, and nonsense around them is bad syntax first."""
    for name in ("date", "timestamp", "timestamptz"):
        with pytest.raises(CellError) as caught:
            TYPES[name].from_text(word.encode(), Settings())
        assert caught.value.sqlstate == "0A000"
        assert "clock" in caught.value.message
        with pytest.raises(CellError) as caught:
            TYPES[name].from_text(word.encode() + b" now", Settings())
        assert caught.value.sqlstate == "22007"


def test_a_day_of_the_year_before_the_calendar_is_refused() -> None:
    """Where the server's day-of-year arithmetic wraps around into a wrong date, we say out of range."""
    with pytest.raises(CellError) as caught:
        TYPES["date"].from_text(b"4945.178 bc", Settings())
    assert caught.value.sqlstate == "22008"
