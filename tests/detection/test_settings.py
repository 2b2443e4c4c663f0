"""[detection]: which mode a finding has, and what cannot be written there."""

from __future__ import annotations

from pathlib import Path

import pytest

from proxy import config
from proxy.detection.settings import MODES, Detection

FILE = Path("sealgate.toml")
CONTROL = '[control]\ndsn = "postgresql:///shop"\n'


def parsed(text: str) -> Detection:
    return config.parse(CONTROL + text, FILE).detection


def test_a_detector_without_a_mode_has_the_one_of_detection() -> None:
    """And its own where it has one; honey rows alert unless they are told otherwise."""
    detection = parsed('[detection]\nmode = "mask"\n[detection.budget_cells]\nmode = "kill"\n')
    assert detection.mode_of(detection.budget_cells.mode) == "kill"
    assert detection.mode_of(detection.budget_subjects.mode) == "mask"
    assert detection.mode_of(detection.honey.mode) == "alert"
    assert Detection().mode_of(None) == "observe"


@pytest.mark.parametrize("mode", MODES)
def test_an_exempt_login_is_never_contained(mode: str) -> None:
    """What would contain it is an alert; what is milder stays what it is."""
    detection = parsed(f'[detection]\nmode = "{mode}"\nexempt = ["break_glass"]\n')
    exempt = detection.mode_of(None, "break_glass")
    assert exempt == ("observe" if mode == "observe" else "alert")
    assert detection.mode_of(None, "support") == mode


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ('[detection]\nmode = "of"\n', "detection.mode"),
        ('[detection.honey]\nmode = "off"\n', "detection.honey.mode"),
        ('[detection]\nexempt = "postgres"\n', "detection.exempt"),
        ("[detection]\nexempt = [1]\n", "detection.exempt"),
        ('[detection]\nexempt = [""]\n', "detection.exempt"),
        ("[detection.budget_cells]\ncells = 0\n", "detection.budget_cells.cells"),
        ("[detection.budget_cells]\nwindow_seconds = 1\n", "detection.budget_cells.window_seconds"),
        ("[detection.budgets]\ncells = 1\n", "detection.budgets"),
        ("[detection]\nbudget_cells = 5\n", "detection.budget_cells"),
    ],
)
def test_what_is_none_of_it_is_refused(text: str, key: str) -> None:
    """The error names the key: nothing starts with a detector that is not as it was meant."""
    with pytest.raises(config.ConfigurationError) as refused:
        parsed(text)
    assert refused.value.key == key
