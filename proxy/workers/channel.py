"""Messages between the supervisor and a worker: JSON objects, one a line, on a pair of connected sockets. [io]

Nothing here waits: what the other side does not take yet is kept and sent with `flush`. The end of the stream is the end of
the other process, whatever ended it.
"""

from __future__ import annotations

import socket
from typing import Any, Final

import orjson

_READ: Final = 65536

Message = dict[str, Any]


class Channel:
    """One end. `sock` is for `select`."""

    def __init__(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        self.sock = sock
        self._incoming = bytearray()
        self._outgoing = bytearray()

    @property
    def waits(self) -> bool:
        """Something is still to be sent."""
        return bool(self._outgoing)

    def send(self, message: Message) -> None:
        self._outgoing += orjson.dumps(message, option=orjson.OPT_APPEND_NEWLINE)
        self.flush()

    def flush(self) -> None:
        """Send what the other side takes. One that has ended takes all."""
        try:
            while self._outgoing:
                del self._outgoing[: self.sock.send(self._outgoing)]
        except BlockingIOError:
            return
        except OSError:
            self._outgoing.clear()

    def receive(self) -> list[Message] | None:
        """What has come; None: the other side has ended."""
        ended = False
        try:
            while data := self.sock.recv(_READ):
                self._incoming += data
            ended = True
        except BlockingIOError:
            pass
        except OSError:
            ended = True
        if ended and not self._incoming:
            return None
        *lines, rest = self._incoming.split(b"\n")
        self._incoming = bytearray() if ended else rest
        return [orjson.loads(line) for line in lines]

    def close(self) -> None:
        self.sock.close()
