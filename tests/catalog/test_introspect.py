"""The picture that introspection takes of a real server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import asyncpg
import pytest

from policy import ColumnRule, Search
from proxy.assurance import name
from proxy.catalog import Catalog, sealed_columns
from proxy.cells import logical_type
from proxy.introspect import introspect, roles_of
from tests.conftest import Database

# Domains as `sealgate apply` makes them, without their CHECK: introspection goes by name.
DOMAINS = """
CREATE SCHEMA sealgate;
CREATE DOMAIN sealgate.sealed_text AS bytea;
CREATE DOMAIN sealgate.sealed_int4 AS bytea;
CREATE DOMAIN sealgate.sealed_future AS bytea;
CREATE DOMAIN sealgate.other AS bytea;
"""
COLUMNS = {
    "public.customers.email": ColumnRule(
        "public.customers.email", "varchar(40)", Search(equality=True)
    )
}


@pytest.fixture
async def connection(database: Database) -> AsyncIterator[asyncpg.Connection]:
    opened = await asyncpg.connect(database.dsn())
    await opened.execute(DOMAINS)
    yield opened
    await opened.close()


async def test_tables_and_columns_as_the_catalog_has_them(connection: asyncpg.Connection) -> None:
    """Numbers keep the gaps that dropped columns leave; types, modifiers and sealed types are read."""
    await connection.execute(
        """
        CREATE TABLE customers (id int, gone int, email sealgate.sealed_text, name varchar(40));
        ALTER TABLE customers DROP COLUMN gone;
        CREATE TABLE bare ();
        CREATE SCHEMA "Odd.Schema"; CREATE VIEW "Odd.Schema"."A View" AS SELECT 1 AS "N";
        """
    )
    taken = await introspect(connection, COLUMNS)
    assert taken.database == await connection.fetchval("SELECT current_database()")
    version = "SELECT current_setting('server_version_num')::int"
    assert taken.server_version == await connection.fetchval(version)
    customers = taken.relation("public", "customers")
    assert customers is not None
    assert customers.kind == "r"
    assert [(a.number, a.name, a.type_modifier, a.sealed) for a in customers.attributes] == [
        (1, "id", -1, None),
        (3, "email", -1, "text"),
        (4, "name", 44, None),
    ]
    assert customers.oid == await connection.fetchval("SELECT 'customers'::regclass::oid")
    assert taken.relation("public", "bare").attributes == ()  # type: ignore[union-attr]
    view = taken.relation("Odd.Schema", "A View")
    assert view is not None
    assert (view.kind, view.label) == ("v", '"Odd.Schema"."A View"')
    column = taken.column(customers.oid, 3)
    # It declares equality, and nobody has made sure yet that all its values have the terms.
    assert column == replace(sealed_columns(COLUMNS)["public.customers.email"], incomplete=True)
    assert taken.attribute_type(customers.oid, 3) == logical_type("varchar(40)")


async def test_a_column_is_complete_when_the_server_vouches_for_its_terms(
    connection: asyncpg.Connection,
) -> None:
    """By a CHECK of the right name, on that column alone, validated; dropping it, or declaring otherwise, undoes that."""
    label = "public.customers.email"
    column = sealed_columns(COLUMNS)[label]
    right, other = name(column, "eq"), name(replace(column, search_group="g"), "eq")
    await connection.execute(
        "CREATE TABLE customers (id int, email sealgate.sealed_text, note text)"
    )

    async def complete() -> bool:
        return not (await introspect(connection, COLUMNS)).sealed[label].incomplete

    assert not await complete()
    for wrong in (
        f"ADD CONSTRAINT {other} CHECK (octet_length(email) > 0)",
        f"ADD CONSTRAINT {right} CHECK (octet_length(email) > id)",
        f"ADD CONSTRAINT {right} CHECK (note <> '')",
        f"ADD CONSTRAINT {right} CHECK (octet_length(email) > 0) NOT VALID",
    ):
        await connection.execute(f"ALTER TABLE customers {wrong}")
        assert not await complete(), wrong
        await connection.execute(
            f"ALTER TABLE customers DROP CONSTRAINT IF EXISTS {right}, DROP CONSTRAINT IF EXISTS {other}"
        )
    await connection.execute(
        f"ALTER TABLE customers ADD CONSTRAINT {right} CHECK (octet_length(email) > 0)"
    )
    assert await complete()


async def test_the_servers_own_and_temporary_relations_are_left_out(
    connection: asyncpg.Connection,
) -> None:
    """No pg_catalog, information_schema, pg_toast, no session's temporary tables, no indexes or sequences."""
    await connection.execute(
        "CREATE TABLE t (id serial PRIMARY KEY, x text); CREATE TEMP TABLE gone (x sealgate.sealed_text)"
    )
    taken = await introspect(connection, {})
    assert {r.label for r in taken.relations} == {"public.t"}
    assert taken.interesting == frozenset()


