"""The access log: one JSON object per line, each line written whole or not at all. [io]

Events are one `os.write` on a descriptor opened with O_APPEND, under a lock that all writers of the file share, so
lines do not mix and a write that stops half way (full disk, file size limit) is cut off again without taking a line
of somebody else. The processes of one service share a `LogState` as well: under the same lock each goes on where the
last one stopped, so `sequence` has no gap and is in the order of the file. What a crash leaves is one torn last line;
whoever writes next closes it with a newline and says so in an event.

    lock ── file as long as the state says? ── stamp ── write ── state ── unlock
                      no: somebody was killed between write and state, or wrote without us, or the file was cut:
                      read what is behind; numbers go on behind the last of ours

After rotation one process moves the service to the new file while it holds the locks of both; the others see that at
their next event and follow before they write it, so the order also holds from file to file.

Writing blocks for the time of the system call and is meant for one thread. It raises AuditFailed and leaves
the decision (may rows be released?) to the caller; once writing works again, an event says how many were
lost, in all processes.
"""

from __future__ import annotations

import errno
import fcntl
import os
import secrets
import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Final

import orjson

from proxy.audit.chain import aggregate, evolve, hash_of
from proxy.audit.entry import Entry, decimal, encode
from proxy.audit.lifecycle import log_repaired, log_resumed
from proxy.audit.log_file import (
    LINE_LIMIT,
    append,
    identity,
    lock,
    open_again,
    open_log,
    tail,
    unlock,
)
from proxy.audit.log_state import (
    DEVICE,
    GENERATION,
    INODE,
    OFFSET,
    SEQUENCE,
    TIME,
    UNSAID,
    LogState,
)
from proxy.audit.ocsf import Event
from proxy.cells.errors import alone

