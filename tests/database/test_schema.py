"""Schema `sealgate`: what its types admit, what its functions do, and that it is what we say it is."""

from __future__ import annotations

import random
from typing import Any

import asyncpg
import pytest

from keystore import generate, looks_sealed
from proxy.catalog import SCHEMA, SEALABLE_TYPES, domain_name
from proxy.database import schema
from proxy.database.functions import SCHEMA_VERSION
from proxy.database.look import fixed_names, schema_facts
from tests.database.conftest import Connect, Shop

KEYS = generate(["public.t.c"]).column("public.t.c")
BARE = KEYS.seal(b"")
TERMED = KEYS.seal(b"", b"")


async def facts(shop: Shop) -> schema.SchemaFacts:
    async with fixed_names(shop.connection, readonly=True):
        return await schema_facts(shop.connection)


async def test_after_apply_nothing_is_left_to_change(empty: Shop) -> None:
    """PostgreSQL prints every definition as we expect it to: the comparison that `check` rests on holds on this server."""
    found = await facts(empty)
    assert schema.changes(found) == ()
    assert found.version == SCHEMA_VERSION
    assert sorted(found.domains or ()) == sorted(schema.expected_domains())


async def test_every_object_is_commented(empty: Shop) -> None:
    """Who finds the schema in a database learns what it is."""
    uncommented = await empty.connection.fetch(
        """
        SELECT typname FROM pg_type t WHERE typnamespace = 'sealgate'::regnamespace AND typtype = 'd'
           AND obj_description(t.oid, 'pg_type') IS NULL
        UNION ALL SELECT proname FROM pg_proc p WHERE pronamespace = 'sealgate'::regnamespace
           AND obj_description(p.oid, 'pg_proc') IS NULL
        UNION ALL SELECT 'schema' WHERE obj_description('sealgate'::regnamespace, 'pg_namespace') IS NULL
        """
    )
    assert uncommented == []


@pytest.mark.parametrize("type_name", SEALABLE_TYPES)
async def test_a_domain_refuses_plaintext_whoever_writes_it(
    empty: Shop, connect: Connect, type_name: str
) -> None:
    """23514 for anything that is not a sealed value, for a superuser too."""
    superuser = await connect()
    await superuser.execute(f"CREATE TABLE t (c {SCHEMA}.{domain_name(type_name)})")
    long = b"\x5e\xa1\x01" + bytes(100)
    for value in (
        *(b"", b"plain", b"a@example.com", bytes(100), BARE[:-1], TERMED[:-1]),
        *(b"\x5e\xa1", b"\x5e\xa1\x01\x00", b"\x5f\xa1\x01\x00" + bytes(100)),
        *(long[:2] + b"\x02" + long[3:], long[:3] + b"\x02" + bytes(97)),
        *(long[:3] + b"\x80" + bytes(97), long[:3] + b"\x81" + bytes(97)),
        *(TERMED[:36], TERMED[:51]),
    ):
        with pytest.raises(asyncpg.CheckViolationError) as refused:
            await superuser.execute("INSERT INTO t VALUES ($1)", value)
        assert refused.value.sqlstate == "23514"
    for value in (None, BARE, TERMED, KEYS.seal(b"x" * 100_000), KEYS.seal(b"x", b"x")):
        await superuser.execute("INSERT INTO t VALUES ($1)", value)
    assert await superuser.fetchval("SELECT count(*) FROM t") == 5


async def test_the_check_admits_exactly_what_looks_sealed(empty: Shop) -> None:
    """The domain and `keystore.looks_sealed` agree on random headers and lengths."""
    seed = random.randrange(1 << 32)
    print("seed", seed)
    rng = random.Random(seed)
    values = []
    for _ in range(3000):
        head = bytes(
            (
                rng.choice((0x5E, 0x5E, 0x5E, 0x5F)),
                rng.choice((0xA1, 0xA1, 0xA1, 0x00)),
                rng.choice((1, 1, 1, 0, 2)),
                rng.choice((0, 1, 1, 2, 0x80, rng.randrange(256))),
            )
        )
        values.append((head + rng.randbytes(60))[: rng.choice((0, 1, 3, 4, 8, 35, 36, 51, 52, 60))])
    await empty.connection.execute("CREATE TABLE t (n int, c sealgate.sealed_text)")
    # pg_input_is_valid answers without failing the statement.
    rows = await empty.connection.fetch(
        "SELECT v, pg_input_is_valid(v::text, 'sealgate.sealed_text') AS valid FROM unnest($1::bytea[]) AS v",
        values,
    )
    assert [(r["v"], r["valid"]) for r in rows] == [(v, looks_sealed(v)) for v in values]


