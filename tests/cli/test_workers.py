"""`[listen] workers = N`: several processes, one service: one port, one policy, one access log."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from proxy.demo.shop import CommandFailed, ProxyProcess
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
    """No gap, no number twice, in the order of the file, by one source."""
    assert [e["metadata"]["sequence"] for e in found] == list(range(1, len(found) + 1))
    assert len({e["metadata"]["log_source"] for e in found}) == 1


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
    assert codes[-1] == "proxy.stopped"
    assert codes.count("proxy.stopped") == 1
    assert events(project, "proxy.started")[0]["unmapped"]["sealgate"]["workers"] == 2
    assert not any(Path(f"/proc/{pid}").exists() for pid in pids)
