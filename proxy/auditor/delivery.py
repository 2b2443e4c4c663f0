"""One sink: the log's events to its receiver, in order, each at least once. [io]

    read a batch ── send ── taken: the cursor moves on
                      │
                      └─ not now: back to the cursor, wait (twice as long each time, with jitter), read again

Where a receiver answers, taken means that it has said so. Where nobody answers (syslog) it means that some seconds have
passed in which the connection did not end and every byte was acknowledged; a connection that is lost makes the last
seconds come again. Whoever counts drops what has a uid it has seen.

What fails is said once per outage in the log itself, so the other sinks and whoever reads the file hear of it.
"""

from __future__ import annotations

import random
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import structlog

from proxy.audit.delivery import sink_failed, sink_incomplete, sink_recovered, sink_rejected
from proxy.audit.ocsf import Event
from proxy.audit.sinks import Sink
from proxy.auditor.cursor import Cursor, Damaged, as_cursor, as_json, load, save
from proxy.auditor.follow import Batch, End, Follower
from proxy.auditor.pulse import Pulse
from proxy.auditor.sinks.receiver import Receiver, Rejected, Unavailable

_FIRST_PAUSE, _LONGEST_PAUSE = 0.5, 60.0  # seconds before the next attempt
_OVERLAP: Final = (
    5.0  # seconds that are sent again when a connection that nobody answers on is lost
)
_QUIET: Final = 60.0  # seconds between two events that say the same
_KEEP: Final = 0.5  # seconds between two writings of the cursor
_IDLE: Final = 1.0
_LAST_ATTEMPTS: Final = 3  # that may fail once it is to end

log = structlog.get_logger("sealgate.auditor")


@dataclass(slots=True)
class Standing:
    """Numbers of a sink, for metrics and health. Written by its thread, read by others."""

    up: bool = True
    failures: int = 0
    sent: int = 0
    rejected: int = 0
    unreadable: int = 0
    missing: int = 0
    behind_events: int = 0
    behind_bytes: int = 0
    waiting_since: int = 0
    """When the oldest event that it has not taken was made, epoch ms; 0: it has everything."""


