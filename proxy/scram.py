"""SCRAM-SHA-256 between a client and a server that each have a TLS channel of their own.

Channel binding (RFC 5802 section 6, RFC 5929 `tls-server-end-point`) puts the hash of the certificate that the client
saw into what it proves. Where TLS ends at a proxy, the client has seen the proxy's certificate and the server knows
its own: a relayed proof fails, unless both are the same. Nor can a relay hide the subject: a client with TLS that is
not offered SCRAM-SHA-256-PLUS says so (`y`), and a server with TLS takes that for a downgrade attack. So:

    relay       the exchange is the client's and the server's. PLUS is offered only where both certificates are one
    terminate   two exchanges. The client proves itself to the proxy, bound to the client's TLS; from its proof and
                StoredKey the proxy computes ClientKey (RFC 5802 section 3) and proves it to the server, bound to the
                server's TLS. The server still decides: a wrong proof is answered by the server, which gets random
                bytes for it, and salt and iterations are the server's own, also for a login that does not exist

    client                       proxy                            server
    n=,r=C  ------------------>  own n=,r=P  ------------------>
            <------------------  r=C+random,s,i  <--------------  r=P+S,s,i
    c,r,p=proof  ------------->  ClientKey, c,r,p=own proof  --->
            <------------------  v=for the client  <------------  v=verified here

StoredKey and ServerKey come from the server's catalog (`Verifier`). With them one can play the server and guess
passwords, not log in; ClientKey, with which one can, exists for the length of one function call.

Sources: RFC 5802, RFC 7677 (vectors), PostgreSQL's auth-scram.c, whose words the refusals use.
"""

from __future__ import annotations

import base64
import hmac
import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Final

from proxy.wire.framing import INT32, BadMessage

PLAIN: Final = b"SCRAM-SHA-256"
PLUS: Final = b"SCRAM-SHA-256-PLUS"
SASL: Final = 10
SASL_CONTINUE: Final = 11
SASL_FINAL: Final = 12

_BOUND: Final = b"p=tls-server-end-point,,"
_NONCE: Final = rb"[\x21-\x2b\x2d-\x7e]+"
_BASE64: Final = rb"[A-Za-z0-9+/]+={0,2}"
_CLIENT_FIRST: Final = re.compile(
    rb"(n|y|p=[A-Za-z0-9.-]+),([^,]*),(n=[^,]*,r=(%s)(?:,.*)?)" % _NONCE
)
_SERVER_FIRST: Final = re.compile(rb"r=(%s),s=(%s),i=([1-9][0-9]{0,8})(?:,.*)?" % (_NONCE, _BASE64))
_CLIENT_FINAL: Final = re.compile(rb"(c=(%s),r=(%s)(?:,.*)?),p=(%s)" % (_BASE64, _NONCE, _BASE64))
_SERVER_FINAL: Final = re.compile(rb"v=(%s)(?:,.*)?" % _BASE64)
_SECRET: Final = re.compile(r"SCRAM-SHA-256\$[1-9][0-9]*:[^$]+\$([^:]+):(.+)")


class ScramRefused(Exception):
    """The exchange ends here. Its text and hint are for the client and hold nothing of the exchange."""

    def __init__(self, sqlstate: str, text: str, hint: str = "") -> None:
        super().__init__(text)
        self.sqlstate = sqlstate
        self.text = text
        self.hint = hint


@dataclass(frozen=True, slots=True)
class Verifier:
    """What a server keeps of a password: enough to check a proof, not to make one."""

    stored_key: bytes = field(repr=False)
    server_key: bytes = field(repr=False)

    @classmethod
    def parse(cls, secret: str | None) -> Verifier | None:
        """pg_authid.rolpassword; None where it is no SCRAM secret."""
        parts = _SECRET.fullmatch(secret or "")
        if parts is None:
            return None
        try:
            stored, server = (base64.b64decode(part, validate=True) for part in parts.groups())
        except ValueError:
            return None
        return cls(stored, server) if len(stored) == len(server) == sha256().digest_size else None


