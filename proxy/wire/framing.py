"""A byte stream into messages.

After start-up every message is one type byte and an int32 length that counts itself but not the type
byte; before it there is only the length (PostgreSQL manual, "Messages: Overview"). A reader takes what
`MessageBuffer.feed` returns, walks whole messages with `HEADER`, and gives the incomplete rest back with
`keep`. Nothing is copied while a stream consists of whole messages, and a message that arrives in many
pieces is joined once, not once per piece.
"""

from __future__ import annotations

import struct
from typing import ClassVar, Final

from librt.strings import read_i16_be, read_i32_be

from proxy.wire.long import LONG_COPY, joined

HEADER: Final = struct.Struct("!BI")
"""Type byte and length of a message after start-up."""
HEADER_SIZE: Final = 5
LENGTH: Final = struct.Struct("!I")
INT16: Final = struct.Struct("!h")
INT32: Final = struct.Struct("!i")
UINT16: Final = struct.Struct("!H")

LONG: Final = 16 * 1024
"""Bytes of a message that may take longer to read than others can wait."""
STARTUP_LIMIT: Final = 10_000
"""MAX_STARTUP_PACKET_LENGTH in PostgreSQL's pqcomm.h."""


def int16_at(data: bytes, position: int) -> int:
    """The signed int16 at `position`, which must be within `data`."""
    return read_i16_be(data, position)


def int32_at(data: bytes, position: int) -> int:
    """The signed int32 at `position`, which must be within `data`."""
    return read_i32_be(data, position)


class BadMessage(Exception):
    """A peer sent bytes that are not the protocol. The text never quotes them."""

    sqlstate: ClassVar[str] = "08P01"


class MessageBuffer:
    """The bytes of one direction that were received and not consumed yet.

    `limit` bounds one message in bytes; a longer one is refused by its header, before it is buffered.
    """

    __slots__ = ("_chunks", "_needed", "_size", "limit")

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._chunks: list[bytes] = []
        self._size = 0
        self._needed = 0

    def __len__(self) -> int:
        return self._size

    @property
    def missing(self) -> int:
        """If what is kept is long, or the message that it begins is: so many bytes make it whole, at least 1. Else 0."""
        size, needed = self._size, self._needed
        if size and (size > LONG or needed > LONG):
            return needed - size if needed > size else 1
        return 0

    def feed(self, data: bytes) -> bytes:
        """Return everything unconsumed if it may hold a whole message, else `b""`."""
        if not self._chunks:
            return data
        self._chunks.append(data)
        self._size += len(data)
        if self._size < self._needed:
            return b""
        if self._size > LONG_COPY:
            whole = joined(self._chunks)
        else:
            whole = b"".join(self._chunks)
            self._chunks.clear()
        self._size = 0
        return whole

    def add(self, data: bytes) -> None:
        """More bytes while nobody reads: behind what was kept."""
        if data:
            self._chunks.append(data)
            self._size += len(data)

    def keep(self, rest: bytes) -> None:
        """Give back the incomplete tail of what `feed` returned; raises `BadMessage` if it can never be whole."""
        if not rest:
            return
        self._needed = HEADER_SIZE
        if len(rest) >= HEADER_SIZE:
            self._needed = 1 + self.length(rest, 0)
        self._chunks.append(rest)
        self._size = len(rest)

    def length(self, data: bytes, position: int) -> int:
        """The length field of the message at `position`, checked against the protocol and the limit."""
        length: int = read_i32_be(data, position + 1)
        if length < 4:
            raise BadMessage(f"invalid message length {length & 0xFFFFFFFF}")
        if length > self.limit:
            raise BadMessage(f"message of {length} bytes exceeds the limit of {self.limit} bytes")
        return length


class StartupBuffer:
    """Collects one packet of the start-up phase: int32 length, int32 code, body."""

    __slots__ = ("_data",)

    def __init__(self) -> None:
        self._data = b""

    def feed(self, data: bytes) -> tuple[bytes, bytes] | None:
        """Return (packet, bytes behind it), or None while it is incomplete."""
        self._data += data
        if len(self._data) < 4:
            return None
        (length,) = LENGTH.unpack_from(self._data)
        if not 8 <= length <= STARTUP_LIMIT:
            raise BadMessage("invalid length of startup packet")
        if len(self._data) < length:
            return None
        packet, rest = self._data[:length], self._data[length:]
        self._data = b""
        return packet, rest
