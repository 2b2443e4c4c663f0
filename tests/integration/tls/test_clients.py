"""The clients' leg: how applications reach the proxy with TLS. The server behind it has none."""

from __future__ import annotations

import contextlib
import socket
import ssl
import struct
import threading
from collections.abc import Iterator

import asyncpg
import psycopg
import pytest

from tests.integration.certificates import Certificates
from tests.integration.tls.conftest import HOST, LOGINS, Papers, TlsShop, pem, startup
from tests.integration.wire_client import WireClient, sqlstate

SSL_REQUEST = struct.pack("!II", 8, 80877103)


@pytest.fixture
def shop(plain_shop: TlsShop, papers: Papers) -> TlsShop:
    """With a certificate, asking for none."""
    plain_shop.use(pem(papers.proxy))
    return plain_shop


def context(papers: Papers, alpn: tuple[str, ...] = ("postgresql",)) -> ssl.SSLContext:
    made = ssl.create_default_context(cafile=papers.servers.ca)
    if alpn:
        made.set_alpn_protocols(alpn)
    return made


@contextlib.contextmanager
def direct(shop: TlsShop, tls: ssl.SSLContext) -> Iterator[ssl.SSLSocket]:
    """A TLS connection without SSLRequest."""
    plain = socket.create_connection((HOST, shop.port), 10)
    with plain, tls.wrap_socket(plain, server_hostname=HOST) as wrapped:
        yield wrapped


MODES = [
    (mode, "postgres") for mode in ("disable", "prefer", "require", "verify-ca", "verify-full")
]
MODES += [(mode, "direct") for mode in ("require", "verify-ca", "verify-full")]
"""libpq takes sslnegotiation=direct only with sslmode=require or stronger."""


@pytest.mark.parametrize(("sslmode", "negotiation"), MODES)
@pytest.mark.parametrize("user", LOGINS)
def test_psycopg(shop: TlsShop, papers: Papers, user: str, sslmode: str, negotiation: str) -> None:
    """libpq's sslmode and sslnegotiation with every password method; the event tells TLS and the method."""
    before = shop.clear_events()
    options = {"sslmode": sslmode, "sslnegotiation": negotiation, "sslrootcert": papers.servers.ca}
    with psycopg.connect(shop.url(user, **options)) as connection:
        row = connection.execute("SELECT current_user, email FROM customers WHERE id = 1")
        assert row.fetchone() == (user, None)
    (event,) = shop.logins(before)
    assert event["metadata"]["event_code"] == "authentication.succeeded"
    assert event["auth_protocol"] == LOGINS[user]
    assert event["unmapped"]["sealgate"]["tls"] is (sslmode != "disable")


@pytest.mark.parametrize("user", LOGINS)
@pytest.mark.parametrize("direct_tls", [False, True])
async def test_asyncpg(shop: TlsShop, papers: Papers, user: str, direct_tls: bool) -> None:
    """Another TLS stack, with asyncio's start_tls and with TLS from the first byte."""
    connection = await asyncpg.connect(shop.url(user), ssl=context(papers), direct_tls=direct_tls)
    try:
        assert await connection.fetchval("SELECT current_user") == user
        assert await connection.fetchval("SELECT repeat('x', 1000000)") == "x" * 1_000_000
    finally:
        await connection.close()


@pytest.mark.parametrize("negotiation", ["postgres", "direct"])
@pytest.mark.parametrize("sslmode", ["verify-ca", "verify-full"])
def test_an_untrusted_proxy_is_refused_by_the_client(
    shop: TlsShop, papers: Papers, sslmode: str, negotiation: str
) -> None:
    """verify-* is about the proxy's certificate: with another authority nothing is sent."""
    options = {"sslmode": sslmode, "sslnegotiation": negotiation}
    with pytest.raises(psycopg.OperationalError, match="certificate verify failed"):
        psycopg.connect(shop.url(sslrootcert=papers.strangers.ca, **options))


def test_the_proxys_certificate_must_name_its_host_for_verify_full(
    shop: TlsShop, papers: Papers
) -> None:
    """verify-ca does not look at the name, verify-full does."""
    shop.use(pem(papers.servers.issue("db.example", "db.example")))
    options = {"sslrootcert": papers.servers.ca}
    psycopg.connect(shop.url(sslmode="verify-ca", **options)).close()
    with pytest.raises(psycopg.OperationalError, match="does not match host name"):
        psycopg.connect(shop.url(sslmode="verify-full", **options))


