"""docs/detection.md: every detector and every number of its formula is there, with the name that the configuration has."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from proxy.detection.novelty import WEIGHTS
from proxy.detection.settings import Detection

PAGE = (Path(__file__).parents[2] / "docs" / "detection.md").read_text()
DETECTORS = [
    field.name
    for field in dataclasses.fields(Detection)
    if dataclasses.is_dataclass(getattr(Detection(), field.name))
]


@pytest.mark.parametrize("detector", DETECTORS)
def test_a_detector_and_its_settings_are_explained(detector: str) -> None:
    """By name, in code's type."""
    assert f"`{detector}`" in PAGE or f"## {detector.capitalize()}" in PAGE
    for field in dataclasses.fields(getattr(Detection(), detector)):
        if field.name != "mode" and not detector.startswith("budget_"):
            assert f"`{field.name}`" in PAGE, field.name


def test_the_weights_are_those_of_the_code() -> None:
    """Of what comes together."""
    for weight in WEIGHTS.values():
        assert f"{weight:g}".removeprefix("0") in PAGE
