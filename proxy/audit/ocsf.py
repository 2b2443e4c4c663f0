"""What every event has in common, in OCSF 1.8.0 terms (https://schema.ocsf.io/1.8.0).

An event is a dict: class, category and type numbers, a severity, a status, `metadata`, one `message`
for people, the class's own objects, and `unmapped.sealgate` for what OCSF has no word for. OCSF admits
no unknown top-level key, so nothing of ours stands beside its fields.
"""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from typing import Any, Final

from proxy.audit.text import clean

Event = dict[str, Any]
"""One OCSF event, JSON-shaped: dicts, lists, str, int, bool. Parts may be shared: never change one."""

OCSF_VERSION: Final = "1.8.0"
DATASTORE_ACTIVITY: Final = 6005
AUTHENTICATION: Final = 3002
ENTITY_MANAGEMENT: Final = 3004
APPLICATION_LIFECYCLE: Final = 6002
DETECTION_FINDING: Final = 2004


INFORMATIONAL: Final = 1  # severity_id
LOW: Final = 2
MEDIUM: Final = 3
HIGH: Final = 4

ALLOWED: Final = 1  # action_id, and disposition_id where the action was carried out
DENIED: Final = 2
MODIFIED: Final = 4
BLOCKED: Final = 2  # disposition_id


def _version() -> str:
    try:
        return version("sealgate")
    except PackageNotFoundError:  # a source tree on the path, not installed
        return "0"


PRODUCT: Final = {"name": "sealgate", "vendor_name": "sealgate", "version": _version()}
_PROFILES: Final = ["security_control"]


def base(
    kind: str,
    class_uid: int,
    activity: int,
    message: str,
    *,
    ok: bool = True,
    severity: int = INFORMATIONAL,
    correlation: str = "",
) -> Event:
    """The fields every class requires. `kind` is the stable name of the event, in `event_code`."""
    metadata: dict[str, Any] = {
        "version": OCSF_VERSION,
        "event_code": kind,
        "log_name": "sealgate.audit",
        "product": PRODUCT,
    }
    if correlation:
        metadata["correlation_uid"] = clean(correlation)
    return {
        "class_uid": class_uid,
        "category_uid": class_uid // 1000,
        "activity_id": activity,
        "type_uid": class_uid * 100 + activity,
        "severity_id": severity,
        "status_id": 1 if ok else 2,
        "message": message,
        "metadata": metadata,
    }


def controlled(event: Event, action: int, disposition: int) -> Event:
    """`event` with the security_control profile: what was decided."""
    event["metadata"]["profiles"] = _PROFILES
    event["action_id"] = action
    event["disposition_id"] = disposition
    return event


def with_product(event: Event, fields: dict[str, Any]) -> Event:
    """`event` with what only Sealgate says."""
    event["unmapped"] = {"sealgate": fields}
    return event
