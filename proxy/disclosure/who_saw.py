"""Who saw this person's data? The cells that the person's rows hold or held, and the events that name one of them. [io]"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import TracebackType
from typing import IO, Any, Final, Self

import asyncpg
import orjson

from proxy.audit.disclosed import Disclosed
from proxy.commands.errors import CommandRefused
from proxy.config import Audit
from proxy.disclosure import naming
from proxy.disclosure.log import search
from proxy.disclosure.question import Missing, Question
from proxy.disclosure.subjects import Subjects
from proxy.report.read import Seen as Read
from proxy.report.read import mapping, text
from proxy.report.times import moment, rfc3339

_STATEMENT_CAP: Final = 4096 + 32


class Accesses:
    """What the log tells of the person, in its order; on disk until the question itself is in the log."""

    def __init__(self) -> None:
        self._file: IO[bytes] = tempfile.TemporaryFile(prefix="sealgate-")  # noqa: SIM115 - closed by __exit__
        self.count = 0
        self.cells = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._file.close()

    def add(self, access: Mapping[str, Any]) -> None:
        self.count += 1
        self.cells += access["cells"]
        self._file.write(orjson.dumps(access) + b"\n")

    def __iter__(self) -> Iterator[dict[str, Any]]:
        self._file.seek(0)
        for line in self._file:
            access: dict[str, Any] = orjson.loads(line)
            yield access


async def cells_of(
    connection: asyncpg.Connection,
    subjects: Subjects,
    tables: Sequence[str],
    key: Sequence[str],
    missing: Missing,
) -> dict[bytes, str]:
    """Cell id -> table, of all that the person's rows hold or held.

    Raises CommandRefused where a table names nobody, and where the key can stand in none of the tables.
    """
    found: dict[bytes, str] = {}
    impossible: list[str] = []
    async with naming.snapshot(connection):
        known = await naming.relations(connection, subjects)
        for table in tables:
            one = known.get(table)
            if one is None or not one.subject:
                raise CommandRefused(
                    f'{table} names nobody. Write "{table}" = "column" in [subjects], with a column that the table has.'
                )
            if len(key) != len(one.subject):
                raise CommandRefused(
                    f"{table} names a person by {', '.join(one.subject)}: give --key that many values."
                )
            if not one.readable:
                missing.say(naming.unreadable(table))
                continue
            try:
                cells = await naming.ids_of(connection, one, key, known, missing)
            except naming.NoSuchKey as error:
                impossible.append(f"{table}: the key {error}")
                continue
            for cell in cells:
                found[cell] = table
    if impossible and len(impossible) == len(tables):
        raise CommandRefused(f"{'; '.join(impossible)}. Nobody can have it: look at --key.")
    return found


def accesses(
    audit: Audit,
    question: Question,
    cells: Mapping[bytes, str],
    missing: Missing,
    into: Accesses,
    progress: Callable[[int], None] = lambda events: None,
) -> None:
    """Each event that names one of these cells, once for each column and outcome."""

    def take(event: Read, told: Disclosed, ids: list[bytes]) -> None:
        hits = [cell for cell in ids if cell in cells]
        if hits:
            tables = sorted({cells[cell] for cell in hits})
            into.add(_access(event, told, tables, len(hits)))

    search(audit, question, missing, take, progress)


def _access(event: Read, told: Disclosed, tables: list[str], cells: int) -> dict[str, Any]:
    query = mapping(event.raw.get("query_info"))
    return {
        "time": rfc3339(moment(event.time)),
        "sequence": event.sequence,
        "execution": event.field("execution"),
        "login": event.login,
        "roles": list(event.roles),
        "session": event.session,
        "application": event.application,
        "address": event.address,
        "claimed": {
            text(name): text(value)
            for name, value in mapping(event.sealgate.get("claimed")).items()
        },
        "tables": tables,
        "column": told.column,
        "outcome": told.outcome,
        "cells": cells,
        "statement": text(query.get("query_string"), _STATEMENT_CAP),
        "fingerprint": text(query.get("uid")),
    }
