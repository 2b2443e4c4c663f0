"""What check finds about whose data it is: each finding where it should, never where it should not."""

from __future__ import annotations

from dataclasses import replace

from policy import ColumnRule, Policy, Search
from proxy.database.check import check
from proxy.database.findings import Finding
from tests.database.conftest import Shop

TABLES = """
CREATE TABLE customers (id int PRIMARY KEY, tenant int, email text);
CREATE TABLE calls (customer int NOT NULL, note text);
CREATE TABLE plain (id int);
"""
RIGHT = {"public.customers": ("id",), "public.calls": ("customer",)}


async def applied(shop: Shop) -> None:
    await shop.connection.execute(TABLES)
    shop.declare(customers__email="text", calls__note="text")
    await shop.sealed()


async def found(shop: Shop, subjects: dict[str, tuple[str, ...]]) -> dict[tuple[str, str], Finding]:
    policy = replace(Policy({}, {}), columns=shop.columns)
    findings = await check(shop.connection, policy, shop.keyset, subjects)
    return {(f.code, f.subject): f for f in findings if f.code.startswith("SG06")}


async def test_configured_and_applied_finds_nothing(shop: Shop) -> None:
    """Each table says whose its rows are, and keeps where values stood."""
    await applied(shop)
    await shop.apply(subjects=RIGHT)
    assert await found(shop, RIGHT) == {}


async def test_tables_that_nobody_is_named_in(shop: Shop) -> None:
    """Good to know where nothing is configured; a warning where a table is left out whose rows cannot be told from each other."""
    await applied(shop)
    findings = await found(shop, {})
    tables = ("public.customers", "public.calls")
    assert {at: f.severity for at, f in findings.items()} == {("SG062", t): "info" for t in tables}
    some = {"public.customers": RIGHT["public.customers"]}
    await shop.apply(subjects=some)
    assert {at: f.severity for at, f in (await found(shop, some)).items()} == {
        ("SG062", "public.calls"): "warning"
    }


async def test_columns_that_cannot_name_anybody(shop: Shop) -> None:
    """Missing, nullable, sealed; tables that do not exist or hold nothing sealed."""
    await applied(shop)
    subjects = {
        "public.customers": ("tenant", "nobody", "email"),
        "public.calls": ("customer",),
        "public.plain": ("id",),
        "public.none": ("id",),
    }
    await shop.apply(subjects=subjects)
    findings = await found(shop, subjects)
    assert {at: f.severity for at, f in findings.items()} == {
        ("SG060", "public.customers"): "error",
        ("SG060", "public.none"): "error",
        ("SG061", "public.plain"): "info",
        ("SG063", "public.customers"): "error",
        ("SG064", "public.customers"): "warning",
    }


async def test_what_is_not_kept(shop: Shop) -> None:
    """A trigger that somebody disabled, and a history that somebody filters."""
    await applied(shop)
    await shop.apply(subjects=RIGHT)
    await shop.connection.execute(
        "ALTER TABLE customers DISABLE TRIGGER ALL; ALTER TABLE sealgate.cell_history ADD CHECK (relation <> 'public.calls')"
    )
    findings = await found(shop, RIGHT)
    assert set(findings) == {
        ("SG065", "public.customers"),
        ("SG066", "sealgate.cell_history"),
    }
    assert findings["SG065", "public.customers"].severity == "error"


async def test_another_key_than_apply_saw(shop: Shop) -> None:
    """The configuration says otherwise now: the rows that go are kept without whose they were until apply ran."""
    await applied(shop)
    await shop.apply(subjects={"public.calls": ("customer",)})
    assert ("SG065", "public.customers") in await found(
        shop, RIGHT | {"public.customers": ("tenant",)}
    )


async def test_a_column_declared_later_is_not_said_to_be_kept(shop: Shop) -> None:
    """Before apply nothing is sealed in it, and SG003 says so."""
    await applied(shop)
    await shop.apply(subjects=RIGHT)
    await shop.connection.execute("ALTER TABLE calls ADD COLUMN remark text")
    label = "public.calls.remark"
    shop.columns[label] = ColumnRule(label, "text", Search())
    assert await found(shop, RIGHT) == {}
