"""Prepared statements and portals by name, as the client has announced them.

A client may use a name before the server has confirmed it (pipelining), so names are set when the client
sends Parse or Bind and taken back when the server turns out to have refused or discarded that message.
Each announcement is a `Change`; undoing an older one under a newer leaves the newer in place.

The server is the authority on whether a name exists. An entry that it has dropped meanwhile (end of transaction)
does no harm: using it draws the server's own error. Drivers that drop statements by SQL do so without end, so
DEALLOCATE and DISCARD ALL are followed (`deallocated`); announcements that the server has not seen yet stay.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from typing import Final, Generic, TypeVar

from proxy.edited import Edited
from proxy.execution import Execution
from proxy.shape import Shape
from proxy.sql.lexer import Stripped
from proxy.sql.plan import StatementPlan


@dataclass(slots=True, eq=False)
class Prepared:
    """A prepared statement: its plan, what the client declared, and its shape once the server has described it."""

    plan: StatementPlan | None
    stripped: Stripped
    declared: tuple[int, ...]
    """Parameter type OIDs of the client's Parse; 0 or absent: not declared."""
    sealed: Counter[str] = field(default_factory=Counter)
    """Cells that its literals seal in each execution, by column."""
    edited: Edited | None = None
    """What was sent, if it is not what the client wrote."""
    described: bool = False
    """The client asked for a description: `shape` is there before any row is."""
    shape: Shape | None = None

    def declared_type(self, number: int) -> int:
        """The type OID the client declared for parameter `number` (from 1), 0 if it left that to the server."""
        return self.declared[number - 1] if number <= len(self.declared) else 0


@dataclass(slots=True, eq=False)
class Portal:
    """A bound statement. `prepared` is None for a statement that did not come through Parse (SQL PREPARE)."""

    prepared: Prepared | None
    result_formats: tuple[int, ...] = ()
    sealed: Counter[str] = field(default_factory=Counter)
    """Cells that Bind and the statement's literals sealed, by column."""
    described: bool = False
    shape: Shape | None = None
    """With the portal's own formats, from Describe Portal."""
    execution: Execution | None = None


T = TypeVar("T")


class Change(Generic[T]):
    """One announcement of a name, until the server has confirmed (`keep`) or refused it (`undo`)."""

    __slots__ = ("_name", "_names", "confirmed", "older", "value")

    def __init__(
        self, names: Names[T], name: bytes, value: T | None, older: Change[T] | None
    ) -> None:
        self._names = names
        self._name = name
        self.value = value
        self.older = older
        self.confirmed = False

    def keep(self) -> None:
        """The server has answered the message: what the name meant before is history."""
        self.confirmed = True
        self.older = None
        if self.value is None:
            self._names.forget(self._name, self)

    def undo(self) -> None:
        """The server did not act on the message: the name means what it meant before."""
        self._names.take_back(self._name, self)


class Names(Generic[T]):
    """One namespace: a name's unconfirmed changes are a chain, newest first."""

    __slots__ = ("_newest",)

    def __init__(self) -> None:
        self._newest: dict[bytes, Change[T]] = {}

    def get(self, name: bytes) -> T | None:
        change = self._newest.get(name)
        return change.value if change is not None else None

    def set(self, name: bytes, value: T | None) -> Change[T]:
        """Announce `value` under `name` (None: closed)."""
        change = Change(self, name, value, self._newest.get(name))
        self._newest[name] = change
        return change

    def clear(self) -> None:
        self._newest.clear()

    def dropped(self, name: bytes) -> None:
        """The server knows the name no more; what is announced and not confirmed comes after that."""
        newest = change = self._newest.get(name)
        if newest is not None and newest.confirmed:
            del self._newest[name]
        while change is not None:
            if change.older is not None and change.older.confirmed:
                change.older = None
            change = change.older

    def all_dropped(self) -> None:
        for name in list(self._newest):
            self.dropped(name)

    def __len__(self) -> int:
        return len(self._newest)

    def forget(self, name: bytes, change: Change[T]) -> None:
        if self._newest.get(name) is change:
            del self._newest[name]

    def take_back(self, name: bytes, change: Change[T]) -> None:
        newest = self._newest.get(name)
        if newest is change:
            if change.older is None:
                del self._newest[name]
            else:
                self._newest[name] = change.older
            return
        while newest is not None and newest.older is not change:
            newest = newest.older
        if newest is not None:
            newest.older = change.older


_DEALLOCATE: Final = re.compile(
    r'\s*deallocate\s+(?:prepare\s+)?(?:([a-z_][a-z0-9_$]*)|"((?:[^"]|"")+)")\s*;?\s*\Z',
    re.IGNORECASE | re.ASCII,
)


def deallocated(names: Names[Prepared], tag: bytes, statement: str) -> None:
    """A statement that drops prepared statements has completed. A spelling that is not known drops nothing here."""
    if tag in (b"DEALLOCATE ALL", b"DISCARD ALL"):
        names.all_dropped()
    elif tag == b"DEALLOCATE" and (found := _DEALLOCATE.match(statement)) is not None:
        bare, quoted = found.groups()
        name = bare.lower() if bare else quoted.replace('""', '"')
        names.dropped(name.encode())
