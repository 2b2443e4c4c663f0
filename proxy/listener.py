"""Accepts clients, hands each a `Session`, and ends them in order when the proxy stops. [io]"""

from __future__ import annotations

import asyncio
import secrets
import socket
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

import structlog

from proxy.audit.log import AuditLog
from proxy.config import Configuration, Listen, Upstream
from proxy.connection import Client
from proxy.control import FAILURES, ControlConnection
from proxy.detection.force import Force
from proxy.detection.guard import Guards
from proxy.detection.restraint import Containment
from proxy.detection.settings import Detection
from proxy.group_commit import GroupCommit
from proxy.handshake import Terms
from proxy.scram import Verifier
from proxy.snapshot import SnapshotSource
from proxy.tls import context_for_clients, context_for_server, own_end_point
from proxy.turns import Turns

_BACKLOG: Final = 512

log = structlog.get_logger("sealgate.listener")


class Alone:
    """The other processes of the service, where there are none."""

    def clients(self, own: int) -> int:
        """Clients of all processes, of which `own` are with this one."""
        return own

    def left(self) -> None:
        """A client of this process has left."""

    def catalog_changed(self) -> None:
        """DDL was seen here: the others look at the catalog as well."""

    async def catalog_looked_at(self) -> bool:
        """`catalog_changed`, and all of them have, after this; False: not all could."""
        return True


@dataclass(frozen=True, slots=True)
class Reception:
    """How new sessions are treated: a configuration with its files read."""

    listen: Listen
    upstream: Upstream
    tls: ssl.SSLContext | None
    upstream_tls: ssl.SSLContext | None
    release_unrecorded: bool
    detection: Detection
    terms: Terms


def reception(configuration: Configuration) -> Reception:
    """Raises OSError where a certificate or key cannot be used."""
    listen = configuration.listen
    tls = context_for_clients(listen)
    return Reception(
        listen=listen,
        upstream=configuration.upstream,
        tls=tls,
        upstream_tls=context_for_server(configuration.upstream),
        release_unrecorded=configuration.audit.on_failure == "allow",
        detection=configuration.detection,
        terms=Terms(
            database=configuration.control.database,
            tls_available=tls is not None,
            tls_required=listen.tls_required,
            client_certificate=listen.tls_client_cert,
            end_point=own_end_point(listen.tls_cert),
            terminate_scram=configuration.upstream.scram == "terminate",
        ),
    )


class Listener:
    """One listening socket and its clients. What all sessions share is here, read-only to them."""

    def __init__(
        self,
        configuration: Configuration,
        source: SnapshotSource,
        audit: AuditLog,
        control: ControlConnection,
        refresh: Callable[[], Awaitable[bool]],
        others: Alone | None = None,
        force: Force | None = None,
    ) -> None:
        """Raises OSError where a certificate or key cannot be used. `force`: None: nobody is judged or contained."""
        self._force = force
        self._clients: set[Client] = set()
        self.receive(reception(configuration))
        self.source = source
        self.commits = GroupCommit(audit)
        self.turns = Turns()
        self._control = control
        self._refresh = refresh
        self._refreshing: asyncio.Task[None] | None = None
        self._stale = False
        self._others = others or Alone()
        self._arriving: set[Client] = set()
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
            lambda: self._client().as_protocol(),
            self.listen.host,
            self.listen.port,
            backlog=_BACKLOG,
        )
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    async def take(self, sock: socket.socket) -> None:
        """A client that another process has accepted."""
        client = self._client()
        self._arriving.add(client)
        sock.setblocking(False)
        try:
            await asyncio.get_running_loop().connect_accepted_socket(client.as_protocol, sock)
        except OSError:  # gone already
            sock.close()
            if client in self._arriving:
                self._arriving.discard(client)
                self._others.left()

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

    def receive(self, reception: Reception) -> None:
        """Treat new sessions by this; running ones keep what they began with."""
        self.listen = reception.listen
        self.upstream = reception.upstream
        self.tls = reception.tls
        self.upstream_tls = reception.upstream_tls
        self.release_unrecorded = reception.release_unrecorded
        self.terms = reception.terms
        if self._force is not None:
            self._force.guards.reload(reception.detection)
            self.heed()  # Who is exempt may have changed.

    # Containment.

    @property
    def guards(self) -> Guards | None:
        """What judges the rows of sessions."""
        return self._force.guards if self._force is not None else None

    def contain(self, containment: Containment) -> None:
        if self._force is not None:
            self._force.contain(containment)

    def heed(self) -> None:
        """Who is contained has changed."""
        for client in list(self._clients):
            client.heed()

    # What sessions ask for.

    @property
    def full(self) -> bool:
        return self._others.clients(len(self._clients)) > self.listen.max_connections

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
        self._others.catalog_changed()
        self.look_again()

    def look_again(self) -> None:
        """As `refresh_catalog`, where others know already."""
        self._stale = True
        if self._refreshing is None or self._refreshing.done():
            self._refreshing = asyncio.ensure_future(self._refresh_until_fresh())

    async def _refresh_until_fresh(self) -> None:
        while self._stale:
            self._stale = False
            await self._refresh()

    async def catalog_refreshed(self) -> bool:
        """A picture begun after this is in place, in all processes; False: it could not be had."""
        here, elsewhere = await asyncio.gather(self._refresh(), self._others.catalog_looked_at())
        return here and elsewhere

    def joined(self, client: Client) -> None:
        self._arriving.discard(client)
        self._clients.add(client)
        self._empty.clear()

    def left(self, client: Client) -> None:
        if client not in self._clients:
            return
        self._clients.discard(client)
        self._others.left()
        if not self._clients:
            self._empty.set()

    @property
    def clients(self) -> int:
        return len(self._clients)

    def _client(self) -> Client:
        self._accepted += 1
        return Client(self, f"{self._run}-{self._accepted}")
