"""The access log read as it grows: every line once, in order, over rotation and compression. [io]

The log's files are the spool: nothing is copied, a reader that is behind only has its cursor further back. It never
deletes a file, and whoever does takes from it what it has not read; then the gap in `sequence` is counted.

Of the live file nothing is read beyond what its writers have put in whole (`End`, from the chain's head): a write
that is cut off again because the disk is full has never been seen by anybody.

    open by cursor ── lines ── end of what is written ── wait
          │                          │
          │                  the file is no longer the live one, and read to its end
          │                          ▼
          └────────────────── the file behind it, by the order of `log_files`
"""

from __future__ import annotations

import gzip
import hashlib
import os
import stat
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Final, NamedTuple, cast

from proxy.audit.formats.fields import Line, milliseconds, number, text
from proxy.audit.log_file import LINE_LIMIT
from proxy.audit.reading import log_files, parsed
from proxy.auditor.cursor import Cursor

_CHUNK: Final = 256 * 1024
_ATTEMPTS: Final = 5
_DAMAGED: Final = (OSError, EOFError, zlib.error)


class End(NamedTuple):
    """How far the log is written: `offset` bytes of the file (`device`, `inode`), up to event `sequence` of `chain`."""

    device: int
    inode: int
    offset: int
    chain: str
    sequence: int


@dataclass(slots=True)
class Batch:
    """Lines, and where to go on once they are dealt with. `moved` is false where nothing at all was read.

    `missing` events were not in the files where they belong; `unreadable` lines are no event.
    """

    after: Cursor
    lines: list[Line] = field(default_factory=list)
    moved: bool = False
    missing: int = 0
    unreadable: int = 0


class _File:
    """An open file of the log, plain or compressed."""

    def __init__(self, path: Path) -> None:
        """Raises OSError."""
        self.path = path
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode):
            os.close(fd)
            raise FileNotFoundError(2, "not a regular file")
        self.identity = (status.st_dev & (1 << 63) - 1, status.st_ino & (1 << 63) - 1)
        self._plain = os.fdopen(fd, "rb", buffering=0)
        self.compressed = path.name.endswith(".gz")
        self._bytes = cast(
            "IO[bytes]",
            gzip.GzipFile(fileobj=self._plain, mode="rb") if self.compressed else self._plain,
        )
        self.position = 0

    def first_line(self) -> bytes | None:
        """Without the newline; None if there is no whole one."""
        found = b""
        try:
            while b"\n" not in found and len(found) <= LINE_LIMIT:
                more = self._at(len(found), 64 * 1024)
                if not more:
                    break
                found += more
        except _DAMAGED:
            return None
        line, newline, _ = found.partition(b"\n")
        return line if newline else None

    def _at(self, offset: int, size: int) -> bytes:
        """What is there; of a compressed file, before anything else was read of it."""
        if not self.compressed:
            return os.pread(self._plain.fileno(), size, offset)
        self._bytes.seek(offset)
        found = self._bytes.read(size)
        self._bytes.seek(0)
        return found

    def go_to(self, offset: int) -> bool:
        """To where a line begins; False if none does there."""
        try:
            if not offset:
                self._bytes.seek(0)
                self.position = 0
                return True
            self._bytes.seek(offset - 1)
            self.position = offset
            return self._bytes.read(1) == b"\n"
        except _DAMAGED:
            return False

    def read(self, size: int) -> bytes:
        """Raises what damaged files raise."""
        found = self._bytes.read(size)
        self.position += len(found)
        return found

    def shrunk(self) -> int | None:
        """Its size, if that is less than what was read: somebody has cut it."""
        size = os.fstat(self._plain.fileno()).st_size
        return size if not self.compressed and size < self.position else None

    def left(self) -> int:
        """Bytes that are not read yet; of a compressed file, at most what the whole of it has."""
        size = os.fstat(self._plain.fileno()).st_size
        return size if self.compressed else max(0, size - self.position)

    def close(self) -> None:
        self._bytes.close()
        self._plain.close()


