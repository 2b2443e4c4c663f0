"""`head`: where the access log's chain stands, in a file that all writers map. [io]

    0      magic, the chain's name, the log's path, checksum
    2048   slot A    the last events that are in the file
    2560   slot B    those that are being written

It is read and written under the lock of the log. Before a write B says where the chain will stand, after it A says the
same. So a process that is killed at any moment leaves one valid slot, and A with B tell which lines behind A were to come.
Both are overwritten at every write: no earlier key of the seal is left in the file.

Nothing is synced but now and then: after a power failure the head may be behind the log or ahead of it, and `AuditLog`
finds out.
"""

from __future__ import annotations

import mmap
import os
import re
import stat
import struct
import zlib
from pathlib import Path
from typing import Final

from proxy.audit.chain import CHAIN_CHARACTERS, NO_HASH
from proxy.audit.log_file import HeadDamaged as HeadDamaged
from proxy.audit.log_file import write_new

SIZE: Final = 4096
_MAGIC: Final = b"SGHEAD1\n"
_HEADER: Final = struct.Struct(f"<8s{CHAIN_CHARACTERS}sH1024s")
_NUMBERS: Final = 12
_SLOT: Final = struct.Struct(f"<{_NUMBERS}q32s32s32s")
_CHECKSUM: Final = struct.Struct("<I")
_A: Final = 2048
_B: Final = 2560
_BYTES: Final = _SLOT.size + _CHECKSUM.size
_GENERATION_AT: Final = _A + 8 * 6
_ATTEMPTS: Final = 100
_crc: Final = zlib.crc32


class Position:
    """Where the chain stands. `h`, `a`: hash and aggregate of event `sequence`; `k`: the key of the one that follows.

    `offset` and `cells` are bytes in the log (`device`, `inode`) and in its side file. `base` is the number of the last event
    before the file's first, `began` when that file did (epoch ms), `time` that of the last uid. `checkpoint` and
    `checkpoint_time` are those of the last checkpoint. `generation` counts the files, `running` the services.
    """

    __slots__ = (
        "a",
        "base",
        "began",
        "cells",
        "checkpoint",
        "checkpoint_time",
        "device",
        "generation",
        "h",
        "inode",
        "k",
        "offset",
        "running",
        "sequence",
        "time",
    )

    def __init__(self, k: bytes) -> None:
        self.sequence = 0
        self.time = 0
        self.offset = 0
        self.cells = 0
        self.device = 0
        self.inode = 0
        self.generation = 0
        self.began = 0
        self.base = 0
        self.checkpoint = 0
        self.checkpoint_time = 0
        self.running = 0
        self.h = NO_HASH
        self.a = NO_HASH
        self.k = k

    def packed(self) -> bytes:
        body = _SLOT.pack(
            self.sequence,
            self.time,
            self.offset,
            self.cells,
            self.device,
            self.inode,
            self.generation,
            self.began,
            self.base,
            self.checkpoint,
            self.checkpoint_time,
            self.running,
            self.h,
            self.a,
            self.k,
        )
        return body + _CHECKSUM.pack(_crc(body))


def _unpacked(slot: bytes) -> Position | None:
    body = slot[: _SLOT.size]
    if _CHECKSUM.pack(_crc(body)) != slot[_SLOT.size :]:
        return None
    position = Position(b"")
    (
        position.sequence,
        position.time,
        position.offset,
        position.cells,
        position.device,
        position.inode,
        position.generation,
        position.began,
        position.base,
        position.checkpoint,
        position.checkpoint_time,
        position.running,
        position.h,
        position.a,
        position.k,
    ) = _SLOT.unpack(body)
    numbers = (position.sequence, position.offset, position.cells, position.base)
    return None if min(numbers) < 0 else position


def _positions(a: bytes, b: bytes) -> tuple[Position, Position] | None:
    certain = _unpacked(a)
    if a == b and certain is not None:
        return certain, certain
    intended = _unpacked(b)
    found = certain or intended
    return None if found is None else (found, intended or found)


