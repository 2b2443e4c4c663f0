"""Random statements on twin tables, one plain and one sealed: equal in everything, or refused for a documented reason.

`TWINS_SEED=n` repeats a run, `TWINS_SIZE=n` sets its length; a failure prints the seed and is shrunk.
"""

from __future__ import annotations

import os
import random
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from psycopg import ClientCursor

from tests.conftest import Database
from tests.integration.shop import Shop
from tests.twins.grammar import COLUMNS, SEALED, TABLES, VIEW, Grammar, Sql

SEED = int(os.environ.get("TWINS_SEED", random.SystemRandom().randrange(10**6)))
SIZE = int(os.environ.get("TWINS_SIZE", "300"))

# What a refusal may say: each is a line of docs/statements.md. Anything else is a defect.
DOCUMENTED = (
    "and cannot be used",
    "its search has no equality",
    "its search has no order",
    "it can be compared with parameters, literals and itself",
    "cannot take a value that is not",
    "it would carry the value under another key",
    "only a parameter, a literal, NULL, DEFAULT or the column itself can be put there",
    "would be stored in a column that is not declared as sealed",
    "cannot be deduplicated by UNION",
    "they are sealed under different keys",
    "one result column would mix sealed column",
    "and for something else as well",
    "values of several types side by side",
    "has a cast that Sealgate does not follow",
    "carries sealed values and is not declared itself",
    "is not a constant",
    "a value beside the column's own is one that the column would change",
)


@dataclass
class Twins:
    """Two connections that see the same names: the plain tables directly, the sealed ones through the proxy."""

    plain: psycopg.Connection[Any]
    sealed: psycopg.Connection[Any]
    seen: Counter[tuple[str, str]] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)


@pytest.fixture(scope="module")
def shop(
    make_database: Callable[[], Database], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Shop]:
    database = make_database()
    declared = "".join(
        f'[columns."public.{name}"]\ntype = "{kind}"\n'
        + ('search = ["equality"]\n' if search else "")
        for name, (kind, search) in SEALED.items()
    )
    roles = '[roles.shop_app]\nclear = ["*"]\nwrite = ["*"]\n'
    database.psql(TABLES + "CREATE SCHEMA plain; SET search_path = plain;" + TABLES)
    database.psql(
        "GRANT ALL ON SCHEMA plain TO PUBLIC; GRANT ALL ON ALL TABLES IN SCHEMA public, plain TO PUBLIC"
    )
    shop = Shop(database, tmp_path_factory.mktemp("twins"), columns=declared + roles)
    shop.prepare()
    database.psql(VIEW.format("public") + VIEW.format("plain"))
    shop.serve()
    yield shop
    shop.stop()
    database.postgres.drop_database(database.name)


@pytest.fixture(params=["extended", "simple", "binary"])
def twins(shop: Shop, request: pytest.FixtureRequest) -> Iterator[Twins]:
    with shop.twins(request.param) as (plain, sealed):
        binary = request.param == "binary"
        plain.binary = sealed.binary = binary  # type: ignore[attr-defined]
        yield Twins(plain, sealed)


def listed(cursor: psycopg.Cursor[Any]) -> tuple[list[Any], list[Any]]:
    """Columns with type, modifier and format, and rows as they are on the wire: Python has no dates before year 1."""
    result = cursor.pgresult
    assert result is not None
    across = range(result.nfields)
    columns = [
        (result.fname(i), result.ftype(i), _modifier(result, i), result.fsize(i), result.fformat(i))
        for i in across
    ]
    down = range(result.ntuples)
    return columns, [tuple(result.get_value(row, i) for i in across) for row in down]


def _modifier(result: psycopg.pq.abc.PGresult, column: int) -> int | None:
    """None for what PostgreSQL's planner may simplify, `coalesce(kind, NULL)` for instance: it finds a length then."""
    computed = (result.fname(column) or b"") in (b"coalesce", b"case", b"nullif")
    return None if computed else result.fmod(column)


def play(connection: psycopg.Connection[Any], statements: tuple[Sql, ...], ordered: bool) -> Any:
    """Command tags, columns, rows, and what the tables hold afterwards; or the error. Nothing stays."""
    connection.execute("BEGIN")
    try:
        results = [_executed(connection, sql, ordered) for sql in statements]
        after = []
        if not statements[0].text.startswith("SELECT"):
            after = [
                listed(connection.execute(f"SELECT * FROM {table} ORDER BY id".encode()))
                for table in COLUMNS
            ]
        return results, after
    except psycopg.Error as error:
        return error
    finally:
        connection.execute("ROLLBACK")
        if statements[0].text.startswith("PREPARE"):
            with suppress(psycopg.errors.InvalidSqlStatementName):  # PREPARE itself failed.
                connection.execute("DEALLOCATE p")


