# ruff: noqa: S608 - constants of ours are the only thing put into these queries
"""The catalog's picture: the SQL that reads it, and what it says as a `Catalog`.

A constant number of queries whatever the number of tables, all of catalogs that every role may read (PostgreSQL 14 to
18). They are asked on the control connection (`proxy.introspect`), and, where a session's own transaction has changed a
table that matters, inside that session by `sealgate.catalog()` (`proxy.inquiry`): nobody else can see its DDL yet.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import replace
from itertools import groupby
from typing import Any, Final

from proxy.assurance import PREFIX, is_complete
from proxy.catalog import (
    DOMAIN_PREFIX,
    SCHEMA,
    SEALABLE_TYPES,
    Attribute,
    Catalog,
    Dependency,
    Function,
    Output,
    Relation,
    SealedColumn,
    label,
)

# Types that hold sealed values: our domains, and whatever is built from them: domains over them, arrays, composites
# (every table has one). Oids from 16384 on are not PostgreSQL's own. UNION ends the recursion for types that contain each other.
_CARRIERS: Final = f"""
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
    WHERE n.nspname = '{SCHEMA}' AND t.typtype = 'd' AND pg_catalog.starts_with(t.typname, '{DOMAIN_PREFIX}')
  UNION
    SELECT built_from.holder FROM carriers JOIN built_from ON built_from.inside = carriers.oid
)
"""

RELATIONS: Final = (
    _CARRIERS
    + f"""
SELECT c.oid, n.nspname, c.relname, c.relkind::text AS relkind,
       a.attnum, a.attname, a.atttypid, a.atttypmod,
       CASE WHEN t.typtype = 'd' AND tn.nspname = '{SCHEMA}' AND pg_catalog.starts_with(t.typname, '{DOMAIN_PREFIX}')
            THEN pg_catalog.substr(t.typname, pg_catalog.length('{DOMAIN_PREFIX}') + 1) END AS sealed,
       carriers.oid IS NOT NULL AS carries, a.attgenerated <> '' AS generated,
       ARRAY(SELECT k.conname::text FROM pg_catalog.pg_constraint k
             WHERE carriers.oid IS NOT NULL AND k.conrelid = c.oid AND k.contype = 'c' AND k.convalidated
               AND k.conkey = ARRAY[a.attnum] AND pg_catalog.starts_with(k.conname, '{PREFIX}')) AS assured
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
DEPENDENCIES: Final = """
SELECT DISTINCT r.ev_class AS dependent, d.refobjid AS referenced, false AS inheritance
FROM pg_catalog.pg_rewrite r
JOIN pg_catalog.pg_depend d
  ON d.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass AND d.objid = r.oid
 AND d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass
WHERE d.refobjid <> r.ev_class AND r.ev_class >= 16384 AND d.refobjid >= 16384
UNION ALL
SELECT inhrelid, inhparent, true FROM pg_catalog.pg_inherits
"""

# A function's result by its columns: OUT arguments (RETURNS TABLE's too), a table's columns, or the one value.
FUNCTIONS: Final = (
    _CARRIERS
    + f"""
SELECT p.oid, n.nspname, p.proname, out.name, out.scalar,
       CASE WHEN t.typtype = 'd' AND tn.nspname = '{SCHEMA}' AND pg_catalog.starts_with(t.typname, '{DOMAIN_PREFIX}')
            THEN pg_catalog.substr(t.typname, pg_catalog.length('{DOMAIN_PREFIX}') + 1) END AS sealed,
       carriers.oid IS NOT NULL AS carries
FROM pg_catalog.pg_proc p
JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
LEFT JOIN pg_catalog.pg_class c ON c.reltype = p.prorettype
CROSS JOIN LATERAL (
    SELECT arg.place, arg.name, arg.type, false AS scalar
    FROM ROWS FROM (
        pg_catalog.unnest(p.proallargtypes), pg_catalog.unnest(p.proargmodes), pg_catalog.unnest(p.proargnames)
    ) WITH ORDINALITY AS arg (type, mode, name, place)
    WHERE arg.mode IN ('o', 'b', 't')
  UNION ALL
    SELECT a.attnum, a.attname, a.atttypid, false
    FROM pg_catalog.pg_attribute a
    WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
      AND (p.proargmodes IS NULL OR NOT p.proargmodes && ARRAY['o', 'b', 't']::"char"[])
  UNION ALL
    SELECT 1, p.proname, p.prorettype, true
    WHERE c.oid IS NULL AND (p.proargmodes IS NULL OR NOT p.proargmodes && ARRAY['o', 'b', 't']::"char"[])
) AS out (place, name, type, scalar)
LEFT JOIN pg_catalog.pg_type t ON t.oid = out.type
LEFT JOIN pg_catalog.pg_namespace tn ON tn.oid = t.typnamespace
LEFT JOIN carriers ON carriers.oid = out.type
WHERE n.nspname NOT IN ('pg_catalog', 'information_schema', '{SCHEMA}')
  AND (p.prorettype IN (SELECT oid FROM carriers)
       OR EXISTS (SELECT FROM pg_catalog.unnest(p.proallargtypes) AS arg (type)
                  WHERE arg.type IN (SELECT oid FROM carriers)))
ORDER BY p.oid, out.place
"""
)

