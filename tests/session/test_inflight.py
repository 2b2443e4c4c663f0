"""The queue of what the server owes, and names that are announced before they are confirmed."""

from __future__ import annotations

from proxy.inflight import Inflight, Kind, Owed
from proxy.statements import Names


def queue(*kinds: Kind) -> Inflight:
    inflight = Inflight()
    for kind in kinds:
        inflight.push(Owed(kind))
    return inflight


def test_an_error_discards_up_to_the_next_sync() -> None:
    """What stands behind the Sync is still owed."""
    inflight = queue(Kind.PARSE, Kind.BIND, Kind.EXECUTE, Kind.SYNC, Kind.PARSE, Kind.SYNC)
    inflight.pop()
    inflight.fail()
    assert not inflight.skipping
    assert inflight.ready() is not None
    head = inflight.head
    assert head is not None
    assert head.kind == Kind.PARSE
    assert len(inflight) == 2


def test_an_error_without_a_sync_skips_until_it_comes() -> None:
    """Flush without Sync: the client will go on sending, and the server will go on discarding."""
    inflight = queue(Kind.PARSE, Kind.BIND)
    inflight.fail()
    assert inflight.skipping
    inflight.push(Owed(Kind.SYNC))
    assert not inflight.skipping
    assert len(inflight) == 1


def test_an_error_in_a_simple_query_waits_for_its_ready_for_query() -> None:
    """A Query's error ends nothing: ReadyForQuery does."""
    inflight = queue(Kind.QUERY)
    inflight.fail()
    assert not inflight.skipping
    ended = inflight.ready()
    assert ended is not None
    assert ended.kind == Kind.QUERY


def test_an_error_at_sync_does_not_skip() -> None:
    """A deferred constraint fails at commit: the Sync itself is answered by error and ReadyForQuery."""
    inflight = queue(Kind.SYNC, Kind.PARSE)
    inflight.fail()
    assert not inflight.skipping
    inflight.ready()
    assert len(inflight) == 1


def test_syncs_inside_copy_in_are_not_answered() -> None:
    """The server ignores Sync in copy-in mode: libpq pipelines one behind Execute and sends another after CopyDone."""
    inflight = queue(Kind.EXECUTE, Kind.SYNC)
    inflight.begin_copy_in()
    assert len(inflight) == 1
    inflight.push(Owed(Kind.SYNC))
    assert len(inflight) == 1
    inflight.push(Owed(Kind.COPY_END))
    inflight.push(Owed(Kind.SYNC))
    inflight.pop()
    head = inflight.head
    assert head is not None
    assert head.kind == Kind.SYNC


def test_copy_in_that_was_sent_in_one_piece() -> None:
    """Execute, Sync, data, CopyDone, Sync all sent before the server spoke: the first Sync goes unanswered."""
    inflight = queue(Kind.EXECUTE, Kind.SYNC, Kind.COPY_END, Kind.SYNC)
    inflight.begin_copy_in()
    inflight.pop()
    assert inflight.ready() is not None
    assert inflight.head is None


def test_a_refused_announcement_restores_the_older_meaning() -> None:
    """A failed Parse leaves the name what it was."""
    names: Names[str] = Names()
    names.set(b"s", "first").keep()
    change = names.set(b"s", "second")
    assert names.get(b"s") == "second"
    change.undo()
    assert names.get(b"s") == "first"


def test_undoing_under_a_newer_announcement_leaves_the_newer() -> None:
    """A pipelined second batch announced the name again before the first batch failed."""
    names: Names[str] = Names()
    first = names.set(b"s", "first")
    second = names.set(b"s", "second")
    first.undo()
    assert names.get(b"s") == "second"
    second.undo()
    assert names.get(b"s") is None
    assert len(names) == 0


def test_closing_a_name_forgets_it_once_confirmed() -> None:
    """Close is an announcement like another: it can fail, and it leaves nothing behind."""
    names: Names[str] = Names()
    names.set(b"s", "first").keep()
    close = names.set(b"s", None)
    assert names.get(b"s") is None
    close.undo()
    assert names.get(b"s") == "first"
    names.set(b"s", None).keep()
    assert len(names) == 0
