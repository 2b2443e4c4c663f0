"""What `apply --dry-run` forecasts against what it then comes to: `python -m tests.database.measured [ROWS]` (default 100,000).

One table, every kind of term: first the plain columns are sealed without search, then they are given all terms, which is a pass
over the rows, then they are sealed with all terms at once. Prints bytes a value and a row, table and indexes, seconds.
"""

from __future__ import annotations

import asyncio
import sys
from typing import Any

import asyncpg

from keystore import generate
from policy import ColumnRule, read_search
from proxy.database.apply import apply
from proxy.database.deriving import terms_of
from proxy.database.forecast import split_terms
from proxy.database.report import ApplyReport, TableReport
from proxy.database.terms import TERMS
from proxy.embedded import EmbeddedPostgres

FILL = """
CREATE TABLE people (id int PRIMARY KEY, email text, name text, city text, born date, at timestamp, price numeric(12,2), doc jsonb);
INSERT INTO people SELECT i,
    'user' || i || '@' || (ARRAY['example.com', 'example.org', 'mail.example'])[1 + i % 3],
    (ARRAY['Ada', 'Grace', 'Hedy', 'Mary', 'Rosa', 'Emmy', 'Lise', 'Ruth'])[1 + (hashint4(i) & 7)] || ' ' || initcap(substr(md5(i::text), 1, 8)),
    'City ' || sqrt(hashint4(i * 7) & 65535)::int,
    date '1940-01-01' + (hashint4(i * 3) & 32767), timestamp '2020-01-01' + i * interval '1 minute',
    (hashint4(i * 5) & 1048575) / 100.0, jsonb_build_object('city', 'City ' || i % 300, 'n', i)
FROM generate_series(1, {rows}) AS i;
ANALYZE people
"""
SEARCH: dict[str, tuple[str, tuple[str, ...]]] = {
    "email": ("text", ("equality",)),
    "name": ("text", ("equality:casefold", "match", "order:C:16")),
    "city": ("text", ("equality",)),
    "born": ("date", ("order",)),
    "at": ("timestamp", ("order",)),
    "price": ("numeric(12,2)", ("order",)),
    "doc": ("jsonb", ("path:city", "path:n")),
}


def columns(*, search: bool) -> dict[str, ColumnRule]:
    return {
        f"public.people.{name}": ColumnRule(
            f"public.people.{name}", spec, read_search(entries if search else (), name)
        )
        for name, (spec, entries) in SEARCH.items()
    }


async def main(rows: int) -> None:
    keyset = generate(columns(search=True))
    with EmbeddedPostgres() as postgres:
        for title, steps in (("terms by a pass", (False, True)), ("sealed with terms", (True,))):
            postgres.psql(f"CREATE DATABASE {'passed' if len(steps) > 1 else 'sealed'}")
            connection = await asyncpg.connect(
                postgres.dsn("passed" if len(steps) > 1 else "sealed")
            )
            await connection.execute(FILL.format(rows=rows))
            for search in steps:
                declared = columns(search=search)
                told = await apply(connection, declared, keyset, dry_run=True)
                done = await apply(connection, declared, keyset)
                assert done.ok, done.obstacles
                if search:
                    await report(connection, title, told, done)
            await connection.close()


async def report(
    connection: asyncpg.Connection, title: str, told: ApplyReport, done: ApplyReport
) -> None:
    planned, real = told.tables[0], done.tables[0]
    print(f"\n{title}, {planned.rows:,} rows{'':24} forecast       real")
    for said, a, b in _lines(planned, real):
        print(f"  {said:54}{a:14,.1f} {b:10,.1f}   {a / b if b else 1:.2f}")
    for term in planned.terms:
        found = next(t for t in TERMS if t.said == term.term)
        name = term.column.rpartition(".")[2]
        values = await connection.fetch(
            f"SELECT {name}::bytea FROM people WHERE {name} IS NOT NULL LIMIT 20000"
        )
        overhead = 0 if found is TERMS[0] else 2
        size = sum(len(split_terms(v)[found]) + overhead for (v,) in values) / len(values)
        assert terms_of(values[0][0])[0] & found.flag
        index = await connection.fetchval(
            "SELECT pg_relation_size(indexrelid) FROM pg_index WHERE indrelid = 'people'::regclass"
            " AND pg_get_indexdef(indexrelid) LIKE '%sealgate.' || $1 || '(' || $2 || '%'"
            " OR pg_get_indexdef(indexrelid) LIKE '%sealgate.' || $1 || '((' || $2 || ')%'",
            found.function,
            name,
        )
        rows = planned.rows or 1
        for said, a, b in (
            ("bytes a value", term.value_bytes, size),
            ("bytes a row of its index", term.entry_bytes, index / rows),
        ):
            print(f"  {name + ' ' + term.term + ': ' + said:54}{a:14,.1f} {b:10,.1f}   {a / b:.2f}")


def _lines(planned: TableReport, real: TableReport) -> list[tuple[str, float, float]]:
    found: list[tuple[str, Any, Any]] = [
        ("table, kB", planned.table_bytes_after, real.table_bytes_after),
        ("indexes, kB", planned.index_bytes_after, real.index_bytes_after),
    ]
    seconds: list[tuple[str, Any, Any]] = [
        ("seconds locked", planned.seconds, real.seconds),
        ("seconds of the pass and the indexes", planned.derived_seconds, real.derived_seconds),
    ]
    return [(said, a / 1024, b / 1024) for said, a, b in found] + [
        (said, a, b) for said, a, b in seconds if a is not None and b is not None
    ]


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else 100_000))