async def test_casting_text_to_a_domain_is_no_way_in(empty: Shop) -> None:
    """Nor is a default, an array, a COPY, an UPDATE."""
    run = empty.connection.execute
    await run("CREATE TABLE t (c sealgate.sealed_text)")
    await run("INSERT INTO t VALUES ($1)", BARE)
    for statement in (
        "INSERT INTO t VALUES ('alice@example.com')",
        "INSERT INTO t SELECT 'alice@example.com'::bytea",
        "UPDATE t SET c = 'alice@example.com'",
        "SELECT 'alice@example.com'::sealgate.sealed_text",
        "SELECT ARRAY['alice@example.com']::sealgate.sealed_text[]",
    ):
        with pytest.raises(asyncpg.CheckViolationError):
            await run(statement)
    with pytest.raises(asyncpg.CheckViolationError):
        await empty.connection.copy_records_to_table("t", records=[(b"alice@example.com",)])


async def test_eq_is_the_equality_term_or_null(empty: Shop) -> None:
    """Bytes 9 to 24 of a value that has one; NULL for NULL, for a value without, for anything else, and never an error."""
    form = b"alice@example.com"
    sealed = KEYS.seal(b"alice", form)
    for value, term in (
        (sealed, KEYS.equality_term(form)),
        (TERMED, KEYS.equality_term(b"")),
        (BARE, None),
        (None, None),
        (b"", None),
        (b"\x5e", None),
        (b"\x5e\xa1\x01", None),
        (b"alice@example.com", None),
        (bytes(60), None),
    ):
        assert await empty.connection.fetchval("SELECT sealgate.eq($1)", value) == term
    assert sealed[8:24] == KEYS.equality_term(form)


async def plan_of(connection: asyncpg.Connection, query: str, *arguments: Any) -> str:
    rows = await connection.fetch("EXPLAIN (COSTS OFF) " + query, *arguments)
    return "\n".join(row[0] for row in rows)


async def test_eq_is_inlined_and_uses_its_index(empty: Shop) -> None:
    """The comparisons that the proxy writes find rows through a functional index, with literals and parameters."""
    run = empty.connection.execute
    await run("CREATE TABLE t (id int, email sealgate.sealed_text)")
    records = [(n, KEYS.seal(b"x", str(n).encode())) for n in range(5000)]
    await empty.connection.copy_records_to_table("t", records=records)
    await run("CREATE UNIQUE INDEX t_email ON t (sealgate.eq(email))")
    await run("CREATE TABLE few AS SELECT * FROM t WHERE id > 4300 LIMIT 30")
    await run("ANALYZE t, few")
    wanted = KEYS.seal(b"x", b"4321")
    terms = [KEYS.equality_term(str(n).encode()) for n in (17, 4321)]
    for query, argument, ids in (
        ("SELECT id FROM t WHERE sealgate.eq(email) = sealgate.eq($1)", wanted, [4321]),
        (
            f"SELECT id FROM t WHERE sealgate.eq(email) = sealgate.eq('\\x{wanted.hex()}'::bytea)",
            None,
            [4321],
        ),
        ("SELECT id FROM t WHERE sealgate.eq(email) = ANY($1) ORDER BY id", terms, [17, 4321]),
        (
            "SELECT t.id FROM t JOIN few ON sealgate.eq(t.email) = sealgate.eq(few.email) WHERE few.id = $1",
            4321,
            [4321],
        ),
    ):
        arguments = () if argument is None else (argument,)
        plan = await plan_of(empty.connection, query, *arguments)
        assert "t_email" in plan, plan
        assert "sealgate.eq" not in plan, "the function was not inlined:\n" + plan
        assert [r["id"] for r in await empty.connection.fetch(query, *arguments)] == ids


