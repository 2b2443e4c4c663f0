"""A line of the access log as a link of its chain (`chain`), for whoever verifies it.

The verifier shares no serialisation with the writer. A line as it was written needs none: its hash is that of its bytes.
What somebody has written anew (a SIEM: keys in another order, blanks, escapes) is parsed strictly and brought into RFC
8785's form by the package `rfc8785`; then the event is the one that was written although the bytes are not.
"""

from __future__ import annotations

import json
import re
from hashlib import sha256
from typing import Any, Final, NamedTuple

import orjson
import rfc8785

from proxy.audit.chain import CHAIN_CHARACTERS, HASH_BYTES
from proxy.audit.ocsf import Event

MOST_EVENTS: Final = 1 << 53
"""RFC 8785's integers end here, so a chain does."""
_FORM: Final = re.compile(
    rf"[0-9a-f]{{{CHAIN_CHARACTERS}}},[0-9a-f]{{{2 * HASH_BYTES}}},[0-9a-f]{{{2 * HASH_BYTES}}}"
)
"""Chain, hash and prev, with commas."""
_STARTS: Final = b'"integrity":{"chain":"'
_HASH_AT: Final = len(_STARTS) + CHAIN_CHARACTERS + len('",')
_HASH_SIZE: Final = len('"hash":"",') + 2 * HASH_BYTES
_KEPT_AT_TOP: Final = frozenset(
    """action_id activity_id actor app auth_protocol auth_protocol_id category_uid class_uid database disposition_id
    duration entity evidences finding_info is_alert is_remote message metadata policy query_info resources service
    session severity_id src_endpoint status_code status_detail status_id table time type_id type_uid unmapped
    user""".split()  # noqa: SIM905 - thirty lines otherwise
)
"""What events have at the top (a test compares it with docs/events.md): the rest is a receiver's."""


class Link(NamedTuple):
    """What a line says of itself. `genuine`: the event's content has the hash that it states."""

    chain: str
    sequence: int
    hash: bytes
    prev: bytes
    code: str
    event: Event
    genuine: bool
    rewritten: bool
    """Genuine, but not byte for byte as the writer writes."""


def link(raw: bytes) -> Link | Event | None:
    """A line of the log; the event alone if it is in no chain; None: it is no event."""
    try:
        event = orjson.loads(raw)
    except orjson.JSONDecodeError:
        return None
    if not isinstance(event, dict):
        return None
    stated = _stated(event)
    if stated is None:
        return event
    chain, digest = stated[0], stated[2]
    at = raw.find(_STARTS + chain.encode() + b'","hash":"' + digest.encode() + b'",')
    if at >= 0:
        at += _HASH_AT
        if sha256(raw[:at] + raw[at + _HASH_SIZE :]).hexdigest() == digest:
            return _link(stated, event, True, False)
    genuine = _has_hash(_strict(raw), digest)
    return _link(stated, event, genuine, genuine)


def link_of(event: Event) -> Link | None:
    """An event that a receiver has kept, with what it may have added at the top; None: it is in no chain.

    `event` comes from `strict`: a copy in which a key stands twice says two things.
    """
    stated = _stated(event)
    if stated is None:
        return None
    digest = stated[2]
    for kept in (event, {key: event[key] for key in event if key in _KEPT_AT_TOP}):
        if _has_hash(kept, digest):
            return _link(stated, kept, True, False)
    return _link(stated, event, False, False)


def strict(text: bytes | str) -> Any:
    """The JSON value. Raises ValueError: it is none, a key stands twice, it nests too deeply."""
    try:
        return json.loads(text, object_pairs_hook=_once, parse_constant=_refused)
    except RecursionError:
        raise ValueError("it nests too deeply") from None


def _strict(raw: bytes) -> Event | None:
    try:
        event = strict(raw)
    except ValueError:
        return None
    return event if isinstance(event, dict) else None


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key stands twice")
    return found


def _refused(_: str) -> Any:
    raise ValueError("not a number of JSON")


_Stated = tuple[str, int, str, str, str]


def _stated(event: Event) -> _Stated | None:
    """Chain, sequence, hash, prev and event code, if all are of the right form."""
    try:
        integrity = event["unmapped"]["sealgate"]["integrity"]
        chain, digest, prev = integrity["chain"], integrity["hash"], integrity["prev"]
        metadata = event["metadata"]
        sequence, code = metadata["sequence"], metadata.get("event_code")
    except (LookupError, TypeError, AttributeError):
        return None
    if (
        type(chain) is type(digest) is type(prev) is str
        and _FORM.fullmatch(f"{chain},{digest},{prev}")
        and type(sequence) is int
        and 0 < sequence < MOST_EVENTS
    ):
        return chain, sequence, digest, prev, code if type(code) is str else ""
    return None


def _link(stated: _Stated, event: Event, genuine: bool, rewritten: bool) -> Link:
    chain, sequence, digest, prev, code = stated
    of_hash, of_prev = bytes.fromhex(digest), bytes.fromhex(prev)
    return Link(chain, sequence, of_hash, of_prev, code, event, genuine, rewritten)


def _has_hash(event: Event | None, digest: str) -> bool:
    if event is None:
        return False
    ours = event["unmapped"]["sealgate"]
    integrity = {key: value for key, value in ours["integrity"].items() if key != "hash"}
    unmapped = {**event["unmapped"], "sealgate": {**ours, "integrity": integrity}}
    try:
        canonical = rfc8785.dumps({**event, "unmapped": unmapped})
    except (rfc8785.CanonicalizationError, RecursionError):
        return False
    return sha256(canonical).hexdigest() == digest
