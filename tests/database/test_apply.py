"""Sealing the rows that exist: what changes is the value, and nothing else."""

from __future__ import annotations

import itertools
import re
import subprocess
import time

import asyncpg
import pytest

from policy import Search
from proxy.cells import logical_type
from proxy.database.apply import apply
from proxy.database.sealing import SEND
from tests.database.conftest import Connect, Shop
from tests.database.every_type import EVERY_TYPE, create, fill

CUSTOMERS = """
CREATE TABLE customers (id int PRIMARY KEY, email text UNIQUE, ssn text NOT NULL, born date, city text);
INSERT INTO customers SELECT i, 'user' || i || '@example.com', lpad(i::text, 9, '0'), date '1980-01-01' + i, 'Oslo'
FROM generate_series(1, 300) AS i;
"""


async def customers(shop: Shop) -> None:
    await shop.connection.execute(CUSTOMERS)
    shop.declare(customers__email="text =", customers__ssn="text", customers__born="date")


async def test_every_type_is_sealed_and_comes_back_as_it_was(shop: Shop) -> None:
    """10,000 rows of all 17 types, extremes and NULLs: each opens to the bytes the server sent for it; each term is its value's."""
    run, fetch = shop.connection.execute, shop.connection.fetch
    await run(create())
    await run(fill())
    await run("DELETE FROM every_type WHERE id % 97 = 0")
    await run("UPDATE every_type SET tail = 'new' WHERE id % 5 = 0")  # moved tuples
    sends = [f"{SEND[logical_type(k.spec).name]}({k.column})" for k in EVERY_TYPE]
    before = await fetch(f"SELECT id, tail, {', '.join(sends)} FROM every_type ORDER BY id")
    shop.declare(
        **{f"every_type__{k.column}": f"{k.spec} {'=' if k.equality else ''}" for k in EVERY_TYPE}
    )
    report = await shop.sealed()
    assert report.tables[0].rows == len(before)
    names = ", ".join(f"{k.column}::bytea" for k in EVERY_TYPE)
    after = await fetch(f"SELECT id, tail, {names} FROM every_type ORDER BY id")
    assert len(after) == len(before)
    for plain, sealed in zip(before, after, strict=True):
        assert plain[0:2] == sealed[0:2]
        for n, kind in enumerate(EVERY_TYPE, start=2):
            opened = shop.open(sealed[n])
            assert opened == plain[n], (kind.column, plain[0])
            if opened is not None and kind.equality:
                form = logical_type(kind.spec).equality_form(opened)
                keys = shop.keyset.column(f"public.every_type.{kind.column}")
                assert sealed[n][8:24] == keys.equality_term(form)
    for kind in EVERY_TYPE:
        expected = f"sealgate.sealed_{logical_type(kind.spec).name}"
        assert await shop.type_of("every_type", kind.column) == expected


async def test_a_second_apply_does_nothing(shop: Shop) -> None:
    """Not one row is written: the stored bytes, the file and the catalog stay."""
    await customers(shop)
    first = await shop.sealed()
    assert first.changed
    state = (
        "SELECT pg_relation_filenode('customers'), (SELECT max(xmin::text::int8) FROM customers)"
    )
    before = await shop.connection.fetch(state)
    definition = await shop.definition("customers")
    again = await shop.sealed()
    assert not again.changed
    assert list(again.lines())[-1].startswith("nothing to do")
    assert await shop.connection.fetch(state) == before
    assert await shop.definition("customers") == definition


