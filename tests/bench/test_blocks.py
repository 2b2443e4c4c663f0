"""The heartbeat finds a blocked event loop, and tells whose fault it was."""

from __future__ import annotations

import asyncio
import io
import time

import pytest
import uvloop

from bench import heartbeat
from bench.workloads.blocks import Gap, figures


def test_a_blocked_loop_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """40 ms on a core and 60 ms asleep on the loop's thread come out as gaps of at least that, told apart."""
    monkeypatch.setattr(uvloop, "new_event_loop", uvloop.new_event_loop)
    out = io.StringIO()
    heartbeat.watch(out)

    async def work() -> None:
        await asyncio.sleep(0.02)
        spent = time.thread_time() + 0.04
        while time.thread_time() < spent:
            pass
        await asyncio.sleep(0.02)
        time.sleep(0.06)  # noqa: ASYNC251 - blocking the loop is the point
        await asyncio.sleep(0.02)

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(work())
    first, *rest = [Gap(*map(float, line.split())) for line in out.getvalue().splitlines()]
    assert first.length == 0  # it beats
    running = max(rest, key=lambda gap: gap.on_core)
    asleep = max(rest, key=lambda gap: gap.own - gap.on_core)
    assert running.own >= 0.038
    assert running.on_core >= 0.038
    assert asleep.own - asleep.on_core >= 0.055
    assert running.ended < asleep.ended


def test_waiting_for_a_core_is_not_the_loops_doing() -> None:
    """Of two gaps the longer one, less what other processes took, is the shorter block."""
    told = figures([Gap(1.0, 0.100, 0.001, 0.095), Gap(2.0, 0.020, 0.015, 0.0)])
    assert told == pytest.approx(
        {
            "longest_ms": 20.0,
            "of_it_on_core_ms": 15.0,
            "over_10_ms": 1,
            "longest_with_waiting_for_a_core_ms": 100.0,
        }
    )
    assert figures([])["longest_ms"] == 0.0
