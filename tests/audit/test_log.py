"""The access log on a real file system: whole lines or none, whatever goes wrong."""

from __future__ import annotations

import errno
import fcntl
import os
import resource
import stat
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings

from proxy.audit.event import Event, session_opened
from proxy.audit.log import AuditFailed, AuditLog
from proxy.audit.log_file import LINE_LIMIT, append
from tests.audit.chained import chained
from tests.audit.examples import READ, SUPPORT, examples, executed
from tests.audit.published import problems
from tests.audit.test_event import EVENTS

EVENT = executed(SUPPORT, READ)
NOW = 1795364924120


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "audit.jsonl"


def lines(path: Path) -> list[Event]:
    """Every event of a log in which every line is an event, behind the first, which says that the log begins."""
    data = path.read_bytes()
    assert data == b"" or data.endswith(b"\n")
    events = [orjson.loads(line) for line in data.splitlines()]
    return [e for e in events if e["metadata"].get("event_code") != "log.begun"]


def said(event: Event) -> Event:
    """What only Sealgate says of an event, without its place in the chain."""
    ours: Event = event["unmapped"]["sealgate"]
    return {key: value for key, value in ours.items() if key != "integrity"}


def kinds(path: Path) -> list[str]:
    return [event["metadata"]["event_code"] for event in lines(path)]


