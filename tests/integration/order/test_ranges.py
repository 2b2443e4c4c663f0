"""Ranges on sealed columns, end to end: the sealed twin finds the rows that the plain twin finds, or refuses."""

from __future__ import annotations

import random
from typing import Final

import pytest

from proxy.cells.logical import TYPES
from tests.cells import ordered
from tests.integration.order.tables import (
    OPERATORS,
    fill,
    found,
    is_refused,
    sampled,
)
from tests.integration.types.twins import Comparison, Statement, Twins, quoted


@pytest.mark.parametrize("name", ordered.NAMES)
def test_operands_of_the_columns_own_type(twins: Twins, rng: random.Random, name: str) -> None:
    """Literals and parameters, text and binary, typed and not, on either side, and BETWEEN: the same rows."""
    logical = TYPES[name]
    fill(twins, name, sampled(logical, rng, 60))
    comparison = Comparison(twins)
    operands = sampled(logical, rng, 10)
    for value in operands:
        text = logical.to_text(value, ordered.DEFAULTS)
        literal = quoted(text.decode())
        for op in OPERATORS:
            comparison.try_one(Statement(found(name, f"{{c}} {op} {literal}")))
            comparison.try_one(Statement(found(name, f"{{c}} {op} $1"), (text,)))
        op, other = rng.sample(OPERATORS, 2)
        comparison.try_one(Statement(found(name, f"{{c}} {op} {literal}::{name}")))
        comparison.try_one(Statement(found(name, f"{literal} {op} {{c}}")))
        comparison.try_one(Statement(found(name, f"{{c}} {op} $1"), (value,), (), (1,)))
        binary = Statement(found(name, f"$1 {other} {{c}}"), (value,), (logical.oid,), (1,), 1)
        comparison.try_one(binary)
        comparison.try_one(Statement(found(name, f"{{c}} = {literal}")))
        comparison.try_one(Statement(found(name, "{c} <> $1"), (text,)))
        comparison.try_one(Statement(found(name, "{c} IN ($1, $2)"), (text, text)))
    refused = sum(is_refused(name, value) for value in operands)
    comparison.check(comparison.tried - 12 * refused)


@pytest.mark.parametrize("name", ordered.NAMES)
def test_between(twins: Twins, rng: random.Random, name: str) -> None:
    """BETWEEN, NOT, SYMMETRIC, bounds the wrong way round, and a column between two values."""
    logical = TYPES[name]
    fill(twins, name, sampled(logical, rng, 60))
    comparison = Comparison(twins)
    operands = [value for value in sampled(logical, rng, 40) if not is_refused(name, value)]
    for _ in range(8):
        pair = tuple(logical.to_text(v, ordered.DEFAULTS) for v in rng.sample(operands, 2))
        low, high = (quoted(text.decode()) for text in pair)
        word = rng.choice(("BETWEEN", "NOT BETWEEN", "BETWEEN SYMMETRIC", "NOT BETWEEN SYMMETRIC"))
        comparison.try_one(Statement(found(name, f"{{c}} {word} {low} AND {high}")))
        comparison.try_one(Statement(found(name, f"{{c}} {word} $1 AND $2"), pair))
        comparison.try_one(Statement(found(name, "{c} >= $1 AND {c} < $2"), pair))
        comparison.try_one(Statement(found(name, "NOT ({c} > $1 OR {c} <= $2)"), pair))
    comparison.check(comparison.tried)


FAMILIES: Final = (
    ("int2", "int4", "int8", "numeric", "float4", "float8"),
    ("date", "timestamp", "timestamptz"),
    ("text", "varchar"),
)
PAIRS: Final = [(one, two) for family in FAMILIES for one in family for two in family if one != two]


