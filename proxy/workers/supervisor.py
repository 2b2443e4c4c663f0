"""The supervisor: owns the port, hands clients to workers, and keeps the workers alive. [io]

One thread and no event loop, so that it can fork at any time: a worker begins with what the supervisor has loaded (policy,
keys), and nothing secret is passed on otherwise. It holds no client's traffic: an accepted connection is sent to the worker
that has fewest (SCM_RIGHTS) and closed here.

    starting ── every worker is ready ──► serving ── SIGTERM, SIGINT ──► draining ── every worker has ended ──► over
                                          SIGHUP: `proxy.workers.reload`

A worker that ends while serving is started again, after a pause that doubles while it does not come to serve. The
supervisor's end closes the channels, upon which the workers drain and end.
"""

from __future__ import annotations

import contextlib
import gc
import os
import selectors
import signal
import socket
import sys
import time
from functools import partial
from typing import Any, Final, NoReturn

import structlog

from proxy.audit.event import stopped
from proxy.audit.lifecycle import WorkerLost, worker_lost, worker_started
from proxy.audit.log import AuditFailed, AuditLog
from proxy.audit.ocsf import Event
from proxy.auditor.child import TICK, AuditorProcess
from proxy.auditor.tending import status
from proxy.commands.errors import CommandRefused
from proxy.compiled import mode
from proxy.config import ConfigurationError
from proxy.upkeep import Loaded
from proxy.workers.channel import Channel, Message
from proxy.workers.crowd import Crowd
from proxy.workers.looks import Looks
from proxy.workers.port import Port
from proxy.workers.process import announcement, budgets
from proxy.workers.reload import Reload
from proxy.workers.seat import Seat
from proxy.workers.sockets import cannot_listen
from proxy.workers.worker import Place, work

_STARTS: Final = 4
"""Attempts of a worker to come to serve, while nobody serves yet."""
_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 30.0  # seconds before a worker is started again
_SETTLED: Final = 10.0  # seconds after which a worker's end is not a failed start
_OVERTIME: Final = 5.0  # seconds for a worker to end behind drain_seconds
_AT_ONCE: Final = 2.0  # seconds for a worker to end when told to end at once
_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)

log = structlog.get_logger("sealgate.supervisor")


