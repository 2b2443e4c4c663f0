"""What Sealgate keeps in the database: schema `sealgate`, and how to create, compare and repair it.

No superuser, no extension: domains over bytea, functions and aggregates. Everybody may use them, they
give nothing away: a search term is as readable in the column itself.

- **Domains.** `sealed_text`, `sealed_int4`, ... one per logical type, each a bytea whose CHECK admits sealed values,
  version 1, only: magic, version and flags, then the length must leave room for the fields these flags announce.
  The expression cannot fail on short values and calls nothing but built-in functions,
  so that a restore or a logical replica evaluates it with any search_path.
- **eq(value), eq_casefold(value), ord(value).** A search term or NULL. SQL functions with a parsed body (RETURN), immutable and
  not STRICT, which the planner inlines; a functional index on one costs no call. Parsed bodies also resolve their names
  once, at creation.
- **match(value), paths(value).** Terms as an array, for a GIN index.
- **any_value, min, max.** Aggregates over sealed values: of a group any, the first and the last in the order of their terms.
- **refuse(sqlstate, message, hint).** Raises.
- **catalog().** What the proxy must know of the catalog, as one document: it asks inside a client's own transaction
  after DDL there, with names resolved in pg_catalog whatever the client's search_path is.
- **cell_id(value).** The 8 bytes by which the access log names a value.
- **cell_history.** A table: which row held a value that is gone. Triggers write it (`history`); nobody else needs to.
- **version().** The version of all of this. Raise `functions.SCHEMA_VERSION` whenever a definition changes.

`definitions` in the database are compared as PostgreSQL prints them (pg_get_constraintdef, pg_get_functiondef's parts),
so a CHECK that somebody dropped or loosened is seen, and `apply` puts it back.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from proxy.catalog import SCHEMA, SEALABLE_TYPES, domain_name
from proxy.database.functions import FUNCTIONS, Function
from proxy.database.functions import SCHEMA_VERSION as SCHEMA_VERSION

CONSTRAINT = "sealed"

TYPE_TITLES: Mapping[str, str] = {
    "varchar": "character varying",
    "bpchar": "character",
    "int2": "smallint",
    "int4": "integer",
    "int8": "bigint",
    "float4": "real",
    "float8": "double precision",
    "bool": "boolean",
    "timestamp": "timestamp without time zone",
    "timestamptz": "timestamp with time zone",
}
"""Types whose SQL name says more than pg_type's."""

CHECK = (
    r"CASE WHEN octet_length(VALUE) < 36 OR substring(VALUE, 1, 3) <> '\x5ea101'::bytea THEN false"
    r" ELSE get_byte(VALUE, 3) & 194 = 0 AND octet_length(VALUE) >= 36 + 16 * get_bit(VALUE, 24)"
    r" + 18 * get_bit(VALUE, 26) + 2 * (get_bit(VALUE, 27) + get_bit(VALUE, 28) + get_bit(VALUE, 29)) END"
)
"""Bit 24 is the lowest of the flags' byte; 194 are the bits of no known flag."""
# The same as pg_get_constraintdef prints it (14 to 18 alike).
CHECK_PRINTED = (
    "CHECK (\nCASE\n"
    r"""    WHEN ((octet_length(VALUE) < 36) OR ("substring"(VALUE, 1, 3) <> '\x5ea101'::bytea)) THEN false"""
    "\n    ELSE (((get_byte(VALUE, 3) & 194) = 0) AND (octet_length(VALUE) >="
    " (((36 + (16 * get_bit(VALUE, (24)::bigint))) + (18 * get_bit(VALUE, (26)::bigint)))"
    " + (2 * ((get_bit(VALUE, (27)::bigint) + get_bit(VALUE, (28)::bigint)) + get_bit(VALUE, (29)::bigint))))))"
    "\nEND)"
)
_VERSION_BODY = re.compile(r"RETURN (\d+)")
SCHEMA_COMMENT = (
    "Sealgate: types and functions of sealed (encrypted) columns. Created by `sealgate apply`;"
    " tables depend on it, so do not drop it."
)
_HISTORY_COMMENT = (
    "Sealgate: which row held a sealed value that was updated or deleted since. Triggers write it;"
    " rows older than the access log is kept may be deleted."
)


