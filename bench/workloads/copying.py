"""COPY of 100,000 rows in and out, three of six columns sealed, over a raw socket. [io]"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import psycopg

from bench import wire
from bench.measure import Figures, Measured, interleave
from bench.processes import cpu_seconds
from bench.servers import APPLICATION, DATABASE
from bench.sides import Side
from bench.stage import Stage
from bench.workloads.load import reachable

SEALED_COLUMNS = 3
BLOCK = 8192  # psql sends blocks of that size


@dataclass(frozen=True, slots=True)
class Copy:
    """name: copy_in or copy_out. A unit is a row."""

    name: str
    title: str
    sides: tuple[str, ...]

    def runs(self) -> list[tuple[str, Callable[[Stage], Measured]]]:
        return [(self.name, self._run)]

    def _run(self, stage: Stage) -> Measured:
        measured = Measured(self.name, self.title, "rows/s", 1, SEALED_COLUMNS)
        available = reachable(stage, self.sides, measured)
        one = self._into(stage) if self.name == "copy_in" else self._out(stage)

        def once(name: str) -> Figures:
            side = stage.side(name)
            one(side)  # warm
            return repeated(stage, side, lambda: one(side), stage.scale.copied)

        interleave(measured, available, stage.scale.rounds, once)
        return measured

    def _into(self, stage: Stage) -> Callable[[Side], float]:
        blocks = lines_of(stage, stage.scale.copied)

        def copy(side: Side) -> float:
            stage.empty(side)
            with wire.Connection(side.port, APPLICATION, DATABASE) as connection:
                began = time.perf_counter()
                tag = connection.copy_in(f"COPY {side.schema}.intake FROM STDIN", blocks)
                took = time.perf_counter() - began
            expect(tag, f"COPY {stage.scale.copied}")
            return took

        return copy

    def _out(self, stage: Stage) -> Callable[[Side], float]:
        rows = stage.scale.copied

        def copy(side: Side) -> float:
            with wire.Connection(side.port, APPLICATION, DATABASE) as connection:
                began = time.perf_counter()
                sql = f"COPY (SELECT * FROM {side.schema}.people WHERE id <= {rows}) TO STDOUT"
                tag, _ = connection.query(sql)
                took = time.perf_counter() - began
            expect(tag, f"COPY {rows}")
            return took

        return copy


def repeated(stage: Stage, side: Side, one: Callable[[], float], rows: int) -> dict[str, float]:
    """Copies again and again for a round's seconds, at least once. `one` returns the seconds that count."""
    pids = side.server.pids if side.server is not None else []
    before = cpu_seconds(pids)
    took, copies = 0.0, 0
    while not copies or took < stage.scale.seconds:
        took += one()
        copies += 1
    figures = {
        "rate": copies * rows / took,
        "count": float(copies * rows),
    }
    if pids:
        figures["cpu_s"] = cpu_seconds(pids) - before
    return figures


def lines_of(stage: Stage, rows: int) -> list[bytes]:
    """The first rows of the table of people, as blocks of whole lines of COPY's text format."""
    sql = f"COPY (SELECT * FROM plain.people WHERE id <= {rows}) TO STDOUT"
    blocks, held = [], bytearray()
    with (
        psycopg.connect(stage.dsn("direct")) as connection,
        connection.cursor().copy(sql.encode()) as copy,
    ):
        for row in copy:
            held += row
            if len(held) >= BLOCK:
                blocks.append(bytes(held))
                held.clear()
    return [*blocks, bytes(held)]


def expect(tag: str, wanted: str) -> None:
    if tag != wanted:
        raise wire.Refused(f"the answer was {tag!r}, not {wanted!r}")


COPIES = (
    Copy(
        "copy_in",
        "COPY in, three of six columns sealed",
        ("direct", "pgbouncer", "sealgate", "sealed"),
    ),
    Copy(
        "copy_out",
        "COPY out, three of six columns sealed",
        ("direct", "pgbouncer", "pgbouncer_sealed", "sealgate", "sealed"),
    ),
)
