"""How the two ends of a session end: nothing of it stays, with the proxy or with the server."""

from __future__ import annotations

import asyncio
import gc
import weakref
from collections.abc import Iterator

import pytest

import proxy.connection
from proxy.outlet import LONG_WRITE
from tests.connection.test_long import STAND_INS, Stage

pytestmark = STAND_INS


@pytest.fixture
def without_collector() -> Iterator[None]:
    """Objects that refer to each other in a circle stay."""
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("without_collector")
@pytest.mark.parametrize("size", [1, LONG_WRITE + 1])
async def test_an_ended_session_is_no_cycle(size: int) -> None:
    """Both ends go as soon as both connections are lost, with what waited for either of them."""
    stage = Stage()
    stage.client.pause_writing()
    stage.server.pause_writing()
    vars(stage.client)["_outlet"].write(b"x" * size)
    stage.server.write(b"x" * size)
    stage.client.connection_lost(None)
    stage.server.connection_lost(None)
    ends = weakref.ref(stage.client), weakref.ref(stage.server)
    del stage.client, stage.server
    assert [end() for end in ends] == [None, None]


class Pace:
    """What the server's transport says is left, at each look."""

    def __init__(self, *left: int) -> None:
        self._left = list(left)

    def __call__(self) -> int:
        return self._left.pop(0) if len(self._left) > 1 else self._left[0]


@pytest.mark.parametrize(("pace", "looks"), [((5,), 1), ((5, 4, 3, 3), 3)])
async def test_a_server_that_takes_nothing_is_cut(
    pace: tuple[int, ...], looks: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It waits for a client that is gone to read. One that still takes what was sent gets all of it."""
    monkeypatch.setattr(proxy.connection, "_GOODBYE_SECONDS", 0.001)
    stage = Stage()
    stage.far.left = Pace(*pace)
    stage.client.connection_lost(None)
    assert stage.notes.count("server closed") == 1
    await stage.until(lambda: stage.far.aborted)
    assert stage.far.looks == looks + 1


async def test_a_server_that_has_ended_is_not_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its connection was lost in time: nothing is left to do."""
    monkeypatch.setattr(proxy.connection, "_GOODBYE_SECONDS", 0.001)
    stage = Stage()
    stage.client.connection_lost(None)
    stage.server.connection_lost(None)
    await asyncio.sleep(0.02)
    assert not stage.far.aborted
