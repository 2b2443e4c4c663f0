"""Reads the system catalog into a `Catalog`. [io: asyncpg]

A constant number of queries whatever the number of tables, all of catalogs that every role may read
(PostgreSQL 14 to 18), in one read-only snapshot so that the parts fit together.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import groupby
from typing import Any

import asyncpg

from proxy.catalog import (
    DOMAIN_PREFIX,
    SCHEMA,
    SEALABLE_TYPES,
    Attribute,
    Catalog,
    Declaration,
    Dependency,
    Relation,
    SealedColumn,
    sealed_columns,
)

# Types that hold sealed values: our domains, and whatever is built from them: domains over them, arrays, composites
# (every table has one). Oids from 16384 on are not PostgreSQL's own. UNION ends the recursion for types that contain each other.
_CARRIERS = """
WITH RECURSIVE built_from (inside, holder) AS MATERIALIZED (
    SELECT typbasetype, oid FROM pg_catalog.pg_type WHERE typtype = 'd' AND typbasetype >= 16384
  UNION ALL
    SELECT typelem, oid FROM pg_catalog.pg_type WHERE typlen = -1 AND typelem >= 16384
  UNION ALL
    SELECT a.atttypid, c.reltype
    FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_class c ON c.oid = a.attrelid
    WHERE a.atttypid >= 16384 AND NOT a.attisdropped AND c.reltype <> 0
), carriers (oid) AS (
    SELECT t.oid
    FROM pg_catalog.pg_type t JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace
    WHERE n.nspname = $1 AND t.typtype = 'd' AND pg_catalog.starts_with(t.typname, $2)
  UNION
    SELECT built_from.holder FROM carriers JOIN built_from ON built_from.inside = carriers.oid
)
"""

_RELATIONS = (
    _CARRIERS
    + """
SELECT c.oid, n.nspname, c.relname, c.relkind::text AS relkind,
       a.attnum, a.attname, a.atttypid, a.atttypmod,
       CASE WHEN t.typtype = 'd' AND tn.nspname = $1 AND pg_catalog.starts_with(t.typname, $2)
            THEN pg_catalog.substr(t.typname, pg_catalog.length($2) + 1) END AS sealed,
       carriers.oid IS NOT NULL AS carries
FROM pg_catalog.pg_class c
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
LEFT JOIN pg_catalog.pg_type t ON t.oid = a.atttypid
LEFT JOIN pg_catalog.pg_namespace tn ON tn.oid = t.typnamespace
LEFT JOIN carriers ON carriers.oid = a.atttypid
WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f')
  AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast')
  AND NOT pg_catalog.starts_with(n.nspname, 'pg_temp_')
ORDER BY c.oid, a.attnum
"""
)

# A view's SELECT is a rule, and the rule depends on what it reads. INSTEAD and ALSO rules of tables come along:
# they lead a statement on one table to another.
_DEPENDENCIES = """
SELECT DISTINCT r.ev_class AS dependent, d.refobjid AS referenced, false AS inheritance
FROM pg_catalog.pg_rewrite r
JOIN pg_catalog.pg_depend d
  ON d.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass AND d.objid = r.oid
 AND d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass
WHERE d.refobjid <> r.ev_class AND r.ev_class >= 16384 AND d.refobjid >= 16384
UNION ALL
SELECT inhrelid, inhparent, true FROM pg_catalog.pg_inherits
"""

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
        header = await connection.fetchrow(
            "SELECT pg_catalog.current_database() AS name,"
            " pg_catalog.current_setting('server_version_num')::int4 AS version"
        )
        rows = await connection.fetch(_RELATIONS, SCHEMA, DOMAIN_PREFIX)
        edges = await connection.fetch(_DEPENDENCIES)
    return picture(header["name"], header["version"], rows, edges, declared)


async def roles_of(connection: asyncpg.Connection, login: str) -> frozenset[str] | None:
    """The login and every role it is a member of, directly or not. None: there is no such role."""
    rows = await connection.fetch(_ROLES, login)
    return frozenset(row["rolname"] for row in rows) or None


def picture(
    database: str,
    server_version: int,
    rows: Iterable[Mapping[str, Any]],
    edges: Iterable[Mapping[str, Any]],
    declared: Mapping[str, SealedColumn],
) -> Catalog:
    relations = tuple(_relation(list(group)) for _, group in groupby(rows, lambda r: r["oid"]))
    known = {relation.oid for relation in relations}
    return Catalog(
        database=database,
        server_version=server_version,
        relations=relations,
        sealed=declared,
        dependencies=tuple(
            Dependency(e["dependent"], e["referenced"], e["inheritance"])
            for e in edges
            if e["dependent"] in known and e["referenced"] in known
        ),
    )


def _relation(rows: list[Mapping[str, Any]]) -> Relation:
    first = rows[0]
    return Relation(
        oid=first["oid"],
        schema=first["nspname"],
        name=first["relname"],
        kind=first["relkind"],
        attributes=tuple(
            Attribute(
                number=row["attnum"],
                name=row["attname"],
                type_oid=row["atttypid"],
                type_modifier=row["atttypmod"],
                sealed=row["sealed"] if row["sealed"] in SEALABLE_TYPES else None,
                carries_sealed=row["carries"],
            )
            for row in rows
            if row["attnum"] is not None
        ),
    )
