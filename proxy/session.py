"""One client's session, without I/O: bytes and events in, effects out.

The shell (`proxy.connection`) calls one method per thing that happened and performs the effects it gets back, in
order. Which of the three relays is at work follows from the handshake:

    Handshake   until the server has let the client in
    Request and Response   a session on the protected database
    plain relay            a session on another database, or replication: nothing is sealed or unsealed

Whatever goes wrong in here ends this one session, with an error the client understands and an event.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import ParamSpec

from proxy.audit.event import Origin, protocol_violation, session_closed
from proxy.detection.guard import KILLED, Guards
from proxy.detection.restraint import HINT, Restraint
from proxy.effects import Close, Effect, Fault, Record, ToClient, ToServer
from proxy.handshake import ClientTLS, Handshake, Phase, Terms
from proxy.inflight import Kind, Owed
from proxy.request import Request
from proxy.response import Response
from proxy.scram import Verifier
from proxy.snapshot import Authority, SnapshotSource
from proxy.sql.plan import Changes
from proxy.state import State, startup_claims, startup_settings
from proxy.wire.framing import BadMessage
from proxy.wire.messages import error_response

HELD_LIMIT = 256 * 1024
"""Bytes of the client's that may wait for the server before its connection is read no more."""
SERVER_MESSAGE_LIMIT = 0x3FFFFFFF
"""PostgreSQL's own bound on a message (MaxAllocSize), in bytes."""


P = ParamSpec("P")


