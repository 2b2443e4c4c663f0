"""What decides about rows before they are released: budgets, honey, and who is contained.

`Guard.judge` is asked with what a part of a result carries, before its event is made and before anything of it goes out. Its
verdict is what the session does, in this order: the findings on record, the containment on record and in force, then
the part refused and the session ended, or delayed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, final

from proxy.audit.values import Origin
from proxy.detection.budget import Budgets, Over, shown
from proxy.detection.finding import ACTIONS, Action, Finding, Severity, finding_uid
from proxy.detection.honey import Honey
from proxy.detection.restraint import HINT, Contained, Containment, Restraint, stricter
from proxy.detection.settings import CONTAINING, Containing, Detection, Mode

if TYPE_CHECKING:
    from proxy.sql.plan import Touch
    from proxy.tally import Tally

_TITLES: Final = {
    "budget_cells": "Budget of cells is spent",
    "budget_subjects": "Budget of subjects is spent",
    "honey": "Honey was touched",
}
_SPENT: Final = {
    "budget_cells": "the budget of cells of this login is spent",
    "budget_subjects": "the budget of subjects of this login is spent",
    "honey": "this login is contained",
}
"""What a client is told. Not that it was honey."""
KILLED: Final = "57P01"
LIMITED: Final = "53400"
REFUSED: Final = "28000"
_TRIPPED: Final = 1024
"""Pieces of honey that a session is remembered to have touched."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What becomes of a part."""

    findings: tuple[Finding, ...] = ()
    mode: Restraint = None
    """What the part calls for, beyond what the session is under."""
    containment: Containment | None = None
    """To begin; None where it has been told before, here or by another worker."""
    sqlstate: str = LIMITED
    text: str = ""
    hint: str = HINT
    delay: float = 0.0
    """Seconds that the part waits."""

    @property
    def refused(self) -> bool:
        """The part is not released, and the session ends with `sqlstate` and `text`."""
        return self.mode is not None and self.mode != "throttle"


class Guards:
    """What the sessions of one process share. `wall`: the time of day, in epoch milliseconds."""

    def __init__(self, settings: Detection, budgets: Budgets, wall: Callable[[], int]) -> None:
        self.settings = settings
        self.budgets = budgets
        self.wall = wall
        self.contained = Contained()
        """Replaced whole by whoever reads the file of it, and by `contain`."""
        self.honey = Honey()
        self.honeyed = False
        """There is some."""

    def watch_for(self, honey: Honey) -> None:
        """From now on, this is honey."""
        self.honey = honey
        self.honeyed = bool(honey.ids or honey.columns)

    def reload(self, settings: Detection) -> None:
        self.settings = settings
        self.budgets.limited(settings)

    def contain(self, containment: Containment) -> None:
        """In force here at once; the shell tells the others."""
        self.contained = Contained.of([*self.contained.entries.values(), containment])

    def restraint(self, login: str, session: str) -> Restraint:
        """What decisions of a session are under. An exempt login is never contained, whatever the file says."""
        return None if login in self.settings.exempt else self.contained.restraint(login, session)

    def guard(self, login: str, session: str) -> Guard:
        return Guard(self, login, session)


