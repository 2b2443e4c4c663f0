"""LIKE and ILIKE on sealed texts through the real proxy: what a plain twin says, or a documented refusal.

`MATCH_SEED=n` repeats a run.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import struct
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import asyncpg
import psycopg
import pytest
from psycopg import ClientCursor

from proxy.wire.messages import message
from tests.conftest import Database
from tests.integration.shop import Shop
from tests.integration.wire_client import WireClient, sqlstate

# In the plain twin upper and lower case are Unicode's, one character at a time.
TABLE = """
CREATE TABLE {schema}.people (
    id int PRIMARY KEY, name text {c}, title varchar(40) {c}, city text {c}, tag text {c}
);
"""
COLUMNS = """
[columns."public.people.name"]
type = "text"
search = ["match"]
mask = "keep_first:1"

[columns."public.people.title"]
type = "varchar(40)"
search = ["match:2"]

[columns."public.people.city"]
type = "text"
search = ["match", "order:C:8"]

[columns."public.people.tag"]
type = "text"
search = ["order:C:8"]

[roles.shop_app]
clear = ["*"]
write = ["*"]

[roles.support]
masked = ["public.people.name"]
clear = ["public.people.title"]

[roles.analyst]
search = ["public.people.name"]
"""
SEED = int(os.environ.get("MATCH_SEED", random.SystemRandom().getrandbits(32)))
ROWS = 400
ROUNDS = 300
LETTERS = "aaabbcAB\N{LATIN SMALL LETTER E WITH ACUTE}\N{LATIN CAPITAL LETTER E WITH ACUTE}\N{GRINNING FACE} %_\\"
DOCUMENTED = (
    "the pattern is too short to look for",
    "a pattern other than characters and one % at the end",
    "a pattern that begins with more than 8 bytes",
    "is not supported on sealed columns",
    "and cannot be used with LIKE",
)


@pytest.fixture(scope="module")
def rng() -> random.Random:
    print(f"MATCH_SEED={SEED}")
    return random.Random(SEED)


@pytest.fixture(scope="module")
def shop(
    make_database: Callable[[], Database], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Shop]:
    database = make_database()
    database.psql(
        TABLE.format(schema="public", c="")
        + "CREATE SCHEMA plain;"
        + TABLE.format(schema="plain", c='COLLATE "pg_c_utf8"')
    )
    database.psql(
        "GRANT ALL ON SCHEMA plain, public TO PUBLIC;"
        "GRANT ALL ON ALL TABLES IN SCHEMA public, plain TO PUBLIC"
    )
    shop = Shop(database, tmp_path_factory.mktemp("match"), columns=COLUMNS)
    shop.prepare()
    shop.serve()
    yield shop
    shop.stop()
    database.postgres.drop_database(database.name)


def text(rng: random.Random, most: int = 10) -> str:
    return "".join(rng.choices(LETTERS, k=rng.randint(0, most)))


@pytest.fixture(scope="module")
def filled(shop: Shop, rng: random.Random) -> list[str]:
    """The same random rows in both tables; the names, for patterns that find some."""
    rows = [
        (n, *(text(rng) if rng.random() < 0.95 else None for _ in range(4))) for n in range(ROWS)
    ]
    with shop.connect() as sealed, shop.direct() as plain:
        for connection, table in ((sealed, "people"), (plain, "plain.people")):
            connection.cursor().executemany(
                f"INSERT INTO {table} VALUES (%s, %s, %s, %s, %s)", rows
            )
        plain.commit()
    return [cell for row in rows for cell in row[1:] if isinstance(cell, str)]


class Statements:
    """Random statements with LIKE; `%s` for each value."""

    def __init__(self, rng: random.Random, texts: list[str]) -> None:
        self.rng = rng
        self.texts = texts
        self.values: list[str | None] = []
        self.literals = False

    def pattern(self) -> str:
        """Made of a value, so that some match."""
        rng = self.rng
        if rng.random() < 0.2:
            return "".join(rng.choices(LETTERS + "%%%_", k=rng.randint(0, 6)))
        found = rng.choice(self.texts)
        begin = rng.randint(0, len(found) // 2)
        end = rng.randint(begin, len(found))
        inner = "".join(
            "_" if rng.random() < 0.05 else "\\" + c if c in "%_\\" and rng.random() < 0.7 else c
            for c in found[begin:end]
        )
        if rng.random() < 0.3:
            inner = inner.swapcase()
        return ("%" if begin or rng.random() < 0.3 else "") + inner + rng.choice(("%", "%", ""))

    def value(self, given: str | None) -> str:
        if self.literals and given is not None:
            return "'" + given.replace("'", "''").replace("%", "%%") + "'"
        self.values.append(given)
        return self.rng.choice(("%s", "%s::text", "%s::varchar", "CAST(%s AS text)"))

    def like(self) -> str:
        rng = self.rng
        column = rng.choice(("p.name", "p.title", "p.city", "p.name::text", "p.tag"))
        operator = rng.choice(("LIKE", "LIKE", "ILIKE", "~~", "~~*"))
        given = None if rng.random() < 0.02 and not self.literals else self.pattern()
        form = rng.random()
        escape = rng.choice((" ESCAPE ''", " ESCAPE '!'", " ESCAPE 'a'")) if form < 0.15 else ""
        if form > 0.85:
            case = rng.choice(("lower", "upper"))
            return f"{case}({column}) {operator} {case}({self.value(given)})"
        if form > 0.7:
            before, after = rng.choice((("(", ")"), ("", "")))
            operator = {"~~": "LIKE", "~~*": "ILIKE"}.get(operator, operator)
            return f"{column} {operator} {before}'%%' || {self.value(given)} || '%%'{after}"
        if escape and operator.startswith("~"):
            operator = "LIKE"
        return f"{column} {operator} {self.value(given)}{escape}"

    def condition(self) -> str:
        parts = []
        for _ in range(self.rng.choice((1, 1, 1, 2))):
            alternatives = [self.like() for _ in range(self.rng.choice((1, 1, 1, 2)))]
            parts.append("(" + " OR ".join(alternatives) + ")")
        if self.rng.random() < 0.3:
            parts.append(f"p.id < {self.rng.randrange(ROWS)}")
        return " AND ".join(parts)

    def statement(self) -> str:
        self.literals = self.rng.random() < 0.4
        condition = self.condition()
        form = self.rng.random()
        if form < 0.6:
            return f"SELECT id, name, title, city, tag FROM people p WHERE {condition}"
        if form < 0.85:
            return f"SELECT * FROM people p WHERE {condition} ORDER BY p.id DESC"
        if form < 0.9:
            return f"SELECT count(*) FROM people p WHERE {condition}"
        if form < 0.95:
            return f"SELECT p.*, o.id FROM people p JOIN people o USING (id) WHERE {condition}"
        return f"UPDATE people p SET id = -id WHERE {condition} RETURNING id"


def played(connection: psycopg.Connection[Any], sql: str, values: list[Any], binary: bool) -> Any:
    """Tag and rows, as a multiset where they are not sorted; or the error. Nothing stays."""
    connection.execute("BEGIN")
    try:
        cursor = connection.cursor(binary=binary)
        cursor.execute(sql.encode(), values)
        rows = cursor.fetchall()
        return cursor.statusmessage, rows if "ORDER" in sql else sorted(rows, key=repr)
    except psycopg.Error as error:
        return error
    finally:
        connection.execute("ROLLBACK")


@pytest.mark.parametrize("protocol", ["extended", "simple", "binary"])
def test_random_patterns(shop: Shop, filled: list[str], rng: random.Random, protocol: str) -> None:
    """The same tags, rows and errors on both, or a documented refusal."""
    factory = ClientCursor if protocol == "simple" else psycopg.Cursor
    seen: Counter[str] = Counter()
    found = 0
    with (
        shop.connect(cursor_factory=factory) as sealed,
        psycopg.connect(
            shop.database.dsn("shop_app"), autocommit=True, cursor_factory=factory
        ) as plain,
    ):
        plain.execute("SET search_path = plain")
        for _ in range(ROUNDS):
            made = Statements(rng, filled)
            sql = made.statement()
            ours = played(sealed, sql, made.values, protocol == "binary")
            if isinstance(ours, psycopg.Error):
                state, words = ours.diag.sqlstate, ours.diag.message_primary or str(ours)
                if state == "22025":
                    seen["no pattern"] += 1  # The server says so once it comes to the end of one.
                    assert "escape" in words, sql
                    continue
                assert state == "0A000", f"{words}\n{sql} {made.values}"
                reason = next((r for r in DOCUMENTED if r in words), None)
                assert reason is not None, f"{words}\n{sql} {made.values}"
                seen[reason] += 1
                continue
            theirs = played(plain, sql, made.values, protocol == "binary")
            assert not isinstance(theirs, psycopg.Error), f"{theirs}\n{sql} {made.values}"
            assert ours == theirs, f"{sql} {made.values}"
            seen["equal"] += 1
            found += bool(ours[1])
    print(seen)
    assert seen["equal"] > ROUNDS * 0.3
    assert found > ROUNDS * 0.1
