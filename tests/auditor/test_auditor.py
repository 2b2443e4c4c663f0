"""The auditor beside `sealgate serve`: what arrives at receivers, through kills and restarts of either; metrics and health."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import socket
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from proxy.audit.reading import lines, log_files
from proxy.auditor.census import Census
from proxy.auditor.child import _pause
from proxy.auditor.metrics import NAMES, Board, Endpoint, Service
from proxy.auditor.process import _greeting
from proxy.auditor.pulse import Pulse
from proxy.cli import main
from proxy.demo.shop import ProxyProcess
from proxy.workers.channel import Channel
from tests.auditor.stand_ins import TOKEN, Elastic, Splunk
from tests.cli.conftest import Project, project
from tests.cli.test_serve import READ, events, eventually

__all__ = ["project"]


@pytest.fixture
def receivers() -> Iterator[tuple[Splunk, Elastic]]:
    made = Splunk(), Elastic()
    yield made
    for receiver in made:
        receiver.stop()


@pytest.fixture
def metrics_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        found: int = server.getsockname()[1]
    return found


def configure(
    project: Project, receivers: tuple[Splunk, Elastic], port: int, more: str = ""
) -> None:
    (project.directory / "token").write_text(TOKEN)
    splunk, elastic = receivers
    sinks = f"""
[metrics]
listen = "127.0.0.1:{port}"
[[audit.sinks]]
name = "hec"
type = "splunk"
url = "http://127.0.0.1:{splunk.port}"
token_file = "token"
[[audit.sinks]]
name = "es"
type = "elastic"
url = "http://127.0.0.1:{elastic.port}/es"
max_behind_events = 50
{more}
"""
    column = '[columns."public.customers.email"]'
    project.configure(change=(column, sinks + column))


def get(port: int, path: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()
    except OSError:
        return 0, ""


def samples(port: int) -> dict[str, float]:
    """Of the exposition, by its rules: HELP and TYPE once in front of each metric's samples."""
    _, text = get(port, "/metrics")
    found: dict[str, float] = {}
    kinds: dict[str, str] = {}
    for line in text.splitlines():
        if line.startswith("# TYPE "):
            name, kind = line.split()[2:]
            assert name not in kinds
            kinds[name] = kind
        elif not line.startswith("#"):
            read = re.fullmatch(
                r'([a-z_]+)(\{(?:[a-z]+="(?:[^"\\\n]|\\.)*",?)*\})? (-?[0-9.]+)', line
            )
            assert read is not None, line
            assert read[1] in kinds
            found[read[1] + (read[2] or "")] = float(read[3])
    assert set(kinds) == set(NAMES)
    return found


def auditor_of(proxy: ProxyProcess) -> int:
    """The pid of the child that is an auditor."""
    pid = proxy._process.pid
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    found = [c for c in children if b"auditor" in Path(f"/proc/{c}/cmdline").read_bytes()]
    return int(found[0]) if found else 0


def work(project: Project, proxy: ProxyProcess, number: int = 10) -> None:
    with project.connect(proxy) as connection:
        for _ in range(number):
            connection.execute(READ).fetchall()


def all_raws(project: Project) -> list[bytes]:
    return [line.raw for line in lines(log_files(project.audit_log))]


