"""What was where: every statement that takes a sealed value from a row leaves the value's cell id and the row's key behind.

The expectation is not computed from the triggers: before and after each statement the tables are read, and what was there
before and is not any more has to have come into sealgate.cell_history, no more and no less.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import subprocess
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from functools import cached_property
from pathlib import Path

import asyncpg
import pytest

from keystore import cell_id, generate
from policy import ColumnRule, Search
from proxy.embedded import EmbeddedPostgres
from proxy.programs import Programs
from tests.conftest import Database
from tests.database.conftest import Connect, Shop

DEBIAN = Path("/usr/lib/postgresql/15/bin")
TABLES = """
CREATE TABLE customers (id int PRIMARY KEY, tenant int NOT NULL DEFAULT 1, "e mail" text, ssn text, n int DEFAULT 0);
CREATE TABLE orders (
    nr int PRIMARY KEY, customer int NOT NULL REFERENCES customers ON UPDATE CASCADE ON DELETE CASCADE, note text);
CREATE VIEW mine AS SELECT id, tenant, n FROM customers;
"""
COLUMNS = {"customers": ("e mail", "ssn"), "orders": ("note",)}
SUBJECTS = {"public.customers": ("tenant", "id"), "public.orders": ("customer",)}
KEYS = {"customers": ("id", "tenant"), "orders": ("nr", "customer")}
Where = Counter[tuple[str, str, str, str]]
"""(table, column, cell id in hex, key as JSON) -> how often"""


class DebianPrograms(Programs):
    """Release 15 knows no built-in provider of locales."""

    def run(self, name: str, *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        kept = [a for a in arguments if "provider=" not in a and "builtin" not in a]
        return super().run(name, *kept, stdin=stdin)


class Debian(EmbeddedPostgres):
    """The distribution's PostgreSQL 15, run like the embedded one."""

    @cached_property
    def _programs(self) -> Programs:
        return DebianPrograms(DEBIAN, "postgres" if os.geteuid() == 0 else None)


@pytest.fixture(scope="module", params=["18", pytest.param("15", marks=pytest.mark.long)])
def server(request: pytest.FixtureRequest) -> Iterator[EmbeddedPostgres]:
    if request.param == "15" and not DEBIAN.exists():
        pytest.skip("PostgreSQL 15 of Debian is not installed")
    with EmbeddedPostgres() if request.param == "18" else Debian() as running:
        yield running


@pytest.fixture
async def kept(server: EmbeddedPostgres) -> AsyncIterator[Shop]:
    """The shop, sealed, with whose rows they are; five customers and their orders."""
    name = f"history_{random.randrange(1 << 32)}"
    server.create_database(name)
    database = Database(name, server)
    owner = f"{name}_owner"
    database.psql(f"CREATE ROLE {owner} LOGIN; ALTER DATABASE {name} OWNER TO {owner}")
    connection = await asyncpg.connect(database.dsn(owner))
    shop = Shop(database, owner, connection)
    await connection.execute(TABLES)
    for table, columns in COLUMNS.items():
        for column in columns:
            label = f'public.{table}."{column}"' if " " in column else f"public.{table}.{column}"
            shop.columns[label] = ColumnRule(label, "text", Search(equality=column == "e mail"))
    shop.keyset = generate(shop.columns)
    report = await shop.apply(subjects=SUBJECTS)
    assert report.ok, report.obstacles
    await people(shop)
    yield shop
    await connection.close(timeout=5)
    server.drop_database(name)


async def people(shop: Shop) -> None:
    for n in range(1, 6):
        await shop.connection.execute(
            "INSERT INTO customers VALUES ($1, 1, $2, $3)", n, *email_and_ssn(shop, n)
        )
        await shop.connection.execute(
            "INSERT INTO orders VALUES ($1, $2, $3)", 10 * n, n, note(shop)
        )


def email_and_ssn(shop: Shop, n: int) -> tuple[bytes, bytes]:
    return email(shop, n), shop.seal("public.customers.ssn", f"ssn {n}")


