"""docs/siem/grafana-dashboard.json shows metrics that there are, by labels that they have, and all of them."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from proxy.auditor.metrics import NAMES

SIEM = Path(__file__).parent.parent.parent / "docs" / "siem"
DASHBOARD: dict[str, Any] = json.loads((SIEM / "grafana-dashboard.json").read_text())
TARGETS = [(p["title"], t) for p in DASHBOARD["panels"] for t in p["targets"]]
LEFT_OUT = {"sealgate_sink_behind_bytes"}
"""The same as in events and seconds."""


def metrics(expression: str) -> list[str]:
    return re.findall(r"sealgate_\w+", expression)


@pytest.mark.parametrize(("title", "target"), TARGETS, ids=[t for t, _ in TARGETS])
def test_a_panel_asks_for_what_there_is(title: str, target: dict[str, Any]) -> None:
    """Metrics of the exporter, and only labels that they have; counters as rates, gauges as they are."""
    names = metrics(target["expr"])
    assert names
    labels = {label for name in names for label in NAMES[name][1]}
    asked = set(re.findall(r"(\w+)=\"", target["expr"]))
    for group in re.findall(r"by \(([^)]*)\)", target["expr"]):
        asked |= set(re.split(r",\s*", group))
    asked |= set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"]))
    assert asked <= labels
    for name in names:
        counted = re.search(rf"(rate|increase)\({name}", target["expr"]) is not None
        assert counted == (NAMES[name][0] == "counter"), name


def test_every_metric_is_shown() -> None:
    """But for those that say the same as another."""
    shown = {name for _, target in TARGETS for name in metrics(target["expr"])}
    assert shown | LEFT_OUT == set(NAMES)


def test_panels_do_not_overlap() -> None:
    """Grafana's grid is 24 wide."""
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken
        taken |= cells
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])


def test_the_readme_speaks_of_metrics_that_there_are() -> None:
    """Its PromQL as well."""
    assert set(metrics((SIEM / "README.md").read_text())) <= set(NAMES)