async def test_only_our_domains_are_sealed_types(connection: asyncpg.Connection) -> None:
    """A type of the schema that is not sealed_*, or of a logical type that we do not know, has none."""
    await connection.execute(
        """
        CREATE DOMAIN sealed_text AS bytea;
        CREATE TABLE t (a sealgate.other, b sealed_text, c bytea, d sealgate.sealed_int4, e sealgate.sealed_future);
        """
    )
    taken = await introspect(connection, {})
    table = taken.relation("public", "t")
    assert table is not None
    assert [a.sealed for a in table.attributes] == [None, None, None, "int4", None]
    assert [a.carries_sealed for a in table.attributes] == [False, False, False, True, True]


def names(taken: Catalog) -> set[str]:
    return set(taken.interesting)


async def test_views_over_sealed_tables_are_interesting(connection: asyncpg.Connection) -> None:
    """Through views, materialized views, joins, subqueries, rules; not what is beside them."""
    await connection.execute(
        """
        CREATE TABLE customers (id int, email sealgate.sealed_text);
        CREATE TABLE orders (id int, customer int);
        CREATE VIEW ids AS SELECT id FROM customers;
        CREATE VIEW joined AS SELECT o.id FROM orders o WHERE EXISTS (SELECT FROM ids WHERE ids.id = o.customer);
        CREATE MATERIALIZED VIEW kept AS SELECT * FROM joined;
        CREATE VIEW beside AS SELECT * FROM orders;
        CREATE TABLE inbox (id int, email text);
        CREATE RULE through AS ON INSERT TO inbox DO INSTEAD INSERT INTO customers (id) VALUES (NEW.id);
        """
    )
    taken = await introspect(connection, {})
    assert names(taken) == {"customers", "ids", "joined", "kept", "inbox"}


async def test_partitions_and_children_are_interesting(connection: asyncpg.Connection) -> None:
    """Of a declared parent that is not sealed yet, and the parent of a sealed child."""
    await connection.execute(
        """
        CREATE TABLE customers (id int, email varchar(40)) PARTITION BY RANGE (id);
        CREATE TABLE customers_1 PARTITION OF customers FOR VALUES FROM (0) TO (10) PARTITION BY LIST (id);
        CREATE TABLE customers_1_1 PARTITION OF customers_1 FOR VALUES IN (1);
        CREATE TABLE parent (id int);
        CREATE TABLE child (email sealgate.sealed_text) INHERITS (parent);
        CREATE TABLE sibling () INHERITS (parent);
        """
    )
    taken = await introspect(connection, COLUMNS)
    assert names(taken) == {
        *("customers", "customers_1", "customers_1_1"),
        *("parent", "child", "sibling"),
    }
    assert taken.relation("public", "customers").kind == "p"  # type: ignore[union-attr]


