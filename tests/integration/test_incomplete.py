"""What is declared changes under a running proxy: until every row carries the terms, a comparison is refused, never short of rows."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import psycopg
import pytest

from tests.conftest import Database
from tests.integration.shop import COLUMNS, SCHEMA, Shop

EMAIL = 'search = ["equality"]\nmask = "email"'
SSN = 'mask = "keep_last:4"'
FIND = "SELECT id FROM customers WHERE {} = %s"


@pytest.fixture
def shop(
    make_database: Callable[[], Database], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Shop]:
    database = make_database()
    database.psql(SCHEMA)
    made = Shop(database, tmp_path_factory.mktemp("incomplete"))
    made.prepare()
    declare(made, COLUMNS)
    made.serve()
    yield made
    made.stop()
    database.postgres.drop_database(database.name)


def declare(shop: Shop, columns: str) -> None:
    """The configuration from now on, for whoever reads it next; the proxy looks at the catalog every second."""
    shop.columns = columns
    shop.write_config()
    text = shop.config.read_text()
    shop.config.write_text(text.replace("[keystore]", "refresh_seconds = 1\n[keystore]"))


def find(client: psycopg.Connection[tuple[int]], column: str, value: str) -> list[int] | str:
    """The rows, or the SQLSTATE of the refusal; the second time by a statement that was prepared."""
    try:
        rows = client.execute(FIND.format(column), (value,), prepare=True).fetchall()
    except psycopg.Error as error:
        return f"{error.sqlstate} {error.diag.message_primary}"
    return sorted(row[0] for row in rows)


def within(seconds: float, look: Callable[[], object], wanted: object) -> None:
    """The proxy sees another session's DDL when it looks at the catalog the next time."""
    deadline = time.monotonic() + seconds
    while (found := look()) != wanted:
        assert time.monotonic() < deadline, found
        time.sleep(0.1)


def test_a_new_search_is_refused_until_all_rows_have_its_terms(shop: Shop) -> None:
    """Reloaded first: refused, while writes carry the terms already and what was declared before goes on; after apply all are found."""
    with psycopg.connect(shop.dsn("shop_app"), autocommit=True) as client:
        declare(shop, COLUMNS.replace(SSN, f'{SSN}\nsearch = ["equality"]'))
        shop.reload()
        refusal = "0A000 column public.customers.ssn is not compared: its rows do not all have the search terms that are declared"
        assert find(client, "ssn", "123-45-6789") == refusal
        client.execute("INSERT INTO customers (name, ssn) VALUES ('Dot', '123-45-6789')")
        assert find(client, "ssn", "123-45-6789") == refusal
        assert find(client, "email", "ada@example.com") == [1]
        for statement in (
            "SELECT ssn FROM customers GROUP BY ssn",
            "SELECT DISTINCT ssn FROM customers",
            "SELECT count(DISTINCT ssn) FROM customers",
            "SELECT a.id FROM customers a JOIN customers b ON a.ssn = b.ssn",
            "SELECT id FROM customers WHERE ssn IN ('1', '2')",
        ):
            with pytest.raises(psycopg.errors.FeatureNotSupported, match="not compared") as refused:
                client.execute(statement)
            assert "sealgate apply" in str(refused.value.diag.message_hint)
        assert (
            len(client.execute("SELECT ssn FROM customers WHERE ssn IS NOT NULL").fetchall()) == 3
        )
        shop.sealgate("apply")
        within(10, lambda: find(client, "ssn", "123-45-6789"), [1, 4])


def test_a_search_that_goes_is_refused_before_the_first_row_loses_its_term(shop: Shop) -> None:
    """Applied first, the proxy not reloaded: its comparisons, prepared ones too, are refused instead of finding nothing."""
    with psycopg.connect(shop.dsn("shop_app"), autocommit=True) as client:
        assert find(client, "email", "ada@example.com") == [1]
        declare(shop, COLUMNS.replace(EMAIL, 'mask = "email"'))
        shop.sealgate("apply")
        found = find(client, "email", "ada@example.com")
        assert isinstance(found, str)
        assert "is not compared" in found
        shop.reload()
        found = find(client, "email", "ada@example.com")
        assert isinstance(found, str)
        assert found.startswith("0A000")


def test_another_key_for_the_terms_is_never_compared_with_the_old_one(shop: Shop) -> None:
    """A column joins a search group: reloaded first, comparisons are refused; apply refuses the one step, and does the two."""
    grouped = COLUMNS.replace(EMAIL, f'{EMAIL}\nsearch_group = "people"')
    with psycopg.connect(shop.dsn("shop_app"), autocommit=True) as client:
        assert find(client, "email", "ada@example.com") == [1]
        declare(shop, grouped)
        refused = shop.sealgate("apply", ok=False)
        assert refused.returncode == 1
        assert "Remove equality from its search" in refused.stdout
        assert find(client, "email", "ada@example.com") == [1]
        shop.reload()
        assert "is not compared" in str(find(client, "email", "ada@example.com"))
        for columns in (COLUMNS.replace(EMAIL, 'mask = "email"'), grouped):
            declare(shop, columns)
            shop.sealgate("apply")
            shop.reload()
        assert find(client, "email", "ada@example.com") == [1]
