"""Views, functions, triggers, rules and DO blocks: reads unseal by the value, writes meet the domain."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest
from psycopg import ClientCursor

from tests.conftest import Database
from tests.integration.shop import SCHEMA, Shop

OBJECTS = """
CREATE VIEW people AS SELECT id, name, email, birth_date FROM customers;
CREATE VIEW adults AS SELECT * FROM people WHERE id < 1000;
CREATE VIEW guarded WITH (security_barrier) AS SELECT id, email AS mail FROM customers;
CREATE VIEW mixed AS SELECT email FROM customers UNION ALL SELECT ssn FROM customers;
CREATE MATERIALIZED VIEW snapshot AS SELECT id, email, birth_date FROM customers;

CREATE FUNCTION all_customers() RETURNS SETOF customers LANGUAGE sql AS 'SELECT * FROM customers ORDER BY id';
CREATE FUNCTION by_id(wanted int) RETURNS TABLE (mail sealgate.sealed_text, born sealgate.sealed_date)
    LANGUAGE plpgsql AS $$ BEGIN RETURN QUERY SELECT c.email, c.birth_date FROM customers c WHERE c.id = wanted; END $$;
CREATE FUNCTION parts(wanted int, OUT mail sealgate.sealed_text, OUT title text)
    LANGUAGE plpgsql AS $$ BEGIN SELECT c.email, c.name INTO mail, title FROM customers c WHERE c.id = wanted; END $$;
CREATE FUNCTION mail_of(wanted int) RETURNS sealgate.sealed_text
    LANGUAGE sql AS 'SELECT email FROM customers WHERE id = wanted';
CREATE FUNCTION raw_mail_of(wanted int) RETURNS bytea LANGUAGE sql AS 'SELECT email::bytea FROM customers WHERE id = wanted';
CREATE FUNCTION set_mail(wanted int, value text) RETURNS void
    LANGUAGE plpgsql AS $$ BEGIN UPDATE customers SET email = value::bytea WHERE id = wanted; END $$;
CREATE FUNCTION open_cursor() RETURNS refcursor
    LANGUAGE plpgsql AS $$ DECLARE c refcursor := 'those'; BEGIN OPEN c FOR SELECT id, email FROM customers ORDER BY id; RETURN c; END $$;

CREATE TABLE history (id int, email sealgate.sealed_text, ssn sealgate.sealed_text, at timestamptz DEFAULT now());
CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN INSERT INTO history (id, email, ssn) VALUES (OLD.id, OLD.email, OLD.ssn); RETURN NEW; END $$;
CREATE TRIGGER keep BEFORE UPDATE ON customers FOR EACH ROW EXECUTE FUNCTION keep();

CREATE TABLE inbox (id int, email text);
CREATE RULE to_customers AS ON INSERT TO inbox DO INSTEAD
    INSERT INTO customers (id, name, email) VALUES (NEW.id, 'rule', NEW.email::bytea);
CREATE TABLE watched (id int, note text);
CREATE RULE tell AS ON UPDATE TO watched DO ALSO SELECT id, email FROM customers WHERE id = NEW.id;
INSERT INTO watched VALUES (1, 'a');
GRANT ALL ON ALL TABLES IN SCHEMA public TO PUBLIC;
"""
ADA = ("ada@example.com", datetime.date(1985, 12, 10))


@pytest.fixture(scope="module")
def shop(
    make_database: Callable[[], Database], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Shop]:
    database = make_database()
    database.psql(SCHEMA)
    shop = Shop(database, tmp_path_factory.mktemp("indirect"))
    shop.prepare()
    database.psql(OBJECTS)
    shop.serve()
    yield shop
    shop.stop()
    database.postgres.drop_database(database.name)


@pytest.fixture(params=["extended", "simple", "binary"])
def app(shop: Shop, request: pytest.FixtureRequest) -> Iterator[psycopg.Connection[Any]]:
    factory = ClientCursor if request.param == "simple" else psycopg.Cursor
    with shop.connect(cursor_factory=factory) as connection, connection.transaction():
        connection.binary = request.param == "binary"  # type: ignore[attr-defined]
        yield connection
        raise psycopg.Rollback


def first(app: psycopg.Connection[Any], query: str, *values: Any) -> Any:
    cursor = app.cursor(binary=app.binary)  # type: ignore[attr-defined]
    return cursor.execute(query.encode(), values or None).fetchone()


# What is read, with the logical type.

READ = {
    "SELECT email, birth_date FROM people WHERE id = 1": ADA,
    "SELECT email, birth_date FROM adults WHERE id = 1": ADA,
    "SELECT mail FROM guarded WHERE id = 1": ADA[:1],
    "SELECT email, birth_date FROM snapshot WHERE id = 1": ADA,
    "SELECT email, birth_date FROM all_customers() LIMIT 1": ADA,
    "SELECT * FROM by_id(1)": ADA,
    "SELECT born, mail FROM by_id(1) AS f": ADA[::-1],
    "SELECT b, c.id FROM customers c, LATERAL by_id(c.id) AS f(a, b) WHERE c.id = 1": (ADA[1], 1),
    "SELECT * FROM parts(1)": (ADA[0], "Ada"),
    "SELECT mail_of(1)": ADA[:1],
    "SELECT mail FROM mail_of(1) AS mail": ADA[:1],
    "SELECT mail_of(c.id), c.name FROM customers c WHERE c.id = 1": (ADA[0], "Ada"),
}


@pytest.mark.parametrize("query", READ)
def test_read(app: psycopg.Connection[Any], query: str) -> None:
    """Values come back clear and as the declared type, whatever they were read through."""
    assert first(app, query) == READ[query]


MASKED = (
    "SELECT mail, born FROM by_id(1)",
    "SELECT email, birth_date FROM adults WHERE id = 1",
    "SELECT email, birth_date FROM all_customers() LIMIT 1",
    "SELECT email, birth_date FROM snapshot WHERE id = 1",
)


@pytest.mark.parametrize("query", MASKED)
def test_authority_goes_with_the_value(shop: Shop, query: str) -> None:
    """A role with a mask gets the mask through them, a role without grants gets NULLs."""
    with shop.connect("support_login") as support, shop.connect("analyst") as analyst:
        assert support.execute(query.encode()).fetchone() == (ADA[0], datetime.date(1985, 1, 1))
        assert analyst.execute(query.encode()).fetchone() == (None, None)


def test_a_type_that_nobody_tells(shop: Shop) -> None:
    """A function that returns bytea: unsealed by the value, shown as bytea; the event names the column all the same."""
    before = shop.clear_events()
    with shop.connect() as app, shop.connect("analyst") as analyst:
        assert app.execute("SELECT raw_mail_of(1)").fetchone() == (b"ada@example.com",)
        assert analyst.execute("SELECT raw_mail_of(1)").fetchone() == (None,)
    read = [e for e in shop.events()[before:] if e["metadata"]["event_code"] == "statement.read"]
    columns = [e["unmapped"]["sealgate"]["columns"] for e in read]
    assert [[c["name"] for c in found] for found in columns] == [["public.customers.email"]] * 2
    assert [[c["outcome"] for c in found] for found in columns] == [["clear"], ["withheld"]]
    assert [c.get("shown_as") for found in columns for c in found] == ["bytea", None]


def test_a_cursor_that_a_function_opened(app: psycopg.Connection[Any]) -> None:
    """FETCH from a refcursor: the server describes the table's column."""
    first(app, "SELECT open_cursor()")
    assert first(app, "FETCH NEXT FROM those") == (1, "ada@example.com")


