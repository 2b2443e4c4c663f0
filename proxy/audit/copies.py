"""Copies of the log that a receiver has kept (a SIEM's export), as something to hold the log against. [io]

A copy is JSON lines, any part of the log in any order. What stands around an event does not matter: a line of syslog before
it, an object of Splunk's (`result`, `event`, `_raw`) or Elastic's (`_source`, `event.original`) around it, fields beside its
own. An event of a copy counts only if its content has the hash that it states.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from proxy.audit.chain import HASH_BYTES
from proxy.audit.link import Link, link_of, strict
from proxy.audit.reading import LogLine, lines

_DEEPEST: Final = 6
_MOST_VALUES: Final = 500
_MARK: Final = "integrity"


class Copied:
    """The events of one chain that copies have: number and hash, 41 bytes each. `find` marks them as seen."""

    def __init__(self) -> None:
        self._numbers = array("Q")
        self._hashes = bytearray()
        self._seen = bytearray()
        self._next = 0
        self._sorted = True

    def add(self, sequence: int, digest: bytes) -> None:
        if self._numbers and sequence <= self._numbers[-1]:
            self._sorted = False
        self._numbers.append(sequence)
        self._hashes += digest

    def sort(self) -> None:
        """Before the first `find`."""
        numbers, hashes = self._numbers, self._hashes
        if not self._sorted:
            order = sorted(range(len(numbers)), key=numbers.__getitem__)
            self._numbers = array("Q", (numbers[at] for at in order))
            self._hashes = bytearray()
            for at in order:
                self._hashes += hashes[HASH_BYTES * at : HASH_BYTES * at + HASH_BYTES]
        self._seen = bytearray(len(self._numbers))

    def find(self, sequence: int) -> list[bytes]:
        """The hashes that copies have of this event: none, one, or several if copies disagree."""
        numbers, at = self._numbers, self._next
        if at >= len(numbers) or numbers[at] != sequence:
            at = bisect_left(numbers, sequence)
        found: list[bytes] = []
        while at < len(numbers) and numbers[at] == sequence:
            digest = bytes(self._hashes[HASH_BYTES * at : HASH_BYTES * at + HASH_BYTES])
            if digest not in found:
                found.append(digest)
            self._seen[at] = 1
            at += 1
        self._next = at
        return found

    def unseen(self) -> Iterator[tuple[int, int]]:
        """Ranges of events that copies have and nobody asked for, as (first, last)."""
        first = last = 0
        for at, number in enumerate(self._numbers):
            if self._seen[at]:
                continue
            if first and number > last + 1:
                yield first, last
                first = 0
            first, last = first or number, number
        if first:
            yield first, last

    def __len__(self) -> int:
        return len(self._numbers)

    @property
    def newest(self) -> int:
        return self._numbers[-1] if self._numbers else 0


class Copies:
    """What the files hold: `events` that can be used, by chain.

    `altered` counts lines with an event that has not the hash it states, `damaged` those that cannot be read, `useless` those
    with no event of a chain.
    """

    def __init__(self, files: Sequence[Path]) -> None:
        self.chains: dict[str, Copied] = {}
        self.altered = self.damaged = self.useless = 0
        self.first_altered: LogLine | None = None
        self.first_damaged: LogLine | None = None
        self.events = 0
        for file in files:
            for line in lines([file]):
                self._take(line)
        for copied in self.chains.values():
            copied.sort()

    def _take(self, line: LogLine) -> None:
        links = [] if line.damage and not line.raw else list(links_in(line.raw))
        for found in links:
            if found.genuine:
                self.events += 1
                self.chains.setdefault(found.chain, Copied()).add(found.sequence, found.hash)
            else:
                self.altered += 1
                self.first_altered = self.first_altered or line
        if not links and line.damage:
            self.damaged += 1
            self.first_damaged = self.first_damaged or line
        elif not links and line.raw.strip():
            self.useless += 1


def links_in(raw: bytes) -> Iterator[Link]:
    """The events of a chain in a line of a copy."""
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        return
    value = _value(text)
    if value is None and "{" in text:
        value = _value(text[text.index("{") :])
    if value is not None:
        yield from _within(value)


def _value(text: str) -> Any:
    try:
        return strict(text)
    except ValueError:
        return None


def _within(value: Any) -> Iterator[Link]:
    """Looks at objects and texts in objects until it finds events; those are not looked into."""
    waiting = [(value, _DEEPEST)]
    looked = 0
    while waiting and looked < _MOST_VALUES:
        looked += 1
        one, deep = waiting.pop()
        if isinstance(one, str) and deep and _MARK in one and "{" in one:
            waiting.append((_value(one[one.index("{") :]), deep - 1))
        elif isinstance(one, dict):
            found = link_of(one)
            if found is not None:
                yield found
            elif deep:
                waiting += [(inner, deep - 1) for inner in one.values()]
        elif isinstance(one, list) and deep:
            waiting += [(inner, deep - 1) for inner in one[:_MOST_VALUES]]
