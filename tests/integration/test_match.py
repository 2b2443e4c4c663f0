"""LIKE and ILIKE on sealed texts through the real proxy: what a plain twin says, or a documented refusal.

`MATCH_SEED=n` repeats a run.
"""

from __future__ import annotations

import asyncio
import os
import random
import struct
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import asyncpg
import psycopg
import pytest

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
    seen: Counter[str] = Counter()
    found = 0
    with shop.twins(protocol) as (plain, sealed):
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


NAMES = (
    "Ada Lovelace",
    "ada king",
    "Adam Smith",
    "bcd abc",  # It has the grams of '%abcd%', not side by side.
    "abcd",
    None,
)


@pytest.fixture
def named(shop: Shop) -> Iterator[None]:
    """A few known rows, with ids from -1 downwards; gone after the test."""
    with shop.connect() as connection:
        for number, name in enumerate(NAMES, 1):
            connection.execute(
                "INSERT INTO people VALUES (%s, %s, %s, NULL, NULL)", (-number, name, "t" * number)
            )
        yield
        connection.execute("DELETE FROM people WHERE id < 0")


def ids(rows: list[Any]) -> list[int]:
    return sorted(row[0] for row in rows)


def test_what_only_has_the_grams_is_not_shown(shop: Shop, named: None) -> None:
    """The tag counts what is shown, and so does the access log: compared as often as it was opened, read as often as shown."""
    before = shop.clear_events()
    with shop.connect() as connection:
        sql = "SELECT id, name FROM people WHERE name LIKE %s AND id < 0"
        cursor = connection.execute(sql, ["%abcd%"])
        assert cursor.statusmessage == "SELECT 1"
        assert cursor.fetchall() == [(-5, "abcd")]
        cursor = connection.execute(sql, ["%dabc%"])
        assert (cursor.statusmessage, cursor.fetchall()) == ("SELECT 0", [])
    with shop.direct() as direct:
        grams = "SELECT count(*) FROM people WHERE sealgate.match(name) @> (SELECT sealgate.match(name) FROM people WHERE id = -5)"
        assert direct.execute(grams).fetchone() is not None
    one, none = [
        e["unmapped"]["sealgate"]
        for e in shop.events()[before:]
        if "columns" in e["unmapped"]["sealgate"]
    ]
    assert {c["outcome"]: c["cells"] for c in one["columns"]} == {"compared": 2, "clear": 1}
    assert one["rows"] == 1
    assert none["rows"] == 0
    assert sum(c["cells"] for c in none["columns"] if c["outcome"] == "clear") == 0


def test_case(shop: Shop, named: None) -> None:
    """LIKE tells upper from lower case; ILIKE, and lower() or upper() on both sides, do not."""
    with shop.connect() as connection:
        for condition, expected in {
            "name LIKE 'Ada%%'": [-3, -1],
            "name ILIKE 'ada%%'": [-3, -2, -1],
            "lower(name) LIKE lower('ADA%%')": [-3, -2, -1],
            "upper(name::text) LIKE upper('ada%%')": [-3, -2, -1],
            "lower(name) LIKE 'Ada%%'": [],
            "name LIKE '%%' || 'love' || '%%'": [],
            "name ILIKE '%%' || 'LOVE' || '%%'": [-1],
            "name LIKE 'Ada %%' OR name LIKE '%%King' OR title LIKE 'tt'": [-2, -1],
        }.items():
            rows = connection.execute(
                f"SELECT id, name, title FROM people WHERE ({condition}) AND id < 0".replace(
                    "%%", "%"
                ).encode()
            ).fetchall()
            assert ids(rows) == expected, condition


