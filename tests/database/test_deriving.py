"""Changing what a sealed column declares: the rows get other terms while everybody works, and nothing else changes."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import asyncpg
import pytest

import keystore
from keystore import generate
from policy import ColumnRule, read_search
from proxy.assurance import is_complete, receding
from proxy.catalog import sealed_columns
from proxy.cells import Settings, logical_type
from proxy.database import deriving
from proxy.database.apply import apply
from proxy.database.sealing import Progress, sealer
from proxy.database.terms import declared_terms
from proxy.embedded import EmbeddedPostgresError
from tests.database.conftest import Connect, Shop

TABLE = """
CREATE TABLE people (id int PRIMARY KEY, name text, born date, note text);
INSERT INTO people SELECT i, 'Name ' || i % 50, date '1950-01-01' + i, 'note' FROM generate_series(1, 3000) AS i;
"""
NAME, BORN = "public.people.name", "public.people.born"


def declare(shop: Shop, label: str, spec: str, *search: str, group: str | None = None) -> None:
    """Declares one column; its keys stay what they were."""
    shop.columns[label] = ColumnRule(label, spec, read_search(search, "search"), search_group=group)


async def people(shop: Shop, *search: str, born: tuple[str, ...] = ()) -> None:
    """Sealed, with keys for both columns; names searchable as said."""
    await shop.connection.execute(TABLE)
    declare(shop, NAME, "text", *search)
    declare(shop, BORN, "date", *born)
    shop.keyset = generate(shop.columns)
    await shop.sealed()


def resealed(shop: Shop, label: str, text: str, *search: str) -> bytes:
    """A value as a proxy seals it whose configuration declares `search`."""
    rule = ColumnRule(label, shop.columns[label].type, read_search(search, "search"))
    column = sealed_columns({label: rule})[label]
    canonical = column.type.from_text(text.encode(), Settings())
    return sealer(column, shop.keyset.column(label))(canonical)


async def everything(shop: Shop) -> list[tuple[object, ...]]:
    """Each row as SQL would show it, unsealed."""
    rows = await shop.connection.fetch("SELECT id, name, born, note FROM people ORDER BY id")
    return [
        (row["id"], shop.text(NAME, row["name"]), shop.text(BORN, row["born"]), row["note"])
        for row in rows
    ]


async def right_terms(shop: Shop, label: str = NAME) -> None:
    """Every stored value has, byte for byte, the terms that sealing its plaintext anew gives."""
    column = sealed_columns(shop.columns)[label]
    seal = sealer(column, shop.keyset.column(label))
    name = column.name
    for (value,) in await shop.connection.fetch(f"SELECT {name}::bytea FROM {column.table}"):
        if value is None:
            continue
        plaintext = shop.open(value)
        assert plaintext is not None
        assert deriving.terms_of(value) == deriving.terms_of(seal(plaintext))


async def indexes(shop: Shop, table: str = "people") -> list[str]:
    rows = await shop.connection.fetch(
        "SELECT regexp_replace(pg_get_indexdef(indexrelid), '.* USING ', '') FROM pg_index"
        " WHERE indrelid = $1::text::regclass AND NOT indisprimary AND indisvalid ORDER BY 1",
        table,
    )
    return [row[0] for row in rows]


async def assurances(shop: Shop, table: str = "people") -> list[bool]:
    """Whether each is valid."""
    rows = await shop.connection.fetch(
        "SELECT convalidated FROM pg_constraint WHERE conrelid = $1::text::regclass AND conname LIKE 'sealgate_terms_%'",
        table,
    )
    return [row[0] for row in rows]


async def test_every_kind_of_term_comes_and_goes(shop: Shop) -> None:
    """From none to all kinds and back: terms, indexes and the server's word follow; values stay; a second run does nothing."""
    await people(shop)
    before = await everything(shop)
    assert await indexes(shop) == await assurances(shop) == []
    kinds = ("equality", "equality:casefold", "order:C:4", "match")
    declare(shop, NAME, "text", *kinds)
    declare(shop, BORN, "date", "order")
    report = await shop.sealed()
    assert report.tables[0].derived == 3000
    assert [c.action for c in report.tables[0].columns] == ["derive", "derive"]
    await right_terms(shop)
    await right_terms(shop, BORN)
    assert await indexes(shop) == [
        "btree (sealgate.eq((name)::bytea))",
        "btree (sealgate.eq_casefold((name)::bytea))",
        "btree (sealgate.ord((born)::bytea))",
        "btree (sealgate.ord((name)::bytea))",
        "gin (sealgate.match((name)::bytea))",
    ]
    assert await assurances(shop) == [True] * 5
    assert await everything(shop) == before
    assert not (await shop.sealed()).changed
    declare(shop, NAME, "text", "equality")
    declare(shop, BORN, "date")
    await shop.sealed()
    await right_terms(shop)
    await right_terms(shop, BORN)
    assert await indexes(shop) == ["btree (sealgate.eq((name)::bytea))"]
    assert await assurances(shop) == [True]
    assert await everything(shop) == before
    assert not (await shop.sealed()).changed


