"""The change report laid out for people."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from proxy.report import evidence as log
from proxy.report.changes import Changes, Entry
from proxy.report.difference import spoken
from proxy.report.document import (
    Alert,
    Block,
    Bullets,
    Document,
    Facts,
    Paragraph,
    Section,
    Table,
    signature,
)
from proxy.report.times import said

_TITLES: Final = {
    "policy": "Policy",
    "keys": "Keys",
    "configuration": "Configuration",
    "schema": "Schema",
    "honey": "Honey rows and columns",
    "containment": "Containment and release",
    "log": "The log itself",
    "process": "Starts, stops and losses",
}


def page(report: Changes, sha256: str) -> Document:
    counts = dict(report.counts)
    facts = Facts(
        (
            ("Window", f"{said(report.since)} to {said(report.until)} (end not included)"),
            ("Prepared", f"{said(report.generated)} by {report.prepared_by or 'unknown'}"),
            *((title, counts.get(kind, 0)) for kind, title in _TITLES.items()),
            ("Changes that widen the policy", report.widening),
        )
    )
    sections = [log.section(report.evidence)]
    for kind, title in _TITLES.items():
        entries = [entry for entry in report.entries if entry.kind == kind]
        sections.append(Section(title, tuple(_entries(entries))))
    if report.left_out:
        sections.append(
            Section("Left out", (Alert((f"{report.left_out} more changes are not listed.",)),))
        )
    sections.append(signature(sha256, "reviewer"))
    return Document("Change report", facts, tuple(sections), sha256)


def _entries(entries: list[Entry]) -> Iterator[Block]:
    rows = tuple(
        (
            said(entry.time),
            entry.event_code,
            entry.who,
            entry.old or "—",
            entry.new or "—",
            entry.text,
            entry.note,
        )
        for entry in entries
    )
    head = ("Time", "Event", "Who", "Old", "New", "What", "Note")
    yield Table(head, rows, empty="No change in the window.")
    for entry in entries:
        if entry.differences:
            yield Paragraph((f"Policy {entry.new}, {said(entry.time)}, differs from {entry.old}:",))
            yield Bullets(tuple((spoken(change),) for change in entry.differences))
