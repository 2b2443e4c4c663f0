"""Search on sealed columns against the same on plain ones: time of a query, bytes of a value and of an index entry. [io]

    python -m bench.search [--rows 1000000] [--seconds 2] [--out FILE] [--tree DIR]
    python -m bench.search --report      bench/README.md, from the newest file of bench/results/search

One table in plaintext and one sealed, with the same rows; the plain one has the indexes that an application would have,
pg_trgm's included where the distribution's PostgreSQL is installed (Debian and Ubuntu: apt install postgresql; the embedded
one has no such extension, and plain LIKE reads the table there). The same statements, prepared, with the same parameters:
plain ones go to the server, sealed ones through one worker of Sealgate. A query is repeated on both sides in turn.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg

from bench import report
from bench.pgcrypto import PackagedPostgres, installed
from bench.servers import APPLICATION, DATABASE, HOST, NotAvailable, Sealgate, postgres, prepare
from proxy.compiled import mode
from proxy.embedded import EmbeddedPostgres

SEED = 5
FIRST_DAY = date(1950, 1, 1)
DAYS = 20_000
SYLLABLES = (
    "an",
    "ber",
    "ce",
    "dor",
    "el",
    "fi",
    "gus",
    "hel",
    "in",
    "jo",
    "ka",
    "lu",
    "mi",
    "nor",
    "ol",
    "pe",
)

TABLE = """
CREATE SCHEMA {schema};
CREATE TABLE {schema}.people (id int PRIMARY KEY, email text, name text, born date, balance numeric(12,2));
"""
SEALED: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "sealed.people.email": ("text", ("equality",)),
    "sealed.people.name": ("text", ("order:C:16", "match")),
    "sealed.people.born": ("date", ("order",)),
    "sealed.people.balance": ("numeric(12,2)", ("order",)),
}
PLAIN_INDEXES = {
    "email": "btree (email)",
    "name": 'btree (name COLLATE "C")',
    "name, groups of characters": "gin (name gin_trgm_ops)",
    "born": "btree (born)",
    "balance": "btree (balance)",
    "born, id": "btree (born, id)",
}
SEALED_INDEXES = {
    "email": "btree (sealgate.eq(email))",
    "name": "btree (sealgate.ord(name))",
    "name, groups of characters": "gin (sealgate.match(name))",
    "born": "btree (sealgate.ord(born))",
    "balance": "btree (sealgate.ord(balance))",
    "born, id": "btree (sealgate.ord(born), id)",
}


@dataclass(frozen=True, slots=True)
class Query:
    name: str
    sql: str
    """With {s} for the schema."""
    parameters: Callable[[random.Random, int], tuple[Any, ...]]
    """For a number of rows."""


def email_of(number: int) -> str:
    return f"user{number}@example.com"


def name_of(number: int) -> str:
    """Four syllables and the number's last digits: 65,536 beginnings, at most 18 characters."""
    chosen = random.Random(number)  # noqa: S311 - the same name for the same number
    return "".join(chosen.choice(SYLLABLES) for _ in range(4)).capitalize() + f" {number % 9973}"


def _born(chosen: random.Random) -> date:
    return FIRST_DAY + timedelta(days=chosen.randrange(DAYS))


def _day(number: int) -> date:
    return FIRST_DAY + timedelta(days=number * 7919 % DAYS)


