"""What is measured, in the order of a run."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from bench.measure import Measured
from bench.observed import Observed
from bench.settings import Scale
from bench.stage import Stage
from bench.workloads import (
    blocks,
    copying,
    in_the_application,
    in_the_server,
    memory,
    results,
    scaling,
    statements,
    stored,
)

Run = Callable[[Stage], Measured | Observed]


class Workload(Protocol):
    """runs: by name; some are measured with several numbers of clients."""

    def runs(self) -> list[tuple[str, Callable[[Stage], Measured]]]: ...


def runs(scale: Scale) -> list[tuple[str, Run]]:
    """(name, what to call with the stage)."""
    workloads: list[Workload] = [
        *statements.LOADS,
        *results.loads(scale.copied),
        *copying.COPIES,
        *scaling.SCALINGS,
        *in_the_server.loads(scale),
        *in_the_server.COPIES,
        *in_the_application.WORKS,
    ]
    return [
        *(run for workload in workloads for run in workload.runs()),
        ("plans", stored.plans),
        ("storage", stored.storage),
        ("idle", memory.idle),
        ("streaming", memory.streaming),
        ("blocks", blocks.blocks),
    ]
