"""What keeps containment and honey in force in one process, and tells the other processes. [io]

Whatever this process decides holds for its sessions at once (`contain`), and is then written to the file; what others write
there (workers, the auditor, `sealgate release`) is read within half a second. Files are read and written in another
thread. A containment ends when its time is over by a clock that does not step: a time of day that does can make it last
longer than it should only where the proxy was started anew.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from time import monotonic, time
from typing import Final, TypeVar

import structlog

from proxy.audit.containment import containment_ended
from proxy.audit.log import AuditFailed, AuditLog
from proxy.detection.budget import Budgets
from proxy.detection.containment import ContainmentFile
from proxy.detection.guard import Guards
from proxy.detection.honey import Honey
from proxy.detection.honey_file import HoneyFile
from proxy.detection.restraint import Contained, Containment
from proxy.detection.settings import Detection
from proxy.detection.state_file import StateFile, StateUnreachable, StateUnreadable

EVERY_SECONDS: Final = 0.5
Who = tuple[str, str | None]
T = TypeVar("T")

log = structlog.get_logger("sealgate.detection")


def wall() -> int:
    """The time of day, in epoch milliseconds."""
    return int(time() * 1000)


@dataclass(frozen=True, slots=True)
class Picture:
    """What was found in the files; None: nothing that can be used, what was known holds."""

    contained: Contained | None
    honey: Honey | None
    expired: tuple[Containment, ...] = ()


class Force:
    """`state`: the directory; `changed`: called whenever somebody is contained or released."""

    def __init__(self, state: Path, settings: Detection, budgets: Budgets, audit: AuditLog) -> None:
        self.guards = Guards(settings, budgets, wall)
        self._audit = audit
        self._containment = ContainmentFile(state)
        self._honey = HoneyFile(state)
        self._marks: dict[Path, tuple[int, int, int]] = {}
        self._unsaved: list[Containment] = []
        self._ends: dict[Who, tuple[int, float]] = {}
        """until -> when that is by the clock that does not step."""
        self.changed: Callable[[], None] = lambda: None
        self._saving: asyncio.Task[None] | None = None

    def begin(self) -> None:
        """Read the files for the first time. Raises StateUnreadable with the file's name in front."""
        for file in (self._containment, self._honey):
            self._marks[file.path] = file.mark()
            try:
                if isinstance(file, ContainmentFile):
                    self._take(file.read())
                elif isinstance(file, HoneyFile):
                    self.guards.watch_for(file.read())
            except StateUnreadable as damaged:
                raise StateUnreadable(f"{file.path} {damaged}") from None

    def contain(self, containment: Containment) -> None:
        """Holds here from now on, and everywhere as soon as it is written."""
        self.guards.contain(containment)
        self._unsaved.append(containment)
        self._note_ends(self.guards.contained)
        if self._saving is None or self._saving.done():
            self._saving = asyncio.ensure_future(self._save())
        self.changed()

    async def watch(self) -> None:
        """For ever."""
        while True:
            await asyncio.sleep(EVERY_SECONDS)
            if self._unsaved:
                await self._save()
            try:
                picture = await asyncio.to_thread(self._look)
                self._put_in_force(picture)
            except Exception as failed:  # Whatever it is: who watches no more heeds nobody.
                log.error("containment not read", exc_info=failed)

    async def _save(self) -> None:
        for one in list(self._unsaved):
            try:
                await asyncio.to_thread(self._containment.contain, one, self.guards.contained)
            except (OSError, StateUnreadable) as failed:
                log.error("containment not written", problem=type(failed).__name__, login=one.login)
                return
            if one in self._unsaved:
                self._unsaved.remove(one)

    # In another thread.

    def _look(self) -> Picture:
        contained = honey = None
        if self._has_changed(self._containment):
            contained = self._read(self._containment.path, self._containment.read)
        elif self.guards.contained.entries and not self._containment.path.exists():
            self._restore()
        if self._has_changed(self._honey):
            honey = self._read(self._honey.path, self._honey.read)
        now = monotonic()
        over = {(who, until) for who, (until, end) in self._ends.items() if end <= now}
        expired: tuple[Containment, ...] = ()
        if over:
            try:
                expired = tuple(self._containment.end(lambda one: (one.who, one.until) in over))
                self._marks[self._containment.path] = self._containment.mark()
                contained = self._containment.read()
            except StateUnreadable:  # It was said when it became so. They stay contained.
                return Picture(None, honey)
            except OSError as full:  # What others have decided holds all the same.
                log.error("containment not ended", problem=full.strerror)
        return Picture(contained, honey, expired)

    def _has_changed(self, file: StateFile) -> bool:
        mark = file.mark()
        if mark == self._marks.get(file.path) or (not mark[0] and file is self._containment):
            return False
        self._marks[file.path] = mark
        return True

    def _restore(self) -> None:
        """Somebody has taken the file away while there was something in it."""
        log.error("containment.json has gone: written anew", path=str(self._containment.path))
        for one in list(self.guards.contained.entries.values()):
            self._containment.contain(one, self.guards.contained)
        self._marks[self._containment.path] = self._containment.mark()

    def _read(self, path: Path, read: Callable[[], T]) -> T | None:
        try:
            return read()
        except StateUnreadable as damaged:
            if isinstance(damaged, StateUnreachable):
                del self._marks[path]  # to be read at the next look
            log.error("what was known stays in force", path=str(path), problem=str(damaged))
            return None

    # Back in the loop.

    def _put_in_force(self, picture: Picture) -> None:
        if picture.honey is not None:
            self.guards.watch_for(picture.honey)
        if picture.contained is not None:
            self._take(picture.contained)
        if picture.expired:
            events = [
                containment_ended(one, "expired", "its time is over") for one in picture.expired
            ]
            try:
                self._audit.write_all(events)
            except AuditFailed as failed:
                log.error("access log not written", problem=str(failed))

    def _take(self, contained: Contained) -> None:
        before = self.guards.contained
        after = Contained.of([*contained.entries.values(), *self._unsaved])
        if after == before:
            return
        now = wall()
        for (login, session), one in before.entries.items():
            if (login, session) not in after.entries and session is None and one.until > now:
                self.guards.budgets.account(login).forget()
        self.guards.contained = after
        self._note_ends(after)
        self.changed()

    def _note_ends(self, contained: Contained) -> None:
        now = wall()
        ends: dict[Who, tuple[int, float]] = {}
        for who, one in contained.entries.items():
            known = self._ends.get(who)
            if known is None or known[0] != one.until:
                left = max(0, min(one.until - now, one.until - one.begun))
                known = (one.until, monotonic() + left / 1000)
            ends[who] = known
        self._ends = ends