def email(shop: Shop, n: int = 0) -> bytes:
    return shop.seal('public.customers."e mail"', f"{n}@example.com")


def note(shop: Shop) -> bytes:
    return shop.seal("public.orders.note", "note")


async def places(
    connection: asyncpg.Connection,
    columns: dict[str, tuple[str, ...]] = COLUMNS,
    keys: dict[str, tuple[str, ...]] = KEYS,
) -> Where:
    """Where the values are."""
    found: Where = Counter()
    for table, names in columns.items():
        for row in await connection.fetch(f"SELECT * FROM {table}"):
            key = json.dumps({name: row[name] for name in sorted(keys[table])})
            for name in names:
                if row[name] is not None:
                    found[f"public.{table}", name, cell_id(row[name]).hex(), key] += 1
    return found


async def history(connection: asyncpg.Connection) -> Where:
    rows = await connection.fetch(
        "SELECT relation, attribute, encode(cell_id, 'hex') AS id, row_key FROM sealgate.cell_history"
    )
    return Counter(
        (
            r["relation"],
            r["attribute"],
            r["id"],
            json.dumps(json.loads(r["row_key"]), sort_keys=True),
        )
        for r in rows
    )


@asynccontextmanager
async def watched(
    shop: Shop, *, moved: bool = False, **tables: dict[str, tuple[str, ...]]
) -> AsyncIterator[None]:
    """What has gone from the tables when the block is over has come into the history.

    moved: a row that goes to another partition is deleted in one and inserted in the other: its values may be in the history and there
    """
    before, then = await places(shop.connection, **tables), await history(shop.connection)
    yield
    after, now = await places(shop.connection, **tables), await history(shop.connection)
    gone, came = before - after, now - then
    assert gone - came == Counter()
    assert set(came - gone) <= (set(after) if moved else set())
    assert then - now == Counter()


STATEMENTS = {
    "another column": "UPDATE customers SET n = n + 1",
    "the same value": 'UPDATE customers SET "e mail" = "e mail"',
    "one value": 'UPDATE customers SET "e mail" = $1 WHERE id = 1',
    "one value in many rows": 'UPDATE customers SET "e mail" = $1',
    "to NULL": "UPDATE customers SET ssn = NULL WHERE id < 3",
    "two columns, one row of two": 'UPDATE customers SET "e mail" = $1, ssn = NULL FROM orders WHERE customer = id AND nr = 20',
    "the key, with a cascade": "UPDATE customers SET id = id + 100 WHERE id = 2",
    "whose it is": "UPDATE customers SET tenant = 7 WHERE id = 2",
    "delete, with a cascade": "DELETE FROM customers WHERE id IN (1, 2)",
    "delete returning": "DELETE FROM orders RETURNING note",
    "on conflict": 'INSERT INTO customers (id, "e mail") VALUES (1, $1) ON CONFLICT (id) DO UPDATE SET "e mail" = excluded."e mail"',
    "on conflict do nothing": 'INSERT INTO customers (id, "e mail") VALUES (1, $1) ON CONFLICT DO NOTHING',
    "merge": "MERGE INTO customers c USING (VALUES (1, $1::bytea), (2, NULL), (9, $1)) AS v (id, e) ON v.id = c.id"
    ' WHEN MATCHED AND v.e IS NULL THEN DELETE WHEN MATCHED THEN UPDATE SET "e mail" = v.e'
    ' WHEN NOT MATCHED THEN INSERT (id, "e mail") VALUES (v.id, v.e)',
    "delete and insert elsewhere": "WITH gone AS (DELETE FROM orders RETURNING *) INSERT INTO orders SELECT nr + 1, customer, note FROM gone",
    "swapped": 'UPDATE customers c SET "e mail" = o."e mail" FROM customers o WHERE o.id = 3 - c.id',
    "through a view": "DELETE FROM mine WHERE id = 3",
    "the key through a view": "UPDATE mine SET id = 300 WHERE id = 3",
    "truncate": "TRUNCATE orders",
    "truncate, with a cascade": "TRUNCATE customers CASCADE",
}