@pytest.mark.parametrize("workers", [pytest.param(1, marks=pytest.mark.long), 2])
def test_every_event_arrives_through_kills(
    project: Project, receivers: tuple[Splunk, Elastic], metrics_port: int, workers: int
) -> None:
    """kill -9 of the auditor in mid-work, a receiver that goes, files that are rotated and compressed, a restart of the
    proxy, kill -9 of the proxy: each receiver has each event of the log, in order, once by its uid.
    """
    configure(project, receivers, metrics_port)
    text = project.file.read_text()
    text = text.replace("[listen]\n", f"[listen]\nworkers = {workers}\n")
    text = "[audit]\nrotate_bytes = 65536\ncheckpoint_seconds = 1\n" + text
    project.file.write_text(text)
    project.sealed()
    splunk, elastic = receivers
    proxy = project.serve()
    eventually(lambda: auditor_of(proxy) and splunk.uids, 30)
    work(project, proxy, 40)
    os.kill(auditor_of(proxy), signal.SIGKILL)
    splunk.stop()
    work(project, proxy, 20)
    eventually(lambda: events(project, "auditor.lost") or len(log_files(project.audit_log)) > 1)
    splunk.start()
    eventually(lambda: auditor_of(proxy), 30)
    work(project, proxy, 20)
    assert proxy.stop() == 0
    assert splunk.distinct == all_raws(project)
    assert elastic.raws == all_raws(project)
    assert len(log_files(project.audit_log)) > 1
    proxy = project.serve()
    work(project, proxy, 10)
    eventually(lambda: auditor_of(proxy), 30)
    proxy.send(signal.SIGKILL)
    proxy.wait()
    eventually(lambda: not _alive(metrics_port), 30)
    proxy = project.serve()
    eventually(lambda: elastic.raws and splunk.distinct[-1:] == all_raws(project)[-1:], 30)
    assert proxy.stop() == 0
    raws = all_raws(project)
    assert splunk.distinct == raws
    assert elastic.raws == raws
    codes = [json.loads(raw)["metadata"]["event_code"] for raw in raws]
    assert codes.count("auditor.lost") == 1
    assert codes[-1] == "log.checkpoint"
    assert "log.unclean" in codes


def _alive(port: int) -> bool:
    return get(port, "/healthz")[0] != 0


@pytest.mark.parametrize("stopped", [False, pytest.param(True, marks=pytest.mark.long)])
def test_metrics_and_health(
    project: Project, receivers: tuple[Splunk, Elastic], metrics_port: int, stopped: bool
) -> None:
    """The numbers are those of what was done; no label names a login, an address or a statement."""
    configure(project, receivers, metrics_port)
    project.sealed()
    with socket.create_server(
        ("127.0.0.1", metrics_port)
    ):  # taken for a while: sinks work all the same
        proxy = project.serve()
        eventually(lambda: receivers[1].uids, 30)
    eventually(lambda: get(metrics_port, "/readyz")[0] == 200, 30)
    work(project, proxy, 7)
    connection = project.connect(proxy)
    eventually(
        lambda: samples(metrics_port).get('sealgate_events_total{code="statement.read"}') == 7
    )
    eventually(lambda: samples(metrics_port)["sealgate_sessions"] == 1)
    found = samples(metrics_port)
    cells = 'sealgate_cells_total{column="public.customers.email",outcome="clear"}'
    assert found[cells] == 7
    assert found['sealgate_logins_total{outcome="succeeded"}'] == 2
    assert found["sealgate_accepting"] == found["sealgate_workers"] == 1
    assert found["sealgate_log_lost_events"] == 0
    assert found['sealgate_sink_up{sink="es"}'] == 1
    text = get(metrics_port, "/metrics")[1]
    for secret in ("cli_app", "127.0.0.1", "SELECT", "amina", TOKEN):
        assert secret not in text
    assert get(metrics_port, "/healthz") == (200, "ok\n")
    assert get(metrics_port, "/elsewhere")[0] == 404
    connection.close()
    receivers[1].stop()
    work(project, proxy, 60)
    eventually(lambda: get(metrics_port, "/readyz")[0] == 503, 20)
    assert "the sink es is" in get(metrics_port, "/readyz")[1]
    assert get(metrics_port, "/healthz")[0] == 200
    assert samples(metrics_port)['sealgate_sink_behind_events{sink="es"}'] > 50
    receivers[1].start()
    eventually(lambda: get(metrics_port, "/readyz")[0] == 200, 60)
    if stopped:
        os.kill(proxy._process.pid, signal.SIGSTOP)
        try:
            eventually(lambda: get(metrics_port, "/healthz")[0] == 503, 30)
        finally:
            os.kill(proxy._process.pid, signal.SIGCONT)
    eventually(lambda: get(metrics_port, "/healthz")[0] == 200)
    assert proxy.stop() == 0


