"""The access review: what the policy grants against what the log shows to be used.

Nothing is called "never used" unless the log covers the whole period and nothing says that events are missing: then a grant
that the log does not show is `unused`, otherwise only `not seen`. What was granted within the period is `new`, and judged the
next time. A grant counts as used by the rule that the proxy named in the event, so of two roles that grant the same, one is
used and the other redundant.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final, Literal

from policy import Grant, Policy
from policy.model import rule_name
from proxy.audit.text import LABEL_CAP, clean
from proxy.report import difference, people
from proxy.report.difference import Change
from proxy.report.evidence import Evidence
from proxy.report.human import Human
from proxy.report.logins import Roles
from proxy.report.suggestion import STAYS, Suggestion, suggest
from proxy.report.times import moment
from proxy.report.use import FindingSeen, Use, Used

VERSION: Final = 1
UNPROVEN: Final = (
    "the log does not cover the period whole: what was not seen may have been used all the same"
)

State = Literal["used", "rare", "unused", "not seen", "new", "moot"]


@dataclass(frozen=True, slots=True)
class LoginOfGrant:
    login: str
    events: int
    cells: int
    first: datetime | None
    last: datetime | None


@dataclass(frozen=True, slots=True)
class GrantUse:
    """One grant of one role on one column, wildcards resolved. `logins`: those that have the role, by the database; and those
    that used it, by the log."""

    role: str
    grant: str
    column: str
    state: State
    events: int
    cells: int
    first: datetime | None
    last: datetime | None
    since: datetime | None
    """When it was granted, where the log shows that."""
    logins: tuple[LoginOfGrant, ...]


@dataclass(frozen=True, slots=True)
class LoginState:
    """A login of the database that has a role of the policy, or of the log. `dormant`: no session in the period."""

    login: str
    roles: tuple[str, ...]
    in_database: bool
    dormant: bool
    sessions: int
    failed: int
    last: datetime | None
    expired: bool


@dataclass(frozen=True, slots=True)
class WayAround:
    """A way to sealed columns that does not lead through the proxy, or can undo the sealing."""

    who: str
    what: str
    code: str
    fix: str


@dataclass(frozen=True, slots=True)
class PolicyChange:
    time: datetime
    old: str
    new: str
    known: bool
    """False: the log has no summary of one of the two."""
    differences: tuple[Change, ...]


@dataclass(frozen=True, slots=True)
class LastReview:
    time: datetime
    operator: str
    policy: str
    signed_by: str
    decision: str


@dataclass(frozen=True, slots=True)
class Happened:
    """A finding or a containment; what was done about it a person knows."""

    time: datetime
    event_code: str
    uid: str
    login: str
    text: str
    disposition: str | Human


@dataclass(frozen=True, slots=True)
class AccessReview:
    report: str
    version: int
    generated: datetime
    prepared_by: str
    since: datetime
    until: datetime
    covered: bool
    covered_since: datetime | None
    evidence: Evidence
    policy: str
    """Of the configuration file: what is reviewed."""
    policy_in_force: str
    """The last that the log knows of; "" for none. Another one: the file was changed and not loaded, or is another proxy's."""
    database: str
    """"read", or why not."""
    grants: tuple[GrantUse, ...]
    counts: tuple[tuple[str, int], ...]
    """Of each state, how many grants."""
    logins: tuple[LoginState, ...]
    roles_without_database: tuple[str, ...]
    logins_without_policy: tuple[str, ...]
    ways_around: tuple[WayAround, ...]
    several_duties: tuple[people.SeveralDuties, ...]
    service_by_hand: tuple[people.ServiceByHand, ...]
    shared_logins: tuple[people.SharedLogin, ...]
    last_review: LastReview | None
    policy_changes: tuple[PolicyChange, ...]
    findings: tuple[Happened, ...]
    findings_left_out: int
    containments: tuple[Happened, ...]
    containments_left_out: int
    suggestion: Suggestion
    signed_by: str | Human
    decision: str | Human


@dataclass(frozen=True, slots=True)
class Subject:
    """What is reviewed, and when. `roles` None: the database was not asked, `database` says why."""

    since: int
    until: int
    covered_since: int | None
    """Time of the first event of the whole log."""
    generated: datetime
    prepared_by: str
    policy: Policy
    content: str
    file: Path
    roles: Roles | None
    database: str
    rare_below: int
    signed_by: str = ""
    decision: str = ""


