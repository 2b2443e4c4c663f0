"""What a process serves clients with, whether it is the only one or one of several. [io]"""

from __future__ import annotations

import asyncio
import gc
import os
from collections.abc import Callable
from time import monotonic

import asyncpg
import structlog

from proxy.audit.event import Event, Started, started
from proxy.audit.log import AuditLog
from proxy.commands.errors import server_text
from proxy.config import ConfigurationError
from proxy.control import FAILURES, ControlConnection
from proxy.detection.budget import Budgets
from proxy.detection.force import Force
from proxy.detection.state_file import StateUnreadable
from proxy.listener import Alone, Listener
from proxy.snapshot import SnapshotSource
from proxy.tls import UnusableFile
from proxy.upkeep import Loaded, Upkeep, in_force

REFUSED_FOR_GOOD = (
    asyncpg.InvalidAuthorizationSpecificationError,
    asyncpg.InvalidPasswordError,
    asyncpg.InvalidCatalogNameError,
    asyncpg.InsufficientPrivilegeError,
)

log = structlog.get_logger("sealgate.serve")


def loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        import uvloop
    except ImportError:  # no wheel for this platform: slower, otherwise the same
        return None
    factory: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop
    return factory


class Process:
    """Control connection, upkeep and listener of one process. Raises ConfigurationError."""

    def __init__(
        self,
        loaded: Loaded,
        audit: AuditLog,
        others: Alone | None = None,
        shared: Budgets | None = None,
    ) -> None:
        """`shared`: with the other processes."""
        self._configuration = loaded.configuration
        detection = loaded.configuration.detection
        self.force = Force(audit.state_path, detection, shared or budgets(loaded, 1), audit)
        self._source = SnapshotSource()
        self._control = ControlConnection(self._configuration.control.dsn)
        self.upkeep = Upkeep(loaded, self._source, audit, self._control)
        self.listener = self._listener(audit, others)

    def _listener(self, audit: AuditLog, others: Alone | None) -> Listener:
        configuration = self._configuration
        try:
            listener = Listener(
                configuration,
                self._source,
                audit,
                self._control,
                self.upkeep.refresh,
                others,
                self.force,
            )
        except OSError as error:  # ssl.SSLError is one
            key = error.key if isinstance(error, UnusableFile) else "listen.tls_cert"
            problem = f"cannot be used: {error.strerror or type(error).__name__}"
            fix = "Name PEM files that this user may read and that belong together."
            raise ConfigurationError(configuration.file, key, problem, fix) from None
        self.force.changed = listener.heed
        try:
            self.force.begin()
        except StateUnreadable as damaged:
            fix = "Restore it; or, for containment.json, sealgate release --all --reason TEXT."
            raise ConfigurationError(configuration.file, "audit.state", str(damaged), fix) from None
        return listener

    async def watch(self) -> None:
        """Keeps the catalog current and containment in force, for ever."""
        await asyncio.gather(self.upkeep.watch(), self.force.watch())

    @property
    def ready(self) -> bool:
        """The server's catalog has been read: clients get what they ask for."""
        return self._source.ready

    async def first_look(self) -> None:
        """The first snapshot, if the server is there. Raises ConfigurationError where it will never be had."""
        try:
            await self.upkeep.look()
        except REFUSED_FOR_GOOD as error:
            shown = self._configuration.control.shown
            fix = "Create the login or the database, or correct the dsn (password: PGPASSWORD)."
            problem = f"{shown} was refused: {server_text(error)}"
            file = self._configuration.file
            raise ConfigurationError(file, "control.dsn", problem, fix) from None
        except FAILURES as failed:
            log.warning("server not reached yet", problem=type(failed).__name__)
        settle()

    async def close(self) -> None:
        await self._control.close()


def budgets(loaded: Loaded, workers: int) -> Budgets:
    """For so many processes, that are forked behind this."""
    return Budgets(workers, loaded.configuration.detection, monotonic)


def announcement(loaded: Loaded, port: int, worker_pids: tuple[int, ...]) -> list[Event]:
    """The events of a start: what came into force, and that clients may come."""
    configuration = loaded.configuration
    start = Started(
        host=configuration.listen.host,
        port=port,
        pid=os.getpid(),
        database=configuration.control.database,
        policy_version=configuration.policy.version,
        keys_fingerprint=loaded.keyset.version,
        audit_on_failure=configuration.audit.on_failure,
        worker_pids=worker_pids,
    )
    return [*in_force(loaded, None), started(start)]


def settle() -> None:
    """What is there now stays: the collector of cyclic garbage need not look at it again.

    Python looks at all objects whenever a quarter more have come, tens of milliseconds for a catalog and its plans.
    Statements leave no cycles behind, sessions do: every 10,000 new objects in place of 700 is rare enough for the ones
    and keeps memory flat for the others (with 50,000, 2,000 short sessions leave 10 MB more).
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 10, 10)
