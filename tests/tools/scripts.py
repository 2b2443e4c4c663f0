r"""psql scripts, each with a piece of what it must print: run on sealed tables and on plain ones, they print the same.

A script leaves the tables as it found them, and takes ids from 100 up.
"""

from __future__ import annotations

QUERIES: dict[str, tuple[str, str]] = {
    "select": ("TABLE customers ORDER BY id;\n", "ada@example.com"),
    "formats": (
        r"""
\set q 'SELECT id, email, birth_date, balance FROM customers ORDER BY id;'
\pset null '(null)'
:q
\pset border 2
:q
\x
:q
\x
\pset format csv
:q
\pset format html
:q
\pset format wrapped
:q
\pset format unaligned
\pset fieldsep '|'
\pset tuples_only on
:q
\pset format latex
:q
\pset format aligned
\pset numericlocale on
\pset columns 30
:q
SELECT id, email, birth_date, balance FROM customers WHERE id = 1 \g (format=asciidoc)
""",
        "1|ada@example.com|1985-12-10|100.50",
    ),
    "gdesc": (
        r"""
SELECT * FROM customers \gdesc
SELECT email AS e, ssn, count(*) OVER (), 'x'::text FROM customers WHERE email = 'a' \gdesc
SELECT email FROM contacts \gdesc
SELECT email, id FROM customers WHERE email = $1 AND id = $2 \gdesc
INSERT INTO customers (name, email) VALUES ('x', 'x@example.com') RETURNING email, balance \gdesc
INSERT INTO customers (name, email) VALUES ('x', 'x@example.com') \gdesc
SELECT \gdesc
SELECT max(c.id), array_agg(o.item) FROM customers c JOIN orders o ON o.customer = c.id \gdesc
""",
        "balance    | numeric(12,2)",
    ),
    "gset": (
        r"""
SELECT id, email, ssn, balance, NULL AS nothing FROM customers WHERE id = 1 \gset one_
\echo :one_id :one_email :one_ssn :one_balance :{?one_nothing}
SELECT name FROM customers WHERE email = :'one_email';
SELECT id AS "the id" FROM customers WHERE email = :'one_email' AND birth_date = '2000-01-01' \gset
SELECT email FROM customers \gset
\echo :SQLSTATE :ROW_COUNT :ERROR
""",
        "1 ada@example.com 123-45-6789 100.50 FALSE",
    ),
    "gexec": (
        r"""
SELECT format('SELECT email FROM customers WHERE id = %s', i) FROM generate_series(1, 3) i \gexec
SELECT format('INSERT INTO customers (id, name, email) VALUES (%s, %L, %L)', i, 'n', i || '@example.com')
FROM generate_series(100, 102) i
UNION ALL SELECT 'TABLE contacts' UNION ALL SELECT 'DELETE FROM customers WHERE id >= 100' \gexec
""",
        "101@example.com",
    ),
    "bind": (
        r"""
SELECT id, email FROM customers WHERE email = $1 \bind 'bob@example.com' \g
SELECT id FROM customers WHERE email = $1 AND birth_date = $2 \bind bob@example.com 1990-01-02 \gx
INSERT INTO customers (id, name, email, ssn, birth_date, balance) VALUES ($1, $2, $3, $4, $5, $6)
    \bind 100 Ira ira@example.com '' 2000-02-29 1.005 \g
SELECT * FROM customers WHERE id = $1 \bind 100 \g (format=csv)
SELECT id FROM customers WHERE email = ANY($1) ORDER BY id \bind '{ira@example.com,ada@example.com}' \g
DELETE FROM customers WHERE email = $1 RETURNING email \bind ira@example.com \g
SELECT $1 \bind \g
""",
        "100,Ira,ira@example.com,,2000-02-29,1.01,none",
    ),
    "named statements": (
        r"""
SELECT id, email FROM customers WHERE email = $1 \parse find
INSERT INTO customers (id, name, ssn) VALUES ($1, $2, $3) RETURNING ssn \parse "Odd name"
\bind_named find 'ada@example.com' \g
\bind_named find 'bob@example.com' \gx
\bind_named "Odd name" 100 Ira 123 \g
\bind_named find 'nobody' \g
SELECT name, statement FROM pg_prepared_statements WHERE statement NOT LIKE '%sealgate%' AND false;
\close_prepared find
\bind_named find x \g
DEALLOCATE ALL;
\bind_named "Odd name" 101 Ira 123 \g
DELETE FROM customers WHERE id = 100;
""",
        "  1 | ada@example.com",
    ),
    "pipeline": (
        r"""
\startpipeline
SELECT email FROM customers WHERE id = $1 \bind 1 \sendpipeline
SELECT ssn FROM customers WHERE email = $1 \bind 'bob@example.com' \sendpipeline
INSERT INTO customers (id, name, email) VALUES ($1, $2, $3) \bind 100 Pip pip@example.com \sendpipeline
SELECT 1;
\syncpipeline
SELECT balance FROM customers WHERE id = $1 \bind 2 \sendpipeline
\flushrequest
\getresults 2
\getresults
SELECT email FROM customers WHERE email = $1 \parse found
\bind_named found pip@example.com \sendpipeline
SELECT 1 / $1::int, email FROM customers \bind 0 \sendpipeline
SELECT email FROM customers WHERE id = $1 \bind 1 \sendpipeline
\syncpipeline
DELETE FROM customers WHERE id = $1 RETURNING email \bind 100 \sendpipeline
\close_prepared found
\endpipeline
SELECT count(*), count(email) FROM customers;
""",
        "pip@example.com",
    ),
    "watch": (
        "SELECT birth_date, email FROM customers WHERE id = 1 \\watch i=0.1 c=2\n",
        "1985-12-10 | ada@example.com",
    ),
    "fetch count": (
        r"""
\set FETCH_COUNT 2
SELECT id, email, balance FROM customers ORDER BY id;
SELECT c.email, 1 / (3 - i) FROM customers c, generate_series(1, 4) i WHERE c.id = 1;
SELECT email FROM customers ORDER BY id \g (format=unaligned tuples_only=on)
WITH gone AS (DELETE FROM orders WHERE id = 0 RETURNING *) SELECT email FROM customers, gone;
""",
        "bob@example.com |   -3.00",
    ),
    "rollback on error": (
        r"""
\set ON_ERROR_ROLLBACK on
BEGIN;
INSERT INTO customers (id, name, email) VALUES (100, 'Ro', 'ro@example.com');
INSERT INTO customers (id, name, email) VALUES (100, 'Ro', 'ro2@example.com');
SELECT 1 / 0;
INSERT INTO customers (id) VALUES (101);
SELECT email FROM no_such_table;
SELECT email FROM customers WHERE id = 100;
COMMIT;
DELETE FROM customers WHERE id = 100 RETURNING email;
""",
        "COMMIT",
    ),
    "transactions": (
        r"""
BEGIN;
INSERT INTO customers (id, name, email) VALUES (100, 'Tx', 'tx@example.com');
SAVEPOINT here;
UPDATE customers SET email = 'other@example.com' WHERE email = 'tx@example.com' RETURNING email;
ROLLBACK TO here;
SELECT email FROM customers WHERE id >= 100;
RELEASE here;
SELECT 1 / 0;
SELECT email FROM customers;
\echo :SQLSTATE :ERROR :LAST_ERROR_SQLSTATE
ROLLBACK AND CHAIN;
SELECT count(email) FROM customers WHERE id >= 100;
COMMIT;
\set AUTOCOMMIT off
SELECT email FROM customers WHERE id = 1;
\echo :ERROR
ROLLBACK;
""",
        "tx@example.com",
    ),
    "several statements": (
        r"""
SELECT 1\; SELECT email FROM customers WHERE id = 1\; UPDATE customers SET note = 'none' WHERE email = 'x';
BEGIN\; INSERT INTO customers (id, name, email) VALUES (100, 'M', 'm@example.com')\; SELECT email FROM customers
    WHERE id = 100\; ROLLBACK;
SELECT email FROM customers WHERE id = 2\; SELECT 1 / 0\; SELECT ssn FROM customers;
\set SHOW_ALL_RESULTS off
SELECT 1\; SELECT email FROM customers WHERE id = 1;
""",
        "m@example.com",
    ),
    "crosstab": (
        r"""
SELECT name, id, email FROM customers ORDER BY id \crosstabview name id email
SELECT name, birth_date, email FROM customers WHERE id < 3 ORDER BY id \crosstabview
""",
        "1985-12-10",
    ),
    "variables": (
        r"""
\set mail bob@example.com
\set quoted 'O''Neil "x" \\ $1'
\set table customers
SELECT id FROM :"table" WHERE email = :'mail';
INSERT INTO customers (id, name, email, ssn) VALUES (100, :'quoted', :'quoted', E'a\tb\nc');
SELECT email, ssn FROM customers WHERE email = :'quoted';
SELECT email = :'quoted' AS same, email <> :'mail' AS other, email IS NULL AS missing FROM customers ORDER BY id;
DELETE FROM customers WHERE id = :{?mail}::text::bool::int + 99;
\if :{?mail}
SELECT $$:mail$$ AS untouched, id FROM customers WHERE email = $$bob@example.com$$;
\endif
""",
        "O'Neil",
    ),
    "unicode and encodings": (
        r"""
INSERT INTO customers (id, name, email, ssn) VALUES (100, 'Zoë', 'zoë@exämple.com', 'Ελλάδα 😀');
SELECT email, ssn, name FROM customers WHERE email = 'zoë@exämple.com';
SELECT email FROM customers WHERE email = U&'zo\00EB@ex\00E4mple.com' AND id = 100;
SELECT id FROM customers WHERE email = E'zo\u00EB@ex\u00E4mple.com';
\encoding LATIN1
\encoding
SELECT email, convert_to(name, 'LATIN1') FROM customers WHERE id = 100;
SELECT ssn FROM customers WHERE id = 1;
\encoding UTF8
DELETE FROM customers WHERE id = 100;
""",
        "Ελλάδα 😀",
    ),
    "empty, NULL and a megabyte": (
        r"""
SELECT repeat('0123456789abcdé/', 62500) AS big \gset
INSERT INTO customers (id, name, email, ssn) VALUES (100, '', '', NULL), (101, 'b', NULL, :'big');
INSERT INTO customers (id, name, ssn) VALUES (102, 'c', $1) \bind :big \g
\pset null NULL
SELECT id, email, email = '' AS empty, email IS NULL AS missing FROM customers WHERE id >= 100 ORDER BY id;
SELECT id FROM customers WHERE email = '';
SELECT ssn FROM customers WHERE id = 101;
SELECT ssn AS back FROM customers WHERE id = 102 \gset
SELECT :'back' = :'big' AS the_same, length(:'back');
DELETE FROM customers WHERE id >= 100;
""",
        "the_same",
    ),
    "large objects": (
        r"""
\set QUIET on
\lo_import large.bin 'a blob'
SELECT length(lo_get(:LASTOID)), obj_description(:LASTOID, 'pg_largeobject') FROM customers WHERE id = 1;
\lo_export :LASTOID back.bin
\! cmp large.bin back.bin && echo identical
\lo_unlink :LASTOID
SELECT lo_get(0);
""",
        "identical",
    ),
    "files": (
        r"""
SELECT email FROM customers WHERE id = 1 \g out.txt
\o out2.txt
SELECT ssn FROM customers WHERE id = 1;
\qecho end
\o
SELECT email FROM customers WHERE id = 2 \g | cat
\! cat out.txt out2.txt
\i part.sql
\ir part.sql
""",
        "123-45-6789",
    ),
    "errors": (
        r"""
INSERT INTO customers (id, name) VALUES (1, 'again');
\errverbose
INSERT INTO customers (id) VALUES (100);
\errverbose
SELECT nothing FROM plain;
SELECT email FROM customers WHERE id = 'x';
\set VERBOSITY verbose
SELECT 1 / 0;
\set VERBOSITY sqlstate
INSERT INTO orders (customer) VALUES (999);
\set SHOW_CONTEXT always
\set VERBOSITY default
DO $$ BEGIN RAISE NOTICE 'noted'; RAISE WARNING 'warned'; END $$;
DO $$ BEGIN PERFORM 1 / 0; END $$;
""",
        "",
    ),
    "notifications": (
        r"""
LISTEN news;
NOTIFY news, 'first';
SELECT email FROM customers WHERE id = 1;
SELECT pg_notify('news', 'second') FROM customers WHERE email = 'ada@example.com';
UNLISTEN *;
""",
        'payload "second"',
    ),
    "settings": (
        r"""
SET datestyle = 'SQL, DMY';
SELECT birth_date FROM customers WHERE id = 1;
SET datestyle = 'German';
SELECT birth_date FROM customers WHERE birth_date = '10.12.1985';
RESET datestyle;
SET bytea_output = 'escape';
SELECT email, blob FROM customers c JOIN orders o ON o.customer = c.id ORDER BY o.id;
SET standard_conforming_strings = on;
DISCARD ALL;
SELECT birth_date FROM customers WHERE id = 1;
""",
        "10/12/1985",
    ),
    "upsert and pages": (
        r"""
INSERT INTO customers (id, name, email) SELECT i, 'n' || i, NULL FROM generate_series(100, 120) i;
INSERT INTO customers (id, name, email, balance) VALUES (100, 'n', 'up@example.com', 1)
    ON CONFLICT (id) DO UPDATE SET email = excluded.email, balance = excluded.balance RETURNING id, email, balance;
INSERT INTO customers (id, name, email, ssn) VALUES (130, 'n', 'up@example.com', 'x')
    ON CONFLICT (email) DO UPDATE SET ssn = excluded.ssn RETURNING id, email, ssn;
INSERT INTO customers (id, name, email) VALUES (131, 'n', 'up@example.com') ON CONFLICT DO NOTHING;
SELECT id, name, email FROM customers WHERE id >= 100 ORDER BY id LIMIT 3;
SELECT id, email FROM customers WHERE id > 102 ORDER BY id LIMIT 2 OFFSET 1;
DELETE FROM customers WHERE id >= 100;
""",
        "100 | up@example.com |    1.00",
    ),
}