def review(subject: Subject, use: Use, evidence: Evidence) -> AccessReview:
    """The report."""
    begun = subject.covered_since
    reaches = begun is not None and begun <= subject.since
    told_apart = use.uses.beyond is None and use.logins.beyond is None
    covered = reaches and evidence.whole and told_apart
    grants = tuple(_grants(subject, use, covered=covered))
    counts: dict[str, int] = {}
    for grant in grants:
        counts[grant.state] = counts.get(grant.state, 0) + 1
    roles = subject.roles
    last = _last_review(use)
    return AccessReview(
        report="access-review",
        version=VERSION,
        generated=subject.generated,
        prepared_by=subject.prepared_by,
        since=moment(subject.since),
        until=moment(subject.until),
        covered=covered,
        covered_since=None if begun is None else moment(max(begun, subject.since)),
        evidence=evidence,
        policy=subject.policy.version,
        policy_in_force=use.policies[-1].version if use.policies else "",
        database=subject.database,
        grants=grants,
        counts=tuple(sorted(counts.items())),
        logins=tuple(_logins(subject, use)),
        roles_without_database=tuple(sorted(subject.policy.roles.keys() - roles.existing))
        if roles is not None
        else (),
        logins_without_policy=_without_policy(roles) if roles is not None else (),
        ways_around=tuple(_ways_around(roles)) if roles is not None else (),
        several_duties=tuple(people.duties(use.duties)),
        service_by_hand=tuple(people.by_hand(use.logins.items())),
        shared_logins=tuple(people.shared(use.logins.items())),
        last_review=last,
        policy_changes=tuple(_policy_changes(use, last)),
        findings=tuple(_happened(one) for one in use.findings),
        findings_left_out=use.finding_count - len(use.findings),
        containments=tuple(_happened(one) for one in use.containments),
        containments_left_out=use.containment_count - len(use.containments),
        suggestion=_suggestion(subject, grants, use, covered=covered),
        signed_by=subject.signed_by or Human("name of the reviewer"),
        decision=subject.decision or Human("keep, revoke, reduce, or exception until when"),
    )


def _grants(subject: Subject, use: Use, *, covered: bool) -> Iterator[GrantUse]:
    policy = subject.policy
    by_rule: dict[tuple[str, str], list[tuple[str, Used]]] = {}
    for (user, rule, of), one_use in use.uses.items():
        by_rule.setdefault((rule, of), []).append((user, one_use))
    have: dict[str, list[str]] = {}
    for known in subject.roles.logins if subject.roles is not None else ():
        for held in known.roles:
            have.setdefault(held, []).append(known.login)
    since = _granted_since(use)
    for column, holders in sorted(policy.holders.items()):
        for grant in Grant:
            for role in holders[grant]:
                key = clean(rule_name(role, grant), LABEL_CAP), clean(column, LABEL_CAP)
                used = by_rule.get(key, [])
                moot = grant in (Grant.MASKED, Grant.SEARCH) and role in holders[Grant.CLEAR]
                granted = since.get((clean(role), grant.value, clean(column, LABEL_CAP)))
                events = sum(one.events for _, one in used)
                logins = dict(used)
                yield GrantUse(
                    role=role,
                    grant=grant.value,
                    column=column,
                    state=_state(subject, events, granted, covered=covered, moot=moot),
                    events=events,
                    cells=sum(one.cells for _, one in used),
                    first=moment(min(one.first for _, one in used)) if used else None,
                    last=moment(max(one.last for _, one in used)) if used else None,
                    since=None if granted is None else moment(granted),
                    logins=tuple(
                        _login_of_grant(login, logins.get(login))
                        for login in sorted({*logins, *have.get(role, ())})
                    ),
                )


def _state(
    subject: Subject, events: int, granted: int | None, *, covered: bool, moot: bool
) -> State:
    if events >= subject.rare_below:
        return "used"
    if granted is not None and granted > subject.since:
        return "new"
    if events:
        return "rare"
    if moot:
        return "moot"
    return "unused" if covered else "not seen"


def _login_of_grant(login: str, used: Used | None) -> LoginOfGrant:
    if used is None:
        return LoginOfGrant(login, 0, 0, None, None)
    return LoginOfGrant(login, used.events, used.cells, moment(used.first), moment(used.last))


