"""Statements on sealed columns, through real drivers: simple and extended, text and binary."""

from __future__ import annotations

import datetime
import decimal
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from psycopg import ClientCursor

from tests.integration.shop import Shop


@pytest.fixture(params=["extended", "simple", "binary"])
def app(shop: Shop, request: pytest.FixtureRequest) -> Iterator[psycopg.Connection[Any]]:
    """The shop's application; `simple` interpolates literals as psycopg 2 and others do."""
    factory = ClientCursor if request.param == "simple" else psycopg.Cursor
    with shop.connect(cursor_factory=factory) as connection:
        if request.param == "binary":
            connection.adapters.register_dumper(str, psycopg.types.string.StrBinaryDumper)
        yield connection
        connection.execute("DELETE FROM orders WHERE id > 2")
        connection.execute("DELETE FROM customers WHERE id > 3")


def declares_text(app: psycopg.Connection[Any]) -> bool:
    """The connection sends strings as text in binary form, instead of leaving the type to the server."""
    return app.adapters.get_dumper(str, psycopg.adapt.PyFormat.AUTO).oid == 25


def stored(shop: Shop, name: str) -> dict[str, bytes | None]:
    with shop.direct() as direct:
        row = direct.execute(
            "SELECT email, ssn, birth_date FROM customers WHERE name = %s", (name,)
        ).fetchone()
    assert row is not None
    return dict(zip(("email", "ssn", "birth_date"), row, strict=True))


def assert_sealed(values: dict[str, bytes | None]) -> None:
    for name, value in values.items():
        assert value is None or value.startswith(b"\x5e\xa1\x01"), name


def test_insert_and_read_back(shop: Shop, app: psycopg.Connection[Any]) -> None:
    """Values go in sealed and come back as they were, with RETURNING too."""
    row = app.execute(
        "INSERT INTO customers (name, email, ssn, birth_date, balance) VALUES (%s, %s, %s, %s, %s) "
        "RETURNING id, email, birth_date, balance",
        ("Dee", "dee@example.com", "1", datetime.date(2000, 2, 29), decimal.Decimal("1.5")),
    ).fetchone()
    assert row is not None
    assert row[1:] == ("dee@example.com", datetime.date(2000, 2, 29), decimal.Decimal("1.50"))
    assert_sealed(stored(shop, "Dee"))
    again = app.execute("SELECT ssn FROM customers WHERE id = %s", (row[0],)).fetchone()
    assert again == ("1",)


def test_insert_several_rows_null_default_and_no_column_list(
    shop: Shop, app: psycopg.Connection[Any]
) -> None:
    """Every row of VALUES is sealed; NULL and DEFAULT stay what they are."""
    app.execute(
        "INSERT INTO customers VALUES (DEFAULT, %s, %s, NULL, DEFAULT, 5), (DEFAULT, %s, DEFAULT, %s, %s, %s)",
        ("E1", "e1@example.com", "E2", "2", datetime.date(2001, 1, 1), 7),
    )
    assert_sealed(stored(shop, "E1"))
    assert_sealed(stored(shop, "E2"))
    rows = app.execute(
        "SELECT name, email, ssn, balance FROM customers WHERE name LIKE 'E_' ORDER BY name"
    ).fetchall()
    assert rows == [
        ("E1", "e1@example.com", None, decimal.Decimal("5.00")),
        ("E2", None, "2", decimal.Decimal("7.00")),
    ]


def test_insert_select_from_the_same_column(shop: Shop, app: psycopg.Connection[Any]) -> None:
    """The same column's values may travel; another column's may not."""
    app.execute(
        "INSERT INTO customers (name, ssn) SELECT 'Fay', ssn FROM customers WHERE id = %s", (1,)
    )
    assert app.execute("SELECT ssn FROM customers WHERE name = 'Fay'").fetchone() == (
        "123-45-6789",
    )
    with pytest.raises(psycopg.errors.FeatureNotSupported):
        app.execute(
            "INSERT INTO customers (name, ssn) SELECT 'Gus', email FROM customers WHERE id = 1"
        )


