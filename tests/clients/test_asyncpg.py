"""asyncpg: prepares everything, binary alone, chooses its codecs from the types that the server describes."""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
from collections.abc import AsyncIterator
from typing import Any, Final

import asyncpg
import pytest

from tests.clients.matrix import Case, Client
from tests.clients.people import COLUMNS, EDGES, MEGABYTE, person
from tests.clients.twins import Twins

CLIENT: Final = Client(
    "asyncpg",
    "asyncpg",
    "extended protocol in binary; statement cache on and off; pool",
    "none",
)
same = CLIENT.same

PLACES: Final = ", ".join(f"${n}" for n in range(1, len(COLUMNS) + 1))
INSERT: Final = f"INSERT INTO account ({', '.join(COLUMNS)}) VALUES ({PLACES})"
READ: Final = f"SELECT id, {', '.join(COLUMNS)} FROM account"


def row(number: int) -> tuple[Any, ...]:
    return tuple(json.dumps(v) if k == "profile" else v for k, v in person(number).items())


@contextlib.asynccontextmanager
async def connected(dsn: str, count: int = 0, **options: Any) -> AsyncIterator[Any]:
    connection = await asyncpg.connect(dsn, **options)
    try:
        if count:
            await connection.executemany(INSERT, [row(n) for n in range(1, count + 1)])
        yield connection
    finally:
        await connection.close(timeout=10)


@same("insert with RETURNING")
async def insert(dsn: str) -> AsyncIterator[Any]:
    async with connected(dsn) as connection:
        yield await connection.fetchrow(f"{INSERT} RETURNING *", *row(1))
        yield await connection.execute(INSERT, *row(2))
        yield await connection.fetchval(f"{INSERT} RETURNING email", *row(3))
        yield await connection.fetch(
            "INSERT INTO account (name, email, visits) VALUES ('L', 'l@quux.example', -7), "
            "('M', $1, DEFAULT) RETURNING id, email, visits, note",
            "m@quux.example",
        )
        yield await connection.fetch("SELECT * FROM account ORDER BY id")


@same("read every type")
async def read(dsn: str) -> AsyncIterator[Any]:
    async with connected(dsn, 5) as connection:
        for sql, arguments in (
            (f"{READ} ORDER BY id", ()),
            ("SELECT *, email AS mail FROM account WHERE id < $1 ORDER BY id", (3,)),
            ("SELECT a.*, v.place FROM account a LEFT JOIN visit v ON v.account = a.id", ()),
            ("SELECT count(*), count(ssn) FROM account", ()),
        ):
            statement = await connection.prepare(sql)
            yield statement.get_parameters(), statement.get_attributes()
            yield await statement.fetch(*arguments), statement.get_statusmsg()


@same("read every type")
async def simple_protocol(dsn: str) -> AsyncIterator[Any]:
    """`execute` without arguments is a simple query, of several statements too."""
    async with connected(dsn) as connection:
        yield await connection.execute(
            "INSERT INTO account (name, email) VALUES ('A', 'a@quux.example'); "
            "UPDATE account SET ssn = '555-QX-s' WHERE email = 'a@quux.example'; "
            "INSERT INTO visit (account, place) VALUES (1, 'there')"
        )
        yield await connection.fetch(
            "SELECT ssn, place FROM account a JOIN visit v ON v.account = a.id"
        )


@same("NULL, empty, 1 MB and unicode values")
async def edges(dsn: str) -> AsyncIterator[Any]:
    async with connected(dsn) as connection:
        for column, values in {**EDGES, **{k: [v] for k, v in MEGABYTE.items()}}.items():
            for value in values:
                given = json.dumps(value) if column == "profile" and value is not None else value
                yield (
                    column,
                    await connection.fetchval(
                        f"INSERT INTO account (name, {column}) VALUES ('e', $1) RETURNING {column}",
                        given,
                    ),
                )
        yield await connection.fetch(f"{READ} ORDER BY id")


