"""The side file of a log file: cell ids that are too many for a line. [io]

`<log file>.cells` is append-only. A record is written before the line that names it by its SHA-256:

    b"SGC1"   length of the payload (4 bytes, big endian)   SHA-256 of the payload (32 bytes)   payload

The payload is ids of 8 bytes one after the other. What follows is hostile until its hash has been recomputed: a length
may be any number, a record may be cut off, and what is no record is skipped up to the next that is one, and told.
"""

from __future__ import annotations

import gzip
import hashlib
import os
import stat
import tempfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Final, NamedTuple, cast

MAGIC: Final = b"SGC1"
ID_BYTES: Final = 8
HEADER_BYTES: Final = len(MAGIC) + 4 + 32
_WINDOW: Final = 1 << 20
_ATTEMPTS: Final = 1000
"""Beginnings of records that are tried behind damage: a file made of nothing else would be read for ever."""


class Record(NamedTuple):
    """One record at `offset` of the (decompressed) file; or what is there instead, and `damage` says so.

    `sha256` is what its header says: where `damage` is "", also the payload's. `payload` is empty where it is damaged.
    """

    file: Path
    offset: int
    sha256: bytes
    payload: bytes
    damage: str = ""


def side_file(log_file: Path) -> Path | None:
    """The side file that belongs to a file of the log, plain or compressed; None if there is none."""
    plain = log_file.with_name(log_file.name.removesuffix(".gz") + ".cells")
    for file in (plain, plain.with_name(plain.name + ".gz")):
        if file.exists():
            return file
    return None


def record(payload: bytes) -> bytes:
    """The bytes to append for this payload."""
    header = MAGIC + len(payload).to_bytes(4, "big") + hashlib.sha256(payload).digest()
    return header + payload


def records(file: Path) -> Iterator[Record]:
    """The file's records in its order. What cannot be read is a record with `damage`; no exception for what is in it."""
    try:
        fd = os.open(file, os.O_RDONLY | os.O_NONBLOCK)
    except OSError as error:
        yield Record(file, 0, b"", b"", error.strerror or "it cannot be opened")
        return
    with os.fdopen(fd, "rb") as stored:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            yield Record(file, 0, b"", b"", "it is not a regular file")
        elif file.name.endswith(".gz"):
            yield from _compressed(file, stored)
        else:
            yield from _records(file, fd, os.fstat(fd).st_size)


def _compressed(file: Path, stored: IO[bytes]) -> Iterator[Record]:
    """By way of a file without a name, because one may have to go back."""
    problem = ""
    with tempfile.TemporaryFile() as plain:
        whole = cast("IO[bytes]", gzip.GzipFile(fileobj=stored, mode="rb"))
        try:
            while part := whole.read(_WINDOW):
                plain.write(part)
        except (OSError, EOFError, zlib.error):
            problem = "the compressed file is damaged or cut off"
        plain.flush()
        size = plain.tell()
        yield from _records(file, plain.fileno(), size)
    if problem:
        yield Record(file, size, b"", b"", problem)


def _records(file: Path, fd: int, size: int) -> Iterator[Record]:
    at = attempts = 0
    while at < size:
        found = _record(file, fd, at, size)
        if not found.damage:
            yield found
            at += HEADER_BYTES + len(found.payload)
            continue
        yield found
        resumed = at
        while True:
            attempts += 1
            resumed = _next_magic(fd, resumed + 1, size)
            if resumed < 0 or attempts > _ATTEMPTS:
                return
            if not _record(file, fd, resumed, size).damage:
                break
        at = resumed


def _record(file: Path, fd: int, at: int, size: int) -> Record:
    header = os.pread(fd, HEADER_BYTES, at)
    if len(header) < HEADER_BYTES or not header.startswith(MAGIC):
        damage = "a record is cut off" if MAGIC.startswith(header[:4]) else "it is no record"
        return Record(file, at, b"", b"", damage)
    length = int.from_bytes(header[4:8], "big")
    stated = header[8:]
    if length > size - at - HEADER_BYTES:
        return Record(file, at, stated, b"", "a record is cut off")
    payload = os.pread(fd, length, at + HEADER_BYTES)
    if hashlib.sha256(payload).digest() != stated:
        return Record(file, at, stated, b"", "a record is not what its hash says")
    return Record(file, at, stated, payload)


def _next_magic(fd: int, start: int, size: int) -> int:
    """Where the next record may begin; -1: nowhere."""
    at = start
    while at < size:
        found = os.pread(fd, _WINDOW, at).find(MAGIC)
        if found >= 0:
            return at + found
        at += _WINDOW - len(MAGIC) + 1
    return -1
