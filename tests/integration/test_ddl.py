"""DDL and settings through the proxy: the next statement is planned by what they have made of the database."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest

from tests.conftest import Database
from tests.integration.shop import COLUMNS, SCHEMA, Shop

ELSEWHERE = """
CREATE SCHEMA other;
GRANT ALL ON SCHEMA other TO PUBLIC;
CREATE TABLE other.customers (id int PRIMARY KEY, email text);
GRANT ALL ON other.customers TO PUBLIC;
CREATE SCHEMA pristine;
CREATE TABLE pristine.saved (LIKE public.customers INCLUDING ALL);
INSERT INTO pristine.saved SELECT * FROM public.customers;
DROP TABLE public.orders;
"""
RESET = """
DROP TABLE IF EXISTS customers, clients, archive;
CREATE TABLE customers (LIKE pristine.saved INCLUDING ALL);
ALTER TABLE customers OWNER TO shop_app;
"""


@pytest.fixture(scope="module")
def running(
    make_database: Callable[[], Database], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Shop]:
    database = make_database()
    database.psql(SCHEMA)
    shop = Shop(database, tmp_path_factory.mktemp("ddl"), columns=COLUMNS)
    shop.prepare()
    database.psql(ELSEWHERE)
    shop.serve()
    yield shop
    shop.stop()
    database.postgres.drop_database(database.name)


@pytest.fixture
def shop(running: Shop) -> Shop:
    """With the table as it was, made anew through the proxy: what a test did to it is known to be gone."""
    with running.connect("postgres") as owner:
        for statement in RESET.strip().splitlines():
            owner.execute(statement.encode())
    # Around it: nobody knows under which keys the values of an undeclared table are.
    running.database.psql("INSERT INTO customers SELECT * FROM pristine.saved")
    return running


@pytest.fixture(params=["autocommit", "transaction", "pipeline"])
def app(shop: Shop, request: pytest.FixtureRequest) -> Iterator[psycopg.Connection[Any]]:
    """The application's connection: each statement by itself, in one transaction, or in one pipeline without waiting."""
    with shop.connect() as connection:
        if request.param == "autocommit":
            yield connection
        elif request.param == "transaction":
            with connection.transaction():
                yield connection
        else:
            with connection.pipeline():
                yield connection


def stored(shop: Shop, query: str) -> Any:
    with shop.direct() as direct:
        return direct.execute(query).fetchone()


def in_a_pipeline(app: psycopg.Connection[Any], *statements: str) -> None:
    with app.pipeline():
        for statement in statements:
            app.execute(statement.encode())


def test_a_column_added_is_there_for_the_next_statement(
    shop: Shop, app: psycopg.Connection[Any]
) -> None:
    """ADD COLUMN, then an INSERT without a column list that counts on it: the sealed column is still the third."""
    app.execute("ALTER TABLE customers ADD COLUMN phone text")
    app.execute(
        "INSERT INTO customers VALUES (50, 'Eve', 'eve@example.com', NULL, NULL, NULL, 'n', '555')"
    )
    row = app.execute("SELECT * FROM customers WHERE email = 'eve@example.com'").fetchone()
    assert row == (50, "Eve", "eve@example.com", None, None, None, "n", "555")


def test_a_column_dropped_moves_the_others(shop: Shop, app: psycopg.Connection[Any]) -> None:
    """DROP COLUMN name: the e-mail address is the second value of a positional INSERT now."""
    app.execute("ALTER TABLE customers DROP COLUMN name")
    app.execute("INSERT INTO customers VALUES (51, 'fay@example.com')")
    assert app.execute("SELECT email FROM customers WHERE id = 51").fetchone() == (
        "fay@example.com",
    )


def test_a_plain_column_renamed(shop: Shop, app: psycopg.Connection[Any]) -> None:
    """RENAME COLUMN name TO title, and statements that use the new name beside sealed columns."""
    app.execute("ALTER TABLE customers RENAME COLUMN name TO title")
    app.execute(
        "INSERT INTO customers (id, title, email) VALUES (%s, %s, %s)", (52, "Gil", "gil@x.example")
    )
    row = app.execute("SELECT title, email FROM customers WHERE id = 52").fetchone()
    assert row == ("Gil", "gil@x.example")


