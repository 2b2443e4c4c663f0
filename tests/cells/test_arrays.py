"""Array parameters, element by element, against unnest on the server."""

from __future__ import annotations

import random
import struct

import pytest

from proxy.cells import CellError, Settings, array_items
from proxy.cells.logical import TYPES
from tests.cells import values
from tests.cells.oracle import Oracle

DEFAULT = Settings()
PIECES = (
    "{",
    "}",
    ",",
    ",",
    '"',
    "\\",
    " ",
    "a",
    "1",
    "NULL",
    "null",
    '\\"',
    '""',
    "[1:2]=",
    "[",
    "]",
    "=",
    "\t",
    "é",
    "-",
    "'",
    ":",
)


def items_or_state(form: int, value: bytes, name: str) -> list[bytes | None] | str:
    try:
        return array_items(form, value, TYPES[name], DEFAULT)
    except CellError as error:
        return error.sqlstate


def literal(rng: random.Random, name: str) -> bytes:
    items = []
    for _ in range(rng.randint(0, 4)):
        if rng.random() < 0.15:
            items.append(rng.choice(("NULL", "null", " NULL ", "nuLL")))
            continue
        item = values.GENERATORS[name](rng).replace("\\", "\\\\").replace('"', '\\"')
        items.append(rng.choice(("", " ")) + f'"{item}"' + rng.choice(("", "\n")))
    text = "{" + ",".join(items) + "}"
    if rng.random() < 0.1:
        text = f"[{rng.randint(-2, 3)}:{rng.randint(0, 4)}]={text}"
    while rng.random() < 0.3:
        text = values.mutated(rng, text)
    if rng.random() < 0.2:
        text = "{" + "".join(rng.choice(PIECES) for _ in range(rng.randint(0, 8))) + "}"
    return text.encode()


@pytest.mark.parametrize("name", ["text", "int4", "numeric", "bytea", "uuid", "date", "jsonb"])
def test_array_literals(name: str, oracle: Oracle, rng: random.Random) -> None:
    """Elements of random and mutated literals are the server's; arrays of several dimensions are refused."""
    logical = TYPES[name]
    oracle.use(DEFAULT)
    for text in [literal(rng, name) for _ in range(250)]:
        theirs = oracle.elements(logical, text, 0)
        got = items_or_state(0, text, name)
        assert got == theirs or got == "0A000", text


@pytest.mark.parametrize("name", ["text", "int4", "numeric", "bytea"])
def test_binary_arrays(name: str, oracle: Oracle, rng: random.Random) -> None:
    """Binary arrays, damaged ones too, give the server's elements or SQLSTATE."""
    logical = TYPES[name]
    oracle.use(DEFAULT)
    for _ in range(250):
        value = oracle.binary_array(logical, literal(rng, name))
        if value is None:
            continue
        if rng.random() < 0.5:
            at = rng.randrange(len(value))
            value = rng.choice(
                (value[:at], value[:at] + rng.randbytes(1) + value[at + 1 :], value + b"\0")
            )
        got = items_or_state(1, value, name)
        assert got == oracle.elements(logical, value, 1) or got == "0A000", value


def test_an_array_in_another_encoding() -> None:
    """Literal and elements are in client_encoding; in SJIS a character may end in a backslash."""
    settings = Settings(encoding="SJIS")
    text = '{"表","a\\"b",ソ}'.encode("cp932")
    assert array_items(0, text, TYPES["text"], settings) == ["表".encode(), b'a"b', "ソ".encode()]


def test_an_array_of_another_type_is_refused() -> None:
    """A binary array names its element type, which must be the column's."""
    empty = struct.pack(">iiI", 0, 0, TYPES["int8"].oid)
    assert items_or_state(1, empty, "int8") == []
    assert items_or_state(1, empty, "int4") == "42804"


@pytest.mark.parametrize(
    "text",
    [
        b"{" * 1_000_000,
        b"{" + b'"' * 999_999,
        b"{" + b"\\" * 999_999,
        b"[1" * 500_000,
        b"{a\\ " + b" " * 999_990 + b"b",
    ],
)
def test_hostile_literals_end_quickly(text: bytes) -> None:
    """A megabyte of brackets, quotes or blanks is malformed, and found so in linear time."""
    assert items_or_state(0, text, "text") in ("22P02", "0A000")
