"""Paths in a sealed jsonb through the real proxy: what a plain twin says, or a documented refusal.

`PATHS_SEED=n` repeats a run.
"""

from __future__ import annotations

import json
import os
import random
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest
from psycopg.types.json import Jsonb

from tests.cells.documents import document, path, template
from tests.conftest import Database
from tests.integration.shop import Shop

TABLES = """
CREATE TABLE docs (id int PRIMARY KEY, data jsonb, other jsonb);
CREATE TABLE notes (id int PRIMARY KEY, doc int);
INSERT INTO notes SELECT n, n * 7 % 100 FROM generate_series(1, 60) AS n;
"""
PATHS = ("a", "b", '"c.d"', "a.b", "b.a", '"0"', "é", "a.a")
COLUMNS = f"""
[columns."public.docs.data"]
type = "jsonb"
search = {json.dumps([f"path:{p}" for p in PATHS], ensure_ascii=False)}
mask = "null"

[columns."public.docs.other"]
type = "jsonb"

[roles.shop_app]
clear = ["*"]
write = ["*"]

[roles.support]
masked = ["public.docs.data"]
"""
DOCUMENTED = (
    "can be compared in a condition, and nothing else",
    "can be compared with = alone",
    "its search does not have it",
    "cannot be made at the paths of a sealed column",
    "none of those that the column declares",
    "an element of an array",
    "elements of arrays have no terms",
    "something else as well",
)
ROWS = 200
ROUNDS = 400


@pytest.fixture(scope="module")
def rng() -> random.Random:
    seed = int(os.environ.get("PATHS_SEED", random.SystemRandom().getrandbits(32)))
    print(f"PATHS_SEED={seed}")
    return random.Random(seed)


@pytest.fixture(scope="module")
def shop(
    make_database: Callable[[], Database], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Shop]:
    database = make_database()
    database.psql(TABLES + "CREATE SCHEMA plain; SET search_path = plain;" + TABLES)
    database.psql(
        "GRANT ALL ON SCHEMA plain, public TO PUBLIC;"
        "GRANT ALL ON ALL TABLES IN SCHEMA public, plain TO PUBLIC"
    )
    shop = Shop(database, tmp_path_factory.mktemp("paths"), columns=COLUMNS)
    shop.prepare()
    shop.serve()
    yield shop
    shop.stop()
    database.postgres.drop_database(database.name)


@pytest.fixture(scope="module")
def filled(shop: Shop, rng: random.Random) -> None:
    """The same documents in both tables, all but the first of them random."""
    with shop.connect() as sealed, shop.direct() as plain:
        for number in range(ROWS):
            text = document(rng) if rng.random() < 0.95 else None
            text = '{"a": "x"}' if number == 0 else text
            for connection, table in ((sealed, "docs"), (plain, "plain.docs")):
                connection.execute(f"INSERT INTO {table} VALUES (%s, %s, %s)", (number, text, text))