def test_a_proxy_that_says_nothing_is_not_healthy(monkeypatch: pytest.MonkeyPatch) -> None:
    """What it said last counts for some seconds, here for less; with its next word it is healthy again."""
    monkeypatch.setattr("proxy.auditor.metrics.STALE", 1.0)
    service = Service()
    board = Board(service, Census([]), (), Pulse(lambda: None))
    endpoint = Endpoint(("127.0.0.1", 0), board)
    endpoint.start()

    def well() -> bool:
        service.hear({"accepting": 1, "ready": 1})
        return get(endpoint.port, "/healthz") == (200, "ok\n")

    for _ in range(2):
        eventually(well)
        eventually(lambda: get(endpoint.port, "/healthz")[0] == 503)
        assert "has said nothing for 1 seconds" in get(endpoint.port, "/healthz")[1]
        assert get(endpoint.port, "/readyz")[0] == 503
    endpoint.stop()


def test_hostile_scrapes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who speaks nonsense, or nothing, or comes with a crowd, keeps nobody else from an answer for long."""
    monkeypatch.setattr("proxy.auditor.metrics._Answer.timeout", 1.0)
    service = Service()

    def ready() -> bool:
        service.hear({"accepting": 1, "ready": 1})
        return get(endpoint.port, "/readyz") == (200, "ok\n")

    endpoint = Endpoint(("127.0.0.1", 0), Board(service, Census([]), (), Pulse(lambda: None)))
    endpoint.start()
    place = ("127.0.0.1", endpoint.port)
    silent = []
    for _ in range(40):
        silent.append(socket.create_connection(place))
        time.sleep(0.005)  # it accepts each: an overrun backlog would cost seconds of TCP's
    for content in (
        b"\0" * 100,
        b"GET " + b"x" * 100_000 + b" HTTP/1.1\r\n\r\n",
        b"POST / HTTP/1.1\r\n\r\n",
    ):
        with socket.create_connection(place) as sock, contextlib.suppress(OSError):
            sock.sendall(content)
    eventually(ready, 20)
    for sock in silent:
        sock.close()
    service.hear({"accepting": 0, "ready": 0, "lost": 3, "mode": 'a"b\\c\n'})
    assert get(endpoint.port, "/healthz") == (
        503,
        "the access log cannot be written: 3 events lost\n",
    )
    assert len(get(endpoint.port, "/readyz")[1].splitlines()) == 3
    assert samples(endpoint.port)["sealgate_log_writable"] == 0
    service.hear({"accepting": 1, "ready": 1, "failing": 1})
    assert get(endpoint.port, "/healthz") == (503, "the access log could not be written\n")
    assert samples(endpoint.port)["sealgate_log_writable"] == 0
    endpoint.stop()


def test_what_is_said_before_the_auditor_listens_is_not_lost() -> None:
    """A slow start: the configuration and the first word of the proxy's state arrive in one piece."""
    own, theirs = socket.socketpair()
    with own, theirs:
        own.sendall(b'{"file":"f","text":"t","log":"json"}\n{"status":{}}\n')
        assert _greeting(theirs) == {"file": "f", "text": "t", "log": "json"}
        assert Channel(theirs).receive() == [{"status": {}}]
        own.close()
        theirs.setblocking(True)
        assert _greeting(theirs) is None


def test_a_reload_changes_sinks(
    project: Project, receivers: tuple[Splunk, Elastic], metrics_port: int
) -> None:
    """SIGHUP with another sink: the auditor is replaced, is not called lost, and the new sink gets the whole log."""
    configure(project, receivers, metrics_port)
    project.sealed()
    third = Splunk()
    proxy = project.serve()
    eventually(lambda: events(project, "auditor.started"), 30)
    configure(
        project, receivers, metrics_port,
        f'[[audit.sinks]]\nname = "third"\ntype = "splunk"\nurl = "http://127.0.0.1:{third.port}"\ntoken_file = "token"\n',
    )  # fmt: skip
    proxy.send(signal.SIGHUP)
    eventually(lambda: len(events(project, "auditor.started")) == 2, 30)
    assert proxy.stop() == 0
    third.stop()
    assert third.raws == all_raws(project)
    assert receivers[1].raws == all_raws(project)
    assert not events(project, "auditor.lost")
    verified_by(project, "third.jsonl", third.raws)
    copies = [json.dumps({"_source": found}).encode() for found in receivers[1].documents.values()]
    verified_by(project, "es.jsonl", copies)