@pytest.mark.parametrize(("name", "source"), PAIRS)
def test_operands_of_another_type(twins: Twins, rng: random.Random, name: str, source: str) -> None:
    """What the operand's own type says: 5.5 beside integers, a timestamp beside dates; or a documented refusal."""
    twins.use("SET TimeZone = 'Europe/Berlin'")
    given = TYPES[source]
    fill(twins, name, sampled(TYPES[name], rng, 40))
    comparison = Comparison(twins)
    operands = [value for value in sampled(given, rng, 24) if not is_refused(source, value)]
    for value in operands[:8]:
        text = given.to_text(value, ordered.DEFAULTS)
        op = rng.choice(OPERATORS)
        condition = f"{{c}} {op} $1"
        comparison.try_one(Statement(found(name, condition), (value,), (given.oid,), (1,)))
        literal = quoted(text.decode())
        comparison.try_one(Statement(found(name, f"{{c}} {op} {literal}::{source}")))
        comparison.try_one(Statement(found(name, f"$1::{source} {op} {{c}}"), (text,)))
    impossible = (name == "numeric" and source.startswith("float")) or (
        source == "timestamptz" and name != "timestamptz"
    )
    comparison.check(0 if impossible else comparison.tried // 2)
    assert not impossible or comparison.equal < comparison.tried


@pytest.mark.parametrize("name", ["int2", "int4", "int8", "numeric", "float4", "float8"])
def test_numbers_as_they_are_written(twins: Twins, rng: random.Random, name: str) -> None:
    """A bare constant has a type of its own: int4, int8 or numeric."""
    fill(twins, name, sampled(TYPES[name], rng, 60))
    comparison = Comparison(twins)
    numbers = (
        "0",
        "-1",
        "5.5",
        "-5.5",
        "1e3",
        "32767.5",
        "2147483648",
        "-9223372036854775809",
        "1e-20",
        "0x10",
        "1_000",
    )
    for number in numbers:
        for op in OPERATORS:
            comparison.try_one(Statement(found(name, f"{{c}} {op} {number}")))
            comparison.try_one(Statement(found(name, f"{number} {op} {{c}}")))
    comparison.check(comparison.tried)


@pytest.mark.parametrize("name", ordered.NAMES)
def test_a_null_operand_finds_nothing(twins: Twins, rng: random.Random, name: str) -> None:
    """As in SQL; and a NULL in the column is neither below nor above."""
    fill(twins, name, sampled(TYPES[name], rng, 5))
    comparison = Comparison(twins)
    for op in OPERATORS:
        comparison.try_one(Statement(found(name, f"{{c}} {op} NULL")))
        comparison.try_one(Statement(found(name, f"{{c}} {op} $1"), (None,)))
        comparison.try_one(Statement(found(name, f"({{c}} {op} $1) IS NULL"), (None,)))
    comparison.check(comparison.tried)


def test_texts_longer_than_the_prefix(twins: Twins) -> None:
    """An operand that the terms do not reach is refused; one that they do finds longer values in their place."""
    values = [b"abcdefgh", b"abcdefghi", b"abcdefg", b"abcdefgi", b"abc", b"", "é".encode()]
    fill(twins, "text", values)
    comparison = Comparison(twins)
    for text in ("abcdefgh", "abcdefg", "abcdefgi", "", "\u00e9"):
        for op in OPERATORS:
            comparison.try_one(Statement(found("text", f"{{c}} {op} {quoted(text)}")))
    comparison.check(comparison.tried)
    for sql, given in (("{c} < 'abcdefghi'", None), ("{c} < $1", (b"abcdefghi",))):
        assert twins.run(Statement(found("text", sql), given))[1].sqlstate == "0A000"
    assert not any(b"abcdefgh" in message for message in twins.proxy.messages)


def test_a_numeric_too_long_to_be_ordered_is_not_stored(twins: Twins) -> None:
    """More than 40 base-10000 digits: refused by the proxy, as the plain twin would not."""
    number = b"1" * 161
    insert = Statement("INSERT INTO {t} (id, c_numeric) VALUES (99, $1)", (number,), (1700,))
    assert twins.run(insert)[1].sqlstate == "0A000"
    twins.clear()
    fill(twins, "numeric", [TYPES["numeric"].from_text(b"1" * 40, ordered.DEFAULTS)])
    comparison = Comparison(twins)
    for op in OPERATORS:
        comparison.try_one(Statement(found("numeric", f"{{c}} {op} $1"), (number,), (1700,)))
    comparison.check(comparison.tried)


def test_joins_by_range(twins: Twins, rng: random.Random) -> None:
    """Rows of one column against another's of the same table: each pair that the plain twin has."""
    fill(twins, "date", sampled(TYPES["date"], rng, 20))
    comparison = Comparison(twins)
    for op in OPERATORS:
        sql = f"SELECT a.id, b.id FROM {{t}} a JOIN {{t}} b ON a.c_date {op} b.c_date ORDER BY 1, 2"
        comparison.try_one(Statement(sql))
    comparison.check(comparison.tried)


def test_columns_with_keys_of_their_own_are_not_compared(twins: Twins) -> None:
    """An int4 and an int8 of one table have different index keys: no term of the one says where the other's would be."""
    assert twins.run(Statement("SELECT id FROM {t} WHERE c_int4 < c_int8"))[1].sqlstate == "0A000"