def test_update_forms(shop: Shop, app: psycopg.Connection[Any]) -> None:
    """SET, tuple SET, FROM, an alias."""
    app.execute("INSERT INTO customers (name, email) VALUES ('Hal', %s)", ("hal@example.com",))
    app.execute(
        "UPDATE customers SET email = %s, note = 'x' WHERE email = %s",
        ("hal2@example.com", "hal@example.com"),
    )
    app.execute(
        "UPDATE customers AS c SET (ssn, birth_date) = (%s, %s) WHERE c.email = %s",
        ("3", datetime.date(2002, 2, 2), "hal2@example.com"),
    )
    app.execute(
        "UPDATE customers SET ssn = %s FROM orders o WHERE customers.name = 'Hal' AND o.id = 1",
        ("4",),
    )
    assert_sealed(stored(shop, "Hal"))
    row = app.execute(
        "SELECT email, ssn, birth_date, note FROM customers WHERE name = 'Hal'"
    ).fetchone()
    assert row == ("hal2@example.com", "4", datetime.date(2002, 2, 2), "x")


def test_upsert_with_excluded(shop: Shop, app: psycopg.Connection[Any]) -> None:
    """ON CONFLICT on a sealed unique column, EXCLUDED in the update."""
    upsert = (
        "INSERT INTO customers (name, email, ssn) VALUES (%s, %s, %s) "
        "ON CONFLICT (email) DO UPDATE SET name = EXCLUDED.name, ssn = EXCLUDED.ssn RETURNING id, ssn"
    )
    first = app.execute(upsert, ("Ida", "ida@example.com", "5")).fetchone()
    second = app.execute(upsert, ("Ida B", "ida@example.com", "6")).fetchone()
    assert first is not None
    assert second == (first[0], "6")
    assert_sealed(stored(shop, "Ida B"))


def test_unique_is_still_unique(shop: Shop, app: psycopg.Connection[Any]) -> None:
    """The same e-mail twice is PostgreSQL's own 23505, and the error has no plaintext."""
    with pytest.raises(psycopg.errors.UniqueViolation) as caught:
        app.execute("INSERT INTO customers (name, email) VALUES ('Twin', %s)", ("ada@example.com",))
    assert "ada@example.com" not in str(caught.value)


def test_delete_using(app: psycopg.Connection[Any]) -> None:
    """DELETE ... USING with a comparison on a sealed column."""
    app.execute("INSERT INTO customers (name, email) VALUES ('Jan', %s)", ("jan@example.com",))
    deleted = app.execute(
        "DELETE FROM customers c USING orders o WHERE o.id = 1 AND c.email = %s RETURNING c.email",
        ("jan@example.com",),
    ).fetchall()
    assert deleted == [("jan@example.com",)]


@pytest.mark.parametrize(
    ("condition", "parameters", "names"),
    [
        ("email = %s", ("ada@example.com",), ["Ada"]),
        ("%s = email", ("ada@example.com",), ["Ada"]),
        ("email = 'ada@example.com'::text", (), ["Ada"]),
        ("email = 'nobody'", (), []),
        ("email <> %s", ("ada@example.com",), ["Bob"]),
        ("email IN (%s, %s, 'x')", ("ada@example.com", "bob@example.com"), ["Ada", "Bob"]),
        ("email NOT IN (%s)", ("ada@example.com",), ["Bob"]),
        ("email = ANY(%s)", (["bob@example.com", "zed"],), ["Bob"]),
        ("email IS NULL", (), ["Cyd"]),
        ("email IS NOT NULL", (), ["Ada", "Bob"]),
        ("birth_date = %s", (datetime.date(1990, 1, 2),), ["Bob"]),
        ("birth_date = '1990-01-02'", (), ["Bob"]),
        ("birth_date = DATE '1990-01-02' AND email = %s", ("bob@example.com",), ["Bob"]),
        ("NOT email = %s", ("bob@example.com",), ["Ada"]),
    ],
)
def test_comparisons(
    app: psycopg.Connection[Any], condition: str, parameters: tuple[Any, ...], names: list[str]
) -> None:
    """Equality as declared, NULL semantics as SQL's."""
    rows = app.execute(
        f"SELECT name FROM customers WHERE id <= 3 AND {condition} ORDER BY id", parameters
    ).fetchall()
    assert [row[0] for row in rows] == names


