"""The access log: one JSON object per line, each line written whole or not at all. [io]

Every event is one `os.write` on a descriptor opened with O_APPEND, so lines of several processes do
not mix. A write that stops half way (full disk, file size limit) is cut off again; a lock shared with the
other writers of the file keeps that cut from taking a line of theirs. What a crash leaves is one torn
last line; the next start closes it with a newline and says so in an event.

`write` blocks for the time of the system call and is meant for one thread. It raises AuditFailed and leaves
the decision (may rows be released?) to the caller; once writing works again, an event says how many were
lost.
"""

from __future__ import annotations

import errno
import fcntl
import os
import secrets
import stat
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar, Final

import orjson

from proxy.audit.lifecycle import log_repaired, log_resumed
from proxy.audit.ocsf import Event

LINE_LIMIT: Final = 4 << 20
"""Bytes of an event at most: a statement on a table of 1600 sealed columns stays below."""
_LOCK_PATIENCE: Final = 0.5  # seconds; a writer holds the lock for some ten microseconds
_LOCK_PAUSE: Final = 0.0002
_BASE32: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_PAIRS: Final = tuple(high + low for high in _BASE32 for low in _BASE32)


class AuditFailed(Exception):
    """An event could not be written; nothing of it is in the file, unless the sync failed.

    The message holds the path and the system's reason, never a part of the event.
    """

    safe_to_log: ClassVar[bool] = True


@dataclass(frozen=True, slots=True)
class LogStatus:
    """Is the log whole? `lost` events since `since` (epoch ms) were not written; `problem` is why."""

    sequence: int
    lost: int = 0
    since: int = 0
    problem: str = ""

    @property
    def ok(self) -> bool:
        return not self.lost


def epoch_milliseconds() -> int:
    """The system's clock, as OCSF counts time."""
    return time.time_ns() // 1_000_000