class Supervisor:
    """`run` returns the exit code. `sockets` are bound, and its own from now on."""

    def __init__(
        self,
        loaded: Loaded,
        audit: AuditLog,
        sockets: list[socket.socket],
        auditor: AuditorProcess,
    ) -> None:
        listen = loaded.configuration.listen
        self.loaded = loaded
        self.audit = audit
        self.seats = [Seat(number) for number in range(listen.workers)]
        self._auditor = auditor
        self._tend_at: float | None = None
        """When to look after it again."""
        self._crowd = Crowd(listen.workers)
        self._budgets = budgets(loaded, listen.workers)
        self._selector = selectors.DefaultSelector()
        self._port = Port(sockets, self._selector, self.seats, self._crowd)
        self._looks = Looks(self.seats)
        self._reload: Reload | None = None
        self._reload_again = False
        self._serving = False
        self._stopping = ""
        self._hurried = False
        self._deadline: float | None = None
        self._sign_at: float | None = None
        """When the next checkpoint of the access log is due."""

    def run(self) -> int:
        gc.collect()
        gc.freeze()  # what is here is shared with the workers as long as nobody writes to it
        self._heed_signals()
        try:
            for seat in self.seats:
                self._start(seat)
            while not self._over:
                self._watch_channels()
                happened = self._selector.select(self._pause())
                # A signal first: it says what the end of a worker means that got it as well.
                for key, events in sorted(
                    happened, key=lambda h: h[0].fileobj is not self._signalled
                ):
                    key.data(events)
                self._what_is_due()
            if self._serving:
                cut = sum(seat.cut for seat in self.seats)
                self._auditor.settle()
                self.audit.write(stopped(self._stopping, os.getpid(), cut))
                self.audit.checkpoint()
                drain = self.loaded.configuration.listen.drain_seconds
                self._auditor.finish(0 if self._hurried else drain, self._signalled)
                log.info("stopped", reason=self._stopping)
            return 0
        finally:
            self._clear_up()

    @property
    def _over(self) -> bool:
        return bool(self._stopping) and not any(seat.pid for seat in self.seats)

    # Signals.

    def _heed_signals(self) -> None:
        self._signalled, self._signals = socket.socketpair()
        for sock in (self._signalled, self._signals):
            sock.setblocking(False)
        signal.set_wakeup_fd(self._signals.fileno())
        for number in _SIGNALS:
            signal.signal(number, lambda *_: None)
        self._selector.register(self._signalled, selectors.EVENT_READ, self._on_signal)

    def _on_signal(self, _: int) -> None:
        for number in self._signalled.recv(64):
            if number == signal.SIGHUP:
                self._ask_for_reload()
            elif self._stopping:
                self._hurry()
            else:
                self._stop(signal.Signals(number).name)

    def _stop(self, reason: str) -> None:
        log.info("draining", reason=reason, sessions=self._crowd.total)
        self._stopping = reason
        if self._reload is not None:
            self._reload.abandon(f"the service is stopping: {reason}")
            self._reload = None
        self._port.close()
        for seat in self.seats:
            seat.due = None
            seat.tell({"ask": "drain"})
        seconds = self.loaded.configuration.listen.drain_seconds + _OVERTIME
        self._deadline = time.monotonic() + (seconds if self._serving else _AT_ONCE)

    def _hurry(self) -> None:
        self._hurried = True
        for seat in self.seats:
            seat.tell({"ask": "end"})
        self._deadline = time.monotonic() + _AT_ONCE

    def _clear_up(self) -> None:
        """Behind an error: who serves drains, since the channels end with this process; the others are ended."""
        self._port.close()
        for seat in self.seats:
            if seat.pid and not self._serving:
                seat.kill()
                os.waitpid(seat.pid, 0)
        if not self._serving:
            self._auditor.kill()
        signal.set_wakeup_fd(-1)

    # The port.

    def _serve(self) -> None:
        """Every worker is ready: from now on clients may come."""
        listen = self.loaded.configuration.listen
        pids = tuple(seat.pid for seat in self.seats)
        try:
            port = self._port.listen()
        except OSError as error:  # somebody else bound it at the same time, and was first
            raise cannot_listen(self.loaded.configuration, error) from None
        try:
            self.audit.write_all(announcement(self.loaded, port, pids))
            self.audit.checkpoint()
        except AuditFailed as failed:
            raise CommandRefused(f"the access log cannot be written: {failed}") from None
        self._serving = True
        self._sign_at = time.monotonic() + self.audit.checkpoint_seconds
        self._tend_at = time.monotonic()
        self._port.open()
        log.info(
            "accepting clients",
            host=listen.host,
            port=port,
            pid=os.getpid(),
            workers=len(self.seats),
            mode=mode(),
        )
        print(f"listening on {listen.host}:{port}", flush=True)

    # Workers.

    def _start(self, seat: Seat) -> None:
        """A new process for a seat; where the system has none to give, later."""
        seat.due = None
        with contextlib.ExitStack() as undo:
            try:
                own, theirs = map(undo.enter_context, socket.socketpair())
                clients, handed = map(undo.enter_context, socket.socketpair())
                pid = self._forked(seat, own, theirs, clients, handed)
            except OSError as failed:
                if not self._serving:
                    raise
                log.error("worker not started", worker=seat.number, problem=failed.strerror)
                seat.failures += 1
                seat.due = time.monotonic() + _pause_before(seat.failures)
                return
            undo.pop_all()
        theirs.close()
        handed.close()
        seat.pid, seat.began, seat.refused = pid, time.monotonic(), None
        seat.loaded, seat.held, seat.cut = self.loaded, False, 0
        seat.channel, seat.clients = Channel(own), clients
        self._selector.register(own, selectors.EVENT_READ, partial(self._hear, seat))

    def _forked(
        self,
        seat: Seat,
        own: socket.socket,
        theirs: socket.socket,
        clients: socket.socket,
        handed: socket.socket,
    ) -> int:
        """The pid. Signals are held back until the new process has left everything that is the supervisor's."""
        for end in (clients, handed):
            end.setblocking(False)
        sys.stdout.flush()
        sys.stderr.flush()
        held = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
        try:
            pid = os.fork()
            if pid == 0:
                place = Place(seat.number, Channel(theirs), handed, self._crowd, self._budgets)
                self._become_worker(place, (own, clients))
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, held)
        return pid

    def _become_worker(self, place: Place, not_mine: tuple[socket.socket, ...]) -> NoReturn:
        code = 1
        try:
            signal.set_wakeup_fd(-1)
            for number in _SIGNALS:
                signal.signal(number, signal.SIG_DFL)
            self._selector.close()
            self._port.leave()
            for sock in (*not_mine, self._signalled, self._signals):
                sock.close()
            for seat in self.seats:
                if seat.channel is not None and seat.clients is not None:
                    seat.channel.close()  # else a worker would not see the supervisor's end
                    seat.clients.close()
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
            code = work(place, self.loaded, self.audit)
        except BaseException as fault:
            log.error("worker failed", worker=place.number, pid=os.getpid(), exc_info=fault)
        finally:
            place.channel.flush()
            os._exit(code)

    def _hear(self, seat: Seat, events: int) -> None:
        channel = seat.channel
        assert channel is not None  # noqa: S101 - it is registered as long as it is there
        if events & selectors.EVENT_WRITE:
            channel.flush()
        messages = channel.receive() if events & selectors.EVENT_READ else []
        for message in messages or ():
            self._said(seat, message)
        if messages is None:
            self._ended(seat)

    def _said(self, seat: Seat, message: Message) -> None:
        match message["say"]:
            case "ready":
                self._ready(seat)
            case "refused":
                seat.refused = message
            case "leaving":
                seat.ready = False
                if not any(each.ready for each in self.seats):
                    self._port.shut()
            case "ended":
                seat.cut = message["sessions"]
            case "changed":
                self._looks.begin(seat, message["number"])
            case "looked":
                self._looks.answer(seat, message["number"], taken=message["taken"])
            case "prepared" | "unable" | "switched" if self._reload is not None:
                self._reload.hear(seat, message)

    def _ready(self, seat: Seat) -> None:
        if self._stopping:
            return
        if self._reload is not None:
            seat.held = True
            return
        seat.ready = True
        if self._serving:
            log.info("worker started", worker=seat.number, pid=seat.pid)
            self._write(worker_started(seat.number, seat.pid))
            self._port.open()
        elif all(each.ready for each in self.seats):
            self._serve()

    def _ended(self, seat: Seat) -> None:
        """Its channel has ended, so it has, or is about to."""
        assert seat.channel is not None  # noqa: S101 - it was heard
        assert seat.clients is not None  # noqa: S101
        self._selector.unregister(seat.channel.sock)
        seat.channel.close()
        seat.clients.close()
        _, status = os.waitpid(seat.pid, 0)
        pid, reason = seat.pid, _told(os.waitstatus_to_exitcode(status))
        lost = self._crowd.of(seat.number)
        self._crowd.ended(seat.number)
        outdated = not seat.ready and seat.loaded is not self.loaded
        seat.pid, seat.ready, seat.channel, seat.clients = 0, False, None, None
        self._looks.gone(seat)
        if self._stopping:
            seat.cut = max(seat.cut, lost)
            if status:
                log.error("worker ended", worker=seat.number, pid=pid, reason=reason, sessions=lost)
                self._write(worker_lost(WorkerLost(seat.number, pid, reason, lost)))
            return
        if outdated:
            seat.due = time.monotonic()
        else:
            self._account_for(seat, pid, reason, lost)
        if self._reload is not None:
            self._reload.gone(seat)

    def _account_for(self, seat: Seat, pid: int, reason: str, lost: int) -> None:
        """A worker has ended that should not have: say so, and when it is started again."""
        refused = seat.refused
        quick = time.monotonic() - seat.began < _SETTLED
        seat.failures = seat.failures + 1 if quick else 1
        problem = f"{refused['key']}: {refused['problem']}" if refused else reason
        if not self._serving:
            if refused:
                file = self.loaded.configuration.file
                raise ConfigurationError(file, refused["key"], refused["problem"], refused["fix"])
            if seat.failures >= _STARTS:
                raise CommandRefused(f"worker {seat.number} ends before it can serve: {problem}")
        log.error("worker ended", worker=seat.number, pid=pid, reason=problem, sessions=lost)
        if self._serving:
            self._write(worker_lost(WorkerLost(seat.number, pid, problem, lost)))
            if not any(each.ready for each in self.seats):
                self._port.shut()
                if seat.failures > _STARTS and all(each.failures > 1 for each in self.seats):
                    self._give_up(problem)
                    return
        seat.due = time.monotonic() + _pause_before(seat.failures)

    def _give_up(self, problem: str) -> None:
        reason = f"no worker comes to serve: {problem}"
        self._write(stopped(reason, os.getpid()))
        raise CommandRefused(reason)

    # Reload.

    def _ask_for_reload(self) -> None:
        if not self._serving or self._stopping:
            return
        if self._reload is not None:
            self._reload_again = True
            return
        self._reload = Reload(self.loaded, self.audit, [s for s in self.seats if s.ready])
        self._reload.begin()

    def _reloaded(self, reload: Reload) -> None:
        """Over, one way or the other. Who decides by something else, or was starting meanwhile, begins anew."""
        self._reload = None
        self.loaded = reload.in_force
        for seat in self.seats:
            if seat.loaded is not self.loaded:
                seat.kill()
            elif seat.held:
                seat.held = False
                self._ready(seat)
        if self._reload_again:
            self._reload_again = False
            self._ask_for_reload()

    # Time.

    def _pause(self) -> float | None:
        """Seconds until something is due; None: nothing is."""
        moments = [seat.due for seat in self.seats]
        moments += [self._deadline, self._port.due, self._sign_at, self._tend_at]
        if self._reload is not None:
            moments.append(self._reload.deadline)
        due = [moment for moment in moments if moment is not None]
        return max(0.0, min(due) - time.monotonic()) if due else None

    def _what_is_due(self) -> None:
        now = time.monotonic()
        for seat in self.seats:
            if seat.due is not None and now >= seat.due:
                self._start(seat)
        if self._reload is not None and now >= self._reload.deadline:
            self._reload.late()
        while self._reload is not None and self._reload.over:
            self._reloaded(self._reload)  # The next one, if it was asked for, may be over at once.
        if self._port.due is not None and now >= self._port.due:
            self._port.open()
        if self._sign_at is not None and now >= self._sign_at:
            self._sign_at = now + self.audit.checkpoint_seconds
            self._sign()
        if self._tend_at is not None and now >= self._tend_at:
            self._tend_at = now + TICK
            self._auditor.use(self.loaded)
            self._auditor.tick(self._status())
        if self._deadline is not None and now >= self._deadline:
            self._deadline = None
            for seat in self.seats:
                if seat.pid:
                    log.error("worker does not end", worker=seat.number, pid=seat.pid)
                    seat.kill()

    def _watch_channels(self) -> None:
        """What a worker has not taken yet is sent when it does."""
        for seat in self.seats:
            if seat.channel is not None:
                events = selectors.EVENT_READ
                if seat.channel.waits:
                    events |= selectors.EVENT_WRITE
                key = self._selector.get_key(seat.channel.sock)
                if key.events != events:
                    self._selector.modify(seat.channel.sock, events, key.data)

    def _status(self) -> dict[str, Any]:
        ready = sum(seat.ready for seat in self.seats)
        accepting = bool(ready) and not self._stopping
        total = self._crowd.total
        return status(
            self.audit, sessions=total, workers=ready, accepting=accepting, ready=bool(ready)
        )

    def _sign(self) -> None:
        try:
            self.audit.checkpoint()
        except AuditFailed as failed:
            log.error("access log not written", problem=str(failed))

    def _write(self, event: Event) -> None:
        try:
            self.audit.write(event)
        except AuditFailed as failed:
            log.error("access log not written", problem=str(failed))


def _pause_before(attempt: int) -> float:
    """Seconds; attempts are counted from 1."""
    return float(min(_FIRST_PAUSE * 2 ** min(attempt - 1, 30), _LONGEST_PAUSE))


def _told(code: int) -> str:
    if code >= 0:
        return f"it ended by itself, exit code {code}"
    try:
        return f"it was killed by {signal.Signals(-code).name}"
    except ValueError:
        return f"it was killed by signal {-code}"
