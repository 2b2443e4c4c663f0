-- Statements as applications, drivers and tools send them. Blocks are separated by blank lines; a
-- line `--- name` begins a family. The shapes are those of the named library; the tables are ours.

--- psycopg, simple protocol with interpolated literals
SELECT id, name, email FROM customers WHERE email = 'alice@example.com'

SELECT id, name, email FROM customers WHERE id = 42

SELECT id FROM customers WHERE name = 'O''Brien' AND created_at > '2024-01-01'::date

INSERT INTO customers (name, email, ssn) VALUES ('Alice', 'alice@example.com', '123-45-6789') RETURNING id

INSERT INTO customers (name, email) VALUES ('a', 'a@b.c'), ('d', 'd@e.f'), ('g', NULL)

UPDATE customers SET email = 'new@example.com', updated_at = now() WHERE id = 7

DELETE FROM customers WHERE email = 'gone@example.com'

SELECT * FROM customers WHERE email IN ('a@b.c', 'd@e.f', 'g@h.i')

SELECT * FROM customers WHERE id = ANY('{1,2,3}')

SELECT * FROM customers WHERE id = ANY(ARRAY[1,2,3])

INSERT INTO customers (name, notes) VALUES (E'back\\slash', E'two\nlines')

INSERT INTO events (payload) VALUES ('{"a": 1, "b": [true, null]}'::jsonb)

SELECT count(*) FROM customers WHERE birth_date BETWEEN '1970-01-01' AND '1979-12-31'

SELECT id, email FROM customers WHERE lower(name) LIKE 'al%' ORDER BY name LIMIT 10 OFFSET 20

INSERT INTO audit (at, who, what) VALUES ('2024-05-01T10:00:00+00:00'::timestamptz, 'x', B'101')

SELECT E'\'quoted\'', $$dollar$$, $tag$dollar 'quoted' $$ $tag$

UPDATE customers SET balance = balance - 10.50 WHERE id = 7 AND balance >= 10.50

UPDATE customers SET avatar = '\xdeadbeef'::bytea WHERE id = 1

SELECT 'a'::text || 'b' AS ab, -1, - 1.5e3, +2

INSERT INTO customers DEFAULT VALUES RETURNING id

--- psycopg 3 and asyncpg, extended protocol
SELECT id, name, email FROM customers WHERE id = $1

SELECT id, name FROM customers WHERE email = $1::text

SELECT * FROM customers WHERE email = ANY($1)

SELECT * FROM customers WHERE email = ANY($1::text[])

SELECT * FROM customers WHERE email <> ALL($1::varchar[])

INSERT INTO customers (name, email, ssn, birth_date) VALUES ($1, $2, $3, $4)

INSERT INTO customers (name, email, ssn, birth_date) VALUES ($1, $2, $3, $4) RETURNING id, created_at

INSERT INTO customers(name,email)VALUES($1,$2)

INSERT INTO customers VALUES ($1,$2,$3,$4,$5,$6,DEFAULT)

UPDATE customers SET email=$1,name=$2 WHERE id=$3

UPDATE customers SET (email, name) = ($1, $2) WHERE id = $3

UPDATE customers SET (email, name) = ROW($1, $2) WHERE id = $3 RETURNING *

DELETE FROM customers WHERE id = $1 RETURNING email

SELECT $1::int4 + $2::int4 AS sum

SELECT * FROM customers WHERE ($1::text IS NULL OR email = $1) AND ($2::int IS NULL OR id = $2)

SELECT * FROM customers WHERE created_at >= $1 AND created_at < $2 ORDER BY created_at DESC, id LIMIT $3

INSERT INTO customers (name, email) SELECT * FROM unnest($1::text[], $2::text[])

INSERT INTO customers (name, email) SELECT r.name, r.email FROM unnest($1::customers[]) AS r

SELECT c.* FROM customers AS c JOIN unnest($1::int[]) AS wanted(id) ON c.id = wanted.id

SELECT * FROM customers WHERE email = $1 FOR UPDATE

SELECT * FROM customers WHERE email = $1 FOR NO KEY UPDATE OF customers SKIP LOCKED

SELECT * FROM jobs WHERE state = 'ready' ORDER BY id FOR UPDATE SKIP LOCKED LIMIT 1

SELECT EXISTS(SELECT 1 FROM customers WHERE email = $1)

SELECT EXISTS (SELECT 1 FROM customers WHERE email = $1) AS taken

SELECT 1 FROM customers WHERE email IS NOT DISTINCT FROM $1

SELECT id FROM customers WHERE email IS NULL

SELECT id FROM customers WHERE email IS NOT NULL AND ssn IS NULL

