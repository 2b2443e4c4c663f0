"""Connections to the server. [io]

What is verified of the server is `proxy.tls`'s matter. SSLRequest comes first, and exactly one byte of answer is read
before the TLS handshake, so nothing sent in clear can become part of the session; or TLS begins at once and the server
must have agreed in ALPN that it speaks PostgreSQL (manual, "SSL Session Encryption").
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Callable
from typing import TypeVar, cast

from proxy.config import Upstream
from proxy.tls import ALPN
from proxy.wire.framing import LENGTH
from proxy.wire.messages import SSL_REQUEST

_SSL_REQUEST = LENGTH.pack(8) + LENGTH.pack(SSL_REQUEST)

P = TypeVar("P", bound=asyncio.BaseProtocol)


class UpstreamRefused(OSError):
    """The server is there and will not do what the configuration asks: TLS."""


async def connect(
    upstream: Upstream, context: ssl.SSLContext | None, factory: Callable[[], P]
) -> P:
    """A connected protocol. Raises OSError (ssl.SSLError and TimeoutError are) when there is none."""
    async with asyncio.timeout(upstream.connect_seconds):
        loop = asyncio.get_running_loop()
        if upstream.is_socket_directory:
            path = f"{upstream.host}/.s.PGSQL.{upstream.port}"
            return (await loop.create_unix_connection(factory, path))[1]
        if context is None:
            return (await loop.create_connection(factory, upstream.host, upstream.port))[1]
        sock = await _tcp(upstream)
        try:
            if upstream.tls_negotiation == "direct":
                return await _direct(upstream, context, factory, sock)
            if await _offers_tls(sock):
                connected = loop.create_connection(
                    factory, sock=sock, ssl=context, server_hostname=upstream.host
                )
            elif upstream.tls == "prefer":
                connected = loop.create_connection(factory, sock=sock)
            else:
                raise UpstreamRefused(
                    f'the server offers no TLS, and upstream.tls is "{upstream.tls}"'
                )
            return (await connected)[1]
        except BaseException:
            sock.close()
            raise


async def _direct(
    upstream: Upstream, context: ssl.SSLContext, factory: Callable[[], P], sock: socket.socket
) -> P:
    """TLS from the first byte. What does not name PostgreSQL in ALPN may be anything, and is told nothing."""
    loop = asyncio.get_running_loop()
    try:
        transport, protocol = await loop.create_connection(
            factory, sock=sock, ssl=context, server_hostname=upstream.host
        )
    except ConnectionError:
        text = "the server ended the TLS handshake: direct TLS needs PostgreSQL 17 or later with ssl = on"
        raise UpstreamRefused(text) from None
    if transport.get_extra_info("ssl_object").selected_alpn_protocol() != ALPN:
        transport.abort()
        raise UpstreamRefused("the server does not name the protocol postgresql in ALPN")
    return protocol


async def send_once(upstream: Upstream, context: ssl.SSLContext | None, packet: bytes) -> None:
    """Send one packet on a connection of its own and wait until the server closes it: a CancelRequest."""
    closed = asyncio.get_running_loop().create_future()
    protocol = await connect(upstream, context, lambda: _Once(packet, closed))
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(upstream.connect_seconds):
            await closed
    protocol.close()


async def _tcp(upstream: Upstream) -> socket.socket:
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(upstream.host, upstream.port, type=socket.SOCK_STREAM)
    error: OSError = OSError(f"{upstream.host} has no address")
    for family, kind, protocol, _, address in found:
        sock = socket.socket(family, kind, protocol)
        sock.setblocking(False)
        try:
            await loop.sock_connect(sock, address)
        except OSError as refused:
            sock.close()
            error = refused
        except BaseException:
            sock.close()
            raise
        else:
            return sock
    raise error


async def _offers_tls(sock: socket.socket) -> bool:
    loop = asyncio.get_running_loop()
    await loop.sock_sendall(sock, _SSL_REQUEST)
    answer = await loop.sock_recv(sock, 1)
    if answer not in (b"S", b"N"):
        raise UpstreamRefused("the server does not answer SSLRequest as PostgreSQL does")
    return answer == b"S"


class _Once(asyncio.Protocol):
    def __init__(self, packet: bytes, closed: asyncio.Future[None]) -> None:
        self._packet = packet
        self._closed = closed
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are asyncio.Transport in all but their class.
        self._transport = cast("asyncio.Transport", transport)
        self._transport.write(self._packet)

    def connection_lost(self, exc: Exception | None) -> None:
        if not self._closed.done():
            self._closed.set_result(None)

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()
