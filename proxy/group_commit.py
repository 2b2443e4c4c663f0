"""One write to the access log for all sessions that the event loop has served in one round. [io]

PostgreSQL's group commit, for events: whoever has something to record waits until the round is over, then one lock and one
write serve all of them, and each goes on with what had to wait for it. A session that is alone in its round waits for nobody.

What an event's mode asks for (`proxy.audit.values`) is waited for by its session alone:

    async     nothing: its event is written with the next one, 20 ms later at most
    ack       the write
    durable   fdatasync behind the write, in another thread; whoever comes meanwhile shares the next one
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final, final

import structlog

from proxy.audit.entry import Entry
from proxy.audit.log import LONGEST_ENTRY, AuditFailed, AuditLog, Syncing
from proxy.audit.values import ASYNC, DURABLE

Then = Callable[[Exception | None], None]
"""Called with None once the events are on record; with what went wrong (AuditFailed) if none of them is."""

_LATER: Final = 0.02
"""Seconds that an event of mode async waits for others, at most."""
_MANY: Final = 256
"""Such events that wait, at most."""

log = structlog.get_logger("sealgate.audit")


@final
class _Waiting:
    """`then` waits for `count` events, of which the strongest mode is `mode`."""

    __slots__ = ("count", "mode", "then")

    def __init__(self, then: Then, mode: int, count: int) -> None:
        self.then = then
        self.mode = mode
        self.count = count


@final
class GroupCommit:
    """What one event loop has to record."""

    __slots__ = ("_entries", "_later", "_log", "_queued", "_synced_next", "_syncing", "_waiting")

    def __init__(self, log: AuditLog) -> None:
        self._log = log
        self._entries: list[Entry] = []
        self._waiting: list[_Waiting] = []
        self._queued = False
        self._later: asyncio.TimerHandle | None = None
        self._syncing: list[_Waiting] | None = None
        """Who waits for the thread; None: there is none."""
        self._synced_next: list[_Waiting] = []
        """Whose events were written since it began."""

    def add(self, entries: list[Entry], then: Then) -> None:
        """Record `entries` with the others of this round, all of them or none; what must not happen before is in `then`."""
        apart, mode = False, ASYNC
        for entry in entries:
            apart = apart or entry.size > LONGEST_ENTRY
            mode = max(mode, self._log.mode_of(entry))
        if apart:  # It will be refused, and nobody else's event with it.
            self.commit()
        self._entries += entries
        self._waiting.append(_Waiting(then, mode, len(entries)))
        if apart:
            self.commit()
        elif not self._queued:
            self._queued = True
            asyncio.get_running_loop().call_soon(self._round_is_over)

    def _round_is_over(self) -> None:
        self._queued = False
        for waiting in self._waiting:
            if waiting.mode != ASYNC:
                self._finish(self._write_all(), inline=False)
                return
        released, self._waiting = self._waiting, []
        if len(self._entries) >= _MANY:
            self._write_late()
        elif self._later is None and self._entries:
            self._later = asyncio.get_running_loop().call_later(_LATER, self._write_late)
        self._finish(_call(released, None), inline=False)

    def commit(self) -> None:
        """Now, and what this leads to as well. What one of them raises is raised when all have been called."""
        self._finish(self._write_all(), inline=True)

    def _finish(self, fault: Exception | None, *, inline: bool) -> None:
        if self._synced_next or (inline and self._syncing):
            fault = (self._sync_now() if inline else self._sync_in_thread()) or fault
        if fault is not None:
            raise fault

    def _write_all(self) -> Exception | None:
        """Whatever waits, also what comes to wait by that; who waits for the disk waits on."""
        fault: Exception | None = None
        while self._waiting or self._entries:
            waiting, self._waiting = self._waiting, []
            failed = self._write()
            acknowledged = []
            for one in waiting:
                if failed is not None and one.mode == ASYNC:
                    fault = _call([one], None) or fault
                elif failed is None and one.mode == DURABLE:
                    self._synced_next.append(one)
                else:
                    acknowledged.append(one)
            fault = _call(acknowledged, failed) or fault
        return fault

    def _write(self) -> Exception | None:
        entries, self._entries = self._entries, []
        if self._later is not None:
            self._later.cancel()
            self._later = None
        try:
            self._log.write_unsynced(entries)
        except Exception as problem:
            return problem
        return None

    def _write_late(self) -> None:
        """Events whose rows are gone already: that they are lost is counted by the log, and said here."""
        failed = self._write()
        if failed is not None:
            log.error("access log cannot be written", problem=_said(failed))

    # The disk.

    def _sync_now(self) -> Exception | None:
        """Also for those who wait for the thread."""
        fault: Exception | None = None
        while self._synced_next or self._syncing:
            waiting = (self._syncing or []) + self._synced_next
            if self._syncing is not None:
                self._syncing = []
            self._synced_next = []
            failed: Exception | None = None
            try:
                self._log.syncing().run()
            except OSError as problem:
                failed = self._not_synced(waiting, problem)
            fault = _call(waiting, failed) or fault
            fault = self._write_all() or fault
        return fault

    def _sync_in_thread(self) -> Exception | None:
        if self._syncing is not None:
            return None  # They are next.
        try:
            syncing: Syncing = self._log.syncing()
            done = asyncio.get_running_loop().run_in_executor(None, syncing.run)
        except (OSError, RuntimeError):  # no descriptor, no thread
            return self._sync_now()
        self._syncing, self._synced_next = self._synced_next, []
        done.add_done_callback(self._synced)
        return None

    def _synced(self, done: asyncio.Future[None]) -> None:
        waiting, self._syncing = self._syncing or [], None
        failed: Exception | None = None
        problem = done.exception() if not done.cancelled() else OSError(0, "not synced")
        if isinstance(problem, OSError):
            failed = self._not_synced(waiting, problem)
        elif isinstance(problem, Exception):
            failed = problem
        self._finish(_call(waiting, failed), inline=False)

    def _not_synced(self, waiting: list[_Waiting], problem: OSError) -> AuditFailed:
        count = 0
        for one in waiting:
            count += one.count
        return self._log.lose(count, problem.strerror or "not synced")


def _call(waiting: list[_Waiting], failed: Exception | None) -> Exception | None:
    """What the last of them raises that raises: the others would wait for ever."""
    fault: Exception | None = None
    for one in waiting:
        try:
            one.then(failed)
        except Exception as problem:
            fault = problem
    return fault


def _said(failed: Exception) -> str:
    return str(failed) if isinstance(failed, AuditFailed) else type(failed).__name__