SELECT id FROM customers WHERE $1 = email

SELECT id FROM customers WHERE (email, name) = ($1, $2)

SELECT id FROM customers WHERE (email, name) IN (($1, $2), ($3, $4))

SELECT id FROM customers WHERE NOT (email = $1)

SELECT id FROM customers WHERE email NOT IN ($1, $2)

SELECT id FROM customers WHERE email IN (SELECT email FROM customers_old)

SELECT id FROM customers WHERE email != $1 OR email <> $2

--- upserts
INSERT INTO customers (email, name) VALUES ($1, $2) ON CONFLICT (email) DO UPDATE SET name = EXCLUDED.name

INSERT INTO customers (email, name) VALUES ($1, $2) ON CONFLICT (email) DO NOTHING

INSERT INTO customers (email, name) VALUES ($1, $2) ON CONFLICT DO NOTHING RETURNING id

INSERT INTO customers AS c (id, email, name) VALUES ($1, $2, $3) ON CONFLICT (id) DO UPDATE SET email = EXCLUDED.email, name = EXCLUDED.name, version = c.version + 1 WHERE c.email IS DISTINCT FROM EXCLUDED.email RETURNING c.id

INSERT INTO customers (email, name) VALUES ('a@b.c', 'A') ON CONFLICT ON CONSTRAINT customers_email_key DO UPDATE SET name = 'A', updated_at = now()

INSERT INTO customers (id, email) VALUES ($1, $2) ON CONFLICT (id) DO UPDATE SET email = COALESCE(EXCLUDED.email, customers.email)

INSERT INTO counters (key, n) VALUES ($1, 1) ON CONFLICT (key) DO UPDATE SET n = counters.n + 1 RETURNING n

INSERT INTO customers (email, name) VALUES ($1, $2) ON CONFLICT (email) WHERE deleted_at IS NULL DO UPDATE SET name = $2

WITH up AS (UPDATE customers SET name = $2 WHERE email = $1 RETURNING id) INSERT INTO customers (email, name) SELECT $1, $2 WHERE NOT EXISTS (SELECT 1 FROM up)

--- joins, subqueries, CTEs, set operations
SELECT u.id, u.name, o.id, o.total, p.name, p.price FROM customers u JOIN orders o ON o.customer_id = u.id JOIN products p ON p.id = o.product_id WHERE u.email = $1 AND o.created_at > $2 ORDER BY o.created_at DESC LIMIT 50

SELECT c.email, count(o.id) AS orders FROM customers c LEFT JOIN orders o ON o.customer_id = c.id GROUP BY c.email HAVING count(o.id) > 3

SELECT c.email, sum(o.total) FILTER (WHERE o.state = 'paid') AS paid FROM customers c LEFT OUTER JOIN orders o USING (customer_id) GROUP BY 1 ORDER BY 2 DESC NULLS LAST

SELECT a.email FROM customers a, customers b WHERE a.email = b.email AND a.id <> b.id

SELECT * FROM customers NATURAL JOIN addresses

SELECT * FROM customers c CROSS JOIN LATERAL (SELECT * FROM orders o WHERE o.customer_id = c.id ORDER BY o.id DESC LIMIT 1) last

SELECT * FROM customers c LEFT JOIN LATERAL (SELECT count(*) n FROM orders o WHERE o.customer_id = c.id) s ON true

SELECT * FROM (SELECT id, email AS e FROM customers) x WHERE x.e = $1

SELECT x.mail FROM (SELECT email FROM customers) AS x(mail)

SELECT (SELECT email FROM customers c WHERE c.id = o.customer_id) FROM orders o WHERE o.id = $1

SELECT id, (SELECT max(total) FROM orders WHERE customer_id = customers.id) AS biggest FROM customers

WITH recent AS (SELECT * FROM orders WHERE created_at > now() - interval '7 days') SELECT c.email, r.total FROM customers c JOIN recent r ON r.customer_id = c.id

WITH a AS (SELECT id, email FROM customers), b AS MATERIALIZED (SELECT id FROM a WHERE email = $1) SELECT * FROM b

WITH RECURSIVE tree AS (SELECT id, parent_id, 1 AS depth FROM nodes WHERE parent_id IS NULL UNION ALL SELECT n.id, n.parent_id, t.depth + 1 FROM nodes n JOIN tree t ON n.parent_id = t.id) SELECT * FROM tree ORDER BY depth

WITH moved AS (DELETE FROM customers WHERE id = $1 RETURNING *) INSERT INTO customers_archive SELECT * FROM moved