def test_a_needle_that_is_too_short(shop: Shop, named: None) -> None:
    """Refused where no gram is in it, for each value; found by match:2; % alone is no needle."""
    with shop.connect() as connection:
        for pattern in ("%ad%", "_d_", "%a%d%", "%_%"):
            with pytest.raises(psycopg.errors.FeatureNotSupported, match="too short") as refused:
                connection.execute("SELECT name FROM people WHERE name LIKE %s", [pattern])
            assert "at least 3 characters" in str(refused.value.diag.message_hint)
        rows = connection.execute(
            "SELECT id, title FROM people WHERE title LIKE %s AND id < 0", ["%tt%"]
        )
        assert ids(rows.fetchall()) == [-6, -5, -4, -3, -2]
        rows = connection.execute(
            "SELECT id, name FROM people WHERE name LIKE %s AND id < 0", ["%"]
        )
        assert ids(rows.fetchall()) == [-5, -4, -3, -2, -1]


def test_null_is_like_nothing(shop: Shop, named: None) -> None:
    """A NULL pattern finds nothing, a NULL value is not found; beside OR the other pattern counts."""
    with shop.connect() as connection:
        sql = "SELECT id, name FROM people WHERE id < 0 AND (name LIKE %s OR name LIKE %s)"
        assert connection.execute(sql, [None, None]).fetchall() == []
        assert ids(connection.execute(sql, [None, "abcd"]).fetchall()) == [-5]


def test_who_may_not_compare_may_not_search(shop: Shop, named: None) -> None:
    """A masked role cannot guess a value by patterns; one that may only search learns which rows, and no value."""
    with shop.connect("support_login") as masked:
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            masked.execute("SELECT id, name FROM people WHERE name LIKE 'Ada%'")
        assert masked.execute(
            "SELECT title FROM people WHERE title LIKE 'tt' AND id < 0"
        ).fetchall() == [("tt",)]
    with shop.connect("analyst") as searching:
        rows = searching.execute(
            "SELECT id, name FROM people WHERE name LIKE %s AND id < 0", ["Ada%"]
        ).fetchall()
        assert sorted(rows) == [(-3, None), (-1, None)]


def test_no_pattern_is_logged(shop: Shop, named: None) -> None:
    """Neither by Sealgate nor by the server, which logs every statement here: found, refused and malformed ones alike."""
    said: list[str] = []
    with shop.connect() as connection:
        for sql in (
            "SELECT name FROM people WHERE name LIKE '%canary-like%'",
            "SELECT name FROM people WHERE name LIKE '%' || 'canary-like' || '%' ESCAPE '!'",
            "SELECT name FROM people WHERE upper(name) LIKE UPPER('%canary-like%')",
            "SELECT name FROM people WHERE name LIKE 'canary-like%' LIMIT 3",
            "SELECT name FROM people WHERE name LIKE 'canary-like\\'",
            "SELECT name FROM people WHERE name ~~ 'canary-like' || 'canary-like'",
            "SELECT name FROM people WHERE name LIKE 'canary-like%' AND nothing = 3",
        ):
            try:
                connection.execute(sql.encode())
            except psycopg.Error as error:
                said.append(str(error))
    logged = shop.database.postgres.log_path.read_text(errors="replace")
    assert len(said) == 4
    assert "canary-like" not in "".join(said).lower()
    assert "canary-like" not in shop.audit_path.read_text().lower()
    assert "canary-like" not in shop.output_path.read_text().lower()
    assert "canary-like" not in logged.lower()


def test_a_value_put_in_from_elsewhere(shop: Shop, named: None) -> None:
    """A value that was altered ends the session when it is to be tested, whether it would be shown or not."""
    with shop.direct() as direct:
        direct.execute(
            "UPDATE people SET name = overlay(name::bytea placing '\\x00' FROM octet_length(name) - 3) WHERE id = -4"
        )
    with shop.connect() as connection, pytest.raises(psycopg.errors.DataCorrupted):
        connection.execute("SELECT id, name FROM people WHERE name LIKE %s AND id < 0", ["%abcd%"])


def parse(sql: str, name: str = "") -> bytes:
    return message(ord("P"), f"{name}\0{sql}\0".encode() + struct.pack("!H", 0))


def bind(pattern: str, portal: str = "", statement: str = "") -> bytes:
    given = pattern.encode()
    return message(
        ord("B"),
        f"{portal}\0{statement}\0".encode()
        + struct.pack("!HHi", 0, 1, len(given))
        + given
        + struct.pack("!H", 0),
    )


