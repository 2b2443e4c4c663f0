"""Equality search: the sealed twin finds the rows that the plain twin finds, or refuses; never others."""

from __future__ import annotations

import random
from collections.abc import Sequence

import pytest

from tests.cells.test_forms import canonical
from tests.integration.types.test_written import BY_NAME, SAMPLES, texts
from tests.integration.types.twins import (
    SEARCHABLE,
    TYPES,
    Comparison,
    Statement,
    Twins,
    quoted,
)

STORED: dict[str, tuple[str, ...]] = {
    "text": ("", " ", "a", "A", "ab", "ab ", "5", "é", "e\u0301", "2020-01-01", "true", "{}"),
    "varchar": ("", "a", "ab", "ab ", "5", "é"),
    "bpchar": ("", "a", "ab", "ab  ", "5", "é"),
    "int2": ("0", "1", "2", "5", "-32768", "32767"),
    "int4": ("0", "1", "2", "5", "-32768", "32768", "16777216", "16777217", "2147483647"),
    "int8": ("0", "1", "2", "5", "-1", "16777217", "2147483648", "9007199254740992", "9007199254740993", "9223372036854775807"),
    "numeric": ("0", "-0.00", "1.0", "1.00", "2", "2.5", "5", "0.1", "NaN", "Infinity", "-Infinity", "1e30", "9007199254740993"),
    "float4": ("0", "-0", "0.1", "0.5", "1", "2", "5", "NaN", "Infinity", "16777216", "1e30"),
    "float8": ("0", "-0", "0.1", "0.5", "1", "2", "5", "NaN", "-Infinity", "16777217", "9007199254740992", "1e30"),
    "bool": ("t", "f"),
    "date": ("2020-01-01", "2020-02-29", "infinity", "-infinity", "4713-01-01 BC", "5874897-12-31"),
    "timestamp": ("2020-01-01", "2020-02-29 23:59:59.999999", "infinity", "2024-03-31 02:30", "2024-03-31 03:30"),
    "timestamptz": ("2020-01-01 00:00+00", "2020-01-01 02:00+02", "2020-01-01", "-infinity", "2024-03-31 02:30:00+01", "2020-02-29 23:59:59.9995+02"),
    "uuid": ("a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", "A0EEBC999C0B4EF8BB6D6BB9BD380A12"),
    "jsonb": ('{"a": 1, "b": [1.0, 2]}', '{"b": [1.00, 2], "a": 1}', "null", "1", "1.0", '"x"', "-0"),
    "bytea": ("", "\\x00", "\\x5ea101", "a"),
}  # fmt: skip


@pytest.fixture
def filled(twins: Twins, request: pytest.FixtureRequest) -> Twins:
    """Both twins hold the same values in the column that the test is about, and a NULL."""
    twins.use("SET TimeZone = 'Europe/Berlin'")
    column = request.node.callspec.params.get("column", "c_timestamptz")
    for number, text in enumerate((*STORED[TYPES[column].name], None)):
        value = "NULL" if text is None else quoted(text)
        sql = f"INSERT INTO {{t}} (id, {column}) VALUES ({number}, {value})"
        expected, got = twins.run(Statement(sql))
        assert expected == got
    return twins


def found(column: str, condition: str) -> str:
    return f"SELECT id FROM {{t}} WHERE {condition} ORDER BY id".replace("{c}", column)


def probes(column: str, rng: random.Random, count: int) -> list[str]:
    stored = STORED[TYPES[column].name]
    others = [text for text in texts(column, rng, count) if len(text) < 300]
    return [*stored, *rng.sample(others, count)]


@pytest.mark.parametrize("column", SEARCHABLE)
def test_values_of_the_columns_own_type(
    filled: Twins, rng: random.Random, column: str, scale: int
) -> None:
    """`=`, `<>`, IN, ANY, IS DISTINCT FROM with literals and parameters, text and binary."""
    logical = TYPES[column]
    comparison = Comparison(filled)
    given = probes(column, rng, 8 * scale)
    for text in given:
        other = rng.choice(given)
        for condition in (
            f"{{c}} = {quoted(text)}",
            f"{{c}} <> {quoted(text)}",
            f"{{c}} IN ({quoted(text)}, {quoted(other)})",
            f"{{c}} NOT IN ({quoted(text)})",
            f"{{c}} IS DISTINCT FROM {quoted(text)}::{logical.name}",
            f"{quoted(text)} = {{c}}",
        ):
            comparison.try_one(Statement(found(column, condition)))
        one = text.encode()
        comparison.try_one(Statement(found(column, "{c} = $1"), (one,)))
        comparison.try_one(Statement(found(column, "{c} <> $1"), (one,), (logical.oid,)))
        comparison.try_one(Statement(found(column, "{c} IN ($1, $2)"), (one, other.encode())))
        for item in canonical(logical, [one]):
            comparison.try_one(Statement(found(column, "{c} = $1"), (item,), (), (1,)))
    comparison.try_one(Statement(found(column, "{c} = $1"), (None,)))
    comparison.try_one(Statement(found(column, "{c} = NULL")))
    comparison.try_one(Statement(found(column, "{c} = ANY($1)"), (None,)))
    comparison.check(comparison.tried)


def array(items: Sequence[str | None]) -> bytes:
    """An array in text form."""
    inner = (
        "NULL" if i is None else '"' + i.replace("\\", "\\\\").replace('"', '\\"') + '"'
        for i in items
    )
    return ("{" + ",".join(inner) + "}").encode()


