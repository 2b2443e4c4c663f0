"""`[listen] workers = N`: several processes, one service: one port, one policy, one access log."""

from __future__ import annotations

import contextlib
import json
import os
import resource
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from proxy.demo.shop import CommandFailed, ProxyProcess
from proxy.workers import sockets
from tests.cli.conftest import Project
from tests.cli.test_serve import CLEAR, READ, accepts, events, eventually

TWO = ("port = 0", "port = 0\nworkers = 2")


def served(project: Project, more: str = "", workers: int = 2) -> ProxyProcess:
    """A running service; `more` is for [listen]."""
    project.configure(change=("port = 0", f"port = 0\nworkers = {workers}\n{more}"))
    return project.sealed().serve()


def all_events(project: Project) -> list[dict[str, Any]]:
    """Every event; the last line may be half written."""
    text = project.audit_log.read_text().rpartition("\n")[0]
    return [json.loads(line) for line in text.splitlines()]


def assert_one_sequence(found: list[dict[str, Any]]) -> None:
    """No gap, no number twice, in the order of the file, in one chain."""
    assert [e["metadata"]["sequence"] for e in found] == list(range(1, len(found) + 1))
    assert len({e["unmapped"]["sealgate"]["integrity"]["chain"] for e in found}) == 1


def workers_of(project: Project) -> list[int]:
    """The pids, as the last word about each worker has it."""
    pids = list(events(project, "proxy.started")[-1]["unmapped"]["sealgate"]["worker_pids"])
    for event in events(project, "worker.started"):
        fields = event["unmapped"]["sealgate"]
        pids[fields["worker"]] = fields["pid"]
    return pids


def clients_of(pid: int, port: int) -> int:
    """Connections of clients that a process has."""
    inodes = set()
    for link in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(OSError):
            inodes.add(os.readlink(link))
    rows = [line.split() for line in Path(f"/proc/{pid}/net/tcp").read_text().splitlines()[1:]]
    return sum(
        int(row[1].rpartition(":")[2], 16) == port and f"socket:[{row[9]}]" in inodes
        for row in rows
    )


@contextlib.contextmanager
def connected(project: Project, proxy: ProxyProcess, count: int) -> Iterator[list[Any]]:
    with contextlib.ExitStack() as stack:
        yield [
            stack.enter_context(contextlib.closing(project.connect(proxy))) for _ in range(count)
        ]


