"""Operands of <, <=, >, >= and = of another type than the column's, against the server's own operators."""

from __future__ import annotations

import random
from struct import unpack

import pytest

from keystore import generate
from keystore.order import LOWEST
from proxy.cells import CellError, LogicalType, Settings
from proxy.cells.logical import TYPES
from proxy.cells.order import order_form
from proxy.cut import ABOVE_ALL, BELOW_ALL, Edge, Operand, check_ordered, edged, operand
from tests.cells import ordered
from tests.cells.oracle import Oracle, Outcome

SOURCES = (*ordered.NAMES, "bpchar", "bool", "uuid")
ZONES = ("UTC", "Europe/Berlin", "America/New_York", "Asia/Kathmandu", "Pacific/Apia")
KEYS = generate(["public.t.c"]).column("public.t.c")


def prefix_of(target: LogicalType) -> int:
    return ordered.PREFIX if target.name in ("text", "varchar") else 0


def is_refused(source: LogicalType, target: LogicalType, value: bytes) -> bool:
    """What is documented as refused, said in another way than the code does."""
    one, other = source.name, target.name
    if {one, other} == {"timestamptz", "date"} or {one, other} == {"timestamptz", "timestamp"}:
        return one == "timestamptz"
    if other == "numeric":
        return one in ("float4", "float8")
    if other == "int8" and one in ("float4", "float8"):
        number = unpack(">f" if one == "float4" else ">d", value)[0]
        return bool(2**53 <= abs(number) <= 2**63)
    if other in ("text", "varchar"):
        shown = value.rstrip(b" ") if one == "bpchar" else value
        return len(shown) > ordered.PREFIX or (one, other) == ("bpchar", "varchar")
    return False


def literal(target: LogicalType, values: list[bytes]) -> str:
    items = (target.to_text(value, ordered.DEFAULTS).decode() for value in values)
    quoted = (
        '"' + item.replace("\\", "\\\\").replace('"', '\\"').replace("'", "''") + '"'
        for item in items
    )
    return f"'{{{','.join(quoted)}}}'::{target.name}[]"


def theirs(
    oracle: Oracle,
    source: LogicalType,
    target: LogicalType,
    column: list[bytes],
    operands: list[bytes],
) -> list[Outcome]:
    """For each operand, what v < v <= v > v >= v = say of each value v of the column: 01011,..."""
    place = 'v COLLATE "C"' if target.name in ("text", "varchar") else "v"
    answers = " || ".join(f"({place} {op} $1)::int::text" for op in ("<", "<=", ">", ">=", "="))
    expression = (
        f"(SELECT string_agg({answers}, ',' ORDER BY n)"
        f" FROM unnest({literal(target, column)}) WITH ORDINALITY AS c(v, n))"
    )
    return oracle.many(expression, source.oid, operands, 1, 0)


def answers(terms: list[bytes], against: bytes) -> bytes:
    """The same of terms, as bytea compares them."""
    return b",".join(
        b"%d%d%d%d%d" % (t < against, t <= against, t > against, t >= against, t == against)
        for t in terms
    )


