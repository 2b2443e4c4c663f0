"""What apply did, or would do: values, and the lines that people read."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from proxy.database.obstacles import Obstacle


@dataclass(frozen=True, slots=True)
class ColumnReport:
    column: str
    action: str
    """seal, derive, keep"""
    type: str
    search: str
    """The kinds of terms its values carry, for people."""


@dataclass(frozen=True, slots=True)
class TermReport:
    """What one kind of term would cost: bytes in each value, bytes of its index, and of that a row's part."""

    column: str
    term: str
    value_bytes: float
    index_bytes: int
    entry_bytes: float


@dataclass(frozen=True, slots=True)
class TableReport:
    """One table. Bytes are of the table with TOAST, of all its indexes, of the temporary copy; None: not measured."""

    table: str
    columns: tuple[ColumnReport, ...]
    rows: int | None = None
    table_bytes_before: int | None = None
    table_bytes_after: int | None = None
    index_bytes_before: int | None = None
    index_bytes_after: int | None = None
    staging_bytes: int | None = None
    dead_bytes: int | None = None
    """Of `table_bytes_after`, dead rows that a pass leaves until VACUUM."""
    terms: tuple[TermReport, ...] = ()
    seconds: float | None = None
    """How long the table is locked."""
    derived: int | None = None
    """Rows that were given other terms."""
    derived_seconds: float | None = None
    """How long terms and indexes took, while everybody worked."""
    indexes: tuple[str, ...] = ()
    """The statements that create them."""
    history: tuple[str, ...] = ()
    """What is changed of the triggers that keep where values stood that are gone."""
    notes: tuple[str, ...] = ()
    changes: bool = False
    """There is something to do, or was."""
    done: bool = False


@dataclass(frozen=True, slots=True)
class ApplyReport:
    """`obstacles` empty: all is in line (or, in a dry run, could be). What `done` says was committed."""

    dry_run: bool
    schema: tuple[str, ...] = ()
    tables: tuple[TableReport, ...] = ()
    obstacles: tuple[Obstacle, ...] = ()
    begun: bool = False
    """Rows or indexes of some table were being changed, perhaps not to the end."""

    @property
    def ok(self) -> bool:
        return not self.obstacles

    @property
    def changed(self) -> bool:
        """Something was committed; always False for a dry run."""
        done = self.begun or bool(self.schema) or any(t.done for t in self.tables)
        return not self.dry_run and done

    def changes(self) -> Iterator[str]:
        """What was committed, by names only: `seal public.customers.email`."""
        yield from self.schema
        for table in self.tables:
            if table.done:
                yield from (f"{c.action} {c.column}" for c in table.columns if c.action != "keep")
                yield from table.indexes
            elif self.begun and table.changes:
                yield f"begun: {table.table}"

    def as_json(self) -> dict[str, Any]:
        return {**asdict(self), "ok": self.ok, "changed": self.changed}

    def lines(self) -> Iterator[str]:
        """What people read, most important last."""
        verb = "would " if self.dry_run else ""
        if len(self.schema) > _MANY:
            yield f"{verb}{self.schema[0]} and what is in it ({len(self.schema)} changes)"
        else:
            yield from (f"{verb}{said}" for said in self.schema)
        for table in self.tables:
            yield from _table_lines(table, self.dry_run)
        if any(t.changes and any(c.action == "seal" for c in t.columns) for t in self.tables):
            yield _BACKUPS
        if self.obstacles and not self.changed:
            yield (
                "nothing is changed, because:"
                if not self.dry_run
                else "nothing would be changed, because:"
            )
        for obstacle in self.obstacles:
            yield f"refused: {obstacle}"
        if self.ok and not self.schema and not any(t.changes for t in self.tables):
            yield "nothing to do: the database is in line with the configuration"


_MANY = 4
_BACKUPS = (
    "note: the rewrite leaves no old rows in the table, but backups, WAL archives, freed disk blocks and"
    " server logs from before it hold plaintext; take a fresh base backup and let the old ones expire"
)


def _table_lines(table: TableReport, dry_run: bool) -> Iterator[str]:
    if not table.changes:
        yield f"{table.table}: in line"
    for column in table.columns if table.changes else ():
        terms = f"{column.search} terms" if column.search else "no terms"
        done = table.done and not dry_run
        if column.action == "derive" and not table.derived and table.derived is not None:
            said = "would come to vouch" if dry_run else "vouches"
            yield f"{column.column}: has {terms}, for which the server {said}"
            continue
        if column.action == "derive":
            yield f"{column.column}: {'given' if done else 'would be given'} {terms}"
            continue
        said = "in line" if column.action == "keep" else "sealed" if done else "would seal"
        yield f"{column.column}: {said} as {column.type}{f' with {terms}' if column.search else ''}"
    if table.table_bytes_before is not None and table.table_bytes_after is not None:
        yield (
            f"{table.table}: {_rows(table.rows)}, table {_size(table.table_bytes_before)} ->"
            f" {'about ' if dry_run else ''}{_size(table.table_bytes_after)}, indexes"
            f" {_size(table.index_bytes_before or 0)} -> {'about ' if dry_run else ''}{_size(table.index_bytes_after or 0)}"
            + (
                f", of the table {_size(table.dead_bytes)} dead rows until VACUUM"
                if table.dead_bytes
                else ""
            )
            + (f", temporary {_size(table.staging_bytes)}" if table.staging_bytes else "")
            + _locked(table, dry_run)
        )
    for term in table.terms:
        yield (
            f"{term.column}: {term.term} terms take {term.value_bytes:.1f} bytes a value,"
            f" their index {_size(term.index_bytes)} ({term.entry_bytes:.1f} bytes a row)"
        )
    if table.derived is not None:
        would, about = ("would be ", "about ") if dry_run else ("", "")
        yield (
            f"{table.table}: {about}{_rows(table.derived)} {would}given other terms in {about}{_took(table.derived_seconds or 0)},"
            " while everybody works"
        )
    for statement in table.indexes:
        yield f"{table.table}: {statement}"
    for said in table.history:
        yield f"{table.table}: {'would ' if dry_run else ''}{said}"
    for note in table.notes:
        yield f"note: {note}"


def _locked(table: TableReport, dry_run: bool) -> str:
    if table.seconds is None:
        return ""
    return f", locked for {'about ' if dry_run else ''}{_took(table.seconds)}"


def _took(time: float) -> str:
    minutes, seconds = divmod(round(time), 60)
    return f"{minutes} min {seconds} s" if minutes else f"{max(seconds, 1)} s"


def _rows(rows: int | None) -> str:
    return "no rows" if not rows else "1 row" if rows == 1 else f"{rows:,} rows"


def _size(size: int) -> str:
    value = float(size)
    for unit in ("bytes", "kB", "MB"):
        if value < 10240:
            return f"{value:.0f} {unit}"
        value /= 1024
    return f"{value:.1f} GB"