@final
class Guard:
    """One session's."""

    __slots__ = ("_account", "_guards", "_login", "_session", "_tripped")

    def __init__(self, guards: Guards, login: str, session: str) -> None:
        self._guards = guards
        self._login = login
        self._session = session
        self._account = guards.budgets.account(login)
        self._tripped: set[str] = set()

    @property
    def restraint(self) -> Restraint:
        return self._guards.restraint(self._login, self._session)

    @property
    def watches_columns(self) -> bool:
        """Also statements that carry no cell are judged: a column of theirs may be honey."""
        return self._guards.honeyed

    def judge(
        self, origin: Origin, tally: Tally, touches: tuple[Touch, ...], restraint: Restraint
    ) -> Verdict | None:
        """None: release it. `restraint`: what the session's decisions are under."""
        guards = self._guards
        over: list[Over] | None = None
        touched: list[tuple[str, str]] | None = None
        if restraint is None or restraint != "mask":  # Else it sees what containment lets it see.
            over = self._account.charge(tally)
        if guards.honeyed:
            touched = guards.honey.touched(tally, touches, self._tripped)
        if over is None and not touched:
            return self._delayed(tally) if restraint == "throttle" else None
        return self._judged(origin, over or [], touched or [], tally, restraint)

    def _judged(
        self,
        origin: Origin,
        over: list[Over],
        touched: list[tuple[str, str]],
        tally: Tally,
        restraint: Restraint,
    ) -> Verdict:
        verdict = Verdict()
        settings = self._guards.settings
        for piece in touched:
            found = self._touched(origin, settings.honey.mode, piece, restraint)
            verdict = _both(verdict, found)
        for spent in over:
            cells = spent.detector == "budget_cells"
            own = settings.budget_cells.mode if cells else settings.budget_subjects.mode
            verdict = _both(verdict, self._spent(origin, own, spent, restraint))
        if not verdict.refused and (verdict.mode == "throttle" or restraint == "throttle"):
            verdict = _both(verdict, self._delayed(tally))
        return verdict

    def _delayed(self, tally: Tally) -> Verdict:
        per_second = self._guards.settings.throttle_cells_per_second
        return Verdict(delay=self._account.delay(shown(tally), per_second))

    def _spent(self, origin: Origin, own: Mode | None, over: Over, restraint: Restraint) -> Verdict:
        numbers = {"shown": over.number, "limit": over.limit, "seconds": over.seconds}
        now = self._guards.wall()
        uid = finding_uid(over.detector, self._login, over.table, now)
        return self._verdict(
            origin,
            over.detector,
            own,
            numbers,
            now - 1000 * over.seconds,
            over.table,
            uid,
            restraint,
            told=over.first,
        )

    def _touched(
        self, origin: Origin, own: Mode | None, touched: tuple[str, str], restraint: Restraint
    ) -> Verdict:
        name, where = touched
        told = name not in self._tripped and len(self._tripped) < _TRIPPED
        self._tripped.add(name)
        uid = finding_uid("honey", self._login, self._session, name)
        now = self._guards.wall()
        return self._verdict(origin, "honey", own, {}, now, where, uid, restraint, told=told)

    def _verdict(
        self,
        origin: Origin,
        detector: str,
        own: Mode | None,
        numbers: dict[str, int],
        first: int,
        table: str | None,
        uid: str,
        restraint: Restraint,
        *,
        told: bool,
    ) -> Verdict:
        """`told`: this is the first word on it; else only what has to be done is done."""
        guards = self._guards
        settings = guards.settings
        mode = settings.mode_of(own, self._login)
        wanted = own if own is not None else settings.mode
        action: Action = ACTIONS[mode] if mode == wanted else "exempt"
        severity: Severity = "high" if detector == "honey" or mode != "observe" else "medium"
        now = guards.wall()
        findings: tuple[Finding, ...] = ()
        title = _TITLES[detector]
        if told:
            finding = Finding(
                detector,
                title,
                self._login,
                mode,
                action,
                severity,
                self._session,
                origin.client_host,
                numbers,
                first,
                now,
                table,
                uid,
            )
            findings = (finding,)
        new = containing(mode)
        if new is None or stricter(new, restraint) == restraint:
            return Verdict(findings)
        containment: Containment | None = None
        if told and stricter(new, self.restraint) != self.restraint:
            until = now + 60_000 * settings.ttl_minutes
            containment = Containment(self._login, None, new, now, until, title, uid)
        sqlstate = KILLED if new == "kill" else LIMITED
        return Verdict(
            findings, new, containment, sqlstate, f"terminating connection: {_SPENT[detector]}"
        )


def containing(mode: Mode) -> Containing | None:
    for one in CONTAINING:
        if one == mode:
            return one
    return None


def _both(one: Verdict, other: Verdict) -> Verdict:
    """What both ask for, in the words of the stricter one."""
    mode = stricter(one.mode, other.mode)
    decides = one if mode == one.mode else other
    return Verdict(
        one.findings + other.findings,
        mode,
        decides.containment or one.containment or other.containment,
        decides.sqlstate,
        decides.text,
        decides.hint,
        max(one.delay, other.delay),
    )
