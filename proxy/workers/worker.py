"""A worker: a process that serves the clients it is handed, and does what the supervisor says. [io]

Signals are the supervisor's matter. SIGTERM ends this worker alone, in order (a service manager may send it to all
processes at once); when the supervisor is gone, whatever ended it, the channel ends, and that is the same as being told to
drain.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import signal
import socket
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Any, Final

import structlog

from proxy.audit.log import AuditFailed, AuditLog
from proxy.config import ConfigurationError
from proxy.detection.budget import Budgets
from proxy.listener import Alone
from proxy.upkeep import FAILURES_OF_A_RELOAD, Loaded, Prepared, why
from proxy.workers.channel import Channel, Message
from proxy.workers.crowd import Crowd
from proxy.workers.process import Process, loop_factory

_CLIENTS_AT_ONCE: Final = 64
_PATIENCE: Final = 15.0
"""Seconds for the other workers to look at the catalog; a look gives up after ten."""

log = structlog.get_logger("sealgate.worker")


@dataclass(frozen=True, slots=True)
class Place:
    """A worker's own: its number, its end of the channel, and where clients come from."""

    number: int
    channel: Channel
    clients: socket.socket
    crowd: Crowd
    budgets: Budgets


def work(place: Place, loaded: Loaded, audit: AuditLog) -> int:
    """The life of a worker, in a process forked for it: the exit code."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        return runner.run(Worker(place, loaded, audit).live())


class Worker:
    """One process among others."""

    def __init__(self, place: Place, loaded: Loaded, audit: AuditLog) -> None:
        self._place = place
        self._loaded = loaded
        self._audit = audit
        self._channel = place.channel
        self._prepared: Prepared | None = None
        self._forgotten = 0  # number of the last reload that is not to be
        self._others = Others(place)
        self._tasks: set[asyncio.Task[None]] = set()
        self._drain = asyncio.Event()
        self._end = asyncio.Event()

    async def live(self) -> int:
        try:
            self._audit.forked(1 + self._place.number)  # the supervisor is 0
            self._place.budgets.in_worker(self._place.number)
            self._process = Process(self._loaded, self._audit, self._others, self._place.budgets)
            await self._process.first_look()
        except ConfigurationError as error:
            self._say("refused", key=error.key, problem=error.problem, fix=error.fix)
            return 2
        except AuditFailed as failed:
            self._say("refused", key="audit.path", problem=str(failed), fix="Let this user write.")
            return 2
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, self._leave)
        loop.add_reader(self._channel.sock, self._listen_to_the_supervisor)
        self._say("ready")
        loop.add_reader(self._place.clients, self._welcome)
        watch = loop.create_task(self._process.watch())
        await self._drain.wait()
        watch.cancel()
        await self._leave_in_order()
        return 0

    async def _leave_in_order(self) -> None:
        """Accept nobody any more, let transactions finish, say how many sessions are cut."""
        asyncio.get_running_loop().remove_reader(self._place.clients)
        self._place.clients.close()  # and with it who has not been taken out of it
        listener = self._process.listener
        drained = asyncio.ensure_future(listener.drain())
        ended = asyncio.ensure_future(self._end.wait())
        await asyncio.wait([drained, ended], return_when=asyncio.FIRST_COMPLETED)
        try:
            listener.commits.commit()  # what was to follow its rows
        finally:
            self._say("ended", sessions=listener.clients)
        await self._process.close()

    # Clients.

    def _welcome(self) -> None:
        for _ in range(_CLIENTS_AT_ONCE):
            try:
                data, descriptors, _, _ = socket.recv_fds(self._place.clients, 1, 1)
            except BlockingIOError:
                return
            except OSError as failed:
                log.error("client not taken over", problem=type(failed).__name__)
                data, descriptors = b"", []
            if not data:
                asyncio.get_running_loop().remove_reader(self._place.clients)
                return
            if not descriptors:  # this process may open no more files
                log.error("client not taken over", problem="no descriptor is left")
                self._place.crowd.left(self._place.number)
            for descriptor in descriptors:
                self._start(self._process.listener.take(socket.socket(fileno=descriptor)))

    # The supervisor.

    def _say(self, what: str, **more: Any) -> None:
        self._others.send({"say": what, **more})

    def _leave(self) -> None:
        if not self._drain.is_set():
            self._say("leaving")
        self._drain.set()

    def _listen_to_the_supervisor(self) -> None:
        messages = self._channel.receive()
        if messages is None:
            asyncio.get_running_loop().remove_reader(self._channel.sock)
            if not self._drain.is_set():
                log.warning("the supervisor is gone", worker=self._place.number, pid=os.getpid())
            self._drain.set()
            return
        for message in messages:
            self._told(message)

    def _told(self, message: Message) -> None:
        match message["ask"]:
            case "look":
                self._start(self._look(message["number"]))
            case "looked":
                self._others.looked(message["number"], taken=message["taken"])
            case "prepare":
                self._start(self._prepare(message))
            case "switch":
                self._switch(message["number"])
            case "forget":
                self._forget(message["number"])
            case "drain":
                self._drain.set()
            case "end":
                self._end.set()
                self._drain.set()

    async def _look(self, number: int) -> None:
        if number:
            taken = await self._process.upkeep.refresh()
            self._say("looked", number=number, taken=taken)
        else:
            self._process.listener.look_again()

    async def _prepare(self, message: Message) -> None:
        upkeep, number = self._process.upkeep, message["number"]
        try:
            prepared = await upkeep.prepare(message["text"], message["policy"], message["keys"])
        except FAILURES_OF_A_RELOAD as error:
            self._say("unable", number=number, problem=why(error))
            return
        if self._forgotten >= number:  # while this was under way
            upkeep.forget()
            return
        self._prepared = prepared
        self._say("prepared", number=number)

    def _switch(self, number: int) -> None:
        assert self._prepared is not None  # noqa: S101 - or the supervisor would not say so
        self._process.upkeep.switch(self._prepared, self._process.listener)
        self._prepared = None
        try:
            self._audit.follow()
        except AuditFailed as failed:  # The next event tries again, and fails if need be.
            log.error("access log not reopened", problem=str(failed))
        self._say("switched", number=number)

    def _forget(self, number: int) -> None:
        self._forgotten = number
        if self._prepared is not None:
            self._prepared = None
            self._process.upkeep.forget()

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


class Others(Alone):
    """The other workers, as this one sees them: through the supervisor, and in shared memory."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._numbers = itertools.count(1)
        self._asked: dict[int, asyncio.Future[bool]] = {}

    def clients(self, own: int) -> int:
        return self._place.crowd.total

    def left(self) -> None:
        self._place.crowd.left(self._place.number)

    def catalog_changed(self) -> None:
        self.send({"say": "changed", "number": 0})

    async def catalog_looked_at(self) -> bool:
        number = next(self._numbers)
        answer: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._asked[number] = answer
        self.send({"say": "changed", "number": number})
        try:
            async with asyncio.timeout(_PATIENCE):
                return await answer
        except TimeoutError:
            log.warning("catalog not read by all workers", seconds=_PATIENCE)
            return False
        finally:
            del self._asked[number]

    def looked(self, number: int, *, taken: bool) -> None:
        answer = self._asked.get(number)
        if answer is not None and not answer.done():
            answer.set_result(taken)

    def send(self, message: Message) -> None:
        """At once, or as soon as the supervisor reads."""
        channel = self._place.channel
        channel.send(message)
        if channel.waits:
            asyncio.get_running_loop().add_writer(channel.sock, self._flush)

    def _flush(self) -> None:
        channel = self._place.channel
        channel.flush()
        if not channel.waits:
            asyncio.get_running_loop().remove_writer(channel.sock)
