"""Ranges on sealed columns, end to end: the sealed twin finds the rows that the plain twin finds, or refuses.

The plain twin's texts have collation C, which is what `search = ["order:C:8"]` declares.
"""

from __future__ import annotations

import asyncio
import os
import random
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from typing import Any, Final

import asyncpg
import psycopg
import pytest

from proxy.cells import LogicalType
from proxy.cells.logical import TYPES
from tests.cells import ordered
from tests.conftest import Database
from tests.integration.shop import Shop
from tests.integration.types.twins import Client, Comparison, Statement, Twins, quoted

PREFIX: Final = ordered.PREFIX
OPERATORS: Final = ("<", "<=", ">", ">=")
DECLARED: Final = {
    name: f"order:C:{PREFIX}" if name in ("text", "varchar") else "order" for name in ordered.NAMES
}
"""Column c_TYPE of each type with an order -> its search."""

_PLAIN: Final = ", ".join(
    f"c_{name} {name}" + (' COLLATE "C"' if search != "order" else "")
    for name, search in DECLARED.items()
)
_SEALED: Final = ", ".join(f"c_{name} {name}" for name in DECLARED)
SCHEMA: Final = f"""
CREATE TABLE plain (id int PRIMARY KEY, {_PLAIN});
CREATE TABLE twin (id int PRIMARY KEY, {_SEALED});
CREATE TABLE visits (id int PRIMARY KEY, day date, fee numeric(10,2), place text, n int);
GRANT ALL ON ALL TABLES IN SCHEMA public TO PUBLIC;
"""
COLUMNS: Final = "\n".join(
    [
        *(
            f'[columns."public.twin.c_{name}"]\ntype = "{name}"\nsearch = ["{search}"]'
            for name, search in DECLARED.items()
        ),
        '[columns."public.visits.day"]\ntype = "date"\nsearch = ["order"]',
        '[columns."public.visits.fee"]\ntype = "numeric(10,2)"\nsearch = ["order"]\nmask = "null"',
        '[columns."public.visits.place"]\ntype = "text"\nsearch = ["equality", "order:C:16"]',
        '[columns."public.visits.n"]\ntype = "int"\nsearch = ["equality"]',
        '[roles.shop_app]\nclear = ["public.twin.*", "public.visits.*"]\nwrite = ["public.twin.*", "public.visits.*"]',
        '[roles.support]\nmasked = ["public.visits.fee"]\nclear = ["public.visits.place"]',
    ]
)


@pytest.fixture(scope="module")
def order_shop(
    make_database: Callable[[], Database], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Shop]:
    database = make_database()
    database.psql(SCHEMA)
    shop = Shop(database, tmp_path_factory.mktemp("order"), columns=COLUMNS)
    shop.prepare()
    shop.serve()
    yield shop
    shop.stop()
    database.postgres.drop_database(database.name)


@pytest.fixture(scope="module")
def _twins(order_shop: Shop) -> Iterator[Twins]:
    found = Twins(Client(order_shop.database.dsn("shop_app")), Client(order_shop.dsn()))
    yield found
    found.close()


@pytest.fixture
def twins(_twins: Twins) -> Twins:
    _twins.reset()
    return _twins


@pytest.fixture
def rng(request: pytest.FixtureRequest) -> random.Random:
    """Randomness whose seed a failure shows: TYPES_SEED=... repeats it."""
    seed = int(os.environ.get("TYPES_SEED", random.SystemRandom().getrandbits(32)))
    print(f"TYPES_SEED={seed} for {request.node.nodeid}")
    return random.Random(seed)


def sampled(logical: LogicalType, rng: random.Random, count: int) -> list[bytes]:
    """Canonical: extremes as well as random values."""
    values = [value for value in ordered.samples(logical, rng, 300) if len(value) <= 88]
    return rng.sample(values, min(count, len(values)))


def fill(twins: Twins, name: str, values: list[bytes]) -> None:
    """The same in both twins, by parameters in binary, and a NULL."""
    oid = TYPES[name].oid
    sql = f"INSERT INTO {{t}} (id, c_{name}) VALUES ($1, $2)"
    for number, value in enumerate((*values, None)):
        statement = Statement(sql, (str(number).encode(), value), (23, oid), (0, 1))
        expected, got = twins.run(statement)
        assert expected == got


def found(name: str, condition: str) -> str:
    return f"SELECT id, c_{name} FROM {{t}} WHERE {condition} ORDER BY id".replace(
        "{c}", f"c_{name}"
    )


def is_refused(name: str, value: bytes) -> bool:
    return name in ("text", "varchar") and len(value) > PREFIX


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
        if name not in ("text", "varchar"):  # which have no equality by 8 bytes of order
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