@dataclass(frozen=True, slots=True)
class SchemaFacts:
    """Schema `sealgate` as it is. `owned`: the current role may change it; `usable`: everybody may use it."""

    exists: bool = False
    owned: bool = False
    usable: bool = False
    domains: Mapping[str, DomainFacts] | None = None
    functions: Mapping[str, FunctionFacts] | None = None
    history: HistoryTable | None = None
    keepable: bool = False
    """The current role may make functions here that write to table cell_history."""

    def has_function(self, name: str) -> bool:
        """A function of one sealed value by this name can be called by the current role."""
        return f"{name}(bytea)" in (self.functions or {}) and (self.usable or self.owned)

    @property
    def version(self) -> int | None:
        """What `sealgate.version()` returns, read off its body; None if there is none to read."""
        found = (self.functions or {}).get("version()")
        match = _VERSION_BODY.fullmatch(found.catalog[2]) if found else None
        return int(match.group(1)) if match else None


@dataclass(frozen=True, slots=True)
class DomainFacts:
    base: str
    not_null: bool
    default: str | None
    constraints: tuple[tuple[str, str, bool], ...]
    """name, as printed, validated"""
    usable: bool = True
    """Everybody may declare columns of it."""

    @property
    def intact(self) -> bool:
        return (
            self.base == "bytea"
            and not self.not_null
            and self.default is None
            and [(printed, valid) for _, printed, valid in self.constraints]
            == [(CHECK_PRINTED, True)]
        )


@dataclass(frozen=True, slots=True)
class FunctionFacts:
    catalog: tuple[str, str, str, tuple[str, ...]]
    executable: bool


@dataclass(frozen=True, slots=True)
class HistoryTable:
    """Table cell_history as it is. `reader`: the login that looks into it, where there is one that may not yet."""

    columns: tuple[str, ...]
    indexed: bool
    identity: str
    """pg_class.relreplident: f lets rows be deleted where a publication has all tables."""
    public: bool
    """Everybody may do something with it."""
    interfered: bool
    """It has a trigger, a rule, a constraint or row security: rows may not come to stay as they were written."""
    reader: str | None = None

    @property
    def complete(self) -> bool:
        return self.columns == HISTORY_COLUMNS


@dataclass(frozen=True, slots=True)
class Change:
    """One statement that brings the schema closer to what it should be, and how to say it."""

    said: str
    statements: tuple[str, ...]


# One row per object. Everything that could differ from what we create is read back.
FACTS_SCHEMA = """
SELECT pg_catalog.pg_has_role(n.nspowner, 'USAGE') AS owned,
       pg_catalog.has_schema_privilege('public', n.oid, 'USAGE') AS usable,
       pg_catalog.has_schema_privilege(n.oid, 'CREATE')
         AND coalesce((SELECT pg_catalog.has_table_privilege(c.oid, 'INSERT') FROM pg_catalog.pg_class c
                       WHERE c.relnamespace = n.oid AND c.relname = 'cell_history'), true) AS keepable
FROM pg_catalog.pg_namespace n WHERE n.nspname = $1
"""
FACTS_DOMAINS = """
SELECT t.typname AS name, pg_catalog.format_type(t.typbasetype, t.typtypmod) AS base, t.typnotnull AS not_null,
       t.typdefault AS default,
       pg_catalog.has_type_privilege('public', t.oid, 'USAGE') AS usable,
       coalesce(pg_catalog.array_agg(c.conname ORDER BY c.conname) FILTER (WHERE c.contype = 'c'), '{}') AS names,
       coalesce(pg_catalog.array_agg(pg_catalog.pg_get_constraintdef(c.oid) ORDER BY c.conname)
                FILTER (WHERE c.contype = 'c'), '{}') AS printed,
       coalesce(pg_catalog.array_agg(c.convalidated ORDER BY c.conname) FILTER (WHERE c.contype = 'c'), '{}') AS valid
FROM pg_catalog.pg_type t
JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace
LEFT JOIN pg_catalog.pg_constraint c ON c.contypid = t.oid
WHERE n.nspname = $1 AND t.typtype = 'd'
GROUP BY t.oid
"""
FACTS_FUNCTIONS = """
SELECT p.proname || '(' || pg_catalog.oidvectortypes(p.proargtypes) || ')' AS signature,
       p.provolatile::text AS volatility, p.proparallel::text AS parallel,
       coalesce(pg_catalog.pg_get_function_sqlbody(p.oid),
                'aggregate ' || a.aggtransfn::pg_catalog.regproc || ' ' || a.aggcombinefn::pg_catalog.regproc,
                p.prosrc) AS body,
       coalesce(p.proconfig, '{}') || CASE WHEN p.prosecdef THEN '{security definer}'::text[] ELSE '{}' END AS config,
       pg_catalog.has_function_privilege('public', p.oid, 'EXECUTE') AS executable
FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
LEFT JOIN pg_catalog.pg_aggregate a ON a.aggfnoid = p.oid
WHERE n.nspname = $1
"""

