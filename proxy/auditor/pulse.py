"""How far the log is written, looked at by one thread for all that follow it. [io]"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from proxy.auditor.follow import End


class Pulse:
    """`beat` looks; `wait` wakes up when something was written, or somebody is to end."""

    def __init__(self, look: Callable[[], End | None]) -> None:
        self._look = look
        self._changed = threading.Condition()
        self._hurry = False
        self.end: End | None = None
        self.count = 0
        self.beat()

    def look(self) -> End | None:
        """How far the log is written now."""
        return self._look()

    def beat(self) -> bool:
        """Whether anything has been written since."""
        end = self._look()
        if end == self.end:
            return False
        self.end = end
        self.wake()
        return True

    def wake(self) -> None:
        with self._changed:
            self.count += 1
            self._changed.notify_all()

    def hurry(self) -> None:
        """From now on nobody rests for longer than a moment: there is not much time left."""
        self._hurry = True
        self.wake()

    def wait(self, seen: int, seconds: float) -> None:
        """Until `count` is another than `seen`, but no longer than this."""
        with self._changed:
            self._changed.wait_for(lambda: self.count != seen, seconds)

    def rest(self, seconds: float) -> None:
        """So long, whatever is written; shorter once there is hurry."""
        deadline = time.monotonic() + seconds
        with self._changed:
            while not self._hurry and (left := deadline - time.monotonic()) > 0:
                self._changed.wait(left)
        if self._hurry:
            time.sleep(min(seconds, 0.2))
