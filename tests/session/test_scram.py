"""SCRAM that ends in the proxy: RFC 7677's vector on the client's side, a server of the test's own on the other."""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import struct
from dataclasses import dataclass, field

import pytest

from proxy.scram import (
    PLAIN,
    PLUS,
    SASL_CONTINUE,
    SASL_FINAL,
    Exchange,
    ScramRefused,
    Verifier,
    offer,
)
from proxy.wire.framing import BadMessage

# RFC 7677, section 3: user "user", password "pencil".
SALT = "W22ZaJ0SNY7soEsUEjb6gQ=="
CLIENT_NONCE = "rOprNGfwEbeRWgbNEkqO"
SERVER_NONCE = "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"
NONCE = (CLIENT_NONCE + SERVER_NONCE).encode()
CLIENT_FIRST = f"n,,n=user,r={CLIENT_NONCE}".encode()
SERVER_FIRST = b"r=" + NONCE + f",s={SALT},i=4096".encode()
CLIENT_FINAL = b"c=biws,r=" + NONCE + b",p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
SERVER_FINAL = b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="


def mac(key: bytes, text: bytes) -> bytes:
    return hmac.new(key, text, hashlib.sha256).digest()


def keys(password: str = "pencil") -> tuple[bytes, bytes, bytes]:  # noqa: S107
    """ClientKey, StoredKey, ServerKey."""
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), base64.b64decode(SALT), 4096)
    client = mac(salted, b"Client Key")
    return client, hashlib.sha256(client).digest(), mac(salted, b"Server Key")


def secret(password: str = "pencil") -> str:  # noqa: S107
    _, stored, server = keys(password)
    encoded = (base64.b64encode(key).decode() for key in (stored, server))
    return f"SCRAM-SHA-256$4096:{SALT}${':'.join(encoded)}"


VERIFIER = Verifier.parse(secret())


def initial(mechanism: bytes, first: bytes) -> bytes:
    return mechanism + b"\0" + struct.pack("!i", len(first)) + first


@dataclass
class Server:
    """The server's half, written after the RFC and not after the proxy."""

    binding: bytes = b""
    """tls-server-end-point of its certificate."""
    password: str = "pencil"
    heard: list[bytes] = field(default_factory=list)

    def first(self, body: bytes) -> bytes:
        self.mechanism, _, rest = body.partition(b"\0")
        assert struct.unpack_from("!i", rest)[0] == len(rest) - 4
        parts = re.fullmatch(rb"([^,]+,,)(n=[^,]*,r=(.+))", rest[4:])
        assert parts
        self.header, self.bare, nonce = parts.groups()
        self.nonce = nonce + b"SERVER"
        self.said = b"r=" + self.nonce + f",s={SALT},i=4096".encode()
        return self.said

    def final(self, body: bytes) -> bytes | None:
        """None: the proof is wrong."""
        without, _, proof = body.rpartition(b",p=")
        bound = self.binding if self.header.startswith(b"p=") else b""
        assert without == b"c=" + base64.b64encode(self.header + bound) + b",r=" + self.nonce
        _, stored, server = keys(self.password)
        text = b",".join((self.bare, self.said, without))
        signature = mac(stored, text)
        key = bytes(a ^ b for a, b in zip(base64.b64decode(proof), signature, strict=True))
        if hashlib.sha256(key).digest() != stored:
            return None
        return b"v=" + base64.b64encode(mac(server, text))


def proof(first_bare: bytes, told: bytes, header: bytes, password: str = "pencil") -> bytes:  # noqa: S107
    """The client's last message."""
    client, stored, _ = keys(password)
    nonce = told.partition(b",")[0]
    without = b"c=" + base64.b64encode(header) + b"," + nonce
    signature = mac(stored, b",".join((first_bare, told, without)))
    proved = bytes(a ^ b for a, b in zip(client, signature, strict=True))
    return without + b",p=" + base64.b64encode(proved)


def test_the_vector_of_rfc_7677() -> None:
    """The client of the RFC is let in, and hears what the RFC's server says; the server behind hears its own."""
    nonces = (SERVER_NONCE.encode(), b"own")
    exchange = Exchange((PLAIN,), VERIFIER, b"", b"", nonces)
    server = Server()
    first = server.first(exchange.from_client(initial(PLAIN, CLIENT_FIRST)))
    assert exchange.from_server(SASL_CONTINUE, first) == SERVER_FIRST
    final = server.final(exchange.from_client(CLIENT_FINAL))
    assert final is not None
    assert not exchange.finished
    assert exchange.from_server(SASL_FINAL, final) == SERVER_FINAL
    assert exchange.finished


