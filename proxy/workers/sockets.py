"""The port that the workers share. [io]"""

from __future__ import annotations

import contextlib
import errno
import socket

from proxy.config import Configuration, ConfigurationError


def cannot_listen(configuration: Configuration, error: OSError) -> ConfigurationError:
    """What to tell people of a port that cannot be had."""
    listen = configuration.listen
    problem = f"cannot listen on {listen.host}:{listen.port}: {error.strerror or error}"
    fix = "Choose another port (0: any free one), or stop the program that has it."
    return ConfigurationError(configuration.file, "listen.port", problem, fix)


def bound(host: str, port: int) -> list[socket.socket]:
    """A socket for each address of the host, all on one port, not listening yet. Raises OSError."""
    found = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    with contextlib.ExitStack() as undo:
        sockets = []
        for family, kind, protocol, _, address in dict.fromkeys(found):
            try:
                sock = undo.enter_context(socket.socket(family, kind, protocol))
            except OSError:
                continue  # a kind of address that this system does not have
            sock.setblocking(False)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            sock.bind((address[0], port, *address[2:]))
            port = sock.getsockname()[1]  # 0 was any free one; the next address takes the same
            sockets.append(sock)
        if not sockets:
            raise OSError(errno.EADDRNOTAVAIL, "no address that this system has")
        undo.pop_all()
    return sockets
