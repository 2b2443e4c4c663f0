"""From the first byte to the first ReadyForQuery: who is there, and does the server let them in?

    FIRST       SSLRequest, GSSENCRequest, CancelRequest, StartupMessage or a TLS ClientHello (direct TLS) may come
    CONNECTING  the shell connects to the server
    RELAYING    the server authenticates; both directions are relayed. SCRAM is relayed without SCRAM-SHA-256-PLUS,
                which binds to a TLS channel that ends here, or terminated: see `authentication`
    ACCEPTED    AuthenticationOk has arrived; the shell asks the catalog for the login's roles. What the server sends
                up to its first ReadyForQuery is kept: it may still refuse the login (no such role or database)
    DONE        the session may begin (or, for other databases and replication, a relay without unsealing)

Sources: PostgreSQL manual, "Start-up", "SSL Session Encryption", "SASL Authentication"; backend_startup.c for direct
TLS. The handshake never sees a password in a form it keeps: authentication messages are relayed and forgotten.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from enum import Enum, auto
from typing import Final, Literal

from proxy.audit.event import Origin, authentication, protocol_violation, session_opened
from proxy.authentication import Authentication
from proxy.detection.restraint import HINT as CONTAINED
from proxy.effects import (
    Close,
    ConnectServer,
    Effect,
    LookUpRoles,
    LookUpVerifier,
    Record,
    RelayCancel,
    StartClientTLS,
    ToClient,
    ToServer,
)
from proxy.scram import ScramRefused, Verifier
from proxy.wire.framing import HEADER_SIZE, INT32, BadMessage, MessageBuffer, StartupBuffer
from proxy.wire.messages import (
    AUTHENTICATION,
    CANCEL_REQUEST,
    ERROR_RESPONSE,
    GSSENC_REQUEST,
    PASSWORD,
    READY_FOR_QUERY,
    SSL_REQUEST,
    TERMINATE,
    Startup,
    error_response,
    read_fields,
    read_startup,
    startup_code,
)

AUTHENTICATION_LIMIT: Final = 65_535
"""PG_MAX_AUTH_TOKEN_LENGTH: the longest message of an authentication exchange, in bytes."""
_TLS_HANDSHAKE: Final = 0x16
NAME_BYTES: Final = 63
"""NAMEDATALEN - 1: PostgreSQL cuts a longer login."""
AUTHENTICATION_OK: Final = 0


_REPLICATION: Final = re.compile("database|t(r(u(e)?)?)?|y(e(s)?)?|on|1")
"""What makes PostgreSQL start a walsender (ProcessStartupPacket, parse_bool); other values it takes as no, or refuses."""
_WELCOME_LIMIT: Final = 1 << 20
"""Bytes the server may say between AuthenticationOk and the first ReadyForQuery (login triggers raise notices)."""


def _cut(name: str) -> str:
    """A login or database as PostgreSQL looks it up."""
    return name.encode()[:NAME_BYTES].decode("utf-8", "ignore")


class Phase(Enum):
    FIRST = auto()
    CONNECTING = auto()
    RELAYING = auto()
    ACCEPTED = auto()
    DONE = auto()


@dataclass(frozen=True, slots=True)
class Terms:
    """What the listener offers: one value for all its sessions."""

    database: str
    """The protected database; sessions on others are relayed without unsealing."""
    tls_available: bool = False
    tls_required: bool = False
    client_certificate: Literal["none", "verify-ca", "verify-full"] = "none"
    end_point: bytes = b""
    """tls-server-end-point of the proxy's own certificate."""
    terminate_scram: bool = False


@dataclass(frozen=True, slots=True)
class ClientTLS:
    """What the TLS handshake with the client found out."""

    alpn: bool = False
    """The client named the protocol, and it is PostgreSQL's."""
    common_name: str | None = None
    """CN of the client's verified certificate; None: it showed none."""