def offered(body: bytes) -> tuple[bytes, ...]:
    """The mechanisms in an AuthenticationSASL's body (behind its code)."""
    return tuple(name for name in body.split(b"\x00") if name)


def offer(mechanisms: Sequence[bytes]) -> bytes:
    """The body of an AuthenticationSASL."""
    return INT32.pack(SASL) + b"".join(name + b"\x00" for name in mechanisms) + b"\x00"


def binds_in_vain(body: bytes) -> bool:
    """SASLInitialResponse of a client that could bind its channel and believes the server cannot (RFC 5802, `y`)."""
    name, _, rest = body.partition(b"\x00")
    return name == PLAIN and rest[4:6] == b"y,"


class Exchange:
    """One login, terminated. Call `offer`, then `from_client` and `from_server` in turn until `finished`.

    mechanisms      what the server offers
    verifier        the login's; None: it has none, and the server will refuse it
    client_binding  tls-server-end-point of the proxy's certificate; b"": the client has no TLS
    server_binding  the same of the server's; b"": the connection to it has no TLS
    nonces          for the client's and the server's exchange; only vectors give them
    """

    __slots__ = (
        "_bare",
        "_client_binding",
        "_client_first",
        "_client_nonce",
        "_expected",
        "_gs2",
        "_header",
        "_nonces",
        "_plus",
        "_proved",
        "_server_binding",
        "_signature",
        "_told",
        "_verifier",
        "_was_told",
    )

    def __init__(
        self,
        mechanisms: Sequence[bytes],
        verifier: Verifier | None,
        client_binding: bytes,
        server_binding: bytes,
        nonces: tuple[bytes, bytes] | None = None,
    ) -> None:
        self._nonces = nonces or (_nonce(), _nonce())
        self._plus = PLUS in mechanisms and bool(server_binding)
        self._verifier = verifier or Verifier(secrets.token_bytes(32), secrets.token_bytes(32))
        self._proved = verifier is not None
        self._client_binding = client_binding
        self._server_binding = server_binding
        self._expected = "client-first"
        self._gs2 = _BOUND if self._plus else b"y,," if server_binding else b"n,,"
        """The server's exchange: what we say about binding."""
        self._bare = b"n=,r=" + self._nonces[1]
        self._header = b""
        """The client's exchange: what it says about binding."""
        self._client_first = b""
        self._client_nonce = b""
        self._told = b""
        """server-first-message as the client got it, and as the server sent it."""
        self._was_told = b""
        self._signature = (b"", b"")

    @property
    def finished(self) -> bool:
        """Both sides have proved themselves: the server may say AuthenticationOk."""
        return self._expected == "nothing"

    def offer(self) -> bytes:
        """The body of the AuthenticationSASL for the client."""
        return offer((PLUS, PLAIN) if self._client_binding else (PLAIN,))

    def from_client(self, body: bytes) -> bytes:
        """A client's SASL message into the server's. Raises ScramRefused, BadMessage."""
        if self._expected == "client-first":
            self._expected = "server-first"
            return self._began(body)
        if self._expected == "client-final":
            self._expected = "server-final"
            return self._proof(body)
        raise BadMessage("SASL message out of turn")

    def from_server(self, code: int, data: bytes) -> bytes:
        """A server's SASL message (behind its code) into the client's. Raises ScramRefused, BadMessage."""
        if self._expected == "server-first" and code == SASL_CONTINUE:
            self._expected = "client-final"
            return self._challenge(data)
        if self._expected == "server-final" and code == SASL_FINAL:
            self._expected = "nothing"
            return self._confirmation(data)
        raise BadMessage("SASL message out of turn")

    def _began(self, body: bytes) -> bytes:
        mechanism, _, rest = body.partition(b"\x00")
        if mechanism not in ((PLUS, PLAIN) if self._client_binding else (PLAIN,)):
            raise BadMessage("client selected an invalid SASL authentication mechanism")
        first = _CLIENT_FIRST.fullmatch(rest[4:])
        if first is None or INT32.unpack_from(rest)[0] != len(rest) - 4:
            raise BadMessage("malformed SCRAM message")
        flag, identity, self._client_first, self._client_nonce = first.groups()
        if identity:
            text = "client uses authorization identity, but it is not supported"
            raise ScramRefused("0A000", text)
        if (flag[:2] == b"p=") != (mechanism == PLUS) or (
            flag[:2] == b"p=" and flag + b",," != _BOUND
        ):
            raise BadMessage("SCRAM channel binding does not fit the selected mechanism")
        if flag == b"y" and self._client_binding:
            raise ScramRefused("28000", "SCRAM channel binding negotiation error")
        self._header = flag + b",,"
        first_message = self._gs2 + self._bare
        chosen = PLUS if self._plus else PLAIN
        return chosen + b"\x00" + INT32.pack(len(first_message)) + first_message

    def _challenge(self, data: bytes) -> bytes:
        first = _SERVER_FIRST.fullmatch(data)
        nonce = self._nonces[1]
        if first is None or not first[1].startswith(nonce) or first[1] == nonce:
            raise BadMessage("malformed SCRAM message")
        self._was_told = data
        self._client_nonce += self._nonces[0]
        self._told = b"r=%s,s=%s,i=%s" % (self._client_nonce, first[2], first[3])
        return self._told

    def _proof(self, body: bytes) -> bytes:
        final = _CLIENT_FINAL.fullmatch(body)
        if final is None:
            raise BadMessage("malformed SCRAM message")
        without_proof, binding, nonce, encoded = final.groups()
        bound = self._client_binding if self._header == _BOUND else b""
        if not hmac.compare_digest(binding, base64.b64encode(self._header + bound)):
            raise ScramRefused("28000", "SCRAM channel binding check failed")
        if not hmac.compare_digest(nonce, self._client_nonce):
            raise BadMessage("SCRAM nonce does not match")
        verifier = self._verifier
        for_client = b",".join((self._client_first, self._told, without_proof))
        said = _without_proof(
            self._gs2, self._server_binding if self._plus else b"", self._was_told
        )
        for_server = b",".join((self._bare, self._was_told, said))
        client_key = _xor(_decoded(encoded), _hmac(verifier.stored_key, for_client))
        known = hmac.compare_digest(sha256(client_key).digest(), verifier.stored_key)
        self._proved = self._proved and known
        own = secrets.token_bytes(32)
        if self._proved:
            own = _xor(client_key, _hmac(verifier.stored_key, for_server))
        self._signature = (
            _hmac(verifier.server_key, for_client),
            _hmac(verifier.server_key, for_server),
        )
        return said + b",p=" + base64.b64encode(own)

    def _confirmation(self, data: bytes) -> bytes:
        final = _SERVER_FINAL.fullmatch(data)
        for_client, for_server = self._signature
        if (
            final is None
            or not self._proved
            or not hmac.compare_digest(_decoded(final[1]), for_server)
        ):
            text = "the database server did not prove that it knows this login"
            raise ScramRefused("08001", text, "Sealgate's log says more.")
        return b"v=" + base64.b64encode(for_client)


def _without_proof(gs2: bytes, binding: bytes, server_first: bytes) -> bytes:
    nonce = server_first.partition(b",")[0].removeprefix(b"r=")
    return b"c=" + base64.b64encode(gs2 + binding) + b",r=" + nonce


def _hmac(key: bytes, text: bytes) -> bytes:
    return hmac.digest(key, text, "sha256")


def _xor(one: bytes, other: bytes) -> bytes:
    if len(one) != len(other):
        raise BadMessage("malformed SCRAM message")
    return bytes(a ^ b for a, b in zip(one, other, strict=True))


def _decoded(text: bytes) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except ValueError:
        raise BadMessage("malformed SCRAM message") from None


def _nonce() -> bytes:
    return base64.b64encode(secrets.token_bytes(18))
