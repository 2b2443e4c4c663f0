"""Reads as object mappers and people write them: a sealed schema answers as the plain one does.

Same rows, same names, type OIDs, lengths and modifiers of the columns, same SQLSTATE.
"""

from __future__ import annotations

import pytest

from tests.integration.schemas import WAYS, Schemas

READS = """
SELECT email::text, CAST(email AS varchar) AS v, ssn::text, ssn::varchar, ssn, age::int FROM customers
SELECT (email::text) AS e FROM customers WHERE email::text = 'ann@x' OR CAST(ssn AS text) IS NULL
SELECT count(email::text) FROM customers
SELECT s.e FROM (SELECT email::varchar AS e FROM customers) s WHERE s.e IN ('ann@x', 'x')
SELECT ssn FROM customers UNION ALL SELECT ssn::text FROM customers
SELECT ssn FROM customers UNION ALL SELECT ssn FROM customers
SELECT email FROM customers UNION ALL SELECT 'none'
SELECT id FROM customers WHERE (id, email) = (1, 'ann@x')
SELECT id FROM customers WHERE (id, email) IN ((1, 'ann@x'), (2, 'x'), (4, NULL))
SELECT id FROM customers WHERE (id, email) NOT IN ((1, 'ann@x'), (2, 'x'))
SELECT id FROM customers WHERE ROW(email, age) <> ROW('ann@x', 42)
SELECT id FROM customers WHERE email IN (SELECT email FROM customers WHERE city = 'Rome')
SELECT id FROM customers WHERE email NOT IN (SELECT email FROM customers WHERE city = 'Rome')
SELECT id FROM customers WHERE email NOT IN (SELECT email FROM customers WHERE email IS NOT NULL AND id > 1)
SELECT id FROM customers WHERE email = ANY (SELECT c.email FROM customers c JOIN orders o ON o.customer = c.id)
SELECT id FROM customers WHERE email <> ALL (SELECT email FROM customers WHERE id IN (1, 2))
SELECT id FROM customers WHERE born = (SELECT born FROM customers WHERE id = 1)
SELECT id FROM customers WHERE (SELECT age FROM customers WHERE id = 1) = age
SELECT id FROM customers WHERE age = (SELECT age FROM customers)
SELECT id FROM customers WHERE email IN (VALUES ('ann@x'), (NULL), ('y'))
SELECT id FROM customers WHERE email IN (SELECT 'ann@x' UNION ALL SELECT email FROM customers WHERE id = 2)
SELECT id FROM customers WHERE (id, email) IN (SELECT id, email FROM customers WHERE city = 'Rome')
SELECT id FROM customers WHERE (email, id) NOT IN (SELECT 'ann@x', 1)
SELECT id FROM customers WHERE (id, email) = (SELECT id, email FROM customers WHERE id = 2)
SELECT id, 'ann@x' IN (SELECT email FROM customers WHERE email IS NOT NULL) AS known FROM orders
SELECT o.id FROM orders o WHERE 'ann@x' = (SELECT c.email FROM customers c WHERE c.id = o.customer)
SELECT id FROM customers c WHERE EXISTS (SELECT 1 FROM customers d WHERE d.born = c.born AND d.id <> c.id)
SELECT id FROM customers c WHERE NOT EXISTS (SELECT 1 FROM customers d WHERE d.email = c.email AND d.id < c.id)
SELECT a.id, b.id FROM customers a JOIN customers b ON a.age = b.age AND a.id < b.id
SELECT c.id, v.n FROM customers c JOIN (VALUES ('ann@x', 1), ('bob@x', 2)) AS v(e, n) ON c.email = v.e
WITH wanted(e) AS (VALUES ('ann@x'), ('zed@x')) SELECT c.id FROM customers c JOIN wanted ON c.email = wanted.e
SELECT c.id FROM customers c JOIN unnest('{ann@x,zed@x,NULL}'::text[]) WITH ORDINALITY AS e(email, n) ON c.email = e.email
SELECT c.id FROM customers c JOIN unnest(ARRAY['ann@x', 'bob@x']) AS e ON c.email = e
SELECT id FROM customers WHERE email IN (SELECT unnest('{ann@x,zed@x}'::text[]))
"""

WITH_PARAMETERS: list[tuple[str, tuple[bytes | None, ...]]] = [
    ('SELECT id FROM customers WHERE "email"::text = $1::varchar', (b"ann@x",)),
    ("SELECT id FROM customers WHERE (id, email) = ($1, $2)", (b"1", b"ann@x")),
    (
        "SELECT id FROM customers WHERE (email, age) IN (($1, $2), ($3, $4))",
        (b"ann@x", b"42", b"x", None),
    ),
    ("SELECT id FROM customers WHERE $1 IN (SELECT email FROM customers)", (b"ann@x",)),
    ("SELECT id FROM customers WHERE email IN (SELECT unnest($1::text[]))", (b'{ann@x,NULL,""}',)),
    (
        "SELECT c.id FROM customers c JOIN unnest($1::varchar[]) e ON e = c.email",
        (b"{ann@x,bob@x}",),
    ),
    (
        "SELECT c.id, n FROM customers c JOIN unnest($1::date[]) WITH ORDINALITY t(d, n) ON c.born = d",
        (b"{1990-01-01}",),
    ),
    ("SELECT COALESCE(ssn, $1) FROM customers", (b"none",)),
]


@pytest.mark.parametrize("way", WAYS)
def test_a_read_answers_as_on_plain_tables(schemas: Schemas, way: str) -> None:
    """Rows and their description do not differ, whatever the protocol and format."""
    for sql in READS.strip().splitlines():
        schemas.compare(sql, way=way)


@pytest.mark.parametrize("way", ["extended", "binary"])
def test_a_read_with_parameters_answers_as_on_plain_tables(schemas: Schemas, way: str) -> None:
    """The same with values that are bound."""
    for sql, values in WITH_PARAMETERS:
        schemas.compare(sql, values, way=way)
