"""What verifying the access log found: a verdict, its issues, and what could not be checked."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Final

ISSUES_KEPT: Final = 1000
"""Of each kind. A hostile log could have one per line; the rest is counted."""


class Kind(Enum):
    """What is wrong. The value is the command's exit code."""

    OK = 0
    ALTERED = 10
    """An event's content, or its place, is not what was written."""
    MISSING = 11
    """Events, or cell ids, that were written are not there; there is something behind them."""
    CUT_OFF = 12
    """The end is not there."""
    FORGED = 13
    """Something is there that the writer did not write in this place, or that a wrong key signed or sealed."""
    UNDECIDED = 14
    """Lines that cannot be read, or of which nothing says whether they are true."""

    @property
    def word(self) -> str:
        return self.name.lower().replace("_", " ")


_GRAVEST_FIRST: Final = (Kind.FORGED, Kind.ALTERED, Kind.CUT_OFF, Kind.MISSING, Kind.UNDECIDED)


@dataclass(slots=True)
class Issue:
    """One finding. `sequence` to `last` are the events it is about (None: not known); `file` and `line` are where it shows.

    `told`: the log itself tells of it (log.unclean), as after a crash.
    """

    kind: Kind
    text: str
    chain: str = ""
    sequence: int | None = None
    last: int | None = None
    file: Path | None = None
    line: int | None = None
    told: bool = False
    place: int = 0
    """Lines from the first file's first: issues are in this order."""


@dataclass(slots=True)
class Proven:
    """What holds of one chain, up to the first issue that touches it: numbers of events, 0 for none.

    chained    linked by hashes from the first event given
    signed     the last event under a checkpoint whose signature is good
    sealed     the last event under an aggregate that the seal key gives: no key of later times can have made it
    """

    chain: str
    first: int
    last: int
    chained: int = 0
    signed: int = 0
    sealed: int = 0


@dataclass(slots=True)
class Verdict:
    """`issues` in the order of the log (the first ISSUES_KEPT of each kind; `counts` has all of them)."""

    issues: list[Issue] = field(default_factory=list)
    counts: dict[Kind, int] = field(default_factory=dict)
    chains: list[Proven] = field(default_factory=list)
    unchecked: list[str] = field(default_factory=list)
    """What was not checked, and what it would take."""
    notes: list[str] = field(default_factory=list)
    """What the log itself tells, or what is good to know."""
    lines: int = 0
    events: int = 0
    checkpoints: int = 0

    @property
    def kind(self) -> Kind:
        """The gravest: junk in front of a forged event must not hide it."""
        for kind in _GRAVEST_FIRST:
            if self.counts.get(kind):
                return kind
        return Kind.OK

    @property
    def first(self) -> Issue | None:
        """The first event from which on the log is not what was written."""
        return self.issues[0] if self.issues else None

    def add(self, issue: Issue) -> None:
        count = self.counts.get(issue.kind, 0)
        self.counts[issue.kind] = count + 1
        if count < ISSUES_KEPT:
            self.issues.append(issue)

    def withdraw(self, issue: Issue) -> None:
        """It turned out to be something else."""
        self.counts[issue.kind] -= 1
        self.issues = [one for one in self.issues if one is not issue]
