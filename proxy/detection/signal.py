"""What a detector says of one event; `watch` makes findings of it."""

from __future__ import annotations

from typing import NamedTuple

from proxy.detection.finding import Severity


class Signal(NamedTuple):
    """`key` names what is the same thing once more; `since` is where the window began (epoch ms), 0: with this event."""

    detector: str
    title: str
    severity: Severity
    numbers: dict[str, int]
    key: str = ""
    since: int = 0
