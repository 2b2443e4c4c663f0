"""Whatever happens in the middle: the table is sealed or it is as it was."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import asyncpg
import pytest

from proxy.database import sealing
from proxy.database.apply import apply
from proxy.database.sealing import Progress
from tests.database.conftest import Connect, Shop

TABLE = """
CREATE TABLE t (id int PRIMARY KEY, email text UNIQUE, tail text);
INSERT INTO t SELECT i, 'canary' || i || '@example.com', 'tail' FROM generate_series(1, 3000) AS i;
CREATE INDEX t_tail ON t (tail);
"""


async def prepared(shop: Shop) -> None:
    await shop.connection.execute(TABLE)
    shop.declare(t__email="text =")


def at(phase: str, act: Callable[[], object]) -> Callable[[Progress], None]:
    """Acts once, when half of the phase's rows are done (or at its start, where that is all there is)."""
    acted: list[object] = []

    def progress(now: Progress) -> None:
        if now.phase == phase and not acted and (now.done * 2 >= now.total or phase != "seal"):
            acted.append(act())

    return progress


async def only_plain(shop: Shop, connect: Connect, before: object) -> None:
    """The table is as it was, nobody holds its lock, and nothing temporary is left."""
    shop.connection = await connect(shop.owner)
    assert await shop.definition("t") == before
    await shop.connection.execute(
        "SET lock_timeout = '5s'; UPDATE t SET tail = 'free' WHERE id = 1"
    )
    left = await shop.connection.fetch(
        "SELECT relname FROM pg_class WHERE relname LIKE 'sealgate%'"
        " UNION ALL SELECT proname FROM pg_proc WHERE proname LIKE 'sealgate%'"
    )
    assert left == []


@pytest.mark.parametrize("phase", ["seal", "rewrite", "verify", "index"])
async def test_a_terminated_session_leaves_the_table_as_it_was(
    shop: Shop, connect: Connect, phase: str
) -> None:
    """pg_terminate_backend in each phase; a later apply then does all of it."""
    await prepared(shop)
    before = await shop.definition("t")
    pid = shop.connection.get_server_pid()

    def terminate() -> None:
        shop.database.psql(f"SELECT pg_terminate_backend({pid}, 5000)")

    with pytest.raises((asyncpg.PostgresError, asyncpg.InterfaceError, OSError)) as lost:
        await apply(shop.connection, shop.columns, shop.keyset, progress=at(phase, terminate))
    assert "canary" not in str(lost.value)
    await only_plain(shop, connect, before)
    await shop.sealed()
    values = await shop.connection.fetch("SELECT id, email FROM t")
    assert all(shop.open(v["email"]) == b"canary%d@example.com" % v["id"] for v in values)


async def test_a_lost_connection_leaves_the_table_as_it_was(shop: Shop, connect: Connect) -> None:
    """Our side goes away without a word."""
    await prepared(shop)
    before = await shop.definition("t")
    with pytest.raises((asyncpg.PostgresError, asyncpg.InterfaceError, OSError)):
        await apply(
            shop.connection,
            shop.columns,
            shop.keyset,
            progress=at("seal", shop.connection.terminate),
        )
    await only_plain(shop, connect, before)


@pytest.mark.parametrize("phase", ["seal", "rewrite", "verify", "index"])
async def test_a_cancelled_task_leaves_the_table_as_it_was(
    shop: Shop, connect: Connect, phase: str
) -> None:
    """Ctrl-C: asyncio cancels the task that applies."""
    await prepared(shop)
    before = await shop.definition("t")
    task: asyncio.Task[object] | None = None

    def cancel() -> None:
        assert task is not None
        task.cancel()

    task = asyncio.create_task(
        apply(shop.connection, shop.columns, shop.keyset, progress=at(phase, cancel))
    )
    with pytest.raises(asyncio.CancelledError):
        await task
    await only_plain(shop, connect, before)


async def test_a_busy_table_is_reported_and_waited_for_no_longer_than_said(
    shop: Shop, connect: Connect
) -> None:
    """Meanwhile nobody queues for long; other tables are sealed; the next apply does the rest."""
    await prepared(shop)
    await shop.connection.execute("CREATE TABLE other (x text); INSERT INTO other VALUES ('o')")
    shop.declare(other__x="text")
    reader = await connect(shop.owner)
    transaction = reader.transaction()
    await transaction.start()
    await reader.fetch("SELECT id FROM t LIMIT 1")
    started = time.monotonic()
    report = await shop.apply(lock_seconds=0.3)
    assert time.monotonic() - started < 5
    assert [o.subject for o in report.obstacles] == ["public.t"]
    assert "in use" in report.obstacles[0].problem
    assert "0.3 s" in report.obstacles[0].problem
    assert await shop.type_of("t", "email") == "text"
    assert await shop.type_of("other", "x") == "sealgate.sealed_text"
    assert report.changed
    await transaction.rollback()
    await shop.sealed()


