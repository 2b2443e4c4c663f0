"""Reads facts about the schema, the declared tables and their dependents out of the catalog. [io: asyncpg]

A constant number of queries, for all declared columns at once. Every name is qualified, so they mean the same with
any search_path; the callers set `pg_catalog, pg_temp` so that expressions are printed with their schemas.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import asyncpg

from proxy import assurance
from proxy.catalog import DOMAIN_PREFIX, SCHEMA, SEALABLE_TYPES, column_parts, label
from proxy.database import schema
from proxy.database.tables import (
    AssuranceFacts,
    ColumnFacts,
    DependentFacts,
    IndexFacts,
    Member,
    RoleFacts,
    TableFacts,
    TriggerFacts,
)

Row = Mapping[str, Any]

_ROLE = """
SELECT current_user::text AS name, rolsuper AS superuser,
       pg_catalog.has_database_privilege(pg_catalog.current_database(), 'CREATE') AS may_create_schema,
       pg_catalog.has_database_privilege(pg_catalog.current_database(), 'TEMP') AS may_create_temporary,
       pg_catalog.current_database()::text AS database,
       pg_catalog.current_setting('server_version_num')::int4 AS server_version,
       rolsuper AS may_replicate
FROM pg_catalog.pg_roles WHERE rolname = current_user
"""

# The declared tables and, for each, every table that inherits from it. `root` is the declared one.
_TREE = """
WITH RECURSIVE tree (root, oid) AS (
    SELECT c.oid, c.oid
    FROM unnest($1::text[], $2::text[]) AS d (nspname, relname)
    JOIN pg_catalog.pg_namespace n ON n.nspname = d.nspname
    JOIN pg_catalog.pg_class c ON c.relnamespace = n.oid AND c.relname = d.relname
    WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f')
  UNION
    SELECT tree.root, i.inhrelid FROM tree JOIN pg_catalog.pg_inherits i ON i.inhparent = tree.oid
    JOIN pg_catalog.pg_class c ON c.oid = i.inhrelid AND c.relkind IN ('r', 'p', 'f')
)
"""

_TABLES = """
SELECT c.oid, n.nspname, c.relname, c.relkind::text AS relkind, pg_catalog.pg_get_userbyid(c.relowner)::text AS owner,
       c.reloftype <> 0 AS typed,
       pg_catalog.has_schema_privilege(n.oid, 'CREATE') AS schema_create,
       pg_catalog.has_schema_privilege(n.oid, 'USAGE') AND pg_catalog.has_table_privilege(c.oid, 'SELECT') AS selectable,
       ARRAY(SELECT pg_catalog.quote_ident(a.attname) FROM pg_catalog.pg_index i
             JOIN pg_catalog.pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = ANY (i.indkey::int2[])
             WHERE i.indrelid = c.oid AND i.indisprimary ORDER BY a.attnum) AS primary_key,
       whole.owned, whole.forced, whole.foreign_children, whole.child_schemas, whole.child_names, whole.tuples, whole.table_bytes, whole.index_bytes,
       ARRAY(SELECT DISTINCT p.pubname::text FROM pg_catalog.pg_publication_tables p
             WHERE p.schemaname = n.nspname AND p.tablename = c.relname ORDER BY 1) AS publications