async def test_what_a_statement_takes_away_is_kept(kept: Shop) -> None:
    """And nothing of what it leaves. Each on the same rows."""
    for statement in STATEMENTS.values():
        async with watched(kept):
            given = [email(kept)] if "$1" in statement else []
            await kept.connection.execute(statement, *given)
        await kept.connection.execute("TRUNCATE customers CASCADE")
        await people(kept)
    assert (await history(kept.connection)).total() > 100


async def test_what_was_rolled_back_did_not_happen(kept: Shop) -> None:
    """A transaction, and a savepoint of one that stays."""
    connection = kept.connection
    async with watched(kept):
        await connection.execute("BEGIN; DELETE FROM customers; ROLLBACK")
    assert await history(connection) == Counter()
    async with watched(kept):
        await connection.execute(
            "BEGIN; DELETE FROM orders WHERE nr = 10; SAVEPOINT s; DELETE FROM customers; ROLLBACK TO s; COMMIT"
        )
    assert (await history(connection)).total() == 1


async def test_random_statements(kept: Shop) -> None:
    """Many of them one after the other, in transactions of random length, some rolled back. HISTORY_SEED=... repeats it."""
    seed = int(os.environ.get("HISTORY_SEED", random.SystemRandom().getrandbits(32)))
    print(f"HISTORY_SEED={seed}")
    rng = random.Random(seed)
    small = [s for s in STATEMENTS.values() if "TRUNCATE" not in s and "ALTER" not in s]
    for _ in range(15):
        async with watched(kept):
            transaction = kept.connection.transaction()
            await transaction.start()
            # Net changes alone are compared, so each row is made anew only behind the transaction.
            try:
                statement = rng.choice(small)
                given = [email(kept)] if "$1" in statement else []
                await kept.connection.execute(statement, *given)
            except asyncpg.IntegrityConstraintViolationError:
                await transaction.rollback()
            else:
                await (transaction.rollback if rng.random() < 0.2 else transaction.commit)()
        n = rng.randrange(1, 6)
        await kept.connection.execute(
            "INSERT INTO customers VALUES ($1, 1, $2, $3) ON CONFLICT DO NOTHING",
            n,
            *email_and_ssn(kept, n),
        )


async def test_copy_in_takes_nothing_away(kept: Shop) -> None:
    """Rows come; none goes."""
    async with watched(kept):
        await kept.connection.copy_records_to_table(
            "customers", records=[(50, 1, *email_and_ssn(kept, 50), 0)]
        )
    assert await history(kept.connection) == Counter()


async def test_a_superuser_without_triggers_is_seen(kept: Shop) -> None:
    """session_replication_role keeps ordinary triggers out, as apply and pg_restore do; not ours."""
    admin = await asyncpg.connect(kept.database.dsn())
    try:
        await admin.execute("SET session_replication_role = replica")
        async with watched(kept):
            await admin.execute("DELETE FROM orders WHERE nr = 20")
            await admin.execute("UPDATE customers SET ssn = NULL WHERE id = 1")
    finally:
        await admin.close(timeout=5)


async def test_a_trigger_that_changes_the_row_is_seen(kept: Shop) -> None:
    """What counts is what came into the table, not what the statement said."""
    await kept.connection.execute(
        """
        CREATE FUNCTION forget() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.ssn := NULL; NEW.id := NEW.id + 50; RETURN NEW; END';
        CREATE TRIGGER forget BEFORE UPDATE ON customers FOR EACH ROW EXECUTE FUNCTION forget();
        """
    )
    async with watched(kept):
        await kept.connection.execute("UPDATE customers SET n = 1 WHERE id IN (1, 3)")


