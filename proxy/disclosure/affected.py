"""Whose data did this login see? The cells that the log names, the rows that hold them or held them, the people. [io]

with Gathered() as gathered:
    events = gather(audit, question, gathered, missing)
    await name(connection, gathered, subjects, missing)
    gathered.people(), gathered.totals(), list(missing)
"""

from __future__ import annotations

from collections.abc import Callable

import asyncpg

from proxy.audit.disclosed import Disclosed
from proxy.config import Audit
from proxy.disclosure import naming
from proxy.disclosure.gathered import Gathered
from proxy.disclosure.log import search
from proxy.disclosure.question import Missing, Question
from proxy.disclosure.subjects import Subjects
from proxy.report.read import Seen as Read


def gather(
    audit: Audit,
    question: Question,
    gathered: Gathered,
    missing: Missing,
    progress: Callable[[int], None] = lambda events: None,
) -> int:
    """Reads the log; the number of events that are meant. What it does not tell goes to `missing`."""

    def take(event: Read, told: Disclosed, ids: list[bytes]) -> None:
        gathered.add(told.column, told.outcome, ids, event.time)

    return search(audit, question, missing, take, progress)


async def name(
    connection: asyncpg.Connection, gathered: Gathered, subjects: Subjects, missing: Missing
) -> None:
    """Finds the rows in the database, in one snapshot of it."""
    async with naming.snapshot(connection):
        known = await naming.relations(connection, subjects)
        for table in subjects:
            if table not in known or not known[table].subject:
                missing.say(naming.names_nobody(table))
        await naming.hold(connection, gathered, known, missing)
