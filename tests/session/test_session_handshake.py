"""From the first byte to the first ReadyForQuery, as transcripts."""

from __future__ import annotations

import struct

import pytest

from proxy.effects import Close, RelayCancel, StartClientTLS, ToServer
from proxy.handshake import Terms
from proxy.session import Session
from proxy.snapshot import SnapshotSource
from proxy.wire.messages import message
from tests.session.transcript import (
    AUTHENTICATION_OK,
    KEY_DATA,
    WELCOME,
    Talk,
    error,
    query,
    ready,
    session,
    setting,
    snapshot,
    startup,
    told,
)

SSL_REQUEST = struct.pack("!II", 8, 80877103)
GSSENC_REQUEST = struct.pack("!II", 8, 80877104)
PASSWORD = message(ord("p"), b"canary\0")
SASL = message(ord("R"), struct.pack("!I", 10) + b"SCRAM-SHA-256-PLUS\0SCRAM-SHA-256\0\0")


def fresh(terms: Terms | None = None) -> Session:
    return session(SnapshotSource(snapshot()), terms)


def connected(**parameters: str) -> Session:
    """A session whose startup packet is with the server."""
    one = fresh()
    given = {"user": "shop_app", "database": "shop", **parameters}
    assert told(one.client_data(startup(**given))) == ["ConnectServer"]
    assert one.server_connected() == [ToServer(startup(**given))]
    return one


def test_a_login_is_relayed_and_let_in_when_its_roles_are_known() -> None:
    """The client hears nothing of AuthenticationOk before the server is ready and the catalog has answered."""
    one = connected()
    assert told(one.server_data(SASL)) == ["<- R"]
    assert told(one.client_data(PASSWORD)) == ["-> p"]
    assert told(one.server_data(AUTHENTICATION_OK + KEY_DATA)) == ["LookUpRoles"]
    assert told(one.server_data(ready())) == []
    assert told(one.roles_known(frozenset({"shop_app"}))) == [
        "record authentication.succeeded",
        "record session.opened",
        "<- RKZ",
    ]


def test_roles_that_are_known_first_wait_for_the_server() -> None:
    """The server may still refuse: no such database."""
    one = connected()
    assert told(one.server_data(AUTHENTICATION_OK)) == ["LookUpRoles"]
    assert told(one.roles_known(frozenset())) == []
    assert told(one.server_data(error("3D000"))) == ["record authentication.failed 3D000", "<- RE"]
    assert told(one.server_gone()) == ["close"]


def test_channel_binding_is_not_offered() -> None:
    """TLS ends here: SCRAM-SHA-256-PLUS would bind to the wrong channel."""
    one = connected()
    (offer,) = one.server_data(SASL)
    assert offer.data == message(ord("R"), struct.pack("!I", 10) + b"SCRAM-SHA-256\0\0")  # type: ignore[union-attr]


@pytest.mark.parametrize(("flag", "refused"), [(b"y", True), (b"n", False)])
def test_a_client_that_could_bind_its_channel_is_told_what_to_do(
    flag: bytes, refused: bool
) -> None:
    """Over TLS on both sides libpq says `y`, and the server would refuse it as a downgrade without saying why."""
    one = connected()
    one.server_data(SASL)
    initial = flag + b",,n=,r=nonce"
    answer = message(ord("p"), b"SCRAM-SHA-256\0" + struct.pack("!I", len(initial)) + initial)
    words = told(one.client_data(answer))
    assert words == (
        ["record authentication.failed 28000", "<- E", "close"] if refused else ["-> p"]
    )


@pytest.mark.parametrize(
    "early", [query("DELETE FROM customers"), b"Q\0\0\0\5", message(ord("P"), b"")]
)
def test_statements_before_the_login_is_complete_never_reach_the_server(early: bytes) -> None:
    """A server that trusts the client would execute them: past policy and access log."""
    one = connected()
    words = told(one.client_data(early))
    assert words == ["record protocol.violated 08P01", "<- E", "close"]
    waiting = connected()
    waiting.server_data(AUTHENTICATION_OK)
    assert told(waiting.client_data(PASSWORD)) == [
        "record protocol.violated 08P01",
        "<- E",
        "close",
    ]
    connecting = fresh()
    connecting.client_data(startup(user="shop_app", database="shop"))
    assert told(connecting.client_data(early))[-1] == "close"