class Delivery(threading.Thread):
    """`end` lets it go on until `sequence` is delivered; it is a daemon, so that a process may end without it."""

    def __init__(
        self,
        sink: Sink,
        receiver: Receiver,
        follower: Callable[[Cursor | None, bool], Follower],
        cursor_file: Path,
        pulse: Pulse,
        tell: Callable[[Event], None],
    ) -> None:
        super().__init__(name=f"sink {sink.name}", daemon=True)
        self.sink = sink
        self.standing = Standing()
        self._receiver = receiver
        self._file = cursor_file
        self._pulse = pulse
        self._tell = tell
        self._outage = Outage(sink.name, tell)
        self._incomplete_at = 0.0
        self._told_missing = self._told_unreadable = 0
        self._kept_at = 0.0
        self._unkept = False
        self._sent: deque[tuple[float, Cursor]] = deque()
        self._follower = follower(self._loaded(), sink.history)
        self._certain = self._kept = self._follower.cursor
        self._last_sequence: int | None = None
        self._attempts_left = _LAST_ATTEMPTS
        if sink.history is False:
            self._keep()  # what comes from now on is not lost by a restart

    def end(self, sequence: int) -> None:
        """Ends when it has delivered this event, or its receiver fails; the caller waits as long as it likes."""
        self._last_sequence = sequence
        self._pulse.wake()

    def run(self) -> None:
        while not self._over():
            seen = self._pulse.count
            try:
                busy = self._step()
            except Unavailable as failed:
                self._fail(failed)
                continue
            except OSError as failed:  # the log's own files
                self._fail(Unavailable(f"the log cannot be read: {failed.strerror}"))
                continue
            except Exception as fault:  # a sink that is dead and silent would be worse
                log.exception("sink broken", sink=self.sink.name)
                self._fail(Unavailable(f"a fault of ours ({type(fault).__name__})"))
                continue
            if not busy:
                self._measure()
                self._pulse.wait(seen, _IDLE)
        if self._receiver.close():
            self._sent.clear()
            self._certain = self._follower.cursor
        self._keep()
        self._measure()
        self._follower.close()

    def _over(self) -> bool:
        if self._last_sequence is None:
            return False
        if not self._attempts_left:  # what waits goes on at the next start
            return True
        return not self.standing.waiting_since and (
            self._follower.cursor.sequence >= self._last_sequence
        )

    def _step(self) -> bool:
        """Delivers a batch; False if there was none."""
        batch = self._follower.read(self.sink.batch_events, self.sink.batch_bytes)
        if batch.moved:
            self._note(batch)
            self._deliver(batch)
        self._settle()
        return batch.moved

    def _deliver(self, batch: Batch) -> None:
        lines = [line for line in batch.lines if self.sink.takes(line.code)]
        standing = self.standing
        if lines:
            first = lines[0].event.get("time")
            standing.waiting_since = standing.waiting_since or (first if type(first) is int else 1)
            rejected = self._receiver.send(lines)
            standing.sent += len(lines)
            self._reject(rejected)
            self._outage.over()
            standing.up = True
        standing.waiting_since = 0
        self._sent.append((time.monotonic(), batch.after))
        self._count()

    def _settle(self) -> None:
        """Moves the cursor over what the receiver has for certain."""
        if not self._sent or not self._receiver.settled():
            return
        known = time.monotonic() - (0.0 if self._receiver.answers else _OVERLAP)
        while self._sent and self._sent[0][0] <= known:
            self._certain = self._sent.popleft()[1]
        if time.monotonic() - self._kept_at >= _KEEP:
            self._keep()

    def _fail(self, failed: Unavailable) -> None:
        self.standing.up = False
        self.standing.failures += 1
        if self._last_sequence is not None:
            self._attempts_left -= 1
        self._sent.clear()
        self._follower.go_to(self._certain)
        self._measure()
        pause = self._outage.failed(failed, self.standing.behind_events)
        if not self.standing.waiting_since:
            self.standing.waiting_since = self._certain.time or 1
        self._pulse.rest(pause)

    def _reject(self, rejected: list[Rejected]) -> None:
        count = sum(each.count for each in rejected)
        if not count:
            return
        self.standing.rejected += count
        uids = tuple(uid for each in rejected for uid in each.uids)
        log.error("events rejected", sink=self.sink.name, count=count, reason=rejected[0].reason)
        self._tell(sink_rejected(self.sink.name, count, rejected[0].reason, uids))

    def _note(self, batch: Batch) -> None:
        """Lines that are no event and events that are missing: told, but not for each."""
        standing = self.standing
        standing.missing += batch.missing
        standing.unreadable += batch.unreadable
        missing = standing.missing - self._told_missing
        unreadable = standing.unreadable - self._told_unreadable
        if (missing or unreadable) and time.monotonic() - self._incomplete_at >= _QUIET:
            self._incomplete_at = time.monotonic()
            self._told_missing, self._told_unreadable = standing.missing, standing.unreadable
            self._tell(sink_incomplete(self.sink.name, missing, unreadable))

    def _measure(self) -> None:
        self._count()
        self.standing.behind_bytes = self._follower.behind()

    def _count(self) -> None:
        end: End | None = self._pulse.end
        at = self._follower.cursor
        if end is not None and end.chain == at.chain:
            self.standing.behind_events = max(0, end.sequence - at.sequence)
        elif end is not None:
            self.standing.behind_events = end.sequence

    # The cursor's file.

    def _loaded(self) -> Cursor | None:
        try:
            found = load(self._file)
            return None if found is None else as_cursor(found)
        except (Damaged, OSError) as failed:
            log.error(
                "cursor not usable: events are sent again", sink=self.sink.name, problem=str(failed)
            )
            return Cursor()

    def _keep(self) -> None:
        self._kept_at = time.monotonic()
        if self._certain == self._kept and self._file.exists():
            return
        try:
            save(self._file, as_json(self._certain))
            self._kept, self._unkept = self._certain, False
        except OSError as failed:
            if not self._unkept:
                log.error("cursor not kept", sink=self.sink.name, problem=failed.strerror)
            self._unkept = True


class Outage:
    """From the first failure to the next success."""

    def __init__(self, sink: str, tell: Callable[[Event], None]) -> None:
        self._sink = sink
        self._tell = tell
        self._attempts = 0
        self._began = 0.0
        self._told = False
        self._told_at = -_QUIET

    def failed(self, failure: Unavailable, behind: int) -> float:
        """Seconds until the next attempt."""
        if not self._attempts:
            self._began = time.monotonic()
            log.error("sink failed", sink=self._sink, reason=failure.reason)
        self._attempts += 1
        if not self._told and time.monotonic() - self._told_at >= _QUIET:
            self._told, self._told_at = True, time.monotonic()
            self._tell(sink_failed(self._sink, failure.reason, behind))
        longest = min(_FIRST_PAUSE * 2 ** min(self._attempts - 1, 20), _LONGEST_PAUSE)
        pause = longest * random.uniform(0.5, 1.0)  # noqa: S311 - so that many do not come at once
        return float(max(pause, failure.pause or 0.0))

    def over(self) -> None:
        if not self._attempts:
            return
        seconds = int(time.monotonic() - self._began)
        log.info("sink recovered", sink=self._sink, seconds=seconds, attempts=self._attempts)
        if self._told:
            self._tell(sink_recovered(self._sink, seconds, self._attempts))
        self._attempts, self._told = 0, False