HISTORY_COLUMNS = (
    "cell_id bytea NOT NULL",
    "relation text NOT NULL",
    "attribute text NOT NULL",
    "row_key jsonb NOT NULL",
    "replaced_at timestamp with time zone NOT NULL DEFAULT clock_timestamp()",
)
"""Table, column and key of the row that held the value, and when it ceased to."""
FACTS_HISTORY = """
SELECT ARRAY(SELECT pg_catalog.concat_ws(' ', a.attname, pg_catalog.format_type(a.atttypid, a.atttypmod),
                    CASE WHEN a.attnotnull THEN 'NOT NULL' END, 'DEFAULT ' || pg_catalog.pg_get_expr(d.adbin, d.adrelid))
             FROM pg_catalog.pg_attribute a LEFT JOIN pg_catalog.pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
             WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum) AS columns,
       EXISTS (SELECT FROM pg_catalog.pg_index i WHERE i.indrelid = c.oid AND i.indisvalid AND i.indpred IS NULL
               AND pg_catalog.pg_get_indexdef(i.indexrelid, 1, false) = 'cell_id') AS indexed,
       c.relreplident::text AS identity,
       pg_catalog.has_any_column_privilege('public', c.oid, 'SELECT, INSERT, UPDATE')
         OR pg_catalog.has_table_privilege('public', c.oid, 'DELETE, TRUNCATE') AS public,
       c.relkind <> 'r' OR c.relrowsecurity OR c.relpersistence <> 'p'
         OR EXISTS (SELECT FROM pg_catalog.pg_trigger g WHERE g.tgrelid = c.oid)
         OR EXISTS (SELECT FROM pg_catalog.pg_rewrite w WHERE w.ev_class = c.oid)
         OR EXISTS (SELECT FROM pg_catalog.pg_constraint k WHERE k.conrelid = c.oid AND k.contype <> 'n') AS interfered,
       (SELECT r.rolname::text FROM pg_catalog.pg_roles r
        WHERE r.rolname = $2 AND NOT pg_catalog.has_table_privilege(r.oid, c.oid, 'SELECT')) AS reader
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = $1 AND c.relname = 'cell_history'
"""


def expected_domains() -> tuple[str, ...]:
    return tuple(domain_name(name) for name in SEALABLE_TYPES)


def changes(facts: SchemaFacts) -> tuple[Change, ...]:
    """What to run, in order. Nothing when all is as it should be."""
    found = list(_schema_changes(facts))
    for name in SEALABLE_TYPES:
        found += _domain_changes(name, (facts.domains or {}).get(domain_name(name)))
    for function in FUNCTIONS:
        found += _function_changes(function, (facts.functions or {}).get(function.signature))
    found += _history_changes(facts.history)
    return tuple(found)


