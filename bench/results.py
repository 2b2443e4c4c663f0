"""The result of a run as JSON: what was measured, on what, and what could not be.

format      1
date        UTC, to the second
machine     see `machine.describe`
settings    the scale, and who asked for what
measured    name -> title, unit, clients, cells, rounds, medians, ratios, missing, failed
observed    name -> title, cases, missing, failed
failed      name -> what a workload said that could not be measured at all
targets     see `targets.judge`
seconds     how long the run took
"""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench import machine, targets
from bench.measure import Measured
from bench.observed import Observed
from bench.stage import Stage

Result = dict[str, Any]
FORMAT = 1
REFERENCES = (
    *("direct", "pgbouncer", "pgbouncer_sealed"),
    *("pgcrypto", "pgcrypto_pgbouncer", "pgcrypto_raw"),
    *("application", "application_pgbouncer"),
)


def begin(stage: Stage) -> Result:
    version = stage.postgres.psql("SHOW server_version")
    return {
        "format": FORMAT,
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": machine.describe(stage.tree, version),
        "settings": {**dataclasses.asdict(stage.scale), "workers": list(stage.workers)},
        "measured": {},
        "observed": {},
        "failed": {},
    }


def add(result: Result, name: str, what: Measured | Observed) -> str:
    """Puts it into the result; a line for people."""
    if isinstance(what, Observed):
        result["observed"][name] = {
            "title": what.title,
            "cases": what.cases,
            "missing": what.missing,
            "failed": what.failed,
        }
        return f"{name}: {_cases(what)}{_problems(what.failed)}"
    result["measured"][name] = {
        "title": what.title,
        "unit": what.unit,
        "clients": what.clients,
        "cells": what.cells,
        "rounds": what.rounds,
        "medians": what.medians,
        "ratios": ratios(what),
        "missing": what.missing,
        "failed": what.failed,
    }
    return f"{name}: {_rates(what)}{_problems(what.failed)}"


def add_failure(result: Result, name: str, error: Exception) -> str:
    result["failed"][name] = f"{type(error).__name__}: {error}"[:500]
    return f"{name}: FAILED {result['failed'][name]}"


def end(result: Result, stage: Stage, seconds: float) -> None:
    result["missing"] = dict(stage.missing)
    result["targets"] = targets.judge(result)
    result["seconds"] = round(seconds)


def failures(result: Result) -> list[str]:
    """What failed, a line each."""
    found = [f"{name}: {what}" for name, what in result["failed"].items()]
    for kind in ("measured", "observed"):
        for name, entry in result[kind].items():
            found += [f"{name}, {side}: {what}" for side, what in entry["failed"].items()]
    return found


def write(result: Result, file: Path) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps(rounded(result), indent=1)
    text = re.sub(r"[\[{][^\[\]{}]*[\]}]", lambda flat: re.sub(r"\n *", " ", flat[0]), text)
    file.write_text(text + "\n")


def rounded(value: Any) -> Any:
    """Six digits that matter are more than any of this is worth."""
    if isinstance(value, Mapping):
        return {name: rounded(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [rounded(one) for one in value]
    return float(f"{value:.6g}") if isinstance(value, float) else value


def read(file: Path) -> Result:
    result: Result = json.loads(file.read_text())
    if result.get("format") != FORMAT:
        raise ValueError(f"{file.name} is not a result of format {FORMAT}")
    return result


def ratios(what: Measured) -> dict[str, dict[str, float]]:
    """side -> reference -> its rate in units of the reference's."""
    return {
        side: {
            reference: quotient
            for reference in REFERENCES
            if reference != side and (quotient := what.ratio(side, reference)) is not None
        }
        for side in what.medians
    }


def _rates(what: Measured) -> str:
    """Each side's rate, and of a proxy the CPU time that it took for one (transaction or row)."""
    parts = []
    for side, figures in what.medians.items():
        cpu = figures.get("cpu_s")
        spent = f" [{cpu / figures['count'] * 1e6:,.1f} us]" if cpu is not None else ""
        parts.append(f"{side} {figures['rate']:,.0f}{spent}")
    found = ratios(what)
    beside = [
        f"{side}/{reference} {quotient:.2f}"
        for side, quotients in found.items()
        if side not in REFERENCES
        for reference, quotient in quotients.items()
        if reference != "direct"
    ]
    return f"{', '.join(parts)} {what.unit}" + (f"; {', '.join(beside)}" if beside else "")


def _cases(what: Observed) -> str:
    """A line per case, without the long things: samples and plans."""
    return "".join(
        f"\n    {case}: "
        + ", ".join(f"{k} {_shown(v)}" for k, v in figures.items() if not isinstance(v, list | str))
        for case, figures in what.cases.items()
    )


def _shown(value: object) -> str:
    return f"{value:,.1f}" if isinstance(value, float) else str(value)


def _problems(failed: dict[str, str]) -> str:
    return "".join(f"\n    FAILED {side}: {what}" for side, what in failed.items())
