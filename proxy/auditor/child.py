"""The auditor as the proxy sees it: a child process that is started, told how things are, restarted, and ended. [io]

Nothing here waits but `settle` and `finish`, which come when clients have gone. `tick` is to be called every second.
"""

from __future__ import annotations

import contextlib
import os
import select
import socket
import subprocess
import sys
import time
from typing import Any, Final

import structlog

from proxy.audit.delivery import auditor_lost, auditor_started
from proxy.audit.log import AuditFailed, AuditLog
from proxy.audit.ocsf import Event
from proxy.config import Configuration
from proxy.upkeep import Loaded
from proxy.workers.channel import Channel, Message

_FIRST_PAUSE, _LONGEST_PAUSE = (
    0.5,
    300.0,
)  # seconds before it is started again; each loss is an event
_SETTLED: Final = 10.0  # seconds after which its end is not a failed start
_PATIENCE: Final = 3.0  # seconds for detection to read to the end of the log
_OVERTIME: Final = 2.0
TICK: Final = 1.0

_PROGRAM: Final = (
    "import sys; sys.path[:] = sys.argv[1:]; "
    "from proxy.auditor.process import main; sys.exit(main())"
)

log = structlog.get_logger("sealgate.auditor")


class AuditorProcess:
    """`style`: of the operations log. `status` is what the child is told about the service."""

    def __init__(self, loaded: Loaded, audit: AuditLog, style: str) -> None:
        self._wanted = loaded
        self._running: Configuration | None = None
        self._audit = audit
        self._style = style
        self._process: subprocess.Popen[bytes] | None = None
        self._channel: Channel | None = None
        self._leaving = False
        self._began = 0.0
        self._failures = 0
        self._due = 0.0
        self._settled = False
        self._closed = False
        self._ready = False
        self._last_is_written = False
        self._problem = ""

    @property
    def pid(self) -> int:
        """0: it does not run."""
        return self._process.pid if self._process is not None else 0

    def use(self, loaded: Loaded) -> None:
        """After a reload: an auditor that was told something else is replaced."""
        self._wanted = loaded

    def tick(self, status: dict[str, Any]) -> None:
        """Looks after it."""
        if self._process is None:
            if time.monotonic() >= self._due:
                self._start()
            return
        messages = self._channel.receive() if self._channel is not None else None
        if messages is None:
            self._ended()
            return
        for message in messages:
            self._said(message)
        assert self._channel is not None  # noqa: S101 - it was just read
        self._channel.flush()
        if self._running is not None and _differs(self._running, self._wanted.configuration):
            if not self._leaving:
                self._leaving = True
                self._channel.send({"ask": "end", "sequence": 0, "seconds": _OVERTIME})
        elif not self._channel.waits:  # one that hangs is not sent more and more
            self._channel.send({"status": status})

    def settle(self) -> None:
        """Before the proxy's last event: detection looks at all others, and says what it finds."""
        if self._channel is None:
            return
        for message in self._channel.receive() or ():
            self._said(message)
        if self._leaving or not self._ready:
            return
        self._channel.send({"ask": "settle"})
        deadline = time.monotonic() + _PATIENCE
        while not self._settled and self._hear(deadline):
            pass

    def finish(self, seconds: float, alarm: socket.socket | None = None) -> None:
        """Behind the proxy's last event: the sinks that work get everything, within this time. It has ended then.

        If something comes on `alarm`, it ends at once.
        """
        if self._process is None:
            return
        self._last_is_written = True
        if self._channel is not None and self._wanted.configuration.audit.sinks:
            sequence = self._audit.status.sequence
            self._channel.send({"ask": "end", "sequence": sequence, "seconds": seconds})
            deadline = time.monotonic() + seconds + _OVERTIME
            while self._hear(deadline, alarm):
                pass
        self.kill()

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._forget()

    def _start(self) -> None:
        own, theirs = socket.socketpair()
        try:
            process = subprocess.Popen(  # noqa: S603 - ourselves
                [sys.executable, "-P", "-c", _PROGRAM, *sys.path],
                stdin=theirs.fileno(),
                env=_environment(self._wanted.configuration),
            )
        except OSError as failed:
            own.close()
            log.error("the auditor was not started", problem=failed.strerror)
            self._failures += 1
            self._due = time.monotonic() + _pause(self._failures)
            return
        finally:
            theirs.close()
        self._process, self._channel = process, Channel(own)
        self._running, self._leaving, self._settled = self._wanted.configuration, False, False
        self._began, self._problem = time.monotonic(), ""
        greeting = {
            "file": str(self._wanted.configuration.file),
            "text": self._wanted.text,
            "log": self._style,
        }
        self._channel.send(greeting)

    def _hear(self, deadline: float, alarm: socket.socket | None = None) -> bool:
        """Waits for a word; False: there will be none, or nobody waits any more."""
        channel, left = self._channel, deadline - time.monotonic()
        if channel is None or left <= 0:
            return False
        waiting = [channel.sock] if channel.waits else []
        awaited = [channel.sock] if alarm is None else [channel.sock, alarm]
        heard, _, _ = select.select(awaited, waiting, [], left)
        if alarm is not None and alarm in heard:
            return False
        channel.flush()
        messages = channel.receive()
        for message in messages or ():
            self._said(message)
        return messages is not None

    def _said(self, message: Message) -> None:
        match message.get("say"):
            case "ready":
                self._ready = True
                log.info("auditor started", pid=self.pid, count=len(message["sinks"]))
                self._write(auditor_started(self.pid, tuple(message["sinks"])))
            case "settled":
                self._settled = True
            case "unable":
                self._problem = message["problem"]

    def _ended(self) -> None:
        """Its end of the sockets is closed, so it has ended or is about to."""
        assert self._process is not None  # noqa: S101
        if self._process.poll() is None and not self._closed:
            self._closed = True  # time until the next look
            return
        self._process.kill()
        code = self._process.wait()
        pid, leaving = self._process.pid, self._leaving
        quick = time.monotonic() - self._began < _SETTLED
        self._forget()
        if leaving:
            self._due = 0.0
            return
        self._failures = self._failures + 1 if quick else 1
        self._due = time.monotonic() + _pause(self._failures)
        reason = self._problem or _told(code)
        log.error("auditor lost", pid=pid, reason=reason)
        self._write(auditor_lost(pid, reason))

    def _forget(self) -> None:
        if self._channel is not None:
            self._channel.close()
        self._process = self._channel = self._running = None
        self._closed = self._ready = False

    def _write(self, event: Event) -> None:
        if self._last_is_written:
            return
        with contextlib.suppress(AuditFailed):  # the log itself says what it lost
            self._audit.write(event)


def _environment(configuration: Configuration) -> dict[str, str]:
    """Ours without the root key and the database's password: it needs neither."""
    left_out = {"PGPASSWORD", configuration.keystore.root_key.name}
    return {name: value for name, value in os.environ.items() if name not in left_out}


def _differs(one: Configuration, other: Configuration) -> bool:
    """In what the auditor works by."""
    return (
        one.audit.sinks != other.audit.sinks
        or one.metrics != other.metrics
        or one.detection != other.detection
        or one.columns.keys() != other.columns.keys()
    )


def _pause(failures: int) -> float:
    return float(min(_FIRST_PAUSE * 2 ** min(failures - 1, 30), _LONGEST_PAUSE))


def _told(code: int) -> str:
    return (
        f"it ended by itself, exit code {code}" if code >= 0 else f"it was killed by signal {-code}"
    )
