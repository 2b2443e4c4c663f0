"""The access review laid out for people."""

from __future__ import annotations

from collections.abc import Iterator

from proxy.report import evidence as log
from proxy.report.difference import spoken
from proxy.report.document import (
    Alert,
    Block,
    Bullets,
    Document,
    Facts,
    Listing,
    Paragraph,
    Section,
    Table,
    plain,
    signature,
)
from proxy.report.human import asked
from proxy.report.review import UNPROVEN, AccessReview, GrantUse, Happened
from proxy.report.times import said

_WORDS = {
    "used": "used",
    "rare": "rarely used",
    "unused": "never used",
    "not seen": "not seen in what the log covers",
    "new": "granted within the period, judged the next time",
    "moot": "moot: the role reads it in clear",
}
"""State -> what people read."""


def page(report: AccessReview, sha256: str) -> Document:
    facts = Facts(
        (
            ("Period", f"{said(report.since)} to {said(report.until)} (end not included)"),
            ("Covered by the log", "yes" if report.covered else "NO"),
            ("The log begins", said(report.covered_since)),
            ("Policy of the configuration file", report.policy),
            ("Policy last in force, by the log", report.policy_in_force or "—"),
            ("Database's roles", report.database),
            ("Prepared", f"{said(report.generated)} by {report.prepared_by or 'unknown'}"),
            *((f"Grants: {_WORDS[state]}", count) for state, count in report.counts),
            ("Fields for a person to fill in", len(asked(plain(report)))),
        )
    )
    sections = (
        Section("Does the log cover the period?", tuple(_coverage(report))),
        log.section(report.evidence),
        Section("Grants against use", tuple(_grants(report))),
        Section("Suggested policy", tuple(_suggestion(report))),
        Section("Logins and roles", tuple(_logins(report))),
        Section("Ways around the proxy", tuple(_ways_around(report))),
        Section("Separation of duties", tuple(_duties(report))),
        Section("Shared logins, and service logins used by hand", tuple(_shared(report))),
        Section("Policy changes since the last review", tuple(_changes(report))),
        Section(
            "Findings and containments",
            (
                _happened(report.findings, report.findings_left_out),
                _happened(report.containments, report.containments_left_out),
            ),
        ),
        Section(
            "Decision", (Facts((("Reviewer", report.signed_by), ("Decision", report.decision))),)
        ),
        signature(sha256, "reviewer, not an author of the policy"),
    )
    return Document("Access review", facts, sections, sha256)


def _coverage(report: AccessReview) -> Iterator[Block]:
    if report.policy_in_force and report.policy_in_force != report.policy:
        yield Alert(
            (
                "The configuration file is not what was last in force: the grants below are the file's, their use is that of"
                " other policies.",
            )
        )
    if report.covered:
        yield Paragraph(
            ("Yes: from before its begin to its end, and nothing says that events are missing.",)
        )
        return
    yield Alert((f"NO: {UNPROVEN}. Nothing below may be read as never used.",))
    begun = report.covered_since
    if begun is None:
        yield Paragraph(("There is no event in the log.",))
    elif begun > report.since:
        yield Paragraph(
            (f"The log's first event is of {said(begun)}: nothing is known of the time before.",)
        )
    if not report.evidence.whole:
        yield Paragraph(("The log is not known to be whole: see the next section.",))


def _grants(report: AccessReview) -> Iterator[Block]:
    rows = tuple(
        (
            grant.role,
            grant.grant,
            grant.column,
            _WORDS[grant.state],
            grant.events,
            grant.cells,
            said(grant.last),
            _names(tuple(one.login for one in grant.logins if one.events)),
            _names(tuple(one.login for one in grant.logins if not one.events)),
            said(grant.since) if grant.since else "",
        )
        for grant in sorted(report.grants, key=_order)
    )
    head = (
        "Role",
        "Grant",
        "Column",
        "State",
        "Events",
        "Values",
        "Last use",
        "Used by",
        "Not used by",
        "Granted",
    )
    yield Table(head, rows, empty="The policy grants nothing.")
    yield Paragraph(
        (
            "A grant counts as used where the proxy named it as the rule of a statement: of two that allow the same, one"
            " is used. IS NULL and count(column) leave no event, so a grant that serves them only is not seen.",
        )
    )


_STATES = ("unused", "not seen", "rare", "moot", "new", "used")


def _order(grant: GrantUse) -> tuple[int, str, str, str]:
    return _STATES.index(grant.state), grant.role, grant.grant, grant.column


