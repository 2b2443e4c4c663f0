"""What there is of the history of sealed values: facts read, what is no longer needed dropped. [io: asyncpg]"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

import asyncpg

from proxy.catalog import SCHEMA, label, label_parts
from proxy.database.history import HistoryFacts, HistoryMember, HistoryTrigger, KeyColumn
from proxy.database.look import fixed_names
from proxy.database.schema import Change
from proxy.database.steps import identifier, qualified
from proxy.database.tables import TableFacts

_OURS = """
SELECT p.oid, p.proname FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
WHERE n.nspname = 'sealgate' AND pg_catalog.starts_with(p.proname, 'history_')
"""

_MEMBERS = """
SELECT c.oid, n.nspname, c.relname, c.relkind::text AS kind,
       pg_catalog.quote_ident(n.nspname) || '.' || pg_catalog.quote_ident(c.relname) AS printed
FROM unnest($1::text[], $2::text[]) WITH ORDINALITY AS d (nspname, relname, number)
JOIN pg_catalog.pg_namespace n ON n.nspname = d.nspname
JOIN pg_catalog.pg_class c ON c.relnamespace = n.oid AND c.relname = d.relname
WHERE c.relkind IN ('r', 'p') ORDER BY d.number
"""

_TRIGGERS = f"""
SELECT g.tgrelid, g.tgname, pg_catalog.pg_get_triggerdef(g.oid) AS definition, g.tgenabled::text AS enabled, g.tgparentid <> 0 AS clone
FROM pg_catalog.pg_trigger g WHERE g.tgrelid = ANY ($1::oid[]) AND g.tgfoid IN (SELECT oid FROM ({_OURS}) AS ours)
ORDER BY g.tgrelid, g.tgname
"""  # noqa: S608 - made of constants

_KEYS = """
SELECT a.attname, pg_catalog.quote_ident(a.attname) AS quoted, pg_catalog.format_type(a.atttypid, a.atttypmod) AS type_text,
       a.attnotnull, tn.nspname = $2 AND pg_catalog.starts_with(t.typname, 'sealed_') AS sealed,
       pg_catalog.array_position(i.indkey::int2[], a.attnum) AS place
FROM pg_catalog.pg_attribute a
JOIN pg_catalog.pg_type t ON t.oid = a.atttypid
JOIN pg_catalog.pg_namespace tn ON tn.oid = t.typnamespace
LEFT JOIN pg_catalog.pg_index i ON i.indrelid = a.attrelid AND i.indisprimary AND a.attnum = ANY (i.indkey::int2[])
WHERE a.attrelid = $1 AND a.attnum > 0 AND NOT a.attisdropped AND (
    i.indexrelid IS NOT NULL OR a.attname = ANY ($3::text[]) OR tn.nspname = $2 AND pg_catalog.starts_with(t.typname, 'sealed_'))
ORDER BY place, a.attnum
"""

# Triggers and functions of ours on whatever tables, for those that nobody declares any more.
_EVERYWHERE = f"""
SELECT n.nspname, c.relname, g.tgname
FROM pg_catalog.pg_trigger g
JOIN pg_catalog.pg_class c ON c.oid = g.tgrelid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE g.tgparentid = 0 AND g.tgfoid IN (SELECT oid FROM ({_OURS}) AS ours) ORDER BY 1, 2, 3
"""  # noqa: S608 - made of constants


async def history_facts(
    connection: asyncpg.Connection, table: TableFacts, subject: tuple[str, ...] = ()
) -> HistoryFacts:
    """Of one declared table. `subject`: the columns that are configured to name the person."""
    parts = [label_parts(member.label) for member in table.members]
    rows = await connection.fetch(_MEMBERS, [p[0] for p in parts], [p[1] for p in parts])
    members = {
        row["oid"]: HistoryMember(
            label(row["nspname"], row["relname"]), row["printed"], row["kind"]
        )
        for row in rows
    }
    triggers = await connection.fetch(_TRIGGERS, list(members))
    columns = await connection.fetch(_KEYS, table.oid, SCHEMA, list(subject))
    key = {row["attname"]: _key_column(row) for row in columns}
    return HistoryFacts(
        label=table.label,
        members=tuple(members.values()),
        triggers=tuple(
            HistoryTrigger(
                members[row["tgrelid"]].label,
                row["tgname"],
                row["definition"],
                row["enabled"],
                row["clone"],
            )
            for row in triggers
        ),
        primary_key=tuple(key[row["attname"]] for row in columns if row["place"] is not None),
        subject=tuple(key[name] for name in subject if name in key),
        sealed={column.name: column.quoted for column in key.values() if column.sealed},
    )


def _key_column(row: Mapping[str, Any]) -> KeyColumn:
    return KeyColumn(
        name=row["attname"],
        quoted=row["quoted"],
        type_text=row["type_text"],
        not_null=row["attnotnull"],
        sealed=row["sealed"],
    )


async def forgotten(
    connection: asyncpg.Connection, declared: Iterable[str], functions: Iterable[str]
) -> tuple[Change, ...]:
    """What takes our triggers from tables of which nothing is declared any more, and drops functions without a trigger.

    declared   labels of the tables, with all their partitions and children, that are declared
    functions  names of the functions that these need
    """
    tables = set(declared)
    found: dict[str, list[str]] = defaultdict(list)
    for row in await connection.fetch(_EVERYWHERE):
        name = label(row["nspname"], row["relname"])
        if name not in tables:
            found[name].append(row["tgname"])
    changes = [
        Change(
            f"no longer keep where values of {table} stood: nothing of it is declared",
            tuple(f"DROP TRIGGER {identifier(n)} ON {qualified(table)}" for n in names),
        )
        for table, names in found.items()
    ]
    needed = set(functions)
    unused = [
        row["proname"] for row in await connection.fetch(_OURS) if row["proname"] not in needed
    ]
    if unused:
        changes.append(
            Change(
                f"drop {len(unused)} functions that no table needs"
                if len(unused) > 1
                else f"drop function {SCHEMA}.{unused[0]}, which no table needs",
                tuple(f"DROP FUNCTION {SCHEMA}.{identifier(name)}()" for name in sorted(unused)),
            )
        )
    return tuple(changes)


async def drop_triggers(connection: asyncpg.Connection, facts: HistoryFacts) -> None:
    """Before a column changes its type, which PostgreSQL refuses while a trigger's condition names it."""
    for trigger in facts.triggers:
        if not trigger.clone:
            await connection.execute(
                f"DROP TRIGGER {identifier(trigger.name)} ON {qualified(trigger.member)}"
            )


async def change(connection: asyncpg.Connection, changes: Iterable[Change], seconds: float) -> None:
    """In a transaction of its own. Raises asyncpg.LockNotAvailableError where the table is busy."""
    async with fixed_names(connection):
        await connection.execute(f"SET LOCAL lock_timeout = {max(1, round(seconds * 1000))}")
        await run(connection, changes)


async def run(connection: asyncpg.Connection, changes: Iterable[Change]) -> None:
    for step in changes:
        for statement in step.statements:
            await connection.execute(statement)
