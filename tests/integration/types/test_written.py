"""Values on their way in: what the sealed twin stores is what the plain twin stores, refused values included.

A refusal of Sealgate's own (0A000) is allowed only where a test names it.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator

import pytest

from tests.cells import values
from tests.cells.test_forms import canonical, damaged
from tests.integration.types.extremes import EXTREMES
from tests.integration.types.twins import (
    COLUMNS,
    TYPES,
    Answer,
    Client,
    Comparison,
    Statement,
    Twins,
    dollars,
    escaped,
    quoted,
)

BINARY = 1
BY_NAME = {logical.name: logical for logical in TYPES.values()}
_ids = itertools.count(1)


def insert(column: str, value: str) -> str:
    return f"INSERT INTO {{t}} (id, {column}) VALUES ({next(_ids)}, {value}) RETURNING {column}"


def texts(column: str, rng: random.Random, count: int) -> list[str]:
    """Extremes of the column's type, and random values, of which a third is damaged."""
    name = TYPES[column].name
    found = (text.decode() for text in values.texts(name, rng, count))
    return [*EXTREMES[name], *(text for text in found if "\0" not in text)]


def assert_kept_secret(client: Client, secrets: list[str]) -> None:
    """No error message quotes a value."""
    for message in client.messages:
        text = message.decode()
        for secret in secrets:
            assert len(secret) < 6 or secret.isspace() or secret not in text


@pytest.mark.parametrize("column", COLUMNS)
def test_parameters_in_text(twins: Twins, rng: random.Random, column: str, scale: int) -> None:
    """A parameter's text form is read, refused and answered (text and binary) as by the server."""
    given = texts(column, rng, 20 * scale)
    comparison = Comparison(twins)
    for text in given:
        statement = Statement(insert(column, "$1"), (text.encode(),), result=rng.choice((0, 1)))
        comparison.try_one(statement)
    comparison.check(len(given))
    assert_kept_secret(twins.proxy, given)


@pytest.mark.parametrize("column", COLUMNS)
def test_parameters_in_binary(twins: Twins, rng: random.Random, column: str, scale: int) -> None:
    """So is its binary form; damaged ones give the server's SQLSTATE."""
    logical = TYPES[column]
    given = canonical(logical, [text.encode() for text in texts(column, rng, 10 * scale)])
    given = rng.sample(given, min(25 * scale, len(given)))
    given += [damaged(rng, value) for value in given[: 8 * scale]]
    comparison = Comparison(twins)
    for value in given:
        sql = insert(column, "$1")
        types = (rng.choice((0, logical.oid)),)
        comparison.try_one(Statement(sql, (value,), types, (BINARY,), rng.choice((0, 1))))
    comparison.check(len(given))


def literals(column: str, text: str) -> Iterator[str]:
    """The value as SQL spells it."""
    name = TYPES[column].name
    spec = name if column == "c_round" else COLUMNS[column]  # numeric(5,-2) in a cast is not read
    yield quoted(text)
    yield escaped(text)
    yield dollars(text)
    yield f"{quoted(text)}::{spec}"
    yield f"{escaped(text)}::{name}"
    yield f"CAST({quoted(text)} AS {spec})"
    yield f"{name} {quoted(text)}"


@pytest.mark.parametrize("column", COLUMNS)
def test_literals(twins: Twins, rng: random.Random, column: str, scale: int) -> None:
    """A literal means the same in every spelling, and in a simple query."""
    given = [text for text in texts(column, rng, 15 * scale) if len(text) < 500]
    comparison = Comparison(twins)
    for text in rng.sample(given, min(10 * scale, len(given))):
        for literal in literals(column, text):
            comparison.try_one(Statement(insert(column, literal)))
    comparison.check(comparison.tried)
    assert_kept_secret(twins.proxy, given)


