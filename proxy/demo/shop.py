"""The shop of the tour: a PostgreSQL with a customers table, five logins, and Sealgate's own commands as processes. [io]

Nothing here is special to the demo: the commands run as a user would run them, with a configuration file, and the
clients connect as any client would.
"""

from __future__ import annotations

import json
import os
import secrets
import signal
import subprocess
import sys
import threading
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

from proxy.embedded import EmbeddedPostgres

DATABASE = "shop"
OWNER, CONTROL, APPLICATION, SUPPORT, ANALYST = (
    "shop_owner",
    "sealgate",
    "shop_app",
    "support_login",
    "analyst",
)
READY_SECONDS = 30.0

TABLES = """
CREATE TABLE customers (
    id         integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name       text NOT NULL,
    email      text NOT NULL UNIQUE,
    ssn        text,
    birth_date date
);
CREATE TABLE orders (
    id       integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    customer integer NOT NULL REFERENCES customers,
    article  text NOT NULL
);
INSERT INTO customers (name, email, ssn, birth_date) VALUES
    ('Amina Diallo', 'amina@example.com', '900-11-0001', '1980-03-14'),
    ('Bruno Keller', 'bruno@example.net', '900-11-0002', '1975-11-02'),
    ('Chen Mei',     'mei@example.org',   '900-11-0003', '1991-07-23');
INSERT INTO orders (customer, article) VALUES (1, 'teapot'), (1, 'kettle'), (2, 'lamp');
GRANT SELECT, INSERT, UPDATE, DELETE ON customers, orders TO shop_app;
GRANT SELECT ON customers, orders TO support, analyst;
"""

CONFIGURATION = """\
[listen]
port = 0                          # any free port: no other program is in the way

[upstream]
host = "{host}"
port = {port}

[control]
dsn = "{control}"
refresh_seconds = 1               # the tour creates a view past the proxy and does not want to wait

[columns."public.customers.email"]
type = "text"
search = ["equality"]
mask = "email"

[columns."public.customers.ssn"]
type = "text"
search = ["equality"]
mask = "keep_last:4"

[columns."public.customers.birth_date"]
type = "date"
mask = "year"

[roles.shop_app]
clear = ["public.customers.*"]
write = ["public.customers.*"]

[roles.support]
clear = ["public.customers.email"]
masked = ["public.customers.ssn", "public.customers.birth_date"]

[subjects]
"public.customers" = "id"
"""


@dataclass(frozen=True, slots=True)
class Customer:
    name: str
    email: str
    ssn: str
    birth_date: date


class CommandFailed(Exception):
    """One of Sealgate's commands did not do what the tour needs; the text has its output."""


