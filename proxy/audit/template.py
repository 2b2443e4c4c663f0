"""Events of executions: all that does not change is made once per statement, the rest filled in at each execution.

An event is a new dict with new `metadata` and `unmapped.sealgate`; all its other parts are shared with
events before and after it, of other sessions too, so nobody may ever change one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple, final

from proxy.audit.datastore import BY_OUTCOME, DONE, speak_of, strongest
from proxy.audit.ocsf import ALLOWED, DATASTORE_ACTIVITY, MODIFIED, Event, base, controlled
from proxy.audit.origin import who
from proxy.audit.text import LABEL_CAP, clean
from proxy.audit.values import Origin, Outcome, Protocol

COLUMNS_IN_MESSAGE: Final = 8
_LATER: Final = "-"
_OK: Final = "00000"


class Spoken(NamedTuple):
    """A statement in the access log's terms, under one policy.

    `statement` is `Stripped.text` (proxy.sql: literals are markers), or None where there is none because the
    text could not be read.
    """

    statement: str | None
    command: str
    protocol: Protocol
    policy_version: str


@final
class Part:
    """An execution of a statement, or the part of it whose rows go out together.

    `execution` is its uid; `number` counts from 1. `rows` are those of this part. `sqlstate` is that of the
    server's error, if it failed the statement; what Sealgate itself refuses is a `Refused`.
    """

    __slots__ = ("execution", "final", "number", "rows", "sqlstate")

    def __init__(
        self, execution: str, number: int, rows: int, sqlstate: str | None, *, final: bool
    ) -> None:
        self.execution = execution
        self.number = number
        self.rows = rows
        self.sqlstate = sqlstate
        self.final = final


@final
class Line:
    """A sealed column and what a statement does to its cells: one entry of `columns`, but for the numbers."""

    __slots__ = ("_name", "_rule", "column", "key", "outcome")

    def __init__(self, column: str, outcome: Outcome, rule: str) -> None:
        self.column = column
        self.outcome: Outcome = outcome
        self.key: tuple[str, Outcome] = (column, outcome)
        self._name = clean(column, LABEL_CAP)
        self._rule = clean(rule, LABEL_CAP)

    def entry(
        self, cells: int, versions: Sequence[int] = (), *, untyped: bool = False
    ) -> dict[str, Any]:
        """`versions` of the column's data key that opened cells; `untyped`: they were shown as bytea."""
        entry: dict[str, Any] = {
            "name": self._name,
            "outcome": self.outcome,
            "cells": cells,
            "rule": self._rule,
        }
        if versions:
            entry["key_versions"] = sorted(versions)
        if untyped:
            entry["shown_as"] = "bytea"
        return entry


@final
class Template:
    """The events of one statement on one sealed table, for one principal; it knows no session and no value."""

    __slots__ = ("_event", "_fields", "_metadata", "_of", "_uses", "lines")

    def __init__(self, table: str, lines: Sequence[Line], spoken: Spoken) -> None:
        self.lines = tuple(lines)
        outcomes = {line.outcome for line in lines}
        kind, activity, verb = DONE[strongest(outcomes, BY_OUTCOME)]
        event = base(kind, DATASTORE_ACTIVITY, activity, _LATER, correlation=_LATER)
        event["status_code"] = _OK
        event |= {"actor": _LATER, "src_endpoint": _LATER, "database": _LATER}
        modified = "masked" in outcomes or "withheld" in outcomes
        controlled(event, MODIFIED if modified else ALLOWED, ALLOWED)
        fields: dict[str, Any] = {
            "command": clean(spoken.command),
            "execution": _LATER,
            "part": 0,
            "final": False,
            "protocol": spoken.protocol,
            "rows": 0,
            "cells": 0,
            "columns": _LATER,
            "cell_ids": _LATER,
            "cell_ids_complete": False,
            "tls": False,
        }
        shown = clean(table, LABEL_CAP)
        speak_of(event, fields, shown, spoken.policy_version, spoken.statement)
        self._event = event
        self._metadata: dict[str, Any] = event["metadata"]
        self._fields = fields
        self._of = f" of {shown} {verb} "
        self._uses = f": {_uses(table, self.lines)}"

    def event(
        self,
        origin: Origin,
        part: Part,
        columns: list[dict[str, Any]],
        cell_ids: list[str],
        cells: int,
        *,
        complete: bool,
    ) -> Event:
        """`columns`: the entries of `lines`, in order. `cells` of them altogether; `complete`: all with their ids in hex.

        The lists go into the event.
        """
        by = who(origin)
        uid = clean(part.execution)
        metadata = self._metadata.copy()
        metadata["correlation_uid"] = uid
        fields = self._fields.copy()
        fields["execution"] = uid
        fields["part"] = part.number
        fields["final"] = part.final
        fields["rows"] = part.rows
        fields["cells"] = cells
        fields["columns"] = columns
        fields["cell_ids"] = cell_ids
        fields["cell_ids_complete"] = complete
        fields["tls"] = origin.tls
        rows = "1 row" if part.rows == 1 else f"{part.rows} rows"
        message = rows + self._of + by.name + self._uses
        event = self._event.copy()
        if part.sqlstate is not None:
            status = clean(part.sqlstate)
            message += f"; the server failed it ({status})"
            event["status_id"] = 2
            event["status_code"] = status or _OK
        event["message"] = message
        event["metadata"] = metadata
        event["actor"] = by.actor
        event["src_endpoint"] = by.endpoint
        event["database"] = by.database
        event["unmapped"] = {"sealgate": fields}
        return event


def _uses(table: str, lines: Sequence[Line]) -> str:
    """`email clear, ssn masked`"""
    uses = [
        f"{clean(line.column.removeprefix(table + '.'), LABEL_CAP)} {line.outcome}"
        for line in lines[:COLUMNS_IN_MESSAGE]
    ]
    if more := len(lines) - len(uses):
        uses.append(f"{more} more")
    return ", ".join(uses)
