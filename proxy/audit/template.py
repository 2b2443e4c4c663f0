"""Events of executions: all that does not change is made once per statement, the rest filled in at each execution.

A `Template` is an event's JSON cut where something has to be filled in. What comes from outside is cleaned and
encoded as JSON before it gets here: a column's name once per statement, the login once per session.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple, final

import orjson

from proxy.audit.datastore import BY_OUTCOME, DONE, speak_of, strongest
from proxy.audit.entry import Entry, cut_at_metadata, decimal, quoted_json, recut, uid_json
from proxy.audit.ocsf import ALLOWED, DATASTORE_ACTIVITY, MODIFIED, base, controlled
from proxy.audit.origin import Who, who
from proxy.audit.text import LABEL_CAP, clean
from proxy.audit.values import Origin, Outcome, Protocol

COLUMNS_IN_MESSAGE: Final = 8
_SLOT: Final = "\0"
"""Stands where something is filled in: no text that was cleaned has a NUL."""
_SLOT_JSON: Final = b'"\\u0000"'
_OK: Final = b'"00000"'
_KEPT: Final = 4096
"""Bytes that a session keeps of its last event, at most."""
_ROW: Final = b" row"
_ROWS: Final = b" rows"
_TRUE: Final = b"true"
_FALSE: Final = b"false"


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

    __slots__ = ("_opened", "_to_cells", "_to_end", "column", "key", "outcome")

    def __init__(self, column: str, outcome: Outcome, rule: str) -> None:
        self.column = column
        self.outcome: Outcome = outcome
        self.key: tuple[str, Outcome] = (column, outcome)
        entry = {
            "name": clean(column, LABEL_CAP),
            "outcome": outcome,
            "cells": _SLOT,
            "rule": clean(rule, LABEL_CAP),
        }
        self._to_cells, self._to_end = orjson.dumps(entry)[:-1].split(_SLOT_JSON)
        self._opened = (-1, b"")
        """What is said of cells that this one version opened: nearly always the same. One tuple, because sessions share the line
        and one of them may be with another thread: it holds for its version or is not there.
        """

    def entry(self, cells: int, versions: Sequence[int] = (), *, untyped: bool = False) -> bytes:
        """JSON. `versions` of the column's data key that opened cells; `untyped`: they were shown as bytea."""
        opened = b""
        if len(versions) == 1:
            version, opened = self._opened
            if version != versions[0]:
                opened = _opened_by(versions)
                self._opened = (versions[0], opened)
        elif versions:
            opened = _opened_by(sorted(versions))
        shown = b',"shown_as":"bytea"}' if untyped else b"}"
        return b"".join((self._to_cells, decimal(cells), self._to_end, opened, shown))


@final
class Template:
    """The events of one statement on one sealed table, for one principal; it knows no session and no value."""

    __slots__ = ("lines", "of", "pieces", "uses")

    def __init__(self, table: str, lines: Sequence[Line], spoken: Spoken) -> None:
        self.lines = tuple(lines)
        outcomes = {line.outcome for line in lines}
        kind, activity, verb = DONE[strongest(outcomes, BY_OUTCOME)]
        event = base(kind, DATASTORE_ACTIVITY, activity, _SLOT, correlation="-")
        event["status_id"] = event["status_code"] = _SLOT
        event["metadata"]["correlation_uid"] = _SLOT
        event |= {"actor": _SLOT, "src_endpoint": _SLOT, "database": _SLOT}
        modified = "masked" in outcomes or "withheld" in outcomes
        controlled(event, MODIFIED if modified else ALLOWED, ALLOWED)
        fields: dict[str, Any] = {
            "command": clean(spoken.command),
            "execution": _SLOT,
            "part": _SLOT,
            "final": _SLOT,
            "protocol": spoken.protocol,
            "rows": _SLOT,
            "cells": _SLOT,
            "columns": [_SLOT],
            "cell_ids": [_SLOT],
            "cell_ids_complete": _SLOT,
            "tls": _SLOT,
        }
        shown = clean(table, LABEL_CAP)
        speak_of(event, fields, shown, spoken.policy_version, spoken.statement)
        opening, rest = cut_at_metadata(orjson.dumps(event))
        self.pieces = (*opening.split(_SLOT_JSON), *rest.split(_SLOT_JSON))
        self.of = quoted_json(f" of {shown} {verb} ")[1:-1]
        self.uses = quoted_json(f": {_uses(table, self.lines)}")[1:-1]

    def entry(
        self,
        origin: Origin,
        part: Part,
        columns: list[bytes],
        cell_ids: list[str],
        cells: int,
        *,
        complete: bool,
    ) -> Entry:
        """`columns`: the entries of `lines`, in order. `cells` of them altogether; `complete`: all with their ids in hex."""
        by = who(origin)
        filled = by.filled
        if not isinstance(filled, _Filled) or filled.template is not self:
            filled = by.filled = _Filled(self, by, tls=origin.tls)
        return filled.entry(part, columns, cell_ids, cells, complete=complete)


