"""What the log shows of the use of grants, logins and duties over a period, in one pass and in bounded memory."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Final

from proxy.report import difference
from proxy.report.difference import Given
from proxy.report.read import Seen, finding_uid, listed, mapping, text
from proxy.report.tallies import Span, Tallies

USES: Final = 100_000
OPEN: Final = 100_000
LISTED: Final = 500
_NAMES: Final = 1000
REVIEW: Final = "report access-review"
"""`command` of the event that a review leaves in the log."""


@dataclass(slots=True)
class Used(Span):
    """One login's use of one rule on one column."""

    cells: int = 0
    outcomes: set[str] = field(default_factory=set)


@dataclass(slots=True)
class LoginSeen(Span):
    sessions: int = 0
    clear: int = 0
    applications: dict[str, int] = field(default_factory=dict)
    addresses: dict[str, int] = field(default_factory=dict)
    hosts_at_once: int = 0
    hosts_at: int = 0
    """When there were so many."""
    passed_through: int = 0
    open: dict[str, int] = field(default_factory=dict)
    """Address -> open sessions."""


@dataclass(frozen=True, slots=True)
class FindingSeen:
    time: int
    code: str
    uid: str
    login: str
    severity: int
    text: str


@dataclass(frozen=True, slots=True)
class Loaded:
    """A policy came into force."""

    time: int
    version: str
    given: Given | None


@dataclass(frozen=True, slots=True)
class Reviewed:
    """An access review before this one."""

    time: int
    operator: str
    policy: str
    signed_by: str
    decision: str


@dataclass(slots=True)
class Use:
    """`see` every event of the period, in the log's order; `before` those of the time before it, if they are read."""

    since: int
    uses: Tallies[tuple[str, str, str], Used] = field(default_factory=lambda: Tallies(Used, USES))
    """By (login, rule, column)."""
    logins: Tallies[str, LoginSeen] = field(default_factory=lambda: Tallies(LoginSeen))
    failures: Tallies[str, Span] = field(default_factory=lambda: Tallies(Span))
    """Failed logins by name. Apart from `logins`: names that only tried, anybody can make up."""
    findings: deque[FindingSeen] = field(default_factory=lambda: deque(maxlen=LISTED))
    finding_count: int = 0
    containments: deque[FindingSeen] = field(default_factory=lambda: deque(maxlen=LISTED))
    containment_count: int = 0
    policies: deque[Loaded] = field(default_factory=lambda: deque(maxlen=LISTED))
    reviews: deque[Reviewed] = field(default_factory=lambda: deque(maxlen=LISTED))
    duties: dict[str, dict[str, int]] = field(default_factory=dict)
    """Duty -> name -> how often."""
    _sessions: dict[str, tuple[str, str]] = field(default_factory=dict)

    def before(self, one: Seen) -> None:
        """Only what was in force, and what was reviewed."""
        if one.code == "policy.loaded":
            self._loaded(one)
        elif one.code == "audit.queried":
            self._reviewed(one)

    def see(self, one: Seen) -> None:
        self.before(one)
        if one.code in ("session.opened", "session.closed", "proxy.started"):
            self._session(one)
        elif one.code == "authentication.failed":
            self.failures[one.login].at(one.time)
        elif one.is_statement:
            self._statement(one)
        elif one.code.startswith(("detection.", "value.tampered", "protocol.violated")):
            self.finding_count += 1
            self.findings.append(_finding(one))
        elif one.code.startswith("containment."):
            self.containment_count += 1
            self.containments.append(_finding(one))
        self._duty(one)

    def _statement(self, one: Seen) -> None:
        login = self.logins[one.login]
        login.at(one.time)
        for touch in one.touches:
            used = self.uses[one.login, touch.rule, touch.column]
            used.at(one.time)
            used.cells += touch.cells
            used.outcomes.add(touch.outcome)
            if touch.outcome == "clear":
                login.clear += touch.cells
                if touch.cells:
                    self._did("data reader", one.login)
                    if one.actor:
                        self._did("data reader", one.actor)

    def _session(self, one: Seen) -> None:
        if (
            one.code == "proxy.started"
        ):  # sessions end with the process, whether or not it could say so
            self._sessions.clear()
            for login in self.logins.values():
                login.open.clear()
            return
        if one.code == "session.closed":
            address, name = self._sessions.pop(one.session, ("", ""))
            known = self.logins.get(name)
            if known is not None and known.open.get(address):
                known.open[address] -= 1
                if not known.open[address]:
                    del known.open[address]
            return
        login = self.logins[one.login]
        login.at(one.time)
        login.sessions += 1
        login.passed_through += bool(one.field("passthrough"))
        for kept, name in ((login.applications, one.application), (login.addresses, one.address)):
            if name in kept or len(kept) < _NAMES:
                kept[name] = kept.get(name, 0) + 1
        if len(self._sessions) < OPEN:
            self._sessions[one.session] = (one.address, one.login)
            login.open[one.address] = login.open.get(one.address, 0) + 1
            if len(login.open) > login.hosts_at_once:
                login.hosts_at_once, login.hosts_at = len(login.open), one.time

    def _loaded(self, one: Seen) -> None:
        version = text(mapping(one.raw.get("entity")).get("version"))
        summary = difference.given(one.sealgate.get("policy_summary"))
        self.policies.append(Loaded(one.time, version, summary))

    def _reviewed(self, one: Seen) -> None:
        if one.field("command") != REVIEW:
            return
        arguments = dict(
            text(argument).partition("=")[::2] for argument in listed(one.sealgate.get("arguments"))
        )
        self.reviews.append(
            Reviewed(
                one.time,
                one.operator,
                arguments.get("policy", ""),
                arguments.get("signed_by", ""),
                arguments.get("decision", ""),
            )
        )

    def _duty(self, one: Seen) -> None:
        if one.code in ("configuration.loaded", "configuration.read"):
            self._did("policy author", one.field("file_owner"))
        duty = next((duty for prefix, duty in _DUTIES.items() if one.code.startswith(prefix)), "")
        operator = mapping(one.sealgate.get("operator"))
        if duty and operator:
            self._did(duty, text(operator.get("sudo_user")) or text(operator.get("name")))

    def _did(self, duty: str, name: str) -> None:
        kept = self.duties.setdefault(duty, {})
        if name and (name in kept or len(kept) < _NAMES):
            kept[name] = kept.get(name, 0) + 1


_DUTIES: Final = {
    "keys.": "key administrator",
    "schema.": "schema administrator",
    "honey.": "detection operator",
    "containment.": "detection operator",
    "audit.queried": "auditor",
}


def _finding(one: Seen) -> FindingSeen:
    return FindingSeen(one.time, one.code, finding_uid(one), one.login, one.severity, one.message)
