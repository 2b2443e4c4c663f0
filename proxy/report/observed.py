"""What the log shows of an incident's selection, gathered in one pass and in bounded memory."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from proxy.audit.text import LABEL_CAP
from proxy.report.read import COLUMNS_READ, SHOWN, Seen, Touch, listed, mapping, text
from proxy.report.selection import Selection
from proxy.report.tallies import Cells, Span, Tallies

BUCKETS: Final = 48
TIMELINE: Final = 500
SETS: Final = 200
"""Addresses, applications, claimed actors of one login that are listed."""
ALWAYS: Final = (
    "policy.",
    "keys.",
    "configuration.",
    "schema.",
    "honey.",
    "containment.",
    "proxy.",
    "log.",
    "auditor.",
    "worker.lost",
)
"""Belong into the timeline whoever they are of; except for _QUIET."""
QUIET: Final = frozenset({"log.checkpoint", "log.rotated"})
_MINE: Final = ("detection.", "value.tampered", "protocol.violated")
PROVES_LOGIN: Final = frozenset({"authentication.succeeded", "session.opened", "value.tampered"})
"""Events of a login that the server has let in, beside those of statements."""
PLOTTED: Final = ("clear", "masked", "withheld")


@dataclass(slots=True)
class Party(Cells):
    """One login."""

    sessions: int = 0
    failed_logins: int = 0
    refused: int = 0
    addresses: dict[str, None] = field(default_factory=dict)
    applications: dict[str, None] = field(default_factory=dict)
    actors: dict[str, None] = field(default_factory=dict)
    roles: dict[str, None] = field(default_factory=dict)


@dataclass(slots=True)
class SessionSeen(Cells):
    login: str = ""
    address: str = ""
    application: str = ""
    actor: str = ""
    purpose: str = ""
    passthrough: str = ""


@dataclass(slots=True)
class ColumnSeen(Span):
    cells: int = 0
    rows: int = 0


@dataclass(slots=True)
class KeySeen(Span):
    cells: int = 0


@dataclass(frozen=True, slots=True)
class Moment:
    time: int
    code: str
    login: str
    text: str


class Observed:
    """`see` every event of the window."""

    def __init__(self, selection: Selection, since: int, until: int) -> None:
        self._selection = selection
        self._since = since
        self._step = max(1, -(-(until - since) // BUCKETS))
        self.span = Span()
        self.parties: Tallies[str, Party] = Tallies(Party)
        self.failures: Tallies[str, Party] = Tallies(Party)
        """Names of which the log shows no login that succeeded before, or at all."""
        self.sessions: Tallies[str, SessionSeen] = Tallies(SessionSeen)
        self.columns: Tallies[tuple[str, str], ColumnSeen] = Tallies(ColumnSeen)
        self.keys: Tallies[tuple[str, int], KeySeen] = Tallies(KeySeen)
        self.refusals: Tallies[tuple[str, str], Span] = Tallies(Span)
        self.unlisted_cells = 0
        """Cells whose ids the log does not have."""
        self.buckets: dict[int, list[int]] = {}
        self.timeline: list[Moment] = []
        self.timeline_left_out = 0
        self.findings = 0
        self.first_finding = 0
        self.containments = 0
        self.shown = 0
        self.shown_before_containment: int | None = None

    def see(self, one: Seen) -> bool:
        """Whether the event is of the selection."""
        mine = self._selection.takes(one)
        nobody = not (one.login or one.session)
        if one.code.startswith(ALWAYS) and one.code not in QUIET:
            if not one.code.startswith("containment.") or mine or nobody:
                self._tell(one)
            if one.code == "containment.begun" and mine:
                self.containments += 1
                if self.shown_before_containment is None:
                    self.shown_before_containment = self.shown
        elif one.code.startswith(_MINE) and (mine or nobody):
            # what is found about no login (the log is silent, an address tries passwords) may be part of it
            self._tell(one)
            if mine or not self._selection.selectors:
                self.findings += 1
                self.first_finding = self.first_finding or one.time
        if mine and not one.code.startswith(ALWAYS):
            self._count(one)
        return mine

    def _count(self, one: Seen) -> None:
        self.span.at(one.time)
        proven = one.code in PROVES_LOGIN or one.is_statement
        # Names that only tried, anybody can make up: they must not take the place of those who got in.
        known = proven or one.login in self.parties
        party = (self.parties if known else self.failures)[one.login]
        party.at(one.time)
        for kept, name in (
            (party.addresses, one.address),
            (party.applications, one.application),
            (party.actors, one.actor),
            *((party.roles, role) for role in one.roles),
        ):
            if name and len(kept) < SETS:
                kept[name] = None
        session = (
            self.sessions[one.session] if proven or one.session in self.sessions else SessionSeen()
        )
        if proven and not session.events:
            party.sessions += 1
        session.at(one.time)
        session.login = session.login or one.login
        session.address = session.address or one.address
        session.application = session.application or one.application
        session.actor = session.actor or one.actor
        session.purpose = session.purpose or one.claim("purpose") or one.claim("ticket")
        session.passthrough = session.passthrough or one.field("passthrough")
        if one.code == "authentication.failed":
            party.failed_logins += 1
        if one.code == "statement.refused":
            party.refused += 1
            for denied in map(mapping, listed(one.sealgate.get("columns"))[:COLUMNS_READ]):
                if denied.get("denied") is True:
                    of = text(denied.get("name"), LABEL_CAP), text(denied.get("access"))
                    self.refusals[of].at(one.time)
        for touch in one.touches:
            self._touched(one, touch, party, session)

    def _touched(self, one: Seen, touch: Touch, party: Party, session: SessionSeen) -> None:
        party.add(touch.outcome, touch.cells)
        session.add(touch.outcome, touch.cells)
        column = self.columns[touch.column, touch.outcome]
        column.at(one.time)
        column.cells += touch.cells
        column.rows += one.rows
        if touch.outcome in SHOWN:
            self.shown += touch.cells
            for version in touch.versions:
                key = self.keys[touch.column, version]
                key.at(one.time)
                key.cells += touch.cells
        if touch.outcome in PLOTTED:
            bucket = self.buckets.setdefault((one.time - self._since) // self._step, [0, 0, 0])
            bucket[PLOTTED.index(touch.outcome)] += touch.cells

    def bars(self) -> list[tuple[int, tuple[int, ...]]]:
        """(begin of a stretch of time, cells clear, masked, withheld), without a gap; empty where there are none."""
        if not self.buckets:
            return []
        return [
            (self._since + index * self._step, tuple(self.buckets.get(index, (0, 0, 0))))
            for index in range(BUCKETS)
        ]

    def _tell(self, one: Seen) -> None:
        if len(self.timeline) < TIMELINE:
            self.timeline.append(Moment(one.time, one.code, one.login, one.message))
        else:
            self.timeline_left_out += 1
