"""TLS and SCRAM in the handshake, as transcripts: what the core decides of what the shell finds out."""

from __future__ import annotations

import struct
from dataclasses import replace

import pytest

from proxy.effects import Close, LookUpVerifier, RelayCancel, StartClientTLS, ToClient, ToServer
from proxy.handshake import ClientTLS, Terms
from proxy.scram import Verifier
from proxy.session import Session
from proxy.snapshot import SnapshotSource
from proxy.wire.messages import message
from tests.session.test_scram import SERVER_NONCE, VERIFIER, Server, initial, proof
from tests.session.transcript import AUTHENTICATION_OK, error, session, snapshot, startup, told

HELLO = b"\x16\x03\x01\x00\xc8\x01"
CANCEL = struct.pack("!IIII", 16, 80877102, 4711, 815)
SASL = message(ord("R"), struct.pack("!I", 10) + b"SCRAM-SHA-256-PLUS\0SCRAM-SHA-256\0\0")
WITH_TLS = Terms("shop", tls_available=True)


def fresh(terms: Terms = WITH_TLS) -> Session:
    return session(SnapshotSource(snapshot()), terms)


def encrypted(one: Session, found: ClientTLS | None = None) -> list[object]:
    """The shell did the TLS handshake."""
    return list(one.client_tls_started(replace(one.origin, tls=True), found))


# Direct TLS.


def test_direct_tls_is_an_effect() -> None:
    """The ClientHello goes to TLS as it came, and the startup packet may follow."""
    one = fresh()
    assert one.client_data(HELLO) == [StartClientTLS(HELLO)]
    assert encrypted(one, ClientTLS(alpn=True)) == []
    assert told(one.client_data(startup(user="shop_app"))) == ["ConnectServer"]


def test_direct_tls_without_alpn_ends_without_a_word() -> None:
    """The client may be a browser: there is an event and no message."""
    one = fresh()
    one.client_data(HELLO)
    assert told(encrypted(one, ClientTLS(alpn=False))) == [
        "record protocol.violated 08P01",
        "close",
    ]


def test_only_the_first_byte_begins_direct_tls() -> None:
    """In the middle of a packet, after an answer and inside TLS, 0x16 is what it is: a bad length."""
    one = fresh()
    assert one.client_data(b"\x00") == []
    assert told(one.client_data(HELLO))[-1] == "close"
    two = fresh()
    two.client_data(struct.pack("!II", 8, 80877104))
    assert told(two.client_data(HELLO))[-1] == "close"
    three = fresh()
    three.client_data(HELLO)
    encrypted(three, ClientTLS(alpn=True))
    assert told(three.client_data(HELLO))[-1] == "close"


def test_no_direct_tls_without_a_certificate() -> None:
    """An event, and the end."""
    words = told(fresh(Terms("shop")).client_data(HELLO))
    assert words == ["record protocol.violated 08P01", "<- E", "close"]


# Client certificates.


@pytest.mark.parametrize(
    ("mode", "name", "let_in"),
    [
        ("none", None, True),
        ("none", "other", True),
        ("verify-ca", None, False),
        ("verify-ca", "", True),
        ("verify-ca", "other", True),
        ("verify-full", None, False),
        ("verify-full", "", False),
        ("verify-full", "other", False),
        ("verify-full", "SHOP_APP", False),
        ("verify-full", "shop_app", True),
    ],
)
def test_certificates(mode: str, name: str | None, let_in: bool) -> None:
    """verify-full compares the CN with the login, byte by byte; the server is not even asked."""
    one = fresh(replace(WITH_TLS, client_certificate=mode))
    one.client_data(HELLO)
    encrypted(one, ClientTLS(alpn=True, common_name=name))
    words = told(one.client_data(startup(user="shop_app")))
    refused = ["record authentication.failed 28000", "<- E", "close"]
    assert words == (["ConnectServer"] if let_in else refused)


@pytest.mark.parametrize("mode", ["verify-ca", "verify-full"])
def test_a_cancel_request_needs_a_certificate_where_sessions_do(mode: str) -> None:
    """Any verified one: a CancelRequest names no login."""
    terms = replace(WITH_TLS, client_certificate=mode, tls_required=True)
    assert told(fresh(terms).client_data(CANCEL))[-1] == "close"
    one = fresh(terms)
    one.client_data(HELLO)
    encrypted(one, ClientTLS(alpn=True, common_name="other"))
    assert one.client_data(CANCEL) == [RelayCancel(CANCEL)]
    assert fresh(replace(WITH_TLS, tls_required=True)).client_data(CANCEL) == [RelayCancel(CANCEL)]


def test_a_server_that_is_not_trusted() -> None:
    """The client hears that much."""
    one = fresh()
    one.client_data(startup(user="shop_app"))
    effects = one.server_not_trusted()
    assert isinstance(effects[0], ToClient)
    assert b"C08001\0" in effects[0].data
    assert isinstance(effects[-1], Close)


# SCRAM.


def asked(terms: Terms, client_tls: bool = True, server: bytes = b"s" * 32) -> Session:
    """The startup packet is with a server that has this tls-server-end-point."""
    one = fresh(terms)
    if client_tls:
        one.client_data(HELLO)
        encrypted(one, ClientTLS(alpn=True))
    one.client_data(startup(user="shop_app", database="shop"))
    one.server_connected(server)
    return one


def offered(effects: list[object]) -> list[bytes]:
    (effect,) = effects
    assert isinstance(effect, ToClient)
    return effect.data[9:].rstrip(b"\0").split(b"\0")