COPY: dict[str, tuple[str, str]] = {
    "copy out, text": (
        r"""
\copy customers TO STDOUT
\copy customers (email, id, birth_date) TO STDOUT
\copy (SELECT email, balance, id FROM customers WHERE email = 'ada@example.com') TO STDOUT
COPY customers (ssn) TO STDOUT;
COPY (SELECT email, item FROM customers c JOIN orders o ON o.customer = c.id ORDER BY o.id) TO STDOUT;
""",
        "ada@example.com\t1\t1985-12-10",
    ),
    "copy out, csv": (
        r"""
\copy customers TO STDOUT WITH (FORMAT csv, HEADER)
\copy (SELECT id, email, balance FROM customers ORDER BY id) TO STDOUT CSV HEADER FORCE QUOTE email
\copy customers (id, email) TO STDOUT WITH (FORMAT csv, DELIMITER ';', NULL 'nil', QUOTE '|', FORCE_QUOTE *)
COPY customers (email) TO STDOUT WITH (FORMAT csv, NULL '');
""",
        "|1|;|ada@example.com|",
    ),
    "copy in, text": (
        r"""
\copy customers (id, name, email, ssn, birth_date, balance) FROM STDIN
100	Ann	ann@example.com	a\tb\\c	2001-01-01	1.50
101	Ben		\N	\N	\N
\.
SELECT * FROM customers WHERE email = 'ann@example.com' OR email = '' ORDER BY id;
COPY customers (email, name, id) FROM STDIN;
cyn@example.com	Cyn	102
\.
\pset null NULL
SELECT id, email, ssn FROM customers WHERE id >= 100 ORDER BY id;
DELETE FROM customers WHERE id >= 100;
""",
        "ann@example.com | a       b\\c",
    ),
    "copy in, csv": (
        r"""
\copy customers (id, name, email, ssn) FROM STDIN WITH (FORMAT csv, HEADER MATCH)
id,name,email,ssn
100,Ann,"ann@example.com","a ""quoted"", value
on two lines"
101,Ben,"",
\.
\copy customers (id, name, email) FROM STDIN WITH (FORMAT csv, NULL 'nil', DELIMITER ';') WHERE id <> 103
102;Cyn;nil
103;Dan;dan@example.com
\.
\pset null NULL
SELECT id, email, ssn FROM customers WHERE id >= 100 ORDER BY id;
SELECT id FROM customers WHERE email = 'ann@example.com';
DELETE FROM customers WHERE id >= 100;
""",
        'a "quoted", value',
    ),
    "copy through files": (
        r"""
\copy customers TO 'all.txt'
\copy customers TO 'all.csv' WITH (FORMAT csv, HEADER)
\copy customers TO 'all.bin' WITH (FORMAT binary)
\copy (SELECT id, email FROM customers WHERE id < 3 ORDER BY id) TO PROGRAM 'cat > two.csv' CSV
\! cat all.txt all.csv two.csv
BEGIN;
DELETE FROM orders;
DELETE FROM customers;
\copy customers FROM 'all.txt'
SELECT id FROM customers WHERE email = 'bob@example.com' AND birth_date = '1990-01-02';
DELETE FROM customers;
\copy customers FROM 'all.csv' WITH (FORMAT csv, HEADER)
TABLE customers ORDER BY id;
DELETE FROM customers;
\copy customers FROM 'all.bin' WITH (FORMAT binary)
SELECT id FROM customers WHERE email = 'bob@example.com' AND birth_date = '1990-01-02';
TABLE customers ORDER BY id;
ROLLBACK;
\copy customers TO 'again.bin' WITH (FORMAT binary)
\! cmp all.bin again.bin && echo identical
""",
        "identical",
    ),
    "copy in a transaction, after an error": (
        r"""
BEGIN;
\copy customers (id, name, email) FROM STDIN
100	Ann	ann@example.com
\.
SAVEPOINT here;
\copy customers (id, name, birth_date) FROM STDIN
\.
\copy customers (id, name) FROM STDIN
x	Ben
\.
ROLLBACK TO here;
SELECT id FROM customers WHERE email = 'ann@example.com';
ROLLBACK;
""",
        "100",
    ),
}

