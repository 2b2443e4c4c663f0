"""Every shape of statement that docs/statements.md speaks of, by family, over the shop's tables.

`{schema}` is where the tables are: the sealed ones, or their plain twins. A shape may need statements before it (`given`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Shape:
    sql: str
    given: tuple[str, ...] = ()
    compared: bool = True
    """What it returns is the same on the plain twins. (EXPLAIN's output is not.)"""
    ordered: bool = False
    """In the same order, too."""


FAMILIES: dict[str, list[str | Shape]] = {
    "Reading": [
        "SELECT email FROM customers WHERE id = 1",
        "SELECT * FROM customers",
        "TABLE customers",
        "SELECT c.email AS mail, o.item FROM customers c JOIN orders o ON o.customer = c.id",
        "SELECT c.email FROM customers AS c (a, b, email)",
        "SELECT email FROM ONLY customers",
        "SELECT email FROM public.customers",
        'SELECT "email" FROM "customers"',
        "SELECT s.email FROM (SELECT email, id FROM customers) AS s WHERE s.id = 1",
        "WITH c AS (SELECT * FROM customers) SELECT email, birth_date FROM c",
        "WITH RECURSIVE r (n, email) AS (SELECT 1, email FROM customers WHERE id = 1 UNION ALL SELECT n + 1, email FROM r WHERE n < 3) SELECT * FROM r",
        "SELECT (SELECT email FROM customers WHERE id = o.customer) FROM orders o",
        "SELECT o.item, l.email FROM orders o, LATERAL (SELECT email FROM customers c WHERE c.id = o.customer) l",
        "SELECT o.item, c.email FROM orders o LEFT JOIN customers c ON c.id = o.customer",
        "SELECT email FROM customers UNION ALL SELECT email FROM customers",
        "SELECT email FROM customers TABLESAMPLE BERNOULLI (100)",
        "SELECT email FROM customers ORDER BY id LIMIT 1 OFFSET 1",
        "SELECT email FROM customers ORDER BY id FETCH FIRST 2 ROWS ONLY",
        "SELECT email FROM customers WHERE id = 1 FOR UPDATE",
        "SELECT email FROM customers WHERE id = 1 FOR UPDATE OF customers SKIP LOCKED",
        "SELECT coalesce(email, 'none') FROM customers",
        "SELECT CASE WHEN id = 1 THEN email ELSE 'hidden' END FROM customers",
        "SELECT email::text, CAST(email AS varchar) FROM customers",
        "SELECT birth_date::text FROM customers",
        "SELECT DISTINCT ON (name) name, email FROM customers",
    ],
    'Comparing (columns with search = ["equality"])': [
        "SELECT id FROM customers WHERE email = 'ada@example.com'",
        "SELECT id FROM customers WHERE 'ada@example.com' = email",
        "SELECT id FROM customers WHERE email <> 'ada@example.com'",
        "SELECT id FROM customers WHERE email IN ('ada@example.com', 'bob@example.com')",
        "SELECT id FROM customers WHERE email NOT IN ('ada@example.com')",
        "SELECT id FROM customers WHERE email = ANY (ARRAY['ada@example.com', 'x'])",
        "SELECT id FROM customers WHERE email = ANY ('{ada@example.com,x}'::text[])",
        "SELECT id FROM customers WHERE email = ANY (ARRAY['ada@example.com.au']::varchar(15)[])",
        "SELECT id FROM customers WHERE birth_date IN ('1985-12-10', '2000-01-01 12:00'::timestamp)",
        "SELECT id FROM customers WHERE email <> ALL (ARRAY['ada@example.com'])",
        "SELECT id FROM customers WHERE email IS DISTINCT FROM 'ada@example.com'",
        "SELECT id FROM customers WHERE email IS NULL",
        "SELECT count(email) FROM customers",
        "SELECT id FROM customers WHERE email::text = 'ada@example.com'",
        "SELECT id FROM customers WHERE email = 'ada@example.com'::varchar",
        "SELECT id FROM customers WHERE birth_date = DATE '1985-12-10'",
        "SELECT id FROM customers WHERE (id, email) = (1, 'ada@example.com')",
        "SELECT id FROM customers WHERE (id, email) IN ((1, 'ada@example.com'), (2, 'x'))",
        "SELECT a.id FROM customers a JOIN customers b ON a.email = b.email",
        "SELECT id FROM customers WHERE email IN (SELECT email FROM customers WHERE id = 1)",
        "SELECT id FROM customers a WHERE EXISTS (SELECT 1 FROM customers b WHERE b.email = a.email AND b.id = 1)",
        "SELECT CASE WHEN email = 'ada@example.com' THEN 1 ELSE 0 END FROM customers",
        "SELECT count(*) FILTER (WHERE email = 'ada@example.com') FROM customers",
        "SELECT name FROM customers GROUP BY name HAVING bool_or(email = 'ada@example.com')",
        "SELECT id FROM customers WHERE ssn = '123-45-6789'",
        "SELECT id FROM customers WHERE email = name",
        "SELECT id FROM customers WHERE email = lower('ADA@example.com')",
        "SELECT id FROM customers WHERE lower(email) = 'ada@example.com'",
        "SELECT id FROM customers WHERE email LIKE 'ada%'",
        "SELECT id FROM customers WHERE email < 'b'",
        "SELECT id FROM customers WHERE email BETWEEN 'a' AND 'b'",
        "SELECT id FROM customers WHERE email ~ 'ada'",
        "SELECT a.id FROM customers a JOIN customers b USING (email)",
        "SELECT id FROM customers NATURAL JOIN customers AS other",
    ],
    "Computing, sorting and grouping": [
        "SELECT email || '!' FROM customers",
        "SELECT length(email) FROM customers",
        "SELECT birth_date + 1 FROM customers",
        "SELECT balance * 2 FROM customers",
        "SELECT sum(balance) FROM customers",
        "SELECT min(email) FROM customers",
        "SELECT array_agg(email) FROM customers",
        "SELECT string_agg(email, ',') FROM customers",
        "SELECT count(DISTINCT email) FROM customers",
        "SELECT email FROM customers ORDER BY email",
        "SELECT email, count(*) FROM customers GROUP BY email",
        "SELECT id, email FROM customers GROUP BY id",
        "SELECT DISTINCT email FROM customers",
        "SELECT email FROM customers UNION SELECT email FROM customers",
        "SELECT row_number() OVER (ORDER BY id), email FROM customers",
        "SELECT lag(email) OVER (ORDER BY id) FROM customers",
        "SELECT first_value(email) OVER (PARTITION BY name ORDER BY id) FROM customers",
        "SELECT count(*) OVER (PARTITION BY email) FROM customers",
        "SELECT name, note, count(email) FROM customers GROUP BY GROUPING SETS ((name), (note), ())",
        "SELECT name, count(*) FROM customers GROUP BY ROLLUP (name)",
        "SELECT c FROM customers c",
        "SELECT to_jsonb(c) FROM customers c",
        "SELECT row_to_json(c) FROM customers c",
        "SELECT ROW(id, email) FROM customers",
        "SELECT count(c.*) FROM customers c",
        "SELECT json_build_object('email', email) FROM customers",
        "SELECT id FROM customers WHERE octet_length(email) > 1",
        "SELECT sealgate.eq(email) FROM customers",
    ],
    "Writing": [
        "INSERT INTO customers (name, email) VALUES ('Zoe', 'zoe@example.com')",
        "INSERT INTO customers VALUES (70, 'Zoe', 'zoe@example.com', '1', '2000-01-01', 1.5, 'n')",
        "INSERT INTO customers (name, email) VALUES ('A', 'a@x'), ('B', NULL), ('C', DEFAULT)",
        "INSERT INTO customers (id, name, email) VALUES (71, 'Z', 'z@x') RETURNING id, email",
        "INSERT INTO customers (id, name, birth_date) SELECT id + 100, name, birth_date FROM customers RETURNING birth_date",
        "INSERT INTO customers (id, name, email) SELECT 72, item, 'fixed@x' FROM orders LIMIT 1",
        "INSERT INTO customers (name, email) SELECT item, item FROM orders",
        "INSERT INTO customers (id, name, ssn) SELECT id + 200, name, email FROM customers",
        "INSERT INTO customers (name, email) SELECT a, b FROM (VALUES ('V', 'v@x')) AS v (a, b)",
        "INSERT INTO customers (name, email) SELECT a::text, b::text FROM (VALUES ('V', 'v@x', 0), ('W', 'w@x', 1)) AS v (a, b, n) ORDER BY n",
        "INSERT INTO customers (name, email) SELECT * FROM unnest(ARRAY['V', 'W'], ARRAY['v@x', 'w@x'])",
        "INSERT INTO customers (id, name, email) VALUES (1, 'A', 'n@x') ON CONFLICT (id) DO UPDATE SET email = EXCLUDED.email",
        "INSERT INTO customers (name, email) VALUES ('A', 'ada@example.com') ON CONFLICT (email) DO NOTHING",
        "INSERT INTO customers (name, email) VALUES ('A', lower('A@X'))",
        "INSERT INTO customers (name, email) VALUES ('A', 'a' || 'b')",
        "INSERT INTO customers (name, birth_date) VALUES ('A', now())",
        "UPDATE customers SET email = 'new@x' WHERE id = 1 RETURNING email",
        "UPDATE customers SET email = NULL, birth_date = DATE '2001-01-01' WHERE email = 'ada@example.com'",
        "UPDATE customers SET (name, email) = ('N', 'n@x') WHERE id = 1",
        "UPDATE customers SET email = CASE WHEN id = 1 THEN 'one@x' ELSE email END",
        "UPDATE customers SET email = (CASE WHEN id = 1 THEN 'one@x' WHEN id = 2 THEN 'two@x' ELSE NULL END)::text",
        "UPDATE customers SET email = coalesce(email, 'none@x')",
        "UPDATE customers c SET birth_date = o.birth_date FROM customers o WHERE o.id = c.id + 1",
        "UPDATE customers c SET email = v.email FROM (VALUES (1, 'v1@x'), (2, 'v2@x')) AS v (id, email) WHERE v.id = c.id",
        "UPDATE customers SET email = ssn",
        "UPDATE customers SET email = name",
        "UPDATE customers SET name = email",
        "UPDATE customers SET email = email || 'x'",
        "DELETE FROM customers WHERE email = 'cyd@example.com' RETURNING email",
        "DELETE FROM customers c USING orders o WHERE o.customer = c.id AND c.email = 'none'",
        "WITH gone AS (DELETE FROM customers WHERE id = 3 RETURNING *) SELECT id, email FROM gone",
        "WITH new AS (UPDATE customers SET email = 'cte@x' WHERE id = 1 RETURNING id, email) SELECT email FROM new",
        "TRUNCATE customers CASCADE",
    ],
    "MERGE": [
        "MERGE INTO customers c USING (VALUES (1, 'merged@x'), (80, 'fresh@x')) AS s (id, email) ON c.id = s.id WHEN MATCHED THEN UPDATE SET email = s.email WHEN NOT MATCHED THEN INSERT (id, name, email) VALUES (s.id, 'm', s.email)",
        "MERGE INTO customers c USING orders o ON o.customer = c.id WHEN MATCHED AND c.email = 'ada@example.com' THEN UPDATE SET note = 'found' WHEN MATCHED THEN DO NOTHING",
        "MERGE INTO customers c USING customers s ON c.email = s.email WHEN MATCHED THEN UPDATE SET note = 'same' RETURNING merge_action(), c.email",
        "MERGE INTO customers c USING orders o ON c.id = o.customer WHEN NOT MATCHED BY SOURCE THEN UPDATE SET email = NULL",
        "MERGE INTO customers c USING orders o ON c.id = o.customer WHEN MATCHED THEN UPDATE SET email = o.item",
    ],
    "COPY": [
        Shape("COPY customers FROM '/tmp/x'", compared=False),
        Shape("COPY customers TO PROGRAM 'cat'", compared=False),
    ],
    "Cursors, PREPARE and EXPLAIN": [
        Shape(
            "FETCH 2 FROM c", ("DECLARE c CURSOR FOR SELECT id, email FROM customers ORDER BY id",)
        ),
        Shape(
            "FETCH BACKWARD 1 FROM c",
            (
                "DECLARE c SCROLL CURSOR FOR SELECT email FROM customers ORDER BY id",
                "MOVE 2 FROM c",
            ),
        ),
        Shape(
            "FETCH ALL FROM c",
            (
                "DECLARE c CURSOR WITH HOLD FOR SELECT email FROM customers WHERE email = 'ada@example.com'",
            ),
        ),
        Shape(
            "UPDATE customers SET email = 'cur@x' WHERE CURRENT OF c",
            ("DECLARE c CURSOR FOR SELECT id FROM customers FOR UPDATE", "FETCH 1 FROM c"),
        ),
        Shape("CLOSE c", ("DECLARE c CURSOR FOR SELECT email FROM customers",)),
        Shape(
            "EXECUTE p ('ada@example.com')",
            ("PREPARE p (text) AS SELECT id, email FROM customers WHERE email = $1",),
        ),
        Shape(
            "EXECUTE p (90, 'prep@x')",
            (
                "PREPARE p (int, text) AS INSERT INTO customers (id, name, email) VALUES ($1, 'p', $2) RETURNING email",
            ),
        ),
        Shape(
            "EXECUTE p (lower('X'))",
            ("PREPARE p (text) AS SELECT id FROM customers WHERE email = $1",),
            compared=False,
        ),
        Shape("DEALLOCATE p", ("PREPARE p AS SELECT email FROM customers",)),
        Shape("EXPLAIN SELECT id FROM customers WHERE email = 'ada@example.com'", compared=False),
        Shape(
            "EXPLAIN (ANALYZE, VERBOSE, FORMAT JSON) SELECT email FROM customers", compared=False
        ),
        Shape("EXPLAIN INSERT INTO customers (name, email) VALUES ('x', 'x@x')", compared=False),
        Shape(
            "EXPLAIN EXECUTE p ('ada@example.com')",
            ("PREPARE p (text) AS SELECT id FROM customers WHERE email = $1",),
            compared=False,
        ),
    ],
    "Making tables and views": [
        "CREATE TABLE t2 AS SELECT id, email FROM customers",
        "CREATE TEMPORARY TABLE t3 AS SELECT id, email FROM customers WHERE email = 'ada@example.com'",
        "SELECT id, email INTO t4 FROM customers",
        "CREATE MATERIALIZED VIEW m AS SELECT id, email FROM customers",
        "CREATE TABLE t5 AS SELECT name, lower(email) FROM customers",
        "CREATE TABLE t6 (LIKE customers INCLUDING ALL)",
        "CREATE VIEW v AS SELECT id, email FROM customers",
        "CREATE VIEW v AS SELECT id FROM customers WHERE email = 'ada@example.com'",
        "CREATE VIEW v AS SELECT id, email IS NULL AS unknown FROM customers",
        "CREATE VIEW v AS SELECT id, lag(email) OVER (ORDER BY id) AS before FROM customers",
        "CREATE TABLE t7 (id int) INHERITS (customers)",
        "CREATE TEMPORARY TABLE customers (id int)",
        Shape("CREATE INDEX ON customers (sealgate.eq(birth_date))", compared=False),
        "CREATE INDEX ON customers (email)",
        "CREATE INDEX ON customers (name)",
        "CREATE UNIQUE INDEX ON customers (name) WHERE email IS NOT NULL",
        "CREATE FUNCTION f() RETURNS SETOF customers LANGUAGE sql AS 'SELECT * FROM customers'",
        "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS $$ SELECT id FROM customers WHERE email = 'x' $$",
        "CREATE RULE r AS ON INSERT TO customers DO NOTHING",
        "CREATE STATISTICS s ON name, email FROM customers",
    ],
    "Changing tables": [
        "ALTER TABLE customers ADD COLUMN phone text",
        "ALTER TABLE customers DROP COLUMN note",
        "ALTER TABLE customers DROP COLUMN email",
        "ALTER TABLE customers DROP COLUMN email CASCADE",
        "ALTER TABLE customers RENAME COLUMN email TO mail",
        "ALTER TABLE customers RENAME TO clients",
        "ALTER TABLE customers ALTER COLUMN email DROP NOT NULL",
        "ALTER TABLE customers ALTER COLUMN email TYPE text",
        "ALTER TABLE customers ALTER COLUMN email SET DEFAULT 'x'",
        "ALTER TABLE customers ADD CHECK (email <> '')",
        "ALTER TABLE customers ADD UNIQUE (email)",
        "COMMENT ON COLUMN customers.email IS 'where to write'",
        "GRANT SELECT ON customers TO PUBLIC",
        "LOCK TABLE customers",
        "ANALYZE customers",
        "DROP TABLE customers CASCADE",
    ],
    "Code in the server": [
        "DO $$ BEGIN PERFORM 1; END $$",
        "DO $$ BEGIN UPDATE customers SET email = NULL; END $$",
    ],
}


def shapes(families: Mapping[str, list[str | Shape]] = FAMILIES) -> list[tuple[str, Shape]]:
    return [
        (family, shape if isinstance(shape, Shape) else Shape(shape))
        for family, listed in families.items()
        for shape in listed
    ]
