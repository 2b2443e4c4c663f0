"""A shop whose owner is no superuser, and short ways to declare, apply and look."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import asyncpg
import pytest

from keystore import Keyset, generate, key_id
from policy import ColumnRule, Search
from proxy.catalog import SCHEMA
from proxy.cells import logical_type
from proxy.database.apply import apply
from proxy.database.report import ApplyReport
from proxy.database.sealing import Progress
from tests.conftest import Database


@dataclass
class Shop:
    """One database, the connection of the role that owns it, and what is declared of it."""

    database: Database
    owner: str
    connection: asyncpg.Connection
    columns: dict[str, ColumnRule] = field(default_factory=dict)
    keyset: Keyset = field(default_factory=lambda: generate(()))
    progress: list[Progress] = field(default_factory=list)

    def declare(self, **columns: str) -> None:
        """`customers__email="text ="` declares public.customers.email as text with equality; keys come with it."""
        for name, spec in columns.items():
            label = "public." + name.replace("__", ".")
            search = Search(equality=spec.endswith("="))
            self.columns[label] = ColumnRule(label, spec.removesuffix("=").strip(), search)
        self.keyset = generate(self.columns)

    async def apply(self, **options: Any) -> ApplyReport:
        return await apply(
            self.connection, self.columns, self.keyset, progress=self.progress.append, **options
        )

    async def sealed(self) -> ApplyReport:
        """Applies and expects it to succeed."""
        report = await self.apply()
        assert report.ok, report.obstacles
        return report

    def open(self, value: bytes | None) -> bytes | None:
        """The canonical plaintext of a stored value."""
        return None if value is None else self.keyset.data_keys[key_id(value)].open(value)

    def text(self, label: str, value: bytes | None) -> str | None:
        """A stored value as PostgreSQL would print what it holds."""
        from proxy.cells import Settings

        plaintext = self.open(value)
        if plaintext is None:
            return None
        return logical_type(self.columns[label].type).to_text(plaintext, Settings()).decode()

    def seal(self, label: str, text: str) -> bytes:
        """A value for the column, as the proxy would seal it."""
        from proxy.cells import Settings

        rule = self.columns[label]
        logical = logical_type(rule.type)
        canonical = logical.from_text(text.encode(), Settings())
        form = logical.equality_form(canonical) if rule.search.equality else None
        return self.keyset.column(label).seal(canonical, form)

    async def type_of(self, table: str, column: str) -> str:
        found: str = await self.connection.fetchval(
            "SELECT format_type(atttypid, atttypmod) FROM pg_attribute WHERE attrelid = $1::text::regclass AND attname = $2",
            table,
            column,
        )
        return found

    async def definition(self, table: str) -> Mapping[str, list[str]]:
        """Everything the catalog says of a table, for comparing before and after."""
        queries = {
            "columns": "SELECT format('%s %s %s %s', attname, format_type(atttypid, atttypmod), attnotnull, attacl)"
            " FROM pg_attribute WHERE attrelid = $1::text::regclass AND attnum > 0 ORDER BY attnum",
            "indexes": "SELECT pg_get_indexdef(indexrelid) FROM pg_index WHERE indrelid = $1::text::regclass ORDER BY 1",
            "constraints": "SELECT conname || ' ' || pg_get_constraintdef(oid) FROM pg_constraint"
            " WHERE conrelid = $1::text::regclass ORDER BY 1",
            "table": "SELECT format('%s %s %s', relacl, relkind, reloptions) FROM pg_class WHERE oid = $1::text::regclass",
            "rows": f"SELECT t::text FROM {table} AS t ORDER BY 1",
        }
        return {
            name: [
                row[0] for row in await self.connection.fetch(query, *([table] * ("$1" in query)))
            ]
            for name, query in queries.items()
        }


Connect = Callable[..., Awaitable[asyncpg.Connection]]


@pytest.fixture
async def connect(database: Database) -> AsyncIterator[Connect]:
    """Opens connections to the test's database, and closes them."""
    opened: list[asyncpg.Connection] = []

    async def connect(user: str = "postgres") -> asyncpg.Connection:
        connection = await asyncpg.connect(database.dsn(user))
        opened.append(connection)
        return connection

    yield connect
    for connection in opened:
        await connection.close(timeout=5)


@pytest.fixture
async def shop(database: Database, connect: Connect) -> Shop:
    """An empty database that belongs to a login without special powers."""
    owner = f"{database.name}_owner"
    database.psql(f"CREATE ROLE {owner} LOGIN; ALTER DATABASE {database.name} OWNER TO {owner}")
    return Shop(database, owner, await connect(owner))


@pytest.fixture
async def empty(shop: Shop) -> Shop:
    """With schema sealgate and nothing else."""
    await shop.sealed()
    assert await shop.connection.fetchval("SELECT to_regnamespace($1)", SCHEMA) is not None
    return shop
