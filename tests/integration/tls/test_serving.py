"""`serve_tls` under both event loops: it hands TLS what a protocol has read already, which no public call does."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
import uvloop

from proxy.config import Listen
from proxy.tls import context_for_clients, serve_tls
from tests.integration.certificates import Certificates
from tests.integration.tls.conftest import HOST, Papers

Run = Callable[[Coroutine[Any, Any, None]], None]


class Echo(asyncio.Protocol):
    """Waits for a ClientHello, then says everything back; "" where the handshake failed."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self._context = context
        self._task: asyncio.Task[None] | None = None
        self._early = b""
        self._tls: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        if self._task is None:
            self._transport.pause_reading()  # type: ignore[attr-defined]
            self._task = asyncio.get_running_loop().create_task(self._serve(data))
        elif self._tls is None:
            self._early += data
        else:
            self._tls.write(data)

    async def _serve(self, received: bytes) -> None:
        try:
            self._tls = await serve_tls(self._transport, self, self._context, received)  # type: ignore[arg-type]
        except OSError:
            return
        assert self._tls is not None
        self._tls.write(self._early)


def talk(port: int, papers: Papers, shown: Certificates | None, step: int) -> bytes:
    """Say hello in pieces of `step` bytes of plain socket writes; what comes back."""
    client = ssl.create_default_context(cafile=papers.servers.ca)
    if shown is not None:
        client.load_cert_chain(shown.cert, shown.key)
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = client.wrap_bio(incoming, outgoing, server_hostname=HOST)
    with socket.create_connection((HOST, port), 10) as plain:
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        while True:
            try:
                tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                data = outgoing.read()
                for position in range(0, len(data), step):
                    plain.sendall(data[position : position + step])
                incoming.write(plain.recv(65536))
        tls.write(b"hello")
        plain.sendall(outgoing.read())
        while True:
            try:
                return tls.read(100)
            except ssl.SSLWantReadError:
                received = plain.recv(65536)
                if not received:
                    return b""
                incoming.write(received)


@pytest.mark.parametrize("run", [asyncio.run, uvloop.run])
@pytest.mark.parametrize("step", [1, 100, 65536])
def test_a_hello_that_was_read_already(papers: Papers, run: Run, step: int) -> None:
    """However it was cut, the handshake completes and data flows."""
    answers: list[bytes] = []
    within(run, papers, lambda port: answers.append(talk(port, papers, papers.client, step)))
    assert answers == [b"hello"]


@pytest.mark.parametrize("run", [asyncio.run, uvloop.run])
def test_the_client_hears_why(papers: Papers, run: Run) -> None:
    """The alert of a handshake that failed reaches it, instead of an end of file."""

    def refused(port: int) -> None:
        with pytest.raises(ssl.SSLError, match="CERTIFICATE_EXPIRED"):
            talk(port, papers, papers.expired_client, 65536)

    within(run, papers, refused)


def within(run: Run, papers: Papers, client: Callable[[int], object]) -> None:
    """A client in a thread, the server in a loop of its own."""
    context = context_for_clients(
        Listen(
            tls_cert=papers.proxy.cert,
            tls_key=papers.proxy.key,
            tls_client_cert="verify-ca",
            tls_client_ca=papers.clients.ca,
        )
    )
    assert context is not None

    async def serve() -> None:
        loop = asyncio.get_running_loop()
        server = await loop.create_server(lambda: Echo(context), HOST, 0)
        await asyncio.to_thread(client, server.sockets[0].getsockname()[1])
        server.close()

    run(serve())
