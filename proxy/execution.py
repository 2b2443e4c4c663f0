"""One execution of one statement: what it released, and the events that say so.

Rows of a result that can carry sealed values are held until the result is complete or `HELD_BYTES` of it are
waiting, so that an ordinary result has exactly one event per table, written before its first row is released.
A longer result is released in parts; each part has its event, with the same execution uid and a part number.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from policy import Access, Outcome
from proxy.audit.event import ColumnUse, Event, Origin, Protocol, executed
from proxy.audit.event import Execution as ExecutionEvent
from proxy.audit.event import Outcome as UseName
from proxy.catalog import column_parts, label
from proxy.edited import Edited
from proxy.snapshot import Authority
from proxy.sql.lexer import Stripped
from proxy.sql.plan import Run, StatementPlan

HELD_BYTES: Final = 256 * 1024
"""Rows held back for one event; beyond it they are released in parts."""

if TYPE_CHECKING:
    from proxy.statements import Change

_RELEASED: Final[dict[Outcome, UseName]] = {
    Outcome.CLEAR: "clear",
    Outcome.MASKED: "masked",
    Outcome.WITHHELD: "withheld",
}


def recorded(plan: StatementPlan) -> bool:
    """Every execution of the statement is an event, whatever its result: it reads, compares or writes sealed columns.

    EXPLAIN without ANALYZE executes nothing, but its estimates answer comparisons.
    """
    if plan.run is Run.NOW:
        return any(touch.access is not Access.PRESENCE for touch in plan.touches)
    if plan.run is Run.LATER:
        return False
    return any(touch.access is Access.COMPARE for touch in plan.touches)


class Tally:
    """Cells by (column, outcome), their ids by column, and the key versions that opened them."""

    __slots__ = ("cell_ids", "cells", "untyped", "versions")

    def __init__(self) -> None:
        self.cells: Counter[tuple[str, UseName]] = Counter()
        self.cell_ids: defaultdict[str, list[bytes]] = defaultdict(list)
        self.versions: set[tuple[str, int]] = set()
        self.untyped: set[tuple[str, UseName]] = set()
        """What was shown as bytea, because nothing told its type."""

    def clear(self) -> None:
        self.cells.clear()
        self.cell_ids.clear()
        self.versions.clear()
        self.untyped.clear()


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
        sealed: dict[str, int] | None = None,
    ) -> None:
        self.uid = uid
        self.plan = plan
        if plan is not None and plan.recorded_as is not None:
            stripped = Stripped(plan.recorded_as, ())
        self.stripped = stripped
        self.authority = authority
        self.protocol: Protocol = protocol
        self.sealed = sealed or {}
        """Cells sealed for this execution, by column."""
        self.tally = Tally()
        self.held: list[bytes] = []
        self.held_size = 0
        self.rows = 0
        self.part = 0
        self._told: dict[tuple[str, UseName], tuple[int, str]] = {}
        """What the last event said."""

    def hold(self, row: bytes, rows: int = 1) -> bool:
        """Keep one unsealed DataRow message back, or CopyData of so many rows; True when what is held should be released as a part."""
        self.held.append(row)
        self.held_size += len(row)
        self.rows += rows
        return self.held_size >= HELD_BYTES

    def release(self) -> bytes:
        """The rows held, once their event is on its way."""
        rows = b"".join(self.held)
        self.held.clear()
        self.held_size = 0
        self.tally.clear()
        self.rows = 0
        return rows

    def events(
        self,
        origin: Origin,
        *,
        final: bool,
        sqlstate: str | None = None,
        affected: int | None = None,
    ) -> Iterator[Event]:
        """One event per sealed table for what is held now. `affected`: the command tag's row count."""
        explained = self.plan is not None and self.plan.command == "EXPLAIN"
        if explained and final and sqlstate is None:
            affected = 0  # Its rows are the plan's; what was written is what was sealed.
        uses = self._uses(affected if final else None)
        if final and not uses:
            uses = {key: (0, rule) for key, (_, rule) in self._told.items()}
        if not uses:
            return
        self._told = uses
        self.part += 1
        by_table: dict[str, list[ColumnUse]] = {}
        for (column, outcome), (cells, rule) in sorted(uses.items()):
            versions = tuple(sorted(v for c, v in self.tally.versions if c == column))
            by_table.setdefault(_table(column), []).append(
                ColumnUse(
                    column,
                    outcome,
                    cells,
                    rule,
                    versions,
                    "bytea" if (column, outcome) in self.tally.untyped else "",
                )
            )
        for table, columns in by_table.items():
            yield executed(
                origin,
                ExecutionEvent(
                    table=table,
                    columns=tuple(columns),
                    statement=self.stripped.text if self.stripped is not None else None,
                    command=self.plan.command if self.plan is not None else "OTHER",
                    rows=0 if explained else self.rows or affected or 0,
                    cell_ids=tuple(
                        cell
                        for column, cells in self.tally.cell_ids.items()
                        if _table(column) == table
                        for cell in cells
                    ),
                    cell_ids_complete=True,
                    execution=self.uid,
                    part=self.part,
                    final=final,
                    protocol=self.protocol,
                    status_ok=sqlstate is None,
                    sqlstate=sqlstate,
                    policy_version=self.authority.snapshot.policy.version,
                ),
            )

    @property
    def _executes(self) -> bool:
        return self.plan is None or self.plan.run is Run.NOW

    def _uses(self, affected: int | None) -> dict[tuple[str, UseName], tuple[int, str]]:
        """(column, outcome) -> (cells, rule): what rows carried, and what the plan says happens besides."""
        uses: dict[tuple[str, UseName], tuple[int, str]] = {}
        for (column, outcome), cells in self.tally.cells.items():
            uses[column, outcome] = (cells, self.authority.decide(column, Access.READ).rule)
        for touch in self.plan.touches if self.plan is not None else ():
            decision = self.authority.decide(touch.column, touch.access)
            if touch.access is Access.WRITE and not self._executes:
                continue
            if touch.access is Access.WRITE:
                cells = self.sealed.get(touch.column, affected or 0)
                if self.plan is not None and self.plan.command == "UPDATE":
                    cells = affected or 0
                uses[touch.column, "written"] = (
                    cells if affected is not None else 0,
                    decision.rule,
                )
            elif touch.access is Access.COMPARE:
                uses.setdefault((touch.column, "compared"), (0, decision.rule))
            elif touch.access is Access.READ:
                outcome = _RELEASED[decision.outcome]
                uses.setdefault((touch.column, outcome), (0, decision.rule))
        return uses


class SimpleQuery:
    """One Query message: its statements are executed one after the other; `plan` is the one at work."""

    __slots__ = (
        "_next",
        "changes",
        "edited",
        "execution",
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
        sealed: tuple[dict[str, int], ...] = (),
        edited: Edited | None = None,
        changes: tuple[tuple[Change[Any], ...], ...] = (),
    ) -> None:
        self.plans = plans
        self.stripped = stripped
        self.refused = refused
        """Ordinals of the statements that `sealgate.refuse` stands in for."""
        self.sealed = sealed
        """Cells sealed, by column, per statement."""
        self.edited = edited
        """What was sent, if it is not what the client wrote."""
        self.changes = changes
        """Names that each statement gives."""
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
    def current_sealed(self) -> dict[str, int]:
        return self.sealed[self._next] if self._next < len(self.sealed) else {}

    @property
    def current_refused(self) -> bool:
        return self._next in self.refused

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


@lru_cache(maxsize=1024)
def _table(column: str) -> str:
    schema, table, _ = column_parts(column)
    return label(schema, table)
