"""Logins are the server's business: every method is relayed, TLS ends here, and each attempt is an event."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import struct
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import asyncpg
import psycopg
import pytest

from tests.conftest import Database
from tests.integration.certificates import Certificates, make_certificates
from tests.integration.shop import SCHEMA, Shop
from tests.integration.wire_client import WireClient, sqlstate

PASSWORD = "correct horse"
USERS = {"md5_login": "md5", "scram_login": "scram-sha-256", "clear_login": "password"}


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return make_certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="module")
def tls_shop(
    make_database: Callable[[], Database],
    tmp_path_factory: pytest.TempPathFactory,
    certificates: Certificates,
) -> Iterator[Shop]:
    """A proxy with a certificate, before a server that asks for passwords."""
    database = make_database()
    postgres = database.postgres
    database.psql(SCHEMA)
    postgres.psql(
        "SET password_encryption = 'md5'; CREATE ROLE md5_login LOGIN PASSWORD 'correct horse' IN ROLE pg_monitor"
    )
    for user in ("scram_login", "clear_login"):
        postgres.psql(f"CREATE ROLE {user} LOGIN PASSWORD '{PASSWORD}'")
    listen = f'tls_cert = "{certificates.cert}"\ntls_key = "{certificates.key}"\n'
    shop = Shop(database, tmp_path_factory.mktemp("tls_shop"), listen=listen)
    shop.prepare()
    shop.serve()
    postgres.authenticate("trust", USERS)  # type: ignore[arg-type]
    yield shop
    postgres.authenticate("trust")
    shop.stop()
    postgres.drop_database(database.name)
    for user in USERS:
        postgres.psql(f"DROP OWNED BY {user}; DROP ROLE {user}")


def url(shop: Shop, user: str, password: str, **options: str) -> str:
    query = "&".join(f"{k}={v}" for k, v in options.items())
    return f"postgresql://{user}:{password.replace(' ', '%20')}@127.0.0.1:{shop.port}/{shop.database.name}?{query}"


@pytest.mark.parametrize("user", USERS)
@pytest.mark.parametrize("sslmode", ["disable", "require", "verify-full"])
def test_passwords_are_relayed(
    tls_shop: Shop, certificates: Certificates, user: str, sslmode: str
) -> None:
    """md5, SCRAM-SHA-256 and cleartext, with and without TLS; the event names the method."""
    before = tls_shop.clear_events()
    options = {"sslmode": sslmode}
    if sslmode == "verify-full":
        options["sslrootcert"] = str(certificates.ca)
    with psycopg.connect(url(tls_shop, user, PASSWORD, **options)) as connection:
        assert connection.execute("SELECT current_user").fetchone() == (user,)
        assert connection.execute("SELECT email FROM customers WHERE id = 1").fetchone() == (None,)
    (event,) = [
        e
        for e in tls_shop.events()[before:]
        if e["metadata"]["event_code"] == "authentication.succeeded"
    ]
    assert event["auth_protocol"] == USERS[user]
    assert event["unmapped"]["sealgate"]["tls"] is (sslmode != "disable")


@pytest.mark.parametrize("user", USERS)
def test_a_wrong_password_ends_the_connection_with_the_servers_error(
    tls_shop: Shop, user: str
) -> None:
    """28P01, and an event that says so, without the password."""
    before = tls_shop.clear_events()
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(url(tls_shop, user, "hunter2hunter2", sslmode="require"))
    # Not by class: the session of the test before may only now be closed.
    failed = [
        e
        for e in tls_shop.events()[before:]
        if e["metadata"]["event_code"] == "authentication.failed"
    ]
    assert [(e["status_id"], e["status_code"]) for e in failed] == [(2, "28P01")]
    assert "hunter2" not in tls_shop.audit_path.read_text() + tls_shop.output_path.read_text()


async def test_asyncpg_over_tls(tls_shop: Shop, certificates: Certificates) -> None:
    """Another implementation of TLS negotiation and SCRAM."""
    context = ssl.create_default_context(cafile=certificates.ca)
    connection = await asyncpg.connect(url(tls_shop, "scram_login", PASSWORD), ssl=context)
    try:
        assert await connection.fetchval("SELECT current_user") == "scram_login"
    finally:
        await connection.close()


def test_scram_plus_is_not_offered(tls_shop: Shop) -> None:
    """Channel binding would bind to a TLS channel that ends at the proxy."""
    with WireClient(tls_shop.port) as client:
        replies = []
        body = (
            struct.pack("!I", 196608)
            + f"user\0scram_login\0database\0{tls_shop.database.name}\0\0".encode()
        )
        client.send(struct.pack("!I", len(body) + 4) + body)
        replies.append(client.read())
    assert replies[0] is not None
    assert replies[0][1][4:].split(b"\0")[0] == b"SCRAM-SHA-256"
    assert b"PLUS" not in replies[0][1]


def test_bytes_in_clear_behind_the_ssl_request_are_refused(tls_shop: Shop) -> None:
    """CVE-2021-23214: nothing sent in clear may become part of the encrypted session."""
    with WireClient(tls_shop.port) as client:
        client.send(struct.pack("!II", 8, 80877103) + b"injected")
        error = client.read()
        assert error is not None
        assert sqlstate(error[1]) == "08P01"
        assert client.closed()


def test_a_cancel_request_over_tls_is_relayed(tls_shop: Shop) -> None:
    """libpq 17 and later encrypt it; older ones do not."""
    with psycopg.connect(url(tls_shop, "scram_login", PASSWORD, sslmode="require")) as connection:
        threading.Timer(0.3, connection.cancel_safe).start()
        with pytest.raises(psycopg.errors.QueryCanceled):
            connection.execute("SELECT pg_sleep(20)")


def test_tls_can_be_required(tls_shop: Shop, certificates: Certificates, tmp_path: Path) -> None:
    """tls_required: a client in clear is told so before anything is sent to the server."""
    listen = (
        f'tls_cert = "{certificates.cert}"\ntls_key = "{certificates.key}"\ntls_required = true\n'
    )
    shop = Shop(tls_shop.database, tmp_path, listen=listen)
    shop.write_config()
    for name in ("keystore.json", "root.key"):
        (tmp_path / name).write_bytes((tls_shop.directory / name).read_bytes())
        (tmp_path / name).chmod(0o600)
    shop.serve()
    try:
        with pytest.raises(psycopg.OperationalError, match="requires TLS"):
            psycopg.connect(url(shop, "scram_login", PASSWORD, sslmode="disable"))
        psycopg.connect(url(shop, "scram_login", PASSWORD, sslmode="require")).close()
    finally:
        shop.stop()


def test_failed_tls_handshakes_leave_nothing_behind(
    tls_shop: Shop, certificates: Certificates, tmp_path: Path
) -> None:
    """Strangers who ask for TLS and then talk nonsense, or go, do not use up max_connections."""
    listen = (
        f'tls_cert = "{certificates.cert}"\ntls_key = "{certificates.key}"\nmax_connections = 3\n'
    )
    shop = Shop(tls_shop.database, tmp_path, listen=listen)
    shop.write_config()
    for name in ("keystore.json", "root.key"):
        (tmp_path / name).write_bytes((tls_shop.directory / name).read_bytes())
        (tmp_path / name).chmod(0o600)
    shop.serve()
    try:
        for number in range(8):
            with WireClient(shop.port) as client:
                client.send(struct.pack("!II", 8, 80877103))
                assert client.socket.recv(1) == b"S"
                if number % 2:
                    client.send(b"no TLS at all" * 10)
                    assert client.closed()
        with psycopg.connect(url(shop, "scram_login", PASSWORD, sslmode="require")) as app:
            assert app.execute("SELECT 1").fetchone() == (1,)
    finally:
        assert shop.stop() == 0


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
    ("tls", "trusted", "works"),
    [("require", False, True), ("verify-full", True, True), ("verify-full", False, False)],
)
async def test_tls_to_the_server(
    tls_shop: Shop, certificates: Certificates, tmp_path: Path, tls: str, trusted: bool, works: bool
) -> None:
    """require encrypts; verify-full also checks the certificate, and lets nobody in when it is not trusted."""
    stand_in = TlsServer(certificates, tls_shop.database.postgres.port)
    server = await stand_in.start()
    shop = Shop(tls_shop.database, tmp_path, upstream_port=stand_in.port)
    shop.write_config()
    text = shop.config.read_text().replace(
        'tls = "disable"', f'tls = "{tls}"' + (f'\ntls_ca = "{certificates.ca}"' if trusted else "")
    )
    shop.config.write_text(text)
    for name in ("keystore.json", "root.key"):
        (tmp_path / name).write_bytes((tls_shop.directory / name).read_bytes())
        (tmp_path / name).chmod(0o600)
    try:
        if works:
            await asyncio.to_thread(shop.serve)
            connection = await asyncpg.connect(url(shop, "scram_login", PASSWORD), ssl=False)
            assert await connection.fetchval("SELECT 1") == 1
            await connection.close()
            assert stand_in.encrypted
        else:
            with contextlib.suppress(AssertionError):
                await asyncio.to_thread(shop.serve)
            with pytest.raises(asyncpg.ClientCannotConnectError, match="no trusted TLS"):
                await asyncpg.connect(url(shop, "scram_login", PASSWORD), ssl=False)
            assert "CERTIFICATE_VERIFY_FAILED" in shop.output_path.read_text()
    finally:
        await asyncio.to_thread(shop.stop)
        server.close()