async def test_what_changes_before_the_lock_is_seen_under_it(
    shop: Shop, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A view that appears after the facts were read and before the lock was taken: refused, nothing of the table changed."""
    await prepared(shop)
    other = await connect(shop.owner)
    real = sealing.lock

    async def late(connection: asyncpg.Connection, table: str, seconds: float) -> None:
        await other.execute("CREATE VIEW late AS SELECT email FROM t")
        await real(connection, table, seconds)

    monkeypatch.setattr("proxy.database.apply.lock", late)
    report = await shop.apply()
    assert "view public.late reads it" in report.obstacles[0].problem
    assert await shop.type_of("t", "email") == "text"


async def test_a_value_that_does_not_come_back_undoes_everything(
    shop: Shop, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two rows that swapped their values on the way: every value opens, but the digest over keys and values differs."""
    await prepared(shop)
    before = await shop.definition("t")
    real = sealing._rewrite

    async def swapping(connection: asyncpg.Connection, steps: object) -> None:
        await connection.execute(
            "UPDATE sealgate_staging a SET c0 = b.c0 FROM sealgate_staging b"
            " WHERE (a.tuple, b.tuple) IN (('(0,1)'::tid, '(0,2)'::tid), ('(0,2)'::tid, '(0,1)'::tid))"
        )
        await real(connection, steps)  # type: ignore[arg-type]

    monkeypatch.setattr(sealing, "_rewrite", swapping)
    report = await shop.apply()
    assert "are not those that were sealed" in report.obstacles[0].problem
    await only_plain(shop, connect, before)


async def test_a_row_that_was_not_staged_stops_the_rewrite(
    shop: Shop, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is never taken for NULL."""
    await prepared(shop)
    before = await shop.definition("t")
    real = sealing._rewrite

    async def losing(connection: asyncpg.Connection, steps: object) -> None:
        await connection.execute("DELETE FROM sealgate_staging WHERE tuple = '(0,5)'::tid")
        await real(connection, steps)  # type: ignore[arg-type]

    monkeypatch.setattr(sealing, "_rewrite", losing)
    report = await shop.apply()
    assert "P0002" in report.obstacles[0].problem
    await only_plain(shop, connect, before)


async def test_two_applies_at_once(shop: Shop, connect: Connect) -> None:
    """The second is told of the first; both leave a sealed table."""
    await prepared(shop)
    other = await connect(shop.owner)
    first, second = await asyncio.gather(
        apply(shop.connection, shop.columns, shop.keyset),
        apply(other, shop.columns, shop.keyset),
    )
    reports = sorted((first, second), key=lambda r: r.ok)
    assert [r.ok for r in reports] == [False, True]
    assert "another `sealgate apply`" in reports[0].obstacles[0].problem
    assert await shop.type_of("t", "email") == "sealgate.sealed_text"
    assert (await apply(other, shop.columns, shop.keyset)).ok


async def test_text_that_is_no_utf8_is_refused_without_being_quoted(shop: Shop) -> None:
    """A SQL_ASCII database holds any bytes; Sealgate's text is UTF-8."""
    name = f"{shop.database.name}_ascii"
    shop.database.postgres.psql(
        f"CREATE DATABASE {name} OWNER {shop.owner} TEMPLATE template0 ENCODING 'SQL_ASCII' LOCALE_PROVIDER libc LOCALE 'C'"
    )
    try:
        shop.connection = await asyncpg.connect(shop.database.postgres.dsn(name, shop.owner))
        await shop.connection.execute(
            "CREATE TABLE t (id int, x text); INSERT INTO t VALUES (1, 'ok'), (2, convert_from('\\x63616e617279ff', 'SQL_ASCII'))"
        )
        shop.declare(t__x="text")
        report = await shop.apply()
        assert not report.ok
        assert "UTF-8" in report.obstacles[0].fix
        assert "canary" not in str(report)
        assert await shop.type_of("t", "x") == "text"
        await shop.connection.execute("DELETE FROM t WHERE id = 2")
        await shop.sealed()
        await shop.connection.close()
    finally:
        shop.database.postgres.drop_database(name)
