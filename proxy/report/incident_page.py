"""The incident report laid out for people."""

from __future__ import annotations

from collections.abc import Iterator

from proxy.report import evidence as log
from proxy.report.document import (
    Alert,
    Bars,
    Block,
    Bullets,
    Cell,
    Document,
    Facts,
    Paragraph,
    Section,
    Table,
    Text,
    plain,
    signature,
)
from proxy.report.human import Human, asked
from proxy.report.incident import CellCounts, Incident, Subjects
from proxy.report.law import Field, countdown
from proxy.report.times import said

NAMED = 1000
"""Persons in Markdown and HTML; all of them are in the JSON."""


def page(report: Incident, sha256: str) -> Document:
    selected = report.selected
    facts = Facts(
        (
            ("Case", report.case),
            ("Window", f"{said(selected.since)} to {said(selected.until)} (end not included)"),
            ("Logins asked for", ", ".join(selected.logins) or "—"),
            ("Sessions asked for", ", ".join(selected.sessions) or "—"),
            ("Findings asked for", ", ".join(selected.findings) or "—"),
            ("Prepared", f"{said(report.generated)} by {report.prepared_by or 'unknown'}"),
            ("Values released in clear", report.cells.clear),
            ("Values released masked", report.cells.masked),
            ("Fields for a person to fill in", len(asked(plain(report)))),
        )
    )
    sections = (
        Section("72 hours", (Paragraph(countdown(report.clock)), _clock(report))),
        log.section(report.evidence),
        Section("Which data", tuple(_data(report))),
        Section("Whose data", tuple(_subjects(report.subjects))),
        Section("Who and from where", tuple(_who(report))),
        Section("Timeline", tuple(_timeline(report))),
        Section("Key exposure statement", tuple(_keys(report))),
        Section("GDPR Article 33: notification of the authority", (_fields(report.gdpr_33),)),
        Section("GDPR Article 34: notification of the persons", tuple(_article_34(report))),
        *(Section(name, (_fields(fields),)) for name, fields in report.notes),
        signature(sha256, "responsible for the incident"),
    )
    return Document(f"Incident report {report.case}", facts, sections, sha256)


def _clock(report: Incident) -> Facts:
    clock = report.clock
    deadline = clock.deadline if isinstance(clock.deadline, Human) else said(clock.deadline)
    aware = clock.aware if isinstance(clock.aware, Human) else said(clock.aware)
    return Facts((("Became aware", aware), ("Notify until", deadline)))


def _data(report: Incident) -> Iterator[Block]:
    rows = tuple(
        (
            one.column,
            one.outcome,
            one.cells,
            one.distinct_values,
            one.rows,
            one.events,
            said(one.first),
            said(one.last),
        )
        for one in report.columns
    )
    head = ("Column", "Outcome", "Values", "Distinct", "Rows", "Events", "First", "Last")
    yield Table(head, rows, empty="The selection touched no sealed column.")
    if report.cells_without_ids:
        yield Alert(
            (
                f"The ids of {report.cells_without_ids:,} of these values are not known (see the log's verdict):"
                " the distinct ones and the persons are more than counted here.",
            )
        )
    if report.not_told_apart:
        kinds = ", ".join(report.not_told_apart)
        yield Alert(
            (
                f"There are more {kinds} than are told apart here: narrow the selection or the window.",
            )
        )
    never = ", ".join(report.never_released) or "none"
    yield Paragraph(
        (
            f"Only sealed: of these columns the selection got no value, neither in clear nor masked: {never}.",
        )
    )
    if report.activity:
        bars = tuple(
            (said(one.begin), (one.clear, one.masked, one.withheld)) for one in report.activity
        )
        yield Bars("Values over the window", ("clear", "masked", "withheld"), bars)
    refused = tuple(
        (one.column, one.access, one.times, said(one.first), said(one.last))
        for one in report.refused
    )
    yield Paragraph(("Refused, because no role of the login is granted it:",))
    yield Table(("Column", "Access", "Times", "First", "Last"), refused)


def _subjects(subjects: Subjects | Human) -> Iterator[Block]:
    if isinstance(subjects, Human):
        yield Paragraph((subjects,))
        return
    if not subjects.complete:
        yield Alert(
            ("Not every value could be traced to a row: there are at least as many persons.",)
        )
    if subjects.not_asked:
        yield Alert(
            (
                f"Not asked: {', '.join(subjects.not_asked)}. Run again with --dsn of the tables' owner, or GRANT SELECT on them"
                " and on sealgate.cell_history to the control login, to which sealed values tell nothing.",
            )
        )
    rows = tuple(
        (one.table, one.kind, one.clear, one.masked, one.any_shown, one.other)
        for one in subjects.counts
    )
    yield Table(
        ("Table", "Counted", "Clear", "Masked", "Clear or masked", "Only other outcomes"),
        rows,
        empty="Nobody was found.",
    )
    if subjects.cells_without_row:
        yield Paragraph((f"Values for which no row was found: {subjects.cells_without_row:,}.",))
    yield from (Paragraph((note,)) for note in subjects.notes)
    if subjects.named:
        named = tuple(subjects.named[:NAMED])
        yield Table(("Table", "Key"), named, len(subjects.named) - len(named))


