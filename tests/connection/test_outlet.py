"""Long writes: in pieces, as fast as the peer takes them, and everything else behind them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import cast

from proxy.outlet import Outlet
from proxy.turns import Turns


class Transport:
    """Takes `room` bytes, then says that it is full."""

    def __init__(self) -> None:
        self.sent: list[bytes] = []
        self.closed = False
        self.outlet: Outlet | None = None
        self.full_after = 1 << 62

    def write(self, data: bytes) -> None:
        assert not self.closed
        self.sent.append(data)
        if sum(map(len, self.sent)) >= self.full_after and self.outlet is not None:
            self.outlet.pause()

    def is_closing(self) -> bool:
        return self.closed

    def close(self) -> None:
        self.closed = True


def outlet(transport: Transport, changed: Callable[[], None], *, full: bool = False) -> Outlet:
    made = Outlet(Turns(), cast(asyncio.Transport, transport), changed)
    if full:
        made.pause()
    transport.outlet = made
    return made


async def until(condition: Callable[[], bool]) -> None:
    for _ in range(10_000):
        if condition():
            return
        await asyncio.sleep(0)
    raise AssertionError


LONG = bytes(range(256)) * 20_000


async def test_a_long_write_arrives_whole_and_in_order() -> None:
    """Pieces are the data; a second write comes behind the first."""
    transport, emptied = Transport(), list[bool]()
    out = outlet(transport, lambda: emptied.append(out.busy))
    out.write(LONG)
    out.write(b"second")
    await until(lambda: bool(emptied) and not out.busy)
    assert b"".join(transport.sent) == LONG + b"second"
    assert max(map(len, transport.sent)) <= 256 * 1024
    assert emptied[-1] is False


async def test_a_full_transport_gets_no_more() -> None:
    """Only when it has room again; until then the outlet is busy."""
    transport = Transport()
    transport.full_after = 1 << 20
    out = outlet(transport, lambda: None)
    out.write(LONG)
    await asyncio.sleep(0.01)
    taken = sum(map(len, transport.sent))
    assert 1 << 20 <= taken < (1 << 20) + 256 * 1024
    assert out.busy
    transport.full_after = 1 << 62
    out.resume()
    await until(lambda: not out.busy)
    assert b"".join(transport.sent) == LONG


async def test_a_transport_that_is_full_already() -> None:
    """Nothing is written before it has room."""
    transport = Transport()
    out = outlet(transport, lambda: None, full=True)
    out.write(LONG)
    assert transport.sent == []
    out.resume()
    await until(lambda: not out.busy)
    assert b"".join(transport.sent) == LONG


async def test_closing_waits_for_what_was_written() -> None:
    """And takes nothing more."""
    transport = Transport()
    out = outlet(transport, lambda: None, full=True)
    out.write(LONG)
    out.close()
    out.write(b"too late")
    assert not transport.closed
    out.resume()
    await until(lambda: transport.closed)
    assert b"".join(transport.sent) == LONG


async def test_a_transport_that_broke_is_written_no_more() -> None:
    """What waits is given up, so that nothing keeps it in memory."""
    transport = Transport()
    out = outlet(transport, lambda: None, full=True)
    out.write(LONG)
    transport.close()
    out.resume()
    await until(lambda: not out.busy)
    assert transport.sent == []


async def test_short_writes_are_the_transports_own() -> None:
    """At once and as they are, also while it is full; but behind what waits, and nothing once it closes."""
    transport, changes = Transport(), list[bool]()
    out = outlet(transport, lambda: changes.append(out.busy), full=True)
    out.write(b"one")
    assert transport.sent == [b"one"]
    assert changes == []
    out.write(LONG)
    out.write(b"two")
    assert (transport.sent, changes) == ([b"one"], [True, True])
    out.resume()
    await until(lambda: not out.busy)
    assert b"".join(transport.sent) == b"one" + LONG + b"two"
    assert changes[-1] is False
    transport.closed = True
    out.write(b"three")
    assert transport.sent[-1] == b"two"


async def test_closing_with_nothing_to_write() -> None:
    """Closes at once."""
    transport = Transport()
    outlet(transport, lambda: None).close()
    assert transport.closed