def test_many_clients_one_log(project: Project) -> None:
    """Clients are spread evenly; every statement of every session has its event, in one sequence; one start, one stop."""
    proxy = served(project)
    statements, clients = 30, 8

    def read(connection: psycopg.Connection[Any]) -> None:
        for _ in range(statements):
            assert connection.execute(READ).fetchall() == CLEAR

    with connected(project, proxy, clients) as connections:
        pids = workers_of(project)
        assert len(set(pids)) == 2
        assert [clients_of(pid, proxy.port) for pid in pids] == [clients // 2] * 2
        threads = [threading.Thread(target=read, args=(c,)) for c in connections]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert proxy.stop() == 0
    found = all_events(project)
    assert_one_sequence(found)
    reads = [e for e in found if e["metadata"]["event_code"] == "statement.read"]
    by_session = Counter(e["actor"]["session"]["uid"] for e in reads)
    assert sorted(by_session.values()) == [statements] * clients
    codes = [e["metadata"]["event_code"] for e in found]
    assert [codes.count(c) for c in ("proxy.started", "policy.loaded", "keys.loaded")] == [1] * 3
    assert codes[-2:] == ["proxy.stopped", "log.checkpoint"]
    assert codes.count("proxy.stopped") == 1
    assert events(project, "proxy.started")[0]["unmapped"]["sealgate"]["workers"] == 2
    assert not any(Path(f"/proc/{pid}").exists() for pid in pids)


def test_a_killed_worker_comes_back(project: Project) -> None:
    """kill -9 under load: sessions of the other go on, the log stays one sequence and tells of it, a new one serves."""
    proxy = served(project)
    pids = workers_of(project)
    outcomes: list[str] = []
    reads = [0] * 6
    stop = threading.Event()

    def read(number: int) -> None:
        with contextlib.closing(project.connect(proxy)) as connection:
            try:
                while not stop.is_set():
                    assert connection.execute(READ).fetchall() == CLEAR
                    reads[number] += 1
                outcomes.append("went on")
            except psycopg.OperationalError:
                outcomes.append("lost")

    threads = [threading.Thread(target=read, args=(n,)) for n in range(len(reads))]
    for thread in threads:
        thread.start()
    eventually(lambda: min(reads) > 5, 30)
    os.kill(pids[0], signal.SIGKILL)
    eventually(lambda: events(project, "worker.started"), 30)
    before = list(reads)
    eventually(lambda: sum(now > then for now, then in zip(reads, before, strict=True)) == 3, 30)
    with connected(project, proxy, 4) as connections:
        assert [c.execute(READ).fetchall() for c in connections] == [CLEAR] * 4
        new = workers_of(project)
        assert new[0] != pids[0]
        assert clients_of(new[0], proxy.port) >= 3  # it has fewest
    stop.set()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["lost"] * 3 + ["went on"] * 3
    assert proxy.stop() == 0
    found = [json.loads(line) for line in project.audit_log.read_text().splitlines() if whole(line)]
    assert_one_sequence(found)
    lost = events_among(found, "worker.lost")
    assert [e["unmapped"]["sealgate"]["pid"] for e in lost] == [pids[0]]
    assert lost[0]["unmapped"]["sealgate"]["sessions"] == 3
    assert "SIGKILL" in lost[0]["message"]
    shown = events_among(found, "statement.read")
    assert len(shown) >= sum(reads) + 4
    eventually(lambda: "worker ended" in proxy.log.read_text())


def whole(line: str) -> bool:
    """The line is an event, not what a kill has left of one."""
    try:
        return bool(json.loads(line))
    except json.JSONDecodeError:
        return False


def events_among(found: list[dict[str, Any]], code: str) -> list[dict[str, Any]]:
    return [e for e in found if e["metadata"]["event_code"] == code]


def test_sighup_changes_all_workers(project: Project) -> None:
    """A grant that was taken away is gone in all of them when the log says so; one event for all."""
    proxy = served(project, workers=3)
    with contextlib.ExitStack() as stack:
        support = [
            stack.enter_context(contextlib.closing(project.connect(proxy, "cli_support")))
            for _ in range(6)
        ]
        assert {c.execute(READ).fetchall()[0][0] for c in support} == {"amina@example.com"}
        text = project.file.read_text()
        project.file.write_text(text.replace('clear = ["public.customers.email"]', "clear = []"))
        proxy.send(signal.SIGHUP)
        eventually(lambda: events(project, "configuration.loaded"))
        assert [c.execute(READ).fetchall() for c in support] == [[(None, "*******0001")]] * 6
    assert len(events(project, "configuration.loaded")) == 1
    assert len(events(project, "policy.loaded")) == 2


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (("[upstream]", "[listn]\n[upstream]"), "listn: is not a known key"),
        (("workers = 2", "workers = 3"), "listen.workers cannot change while running"),
    ],
)
def test_sighup_with_a_bad_file_changes_no_worker(
    project: Project, change: tuple[str, str], problem: str
) -> None:
    """The event and the operations log say why, once, and all serve as before."""
    proxy = served(project)
    with connected(project, proxy, 2) as connections:
        text = project.file.read_text()
        project.file.write_text(text.replace(*change))
        proxy.send(signal.SIGHUP)
        eventually(lambda: events(project, "configuration.refused"))
        assert problem in events(project, "configuration.refused")[0]["status_detail"]
        eventually(lambda: "configuration not reloaded" in proxy.log.read_text())
        assert proxy.log.read_text().count("configuration not reloaded") == 1
        assert [c.execute(READ).fetchall() for c in connections] == [CLEAR] * 2
    assert len(events(project, "policy.loaded")) == 1


def test_one_worker_that_cannot_reload_keeps_all_from_it(project: Project) -> None:
    """One of two may not open files any more: neither takes the new policy; when it may again, both do."""
    proxy = served(project)
    pid = workers_of(project)[1]
    limits = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    with contextlib.ExitStack() as stack:
        support = [
            stack.enter_context(contextlib.closing(project.connect(proxy, "cli_support")))
            for _ in range(2)
        ]
        text = project.file.read_text()
        project.file.write_text(text.replace('clear = ["public.customers.email"]', "clear = []"))
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (3, limits[1]))
        proxy.send(signal.SIGHUP)
        eventually(lambda: events(project, "configuration.refused"))
        assert "worker 1: " in events(project, "configuration.refused")[0]["status_detail"]
        read = [c.execute(READ).fetchall()[0][0] for c in support]
        assert read == ["amina@example.com"] * 2
        resource.prlimit(pid, resource.RLIMIT_NOFILE, limits)
        proxy.send(signal.SIGHUP)
        eventually(lambda: events(project, "configuration.loaded"))
        assert [c.execute(READ).fetchall()[0][0] for c in support] == [None] * 2