FROM pg_catalog.pg_class c
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
JOIN (
    SELECT tree.root, pg_catalog.bool_and(pg_catalog.pg_has_role(m.relowner, 'USAGE')) AS owned,
           pg_catalog.bool_or(m.relforcerowsecurity AND m.relrowsecurity AND pg_catalog.row_security_active(m.oid)) AS forced,
           pg_catalog.bool_or(m.relkind = 'f' AND m.oid <> tree.root) AS foreign_children,
           pg_catalog.array_agg(mn.nspname ORDER BY m.oid) FILTER (WHERE m.oid <> tree.root) AS child_schemas,
           pg_catalog.array_agg(m.relname ORDER BY m.oid) FILTER (WHERE m.oid <> tree.root) AS child_names,
           pg_catalog.sum(m.reltuples) FILTER (WHERE m.relkind <> 'p') AS tuples,
           pg_catalog.sum(pg_catalog.pg_table_size(m.oid)) AS table_bytes,
           pg_catalog.sum(pg_catalog.pg_indexes_size(m.oid)) AS index_bytes
    FROM tree JOIN pg_catalog.pg_class m ON m.oid = tree.oid
    JOIN pg_catalog.pg_namespace mn ON mn.oid = m.relnamespace
    GROUP BY tree.root
) whole ON whole.root = c.oid
"""

_COLUMNS = """
SELECT d.label, a.attrelid, a.attname, pg_catalog.quote_ident(a.attname) AS quoted, a.attnum, a.atttypid, a.atttypmod,
       pg_catalog.format_type(a.atttypid, a.atttypmod) AS type_text,
       CASE WHEN t.typtype = 'd' AND tn.nspname = $5 AND pg_catalog.starts_with(t.typname, $6)
            THEN pg_catalog.substr(t.typname, pg_catalog.length($6) + 1) END AS sealed,
       a.attnotnull, CASE WHEN a.attgenerated = '' THEN pg_catalog.pg_get_expr(e.adbin, e.adrelid) END AS default,
       a.attidentity::text AS identity, a.attgenerated::text AS generated, a.attinhcount > 0 AS inherited,
       coalesce(o.collisdeterministic, true) AS deterministic,
       held.names AS held_names, held.definitions AS held_definitions, held.valid AS held_valid
FROM unnest($1::text[], $2::text[], $3::text[], $4::text[]) AS d (label, nspname, relname, attname)
JOIN pg_catalog.pg_namespace n ON n.nspname = d.nspname
JOIN pg_catalog.pg_class c ON c.relnamespace = n.oid AND c.relname = d.relname
JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attname = d.attname AND a.attnum > 0 AND NOT a.attisdropped
JOIN pg_catalog.pg_type t ON t.oid = a.atttypid
JOIN pg_catalog.pg_namespace tn ON tn.oid = t.typnamespace
LEFT JOIN pg_catalog.pg_attrdef e ON e.adrelid = a.attrelid AND e.adnum = a.attnum
LEFT JOIN pg_catalog.pg_collation o ON o.oid = a.attcollation
CROSS JOIN LATERAL (
    SELECT coalesce(pg_catalog.array_agg(k.conname::text ORDER BY k.conname), '{}') AS names,
           coalesce(pg_catalog.array_agg(pg_catalog.pg_get_constraintdef(k.oid) ORDER BY k.conname), '{}') AS definitions,
           coalesce(pg_catalog.array_agg(k.convalidated ORDER BY k.conname), '{}') AS valid
    FROM pg_catalog.pg_constraint k
    WHERE k.conrelid = a.attrelid AND k.contype = 'c' AND k.conkey = ARRAY[a.attnum] AND pg_catalog.starts_with(k.conname, $7)
) held
ORDER BY a.attrelid, a.attnum
"""

_INDEXES = """
SELECT d.label, x.oid, n.nspname, x.relname, tn.nspname AS table_schema, t.relname AS table_name, m.amname AS method,
       ARRAY(SELECT pg_catalog.pg_get_indexdef(i.indexrelid, k, false)
             FROM pg_catalog.generate_series(1, i.indnatts::int4) AS k ORDER BY k) AS keys,
       i.indnkeyatts AS key_count,
       (SELECT pg_catalog.bool_and(c.opcdefault) FROM unnest(i.indclass::oid[]) AS u (opc)
        JOIN pg_catalog.pg_opclass c ON c.oid = u.opc) AS default_operators,
       i.indisunique AS unique,
       coalesce((pg_catalog.to_jsonb(i) ->> 'indnullsnotdistinct')::bool, false) AS nulls_not_distinct,
       pg_catalog.pg_get_expr(i.indpred, i.indrelid) AS predicate,
       i.indisvalid AND i.indisready AS valid, i.indisreplident AS replica_identity, i.indisclustered AS clustered,
       coalesce(x.reloptions, '{}') AS options, s.spcname AS tablespace,
       pg_catalog.obj_description(i.indexrelid, 'pg_class') AS comment,
       o.conname AS constraint, o.contype::text AS constraint_kind, coalesce(o.condeferrable, false) AS deferrable,
       h.inhrelid IS NOT NULL AS parent,
       a.attnum = ANY (i.indkey::int2[]) AS on_column