async def test_columns_keep_their_place_and_everything_else_its_definition(
    shop: Shop, connect: Connect
) -> None:
    """Order, NOT NULL, other columns, their indexes and constraints, table and column privileges, comments, settings, views."""
    await customers(shop)
    clerk = f"{shop.database.name}_clerk"
    shop.database.postgres.create_role(clerk)
    run, fetch, fetchval = (
        shop.connection.execute,
        shop.connection.fetch,
        shop.connection.fetchval,
    )
    await run(
        f"""
        ALTER TABLE customers ADD COLUMN gone int; ALTER TABLE customers DROP COLUMN gone;
        ALTER TABLE customers ADD COLUMN note varchar(9) DEFAULT 'n' CHECK (note <> '');
        CREATE INDEX customers_city ON customers (lower(city), id) WHERE note IS NOT NULL;
        CREATE VIEW cities AS SELECT id, city FROM customers;
        CREATE TABLE orders (customer int REFERENCES customers (id));
        GRANT SELECT ON customers TO {clerk}; GRANT UPDATE (ssn) ON customers TO {clerk};
        COMMENT ON TABLE customers IS 'people'; COMMENT ON COLUMN customers.ssn IS 'secret';
        ALTER TABLE customers SET (fillfactor = 90);
        CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
        CREATE TRIGGER touched BEFORE UPDATE ON customers FOR EACH ROW EXECUTE FUNCTION touch();
        ALTER TABLE customers ENABLE ROW LEVEL SECURITY;
        CREATE POLICY by_city ON customers FOR SELECT TO {clerk} USING (city = 'Oslo');
        """
    )
    before = await shop.definition("customers")
    report = await shop.sealed()
    after = await shop.definition("customers")

    def renamed(lines: list[str]) -> list[str]:
        return [re.sub(r"^(email|ssn|born) \S+", r"\1 sealed", line) for line in lines]

    assert renamed(list(after["columns"])) == renamed(list(before["columns"]))
    assert [c.split()[1] for c in after["columns"] if c.startswith(("email", "ssn", "born"))] == [
        *("sealgate.sealed_text", "sealgate.sealed_text", "sealgate.sealed_date")
    ]
    assert after["table"] == before["table"]
    kept = [c for c in before["constraints"] if not c.startswith("customers_email_key")]
    assured = [c for c in after["constraints"] if c.startswith("sealgate_terms_")]
    assert len(assured) == 1
    assert [c for c in after["constraints"] if c not in assured] == kept
    eq = "CREATE UNIQUE INDEX customers_email_key ON public.customers USING btree (sealgate.eq((email)::bytea))"
    others = [i for i in before["indexes"] if "email" not in i]
    assert sorted(after["indexes"]) == sorted([*others, eq])
    assert await fetchval("SELECT count(*) FROM cities") == 300
    assert await fetchval("SELECT col_description('customers'::regclass, 3)") == "secret"
    assert await fetchval("SELECT obj_description('customers'::regclass)") == "people"
    assert len(await fetch("SELECT FROM pg_policy WHERE polrelid = 'customers'::regclass")) == 1
    notes = "\n".join(report.tables[0].notes)
    assert "UNIQUE constraint customers_email_key" in notes
    assert "trigger touched (touch)" in notes
    weak = await connect(clerk)
    assert await weak.fetchval("SELECT count(ssn) FROM customers") == 300
    await run("INSERT INTO orders VALUES (7)")
    with pytest.raises(asyncpg.ForeignKeyViolationError):
        await run("INSERT INTO orders VALUES (7000)")
    with pytest.raises(asyncpg.NotNullViolationError):
        await run("UPDATE customers SET ssn = NULL")


async def test_plaintext_cannot_be_written_afterwards(shop: Shop) -> None:
    """The database refuses it by itself."""
    await customers(shop)
    await shop.sealed()
    with pytest.raises(asyncpg.CheckViolationError):
        await shop.connection.execute("UPDATE customers SET email = 'mallory@example.com'")


