"""Events about the copies of the log: sinks that fail and recover, and the auditor that feeds them (Application Lifecycle 6002).

Reasons are the system's words or ours; nothing that a receiver answered stands in them.
"""

from __future__ import annotations

from typing import Any, Final

from proxy.audit.ocsf import (
    APPLICATION_LIFECYCLE,
    INFORMATIONAL,
    MEDIUM,
    PRODUCT,
    Event,
    base,
    with_product,
)
from proxy.audit.text import REASON_CAP, clean, counted

_OTHER: Final = 99
_UIDS: Final = 20


def sink_failed(sink: str, reason: str, behind: int) -> Event:
    """A receiver takes no events; `behind` wait for it in the log's files."""
    reason = clean(reason, REASON_CAP)
    message = f"the sink {sink} takes no events: {reason}; {counted(behind, 'event')} waiting"
    return _event(
        "sink.failed", message, MEDIUM, {"sink": sink, "reason": reason, "behind": behind}
    )


def sink_recovered(sink: str, seconds: int, attempts: int) -> Event:
    """It takes events again, after so many seconds and attempts that failed."""
    message = f"the sink {sink} takes events again, after {counted(seconds, 'second')}"
    fields = {"sink": sink, "seconds": seconds, "attempts": attempts}
    return _event("sink.recovered", message, INFORMATIONAL, fields)


def sink_rejected(sink: str, count: int, reason: str, uids: tuple[str, ...]) -> Event:
    """Events that the receiver will not take: its copy lacks them. At most 20 `uids` name the first of them."""
    reason = clean(reason, REASON_CAP)
    message = f"the sink {sink} rejected {counted(count, 'event')}: {reason}"
    fields = {
        "sink": sink,
        "rejected": count,
        "reason": reason,
        "uids": [clean(uid) for uid in uids[:_UIDS]],
    }
    return _event("sink.rejected", message, MEDIUM, fields)


def sink_incomplete(sink: str, missing: int, unreadable: int) -> Event:
    """What the log's files did not have when the sink read them: events of the chain, and lines that are no event."""
    message = (
        f"the sink {sink} found {counted(missing, 'event')} missing from the log's files, "
        f"{counted(unreadable, 'line')} unreadable"
    )
    fields = {"sink": sink, "missing": missing, "unreadable": unreadable}
    return _event("sink.incomplete", message, MEDIUM, fields)


def auditor_started(pid: int, sinks: tuple[str, ...]) -> Event:
    """The process that feeds sinks and detection runs; `sinks` are those it feeds."""
    named = ", ".join(sinks) or "none"
    fields = {"pid": pid, "sinks": list(sinks)}
    return _event("auditor.started", f"the auditor runs; sinks: {named}", INFORMATIONAL, fields)


def auditor_lost(pid: int, reason: str) -> Event:
    """It has ended and should not have: until it runs again sinks and detection stand still, and lose nothing."""
    reason = clean(reason, REASON_CAP)
    message = f"the auditor was lost: {reason}"
    return _event("auditor.lost", message, MEDIUM, {"pid": pid, "reason": reason})


def _event(kind: str, message: str, severity: int, fields: dict[str, Any]) -> Event:
    event = base(kind, APPLICATION_LIFECYCLE, _OTHER, message, severity=severity)
    event["app"] = PRODUCT
    return with_product(event, fields)