FROM unnest($3::text[], $4::text[], $5::text[], $6::text[]) AS d (label, nspname, relname, attname)
JOIN pg_catalog.pg_namespace rn ON rn.nspname = d.nspname
JOIN pg_catalog.pg_class r ON r.relnamespace = rn.oid AND r.relname = d.relname
JOIN tree ON tree.root = r.oid
JOIN pg_catalog.pg_class t ON t.oid = tree.oid
JOIN pg_catalog.pg_namespace tn ON tn.oid = t.relnamespace
JOIN pg_catalog.pg_attribute a ON a.attrelid = t.oid AND a.attname = d.attname AND NOT a.attisdropped
JOIN pg_catalog.pg_index i ON i.indrelid = t.oid
JOIN pg_catalog.pg_class x ON x.oid = i.indexrelid
JOIN pg_catalog.pg_namespace n ON n.oid = x.relnamespace
JOIN pg_catalog.pg_am m ON m.oid = x.relam
LEFT JOIN pg_catalog.pg_tablespace s ON s.oid = x.reltablespace
LEFT JOIN pg_catalog.pg_constraint o ON o.conindid = i.indexrelid AND o.contype IN ('p', 'u', 'x')
LEFT JOIN pg_catalog.pg_inherits h ON h.inhrelid = i.indexrelid
WHERE a.attnum = ANY (i.indkey::int2[]) OR EXISTS (
    SELECT FROM pg_catalog.pg_depend p
    WHERE p.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND p.objid = i.indexrelid
      AND p.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass
      AND p.refobjid = t.oid AND p.refobjsubid = a.attnum)
ORDER BY x.oid
"""

# Whatever else depends on the column. Its own default, PostgreSQL 18's NOT NULL constraints and indexes are dealt with apart.
_DEPENDENTS = """
SELECT DISTINCT d.label, p.classid::pg_catalog.regclass::text AS kind,
       pg_catalog.pg_describe_object(p.classid, p.objid, p.objsubid) AS name,
       coalesce(o.contype::text, v.relkind::text || ' ' || vn.nspname || '.' || v.relname, '') AS detail
FROM unnest($3::text[], $4::text[], $5::text[], $6::text[]) AS d (label, nspname, relname, attname)
JOIN pg_catalog.pg_namespace rn ON rn.nspname = d.nspname
JOIN pg_catalog.pg_class r ON r.relnamespace = rn.oid AND r.relname = d.relname
JOIN tree ON tree.root = r.oid
JOIN pg_catalog.pg_attribute a ON a.attrelid = tree.oid AND a.attname = d.attname AND NOT a.attisdropped
JOIN pg_catalog.pg_depend p
  ON p.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass AND p.refobjid = tree.oid AND p.refobjsubid = a.attnum
LEFT JOIN pg_catalog.pg_attrdef e
  ON p.classid = 'pg_catalog.pg_attrdef'::pg_catalog.regclass AND e.oid = p.objid
LEFT JOIN pg_catalog.pg_constraint o
  ON p.classid = 'pg_catalog.pg_constraint'::pg_catalog.regclass AND o.oid = p.objid
LEFT JOIN pg_catalog.pg_rewrite w
  ON p.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass AND w.oid = p.objid
LEFT JOIN pg_catalog.pg_class v ON v.oid = w.ev_class
LEFT JOIN pg_catalog.pg_namespace vn ON vn.oid = v.relnamespace
WHERE NOT (e.oid IS NOT NULL AND e.adrelid = a.attrelid AND e.adnum = a.attnum)
  AND coalesce(o.contype, '-') <> 'n'
  AND NOT EXISTS (  -- ours (`history`): apply drops and makes it
    SELECT FROM pg_catalog.pg_trigger g JOIN pg_catalog.pg_proc f ON f.oid = g.tgfoid AND pg_catalog.starts_with(f.proname, 'history_')
    JOIN pg_catalog.pg_namespace fn ON fn.oid = f.pronamespace AND fn.nspname = 'sealgate'
    WHERE p.classid = 'pg_catalog.pg_trigger'::pg_catalog.regclass AND g.oid = p.objid)
  AND NOT (p.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND p.objsubid = 0
           AND EXISTS (SELECT FROM pg_catalog.pg_index i WHERE i.indexrelid = p.objid))