def test_a_rotated_log_is_left_by_all_workers(project: Project) -> None:
    """Renamed under load, then SIGHUP: one sequence over both files, and nobody writes to the old one any more."""
    proxy = served(project)
    old = project.directory / "audit.1.jsonl"
    stop = threading.Event()

    def read(connection: psycopg.Connection[Any]) -> None:
        while not stop.is_set():
            connection.execute(READ)

    with connected(project, proxy, 4) as connections:
        threads = [threading.Thread(target=read, args=(c,)) for c in connections]
        for thread in threads:
            thread.start()
        eventually(lambda: events(project, "statement.read"))
        project.audit_log.rename(old)
        proxy.send(signal.SIGHUP)
        eventually(project.audit_log.exists)
        eventually(lambda: events(project, "configuration.loaded"))
        size = old.stat().st_size
        eventually(lambda: len(events(project, "statement.read")) > 20)
        stop.set()
        for thread in threads:
            thread.join()
        assert old.stat().st_size == size
        for pid in workers_of_file(old):
            files = {os.readlink(link) for link in Path(f"/proc/{pid}/fd").iterdir()}
            assert str(old) not in files
    before = [json.loads(line) for line in old.read_text().splitlines()]
    assert_one_sequence(before + all_events(project))


def workers_of_file(log: Path) -> list[int]:
    first = [json.loads(line) for line in log.read_text().splitlines()]
    return list(events_among(first, "proxy.started")[0]["unmapped"]["sealgate"]["worker_pids"])


def test_draining_lets_transactions_of_all_workers_finish(project: Project) -> None:
    """After SIGTERM nobody new is let in, and open transactions may still commit, whatever worker they are with."""
    proxy = served(project)
    with connected(project, proxy, 2) as connections:
        for number, connection in enumerate(connections):
            connection.execute("BEGIN")
            connection.execute("INSERT INTO customers (id, name) VALUES (%s, 'new')", (7 + number,))
        proxy.send(signal.SIGTERM)
        eventually(lambda: not accepts(proxy))
        for connection in connections:
            connection.execute("COMMIT")
        assert proxy.wait() == 0
    assert project.database.psql("SELECT count(*) FROM customers WHERE id >= 7") == "2"
    assert events(project, "proxy.stopped")[0]["unmapped"]["sealgate"]["sessions"] == 0


def test_a_second_signal_ends_all_workers_at_once(project: Project) -> None:
    """The sessions that are cut are counted over all of them."""
    proxy = served(project)
    pids = workers_of(project)
    with connected(project, proxy, 3) as connections:
        for connection in connections:
            connection.execute("BEGIN")
        proxy.send(signal.SIGTERM)
        eventually(lambda: not accepts(proxy))
        began = time.monotonic()
        proxy.send(signal.SIGINT)
        assert proxy.wait() == 0
        assert time.monotonic() - began < 10
    assert events(project, "proxy.stopped")[0]["unmapped"]["sealgate"]["sessions"] == 3
    assert not any(Path(f"/proc/{pid}").exists() for pid in pids)


def test_max_connections_is_for_all_workers(project: Project) -> None:
    """Three may be there, two with one worker and one with the other: the fourth is refused, until one leaves."""
    proxy = served(project, "max_connections = 3")
    with connected(project, proxy, 3) as connections:
        for _ in range(4):
            with pytest.raises(psycopg.OperationalError, match="too many"):
                project.connect(proxy)
        connections[0].close()
        eventually(lambda: gets_in(project, proxy))
    eventually(lambda: gets_in(project, proxy))


def gets_in(project: Project, proxy: ProxyProcess) -> bool:
    try:
        project.connect(proxy).close()
    except psycopg.OperationalError:
        return False
    return True


def test_clients_of_a_lost_worker_count_no_more(project: Project) -> None:
    """Nor do those that never said who they are."""
    proxy = served(project, "max_connections = 2")
    with connected(project, proxy, 2):
        for pid in workers_of(project):
            os.kill(pid, signal.SIGKILL)
        eventually(lambda: len(events(project, "worker.started")) == 2, 30)
    with contextlib.ExitStack() as stack:
        for _ in range(2):
            stack.enter_context(socket.create_connection((proxy.host, proxy.port)))
    eventually(lambda: gets_in(project, proxy))
    with connected(project, proxy, 2):
        assert not gets_in(project, proxy)


def test_workers_end_with_the_supervisor(project: Project) -> None:
    """kill -9 of the supervisor: nobody new is let in, a transaction may finish, then the workers end by themselves."""
    proxy = served(project)
    pids = workers_of(project)
    with connected(project, proxy, 2) as connections:
        connections[0].execute("BEGIN")
        connections[0].execute("INSERT INTO customers (id, name) VALUES (7, 'new')")
        proxy.send(signal.SIGKILL)
        proxy.wait()
        eventually(lambda: not Path(f"/proc/{pids[1]}").exists() or ended(pids[1]))
        assert not accepts(proxy)
        connections[0].execute("COMMIT")
        eventually(lambda: all(not Path(f"/proc/{pid}").exists() or ended(pid) for pid in pids))
    assert project.database.psql("SELECT count(*) FROM customers WHERE id = 7") == "1"
    assert_one_sequence(all_events(project))


