"""What it costs one who knows the formulas: every day he takes as much as is not told, and so raises what is usual."""

from __future__ import annotations

from proxy.detection.peaks import DAY_MS, Peaks
from proxy.detection.settings import Detection

TIMES = (2, 5, 10, 50)
SETTLED = 20
"""Days on which the login did what is usual for it, before the attacker has it."""


def days_until(times: int, usual: int, floor: int, percent: int) -> tuple[int, int]:
    """Days until a login's limit is so many times what it was, and all that was taken on them above what is usual."""
    peaks = Peaks(floor)
    for day in range(SETTLED):
        peaks.learn(day * DAY_MS, usual)
    peaks.learn(SETTLED * DAY_MS, 0)
    wanted = peaks.limit(percent) * times
    day, taken = SETTLED, 0
    while peaks.limit(percent) < wanted:
        most = peaks.limit(percent)
        taken += most - usual
        peaks.learn(day * DAY_MS, most)
        day += 1
        peaks.learn(day * DAY_MS, 0)
    return day - SETTLED, taken


def table(settings: Detection) -> list[tuple[int, int, int]]:
    """(times, days, taken in units of the usual day) for a login whose usual day is well above the floor."""
    usual = 10 * settings.volume.day_cells
    rows = []
    for times in TIMES:
        days, taken = days_until(times, usual, settings.volume.day_cells, settings.volume.percent)
        rows.append((times, days, taken // usual))
    return rows
