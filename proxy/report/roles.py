"""The database's roles, as far as an access review speaks of them. Reads the catalog only. [io: asyncpg]"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field

import asyncpg

from policy import Policy
from proxy.database.check import reach
from proxy.database.finding import Finding

POWERS = ("superuser", "bypassrls", "replication", "createrole")

_LOGINS = """
SELECT rolname::text AS login, rolsuper AS superuser, rolbypassrls AS bypassrls, rolreplication AS replication,
       rolcreaterole AS createrole, coalesce(rolvaliduntil < pg_catalog.now(), false) AS expired
FROM pg_catalog.pg_roles WHERE rolcanlogin ORDER BY 1
"""


@dataclass(frozen=True, slots=True)
class Login:
    login: str
    powers: tuple[str, ...]
    """superuser, bypassrls, replication, createrole"""
    expired: bool
    roles: tuple[str, ...]
    """Of the policy's, those that it is or is a member of."""


@dataclass(frozen=True, slots=True)
class Roles:
    """The database's word. `existing`: of the policy's roles, those that PostgreSQL has. `readers`: column -> logins that
    PostgreSQL lets SELECT it, superusers not counted. `findings`: SG040 to SG056 of `sealgate check`."""

    logins: tuple[Login, ...]
    existing: frozenset[str]
    readers: dict[str, frozenset[str]] = field(default_factory=dict)
    findings: tuple[Finding, ...] = ()


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