@contextmanager
def file_size_limit(size: int) -> Iterator[None]:
    """Writes past `size` stop half way, then fail with EFBIG: a full disk without one."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_an_event_is_one_line_of_json(path: Path) -> None:
    """Time, uid, sequence and writer are added; the rest is the event as it was built."""
    log = AuditLog(path, clock=lambda: NOW)
    log.write(EVENT)
    (written,) = lines(path)
    assert written["time"] == NOW
    stamp = {name: written["metadata"].pop(name) for name in ("uid", "sequence", "log_source")}
    assert stamp["sequence"] == 2
    assert len(stamp["uid"]) == 26
    integrity = written["unmapped"]["sealgate"].pop("integrity")
    assert integrity["prev"] != "0" * 64
    assert written == orjson.loads(orjson.dumps(EVENT | {"time": NOW}))


def test_writing_leaves_the_event_alone(path: Path) -> None:
    """Parts of events are shared, so the log adds to a copy."""
    before = orjson.dumps(EVENT)
    AuditLog(path).write(EVENT)
    assert orjson.dumps(EVENT) == before


def test_every_kind_is_valid_as_written(path: Path) -> None:
    """The schema has nothing against what the log adds either."""
    log = AuditLog(path)
    for event in examples().values():
        log.write(event)
    assert [problem for event in lines(path) for problem in problems(event)] == []


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(event=EVENTS)
def test_hostile_strings_write_exactly_one_line(path: Path, event: Event) -> None:
    """Whatever a client calls itself adds one newline to the file, the last byte."""
    log = AuditLog(path)
    before = path.stat().st_size
    log.write(event)
    log.close()
    written = path.read_bytes()[before:]
    assert written.count(b"\n") == 1
    assert written.endswith(b"\n")
    assert len(written.decode().splitlines()) == 1  # also by Unicode's idea of a line


def test_the_file_is_the_owners_alone(path: Path) -> None:
    """Mode 0600, whatever the umask allows."""
    old = os.umask(0)
    try:
        AuditLog(path)
    finally:
        os.umask(old)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_sequence_and_uids_go_on_after_a_restart(path: Path) -> None:
    """Numbers follow the last line of the file; uids are unique and sort by time; writers differ."""
    for start in range(3):
        log = AuditLog(path, clock=lambda: NOW)
        for _ in range(5):
            log.write(EVENT)
        log.close()
        assert log.status.sequence == 5 * (start + 1) + 1
    assert chained(path).sequences == list(range(1, 17))
    metadata = [event["metadata"] for event in lines(path)]
    assert len({m["uid"] for m in metadata}) == 15
    assert len({m["log_source"] for m in metadata}) == 3
    one_writer = [m["uid"] for m in metadata[:5]]
    assert one_writer == sorted(one_writer)


def test_a_clock_that_steps_back_does_not_take_the_uids_along(path: Path) -> None:
    """`time` says what the clock said; uids stay unique and in order."""
    times = iter([NOW, NOW, NOW, NOW - 60_000, NOW - 60_000, NOW + 1])
    log = AuditLog(path, clock=lambda: next(times))
    for _ in range(4):
        log.write(EVENT)
    uids = [event["metadata"]["uid"] for event in lines(path)]
    assert [event["time"] - NOW for event in lines(path)] == [0, -60_000, -60_000, 1]
    assert uids == sorted(set(uids))


def test_the_uid_begins_with_the_time(path: Path) -> None:
    """A ULID: the first ten digits are the milliseconds, base 32."""
    AuditLog(path, clock=lambda: NOW).write(EVENT)
    alphabet = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
    value = 0
    for digit in lines(path)[0]["metadata"]["uid"][:10]:
        value = value * 32 + alphabet.index(digit)
    assert value == NOW


def test_a_write_that_stops_half_way_leaves_nothing(path: Path) -> None:
    """At any point in the line: AuditFailed, the file as before, a status that says so."""
    AuditLog(path).write(EVENT)
    whole = path.read_bytes()
    for room in range(0, len(whole.splitlines()[1]), 97):
        log = AuditLog(path)
        with file_size_limit(len(whole) + room), pytest.raises(AuditFailed, match="File too large"):
            log.write(EVENT)
        log.close()
        assert path.read_bytes() == whole
        assert not log.status.ok


def test_after_failures_the_log_says_how_many_it_lost(path: Path) -> None:
    """The first thing written again is the number, the time of the first and the reason."""
    log = AuditLog(path, clock=lambda: NOW)
    log.write(EVENT)
    with file_size_limit(path.stat().st_size + 10):
        for _ in range(3):
            with pytest.raises(AuditFailed):
                log.write(EVENT)
    assert (log.status.ok, log.status.lost, log.status.since) == (False, 3, NOW)
    log.write(EVENT)
    assert log.status.ok
    assert kinds(path) == ["statement.read", "log.resumed", "statement.read"]
    assert [event["metadata"]["sequence"] for event in lines(path)] == [2, 3, 4]
    assert said(lines(path)[1]) == {"lost": 3, "since": NOW, "reason": "File too large"}
    assert chained(path).kinds[0] == "log.begun"


def test_room_for_the_notice_but_not_for_the_event(path: Path) -> None:
    """The notice counts what was lost before it; the event that still does not fit is counted next."""
    log = AuditLog(path)
    log.write(EVENT)
    size = path.stat().st_size
    with file_size_limit(size + 900):
        for _ in range(2):
            with pytest.raises(AuditFailed):
                log.write(EVENT)
    log.write(EVENT)
    losses = [event["unmapped"]["sealgate"].get("lost") for event in lines(path)]
    assert sum(filter(None, losses)) == 2
    assert kinds(path)[-1] == "statement.read"


def test_a_full_disk_is_a_failure_with_the_systems_words() -> None:
    """/dev/full is a disk with no room: the error names it, nothing else."""
    fd = os.open("/dev/full", os.O_WRONLY)
    try:
        with pytest.raises(OSError, match="No space left on device"):
            append(fd, b"{}\n", 0)
    finally:
        os.close(fd)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 64 kB; skipped where mounting is not allowed."""
    mount = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "sealgate-test", str(tmp_path)],
        capture_output=True,
        check=False,
    )
    if mount.returncode:
        pytest.skip("mounting a tmpfs is not allowed here")
    try:
        yield tmp_path
    finally:
        subprocess.run(["umount", "-l", str(tmp_path)], check=True)


