"""Numbers in memory that all workers share, with no lock between those who count.

Each word has one writer. Whoever is about to release something publishes how much, and only then adds up what all have
published: as in Lamport's bakery ("A New Solution of Dijkstra's Concurrent Programming Problem", 1974), of two that are
together too much the one that published last sees both. What is refused stays counted: a total is never too low. Publishing
and adding up must not change places on their way to memory, so between them is a barrier: a lock let go and taken again.
"""

from __future__ import annotations

import fcntl
import mmap
import os
import secrets
import tempfile
from hashlib import blake2b
from threading import Lock
from typing import Final

RING: Final = 4
"""Bins of time that are remembered, a power of two: the three that count, and the one that is overwritten next."""
_SHIFT: Final = 40
_MASK: Final = (1 << _SHIFT) - 1
_BIAS: Final = 1 << 36
"""Some counts also go down; a word is never negative."""


class Directory:
    """Names that have a place in shared memory, the same in every process. A place is given once and never taken back;
    whoever comes when all are given shares place 0 with all others that did: too much is counted there, never too little.
    """

    __slots__ = ("_known", "_lock", "_names", "_secret", "_size")

    def __init__(self, size: int) -> None:
        self._size = size
        self._names: memoryview[int] = memoryview(mmap.mmap(-1, 8 * size)).cast("Q")
        self._secret = secrets.token_bytes(16)
        self._lock = _nameless()
        self._known: dict[str, int] = {}

    def __del__(self) -> None:
        os.close(self._lock)

    def place(self, name: str) -> int:
        """From 1 to size - 1; 0: there is none left."""
        known = self._known.get(name)
        if known is None:
            known = self._find(name)
            if known:
                self._known[name] = known
        return known

    def _find(self, name: str) -> int:
        digest = blake2b(name.encode("utf-8", "replace"), digest_size=8, key=self._secret).digest()
        mark = int.from_bytes(digest, "big") | 1
        fcntl.lockf(self._lock, fcntl.LOCK_EX)
        try:
            for place, found in enumerate(self._names.tolist()[1:], 1):
                if found == mark:
                    return place
                if not found:
                    self._names[place] = mark
                    return place
            return 0
        finally:
            fcntl.lockf(self._lock, fcntl.LOCK_UN)

    def first(self, words: memoryview[int], at: int, value: int, least: int) -> bool:
        """Put `value` at `at` unless what is there is between `least` and it: true in one process only, of those that ask at once."""
        fcntl.lockf(self._lock, fcntl.LOCK_EX)
        try:
            if least <= words[at] <= value:
                return False
            words[at] = value
            return True
        finally:
            fcntl.lockf(self._lock, fcntl.LOCK_UN)


def _nameless() -> int:
    """A file without a name, for its lock: that is between processes, and the kernel lets it go with the process."""
    if hasattr(os, "memfd_create"):
        return os.memfd_create("sealgate")
    descriptor, name = tempfile.mkstemp()
    os.unlink(name)
    return descriptor


class Counts:
    """Of so many names, a number for each bin and worker: a word says which bin, and what was counted in it.

    Not for several threads at once.
    """

    __slots__ = ("_barrier", "_words", "_worker", "workers")

    def __init__(self, names: int, workers: int) -> None:
        memory = mmap.mmap(-1, 8 * RING * names * workers)
        self._words: memoryview[int] = memoryview(memory).cast("Q")
        self.workers = workers
        self._worker = 0
        self._barrier = Lock()
        self._barrier.acquire()

    def in_worker(self, number: int) -> None:
        """This process is the only one that is worker `number` (from 0)."""
        self._worker = number

    def add(self, place: int, time: int, number: int) -> None:
        """Publish so many more (or fewer) in the bin `time`."""
        at = (place * RING + (time & (RING - 1))) * self.workers + self._worker
        word = self._words[at]
        if word >> _SHIFT != time:
            word = time << _SHIFT | _BIAS
        self._words[at] = word + number

    def total(self, place: int, time: int) -> int:
        """What all have published in that bin and the two before it, not less than what was published until now."""
        self._barrier.release()
        self._barrier.acquire()
        found = 0
        for one in (time, time - 1, time - 2):
            at = (place * RING + (one & (RING - 1))) * self.workers
            for word in self._words[at : at + self.workers].tolist():
                if word >> _SHIFT == one:
                    found += (word & _MASK) - _BIAS
        return found

    def forget(self, place: int) -> None:
        """All that was counted there. What is being counted at this moment by another worker may stay."""
        size = RING * self.workers
        for at in range(place * size, (place + 1) * size):
            self._words[at] = 0
