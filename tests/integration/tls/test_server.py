"""The server's leg: what the proxy verifies of a real PostgreSQL with TLS, and what it shows."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import asyncpg
import psycopg
import pytest

from tests.integration.certificates import Certificates
from tests.integration.tls.conftest import HOST, Papers, TlsShop, pem
from tests.integration.tls.server import TlsPostgres

UNTRUSTED = "no trusted TLS connection to the database server"


def tls(mode: str, papers: Papers, more: str = "") -> str:
    """[upstream]: this mode, with the authority of the servers where it verifies."""
    ca = f'tls_ca = "{papers.servers.ca}"\n' if mode.startswith("verify") else ""
    return f'tls = "{mode}"\n{ca}{more}'


def encrypted(shop: TlsShop, user: str = "shop_app") -> tuple[object, ...]:
    """What the server says of the proxy's connection: TLS version and the subject it was shown."""
    with psycopg.connect(shop.url(user, None)) as connection:
        row = connection.execute(
            "SELECT ssl, version, client_dn FROM pg_stat_ssl WHERE pid = pg_backend_pid()"
        ).fetchone()
    assert row is not None
    return row


def refused(shop: TlsShop, log: str) -> None:
    """The client hears that there is no trusted server, and no more; the operations log says why."""
    mark = shop.mark
    with pytest.raises(psycopg.OperationalError, match=UNTRUSTED) as error:
        psycopg.connect(shop.url("shop_app", None))
    assert "certificate" not in str(error.value)
    assert shop.says(log, mark)


@contextmanager
def showing(server: TlsPostgres, certificates: Certificates, papers: Papers) -> Iterator[None]:
    """The server shows another certificate for a while."""
    server.secure(certificates)
    try:
        yield
    finally:
        server.secure(papers.server)


@pytest.mark.parametrize("negotiation", ["postgres", "direct"])
@pytest.mark.parametrize("mode", ["disable", "prefer", "require", "verify-ca", "verify-full"])
def test_modes(server_shop: TlsShop, papers: Papers, mode: str, negotiation: str) -> None:
    """Every mode but disable encrypts, with SSLRequest and with direct TLS."""
    if negotiation == "direct" and mode in ("disable", "prefer"):
        server_shop.upstream = tls(mode, papers, 'tls_negotiation = "direct"\n')
        server_shop.write_config()
        server_shop.refused_reload()
        return
    server_shop.use(upstream=tls(mode, papers, f'tls_negotiation = "{negotiation}"\n'))
    version = None if mode == "disable" else "TLSv1.3"
    assert encrypted(server_shop) == (mode != "disable", version, None)


@pytest.mark.parametrize("negotiation", ["postgres", "direct"])
@pytest.mark.parametrize("mode", ["require", "verify-ca", "verify-full"])
def test_another_authority(
    server: TlsPostgres, server_shop: TlsShop, papers: Papers, mode: str, negotiation: str
) -> None:
    """Only require without tls_ca takes a certificate that somebody signed who calls himself the same."""
    stranger = papers.strangers.issue(HOST, HOST, file="server")
    server_shop.use(upstream=tls(mode, papers, f'tls_negotiation = "{negotiation}"\n'))
    with showing(server, stranger, papers):
        if mode == "require":
            assert encrypted(server_shop)[0] is True
        else:
            refused(server_shop, "CERTIFICATE_VERIFY_FAILED")
    assert encrypted(server_shop)[0] is True


def test_require_with_an_authority_verifies_it(
    server: TlsPostgres, server_shop: TlsShop, papers: Papers
) -> None:
    """As libpq does: whoever names an authority means it."""
    server_shop.use(upstream=tls("require", papers, f'tls_ca = "{papers.servers.ca}"\n'))
    with showing(server, papers.strangers.issue(HOST, HOST, file="server"), papers):
        refused(server_shop, "CERTIFICATE_VERIFY_FAILED")


@pytest.mark.parametrize("mode", ["verify-ca", "verify-full"])
def test_another_host(server: TlsPostgres, server_shop: TlsShop, papers: Papers, mode: str) -> None:
    """verify-full also compares the name; verify-ca does not."""
    server_shop.use(upstream=tls(mode, papers))
    with showing(server, papers.servers.issue("other.example", "other.example"), papers):
        if mode == "verify-ca":
            assert encrypted(server_shop)[0] is True
        else:
            refused(server_shop, "IP address mismatch")


