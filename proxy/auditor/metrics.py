"""Metrics in Prometheus's text format (version 0.0.4), and the health of the service. [io]

    GET /metrics    numbers; no label holds a login, an address, a statement or a value
    GET /healthz    200 while the proxy lives and its access log can be written, else 503 with the reasons
    GET /readyz     200 while clients are served as well, and no sink is further behind than it may be; the server is not asked

It is the auditor that answers, so a proxy that hangs is seen: it says every second how it is.
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final

from proxy.audit.ocsf import PRODUCT
from proxy.auditor.census import Census
from proxy.auditor.delivery import Delivery, Standing
from proxy.auditor.pulse import Pulse

_COUNTER, _GAUGE = "counter", "gauge"
NAMES: Final[Mapping[str, tuple[str, tuple[str, ...], str]]] = {
    "sealgate_events_total": (_COUNTER, ("code",), "Events of the access log, by event_code."),
    "sealgate_cells_total": (
        _COUNTER,
        ("column", "outcome"),
        "Sealed values, by column and outcome.",
    ),
    "sealgate_refusals_total": (_COUNTER, ("sqlstate",), "Statements that Sealgate refused."),
    "sealgate_logins_total": (_COUNTER, ("outcome",), "Logins that succeeded or failed."),
    "sealgate_findings_total": (_COUNTER, ("detector", "severity"), "What detectors have found."),
    "sealgate_log_sequence": (_GAUGE, (), "Number of the last event in its chain."),
    "sealgate_log_lost_events": (
        _GAUGE,
        (),
        "Events that could not be written and are not told of yet.",
    ),
    "sealgate_log_writable": (_GAUGE, (), "1: the access log takes events."),
    "sealgate_log_checkpoint_age_seconds": (
        _GAUGE,
        (),
        "Since the last signed checkpoint that was read.",
    ),
    "sealgate_log_unreadable_lines_total": (_COUNTER, (), "Lines of the log that are no event."),
    "sealgate_watch_behind_seconds": (_GAUGE, (), "Since detection had read the log to its end."),
    "sealgate_sink_up": (_GAUGE, ("sink",), "1: the receiver took what it was sent last."),
    "sealgate_sink_behind_events": (_GAUGE, ("sink",), "Events that the receiver has not got yet."),
    "sealgate_sink_behind_bytes": (_GAUGE, ("sink",), "The same, in bytes of the log's files."),
    "sealgate_sink_behind_seconds": (_GAUGE, ("sink",), "Age of the oldest event that waits."),
    "sealgate_sink_sent_events_total": (
        _COUNTER,
        ("sink",),
        "Events sent, those sent again included.",
    ),
    "sealgate_sink_rejected_events_total": (
        _COUNTER,
        ("sink",),
        "Events that the receiver will not take.",
    ),
    "sealgate_sink_failures_total": (_COUNTER, ("sink",), "Attempts to send that failed."),
    "sealgate_sessions": (_GAUGE, (), "Clients that are connected."),
    "sealgate_workers": (_GAUGE, (), "Processes that serve clients."),
    "sealgate_accepting": (_GAUGE, (), "1: new clients are accepted."),
    "sealgate_build_info": (_GAUGE, ("version", "mode"), "Always 1."),
}
"""Every metric: its type, labels, and what it says."""

Samples = dict[tuple[str, ...], int]
"""Values of a metric's labels, and the number."""

STALE: Final = 5.0
"""Seconds without a word of the proxy after which it counts as hanging."""
_CONNECTIONS: Final = 16
_PATIENCE: Final = 5.0


@dataclass(slots=True)
class Service:
    """How the proxy says it is."""

    status: dict[str, Any] = field(default_factory=dict)
    heard: float = field(default_factory=time.monotonic)

    def hear(self, status: dict[str, Any]) -> None:
        self.status, self.heard = status, time.monotonic()

    @property
    def silent(self) -> float:
        return time.monotonic() - self.heard

    def number(self, name: str) -> int:
        found = self.status.get(name)
        return int(found) if isinstance(found, int) else 0


