"""Seals the rows of one table, inside one transaction that holds its lock. [io: asyncpg]

How, and why so. The values must be sealed here: the server never sees a key. ALTER COLUMN TYPE ... USING keeps the
column's position, its privileges, NOT NULL and all that hangs on other columns, and rewrites the table once for
several columns. USING admits no subquery, but a function call, and it sees the old row's `tableoid` and `ctid`. So:

1. read every row's (tableoid, ctid) and values, in PostgreSQL's binary form, through a cursor, in batches;
2. seal them, COPY them to a temporary table keyed by (tableoid, ctid), which the lock keeps still;
3. ALTER TABLE ... TYPE sealgate.sealed_x USING pg_temp.lookup(tableoid, ctid). The lookup raises for a row it does not
   know, so no row can lose its value silently. No primary key is needed, and partitions need nothing special;
4. read the table again, open every value, and compare a digest over (primary key, plaintexts) of all rows with the
   digest taken in step 1. It does not depend on the order of rows.

Anything that fails raises, and the caller's transaction takes everything back. Only sealed values are ever sent to
the server; no plaintext reaches its log, its temporary files or its WAL from here.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import asyncpg

from keystore import ColumnKeys, DataKey, Keyset, TamperedValue, key_id, looks_sealed
from proxy.catalog import SealedColumn
from proxy.cells import CellError, LogicalType, Settings
from proxy.database.obstacles import drops_default
from proxy.database.steps import (
    ColumnSteps,
    NewIndex,
    TableSteps,
    identifier,
    qualified,
)
from proxy.terms import StoredTerms

BATCH_BYTES = 4 << 20
BATCH_ROWS = 8192
STAGING = "sealgate_staging"
LOOKUP = "sealgate_lookup"
_EXCLUSIVE = "ACCESS EXCLUSIVE"
_cursors = itertools.count(1)

SEND: Mapping[str, str] = {
    "text": "textsend",
    "varchar": "varcharsend",
    "bpchar": "bpcharsend",
    "int2": "int2send",
    "int4": "int4send",
    "int8": "int8send",
    "numeric": "numeric_send",
    "float4": "float4send",
    "float8": "float8send",
    "bool": "boolsend",
    "date": "date_send",
    "timestamp": "timestamp_send",
    "timestamptz": "timestamptz_send",
    "uuid": "uuid_send",
    "json": "json_send",
    "jsonb": "jsonb_send",
    "bytea": "byteasend",
}
"""PostgreSQL's functions for the binary form that is the canonical plaintext."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a table is. phase: "seal", "rewrite", "verify", "notice", "derive", "index", "assure"; rows (of "index": indexes) done of total."""

    table: str
    phase: str
    done: int
    total: int


Report = Callable[[Progress], None]


class CannotSeal(Exception):
    """What the table holds forbids it; the text says which rule, never a value."""

    def __init__(self, label: str, problem: str, fix: str) -> None:
        super().__init__(f"{label}: {problem}. {fix}")
        self.label = label
        self.problem = problem
        self.fix = fix


class TableBusy(Exception):
    """The lock was not to be had in time."""


async def lock(connection: asyncpg.Connection, table: str, seconds: float) -> None:
    """ACCESS EXCLUSIVE on the table and its children until the transaction ends. Raises TableBusy after `seconds`.

    Who waits for this lock lets everybody else wait behind it, so the time is short.
    """
    await connection.execute(f"SET LOCAL lock_timeout = {max(1, round(seconds * 1000))}")
    try:
        await connection.execute(f"LOCK TABLE {qualified(table)} IN {_EXCLUSIVE} MODE")
    except asyncpg.LockNotAvailableError:
        raise TableBusy(table) from None


async def seal_rows(
    connection: asyncpg.Connection, steps: TableSteps, keyset: Keyset, progress: Report
) -> int:
    """Everything but index creation. Returns the number of rows."""
    columns = [_Column.of(column, keyset) for column in steps.rewritten]
    total = await _count(connection, steps)
    await _create_staging(connection, len(columns))
    before = await _stage(connection, steps, columns, total, progress)
    await connection.execute(f"ALTER TABLE pg_temp.{STAGING} ADD PRIMARY KEY (relation, tuple)")
    await connection.execute(f"ANALYZE pg_temp.{STAGING}")
    progress(Progress(steps.table.label, "rewrite", 0, total))
    await _rewrite(connection, steps)
    await _assure(connection, steps)
    await _drop_staging(connection, len(columns))
    progress(Progress(steps.table.label, "rewrite", total, total))
    after = await _verify(connection, steps, columns, total, progress)
    if before != after:
        raise CannotSeal(
            steps.table.label,
            f"the rows read back ({after.rows}) are not those that were sealed ({before.rows})",
            "Nothing was changed. This is a fault in Sealgate: report it.",
        )
    return before.rows


async def recreate_index(connection: asyncpg.Connection, index: NewIndex) -> None:
    for statement in index.statements():
        try:
            await connection.execute(statement)
        except asyncpg.UniqueViolationError:  # its DETAIL quotes the key
            raise CannotSeal(
                index.table,
                f"index {index.name} cannot be unique over the sealed values",
                "Two values that SQL called different have one equality form; remove one of them.",
            ) from None


