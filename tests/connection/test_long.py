"""The shell while another thread reads a long message: what happens meanwhile happens afterwards, in its order."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from typing import Any, cast

import pytest

from proxy.audit.entry import Entry
from proxy.audit.log import AuditLog
from proxy.audit.values import ACK
from proxy.compiled import compiled
from proxy.connection import Client, Server
from proxy.effects import Close, Effect, Record, ToClient, ToServer
from proxy.group_commit import GroupCommit
from proxy.listener import Listener
from proxy.turns import Turns
from proxy.wire.framing import LONG

STAND_INS = pytest.mark.skipif(
    compiled(), reason="a compiled Client takes no stand-in for its session: make test-pure runs it"
)
pytestmark = STAND_INS


class Transport:
    """Notes what is done with it."""

    def __init__(self, notes: list[str], name: str) -> None:
        self._notes = notes
        self._name = name
        self.reading = True
        self.closed = self.aborted = False
        self.left: Callable[[], int] = lambda: 0
        """Bytes that the peer has not taken."""
        self.looks = 0

    def get_write_buffer_size(self) -> int:
        self.looks += 1
        return self.left()

    def write(self, data: bytes) -> None:
        self._notes.append(f"{self._name} < {data[:9].decode()}")

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True

    def is_closing(self) -> bool:
        return self.closed

    def close(self) -> None:
        self.closed = True
        self._notes.append(f"{self._name} closed")

    def abort(self) -> None:
        self.aborted = True
        self.close()

    def set_write_buffer_limits(self, high: int) -> None:
        pass

    def get_extra_info(self, name: str) -> Any:
        return None


class Core:
    """A session in which reading what completes a long message takes until `finish` is set."""

    def __init__(self, notes: list[str]) -> None:
        self._notes = notes
        self.client_missing = 0
        self.server_missing = 0
        self.holding_long = False
        self.holding = False
        self.idle = False
        self.fails = False
        self.finish = threading.Event()
        self.threads: list[int] = []

    @property
    def long(self) -> bool:
        return self.client_missing > 0 or self.server_missing > 0 or self.holding_long

    def away(self) -> None:
        self._notes.append("away")

    def back(self) -> None:
        self._notes.append("back")

    def client_data(self, data: bytes) -> list[Effect]:
        return self._take("client", data, ToServer(data))

    def server_data(self, data: bytes) -> list[Effect]:
        return self._take("server", data, ToClient(data))

    def catalog_refreshed(self, *, taken: bool) -> list[Effect]:
        return self._take("catalog", b"long" if self.holding_long else b"", ToServer(b"resumed"))

    def _take(self, who: str, data: bytes, effect: Effect) -> list[Effect]:
        self.threads.append(threading.get_ident())
        if data.startswith(b"long"):
            assert self.finish.wait(10)
            self.client_missing = self.server_missing = 0
            self.holding_long = False
            if self.fails:
                raise MemoryError
        return [Record({"metadata": {"event_code": who}}), effect]

    def client_gone(self) -> list[Effect]:
        return [Record({"metadata": {"event_code": "client gone"}}), Close("client gone")]

    def server_gone(self) -> list[Effect]:
        return [Close("server gone")]

    def shut_down(self) -> list[Effect]:
        return [ToClient(b"shut down"), Close("shut down")]


class Audit:
    def __init__(self, notes: list[str]) -> None:
        self._notes = notes
        self.fails: Exception | None = None

    def mode_of(self, _: Entry) -> int:
        return ACK

    def write_unsynced(self, entries: list[Entry]) -> None:
        if self.fails is not None:
            raise self.fails
        for entry in entries:
            self._notes.append(f"record {entry.event['metadata']['event_code']}")


class Stage:
    """A client, its server connection and a scripted session."""

    def __init__(self, commits: GroupCommit | None = None) -> None:
        self.notes: list[str] = []
        self.core = Core(self.notes)
        self.turns = Turns()
        self.audit = Audit(self.notes)
        self.commits = commits or GroupCommit(cast(AuditLog, self.audit))
        self.release_unrecorded = False
        self.client = Client(cast(Listener, self), "1")
        self.near = Transport(self.notes, "client")
        self.far = Transport(self.notes, "server")
        self.server = Server(self.client, self.turns)
        vars(self.client).update(_session=self.core, _server=self.server)
        vars(type(self.client))["_speak_through"](self.client, self.near)
        self.server.connection_made(cast(asyncio.Transport, self.far))

    def left(self, client: Client) -> None:
        self.notes.append("left")

    async def until(self, condition: Callable[[], bool]) -> None:
        for _ in range(10_000):
            if condition():
                return
            await asyncio.sleep(0.001)
        raise AssertionError(self.notes)

    async def finish(self, last: str) -> list[str]:
        """Let the other thread end; everything that was noted, up to this."""
        self.core.finish.set()
        await self.until(lambda: last in self.notes)
        return self.notes

    @property
    def reading(self) -> tuple[bool, bool]:
        return self.near.reading, self.far.reading


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    stage = Stage()
    yield stage
    stage.core.finish.set()


async def test_a_short_message_is_worked_off_as_it_arrives(stage: Stage) -> None:
    """No thread, no waiting but for the log: the effects have happened when the loop's round is over."""
    stage.client.data_received(b"short")
    assert stage.notes == []
    await asyncio.sleep(0)
    assert stage.notes == ["record client", "server < short"]
    assert stage.core.threads == [threading.get_ident()]


