"""One chain of the access log as far as the verifier has read it."""

from __future__ import annotations

from proxy.audit.reading import LogLine
from proxy.audit.resealed import Resealed
from proxy.audit.trust import Trust
from proxy.audit.verdict import Issue, Proven


class Followed:
    """`sequence` and `hash` are the last event's, `line` and `place` where that is. `broken`: an issue has touched the chain."""

    def __init__(self, name: str, trust: Trust, sequence: int, digest: bytes) -> None:
        self.name = name
        self.sequence = sequence
        self.hash = digest
        self.first = sequence + 1
        self.resealed = Resealed(trust.seal_keys)
        self.resealed.begin_behind(sequence)
        self.checkpoint = sequence
        """The last event under a checkpoint, good or not."""
        self.checkpoint_place = 0
        self.line: LogLine | None = None
        self.place = 0
        self.broken = False
        self.proven = Proven(name, self.first, sequence)
        self.gaps: list[Issue] = []
        self.moves = 0
        self.beginning: Issue | None = None
        """Why it should not be there."""
        self.foreign = False
        self.forked: Issue | None = None
