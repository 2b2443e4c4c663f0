"""The side file of the access log: cell ids of events that have too many of them for a line.

    audit.jsonl.cells                             beside the live file
    audit.jsonl.20261101T000000Z-5000.cells.gz    beside a rotated one

Append-only records, one for each such event and written before its line:

    offset  bytes
    0       4     magic, "SGC1"
    4       4     length of the payload, big endian
    8       32    SHA-256 of the payload
    40      n     payload: ids of 8 bytes each

An event names its payload by that hash (`cell_ids_file`), so a record that is missing, torn or altered is found by whoever
asks for it. Nothing here trusts what is in the file: lengths are bounded, and behind what is no record the search goes on at
the next magic.
"""

from __future__ import annotations

import gzip
import hashlib
import zlib
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import IO, Final, Self, cast

from proxy.audit.reading import log_files

MAGIC: Final = b"SGC1"
HEADER_BYTES: Final = 40
LONGEST: Final = 16 << 20
"""Bytes of a payload that is looked at. An event's rows are held in memory, so it has far fewer."""
_SUFFIX: Final = ".cells"
_COMPRESSED: Final = ".gz"
_KEPT_PROBLEMS: Final = 100


def record(payload: bytes) -> bytes:
    """As it stands in the file."""
    header = MAGIC + len(payload).to_bytes(4, "big")
    return b"".join((header, hashlib.sha256(payload).digest(), payload))


def side_file(log_file: Path) -> Path:
    """The name of a log file's side file, uncompressed."""
    return log_file.with_name(log_file.name.removesuffix(_COMPRESSED) + _SUFFIX)


class SideFiles:
    """The side files of some log files, to be asked in the order of the log: each is read once, as far as is asked for.

    `problems` says what could not be read: of files, and of stretches that are no record. A log file without a side file is
    none: it has one only if an event needs it. Memory: some 150 bytes a record.

    `live` is the log's path while it is written to: it may be rotated meanwhile, and its side file with it. What is not found is
    looked for again in files that have come since.
    """

    def __init__(self, files: Iterable[Path], live: Path | None = None) -> None:
        self.problems: list[str] = []
        self._unread = list(files)[::-1]
        self._live = live
        self._live_is: tuple[int, int] | None = None
        """Device and inode of the live file when files were looked for last."""
        self._asked = {_plain(file) for file in self._unread}
        self._files: list[IO[bytes]] = []
        self._names: list[Path] = []
        self._known: dict[bytes, tuple[int, int, int]] = {}
        """By hash: which file, offset of the payload, its length."""
        self._at = 0
        """Offset in the last of the files behind which nothing has been read."""
        self._broken = False
        """That file cannot be read on."""
        self._last = (b"", b"")
        """What was read last, and its hash: to go back in a compressed file is to begin again."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        for file in self._files:
            file.close()
        self._files.clear()

    def payload(self, sha256: bytes) -> bytes | None:
        """The payload with this hash; None: it is in none of the files, or was altered."""
        while sha256 not in self._known:
            if not self._read_on():
                return None
        if self._last[0] == sha256:
            return self._last[1]
        number, offset, size = self._known[sha256]
        try:
            self._files[number].seek(offset)
            found = self._files[number].read(size)
        except (OSError, EOFError, zlib.error) as error:
            self._say(self._names[number], _words(error))
            return None
        return found if hashlib.sha256(found).digest() == sha256 else None

    def _read_on(self) -> bool:
        """One more record. False: there is none."""
        while True:
            if self._files and not self._broken and self._next_record():
                return True
            if not self._unread and not self._look_again():
                return False
            self._open(self._unread.pop())

    def _look_again(self) -> bool:
        """Has the log got other files since?"""
        if self._live is None:
            return False
        try:
            stat = self._live.stat()
            if self._live_is == (stat.st_dev, stat.st_ino):
                return False
            self._live_is = (stat.st_dev, stat.st_ino)
        except OSError:
            return False
        self._unread = [file for file in log_files(self._live) if _plain(file) not in self._asked][
            ::-1
        ]
        self._asked.update(map(_plain, self._unread))
        return bool(self._unread)

    def _open(self, log_file: Path) -> None:
        plain = side_file(log_file)
        for name in (plain, plain.with_name(plain.name + _COMPRESSED)):
            try:
                if not name.is_file():
                    continue
                opened = _opened(name)
            except OSError as error:
                self._say(name, _words(error))
                continue
            self._files.append(opened)
            self._names.append(name)
            self._at, self._broken = 0, False
            return

    def _next_record(self) -> bool:
        """Take in the next record of the last file that was opened. False: the file has no more, for now."""
        file, number = self._files[-1], len(self._files) - 1
        bad = 0
        try:
            while True:
                file.seek(self._at)
                head = file.read(HEADER_BYTES)
                size = int.from_bytes(head[4:8], "big")
                if len(head) == HEADER_BYTES and head[:4] == MAGIC and size <= LONGEST:
                    payload = file.read(size)
                    if len(payload) == size and hashlib.sha256(payload).digest() == head[8:]:
                        self._say_skipped(bad)
                        self._known.setdefault(head[8:], (number, self._at + HEADER_BYTES, size))
                        self._last = (head[8:], payload)
                        self._at += HEADER_BYTES + size
                        return True
                elif not head:
                    self._say_skipped(bad)
                    return False
                step = self._to_magic(file)
                bad += step
                self._at += step
        except (OSError, EOFError, zlib.error) as error:
            self._say(self._names[number], _words(error))
            self._broken = True
            return False

    def _to_magic(self, file: IO[bytes]) -> int:
        """How far the next magic is, or the end of the file, behind the first byte here."""
        file.seek(self._at + 1)
        ahead = 1
        overlap = b""
        while part := file.read(1 << 16):
            found = (overlap + part).find(MAGIC)
            if found >= 0:
                return ahead - len(overlap) + found
            ahead += len(part)
            overlap = (overlap + part)[-len(MAGIC) + 1 :]
        return ahead

    def _say_skipped(self, size: int) -> None:
        if size:
            self._say(
                self._names[-1], f"{size} bytes before offset {self._at} are no record of cell ids"
            )

    def _say(self, file: Path, problem: str) -> None:
        if len(self.problems) < _KEPT_PROBLEMS:
            self.problems.append(f"{file}: {problem}")


def _plain(log_file: Path) -> str:
    return log_file.name.removesuffix(_COMPRESSED)


def _opened(name: Path) -> IO[bytes]:
    if name.name.endswith(_COMPRESSED):
        return cast("IO[bytes]", gzip.open(name, "rb"))
    return name.open("rb")


def _words(error: Exception) -> str:
    if isinstance(error, EOFError):
        return "the compressed file is cut off"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return "the compressed file is damaged"