def test_an_expired_certificate(server: TlsPostgres, server_shop: TlsShop, papers: Papers) -> None:
    """Refused from verify-ca on."""
    server_shop.use(upstream=tls("verify-ca", papers))
    expired = papers.servers.issue(HOST, HOST, file="expired", expired=True)
    with showing(server, expired, papers):
        refused(server_shop, "certificate has expired")


def test_a_revoked_certificate(server: TlsPostgres, server_shop: TlsShop, papers: Papers) -> None:
    """tls_crl."""
    revoked = papers.servers.issue(HOST, HOST, file="revoked")
    crl = papers.servers.revoke(revoked)
    server_shop.use(upstream=tls("verify-full", papers, f'tls_crl = "{crl}"\n'))
    assert encrypted(server_shop)[0] is True
    with showing(server, revoked, papers):
        refused(server_shop, "certificate revoked")


@pytest.mark.parametrize("negotiation", ["postgres", "direct"])
def test_a_server_without_tls(plain_shop: TlsShop, papers: Papers, negotiation: str) -> None:
    """prefer goes on in clear; require and stronger let nobody in."""
    log = "the server offers no TLS" if negotiation == "postgres" else "direct TLS needs PostgreSQL"
    plain_shop.use(upstream=tls("verify-full", papers, f'tls_negotiation = "{negotiation}"\n'))
    refused(plain_shop, log)
    plain_shop.use(upstream=tls("prefer", papers))
    psycopg.connect(plain_shop.url("shop_app", None)).close()


class TlsServer:
    """Stands in for a PostgreSQL server with TLS (the embedded one is built without): answers SSLRequest, then relays."""

    def __init__(self, certificates: Certificates, port: int) -> None:
        self._context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self._context.load_cert_chain(certificates.cert, certificates.key)
        self._upstream = port
        self.encrypted = 0
        self.port = 0

    async def start(self) -> asyncio.Server:
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        return server

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        assert await reader.readexactly(8) == struct.pack("!II", 8, 80877103)
        writer.write(b"S")
        with contextlib.suppress(OSError, ssl.SSLError):
            await writer.start_tls(self._context)
            self.encrypted += 1
            up_reader, up_writer = await asyncio.open_connection("127.0.0.1", self._upstream)
            await asyncio.gather(_pump(reader, up_writer), _pump(up_reader, writer))


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError, ssl.SSLError):
        while data := await reader.read(65536):
            writer.write(data)
    writer.close()


@pytest.mark.parametrize(
    ("mode", "trusted"), [("require", False), ("verify-full", True), ("verify-full", False)]
)
async def test_tls_to_a_stand_in(
    plain_shop: TlsShop, papers: Papers, mode: str, trusted: bool
) -> None:
    """The same where no PostgreSQL with TLS is installed."""
    stand_in = TlsServer(papers.server, plain_shop.database.postgres.port)
    server = await stand_in.start()
    plain_shop.upstream_port = stand_in.port
    ca = papers.servers.ca if trusted else papers.strangers.ca
    upstream = f'tls = "{mode}"\n' + (f'tls_ca = "{ca}"\n' if mode == "verify-full" else "")
    url = plain_shop.url("shop_app", None)
    try:
        await asyncio.to_thread(plain_shop.use, "", upstream)
        if trusted or mode == "require":
            connection = await asyncpg.connect(url, ssl=False)
            assert await connection.fetchval("SELECT 1") == 1
            await connection.close()
            assert stand_in.encrypted
        else:
            with pytest.raises(asyncpg.ClientCannotConnectError, match=UNTRUSTED):
                await asyncpg.connect(url, ssl=False)
            assert plain_shop.says("CERTIFICATE_VERIFY_FAILED")
            assert not stand_in.encrypted
    finally:
        server.close()
        plain_shop.upstream_port = 0
        plain_shop.upstream = ""
        await asyncio.to_thread(plain_shop.use)