def test_a_disk_that_fills_and_is_cleared(small_disk: Path) -> None:
    """Every event until it is full, then AuditFailed, and on again with the count of the lost."""
    path = small_disk / "audit.jsonl"
    ballast = small_disk / "ballast"
    ballast.write_bytes(bytes(16 * 1024))
    log = AuditLog(path)
    with pytest.raises(AuditFailed, match="No space left on device"):
        write_until_it_fails(log)
    written = log.status.sequence
    assert written > 5
    assert kinds(path) == ["statement.read"] * (written - 1)
    ballast.unlink()
    log.write(EVENT)
    assert kinds(path)[written - 1 :] == ["log.resumed", "statement.read"]
    log.close()


def test_room_for_small_events_is_no_health(path: Path) -> None:
    """On a full disk what is small may still fit: the loss is told, and the log is not well before a checkpoint is written."""
    log = AuditLog(path)
    log.write(EVENT)
    assert not log.status.failing
    with file_size_limit(path.stat().st_size), pytest.raises(AuditFailed):
        log.checkpoint()
    assert log.status.failing
    assert not log.status.lost
    log.checkpoint()
    assert not log.status.failing
    with file_size_limit(path.stat().st_size), pytest.raises(AuditFailed):
        log.write(EVENT)
    assert log.status.failing
    log.write(EVENT)
    assert not log.status.lost
    assert log.status.failing
    log.checkpoint()
    assert not log.status.failing
    log.close()


def write_until_it_fails(log: AuditLog) -> None:
    for _ in range(1000):
        log.write(EVENT)


def test_a_disk_that_becomes_read_only(small_disk: Path) -> None:
    """Opening on a read-only file system fails with the reason."""
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    with pytest.raises(AuditFailed, match="Read-only file system"):
        AuditLog(small_disk / "audit.jsonl")


def test_no_directory_no_log(tmp_path: Path) -> None:
    """A path that cannot be opened is a failure when opening, not at the first event."""
    with pytest.raises(AuditFailed, match="No such file or directory"):
        AuditLog(tmp_path / "nowhere" / "audit.jsonl")


def test_only_a_regular_file_is_a_log(tmp_path: Path) -> None:
    """/dev/null would take every event and keep none; a pipe could block the proxy."""
    os.mkfifo(tmp_path / "pipe")
    for path in (Path("/dev/null"), tmp_path / "pipe"):
        with pytest.raises(AuditFailed, match="not a regular file"):
            AuditLog(path)


@pytest.mark.parametrize("mode", [0o620, 0o602, 0o666])
def test_a_file_that_others_may_write_is_no_evidence(path: Path, mode: int) -> None:
    """Refused, with the command that mends it; a group that may read is the operator's choice."""
    path.touch()
    path.chmod(mode)
    with pytest.raises(AuditFailed, match="chmod go-w"):
        AuditLog(path)
    path.chmod(0o640)
    AuditLog(path).write(EVENT)


def test_reopen_follows_rotation(path: Path) -> None:
    """After the file was moved, reopen goes on in a new one; sequence unbroken, nothing lost."""
    log = AuditLog(path)
    log.write(EVENT)
    path.rename(path.with_suffix(".1"))
    log.write(EVENT)  # logrotate has moved the file and not signalled yet
    log.reopen()
    log.write(EVENT)
    found = chained(path, path.with_suffix(".1"))
    assert found.kinds == [
        "log.begun",
        "statement.read",
        "statement.read",
        "log.rotated",
        "statement.read",
    ]
    assert found.sequences == [1, 2, 3, 4, 5]
    assert said(found.events[3]) == {"file": "audit.1"}
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_failed_reopen_stays_in_the_old_file(path: Path) -> None:
    """Rotation gone wrong is an error to report; events are still written."""
    log = AuditLog(path)
    path.rename(path.with_suffix(".1"))
    path.mkdir()
    with pytest.raises(AuditFailed, match="Is a directory"):
        log.reopen()
    log.write(EVENT)
    assert len(lines(path.with_suffix(".1"))) == 1


def test_no_descriptor_is_left_behind(path: Path) -> None:
    """Reopening and failing to open close what they opened."""

    def descriptors() -> int:
        return len(list(Path("/proc/self/fd").iterdir()))

    log = AuditLog(path)
    before = descriptors()
    for _ in range(5):
        log.reopen()
        with pytest.raises(AuditFailed):
            AuditLog(Path("/dev/null"))
    assert descriptors() == before
    log.close()
    assert descriptors() == before - 2  # the file, and the word that a service runs


