"""What the rows of one part of a result carried: counted by whoever unseals them, read once by the part's event."""

from __future__ import annotations

from typing import final

from proxy.audit.values import CELL_IDS_INLINE, Outcome


@final
class Use:
    """The cells of one column that had one outcome."""

    __slots__ = ("_ids", "_versions", "cells", "untyped")

    def __init__(self, ids: list[bytes], versions: list[int]) -> None:
        self.cells = 0
        self.untyped = False
        """They were shown as bytea, because nothing told their type."""
        self._ids = ids
        self._versions = versions

    def add(self, cells: int, ids: list[bytes], version: int | None) -> None:
        """So many more cells. `ids`: theirs, at least as many of them as an event has room for.

        `version` of the column's data key opened them; None: they were withheld, unopened.
        """
        self.cells += cells
        if version is not None and version not in self._versions:
            self._versions.append(version)
        room = CELL_IDS_INLINE - len(self._ids)
        self._ids.extend(ids if len(ids) <= room else ids[:room])


@final
class Tally:
    """One per part of a result: a released part's is emptied, and the next part has another."""

    __slots__ = ("ids", "key_versions", "uses")

    def __init__(self) -> None:
        self.uses: dict[tuple[str, Outcome], Use] = {}
        """By column and outcome; empty as long as no sealed value was seen."""
        self.ids: dict[str, list[bytes]] = {}
        """By column, the first cell ids, as many as an event has room for; columns as they were first seen."""
        self.key_versions: dict[str, list[int]] = {}
        """By column, versions of its data key that opened cells."""

    def use(self, column: str, outcome: Outcome) -> Use:
        """The count of this pair. To be asked for when there is a cell to count."""
        key = (column, outcome)
        known = self.uses.get(key)
        if known is None:
            ids = self.ids.setdefault(column, [])
            known = self.uses[key] = Use(ids, self.key_versions.setdefault(column, []))
        return known

    def clear(self) -> None:
        """Whoever still points here keeps nothing alive."""
        for ids in self.ids.values():
            ids.clear()
        self.uses.clear()
        self.ids.clear()
        self.key_versions.clear()
