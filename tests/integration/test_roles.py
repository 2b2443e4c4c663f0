"""Each role sees what its policy says, by every route; the database holds sealed values only."""

from __future__ import annotations

import asyncpg
import psycopg
import pytest

from tests.integration.shop import Shop


def test_the_database_holds_sealed_values_only(shop: Shop) -> None:
    """Around the proxy there is no plaintext of a marked column, NULL stays NULL."""
    with shop.direct() as direct:
        rows = direct.execute(
            "SELECT email, ssn, birth_date, balance FROM customers ORDER BY id"
        ).fetchall()
    assert rows[2] == (None, None, None, None)
    for row in rows[:2]:
        for value in row:
            assert value.startswith(b"\x5e\xa1\x01")
            assert b"ada" not in value
            assert b"123-45" not in value


def test_the_application_sees_its_own_data_with_its_own_types(shop: Shop) -> None:
    """Text, date and numeric as if nothing were sealed, in text and in binary form."""
    for binary in (False, True):
        with shop.connect() as app, app.cursor(binary=binary) as cursor:
            cursor.execute("SELECT email, ssn, birth_date, balance FROM customers WHERE id = 1")
            assert [c.type_code for c in cursor.description or ()] == [25, 25, 1082, 1700]
            row = cursor.fetchone()
        assert row is not None
        assert [str(v) for v in row] == ["ada@example.com", "123-45-6789", "1985-12-10", "100.50"]


def test_support_sees_masks_and_the_analyst_nulls(shop: Shop) -> None:
    """clear, masked and withheld; a mask keeps the column's type; group membership counts."""
    query = "SELECT name, email, ssn, birth_date, balance FROM customers WHERE id = 1"
    with shop.connect("support_login") as support:
        row = support.execute(query).fetchone()
    assert row is not None
    assert [str(v) for v in row] == ["Ada", "ada@example.com", "*******6789", "1985-01-01", "None"]
    with shop.connect("analyst") as analyst:
        assert analyst.execute(query).fetchone() == ("Ada", None, None, None, None)


@pytest.mark.parametrize(
    "query",
    [
        "SELECT * FROM customers WHERE id = 1",
        "SELECT c.* FROM customers c WHERE id = 1",
        "SELECT x.ssn FROM (SELECT ssn FROM customers WHERE id = 1) x",
        "WITH w AS (SELECT ssn, id FROM customers) SELECT ssn FROM w WHERE id = 1",
        "SELECT ssn FROM customers WHERE id = 1 UNION ALL SELECT ssn FROM customers WHERE id = 1",
        "SELECT a.ssn FROM customers a JOIN orders o ON o.customer = a.id WHERE a.id = 1",
        "TABLE customers",
    ],
)
def test_no_form_of_select_widens_what_a_role_reads(shop: Shop, query: str) -> None:
    """Authority follows the ciphertext: the statement has no say."""
    with shop.connect("support_login") as support:
        text = str(support.execute(query).fetchall())
    assert "123-45-6789" not in text
    assert "*******6789" in text
    with shop.connect("analyst") as analyst:
        text = str(analyst.execute(query).fetchall())
    assert "6789" not in text
    assert "example.com" not in text
    assert "5ea1" not in text


def test_views_and_functions_in_the_database_unseal_by_the_value(shop: Shop) -> None:
    """What the planner cannot see through is decided by the value all the same."""
    shop.database.psql(
        """
        CREATE OR REPLACE VIEW people AS SELECT id, email AS contact, ssn AS number FROM customers;
        CREATE OR REPLACE FUNCTION the_ssn(int) RETURNS bytea LANGUAGE sql AS
            'SELECT ssn::bytea FROM customers WHERE id = $1';
        CREATE OR REPLACE FUNCTION everybody() RETURNS SETOF customers LANGUAGE sql AS 'SELECT * FROM customers';
        GRANT SELECT ON people TO PUBLIC;
        """
    )
    shop.reload()
    with shop.connect("support_login") as support:
        assert support.execute("SELECT contact, number FROM people WHERE id = 1").fetchone() == (
            "ada@example.com",
            "*******6789",
        )
        assert support.execute("SELECT the_ssn(1)").fetchone() == (b"*******6789",)
        found = support.execute("SELECT email, ssn FROM everybody() WHERE id = 1").fetchone()
        assert "123-45-6789" not in str(found)
        assert "*******6789" in str(found)
    with shop.connect("analyst") as analyst:
        assert analyst.execute("SELECT contact, number FROM people WHERE id = 1").fetchone() == (
            None,
            None,
        )
        assert analyst.execute("SELECT the_ssn(1)").fetchone() == (None,)


async def test_asyncpg_sees_the_same(shop: Shop) -> None:
    """Binary protocol, statement cache, types from Describe."""
    app = await asyncpg.connect(shop.dsn())
    try:
        row = await app.fetchrow(
            "SELECT email, birth_date, balance FROM customers WHERE email = $1", "ada@example.com"
        )
        assert row is not None
        assert [str(v) for v in row] == ["ada@example.com", "1985-12-10", "100.50"]
        statement = await app.prepare(
            "SELECT id FROM customers WHERE email = $1 AND birth_date = $2"
        )
        assert [t.name for t in statement.get_parameters()] == ["text", "date"]
    finally:
        await app.close()


def test_a_role_without_a_grant_may_neither_compare_nor_write(shop: Shop) -> None:
    """42501, with a hint that says which grant is missing; the transaction goes on as PostgreSQL says."""
    with shop.connect("analyst") as analyst:
        for statement in (
            "SELECT id FROM customers WHERE email = 'ada@example.com'",
            "UPDATE customers SET email = 'eve@example.com' WHERE id = 1",
            "INSERT INTO customers (name, ssn) VALUES ('Eve', '1')",
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege) as caught:
                analyst.execute(statement)
            assert caught.value.diag.message_hint
            assert "ada@" not in str(caught.value)
        assert analyst.execute("SELECT 1").fetchone() == (1,)
    with shop.connect("support_login") as support:
        found = support.execute(
            "SELECT name FROM customers WHERE email = %s", ("ada@example.com",)
        ).fetchone()
        assert found == ("Ada",)
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            support.execute("UPDATE customers SET email = %s WHERE id = 1", ("x@example.com",))


def test_set_role_changes_nothing_that_sealgate_unseals(shop: Shop) -> None:
    """The login decides, not the role it puts on."""
    shop.database.psql("GRANT shop_app TO analyst")
    try:
        with shop.direct() as direct:
            direct.execute("REVOKE shop_app FROM analyst")
        with shop.connect("support_login") as support:
            support.execute("SET ROLE support")
            assert support.execute("SELECT ssn FROM customers WHERE id = 1").fetchone() == (
                "*******6789",
            )
    finally:
        shop.database.psql("REVOKE shop_app FROM analyst")
