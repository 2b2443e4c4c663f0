"""HTTP to a receiver: one connection, a token, and what an answer means.

An event that the receiver refuses for ever must not hold up those behind it, and a receiver that is set up wrong refuses
everything. So: who refuses a batch gets its parts. Some taken: what is refused alone is told and left out. None taken:
that is the receiver's trouble, and everything waits.
"""

from __future__ import annotations

import http.client
import os
import socket
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple
from urllib.parse import urlsplit

from proxy.audit.formats.fields import Line, text
from proxy.audit.sinks import Sink
from proxy.auditor.sinks.receiver import Rejected, Unavailable, why
from proxy.auditor.sinks.tls import client_context

_ANSWER_LIMIT: Final = 8 << 20
_TOKEN_LIMIT: Final = 16 * 1024
_LONGEST_PAUSE: Final = 300.0
_REFUSED: Final = frozenset({400, 413, 422})
_ENOUGH: Final = 16
"""Events refused one by one, and none taken: it is not the events."""


class Refused(Exception):
    """The receiver does not want what was sent: some of it, or all."""


class Answer(NamedTuple):
    status: int
    body: bytes


class Post:
    """One receiver's address. `scheme` is what stands in front of its token."""

    def __init__(self, sink: Sink, scheme: str) -> None:
        assert sink.url is not None  # noqa: S101 - `check_sinks` holds it
        parts = urlsplit(sink.url)
        self._sink = sink
        self._scheme = scheme
        self._host, self._port = parts.hostname or "", parts.port
        self._secure = parts.scheme == "https"
        self._prefix = parts.path.rstrip("/")
        self._connection: http.client.HTTPConnection | None = None
        self._headers: dict[str, str] = {}

    def post(self, path: str, body: bytes, content_type: str) -> Answer:
        """An answer of success. Raises Refused, Unavailable."""
        again = self._connection is not None
        try:
            try:
                answer = self._exchange(path, body, content_type)
            except (ConnectionError, http.client.RemoteDisconnected):
                self.close()
                if not again:  # else it may have been closed while there was nothing to send
                    raise
                answer = self._exchange(path, body, content_type)
        except (OSError, http.client.HTTPException, ValueError) as error:
            self.close()
            raise Unavailable(why(error)) from None
        return answer

    def close(self) -> bool:
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        return True

    def _exchange(self, path: str, body: bytes, content_type: str) -> Answer:
        if self._connection is None:
            self._connection = self._connect()
        headers = {**self._headers, "Content-Type": content_type, "User-Agent": "sealgate"}
        self._connection.request("POST", self._prefix + path, body, headers)
        response = self._connection.getresponse()
        found = response.read(_ANSWER_LIMIT + 1)
        if len(found) > _ANSWER_LIMIT or response.will_close:
            self.close()
        status = response.status
        if 200 <= status < 300 and len(found) <= _ANSWER_LIMIT:
            return Answer(status, found)
        if status in _REFUSED:
            raise Refused(f"it answered {status}")
        self.close()  # the next attempt reads the token again, and may reach another machine
        raise Unavailable(_explained(status), _pause(response.headers.get("Retry-After")))

    def _connect(self) -> http.client.HTTPConnection:
        token = self._token()
        self._headers = {"Authorization": f"{self._scheme} {token}"} if token else {}
        seconds = self._sink.timeout_seconds
        if self._secure:
            context = client_context(self._sink)
            made: http.client.HTTPConnection = http.client.HTTPSConnection(
                self._host, self._port, timeout=seconds, context=context
            )
        else:
            made = http.client.HTTPConnection(self._host, self._port, timeout=seconds)
        made.connect()
        made.sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        return made

    def _token(self) -> str:
        """The secret as it is now. It goes into no message."""
        sink = self._sink
        if sink.token_file is not None:
            try:
                with sink.token_file.open("rb") as file:
                    found = file.read(_TOKEN_LIMIT).decode("ascii", "replace").strip()
            except OSError as error:
                raise Unavailable(f"the token file cannot be read: {error.strerror}") from None
        elif sink.token_env is not None:
            found = os.environ.get(sink.token_env, "").strip()
        else:
            return ""
        if not found or not found.isascii() or not found.isprintable():
            raise Unavailable("what should hold the token is empty, or holds more than one")
        return found


def bisected(
    send: Callable[[Sequence[Line]], list[Rejected]], lines: Sequence[Line]
) -> list[Rejected]:
    """Sends lines, and where they are refused, their parts. Raises Unavailable."""
    try:
        return send(lines)
    except Refused as refused:
        reason = str(refused)
    rejected: list[Rejected] = []
    taken = 0
    waiting = [lines[: len(lines) // 2], lines[len(lines) // 2 :]] if len(lines) > 1 else []
    while waiting:
        part = waiting.pop(0)
        try:
            found = send(part)
        except Refused as refused:
            if len(part) > 1:
                waiting[:0] = [part[: len(part) // 2], part[len(part) // 2 :]]
                continue
            rejected.append(Rejected(1, str(refused), (uid(part[0]),)))
        else:
            taken += len(part) - sum(each.count for each in found)
            rejected += found
        if not taken and len(rejected) >= _ENOUGH:
            break
    if not taken:
        raise Unavailable(f"{reason} to everything")
    return rejected


def uid(line: Line) -> str:
    return text(line.event, "metadata", "uid", cap=64)


def _explained(status: int) -> str:
    if status in (401, 403):
        return f"it refused our token or what it may do ({status})"
    if 300 <= status < 400:
        return f"it answered {status}: redirections are not followed"
    return f"it answered {status}"


def _pause(retry_after: str | None) -> float | None:
    """Seconds; a date is not asked for by the receivers that we know."""
    if retry_after is None or not retry_after.isascii() or not retry_after.isdecimal():
        return None
    return min(float(retry_after[:6]), _LONGEST_PAUSE)