async def test_paths_of_a_document(shop: Shop) -> None:
    """None, one, two: every row gets their terms, and only these."""
    label = "public.papers.doc"
    await shop.connection.execute(
        "CREATE TABLE papers (id int, doc jsonb);"
        " INSERT INTO papers SELECT i, jsonb_build_object('a', i, 'b', i % 7) FROM generate_series(1, 500) AS i"
    )
    declare(shop, label, "jsonb", "path:a")
    shop.keyset = generate(shop.columns)
    await shop.sealed()
    for paths in ((), ("path:b",), (), ("path:a", "path:b"), ()):
        declare(shop, label, "jsonb", *paths)
        assert (await shop.sealed()).tables[0].derived == 500
        await right_terms(shop, label)
        assert len(await indexes(shop, "papers")) == bool(paths)


@pytest.mark.parametrize(
    ("spec", "before", "after"),
    [
        ("text", "match", "match:4"),
        ("text", "order:C:4", "order:C:8"),
        ("jsonb", "path:a", "path:b"),
    ],
)
async def test_another_meaning_of_the_same_flags_takes_two_steps(
    shop: Shop, spec: str, before: str, after: str
) -> None:
    """Old and new terms cannot be told apart in a stored value, so what an old proxy writes could not be kept out: refused
    in one step, with the way to do it in two."""
    label = "public.things.it"
    await shop.connection.execute(
        f"CREATE TABLE things (it {spec}); INSERT INTO things SELECT to_jsonb(i)::{spec} FROM generate_series(1, 99) AS i"
    )
    declare(shop, label, spec, before)
    shop.keyset = generate(shop.columns)
    await shop.sealed()
    declare(shop, label, spec, after)
    report = await shop.apply()
    assert not report.changed
    assert "could not be told from the new ones" in report.obstacles[0].problem
    for search in ((), (after,)):
        declare(shop, label, spec, *search)
        assert (await shop.sealed()).tables[0].derived == 99
        await right_terms(shop, label)
    assert await assurances(shop, "things") == [True]


async def test_terms_of_another_meaning_are_found_where_nobody_vouches(shop: Shop) -> None:
    """Rows that an old proxy wrote in between: no flag tells, so every row's terms are computed and compared, byte by byte."""
    await people(shop, "match:4")
    old = resealed(shop, NAME, "Written by an old proxy", "match")
    await shop.connection.execute("UPDATE people SET name = $1 WHERE id = 8", old)
    declare(shop, NAME, "text", "match:4", "equality")
    assert (await shop.sealed()).tables[0].derived == 3000
    await right_terms(shop)
    await shop.connection.execute(
        "UPDATE people SET name = $1 WHERE id = 8",
        resealed(shop, NAME, "Longer than a group", "match", "equality"),
    )
    held = await shop.connection.fetchval(
        "SELECT conname FROM pg_constraint WHERE conname LIKE '%_match_%'"
    )
    await shop.connection.execute(f"ALTER TABLE people DROP CONSTRAINT {held}")
    assert (await shop.sealed()).tables[0].derived == 1
    await right_terms(shop)


