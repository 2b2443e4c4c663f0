"""Attacks of roles that may not know: one idea per line.

`support` reads masked values, `analyst` has no grant at all; both have every privilege of PostgreSQL
on the tables. Neither gets at a value, or at whether a guess is right, by an expression, an error, an
order, a count or a constraint. The application, which may read and compare, gets an answer to the
same statements: they are real.

One probe is not closed, on purpose: whoever may write a column that has a unique index learns from
the refusal of an INSERT that a value is there, as on any table. Withhold `write`.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.integration.shop import Shop
from tests.integration.types.twins import Answer, Client, Statement

VALUES = (b"ann@x", b"bob@x", b"dan@x", b"1990-01-01", b"1991-02-02")

COMPARING = """
SELECT id FROM customers WHERE email = 'ann@x'
SELECT id FROM customers WHERE 'ann@x' = email
SELECT id FROM customers WHERE email <> 'ann@x'
SELECT id FROM customers WHERE email IS DISTINCT FROM 'ann@x'
SELECT id FROM customers WHERE email::text = 'ann@x'
SELECT id FROM customers WHERE email IN ('ann@x', 'x')
SELECT id FROM customers WHERE email = ANY ('{ann@x}')
SELECT id FROM customers WHERE email = ANY (ARRAY['ann@x'])
SELECT id FROM customers WHERE email IN (SELECT 'ann@x')
SELECT id FROM customers WHERE email IN (VALUES ('ann@x'))
SELECT id FROM customers WHERE 'ann@x' IN (SELECT email FROM customers)
SELECT id FROM customers WHERE (id, email) = (1, 'ann@x')
SELECT id FROM customers WHERE (id, email) IN (SELECT 1, 'ann@x')
SELECT id FROM customers WHERE email = (SELECT email FROM customers WHERE id = 1)
SELECT 'ann@x' = (SELECT email FROM customers WHERE id = 1)
SELECT a.id FROM customers a JOIN customers b ON a.email = b.email AND a.id <> b.id
SELECT a.id FROM customers a JOIN customers b ON a.born = b.born AND a.id < b.id
SELECT c.id FROM customers c JOIN (VALUES ('ann@x')) v(e) ON c.email = v.e
SELECT v.e FROM customers c JOIN (VALUES ('ann@x')) v(e) ON c.email = v.e
SELECT c.id FROM customers c JOIN unnest('{ann@x}'::text[]) e ON c.email = e
SELECT CASE email WHEN 'ann@x' THEN 1 ELSE 0 END FROM customers
SELECT CASE WHEN email = 'ann@x' THEN 1 END FROM customers
SELECT email = 'ann@x' FROM customers
SELECT COALESCE(email, 'ann@x') FROM customers
SELECT NULLIF(email, 'ann@x') FROM customers
SELECT id FROM customers WHERE COALESCE(email, '') = 'ann@x'
SELECT id FROM customers WHERE COALESCE(email, 'x') IN ('ann@x')
SELECT x.e FROM customers c, LATERAL (VALUES (c.email), ('ann@x')) AS x(e)
SELECT CASE WHEN id = 1 THEN email ELSE 'ann@x' END FROM customers
SELECT email FROM customers UNION ALL SELECT 'ann@x'
SELECT lag(email, 1, 'ann@x') OVER (ORDER BY id) FROM customers
SELECT count(*) FILTER (WHERE email = 'ann@x') FROM customers
SELECT city FROM customers GROUP BY city HAVING bool_or(email = 'ann@x')
SELECT 1 / (CASE WHEN email = 'ann@x' THEN 1 ELSE 2 END) FROM customers
SELECT id FROM customers ORDER BY email = 'ann@x'
SELECT row_number() OVER (ORDER BY email = 'ann@x', id) FROM customers
SELECT city FROM customers GROUP BY city, email = 'ann@x'
SELECT DISTINCT ON (email = 'ann@x') id FROM customers
SELECT count(DISTINCT email) FROM customers
SELECT DISTINCT email FROM customers
SELECT DISTINCT ON (email) id FROM customers
SELECT email FROM customers GROUP BY email
SELECT count(*) FROM customers GROUP BY email
SELECT count(*) FROM customers GROUP BY ROLLUP (email)
SELECT email FROM customers UNION SELECT email FROM customers
SELECT rank() OVER (PARTITION BY born) FROM customers
SELECT id FROM orders LIMIT (SELECT count(*) FROM customers WHERE email = 'ann@x')
SELECT g FROM generate_series(1, (SELECT count(*) FROM customers WHERE email = 'ann@x')) g
SELECT id FROM orders o WHERE EXISTS (SELECT 1 FROM customers c WHERE c.email = 'ann@x')
WITH w AS (SELECT id FROM customers WHERE email = 'ann@x') SELECT id FROM w
WITH w AS MATERIALIZED (SELECT id, email FROM customers) SELECT id FROM w WHERE email = 'ann@x'
SELECT s.id FROM (SELECT id, email AS e FROM customers) s WHERE s.e = 'ann@x'
SELECT id FROM customers AS c(id, e) WHERE e = 'ann@x'
SELECT id FROM ONLY customers WHERE email = 'ann@x'
SELECT id FROM events_eu WHERE email = 'ann@x'
SELECT id FROM staff WHERE email = 'bob@x'
DELETE FROM customers WHERE email = 'ann@x'
UPDATE customers SET city = 'x' WHERE email = 'ann@x'
UPDATE customers SET city = CASE WHEN email = 'ann@x' THEN 'yes' END
UPDATE orders SET note = 'x' FROM customers c WHERE c.email = 'ann@x'
DELETE FROM orders USING customers c WHERE c.email = 'ann@x'
INSERT INTO orders SELECT id + 50, 1, 1, 'x' FROM customers WHERE email = 'ann@x'
INSERT INTO orders VALUES (50, (SELECT count(*) FROM customers WHERE email = 'ann@x'))
INSERT INTO customers (id, name) VALUES (1, 'n') ON CONFLICT (id) DO UPDATE SET name = 'm' WHERE customers.email = 'ann@x'
UPDATE customers SET city = 'x' WHERE id = 1 RETURNING email = 'ann@x'
MERGE INTO orders o USING customers c ON c.email = 'ann@x' AND o.id = c.id WHEN MATCHED THEN DELETE
MERGE INTO customers c USING orders o ON c.id = o.id WHEN MATCHED AND c.email = 'ann@x' THEN DELETE
CREATE TABLE mine AS SELECT id FROM customers WHERE email = 'ann@x'
CREATE TABLE mine AS SELECT id, email FROM customers
SELECT id, email INTO mine FROM customers
CREATE MATERIALIZED VIEW mine AS SELECT id, email FROM customers
EXPLAIN SELECT id FROM customers WHERE email = 'ann@x'
EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF, BUFFERS OFF) SELECT id FROM customers WHERE email = 'ann@x'
"""

TESTING = """
SELECT count(email) FROM customers
SELECT count(email::text) FROM customers
SELECT count(*) FILTER (WHERE ssn IS NULL) FROM customers
SELECT id FROM customers WHERE email IS NOT NULL
SELECT id FROM customers c WHERE c IS NOT NULL
SELECT id FROM customers c WHERE c.* IS NULL
SELECT ssn IS NULL FROM customers
SELECT (SELECT email FROM customers WHERE id = 3) IS NULL
SELECT count(email) OVER () FROM customers
CREATE TABLE mine AS SELECT ssn FROM customers
"""

WRITING = """
UPDATE customers SET email = 'x' WHERE id = 1
UPDATE customers SET email = NULL
UPDATE customers SET email = DEFAULT
UPDATE customers SET email = email
UPDATE customers SET (email, city) = ('x', 'y') WHERE id = 1
UPDATE customers SET email = d.email FROM customers d WHERE d.id = customers.id
INSERT INTO customers (id, email) VALUES (50, 'ann@x') ON CONFLICT DO NOTHING
INSERT INTO customers (id, email) VALUES (50, 'ann@x') ON CONFLICT (email) DO NOTHING
INSERT INTO customers (id, email) VALUES (1, 'x') ON CONFLICT (id) DO UPDATE SET email = EXCLUDED.email
INSERT INTO customers (id, ssn) SELECT 60 + id, ssn FROM customers
INSERT INTO customers (id, email) SELECT 50, unnest('{x}'::text[])
INSERT INTO events_eu VALUES (9, 'x', 'eu')
INSERT INTO staff VALUES (9, 'x', 1)
MERGE INTO customers c USING orders o ON c.id = o.id WHEN MATCHED THEN UPDATE SET email = 'x'
MERGE INTO customers c USING orders o ON c.id = o.id + 50 WHEN NOT MATCHED THEN INSERT (id, email) VALUES (o.id + 50, 'x' || '') WHEN MATCHED THEN DELETE
WITH w AS (UPDATE customers SET email = 'x' WHERE id = 1 RETURNING id) SELECT * FROM w
"""

# Nobody gets an answer to these.
NEVER = """
SELECT lower(email) FROM customers
SELECT length(email) FROM customers
SELECT email || '' FROM customers
SELECT md5(email) FROM customers
SELECT email::int FROM customers
SELECT email::bytea FROM customers
SELECT encode(email, 'hex') FROM customers
SELECT substring(email, 9, 16) FROM customers
SELECT email LIKE 'a%' FROM customers
SELECT email ~ '^a' FROM customers
SELECT email < 'b' FROM customers
SELECT email BETWEEN 'a' AND 'b' FROM customers
SELECT GREATEST(email, 'ann@x') FROM customers
SELECT min(email) FROM customers
SELECT array_agg(email) FROM customers
SELECT mode() WITHIN GROUP (ORDER BY email) FROM customers
SELECT percentile_disc(0.5) WITHIN GROUP (ORDER BY age) FROM customers
SELECT email FROM customers INTERSECT SELECT email FROM customers
SELECT id FROM customers ORDER BY email
SELECT id FROM customers ORDER BY age DESC
SELECT rank() OVER (ORDER BY email) FROM customers
SELECT ssn FROM customers GROUP BY ssn
SELECT DISTINCT ssn FROM customers
SELECT rank() OVER (PARTITION BY ssn) FROM customers
SELECT c FROM customers c
SELECT c::text FROM customers c
SELECT to_jsonb(c) FROM customers c
SELECT row_to_json(c.*) FROM customers c
SELECT ROW(email) FROM customers
SELECT (c).email FROM customers c
SELECT (x).email FROM (SELECT c AS x FROM customers c) s
SELECT c = d FROM customers c, customers d
SELECT hash_record(c) FROM customers c
SELECT json_agg(email) FROM customers
SELECT json_build_object('e', email) FROM customers
SELECT format('%s', email) FROM customers
SELECT pg_notify('c', email) FROM customers
SELECT set_config('app.x', email, false) FROM customers
SELECT sealgate.eq(email) FROM customers
SELECT id FROM customers WHERE sealgate.eq(email) = sealgate.eq(email)
SELECT jsonb_populate_record(NULL::customers, '{"email": "x"}')
SELECT * FROM customers NATURAL JOIN archive
SELECT id FROM customers JOIN archive USING (email)
SELECT id FROM customers WHERE email = ssn
SELECT customers.id FROM customers JOIN archive ON customers.email = archive.email
UPDATE customers SET name = email
UPDATE customers SET ssn = email
UPDATE customers SET email = name
INSERT INTO orders (id, note) SELECT 50 + id, email FROM customers
INSERT INTO archive SELECT id, email FROM customers
UPDATE customers SET city = 'x' RETURNING lower(email)
CREATE TABLE mine AS SELECT email || '' AS e FROM customers
CREATE TABLE mine AS SELECT COALESCE(email, '') AS e FROM customers
CREATE TEMP TABLE mine AS SELECT email FROM customers
CREATE INDEX ON customers (email)
CREATE INDEX ON customers (lower(email))
ALTER TABLE customers ADD CHECK (email <> 'ann@x')
"""

# These have answers, and no value in them but the ciphertext.
BLIND = """
SELECT most_common_vals::text, histogram_bounds::text FROM pg_stats WHERE attname = 'email'
SELECT * FROM customers
SELECT email, ssn, born, age FROM customers WHERE id = 1
SELECT lag(email) OVER (ORDER BY id) FROM customers
SELECT (SELECT email FROM customers WHERE id = 1)
SELECT email FROM customers UNION ALL SELECT email FROM customers
SELECT email::varchar FROM customers
SELECT max(s.n) FROM (SELECT count(*) AS n, id FROM customers GROUP BY id) s
DELETE FROM customers WHERE id = 1 RETURNING *
UPDATE customers SET city = 'x' RETURNING old.email, new.email
MERGE INTO customers c USING orders o ON c.id = o.id WHEN MATCHED THEN DELETE RETURNING c.email
TABLE contacts
"""


@pytest.fixture(scope="module")
def roles(schemas_shop: Shop) -> Iterator[dict[str, Client]]:
    clients = {
        login: Client(schemas_shop.dsn(login)) for login in ("shop_app", "support_login", "analyst")
    }
    for client in clients.values():
        client.use("SET search_path = sealed")
    yield clients
    for client in clients.values():
        client.close()


def lines(text: str) -> list[str]:
    return text.strip().splitlines()


def tried(client: Client, sql: str, *, extended: bool) -> Answer:
    client.must("BEGIN")
    try:
        return client.run(Statement(sql, () if extended else None), "")
    finally:
        client.must("ROLLBACK")


WAY = pytest.mark.parametrize("extended", [False, True], ids=["simple", "extended"])
OUTSIDERS = ("support_login", "analyst")


@WAY
@pytest.mark.parametrize("login", OUTSIDERS)
def test_who_may_not_compare_learns_nothing_by_comparing(
    roles: dict[str, Client], login: str, extended: bool
) -> None:
    """Wherever a statement evaluates a term, the role needs the grant; the application has it."""
    for sql in lines(COMPARING):
        assert tried(roles[login], sql, extended=extended).sqlstate == "42501", sql
        assert tried(roles["shop_app"], sql, extended=extended).sqlstate is None, sql


@WAY
def test_who_has_no_grant_does_not_learn_what_is_null(
    roles: dict[str, Client], extended: bool
) -> None:
    """IS NULL and count() need one of clear, masked and search."""
    for sql in lines(TESTING):
        assert tried(roles["analyst"], sql, extended=extended).sqlstate == "42501", sql
        assert tried(roles["support_login"], sql, extended=extended).sqlstate is None, sql


@WAY
@pytest.mark.parametrize("login", OUTSIDERS)
def test_who_may_not_write_does_not_learn_from_constraints(
    roles: dict[str, Client], login: str, extended: bool
) -> None:
    """INSERT, UPDATE and MERGE of a sealed column need the grant before any index is asked."""
    for sql in lines(WRITING):
        state = tried(roles[login], sql, extended=extended).sqlstate
        assert state in ("42501", "0A000"), (sql, state)


@WAY
@pytest.mark.parametrize("login", ["shop_app", *OUTSIDERS])
def test_what_needs_the_value_is_refused_to_everybody(
    roles: dict[str, Client], login: str, extended: bool
) -> None:
    """Expressions on sealed columns, with a reason; never an error of the server that quotes a value."""
    for sql in lines(NEVER):
        state = tried(roles[login], sql, extended=extended).sqlstate
        assert state in ("42501", "0A000"), (sql, state)


@WAY
@pytest.mark.parametrize("login", OUTSIDERS)
def test_answers_hold_no_value(roles: dict[str, Client], login: str, extended: bool) -> None:
    """Masked, withheld, or ciphertext: no answer and no error has a value in it."""
    for sql in lines(BLIND):
        answer = tried(roles[login], sql, extended=extended)
        cells = b" ".join(cell for row in answer.rows for cell in row if cell is not None)
        shown = cells + b" ".join(roles[login].messages)
        assert not [value for value in VALUES if value in shown], sql
        assert answer.sqlstate is None, (sql, roles[login].messages[-1])
