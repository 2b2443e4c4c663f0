"""Elastic Common Schema (https://www.elastic.co/docs/reference/ecs), and the lines of Elasticsearch's _bulk API.

ECS has no fields for databases: those are OpenTelemetry's (`db.*`), and `sealgate` holds what only Sealgate says.
`event.original` is the line of the log byte for byte, so that the copy can be verified; `event.id` is the document's _id, so
that an event which is sent again makes no second document.
"""

from __future__ import annotations

from typing import Any, Final

import orjson

from proxy.audit import ocsf
from proxy.audit.formats.fields import (
    Line,
    address,
    at,
    groups,
    milliseconds,
    number,
    ours,
    sqlstate,
    text,
    user,
)
from proxy.audit.formats.syslog import timestamp
from proxy.audit.ocsf import Event

VERSION: Final = "9.2.0"
_OUTCOMES: Final = {1: "success", 2: "failure"}
_CHANGES: Final = {2, 5, 6, 7, 9}  # Datastore Activity: Update, Write, Create, Delete, Encrypt
_ENTITY_TYPES: Final = {1: "creation", 2: "access", 3: "change", 4: "deletion"}
_LIFECYCLE_TYPES: Final = {3: "start", 4: "end"}


def ecs(line: Line) -> dict[str, Any]:
    """One event as a document."""
    event = line.event
    kind, category, types = _kind(event)
    about = {
        "kind": kind,
        "category": category,
        "type": types,
        "outcome": _OUTCOMES.get(number(event, "status_id") or 0, "unknown"),
        "action": line.code,
        "code": line.code,
        "id": text(event, "metadata", "uid"),
        "sequence": number(event, "metadata", "sequence"),
        "severity": number(event, "severity_id"),
        "module": "sealgate",
        "dataset": "sealgate.audit",
        "reason": text(event, "status_detail"),
        "hash": text(event, "unmapped", "sealgate", "integrity", "hash"),
        "original": line.raw.decode("utf-8", "replace"),
    }
    document: dict[str, Any] = {
        "@timestamp": timestamp(milliseconds(event)),
        "ecs": {"version": VERSION},
        "event": about,
        "message": text(event, "message"),
        "observer": _observer(event),
        "user": {"name": user(event), "roles": groups(event)},
        "source": _source(event),
        "session": {"id": text(event, "actor", "session", "uid")},
        "db": _database(event),
        "rule": {"name": text(event, "finding_info", "title")},
        "related": {"user": [user(event)], "ip": [address(event)]},
        "sealgate": at(event, "unmapped", "sealgate"),
    }
    pruned: dict[str, Any] = _pruned(document)
    return pruned


def ecs_json(line: Line) -> bytes:
    return orjson.dumps(ecs(line))


def bulk(line: Line, index: str) -> bytes:
    """The two lines of one `create`: it fails with 409 where the document is there already."""
    uid = text(line.event, "metadata", "uid", cap=128)
    action = {"create": {"_index": index, "_id": uid} if uid else {"_index": index}}
    return orjson.dumps(action) + b"\n" + ecs_json(line) + b"\n"


def _kind(event: Event) -> tuple[str, list[str], list[str]]:
    """event.kind, event.category, event.type: of ECS's allowed values, and combinations."""
    activity = number(event, "activity_id")
    denied = number(event, "action_id") == 2
    match number(event, "class_uid"):
        case ocsf.DATASTORE_ACTIVITY if denied:
            return "event", ["database", "intrusion_detection"], ["access", "denied"]
        case ocsf.DATASTORE_ACTIVITY:
            return "event", ["database"], ["change" if activity in _CHANGES else "access"]
        case ocsf.AUTHENTICATION:
            return "event", ["authentication", "session"], ["end" if activity == 2 else "start"]
        case ocsf.DETECTION_FINDING:
            alert = "alert" if at(event, "is_alert") is True else "event"
            return alert, ["intrusion_detection"], ["denied" if denied else "info"]
        case ocsf.ENTITY_MANAGEMENT:
            return "event", ["configuration"], [_ENTITY_TYPES.get(activity or 0, "change")]
        case 3001:  # Account Change
            return "event", ["iam"], ["user", "change"]
        case ocsf.APPLICATION_LIFECYCLE:
            return "event", ["process"], [_LIFECYCLE_TYPES.get(activity or 0, "info")]
        case _:
            return "event", ["database"], ["info"]


def _observer(event: Event) -> dict[str, Any]:
    version = text(event, "metadata", "product", "version")
    return {"vendor": "sealgate", "product": "sealgate", "type": "proxy", "version": version}


def _source(event: Event) -> dict[str, Any]:
    port = number(event, "src_endpoint", "port")
    client = address(event)
    return {
        "ip": client,
        "address": client or text(event, "src_endpoint", "hostname"),
        "port": port if port is not None and 0 < port <= 65535 else None,
    }


def _database(event: Event) -> dict[str, Any]:
    """OpenTelemetry's names (https://opentelemetry.io/docs/specs/semconv/database)."""
    if number(event, "class_uid") != ocsf.DATASTORE_ACTIVITY:
        return {}
    rows = ours(event, "rows")
    return {
        "system": {"name": "postgresql"},
        "namespace": text(event, "database", "name"),
        "collection": {"name": text(event, "table", "name")},
        "operation": {"name": text(event, "unmapped", "sealgate", "command")},
        "query": {"text": text(event, "query_info", "query_string")},
        "response": {
            "status_code": sqlstate(event),
            "returned_rows": rows if type(rows) is int else None,
        },
    }


def _pruned(found: Any) -> Any:
    """Without what is empty at the first two levels of our own making; `sealgate` stays as it is."""
    return {
        name: kept
        for name, value in found.items()
        if (kept := value if name == "sealgate" else _without_empty(value))
        not in (None, "", {}, [])
    }


def _without_empty(value: Any) -> Any:
    if isinstance(value, dict):
        cleaned = {name: _without_empty(item) for name, item in value.items()}
        return {name: item for name, item in cleaned.items() if item not in (None, "", {}, [])}
    if isinstance(value, list):
        return [item for item in value if item != ""]
    return value
