"""Valid sessions made invalid: a case is a session, a role and a list of operations, and shrinks by leaving some out.

Operations on whole messages leave what is inside them as the corpus has it; operations on bytes do not.
"""

from __future__ import annotations

import random
import struct
from collections.abc import Callable
from dataclasses import dataclass, replace

Operation = tuple[str, int, int]
"""What, where (modulo the length), how much."""
LOGINS = ("shop_app", "support", "analyst")
ON_MESSAGES = ("drop", "repeat", "swap", "move", "sync", "flush", "cut off")
ON_BYTES = ("flip", "delete", "insert", "length", "type", "copy", "truncate")
TYPES = b"QPBDECSHFXdcfpRTZ123nsItKNAWGVv\0\xff"


@dataclass(frozen=True, slots=True)
class Case:
    """`how`: in which pieces the client's bytes arrive: "whole", "messages", "late" (messages, and what the server says
    comes when it likes) or the most bytes of a piece.
    """

    session: str
    login: str
    operations: tuple[Operation, ...]
    how: str

    def messages(self, session: tuple[bytes, ...]) -> list[bytes]:
        """The client's bytes, in one element where bytes were changed."""
        found = list(session)
        for operation in self.operations:
            if operation[0] in ON_MESSAGES:
                _on_messages(found, *operation)
        changes = [operation for operation in self.operations if operation[0] in ON_BYTES]
        if not changes:
            return found
        data = bytearray(b"".join(found))
        for operation in changes:
            on_bytes(data, *operation)
        return [bytes(data)]

    @property
    def intact(self) -> bool:
        """Every message is one of the session's."""
        return all(kind in ON_MESSAGES for kind, _, _ in self.operations)


def _on_messages(found: list[bytes], kind: str, where: int, much: int) -> None:
    if not found:
        return
    at, other = where % len(found), much % len(found)
    if kind == "drop":
        del found[at]
    elif kind == "repeat":
        found[at:at] = [found[at]] * (1 + much % 3)
    elif kind == "swap":
        found[at], found[other] = found[other], found[at]
    elif kind == "move":
        found.insert(other, found.pop(at))
    elif kind == "sync":
        found.insert(at, b"S\0\0\0\4")
    elif kind == "flush":
        found.insert(at, b"H\0\0\0\4")
    elif kind == "cut off":
        del found[at:]


def on_bytes(data: bytearray, kind: str, where: int, much: int) -> None:
    if not data:
        return
    at = where % len(data)
    if kind == "flip":
        data[at] ^= 1 + much % 255
    elif kind == "delete":
        del data[at : at + 1 + much % 12]
    elif kind == "insert":
        data[at:at] = random.Random(much).randbytes(1 + much % 12)
    elif kind == "length":
        at = _some_header(data, where)
        data[at + 1 : at + 5] = struct.pack("!I", much & 0xFFFFFFFF)
    elif kind == "type":
        data[_some_header(data, where)] = TYPES[much % len(TYPES)]
    elif kind == "copy":
        data[at:at] = data[much % len(data) : much % len(data) + 40]
    elif kind == "truncate":
        del data[at:]


def _some_header(data: bytearray, where: int) -> int:
    """Where one of the messages begins."""
    starts = []
    position = 0
    while position + 5 <= len(data):
        starts.append(position)
        (length,) = struct.unpack_from("!I", data, position + 1)
        if length < 4:
            break
        position += 1 + length
    return starts[where % len(starts)] if starts else 0


def operation(rng: random.Random, kinds: tuple[str, ...]) -> Operation:
    much = rng.choice((rng.randrange(64), rng.randrange(1 << 32), 0xFFFFFFFF, 0x80000000, 3, 4))
    return rng.choice(kinds), rng.randrange(1 << 16), much


def case(rng: random.Random, sessions: dict[str, tuple[bytes, ...]]) -> Case:
    kinds = ON_MESSAGES if rng.random() < 0.6 else ON_MESSAGES + ON_BYTES * 2
    count = rng.choice((1, 1, 2, 3, 5))
    return Case(
        rng.choice(sorted(sessions)),
        rng.choice(LOGINS),
        tuple(operation(rng, kinds) for _ in range(count)),
        rng.choice(("whole", "messages", "messages", "late", "late", "1", "7", "60")),
    )


def shrunk(failing: Case, fails: Callable[[Case], bool]) -> Case:
    """A case that still fails with as few operations as leaving out finds, and in the plainest pieces."""
    again = True
    while again:
        again = False
        for i in range(len(failing.operations)):
            operations = failing.operations[:i] + failing.operations[i + 1 :]
            smaller = replace(failing, operations=operations)
            if fails(smaller):
                failing, again = smaller, True
                break
    for how in ("late", "messages", "whole"):
        if failing.how != how and fails(replace(failing, how=how)):
            failing = replace(failing, how=how)
    return failing
