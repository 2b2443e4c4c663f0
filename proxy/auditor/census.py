"""What is counted of the log's events. Names come from a file that others may have written to, so there is room for so
many, and the rest is "other"."""

from __future__ import annotations

import re
import threading
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Final

from proxy.audit.formats.fields import Line, milliseconds, number, objects, ours, sqlstate, text

_CODE: Final = re.compile(r"[a-z][a-z_]{0,31}(\.[a-z][a-z_]{0,31}){0,2}")
_SQLSTATE: Final = re.compile(r"[0-9A-Z]{5}")
_KINDS: Final = 200
_OUTCOMES: Final = frozenset({"clear", "masked", "withheld", "written", "compared", "unreadable"})
_SEVERITIES: Final = {
    1: "informational",
    2: "low",
    3: "medium",
    4: "high",
    5: "critical",
    6: "fatal",
}
_LOGINS: Final = {"authentication.succeeded": "succeeded", "authentication.failed": "failed"}
OTHER: Final = "other"


class Census:
    """Counters since the process began. One thread counts, others read."""

    def __init__(self, columns: Iterable[str]) -> None:
        """`columns`: labels of the policy's sealed columns."""
        self._columns = frozenset(columns)
        self._lock = threading.Lock()
        self._events: Counter[tuple[str, ...]] = Counter()
        self._cells: Counter[tuple[str, ...]] = Counter()
        self._refusals: Counter[tuple[str, ...]] = Counter()
        self._logins: Counter[tuple[str, ...]] = Counter()
        self._findings: Counter[tuple[str, ...]] = Counter()
        self.unreadable = 0
        self.checkpoint_time = 0
        """Epoch ms of the last checkpoint; 0: none was seen."""
        self.event_time = 0
        self.current_at = 0
        """When the log was last read to its end, epoch ms."""

    def take(self, lines: Sequence[Line], unreadable: int) -> None:
        with self._lock:
            self.unreadable += unreadable
            for line in lines:
                self._take(line)

    def read_to_the_end(self, now: int) -> None:
        self.current_at = now

    def counts(self) -> dict[str, dict[tuple[str, ...], int]]:
        """Of each counter: values of its labels, and the number."""
        with self._lock:
            return {
                "events": dict(self._events),
                "cells": dict(self._cells),
                "refusals": dict(self._refusals),
                "logins": dict(self._logins),
                "findings": dict(self._findings),
            }

    def _take(self, line: Line) -> None:
        code = line.code
        if not _CODE.fullmatch(code) or (
            (code,) not in self._events and len(self._events) > _KINDS
        ):
            code = OTHER
        self._events[(code,)] += 1
        self.event_time = milliseconds(line.event)
        if code.startswith("statement."):
            self._statement(line, code)
        elif code in _LOGINS:
            self._logins[(_LOGINS[code],)] += 1
        elif code == "log.checkpoint":
            self.checkpoint_time = self.event_time
        elif code.startswith("detection."):
            severity = _SEVERITIES.get(number(line.event, "severity_id") or 0, OTHER)
            self._findings[(code.removeprefix("detection."), severity)] += 1

    def _statement(self, line: Line, code: str) -> None:
        if code == "statement.refused":
            state = sqlstate(line.event)
            known = _SQLSTATE.fullmatch(state) and len(self._refusals) < _KINDS
            self._refusals[(state if known else OTHER,)] += 1
            return
        for column in objects(ours(line.event, "columns")):
            name, outcome, cells = (
                text(column, "name"),
                text(column, "outcome"),
                number(column, "cells"),
            )
            if outcome in _OUTCOMES and cells is not None and cells > 0:
                self._cells[(name if name in self._columns else OTHER, outcome)] += cells
