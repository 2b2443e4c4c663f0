"""Paths as object mappers write them: keys as parameters, casts, subscripts; and asyncpg, which asks for every type."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import asyncpg
import psycopg
import psycopg.types.json
import pytest
import sqlalchemy as sa
import sqlalchemy.ext.compiler
from sqlalchemy import exc
from sqlalchemy.dialects import postgresql as pg
from sqlalchemy.engine import Connection
from sqlalchemy.ext.asyncio import create_async_engine

from tests.conftest import Database
from tests.integration.shop import Shop

COLUMNS = """
[columns."public.docs.data"]
type = "jsonb"
search = ["path:city", "path:address.city", "path:n"]

[roles.shop_app]
clear = ["*"]
write = ["*"]
"""
ROWS = 20_000

docs = sa.table("docs", sa.column("id", sa.Integer), sa.column("data", pg.JSONB))
data = docs.c.data
CONDITIONS = {
    "astext": data["city"].astext == "c7",
    "as_string": data["city"].as_string() == "c7",
    "path": data[("address", "city")].astext == "a7",
    "nested": data["address"]["city"].astext == "a7",
    "value": data["n"] == sa.cast(7, pg.JSONB),
    "in": data["city"].astext.in_(["c7", "c8"]),
    "any": data["city"].astext == sa.any_(sa.cast(["c7", "c8"], pg.ARRAY(sa.Text))),
    "contains": data.contains({"address": {"city": "a7"}}),
    "both": sa.and_(data["city"].astext == "c7", data["n"] == sa.cast(7, pg.JSONB)),
}
REFUSED = {
    "integer": data["n"].as_integer() == 7,
    "undeclared": data["other"].astext == "x",
    "unlike": data["city"].astext != "c7",
    "like": data["city"].astext.like("c%"),
    "null": data["city"].astext.is_(None),
}
DIALECTS = ("psycopg", "psycopg2", "pg8000", "asyncpg")


@pytest.fixture(scope="module")
def shop(
    make_database: Callable[[], Database], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Shop]:
    database = make_database()
    database.psql(
        "CREATE TABLE docs (id int PRIMARY KEY, data jsonb); GRANT ALL ON docs TO PUBLIC;"
        "CREATE SCHEMA plain; GRANT ALL ON SCHEMA plain TO PUBLIC;"
        "CREATE TABLE plain.docs (id int PRIMARY KEY, data jsonb); GRANT ALL ON plain.docs TO PUBLIC"
    )
    shop = Shop(database, tmp_path_factory.mktemp("mapped"), columns=COLUMNS)
    shop.prepare()
    shop.serve()
    for connect, table in ((shop.connect, "docs"), (shop.direct, "plain.docs")):
        with connect() as connection, connection.cursor() as cursor:
            with cursor.copy(f"COPY {table} FROM STDIN") as copy:
                for n in range(ROWS):
                    city = f'{{"city": "c{n % 4000}", "address": {{"city": "a{n}"}}, "n": {n}}}'
                    copy.write_row((n, city))
            cursor.execute(f"ANALYZE {table}")
    yield shop
    shop.stop()
    database.postgres.drop_database(database.name)


def url(dsn: str, dialect: str) -> str:
    return dsn.replace("postgresql://", f"postgresql+{dialect}://")


async def ran(shop: Shop, dialect: str, work: Callable[[Connection], Any], *, plain: bool) -> Any:
    """`work` on a connection of the dialect, through the proxy or, `plain`, to the plain twin."""
    target = url(shop.database.dsn("shop_app") if plain else shop.dsn(), dialect)

    def with_path(connection: Connection) -> Any:
        if plain:
            connection.execute(sa.text("SET search_path = plain"))
        return work(connection)

    if dialect == "asyncpg":
        engine = create_async_engine(target)
        try:
            async with engine.connect() as connection:
                return await connection.run_sync(with_path)
        finally:
            await engine.dispose()
    sync = sa.create_engine(target)
    try:
        with sync.connect() as connection:
            return with_path(connection)
    finally:
        sync.dispose()


class Explain(sa.sql.expression.Executable, sa.sql.expression.ClauseElement):
    """EXPLAIN of a statement, its parameters bound as ever."""

    inherit_cache = False

    def __init__(self, statement: Any) -> None:
        self.statement = statement


@sa.ext.compiler.compiles(Explain)
def _explain(element: Explain, compiler: Any, **options: Any) -> str:
    return f"EXPLAIN (COSTS OFF) {compiler.process(element.statement, **options)}"


@pytest.mark.parametrize("name", CONDITIONS)
@pytest.mark.parametrize("dialect", DIALECTS)
async def test_sqlalchemy(shop: Shop, dialect: str, name: str) -> None:
    """The same rows as of a plain table, found by the index."""
    statement = sa.select(docs.c.id, data).where(CONDITIONS[name]).order_by(docs.c.id)

    def rows(connection: Connection) -> list[Any]:
        return [tuple(row) for row in connection.execute(statement)]

    def plan(connection: Connection) -> str:
        return "\n".join(row[0] for row in connection.execute(Explain(statement)))

    found = await ran(shop, dialect, rows, plain=False)
    assert found == await ran(shop, dialect, rows, plain=True)
    assert found
    text = await ran(shop, dialect, plan, plain=False)
    assert "Bitmap Index Scan" in text, text
    assert "Seq Scan" not in text, text


@pytest.mark.parametrize("name", REFUSED)
@pytest.mark.parametrize("dialect", DIALECTS)
async def test_sqlalchemy_is_refused(shop: Shop, dialect: str, name: str) -> None:
    """What terms do not tell: 0A000 in every driver's words."""
    statement = sa.select(docs.c.id).where(REFUSED[name])

    def run(connection: Connection) -> Any:
        return connection.execute(statement).all()

    with pytest.raises(exc.DBAPIError) as raised:
        await ran(shop, dialect, run, plain=False)
    cause: Any = raised.value.orig
    state = getattr(cause, "sqlstate", None) or getattr(cause, "pgcode", None)
    assert (state or cause.args[0]["C"]) == "0A000"