@pytest.mark.parametrize(
    "condition",
    [
        "email = 'ada@example.com'",
        "email = %s",
        "email IN (%s, 'x')",
        "email = ANY(%s)",
        "email = %s::varchar",
    ],
)
def test_the_functional_index_is_used(shop: Shop, condition: str) -> None:
    """EXPLAIN through the proxy shows an index scan on sealgate.eq(email)."""
    parameters = [["a", "b"] if "ANY" in condition else "a"] if "%s" in condition else []
    with shop.connect() as app:
        app.execute("SET enable_seqscan = off")
        plan = str(
            app.execute(
                f"EXPLAIN SELECT name FROM customers WHERE {condition}", parameters
            ).fetchall()
        )
    assert "customers_email_key" in plan


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT lower(email) FROM customers",
        "SELECT email || 'x' FROM customers",
        "SELECT name FROM customers ORDER BY email",
        "SELECT DISTINCT ssn FROM customers",
        "SELECT ssn, count(*) FROM customers GROUP BY ssn",
        "SELECT max(email) FROM customers",
        "SELECT name FROM customers WHERE email LIKE 'a%'",
        "SELECT name FROM customers WHERE email > 'a'",
        "SELECT name FROM customers WHERE ssn = '123-45-6789'",
        "SELECT email FROM customers EXCEPT SELECT email FROM customers",
        "SELECT email FROM customers UNION ALL SELECT ssn FROM customers",
        "SELECT email FROM customers UNION ALL SELECT name FROM customers",
        "UPDATE customers SET email = lower('X')",
        "UPDATE customers SET email = ssn",
        "UPDATE customers SET note = email",
        "INSERT INTO plain (id, email) SELECT id, email FROM customers",
        "SELECT to_json(c) FROM customers c",
        "SELECT c FROM customers c",
        "COPY customers TO '/tmp/customers'",
        "COPY customers (email) FROM PROGRAM 'cat'",
        "COPY customers (email) FROM STDIN WHERE email = 'x'",
        "DECLARE c CURSOR FOR SELECT lower(email) FROM customers",
        "PREPARE p (point) AS SELECT id FROM customers WHERE email = $1",
    ],
)
def test_refused_for_a_reason_that_helps(shop: Shop, statement: str) -> None:
    """0A000, naming the column or table, with a hint; the session goes on, in and out of transactions."""
    with shop.connect() as app:
        with pytest.raises(psycopg.errors.FeatureNotSupported) as caught:
            app.execute(statement)
        assert caught.value.diag.message_hint, str(caught.value)
        assert "123-45" not in str(caught.value)
        assert app.execute("SELECT count(*) FROM plain").fetchone() is not None
        with pytest.raises(psycopg.errors.FeatureNotSupported), app.transaction():
            app.execute(statement)
        assert app.info.transaction_status == psycopg.pq.TransactionStatus.IDLE


def test_a_refusal_inside_a_transaction_aborts_it_as_the_server_would(shop: Shop) -> None:
    """Status `E` until ROLLBACK, 25P02 in between; a savepoint recovers."""
    with shop.connect() as app:
        app.execute("BEGIN")
        app.execute("SAVEPOINT s")
        with pytest.raises(psycopg.errors.FeatureNotSupported):
            app.execute("SELECT lower(email) FROM customers")
        assert app.info.transaction_status == psycopg.pq.TransactionStatus.INERROR
        with pytest.raises(psycopg.errors.InFailedSqlTransaction):
            app.execute("SELECT 1")
        app.execute("ROLLBACK TO s")
        assert app.execute("SELECT email FROM customers WHERE id = 1").fetchone() == (
            "ada@example.com",
        )
        app.execute("COMMIT")