@same("values the server does not take")
async def wrong_values(dsn: str) -> AsyncIterator[Any]:
    async with connected(dsn) as connection:
        for column, value in (
            ("ssn", "a\0b"),
            ("ssn", 5),
            ("email", "x" * 121),
            ("visits", 2**31),
            ("visits", "twelve"),
            ("born", "2001-02-30"),
            ("balance", "12345678901.00"),
            ("profile", "{"),
        ):
            try:
                yield await connection.execute(
                    f"INSERT INTO account (name, {column}) VALUES ('w', $1)", value
                )
            except (asyncpg.PostgresError, asyncpg.DataError, ValueError) as error:
                yield column, value, error
        yield await connection.fetchval("SELECT count(*) FROM account")


@same("read every type")
async def codecs(dsn: str) -> AsyncIterator[Any]:
    """Codecs that the application sets for a type apply to sealed columns of that type."""
    async with connected(dsn) as connection:
        await connection.set_type_codec(
            "jsonb", encoder=json.dumps, decoder=json.loads, schema="pg_catalog"
        )
        await connection.set_type_codec(
            "date", encoder=str, decoder=str, schema="pg_catalog", format="text"
        )
        yield await connection.fetchrow(
            "INSERT INTO account (name, profile, born) VALUES ('c', $1, $2) RETURNING profile, born",
            {"town": "Kwyjibo"},
            "2001-02-03",
        )
        yield await connection.fetch("SELECT * FROM account WHERE profile IS NOT NULL")


@same("find by sealed e-mail: parameter")
async def by_parameter(dsn: str) -> AsyncIterator[Any]:
    async with connected(dsn, 4) as connection:
        for condition in (
            "email = $1",
            "$1 = email",
            "email <> $1",
            "email = $1::varchar",
            "email = $1::text AND id > 0",
            "email IS DISTINCT FROM $1",
        ):
            for email in ("person3@quux.example", "nobody@quux.example", None):
                try:
                    yield await connection.fetch(
                        f"SELECT id, ssn FROM account WHERE {condition} ORDER BY id", email
                    )
                except asyncpg.PostgresError as error:
                    yield error


@same("find by sealed e-mail: literal")
async def by_literal(dsn: str) -> AsyncIterator[Any]:
    async with connected(dsn, 4) as connection:
        yield await connection.fetch("SELECT id FROM account WHERE email = 'person3@quux.example'")
        yield await connection.fetch(
            "SELECT id FROM account WHERE email = 'person3@quux.example' AND id = $1", 3
        )


@same("find by sealed e-mail: IN, ANY")
async def by_several(dsn: str) -> AsyncIterator[Any]:
    two = ["person3@quux.example", "nobody@quux.example"]
    async with connected(dsn, 4) as connection:
        yield await connection.fetch("SELECT id FROM account WHERE email IN ($1, $2)", *two)
        yield await connection.fetch("SELECT id FROM account WHERE email = ANY($1)", two)
        yield await connection.fetch(
            "SELECT id FROM account WHERE email = ANY($1::text[])", [None, *two]
        )
        yield await connection.fetch(
            "SELECT id FROM account WHERE email <> ALL($1) ORDER BY id", two
        )
        statement = await connection.prepare(
            "SELECT id FROM account WHERE email = ANY($1::varchar[])"
        )
        yield statement.get_parameters(), await statement.fetch(two)


@same("update and delete by sealed e-mail")
async def change(dsn: str) -> AsyncIterator[Any]:
    async with connected(dsn, 4) as connection:
        yield await connection.fetch(
            "UPDATE account SET ssn = $1, visits = $2, born = DATE '1999-12-31' WHERE email = $3 RETURNING *",
            "555-QX-new",
            5,
            "person2@quux.example",
        )
        yield await connection.execute(
            "DELETE FROM account WHERE email = $1", "person4@quux.example"
        )
        yield await connection.fetch(f"{READ} ORDER BY id")


@same("upsert with EXCLUDED")
async def upsert(dsn: str) -> AsyncIterator[Any]:
    assignments = ", ".join(f"{c} = EXCLUDED.{c}" for c in COLUMNS)
    by_id = (
        f"INSERT INTO account ({', '.join(COLUMNS)}, id) VALUES ({PLACES}, ${len(COLUMNS) + 1}) "
        f"ON CONFLICT (id) DO UPDATE SET {assignments} RETURNING *"
    )
    by_email = f"{INSERT} ON CONFLICT (email) DO UPDATE SET ssn = EXCLUDED.ssn RETURNING id, ssn"
    async with connected(dsn, 2) as connection:
        yield await connection.fetch(by_id, *row(7), 2)
        yield await connection.fetch(by_id, *row(8), 2)
        yield await connection.fetch(by_email, *row(8))
        yield await connection.executemany(by_email, [row(n) for n in range(8, 12)])
        yield await connection.fetch(f"{READ} ORDER BY id")


