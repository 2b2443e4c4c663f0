"""The log's own verdict and its gaps: what every report rests on, said before anything else in it."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from proxy.report.document import Alert, Block, Bullets, Facts, Section, Table
from proxy.report.read import Seen
from proxy.report.tallies import Span
from proxy.report.times import moment, said

SAYS_GAP: Final = frozenset({"log.unclean", "log.resumed", "log.repaired", "log.begun"})
_SHOWN: Final = 100
_CHAINS: Final = 100
OK: Final = "ok"
NOT_VERIFIED: Final = "not verified"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What `sealgate audit verify` says of the log's files. `result` is "ok", the kind of its worst finding, or
    "not verified"."""

    result: str
    problems: tuple[str, ...] = ()
    unchecked: tuple[str, ...] = ()
    """What could not be checked, and why."""


@dataclass(frozen=True, slots=True)
class Gap:
    """The log itself tells, or shows, that something may be missing."""

    time: datetime
    event_code: str
    text: str
    loses: bool
    """Events that were promised are missing, or may be. False: a crash that took nothing with it."""


@dataclass(frozen=True, slots=True)
class Chain:
    """The part of a chain that was read: from which to which sequence number."""

    chain: str
    first: int
    last: int


@dataclass(frozen=True, slots=True)
class Evidence:
    """What was read. `whole`: nothing says that anything is missing."""

    verdict: Verdict
    since: datetime
    until: datetime
    events: int
    unreadable: int
    first: datetime | None
    last: datetime | None
    chains: tuple[Chain, ...]
    gaps: tuple[Gap, ...]
    gaps_left_out: int
    whole: bool


@dataclass(slots=True)
class Reading:
    """Fed with every event of the window, whoever's it is."""

    since: int
    until: int
    _span: Span = field(default_factory=Span)
    _chains: dict[str, list[int]] = field(default_factory=dict)
    _gaps: deque[Gap] = field(default_factory=deque)
    _gap_count: int = 0
    _loses: bool = False
    _jumps: deque[Gap] = field(default_factory=deque)
    _jump_count: int = 0

    def see(self, one: Seen) -> None:
        self._span.at(one.time)
        if one.code in SAYS_GAP and (loses := _loses(one)) is not None:
            self._gap(one, one.message, loses=loses)
        if not one.chain or not one.sequence:
            return
        known = self._chains.get(one.chain)
        if known is None:
            if len(self._chains) < _CHAINS:
                self._chains[one.chain] = [one.sequence, one.sequence]
            return
        if one.sequence != known[1] + 1:
            self._jump_count += 1
            if len(self._jumps) < _SHOWN:
                text = f"sequence {one.sequence} follows {known[1]} in chain {one.chain}"
                self._jumps.append(Gap(moment(one.time), one.code, text, loses=True))
        known[1] = one.sequence

    def evidence(self, verdict: Verdict, unreadable: int) -> Evidence:
        first = moment(self._span.first) if self._span.events else None
        last = moment(self._span.last) if self._span.events else None
        verified = verdict.result == OK
        whole = verified and not unreadable and not self._loses
        # In a log that was verified, numbers that are missing here are events out of the window: a clock was set.
        jumps, jump_count = (list[Gap](), 0) if verified else (list(self._jumps), self._jump_count)
        return Evidence(
            verdict=verdict,
            since=moment(self.since),
            until=moment(self.until),
            events=self._span.events,
            unreadable=unreadable,
            first=first,
            last=last,
            chains=tuple(Chain(name, *ends) for name, ends in self._chains.items()),
            gaps=(*self._gaps, *jumps),
            gaps_left_out=self._gap_count - len(self._gaps) + jump_count - len(jumps),
            whole=whole,
        )

    def _gap(self, one: Seen, text: str, *, loses: bool) -> None:
        self._gap_count += 1
        self._loses = self._loses or loses
        if len(self._gaps) < _SHOWN:
            self._gaps.append(Gap(moment(one.time), one.code, text, loses))


def _loses(one: Seen) -> bool | None:
    """Whether events are missing; None: it is no gap. A torn line's event was never acknowledged, so nothing rests on it."""
    if one.code == "log.begun":  # a chain that begins with the log takes nothing away
        return True if one.sealgate.get("log_existed") is True else None
    if one.code == "log.repaired":
        return False
    return one.count("lost") > 0


def section(evidence: Evidence) -> Section:
    """The log's part of every report."""
    verdict = evidence.verdict
    blocks: list[Block] = []
    if not evidence.whole:
        blocks.append(Alert((_warning(evidence),)))
    blocks.append(
        Facts(
            (
                ("Verdict of sealgate audit verify", verdict.result),
                (
                    "Window read",
                    f"{said(evidence.since)} to {said(evidence.until)} (end not included)",
                ),
                ("Events in it", evidence.events),
                ("First and last", f"{said(evidence.first)}, {said(evidence.last)}"),
                ("Lines that are no event", evidence.unreadable),
                (
                    "Gaps that the log tells of or shows",
                    len(evidence.gaps) + evidence.gaps_left_out,
                ),
            )
        )
    )
    if verdict.problems:
        blocks.append(Bullets(tuple((problem,) for problem in verdict.problems)))
    if verdict.unchecked:
        blocks.append(Bullets(tuple((f"Not checked: {what}",) for what in verdict.unchecked)))
    if evidence.gaps:
        rows = tuple((said(gap.time), gap.event_code, gap.text) for gap in evidence.gaps)
        blocks.append(Table(("Time", "Event", "What it says"), rows, evidence.gaps_left_out))
    if evidence.chains:
        chains = tuple((chain.chain, chain.first, chain.last) for chain in evidence.chains)
        blocks.append(Table(("Chain", "From sequence", "To sequence"), chains))
    return Section("The log this rests on", tuple(blocks))


def _warning(evidence: Evidence) -> str:
    reasons = []
    if evidence.verdict.result == NOT_VERIFIED:
        reasons.append("the log was not verified")
    elif evidence.verdict.result != OK:
        reasons.append(f"the log's verdict is: {evidence.verdict.result}")
    if evidence.unreadable:
        reasons.append(f"{evidence.unreadable} lines are no event")
    if any(gap.loses for gap in evidence.gaps) or evidence.gaps_left_out:
        reasons.append("events are missing, or may be")
    return f"This report may be incomplete: {'; '.join(reasons)}. Its numbers are what the log shows, at least."
