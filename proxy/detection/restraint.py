"""Containment: what is done about a login, or one session, after a finding; and what then becomes of its decisions.

    throttle      what it is shown waits
    mask          what it would see clear it sees masked, or withheld where the column has no mask
    quarantine    it may do nothing with sealed columns: its statements on them are refused, and new sessions too
    kill          as quarantine, and its sessions end

It changes decisions, so that whatever shows, compares or writes a sealed value heeds it: all of them ask for one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from policy import Access, Decision, Outcome
from proxy.detection.settings import CONTAINING, Containing
from proxy.sql.plan import Refusal

Restraint = Containing | None

MASK_RULE: Final = "containment.mask"
QUARANTINE_RULE: Final = "containment.quarantine"
KILL_RULE: Final = "containment.kill"
_MASKED: Final = Decision(Outcome.MASKED, MASK_RULE, "the login is contained: it sees masks")
_WITHHELD: Final = Decision(
    Outcome.WITHHELD, MASK_RULE, "the login is contained, and the column has no mask"
)
HINT: Final = "Ask whoever runs Sealgate: sealgate release ends it."


@dataclass(frozen=True, slots=True)
class Containment:
    """`session`: of that one only; None: of the login. Times in epoch milliseconds. `finding`: the uid of why."""

    login: str
    session: str | None
    mode: Containing
    begun: int
    until: int
    reason: str
    finding: str

    @property
    def who(self) -> tuple[str, str | None]:
        return (self.login, self.session) if self.session is None else ("", self.session)


def stricter(one: Restraint, other: Restraint) -> Restraint:
    if one is None or other is None:
        return one or other
    return one if CONTAINING.index(one) >= CONTAINING.index(other) else other


def merged(known: Containment, new: Containment) -> Containment:
    """Both hold: the stricter mode, until the later end."""
    if stricter(known.mode, new.mode) == known.mode:
        if new.until <= known.until:
            return known
        return Containment(
            known.login,
            known.session,
            known.mode,
            known.begun,
            new.until,
            known.reason,
            known.finding,
        )
    until = max(known.until, new.until)
    return Containment(
        new.login, new.session, new.mode, known.begun, until, new.reason, new.finding
    )


@dataclass(frozen=True, slots=True)
class Contained:
    """Who is contained at this moment."""

    entries: Mapping[tuple[str, str | None], Containment] = field(default_factory=dict)

    @classmethod
    def of(cls, containments: Iterable[Containment]) -> Contained:
        entries: dict[tuple[str, str | None], Containment] = {}
        for one in containments:
            known = entries.get(one.who)
            entries[one.who] = one if known is None else merged(known, one)
        return cls(entries)

    def restraint(self, login: str, session: str) -> Restraint:
        of_login = self.entries.get((login, None))
        of_session = self.entries.get(("", session))
        return stricter(
            of_login.mode if of_login is not None else None,
            of_session.mode if of_session is not None else None,
        )


def restrained(
    decision: Decision, restraint: Restraint, access: Access, *, has_mask: bool
) -> Decision:
    """What is left of a decision of the policy's. Never more than there was."""
    if restraint is None or restraint == "throttle":
        return decision
    if restraint == "mask":
        if access is not Access.READ or decision.outcome is not Outcome.CLEAR:
            return decision
        return _MASKED if has_mask else _WITHHELD
    rule = QUARANTINE_RULE if restraint == "quarantine" else KILL_RULE
    outcome = Outcome.WITHHELD if access is Access.READ else Outcome.DENIED
    return Decision(outcome, rule, f"the login is contained: {restraint}")


def refused(decision: Decision, column: str) -> Refusal | None:
    """Why a statement that asks for this may not run at all, or None: the policy has the word."""
    if decision.rule not in (QUARANTINE_RULE, KILL_RULE):
        return None
    return Refusal(
        "42501", f"permission denied for sealed column {column}: the login is in quarantine", HINT
    )
