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

import asyncpg
import structlog

from proxy.audit.event import Started, started, stopped
from proxy.audit.log import AuditFailed, AuditLog
from proxy.audit.operations import configure
from proxy.commands.errors import CommandRefused, server_text
from proxy.config import Configuration, ConfigurationError, parse, read_text
from proxy.control import FAILURES, ControlConnection
from proxy.listener import Listener
from proxy.snapshot import SnapshotSource
from proxy.tls import UnusableFile
from proxy.upkeep import Loaded, Upkeep, load_all

log = structlog.get_logger("sealgate.serve")

REFUSED_FOR_GOOD = (
    asyncpg.InvalidAuthorizationSpecificationError,
    asyncpg.InvalidPasswordError,
    asyncpg.InvalidCatalogNameError,
    asyncpg.InsufficientPrivilegeError,
)


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
    configure(options.log or ("console" if os.isatty(2) else "json"))
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        return runner.run(_serve(loaded))


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        import uvloop
    except ImportError:  # no wheel for this platform: slower, otherwise the same
        return None
    factory: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop
    return factory


async def _serve(loaded: Loaded) -> int:
    configuration = loaded.configuration
    audit = _audit_log(configuration)
    control = ControlConnection(configuration.control.dsn)
    source = SnapshotSource()
    upkeep = Upkeep(loaded, source, audit, control)
    listener = _listener(configuration, source, audit, control, upkeep)
    try:
        await _first_look(upkeep, configuration)
        async with _listening(listener, loaded, audit, upkeep) as asked_to_stop:
            reason = await asked_to_stop
            log.info("draining", reason=reason, sessions=listener.clients)
            drained = asyncio.ensure_future(listener.drain())
            await asyncio.wait([drained, _second_signal()], return_when=asyncio.FIRST_COMPLETED)
            audit.write(stopped(reason, os.getpid(), listener.clients))
        log.info("stopped", reason=reason)
        return 0
    except AuditFailed as failed:
        raise CommandRefused(f"the access log cannot be written: {failed}") from None
    finally:
        await control.close()
        audit.close()


def _audit_log(configuration: Configuration) -> AuditLog:
    try:
        return AuditLog(configuration.audit.path, fsync=configuration.audit.fsync)
    except AuditFailed as failed:
        fix = "Make the directory, and let this user write there."
        raise ConfigurationError(configuration.file, "audit.path", str(failed), fix) from None


def _listener(
    configuration: Configuration,
    source: SnapshotSource,
    audit: AuditLog,
    control: ControlConnection,
    upkeep: Upkeep,
) -> Listener:
    try:
        return Listener(configuration, source, audit, control, upkeep.refresh)
    except OSError as error:  # ssl.SSLError is one
        key = error.key if isinstance(error, UnusableFile) else "listen.tls_cert"
        problem = f"cannot be used: {error.strerror or type(error).__name__}"
        fix = "Name PEM files that this user may read and that belong together."
        raise ConfigurationError(configuration.file, key, problem, fix) from None


async def _first_look(upkeep: Upkeep, configuration: Configuration) -> None:
    try:
        await upkeep.look()
    except REFUSED_FOR_GOOD as error:
        shown = configuration.control.shown
        fix = "Create the login or the database, or correct the dsn (password: PGPASSWORD)."
        problem = f"{shown} was refused: {server_text(error)}"
        raise ConfigurationError(configuration.file, "control.dsn", problem, fix) from None
    except FAILURES as failed:
        log.warning("server not reached yet", problem=type(failed).__name__)


@asynccontextmanager
async def _listening(
    listener: Listener, loaded: Loaded, audit: AuditLog, upkeep: Upkeep
) -> AsyncIterator[asyncio.Future[str]]:
    """Accepts clients; gives a future that a signal resolves with the reason to stop."""
    configuration = loaded.configuration
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
    upkeep.announce()
    audit.write(started(_started(loaded, port)))
    log.info("accepting clients", host=configuration.listen.host, port=port, pid=os.getpid())
    print(f"listening on {configuration.listen.host}:{port}", flush=True)
    watch = loop.create_task(upkeep.watch())
    try:
        yield asked
    finally:
        watch.cancel()


async def _start(listener: Listener, configuration: Configuration) -> int:
    try:
        return await listener.start()
    except OSError as error:
        listen = configuration.listen
        problem = f"cannot listen on {listen.host}:{listen.port}: {error.strerror or error}"
        fix = "Choose another port (0: any free one), or stop the program that has it."
        raise ConfigurationError(configuration.file, "listen.port", problem, fix) from None


def _second_signal() -> asyncio.Future[None]:
    loop = asyncio.get_running_loop()
    again: asyncio.Future[None] = loop.create_future()

    def end() -> None:
        if not again.done():
            again.set_result(None)

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, end)
    return again


def _started(loaded: Loaded, port: int) -> Started:
    configuration = loaded.configuration
    return Started(
        host=configuration.listen.host,
        port=port,
        pid=os.getpid(),
        database=configuration.control.database,
        policy_version=configuration.policy.version,
        keys_fingerprint=loaded.keyset.version,
        audit_on_failure=configuration.audit.on_failure,
    )
