"""The database's roles, as far as an access review speaks of them. Reads the catalog only. [io: asyncpg]"""

from __future__ import annotations

from collections import defaultdict

import asyncpg

from policy import Policy
from proxy.database.check import reach
from proxy.report.logins import Login, Roles

POWERS = ("superuser", "bypassrls", "replication", "createrole")

_LOGINS = """
SELECT rolname::text AS login, rolsuper AS superuser, rolbypassrls AS bypassrls, rolreplication AS replication,
       rolcreaterole AS createrole, coalesce(rolvaliduntil < pg_catalog.now(), false) AS expired
FROM pg_catalog.pg_roles WHERE rolcanlogin ORDER BY 1
"""


async def look(connection: asyncpg.Connection, policy: Policy) -> Roles:
    """Changes nothing, and reads no table but the catalog's."""
    access, findings = await reach(connection, policy)
    held: dict[str, list[str]] = defaultdict(list)
    for role, members in access.logins.items():
        for member in members:
            held[member].append(role)
    logins = tuple(
        Login(
            row["login"],
            tuple(power for power in POWERS if row[power]),
            row["expired"],
            tuple(sorted(held.get(row["login"], ()))),
        )
        for row in await connection.fetch(_LOGINS)
    )
    return Roles(logins, access.existing, dict(access.readers), tuple(findings))
