"""Names: spelled in every way PostgreSQL reads, and looked up on a search_path that changes.

`plain.customers` and `sealed.customers` have the same name and columns; which one a statement means
is for the session's search_path to say, at the moment it runs.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from tests.integration.schemas import WAYS, Schemas
from tests.integration.shop import Shop

LONG = "a" * 62

SPELLINGS = (
    'SELECT EMAIL, "email", eMail AS "E Mail" FROM Customers WHERE "customers".EMAIL = \'ann@x\'',
    'SELECT U&"\\0065mail" FROM U&"c\\0075stomers" WHERE U&"\\+000065mail" = U&\'\\0061nn@x\'',
    'SELECT c."email" FROM "customers" AS "c" WHERE "c"."email" IN (E\'ann\\x40x\', $$bob@x$$)',
    f"SELECT s.{LONG}é1 FROM (SELECT email AS {LONG}é2 FROM customers) s WHERE {LONG}é3 = 'ann@x'",
    f"WITH \"{LONG}bc\" AS (SELECT * FROM customers) SELECT email FROM {LONG}bd WHERE email = 'ann@x'",
    'SELECT "select"."from" FROM (SELECT email AS "from" FROM customers) AS "select"',
    "SELECT email/**/FROM/*;*/customers --email\nWHERE email/*=*/='ann@x'",
)


@pytest.mark.parametrize("way", WAYS)
def test_a_name_means_what_it_means_to_postgresql(schemas: Schemas, way: str) -> None:
    """Folded, quoted, with Unicode escapes, cut at 63 bytes, with comments between."""
    schemas.check(SPELLINGS, way=way)


@pytest.fixture
def app(schemas_shop: Shop) -> Iterator[psycopg.Connection[Any]]:
    with schemas_shop.connect() as connection:
        yield connection


LOOKED_UP = "SELECT id FROM customers WHERE email = 'ann@x'"
PUT = "INSERT INTO customers (id, email) VALUES (70, 'seventy@x')"


def where_put(shop: Shop) -> set[str]:
    with shop.direct() as direct:
        rows = direct.execute(
            "SELECT 'plain' FROM plain.customers WHERE id = 70 AND email = 'seventy@x'"
            " UNION ALL SELECT 'sealed' FROM sealed.customers WHERE id = 70 AND email IS NOT NULL"
        ).fetchall()
        direct.execute("DELETE FROM plain.customers WHERE id = 70")
        direct.execute("DELETE FROM sealed.customers WHERE id = 70")
    return {row[0] for row in rows}


@pytest.mark.parametrize(
    ("before", "expected"),
    [
        (["SET search_path = sealed"], {"sealed"}),
        (["SET search_path = plain, sealed"], {"plain"}),
        (["SET search_path = sealed", "SET search_path TO plain"], {"plain"}),
        (["SELECT set_config('search_path', 'sealed, plain', false)"], {"sealed"}),
        (["SET search_path = plain", "BEGIN", "SET search_path = sealed", "ROLLBACK"], {"plain"}),
        (["SET search_path = sealed", "BEGIN", "SET LOCAL search_path = plain", "COMMIT"], {"sealed"}),
        (
            ["SET search_path = plain", "BEGIN", "SAVEPOINT s", "SET search_path = sealed",
             "ROLLBACK TO s", "COMMIT"],
            {"plain"},
        ),
        (["SET search_path = nowhere, sealed"], {"sealed"}),
        (["SET search_path = sealed", "BEGIN", "SET LOCAL search_path = plain"], set()),
    ],
)  # fmt: skip
def test_the_search_path_of_the_moment_decides(
    schemas_shop: Shop, app: psycopg.Connection[Any], before: list[str], expected: set[str]
) -> None:
    """Set, reset, local to a transaction, rolled back: the value is sealed where the row goes to the sealed table."""
    for sql in before:
        app.execute(sql)
    app.execute(PUT)
    assert app.execute(LOOKED_UP).fetchall() == [(1,)]
    if app.info.transaction_status == psycopg.pq.TransactionStatus.INTRANS:
        app.execute("ROLLBACK")
    assert where_put(schemas_shop) == expected


def test_a_path_that_is_not_known_yet_is_not_guessed(
    schemas_shop: Shop, app: psycopg.Connection[Any]
) -> None:
    """Behind SET in one message the name could be either table's: refused; qualified it is certain."""
    with pytest.raises(psycopg.errors.FeatureNotSupported, match="several relations"):
        app.execute(f"SET search_path = sealed; {PUT}")
    app.execute(f"SET search_path = plain; {PUT.replace('customers', 'sealed.customers')}")
    assert where_put(schemas_shop) == {"sealed"}


def test_a_temporary_table_does_not_take_a_sealed_name(app: psycopg.Connection[Any]) -> None:
    """It would shadow the sealed table, and its rows be plaintext."""
    app.execute("SET search_path = sealed")
    for sql in (
        "CREATE TEMP TABLE customers (id int, email text)",
        "CREATE TABLE pg_temp.customers (id int, email text)",
        "CREATE TEMP TABLE customers AS SELECT 1 AS id",
    ):
        with pytest.raises(psycopg.errors.FeatureNotSupported):
            app.execute(sql)
