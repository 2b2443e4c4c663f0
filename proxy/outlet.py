"""What is written to one peer. [io]

A transport tries to send what it is given at once, and over TLS encrypts all of it first: with 200 MB, and a peer that
reads as fast as we write, that takes hundreds of milliseconds. So what is long is handed over in pieces, by turns
(`proxy.turns`), and no faster than the peer takes it. Whatever is written or asked for meanwhile comes behind it.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Final, final

from proxy.turns import Turns

LONG_WRITE: Final = 1 << 20
"""Bytes; what has no more is written at once."""
_PIECE: Final = 256 * 1024


@final
class Outlet:
    """All that is written to one transport goes through it, and so does closing it.

    What is short is the transport's at once, unless something waits. `changed` is called when something begins to wait,
    and when everything has been handed over.
    """

    __slots__ = ("_changed", "_closes", "_full", "_queued", "_transport", "_turns", "_waiting")

    def __init__(
        self, turns: Turns, transport: asyncio.Transport, changed: Callable[[], None]
    ) -> None:
        self._turns = turns
        self._transport = transport
        self._changed = changed
        self._full = False
        """The transport has more than the peer takes, and will say when that is over."""
        self._waiting: deque[memoryview] = deque()
        self._queued = False
        self._closes = False

    @property
    def busy(self) -> bool:
        """Something waits: what is written now has to wait behind it."""
        return bool(self._waiting)

    @property
    def left(self) -> int:
        """Bytes that wait."""
        return sum(map(len, self._waiting))

    def write(self, data: bytes) -> None:
        """Nothing, if the transport is closing or will be."""
        if self._closes or self._transport.is_closing():
            return
        if len(data) <= LONG_WRITE and not self._waiting:
            self._transport.write(data)
            return
        self._waiting.append(memoryview(data))
        self._go_on()
        self._changed()

    def close(self) -> None:
        """Close the transport once everything has been written."""
        self._closes = True
        if not self._waiting:
            self._transport.close()

    def pause(self) -> None:
        self._full = True

    def resume(self) -> None:
        self._full = False
        self._go_on()

    def _go_on(self) -> None:
        if self._waiting and not self._full and not self._queued:
            self._queued = True
            self._turns.queue(self._piece)

    def _piece(self) -> bool:
        if self._transport.is_closing():
            self._waiting.clear()
        if self._waiting:
            data = self._waiting.popleft()
            if len(data) > _PIECE:
                self._waiting.appendleft(data[_PIECE:])
            self._transport.write(bytes(data[:_PIECE]))
        if not self._waiting:
            self._queued = False
            if self._closes:
                self._transport.close()
            self._changed()
            return False
        self._queued = not self._full
        return self._queued
