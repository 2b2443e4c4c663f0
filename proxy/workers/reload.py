"""SIGHUP for several workers: all of them or none. [io]

    supervisor reads and checks ── prepare ──► each worker: same text, keys of its own reading, the same versions, TLS
                                               files, catalog; new statements of DDL wait meanwhile
        ◄── prepared ── all of them: the access log moves on, and there is no way back
                        one is unable, ends or is late: forget, nothing has changed
    ── switch ──► each worker, without a wait in between    ◄── switched ── all: an event says so

A worker that does not switch is ended, since it would decide by what is no longer in force.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Sequence
from typing import Final

import structlog

from keystore import KeystoreError
from proxy.audit.log import AuditFailed, AuditLog
from proxy.config import ConfigurationError
from proxy.upkeep import Loaded, NotReloaded, read_again, tell
from proxy.workers.channel import Message
from proxy.workers.seat import Seat

_PATIENCE: Final = 25.0
"""Seconds for a worker to prepare: it may wait for two questions to the server, ten seconds each."""
_SWITCH_PATIENCE: Final = 5.0

_numbers = itertools.count(1)
log = structlog.get_logger("sealgate.supervisor")


class Reload:
    """One of them, for the workers that serve. `over`, then `in_force` is what everybody decides by."""

    def __init__(self, before: Loaded, audit: AuditLog, seats: Sequence[Seat]) -> None:
        self._before = before
        self._after = before
        self._audit = audit
        self._seats = seats
        self._number = next(_numbers)
        self._waiting = {seat.number for seat in seats}
        self._switching = False
        self.deadline = time.monotonic() + _PATIENCE
        self.in_force = before
        self.over = False

    def begin(self) -> None:
        try:
            self._after = read_again(self._before)
        except (ConfigurationError, KeystoreError, NotReloaded) as error:
            self.abandon(str(error))
            return
        message = {
            "ask": "prepare",
            "number": self._number,
            "text": self._after.text,
            "policy": self._after.configuration.policy.version,
            "keys": self._after.keyset.version,
        }
        for seat in self._seats:
            seat.tell(message)
        self._go_on()

    def hear(self, seat: Seat, message: Message) -> None:
        if self.over or message["number"] != self._number:
            return  # the answer to one that was given up
        if message["say"] == "unable":
            self.abandon(f"worker {seat.number}: {message['problem']}")
            return
        if message["say"] == "switched":
            seat.loaded = self._after
        self._waiting.discard(seat.number)
        self._go_on()

    def gone(self, seat: Seat) -> None:
        """The worker has ended."""
        if self.over or seat.number not in self._waiting:
            return
        self._waiting.discard(seat.number)
        if self._switching:
            self._go_on()
        else:
            self.abandon(f"worker {seat.number} ended meanwhile")

    def late(self) -> None:
        """The deadline has passed."""
        if self.over:
            return
        if self._switching:
            self._end()  # who has not switched is ended for it
        else:
            late = ", ".join(map(str, sorted(self._waiting)))
            self.abandon(f"worker {late} does not answer")

    def abandon(self, problem: str) -> None:
        """Nothing changes. Behind the last `prepared` there is no way back."""
        if self._switching:
            self._end()
            return
        for seat in self._seats:
            seat.tell({"ask": "forget", "number": self._number})
        self.over = True
        tell(self._audit, self._before, self._after, problem)

    def _go_on(self) -> None:
        if self.over or self._waiting:
            return
        if self._switching:
            self._end()
            return
        try:
            self._audit.reopen()
        except AuditFailed as failed:
            self.abandon(str(failed))
            return
        self._switching = True
        self.in_force = self._after
        self.deadline = time.monotonic() + _SWITCH_PATIENCE
        self._waiting = {seat.number for seat in self._seats if seat.channel is not None}
        for seat in self._seats:
            seat.tell({"ask": "switch", "number": self._number})
        self._go_on()

    def _end(self) -> None:
        self.over = True
        tell(self._audit, self._before, self._after, "")