CURSORS: dict[str, tuple[str, str]] = {
    "cursors": (
        r"""
BEGIN;
DECLARE c SCROLL CURSOR FOR SELECT id, email, balance FROM customers ORDER BY id;
FETCH 2 FROM c;
FETCH c \gdesc
FETCH PRIOR FROM c;
MOVE FORWARD ALL IN c;
FETCH BACKWARD 1 FROM c;
FETCH FIRST FROM c \gset
\echo :email
CLOSE c;
COMMIT;
BEGIN;
DECLARE h CURSOR WITH HOLD FOR SELECT email FROM customers WHERE email = 'ada@example.com';
COMMIT;
FETCH ALL FROM h;
CLOSE ALL;
FETCH ALL FROM h;
""",
        "ada@example.com |  100.50",
    ),
}

PREPARED: dict[str, tuple[str, str]] = {
    "prepare": (
        r"""
PREPARE find (text) AS SELECT id, email FROM customers WHERE email = $1;
EXECUTE find ('ada@example.com');
EXECUTE find ('nobody');
EXECUTE find ('bob@example.com') \gdesc
PREPARE put AS INSERT INTO customers (id, name, email, birth_date) VALUES ($1, $2, $3, $4) RETURNING email;
EXECUTE put (100, 'Pre', 'pre@example.com', '2000-01-01');
DEALLOCATE put;
DELETE FROM customers WHERE email = 'pre@example.com' RETURNING birth_date;
DEALLOCATE ALL;
DEALLOCATE find;
""",
        "  1 | ada@example.com",
    ),
}
