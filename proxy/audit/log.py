"""The access log: one JSON object per line, each line written whole or not at all. [io]

Events are one `os.write` on a descriptor opened with O_APPEND, under a lock that all writers of the file share, so
lines do not mix and a write that stops half way (full disk, file size limit) is cut off again without taking a line
of somebody else. All writers, whatever process or service they are, go on with one chain (`chain`): where it stands is in
a file that they all map (`head`), and under the lock each goes on where the last one stopped.

    lock ── as the head says? ── rotate? ── stamp ── head: intended ── side file ── write ── head: settled ── unlock
               no: somebody was killed between write and head, or wrote without us, or the file was cut, moved, emptied:
               take in what is the chain's own (`catch_up`), tell of what is not, and go on

What a crash leaves is one torn last line; whoever writes next closes it with a newline and says so in an event.

A file that is long or old enough is rotated by whoever writes next, under the locks of both files (`rotation`); the
others see that at their next event and follow before they write it, so the order also holds from file to file. The same
happens when somebody else has moved the file and asks for `reopen`.

Writing blocks for the time of the system call and is meant for one thread. It raises AuditFailed and leaves
the decision (may rows be released?) to the caller; once writing works again, an event says how many were
lost, in all processes.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import os
import secrets
import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Final, final

import orjson
import structlog

from proxy.audit import head as heads
from proxy.audit import keys
from proxy.audit.catch_up import ends_with, last_of, take_in
from proxy.audit.cells_file import HEADER_BYTES, MAGIC, record, side_file
from proxy.audit.chain import aggregate, evolve, hash_of, signed_text
from proxy.audit.entry import AS_CONFIGURED, Entry, decimal, encode
from proxy.audit.head import Head, Position
from proxy.audit.lifecycle import (
    Checkpoint,
    Unclean,
    log_begun,
    log_checkpoint,
    log_repaired,
    log_resumed,
    log_rotated,
    log_unclean,
)
from proxy.audit.log_file import (
    LINE_LIMIT,
    append,
    identity,
    lock,
    open_again,
    open_log,
    sync,
    unlock,
)
from proxy.audit.log_state import LogState
from proxy.audit.ocsf import Event
from proxy.audit.rotation import (
    compress_in_background,
    mend,
    name_of,
    named_after,
    rotate,
    rotated_name,
)
from proxy.audit.values import ACK, DURABLE
from proxy.cells.errors import alone

_LOCK_PATIENCE: Final = 0.5  # seconds; a writer holds the lock for some microseconds
_STAMP_BYTES: Final = 400
LONGEST_ENTRY: Final = LINE_LIMIT - _STAMP_BYTES
_BASE32: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_PAIRS: Final = tuple([(high + low).encode() for high in _BASE32 for low in _BASE32])
_sha256: Final = hashlib.sha256
_FOLLOWING: Final = 8  # attempts to find the file that the others write to
_PAUSE_OF_ROTATION: Final = 60_000  # milliseconds after one that failed
_HEAD: Final = "head"
_SERVICE: Final = "service.lock"

log = structlog.get_logger("sealgate.audit")


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
    failing: bool = False
    """Something could not be written, and no checkpoint has been since."""

    @property
    def ok(self) -> bool:
        return not self.lost


@dataclass(frozen=True, slots=True)
class Keeping:
    """How the log is kept. `mode` is that of events that have none of their own; 0 bytes or seconds: no limit."""

    mode: int = ACK
    rotate_bytes: int = 0
    rotate_seconds: int = 0
    compress: bool = False
    checkpoint_events: int = 1000
    checkpoint_seconds: int = 10


def epoch_milliseconds() -> int:
    """The system's clock, as OCSF counts time."""
    return time.time_ns() // 1_000_000


def state_directory(path: Path) -> Path:
    """Where the state of a log is if nobody says otherwise."""
    return path.with_name(path.name + ".state")