def _history_changes(facts: HistoryTable | None) -> Iterable[Change]:
    table = f"{SCHEMA}.cell_history"
    index = f"CREATE INDEX ON {table} (cell_id)"
    identity = f"ALTER TABLE {table} REPLICA IDENTITY FULL"
    if facts is None:
        yield Change(
            f"create table {table}",
            (
                f"CREATE TABLE {table} ({', '.join(HISTORY_COLUMNS)})",
                f"COMMENT ON TABLE {table} IS {_literal(_HISTORY_COMMENT)}",
                f"REVOKE ALL ON TABLE {table} FROM PUBLIC",
                index,
                identity,
            ),
        )
        return
    if facts.complete and not facts.indexed:
        yield Change(f"create the index of {table}", (index,))
    if facts.identity != "f":
        yield Change(f"set the replica identity of {table}", (identity,))
    if facts.public:
        yield Change(
            f"let not everybody use {table}", (f"REVOKE ALL ON TABLE {table} FROM PUBLIC",)
        )
    if facts.reader is not None:
        yield Change(
            f"let {facts.reader} read {table}",
            (f"GRANT SELECT ON TABLE {table} TO {_identifier(facts.reader)}",),
        )


def _schema_changes(facts: SchemaFacts) -> Iterable[Change]:
    if not facts.exists:
        yield Change(
            f"create schema {SCHEMA}",
            (
                f"CREATE SCHEMA {SCHEMA}",
                f"COMMENT ON SCHEMA {SCHEMA} IS {_literal(SCHEMA_COMMENT)}",
                f"GRANT USAGE ON SCHEMA {SCHEMA} TO PUBLIC",
            ),
        )
    elif not facts.usable:
        yield Change(
            f"let everybody use schema {SCHEMA}", (f"GRANT USAGE ON SCHEMA {SCHEMA} TO PUBLIC",)
        )


def _domain_changes(type_name: str, facts: DomainFacts | None) -> Iterable[Change]:
    domain = f"{SCHEMA}.{domain_name(type_name)}"
    title = TYPE_TITLES.get(type_name, type_name)
    grant = f"GRANT USAGE ON DOMAIN {domain} TO PUBLIC"
    if facts is None:
        comment = f"A sealed (encrypted) value of type {title}. Sealgate unseals it for roles that may read it."
        yield Change(
            f"create domain {domain}",
            (
                f"CREATE DOMAIN {domain} AS bytea CONSTRAINT {CONSTRAINT} CHECK ({CHECK})",
                f"COMMENT ON DOMAIN {domain} IS {_literal(comment)}",
                grant,
            ),
        )
        return
    if not facts.usable:
        yield Change(f"let everybody use domain {domain}", (grant,))
    if facts.intact:
        return
    drops = [
        f"ALTER DOMAIN {domain} DROP CONSTRAINT {_identifier(name)}"
        for name, _, _ in facts.constraints
    ]
    yield Change(
        f"restore the CHECK of domain {domain}",
        (
            *drops,
            f"ALTER DOMAIN {domain} ADD CONSTRAINT {CONSTRAINT} CHECK ({CHECK})",
            f"ALTER DOMAIN {domain} DROP NOT NULL",
            f"ALTER DOMAIN {domain} DROP DEFAULT",
        ),
    )


def _function_changes(function: Function, facts: FunctionFacts | None) -> Iterable[Change]:
    name = f"{SCHEMA}.{function.signature}"
    grant = f"GRANT EXECUTE ON ROUTINE {name} TO PUBLIC"
    if facts is None or facts.catalog != function.catalog:
        verb = "create" if facts is None else "restore"
        yield Change(
            f"{verb} function {name}",
            (
                f"CREATE OR REPLACE {function.create}",
                f"COMMENT ON ROUTINE {name} IS {_literal(function.comment)}",
                grant,
            ),
        )
    elif not facts.executable:
        yield Change(f"let everybody execute {name}", (grant,))


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _identifier(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