def _who(report: Incident) -> Iterator[Block]:
    rows = tuple(
        (
            one.login,
            _listed(one.roles),
            _listed(one.addresses),
            _listed(one.applications),
            _listed(one.claimed_actors),
            one.sessions,
            one.failed_logins,
            one.refused,
            *_shown(one.cells),
            said(one.first),
            said(one.last),
        )
        for one in report.logins
    )
    head = (
        "Login",
        "Roles",
        "Addresses",
        "Applications",
        "Claimed actors",
        "Sessions",
        "Failed logins",
        "Refused",
        "Clear",
        "Masked",
        "First",
        "Last",
    )
    yield Table(head, rows, empty="No event of the selection.")
    if report.logins_left_out:
        yield Alert(("There were more logins than are listed; their values are in the sums.",))
    sessions = tuple(
        (
            one.session,
            one.login,
            one.address,
            one.application,
            one.claimed_actor,
            one.claimed_purpose,
            *_shown(one.cells),
            said(one.first),
            said(one.last),
            one.passthrough,
        )
        for one in report.sessions
    )
    yield Paragraph(
        (
            "Sessions, those that saw most first. Applications, actors and purposes are what clients claim, not verified.",
        )
    )
    columns = (
        "Session",
        "Login",
        "Address",
        "Application",
        "Claimed actor",
        "Purpose or ticket",
        "Clear",
        "Masked",
        "First",
        "Last",
        "Passed through",
    )
    yield Table(columns, sessions, report.sessions_left_out)


def _timeline(report: Incident) -> Iterator[Block]:
    detection = report.detection
    yield Facts(
        (
            ("Findings", detection.findings),
            ("First finding", said(detection.first_finding)),
            ("From the first event to the first finding", detection.delay or "—"),
            ("Containments", detection.containments),
            (
                "Values shown before the first containment"
                if detection.containments
                else "Values shown (nothing was contained)",
                detection.shown_before_containment,
            ),
        )
    )
    rows = tuple((said(one.time), one.event_code, one.login, one.text) for one in report.timeline)
    yield Table(("Time", "Event", "Login", "What"), rows, report.timeline_left_out)


def _keys(report: Incident) -> Iterator[Block]:
    if not report.keys:
        yield Paragraph(
            ("No data key opened anything for the selection, as far as the log shows.",)
        )
    rows: list[tuple[Cell, ...]] = [
        (
            one.column,
            one.version,
            str(one.key_id) if isinstance(one.key_id, int) else one.key_id,
            one.state,
            one.created,
            one.cells,
            said(one.first),
            said(one.last),
        )
        for one in report.keys
    ]
    head = (
        "Column",
        "Version",
        "Key id",
        "State",
        "Created",
        "Values opened, at most",
        "First",
        "Last",
    )
    if rows:
        yield Table(head, tuple(rows))
    yield Facts((("Root key", report.root_key),))
    for text in dict.fromkeys(one.left_process for one in report.keys):
        yield Paragraph(("Did a data key leave the process? ", text))
    for human in dict.fromkeys(one.unknown for one in report.keys):
        yield Paragraph((human,))
    yield Paragraph(
        (
            "Key ids, states and dates are as the keystore's file lists them, which was read without the root key and is"
            " not authenticated here.",
        )
    )


def _article_34(report: Incident) -> Iterator[Block]:
    rows = tuple(
        (one.column, "yes" if one.holds else "no", one.because) for one in report.unintelligible
    )
    yield Paragraph(
        (
            "Article 34(3)(a): no notice is needed for data that was unintelligible to whoever got it, for example encrypted.",
        )
    )
    yield Table(("Column", "Unintelligible", "Because"), rows)
    yield Paragraph(
        (
            "This is about what passed through the proxy. ",
            Human(
                "did anybody get at backups, WAL archives or logs from before a column was sealed, or at copies that clients"
                " keep? The access log knows nothing of them"
            ),
        )
    )
    yield Paragraph((Human("is the risk to the persons high (Art. 34(1))? Then send the letter"),))
    yield Bullets(report.gdpr_34_letter)


def _fields(fields: tuple[Field, ...]) -> Table:
    rows = tuple((one.article, one.asked, _joined(one.answer)) for one in fields)
    return Table(("Article", "Asked", "Answer"), rows)


def _joined(answer: Text) -> Cell:
    """One cell. Words of ours before a field for a person stay before it."""
    return answer[0] if len(answer) == 1 else answer


def _shown(cells: CellCounts) -> tuple[int, int]:
    return cells.clear, cells.masked


def _listed(names: tuple[str, ...]) -> str:
    return ", ".join(names[:10]) + (f" and {len(names) - 10} more" if len(names) > 10 else "")
