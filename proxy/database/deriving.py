"""Gives the rows of a sealed table the terms that are declared now, while everybody works. [io: asyncpg]

Passes over the table, block by block, in short transactions: read a few thousand rows, open their values, compute what terms they
should carry, and update those that carry others. Nothing is remembered between two batches, so a pass that was killed is simply begun
again: what it had done is found right. No lock is held that a reader or a writer would wait for, but those of the rows of one batch.

- **A concurrent writer wins.** A row is updated only where each value is still the one that was read (WHERE c = old). A sealed
  value's nonce makes it unique, so the same bytes are the same value. What the writer left behind is judged by the next pass.
- **Which rows.** Those whose flags or terms, byte by byte, are not what sealing the plaintext anew gives. That holds for every
  change of the declaration: a kind more or less, another length of grams, other paths, another search group.
- **Until there is nothing left.** Updated rows move, also to where a pass has been. A table is done after a pass in
  which nothing was to be changed: that pass is the verification, since every value was opened and its terms computed.

Rows are found by ctid, table by table of a tree (TID range scans, PostgreSQL 14 and later), so no primary key is needed.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import asyncpg

from keystore import Keyset
from keystore.sealed import terms_by_flag, terms_end
from proxy.assurance import receding
from proxy.database.look import fixed_names
from proxy.database.sealing import (
    BATCH_BYTES,
    BATCH_ROWS,
    Progress,
    Report,
    opener,
    sealer,
)
from proxy.database.steps import ColumnSteps, TableSteps, identifier, qualified

UPDATED_ROWS = 1000
"""Rows of one transaction: they are locked until it ends."""
_ATTEMPTS = 5
_LOCK_SECONDS = 2
_LOOK_SECONDS = 0.1
_FIRST_BLOCKS = 16
_MOST_BLOCKS = 4096


async def derive_terms(
    connection: asyncpg.Connection,
    steps: TableSteps,
    keyset: Keyset,
    progress: Report,
    *,
    passes: int,
    without_triggers: bool,
) -> tuple[int, bool]:
    """Rows updated, and whether a pass found none that had to be, or after the first one none that lacked a declared term:
    a proxy that still writes terms which are declared no more keeps nobody waiting. Raises CannotSeal for a stored value that does not open.

    passes            at most; others may write as fast as this rewrites
    without_triggers  keep the table's own triggers and rules out (session_replication_role; needs a superuser)
    """
    columns = [_Column.of(column, keyset) for column in steps.derived]
    updated = 0
    for number in range(passes):
        changed, lacking = await _pass(connection, steps, columns, progress, without_triggers)
        updated += changed
        if not changed or (number and not lacking):
            return updated, True
    return updated, False


@dataclass(frozen=True, slots=True)
class _Column:
    quoted: str
    open: Callable[[bytes], bytes]
    seal: Callable[[bytes], bytes]

    @classmethod
    def of(cls, steps: ColumnSteps, keyset: Keyset) -> _Column:
        declared = steps.declared
        return cls(
            quoted=steps.facts.quoted,
            open=opener(declared.label, keyset.data_keys),
            seal=sealer(declared, keyset.column(declared.label)),
        )

    def renewed(self, value: bytes | None) -> bytes | None:
        """The value with the declared terms; the very same object where it has them."""
        if value is None:
            return None
        fresh = self.seal(self.open(value))
        return value if terms_of(value) == terms_of(fresh) else fresh


def terms_of(value: bytes) -> tuple[int, bytes]:
    """Flags and terms."""
    return value[3], value[8 : terms_end(value)]


def _lacks(value: bytes | None, fresh: bytes | None) -> bool:
    """Has `value` not all of the terms of `fresh`?"""
    if value is fresh or value is None or fresh is None:
        return False
    held = terms_by_flag(value)
    return any(held.get(flag) != term for flag, term in terms_by_flag(fresh).items())


async def _pass(
    connection: asyncpg.Connection,
    steps: TableSteps,
    columns: Sequence[_Column],
    progress: Report,
    without_triggers: bool,
) -> tuple[int, int]:
    """Rows that were to be changed: updated, or left to the next pass because somebody else changed them. And how many
    of them lacked a term.
    """
    label = steps.table.label
    done = changed = lacking = 0
    total = max(steps.table.rows_estimate, 0)
    progress(Progress(label, "derive", 0, total))
    for member in steps.table.members:
        if member.kind != "r":
            continue
        async for rows in _read(connection, member.label, columns):
            stale = [renewed for row in rows if (renewed := _renewed(row, columns)) is not None]
            for start in range(0, len(stale), UPDATED_ROWS):
                batch = stale[start : start + UPDATED_ROWS]
                missed = await _update(connection, member.label, columns, batch, without_triggers)
                await _follow(connection, member.label, columns, missed, without_triggers)
            changed += len(stale)
            width = len(columns)
            lacking += sum(any(map(_lacks, row[1 : 1 + width], row[1 + width :])) for row in stale)
            done += len(rows)
            progress(Progress(label, "derive", done, max(total, done)))
    return changed, lacking


def _renewed(row: Sequence[Any], columns: Sequence[_Column]) -> tuple[Any, ...] | None:
    """ctid, the values as they were, the values as they should be; None where they are."""
    place, *old = row
    new = [column.renewed(value) for column, value in zip(columns, old, strict=True)]
    if all(a is b for a, b in zip(old, new, strict=True)):
        return None
    return (place, *old, *new)


async def _follow(
    connection: asyncpg.Connection,
    table: str,
    columns: Sequence[_Column],
    missed: set[int],
    without_triggers: bool,
) -> None:
    """Once more the blocks in which rows were changed by somebody else: most stay in their block (HOT), and a pass is long."""
    for _ in range(_ATTEMPTS):
        again: set[int] = set()
        for block in missed:
            rows = await _blocks(connection, table, columns, block, block + 1)
            stale = [renewed for row in rows if (renewed := _renewed(row, columns)) is not None]
            if stale:
                again |= await _update(connection, table, columns, stale, without_triggers)
        missed = again


async def _read(
    connection: asyncpg.Connection, table: str, columns: Sequence[_Column]
) -> AsyncIterator[list[Sequence[Any]]]:
    """The rows of one table that have any value, in batches of bounded bytes; by the size it had at the start."""
    blocks = await connection.fetchval(
        "SELECT pg_catalog.pg_relation_size($1::pg_catalog.text::pg_catalog.regclass)"
        " / pg_catalog.current_setting('block_size')::pg_catalog.int8",
        qualified(table),
    )
    at, step = 0, _FIRST_BLOCKS
    while at < blocks:
        rows = await _blocks(connection, table, columns, at, at + step)
        yield rows
        at += step
        held = sum(len(value) for row in rows for value in row[1:] if value is not None)
        if held > BATCH_BYTES or len(rows) > BATCH_ROWS:
            step = max(step // 2, 1)
        elif held * 2 < BATCH_BYTES and len(rows) * 2 < BATCH_ROWS:
            step = min(step * 2, _MOST_BLOCKS)


async def _blocks(
    connection: asyncpg.Connection, table: str, columns: Sequence[_Column], start: int, end: int
) -> list[Sequence[Any]]:
    """ctid and values of the rows in these blocks that have any."""
    reads = ", ".join(f"{column.quoted}::pg_catalog.bytea" for column in columns)
    some = " OR ".join(f"{column.quoted} IS NOT NULL" for column in columns)
    async with fixed_names(connection, readonly=True):
        # Rows that are hidden from us are an error.
        await connection.execute("SET LOCAL row_security = off")
        rows: list[Sequence[Any]] = await connection.fetch(
            f"SELECT ctid, {reads} FROM ONLY {qualified(table)}"  # noqa: S608
            f" WHERE ctid >= $1 AND ctid < $2 AND ({some})",
            (start, 0),
            (end, 0),
        )
    return rows


async def _update(
    connection: asyncpg.Connection,
    table: str,
    columns: Sequence[_Column],
    batch: Sequence[tuple[Any, ...]],
    without_triggers: bool,
) -> set[int]:
    """Those rows whose values are still the old ones. The blocks of the others, which somebody else changed, or holds."""
    width = len(columns)
    names = [f"o{n}" for n in range(width)] + [f"n{n}" for n in range(width)]
    given = ", ".join(f"${n}::pg_catalog.bytea[]" for n in range(2, 2 + 2 * width))
    sets = ", ".join(f"{column.quoted} = new.n{n}" for n, column in enumerate(columns))
    still = " AND ".join(
        f"it.{column.quoted}::pg_catalog.bytea IS NOT DISTINCT FROM new.o{n}"
        for n, column in enumerate(columns)
    )
    statement = (
        f"UPDATE ONLY {qualified(table)} AS it SET {sets}"  # noqa: S608
        f" FROM unnest($1::pg_catalog.tid[], {given}) AS new (place, {', '.join(names)})"
        f" WHERE it.ctid = new.place AND {still} RETURNING new.place"
    )
    values = [list(column) for column in zip(*batch, strict=True)]
    updated: set[tuple[int, int]] = set()
    try:
        async with _updating(connection, without_triggers):
            updated = {row[0] for row in await connection.fetch(statement, *values)}
    except (asyncpg.DeadlockDetectedError, asyncpg.LockNotAvailableError):
        updated = set()
    return {place[0] for place in values[0] if place not in updated}


@asynccontextmanager
async def _updating(connection: asyncpg.Connection, without_triggers: bool) -> AsyncIterator[None]:
    async with fixed_names(connection):
        # Each row by its ctid: a hash join would read the whole table for every batch.
        await connection.execute(
            "SET LOCAL enable_hashjoin = off; SET LOCAL enable_mergejoin = off; SET LOCAL enable_seqscan = off;"
            f" SET LOCAL row_security = off; SET LOCAL lock_timeout = '{_LOCK_SECONDS}s'"
        )
        if without_triggers:
            await connection.execute("SET LOCAL session_replication_role = replica")
        yield


async def recede(connection: asyncpg.Connection, steps: TableSteps, seconds: float) -> None:
    """Takes back what the server says of terms that are about to change, and still has it refuse rows without them.

    A proxy that was reloaded already would write such, and one that has not looked at the catalog yet miss them.
    Raises asyncpg.LockNotAvailableError.
    """
    async with fixed_names(connection):
        await connection.execute(f"SET LOCAL lock_timeout = {max(1, round(seconds * 1000))}")
        for column in steps.columns:
            held = {found.name for found in column.facts.assurances}
            for old in column.stale:
                name = receding(old.name)
                if name not in held:
                    await connection.execute(
                        f"ALTER TABLE {steps.table.qualified} RENAME CONSTRAINT {identifier(old.name)} TO {identifier(name)}"
                    )


async def withdraw(connection: asyncpg.Connection, steps: TableSteps, seconds: float) -> None:
    """From now on rows may lose those terms. Raises asyncpg.LockNotAvailableError."""
    async with fixed_names(connection):
        await connection.execute(f"SET LOCAL lock_timeout = {max(1, round(seconds * 1000))}")
        for column in steps.columns:
            for old in column.stale:
                for name in (old.name, receding(old.name)):
                    await connection.execute(
                        f"ALTER TABLE {steps.table.qualified} DROP CONSTRAINT IF EXISTS {identifier(name)}"
                    )


async def forbid(connection: asyncpg.Connection, steps: TableSteps, seconds: float) -> None:
    """From now on the server refuses values without the declared terms.

    Wants the table to itself for a moment. Raises asyncpg.LockNotAvailableError where it is busy.
    """
    async with fixed_names(connection):
        await connection.execute(f"SET LOCAL lock_timeout = {max(1, round(seconds * 1000))}")
        for column in steps.columns:
            for wanted in column.unassured:
                if not await connection.fetchval(
                    "SELECT true FROM pg_catalog.pg_constraint WHERE conrelid = $1 AND conname = $2",
                    steps.table.oid,
                    wanted.name,
                ):
                    await connection.execute(
                        f"ALTER TABLE {steps.table.qualified} ADD CONSTRAINT {identifier(wanted.name)}"
                        f" CHECK ({wanted.expression}) NOT VALID"
                    )


async def assure(connection: asyncpg.Connection, steps: TableSteps) -> None:
    """Has the server see for itself that what it now refuses was not written before, while everybody works.

    Raises asyncpg.CheckViolationError where it was.
    """
    await _older_snapshots(connection)
    for column in steps.columns:
        for wanted in column.unassured:
            async with fixed_names(connection):
                await connection.execute(
                    f"ALTER TABLE {steps.table.qualified} VALIDATE CONSTRAINT {identifier(wanted.name)}"
                )


async def _older_snapshots(connection: asyncpg.Connection) -> None:
    """Waits, as CREATE INDEX CONCURRENTLY does, for transactions that may see rows as they were before they were updated.

    Such a one (REPEATABLE READ) would compare by terms that its rows do not have, once the server vouches for them.
    """
    waiting: set[tuple[int, str]] | None = None
    while waiting is None or waiting:
        async with fixed_names(connection, readonly=True):
            found = {(row[0], row[1]) for row in await connection.fetch(_SNAPSHOTS)}
        waiting = found if waiting is None else waiting & found
        if waiting:
            await asyncio.sleep(_LOOK_SECONDS)


# Of every role's sessions, whatever ours may see of them: process, transaction. No vacuum has a user, or reads values.
_SNAPSHOTS = """
SELECT a.pid, l.virtualtransaction
FROM pg_catalog.pg_stat_activity a JOIN pg_catalog.pg_locks l ON l.pid = a.pid AND l.locktype = 'virtualxid' AND l.granted
WHERE a.datname = pg_catalog.current_database() AND a.usesysid IS NOT NULL AND a.backend_xmin IS NOT NULL
  AND a.pid <> pg_catalog.pg_backend_pid()
"""