async def test_a_search_group_changes_the_key_of_the_terms(shop: Shop, tmp_path: Path) -> None:
    """A column that joins a group gets the group's terms, and its own again when it leaves."""
    await shop.connection.execute(TABLE)
    keystore.create_root_key(tmp_path / "root.key")
    root_key = keystore.load_root_key(keystore.RootKeySource("file", tmp_path / "root.key"))
    groups = {NAME: "names"}
    keystore.create(tmp_path / "keystore.json", root_key, [NAME], groups)
    alone = keystore.load(tmp_path / "keystore.json", root_key)
    together = keystore.load(tmp_path / "keystore.json", root_key, groups)
    declare(shop, NAME, "text", "equality")
    shop.keyset = alone
    await shop.sealed()
    for group, keyset in (("names", together), (None, alone)):
        declare(shop, NAME, "text", "equality", group=group)
        shop.keyset = keyset
        assert "search_group" in (await shop.apply()).obstacles[0].problem
        declare(shop, NAME, "text")
        await shop.sealed()
        declare(shop, NAME, "text", "equality", group=group)
        assert (await shop.sealed()).tables[0].derived == 3000
        await right_terms(shop)
    assert alone.column(NAME).equality_term(b"x") != together.column(NAME).equality_term(b"x")


def at(phase: str, act: Callable[[], object]) -> Callable[[Progress], None]:
    """Acts once: when some rows are done, or at the phase's start."""
    acted: list[object] = []

    def progress(now: Progress) -> None:
        if now.phase == phase and not acted and (now.done or phase != "derive"):
            acted.append(act())

    return progress


@pytest.mark.parametrize("phase", ["derive", "index", "assure"])
async def test_a_killed_run_is_gone_on_with(
    shop: Shop, connect: Connect, monkeypatch: pytest.MonkeyPatch, phase: str
) -> None:
    """The session is terminated in the middle: what was done stays, the next run does the rest and no more."""
    monkeypatch.setattr(deriving, "UPDATED_ROWS", 100)
    await people(shop)
    before = await everything(shop)
    declare(shop, NAME, "text", "equality", "match")
    pid = shop.connection.get_server_pid()

    def terminate() -> None:
        shop.database.psql(f"SELECT pg_terminate_backend({pid}, 5000)")

    with pytest.raises((asyncpg.PostgresError, asyncpg.InterfaceError, OSError)):
        await apply(shop.connection, shop.columns, shop.keyset, progress=at(phase, terminate))
    shop.connection = await connect(shop.owner)
    assert await everything(shop) == before
    report = await shop.sealed()
    derived = report.tables[0].derived
    assert derived is not None
    assert (0 < derived < 3000) if phase == "derive" else derived == 0
    await right_terms(shop)
    assert await assurances(shop) == [True, True]
    assert len(await indexes(shop)) == 2
    assert await everything(shop) == before


async def test_an_index_that_a_broken_run_left_is_made_again(shop: Shop) -> None:
    """CREATE INDEX CONCURRENTLY that failed leaves an index that is not valid: it is dropped, and the name is free again."""
    await people(shop, "equality")
    await shop.connection.execute("DROP INDEX people_name_eq")
    with pytest.raises(asyncpg.UniqueViolationError):
        await shop.connection.execute(
            "CREATE UNIQUE INDEX CONCURRENTLY people_name_eq ON people (sealgate.eq(name))"
        )
    assert await indexes(shop) == []
    await shop.sealed()
    assert await indexes(shop) == ["btree (sealgate.eq((name)::bytea))"]
    left = await shop.connection.fetchval("SELECT count(*) FROM pg_index WHERE NOT indisvalid")
    assert left == 0
    assert not (await shop.sealed()).changed