WITH ins AS (INSERT INTO customers (email) VALUES ($1) RETURNING id) INSERT INTO orders (customer_id, total) SELECT id, $2 FROM ins RETURNING id

SELECT email FROM customers UNION SELECT email FROM leads

SELECT email FROM customers UNION ALL SELECT email FROM leads ORDER BY 1 LIMIT 5

(SELECT email FROM customers LIMIT 1) UNION ALL (SELECT email FROM leads LIMIT 1)

SELECT id FROM customers EXCEPT SELECT customer_id FROM orders

SELECT id FROM customers INTERSECT ALL SELECT customer_id FROM orders

SELECT DISTINCT email FROM customers

SELECT DISTINCT ON (c.email) c.email, o.id FROM customers c JOIN orders o ON o.customer_id = c.id ORDER BY c.email, o.created_at DESC

SELECT c.id, row_number() OVER (PARTITION BY c.region ORDER BY c.created_at DESC) AS rn FROM customers c

SELECT id, sum(total) OVER w, avg(total) OVER w FROM orders WINDOW w AS (PARTITION BY customer_id ORDER BY id ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW)

SELECT region, state, count(*) FROM customers GROUP BY GROUPING SETS ((region), (state), ())

SELECT region, state, count(*) FROM customers GROUP BY ROLLUP (region, state)

SELECT c FROM customers c

SELECT c.*, o.* FROM customers c JOIN orders o ON o.customer_id = c.id

SELECT customers.* FROM public.customers

SELECT (c).email FROM customers c

SELECT CASE WHEN c.email = $1 THEN 'hit' WHEN c.email IS NULL THEN 'none' ELSE 'miss' END FROM customers c

SELECT coalesce(c.email, c.backup_email, 'none') FROM customers c

SELECT nullif(email, '') FROM customers

SELECT * FROM customers TABLESAMPLE SYSTEM (1)

VALUES (1, 'a'), (2, 'b')

SELECT * FROM (VALUES (1, 'a'), (2, 'b')) AS t(id, name)

TABLE customers

SELECT * FROM ONLY customers

SELECT id, email FROM customers ORDER BY id FETCH FIRST 10 ROWS ONLY

SELECT id FROM customers OFFSET 5 ROWS FETCH NEXT ROW ONLY

SELECT array_agg(email ORDER BY id) FROM customers

SELECT string_agg(name, ', ' ORDER BY name) FROM customers

SELECT array(SELECT email FROM customers)

SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY total) FROM orders

SELECT count(DISTINCT email) FROM customers

SELECT extract(year FROM birth_date), date_trunc('month', created_at), to_char(created_at, 'YYYY-MM-DD') FROM customers

SELECT date_part('year', age(birth_date)) FROM customers

SELECT now() - interval '1 day', current_date + 1, interval '2' hour, current_timestamp(3)

SELECT created_at AT TIME ZONE 'UTC' FROM customers

SELECT substring(name FROM 1 FOR 3), trim(both ' ' FROM name), position('a' IN name), overlay(name placing 'x' from 1) FROM customers

SELECT name FROM customers WHERE name ~* '^al' AND name !~ 'x' AND name SIMILAR TO '(a|b)%'

SELECT name FROM customers WHERE name ILIKE '%' || $1 || '%' ESCAPE '!'

SELECT data->'a'->>'b', data #>> '{a,b}', data @> '{"a":1}', data ? 'k', data ?| array['a','b'] FROM events

SELECT coalesce(data -> 'k', '{}'::jsonb) FROM events WHERE (data ->> 'n')::int > 5

SELECT jsonb_build_object('id', id, 'email', email) FROM customers

SELECT row_to_json(c) FROM customers c

SELECT to_jsonb(c) - 'ssn' FROM customers c

SELECT tags[1], tags[2:3], array_length(tags, 1) FROM posts WHERE 'a' = ANY(tags) AND tags && ARRAY['x','y']::text[]

SELECT * FROM generate_series(1, 10) AS g(n)

SELECT * FROM jsonb_to_recordset('[{"a":1}]') AS x(a int, b text)

SELECT * FROM unnest(ARRAY[1,2], ARRAY['a','b']) WITH ORDINALITY AS t(a, b, n)

SELECT embedding <-> $1 AS distance FROM documents ORDER BY embedding <=> $1::vector LIMIT 5

SELECT ST_AsText(geom) FROM places WHERE ST_DWithin(geom, ST_MakePoint($1, $2)::geography, 1000) AND geom && $3

SELECT to_tsvector('english', body) @@ plainto_tsquery('english', $1) FROM posts

SELECT a IS TRUE, b IS NOT FALSE, c IS UNKNOWN FROM flags

