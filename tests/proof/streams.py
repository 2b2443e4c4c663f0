"""What was said, compared byte for byte.

What the client receives through the proxy must be what it receives from the server. Normalised, because two servers
cannot agree on it, and nothing else:

- BackendKeyData: process id and cancel key (its length stays).
- NotificationResponse: the process id, where it is the session's own.

What the server receives through the proxy must be what it receives from the client. The documented differences:

- A Describe of the portal that the proxy puts before an Execute nobody asked the description for: what a row may carry
  (a view, a function may return sealed values) is known by its description only. Its answer does not reach the client.
- What the client sends between an error and its Sync, once the proxy has seen the error: the server discards it
  unread, and the proxy does not send it.
- CopyData that no copy takes (the copy has failed; the client has not read that yet): read over by the server too.
- The values of a Bind for a statement that neither knows, and the text of a Query with a NUL in it: the server refuses
  both without a look at them.
- A question of the proxy's own under the name `sealgate_inquiry`, where a pipeline changes what the next statement
  depends on (`proxy.inquiry`).
- The error of an added Describe (the portal does not exist, the transaction has failed) is the one Execute would draw,
  except for the place in the server's source: fields F, L and R.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from proxy.wire.framing import HEADER_SIZE, LENGTH

Message = tuple[str, bytes]


@dataclass(frozen=True, slots=True)
class Session:
    """One connection: what the client heard, what the server was sent, and what the server said."""

    heard: bytes
    sent: bytes
    said: bytes
    ending: str


def messages(data: bytes) -> list[Message]:
    """Whole messages; a rest that is none comes last under the type "rest"."""
    found: list[Message] = []
    position = 0
    while position < len(data):
        end = 0
        if len(data) >= position + HEADER_SIZE:
            end = position + 1 + LENGTH.unpack_from(data, position + 1)[0]
        if not position + HEADER_SIZE <= end <= len(data):
            found.append(("rest", data[position:]))
            break
        found.append((chr(data[position]), data[position + HEADER_SIZE : end]))
        position = end
    return found


def without_startup(data: bytes) -> tuple[bytes, list[Message]]:
    """The startup packet, and the messages behind it."""
    length = LENGTH.unpack_from(data)[0] if len(data) >= 4 else len(data)
    return data[:length], messages(data[length:])


def normalised(data: bytes) -> list[Message]:
    """The server's messages without process ids and keys."""
    own = b""
    found = []
    for kind, body in messages(data):
        if kind == "K":
            own, body = body[:4], b"\0" * len(body)
        if kind == "A" and body[:4] == own:
            body = b"\0\0\0\0" + body[4:]
        found.append((kind, body))
    return found


def compare(direct: Session, through: Session) -> None:
    """Raises AssertionError at the first difference."""
    assert through.ending == direct.ending
    heard = normalised(direct.heard)
    _equal(heard, normalised(through.heard), "the client received")
    asked, passed = without_startup(direct.sent), without_startup(through.sent)
    assert passed[0] == asked[0], "the startup packet"
    if heard and heard[-1][0] == "E":
        # The server has closed: whether the client's farewell still gets there is a race.
        asked, passed = (asked[0], farewell(asked[1])), (passed[0], farewell(passed[1]))
    errors = sum(kind == "E" for kind, _ in heard)
    _equal(asked[1], as_asked(asked[1], passed[1], errors), "the server received")


def _equal(expected: list[Message], found: list[Message], who: str) -> None:
    for i, (one, other) in enumerate(zip(expected, found, strict=False)):
        if one != other and not _same_error(one, other):
            raise AssertionError(
                f"{who}: message {i} of {len(expected)}: expected {shown(one)}, got {shown(other)}; "
                f"types {kinds(expected)} and {kinds(found)}"
            )
    assert len(expected) == len(found), f"{who}: {kinds(expected)} became {kinds(found)}"


def as_asked(asked: list[Message], passed: list[Message], errors: int) -> list[Message]:
    """`passed` without what the proxy added, and with what it left out because the server had failed."""
    found: list[Message] = []
    at = 0
    for i, one in enumerate(asked):
        at = _behind_added(one, passed, at)
        if at < len(passed) and (passed[at] == one or _without_values(one, passed[at])):
            found.append(one)
            at += 1
        elif one[0] == "d" or (errors and one[0] in DISCARDED and _until_sync(asked, i)):
            found.append(one)
        else:
            break
    return found + passed[at:]


DISCARDED: Final = frozenset("PBDECHQFdcf")
"""Types that the server reads over between an error and Sync."""
INQUIRY: Final = b"sealgate_inquiry"


def _behind_added(wanted: Message, passed: list[Message], at: int) -> int:
    """Step over what the proxy put before `wanted`: a Describe of the portal, or a question of its own."""
    here = at
    while here < len(passed) and INQUIRY in passed[here][1]:
        here += 1
    if here > at and here < len(passed) and passed[here][0] in "HS":
        at = here + 1
    if wanted[0] == "E" and at < len(passed) and passed[at] == ("D", b"P" + wanted[1][:-4]):
        return at + 1
    return at


def _without_values(one: Message, other: Message) -> bool:
    """A Bind, and the same names without a value; a Query that the server cannot take, and one as bad."""
    if one[0] == other[0] == "Q":
        return (
            other[1] == (b"\0\0" if b"\0" in one[1] else b"") and one[1].find(0) != len(one[1]) - 1
        )
    if one[0] != "B" or other[0] != "B":
        return False
    names = other[1].split(b"\0")[:2]
    return other[1].startswith(b"\0".join((*names, b"\0\0\0\0"))) and one[1].startswith(
        b"\0".join((*names, b""))
    )


def _until_sync(asked: list[Message], i: int) -> bool:
    return any(kind == "S" for kind, _ in asked[i:])


def farewell(found: list[Message]) -> list[Message]:
    return found[:-1] if found and found[-1][0] == "X" else found


def _same_error(one: Message, other: Message) -> bool:
    if one[0] != "E" or other[0] != "E":
        return False
    return _executed(one[1]) and _placeless(one[1]) == _placeless(other[1])


def _placeless(body: bytes) -> list[bytes]:
    return [field for field in body.split(b"\0") if field[:1] not in (b"F", b"L", b"R")]


def _executed(body: bytes) -> bool:
    return b"\0Rexec_execute_message\0" in body


def kinds(found: list[Message]) -> str:
    text = "".join(kind if len(kind) == 1 else "?" for kind, _ in found)
    return text if len(text) < 200 else f"{text[:90]}...{text[-90:]}"


def shown(one: Message) -> str:
    body = one[1]
    return f"{one[0]}:{len(body)}:{body[:300]!r}"


__all__ = ["Message", "Session", "compare", "kinds", "messages", "normalised"]
