"""Which cells a statement was about: those that a part of its result carried, those that were sealed for it.

Whoever unseals or seals them writes down their ids, all of them; the event of the part reads them once. They are bounded by
what is held back for one event, as its rows are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Final, final

from proxy.audit.values import Outcome

Sealed = dict[str, list[bytes]]
"""By column, the cell ids of values that were sealed to be stored in it, in the order in which they were sealed."""

NOTHING_SEALED: Final[Mapping[str, list[bytes]]] = MappingProxyType({})
_NONE: Final[tuple[int, ...]] = ()
_OUTCOMES: Final[tuple[Outcome, ...]] = ("clear", "masked", "withheld", "compared")
"""Those that cells of a result have."""


def sealed_more(sealed: Sealed, more: Mapping[str, list[bytes]]) -> None:
    """Add what was sealed before: the literals of a statement that was prepared."""
    for column, ids in more.items():
        known = sealed.get(column)
        if known is None:
            sealed[column] = list(ids)
        else:
            known.extend(ids)


@final
class Use:
    """The cells of one column that had one outcome."""

    __slots__ = ("column", "ids", "untyped", "versions")

    def __init__(self, column: str, versions: list[int]) -> None:
        self.column = column
        self.untyped = False
        """They were shown as bytea, because nothing told their type."""
        self.ids: list[bytes] = []
        """One for each cell."""
        self.versions = versions
        """Of the column's data key, those that opened cells, whatever their outcome."""

    @property
    def cells(self) -> int:
        return len(self.ids)

    def add(self, ids: list[bytes], version: int | None) -> None:
        """More cells. `version` of the column's data key opened them; None: they were withheld, unopened."""
        if version is not None and version not in self.versions:
            self.versions.append(version)
        self.ids.extend(ids)


@final
class Tally:
    """One per part of a result: a released part's is emptied, and the next part has another."""

    __slots__ = ("uses",)

    def __init__(self) -> None:
        self.uses: dict[tuple[str, Outcome], Use] = {}
        """By column and outcome; empty as long as no sealed value was seen."""

    def versions(self, column: str) -> Sequence[int]:
        """Of its data key, those that opened cells of this column."""
        known = self._column(column) if self.uses else None
        return known.versions if known is not None else _NONE

    def use(self, column: str, outcome: Outcome) -> Use:
        """What is known of this pair. To be asked for when there is a cell to count."""
        key = (column, outcome)
        uses = self.uses
        if not uses:
            known = uses[key] = Use(column, [])
            return known
        found = uses.get(key)
        if found is None:
            alike = self._column(column)
            found = Use(column, [] if alike is None else alike.versions)
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
