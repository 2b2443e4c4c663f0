"""Events about the proxy itself: configuration, policy and keys (OCSF Entity Management 3004), start,
stop and the log's own troubles (Application Lifecycle 6002).

Every loader reports success and failure alike: `problem` is "" or the reason nothing was changed, in
words that hold no secret (a configuration error names file and key, never a password).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import orjson

from proxy.audit.ocsf import (
    APPLICATION_LIFECYCLE,
    ENTITY_MANAGEMENT,
    INFORMATIONAL,
    MEDIUM,
    PRODUCT,
    Event,
    base,
    with_product,
)
from proxy.audit.text import LABEL_CAP, REASON_CAP, clean, counted

UPDATE, ACTIVATE = 3, 10  # activity_id of entity_management
START, STOP, OTHER = 3, 4, 99  # of application_lifecycle
POLICY_ENTITY: Final = 5  # type_id of managed_entity
SUMMARY_BYTES: Final = 1 << 19
"""A policy's summary that is longer is left out of its event, which then says how long it is."""


@dataclass(frozen=True, slots=True)
class PolicyLoad:
    """A policy came into force, or was refused. `previous` is "" at start; `summary` as `policy.summary` makes it."""

    version: str
    previous: str
    columns: int
    roles: int
    problem: str = ""
    summary: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class KeysLoad:
    """A key set came into force, or was refused. `fingerprint` as `Keyset.fingerprint` gives it."""

    fingerprint: str
    previous: str
    columns: int
    keys: int
    problem: str = ""


@dataclass(frozen=True, slots=True)
class ConfigurationLoad:
    """A configuration file was read, at start (`previous` is "") or again. `fingerprint` is the file's, "" where it has none.

    `owner` is the file's owner and `modified` its time (epoch ms), when the event was made: hints at who changed it, and no
    proof. `operator` is who started the proxy, empty for a reload: a signal does not say who sent it.
    """

    path: str
    fingerprint: str
    previous: str
    problem: str = ""
    owner: str = ""
    modified: int = 0
    operator: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Started:
    """The proxy accepts clients. `pid` is the process to signal, `worker_pids` those that serve: itself, or its workers."""

    host: str
    port: int
    pid: int
    database: str
    policy_version: str
    keys_fingerprint: str
    audit_on_failure: str
    worker_pids: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class WorkerLost:
    """A worker (numbered from 0) has ended that should not have, and `sessions` with it."""

    worker: int
    pid: int
    reason: str
    sessions: int


def policy_loaded(load: PolicyLoad) -> Event:
    """A policy came into force, or was refused and the previous one stays."""
    extent = f"{counted(load.columns, 'sealed column')}, {counted(load.roles, 'role')}"
    entity = {
        "name": "policy",
        "type_id": POLICY_ENTITY,
        "type": "Policy",
        "version": clean(load.version),
    }
    fields: dict[str, Any] = {
        "column_count": load.columns,
        "role_count": load.roles,
        "previous": clean(load.previous),
    }
    if load.summary:
        said = _cleaned(load.summary)
        size = len(orjson.dumps(said))
        if size <= SUMMARY_BYTES:
            fields["policy_summary"] = said
        else:
            fields["policy_summary_bytes"] = size
    return _entity(
        "policy", entity, f"policy {clean(load.version)}: {extent}", load.problem, fields
    )


def keys_loaded(load: KeysLoad) -> Event:
    """A key set came into force, or was refused and the previous one stays."""
    extent = f"{counted(load.keys, 'data key')} of {counted(load.columns, 'column')}"
    fingerprint = clean(load.fingerprint)
    entity = {"name": "key set", "type_id": 99, "type": "Key", "version": fingerprint}
    fields = {
        "column_count": load.columns,
        "key_count": load.keys,
        "previous": clean(load.previous),
    }
    return _entity("keys", entity, f"key set {fingerprint}: {extent}", load.problem, fields)


def configuration_loaded(load: ConfigurationLoad) -> Event:
    """The configuration was read again, and is in force or was refused as a whole; at start it was read."""
    path = clean(load.path, REASON_CAP)
    entity = {
        "name": path,
        "type_id": 99,
        "type": "Configuration",
        "version": clean(load.fingerprint),
    }
    fields: dict[str, Any] = {"previous": clean(load.previous)}
    if load.owner:
        fields |= {"file_owner": clean(load.owner), "file_modified": load.modified}
    if load.operator:
        fields["operator"] = dict(load.operator)
    event = _entity("configuration", entity, f"configuration {path}", load.problem, fields)
    if not load.previous and not load.problem:
        event["metadata"]["event_code"] = "configuration.read"
    return event


def started(start: Started) -> Event:
    """The proxy accepts clients from now on."""
    host, database = clean(start.host), clean(start.database)
    message = f"sealgate {PRODUCT['version']} accepts clients on {host}:{start.port}"
    return _lifecycle(
        "proxy.started",
        START,
        message,
        {
            "host": host,
            "port": start.port,
            "pid": start.pid,
            "workers": len(start.worker_pids),
            "worker_pids": list(start.worker_pids),
            "database": database,
            "policy_version": clean(start.policy_version),
            "keys_fingerprint": clean(start.keys_fingerprint),
            "audit_on_failure": clean(start.audit_on_failure),
        },
    )


