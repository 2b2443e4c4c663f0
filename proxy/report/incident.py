"""The incident report: what a selection of logins and sessions saw in a window, and what the law asks about it.

`Incident` is the report; its fields are the keys of its JSON (docs/reports.md). Nothing in it was asked of a person:
what a machine cannot know is a `Human`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from proxy.report import law
from proxy.report.evidence import Evidence
from proxy.report.exposure import KeyExposure, KeyFacts, exposed
from proxy.report.human import Human
from proxy.report.observed import Observed, Party, SessionSeen
from proxy.report.read import OUTCOMES, SHOWN
from proxy.report.tallies import Cells, Tallies
from proxy.report.times import moment, spoken

VERSION: Final = 1
TRIED: Final = 100
"""Logins listed that never got in."""
SESSIONS: Final = 500
"""Listed in the report; all are counted."""


@dataclass(frozen=True, slots=True)
class Selected:
    """What was asked for. Of several findings, each adds its session, or its login where it has none."""

    since: datetime
    until: datetime
    logins: tuple[str, ...]
    sessions: tuple[str, ...]
    findings: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class CellCounts:
    """Cells by what became of them."""

    clear: int
    masked: int
    withheld: int
    written: int
    compared: int


@dataclass(frozen=True, slots=True)
class LoginUse:
    login: str
    roles: tuple[str, ...]
    addresses: tuple[str, ...]
    applications: tuple[str, ...]
    claimed_actors: tuple[str, ...]
    first: datetime
    last: datetime
    events: int
    sessions: int
    failed_logins: int
    refused: int
    cells: CellCounts


@dataclass(frozen=True, slots=True)
class SessionUse:
    session: str
    login: str
    address: str
    application: str
    claimed_actor: str
    claimed_purpose: str
    passthrough: str
    first: datetime
    last: datetime
    cells: CellCounts


@dataclass(frozen=True, slots=True)
class ColumnUse:
    """Cells of one column with one outcome. `distinct_values`: stored values, each counted once however often it was
    delivered; `rows`: of the statements, as often as they were delivered; `events`: a long result has several."""

    column: str
    outcome: str
    cells: int
    distinct_values: int
    rows: int
    events: int
    first: datetime
    last: datetime


@dataclass(frozen=True, slots=True)
class Refusal:
    column: str
    access: str
    times: int
    first: datetime
    last: datetime


@dataclass(frozen=True, slots=True)
class SubjectCount:
    """Persons of one table, or rows where it has no subject key."""

    table: str
    kind: str
    clear: int
    masked: int
    other: int
    any_shown: int
    """Clear or masked, each counted once."""


@dataclass(frozen=True, slots=True)
class Subjects:
    """Whose data it was, asked of the database. `named`: only with --subjects."""

    counts: tuple[SubjectCount, ...]
    persons_shown: int
    cells_without_row: int
    """Of tables that could be asked: shown, and found in no row, nor in the history."""
    not_asked: tuple[str, ...]
    """Tables that the login may not read: nothing is known of whose data theirs was."""
    complete: bool
    notes: tuple[str, ...]
    named: tuple[tuple[str, str], ...] = ()
    """(table, key), of those to whom something was shown."""


@dataclass(frozen=True, slots=True)
class TimelineEntry:
    time: datetime
    event_code: str
    login: str
    text: str


@dataclass(frozen=True, slots=True)
class Bucket:
    begin: datetime
    clear: int
    masked: int
    withheld: int


@dataclass(frozen=True, slots=True)
class Detection:
    findings: int
    first_finding: datetime | None
    delay: str
    """From the first event of the selection to its first finding."""
    containments: int
    shown_before_containment: int
    """Cells clear or masked, before the first containment; all of them where there was none."""


@dataclass(frozen=True, slots=True)
class Unintelligible:
    """GDPR Art. 34(3)(a), for one column."""

    column: str
    holds: bool
    because: str


@dataclass(frozen=True, slots=True)
class Incident:
    report: str
    version: int
    case: str
    generated: datetime
    prepared_by: str
    selected: Selected
    evidence: Evidence
    clock: law.Clock
    cells: CellCounts
    logins: tuple[LoginUse, ...]
    logins_left_out: bool
    sessions: tuple[SessionUse, ...]
    sessions_left_out: int
    columns: tuple[ColumnUse, ...]
    never_released: tuple[str, ...]
    """Columns of the configuration of which the selection got nothing, neither clear nor masked."""
    cells_without_ids: int
    refused: tuple[Refusal, ...]
    subjects: Subjects | Human
    detection: Detection
    timeline: tuple[TimelineEntry, ...]
    timeline_left_out: int
    activity: tuple[Bucket, ...]
    root_key: str
    keys: tuple[KeyExposure, ...]
    unintelligible: tuple[Unintelligible, ...]
    gdpr_33: tuple[law.Field, ...]
    gdpr_34_letter: tuple[tuple[str | Human, ...], ...]
    notes: tuple[tuple[str, tuple[law.Field, ...]], ...]
    not_told_apart: tuple[str, ...]
    """Of which kinds there were more than are told apart: logins, failed logins, sessions, columns, keys, refusals."""


@dataclass(frozen=True, slots=True)
class Case:
    """What the report is made of besides the log."""

    selected: Selected
    generated: datetime
    prepared_by: str
    aware: int | None
    case: str
    declared: tuple[str, ...]
    """Labels of the configuration's sealed columns."""
    keys: Mapping[tuple[str, int], KeyFacts]
    root_key: str
    subjects: Subjects | Human
    distinct: Mapping[tuple[str, str], int]
    """Stored values that are known by their ids, each counted once: per column and outcome."""
    notes: tuple[str, ...] = ()