CONSTANTS = (
    *(
        "5",
        "-5",
        "0",
        "1",
        "1.5",
        "-1.5",
        "2.5",
        "1e3",
        ".5",
        "5.",
        "1.005",
        "12345",
        "00012",
        "1e400",
    ),
    *("2147483647", "2147483648", "-2147483648", "9223372036854775807", "9223372036854775808"),
    *(
        "-9223372036854775808",
        "-9223372036854775809",
        "0x1F",
        "0b101",
        "1_000",
        "- -5",
        "-(5)",
        "(7)",
    ),
    *(
        "TRUE",
        "false",
        "NULL",
        "5::text",
        "1.5::int",
        "2.5::int",
        "1e3::text",
        "5::bool",
        "0::bool",
    ),
    *("1.5::float8", "0.1::float4", "0.1::float4::float4", "5::numeric(10,2)", "-5::numeric(10,2)"),
    *(
        "'5'::int",
        "'5'::text",
        "'t'::text",
        "' 2020-01-01 '::text",
        "'{}'::text",
        "'abcdef'::varchar(3)",
    ),
    *("'1.555'::numeric(3,1)", "'ab '::char(5)", "'abcdef'::char(3)", "'abc'::char", "'5'::int8"),
    *("'2020-01-01'::date", "timestamp '2020-01-01 01:02:03.456789'", "'infinity'::date"),
    *("'2020-01-01 01:02:03.456789+02'::timestamptz", "'2020-07-01 23:30:00'::timestamp(0)"),
    *("true::text", "true::int", "'{\"b\": 1}'::json", "'{\"b\": 1}'::jsonb", "'\\x41'::bytea"),
    *(
        "'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'::uuid",
        "'NaN'::float8",
        "'NaN'::numeric",
        "'inf'::float4",
    ),
    *("'x'::text::varchar", "CAST(CAST('y' AS text) AS text)", "'1e10'::float8", "'1e39'::float8"),
    *("'99999999.995'::numeric", "32768::int8", "'3000000000'::float4", "'5874897-12-31'::date"),
)


@pytest.mark.parametrize("column", COLUMNS)
def test_constants_with_a_type_of_their_own(twins: Twins, column: str) -> None:
    """5 is an int4, 1.5 a numeric, TRUE a bool, 'x'::date a date: assigned, rounded or refused as such."""
    comparison = Comparison(twins)
    for constant in CONSTANTS:
        comparison.try_one(Statement(insert(column, constant)))
    comparison.check(comparison.tried)


NOT_READ = (
    *("'x'::text::varchar(2)", "'5'::int8::int4", "'abc'::name", "'1'::oid", "'1 day'::interval"),
    *("5::numeric(5,-2)", "b'101'", "x'1F'", "- '5'::int", "-5::text", "1.5::numeric::int"),
)


@pytest.mark.parametrize("constant", NOT_READ)
@pytest.mark.parametrize("column", ["c_text", "c_int4"])
def test_casts_that_are_not_followed(twins: Twins, column: str, constant: str) -> None:
    """Two casts, and types that cannot be sealed, are refused rather than half understood."""
    got = twins.proxy.run(Statement(insert(column, constant)), "twin")
    assert got.sqlstate == "0A000"


def test_harmless_leniency(twins: Twins) -> None:
    """Known differences: NULL of any type is NULL, and the sign is taken into an integer before its cast."""
    for column, constant, plain in (
        ("c_int4", "NULL::text", "42804"),
        ("c_int4", "-32768::int2", "22003"),
    ):
        expected, got = twins.run(Statement(insert(column, constant)))
        assert (expected.sqlstate, got.sqlstate) == (plain, None)


SAMPLES = {
    "text": ("5", "1.5", "2020-01-01", "true", "ab ", "{}"),
    "varchar": ("5", "abcdefghijklmnopqrstuvwxyz"),
    "bpchar": ("5    ", "ab ", "2020-01-01"),
    "int2": ("5", "-32768"),
    "int4": ("5", "32768", "-2147483648", "0", "1"),
    "int8": ("5", "2147483648", "9223372036854775807"),
    "numeric": ("5", "1.5", "2.5", "-2.5", "NaN", "Infinity", "1e30", "0.1", "1e-400", "1e400"),
    "float4": ("5", "1.5", "2.5", "0.1", "NaN", "Infinity", "-0", "3e9", "1e30"),
    "float8": ("5", "2.5", "0.1", "NaN", "-Infinity", "1e30", "1e300", "9007199254740993", "1e-50"),
    "bool": ("t", "f"),
    "date": ("2020-02-29", "infinity", "4713-01-01 BC", "5874897-12-31"),
    "timestamp": (
        "2020-02-29 23:59:59.999999",
        "-infinity",
        "4713-01-01 BC",
        "294276-12-31 23:59:59",
    ),
    "timestamptz": ("2020-02-29 23:59:59.9995+02", "infinity", "2024-03-31 02:30:00+01"),
    "uuid": ("a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11",),
    "json": ('{"b": 1,  "a": 2}', "null"),
    "jsonb": ('{"b": 1,  "a": 2}', '"x"'),
    "bytea": ("\\x00ff",),
}


