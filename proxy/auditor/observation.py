"""What the log says: numbers for metrics, and the detectors that follow it. [io]

One thread reads every event once. What a detector finds is written into the log, and contains the login where its mode
says so. Baselines and the place in the log are kept in one file, so that both are of one moment: after a crash the
events behind it are read again, and `Watch` knows which it has seen.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import structlog

from proxy.audit.containment import containment_begun
from proxy.audit.finding import detected
from proxy.audit.ocsf import Event
from proxy.auditor.census import Census
from proxy.auditor.cursor import Cursor, Damaged, as_cursor, as_json, load, save
from proxy.auditor.follow import Follower
from proxy.auditor.pulse import Pulse
from proxy.detection.containment import ContainmentFile
from proxy.detection.finding import Finding
from proxy.detection.restraint import Contained, Containment
from proxy.detection.settings import CONTAINING, Detection
from proxy.detection.state_file import StateUnreadable
from proxy.detection.watch import Watch

BASELINES: Final = "baselines.json"
_BATCH: Final = (500, 4 << 20)  # events, bytes
_KEEP: Final = 60.0  # seconds between two writings of the baselines
_TICK: Final = 1.0
_WANTING: Final = 1024

log = structlog.get_logger("sealgate.auditor")


class Observation(threading.Thread):
    """`settled` once it was asked to `settle` and has read to the end of the log; it writes nothing after that."""

    def __init__(
        self,
        settings: Detection,
        state: Path,
        follower: Callable[[Cursor | None, bool], Follower],
        pulse: Pulse,
        census: Census,
        tell: Callable[[Event], None],
        checkpoint_seconds: int,
    ) -> None:
        super().__init__(name="observation", daemon=True)
        self.settled = threading.Event()
        self._settings = settings
        self._file = state / BASELINES
        self._pulse = pulse
        self._census = census
        self._tell = tell
        self._settling = False
        self._containments = ContainmentFile(state)
        self._contained: Contained | None = None
        """As the file said last; it may be damaged, or gone, by now."""
        self._mark: tuple[int, int, int] | None = None
        self._wanting: deque[Containment] = deque(maxlen=_WANTING)
        """Those that could not be written yet: the disk may be full for a moment only."""
        cursor, snapshot = self._loaded()
        # What was before the first start is history: who failed to log in last week is not contained today.
        self._follower = follower(cursor, False)
        self._watch = Watch(settings, snapshot, checkpoint_seconds=checkpoint_seconds)
        self._kept_at = time.monotonic()
        self._unkept = False

    def settle(self) -> None:
        self._settling = True
        self._pulse.wake()

    def run(self) -> None:
        self._keep()  # killed at any moment from now on, it goes on from here
        while True:
            seen = self._pulse.count
            try:
                moved = self._step()
            except OSError as failed:
                log.error("access log not read", problem=failed.strerror)
                moved = False
            if moved:
                continue
            if self._settling:
                break
            self._pulse.wait(seen, _TICK)
        self._keep()
        self.settled.set()

    def _step(self) -> bool:
        batch = self._follower.read(*_BATCH)
        for line in batch.lines:
            for finding in self._watch.observe(line.event):
                self._act(finding)
        self._census.take(batch.lines, batch.unreadable)
        now = time.time_ns() // 1_000_000
        if not batch.moved:
            self._census.read_to_the_end(now)
            for finding in self._watch.tick(now):
                self._act(finding)
        if self._wanting or not batch.moved:
            self._contain()
        if time.monotonic() - self._kept_at >= _KEEP:
            self._keep()
        return batch.moved

    def _act(self, finding: Finding) -> None:
        """The finding, then what is done about it: in the log, and in force."""
        self._tell(detected(finding))
        if finding.mode not in CONTAINING or not (finding.login or finding.session):
            return
        now = time.time_ns() // 1_000_000
        containment = Containment(
            login=finding.login,
            session=None,
            mode=finding.mode,
            begun=now,
            until=now + self._settings.ttl_minutes * 60_000,
            reason=finding.title,
            finding=finding.uid,
        )
        self._wanting.append(containment)
        if not self._contain():
            log.error("login not contained yet", detector=finding.detector)

    def _contain(self) -> bool:
        """Puts in force what is not yet; False where that cannot be done now: it is tried again."""
        try:
            if (mark := self._containments.mark()) != self._mark and mark[0]:
                self._mark = mark
                with contextlib.suppress(StateUnreadable):  # what was known is written anew
                    self._contained = self._containments.read()
            while self._wanting:
                one = self._wanting[0]
                begun = self._containments.contain(one, self._contained)
                self._wanting.popleft()
                if begun is not None:
                    log.warning("login contained", mode=begun.mode)
                    self._tell(containment_begun(begun))
        except (StateUnreadable, OSError):
            return False
        return True

    # The file.

    def _loaded(self) -> tuple[Cursor | None, object]:
        """A file that is damaged: the detectors begin anew, and say so (`Watch`)."""
        try:
            found: Any = load(self._file)
            if found is None:
                return None, None
            return as_cursor(found["cursor"]), found["watch"]
        except (Damaged, OSError, LookupError, TypeError) as failed:
            log.error("baselines not usable: detectors begin anew", problem=type(failed).__name__)
            return None, "damaged"

    def _keep(self) -> None:
        self._kept_at = time.monotonic()
        try:
            cursor = as_json(self._follower.cursor)
            save(self._file, {"cursor": cursor, "watch": self._watch.snapshot()})
            self._unkept = False
        except (OSError, TypeError) as failed:
            if not self._unkept:
                log.error("baselines not kept", problem=type(failed).__name__)
            self._unkept = True
