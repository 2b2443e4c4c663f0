"""The figures as docs/detection.md shows them; the page holds nothing that figures.json does not."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tests.simulator.attacks import ATTACKS
from tests.simulator.measure import Ordinary, Outcome, median
from tests.simulator.patience import table

HERE = Path(__file__).parent
FIGURES = HERE / "figures.json"
PAGE = HERE.parent.parent / "docs" / "detection.md"
BEGIN = (
    "<!-- figures: written by `python -m tests.simulator`, from tests/simulator/figures.json -->"
)
END = "<!-- end of figures -->"


def figures(
    days: Iterable[Ordinary], outcomes: Iterable[Outcome], each: int, settings: Any
) -> dict[str, Any]:
    """What is shown, as JSON."""
    days = list(days)
    told: Counter[tuple[str, str]] = sum((d.told for d in days), Counter())
    cells: dict[tuple[str, int], list[Outcome]] = defaultdict(list)
    for outcome in outcomes:
        cells[outcome.attack, outcome.intensity].append(outcome)
    return {
        "seeds": [d.seed for d in days],
        "each": each,
        "logins": days[0].logins,
        "login_days": sum(d.logins * d.days for d in days),
        "events": sum(d.events for d in days),
        "ordinary": _told(told),
        "attacks": [_row(key, runs) for key, runs in cells.items()],
        "first_shop": _told(days[0].told),
        "first_attacks": [asdict(cells[key][0]) for key in cells],
        "patience": [list(row) for row in table(settings)],
    }


def _told(told: Counter[tuple[str, str]]) -> list[dict[str, Any]]:
    return [
        {"detector": detector, "severity": severity, "findings": number}
        for (detector, severity), number in sorted(told.items())
    ]


def _row(key: tuple[str, int], runs: list[Outcome]) -> dict[str, Any]:
    shown = sum(run.cells for run in runs)
    detectors = Counter(name for run in runs for name in run.detectors)
    seconds = median([run.seconds for run in runs if run.seconds is not None])
    return {
        "attack": key[0],
        "intensity": key[1],
        "runs": len(runs),
        "found": sum(run.found for run in runs),
        "hinted": sum(run.hinted for run in runs),
        "median_seconds": None if seconds is None else round(seconds),
        "cells": shown,
        "leaked": sum(run.leaked for run in runs),
        "budgeted": sum(run.budgeted for run in runs),
        "detectors": [name for name, _ in detectors.most_common(2)],
    }


def rendered(data: dict[str, Any]) -> str:
    """Markdown, from `BEGIN` to `END`."""
    seeds, days = data["seeds"], data["login_days"]
    lines = [
        BEGIN,
        "",
        f"SYNTHETIC: {data['events']:,} events of {len(seeds)} made-up shops (seeds {seeds[0]} to {seeds[-1]}),"
        f" {data['logins']} logins, 28 days each; findings counted on days 15 to 28 ({days:,} login-days)."
        f" Thresholds were fixed on seeds 0 to 2. Each attack in each intensity: {data['each']} times per shop, on day 22.",
        "",
        "### Without any attack (synthetic)",
        "",
        "| detector | severity | findings | per login and day |",
        "|---|---|---:|---:|",
    ]
    worse = 0
    for row in data["ordinary"]:
        number = row["findings"]
        worse += number if row["severity"] != "low" else 0
        lines.append(
            f"| `{row['detector']}` | {row['severity']} | {number} | {number / days:.4f} |"
        )
    lines += [
        f"| all of medium and high | | {worse} | {worse / days:.4f} |",
        "",
        f"For {data['logins']} logins that is {worse * data['logins'] / days:.1f} false findings of medium or high severity a day.",
        "",
        "### Attacks (synthetic)",
        "",
        "*Found*: a finding of medium or high severity. *Time*: median, from the attack's first statement. *Shown*: how much of"
        " what the attacker wanted he had a second after the finding, if it contains the login (in mode `observe`: all of"
        " it); and how much where nothing but the inline budgets stops him, with their default numbers in mode `kill`.",
        "",
    ]
    for attack in ATTACKS:
        rows = [row for row in data["attacks"] if row["attack"] == attack.name]
        if rows:
            lines += _attack(attack.name, attack.says, rows)
    lines += [
        "### Patience (computed)",
        "",
        "Somebody who takes each day exactly as much as is not told, until his limit is so many times as high:",
        "",
        "| limit | days | taken by then, in usual days of that login |",
        "|---:|---:|---:|",
    ]
    lines += [f"| {times} times | {n} | {taken} |" for times, n, taken in data["patience"]]
    return "\n".join([*lines, "", END])


def _attack(name: str, says: str, rows: list[dict[str, Any]]) -> list[str]:
    lines = [
        f"**{name.capitalize()}** ({says})",
        "",
        "| intensity | found | | time | shown, contained | shown, budgets only | found by |",
        "|---:|---:|---|---:|---:|---:|---|",
    ]
    for row in rows:
        share = row["found"] / row["runs"]
        bar = "█" * round(10 * share) + "░" * (10 - round(10 * share))
        hint = (
            f", {row['hinted'] / row['runs']:.0%} with low ones"
            if row["hinted"] > row["found"]
            else ""
        )
        by = ", ".join(f"`{detector}`" for detector in row["detectors"])
        lines.append(
            f"| {row['intensity']} | {share:.0%}{hint} | {bar} | {_time(row['median_seconds'])} |"
            f" {_share(row['leaked'], row['cells'])} | {_share(row['budgeted'], row['cells'])} | {by} |"
        )
    return [*lines, ""]


def _time(seconds: int | None) -> str:
    if seconds is None:
        return "–"
    return f"{seconds} s" if seconds < 120 else f"{seconds // 60} min"


def _share(part: int, whole: int) -> str:
    return f"{part / whole:.0%}" if whole else "–"


def written(page: str, section: str) -> str:
    """The page with this section in place of the one it has."""
    before, _, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not end:
        raise ValueError(f"{PAGE} has no place for the figures")
    return before + section + after


def saved(data: dict[str, Any]) -> None:
    """To the file and the page."""
    FIGURES.write_text(json.dumps(data, indent=1) + "\n")
    PAGE.write_text(written(PAGE.read_text(), rendered(data)))
