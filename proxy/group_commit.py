"""One write to the access log for all sessions that the event loop has served in one round. [io]

PostgreSQL's group commit, for events: whoever has something to record waits until the round is over, then one lock, one
write (and one fdatasync) serve all of them, and each goes on with what had to wait for it. A session that is alone in its
round waits for nobody.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import final

from proxy.audit.entry import Entry
from proxy.audit.log import LONGEST_ENTRY, AuditLog

Then = Callable[[Exception | None], None]
"""Called with None once the events are on record; with what went wrong (AuditFailed) if none of them is."""


@final
class GroupCommit:
    """What one event loop has to record."""

    __slots__ = ("_entries", "_log", "_queued", "_waiting")

    def __init__(self, log: AuditLog) -> None:
        self._log = log
        self._entries: list[Entry] = []
        self._waiting: list[Then] = []
        self._queued = False

    def add(self, entries: list[Entry], then: Then) -> None:
        """Record `entries` with the others of this round, all of them or none; what must not happen before is in `then`."""
        apart = False
        for entry in entries:
            apart = apart or entry.size > LONGEST_ENTRY
        if apart:  # It will be refused, and nobody else's event with it.
            self.commit()
        self._entries += entries
        self._waiting.append(then)
        if apart:
            self.commit()
        elif not self._queued:
            self._queued = True
            asyncio.get_running_loop().call_soon(self._round_is_over)

    def _round_is_over(self) -> None:
        self._queued = False
        self.commit()

    def commit(self) -> None:
        """Now, and what this leads to as well. What one of them raises is raised when all have been called."""
        fault: Exception | None = None
        while self._waiting:
            entries, self._entries = self._entries, []
            waiting, self._waiting = self._waiting, []
            failed: Exception | None = None
            try:
                self._log.write_entries(entries)
            except Exception as problem:
                failed = problem
            for then in waiting:
                try:
                    then(failed)
                except Exception as problem:  # The others would wait for ever.
                    fault = problem
        if fault is not None:
            raise fault
