"""What a type does to a value beyond reading and writing it: modifiers, casts, equality; and its name."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest

from proxy.cells import (
    CellError,
    LogicalType,
    Settings,
    TypeSpecError,
    can_convert,
    convert,
    is_implicit,
    logical_type,
    sql_name,
)
from proxy.cells.logical import TYPES
from tests.cells import values
from tests.cells.oracle import Oracle, Outcome, differences
from tests.cells.test_forms import canonical

DEFAULT = Settings()


def specs(rng: random.Random) -> Iterator[str]:
    for _ in range(12):
        precision = rng.choice((1, 2, 5, 10, 38, rng.randint(1, 1000)))
        yield f"numeric({precision},{rng.choice((0, 2, 5, -2, precision, precision + 3, rng.randint(-9, 9)))})"
    for length in (1, 2, 3, 5, 11, 20):
        yield f"varchar({length})"
        yield f"char({length})"
    for precision in range(7):
        yield f"timestamp({precision})"
        yield f"timestamp({precision}) with time zone"


def sample(logical: LogicalType, rng: random.Random, count: int) -> list[bytes]:
    return canonical(logical, values.texts(logical.name, rng, count))


def test_assignment_applies_the_modifier(oracle: Oracle, rng: random.Random) -> None:
    """A column's modifier rounds, pads or refuses exactly as INSERT into such a column does."""
    oracle.use(DEFAULT)
    for spec in specs(rng):
        logical = logical_type(spec)
        oracle.create_column(spec)
        found = sample(logical, rng, 80)
        theirs = oracle.insert(logical.oid, found)
        assert differences(found, theirs, logical.assign) == [], spec


def test_explicit_casts_cut_text(oracle: Oracle, rng: random.Random) -> None:
    """`value::varchar(3)` cuts silently where assignment would refuse; numbers and times are coerced alike."""
    oracle.use(DEFAULT)
    for spec in specs(rng):
        logical = logical_type(spec)
        found = sample(logical, rng, 60)
        theirs = oracle.many(f"$1::{spec}", logical.oid, found, 1, 1)
        assert differences(found, theirs, logical.cast) == [], spec


def test_casts(oracle: Oracle, rng: random.Random) -> None:
    """Every pair that can be converted gives the server's value or SQLSTATE; times by the session's zone."""
    settings = Settings(date_style="SQL, DMY", time_zone="America/New_York", extra_float_digits=0)
    oracle.use(settings)
    for source in TYPES.values():
        found = sample(source, rng, 60)
        for target in TYPES.values():
            if source is target or not can_convert(source, target):
                continue
            theirs = oracle.many(f"$1::{target.name}", source.oid, found, 1, 1)

            def ours(value: bytes, s: LogicalType = source, t: LogicalType = target) -> bytes:
                return convert(s, t, value, settings)

            assert differences(found, theirs, ours) == [], (source.name, target.name)


def test_which_casts_there_are(oracle: Oracle) -> None:
    """can_convert and is_implicit are pg_cast's word, plus the conversion of anything to text on assignment."""
    names = ",".join(f"'{name}'::regtype" for name in TYPES)
    (rows,) = oracle.row(
        "SELECT string_agg(castsource::int || ' ' || casttarget::int || ' ' || castcontext::text, ',')::text"
        f" FROM pg_cast WHERE castsource IN ({names}) AND casttarget IN ({names}) AND castcontext <> 'e'"
    )
    assert rows is not None
    contexts = {
        (int(s), int(t)): c for s, t, c in (row.split() for row in rows.decode().split(","))
    }
    for source in TYPES.values():
        for target in TYPES.values():
            context = contexts.get((source.oid, target.oid))
            same = source is target
            to_text = target.name in ("text", "varchar", "bpchar")
            assert is_implicit(source, target) == (same or context == "i"), (
                source.name,
                target.name,
            )
            assert can_convert(source, target) == (same or context is not None or to_text)


def test_what_cannot_be_converted_is_refused() -> None:
    """A pair without a cast is the client's mistake, with the server's SQLSTATE for a column of the wrong type."""
    with pytest.raises(CellError) as caught:
        convert(TYPES["bool"], TYPES["int4"], b"\x01")
    assert caught.value.sqlstate == "42804"


@pytest.mark.parametrize("name", [name for name in TYPES if name != "json"])
def test_equality_form(name: str, oracle: Oracle, rng: random.Random) -> None:
    """Two values have the same equality form exactly if the server's `=` says that they are equal."""
    oracle.use(DEFAULT)
    logical = TYPES[name]
    found = sample(logical, rng, 120) + [
        value for text in NEAR.get(name, ()) for value in canonical(logical, [text])
    ]
    forms = {value: logical.equality_form(value) for value in found}
    for one in rng.sample(found, min(40, len(found))):
        others = [*rng.sample(found, min(40, len(found))), one]
        equal = oracle.equal(logical.oid, one, others)
        assert equal == [forms[one] == forms[other] for other in others]


