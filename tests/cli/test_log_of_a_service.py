"""The log of a running service, with workers: killed as a whole, rotated under load, durable; its chain holds."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import threading
import time
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.audit.chained import Chained, chained
from tests.audit.test_log import said
from tests.audit.test_log_rotation import rotated
from tests.cli.conftest import Project
from tests.cli.test_serve import CLEAR, READ, events, eventually
from tests.cli.test_workers import connected

SEED = int(os.environ.get("SERVICE_LOG_SEED") or random.randrange(2**32))


def whole(project: Project) -> Chained:
    return chained(project.audit_log, *rotated(project.audit_log))


@pytest.mark.parametrize("times", [1, pytest.param(5, marks=pytest.mark.long)])
def test_a_service_that_is_killed_as_a_whole(project: Project, times: int) -> None:
    """Supervisor and workers, at a random moment under load, while the log rotates: every result that a client has got has its
    event, the chain and its checkpoints hold, and the next start says that this end was not in order. A stop in order is none.
    """
    more = '\n[audit]\nmode = "durable"\nrotate_bytes = 30000\ncompress = false\ncheckpoint_events = 20\n'
    project.configure(change=("port = 0", "port = 0\nworkers = 2\n"), more=more)
    project.sealed()
    got: dict[str, int] = {}
    draw = random.Random(SEED)
    for _ in range(times):
        proxy = project.serve()
        started = events(project, "proxy.started")[-1]["unmapped"]["sealgate"]
        pids = [*started["worker_pids"], started["pid"]]
        stop = threading.Event()

        def read(connection: psycopg.Connection[Any], stop: threading.Event = stop) -> None:
            session = str(connection.info.backend_pid) + str(id(connection))
            with contextlib.suppress(psycopg.OperationalError):
                while not stop.is_set():
                    assert connection.execute(READ).fetchall() == CLEAR
                    got[session] = got.get(session, 0) + 1

        with connected(project, proxy, 4) as connections:
            threads = [threading.Thread(target=read, args=(c,)) for c in connections]
            for thread in threads:
                thread.start()
            time.sleep(0.3 + draw.random())
            for pid in draw.sample(pids, len(pids)):
                os.kill(pid, signal.SIGKILL)
            proxy.wait()
            stop.set()
            for thread in threads:
                thread.join()
        for pid in pids:
            eventually(lambda pid=pid: not Path(f"/proc/{pid}").exists() or _ended(pid))
    proxy = project.serve()
    assert proxy.stop() == 0
    project.serve().stop()
    found = whole(project)
    assert not found.gaps, f"SERVICE_LOG_SEED={SEED}"
    assert found.kinds.count("statement.read") >= sum(got.values()) > 20, f"SERVICE_LOG_SEED={SEED}"
    unclean = [said(e) for e in found.events if e["metadata"]["event_code"] == "log.unclean"]
    assert [u["reason"] for u in unclean] == ["the last service did not stop in order"] * times
    assert [u["lost"] for u in unclean] == [0] * times
    assert found.checkpoints > 5
    assert len(rotated(project.audit_log)) > 1


def _ended(pid: int) -> bool:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    return True


def test_an_idle_service_signs(project: Project) -> None:
    """Checkpoints come when nothing happens, from one process as from several; and they are the last word of a stop.

    Of mode async every event is there soon after its rows, and all of them after a stop in order.
    """
    more = '\n[audit]\nmode = "async"\ncheckpoint_seconds = 1\n'
    project.configure(more=more)
    project.sealed()
    for workers in (1, 2):
        project.configure(change=("port = 0", f"port = 0\nworkers = {workers}\n"), more=more)
        proxy = project.serve()
        before = whole_so_far(project)
        eventually(lambda before=before: whole_so_far(project) >= before + 2)
        with project.connect(proxy) as connection:
            for _ in range(20):
                assert connection.execute(READ).fetchall() == CLEAR
        assert proxy.stop() == 0
        found = whole(project)
        assert found.kinds[-2:] == ["proxy.stopped", "log.checkpoint"]
        assert found.kinds.count("statement.read") == 20 * workers
        assert found.kinds.count("session.closed") == workers
    assert "the seal key is still here" in (project.directory / "proxy.log").read_text()


def whole_so_far(project: Project) -> int:
    return project.audit_log.read_bytes().count(b'"event_code":"log.checkpoint"')
