"""What every receiver does, and how it fails."""

from __future__ import annotations

import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from proxy.audit.formats.fields import Line


class Unavailable(Exception):
    """Not now: everything since the last success is to be sent again. The text holds nothing that the receiver said.

    `pause`: seconds that it asked for.
    """

    def __init__(self, reason: str, pause: float | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.pause = pause


@dataclass(frozen=True, slots=True)
class Rejected:
    """Events that the receiver will never take, while it takes others. `uids` as far as it says which."""

    count: int
    reason: str
    uids: tuple[str, ...] = ()


class Receiver(Protocol):
    """One receiver, used by one thread. `answers`: what `send` does not raise about, the receiver has."""

    answers: bool

    def send(self, lines: Sequence[Line]) -> list[Rejected]:
        """All of them, in order. Raises Unavailable; then some may have arrived."""

    def settled(self) -> bool:
        """Has everything that was sent left this machine, as far as it can be known?"""

    def close(self) -> bool:
        """Ends the connection in order. True: the receiver has read everything."""


def why(error: Exception) -> str:
    """What went wrong, in words of the system's or ours."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate was not accepted: {error.verify_message}"
    if isinstance(error, ssl.SSLError):
        return f"TLS failed: {error.reason or type(error).__name__}"
    if isinstance(error, TimeoutError):
        return "it did not answer in time"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return f"the connection failed ({type(error).__name__})"
