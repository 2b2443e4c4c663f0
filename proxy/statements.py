"""Prepared statements and portals by name, as the client has announced them.

A client may use a name before the server has confirmed it (pipelining), so names are set when the client
sends Parse or Bind and taken back when the server turns out to have refused or discarded that message.
Each announcement is a `Change`; undoing an older one under a newer leaves the newer in place.

The server is the authority on whether a name exists. An entry that it has dropped meanwhile (end of transaction)
does no harm: using it draws the server's own error. Drivers that drop statements by SQL do so without end, so
DEALLOCATE and DISCARD ALL are followed (`proxy.naming.closed`); announcements that the server has not seen yet stay.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Generic, TypeVar

from proxy.edited import Edited
from proxy.execution import Execution
from proxy.pattern import Matchers
from proxy.shape import Shape
from proxy.snapshot import Snapshot
from proxy.sql.lexer import Stripped
from proxy.sql.named import Fetches
from proxy.sql.plan import StatementPlan
from proxy.tally import Sealed


@dataclass(frozen=True, slots=True)
class Source:
    """The text that a prepared statement was planned from, and what by: the server looks its names up anew when
    search_path or a table has changed (RevalidateCachedQuery in src/backend/utils/cache/plancache.c).
    """

    sql: str = field(repr=False)
    """Of the whole message."""
    ordinal: int
    """The statement in it."""
    statement: StatementPlan
    """With PREPARE around it, if that made it."""
    named: bool
    """It may depend on search_path."""
    snapshot: Snapshot = field(repr=False)
    search_path: tuple[str, ...] | None
    conforming: bool


@dataclass(slots=True, eq=False)
class Prepared:
    """A prepared statement: its plan, what the client declared, and its shape once the server has described it."""

    plan: StatementPlan | None
    stripped: Stripped
    declared: tuple[int, ...]
    """Parameter type OIDs of the client's Parse; 0 or absent: not declared."""
    sealed: Sealed = field(default_factory=dict)
    """Cells that its literals seal in each execution, by column."""
    edited: Edited | None = None
    """What was sent, if it is not what the client wrote."""
    described_in: int = -1
    """The unit (`Inflight.unit`) in which its description was asked for: rows that the same unit brings come behind it. Another
    unit's may come although the server has skipped that one.
    """
    shape: Shape | None = None
    runs: Prepared | None = None
    """For SQL's EXECUTE, sent by Parse: the statement that its arguments were sealed for."""
    source: Source | None = None
    """None: there is nothing in it to look up."""

    def shape_known(self, unit: int) -> bool:
        """`shape` is there before rows that are asked for in `unit`. Its description holds for every portal of it: not that of
        FETCH, whose cursor may be another by then.
        """
        return (self.shape is not None or self.described_in == unit) and not (
            self.plan is not None and isinstance(self.plan.named, Fetches)
        )

    def declared_type(self, number: int) -> int:
        """The type OID the client declared for parameter `number` (from 1), 0 if it left that to the server."""
        return self.declared[number - 1] if number <= len(self.declared) else 0


class Portal:
    """A bound statement. `prepared` is None where no Bind of that name is known: it may be one of SQL's cursors."""

    __slots__ = (
        "described_in",
        "execution",
        "limit",
        "matchers",
        "name",
        "prepared",
        "result_formats",
        "sealed",
        "shape",
    )

    def __init__(
        self,
        prepared: Prepared | None,
        name: bytes = b"",
        result_formats: tuple[int, ...] = (),
        sealed: Sealed | None = None,
    ) -> None:
        self.prepared = prepared
        self.name = name
        self.result_formats = result_formats
        self.sealed: Sealed = sealed if sealed is not None else {}
        """What Bind and the statement's literals sealed."""
        self.described_in = -1
        self.shape: Shape | None = None
        """With the portal's own formats, from Describe Portal."""
        self.execution: Execution | None = None
        self.matchers: Matchers | None = None
        """Of a statement whose rows are tested (`proxy.matching`)."""
        self.limit = -1
        """Rows that its one Execute asked for, if they are tested; 0: all, -1: there was none yet."""

    def shape_known(self, unit: int) -> bool:
        """`shape` is there before rows that are asked for in `unit`."""
        return self.shape is not None or self.described_in == unit


T = TypeVar("T")


class Change(Generic[T]):
    """One announcement of a name, until the server has confirmed (`keep`) or refused it (`undo`)."""

    __slots__ = ("_name", "_names", "confirmed", "older", "unit", "value")

    def __init__(
        self, names: Names[T], name: bytes, value: T | None, older: Change[T] | None, unit: int
    ) -> None:
        self._names = names
        self._name = name
        self.value = value
        self.older = older
        self.unit = unit
        """Of what the server does or leaves as a whole: a Query, the messages up to a Sync (`Inflight.unit`)."""
        self.confirmed = False

    def unsettled(self, unit: int) -> bool:
        """Its failure would leave an older meaning in place, and it is another unit's than this."""
        return not self.confirmed and self.unit != unit and self.older is not None

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

    __slots__ = ("_named", "_unnamed")

    def __init__(self) -> None:
        self._named: dict[bytes, Change[T]] = {}
        self._unnamed: Change[T] | None = None
        """That of b"", which most messages are about."""

    def newest(self, name: bytes) -> Change[T] | None:
        """What was announced last under the name, and is not history."""
        return self._named.get(name) if name else self._unnamed

    def _put(self, name: bytes, newest: Change[T] | None) -> None:
        if not name:
            self._unnamed = newest
        elif newest is not None:
            self._named[name] = newest
        else:
            del self._named[name]

    def known(self, name: bytes) -> bool:
        """Something was announced under the name, be it only that it is closed."""
        return self.newest(name) is not None

    def get(self, name: bytes) -> T | None:
        change = self.newest(name)
        return change.value if change is not None else None

    def settled(self, name: bytes) -> T | None:
        """What the name stands for as far as the server has answered."""
        change = self.newest(name)
        while change is not None and not change.confirmed:
            change = change.older
        return change.value if change is not None else None

    def set(self, name: bytes, value: T | None, unit: int = -1) -> Change[T]:
        """Announce `value` under `name` (None: closed)."""
        change = Change(self, name, value, self.newest(name), unit)
        self._put(name, change)
        return change

    def clear(self) -> None:
        self._unnamed = None
        if self._named:
            self._named.clear()

    def dropped(self, name: bytes) -> None:
        """The server knows the name no more; what is announced and not confirmed comes after that."""
        newest = change = self.newest(name)
        if newest is not None and newest.confirmed:
            self._put(name, None)
        while change is not None:
            if change.older is not None and change.older.confirmed:
                change.older = None
            change = change.older

    def all_dropped(self, *, unnamed: bool) -> None:
        """`unnamed`: also the one without a name."""
        for name in list(self._named):
            self.dropped(name)
        if unnamed:
            self.dropped(b"")

    def __len__(self) -> int:
        return len(self._named) + (self._unnamed is not None)

    def forget(self, name: bytes, change: Change[T]) -> None:
        if self.newest(name) is change:
            self._put(name, None)

    def take_back(self, name: bytes, change: Change[T]) -> None:
        newest = self.newest(name)
        if newest is change:
            self._put(name, change.older)
            return
        while newest is not None and newest.older is not change:
            newest = newest.older
        if newest is not None:
            newest.older = change.older
