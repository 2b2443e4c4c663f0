"""One client and its server connection. [io]

Two protocols feed one `Session` and this file performs the effects it returns, in their order. Nothing is awaited
per message: what takes time (TLS, connecting, the look-up of roles) happens in the handshake only, with the client's
reading paused. Back-pressure goes both ways: whoever's buffer is full stops the other side's reading, so a slow
reader or a fast writer costs the buffers' bounds and no more.

What is short is worked off as it arrives. What is long (`Session.long`) waits for its turn (`proxy.turns`), and then
everything that happens to this session waits behind it, in order; whoever sends more is not read meanwhile.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections import deque
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from dataclasses import replace
from time import monotonic
from typing import TYPE_CHECKING, Any, Final, cast, final

import structlog

from proxy.audit.event import Origin
from proxy.audit.log import AuditFailed
from proxy.control import FAILURES
from proxy.effects import (
    Close,
    ConnectServer,
    Contain,
    Delay,
    Effect,
    Fault,
    LookUpRoles,
    LookUpVerifier,
    Record,
    RefreshCatalog,
    RelayCancel,
    StartClientTLS,
    ToClient,
    ToServer,
)
from proxy.handshake import ClientTLS
from proxy.outlet import Outlet
from proxy.session import Session
from proxy.tls import ALPN, common_name, end_point, serve_tls
from proxy.turns import ROUND_SECONDS, Turns
from proxy.upstream import UpstreamRefused, connect, send_once
from proxy.wire.framing import LONG

if TYPE_CHECKING:
    from proxy.listener import Listener

_BUFFER: Final = 256 * 1024
"""Bytes that wait for one slow peer before the other is no longer read."""
_GOODBYE_SECONDS: Final = 5.0
"""How long a client may take to read its last messages, and a server may take none of them."""
_CLIENT_PIECE: Final = 4 * 1024
"""Bytes of the client's that are worked off as they come: a hundred times Bind and Execute. More is cut into pieces."""
_SERVER_PIECE: Final = 8 * 1024
"""Of the server's: what PostgreSQL sends at a time."""
_LONGEST_CLIENT_PIECE: Final = LONG
_LONGEST_SERVER_PIECE: Final = 64 * 1024
_SHORT: Final = 0.0005
"""Seconds; a piece that took less may be longer the next time."""

# What waits for its turn.
_CLIENT_DATA: Final = 0
_SERVER_DATA: Final = 1
_CLIENT_GONE: Final = 2
_SERVER_GONE: Final = 3
_SERVER_NOT_TRUSTED: Final = 4
_CATALOG_TAKEN: Final = 5
_CATALOG_NOT_TAKEN: Final = 6
_SHUT_DOWN: Final = 7
_CONTAINED: Final = 8

log = structlog.get_logger("sealgate.connection")