async def test_indexes_that_compare_are_recreated_on_the_term(shop: Shop) -> None:
    """Name, uniqueness, NULLS NOT DISTINCT, method, fillfactor, comment and IS NOT NULL survive; several on one column too."""
    run = shop.connection.execute
    await run(
        """
        CREATE TABLE t (id int, a text, b text, "C d" int);
        CREATE UNIQUE INDEX t_a ON t (a) NULLS NOT DISTINCT WITH (fillfactor = 70);
        CREATE INDEX t_a_hash ON t USING hash (a);
        COMMENT ON INDEX t_a IS 'about a \\ it''s';
        CREATE INDEX "T B" ON t (b) WHERE b IS NOT NULL;
        CREATE INDEX t_b_some ON t (b) WHERE id > 3;
        CREATE INDEX t_id ON t (id) WHERE b IS NULL;
        CREATE UNIQUE INDEX t_cd ON t ("C d" DESC NULLS LAST);
        INSERT INTO t SELECT i, i, i % 10, i FROM generate_series(1, 50) AS i;
        """
    )
    shop.declare(t__a="text =", t__b="text =", **{'t__"C d"': "integer ="})
    await shop.sealed()
    definition = await shop.definition("t")
    assert definition["indexes"] == sorted(
        [
            'CREATE INDEX "T B" ON public.t USING btree (sealgate.eq((b)::bytea)) WHERE (b IS NOT NULL)',
            "CREATE INDEX t_a_hash ON public.t USING hash (sealgate.eq((a)::bytea))",
            "CREATE INDEX t_b_some ON public.t USING btree (sealgate.eq((b)::bytea)) WHERE (id > 3)",
            "CREATE INDEX t_b_eq ON public.t USING btree (sealgate.eq((b)::bytea))",
            "CREATE INDEX t_id ON public.t USING btree (id) WHERE (b IS NULL)",
            "CREATE UNIQUE INDEX t_a ON public.t USING btree (sealgate.eq((a)::bytea)) NULLS NOT DISTINCT WITH (fillfactor='70')",
            'CREATE UNIQUE INDEX t_cd ON public.t USING btree (sealgate.eq(("C d")::bytea))',
        ]
    )
    comment = await shop.connection.fetchval("SELECT obj_description('t_a'::regclass)")
    assert comment == "about a \\ it's"
    with pytest.raises(asyncpg.UniqueViolationError):
        await run("INSERT INTO t (id, a) VALUES (99, $1)", shop.seal("public.t.a", "7"))


async def test_a_new_equality_index_finds_a_free_name(shop: Shop) -> None:
    """Within PostgreSQL's 63 bytes, beside what has the name already."""
    long = "é" * 31
    run = shop.connection.execute
    await run(
        f'CREATE TABLE "{long}" (x text); CREATE TABLE t (x text); CREATE TABLE t_x_eq (y int)'
    )
    shop.declare(**{f'"{long}"__x': "text =", "t__x": "text ="})
    await shop.sealed()
    names = await shop.connection.fetch(
        "SELECT indexrelid::regclass::text FROM pg_index WHERE indrelid IN ($1::text::regclass, 't'::regclass)",
        f'"{long}"',
    )
    assert sorted(r[0] for r in names) == sorted([f'"{"é" * 30}_eq"', "t_x_eq2"])
    assert not (await shop.sealed()).changed


async def test_a_dry_run_tells_and_changes_nothing(shop: Shop) -> None:
    """Rows, bytes and statements are there; the database is not touched, not even the schema; the reckoning is near the truth."""
    await customers(shop)
    await shop.connection.execute(
        "INSERT INTO customers SELECT i, i::text, i::text, NULL, 'x' FROM generate_series(1000, 6000) AS i; ANALYZE customers"
    )
    before = await shop.definition("customers")
    told = await shop.apply(dry_run=True)
    assert told.ok
    assert told.dry_run
    assert not told.changed
    assert await shop.definition("customers") == before
    assert await shop.connection.fetchval("SELECT to_regnamespace('sealgate')") is None
    assert shop.progress == []
    done = await shop.sealed()
    planned, table = told.tables[0], done.tables[0]
    assert planned.rows == table.rows == 5301
    assert planned.table_bytes_before == table.table_bytes_before
    assert planned.indexes == table.indexes
    for reckoned, real in (
        (planned.table_bytes_after, table.table_bytes_after),
        (planned.index_bytes_after, table.index_bytes_after),
    ):
        assert reckoned is not None
        assert real is not None
        assert 0.6 < reckoned / real < 1.6
    text = "\n".join(told.lines())
    assert "would seal as text with equality terms" in text
    assert "5,301 rows" in text
    assert "locked for about" in text
    assert table.seconds is not None
    assert "backups" in text


