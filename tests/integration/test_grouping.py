"""Sorting and grouping through the real proxy: the index that serves it, who may, what is logged, what writes make of it.

That rows are those of a plain twin is tests/twins/test_search_grouping.py's to show.
"""

from __future__ import annotations

import datetime
import json
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest
from psycopg import ClientCursor

from tests.conftest import Database
from tests.integration.shop import Shop

ROWS = 4000
SCHEMA = """
CREATE TABLE person (id int PRIMARY KEY, name text, email text, born date, height int, ssn text, city text);
CREATE TABLE tidy (id int PRIMARY KEY, email text);
GRANT ALL ON ALL TABLES IN SCHEMA public TO PUBLIC;
"""
COLUMNS = """
[columns."public.person.name"]
type = "text"
mask = "null"
search = ["equality", "order:C:8"]

[columns."public.person.email"]
type = "text"
mask = "null"
search = ["equality"]

[columns."public.person.born"]
type = "date"
mask = "null"
search = ["order"]

[columns."public.person.height"]
type = "int4"
mask = "null"
search = ["equality", "order"]

[columns."public.person.ssn"]
type = "text"
mask = "null"

[roles.shop_app]
clear = ["*"]
write = ["*"]

[roles.support]
masked = ["*"]
search = ["public.person.email"]
"""
BASE = datetime.date(1950, 1, 1)


def row(number: int) -> tuple[int, str, str, datetime.date, int, str, str]:
    mixed = number * 7919 % ROWS
    born = BASE + datetime.timedelta(days=mixed)
    return (
        number,
        f"n{mixed:05}",
        f"e{mixed % 100}@x",
        born,
        mixed % 50,
        str(number),
        f"c{mixed % 7}",
    )


@pytest.fixture(scope="module")
def shop(
    make_database: Callable[[], Database], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Shop]:
    database = make_database()
    database.psql(SCHEMA)
    shop = Shop(database, tmp_path_factory.mktemp("grouping"), columns=COLUMNS)
    shop.prepare()
    shop.serve()
    with (
        shop.connect() as connection,
        connection.cursor().copy("COPY person FROM STDIN") as copy,
    ):
        for number in range(ROWS):
            copy.write_row(row(number))
    with shop.direct() as owner:
        owner.execute("ANALYZE")
    yield shop
    shop.stop()
    database.postgres.drop_database(database.name)


@pytest.mark.parametrize("factory", [psycopg.Cursor, ClientCursor])
@pytest.mark.parametrize(
    ("text", "values", "expected"),
    [
        ("SELECT born FROM person ORDER BY born LIMIT 3", (), [BASE + datetime.timedelta(days=n) for n in range(3)]),
        ("SELECT born AS b FROM person ORDER BY b DESC LIMIT %s", (2,),
         [BASE + datetime.timedelta(days=ROWS - n) for n in (1, 2)]),
        ("SELECT born, id FROM person ORDER BY 1, 2 LIMIT 2 OFFSET 5", (), [BASE + datetime.timedelta(days=n) for n in (5, 6)]),
        ("SELECT p.born FROM person p WHERE (p.born, p.id) > (%s, %s) ORDER BY p.born, p.id LIMIT 2",
         (BASE + datetime.timedelta(days=9), ROWS), [BASE + datetime.timedelta(days=n) for n in (10, 11)]),
        ("SELECT DISTINCT ON (born) born, id FROM person ORDER BY born, id LIMIT 2", (),
         [BASE + datetime.timedelta(days=n) for n in range(2)]),
        ("SELECT s.born FROM (SELECT born FROM person) s ORDER BY s.born LIMIT 1", (), [BASE]),
    ],
)  # fmt: skip
def test_pages_are_read_in_the_order_of_the_index(
    shop: Shop, factory: type[psycopg.Cursor[Any]], text: str, values: tuple[Any, ...], expected: list[Any]
) -> None:  # fmt: skip
    """ORDER BY with LIMIT, keyset pages and DISTINCT ON: no more rows are read than are shown."""
    with shop.connect(cursor_factory=factory) as app:
        assert [found[0] for found in app.execute(text.encode(), values)] == expected
        lines = app.execute(f"EXPLAIN (COSTS OFF) {text}".encode(), values).fetchall()
    plan = "\n".join(line for (line,) in lines)
    assert "person_born_ord" in plan
    assert "Seq Scan" not in plan


