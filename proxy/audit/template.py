"""Events of executions: all that does not change is made once per statement, the rest filled in at each execution.

A `Template` is an event's canonical JSON (RFC 8785: sorted keys) cut where something has to be filled in, by us or by the
log. What comes from outside is cleaned and encoded as JSON before it gets here: a column's name once per statement, the
login once per session.
"""

from __future__ import annotations

import hashlib
from binascii import hexlify
from collections.abc import Sequence
from typing import Any, Final, NamedTuple, final

from proxy.audit.datastore import BY_OUTCOME, DONE, speak_of, strongest
from proxy.audit.entry import (
    AS_CONFIGURED,
    SLOT,
    SLOT_JSON,
    Entry,
    canonical,
    decimal,
    quoted_json,
    slotted,
    uid_json,
)
from proxy.audit.ocsf import ALLOWED, DATASTORE_ACTIVITY, MODIFIED, base, controlled
from proxy.audit.origin import Who, who
from proxy.audit.text import LABEL_CAP, clean
from proxy.audit.values import Origin, Outcome, Protocol

COLUMNS_IN_MESSAGE: Final = 8
ID_BYTES: Final = 8
_OK: Final = b'"00000"'
_ROW: Final = b" row"
_ROWS: Final = b" rows"
_TRUE: Final = b"true"
_FALSE: Final = b"false"
_CELLS: Final = b'"cells":'
_ID: Final = b'{"cell_ids":["'
_ID_CELLS: Final = b'"],"cells":'
_COUNT: Final = b'{"cell_id_count":'
_INCOMPLETE: Final = b',"cell_ids_complete":false'
_HEXLIFY: Final = hexlify
"""Compiled, a name that was imported is looked up at each call; this is not."""


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
    server's error, if it failed the statement; what Sealgate itself refuses is a `Refused`. `claimed`:
    `proxy.audit.claims.claimed_json`.
    """

    __slots__ = ("claimed", "execution", "final", "number", "rows", "sqlstate")

    def __init__(
        self,
        execution: str,
        number: int,
        rows: int,
        sqlstate: str | None,
        *,
        final: bool,
        claimed: bytes = b"",
    ) -> None:
        self.execution = execution
        self.number = number
        self.rows = rows
        self.sqlstate = sqlstate
        self.final = final
        self.claimed = claimed


@final
class Line:
    """A sealed column and what a statement does to its cells: one entry of `columns`, but for the numbers."""

    __slots__ = ("_end", "_opened", "_whole", "column", "key", "outcome")

    def __init__(self, column: str, outcome: Outcome, rule: str) -> None:
        self.column = column
        self.outcome: Outcome = outcome
        self.key: tuple[str, Outcome] = (column, outcome)
        entry = {
            "name": clean(column, LABEL_CAP),
            "outcome": outcome,
            "rule": clean(rule, LABEL_CAP),
        }
        self._end = b"," + canonical(entry)[1:-1]
        self._whole = self._end + b"}"
        self._opened = (-1, b"")
        """What is said of cells that this one version opened: nearly always the same. One tuple, because sessions share the line
        and one of them may be with another thread: it holds for its version or is not there.
        """

    def entry(
        self,
        cells: int,
        ids: Sequence[bytes],
        versions: Sequence[int] = (),
        *,
        inline: bool = True,
        complete: bool = True,
        untyped: bool = False,
    ) -> bytes:
        """JSON. `ids`: of its cells, 8 bytes each; not `inline`: only their number is said. `complete`: there are no others.
        `versions` of the column's data key that opened cells; `untyped`: they were shown as bytea.
        """
        opened = b""
        if len(versions) == 1:
            version, opened = self._opened
            if version != versions[0]:
                opened = _opened_by(versions)
                self._opened = (versions[0], opened)
        elif versions:
            opened = _opened_by(sorted(versions))
        if len(ids) == 1 and inline and complete and not untyped:
            count = decimal(cells)
            return b"".join((_ID, _HEXLIFY(ids[0]), _ID_CELLS, count, opened, self._whole))
        if not inline:
            told = _COUNT + decimal(len(ids))
        elif ids:
            hexadecimal = _HEXLIFY(b"".join(ids), b",", ID_BYTES).replace(b",", b'","')
            told = b'{"cell_ids":["%b"]' % hexadecimal
        else:
            told = b'{"cell_ids":[]'
        if not complete:
            told += _INCOMPLETE
        shown = b',"shown_as":"bytea"}' if untyped else b"}"
        return b"".join((told, b',"cells":', decimal(cells), opened, self._end, shown))


@final
class Template:
    """The events of one statement on one sealed table, for one principal; it knows no session and no value.

    `mode`: `Entry.mode`.
    """

    __slots__ = ("lines", "mode", "of", "pieces", "uses")

    def __init__(
        self, table: str, lines: Sequence[Line], spoken: Spoken, mode: int = AS_CONFIGURED
    ) -> None:
        self.lines = tuple(lines)
        self.mode = mode
        outcomes = {line.outcome for line in lines}
        kind, activity, verb = DONE[strongest(outcomes, BY_OUTCOME)]
        event = base(kind, DATASTORE_ACTIVITY, activity, SLOT, correlation="-")
        event["status_id"] = event["status_code"] = SLOT
        event["metadata"]["correlation_uid"] = SLOT
        event |= {"actor": SLOT, "src_endpoint": SLOT, "database": SLOT}
        modified = "masked" in outcomes or "withheld" in outcomes
        controlled(event, MODIFIED if modified else ALLOWED, ALLOWED)
        fields: dict[str, Any] = {
            "command": clean(spoken.command),
            "execution": SLOT,
            "part": SLOT,
            "final": SLOT,
            "protocol": spoken.protocol,
            "rows": SLOT,
            "cells": SLOT,
            "columns": SLOT,
            "tls": SLOT,
        }
        shown = clean(table, LABEL_CAP)
        speak_of(event, fields, shown, spoken.policy_version, spoken.statement)
        self.pieces = canonical(slotted(event)).split(SLOT_JSON)
        self.of = quoted_json(f" of {shown} {verb} ")[1:-1]
        self.uses = quoted_json(f": {_uses(table, self.lines)}")[1:-1]

    def entry(
        self, origin: Origin, part: Part, columns: list[bytes], cells: int, beside: bytes = b""
    ) -> Entry:
        """`columns`: the entries of `lines`, in order. `cells` of them altogether. `beside`: their ids, if they are too many to be
        said in the entries.
        """
        by = who(origin)
        filled = by.filled
        if not isinstance(filled, _Filled) or filled.template is not self:
            filled = by.filled = _Filled(self, by, tls=origin.tls)
        return filled.entry(part, columns, cells, beside)


@final
class _Filled:
    """A template with what its session says of itself: what is missing is what each execution has of its own."""

    __slots__ = (
        "_head",
        "_head_rows",
        "_last_number",
        "_last_rows",
        "_opening",
        "_p1",
        "_p2",
        "_p4",
        "_said",
        "_to_cells",
        "_to_columns",
        "_to_end",
        "_to_execution",
        "_to_final",
        "_to_integrity",
        "_to_part",
        "_to_rows",
        "_to_source",
        "_to_status_code",
        "_to_status_id",
        "_to_time",
        "_to_uid",
        "template",
    )

    def __init__(self, template: Template, by: Who, *, tls: bool) -> None:
        self.template = template
        (
            to_actor,
            to_database,
            to_message,
            to_uid,
            to_source,
            to_sequence,
            to_endpoint,
            to_status_code,
            to_status_id,
            to_time,
            to_cells,
            to_columns,
            to_execution,
            to_final,
            to_integrity,
            to_part,
            to_rows,
            to_tls,
            to_end,
        ) = template.pieces
        self._opening = b"".join(
            (to_actor, by.actor_json, to_database, by.database_json, to_message, b'"')
        )
        self._said = template.of + by.spoken + template.uses
        self._to_uid = b'"' + to_uid
        self._to_source = to_source
        self._p1 = to_sequence
        self._to_status_code = to_endpoint + by.endpoint_json + to_status_code
        self._to_status_id = to_status_id
        self._to_time = to_time
        self._p2 = b"".join((self._to_status_code, _OK, to_status_id, b"1", to_time))
        assert to_cells.endswith(_CELLS)  # noqa: S101 - no key comes before it
        self._to_cells = to_cells[: -len(_CELLS)]
        self._to_columns = to_columns + b"["
        self._to_execution = b"]" + to_execution
        self._to_final = to_final
        self._to_integrity = to_integrity
        self._to_part = to_part
        self._to_rows = to_rows
        self._to_end = to_tls + (_TRUE if tls else _FALSE) + to_end
        # One execution after the other tells the same but for its uid and its cells' ids.
        self._head = self._p4 = b""
        self._head_rows = self._last_rows = self._last_number = -1

    def entry(self, part: Part, columns: list[bytes], cells: int, beside: bytes) -> Entry:
        uid = uid_json(part.execution)
        rows = part.rows
        p2 = self._p2
        if part.sqlstate is None:
            if rows != self._head_rows:
                self._head_rows, self._head = rows, self._told(rows)
            head = self._head
        else:
            status = quoted_json(clean(part.sqlstate))
            head = self._told(rows, status)
            code = status if part.sqlstate else _OK
            p2 = b"".join((self._to_status_code, code, self._to_status_id, b"2", self._to_time))
        if rows != self._last_rows or part.number != self._last_number:
            self._last_rows, self._last_number = rows, part.number
            self._p4 = b"".join(
                (self._to_part, decimal(part.number), self._to_rows, decimal(rows), self._to_end)
            )
        p3 = b"".join(
            (
                self._to_cells,
                _file_json(beside) if beside else b"",
                _CELLS,
                decimal(cells),
                part.claimed,
                self._to_columns,
                columns[0] if len(columns) == 1 else b",".join(columns),
                self._to_execution,
                uid,
                self._to_final,
                _TRUE if part.final else _FALSE,
                self._to_integrity,
            )
        )
        p0 = b"".join((head, uid, self._to_source))
        pieces = (p0, self._p1, p2, p3, self._p4)
        return Entry(pieces, beside, self.template.mode)

    def _told(self, rows: int, failed: bytes | None = None) -> bytes:
        """Up to the metadata's uid. `failed`: with this SQLSTATE, as a JSON string."""
        end = self._to_uid
        if failed is not None:
            end = b"; the server failed it (%b)%b" % (failed[1:-1], end)
        counted = _ROW if rows == 1 else _ROWS
        return b"".join((self._opening, decimal(rows), counted, self._said, end))


def _file_json(ids: bytes) -> bytes:
    digest = hashlib.sha256(ids).hexdigest().encode()
    count = decimal(len(ids) // ID_BYTES)
    return b'"cell_ids_file":{"count":%b,"sha256":"%b"},' % (count, digest)


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