SELECT * FROM customers WHERE email = 'x' COLLATE "C"

SELECT CAST(id AS text), id::bigint, CAST(name AS varchar(10)), '1'::numeric(10,2), x::double precision, y::character varying(3) FROM customers

--- UPDATE and DELETE forms
UPDATE customers c SET email = v.email FROM (VALUES (1, 'a@b.c'), (2, 'd@e.f')) AS v(id, email) WHERE c.id = v.id

UPDATE customers SET email = l.email FROM leads l WHERE l.customer_id = customers.id

UPDATE customers SET email = DEFAULT, ssn = NULL WHERE id = $1

UPDATE customers SET email = CASE id WHEN 1 THEN 'a@b.c' WHEN 2 THEN 'd@e.f' END WHERE id IN (1, 2)

UPDATE ONLY customers AS c SET name = upper(c.name) WHERE c.id = $1

UPDATE customers SET tags[1] = 'vip' WHERE id = $1

UPDATE customers SET email = (SELECT email FROM leads WHERE leads.id = $1) WHERE id = $2

UPDATE customers SET (email, name) = (SELECT email, name FROM leads WHERE leads.id = $1) WHERE id = $2

DELETE FROM customers c USING orders o WHERE o.customer_id = c.id AND o.total < $1

DELETE FROM customers WHERE id IN (SELECT customer_id FROM gone)

DELETE FROM ONLY customers

INSERT INTO customers_copy SELECT * FROM customers

INSERT INTO customers_copy (id, email) SELECT id, email FROM customers WHERE region = $1

INSERT INTO customers (id, email) OVERRIDING SYSTEM VALUE VALUES ($1, $2)

INSERT INTO customers (name, email) VALUES ($1, lower($2))

--- SQLAlchemy
SELECT customers.id AS customers_id, customers.name AS customers_name, customers.email AS customers_email FROM customers WHERE customers.email = $1::VARCHAR ORDER BY customers.id DESC LIMIT $2::INTEGER

SELECT anon_1.customers_id, anon_1.customers_email, orders_1.id AS orders_1_id FROM (SELECT customers.id AS customers_id, customers.email AS customers_email FROM customers WHERE customers.name LIKE $1::VARCHAR LIMIT $2::INTEGER) AS anon_1 LEFT OUTER JOIN orders AS orders_1 ON anon_1.customers_id = orders_1.customer_id

INSERT INTO customers (name, email, active) VALUES ($1::VARCHAR, $2::VARCHAR, $3::BOOLEAN) RETURNING customers.id

INSERT INTO customers (name, email) SELECT p0::VARCHAR, p1::VARCHAR FROM (VALUES ($1::VARCHAR, $2::VARCHAR, 0), ($3::VARCHAR, $4::VARCHAR, 1)) AS imp_sen(p0, p1, sen_counter) ORDER BY sen_counter RETURNING customers.id, customers.id AS id__1

UPDATE customers SET email=$1::VARCHAR, updated_at=now() WHERE customers.id = $2::INTEGER

DELETE FROM customers WHERE customers.id = $1::INTEGER

SELECT count(*) AS count_1 FROM (SELECT customers.id AS customers_id FROM customers WHERE customers.email = $1::VARCHAR) AS anon_1

SELECT EXISTS (SELECT * FROM customers WHERE customers.email = $1::VARCHAR) AS anon_1

SELECT orders.customer_id AS orders_customer_id, orders.id AS orders_id FROM orders WHERE orders.customer_id IN ($1::INTEGER, $2::INTEGER, $3::INTEGER)

SELECT pg_catalog.version()

select pg_catalog.version()

SELECT pg_catalog.current_schema()

show standard_conforming_strings

select current_schema()

SHOW transaction isolation level

SELECT pg_catalog.pg_class.relname FROM pg_catalog.pg_class JOIN pg_catalog.pg_namespace ON pg_catalog.pg_namespace.oid = pg_catalog.pg_class.relnamespace WHERE pg_catalog.pg_class.relname = $1::VARCHAR AND pg_catalog.pg_class.relkind = ANY (ARRAY[$2::VARCHAR, $3::VARCHAR]) AND pg_catalog.pg_table_is_visible(pg_catalog.pg_class.oid) AND pg_catalog.pg_namespace.nspname != $4::VARCHAR

