"""A client that costs next to nothing: raw frames over a socket, answers counted and thrown away. [io]

Where a driver would spend more time on 100,000 rows than the proxy, the ratios would flatter the proxy. This one
reads blocks and looks only at the end of what came: an answer is over when its last bytes are CommandComplete and
ReadyForQuery (PostgreSQL's manual, "Message Formats"). Logins are trusted, TLS is off.
"""

from __future__ import annotations

import contextlib
import socket
import struct
import time
from collections.abc import Iterable
from types import TracebackType

READY = b"Z\x00\x00\x00\x05"  # and the transaction's state
BLOCK = 1 << 18
TAIL = 4096  # an error with its HINT fits
PROTOCOL = 196608  # 3.0


class Refused(Exception):
    """The answer was an ErrorResponse, or not what was asked for."""


class Connection:
    """One session. Every method waits for its whole answer."""

    def __init__(self, port: int, login: str, database: str, *, receive_buffer: int = 0) -> None:
        self.socket = socket.socket()
        try:
            self._log_in(port, login, database, receive_buffer)
        except BaseException:
            self.socket.close()
            raise

    def _log_in(self, port: int, login: str, database: str, receive_buffer: int) -> None:
        if receive_buffer:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.settimeout(300.0)
        self.socket.connect(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        pairs = f"user\0{login}\0database\0{database}\0\0".encode()
        self.socket.sendall(struct.pack("!ii", 8 + len(pairs), PROTOCOL) + pairs)
        self._until_ready()

    def query(self, sql: str, bytes_per_second: float | None = None) -> tuple[str, int]:
        """Runs one statement by the simple protocol. Returns its tag and the bytes of its answer.

        bytes_per_second: reads no faster than that.
        """
        self.socket.sendall(_message(b"Q", sql.encode() + b"\0"))
        return self._until_ready(bytes_per_second)

    def copy_in(self, sql: str, blocks: Iterable[bytes]) -> str:
        """COPY ... FROM STDIN; the tag. blocks: CopyData's contents, whole rows or not."""
        self.socket.sendall(_message(b"Q", sql.encode() + b"\0"))
        head = self.socket.recv(BLOCK)
        if head[:1] != b"G":
            raise Refused(_shown(head))
        for block in blocks:
            self.socket.sendall(_message(b"d", block))
        self.socket.sendall(_message(b"c", b""))
        return self._until_ready()[0]

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self.socket.sendall(_message(b"X", b""))
        self.socket.close()

    def __enter__(self) -> Connection:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _until_ready(self, bytes_per_second: float | None = None) -> tuple[str, int]:
        """Reads up to ReadyForQuery. Returns the tag of the last CommandComplete, and how many bytes came."""
        held = memoryview(bytearray(BLOCK))
        end = b""
        total = 0
        began = time.monotonic()
        while not (len(end) >= 6 and end[-6:-1] == READY):
            count = self.socket.recv_into(held)
            if count == 0:
                raise Refused(f"the connection was closed: {_shown(end)}")
            total += count
            end = (end + bytes(held[max(0, count - TAIL) : count]))[-TAIL:]
            if bytes_per_second is not None:
                ahead = total / bytes_per_second - (time.monotonic() - began)
                if ahead > 0:
                    time.sleep(ahead)
        return _tag(end), total


def _message(kind: bytes, body: bytes) -> bytes:
    return kind + struct.pack("!i", 4 + len(body)) + body


def _tag(end: bytes) -> str:
    """The tag of the CommandComplete right before the final ReadyForQuery."""
    body = end[:-6]
    error = body.rfind(b"SERROR\0VERROR\0")
    if error >= 0:
        raise Refused(_shown(body[error:]))
    at = body.rfind(b"C\x00\x00\x00")
    if at < 0:
        return ""  # a login
    return body[at + 5 : -1].decode(errors="replace")


def _shown(answer: bytes) -> str:
    return answer[:300].decode(errors="replace").replace("\0", " ")