def _granted_since(use: Use) -> dict[tuple[str, str, str], int]:
    """(role, grant, column) -> when it was last granted, of what the log's policies show to be granted later than the first."""
    found: dict[tuple[str, str, str], int] = {}
    before: difference.Given | None = None
    for loaded in use.policies:
        if loaded.given is not None and before is not None:
            for grant in loaded.given.grants - before.grants:
                found[grant] = loaded.time
            for grant in before.grants - loaded.given.grants:
                found.pop(grant, None)
        before = loaded.given or before
    return found


def _logins(subject: Subject, use: Use) -> Iterator[LoginState]:
    known = {login.login: login for login in subject.roles.logins} if subject.roles else {}
    seen = dict(use.logins.items())
    names = {login for login, one in known.items() if one.roles} | {
        login for login, one in seen.items() if one.events
    }
    for name in sorted(names):
        one, used = known.get(name), seen.get(name)
        yield LoginState(
            login=name,
            roles=one.roles if one is not None else (),
            in_database=one is not None,
            dormant=used is None or not used.events,
            sessions=used.sessions if used is not None else 0,
            failed=tried.events if (tried := use.failures.get(name)) is not None else 0,
            last=moment(used.last) if used is not None and used.events else None,
            expired=one.expired if one is not None else False,
        )


def _without_policy(roles: Roles) -> tuple[str, ...]:
    """Logins that PostgreSQL lets read a sealed column and that have no role of the policy."""
    granted = {login.login for login in roles.logins if login.roles}
    return tuple(sorted({name for names in roles.readers.values() for name in names} - granted))


def _ways_around(roles: Roles) -> Iterator[WayAround]:
    for login in roles.logins:
        for power in () if "superuser" in login.powers else login.powers:
            if power in _POWERS:
                yield WayAround(
                    login.login, _POWERS[power], power, "Keep it for those who need it."
                )
    for finding in roles.findings:
        if finding.code >= "SG050":
            yield WayAround(finding.subject, finding.message, finding.code, finding.fix)


_POWERS: Final = {
    "bypassrls": "it sees rows that row level security hides; sealed values stay sealed",
    "replication": "it can stream the whole database past the proxy; sealed values stay sealed",
    "createrole": "it can make itself a member of the policy's roles (since PostgreSQL 16 only where it has ADMIN OPTION)",
}


def _last_review(use: Use) -> LastReview | None:
    if not use.reviews:
        return None
    last = use.reviews[-1]
    return LastReview(moment(last.time), last.operator, last.policy, last.signed_by, last.decision)


def _policy_changes(use: Use, last: LastReview | None) -> Iterator[PolicyChange]:
    before: tuple[str, difference.Given | None] | None = None
    for loaded in use.policies:
        if before is not None and before[0] != loaded.version:
            known = loaded.given is not None and before[1] is not None
            when = moment(loaded.time)
            if last is None or when > last.time:
                yield PolicyChange(
                    when,
                    before[0],
                    loaded.version,
                    known,
                    tuple(difference.changes(before[1], loaded.given))
                    if loaded.given is not None and before[1] is not None
                    else (),
                )
        before = (loaded.version, loaded.given)


def _happened(one: FindingSeen) -> Happened:
    disposition = Human("true or false alarm, and what was done")
    ended = one.code in ("containment.begun", "containment.ended")
    return Happened(
        moment(one.time),
        one.code,
        one.uid,
        one.login,
        one.text,
        "" if ended else disposition,
    )


def _suggestion(
    subject: Subject, grants: tuple[GrantUse, ...], use: Use, *, covered: bool
) -> Suggestion:
    if not covered:
        return Suggestion((), "", f"no narrower policy is suggested, because {UNPROVEN}")
    outcomes: dict[tuple[str, str], set[str]] = {}
    for (_, rule, column), used in use.uses.items():
        outcomes.setdefault((rule, column), set()).update(used.outcomes)
    kept: dict[tuple[str, Grant, str], frozenset[str]] = {}
    for one in grants:
        grant = Grant(one.grant)
        key = clean(rule_name(one.role, grant), LABEL_CAP), clean(one.column, LABEL_CAP)
        used_for = frozenset(outcomes.get(key, ()))
        if one.state == "new":
            used_for |= {STAYS}
        if used_for:
            kept[one.role, grant, one.column] = used_for
    return suggest(subject.content, subject.file, subject.policy, kept)