async def test_an_application_needs_no_privilege_and_has_none(kept: Shop) -> None:
    """It writes history without being able to read it, write to it, or attach the function to a table of its own."""
    login = f"{kept.database.name}_app"
    kept.database.psql(
        f"CREATE ROLE {login} LOGIN; GRANT UPDATE, DELETE, SELECT ON customers, orders TO {login};"
        f" CREATE SCHEMA own AUTHORIZATION {login}; GRANT ALL ON SCHEMA public TO {login}"
    )
    app = await asyncpg.connect(kept.database.dsn(login))
    try:
        await app.execute(
            """
            SET search_path = own, public;
            CREATE FUNCTION own.jsonb_build_object(text, int, text, int) RETURNS jsonb LANGUAGE sql AS $$SELECT '{}'::jsonb$$;
            CREATE FUNCTION own.differ(bytea, bytea) RETURNS bool LANGUAGE sql AS 'SELECT false';
            CREATE OPERATOR own.= (LEFTARG = bytea, RIGHTARG = bytea, FUNCTION = own.differ);
            SET search_path = own, pg_catalog, public;
            """
        )
        async with watched(kept):
            await app.execute("UPDATE public.customers SET ssn = NULL WHERE id = 1")
            await app.execute("DELETE FROM public.customers WHERE id = 2")
        name = await kept.connection.fetchval(
            "SELECT proname FROM pg_proc WHERE proname LIKE 'history_%' LIMIT 1"
        )
        for attempt in (
            "SELECT * FROM sealgate.cell_history",
            "DELETE FROM sealgate.cell_history",
            "INSERT INTO sealgate.cell_history VALUES ('', '', '', '{}')",
            "CREATE TABLE own.t (); CREATE TRIGGER t AFTER DELETE ON own.t"
            f" FOR EACH ROW EXECUTE FUNCTION sealgate.{name}()",
        ):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await app.execute(attempt)
    finally:
        await app.close(timeout=5)
        kept.database.psql(f"DROP OWNED BY {login}; DROP ROLE {login}")


async def test_apply_again_changes_nothing_and_repairs_what_somebody_changed(kept: Shop) -> None:
    """Disabled, dropped, altered or publicly readable: a dry run names it, apply puts it right."""
    assert not (await kept.apply(subjects=SUBJECTS)).changed
    name = await kept.connection.fetchval(
        "SELECT proname FROM pg_proc WHERE proname LIKE 'history_%' LIMIT 1"
    )
    damages = (
        ("ALTER TABLE customers DISABLE TRIGGER sealgate_history_delete", "enable trigger"),
        ("ALTER TABLE customers ENABLE TRIGGER sealgate_history_update", "enable trigger"),
        ("DROP TRIGGER sealgate_history_truncate ON orders", "create trigger"),
        (
            "DROP TRIGGER sealgate_history_update ON orders; CREATE TRIGGER sealgate_history_update AFTER UPDATE ON orders"
            f" FOR EACH ROW WHEN (false) EXECUTE FUNCTION sealgate.{name}()",
            "drop trigger",
        ),
        (
            f"CREATE OR REPLACE FUNCTION sealgate.{name}() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER"
            " SET search_path = pg_catalog, pg_temp AS 'BEGIN RETURN NULL; END'",
            "keep where",
        ),
        (f"ALTER FUNCTION sealgate.{name}() SECURITY INVOKER", "keep where"),
        (f"ALTER FUNCTION sealgate.{name}() RESET ALL", "keep where"),
        (f"GRANT EXECUTE ON FUNCTION sealgate.{name}() TO PUBLIC", "nobody else"),
        ("GRANT SELECT ON sealgate.cell_history TO PUBLIC", "not everybody"),
        ("DROP INDEX sealgate.cell_history_cell_id_idx", "index"),
    )
    for damage, said in damages:
        await kept.connection.execute(damage)
        told = await kept.apply(subjects=SUBJECTS, dry_run=True)
        assert said in "\n".join(told.lines()), damage
        report = await kept.apply(subjects=SUBJECTS)
        assert report.ok, report.obstacles
        assert report.changed, damage
        assert not (await kept.apply(subjects=SUBJECTS)).changed, damage
    async with watched(kept):
        await kept.connection.execute("DELETE FROM customers")


