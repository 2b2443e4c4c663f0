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
SELECT ssn::text FROM customers UNION ALL SELECT ssn FROM customers
SELECT u.s FROM (SELECT ssn AS s FROM customers UNION ALL SELECT ssn FROM customers) u
SELECT ssn FROM customers UNION ALL SELECT NULL
SELECT email FROM customers UNION ALL SELECT 'none'
SELECT (SELECT ssn FROM customers WHERE id = 1) AS s
SELECT CASE WHEN id = 1 THEN ssn ELSE ssn END AS a, CASE WHEN id = 1 THEN ssn END AS b, COALESCE(ssn, ssn) AS c FROM customers
SELECT COALESCE(ssn, '') AS a, CASE id WHEN 1 THEN ssn ELSE 'other' END AS b, COALESCE(email, NULL, 'none') AS c FROM customers
SELECT COALESCE(born, '1999-12-31') AS b, COALESCE(age, 0) AS a, COALESCE(age, -1) AS c FROM customers
SELECT NULLIF(email, 'ann@x'), NULLIF(c.email, $$x$$) AS s, id FROM customers c
SELECT COALESCE(NULLIF(email, 'ann@x'), 'nobody') AS e, CASE WHEN id > 1 THEN NULLIF(age, 42) END AS a FROM customers
SELECT NULLIF(born, '1990-01-01'::date) FROM customers
SELECT s.e FROM (SELECT NULLIF(email::text, 'ann@x'::text) AS e FROM customers) s WHERE s.e = 'bob@x'
SELECT id FROM customers WHERE COALESCE(email, 'none') = 'none' OR COALESCE(age, 0) IN (42, 7)
SELECT id FROM customers WHERE email = COALESCE(NULL, 'ann@x') OR COALESCE(born, '2000-01-01') <> '1990-01-01'
SELECT id FROM customers WHERE COALESCE(email, '') IS DISTINCT FROM COALESCE(NULL, email, '')
SELECT id FROM customers WHERE (SELECT d.email FROM customers d WHERE d.id = customers.id + 1) IS NULL
SELECT x.i, x.e FROM customers c CROSS JOIN LATERAL (VALUES (c.id, c.email), (0, 'more')) AS x(i, e)
SELECT x.* FROM customers c, LATERAL (VALUES (c.id, c.ssn)) AS x(i, s)
VALUES ((SELECT email FROM customers WHERE id = 1)), ('x')
TABLE customers
SELECT * FROM ONLY customers AS c (a, b, c)
SELECT * FROM customers c FETCH FIRST 2 ROWS WITH TIES
SELECT c.a, c.b FROM customers AS c(a, b) WHERE b = 'ann@x'
SELECT j.x, j.y FROM (customers c JOIN orders o ON o.customer = c.id) AS j(x, y)
SELECT c.*, o.note FROM customers c LEFT JOIN LATERAL (SELECT note FROM orders o WHERE o.customer = c.id ORDER BY id LIMIT 1) o ON true
SELECT o.id, l.email FROM orders o CROSS JOIN LATERAL (SELECT c.email FROM customers c WHERE c.id = o.customer) AS l
SELECT o.id, l.n FROM orders o, LATERAL (SELECT count(*) AS n FROM customers c WHERE c.email = 'ann@x' AND c.id = o.customer) l
SELECT c.id, g FROM customers c, LATERAL generate_series(1, c.id) g WHERE c.email = 'bob@x'
SELECT id, row_number() OVER (ORDER BY id DESC), email FROM customers
SELECT id, lag(email) OVER (ORDER BY id), lead(ssn, 2) OVER w AS l FROM customers WINDOW w AS (PARTITION BY city ORDER BY id)
SELECT id, first_value(email) OVER (ORDER BY id) AS f, last_value(born) OVER (ORDER BY id) AS l, nth_value(age, 2) OVER (ORDER BY id) AS n FROM customers
SELECT city, count(email) OVER (PARTITION BY city), count(email) FILTER (WHERE id > 1) OVER () FROM customers
SELECT city, name, count(email), count(*) FROM customers GROUP BY GROUPING SETS ((city), (name), ())
SELECT city, count(ssn), grouping(city) FROM customers GROUP BY ROLLUP (city)
SELECT city, name, count(email) FROM customers GROUP BY CUBE (city, name)
SELECT DISTINCT ON (city) city, email FROM customers ORDER BY city, id
SELECT email FROM customers ORDER BY id FOR UPDATE OF customers NOWAIT
SELECT id, email IS NULL AS e, (email IS NOT NULL) AND id > 1 AS f FROM customers
SELECT count(c), count(c.*), count(DISTINCT id) FROM customers c WHERE email = 'ann@x'
SELECT c.id, d.id FROM customers c FULL JOIN customers d ON c.email = d.email AND d.id > 1
SELECT id, email FROM events WHERE email = 'ann@x'
SELECT id, email FROM events_eu WHERE email = 'ann@x'
SELECT * FROM events_us
SELECT id, email FROM people WHERE email IN ('ann@x', 'bob@x')
SELECT id, email FROM ONLY people WHERE email <> 'x'
SELECT * FROM people *
SELECT badge, email FROM staff WHERE email = 'bob@x'
SELECT p.id, s.badge FROM people p JOIN staff s ON p.email = s.email
SELECT tableoid = 'people'::regclass AS t, email FROM people
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
SELECT v.n, v.e, c.id FROM (VALUES (1, 'ann@x'), (2, 'zed@x'), (3, NULL)) AS v(n, e) LEFT JOIN customers c ON c.email = v.e
SELECT e.email, e.n, c.name FROM unnest('{ann@x,zed@x}'::text[]) WITH ORDINALITY AS e(email, n) LEFT JOIN customers c ON c.email = e.email
SELECT c.id FROM customers c JOIN (VALUES ('1990-01-01')) AS v(d) ON c.born = v.d
SELECT c.id FROM customers c JOIN (VALUES ('1990-01-01'::date), ('1991-02-02')) AS v(d) ON c.born = v.d
SELECT c.id FROM customers c JOIN (VALUES (42), (5)) AS v(a) ON c.age = v.a
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
    ("SELECT id FROM customers WHERE email = COALESCE($1, email)", (None,)),
    ("SELECT id FROM customers WHERE email = COALESCE($1, email)", (b"ann@x",)),
    ("SELECT NULLIF(email, $1) FROM customers", (b"ann@x",)),
    ("SELECT COALESCE(ssn, $1) FROM customers", (b"none",)),
]


@pytest.mark.parametrize("way", WAYS)
def test_a_read_answers_as_on_plain_tables(schemas: Schemas, way: str) -> None:
    """Rows and their description do not differ, whatever the protocol and format."""
    schemas.check(READS.strip().splitlines(), way=way)


@pytest.mark.parametrize("way", ["extended", "binary"])
def test_a_read_with_parameters_answers_as_on_plain_tables(schemas: Schemas, way: str) -> None:
    """The same with values that are bound."""
    schemas.check(WITH_PARAMETERS, way=way)
