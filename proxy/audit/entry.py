"""An event in the form in which the log writes it: JSON, but for what the log itself adds."""

from __future__ import annotations

from typing import Final, final

import orjson

from proxy.audit.ocsf import Event
from proxy.audit.text import NAME_CAP, clean

_METADATA: Final = b'"metadata":{'


@final
class Entry:
    """`head` is the event's JSON behind its first brace, up to and with the brace of its metadata; `rest` is what follows.

    The log puts what it adds in front of both, and ends the line.
    """

    __slots__ = ("head", "rest")

    def __init__(self, head: bytes, rest: bytes) -> None:
        self.head = head
        self.rest = rest

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Entry) and self.head == other.head and self.rest == other.rest

    @property
    def size(self) -> int:
        """Bytes, without what is added."""
        return len(self.head) + len(self.rest) + 2

    @property
    def event(self) -> Event:
        """For whoever wants to look into it; the log does not."""
        read: Event = orjson.loads(b"{%b%b" % (self.head, self.rest))
        return read


def encode(event: Event) -> Entry:
    """Raises orjson.JSONEncodeError (a TypeError) if it is not JSON."""
    return Entry(*cut(orjson.dumps(event)))


def cut(event: bytes) -> tuple[bytes, bytes]:
    """An event's JSON as an `Entry` has it."""
    # The first such key is the event's own: builders put metadata before what is nested. In a string its quotes
    # would be escaped.
    end = event.index(_METADATA) + len(_METADATA)
    return event[1:end], event[end:]


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
