"""Do workers scale? Asked where the proxy has nearly all the work, so that the cores are left to it. [io]

pgbench (libpq) keeps every row that it gets, which costs a core a good part of what unsealing does; these clients are
raw sockets that throw away what comes, one thread each.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass

from bench import wire
from bench.measure import Figures, Measured, interleave
from bench.servers import APPLICATION, DATABASE
from bench.stage import Stage
from bench.workloads.copying import expect
from bench.workloads.load import reachable

SIDES = ("sealed", "sealed_2")
CLIENTS = 8
ROWS = 5000  # of one answer: long enough that statements do not count, short beside a round
COLUMNS = "id, email, phone, born"
SEALED_COLUMNS = 3


@dataclass(frozen=True, slots=True)
class Scaling:
    """sql: with `{rows}`; tag: of its CommandComplete. A unit is a row."""

    name: str
    title: str
    sql: str
    tag: str

    def runs(self) -> list[tuple[str, Callable[[Stage], Measured]]]:
        return [(f"{self.name}@{CLIENTS}", self._run)]

    def _run(self, stage: Stage) -> Measured:
        name = f"{self.name}@{CLIENTS}"
        measured = Measured(name, self.title, "rows/s", CLIENTS, SEALED_COLUMNS)
        available = reachable(stage, SIDES, measured)
        interleave(measured, available, stage.scale.rounds, lambda side: self._once(stage, side))
        return measured

    def _once(self, stage: Stage, name: str) -> Figures:
        side = stage.side(name)
        rows = min(ROWS, stage.scale.copied)
        sql = self.sql.format(rows=rows)

        def again(connection: wire.Connection, until: float) -> int:
            answers = 0
            while time.perf_counter() < until:
                expect(connection.query(sql)[0], f"{self.tag} {rows}")
                answers += 1
            return answers

        with ExitStack() as closing:
            connections = [
                closing.enter_context(wire.Connection(side.port, APPLICATION, DATABASE))
                for _ in range(CLIENTS)
            ]
            for connection in connections:  # warm
                expect(connection.query(sql)[0], f"{self.tag} {rows}")
            threads = closing.enter_context(ThreadPoolExecutor(CLIENTS))
            meter = stage.meter(side)
            client, began = time.process_time(), time.perf_counter()
            until = began + stage.scale.seconds
            answers = sum(threads.map(again, connections, [until] * CLIENTS))
            took = time.perf_counter() - began
            client = time.process_time() - client
            return {
                "rate": answers * rows / took,
                "count": float(answers * rows),
                **meter.read(),
                "client_cpu_s": client,
            }


SCALINGS = (
    Scaling(
        "workers_rows",
        f"{ROWS:,}-row SELECT, three columns of four sealed, answers discarded",
        f"SELECT {COLUMNS} FROM sealed.people WHERE id <= {{rows}}",
        "SELECT",
    ),
    Scaling(
        "workers_copy_out",
        f"COPY out of {ROWS:,} rows, three columns of four sealed, answers discarded",
        f"COPY (SELECT {COLUMNS} FROM sealed.people WHERE id <= {{rows}}) TO STDOUT",
        "COPY",
    ),
)
