"""Honey in the database: the cell ids that a row has now, and a row that is made to be honey. [io]"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import asyncpg

from keystore import Keyset, cell_id, looks_sealed
from proxy.catalog import SealedColumn, label
from proxy.cells import CellError, Settings
from proxy.commands.errors import CommandRefused
from proxy.database.sealing import CannotSeal, sealer
from proxy.database.steps import identifier, qualified

_TYPES = """
SELECT a.attname AS name, pg_catalog.format_type(a.atttypid, a.atttypmod) AS type,
       coalesce(a.attnum = ANY (i.indkey), false) AS is_key
  FROM pg_catalog.pg_attribute a
  LEFT JOIN pg_catalog.pg_index i ON i.indrelid = a.attrelid AND i.indisprimary
 WHERE a.attrelid = $1::regclass AND a.attnum > 0 AND NOT a.attisdropped
"""


def pairs(texts: Sequence[str], option: str) -> dict[str, str]:
    """`column=value` as given on the command line. Raises CommandRefused."""
    found: dict[str, str] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name or name in found:
            raise CommandRefused(f"{option} is given as column=value, each column once")
        found[name] = value
    return found


def columns_of(columns: Mapping[str, SealedColumn], table: str) -> dict[str, SealedColumn]:
    """Sealed columns of a table, by name. Raises CommandRefused where it has none."""
    found = {column.name: column for column in columns.values() if column.table == table}
    if not found:
        tables = ", ".join(sorted({column.table for column in columns.values()}))
        raise CommandRefused(
            f"{table} has no sealed column: only sealed values are seen. Sealed tables: {tables}."
        )
    return found


async def cells_of(
    connection: asyncpg.Connection,
    table: str,
    columns: Mapping[str, SealedColumn],
    key: Mapping[str, str],
) -> dict[str, str]:
    """label -> cell id of each sealed value of the one row that `key` finds. Raises CommandRefused."""
    shown = ", ".join(identifier(name) + "::bytea" for name in columns)
    found = " AND ".join(
        f"{identifier(name)}::text = ${number}" for number, name in enumerate(key, 1)
    )
    sealed = [name for name in key if name in columns]
    if sealed:
        raise CommandRefused(
            f"--key {sealed[0]}: the column is sealed; name the row by another one"
        )
    rows = await connection.fetch(
        f"SELECT {shown} FROM {qualified(table)} WHERE {found} LIMIT 2",  # noqa: S608 - quoted
        *key.values(),
    )
    if len(rows) != 1:
        many = "no row" if not rows else "more than one row"
        raise CommandRefused(f"--key finds {many} of {table}: name one")
    cells: dict[str, str] = {}
    for column, value in zip(columns.values(), rows[0].values(), strict=True):
        if value is not None and looks_sealed(value):
            cells[column.label] = cell_id(value).hex()
    if not cells:
        raise CommandRefused(f"the row of {table} holds no sealed value: nothing could be seen")
    return cells


async def insert(
    connection: asyncpg.Connection,
    table: str,
    columns: Mapping[str, SealedColumn],
    keyset: Keyset,
    values: Mapping[str, str],
) -> dict[str, str]:
    """A row with these values (as PostgreSQL reads them), the sealed ones sealed here; its primary key. Raises CommandRefused."""
    described = await connection.fetch(_TYPES, qualified(table))
    types = {row["name"]: row["type"] for row in described}
    keys = [row["name"] for row in described if row["is_key"]]
    unknown = next((name for name in values if name not in types), None)
    if unknown is not None:
        raise CommandRefused(f"--set {unknown}: {table} has no such column")
    if not keys:
        raise CommandRefused(
            f"{table} has no primary key: insert the row yourself and name it by --key"
        )
    given: list[Any] = []
    placed: list[str] = []
    for name, text in values.items():
        column = columns.get(name)
        given.append(text if column is None else _sealed(column, keyset, text))
        kind = f"text::{types[name]}" if column is None else "bytea"
        placed.append(f"${len(given)}::{kind}")
    names = ", ".join(map(identifier, values))
    shown = ", ".join(identifier(name) + "::text" for name in keys)
    row = await connection.fetchrow(
        f"INSERT INTO {qualified(table)} ({names}) VALUES ({', '.join(placed)}) "  # noqa: S608 - quoted
        f"RETURNING {shown}",
        *given,
    )
    if row is None:
        raise CommandRefused(f"{table} took no row: a rule or trigger kept it out")
    return dict(zip(keys, row.values(), strict=True))


def _sealed(column: SealedColumn, keyset: Keyset, text: str) -> bytes:
    logical = column.type
    try:
        canonical = logical.assign(logical.from_text(text.encode(), Settings()))
        return sealer(column, keyset.column(column.label))(canonical)
    except (CellError, CannotSeal):
        name = label(column.name)
        raise CommandRefused(f"--set {name}: not a value that {column.label} can hold") from None
