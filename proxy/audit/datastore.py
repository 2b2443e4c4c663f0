"""Sessions and statements on sealed columns: OCSF Datastore Activity (6005). Executions: `template`.

The activity of an execution is the strongest thing it did: Encrypt when it wrote a sealed column (also
when RETURNING read one), Decrypt when it read one (clear, masked or withheld), Query when it only
compared. A refusal has the activity it would have had.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from proxy.audit.claims import claimed
from proxy.audit.ocsf import (
    BLOCKED,
    DATASTORE_ACTIVITY,
    DENIED,
    LOW,
    MEDIUM,
    Event,
    base,
    controlled,
    with_product,
)
from proxy.audit.origin import Who, who
from proxy.audit.statement import query_info
from proxy.audit.text import LABEL_CAP, REASON_CAP, clean
from proxy.audit.values import Attempt, Origin, Refused

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
        DONE[strongest(accesses, _BY_ACCESS)][1],
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
    claims = claimed(origin.claimed, refusal.comment)
    if claims:
        sealgate["claimed"] = claims
    table = None if refusal.table is None else clean(refusal.table, LABEL_CAP)
    return speak_of(event, sealgate, table, refusal.policy_version, refusal.statement)


# event_code, activity_id, and what happened to the rows, in words
DONE: Final = {
    "write": ("statement.write", ENCRYPT, "written by"),
    "read": ("statement.read", DECRYPT, "released to"),
    "compare": ("statement.compare", QUERY, "searched by"),
}
BY_OUTCOME: Final = {
    "written": "write",
    "clear": "read",
    "masked": "read",
    "withheld": "read",
    "compared": "compare",
}
_BY_ACCESS: Final = {"write": "write", "read": "read", "compare": "compare", "presence": "compare"}


def strongest(uses: Iterable[str], effect: dict[str, str]) -> str:
    """The key of `DONE` for all that was done, or asked for."""
    effects = {effect[use] for use in uses}
    return "write" if "write" in effects else "read" if "read" in effects else "compare"


def _where(by: Who) -> dict[str, Any]:
    return {"actor": by.actor, "src_endpoint": by.endpoint, "database": by.database}


def speak_of(
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


def _attempted(attempt: Attempt) -> dict[str, Any]:
    return {
        "name": clean(attempt.column, LABEL_CAP),
        "access": attempt.access,
        "denied": attempt.denied,
        "rule": clean(attempt.rule, LABEL_CAP),
    }
