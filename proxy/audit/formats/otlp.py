"""OpenTelemetry log records: the body of an OTLP/HTTP export request as JSON (OpenTelemetry Protocol 1.x, "JSON Protobuf
Encoding"; https://opentelemetry.io/docs/specs/otlp).

The record's body is the event as it is, a map; attributes have the names of OpenTelemetry's semantic conventions, and the
trace is the one that the client claimed for the statement (W3C traceparent).
"""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

import orjson

from proxy.audit import ocsf
from proxy.audit.formats.fields import (
    Line,
    address,
    milliseconds,
    number,
    ours,
    sqlstate,
    text,
    user,
)
from proxy.audit.ocsf import PRODUCT, Event

_SEVERITIES: Final = {
    1: (9, "INFO"),
    2: (10, "INFO2"),
    3: (13, "WARN"),
    4: (17, "ERROR"),
    5: (21, "FATAL"),
    6: (24, "FATAL4"),
}
_TRACEPARENT: Final = re.compile(r"[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})")
_DEPTH: Final = 32
_INT64: Final = 1 << 63


def export(lines: Sequence[Line], hostname: str, now: int) -> dict[str, Any]:
    """An ExportLogsServiceRequest. `now` in epoch milliseconds: when the lines were read."""
    resource = {
        "service.name": "sealgate",
        "service.version": PRODUCT["version"],
        "host.name": hostname,
    }
    scope = {
        "scope": {"name": "sealgate.audit", "version": PRODUCT["version"]},
        "logRecords": [record(line, now) for line in lines],
    }
    return {
        "resourceLogs": [
            {"resource": {"attributes": _attributes(resource)}, "scopeLogs": [scope]},
        ]
    }


def record(line: Line, now: int) -> dict[str, Any]:
    """A LogRecord."""
    event = line.event
    severity, named = _SEVERITIES.get(number(event, "severity_id") or 0, (0, ""))
    made = {
        "timeUnixNano": f"{milliseconds(event)}000000",
        "observedTimeUnixNano": f"{now}000000",
        "severityNumber": severity,
        "severityText": named,
        "eventName": line.code,
        "body": value(event),
        "attributes": _attributes(_named(line)),
    }
    return made | _trace(event)


def value(found: object, depth: int = 0) -> dict[str, Any]:
    """An AnyValue. What is nested deeper than any event of ours is not taken apart."""
    match found:
        case bool():
            return {"boolValue": found}
        case int() if -_INT64 <= found < _INT64:
            return {"intValue": str(found)}
        case float() if found == found and abs(found) != float("inf"):
            return {"doubleValue": found}
        case list() if depth < _DEPTH:
            return {"arrayValue": {"values": [value(item, depth + 1) for item in found]}}
        case dict() if depth < _DEPTH:
            pairs = [{"key": k, "value": value(v, depth + 1)} for k, v in found.items()]
            return {"kvlistValue": {"values": pairs}}
        case None:
            return {}
        case str():
            return {"stringValue": found}
        case _:
            return {"stringValue": "…"}


def _attributes(named: Mapping[str, object]) -> list[dict[str, Any]]:
    return [{"key": k, "value": value(v)} for k, v in named.items() if v not in ("", None)]


def _named(line: Line) -> dict[str, object]:
    event = line.event
    named: dict[str, object] = {
        "log.record.uid": text(event, "metadata", "uid"),
        "user.name": user(event),
        "client.address": address(event),
        "client.port": number(event, "src_endpoint", "port"),
        "session.id": text(event, "actor", "session", "uid"),
        "sealgate.sequence": number(event, "metadata", "sequence"),
    }
    if number(event, "class_uid") == ocsf.DATASTORE_ACTIVITY:
        rows = ours(event, "rows")
        named |= {
            "db.system.name": "postgresql",
            "db.namespace": text(event, "database", "name"),
            "db.collection.name": text(event, "table", "name"),
            "db.operation.name": text(event, "unmapped", "sealgate", "command"),
            "db.query.text": text(event, "query_info", "query_string"),
            "db.response.status_code": sqlstate(event),
            "db.response.returned_rows": rows if type(rows) is int else None,
        }
    return named


def _trace(event: Event) -> dict[str, Any]:
    """The ids of a valid traceparent; all zeros are none (https://www.w3.org/TR/trace-context)."""
    found = _TRACEPARENT.fullmatch(text(event, "unmapped", "sealgate", "claimed", "traceparent"))
    if found is None or not int(found[1], 16) or not int(found[2], 16):
        return {}
    return {"traceId": found[1], "spanId": found[2], "flags": int(found[3], 16)}


def encoded(request: dict[str, Any], encoding: str) -> tuple[bytes, str]:
    """An export request as a body and its Content-Type. Raises ImportError where `opentelemetry-proto` is not installed."""
    if encoding == "json":
        return orjson.dumps(request), "application/json"
    from google.protobuf import json_format
    from opentelemetry.proto.collector.logs.v1 import logs_service_pb2

    for resource in request["resourceLogs"]:
        for scope in resource["scopeLogs"]:
            for made in scope["logRecords"]:
                for name in (
                    "traceId",
                    "spanId",
                ):  # bytes: hexadecimal in OTLP's JSON, base64 in protobuf's
                    if name in made:
                        made[name] = base64.b64encode(bytes.fromhex(made[name])).decode()
    message = logs_service_pb2.ExportLogsServiceRequest()
    json_format.ParseDict(request, message)
    return message.SerializeToString(), "application/x-protobuf"


def rejected_by(answer: bytes, encoding: str) -> int:
    """How many records an ExportLogsServiceResponse says were rejected. Raises ValueError, LookupError, TypeError."""
    if encoding == "json":
        partial = orjson.loads(answer or b"{}").get("partialSuccess") or {}
        return max(0, int(partial.get("rejectedLogRecords") or 0))
    from google.protobuf.message import DecodeError
    from opentelemetry.proto.collector.logs.v1 import logs_service_pb2

    response = logs_service_pb2.ExportLogsServiceResponse()
    try:
        response.ParseFromString(answer)
    except DecodeError:
        raise ValueError from None
    return max(0, response.partial_success.rejected_log_records)