SELECT pg_catalog.pg_attribute.attname AS name, pg_catalog.format_type(pg_catalog.pg_attribute.atttypid, pg_catalog.pg_attribute.atttypmod) AS format_type, (SELECT pg_catalog.pg_get_expr(pg_catalog.pg_attrdef.adbin, pg_catalog.pg_attrdef.adrelid) AS pg_get_expr_1 FROM pg_catalog.pg_attrdef WHERE pg_catalog.pg_attrdef.adrelid = pg_catalog.pg_attribute.attrelid AND pg_catalog.pg_attrdef.adnum = pg_catalog.pg_attribute.attnum AND pg_catalog.pg_attribute.atthasdef) AS "default" FROM pg_catalog.pg_attribute WHERE pg_catalog.pg_attribute.attnum > 0 AND NOT pg_catalog.pg_attribute.attisdropped

SELECT customers.id FROM customers WHERE customers.email = $1::VARCHAR FOR UPDATE OF customers

INSERT INTO customers (name, email) VALUES ($1::VARCHAR, $2::VARCHAR) ON CONFLICT (email) DO UPDATE SET name = excluded.name RETURNING customers.id

SELECT customers.id, row_number() OVER (PARTITION BY customers.region ORDER BY customers.id) AS anon_1 FROM customers

WITH anon_2 AS (SELECT customers.id AS id FROM customers WHERE customers.region = $1::VARCHAR) SELECT orders.id FROM orders JOIN anon_2 ON orders.customer_id = anon_2.id

SELECT customers.id FROM customers WHERE (customers.id, customers.email) IN (($1::INTEGER, $2::VARCHAR))

SELECT customers.data -> $1::TEXT AS anon_1, (customers.data ->> $2::TEXT)::INTEGER FROM customers WHERE customers.data @> $3::JSONB

--- Django
SELECT "shop_customer"."id", "shop_customer"."name", "shop_customer"."email", "shop_order"."id", "shop_order"."total" FROM "shop_customer" INNER JOIN "shop_order" ON ("shop_customer"."id" = "shop_order"."customer_id") WHERE ("shop_customer"."email" = 'a@b.c' AND "shop_order"."total" > 10.5 AND "shop_order"."state" IN ('new', 'paid')) ORDER BY "shop_order"."created" DESC LIMIT 21

SELECT "shop_customer"."id", "shop_customer"."email" FROM "shop_customer" WHERE "shop_customer"."id" = 1 LIMIT 21

SELECT 1 AS "a" FROM "shop_customer" WHERE "shop_customer"."email" = 'a@b.c' LIMIT 1

SELECT (1) AS "a" FROM "shop_customer" WHERE "shop_customer"."email" = 'a@b.c' LIMIT 1

INSERT INTO "shop_customer" ("name", "email", "created") VALUES ('Alice', 'a@b.c', '2024-05-01T10:00:00+00:00'::timestamptz) RETURNING "shop_customer"."id"

INSERT INTO "shop_customer" ("name", "email") VALUES ('A', 'a@b.c'), ('B', 'b@c.d') ON CONFLICT DO NOTHING RETURNING "shop_customer"."id"

INSERT INTO "shop_customer" ("name", "email") VALUES ('A', 'a@b.c') ON CONFLICT("email") DO UPDATE SET "name" = EXCLUDED."name" RETURNING "shop_customer"."id"

INSERT INTO "shop_customer" ("name", "email") SELECT * FROM UNNEST(('{A,B}')::varchar(100)[], ('{a@b.c,b@c.d}')::varchar(254)[]) RETURNING "shop_customer"."id"

UPDATE "shop_customer" SET "email" = 'n@e.w', "visits" = ("shop_customer"."visits" + 1) WHERE "shop_customer"."id" = 1

UPDATE "shop_customer" SET "email" = (CASE WHEN ("shop_customer"."id" = 1) THEN 'a@b.c' WHEN ("shop_customer"."id" = 2) THEN 'd@e.f' ELSE NULL END)::varchar(254) WHERE "shop_customer"."id" IN (1, 2)

DELETE FROM "shop_customer" WHERE "shop_customer"."id" IN (1, 2, 3)

SELECT COUNT(*) AS "__count" FROM "shop_customer" WHERE UPPER("shop_customer"."name"::text) LIKE UPPER('%al%')

SELECT COUNT(*) FROM (SELECT "shop_customer"."id" AS "col1" FROM "shop_customer" GROUP BY 1 HAVING COUNT("shop_customer"."id") > 1) subquery

SELECT "shop_order"."id", COALESCE(SUM("shop_item"."price" * "shop_item"."quantity"), '0'::numeric) AS "total" FROM "shop_order" LEFT OUTER JOIN "shop_item" ON ("shop_order"."id" = "shop_item"."order_id") GROUP BY "shop_order"."id"

