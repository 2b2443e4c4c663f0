"""Rounds, medians, ratios, percentiles."""

from __future__ import annotations

import pytest

from bench.measure import Figures, Measured, interleave, medians, percentile, rotated


def test_every_round_begins_with_another_side() -> None:
    """The order rotates by one, so over as many rounds as sides each is first, and last, once."""
    sides = ["a", "b", "c"]
    orders = [rotated(sides, turn) for turn in range(4)]
    assert orders == [["a", "b", "c"], ["b", "c", "a"], ["c", "a", "b"], ["a", "b", "c"]]


def test_medians_are_taken_figure_by_figure() -> None:
    """A figure that only some rounds have is the median of those."""
    rounds = [{"rate": 3.0, "p50_ms": 1.0}, {"rate": 100.0}, {"rate": 5.0, "p50_ms": 2.0}]
    assert medians(rounds) == {"rate": 5.0, "p50_ms": 1.5}


def test_a_ratio_is_a_quotient_of_medians() -> None:
    """Not the median of quotients, which here is 1."""
    measured = Measured("m", "", "", 1, 0)
    measured.rounds["ours"] = [{"rate": r} for r in (1.0, 2.0, 9.0)]
    measured.rounds["theirs"] = [{"rate": r} for r in (1.0, 8.0, 4.0)]
    assert measured.ratio("ours", "theirs") == 0.5
    assert measured.ratio("ours", "nobody") is None


@pytest.mark.parametrize(
    ("share", "expected"), [(0.5, 50.0), (0.99, 99.0), (0.001, 1.0), (1.0, 100.0)]
)
def test_percentiles_are_nearest_ranks(share: float, expected: float) -> None:
    assert percentile([float(n) for n in range(1, 101)], share) == expected


def test_a_side_that_fails_is_told_of_and_left_out() -> None:
    """It is tried once; the others are measured in every round, interleaved."""
    measured = Measured("m", "", "", 1, 0)
    calls = []

    def once(side: str) -> Figures:
        calls.append(side)
        if side == "broken":
            raise ValueError("does not answer")
        return {"rate": float(len(calls))}

    interleave(measured, ["a", "broken", "b"], 3, once)
    assert calls == ["a", "broken", "b", "b", "a", "b", "a"]
    assert measured.failed == {"broken": "ValueError: does not answer"}
    assert list(measured.medians) == ["a", "b"]
