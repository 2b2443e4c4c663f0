"""`sealgate serve`: starts, relays, drains on SIGTERM, reloads on SIGHUP or not at all."""

from __future__ import annotations

import json
import signal
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest

from proxy.demo.shop import CommandFailed, ProxyProcess
from proxy.embedded import EmbeddedPostgres
from tests.cli.conftest import Project
from tests.integration.certificates import make_certificates

READ = "SELECT email, ssn FROM customers"
CLEAR = [("amina@example.com", "900-11-0001")]


def events(project: Project, code: str) -> list[dict[str, Any]]:
    lines = project.audit_log.read_text().splitlines()
    return [e for e in map(json.loads, lines) if e["metadata"]["event_code"] == code]


def eventually(holds: Callable[[], object], seconds: float = 10.0) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "it did not come to pass"
        time.sleep(0.05)


def test_serves_until_sigterm(project: Project) -> None:
    """An application reads in clear; start, policy, keys and stop are in the access log."""
    project.sealed()
    proxy = project.serve()
    with project.connect(proxy) as connection:
        assert connection.execute(READ).fetchall() == CLEAR
    with project.connect(proxy, "cli_support") as connection:
        assert connection.execute(READ).fetchall() == [("amina@example.com", "*******0001")]
    assert proxy.stop() == 0
    for code in ("proxy.started", "policy.loaded", "keys.loaded", "proxy.stopped"):
        assert len(events(project, code)) == 1, code
    assert events(project, "proxy.started")[0]["unmapped"]["sealgate"]["port"] == proxy.port


def test_draining_lets_a_transaction_finish(project: Project) -> None:
    """After SIGTERM nobody new is let in, and an open transaction may still commit."""
    project.sealed()
    proxy = project.serve()
    connection = project.connect(proxy)
    connection.execute("BEGIN")
    connection.execute("UPDATE customers SET name = 'Amina D.'")
    proxy.send(signal.SIGTERM)
    eventually(lambda: not accepts(proxy))
    connection.execute("COMMIT")
    assert proxy.wait() == 0
    connection.close()
    assert project.database.psql("SELECT name FROM customers") == "Amina D."


def test_a_second_sigterm_ends_at_once(project: Project) -> None:
    """Whoever waits for a transaction that does not end need not wait for drain_seconds."""
    project.sealed()
    proxy = project.serve()
    connection = project.connect(proxy)
    connection.execute("BEGIN")
    proxy.send(signal.SIGTERM)
    eventually(lambda: not accepts(proxy))
    began = time.monotonic()
    proxy.send(signal.SIGTERM)
    assert proxy.wait() == 0
    assert time.monotonic() - began < 5
    connection.close()


def accepts(proxy: ProxyProcess) -> bool:
    try:
        socket.create_connection((proxy.host, proxy.port), 1).close()
    except OSError:
        return False
    return True


def test_sighup_takes_a_new_policy(project: Project) -> None:
    """A grant that was taken away is gone with the next statement of a session that goes on."""
    project.sealed()
    proxy = project.serve()
    with project.connect(proxy, "cli_support") as connection:
        assert connection.execute(READ).fetchall()[0][0] == "amina@example.com"
        project.configure(change=('clear = ["public.customers.email"]', "clear = []"))
        proxy.send(signal.SIGHUP)
        eventually(lambda: events(project, "configuration.loaded"))
        assert connection.execute(READ).fetchall() == [(None, "*******0001")]
    assert len(events(project, "policy.loaded")) == 2


@pytest.mark.parametrize(
    ("more", "change", "problem"),
    [
        ("[listn]\n", ("", ""), "listn: is not a known key"),
        ("", ("port = 0", "port = 1"), "listen.port cannot change while running"),
        ('[columns."public.customers.name"]\ntype = "text"\n', ("", ""), "has no keys for"),
        ('[roles.other]\nclear = ["public.nothing.x"]\n', ("", ""), "roles.other.clear"),
    ],
)
def test_sighup_takes_all_or_nothing(
    project: Project, more: str, change: tuple[str, str], problem: str
) -> None:
    """A configuration that cannot be used changes nothing; the access log and the log say why."""
    project.sealed()
    proxy = project.serve()
    changed = (change[0], change[1]) if change[0] else ("clear = []", "clear = []")
    project.configure(more, changed if change[0] else ("", ""))
    proxy.send(signal.SIGHUP)
    eventually(lambda: events(project, "configuration.refused"))
    assert problem in events(project, "configuration.refused")[0]["status_detail"]
    eventually(lambda: problem in proxy.log.read_text())
    with project.connect(proxy) as connection:
        assert connection.execute(READ).fetchall() == CLEAR
    assert len(events(project, "policy.loaded")) == 1


def test_a_rotated_access_log_is_reopened_on_sighup(project: Project) -> None:
    """As logrotate does it: rename, then SIGHUP."""
    project.sealed()
    proxy = project.serve()
    project.audit_log.rename(project.directory / "audit.1.jsonl")
    proxy.send(signal.SIGHUP)
    eventually(project.audit_log.exists)
    with project.connect(proxy) as connection:
        connection.execute(READ)
    eventually(lambda: events(project, "statement.read"))