@final
class Client:
    """The client's end, an asyncio.Protocol in all but its class (a compiled one cannot have it). Owns the session."""

    def __init__(self, listener: Listener, number: str) -> None:
        self._listener = listener
        self._commits = listener.commits
        self._number = number
        self._transport: asyncio.Transport | None = None
        self._server: Server | None = None
        self._session: Session | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._startup: asyncio.TimerHandle | None = None
        self._goodbye: asyncio.TimerHandle | None = None
        self._server_is_full = False
        self._client_is_full = False
        self._outlet: Outlet | None = None
        self._waiting: deque[tuple[int, bytes, int]] = deque()
        """What has happened and waits for its turn: what it is, its bytes, and how many of them are done with."""
        self._occupied = False
        """Something waits for its turn, or another thread is at work: whatever happens waits behind it."""
        self._away = False
        """Another thread is at work."""
        self._client_waits = self._server_waits = False
        """Bytes of this side's are among what waits."""
        self._client_piece = _CLIENT_PIECE
        self._server_piece = _SERVER_PIECE
        """Bytes of the server's that are one piece."""
        self._early: bytearray | None = None
        """What TLS has decrypted before the session heard that TLS is up."""
        self._pending: list[Effect] | None = None
        """What happens once the events before it are on record; None: there are none."""
        self._delay: asyncio.TimerHandle | None = None
        """Until then what is pending waits, because the login is throttled."""
        self._lost = False
        self._closing = False
        self._draining = False

    def as_protocol(self) -> asyncio.Protocol:
        return cast("asyncio.Protocol", self)

    # The client's transport calls these.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are asyncio.Transport in all but their class.
        self._speak_through(cast("asyncio.Transport", transport))
        keep_alive(transport)
        peer = transport.get_extra_info("peername") or ("", 0)
        origin = Origin("", (), str(peer[0]), int(peer[1]), "", self._number, "", tls=False)
        listener = self._listener
        self._session = Session(
            listener.terms,
            listener.source,
            origin,
            listener.listen.max_message_bytes,
            listener.guards,
        )
        self._startup = asyncio.get_running_loop().call_later(
            listener.listen.startup_seconds, self._startup_timed_out
        )
        listener.joined(self)

    def _speak_through(self, transport: asyncio.Transport) -> None:
        transport.set_write_buffer_limits(high=_BUFFER)
        self._transport = transport
        self._outlet = Outlet(self._listener.turns, transport, self._read_server_or_wait)

    def data_received(self, data: bytes) -> None:
        core = self._session
        assert core is not None  # noqa: S101 - made with the connection
        if self._early is not None:
            self._early += data
            return
        if self._occupied or len(data) > _CLIENT_PIECE or core.long:
            self._happened(_CLIENT_DATA, data)
            return
        self._perform(core.client_data(data))
        if core.holding:
            self._read_or_wait()

    def eof_received(self) -> None:
        """Nothing more comes: close."""

    def connection_lost(self, exc: Exception | None) -> None:
        self._lost = True
        if self._early is None:  # Else `_start_tls` is about to hear of it, and why.
            self._happened(_CLIENT_GONE)

    def pause_writing(self) -> None:
        self._client_is_full = True
        if self._outlet is not None:
            self._outlet.pause()
        self._read_or_wait()
        self._read_server_or_wait()

    def resume_writing(self) -> None:
        self._client_is_full = False
        if self._outlet is not None:
            self._outlet.resume()
        self._read_or_wait()
        self._read_server_or_wait()

    # The server's end calls these.

    def server_data(self, data: bytes) -> None:
        core = self._session
        assert core is not None  # noqa: S101
        if self._occupied or len(data) > _SERVER_PIECE or core.long:
            self._happened(_SERVER_DATA, data)
            return
        was_holding = core.holding
        self._perform(core.server_data(data))
        if was_holding:
            self._read_or_wait()
        if self._draining:
            self._end_if_idle()

    def server_lost(self, exc: Exception | None) -> None:
        if self._closing:
            return
        if isinstance(exc, ssl.SSLError) and self._server is not None and not self._server.heard:
            # TLS 1.3: the server refuses our certificate when the handshake is over for us.
            log.warning("server refused TLS", session=self._number, problem=_told(exc))
            self._happened(_SERVER_NOT_TRUSTED)
        else:
            self._happened(_SERVER_GONE)

    def server_full(self, full: bool) -> None:
        """The server does not take what the client sends as fast as it comes; or it does again."""
        self._server_is_full = full
        self._read_or_wait()

    # The listener calls these.

    def drain(self) -> None:
        """End as soon as nothing is in flight and no transaction is open."""
        self._draining = True
        self._end_if_idle()

    def shut_down(self) -> None:
        """End now."""
        self._cut_delay()
        self._happened(_SHUT_DOWN)

    def heed(self) -> None:
        """Who is contained has changed."""
        if not self._closing:
            self._happened(_CONTAINED)

    def _end_if_idle(self) -> None:
        if not self._closing and not self._occupied and self._core.idle:
            self.shut_down()

    # Turns.

    def _happened(self, what: int, data: bytes = b"") -> None:
        """The session is to learn of it, behind everything that happened before."""
        self._waiting.append((what, data, 0))
        if not self._occupied:
            self._occupied = True
            self._listener.turns.queue(self._next_piece)
            if not self._occupied:
                return
        if what == _CLIENT_DATA:
            self._client_waits = True
            self._read_or_wait()
        elif what == _SERVER_DATA:
            self._server_waits = True
            self._read_server_or_wait()

    def _next_piece(self) -> bool:
        """Work off a piece of what waits. True: the next one may follow."""
        what, data, position = self._waiting.popleft()
        core = self._core
        if what == _CLIENT_DATA:
            missing = core.client_missing
            piece = self._cut(what, data, position, max(missing, self._client_piece))
            if missing and len(piece) >= missing:
                return self._leave(core.client_data, piece)
            began = monotonic()
            self._perform(core.client_data(piece))
            self._client_piece = _next_size(
                self._client_piece, monotonic() - began, _CLIENT_PIECE, _LONGEST_CLIENT_PIECE
            )
        elif what == _SERVER_DATA:
            missing = core.server_missing
            piece = self._cut(what, data, position, max(missing, self._server_piece))
            if (missing and len(piece) >= missing) or core.holding_long:
                return self._leave(core.server_data, piece)
            began = monotonic()
            self._perform(core.server_data(piece))
            self._server_piece = _next_size(
                self._server_piece, monotonic() - began, _SERVER_PIECE, _LONGEST_SERVER_PIECE
            )
        elif what in (_CATALOG_TAKEN, _CATALOG_NOT_TAKEN):
            taken = what == _CATALOG_TAKEN
            if core.holding_long:
                return self._leave(lambda _: core.catalog_refreshed(taken=taken), b"")
            self._perform(core.catalog_refreshed(taken=taken))
        elif what == _CLIENT_GONE:
            self._gone()
        elif what == _SHUT_DOWN:
            self._perform(core.shut_down())
        elif what == _CONTAINED:
            self._heed(core)
        else:
            gone = core.server_gone if what == _SERVER_GONE else core.server_not_trusted
            self._perform(gone())
        return self._goes_on()

    def _heed(self, core: Session) -> None:
        before = core.restraint
        effects = core.heed()
        after = core.restraint
        # What waits was decided to be released, and would not be any more.
        cut = after != before and after is not None and after != "throttle" and self._cut_delay()
        self._perform(effects)
        if cut and not self._closing:
            self._perform(core.shut_down())

    def _cut_delay(self) -> bool:
        """What waits is on record, and is not sent any more: the session cannot go on behind it. False: nothing waits."""
        delay, self._delay = self._delay, None
        if delay is None:
            return False
        delay.cancel()
        pending, self._pending = self._pending or [], None
        self._perform(
            [effect for effect in pending if isinstance(effect, Record | Contain | Close)]
        )
        return True

    def _goes_on(self) -> bool:
        if self._waiting:
            return True
        self._occupied = self._client_waits = self._server_waits = False
        self._read_or_wait()
        self._read_server_or_wait()
        if self._draining:
            self._end_if_idle()
        return False

    def _cut(self, what: int, data: bytes, position: int, size: int) -> bytes:
        """The next piece of `data`; the rest stays first of what waits."""
        end = position + size
        if end < len(data):
            self._waiting.appendleft((what, data, end))
        return data[position:end] if position or end < len(data) else data

    def _leave(self, work: Callable[[bytes], list[Effect]], data: bytes) -> bool:
        """Another thread does it; False: no other piece may follow until that is done."""
        self._away = True
        self._core.away()
        try:
            self._listener.turns.in_thread(work, data, self._returned)
        except RuntimeError as failed:
            log.error("no thread for long work", session=self._number, exc_info=failed)
            self._away = False
            self._core.back()
            self._abort()
            return self._goes_on()
        return False

    def _returned(self, done: Future[list[Effect]]) -> None:
        self._away = False
        self._core.back()
        failed = done.exception()
        if failed is not None:
            log.error("session failed", session=self._number, exc_info=failed)
            self._abort()
        else:
            self._perform(done.result())
        if self._goes_on():
            self._listener.turns.queue(self._next_piece)

    # Effects.

    @property
    def _core(self) -> Session:
        assert self._session is not None  # noqa: S101 - made with the connection
        return self._session

    def _perform(self, effects: list[Effect]) -> None:
        if self._pending is not None:
            self._pending += effects
            return
        try:
            self._perform_in_order(effects)
        except Exception as fault:
            log.error("session failed", session=self._number, exc_info=fault)
            self._abort()

    def _perform_in_order(self, effects: list[Effect]) -> None:
        position, size = 0, len(effects)
        while position < size:
            effect = effects[position]
            position += 1
            if isinstance(effect, ToServer):
                if self._server is not None:
                    self._server.write(effect.data)
            elif isinstance(effect, ToClient):
                if self._outlet is not None:
                    self._outlet.write(effect.data)
            elif isinstance(effect, Record):
                entries = [effect.entry]
                while position < size and isinstance(next_one := effects[position], Record):
                    entries.append(next_one.entry)
                    position += 1
                self._pending = effects[position:]
                self._commits.add(entries, self._recorded)
                return
            elif isinstance(effect, Delay):
                self._pending = effects[position:]
                later = asyncio.get_running_loop().call_later
                self._delay = later(effect.seconds, self._delayed)
                self._read_or_wait()
                self._read_server_or_wait()
                return
            else:
                self._perform_rarer(effect)

    def _delayed(self) -> None:
        """The delay is over."""
        self._delay = None
        effects, self._pending = self._pending or [], None
        self._perform(effects)
        self._read_or_wait()
        self._read_server_or_wait()

    def _recorded(self, failed: Exception | None) -> None:
        """The events are on record, and what stood behind them happens. Or they are not: then it does not."""
        effects, self._pending = self._pending or [], None
        if failed is None:
            self._perform(effects)
            return
        if not isinstance(failed, AuditFailed):
            log.error("session failed", session=self._number, exc_info=failed)
            self._abort()
            return
        log.error("access log cannot be written", session=self._number, problem=str(failed))
        if self._listener.release_unrecorded:
            self._perform(effects)
        elif self._away:
            self._abort()  # The core is another thread's just now: it cannot be asked for a last word.
        elif not self._closing:
            self._perform(self._core.record_failed())

    def _perform_rarer(self, effect: Effect) -> None:
        match effect:
            case Fault(error):
                log.error("session failed", session=self._number, exc_info=error)
            case Contain(containment):
                self._listener.contain(containment)
            case Close(reason):
                log.debug("session ended", session=self._number, reason=reason)
                self._close()
            case RefreshCatalog(awaited=False):
                self._listener.refresh_catalog()
            case _:
                self._start(self._in_the_background(effect))

    def _close(self) -> None:
        """Let the client read what was sent, then end; the server's connection ends at once."""
        self._closing = True
        self._cancel_startup()
        if self._server is not None:
            self._server.close()
        transport = self._transport
        if transport is not None and not transport.is_closing() and self._goodbye is None:
            if self._outlet is not None:
                self._outlet.close()
            later = asyncio.get_running_loop().call_later
            self._goodbye = later(_GOODBYE_SECONDS, transport.abort)

    def _abort(self) -> None:
        """End without another word."""
        self._closing = True
        if self._transport is not None:
            self._transport.abort()
        self._gone()

    def _gone(self) -> None:
        """The client's connection is no more."""
        if self._away:
            self._waiting.append((_CLIENT_GONE, b"", 0))
            return
        self._cancel_startup()
        if self._delay is not None:
            self._cut_delay()
        if self._goodbye is not None:
            self._goodbye.cancel()  # It would keep the session, and what it has buffered, alive.
        if not self._closing:
            self._perform(self._core.client_gone())
        if self._pending is not None:
            self._commits.commit()
        self._closing = True
        current = asyncio.current_task()
        for task in self._tasks - {current}:
            task.cancel()
        if self._server is not None:
            self._server.close()
        # The two ends hold each other: without these, their memory would wait for the collector of cycles.
        self._server = self._outlet = None
        self._listener.left(self)

    def _read_or_wait(self) -> None:
        """The client is read while nothing is under way that it waits for and the server takes what it sends.

        And while it reads itself, as PostgreSQL does: what is in flight takes more memory here than on the wire.
        """
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        full = self._server_is_full or (self._server is not None and self._server.busy)
        full = full or self._delay is not None
        if full or self._client_is_full or self._tasks or self._client_waits or self._core.holding:
            transport.pause_reading()
        else:
            transport.resume_reading()

    def _read_server_or_wait(self) -> None:
        """The server is read while the client takes what it says, and nothing of that waits for its turn."""
        if self._server is None:
            return
        full = self._client_is_full or (self._outlet is not None and self._outlet.busy)
        if full or self._server_waits or self._delay is not None:
            self._server.pause_reading()
        else:
            self._server.resume_reading()

    # What takes time: the handshake's steps, and looking at the catalog again after DDL.

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        self._read_or_wait()
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            log.error("session failed", session=self._number, exc_info=task.exception())
            self._abort()
        else:
            self._read_or_wait()

    async def _in_the_background(self, effect: Effect) -> None:
        match effect:
            case StartClientTLS(received):
                await self._start_tls(received)
            case ConnectServer():
                await self._connect()
            case LookUpRoles(login):
                await self._look_up_roles(login)
            case LookUpVerifier(login):
                await self._look_up_verifier(login)
            case RelayCancel(packet):
                await self._relay_cancel(packet)
            case RefreshCatalog():
                taken = await self._listener.catalog_refreshed()
                self._happened(_CATALOG_TAKEN if taken else _CATALOG_NOT_TAKEN)

    async def _start_tls(self, received: bytes) -> None:
        context, transport = self._listener.tls, self._transport
        assert context is not None  # noqa: S101 - else the session does not offer it
        assert transport is not None  # noqa: S101 - a client that speaks has one
        if not received:
            transport.write(b"S")
        # A client may send its startup packet with the last of the handshake: it waits until the session knows.
        self._early = bytearray()
        try:
            secured = await serve_tls(transport, self.as_protocol(), context, received)
        except OSError as failed:  # ssl.SSLError is one
            reason = getattr(failed, "reason", "") or ""
            problem = f"{type(failed).__name__} {reason}".rstrip()
            log.info("client TLS failed", session=self._number, problem=problem)
            self._abort()
            return
        if secured is not None:
            self._speak_through(secured)
        if self._closing or self._lost or secured is None:
            self._abort()
            return
        peer = secured.get_extra_info("ssl_object")
        found = ClientTLS(peer.selected_alpn_protocol() == ALPN, common_name(peer))
        early, self._early = bytes(self._early), None
        self._perform(self._core.client_tls_started(replace(self._core.origin, tls=True), found))
        if early and not self._closing:
            self._happened(_CLIENT_DATA, early)

    async def _connect(self) -> None:
        listener = self._listener
        self._cancel_startup()
        if listener.full:
            self._perform(self._core.too_many_clients())
            return
        if not listener.ready:
            self._perform(self._core.server_unreachable())
            return
        server = Server(self, listener.turns)
        try:
            await connect(listener.upstream, listener.upstream_tls, server.as_protocol)
        except (ssl.SSLError, UpstreamRefused) as failed:
            log.warning("server not trusted", session=self._number, problem=_told(failed))
            self._perform(self._core.server_not_trusted())
            return
        except OSError as failed:
            log.warning("server unreachable", session=self._number, problem=_told(failed))
            self._perform(self._core.server_unreachable())
            return
        if self._closing:
            server.close()
            return
        self._server = server
        self._perform(self._core.server_connected(server.end_point))

    async def _look_up_roles(self, login: str) -> None:
        roles = await self._listener.roles_of(login)
        if self._closing:
            return
        self._perform(
            self._core.roles_known(roles) if roles is not None else self._core.roles_unknown()
        )

    async def _look_up_verifier(self, login: str) -> None:
        try:
            verifier = await self._listener.verifier_of(login)
        except FAILURES as failed:
            log.warning("SCRAM secret not read", problem=type(failed).__name__)
            self._perform(self._core.verifier_unknown())
            return
        if not self._closing:
            self._perform(self._core.verifier_known(verifier))

    async def _relay_cancel(self, packet: bytes) -> None:
        try:
            await send_once(self._listener.upstream, self._listener.upstream_tls, packet)
        except (OSError, ssl.SSLError) as failed:
            log.warning("cancel request not delivered", problem=type(failed).__name__)
        self._close()

    # The time a stranger may take.

    def _startup_timed_out(self) -> None:
        log.info("no startup packet in time", session=self._number)
        self._close()

    def _cancel_startup(self) -> None:
        if self._startup is not None:
            self._startup.cancel()
            self._startup = None


