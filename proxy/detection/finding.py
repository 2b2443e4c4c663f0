"""What a detector has found: plain values, for the access log (`proxy.audit.event.detected`) and for containment."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Literal

from proxy.detection.settings import Mode

Action = Literal["observed", "alerted", "throttled", "masked", "quarantined", "killed", "exempt"]
"""What was done about it. `exempt`: it would have been more, but for [detection] exempt."""
Severity = Literal["low", "medium", "high", "critical"]

ACTIONS: dict[Mode, Action] = {
    "observe": "observed",
    "alert": "alerted",
    "throttle": "throttled",
    "mask": "masked",
    "quarantine": "quarantined",
    "kill": "killed",
}


@dataclass(frozen=True, slots=True)
class Finding:
    """`login` is as the client gave it, uncleaned: "" where the finding is about none (the log is silent)."""

    detector: str
    """The key in [detection]: `budget_cells`, `honey`, ..."""
    title: str
    """A constant phrase: it names no login and no value."""
    login: str
    mode: Mode
    action: Action
    severity: Severity
    session: str | None = None
    client: str | None = None
    """Its address."""
    numbers: dict[str, int] = field(default_factory=dict)
    """Counts, limits, seconds; names that are ours."""
    first: int = 0
    last: int = 0
    """When what was found began and ended, in epoch milliseconds; 0: it is the time of the event."""
    table: str | None = None
    uid: str = ""
    """The same for what is the same finding, so that repeated it is counted, not added."""


def finding_uid(*parts: object) -> str:
    """32 hexadecimal digits that name a finding: of its detector, login, window, ..."""
    text = "\0".join(map(str, parts))
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32]
