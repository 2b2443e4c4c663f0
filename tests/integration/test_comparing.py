"""Comparisons at 20,000 rows, through the real proxy: the rows are the right ones, and an index on terms finds them.

For literals, for bound parameters of psycopg (text and binary) and asyncpg, for generic plans, and with the casts that
object mappers write. `%s` stands for each value.
"""

from __future__ import annotations

import asyncio
import datetime
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import asyncpg
import psycopg
import pytest
from psycopg import ClientCursor

from tests.conftest import Database
from tests.integration.shop import Shop

ROWS = int(os.environ.get("EXPLAIN_ROWS", "20000"))
SCHEMA = """
CREATE TABLE person (
    id int PRIMARY KEY, name text, email text, nick text, born date, height int, score numeric, city text
);
CREATE TABLE member (id int PRIMARY KEY, email text, born date, room int);
GRANT ALL ON ALL TABLES IN SCHEMA public TO PUBLIC;
"""
COLUMNS = """
[columns."public.person.name"]
type = "text"
search = ["order:C:8"]
mask = "null"

[columns."public.person.email"]
type = "text"
search = ["equality", "equality:casefold"]
mask = "null"
search_group = "email"

[columns."public.person.nick"]
type = "text"
search = ["equality:casefold"]
mask = "null"

[columns."public.person.born"]
type = "date"
search = ["order"]
mask = "null"
search_group = "born"

[columns."public.person.height"]
type = "int4"
search = ["equality", "order"]
mask = "null"

[columns."public.person.score"]
type = "numeric"
search = ["order"]
mask = "null"

[columns."public.member.email"]
type = "text"
search = ["equality", "equality:casefold"]
mask = "null"
search_group = "email"

[columns."public.member.born"]
type = "date"
search = ["order"]
mask = "null"
search_group = "born"

[roles.shop_app]
clear = ["*"]
write = ["*"]

[roles.analyst]
masked = ["*"]
"""
BASE = datetime.date(1950, 1, 1)


@dataclass(frozen=True)
class Person:
    id: int
    name: str
    email: str
    nick: str
    born: datetime.date
    height: int
    score: float


def person(number: int) -> Person:
    """Every value is one of many, and none is in the order of the numbers."""
    mixed = number * 7919 % ROWS
    return Person(
        number,
        f"n{mixed:05}",
        f"Person{number}@X.example",
        f"Nick{mixed}",
        BASE + datetime.timedelta(days=mixed),
        mixed - 500,
        mixed / 4,
    )


PEOPLE = [person(number) for number in range(ROWS)]


@pytest.fixture(scope="module")
def shop(
    make_database: Callable[[], Database], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Shop]:
    database = make_database()
    database.psql(SCHEMA)
    shop = Shop(database, tmp_path_factory.mktemp("comparing"), columns=COLUMNS)
    shop.prepare()
    shop.serve()
    with shop.connect() as connection:
        fields = "id, name, email, nick, born, height, score"
        with connection.cursor().copy(f"COPY person ({fields}) FROM STDIN") as copy:
            for one in PEOPLE:
                copy.write_row(
                    (one.id, one.name, one.email, one.nick, one.born, one.height, one.score)
                )
        with connection.cursor().copy("COPY member (id, email, born, room) FROM STDIN") as copy:
            for one in PEOPLE[::100]:
                copy.write_row((one.id, one.email, one.born, one.id % 7))
    with shop.direct() as owner:
        owner.execute("ANALYZE")
    yield shop
    shop.stop()
    database.postgres.drop_database(database.name)


@dataclass(frozen=True)
class Shape:
    """A condition on person with its values, the index it needs, and who fulfils it."""

    where: str
    values: tuple[Any, ...]
    index: str
    holds: Callable[[Person], bool]

    def __str__(self) -> str:
        return re.sub(r"(%s, ){3,}", "%s, ..., ", self.where)


