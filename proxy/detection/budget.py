"""How much a login has been shown lately, counted before it is released.

Time is cut into bins of half a window. What counts is the running bin and the two before it: all of the last window, and up
to half of one more. So no stretch of one window, wherever it begins, holds more than the limit, and nobody gains by waiting
for a boundary. The clock is one that does not step. What was counted is gone when the service ends; who is contained
stays so.

    cells      clear and masked ones alike; withheld ones were not shown
    subjects   different cells of a table's fullest column, as `proxy.detection.subjects` counts them

So that not every row asks for what all workers have counted, each takes a reserve for its bin, which is counted when it is
taken (`Reserve`): a budget may be found spent earlier by what other workers have left of theirs, a 64th of it each at most,
and never later.
"""

from __future__ import annotations

import mmap
from collections.abc import Callable
from threading import Lock
from typing import TYPE_CHECKING, Final, final

from proxy.detection.settings import Detection
from proxy.detection.shared import Counts, Directory
from proxy.detection.subjects import Subjects, estimate, most

if TYPE_CHECKING:
    from proxy.tally import Tally

LOGINS: Final = 4096
CELLS: Final = 0
SUBJECTS: Final = 1
_SHOWN: Final = ("clear", "masked")
_FIRST: Final = 4
"""The first bin there may be: memory that nobody has written to is no bin that counts."""
_RESERVED: Final = 64
"""Of a limit, at most this part is one worker's reserve, and of what is left of it, one in 4 times the workers."""
_KEPT: Final = 4096
"""Ids of a column that a process remembers to be in the map."""

Clock = Callable[[], float]
"""Seconds since some moment, the same for all processes, never stepping: CLOCK_MONOTONIC."""


class Over:
    """A budget that is spent. `number` of `limit` would have been reached with what was to be released."""

    __slots__ = ("detector", "first", "limit", "number", "seconds", "table")

    def __init__(
        self,
        detector: str,
        number: int,
        limit: int,
        seconds: int,
        table: str | None,
        *,
        first: bool,
    ) -> None:
        self.detector = detector
        self.number = number
        self.limit = limit
        self.seconds = seconds
        self.table = table
        self.first = first
        """Nobody has said so in this window, in any worker."""


class Budgets:
    """Of all logins. Made before workers are forked; each of them says its number (`in_worker`)."""

    def __init__(self, workers: int, settings: Detection, clock: Clock) -> None:
        self.clock = clock
        self.workers = workers
        self.directory = Directory(LOGINS)
        self.cells = Counts(LOGINS, workers)
        self.subjects = Subjects(workers, settings.budget_subjects.subjects)
        self.reported: memoryview[int] = memoryview(mmap.mmap(-1, 8 * 2 * LOGINS)).cast("q")
        """By login and kind, the bin in which it was said that the budget is spent."""
        self.lock = Lock()
        """Long messages are worked off in other threads."""
        self._accounts: dict[str, Account] = {}
        self.limited(settings)

    def in_worker(self, number: int) -> None:
        self.cells.in_worker(number)
        self.subjects.in_worker(number)

    def limited(self, settings: Detection) -> None:
        """The limits from now on. Maps of subjects keep the size they were made with: one for a much lower limit is full early."""
        cells, subjects = settings.budget_cells, settings.budget_subjects
        self.cells_limit, self.cells_seconds = cells.cells, cells.window_seconds
        self.subjects_limit, self.subjects_seconds = subjects.subjects, subjects.window_seconds
        self.most = most(min(subjects.subjects, 2 * self.subjects.size), self.subjects.size)
        for account in self._accounts.values():
            account.ask_again()

    def account(self, login: str) -> Account:
        found = self._accounts.get(login)
        if found is None:
            found = Account(self, login, self.directory.place(login))
            if len(self._accounts) < LOGINS:
                self._accounts[login] = found
        return found