def stopped(reason: str, pid: int, sessions: int = 0) -> Event:
    """The proxy is about to end; `sessions` were still open and are cut."""
    reason = clean(reason, REASON_CAP)
    message = f"sealgate stopped: {reason}"
    if sessions:
        message += f"; {counted(sessions, 'session')} cut"
    fields = {"pid": pid, "reason": reason, "sessions": sessions}
    return _lifecycle("proxy.stopped", STOP, message, fields)


def worker_lost(lost: WorkerLost) -> Event:
    """One of several processes has ended; the others go on."""
    reason = clean(lost.reason, REASON_CAP)
    message = f"worker {lost.worker} was lost: {reason}"
    if lost.sessions:
        message += f"; {counted(lost.sessions, 'session')} cut"
    fields = {
        "worker": lost.worker,
        "pid": lost.pid,
        "reason": reason,
        "sessions": lost.sessions,
    }
    return _lifecycle("worker.lost", OTHER, message, fields, severity=MEDIUM)


def worker_started(worker: int, pid: int) -> Event:
    """A worker serves in place of one that was lost."""
    fields = {"worker": worker, "pid": pid}
    return _lifecycle("worker.started", OTHER, f"worker {worker} was started again", fields)


def log_repaired(offset: int, size: int, file: str = "") -> Event:
    """The log's last line was torn by a crash: `size` bytes at `offset` are no event; or they were cut off its side `file`."""
    what = "side file ended in a torn record" if file else "ended in a torn line"
    message = f"the access log {what} of {counted(size, 'byte')}: a process was killed"
    fields: dict[str, Any] = {"offset": offset, "size": size}
    if file:
        fields["file"] = clean(file)
    return _lifecycle("log.repaired", OTHER, message, fields, severity=MEDIUM)


def log_begun(*, log_existed: bool) -> Event:
    """First event of a chain: there was no state. `log_existed`: something stood in the file already."""
    message = "a new chain begins in the access log"
    if log_existed:
        message += ", which is not empty: the state of the chain before is gone"
    severity = MEDIUM if log_existed else INFORMATIONAL
    return _lifecycle("log.begun", OTHER, message, {"log_existed": log_existed}, severity)


@dataclass(frozen=True, slots=True)
class Unclean:
    """The file is not as its state says, or nobody has stopped in order.

    `last_sequence` is the state's last event, `found_sequence` the file's; `lost` events are in the state and not in the file.
    """

    last_sequence: int
    found_sequence: int
    lost: int
    reason: str


def log_unclean(unclean: Unclean) -> Event:
    """Whoever goes on with the log has found it otherwise than the last writer has left it."""
    reason = clean(unclean.reason, REASON_CAP)
    message = f"the access log goes on behind an unclean end: {reason}"
    if unclean.lost:
        message += f"; {counted(unclean.lost, 'event')} missing"
    fields = {
        "last_sequence": unclean.last_sequence,
        "found_sequence": unclean.found_sequence,
        "lost": unclean.lost,
        "reason": reason,
    }
    return _lifecycle("log.unclean", OTHER, message, fields, severity=MEDIUM)


def log_rotated(file: str) -> Event:
    """First event of a new file; `file` is the name that the one before has got, "" if it is not known."""
    file = clean(file)
    message = f"the access log goes on in a new file; the one before is {file or 'elsewhere'}"
    return _lifecycle("log.rotated", OTHER, message, {"file": file})


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The chain's first `size` events, the last with hash `head`, under the aggregate `seal`; see `proxy.audit.chain`."""

    size: int
    head: str
    seal: str
    key: str
    signature: str


def log_checkpoint(point: Checkpoint) -> Event:
    """How far the log has come, signed. It is due also when nothing happens, so that silence means something."""
    fields = {
        "checkpoint": {
            "size": point.size,
            "head": point.head,
            "seal": point.seal,
            "key": point.key,
            "signature": point.signature,
        }
    }
    message = f"the access log has {counted(point.size, 'event')}"
    return _lifecycle("log.checkpoint", OTHER, message, fields)


def log_resumed(lost: int, since: int, reason: str) -> Event:
    """The log can be written again; `lost` events since `since` (epoch ms) are not in it."""
    reason = clean(reason, REASON_CAP)
    message = f"the access log can be written again; {counted(lost, 'event')} lost: {reason}"
    fields = {"lost": lost, "since": since, "reason": reason}
    return _lifecycle("log.resumed", OTHER, message, fields, severity=MEDIUM)


def _cleaned(value: Any) -> Any:
    """Names that people chose, in whatever they stand."""
    if isinstance(value, str):
        return clean(value, LABEL_CAP)
    if isinstance(value, list):
        return [_cleaned(item) for item in value]
    return {name: _cleaned(item) for name, item in value.items()}


def _entity(
    what: str, entity: dict[str, Any], message: str, problem: str, fields: dict[str, Any]
) -> Event:
    problem = clean(problem, REASON_CAP)
    event = base(
        f"{what}.refused" if problem else f"{what}.loaded",
        ENTITY_MANAGEMENT,
        UPDATE if problem or fields["previous"] else ACTIVATE,
        f"{message}; refused: {problem}" if problem else f"{message}; in force",
        ok=not problem,
        severity=MEDIUM if problem else INFORMATIONAL,
    )
    event["entity"] = entity
    if problem:
        event["status_detail"] = problem
    return with_product(event, fields)


def _lifecycle(
    kind: str, activity: int, message: str, fields: dict[str, Any], severity: int = INFORMATIONAL
) -> Event:
    event = base(kind, APPLICATION_LIFECYCLE, activity, message, severity=severity)
    event["app"] = PRODUCT
    return with_product(event, fields)