def test_a_sealed_table_renamed(shop: Shop, app: psycopg.Connection[Any]) -> None:
    """Its values are still read, as the type they are; a value for the column is refused before it is sent, not logged."""
    app.execute("ALTER TABLE customers RENAME TO clients")
    row = app.execute("SELECT email, birth_date FROM clients WHERE id = 1").fetchone()
    assert row == ("ada@example.com", datetime.date(1985, 12, 10))
    with pytest.raises(psycopg.errors.FeatureNotSupported, match="clients"):
        app.execute(
            "INSERT INTO clients (id, email) VALUES (53, 'canary-53') RETURNING 1"
        ).fetchone()
    assert "canary-53" not in shop.database.postgres.log_text()


def test_a_sealed_column_renamed(shop: Shop, app: psycopg.Connection[Any]) -> None:
    """As for a table: read by what the values are, written after the declaration has followed."""
    app.execute("ALTER TABLE customers RENAME COLUMN email TO mail")
    assert app.execute("SELECT mail FROM customers WHERE id = 1").fetchone() == ("ada@example.com",)
    with pytest.raises(psycopg.errors.FeatureNotSupported, match="mail"):
        app.execute(
            "INSERT INTO customers (id, mail) VALUES (54, 'canary-54') RETURNING 1"
        ).fetchone()
    assert "canary-54" not in shop.database.postgres.log_text()


def test_a_table_like_a_sealed_one(shop: Shop, app: psycopg.Connection[Any]) -> None:
    """The copy has the sealed type: rows go over as they are and are read there; plaintext is refused."""
    app.execute("CREATE TABLE archive (LIKE customers)")
    app.execute("INSERT INTO archive SELECT * FROM customers WHERE id = 1")
    assert app.execute("SELECT email, birth_date FROM archive").fetchone() == (
        "ada@example.com",
        datetime.date(1985, 12, 10),
    )


def test_an_index_on_the_term(shop: Shop, app: psycopg.Connection[Any]) -> None:
    """CREATE INDEX on sealgate.eq(column), and the next look-up works."""
    app.execute("CREATE INDEX by_birth ON customers (sealgate.eq(birth_date))")
    row = app.execute(
        "SELECT id FROM customers WHERE birth_date = %s", (datetime.date(1985, 12, 10),)
    ).fetchone()
    assert row == (1,)


def test_other_sessions_know_at_once(shop: Shop) -> None:
    """When DDL is reported as done, every session is planned by it."""
    with shop.connect() as one, shop.connect() as two:
        for number in range(5):
            one.execute(f"ALTER TABLE customers RENAME TO customers_{number}")
            with pytest.raises(psycopg.errors.FeatureNotSupported):
                two.execute(
                    f"INSERT INTO customers_{number} (id, name, email) VALUES (55, 'x', 'canary-55')"
                )
            one.execute(f"ALTER TABLE customers_{number} RENAME TO customers")
            two.execute(
                "INSERT INTO customers (id, name, email) VALUES (%s, 'x', %s)",
                (80 + number, f"{number}@x.example"),
            )
    assert "canary-55" not in shop.database.postgres.log_text()


def test_what_is_rolled_back_is_forgotten(shop: Shop) -> None:
    """To a savepoint and the whole transaction; other sessions never saw it."""
    with shop.connect() as app, shop.connect() as other:
        app.execute("BEGIN")
        app.execute("ALTER TABLE customers ADD COLUMN first text")
        app.execute("SAVEPOINT s")
        app.execute("ALTER TABLE customers DROP COLUMN name")
        app.execute("INSERT INTO customers VALUES (60, 'h@x.example')")
        assert app.execute("SELECT email FROM customers WHERE id = 60").fetchone() == (
            "h@x.example",
        )
        app.execute("ROLLBACK TO s")
        app.execute("INSERT INTO customers VALUES (61, 'Hal', 'h@x.example')")
        assert app.execute("SELECT email, first FROM customers WHERE id = 61").fetchone() == (
            "h@x.example",
            None,
        )
        app.execute("ROLLBACK")
        app.execute("INSERT INTO customers VALUES (62, 'Hal', 'h@x.example')")
        row = other.execute("SELECT * FROM customers WHERE id = 62").fetchone()
        assert row is not None
        assert row[2] == "h@x.example"
        assert len(row) == 7


