"""Honey: rows and columns that no real use reads. What the file of them says, and whether something touched one.

A row is known by the cell ids of its sealed values: whatever statement brings one of them, it was that row. Who compares
without getting the row (`count(*)`) touches no cell of it; a column is touched by any use that the plan knows, too.
"""

from __future__ import annotations

import json
from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from proxy.sql.plan import Touch
    from proxy.tally import Tally

VERSION: Final = 1
LARGEST: Final = 16 << 20
"""Bytes of a file that is read at all."""
CELL_ID: Final = 8


class HoneyDamaged(ValueError):
    """The file is none of ours. Quotes nothing of it."""


@dataclass(frozen=True, slots=True)
class HoneyRow:
    """`key`: column -> value as text, which finds the row; `cells`: label -> cell ids it has had, hexadecimal."""

    name: str
    table: str
    key: Mapping[str, str]
    cells: Mapping[str, tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class Honey:
    """All of it; nothing, by default."""

    rows: tuple[HoneyRow, ...] = ()
    columns: frozenset[str] = frozenset()
    ids: Mapping[bytes, str] = field(init=False, repr=False, compare=False)
    """Cell id -> name of the row."""

    def __post_init__(self) -> None:
        ids = {
            bytes.fromhex(cell): row.name
            for row in self.rows
            for cells in row.cells.values()
            for cell in cells
        }
        object.__setattr__(self, "ids", ids)

    def touched(
        self, tally: Tally, touches: Iterable[Touch], known: Container[str] = ()
    ) -> list[tuple[str, str]]:
        """(name, table or column) of each piece of honey that is in what was read, and that is not among the `known`; if all
        are, of one of those.
        """
        found: dict[str, str] = {}
        if self.ids and tally.uses:
            for (column, _), use in tally.uses.items():
                for cell in self.ids.keys() & use.ids:
                    found.setdefault(self.ids[cell], column.rpartition(".")[0])
        if self.columns:
            used = {column for column, _ in tally.uses} | {touch.column for touch in touches}
            found.update((column, column) for column in sorted(used & self.columns))
        pieces = list(found.items())
        return [piece for piece in pieces if piece[0] not in known] or pieces[:1]

    def text(self) -> str:
        """As it stands in the file."""
        rows = [
            {
                "name": row.name,
                "table": row.table,
                "key": dict(row.key),
                "cells": {label: list(cells) for label, cells in row.cells.items()},
            }
            for row in self.rows
        ]
        document = {"version": VERSION, "rows": rows, "columns": sorted(self.columns)}
        return json.dumps(document, indent=2, sort_keys=True) + "\n"


def read_honey(text: str) -> Honey:
    """Raises HoneyDamaged."""
    try:
        document = json.loads(text)
        if not isinstance(document, dict) or document.get("version") != VERSION:
            raise HoneyDamaged("is of a version that is not known")
        return Honey(
            tuple(_row(row) for row in document["rows"]),
            frozenset(_text(column) for column in document["columns"]),
        )
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        if isinstance(error, HoneyDamaged):
            raise
        raise HoneyDamaged("is damaged") from None


def _row(row: Any) -> HoneyRow:
    cells: dict[str, tuple[str, ...]] = {}
    for label, ids in row["cells"].items():
        if any(len(bytes.fromhex(_text(cell))) != CELL_ID for cell in ids):
            raise HoneyDamaged("has a cell id that is none")
        cells[_text(label)] = tuple(ids)
    key = {_text(name): _text(value) for name, value in row["key"].items()}
    return HoneyRow(_text(row["name"]), _text(row["table"]), key, cells)


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise HoneyDamaged("is damaged")
    return value
