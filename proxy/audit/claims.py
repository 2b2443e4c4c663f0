"""What a client says of the person and the reason behind a statement: claimed, never verified.

A login that many people share tells nothing about who asked. Applications know, and say it in one of two ways:

- a comment in the form of sqlcommenter (https://google.github.io/sqlcommenter/spec/) behind the statement:
  `/*actor='u42',ticket='8812',traceparent='00-...-01'*/`; keys and values are URL-encoded;
- the settings `sealgate.actor` and `sealgate.purpose` of the session (SET, SET LOCAL, set_config, startup options).

A comment goes before the settings. Only known keys are taken: a comment may hold anything.
"""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import unquote

import orjson

from proxy.audit.text import clean

SETTINGS: Final = ("sealgate.actor", "sealgate.purpose")
KEYS: Final = frozenset(
    {"actor", "purpose", "ticket", "traceparent"}
    | {"application", "controller", "action", "route", "framework", "db_driver"}
)
"""Ours, and those that the libraries of sqlcommenter write."""
CLAIM_CAP: Final = 128
"""Characters of a claim that an event shows."""

Claims = tuple[tuple[str, str], ...]
"""(key, value) as the client wrote them, each key once."""

_PAIR: Final = re.compile(r"([A-Za-z_]{1,32})\s*=\s*'((?>(?:[^'\\]|\\.)*))'\s*(?:,|\Z)", re.DOTALL)


def from_comment(comment: str) -> dict[str, str]:
    """The claims of one comment, `/*` and `*/` with it; the first of a key counts. Whatever is no pair is passed over."""
    found: dict[str, str] = {}
    for key, value in _PAIR.findall(comment[2 : comment.rfind("*/")]):
        name = key.lower()
        if name in KEYS and name not in found:
            found[name] = unquote(re.sub(r"\\(.)", r"\1", value, flags=re.DOTALL))
    return found


def claimed(session: Claims, comment: str) -> dict[str, str]:
    """What the event says: cleaned, capped, empty claims left out; keys in order, as canonical JSON has them."""
    found = dict(session)
    if comment:
        found.update(from_comment(comment))
    return {key: clean(found[key], CLAIM_CAP) for key in sorted(found) if found[key]}


def claimed_json(session: Claims, comment: str) -> bytes:
    """The same as a member of a JSON object that has others before it; nothing where nothing is claimed."""
    if not session and not comment:
        return b""
    claims = claimed(session, comment)
    return b',"claimed":%b' % orjson.dumps(claims) if claims else b""