def execute(rows: int, portal: str = "") -> bytes:
    return message(ord("E"), portal.encode() + b"\0" + struct.pack("!i", rows))


SYNC = message(ord("S"), b"")
SEARCH = "SELECT id, name FROM people WHERE name LIKE $1 AND id < 0 ORDER BY id"


def test_row_limits_count_what_matches(shop: Shop, named: None) -> None:
    """Execute shows as many rows as asked for, of those that match; there are more, or the statement is complete."""
    with WireClient(shop.port) as client:
        client.start("shop_app", shop.database.name)
        for pattern, limit, expected in (
            ("%abcd%", 1, "12DCZ"),  # The candidate before it is not counted.
            ("%abcd%", 2, "12DCZ"),
            ("Ada%", 1, "12DsZ"),
            ("Ada%", 2, "12DDCZ"),
            ("Ada%", 0, "12DDCZ"),
            ("nobody%", 5, "12CZ"),
        ):
            client.send(parse(SEARCH), bind(pattern), execute(limit), SYNC)
            found = client.until("Z")
            assert "".join(kind for kind, _ in found) == expected, (pattern, limit)
            tags = [body for kind, body in found if kind == "C"]
            assert tags in ([], [b"SELECT %d\0" % expected.count("D")])


def test_a_portal_is_executed_once(shop: Shop, named: None) -> None:
    """What was left out is gone: a second Execute is refused, and so is SQL's FETCH, which Sealgate would not count for."""
    with WireClient(shop.port) as client:
        client.start("shop_app", shop.database.name)
        for again in (execute(1, "p"), None):
            client.query("BEGIN")
            client.send(parse(SEARCH), bind("Ada%", "p"), execute(1, "p"), SYNC)
            assert "".join(kind for kind, _ in client.until("Z")) == "12DsZ"
            if again is not None:
                client.send(again, SYNC)
                found = client.until("Z")
            else:
                found = client.query("FETCH ALL FROM p")
            assert [sqlstate(body) for kind, body in found if kind == "E"] == ["0A000"]
            client.query("ROLLBACK")
        client.send(parse(SEARCH, "s"), SYNC)
        client.until("Z")
        found = client.query("EXECUTE s('Ada%')")
        assert [sqlstate(body) for kind, body in found if kind == "E"] == ["0A000"]


def test_fetch_in_the_pipeline_of_the_bind(shop: Shop, named: None) -> None:
    """The proxy does not know the portal yet when FETCH is sent; its rows are not shown untested."""
    with WireClient(shop.port) as client:
        client.start("shop_app", shop.database.name)
        client.query("BEGIN")
        fetch = "FETCH ALL FROM p"
        client.send(
            parse(SEARCH),
            bind("%abcd%", "p"),
            parse(fetch, "f"),
            message(ord("B"), b"\0f\0" + bytes(6)),
            execute(0),
            SYNC,
        )
        found = client.until("Z")
        assert "D" not in [kind for kind, _ in found]


def test_several_statements_of_one_message(shop: Shop, named: None) -> None:
    """Each result of a simple query is tested by its own patterns; the others are as they are."""
    with WireClient(shop.port) as client:
        client.start("shop_app", shop.database.name)
        found = client.query(
            "SELECT name FROM people WHERE name LIKE '%abcd%' AND id < 0; SELECT 1 UNION ALL SELECT 2;"
            " SELECT name FROM people WHERE name LIKE 'nobody%'; UPDATE people SET tag = NULL WHERE id < 0"
        )
        tags = [body.rstrip(b"\0") for kind, body in found if kind == "C"]
        assert tags == [b"SELECT 1", b"SELECT 2", b"SELECT 0", b"UPDATE 6"]