DAY = datetime.date(1960, 6, 1)
LATER = DAY + datetime.timedelta(days=9)
MANY = tuple(PEOPLE[n].email for n in range(0, ROWS, ROWS // 1000))
SOME = ("Person7@X.example", "Person8@X.example", "nobody")
SHAPES = [
    Shape("email = %s", (SOME[0],), "email_eq", lambda p: p.email == SOME[0]),
    Shape("email = %s::VARCHAR", (SOME[0],), "email_eq", lambda p: p.email == SOME[0]),
    Shape("CAST(%s AS TEXT) = email::text", (SOME[0],), "email_eq", lambda p: p.email == SOME[0]),
    Shape("email IN (%s, %s, %s)", SOME, "email_eq", lambda p: p.email in SOME),
    Shape(
        "email IN (" + ", ".join(["%s"] * 1000) + ")", MANY, "email_eq", lambda p: p.email in MANY
    ),
    Shape("email = ANY(%s::text[])", (list(SOME),), "email_eq", lambda p: p.email in SOME),
    Shape(
        "email = ANY(%s::VARCHAR[])", (list(MANY[:50]),), "email_eq", lambda p: p.email in MANY[:50]
    ),
    Shape("lower(email) = lower(%s)", ("PERSON7@x.EXAMPLE",), "email_eq_casefold", lambda p: p.id == 7),
    Shape("lower(email) = lower(%s::VARCHAR)", (SOME[0],), "email_eq_casefold", lambda p: p.id == 7),
    Shape("lower(email) = %s", ("person7@x.example",), "email_eq_casefold", lambda p: p.id == 7),
    Shape("lower(email) = %s", (SOME[0],), "email_eq_casefold", lambda _: False),
    Shape("lower(email::text) IN (lower(%s), lower(%s))", SOME[:2], "email_eq_casefold", lambda p: p.id in (7, 8)),
    Shape("nick = %s", ("nICK12",), "nick_eq_casefold", lambda p: p.nick == "Nick12"),
    Shape("nick IN (%s, %s)", ("nick12", "NICK13"), "nick_eq_casefold", lambda p: p.nick in ("Nick12", "Nick13")),
    Shape("nick = ANY(%s::text[])", (["NICK12", None],), "nick_eq_casefold", lambda p: p.nick == "Nick12"),
    Shape("born = %s", (DAY,), "born_ord", lambda p: p.born == DAY),
    Shape("born IN (%s, %s::DATE)", (DAY, LATER), "born_ord", lambda p: p.born in (DAY, LATER)),
    Shape("born = ANY(%s::date[])", ([DAY, LATER],), "born_ord", lambda p: p.born in (DAY, LATER)),
    Shape("born BETWEEN %s AND %s", (DAY, LATER), "born_ord", lambda p: DAY <= p.born <= LATER),
    Shape("born >= %s::date AND born < CAST(%s AS DATE)", (DAY, LATER), "born_ord", lambda p: DAY <= p.born < LATER),
    Shape("%s > born AND born::date > %s", (LATER, DAY), "born_ord", lambda p: DAY < p.born < LATER),
    Shape("born BETWEEN SYMMETRIC %s AND %s", (LATER, DAY), "born_ord", lambda p: DAY <= p.born <= LATER),
    Shape("born < %s::timestamp AND born > %s", (datetime.datetime(1960, 6, 5, 12), DAY), "born_ord",
          lambda p: DAY < p.born <= datetime.date(1960, 6, 5)),
    Shape("height = %s", (77,), "height_", lambda p: p.height == 77),
    Shape("height > %s AND height <= %s", (77, 90), "height_ord", lambda p: 77 < p.height <= 90),
    Shape("height < %s", (-490,), "height_ord", lambda p: p.height < -490),
    Shape("height > %s::numeric AND height < %s::bigint", (77, 80), "height_ord", lambda p: 77 < p.height < 80),
    Shape("score BETWEEN %s::numeric AND %s::numeric", (10, 11.5), "score_ord", lambda p: 10 <= p.score <= 11.5),
    Shape("name >= %s AND name < %s", ("n00100", "n00120"), "name_ord", lambda p: "n00100" <= p.name < "n00120"),
    Shape("email IN (SELECT m.email FROM member m WHERE m.id = %s)", (700,), "email_eq", lambda p: p.id == 700),
    Shape("born = (SELECT m.born FROM member m WHERE m.id = %s)", (700,), "born_ord", lambda p: p.id == 700),
    Shape("(born, id) < (%s, %s)", (BASE + datetime.timedelta(days=5), 0), "born_ord",
          lambda p: (p.born, p.id) < (BASE + datetime.timedelta(days=5), 0)),
]  # fmt: skip


def planned(rows: list[Any]) -> str:
    return "\n".join(str(row[0]) for row in rows)


def check_plan(text: str, index: str) -> None:
    assert re.search(rf"Index (Only )?Scan .*person_{index}", text), text
    assert "Seq Scan on person" not in text, text


class Literals:
    """Values written into the text, simple protocol."""

    def __init__(self, shop: Shop) -> None:
        self.connection = shop.connect(cursor_factory=ClientCursor)

    def rows(self, text: str, values: tuple[Any, ...]) -> list[Any]:
        return self.connection.execute(text.encode(), values).fetchall()

    def close(self) -> None:
        self.connection.close()


class Bound(Literals):
    """Bound parameters."""

    binary = False
    prepare: bool | None = None

    def __init__(self, shop: Shop) -> None:
        self.connection = shop.connect()

    def rows(self, text: str, values: tuple[Any, ...]) -> list[Any]:
        with self.connection.cursor(binary=self.binary) as cursor:
            marked = text.replace("%s", "%b") if self.binary else text
            return cursor.execute(marked.encode(), values, prepare=self.prepare).fetchall()


class Binary(Bound):
    binary = True


class Generic(Bound):
    """A prepared statement whose plan is made without looking at the values."""

    prepare = True

    def __init__(self, shop: Shop) -> None:
        super().__init__(shop)
        self.connection.execute("SET plan_cache_mode = force_generic_plan")


class Asyncpg:
    """Binary, each parameter of the type that the server says it has."""

    def __init__(self, shop: Shop) -> None:
        self.loop = asyncio.new_event_loop()
        self.connection = self.loop.run_until_complete(asyncpg.connect(shop.dsn()))

    def rows(self, text: str, values: tuple[Any, ...]) -> list[Any]:
        for number in range(1, len(values) + 1):
            text = text.replace("%s", f"${number}", 1)
        rows = self.loop.run_until_complete(self.connection.fetch(text, *values))
        return [tuple(row) for row in rows]

    def close(self) -> None:
        self.loop.run_until_complete(self.connection.close())
        self.loop.close()


Driver = Literals | Asyncpg


@pytest.fixture(scope="module", params=[Literals, Bound, Binary, Generic, Asyncpg])
def driver(shop: Shop, request: pytest.FixtureRequest) -> Iterator[Driver]:
    made: Driver = request.param(shop)
    yield made
    made.close()


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_an_index_finds_the_rows(driver: Driver, shape: Shape) -> None:
    """The rows that fulfil the condition, and no others; the plan reads them by the index of the terms."""
    text = f"SELECT id FROM person WHERE {shape.where}"
    rows = driver.rows(text, shape.values)
    assert sorted(rows) == [(p.id,) for p in PEOPLE if shape.holds(p)]
    check_plan(planned(driver.rows(f"EXPLAIN (COSTS OFF) {text}", shape.values)), shape.index)


TWICE = [
    Shape("height = $1 OR height < $1", (-490,), "", lambda p: p.height <= -490),
    Shape("born = $1 OR born < $1", (BASE,), "", lambda p: p.born <= BASE),
    Shape("born = ANY($1) OR born > ALL($1)", ([BASE, DAY],), "", lambda p: p.born == BASE or p.born >= DAY),
    Shape("email = $1 OR lower(email) = lower($1)", ("PERSON7@X.EXAMPLE",), "", lambda p: p.id == 7),
    Shape("lower(email) = lower($1) OR lower(nick) = lower($2)", (SOME[0], "nick9"), "",
          lambda p: p.id == 7 or p.nick == "Nick9"),
    Shape("COALESCE(born, $1) <= $1", (BASE,), "", lambda p: p.born <= BASE),
    Shape("id IN (SELECT p.id FROM member m WHERE m.email = $1 AND p.email = $1)", (PEOPLE[700].email,), "",
          lambda p: p.id == 700),
]  # fmt: skip


@pytest.mark.parametrize("shape", TWICE, ids=str)
def test_one_parameter_in_several_places(shop: Shop, shape: Shape) -> None:
    """It is sealed once, with every term that one of the places compares."""
    client = Asyncpg(shop)
    rows = client.rows(f"SELECT id FROM person p WHERE {shape.where}", shape.values)
    client.close()
    assert sorted(rows) == [(p.id,) for p in PEOPLE if shape.holds(p)]


@pytest.mark.parametrize(
    ("where", "value"),
    [
        ("height = ANY($1) OR height > ALL($1)", [1, 2]),
        ("nick = $1 OR lower(nick) = $1", "nick1"),
        ("lower(email) = $1 OR lower(email) = lower($1)", "x"),
        ("email = ANY($1) OR lower(email) = ANY($1)", ["x"]),
    ],
)
def test_one_parameter_cannot_be_two_terms(shop: Shop, where: str, value: Any) -> None:
    """Where two places look at one term, and need it of different things, the statement is refused."""
    client = Asyncpg(shop)
    with pytest.raises(asyncpg.FeatureNotSupportedError):
        client.rows(f"SELECT id FROM person WHERE {where}", (value,))
    client.close()


def test_pages_by_key(driver: Driver) -> None:
    """Keyset pagination visits every row once, in order, and each page comes from the index."""
    order = sorted(PEOPLE, key=lambda p: (p.born, p.id))
    text = "SELECT born, id FROM person WHERE (born, id) > (%s, %s) ORDER BY born, id LIMIT 7"
    at: tuple[Any, ...] = (BASE - datetime.timedelta(days=1), 0)
    seen = []
    for _ in range(5):
        page = driver.rows(text, at)
        seen += page
        at = tuple(page[-1])
    assert seen == [(p.born, p.id) for p in order[:35]]
    check_plan(planned(driver.rows(f"EXPLAIN (COSTS OFF) {text}", at)), "born_ord")


@pytest.mark.parametrize(
    "join",
    ["JOIN member m ON p.email = m.email", "JOIN member m USING (email)", "JOIN member m ON lower(p.email) = lower(m.email)"],
)  # fmt: skip
def test_joins_by_index(driver: Driver, join: str) -> None:
    """A join of columns of one search_group goes from row to row by the index."""
    text = f"SELECT p.id, p.email FROM person p {join} WHERE m.room = %s AND m.id < %s"
    rows = driver.rows(text, (3, 3000))
    assert sorted(rows) == [(p.id, p.email) for p in PEOPLE[:3000:100] if p.id % 7 == 3]
    check_plan(planned(driver.rows(f"EXPLAIN (COSTS OFF) {text}", (3, 3000))), "email_eq")


def test_a_range_join(driver: Driver) -> None:
    """Rows of one table that come right behind those of another."""
    text = "SELECT p.id, m.id FROM member m JOIN person p ON p.born > m.born AND p.born <= %s WHERE m.id = %s"
    last = BASE + datetime.timedelta(days=60)
    one = min(PEOPLE[::100], key=lambda p: p.born)
    expected = [(p.id, one.id) for p in PEOPLE if one.born < p.born <= last]
    assert sorted(driver.rows(text, (last, one.id))) == expected
    check_plan(planned(driver.rows(f"EXPLAIN (COSTS OFF) {text}", (last, one.id))), "born_ord")


@pytest.mark.parametrize("command", ["UPDATE person SET city = 'x'", "DELETE FROM person"])
def test_writes_find_their_rows_by_index(shop: Shop, command: str) -> None:
    """UPDATE and DELETE with a range touch the rows of the range."""
    values = (DAY, LATER)
    with shop.connect() as connection, connection.transaction(force_rollback=True):
        text = f"{command} WHERE born BETWEEN %s AND %s".encode()
        check_plan(planned(connection.execute(b"EXPLAIN " + text, values).fetchall()), "born_ord")
        assert connection.execute(text, values).rowcount == 10


@pytest.mark.parametrize(
    "where", ["born < '1960-01-01'", "born = '1960-01-01'", "(born, id) > ('1960-01-01', 1)", "lower(email) = 'x'",
              "born BETWEEN '1960-01-01' AND '1961-01-01'", "born > ALL (SELECT m.born FROM member m)"],
)  # fmt: skip
def test_who_sees_masked_values_may_not_compare(shop: Shop, where: str) -> None:
    """Nobody bisects what is masked: 42501, and the event of the attempt says that it was compared."""
    before = shop.clear_events()
    text = f"SELECT id FROM person WHERE {where}".encode()
    with (
        shop.connect("analyst") as connection,
        pytest.raises(psycopg.errors.InsufficientPrivilege),
    ):
        connection.execute(text)
    refused = [e for e in shop.events()[before:] if e.get("status_code") == "42501"]
    columns = [c for e in refused for c in e["unmapped"]["sealgate"]["columns"]]
    assert {c["access"] for c in columns} == {"compare"}, columns