@final
class _Filled:
    """A template with what its session says of itself: what is missing is what each execution has of its own."""

    __slots__ = (
        "_complete",
        "_counts",
        "_head",
        "_head_rows",
        "_incomplete",
        "_last_cells",
        "_last_column",
        "_last_final",
        "_last_number",
        "_last_rows",
        "_ok_to_execution",
        "_opening",
        "_opening_failed",
        "_said",
        "_to_cell_ids",
        "_to_cells",
        "_to_columns",
        "_to_execution",
        "_to_final",
        "_to_metadata",
        "_to_part",
        "_to_rows",
        "_to_status_code",
        "_to_uid",
        "template",
    )

    def __init__(self, template: Template, by: Who, *, tls: bool) -> None:
        self.template = template
        (
            to_status_id,
            to_message,
            to_metadata,
            to_uid,
            to_status_code,
            to_actor,
            to_endpoint,
            to_database,
            to_execution,
            to_part,
            to_final,
            to_rows,
            to_cells,
            to_columns,
            to_cell_ids,
            to_complete,
            to_tls,
            to_end,
        ) = template.pieces
        self._opening = to_status_id + b"1" + to_message + b'"'
        self._opening_failed = to_status_id + b"2" + to_message + b'"'
        self._said = template.of + by.spoken + template.uses
        self._to_metadata = b'"' + to_metadata
        self._to_uid = to_uid
        self._to_status_code = to_status_code
        self._to_execution = (
            to_actor
            + by.actor_json
            + to_endpoint
            + by.endpoint_json
            + to_database
            + by.database_json
            + to_execution
        )
        self._ok_to_execution = to_status_code + _OK + self._to_execution
        self._to_part = to_part
        self._to_final = to_final
        self._to_rows = to_rows
        self._to_cells = to_cells
        self._to_columns = to_columns
        self._to_cell_ids = to_cell_ids
        end = to_tls + (_TRUE if tls else _FALSE) + to_end
        self._complete = to_complete + _TRUE + end
        self._incomplete = to_complete + _FALSE + end
        # One execution after the other tells the same but for its uid and its cells' ids.
        self._head = b""
        self._head_rows = -1
        self._counts = b""
        self._last_rows = self._last_cells = self._last_number = -1
        self._last_final = False
        self._last_column = b""

    def entry(
        self, part: Part, columns: list[bytes], cell_ids: list[str], cells: int, *, complete: bool
    ) -> Entry:
        uid = uid_json(part.execution)
        rows = part.rows
        if part.sqlstate is None:
            if rows != self._head_rows:
                self._head_rows, self._head = rows, self._told(rows)
            head, to_execution = self._head, self._ok_to_execution
        else:
            status = quoted_json(clean(part.sqlstate))
            head = self._told(rows, status)
            status_code = status if part.sqlstate else _OK
            to_execution = self._to_status_code + status_code + self._to_execution
        column = columns[0] if len(columns) == 1 else b",".join(columns)
        counts = self._counts
        if (
            rows != self._last_rows
            or cells != self._last_cells
            or part.number != self._last_number
            or part.final != self._last_final
            or column != self._last_column
        ):
            counts = self._counted(part, column, cells)
            if len(counts) <= _KEPT:
                self._last_rows, self._last_cells = rows, cells
                self._last_number, self._last_final = part.number, part.final
                self._last_column, self._counts = column, counts
        rest = b"".join(
            (
                self._to_uid,
                uid,
                to_execution,
                uid,
                counts,
                _strings(cell_ids),
                self._complete if complete else self._incomplete,
            )
        )
        return recut(head, rest)

    def _told(self, rows: int, failed: bytes | None = None) -> bytes:
        """Up to the metadata. `failed`: with this SQLSTATE, as a JSON string."""
        opening, end = self._opening, self._to_metadata
        if failed is not None:
            opening = self._opening_failed
            end = b"; the server failed it (%b)%b" % (failed[1:-1], end)
        return b"".join((opening, decimal(rows), _ROW if rows == 1 else _ROWS, self._said, end))

    def _counted(self, part: Part, columns: bytes, cells: int) -> bytes:
        """From behind the execution's uid to the first cell id."""
        return b"".join(
            (
                self._to_part,
                decimal(part.number),
                self._to_final,
                _TRUE if part.final else _FALSE,
                self._to_rows,
                decimal(part.rows),
                self._to_cells,
                decimal(cells),
                self._to_columns,
                columns,
                self._to_cell_ids,
            )
        )


def _strings(plain: list[str]) -> bytes:
    """JSON strings of hexadecimal digits."""
    return b'"%b"' % '","'.join(plain).encode() if plain else b""


def _opened_by(versions: Sequence[int]) -> bytes:
    return b',"key_versions":[%b]' % b",".join([decimal(version) for version in versions])


def _uses(table: str, lines: Sequence[Line]) -> str:
    """`email clear, ssn masked`"""
    uses = [
        f"{clean(line.column.removeprefix(table + '.'), LABEL_CAP)} {line.outcome}"
        for line in lines[:COLUMNS_IN_MESSAGE]
    ]
    if more := len(lines) - len(uses):
        uses.append(f"{more} more")
    return ", ".join(uses)
