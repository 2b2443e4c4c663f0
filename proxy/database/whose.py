"""What `check` says of whose data it is: [subjects], and the history of values that are gone (SG06x). Pure."""

from __future__ import annotations

from collections.abc import Iterator

from proxy.catalog import SCHEMA
from proxy.database import history
from proxy.database.finding import Facts, Finding, error, info, listed, warning
from proxy.database.history import HistoryFacts
from proxy.database.searching import APPLY
from proxy.database.tables import TableFacts

_SUBJECTS = "[subjects]"


def whose(facts: Facts) -> Iterator[Finding]:
    for label, table in facts.tables.items():
        kept = facts.history.get(label)
        if kept is None or table.kind not in ("r", "p"):
            continue
        yield from _of_subject(facts, table, kept)
        yield from _of_history(facts, kept)
    for label in facts.subjects.keys() - facts.tables.keys():
        yield from _without_columns(label, exists=label in facts.subject_tables)
    yield from _of_table(facts)


def _without_columns(label: str, *, exists: bool) -> Iterator[Finding]:
    if not exists:
        yield error(
            "SG060",
            label,
            "it stands in [subjects], and there is no such table",
            f"Correct {_SUBJECTS}.",
        )
        return
    yield info(
        "SG061",
        label,
        "it stands in [subjects], and no column of it is sealed: nobody asks whose data that is",
        f"Remove it from {_SUBJECTS}, or declare its columns.",
    )


def _of_subject(facts: Facts, table: TableFacts, kept: HistoryFacts) -> Iterator[Finding]:
    named = facts.subjects.get(table.label)
    if named is None:
        by = (
            "its rows are told by their primary key"
            if kept.primary_key
            else "it has no primary key either: nobody can say which rows were seen"
        )
        # Who has said nothing yet is told so; who has, has forgotten this table.
        finding = warning if facts.subjects and not kept.primary_key else info
        yield finding(
            "SG062",
            table.label,
            f"it has sealed columns, and no column that names the person is configured: {by}",
            f'Write "{table.label}" = "column" in {_SUBJECTS}.',
        )
        return
    found = {column.name: column for column in kept.subject}
    for name in named:
        column = found.get(name)
        if column is None:
            yield error(
                "SG060",
                table.label,
                f"column {name} of [subjects] does not exist",
                f"Correct {_SUBJECTS}.",
            )
        elif column.sealed:
            yield error(
                "SG063",
                table.label,
                f"column {name}, which is to name the person, is sealed",
                "Name a plain column: the primary key, as a rule.",
            )
        elif not column.not_null:
            yield warning(
                "SG064",
                table.label,
                f"column {name}, which names the person, may be NULL: such rows are nobody's",
                "ALTER COLUMN ... SET NOT NULL, if each row is somebody's.",
            )


def _of_history(facts: Facts, kept: HistoryFacts) -> Iterator[Finding]:
    missing = history.changes(kept, {}, facts.schema)
    if missing:
        yield error(
            "SG065",
            kept.label,
            "where its values stood that are updated or deleted is not kept as it should be:"
            f" apply would {listed([change.said for change in missing])}",
            APPLY,
        )


def _of_table(facts: Facts) -> Iterator[Finding]:
    table = facts.schema.history
    subject = f"{SCHEMA}.cell_history"
    if table is not None and table.interfered:
        yield warning(
            "SG066",
            subject,
            "it has a trigger, a rule, a constraint or row security, or is no ordinary table: what is written there may not stay,"
            " and what is refused there is refused to applications",
            "Remove what was added to it.",
        )
