"""Counting in windows: never too low, bounded, and the same after a restart."""

from __future__ import annotations

import json
import os
import random

import pytest

from proxy.detection.peaks import COLD, DAY_MS, Peaks
from proxy.detection.windows import Count, Distinct, Tally
from tests.detection.a_log import DAY, MINUTE, NOON

SEED = int(os.environ.get("DETECTION_SEED", random.SystemRandom().randrange(10**6)))


def random_times(draw: random.Random, number: int) -> list[int]:
    ms, times = NOON, []
    for _ in range(number):
        ms += round(draw.expovariate(1 / 20_000)) if draw.random() < 0.97 else 20 * MINUTE
        times.append(ms)
    return times


def test_a_count_is_never_too_low_and_at_most_that_of_twice_the_window() -> None:
    """At every moment: what happened in the last window is counted, and nothing older than two windows."""
    print(f"DETECTION_SEED={SEED}")
    draw, count, length = random.Random(SEED), Count(300), 300_000
    times = random_times(draw, 3000)
    for place, now in enumerate(times):
        told = count.add(now)
        within = [t for t in times[: place + 1] if now - t < length]
        twice = [t for t in times[: place + 1] if now - t < 2 * length]
        assert len(within) <= told <= len(twice)


def test_a_clock_that_steps_back_makes_nothing_forgotten() -> None:
    """Ten failures, an hour back, one more: eleven."""
    count = Count(300)
    for _ in range(10):
        count.add(NOON)
    assert count.add(NOON - 60 * MINUTE) == 11


def test_a_clock_that_steps_forward_and_back_does_not_stop_the_window() -> None:
    """A year ahead and back again: what is counted later is counted, and ages as before."""
    count = Count(300)
    count.add(NOON)
    count.add(NOON + 365 * DAY)
    assert count.add(NOON + MINUTE) == 2
    assert count.add(NOON + 20 * MINUTE) == 1


def test_a_tally_keeps_no_more_names_than_it_may_and_says_so() -> None:
    """Names beyond the limit are not kept; those that were there first still count."""
    tally = Tally(300, limit=10)
    for number in range(100):
        tally.add(NOON, f"name{number}")
    assert tally.full
    assert len(tally.now) == 10
    assert tally.add(NOON, "name3") == 2
    assert not Tally(300, limit=10).full
    tally.move(NOON + 10 * MINUTE)
    assert not tally.full


@pytest.mark.parametrize("number", [1, 10, 100, 1000, 10_000, 30_000])
def test_different_cells_are_counted_to_a_percent(number: int) -> None:
    """Linear counting: off by no more than 1 % and two, however often each comes."""
    print(f"DETECTION_SEED={SEED}")
    draw, distinct = random.Random(SEED), Distinct(300)
    ids = [draw.randbytes(8).hex() for _ in range(number)]
    told = 0
    for cell_id in ids * 2:
        told = distinct.add(NOON, [cell_id])
    # Four standard deviations of the estimate (Whang et al., theorem 4), and the rounding.
    load = number / 32768
    deviation = (32768 * (2.718281828**load - load - 1)) ** 0.5
    assert abs(told - number) <= 4 * deviation + 2
    assert not distinct.full


def test_cells_of_the_window_before_count_once() -> None:
    """The same cells in the next window are not new ones; two windows later they are."""
    distinct = Distinct(300)
    ids = [random.Random(1).randbytes(8).hex() for _ in range(50)]
    first = distinct.add(NOON, ids)
    assert distinct.add(NOON + 5 * MINUTE, ids) == first
    assert distinct.add(NOON + 20 * MINUTE, ids[:1]) == 1


@pytest.mark.parametrize("make", [Count, Tally, Distinct])
def test_a_window_goes_on_from_its_snapshot(
    make: type[Count] | type[Tally] | type[Distinct],
) -> None:
    """Through JSON, cut anywhere: what is told is what one would have told that never stopped."""
    print(f"DETECTION_SEED={SEED}")
    draw = random.Random(SEED)
    steps = [(ms, draw.randbytes(8).hex()) for ms in random_times(draw, 300)]

    def add(window: Count | Tally | Distinct, ms: int, cell: str) -> int:
        if isinstance(window, Distinct):
            return window.add(ms, [cell])
        return window.add(ms, cell[:1]) if isinstance(window, Tally) else window.add(ms)

    for cut in (1, 77, 150, 299):
        straight, other = make(300), make(300)
        told = [add(straight, *step) for step in steps]
        again = [add(other, *step) for step in steps[:cut]]
        resumed = make(300)
        resumed.restore(json.loads(json.dumps(other.snapshot())))
        assert again + [add(resumed, *step) for step in steps[cut:]] == told


def days(peaks: Peaks, values: list[int]) -> None:
    """A value for each day, from the day that is next."""
    start = peaks.day + 1 if peaks.day else NOON // DAY_MS
    for number, value in enumerate(values):
        peaks.learn((start + number) * DAY_MS, value)
    peaks.learn((start + len(values)) * DAY_MS, 0)


def test_one_odd_day_does_not_move_the_limit() -> None:
    """The limit follows the second largest day."""
    peaks = Peaks(10)
    days(peaks, [100, 100, 110, 5000])
    assert peaks.limit(200) == 220


def test_a_day_raises_what_is_usual_by_a_tenth_at_most() -> None:
    """And needs a second one for it: two days of a thousand times as much, ten percent."""
    peaks = Peaks(10)
    days(peaks, [100] * 14)
    days(peaks, [100_000, 100_000])
    assert peaks.limit(200) == 2 * 110


def test_a_login_that_is_not_known_yet_has_a_high_limit_and_never_none() -> None:
    """Ten times the floor for three days; then its own; and never below the floor."""
    peaks = Peaks(10)
    assert peaks.limit(200) == 10 * COLD
    days(peaks, [1, 1, 1])
    assert peaks.limit(200) == 10
