"""Memory: of connections that do nothing, and of a big result whose reader is slow. [io]"""

from __future__ import annotations

import threading
import time
from contextlib import ExitStack

from bench import wire
from bench.observed import Observed
from bench.processes import memory_bytes, resident_bytes
from bench.servers import APPLICATION, DATABASE, NotAvailable, Server
from bench.stage import Stage

SETTLE_SECONDS = 0.5
SAMPLE_SECONDS = 0.1
ROW_BYTES = 30  # of an answer with one e-mail, about


def idle(stage: Stage) -> Observed:
    """Open connections that have logged in and said nothing, and the same after one statement each.

    Each on a proxy started for it: what an earlier load left behind would serve the first connections.
    """
    observed = Observed("idle", f"memory of {stage.scale.idle} idle connections")
    for name in ("sealgate", "pgbouncer"):
        try:
            server = stage.fresh(name)
        except NotAvailable as reason:
            observed.missing[name] = str(reason)
            continue
        try:
            _open(stage, observed, name, server)
        finally:
            server.stop()
    return observed


def _open(stage: Stage, observed: Observed, name: str, server: Server) -> None:
    """The first fifth of the connections is not counted: it fills what the start has left free in the heap."""
    schema = "sealed" if name == "sealgate" else "plain"
    statement = f"SELECT email FROM {schema}.people WHERE id = 1"
    count = stage.scale.idle
    first = count // 5
    with ExitStack() as stack:

        def open_connections(number: int) -> list[wire.Connection]:
            return [
                stack.enter_context(wire.Connection(server.port, APPLICATION, DATABASE))
                for _ in range(number)
            ]

        begun = open_connections(first)
        begun[0].query(statement)
        before = _settled(server)
        opened = begun + open_connections(count - first)
        after = _settled(server)
        for connection in opened:
            connection.query(statement)
        used = _settled(server)
    observed.cases[name] = {
        "connections": count,
        "before_mb": before / 1e6,
        "per_connection_kb": (after - before) / (count - first) / 1000,
        "more_after_a_statement_kb": (used - after) / count / 1000,
    }


def _settled(server: Server) -> int:
    time.sleep(SETTLE_SECONDS)
    return memory_bytes(server.pids)


def streaming(stage: Stage) -> Observed:
    """Rows to a client that reads slower than the proxy could send."""
    rows = stage.scale.streamed
    observed = Observed("streaming", f"memory while {rows:,} rows go to a slow reader")
    for name in ("sealgate", "sealed"):
        schema = stage.side(name).schema
        server = stage.fresh("sealgate")
        try:
            with wire.Connection(
                server.port, APPLICATION, DATABASE, receive_buffer=1 << 16
            ) as reader:
                reader.query(f"SELECT email FROM {schema}.people WHERE id <= 1000")
                pace = rows * ROW_BYTES / stage.scale.stream_seconds
                with Sampler(server) as sampler:
                    tag, size = reader.query(_many(schema, stage.scale.people, rows), pace)
                if tag != f"SELECT {rows}":
                    raise wire.Refused(f"the answer was {tag!r}")
        except wire.Refused as refused:
            observed.failed[name] = str(refused)
            continue
        finally:
            server.stop()
        observed.cases[name] = {
            "rows": rows,
            "answer_mb": size / 1e6,
            "seconds": sampler.seconds,
            "before_mb": sampler.before / 1e6,
            "peak_mb": sampler.peak / 1e6,
            "growth_mb": sampler.growth / 1e6,
            "samples": [[round(t, 2), round(b / 1e6, 2)] for t, b in sampler.samples],
        }
    return observed


def _many(schema: str, people: int, rows: int) -> str:
    times = rows // people
    return f"SELECT email FROM {schema}.people CROSS JOIN generate_series(1, {times})"


class Sampler:
    """Resident memory of a server, sampled in a thread of its own while the `with` lasts."""

    def __init__(self, server: Server) -> None:
        self._pids = server.pids
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._sample, daemon=True)
        self.before = resident_bytes(self._pids)
        self.samples: list[tuple[float, int]] = []

    def __enter__(self) -> Sampler:
        self._began = time.monotonic()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    @property
    def seconds(self) -> float:
        return self.samples[-1][0]

    @property
    def peak(self) -> int:
        return max(size for _, size in self.samples)

    @property
    def growth(self) -> int:
        """The peak after the first fifth of the time, less the peak within it: buffers have filled by then."""
        early = [size for t, size in self.samples if t <= self.seconds / 5]
        return max(0, self.peak - max(early, default=self.before))

    def _sample(self) -> None:
        while True:
            self.samples.append((time.monotonic() - self._began, resident_bytes(self._pids)))
            if self._ended.wait(SAMPLE_SECONDS):
                return
