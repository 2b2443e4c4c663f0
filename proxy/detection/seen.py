"""What the detectors look at of one event of the access log.

The log is read from a file, so an event may be anything that is JSON: what is not of the shape that our builders give
it raises `Strange`, and nothing is kept of a string beyond a bound.
"""

from __future__ import annotations

import hashlib
import re
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Network, ip_address
from typing import Any, Final, final

from proxy.audit.ocsf import Event

NAME_LIMIT: Final = 320
"""Characters of a login, an application name, a host: events have them cut at 256 and say so behind it."""
_STATEMENTS: Final = frozenset(
    {"statement.read", "statement.write", "statement.compare", "statement.refused"}
)
_SHOWN: Final = frozenset({"clear", "masked"})
_COLUMNS: Final = 2048
_IDS: Final = 256


class Strange(Exception):
    """It is JSON, but no event of ours."""


@final
class Seen:
    """One event. Strings are empty where the event does not say; `time` is epoch milliseconds."""

    __slots__ = (
        "application",
        "cells",
        "client",
        "command",
        "denied",
        "execution",
        "final",
        "fingerprint",
        "ids",
        "kind",
        "login",
        "network",
        "ok",
        "part",
        "rows",
        "session",
        "source",
        "sqlstate",
        "table",
        "time",
        "whole",
    )

    def __init__(self, event: Event) -> None:
        """Raises `Strange`."""
        try:
            self._read(event)
        except (KeyError, TypeError, AttributeError, IndexError) as error:
            raise Strange(type(error).__name__) from None

    def _read(self, event: Event) -> None:
        self.kind = name(event["metadata"]["event_code"])
        self.time = count(event["time"])
        actor = event.get("actor") or {}
        user = actor.get("user") or event.get("user") or {}
        self.login = as_given(name(user.get("name", "")))
        self.session = name((actor.get("session") or {}).get("uid", ""))
        self.application = short(name(actor.get("app_name", "")))
        endpoint = event.get("src_endpoint") or {}
        self.client = name(endpoint.get("ip") or endpoint.get("name") or "")
        self.source, self.network = places(short(self.client))
        self.ok = event.get("status_id") == 1
        self.sqlstate = name(event.get("status_code", ""))
        self.fingerprint = self.table = self.command = self.execution = ""
        self.rows = self.cells = 0
        self.part = 1
        self.final = True
        self.whole = False
        self.ids: list[str] = []
        self.denied: tuple[str, ...] = ()
        if self.kind in _STATEMENTS:
            self._read_statement(event, event["unmapped"]["sealgate"])

    def _read_statement(self, event: Event, fields: dict[str, Any]) -> None:
        query = event.get("query_info") or {}
        self.fingerprint = name(query.get("uid", ""))
        self.table = name((event.get("table") or {}).get("name", ""), 2 * 1024)
        self.command = name(fields.get("command", ""))
        self.execution = name(fields.get("execution", ""))
        columns = fields.get("columns") or []
        if len(columns) > _COLUMNS:
            raise Strange("columns")
        if self.kind == "statement.refused":
            denied = [name(entry["name"], 2 * 1024) for entry in columns if entry.get("denied")]
            self.denied = tuple(denied)
            return
        self.rows = count(fields.get("rows", 0))
        self.part = count(fields.get("part", 1))
        self.final = fields.get("final") is not False
        text = query.get("query_string", "")
        # Only a hint: a condition that is always true has a WHERE as well.
        self.whole = isinstance(text, str) and " where " not in text.lower()
        fullest = 0
        for entry in columns:
            if entry.get("outcome") in _SHOWN:
                cells = count(entry.get("cells", 0))
                self.cells += cells
                ids = entry.get("cell_ids")
                if ids and cells > fullest:
                    fullest = cells
                    self.ids = ids[:_IDS] if isinstance(ids, list) else []


def name(text: object, limit: int = NAME_LIMIT) -> str:
    """A string of the event's. Raises `Strange`."""
    if not isinstance(text, str):
        raise Strange("name")
    return text if len(text) <= limit else text[:limit]


def short(text: str) -> str:
    """A name to know it again by, of 64 characters at most: what is kept of names has to fit into a file."""
    if len(text) <= 64:
        return text
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()


def count(number: object) -> int:
    """A count or a time of the event's: 0 to 2^53. Raises `Strange`."""
    if type(number) is not int or not 0 <= number <= 1 << 53:
        raise Strange("number")
    return number


_ESCAPED: Final = re.compile(r"\\u\{([0-9a-f]{1,6})\}")


def as_given(cleaned: str) -> str:
    """The name that `proxy.audit.text.clean` spelt so: the one that containment has to know."""
    if "\\u{" not in cleaned:
        return cleaned
    return _ESCAPED.sub(lambda m: chr(min(int(m[1], 16), 0x10FFFF)), cleaned)


@lru_cache(maxsize=4096)
def places(client: str) -> tuple[str, str]:
    """Whom failures are counted for, and what a login is known to come from.

    Of an IPv4 address: itself, and its /24. Of an IPv6 one twice its /64: who has one address of it, has them all. Else the name.
    """
    try:
        address = ip_address(client)
    except ValueError:
        return client, client
    mapped = getattr(address, "ipv4_mapped", None)
    if mapped is not None:
        address = mapped
    if address.version == 6:
        network = str(IPv6Network((int(address) >> 64 << 64, 64)))
        return network, network
    return str(address), str(IPv4Network((int(address) >> 8 << 8, 24)))
