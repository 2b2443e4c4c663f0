"""What a command asks of the access log is an event of it: OCSF Entity Management (3004), Read.

Nothing personal is in it: a row's key is, so the event says how many keys were asked for, and not which.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from proxy.audit.ocsf import ENTITY_MANAGEMENT, Event, base, with_product
from proxy.audit.text import clean, counted

READ: Final = 2  # activity_id
_ARGUMENTS: Final = 32
"""Shown, at most."""


@dataclass(frozen=True, slots=True)
class Query:
    """A question to the log, and how much the answer tells.

    command    as typed, without arguments: "audit affected"
    arguments  what was asked for, and nothing that names a person: {"login": "support"}
    keys       how many people, or rows, were asked for by their key
    events     how many events the answer is from
    cells      how many cells it speaks of
    """

    command: str
    arguments: Mapping[str, str]
    keys: int = 0
    events: int = 0
    cells: int = 0


def queried(query: Query, operator: Mapping[str, Any]) -> Event:
    """Somebody has had the log read for an answer. `operator`: see `proxy.audit.operator`."""
    who = str(operator.get("name") or f"uid {operator.get('uid')}")
    event = base(
        "audit.queried",
        ENTITY_MANAGEMENT,
        READ,
        f"{clean(who)} asked the access log: {clean(query.command)}, answered by {counted(query.events, 'event')}",
    )
    event["entity"] = {"name": "access log", "type_id": 99, "type": "Log"}
    given = [f"{name}={value}" for name, value in query.arguments.items()]
    return with_product(
        event,
        {
            "command": clean(query.command),
            "operator": dict(operator),
            "arguments": [clean(text) for text in given[:_ARGUMENTS]],
            "keys": query.keys,
            "events": query.events,
            "cells": query.cells,
        },
    )
