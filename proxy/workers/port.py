"""The port: accepts clients and hands each to the worker that has fewest. [io]

Where no worker takes clients, who comes waits in the system's queue; one that is accepted already waits here.
"""

from __future__ import annotations

import errno
import selectors
import socket
import time
from collections.abc import Sequence
from functools import partial
from typing import Final

import structlog

from proxy.workers.crowd import Crowd
from proxy.workers.seat import Seat

_BACKLOG: Final = 512
_AT_ONCE: Final = 64
_OUT_OF_RESOURCES: Final = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
_SOON: Final = 0.05  # seconds, for a worker that has not looked at those it was handed
_LATER: Final = 1.0  # for a system without resources

log = structlog.get_logger("sealgate.supervisor")


class Port:
    """`sockets` are bound, and its own from now on. Accepts nobody before `open`."""

    def __init__(
        self,
        sockets: list[socket.socket],
        selector: selectors.BaseSelector,
        seats: Sequence[Seat],
        crowd: Crowd,
    ) -> None:
        self._sockets = sockets
        self._selector = selector
        self._seats = seats
        self._crowd = crowd
        self._next = 0
        self._homeless: list[socket.socket] = []
        self.due: float | None = None
        """When to `open` again."""

    def listen(self) -> int:
        """The port's number; from now on clients may knock. Raises OSError."""
        for sock in self._sockets:
            sock.listen(_BACKLOG)
        number: int = self._sockets[0].getsockname()[1]
        return number

    def open(self) -> None:
        """Some worker takes clients, or should be asked again."""
        self.due = None
        while self._homeless:
            if not self._hand_over(self._homeless[0]):
                self._shut_for(_SOON)
                return
            self._homeless.pop(0).close()
        for sock in self._sockets:
            if sock.fileno() not in self._selector.get_map():
                self._selector.register(sock, selectors.EVENT_READ, partial(self._accept, sock))

    def shut(self) -> None:
        """Nobody takes clients, until `open`."""
        self.due = None
        for sock in self._sockets:
            if sock.fileno() in self._selector.get_map():
                self._selector.unregister(sock)

    def close(self) -> None:
        self.shut()
        self.leave()

    def leave(self) -> None:
        """In a forked process: `close` that leaves alone what the selector watches, which is the supervisor's as well."""
        for sock in (*self._sockets, *self._homeless):
            sock.close()
        self._sockets, self._homeless = [], []

    def _shut_for(self, seconds: float) -> None:
        self.shut()
        if any(seat.ready for seat in self._seats):
            self.due = time.monotonic() + seconds

    def _accept(self, listening: socket.socket, _: int) -> None:
        for _ in range(_AT_ONCE):
            if listening.fileno() < 0:
                return  # closed by what happened together with this
            try:
                client, _address = listening.accept()
            except (BlockingIOError, ConnectionAbortedError):
                return
            except OSError as failed:
                log.error("client not accepted", problem=failed.strerror or "unknown")
                if failed.errno in _OUT_OF_RESOURCES:
                    self._shut_for(_LATER)
                return
            if not self._hand_over(client):
                self._homeless.append(client)
                self._shut_for(_SOON)
                return
            client.close()

    def _hand_over(self, client: socket.socket) -> bool:
        """By turns among workers with equally many. One that takes none is stuck, or has just ended: the next."""
        count, first = len(self._seats), self._next
        willing = [seat for seat in self._seats if seat.ready and seat.clients is not None]
        willing.sort(key=lambda s: (self._crowd.of(s.number), (s.number - first) % count))
        for seat in willing:
            assert seat.clients is not None  # noqa: S101 - or it would not be willing
            self._crowd.handed(seat.number)
            try:
                socket.send_fds(seat.clients, [b"c"], [client.fileno()])
            except OSError as failed:
                self._crowd.handed(seat.number, -1)
                if isinstance(failed, ConnectionError):
                    seat.ready = False  # its end is about to be heard
            else:
                self._next = seat.number + 1
                return True
        return False
