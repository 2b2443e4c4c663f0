"""Looks at the database for `sealgate check`. Changes nothing. [io: asyncpg]

Catalog facts cost a constant number of queries. What sealed columns hold is counted over all rows of small tables and
over a sample of large ones; a few values are opened to see whether they authenticate, and none is kept.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

import asyncpg

from keystore import Keyset, TamperedValue, key_id, looks_sealed
from policy import Policy
from proxy.catalog import (
    DOMAIN_PREFIX,
    SCHEMA,
    SealedColumn,
    column_parts,
    label,
    label_parts,
    sealed_columns,
)
from proxy.database.exposure import exposure
from proxy.database.finding import (
    Access,
    Elsewhere,
    Facts,
    Finding,
    Learned,
    OrderBits,
    Stored,
)
from proxy.database.findings import findings
from proxy.database.keeping import history_facts
from proxy.database.leakage import Spread, bare_bits, settled_bits
from proxy.database.look import fixed_names, role_facts, schema_facts, table_facts
from proxy.database.schema import SchemaFacts
from proxy.database.tables import TableFacts
from proxy.database.terms import ORDER, TERMS, Term
from proxy.disclosure.subjects import Subjects

SAMPLE_ROWS = 100_000
OPENED_ROWS = 2000
OPENED_BYTES = 4096
POWERS = (
    "pg_read_all_data",
    "pg_write_all_data",
    "pg_read_server_files",
    "pg_write_server_files",
    "pg_execute_server_program",
)

_EXISTING = "SELECT rolname FROM pg_catalog.pg_roles WHERE rolname = ANY ($1::text[])"

# Per role, itself and its members, directly or not.
_MEMBERS = """
WITH RECURSIVE member (role, oid) AS (
    SELECT rolname::text, oid FROM pg_catalog.pg_roles WHERE rolname = ANY ($1::text[])
  UNION
    SELECT member.role, m.member FROM member JOIN pg_catalog.pg_auth_members m ON m.roleid = member.oid
)
SELECT member.role, r.rolname::text AS login
FROM member JOIN pg_catalog.pg_roles r ON r.oid = member.oid
WHERE r.rolcanlogin ORDER BY 1, 2
"""

_PRIVILEGES = """
SELECT d.label,
       coalesce(array_agg(l.rolname::text) FILTER (
           WHERE pg_catalog.has_column_privilege(l.oid, c.oid, a.attnum, 'SELECT')), '{}') AS readers,
       coalesce(array_agg(l.rolname::text) FILTER (
           WHERE pg_catalog.has_column_privilege(l.oid, c.oid, a.attnum, 'INSERT, UPDATE')), '{}') AS writers
FROM unnest($1::text[], $2::text[], $3::text[], $4::text[]) AS d (label, nspname, relname, attname)
JOIN pg_catalog.pg_namespace n ON n.nspname = d.nspname
JOIN pg_catalog.pg_class c ON c.relnamespace = n.oid AND c.relname = d.relname
JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attname = d.attname AND NOT a.attisdropped
CROSS JOIN (SELECT oid, rolname FROM pg_catalog.pg_roles
            WHERE rolcanlogin AND NOT rolsuper AND rolname <> current_user) l
WHERE pg_catalog.has_schema_privilege(l.oid, n.oid, 'USAGE')
GROUP BY d.label
"""

_POWERFUL = """
SELECT r.rolname::text AS login, r.rolsuper AS superuser,
       ARRAY(SELECT p.rolname::text FROM pg_catalog.pg_roles p
             WHERE p.rolname = ANY ($1::text[]) AND NOT r.rolsuper AND pg_catalog.pg_has_role(r.oid, p.oid, 'MEMBER')
             ORDER BY 1) AS powers
FROM pg_catalog.pg_roles r WHERE r.rolcanlogin ORDER BY 1
"""

# Logins that are, or are members of, the owner of a declared table or of the schema (relname NULL).
_OWNERS = """
SELECT o.nspname, o.relname, r.rolname::text AS login
FROM (
    SELECT n.nspname, c.relname, c.relowner AS owner
    FROM unnest($1::text[], $2::text[]) AS d (nspname, relname)
    JOIN pg_catalog.pg_namespace n ON n.nspname = d.nspname
    JOIN pg_catalog.pg_class c ON c.relnamespace = n.oid AND c.relname = d.relname
  UNION ALL
    SELECT nspname, NULL, nspowner FROM pg_catalog.pg_namespace WHERE nspname = $3
) o
JOIN pg_catalog.pg_roles r ON r.rolcanlogin AND NOT r.rolsuper AND pg_catalog.pg_has_role(r.oid, o.owner, 'MEMBER')
ORDER BY 1, 2, 3
"""

# Columns with a sealed type in tables, not inherited, so that a declared parent speaks for its children.
_SEALED = """
SELECT n.nspname, c.relname, a.attname, c.relkind::text AS kind, pg_catalog.format_type(a.atttypid, -1) AS type_text
FROM pg_catalog.pg_attribute a
JOIN pg_catalog.pg_class c ON c.oid = a.attrelid AND c.relkind IN ('r', 'p')
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace AND NOT pg_catalog.starts_with(n.nspname, 'pg_temp_')
JOIN pg_catalog.pg_type t ON t.oid = a.atttypid AND t.typtype = 'd' AND pg_catalog.starts_with(t.typname, $2)
JOIN pg_catalog.pg_namespace tn ON tn.oid = t.typnamespace AND tn.nspname = $1
WHERE a.attnum > 0 AND NOT a.attisdropped AND a.attinhcount = 0
ORDER BY 1, 2, a.attnum
"""

# Plain columns that are called as a declared one is, and have its type or another of its category.
_NAMESAKES = """
SELECT d.label, n.nspname, c.relname, a.attname, c.relkind::text AS kind,
       pg_catalog.format_type(a.atttypid, a.atttypmod) AS type_text
