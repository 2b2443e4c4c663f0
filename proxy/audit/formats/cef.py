"""ArcSight Common Event Format, version 0 (Micro Focus Security ArcSight Common Event Format, version 25).

    CEF:0|sealgate|sealgate|0.1.0|statement.read|statement read|1|rt=1795364924120 suser=app_support src=10.1.4.7 ...

In the header `|` and `\\` are escaped, in values `=` and `\\`; line ends and all that does not print stands as \\u{...}. CEF
has no room for a whole event: cs5 and cn3 are its hash and number in the chain, and a checkpoint is there whole, so that a
copy in CEF shows what the file lacks. Over syslog, which is ASCII here, other letters stand as \\u{...} too.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from proxy.audit.formats.fields import (
    Line,
    address,
    at,
    columns,
    milliseconds,
    number,
    ours,
    sqlstate,
    text,
    user,
)
from proxy.audit.ocsf import Event

_SEVERITIES: Final = {1: 1, 2: 3, 3: 5, 4: 8, 5: 10, 6: 10}  # of severity_id
_ACTIONS: Final = {1: "allowed", 2: "denied", 3: "observed", 4: "modified"}
_OUTCOMES: Final = {1: "success", 2: "failure"}
_CAP: Final = 1023  # of most fields
_CUSTOM_CAP: Final = 4000  # of cs1 to cs6
_HEADER: Final = str.maketrans({"\\": "\\\\", "|": "\\|"})
_VALUE: Final = str.maketrans({"\\": "\\\\", "=": "\\="})


def cef(line: Line) -> str:
    """One event, on one line, in ASCII."""
    event = line.event
    product = at(event, "metadata", "product")
    version = text(product, "version", cap=31) if isinstance(product, dict) else ""
    severity = _SEVERITIES.get(number(event, "severity_id") or 0, 0)
    header = ("sealgate", "sealgate", version, line.code, line.code.replace(".", " "))
    fields = " ".join(f"{key}={value}" for key, value in _extension(line))
    return f"CEF:0|{'|'.join(map(_header, header))}|{severity}|{fields}"


def _extension(line: Line) -> Iterator[tuple[str, str]]:
    event = line.event
    for key, value, cap in (*_common(event), *_custom(line)):
        if value:
            yield key, _value(value, cap)


def _common(event: Event) -> Iterator[tuple[str, str, int]]:
    client = address(event)
    yield "rt", str(milliseconds(event)), _CAP
    yield "externalId", text(event, "metadata", "uid"), 40
    yield "act", _ACTIONS.get(number(event, "action_id") or 0, ""), 63
    yield "outcome", _OUTCOMES.get(number(event, "status_id") or 0, ""), 63
    yield "reason", sqlstate(event), _CAP
    yield "suser", user(event), _CAP
    yield "src" if ":" not in client else "c6a2", client, _CAP
    yield "c6a2Label", "Source IPv6 Address" if ":" in client else "", _CAP
    yield "spt", _port(event), _CAP
    yield "sproc", text(event, "actor", "app_name"), _CAP
    yield "msg", text(event, "message"), _CAP


def _custom(line: Line) -> Iterator[tuple[str, str, int]]:
    event = line.event
    for number_, (label, value) in enumerate(_texts(line), 1):
        yield f"cs{number_}", value, _CUSTOM_CAP
        yield f"cs{number_}Label", label if value else "", _CAP
    sequence = number(event, "metadata", "sequence")
    checkpoint = ours(event, "checkpoint")
    counts = [
        ("rows", ours(event, "rows")),
        ("cells", ours(event, "cells")),
        ("sequence", sequence),
    ]
    if isinstance(checkpoint, dict):
        counts[0] = ("checkpoint size", checkpoint.get("size"))
    for number_, (label, count) in enumerate(counts, 1):
        if type(count) is int:
            yield f"cn{number_}", str(count), _CAP
            yield f"cn{number_}Label", label, _CAP
    statement = text(event, "query_info", "query_string")
    yield "flexString1", statement, _CAP
    yield "flexString1Label", "statement" if statement else "", _CAP


def _texts(line: Line) -> tuple[tuple[str, str], ...]:
    event = line.event
    checkpoint = ours(event, "checkpoint")
    if isinstance(checkpoint, dict):
        named = ("head", "seal", "signature", "key")
        first = tuple((f"checkpoint {name}", text(checkpoint, name)) for name in named)
    else:
        first = (
            ("table", text(event, "table", "name")),
            ("columns", ", ".join(columns(event))),
            ("fingerprint", text(event, "query_info", "uid")),
            ("policy version", text(event, "policy", "version")),
        )
    return (
        *first,
        ("hash", text(event, "unmapped", "sealgate", "integrity", "hash")),
        ("chain", text(event, "unmapped", "sealgate", "integrity", "chain"))
        if isinstance(checkpoint, dict)
        else ("session", text(event, "actor", "session", "uid")),
    )


def _port(event: Event) -> str:
    port = number(event, "src_endpoint", "port")
    return str(port) if port is not None and 0 < port <= 65535 else ""


def _header(value: str) -> str:
    return _ascii(value).translate(_HEADER)


def _value(value: str, cap: int) -> str:
    """Cut so that it holds `cap` characters at most as the receiver counts them: before it is escaped."""
    shown = _ascii(value)
    if len(shown) > cap:
        shown = shown[: cap - 3] + "..."
    return shown.translate(_VALUE)


def _ascii(value: str) -> str:
    return "".join(c if " " <= c <= "~" else f"\\u{{{ord(c):x}}}" for c in value)
