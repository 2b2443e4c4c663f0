"""Indexes on terms, made and dropped while everybody works. To be called `unhurried`. [io: asyncpg]

CREATE INDEX CONCURRENTLY runs in no transaction; broken off, it leaves an index that is not valid, which is dropped here and
made again. On a partitioned table PostgreSQL knows no such thing: there the parent's index is made by itself (ON ONLY; not valid yet),
each partition's concurrently, and attached; with the last one the parent's becomes valid. Empty tables get theirs at once.
Whether an index is there is seen by its definition, so a run that was killed anywhere is gone on with.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

import asyncpg

from proxy.catalog import label_parts
from proxy.database.look import fixed_names
from proxy.database.sealing import CannotSeal
from proxy.database.steps import NewIndex, identifier, new_index, qualified
from proxy.database.tables import ColumnFacts, IndexFacts, Member, TableFacts
from proxy.database.terms import Term

_TIMEOUTS = (
    *("statement_timeout", "lock_timeout", "transaction_timeout"),
    "idle_in_transaction_session_timeout",
)

# An index that is complete but for a predicate, or of another method, serves something else.
_FOUND = """
SELECT x.relname, n.nspname, i.indisvalid AND i.indisready AS valid, h.inhparent IS NOT NULL AS attached
FROM pg_catalog.pg_index i
JOIN pg_catalog.pg_class x ON x.oid = i.indexrelid
JOIN pg_catalog.pg_namespace n ON n.oid = x.relnamespace
JOIN pg_catalog.pg_am m ON m.oid = x.relam
LEFT JOIN pg_catalog.pg_inherits h ON h.inhrelid = i.indexrelid
WHERE i.indrelid = $1::pg_catalog.text::pg_catalog.regclass AND m.amname = $2 AND i.indpred IS NULL AND i.indnatts = 1
  AND pg_catalog.pg_get_indexdef(i.indexrelid, 1, false) = $3
ORDER BY i.indisvalid DESC, i.indexrelid
"""


@dataclass(frozen=True, slots=True)
class _Found:
    schema: str
    name: str
    valid: bool
    attached: bool

    @property
    def qualified(self) -> str:
        return f"{identifier(self.schema)}.{identifier(self.name)}"


async def create_index(
    connection: asyncpg.Connection, table: TableFacts, column: ColumnFacts, term: Term
) -> None:
    """An index on the column's term, on every table of the tree that has none. Not in a transaction."""
    if table.kind == "p":
        await _partitioned(connection, table, column, term)
        return
    for member in table.members:
        if member.kind == "r":
            await _on_table(connection, new_index(member.label, column, term), column, term)


async def drop_index(connection: asyncpg.Connection, index: IndexFacts, partitioned: bool) -> None:
    """Not in a transaction. Of a partitioned table the whole, which cannot be done concurrently."""
    how = "" if partitioned else "CONCURRENTLY "
    await connection.execute(
        f"DROP INDEX {how}IF EXISTS {identifier(index.schema)}.{identifier(index.name)}"
    )


async def free_name(connection: asyncpg.Connection, index: NewIndex) -> NewIndex:
    """A new index's name with a number behind it if it is taken; one that replaces another keeps that one's name."""
    if index.replaces is not None:
        return index
    schema = label_parts(index.table)[0]
    for number in range(1, 1000):
        name = index.name if number == 1 else f"{index.name[:60]}{number}"
        taken = await connection.fetchval(
            "SELECT true FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace"
            " WHERE n.nspname = $1 AND c.relname = $2",
            schema,
            name,
        )
        if not taken:
            return replace(index, name=name)
    raise CannotSeal(index.table, f"no name is free like {index.name}", "Rename some indexes.")


async def _on_table(
    connection: asyncpg.Connection, index: NewIndex, column: ColumnFacts, term: Term
) -> _Found:
    """The valid index of one table, made if need be; what a broken run left is dropped."""
    found = await _look(connection, index.table, column, term)
    if found is None or not found.valid:
        if found is not None:
            await connection.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {found.qualified}")
        index = await free_name(connection, index)
        size = await connection.fetchval(
            "SELECT pg_catalog.pg_relation_size($1::pg_catalog.text::pg_catalog.regclass)",
            qualified(index.table),
        )
        for statement in index.statements(concurrently=size > 0):
            await connection.execute(statement)
        found = await _look(connection, index.table, column, term)
    if found is None or not found.valid:
        raise CannotSeal(
            index.table, f"index {index.name} did not come out valid", "Run apply again."
        )
    return found


async def _partitioned(
    connection: asyncpg.Connection, table: TableFacts, column: ColumnFacts, term: Term
) -> None:
    """Downwards, so that each partition finds its parent's index to be attached to."""
    made: dict[str, _Found] = {}
    for member in table.members:
        index = new_index(member.label, column, term)
        if member.kind == "p":
            found = await _look(connection, member.label, column, term)
            if found is None:
                (statement,) = (await free_name(connection, index)).statements(only=True)
                await connection.execute(statement)
                found = await _look(connection, member.label, column, term)
        else:
            found = await _on_table(connection, index, column, term)
        if found is None:
            raise CannotSeal(
                member.label, f"index {index.name} did not come out", "Run apply again."
            )
        made[member.label] = found
    for member in reversed(table.members):
        await _attach(connection, member, made)


async def _attach(connection: asyncpg.Connection, member: Member, made: dict[str, _Found]) -> None:
    """Upwards, so that a parent's index is valid when it is attached itself."""
    if member.parent is None or made[member.label].attached:
        return
    await connection.execute(
        f"ALTER INDEX {made[member.parent].qualified} ATTACH PARTITION {made[member.label].qualified}"
    )


async def _look(
    connection: asyncpg.Connection, table: str, column: ColumnFacts, term: Term
) -> _Found | None:
    async with fixed_names(connection, readonly=True):
        rows = await connection.fetch(
            _FOUND, qualified(table), term.method, term.expression(column.quoted)
        )
    # Of several an attached one: it is the parent's.
    rows.sort(key=lambda row: not row["attached"])
    return (
        _Found(rows[0]["nspname"], rows[0]["relname"], rows[0]["valid"], rows[0]["attached"])
        if rows
        else None
    )


@asynccontextmanager
async def unhurried(connection: asyncpg.Connection) -> AsyncIterator[None]:
    """Without the login's timeouts, outside of transactions: building an index takes as long as it takes."""
    await connection.execute("SET statement_timeout = 0")
    rows = await connection.fetch(
        "SELECT name, pg_catalog.set_config(name, '0', false) FROM pg_catalog.pg_settings"
        " WHERE name = ANY ($1::pg_catalog.text[])",
        _TIMEOUTS,
    )
    try:
        yield
    finally:
        if not connection.is_closed():
            for row in rows:
                await connection.execute(f"RESET {row['name']}")
