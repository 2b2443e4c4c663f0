"""A TCP relay that remembers what passes: between a client and the server, or between the proxy and the server.

One thread per direction, bytes as they come. `Tape` holds both directions of one connection, in the order of
connections; a test takes the newest ones with `since`.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

Tamper = Callable[[bytes], "list[bytes] | None"]
"""What goes on instead of what came, in which pieces; None: the connection is cut."""


@dataclass(slots=True, eq=False)
class Tape:
    """One connection: what its client sent and what its server sent."""

    client: bytearray = field(default_factory=bytearray)
    server: bytearray = field(default_factory=bytearray)
    ended: threading.Event = field(default_factory=threading.Event)


class RecordingRelay:
    """Listens on a free port of the loopback and relays to `port`. `tamper` makes one connection's liar: what the server says goes
    through it.
    """

    def __init__(self, port: int, tamper: Callable[[], Tamper] | None = None) -> None:
        self._upstream = port
        self._tamper = tamper
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.tapes: list[Tape] = []
        self._thread = threading.Thread(target=self._accept, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        # A blocked accept() is woken by shutdown, not by close.
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(5)

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            tape = Tape()
            self.tapes.append(tape)
            try:
                server = socket.create_connection(("127.0.0.1", self._upstream))
            except OSError:
                client.close()
                tape.ended.set()
                continue
            threading.Thread(target=self._relay, args=(client, server, tape), daemon=True).start()

    def _relay(self, client: socket.socket, server: socket.socket, tape: Tape) -> None:
        lie = self._tamper() if self._tamper is not None else None
        told = (server, client, tape.server, lie)
        answers = threading.Thread(target=_pump, args=told, daemon=True)
        answers.start()
        _pump(client, server, tape.client)
        answers.join()
        client.close()
        server.close()
        tape.ended.set()


def _pump(
    source: socket.socket, target: socket.socket, tape: bytearray, tamper: Tamper | None = None
) -> None:
    """Until `source` ends; the end is passed on, also where `target` has gone already."""
    with contextlib.suppress(OSError):
        while data := source.recv(1 << 18):
            tape += data
            pieces = [data] if tamper is None else tamper(data)
            if pieces is None:
                break
            for piece in pieces:
                target.sendall(piece)
    with contextlib.suppress(OSError):
        target.shutdown(socket.SHUT_WR)
    with contextlib.suppress(OSError):
        # A target that is gone ends the source too; one that merely listens no more is waited for.
        if target.fileno() >= 0 and not _open(target):
            source.shutdown(socket.SHUT_RDWR)


def _open(peer: socket.socket) -> bool:
    try:
        peer.getpeername()
    except OSError:
        return False
    return True
