"""What operators do with commands: keys are made, the database is brought in line (OCSF Entity Management 3004).

`operator` is what the operating system says of who ran the command: see `proxy.audit.operator`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from proxy.audit.ocsf import ENTITY_MANAGEMENT, Event, base, with_product
from proxy.audit.text import LABEL_CAP, REASON_CAP, clean, counted, quoted

CREATE, UPDATE = 1, 3  # activity_id
_LISTED: Final = 1000
"""Columns and changes that an event shows."""


def keys_created(keystore: str, columns: Sequence[str], operator: Mapping[str, Any]) -> Event:
    """`init` has made a root key, if it had none, and a keystore with keys for `columns` (labels)."""
    message = f"{_by(operator)} made keystore {clean(keystore, REASON_CAP)}: keys for {counted(len(columns), 'column')}"
    return _keys("keys.created", CREATE, message, keystore, columns, operator)


def keys_added(keystore: str, columns: Sequence[str], operator: Mapping[str, Any]) -> Event:
    """`apply` has added keys for `columns`, which had none."""
    message = f"{_by(operator)} added keys for {counted(len(columns), 'column')} to keystore {clean(keystore, REASON_CAP)}"
    return _keys("keys.added", UPDATE, message, keystore, columns, operator)


def schema_applied(
    database: str, changes: Sequence[str], refused: int, operator: Mapping[str, Any]
) -> Event:
    """`apply` has changed the database. `changes`: `seal public.customers.email`; names only. `refused`: obstacles."""
    name = clean(database)
    message = f"{_by(operator)} applied the configuration to database {quoted(name)}: {counted(len(changes), 'change')}"
    if refused:
        message += f", {counted(refused, 'obstacle')}"
    event = base("schema.applied", ENTITY_MANAGEMENT, UPDATE, message, ok=not refused)
    event["entity"] = {"name": name, "type_id": 99, "type": "Database"}
    shown = [clean(change, LABEL_CAP) for change in changes[:_LISTED]]
    fields = {
        "operator": dict(operator),
        "database": name,
        "changes": shown,
        "change_count": len(changes),
        "obstacle_count": refused,
    }
    return with_product(event, fields)


def _keys(
    kind: str,
    activity: int,
    message: str,
    keystore: str,
    columns: Sequence[str],
    operator: Mapping[str, Any],
) -> Event:
    event = base(kind, ENTITY_MANAGEMENT, activity, message)
    event["entity"] = {"name": clean(keystore, REASON_CAP), "type_id": 99, "type": "Key"}
    fields = {
        "operator": dict(operator),
        "column_count": len(columns),
        "added_columns": [clean(label, LABEL_CAP) for label in columns[:_LISTED]],
    }
    return with_product(event, fields)


def _by(operator: Mapping[str, Any]) -> str:
    return clean(str(operator.get("name") or f"uid {operator.get('uid')}"))