@final
class Reserve:
    """What a login may still be shown before anybody is asked again: counted already, for all workers, in one bin."""

    __slots__ = ("left", "until")

    def __init__(self) -> None:
        self.left = 0
        self.until = 0.0
        """When the bin is over, and the reserve with it."""

    def take(
        self, counts: Counts, place: int, now: float, seconds: int, number: int, limit: int
    ) -> int:
        """The total that `number` more would lead to, where that is over `limit`; else 0, and they are taken."""
        time = _bin(now, seconds)
        if now >= self.until:
            self.left = 0
            self.until = (time - _FIRST + 1) * seconds / 2
        short = number - self.left
        if short <= 0:
            self.left -= number
            return 0
        counts.add(place, time, short)
        total = counts.total(place, time)
        if total > limit:
            return total
        self.left = 0
        more = min(limit // _RESERVED, (limit - total) // (4 * counts.workers))
        if more:
            counts.add(place, time, more)
            if counts.total(place, time) > limit:
                counts.add(place, time, -more)
            else:
                self.left = more
        return 0


@final
class Seen:
    """One column's subjects, in one process."""

    __slots__ = ("ids", "map", "reserve", "spent", "until")

    def __init__(self, map_: int) -> None:
        self.map = map_
        self.ids: set[bytes] = set()
        """Those that are in the map since this bin began: as many as are kept."""
        self.until = 0.0
        self.reserve = Reserve()
        self.spent = 0
        """How many places were taken when that was too much: in that bin, no more are counted."""


@final
class Account:
    """One login's, in one process: of all its sessions here."""

    __slots__ = ("_budgets", "_cells", "_free", "_login", "_place", "_seen")

    def __init__(self, budgets: Budgets, login: str, place: int) -> None:
        self._budgets = budgets
        self._login = login
        self._place = place
        self._cells = Reserve()
        self._seen: dict[str, Seen] = {}
        self._free = 0.0
        """When the login, if it is throttled, has waited for all it was shown."""

    def charge(self, tally: Tally) -> list[Over] | None:
        """What `tally` says is about to be shown. None: it may be. Else it is over these budgets, and counted all the same."""
        budgets = self._budgets
        now = budgets.clock()
        over: list[Over] | None = None
        budgets.lock.acquire()
        try:
            cells = 0
            for key, use in tally.uses.items():
                outcome = key[1]
                if outcome != "clear" and outcome != "masked":
                    continue
                ids = use.ids
                cells += len(ids)
                seen = self._seen.get(key[0])
                if seen is None or now >= seen.until:
                    seen = self._renewed(key[0], seen, now)
                known = seen.ids
                for cell in ids:
                    if cell not in known:
                        over = self._subjects(key[0], seen, now, ids, over)
                        break
                else:
                    if seen.spent:
                        over = self._subjects(key[0], seen, now, ids, over)
            reserve = self._cells
            if now < reserve.until and cells <= reserve.left:
                reserve.left -= cells
            elif cells:
                limit, seconds = budgets.cells_limit, budgets.cells_seconds
                total = reserve.take(budgets.cells, self._place, now, seconds, cells, limit)
                if total:
                    over = over or []
                    over.insert(0, self._over(CELLS, total, _bin(now, seconds), None))
        finally:
            budgets.lock.release()
        return over

    def _renewed(self, column: str, seen: Seen | None, now: float) -> Seen:
        """Of a bin that begins."""
        budgets = self._budgets
        if seen is None:
            seen = self._seen[column] = Seen(budgets.subjects.map_of(self._login, column))
        seconds = budgets.subjects_seconds
        seen.until = (_bin(now, seconds) - _FIRST + 1) * seconds / 2
        seen.ids.clear()
        seen.spent = 0
        return seen

    def _subjects(
        self, column: str, seen: Seen, now: float, ids: list[bytes], over: list[Over] | None
    ) -> list[Over] | None:
        """Some of `ids` are new in this bin, or the budget is spent."""
        budgets = self._budgets
        subjects, seconds = budgets.subjects, budgets.subjects_seconds
        time = _bin(now, seconds)
        if not seen.spent:
            new = subjects.mark(seen.map, time, ids)
            if len(seen.ids) < _KEPT:
                seen.ids.update(ids[:_KEPT])
            if new:
                seen.spent = seen.reserve.take(
                    subjects.counts, seen.map, now, seconds, new, budgets.most
                )
            if not seen.spent:
                return over
        for known in over or []:
            if known.detector == "budget_subjects":
                return over
        over = over or []
        number = max(estimate(seen.spent, subjects.size), 1)
        over.append(self._over(SUBJECTS, number, time, column.rpartition(".")[0]))
        return over

    def ask_again(self) -> None:
        """A reserve was taken under other limits."""
        with self._budgets.lock:
            self._cells = Reserve()
            for seen in self._seen.values():
                seen.until = 0.0
                seen.reserve = Reserve()

    def delay(self, cells: int, per_second: int) -> float:
        """Seconds that so many cells have to wait, where the login may be shown so many per second. Each worker lets it have
        its share: a login with all its sessions in one of them waits longer.
        """
        budgets = self._budgets
        with budgets.lock:
            now = budgets.clock()
            self._free = max(now, self._free) + cells * budgets.workers / per_second
            return self._free - now

    def _over(self, kind: int, number: int, time: int, table: str | None) -> Over:
        budgets = self._budgets
        at = 2 * self._place + kind
        # Said once per window: not again in this bin or the two after it. A later one is of a shorter window, before a reload.
        first = not time - 2 <= budgets.reported[at] <= time and budgets.directory.first(
            budgets.reported, at, time, time - 2
        )
        if kind == CELLS:
            limit, seconds = budgets.cells_limit, budgets.cells_seconds
            return Over("budget_cells", number, limit, seconds, table, first=first)
        limit, seconds = budgets.subjects_limit, budgets.subjects_seconds
        return Over("budget_subjects", number, limit, seconds, table, first=first)

    def forget(self) -> None:
        """A person has released the login: it begins anew, for all workers."""
        budgets = self._budgets
        with budgets.lock:
            budgets.cells.forget(self._place)
            self._cells = Reserve()
            self._free = 0.0
            for seen in self._seen.values():
                budgets.subjects.forget(seen.map)
            self._seen.clear()
            for kind in (CELLS, SUBJECTS):
                budgets.reported[2 * self._place + kind] = 0


def _bin(now: float, seconds: int) -> int:
    """The number of half windows, `_FIRST` for the first."""
    return int(2 * now / seconds) + _FIRST


def shown(tally: Tally) -> int:
    """Cells that are about to be shown, clear or masked."""
    cells = 0
    for (_, outcome), use in tally.uses.items():
        if outcome in _SHOWN:
            cells += len(use.ids)
    return cells
