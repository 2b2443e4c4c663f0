"""SCRAM's channel binding through a proxy that ends TLS: relayed with one certificate or two, and terminated."""

from __future__ import annotations

import asyncio
import contextlib
import re
import ssl
import struct
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import asyncpg
import psycopg
import pytest
from cryptography.hazmat.primitives import hashes

from tests.integration.certificates import Certificates
from tests.integration.tls.conftest import HOST, LOGINS, PASSWORD, Papers, TlsShop, pem
from tests.integration.tls.server import TlsPostgres

PAGE = Path(__file__).parents[3] / "docs" / "tls.md"
SSL_REQUEST = struct.pack("!II", 8, 80877103)

pytestmark = pytest.mark.usefixtures("passwords")


@pytest.fixture(scope="module", autouse=True)
def function(server_shop: TlsShop) -> None:
    """As the documentation says; the control login is the superuser here."""
    (sql,) = re.findall(r"```sql\n(.*?)```", PAGE.read_text(), re.DOTALL)
    server_shop.database.psql(sql.replace("TO sealgate;", "TO postgres;"))


def legs(
    shop: TlsShop, papers: Papers, how: str, *, client_tls: bool = True, server_tls: bool = True
) -> None:
    """Set up both legs: "relay", "shared" (relay, with the server's own certificate) or "terminate"."""
    shown = papers.server if how == "shared" else papers.proxy
    upstream = 'tls = "disable"\n'
    if server_tls:
        upstream = f'tls = "verify-full"\ntls_ca = "{papers.servers.ca}"\n'
    if how == "terminate":
        upstream += 'scram = "terminate"\n'
    shop.use(pem(shown) if client_tls else "", upstream)


def works(how: str, client_tls: bool, server_tls: bool, binding: str) -> bool:
    """The table of docs/tls.md."""
    if binding == "disable":
        return True
    if binding == "require":
        return client_tls and (how == "terminate" or (how == "shared" and server_tls))
    return how != "relay" or not (client_tls and server_tls)


@pytest.mark.parametrize("binding", ["disable", "prefer", "require"])
@pytest.mark.parametrize("server_tls", [False, True])
@pytest.mark.parametrize("client_tls", [False, True])
@pytest.mark.parametrize("how", ["relay", "shared", "terminate"])
def test_libpq(
    server_shop: TlsShop,
    papers: Papers,
    how: str,
    client_tls: bool,
    server_tls: bool,
    binding: str,
) -> None:
    """Every combination works as the documentation says, or fails before anybody is let in."""
    legs(server_shop, papers, how, client_tls=client_tls, server_tls=server_tls)
    sslmode = "require" if client_tls else "disable"
    url = server_shop.url(sslmode=sslmode, channel_binding=binding)
    before = server_shop.clear_events()
    if works(how, client_tls, server_tls, binding):
        with psycopg.connect(url) as connection:
            assert connection.execute("SELECT current_user").fetchone() == ("scram_login",)
        assert [c for c, _ in server_shop.codes(before)] == ["authentication.succeeded"]
        return
    with pytest.raises(psycopg.OperationalError, match="channel binding") as refused:
        psycopg.connect(url)
    if binding == "prefer":
        assert 'scram = "terminate"' in str(refused.value)
        assert server_shop.codes(before) == [("authentication.failed", "28000")]


@pytest.mark.parametrize("how", ["relay", "shared", "terminate"])
@pytest.mark.parametrize("direct_tls", [False, True])
async def test_asyncpg_does_not_bind(
    server_shop: TlsShop, papers: Papers, how: str, direct_tls: bool
) -> None:
    """A driver that knows no channel binding is let in everywhere."""
    legs(server_shop, papers, how)
    context = ssl.create_default_context(cafile=papers.servers.ca)
    context.set_alpn_protocols(["postgresql"])
    connection = await asyncpg.connect(server_shop.url(), ssl=context, direct_tls=direct_tls)
    assert await connection.fetchval("SELECT current_user") == "scram_login"
    await connection.close()


@pytest.mark.parametrize("algorithm", [hashes.SHA384(), hashes.SHA512()])
def test_certificates_signed_with_other_hashes(
    server: TlsPostgres, server_shop: TlsShop, papers: Papers, algorithm: hashes.HashAlgorithm
) -> None:
    """libpq and PostgreSQL hash the certificate as we do: both legs are bound."""
    proxy, behind = (
        papers.servers.issue(HOST, HOST, file=f"{algorithm.name}-{name}", hashed=algorithm)
        for name in ("proxy", "server")
    )
    server.secure(behind)
    try:
        upstream = f'tls = "verify-full"\ntls_ca = "{papers.servers.ca}"\nscram = "terminate"\n'
        server_shop.use(pem(proxy), upstream)
        psycopg.connect(server_shop.url(sslmode="require", channel_binding="require")).close()
    finally:
        server.secure(papers.server)