def _suggestion(report: AccessReview) -> Iterator[Block]:
    suggestion = report.suggestion
    if suggestion.note:
        yield Paragraph((suggestion.note[0].upper() + suggestion.note[1:] + ".",))
    if suggestion.steps:
        yield Paragraph(
            (
                "What was used in the period stays allowed, and nobody is given more: tested on the changed file. What"
                " happens less often than once in the period (year's end, a restore) is not in the log: a person decides.",
            )
        )
        yield Bullets(
            tuple(
                (
                    f"roles.{step.role}.{step.grant}: ",
                    f"without {', '.join(step.removed)}" if step.removed else "more exactly",
                    f"; then {', '.join(step.left)}" if step.left else "; then nothing",
                )
                for step in suggestion.steps
            )
        )
        yield Listing(suggestion.diff)


def _logins(report: AccessReview) -> Iterator[Block]:
    rows = tuple(
        (
            one.login,
            _names(one.roles),
            _state_of(
                one.in_database, one.expired, dormant=one.dormant, read=report.database == "read"
            ),
            one.sessions,
            one.failed,
            said(one.last),
        )
        for one in report.logins
    )
    if any(one.dormant for one in report.logins) and not report.covered:
        yield Paragraph(("Dormant means here: not seen in what the log covers.",))
    yield Table(("Login", "Roles", "State", "Sessions", "Failed logins", "Last seen"), rows)
    if report.database == "read":
        gone = ", ".join(report.roles_without_database) or "none"
        yield Paragraph((f"Roles of the policy that PostgreSQL does not have: {gone}.",))
        outside = ", ".join(report.logins_without_policy) or "none"
        yield Paragraph(
            (
                f"Logins that PostgreSQL lets read a sealed column and that have no role of the policy (they get nothing): {outside}.",
            )
        )
    else:
        yield Alert(
            (
                f"The database was not asked ({report.database}): logins that were never seen, roles that do not exist and"
                " ways around the proxy are missing from this report.",
            )
        )


def _state_of(in_database: bool, expired: bool, *, dormant: bool, read: bool) -> str:
    states = []
    if read and not in_database:
        states.append("gone from the database")
    if dormant:
        states.append("dormant")
    if expired:
        states.append("expired")
    return ", ".join(states) or "active"


def _ways_around(report: AccessReview) -> Iterator[Block]:
    rows = tuple((one.who, one.code, one.what, one.fix) for one in report.ways_around)
    yield Table(("Who or what", "Code", "What it can do", "What to do"), rows)


def _duties(report: AccessReview) -> Iterator[Block]:
    rows = tuple((one.name, ", ".join(one.duties)) for one in report.several_duties)
    yield Table(("Name", "Duties"), rows, empty="No name in more than one duty.")
    yield Paragraph(
        (
            "Policy authors are the owners of the configuration file, not proven; operators are the operating system's"
            " users; readers are database logins and what clients claim. That equal names are one person is a guess, and"
            " that one person has two names goes unseen.",
        )
    )


def _shared(report: AccessReview) -> Iterator[Block]:
    rows = tuple(
        (one.login, one.hosts_at_once, said(one.at), one.hosts) for one in report.shared_logins
    )
    yield Table(
        ("Login", "Hosts at once", "At", "Hosts in the period"),
        rows,
        empty="No login had sessions from several hosts at once.",
    )
    tools = tuple(
        (one.login, one.service, ", ".join(f"{name} ({count})" for name, count in one.tools))
        for one in report.service_by_hand
    )
    yield Table(
        ("Login", "Used by the service", "Also by"),
        tools,
        empty="No service's login was used with a tool for people, by the names that applications give themselves.",
    )


def _changes(report: AccessReview) -> Iterator[Block]:
    last = report.last_review
    if last is None:
        yield Paragraph(("The log has no earlier review: all changes that it shows are listed.",))
    else:
        signed = (
            f", signed off by {last.signed_by} ({last.decision})"
            if last.signed_by
            else ", not signed off"
        )
        yield Paragraph(
            (
                f"The last review was made at {said(last.time)} by {last.operator or 'unknown'}{signed}; policy {last.policy or 'unknown'}.",
            )
        )
    if not report.policy_changes:
        yield Paragraph(("The policy has not changed.",))
    for change in report.policy_changes:
        yield Paragraph((f"{said(change.time)}: {change.old} became {change.new}.",))
        if not change.known:
            yield Paragraph(("What differs is not in the log.",))
        elif change.differences:
            yield Bullets(tuple((spoken(one),) for one in change.differences))


def _happened(entries: tuple[Happened, ...], left_out: int) -> Table:
    rows = tuple(
        (said(one.time), one.event_code, one.login, one.text, one.disposition) for one in entries
    )
    return Table(("Time", "Event", "Login", "What", "Disposition"), rows, left_out)


def _names(names: tuple[str, ...]) -> str:
    shown = ", ".join(names[:8])
    return f"{shown} and {len(names) - 8} more" if len(names) > 8 else shown
