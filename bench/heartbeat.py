"""`python heartbeat.py FILE serve ...`: `sealgate serve` on an event loop that notes when it was blocked. [io]

The loop is the one that Sealgate would take; only its factory is wrapped (uvloop's, not Sealgate's code), and a
callback runs on it every millisecond. When it comes late, nothing else on the loop ran in between. A line of the file
per gap of more than GAP_SECONDS: when it ended (CLOCK_MONOTONIC, so that another process can place it), how late it
was, how much of that the loop's own thread was on a core, and how much it was ready to run and waited for one that
other processes had (the second field of /proc/PID/task/TID/schedstat), all in seconds. The rest it was blocked: by the
interpreter's lock, which another thread had, or in a system call.
"""

from __future__ import annotations

import asyncio
import os
import sys
import threading
import time
from pathlib import Path
from typing import TextIO

import uvloop

PERIOD_SECONDS = 0.001
GAP_SECONDS = 0.002


class Heartbeat:
    def __init__(self, loop: asyncio.AbstractEventLoop, out: TextIO) -> None:
        self._loop = loop
        self._out = out
        self._last = self._cpu = self._waited = 0.0

    def start(self) -> None:
        """On the loop's own thread: its clocks are the ones that are read."""
        thread = f"/proc/self/task/{threading.get_native_id()}/schedstat"
        self._schedule = os.open(thread, os.O_RDONLY)
        self._last, self._cpu, self._waited = time.monotonic(), time.thread_time(), self._wait()
        self._out.write(f"{self._last} 0 0 0\n")  # it beats
        self._out.flush()
        self._loop.call_later(PERIOD_SECONDS, self._beat)

    def _beat(self) -> None:
        now, cpu, waited = time.monotonic(), time.thread_time(), self._wait()
        gap = now - self._last - PERIOD_SECONDS
        if gap > GAP_SECONDS:
            self._out.write(f"{now} {gap} {cpu - self._cpu} {waited - self._waited}\n")
            self._out.flush()
        self._last, self._cpu, self._waited = now, cpu, waited
        self._loop.call_later(PERIOD_SECONDS, self._beat)

    def _wait(self) -> float:
        """Seconds so far in which this thread was ready to run and had no core."""
        return int(os.pread(self._schedule, 100, 0).split()[1]) / 1e9


def watch(out: TextIO) -> None:
    """From now on every new uvloop has a heartbeat."""
    make = uvloop.new_event_loop

    def watched() -> uvloop.Loop:
        loop = make()
        loop.call_soon(Heartbeat(loop, out).start)
        return loop

    uvloop.new_event_loop = watched


def main() -> int:
    out = Path(sys.argv[1]).open("w")  # noqa: SIM115 - open as long as the process lives
    watch(out)
    from proxy.cli import main as sealgate

    return sealgate(sys.argv[2:])


if __name__ == "__main__":
    sys.exit(main())
