"""What an adversarial review got through once: values that became others, and ways around the grants."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import psycopg
import pytest

from tests.integration.shop import Shop


@pytest.fixture(scope="module")
def views(shop: Shop) -> Iterator[Shop]:
    """A view of the analyst's own, who has no grant on any sealed column."""
    with shop.connect("analyst") as analyst:
        analyst.execute("CREATE VIEW mine AS SELECT id, email, ssn, name FROM customers")
    yield shop
    with shop.direct() as direct:
        direct.execute("DROP VIEW mine")


@pytest.mark.parametrize(
    ("sql", "sqlstate"),
    [
        ("UPDATE mine SET email = NULL", "0A000"),
        ("UPDATE mine SET email = ssn", "0A000"),
        ("UPDATE mine m SET email = o.email FROM mine o WHERE o.id <> m.id", "0A000"),
        ("INSERT INTO mine (id, name, email) SELECT id + 500, name, ssn FROM mine", "0A000"),
        ("SELECT id FROM mine WHERE email IS NULL", "42501"),
        ("SELECT count(email) FROM mine", "42501"),
        ("CREATE VIEW next AS SELECT id, email IS NULL AS gone FROM customers", "42501"),
        (
            "CREATE VIEW next AS SELECT id, lag(email) OVER (ORDER BY id) AS e FROM customers",
            "0A000",
        ),
        (
            "CREATE VIEW next AS SELECT id, CASE WHEN true THEN email END AS e FROM customers",
            "0A000",
        ),
    ],
)
def test_a_view_is_no_way_around_the_grants(views: Shop, sql: str, sqlstate: str) -> None:
    """A role with no grant neither writes, tests nor takes the terms of a sealed column through a view of its own."""
    with views.connect("analyst") as analyst, pytest.raises(psycopg.Error) as refused:
        analyst.execute(sql.encode())
    assert refused.value.diag.sqlstate == sqlstate


def ids(connection: psycopg.Connection[Any], condition: str) -> list[int]:
    query = f"SELECT id FROM customers WHERE {condition} ORDER BY id"
    return [row[0] for row in connection.execute(query.encode())]


def test_a_cast_around_an_array_is_each_items_own(shop: Shop) -> None:
    """ARRAY[...]::type[] cuts and rounds its items before they are compared."""
    with shop.connect() as app:
        assert ids(app, "email = ANY (ARRAY['ada@example.com.au']::varchar(15)[])") == [1]
        assert ids(app, "birth_date = ANY (ARRAY['1985-12-10 10:00']::timestamp[])") == []
        assert ids(app, "birth_date = ANY (ARRAY['1985-12-10 00:00']::timestamp[])") == [1]


@pytest.mark.parametrize(
    "condition",
    [
        "birth_date IN ('1985-12-10 10:00', '2000-01-01 12:00'::timestamp)",
        "birth_date = ANY (ARRAY['1985-12-10 10:00', '2000-01-01 12:00'::timestamp])",
        "email IN (VALUES ('x'::char(9)), ('ada@example.com  '))",
    ],
)
def test_values_that_one_common_type_would_change(shop: Shop, condition: str) -> None:
    """They are refused, not read one by one as the column's type."""
    with shop.connect() as app, pytest.raises(psycopg.errors.FeatureNotSupported) as refused:
        ids(app, condition)
    assert "side by side" in (refused.value.diag.message_primary or "")


def test_a_value_that_is_shown_is_not_cut_to_the_columns_length(shop: Shop) -> None:
    """In a statement that writes the column as well, a value beside it in RETURNING is not one that is assigned."""
    update = "UPDATE customers SET balance = NULL WHERE id = 1 RETURNING coalesce(balance, %s)"
    with (
        shop.connect(cursor_factory=psycopg.ClientCursor) as app,
        app.transaction(force_rollback=True),
    ):
        assert [str(row[0]) for row in app.execute(update, (Decimal("1.50"),))] == ["1.50"]
    with shop.connect() as app, pytest.raises(psycopg.errors.FeatureNotSupported):
        app.execute(update, (Decimal("1.505"),))


def test_a_condition_is_grouped_by(shop: Shop) -> None:
    """A literal that is compared twice is the same text twice, as GROUP BY needs it."""
    condition = "email = 'ada@example.com'"
    query = f"SELECT {condition}, count(*) FROM customers WHERE id < 4 GROUP BY {condition} ORDER BY 2, 1"
    with shop.connect() as app:
        assert app.execute(query.encode()).fetchall() == [(False, 1), (True, 1), (None, 1)]


def test_sealed_values_of_a_list_do_not_show_in_json(shop: Shop) -> None:
    """`v.*` as an argument is a use of the values as they are."""
    query = "SELECT json_agg(v.*) FROM customers c JOIN (VALUES ('ada@example.com')) AS v (e) ON c.email = v.e"
    with shop.connect() as app, pytest.raises(psycopg.errors.FeatureNotSupported):
        app.execute(query)


def test_no_constant_reaches_the_server_in_a_body(shop: Shop) -> None:
    """Bodies of functions and tables made like a sealed one: refused before the server's log has them."""
    canary = "canary-in-a-body@x"
    statements = (
        f"CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT id FROM customers WHERE email = ''{canary}'''",
        f"CREATE FUNCTION f() RETURNS int LANGUAGE sql RETURN (SELECT id FROM customers WHERE email = '{canary}')",
        f"CREATE TABLE child (email text DEFAULT '{canary}') INHERITS (customers)",
        f"ALTER TABLE customers ADD CHECK (customers <> ROW(1, '{canary}'))",
    )
    with shop.connect() as app:
        for statement in statements:
            with pytest.raises(psycopg.errors.FeatureNotSupported):
                app.execute(statement.encode())
    assert canary not in shop.database.postgres.log_path.read_text(errors="replace")