FROM unnest($1::text[], $2::text[], $3::oid[]) AS d (label, attname, type_oid)
JOIN pg_catalog.pg_type dt ON dt.oid = d.type_oid
JOIN pg_catalog.pg_attribute a ON a.attname = d.attname AND a.attnum > 0 AND NOT a.attisdropped
JOIN pg_catalog.pg_class c ON c.oid = a.attrelid AND c.relkind IN ('r', 'p', 'm', 'v', 'f') AND NOT c.relispartition
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
JOIN pg_catalog.pg_type t ON t.oid = a.atttypid
LEFT JOIN pg_catalog.pg_type b ON b.oid = t.typbasetype
WHERE n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast') AND NOT pg_catalog.starts_with(n.nspname, 'pg_temp_')
  AND (t.oid = dt.oid OR t.typcategory = dt.typcategory)
  AND coalesce(b.oid, t.oid) <> 'pg_catalog.bytea'::pg_catalog.regtype
ORDER BY 1, 2, 3
"""


# Functions whose source is text, which no dependency shows: they name the column, and its table or are its trigger.
_FUNCTIONS = """
SELECT DISTINCT d.label, fn.nspname, p.proname
FROM unnest($1::text[], $2::text[], $3::text[], $4::text[]) AS d (label, nspname, relname, attname)
JOIN pg_catalog.pg_namespace n ON n.nspname = d.nspname
JOIN pg_catalog.pg_class c ON c.relnamespace = n.oid AND c.relname = d.relname
JOIN pg_catalog.pg_proc p ON p.prosrc ~ ('\\m' || pg_catalog.regexp_replace(d.attname, '(\\W)', '\\\\\\1', 'g') || '\\M')
JOIN pg_catalog.pg_namespace fn ON fn.oid = p.pronamespace
JOIN pg_catalog.pg_language l ON l.oid = p.prolang AND l.lanname NOT IN ('c', 'internal')
WHERE fn.nspname NOT IN ('pg_catalog', 'information_schema', 'sealgate')
  AND (p.prosrc ~ ('\\m' || pg_catalog.regexp_replace(d.relname, '(\\W)', '\\\\\\1', 'g') || '\\M')
       OR EXISTS (SELECT FROM pg_catalog.pg_trigger g WHERE g.tgrelid = c.oid AND g.tgfoid = p.oid))
