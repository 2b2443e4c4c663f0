"""Rounds, medians and ratios.

One measurement compares sides on one load. Every round measures every side once, the order rotating by one from
round to round, so that a machine that gets slower meanwhile is not blamed on the last side. A side's figure is the
median over the rounds; a ratio is a quotient of medians.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

Figures = Mapping[str, float]
"""What one round of one side gave: `rate` always; `p50_ms`, `p99_ms`, `cpu_s`, `count`, ... where they are known."""


@dataclass(frozen=True, slots=True)
class Measured:
    """What one measurement gave. rounds: side -> its rounds, in order of time."""

    name: str
    title: str
    unit: str
    clients: int
    cells: int  # sealed cells per transaction (or row), 0 where nothing is sealed
    rounds: dict[str, list[Figures]] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)  # side -> why
    failed: dict[str, str] = field(default_factory=dict)  # side -> what it said

    @property
    def medians(self) -> dict[str, dict[str, float]]:
        return {side: medians(rounds) for side, rounds in self.rounds.items() if rounds}

    def ratio(self, side: str, to: str) -> float | None:
        """Rate of one side in units of another's; None where one of them was not measured."""
        found = self.medians
        if side not in found or to not in found or not found[to]["rate"]:
            return None
        return found[side]["rate"] / found[to]["rate"]


def medians(rounds: Sequence[Figures]) -> dict[str, float]:
    """The median of every figure over the rounds that have it."""
    names = dict.fromkeys(name for figures in rounds for name in figures)
    return {
        name: statistics.median(figures[name] for figures in rounds if name in figures)
        for name in names
    }


def rotated(sides: Sequence[str], turn: int) -> list[str]:
    """The order of round `turn`."""
    first = turn % len(sides) if sides else 0
    return [*sides[first:], *sides[:first]]


def percentile(ordered: Sequence[float], share: float) -> float:
    """Nearest rank: the smallest value that at least `share` of the values do not exceed. ordered: not empty."""
    rank = max(1, -(-len(ordered) * round(share * 1000) // 1000))
    return ordered[rank - 1]


def interleave(
    into: Measured, sides: Sequence[str], rounds: int, once: Callable[[str], Figures]
) -> None:
    """Measures every side in every round. A side that fails is told of and left out from then on."""
    for turn in range(rounds):
        for side in rotated(sides, turn):
            if side in into.failed:
                continue
            try:
                figures = once(side)
            except Exception as error:  # one side must not end the others
                into.failed[side] = f"{type(error).__name__}: {error}"[:500]
                continue
            into.rounds.setdefault(side, []).append(figures)
