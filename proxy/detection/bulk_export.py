"""Very many rows at once, as this login never had them; or its first COPY of a table.

Rows are those of one execution, its parts added up. Found: at least `rows`, and more than `percent` of the most it usually reads
at once (`peaks`); or COPY of a table that it never copied, behind the days of learning, with at least a tenth of `rows`.
"""

from __future__ import annotations

from typing import Any, Final, final

from proxy.detection.known import TABLES, Known, News
from proxy.detection.peaks import Peaks
from proxy.detection.seen import Seen, short
from proxy.detection.settings import BulkExport
from proxy.detection.signal import Signal
from proxy.detection.windows import counts

NAME: Final = "bulk_export"
_OPEN: Final = 64
"""Executions in parts that are followed at once: the oldest is forgotten."""


@final
class Exports:
    """What one login reads at once."""

    __slots__ = ("copied", "open", "settings", "usual")

    def __init__(self, settings: BulkExport) -> None:
        self.settings = settings
        self.usual = Peaks(settings.rows)
        self.copied = Known(TABLES)
        self.open: dict[str, int] = {}

    def observe(self, seen: Seen, *, learn: bool, learning: bool) -> list[Signal]:
        """`learning`: the login is new. `learn`: nothing is wrong with it just now."""
        if not seen.cells:
            return []
        rows = self._rows(seen)
        limits = self.settings
        numbers = {"rows": rows, "whole_table": int(seen.whole)}
        if seen.command == "COPY" and rows * 10 >= limits.rows:
            copied = self.copied.see(short(seen.table), learning=learning)
            if copied is News.NEW:
                return [Signal(NAME, "First COPY of this table", "medium", numbers, seen.table)]
        limit = self.usual.limit(limits.percent)
        if rows > limit:
            numbers["limit"] = limit
            severity: Any = "high" if seen.whole or seen.command == "COPY" else "medium"
            return [Signal(NAME, "Bulk export", severity, numbers, seen.table)]
        if learn:
            self.usual.learn(seen.time, rows)
        return []

    def _rows(self, seen: Seen) -> int:
        """Of its execution so far."""
        if seen.final and not self.open:
            return seen.rows
        key = short(seen.execution + "\0" + seen.table)
        rows = self.open.pop(key, 0) + seen.rows
        if not seen.final:
            if len(self.open) >= _OPEN:
                del self.open[next(iter(self.open))]
            self.open[key] = rows
        return rows

    def snapshot(self) -> list[Any]:
        return [self.usual.snapshot(), self.copied.snapshot(), self.open]

    def restore(self, data: Any) -> None:
        usual, copied, opened = data
        self.usual.restore(usual)
        self.copied.restore(copied)
        self.open = counts(opened, _OPEN)