@pytest.mark.parametrize("seed", [1, 20261123])
async def test_concurrent_writers_win(
    shop: Shop, connect: Connect, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    """Updates of the same rows, of other columns, inserts and deletes all the while: none is lost, and in the end every row has its terms."""
    print(f"seed {seed}")
    monkeypatch.setattr(deriving, "UPDATED_ROWS", 50)
    await people(shop)
    new = ("equality", "match")
    declare(shop, NAME, "text", *new)
    expected = {row[0]: row[1:] for row in await everything(shop)}
    writer = await connect(shop.owner)
    draw = random.Random(seed)
    done = asyncio.Event()

    async def write() -> int:
        count = 0
        while not done.is_set():
            number, kind = draw.randrange(1, 3300), draw.randrange(4)
            count += 1
            text = f"Written {count}"
            # Half of the writers' proxies have been reloaded already.
            value = resealed(shop, NAME, text, *(new if draw.random() < 0.5 else ()))
            await asyncio.sleep(0.002)
            # In the end the server insists: on new values, and on a row that was written without terms just before.
            with suppress(asyncpg.CheckViolationError):
                if kind == 0 and number in expected:
                    await writer.execute("UPDATE people SET name = $1 WHERE id = $2", value, number)
                    expected[number] = (text, *expected[number][1:])
                elif kind == 1 and number in expected:
                    await writer.execute("UPDATE people SET note = $1 WHERE id = $2", text, number)
                    expected[number] = (*expected[number][:2], text)
                elif kind == 2 and number not in expected:
                    await writer.execute(
                        "INSERT INTO people VALUES ($1, $2, NULL, 'i')", number, value
                    )
                    expected[number] = (text, None, "i")
                elif kind == 3 and number in expected and draw.random() < 0.2:
                    await writer.execute("DELETE FROM people WHERE id = $1", number)
                    del expected[number]
        return count

    async def derive() -> None:
        # Some proxies write without terms all the time: after a few passes the server refuses them, and there is an end.
        report = await shop.apply()
        done.set()
        assert report.ok, report.obstacles

    count, _ = await asyncio.gather(write(), derive())
    assert count > 20
    assert await assurances(shop) == [True, True]
    await right_terms(shop)
    assert {row[0]: row[1:] for row in await everything(shop)} == expected


async def test_terms_too_many_keep_nobody_waiting(
    shop: Shop, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One entry less, and a proxy that is not reloaded yet writes the old terms before every pass: there is an end all the same."""
    await people(shop, "equality", "match")
    declare(shop, NAME, "text", "equality")
    other = await connect(shop.owner)
    real = deriving._pass
    passes: list[tuple[int, int]] = []

    async def written_before(*arguments: object) -> tuple[int, int]:
        value = resealed(shop, NAME, "old", "equality", "match")
        await other.execute("UPDATE people SET name = $1 WHERE id = 5", value)
        passes.append(await real(*arguments))  # type: ignore[arg-type]
        return passes[-1]

    monkeypatch.setattr(deriving, "_pass", written_before)
    await shop.sealed()
    assert passes == [(3000, 0), (1, 0)]
    await right_terms(shop)
    assert await assurances(shop) == [True]


async def test_a_row_that_changed_between_reading_and_updating_is_left_to_its_writer(
    shop: Shop, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Compare and swap: the writer's value stays, and gets its terms by the next pass."""
    await people(shop)
    declare(shop, NAME, "text", "equality")
    other = await connect(shop.owner)
    real, met = deriving._update, []

    async def late(connection: asyncpg.Connection, table: str, *rest: object) -> set[int]:
        if not met:
            met.append(True)
            value = resealed(shop, NAME, "the writer's")
            await other.execute("UPDATE people SET name = $1 WHERE id = 5", value)
        return await real(connection, table, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(deriving, "_update", late)
    await shop.sealed()
    assert (await everything(shop))[4][1] == "the writer's"
    await right_terms(shop)


async def test_readers_and_writers_are_not_kept_waiting(shop: Shop, connect: Connect) -> None:
    """In the middle of the pass another session reads and writes with no lock to wait for."""
    await people(shop)
    declare(shop, NAME, "text", "equality")
    other = await connect(shop.owner)
    await other.execute("SET lock_timeout = '1ms'")
    modes: list[str] = []
    real = shop.progress.append

    async def look() -> None:
        while not done.is_set():
            await asyncio.sleep(0.01)
            await other.execute("UPDATE people SET note = 'seen' WHERE id = 3000")
            await other.fetch("SELECT count(name) FROM people")
            rows = await other.fetch(
                "SELECT mode FROM pg_locks WHERE relation = 'people'::regclass AND pid = $1", pid
            )
            modes.extend(row["mode"] for row in rows)

    done = asyncio.Event()
    pid = shop.connection.get_server_pid()

    async def pass_over() -> None:
        columns = sealed_columns(shop.columns)
        steps, _ = await _steps(shop)
        assert columns
        await deriving.derive_terms(
            shop.connection, steps, shop.keyset, real, passes=9, without_triggers=False
        )
        done.set()

    await asyncio.gather(look(), pass_over())
    assert set(modes) <= {"AccessShareLock", "RowExclusiveLock"}


async def _steps(shop: Shop):  # type: ignore[no-untyped-def]
    from proxy.database.apply import _Application

    application = _Application(
        shop.connection, sealed_columns(shop.columns), shop.keyset, None, 5.0, False, 0.0, {}, None
    )
    async with deriving.fixed_names(shop.connection):
        return await application._steps_of("public.people")


async def test_values_written_without_terms_are_refused_afterwards(shop: Shop) -> None:
    """A proxy that was not reloaded cannot write a row that comparisons would miss: 23514, and only then."""
    await people(shop)
    declare(shop, NAME, "text", "equality")
    await shop.sealed()
    old = resealed(shop, NAME, "x")
    with pytest.raises(asyncpg.CheckViolationError) as refused:
        await shop.connection.execute("UPDATE people SET name = $1 WHERE id = 1", old)
    assert "sealgate_terms_" in str(refused.value)
    await shop.connection.execute(
        "UPDATE people SET name = $1 WHERE id = 1", resealed(shop, NAME, "x", "equality")
    )
    await shop.connection.execute("UPDATE people SET name = NULL WHERE id = 2")


async def test_rows_written_while_the_server_is_asked_are_derived_too(
    shop: Shop, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the last pass and the CHECK an old proxy writes: validating finds it, the row is derived, and then it holds."""
    await people(shop)
    declare(shop, NAME, "text", "equality")
    other = await connect(shop.owner)
    real, met = deriving.forbid, []

    async def late(*arguments: object) -> None:
        if not met:
            met.append(True)
            value = resealed(shop, NAME, "late")
            await other.execute("UPDATE people SET name = $1 WHERE id = 9", value)
        await real(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr("proxy.database.apply.forbid", late)
    await shop.sealed()
    assert await assurances(shop) == [True]
    await right_terms(shop)
    assert (await everything(shop))[8][1] == "late"


async def test_a_value_that_was_tampered_with_stops_the_pass(shop: Shop) -> None:
    """It is not sealed anew, which would make it look genuine; nothing of it is quoted."""
    await people(shop)
    await shop.connection.execute(
        "UPDATE people SET name = set_byte(name, 40, get_byte(name, 40) # 1) WHERE id = 7"
    )
    declare(shop, NAME, "text", "equality")
    report = await shop.apply()
    assert "does not authenticate" in report.obstacles[0].problem
    assert "Name" not in str(report.obstacles)
    assert await assurances(shop) == []


@pytest.mark.parametrize(
    "acting",
    [
        "CREATE TRIGGER stamp BEFORE UPDATE ON people FOR EACH ROW EXECUTE FUNCTION stamp()",
        "CREATE TRIGGER stamp BEFORE UPDATE OF name ON people FOR EACH ROW EXECUTE FUNCTION stamp()",
        "CREATE TRIGGER stamp AFTER UPDATE ON people FOR EACH ROW EXECUTE FUNCTION stamp()",
        "CREATE RULE stamp AS ON UPDATE TO people WHERE false DO INSTEAD NOTHING",
    ],
)
async def test_triggers_and_rules_do_not_act_unasked(shop: Shop, acting: str) -> None:
    """An owner is refused and told both ways on; --fire-triggers lets them act; a superuser keeps them out."""
    await people(shop)
    await shop.connection.execute(
        "CREATE TABLE fired (n int); CREATE FUNCTION stamp() RETURNS trigger LANGUAGE plpgsql AS"
        " 'BEGIN INSERT INTO public.fired VALUES (1); RETURN NEW; END';" + acting
    )
    declare(shop, NAME, "text", "equality")
    report = await shop.apply()
    assert not report.changed
    assert "stamp would act on every row" in report.obstacles[0].problem
    assert "--fire-triggers" in report.obstacles[0].fix
    count = "SELECT count(*) FROM fired"
    if "RULE" not in acting:
        assert (await shop.apply(fire_triggers=True)).ok
        assert await shop.connection.fetchval(count) == 3000
        await shop.connection.execute("TRUNCATE fired")
        declare(shop, NAME, "text", "match")
    root = await asyncpg.connect(shop.database.dsn("postgres"))
    try:
        assert (await apply(root, shop.columns, shop.keyset)).ok
        assert await root.fetchval("SHOW session_replication_role") == "origin"
    finally:
        await root.close()
    assert await shop.connection.fetchval(count) == 0
    await right_terms(shop)


async def test_triggers_of_other_columns_and_disabled_ones_do_not_matter(shop: Shop) -> None:
    """UPDATE OF another column, INSERT, DISABLEd: none of them would act."""
    await people(shop)
    await shop.connection.execute(
        "CREATE FUNCTION bad() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION USING MESSAGE = TG_NAME; END';"
        "CREATE TRIGGER a BEFORE UPDATE OF note ON people FOR EACH ROW EXECUTE FUNCTION bad();"
        "CREATE TRIGGER b BEFORE INSERT ON people FOR EACH ROW EXECUTE FUNCTION bad();"
        "CREATE TRIGGER c BEFORE UPDATE ON people FOR EACH ROW EXECUTE FUNCTION bad();"
        "ALTER TABLE people DISABLE TRIGGER c"
    )
    declare(shop, NAME, "text", "equality")
    await shop.sealed()
    await right_terms(shop)


async def test_partitions_at_two_levels(shop: Shop) -> None:
    """Each partition's index is made concurrently and attached; the parents' become valid; a partition to come gets its own."""
    label = "public.visits.name"
    await shop.connection.execute(
        """
        CREATE TABLE visits (id int, name text) PARTITION BY RANGE (id);
        CREATE TABLE visits_1 PARTITION OF visits FOR VALUES FROM (0) TO (1000);
        CREATE TABLE visits_2 PARTITION OF visits FOR VALUES FROM (1000) TO (3000) PARTITION BY RANGE (id);
        CREATE TABLE visits_2a PARTITION OF visits_2 FOR VALUES FROM (1000) TO (2000);
        CREATE TABLE visits_2b PARTITION OF visits_2 FOR VALUES FROM (2000) TO (3000);
        INSERT INTO visits SELECT i, 'Name ' || i FROM generate_series(0, 2999) AS i;
        """
    )
    declare(shop, label, "text")
    shop.keyset = generate(shop.columns)
    await shop.sealed()
    declare(shop, label, "text", "equality", "match")
    report = await shop.sealed()
    assert report.tables[0].derived == 3000
    await right_terms(shop, label)
    tree = ("visits", "visits_1", "visits_2", "visits_2a", "visits_2b")
    for table in tree:
        assert len(await indexes(shop, table)) == 2, table
        assert await assurances(shop, table) == [True, True], table
    assert not (await shop.sealed()).changed
    await shop.connection.execute(
        "CREATE TABLE visits_3 PARTITION OF visits FOR VALUES FROM (3000) TO (4000)"
    )
    assert len(await indexes(shop, "visits_3")) == 2
    only = (await shop.sealed()).tables[0]
    assert (only.history, only.indexes) == (
        ("create trigger sealgate_history_truncate on public.visits_3",),
        (),
    )
    assert not (await shop.sealed()).changed
    declare(shop, label, "text", "equality")
    await shop.sealed()
    for table in tree:
        assert await indexes(shop, table) == ["btree (sealgate.eq((name)::bytea))"], table


async def test_a_partition_whose_index_is_missing_is_gone_on_with(shop: Shop) -> None:
    """Killed between two partitions: the parent's index is there but not valid; the next run makes the rest."""
    label = "public.visits.name"
    await shop.connection.execute(
        """
        CREATE TABLE visits (id int, name text) PARTITION BY RANGE (id);
        CREATE TABLE visits_1 PARTITION OF visits FOR VALUES FROM (0) TO (1000);
        CREATE TABLE visits_2 PARTITION OF visits FOR VALUES FROM (1000) TO (2000);
        INSERT INTO visits SELECT i, 'Name ' || i FROM generate_series(0, 1999) AS i;
        """
    )
    declare(shop, label, "text")
    shop.keyset = generate(shop.columns)
    await shop.sealed()
    await shop.connection.execute(
        "CREATE INDEX visits_name_eq ON ONLY visits (sealgate.eq(name));"
        "CREATE INDEX mine ON visits_1 (sealgate.eq(name)); ALTER INDEX visits_name_eq ATTACH PARTITION mine"
    )
    declare(shop, label, "text", "equality")
    await shop.sealed()
    for table in ("visits", "visits_1", "visits_2"):
        assert await indexes(shop, table) == ["btree (sealgate.eq((name)::bytea))"], table
    assert not (await shop.sealed()).changed


async def test_a_plain_index_becomes_one_on_what_equality_compares(shop: Shop) -> None:
    """By order where only that is declared, by the case-folded term likewise; unique ones are refused on a prefix."""
    await shop.connection.execute(
        "CREATE TABLE t (a int UNIQUE, b text, c text); CREATE UNIQUE INDEX t_b ON t (b); CREATE INDEX t_c ON t (c);"
        "INSERT INTO t SELECT i, 'b' || i, 'c' || i FROM generate_series(1, 20) AS i"
    )
    for name, spec, search in (
        ("a", "int", "order"),
        ("b", "text", "equality:casefold"),
        ("c", "text", "order:C:8"),
    ):
        declare(shop, f"public.t.{name}", spec, search)
    shop.keyset = generate(shop.columns)
    await shop.sealed()
    assert await indexes(shop, "t") == [
        "btree (sealgate.eq_casefold((b)::bytea))",
        "btree (sealgate.ord((a)::bytea))",
        "btree (sealgate.ord((c)::bytea))",
    ]
    value = resealed(shop, "public.t.b", "B7", "equality:casefold")
    with pytest.raises(asyncpg.UniqueViolationError):
        await shop.connection.execute("INSERT INTO t (b) VALUES ($1)", value)


async def test_a_unique_index_is_refused_where_only_a_prefix_is_compared(shop: Shop) -> None:
    """And a plain one where nothing declared compares."""
    await shop.connection.execute(
        "CREATE TABLE t (a text UNIQUE, b text); CREATE INDEX t_b ON t (b)"
    )
    declare(shop, "public.t.a", "text", "order:C:8")
    declare(shop, "public.t.b", "text", "match")
    shop.keyset = generate(shop.columns)
    problems = [o.problem for o in (await shop.apply()).obstacles]
    assert "terms of order by a prefix are not" in problems[0]
    assert "declares no search that does" in problems[1]


async def test_what_stays_declared_may_be_compared_all_the_while(shop: Shop) -> None:
    """A capability more: the server's word for the others is never taken back. One less: only that one's."""
    await people(shop, "equality", "match")
    names = "SELECT conname FROM pg_constraint WHERE conname LIKE 'sealgate_terms_%' AND convalidated ORDER BY 1"
    before = {row[0] for row in await shop.connection.fetch(names)}
    seen: list[set[str]] = []

    async def during(*search: str) -> set[str]:
        declare(shop, NAME, "text", *search)
        seen.clear()
        report = await apply(shop.connection, shop.columns, shop.keyset, progress=look)
        assert report.ok
        return set.intersection(*seen)

    def look(now: Progress) -> None:
        if now.phase == "derive":
            held = shop.database.psql(names)
            seen.append(set(held.split()))

    assert await during("equality", "match", "order:C:4") == before
    assert await during("equality", "order:C:4") == {
        *(name for name in before if "_eq_" in name),
        *(row[0] for row in await shop.connection.fetch(names) if "_ord_" in row[0]),
    }
    assert {n for n in await during("equality") if "_match_" in n or "_ord_" in n} == set()


async def test_a_term_that_goes_is_insisted_on_until_all_have_seen_that(shop: Shop) -> None:
    """A proxy that was reloaded cannot leave it out while another one may still compare by it; proxies find no word of it."""
    await people(shop, "equality")
    column = sealed_columns(shop.columns)[NAME]
    names = "SELECT conname FROM pg_constraint WHERE conname LIKE 'sealgate_terms_%'"
    without = resealed(shop, NAME, "x").hex()
    write = f"UPDATE people SET name = '\\x{without}' WHERE id = 1"
    seen: list[str] = []

    def look(now: Progress) -> None:
        if now.phase == "notice":
            seen.extend(shop.database.psql(names).split())
            with pytest.raises(EmbeddedPostgresError, match="violates check constraint"):
                shop.database.psql(write)

    declare(shop, NAME, "text")
    assert (await apply(shop.connection, shop.columns, shop.keyset, progress=look)).ok
    assert len(seen) == 1
    assert not is_complete(column, seen)
    assert await assurances(shop) == []
    shop.database.psql(write)


async def test_a_run_killed_while_a_term_goes_may_be_taken_back(shop: Shop) -> None:
    """The CHECK has its other name already: declaring the same again is no change in place, and ends as it began."""
    await people(shop, "equality")
    [name] = [
        row[0]
        for row in await shop.connection.fetch(
            "SELECT conname FROM pg_constraint WHERE conname LIKE 'sealgate_%'"
        )
    ]
    await shop.connection.execute(
        f"ALTER TABLE people RENAME CONSTRAINT {name} TO {receding(name)}"
    )
    await shop.sealed()
    [again] = [
        row[0]
        for row in await shop.connection.fetch(
            "SELECT conname FROM pg_constraint WHERE conname LIKE 'sealgate_%'"
        )
    ]
    assert again == name
    assert not (await shop.sealed()).changed


async def test_old_snapshots_are_waited_for(shop: Shop, connect: Connect) -> None:
    """A REPEATABLE READ transaction sees rows as they were without terms: nobody vouches for them before it has ended."""
    await people(shop)
    await shop.connection.execute("CREATE INDEX ON people (sealgate.eq(name))")
    declare(shop, NAME, "text", "equality")
    other = await connect(shop.owner)
    watcher = await connect(shop.owner)
    held = "SELECT convalidated FROM pg_constraint WHERE conname LIKE 'sealgate_terms_%'"
    async with other.transaction(isolation="repeatable_read"):
        await other.fetch("SELECT 1 FROM pg_catalog.pg_class LIMIT 1")
        task = asyncio.create_task(shop.apply())
        while await watcher.fetchval(held) is None:
            assert not task.done()
            await asyncio.sleep(0.02)
        for _ in range(20):
            assert await watcher.fetchval(held) is False
            await asyncio.sleep(0.02)
    assert (await task).ok
    assert await watcher.fetchval(held) is True


async def test_what_was_begun_is_not_called_unchanged(shop: Shop) -> None:
    """Rows have other terms already when a later one does not open: the report does not say that nothing is changed."""
    await people(shop)
    await shop.connection.execute(
        "UPDATE people SET name = set_byte(name, 40, get_byte(name, 40) # 1) WHERE id = 3000"
    )
    declare(shop, NAME, "text", "equality")
    report = await shop.apply()
    assert not report.ok
    assert report.changed
    assert "nothing is changed" not in "\n".join(report.lines())


async def test_proxies_are_given_time_to_see_that_terms_change(shop: Shop) -> None:
    """Between taking back its word and the first row: as long as their catalog may be old. Not where nothing is taken back."""
    await people(shop, "equality")
    for search, waits in ((("equality", "match"), False), (("match",), True)):
        declare(shop, NAME, "text", *search)
        shop.progress.clear()
        assert (await shop.apply(notice_seconds=0.05)).ok
        assert ("notice" in [p.phase for p in shop.progress]) == waits
        if waits:
            phases = [p.phase for p in shop.progress]
            assert phases.index("notice") < phases.index("derive")


async def test_declared_terms_are_in_flag_order() -> None:
    """What `apply` says and makes is in the order in which the terms are stored."""
    search = read_search(("match", "order:C:4", "equality:casefold", "equality"), "search")
    assert [t.function for t in declared_terms(search)] == ["eq", "eq_casefold", "ord", "match"]
    assert logical_type("text").name == "text"