def read_copy(content: bytes) -> tuple[str, Position, Position]:
    """(chain, where it stood for certain, where it was about to stand) in the bytes of a head. Raises HeadDamaged."""
    named = _named(content)
    found = _positions(content[_A : _A + _BYTES], content[_B : _B + _BYTES])
    if len(content) != SIZE or named is None or found is None:
        raise HeadDamaged("the head is damaged")
    return named[0], *found


def _named(content: bytes) -> tuple[str, Path] | None:
    """The chain, and the path of its log."""
    header = content[: _HEADER.size]
    if content[_HEADER.size : _HEADER.size + _CHECKSUM.size] != _CHECKSUM.pack(_crc(header)):
        return None
    magic, chain, length, path = _HEADER.unpack(header)
    if magic != _MAGIC or not re.fullmatch(rb"[0-9a-f]{32}", chain):
        return None
    return chain.decode(), Path(os.fsdecode(path[:length]))


class Head:
    """The mapped file. Opening raises OSError, `HeadDamaged` if it is not one of ours."""

    __slots__ = ("_memory", "_packed", "_path", "chain", "log_path")

    def __init__(self, path: Path) -> None:
        fd = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            status = os.fstat(fd)
            if not stat.S_ISREG(status.st_mode) or status.st_size != SIZE:
                raise _damaged(path)
            if status.st_mode & (stat.S_IRWXG | stat.S_IRWXO):
                raise PermissionError(1, f"{path} is open to others (chmod go= {path})")
            self._memory = mmap.mmap(fd, SIZE)
        finally:
            os.close(fd)
        self._path = path
        self._packed = b""
        named = _named(self._memory[: _HEADER.size + _CHECKSUM.size])
        if named is None:
            raise _damaged(path)
        self.chain, self.log_path = named

    @property
    def sequence(self) -> int:
        """Of the last event, without the lock: for people."""
        return int.from_bytes(self._memory[_A : _A + 8], "little")

    @property
    def generation(self) -> int:
        """Without the lock: another number than one's own is a reason to look again."""
        return int.from_bytes(self._memory[_GENERATION_AT : _GENERATION_AT + 8], "little")

    @property
    def committed(self) -> tuple[int, int, int]:
        """(device, inode, offset), without the lock. Raises OSError."""
        for _ in range(_ATTEMPTS):
            found = _unpacked(self._memory[_A : _A + _BYTES])
            if found is not None:
                return found.device, found.inode, found.offset
        position, _ = self.read()
        return position.device, position.inode, position.offset

    def read(self) -> tuple[Position, Position]:
        """Where the chain stood for certain, and where it was about to stand: nearly always the same. Raises HeadDamaged."""
        found = _positions(self._memory[_A : _A + _BYTES], self._memory[_B : _B + _BYTES])
        if found is None:
            raise _damaged(self._path)
        return found

    def intend(self, position: Position) -> None:
        """The next write takes the chain there."""
        self._packed = position.packed()
        self._memory[_B : _B + _BYTES] = self._packed

    def settle(self) -> None:
        """It has: the position of `intend` holds."""
        self._memory[_A : _A + _BYTES] = self._packed

    def abandon(self) -> None:
        """It has not, and nothing of it is in the file."""
        self._memory[_B : _B + _BYTES] = self._memory[_A : _A + _BYTES]

    def put(self, position: Position) -> None:
        """The chain stands there."""
        self.intend(position)
        self.settle()

    def flush(self) -> None:
        """To the disk, so that a power failure leaves little to make up for."""
        self._memory.flush()


def create(path: Path, chain: str, log_path: Path, position: Position) -> None:
    """A head that is there whole, or not at all. Raises OSError."""
    named = os.fsencode(log_path)
    if len(named) > 1024:
        raise OSError(36, "the log's path is too long")
    header = _HEADER.pack(_MAGIC, chain.encode(), len(named), named)
    content = bytearray(SIZE)
    content[: _HEADER.size] = header
    _CHECKSUM.pack_into(content, _HEADER.size, zlib.crc32(header))
    content[_A : _A + _BYTES] = content[_B : _B + _BYTES] = position.packed()
    write_new(path, bytes(content), 0o600)


def _damaged(path: Path) -> HeadDamaged:
    return HeadDamaged(
        f"{path} is damaged. Move {path.parent} away: a new chain begins then, and the log says so"
    )
