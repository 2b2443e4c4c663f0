"""`sealgate serve`: puts the proxy together and runs it until SIGTERM or SIGINT.

Prints `listening on HOST:PORT` on stdout once clients may come; operations logs go to stderr (JSON, or lines for
people on a terminal), the access log to its file. SIGHUP reloads, a second SIGTERM ends at once.

The server need not be there at the start: a proxy that waits for it serves sooner than one that was not started. But
a login or database that the server refuses will be refused tomorrow as well: that ends the start.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import structlog

from proxy.audit.event import stopped
from proxy.audit.log import AuditFailed, AuditLog, Keeping
from proxy.audit.operations import Style, configure
from proxy.audit.values import MODES
from proxy.auditor.child import AuditorProcess
from proxy.auditor.tending import status, tend
from proxy.commands.errors import CommandRefused
from proxy.compiled import mode
from proxy.config import Configuration, ConfigurationError, parse, read_text
from proxy.listener import Listener
from proxy.upkeep import Loaded, load_all
from proxy.workers import sockets
from proxy.workers.process import Process, announcement, loop_factory
from proxy.workers.supervisor import Supervisor

log = structlog.get_logger("sealgate.serve")


def add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--log",
        choices=("json", "console"),
        help="form of the operations log on stderr; default: console on a terminal, else json",
    )


def run(options: argparse.Namespace) -> int:
    text = read_text(options.config)
    loaded = load_all(text, parse(text, options.config))
    signal.signal(
        signal.SIGHUP, signal.SIG_IGN
    )  # a reload asked for too early must not end the start
    style: Style = options.log or ("console" if os.isatty(2) else "json")
    configure(style)
    if loaded.configuration.listen.workers > 1:
        return _supervise(loaded, style)
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        return runner.run(_serve(loaded, style))


def _supervise(loaded: Loaded, style: Style) -> int:
    """Several processes: this one, which owns the port, and its workers."""
    listen = loaded.configuration.listen
    audit = _audit_log(loaded.configuration, writers=1 + listen.workers)
    try:
        port = sockets.bound(listen.host, listen.port)
    except OSError as error:
        raise sockets.cannot_listen(loaded.configuration, error) from None
    try:
        return Supervisor(loaded, audit, port, AuditorProcess(loaded, audit, style)).run()
    except AuditFailed as failed:
        raise CommandRefused(f"the access log cannot be written: {failed}") from None
    finally:
        audit.close()


async def _serve(loaded: Loaded, style: Style) -> int:
    """One process, and the auditor beside it."""
    audit = _audit_log(loaded.configuration, writers=1)
    auditor = AuditorProcess(loaded, audit, style)
    try:
        process = Process(loaded, audit)
        try:
            await process.first_look()
            async with _listening(process, loaded, audit, auditor) as asked_to_stop:
                listener = process.listener
                reason = await asked_to_stop
                log.info("draining", reason=reason, sessions=listener.clients)
                drained = asyncio.ensure_future(listener.drain())
                hurried = _second_signal()
                await asyncio.wait([drained, hurried], return_when=asyncio.FIRST_COMPLETED)
                listener.commits.commit()  # what was to follow its rows
            await _until(hurried, auditor.settle)
            audit.write(stopped(reason, os.getpid(), listener.clients))
            audit.checkpoint()
            seconds = loaded.configuration.listen.drain_seconds
            await _until(hurried, auditor.finish, seconds)
            log.info("stopped", reason=reason)
            return 0
        finally:
            await process.close()
    except AuditFailed as failed:
        raise CommandRefused(f"the access log cannot be written: {failed}") from None
    finally:
        auditor.kill()
        audit.close()


async def _until(hurried: asyncio.Future[None], work: Callable[..., None], *given: int) -> None:
    """Does the work beside the event loop, but no longer than until somebody is in a hurry."""
    done = asyncio.ensure_future(asyncio.to_thread(work, *given))
    await asyncio.wait([done, hurried], return_when=asyncio.FIRST_COMPLETED)


def _audit_log(configuration: Configuration, writers: int) -> AuditLog:
    place = configuration.audit
    keeping = Keeping(
        mode=MODES[place.mode],
        rotate_bytes=place.rotate_bytes,
        rotate_seconds=place.rotate_seconds,
        compress=place.compress,
        checkpoint_events=place.checkpoint_events,
        checkpoint_seconds=place.checkpoint_seconds,
    )
    try:
        audit = AuditLog(place.path, state=place.state, keeping=keeping, writers=writers)
    except AuditFailed as failed:
        fix = "Make the directory, and let this user write there (docs/audit.md)."
        raise ConfigurationError(configuration.file, "audit.path", str(failed), fix) from None
    if audit.seal_key_is_here:
        fix = "Move seal.key to the auditor, off this host: with it here the seal proves nothing."
        log.warning("the seal key is still here", path=str(audit.state_path), fix=fix)
    return audit


async def _sign(audit: AuditLog) -> None:
    """Checkpoints, also when nothing happens."""
    failing = False
    while True:
        await asyncio.sleep(audit.checkpoint_seconds)
        try:
            audit.checkpoint()
            failing = False
        except AuditFailed as failed:
            if not failing:
                log.error("access log not written", problem=str(failed))
            failing = True


@asynccontextmanager
async def _listening(
    process: Process, loaded: Loaded, audit: AuditLog, auditor: AuditorProcess
) -> AsyncIterator[asyncio.Future[str]]:
    """Accepts clients; gives a future that a signal resolves with the reason to stop."""
    configuration = loaded.configuration
    listener, upkeep = process.listener, process.upkeep
    loop = asyncio.get_running_loop()
    asked: asyncio.Future[str] = loop.create_future()
    reloads: set[asyncio.Task[None]] = set()

    def stop(name: str) -> None:
        if not asked.done():
            asked.set_result(name)

    def reload() -> None:
        task = loop.create_task(upkeep.reload(listener))
        reloads.add(task)
        task.add_done_callback(reloads.discard)

    port = await _start(listener, configuration)
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop, number.name)
    loop.add_signal_handler(signal.SIGHUP, reload)
    audit.write_all(announcement(loaded, port, (os.getpid(),)))
    audit.checkpoint()
    host = configuration.listen.host
    log.info("accepting clients", host=host, port=port, pid=os.getpid(), mode=mode())
    print(f"listening on {host}:{port}", flush=True)
    watch = loop.create_task(process.watch())
    signing = loop.create_task(_sign(audit))

    def said() -> dict[str, Any]:
        accepting, ready = not asked.done(), process.ready
        return status(audit, sessions=listener.clients, workers=1, accepting=accepting, ready=ready)

    tending = loop.create_task(tend(auditor, said, lambda: upkeep.loaded))
    try:
        yield asked
    finally:
        watch.cancel()
        signing.cancel()
        tending.cancel()


async def _start(listener: Listener, configuration: Configuration) -> int:
    try:
        return await listener.start()
    except OSError as error:
        raise sockets.cannot_listen(configuration, error) from None


def _second_signal() -> asyncio.Future[None]:
    loop = asyncio.get_running_loop()
    again: asyncio.Future[None] = loop.create_future()

    def end() -> None:
        if not again.done():
            again.set_result(None)

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, end)
    return again
