"""The servers of one run: PostgreSQL, pgbouncer, Sealgate; each a process of ours, ended by its id. [io]

TLS is off on all of them and everybody trusts: what is measured is the relaying of statements, not the login.
Durability is off in PostgreSQL (the embedded server's default), so that the disk is in nobody's way.
"""

from __future__ import annotations

import json
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from bench import processes
from proxy.embedded import EmbeddedPostgres, free_port
from proxy.programs import UNPRIVILEGED_USERS

HOST = "127.0.0.1"
DATABASE = "shop"
APPLICATION = "app"
READY_SECONDS = 60.0

POSTGRES_SETTINGS: Mapping[str, str] = {
    "shared_buffers": "1GB",
    "max_connections": "800",
    "max_wal_size": "4GB",
    "checkpoint_timeout": "1h",
    "autovacuum": "off",
    "work_mem": "64MB",
    "max_parallel_workers_per_gather": "0",
}

BOUNCER = """\
[databases]
* = host={host} port={port}
[pgbouncer]
listen_addr = {host}
listen_port = {listen}
unix_socket_dir =
auth_type = trust
auth_file = {users}
pool_mode = session
default_pool_size = 700
max_client_conn = 2000
ignore_startup_parameters = extra_float_digits
logfile = {directory}/pgbouncer.log
pidfile = {directory}/pgbouncer.pid
"""


class NotAvailable(Exception):
    """This side cannot run here; the text says why and what to install. Reported, and no failure."""


class ServerFailed(Exception):
    """A server of the benchmark did not start; the text has its last words."""


@dataclass(slots=True)
class Server:
    """A process that listens on a port of the loopback interface."""

    name: str
    port: int
    process: subprocess.Popen[bytes] | subprocess.Popen[str]

    @property
    def pids(self) -> list[int]:
        """Its process and all its children."""
        return processes.family(self.process.pid)

    def stop(self) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(10.0)
        except subprocess.TimeoutExpired:
            for pid in self.pids:
                os.kill(pid, signal.SIGKILL)
            self.process.wait()
        if self.process.stdout is not None:
            self.process.stdout.close()


def postgres() -> EmbeddedPostgres:
    """The embedded server, started, with the database and the application's login."""
    server = EmbeddedPostgres(settings=POSTGRES_SETTINGS).start()
    prepare(server)
    return server


def prepare(server: EmbeddedPostgres) -> None:
    server.create_role(APPLICATION)
    server.create_role("sealgate")
    server.create_database(DATABASE, APPLICATION)


def postmaster(server: EmbeddedPostgres) -> int:
    """Its process id: the first line of the lock file (PostgreSQL's manual, "Database File Layout")."""
    return int((server.data / "postmaster.pid").read_text().split()[0])