def test_ddl_that_fails_changes_nothing(shop: Shop) -> None:
    """In a transaction and in a pipeline, the statement behind the ROLLBACK is planned as before."""
    with shop.connect() as app:
        app.execute("BEGIN")
        with pytest.raises(psycopg.errors.DuplicateColumn):
            app.execute("ALTER TABLE customers ADD COLUMN note text")
        with pytest.raises(psycopg.errors.InFailedSqlTransaction):
            app.execute("INSERT INTO customers (name, email) VALUES ('x', 'never@x.example')")
        app.execute("ROLLBACK")
        with pytest.raises(psycopg.errors.DuplicateColumn):
            in_a_pipeline(
                app,
                "ALTER TABLE customers ADD COLUMN note text",
                "INSERT INTO customers (name, email) VALUES ('x', 'never@x.example')",
            )
        app.execute("INSERT INTO customers (id, name, email) VALUES (63, 'I', 'i@x.example')")
        assert app.execute("SELECT email FROM customers WHERE id = 63").fetchone() == (
            "i@x.example",
        )


def test_a_statement_behind_ddl_in_one_message(shop: Shop) -> None:
    """Refused where it uses what the DDL names; the plaintext does not reach the server's log."""
    with shop.connect() as app:
        with pytest.raises(psycopg.errors.FeatureNotSupported, match="message of its own"):
            app.execute(
                "ALTER TABLE customers RENAME TO clients;"
                "INSERT INTO clients (id, name, email) VALUES (64, 'x', 'canary-64@x.example')"
            )
        assert app.execute("SELECT email FROM customers WHERE id = 1").fetchone() == (
            "ada@example.com",
        )
    assert "canary-64" not in shop.database.postgres.log_text()


def test_settings_in_a_pipeline(shop: Shop) -> None:
    """SET DateStyle, then a date in that style, without waiting in between: understood as the server would."""
    with shop.connect() as app:
        with app.pipeline():
            app.execute("SET datestyle = 'SQL, DMY'")
            app.execute(
                "INSERT INTO customers (id, name, birth_date) VALUES (65, 'K', %s)", ("03/04/2001",)
            )
        app.execute(
            "SET datestyle = 'ISO, MDY'"
        )  # psycopg itself reads dates by what it was told last
        shown = app.execute("SELECT birth_date FROM customers WHERE id = 65").fetchone()
        assert shown == (datetime.date(2001, 4, 3),)


@pytest.mark.parametrize("pipelined", [False, True])
def test_a_search_path_that_changes(shop: Shop, pipelined: bool) -> None:
    """The same name is the sealed table or the other one, also after ROLLBACK, SET LOCAL and RESET."""
    shop.database.psql("TRUNCATE other.customers")
    with shop.connect() as app:

        def insert(number: int) -> None:
            app.execute(
                "INSERT INTO customers (id, email) VALUES (%s, %s)",
                (number, f"{number}@x.example"),
            )

        def steps() -> None:
            app.execute("SET search_path = other")
            insert(70)
            app.execute("BEGIN")
            app.execute("SET LOCAL search_path = public")
            app.execute("UPDATE customers SET email = 'u@x.example' WHERE id = 1")
            app.execute("COMMIT")
            insert(71)
            app.execute("BEGIN")
            app.execute("SET search_path = public")
            app.execute("UPDATE customers SET email = 'v@x.example' WHERE id = 2")
            app.execute("ROLLBACK")
            insert(72)
            app.execute("RESET search_path")
            app.execute("UPDATE customers SET email = 'w@x.example' WHERE id = 3")

        if pipelined:
            with app.pipeline():
                steps()
        else:
            steps()
        rows = app.execute("SELECT id, email FROM public.customers ORDER BY id").fetchall()
        assert rows == [(1, "u@x.example"), (2, "bob@example.com"), (3, "w@x.example")]
    # In a pipeline ROLLBACK undoes all since COMMIT: the second BEGIN finds a transaction under way.
    kept = (70, 72) if pipelined else (70, 71, 72)
    with shop.direct() as direct:
        rows = direct.execute("SELECT id, email FROM other.customers ORDER BY id").fetchall()
        assert rows == [(number, f"{number}@x.example") for number in kept]
