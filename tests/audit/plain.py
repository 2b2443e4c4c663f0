"""What the access log says of an execution, written down plainly: no caches, no templates, nothing shared.

This is how the proxy itself made these events at first. It is kept as the judge of the fast way: `plainly` for one
event, `Plain` for the life of an execution.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from policy import Access
from proxy.audit.event import Event, Origin, Outcome, Protocol
from proxy.audit.ocsf import ALLOWED, DATASTORE_ACTIVITY, MODIFIED, base, controlled, with_product
from proxy.audit.origin import who
from proxy.audit.statement import query_info
from proxy.audit.text import LABEL_CAP, clean, counted
from proxy.catalog import column_parts, label
from proxy.snapshot import Authority
from proxy.sql.plan import Run, StatementPlan


@dataclass(frozen=True)
class ColumnUse:
    """What happened to the cells of one sealed column in one execution (or one part of it)."""

    column: str
    outcome: Outcome
    cells: int
    rule: str
    key_versions: tuple[int, ...] = ()
    shown_as: str = ""
    cell_ids: tuple[bytes, ...] = ()
    complete: bool = True


@dataclass(frozen=True)
class Executed:
    """One execution, or one part of it, on one sealed table."""

    table: str
    columns: tuple[ColumnUse, ...]
    statement: str | None
    command: str
    rows: int
    execution: str
    part: int
    final: bool
    protocol: Protocol
    sqlstate: str | None
    policy_version: str
    claimed: tuple[tuple[str, str], ...] = ()
    """Cleaned."""

    @property
    def beside(self) -> bytes:
        """What goes into the side file."""
        ids = [cell_id for use in self.columns for cell_id in use.cell_ids]
        return b"".join(ids) if len(ids) > 256 else b""


_DONE = {
    "write": ("statement.write", 9, "written by"),
    "read": ("statement.read", 10, "released to"),
    "compare": ("statement.compare", 4, "searched by"),
}
_EFFECT = {
    "written": "write",
    "clear": "read",
    "masked": "read",
    "withheld": "read",
    "compared": "compare",
}


def plainly(origin: Origin, execution: Executed) -> Event:
    """The event."""
    by = who(origin)
    outcomes = {use.outcome for use in execution.columns}
    effects = {_EFFECT[outcome] for outcome in outcomes}
    strongest = "write" if "write" in effects else "read" if "read" in effects else "compare"
    kind, activity, verb = _DONE[strongest]
    table = clean(execution.table, LABEL_CAP)
    event = base(
        kind,
        DATASTORE_ACTIVITY,
        activity,
        _told(by.name, execution, table, verb),
        ok=execution.sqlstate is None,
        correlation=execution.execution,
    )
    event["status_code"] = clean(execution.sqlstate or "00000")
    event |= {"actor": by.actor, "src_endpoint": by.endpoint, "database": by.database}
    modified = "masked" in outcomes or "withheld" in outcomes
    controlled(event, MODIFIED if modified else ALLOWED, ALLOWED)
    event["type_id"] = 3
    event["table"] = {"name": table}
    event["policy"] = {"name": "sealgate", "version": clean(execution.policy_version)}
    query, flags = query_info(execution.statement)
    if query is not None:
        event["query_info"] = query
    sealgate = {
        "command": clean(execution.command),
        "execution": clean(execution.execution),
        "part": execution.part,
        "final": execution.final,
        "protocol": execution.protocol,
        "rows": execution.rows,
        "cells": sum(use.cells for use in execution.columns),
        "columns": [_used(use, inline=not execution.beside) for use in execution.columns],
        "tls": origin.tls,
    }
    if execution.beside:
        digest = hashlib.sha256(execution.beside).hexdigest()
        sealgate["cell_ids_file"] = {"count": len(execution.beside) // 8, "sha256": digest}
    if execution.claimed:
        sealgate["claimed"] = dict(execution.claimed)
    return with_product(event, sealgate | flags)


def _used(use: ColumnUse, *, inline: bool) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "name": clean(use.column, LABEL_CAP),
        "outcome": use.outcome,
        "cells": use.cells,
        "rule": clean(use.rule, LABEL_CAP),
    }
    if use.key_versions:
        fields["key_versions"] = list(use.key_versions)
    if use.shown_as:
        fields["shown_as"] = use.shown_as
    if inline:
        fields["cell_ids"] = [cell_id.hex() for cell_id in use.cell_ids]
    else:
        fields["cell_id_count"] = len(use.cell_ids)
    if not use.complete:
        fields["cell_ids_complete"] = False
    return fields


def _told(name: str, execution: Executed, table: str, verb: str) -> str:
    uses = [
        f"{clean(use.column.removeprefix(execution.table + '.'), LABEL_CAP)} {use.outcome}"
        for use in execution.columns[:8]
    ]
    if more := len(execution.columns) - len(uses):
        uses.append(f"{more} more")
    done = f"{counted(execution.rows, 'row')} of {table} {verb} {name}: {', '.join(uses)}"
    if execution.sqlstate is not None:
        done += f"; the server failed it ({clean(execution.sqlstate)})"
    return done


@dataclass
class Plain:
    """One run of a statement. `cell` counts what a row carried, `released` begins another part."""

    uid: str
    plan: StatementPlan | None
    text: str | None
    authority: Authority
    protocol: Protocol
    sealed: dict[str, list[bytes]]
    rows: int = 0
    part: int = 0
    cells: list[tuple[str, Outcome, bytes, int | None]] = field(default_factory=list)
    untyped: set[tuple[str, Outcome]] = field(default_factory=set)
    told: dict[tuple[str, Outcome], tuple[int, str]] = field(default_factory=dict)

    def released(self) -> None:
        self.rows = 0
        self.cells.clear()
        self.untyped.clear()

    def events(
        self,
        origin: Origin,
        *,
        final: bool,
        sqlstate: str | None = None,
        affected: int | None = None,
        undone: bool = False,
    ) -> Iterator[Executed]:
        """As `Execution.events`; what `plainly` makes events of."""
        explained = self.plan is not None and self.plan.command == "EXPLAIN"
        if explained and final and sqlstate is None:
            affected = 0
        uses = self._uses()
        if final and not uses:
            uses = {key: (0, rule) for key, (_, rule) in self.told.items()}
        if not uses:
            return
        self.told = uses
        self.part += 1
        by_table: dict[str, list[ColumnUse]] = {}
        for (column, outcome), (cells, rule) in sorted(uses.items()):
            versions = {v for c, _, _, v in self.cells if c == column and v is not None}
            shown_as = "bytea" if (column, outcome) in self.untyped else ""
            ids = [i for c, o, i, _ in self.cells if (c, o) == (column, outcome)]
            complete = True
            if outcome == "written":
                complete = self.plan is None or column not in self.plan.copied
                cells, ids = self._written(column, final, sqlstate, affected, undone)
            use = ColumnUse(
                column,
                outcome,
                cells,
                rule,
                tuple(sorted(versions)),
                shown_as,
                tuple(ids),
                complete,
            )
            by_table.setdefault(_table(column), []).append(use)
        for table, columns in by_table.items():
            yield Executed(
                table,
                tuple(columns),
                self.text,
                self.plan.command if self.plan is not None else "OTHER",
                0 if explained else self.rows or affected or 0,
                self.uid,
                self.part,
                final,
                self.protocol,
                sqlstate,
                self.authority.snapshot.policy.version,
                tuple(sorted(origin.claimed)),
            )

    def _written(
        self, column: str, final: bool, sqlstate: str | None, affected: int | None, undone: bool
    ) -> tuple[int, list[bytes]]:
        """Cells, and the ids of what was sealed for them: in the last event, if the server has not said that it did nothing."""
        if not final or undone:
            return affected if final and affected is not None and self._by_row(column) else 0, []
        ids = self.sealed.get(column, [])
        if affected is None:
            return (len(ids) if sqlstate is None else 0), ids
        if self._by_row(column):
            return affected, ids
        command = self.plan.command if self.plan is not None else ""
        alone = self.text is not None and "with" not in self.text.lower()
        if command in ("INSERT", "COPY", "MERGE") and alone:
            return min(affected, len(ids)), ids
        return len(ids), ids

    def _by_row(self, column: str) -> bool:
        return (self.plan is not None and self.plan.command == "UPDATE") or (
            column not in self.sealed
        )

    def _uses(self) -> dict[tuple[str, Outcome], tuple[int, str]]:
        uses: dict[tuple[str, Outcome], tuple[int, str]] = {}
        for column, outcome, _, _ in self.cells:
            count = uses.get((column, outcome), (0, ""))[0] + 1
            access = Access.COMPARE if outcome == "compared" else Access.READ
            uses[column, outcome] = (count, self.authority.decide(column, access).rule)
        for touch in self.plan.touches if self.plan is not None else ():
            decision = self.authority.decide(touch.column, touch.access)
            if touch.access is Access.WRITE:
                if self.plan is not None and self.plan.run is not Run.NOW:
                    continue
                uses[touch.column, "written"] = (0, decision.rule)
            elif touch.access is Access.COMPARE:
                uses.setdefault((touch.column, "compared"), (0, decision.rule))
            elif touch.access is Access.READ:
                shown: Any = decision.outcome.value  # clear, masked, withheld
                uses.setdefault((touch.column, shown), (0, decision.rule))
        return uses


def _table(column: str) -> str:
    schema, table, _ = column_parts(column)
    return label(schema, table)
