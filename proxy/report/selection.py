"""Which events an incident is about: logins and sessions, given or taken from findings."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from proxy.report.read import Seen, finding_uid
from proxy.report.times import DAY, HOUR

BEFORE: Final = DAY
AFTER: Final = HOUR
"""Around a finding, where no window is given."""


@dataclass(frozen=True, slots=True)
class Selector:
    """Events of one of these logins and one of these sessions; empty: of any."""

    logins: frozenset[str] = frozenset()
    sessions: frozenset[str] = frozenset()

    def takes(self, one: Seen) -> bool:
        if not one.login and not one.session:
            return False
        return (not self.logins or one.login in self.logins) and (
            not self.sessions or one.session in self.sessions
        )


@dataclass(frozen=True, slots=True)
class Selection:
    """What any of `selectors` takes; with no selector, everybody's events."""

    selectors: tuple[Selector, ...] = ()
    findings: frozenset[str] = frozenset()

    def takes(self, one: Seen) -> bool:
        if not self.selectors:
            return bool(one.login or one.session)
        return any(selector.takes(one) for selector in self.selectors) or (
            bool(self.findings) and finding_uid(one) in self.findings
        )


@dataclass(frozen=True, slots=True)
class Found:
    """Findings in the log: whose they are, and when. `missing`: uids that it does not have."""

    selectors: tuple[Selector, ...]
    first: int
    last: int
    missing: tuple[str, ...]

    @property
    def window(self) -> tuple[int, int]:
        return max(0, self.first - BEFORE), self.last + AFTER


def find(events: Iterable[Seen], uids: Iterable[str]) -> Found:
    """What the findings with these uids are about: the session, or where there is none, the login."""
    wanted = frozenset(uids)
    selectors: dict[Selector, None] = {}
    times: list[int] = []
    met = set()
    for one in events:
        uid = finding_uid(one)
        if not uid or uid not in wanted or one.code.startswith("containment."):
            continue
        met.add(uid)
        times = [min([one.time, *times]), max([one.time, *times])]
        sessions = frozenset({one.session}) if one.session else frozenset[str]()
        logins = frozenset({one.login}) if one.login else frozenset[str]()
        if sessions or logins:
            selectors.setdefault(Selector(logins, sessions))
    first, last = (times[0], times[1]) if times else (0, 0)
    return Found(tuple(selectors), first, last, tuple(sorted(wanted - met)))