class Predicates:
    """Conditions with `%s` for each value."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.values: dict[str, Any] = {}

    def value(self, given: Any) -> str:
        name = f"v{len(self.values)}"
        self.values[name] = given
        return f"%({name})s"

    def condition(self, depth: int = 2) -> str:
        rng = self.rng
        if depth and rng.random() < 0.4:
            parts = (self.condition(depth - 1), self.condition(depth - 1))
            return "(" + rng.choice((" AND ", " OR ")).join(parts) + ")"
        if rng.random() < 0.15:
            return f"d.id < {self.value(rng.randrange(ROWS))}"
        if rng.random() < 0.05:
            return f"NOT {self.comparison()}"
        return self.comparison()

    def comparison(self) -> str:
        rng = self.rng
        if rng.random() < 0.3:
            operand = f"{self.value(template(rng))}::jsonb"
            inner = self._nested(path(rng)) if rng.random() < 0.3 else "d.data"
            return rng.choice((f"{inner} @> {operand}", f"{operand} <@ {inner}"))
        keys, as_text = path(rng), rng.random() < 0.7
        at = self._path(keys, as_text=as_text)
        kind = "text" if as_text else "jsonb"
        given = (lambda: self._text()) if as_text else (lambda: template(rng, 0))
        if not as_text:
            given = self._scalar
        form = rng.random()
        if form < 0.5:
            operand = f"{self.value(given())}::{kind}"
            return rng.choice((f"{at} = {operand}", f"{operand} = {at}"))
        if form < 0.75:
            items = (f"{self.value(given())}::{kind}" for _ in range(rng.randint(1, 4)))
            return f"{at} IN ({', '.join(items)})"
        items_ = [given() for _ in range(rng.randint(0, 4))]
        return f"{at} = ANY({self.value(items_)}::{kind}[])"

    def _path(self, keys: tuple[str, ...], *, as_text: bool) -> str:
        arrow = "->>" if as_text else "->"
        if self.rng.random() < 0.2:
            return self._given_path(keys, arrow)
        if not as_text and self.rng.random() < 0.2 and not any(key.isdigit() for key in keys):
            return "d.data" + "".join(f"['{key}']" for key in keys)
        if self.rng.random() < 0.3 and not any(key.isdigit() for key in keys):
            items = ",".join('"' + key.replace('"', '\\"') + '"' for key in keys)
            return f"d.data #{arrow[1:]} '{{{items}}}'"
        last = keys[-1].replace("'", "''")
        return f"{self._nested(keys[:-1])} {arrow} '{last}'"

    def _given_path(self, keys: tuple[str, ...], arrow: str) -> str:
        """By parameters."""
        if self.rng.random() < 0.3:
            return f"d.data #{arrow[1:]} {self.value(list(keys))}::text[]"
        *outer, last = (self.value(key) + "::text" for key in keys)
        if self.rng.random() < 0.3 and arrow == "->":
            return "d.data" + "".join(f"[{key}]" for key in (*outer, last))
        return " -> ".join(("d.data", *outer)) + f" {arrow} {last}"

    def _nested(self, keys: tuple[str, ...]) -> str:
        return "d.data" + "".join(f" -> '{key}'" for key in keys)

    def _text(self) -> str | None:
        return self.rng.choice(
            ("x", "5", "1.5", "1.50", "100", "true", "null", "", "é", "[1]", "X", None)
        )

    def _scalar(self) -> str | None:
        return self.rng.choice(
            ('"x"', "5", "5.00", "1.5", "true", "null", '"5"', "100", '"é"', None)
        )


def statement(rng: random.Random, condition: str) -> str:
    return rng.choice(
        (
            f"SELECT d.id, d.data FROM docs d WHERE {condition} ORDER BY d.id",
            f"SELECT d.id FROM docs d WHERE {condition} ORDER BY d.id LIMIT 5 OFFSET 1",
            f"SELECT count(*), count(*) FILTER (WHERE {condition}) FROM docs d",
            f"SELECT n.id, d.id FROM notes n LEFT JOIN docs d ON d.id = n.doc AND {condition} ORDER BY 1, 2",
            f"SELECT n.id FROM notes n WHERE EXISTS (SELECT 1 FROM docs d WHERE d.id = n.doc AND {condition}) ORDER BY 1",
            f"SELECT n.id FROM notes n WHERE n.doc NOT IN (SELECT d.id FROM docs d WHERE {condition}) ORDER BY 1",
            f"SELECT sum(CASE WHEN {condition} THEN 1 ELSE 0 END) FROM docs d",
            f"UPDATE docs d SET other = NULL WHERE {condition} RETURNING d.id, d.data",
            f"DELETE FROM docs d WHERE {condition} RETURNING d.id",
        )
    )


def played(
    connection: psycopg.Connection[Any], sql: str, values: dict[str, Any], binary: bool
) -> Any:
    """Tag and rows; or the error. Nothing stays."""
    connection.execute("BEGIN")
    try:
        cursor = connection.cursor(binary=binary)
        cursor.execute(sql.encode(), values)
        rows = cursor.fetchall()
        assert cursor.description is not None
        types = [column.type_code for column in cursor.description]
        return cursor.statusmessage, types, sorted(rows, key=repr) if " BY " not in sql else rows
    except psycopg.Error as error:
        return error
    finally:
        connection.execute("ROLLBACK")


@pytest.mark.parametrize("protocol", ["extended", "simple", "binary"])
def test_random_predicates(shop: Shop, filled: None, rng: random.Random, protocol: str) -> None:
    """The same tags, rows and errors on both, or a documented refusal."""
    binary = protocol == "binary"
    seen: Counter[str] = Counter()
    found = 0
    with shop.twins(protocol) as (plain, sealed):
        for _ in range(ROUNDS):
            predicates = Predicates(rng)
            sql = statement(rng, predicates.condition())
            ours = played(sealed, sql, predicates.values, binary)
            if isinstance(ours, psycopg.Error) and ours.diag.sqlstate == "0A000":
                message = ours.diag.message_primary or ""
                reason = next((r for r in DOCUMENTED if r in message), None)
                assert reason is not None, f"{message}\n{sql} {predicates.values}"
                seen[reason] += 1
                continue
            theirs = played(plain, sql, predicates.values, binary)
            if isinstance(theirs, psycopg.Error) or isinstance(ours, psycopg.Error):
                assert isinstance(theirs, psycopg.Error), f"{ours}\n{sql} {predicates.values}"
                assert isinstance(ours, psycopg.Error), f"{theirs}\n{sql} {predicates.values}"
                assert ours.diag.sqlstate == theirs.diag.sqlstate
                seen["failed alike"] += 1
                continue
            assert ours == theirs, f"{sql} {predicates.values}"
            seen["equal"] += 1
            found += bool(ours[2])
    print(seen)
    assert seen["equal"] > ROUNDS * 0.3
    assert found > ROUNDS * 0.1


def test_parameters_keep_their_types(shop: Shop) -> None:
    """The client is told text, jsonb and text[], as the server says of a column that is not sealed."""
    sql = "SELECT id FROM {}docs WHERE data->>'a' = $1 AND data @> $2 AND data->>'b' = ANY($3) AND data->'a' = $4"
    told = []
    with shop.connect() as sealed, shop.direct() as plain:
        for connection, schema in ((sealed, ""), (plain, "plain.")):
            pgconn = connection.pgconn
            result = pgconn.prepare(b"types", sql.format(schema).encode())
            assert result.status == psycopg.pq.ExecStatus.COMMAND_OK, result.error_message
            described = pgconn.describe_prepared(b"types")
            told.append([described.param_type(n) for n in range(4)])
    assert told[0] == told[1] == [25, 3802, 1009, 3802]


@pytest.mark.parametrize("binary", [False, True])
def test_keys_that_are_parameters(shop: Shop, filled: None, binary: bool) -> None:
    """What object mappers send: the key is a value like any other, and no plan is good for one key alone."""
    sql = {
        "text": "SELECT id FROM docs WHERE (data ->> %s::text) = %s::varchar ORDER BY id",
        "untyped": "SELECT id FROM docs WHERE (data ->> %s) = %s ORDER BY id",
        "list": "SELECT id FROM docs WHERE (data #>> %s) = ANY(%s) ORDER BY id",
        "subscript": "SELECT id FROM docs WHERE data[%s::text] = CAST(%s::jsonb AS jsonb) ORDER BY id",
        "in": "SELECT id FROM docs WHERE (data -> %s ->> %s) IN (%s, 'x') OR id = %s ORDER BY id",
    }
    rounds: list[tuple[str, tuple[Any, ...]]] = [
        *(("text", (key, value)) for key in ("a", "b", None) for value in ("x", "5", None)),
        *(("untyped", (key, "5")) for key in ("a", "é", "c.d", "0")),
        *(("list", (keys, ["x", "5", None])) for keys in (["a"], ["a", "b"])),
        *(("subscript", ("a", Jsonb(value))) for value in ("x", 5, None)),
    ]
    with shop.connect() as sealed, shop.direct() as plain:
        plain.execute("SET search_path = plain")
        found = 0
        for name, values in rounds:
            ours, theirs = (
                connection.cursor(binary=binary).execute(sql[name].encode(), values).fetchall()
                for connection in (sealed, plain)
            )
            assert ours == theirs, (name, values)
            found += len(ours)
        assert found > 10
        for name, values in (
            ("text", ("zzz", "x")),
            ("list", (["a", "0"], ["x"])),
            ("list", (["a", None], ["x"])),
            ("untyped", (0, "x")),
            ("in", ("a", "b", "x", 1)),
        ):
            with pytest.raises(psycopg.errors.FeatureNotSupported):
                sealed.cursor(binary=binary).execute(sql[name].encode(), values)


def test_keys_in_other_places(shop: Shop, filled: None) -> None:
    """A parameter that is a key may be tested for NULL, and its type is told; of one that is bound to NULL nothing is found."""
    sql = "SELECT id FROM {}docs WHERE data->>$1 = $2 AND data#>$3 = $4 AND $1 IS NOT NULL"
    with shop.connect() as sealed, shop.direct() as plain:
        told = []
        for connection, schema in ((sealed, ""), (plain, "plain.")):
            pgconn = connection.pgconn
            result = pgconn.prepare(b"keyed", sql.format(schema).encode())
            assert result.status == psycopg.pq.ExecStatus.COMMAND_OK, result.error_message
            described = pgconn.describe_prepared(b"keyed")
            told.append([described.param_type(n) for n in range(4)])
            rows = [
                pgconn.exec_prepared(b"keyed", values).ntuples
                for values in ([b"a", b"x", b"{a}", b'"x"'], [None, b"x", b"{a}", b'"x"'])
            ]
            assert rows[0] > 0
            assert rows[1] == 0
        assert told[0] == told[1] == [25, 25, 1009, 3802]


@pytest.mark.parametrize("login", ["support_login", "analyst"])
def test_who_may_not_search_may_not_compare(shop: Shop, filled: None, login: str) -> None:
    """A masked role cannot find out by comparisons what it may not read."""
    with shop.connect(login) as connection:
        for condition in ("data->>'a' = 'x'", "data @> '{\"a\": 5}'", "data->>'a' IN ('x')"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(f"SELECT id FROM docs WHERE {condition}")


def test_a_comparison_is_logged_as_one(shop: Shop, filled: None) -> None:
    """Compared, not read; and no value of it is in the log."""
    before = len(shop.events())
    with shop.connect() as connection:
        connection.execute("SELECT id FROM docs WHERE data->>'a' = 'canary-7f3'").fetchall()
        connection.execute("SELECT id FROM docs WHERE data @> %s", [Jsonb({"a": "canary-7f3"})])
        connection.execute("SELECT id FROM docs WHERE data->>%s = %s", ["a", "canary-7f3"])
    events = [e for e in shop.events()[before:] if "columns" in e["unmapped"]["sealgate"]]
    outcomes = [{c["outcome"] for c in e["unmapped"]["sealgate"]["columns"]} for e in events]
    assert outcomes == [{"compared"}] * 3
    assert "canary-7f3" not in shop.audit_path.read_text()
    assert "canary-7f3" not in shop.output_path.read_text()
    assert "canary-7f3" not in shop.database.postgres.log_text()


def test_types_that_do_not_compare(shop: Shop, filled: None) -> None:
    """What PostgreSQL says where it has no such operator."""
    with shop.connect() as sealed, shop.direct() as plain:
        plain.execute("SET search_path = plain")
        for condition in (
            "data->>'a' = 5",
            "data->'a' = 5",
            "data->'a' = 'x'::text",
            "data @> 'x'::text",
            "data->'a' = 'x'",
            "data->'a' = ANY('{x}')",
        ):
            states = []
            for connection in (sealed, plain):
                with pytest.raises(psycopg.Error) as raised:
                    connection.execute(f"SELECT id FROM docs WHERE {condition}".encode())
                states.append(raised.value.sqlstate)
            assert states[0] == states[1], condition


@pytest.mark.parametrize(
    "operand",
    [
        "'x'::char(5)",
        "'x '::varchar",
        "'xyz'::varchar(1)",
        "'x'::text::varchar",
        "varchar 'x'",
        "U&'\\0078'",
    ],
)
def test_casts_of_what_is_compared(shop: Shop, filled: None, operand: str) -> None:
    """A value is cut and padded as its cast says, and then compared as a text."""
    found = []
    with shop.connect() as sealed, shop.direct() as plain:
        for connection, schema in ((sealed, ""), (plain, "plain.")):
            for number, text in enumerate(("x", "x ", "xyz", "x    ")):
                row = (600_000 + number, Jsonb({"a": text}))
                connection.execute(f"INSERT INTO {schema}docs (id, data) VALUES (%s, %s)", row)
            sql = f"SELECT id FROM {schema}docs WHERE id >= 600000 AND data->>'a' = {operand}"
            found.append(connection.execute(sql.encode()).fetchall())
            connection.execute(f"DELETE FROM {schema}docs WHERE id >= 600000")
    assert found[0] == found[1]
    assert len(found[0]) == 1


def explained(connection: psycopg.Connection[Any], sql: str, values: list[Any]) -> str:
    rows = connection.execute(f"EXPLAIN (COSTS OFF) {sql}".encode(), values).fetchall()
    return "\n".join(row[0] for row in rows)


@pytest.fixture(scope="module")
def crowd(shop: Shop) -> None:
    """20,000 documents."""
    with shop.connect() as connection, connection.cursor() as cursor:
        with cursor.copy("COPY docs (id, data) FROM STDIN") as copy:
            for n in range(int(os.environ.get("EXPLAIN_ROWS", "20000"))):
                found = {"a": f"city {n % 5000}", "b": {"a": n}, "é": None}
                copy.write_row((100_000 + n, Jsonb(found)))
        connection.execute("ANALYZE docs")


@pytest.mark.parametrize(
    ("condition", "values"),
    [
        ("data->>'a' = 'city 77'", []),
        ("data->>'a' = %s", ["city 77"]),
        ("(data->>'a')::text = %s::varchar", ["city 77"]),
        ("%s = data->>'a'", ["city 77"]),
        ("data->>'a' IN ('city 77', 'city 78')", []),
        ("data->>'a' IN (%s, %s)", ["city 77", "city 78"]),
        ("data->>'a' = ANY(%s)", [["city 77", "city 78"]]),
        ("data->'b'->>'a' = %s", ["77"]),
        ("data->'b'->'a' = %s", [Jsonb(77)]),
        ("data#>>'{b,a}' = %s", ["77"]),
        ('data @> \'{"b": {"a": 77}}\'', []),
        ("data @> %s", [Jsonb({"a": "city 77", "b": {"a": 77}})]),
        ("%s <@ data", [Jsonb({"b": {"a": 77.0}})]),
        ("data->>'a' = %s OR data->'b'->>'a' = %s", ["city 77", "78"]),
    ],
)
def test_the_index_serves(shop: Shop, crowd: None, condition: str, values: list[Any]) -> None:
    """A bitmap scan of the GIN index, and rows are found."""
    sql = f"SELECT id FROM docs WHERE {condition}"
    with shop.connect() as connection:
        check_plan(explained(connection, sql, values))
        assert connection.execute(sql.encode(), values).fetchall()


@pytest.mark.parametrize(
    ("condition", "types", "arguments"),
    [
        ("data->>'a' = $1", "text", "'city 77'"),
        ("data->>'a' IN ($1, $2)", "text, text", "'city 77', 'city 78'"),
        ("data->>'a' = ANY($1)", "text[]", "'{city 77,city 78}'"),
        ("data @> $1", "jsonb", '\'{"a": "city 77"}\''),
    ],
)
@pytest.mark.parametrize("mode", ["custom", "generic"])
def test_the_index_serves_prepared_statements(
    shop: Shop, crowd: None, condition: str, types: str, arguments: str, mode: str
) -> None:
    """Whether the planner knows the values or not."""
    with shop.connect() as connection:
        connection.execute(f"SET plan_cache_mode = force_{mode}_plan")
        connection.execute(f"PREPARE p ({types}) AS SELECT id FROM docs WHERE {condition}".encode())
        plan = explained(connection, f"EXECUTE p ({arguments})", [])
        check_plan(plan)
        assert ("$1" in plan) == (mode == "generic")
        assert connection.execute(f"EXECUTE p ({arguments})".encode()).fetchall()


def check_plan(plan: str) -> None:
    assert "Bitmap Index Scan" in plan, plan
    assert "sealgate.paths(" in plan, plan
    assert "Seq Scan" not in plan, plan
    assert "city" not in plan


EXTREMES = (
    *('""', '" "', '"a"', '"a "', '"A"', '"\\u00e9"', '"e\\u0301"', '"\\ud83d\\ude00"', '"😀"'),
    *('"null"', '"1"', '"1.0"', '"true"', '"\\\\"', '"\\""', '"\\n"', '"[]"', '"{}"', '"[x"'),
    *("1", "1.0", "1.00", "1e0", "10e-1", "-0", "0", "0.0", "-0.0", "1e308", "1e-300", "1e400"),
    *("12345678901234567890123.4500", "12345678901234567890123.45", "true", "false", "null"),
    *('"' + "x" * 1_000_000 + '"', '"' + "x" * 999_999 + 'y"', "9" * 1000),
)


def test_extremes(shop: Shop, filled: None) -> None:
    """Each value finds exactly the values that it finds in a plain column, as a text and as a jsonb."""
    with shop.connect() as sealed, shop.direct() as plain:
        for number, value in enumerate(EXTREMES):
            row = (500_000 + number, f'{{"a": {value}, "b": {{"a": [1]}}}}')
            sealed.execute("INSERT INTO docs (id, data) VALUES (%s, %s)", row)
            plain.execute("INSERT INTO plain.docs (id, data) VALUES (%s, %s)", row)
        sql = "SELECT id FROM {}docs WHERE id >= 500000 AND data{}'a' = %s ORDER BY id"
        texts = plain.execute("SELECT data->>'a' FROM plain.docs WHERE id >= 500000").fetchall()
        for arrow, operands in (
            ("->>", sorted({text for (text,) in texts if text is not None})),
            ("->", [Jsonb(value, dumps=str) for value in EXTREMES]),
        ):
            for operand in operands:
                if operand in ("[]", "{}"):  # An array's or an object's text as well as a string's.
                    with pytest.raises(psycopg.errors.FeatureNotSupported):
                        sealed.execute(sql.format("", arrow).encode(), [operand])
                    continue
                ours = sealed.execute(sql.format("", arrow).encode(), [operand]).fetchall()
                assert (
                    ours
                    == plain.execute(sql.format("plain.", arrow).encode(), [operand]).fetchall()
                )
                assert ours


def test_a_path_declared_later(
    make_database: Callable[[], Database], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Rows that were sealed without terms are not missed: refused before `apply` has derived theirs, found behind it."""
    database = make_database()
    database.psql("CREATE TABLE docs (id int PRIMARY KEY, data jsonb); GRANT ALL ON docs TO PUBLIC")
    plain = '[columns."public.docs.data"]\ntype = "jsonb"\n'
    roles = '[roles.shop_app]\nclear = ["*"]\nwrite = ["*"]\n'
    shop = Shop(database, tmp_path_factory.mktemp("later"), columns=plain + roles)
    shop.prepare()
    shop.serve()
    try:
        with shop.connect() as connection:
            for number in range(50):
                row = (number, Jsonb({"a": f"x{number % 10}", "b": {"c": number}}))
                connection.execute("INSERT INTO docs VALUES (%s, %s)", row)
        shop.columns = plain + 'search = ["path:a", "path:b.c"]\n' + roles
        shop.write_config()
        shop.reload()
        sql = "SELECT count(*) FROM docs WHERE data->>'a' = 'x3' AND data @> '{\"b\": {\"c\": 13}}'"
        with shop.connect() as connection:
            with pytest.raises(psycopg.errors.FeatureNotSupported):
                connection.execute(sql.encode())
            shop.sealgate("apply")
            shop.reload()
            assert connection.execute(sql.encode()).fetchall() == [(1,)]
            found = connection.execute("SELECT id FROM docs WHERE data->>'a' = 'x3' ORDER BY id")
            assert [row[0] for row in found] == [3, 13, 23, 33, 43]
    finally:
        shop.stop()
        database.postgres.drop_database(database.name)