QUERIES = (
    Query(
        "look-up by =",
        "SELECT id FROM {s}.people WHERE email = %s",
        lambda chosen, rows: (email_of(chosen.randrange(rows)),),
    ),
    Query(
        "look-up of 100 by = ANY",
        "SELECT id FROM {s}.people WHERE email = ANY (%s)",
        lambda chosen, rows: ([email_of(chosen.randrange(rows)) for _ in range(100)],),
    ),
    Query(
        "range page: >=, ORDER BY, LIMIT 50",
        "SELECT id, born FROM {s}.people WHERE born >= %s ORDER BY born LIMIT 50",
        lambda chosen, _: (_born(chosen),),
    ),
    Query(
        "keyset page: (born, id) >, LIMIT 50",
        "SELECT id, born FROM {s}.people WHERE (born, id) > (%s, %s) ORDER BY born, id LIMIT 50",
        lambda chosen, rows: (_born(chosen), chosen.randrange(rows)),
    ),
    Query(
        "count of a range: BETWEEN, 1 % of the rows",
        "SELECT count(*) FROM {s}.people WHERE born BETWEEN %s AND %s",
        lambda chosen, _: _between(chosen, DAYS // 100),
    ),
    Query(
        "the 10 greatest: ORDER BY DESC LIMIT 10",
        "SELECT id, balance FROM {s}.people ORDER BY balance DESC LIMIT 10",
        lambda _chosen, _rows: (),
    ),
    Query(
        "beginning: LIKE 'abc%', counted",
        "SELECT count(*) FROM {s}.people WHERE name LIKE %s",
        lambda chosen, rows: (name_of(chosen.randrange(rows))[:6] + "%",),
    ),
    Query(
        "inside: LIKE '%abc%', some 60 rows",
        "SELECT id, name FROM {s}.people WHERE name LIKE %s",
        lambda chosen, rows: (f"%{name_of(chosen.randrange(rows))[2:9]}%",),
    ),
    Query(
        "GROUP BY a day of one year",
        "SELECT born, count(*) FROM {s}.people WHERE born BETWEEN %s AND %s GROUP BY born",
        lambda chosen, _: _between(chosen, 365),
    ),
    Query(
        "max of 1 % of the rows",
        "SELECT max(balance) FROM {s}.people WHERE born BETWEEN %s AND %s",
        lambda chosen, _: _between(chosen, DAYS // 100),
    ),
)


def _between(chosen: random.Random, days: int) -> tuple[date, date]:
    first = _born(chosen)
    return first, first + timedelta(days=days)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.search", description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--seconds", type=float, default=2.0, help="for each query and side")
    parser.add_argument("--out", type=Path, help="the figures as JSON")
    parser.add_argument("--tree", type=Path, default=Path.cwd(), help="whose proxy is measured")
    parser.add_argument("--report", action="store_true", help="measure nothing")
    options = parser.parse_args()
    if options.report:
        readme = report.BENCH / "README.md"
        readme.write_text(report.filled(readme.read_text(), {"search": newest()}))
        return 0
    result = measure(options.rows, options.seconds, options.tree.resolve(), _say)
    print("\n".join(table(result)))
    if options.out is not None:
        options.out.write_text(json.dumps(result, indent=1) + "\n")
    return 0


def newest() -> str:
    """The tables of the newest committed result."""
    file = max((report.BENCH / "results" / "search").glob("*.json"))
    return "\n".join(table(json.loads(file.read_text())))


def _say(text: str) -> None:
    print(f"{datetime.now(UTC):%H:%M:%S} {text}", file=sys.stderr, flush=True)


def measure(rows: int, seconds: float, tree: Path, say: Callable[[str], None]) -> dict[str, Any]:
    """Everything, on servers of its own, as JSON has it."""
    with tempfile.TemporaryDirectory() as home, _server() as server:
        sealgate = Sealgate(tree, Path(home) / "sealgate", server.port)
        for schema in ("plain", "sealed"):
            server.psql(TABLE.format(schema=schema), DATABASE, APPLICATION)
        say("sealgate apply")
        sealgate.apply(SEALED)
        through = sealgate.serve()
        try:
            return _measured(server, through.port, rows, seconds, say)
        finally:
            through.stop()


def _server() -> EmbeddedPostgres:
    """The distribution's, with pg_trgm, else the embedded one."""
    try:
        server: EmbeddedPostgres = PackagedPostgres(installed()).start()
    except NotAvailable:
        return postgres()
    prepare(server)
    server.psql("CREATE EXTENSION pg_trgm", DATABASE)
    return server


def _measured(
    server: EmbeddedPostgres, port: int, rows: int, seconds: float, say: Callable[[str], None]
) -> dict[str, Any]:
    dsn = f"postgresql://{APPLICATION}@{HOST}:{{}}/{DATABASE}"
    with (
        psycopg.connect(dsn.format(server.port), autocommit=True) as plain,
        psycopg.connect(dsn.format(port), autocommit=True) as sealed,
    ):
        sides = {"plain": plain, "sealed": sealed}
        loading = {}
        for name, side in sides.items():
            say(f"{rows:,} rows into {name}")
            began = time.perf_counter()
            _fill(side, name, rows)
            loading[name] = rows / (time.perf_counter() - began)
        say("indexes")
        _index(plain, say)
        say("queries")
        queries = [asdict(_compared(query, sides, rows, seconds)) for query in QUERIES]
        return {
            "date": f"{datetime.now(UTC):%Y-%m-%d}",
            "sealgate": mode(),
            "server": plain.info.server_version,
            "rows": rows,
            "rows_a_second": loading,
            "queries": queries,
            "sizes": _sizes(plain, rows),
        }


def _fill(side: psycopg.Connection, schema: str, rows: int) -> None:
    into = f"COPY {schema}.people FROM STDIN"
    with side.cursor().copy(into.encode()) as copy:
        for first in range(0, rows, 1000):
            lines = [
                f"{n}\t{email_of(n)}\t{name_of(n)}\t{_day(n)}\t{n * 7907 % 10_000_019 / 100}\n"
                for n in range(first, min(first + 1000, rows))
            ]
            copy.write("".join(lines).encode())


def _index(direct: psycopg.Connection, say: Callable[[str], None]) -> None:
    """Those of `sealgate apply` are there; what it did before the rows came is made anew, to be as dense as the plain ones."""
    has_trigrams = direct.execute("SELECT FROM pg_extension WHERE extname = 'pg_trgm'").fetchone()
    direct.execute("SET maintenance_work_mem = '512MB'")
    direct.execute(
        "DO $$ DECLARE found record; BEGIN FOR found IN SELECT indexrelid::regclass AS name FROM pg_index"
        " WHERE indrelid = 'sealed.people'::regclass AND NOT indisprimary LOOP"
        " EXECUTE 'DROP INDEX ' || found.name; END LOOP; END $$"
    )
    for schema, indexes in (("plain", PLAIN_INDEXES), ("sealed", SEALED_INDEXES)):
        for number, definition in enumerate(indexes.values()):
            if "trgm" in definition and has_trigrams is None:
                continue
            method, _, columns = definition.partition(" ")
            say(f"index {definition}")
            sql = f"CREATE INDEX {schema}_{number} ON {schema}.people USING {method} {columns}"
            direct.execute(sql.encode())
    direct.execute("VACUUM (ANALYZE)")


@dataclass(frozen=True, slots=True)
class Compared:
    """Median milliseconds of one query on both sides, and how many rows or how great a count both gave."""

    name: str
    sql: str
    plain_ms: float
    sealed_ms: float
    times: int


def _compared(
    query: Query, sides: Mapping[str, psycopg.Connection], rows: int, seconds: float
) -> Compared:
    chosen = random.Random(SEED)  # noqa: S311 - the same parameters in every run
    found: dict[str, list[float]] = {name: [] for name in sides}
    texts = {name: query.sql.format(s=name).encode() for name in sides}
    spent = 0.0
    while spent < 2 * seconds or len(found["plain"]) < 5:
        parameters = query.parameters(chosen, rows)
        answers = []
        for name, side in sides.items():
            began = time.perf_counter()
            answer = side.execute(texts[name], parameters, prepare=True).fetchall()
            taken = time.perf_counter() - began
            found[name].append(1000 * taken)
            spent += taken
            answers.append(answer)
        if sorted(answers[0]) != sorted(answers[1]) and "LIMIT" not in query.sql:
            raise AssertionError(f"{query.name}: the two sides do not give the same")
        if len(answers[0]) != len(answers[1]):
            raise AssertionError(f"{query.name}: the two sides do not give as many rows")
    medians = {name: statistics.median(times) for name, times in found.items()}
    return Compared(query.name, query.sql, medians["plain"], medians["sealed"], len(found["plain"]))


def _sizes(direct: psycopg.Connection, rows: int) -> list[dict[str, Any]]:
    """Bytes of a value in the table, and of a row in each index."""
    found: list[dict[str, Any]] = []
    for column in ("email", "name", "born", "balance"):
        sizes = []
        for schema in ("plain", "sealed"):
            sql = f"SELECT avg(pg_column_size({column}))::float8 FROM {schema}.people"
            row = direct.execute(sql.encode()).fetchone()
            sizes.append(float(row[0]) if row is not None else 0.0)
        found.append({"what": f"value of {column}", "plain": sizes[0], "sealed": sizes[1]})
    for number, what in enumerate(PLAIN_INDEXES):
        entry: dict[str, Any] = {"what": f"entry of the index on {what}"}
        for schema in ("plain", "sealed"):
            sql = f"SELECT pg_relation_size(to_regclass('{schema}.{schema}_{number}'))"
            row = direct.execute(sql.encode()).fetchone()
            entry[schema] = row[0] / rows if row is not None and row[0] is not None else None
        found.append(entry)
    return found


def table(result: Mapping[str, Any]) -> list[str]:
    """For people, as Markdown."""
    lines = [
        f"{result['rows']:,} rows, PostgreSQL {result['server'] // 10000}, Sealgate {result['sealgate']}, {result['date']}.",
        "",
        "| query | plain, ms | sealed, ms | ratio |",
        "| --- | --: | --: | --: |",
    ]
    for query in result["queries"]:
        ratio = query["sealed_ms"] / query["plain_ms"]
        lines.append(
            f"| {query['name']} | {query['plain_ms']:.2f} | {query['sealed_ms']:.2f} | {ratio:.2f} |"
        )
    lines += ["", "| bytes of one | plain | sealed |", "| --- | --: | --: |"]
    for size in result["sizes"]:
        plain = "-" if size["plain"] is None else f"{size['plain']:.0f}"
        sealed = "-" if size["sealed"] is None else f"{size['sealed']:.0f}"
        lines.append(f"| {size['what']} | {plain} | {sealed} |")
    loading = result["rows_a_second"]
    lines += [
        "",
        f"COPY in: {loading['plain']:,.0f} rows/s plain, {loading['sealed']:,.0f} sealed.",
    ]
    return lines


if __name__ == "__main__":
    sys.exit(main())
