"""[[audit.sinks]] and [metrics]: where the access log is sent besides its file, as values."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Sequence
from dataclasses import dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import Final, Literal
from urllib.parse import SplitResult, urlsplit

from proxy.detection.settings import Detection
from proxy.tables import BadTable

Format = Literal["ocsf", "cef", "ecs"]
_NAME: Final = re.compile(r"[a-z0-9][a-z0-9_-]{0,31}")
_KINDS: Final = {
    "audit": "queried",
    "auditor": "lost started",
    "authentication": "failed succeeded",
    "configuration": "loaded read",
    "containment": "begun ended",
    "honey": "added removed",
    "keys": "added created loaded refused",
    "log": "begun checkpoint repaired resumed rotated unclean",
    "policy": "loaded refused",
    "protocol": "violated",
    "proxy": "started stopped",
    "schema": "applied",
    "session": "closed opened",
    "sink": "failed incomplete recovered rejected",
    "statement": "compare read refused write",
    "value": "tampered",
    "worker": "lost started",
}
CODES: Final = frozenset(
    {f"{family}.{kind}" for family, kinds in _KINDS.items() for kind in kinds.split()}
    | {f"detection.{one.name}" for one in fields(Detection) if is_dataclass(one.default_factory)}
)
"""Every event_code there is: an `events` that matches none of them would send nothing, and nobody would miss it."""
_OF_SYSLOG: Final = ("host", "hostname")
_OF_HTTP: Final = ("url", "index", "token_file", "token_env")


def _matches(pattern: str, code: str) -> bool:
    return pattern in ("*", code) or (pattern.endswith(".*") and code.startswith(pattern[:-1]))


def _number(default: int, low: int, high: int) -> int:
    number: int = field(default=default, metadata={"range": (low, high)})
    return number


@dataclass(frozen=True, slots=True, kw_only=True)
class Sink:
    """One receiver. Which keys belong to which type, `check_sinks` says."""

    name: str = field(metadata={"example": "siem"})
    type: Literal["stdout", "syslog", "otlp", "splunk", "elastic"] = field(
        metadata={"example": "syslog"}
    )
    format: Format = "ocsf"
    events: tuple[str, ...] = field(default=(), metadata={"example": "statement.*"})
    history: bool = True
    host: str | None = field(default=None, metadata={"example": "siem.example.com"})
    port: int = _number(6514, 1, 65535)
    hostname: str | None = field(default=None, metadata={"example": "proxy-1.example.com"})
    tls: bool = True
    url: str | None = field(default=None, metadata={"example": "https://siem.example.com:8088"})
    index: str | None = field(default=None, metadata={"example": "logs-sealgate.audit-default"})
    token_file: Path | None = field(default=None, metadata={"example": "siem.token"})
    token_env: str | None = field(default=None, metadata={"example": "SIEM_TOKEN"})
    encoding: Literal["json", "protobuf"] = "json"
    tls_ca: Path | None = field(default=None, metadata={"example": "siem-ca.crt"})
    tls_cert: Path | None = field(default=None, metadata={"example": "sealgate.crt"})
    tls_key: Path | None = field(default=None, metadata={"example": "sealgate.key"})
    batch_events: int = _number(500, 1, 10_000)
    batch_bytes: int = _number(1024 * 1024, 64 * 1024, 64 * 1024 * 1024)
    timeout_seconds: int = _number(10, 1, 600)
    max_behind_events: int = _number(0, 0, 1_000_000_000)

    def takes(self, code: str) -> bool:
        """Is the event with this event_code for this sink? Checkpoints are for every one."""
        if not self.events or code == "log.checkpoint":
            return True
        return any(_matches(pattern, code) for pattern in self.events)


@dataclass(frozen=True, slots=True, kw_only=True)
class Metrics:
    """[metrics]: where Prometheus metrics and the health of the service are served."""

    listen: str | None = field(default=None, metadata={"example": "127.0.0.1:9464"})

    @property
    def address(self) -> tuple[str, int] | None:
        """Host and port; None: it is off. Raises ValueError."""
        if self.listen is None:
            return None
        host, colon, port = self.listen.rpartition(":")
        if not colon or not host or not port.isascii() or not port.isdecimal():
            raise ValueError
        if int(port) > 65535 or (":" in host and not (host[0] == "[" and host[-1] == "]")):
            raise ValueError
        return host.strip("[]"), int(port)


def check_metrics(metrics: Metrics) -> None:
    """Raises BadTable."""
    try:
        _ = metrics.address
    except ValueError:
        raise BadTable(
            "metrics.listen", "is not HOST:PORT", 'Write for example: listen = "127.0.0.1:9464"'
        ) from None


def check_sinks(sinks: Sequence[Sink]) -> None:
    """Raises BadTable where keys of one sink contradict each other, or two sinks have one name."""
    names: set[str] = set()
    for number, sink in enumerate(sinks):
        key = f"audit.sinks[{number}]"
        if not _NAME.fullmatch(sink.name):
            fix = 'Letters a-z, digits, "-" and "_", at most 32: it names files and metrics.'
            raise BadTable(f"{key}.name", "cannot be a name", fix)
        if sink.name in names:
            raise BadTable(f"{key}.name", "names two sinks", "Give each its own name.")
        names.add(sink.name)
        for pattern in sink.events:
            if not any(_matches(pattern, code) for code in CODES):
                fix = 'Write event codes such as "statement.read", or "statement.*".'
                raise BadTable(f"{key}.events", "holds what is no event code", fix)
        _check_keys(sink, key)
        if sink.type == "syslog":
            _check_syslog(sink, key)
        elif sink.type != "stdout":
            _check_http(sink, key)


def _check_keys(sink: Sink, key: str) -> None:
    foreign = {"syslog": _OF_HTTP, "stdout": _OF_HTTP + _OF_SYSLOG}.get(sink.type, _OF_SYSLOG)
    for name in foreign:
        if getattr(sink, name) is not None:
            raise BadTable(f"{key}.{name}", f'does not belong to type "{sink.type}"', "Remove it.")
    if sink.type not in ("syslog", "stdout") and sink.format != "ocsf":
        fix = "Remove it: this type has a form of its own."
        raise BadTable(f"{key}.format", f'does not belong to type "{sink.type}"', fix)
    if (sink.tls_cert is None) != (sink.tls_key is None):
        missing = "tls_key" if sink.tls_key is None else "tls_cert"
        fix = "Set both tls_cert and tls_key, or neither."
        raise BadTable(
            f"{key}.{missing}", "is missing: a certificate and its key belong together", fix
        )
    if sink.encoding != "json" and sink.type != "otlp":
        raise BadTable(f"{key}.encoding", f'does not belong to type "{sink.type}"', "Remove it.")


def _check_syslog(sink: Sink, key: str) -> None:
    if sink.host is None:
        raise BadTable(f"{key}.host", "is missing", 'Write for example: host = "siem.example.com"')
    if not sink.tls and not local(sink.host):
        problem = (
            "is false, and the host is not this machine: events would cross the network in clear"
        )
        raise BadTable(f"{key}.tls", problem, "Remove it, or send to a relay on 127.0.0.1.")
    if not sink.tls and (sink.tls_ca or sink.tls_cert):
        raise BadTable(
            f"{key}.tls", "is false, and certificates are named", "Remove one of the two."
        )


def _check_http(sink: Sink, key: str) -> None:
    fix = 'Write for example: url = "https://siem.example.com:8088"'
    if sink.url is None:
        raise BadTable(f"{key}.url", "is missing", fix)
    try:
        parts = urlsplit(sink.url)
        _ = parts.port
    except ValueError:
        raise BadTable(f"{key}.url", "is not a URL", fix) from None
    _check_url(parts, key, fix)
    if sink.token_file is not None and sink.token_env is not None:
        raise BadTable(f"{key}.token_env", "is set beside token_file", "Keep one of the two.")
    if sink.type == "splunk" and sink.token_file is None and sink.token_env is None:
        fix = "Name the file or the environment variable that holds the collector's token."
        raise BadTable(f"{key}.token_file", "is missing", fix)


def _check_url(parts: SplitResult, key: str, fix: str) -> None:
    if parts.scheme not in ("https", "http") or not parts.hostname:
        raise BadTable(f"{key}.url", "is not an http or https URL", fix)
    if parts.username is not None or parts.query or parts.fragment:
        problem = "holds more than host, port and path"
        raise BadTable(f"{key}.url", problem, "Put the secret into token_file or token_env.")
    if parts.scheme == "http" and not local(parts.hostname):
        problem = "is not https, and the host is not this machine: events would cross the network in clear"
        raise BadTable(f"{key}.url", problem, "Write https://, or send to a relay on 127.0.0.1.")


def local(host: str) -> bool:
    """Is it this machine's loopback interface?"""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