@dataclass(frozen=True, slots=True)
class Digest:
    """Of a set of rows, in any order: their number and the sum of their hashes."""

    rows: int
    total: int


class _Sum:
    """Adds rows up to a Digest. A row is its primary key's text and its plaintexts, None for NULL."""

    __slots__ = ("_rows", "_total")

    def __init__(self) -> None:
        self._rows = 0
        self._total = 0

    def add(self, key: str, plaintexts: Iterable[bytes | None]) -> None:
        digest = hashlib.sha256(key.encode() + b"\0")
        for plaintext in plaintexts:
            digest.update(b"-" if plaintext is None else b"+%d:" % len(plaintext))
            digest.update(plaintext or b"")
        self._rows += 1
        self._total += int.from_bytes(digest.digest(), "big")

    @property
    def digest(self) -> Digest:
        return Digest(self._rows, self._total % (1 << 256))


@dataclass(frozen=True, slots=True)
class _Column:
    """One column's way from what the cursor gives to what is stored, and back."""

    label: str
    read: str
    """SQL expression that yields the plain value's binary form."""
    plaintext: Callable[[bytes], bytes]
    seal: Callable[[bytes], bytes]
    open: Callable[[bytes], bytes]

    @classmethod
    def of(cls, steps: ColumnSteps, keyset: Keyset) -> _Column:
        label, logical = steps.declared.label, steps.declared.type
        keys = keyset.column(label)
        return cls(
            label=label,
            read=f"pg_catalog.{SEND[logical.name]}({steps.facts.quoted})",
            plaintext=plain_reader(label, logical),
            seal=sealer(steps.declared, keys),
            open=opener(label, keyset.data_keys),
        )


def sealer(column: SealedColumn, keys: ColumnKeys) -> Callable[[bytes], bytes]:
    """From a canonical plaintext to the sealed value with all terms that the column declares."""
    terms = StoredTerms(column, keys)
    if terms.equality is None and terms.plain:
        return keys.seal

    def seal(canonical: bytes) -> bytes:
        try:
            return terms.seal(canonical)
        except CellError as error:
            raise CannotSeal(
                column.label,
                f"it holds a value that cannot have the search terms it needs ({error.message})",
                "Correct the value, or declare less search.",
            ) from None

    return seal


def plain_reader(label: str, logical: LogicalType) -> Callable[[bytes], bytes]:
    """From the server's binary form of a plain value to the canonical plaintext."""
    decode = logical.decoder(1, Settings())

    def plaintext(value: bytes) -> bytes:
        try:
            return decode(value)
        except CellError as error:
            raise CannotSeal(
                label,
                f"it holds a value that is none of its type as Sealgate reads it ({error.message})",
                "Correct the value; in a SQL_ASCII database text must be UTF-8.",
            ) from None

    return plaintext


def opener(label: str, data_keys: Mapping[int, DataKey]) -> Callable[[bytes], bytes]:
    """From a stored value of the column to its plaintext; raises CannotSeal for one that is not the column's."""

    def opened(value: bytes) -> bytes:
        key = data_keys.get(key_id(value)) if looks_sealed(value) else None
        if key is None or key.column != label:
            of = f"for {key.column}" if key else "under a key that the keystore does not have"
            raise CannotSeal(
                label,
                f"it holds values sealed {of}",
                "Bring in that key, or move the values through the proxy.",
            )
        try:
            return key.open(value)
        except TamperedValue:
            raise CannotSeal(
                label,
                "it holds a sealed value that does not authenticate",
                "Restore it from a backup; `sealgate check` finds the rest.",
            ) from None

    return opened


async def _count(connection: asyncpg.Connection, steps: TableSteps) -> int:
    # row_security = off turns rows hidden from us into an error.
    await connection.execute("SET LOCAL row_security = off")
    count: int = await connection.fetchval(f"SELECT count(*) FROM {steps.table.qualified}")  # noqa: S608
    return count


async def _create_staging(connection: asyncpg.Connection, width: int) -> None:
    columns = "".join(f", c{n} bytea" for n in range(width))
    await connection.execute(
        f"CREATE TEMPORARY TABLE {STAGING} (relation oid, tuple tid{columns}) ON COMMIT DROP"
    )
    for n in range(width):
        # STRICT: a row that was not staged stops the rewrite. plpgsql keeps the plan over a million calls.
        await connection.execute(
            f"CREATE FUNCTION pg_temp.{LOOKUP}_{n}(oid, tid) RETURNS bytea LANGUAGE plpgsql STABLE"  # noqa: S608
            f" AS $lookup$ DECLARE found bytea; BEGIN SELECT c{n} INTO STRICT found"
            f" FROM pg_temp.{STAGING} WHERE relation = $1 AND tuple = $2; RETURN found; END $lookup$"
        )


async def _drop_staging(connection: asyncpg.Connection, width: int) -> None:
    for n in range(width):
        await connection.execute(f"DROP FUNCTION pg_temp.{LOOKUP}_{n}(oid, tid)")
    await connection.execute(f"DROP TABLE pg_temp.{STAGING}")


