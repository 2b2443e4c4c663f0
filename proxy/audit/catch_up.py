"""What is in the log's file behind the head: taken in where it is the chain's own, told of where it is not. [io]

A process that is killed between its write and the head leaves whole lines that nobody has counted, or a torn one. A
power failure leaves a head of some seconds ago. Both are the same: from the last position that is certain, every line that
has the next number, the hash before it as its `prev` and its own hash right is one of ours; the seal goes on over it.

Whatever else stands there was written by somebody else, or altered. It stays where it is, and is counted.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any, Final, NamedTuple

import orjson

from proxy.audit.chain import aggregate, evolve, hash_of
from proxy.audit.entry import canonical
from proxy.audit.head import Position
from proxy.audit.log_file import LINE_LIMIT

_BEGINNING: Final = b'{"act'
"""Every event's: its first member is action_id or activity_id."""
_READ: Final = 1 << 20


class Line(NamedTuple):
    """`raw` without its newline. `whole`: it has one. Of a line that is longer than any event, `raw` is b""."""

    offset: int
    raw: bytes
    whole: bool


class Behind(NamedTuple):
    """`torn`: (offset, size) of lines that a crash has left and no event tells of; `foreign`: lines that are not ours.

    `ended`: the file ends with a newline.
    """

    taken: int
    torn: list[tuple[int, int]]
    foreign: int
    ended: bool


def lines(fd: int, start: int, size: int) -> Iterator[Line]:
    """From `start`, where one begins. No more than a line is held."""
    buffer, offset, overlong = b"", start, False
    while start < size:
        data = os.pread(fd, min(_READ, size - start), start)
        if not data:
            break
        start += len(data)
        *whole, rest = (buffer + data).split(b"\n")
        for raw in whole:
            yield Line(offset, b"", whole=False) if overlong else Line(offset, raw, whole=True)
            offset += len(raw) + 1
            overlong = False
        buffer = rest
        if len(buffer) > LINE_LIMIT:
            offset += len(buffer)
            buffer, overlong = b"", True
    if buffer or overlong:
        yield Line(offset, buffer, whole=False)


def take_in(fd: int, position: Position, size: int, chain: str) -> Behind:
    """Moves `position` on over what is the chain's own behind it, and to the end of the file, which has `size` bytes."""
    torn: dict[int, int] = {}
    told: set[object] = set()
    taken = foreign = 0
    ended = True
    for line in lines(fd, position.offset, size):
        ended = line.whole
        event = parsed(line.raw)
        ours = event is not None and follows(event, position, chain)
        if ours and event is not None:
            taken += 1
            told.add(_told_of(event))
        if (not line.whole and line.raw) or (
            event is None
            and line.raw
            and line.raw[: len(_BEGINNING)] == _BEGINNING[: len(line.raw)]
        ):
            torn[line.offset] = len(line.raw)
        elif not ours and (line.raw or not line.whole):
            foreign += 1
    position.offset = size
    return Behind(taken, [(at, n) for at, n in torn.items() if at not in told], foreign, ended)


def follows(event: dict[str, Any], position: Position, chain: str) -> bool:
    """Is it the chain's next event? Then `position` is at it."""
    try:
        metadata, integrity = event["metadata"], event["unmapped"]["sealgate"]["integrity"]
        claimed = bytes.fromhex(integrity["hash"])
        if (
            integrity["chain"] != chain
            or metadata["sequence"] != position.sequence + 1
            or integrity["prev"] != position.h.hex()
        ):
            return False
        found = hash_of(canonical(without_hash(event)), b"")
    except (LookupError, TypeError, ValueError, AttributeError):
        return False
    if found != claimed:
        return False
    position.sequence += 1
    position.h = found
    position.a = aggregate(position.k, position.a, found)
    position.k = evolve(position.k)
    moment = event.get("time")
    if isinstance(moment, int):
        position.time = max(position.time, min(moment, (1 << 48) - 1))
    if metadata.get("event_code") == "log.checkpoint":
        position.checkpoint = position.sequence
    return True


def without_hash(event: dict[str, Any]) -> dict[str, Any]:
    """The event whose canonical JSON is hashed."""
    ours = event["unmapped"]["sealgate"]
    integrity = {key: value for key, value in ours["integrity"].items() if key != "hash"}
    return {
        **event,
        "unmapped": {**event["unmapped"], "sealgate": {**ours, "integrity": integrity}},
    }


def ends_with(fd: int, end: int, position: Position, chain: str) -> bool:
    """Is the line that ends at `end` the chain's event at which `position` is, as it was written?"""
    start = max(0, end - LINE_LIMIT - 1)
    data = os.pread(fd, end - start, start)
    if len(data) < end - start or not data.endswith(b"\n"):
        return False
    event = parsed(data[data.rfind(b"\n", 0, -1) + 1 : -1])
    try:
        return (
            event is not None
            and event["unmapped"]["sealgate"]["integrity"]["chain"] == chain
            and event["metadata"]["sequence"] == position.sequence
            and hash_of(canonical(without_hash(event)), b"") == position.h
        )
    except (LookupError, TypeError, AttributeError):
        return False


def last_of(fd: int, size: int) -> tuple[str, int, str]:
    """(chain, sequence, hash) of the last event in the file's first `size` bytes that is in a chain; ("", 0, "") if none."""
    start = max(0, size - 2 * LINE_LIMIT)
    data = os.pread(fd, size - start, start)
    end = len(data)
    while end > 0:
        begins = data.rfind(b"\n", 0, end - 1) + 1
        if begins == 0 and start > 0:
            break
        event = parsed(data[begins:end].rstrip(b"\n"))
        if event is not None:
            try:
                integrity = event["unmapped"]["sealgate"]["integrity"]
                chain, sequence = integrity["chain"], event["metadata"]["sequence"]
                if isinstance(chain, str) and isinstance(sequence, int):
                    return chain, sequence, str(integrity["hash"])
            except (LookupError, TypeError):
                pass
        end = begins
    return "", 0, ""


def parsed(line: bytes) -> dict[str, Any] | None:
    try:
        event = orjson.loads(line)
    except orjson.JSONDecodeError:
        return None
    return event if isinstance(event, dict) else None


def _told_of(event: dict[str, Any]) -> object:
    """Where the torn line is that this event tells of; None: of none."""
    try:
        if event["metadata"]["event_code"] == "log.repaired":
            return event["unmapped"]["sealgate"]["offset"]
    except (LookupError, TypeError):
        pass
    return None
