"""What should never be seen: OCSF Detection Finding (2004)."""

from __future__ import annotations

import hashlib
from typing import Any, Final, Literal

from proxy.audit.ocsf import (
    BLOCKED,
    DENIED,
    DETECTION_FINDING,
    HIGH,
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
from proxy.audit.text import LABEL_CAP, REASON_CAP, clean, quoted
from proxy.audit.values import Origin, Tampered
from proxy.detection.finding import Action, Finding, Severity

CREATE = 1  # activity_id
_SEVERITIES: Final[dict[Severity, int]] = {
    "low": LOW,
    "medium": MEDIUM,
    "high": HIGH,
    "critical": 5,
}
_OBSERVED: Final = 3  # action_id
_QUARANTINED, _DELAYED, _DETECTED, _ALERT = 3, 14, 15, 19  # disposition_id
_DONE: Final[dict[Action, tuple[int, int]]] = {
    "observed": (_OBSERVED, _DETECTED),
    "alerted": (_OBSERVED, _ALERT),
    "exempt": (_OBSERVED, _ALERT),
    "throttled": (MODIFIED, _DELAYED),
    "masked": (MODIFIED, BLOCKED),
    "quarantined": (DENIED, _QUARANTINED),
    "killed": (DENIED, BLOCKED),
}
"""By what was done: action_id and disposition_id."""


def tampered(origin: Origin, value: Tampered) -> Event:
    """A stored value is not what the proxy sealed for its column: damaged, forged or copied."""
    by = who(origin)
    place = clean(value.column or value.table, LABEL_CAP)
    copied = value.key_column is not None and value.column not in ("", value.key_column)
    message = (
        f"a stored value of {place} does not authenticate; the session of {by.name} was closed"
    )
    if copied:
        message += f" (it was sealed for {clean(value.key_column or '', LABEL_CAP)})"
    title = (
        "Sealed value copied from another column" if copied else "Sealed value damaged or forged"
    )
    event = _finding(by, "value.tampered", title, message, HIGH, value.execution)
    event["status_code"] = "XX001"
    event["resources"] = [{"name": place, "type": "column" if value.column else "table"}]
    sealgate: dict[str, Any] = {
        "table": clean(value.table, LABEL_CAP),
        "column": clean(value.column, LABEL_CAP),
        "execution": clean(value.execution),
        "tls": origin.tls,
    }
    if value.key_column is not None:
        sealgate["key_column"] = clean(value.key_column, LABEL_CAP)
    if value.key_id is not None:
        sealgate["key_id"] = value.key_id
    if value.cell_id is not None:
        sealgate["cell_id"] = value.cell_id.hex()
    query, flags = query_info(value.statement)
    if query is not None:
        sealgate["statement"] = query
    return with_product(event, sealgate | flags)


def protocol_violation(
    origin: Origin, reason: str, *, side: Literal["client", "server"] = "client"
) -> Event:
    """Bytes that are not the protocol, or not now; the connection was closed. `reason` quotes none."""
    by = who(origin)
    reason = clean(reason, REASON_CAP)
    whose = f"{by.name} at {by.place}" if side == "client" else "the server"
    message = f"protocol violation by {whose}: {reason}"
    event = _finding(by, "protocol.violated", "Protocol violation", message, MEDIUM, "")
    event["status_code"] = "08P01"
    event["status_detail"] = reason
    return with_product(event, {"side": side, "tls": origin.tls})


def detected(finding: Finding) -> Event:
    """A detector has found something, and this was done about it."""
    name = clean(finding.login)
    about = f" ({quoted(name)})" if name else ""
    message = f"{finding.title}{about}: {finding.action}"
    kind = f"detection.{finding.detector}"
    severity = _SEVERITIES[finding.severity]
    event = base(kind, DETECTION_FINDING, CREATE, message, severity=severity)
    info: dict[str, Any] = {
        "uid": finding.uid or _uid(kind, finding.login, str(finding.last)),
        "title": finding.title,
        "analytic": {"name": kind, "type_id": 1},
    }
    if finding.first:
        info["first_seen_time"] = finding.first
    if finding.last:
        info["last_seen_time"] = finding.last
    event["finding_info"] = info
    event["is_alert"] = finding.mode != "observe"
    evidence: dict[str, Any] = {}
    if name:
        actor: dict[str, Any] = {"user": {"name": name}}
        if finding.session:
            actor["session"] = {"uid": clean(finding.session)}
        evidence["actor"] = actor
    if finding.client:
        place = Origin("", (), finding.client, 0, "", "", "", tls=False)
        evidence["src_endpoint"] = who(place).endpoint
    if evidence:
        event["evidences"] = [evidence]
    fields: dict[str, Any] = {
        "detector": finding.detector,
        "mode": finding.mode,
        "action": finding.action,
    }
    if finding.numbers:
        fields["numbers"] = dict(finding.numbers)
    if finding.table:
        fields["table"] = clean(finding.table, LABEL_CAP)
        event["resources"] = [{"name": fields["table"], "type": "table"}]
    return with_product(controlled(event, *_DONE[finding.action]), fields)


def _uid(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode("utf-8", "surrogatepass")).hexdigest()[:32]


def _finding(by: Who, kind: str, title: str, message: str, severity: int, execution: str) -> Event:
    event = base(kind, DETECTION_FINDING, CREATE, message, severity=severity, correlation=execution)
    # One finding per session and what was found: repeated, it is the same one, for a SIEM to count.
    uid = _uid(by.actor["session"]["uid"], kind, message)
    event["finding_info"] = {
        "uid": uid,
        "title": title,
        "analytic": {"name": kind, "type_id": 1},
    }
    event["is_alert"] = True
    event["evidences"] = [{"actor": by.actor, "src_endpoint": by.endpoint, "database": by.database}]
    return controlled(event, DENIED, BLOCKED)