class AuditLog:
    """An open log. Opening, writing and reopening raise AuditFailed.

    `writers` processes may write it: this one, which is number 0, and those forked from it (`forked`). A guest (`join`) is
    no service: it writes to a log that is another's, whether that is running or not.
    """

    def __init__(
        self,
        path: Path,
        *,
        state: Path | None = None,
        keeping: Keeping | None = None,
        clock: Callable[[], int] = epoch_milliseconds,
        writers: int = 1,
        guest: bool = False,
    ) -> None:
        self._path = path
        self._state_path = state if state is not None else state_directory(path)
        self._keeping = keeping if keeping is not None else Keeping()
        self.mode = self._keeping.mode
        self._clock = clock
        self._state = LogState(writers)
        self._writers = writers
        self._writer = 0
        self._guest = guest
        self._owner = os.getpid()
        self._fd = -1
        self._cells = -1
        self._service = -1
        self._generation = 0
        self._patience = _LOCK_PATIENCE
        self._not_before = 0
        self._source = _base32(secrets.randbits(40))
        self._source_json = b'"%b"' % self._source.encode()
        self._uids = _Uids(self._source)
        try:
            self._open()
        except OSError as error:
            self._close_all()
            raise alone(AuditFailed(f"{path}: {_reason(error)}")) from None

    @classmethod
    def join(
        cls,
        path: Path,
        state: Path | None = None,
        clock: Callable[[], int] = epoch_milliseconds,
    ) -> AuditLog:
        """One more writer of a log, for the auditor and for commands."""
        return cls(path, state=state, clock=clock, guest=True)

    @property
    def status(self) -> LogStatus:
        """Of the whole service."""
        state = self._state
        return LogStatus(self._head.sequence, *state.losses(), failing=state.failing)

    @property
    def chain(self) -> str:
        return self._head.chain

    @property
    def checkpoint_seconds(self) -> int:
        """How often `checkpoint` is due."""
        return self._keeping.checkpoint_seconds

    @property
    def state_path(self) -> Path:
        return self._state_path

    @property
    def committed(self) -> tuple[int, int, int]:
        """(device, inode, bytes) of what is in the file for certain, without the lock: for who follows it. Raises OSError."""
        return self._head.committed

    @property
    def seal_key_is_here(self) -> bool:
        """The auditor has not fetched it."""
        return keys.seal_key_is_here(self._state_path)

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
        """The same, of events that are JSON already; on the disk where the mode of one of them is durable."""
        self.write_unsynced(entries)
        durable = False
        for entry in entries:
            durable = durable or self.mode_of(entry) == DURABLE
        if durable:
            try:
                self.syncing().run()
            except OSError as error:
                raise alone(self._failed(_reason(error), len(entries))) from None

    def mode_of(self, entry: Entry) -> int:
        return self.mode if entry.mode == AS_CONFIGURED else entry.mode

    def write_unsynced(self, entries: Sequence[Entry]) -> None:
        """Append, whatever the mode: `syncing` is the caller's."""
        if self._fd < 0:
            raise self._failed("the log is closed", len(entries))
        for entry in entries:
            if entry.size > LONGEST_ENTRY or len(entry.cells) > LONGEST_ENTRY:
                raise self._failed("an event is too long", len(entries))
        try:
            self._lock()
            try:
                self._write(entries)
            finally:
                unlock(self._fd)
        except BlockingIOError as error:
            self._patience = 0.0  # one event has waited in vain; the next ones do not
            raise alone(self._failed(_reason(error), len(entries))) from None
        except OSError as error:
            raise alone(self._failed(_reason(error), len(entries))) from None

    def syncing(self) -> Syncing:
        """What brings all that was written to the disk; another thread may run it while this one goes on. Raises OSError."""
        return Syncing([os.dup(fd) for fd in (self._cells, self._fd) if fd >= 0])

    def lose(self, count: int, reason: str) -> AuditFailed:
        """Count events that did not get into the log, or not surely; gives the error to raise."""
        return self._failed(reason, count)

    def checkpoint(self) -> None:
        """Sign how far the log has come. Raises AuditFailed."""
        try:
            self._lock()
            try:
                self._write((), checkpoint=True)
            finally:
                unlock(self._fd)
            if self.mode == DURABLE:
                self.syncing().run()
            self._head.flush()
        except OSError as error:
            self._state.failing = True
            raise alone(AuditFailed(f"{self._path}: {_reason(error)}")) from None
        self._state.failing = False

    def reopen(self) -> None:
        """Go on in the file that has the path now, after somebody moved it. If that fails, stay in the old."""
        if self._fd < 0:
            raise AuditFailed(f"{self._path}: the log is closed")
        try:
            fd = open_log(self._path, sync_directory=self.mode == DURABLE)
            try:
                moved = self._move_service_to(fd)
            except BaseException:
                os.close(fd)
                raise
            if not moved:
                os.close(fd)
        except OSError as error:
            raise alone(AuditFailed(f"{self._path}: {_reason(error)}")) from None

    def _move_service_to(self, fd: int) -> bool:
        """Unless it is there already."""
        self._lock()
        try:
            self._write(())
            old = self._fd
            if identity(fd) == identity(old):
                return False
            lock(fd, _LOCK_PATIENCE)
            self._move_to(fd, self._head.read()[0])
            os.close(old)
            return True
        finally:
            unlock(self._fd)

    def follow(self) -> None:
        """Leave a file that another process of the service has left. What fails is tried again by the next write."""
        try:
            if self._head.generation != self._generation:
                self._follow()
                unlock(self._fd)
        except OSError as error:
            raise alone(AuditFailed(f"{self._path}: {_reason(error)}")) from None

    def forked(self, writer: int) -> None:
        """First thing in a forked process: it is this writer, with a lock of its own. Raises AuditFailed."""
        self._writer = writer
        inherited = self._fd
        if self._cells >= 0:
            os.close(self._cells)
            self._cells = -1
        try:
            self._fd = open_again(inherited, self._path)
        except OSError as error:
            raise alone(AuditFailed(f"{self._path}: {_reason(error)}")) from None
        finally:
            os.close(inherited)
        if self._keeping.compress and writer == 1:
            compress_in_background(self._path)

    def close(self) -> None:
        """In order: nobody will call this end unclean. Writing after this raises AuditFailed."""
        if self._fd >= 0 and self._service >= 0 and os.getpid() == self._owner:
            try:
                self._lock()
                try:
                    position, intended = self._head.read()
                    if position is intended:
                        position.running = max(0, position.running - 1)
                        self._head.put(position)
                finally:
                    unlock(self._fd)
                self._head.flush()
            except OSError as failed:  # The next start says that this end was not in order.
                log.warning("log not closed in order", problem=_reason(failed))
        self._close_all()

    def _close_all(self) -> None:
        for fd in (self._fd, self._cells, self._service):
            if fd >= 0:
                os.close(fd)
        self._fd = self._cells = self._service = -1

    # Opening.

    def _open(self) -> None:
        """The log, its state, and what the file says of the last who wrote it."""
        fd = self._locked_at_path()
        last = -1
        try:
            keys.make_state_directory(self._state_path)
            if not (self._state_path / _HEAD).exists():
                self._begin_chain(fd)
            self._head = Head(self._state_path / _HEAD)
            self._chain_json = b'{"chain":"%b",' % self._head.chain.encode()
            self._key = self._signing_key()
            last = self._locked_where_others_are(fd)
            position, intended = self._head.read()
            reasons = [] if self._guest else self._count_in(position)
            self._arrive(fd, position, intended, reasons)
        except BaseException:
            if self._fd != fd:
                os.close(fd)
            raise
        finally:
            if last >= 0:
                os.close(last)
        unlock(fd)
        if self._keeping.compress and self._writers == 1:
            compress_in_background(self._path)

    def _locked_where_others_are(self, fd: int) -> int:
        """The file that was written last, if it is not the one at the path, which is locked: locked before that. -1: it is, or is nowhere.

        Somebody has moved it, and writers that do not know it yet go on in it.
        """
        for _ in range(_FOLLOWING):
            position, _intended = self._head.read()
            place = (position.device, position.inode)
            if not position.sequence or identity(fd) == place:
                return -1
            other = self._under_another_name(position)
            if other < 0:
                return -1
            unlock(fd)
            try:
                lock(other, _LOCK_PATIENCE)
                lock(fd, _LOCK_PATIENCE)
                position, _intended = self._head.read()
            except BaseException:
                os.close(other)
                raise
            if (position.device, position.inode) == place:
                return other
            os.close(other)
        raise OSError(errno.ESTALE, "the file is moved again and again")

    def _under_another_name(self, position: Position) -> int:
        """The file that was written last, moved within its directory; -1: it is not there."""
        name = name_of(self._path, position.device, position.inode)
        if not name:
            return -1
        try:
            fd = open_log(self._path.with_name(name), create=False)
        except FileNotFoundError:
            return -1
        if identity(fd) == (position.device, position.inode):
            return fd
        os.close(fd)
        return -1

    def _locked_at_path(self) -> int:
        """The file that has the path, also if it is being rotated just now."""
        for _ in range(_FOLLOWING):
            fd = open_log(self._path, sync_directory=self.mode == DURABLE)
            try:
                lock(fd, _LOCK_PATIENCE)
                again = open_log(self._path, create=False)
            except BaseException:
                os.close(fd)
                raise
            same = identity(again) == identity(fd)
            os.close(again)
            if same:
                return fd
            os.close(fd)
        raise OSError(errno.ESTALE, "the file is moved again and again")

    def _begin_chain(self, fd: int) -> None:
        keys.make_signing_key(self._state_path)
        position = Position(keys.make_seal_key(self._state_path))
        position.device, position.inode = identity(fd)
        chain = uuid.uuid4().hex
        heads.create(self._state_path / _HEAD, chain, self._path.absolute(), position)

    def _signing_key(self) -> keys.SigningKey | None:
        try:
            return keys.load_signing_key(self._state_path)
        except OSError:
            if self._guest:  # It may write, and leaves checkpoints to the service.
                return None
            raise

    def _count_in(self, position: Position) -> list[str]:
        """One more service writes. If nobody does any more and somebody has not said so, that end was unclean."""
        path = self._state_path / _SERVICE
        self._service = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        reasons = []
        try:
            fcntl.flock(self._service, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if position.running:
                reasons.append("the last service did not stop in order")
            position.running = 0
        except BlockingIOError:
            pass
        fcntl.flock(self._service, fcntl.LOCK_SH)
        position.running += 1
        return reasons

    # All of these hold the lock.

    def _arrive(
        self, fd: int, position: Position, intended: Position, reasons: list[str], name: str = ""
    ) -> None:
        """Go on in this file, wherever the chain stands. Tells of what is not as it should be.

        `name`: what the file is called now that was written before, if that is known.
        """
        place = identity(fd)
        moved = place != (position.device, position.inode)
        if moved:
            self._refuse_state_of_another(position)
        mend(self._path, fd)
        size = os.lseek(fd, 0, os.SEEK_END)
        notes: list[Event] = []
        if not position.sequence:
            notes.append(log_begun(log_existed=size > 0))
            position.offset = _line_start(fd, size)
            position.began = self._clock()
        elif not _ends_at(fd, position, self._head.chain):
            if moved:
                notes += self._new_file(fd, size, position, reasons, name)
            elif size >= position.offset > 0:
                reasons.append("the last line is not the one that was written")
        position.device, position.inode = place
        position.generation += moved
        cells = side_file(self._path)
        position.cells = min(position.cells, cells.stat().st_size if cells.exists() else 0)
        found, before = self._caught_up(fd, position, intended, size, reasons)
        notes += found
        was = self._fd
        self._fd = fd
        try:
            if notes:
                self._append(position, [encode(note) for note in notes], before)
            else:
                self._head.put(position)
        except BaseException:
            self._fd = was
            raise
        self._now_in(fd, position.generation)

    def _new_file(
        self, fd: int, size: int, position: Position, reasons: list[str], name: str
    ) -> list[Event]:
        """The file at the path is not the one that was written last."""
        chain, found, _ = last_of(fd, size)
        if chain and chain != self._head.chain:
            problem = (
                f"the log is of another chain than its state {self._state_path}. Move one away"
            )
            raise OSError(errno.EINVAL, problem)
        name = name or name_of(self._path, position.device, position.inode)
        last, base = position.sequence, position.base
        position.offset = _line_start(fd, size)
        position.base, position.began = last, self._clock()
        if name and not chain:
            return [log_rotated(name)]
        reasons.append("the file is not the one that was written last")
        lost = max(0, last - max(found, base))
        note = log_unclean(Unclean(last, found, lost, "; ".join(reasons)))
        reasons.clear()
        return [note]

    def _refuse_state_of_another(self, position: Position) -> None:
        """Two logs with one state would both be broken."""
        other = self._head.log_path
        try:
            status = other.stat()
        except OSError:
            return
        found = status.st_dev & (1 << 63) - 1, status.st_ino & (1 << 63) - 1
        if other != self._path.absolute() and found == (position.device, position.inode):
            problem = f"the state in {self._state_path} belongs to {other}: give each log its own"
            raise OSError(errno.EINVAL, problem)

    def _caught_up(
        self, fd: int, position: Position, intended: Position, size: int, reasons: list[str]
    ) -> tuple[list[Event], bytes]:
        """What is to be said of the file behind the head, and what has to stand before it. `position` is at its end then."""
        last, expected = position.sequence, intended.sequence
        lost, found_at = 0, last
        if size < position.offset:
            reasons.append("the file is shorter than what was written")
        if size < position.offset or not _line_begins(fd, position.offset):
            chain, found_at, _ = last_of(fd, size)
            found_at = found_at if chain == self._head.chain else 0
            lost = max(0, last - max(found_at, position.base))
            position.offset = _line_start(fd, size)
        behind = take_in(fd, position, size, self._head.chain)
        if position.sequence > max(last, expected):
            reasons.append("the state was behind the file")
        if behind.foreign:
            reasons.append(f"{behind.foreign} lines are not the chain's")
        notes = [log_repaired(*torn) for torn in behind.torn]
        if reasons:
            found_at = max(found_at, position.sequence) if not lost else found_at
            notes.insert(0, log_unclean(Unclean(last, found_at, lost, "; ".join(reasons))))
        return notes, b"" if behind.ended else b"\n"

    def _write(self, entries: Sequence[Entry], *, checkpoint: bool = False) -> None:
        position, intended = self._head.read()
        size = os.lseek(self._fd, 0, os.SEEK_END)
        if position is not intended or size != position.offset:
            notes, before = self._caught_up(self._fd, position, intended, size, [])
            if notes:
                self._append(position, [encode(note) for note in notes], before)
            else:
                self._head.put(position)
        if self._rotation_is_due(position):
            self._rotate(position)
        if position.offset == 0 and position.base:
            name = named_after(self._path, position.base)
            self._append(position, (encode(log_rotated(name)),))
        if self._state.unsaid:
            self._tell_what_is_lost(position)
        for entry in entries:
            if entry.cells:
                self._ready_side_file(position)
                break
        if entries or checkpoint:
            self._append(position, entries, checkpoint=checkpoint)

    def _append(
        self,
        position: Position,
        entries: Sequence[Entry],
        before: bytes = b"",
        *,
        checkpoint: bool = False,
    ) -> None:
        """Write at the end of the file, where `position` is: `before`, which is no event, the events, a checkpoint."""
        now = self._clock()
        uids = self._uids
        uids.at(max(now, position.time))
        start, cells = position.offset, position.cells
        records = self._records(position, entries)
        parts = [before]
        moment = b"%d" % now
        for entry in entries:
            self._stamp(parts, position, entry, moment)
        signing = self._key
        if signing is not None and (
            checkpoint
            or (position.sequence - position.checkpoint >= self._keeping.checkpoint_events > 0)
        ):
            self._stamp(parts, position, self._checkpoint(position, signing), moment)
            position.checkpoint, position.checkpoint_time = position.sequence, now
        data = b"".join(parts)
        position.time = uids.time
        position.offset = start + len(data)
        self._head.intend(position)
        try:
            if records:
                append(self._cells, records, cells)
            append(self._fd, data, start)
        except BaseException:
            self._head.abandon()
            raise
        self._head.settle()
        self._patience = _LOCK_PATIENCE

    def _stamp(self, parts: list[bytes], position: Position, entry: Entry, moment: bytes) -> None:
        """The entry as the chain's next line."""
        position.sequence = sequence = position.sequence + 1
        p0, p1, p2, p3, p4 = entry.pieces
        stamp = self._uids.stamp(sequence)
        ahead = b"".join((p0, self._source_json, p1, stamp, p2, moment, p3, self._chain_json))
        behind = b"".join((b'"prev":"', position.h.hex().encode(), b'"}', p4))
        position.h = h = hash_of(ahead, behind)
        position.a = aggregate(position.k, position.a, h)
        position.k = evolve(position.k)
        parts += (ahead, b'"hash":"', h.hex().encode(), b'",', behind, b"\n")

    def _checkpoint(self, position: Position, signing: keys.SigningKey) -> Entry:
        text = signed_text(self._head.chain, position.sequence, position.h, position.a)
        point = Checkpoint(
            position.sequence,
            position.h.hex(),
            position.a.hex(),
            signing.name,
            signing.sign(text),
        )
        return encode(log_checkpoint(point))

    def _records(self, position: Position, entries: Sequence[Entry]) -> bytes:
        """What the side file gets; `position` is behind it then."""
        records = b"".join([record(entry.cells) for entry in entries if entry.cells])
        position.cells += len(records)
        return records

    def _ready_side_file(self, position: Position) -> None:
        """It ends where the head says: what a crash has torn there, and no event speaks of, is cut off and told of."""
        if self._cells < 0:
            self._cells = open_log(side_file(self._path), sync_directory=self.mode == DURABLE)
        size = os.lseek(self._cells, 0, os.SEEK_END)
        if size == position.cells:
            return
        position.cells = whole = _whole_records(self._cells, min(position.cells, size), size)
        if size > whole:
            os.ftruncate(self._cells, whole)
            torn = log_repaired(whole, size - whole, side_file(self._path).name)
            self._append(position, (encode(torn),))

    def _rotation_is_due(self, position: Position) -> bool:
        """The supervisor leaves it to its workers: it forks, and is to have no thread then."""
        keeping = self._keeping
        if not (keeping.rotate_bytes or keeping.rotate_seconds) or position.offset == 0:
            return False
        if self._writer == 0 and self._writers > 1:
            return False
        now = self._clock()
        position.began = min(position.began, now)  # the clock has stepped back
        due = position.offset >= keeping.rotate_bytes > 0
        if keeping.rotate_seconds > 0:
            due = due or now - position.began >= 1000 * keeping.rotate_seconds
        return due and now >= self._not_before

    def _rotate(self, position: Position) -> None:
        """Go on in a new file. If that cannot be, in the old one, and try again later."""
        now = self._clock()
        try:
            fd = rotate(self._path, self._fd, rotated_name(self._path, now, position.sequence))
        except OSError as failed:
            self._not_before = now + _PAUSE_OF_ROTATION
            log.warning("log not rotated", path=str(self._path), problem=_reason(failed))
            return
        old = self._fd
        if fd < 0:  # somebody has moved the file and not said so
            fd = open_log(self._path)
            try:
                lock(fd, _LOCK_PATIENCE)
                self._move_to(fd, position)
            except BaseException:
                os.close(fd)
                raise
        else:
            position.device, position.inode = identity(fd)
            position.generation += 1
            position.offset = position.cells = 0
            position.base, position.began = position.sequence, now
            self._head.put(position)
            self._now_in(fd, position.generation)
        os.close(old)
        with contextlib.suppress(OSError):  # the names; what is behind them is as safe as before
            sync(self._path.parent)
        if self._keeping.compress:
            compress_in_background(self._path)

    def _now_in(self, fd: int, generation: int) -> None:
        self._fd, self._generation = fd, generation
        if self._cells >= 0:
            os.close(self._cells)
            self._cells = -1

    def _move_to(self, fd: int, position: Position) -> None:
        """To a file that somebody else has put at the path; it is locked as well."""
        name = _present_name(self._fd)
        self._arrive(fd, position, position, [], name)

    def _tell_what_is_lost(self, position: Position) -> None:
        """The first event after failures: what is missing, before anything else."""
        self._state.unsaid = False  # before the count, so that what is lost meanwhile is told next
        counts = self._state.counts()
        lost, since, reason = self._state.losses()
        try:
            if lost:
                self._append(position, (encode(log_resumed(lost, since, reason)),))
        except BaseException:
            self._state.unsaid = True
            raise
        self._state.told(counts)

    # The lock, and the file that it is of.

    def _lock(self) -> None:
        """Locks the service's current file. Raises OSError."""
        if self._fd < 0:
            raise OSError(errno.EBADF, "the log is closed")
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock(self._fd, self._patience)
        if self._generation != self._head.generation:
            unlock(self._fd)
            self._follow()

    def _follow(self) -> None:
        """To the file where the others are, which is locked then."""
        for _ in range(_FOLLOWING):
            fd = self._file_of_the_others()
            try:
                lock(fd, self._patience)
                position, _intended = self._head.read()
            except BaseException:
                os.close(fd)
                raise
            if identity(fd) == (position.device, position.inode):
                os.close(self._fd)
                self._now_in(fd, position.generation)
                return
            os.close(fd)
        # Where our own order goes on is not known: fail until the next reopen.
        raise OSError(errno.ESTALE, "the file was moved again")

    def _file_of_the_others(self) -> int:
        """At the path, or where somebody has moved it within its directory. If it is nowhere: whatever is at the path."""
        position, _intended = self._head.read()
        fd = -1
        try:
            fd = open_log(self._path, create=False)
            if identity(fd) == (position.device, position.inode):
                return fd
        except FileNotFoundError:
            pass
        moved = self._under_another_name(position)
        if fd < 0 and moved < 0:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
        if moved >= 0:
            if fd >= 0:
                os.close(fd)
            return moved
        return fd

    def _failed(self, reason: str, count: int) -> AuditFailed:
        self._state.lose(self._writer, count, self._clock(), reason)
        return AuditFailed(f"{self._path}: {reason}")


@final
class Syncing:
    """Brings to the disk what was written before it was made. Used once."""

    __slots__ = ("_descriptors",)

    def __init__(self, descriptors: list[int]) -> None:
        self._descriptors = descriptors

    def run(self) -> None:
        """Blocks for milliseconds. Raises OSError: then nobody knows what is on the disk."""
        try:
            for fd in self._descriptors:
                os.fdatasync(fd)
        finally:
            for fd in self._descriptors:
                os.close(fd)


def _whole_records(fd: int, start: int, size: int) -> int:
    """The end of the last whole record in a row from `start` on, where one begins."""
    while size - start >= HEADER_BYTES:
        header = os.pread(fd, HEADER_BYTES, start)
        length = int.from_bytes(header[4:8], "big")
        end = start + HEADER_BYTES + length
        if header[:4] != MAGIC or length > LINE_LIMIT or end > size:
            break
        if _sha256(os.pread(fd, length, start + HEADER_BYTES)).digest() != header[8:]:
            break
        start = end
    return start


def _line_start(fd: int, size: int) -> int:
    """Where the last line begins that has no end; `size` if there is none."""
    start = max(0, size - 2 * LINE_LIMIT)
    return start + os.pread(fd, size - start, start).rfind(b"\n") + 1


def _line_begins(fd: int, offset: int) -> bool:
    return offset == 0 or os.pread(fd, 1, offset - 1) == b"\n"


def _ends_at(fd: int, position: Position, chain: str) -> bool:
    """Is the chain's last line where it should be?"""
    if position.offset == 0:
        return position.sequence == 0
    return ends_with(fd, position.offset, position, chain)


def _present_name(fd: int) -> str:
    """The name of an open file, wherever it was moved; "" if it was deleted."""
    try:
        path = os.readlink(f"/proc/self/fd/{fd}")
        return os.path.basename(path) if os.fstat(fd).st_nlink else ""
    except OSError:
        return ""


def _reason(error: OSError) -> str:
    """The system's words without the file name, which comes first in our own message."""
    return error.strerror or "unknown error"


@final
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