SELECT "shop_customer"."id" FROM "shop_customer" WHERE NOT (EXISTS(SELECT 1 AS "a" FROM "shop_order" U1 WHERE (U1."total" > 100 AND U1."customer_id" = ("shop_customer"."id")) LIMIT 1))

SELECT "shop_customer"."id" FROM "shop_customer" WHERE ("shop_customer"."created" AT TIME ZONE 'UTC')::date = '2024-05-01'::date

SELECT DISTINCT DATE_TRUNC('month', "shop_order"."created" AT TIME ZONE 'UTC') AS "datetimefield" FROM "shop_order" WHERE "shop_order"."created" IS NOT NULL ORDER BY 1 ASC

SELECT "django_session"."session_key", "django_session"."session_data", "django_session"."expire_date" FROM "django_session" WHERE ("django_session"."expire_date" > '2024-05-01T10:00:00+00:00'::timestamptz AND "django_session"."session_key" = 'abc') LIMIT 21

SELECT "django_migrations"."id", "django_migrations"."app" FROM "django_migrations"

SELECT c.relname, CASE WHEN c.relispartition THEN 'p' WHEN c.relkind IN ('m', 'v') THEN 'v' ELSE 't' END, obj_description(c.oid, 'pg_class') FROM pg_catalog.pg_class c LEFT JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind IN ('f', 'm', 'p', 'r', 'v') AND n.nspname NOT IN ('pg_catalog', 'pg_toast') AND pg_catalog.pg_table_is_visible(c.oid)

SAVEPOINT "s140_x1"

RELEASE SAVEPOINT "s140_x1"

ROLLBACK TO SAVEPOINT "s140_x1"

DECLARE "_django_curs_1_1" NO SCROLL CURSOR WITH HOLD FOR SELECT "shop_customer"."id", "shop_customer"."email" FROM "shop_customer"

SELECT set_config('TimeZone', 'UTC', false)

--- ActiveRecord
SELECT "users".* FROM "users" WHERE "users"."email" = $1 AND "users"."deleted_at" IS NULL ORDER BY "users"."id" ASC LIMIT $2

SELECT "users".* FROM "users" WHERE "users"."id" = $1 LIMIT $2

SELECT 1 AS one FROM "users" WHERE "users"."email" = $1 LIMIT $2

SELECT 1 AS one FROM "users" WHERE LOWER("users"."email") = LOWER($1) AND "users"."id" != $2 LIMIT $3

INSERT INTO "users" ("email", "name", "created_at", "updated_at") VALUES ($1, $2, $3, $4) RETURNING "id"

UPDATE "users" SET "email" = $1, "updated_at" = $2 WHERE "users"."id" = $3

DELETE FROM "users" WHERE "users"."id" = $1

INSERT INTO "users" ("email","name","created_at","updated_at") VALUES ('a@b.c', 'A', CURRENT_TIMESTAMP, CURRENT_TIMESTAMP) ON CONFLICT ("email") DO UPDATE SET updated_at=(CASE WHEN ("users"."name" IS NOT DISTINCT FROM excluded."name") THEN "users".updated_at ELSE CURRENT_TIMESTAMP END),"name"=excluded."name" RETURNING "id"

SELECT COUNT(*) FROM "users" WHERE "users"."role" IN ('admin', 'editor')

SELECT "users"."email", "users"."id" FROM "users" INNER JOIN "orders" ON "orders"."user_id" = "users"."id" WHERE "orders"."state" = $1

SELECT "users"."id" AS t0_r0, "users"."email" AS t0_r1, "orders"."id" AS t1_r0 FROM "users" LEFT OUTER JOIN "orders" ON "orders"."user_id" = "users"."id" WHERE "users"."email" = $1

SELECT DISTINCT "users"."id" AS alias_0, "users"."created_at" FROM "users" ORDER BY "users"."created_at" DESC LIMIT $1

SELECT a.attname, format_type(a.atttypid, a.atttypmod), pg_get_expr(d.adbin, d.adrelid), a.attnotnull, a.atttypid, a.atttypmod, c.collname, col_description(a.attrelid, a.attnum) AS comment, attidentity AS identity, attgenerated as attgenerated FROM pg_attribute a LEFT JOIN pg_attrdef d ON a.attrelid = d.adrelid AND a.attnum = d.adnum LEFT JOIN pg_type t ON a.atttypid = t.oid LEFT JOIN pg_collation c ON a.attcollation = c.oid AND a.attcollation <> t.typcollation WHERE a.attrelid = '"users"'::regclass AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum

SELECT t.oid, t.typname, t.typelem, t.typdelim, t.typinput, r.rngsubtype, t.typtype, t.typbasetype FROM pg_type as t LEFT JOIN pg_range as r ON oid = rngtypid WHERE t.typname IN ('int2', 'int4', 'int8', 'oid')

