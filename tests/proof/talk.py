"""A client's part of a session, written down: bytes to send, and points at which to wait for the server.

`play` speaks a `Script` to a port and returns every byte that came back. A script waits wherever what it sends next
must not race with what it gets (behind a Sync; for CopyInResponse before CopyData), so that two plays of it against
equal servers are equal byte for byte.
"""

from __future__ import annotations

import contextlib
import socket
import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from proxy.wire.framing import HEADER_SIZE, LENGTH
from proxy.wire.messages import (
    CLOSE,
    COPY_DATA,
    COPY_DONE,
    COPY_FAIL,
    DESCRIBE,
    FLUSH,
    FUNCTION_CALL,
    PARSE,
    QUERY,
    SYNC_MESSAGE,
    TERMINATE,
    Bind,
    message,
    write_bind,
    write_execute,
    write_target,
)

PROTOCOL_3_0, PROTOCOL_3_2 = 196608, 196610
SECONDS = 30.0
"""How long a play waits for any one byte."""


@dataclass(frozen=True, slots=True)
class Until:
    """Wait for the `count`th message of this type since the last wait, or for the end of the connection."""

    kind: str
    count: int = 1


READY = Until("Z")
Step = bytes | Until


@dataclass(frozen=True, slots=True)
class Script:
    """One session. `steps` begin behind the first ReadyForQuery."""

    name: str
    steps: tuple[Step, ...]
    user: str = "postgres"
    database: str = ""
    """"": the protected database."""
    options: tuple[tuple[str, str], ...] = ()
    """Further parameters of the startup packet."""
    version: int = PROTOCOL_3_0

    def startup(self, database: str) -> bytes:
        given = {"user": self.user, "database": self.database or database, **dict(self.options)}
        return startup_packet(given, self.version)


@dataclass(slots=True)
class Heard:
    """What a play received, and how it ended."""

    data: bytearray = field(default_factory=bytearray)
    timed_out: bool = False
    reset: bool = False


def startup_packet(parameters: dict[str, str], version: int = PROTOCOL_3_0) -> bytes:
    body = struct.pack("!I", version)
    body += b"".join(f"{k}\0{v}\0".encode() for k, v in parameters.items()) + b"\0"
    return struct.pack("!I", len(body) + 4) + body


# Messages, by the letters of the manual.


def query(sql: str | bytes) -> bytes:
    return message(QUERY, (sql.encode() if isinstance(sql, str) else sql) + b"\0")


def parse(sql: str | bytes, name: str = "", types: Sequence[int] = ()) -> bytes:
    text = sql.encode() if isinstance(sql, str) else sql
    body = name.encode() + b"\0" + text + b"\0" + struct.pack("!H", len(types))
    return message(PARSE, body + struct.pack(f"!{len(types)}I", *types))


def bind(
    *values: bytes | None,
    portal: str = "",
    name: str = "",
    formats: Sequence[int] = (),
    results: Sequence[int] = (),
) -> bytes:
    return write_bind(Bind(portal.encode(), name.encode(), tuple(formats), values, tuple(results)))


def describe(name: str = "", kind: str = "P") -> bytes:
    return write_target(DESCRIBE, kind, name.encode())


def close(name: str = "", kind: str = "P") -> bytes:
    return write_target(CLOSE, kind, name.encode())


def execute(portal: str = "", rows: int = 0) -> bytes:
    return write_execute(portal.encode(), rows)


def function_call(oid: int, *arguments: bytes | None, form: int = 1, result: int = 1) -> bytes:
    body = struct.pack("!IHHH", oid, 1, form, len(arguments))
    for argument in arguments:
        body += b"\xff\xff\xff\xff" if argument is None else LENGTH.pack(len(argument)) + argument
    return message(FUNCTION_CALL, body + struct.pack("!H", result))


def copy_data(data: bytes) -> bytes:
    return message(COPY_DATA, data)


def copy_fail(reason: str) -> bytes:
    return message(COPY_FAIL, reason.encode() + b"\0")


FLUSHED = message(FLUSH, b"")
COPIED = message(COPY_DONE, b"")
SYNC = SYNC_MESSAGE
BYE = message(TERMINATE, b"")


def simple(*statements: str | bytes) -> tuple[Step, ...]:
    """Each in a Query of its own."""
    return tuple(step for sql in statements for step in (query(sql), READY))


def extended(sql: str | bytes, *values: bytes | None, **more: Sequence[int]) -> tuple[Step, ...]:
    """Parse, Bind, Describe, Execute, Sync, as libpq sends them."""
    types = more.pop("types", ())
    sent = parse(sql, types=types) + bind(*values, **more) + describe() + execute()  # type: ignore[arg-type]
    return (sent + SYNC, READY)


# Playing.


def play(script: Script, port: int, database: str, seconds: float = SECONDS) -> Heard:
    """The whole session, Terminate and the server's end of the connection included."""
    steps: Iterable[Step] = (script.startup(database), READY, *script.steps, BYE)
    return play_steps(steps, port, seconds)


def play_steps(steps: Iterable[Step], port: int, seconds: float = SECONDS) -> Heard:
    """A server that hangs is `timed_out`; one that ends earlier than the script ends the play."""
    heard = Heard()
    with socket.create_connection(("127.0.0.1", port), seconds) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            _steps(connection, steps, heard)
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_WR)
            while received := connection.recv(1 << 18):
                heard.data += received
        except TimeoutError:
            heard.timed_out = True
        except (ConnectionResetError, BrokenPipeError):
            heard.reset = True
    return heard


def _steps(connection: socket.socket, steps: Iterable[Step], heard: Heard) -> None:
    position = 0
    for step in steps:
        if isinstance(step, bytes):
            connection.sendall(step)
            continue
        missing = step.count
        while missing:
            while (end := whole_until(heard.data, position)) is None:
                received = connection.recv(1 << 18)
                if not received:
                    return
                heard.data += received
            missing -= heard.data[position] == ord(step.kind)
            position = end


def whole_until(data: bytes | bytearray, position: int) -> int | None:
    """Where the message at `position` ends, or None while it is not whole."""
    if len(data) < position + HEADER_SIZE:
        return None
    end: int = position + 1 + LENGTH.unpack_from(data, position + 1)[0]
    return end if end <= len(data) else None