async def _stage(
    connection: asyncpg.Connection,
    steps: TableSteps,
    columns: Sequence[_Column],
    total: int,
    progress: Report,
) -> Digest:
    label, rows = steps.table.label, _Sum()
    names = ["relation", "tuple", *(f"c{n}" for n in range(len(columns)))]
    reads = ", ".join(["tableoid", "ctid", _key(steps), *(c.read for c in columns)])
    done = 0
    progress(Progress(label, "seal", 0, total))
    async with _cursor(connection, f"SELECT {reads} FROM {steps.table.qualified}") as batches:  # noqa: S608
        async for batch in batches:
            staged = [_staged(record, columns, rows) for record in batch]
            await connection.copy_records_to_table(
                STAGING, schema_name="pg_temp", columns=names, records=staged
            )
            done += len(batch)
            progress(Progress(label, "seal", done, total))
    kept = await connection.fetchval(f"SELECT count(*) FROM pg_temp.{STAGING}")  # noqa: S608
    if not done == kept == total:
        raise CannotSeal(
            label,
            f"{total} rows were counted, {done} read, {kept} staged",
            "Nothing was changed. This is a fault in Sealgate: report it.",
        )
    return rows.digest


def _staged(record: Sequence[Any], columns: Sequence[_Column], rows: _Sum) -> tuple[Any, ...]:
    relation, place, key, *values = record
    plaintexts = [
        None if value is None else column.plaintext(value)
        for column, value in zip(columns, values, strict=True)
    ]
    rows.add(key, plaintexts)
    sealed = (
        None if plaintext is None else column.seal(plaintext)
        for column, plaintext in zip(columns, plaintexts, strict=True)
    )
    return (relation, place, *sealed)


async def _rewrite(connection: asyncpg.Connection, steps: TableSteps) -> None:
    for index in steps.dropped:
        if index.constraint:
            await connection.execute(
                f"ALTER TABLE {qualified(index.table)} DROP CONSTRAINT {identifier(index.constraint)}"
            )
        else:
            await connection.execute(
                f"DROP INDEX {identifier(index.schema)}.{identifier(index.name)}"
            )
    changes = []
    for n, column in enumerate(steps.rewritten):
        alter = f"ALTER COLUMN {column.facts.quoted}"
        if drops_default(column.facts):
            changes.append(f"{alter} DROP DEFAULT")
        changes.append(f"{alter} TYPE {column.domain} USING pg_temp.{LOOKUP}_{n}(tableoid, ctid)")
    await connection.execute(f"ALTER TABLE {steps.table.qualified} {', '.join(changes)}")


async def _assure(connection: asyncpg.Connection, steps: TableSteps) -> None:
    """The server's word that all values carry their terms: checked row by row, as nobody else is there."""
    for column in steps.rewritten:
        for wanted in column.unassured:
            await connection.execute(
                f"ALTER TABLE {steps.table.qualified} ADD CONSTRAINT {identifier(wanted.name)} CHECK ({wanted.expression})"
            )


async def _verify(
    connection: asyncpg.Connection,
    steps: TableSteps,
    columns: Sequence[_Column],
    total: int,
    progress: Report,
) -> Digest:
    rows, done = _Sum(), 0
    reads = ", ".join([_key(steps), *(f"{c.facts.quoted}::bytea" for c in steps.rewritten)])
    async with _cursor(connection, f"SELECT {reads} FROM {steps.table.qualified}") as batches:  # noqa: S608
        async for batch in batches:
            for key, *values in batch:
                rows.add(
                    key,
                    [
                        None if value is None else column.open(value)
                        for column, value in zip(columns, values, strict=True)
                    ],
                )
            done += len(batch)
            progress(Progress(steps.table.label, "verify", done, total))
    return rows.digest


def _key(steps: TableSteps) -> str:
    """The primary key as one text, so that the digest knows whose value is whose; nothing where there is none."""
    key = steps.table.primary_key
    return f"ROW({', '.join(key)})::text" if key else "''"


@asynccontextmanager
async def _cursor(
    connection: asyncpg.Connection, query: str
) -> AsyncIterator[AsyncIterator[list[Sequence[Any]]]]:
    """The query's rows in batches of bounded bytes. Closed before ALTER TABLE, which an open cursor forbids."""
    # A name of its own each time: asyncpg keeps what it learned of FETCH's columns by the statement's text.
    name = f"sealgate_rows_{next(_cursors)}"
    await connection.execute(f"DECLARE {name} NO SCROLL CURSOR FOR {query}")
    yield _batches(connection, name)
    await connection.execute(f"CLOSE {name}")


async def _batches(
    connection: asyncpg.Connection, cursor: str
) -> AsyncIterator[list[Sequence[Any]]]:
    size = 64
    while batch := await connection.fetch(f"FETCH FORWARD {size} FROM {cursor}"):
        yield batch
        held = sum(len(v) for record in batch for v in record if isinstance(v, bytes | str))
        if held * 2 < BATCH_BYTES:
            size = min(size * 2, BATCH_ROWS)
        elif held > BATCH_BYTES:
            size = max(size // 2, 1)
