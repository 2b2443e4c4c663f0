"""What a running proxy decides by, kept current. [io]

A snapshot (policy, catalog, keys) is replaced for three reasons: DDL went through the proxy (`refresh`), the catalog
was changed past it (`watch`, every `control.refresh_seconds`), or the configuration was changed (`reload`). A reload
is all or nothing: everything is read and checked before anything is replaced, and either way an event says so.

At the start the server may be down. Then there is no snapshot yet, clients get 57P03, and `watch` keeps asking.
"""

from __future__ import annotations

import asyncio
import hashlib
import pwd
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import structlog

import policy as rules
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
from proxy.audit.operator import operator
from proxy.config import Configuration, ConfigurationError, parse, read_text
from proxy.control import FAILURES, ControlConnection
from proxy.listener import Listener, Reception, reception
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
    text: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Prepared:
    """What a reload puts in force: nothing in it can fail any more."""

    loaded: Loaded
    snapshot: Snapshot
    reception: Reception


def load_all(file_text: str, configuration: Configuration) -> Loaded:
    """The keys for a configuration. Raises KeystoreError, also where a declared column has none."""
    place = configuration.keystore
    keyset = load(place.path, load_root_key(place.root_key), configuration.search_groups)
    missing = keyset.missing(configuration.columns)
    if missing:
        raise KeystoreError(
            str(place.path), f"has no keys for {', '.join(missing)}", "Run sealgate apply."
        )
    fingerprint = hashlib.sha256(file_text.encode()).hexdigest()[:16]
    return Loaded(configuration, keyset, fingerprint, file_text)


def read_again(before: Loaded) -> Loaded:
    """The changed configuration file. Raises ConfigurationError, KeystoreError, NotReloaded."""
    file = before.configuration.file
    text = read_text(file)
    loaded = load_all(text, parse(text, file))
    old, new = before.configuration, loaded.configuration
    fixed = {
        "listen.host": (old.listen.host, new.listen.host),
        "listen.port": (old.listen.port, new.listen.port),
        "listen.workers": (old.listen.workers, new.listen.workers),
        "control.dsn": (old.control.dsn, new.control.dsn),
        "audit.path": (old.audit.path, new.audit.path),
        "audit.state": (old.audit.state, new.audit.state),
        "audit.mode": (old.audit.mode, new.audit.mode),
        "audit.rotate_bytes": (old.audit.rotate_bytes, new.audit.rotate_bytes),
        "audit.rotate_seconds": (old.audit.rotate_seconds, new.audit.rotate_seconds),
        "audit.compress": (old.audit.compress, new.audit.compress),
        "audit.checkpoint_events": (old.audit.checkpoint_events, new.audit.checkpoint_events),
        "audit.checkpoint_seconds": (old.audit.checkpoint_seconds, new.audit.checkpoint_seconds),
    }
    changed = [key for key, (was, becomes) in fixed.items() if was != becomes]
    if changed:
        raise NotReloaded(f"{', '.join(changed)} cannot change while running: restart")
    return loaded


def in_force(after: Loaded, before: Loaded | None) -> list[Event]:
    """Events for the policy and the keys that are new; at start also for the configuration."""
    policy, keyset = after.configuration.policy, after.keyset
    old_policy = before.configuration.policy.version if before is not None else ""
    old_keys = before.keyset.version if before is not None else ""
    events = []
    if before is None:
        load = configuration_load(after.configuration.file, after.fingerprint, "", "", operator())
        events.append(configuration_loaded(load))
    if policy.version != old_policy:
        columns, roles = len(policy.columns), len(policy.roles)
        said = rules.summary(policy)
        events.append(
            policy_loaded(PolicyLoad(policy.version, old_policy, columns, roles, summary=said))
        )
    if keyset.version != old_keys:
        columns, keys = len(keyset.columns), len(keyset.data_keys)
        events.append(keys_loaded(KeysLoad(keyset.version, old_keys, columns, keys)))
    return events


