"""The proxy's own connection to the server: reads the catalog, never carries a client's statement. [io]"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping
from typing import Any, Final

import asyncpg

from proxy.catalog import Catalog, Declaration
from proxy.introspect import introspect, roles_of

_SECONDS: Final = 10.0
FAILURES: Final = (
    OSError,
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    TimeoutError,
)
"""What asking the server can raise; InternalClientError where the connection is closed underneath."""


class ControlConnection:
    """One connection, opened again when it broke; questions wait for each other."""

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn
        self._connection: asyncpg.Connection[Any] | None = None
        self._turn = asyncio.Lock()

    async def catalog(self, columns: Mapping[str, Declaration]) -> Catalog:
        """A picture of the database. Raises one of `FAILURES`."""
        async with self._connected() as connection:
            return await introspect(connection, columns)

    async def roles_of(self, login: str) -> frozenset[str] | None:
        """The login and the groups it is a member of; None if there is no such role. Raises one of `FAILURES`."""
        async with self._connected() as connection:
            return await roles_of(connection, login)

    async def up_to_date(self) -> bool:
        """Schema sealgate has what sessions ask for; if not, `sealgate apply` is due. Raises one of `FAILURES`."""
        async with self._connected() as connection:
            asked = "SELECT pg_catalog.to_regprocedure('sealgate.catalog()') IS NOT NULL"
            return bool(await connection.fetchval(asked))

    async def scram_secret(self, login: str) -> str | None:
        """pg_authid.rolpassword of a login, by the function of docs/tls.md. Raises one of `FAILURES`."""
        async with self._connected() as connection:
            secret: str | None = await connection.fetchval(
                "SELECT sealgate.scram_secret($1)", login
            )
            return secret

    async def close(self) -> None:
        if self._connection is not None:
            with contextlib.suppress(*FAILURES):
                await self._connection.close(timeout=_SECONDS)

    @contextlib.asynccontextmanager
    async def _connected(self) -> AsyncIterator[asyncpg.Connection[Any]]:
        async with self._turn, asyncio.timeout(_SECONDS):
            if self._connection is None or self._connection.is_closed():
                self._connection = await asyncpg.connect(
                    self._dsn, server_settings={"application_name": "sealgate"}, timeout=_SECONDS
                )
            try:
                yield self._connection
            except FAILURES:
                self._connection.terminate()
                self._connection = None
                raise
