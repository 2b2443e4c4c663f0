"""The auditor's process: followers in threads, and a main thread that listens to the proxy. [io]

It is started anew, not forked, so it has neither the proxy's keys nor its sockets, and may be started again at any time.
What it is to do comes over a pair of sockets on its standard input, first of all the configuration. It goes last where
the processor is short (nice), and ends with the proxy: in order when it is told, else when the sockets end.

    settle      detection reads to the end of the log and writes no more
    end         every sink that works gets what is written by now; then the process ends
"""

from __future__ import annotations

import os
import select
import signal
import socket
import sys
import threading
import time
from pathlib import Path
from typing import Any, Final

import orjson
import structlog

from proxy.audit.log import AuditFailed, AuditLog
from proxy.audit.ocsf import Event
from proxy.audit.operations import configure
from proxy.auditor.census import Census
from proxy.auditor.cursor import Cursor
from proxy.auditor.delivery import Delivery
from proxy.auditor.follow import End, Follower
from proxy.auditor.metrics import Board, Endpoint, Service
from proxy.auditor.observation import Observation
from proxy.auditor.pulse import Pulse
from proxy.auditor.sinks.made import receiver
from proxy.config import Configuration, ConfigurationError, parse
from proxy.workers.channel import Channel, Message

_NICE: Final = 10
_BEAT: Final = 0.05  # seconds between two looks at how far the log is written
_RETRY: Final = 1.0  # seconds between two attempts to listen for scrapes
_ORPHANED: Final = 5.0  # seconds to deliver what is there when the proxy has gone without a word
_SOCKET: Final = 0
_GREETING_LIMIT: Final = 64 << 20

log = structlog.get_logger("sealgate.auditor")


def main() -> int:
    """What `proxy.auditor.child` starts."""
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(
            number, signal.SIG_IGN
        )  # the proxy says when; a manager may signal all processes
    sock = socket.socket(fileno=os.dup(_SOCKET))
    os.dup2(os.open(os.devnull, os.O_RDONLY), _SOCKET)
    os.nice(_NICE)
    greeting = _greeting(sock)
    if greeting is None:
        return 0
    configure(greeting["log"])
    file = Path(greeting["file"])
    channel = Channel(sock)
    try:
        configuration = parse(greeting["text"], file)
        audit = AuditLog.join(configuration.audit.path, configuration.audit.state)
        auditor = Auditor(configuration, audit, channel)
    except (ConfigurationError, AuditFailed, OSError) as failed:
        log.error("the auditor cannot work", problem=str(failed))
        channel.send({"say": "unable", "problem": str(failed)})
        return 1
    auditor.live()
    return 0


def _greeting(sock: socket.socket) -> dict[str, Any] | None:
    """The first line; None if the proxy has gone already."""
    found = b""
    while not found.endswith(b"\n") and len(found) < _GREETING_LIMIT:
        ahead = sock.recv(65536, socket.MSG_PEEK)
        if not ahead:
            return None
        # What is said behind it before we had the time to listen is for the channel.
        line, end, _ = ahead.partition(b"\n")
        found += sock.recv(len(line) + len(end))
    greeting: dict[str, Any] = orjson.loads(found)
    return greeting


class Auditor:
    """Everything that runs here. Raises AuditFailed, OSError."""

    def __init__(self, configuration: Configuration, audit: AuditLog, channel: Channel) -> None:
        self._path = configuration.audit.path
        self._audit = audit
        self._channel = channel
        self._writing = threading.Lock()
        self._mute = False
        self._pulse = Pulse(self._look)
        self._service = Service()
        census = Census(configuration.columns)
        cursors = audit.state_path / "sinks"
        cursors.mkdir(mode=0o700, exist_ok=True)
        self._deliveries = tuple(
            Delivery(
                sink,
                receiver(sink),
                self._follower,
                cursors / f"{sink.name}.cursor",
                self._pulse,
                self.tell,
            )
            for sink in configuration.audit.sinks
        )
        self._observation = Observation(
            configuration.detection,
            audit.state_path,
            self._follower,
            self._pulse,
            census,
            self.tell,
            configuration.audit.checkpoint_seconds,
        )
        self._board = Board(self._service, census, self._deliveries, self._pulse)
        self._address = configuration.metrics.address
        self._answers_at = 0.0
        self._refused = ""

    def live(self) -> None:
        """Until the proxy says so, or is gone."""
        for thread in (*self._deliveries, self._observation):
            thread.start()
        sinks = [delivery.sink.name for delivery in self._deliveries]
        self._channel.send({"say": "ready", "sinks": sinks})
        while True:
            messages = self._channel.receive()
            if messages is None:
                self._abandoned()
                return
            for message in messages:
                if self._told(message):
                    return
            self._answer()
            self._pulse.beat()
            if self._observation.settled.is_set() and not self._mute:
                self._mute = True
                self._channel.send({"say": "settled"})
            select.select([self._channel.sock], [], [], _BEAT)

    def _answer(self) -> None:
        """Serves metrics; where the port is taken (by the auditor before this one, for some seconds) tries again."""
        if self._address is None or time.monotonic() < self._answers_at:
            return
        self._answers_at = time.monotonic() + _RETRY
        try:
            endpoint = Endpoint(self._address, self._board)
        except OSError as failed:
            problem = failed.strerror or type(failed).__name__
            if problem != self._refused:
                self._refused = problem
                log.error("metrics are not served", problem=problem)
            return
        endpoint.start()
        self._address = None
        log.info("metrics", port=endpoint.port)

    def tell(self, event: Event) -> None:
        """Into the log, from any thread; not any more once the proxy is about to write its last."""
        with self._writing:
            if self._mute:
                return
            try:
                self._audit.write(event)
            except AuditFailed as failed:
                log.error("access log not written", problem=str(failed))

    def _told(self, message: Message) -> bool:
        """Whether that was the end."""
        if "status" in message:
            self._service.hear(message["status"])
        elif message.get("ask") == "settle":
            self._observation.settle()
        elif message.get("ask") == "end":
            self._end(message["sequence"], message["seconds"])
            return True
        return False

    def _abandoned(self) -> None:
        """The proxy was killed: its last events are worth the most."""
        log.warning("the proxy is gone")
        self._pulse.beat()
        end = self._pulse.end
        self._end(end.sequence if end is not None else 0, _ORPHANED)

    def _end(self, sequence: int, seconds: float) -> None:
        with self._writing:
            self._mute = True
        self._pulse.beat()
        deadline = time.monotonic() + seconds
        for delivery in self._deliveries:
            delivery.end(sequence)
        self._pulse.hurry()
        self._observation.settle()
        for thread in (*self._deliveries, self._observation):
            thread.join(max(0.0, deadline - time.monotonic()))
        behind = {
            delivery.sink.name: delivery.standing.behind_events
            for delivery in self._deliveries
            if delivery.is_alive() or not delivery.standing.up
        }
        if behind:
            log.warning("sinks are behind; they go on at the next start", count=len(behind))
        self._channel.send({"say": "ended", "behind": behind})
        sys.stderr.flush()

    # The log.

    def _follower(self, cursor: Cursor | None, history: bool) -> Follower:
        return Follower(self._path, self._look, cursor, history=history)

    def _look(self) -> End | None:
        try:
            device, inode, offset = self._audit.committed
        except OSError as failed:
            log.error("the head of the log is not readable", problem=str(failed.strerror))
            return None
        return End(device, inode, offset, self._audit.chain, self._audit.status.sequence)
