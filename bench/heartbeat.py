"""`python -m bench.heartbeat FILE serve ...`: `sealgate serve` on an event loop that notes when it was blocked. [io]

The loop is the one that Sealgate would take; only its factory is wrapped (uvloop's, not Sealgate's code), and a
callback runs on it every millisecond. When it comes late, nothing else on the loop ran in between. A line of the file
per gap of more than GAP_SECONDS: when it ended (CLOCK_MONOTONIC, so that another process can place it), how late it
was, and how much of that the loop's own thread was on a core, all in seconds. The rest it was waiting: for a core that
others had, for the interpreter's lock, or in a system call.
"""

from __future__ import annotations

import asyncio
import sys
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
        self._last = time.monotonic()
        self._cpu = 0.0

    def start(self) -> None:
        """On the loop's own thread: its CPU clock is the one that is read."""
        self._last, self._cpu = time.monotonic(), time.thread_time()
        self._out.write(f"{self._last} 0 0\n")  # it beats
        self._out.flush()
        self._loop.call_later(PERIOD_SECONDS, self._beat)

    def _beat(self) -> None:
        now, cpu = time.monotonic(), time.thread_time()
        gap = now - self._last - PERIOD_SECONDS
        if gap > GAP_SECONDS:
            self._out.write(f"{now} {gap} {cpu - self._cpu}\n")
            self._out.flush()
        self._last, self._cpu = now, cpu
        self._loop.call_later(PERIOD_SECONDS, self._beat)


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