@pytest.mark.parametrize("alpn", [(), ("h2", "http/1.1")])
def test_direct_tls_without_alpn_is_refused(
    shop: TlsShop, papers: Papers, alpn: tuple[str, ...]
) -> None:
    """As PostgreSQL 17 does: without a word, since it may be a browser that somebody sent here; with an event."""
    before = shop.clear_events()
    with direct(shop, context(papers, alpn)) as tls:
        assert tls.selected_alpn_protocol() is None
        assert tls.recv(100) == b""
    assert [code for code, _ in shop.codes(before)] == ["protocol.violated"]


def test_direct_tls_speaks_the_protocol(shop: TlsShop, papers: Papers) -> None:
    """With ALPN the startup packet follows the TLS handshake at once."""
    with direct(shop, context(papers)) as tls:
        assert tls.selected_alpn_protocol() == "postgresql"
        tls.sendall(startup(shop))
        assert tls.recv(1) == b"R"


def test_direct_tls_without_a_certificate_is_refused(plain_shop: TlsShop, papers: Papers) -> None:
    """Nothing to begin TLS with; the next client is served."""
    plain_shop.use()
    with pytest.raises(OSError), direct(plain_shop, context(papers)):  # noqa: PT011
        pass
    plain_shop.connect().close()


def test_a_client_hello_byte_by_byte(shop: TlsShop, papers: Papers) -> None:
    """The first byte decides; the others may come when they like."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = context(papers).wrap_bio(incoming, outgoing, server_hostname=HOST)
    with socket.create_connection((HOST, shop.port), 10) as plain:
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        handshake(plain, tls, incoming, outgoing, step=1)
        tls.write(startup(shop))
        plain.sendall(outgoing.read())
        assert decrypted(plain, tls, incoming)[:1] == b"R"


@pytest.mark.parametrize("first", [b"", SSL_REQUEST])
def test_a_startup_packet_in_the_segment_that_ends_the_handshake(
    shop: TlsShop, papers: Papers, first: bytes
) -> None:
    """It is decrypted before the session has heard of TLS; it must not count as sent in clear."""
    shop.use(pem(papers.proxy) + "tls_required = true\n")
    for _ in range(10):
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = context(papers).wrap_bio(incoming, outgoing, server_hostname=HOST)
        with socket.create_connection((HOST, shop.port), 10) as plain:
            if first:
                plain.sendall(first)
                assert plain.recv(1) == b"S"
            handshake(plain, tls, incoming, outgoing, last=False)
            tls.write(startup(shop))
            plain.sendall(outgoing.read())
            assert decrypted(plain, tls, incoming)[:1] == b"R"


def test_strangers_who_begin_direct_tls_leave_nothing_behind(shop: TlsShop, papers: Papers) -> None:
    """Half a ClientHello, nonsense, and going away in the middle do not use up max_connections."""
    shop.use(pem(papers.proxy) + "max_connections = 3\n")
    hello = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"
    for number in range(9):
        with WireClient(shop.port) as client:
            client.send((hello, b"\x16" + b"no TLS at all" * 10, hello * 20)[number % 3])
            if number % 3 == 1:
                with contextlib.suppress(OSError):
                    while client.socket.recv(100):
                        pass
    with psycopg.connect(shop.url(sslmode="require")) as app:
        assert app.execute("SELECT 1").fetchone() == (1,)


def test_strangers_who_ask_for_tls_leave_nothing_behind(shop: TlsShop, papers: Papers) -> None:
    """The same behind an SSLRequest."""
    shop.use(pem(papers.proxy) + "max_connections = 3\n")
    for number in range(8):
        with WireClient(shop.port) as client:
            client.send(SSL_REQUEST)
            assert client.socket.recv(1) == b"S"
            if number % 2:
                client.send(b"no TLS at all" * 10)
                assert client.closed()
    with psycopg.connect(shop.url(sslmode="require")) as app:
        assert app.execute("SELECT 1").fetchone() == (1,)


def test_bytes_in_clear_behind_the_ssl_request_are_refused(shop: TlsShop) -> None:
    """CVE-2021-23214: nothing sent in clear may become part of the encrypted session."""
    with WireClient(shop.port) as client:
        client.send(SSL_REQUEST + b"injected")
        error = client.read()
        assert error is not None
        assert sqlstate(error[1]) == "08P01"
        assert client.closed()


def test_tls_can_be_required(shop: TlsShop, papers: Papers) -> None:
    """A client in clear is told so before anything is sent to the server."""
    shop.use(pem(papers.proxy) + "tls_required = true\n")
    with pytest.raises(psycopg.OperationalError, match="requires TLS"):
        psycopg.connect(shop.url(sslmode="disable"))
    psycopg.connect(shop.url(sslmode="require")).close()


def handshake(
    plain: socket.socket,
    tls: ssl.SSLObject,
    incoming: ssl.MemoryBIO,
    outgoing: ssl.MemoryBIO,
    *,
    step: int = 65536,
    last: bool = True,
) -> None:
    """`last`: send what the client says last as well."""
    while True:
        try:
            tls.do_handshake()
        except ssl.SSLWantReadError:
            send(plain, outgoing.read(), step)
            incoming.write(plain.recv(65536))
        else:
            break
    if last:
        send(plain, outgoing.read(), step)


def send(plain: socket.socket, data: bytes, step: int) -> None:
    for position in range(0, len(data), step):
        plain.sendall(data[position : position + step])


def decrypted(plain: socket.socket, tls: ssl.SSLObject, incoming: ssl.MemoryBIO) -> bytes:
    while True:
        try:
            return tls.read(65536)
        except ssl.SSLWantReadError:
            received = plain.recv(65536)
            if not received:
                return b""
            incoming.write(received)


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_tls_versions(shop: TlsShop, papers: Papers, version: ssl.TLSVersion) -> None:
    """1.2 and 1.3; no session tickets."""
    tls = context(papers)
    tls.minimum_version = tls.maximum_version = version
    with direct(shop, tls) as connection:
        connection.sendall(startup(shop))
        assert connection.recv(1) == b"R"
        assert connection.session is None or not connection.session.has_ticket


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1_1 is deprecated:DeprecationWarning")
def test_tls_1_1_is_refused(shop: TlsShop, papers: Papers) -> None:
    """Older than 1.2 is broken."""
    tls = context(papers)
    tls.set_ciphers("ALL:@SECLEVEL=0")
    tls.minimum_version = tls.maximum_version = ssl.TLSVersion.TLSv1_1
    with pytest.raises(ssl.SSLError, match="PROTOCOL_VERSION"), direct(shop, tls):
        pass


# Client certificates.


def asking(papers: Papers, mode: str, more: str = "") -> str:
    return (
        f'{pem(papers.proxy)}tls_client_cert = "{mode}"\n'
        f'tls_client_ca = "{papers.clients.ca}"\n{more}'
    )


def shown(certificates: Certificates | None) -> dict[str, object]:
    if certificates is None:
        return {"sslcert": "/nonexistent", "sslmode": "require"}
    return {"sslcert": certificates.cert, "sslkey": certificates.key, "sslmode": "require"}


@pytest.mark.parametrize("negotiation", ["postgres", "direct"])
@pytest.mark.parametrize(
    ("mode", "client", "problem"),
    [
        ("none", None, ""),
        ("none", "client", ""),
        ("none", "strange_client", ""),
        ("verify-ca", "client", ""),
        ("verify-ca", "other_client", ""),
        ("verify-ca", None, "connection requires a valid client certificate"),
        ("verify-ca", "strange_client", "alert"),
        ("verify-ca", "expired_client", "alert"),
        ("verify-full", "client", ""),
        ("verify-full", None, "connection requires a valid client certificate"),
        ("verify-full", "other_client", 'certificate authentication failed for user "scram_login"'),
        ("verify-full", "strange_client", "alert"),
        ("verify-full", "expired_client", "alert"),
    ],
)
def test_client_certificates(
    plain_shop: TlsShop,
    papers: Papers,
    mode: str,
    client: str | None,
    problem: str,
    negotiation: str,
) -> None:
    """verify-ca: signed by the authority; verify-full: and its CN is the login. The password is asked for as well."""
    plain_shop.use(asking(papers, mode) if mode != "none" else pem(papers.proxy))
    before = plain_shop.clear_events()
    url = plain_shop.url(
        sslnegotiation=negotiation, **shown(getattr(papers, client) if client else None)
    )
    if not problem:
        with psycopg.connect(url) as connection:
            assert connection.execute("SELECT current_user").fetchone() == ("scram_login",)
        return
    with pytest.raises(psycopg.OperationalError, match=problem):
        psycopg.connect(url)
    if problem != "alert":
        assert plain_shop.codes(before) == [("authentication.failed", "28000")]
        assert plain_shop.logins(before)[0]["auth_protocol"] == "cert"


def test_a_certificate_is_not_a_password(plain_shop: TlsShop, papers: Papers) -> None:
    """Who has both a valid certificate and a wrong password is refused by the server."""
    plain_shop.use(asking(papers, "verify-full"))
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(plain_shop.url(password="wrong", **shown(papers.client)))


def test_revoked_client_certificates(plain_shop: TlsShop, papers: Papers) -> None:
    """tls_client_crl: who is on the list is refused, the others are not."""
    crl = papers.clients.revoke(papers.revoked_client)
    plain_shop.use(asking(papers, "verify-full", f'tls_client_crl = "{crl}"\n'))
    psycopg.connect(plain_shop.url(**shown(papers.client))).close()
    mark = plain_shop.mark
    with pytest.raises(psycopg.OperationalError, match="revoked"):
        psycopg.connect(plain_shop.url(**shown(papers.revoked_client)))
    assert plain_shop.says("CERTIFICATE_VERIFY_FAILED", mark)


def test_a_client_in_clear_has_no_certificate(plain_shop: TlsShop, papers: Papers) -> None:
    """tls_client_cert asks for TLS by itself."""
    plain_shop.use(asking(papers, "verify-ca"))
    with pytest.raises(psycopg.OperationalError, match="requires a valid client certificate"):
        psycopg.connect(plain_shop.url(sslmode="disable"))


async def test_asyncpg_with_a_client_certificate(plain_shop: TlsShop, papers: Papers) -> None:
    """And direct TLS."""
    plain_shop.use(asking(papers, "verify-full"))
    tls = context(papers)
    tls.load_cert_chain(papers.client.cert, papers.client.key)
    for direct_tls in (False, True):
        url = plain_shop.url()
        connection = await asyncpg.connect(url, ssl=tls, direct_tls=direct_tls)
        assert await connection.fetchval("SELECT 1") == 1
        await connection.close()


# CancelRequest.


def test_a_cancel_request_with_a_certificate_is_relayed(
    plain_shop: TlsShop, papers: Papers
) -> None:
    """libpq 17 and later repeat TLS and certificate for it."""
    plain_shop.use(asking(papers, "verify-full"))
    with psycopg.connect(plain_shop.url(**shown(papers.client))) as connection:
        threading.Timer(0.3, connection.cancel_safe).start()
        with pytest.raises(psycopg.errors.QueryCanceled):
            connection.execute("SELECT pg_sleep(20)")


def test_a_cancel_request_without_a_certificate_is_not(plain_shop: TlsShop, papers: Papers) -> None:
    """Who has read a cancel key on the way lacks the certificate."""
    plain_shop.use(asking(papers, "verify-full"))
    before = plain_shop.clear_events()
    with WireClient(plain_shop.port) as client:
        client.send(struct.pack("!IIII", 16, 80877102, 4711, 815))
        assert client.closed()
    assert [code for code, _ in plain_shop.codes(before)] == ["protocol.violated"]


def test_a_cancel_request_in_clear_is_relayed_where_tls_is_required(
    shop: TlsShop, papers: Papers
) -> None:
    """As by PostgreSQL with hostssl only: libpq before 17, psycopg2 and psql send it so."""
    shop.use(pem(papers.proxy) + "tls_required = true\n")
    with psycopg.connect(shop.url(sslmode="require")) as connection:
        threading.Timer(0.3, connection.cancel).start()  # PQcancel
        with pytest.raises(psycopg.errors.QueryCanceled):
            connection.execute("SELECT pg_sleep(20)")


# Files.


def test_a_renewed_certificate_is_shown_to_new_clients(shop: TlsShop, papers: Papers) -> None:
    """SIGHUP; who is connected stays."""
    with psycopg.connect(shop.url(sslmode="require")) as before:
        renewed = papers.strangers.issue(HOST, HOST, file="renewed")
        shop.use(pem(renewed))
        options = {"sslmode": "verify-full", "sslrootcert": papers.strangers.ca}
        psycopg.connect(shop.url(**options)).close()
        assert before.execute("SELECT 1").fetchone() == (1,)


def test_a_key_with_a_passphrase_is_refused_not_asked_for(shop: TlsShop, papers: Papers) -> None:
    """serve has no terminal; a reload keeps what it had."""
    locked = papers.servers.issue(HOST, HOST, file="locked", passphrase="open sesame")
    kept = shop.listen
    shop.listen = pem(locked)
    shop.write_config()
    shop.refused_reload()
    options = {"sslmode": "verify-full", "sslrootcert": papers.servers.ca}
    psycopg.connect(shop.url(**options)).close()
    shop.listen = kept
    shop.write_config()
