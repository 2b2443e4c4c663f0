"""Cells that the log tells of, and the rows that they lead to: on disk, so that a million of them need no memory. [io: sqlite3]

The file is a temporary one that SQLite deletes as it opens it. A cell is one stored value with one outcome in one column; how often it was
shown, first and last, is counted. Rows are added as the database names them. What the two together say is asked at the end.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator
from itertools import groupby
from types import TracebackType
from typing import Final, NamedTuple, Self

OUTCOMES: Final = ("clear", "masked", "withheld", "compared", "written")
_CACHE_KIB: Final = 65_536

_SCHEMA: Final = """
CREATE TABLE label (n INTEGER PRIMARY KEY, name TEXT UNIQUE NOT NULL);
CREATE TABLE cell (
    id BLOB, label INT, outcome INT, times INT NOT NULL, first INT NOT NULL, last INT NOT NULL, PRIMARY KEY (id, label, outcome)
) WITHOUT ROWID;
CREATE TABLE person (n INTEGER PRIMARY KEY, space TEXT NOT NULL, key TEXT NOT NULL, named INT NOT NULL, UNIQUE (space, key));
CREATE TABLE place (n INTEGER PRIMARY KEY, relation TEXT NOT NULL, key TEXT NOT NULL, UNIQUE (relation, key));
CREATE TABLE held (
    id BLOB, person INT, place INT, now INT NOT NULL, PRIMARY KEY (id, person, place)
) WITHOUT ROWID;
CREATE TEMP TABLE shared (id BLOB PRIMARY KEY) WITHOUT ROWID;
CREATE TEMP TABLE come (id BLOB, space TEXT, person_key TEXT, named INT, relation TEXT, row_key TEXT, now INT);
"""
_ADD: Final = """
INSERT INTO cell VALUES (?, ?, ?, 1, ?, ?) ON CONFLICT DO UPDATE
SET times = times + 1, first = min(first, excluded.first), last = max(last, excluded.last)
"""
_HOLD: Final = """
INSERT OR IGNORE INTO person (space, key, named) SELECT DISTINCT space, person_key, named FROM come;
INSERT OR IGNORE INTO place (relation, key) SELECT DISTINCT relation, row_key FROM come;
INSERT INTO held SELECT c.id, p.n, w.n, max(c.now) FROM come c JOIN person p ON p.space = c.space AND p.key = c.person_key
JOIN place w ON w.relation = c.relation AND w.key = c.row_key WHERE true GROUP BY 1, 2, 3
ON CONFLICT DO UPDATE SET now = max(now, excluded.now);
DELETE FROM come;
"""
# A cell is gone when no row holds it now, and shared when it leads to more than one person.
_ROWS: Final = """
SELECT p.n, p.space, p.key, p.named, w.relation, w.key, l.name, c.outcome,
       count(*), sum(c.times), min(c.first), max(c.last), sum(1 - h.now), sum(s.id IS NOT NULL)
FROM held h JOIN cell c ON c.id = h.id JOIN label l ON l.n = c.label JOIN person p ON p.n = h.person JOIN place w ON w.n = h.place
LEFT JOIN shared s ON s.id = h.id
GROUP BY p.n, w.n, l.n, c.outcome ORDER BY p.named DESC, p.space, length(p.key), p.key, w.relation, length(w.key), w.key, l.name, c.outcome
"""
_SHARED: Final = """
INSERT INTO shared SELECT id FROM held GROUP BY id HAVING count(DISTINCT person) > 1
"""
_TOTALS: Final = """
SELECT l.name, c.outcome, count(*), sum(c.times), min(c.first), max(c.last),
       sum(NOT EXISTS (SELECT 1 FROM held h WHERE h.id = c.id)),
       sum(EXISTS (SELECT 1 FROM shared s WHERE s.id = c.id))
