"""The Sigma rules of docs/siem, and an evaluator that is not ours: pySigma turns them into SQL for SQLite."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

from sigma.backends.sqlite import sqliteBackend  # type: ignore[attr-defined]
from sigma.collection import SigmaCollection

from proxy.audit.event import Event

FOLDER = Path(__file__).parent.parent.parent / "docs" / "siem" / "sigma"


@cache
def collection() -> SigmaCollection:
    """All rules, checked as they are read."""
    return SigmaCollection.load_ruleset([FOLDER])


@cache
def queries() -> dict[str, str]:
    """By file name, the SQL of each rule that is to alert."""
    rules = collection()
    sqliteBackend().convert(rules)  # type: ignore[no-untyped-call]
    found = {}
    for rule in rules.rules:
        if rule._output and rule.source is not None:
            [found[Path(rule.source.path).stem]] = rule.get_conversion_result()
    return found


def flat(event: Event) -> dict[str, Any]:
    """Names joined by dots, as a SIEM indexes them; the time as SQLite knows it."""
    row: dict[str, Any] = {}

    def put(prefix: str, value: Any) -> None:
        if isinstance(value, dict):
            for key, inner in value.items():
                put(f"{prefix}.{key}" if prefix else key, inner)
        else:
            row[prefix] = value if isinstance(value, str | int) else str(value)

    put("", event)
    row["timestamp"] = datetime.fromtimestamp(event["time"] // 1000, UTC).strftime(
        "%Y-%m-%d %H:%M:%S"
    )
    return row


def alerts(events: Iterable[Event]) -> set[str]:
    """The rules that alert on these events."""
    rows = [flat(event) for event in events]
    names = sorted({name for row in rows for name in row} | set(FIELDS))
    database = sqlite3.connect(":memory:")
    columns = ", ".join(f'"{name}"' for name in names)
    database.execute(f"CREATE TABLE logs ({columns})")
    places = ", ".join("?" for _ in names)
    database.executemany(
        f"INSERT INTO logs VALUES ({places})", [[row.get(name) for name in names] for row in rows]
    )
    found = {rule for rule, query in queries().items() if database.execute(query).fetchall()}
    database.close()
    return found


FIELDS = (
    "actor.app_name",
    "actor.user.name",
    "is_alert",
    "metadata.event_code",
    "src_endpoint.ip",
    "status_code",
    "unmapped.sealgate.cells",
    "unmapped.sealgate.command",
    "unmapped.sealgate.log_existed",
    "unmapped.sealgate.operator.name",
    "unmapped.sealgate.passthrough",
    "unmapped.sealgate.previous",
    "unmapped.sealgate.side",
    "unmapped.sealgate.tls",
    "user.name",
)
"""Fields that rules name: a SIEM knows them also while no event has them."""
