"""A project: a database with customers, a configuration for it, and the commands run on both."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import psycopg
import pytest

from proxy.cli import main
from proxy.demo.shop import ProxyProcess
from tests.conftest import Database

CONFIGURATION = """
[listen]
port = 0

[upstream]
host = "{host}"
port = {port}

[control]
dsn = "{dsn}"
refresh_seconds = 1

[columns."public.customers.email"]
type = "text"
search = ["equality"]
mask = "email"

[columns."public.customers.ssn"]
type = "text"
mask = "keep_last:4"

[roles.cli_app]
clear = ["public.customers.*"]
write = ["public.customers.*"]

[roles.cli_support]
clear = ["public.customers.email"]
masked = ["public.customers.ssn"]
"""
TABLE = """
CREATE TABLE customers (id int PRIMARY KEY, name text, email text, ssn text);
INSERT INTO customers VALUES (1, 'Amina', 'amina@example.com', '900-11-0001');
GRANT ALL ON customers TO PUBLIC;
"""


@dataclass(slots=True)
class Project:
    """`run` is the command line, in this process; `serve` is a process of its own, ended after the test."""

    directory: Path
    database: Database
    capsys: pytest.CaptureFixture[str]
    processes: list[ProxyProcess] = field(default_factory=list)
    out: str = ""
    err: str = ""

    @property
    def file(self) -> Path:
        return self.directory / "sealgate.toml"

    @property
    def audit_log(self) -> Path:
        return self.directory / "audit.jsonl"

    def configure(self, more: str = "", change: tuple[str, str] = ("", "")) -> None:
        """Writes the configuration, with `more` behind it and one text in it changed."""
        server = self.database.postgres
        text = CONFIGURATION.format(
            host=server.host, port=server.port, dsn=self.database.dsn("cli_control")
        )
        assert change[0] in text
        self.file.write_text(text.replace(*change) + more)

    def run(self, *arguments: str) -> int:
        """The exit code; what was printed is in `out` and `err`."""
        code = main([*arguments, "--config", str(self.file)])
        self.out, self.err = self.capsys.readouterr()
        return code

    def run_process(self, *arguments: str) -> int:
        """`run` as a process of its own, for a command that takes the whole process."""
        command = [sys.executable, "-m", "proxy", *arguments, "--config", str(self.file)]
        result = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
        self.out, self.err = result.stdout, result.stderr
        return result.returncode

    def sealed(self) -> Project:
        """After init and apply."""
        assert self.run("init") == 0
        assert self.run("apply", "--dsn", self.database.dsn()) == 0, self.out + self.err
        return self

    def serve(self) -> ProxyProcess:
        process = ProxyProcess(self.file, self.directory / "proxy.log")
        self.processes.append(process)
        return process

    def connect(self, proxy: ProxyProcess, login: str = "cli_app") -> psycopg.Connection:
        dsn = f"postgresql://{login}@{proxy.host}:{proxy.port}/{self.database.name}"
        return psycopg.connect(dsn, autocommit=True, connect_timeout=10)


@pytest.fixture
def project(
    database: Database, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> Iterator[Project]:
    for login in ("cli_control", "cli_app", "cli_support", "cli_stranger"):
        database.postgres.create_role(login)
    database.psql(TABLE)
    made = Project(tmp_path, database, capsys)
    made.configure()
    yield made
    for process in made.processes:
        process.stop()