SET client_min_messages TO 'warning'

SET standard_conforming_strings = on

SET SESSION timezone TO 'UTC'

--- Hibernate and pgjdbc
select c1_0.id,c1_0.email,c1_0.name from customers c1_0 where c1_0.email=$1

select c1_0.id,c1_0.email,o1_0.customer_id,o1_0.id,o1_0.total from customers c1_0 left join orders o1_0 on c1_0.id=o1_0.customer_id where c1_0.id=$1

insert into customers (email,name,version,id) values ($1,$2,$3,$4)

update customers set email=$1,name=$2,version=$3 where id=$4 and version=$5

delete from customers where id=$1 and version=$2

select nextval('customers_seq')

select c1_0.id from customers c1_0 where c1_0.name like $1 escape '' order by c1_0.id offset $2 rows fetch first $3 rows only

select count(*) from customers c1_0 where exists(select 1 from orders o1_0 where o1_0.customer_id=c1_0.id)

select c1_0.id,c1_0.email from customers c1_0 where c1_0.id in ($1,$2,$3)

select c1_0.id,c1_0.email from customers c1_0 where c1_0.id=any ($1)

select c1_0.id,case when c1_0.active then 1 else 0 end from customers c1_0

select c1_0.id from customers c1_0 where c1_0.email=$1 for no key update

select distinct c1_0.id,c1_0.email from customers c1_0 join orders o1_0 on c1_0.id=o1_0.customer_id where o1_0.total>cast($1 as numeric(38,2))

insert into customers (email,name) values ($1,$2) returning *

SELECT * FROM customers WHERE email=$1 AND name=$2 OR email=$3

SELECT TYPNAME FROM PG_TYPE WHERE OID = $1

SELECT NULL AS TABLE_CAT, n.nspname AS TABLE_SCHEM, c.relname AS TABLE_NAME, CASE n.nspname ~ '^pg_' OR n.nspname = 'information_schema' WHEN true THEN 'SYSTEM TABLE' ELSE 'TABLE' END AS TABLE_TYPE FROM pg_catalog.pg_namespace n, pg_catalog.pg_class c LEFT JOIN pg_catalog.pg_description d ON (c.oid = d.objoid AND d.objsubid = 0 and d.classoid = 'pg_class'::regclass) WHERE c.relnamespace = n.oid AND n.nspname LIKE 'public' ORDER BY TABLE_TYPE,TABLE_SCHEM,TABLE_NAME

SET extra_float_digits = 3

SET application_name = 'app'

BEGIN

COMMIT

ROLLBACK

BEGIN READ ONLY

START TRANSACTION ISOLATION LEVEL SERIALIZABLE

--- Go (pgx, gorm), node-postgres, Prisma
SELECT "public"."User"."id", "public"."User"."email" FROM "public"."User" WHERE ("public"."User"."email" = $1 AND 1=1) LIMIT $2 OFFSET $3

INSERT INTO "public"."User" ("email","name") VALUES ($1,$2) RETURNING "public"."User"."id", "public"."User"."email"

UPDATE "public"."User" SET "email" = $1 WHERE ("public"."User"."id" = $2 AND 1=1) RETURNING "public"."User"."id"

SELECT * FROM "users" WHERE email = $1 AND "users"."deleted_at" IS NULL ORDER BY "users"."id" LIMIT 1

INSERT INTO "users" ("created_at","email") VALUES ($1,$2),($3,$4) ON CONFLICT ("id") DO UPDATE SET "email"="excluded"."email" RETURNING "id"

SELECT "t0"."id", "t0"."email", COALESCE("aggr"."_count", 0) AS "_aggr_count" FROM "public"."User" AS "t0" LEFT JOIN (SELECT "userId", COUNT(*) AS "_count" FROM "public"."Post" WHERE 1=1 GROUP BY "userId") AS "aggr" ON ("t0"."id" = "aggr"."userId") WHERE 1=1

SELECT "id", "email" FROM "User" AS "User" WHERE "User"."email" = 'a@b.c' LIMIT 1

SELECT COALESCE(JSONB_AGG("__prisma_data__"), '[]') AS "__prisma_data__" FROM (SELECT "t1"."__prisma_data__" FROM (SELECT JSONB_BUILD_OBJECT('id', "t0"."id", 'email', "t0"."email") AS "__prisma_data__" FROM "public"."Post" AS "t0" WHERE "t0"."userId" = $1) AS "t1") AS "t2"

select "id", "email" from "users" where "email" = $1 and ("name" = $2 or "name" is null) limit $3