async def test_progress_counts_rows(shop: Shop) -> None:
    """seal, rewrite, verify, index, each from 0 to all rows in bounded batches."""
    await customers(shop)
    await shop.sealed()
    assert list(dict.fromkeys(p.phase for p in shop.progress)) == [
        *("seal", "rewrite", "verify", "index")
    ]
    seals = [p.done for p in shop.progress if p.phase == "seal"]
    assert seals[0] == 0
    assert seals == sorted(seals)
    assert seals[-1] == 300
    assert {p.total for p in shop.progress if p.phase != "index"} == {300}


async def test_no_primary_key_is_needed(shop: Shop) -> None:
    """Rows that are all alike, NULLs and an empty table."""
    await shop.connection.execute(
        "CREATE TABLE t (a text, b int); INSERT INTO t SELECT 'same', NULL FROM generate_series(1, 100);"
        " CREATE TABLE nothing (a text)"
    )
    shop.declare(t__a="text =", t__b="int4", nothing__a="text =")
    await shop.sealed()
    rows = await shop.connection.fetch("SELECT a, b FROM t")
    assert {shop.open(r["a"]) for r in rows} == {b"same"}
    assert len({r["a"] for r in rows}) == 100
    assert {r["b"] for r in rows} == {None}


async def test_partitions_are_sealed_with_their_table(shop: Shop) -> None:
    """Two levels of partitions, with columns in another order: same ctids in different tables are told apart."""
    await shop.connection.execute(
        """
        CREATE TABLE t (id int, region text, email text) PARTITION BY LIST (region);
        CREATE TABLE t_eu (email text, junk int, region text, id int);
        ALTER TABLE t_eu DROP COLUMN junk;
        ALTER TABLE t ATTACH PARTITION t_eu FOR VALUES IN ('eu');
        CREATE TABLE t_us PARTITION OF t FOR VALUES IN ('us') PARTITION BY RANGE (id);
        CREATE TABLE t_us_1 PARTITION OF t_us FOR VALUES FROM (0) TO (50);
        CREATE TABLE t_us_2 PARTITION OF t_us DEFAULT;
        CREATE INDEX t_email ON t (email);
        CREATE UNIQUE INDEX t_us_2_email ON t_us_2 (email);
        INSERT INTO t SELECT i, CASE WHEN i % 2 = 0 THEN 'eu' ELSE 'us' END, 'user' || i FROM generate_series(1, 100) AS i;
        """
    )
    shop.declare(t__email="text =")
    await shop.sealed()
    rows = await shop.connection.fetch("SELECT id, email FROM t")
    assert {(r["id"], shop.open(r["email"])) for r in rows} == {
        (i, f"user{i}".encode()) for i in range(1, 101)
    }
    kinds = await shop.connection.fetch(
        "SELECT indexrelid::regclass::text, indisunique, pg_get_indexdef(indexrelid, 1, false) FROM pg_index"
        " WHERE indrelid IN (SELECT relid FROM pg_partition_tree('t'))"
    )
    assert len(kinds) == 6
    assert {k[2] for k in kinds} == {"sealgate.eq((email)::bytea)"}
    assert [k[0] for k in kinds if k[1]] == ["t_us_2_email"]
    assert not (await shop.sealed()).changed


async def test_children_by_inheritance_are_sealed_with_their_parent(shop: Shop) -> None:
    """Each keeps or gets its own equality index."""
    await shop.connection.execute(
        """
        CREATE TABLE parent (id int, email text);
        CREATE TABLE child (more int) INHERITS (parent);
        CREATE UNIQUE INDEX child_email ON child (email);
        INSERT INTO parent VALUES (1, 'a'); INSERT INTO child VALUES (2, 'b', 3);
        """
    )
    shop.declare(parent__email="text =")
    await shop.sealed()
    rows = await shop.connection.fetch("SELECT id, email FROM parent ORDER BY id")
    assert [shop.open(r["email"]) for r in rows] == [b"a", b"b"]
    names = await shop.connection.fetch(
        "SELECT indexrelid::regclass::text FROM pg_index WHERE indrelid IN ('parent'::regclass, 'child'::regclass) ORDER BY 1"
    )
    assert [r[0] for r in names] == ["child_email", "parent_email_eq"]
    assert not (await shop.sealed()).changed