def test_changes_past_the_proxy_are_seen(project: Project) -> None:
    """A view created directly on the server is known after control.refresh_seconds."""
    project.sealed()
    proxy = project.serve()
    project.database.psql(
        "CREATE VIEW contacts AS SELECT email AS contact FROM customers; "
        "GRANT SELECT ON contacts TO PUBLIC"
    )
    with project.connect(proxy) as connection:
        eventually(
            lambda: (
                connection.execute("SELECT contact FROM contacts").fetchall()
                == [("amina@example.com",)]
            )
        )


def test_waits_for_a_server_that_is_down(tmp_path: Path, project: Project) -> None:
    """At the start the server is not there: clients get 57P03, and are served once it has come."""
    project.sealed()
    with EmbeddedPostgres() as server:
        server.create_role("cli_control")
        server.create_role("cli_app")
        port = server.port
        server.stop()
        text = project.file.read_text()
        text = text.replace(
            f":{project.database.postgres.port}/{project.database.name}", f":{port}/postgres"
        )
        text = text.replace(f"port = {project.database.postgres.port}", f"port = {port}")
        project.file.write_text(text)
        proxy = project.serve()
        dsn = f"postgresql://cli_app@{proxy.host}:{proxy.port}/postgres"
        with pytest.raises(psycopg.OperationalError) as refused:
            psycopg.connect(dsn)
        assert "the database server is not reachable" in str(refused.value)
        server.start()
        assert server.port == port
        eventually(lambda: connects(dsn))
        server.restart("immediate")  # and again, now in the middle
        eventually(lambda: connects(dsn))


def connects(dsn: str) -> bool:
    try:
        with psycopg.connect(dsn) as connection:
            return connection.execute("SELECT 1").fetchone() == (1,)
    except psycopg.OperationalError:
        return False


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (("cli_control@", "cli_nobody@"), 'role "cli_nobody" does not exist'),
        (
            ("port = 0", "port = 0\ntls_cert = 'a.crt'\ntls_key = 'a.key'"),
            "listen.tls_cert: cannot be",
        ),
        (
            ("refresh_seconds = 1", "refresh_seconds = 1\n[audit]\npath = 'no/audit.jsonl'"),
            "audit.path",
        ),
    ],
)
def test_a_start_that_cannot_succeed_says_so(
    project: Project, change: tuple[str, str], problem: str
) -> None:
    """File, key and fix, exit code 2, and nothing is listened on."""
    project.sealed()
    project.configure(change=change)
    assert project.run_process("serve") == 2
    assert problem in project.err
    assert "listening" not in project.out


def test_a_taken_port_is_named(project: Project) -> None:
    """Which address, and what to do."""
    project.sealed()
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        project.configure(change=("port = 0", f"port = {port}"))
        with pytest.raises(CommandFailed) as failure:
            project.serve()
    assert f"cannot listen on 127.0.0.1:{port}" in str(failure.value)


def test_missing_keys_stop_the_start(project: Project) -> None:
    """A declared column without keys: the start ends with what to run."""
    project.sealed()
    project.configure('[columns."public.customers.name"]\ntype = "text"\n')
    assert project.run_process("serve") == 1
    assert "has no keys for public.customers.name. Run sealgate apply." in project.err


def test_many_clients_at_once_are_let_in(project: Project) -> None:
    """Look-ups of roles wait for each other on the one control connection; nobody is lost."""
    project.sealed()
    proxy = project.serve()
    seen: list[object] = []

    def read() -> None:
        with project.connect(proxy) as connection:
            seen.append(connection.execute(READ).fetchall())

    threads = [threading.Thread(target=read) for _ in range(30)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert seen == [CLEAR] * 30


def test_a_renewed_certificate_is_taken_on_sighup(project: Project) -> None:
    """The files are replaced, SIGHUP: new clients verify against the new authority. A broken one changes nothing."""
    project.sealed()
    old = make_certificates(project.directory)
    project.configure(
        change=("port = 0", "port = 0\ntls_cert = 'server.crt'\ntls_key = 'server.key'")
    )
    proxy = project.serve()
    assert verifies(project, proxy, old.ca)

    renewed = make_certificates(project.directory)
    proxy.send(signal.SIGHUP)
    eventually(lambda: verifies(project, proxy, renewed.ca))

    renewed.cert.write_text("no certificate")
    proxy.send(signal.SIGHUP)
    eventually(lambda: events(project, "configuration.refused"))
    assert "TLS certificate" in events(project, "configuration.refused")[0]["status_detail"]
    assert verifies(project, proxy, renewed.ca)


def verifies(project: Project, proxy: ProxyProcess, authority: Path) -> bool:
    """A client that insists on verify-full gets its rows."""
    dsn = f"postgresql://cli_app@{proxy.host}:{proxy.port}/{project.database.name}"
    try:
        with psycopg.connect(dsn, sslmode="verify-full", sslrootcert=str(authority)) as connection:
            return connection.execute(READ).fetchall() == CLEAR
    except psycopg.OperationalError:
        return False