# Writes.


def test_writes_through_a_view(shop: Shop, app: psycopg.Connection[Any]) -> None:
    """An updatable view's sealed column takes no plaintext: refused before it is sent; its other columns are written."""
    app.execute("UPDATE people SET name = 'Ada L.' WHERE id = 1")
    assert first(app, "SELECT name, email FROM adults WHERE id = 1") == ("Ada L.", ADA[0])
    with pytest.raises(psycopg.errors.FeatureNotSupported, match=r"people\.email"):
        app.execute("UPDATE people SET email = 'canary-view@x.example' WHERE id = 1")
    assert "canary-view" not in shop.database.postgres.log_text()


def test_a_comparison_on_a_view_or_a_function(shop: Shop, app: psycopg.Connection[Any]) -> None:
    """Refused: which key to compute the term under is not certain; the literal is not sent."""
    for query in (
        "SELECT id FROM people WHERE email = 'canary-cmp'",
        "SELECT 1 FROM by_id(1) WHERE mail = 'canary-cmp'",
    ):
        with pytest.raises(psycopg.errors.FeatureNotSupported), app.transaction():
            app.execute(query.encode())
    assert "canary-cmp" not in shop.database.postgres.log_text()


def test_a_trigger_that_copies_rows(app: psycopg.Connection[Any]) -> None:
    """What the trigger keeps is the sealed value, read from there like from the table."""
    app.execute("UPDATE customers SET email = 'new@example.com' WHERE id = 1")
    assert first(app, "SELECT email, ssn FROM history WHERE id = 1") == (ADA[0], "123-45-6789")
    assert first(app, "SELECT email FROM customers WHERE id = 1") == ("new@example.com",)


def test_plaintext_inside_the_server(app: psycopg.Connection[Any]) -> None:
    """A function, a rule and a DO block that would store a plaintext: the domain refuses it."""
    for statement in (
        "SELECT set_mail(1, 'inside@x.example')",
        "INSERT INTO inbox (id, email) VALUES (90, 'inside@x.example')",
    ):
        with pytest.raises(psycopg.errors.CheckViolation), app.transaction():
            app.execute(statement.encode())
    with pytest.raises(psycopg.errors.FeatureNotSupported), app.transaction():
        app.execute("DO $$ BEGIN UPDATE customers SET email = 'x'::bytea; END $$")
    assert first(app, "SELECT email FROM customers WHERE id = 1") == ADA[:1]


def test_a_rule_that_answers_with_rows(shop: Shop) -> None:
    """DO ALSO SELECT: what it returns is unsealed for who may read it. The server does not say whose column it is:
    bytea."""
    query = "UPDATE watched SET note = 'b' WHERE id = 1"
    with shop.connect(cursor_factory=ClientCursor) as app:
        assert app.execute(query.encode()).fetchone() == (1, b"ada@example.com")
    with shop.connect("analyst", cursor_factory=ClientCursor) as analyst:
        assert analyst.execute(query.encode()).fetchone() == (1, None)


def test_what_is_created_through_the_proxy(app: psycopg.Connection[Any]) -> None:
    """A view and a function that the session makes are known to its next statement."""
    app.execute("CREATE FUNCTION pg_temp.latest() RETURNS int LANGUAGE sql AS 'SELECT 1'")
    app.execute("CREATE VIEW later AS SELECT id, email FROM customers")
    assert first(app, "SELECT email FROM later WHERE id = 1") == ADA[:1]
    app.execute(
        "CREATE FUNCTION mails() RETURNS SETOF sealgate.sealed_text LANGUAGE sql AS"
        " 'SELECT email FROM customers ORDER BY id'"
    )
    assert first(app, "SELECT * FROM mails()") == ADA[:1]