@pytest.mark.parametrize("name", ordered.NAMES)
def test_sorting(twins: Twins, rng: random.Random, name: str) -> None:
    """ORDER BY up and down, NULLs first and last, with LIMIT and OFFSET: the same rows in the same order."""
    values = [value for value in sampled(TYPES[name], rng, 60) if not is_refused(name, value)]
    fill(twins, name, values)
    comparison = Comparison(twins)
    for direction in ("", "ASC", "DESC"):
        for nulls in ("", "NULLS FIRST", "NULLS LAST"):
            order = f"ORDER BY c_{name} {direction} {nulls}, id"
            comparison.try_one(Statement(f"SELECT id, c_{name} FROM {{t}} {order}"))
            comparison.try_one(Statement(f"SELECT id FROM {{t}} {order} LIMIT 7 OFFSET 3"))
    comparison.try_one(Statement(f"SELECT min(c_{name}), max(c_{name}) FROM {{t}}"))
    comparison.check(comparison.tried)


@pytest.mark.parametrize("name", ordered.NAMES)
def test_pages_by_key(twins: Twins, rng: random.Random, name: str) -> None:
    """Keyset pagination: (c, id) > ($1, $2) ORDER BY c, id LIMIT 5 goes through all rows, once each."""
    logical = TYPES[name]
    values = [value for value in sampled(logical, rng, 30) if not is_refused(name, value)]
    fill(twins, name, values + values[:10])
    comparison = Comparison(twins)
    sql = f"SELECT c_{name}, id FROM {{t}} WHERE (c_{name}, id) > ($1, $2) ORDER BY c_{name}, id LIMIT 5"
    at: tuple[bytes | None, ...] = (logical.to_text(values[0], ordered.DEFAULTS), b"-1")
    for _ in range(12):
        answer = comparison.try_one(Statement(sql, at))
        if not answer.rows:
            break
        at = answer.rows[-1]
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


def test_texts_are_sorted_by_their_first_bytes(twins: Twins, rng: random.Random) -> None:
    """By the bytes that are declared, those that go on behind them last; what then is equal is in any order."""
    fill(twins, "text", sampled(TYPES["text"], rng, 80))
    plain = f"substring(convert_to(c_text, 'UTF8') for {PREFIX}), octet_length(c_text) > {PREFIX}"
    expected = twins.server.run(Statement(f"SELECT id FROM {{t}} ORDER BY {plain}, id"), "plain")
    got = twins.proxy.run(Statement("SELECT id FROM {t} ORDER BY c_text, id"), "twin")
    assert expected.rows == got.rows
    assert len(got.rows) > 60


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


Visit = tuple[int, date, Decimal, str, int]


@dataclass(frozen=True, slots=True)
class Visits:
    """Rows that went in through the proxy."""

    shop: Shop
    rows: list[Visit]


def visit(number: int) -> Visit:
    day = date(2020, 1, 1) + timedelta(days=number % 1500)
    fee = Decimal(number * 37 % 90001) / 100 - 100
    return number, day, fee, f"place {number % 977:04d}", number % 10


@pytest.fixture(scope="module", params=[4_000, pytest.param(100_000, marks=pytest.mark.long)])
def visits(order_shop: Shop, request: pytest.FixtureRequest) -> Visits:
    """As many rows as the parameter says, and what the server makes of them."""
    rows = [visit(number) for number in range(1, request.param + 1)]
    with order_shop.connect() as connection:
        connection.execute("TRUNCATE visits")
        with connection.cursor().copy("COPY visits FROM STDIN") as copy:
            for row in rows:
                copy.write_row(row)
        connection.execute("ANALYZE visits")
    return Visits(order_shop, rows)


RANGES: Final = [
    ("day < $1", (date(2020, 1, 20),), lambda row: row[1] < date(2020, 1, 20)),
    ("day BETWEEN $1 AND $2", (date(2021, 3, 1), date(2021, 3, 9)), lambda row: date(2021, 3, 1) <= row[1] <= date(2021, 3, 9)),
    ("fee >= $1", (Decimal("795.5"),), lambda row: row[2] >= Decimal("795.5")),
    ("fee > $1 AND fee <= $2", (Decimal(-100), Decimal("-95.005")), lambda row: Decimal(-100) < row[2] <= Decimal("-95.005")),
    ("place <= $1", ("place 0009",), lambda row: row[3] <= "place 0009"),
    ("place > $1", ("place 097",), lambda row: row[3] > "place 097"),
    ("place LIKE $1", ("place 000%",), lambda row: row[3].startswith("place 000")),
]  # fmt: skip