@pytest.mark.parametrize("client_tls", [True, False])
@pytest.mark.parametrize("server", [b"", b"s" * 32, b"p" * 32])
def test_a_relay_offers_plus_for_one_and_the_same_certificate(
    client_tls: bool, server: bytes
) -> None:
    """Only where the client sees, over TLS, the certificate that the server will compare with."""
    one = asked(replace(WITH_TLS, end_point=b"p" * 32), client_tls, server)
    same = client_tls and server == b"p" * 32
    names = offered(list(one.server_data(SASL)))
    assert names == ([b"SCRAM-SHA-256-PLUS", b"SCRAM-SHA-256"] if same else [b"SCRAM-SHA-256"])


def test_certificates_without_a_hash_are_not_the_same() -> None:
    """Ed25519 has no tls-server-end-point: two unknowns are not equal."""
    one = asked(WITH_TLS, server=b"")
    assert offered(list(one.server_data(SASL))) == [b"SCRAM-SHA-256"]


TERMINATE = replace(WITH_TLS, end_point=b"p" * 32, terminate_scram=True)
BARE = b"n=,r=abc"
BEGIN = message(ord("p"), initial(b"SCRAM-SHA-256-PLUS", b"p=tls-server-end-point,," + BARE))


def sasl(code: int, data: bytes) -> bytes:
    return message(ord("R"), struct.pack("!I", code) + data)


def body(effects: list[object], kind: type = ToServer) -> bytes:
    (effect,) = effects
    assert isinstance(effect, kind)
    data: bytes = effect.data  # type: ignore[attr-defined]
    return data


def proved(verifier: Verifier | None = VERIFIER) -> tuple[Session, Server, bytes]:
    """A session whose proof is on its way to the server, and the proof."""
    one, server = asked(TERMINATE), Server(b"s" * 32)
    assert list(one.server_data(SASL)) == [LookUpVerifier("shop_app")]
    assert offered(list(one.verifier_known(verifier))) == [b"SCRAM-SHA-256-PLUS", b"SCRAM-SHA-256"]
    first = server.first(body(list(one.client_data(BEGIN)))[5:])
    told_client = body(list(one.server_data(sasl(11, first))), ToClient)[9:]
    header = b"p=tls-server-end-point,," + b"p" * 32
    final = message(ord("p"), proof(BARE, told_client, header))
    return one, server, body(list(one.client_data(final)))[5:]


def test_a_terminated_exchange() -> None:
    """Two exchanges, each bound to its own channel, and the login is in when the server says so."""
    one, server, sent = proved()
    final = server.final(sent)
    assert final is not None
    assert body(list(one.server_data(sasl(12, final))), ToClient)[9:11] == b"v="
    assert told(one.server_data(AUTHENTICATION_OK)) == ["LookUpRoles"]
    assert SERVER_NONCE.encode() not in sent


def test_the_server_may_not_let_in_before_it_has_proved_itself() -> None:
    """AuthenticationOk at any step before the last ends the session, and no roles are looked up."""
    waiting = asked(TERMINATE)
    waiting.server_data(SASL)
    offering = asked(TERMINATE)
    offering.server_data(SASL)
    offering.verifier_known(VERIFIER)
    for one in (waiting, offering, proved()[0]):
        assert told(one.server_data(AUTHENTICATION_OK)) == [
            "record protocol.violated 08P01",
            "<- E",
            "close",
        ]


def test_a_server_that_accepts_a_wrong_proof_is_refused() -> None:
    """It cannot be the one that has the secret."""
    one, server, sent = proved(None)
    assert server.final(sent) is None
    words = told(one.server_data(sasl(12, b"v=" + b"A" * 43 + b"=")))
    assert words == ["record authentication.failed 08001", "<- E", "close"]


@pytest.mark.parametrize("again", [SASL, sasl(5, b"salt"), sasl(3, b""), sasl(12, b"v=QUJD")])
def test_a_server_that_asks_for_something_else_in_between(again: bytes) -> None:
    """After SASL has begun nothing else may be asked for: a cleartext password least of all."""
    waiting = asked(TERMINATE)
    waiting.server_data(SASL)
    offering = asked(TERMINATE)
    offering.server_data(SASL)
    offering.verifier_known(VERIFIER)
    for one in (waiting, offering):
        assert told(one.server_data(again))[-1] == "close"


def test_a_client_may_not_answer_before_it_was_asked() -> None:
    """While the verifier is being looked up, and twice."""
    one = asked(TERMINATE)
    one.server_data(SASL)
    assert told(one.client_data(BEGIN))[-1] == "close"
    two = asked(TERMINATE)
    two.server_data(SASL)
    two.verifier_known(VERIFIER)
    assert told(two.client_data(BEGIN + BEGIN))[-1] == "close"


def test_an_unreadable_verifier_lets_nobody_in() -> None:
    """57P03, with an event."""
    one = asked(TERMINATE)
    one.server_data(SASL)
    assert told(one.verifier_unknown()) == ["record authentication.failed 57P03", "<- E", "close"]


def test_a_refusal_of_the_servers_reaches_the_client() -> None:
    """A wrong password: the server's own words and event."""
    one, _, _ = proved(None)
    assert told(one.server_data(error("28P01"))) == ["record authentication.failed 28P01", "<- E"]


def test_a_downgrade_is_found() -> None:
    """A client that could bind and was not offered it (somebody cut the offer) is refused."""
    one = asked(TERMINATE)
    one.server_data(SASL)
    one.verifier_known(VERIFIER)
    words = told(one.client_data(message(ord("p"), initial(b"SCRAM-SHA-256", b"y,," + BARE))))
    assert words == ["record authentication.failed 28000", "<- E", "close"]


def test_other_sasl_mechanisms_are_relayed() -> None:
    """OAUTHBEARER (PostgreSQL 18) is not terminated."""
    one = asked(TERMINATE)
    other = sasl(10, b"OAUTHBEARER\0\0")
    assert one.server_data(other) == [ToClient(other)]
