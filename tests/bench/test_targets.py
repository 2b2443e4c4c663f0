"""The targets' arithmetic, on a result with figures that are easy to reckon with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bench.targets import TARGETS, judge
from tests.bench.made import result


def judged(made: Mapping[str, Any]) -> dict[str, tuple[float | None, str]]:
    return {one["what"]: (one["figure"], one["verdict"]) for one in judge(made)}


def test_every_target_has_a_figure_and_a_verdict() -> None:
    """Met at the bound itself, not met beside it, and told where nothing was measured."""
    assert list(judged(result()).values()) == [
        (0.8, "met"),
        (None, "not measured"),
        (0.6499, "not met"),
        (0.875, "met"),
        (0.25, "met"),
        (None, "not measured"),
        (160_000.0, "met"),
        (0.32, "met by the other"),
        (0.25, "not met"),
        (1.25, "met"),
        (None, "not measured"),
        (1.0, "not met"),
        (1.0, "met"),
        (1.5, "met"),
        (1.59, "not met"),
        (1.6, "met"),
        (60.0, "not met"),
        (4.0, "met"),
        (50.5, "not met"),
    ]


def test_of_two_ways_to_meet_copy_both_can_fail() -> None:
    made = result()
    made["measured"]["copy_in"]["medians"]["sealed"]["rate"] = 149_999.0
    verdicts = [verdict for what, (_, verdict) in judged(made).items() if "COPY in" in what]
    assert verdicts == ["not met"]
    assert judged(made)["the same / direct (or the one before)"] == (149_999.0 / 500_000, "not met")


def test_a_run_without_anything_hides_no_target() -> None:
    nothing: dict[str, Any] = {"measured": {}, "observed": {}}
    assert [one["verdict"] for one in judge(nothing)] == ["not measured"] * len(TARGETS)


def test_a_look_up_without_its_index_is_not_met() -> None:
    made = result()
    made["observed"]["plans"]["cases"]["sealed"]["index_scan"] = False
    assert judged(made)["look-up by sealed e-mail: index scan (1: yes)"] == (0.0, "not met")