class Session:
    """Holds the three relays and turns their failures into the end of the session."""

    __slots__ = (
        "_guards",
        "_handshake",
        "_max_message",
        "_over",
        "_request",
        "_response",
        "_source",
        "_state",
    )

    def __init__(
        self,
        terms: Terms,
        source: SnapshotSource,
        origin: Origin,
        max_message: int,
        guards: Guards | None = None,
    ) -> None:
        """`guards`: judge what is released; None: nobody does."""
        self._guards = guards
        self._handshake = Handshake(terms, origin)
        self._source = source
        self._max_message = max_message
        self._request: Request | None = None
        self._response: Response | None = None
        self._state: State | None = None
        self._over = False

    @property
    def origin(self) -> Origin:
        return self._state.origin if self._state is not None else self._handshake.origin

    @property
    def idle(self) -> bool:
        """Nothing is in flight and no transaction is open: draining may close it."""
        state = self._state
        return state is None or (not len(state.inflight) and state.transaction_status == ord("I"))

    @property
    def holding(self) -> bool:
        """What the client sent waits for the server, in our buffer or in its queue, and no more of it need be read. Up to a bound it is: nobody learns
        otherwise that the client has gone.
        """
        request, state = self._request, self._state
        if state is not None and state.inflight.deep:
            return True
        return request is not None and request.holding and request.held > HELD_LIMIT

    # How long things take. A long message may be read in another thread: `away` before, `back` after it.

    @property
    def long(self) -> bool:
        """Something long has been received in part, or waits. Else no call takes long that is given a few kilobytes."""
        request, response = self._request, self._response
        return (request is not None and request.missing > 0) or (
            response is not None and response.missing > 0
        )

    @property
    def client_missing(self) -> int:
        """So many bytes of the client's, and something long is read: that takes long. 0: nothing long has begun."""
        return self._request.missing if self._request is not None else 0

    @property
    def server_missing(self) -> int:
        """The same of the server's."""
        return self._response.missing if self._response is not None else 0

    @property
    def holding_long(self) -> bool:
        """The server's word may be what something long of the client's waits for."""
        request = self._request
        return request is not None and request.holding and request.missing > 0

    def away(self) -> None:
        """The next call is another thread's: what the session decides by stays the same meanwhile."""
        if self._state is not None:
            self._state.source = SnapshotSource(self._source.current)

    def back(self) -> None:
        """The other thread is done."""
        if self._state is not None:
            self._state.source = self._source

    # What happens to it.

    def client_data(self, data: bytes) -> list[Effect]:
        """The client sent bytes."""
        request = self._request
        if request is None:
            return self._react("client", self._from_client, data)
        try:
            return request.receive(data)  # Never the end: that comes as an exception.
        except BadMessage as bad:
            return self._violated("client", bad)
        except Exception as fault:
            return self._broken(fault)

    def server_data(self, data: bytes) -> list[Effect]:
        """The server sent bytes."""
        response, request = self._response, self._request
        if response is None or request is None or request.holding:
            return self._react("server", self._from_server, data)
        try:
            return self._ended_by(response.receive(data))
        except BadMessage as bad:
            return self._violated("server", bad)
        except Exception as fault:
            return self._broken(fault)

    def client_tls_started(self, origin: Origin, found: ClientTLS | None = None) -> list[Effect]:
        return self._react("client", self._handshake.client_tls_started, origin, found)

    def server_connected(self, end_point: bytes = b"") -> list[Effect]:
        return self._react("server", self._handshake.server_connected, end_point)

    def server_not_trusted(self) -> list[Effect]:
        return self._react("server", self._handshake.server_not_trusted)

    def server_unreachable(self) -> list[Effect]:
        return self._react("server", self._handshake.server_unreachable)

    def too_many_clients(self) -> list[Effect]:
        text = "sorry, too many clients already"
        return self._react("client", self._handshake.refused, "53300", text)

    def roles_known(self, roles: frozenset[str]) -> list[Effect]:
        return self._react("server", self._with_roles, roles)

    def roles_unknown(self) -> list[Effect]:
        return self._react("server", self._handshake.roles_unknown)

    def catalog_refreshed(self, *, taken: bool = True) -> list[Effect]:
        """After RefreshCatalog(awaited=True): the picture is the newest, or could not be `taken`."""
        return self._react("server", self._after_refresh, taken)

    def verifier_known(self, verifier: Verifier | None) -> list[Effect]:
        return self._react("server", self._handshake.verifier_known, verifier)

    def verifier_unknown(self) -> list[Effect]:
        return self._react("server", self._handshake.verifier_unknown)

    def client_gone(self) -> list[Effect]:
        """The client closed its side, or its connection broke."""
        return self._end("client disconnected")

    def server_gone(self) -> list[Effect]:
        """The server closed its side. What it said last has been relayed already."""
        return self._end("server disconnected")

    def record_failed(self) -> list[Effect]:
        """An event could not be written and the configuration says deny: nothing more is released."""
        self._over = True
        self._forget()
        text = "the access log cannot be written, so nothing may be released"
        hint = "Sealgate's log says why. [audit] on_failure decides."
        return [ToClient(error_response("FATAL", "58030", text, hint)), Close(text)]

    @property
    def restraint(self) -> Restraint:
        """What its decisions are under."""
        return self._state.authority.restraint if self._state is not None else None

    def heed(self) -> list[Effect]:
        """Who is contained has changed. A session in the middle of a result or a copy of sealed columns ends: what is on its
        way was decided before.
        """
        state = self._state
        if self._over or state is None or state.guard is None:
            return []
        restraint = state.guard.restraint
        before = state.authority.restraint
        if restraint == before:
            return []
        state.restrain(restraint)
        if restraint == "kill" or (
            restraint not in (None, "throttle")
            and self._response is not None
            and self._response.releasing
        ):
            return self._contained()
        return []

    def _contained(self) -> list[Effect]:
        text = "terminating connection: this login is contained by Sealgate"
        farewell: list[Effect] = [ToClient(error_response("FATAL", KILLED, text, HINT))]
        return [*farewell, *self._end("the login is contained")]

    def shut_down(self) -> list[Effect]:
        """The proxy stops: PostgreSQL's own words."""
        if self._over:
            return []
        text = "terminating connection due to administrator command"
        farewell: list[Effect] = [ToClient(error_response("FATAL", "57P01", text))]
        return [*farewell, *self._end("proxy is shutting down")]

    # Transitions.

    def _react(
        self, peer: str, react: Callable[P, list[Effect]], *what: P.args, **more: P.kwargs
    ) -> list[Effect]:
        """Effects of one thing that happened; what goes wrong in it ends this session and no other."""
        if self._over:
            return []
        try:
            return self._ended_by(react(*what, **more))
        except BadMessage as bad:
            return self._violated(peer, bad)
        except Exception as fault:
            return self._broken(fault)

    def _from_client(self, data: bytes) -> list[Effect]:
        if self._request is not None:
            return self._request.receive(data)
        if self._handshake.phase is Phase.DONE:
            return [ToServer(data)]
        return self._handshake.client_data(data)

    def _from_server(self, data: bytes) -> list[Effect]:
        if self._response is not None and self._request is not None:
            effects = self._response.receive(data)
            if self._request.holding and not (effects and isinstance(effects[-1], Close)):
                effects += self._resumed(self._request)
            return effects
        if self._handshake.phase is Phase.DONE:
            return [ToClient(data)]
        effects = self._handshake.server_data(data)
        return effects + self._begin()

    def _after_refresh(self, taken: bool) -> list[Effect]:
        if self._response is None or self._request is None:
            return []
        return self._response.catalog_refreshed(taken=taken) + self._resumed(self._request)

    def _resumed(self, request: Request) -> list[Effect]:
        """What the client sent goes on being read. If that fails, it fails for the client: what the server has said stands."""
        return self._react("client", request.resume)

    def _with_roles(self, roles: frozenset[str]) -> list[Effect]:
        guards, origin = self._guards, self._handshake.origin
        if guards is not None and self._handshake.protected:
            restraint = guards.restraint(origin.login, origin.session)
            if restraint in ("quarantine", "kill"):
                return self._handshake.contained()
        effects = self._handshake.roles_known(roles)
        return effects + self._begin()

    def _begin(self) -> list[Effect]:
        """The handshake is done: hand over, beginning with what the server has sent meanwhile."""
        handshake = self._handshake
        if handshake.phase is not Phase.DONE:
            return []
        if not handshake.protected:
            return [ToClient(handshake.server_rest)]
        state = State(
            source=self._source,
            origin=replace(handshake.origin, claimed=startup_claims(handshake.startup.parameters)),
            authority=Authority(self._source.current, handshake.roles),
            settings=startup_settings(handshake.startup.parameters),
            message_limit=self._max_message,
            unsettled=Changes.ROLE,  # ALTER ROLE ... SET role, and nobody says so.
        )
        if self._guards is not None:
            state.guard = self._guards.guard(handshake.origin.login, handshake.origin.session)
            if state.guard.restraint is not None:
                state.restrain(state.guard.restraint)
        state.inflight.push(Owed(Kind.SYNC))  # The startup packet's answer ends like a Sync's.
        self._state = state
        self._request = Request(state, self._max_message)
        self._response = Response(state, SERVER_MESSAGE_LIMIT)
        effects = self._response.receive(handshake.server_rest)
        if state.authority.restraint == "kill":
            effects += self._contained()
        return effects

    def _violated(self, peer: str, bad: BadMessage) -> list[Effect]:
        text = f"protocol violation by the {peer}: {bad}"
        return [
            *self._interrupted(),
            Record(protocol_violation(self.origin, text)),
            ToClient(error_response("FATAL", bad.sqlstate, text)),
            *self._end(text),
        ]

    def _broken(self, fault: Exception) -> list[Effect]:
        """A fault of ours. The client and the access log are told that it happened, the operations log where."""
        text = "internal error in Sealgate"
        try:
            interrupted = self._interrupted()
        except Exception:
            interrupted = []
        hint = "Sealgate's log says where. Nothing was released that is not on record."
        told = ToClient(error_response("FATAL", "XX000", text, hint))
        self._forget()
        return [*interrupted, Fault(fault), told, *self._end(text)]

    def _ended_by(self, effects: list[Effect]) -> list[Effect]:
        """If the last of the effects is the end, the access log says so before it."""
        if not self._over and effects and isinstance(effects[-1], Close):
            effects[-1:] = self._end(effects[-1].reason)
        return effects

    def _end(self, reason: str) -> list[Effect]:
        if self._over:
            return []
        self._over = True
        if self._handshake.phase is not Phase.DONE:
            return [Close(reason)]  # No session was opened.
        interrupted = self._interrupted()
        self._forget()
        return [*interrupted, Record(session_closed(self.origin, reason)), Close(reason)]

    def _forget(self) -> None:
        """What is buffered goes now: the session itself stays until its transports are collected."""
        self._request = self._response = None

    def _interrupted(self) -> list[Effect]:
        if self._request is None or self._response is None:
            return []
        return [*self._request.interrupted(), *self._response.interrupted()]