@same("bulk insert")
async def bulk(dsn: str) -> AsyncIterator[Any]:
    async with connected(dsn, 60) as connection:
        await connection.executemany(
            "UPDATE account SET ssn = $1 WHERE email = $2",
            [(f"555-QX-b{n}", f"person{n}@quux.example") for n in range(20)],
        )
        with pytest.raises(asyncpg.UniqueViolationError):
            await connection.executemany(INSERT, [row(n) for n in (200, 201, 1)])
        yield await connection.fetch(f"{READ} ORDER BY id")
        if hasattr(connection, "fetchmany"):
            yield await connection.fetchmany(
                f"{INSERT} RETURNING id, email", [row(n) for n in (300, 301)]
            )


@same("bulk insert")
async def unnest(dsn: str) -> AsyncIterator[Any]:
    """INSERT ... SELECT unnest($1::text[]): on plain columns; arrays cannot be sealed on the way."""
    async with connected(dsn) as connection:
        yield await connection.execute(
            "INSERT INTO visit (place) SELECT * FROM unnest($1::text[])", ["here", "there"]
        )


@same("COPY in")
async def copy_in(dsn: str) -> AsyncIterator[Any]:
    async with connected(dsn) as connection:
        yield await connection.copy_records_to_table(
            "account", records=[row(n) for n in range(1, 60)], columns=COLUMNS
        )
        source = io.BytesIO(b'name,email\r\nA,a@quux.example\r\n"B""",\r\n')
        yield await connection.copy_to_table(
            "account", source=source, columns=["name", "email"], format="csv", header=True
        )
        yield await connection.fetch(f"{READ} ORDER BY id")
        yield await connection.fetch("SELECT name FROM account WHERE email = $1", "a@quux.example")
        with pytest.raises(asyncpg.UniqueViolationError):
            await connection.copy_records_to_table(
                "account", records=[("x", "a@quux.example")], columns=["name", "email"]
            )
        yield await connection.fetchval("SELECT count(*) FROM account")


@same("COPY out")
async def copy_out(dsn: str) -> AsyncIterator[Any]:
    async with connected(dsn, 20) as connection:
        for options in ({}, {"format": "csv", "header": True}, {"format": "binary"}):
            target = io.BytesIO()
            yield await connection.copy_from_table("account", output=target, **options)
            yield target.getvalue()
        target = io.BytesIO()
        yield await connection.copy_from_query(
            "SELECT id, ssn FROM account WHERE id > $1 ORDER BY id", 5, output=target
        )
        yield target.getvalue()


@same("page by LIMIT/OFFSET and by key")
async def pages(dsn: str) -> AsyncIterator[Any]:
    async with connected(dsn, 25) as connection:
        for page in range(4):
            yield await connection.fetch(f"{READ} ORDER BY id LIMIT $1 OFFSET $2", 10, page * 10)
        last, rows = 0, [None]
        while rows:
            rows = await connection.fetch(f"{READ} WHERE id > $1 ORDER BY id LIMIT 7", last)
            yield rows
            last = rows[-1]["id"] if rows else 0


@same("rows in portions (cursors)")
async def cursors(dsn: str) -> AsyncIterator[Any]:
    """Portals with max_rows, inside a transaction."""
    async with connected(dsn, 60) as connection, connection.transaction():
        async for found in connection.cursor(f"{READ} WHERE id > $1 ORDER BY id", 3, prefetch=7):
            yield found
        cursor = await connection.cursor(f"{READ} ORDER BY id")
        yield await cursor.fetch(4)
        yield await cursor.forward(10)
        yield await cursor.fetchrow(), await cursor.fetch(1000)


