"""Accepts clients, hands each a `Session`, and ends them in order when the proxy stops. [io]"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable
from typing import Final

import structlog

from proxy.audit.log import AuditLog
from proxy.config import Configuration
from proxy.connection import Client
from proxy.control import FAILURES, ControlConnection
from proxy.handshake import Terms
from proxy.scram import Verifier
from proxy.snapshot import Snapshot, SnapshotSource
from proxy.tls import context_for_clients, context_for_server, own_end_point
from proxy.turns import Turns

_BACKLOG: Final = 512

log = structlog.get_logger("sealgate.listener")


class Listener:
    """One listening socket and its clients. What all sessions share is here, read-only to them."""

    def __init__(
        self,
        configuration: Configuration,
        source: SnapshotSource,
        audit: AuditLog,
        control: ControlConnection,
        refresh: Callable[[], Awaitable[bool]],
    ) -> None:
        self.configure(configuration)
        self.source = source
        self.audit = audit
        self.turns = Turns()
        self._control = control
        self._refresh = refresh
        self._refreshing: asyncio.Task[None] | None = None
        self._stale = False
        self._clients: set[Client] = set()
        self._server: asyncio.Server | None = None
        self._empty = asyncio.Event()
        self._empty.set()
        self._run = secrets.token_hex(4)
        self._accepted = 0

    # Life.

    async def start(self) -> int:
        """Listen; return the port. Raises OSError."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(
            self._client, self.listen.host, self.listen.port, backlog=_BACKLOG
        )
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    async def drain(self) -> None:
        """Accept nobody any more; let transactions finish, then end what is left."""
        if self._server is not None:
            self._server.close()
        for client in list(self._clients):
            client.drain()
        try:
            async with asyncio.timeout(self.listen.drain_seconds):
                await self._empty.wait()
        except TimeoutError:
            log.warning("sessions ended in mid-transaction", sessions=len(self._clients))
        for client in list(self._clients):
            client.shut_down()
        try:
            async with asyncio.timeout(1):
                await self._empty.wait()
        except TimeoutError:
            log.warning("clients did not close", sessions=len(self._clients))

    def configure(self, configuration: Configuration) -> None:
        """Treat new sessions by this; running ones keep what they began with. Raises OSError, and then changes nothing."""
        listen = configuration.listen
        tls = context_for_clients(listen)
        end_point = own_end_point(listen.tls_cert)
        upstream_tls = context_for_server(configuration.upstream)
        self.listen = listen
        self.upstream = configuration.upstream
        self.tls = tls
        self.upstream_tls = upstream_tls
        self.release_unrecorded = configuration.audit.on_failure == "allow"
        self.terms = Terms(
            database=configuration.control.database,
            tls_available=tls is not None,
            tls_required=listen.tls_required,
            client_certificate=listen.tls_client_cert,
            end_point=end_point,
            terminate_scram=configuration.upstream.scram == "terminate",
        )

    def use(self, snapshot: Snapshot) -> None:
        """From the next message on, every session decides by this."""
        self.source.current = snapshot

    # What sessions ask for.

    @property
    def full(self) -> bool:
        return len(self._clients) > self.listen.max_connections

    @property
    def ready(self) -> bool:
        """There is something to decide by: policy, catalog and keys."""
        return self.source.ready

    async def roles_of(self, login: str) -> frozenset[str] | None:
        """None: the catalog cannot be asked. A login that does not exist has no roles: the server will refuse it."""
        try:
            return await self._control.roles_of(login) or frozenset()
        except FAILURES as failed:
            log.warning("roles not read", problem=type(failed).__name__)
            return None

    async def verifier_of(self, login: str) -> Verifier | None:
        """The login's SCRAM secret; None: it has none. Raises one of `FAILURES`."""
        return Verifier.parse(await self._control.scram_secret(login))

    def refresh_catalog(self) -> None:
        """DDL was seen: one new picture, begun after this, however many statements ask for it meanwhile."""
        self._stale = True
        if self._refreshing is None or self._refreshing.done():
            self._refreshing = asyncio.ensure_future(self._refresh_until_fresh())

    async def _refresh_until_fresh(self) -> None:
        while self._stale:
            self._stale = False
            await self._refresh()

    async def catalog_refreshed(self) -> bool:
        """A picture begun after this is in place; False: it could not be had."""
        return await self._refresh()

    def joined(self, client: Client) -> None:
        self._clients.add(client)
        self._empty.clear()

    def left(self, client: Client) -> None:
        self._clients.discard(client)
        if not self._clients:
            self._empty.set()

    @property
    def clients(self) -> int:
        return len(self._clients)

    def _client(self) -> Client:
        self._accepted += 1
        return Client(self, f"{self._run}-{self._accepted}")
