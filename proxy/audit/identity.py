"""Logins and the end of sessions: OCSF Authentication (3002)."""

from __future__ import annotations

from typing import Any

from proxy.audit.ocsf import (
    ALLOWED,
    AUTHENTICATION,
    DENIED,
    INFORMATIONAL,
    LOW,
    Event,
    base,
    controlled,
    with_product,
)
from proxy.audit.origin import Who, who
from proxy.audit.text import REASON_CAP, clean
from proxy.audit.values import Origin

LOGON, LOGOFF = 1, 2  # activity_id


def authentication(origin: Origin, ok: bool, sqlstate: str | None, method: str | None) -> Event:
    """The server's word on a login. `method` is how it asked: "scram-sha-256", "md5", "trust" ...

    `sqlstate` is the server's, None when it closed the connection without one.
    """
    by = who(origin)
    event = base(
        "authentication.succeeded" if ok else "authentication.failed",
        AUTHENTICATION,
        LOGON,
        f"login of {by.name} from {by.place} {'succeeded' if ok else 'failed'}",
        ok=ok,
        severity=INFORMATIONAL if ok else LOW,
    )
    event |= _subject(by)
    if ok or sqlstate:
        event["status_code"] = clean(sqlstate or "00000")
    if method:
        event["auth_protocol_id"] = 99
        event["auth_protocol"] = clean(method)
    decision = ALLOWED if ok else DENIED
    controlled(event, decision, decision)
    return with_product(event, {"tls": origin.tls})


def session_closed(
    origin: Origin, reason: str, *, sqlstate: str | None = None, duration: int | None = None
) -> Event:
    """A session ended. `duration` in milliseconds; `sqlstate` where an error ended it."""
    by = who(origin)
    reason = clean(reason, REASON_CAP)
    message = f"session of {by.name} closed: {reason}"
    event = base("session.closed", AUTHENTICATION, LOGOFF, message)
    event |= _subject(by)
    event["status_detail"] = reason
    if sqlstate:
        event["status_code"] = clean(sqlstate)
    if duration is not None:
        event["duration"] = duration
    return with_product(event, {"tls": origin.tls})


def _subject(by: Who) -> dict[str, Any]:
    return {
        "user": by.user,
        "session": by.actor["session"],
        "actor": by.actor,
        "src_endpoint": by.endpoint,
        "service": {"name": "PostgreSQL", "uid": by.database["name"]},
        "is_remote": True,
    }
