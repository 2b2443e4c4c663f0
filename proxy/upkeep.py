"""What a running proxy decides by, kept current. [io]

A snapshot (policy, catalog, keys) is replaced for three reasons: DDL went through the proxy (`refresh`), the catalog
was changed past it (`watch`, every `control.refresh_seconds`), or the configuration was changed (`reload`). A reload
is all or nothing: everything is read and checked before anything is replaced, and either way an event says so.

At the start the server may be down. Then there is no snapshot yet, clients get 57P03, and `watch` keeps asking.
"""

from __future__ import annotations

import asyncio
import hashlib
from dataclasses import dataclass

import structlog

from keystore import Keyset, KeystoreError, load, load_root_key
from proxy.audit.event import (
    ConfigurationLoad,
    Event,
    KeysLoad,
    PolicyLoad,
    configuration_loaded,
    keys_loaded,
    policy_loaded,
)
from proxy.audit.log import AuditFailed, AuditLog
from proxy.config import Configuration, ConfigurationError, parse, read_text
from proxy.control import FAILURES, ControlConnection
from proxy.listener import Listener
from proxy.snapshot import Snapshot, SnapshotSource

RETRY_SECONDS = 1.0
"""Between attempts to reach a server that has never been reached."""

log = structlog.get_logger("sealgate.upkeep")


class NotReloaded(Exception):
    """A configuration that cannot replace the running one; the text holds no secret."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """A configuration with its keys, checked together."""

    configuration: Configuration
    keyset: Keyset
    fingerprint: str


def load_all(file_text: str, configuration: Configuration) -> Loaded:
    """The keys for a configuration. Raises KeystoreError, also where a declared column has none."""
    place = configuration.keystore
    keyset = load(place.path, load_root_key(place.root_key))
    missing = keyset.missing(configuration.columns)
    if missing:
        raise KeystoreError(
            str(place.path), f"has no keys for {', '.join(missing)}", "Run sealgate apply."
        )
    return Loaded(configuration, keyset, hashlib.sha256(file_text.encode()).hexdigest()[:16])


class Upkeep:
    """Owns the current configuration, keys and snapshot; nobody else replaces them."""

    def __init__(
        self, loaded: Loaded, source: SnapshotSource, audit: AuditLog, control: ControlConnection
    ) -> None:
        self._loaded = loaded
        self._source = source
        self._audit = audit
        self._control = control
        self._turn = asyncio.Lock()

    @property
    def configuration(self) -> Configuration:
        return self._loaded.configuration

    def announce(self) -> None:
        """The events of a start: what came into force. Raises AuditFailed."""
        for event in _in_force(self._loaded, None):
            self._audit.write(event)

    async def refresh(self) -> bool:
        """Looks at the catalog again. False: the server could not be asked, the picture is as it was."""
        async with self._turn:
            try:
                await self._look(self._loaded)
            except FAILURES as failed:
                log.warning("catalog not read", problem=type(failed).__name__)
                return False
            return True

    async def look(self) -> None:
        """`refresh` that raises one of FAILURES: for the start."""
        async with self._turn:
            await self._look(self._loaded)

    async def watch(self) -> None:
        """Refreshes for ever; until the server was first reached, every second."""
        while True:
            ready = self._source.ready
            seconds = self.configuration.control.refresh_seconds if ready else RETRY_SECONDS
            await asyncio.sleep(seconds)
            await self.refresh()

    async def reload(self, listener: Listener) -> None:
        """Takes the changed configuration file, keys included, or leaves everything as it is."""
        async with self._turn:
            before = self._loaded
            problem, after = "", before
            try:
                after = self._read(before)
                await self._replace(after, listener)
            except (ConfigurationError, KeystoreError, NotReloaded, AuditFailed) as error:
                problem = str(error)
            except FAILURES as error:
                problem = f"the catalog was not read ({type(error).__name__})"
            self._say(before, after, problem)

    async def _look(self, loaded: Loaded) -> None:
        catalog = await self._control.catalog(loaded.configuration.policy.columns)
        if not self._source.ready and not await self._control.up_to_date():
            log.warning("schema sealgate is not up to date", fix="run sealgate apply")
        if self._source.ready:
            current = self._source.current
            unchanged = current.policy is loaded.configuration.policy
            if unchanged and current.catalog.version == catalog.version:
                return  # plans stay cached
        self._source.current = Snapshot(loaded.configuration.policy, catalog, loaded.keyset)
        log.info("catalog read", version=catalog.version, count=len(catalog.relations))

    def _read(self, before: Loaded) -> Loaded:
        file = before.configuration.file
        text = read_text(file)
        loaded = load_all(text, parse(text, file))
        old, new = before.configuration, loaded.configuration
        fixed = {
            "listen.host": (old.listen.host, new.listen.host),
            "listen.port": (old.listen.port, new.listen.port),
            "control.dsn": (old.control.dsn, new.control.dsn),
            "audit.path": (old.audit.path, new.audit.path),
            "audit.fsync": (old.audit.fsync, new.audit.fsync),
        }
        changed = [key for key, (was, becomes) in fixed.items() if was != becomes]
        if changed:
            raise NotReloaded(f"{', '.join(changed)} cannot change while running: restart")
        return loaded

    async def _replace(self, loaded: Loaded, listener: Listener) -> None:
        """What may fail comes first; then everything is replaced without a wait in between."""
        catalog = await self._control.catalog(loaded.configuration.policy.columns)
        snapshot = Snapshot(loaded.configuration.policy, catalog, loaded.keyset)
        try:
            listener.configure(loaded.configuration)
        except OSError as error:
            reason = error.strerror or type(error).__name__
            raise NotReloaded(f"the TLS certificate or key cannot be used: {reason}") from None
        self._audit.reopen()
        self._source.current = snapshot
        self._loaded = loaded

    def _say(self, before: Loaded, after: Loaded, problem: str) -> None:
        path = str(before.configuration.file)
        load = ConfigurationLoad(path, after.fingerprint, before.fingerprint, problem)
        events = [configuration_loaded(load), *([] if problem else _in_force(after, before))]
        if problem:
            log.error("configuration not reloaded", file=path, problem=problem)
        else:
            log.info("configuration reloaded", file=path)
        try:
            for event in events:
                self._audit.write(event)
        except AuditFailed as failed:
            log.error("access log not written", problem=str(failed))


def _in_force(after: Loaded, before: Loaded | None) -> list[Event]:
    """Events for the policy and the keys that are new."""
    policy, keyset = after.configuration.policy, after.keyset
    old_policy = before.configuration.policy.version if before is not None else ""
    old_keys = before.keyset.version if before is not None else ""
    events = []
    if policy.version != old_policy:
        columns, roles = len(policy.columns), len(policy.roles)
        events.append(policy_loaded(PolicyLoad(policy.version, old_policy, columns, roles)))
    if keyset.version != old_keys:
        columns, keys = len(keyset.columns), len(keyset.data_keys)
        events.append(keys_loaded(KeysLoad(keyset.version, old_keys, columns, keys)))
    return events
