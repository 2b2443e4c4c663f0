"""What the rows of one part of a result carried: counted by whoever unseals them, read once by the part's event."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, final

from proxy.audit.values import CELL_IDS_INLINE, Outcome

_NONE: Final[tuple[int, ...]] = ()
_OUTCOMES: Final[tuple[Outcome, ...]] = ("clear", "masked", "withheld")
"""Those that cells of a result have."""


@final
class Use:
    """The cells of one column that had one outcome."""

    __slots__ = ("cells", "column", "ids", "untyped", "versions")

    def __init__(self, column: str, ids: list[bytes], versions: list[int]) -> None:
        self.column = column
        self.cells = 0
        self.untyped = False
        """They were shown as bytea, because nothing told their type."""
        self.ids = ids
        """The column's first cell ids, whatever the outcome: as many as an event has room for."""
        self.versions = versions
        """Of the column's data key, those that opened cells."""

    def another(self) -> Use:
        """The count of another outcome of the same column."""
        return Use(self.column, self.ids, self.versions)

    def add(self, cells: int, ids: list[bytes], version: int | None) -> None:
        """So many more cells. `ids`: theirs, at least as many of them as an event has room for.

        `version` of the column's data key opened them; None: they were withheld, unopened.
        """
        self.cells += cells
        if version is not None and version not in self.versions:
            self.versions.append(version)
        room = CELL_IDS_INLINE - len(self.ids)
        self.ids.extend(ids if len(ids) <= room else ids[:room])


@final
class Tally:
    """One per part of a result: a released part's is emptied, and the next part has another."""

    __slots__ = ("uses",)

    def __init__(self) -> None:
        self.uses: dict[tuple[str, Outcome], Use] = {}
        """By column and outcome; empty as long as no sealed value was seen."""

    @property
    def ids(self) -> dict[str, list[bytes]]:
        """By column, the first cell ids; columns as they were first seen."""
        return {use.column: use.ids for use in self.uses.values()}

    def versions(self, column: str) -> Sequence[int]:
        """Of its data key, those that opened cells of this column."""
        known = self._column(column) if self.uses else None
        return known.versions if known is not None else _NONE

    def use(self, column: str, outcome: Outcome) -> Use:
        """The count of this pair. To be asked for when there is a cell to count."""
        key = (column, outcome)
        uses = self.uses
        if not uses:
            known = uses[key] = Use(column, [], [])
            return known
        found = uses.get(key)
        if found is None:
            # Of one column, cells with several outcomes are on one list.
            alike = self._column(column)
            found = Use(column, [], []) if alike is None else alike.another()
            uses[key] = found
        return found

    def _column(self, column: str) -> Use | None:
        for outcome in _OUTCOMES:
            known = self.uses.get((column, outcome))
            if known is not None:
                return known
        return None

    def clear(self) -> None:
        """Whoever still points here keeps nothing alive."""
        self.uses.clear()