def verified_by(project: Project, name: str, copy: list[bytes]) -> None:
    """What arrived agrees with the log; and a log whose last events were taken away with its state does not with it."""
    file = project.directory / name
    file.write_bytes(b"\n".join(copy) + b"\n")
    state = str(project.directory / "audit.jsonl.state")
    log = str(project.audit_log)
    keys = ("--public-key", f"{state}/signing.pub", "--seal-key", f"{state}/seal.key")
    command = ["audit", "verify", *keys, "--copy", str(file)]
    assert main([*command, log]) == 0, project.capsys.readouterr()
    shorter = project.directory / "shorter.jsonl"
    shorter.write_bytes(b"".join(project.audit_log.read_bytes().splitlines(keepends=True)[:-3]))
    assert main([*command, str(shorter)]) not in (0, 1, 2), project.capsys.readouterr()


def test_a_stop_does_not_wait_for_a_receiver_that_is_down(
    project: Project,
    receivers: tuple[Splunk, Elastic],
    metrics_port: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What waits goes on at the next start; `drain_seconds` (30) are for receivers that take events.

    And the auditor, while it runs: no password in its environment, last in line for the processor.
    """
    configure(project, receivers, metrics_port)
    project.sealed()
    receivers[0].stop()
    monkeypatch.setenv("PGPASSWORD", "pw-canary")
    proxy = project.serve()
    eventually(lambda: events(project, "sink.failed"), 30)
    pid = auditor_of(proxy)
    for file in ("environ", "cmdline"):
        content = Path(f"/proc/{pid}/{file}").read_bytes()
        assert b"pw-canary" not in content
        assert TOKEN.encode() not in content
    own = os.getpriority(os.PRIO_PROCESS, proxy._process.pid)
    assert os.getpriority(os.PRIO_PROCESS, pid) - own >= 10
    began = time.monotonic()
    assert proxy.stop() == 0
    assert time.monotonic() - began < 20
    assert receivers[1].raws == all_raws(project)


def test_a_sink_may_have_any_name(project: Project, receivers: tuple[Splunk, Elastic]) -> None:
    """Also one that means something to the operations log, in which a stop says that a sink is behind."""
    sink = f'[[audit.sinks]]\nname = "event"\ntype = "elastic"\nurl = "http://127.0.0.1:{receivers[1].port}"\n'
    receivers[1].stop()
    project.configure(change=("[control]", sink + "[control]"))
    project.sealed()
    proxy = project.serve()
    eventually(lambda: events(project, "sink.failed"), 30)
    assert proxy.stop() == 0
    said = proxy.log.read_text()
    assert "sinks are behind" in said
    assert "uncaught" not in said


def test_an_auditor_that_never_works_does_not_fill_the_log() -> None:
    """Each attempt is an event: some 300 in a day, not thousands."""
    pauses = [_pause(failures) for failures in range(1, 10_000)]
    assert pauses[:3] == [0.5, 1, 2]
    assert pauses == sorted(pauses)
    assert sum(pauses[:300]) > 80_000
    assert pauses[-1] == 300


def test_an_auditor_that_cannot_work_is_lost_with_its_reason(project: Project) -> None:
    """The proxy serves on; the log says why nothing is sent, and that it is again once it can be."""
    project.configure(
        change=("[control]", '[[audit.sinks]]\nname = "out"\ntype = "stdout"\n[control]')
    )
    project.sealed()
    cursors = project.directory / "audit.jsonl.state" / "sinks"
    cursors.parent.mkdir(mode=0o700, exist_ok=True)
    cursors.write_text("no directory")
    proxy = project.serve()
    eventually(lambda: events(project, "auditor.lost"), 30)
    assert "exists" in events(project, "auditor.lost")[0]["unmapped"]["sealgate"]["reason"]
    work(project, proxy, 1)
    cursors.unlink()
    eventually(lambda: events(project, "auditor.started"), 40)
    assert proxy.stop() == 0
