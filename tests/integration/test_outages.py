"""The server down, restarting or gone; the proxy told to stop or to reload; the access log full."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from proxy.embedded import EmbeddedPostgres
from tests.conftest import Database
from tests.integration.shop import SCHEMA, Shop


@pytest.fixture(scope="module")
def own_postgres() -> Iterator[EmbeddedPostgres]:
    """A server of this module's own, to stop and start."""
    with EmbeddedPostgres() as server:
        yield server


@pytest.fixture(scope="module")
def prepared(own_postgres: EmbeddedPostgres, tmp_path_factory: pytest.TempPathFactory) -> Shop:
    own_postgres.create_database("shop")
    database = Database("shop", own_postgres)
    database.psql(SCHEMA)
    shop = Shop(database, tmp_path_factory.mktemp("outages"), listen="drain_seconds = 3")
    shop.prepare()
    return shop


@pytest.fixture
def own_shop(prepared: Shop, own_postgres: EmbeddedPostgres) -> Iterator[Shop]:
    own_postgres.start()
    prepared.serve()
    yield prepared
    prepared.stop()


def read_email(shop: Shop) -> str | None:
    with shop.connect() as app:
        row = app.execute("SELECT email FROM customers WHERE id = 1").fetchone()
    return row[0] if row else None


def test_a_server_that_stops_and_comes_back(own_shop: Shop, own_postgres: EmbeddedPostgres) -> None:
    """57P01 to who is connected, 57P03 to who comes, and the proxy recovers by itself."""
    with own_shop.connect() as app:
        own_postgres.stop()
        with pytest.raises(psycopg.errors.AdminShutdown):
            app.execute("SELECT 1")
    with pytest.raises(psycopg.OperationalError, match="not reachable"):
        own_shop.connect()
    own_postgres.start()
    assert read_email(own_shop) == "ada@example.com"


def test_a_server_that_crashes_under_a_query(
    own_shop: Shop, own_postgres: EmbeddedPostgres
) -> None:
    """The connection ends; the next one after the recovery works."""
    with own_shop.connect() as app:
        killer = threading.Timer(0.3, own_postgres.kill)
        killer.start()
        with pytest.raises(psycopg.OperationalError):
            app.execute("SELECT pg_sleep(20)")
    killer.join()  # the connection may end before the process is reaped, and start() would find it
    own_postgres.start()
    own_shop.wait_until_up()
    assert read_email(own_shop) == "ada@example.com"


def test_the_proxy_starts_before_the_server(prepared: Shop, own_postgres: EmbeddedPostgres) -> None:
    """57P03 until the catalog can be read, then sessions."""
    own_postgres.stop()
    starter = threading.Timer(1.5, own_postgres.start)
    starter.start()
    try:
        prepared.serve()
        assert read_email(prepared) == "ada@example.com"
    finally:
        starter.join()
        prepared.stop()


def test_sigterm_drains(own_shop: Shop) -> None:
    """A transaction may finish; idle sessions and newcomers are told 57P01 or are not accepted; exit code 0."""
    idle = own_shop.connect()
    busy = own_shop.connect()
    busy.execute("BEGIN")
    assert own_shop.process is not None
    own_shop.process.send_signal(signal.SIGTERM)
    time.sleep(0.5)
    with pytest.raises(psycopg.OperationalError):
        own_shop.connect(connect_timeout=3)
    with pytest.raises(psycopg.OperationalError):
        idle.execute("SELECT 1")
    assert busy.execute("SELECT email FROM customers WHERE id = 1").fetchone() == (
        "ada@example.com",
    )
    busy.execute("COMMIT")
    assert own_shop.process.wait(10) == 0
    idle.close()
    busy.close()
    assert own_shop.events()[-1]["metadata"]["event_code"].endswith("stopped")


def test_sighup_reloads_the_policy_for_open_sessions(own_shop: Shop) -> None:
    """All or nothing: a broken file changes nothing and says why; a good one decides from the next statement on."""
    original = own_shop.config.read_text()
    with own_shop.connect("support_login") as support:
        query = "SELECT ssn FROM customers WHERE id = 1"
        assert support.execute(query).fetchone() == ("*******6789",)
        try:
            own_shop.config.write_text(original.replace("keep_last:4", "keep_lots"))
            own_shop.refused_reload()
            assert support.execute(query).fetchone() == ("*******6789",)
            own_shop.config.write_text(original.replace("keep_last:4", "keep_last:2"))
            own_shop.reload()
            assert support.execute(query).fetchone() == ("*********89",)
        finally:
            own_shop.config.write_text(original)
    assert "keep_lots" in own_shop.output_path.read_text()


def test_no_row_is_released_when_its_event_cannot_be_written(
    own_shop: Shop, tmp_path: Path
) -> None:
    """on_failure = "deny": the client gets 58030 and no row; with "allow" it gets the row."""
    own_shop.stop()
    original = own_shop.config.read_text()
    try:
        for on_failure in ("deny", "allow"):
            own_shop.config.write_text(
                original.replace(
                    'path = "audit.jsonl"',
                    f'path = "limited-{on_failure}.jsonl"\non_failure = "{on_failure}"',
                )
            )
            own_shop.serve()
            assert own_shop.process is not None
            with own_shop.connect() as app:
                size = (own_shop.directory / f"limited-{on_failure}.jsonl").stat().st_size
                limit_file_size(own_shop.process.pid, size + 10)
                if on_failure == "deny":
                    with pytest.raises(psycopg.OperationalError) as caught:
                        app.execute("SELECT email FROM customers WHERE id = 1")
                    assert caught.value.sqlstate == "58030"
                else:
                    row = app.execute("SELECT email FROM customers WHERE id = 1").fetchone()
                    assert row == ("ada@example.com",)
            own_shop.stop(signal.SIGKILL)
    finally:
        own_shop.config.write_text(original)
        own_shop.serve()


def limit_file_size(pid: int, size: int) -> None:
    """What a full disk does to a write: the file may not grow any more."""
    import resource

    resource.prlimit(pid, resource.RLIMIT_FSIZE, (size, size))
