"""From cell ids to the rows that hold them, or held them, and to people. [io: asyncpg]

All in one snapshot (REPEATABLE READ, READ ONLY), so it runs on a standby as well. Every table with a sealed column is read, whether it is
declared or not: a copy of a value in an archive is the same stored value. Each batch of ids goes through each table once; nothing is
unsealed, and no key is needed.

Two tables may name the same person: where the columns that name the person in one are a foreign key to those in the other,
the person is the other's.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any, Final, NamedTuple

import asyncpg

from proxy.audit.text import LABEL_CAP, clean
from proxy.catalog import SCHEMA, label
from proxy.disclosure.gathered import Gathered
from proxy.disclosure.question import Missing
from proxy.disclosure.subjects import Subjects

BATCH: Final = 200_000
"""Cell ids of one query: some 20 MB here, a few more in the server."""
_FETCHED: Final = 5000

_RELATIONS: Final = """
SELECT c.oid, n.nspname, c.relname, pg_catalog.quote_ident(n.nspname) || '.' || pg_catalog.quote_ident(c.relname) AS printed,
       pg_catalog.has_schema_privilege(n.oid, 'USAGE') AND pg_catalog.has_table_privilege(c.oid, 'SELECT')
         AND NOT pg_catalog.row_security_active(c.oid) AS readable,
       ARRAY(SELECT pg_catalog.quote_ident(k.attname) FROM pg_catalog.pg_attribute k
             JOIN pg_catalog.pg_type t ON t.oid = k.atttypid AND t.typtype = 'd' AND pg_catalog.starts_with(t.typname, 'sealed_')
             JOIN pg_catalog.pg_namespace tn ON tn.oid = t.typnamespace AND tn.nspname = $1
             WHERE k.attrelid = c.oid AND k.attnum > 0 AND NOT k.attisdropped AND k.attinhcount = 0 ORDER BY k.attnum) AS sealed,
       ARRAY(SELECT k.attname::text FROM pg_catalog.pg_index i
             JOIN pg_catalog.pg_attribute k ON k.attrelid = i.indrelid AND k.attnum = ANY (i.indkey::int2[])
             WHERE i.indrelid = c.oid AND i.indisprimary
             ORDER BY pg_catalog.array_position(i.indkey::int2[], k.attnum)) AS primary_key,
       ARRAY(SELECT k.attname::text FROM pg_catalog.pg_attribute k
             WHERE k.attrelid = c.oid AND k.attnum > 0 AND NOT k.attisdropped) AS columns
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND n.nspname NOT IN ('pg_catalog', 'information_schema', $1)
  AND NOT pg_catalog.starts_with(n.nspname, 'pg_temp_')
"""

_FOREIGN: Final = """
SELECT k.conrelid, k.confrelid,
       ARRAY(SELECT a.attname::text FROM unnest(k.conkey) WITH ORDINALITY AS u (n, i)
             JOIN pg_catalog.pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = u.n ORDER BY u.i) AS here,
       ARRAY(SELECT a.attname::text FROM unnest(k.confkey) WITH ORDINALITY AS u (n, i)
             JOIN pg_catalog.pg_attribute a ON a.attrelid = k.confrelid AND a.attnum = u.n ORDER BY u.i) AS there
FROM pg_catalog.pg_constraint k WHERE k.contype = 'f' AND k.conparentid = 0 ORDER BY k.conrelid, k.conname
"""

_TYPES: Final = """
SELECT a.attname, pg_catalog.format_type(a.atttypid, -1) AS type, t.typcategory::text AS typcategory
FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_type t ON t.oid = a.atttypid
WHERE a.attrelid = $1::text::pg_catalog.regclass AND a.attname = ANY ($2::text[]) AND NOT a.attisdropped
"""


@dataclass(frozen=True, slots=True)
class Relation:
    """A table with sealed columns, or one that [subjects] names."""

    label: str
    printed: str
    readable: bool
    sealed: tuple[str, ...]
    """As quote_ident writes them."""
    row: tuple[str, ...]
    """Columns that name the row: the primary key and the subject's."""
    subject: tuple[str, ...]
    """Empty: it names nobody."""
    person: str
    """The table whose person its subject is."""
    has_key: bool


@asynccontextmanager
async def snapshot(connection: asyncpg.Connection) -> AsyncIterator[None]:
    """One moment of the database; names mean what they say, and keys are printed in one way."""
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        await connection.execute(
            "SET LOCAL search_path = pg_catalog, pg_temp; SET LOCAL timezone = 'UTC'; SET LOCAL bytea_output = hex;"
            " SET LOCAL statement_timeout = 0; SET LOCAL idle_in_transaction_session_timeout = 0"
        )
        yield


