"""psql, pg_dump and pg_restore of the embedded server, run as a user at a shell would run them."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.conftest import Database
from tests.integration.shop import COLUMNS, Shop

KIND_TYPES = {
    '"The Text"': "text", "v": "varchar(10)", "c": "char(6)", "i2": "int2", "i4": "int4", "i8": "int8",
    "n": "numeric", "f4": "float4", "f8": "float8", "b": "bool", "d": "date", "ts": "timestamp",
    "tz": "timestamptz", "u": "uuid", "j": "json", "jb": "jsonb", "y": "bytea",
}  # fmt: skip
KINDS = "".join(
    """[columns.'public.visits.ip']\ntype = "text"\n"""
    if column == "ip"
    else f"""[columns.'"Odd Place"."Kinds".{column}']\ntype = "{type_}"\n"""
    for column, type_ in {**KIND_TYPES, "ip": "text"}.items()
)
"""Every type, and a partitioned table."""
ALL = """['public.customers.*', 'public.visits.*', '"Odd Place"."Kinds".*']"""

DBA = (
    KINDS
    + f"""
[roles.backup]
clear = {ALL}

[roles.shop_owner]
clear = {ALL}
write = {ALL}
"""
)
"""Grants of the logins that dump and restore."""


@dataclass(frozen=True, slots=True)
class Tools:
    """The programs, pointed at one port and database. Each runs without a terminal and without ~/.psqlrc."""

    bin: Path
    port: int
    database: str
    login: str

    def environment(self) -> dict[str, str]:
        return {
            "PATH": f"{self.bin}:{os.environ['PATH']}",
            "LC_ALL": "C.UTF-8",
            "PAGER": "cat",
            "PGHOST": "127.0.0.1",
            "PGPORT": str(self.port),
            "PGDATABASE": self.database,
            "PGUSER": self.login,
            **{k: v for k, v in os.environ.items() if k == "LD_LIBRARY_PATH"},
        }

    def run(
        self, *arguments: str, stdin: str | bytes = "", cwd: Path | None = None
    ) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(
            arguments,
            input=stdin.encode() if isinstance(stdin, str) else stdin,
            capture_output=True,
            check=False,
            env=self.environment(),
            cwd=cwd,
            timeout=120,
            start_new_session=True,  # No terminal: \password then reads standard input.
        )

    def psql(self, script: str | bytes, *arguments: str, cwd: Path | None = None) -> Said:
        """psql reading a script on standard input; it goes on after errors, as psql does."""
        done = self.run("psql", "-X", *arguments, stdin=script, cwd=cwd)
        out, err = (o.decode(errors="surrogateescape") for o in (done.stdout, done.stderr))
        return Said(out, err, done.returncode)

    def done(self, *arguments: str, stdin: str | bytes = "", cwd: Path | None = None) -> str:
        """Run one program that has to succeed without a warning; what it printed."""
        done = self.run(*arguments, stdin=stdin, cwd=cwd)
        assert (done.returncode, done.stderr) == (0, b""), (arguments, done.stderr.decode())
        return done.stdout.decode()


@dataclass(frozen=True, slots=True)
class Said:
    """What a program printed."""

    out: str
    err: str
    code: int


@dataclass(frozen=True, slots=True)
class Stage:
    """A sealed shop behind the proxy, and its twin: the same tables in a database where nothing is sealed."""

    shop: Shop
    twin: Database

    def proxied(self, login: str = "shop_app", database: str | None = None) -> Tools:
        database = database or self.shop.database.name
        return Tools(self.shop.database.postgres.bin, self.shop.port, database, login)

    def direct(self, login: str = "shop_app", database: str | None = None) -> Tools:
        postgres = self.shop.database.postgres
        return Tools(postgres.bin, postgres.port, database or self.shop.database.name, login)

    def unsealed(self, login: str = "shop_app") -> Tools:
        return self.direct(login, self.twin.name)


def stage(
    make_database: Callable[[], Database], directory: Path, schema: str, after: str = ""
) -> Iterator[Stage]:
    """`schema` in both databases, one of them sealed and served; then `after`, what may be created later only."""
    database, twin = make_database(), make_database()
    database.psql(schema)
    twin.psql(schema)
    shop = Shop(database, directory, COLUMNS + DBA)
    shop.prepare()
    for made in (database, twin):
        made.psql(after)
    shop.serve()
    yield Stage(shop, twin)
    shop.stop()
    for made in (database, twin):
        made.postgres.drop_database(made.name)
