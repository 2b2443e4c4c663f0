"""Ranges as applications ask for them: by drivers, by indexes, by who may, and what is seen of them."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from typing import Any, Final

import asyncpg
import psycopg
import pytest

from tests.integration.shop import Shop

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