UNION
-- A column of a partition key depends on its table, not the other way round.
SELECT d.label, 'partition key', pg_catalog.pg_describe_object(p.classid, p.objid, p.objsubid), ''
FROM unnest($3::text[], $4::text[], $5::text[], $6::text[]) AS d (label, nspname, relname, attname)
JOIN pg_catalog.pg_namespace rn ON rn.nspname = d.nspname
JOIN pg_catalog.pg_class r ON r.relnamespace = rn.oid AND r.relname = d.relname
JOIN tree ON tree.root = r.oid
JOIN pg_catalog.pg_attribute a ON a.attrelid = tree.oid AND a.attname = d.attname AND NOT a.attisdropped
JOIN pg_catalog.pg_depend p
  ON p.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND p.objid = tree.oid AND p.objsubid = a.attnum
 AND p.refclassid = p.classid AND p.refobjid = tree.oid AND p.refobjsubid = 0 AND p.deptype = 'i'
ORDER BY 1, 2, 3
"""

# What speaks of the tables without speaking of one of the columns. Our own triggers (`history`) are no surprise to anybody.
_SURROUNDINGS = """
, history AS (
    SELECT p.oid FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
    WHERE n.nspname = 'sealgate' AND pg_catalog.starts_with(p.proname, 'history_')
)
SELECT tree.root, 'row type' AS kind, n.nspname || '.' || c.relname || '.' || a.attname AS name
FROM tree JOIN pg_catalog.pg_class t ON t.oid = tree.oid
JOIN pg_catalog.pg_type y ON y.oid = t.reltype
JOIN pg_catalog.pg_attribute a ON a.atttypid IN (y.oid, y.typarray) AND NOT a.attisdropped
JOIN pg_catalog.pg_class c ON c.oid = a.attrelid AND c.relkind IN ('r', 'p', 'm', 'f', 'c')
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
UNION
SELECT tree.root, 'trigger', g.tgname || ' (' || p.proname || ')'
FROM tree JOIN pg_catalog.pg_trigger g ON g.tgrelid = tree.oid AND NOT g.tgisinternal AND g.tgparentid = 0
JOIN pg_catalog.pg_proc p ON p.oid = g.tgfoid
WHERE g.tgfoid NOT IN (SELECT oid FROM history)
UNION
SELECT tree.root, 'on update' || CASE WHEN g.tgenabled IN ('A', 'R') THEN ' always' ELSE '' END, 'trigger ' || g.tgname
FROM tree JOIN pg_catalog.pg_trigger g ON g.tgrelid = tree.oid AND NOT g.tgisinternal AND g.tgenabled <> 'D'
WHERE g.tgtype & 16 <> 0 AND g.tgfoid NOT IN (SELECT oid FROM history) AND (pg_catalog.cardinality(g.tgattr::int2[]) = 0 OR EXISTS (
    SELECT FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_type y ON y.oid = a.atttypid
    JOIN pg_catalog.pg_namespace n ON n.oid = y.typnamespace AND n.nspname = 'sealgate'
    WHERE a.attrelid = tree.oid AND a.attnum = ANY (g.tgattr::int2[])))
UNION
SELECT tree.root, 'on update' || CASE WHEN w.ev_enabled IN ('A', 'R') THEN ' always' ELSE '' END, 'rule ' || w.rulename
FROM tree JOIN pg_catalog.pg_rewrite w ON w.ev_class = tree.oid AND w.ev_type = '2' AND w.ev_enabled <> 'D'
UNION
SELECT tree.root, 'whole row', n.nspname || '.' || v.relname
FROM tree JOIN pg_catalog.pg_depend p
  ON p.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass AND p.refobjid = tree.oid AND p.refobjsubid = 0
 AND p.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass AND p.deptype = 'n'