async def test_it_goes_with_the_column(kept: Shop) -> None:
    """Nothing declared of the table any more: trigger and function go, the history stays."""
    await kept.connection.execute("DELETE FROM orders WHERE nr = 10")
    with pytest.raises(asyncpg.DependentObjectsStillExistError):
        await kept.connection.execute("ALTER TABLE orders DROP COLUMN note")
    del kept.columns["public.orders.note"]
    told = await kept.apply(subjects=SUBJECTS, dry_run=True)
    assert [said for said in told.schema if "public.orders" in said]
    report = await kept.apply(subjects=SUBJECTS)
    assert report.schema == told.schema
    await kept.connection.execute("ALTER TABLE orders DROP COLUMN note")
    await kept.connection.execute("DELETE FROM orders")
    assert (await history(kept.connection)).total() == 1
    functions = await kept.connection.fetchval(
        "SELECT count(*) FROM pg_proc WHERE proname LIKE 'history_%'"
    )
    assert functions == 1
    assert not (await kept.apply(subjects=SUBJECTS)).changed


async def test_a_renamed_column_is_an_error_until_apply(kept: Shop) -> None:
    """Rather than a gap that nobody sees."""
    await kept.connection.execute("ALTER TABLE orders RENAME COLUMN note TO remark")
    with pytest.raises(asyncpg.UndefinedColumnError):
        await kept.connection.execute("DELETE FROM orders WHERE nr = 10")
    rule = ColumnRule("public.orders.remark", "text", Search())
    del kept.columns["public.orders.note"]
    kept.columns["public.orders.remark"] = rule
    keys = generate(kept.columns)
    kept.keyset, old = keys, kept.keyset
    assert old
    report = await kept.apply(subjects=SUBJECTS)
    assert report.ok, report.obstacles
    await kept.connection.execute("DELETE FROM orders WHERE nr = 10")
    assert [(r, a) for r, a, _, _ in await history(kept.connection)] == [
        ("public.orders", "remark")
    ]


async def test_other_subjects_are_kept_from_apply_on(kept: Shop) -> None:
    """The row's key is its primary key and whose it is, as configured when it was kept."""
    await kept.connection.execute("DELETE FROM orders WHERE nr = 10")
    report = await kept.apply(subjects={})
    assert report.changed
    await kept.connection.execute("DELETE FROM orders WHERE nr = 20")
    keys = {key for _, _, _, key in await history(kept.connection)}
    assert keys == {'{"customer": 1, "nr": 10}', '{"nr": 20}'}


async def test_another_column_can_be_sealed_later(kept: Shop) -> None:
    """The column was of the key that is kept, so the trigger named it; the rewrite goes through, and it is kept then."""
    await kept.connection.execute(
        "ALTER TABLE orders ADD COLUMN who text; UPDATE orders SET who = 'x'"
    )
    assert (await kept.apply(subjects={"public.orders": ("who",)})).ok
    kept.columns["public.orders.who"] = ColumnRule("public.orders.who", "text", Search())
    kept.keyset = generate(kept.columns)
    kept.columns = {"public.orders.who": kept.columns["public.orders.who"]}
    report = await kept.apply(subjects=SUBJECTS)
    assert report.ok, report.obstacles
    await kept.connection.execute("DELETE FROM orders WHERE nr = 10")
    assert ("public.orders", "who") in {(r, a) for r, a, _, _ in await history(kept.connection)}


PARTITIONS = """
CREATE TABLE visits (id int, region text NOT NULL, name text, PRIMARY KEY (id, region)) PARTITION BY LIST (region);
CREATE TABLE visits_eu PARTITION OF visits FOR VALUES IN ('eu') PARTITION BY RANGE (id);
CREATE TABLE visits_eu_1 PARTITION OF visits_eu FOR VALUES FROM (0) TO (100);
CREATE TABLE visits_us PARTITION OF visits FOR VALUES IN ('us');
"""
VISITS = {"columns": {"visits": ("name",)}, "keys": {"visits": ("id", "region")}}