async def relations(connection: asyncpg.Connection, subjects: Subjects) -> dict[str, Relation]:
    """By label. In a `snapshot`."""
    rows = await connection.fetch(_RELATIONS, SCHEMA)
    found: dict[str, Relation] = {}
    oids: dict[int, str] = {}
    for row in rows:
        name = label(row["nspname"], row["relname"])
        if not row["sealed"] and name not in subjects:
            continue
        subject = subjects.get(name, ())
        if not set(subject) <= set(row["columns"]):
            subject = ()
        oids[row["oid"]] = name
        key = tuple(row["primary_key"])
        found[name] = Relation(
            label=name,
            printed=row["printed"],
            readable=row["readable"],
            sealed=tuple(row["sealed"]),
            row=tuple(dict.fromkeys((*key, *subject))),
            subject=subject,
            person=name,
            has_key=bool(key),
        )
    above: dict[str, str] = {}
    for row in await connection.fetch(_FOREIGN):
        here, there = oids.get(row["conrelid"]), oids.get(row["confrelid"])
        if here is None or there is None or here == there:
            continue
        pairs = dict(zip(row["here"], row["there"], strict=True))
        one, other = found[here].subject, found[there].subject
        if one and other and tuple(pairs.get(column) for column in one) == other:
            above.setdefault(here, there)
    return {name: replace(one, person=_top(name, above)) for name, one in found.items()}


def _top(name: str, above: Mapping[str, str]) -> str:
    seen = {name}
    while name in above and above[name] not in seen:
        name = above[name]
        seen.add(name)
    return name


async def hold(
    connection: asyncpg.Connection,
    gathered: Gathered,
    known: Mapping[str, Relation],
    missing: Missing,
) -> None:
    """The rows of all cells. In a `snapshot`. What cannot be read is said to `missing`."""
    readable = [one for one in known.values() if one.sealed and one.readable]
    for one in known.values():
        if one.sealed and not one.readable:
            missing.say(unreadable(one.label))
    past = await _history_is_there(connection, missing)
    for ids in gathered.batches(BATCH):
        for one in readable:
            async for rows in _fetched(connection, _live(one), ids):
                gathered.hold((row["id"], *_person(one, row["row_key"]), True) for row in rows)
        if past:
            async for rows in _fetched(connection, _GONE, ids):
                for table in {row["relation"] for row in rows} - known.keys():
                    missing.say(renamed(table))
                gathered.hold((row["id"], *_past(known, row), False) for row in rows)


def unreadable(table: str) -> str:
    """What to do about it: values that are sealed tell a login nothing."""
    return (
        f"{table} cannot be read by this login, so its rows were not asked: give --dsn of the tables' owner,"
        f" or GRANT SELECT ON {table} to this login (sealed values tell it nothing)"
    )


def renamed(table: str) -> str:
    """The history has values under this name, and the database has no such table with sealed columns or a subject."""
    return (
        f"the history has values of {clean(table, LABEL_CAP)}, which is no sealed table now: whose they were is not known."
        f" If the table has another name today, write that into column relation of {SCHEMA}.cell_history"
    )


def names_nobody(table: str) -> str:
    """A table of [subjects] that was renamed, moved or dropped, or whose columns were."""
    return (
        f"{table} of [subjects] is not there, or has not the columns that name the person: its rows are named, and nobody's."
        " Write the names of today, and run `sealgate apply`"
    )


async def _history_is_there(connection: asyncpg.Connection, missing: Missing) -> bool:
    readable = await connection.fetchval(
        "SELECT pg_catalog.has_table_privilege(c.oid, 'SELECT') FROM pg_catalog.pg_class c"
        " JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = $1 AND c.relname = 'cell_history'",
        SCHEMA,
    )
    if readable is None:
        missing.say(
            f"there is no table {SCHEMA}.cell_history: whose values that are gone were is not known (run `sealgate apply`)"
        )
    elif not readable:
        missing.say(unreadable(f"{SCHEMA}.cell_history"))
    return bool(readable)


def _live(one: Relation) -> str:
    """One scan for each column: a LATERAL of both took more than twice as long. The row's key is put together for what is found."""
    names = {name: f"t.{quoted(name)}" for name in one.row} or {"ctid": "t.ctid::text"}
    given = "".join(f", {column} AS k{n}" for n, column in enumerate(names.values()))
    pairs = ", ".join(f"{literal(name)}, cell.k{n}" for n, name in enumerate(names))
    cells = " UNION ALL ".join(
        f"SELECT {SCHEMA}.cell_id(t.{column}) AS id{given} FROM {one.printed} AS t"  # noqa: S608 - names that are quoted
        for column in one.sealed
    )
    return (
        f"SELECT cell.id, pg_catalog.jsonb_build_object({pairs})::text AS row_key FROM ({cells}) AS cell"  # noqa: S608
        " JOIN unnest($1::bytea[]) AS wanted (id) ON wanted.id = cell.id"
    )


_GONE: Final = f"""
SELECT h.cell_id AS id, h.relation, h.row_key::text AS row_key
FROM unnest($1::bytea[]) AS wanted (id) JOIN {SCHEMA}.cell_history h ON h.cell_id = wanted.id
"""  # noqa: S608 - made of constants


async def _fetched(
    connection: asyncpg.Connection, query: str, ids: Sequence[bytes]
) -> AsyncIterator[list[asyncpg.Record]]:
    cursor = await connection.cursor(query, ids)
    while rows := await cursor.fetch(_FETCHED):
        yield rows