def start_pgbouncer(upstream_port: int, directory: Path) -> Server:
    """Debian's pgbouncer in session mode. Raises NotAvailable where it is not installed."""
    program = shutil.which("pgbouncer", path=os.environ.get("PATH", "") + ":/usr/sbin")
    if program is None:
        raise NotAvailable("pgbouncer is not installed (Debian and Ubuntu: apt install pgbouncer)")
    user = unprivileged_user()
    directory.mkdir()
    if user is not None:
        shutil.chown(directory, user)
    users = directory / "users.txt"
    users.write_text(f'"{APPLICATION}" ""\n')
    port = free_port()
    text = BOUNCER.format(
        host=HOST, port=upstream_port, listen=port, users=users, directory=directory
    )
    file = directory / "pgbouncer.ini"
    file.write_text(text)
    process = subprocess.Popen(
        [program, str(file)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        user=user,
        extra_groups=None if user is None else [],
    )
    server = Server("pgbouncer", port, process)
    _wait_for_port(server, directory / "pgbouncer.log")
    return server


def pgbouncer_version() -> str | None:
    program = shutil.which("pgbouncer", path=os.environ.get("PATH", "") + ":/usr/sbin")
    if program is None:
        return None
    said = subprocess.run([program, "--version"], capture_output=True, text=True, check=False)
    return said.stdout.splitlines()[0].removeprefix("PgBouncer ").strip() if said.stdout else None


def unprivileged_user() -> str | None:
    """Whom servers that refuse root run as; None when we are not root."""
    if os.geteuid() != 0:
        return None
    known = {entry.pw_name for entry in pwd.getpwall()}
    return next((name for name in UNPRIVILEGED_USERS if name in known), None)


class Sealgate:
    """Keys and configuration for one database, and `serve` processes on it.

    tree: the directory whose `proxy` is measured.
    """

    def __init__(self, tree: Path, directory: Path, upstream_port: int) -> None:
        self.tree = tree
        self.directory = directory
        self.upstream_port = upstream_port
        directory.mkdir()

    def apply(self, columns: Mapping[str, tuple[str, tuple[str, ...]]]) -> None:
        """Makes keys and turns the columns into sealed ones. columns: label -> (type, search)."""
        self._columns = columns
        self.run("init", self.configuration())
        self.run("apply", self.configuration())

    @cached_property
    def _environment(self) -> dict[str, str]:
        return {**os.environ, "PYTHONPATH": str(self.tree)}

    def configuration(self, workers: int = 1, audit: str = "ack") -> Path:
        """A configuration file for that many workers, and that `[audit] mode`; all share keystore and database."""
        file = self.directory / f"sealgate-{workers}-{audit}.toml"
        lines = [
            f"[listen]\nport = 0\nworkers = {workers}\nmax_connections = 2000",
            "max_message_bytes = 1073741824",
            f'[upstream]\nhost = "{HOST}"\nport = {self.upstream_port}\ntls = "disable"',
            f'[control]\ndsn = "postgresql://{APPLICATION}@{HOST}:{self.upstream_port}/{DATABASE}"',
            '[keystore]\npath = "keystore.json"',
            'root_key = { provider = "file", path = "root.key" }',
            f'[audit]\npath = "audit-{workers}-{audit}.jsonl"\nmode = "{audit}"',
            f'[roles.{APPLICATION}]\nclear = ["sealed.*"]\nwrite = ["sealed.*"]',
        ]
        for label, (kind, search) in self._columns.items():
            lines.append(f'[columns."{label}"]\ntype = "{kind}"\nsearch = {json.dumps(search)}')
        file.write_text("\n".join(lines) + "\n")
        return file

    def run(self, command: str, configuration: Path) -> None:
        said = subprocess.run(
            [sys.executable, "-m", "proxy", command, "--config", str(configuration)],
            cwd=self.tree,
            env=self._environment,
            capture_output=True,
            text=True,
            check=False,
        )
        if said.returncode != 0:
            raise ServerFailed(f"sealgate {command} failed:\n{said.stderr}{said.stdout}")

    def serve(
        self, workers: int = 1, *, audit: str = "ack", under: tuple[str, ...] = ("-m", "proxy")
    ) -> Server:
        """Starts a proxy. Raises NotAvailable when this tree refuses that many workers.

        under: the interpreter's arguments before `serve` (`heartbeat` puts itself there).
        """
        log = self.directory / f"serve-{workers}-{time.monotonic_ns()}.log"
        with log.open("ab") as diagnostics:
            process = subprocess.Popen(
                [
                    sys.executable,
                    *under,
                    "serve",
                    "--config",
                    str(self.configuration(workers, audit)),
                ],
                cwd=self.tree,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=diagnostics,
                text=True,
                start_new_session=True,
            )
        line = _first_line(process)
        server = Server(f"sealgate, {workers} worker(s)", 0, process)
        if "listening on " not in line:
            server.stop()
            said = log.read_text()[-2000:]
            if workers > 1 and "listen.workers" in said:
                raise NotAvailable(f"this Sealgate takes no workers = {workers}")
            raise ServerFailed(f"sealgate serve did not start:\n{said}")
        server.port = int(line.rpartition(":")[2])
        return server


def _first_line(process: subprocess.Popen[str]) -> str:
    patience = threading.Timer(READY_SECONDS, process.kill)
    patience.start()
    try:
        return process.stdout.readline() if process.stdout is not None else ""
    finally:
        patience.cancel()


def _wait_for_port(server: Server, log: Path) -> None:
    deadline = time.monotonic() + READY_SECONDS
    while time.monotonic() < deadline and server.process.poll() is None:
        try:
            socket.create_connection((HOST, server.port), timeout=1.0).close()
        except OSError:
            time.sleep(0.02)
        else:
            return
    server.stop()
    said = log.read_text()[-1000:] if log.exists() else ""
    raise ServerFailed(f"{server.name} did not start:\n{said}")