async def test_declaring_equality_later_seals_anew_with_terms(shop: Shop) -> None:
    """And taking it back seals anew without; values written meanwhile are among them."""
    await customers(shop)
    shop.declare(customers__ssn="text")
    keyset = shop.keyset
    await shop.sealed()
    label = "public.customers.ssn"
    shop.declare(customers__ssn="text =")
    shop.keyset = keyset
    await shop.connection.execute(
        "UPDATE customers SET ssn = $1 WHERE id = 7", shop.seal(label, "000000007")
    )
    report = await shop.sealed()
    assert [c.action for c in report.tables[0].columns] == ["keep", "derive", "keep"]
    rows = await shop.connection.fetch("SELECT id, ssn FROM customers")
    for row in rows:
        plaintext = shop.open(row["ssn"])
        assert plaintext == b"%09d" % row["id"]
        assert row["ssn"][8:24] == keyset.column(label).equality_term(plaintext)
    assert not (await shop.sealed()).changed
    shop.declare(customers__ssn="text")
    shop.keyset = keyset
    report = await shop.sealed()
    assert "customers_ssn_eq serves nothing" in "\n".join(report.tables[0].notes)
    values = await shop.connection.fetch("SELECT id, ssn FROM customers")
    assert all(v["ssn"][3] == 0 and shop.open(v["ssn"]) == b"%09d" % v["id"] for v in values)
    assert not (await shop.sealed()).changed


async def test_values_sealed_for_another_column_are_not_touched(shop: Shop) -> None:
    """Apply does not move values from one column's grants to another's."""
    await customers(shop)
    keyset = shop.keyset
    await shop.sealed()
    await shop.connection.execute("UPDATE customers SET ssn = email")
    before = await shop.connection.fetch("SELECT ssn FROM customers ORDER BY id")
    shop.declare(customers__ssn="text")  # the copies carry terms, which ssn does not declare
    shop.keyset = keyset
    report = await shop.apply()
    assert "sealed for public.customers.email" in report.obstacles[0].problem
    assert await shop.connection.fetch("SELECT ssn FROM customers ORDER BY id") == before


async def test_several_tables_in_one_apply(shop: Shop) -> None:
    """Each in a transaction of its own, each reported."""
    await customers(shop)
    await shop.connection.execute("CREATE TABLE more (x jsonb); INSERT INTO more VALUES ('{}')")
    shop.declare(more__x="jsonb")
    report = await shop.sealed()
    assert [(t.table, t.rows, t.done) for t in report.tables] == [
        ("public.customers", 300, True),
        ("public.more", 1, True),
    ]


async def test_names_that_need_quotes(shop: Shop) -> None:
    """Schemas, tables and columns with capitals, dots, quotes and keywords."""
    await shop.connection.execute(
        """
        CREATE SCHEMA "Odd.S"; CREATE TABLE "Odd.S"."T""a" (id int PRIMARY KEY, "select" text, "É x" text UNIQUE);
        INSERT INTO "Odd.S"."T""a" VALUES (1, 'a', 'b');
        """
    )
    from policy import ColumnRule

    for name in ('"Odd.S"."T""a".select', '"Odd.S"."T""a"."É x"'):
        shop.columns[name] = ColumnRule(name, "text", Search(equality=True))
    shop.declare()
    await shop.sealed()
    row = await shop.connection.fetchrow('SELECT * FROM "Odd.S"."T""a"')
    assert [shop.open(row[1]), shop.open(row[2])] == [b"a", b"b"]
    assert not (await shop.sealed()).changed


async def test_large_values_are_sealed_in_small_batches(shop: Shop) -> None:
    """Batches are bounded by bytes, not by rows."""
    await shop.connection.execute(
        "CREATE TABLE t (id int PRIMARY KEY, x text);"
        " INSERT INTO t SELECT i, repeat(chr(65 + i % 26), 300000) FROM generate_series(1, 150) AS i"
    )
    shop.declare(t__x="text")
    await shop.sealed()
    seals = [p.done for p in shop.progress if p.phase == "seal"]
    assert max(b - a for a, b in itertools.pairwise(seals)) <= 64
    for row in await shop.connection.fetch("SELECT id, x FROM t WHERE id % 30 = 0"):
        assert shop.open(row["x"]) == bytes([65 + row["id"] % 26]) * 300000