def _person(one: Relation, row_key: str) -> tuple[str, str, bool, str, str]:
    """The person's table and key, whether it is one, and the row's table and key."""
    row = json.loads(row_key)
    values = [_text(row.get(name)) for name in one.subject]
    if one.subject and all(value is not None for value in values):
        return one.person, json.dumps(values), True, one.label, _canonical(row)
    return one.label, json.dumps([_canonical(row)]), False, one.label, _canonical(row)


def _past(known: Mapping[str, Relation], row: asyncpg.Record) -> tuple[str, str, bool, str, str]:
    """Of a table that is no more, or is called otherwise now, the row is named and nobody's."""
    one = known.get(row["relation"])
    if one is not None:
        return _person(one, row["row_key"])
    key = _canonical(json.loads(row["row_key"]))
    return row["relation"], json.dumps([key]), False, row["relation"], key


def _canonical(row: Mapping[str, Any]) -> str:
    return json.dumps(row, sort_keys=True, ensure_ascii=False)


def _text(value: object) -> str | None:
    """As SQL's ->> gives it."""
    if value is None or isinstance(value, str):
        return value
    return json.dumps(value)


async def ids_of(
    connection: asyncpg.Connection,
    one: Relation,
    key: Sequence[str],
    known: Mapping[str, Relation],
    missing: Missing,
) -> set[bytes]:
    """All cells that the person's rows of one table hold, and those they held. In a `snapshot`.

    What the history has of that key under the name of a table that is not there goes to `missing`: it may be this one's.

    `key`: values of the subject's columns, as text. They are compared as the columns' types compare them: a UUID in
    capitals and `042` are found. Raises NoSuchKey where one is no value of its column's type.
    """
    types = await _types(connection, one)
    canonical = [
        await _canonical_value(connection, name, types[name], value)
        for name, value in zip(one.subject, key, strict=True)
    ]
    same = " AND ".join(
        f"t.{quoted(name)} = ${n}::text::{types[name].name}"
        for n, name in enumerate(one.subject, 1)
    )
    found: set[bytes] = set()
    if one.sealed:
        cells = " UNION ALL ".join(
            f"SELECT {SCHEMA}.cell_id(t.{column}) AS id FROM {one.printed} AS t WHERE t.{column} IS NOT NULL AND {same}"  # noqa: S608
            for column in one.sealed
        )
        found |= {row["id"] for row in await connection.fetch(cells, *key)}
    then = " AND ".join(_was(name, types[name], n) for n, name in enumerate(one.subject, 2))
    rows = await connection.fetch(
        f"SELECT h.cell_id FROM {SCHEMA}.cell_history h WHERE CASE WHEN h.relation = $1 THEN {then} ELSE false END",  # noqa: S608
        one.label,
        *canonical,
    )
    found |= {row["cell_id"] for row in rows}
    same = " AND ".join(
        f"h.row_key ->> {literal(name)} = ${n}::text" for n, name in enumerate(one.subject, 2)
    )
    rows = await connection.fetch(
        f"SELECT DISTINCT h.relation FROM {SCHEMA}.cell_history h WHERE h.relation <> ALL ($1::text[]) AND {same}",  # noqa: S608
        list(known),
        *canonical,
    )
    for row in rows:
        missing.say(renamed(row["relation"]))
    return found


class NoSuchKey(ValueError):
    """A value that the column of this name cannot hold."""

    def __init__(self, column: str, type_name: str) -> None:
        super().__init__(f"is no value of column {column} ({type_name})")


class _Type(NamedTuple):
    name: str
    """As format_type writes it, with its schema; without a length, so that no key is cut off to fit."""
    compared: bool
    """One value may be written in several ways in the history, and its text can be read again."""


async def _types(connection: asyncpg.Connection, one: Relation) -> dict[str, _Type]:
    rows = await connection.fetch(_TYPES, one.printed, list(one.subject))
    return {row["attname"]: _Type(row["type"], row["typcategory"] in "NDTS") for row in rows}


async def _canonical_value(
    connection: asyncpg.Connection, column: str, its: _Type, value: str
) -> str:
    try:
        async with connection.transaction():
            found: str = await connection.fetchval(
                f"SELECT pg_catalog.to_jsonb($1::text::{its.name}) #>> '{{}}'",
                value,
            )
    except asyncpg.DataError:
        raise NoSuchKey(column, its.name) from None
    return found


def _was(name: str, its: _Type, number: int) -> str:
    then = f"h.row_key ->> {literal(name)}"
    if not its.compared:
        return f"{then} = ${number}::text"
    return f"({then})::{its.name} = ${number}::text::{its.name}"


def by_person(known: Iterable[Relation]) -> dict[str, list[Relation]]:
    """The tables that name a table's person."""
    found: dict[str, list[Relation]] = defaultdict(list)
    for one in known:
        if one.subject:
            found[one.person].append(one)
    return found


def quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    escaped = text.replace("'", "''")
    return f"'{escaped}'" if "\\" not in escaped else "E'" + escaped.replace("\\", "\\\\") + "'"
