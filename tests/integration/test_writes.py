"""Writes: MERGE, lists of values, data-modifying WITH, tables made of queries, twins and refusals.

A write on the sealed schema gives the same answer as on the plain one and leaves the same rows.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from tests.integration.schemas import WAYS, Schemas
from tests.integration.shop import Shop
from tests.integration.types.twins import Statement

WRITES = """
MERGE INTO customers c USING (VALUES (1, 'new@x'), (9, 'nin@x')) AS s(id, email) ON c.id = s.id WHEN MATCHED THEN UPDATE SET email = s.email WHEN NOT MATCHED THEN INSERT (id, email) VALUES (s.id, s.email)
MERGE INTO customers c USING (VALUES ('ann@x', 'A'), ('zed@x', 'Z')) AS s(email, name) ON c.email = s.email WHEN MATCHED AND c.age = 42 THEN UPDATE SET name = s.name, ssn = '9', born = DEFAULT WHEN NOT MATCHED THEN INSERT (id, email, name) VALUES (10, s.email, s.name) RETURNING merge_action(), c.id, c.email, c.ssn, s.email
MERGE INTO customers c USING orders o ON c.id = o.customer AND o.id <> 2 WHEN MATCHED AND c.email = 'bob@x' THEN DELETE WHEN MATCHED THEN DO NOTHING WHEN NOT MATCHED BY TARGET THEN INSERT VALUES (o.id + 20, 'e', 's', '2020-02-02', 7) WHEN NOT MATCHED BY SOURCE AND email IS NULL THEN UPDATE SET email = 'nobody'
MERGE INTO customers c USING customers d ON c.id = d.id + 1 WHEN MATCHED AND d.email IS DISTINCT FROM c.email THEN UPDATE SET (ssn, city) = (d.ssn, 'm')
MERGE INTO customers c USING (SELECT id, email FROM customers WHERE email IN ('ann@x', 'bob@x')) d ON c.id = d.id + 10 WHEN NOT MATCHED THEN INSERT (id, ssn) VALUES (d.id + 10, '1')
WITH s(id, email) AS (VALUES (7, 'seven'), (2, NULL)) MERGE INTO customers USING s ON customers.id = s.id WHEN NOT MATCHED THEN INSERT (id, email) OVERRIDING SYSTEM VALUE VALUES (s.id, s.email) WHEN MATCHED THEN UPDATE SET email = s.email RETURNING *
MERGE INTO customers c USING orders o ON c.id = o.id + 1 WHEN MATCHED THEN UPDATE SET (ssn, born) = (SELECT ssn, '2001-01-01' FROM customers d WHERE d.id = 1)
MERGE INTO customers c USING orders o ON c.id = o.id + 1 WHEN MATCHED THEN UPDATE SET (ssn, born) = (SELECT ssn, '2001-01-01'::date FROM customers d WHERE d.id = 1)
MERGE INTO customers c USING orders o ON c.id = o.id + 1 WHEN NOT MATCHED THEN INSERT DEFAULT VALUES
UPDATE customers SET born = (SELECT '2001-01-01')
UPDATE customers SET email = (SELECT 'x') WHERE id = 1
INSERT INTO customers (id, born) SELECT 7, '2001-01-01'
INSERT INTO customers (id, born) VALUES (7, '2001-01-01'), (8, NULL)
INSERT INTO customers (id, email) SELECT 7, 'a' UNION ALL SELECT 8, NULL
DELETE FROM customers WHERE born IN (SELECT '1990-01-01')
DELETE FROM customers WHERE email IN (SELECT 'ann@x') OR age IN (VALUES (31))
MERGE INTO orders o USING customers c ON c.id = o.customer AND c.email = 'ann@x' WHEN MATCHED THEN UPDATE SET note = 'hers' RETURNING o.id, c.email
MERGE INTO customers c USING unnest('{1,30}'::int[], '{u1,u30}'::text[]) AS u(id, email) ON c.id = u.id WHEN MATCHED THEN UPDATE SET email = u.email WHEN NOT MATCHED THEN INSERT (id, email) VALUES (u.id, u.email)
INSERT INTO customers (id, email) SELECT v.id, v.email FROM (VALUES (7, 'g'), (8, 'h')) AS v(id, email) WHERE NOT EXISTS (SELECT 1 FROM customers c WHERE c.email = v.email)
INSERT INTO customers (id, email) SELECT id, email FROM (VALUES (7, 'ann@x'), (8, 'h')) AS v(id, email) WHERE v.email NOT IN (SELECT email FROM customers WHERE email IS NOT NULL)
INSERT INTO customers (id, born) SELECT v.id, v.d FROM (VALUES (7, '2020-02-02')) AS v(id, d)
INSERT INTO customers (id, born) SELECT v.id, v.d FROM (VALUES (7, '2020-02-02'::date), (8, '2020-02-03')) AS v(id, d)
INSERT INTO customers (id, age) SELECT v.id, v.a FROM (VALUES (7, 5), (8, -6)) AS v(id, a) RETURNING age
INSERT INTO customers (id, age) SELECT v.id, v.a FROM (VALUES (7, 5.5)) AS v(id, a) RETURNING age
INSERT INTO customers (id, age) SELECT v.id, v.a FROM (VALUES (7, '5')) AS v(id, a)
WITH input(id, email) AS (VALUES (7, 'x7'), (8, NULL)) INSERT INTO customers (id, email) SELECT id, email FROM input RETURNING id, email
WITH a AS (SELECT 'moved@x' AS e), b AS (SELECT e AS f FROM a) UPDATE customers SET email = b.f FROM b WHERE id = 1 RETURNING email, b.f
INSERT INTO customers (id, email) SELECT * FROM (SELECT 7, 'x7' UNION ALL SELECT 8, 'x8') s
INSERT INTO customers (id, email) SELECT n + 100, e FROM unnest('{a,b,NULL}'::text[]) WITH ORDINALITY AS t(e, n)
INSERT INTO customers (id, ssn) SELECT 7, unnest('{123456789012345678901}'::text[])
INSERT INTO customers (id, email) SELECT i, e FROM unnest(ARRAY[7, 8], ARRAY['a', 'b']) AS t(i, e)
INSERT INTO customers (id, email) SELECT * FROM unnest('{1,70}'::int[], '{a,ann@x}'::text[]) ON CONFLICT (email) DO UPDATE SET name = 'twice', email = EXCLUDED.email
INSERT INTO customers (id, email) VALUES (1, 'z') ON CONFLICT (id) DO UPDATE SET email = EXCLUDED.email, ssn = customers.ssn WHERE customers.email IS DISTINCT FROM EXCLUDED.email RETURNING email
UPDATE customers SET email = v.email FROM (VALUES (1, 'a1'), (2, 'b2')) AS v(id, email) WHERE customers.id = v.id RETURNING customers.id, customers.email
UPDATE customers c SET email = u.email FROM unnest('{1,2}'::int[], '{a1,b2}'::text[]) AS u(id, email) WHERE c.id = u.id
UPDATE customers SET (ssn, age) = (SELECT ssn, age FROM customers d WHERE d.id = 2) WHERE id = 1
UPDATE customers SET (ssn, city) = ROW(DEFAULT, 'x'), age = CASE WHEN id = 1 THEN 7 WHEN age = 31 THEN age ELSE NULL END
UPDATE customers SET ssn = COALESCE(ssn, 'none'), email = CASE email WHEN 'ann@x' THEN 'anna@x' ELSE email END
UPDATE customers SET email = NULLIF(email, 'ann@x'), age = NULLIF(age, 42) RETURNING email
INSERT INTO customers (id, age) SELECT id + 20, NULLIF(age, 42) FROM customers
UPDATE customers SET email = email, ssn = (SELECT d.ssn FROM customers d WHERE d.id = customers.id)
WITH gone AS (DELETE FROM customers WHERE email = 'bob@x' RETURNING id, email, ssn) SELECT email, ssn FROM gone WHERE email = 'bob@x'
WITH gone AS (DELETE FROM customers WHERE id = 2 RETURNING *) INSERT INTO customers SELECT g.id + 10, g.email || '' FROM gone g
WITH gone AS (DELETE FROM customers WHERE id = 2 RETURNING id, email, ssn, born) INSERT INTO customers (id, ssn, born) SELECT id + 10, ssn, born FROM gone RETURNING ssn, born
WITH up AS (UPDATE customers SET email = 'new@x' WHERE id = 1 RETURNING id, email), ins AS (INSERT INTO customers (id, email) VALUES (8, 'eight@x') RETURNING id, email) SELECT * FROM up UNION ALL SELECT * FROM ins
WITH m AS (MERGE INTO customers c USING orders o ON c.id = o.id WHEN MATCHED THEN UPDATE SET city = 'm' RETURNING c.id, c.email) SELECT id, email FROM m WHERE email = 'ann@x'
DELETE FROM customers USING unnest('{ann@x}'::text[]) AS e(email) WHERE customers.email = e.email RETURNING id, e.email
DELETE FROM customers c WHERE (c.id, c.email) IN (SELECT id, email FROM customers WHERE age = 42) RETURNING old.email, new.email
UPDATE customers SET email = 'o@x' WHERE id = 1 RETURNING old.email AS before, new.email AS after
INSERT INTO events VALUES (9, 'nin@x', 'eu'), (10, 'ten@x', 'zz') RETURNING email
INSERT INTO events_eu (id, email, region) VALUES (9, 'nin@x', 'eu') RETURNING *
UPDATE events SET region = 'us', email = 'moved@x' WHERE email = 'ann@x' RETURNING tableoid = 'events_us'::regclass, email
INSERT INTO events SELECT id + 10, email, region FROM events_us RETURNING email
INSERT INTO staff (id, email, badge) VALUES (5, 'eve@x', 1) RETURNING email
UPDATE people SET email = 'all@x' WHERE email = 'bob@x' RETURNING id
UPDATE ONLY people SET email = 'one@x' RETURNING id, email
"""
DIFFERENT = ("g.email || ''", "(7, '2020-02-02')) AS v(id, d)")
"""Refused, or another error: in both schemas, by another SQLSTATE."""

WITH_PARAMETERS: list[tuple[str, tuple[bytes | None, ...]]] = [
    (
        "MERGE INTO customers c USING (VALUES ($1::int, $2)) AS s(id, email) ON c.id = s.id"
        " WHEN MATCHED THEN UPDATE SET email = s.email"
        " WHEN NOT MATCHED THEN INSERT (id, email) VALUES (s.id, s.email) RETURNING c.id, c.email",
        (b"1", b"new@x"),
    ),
    (
        "MERGE INTO customers c USING (SELECT $1::text AS email, $2::text AS name) s ON c.email = s.email"
        " WHEN MATCHED THEN UPDATE SET name = s.name"
        " WHEN NOT MATCHED THEN INSERT (id, email, name) VALUES (50, s.email, s.name)",
        (b"zed@x", b"Z"),
    ),
    (
        "INSERT INTO customers (id, email) SELECT unnest($1::int[]), unnest($2::text[])",
        (b"{7,8}", b"{a,NULL}"),
    ),
    (
        "INSERT INTO customers (id, email) SELECT * FROM unnest($1::int[], $2::text[])",
        (b"{7,8}", b"{a,NULL}"),
    ),
    (
        "INSERT INTO customers (id, born) SELECT * FROM unnest($1::int[], $2::date[]) RETURNING born",
        (b"{7}", b"{2020-01-01}"),
    ),
    (
        "INSERT INTO customers (id, age) SELECT * FROM unnest($1::int[], $2::bigint[]) RETURNING age",
        (b"{7,8}", b"{5,-6}"),
    ),
    (
        "INSERT INTO customers (id, age) SELECT * FROM unnest($1::int[], $2::bigint[]) RETURNING age",
        (b"{7}", b"{99999999999}"),
    ),
    (
        "WITH i AS (SELECT 7 AS id, $1::text AS email) INSERT INTO customers (id, email) SELECT id, email FROM i"
        " WHERE NOT EXISTS (SELECT 1 FROM customers c WHERE c.email = i.email)",
        (b"ann@x",),
    ),
    (
        "UPDATE customers SET email = v.email FROM (VALUES ($1::int, $2), ($3, $4)) AS v(id, email)"
        " WHERE customers.id = v.id",
        (b"1", b"a1", b"2", None),
    ),
    (
        "UPDATE customers SET (email, age) = ($1, $2) WHERE (id, email) = ($3, $4)",
        (b"q", b"5", b"1", b"ann@x"),
    ),
]


@pytest.mark.parametrize("way", WAYS)
def test_a_write_does_what_it_does_on_plain_tables(schemas: Schemas, way: str) -> None:
    """Answer, RETURNING and the rows afterwards do not differ."""
    written = WRITES.strip().splitlines()
    schemas.check((s for s in written if not any(d in s for d in DIFFERENT)), way=way)


@pytest.mark.parametrize("way", ["extended", "binary"])
def test_a_write_with_parameters_does_what_it_does_on_plain_tables(
    schemas: Schemas, way: str
) -> None:
    """The same with values that are bound."""
    schemas.check(WITH_PARAMETERS, way=way)


@pytest.fixture
def app(schemas_shop: Shop) -> Iterator[psycopg.Connection[Any]]:
    with schemas_shop.connect() as connection:
        connection.execute("SET search_path = sealed")
        yield connection
        connection.execute("DROP TABLE IF EXISTS copied")
        connection.execute("DROP MATERIALIZED VIEW IF EXISTS kept")


def domain_of(shop: Shop, table: str, column: str) -> str:
    with shop.direct() as direct:
        row = direct.execute(
            "SELECT atttypid::regtype::text FROM pg_attribute WHERE attrelid = %s::regclass AND attname = %s",
            (f"sealed.{table}", column),
        ).fetchone()
    assert row is not None
    return str(row[0])


CREATED = (
    "CREATE TABLE copied AS SELECT id, email, ssn FROM customers WHERE id < 4",
    "SELECT id, c.email, s.ssn INTO copied FROM customers c JOIN (SELECT id, ssn FROM customers) s USING (id) WHERE id < 4",
    "CREATE UNLOGGED TABLE copied (id, email, ssn) AS SELECT id, email::varchar, ssn FROM customers WHERE email = 'ann@x'"
    " UNION ALL SELECT id, email, ssn FROM customers WHERE id IN (2, 3) WITH DATA",
)


@pytest.mark.parametrize("create", CREATED)
def test_a_table_made_of_a_query_is_sealed_as_well(
    schemas_shop: Shop, app: psycopg.Connection[Any], create: str
) -> None:
    """The sealed type goes along: the new table is read by who may, and refuses plaintext."""
    app.execute(create)
    assert domain_of(schemas_shop, "copied", "email") == "sealgate.sealed_text"
    assert domain_of(schemas_shop, "copied", "ssn") == "sealgate.sealed_varchar"
    app.execute("GRANT SELECT ON copied TO PUBLIC")
    cursor = app.execute("SELECT id, email, ssn FROM copied ORDER BY id")
    assert cursor.fetchall() == [(1, "ann@x", "111"), (2, "bob@x", "222"), (3, None, None)]
    with schemas_shop.connect("support_login") as masked:
        shown = masked.execute("SELECT email, ssn FROM sealed.copied WHERE id = 1").fetchone()
        assert shown == (None, "**1")
    with pytest.raises(psycopg.errors.FeatureNotSupported, match=r"copied\.email") as refused:
        app.execute("INSERT INTO copied (id, email) VALUES (9, 'plain')")
    assert "declare this column" in str(refused.value.diag.message_hint)
    with (
        schemas_shop.direct() as direct,
        pytest.raises(psycopg.errors.CheckViolation),
    ):
        direct.execute("INSERT INTO sealed.copied (id, email) VALUES (9, 'plain')")
    app.execute("INSERT INTO copied SELECT 7, email, ssn FROM customers WHERE id = 2")
    assert app.execute("SELECT email FROM copied WHERE id = 7").fetchone() == ("bob@x",)


def test_a_table_made_in_a_transaction_is_known_there(app: psycopg.Connection[Any]) -> None:
    """Read as it will be, written no more than it will be, and gone with the transaction."""
    with app.transaction(force_rollback=True):
        app.execute("CREATE TABLE copied AS SELECT id, email FROM customers")
        assert app.execute("SELECT email FROM copied WHERE id = 1").fetchone() == ("ann@x",)
        with (
            pytest.raises(psycopg.errors.FeatureNotSupported),
            app.transaction(),
        ):
            app.execute("INSERT INTO copied (id, email) VALUES (9, 'plain')")
        with (
            pytest.raises(psycopg.errors.FeatureNotSupported),
            app.transaction(),
        ):
            app.execute("SELECT substring(email, 9, 16) FROM copied")


def test_a_materialized_view_is_sealed_and_refreshed(
    schemas_shop: Shop, app: psycopg.Connection[Any]
) -> None:
    """Its rows are sealed values, unsealed for who may read them, before and after REFRESH."""
    app.execute("CREATE MATERIALIZED VIEW kept AS SELECT id, email FROM customers WHERE id < 3")
    assert domain_of(schemas_shop, "kept", "email") == "sealgate.sealed_text"
    assert app.execute("SELECT email FROM kept ORDER BY id").fetchall() == [("ann@x",), ("bob@x",)]
    with app.transaction(force_rollback=True):
        app.execute("UPDATE customers SET email = 'new@x' WHERE id = 1")
        app.execute("REFRESH MATERIALIZED VIEW kept")
        found = app.execute("SELECT email FROM kept ORDER BY id").fetchall()
        assert found == [("new@x",), ("bob@x",)]


def test_what_cannot_be_sealed_on_the_way_is_refused(schemas: Schemas) -> None:
    """A computed value, a plain column, another column's key: refused, and nothing is written."""
    for sql in (
        "INSERT INTO customers (id, email) SELECT id + 50, note FROM orders",
        "INSERT INTO customers (id, email) SELECT 50, ssn FROM customers WHERE id = 1",
        "INSERT INTO customers (id, email) VALUES (50, lower('X'))",
        "INSERT INTO customers (id, email) SELECT 50, v.e || '' FROM (VALUES ('x')) AS v(e)",
        "INSERT INTO customers (id, email) SELECT 50, e FROM regexp_split_to_table('a,b', ',') e",
        "UPDATE customers SET email = name",
        "UPDATE customers SET email = ssn",
        "UPDATE customers SET (email, ssn) = (SELECT note, 'x' FROM orders LIMIT 1)",
        "UPDATE orders SET note = (SELECT email FROM customers WHERE id = 1)",
        "MERGE INTO customers c USING archive a ON c.id = a.id WHEN MATCHED THEN UPDATE SET email = a.email",
        "MERGE INTO customers c USING orders o ON c.id = o.id WHEN MATCHED THEN UPDATE SET email = o.note",
    ):
        answer = schemas.sealed.run(Statement(sql), "")
        assert answer.sqlstate == "0A000", sql
        assert b"HINT" in schemas.sealed.messages[-1], sql