def incident(case: Case, observed: Observed, evidence: Evidence) -> Incident:
    """The report."""
    columns = tuple(
        ColumnUse(
            column,
            outcome,
            one.cells,
            case.distinct.get((column, outcome), 0),
            one.rows,
            one.events,
            moment(one.first),
            moment(one.last),
        )
        for (column, outcome), one in sorted(
            observed.columns.items(), key=lambda item: (item[0][0], OUTCOMES.index(item[0][1]))
        )
    )
    known = _known(case, observed, columns, evidence)
    clock = law.clock(
        case.aware, case.generated, None if case.aware is None else moment(case.aware)
    )
    logins = sorted(_parties(observed), key=lambda item: (-_shown(item[1]), item[0]))
    sessions = sorted(
        ((uid, one) for uid, one in observed.sessions.items() if uid),
        key=lambda item: (-_shown(item[1]), item[1].first, item[0]),
    )
    return Incident(
        report="incident",
        version=VERSION,
        case=case.case or _case(case),
        generated=case.generated,
        prepared_by=case.prepared_by,
        selected=case.selected,
        evidence=evidence,
        clock=clock,
        cells=_counts([one for _, one in logins], observed.parties.beyond),
        logins=tuple(_login(login, one) for login, one in logins[:SESSIONS]),
        logins_left_out=observed.parties.beyond is not None or len(logins) > SESSIONS,
        sessions=tuple(_session(uid, one) for uid, one in sessions[:SESSIONS]),
        sessions_left_out=max(0, len(sessions) - SESSIONS)
        + (observed.sessions.beyond.events if observed.sessions.beyond else 0),
        columns=columns,
        never_released=known.sealed_columns,
        cells_without_ids=observed.unlisted_cells,
        refused=tuple(
            Refusal(column, access, one.events, moment(one.first), moment(one.last))
            for (column, access), one in sorted(observed.refusals.items())
        ),
        subjects=case.subjects,
        detection=_detection(observed),
        timeline=tuple(_timeline(observed)),
        timeline_left_out=observed.timeline_left_out,
        activity=tuple(Bucket(moment(begin), *values) for begin, values in observed.bars()),
        root_key=case.root_key,
        keys=tuple(
            exposed(
                column,
                version,
                one.cells,
                one.events,
                moment(one.first),
                moment(one.last),
                case.keys,
                case.root_key,
            )
            for (column, version), one in sorted(observed.keys.items())
        ),
        unintelligible=tuple(Unintelligible(*one) for one in law.article_34_3_a(known)),
        gdpr_33=law.article_33(known, clock),
        gdpr_34_letter=law.letter(known),
        notes=tuple((law.NOTES[note][0], law.NOTES[note][1](known)) for note in case.notes),
        not_told_apart=tuple(name for name, kept in _kinds(observed).items() if kept.beyond),
    )


def _kinds(observed: Observed) -> dict[str, Tallies[Any, Any]]:
    return {
        "logins": observed.parties,
        "failed logins": observed.failures,
        "sessions": observed.sessions,
        "columns": observed.columns,
        "keys": observed.keys,
        "refusals": observed.refusals,
    }