def test_a_closed_log_says_so(path: Path) -> None:
    """Writing after close is AuditFailed, never silence; closing twice is nothing."""
    log = AuditLog(path)
    log.close()
    log.close()
    with pytest.raises(AuditFailed, match="closed"):
        log.write(EVENT)


@pytest.mark.parametrize("bad", [object(), "\ud800", 1 << 70])
def test_an_event_that_is_no_json_fails_without_its_content(path: Path, bad: Any) -> None:
    """The error holds nothing of the event and shows no cause; the file is as before."""
    log = AuditLog(path)
    with pytest.raises(AuditFailed, match="not JSON") as failed:
        log.write(EVENT | {"message": {"canary": bad}})
    assert "canary" not in repr(failed.value)
    assert failed.value.__suppress_context__
    assert kinds(path) == []


def test_an_endless_event_fails(path: Path) -> None:
    """What the builders' caps should have stopped is stopped here."""
    log = AuditLog(path)
    with pytest.raises(AuditFailed, match="too long"):
        log.write(EVENT | {"message": "x" * LINE_LIMIT})
    assert kinds(path) == []


def test_a_held_lock_delays_and_then_fails(path: Path) -> None:
    """Another program that locks the file cannot stop the proxy, only the log."""
    log = AuditLog(path)
    holder = path.open("rb")
    fcntl.flock(holder, fcntl.LOCK_EX)
    begun = time.monotonic()
    with pytest.raises(AuditFailed, match=os.strerror(errno.EAGAIN)):
        log.write(EVENT)
    assert 0.3 < time.monotonic() - begun < 2
    begun = time.monotonic()
    for _ in range(20):
        with pytest.raises(AuditFailed):
            log.write(EVENT)
    assert time.monotonic() - begun < 0.3  # waits once, not for every event
    holder.close()
    log.write(EVENT)
    assert kinds(path) == ["log.resumed", "statement.read"]


SHARING = """
import resource, sys
from pathlib import Path
from proxy.audit.log import AuditFailed, AuditLog
from tests.audit.chained import chained
from tests.audit.examples import READ, SUPPORT, executed
path, unlucky = Path(sys.argv[1]), sys.argv[2] == "unlucky"
log = AuditLog(path)
event = executed(SUPPORT, READ)
print("up", flush=True)
sys.stdin.readline()
for n in range(1500):
    if unlucky:
        limit = path.stat().st_size + 700 if n % 3 else resource.RLIM_INFINITY
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
    try:
        log.write(event)
    except AuditFailed as error:
        assert unlucky and "File too large" in str(error), error
"""


def test_several_processes_share_a_file(path: Path) -> None:
    """Three writers at once, one of them stopped half way two times out of three: every line is an
    event, and they go on with one chain.
    """
    with ExitStack() as stack:
        writers = [
            stack.enter_context(
                subprocess.Popen(
                    [sys.executable, "-c", SHARING, str(path), luck],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    text=True,
                )
            )
            for luck in ("lucky", "lucky", "unlucky")
        ]
        for writer in writers:
            assert writer.stdout is not None
            assert writer.stdout.readline() == "up\n"
        for writer in writers:
            assert writer.stdin is not None
            writer.stdin.write("go\n")
            writer.stdin.flush()
    assert [writer.returncode for writer in writers] == [0, 0, 0]
    sources = Counter(
        event["metadata"]["log_source"]
        for event in chained(path).events
        if event["metadata"]["event_code"] == "statement.read"
    )
    assert len(sources) == 3
    assert sorted(sources.values())[1:] == [1500, 1500]


def test_session_events_are_small(path: Path) -> None:
    """A session costs the log well under a kilobyte per event."""
    log = AuditLog(path)
    before = path.stat().st_size
    log.write(session_opened(SUPPORT))
    assert path.stat().st_size - before < 1200