def test_asyncpg(shop: Shop, named: None) -> None:
    """A driver that prepares, asks for one row only, and is told that a pattern is a text."""

    async def run() -> None:
        connection = await asyncpg.connect(shop.dsn())
        try:
            statement = await connection.prepare(SEARCH)
            assert [p.name for p in statement.get_parameters()] == ["text"]
            assert [a.type.name for a in statement.get_attributes()] == ["int4", "text"]
            assert [tuple(r) for r in await statement.fetch("%abcd%")] == [(-5, "abcd")]
            assert tuple(await connection.fetchrow(SEARCH, "%abcd%")) == (-5, "abcd")
            assert await connection.fetchrow(SEARCH, "%dabc%") is None
            assert (
                len(
                    await connection.fetch(SEARCH.replace("$1", "'%' || $1::varchar || '%'"), "ada")
                )
                == 1
            )
            assert await connection.execute(SEARCH.replace("$1", "'%abcd%'")) == "SELECT 1"
        finally:
            await connection.close()

    asyncio.run(run())


def test_a_long_result_is_tested_in_parts(shop: Shop, named: None) -> None:
    """More rows than are held back for one event: each part's event is before it, and none that does not match is in any."""
    count, long = 3000, "x" * 200
    with shop.connect() as connection:
        with connection.cursor().copy("COPY people (id, name) FROM STDIN") as copy:
            for n in range(count):
                name = f"needle {n} {long}" if n % 3 else f"needl eedle {n} {long}"
                copy.write_row((50_000 + n, name))
        before = shop.clear_events()
        cursor = connection.execute("SELECT id, name FROM people WHERE name LIKE %s", ["%needle%"])
        assert ids(cursor.fetchall()) == [50_000 + n for n in range(count) if n % 3]
        assert cursor.statusmessage == "SELECT 2000"
        events = [e["unmapped"]["sealgate"] for e in shop.events()[before:]]
        parts = [e for e in events if "columns" in e]
        assert len(parts) > 1
        cells = sum(c["cells"] for e in parts for c in e["columns"] if c["outcome"] == "clear")
        assert cells == 2000
        connection.execute("DELETE FROM people WHERE id >= 50000")


@pytest.fixture(scope="module")
def crowd(shop: Shop) -> None:
    """Names, `EXPLAIN_ROWS` of them."""
    size = int(os.environ.get("EXPLAIN_ROWS", "8000"))
    with shop.connect() as connection, connection.cursor() as cursor:
        with cursor.copy("COPY people (id, name) FROM STDIN") as copy:
            for n in range(size):
                copy.write_row((1_000_000 + n, f"person {n * 7919 % size:05} of the crowd"))
        connection.execute("ANALYZE people")


@pytest.mark.parametrize("mode", ["custom", "generic"])
@pytest.mark.parametrize(
    ("condition", "pattern"),
    [
        ("name LIKE {}", "%00777%"),
        ("name ILIKE {}", "PERSON 00777%"),
        ("name::text LIKE '%' || {}::varchar || '%'", "00777"),
        ("upper(name::text) LIKE upper({})", "%00777%"),
        ("(name LIKE {} AND id > 0)", "person 00777 of the crowd"),
    ],
)
def test_the_index_serves(shop: Shop, crowd: None, condition: str, pattern: str, mode: str) -> None:
    """A bitmap scan of the GIN index, by a parameter and by a literal, whether the planner knows it or not."""
    literal = condition.format("'" + pattern + "'")
    with shop.connect() as connection:
        connection.execute(f"SET plan_cache_mode = force_{mode}_plan".encode())
        explain = "EXPLAIN (COSTS OFF) SELECT name FROM people WHERE "
        for rows in (
            connection.execute((explain + literal).encode()).fetchall(),
            connection.execute(
                (explain.replace("%", "%%") + condition.replace("%", "%%").format("%s")).encode(),
                [pattern],
            ).fetchall(),
        ):
            plan = "\n".join(row[0] for row in rows)
            assert "Bitmap Index Scan" in plan, plan
            assert "sealgate.match(" in plan, plan
        found = connection.execute(
            f"SELECT id, name FROM people WHERE {literal}".encode()
        ).fetchall()
        assert [name for _, name in found] == ["person 00777 of the crowd"]