@pytest.mark.parametrize(
    ("text", "column", "entry"),
    [
        ("SELECT id FROM person ORDER BY email", "email", '"order:C:16"'),
        ("SELECT min(email) FROM person", "email", '"order:C:16"'),
        ("SELECT rank() OVER (ORDER BY ssn) FROM person", "ssn", '"order:C:16"'),
        ("SELECT count(*) FROM person GROUP BY ssn", "ssn", '"equality"'),
        ("SELECT DISTINCT ssn FROM person", "ssn", '"equality"'),
        ("SELECT count(DISTINCT ssn) FROM person", "ssn", '"equality"'),
        ("SELECT count(*) OVER (PARTITION BY ssn) FROM person", "ssn", '"equality"'),
    ],
)
def test_what_is_not_declared_is_refused_by_name(
    shop: Shop, text: str, column: str, entry: str
) -> None:
    """0A000; the hint names the entry of `search` that is missing."""
    with shop.connect() as app, pytest.raises(psycopg.errors.FeatureNotSupported) as caught:
        app.execute(text.encode())
    assert f"public.person.{column}" in str(caught.value.diag.message_primary)
    assert entry in str(caught.value.diag.message_hint)


@pytest.mark.parametrize(
    "text",
    [
        "SELECT id FROM person ORDER BY born",
        "SELECT born FROM person ORDER BY 1 DESC LIMIT 1",
        "SELECT min(born) FROM person",
        "SELECT count(*) FROM person GROUP BY height",
        "SELECT height, count(*) FROM person GROUP BY 1",
        "SELECT DISTINCT born FROM person",
        "SELECT DISTINCT ON (born) id FROM person",
        "SELECT count(DISTINCT born) FROM person",
        "SELECT row_number() OVER (PARTITION BY height) FROM person",
        "SELECT row_number() OVER (ORDER BY height) FROM person",
        "SELECT array_agg(id ORDER BY height) FROM person",
        "SELECT city FROM person GROUP BY city HAVING min(height) IS NULL",
        "COPY (SELECT id FROM person ORDER BY born) TO STDOUT",
        "EXPLAIN SELECT id FROM person ORDER BY born",
    ],
)
def test_who_may_not_compare_may_not_sort_or_group(shop: Shop, text: str) -> None:
    """A masked role learns neither order nor equality: 42501."""
    with shop.connect("support_login") as support:
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            support.execute(text.encode())
        # What it may compare it may group by, and sees masked.
        found = support.execute("SELECT email, count(*) FROM person GROUP BY email").fetchall()
    assert len(found) == 100
    assert {count for _, count in found} == {ROWS // 100}


def test_grouping_is_logged_as_a_comparison(shop: Shop) -> None:
    """The event names the column as compared, and as read where it is shown; sorting alone reads nothing."""
    with shop.connect() as app:
        app.execute("SELECT height, count(*) FROM person GROUP BY height").fetchall()
        app.execute("SELECT city FROM person ORDER BY born LIMIT 1").fetchall()
    lines = shop.audit_path.read_text().splitlines()
    grouped = [
        line for line in lines if "GROUP BY height" in line and "SELECT height, count(*)" in line
    ]
    ordered = [line for line in lines if "SELECT city FROM person ORDER BY born" in line]
    assert outcomes(grouped[-1]) == {"public.person.height": {"compared", "clear"}}
    assert outcomes(ordered[-1]) == {"public.person.born": {"compared"}}


def outcomes(line: str) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    columns = json.loads(line)["unmapped"]["sealgate"]["columns"]
    for column in columns:
        found.setdefault(column["name"], set()).add(column["outcome"])
    return found


def test_writes_by_groups(shop: Shop) -> None:
    """Duplicates are found and deleted, copied and updated by what equal values have in common."""
    with shop.connect() as app:
        app.execute("INSERT INTO tidy SELECT min(id), 'x' FROM person GROUP BY email")
        assert app.execute("SELECT count(*) FROM tidy").fetchone() == (100,)
        updated = app.execute(
            "UPDATE person SET city = 'last' FROM (SELECT email, max(born) AS b FROM person GROUP BY email) s"
            " WHERE person.email = s.email AND person.born = s.b"
        )
        assert updated.rowcount == 100
        app.execute(
            "INSERT INTO person (id, email) SELECT 10000 + id, email FROM person WHERE id < 50"
        )
        gone = app.execute(
            "DELETE FROM person p USING (SELECT email, min(id) AS first FROM person WHERE id >= 10000"
            " OR id < 50 GROUP BY email HAVING count(*) > 1) d WHERE p.email = d.email AND p.id >= 10000"
        )
        assert gone.rowcount == 50
        with app.transaction():
            app.execute(
                "DECLARE c CURSOR FOR SELECT email FROM person GROUP BY email ORDER BY count(*), min(id)"
            )
            assert len(app.execute("FETCH ALL FROM c").fetchall()) == 100


def test_a_group_is_described_as_its_column(shop: Shop) -> None:
    """Name and type of what is shown of a group are those of the column."""
    with shop.connect() as app:
        cursor = app.execute(
            "SELECT email, born, max(height), p.name FROM person p GROUP BY 1, born, name LIMIT 1"
        )
        found = [(c.name, c.type_code) for c in cursor.description or ()]
    assert found == [("email", 25), ("born", 1082), ("max", 23), ("name", 25)]
