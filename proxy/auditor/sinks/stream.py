"""Receivers that only listen: standard output, and syslog (RFC 5424) over TCP (RFC 6587) or TLS (RFC 5425).

Nobody answers, so nobody says what arrived. `settled` tells that the other machine has acknowledged every byte, which is
not that its program has read them: `delivery` goes back some seconds when a connection is lost. A connection that
ends in order says more: who has closed it behind our end has read up to there.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import socket
import ssl
import struct
import termios
from collections.abc import Callable, Sequence
from typing import Final

from proxy.audit.formats.cef import cef
from proxy.audit.formats.ecs import ecs_json
from proxy.audit.formats.fields import Line
from proxy.audit.formats.syslog import ascii_json, framed
from proxy.audit.sinks import Format, Sink
from proxy.auditor.sinks.receiver import Rejected, Unavailable, why
from proxy.auditor.sinks.tls import client_context

_OUTPUT: Final = 1
FORMS: dict[Format, Callable[[Line], str]] = {
    "ocsf": ascii_json,
    "cef": cef,
    "ecs": lambda line: ascii_json(Line(ecs_json(line), line.event)),
}


class Stdout:
    """One event a line."""

    answers = True

    def __init__(self, sink: Sink) -> None:
        self._form = FORMS[sink.format]

    def send(self, lines: Sequence[Line]) -> list[Rejected]:
        data = "".join(f"{self._form(line)}\n" for line in lines).encode()
        try:
            while data:
                data = data[os.write(_OUTPUT, data) :]
        except OSError as error:
            raise Unavailable(why(error)) from None
        return []

    def settled(self) -> bool:
        return True

    def close(self) -> bool:
        return True


class Syslog:
    """A connection that is made when there is something to send, and stays."""

    answers = False

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self._form = FORMS[sink.format]
        self._hostname = sink.hostname or socket.gethostname()
        self._process = os.getppid()
        self._socket: socket.socket | None = None

    def send(self, lines: Sequence[Line]) -> list[Rejected]:
        messages = [framed(line, self._form(line), self._hostname, self._process) for line in lines]
        try:
            self._connected().sendall(b"".join(messages))
        except (OSError, ValueError) as error:  # ValueError: a TLS connection that has ended
            self._drop()
            raise Unavailable(why(error)) from None
        return []

    def settled(self) -> bool:
        """Raises Unavailable if the connection has ended."""
        if self._socket is None:
            return False
        try:
            self._see_whether_it_is_there(self._socket)
            waiting = fcntl.ioctl(self._socket.fileno(), termios.TIOCOUTQ, b"\0\0\0\0")
        except (OSError, ValueError) as error:
            self._drop()
            raise Unavailable(why(error)) from None
        return bool(struct.unpack("i", waiting)[0] == 0)

    def close(self) -> bool:
        sock, self._socket = self._socket, None
        if sock is None:
            return False
        try:
            with contextlib.closing(sock):
                sock.settimeout(2.0)
                if isinstance(sock, ssl.SSLSocket):
                    sock = sock.unwrap()
                    sock.settimeout(2.0)
                sock.shutdown(socket.SHUT_WR)
                while sock.recv(4096):
                    pass
                sock.close()
                return True
        except (OSError, ValueError):
            return False

    def _connected(self) -> socket.socket:
        if self._socket is not None:
            self._see_whether_it_is_there(self._socket)
            return self._socket
        sink = self._sink
        assert sink.host is not None  # noqa: S101 - `check_sinks` holds it
        sock = socket.create_connection((sink.host, sink.port), sink.timeout_seconds)
        try:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            if sink.tls:
                sock = client_context(sink).wrap_socket(sock, server_hostname=sink.host)
        except BaseException:
            sock.close()
            raise
        self._socket = sock
        return sock

    def _see_whether_it_is_there(self, sock: socket.socket) -> None:
        """A receiver that went away has closed its end: what is written then is lost without an error."""
        sock.setblocking(False)
        try:
            while sock.recv(4096):
                pass
            raise ConnectionResetError(104, "the receiver has closed the connection")
        except (BlockingIOError, ssl.SSLWantReadError):
            pass
        finally:
            sock.settimeout(self._sink.timeout_seconds)

    def _drop(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None
