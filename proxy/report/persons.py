"""Whose data it was, counted from what the database said of the cells (`proxy.disclosure`)."""

from __future__ import annotations

from collections.abc import Sequence

from proxy.disclosure.gathered import Gathered, Person
from proxy.report.incident import SubjectCount, Subjects
from proxy.report.read import SHOWN, text


def persons(
    gathered: Gathered,
    missing: Sequence[str],
    not_asked: Sequence[str],
    unlisted_cells: int,
    *,
    named: bool,
) -> Subjects:
    """`named`: with their keys. `missing`: why that may not be all. `not_asked`: tables that this login may not read.
    `unlisted_cells`: those whose ids are not known.
    """
    counts: dict[tuple[str, bool], list[int]] = {}
    keys: list[tuple[str, str]] = []
    for person in gathered.people():
        clear, masked, shown = _shown(person)
        count = counts.setdefault((person.table, person.named), [0, 0, 0, 0])
        for index, one in enumerate((clear, masked, not shown, shown)):
            count[index] += one
        if named and shown:
            keys.append((text(person.table, 1024), _key(person)))
    nowhere = sum(
        one.nowhere
        for one in gathered.totals()
        if one.outcome in SHOWN and not any(one.column.startswith(f"{t}.") for t in not_asked)
    )
    notes = tuple(text(reason, 1024) for reason in missing)
    return Subjects(
        counts=tuple(
            SubjectCount(table, "persons" if is_person else "rows", *numbers)
            for (table, is_person), numbers in sorted(counts.items())
        ),
        persons_shown=sum(n[3] for (_, is_person), n in counts.items() if is_person),
        cells_without_row=nowhere,
        not_asked=tuple(not_asked),
        complete=not notes and not not_asked and not nowhere and not unlisted_cells,
        notes=notes,
        named=tuple(keys),
    )


def _shown(person: Person) -> tuple[bool, bool, bool]:
    """In clear, masked, one of both."""
    outcomes = {seen.outcome for seen in person.seen}
    return "clear" in outcomes, "masked" in outcomes, bool(outcomes & SHOWN)


def _key(person: Person) -> str:
    return ", ".join("NULL" if part is None else text(part, 1024) for part in person.key)