def ended(pid: int) -> bool:
    """Nobody has waited for it yet, but it is no more."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


def test_cancel_through_another_worker(project: Project) -> None:
    """A cancel request is a connection of its own, and with another worker than the session it is for."""
    proxy = served(project)
    with connected(project, proxy, 1) as (connection,):
        threading.Timer(0.5, connection.cancel).start()
        with pytest.raises(psycopg.errors.QueryCanceled):
            connection.execute("SELECT pg_sleep(30)")
        assert connection.execute(READ).fetchall() == CLEAR


def test_ddl_is_known_to_all_workers_when_it_is_done(project: Project) -> None:
    """A column made through one worker is used through another with the very next statement (ADR 12)."""
    project.configure(change=("refresh_seconds = 1", "refresh_seconds = 3600"))
    text = project.file.read_text().replace("port = 0", "port = 0\nworkers = 3")
    project.sealed()
    project.file.write_text(text)
    proxy = project.serve()
    with contextlib.ExitStack() as stack:
        owner, *users = (
            stack.enter_context(contextlib.closing(project.connect(proxy, login)))
            for login in ("postgres", "cli_app", "cli_app")
        )
        assert [clients_of(pid, proxy.port) for pid in workers_of(project)] == [1, 1, 1]
        for number in range(20):
            owner.execute(f"ALTER TABLE customers ADD COLUMN more_{number} int DEFAULT 7")
            query = f"SELECT more_{number} FROM customers WHERE email = 'amina@example.com'"
            for user in users:
                assert user.execute(query).fetchall() == [(7,)], number


def test_sigterm_to_one_worker_replaces_it(project: Project) -> None:
    """It drains, its open transaction commits, another one takes its place."""
    proxy = served(project)
    pid = workers_of(project)[0]
    with connected(project, proxy, 2) as connections:
        with_it = next(c for c in connections if clients_of(pid, proxy.port))
        connections[0].execute("BEGIN")
        connections[1].execute("BEGIN")
        os.kill(pid, signal.SIGTERM)
        for connection in connections:
            connection.execute(
                "INSERT INTO customers (id, name) VALUES (%s, '')", (id(connection) % 10**6,)
            )
            connection.execute("COMMIT")
        eventually(lambda: events(project, "worker.started"))
        assert with_it is not None
    assert project.database.psql("SELECT count(*) FROM customers") == "3"
    with connected(project, proxy, 2) as connections:
        assert [c.execute(READ + " WHERE id = 1").fetchall() for c in connections] == [CLEAR] * 2


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (("cli_control@", "cli_nobody@"), 'role "cli_nobody" does not exist'),
        (
            ("port = 0", "port = 0\ntls_cert = 'a.crt'\ntls_key = 'a.key'"),
            "listen.tls_cert: cannot be",
        ),
    ],
)
def test_a_start_that_cannot_succeed_says_so(
    project: Project, change: tuple[str, str], problem: str
) -> None:
    """As with one process: file, key and fix, exit code 2, nothing is listened on, no process is left."""
    project.sealed()
    project.configure(change=change)
    project.file.write_text(project.file.read_text().replace("port = 0", "port = 0\nworkers = 2"))
    assert project.run_process("serve") == 2
    assert problem in project.err
    assert "listening" not in project.out
    assert "proxy.started" not in project.audit_log.read_text()


def test_a_taken_port_is_named(project: Project) -> None:
    """Before any worker is started."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        project.sealed()
        project.configure(change=("port = 0", f"port = {port}\nworkers = 2"))
        with pytest.raises(CommandFailed) as failure:
            project.serve()
    assert f"cannot listen on 127.0.0.1:{port}" in str(failure.value)


DYING = """
import os, signal, sys
from proxy.cli import main
from proxy.workers import supervisor
supervisor.work = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
sys.exit(main(["serve", "--config", sys.argv[1]]))
"""


def test_workers_that_die_at_the_start_end_it(project: Project) -> None:
    """After some attempts, with an error that says what killed them."""
    project.configure(change=TWO)
    project.sealed()
    ended = subprocess.run(
        [sys.executable, "-c", DYING, str(project.file)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert ended.returncode == 1
    assert "ends before it can serve: it was killed by SIGKILL" in ended.stderr
    assert ended.stdout == ""


def test_a_host_with_two_addresses_has_one_port(project: Project) -> None:
    """Port 0 on localhost: the same free port on 127.0.0.1 and ::1, where there is one."""
    found = sockets.bound("localhost", 0)
    assert len({sock.getsockname()[1] for sock in found}) == 1
    for sock in found:
        sock.close()
    with pytest.raises(OSError):  # noqa: PT011 - the resolver's words
        sockets.bound("no-such-host.invalid", 0)