@pytest.mark.parametrize("count", [40, pytest.param(150, marks=pytest.mark.long)])
@pytest.mark.parametrize("source_name", SOURCES)
@pytest.mark.parametrize("target_name", ordered.NAMES)
def test_all_operators_agree_with_the_server(
    target_name: str, source_name: str, count: int, oracle: Oracle, rng: random.Random
) -> None:
    """Extremes and random values: each operand is where the server has it, or refused as documented, or no operator."""
    source, target = TYPES[source_name], TYPES[target_name]
    settings = Settings(time_zone=rng.choice(ZONES))
    kin = TYPES["text"] if source_name == "bpchar" else source
    column = sampled(target, rng, count)
    if target.name == "numeric":
        column = [value for value in column if len(value) <= 88]
    if source_name in ("bool", "uuid"):
        operands = [bytes(source.length)]
    else:
        operands = sampled(kin, rng, count)
        operands += related(kin, target, column, rng, count // 2)
    terms = [KEYS.order_term(order_form(target, prefix_of(target))(value)) for value in column]
    oracle.use(settings)
    placed = 0
    for value, expected in zip(
        operands, theirs(oracle, source, target, column, operands), strict=True
    ):
        try:
            found = operand(source, target, prefix_of(target), value, settings)
        except CellError as error:
            got: Outcome = error.sqlstate
            if error.sqlstate == "0A000":
                assert is_refused(source, target, value), value.hex()
                continue
        else:
            assert not is_refused(source, target, value), value.hex()
            term = KEYS.order_term(found.form) if found.form else b""
            got = answers(terms, edged(term, found.edge))
            placed += 1
        assert got == expected, (settings.time_zone, value.hex())
    try:
        check_ordered(source, target)
    except CellError:
        assert not placed
    else:
        assert placed > 10


def sampled(logical: LogicalType, rng: random.Random, count: int) -> list[bytes]:
    """As many of the type's extremes as of all values."""
    values = ordered.samples(logical, rng, 400)
    return rng.sample(values[:100], min(count, len(values[:100]))) + rng.sample(values, count)


def related(
    source: LogicalType, target: LogicalType, column: list[bytes], rng: random.Random, count: int
) -> list[bytes]:
    """Operands that are values of the column, in the operand's type, where they can be."""
    found = []
    for value in rng.sample(column, min(count, len(column))):
        try:
            found.append(
                source.from_text(target.to_text(value, ordered.DEFAULTS), ordered.DEFAULTS)
            )
        except CellError:
            continue
    return found


@pytest.mark.parametrize(
    ("target", "source", "text", "expected"),
    [
        ("int4", "numeric", "5.5", ("80000005", Edge.ABOVE)),
        ("int4", "numeric", "5.0", ("80000005", Edge.EXACT)),
        ("int4", "numeric", "-5.5", ("7ffffffa", Edge.ABOVE)),
        ("int4", "int8", "1000000000000", ("", Edge.HIGHEST)),
        ("int4", "int8", "-1000000000000", ("", Edge.LOWEST)),
        ("int4", "float8", "NaN", ("", Edge.HIGHEST)),
        ("int2", "numeric", "-Infinity", ("", Edge.LOWEST)),
        ("date", "timestamp", "2000-01-01 00:00:00.000001", ("80000000", Edge.ABOVE)),
        ("date", "timestamp", "infinity", ("ffffffff", Edge.EXACT)),
        ("timestamp", "date", "294277-01-01", ("ffffff5bb3b29fff", Edge.ABOVE)),
        ("float4", "float8", "1e300", ("ff7fffff", Edge.ABOVE)),
        ("float4", "float8", "-1e300", ("007fffff", Edge.ABOVE)),
        ("float4", "numeric", "0.1", ("bdcccccc", Edge.ABOVE)),
        ("float4", "float8", "-1e-300", ("7ffffffe", Edge.ABOVE)),
    ],
)
def test_where_an_operand_falls(
    target: str, source: str, text: str, expected: tuple[str, Edge]
) -> None:
    """Between two values it is above the lower one."""
    given = TYPES[source]
    value = given.from_text(text.encode(), ordered.DEFAULTS)
    found = operand(given, TYPES[target], 0, value, ordered.DEFAULTS)
    assert (found.form.hex(), found.edge) == expected


def test_the_ends_need_no_term() -> None:
    """Below and above all is said without the key."""
    assert edged(b"", Edge.LOWEST) == LOWEST
    assert edged(b"", Edge.HIGHEST) > KEYS.order_term(b"\xff" * 83)
    assert Operand(b"", Edge.LOWEST) == BELOW_ALL
    assert Operand(b"", Edge.HIGHEST) == ABOVE_ALL


def test_refusals_quote_no_value() -> None:
    """The types are named, the value is not."""
    value = TYPES["float8"].from_text(b"9123456789012345678", ordered.DEFAULTS)
    with pytest.raises(CellError, match="bigint with double precision") as caught:
        operand(TYPES["float8"], TYPES["int8"], 0, value, ordered.DEFAULTS)
    assert caught.value.sqlstate == "0A000"
    assert "9123" not in str(caught.value)


def test_a_float_beside_a_numeric_column_is_told_what_to_be_instead() -> None:
    """Drivers send a program's floats as float8 without being asked to."""
    with pytest.raises(CellError, match="cast the value to numeric, or send a decimal"):
        check_ordered(TYPES["float8"], TYPES["numeric"])