async def partitioned(shop: Shop, ddl: str, table: str) -> None:
    await shop.connection.execute(ddl)
    shop.columns = {f"public.{table}.name": ColumnRule(f"public.{table}.name", "text", Search())}
    shop.keyset = generate(shop.columns)
    await shop.sealed()


async def test_partitions(kept: Shop) -> None:
    """By the parent's name or their own, moved from one to the other, made and attached later; TRUNCATE of any that apply has seen."""
    await partitioned(kept, PARTITIONS, "visits")

    def name() -> bytes:
        return kept.seal("public.visits.name", "x")

    connection = kept.connection
    for n, region in ((1, "eu"), (2, "eu"), (3, "us"), (4, "us"), (5, "us"), (6, "us")):
        await connection.execute("INSERT INTO visits VALUES ($1, $2, $3)", n, region, name())
    for statement in (
        "UPDATE visits SET name = $1 WHERE id IN (1, 3)",
        "UPDATE visits_eu_1 SET name = $1 WHERE id = 1",
        "UPDATE visits SET name = $1, region = 'us' WHERE id = 1",
    ):
        async with watched(kept, moved=True, **VISITS):
            await connection.execute(statement, name())
    async with watched(kept, moved=True, **VISITS):
        await connection.execute("UPDATE visits SET region = 'eu' WHERE id = 3")
    await connection.execute(
        "CREATE TABLE visits_as PARTITION OF visits FOR VALUES IN ('as');"
        " CREATE TABLE visits_af (LIKE visits INCLUDING ALL);"
    )
    await connection.execute("INSERT INTO visits_af VALUES (7, 'af', $1)", name())
    await connection.execute("INSERT INTO visits VALUES (8, 'as', $1), (9, 'as', $1)", name())
    await connection.execute("ALTER TABLE visits ATTACH PARTITION visits_af FOR VALUES IN ('af')")
    for statement in (
        "DELETE FROM visits_as WHERE id = 8",
        "DELETE FROM visits_af",
        "SET session_replication_role = replica; DELETE FROM visits WHERE id = 9; RESET session_replication_role",
    ):
        admin = await asyncpg.connect(kept.database.dsn())
        async with watched(kept, **VISITS):
            await admin.execute(statement)
        await admin.close(timeout=5)
    async with watched(kept, **VISITS):
        await connection.execute("TRUNCATE visits_us")
    async with watched(kept, **VISITS):
        await connection.execute("TRUNCATE visits")


INHERITED = """
CREATE TABLE people (id int PRIMARY KEY, name text);
CREATE TABLE staff (desk int) INHERITS (people);
"""


async def test_inherited_tables(kept: Shop) -> None:
    """A child by the parent's name and its own; one that comes later from the next apply on, which a dry run says."""
    await partitioned(kept, INHERITED, "people")
    people = {"columns": {"people": ("name",)}, "keys": {"people": ("id",)}}
    connection = kept.connection

    def name() -> bytes:
        return kept.seal("public.people.name", "x")

    for n in range(1, 4):
        await connection.execute("INSERT INTO people VALUES ($1, $2)", n, name())
        await connection.execute("INSERT INTO staff VALUES ($1, $2)", 10 + n, name())
    for statement in (
        "UPDATE people SET name = $1 WHERE id IN (1, 11)",
        "UPDATE staff SET name = $1 WHERE id = 12",
        "UPDATE ONLY people SET name = $1 WHERE id = 2",
    ):
        async with watched(kept, **people):
            await connection.execute(statement, name())
    async with watched(kept, **people):
        await connection.execute("DELETE FROM people WHERE id IN (3, 13)")
    await connection.execute("CREATE TABLE guests () INHERITS (people)")
    told = (await kept.apply(dry_run=True)).tables[0].history
    assert sum("public.guests" in said for said in told) == 3
    await kept.sealed()
    await connection.execute("INSERT INTO guests VALUES (21, $1)", name())
    async with watched(kept, **people):
        await connection.execute("DELETE FROM people WHERE id = 21")
    async with watched(kept, **people):
        await connection.execute("TRUNCATE people")