FROM cell c JOIN label l ON l.n = c.label GROUP BY 1, 2 ORDER BY 1, 2
"""
_PEOPLE: Final = """
SELECT l.name, c.outcome, count(DISTINCT h.person), count(DISTINCT h.place)
FROM held h JOIN cell c ON c.id = h.id JOIN label l ON l.n = c.label GROUP BY 1, 2
"""


class Seen(NamedTuple):
    """What was seen of one row's cells of one column with one outcome.

    cells   different stored values (a value that was replaced is another one)
    times   how often they were delivered (written, compared), all together
    gone    of `cells`, those that no row holds any more: updated or deleted since
    shared  of `cells`, those that lead to other people as well: every one of them is told of it
    """

    relation: str
    row: dict[str, object]
    """Its key's columns and values."""
    column: str
    outcome: str
    cells: int
    times: int
    first: int
    last: int
    """Epoch milliseconds."""
    gone: int
    shared: int


class Person(NamedTuple):
    """Somebody whose data it was: by the subject's columns of `table`. `named` False: a row, of a table that names nobody."""

    table: str
    key: tuple[str | None, ...]
    named: bool
    seen: tuple[Seen, ...]


class Total(NamedTuple):
    """Of one column and outcome. `nowhere`: cells that no row has, nor had as far as is known."""

    column: str
    outcome: str
    cells: int
    times: int
    first: int
    last: int
    nowhere: int
    shared: int
    people: int
    rows: int


class Gathered:
    """First `add` all cells, then `hold` all rows, then ask."""

    def __init__(self) -> None:
        self._db = sqlite3.connect("", isolation_level=None)
        self._db.executescript(
            f"PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA cache_size = -{_CACHE_KIB}; {_SCHEMA} BEGIN;"
        )
        self._labels: dict[str, int] = {}
        self._complete = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._db.close()

    def add(self, column: str, outcome: str, ids: Iterable[bytes], time: int) -> None:
        """Each id once for each time that the cell was delivered."""
        label, kind = self._label(column), OUTCOMES.index(outcome)
        self._db.executemany(_ADD, ((cell, label, kind, time, time) for cell in ids))

    def batches(self, size: int) -> Iterator[list[bytes]]:
        """All ids, each once, in order."""
        after = b""
        while True:
            rows = self._db.execute(
                "SELECT DISTINCT id FROM cell WHERE id > ? ORDER BY id LIMIT ?", (after, size)
            ).fetchall()
            if not rows:
                return
            yield [row[0] for row in rows]
            after = rows[-1][0]

    @property
    def cells(self) -> int:
        """Different stored values."""
        count: int = self._db.execute("SELECT count(DISTINCT id) FROM cell").fetchone()[0]
        return count

    def hold(self, rows: Iterable[tuple[bytes, str, str, bool, str, str, bool]]) -> None:
        """Rows that hold cells, or held: id, the person's table and key (JSON), whether that is a person, relation and key (JSON) of the row, now."""
        self._db.executemany("INSERT INTO come VALUES (?, ?, ?, ?, ?, ?, ?)", rows)
        for statement in _HOLD.split(";")[:-1]:
            self._db.execute(statement)

    def people(self) -> Iterator[Person]:
        """Those of whom something was seen, and then the rows that name nobody; one at a time."""
        self._finish()
        rows = self._db.execute(_ROWS)
        for _, group in groupby(rows, key=lambda row: row[0]):
            found = list(group)
            _, space, key, named, *_ = found[0]
            seen = tuple(
                Seen(relation, json.loads(row), column, OUTCOMES[outcome], *counts)
                for _, _, _, _, relation, row, column, outcome, *counts in found
            )
            yield Person(space, tuple(json.loads(key)), bool(named), seen)

    def totals(self) -> list[Total]:
        """Per column and outcome."""
        self._finish()
        held = {(name, outcome): counts for name, outcome, *counts in self._db.execute(_PEOPLE)}
        return [
            Total(name, OUTCOMES[outcome], *counts, *held.get((name, outcome), (0, 0)))
            for name, outcome, *counts in self._db.execute(_TOTALS)
        ]

    @property
    def people_count(self) -> int:
        """How many people, without rows that name nobody."""
        count: int = self._db.execute(
            "SELECT count(DISTINCT h.person) FROM held h JOIN person p ON p.n = h.person WHERE p.named"
        ).fetchone()[0]
        return count

    def _finish(self) -> None:
        if not self._complete:
            self._db.execute(_SHARED)
            self._complete = True

    def _label(self, name: str) -> int:
        found = self._labels.get(name)
        if found is None:
            found = self._labels[name] = len(self._labels)
            self._db.execute("INSERT INTO label VALUES (?, ?)", (found, name))
        return found
