"""Containment of a login or session, and honey: OCSF Account Change (3001) and Entity Management (3004)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Literal

from proxy.audit.ocsf import (
    ENTITY_MANAGEMENT,
    HIGH,
    INFORMATIONAL,
    MEDIUM,
    Event,
    base,
    with_product,
)
from proxy.audit.text import LABEL_CAP, REASON_CAP, clean, quoted
from proxy.detection.restraint import Containment

ACCOUNT_CHANGE: Final = 3001
LOCK, UNLOCK = 9, 12  # activity_id
CREATE, DELETE = 1, 4  # of entity_management

Ended = Literal["released", "expired"]


def containment_begun(containment: Containment) -> Event:
    """From now on, what the login (or one session of it) may do is less than the policy says."""
    whom = _whom(containment)
    message = f"{whom} is contained: {containment.mode}"
    event = base("containment.begun", ACCOUNT_CHANGE, LOCK, message, severity=HIGH)
    return with_product(_about(event, containment), _fields(containment))


def containment_ended(
    containment: Containment, ended: Ended, reason: str, operator: Mapping[str, Any] | None = None
) -> Event:
    """The policy alone holds again: somebody released it (`operator`, and why), or its time is over."""
    whom = _whom(containment)
    message = f"{whom} is no longer contained ({containment.mode}): {ended}"
    severity = MEDIUM if ended == "released" else INFORMATIONAL
    event = base("containment.ended", ACCOUNT_CHANGE, UNLOCK, message, severity=severity)
    fields = _fields(containment) | {"ended": ended, "reason": clean(reason, REASON_CAP)}
    if operator is not None:
        fields["operator"] = dict(operator)
    return with_product(_about(event, containment), fields)


def honey_changed(
    kind: Literal["added", "removed"], name: str, place: str, operator: Mapping[str, Any]
) -> Event:
    """A row or column is honey from now on, or not any more. `place`: its table, or the column."""
    name, place = clean(name), clean(place, LABEL_CAP)
    activity = CREATE if kind == "added" else DELETE
    event = base(
        f"honey.{kind}",
        ENTITY_MANAGEMENT,
        activity,
        f"honey {quoted(name)} in {place} was {kind}",
        severity=MEDIUM,
    )
    event["entity"] = {"name": name, "type_id": 99, "type": "Honey"}
    return with_product(event, {"place": place, "operator": dict(operator)})


def _whom(containment: Containment) -> str:
    login = quoted(clean(containment.login)) if containment.login else "an unknown login"
    if containment.session is not None:
        return f"session {clean(containment.session)} of {login}"
    return f"login {login}"


def _about(event: Event, containment: Containment) -> Event:
    event["user"] = {"name": clean(containment.login) or "unknown"}
    return event


def _fields(containment: Containment) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "mode": containment.mode,
        "begun": containment.begun,
        "until": containment.until,
        "reason": clean(containment.reason, REASON_CAP),
        "finding": clean(containment.finding),
    }
    if containment.session is not None:
        fields["session"] = clean(containment.session)
    return fields
