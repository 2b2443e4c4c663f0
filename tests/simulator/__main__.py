"""`python -m tests.simulator [--seeds N] [--each N] [--save]`: prints the figures; `--save` writes them to docs/detection.md."""

from __future__ import annotations

import argparse
import sys

from tests.simulator.measure import SETTINGS, Ordinary, Outcome, campaign, ordinary
from tests.simulator.page import figures, rendered, saved

FIRST_SEED = 100


def main() -> None:
    """A few minutes with the seeds of the page."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulator", description=__doc__)
    parser.add_argument("--seeds", type=int, default=5, help="shops, from seed 100 on")
    parser.add_argument("--each", type=int, default=4, help="times each attack, per shop")
    parser.add_argument("--save", action="store_true", help="into docs/detection.md")
    options = parser.parse_args()
    days: list[Ordinary] = []
    outcomes: list[Outcome] = []
    for seed in range(FIRST_SEED, FIRST_SEED + options.seeds):
        print(f"seed {seed}", file=sys.stderr)
        days.append(ordinary(seed))
        outcomes += campaign(seed, days[-1].learned, options.each)
    data = figures(days, outcomes, options.each, SETTINGS)
    if options.save:
        saved(data)
    print(rendered(data))


if __name__ == "__main__":
    main()