async def test_a_unique_index_on_eq_serves_on_conflict(empty: Shop) -> None:
    """Equal plaintexts collide whatever their nonces; ON CONFLICT (sealgate.eq(email)) finds the row."""
    run = empty.connection.execute
    await run("CREATE TABLE t (email sealgate.sealed_text, n int)")
    await run("CREATE UNIQUE INDEX ON t (sealgate.eq(email))")
    await run("INSERT INTO t VALUES ($1, 1)", KEYS.seal(b"a", b"a"))
    with pytest.raises(asyncpg.UniqueViolationError):
        await run("INSERT INTO t VALUES ($1, 2)", KEYS.seal(b"a", b"a"))
    await run(
        "INSERT INTO t VALUES ($1, 3) ON CONFLICT (sealgate.eq(email)) DO UPDATE SET n = EXCLUDED.n",
        KEYS.seal(b"a", b"a"),
    )
    assert [r["n"] for r in await empty.connection.fetch("SELECT n FROM t")] == [3]


@pytest.mark.parametrize("hint", ["Ask for the grant.", None])
async def test_refuse_raises_what_it_is_told(empty: Shop, hint: str | None) -> None:
    """SQLSTATE, message and hint reach the client as they are."""
    with pytest.raises(asyncpg.PostgresError) as refused:
        await empty.connection.fetch(
            "SELECT sealgate.refuse($1, $2, $3)", "42501", "no grant on public.t.c: 100%", hint
        )
    assert refused.value.sqlstate == "42501"
    assert refused.value.args[0] == "no grant on public.t.c: 100%"
    assert getattr(refused.value, "hint", None) == hint


async def test_everybody_may_use_it(empty: Shop, connect: Connect) -> None:
    """A login without any grant: types, eq, refuse, version."""
    nobody = f"{empty.database.name}_nobody"
    empty.database.postgres.create_role(nobody)
    weak = await connect(nobody)
    assert await weak.fetchval("SELECT sealgate.eq($1::bytea::sealgate.sealed_text)", TERMED)
    assert await weak.fetchval("SELECT sealgate.version()") == SCHEMA_VERSION
    with pytest.raises(asyncpg.InsufficientPrivilegeError, match="told"):
        await weak.fetch("SELECT sealgate.refuse('42501', 'told', NULL)")


async def test_everybody_may_use_it_where_default_privileges_are_few(
    shop: Shop, connect: Connect
) -> None:
    """ALTER DEFAULT PRIVILEGES that take types and functions from PUBLIC do not reach schema sealgate; nor is a REVOKE kept."""
    await shop.connection.execute(
        "ALTER DEFAULT PRIVILEGES REVOKE USAGE ON TYPES FROM PUBLIC;"
        " ALTER DEFAULT PRIVILEGES REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC"
    )
    await shop.sealed()
    assert schema.changes(await facts(shop)) == ()
    await shop.connection.execute("REVOKE USAGE ON DOMAIN sealgate.sealed_text FROM PUBLIC")
    assert (await shop.sealed()).schema == ("let everybody use domain sealgate.sealed_text",)
    nobody = f"{shop.database.name}_nobody"
    shop.database.psql(f"CREATE ROLE {nobody} LOGIN; GRANT CREATE ON SCHEMA public TO {nobody}")
    weak = await connect(nobody)
    await weak.execute("CREATE TABLE mine (c sealgate.sealed_text)")
    assert await weak.fetchval("SELECT sealgate.eq($1)", TERMED)


async def test_search_path_cannot_lead_it_astray(shop: Shop, connect: Connect) -> None:
    """Operators, functions and types of the same names in a schema that comes first are not used, at creation nor at call."""
    superuser = await connect()
    await superuser.execute(
        f"""
        CREATE SCHEMA evil; GRANT ALL ON SCHEMA evil TO PUBLIC;
        CREATE FUNCTION evil.octet_length(bytea) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT 1000';
        CREATE FUNCTION evil.substring(bytea, int, int) RETURNS bytea LANGUAGE sql IMMUTABLE AS $$SELECT '\\x5ea10101'::bytea$$;
        CREATE FUNCTION evil.same(bytea, bytea) RETURNS bool LANGUAGE sql IMMUTABLE AS 'SELECT true';
        CREATE OPERATOR evil.= (LEFTARG = bytea, RIGHTARG = bytea, FUNCTION = evil.same);
        CREATE DOMAIN evil.bytea AS text;
        ALTER ROLE {shop.owner} SET search_path = evil, pg_catalog, public;
        """
    )
    owner = shop.connection = await connect(shop.owner)
    await shop.sealed()
    assert schema.changes(await facts(shop)) == ()
    with pytest.raises(asyncpg.CheckViolationError):
        await owner.execute("SELECT 'plain'::pg_catalog.bytea::sealgate.sealed_text")
    assert await owner.fetchval("SELECT sealgate.eq($1)", b"plain" * 10) is None


