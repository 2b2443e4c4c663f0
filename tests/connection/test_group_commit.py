"""One write for all sessions of a round: nobody's rows go before it, and nobody's trouble is somebody else's."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import cast

import pytest

from proxy.audit.entry import AS_CONFIGURED, Entry
from proxy.audit.log import LONGEST_ENTRY, AuditFailed, AuditLog
from proxy.audit.values import ACK, ASYNC, DURABLE
from proxy.effects import Close, Effect, Record, ToClient
from proxy.group_commit import GroupCommit
from tests.connection.test_long import STAND_INS, Stage

pytestmark = STAND_INS


class Log:
    """What is written, call by call; `fails` is raised instead."""

    def __init__(self) -> None:
        self.calls: list[list[str]] = []
        self.fails: Exception | None = None

    def mode_of(self, entry: Entry) -> int:
        return ACK if entry.mode == AS_CONFIGURED else entry.mode

    def write_unsynced(self, entries: list[Entry]) -> None:
        if any(entry.size > LONGEST_ENTRY for entry in entries):
            raise AuditFailed("too long")
        if self.fails is not None:
            raise self.fails
        self.calls.append([entry.event["metadata"]["event_code"] for entry in entries])


def two(log: Log, *, release_unrecorded: bool = False) -> tuple[Stage, Stage]:
    """Sessions of one listener."""
    commits = GroupCommit(cast(AuditLog, log))
    stages = Stage(commits), Stage(commits)
    for stage in stages:
        stage.release_unrecorded = release_unrecorded
    return stages


def refuse(stage: Stage) -> None:
    """What the core says when an event cannot be written."""

    def record_failed() -> list[Effect]:
        return [ToClient(b"sorry"), Close("")]

    vars(stage.core)["record_failed"] = record_failed


async def test_one_write_for_all_sessions_of_a_round() -> None:
    """Events in the order in which they came, and nothing behind them happens before the write."""
    log = Log()
    one, other = two(log)
    one.client.data_received(b"a")
    other.server.data_received(b"b")
    one.server.data_received(b"c")
    assert (one.notes, other.notes, log.calls) == ([], [], [])
    await asyncio.sleep(0)
    assert log.calls == [["client", "server"], ["server"]]
    assert one.notes == ["server < a", "client < c"]
    assert other.notes == ["client < b"]


async def test_what_a_session_does_meanwhile_waits_behind_its_event() -> None:
    """Also what needs no event itself."""
    log = Log()
    one, _ = two(log)
    one.client.data_received(b"a")
    one.client._perform([ToClient(b"later")])
    assert one.notes == []
    await asyncio.sleep(0)
    assert one.notes == ["server < a", "client < later"]
    one.client._perform([ToClient(b"at once")])
    assert one.notes[2:] == ["client < at once"]


@pytest.mark.parametrize("allowed", [False, True])
async def test_a_log_that_cannot_be_written(allowed: bool) -> None:
    """`deny`: every session of the round is refused and nothing of it is released; `allow`: all of it is."""
    log = Log()
    log.fails = AuditFailed("disk full")
    stages = two(log, release_unrecorded=allowed)
    for stage in stages:
        refuse(stage)
        stage.server.data_received(b"rows")
    await asyncio.sleep(0)
    for stage in stages:
        if allowed:
            assert stage.notes == ["client < rows"]
        else:
            assert stage.notes == ["client < sorry", "server closed", "client closed"]


async def test_a_log_that_fails_while_another_thread_has_the_core() -> None:
    """The core is not touched meanwhile: the session ends without a word, and what the thread brings is not released."""
    log = Log()
    log.fails = AuditFailed("disk full")
    stage, _ = two(log)
    stage.server.data_received(b"rows")
    stage.core.client_missing = 4
    stage.client.data_received(b"long")
    await asyncio.sleep(0)
    assert stage.near.aborted
    log.fails = None
    notes = await stage.finish("left")
    assert "client < rows" not in notes
    assert not any(note.startswith("client <") for note in notes)


async def test_an_event_that_cannot_be_written_is_nobody_elses_failure() -> None:
    """One that is too long fails its own session; those before and behind it are recorded."""
    log = Log()
    one, other = two(log)
    refuse(other)
    one.server.data_received(b"a")
    other.client._perform([Record({"metadata": {"x": "x" * LONGEST_ENTRY}}), ToClient(b"rows")])
    assert one.notes == ["client < a"]
    assert other.notes == ["client < sorry", "server closed", "client closed"]
    one.server.data_received(b"b")
    await asyncio.sleep(0)
    assert one.notes == ["client < a", "client < b"]
    assert log.calls == [["server"], ["server"]]


async def test_a_fault_ends_the_sessions_that_waited() -> None:
    """Whatever it is that failed: they do not wait for ever, and release nothing."""
    log = Log()
    log.fails = MemoryError()
    stages = two(log, release_unrecorded=True)
    for stage in stages:
        stage.server.data_received(b"rows")
    await asyncio.sleep(0)
    log.fails = None
    for stage in stages:
        assert stage.near.aborted
        assert "client < rows" not in stage.notes


async def test_what_one_session_raises_keeps_no_other_waiting() -> None:
    """All that waited for the write are called, those of the next one as well; then it is raised."""
    log = Log()
    commits = GroupCommit(cast(AuditLog, log))
    called: list[str] = []

    def raises(_: Exception | None) -> None:
        commits.add([Record({"metadata": {"event_code": "b"}}).entry], lambda _: called.append("b"))
        raise MemoryError

    for then in (raises, lambda _: called.append("a")):
        commits.add([Record({"metadata": {"event_code": "a"}}).entry], then)
    with pytest.raises(MemoryError):
        commits.commit()
    assert (called, log.calls) == (["a", "b"], [["a", "a"], ["b"]])


async def test_the_event_of_a_client_that_has_gone_is_written_before_it_is_forgotten() -> None:
    """The process may end when the last client has left: its events are on record by then."""
    log = Log()
    one, _ = two(log)
    one.server.data_received(b"a")
    one.client.connection_lost(None)
    assert log.calls == [["server"], ["client gone"]]
    assert one.notes.index("left") > one.notes.index("client < a")
    await asyncio.sleep(0)
    assert len(log.calls) == 2


class Modes:
    """A log whose writes and syncs are noted; the disk takes what `synced` lets through."""

    def __init__(self) -> None:
        self.notes: list[str] = []
        self.fails: AuditFailed | None = None
        self.broken = False
        self.synced = threading.Event()
        self.synced.set()
        self.lost = 0

    def mode_of(self, entry: Entry) -> int:
        return entry.mode

    def write_unsynced(self, entries: list[Entry]) -> None:
        if self.fails is not None:
            raise self.fails
        self.notes.append(f"write {len(entries)}")

    def syncing(self) -> Modes:
        self.notes.append("sync begins")
        return self

    def run(self) -> None:
        assert self.synced.wait(10)
        if self.broken:
            raise OSError(5, "Input/output error")
        self.notes.append("synced")

    def lose(self, count: int, reason: str) -> AuditFailed:
        self.lost += count
        return AuditFailed(reason)


async def until(happened: Callable[[], bool]) -> None:
    for _ in range(10_000):
        if happened():
            return
        await asyncio.sleep(0.001)
    raise AssertionError


def entry(mode: int) -> Entry:
    return Entry((b"", b"", b"", b"", b""), b"", mode)


def added(commits: GroupCommit, log: Modes, name: str, mode: int) -> None:
    def then(failed: Exception | None) -> None:
        log.notes.append(f"{name} {'released' if failed is None else failed}")

    commits.add([entry(mode)], then)


async def test_async_is_released_before_it_is_written() -> None:
    """All of a round, and one write follows for all that came within 20 ms."""
    log = Modes()
    commits = GroupCommit(cast(AuditLog, log))
    added(commits, log, "a", ASYNC)
    await asyncio.sleep(0)
    added(commits, log, "b", ASYNC)
    await asyncio.sleep(0)
    assert log.notes == ["a released", "b released"]
    await asyncio.sleep(0.1)
    assert log.notes[2:] == ["write 2"]


async def test_async_is_written_before_what_comes_later() -> None:
    """The order of events is that in which they came, whatever their modes; and few wait at a time."""
    log = Modes()
    commits = GroupCommit(cast(AuditLog, log))
    added(commits, log, "a", ASYNC)
    await asyncio.sleep(0)
    added(commits, log, "b", ACK)
    await asyncio.sleep(0)
    assert log.notes == ["a released", "write 2", "b released"]
    for _ in range(300):
        added(commits, log, "c", ASYNC)
    await asyncio.sleep(0)
    assert log.notes[3] == "write 300"
    commits.commit()
    assert log.notes.count("write 0") == 0


async def test_async_that_cannot_be_written_is_released_all_the_same() -> None:
    """Alone or with others; those who wait for the write hear of it."""
    log = Modes()
    log.fails = AuditFailed("disk full")
    commits = GroupCommit(cast(AuditLog, log))
    added(commits, log, "a", ASYNC)
    added(commits, log, "b", ACK)
    await asyncio.sleep(0)
    added(commits, log, "c", ASYNC)
    await asyncio.sleep(0.1)
    assert sorted(log.notes) == ["a released", "b disk full", "c released"]


async def test_durable_waits_for_the_disk_and_others_do_not() -> None:
    """One write for the round; ack goes on behind it, durable behind the sync; who comes meanwhile shares the next sync."""
    log = Modes()
    log.synced.clear()
    commits = GroupCommit(cast(AuditLog, log))
    added(commits, log, "a", DURABLE)
    added(commits, log, "b", ACK)
    await asyncio.sleep(0)
    assert log.notes == ["write 2", "b released", "sync begins"]
    for name in "cd":
        added(commits, log, name, DURABLE)
        await asyncio.sleep(0)
    assert log.notes[3:] == ["write 1", "write 1"]
    log.synced.set()
    await until(lambda: "d released" in log.notes)
    assert log.notes[5:] == ["synced", "a released", "sync begins", "synced", "c released", "d released"]  # fmt: skip


async def test_a_disk_that_fails_releases_nothing() -> None:
    """What was to be durable is counted as lost, and its sessions hear of it."""
    log = Modes()
    log.broken = True
    commits = GroupCommit(cast(AuditLog, log))
    added(commits, log, "a", DURABLE)
    await until(lambda: log.lost > 0)
    assert log.notes[-1] == "a Input/output error"
    assert log.lost == 1


async def test_now_is_now_also_for_the_disk() -> None:
    """`commit` leaves nobody waiting, neither for the round nor for the thread; that one has nobody to call then."""
    log = Modes()
    log.synced.clear()
    commits = GroupCommit(cast(AuditLog, log))
    added(commits, log, "a", DURABLE)
    await asyncio.sleep(0)
    added(commits, log, "b", DURABLE)
    threading.Timer(0.05, log.synced.set).start()
    commits.commit()
    assert [note for note in log.notes if note.endswith("released")] == ["a released", "b released"]
    await asyncio.sleep(0.05)
    assert log.notes.count("a released") == 1
    assert log.notes.index("a released") > log.notes.index("synced")