HEADER: Final = (
    "SELECT pg_catalog.current_database() AS name,"
    " pg_catalog.current_setting('server_version_num')::int4 AS version"
)

DOCUMENT: Final = f"""
SELECT pg_catalog.convert_to(pg_catalog.json_build_object(
  'header', (SELECT pg_catalog.row_to_json(h) FROM ({HEADER}) h),
  'relations', (SELECT pg_catalog.json_agg(r) FROM ({RELATIONS}) r),
  'functions', (SELECT pg_catalog.json_agg(f) FROM ({FUNCTIONS}) f),
  'dependencies', (SELECT pg_catalog.json_agg(d) FROM ({DEPENDENCIES}) d)
)::text, 'UTF8')
"""
"""All of it as one JSON document in UTF-8: the body of `sealgate.catalog()`."""


def read_document(document: bytes, declared: Mapping[str, SealedColumn]) -> Catalog:
    """What `DOCUMENT` gave. Raises ValueError or KeyError for anything else."""
    found = json.loads(document)
    header = found["header"]
    return picture(
        header["name"],
        header["version"],
        found["relations"] or (),
        found["dependencies"] or (),
        declared,
        found["functions"] or (),
    )


def picture(
    database: str,
    server_version: int,
    rows: Iterable[Mapping[str, Any]],
    edges: Iterable[Mapping[str, Any]],
    declared: Mapping[str, SealedColumn],
    functions: Iterable[Mapping[str, Any]] = (),
) -> Catalog:
    rows = list(rows)
    relations = tuple(_relation(list(group)) for _, group in groupby(rows, lambda r: r["oid"]))
    known = {relation.oid for relation in relations}
    return Catalog(
        database=database,
        server_version=server_version,
        relations=relations,
        sealed=_completed(declared, rows),
        dependencies=tuple(
            edge
            for edge in (
                Dependency(int(e["dependent"]), int(e["referenced"]), e["inheritance"])
                for e in edges
            )
            if edge.dependent in known and edge.referenced in known
        ),
        functions=tuple(
            _function(list(group)) for _, group in groupby(functions, lambda r: r["oid"])
        ),
    )


def _completed(
    declared: Mapping[str, SealedColumn], rows: Iterable[Mapping[str, Any]]
) -> dict[str, SealedColumn]:
    """The declared columns, each with whether all that is stored carries its terms.

    The document of a schema that an earlier release made says nothing of that: apply has to be run.
    """
    columns = dict(declared)
    for row in rows:
        if _sealed_type(row["sealed"]) is None:
            continue
        column = columns.get(label(row["nspname"], row["relname"], row["attname"]))
        if column is not None and not is_complete(column, row.get("assured") or ()):
            columns[column.label] = replace(column, incomplete=True)
    return columns


def _function(rows: list[Mapping[str, Any]]) -> Function:
    first = rows[0]
    return Function(
        schema=first["nspname"],
        name=first["proname"],
        outputs=tuple(
            Output(r["name"] or "", _sealed_type(r["sealed"]), r["carries"]) for r in rows
        ),
        scalar=first["scalar"],
    )


def _sealed_type(name: str | None) -> str | None:
    return name if name in SEALABLE_TYPES else None


def _relation(rows: list[Mapping[str, Any]]) -> Relation:
    first = rows[0]
    return Relation(
        oid=int(first["oid"]),
        schema=first["nspname"],
        name=first["relname"],
        kind=first["relkind"],
        attributes=tuple(
            Attribute(
                number=row["attnum"],
                name=row["attname"],
                type_oid=int(row["atttypid"]),
                type_modifier=row["atttypmod"],
                sealed=_sealed_type(row["sealed"]),
                carries_sealed=row["carries"],
                generated=bool(row["generated"]),
            )
            for row in rows
            if row["attnum"] is not None
        ),
    )