class ProxyProcess:
    """`sealgate serve` as a process of its own."""

    def __init__(self, configuration: Path, log: Path) -> None:
        self.log = log
        self.host, self.port = "127.0.0.1", 0
        with log.open("ab") as diagnostics:
            self._process = subprocess.Popen(  # noqa: S603 - our own command
                _command("serve", "--config", str(configuration)),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=diagnostics,
                text=True,
                start_new_session=True,  # Ctrl-C reaches the tour, which then stops it
            )
        self._wait_until_ready()

    def _wait_until_ready(self) -> None:
        """Reads `listening on HOST:PORT`, the one line that serve prints on stdout."""
        output = self._process.stdout
        patience = threading.Timer(READY_SECONDS, self._process.kill)
        patience.start()
        try:
            line = output.readline() if output is not None else ""
        finally:
            patience.cancel()
        if "listening on " not in line:
            self._process.kill()
            self.wait()
            raise CommandFailed(f"sealgate serve did not start:\n{self.log.read_text()[-2000:]}")
        host, _, port = line.split("listening on ", 1)[1].strip().rpartition(":")
        self.host, self.port = host, int(port)

    def send(self, number: signal.Signals) -> None:
        if self._process.poll() is None:
            self._process.send_signal(number)

    def stop(self) -> int:
        """SIGTERM; the exit code, after the sessions have been drained."""
        self.send(signal.SIGTERM)
        return self.wait()

    def wait(self) -> int:
        """The exit code, once it has ended."""
        try:
            code = self._process.wait(READY_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            code = self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()
        return code


@dataclass(slots=True)
class Shop:
    """Everything the steps share."""

    directory: Path
    postgres: EmbeddedPostgres
    passwords: dict[str, str] = field(repr=False)
    proxy: ProxyProcess | None = None
    events_read: int = 0

    @classmethod
    def in_directory(cls, directory: Path) -> Shop:
        directory.mkdir(parents=True, exist_ok=True)
        logins = (OWNER, CONTROL, APPLICATION, SUPPORT, ANALYST)
        return cls(
            directory=directory,
            postgres=EmbeddedPostgres(
                directory / "postgres", auth="scram-sha-256", log_everything=True
            ),
            passwords={login: secrets.token_urlsafe(12) for login in logins},
        )

    @property
    def configuration(self) -> Path:
        return self.directory / "sealgate.toml"

    @property
    def audit_log(self) -> Path:
        return self.directory / "audit.jsonl"

    @property
    def proxy_log(self) -> Path:
        return self.directory / "proxy.log"

    def create(self) -> None:
        """The server with the shop as it was before Sealgate: everything in plaintext."""
        server = self.postgres.start()
        server.create_role("support", login=False)
        for login, password in self.passwords.items():
            groups = ("support",) if login == SUPPORT else ()
            server.create_role(login, password, member_of=groups)
        server.create_database(DATABASE, owner=OWNER)
        server.psql("ALTER SCHEMA public OWNER TO shop_owner", DATABASE)
        server.psql(TABLES, DATABASE, user=OWNER)

    def write_configuration(self) -> None:
        self.configuration.touch(mode=0o600)  # it holds the control login's password
        self.configuration.write_text(
            CONFIGURATION.format(
                host=self.postgres.host, port=self.postgres.port, control=self.direct(CONTROL)
            )
        )

    def sealgate(self, *arguments: str, password: str | None = None, code: int = 0) -> str:
        """Runs a command as a user would; what it printed. Raises CommandFailed if it does not exit with `code`."""
        environment = {**os.environ, **({"PGPASSWORD": password} if password else {})}
        result = subprocess.run(  # noqa: S603 - our own command
            _command(*arguments, "--config", str(self.configuration)),
            capture_output=True,
            text=True,
            check=False,
            env=environment,
            stdin=subprocess.DEVNULL,
        )
        if result.returncode != code:
            said = (result.stdout + result.stderr).strip()
            raise CommandFailed(f"sealgate {arguments[0]} exited with {result.returncode}:\n{said}")
        return result.stdout

    def serve(self) -> ProxyProcess:
        self.proxy = ProxyProcess(self.configuration, self.proxy_log)
        return self.proxy

    def direct(self, login: str, *, with_password: bool = True) -> str:
        """A connection URI straight to the database."""
        password = self.passwords[login] if with_password else None
        return self.postgres.dsn(DATABASE, login, password)

    def through(self, login: str) -> str:
        """A connection URI through the proxy."""
        if self.proxy is None:
            raise CommandFailed("the proxy does not run")
        password = self.passwords[login]
        return f"postgresql://{login}:{password}@{self.proxy.host}:{self.proxy.port}/{DATABASE}"

    def new_events(self) -> list[dict[str, Any]]:
        """The access log's events since the last call."""
        lines = self.audit_log.read_text().splitlines() if self.audit_log.exists() else []
        fresh = [json.loads(line) for line in lines[self.events_read :]]
        self.events_read = len(lines)
        return fresh

    def close(self) -> None:
        if self.proxy is not None:
            self.proxy.stop()
            self.proxy = None
        self.postgres.close()


def _command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "proxy", *arguments]