async def test_direct_tls_to_something_else(plain_shop: TlsShop, papers: Papers) -> None:
    """A TLS server that does not name the protocol in ALPN is sent nothing, however good its certificate is."""
    heard = []

    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.append(await reader.read())
        writer.close()

    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(papers.server.cert, papers.server.key)
    other = await asyncio.start_server(listen, HOST, 0, ssl=context)
    plain_shop.upstream_port = other.sockets[0].getsockname()[1]
    try:
        upstream = tls("verify-full", papers, 'tls_negotiation = "direct"\n')
        await asyncio.to_thread(plain_shop.use, "", upstream)
        with pytest.raises(asyncpg.ClientCannotConnectError, match=UNTRUSTED):
            await asyncpg.connect(plain_shop.url("shop_app", None), ssl=False)
        assert plain_shop.says("does not name the protocol postgresql in ALPN")
        assert heard in ([], [b""])
    finally:
        other.close()
        plain_shop.upstream_port = 0
        plain_shop.upstream = ""
        await asyncio.to_thread(plain_shop.use)


@pytest.mark.parametrize("negotiation", ["postgres", "direct"])
@pytest.mark.parametrize("method", ["trust clientcert=verify-ca", "cert map=proxy"])
def test_the_proxys_own_certificate(
    server: TlsPostgres, server_shop: TlsShop, papers: Papers, method: str, negotiation: str
) -> None:
    """tls_cert is shown to a server that asks; its `cert` method then sees the proxy, whoever the login is."""
    own = pem(papers.own) + f'tls_negotiation = "{negotiation}"\n'
    server.secure(papers.server, papers.clients.ca)
    ident = server.data / "pg_ident.conf"
    kept = ident.read_text()
    ident.write_text("proxy sealgate analyst\n")
    server.hba([f"hostssl all analyst all {method}"])
    try:
        server_shop.use(upstream=tls("verify-full", papers, own))
        assert encrypted(server_shop, "analyst") == (True, "TLSv1.3", "/CN=sealgate")
        server_shop.use(upstream=tls("verify-full", papers))
        with pytest.raises(psycopg.OperationalError, match="valid client certificate"):
            psycopg.connect(server_shop.url("analyst", None))
        strange = papers.strangers.issue("sealgate")
        server_shop.use(upstream=tls("verify-full", papers, pem(strange)))
        refused(server_shop, "server refused TLS")
    finally:
        ident.write_text(kept)
        server.hba([])
        server.secure(papers.server)


def test_the_control_connection_is_verified(server_shop: TlsShop, papers: Papers) -> None:
    """[control] dsn takes libpq's options: the proxy's own login came over verified TLS."""
    with server_shop.direct() as superuser:
        rows = superuser.execute(
            "SELECT DISTINCT ssl FROM pg_stat_activity JOIN pg_stat_ssl USING (pid) "
            "WHERE application_name = 'sealgate'"
        ).fetchall()
    assert rows == [(True,)]


@pytest.mark.parametrize("negotiation", ["postgres", "direct"])
def test_a_cancel_request_over_tls(server_shop: TlsShop, papers: Papers, negotiation: str) -> None:
    """On both legs, on a connection of its own."""
    upstream = tls("verify-full", papers, f'tls_negotiation = "{negotiation}"\n')
    server_shop.use(pem(papers.proxy), upstream)
    url = server_shop.url("shop_app", None, sslmode="require", sslnegotiation=negotiation)
    with psycopg.connect(url) as connection:
        threading.Timer(0.3, connection.cancel_safe).start()
        with pytest.raises(psycopg.errors.QueryCanceled):
            connection.execute("SELECT pg_sleep(20)")


def test_much_data_over_both_legs(server_shop: TlsShop, papers: Papers) -> None:
    """16 MB through two TLS layers, whole."""
    server_shop.use(pem(papers.proxy), tls("verify-full", papers))
    with psycopg.connect(server_shop.url("shop_app", None, sslmode="require")) as connection:
        row = connection.execute("SELECT repeat('sealgate', 2000000)", binary=True).fetchone()
        assert row == ("sealgate" * 2_000_000,)


def test_replication_connections_pass_over_tls(server_shop: TlsShop, papers: Papers) -> None:
    """The relay without unsealing uses the same legs."""
    server_shop.use(pem(papers.proxy), tls("verify-full", papers))
    url = server_shop.url("postgres", None, sslmode="require", replication="database")
    with psycopg.connect(url, autocommit=True) as connection:
        cursor = psycopg.ClientCursor(connection)
        row = cursor.execute("IDENTIFY_SYSTEM").fetchone()
    assert row is not None
    assert row[3] == "shop"