def test_check_has_nothing_against_the_function(server_shop: TlsShop) -> None:
    """It belongs to the schema sealgate, which `apply` owns."""
    assert "scram_secret" not in server_shop.sealgate("check").stdout
    server_shop.sealgate("apply")
    assert server_shop.database.psql("SELECT to_regproc('sealgate.scram_secret')") != "None"


@pytest.mark.parametrize("user", LOGINS)
def test_other_methods_are_relayed(server_shop: TlsShop, papers: Papers, user: str) -> None:
    """terminate is about SCRAM; md5 and cleartext pass, and the event names the method."""
    legs(server_shop, papers, "terminate")
    before = server_shop.clear_events()
    with psycopg.connect(server_shop.url(user, sslmode="require")) as connection:
        assert connection.execute("SELECT current_user").fetchone() == (user,)
    (event,) = server_shop.logins(before)
    assert event["auth_protocol"] == LOGINS[user]


@pytest.mark.parametrize("binding", ["disable", "require"])
@pytest.mark.parametrize("who", ["wrong password", "no such login", "no password", "superuser"])
def test_the_server_refuses_who_may_not_in(
    server: TlsPostgres, server_shop: TlsShop, papers: Papers, who: str, binding: str
) -> None:
    """One and the same answer, the server's, also for who has no secret here; the server's log has the reason."""
    legs(server_shop, papers, "terminate")
    logins = {"no such login": "nobody_at_all", "no password": "analyst", "superuser": "boss"}
    user = logins.get(who, "scram_login")
    if user == "boss":
        server.psql(f"CREATE ROLE boss LOGIN SUPERUSER PASSWORD '{PASSWORD}'")
    server.hba([f"hostssl all {user} all scram-sha-256"])
    before, mark = server_shop.clear_events(), len(server.log_text())
    password = "not this one" if who == "wrong password" else PASSWORD
    url = server_shop.url(user, password, sslmode="require", channel_binding=binding)
    with pytest.raises(
        psycopg.OperationalError, match=f'FATAL:  password authentication failed for user "{user}"'
    ):
        psycopg.connect(url)
    assert server_shop.codes(before) == [("authentication.failed", "28P01")]
    assert f'password authentication failed for user "{user}"' in server.log_text()[mark:]
    if user == "boss":
        server.psql("DROP ROLE boss")


def test_a_changed_password_counts_at_once(
    server: TlsPostgres, server_shop: TlsShop, papers: Papers
) -> None:
    """Secrets are read at each login and not kept."""
    legs(server_shop, papers, "terminate")
    options = {"sslmode": "require", "channel_binding": "require"}
    server.psql("ALTER ROLE scram_login PASSWORD 'another one'")
    try:
        psycopg.connect(server_shop.url(password="another one", **options)).close()
        with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
            psycopg.connect(server_shop.url(**options))
    finally:
        server.psql(f"ALTER ROLE scram_login PASSWORD '{PASSWORD}'")


def test_without_the_function_nobody_is_let_in(server_shop: TlsShop, papers: Papers) -> None:
    """57P03, and no falling back to less than what was offered before."""
    legs(server_shop, papers, "terminate")
    rename = "ALTER FUNCTION sealgate.{}(name) RENAME TO {}"
    server_shop.database.psql(rename.format("scram_secret", "hidden"))
    before, mark = server_shop.clear_events(), server_shop.mark
    try:
        with pytest.raises(psycopg.OperationalError, match="cannot read the SCRAM secret"):
            psycopg.connect(server_shop.url(sslmode="require"))
        assert server_shop.codes(before) == [("authentication.failed", "57P03")]
        assert server_shop.says("SCRAM secret not read", mark)
    finally:
        server_shop.database.psql(rename.format("hidden", "scram_secret"))


def test_secrets_are_in_no_log(server: TlsPostgres, server_shop: TlsShop, papers: Papers) -> None:
    """Neither password nor secret is in the operations log, the access log or the server's."""
    legs(server_shop, papers, "terminate")
    psycopg.connect(server_shop.url(sslmode="require", channel_binding="require")).close()
    secret = server.psql("SELECT rolpassword FROM pg_authid WHERE rolname = 'scram_login'")
    keys = secret.rpartition("$")[2].split(":")
    assert len(keys) == 2
    ours = server_shop.said() + server_shop.audit_path.read_text()
    assert not any(key in ours for key in (*keys, PASSWORD))
    assert not any(key in server.log_text() for key in keys)


# A man in the middle: TLS on both sides of him, with a certificate of his own.


