"""Which data keys opened something, and what is known of them. Key bytes are never read: the keystore's file is looked at
without the root key, so what it says of a key is not authenticated here, and the report says so.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from proxy.report.human import Human
from proxy.report.read import listed, mapping, number, text


@dataclass(frozen=True, slots=True)
class KeyFacts:
    """A data key as the keystore's file lists it."""

    id: int
    column: str
    version: int
    created: str
    state: str


@dataclass(frozen=True, slots=True)
class KeyExposure:
    """One version of a column's data key, and what it opened for the selection. `cells` is at most: an event that names
    several versions does not say which opened how many."""

    column: str
    version: int
    key_id: int | Human
    state: str | Human
    created: str | Human
    cells: int
    events: int
    first: datetime
    last: datetime
    left_process: str
    unknown: Human


LEFT = (
    "No: Sealgate gives out no data key, and no event tells of one. Unwrapped, it was in the memory of the proxy's"
    " processes on their host."
)


def key_list(content: bytes) -> dict[tuple[str, int], KeyFacts]:
    """(column, version) -> data key, of the keystore's JSON. Empty where it is none."""
    try:
        document = json.loads(content)
    except (ValueError, RecursionError):
        return {}
    found = {}
    for entry in listed(mapping(document).get("keys")):
        fields: dict[str, Any] = mapping(entry)
        if fields.get("purpose") != "data":
            continue
        facts = KeyFacts(
            number(fields.get("id")),
            text(fields.get("column"), 1024),
            number(fields.get("version")),
            text(fields.get("created")),
            text(fields.get("state")),
        )
        found[facts.column, facts.version] = facts
    return found


def exposed(
    column: str,
    version: int,
    cells: int,
    events: int,
    first: datetime,
    last: datetime,
    known: Mapping[tuple[str, int], KeyFacts],
    root_key: str,
) -> KeyExposure:
    """`root_key` names where it is, for people."""
    facts = known.get((column, version))
    missing = Human("not in the keystore's file; look it up in the key records")
    return KeyExposure(
        column=column,
        version=version,
        key_id=facts.id if facts else missing,
        state=facts.state if facts else missing,
        created=facts.created if facts else missing,
        cells=cells,
        events=events,
        first=first,
        last=last,
        left_process=LEFT,
        unknown=Human(
            f"was the proxy's host, its memory, the root key ({root_key}) or a backup that holds it and the keystore"
            " copied? Sealgate cannot know"
        ),
    )
