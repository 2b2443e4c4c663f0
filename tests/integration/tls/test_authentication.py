"""Logins are the server's business: every method is relayed, and each attempt is an event."""

from __future__ import annotations

import contextlib
import struct
from pathlib import Path

import asyncpg
import psycopg
import pytest

from tests.integration.tls.conftest import HOST, LOGINS, PASSWORD, Papers, TlsShop, pem, startup
from tests.integration.wire_client import WireClient, sqlstate


@pytest.fixture
def shop(plain_shop: TlsShop, papers: Papers) -> TlsShop:
    """With a certificate, asking for none."""
    plain_shop.use(pem(papers.proxy))
    return plain_shop


def test_scram_plus_is_not_offered(shop: TlsShop) -> None:
    """Nor are mechanisms lost that are not about channel binding."""
    with WireClient(shop.port) as client:
        client.send(startup(shop, "scram_login"))
        offer = client.read()
    assert offer is not None
    assert offer[1][4:].split(b"\0") == [b"SCRAM-SHA-256", b"", b""]


def write(path: Path, text: str) -> Path:
    path.write_text(text)
    path.chmod(0o600)
    return path


@pytest.mark.parametrize("user", LOGINS)
@pytest.mark.parametrize("sslmode", ["disable", "verify-full"])
def test_pgpass_and_service(
    shop: TlsShop,
    papers: Papers,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    user: str,
    sslmode: str,
) -> None:
    """.pgpass finds the password by the proxy's host and port, a service file names everything."""
    name = shop.database.name
    passfile = write(tmp_path / "pgpass", f"{HOST}:{shop.port}:{name}:{user}:{PASSWORD}\n")
    monkeypatch.setenv("PGPASSFILE", str(passfile))
    options = {"sslmode": sslmode, "sslrootcert": papers.servers.ca}
    with psycopg.connect(shop.url(user, None, **options)) as connection:
        assert connection.execute("SELECT current_user").fetchone() == (user,)
    lines = [f"host={HOST}", f"port={shop.port}", f"dbname={name}", f"user={user}"]
    lines += [f"{key}={value}" for key, value in options.items()]
    service = write(tmp_path / "services", "\n".join(["[shop]", *lines]) + "\n")
    monkeypatch.setenv("PGSERVICEFILE", str(service))
    with psycopg.connect("service=shop") as connection:
        assert connection.execute("SELECT current_user").fetchone() == (user,)


async def test_asyncpg_with_pgpass(
    shop: TlsShop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its own reader of the same file."""
    line = f"{HOST}:{shop.port}:*:scram_login:{PASSWORD}\n"
    monkeypatch.setenv("PGPASSFILE", str(write(tmp_path / "pgpass", line)))
    connection = await asyncpg.connect(shop.url(password=None), ssl="require")
    assert await connection.fetchval("SELECT current_user") == "scram_login"
    await connection.close()


@pytest.mark.parametrize("user", LOGINS)
@pytest.mark.parametrize("negotiation", ["", "postgres", "direct"])
def test_a_wrong_password_ends_the_connection(shop: TlsShop, user: str, negotiation: str) -> None:
    """28P01 in the server's words, one event, and nothing of the password anywhere."""
    before = shop.clear_events()
    options = {"sslmode": "require", "sslnegotiation": negotiation} if negotiation else {}
    with pytest.raises(psycopg.OperationalError, match="password authentication failed for user"):
        psycopg.connect(shop.url(user, "hunter2hunter2", **(options or {"sslmode": "disable"})))
    assert shop.codes(before) == [("authentication.failed", "28P01")]
    assert "hunter2" not in shop.audit_path.read_text() + shop.said()


@pytest.mark.parametrize("user", ["md5_login", "clear_login"])
def test_after_a_wrong_password_the_server_is_gone(shop: TlsShop, user: str) -> None:
    """The error, then the end: what the client sends behind it reaches nobody."""
    with WireClient(shop.port) as client:
        client.send(startup(shop, user))
        assert client.read() is not None
        client.send(b"p" + struct.pack("!I", 10) + b"wrong\0")
        error = client.read()
        assert error is not None
        assert sqlstate(error[1]) == "28P01"
        with contextlib.suppress(OSError):
            client.send(b"Q" + struct.pack("!I", 13) + b"SELECT 1\0")
        assert client.closed()