async def test_what_arrives_meanwhile_waits_in_order(stage: Stage) -> None:
    """Nothing is performed while the thread works, neither side is read further, and then all happens in its order."""
    stage.core.client_missing = 4
    stage.client.data_received(b"long")
    stage.server.data_received(b"s1")
    stage.client.data_received(b"c2")
    stage.server.data_received(b"s3")
    assert stage.notes == ["away"]
    assert stage.reading == (False, False)
    assert await stage.finish("client < s3") == [
        "away",
        "back",
        *("record client", "server < long"),
        *("record server", "client < s1"),
        *("record client", "server < c2"),
        *("record server", "client < s3"),
    ]
    assert stage.core.threads[0] != threading.get_ident()
    assert set(stage.core.threads[1:]) == {threading.get_ident()}
    await stage.until(lambda: stage.reading == (True, True))


async def test_only_the_bytes_that_complete_a_long_message_leave_the_loop(stage: Stage) -> None:
    """Those before it are collected, those behind it, but for what is one piece with it, are read in the loop again."""
    stage.core.client_missing = 4
    stage.client.data_received(b"cut")
    await asyncio.sleep(0)
    assert stage.notes == ["record client", "server < cut"]
    stage.core.client_missing = 4
    stage.client.data_received(b"long" + b"x" * (2 * LONG))
    assert stage.notes[2:] == ["away"]
    await stage.finish("server < xxxxxxxxx")
    assert stage.notes[3:6] == ["back", "record client", "server < longxxxxx"]
    assert stage.core.threads[1] != threading.get_ident()
    assert set(stage.core.threads[2:]) == {threading.get_ident()}


async def test_a_long_row_is_read_in_a_thread(stage: Stage) -> None:
    """The server's direction is the client's in reverse; while it is away the client's bytes wait."""
    stage.core.server_missing = 4
    stage.server.data_received(b"long")
    stage.client.data_received(b"c1")
    assert stage.notes == ["away"]
    notes = await stage.finish("server < c1")
    assert notes[1:] == ["back", "record server", "client < long", "record client", "server < c1"]


async def test_word_from_the_server_may_free_a_long_message(stage: Stage) -> None:
    """What the client sent and waits is read in a thread, whatever the server's bytes are."""
    stage.core.holding_long = True
    stage.server.data_received(b"long waited for")
    assert stage.notes == ["away"]
    assert (await stage.finish("client < long wait"))[1] == "back"


async def test_a_new_catalog_may_free_a_long_message(stage: Stage) -> None:
    """So may a look at the catalog."""
    stage.core.holding_long = True
    stage.client._happened(5)  # what the look at the catalog ends with
    stage.server.data_received(b"s1")
    assert stage.notes == ["away"]
    notes = await stage.finish("client < s1")
    assert notes[1:4] == ["back", "record catalog", "server < resumed"]


async def test_a_client_that_goes_meanwhile_is_missed_afterwards(stage: Stage) -> None:
    """What it sent is performed, then its end: recorded, and the server's connection closed."""
    stage.core.client_missing = 4
    stage.client.data_received(b"long")
    stage.client.connection_lost(None)
    assert stage.notes == ["away"]
    notes = await stage.finish("left")
    assert notes[1:4] == ["back", "record client", "server < long"]
    assert "record client gone" in notes[4:]
    assert "server closed" in notes[4:]


async def test_a_server_that_goes_meanwhile_is_missed_afterwards(stage: Stage) -> None:
    """Its last words come before its end."""
    stage.core.client_missing = 4
    stage.client.data_received(b"long")
    stage.server.data_received(b"last")
    stage.server.connection_lost(None)
    notes = await stage.finish("client closed")
    assert notes.index("client < last") < notes.index("client closed")


async def test_the_proxy_stops_meanwhile(stage: Stage) -> None:
    """The farewell stands behind what the thread found; draining waits for it."""
    stage.core.client_missing = 4
    stage.client.data_received(b"long")
    stage.core.idle = True
    stage.client.drain()
    assert stage.notes == ["away"]
    notes = await stage.finish("client closed")
    assert notes.index("server < long") < notes.index("client < shut down")


async def test_a_thread_that_fails_ends_the_session(stage: Stage) -> None:
    """What escapes the session's own handling closes both connections, and the session is counted out."""
    stage.core.fails = True
    stage.core.client_missing = 4
    stage.client.data_received(b"long")
    notes = await stage.finish("left")
    assert "client closed" in notes
    assert "server closed" in notes
    assert "server < long" not in notes


async def test_no_thread_can_be_had(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """The session ends rather than that its message is read where it would keep all others waiting."""

    def refuse(*_: object) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(stage.turns, "in_thread", refuse)
    stage.core.client_missing = 4
    stage.client.data_received(b"long")
    assert "client closed" in stage.notes
    assert "left" in stage.notes
    assert "server < long" not in stage.notes


async def test_a_stream_is_cut_into_pieces_and_stays_the_same(stage: Stage) -> None:
    """The pieces are the stream, none is longer than it may be, and nothing that follows overtakes them."""
    stream = bytes(range(65, 91)) * 20_000
    sent: list[bytes] = []
    vars(stage.near)["write"] = sent.append
    stage.server.data_received(stream)
    stage.server.data_received(b"end")
    await stage.until(lambda: bool(sent) and sent[-1].endswith(b"end"))
    assert b"".join(sent) == stream + b"end"
    assert 1 < max(map(len, sent)) <= 64 * 1024


async def test_a_full_client_and_waiting_bytes_are_two_reasons(stage: Stage) -> None:
    """Both are read again only when the bytes have been worked off and the client takes what is said."""
    stage.core.server_missing = 4
    stage.server.data_received(b"long")
    stage.server.data_received(b"more")
    stage.client.pause_writing()
    await stage.finish("client < more")
    assert stage.reading == (False, False)
    stage.client.resume_writing()
    assert stage.reading == (True, True)