@same("prepared statements")
async def prepared(dsn: str) -> AsyncIterator[Any]:
    async with connected(dsn, 5) as connection:
        statement = await connection.prepare("SELECT * FROM account WHERE email = $1")
        for number in (1, 2, 9):
            yield await statement.fetch(f"person{number}@quux.example")
        yield [(p.name, p.kind) for p in statement.get_parameters()]
        yield statement.get_name() != "", statement.get_query()
        many = await connection.prepare(INSERT)
        yield await many.executemany([row(n) for n in range(6, 9)])
        yield (await connection.prepare("SELECT 1 AS one")).get_attributes()
        yield await connection.reload_schema_state()


@same("prepared statements")
async def without_cache(dsn: str) -> AsyncIterator[Any]:
    """As behind a pooler: unnamed statements only."""
    async with connected(dsn, 3, statement_cache_size=0) as connection:
        for _ in range(3):
            yield await connection.fetch(
                "SELECT * FROM account WHERE email = $1", "person2@quux.example"
            )


@same("prepared statements")
async def cache_after_ddl(dsn: str) -> AsyncIterator[Any]:
    """A cached statement whose table got a column fails once and is prepared anew."""
    async with connected(dsn, 2) as connection, connected(dsn) as other:
        yield await connection.fetch("SELECT * FROM account ORDER BY id")
        await other.execute("ALTER TABLE account ADD COLUMN extra int DEFAULT 7")
        try:
            yield await connection.fetch("SELECT * FROM account ORDER BY id")
            yield await connection.fetch(
                "SELECT extra FROM account WHERE email = $1", "person1@quux.example"
            )
        finally:
            await other.execute("ALTER TABLE account DROP COLUMN extra")


@same("transactions")
async def transactions(dsn: str) -> AsyncIterator[Any]:
    async with connected(dsn) as connection, connected(dsn) as other:
        transaction = connection.transaction()
        await transaction.start()
        await connection.execute(INSERT, *row(1))
        yield connection.is_in_transaction(), await other.fetchval("SELECT count(*) FROM account")
        await transaction.rollback()
        async with connection.transaction(isolation="serializable"):
            await connection.execute(INSERT, *row(2))
        yield connection.is_in_transaction(), await other.fetch("SELECT id, email FROM account")
        with pytest.raises(asyncpg.ReadOnlySQLTransactionError):
            async with connection.transaction(readonly=True):
                await connection.execute("UPDATE account SET ssn = $1", "555-QX-r")
        yield await connection.fetch("SELECT email FROM account FOR UPDATE")


@same("savepoints")
async def savepoints(dsn: str) -> AsyncIterator[Any]:
    async with connected(dsn) as connection:
        async with connection.transaction():
            await connection.execute(INSERT, *row(1))
            with pytest.raises(asyncpg.UniqueViolationError) as caught:  # noqa: PT012
                async with connection.transaction():
                    await connection.execute(INSERT, *row(2))
                    await connection.execute(INSERT, *row(1))
            yield caught.value, caught.value.constraint_name
            async with connection.transaction():
                await connection.execute(INSERT, *row(3))
        yield await connection.fetch(f"{READ} ORDER BY id")


@same("errors inside transactions")
async def errors(dsn: str) -> AsyncIterator[Any]:
    async with connected(dsn, 2) as connection:
        for sql, arguments in (
            ("SELECT nosuch FROM account", ()),
            ("SELECT email FROM nosuch", ()),
            ("INSERT INTO account (name, email) VALUES ('x', $1)", ("person1@quux.example",)),
            ("INSERT INTO account (name, email) VALUES (NULL, $1)", ("new@quux.example",)),
            ("SELECT 1 / $1::int FROM account", (0,)),
            ("SELECT email FROM account WHERE email = $1", ()),
        ):
            transaction = connection.transaction()
            await transaction.start()
            for statement, given in (
                (sql, arguments),
                ("SELECT email FROM account WHERE id = $1", (1,)),
            ):
                try:
                    yield await connection.fetch(statement, *given)
                except (asyncpg.PostgresError, asyncpg.InterfaceError) as error:
                    yield statement, error, connection.is_in_transaction()
            await transaction.rollback()
            yield await connection.fetch(
                "SELECT email FROM account WHERE email = $1", "person1@quux.example"
            )