class Middle:
    """Ends TLS with a certificate of his own, reads along, and passes everything on over TLS."""

    def __init__(self, certificates: Certificates, port: int) -> None:
        self._shown = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self._shown.load_cert_chain(certificates.cert, certificates.key)
        self._blind = ssl.create_default_context()
        self._blind.check_hostname = False
        self._blind.verify_mode = ssl.CERT_NONE
        self._target = port
        self.read = b""

    async def start(self) -> asyncio.Server:
        return await asyncio.start_server(self._between, HOST, 0)

    async def _between(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        target, onward = await asyncio.open_connection(HOST, self._target)
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            await reader.readexactly(8)
            writer.write(b"S")
            await writer.start_tls(self._shown)
            onward.write(SSL_REQUEST)
            assert await target.readexactly(1) == b"S"
            await onward.start_tls(self._blind, server_hostname=HOST)
            await asyncio.gather(self._pump(reader, onward), self._pump(target, writer))
        onward.close()
        writer.close()

    async def _pump(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await source.read(65536):
                self.read += data
                sink.write(data)
        sink.close()


@contextlib.asynccontextmanager
async def in_the_middle(papers: Papers, port: int) -> AsyncIterator[tuple[Middle, int]]:
    middle = Middle(papers.strangers.issue(HOST, HOST, file="middle"), port)
    server = await middle.start()
    try:
        yield middle, server.sockets[0].getsockname()[1]
    finally:
        server.close()


async def attempt(url: str) -> None:
    """Log in from a thread: the man in the middle needs the loop."""
    await asyncio.to_thread(lambda: psycopg.connect(url).close())


@pytest.mark.parametrize("how", ["shared", "terminate"])
async def test_a_man_between_client_and_proxy_is_found(
    server_shop: TlsShop, papers: Papers, how: str
) -> None:
    """The client verifies no certificate, and still nobody logs in through him; without binding he gets through."""
    legs(server_shop, papers, how)
    async with in_the_middle(papers, server_shop.port) as (middle, port):
        url = server_shop.url(sslmode="require", channel_binding="{}")
        url = url.replace(f":{server_shop.port}/", f":{port}/")
        with pytest.raises(psycopg.OperationalError, match="channel binding check failed"):
            await attempt(url.format("require"))
        await attempt(url.format("disable"))
        assert b"scram_login" in middle.read


@pytest.mark.parametrize("how", ["relay", "terminate"])
async def test_a_man_between_proxy_and_server_is_found(
    server: TlsPostgres, server_shop: TlsShop, papers: Papers, how: str
) -> None:
    """With tls = "require" the proxy verifies no certificate; the terminated exchange finds him, a relayed one cannot."""
    async with in_the_middle(papers, server.port) as (middle, port):
        upstream = 'tls = "require"\n' + ('scram = "terminate"\n' if how == "terminate" else "")
        server_shop.upstream_port = port
        server_shop.use("", upstream)
        url = server_shop.url(sslmode="disable")
        try:
            if how == "relay":
                await attempt(url)
                assert b"scram_login" in middle.read
                return
            with pytest.raises(psycopg.OperationalError, match="channel binding check failed"):
                await attempt(url)
        finally:
            server_shop.upstream_port = 0


@pytest.mark.parametrize("how", ["relay", "shared", "terminate"])
def test_pg8000_binds(server_shop: TlsShop, papers: Papers, how: str) -> None:
    """Another implementation (scramp), which binds wherever it can and cannot be told not to."""
    pg8000 = pytest.importorskip("pg8000.dbapi", reason="pg8000 is not installed")
    legs(server_shop, papers, how)
    context = ssl.create_default_context(cafile=papers.servers.ca)

    def connect() -> Any:
        return pg8000.connect(
            "scram_login",
            host=HOST,
            port=server_shop.port,
            database=server_shop.database.name,
            password=PASSWORD,
            ssl_context=context,
        )

    if how == "relay":
        with pytest.raises(pg8000.DatabaseError, match="channel binding"):
            connect()
        return
    with contextlib.closing(connect()) as connection:
        cursor = connection.cursor()
        cursor.execute("SELECT current_user::text")
        assert cursor.fetchone() == ["scram_login"]


@pytest.mark.parametrize("binding", ["prefer", "require"])
def test_psycopg2_binds(server_shop: TlsShop, papers: Papers, binding: str) -> None:
    """An older libpq."""
    psycopg2 = pytest.importorskip("psycopg2", reason="psycopg2 is not installed")
    legs(server_shop, papers, "terminate")
    options = {"sslmode": "verify-full", "sslrootcert": papers.servers.ca}
    url = server_shop.url(channel_binding=binding, **options)
    with contextlib.closing(psycopg2.connect(url)) as connection:
        cursor = connection.cursor()
        cursor.execute("SELECT current_user::text")
        assert cursor.fetchone() == ("scram_login",)
