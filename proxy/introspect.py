"""Reads the system catalog into a `Catalog`. [io: asyncpg]

The queries are `proxy.picture`'s, asked in one read-only snapshot so that the parts fit together.
"""

from __future__ import annotations

from collections.abc import Mapping

import asyncpg

from proxy.catalog import Catalog, Declaration, sealed_columns
from proxy.picture import DEPENDENCIES, FUNCTIONS, HEADER, RELATIONS, picture

# Membership counts, inherited or not: with SET ROLE it is the login's for the asking.
_ROLES = """
WITH RECURSIVE member_of (oid) AS (
    SELECT oid FROM pg_catalog.pg_roles WHERE rolname = $1
  UNION
    SELECT m.roleid FROM member_of JOIN pg_catalog.pg_auth_members m ON m.member = member_of.oid
)
SELECT r.rolname FROM member_of JOIN pg_catalog.pg_roles r ON r.oid = member_of.oid
"""


async def introspect(connection: asyncpg.Connection, columns: Mapping[str, Declaration]) -> Catalog:
    """The database that `connection` is on, with the columns that the configuration declares for it."""
    declared = sealed_columns(columns)
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        header = await connection.fetchrow(HEADER)
        rows = await connection.fetch(RELATIONS)
        edges = await connection.fetch(DEPENDENCIES)
        functions = await connection.fetch(FUNCTIONS)
    return picture(header["name"], header["version"], rows, edges, declared, functions)


async def roles_of(connection: asyncpg.Connection, login: str) -> frozenset[str] | None:
    """The login and every role it is a member of, directly or not. None: there is no such role."""
    rows = await connection.fetch(_ROLES, login)
    return frozenset(row["rolname"] for row in rows) or None