@pytest.mark.parametrize(
    ("column", "value", "sqlstate"),
    [
        ("birth_date", "not a date", "22007"),
        ("birth_date", "2001-02-30", "22008"),
        ("balance", "twelve", "22P02"),
        ("balance", "12345678901.00", "22003"),
    ],
)
def test_values_that_are_not_of_the_type(
    app: psycopg.Connection[Any], column: str, value: str, sqlstate: str
) -> None:
    """The server's own SQLSTATE, and the value is not in the message."""
    if declares_text(app):
        sqlstate = "42804"  # The parameter is declared as text: PostgreSQL looks no further.
    with pytest.raises(psycopg.Error) as caught:
        app.execute(f"UPDATE customers SET {column} = %s WHERE id = 1", (value,))
    assert caught.value.sqlstate == sqlstate
    assert value not in str(caught.value)
    assert app.execute("SELECT balance FROM customers WHERE id = 1").fetchone() == (
        decimal.Decimal("100.50"),
    )


def test_several_statements_in_one_query(shop: Shop) -> None:
    """Each is planned; one that is refused rolls back the others, as in PostgreSQL."""
    with shop.connect() as app:
        cursor = app.execute(
            "INSERT INTO customers (name, email) VALUES ('Kim', 'kim@example.com'); "
            "SELECT email FROM customers WHERE email = 'kim@example.com'; SELECT 1"
        )
        assert cursor.nextset()
        assert cursor.fetchone() == ("kim@example.com",)
        assert_sealed(stored(shop, "Kim"))
        with pytest.raises(psycopg.errors.FeatureNotSupported):
            app.execute(
                "UPDATE customers SET note = 'gone' WHERE name = 'Kim'; SELECT lower(email) FROM customers"
            )
        assert app.execute("SELECT note FROM customers WHERE name = 'Kim'").fetchone() == ("none",)
        app.execute("DELETE FROM customers WHERE name = 'Kim'")


def test_untouched_statements_are_what_they_were(shop: Shop) -> None:
    """Tables without sealed columns, bytea that looks like a sealed value included."""
    with shop.connect() as app, shop.direct() as direct:
        for query in (
            "SELECT * FROM orders ORDER BY id",
            "SELECT 1, NULL, 'x'",
            "SHOW search_path",
        ):
            assert app.execute(query).fetchall() == direct.execute(query).fetchall()
        app.execute(
            "INSERT INTO plain VALUES (1, 'p@example.com', %s, 2)", (b"\x5e\xa1\x01\x00raw",)
        )
        assert direct.execute("SELECT email, blob FROM plain").fetchone() == (
            "p@example.com",
            b"\x5e\xa1\x01\x00raw",
        )
        assert app.execute("SELECT blob FROM plain").fetchone() == (b"\x5e\xa1\x01\x00raw",)


def test_a_unique_violation_tells_no_term(app: psycopg.Connection[Any]) -> None:
    """SQLSTATE and column are PostgreSQL's; the DETAIL has neither the value nor the term that stands for it."""
    with pytest.raises(psycopg.errors.UniqueViolation) as caught:
        app.execute("INSERT INTO customers (name, email) VALUES ('x', 'ada@example.com')")
    assert caught.value.diag.message_detail == "Key (email)=(sealed) already exists."
    with pytest.raises(psycopg.errors.NotNullViolation) as caught_null:
        app.execute("INSERT INTO customers (name, ssn) VALUES (NULL, '1')")
    detail = caught_null.value.diag.message_detail or ""
    assert "sealed" in detail
    assert "5ea1" not in detail
