"""Who has the event loop, and for how long. [io]

Most of what arrives is worked off when it arrives, in some ten microseconds. Two kinds of work would keep all other
sessions waiting: a lot of it (libuv hands over up to 32 reads of 256 KB before it looks at another socket), and one
message that takes long by itself (a value of 200 MB, a statement of thousands of tokens). The first is done in pieces,
by turns: all sessions together have the loop for `ROUND_SECONDS`, then whatever else is ready comes first. The second is
done in a thread while its session waits.

A thread helps as long as nothing holds the interpreter's lock for long: what copies or converts hundreds of megabytes
does it in steps (`proxy.wire.long`).
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from time import monotonic
from typing import Final, TypeVar

ROUND_SECONDS: Final = 0.002
"""Of long work in one round of the loop. A round itself costs some 20 microseconds."""
_THREADS: Final = 2
"""Long messages at a time, of all sessions. They share one interpreter: more would only share its time."""
_SWITCH_SECONDS: Final = 0.001
"""How long the loop waits for the interpreter while a thread computes; Python's own 5 ms are for throughput."""

T = TypeVar("T")


class Turns:
    """One event loop's. Not thread-safe, but for what it does itself."""

    def __init__(self) -> None:
        self._line: deque[Callable[[], bool]] = deque()
        self._spent = 0.0
        self._over = False
        """This round's time is spent: the line goes on in the next."""
        self._working = False
        self._threads: ThreadPoolExecutor | None = None

    def queue(self, piece: Callable[[], bool]) -> None:
        """Call `piece` when it is its turn, at once if possible, and again as long as it returns True."""
        self._line.append(piece)
        if not self._over and not self._working:
            self._work()

    def _work(self) -> None:
        line = self._line
        began = monotonic()
        self._working = True
        try:
            while line and not self._over:
                piece = line.popleft()
                if piece():
                    line.append(piece)
                self._over = self._spent + monotonic() - began > ROUND_SECONDS
        finally:
            self._working = False
            self._spent += monotonic() - began
            if self._over or line:
                self._over = True
                asyncio.get_running_loop().call_soon(self._next_round)

    def _next_round(self) -> None:
        self._spent = 0.0
        self._over = False
        if self._line:
            self._work()

    def in_thread(
        self, work: Callable[[bytes], T], data: bytes, done: Callable[[Future[T]], None]
    ) -> None:
        """Call `work(data)` in a thread, then `done` in the loop."""
        if self._threads is None:
            sys.setswitchinterval(_SWITCH_SECONDS)
            self._threads = ThreadPoolExecutor(_THREADS, "long-work")
        loop = asyncio.get_running_loop()

        def tell(future: Future[T]) -> None:
            with contextlib.suppress(RuntimeError):  # The loop has been closed: nobody waits.
                loop.call_soon_threadsafe(done, future)

        self._threads.submit(work, data).add_done_callback(tell)
