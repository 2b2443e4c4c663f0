"""Prepared statements and portals by name, as the client has announced them.

A client may use a name before the server has confirmed it (pipelining), so names are set when the client
sends Parse or Bind and taken back when the server turns out to have refused or discarded that message.
Each change returns an `Undo` for that; undoing an older change under a newer one leaves the newer in place.

The server is the authority on whether a name exists. An entry that it has dropped meanwhile (DEALLOCATE,
end of transaction) does no harm: using it draws the server's own error.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar

from proxy.execution import Execution
from proxy.inflight import Undo
from proxy.shape import Shape
from proxy.snapshot import Snapshot
from proxy.sql.lexer import Stripped
from proxy.sql.plan import StatementPlan


@dataclass(slots=True, eq=False)
class Prepared:
    """A prepared statement: its plan, what the client declared, and its shape once the server has described it."""

    plan: StatementPlan | None
    stripped: Stripped
    snapshot: Snapshot
    declared: tuple[int, ...]
    """Parameter type OIDs of the client's Parse; 0 or absent: not declared."""
    described: bool = False
    """The client asked for a description: `shape` is there before any row is."""
    shape: Shape | None = None


@dataclass(slots=True, eq=False)
class Portal:
    """A bound statement. `prepared` is None for a statement that did not come through Parse (SQL PREPARE)."""

    prepared: Prepared | None
    result_formats: tuple[int, ...]
    sealed: dict[str, int]
    """Cells that Bind sealed, by column."""
    described: bool = False
    shape: Shape | None = None
    """With the portal's own formats, from Describe Portal."""
    execution: Execution | None = None


T = TypeVar("T")


class _Change(Generic[T]):
    __slots__ = ("older", "value")

    def __init__(self, value: T | None, older: _Change[T] | None) -> None:
        self.value = value
        self.older = older


class Names(Generic[T]):
    """One namespace. A name's changes are a chain until the server has confirmed them."""

    __slots__ = ("_newest",)

    def __init__(self) -> None:
        self._newest: dict[bytes, _Change[T]] = {}

    def get(self, name: bytes) -> T | None:
        change = self._newest.get(name)
        return change.value if change is not None else None

    def set(self, name: bytes, value: T | None) -> Undo:
        """Announce `value` under `name` (None: closed); the result takes it back."""
        change = _Change(value, self._newest.get(name))
        self._newest[name] = change
        return lambda: self._take_back(name, change)

    def confirm(self, name: bytes) -> None:
        """Nothing is in flight any more: forget what older announcements were."""
        change = self._newest.get(name)
        if change is not None:
            change.older = None
            if change.value is None:
                del self._newest[name]

    def confirm_all(self) -> None:
        for name in list(self._newest):
            self.confirm(name)

    def clear(self) -> None:
        self._newest.clear()

    def __len__(self) -> int:
        return len(self._newest)

    def _take_back(self, name: bytes, change: _Change[T]) -> None:
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
