"""Is the log itself as it should be: a checkpoint when one is due, no number left out or used twice, no new chain.

Sealgate writes a checkpoint every few seconds also when nobody does anything, so that silence means something.
"""

from __future__ import annotations

from typing import Any, Final, final

from proxy.audit.ocsf import Event
from proxy.detection.seen import Strange, count, name
from proxy.detection.settings import Silence
from proxy.detection.signal import Signal

NAME: Final = "silence"


@final
class Pulse:
    """The chain of the log, event by event."""

    __slots__ = ("chain", "interval", "last", "sequence", "settings", "stopped", "time")

    def __init__(self, settings: Silence, checkpoint_seconds: int) -> None:
        self.settings = settings
        self.interval = checkpoint_seconds * 1000
        self.chain = ""
        self.sequence = 0
        self.time = 0
        """Of the last event, epoch milliseconds."""
        self.last = 0
        """When the last checkpoint was, or the start; 0: none was seen yet."""
        self.stopped = False

    def observe(self, event: Event) -> list[Signal] | None:
        """None: this event was seen before. Raises `Strange`."""
        try:
            metadata = event["metadata"]
            kind, sequence = name(metadata["event_code"]), count(metadata["sequence"])
            time = count(event["time"])
            fields = event["unmapped"]["sealgate"]
            chain = name((fields.get("integrity") or {}).get("chain", ""))
        except (KeyError, TypeError, AttributeError):
            raise Strange("metadata") from None
        same = chain == self.chain
        if same and sequence <= self.sequence and time <= self.time:
            return None
        signals = self._judge(chain, sequence) if self.sequence else []
        self.chain, self.sequence, self.time = chain, sequence, time
        if kind in ("log.checkpoint", "proxy.started"):
            self.last = time
            self.stopped = self.stopped and kind == "log.checkpoint"
        elif kind == "proxy.stopped":
            self.stopped = True
        return signals

    def tick(self, now: int) -> list[Signal]:
        """The log was read to its end, and it is `now` (epoch ms)."""
        quiet = now - self.last
        if not self.last or self.stopped or quiet <= self.interval * self.settings.intervals:
            return []
        numbers = {"seconds": quiet // 1000, "sequence": self.sequence}
        return [Signal(NAME, "No checkpoint where one was due", "high", numbers, "", self.last)]

    def _judge(self, chain: str, sequence: int) -> list[Signal]:
        if chain != self.chain:
            numbers = {"sequence": sequence, "sequence_before": self.sequence}
            return [Signal(NAME, "The log goes on as another chain", "high", numbers, chain)]
        expected = self.sequence + 1
        if sequence == expected:
            return []
        numbers = {"expected": expected, "found": sequence}
        title = "Events are missing" if sequence > expected else "Sequence numbers used twice"
        return [Signal(NAME, title, "high", numbers, str(expected))]

    def snapshot(self) -> list[Any]:
        return [self.chain, self.sequence, self.time, self.last, self.stopped]

    def restore(self, data: Any) -> None:
        chain, sequence, time, last, stopped = data
        self.chain = name(chain)
        self.sequence, self.time, self.last = count(sequence), count(time), count(last)
        self.stopped = bool(stopped)