NEAR = {
    "numeric": (
        b"1",
        b"1.0",
        b"1.000",
        b"0",
        b"-0.00",
        b"NaN",
        b"Infinity",
        b"1e2",
        b"100",
        b"10000",
        b"10000.0",
    ),
    "float4": (b"0", b"-0", b"nan", b"-nan", b"1", b"inf", b"0x1"),
    "float8": (b"0", b"-0", b"nan", b"-nan", b"1", b"inf", b"0x1"),
    "bpchar": (b"a", b"a  ", b" a", b"", b"  ", b"a\t"),
    "text": (b"a", b"a  ", b"A", "é".encode(), "e\u0301".encode()),
    "jsonb": (
        b"1",
        b"1.0",
        b'"1.0"',
        b'{"a":1.50}',
        b'{"a":1.5}',
        b"[1,10.0]",
        b"[1.0,10]",
        b'"\\"1.0"',
        b"0.00",
        b"0",
        b'{"1.0":1}',
        b'{"1.00":1}',
        b"100",
        b"1e2",
        b"[100.0]",
    ),
    "timestamptz": (b"2024-01-01 00:00+00", b"2024-01-01 01:00+01", b"infinity"),
}


def test_json_has_no_equality() -> None:
    """The server has no `=` for json, so there is no form to compare."""
    assert not TYPES["json"].has_equality
    with pytest.raises(CellError) as caught:
        TYPES["json"].equality_form(b"1")
    assert caught.value.sqlstate == "42883"


SPECS = (
    "text",
    "varchar",
    "varchar(40)",
    "character varying(7)",
    "CHARACTER  VARYING ( 7 )",
    "char",
    "char(3)",
    "character",
    "character(5)",
    "bpchar",
    "bpchar(4)",
    "national character varying(3)",
    "nchar(2)",
    "nchar",
    "smallint",
    "int",
    "int2",
    "integer",
    "int4",
    "bigint",
    "int8",
    "numeric",
    "numeric(5)",
    "numeric(10,2)",
    "numeric( 3 , -2 )",
    "decimal(4,6)",
    "dec",
    "real",
    "float",
    "float(1)",
    "float(24)",
    "float(25)",
    "float(53)",
    "double precision",
    "float4",
    "float8",
    "boolean",
    "bool",
    "date",
    "timestamp",
    "timestamp(3)",
    "timestamp (0) without time zone",
    "timestamp with time zone",
    "timestamptz",
    "timestamptz(2)",
    "timestamp(6) with time zone",
    "uuid",
    "json",
    "jsonb",
    "bytea",
    "pg_catalog.int4",
    "numeric(1000,-1000)",
)


@pytest.mark.parametrize("spec", SPECS)
def test_type_names(spec: str, oracle: Oracle) -> None:
    """A name with its aliases and modifiers means the type and typmod that the server takes it for."""
    logical = logical_type(spec)
    oracle.create_column(spec)
    row = oracle.row(
        "SELECT atttypid::text, atttypmod::text, format_type(atttypid, atttypmod) FROM pg_attribute"
        " WHERE attrelid = 'cells_column'::regclass AND attnum = 1"
    )
    expected = [
        str(logical.oid).encode(),
        str(logical.modifier).encode(),
        sql_name(logical).encode(),
    ]
    assert row == expected
    assert logical_type(sql_name(logical)) == logical


WRONG = (
    "",
    "txt",
    "varchar(0)",
    "varchar(-1)",
    "varchar(1,2)",
    "varchar(10485761)",
    "text(3)",
    "int(4)",
    "numeric(0)",
    "numeric(1001)",
    "numeric(5,1001)",
    "timestamp(7)",
    "float(54)",
    "float(0)",
    "int[]",
    "money",
    "interval",
    "double",
    "varchar(3",
    "date(3)",
    "timestamp with time zone (3)",
    "character varying varying",
    "varchar(3) with time zone",
    "x" * 100_000,
    "numeric(5)(6)",
)


@pytest.mark.parametrize("spec", WRONG)
def test_names_that_are_no_types(spec: str) -> None:
    """What is not a type that can be sealed is refused when the configuration is read."""
    with pytest.raises(TypeSpecError):
        logical_type(spec)


def outcome_of(text: bytes) -> Outcome:
    try:
        return TYPES["int4"].from_text(text, DEFAULT)
    except CellError as error:
        return error.sqlstate


def test_integers_by_hand() -> None:
    """Plain cases whose outcome needs no server."""
    assert outcome_of(b" -0x1F\t") == b"\xff\xff\xff\xe1"
    assert outcome_of(b"2147483648") == "22003"
    assert outcome_of(b"1__0") == "22P02"
    assert outcome_of(b"\xff") == "22021"
