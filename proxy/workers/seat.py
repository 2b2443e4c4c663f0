"""A worker as the supervisor sees it. [io]"""

from __future__ import annotations

import os
import signal
import socket
from dataclasses import dataclass

from proxy.upkeep import Loaded
from proxy.workers.channel import Channel, Message


@dataclass(slots=True, eq=False)
class Seat:
    """A worker's place, whoever has it: the process, and the supervisor's ends of its sockets."""

    number: int
    pid: int = 0
    channel: Channel | None = None
    clients: socket.socket | None = None
    loaded: Loaded | None = None
    """What it decides by."""
    ready: bool = False
    """It gets clients."""
    held: bool = False
    """It could get clients, if there were no reload under way that it is not part of."""
    began: float = 0.0
    failures: int = 0
    """Ends in a row before it had settled."""
    due: float | None = None
    """When to start it again."""
    cut: int = 0
    """Sessions that were open when it ended."""
    refused: Message | None = None
    """Why it could not start."""

    def tell(self, message: Message) -> None:
        if self.channel is not None:
            self.channel.send(message)

    def kill(self) -> None:
        if self.pid:
            os.kill(self.pid, signal.SIGKILL)