class Handshake:
    """Feed it both directions until `phase` is DONE; then take `server_rest` into the session."""

    __slots__ = (
        "_answers",
        "_authentication",
        "_begun",
        "_client",
        "_common_name",
        "_direct",
        "_negotiated",
        "_packet",
        "_ready",
        "_roles_known",
        "_server",
        "_terms",
        "_welcome",
        "origin",
        "phase",
        "roles",
        "server_rest",
        "startup",
    )

    def __init__(self, terms: Terms, origin: Origin) -> None:
        self._terms = terms
        self._client = StartupBuffer()
        self._answers = MessageBuffer(AUTHENTICATION_LIMIT)
        self._server = MessageBuffer(AUTHENTICATION_LIMIT)
        self._begun = False
        """The client has sent something."""
        self._direct = False
        self._negotiated = False
        self._common_name: str | None = None
        self._authentication = Authentication()
        self._packet = b""
        self._ready = False
        self._roles_known = False
        self._welcome = b""
        self.origin = origin
        self.phase = Phase.FIRST
        self.roles: frozenset[str] = frozenset()
        self.startup = Startup(0, {})
        self.server_rest = b""
        """What the server has sent from AuthenticationOk on, once the phase is DONE."""

    @property
    def protected(self) -> bool:
        """The session is on the protected database and speaks SQL, not replication."""
        replication = self.startup.parameters.get("replication", "").lower()
        return not _REPLICATION.fullmatch(replication) and (
            _cut(self.database) == _cut(self._terms.database)
        )

    @property
    def database(self) -> str:
        parameters = self.startup.parameters
        return parameters.get("database") or parameters.get("user", "")

    # Client's side.

    def client_data(self, data: bytes) -> list[Effect]:
        """Bytes from the client. Raises `BadMessage`."""
        if self.phase is not Phase.FIRST:
            return self._answered(data)
        first, self._begun = not self._begun, True
        if first and data[:1] == bytes([_TLS_HANDSHAKE]):
            if not self._terms.tls_available:
                raise BadMessage("direct TLS, and no certificate is configured")
            self._direct = True
            return [StartClientTLS(data)]
        packet = self._client.feed(data)
        if packet is None:
            return []
        return self._first(*packet)

    def _answered(self, data: bytes) -> list[Effect]:
        """The client's part of the authentication exchange. Anything else comes too early: it would reach the server
        unread, past plan, policy and access log.
        """
        if self.phase is not Phase.RELAYING:
            raise BadMessage("data before the server has asked for it")
        data = self._answers.feed(data)
        position = 0
        out: list[bytes] = []
        while len(data) - position >= HEADER_SIZE:
            if data[position] not in (PASSWORD, TERMINATE):
                raise BadMessage("only a password may be sent before the login is complete")
            end = position + 1 + self._answers.length(data, position)
            if end > len(data):
                break
            try:
                out.append(self._authentication.answered(data[position:end]))
            except ScramRefused as refused:
                return self._not_let_in(refused.sqlstate, refused.text, refused.hint)
            position = end
        self._answers.keep(data[position:])
        return [ToServer(b"".join(out))] if out else []

    def _not_let_in(
        self, sqlstate: str, text: str, hint: str = "", method: str = ""
    ) -> list[Effect]:
        return [
            Record(
                authentication(self.origin, False, sqlstate, method or self._authentication.method)
            ),
            *_fatal(sqlstate, text, hint),
        ]

    def client_tls_started(self, origin: Origin, found: ClientTLS | None = None) -> list[Effect]:
        """The TLS handshake with the client is done."""
        found = found or ClientTLS()
        self.origin = origin
        self._negotiated = True
        self._common_name = found.common_name
        if self._direct and not found.alpn:
            # Without a word, as PostgreSQL: the client may be a browser that somebody sent here.
            reason = "direct TLS connection without ALPN"
            return [Record(protocol_violation(self.origin, reason)), Close(reason)]
        return []

    def _first(self, packet: bytes, rest: bytes) -> list[Effect]:
        code = startup_code(packet)
        if rest:
            # Also CVE-2021-23214: bytes in clear behind an SSLRequest must not become part of the session.
            raise BadMessage("data behind the startup packet")
        if code == SSL_REQUEST:
            if self._terms.tls_available and not self._negotiated:
                return [StartClientTLS()]
            return [ToClient(b"N")]
        if code == GSSENC_REQUEST:
            return [ToClient(b"N")]
        if code == CANCEL_REQUEST:
            return self._cancel(packet)
        if code >> 16 != 3:
            raise BadMessage(f"unsupported frontend protocol {code >> 16}.{code & 0xFFFF}")
        return self._startup(packet)

    def _cancel(self, packet: bytes) -> list[Effect]:
        """In clear it is taken also where TLS is required, as by PostgreSQL: psql and psycopg2 send it so, and to refuse
        it protects nobody, since who has read the key may come back with TLS. A certificate, though, they do not have.
        """
        if self._terms.client_certificate != "none" and self._common_name is None:
            raise BadMessage("cancel request without a client certificate")
        return [RelayCancel(packet)]

    def _startup(self, packet: bytes) -> list[Effect]:
        self.startup = read_startup(packet)
        user = self.startup.parameters.get("user", "")
        if not user:
            return _fatal("28000", "no PostgreSQL user name specified in startup packet")
        self.origin = replace(
            self.origin,
            login=_cut(user),
            application_name=self.startup.parameters.get("application_name", ""),
            database=self.database,
        )
        if self._terms.tls_required and not self.origin.tls:
            hint = "Connect with sslmode=require or stronger."
            return self._not_let_in("28000", "this server requires TLS", hint, "none")
        refusal = self._certificate_refused()
        if refusal:
            return self._not_let_in("28000", refusal, "", "cert")
        self._packet = packet
        self.phase = Phase.CONNECTING
        return [ConnectServer()]

    def _certificate_refused(self) -> str:
        """PostgreSQL's words for what `clientcert` in pg_hba.conf refuses; "" where there is nothing to refuse."""
        mode, name = self._terms.client_certificate, self._common_name
        if mode == "none":
            return ""
        if name is None:
            return "connection requires a valid client certificate"
        if mode == "verify-full" and name != self.origin.login:
            return f'certificate authentication failed for user "{self.origin.login}"'
        return ""

    # Server's side.

    def server_connected(self, end_point: bytes = b"") -> list[Effect]:
        """The connection to the server is up: the startup packet goes out as the client wrote it.

        end_point: tls-server-end-point of the server's certificate; b"" without TLS.
        """
        own = self._terms.end_point if self.origin.tls else b""
        self._authentication = Authentication(own, end_point, terminate=self._terms.terminate_scram)
        self.phase = Phase.RELAYING
        return [ToServer(self._packet)]

    def refused(self, sqlstate: str, text: str) -> list[Effect]:
        """The proxy cannot take this client, for a reason of its own."""
        return _fatal(sqlstate, text)

    def contained(self) -> list[Effect]:
        """The login is in quarantine: it has proved who it is, and is not let in."""
        return self._not_let_in("28000", "this login is contained by Sealgate", CONTAINED)

    def server_unreachable(self) -> list[Effect]:
        """PostgreSQL's own answer while it cannot take connections."""
        return _fatal(
            "57P03", "the database server is not reachable", "Try again; Sealgate's log says why."
        )

    def server_not_trusted(self) -> list[Effect]:
        """There is no TLS with the server of the kind that the configuration asks for."""
        text = "Sealgate has no trusted TLS connection to the database server"
        return _fatal("08001", text, "Sealgate's log says why.")

    def server_data(self, data: bytes) -> list[Effect]:
        """Bytes from the server. Raises `BadMessage`."""
        data = self._server.feed(data)
        position = 0
        effects: list[Effect] = []
        out: list[bytes] = []
        while len(data) - position >= HEADER_SIZE:
            end = position + 1 + self._server.length(data, position)
            if end > len(data):
                break
            if self._ready:
                break  # The session's first messages; they are in `server_rest`.
            try:
                effects += self._message(data[position:end], out)
            except ScramRefused as refused:
                return effects + self._not_let_in(refused.sqlstate, refused.text, refused.hint)
            position = end
        if len(self._welcome) + len(data) - position > _WELCOME_LIMIT:
            raise BadMessage("the server says too much before the first ReadyForQuery")
        if self._ready:
            self._welcome += data[position:]
        else:
            self._server.keep(data[position:])
        if out:
            effects.append(ToClient(b"".join(out)))
        return effects + self._begin()

    def _message(self, whole: bytes, out: list[bytes]) -> list[Effect]:
        """One message of the server's before ReadyForQuery: relayed, or kept until the roles are known."""
        kind, body = whole[0], whole[HEADER_SIZE:]
        if kind == ERROR_RESPONSE:
            out += [self._welcome, whole]
            self._welcome = b""
            sqlstate = read_fields(body).get("C", b"").decode("ascii", "replace")
            return [
                Record(authentication(self.origin, False, sqlstate, self._authentication.method))
            ]
        if self.phase is Phase.ACCEPTED:
            self._welcome += whole
            self._ready = kind == READY_FOR_QUERY
            return []
        if kind != AUTHENTICATION or len(body) < 4:
            out.append(whole)
            return []
        (code,) = INT32.unpack_from(body)
        if code != AUTHENTICATION_OK:
            question = self._authentication.asked(code, body)
            if question is None:
                return [LookUpVerifier(self.origin.login)]
            out.append(question)
            return []
        self._authentication.accepted()
        self.phase = Phase.ACCEPTED
        self._welcome = whole
        if self.protected:
            return [LookUpRoles(self.origin.login)]
        self._roles_known = True
        return []

    def verifier_known(self, verifier: Verifier | None) -> list[Effect]:
        """The login's SCRAM secret; None: it has none, and the server will say so in its own way."""
        return [ToClient(self._authentication.begin(verifier))]

    def verifier_unknown(self) -> list[Effect]:
        """The server could not be asked."""
        text = "Sealgate cannot read the SCRAM secret of this login"
        return self._not_let_in("57P03", text, "Try again; Sealgate's log says why.")

    def roles_known(self, roles: frozenset[str]) -> list[Effect]:
        """The catalog's answer for the login. A login that it does not have is the server's to refuse."""
        self.roles = roles
        self._roles_known = True
        self.origin = replace(self.origin, roles=tuple(sorted(roles)))
        return self._begin()

    def roles_unknown(self) -> list[Effect]:
        """The catalog could not be asked: nothing may be decided, so nobody is let in."""
        text = "Sealgate cannot read the roles of this login"
        return self._not_let_in("57P03", text, "Try again; Sealgate's log says why.")

    def _begin(self) -> list[Effect]:
        if not (self._ready and self._roles_known) or self.phase is Phase.DONE:
            return []
        self.phase = Phase.DONE
        self.server_rest, self._welcome = self._welcome, b""
        return [
            Record(authentication(self.origin, True, None, self._authentication.method)),
            Record(
                session_opened(self.origin, "" if self.protected else "not the protected database")
            ),
        ]


def _fatal(sqlstate: str, text: str, hint: str = "") -> list[Effect]:
    return [ToClient(error_response("FATAL", sqlstate, text, hint)), Close(text)]