class AuditLog:
    """An open log. Opening, writing and reopening raise AuditFailed."""

    def __init__(
        self, path: Path, *, fsync: bool = False, clock: Callable[[], int] = epoch_milliseconds
    ) -> None:
        self._path = path
        self._fsync = fsync
        self._clock = clock
        self._identity = _Identity()
        self._fd = -1
        self._patience = _LOCK_PATIENCE
        self._status = LogStatus(sequence=0)
        self.reopen()

    @property
    def status(self) -> LogStatus:
        return self._status

    def write(self, event: Event) -> None:
        """Append one event. Raises AuditFailed; the file then ends where it ended before."""
        if self._fd < 0:
            raise self._failed("the log is closed")
        try:
            if not self._status.ok:
                self._resume()
            self._append(event)
        except BlockingIOError as error:
            self._patience = 0.0  # one event has waited in vain; the next ones do not
            raise self._failed(_reason(error)) from None
        except OSError as error:
            raise self._failed(_reason(error)) from None
        except orjson.JSONEncodeError:
            raise self._failed("an event is not JSON") from None
        except _TooLong:
            raise self._failed("an event is too long") from None

    def reopen(self) -> None:
        """Go on in the file that has the path now, after rotation. If that fails, stay in the old."""
        try:
            fd = _open(self._path, sync_directory=self._fsync)
            try:
                torn = _close_torn_line(fd, _LOCK_PATIENCE)
                sequence = max(self._status.sequence, _last_sequence(fd))
            except BaseException:
                os.close(fd)
                raise
        except OSError as error:
            raise AuditFailed(f"{self._path}: {_reason(error)}") from None
        self.close()
        self._fd = fd
        self._status = replace(self._status, sequence=sequence)
        if torn is not None:
            self.write(log_repaired(*torn))

    def close(self) -> None:
        """Writing after this raises AuditFailed."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _append(self, event: Event) -> None:
        now = self._clock()
        sequence = self._status.sequence + 1
        stamp = self._identity.stamp(now, sequence)
        line = orjson.dumps(
            {"time": now, **event, "metadata": event["metadata"] | stamp},
            option=orjson.OPT_APPEND_NEWLINE,
        )
        if len(line) > LINE_LIMIT:
            raise _TooLong
        append(self._fd, line, self._patience)
        self._patience = _LOCK_PATIENCE
        self._status = replace(self._status, sequence=sequence)
        if self._fsync:
            os.fdatasync(self._fd)

    def _resume(self) -> None:
        """The first write after failures: say what is missing, before anything else."""
        failed = self._status
        torn = _close_torn_line(self._fd, self._patience)
        if torn is not None:
            self._append(log_repaired(*torn))
        self._append(log_resumed(failed.lost, failed.since, failed.problem))
        self._status = LogStatus(self._status.sequence)

    def _failed(self, reason: str) -> AuditFailed:
        status = self._status
        self._status = LogStatus(
            status.sequence,
            status.lost + 1,
            status.since or self._clock(),
            status.problem or reason,
        )
        return AuditFailed(f"{self._path}: {reason}")


def append(fd: int, line: bytes, patience: float = 0.0) -> None:
    """Write `line` whole at the end of the file. Raises OSError, and then no part of it is there.

    `patience`: seconds to wait for another writer of the file.
    """
    _lock(fd, patience)
    try:
        written = os.write(fd, line)
        if written < len(line):
            _finish(fd, line, written)
    finally:
        fcntl.flock(fd, fcntl.LOCK_UN)


def _finish(fd: int, line: bytes, written: int) -> None:
    """The second write says why the first one stopped, unless the reason is gone."""
    start = os.lseek(fd, 0, os.SEEK_CUR) - written
    try:
        while written < len(line):
            written += os.write(fd, line[written:])
    except OSError:
        os.ftruncate(fd, start)
        raise


def _lock(fd: int, patience: float) -> None:
    """A stopped process that holds the lock must not stop this one, so nobody waits for ever."""
    deadline = 0.0
    while True:
        try:
            return fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            now = time.monotonic()
            deadline = deadline or now + patience
            if now >= deadline:
                raise
            time.sleep(_LOCK_PAUSE)


def _open(path: Path, *, sync_directory: bool) -> int:
    """Created for the owner alone. What others may write to is no evidence, so it is refused."""
    fd = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NONBLOCK, 0o600)
    try:
        mode = os.fstat(fd).st_mode
        if not stat.S_ISREG(mode):
            raise OSError(errno.EINVAL, "not a regular file")
        if mode & (stat.S_IWGRP | stat.S_IWOTH):
            raise OSError(errno.EPERM, "others than its owner may write to it (chmod go-w)")
        if sync_directory:
            _sync_directory(path.parent)
    except BaseException:
        os.close(fd)
        raise
    return fd


def _sync_directory(path: Path) -> None:
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _close_torn_line(fd: int, patience: float) -> tuple[int, int] | None:
    """End a last line that has no newline; its (offset, size), or None if there is nothing to do."""
    _lock(fd, patience)
    try:
        size = os.fstat(fd).st_size
        if size == 0 or os.pread(fd, 1, size - 1) == b"\n":
            return None
        tail = _tail(fd, size)
        torn = len(tail) - (tail.rfind(b"\n") + 1)
        os.write(fd, b"\n")
        return size - torn, torn
    finally:
        fcntl.flock(fd, fcntl.LOCK_UN)


def _last_sequence(fd: int) -> int:
    """The sequence number of the last event in the file, 0 if there is none."""
    for line in reversed(_tail(fd, os.fstat(fd).st_size).split(b"\n")):
        try:
            sequence = orjson.loads(line)["metadata"]["sequence"]
        except (orjson.JSONDecodeError, LookupError, TypeError):
            continue
        if isinstance(sequence, int):
            return sequence
    return 0


def _tail(fd: int, size: int) -> bytes:
    """The end of the file, at least its last whole line."""
    start = max(0, size - 2 * LINE_LIMIT)
    return os.pread(fd, size - start, start)


def _reason(error: OSError) -> str:
    """The system's words without the file name, which comes first in our own message."""
    return error.strerror or "unknown error"


class _TooLong(Exception):
    """An event longer than LINE_LIMIT."""


class _Identity:
    """Names events: ULIDs (https://github.com/ulid/spec) and the writer they come from.

    The 80 bits after the time are 40 random ones per writer and a counter, so that a uid costs no
    system call and never repeats. A clock that steps back does not take the uids with it.
    """

    def __init__(self) -> None:
        self.source = _base32(secrets.randbits(40))
        self._time = 0
        self._prefix = ""

    def stamp(self, now: int, sequence: int) -> dict[str, str | int]:
        """The metadata that makes an event one of a kind."""
        if now > self._time:
            self._time = now
            self._prefix = _base32(now, 10) + self.source
        uid = self._prefix + _base32(sequence)
        return {"uid": uid, "sequence": sequence, "log_source": self.source}


def _base32(number: int, digits: int = 8) -> str:
    """The low bits of `number`, five per digit, an even number of digits."""
    return "".join([_PAIRS[number >> shift & 1023] for shift in range(5 * digits - 10, -1, -10)])