def _known(
    case: Case, observed: Observed, columns: tuple[ColumnUse, ...], evidence: Evidence
) -> law.Known:
    clear, masked = (
        tuple(sorted({one.column for one in columns if one.outcome == outcome and one.cells}))
        for outcome in ("clear", "masked")
    )
    subjects = case.subjects
    return law.Known(
        since=case.selected.since,
        until=case.selected.until,
        logins=len(observed.parties),
        clear=sum(one.cells for one in columns if one.outcome == "clear"),
        masked=sum(one.cells for one in columns if one.outcome == "masked"),
        clear_columns=clear,
        compared_columns=tuple(sorted({c.column for c in columns if c.outcome == "compared"})),
        masked_columns=masked,
        sealed_columns=tuple(sorted(set(case.declared) - {*clear, *masked})),
        persons=subjects if isinstance(subjects, Human) else subjects.persons_shown,
        persons_at_least=not isinstance(subjects, Human) and not _traced(subjects),
        records=sum(one.distinct_values for one in columns if one.outcome in SHOWN),
        records_at_least=observed.unlisted_cells > 0,
        containments=observed.containments,
        findings=observed.findings,
        whole=evidence.whole and observed.columns.beyond is None,
    )


def _traced(subjects: Subjects) -> bool:
    """Everything that was shown leads to persons: not to rows that name nobody, nor nowhere."""
    rows = any(one.kind == "rows" and one.any_shown for one in subjects.counts)
    return subjects.complete and not rows


def _parties(observed: Observed) -> Iterator[tuple[str, Party]]:
    """Those who got in, with the attempts before; and of those who never did, the most insistent."""
    for login, party in observed.parties.items():
        if tried := observed.failures.get(login):
            party.failed_logins += tried.failed_logins
            party.refused += tried.refused
            party.addresses |= tried.addresses
            party.events, party.first = party.events + tried.events, min(party.first, tried.first)
        yield login, party
    others = [
        (login, tried)
        for login, tried in observed.failures.items()
        if login not in observed.parties
    ]
    yield from sorted(others, key=lambda item: -item[1].events)[:TRIED]


def _login(login: str, one: Party) -> LoginUse:
    return LoginUse(
        login=login,
        roles=tuple(one.roles),
        addresses=tuple(one.addresses),
        applications=tuple(one.applications),
        claimed_actors=tuple(one.actors),
        first=moment(one.first),
        last=moment(one.last),
        events=one.events,
        sessions=one.sessions,
        failed_logins=one.failed_logins,
        refused=one.refused,
        cells=_counts([one]),
    )


def _session(uid: str, one: SessionSeen) -> SessionUse:
    return SessionUse(
        session=uid,
        login=one.login,
        address=one.address,
        application=one.application,
        claimed_actor=one.actor,
        claimed_purpose=one.purpose,
        passthrough=one.passthrough,
        first=moment(one.first),
        last=moment(one.last),
        cells=_counts([one]),
    )


def _counts(tallies: list[Party] | list[SessionSeen], beyond: Cells | None = None) -> CellCounts:
    every: list[Cells] = [*tallies, *([beyond] if beyond is not None else [])]
    return CellCounts(**{name: sum(one.of(name) for one in every) for name in OUTCOMES})


def _shown(one: Cells) -> int:
    return sum(one.of(outcome) for outcome in SHOWN)


def _detection(observed: Observed) -> Detection:
    first = observed.first_finding
    before = observed.shown_before_containment
    return Detection(
        findings=observed.findings,
        first_finding=moment(first) if first else None,
        delay=spoken(max(0, first - observed.span.first)) if first and observed.span.events else "",
        containments=observed.containments,
        shown_before_containment=observed.shown if before is None else before,
    )


def _timeline(observed: Observed) -> list[TimelineEntry]:
    entries = [
        TimelineEntry(moment(one.time), one.code, one.login, one.text) for one in observed.timeline
    ]
    span = observed.span
    if span.events:
        entries.append(
            TimelineEntry(moment(span.first), "(first)", "", "first event of the selection")
        )
        entries.append(
            TimelineEntry(moment(span.last), "(last)", "", "last event of the selection")
        )
    return sorted(entries, key=lambda entry: entry.time)


def _case(case: Case) -> str:
    """A name for the case that two people do not give twice: the day, and eight digits of what was selected."""
    what = repr((case.selected, case.generated)).encode()
    return f"SG-{case.generated:%Y%m%d}-{hashlib.sha256(what).hexdigest()[:8]}"
