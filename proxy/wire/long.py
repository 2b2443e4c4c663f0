"""Bytes by the hundred megabytes, cut and converted in steps.

Python's interpreter lets another thread run between two operations, not within one: a slice of 200 MB keeps the event
loop waiting for 130 ms although it is made in a thread of its own (`proxy.turns`). So it is made of short ones, which
`b"".join` puts together without holding the interpreter's lock.

This file is not to be compiled: compiled loops do not let other threads run.
"""

from __future__ import annotations

from binascii import unhexlify
from typing import Final

STEP: Final = 1 << 18
"""Bytes; copied in some 0.1 ms."""
LONG_COPY: Final = 4 << 20
"""Up to here one operation will do: 2 or 3 ms."""


def cut(data: bytes, start: int, stop: int) -> bytes:
    """data[start:stop]."""
    if stop - start <= LONG_COPY or (start == 0 and stop == len(data)):
        return data[start:stop]
    return joined([data[at : min(at + STEP, stop)] for at in range(start, stop, STEP)])


def let_others_run() -> None:
    """To be called by compiled code between things that take long, giving back a big value's memory (20 ms for 200 MB) too:
    the interpreter looks whether another thread waits whenever it begins a function, and this is one.
    """


def unhexed(data: bytes, start: int) -> bytes:
    """The bytes that data[start:] spells in hexadecimal. Raises ValueError for what is none."""
    size = len(data)
    if size - start <= LONG_COPY:
        return unhexlify(data[start:])
    if (size - start) % 2:
        raise ValueError("odd number of digits")
    return joined([unhexlify(data[at : at + STEP]) for at in range(start, size, STEP)])


def joined(pieces: list[bytes]) -> bytes:
    """The pieces put together; the list is empty afterwards. Memory is given back in steps, too: that takes as long."""
    whole = b"".join(pieces)
    while pieces:
        pieces.pop()
    return whole