def test_a_password_in_pieces_is_relayed_whole() -> None:
    """And one longer than PostgreSQL takes is refused by its header."""
    one = connected()
    sent = [e for byte in PASSWORD for e in one.client_data(bytes([byte]))]
    assert sent == [ToServer(PASSWORD)]
    assert told(one.client_data(b"p" + struct.pack("!I", 1 << 20)))[-1] == "close"


@pytest.mark.parametrize(
    ("replication", "protected"),
    [
        ("", True),
        ("false", True),
        ("fal", True),  # parse_bool takes prefixes
        ("F", True),
        ("off", True),
        ("0", True),
        ("nonsense", True),  # the server's to refuse
        ("database", False),
        ("tr", False),
        ("ON", False),
        ("1", False),
    ],
)
def test_only_what_starts_a_walsender_passes_without_unsealing(
    replication: str, protected: bool
) -> None:
    """A value that PostgreSQL reads as no must not switch the proxy off."""
    one = connected(replication=replication)
    assert ("LookUpRoles" in told(one.server_data(AUTHENTICATION_OK))) is protected


def test_a_database_name_is_cut_as_postgresql_cuts_it() -> None:
    """63 bytes decide: one more must not make it another database."""
    name = "d" * 63
    one = fresh(Terms(name))
    one.client_data(startup(user="shop_app", database=name + "x"))
    one.server_connected()
    assert told(one.server_data(AUTHENTICATION_OK)) == ["LookUpRoles"]


def test_another_database_is_relayed_as_it_is() -> None:
    """Bytes both ways, and an event that says so."""
    talk = Talk(database="other", welcome=b"")
    one = talk.session
    assert told(one.server_data(WELCOME)) == [
        "record authentication.succeeded",
        "record session.opened",
        "<- RSKZ",
    ]
    assert one.client_data(b"\xff\x00") == [ToServer(b"\xff\x00")]
    assert one.server_data(b"junk")[0].data == b"junk"  # type: ignore[union-attr]


def test_tls_and_gss_requests() -> None:
    """`N` where nothing is configured; the handshake where it is, once."""
    one = fresh()
    assert [e.data for e in one.client_data(GSSENC_REQUEST)] == [b"N"]  # type: ignore[union-attr]
    assert [e.data for e in one.client_data(SSL_REQUEST)] == [b"N"]  # type: ignore[union-attr]
    with_tls = fresh(Terms("shop", tls_available=True))
    assert with_tls.client_data(SSL_REQUEST) == [StartClientTLS()]
    with_tls.client_tls_started(with_tls.origin)
    assert told(with_tls.client_data(startup(user="shop_app"))) == ["ConnectServer"]


@pytest.mark.parametrize("behind", [b"Q", startup(user="shop_app")])
def test_nothing_may_stand_behind_a_request_in_clear(behind: bytes) -> None:
    """CVE-2021-23214: it would be taken for part of the TLS session."""
    one = fresh(Terms("shop", tls_available=True))
    words = told(one.client_data(SSL_REQUEST + behind))
    assert words == ["record protocol.violated 08P01", "<- E", "close"]


def test_tls_may_be_required() -> None:
    """28000 before the server is asked."""
    one = fresh(Terms("shop", tls_available=True, tls_required=True))
    assert told(one.client_data(startup(user="shop_app"))) == [
        "record authentication.failed 28000",
        "<- E",
        "close",
    ]


def test_a_cancel_request_is_an_effect() -> None:
    """It goes out on a connection of its own, as it came."""
    packet = struct.pack("!IIII", 16, 80877102, 4711, 815)
    assert fresh().client_data(packet) == [RelayCancel(packet)]


def test_nobody_gets_in_without_a_catalog_or_a_server() -> None:
    """57P03, PostgreSQL's own word for `not now`."""
    one = connected()
    one.server_data(AUTHENTICATION_OK)
    assert told(one.roles_unknown()) == ["record authentication.failed 57P03", "<- E", "close"]
    two = fresh()
    two.client_data(startup(user="shop_app"))
    effects = two.server_unreachable()
    assert b"57P03" in effects[0].data  # type: ignore[union-attr]
    assert isinstance(effects[-1], Close)


def test_a_server_that_talks_for_ever_before_it_is_ready() -> None:
    """What is kept back for the client is bounded."""
    one = connected()
    one.server_data(AUTHENTICATION_OK)
    words: list[str] = []
    for _ in range(2000):
        words = told(one.server_data(setting("application_name", "x" * 1000)))
        if words:
            break
    assert words == ["record protocol.violated 08P01", "<- E", "close"]
