"""The longest time that the event loop was blocked, in what could block it. [io]

Measured inside the proxy's process by `heartbeat`, not by pings from outside: with two cores shared by client, proxy
and server, a ping waits several time slices of 3-10 ms for its turn in each of them, which would drown what is asked.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg

from bench import wire
from bench.observed import Observed, Value
from bench.servers import APPLICATION, DATABASE, Server
from bench.stage import Stage
from bench.workloads.copying import lines_of

HEARTBEAT = Path(__file__).parents[1] / "heartbeat.py"  # this one, whatever tree is measured
NESTED = 20
SETTLE_SECONDS = 0.3


class NoBeat(Exception):
    """The heartbeat is not on the proxy's loop: there is nothing to read."""


@dataclass(frozen=True, slots=True)
class Gap:
    """One time without a beat, in seconds. ended: CLOCK_MONOTONIC; waited: for a core that others had."""

    ended: float
    length: float
    on_core: float
    waited: float

    @property
    def own(self) -> float:
        """What is the proxy's doing: on a core, or blocked; not what other processes took."""
        return max(0.0, self.length - self.waited)


@dataclass(frozen=True, slots=True)
class Watched:
    """A proxy with a heartbeat."""

    server: Server
    file: Path

    def gaps(self, since: float) -> list[Gap]:
        lines = self.file.read_text().splitlines()
        if not lines:
            raise NoBeat("the proxy's event loop has no heartbeat")
        found = [Gap(*map(float, line.split())) for line in lines]
        return [gap for gap in found if gap.ended - gap.length >= since]


def blocks(stage: Stage) -> Observed:
    observed = Observed("blocks", "longest time that the event loop was blocked")
    for name, action in scenarios(stage):
        with watched(stage) as proxy:
            began = time.monotonic()
            try:
                said = action(proxy.server.port)
            except (wire.Refused, psycopg.Error) as error:
                observed.failed[name] = f"{type(error).__name__}: {error}"[:300]
                continue
            finally:
                took = time.monotonic() - began
            time.sleep(SETTLE_SECONDS)
            observed.cases[name] = {**figures(proxy.gaps(began)), "seconds": took, "answer": said}
    return observed


def figures(gaps: list[Gap]) -> dict[str, Value]:
    longest = max(gaps, key=lambda gap: gap.own, default=Gap(0.0, 0.0, 0.0, 0.0))
    return {
        "longest_ms": longest.own * 1000,
        "of_it_on_core_ms": min(longest.on_core, longest.own) * 1000,
        "over_10_ms": sum(gap.own > 0.010 for gap in gaps),
        "longest_with_waiting_for_a_core_ms": max((gap.length for gap in gaps), default=0.0) * 1000,
    }


@contextmanager
def watched(stage: Stage) -> Iterator[Watched]:
    file = stage.directory / f"heartbeat-{time.monotonic_ns()}"
    server = stage.sealgate.serve(under=("-P", str(HEARTBEAT), str(file)))
    stage.closing(server.stop)
    try:
        with psycopg.connect(
            f"postgresql://{APPLICATION}@127.0.0.1:{server.port}/{DATABASE}", autocommit=True
        ) as warm:
            warm.execute("SELECT email FROM sealed.people WHERE id = 1")
            warm.execute("SELECT city FROM plain.people WHERE id = 1")
        time.sleep(SETTLE_SECONDS)
        yield Watched(server, file)
    finally:
        server.stop()


def scenarios(stage: Stage) -> list[tuple[str, Callable[[int], str]]]:
    """(name, what to do through the proxy on a port; returns what came back, in words)."""
    scale = stage.scale
    size, rows = scale.value_bytes, scale.copied
    big = f"SELECT id, email, phone, born FROM sealed.people WHERE id <= {rows}"
    return [
        ("nothing", _nothing),
        (f"value of {size // 1_000_000} MB, unsealed", lambda port: _value(port, "plain", size)),
        (f"value of {size // 1_000_000} MB, sealed", lambda port: _value(port, "sealed", size)),
        (f"{rows:,}-row result, 3 sealed columns", lambda port: _rows(port, big, None)),
        (f"{rows:,}-row result, slow reader", lambda port: _rows(port, big, rows * 70 / 4)),
        (f"COPY in of {rows:,} rows, 3 sealed columns", lambda port: _copy(stage, port)),
        (f"{NESTED} nested ARRAY[", _nested),
    ]


def _nothing(port: int) -> str:
    time.sleep(1.0)
    return "a proxy with one connection that does nothing"


def _value(port: int, schema: str, size: int) -> str:
    """Stores a value of so many bytes and reads it back."""
    value = ("0123456789abcdef" * (size // 16 + 1))[:size]
    with psycopg.connect(
        f"postgresql://{APPLICATION}@127.0.0.1:{port}/{DATABASE}", autocommit=True
    ) as connection:
        connection.execute(f"DELETE FROM {schema}.big".encode())
        connection.execute(f"INSERT INTO {schema}.big VALUES (1, %s)".encode(), (value,))
        (row,) = connection.execute(f"SELECT value FROM {schema}.big".encode()).fetchall()
    if row[0] != value:
        raise wire.Refused("the value that came back is another one")
    return f"{len(value):,} bytes came back as they were"


def _rows(port: int, sql: str, bytes_per_second: float | None) -> str:
    with wire.Connection(port, APPLICATION, DATABASE, receive_buffer=1 << 16) as connection:
        tag, size = connection.query(sql, bytes_per_second)
    return f"{tag}, {size:,} bytes"


def _copy(stage: Stage, port: int) -> str:
    blocks_of_lines = lines_of(stage, stage.scale.copied)
    stage.empty(stage.side("sealed"))
    with wire.Connection(port, APPLICATION, DATABASE) as connection:
        return connection.copy_in("COPY sealed.intake FROM STDIN", blocks_of_lines)


def _nested(port: int) -> str:
    """Twenty brackets deep, in a statement on a sealed table: a parser that reads them twice needs 2^20 steps."""
    deep = "ARRAY[" * NESTED + "1" + "]" * NESTED
    said = []
    with wire.Connection(port, APPLICATION, DATABASE) as connection:
        for sql in (f"SELECT email, {deep} FROM sealed.people WHERE id = 1", f"SELECT {deep}"):
            try:
                said.append(connection.query(sql)[0])
            except wire.Refused:
                said.append("refused")
    return ", ".join(said)