JOIN pg_catalog.pg_rewrite w ON w.oid = p.objid
JOIN pg_catalog.pg_class v ON v.oid = w.ev_class AND v.relkind IN ('v', 'm')
JOIN pg_catalog.pg_namespace n ON n.oid = v.relnamespace
ORDER BY 1, 2, 3
"""

# The tables of each tree, with what each hangs on; of several parents the first.
_MEMBERS = """
SELECT tree.root, n.nspname, c.relname, c.relkind::text AS relkind, pn.nspname AS parent_schema, p.relname AS parent_name
FROM (SELECT DISTINCT root, oid FROM tree) tree
JOIN pg_catalog.pg_class c ON c.oid = tree.oid
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN LATERAL (
    SELECT i.inhparent FROM pg_catalog.pg_inherits i
    WHERE i.inhrelid = c.oid AND tree.oid <> tree.root AND i.inhparent IN (SELECT t.oid FROM tree t WHERE t.root = tree.root)
    ORDER BY i.inhseqno LIMIT 1
) up ON true
LEFT JOIN pg_catalog.pg_class p ON p.oid = up.inhparent
LEFT JOIN pg_catalog.pg_namespace pn ON pn.oid = p.relnamespace
ORDER BY tree.root, c.oid
"""


# Definitions are compared as text: each of these changes how PostgreSQL prints or reads one.
_FIXED = """
SET LOCAL search_path = pg_catalog, pg_temp;
SET LOCAL standard_conforming_strings = on;
SET LOCAL bytea_output = hex;
SET LOCAL quote_all_identifiers = off;
SELECT pg_catalog.set_config(name, '0', true) FROM pg_catalog.pg_settings
WHERE name IN ('statement_timeout', 'transaction_timeout', 'idle_in_transaction_session_timeout');
"""


@asynccontextmanager
async def fixed_names(
    connection: asyncpg.Connection, *, readonly: bool = False
) -> AsyncIterator[None]:
    """A transaction in which names and strings mean what they say, expressions are printed in full, and which takes
    as long as it takes, whatever the login's settings. (transaction_timeout came with PostgreSQL 17.)
    """
    async with connection.transaction(isolation="read_committed", readonly=readonly):
        await connection.execute(_FIXED)
        yield


async def role_facts(connection: asyncpg.Connection) -> RoleFacts:
    row = await connection.fetchrow(_ROLE)
    return RoleFacts(**dict(row))


async def schema_facts(
    connection: asyncpg.Connection, reader: str | None = None
) -> schema.SchemaFacts:
    """Schema `sealgate` as it is. `reader`: the login that is to see which rows held values that are gone."""
    found = await connection.fetchrow(schema.FACTS_SCHEMA, SCHEMA)
    if found is None:
        return schema.SchemaFacts()
    domains = await connection.fetch(schema.FACTS_DOMAINS, SCHEMA)
    functions = await connection.fetch(schema.FACTS_FUNCTIONS, SCHEMA)
    history = await connection.fetchrow(schema.FACTS_HISTORY, SCHEMA, reader)
    return schema.SchemaFacts(
        exists=True,
        owned=found["owned"],
        usable=found["usable"],
        keepable=found["keepable"],
        domains={
            row["name"]: schema.DomainFacts(
                base=row["base"],
                not_null=row["not_null"],
                default=row["default"],
                constraints=tuple(zip(row["names"], row["printed"], row["valid"], strict=True)),
                usable=row["usable"],
            )
            for row in domains
        },
        functions={
            row["signature"]: schema.FunctionFacts(
                catalog=(row["volatility"], row["parallel"], row["body"], tuple(row["config"])),
                executable=row["executable"],
            )
            for row in functions
        },
        history=None
        if history is None
        else schema.HistoryTable(**{**history, "columns": tuple(history["columns"])}),
    )


async def table_facts(
    connection: asyncpg.Connection, columns: Iterable[str]
) -> Mapping[str, TableFacts]:
    """The declared columns' tables, by table label; tables and columns that do not exist are simply not there."""
    labels = list(columns)
    parts = [column_parts(name) for name in labels]
    schemas, tables, names = ([p[i] for p in parts] for i in range(3))
    rows = await connection.fetch(_TREE + _TABLES, schemas, tables)
    column_rows = await connection.fetch(
        _COLUMNS, labels, schemas, tables, names, SCHEMA, DOMAIN_PREFIX, assurance.PREFIX
    )
    everything = (schemas, tables, labels, schemas, tables, names)
    index_rows = await connection.fetch(_TREE + _INDEXES, *everything)
    dependent_rows = await connection.fetch(_TREE + _DEPENDENTS, *everything)
    around = await connection.fetch(_TREE + _SURROUNDINGS, schemas, tables)
    members: dict[int, list[Member]] = defaultdict(list)
    for row in await connection.fetch(_TREE + _MEMBERS, schemas, tables):
        members[row["root"]].append(_member(row))

    indexes: dict[str, list[IndexFacts]] = defaultdict(list)
    for row in index_rows:
        indexes[row["label"]].append(_index(row))
    dependents: dict[str, list[DependentFacts]] = defaultdict(list)
    for row in dependent_rows:
        dependents[row["label"]].append(DependentFacts(row["kind"], row["name"], row["detail"]))
    by_table: dict[int, list[ColumnFacts]] = defaultdict(list)
    for row in column_rows:
        name = row["label"]
        by_table[row["attrelid"]].append(_column(row, indexes[name], dependents[name]))
    surroundings: dict[tuple[int, str], list[str]] = defaultdict(list)
    for row in around:
        surroundings[row["root"], row["kind"]].append(row["name"])
    found = (_table(row, by_table[row["oid"]], surroundings, members[row["oid"]]) for row in rows)
    return {table.label: table for table in found}


