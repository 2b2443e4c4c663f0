"""The reports of a seeded day, as they were read and found good; and that no report grows with the log."""

from __future__ import annotations

import gc
import tracemalloc
from collections.abc import Callable, Iterator

import pytest

from proxy.report.changes import Changed
from proxy.report.evidence import Reading
from proxy.report.observed import Observed
from proxy.report.read import Seen, seen
from proxy.report.selection import Selection
from proxy.report.use import Use
from tests.report.a_log import DAY, EMAIL, MONDAY, SECOND
from tests.report.golden import DIRECTORY, golden


def test_reports_are_as_they_were() -> None:
    """If this fails, run `python -m tests.report.golden` and read the difference."""
    made = dict(golden())
    assert {file.name for file in DIRECTORY.iterdir()} == set(made)
    for name, content in made.items():
        assert content == (DIRECTORY / name).read_text(), name


def crowd(count: int) -> Iterator[Seen]:
    """Everybody is somebody else: login, session, address, application, column, rule, finding, detector."""
    for number in range(count):
        code = (
            "statement.read",
            "session.opened",
            "detection.x",
            "containment.begun",
            "statement.refused",
        )[number % 5]
        columns = [
            {"name": f"{EMAIL}{number}", "outcome": "clear", "cells": 1, "rule": f"r{number}"}
        ]
        columns[0]["key_versions"] = [number]
        if code == "statement.refused":
            columns = [{"name": f"c{number}", "access": "read", "denied": True}]
        yield seen(
            {
                "time": MONDAY + number * SECOND,
                "metadata": {"event_code": code, "sequence": 2 * number},
                "actor": {
                    "user": {"name": f"login {number}"},
                    "session": {"uid": f"session {number}"},
                    "app_name": f"application {number}",
                },
                "src_endpoint": {"ip": f"host {number}"},
                "finding_info": {"uid": f"finding {number}"},
                "message": "m" * 200,
                "unmapped": {
                    "sealgate": {
                        "columns": columns,
                        "integrity": {"chain": f"chain {number % 300}"},
                    }
                },
            }
        )


def gathered(feed: Callable[[], Callable[[Seen], object]], *counts: int) -> list[int]:
    """Bytes that are held after so many events."""
    held = []
    gc.collect()
    tracemalloc.start()
    see = feed()
    for number, one in enumerate(crowd(counts[-1]), 1):
        see(one)
        if number in counts:
            gc.collect()
            held.append(tracemalloc.get_traced_memory()[0])
    tracemalloc.stop()
    return held


FEEDS: dict[str, Callable[[], Callable[[Seen], object]]] = {
    "reading": lambda: Reading(0, 1 << 60).see,
    "observed": lambda: bounded(Observed(Selection(), MONDAY, MONDAY + DAY)).see,
    "changed": lambda: Changed(0, 1 << 60).see,
}


def bounded(observed: Observed) -> Observed:
    """With smaller bounds, for a shorter test."""
    for kept in (observed.parties, observed.sessions, observed.columns, observed.keys):
        kept._limit = 100
    observed.refusals._limit = observed.failures._limit = 100
    return observed


@pytest.mark.parametrize("what", FEEDS)
def test_what_is_held_does_not_grow_with_the_log(
    what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Past its bounds: twice the events, all of them new to it, and next to no more memory."""
    monkeypatch.setattr("proxy.report.changes.ENTRIES", 100)
    monkeypatch.setattr("proxy.report.observed.TIMELINE", 100)
    once, twice = gathered(FEEDS[what], 1_500, 3_000)
    assert twice < once + 20_000  # without the bounds it is 50,000 and more


def test_use_is_bounded() -> None:
    """The review's, with smaller bounds: what is beyond is counted together, and then nothing is called unused."""
    use = Use(0)
    use.uses._limit = 100
    use.logins._limit = 100
    for one in crowd(2_000):
        use.see(one)
    assert len(use.uses) == len(use.logins) == 100
    assert use.uses.beyond is not None
    assert use.uses.beyond.events == 300
    assert len(use.findings) == 400
