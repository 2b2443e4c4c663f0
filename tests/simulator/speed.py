"""`python -m tests.simulator.speed`: CPU time of the detectors per event, on a day of the simulated shop."""

from __future__ import annotations

import time

from proxy.detection.watch import Watch
from tests.simulator.measure import SETTINGS, Numbered, together
from tests.simulator.shop import Shop

DAYS = 3


def microseconds() -> tuple[float, int]:
    """Per event, and the number of events."""
    shop, log = Shop(0), Numbered()
    events = [log.put(*timed) for day in range(DAYS) for timed in together(shop, shop.logins, day)]
    watch = Watch(SETTINGS)
    start = time.process_time()
    for event in events:
        watch.observe(event)
    return (time.process_time() - start) / len(events) * 1e6, len(events)


def main() -> None:
    best, number = min(microseconds() for _ in range(5))
    print(f"{best:.1f} microseconds of CPU per event, best of 5 runs over {number:,} events")


if __name__ == "__main__":
    main()