async def test_logical_replication(kept: Shop) -> None:
    """A subscriber keeps what replication takes away; a publication of all tables does not keep old history from being deleted."""
    server, connection = kept.database.postgres, kept.connection
    name = f"{kept.database.name}_sub"
    server.create_database(name)
    other = Database(name, server)
    other.psql(f"ALTER DATABASE {name} OWNER TO {kept.owner}")
    subscriber = Shop(other, kept.owner, await asyncpg.connect(other.dsn(kept.owner)))
    await subscriber.connection.execute(TABLES)
    subscriber.columns, subscriber.keyset = kept.columns, kept.keyset
    await subscriber.apply(subjects=SUBJECTS)
    kept.database.psql("CREATE PUBLICATION everything FOR ALL TABLES")
    kept.database.psql("CREATE PUBLICATION shop FOR TABLE customers, orders")
    kept.database.psql(f"SELECT pg_create_logical_replication_slot('{name}', 'pgoutput')")
    other.psql(
        f"CREATE SUBSCRIPTION {name} CONNECTION '{kept.database.dsn()}' PUBLICATION shop"
        f" WITH (create_slot = false, slot_name = '{name}')"
    )
    try:
        await caught_up(subscriber, kept)
        async with watched(subscriber):
            await connection.execute('UPDATE customers SET "e mail" = $1 WHERE id = 1', email(kept))
            await connection.execute("DELETE FROM customers WHERE id = 2")
            await connection.execute("DELETE FROM sealgate.cell_history WHERE attribute = 'ssn'")
            await caught_up(subscriber, kept)
    finally:
        other.psql(
            f"ALTER SUBSCRIPTION {name} DISABLE; ALTER SUBSCRIPTION {name} SET (slot_name = NONE)"
        )
        other.psql(f"DROP SUBSCRIPTION {name}")
        await subscriber.connection.close(timeout=5)
        server.drop_database(name)
        kept.database.psql(
            f"SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE slot_name = '{name}'"
        )
        kept.database.psql(f"SELECT pg_drop_replication_slot('{name}')")


async def caught_up(subscriber: Shop, publisher: Shop) -> None:
    """PostgreSQL tells nobody: asked again and again."""
    for _ in range(600):
        if await places(subscriber.connection) == await places(publisher.connection):
            return
        await asyncio.sleep(0.05)
    pytest.fail("the subscriber did not catch up in 30 s")


async def test_terms_derived_anew_are_other_values(shop: Shop, connect: Connect) -> None:
    """A pass that gives rows other terms seals them anew: what was read before is named by the history."""
    await shop.connection.execute(
        "CREATE TABLE customers (id int PRIMARY KEY, ssn text); INSERT INTO customers VALUES (1, 'a'), (2, 'b')"
    )
    shop.declare(customers__ssn="text")
    await shop.sealed()
    before = {
        (row["id"], cell_id(row["ssn"]))
        for row in await shop.connection.fetch("SELECT * FROM customers")
    }
    shop.columns["public.customers.ssn"] = ColumnRule(
        "public.customers.ssn", "text", Search(equality=True)
    )
    shop.connection = await connect()
    report = await shop.sealed()
    assert report.tables[0].derived == 2
    rows = await shop.connection.fetch("SELECT * FROM sealgate.cell_history")
    assert {(json.loads(r["row_key"])["id"], r["cell_id"]) for r in rows} == before


async def test_the_control_login_may_look_into_it(shop: Shop) -> None:
    """From the first apply on, whoever runs it; and it may do nothing else there."""
    reader = f"{shop.database.name}_reader"
    shop.database.postgres.create_role(reader)
    assert (await shop.apply(reader=reader)).ok
    granted = await shop.connection.fetchval(
        "SELECT array_agg(privilege_type::text) FROM information_schema.role_table_grants"
        " WHERE table_name = 'cell_history' AND grantee = $1",
        reader,
    )
    assert granted == ["SELECT"]
    assert not (await shop.apply(reader=reader)).changed