async def test_apply_repairs_what_was_changed(empty: Shop) -> None:
    """A dropped or loosened CHECK, a default, a replaced function, revoked rights; the second apply has nothing to do."""
    run = empty.connection.execute
    await run("ALTER DOMAIN sealgate.sealed_text DROP CONSTRAINT sealed")
    await run(
        "ALTER DOMAIN sealgate.sealed_int4 ADD CONSTRAINT more CHECK (octet_length(VALUE) > 1)"
    )
    await run("ALTER DOMAIN sealgate.sealed_date SET DEFAULT '\\x'")
    await run("ALTER DOMAIN sealgate.sealed_bool SET NOT NULL")
    await run("DROP DOMAIN sealgate.sealed_uuid")
    await run(
        "CREATE OR REPLACE FUNCTION sealgate.eq(value bytea) RETURNS bytea LANGUAGE sql RETURN value"
    )
    await run("DROP FUNCTION sealgate.version()")
    await run("REVOKE EXECUTE ON FUNCTION sealgate.refuse FROM PUBLIC")
    await run("REVOKE USAGE ON SCHEMA sealgate FROM PUBLIC")
    report = await empty.sealed()
    assert len(report.schema) == 9
    assert report.changed
    assert schema.changes(await facts(empty)) == ()
    with pytest.raises(asyncpg.CheckViolationError):
        await run("SELECT 'plain'::sealgate.sealed_text")
    assert not (await empty.sealed()).changed


async def test_a_check_is_not_restored_over_plaintext(empty: Shop) -> None:
    """Where plaintext came in meanwhile, apply says in which column and changes nothing."""
    run = empty.connection.execute
    await run("CREATE TABLE t (c sealgate.sealed_text)")
    await run("ALTER DOMAIN sealgate.sealed_text DROP CONSTRAINT sealed")
    await run("DROP DOMAIN sealgate.sealed_bool")
    await run("INSERT INTO t VALUES ('canary')")
    report = await empty.apply()
    assert not report.ok
    assert "column c of table t holds values that are not sealed" in report.obstacles[0].problem
    assert "canary" not in str(report)
    assert await empty.connection.fetchval("SELECT to_regtype('sealgate.sealed_bool')") is None


async def test_a_newer_schema_is_left_alone(empty: Shop) -> None:
    """An old release does not take back what a new one made."""
    await empty.connection.execute(
        "CREATE OR REPLACE FUNCTION sealgate.version() RETURNS int LANGUAGE sql IMMUTABLE RETURN 99"
    )
    report = await empty.apply()
    assert not report.ok
    assert "version 99" in report.obstacles[0].problem


async def test_without_the_right_to_create_schemas_apply_says_whom_to_ask(
    shop: Shop, connect: Connect
) -> None:
    """And with the schema there, the owner of a table needs two more, which it is told."""
    weak = f"{shop.database.name}_weak"
    shop.database.postgres.create_role(weak)
    shop.database.psql(f"GRANT CREATE ON SCHEMA public TO {weak}")
    owner, shop.connection = shop.connection, await connect(weak)
    await shop.connection.execute("CREATE TABLE t (id int, c text); INSERT INTO t VALUES (1, 'x')")
    shop.declare(t__c="text =")
    report = await shop.apply()
    assert not report.ok
    assert "--dsn" in report.obstacles[0].fix
    assert await owner.fetchval("SELECT to_regnamespace('sealgate')") is None
    mine, shop.connection = shop.connection, owner
    shop.columns, columns = {}, shop.columns
    await shop.sealed()
    shop.connection, shop.columns = mine, columns
    report = await shop.apply()
    assert not report.changed
    assert [o.subject for o in report.obstacles] == ["public.t"]
    grants = report.obstacles[0].fix.partition(", or ")[2].removesuffix(".").split(" and ")
    for grant in grants:
        await owner.execute(grant)
    await shop.sealed()
    assert await shop.type_of("t", "c") == "sealgate.sealed_text"