class Follower:
    """Reads from `cursor` on; without one from the log's beginning (`history`) or from what is written from now on."""

    def __init__(
        self,
        path: Path,
        end: Callable[[], End | None],
        cursor: Cursor | None = None,
        *,
        history: bool = True,
    ) -> None:
        self._path = path
        self._end = end
        self._file: _File | None = None
        self._rest, self._from = b"", 0  # what was read, and where in it the next line begins
        self._skipping = False
        self._at = cursor or Cursor()
        self._new = cursor is None
        if cursor is None and not history:
            self._begin_at_the_end()

    @property
    def cursor(self) -> Cursor:
        return self._at

    def go_to(self, cursor: Cursor) -> None:
        """Back to where a receiver has everything."""
        self.close()
        self._at, self._new = cursor, cursor == Cursor()

    def read(self, events: int, size: int) -> Batch:
        """At most so many events, and bytes but for the last one's; what is there now. Raises OSError."""
        batch = Batch(self._at)
        taken = 0
        while len(batch.lines) < events and taken < size:
            if self._file is None and not self._resume():
                break
            if (line := self._line(batch)) is not None:
                taken += len(line)
            elif not self._more(batch) and not self._next(batch):
                break
        batch.after = self._at
        return batch

    def behind(self) -> int:
        """Bytes of the log's files that are not read yet; of compressed ones, as they are."""
        if self._file is None:
            return sum(_size(file) for file in log_files(self._path))
        found = self._file.left() + len(self._rest) - self._from
        later = 0
        for file in reversed(log_files(self._path)):  # asked every second: old files are not opened
            if self._is(file):
                return found + later
            later += _size(file)
        return found  # what comes behind a file that is gone nobody can say

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
        self._file, self._rest, self._from, self._skipping = None, b"", 0, False

    # Lines.

    def _line(self, batch: Batch) -> bytes | None:
        """One more line of what was read, if there is a whole one. It is in the batch, if it is an event."""
        newline = self._rest.find(b"\n", self._from)
        if newline < 0:
            if len(self._rest) - self._from > LINE_LIMIT:
                self._drop(batch)
                self._skipping = True
            return None
        raw = self._rest[self._from : newline]
        self._from = newline + 1
        self._advance(len(raw) + 1, batch)
        event = None if self._skipping or len(raw) > LINE_LIMIT else parsed(raw)
        self._skipping = False
        if event is None:
            batch.unreadable += 1
            return b""
        line = Line(raw, event)
        self._count(line, batch)
        batch.lines.append(line)
        return raw

    def _advance(self, size: int, batch: Batch) -> None:
        at = self._at
        self._at = Cursor(at.file, at.offset + size, at.chain, at.sequence, at.time)
        batch.moved = True

    def _count(self, line: Line, batch: Batch) -> None:
        """The event's place in its chain: does it follow on the one before?"""
        at = self._at
        sequence = number(line.event, "metadata", "sequence")
        chain = text(line.event, "unmapped", "sealgate", "integrity", "chain", cap=64)
        if sequence is None or sequence < 1:
            return
        if chain and chain == at.chain and sequence > at.sequence + 1:
            batch.missing += sequence - at.sequence - 1
        self._at = Cursor(at.file, at.offset, chain, sequence, milliseconds(line.event))

    # Files.

    def _more(self, batch: Batch) -> bool:
        """Reads on in the file; False if there is nothing that is written whole."""
        file = self._file
        assert file is not None  # noqa: S101 - or there would be no line to read
        if (size := file.shrunk()) is not None:
            self._cut(size)
        end = self._end()
        limit = _CHUNK
        if end is not None and end[:2] == file.identity:
            limit = min(limit, end.offset - file.position)
        try:
            found = file.read(limit) if limit > 0 else b""
        except _DAMAGED:
            batch.unreadable += 1
            self._drop(batch)
            return False
        if found and not self._at.file:  # it was empty when it was opened
            at = self._at
            named = _fingerprint(file.first_line() or b"")
            self._at = Cursor(named, at.offset, at.chain, at.sequence, at.time)
        self._rest, self._from = self._rest[self._from :] + found, 0
        return bool(found)

    def _drop(self, batch: Batch) -> None:
        """What was read and is no line: it cannot be read on, or has no end."""
        self._advance(len(self._rest) - self._from, batch)
        self._rest, self._from = b"", 0

    def _cut(self, size: int) -> None:
        """The file has become shorter than what was read of it: go on with what is written behind."""
        assert self._file is not None  # noqa: S101
        at = self._at
        self._file.go_to(size)
        self._file.position = size
        self._rest, self._from = b"", 0
        self._at = Cursor(at.file if size else "", size, at.chain, at.sequence, at.time)

    def _next(self, batch: Batch) -> bool:
        """Goes on to the file behind this one, if this one is over."""
        file = self._file
        assert file is not None  # noqa: S101
        end = self._end()
        live = end[:2] if end is not None else _identity(self._path)
        if live is None or live == file.identity or (not file.compressed and file.left()):
            return False
        if len(self._rest) > self._from:  # a last line without an end
            batch.unreadable += 1
        files = log_files(self._path)
        for index in range(len(files) - 1, -1, -1):
            if self._is(files[index]):
                return index + 1 < len(files) and self._begin(files[index + 1])
        return self._begin_behind(files)

    def _is(self, file: Path) -> bool:
        """Is this the file that is open, under whatever name?"""
        if self._file is not None and _identity(file) == self._file.identity:
            return True
        return bool(self._at.file) and _fingerprint_of(file) == self._at.file

    def _begin(self, path: Path, offset: int = 0) -> bool:
        try:
            file = _File(path)
        except FileNotFoundError:  # it was rotated or compressed this moment
            return False
        first = file.first_line()
        self.close()
        at = self._at
        named = _fingerprint(first) if first is not None else ""
        self._file = file
        self._at = Cursor(named, offset, at.chain, at.sequence, at.time)
        self._new = False
        if file.go_to(offset):
            return True
        self.close()
        return False

    def _resume(self) -> bool:
        """Opens the file that the cursor is in."""
        for _ in range(_ATTEMPTS):
            files = log_files(self._path)
            if not files:
                return False
            if self._new or not self._at.file:
                opened = self._begin(files[0]) if self._new else self._begin_behind(files)
            else:
                opened = self._resume_in(files)
            if opened:
                return True
        return False

    def _resume_in(self, files: list[Path]) -> bool:
        at = self._at
        for file in reversed(files):
            if _fingerprint_of(file) == at.file:
                if self._begin(file, at.offset):
                    return True
                self._at = Cursor("", 0, at.chain, at.sequence, at.time)  # shorter than it was
                break
        return self._begin_behind(files)

    def _begin_behind(self, files: list[Path]) -> bool:
        """The file where the cursor was is gone: begin with the first one that has something later.

        Nothing that is still there is left out; what the cursor is behind already may come again.
        """
        best = files[-1] if files else None
        for file in reversed(files):
            best = file
            event = parsed(_first_line(file) or b"")
            if event is None:
                continue
            sequence = number(event, "metadata", "sequence") or 0
            chain = text(event, "unmapped", "sealgate", "integrity", "chain", cap=64)
            if chain == self._at.chain and sequence <= self._at.sequence + 1:
                break
            if chain != self._at.chain and milliseconds(event) < self._at.time:
                break
        return best is not None and self._begin(best)

    def _begin_at_the_end(self) -> None:
        for _ in range(_ATTEMPTS):
            end = self._end()
            if not self._path.exists() or not self._begin(self._path):
                return
            file = self._file
            assert file is not None  # noqa: S101 - it was opened
            offset = file.left()
            if end is not None:
                if end[:2] != file.identity:
                    continue  # rotated this moment
                offset = end.offset
            if self._begin(self._path, offset):
                if end is not None:
                    at = self._at
                    self._at = Cursor(at.file, at.offset, end.chain, end.sequence, at.time)
                return


def _fingerprint(first_line: bytes) -> str:
    return hashlib.sha256(first_line).hexdigest()[:32]


def _first_line(file: Path) -> bytes | None:
    try:
        opened = _File(file)
    except OSError:
        return None
    try:
        return opened.first_line()
    finally:
        opened.close()


def _fingerprint_of(file: Path) -> str:
    line = _first_line(file)
    return "" if line is None else _fingerprint(line)


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev & (1 << 63) - 1, status.st_ino & (1 << 63) - 1


def _size(file: Path) -> int:
    try:
        return file.stat().st_size
    except OSError:
        return 0
