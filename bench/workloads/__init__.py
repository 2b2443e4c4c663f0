"""What is measured, in the order of a run."""

from __future__ import annotations

from collections.abc import Callable

from bench.measure import Measured
from bench.observed import Observed
from bench.settings import Scale
from bench.stage import Stage
from bench.workloads import results, statements

Run = Callable[[Stage], Measured | Observed]


def runs(scale: Scale) -> list[tuple[str, Run]]:
    """(name, what to call with the stage)."""
    loads = [*statements.LOADS, *results.loads(scale.copied)]
    return [run for load in loads for run in load.runs()]