def tell(audit: AuditLog, before: Loaded, after: Loaded, problem: str) -> None:
    """The reload is over: `after` is in force; or there is a problem, and `before` is."""
    path = str(before.configuration.file)
    file = before.configuration.file
    load = configuration_load(file, after.fingerprint, before.fingerprint, problem)
    events = [configuration_loaded(load), *([] if problem else in_force(after, before))]
    if problem:
        log.error("configuration not reloaded", file=path, problem=problem)
    else:
        log.info("configuration reloaded", file=path)
    try:
        audit.write_all(events)
    except AuditFailed as failed:
        log.error("access log not written", problem=str(failed))


def configuration_load(
    file: Path, fingerprint: str, previous: str, problem: str, by: Mapping[str, Any] | None = None
) -> ConfigurationLoad:
    """With what the file system says of the file: its owner, and when it was modified. `by`: who started the proxy."""
    owner, modified = "", 0
    try:
        found = file.stat()
        modified = found.st_mtime_ns // 1_000_000
        owner = pwd.getpwuid(found.st_uid).pw_name
    except KeyError:
        owner = f"uid {found.st_uid}"
    except OSError:
        pass  # it was moved away after it was read
    return ConfigurationLoad(
        str(file), fingerprint, previous, problem, owner, modified, dict(by or {})
    )


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
    def loaded(self) -> Loaded:
        """What is in force."""
        return self._loaded

    @property
    def configuration(self) -> Configuration:
        return self._loaded.configuration

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
                after = read_again(before)
                prepared = await self._prepared(after)
                self._audit.reopen()
                self._put_in_force(prepared, listener)
            except FAILURES_OF_A_RELOAD as error:
                problem = why(error)
            tell(self._audit, before, after, problem)

    async def prepare(self, text: str, policy: str, keys: str) -> Prepared:
        """The first half of a reload in several processes, of a file with this text: then `switch` or `forget`.

        Raises one of FAILURES_OF_A_RELOAD, also where this process does not find the same policy and keys.
        """
        await self._turn.acquire()
        try:
            loaded = load_all(text, parse(text, self.configuration.file))
            if (loaded.configuration.policy.version, loaded.keyset.version) != (policy, keys):
                raise NotReloaded("the keys changed while they were read: try again")
            return await self._prepared(loaded)
        except BaseException:
            self._turn.release()
            raise

    def switch(self, prepared: Prepared, listener: Listener) -> None:
        """The second half. What the catalog changed in between, `watch` and DDL's refreshes find, which wait for it."""
        self._put_in_force(prepared, listener)
        self._turn.release()

    def forget(self) -> None:
        """Instead of `switch`: everything stays as it is."""
        self._turn.release()

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

    async def _prepared(self, loaded: Loaded) -> Prepared:
        catalog = await self._control.catalog(loaded.configuration.policy.columns)
        snapshot = Snapshot(loaded.configuration.policy, catalog, loaded.keyset)
        try:
            return Prepared(loaded, snapshot, reception(loaded.configuration))
        except OSError as error:
            reason = error.strerror or type(error).__name__
            raise NotReloaded(f"the TLS certificate or key cannot be used: {reason}") from None

    def _put_in_force(self, prepared: Prepared, listener: Listener) -> None:
        """Everything is replaced without a wait in between."""
        listener.receive(prepared.reception)
        self._source.current = prepared.snapshot
        self._loaded = prepared.loaded


FAILURES_OF_A_RELOAD = (ConfigurationError, KeystoreError, NotReloaded, AuditFailed, *FAILURES)


def why(error: Exception) -> str:
    """The reason a reload failed; holds no secret."""
    if isinstance(error, ConfigurationError | KeystoreError | NotReloaded | AuditFailed):
        return str(error)
    return f"the catalog was not read ({type(error).__name__})"
