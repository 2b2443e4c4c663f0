"""One write for all sessions of a round: nobody's rows go before it, and nobody's trouble is somebody else's."""

from __future__ import annotations

import asyncio
from typing import cast

import pytest

from proxy.audit.entry import AS_CONFIGURED, Entry
from proxy.audit.log import LONGEST_ENTRY, AuditFailed, AuditLog
from proxy.audit.values import ACK
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