_LOCK_PATIENCE: Final = 0.5  # seconds; a writer holds the lock for some microseconds
_BEGINNING: Final = b'{"a'
_STAMP_BYTES: Final = 400
LONGEST_ENTRY: Final = LINE_LIMIT - _STAMP_BYTES
_BASE32: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_PAIRS: Final = tuple([(high + low).encode() for high in _BASE32 for low in _BASE32])


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
    """An open log. Opening, writing and reopening raise AuditFailed.

    `writers` processes may write it: this one, which is number 0, and those forked from it (`forked`).
    """

    def __init__(
        self,
        path: Path,
        *,
        fsync: bool = False,
        clock: Callable[[], int] = epoch_milliseconds,
        writers: int = 1,
    ) -> None:
        self._path = path
        self._fsync = fsync
        self._clock = clock
        self._state = LogState(writers)
        self._numbers = self._state.numbers
        self._writer = 0
        self._fd = -1
        self._generation = 0
        self._patience = _LOCK_PATIENCE
        self._source = _base32(secrets.randbits(40))
        self._source_json = b'"%b"' % self._source.encode()
        self._chain_json = b'{"chain":"%b",' % uuid.uuid4().hex.encode()
        self._uids = _Uids(self._source)
        self.reopen()

    @property
    def status(self) -> LogStatus:
        """Of the whole service."""
        return LogStatus(self._numbers[SEQUENCE], *self._state.losses())

    def write(self, event: Event) -> None:
        """Append one event. Raises AuditFailed; the file then ends where it ended before."""
        self.write_all((event,))

    def write_all(self, events: Sequence[Event]) -> None:
        """Append events, all of them or none: one lock, one write. Raises AuditFailed as `write` does."""
        try:
            entries = [encode(event) for event in events]
        except orjson.JSONEncodeError:
            raise alone(self._failed("an event is not JSON", len(events))) from None
        self.write_entries(entries)

    def write_entries(self, entries: Sequence[Entry]) -> None:
        """The same, of events that are JSON already."""
        if self._fd < 0:
            raise self._failed("the log is closed", len(entries))
        for entry in entries:
            if entry.size > LONGEST_ENTRY:
                raise self._failed("an event is too long", len(entries))
        try:
            self._lock()
            try:
                size = os.lseek(self._fd, 0, os.SEEK_END)
                if size != self._numbers[OFFSET]:
                    self._catch_up(size)
                if self._numbers[UNSAID]:
                    self._tell_what_is_lost()
                if entries:
                    self._append(entries, self._numbers[OFFSET])
            finally:
                unlock(self._fd)
            if self._fsync:
                os.fdatasync(self._fd)
        except BlockingIOError as error:
            self._patience = 0.0  # one event has waited in vain; the next ones do not
            raise alone(self._failed(_reason(error), len(entries))) from None
        except OSError as error:
            raise alone(self._failed(_reason(error), len(entries))) from None

    def reopen(self) -> None:
        """Go on in the file that has the path now, after rotation. If that fails, stay in the old."""
        try:
            fd = open_log(self._path, sync_directory=self._fsync)
            try:
                moved = self._move_to(fd)
            except BaseException:
                os.close(fd)
                raise
        except OSError as error:
            raise alone(AuditFailed(f"{self._path}: {_reason(error)}")) from None
        if not moved:
            os.close(fd)
            return
        self.close()
        self._fd = fd
        self.write_all(())  # ends a torn line

    def follow(self) -> None:
        """Leave a file that another process of the service has left. What fails is tried again by the next write."""
        try:
            if self._numbers[GENERATION] != self._generation:
                self._follow()
        except OSError as error:
            raise alone(AuditFailed(f"{self._path}: {_reason(error)}")) from None

    def forked(self, writer: int) -> None:
        """First thing in a forked process: it is this writer, with a lock of its own. Raises AuditFailed."""
        self._writer = writer
        inherited = self._fd
        try:
            self._fd = open_again(inherited, self._path)
        except OSError as error:
            raise alone(AuditFailed(f"{self._path}: {_reason(error)}")) from None
        finally:
            os.close(inherited)

    def close(self) -> None:
        """Writing after this raises AuditFailed."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    # All of these hold the lock.

    def _append(self, entries: Sequence[Entry], start: int, before: bytes = b"") -> None:
        """Write at `start`, where the file ends: `before`, which is no event, and the events."""
        numbers = self._numbers
        now = self._clock()
        sequence = numbers[SEQUENCE]
        uids = self._uids
        uids.at(max(now, numbers[TIME]))
        time_json = b"%d" % now
        head, seal, key = self._state.seal()
        parts = [before]
        for entry in entries:
            sequence += 1
            p0, p1, p2, p3, p4 = entry.pieces
            stamp = uids.stamp(sequence)
            ahead = b"".join(
                (p0, self._source_json, p1, stamp, p2, time_json, p3, self._chain_json)
            )
            behind = b"".join((b'"prev":"', head.hex().encode(), b'"}', p4))
            head = hash_of(ahead, behind)
            seal = aggregate(key, seal, head)
            key = evolve(key)
            parts += (ahead, b'"hash":"', head.hex().encode(), b'",', behind, b"\n")
        data = b"".join(parts)
        append(self._fd, data, start)
        self._state.sealed(head, seal, key)
        numbers[SEQUENCE] = sequence
        numbers[TIME] = uids.time
        numbers[OFFSET] = start + len(data)
        self._patience = _LOCK_PATIENCE

    def _catch_up(self, size: int) -> None:
        """The file is not as the last of us has left it: go on behind it, and tell of lines that were torn.

        All that is torn is ended and told of by one write, so that who is killed here leaves it to the next.
        """
        start = self._numbers[OFFSET]
        new = tail(self._fd, start, size) if size > start else b""
        notes = [encode(log_repaired(*torn)) for torn in _torn_lines(new, size - len(new))]
        self._numbers[SEQUENCE] = max(self._numbers[SEQUENCE], self._last_of_ours(new))
        if notes:
            self._append(notes, size, b"" if new.endswith(b"\n") else b"\n")
        else:
            self._numbers[OFFSET] = size

    def _last_of_ours(self, lines: bytes) -> int:
        """The sequence number of the last of our own events, 0 if there is none. Others count by themselves."""
        end = len(lines)
        named = f'"{self._source}"'.encode()
        while (found := lines.rfind(named, 0, end)) >= 0:
            begins = lines.rfind(b"\n", 0, found) + 1
            ends = lines.find(b"\n", found)
            metadata = _metadata(_event(lines[begins : ends if ends >= 0 else None]))
            if metadata.get("log_source") == self._source:
                return _number(metadata)
            end = begins
        return 0

    def _tell_what_is_lost(self) -> None:
        """The first event after failures: what is missing, before anything else."""
        self._numbers[UNSAID] = 0  # before the count, so that what is lost meanwhile is told next
        counts = self._state.counts()
        lost, since, reason = self._state.losses()
        try:
            if lost:
                notice = encode(log_resumed(lost, since, reason))
                self._append((notice,), self._numbers[OFFSET])
        except BaseException:
            self._numbers[UNSAID] = 1
            raise
        self._state.told(counts)

    # The file.

    def _lock(self) -> None:
        """Locks the service's current file. Raises OSError."""
        while True:
            try:
                fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                lock(self._fd, self._patience)
            if self._generation == self._numbers[GENERATION]:
                return
            unlock(self._fd)
            self._follow()

    def _follow(self) -> None:
        generation = self._numbers[GENERATION]
        fd = open_log(self._path, create=False)
        if identity(fd) != (self._numbers[DEVICE], self._numbers[INODE]):
            os.close(fd)  # Where our own order goes on is not known: fail until the next reopen.
            raise OSError(errno.ESTALE, "the file was moved again")
        self.close()
        self._fd, self._generation = fd, generation

    def _move_to(self, fd: int) -> bool:
        """Move the service to this file, unless it is there already."""
        if self._fd < 0:
            self._begin_in(fd)
            return True
        self._lock()
        try:
            if identity(fd) == identity(self._fd):
                return False
            self._begin_in(fd)
            return True
        finally:
            unlock(self._fd)

    def _begin_in(self, fd: int) -> None:
        lock(fd, _LOCK_PATIENCE)
        try:
            size = os.lseek(fd, 0, os.SEEK_END)
            end = tail(fd, 0, size)
            torn = len(end) - (end.rfind(b"\n") + 1)
            numbers = self._numbers
            numbers[SEQUENCE] = max(numbers[SEQUENCE], _last_sequence(end))
            numbers[DEVICE], numbers[INODE] = identity(fd)
            numbers[OFFSET] = size - torn  # the next write finds the torn line behind it
            numbers[GENERATION] = self._generation = numbers[GENERATION] + 1
        finally:
            unlock(fd)

    def _failed(self, reason: str, count: int) -> AuditFailed:
        self._state.lose(self._writer, count, self._clock(), reason)
        return AuditFailed(f"{self._path}: {reason}")


