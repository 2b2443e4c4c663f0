"""An event as a receiver's form needs it. It was read from a file that others may have written to, so it may be any JSON
object: what is not there, or of another type, reads as empty, and every text is made fit for one line.
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any, Final

from proxy.audit.ocsf import Event
from proxy.audit.text import LABEL_CAP

TEXT_CAP: Final = 4200
"""Characters of a text that may be long: a statement is cut at 4096 in the log already."""


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the log: its bytes without the newline, and what they say."""

    raw: bytes
    event: Event

    @property
    def code(self) -> str:
        return text(self.event, "metadata", "event_code") or "unknown"


def at(event: Event, *path: str) -> Any:
    """What is at the path; None if nothing is."""
    found: Any = event
    for name in path:
        if not isinstance(found, dict):
            return None
        found = found.get(name)
    return found


def text(event: Event, *path: str, cap: int = TEXT_CAP) -> str:
    """On one line, at most `cap` characters of it. Our own texts are clean already (`proxy.audit.text`) and stay as they are."""
    found = at(event, *path)
    if not isinstance(found, str):
        return ""
    kept = found if len(found) <= cap else f"{found[: cap - 1]}…"
    if kept.isprintable():
        return kept
    return "".join(c if c.isprintable() else f"\\u{{{ord(c):x}}}" for c in kept)


def number(event: Event, *path: str) -> int | None:
    found = at(event, *path)
    return found if type(found) is int else None


def ours(event: Event, *path: str) -> Any:
    """The same, of what only Sealgate says."""
    return at(event, "unmapped", "sealgate", *path)


def objects(found: object) -> list[dict[str, Any]]:
    """The objects of a list."""
    return [item for item in found if isinstance(item, dict)] if isinstance(found, list) else []


def address(event: Event) -> str:
    """The client's IP address, "" if there is none."""
    return ip(text(event, "src_endpoint", "ip"))


def ip(found: str) -> str:
    """The text if it is an IP address (without a zone), else ""."""
    try:
        return ip_address(found.partition("%")[0]).compressed
    except ValueError:
        return ""


def columns(event: Event) -> list[str]:
    """`public.customers.email clear 3` of each column."""
    found = []
    for column in objects(ours(event, "columns")):
        name = text(column, "name", cap=LABEL_CAP)
        outcome = text(column, "outcome") or text(column, "access")
        cells = number(column, "cells")
        found.append(" ".join(part for part in (name, outcome, str(cells or "")) if part))
    return found


def groups(event: Event) -> list[str]:
    return [
        name for g in objects(at(event, "actor", "user", "groups")) if (name := text(g, "name"))
    ]


def sqlstate(event: Event) -> str:
    return text(event, "status_code", cap=16)


def milliseconds(event: Event) -> int:
    """Of the event, since 1970; 0 where it does not say, or what no calendar has."""
    found = number(event, "time")
    return found if found is not None and 0 <= found < 253_402_300_800_000 else 0


def user(event: Event) -> str:
    """The login; in an event about an account, that account."""
    return text(event, "actor", "user", "name") or text(event, "user", "name")