ORDER BY 1, 2, 3
"""


_NOBODY: Subjects = {}


async def check(
    connection: asyncpg.Connection,
    policy: Policy,
    keyset: Keyset | None,
    subjects: Subjects = _NOBODY,
    reader: str | None = None,
) -> list[Finding]:
    """Configuration against database, errors first. Changes nothing; needs no more than a login, and looks
    into the columns that it may SELECT.

    keyset    None where the keystore cannot be read: nothing is then said of keys
    subjects  table label -> the columns that name the person whose row it is
    reader    the login that is to see which rows held values that are gone
    """
    declared = sealed_columns(policy.columns)
    async with fixed_names(connection, readonly=True):
        facts = await _facts(connection, declared, policy, keyset, subjects, reader)
    keys = None if keyset is None else {i: key.column for i, key in keyset.data_keys.items()}
    missing = () if keyset is None else keyset.missing(declared)
    return findings(facts, declared, policy, keys, missing)


async def reach(connection: asyncpg.Connection, policy: Policy) -> tuple[Access, list[Finding]]:
    """Of `check`, what is about roles and about ways around the proxy (SG04x, SG05x). Reads the catalog only."""
    declared = sealed_columns(policy.columns)
    async with fixed_names(connection, readonly=True):
        tables = await table_facts(connection, declared)
        facts = Facts(
            role=await role_facts(connection),
            schema=await schema_facts(connection),
            tables=tables,
            access=await _access(connection, declared, tables, policy),
            stored={},
            namesakes=await _namesakes(connection, declared),
            functions=await _functions(connection, declared),
        )
    return facts.access, list(exposure(facts, policy))


async def _facts(
    connection: asyncpg.Connection,
    declared: Mapping[str, SealedColumn],
    policy: Policy,
    keyset: Keyset | None,
    subjects: Subjects,
    reader: str | None,
) -> Facts:
    schema = await schema_facts(connection, reader)
    tables = await table_facts(connection, declared)
    stored: dict[str, Stored | None] = {}
    for column in declared.values():
        table = tables.get(column.table)
        facts = table.column(column.label) if table else None
        if table is not None and facts is not None and facts.sealed is not None:
            stored[column.label] = (
                await _stored(connection, table, facts.quoted, keyset, schema)
                if table.selectable
                else None
            )
    return Facts(
        role=await role_facts(connection),
        schema=schema,
        tables=tables,
        access=await _access(connection, declared, tables, policy),
        stored=stored,
        undeclared=await _undeclared(connection, declared),
        namesakes=await _namesakes(connection, declared),
        functions=await _functions(connection, declared),
        subjects=subjects,
        history={
            table.label: await history_facts(connection, table, subjects.get(table.label, ()))
            for table in tables.values()
        },
        subject_tables=await _tables_of(connection, subjects.keys() - tables.keys()),
    )


async def _access(
    connection: asyncpg.Connection,
    declared: Mapping[str, SealedColumn],
    tables: Mapping[str, TableFacts],
    policy: Policy,
) -> Access:
    existing = [column.label for table in tables.values() for column in table.columns]
    roles = list(policy.roles)
    logins: dict[str, list[str]] = defaultdict(list)
    for row in await connection.fetch(_MEMBERS, roles):
        logins[row["role"]].append(row["login"])
    privileges = await connection.fetch(_PRIVILEGES, *_columns(declared))
    powerful = await connection.fetch(_POWERFUL, list(POWERS))
    owners: dict[str, list[str]] = defaultdict(list)
    for row in await connection.fetch(_OWNERS, *_tables(declared), SCHEMA):
        table = row["relname"] is not None
        subject = label(row["nspname"], row["relname"]) if table else f"schema {SCHEMA}"
        owners[subject].append(row["login"])
    return Access(
        existing=frozenset(row["rolname"] for row in await connection.fetch(_EXISTING, roles)),
        logins={role: tuple(names) for role, names in logins.items()},
        readers=_holders(existing, privileges, "readers"),
        writers=_holders(existing, privileges, "writers"),
        superusers=tuple(row["login"] for row in powerful if row["superuser"]),
        everywhere=tuple((row["login"], power) for row in powerful for power in row["powers"]),
        owners={subject: tuple(names) for subject, names in owners.items()},
    )


def _holders(
    existing: Iterable[str], privileges: Iterable[Mapping[str, Any]], kind: str
) -> dict[str, frozenset[str]]:
    """Of every column that exists, the logins; no row where none may use the schema."""
    held = {row["label"]: frozenset(row[kind]) for row in privileges}
    return {name: held.get(name, frozenset()) for name in existing}


async def _stored(
    connection: asyncpg.Connection,
    table: TableFacts,
    column: str,
    keyset: Keyset | None,
    schema: SchemaFacts,
) -> Stored:
    sampled = table.rows_estimate > SAMPLE_ROWS
    percent = 100 * SAMPLE_ROWS / max(table.rows_estimate, 1)
    source = (
        f"{table.qualified} TABLESAMPLE SYSTEM ({percent:.6f}) REPEATABLE (1)"
        if sampled
        else table.qualified
    )
    flags = await connection.fetch(
        f"SELECT get_byte(substring({column}, 1, 4), 3) AS flags, count(*) AS n FROM {source}"  # noqa: S608
        f" WHERE {column} IS NOT NULL GROUP BY 1"
    )
    keys = await connection.fetch(
        f"SELECT substring({column}::bytea, 5, 4) AS id, count(*) AS n FROM {source}"  # noqa: S608
        f" WHERE {column} IS NOT NULL GROUP BY 1 LIMIT 1000"
    )
    opened, tampered = await _opened(connection, source, column, keyset)
    counted = {row["flags"]: row["n"] for row in flags}
    learned = {
        term.function: await _learned(connection, source, column, term)
        for term in TERMS
        if any(flags & term.flag for flags in counted) and schema.has_function(term.function)
    }
    return Stored(
        cells=sum(counted.values()),
        sampled=sampled,
        flags=counted,
        learned=learned,
        keys={int.from_bytes(k["id"], "big"): k["n"] for k in keys},
        opened=opened,
        tampered=tampered,
    )


async def _learned(connection: asyncpg.Connection, source: str, column: str, term: Term) -> Learned:
    """How often terms occur: counted in the server, which gives away no term, but for those of order."""
    call = f"{SCHEMA}.{term.function}({column})"
    each = f"unnest({call})" if term.method == "gin" else call
    rows = await connection.fetch(
        "SELECT n AS size, count(*) AS terms FROM (SELECT count(*) AS n FROM"  # noqa: S608
        f" (SELECT {each} AS term FROM {source} WHERE {call} IS NOT NULL) AS terms GROUP BY term) AS sizes GROUP BY 1"
    )
    values = await connection.fetchval(
        f"SELECT count(*) FROM {source} WHERE {call} IS NOT NULL"  # noqa: S608
    )
    order = await _order_bits(connection, source, call) if term is ORDER else None
    return Learned(Spread({row["size"]: row["terms"] for row in rows}), values, order)


async def _order_bits(connection: asyncpg.Connection, source: str, call: str) -> OrderBits:
    rows = await connection.fetch(
        f"SELECT DISTINCT {call} AS term FROM (SELECT * FROM {source} LIMIT {SAMPLE_ROWS}) AS sampled"  # noqa: S608
        f" WHERE {call} IS NOT NULL ORDER BY 1"
    )
    terms = [row["term"] for row in rows]
    return OrderBits(
        compared=len(terms),
        settled=settled_bits(terms),
        bare=bare_bits(terms),
        length=sum(map(len, terms)) / len(terms) if terms else 0.0,
    )


async def _opened(
    connection: asyncpg.Connection, source: str, column: str, keyset: Keyset | None
) -> tuple[int, int]:
    """How many values of a sample were opened with keys that we have, and how many of them are not what was sealed."""
    if keyset is None:
        return 0, 0
    rows = await connection.fetch(
        f"SELECT {column}::bytea FROM {source} WHERE {column} IS NOT NULL"  # noqa: S608
        f" AND octet_length({column}) < {OPENED_BYTES} ORDER BY random() LIMIT {OPENED_ROWS}"
    )
    counted: Counter[bool] = Counter()
    for (value,) in rows:
        key = keyset.data_keys.get(key_id(value)) if looks_sealed(value) else None
        if key is None:
            continue
        try:
            key.open(value)
        except TamperedValue:
            counted[True] += 1
        else:
            counted[False] += 1
    return counted.total(), counted[True]


async def _undeclared(
    connection: asyncpg.Connection, declared: Mapping[str, SealedColumn]
) -> list[Elsewhere]:
    rows = await connection.fetch(_SEALED, SCHEMA, DOMAIN_PREFIX)
    return [e for e in map(_elsewhere, rows) if e.label not in declared]


async def _namesakes(
    connection: asyncpg.Connection, declared: Mapping[str, SealedColumn]
) -> list[Elsewhere]:
    rows = await connection.fetch(
        _NAMESAKES,
        list(declared),
        [c.name for c in declared.values()],
        [c.type.oid for c in declared.values()],
    )
    found = (_elsewhere(row, row["label"]) for row in rows)
    return [e for e in found if e.label not in declared]


async def _tables_of(connection: asyncpg.Connection, labels: Iterable[str]) -> frozenset[str]:
    """Those that are tables."""
    named = sorted(labels)
    parts = [label_parts(name) for name in named]
    rows = await connection.fetch(
        "SELECT n.nspname, c.relname FROM unnest($1::text[], $2::text[]) AS d (nspname, relname)"
        " JOIN pg_catalog.pg_namespace n ON n.nspname = d.nspname"
        " JOIN pg_catalog.pg_class c ON c.relnamespace = n.oid AND c.relname = d.relname AND c.relkind IN ('r', 'p')",
        [p[0] for p in parts],
        [p[1] for p in parts],
    )
    return frozenset(label(row["nspname"], row["relname"]) for row in rows)


async def _functions(
    connection: asyncpg.Connection, declared: Mapping[str, SealedColumn]
) -> Mapping[str, list[str]]:
    found: dict[str, list[str]] = defaultdict(list)
    for row in await connection.fetch(_FUNCTIONS, *_columns(declared)):
        found[row["label"]].append(label(row["nspname"], row["proname"]))
    return found


def _elsewhere(row: Mapping[str, Any], of: str = "") -> Elsewhere:
    name = label(row["nspname"], row["relname"], row["attname"])
    return Elsewhere(name, row["kind"], row["type_text"], of)


def _columns(declared: Mapping[str, SealedColumn]) -> tuple[list[str], ...]:
    parts = [column_parts(name) for name in declared]
    return (list(declared), *([p[i] for p in parts] for i in range(3)))


def _tables(declared: Iterable[str]) -> tuple[list[str], list[str]]:
    parts = sorted({column_parts(name)[:2] for name in declared})
    return [p[0] for p in parts], [p[1] for p in parts]
