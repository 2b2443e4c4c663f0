"""The benchmark of the log's modes: a proxy for each mode, and a table that no hand has edited."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from bench import report
from bench.modes import CLIENTS, SIDES, measure, newest, sync_ms, table
from bench.servers import Sealgate
from bench.stage import AUDIT_MODES
from bench.workloads.statements import LOADS


def test_each_side_waits_as_it_is_called(tmp_path: Path) -> None:
    """Every mode has a side and a configuration of its own, with a log of its own."""
    sealgate = Sealgate(tmp_path, tmp_path / "made", 5432)
    sealgate._columns = {}
    modes = {**AUDIT_MODES, "sealed": "ack"}
    assert set(modes) == set(SIDES) - {"direct"}
    audits = [
        tomllib.loads(sealgate.configuration(audit=mode).read_text())["audit"]
        for mode in modes.values()
    ]
    assert [audit["mode"] for audit in audits] == list(modes.values())
    assert len({audit["path"] for audit in audits}) == len(modes)


def test_every_load_is_one_of_the_benchmark() -> None:
    """A load that was renamed would be left out in silence."""
    assert set(CLIENTS) <= {load.name for load in LOADS}


def test_a_sync_takes_time(tmp_path: Path) -> None:
    """It is measured on a file that is written to."""
    assert sync_ms(tmp_path / "sync") > 0
    assert (tmp_path / "sync").stat().st_size > 0


@pytest.mark.long
def test_a_small_run() -> None:
    """All sides of all loads, on servers of its own."""
    result = measure(1000, 1, 1.0, Path.cwd(), lambda _: None)
    assert len(result["loads"]) == sum(map(len, CLIENTS.values()))
    for load in result["loads"].values():
        assert not load["failed"]
        assert all(load["medians"][side]["rate"] > 0 for side in SIDES)
    assert " - " not in table(result)


def test_the_readme_shows_the_newest_result() -> None:
    """If this fails, run `python -m bench.modes --report`."""
    text = (report.BENCH / "README.md").read_text()
    assert report.filled(text, {"modes": newest()}) == text