insert into "users" ("email", "name") values ($1, DEFAULT) returning "id"

SELECT /*+ SeqScan(t) */ id -- trailing comment
FROM customers /* route='/x', traceparent='00-abc' */ WHERE email = $1

SELECT id FROM customers WHERE email = $1 /* sqlglot.meta start=0, end=5 */

--- psql
SELECT n.nspname as "Schema", c.relname as "Name", CASE c.relkind WHEN 'r' THEN 'table' WHEN 'v' THEN 'view' END as "Type", pg_catalog.pg_get_userbyid(c.relowner) as "Owner" FROM pg_catalog.pg_class c LEFT JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind IN ('r','p','') AND n.nspname <> 'pg_catalog' AND n.nspname !~ '^pg_toast' AND pg_catalog.pg_table_is_visible(c.oid) ORDER BY 1,2

SELECT c.oid, n.nspname, c.relname FROM pg_catalog.pg_class c LEFT JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE c.relname OPERATOR(pg_catalog.~) '^(customers)$' COLLATE pg_catalog.default AND pg_catalog.pg_table_is_visible(c.oid) ORDER BY 2, 3

SELECT a.attname, pg_catalog.format_type(a.atttypid, a.atttypmod), (SELECT pg_catalog.pg_get_expr(d.adbin, d.adrelid, true) FROM pg_catalog.pg_attrdef d WHERE d.adrelid = a.attrelid AND d.adnum = a.attnum AND a.atthasdef), a.attnotnull FROM pg_catalog.pg_attribute a WHERE a.attrelid = '16384' AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum

SELECT pubname, NULL, NULL FROM pg_catalog.pg_publication p JOIN pg_catalog.pg_publication_namespace pn ON p.oid = pn.pnpubid WHERE pc.oid ='16384' and pg_catalog.pg_relation_is_publishable('16384') UNION SELECT pubname, NULL, NULL FROM pg_catalog.pg_publication p ORDER BY 1

SELECT d.datname as "Name", pg_catalog.array_to_string(d.datacl, E'\n') AS "Access privileges" FROM pg_catalog.pg_database d ORDER BY 1

EXPLAIN SELECT * FROM customers WHERE email = 'a@b.c'

EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) SELECT * FROM customers WHERE email = $1

COPY customers (email, name) FROM STDIN WITH (FORMAT csv, HEADER)

COPY (SELECT email FROM customers) TO STDOUT

COPY customers FROM STDIN (FORMAT binary)

PREPARE q (text) AS SELECT id FROM customers WHERE email = $1

EXECUTE q('a@b.c')

DEALLOCATE ALL

VACUUM ANALYZE customers

LISTEN channel

UNLISTEN *

DISCARD ALL

SHOW server_version

FETCH FORWARD 100 FROM c

CLOSE c

LOCK TABLE customers IN SHARE MODE

TRUNCATE customers RESTART IDENTITY CASCADE

CREATE TABLE t AS SELECT * FROM customers

CREATE VIEW v AS SELECT id, email FROM customers

CREATE MATERIALIZED VIEW mv AS SELECT email FROM customers WITH NO DATA

CREATE INDEX ON customers (lower(name))

ALTER TABLE customers ADD COLUMN x text DEFAULT 'a'

DROP TABLE IF EXISTS customers_old

GRANT SELECT ON customers TO analyst

CREATE FUNCTION f(a int) RETURNS int LANGUAGE sql AS $$ SELECT $1 + 1; SELECT 2 $$

CREATE FUNCTION g() RETURNS int LANGUAGE sql BEGIN ATOMIC SELECT CASE WHEN true THEN 1 END; SELECT 2; END

DO $$ BEGIN PERFORM 1; END $$

CALL refresh_all()

SELECT * INTO copy FROM customers

MERGE INTO customers c USING leads l ON c.email = l.email WHEN MATCHED THEN UPDATE SET name = l.name WHEN NOT MATCHED THEN INSERT (email, name) VALUES (l.email, l.name)

SET search_path TO app, public

SET ROLE analyst

RESET ALL

--- several statements in one message
CLOSE ALL; UNLISTEN *; RESET ALL

BEGIN; UPDATE customers SET email = 'a@b.c' WHERE id = 1; SELECT email FROM customers WHERE id = 1; COMMIT;

SELECT 1;; SELECT 'a;b'; -- the end

INSERT INTO customers (email) VALUES ('a@b.c'); DELETE FROM customers WHERE email = 'd@e.f'

CREATE RULE r AS ON UPDATE TO v DO INSTEAD (UPDATE customers SET name = NEW.name; SELECT 1); SELECT 2
