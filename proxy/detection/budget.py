"""How much a login has been shown lately, counted before it is released.

Time is cut into bins of half a window. What counts is the running bin and the two before it: all of the last window, and up
to half of one more. So no stretch of one window, wherever it begins, holds more than the limit, and nobody gains by waiting
for a boundary. The clock is one that does not step. What was counted is gone when the service ends; who is contained
stays so.

    cells      clear and masked ones alike; withheld ones were not shown
    subjects   different cells of a table's fullest column, as `proxy.detection.subjects` counts them
"""

from __future__ import annotations

import mmap
from collections.abc import Callable
from threading import Lock
from typing import TYPE_CHECKING, Final

from proxy.detection.settings import Detection
from proxy.detection.shared import Counts, Directory
from proxy.detection.subjects import Subjects, estimate, most

if TYPE_CHECKING:
    from proxy.tally import Tally

LOGINS: Final = 4096
CELLS: Final = 0
SUBJECTS: Final = 1
_SHOWN: Final = ("clear", "masked")

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

    def account(self, login: str) -> Account:
        found = self._accounts.get(login)
        if found is None:
            found = Account(self, login, self.directory.place(login))
            if len(self._accounts) < LOGINS:
                self._accounts[login] = found
        return found


class Account:
    """One login's, in one process: of all its sessions here."""

    __slots__ = ("_budgets", "_free", "_login", "_maps", "_place", "_spent")

    def __init__(self, budgets: Budgets, login: str, place: int) -> None:
        self._budgets = budgets
        self._login = login
        self._place = place
        self._maps: dict[str, int] = {}
        self._spent: dict[str, tuple[int, int]] = {}
        """By column, the last bin that had too many subjects, and how many: in that one, no more of them are counted."""
        self._free = 0.0
        """When the login, if it is throttled, has waited for all it was shown."""

    def cells(self, tally: Tally) -> Over | None:
        """What `tally` says is about to be shown. None: it may be. Else that is over the budget, and counted all the same."""
        budgets = self._budgets
        cells = shown(tally)
        if not cells:
            return None
        with budgets.lock:
            time = _bin(budgets.clock(), budgets.cells_seconds)
            budgets.cells.add(self._place, time, cells)
            total = budgets.cells.total(self._place, time)
        if total <= budgets.cells_limit:
            return None
        return self._over(CELLS, total, time, None)

    def subjects(self, tally: Tally) -> Over | None:
        """The same for different subjects."""
        budgets = self._budgets
        over: Over | None = None
        with budgets.lock:
            time = _bin(budgets.clock(), budgets.subjects_seconds)
            for (column, outcome), use in tally.uses.items():
                if outcome not in _SHOWN:
                    continue
                spent = self._spent.get(column)
                if spent is None or spent[0] != time:
                    taken = self._seen(column, time, use.ids)
                    if taken <= budgets.most:
                        continue
                    spent = self._spent[column] = (time, estimate(taken, budgets.subjects.size))
                table = column.rpartition(".")[0]
                over = over or self._over(SUBJECTS, spent[1], time, table)
        return over

    def _seen(self, column: str, time: int, ids: list[bytes]) -> int:
        subjects = self._budgets.subjects
        place = self._maps.get(column)
        if place is None:
            place = self._maps[column] = subjects.map_of(self._login, column)
        return subjects.seen(place, time, ids)

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
        # Said once per window: not again in this bin or the two after it.
        first = budgets.reported[at] < time - 2 and budgets.directory.first(
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
            self._spent.clear()
            self._free = 0.0
            for place in self._maps.values():
                budgets.subjects.forget(place)
            for kind in (CELLS, SUBJECTS):
                budgets.reported[2 * self._place + kind] = 0


def _bin(now: float, seconds: int) -> int:
    """From RING on, so that memory nobody has written to is no bin that counts."""
    return int(2 * now / seconds) + 4


def shown(tally: Tally) -> int:
    """Cells that are about to be shown, clear or masked."""
    cells = 0
    for (_, outcome), use in tally.uses.items():
        if outcome in _SHOWN:
            cells += len(use.ids)
    return cells
