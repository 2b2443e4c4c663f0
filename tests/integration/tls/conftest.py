"""Certificates for both legs, a proxy that changes its TLS at SIGHUP, and a server with TLS where one is installed."""

from __future__ import annotations

import json
import struct
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Database
from tests.integration.certificates import Authority, Certificates
from tests.integration.shop import SCHEMA, Shop
from tests.integration.tls.server import TlsPostgres, installed

HOST = "127.0.0.1"
PASSWORD = "correct horse"
LOGINS = {"md5_login": "md5", "scram_login": "scram-sha-256", "clear_login": "password"}


class Papers:
    """Who trusts whom: one authority for servers, one for clients, and a stranger."""

    def __init__(self, directory: Path) -> None:
        self.servers = Authority(directory / "servers", "Servers CA")
        self.clients = Authority(directory / "clients", "Clients CA")
        self.strangers = Authority(directory / "strangers", "Servers CA")
        self.proxy = self.servers.issue(HOST, HOST, file="proxy")
        self.server = self.servers.issue(HOST, HOST, file="server")
        self.own = self.clients.issue("sealgate")
        """What the proxy shows to the server."""

    @cached_property
    def client(self) -> Certificates:
        return self.clients.issue("scram_login")

    @cached_property
    def other_client(self) -> Certificates:
        return self.clients.issue("somebody_else")

    @cached_property
    def expired_client(self) -> Certificates:
        return self.clients.issue("scram_login", file="expired", expired=True)

    @cached_property
    def revoked_client(self) -> Certificates:
        return self.clients.issue("scram_login", file="revoked")

    @cached_property
    def strange_client(self) -> Certificates:
        return self.strangers.issue("scram_login")


@dataclass
class TlsShop(Shop):
    """A shop whose [upstream] can be written; `use` changes both legs while it runs."""

    upstream: str = 'tls = "disable"'
    control: str = ""

    def write_config(self) -> None:
        super().write_config()
        text = self.config.read_text().replace('tls = "disable"', self.upstream)
        if self.control:
            text = text.replace(self.database.dsn(), self.control)
        self.config.write_text(text)

    def use(self, listen: str = "", upstream: str = 'tls = "disable"') -> None:
        """SIGHUP, where something changes."""
        if (listen, upstream) != (self.listen, self.upstream):
            self.listen, self.upstream = listen, upstream
            self.write_config()
            self.reload()

    def url(
        self, user: str = "scram_login", password: str | None = PASSWORD, **options: object
    ) -> str:
        query = "&".join(f"{k}={v}" for k, v in options.items())
        secret = f":{password.replace(' ', '%20')}" if password else ""
        return f"postgresql://{user}{secret}@{HOST}:{self.port}/{self.database.name}?{query}"

    def said(self, since: int = 0) -> str:
        """The operations log, from a position on."""
        return self.output_path.read_text()[since:]

    def says(self, words: str, since: int = 0) -> bool:
        """Is it in the operations log? A client may hear of its end before the line is written."""
        deadline = time.monotonic() + 10
        while words not in self.said(since):
            if time.monotonic() > deadline:
                return False
            time.sleep(0.02)
        return True

    @property
    def mark(self) -> int:
        return len(self.said())

    def codes(self, since: int) -> list[tuple[str, str | None]]:
        """What became of logins: event code and SQLSTATE."""
        return [
            (event["metadata"]["event_code"], event.get("status_code"))
            for event in self.logins(since)
        ]

    def events(self) -> list[dict[str, Any]]:
        """Whole lines only: the proxy may be writing the next one."""
        text = self.audit_path.read_text() if self.audit_path.exists() else ""
        return [json.loads(line) for line in text[: text.rfind("\n") + 1].splitlines()]

    def logins(self, since: int) -> list[dict[str, Any]]:
        """The events of logins; a session of the test before may only now be closed."""
        return [
            event
            for event in self.events()[since:]
            if event["metadata"]["event_code"].startswith(("authentication", "protocol"))
        ]


def pem(certificates: Certificates) -> str:
    """`tls_cert` and `tls_key`."""
    return f'tls_cert = "{certificates.cert}"\ntls_key = "{certificates.key}"\n'


def startup(shop: TlsShop, user: str = "shop_app") -> bytes:
    """A StartupMessage."""
    fields = f"user\0{user}\0database\0{shop.database.name}\0\0".encode()
    return struct.pack("!II", len(fields) + 8, 196608) + fields


@pytest.fixture(scope="session")
def papers(tmp_path_factory: pytest.TempPathFactory) -> Papers:
    return Papers(tmp_path_factory.mktemp("papers"))


def prepare(database: Database) -> None:
    """The shop's tables, and a login for every method."""
    database.psql(SCHEMA)
    for user, method in LOGINS.items():
        encryption = "md5" if method == "md5" else "scram-sha-256"
        database.psql(f"SET password_encryption = '{encryption}'; "
                      f"CREATE ROLE {user} LOGIN PASSWORD '{PASSWORD}'")  # fmt: skip


def clean(database: Database) -> None:
    database.postgres.drop_database(database.name)
    for user in LOGINS:
        database.postgres.psql(f"DROP ROLE {user}")


@pytest.fixture(scope="package")
def plain_shop(
    make_database: Callable[[], Database], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[TlsShop]:
    """Before the embedded server, which has no TLS: the clients' leg."""
    database = make_database()
    prepare(database)
    shop = TlsShop(database, tmp_path_factory.mktemp("plain_shop"))
    shop.prepare()
    shop.serve()
    database.postgres.authenticate("trust", LOGINS)  # type: ignore[arg-type]
    yield shop
    database.postgres.authenticate("trust")
    shop.stop()
    clean(database)


@pytest.fixture(scope="package")
def server(papers: Papers) -> Iterator[TlsPostgres]:
    """PostgreSQL 18 with TLS."""
    programs = installed()
    if programs is None:
        pytest.skip("no PostgreSQL with TLS: make tools")
    with TlsPostgres(programs) as server:
        server.secure(papers.server)
        yield server


@pytest.fixture(scope="package")
def server_shop(
    server: TlsPostgres, papers: Papers, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[TlsShop]:
    """Before a server with TLS: both legs. Its control connection is verified as well."""
    database = Database("shop", server)
    server.create_database("shop")
    prepare(database)
    shop = TlsShop(database, tmp_path_factory.mktemp("server_shop"))
    shop.control = f"{database.dsn()}?sslmode=verify-full&sslrootcert={papers.servers.ca}"
    shop.prepare()
    shop.serve()
    yield shop
    shop.stop()


@pytest.fixture
def passwords(server: TlsPostgres) -> Iterator[None]:
    """The server asks the logins for passwords, each by its method; everybody else is trusted."""
    server.hba([f"host all {user} all {method}" for user, method in LOGINS.items()])
    yield
    server.hba([])
