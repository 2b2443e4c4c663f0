"""Stand-ins for receivers: they read what arrives by the receivers' own rules, and misbehave when they are told to."""

from __future__ import annotations

import contextlib
import json
import socket
import ssl
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import orjson

from tests.auditor import readers

TOKEN = "5e41-token-canary"


@dataclass(frozen=True, slots=True)
class Request:
    path: str
    headers: dict[str, str]
    body: bytes


Answer = tuple[int, dict[str, str], bytes]
Trouble = Callable[[Request], Answer | None]
"""What to answer instead; None: hang up without an answer."""


class StandIn:
    """An HTTP receiver. `troubles` are used up one by one, each for one request; `before` accepting or `after` it."""

    def __init__(self, port: int = 0, tls: tuple[Path, Path] | None = None) -> None:
        self.uids: list[str] = []
        self.raws: list[bytes] = []
        self.requests: list[Request] = []
        self.troubles: list[Trouble] = []
        self.late: list[Trouble] = []
        self.token = TOKEN
        self.port = port
        self._tls = tls
        self.connections: list[socket.socket] = []
        self._server: ThreadingHTTPServer | None = None
        self._lock = threading.Lock()
        self.start()

    def start(self) -> None:
        stand_in = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            timeout = 10

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                request = Request(self.path, dict(self.headers), body)
                answer = stand_in.answered(request)
                if answer is None:
                    self.close_connection = True
                    return
                status, headers, content = answer
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_: object) -> None:
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            block_on_close = False

            def handle_error(self, *_: object) -> None:
                pass

            def get_request(self) -> Any:
                request, address = super().get_request()
                stand_in.connections.append(request)
                return request, address

        server = Server(("127.0.0.1", self.port), Handler)
        if self._tls is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*self._tls)
            server.socket = context.wrap_socket(server.socket, server_side=True)
        self.port = server.server_address[1]
        self._server = server
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()

    def stop(self) -> None:
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None
        for connection in self.connections:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        self.connections.clear()

    def answered(self, request: Request) -> Answer | None:
        with self._lock:
            self.requests.append(request)
            if self.troubles:
                return self.troubles.pop(0)(request)
            answer = self.accept(request)
            if self.late:
                return self.late.pop(0)(request)
            return answer

    def accept(self, request: Request) -> Answer:
        raise NotImplementedError

    def took(self, raw: bytes, uid: str) -> None:
        self.raws.append(raw)
        self.uids.append(uid)

    @property
    def distinct(self) -> list[bytes]:
        """What arrived, each uid once, in the order of its first arrival."""
        return list(dict(zip(reversed(self.uids), reversed(self.raws), strict=True)).values())[::-1]


def says(status: int, body: bytes = b"{}", **headers: str) -> Trouble:
    return lambda _: (status, {k.replace("_", "-"): v for k, v in headers.items()}, body)


def hangs_up(_: Request) -> None:
    return None


class Splunk(StandIn):
    """HEC: events one behind the other, a token, code 0."""

    def accept(self, request: Request) -> Answer:
        if request.path != "/services/collector/event":
            return 404, {}, b"{}"
        if request.headers.get("Authorization") != f"Splunk {self.token}":
            return 403, {}, b'{"text":"Invalid token","code":4}'
        decoder, text, at = json.JSONDecoder(), request.body.decode(), 0
        while at < len(text):
            event, at = decoder.raw_decode(text, at)
            raw = orjson.dumps(event["event"], option=orjson.OPT_SORT_KEYS)
            self.took(raw, event["event"]["metadata"]["uid"])
        return 200, {}, b'{"text":"Success","code":0}'


class Elastic(StandIn):
    """_bulk: `create` with an _id, 409 for one that is there; `poison`: uids that no mapping takes."""

    def __init__(self, port: int = 0, tls: tuple[Path, Path] | None = None) -> None:
        self.documents: dict[str, dict[str, Any]] = {}
        self.poison: set[str] = set()
        self.busy_from = 10**9
        super().__init__(port, tls)

    def accept(self, request: Request) -> Answer:
        assert request.path.startswith("/es/_bulk")
        assert request.headers["Content-Type"] == "application/x-ndjson"
        lines = request.body.split(b"\n")
        assert lines.pop() == b""
        items = []
        for number, (action, document) in enumerate(zip(lines[::2], lines[1::2], strict=True)):
            create = json.loads(action)["create"]
            status = 201
            if create["_id"] in self.poison:
                status = 400
            elif number >= self.busy_from:
                status = 429
            elif create["_id"] in self.documents:
                status = 409
            else:
                self.documents[create["_id"]] = json.loads(document)
                raw = self.documents[create["_id"]]["event"]["original"].encode()
                self.took(raw, create["_id"])
            items.append({"create": {"status": status}})
        errors = any(item["create"]["status"] > 299 for item in items)
        return 200, {}, json.dumps({"errors": errors, "items": items}).encode()


class Collector(StandIn):
    """OTLP/HTTP, by the official protobufs."""

    def accept(self, request: Request) -> Answer:
        assert request.path == "/v1/logs"
        kind = request.headers["Content-Type"]
        for resource in readers.otlp(request.body, kind).resource_logs:
            for record in resource.scope_logs[0].log_records:
                event = readers.plain(record.body)
                raw = orjson.dumps(event, option=orjson.OPT_SORT_KEYS)
                self.took(raw, event["metadata"]["uid"])
        return 200, {"Content-Type": kind}, b"" if kind == "application/x-protobuf" else b"{}"


@dataclass(slots=True)
class Listener:
    """A TCP receiver of RFC 6587 frames that can be made to vanish with what it has not read."""

    port: int = 0
    messages: list[bytes] = field(default_factory=list)
    connections: list[socket.socket] = field(default_factory=list)
    _server: socket.socket | None = None

    def start(self) -> None:
        self._server = socket.create_server(("127.0.0.1", self.port))
        self.port = self._server.getsockname()[1]
        threading.Thread(target=self._accept, args=(self._server,), daemon=True).start()

    def vanish(self) -> None:
        """As a machine that loses power: no end of stream, a reset at the next word."""
        if self._server is not None:
            self._server.shutdown(socket.SHUT_RDWR)  # wakes who waits in accept
            self._server.close()
            self._server = None
        for connection in self.connections:
            with contextlib.suppress(OSError):  # it has ended before
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
                connection.shutdown(socket.SHUT_RD)
                connection.close()
        self.connections.clear()

    def _accept(self, server: socket.socket) -> None:
        while True:
            try:
                connection, _ = server.accept()
            except OSError:
                return
            self.connections.append(connection)
            threading.Thread(target=self._read, args=(connection,), daemon=True).start()

    def _read(self, connection: socket.socket) -> None:
        rest = b""
        try:
            while data := connection.recv(65536):
                rest += data
                while b" " in rest:
                    length, _, message = rest.partition(b" ")
                    if len(message) < int(length):
                        break
                    self.messages.append(message[: int(length)])
                    rest = message[int(length) :]
            connection.close()
        except (OSError, ValueError):
            pass
