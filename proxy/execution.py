"""One execution of one statement: what it released, and the events that say so.

Rows of a result that can carry sealed values are held until the result is complete or `HELD_BYTES` of it are
waiting, so that an ordinary result has exactly one event per table, written before its first row is released.
A longer result is released in parts; each part has its event, with the same execution uid and a part number.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from policy import Access
from proxy.audit.claims import claimed_json
from proxy.audit.event import Entry, Origin, Part, Protocol, Template
from proxy.audit.values import CELL_IDS_INLINE
from proxy.edited import Edited
from proxy.outline import Outline
from proxy.pattern import Matchers
from proxy.snapshot import Authority
from proxy.sql.lexer import Stripped
from proxy.sql.plan import Run, StatementPlan
from proxy.tally import NOTHING_SEALED, Sealed, Tally

__all__ = ["HELD_BYTES", "Execution", "SimpleQuery", "Tally", "recorded"]

HELD_BYTES: Final = 256 * 1024
"""Rows held back for one event; beyond it they are released in parts."""

# Bound here: compiled, they cost nothing.
_NOW: Final = Run.NOW
_LATER: Final = Run.LATER
_COMPARE: Final = Access.COMPARE
_PRESENCE: Final = Access.PRESENCE

_NOTHING_SEALED: Final = NOTHING_SEALED
_NO_IDS: Final[tuple[bytes, ...]] = ()
_ONE_BY_ONE: Final = ("INSERT", "COPY", "MERGE")
"""Commands of which each row that is done has one cell of a column at most."""
_MOST_ROWS: Final = 1 << 42
"""So that cells, of all the columns that a table can have, are numbers that every reader of JSON takes for what they are."""
_NO_MATCHERS: Final[Mapping[int, Matchers]] = MappingProxyType({})

if TYPE_CHECKING:
    from proxy.statements import Change


def recorded(plan: StatementPlan) -> bool:
    """Every execution of the statement is an event, whatever its result: it reads, compares or writes sealed columns.

    EXPLAIN without ANALYZE executes nothing, but its estimates answer comparisons.
    """
    touches = plan.touches
    if not touches or plan.run is _LATER:
        return False
    executes = plan.run is _NOW
    for touch in touches:
        access = touch.access
        if access is _COMPARE or (executes and access is not _PRESENCE):
            return True
    return False


class Execution:
    """Collects what one run of a statement does; `events` turns it into the access log's words."""

    __slots__ = (
        "_told",
        "authority",
        "held",
        "held_size",
        "part",
        "plan",
        "protocol",
        "rows",
        "sealed",
        "stripped",
        "tally",
        "uid",
    )

    def __init__(
        self,
        uid: str,
        plan: StatementPlan | None,
        stripped: Stripped | None,
        authority: Authority,
        protocol: Protocol,
        sealed: Sealed | None = None,
    ) -> None:
        self.uid = uid
        self.plan = plan
        if plan is not None and plan.recorded_as is not None:
            comment = stripped.comment if stripped is not None else ""
            stripped = Stripped(plan.recorded_as, (), comment)
        self.stripped = stripped
        self.authority = authority
        self.protocol: Protocol = protocol
        self.sealed: Sealed = sealed if sealed is not None else {}
        """What was sealed for this execution."""
        self.tally = Tally()
        """What `held` carries; another one for each part."""
        self.held: list[bytes] = []
        self.held_size = 0
        self.rows = 0
        self.part = 0
        self._told: Outline | None = None
        """That of the last event."""

    def hold(self, shown: bytes, rows: int) -> bool:
        """Keep CopyData of so many rows back, as the client is to see it; True when what is held should be released as a part."""
        self.held.append(shown)
        self.held_size += len(shown)
        self.rows += rows
        return self.held_size >= HELD_BYTES

    def release(self) -> bytes:
        """The rows held, once their event is on its way."""
        held = self.held
        rows = held[0] if len(held) == 1 else b"".join(held)
        held.clear()
        self.held_size = 0
        if self.tally.uses:
            self.tally.clear()
            self.tally = Tally()
        self.rows = 0
        return rows

    def events(
        self,
        origin: Origin,
        *,
        final: bool,
        sqlstate: str | None = None,
        affected: int | None = None,
        undone: bool = False,
        sent: bool = False,
    ) -> list[Entry]:
        """One event per sealed table for what is held now. `affected`: the command tag's row count. `undone`: the server says so
        by its error; else what was sealed may be stored, and its ids are told by the last event. `sent`: by this one, too.
        """
        plan = self.plan
        if affected is not None and affected > _MOST_ROWS:
            affected = _MOST_ROWS
        command = plan.command if plan is not None else ""
        rows = self.rows or affected or 0
        if command == "EXPLAIN":
            rows = 0  # They are the plan's; what was written is what was sealed.
            if final and sqlstate is None:
                affected = 0
        outline = self._outline()
        if not outline.templates:
            if not final or self._told is None:
                return []
            outline = self._told
        self._told = outline
        self.part += 1
        comment = self.stripped.comment if self.stripped is not None else ""
        claimed = claimed_json(origin.claimed, comment) if comment or origin.claimed else b""
        part = Part(self.uid, self.part, rows, sqlstate, final=final, claimed=claimed)
        sealed = _NOTHING_SEALED if undone or not (final or sent) else self.sealed
        done = affected if final else None
        return [self._event(template, origin, part, sealed, done) for template in outline.templates]

    def sealed_part(self, origin: Origin) -> list[Entry]:
        """The events of what was sealed so far for a COPY that goes on: to be recorded before it is sent."""
        events = self.events(origin, final=False, sent=True)
        for ids in self.sealed.values():
            ids.clear()
        return events

    def _event(
        self,
        template: Template,
        origin: Origin,
        part: Part,
        sealed: Mapping[str, list[bytes]],
        done: int | None,
    ) -> Entry:
        """`sealed`: what may have been stored by now. `done`: rows by the command tag; None: the statement is not done, or failed."""
        tally = self.tally
        lines = template.lines
        if len(lines) == 1:
            line = lines[0]
            use = tally.uses.get(line.key)
            if use is not None and len(use.ids) <= CELL_IDS_INLINE:  # The usual.
                told = line.entry(len(use.ids), use.ids, use.versions, untyped=use.untyped)
                return template.entry(origin, part, [told], len(use.ids))
        of_lines: list[Sequence[bytes]] = []
        total = 0
        for line in lines:
            use = tally.uses.get(line.key)
            ids: Sequence[bytes] = _NO_IDS
            if use is not None:
                ids = use.ids
            elif line.outcome == "written":
                ids = sealed.get(line.column, _NO_IDS)
            of_lines.append(ids)
            total += len(ids)
        inline = total <= CELL_IDS_INLINE
        columns: list[bytes] = []
        cells = 0
        for i in range(len(lines)):
            line, ids = lines[i], of_lines[i]
            use = tally.uses.get(line.key)
            if use is not None:
                count = len(ids)
                columns.append(
                    line.entry(count, ids, use.versions, inline=inline, untyped=use.untyped)
                )
            else:
                count = 0
                complete = True
                if line.outcome == "written":
                    count = self._written(line.column, len(ids), part, done)
                    complete = self.plan is None or line.column not in self.plan.copied
                columns.append(
                    line.entry(
                        count,
                        ids,
                        tally.versions(line.column),
                        inline=inline,
                        complete=complete,
                    )
                )
            cells += count
        beside = b"" if inline else b"".join([b"".join(ids) for ids in of_lines])
        return template.entry(origin, part, columns, cells, beside)

    def _written(self, column: str, sealed: int, part: Part, done: int | None) -> int:
        """Cells: one per row that UPDATE found; for INSERT and COPY as many as were sealed, where they were sealed here, but of
        rows that were stored: a conflict may have left some out.
        """
        if done is None:
            return sealed if part.sqlstate is None else 0
        command = self.plan.command if self.plan is not None else ""
        if command == "UPDATE" or column not in self.sealed:
            return done
        if sealed > done and command in _ONE_BY_ONE and not self._has_with():
            return done
        return sealed

    def _has_with(self) -> bool:
        """Another statement may be within it: the rows are not of both."""
        return self.stripped is None or "with" in self.stripped.text.lower()

    def _outline(self) -> Outline:
        text = self.stripped.text if self.stripped is not None else None
        authority = self.authority
        outlines = authority.snapshot.outlines
        outline = outlines.get(self.plan, authority, text, self.protocol)
        found = [key for key in self.tally.uses if key not in outline.keys]
        if found:
            found.sort()
            outline = outlines.get(self.plan, authority, text, self.protocol, tuple(found))
        return outline