def _member(row: Row) -> Member:
    parent = row["parent_name"]
    above = label(row["parent_schema"], parent) if parent is not None else None
    return Member(label(row["nspname"], row["relname"]), row["relkind"], above)


def _downwards(members: list[Member], root: str) -> tuple[Member, ...]:
    """Parents before their children."""
    by_parent: dict[str | None, list[Member]] = defaultdict(list)
    for member in members:
        by_parent[member.parent].append(member)
    ordered = [member for member in members if member.label == root]
    for member in ordered:  # it grows
        ordered += by_parent[member.label]
    return tuple(ordered)


def _table(
    row: Row,
    columns: list[ColumnFacts],
    around: Mapping[tuple[int, str], list[str]],
    members: list[Member],
) -> TableFacts:
    oid = row["oid"]
    return TableFacts(
        label=label(row["nspname"], row["relname"]),
        oid=oid,
        schema=row["nspname"],
        name=row["relname"],
        kind=row["relkind"],
        owned=row["owned"],
        owner=row["owner"],
        selectable=row["selectable"],
        schema_create=row["schema_create"],
        typed=row["typed"],
        foreign_children=row["foreign_children"],
        forced_row_security=row["forced"],
        children=tuple(
            label(*names)
            for names in zip(row["child_schemas"] or (), row["child_names"] or (), strict=True)
        ),
        primary_key=tuple(row["primary_key"]),
        rows_estimate=int(row["tuples"] or 0),
        table_bytes=int(row["table_bytes"] or 0),
        index_bytes=int(row["index_bytes"] or 0),
        columns=tuple(columns),
        row_type_used_by=tuple(around.get((oid, "row type"), ())),
        whole_row_views=tuple(around.get((oid, "whole row"), ())),
        triggers=tuple(around.get((oid, "trigger"), ())),
        on_update=tuple(
            TriggerFacts(name, always=kind == "on update always")
            for kind in ("on update", "on update always")
            for name in around.get((oid, kind), ())
        ),
        members=_downwards(members, label(row["nspname"], row["relname"])),
        publications=tuple(row["publications"]),
    )


def _column(row: Row, indexes: list[IndexFacts], dependents: list[DependentFacts]) -> ColumnFacts:
    return ColumnFacts(
        label=row["label"],
        name=row["attname"],
        quoted=row["quoted"],
        number=row["attnum"],
        type_oid=row["atttypid"],
        type_modifier=row["atttypmod"],
        type_text=row["type_text"],
        sealed=row["sealed"] if row["sealed"] in SEALABLE_TYPES else None,
        not_null=row["attnotnull"],
        default=row["default"],
        identity=row["identity"],
        generated=row["generated"],
        inherited=row["inherited"],
        deterministic=row["deterministic"],
        indexes=tuple(indexes),
        dependents=tuple(dependents),
        assurances=tuple(
            AssuranceFacts(name, definition.removesuffix(" NOT VALID"), valid)
            for name, definition, valid in zip(
                row["held_names"], row["held_definitions"], row["held_valid"], strict=True
            )
        ),
    )


def _index(row: Row) -> IndexFacts:
    return IndexFacts(
        oid=row["oid"],
        schema=row["nspname"],
        name=row["relname"],
        table=label(row["table_schema"], row["table_name"]),
        method=row["method"],
        keys=tuple(row["keys"]),
        key_count=row["key_count"],
        default_operators=row["default_operators"],
        unique=row["unique"],
        nulls_distinct=not row["nulls_not_distinct"],
        predicate=row["predicate"],
        valid=row["valid"],
        replica_identity=row["replica_identity"],
        clustered=row["clustered"],
        options=tuple(row["options"]),
        tablespace=row["tablespace"],
        comment=row["comment"],
        constraint=row["constraint"],
        constraint_kind=row["constraint_kind"],
        deferrable=row["deferrable"],
        parent=row["parent"],
        on_column=row["on_column"],
    )