@pytest.mark.parametrize(("condition", "given", "holds"), RANGES, ids=[one[0] for one in RANGES])
def test_drivers(
    visits: Visits, condition: str, given: tuple[Any, ...], holds: Callable[[Any], bool]
) -> None:
    """Python's own values through psycopg, in text and binary, interpolated and prepared, and through asyncpg."""
    expected = [row[0] for row in visits.rows if holds(row)]
    assert 0 < len(expected) < len(visits.rows) / 10
    sql = f"SELECT id FROM visits WHERE {condition} ORDER BY id"
    named = re.sub(r"\$([0-9])", r"%(p\1)s", sql)
    values = {f"p{number}": value for number, value in enumerate(given, 1)}
    with visits.shop.connect() as connection:
        for binary in (False, True):
            for prepare in (False, True):
                found = connection.execute(named, values, prepare=prepare, binary=binary)
                assert [row[0] for row in found] == expected
        client = psycopg.ClientCursor(connection)
        assert [row[0] for row in client.execute(named, values)] == expected

    async def fetch() -> list[int]:
        connection = await asyncpg.connect(visits.shop.dsn())
        try:
            statement = await connection.prepare(sql)
            rows = await statement.fetch(*given)
            assert rows == await connection.fetch(sql, *given)
            return [row["id"] for row in rows]
        finally:
            await connection.close()

    assert asyncio.run(fetch()) == expected


@pytest.mark.parametrize(("condition", "given", "holds"), RANGES, ids=[one[0] for one in RANGES])
def test_the_index_serves(
    visits: Visits, condition: str, given: tuple[Any, ...], holds: Callable[[Any], bool]
) -> None:
    """EXPLAIN shows the index on the order term: by literals, by bound parameters, in a generic plan."""
    served = re.compile(
        rf"Index Scan (using|on) visits_{condition.partition(' ')[0]}_ord .*\n +Index Cond: "
    )
    sql = f"SELECT id FROM visits WHERE {condition}"
    named = re.sub(r"\$([0-9])", r"%(p\1)s", sql)
    values = {f"p{number}": value for number, value in enumerate(given, 1)}
    with visits.shop.connect() as connection:
        for cursor in (psycopg.ClientCursor(connection), connection.cursor()):
            plan = "\n".join(row[0] for row in cursor.execute(f"EXPLAIN {named}", values))
            assert served.search(plan), plan
        connection.execute("SET enable_seqscan = off")
        plan = "\n".join(row[0] for row in connection.execute(f"EXPLAIN (GENERIC_PLAN) {sql}"))
        assert served.search(plan), plan


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT id, day FROM visits ORDER BY day LIMIT 10",
        "SELECT id, fee FROM visits ORDER BY fee DESC NULLS FIRST LIMIT 10",
        "SELECT id FROM visits WHERE (day, id) > ('2023-12-01', 5) ORDER BY day, id LIMIT 10",
        "SELECT id FROM visits WHERE place >= 'place 09' ORDER BY place LIMIT 10",
    ],
)
def test_a_page_is_read_in_the_order_of_the_index(visits: Visits, sql: str) -> None:
    """No more rows are sorted than those of one value."""
    with visits.shop.connect() as connection:
        plan = "\n".join(row[0] for row in connection.execute(f"EXPLAIN {sql}"))
    assert re.search(r"Index Scan (Backward )?using visits_(day|fee|place)_ord ", plan), plan
    assert "->  Sort " not in plan, plan


@pytest.mark.parametrize("login", ["support_login", "analyst"])
def test_who_may_not_compare_does_not_bisect(visits: Visits, login: str) -> None:
    """A masked role, and one without a grant, learn nothing by ranges: refused, and logged as such."""
    before = len(visits.shop.events())
    conditions = ("fee < 100", "100 >= fee", "fee BETWEEN 1 AND 2", "(fee, id) > (1, 1)", "fee = 1")
    with visits.shop.connect(login) as connection:
        for condition in conditions:
            with pytest.raises(psycopg.errors.InsufficientPrivilege, match=r"public\.visits\.fee"):
                connection.execute(f"SELECT id FROM visits WHERE {condition}")
    refused = [
        event
        for event in visits.shop.events()[before:]
        if event.get("status_code") == "42501" and event.get("status_id") == 2
    ]
    assert len(refused) == len(conditions)


def test_a_column_without_an_order_names_what_is_missing(visits: Visits) -> None:
    """Declared for equality alone: the hint says which entry to add."""
    with (
        visits.shop.connect() as connection,
        pytest.raises(psycopg.errors.FeatureNotSupported) as caught,
    ):
        connection.execute("SELECT id FROM visits WHERE n < 5")
    assert "public.visits.n" in str(caught.value)
    assert '"order"' in (caught.value.diag.message_hint or "")


def test_logs_and_the_server_see_no_operand(visits: Visits) -> None:
    """Neither the server nor the access log is sent the literal or the parameter of a range."""
    with visits.shop.connect() as connection:
        connection.execute("SELECT id FROM visits WHERE fee < 123.4567 AND place > 'qxzzy'")
        connection.execute(
            "SELECT id FROM visits WHERE fee < %s AND place > %s", (Decimal("123.4567"), "qxzzy")
        )
    for seen in (
        visits.shop.audit_path.read_text(),
        visits.shop.output_path.read_text(),
        visits.shop.database.postgres.log_text(),
    ):
        assert "123.4567" not in seen
        assert "qxzzy" not in seen
