"""Readers of the receivers' forms, written from their specifications and from nothing of ours."""

from __future__ import annotations

import base64
import json
import re
from dataclasses import dataclass
from typing import Any

from google.protobuf import json_format
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue


class Unreadable(Exception):
    """The bytes are not of that form."""


@dataclass(frozen=True, slots=True)
class Syslog:
    """An RFC 5424 message."""

    priority: int
    timestamp: str
    hostname: str
    app_name: str
    process: str
    message_id: str
    data: dict[str, dict[str, str]]
    message: bytes


# RFC 5424, 6: the ABNF as a regular expression.
_PRINTABLE = rb"[!-~]"
_SD_NAME = rb"[!#-<>-\\^-~]{1,32}"  # PRINTUSASCII except = SP ] "
_PARAMETER = rb"(%b)=\"((?:[^\"\\\]]|\\.)*)\"" % _SD_NAME
_ELEMENT = rb"\[(%b)((?: %b=\"(?:[^\"\\\]]|\\.)*\")*)\]" % (_SD_NAME, _SD_NAME)
_TIMESTAMP = rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,6})?(?:Z|[+-]\d\d:\d\d)"
_MESSAGE = re.compile(
    rb"<(\d{1,3})>1 (%b|-) (%b{1,255}) (%b{1,48}) (%b{1,128}) (%b{1,32}) (-|(?:%b)+)(?: (.*))?"
    % (_TIMESTAMP, _PRINTABLE, _PRINTABLE, _PRINTABLE, _PRINTABLE, _ELEMENT),
    re.DOTALL,
)


def syslog(message: bytes) -> Syslog:
    found = _MESSAGE.fullmatch(message)
    if found is None or int(found[1]) > 191:
        raise Unreadable(message[:100])
    data = {
        element[1].decode(): {
            name.decode(): re.sub(rb"\\([\"\\\]])", rb"\1", value).decode()
            for name, value in re.findall(_PARAMETER, element[2])
        }
        for element in re.finditer(_ELEMENT, found[7])
    }
    when, host, app, process, kind = (part.decode("ascii") for part in found.groups()[1:6])
    message_ = found.groups()[-1] or b""
    return Syslog(int(found[1]), when, host, app, process, kind, data, message_)


def frames(stream: bytes) -> list[bytes]:
    """RFC 6587, 3.4.1: octet counting. The stream ends behind a whole message."""
    found = []
    while stream:
        length = re.match(rb"([1-9][0-9]*) ", stream)
        if length is None:
            raise Unreadable(stream[:40])
        end = length.end() + int(length[1])
        if len(stream) < end:
            raise Unreadable("cut off")
        found.append(stream[length.end() : end])
        stream = stream[end:]
    return found


@dataclass(frozen=True, slots=True)
class Cef:
    """An event in CEF: seven fields of the header, and the extension."""

    header: list[str]
    extension: dict[str, str]


def cef(line: str) -> Cef:
    """The header ends at seven bars that are not escaped; a value ends where " key=" begins with its "=" not escaped."""
    if not line.startswith("CEF:") or "\n" in line or "\r" in line:
        raise Unreadable(line[:100])
    parts: list[str] = []
    at, part = 4, ""
    while len(parts) < 7:
        if at >= len(line):
            raise Unreadable("the header ends early")
        if line[at] == "\\":
            if line[at + 1] not in "\\|":
                raise Unreadable(f"escaped in the header: {line[at + 1]}")
            part, at = part + line[at + 1], at + 2
        elif line[at] == "|":
            parts, part, at = [*parts, part], "", at + 1
        else:
            part, at = part + line[at], at + 1
    keys = list(re.finditer(r"(?:^| )([A-Za-z0-9_.-]+)=", re.sub(r"\\.", "..", line[at:])))
    extension: dict[str, str] = {}
    for key, following in zip(keys, [*keys[1:], None], strict=True):
        end = following.start() if following else len(line) - at
        if key[1] in extension:
            raise Unreadable(f"{key[1]} is there twice")
        extension[key[1]] = _unescaped(line[at:][key.end() : end])
    return Cef(parts, extension)


def _unescaped(value: str) -> str:
    escapes = {"\\": "\\", "=": "=", "n": "\n", "r": "\r"}

    def plain(found: re.Match[str]) -> str:
        if found[1] not in escapes:
            raise Unreadable(f"escaped in a value: {found[1]}")
        return escapes[found[1]]

    if re.search(r"(?<!\\)(\\\\)*=", value):
        raise Unreadable("an = that is not escaped")
    return re.sub(r"\\(.)", plain, value)


def otlp(body: bytes, content_type: str) -> ExportLogsServiceRequest:
    """By the official protobufs. In JSON ids are hexadecimal, which is OTLP's one difference to protobuf's own mapping."""
    request = ExportLogsServiceRequest()
    if content_type == "application/x-protobuf":
        request.ParseFromString(body)
        return request
    document = json.loads(body)
    for resource in document["resourceLogs"]:
        for scope in resource["scopeLogs"]:
            for record in scope["logRecords"]:
                for name in ("traceId", "spanId"):
                    if name in record:
                        record[name] = base64.b64encode(bytes.fromhex(record[name])).decode()
    json_format.ParseDict(document, request)
    return request


def plain(value: AnyValue) -> Any:
    """What an AnyValue says, in Python."""
    match value.WhichOneof("value"):
        case "kvlist_value":
            return {pair.key: plain(pair.value) for pair in value.kvlist_value.values}
        case "array_value":
            return [plain(item) for item in value.array_value.values]
        case None:
            return None
        case kind:
            return getattr(value, kind)
