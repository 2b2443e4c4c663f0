"""A client that speaks the protocol message by message, for what drivers do not let a test do."""

from __future__ import annotations

import socket
import struct
from typing import Self

from proxy.wire.messages import message


class WireClient:
    """One connection; `read` returns whole messages as (type, body)."""

    def __init__(self, port: int, timeout: float = 10) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout)
        self._data = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def send(self, *messages: bytes) -> None:
        self.socket.sendall(b"".join(messages))

    def start(self, user: str, database: str, **parameters: str) -> list[tuple[str, bytes]]:
        """StartupMessage; everything up to the first ReadyForQuery."""
        fields = {"user": user, "database": database, **parameters}
        body = struct.pack("!I", 196608)
        body += b"".join(f"{k}\0{v}\0".encode() for k, v in fields.items()) + b"\0"
        self.send(struct.pack("!I", len(body) + 4) + body)
        return self.until("Z")

    def query(self, sql: str) -> list[tuple[str, bytes]]:
        self.send(message(ord("Q"), sql.encode() + b"\0"))
        return self.until("Z")

    def until(self, kind: str) -> list[tuple[str, bytes]]:
        """Messages up to and including the first of this type, or up to the end of the connection."""
        found: list[tuple[str, bytes]] = []
        while not found or found[-1][0] != kind:
            one = self.read()
            if one is None:
                return found
            found.append(one)
        return found

    def read(self) -> tuple[str, bytes] | None:
        while True:
            if len(self._data) >= 5:
                (length,) = struct.unpack_from("!I", self._data, 1)
                if len(self._data) > length:
                    kind, body = chr(self._data[0]), self._data[5 : length + 1]
                    self._data = self._data[length + 1 :]
                    return kind, body
            received = self.socket.recv(65536)
            if not received:
                return None
            self._data += received

    def closed(self) -> bool:
        """The peer ends the connection (after whatever it still says)."""
        try:
            while self.read() is not None:
                pass
        except ConnectionResetError:
            return True
        return True


def sqlstate(body: bytes) -> str:
    """The C field of an ErrorResponse."""
    return next(f[1:].decode() for f in body.split(b"\0") if f[:1] == b"C")
