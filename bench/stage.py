"""What one run measures on: servers started, tables filled, sides by name. [io]

`Stage` is a context manager; leaving it ends every process that it started. What only some workloads need (a second
proxy, the server with pgcrypto) is started when they ask.
"""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Final, Literal

import psycopg

from bench import application, data, pgcrypto, servers
from bench.cost import Meter
from bench.pgbench import Pgbench
from bench.servers import APPLICATION, DATABASE, NotAvailable, Sealgate, Server
from bench.settings import Scale
from bench.sides import Side
from proxy.embedded import EmbeddedPostgres

AUDIT_MODES: Final = {"sealed_async": "async", "sealed_durable": "durable"}
"""Sides that wait for the access log otherwise than the rest does."""


class NotReadThrough(Exception):
    """A sealed value did not come back through Sealgate as it was stored; nothing is measured then."""


class Stage:
    """scale: sizes; tree: the directory whose `proxy` is measured; say: told of progress."""

    def __init__(
        self, scale: Scale, tree: Path, workers: tuple[int, ...], say: Callable[[str], None]
    ) -> None:
        self.scale = scale
        self.workers = workers
        self.say = say
        self.missing: dict[str, str] = {}
        self.tree = tree
        self._sides: dict[str, Side] = {}
        self._closing = ExitStack()

    def __enter__(self) -> Stage:
        try:
            self._set_up()
        except BaseException:
            self._closing.close()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._closing.close()

    # -- what workloads use -----------------------------------------------------------------------

    @property
    def postgres(self) -> EmbeddedPostgres:
        return self._postgres

    @property
    def sealgate(self) -> Sealgate:
        return self._sealgate

    @property
    def directory(self) -> Path:
        return self._directory

    def side(self, name: str) -> Side:
        """Raises NotAvailable, saying why."""
        if name in self.missing:
            raise NotAvailable(self.missing[name])
        if name not in self._sides:
            try:
                self._start(name)
            except NotAvailable as reason:
                self.missing[name] = str(reason)
                raise
        return self._sides[name]

    def fresh(self, name: Literal["sealgate", "pgbouncer"]) -> Server:
        """A server of its own for one workload, which stops it. Raises NotAvailable."""
        if name == "pgbouncer":
            return self._bouncer()
        server = self.sealgate.serve()
        self._closing.callback(server.stop)
        return server

    def closing(self, action: Callable[[], object]) -> None:
        """Calls this at the end of the run."""
        self._closing.callback(action)

    def dsn(self, name: str) -> str:
        return self.side(name).dsn(APPLICATION, DATABASE)

    def pgbench(self, side: Side) -> Pgbench:
        return Pgbench(self._postgres.bin / "pgbench", side.port, APPLICATION, DATABASE)

    def meter(self, side: Side) -> Meter:
        """Counts CPU time from now on: of what is in between, and of the server that has the data."""
        return Meter(side.proxy_pids, servers.postmaster(side.postgres or self._postgres))

    def empty(self, side: Side) -> None:
        """Empties the tables that a side writes to, past the proxies."""
        data.empty(side.postgres or self._postgres, DATABASE, APPLICATION, side.schema)

    # -- inside -----------------------------------------------------------------------------------

    def _set_up(self) -> None:
        self._directory = Path(tempfile.mkdtemp(prefix="bench-"))
        self._directory.chmod(0o755)
        self._closing.callback(shutil.rmtree, self._directory, ignore_errors=True)
        self._postgres = servers.postgres()
        self._closing.callback(self._postgres.close)
        self._sides["direct"] = Side("direct", self._postgres.port, "plain")
        self._sealgate = Sealgate(self.tree, self._directory / "sealgate", self._postgres.port)
        self._fill()
        self.verify("sealed")

    def _fill(self) -> None:
        began = time.monotonic()
        data.create(self._postgres, DATABASE, APPLICATION)
        self._sealgate.apply(data.SEALED)
        data.fill_plain(self._postgres, DATABASE, APPLICATION, self.scale)
        made = time.monotonic()
        data.fill_sealed(self.dsn("direct"), self.dsn("sealed"))
        loaded = time.monotonic()
        data.index_sealed(self._postgres, DATABASE, APPLICATION)
        rate = (self.scale.people + self.scale.accounts) / (loaded - made)
        self.say(
            f"tables: {self.scale.people:,} people; plain in {made - began:.1f} s, "
            f"sealed through Sealgate in {loaded - made:.1f} s ({rate:,.0f} rows/s)"
        )

    def verify(self, name: str) -> None:
        """Raises NotReadThrough unless this side shows plaintext where the database holds sealed bytes."""
        sql = "SELECT id, email, phone, born FROM {}.people WHERE id IN (7, 8) ORDER BY id"
        with (
            psycopg.connect(self.dsn("direct")) as direct,
            psycopg.connect(self.dsn(name)) as through,
        ):
            plain = direct.execute(sql.format("plain").encode()).fetchall()
            stored = direct.execute(sql.format("sealed").encode()).fetchall()
            seen = through.execute(sql.format("sealed").encode()).fetchall()
        if len(plain) != 2 or seen != plain:
            raise NotReadThrough(f"{name} does not show the rows that were stored")
        if not all(isinstance(value, bytes) for row in stored for value in row[1:]):
            raise NotReadThrough("the database does not hold sealed bytes")

    def _start(self, name: str) -> None:
        if name in ("pgbouncer", "pgbouncer_sealed"):
            server = self._bouncer()
            self._sides["pgbouncer"] = Side("pgbouncer", server.port, "plain", server)
            self._sides["pgbouncer_sealed"] = Side(
                "pgbouncer_sealed", server.port, "sealed", server
            )
        elif name == "pgcrypto_pgbouncer":
            to = self.side("pgcrypto")
            server = self._bouncer(to.port)
            self._sides[name] = replace(to, name=name, port=server.port, server=server)
        elif name == "application_pgbouncer":
            through, to = self.side("pgbouncer"), self.side("application")
            self._sides[name] = replace(through, name=name, schema=to.schema)
        elif name in pgcrypto.SIDES:
            for side in pgcrypto.start(self.scale, self.tree, self._directory, self.closing):
                self._sides[side.name] = side
        elif name in application.SIDES:
            through = self.side("sealed")
            application.create(self._postgres, self.scale)
            direct = Side("application", self._postgres.port, "application")
            self._sides["application"] = direct
            self._sides["sealed_application"] = replace(through, name="sealed_application")
        elif name in AUDIT_MODES:
            server = self.sealgate.serve(audit=AUDIT_MODES[name])
            self._closing.callback(server.stop)
            self._sides[name] = Side(name, server.port, "sealed", server)
        elif name.partition("_")[0] in ("sealgate", "sealed"):
            number = name.partition("_")[2]
            workers = int(number or 1)
            if workers not in self.workers:
                raise NotAvailable(f"--workers does not name {workers}")
            suffix = f"_{number}" if number else ""
            server = self.sealgate.serve(workers)
            self._closing.callback(server.stop)
            for word, schema in (("sealgate", "plain"), ("sealed", "sealed")):
                side = Side(f"{word}{suffix}", server.port, schema, server)
                self._sides[side.name] = side
        else:
            raise NotAvailable(f"nothing starts {name}")

    def _bouncer(self, upstream_port: int | None = None) -> Server:
        home = self._directory / f"pgbouncer-{len(list(self._directory.glob('pgbouncer-*')))}"
        server = servers.start_pgbouncer(upstream_port or self._postgres.port, home)
        self._closing.callback(server.stop)
        return server
