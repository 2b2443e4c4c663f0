"""The seal of a chain computed again from its key (`chain`), along the hashes that the lines state."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from proxy.audit.chain import NO_HASH, aggregate, evolve

MOST_STEPS: Final = 50_000_000
"""Steps of a key over events that are not there: a line that claims to be event 2^52 must not take for ever."""


class _Candidate:
    """One key's view. `a` is the aggregate so far, None where events are missing from it."""

    __slots__ = ("a", "k")

    def __init__(self, k: bytes) -> None:
        self.k = k
        self.a: bytes | None = NO_HASH


class Resealed:
    """Follows one chain with each key that may be its own; the one that a checkpoint confirms stays.

    `lost`: too many events are missing to follow it.
    """

    __slots__ = ("_candidates", "_confirmed", "_steps", "lost", "sequence")

    def __init__(self, keys: Sequence[bytes]) -> None:
        self._candidates = [_Candidate(key) for key in keys]
        self._confirmed = False
        self._steps = MOST_STEPS
        self.lost = False
        self.sequence = 0

    def begin_behind(self, sequence: int) -> None:
        """The first line is event `sequence + 1`: those before are not at hand."""
        if sequence:
            self._skip_to(sequence + 1)

    def add(self, sequence: int, h: bytes) -> None:
        """Event `sequence` states the hash h. Numbers only go up."""
        if self.lost:
            return
        if sequence != self.sequence + 1:
            self._skip_to(sequence)
            if self.lost:
                return
        self.sequence = sequence
        for candidate in self._candidates:
            if candidate.a is not None:
                candidate.a = aggregate(candidate.k, candidate.a, h)
            candidate.k = evolve(candidate.k)

    def agrees(self, size: int, seal: bytes, key: bytes | None = None) -> bool | None:
        """Is `seal` the aggregate of the events so far, and `key` that of the next? None: nothing to compare it with.

        Afterwards the aggregate is taken to be `seal`, so that what comes behind is judged by itself.
        """
        if self.lost or not self._candidates:
            return None
        if size != self.sequence:
            self._skip_to(size + 1)
            if self.lost:
                return None
        good = [one for one in self._candidates if one.a == seal and key in (None, one.k)]
        unknown = [one for one in self._candidates if one.a is None and key in (None, one.k)]
        if good:
            self._candidates = good
            self._confirmed = True
            return True
        for candidate in self._candidates:
            candidate.a = seal
        return None if unknown else False

    @property
    def confirmed(self) -> bool:
        """One of the keys is this chain's."""
        return self._confirmed

    def _skip_to(self, sequence: int) -> None:
        """Events up to the one before `sequence` are not at hand."""
        missing = sequence - 1 - self.sequence
        if missing <= 0:
            return
        self._steps -= missing * max(1, len(self._candidates))
        if self._steps < 0:
            self.lost = True
            return
        self.sequence = sequence - 1
        for candidate in self._candidates:
            candidate.a = None
            for _ in range(missing):
                candidate.k = evolve(candidate.k)