@pytest.mark.parametrize("client_tls", [b"", b"c" * 32])
@pytest.mark.parametrize("server_tls", [b"", b"s" * 32])
@pytest.mark.parametrize("server_has_plus", [True, False])
@pytest.mark.parametrize("flag", [b"n", b"y", b"p=tls-server-end-point"])
def test_each_side_is_bound_to_its_own_channel(
    client_tls: bytes, server_tls: bytes, server_has_plus: bool, flag: bytes
) -> None:
    """PLUS is offered to a client with TLS whatever the server has, and used with a server that has TLS and offers it."""
    offered = (PLUS, PLAIN) if server_has_plus else (PLAIN,)
    exchange = Exchange(offered, VERIFIER, client_tls, server_tls)
    assert exchange.offer() == offer((PLUS, PLAIN) if client_tls else (PLAIN,))
    mechanism = PLUS if flag.startswith(b"p=") else PLAIN
    bare = b"n=,r=abc"
    begin = initial(mechanism, flag + b",," + bare)
    if mechanism == PLUS and not client_tls:
        with pytest.raises(BadMessage):
            exchange.from_client(begin)
        return
    if flag == b"y" and client_tls:
        with pytest.raises(ScramRefused, match="negotiation"):
            exchange.from_client(begin)
        return
    server = Server(server_tls)
    told = exchange.from_server(SASL_CONTINUE, server.first(exchange.from_client(begin)))
    assert told.startswith(b"r=abc")
    header = flag + b",," + (client_tls if mechanism == PLUS else b"")
    final = server.final(exchange.from_client(proof(bare, told, header)))
    assert final is not None
    expected = PLUS if server_has_plus and server_tls else PLAIN
    assert server.mechanism == expected
    if server_tls and not server_has_plus:
        assert server.header == b"y,,"
    exchange.from_server(SASL_FINAL, final)
    assert exchange.finished


def begun(
    verifier: Verifier | None = VERIFIER, server: Server | None = None
) -> tuple[Exchange, Server, bytes, bytes]:
    """An exchange over TLS on both legs that waits for the client's proof."""
    exchange = Exchange((PLUS, PLAIN), verifier, b"c" * 32, b"s" * 32)
    server = server or Server(b"s" * 32)
    bare = b"n=user,r=abc"
    body = exchange.from_client(initial(PLUS, b"p=tls-server-end-point,," + bare))
    return exchange, server, bare, exchange.from_server(SASL_CONTINUE, server.first(body))


def test_a_man_in_the_middle_of_the_clients_leg_is_found() -> None:
    """The client has seen another certificate than the proxy's."""
    exchange, _, bare, told = begun()
    stolen = b"p=tls-server-end-point,," + b"m" * 32
    with pytest.raises(ScramRefused, match="channel binding check failed") as refused:
        exchange.from_client(proof(bare, told, stolen))
    assert refused.value.sqlstate == "28000"


@pytest.mark.parametrize("known", [True, False])
def test_a_wrong_password_is_refused_by_the_server(known: bool) -> None:
    """The server gets a proof that is wrong too, whether the login exists or not; and nothing of the client's."""
    exchange, server, bare, told = begun(VERIFIER if known else None)
    password = "wrong" if known else "pencil"
    header = b"p=tls-server-end-point,," + b"c" * 32
    sent = exchange.from_client(proof(bare, told, header, password))
    assert server.final(sent) is None
    again, _, bare, told = begun(VERIFIER if known else None)
    assert again.from_client(proof(bare, told, header, password)).rpartition(b",p=")[2] != sent
    assert not exchange.finished


@pytest.mark.parametrize("impostor", ["wrong password known", "accepts a wrong proof"])
def test_a_server_that_does_not_know_the_login_is_refused(impostor: str) -> None:
    """Mutual authentication holds on the server's leg: the client is told nothing of an impostor."""
    header = b"p=tls-server-end-point,," + b"c" * 32
    if impostor == "accepts a wrong proof":
        exchange, server, bare, told = begun()
        exchange.from_client(proof(bare, told, header, "wrong"))
        _, _, key = keys()
        said = b"v=" + base64.b64encode(mac(key, b"whatever"))
    else:
        exchange, server, bare, told = begun(server=Server(b"s" * 32, "other"))
        assert server.final(exchange.from_client(proof(bare, told, header))) is None
        said = b"v=" + base64.b64encode(b"x" * 32)
    with pytest.raises(ScramRefused, match="did not prove"):
        exchange.from_server(SASL_FINAL, said)