def _torn_lines(lines: bytes, offset: int) -> list[tuple[int, int]]:
    """(offset, size) of what is left of events, and of the last line if it has no end; but not what is told of already.

    `lines` begin at `offset` of the file.
    """
    torn: dict[int, int] = {}
    told = set()
    *whole, rest = lines.split(b"\n")
    for line in whole:
        if line and line[: len(_BEGINNING)] == _BEGINNING[: len(line)]:
            event = _event(line)
            if event is None:
                torn[offset] = len(line)
            else:
                told.add(_told_of(event))
        offset += len(line) + 1
    if rest:
        torn[offset] = len(rest)
        told.add(_told_of(_event(rest)))
    return [(at, size) for at, size in torn.items() if at not in told]


def _last_sequence(lines: bytes) -> int:
    """The sequence number of the last event in the file, 0 if there is none."""
    for line in reversed(lines.split(b"\n")):
        if number := _number(_metadata(_event(line))):
            return number
    return 0


def _told_of(event: dict[str, Any] | None) -> object:
    """Where the torn line is that this event tells of; None: of none."""
    if event is None or _metadata(event).get("event_code") != "log.repaired":
        return None
    try:
        return event["unmapped"]["sealgate"]["offset"]
    except (LookupError, TypeError):  # not one of ours
        return None


def _event(line: bytes) -> dict[str, Any] | None:
    try:
        event = orjson.loads(line)
    except orjson.JSONDecodeError:
        return None
    return event if isinstance(event, dict) else None


def _metadata(event: dict[str, Any] | None) -> dict[str, Any]:
    """An event's metadata; empty where there is none."""
    found = event.get("metadata") if event is not None else None
    return found if isinstance(found, dict) else {}


def _number(metadata: dict[str, object]) -> int:
    sequence = metadata.get("sequence")
    return sequence if isinstance(sequence, int) and sequence > 0 else 0


def _reason(error: OSError) -> str:
    """The system's words without the file name, which comes first in our own message."""
    return error.strerror or "unknown error"


class _Uids:
    """ULIDs (https://github.com/ulid/spec) of a service's events, in what the log adds to each.

    The 80 bits after the time are 40 random ones per service and the sequence number, so that a uid costs no
    system call and never repeats. A clock that steps back does not take the uids with it.
    """

    def __init__(self, source: str) -> None:
        self._source = source
        self.time = 0
        self._block = -1
        self._before = b""

    def at(self, milliseconds: int) -> None:
        if milliseconds != self.time:
            self.time = milliseconds
            self._block = -1

    def stamp(self, sequence: int) -> bytes:
        """An event's sequence and uid. Of the last two of a uid's 26 digits there is a table."""
        block = sequence >> 10
        if block != self._block:
            self._block = block
            uid = _base32(self.time, 10) + self._source + _base32(block, 6)
            self._before = b',"uid":"' + uid.encode()
        pair = _PAIRS[sequence & 1023]
        return b"".join((decimal(sequence), self._before, pair, b'"'))


def _base32(number: int, digits: int = 8) -> str:
    """The low bits of `number`, five per digit, an even number of digits."""
    pairs = [_PAIRS[number >> shift & 1023] for shift in range(5 * digits - 10, -1, -10)]
    return b"".join(pairs).decode()
