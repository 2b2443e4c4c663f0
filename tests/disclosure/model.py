"""What a test knows by itself: which stored value stands in whose row, and who was shown it.

Nothing here is read from the log or the database. A `Cell` is one stored value; it is made when a statement gives a value for a
sealed column, and stands in the rows in which the statement puts it.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

SEALED = {"customers": ("email", "ssn"), "orders": ("note",)}
GRANTS = {
    "shop_app": {"email": "clear", "ssn": "clear", "note": "clear"},
    "support_login": {"email": "clear", "ssn": "masked", "note": "withheld"},
    "analyst": {"email": "withheld", "ssn": "withheld", "note": "withheld"},
}
Place = tuple[str, str, int]
"""Table, the row's key as JSON, the customer's id."""


@dataclass(eq=False, slots=True)
class Cell:
    column: str
    places: dict[Place, bool] = field(default_factory=dict)
    """Where it stands, or stood (False)."""

    @property
    def people(self) -> set[int]:
        return {person for _, _, person in self.places}

    @property
    def label(self) -> str:
        table = "orders" if self.column == "note" else "customers"
        return f"public.{table}.{self.column}"


@dataclass(frozen=True, slots=True)
class Shown:
    """One cell, once. `step` counts statements."""

    step: int
    login: str
    session: str
    cell: Cell
    outcome: str


class Model:
    """Rows as dicts: plain columns are values, sealed ones Cells or None."""

    def __init__(self) -> None:
        self.customers: dict[int, dict[str, object]] = {}
        self.orders: dict[int, dict[str, object]] = {}
        self.shown: list[Shown] = []
        self.step = 0

    # -- rows ---------------------------------------------------------------------------------------------------------

    def put(self, table: str, key: int, row: dict[str, object]) -> None:
        rows = self._rows(table)
        assert key not in rows
        rows[key] = row
        self._stand(table, key)

    def change(self, table: str, key: int, **values: object) -> None:
        """Columns of a row get other values; its key as well."""
        row = self._rows(table)[key]
        before = self._place(table, key)
        for name in SEALED[table]:
            cell = row[name]
            if isinstance(cell, Cell) and name in values and values[name] is not cell:
                cell.places[before] = False
        row.update(values)
        self._stand(table, key)

    def renumber(self, key: int, new: int) -> None:
        """A customer's id, and by cascade that of its orders."""
        self._leave("customers", key)
        self.customers[new] = self.customers.pop(key)
        self._stand("customers", new)
        for nr, order in self.orders.items():
            if order["customer_id"] == key:
                self._leave("orders", nr)
                order["customer_id"] = new
                self._stand("orders", nr)

    def remove(self, table: str, key: int) -> None:
        if table == "customers":
            for nr in [nr for nr, order in self.orders.items() if order["customer_id"] == key]:
                self.remove("orders", nr)
        self._leave(table, key)
        del self._rows(table)[key]

    def _rows(self, table: str) -> dict[int, dict[str, object]]:
        return self.customers if table == "customers" else self.orders

    def _place(self, table: str, key: int) -> Place:
        if table == "customers":
            return (f"public.{table}", json.dumps({"id": key}), key)
        person = self.orders[key]["customer_id"]
        assert isinstance(person, int)
        return (f"public.{table}", json.dumps({"customer_id": person, "nr": key}), person)

    def _cells(self, table: str, key: int) -> Iterator[Cell]:
        for name in SEALED[table]:
            cell = self._rows(table)[key][name]
            if isinstance(cell, Cell):
                yield cell

    def _stand(self, table: str, key: int) -> None:
        for cell in self._cells(table, key):
            cell.places[self._place(table, key)] = True

    def _leave(self, table: str, key: int) -> None:
        for cell in self._cells(table, key):
            cell.places[self._place(table, key)] = False

    # -- what was shown -----------------------------------------------------------------------------------------------

    def begin(self) -> None:
        """Another statement."""
        self.step += 1

    def deliver(self, login: str, session: str, cells: Iterable[object]) -> None:
        """Values that a result held; NULLs are nobody's."""
        for cell in cells:
            if isinstance(cell, Cell):
                outcome = GRANTS[login][cell.column]
                self.shown.append(Shown(self.step, login, session, cell, outcome))

    def wrote(self, login: str, session: str, cells: Iterable[object]) -> None:
        for cell in cells:
            if isinstance(cell, Cell):
                self.shown.append(Shown(self.step, login, session, cell, "written"))

    # -- answers ------------------------------------------------------------------------------------------------------

    def affected(
        self, login: str | None, session: str | None, steps: range
    ) -> tuple[dict[int, set[tuple[object, ...]]], dict[tuple[str, str], int]]:
        """Per customer (row table, row key, column, outcome, cells, times, gone, shared), and per column and outcome the cells of no row."""
        times: dict[tuple[Cell, str], int] = Counter()
        for one in self.shown:
            if one.step in steps and login in (None, one.login) and session in (None, one.session):
                times[one.cell, one.outcome] += 1
        found: dict[int, dict[tuple[str, ...], list[int]]] = defaultdict(
            lambda: defaultdict(lambda: [0, 0, 0, 0])
        )
        nowhere: dict[tuple[str, str], int] = Counter()
        for (cell, outcome), count in times.items():
            if not cell.places:
                nowhere[cell.label, outcome] += 1
            for (table, row, person), here in cell.places.items():
                counts = found[person][table, row, cell.label, outcome]
                counts[0] += 1
                counts[1] += count
                counts[2] += not here
                counts[3] += len(cell.people) > 1
        people = {
            person: {(*at, *counts) for at, counts in rows.items()}
            for person, rows in found.items()
        }
        return people, dict(nowhere)

    def who_saw(self, person: int, tables: set[str]) -> list[tuple[object, ...]]:
        """(login, session, column, outcome, cells) of each statement, in their order."""
        cells: dict[tuple[int, str, str, str, str], int] = Counter()
        for one in self.shown:
            if any(p == person and t in tables for t, _, p in one.cell.places):
                cells[one.step, one.login, one.session, one.cell.label, one.outcome] += 1
        return [(*at[1:], count) for at, count in sorted(cells.items())]
