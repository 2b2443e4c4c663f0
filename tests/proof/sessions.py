"""Sessions that name no sealed column: by hand, a family per function. Whatever they are, they must pass untouched.

Server state that they leave behind is theirs alone (tables named after the session) or undone.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from tests.proof.talk import (
    COPIED,
    FLUSHED,
    PROTOCOL_3_2,
    READY,
    SYNC,
    Script,
    Step,
    Until,
    bind,
    close,
    copy_data,
    copy_fail,
    describe,
    execute,
    extended,
    function_call,
    parse,
    query,
    simple,
)

INT4PL, TEXTCAT, LO_CREATE, LO_OPEN, LO_WRITE, LO_READ, LO_SEEK, LO_CLOSE, LO_UNLINK = (
    177,
    1258,
    715,
    952,
    955,
    954,
    956,
    953,
    964,
)
EVERY_TYPE = "SELECT * FROM typed ORDER BY id"


def int4(value: int) -> bytes:
    return struct.pack("!i", value)


def all_scripts() -> list[Script]:
    families = (
        simple_protocol,
        statements,
        ddl,
        extended_protocol,
        portals,
        errors,
        malformed,
        copies,
        function_calls,
        settings,
        encodings,
        look_alikes,
        invalid,
        large,
        start_up,
        transactions,
    )
    found = [script for family in families for script in family()]
    assert len({script.name for script in found}) == len(found)
    return found


def simple_protocol() -> Iterator[Script]:
    yield Script("simple-basics", simple("SELECT 1", "", ";", " ; ; ", "SELECT", "VALUES (1, 'x')"))
    yield Script(
        "simple-several",
        simple(
            "SELECT 1; SELECT 'two' AS b; ; INSERT INTO plain VALUES (-1, 'x'); DELETE FROM plain WHERE id = -1;",
            "SELECT 1; SELECT 1/0; SELECT 3",
            "CREATE TABLE simple_several (a int); INSERT INTO simple_several VALUES (1), (2); SELECT * FROM simple_several",
            "DROP TABLE simple_several; SELECT 'done'",
        ),
    )
    yield Script(
        "simple-types", simple(EVERY_TYPE, "SELECT typed FROM typed", "SELECT * FROM composite")
    )
    yield Script(
        "simple-notices",
        simple(
            "SELECT say('hello')",
            "SELECT say('a'), say('b') FROM generate_series(1, 3)",
            "DO $$ BEGIN RAISE WARNING 'w'; RAISE INFO 'i'; RAISE NOTICE 'é %', 1; END $$",
            "DROP TABLE IF EXISTS nothing_here",
            "SET client_min_messages = debug1",
            "SELECT say('more')",
        ),
    )
    yield Script(
        "simple-notifications",
        simple(
            "LISTEN news",
            "NOTIFY news, 'payload é'",
            "BEGIN; NOTIFY news, 'in transaction'; SELECT 1; COMMIT",
            "SELECT pg_notify('news', repeat('x', 7000))",
            "UNLISTEN *",
            "NOTIFY news",
        ),
    )
    yield Script(
        "simple-nul",
        (
            *(query(b"SELECT 1\0SELECT 2"), READY, query(b"\0"), READY, b"Q\0\0\0\7abc", READY),
            *simple("BEGIN", b"SELECT '\0'", "SELECT 1", "ROLLBACK"),
        ),
    )
    yield Script(
        "simple-pipelined",
        (query("SELECT 1") + query("SELECT x") + query("SELECT 3"), Until("Z", 3)),
    )
    yield Script(
        "simple-comments",
        simple(
            "/* customers */ SELECT 1 -- email FROM customers",
            "SELECT 1 /* nested /* customers.email */ */ + 1",
            "--\nSELECT 'a' -- c\n 'b'",
            "/* only a comment */",
            "-- only a comment",
        ),
    )


def statements() -> Iterator[Script]:
    yield Script(
        "statements-queries",
        simple(
            "WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r WHERE n < 10) SELECT * FROM r",
            "SELECT b, count(*), sum(n), grouping(b) FROM typed GROUP BY ROLLUP (b) ORDER BY 1",
            "SELECT id, rank() OVER w, lag(t) OVER w FROM typed WINDOW w AS (PARTITION BY b ORDER BY id) ORDER BY id",
            "SELECT * FROM typed a CROSS JOIN LATERAL (SELECT a.id + 1 AS x) l WHERE a.id < 3",
            "SELECT * FROM (VALUES (1, 'a'), (2, NULL)) v (i, s) FULL JOIN plain USING (id) ORDER BY 1",
            "SELECT * FROM json_table('[{\"a\": 1}]', '$[*]' COLUMNS (a int PATH '$.a'))",
            "SELECT * FROM plain_view, add_one(5), unnest(ARRAY[1, 2]) WITH ORDINALITY",
            "SELECT x'1F'::int, b'101', 1e10, .5, 0x1F, 1_000, U&'d\\0061t', E'\\x41\\n', $tag$ $$ $tag$",
            "TABLE plain; TABLE parted",
            "SELECT ARRAY[[1, 2], [3, 4]], ROW(1, 'a', NULL), '{\"(1,x)\"}'::pair[], NULL::mood, 'ok'::mood",
            "SELECT * FROM typed TABLESAMPLE SYSTEM (100) REPEATABLE (1) WHERE id = 1 FOR UPDATE",
            "EXPLAIN (COSTS OFF) SELECT * FROM typed WHERE id = 3",
            "SELECT pg_typeof(p), (p).b, ps[1] FROM composite",
            "SELECT xmlparse(CONTENT '<a>1</a>')",
        ),
    )
    yield Script(
        "statements-writes",
        simple(
            "BEGIN",
            "INSERT INTO plain (id, email, n) VALUES (1, 'a@example.com', 1), (2, NULL, 2) RETURNING *, xmin::text <> ''",
            "INSERT INTO plain VALUES (1, 'b') ON CONFLICT (id) DO UPDATE SET email = excluded.email || plain.email RETURNING *",
            "UPDATE plain SET (email, n) = (SELECT t, id FROM typed WHERE id = 4) WHERE id = 1 RETURNING old.email, new.email",
            "MERGE INTO plain p USING (VALUES (2, 'm'), (3, 'n')) v (i, e) ON p.id = v.i "
            "WHEN MATCHED THEN UPDATE SET email = v.e WHEN NOT MATCHED THEN INSERT VALUES (v.i, v.e) "
            "RETURNING merge_action(), p.*",
            "WITH gone AS (DELETE FROM plain WHERE id > 1 RETURNING *) INSERT INTO plain (id, email) "
            "SELECT id + 100, email FROM gone RETURNING id",
            "UPDATE typed SET t = 'x' WHERE CURRENT OF nothing",
            "ROLLBACK",
            "INSERT INTO composite VALUES (2, (1, 'a'), '{}', 0)",
            "INSERT INTO parted VALUES (1, 'a'), (150, 'b')",
            "INSERT INTO parted VALUES (500, 'nowhere')",
            "DELETE FROM parted RETURNING tableoid::regclass, *",
            "TRUNCATE parted",
        ),
    )
    yield Script(
        "statements-sql-prepare",
        simple(
            "PREPARE q (int, text) AS SELECT $1 + 1, $2 || 'é'",
            "EXECUTE q (1, 'x')",
            "EXPLAIN (COSTS OFF) EXECUTE q (1, 'x')",
            "PREPARE q AS SELECT 1",
            "DEALLOCATE q",
            "PREPARE ins AS INSERT INTO plain VALUES ($1, $2) RETURNING id",
            "EXECUTE ins (-5, 'p')",
            "DELETE FROM plain WHERE id = -5",
            "DEALLOCATE ALL",
            "DISCARD ALL",
            "EXECUTE ins",
            "BEGIN; PREPARE r AS SELECT 1; ROLLBACK; EXECUTE r; DEALLOCATE r",
        ),
    )
    yield Script(
        "statements-cursors",
        simple(
            "BEGIN",
            "DECLARE c SCROLL CURSOR FOR SELECT id, t FROM typed ORDER BY id",
            "FETCH 3 FROM c",
            "MOVE 2 FROM c",
            "FETCH BACKWARD 2 FROM c; FETCH ABSOLUTE 10 c",
            "FETCH LAST FROM c",
            "FETCH NEXT FROM c",
            "CLOSE c",
            "FETCH c",
            "ROLLBACK",
            "DECLARE h BINARY CURSOR WITH HOLD FOR SELECT id, t, ts FROM typed WHERE id < 4",
            "FETCH ALL FROM h",
            "CLOSE ALL",
            "DECLARE nope CURSOR FOR SELECT 1",
        ),
    )
    yield Script(
        "statements-functions",
        simple(
            "CREATE FUNCTION pairs() RETURNS TABLE (a int, b text) LANGUAGE sql AS $$ SELECT id, t FROM typed LIMIT 3 $$",
            "SELECT * FROM pairs()",
            "SELECT pairs()",
            "CREATE PROCEDURE proc(INOUT a int) LANGUAGE plpgsql AS $$ BEGIN a := a + 1; COMMIT; END $$",
            "CALL proc(4)",
            "DROP FUNCTION pairs; DROP PROCEDURE proc",
            "CREATE OR REPLACE FUNCTION cur(refcursor) RETURNS refcursor LANGUAGE plpgsql AS "
            "$$ BEGIN OPEN $1 FOR SELECT id FROM typed WHERE id < 3; RETURN $1; END $$",
            "BEGIN; SELECT cur('rc'); FETCH ALL IN rc; COMMIT",
            "DROP FUNCTION cur",
            "CREATE FUNCTION atomic() RETURNS int BEGIN ATOMIC SELECT 1; SELECT 2; END; SELECT atomic(); DROP FUNCTION atomic",
        ),
    )
    yield Script(
        "statements-large-objects",
        simple(
            "BEGIN; SELECT lo_create(40001); SELECT lo_put(40001, 0, '\\x5ea101ff'); SELECT lo_get(40001); COMMIT",
            "SELECT lo_from_bytea(40002, '\\x0001')",
            "SELECT loid, data FROM pg_largeobject ORDER BY 1",
            "SELECT lo_unlink(40001), lo_unlink(40002)",
            "SELECT lo_get(40001)",
        ),
    )
    yield Script(
        "statements-catalog",
        simple(
            "SELECT relname, relkind FROM pg_class WHERE relnamespace = 'public'::regnamespace ORDER BY 1",
            "SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute WHERE attrelid = 'typed'::regclass ORDER BY attnum",
            "SELECT column_name, data_type FROM information_schema.columns WHERE table_name = 'typed' ORDER BY ordinal_position",
            "SELECT datname, encoding FROM pg_database ORDER BY 1",
            "SELECT name, setting FROM pg_settings WHERE name IN ('DateStyle', 'server_version')",
        ),
    )


def ddl() -> Iterator[Script]:
    yield Script(
        "ddl-tables",
        simple(
            "CREATE TABLE made (id serial PRIMARY KEY, t text DEFAULT 'x', CHECK (id > 0))",
            "CREATE INDEX ON made (t); CREATE UNIQUE INDEX made_lower ON made (lower(t)) WHERE id > 5",
            "COMMENT ON TABLE made IS 'about customers.email'",
            "ALTER TABLE made ADD COLUMN n numeric, ALTER t TYPE varchar(30), RENAME TO made_too",
            "ALTER TABLE made ADD COLUMN n numeric, ALTER t TYPE varchar(30)",
            "ALTER TABLE made RENAME TO made_too",
            "SELECT * FROM made_too",
            "GRANT SELECT ON made_too TO PUBLIC; REVOKE ALL ON made_too FROM PUBLIC",
            "CREATE TABLE made_as AS SELECT * FROM typed WHERE id < 3; SELECT * FROM made_as",
            "SELECT id, t INTO made_into FROM typed; SELECT count(*) FROM made_into",
            "CREATE MATERIALIZED VIEW made_mv AS SELECT id, t FROM typed; REFRESH MATERIALIZED VIEW made_mv; TABLE made_mv",
            "CREATE VIEW made_v AS SELECT * FROM made_mv; SELECT * FROM made_v LIMIT 2",
            "CREATE TEMP TABLE temporary (a int) ON COMMIT DELETE ROWS; INSERT INTO temporary VALUES (1); TABLE temporary",
            "CREATE SEQUENCE made_seq; SELECT nextval('made_seq'), currval('made_seq'), setval('made_seq', 10)",
            "DROP VIEW made_v; DROP MATERIALIZED VIEW made_mv; DROP TABLE made_into, made_as, made_too; DROP SEQUENCE made_seq",
            "DROP TABLE made_too",
            "CREATE TABLE ()",
            "VACUUM plain; ANALYZE plain",
            "VACUUM plain",
            "ANALYZE plain",
            "CREATE SCHEMA s CREATE TABLE t (a int) CREATE VIEW v AS SELECT a FROM t; DROP SCHEMA s CASCADE",
        ),
    )
    yield Script(
        "ddl-rules-triggers",
        simple(
            "CREATE TABLE ruled (a int, b text)",
            "CREATE RULE r AS ON INSERT TO ruled DO ALSO SELECT 'rule', NEW.a",
            "INSERT INTO ruled VALUES (1, 'x')",
            "INSERT INTO ruled VALUES (2, 'y') RETURNING a",
            "CREATE FUNCTION trg() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE NOTICE 'trigger %', NEW; RETURN NEW; END $$",
            "CREATE TRIGGER t BEFORE INSERT ON ruled FOR EACH ROW EXECUTE FUNCTION trg()",
            "INSERT INTO ruled VALUES (3, 'z')",
            "DROP TABLE ruled; DROP FUNCTION trg",
        ),
    )
    yield Script(
        "ddl-changed-result",
        (
            *simple("CREATE TABLE changing (a int)"),
            parse("SELECT * FROM changing", "s") + describe("s", "S") + SYNC,
            READY,
            bind(name="s") + execute() + SYNC,
            READY,
            *simple("ALTER TABLE changing ADD COLUMN b text"),
            bind(name="s") + execute() + SYNC,
            READY,
            describe("s", "S") + SYNC,
            READY,
            *simple("DROP TABLE changing"),
            bind(name="s") + describe() + execute() + SYNC,
            READY,
        ),
    )


def extended_protocol() -> Iterator[Script]:
    yield Script("extended-types-text", extended(EVERY_TYPE))
    yield Script(
        "extended-types-binary",
        extended(
            "SELECT id, b, i2, i8, f4, f8, n, t, v, c, by, d, ti, ts, tz, iv, u, j, jb, ia, ta, pt, ip, bt, ra, x, e FROM typed",
            results=(1,),
        ),
    )
    yield Script("extended-composite-binary", extended("SELECT * FROM composite", results=(1,)))
    yield Script(
        "extended-formats",
        (
            *extended("SELECT $1::int, $2::text", int4(5), b"x", formats=(1, 0), results=(0, 1)),
            *extended(
                "SELECT $1::bytea, $2::bytea",
                b"\x5e\xa1\x01",
                b"\\x5ea101",
                formats=(1, 0),
                results=(1, 0),
            ),
            *extended(
                "SELECT $1::numeric, $2::timestamptz",
                b"1.50",
                b"2024-01-01",
                formats=(0,),
                results=(0,),
            ),
            *extended("SELECT $1, $2", b"1", None, types=(23, 25)),
            *extended("SELECT $1::int[]", b"{1,2,NULL}", results=(1,)),
            *extended("INSERT INTO plain VALUES ($1, $2)", b"-7", None),
            *extended("DELETE FROM plain WHERE id = $1 RETURNING *", b"-7"),
        ),
    )
    yield Script(
        "extended-named",
        (
            parse("SELECT $1::int + $2", "s") + describe("s", "S") + SYNC,
            READY,
            bind(b"1", b"2", name="s") + execute() + bind(b"3", b"4", name="s") + execute() + SYNC,
            READY,
            bind(b"1", b"2", name="s", portal="p1")
            + bind(b"5", b"6", name="s", portal="p2")
            + FLUSHED,
            Until("2", 2),
            execute("p2") + execute("p1") + close("p1") + close("p2") + close("nothing") + SYNC,
            READY,
            close("s", "S") + SYNC + close("s", "S") + SYNC,
            Until("Z", 2),
            bind(b"1", b"2", name="s") + SYNC,
            READY,
        ),
    )
    yield Script(
        "extended-no-describe",
        (
            parse("SELECT id, t FROM typed WHERE id = $1") + bind(b"3") + execute() + SYNC,
            READY,
            parse("INSERT INTO plain VALUES (-8)") + bind() + execute() + SYNC,
            READY,
            parse("DELETE FROM plain WHERE id = -8") + bind() + execute() + SYNC,
            READY,
            parse("SELECT * FROM plain_view") + bind(results=(1,)) + execute() + FLUSHED,
            Until("C"),
            execute() + SYNC,
            READY,
            parse("SHOW DateStyle") + bind() + execute() + SYNC,
            READY,
        ),
    )
    yield Script(
        "extended-empty",
        (
            parse("") + bind() + describe() + execute() + SYNC,
            READY,
            parse(" -- nothing") + describe("", "S") + bind() + execute() + SYNC,
            READY,
            SYNC + SYNC + SYNC,
            Until("Z", 3),
            FLUSHED + SYNC,
            READY,
        ),
    )
    yield Script(
        "extended-pipeline",
        (
            b"".join(
                parse(f"SELECT {i}, $1::text", f"s{i}") + bind(b"x", name=f"s{i}") + execute()
                for i in range(20)
            )
            + SYNC,
            READY,
            b"".join(
                parse(f"SELECT {i}") + bind() + describe() + execute() + SYNC for i in range(20)
            ),
            Until("Z", 20),
        ),
    )
    yield Script(
        "extended-utility",
        (
            *extended("BEGIN"),
            *extended("CREATE TABLE extended_utility (a int)"),
            *extended("INSERT INTO extended_utility VALUES (1), (2)"),
            *extended("EXPLAIN (COSTS OFF) SELECT * FROM extended_utility"),
            *extended("LISTEN chan"),
            *extended("NOTIFY chan, 'x'"),
            *extended("ROLLBACK"),
            *extended("SET work_mem = '5MB'"),
            *extended("SHOW work_mem"),
            *extended("VACUUM plain"),
            *extended("DECLARE c CURSOR WITH HOLD FOR SELECT id FROM typed"),
            *extended("FETCH 2 FROM c"),
            *extended("DO 'BEGIN NULL; END'"),
            *extended("SELECT 1; SELECT 2"),
            *extended("DISCARD ALL"),
        ),
    )
    yield Script(
        "extended-notices",
        (parse("SELECT say($1)") + bind(b"x") + describe() + execute() + execute() + SYNC, READY),
    )
    yield Script(
        "extended-mixed-with-simple",
        (
            parse("SELECT 1", "keep") + parse("SELECT 2") + SYNC,
            READY,
            *simple("SELECT 3"),
            bind(name="keep") + execute() + SYNC,
            READY,
            bind() + execute() + SYNC,
            READY,
            parse("SELECT 4") + bind() + query("SELECT 5") + execute() + SYNC,
            Until("Z", 2),
        ),
    )
    yield Script(
        "extended-sql-prepared",
        (
            *simple("PREPARE sp (int) AS SELECT id, t FROM typed WHERE id = $1"),
            describe("sp", "S") + bind(b"4", name="sp") + execute() + SYNC,
            READY,
            bind(b"5", name="sp", portal="x") + execute("x") + SYNC,
            READY,
            *simple("DEALLOCATE sp"),
            describe("sp", "S") + SYNC,
            READY,
        ),
    )


def portals() -> Iterator[Script]:
    yield Script(
        "portals-suspended",
        (
            parse("SELECT id, t FROM typed ORDER BY id")
            + bind()
            + describe()
            + execute("", 5)
            + FLUSHED,
            Until("s"),
            execute("", 5) + FLUSHED,
            Until("s"),
            execute("", 100) + SYNC,
            READY,
            parse("SELECT id FROM typed")
            + bind(portal="p")
            + execute("p", 7)
            + execute("p", 7)
            + execute("p", 7)
            + execute("p", 7)
            + SYNC,
            READY,
            execute("p") + SYNC,
            READY,
        ),
    )
    yield Script(
        "portals-in-transaction",
        (
            *simple("BEGIN"),
            parse("SELECT generate_series(1, 50)", "g")
            + bind(name="g", portal="a")
            + bind(name="g", portal="b")
            + execute("a", 3)
            + SYNC,
            READY,
            execute("b", 2) + execute("a", 2) + SYNC,
            READY,
            *simple(
                "FETCH 2 FROM a",
                "MOVE 5 IN b",
                "SELECT name, is_holdable FROM pg_cursors WHERE name IN ('a', 'b') ORDER BY 1",
            ),
            execute("a", 1) + close("a") + execute("b", 1) + SYNC,
            READY,
            *simple("COMMIT"),
            execute("b", 1) + SYNC,
            READY,
        ),
    )
    yield Script(
        "portals-of-cursors",
        (
            *simple("BEGIN", "DECLARE c CURSOR FOR SELECT id, t FROM typed ORDER BY id"),
            describe("c") + execute("c", 2) + SYNC,
            READY,
            execute("c", 2) + execute("c", 2) + FLUSHED,
            Until("s", 2),
            close("c") + SYNC,
            READY,
            *simple("FETCH c", "ROLLBACK"),
        ),
    )
    yield Script(
        "portals-of-writes",
        (
            *simple("BEGIN"),
            parse("INSERT INTO plain SELECT g FROM generate_series(-20, -11) g RETURNING id")
            + bind()
            + execute("", 3)
            + FLUSHED,
            Until("s"),
            execute("", 0) + SYNC,
            READY,
            *simple("SELECT count(*) FROM plain WHERE id < 0", "ROLLBACK"),
        ),
    )


def errors() -> Iterator[Script]:
    bad = "SELECT nothing FROM typed"
    yield Script(
        "errors-everywhere",
        (
            parse(bad) + bind() + describe() + execute() + SYNC,
            READY,
            parse("SELECT $1::int") + bind(b"no") + execute() + SYNC,
            READY,
            parse("SELECT $1::int") + bind() + execute() + SYNC,
            READY,
            parse("SELECT 1/$1::int") + bind(b"0") + describe() + execute() + SYNC,
            READY,
            parse("SELECT 1/(5 - id) FROM typed ORDER BY id") + bind() + execute() + SYNC,
            READY,
            describe("nothing", "S")
            + SYNC
            + describe("nothing")
            + SYNC
            + bind(name="nothing")
            + SYNC
            + execute("nothing")
            + SYNC,
            Until("Z", 4),
            parse("SELECT 1", "dup") + parse("SELECT 2", "dup") + SYNC,
            READY,
            bind(name="dup", portal="p") + bind(name="dup", portal="p") + SYNC,
            READY,
            parse("SELECT 1; SELECT 2") + SYNC,
            READY,
            *simple(
                "SELECT fail('x')", "SELECT 1/0", "SELECT 'x'::int", "SELECT * FROM nowhere", bad
            ),
            *extended("SELECT fail($1)", b"bound"),
            parse("SELECT 1") + bind(formats=(1, 1)) + SYNC,
            READY,
            parse("SELECT $1::int") + bind(b"xx", formats=(1,)) + SYNC,
            READY,
            parse("SELECT 1") + bind(results=(0, 0, 0)) + execute() + SYNC,
            READY,
            parse("SELECT $2::int") + describe("", "S") + SYNC,
            READY,
            parse("SELECT $1 + $1", types=(25,)) + SYNC,
            READY,
        ),
    )
    yield Script(
        "errors-pipelines",
        (
            parse("SELECT 1")
            + bind()
            + execute()
            + parse(bad)
            + bind()
            + execute()
            + parse("SELECT 3")
            + bind()
            + execute()
            + SYNC
            + parse("SELECT 4")
            + bind()
            + execute()
            + SYNC,
            Until("Z", 2),
            parse("SELECT 1", "first")
            + parse("SELECT ERROR", "second")
            + parse("SELECT 2", "third")
            + SYNC
            + bind(name="first")
            + execute()
            + SYNC
            + bind(name="third")
            + execute()
            + SYNC,
            Until("Z", 3),
            b"".join(
                parse("SELECT 1/(3 - $1::int)") + bind(str(i).encode()) + execute() + SYNC
                for i in range(6)
            ),
            Until("Z", 6),
            parse(bad) + query("SELECT 'skipped'") + SYNC + query("SELECT 'seen'"),
            Until("Z", 2),
        ),
    )
    yield Script(
        "errors-discarded",
        (
            parse(bad) + FLUSHED,
            Until("E"),
            bind()
            + execute()
            + parse("SELECT 1", "lost")
            + query("SELECT 2")
            + function_call(INT4PL, int4(1), int4(2))
            + copy_data(b"x"),
            SYNC,
            READY,
            bind(name="lost") + execute() + FLUSHED,
            Until("E"),
            SYNC,
            READY,
            *simple("SELECT 'well'"),
        ),
    )
    yield Script(
        "errors-in-transactions",
        (
            *simple("BEGIN", "SELECT 1/0", "SELECT 1", "PREPARE x AS SELECT 1", ""),
            *extended("SELECT 1"),
            parse("ROLLBACK") + bind() + execute() + SYNC,
            READY,
            *simple(
                "BEGIN",
                "SAVEPOINT s",
                "SELECT 1/0",
                "ROLLBACK TO s",
                "SELECT 2",
                "RELEASE s",
                "COMMIT",
                "COMMIT",
                "ROLLBACK",
            ),
            *simple("BEGIN; SELECT 1/0; COMMIT", "COMMIT"),
            *simple(
                "SELECT 1; BEGIN; SELECT 2; COMMIT; SELECT 1/0",
                "SELECT txid_current_if_assigned() IS NULL",
            ),
        ),
    )
    yield Script(
        "errors-fatal",
        simple("SELECT 1", "SELECT pg_terminate_backend(pg_backend_pid())", "SELECT 2"),
    )
    yield Script(
        "errors-timeouts",
        simple(
            "SET statement_timeout = 20",
            "SELECT pg_sleep(5)",
            "RESET statement_timeout",
            "SELECT 1",
        ),
    )
    yield Script("errors-idle-timeout", (*simple("SET idle_session_timeout = 30"), Until("E")))
    yield Script(
        # The server ends the session: what stands behind it may arrive or not.
        "errors-unknown-type",
        (query("SELECT 1"), READY, b"y\0\0\0\4", Until("E")),
    )
    yield Script(
        "errors-unknown-type-discarded",
        (parse(bad) + FLUSHED, Until("E"), b"y\0\0\0\4" + SYNC, READY),
    )


def malformed() -> Iterator[Script]:
    """Whole messages that the server takes apart and refuses."""
    yield Script(
        "malformed-format-codes",
        (
            parse("SELECT 1") + bind(results=(2,)) + execute() + SYNC,
            READY,
            parse("SELECT $1::int") + bind(b"1", formats=(7,)) + execute() + SYNC,
            READY,
            parse("INSERT INTO plain VALUES (-9)") + bind(results=(5,)) + execute() + SYNC,
            READY,
            parse("DELETE FROM plain WHERE id = -9") + bind(results=(1,)) + execute() + SYNC,
            READY,
        ),
    )


def copies() -> Iterator[Script]:
    rows = b"".join(b"%d\tname %d\t\\N\t%d\n" % (-i, i, i) for i in range(1, 200))
    forget: tuple[Step, ...] = simple("DELETE FROM plain WHERE id < 0")
    yield Script(
        "copy-out",
        simple(
            "COPY typed TO STDOUT",
            "COPY typed TO STDOUT WITH (FORMAT csv, HEADER, QUOTE '''', FORCE_QUOTE *)",
            "COPY (SELECT id, t, by, n, ts FROM typed) TO STDOUT (FORMAT binary)",
            "COPY (SELECT say(t) FROM typed WHERE id < 4) TO STDOUT",
            "COPY typed (id, t) TO STDOUT; SELECT 1; COPY plain TO STDOUT",
            "COPY (SELECT 1/(5-id) FROM typed ORDER BY id) TO STDOUT",
            "COPY nowhere TO STDOUT",
        ),
    )
    yield Script(
        "copy-in",
        (
            query("COPY plain FROM STDIN"),
            Until("G"),
            *(copy_data(rows[i : i + 700]) for i in range(0, len(rows), 700)),
            COPIED,
            READY,
            *simple("SELECT count(*), min(id), sum(n) FROM plain WHERE id < 0"),
            *forget,
            query("COPY plain (id, email) FROM STDIN (FORMAT csv, HEADER, NULL 'none')"),
            Until("G"),
            copy_data(b'id,email\n-1,"a, ""b""\nc"\n') + copy_data(b"-2,none\n\\.\n") + COPIED,
            READY,
            *simple("SELECT id, email FROM plain WHERE id < 0 ORDER BY id"),
            *forget,
            query("COPY plain (id, email) FROM STDIN (FORMAT binary)"),
            Until("G"),
            copy_data(
                b"PGCOPY\n\xff\r\n\0"
                + bytes(8)
                + struct.pack("!hiiI", 2, 4, -3, 2)
                + b"hi"
                + b"\xff\xff"
            ),
            COPIED,
            READY,
            *forget,
        ),
    )
    yield Script(
        "copy-in-pieces",
        (
            query("COPY plain FROM STDIN"),
            Until("G"),
            *(bytes([b]) for b in copy_data("-1\té€\t\\N\t1\n".encode()) + COPIED),
            READY,
            *forget,
        ),
    )
    yield Script(
        "copy-fails",
        (
            query("COPY plain FROM STDIN"),
            Until("G"),
            copy_data(b"-1\tx\t\\N\t1\n") + copy_fail("the client thinks better of it"),
            READY,
            query("COPY plain FROM STDIN"),
            Until("G"),
            copy_data(b"no number\n") + copy_data(b"-2\tx\t\\N\t2\n") + COPIED,
            READY,
            query("COPY plain FROM STDIN"),
            Until("G"),
            copy_data(b"broken row\n"),
            copy_data(rows),
            COPIED,
            READY,
            *simple(
                "SELECT count(*) FROM plain WHERE id < 0",
                "COPY plain FROM '/nowhere'",
                "COPY plain FROM PROGRAM 'false'",
            ),
            query("COPY plain FROM STDIN; SELECT 'behind'"),
            Until("G"),
            copy_data(b"-1\tx\t\\N\t1\n") + COPIED,
            READY,
            *forget,
            query("BEGIN; COPY plain FROM STDIN; SELECT 'behind'; ROLLBACK"),
            Until("G"),
            copy_fail("no"),
            READY,
            *simple("ROLLBACK"),
        ),
    )
    yield Script(
        "copy-extended",
        (
            parse("COPY plain FROM STDIN") + bind() + describe() + execute() + SYNC,
            Until("G"),
            copy_data(rows) + COPIED + SYNC,
            READY,
            *forget,
            parse("COPY plain FROM STDIN") + bind() + execute() + FLUSHED,
            Until("G"),
            copy_data(b"-1\tx\n") + copy_fail("no") + SYNC,
            READY,
            parse("COPY plain FROM STDIN") + bind() + execute() + SYNC,
            Until("G"),
            copy_data(b"bad\n") + COPIED + SYNC,
            READY,
            *simple("SELECT 'still here'"),
            parse("COPY typed TO STDOUT") + bind() + describe() + execute() + SYNC,
            READY,
            parse("COPY typed TO STDOUT (FORMAT binary)")
            + bind()
            + execute()
            + parse("SELECT 1")
            + bind()
            + execute()
            + SYNC,
            READY,
        ),
    )
    yield Script(
        "copy-astray",
        (
            copy_data(b"nobody asked") + COPIED + copy_fail("x") + query("SELECT 1"),
            READY,
            query("COPY plain FROM STDIN"),
            Until("G"),
            copy_data(b"-1\tx\t\\N\t1\n") + FLUSHED + SYNC + COPIED,
            READY,
            *forget,
            query("COPY plain FROM STDIN"),
            Until("G"),
            query("SELECT 1"),
            READY,
        ),
    )
    wide = b"-1\t" + b"w" * 3_000_000 + b"\t\\N\t1\n"
    yield Script(
        "copy-wide",
        (
            query("COPY plain FROM STDIN"),
            Until("G"),
            copy_data(wide) + COPIED,
            READY,
            *simple(
                "COPY (SELECT email FROM plain WHERE id = -1) TO STDOUT",
                "SELECT email FROM plain WHERE id = -1",
            ),
            *forget,
        ),
    )


def function_calls() -> Iterator[Script]:
    yield Script(
        "functions-fast-path",
        (
            function_call(INT4PL, int4(2), int4(3)),
            READY,
            function_call(INT4PL, b"2", b"3", form=0, result=0),
            READY,
            function_call(INT4PL, int4(2), None),
            READY,
            function_call(INT4PL, int4(2)),
            READY,
            function_call(1, int4(2)),
            READY,
            function_call(TEXTCAT, b"ab", "é".encode(), result=0),
            READY,
            *simple("BEGIN", "SELECT 1/0"),
            function_call(INT4PL, int4(2), int4(3)),
            READY,
            *simple("ROLLBACK"),
        ),
    )
    yield Script(
        "functions-large-objects",
        (
            *simple("BEGIN"),
            function_call(LO_CREATE, int4(40100)),
            READY,
            function_call(LO_OPEN, int4(40100), int4(0x60000)),
            READY,
            function_call(LO_WRITE, int4(0), b"\x5e\xa1\x01\x00" + bytes(range(256)) * 40),
            READY,
            function_call(LO_SEEK, int4(0), int4(0), int4(0)),
            READY,
            function_call(LO_READ, int4(0), int4(5000)),
            READY,
            function_call(LO_CLOSE, int4(0)),
            READY,
            function_call(LO_UNLINK, int4(40100)),
            READY,
            *simple("COMMIT"),
        ),
    )
    yield Script(
        "functions-pipelined",
        (
            function_call(INT4PL, int4(1), int4(1)) * 5 + query("SELECT 1") + function_call(1, b""),
            Until("Z", 7),
        ),
    )


def settings() -> Iterator[Script]:
    yield Script(
        "settings-set",
        simple(
            "SET DateStyle = 'German, DMY'; SET TimeZone = 'America/New_York'; SET IntervalStyle = 'sql_standard'",
            "SET bytea_output = 'escape'; SET extra_float_digits = -10",
            EVERY_TYPE,
            "RESET ALL",
            "SET application_name = 'é'; SHOW application_name",
            "SET search_path = other, public",
            "SELECT * FROM customers; SHOW search_path",
            "SET LOCAL work_mem = '1MB'",
            "BEGIN; SET LOCAL search_path = other",
            "SELECT * FROM customers; ROLLBACK; SHOW search_path",
            "SELECT set_config('DateStyle', 'SQL', false), current_setting('DateStyle')",
            "SET nonsense = 1",
            "SET my.own = 'x'; SHOW my.own",
            "SET TimeZone = 'Nowhere/At_all'",
            "DISCARD ALL",
        ),
    )
    yield Script(
        "settings-backslashes",
        simple(
            "SET standard_conforming_strings = off",
            "SELECT 'a\\nb', E'a\\nb', 'it''s'",
            "SET escape_string_warning = off",
            "SELECT 'a\\'b', 'c\\\\'",
            "SELECT U&'x'",
            "SET backslash_quote = on; SELECT 'it\\'s' AS plain",
            "INSERT INTO plain VALUES (-1, 'tab\\tbed') RETURNING email",
            "DELETE FROM plain WHERE email = 'tab\\tbed'",
            "SELECT 'orders\\'; --'",
            "SET standard_conforming_strings = on",
            "SELECT 'a\\nb', E'a\\nb'",
        ),
    )
    yield Script(
        "settings-roles",
        simple(
            "SET ROLE shop_app; SELECT current_user, session_user",
            "SELECT * FROM plain",
            "CREATE TABLE pg_catalog.x (a int)",
            "RESET ROLE; SELECT current_user",
            "SET SESSION AUTHORIZATION analyst; SELECT current_user, session_user",
            "SET ROLE postgres",
            "RESET SESSION AUTHORIZATION; SELECT session_user",
            "SET ROLE nobody_at_all",
        ),
    )
    yield Script(
        "settings-startup",
        simple("SHOW DateStyle", "SHOW work_mem", "SHOW application_name", "SELECT now() IS NULL"),
        options=(
            ("options", "-c DateStyle=SQL -cwork_mem=2MB --geqo=off"),
            ("application_name", "proof é"),
            ("TimeZone", "Asia/Tokyo"),
        ),
    )
    yield Script(
        "settings-startup-path",
        simple("SELECT * FROM customers", "SHOW search_path"),
        options=(("options", "-c search_path=other"),),
    )


def encodings() -> Iterator[Script]:
    for encoding, text in (
        ("LATIN1", "é"),
        ("SJIS", "表ソ能"),
        ("EUC_JP", "日本"),
        ("WIN1252", "€"),
        ("GB18030", "中"),
        ("BIG5", "許功蓋"),
    ):
        codec = {"WIN1252": "cp1252", "SJIS": "shift_jis"}.get(encoding, encoding.lower())
        raw = text.encode(codec)
        yield Script(
            f"encoding-{encoding.lower()}",
            (
                *simple(
                    b"SELECT '" + raw + b"' AS \"" + raw + b'"',
                    b"SELECT octet_length('" + raw + b"')",
                ),
                *extended(b"SELECT $1::text, t FROM typed WHERE id = 1", raw),
                *simple(
                    "SELECT t FROM typed WHERE id < 3",
                    b"SELECT '\xff\xfe'",
                    b"SELECT 'customers " + raw + b"'",
                ),
                query("COPY plain FROM STDIN"),
                Until("G"),
                copy_data(b"-1\t" + raw + b"\t\\N\t1\n") + COPIED,
                READY,
                *simple(
                    "COPY plain TO STDOUT",
                    "DELETE FROM plain WHERE id < 0",
                    "SET client_encoding = UTF8",
                    "SELECT 'é'",
                ),
            ),
            options=(("client_encoding", encoding),),
        )
    yield Script(
        "encoding-invalid",
        simple(
            b"SELECT '\xff'",
            b"SELECT \xc3",
            b'SELECT "\xe9"',
            b"-- \xff\nSELECT 1",
            "SET client_encoding = nope",
        ),
    )
    yield Script(
        "encoding-changed",
        simple(
            "SET client_encoding = LATIN1; SELECT t FROM typed WHERE id = 1",
            "SET client_encoding = SQL_ASCII",
            b"SELECT '\xe9\xff'",
            "SELECT 'é'",
        ),
    )
    yield Script(
        "encoding-untranslatable",
        simple("SET client_encoding = SJIS", "SELECT t FROM typed", "SELECT chr(233)"),
    )


def look_alikes() -> Iterator[Script]:
    yield Script(
        "look-alikes",
        simple(
            "SELECT 'customers', 'SELECT email FROM customers', $$customers.email$$",
            "SELECT * FROM customers_archive",
            "SELECT customers FROM customers_archive",
            'SELECT "Email" FROM "Customers"',
            "SELECT * FROM other.customers",
            "SELECT c.email, c.ssn FROM other.customers c WHERE c.email = 'plain@example.com'",
            "UPDATE other.customers SET email = 'x@example.com' WHERE id = 1 RETURNING *",
            "UPDATE other.customers SET email = 'plain@example.com' WHERE id = 1",
            "INSERT INTO other.customers VALUES (3, 'é', 'x') RETURNING email; DELETE FROM other.customers WHERE id = 3",
            "SELECT email, blob FROM plain",
            "SELECT 1 AS customers, 2 AS email",
            "SELECT customers.email FROM plain AS customers",
            "WITH customers AS (SELECT 1 AS email) SELECT email FROM customers",
            "CREATE TEMP TABLE email (ssn text); INSERT INTO email VALUES ('x'); SELECT ssn FROM email; DROP TABLE email",
            "SELECT * FROM orders",
            "SELECT '\\x5ea101'::bytea, '\\x5ea1010000000001' || repeat('00', 40)",
            "SELECT blob FROM orders ORDER BY id",
            "SELECT e'customers', u&'customers', U&'\\0063ustomers'",
        ),
    )
    yield Script(
        "look-alikes-extended",
        (
            *extended(
                "SELECT email, ssn FROM other.customers WHERE email = $1", b"plain@example.com"
            ),
            *extended("SELECT $1::text AS email, 'customers'", b"customers"),
            parse("SELECT * FROM other.customers") + bind() + execute() + SYNC,
            READY,
            *extended(
                "SELECT '\\x5ea101'::bytea, $1::bytea", b"\x5e\xa1\x01", formats=(1,), results=(1,)
            ),
        ),
    )


def invalid() -> Iterator[Script]:
    yield Script(
        "invalid-sql",
        simple(
            "SELEC 1",
            "SELECT 'unterminated",
            'SELECT "unterminated',
            "SELECT $tag$ unterminated",
            "SELECT /* unterminated",
            "SELECT E'\\",
            "SELECT U&'\\zzzz'",
            "SELECT b'2'",
            "SELECT 1 +",
            "SELECT (((",
            "SELECT )",
            "SELECT 1abc, 0x, 1__0",
            "SELECT $0, $99999999999",
            "SELECT @@@@ 1 <-!-> 2",
            "\\d typed",
            "{ json }",
            "SELECT \x01\x02",
            'SELECT ""',
            "SELECT 'a' 'b'",
            "SELECT 'a'\n'b'",
            "INSERT INTO plain VALUES (1,",
            "BEGIN ATOMIC; SELECT 1; END",
            "CREATE FUNCTION broken() RETURNS int LANGUAGE sql AS 'SELEC'",
            "SELECT E'\\u0000'",
            "SELECT '\\' '",
            "SELECT 1;;;SELECT '",
        ),
    )
    yield Script(
        "invalid-extended",
        tuple(
            step
            for sql in (
                "SELEC $1",
                "SELECT 'x",
                "SELECT $1 $2",
                "(((",
                "SELECT 1; SELEC",
                '"',
                "$",
                "/*",
            )
            for step in extended(sql, b"x")
        ),
    )


def large() -> Iterator[Script]:
    yield Script(
        "large-statement",
        simple("SELECT length('" + "x" * 5_000_000 + "')", "SELECT /*" + "c" * 4_500_000 + "*/ 1"),
    )
    yield Script(
        "large-tokens",
        simple(
            "SELECT " + "+".join("1" for _ in range(4_000)),
            "SELECT id FROM typed WHERE id IN ("
            + ",".join(map(str, range(25_000)))
            + ") ORDER BY id",
            "VALUES " + ",".join(f"({i}, 'v{i}')" for i in range(8_000)),
        ),
    )
    yield Script(
        "large-nested",
        simple(
            "SELECT " + "(" * 500 + "1" + ")" * 500,
            "SELECT " + "(" * 20_000 + "1" + ")" * 20_000,
            "SELECT " + "-" + "- " * 1_000 + "1",
            "SELECT " + "ARRAY[" * 6 + "1" + "]" * 6,
        ),
    )
    yield Script("large-parameter", extended("SELECT length($1), $1", b"y" * 3_000_000))
    yield Script(
        "large-row",
        simple(
            "SELECT repeat('r', 6000000), 1",
            "SELECT repeat('s', 2000) FROM generate_series(1, 1500)",
        ),
    )
    columns = ", ".join(f"{i} AS c{i}" for i in range(1600))
    yield Script(
        "large-columns",
        (
            *simple(f"SELECT {columns}", f"SELECT {columns}, 0 FROM plain"),
            *extended(f"SELECT {columns}", results=(1,)),
        ),
    )
    yield Script(
        "large-parameters",
        (
            parse("SELECT " + "+".join(f"${i}::int" for i in range(1, 2_001)))
            + bind(*(b"1" for _ in range(2_000)))
            + describe()
            + execute()
            + SYNC,
            READY,
        ),
    )


def start_up() -> Iterator[Script]:
    query_one = simple("SELECT 1")
    yield Script("startup-3.2", query_one, version=PROTOCOL_3_2)
    yield Script("startup-3.9", query_one, version=(3 << 16) | 9)
    yield Script(
        "startup-pq-options", query_one, options=(("_pq_.unknown", "1"), ("_pq_.other", "x"))
    )
    yield Script(
        "startup-3.2-pq-options", query_one, options=(("_pq_.unknown", "1"),), version=PROTOCOL_3_2
    )
    yield Script("startup-no-database", query_one, database="nowhere")
    yield Script("startup-no-user", query_one, user="nobody_here")
    yield Script("startup-bad-option", query_one, options=(("options", "-c nonsense"),))
    yield Script("startup-bad-setting", query_one, options=(("DateStyle", "nonsense"),))
    yield Script("startup-bad-encoding", query_one, options=(("client_encoding", "nonsense"),))
    yield Script(
        "startup-other-database",
        (
            *simple(
                "SELECT current_database()",
                "CREATE TABLE customers (email text); DROP TABLE customers",
            ),
            *extended("SELECT 1"),
        ),
        database="postgres",
    )
    yield Script("startup-long-user", query_one, user="u" * 80)


def transactions() -> Iterator[Script]:
    yield Script(
        "transactions",
        simple(
            "BEGIN ISOLATION LEVEL SERIALIZABLE READ ONLY DEFERRABLE",
            "INSERT INTO plain VALUES (-1)",
            "ROLLBACK AND CHAIN",
            "COMMIT AND NO CHAIN",
            "START TRANSACTION",
            "SAVEPOINT a; SAVEPOINT b; INSERT INTO plain VALUES (-1); ROLLBACK TO a; SELECT count(*) FROM plain WHERE id = -1",
            "RELEASE a; RELEASE a",
            "ROLLBACK",
            "BEGIN; BEGIN",
            "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ",
            "END",
            "ABORT",
            "SELECT txid_current() > 0",
        ),
    )
    yield Script(
        "transactions-two-phase",
        simple(
            "BEGIN; INSERT INTO plain VALUES (-1, 'prepared'); PREPARE TRANSACTION 'tx'",
            "SELECT count(*) FROM plain WHERE id = -1",
            "SELECT gid, owner FROM pg_prepared_xacts",
            "ROLLBACK PREPARED 'tx'",
            "COMMIT PREPARED 'none'",
            "BEGIN; PREPARE TRANSACTION 'empty'",
            "COMMIT PREPARED 'empty'",
        ),
    )
    yield Script(
        "transactions-implicit",
        (
            parse("INSERT INTO plain VALUES (-1)")
            + bind()
            + execute()
            + parse("SELECT 1/0")
            + bind()
            + execute()
            + SYNC,
            READY,
            *simple("SELECT count(*) FROM plain WHERE id = -1"),
            parse("BEGIN")
            + bind()
            + execute()
            + parse("SELECT 1")
            + bind()
            + execute()
            + SYNC
            + parse("COMMIT")
            + bind()
            + execute()
            + SYNC,
            Until("Z", 2),
            *simple(
                "INSERT INTO plain VALUES (-1); ROLLBACK",
                "SELECT count(*) FROM plain WHERE id = -1",
            ),
        ),
    )