async def test_asyncpg(shop: Shop) -> None:
    """It prepares everything, asks which types the parameters have, and sends these in binary form."""
    connection = await asyncpg.connect(shop.dsn())
    try:
        prepared = await connection.prepare(
            "SELECT id FROM docs WHERE data->$1->>'city' = ANY($2) OR data @> $3 ORDER BY id"
        )
        kinds = [kind.name for kind in prepared.get_parameters()]
        assert kinds == ["text", "text[]", "jsonb"]
        for number in (7, 8):
            rows = await prepared.fetch("address", [f"a{number}", None], f'{{"n": {number + 1}}}')
            assert [row["id"] for row in rows] == [number, number + 1]
    finally:
        await connection.close()


@pytest.mark.parametrize("server_side", [False, True])
def test_django(shop: Shop, server_side: bool) -> None:
    """What its key transforms make, on client-side and on server-side binding."""
    factory = psycopg.Cursor if server_side else psycopg.ClientCursor
    value = psycopg.types.json.Jsonb
    with shop.connect(cursor_factory=factory) as connection:
        for condition, values in (
            ('("docs"."data" -> %s) = %s', ("n", value(7))),
            ('("docs"."data" #> %s) = %s', (["address", "city"], value("a7"))),
            ('"docs"."data" @> %s', (value({"n": 7}),)),
            ('("docs"."data" -> %s) IN (%s, %s)', ("n", value(7), value(70_000))),
            ('("docs"."data" ->> %s) = %s', ("n", "7")),
        ):
            sql = f'SELECT "docs"."id" FROM "docs" WHERE {condition} ORDER BY "docs"."id" ASC LIMIT 21'
            assert connection.execute(sql.encode(), values).fetchall() == [(7,)], condition
