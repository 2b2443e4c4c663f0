"""`python -m bench`: measures, prints as it goes, writes a result file.

Ends with 0 whatever the figures are; with 1 when a side failed to run. A side that is not installed is reported.
"""

from __future__ import annotations

import argparse
import fnmatch
import signal
import sys
import time
from collections.abc import Collection
from dataclasses import replace
from pathlib import Path

from bench import report, results
from bench.servers import ServerFailed
from bench.settings import SCALES, Scale
from bench.stage import NotReadThrough, Stage
from bench.workloads import runs
from proxy.embedded import EmbeddedPostgresError

ROOT = Path(__file__).resolve().parents[1]


def main(arguments: list[str] | None = None) -> int:
    options = parser().parse_args(arguments)
    scale = chosen_scale(options)
    began = time.monotonic()

    def say(text: str) -> None:
        print(f"[{time.monotonic() - began:6.0f} s] {text}", flush=True)

    patterns = [p for p in options.only.split(",") if p]
    every = dict(runs(scale))
    wanted = [
        (name, run)
        for name, run in every.items()
        if (matches(name, patterns) if patterns else scale.all_clients or middling(name, every))
    ]
    if not wanted:
        print(f"nothing is called {options.only}; --list names the workloads", file=sys.stderr)
        return 2
    if options.list:
        print("\n".join(name for name, _ in wanted))
        return 0
    workers = tuple(int(number) for number in options.workers.split(","))
    with Stage(scale, options.tree.resolve(), workers, say) as stage:
        result = results.begin(stage)
        for name, run in wanted:
            try:
                told = results.add(result, name, run(stage))
            except Exception as error:  # the others are still worth measuring
                told = results.add_failure(result, name, error)
            say(told)
        results.end(result, stage, time.monotonic() - began)
    if options.out is not None:
        results.write(result, options.out)
    print(report.text(result))
    return 1 if results.failures(result) else 0


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    made.add_argument("--quick", action="store_true", help="smaller tables, one round: 3-4 minutes")
    made.add_argument("--scale", choices=SCALES, default="full")
    made.add_argument("--only", default="", metavar="NAMES", help="names or patterns, with commas")
    made.add_argument("--list", action="store_true", help="names the workloads")
    made.add_argument("--rounds", type=int)
    made.add_argument("--seconds", type=float, help="of one measured round of one side")
    made.add_argument(
        "--workers", choices=("1", "1,2"), default="1,2", help="1: leaves out the sides with two"
    )
    made.add_argument("--out", type=Path, metavar="FILE.json")
    made.add_argument("--tree", type=Path, default=ROOT, help="whose `proxy` is measured")
    return made


def chosen_scale(options: argparse.Namespace) -> Scale:
    scale = SCALES["quick" if options.quick else options.scale]
    if options.rounds is not None:
        scale = replace(scale, rounds=options.rounds)
    if options.seconds is not None:
        scale = replace(scale, seconds=options.seconds)
    return scale


def middling(name: str, every: Collection[str]) -> bool:
    """Whether it is the one with 8 clients, or the only one of its name."""
    eight = f"{name.partition('@')[0]}@8"
    return name == eight or eight not in every


def matches(name: str, patterns: list[str]) -> bool:
    """Whether a workload is wanted: `insert` names insert@8, `rows_*` all of these."""
    bare = name.partition("@")[0]
    return any(fnmatch.fnmatchcase(name, p) or fnmatch.fnmatchcase(bare, p) for p in patterns)


def ended(*_: object) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    signal.signal(
        signal.SIGTERM, ended
    )  # the servers are in sessions of their own: they must be ended
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
    except (ServerFailed, NotReadThrough, EmbeddedPostgresError) as error:
        sys.exit(f"{error}\nNothing was measured.")  # 1