@pytest.mark.parametrize("format_code", [0, 1], ids=["text", "binary"])
@pytest.mark.parametrize("column", COLUMNS)
def test_declared_types_other_than_the_columns(twins: Twins, column: str, format_code: int) -> None:
    """A parameter declared as another type is converted, rounded or refused (42804) as an assignment is."""
    twins.use("SET TimeZone = 'Europe/Berlin'", "SET DateStyle = 'German'")
    comparison = Comparison(twins)
    for logical in BY_NAME.values():
        given = SAMPLES[logical.name]
        samples = [text.encode() for text in given]
        if format_code == BINARY:
            samples = canonical(logical, samples)
        for sample in samples:
            statement = Statement(insert(column, "$1"), (sample,), (logical.oid,), (format_code,))
            comparison.try_one(statement)
    comparison.check(comparison.tried)


@pytest.mark.parametrize("column", COLUMNS)
def test_parameters_with_a_cast(twins: Twins, rng: random.Random, column: str, scale: int) -> None:
    """`$1::type` converts a parameter of any declared type explicitly; undeclared, it has the cast's type."""
    comparison = Comparison(twins)
    names = ["text", "varchar(3)", "char(4)", "int2", "int4", "int8", "numeric(4,1)", "float4"]
    names += [
        "float8",
        "bool",
        "date",
        "timestamp(0)",
        "timestamptz",
        "uuid",
        "json",
        "jsonb",
        "bytea",
    ]
    for _ in range(25 * scale):
        declared = rng.choice(list(SAMPLES))
        logical = BY_NAME[declared]
        sample = rng.choice(SAMPLES[declared]).encode()
        binary = rng.random() < 0.5
        value = canonical(logical, [sample])[0] if binary else sample
        cast = rng.choice([*names, COLUMNS[column]])
        sql = insert(column, f"$1::{cast}")
        comparison.try_one(Statement(sql, (value,), (logical.oid,), (int(binary),)))
        if not binary:
            comparison.try_one(Statement(insert(column, f"CAST($1 AS {cast})"), (sample,)))
    comparison.check(comparison.tried * 2 // 3)


def test_a_megabyte(twins: Twins) -> None:
    """Large values come back whole, in text and in binary, as literal and as parameter."""
    comparison = Comparison(twins)
    text = "ü" * 500_000
    for column, value in (
        ("c_text", text),
        ("c_json", '{"x": "' + text + '"}'),
        ("c_jsonb", '{"x": "' + text + '"}'),
        ("c_bytea", "\\x" + "5ea1" * 250_000),
    ):
        for result in (0, 1):
            comparison.try_one(Statement(insert(column, "$1"), (value.encode(),), result=result))
        comparison.try_one(Statement(insert(column, quoted(value))))
    comparison.check(12)


def test_every_column_in_one_row(twins: Twins) -> None:
    """Twenty columns, formats mixed per column, several rows in one INSERT, positional and by name."""
    numbers = ", ".join(f"${i + 2}" for i in range(len(COLUMNS)))
    row: list[bytes | None] = [EXTREMES[TYPES[c].name][0].encode() for c in COLUMNS]
    row[list(COLUMNS).index("c_round")] = None
    comparison = Comparison(twins)
    for result in (0, 1):
        ident = str(next(_ids)).encode()
        sql = f"INSERT INTO {{t}} VALUES ($1, {numbers}) RETURNING *"
        comparison.try_one(Statement(sql, (ident, *row), result=result))
    shifted = ", ".join(f"${i + 2}" for i in reversed(range(len(COLUMNS))))
    names = ", ".join(reversed(COLUMNS))
    sql = f"INSERT INTO {{t}} (id, {names}) VALUES ($1, {shifted}), (-1, {shifted}) RETURNING *"
    comparison.try_one(Statement(sql, (b"-2", *row)))
    comparison.check(3)


def test_one_parameter_stored_and_compared(twins: Twins) -> None:
    """`SET c = $1 WHERE c = $1` works where the column stores the value as it is, and is refused elsewhere."""
    twins.server.must("INSERT INTO plain (id, c_text, c_money) VALUES (1, 'a', 1.00)")
    twins.proxy.must("INSERT INTO twin (id, c_text, c_money) VALUES (1, 'a', 1.00)")
    comparison = Comparison(twins)
    for column, value in (
        ("c_text", b"a"),
        ("c_text", b"b"),
        ("c_money", b"1.0"),
        ("c_money", b"2"),
    ):
        sql = f"UPDATE {{t}} SET {column} = $1 WHERE {column} <> $1 OR id = 1 RETURNING {column}"
        comparison.try_one(Statement(sql, (value,)))
    comparison.check(4)
    rounded = Statement("UPDATE {t} SET c_money = $1 WHERE c_money = $1", (b"1.005",))
    assert twins.run(rounded)[1] == Answer("0A000")
    update = Statement("UPDATE {t} SET c_money = 7 WHERE c_money = 2.001 RETURNING id")
    comparison.try_one(update)
    comparison.check(5)
