"""Sessions and statements on sealed columns: OCSF Datastore Activity (6005).

The activity of an execution is the strongest thing it did: Encrypt when it wrote a sealed column (also
when RETURNING read one), Decrypt when it read one (clear, masked or withheld), Query when it only
compared. A refusal has the activity it would have had.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from proxy.audit.ocsf import (
    ALLOWED,
    BLOCKED,
    DATASTORE_ACTIVITY,
    DENIED,
    INFORMATIONAL,
    LOW,
    MEDIUM,
    MODIFIED,
    Event,
    base,
    controlled,
    with_product,
)
from proxy.audit.origin import Who, who
from proxy.audit.statement import query_info
from proxy.audit.text import LABEL_CAP, REASON_CAP, clean, counted
from proxy.audit.values import Attempt, ColumnUse, Execution, Origin, Refused

CELL_IDS_INLINE: Final = 256
"""Cell ids an event holds at most; beyond it `cell_ids_complete` is false."""
COLUMNS_IN_MESSAGE: Final = 8

CONNECT, QUERY, ENCRYPT, DECRYPT = 3, 4, 9, 10  # activity_id
DATABASE, TABLE = 1, 3  # type_id
INSUFFICIENT_PRIVILEGE: Final = "42501"


def session_opened(origin: Origin, passthrough: str = "") -> Event:
    """A session is ready for queries. `passthrough` says why nothing is unsealed in it, if so:
    "replication", "another database".
    """
    by = who(origin)
    message = f"session opened by {by.name} from {by.place}"
    sealgate: dict[str, Any] = {"tls": origin.tls}
    if passthrough:
        sealgate["passthrough"] = clean(passthrough)
        message += f", passed through without unsealing ({clean(passthrough)})"
    event = base("session.opened", DATASTORE_ACTIVITY, CONNECT, message)
    event["type_id"] = DATABASE
    event |= _where(by)
    return with_product(event, sealgate)


def executed(origin: Origin, execution: Execution) -> Event:
    """One execution, or one part of it, touched one sealed table."""
    by = who(origin)
    outcomes = {use.outcome for use in execution.columns}
    kind, activity, verb = _DONE[_strongest(outcomes, _BY_OUTCOME)]
    table = clean(execution.table, LABEL_CAP)
    event = base(
        kind,
        DATASTORE_ACTIVITY,
        activity,
        _told(by, execution, table, verb),
        ok=execution.status_ok,
        severity=INFORMATIONAL,
        correlation=execution.execution,
    )
    event["status_code"] = clean(execution.sqlstate or "00000")
    event |= _where(by)
    modified = "masked" in outcomes or "withheld" in outcomes
    controlled(event, MODIFIED if modified else ALLOWED, ALLOWED)
    ids = execution.cell_ids[:CELL_IDS_INLINE]
    sealgate = {
        "command": clean(execution.command),
        "execution": clean(execution.execution),
        "part": execution.part,
        "final": execution.final,
        "protocol": execution.protocol,
        "rows": execution.rows,
        "cells": sum([use.cells for use in execution.columns]),
        "columns": [_used(use) for use in execution.columns],
        "cell_ids": [cell_id.hex() for cell_id in ids],
        "cell_ids_complete": execution.cell_ids_complete and len(ids) == len(execution.cell_ids),
        "tls": origin.tls,
    }
    return _on(event, sealgate, table, execution.policy_version, execution.statement)


def refused(origin: Origin, refusal: Refused) -> Event:
    """Sealgate refused a statement; the server never saw it."""
    by = who(origin)
    accesses = {attempt.access for attempt in refusal.attempts}
    reason = clean(refusal.reason, REASON_CAP)
    command = clean(refusal.command)
    sqlstate = clean(refusal.sqlstate)
    event = base(
        "statement.refused",
        DATASTORE_ACTIVITY,
        _DONE[_strongest(accesses, _BY_ACCESS)][1],
        f"{command} by {by.name} refused ({sqlstate}): {reason}",
        ok=False,
        severity=MEDIUM if sqlstate == INSUFFICIENT_PRIVILEGE else LOW,
        correlation=refusal.execution,
    )
    event["status_code"] = sqlstate
    event["status_detail"] = reason
    event |= _where(by)
    controlled(event, DENIED, BLOCKED)
    sealgate = {
        "command": command,
        "execution": clean(refusal.execution),
        "protocol": refusal.protocol,
        "columns": [_attempted(attempt) for attempt in refusal.attempts],
        "tls": origin.tls,
    }
    table = None if refusal.table is None else clean(refusal.table, LABEL_CAP)
    return _on(event, sealgate, table, refusal.policy_version, refusal.statement)


# event_code, activity_id, and what happened to the rows, in words
_DONE: Final = {
    "write": ("statement.write", ENCRYPT, "written by"),
    "read": ("statement.read", DECRYPT, "released to"),
    "compare": ("statement.compare", QUERY, "searched by"),
}
_BY_OUTCOME: Final = {
    "written": "write",
    "clear": "read",
    "masked": "read",
    "withheld": "read",
    "compared": "compare",
}
_BY_ACCESS: Final = {"write": "write", "read": "read", "compare": "compare", "presence": "compare"}


def _strongest(uses: Iterable[str], effect: dict[str, str]) -> str:
    effects = {effect[use] for use in uses}
    return "write" if "write" in effects else "read" if "read" in effects else "compare"


def _where(by: Who) -> dict[str, Any]:
    return {"actor": by.actor, "src_endpoint": by.endpoint, "database": by.database}


def _on(
    event: Event,
    sealgate: dict[str, Any],
    table: str | None,
    policy_version: str,
    statement: str | None,
) -> Event:
    """What was spoken of, by which policy, in which words."""
    event["type_id"] = DATABASE if table is None else TABLE
    if table is not None:
        event["table"] = {"name": table}
    event["policy"] = {"name": "sealgate", "version": clean(policy_version)}
    query, flags = query_info(statement)
    if query is not None:
        event["query_info"] = query
    sealgate |= flags
    return with_product(event, sealgate)


def _used(use: ColumnUse) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "name": clean(use.column, LABEL_CAP),
        "outcome": use.outcome,
        "cells": use.cells,
        "rule": clean(use.rule, LABEL_CAP),
    }
    if use.key_versions:
        fields["key_versions"] = list(use.key_versions)
    if use.shown_as:
        fields["shown_as"] = use.shown_as
    return fields


def _attempted(attempt: Attempt) -> dict[str, Any]:
    return {
        "name": clean(attempt.column, LABEL_CAP),
        "access": attempt.access,
        "denied": attempt.denied,
        "rule": clean(attempt.rule, LABEL_CAP),
    }


def _told(by: Who, execution: Execution, table: str, verb: str) -> str:
    """`3 rows of public.customers released to support: email clear, ssn masked`."""
    uses = [
        f"{clean(use.column.removeprefix(execution.table + '.'), LABEL_CAP)} {use.outcome}"
        for use in execution.columns[:COLUMNS_IN_MESSAGE]
    ]
    if more := len(execution.columns) - len(uses):
        uses.append(f"{more} more")
    done = f"{counted(execution.rows, 'row')} of {table} {verb} {by.name}: {', '.join(uses)}"
    if not execution.status_ok:
        done += f"; the server failed it ({clean(execution.sqlstate or '')})"
    return done