@dataclass(frozen=True, slots=True)
class Board:
    """Everything that can be asked for."""

    service: Service
    census: Census
    deliveries: tuple[Delivery, ...]
    pulse: Pulse

    def metrics(self) -> str:
        """The exposition."""
        lines = []
        samples = dict(self._samples())
        for name, (kind, labels, says) in NAMES.items():
            lines += [f"# HELP {name} {says}", f"# TYPE {name} {kind}"]
            for values, number in sorted(samples[name].items()):
                pairs = [f'{k}="{_escaped(v)}"' for k, v in zip(labels, values, strict=True)]
                lines.append(
                    f"{name}{{{','.join(pairs)}}} {number}" if pairs else f"{name} {number}"
                )
        return "\n".join(lines) + "\n"

    def health(self) -> list[str]:
        """What is wrong; empty: nothing is."""
        found = []
        if self.service.silent > STALE:
            found.append(f"the proxy has said nothing for {int(self.service.silent)} seconds")
        if lost := self.service.number("lost"):
            found.append(f"the access log cannot be written: {lost} events lost")
        elif self.service.number("failing"):
            found.append("the access log could not be written")
        return found

    def readiness(self) -> list[str]:
        """The same, for whoever sends clients here."""
        found = self.health()
        if not self.service.number("accepting"):
            found.append("no clients are accepted")
        if not self.service.number("ready"):
            found.append("the server's catalog has not been read")
        for delivery in self.deliveries:
            most = delivery.sink.max_behind_events
            if most and delivery.standing.behind_events > most:
                behind = delivery.standing.behind_events
                found.append(f"the sink {delivery.sink.name} is {behind} events behind")
        return found

    def _samples(self) -> Iterator[tuple[str, Samples]]:
        now = time.time_ns() // 1_000_000
        for what, counted in self.census.counts().items():
            yield f"sealgate_{what}_total", counted
        yield from self._of_the_log(now)
        sinks: dict[tuple[str, ...], Standing] = {
            (d.sink.name,): d.standing for d in self.deliveries
        }
        yield "sealgate_sink_up", {name: int(s.up) for name, s in sinks.items()}
        yield "sealgate_sink_behind_events", {name: s.behind_events for name, s in sinks.items()}
        yield "sealgate_sink_behind_bytes", {name: s.behind_bytes for name, s in sinks.items()}
        waiting = {name: _seconds(now, s.waiting_since) for name, s in sinks.items()}
        yield "sealgate_sink_behind_seconds", waiting
        yield "sealgate_sink_sent_events_total", {name: s.sent for name, s in sinks.items()}
        yield "sealgate_sink_rejected_events_total", {n: s.rejected for n, s in sinks.items()}
        yield "sealgate_sink_failures_total", {name: s.failures for name, s in sinks.items()}
        for name in ("sessions", "workers", "accepting"):
            yield f"sealgate_{name}", {(): self.service.number(name)}
        mode = self.service.status.get("mode")
        build: tuple[str, ...] = (PRODUCT["version"], mode if isinstance(mode, str) else "")
        yield "sealgate_build_info", {build: 1}

    def _of_the_log(self, now: int) -> Iterator[tuple[str, Samples]]:
        end, census = self.pulse.end, self.census
        yield "sealgate_log_sequence", {(): end.sequence if end is not None else 0}
        yield "sealgate_log_lost_events", {(): self.service.number("lost")}
        failing = self.service.number("lost") or self.service.number("failing")
        yield "sealgate_log_writable", {(): int(not failing)}
        age: Samples = {(): _seconds(now, census.checkpoint_time)} if census.checkpoint_time else {}
        yield "sealgate_log_checkpoint_age_seconds", age
        yield "sealgate_log_unreadable_lines_total", {(): census.unreadable}
        current: Samples = {(): _seconds(now, census.current_at)} if census.current_at else {}
        yield "sealgate_watch_behind_seconds", current


def _seconds(now: int, since: int) -> int:
    return max(0, now - since) // 1000 if since else 0


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


class Endpoint:
    """Answers on `address`; a port of 0 is any that is free. Raises OSError."""

    def __init__(self, address: tuple[str, int], board: Board) -> None:
        pages: dict[str, Callable[[], tuple[int, str, str]]] = {
            "/metrics": lambda: (200, "text/plain; version=0.0.4; charset=utf-8", board.metrics()),
            "/healthz": lambda: _verdict(board.health()),
            "/readyz": lambda: _verdict(board.readiness()),
        }
        self._server = _Server(address, pages)
        self.port: int = self._server.server_address[1]

    def start(self) -> None:
        threading.Thread(target=self._server.serve_forever, name="metrics", daemon=True).start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()


def _verdict(problems: list[str]) -> tuple[int, str, str]:
    body = "".join(f"{problem}\n" for problem in problems) or "ok\n"
    return (503 if problems else 200), "text/plain; charset=utf-8", body


class _Server(ThreadingHTTPServer):
    """At most so many at a time; the next ones are hung up on."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(
        self, address: tuple[str, int], pages: dict[str, Callable[[], tuple[int, str, str]]]
    ) -> None:
        if ":" in address[0]:
            self.address_family = socket.AF_INET6
        self.pages = pages
        self._room = threading.BoundedSemaphore(_CONNECTIONS)
        super().__init__(address, _Answer)

    def server_bind(self) -> None:
        """Without looking up a name for the address, as http.server does."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()
        self.server_name, self.server_port = "sealgate", self.server_address[1]

    def process_request(self, request: Any, client_address: Any) -> None:
        if not self._room.acquire(blocking=False):
            self.shutdown_request(request)
            return
        super().process_request(request, client_address)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._room.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away, or never spoke HTTP: nobody's business."""


class _Answer(BaseHTTPRequestHandler):
    timeout = _PATIENCE
    server_version, sys_version = "sealgate", ""

    def do_GET(self) -> None:
        server = self.server
        assert isinstance(server, _Server)  # noqa: S101 - it made us
        page = server.pages.get(self.path.partition("?")[0])
        status, kind, body = page() if page is not None else (404, "text/plain", "not found\n")
        content = body.encode()
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Scrapes are not worth a line."""