@pytest.mark.parametrize("column", SEARCHABLE)
def test_arrays(filled: Twins, rng: random.Random, column: str) -> None:
    """`= ANY($1)`, as text and as the server's own binary form, with NULLs, empty, of other element types."""
    logical = TYPES[column]
    comparison = Comparison(filled)
    stored = STORED[logical.name]
    for items in ([], [None], list(stored), [stored[0], None, "no such"], ["no such"], stored[:1]):
        text = array(items)
        for condition in ("{c} = ANY($1)", "{c} <> ALL($1)", "NOT {c} = ANY($1)"):
            if condition.startswith("{c} <> ALL"):
                continue
            comparison.try_one(Statement(found(column, condition), (text,)))
            declared = (logical.array_oid,)
            comparison.try_one(Statement(found(column, condition), (text,), declared))
        cast = f"{{c}} = ANY($1::{logical.name}[])"
        comparison.try_one(Statement(found(column, cast), (text,)))
        literal = f"{{c}} = ANY({quoted(text.decode())})"
        comparison.try_one(Statement(found(column, literal)))
        elements = ", ".join("NULL" if i is None else quoted(i) for i in items)
        if items:
            comparison.try_one(
                Statement(found(column, f"{{c}} = ANY(ARRAY[{elements}]::{logical.name}[])"))
            )
    sql = f"SELECT array_agg({column}) FROM plain WHERE {column} IS NOT NULL"
    binary = filled.server.run(Statement(sql, (), result=1), "plain").rows[0][0]
    comparison.try_one(Statement(found(column, "{c} = ANY($1)"), (binary,), (), (1,)))
    comparison.try_one(Statement(found(column, "{c} = ANY($1)"), (b"{{1,2},{3,4}}",), (1007,)))
    for name in rng.sample(sorted(BY_NAME), 6):
        other = BY_NAME[name]
        if name == "bytea":
            continue
        text = array(SAMPLES[name])
        statement = Statement(found(column, "{c} = ANY($1)"), (text,), (other.array_oid,))
        comparison.try_one(statement)
        comparison.try_one(Statement(found(column, "{c} = ANY($1)"), (b"1",), (other.oid,)))
    comparison.check(comparison.tried // 2)


@pytest.mark.parametrize("column", SEARCHABLE)
def test_values_of_other_types(filled: Twins, rng: random.Random, column: str, scale: int) -> None:
    """A parameter of another type finds what the server finds; what only the server could decide is refused."""
    comparison = Comparison(filled)
    for logical in BY_NAME.values():
        samples = {*SAMPLES[logical.name], *STORED.get(logical.name, ())}
        for item in canonical(logical, [text.encode() for text in sorted(samples)]):
            types, formats = (logical.oid,), (1,)
            for condition in rng.sample(("{c} = $1", "{c} <> $1", "$1 = {c}"), min(3, scale)):
                comparison.try_one(Statement(found(column, condition), (item,), types, formats))
            pair, both = (item, item), (logical.oid, logical.oid)
            sql = found(column, "{c} IN ($1, $2)")
            comparison.try_one(Statement(sql, pair, both, (1, 1)))
    comparison.check(comparison.tried * 3 // 5)


NUMBERS = (
    *(
        "0",
        "1",
        "-1",
        "2",
        "1.5",
        "2.0",
        "2.5",
        "0.1",
        "0.5",
        "5",
        "5e0",
        "1e30",
        "16777216",
        "16777217",
    ),
    *(
        "32768",
        "2147483648",
        "9007199254740992",
        "9007199254740993",
        "9223372036854775808",
        "-0.0",
        "0x5",
    ),
    *(
        "TRUE",
        "false",
        "5::text",
        "'ab '::text",
        "'ab '::char(4)",
        "'5'::varchar(3)",
        "0.1::real",
        "0.1::float8",
    ),
    *(
        "'2020-01-01'::timestamp",
        "'2020-01-01 00:00:01'::timestamp",
        "'2020-01-01'::date",
        "2::numeric(5,2)",
    ),
    *(
        "'2020-01-01 00:00+01'::timestamptz",
        "'infinity'::timestamp",
        "'NaN'::float8",
        "'NaN'::numeric",
        "'inf'::float8",
    ),
    *(
        "'5874897-12-31'::date",
        "1.5::int",
        "'1'::jsonb",
        "'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'::uuid",
        "'5'::int8",
    ),
)


@pytest.mark.parametrize("column", SEARCHABLE)
def test_constants_with_a_type_of_their_own(filled: Twins, column: str) -> None:
    """1.5 does not match an integer 2; 0.1 is no float4's value; TRUE is not 1."""
    comparison = Comparison(filled)
    for constant in NUMBERS:
        for condition in (
            f"{{c}} = {constant}",
            f"{{c}} <> {constant}",
            f"{{c}} IN ({constant}, {constant})",
        ):
            comparison.try_one(Statement(found(column, condition)))
    comparison.check(comparison.tried * 3 // 5)


@pytest.mark.parametrize(
    "zone", ["UTC", "America/New_York", "Asia/Kolkata", "CET-1CEST,M3.5.0,M10.5.0/3"]
)
def test_instants_across_zones(filled: Twins, zone: str) -> None:
    """An instant is found however the session writes it, also where clocks change."""
    filled.use(f"SET TimeZone = '{zone}'")
    comparison = Comparison(filled)
    for text in (
        *STORED["timestamptz"],
        "2024-03-31 01:30:00",
        "2024-03-31 03:30:00",
        "2019-12-31 19:00",
    ):
        for spelled in (
            quoted(text),
            f"{quoted(text)}::timestamp",
            f"{quoted(text)}::timestamptz",
            f"date {quoted(text)}",
        ):
            comparison.try_one(Statement(found("c_timestamptz", f"{{c}} = {spelled}")))
    comparison.check(comparison.tried)