@pytest.mark.parametrize(
    "first",
    [
        b"n,,n=user",
        b"n,,r=abc",
        b"n,,m=ext,n=user,r=abc",
        b"n,,n=user,r=a\x7fb",
        b"n,,n=user,r=",
        b"p=tls-unique,,n=user,r=abc",
        b"p=tls-server-end-point,,n=user,r=abc",
        b"x,,n=user,r=abc",
        b"",
    ],
)
def test_malformed_first_messages(first: bytes) -> None:
    """What is not SCRAM, or binds without having selected PLUS, ends the session."""
    exchange = Exchange((PLUS, PLAIN), VERIFIER, b"c" * 32, b"")
    with pytest.raises(BadMessage):
        exchange.from_client(initial(PLAIN, first))


def test_an_authorization_identity_is_refused() -> None:
    """As by PostgreSQL: who one wants to be stands in the startup packet."""
    exchange = Exchange((PLAIN,), VERIFIER, b"", b"")
    with pytest.raises(ScramRefused) as refused:
        exchange.from_client(initial(PLAIN, b"n,a=root,n=user,r=abc"))
    assert refused.value.sqlstate == "0A000"


@pytest.mark.parametrize("length", [-1, 0, 3, 1 << 20])
def test_the_length_of_the_first_message_must_fit(length: int) -> None:
    """A response that is absent or of another length than it says."""
    exchange = Exchange((PLAIN,), VERIFIER, b"", b"")
    with pytest.raises(BadMessage):
        exchange.from_client(PLAIN + b"\0" + struct.pack("!i", length) + CLIENT_FIRST)


@pytest.mark.parametrize("body", [b"", PLAIN, PLAIN + b"\0", PLAIN + b"\0ab", b"\0\0\0\0\0"])
def test_truncated_first_messages(body: bytes) -> None:
    """No message is too short to be refused properly."""
    exchange = Exchange((PLAIN,), VERIFIER, b"", b"")
    with pytest.raises(BadMessage):
        exchange.from_client(body)


@pytest.mark.parametrize(
    "change",
    [
        lambda f: f.replace(b"r=abc", b"r=abd"),
        lambda f: f.rpartition(b",p=")[0],
        lambda f: f[:-8] + b"====" + f[-4:],
        lambda f: f.rpartition(b",p=")[0] + b",p=YWJj",
        lambda f: b"",
    ],
)
def test_malformed_last_messages(change: object) -> None:
    """A nonce that is not ours, no proof, a proof of another length."""
    exchange, _, bare, told = begun()
    header = b"p=tls-server-end-point,," + b"c" * 32
    final = change(proof(bare, told, header))  # type: ignore[operator]
    with pytest.raises(BadMessage):
        exchange.from_client(final)


@pytest.mark.parametrize(
    "first", [b"", b"r=abc,s=QUJD,i=4096", b"r=own,s=QUJD,i=4096", b"r=ownX,s=QUJD,i=0", b"e=other"]
)
def test_a_server_that_does_not_speak_scram(first: bytes) -> None:
    """It must take up the proxy's nonce, add to it, and name salt and iterations."""
    exchange = Exchange((PLAIN,), VERIFIER, b"", b"", (b"x", b"own"))
    exchange.from_client(initial(PLAIN, CLIENT_FIRST))
    with pytest.raises(BadMessage):
        exchange.from_server(SASL_CONTINUE, first)


def test_messages_out_of_turn() -> None:
    """Each side speaks when it is asked to, once."""
    exchange = Exchange((PLAIN,), VERIFIER, b"", b"")
    for code in (SASL_CONTINUE, SASL_FINAL, 3, 5):
        with pytest.raises(BadMessage):
            exchange.from_server(code, SERVER_FIRST)
    exchange.from_client(initial(PLAIN, CLIENT_FIRST))
    with pytest.raises(BadMessage):
        exchange.from_client(initial(PLAIN, CLIENT_FIRST))
    with pytest.raises(BadMessage):
        exchange.from_server(SASL_FINAL, SERVER_FINAL)


@pytest.mark.parametrize(
    "text",
    [None, "", "md5" + "0" * 32, "SCRAM-SHA-256$4096:c2FsdA==$QUJD:QUJD", "SCRAM-SHA-256$0:a$b:c"],
)
def test_what_is_no_scram_secret(text: str | None) -> None:
    """md5, nothing, and keys of another length: the login has no verifier."""
    assert Verifier.parse(text) is None


def test_keys_do_not_show() -> None:
    """Neither a verifier nor an exchange prints what it holds."""
    assert VERIFIER is not None
    exchange = Exchange((PLAIN,), VERIFIER, b"", b"")
    assert repr(VERIFIER) == "Verifier()"
    assert repr(exchange).startswith("<proxy.scram.Exchange object")