class SimpleQuery:
    """One Query message: its statements are executed one after the other; `plan` is the one at work."""

    __slots__ = (
        "_next",
        "changes",
        "edited",
        "execution",
        "matchers",
        "plans",
        "refused",
        "sealed",
        "stripped",
    )

    def __init__(
        self,
        plans: tuple[StatementPlan, ...],
        stripped: Stripped,
        refused: frozenset[int] = frozenset(),
        sealed: tuple[Sealed, ...] = (),
        edited: Edited | None = None,
        changes: tuple[tuple[Change[Any], ...], ...] = (),
        matchers: Mapping[int, Matchers] = _NO_MATCHERS,
    ) -> None:
        self.plans = plans
        self.stripped = stripped
        self.refused = refused
        """Ordinals of the statements that `sealgate.refuse` stands in for."""
        self.sealed = sealed
        """Per statement."""
        self.edited = edited
        """What was sent, if it is not what the client wrote."""
        self.changes = changes
        """Names that each statement gives."""
        self.matchers = matchers
        """By ordinal, for statements whose rows are tested (`proxy.matching`)."""
        self.execution: Execution | None = None
        """The run of the current statement, once there is something to say about it."""
        self._next = 0

    @property
    def plan(self) -> StatementPlan | None:
        """None for an empty query, and for replies that no statement announced (a rule's)."""
        return self.plans[self._next] if self._next < len(self.plans) else None

    @property
    def to_come(self) -> tuple[StatementPlan, ...]:
        """The current statement and those behind it."""
        return self.plans[self._next :]

    @property
    def current_sealed(self) -> Sealed:
        return self.sealed[self._next] if self._next < len(self.sealed) else {}

    @property
    def current_refused(self) -> bool:
        return self._next in self.refused

    @property
    def current_matchers(self) -> Matchers | None:
        return self.matchers.get(self._next)

    def completed(self) -> None:
        """The server has finished the current statement."""
        for change in self.changes[self._next : self._next + 1]:
            for one in change:
                one.keep()
        self._next += 1
        self.execution = None

    def abandon(self) -> None:
        """The server has failed at the current statement and will not run those behind it."""
        for changes in self.changes[self._next :][::-1]:
            for change in changes[::-1]:
                change.undo()
        self._next = len(self.plans)
        self.execution = None
