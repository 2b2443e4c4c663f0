"""SQL's cursors by name, as the server has them: DECLARE opens one, CLOSE and the end of its transaction close it.

FETCH says nothing about what it fetches, so the plan of the DECLARE is kept: what its columns carry, what it compares,
its text for the access log. Each FETCH is an execution of its own. The response side keeps this, in the order in which
the server answers, so that the answer at hand and the cursors are of the same moment; nothing here is announced before
the server has done it.

When a cursor goes (src/backend/utils/mmgr/portalmem.c): at the end of its transaction, unless it is WITH HOLD and the
transaction committed; with the savepoint it was declared behind, when that is rolled back to. A cursor that we do not
know (opened by a function, say) is no harm: its values are unsealed by what they hold.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from types import MappingProxyType

from policy import Access
from proxy.sql.named import Closes, Declares, Releases, RollsBackTo, Savepoint
from proxy.sql.plan import Changes, Run, StatementPlan


@dataclass(slots=True, eq=False)
class Cursor:
    """One open cursor. `level`: how many savepoints of the transaction are older than it."""

    fetch: StatementPlan
    move: StatementPlan
    hold: bool
    level: int
    committed: bool = False


class Cursors:
    """The namespace of SQL's cursors in one session."""

    __slots__ = ("_open", "_savepoints")

    def __init__(self) -> None:
        self._open: dict[str, Cursor] = {}
        self._savepoints: list[str] = []

    def __len__(self) -> int:
        return len(self._open)

    def get(self, name: str) -> Cursor | None:
        return self._open.get(name)

    def drop(self, name: str) -> None:
        self._open.pop(name, None)

    def completed(self, plan: StatementPlan | None, text: str, tag: bytes) -> None:
        """A statement is complete. `text` is its message's, without literals."""
        match plan.named if plan is not None else None:
            case Declares(name, hold) if plan is not None and tag == b"DECLARE CURSOR":
                fetch = fetching(plan, text)
                self._open[name] = Cursor(fetch, moving(fetch), hold, len(self._savepoints))
            case Closes(None):
                self._open.clear()
            case Closes(str(name)):
                self.drop(name)
            case Savepoint(name):
                self._savepoints.append(name)
            case Releases(name):
                self._end_savepoint(name)
            case RollsBackTo(name):
                self._roll_back_to(name)
                return
        if tag == b"DISCARD ALL":
            self._open.clear()
        elif tag in (b"COMMIT", b"PREPARE TRANSACTION"):
            self.transaction_ended(committed=True)
        elif tag == b"ROLLBACK":
            self.transaction_ended(committed=False)

    def transaction_ended(self, *, committed: bool) -> None:
        """Also with a chained one behind it, and the implicit one of a message or pipeline."""
        if self._savepoints:
            self._savepoints.clear()
        if not self._open:
            return
        for name, cursor in list(self._open.items()):
            if not cursor.hold or not (cursor.committed or committed):
                del self._open[name]
            else:
                cursor.committed = True
                cursor.level = 0

    def _place(self, name: str) -> int | None:
        """The newest savepoint of that name: it hides older ones."""
        places = range(len(self._savepoints) - 1, -1, -1)
        return next((i for i in places if self._savepoints[i] == name), None)

    def _end_savepoint(self, name: str) -> None:
        place = self._place(name)
        if place is not None:
            del self._savepoints[place:]
            for cursor in self._open.values():
                cursor.level = min(cursor.level, place)

    def _roll_back_to(self, name: str) -> None:
        place = self._place(name)
        if place is not None:
            del self._savepoints[place + 1 :]
            for other, cursor in list(self._open.items()):
                if cursor.level > place:
                    del self._open[other]


def fetching(plan: StatementPlan, text: str) -> StatementPlan:
    """The plan of FETCH from a cursor or portal whose statement has this plan and text."""
    return replace(
        plan,
        pieces=(),
        command="FETCH",
        parameters=MappingProxyType({}),
        changes_catalog=False,
        changes=Changes.NOTHING,
        run=Run.NOW,
        named=None,
        recorded_as=plan.recorded_as or text,
    )


def moving(fetch: StatementPlan) -> StatementPlan:
    """MOVE tells how many rows there are, and shows none."""
    touches = tuple(touch for touch in fetch.touches if touch.access is not Access.READ)
    return replace(fetch, command="MOVE", touches=touches)