@final
class Server:
    """The server's end of one client's session; an asyncio.Protocol as `Client` is."""

    def __init__(self, client: Client, turns: Turns) -> None:
        self._client = client
        self._turns = turns
        self._transport: asyncio.Transport | None = None
        self._full = False
        self._outlet: Outlet | None = None
        self._goodbye: asyncio.TimerHandle | None = None
        self.heard = False
        """The server has said something."""

    def as_protocol(self) -> asyncio.Protocol:
        return cast("asyncio.Protocol", self)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are asyncio.Transport in all but their class.
        self._transport = cast("asyncio.Transport", transport)
        self._transport.set_write_buffer_limits(high=_BUFFER)
        self._outlet = Outlet(self._turns, self._transport, self._changed)
        keep_alive(transport)

    @property
    def end_point(self) -> bytes:
        """The channel binding tls-server-end-point; b"" without TLS."""
        if self._transport is None:
            return b""
        return end_point(self._transport.get_extra_info("ssl_object"))

    def data_received(self, data: bytes) -> None:
        self.heard = True
        self._client.server_data(data)

    def eof_received(self) -> None:
        """Nothing more comes: close."""

    def connection_lost(self, exc: Exception | None) -> None:
        if self._goodbye is not None:
            self._goodbye.cancel()
        self._outlet = self._transport = None
        self._client.server_lost(exc)

    def pause_writing(self) -> None:
        self._full = True
        if self._outlet is not None:
            self._outlet.pause()
        self._client.server_full(True)

    def resume_writing(self) -> None:
        self._full = False
        if self._outlet is not None:
            self._outlet.resume()
        self._client.server_full(False)

    @property
    def busy(self) -> bool:
        """Something long is being written."""
        return self._outlet is not None and self._outlet.busy

    def write(self, data: bytes) -> None:
        if self._outlet is not None:
            self._outlet.write(data)

    def _changed(self) -> None:
        self._client.server_full(self._full)

    def pause_reading(self) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.pause_reading()

    def resume_reading(self) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.resume_reading()

    def close(self) -> None:
        """End once the server has taken what was sent."""
        transport, outlet = self._transport, self._outlet
        if transport is None or outlet is None or self._goodbye is not None:
            return
        outlet.close()
        self._wait_for_the_end(transport)

    def _wait_for_the_end(self, transport: asyncio.Transport, before: int = -1) -> None:
        """A server that is itself waiting, for a client that is gone to read, takes nothing any more: then that is cut.

        Else its session, and the locks it has, would stay for ever.
        """
        left = self._outlet.left if self._outlet is not None else 0
        left += transport.get_write_buffer_size()
        if left == before:
            transport.abort()
            return
        later = asyncio.get_running_loop().call_later
        self._goodbye = later(_GOODBYE_SECONDS, self._wait_for_the_end, transport, left)


def _next_size(size: int, seconds: float, least: int, most: int) -> int:
    """How long the next piece may be: what is simply relayed goes in large ones, a pipeline of statements in small ones."""
    if seconds < _SHORT:
        return min(2 * size, most)
    return max(size // 4, least) if seconds > ROUND_SECONDS else size


def _told(failed: Exception) -> str:
    """For the operations log: OpenSSL's and the system's words hold no key and nothing that was sent."""
    return f"{type(failed).__name__}: {failed}"


def keep_alive(transport: asyncio.BaseTransport) -> None:
    """A peer that is gone without a word is found out (libpq's and PostgreSQL's own default)."""
    sock = transport.get_extra_info("socket")
    if sock is not None and sock.family != socket.AF_UNIX:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
