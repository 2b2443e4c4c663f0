"""What it costs to wait for the access log: `[audit] mode` async, ack and durable, per statement. [io]

    python -m bench.modes [--people 20000] [--rounds 5] [--seconds 2] [--out FILE] [--tree DIR]
    python -m bench.modes --report       bench/README.md, from the newest file of bench/results/modes

One Sealgate for each mode, all on the same tables, one worker each; pgbench's loads, a round of each side in turn. The log is
where temporary files are: what an fdatasync takes there is measured as well, alone and with nothing else to do.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench import report
from bench.settings import TINY
from bench.stage import Stage
from bench.workloads.statements import LOADS
from proxy.compiled import mode

SIDES = {
    "direct": "direct, plaintext",
    "sealed_async": "async",
    "sealed": "ack",
    "sealed_durable": "durable",
}
CLIENTS = {"point_select_sealed": (1, 8, 64), "update": (1, 8), "insert_100": (8,)}
NOT_MEASURED = "Not measured yet: `python -m bench.modes --out bench/results/modes/DATE.json`, then `--report`."
SYNCS = 200
LINE_BYTES = 1200


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.modes", description=__doc__)
    parser.add_argument("--people", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--out", type=Path, metavar="FILE.json")
    parser.add_argument("--tree", type=Path, default=Path.cwd())
    parser.add_argument("--report", action="store_true", help="measure nothing")
    options = parser.parse_args()
    if options.report:
        readme = report.BENCH / "README.md"
        readme.write_text(report.filled(readme.read_text(), {"modes": newest()}))
        return 0
    tree = options.tree.resolve()
    result = measure(options.people, options.rounds, options.seconds, tree, _say)
    print(table(result))
    if options.out is not None:
        options.out.write_text(json.dumps(result, indent=1) + "\n")
    return 0


def newest() -> str:
    """The table of the newest committed result."""
    files = (report.BENCH / "results" / "modes").glob("*.json")
    file = max(files, default=None)
    return table(json.loads(file.read_text())) if file is not None else NOT_MEASURED


def _say(text: str) -> None:
    print(f"{datetime.now(UTC):%H:%M:%S} {text}", file=sys.stderr, flush=True)


def measure(
    people: int, rounds: int, seconds: float, tree: Path, say: Callable[[str], None]
) -> dict[str, Any]:
    """Everything, on servers of its own, as JSON has it."""
    scale = replace(TINY.only(people), rounds=rounds, seconds=seconds)
    loads = {}
    with Stage(scale, tree, (1,), say) as stage:
        for load in LOADS:
            if load.name not in CLIENTS:
                continue
            for name, run in replace(load, sides=tuple(SIDES), clients=CLIENTS[load.name]).runs():
                measured = run(stage)
                loads[name] = {
                    "title": measured.title,
                    "clients": measured.clients,
                    "medians": measured.medians,
                    "failed": measured.failed,
                }
                say(name)
        sync = sync_ms(stage.directory / "sync")
    return {
        "date": f"{datetime.now(UTC):%Y-%m-%d}",
        "mode": mode() if tree == Path.cwd() else "as in the tree",
        "rounds": rounds,
        "seconds": seconds,
        "sync_ms": sync,
        "loads": loads,
    }


def sync_ms(path: Path) -> float:
    """The median time of an fdatasync behind the append of one line, milliseconds."""
    times = []
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    try:
        for _ in range(SYNCS):
            os.write(fd, b"x" * LINE_BYTES)
            began = time.perf_counter()
            os.fdatasync(fd)
            times.append(1000 * (time.perf_counter() - began))
    finally:
        os.close(fd)
    return statistics.median(times)


def table(result: Mapping[str, Any]) -> str:
    """What bench/README.md shows."""
    heads = ["workload"]
    heads += [f"{title}, per s" for title in SIDES.values()]
    heads += ["async, p50 ms", "ack", "durable", "async, p99 ms", "ack", "durable"]
    rows = []
    for load in result["loads"].values():
        medians = load["medians"]
        ours = [side for side in SIDES if side != "direct"]
        noun = "client" if load["clients"] == 1 else "clients"
        rows.append(
            [
                f"{load['title']}; {load['clients']} {noun}",
                *(_number(medians, side, "rate") for side in SIDES),
                *(_number(medians, side, what) for what in ("p50_ms", "p99_ms") for side in ours),
            ]
        )
    return (
        f"Sealgate {result['mode']}, {result['date']}, medians of {result['rounds']} rounds of {result['seconds']:g} s; an "
        f"fdatasync alone takes {result['sync_ms']:.2f} ms there.\n\n" + report.table(heads, rows)
    )


def _number(medians: Mapping[str, Any], side: str, what: str) -> str:
    return report.number(medians.get(side, {}).get(what))


if __name__ == "__main__":
    sys.exit(main())