def _executed(connection: psycopg.Connection[Any], sql: Sql, ordered: bool) -> Any:
    text, values = sql.text.encode(), sql.values
    if sql.literal and values:
        text, values = ClientCursor(connection).mogrify(text, values).encode(), ()
    cursor = connection.cursor(binary=connection.binary)  # type: ignore[attr-defined]
    if text.startswith(b"COPY"):
        with cursor.copy(text) as copy:
            return sorted(b"".join(bytes(data) for data in copy).splitlines())
    # What a prepared EXECUTE runs must not become another statement.
    cursor.execute(text, values or None, prepare=False if sql.literal else None)
    tag = cursor.statusmessage
    if cursor.description is None:
        return tag
    columns, rows = listed(cursor)
    return tag, columns, rows if ordered else sorted(rows, key=repr)


def check(twins: Twins, family: str, sql: tuple[Sql, ...], ordered: bool) -> None:
    sealed = play(twins.sealed, sql, ordered)
    if isinstance(sealed, psycopg.Error) and sealed.diag.sqlstate == "0A000":
        message = sealed.diag.message_primary or ""
        reason = next((reason for reason in DOCUMENTED if reason in message), None)
        assert reason is not None, f"refused for no documented reason: {message}\n{sql}"
        twins.seen[family, "refused"] += 1
        twins.reasons[reason] += 1
        return
    plain = play(twins.plain, sql, ordered)
    untyped = isinstance(plain, psycopg.errors.UndefinedFunction) and family == "prepared"
    if isinstance(plain, psycopg.errors.DatatypeMismatch) or (
        untyped and isinstance(sealed, psycopg.Error)
    ):
        # A parameter without a type, in a list that is a query's source: text to the server, the column's own to us.
        twins.seen[family, "the server wants a cast"] += 1
        return
    if isinstance(plain, psycopg.Error) or isinstance(sealed, psycopg.Error):
        assert isinstance(plain, psycopg.Error), f"only sealed fails: {sealed}\n{sql}"
        assert isinstance(sealed, psycopg.Error), f"only plain fails: {plain}\n{sql}"
        assert plain.diag.sqlstate == sealed.diag.sqlstate, f"{plain} / {sealed}\n{sql}"
        twins.seen[family, "failed alike"] += 1
        return
    assert plain == sealed, sql
    twins.seen[family, "equal"] += 1


def run(twins: Twins, size: int) -> None:
    @seed(SEED)
    @settings(
        max_examples=size,
        deadline=None,
        database=None,
        phases=[Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
    )
    @given(st.data())
    def statements(data: st.DataObject) -> None:
        family, sql, ordered = Grammar(data.draw).statement()
        check(twins, family, sql, ordered)

    try:
        statements()
    finally:
        print(f"TWINS_SEED={SEED} size={size}", dict(twins.seen), dict(twins.reasons))
    assert sum(n for (_, what), n in twins.seen.items() if what == "equal") > size * 0.3


def test_random_statements(twins: Twins) -> None:
    """The same tag, columns, types, rows, tables afterwards and SQLSTATEs, or a documented refusal."""
    run(twins, SIZE)


@pytest.mark.long
def test_many_random_statements(twins: Twins) -> None:
    """The same, for minutes."""
    run(twins, SIZE * 20)


@pytest.mark.parametrize(
    "text",
    [
        "SELECT coalesce(nullif(a.kind, %s), coalesce(a.kind, a.kind)) FROM event AS a",
        "SELECT coalesce(coalesce(a.kind, a.kind), nullif(a.kind, %s)) FROM event AS a",
        "SELECT CASE WHEN a.id IS NULL THEN a.kind ELSE coalesce(%s, 'x') END FROM event AS a",
        "SELECT CASE WHEN a.id > 1 THEN nullif(a.kind, %s) ELSE a.kind END FROM event AS a",
        "SELECT CASE WHEN a.id > 1 THEN nullif(a.kind, %s) END FROM event AS a",
        "SELECT coalesce('x'::text, a.kind, %s) FROM event AS a",
        "SELECT CASE WHEN a.id > 1 THEN a.kind ELSE 'x'::text END FROM event AS a WHERE kind = %s",
        "SELECT coalesce(nullif(a.kind,%s),'x'::varchar) FROM event AS a",
        "SELECT coalesce((SELECT nullif(b.kind,%s) FROM event AS b LIMIT 1),a.kind) FROM event AS a",
    ],
)
def test_varchar_beside_text(twins: Twins, text: str) -> None:
    """Which of the two COALESCE and CASE give: what random statements have found."""
    before = twins.seen["query", "equal"]
    check(twins, "query", (Sql(text, ("in",), literal=False),), ordered=False)
    assert twins.seen["query", "equal"] == before + 1