async def test_types_that_hold_sealed_values_are_interesting(
    connection: asyncpg.Connection,
) -> None:
    """Arrays, domains over the domains, composites, tables' row types and arrays of them."""
    await connection.execute(
        """
        CREATE TABLE customers (id int, email sealgate.sealed_text);
        CREATE TABLE arrays (x sealgate.sealed_text[]);
        CREATE DOMAIN stricter AS sealgate.sealed_text NOT NULL;
        CREATE TABLE over (x stricter);
        CREATE TYPE pair AS (a int, b sealgate.sealed_int4);
        CREATE TABLE composites (x pair);
        CREATE TABLE rows (x customers[]);
        CREATE TABLE selves (x rows);
        CREATE TABLE plain (x int[], y point);
        """
    )
    taken = await introspect(connection, {})
    assert names(taken) == {"customers", "arrays", "over", "composites", "rows", "selves"}
    assert taken.attribute_type(taken.named("arrays")[0].oid, 1) is None


async def test_a_picture_needs_no_privileges(
    connection: asyncpg.Connection, database: Database
) -> None:
    """A login that may read no table sees the same picture as the superuser."""
    await connection.execute(
        "CREATE TABLE customers (id int, email sealgate.sealed_text); CREATE VIEW v AS SELECT * FROM customers"
    )
    database.postgres.create_role(f"{database.name}_nobody")
    weak = await asyncpg.connect(database.dsn(f"{database.name}_nobody"))
    try:
        assert await introspect(weak, COLUMNS) == await introspect(connection, COLUMNS)
    finally:
        await weak.close()


async def test_a_hostile_search_path_changes_nothing(connection: asyncpg.Connection) -> None:
    """Every name in our queries is qualified."""
    await connection.execute(
        """
        CREATE SCHEMA hostile;
        CREATE TABLE hostile.pg_class AS SELECT * FROM pg_catalog.pg_class WHERE false;
        CREATE FUNCTION hostile.starts_with(text, text) RETURNS bool LANGUAGE sql AS 'SELECT false';
        CREATE TABLE customers (id int, email sealgate.sealed_text);
        """
    )
    before = await introspect(connection, COLUMNS)
    await connection.execute("SET search_path = hostile, public, pg_catalog")
    assert await introspect(connection, COLUMNS) == before
    assert "customers" in before.interesting


async def test_a_thousand_tables_take_as_many_queries_as_one(
    connection: asyncpg.Connection,
) -> None:
    """The number of queries does not grow with the number of tables."""
    sent: list[str] = []
    connection.add_query_logger(lambda record: sent.append(record.query))

    async def queries() -> int:
        await asyncio.sleep(0)  # asyncpg calls loggers a turn later
        sent.clear()
        await introspect(connection, {})
        await asyncio.sleep(0)
        return len(sent)

    few = await queries()
    await connection.execute(
        "DO $$ BEGIN FOR i IN 1..1000 LOOP EXECUTE format('CREATE TABLE t%s (a int, b sealgate.sealed_text)', i);"
        " END LOOP; END $$"
    )
    assert await queries() == few
    assert len((await introspect(connection, {})).interesting) == 1000


async def test_roles_of_a_login_are_itself_and_all_its_groups(
    connection: asyncpg.Connection, database: Database
) -> None:
    """Groups of groups, whether their privileges are inherited or come with SET ROLE only; None for no such role."""
    prefix = database.name
    await connection.execute(
        f"""
        CREATE ROLE {prefix}_a; CREATE ROLE {prefix}_b; CREATE ROLE {prefix}_c; CREATE ROLE {prefix}_other;
        CREATE ROLE {prefix}_login LOGIN NOINHERIT;
        GRANT {prefix}_a TO {prefix}_login WITH INHERIT FALSE;
        GRANT {prefix}_b TO {prefix}_a; GRANT {prefix}_c TO {prefix}_b WITH SET FALSE;
        """
    )
    assert await roles_of(connection, f"{prefix}_login") == {
        f"{prefix}_{name}" for name in ("login", "a", "b", "c")
    }
    assert await roles_of(connection, f"{prefix}_c") == {f"{prefix}_c"}
    assert await roles_of(connection, f"{prefix}_none") is None