async def test_no_plaintext_stays_in_statistics_or_reaches_the_log(shop: Shop) -> None:
    """pg_stats held the most frequent values before; the server's log, which has every statement and parameter, gets none."""
    canary = "canary-4f1c@example.com"
    mark = len(shop.database.postgres.log_text())
    await shop.connection.execute("CREATE TABLE t (id int, email text)")
    await shop.connection.copy_records_to_table(
        "t", records=[(i, canary if i % 2 else f"{canary}{i}") for i in range(500)]
    )
    await shop.connection.execute(
        "CREATE UNIQUE INDEX ON t (id); CREATE INDEX t_email ON t (email); ANALYZE t"
    )
    stats = "SELECT pg_stats::text FROM pg_stats WHERE schemaname = 'public'"
    assert canary in str(await shop.connection.fetch(stats))
    shop.declare(t__email="text =")
    report = await shop.sealed()
    assert canary not in str(await shop.connection.fetch(stats))
    assert canary not in str(report.as_json()) + "\n".join(report.lines())
    log = shop.database.postgres.log_text()[mark:]
    assert "ALTER TABLE" in log
    assert "canary" not in log


async def test_settings_of_the_login_do_not_get_in_the_way(shop: Shop, connect: Connect) -> None:
    """A statement_timeout, another date style, time zone, bytea output or isolation level."""
    await customers(shop)
    for setting in (
        "statement_timeout = '20ms'",
        "datestyle = 'SQL, DMY'",
        "timezone = 'Asia/Kathmandu'",
        "bytea_output = escape",
        "default_transaction_isolation = serializable",
        "default_transaction_read_only = off",
        "extra_float_digits = -3",
        "standard_conforming_strings = off",
        "quote_all_identifiers = on",
        "idle_in_transaction_session_timeout = '50ms'",
    ):
        shop.database.psql(f"ALTER ROLE {shop.owner} SET {setting}")
    shop.connection = await connect(shop.owner)
    report = await apply(
        shop.connection, shop.columns, shop.keyset, progress=lambda _: time.sleep(0.1)
    )
    assert report.ok
    assert not (await shop.sealed()).changed
    row = await shop.connection.fetchrow("SELECT email, born FROM customers WHERE id = 5")
    assert shop.text("public.customers.email", row["email"]) == "user5@example.com"
    assert shop.text("public.customers.born", row["born"]) == "1980-01-06"


async def test_a_dump_is_restored_as_it_was(shop: Shop) -> None:
    """pg_dump carries schema, CHECKs, values and indexes; the restored database refuses plaintext and finds its rows."""
    await customers(shop)
    await shop.sealed()
    dump = subprocess.run(  # noqa: ASYNC221
        [shop.database.postgres.bin / "pg_dump", shop.database.dsn(via_socket=True)],
        capture_output=True,
        check=True,
        text=True,
    ).stdout
    assert "example.com" not in dump
    name = f"{shop.database.name}_restored"
    shop.database.postgres.create_database(name)
    try:
        shop.database.postgres.psql(dump, name)
        shop.connection = await asyncpg.connect(shop.database.postgres.dsn(name))
        assert not (await shop.sealed()).changed
        found = await shop.connection.fetchval(
            "SELECT id FROM customers WHERE sealgate.eq(email) = sealgate.eq($1)",
            shop.seal("public.customers.email", "user77@example.com"),
        )
        assert found == 77
        with pytest.raises(asyncpg.CheckViolationError):
            await shop.connection.execute("UPDATE customers SET email = 'plain'")
        await shop.connection.close()
    finally:
        shop.database.postgres.drop_database(name)


async def test_a_report_is_json(shop: Shop) -> None:
    """`--json` prints it as it is."""
    import json

    await customers(shop)
    shop.declare(customers__nothing="text")
    document = json.loads(json.dumps((await shop.apply()).as_json()))
    assert document["ok"] is False
    assert document["obstacles"][0]["subject"] == "public.customers.nothing"
