"""An event in the form in which the log writes it: canonical JSON (RFC 8785), but for what the log itself adds."""

from __future__ import annotations

import re
from typing import Any, Final, final

import orjson

from proxy.audit.ocsf import Event
from proxy.audit.text import NAME_CAP, clean
from proxy.audit.values import ACK

AS_CONFIGURED: Final = -1
"""What the log does with every event."""

Pieces = tuple[bytes, bytes, bytes, bytes, bytes]

SLOT: Final = "\0"
"""Stands where something is filled in: no text that was cleaned has a NUL."""
SLOT_JSON: Final = b'"\\u0000"'
_CANONICAL: Final = orjson.OPT_SORT_KEYS | orjson.OPT_STRICT_INTEGER
_perhaps_a_float: Final = re.compile(rb"[:,\[]-?[0-9]+[.eE]").search
_DEEPEST: Final = 32


@final
class Entry:
    """`pieces` are the event's canonical JSON cut where the log fills in what it alone knows:

        pieces[0] "<source>" pieces[1] <sequence>,"uid":"<ulid>" pieces[2] <time> pieces[3] {"chain":…} pieces[4]

    They end `"log_source":`, `"sequence":`, `"time":` and `"integrity":`. `cells` are the ids for the side file, 8 bytes
    each, if the event has a `cell_ids_file`. `mode`: what has to have happened before rows are released.
    """

    __slots__ = ("cells", "mode", "pieces")

    def __init__(self, pieces: Pieces, cells: bytes = b"", mode: int = ACK) -> None:
        self.pieces = pieces
        self.cells = cells
        self.mode = mode

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, Entry)
            and self.pieces == other.pieces
            and self.cells == other.cells
            and self.mode == other.mode
        )

    @property
    def size(self) -> int:
        """Bytes of the line, without what is added."""
        p0, p1, p2, p3, p4 = self.pieces
        return len(p0) + len(p1) + len(p2) + len(p3) + len(p4)

    @property
    def event(self) -> Event:
        """For whoever wants to look into it; the log does not. Without what the log adds."""
        p0, p1, p2, p3, p4 = self.pieces
        read: Event = orjson.loads(
            b"".join((p0, b'""', p1, b'0,"uid":""', p2, b"0", p3, b"{}", p4))
        )
        for added in ("log_source", "sequence", "uid"):
            del read["metadata"][added]
        del read["time"]
        ours = read["unmapped"]["sealgate"]
        del ours["integrity"]
        return read


def encode(event: Event, mode: int = AS_CONFIGURED) -> Entry:
    """Raises orjson.JSONEncodeError (a TypeError) if it is not JSON, or has a number that canonical JSON would not keep."""
    return Entry(cut(slotted(event)), b"", mode)


def slotted(event: Event) -> Event:
    """A copy of the event that has a place for each thing that the log adds."""
    unmapped = event.get("unmapped", {})
    ours = {**unmapped.get("sealgate", {}), "integrity": SLOT}
    metadata = {**event["metadata"], "log_source": SLOT, "sequence": SLOT}
    return {
        **event,
        "metadata": metadata,
        "time": SLOT,
        "unmapped": {**unmapped, "sealgate": ours},
    }


def canonical(value: Any) -> bytes:
    """RFC 8785 for values whose keys are ASCII, without floats. Raises orjson.JSONEncodeError for others.

    orjson escapes strings as RFC 8785 does, and sorts keys by their bytes: for ASCII that is by UTF-16 code units. Integers
    beyond 2^53 would be floats to some; it refuses them.
    """
    text = orjson.dumps(value, option=_CANONICAL)
    if not text.isascii() or _perhaps_a_float(text):
        _check(value, _DEEPEST)
    return text


def cut(event: Event) -> Pieces:
    """A slotted event (`slotted`) as an `Entry` has it."""
    pieces = canonical(event).split(SLOT_JSON)
    if len(pieces) != 5:
        raise orjson.JSONEncodeError("a text in the event is not clean")
    return pieces[0], pieces[1], pieces[2], pieces[3], pieces[4]


def _check(value: object, deep: int) -> None:
    """Floats have as many forms as there are libraries."""
    if isinstance(value, dict):
        for key, inner in value.items():
            if not (isinstance(key, str) and key.isascii() and deep):
                raise orjson.JSONEncodeError("a key is not a short ASCII string")
            _check(inner, deep - 1)
    elif isinstance(value, (list, tuple)):
        if not deep:
            raise orjson.JSONEncodeError("too deep")
        for inner in value:
            _check(inner, deep - 1)
    elif isinstance(value, float):
        raise orjson.JSONEncodeError("a number has no canonical form")


def quoted_json(text: str) -> bytes:
    """The text as a JSON string."""
    return orjson.dumps(text)


def uid_json(uid: str) -> bytes:
    """The uid of a session or an execution, as a JSON string. Ours are letters, digits and hyphens: nothing to clean."""
    raw = uid.encode("ascii", "replace")
    plain = len(raw) <= NAME_CAP
    for byte in raw:
        plain = plain and (0x61 <= byte <= 0x7A or 0x30 <= byte <= 0x39 or byte == 0x2D)
    return b'"%b"' % raw if plain else quoted_json(clean(uid))


def decimal(number: int) -> bytes:
    """A count, 0 or more, as JSON."""
    return _DECIMALS[number] if number < _SMALL else b"%d" % number


_SMALL: Final = 256
_DECIMALS: Final = tuple([b"%d" % number for number in range(_SMALL)])