@same("cancel of a running query")
async def cancel(dsn: str) -> AsyncIterator[Any]:
    async with connected(dsn, 1) as connection:
        with pytest.raises(TimeoutError):
            await connection.fetch("SELECT email, pg_sleep(30) FROM account", timeout=0.3)
        yield await connection.fetch("SELECT email FROM account")
        task = asyncio.create_task(connection.fetch("SELECT ssn, pg_sleep(30) FROM account"))
        await asyncio.sleep(0.2)
        task.cancel()
        yield [type(found).__name__ for found in await asyncio.gather(task, return_exceptions=True)]
        yield await connection.fetch("SELECT email FROM account")


@same("LISTEN and NOTIFY")
async def notifications(dsn: str) -> AsyncIterator[Any]:
    async with connected(dsn) as connection, connected(dsn) as other:
        heard: asyncio.Queue[Any] = asyncio.Queue()
        await connection.add_listener("news", lambda *found: heard.put_nowait(found[2:]))
        async with other.transaction():
            await other.execute(INSERT, *row(1))
            await other.execute("SELECT pg_notify('news', $1)", "é")
        yield await asyncio.wait_for(heard.get(), 10)
        yield await connection.fetch("SELECT email FROM account")
        await connection.reset()


@same("large objects")
async def large_objects(dsn: str) -> AsyncIterator[Any]:
    async with connected(dsn) as connection, connection.transaction():
        oid = await connection.fetchval("SELECT lo_from_bytea(0, $1)", b"\x00\xff" * 5000)
        yield await connection.fetchval("SELECT length(lo_get($1))", oid)
        yield await connection.fetchval("SELECT lo_get($1, 2, 4)", oid)
        yield await connection.fetchval("SELECT lo_unlink($1)", oid)


@same("reconnect after the server ended the session")
async def reconnect(dsn: str) -> AsyncIterator[Any]:
    async with connected(dsn, 1) as connection, connected(dsn) as other:
        await other.execute("SELECT pg_terminate_backend($1, 5000)", connection.get_server_pid())
        try:
            yield await connection.fetch("SELECT email FROM account")
        except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError) as error:
            yield isinstance(error, asyncpg.AdminShutdownError | asyncpg.InterfaceError | OSError)
        yield connection.is_closed()
    async with connected(dsn) as again:
        yield await again.fetch("SELECT email FROM account")


@same("catalog queries of its own")
async def introspection(dsn: str) -> AsyncIterator[Any]:
    """Arrays, composites and enums make asyncpg read pg_type recursively; whole rows of plain tables too."""
    async with connected(dsn, 2) as connection:
        await connection.execute("INSERT INTO visit (account, place) VALUES (1, 'there')")
        yield await connection.fetch(
            "SELECT array_agg(id ORDER BY id), array_agg(name ORDER BY id) FROM account"
        )
        yield await connection.fetch("SELECT v FROM visit v")
        yield await connection.fetch(
            "SELECT a.email, ARRAY(SELECT ROW(v.id, v.place) FROM visit v) FROM account a ORDER BY id"
        )
        await connection.execute("CREATE TYPE pg_temp.mood AS ENUM ('sad', 'happy')")
        yield await connection.fetchval("SELECT 'happy'::pg_temp.mood")


@same("connection pool")
async def pool(dsn: str) -> AsyncIterator[Any]:
    """Each release sends `SELECT pg_advisory_unlock_all(); CLOSE ALL; UNLISTEN *; RESET ALL;` in one simple query."""
    async with asyncpg.create_pool(dsn, min_size=2, max_size=3) as connections:

        async def one(number: int) -> Any:
            async with connections.acquire() as connection, connection.transaction():
                return await connection.fetchrow(f"{INSERT} RETURNING email, born", *row(number))

        yield sorted(await asyncio.gather(*(one(number) for number in range(20))))
        async with connections.acquire() as connection:
            await connection.execute("SET search_path = pg_catalog")
        yield await connections.fetch(
            "SELECT ssn FROM account WHERE email = $1", "person3@quux.example"
        )
        await connections.expire_connections()
        yield await connections.fetchval("SELECT count(*) FROM account")


@pytest.mark.parametrize("case", CLIENT.cases, ids=str)
def test_same_as_the_plain_twin(twins: Twins, case: Case) -> None:
    """What asyncpg sees through the proxy is what it sees on a plain table around it."""
    twins.compare(case)
