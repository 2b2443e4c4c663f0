"""psycopg 3: sync and async, text and binary, pipelines, prepared statements, cursors, COPY."""

from __future__ import annotations

import contextlib
import datetime
import itertools
from collections.abc import AsyncIterator, Iterator
from typing import Any, Final

import psycopg
import pytest
from psycopg import sql as compose
from psycopg.rows import class_row, dict_row, namedtuple_row
from psycopg.types.composite import CompositeInfo
from psycopg.types.json import Jsonb

from tests.clients import dbapi
from tests.clients.dbapi import INSERT, READ, Interface
from tests.clients.matrix import Case, Client
from tests.clients.people import COLUMNS, person
from tests.clients.twins import Twins

CLIENT: Final = Client(
    "psycopg 3",
    "psycopg",
    "sync and async; extended (text, binary), prepared, pipeline, client cursors (literals)",
    "none",
)


def connecting(mode: str) -> Any:
    @contextlib.contextmanager
    def connect(dsn: str) -> Iterator[psycopg.Connection[Any]]:
        options: dict[str, Any] = {}
        if mode == "literals":
            options["cursor_factory"] = psycopg.ClientCursor
        if mode == "binary":
            options["cursor_factory"] = BinaryCursor
        if mode == "prepared":
            options["prepare_threshold"] = 0
        with contextlib.closing(psycopg.connect(dsn, **options)) as connection:
            if mode == "binary":
                connection.adapters.register_dumper(str, psycopg.types.string.StrBinaryDumper)
            yield connection

    return connect


class BinaryCursor(psycopg.Cursor[Any]):
    """Every result and every parameter in binary form."""

    def __init__(self, connection: psycopg.Connection[Any], **options: Any) -> None:
        super().__init__(connection, **options)
        self.format = psycopg.pq.Format.BINARY


for _mode in ("extended", "prepared", "binary", "literals"):
    dbapi.register(
        CLIENT,
        Interface(
            connecting(_mode), psycopg.Error, Jsonb, lambda c: c.info.transaction_status.name
        ),
        _mode,
    )

same = CLIENT.same


def filled(dsn: str, count: int, **options: Any) -> psycopg.Connection[Any]:
    connection = psycopg.connect(dsn, autocommit=True, **options)
    with connection.cursor() as cursor:
        cursor.executemany(INSERT, [row(n) for n in range(1, count + 1)])
    return connection


def row(number: int) -> tuple[Any, ...]:
    return tuple(Jsonb(v) if k == "profile" else v for k, v in person(number).items())


@same("bulk insert")
def executemany_returning(dsn: str) -> Iterator[Any]:
    with psycopg.connect(dsn) as connection, connection.cursor() as cursor:
        cursor.executemany(
            f"{INSERT} RETURNING id, email", [row(n) for n in range(30)], returning=True
        )
        for result in cursor.results():
            yield result.fetchone()


@same("read every type")
def row_factories(dsn: str) -> Iterator[Any]:
    with filled(dsn, 3) as connection:
        for factory in (dict_row, namedtuple_row, class_row(dict)):
            with connection.cursor(row_factory=factory) as cursor:
                yield cursor.execute(f"{READ} ORDER BY id").fetchall()
        yield connection.execute(f"{READ} ORDER BY id", binary=True).fetchall()
        query = compose.SQL("SELECT {} FROM {} WHERE {} = {}").format(
            compose.Identifier("ssn"),
            compose.Identifier("public", "account"),
            compose.Identifier("email"),
            compose.Literal("person2@quux.example"),
        )
        yield connection.execute(query).fetchall()
        cursor = connection.execute(f"{READ} ORDER BY id")
        yield [
            (
                c.name,
                c.type_code,
                c.display_size,
                c.internal_size,
                c.precision,
                c.scale,
                c.null_ok,
                c.type_display,
            )
            for c in cursor.description or ()
        ]


@same("read every type")
def parameters_of_declared_types(dsn: str) -> Iterator[Any]:
    """Values that a driver sends as another type than the column's, which assignment converts."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        for column, value in (
            ("visits", 2**40),
            ("visits", 1.5),
            ("balance", 7),
            ("balance", 0.25),
            ("born", datetime.datetime(2020, 1, 2, 3, 4, 5)),
            ("email", b"bytes"),
            ("ssn", 5),
            ("profile", "{}"),
            ("photo", "text"),
        ):
            for slot in ("%s", "%b", "%t"):
                try:
                    yield (
                        column,
                        connection.execute(
                            f"INSERT INTO account (name, {column}) VALUES ('t', {slot}) RETURNING {column}",
                            (value,),
                        ).fetchone(),
                    )
                except psycopg.Error as error:
                    yield column, slot, error


@same("COPY in")
def copy_in(dsn: str) -> Iterator[Any]:
    columns = ", ".join(COLUMNS)
    with psycopg.connect(dsn) as connection, connection.cursor() as cursor:
        with cursor.copy(f"COPY account ({columns}) FROM STDIN") as copy:
            for number in range(40):
                copy.write_row(row(number))
        yield cursor.rowcount
        with cursor.copy(f"COPY account ({columns}) FROM STDIN WITH (FORMAT binary)") as copy:
            copy.set_types(["text", "varchar", "text", "date", "int4", "numeric", "jsonb", "bytea"])
            for number in range(40, 80):
                copy.write_row(row(number))
        yield cursor.rowcount
        with cursor.copy("COPY account (name, email) FROM STDIN (FORMAT csv, HEADER true)") as copy:
            for piece in (
                "name,email\r\nA,a@qu",
                'ux.example\r\n"B""","b@quux.example"\r\nC,\r',
                "\n",
            ):
                copy.write(piece)
        yield cursor.rowcount
        connection.commit()
        yield cursor.execute(f"{READ} ORDER BY id").fetchall()
        yield cursor.execute(
            "SELECT id FROM account WHERE email = %s", ("a@quux.example",)
        ).fetchall()
        with (
            pytest.raises(psycopg.Error) as caught,
            cursor.copy("COPY account (name, email) FROM STDIN") as copy,
        ):
            copy.write_row(("twice", "a@quux.example"))
        yield caught.value, connection.info.transaction_status
        connection.rollback()
        with (
            contextlib.suppress(ZeroDivisionError),
            cursor.copy("COPY account (name, email) FROM STDIN") as copy,
        ):
            copy.write_row(("given up", "z@quux.example"))
            raise ZeroDivisionError
        yield connection.info.transaction_status


@same("COPY out")
def copy_out(dsn: str) -> Iterator[Any]:
    with filled(dsn, 20) as connection, connection.cursor() as cursor:
        for statement in (
            "COPY account TO STDOUT",
            "COPY account (id, email, balance) TO STDOUT (FORMAT csv, HEADER, FORCE_QUOTE *)",
            "COPY (SELECT id, ssn, profile FROM account ORDER BY id) TO STDOUT",
        ):
            with cursor.copy(statement) as copy:
                yield b"".join(bytes(block) for block in copy)
        with cursor.copy(
            "COPY (SELECT * FROM account ORDER BY id) TO STDOUT (FORMAT binary)"
        ) as copy:
            copy.set_types(
                [
                    "int4",
                    "text",
                    "varchar",
                    "text",
                    "date",
                    "int4",
                    "numeric",
                    "jsonb",
                    "bytea",
                    "text",
                ]
            )
            yield list(copy.rows())


@same("rows in portions (cursors)")
def server_cursors(dsn: str) -> Iterator[Any]:
    with filled(dsn, 60) as connection:
        for binary in (False, True):
            with connection.transaction(), connection.cursor("portions", binary=binary) as cursor:
                cursor.itersize = 7
                cursor.execute(f"{READ} WHERE id > %s ORDER BY id", (2,))
                yield (
                    list(itertools.islice(cursor, 20)),
                    [tuple(c) for c in cursor.description or ()],
                )
                yield cursor.fetchone(), cursor.fetchmany(9), len(cursor.fetchall())
        with connection.transaction(), connection.cursor("there", scrollable=True) as cursor:
            cursor.execute("SELECT id, email FROM account WHERE email IS NOT NULL ORDER BY id")
            cursor.scroll(10)
            yield cursor.fetchone()
            cursor.scroll(2, mode="absolute")
            yield cursor.fetchmany(2)
        with connection.cursor("held", withhold=True) as cursor:
            cursor.execute(
                "SELECT id, ssn FROM account WHERE email = %s", ("person5@quux.example",)
            )
            yield cursor.fetchall()


@same("rows in portions (cursors)")
def streamed(dsn: str) -> Iterator[Any]:
    with filled(dsn, 30) as connection, connection.cursor() as cursor:
        yield list(cursor.stream(f"{READ} ORDER BY id"))
        yield list(
            cursor.stream("SELECT email FROM account WHERE id > %s ORDER BY id", (9,), size=4)
        )


@same("prepared statements")
def prepared(dsn: str) -> Iterator[Any]:
    """After five times psycopg prepares by itself; DISCARD ALL and schema changes in between."""
    with filled(dsn, 10, prepare_threshold=2) as connection:
        for number in range(1, 8):
            yield connection.execute(
                "SELECT ssn FROM account WHERE email = %s", (f"person{number}@quux.example",)
            ).fetchall()
            yield connection.execute(
                "UPDATE account SET visits = %s WHERE id = %s RETURNING *", (number, number)
            ).fetchall()
        yield connection.execute("SELECT count(*) FROM pg_prepared_statements").fetchall()
        connection.execute("DEALLOCATE ALL")
        yield connection.execute("SELECT count(*) FROM pg_prepared_statements").fetchall()
        for _ in range(4):
            yield connection.execute(
                "SELECT ssn FROM account WHERE email = %s", ("person3@quux.example",)
            ).fetchall()


@same("prepared statements")
def pipelines(dsn: str) -> Iterator[Any]:
    with filled(dsn, 3) as connection, connection.pipeline() as pipeline:
        cursors = [
            connection.execute("SELECT email, born FROM account WHERE id = %s", (n,))
            for n in (1, 2, 3)
        ]
        insertion = connection.execute(f"{INSERT} RETURNING id, photo", row(9))
        found = connection.execute(
            "SELECT id FROM account WHERE email = %s", ("person9@quux.example",)
        )
        pipeline.sync()
        yield [cursor.fetchall() for cursor in (*cursors, insertion, found)]
        with pytest.raises(psycopg.errors.UniqueViolation) as caught:  # noqa: PT012
            # When psycopg reads the answer is a matter of time: any of the three raises.
            connection.execute(
                "INSERT INTO account (name, email) VALUES ('x', %s)", ("person1@quux.example",)
            )
            connection.execute("UPDATE account SET email = 'skipped@quux.example' WHERE id = 1")
            pipeline.sync()
        yield caught.value
        with contextlib.suppress(psycopg.Error):
            pipeline.sync()
        yield connection.execute("SELECT email FROM account ORDER BY id").fetchall()
        yield connection.info.transaction_status


@same("savepoints")
def nested_transactions(dsn: str) -> Iterator[Any]:
    with psycopg.connect(dsn) as connection:
        with connection.transaction():
            connection.execute(INSERT, row(1))
            with pytest.raises(psycopg.errors.UniqueViolation) as caught, connection.transaction():
                connection.execute(INSERT, row(1))
            yield caught.value, caught.value.diag.constraint_name, caught.value.diag.table_name
            with connection.transaction(force_rollback=True):
                connection.execute(INSERT, row(2))
            yield connection.info.transaction_status
        yield connection.execute("SELECT id, email FROM account ORDER BY id").fetchall()


@same("transactions")
def two_phase(dsn: str) -> Iterator[Any]:
    """tpc_begin is refused by a server without max_prepared_transactions, behind the proxy as well."""
    with contextlib.closing(psycopg.connect(dsn)) as connection:
        connection.tpc_begin(connection.xid(1, f"g{connection.info.backend_pid}", "b"))
        connection.execute(INSERT, row(1))
        try:
            connection.tpc_prepare()
        except psycopg.Error as error:
            yield error


@same("cancel of a running query")
def cancel(dsn: str) -> Iterator[Any]:
    with filled(dsn, 1) as connection:
        yield dbapi.cancelled(
            lambda: connection.execute("SELECT email, pg_sleep(30) FROM account"),
            connection.cancel_safe,
            psycopg.errors.QueryCanceled,
        )
        yield (
            connection.info.transaction_status,
            connection.execute("SELECT email FROM account").fetchall(),
        )


@same("LISTEN and NOTIFY")
def notifications(dsn: str) -> Iterator[Any]:
    with psycopg.connect(dsn, autocommit=True) as connection, psycopg.connect(dsn) as other:
        connection.execute("LISTEN news")
        other.execute(INSERT, row(1))
        other.execute("SELECT pg_notify('news', 'payload é')")
        other.commit()
        for notice in connection.notifies(timeout=10, stop_after=1):
            yield notice.channel, notice.payload, notice.pid == other.info.backend_pid
        connection.execute("NOTIFY news")
        yield connection.execute("SELECT email FROM account").fetchall()
        heard = list(connection.notifies(timeout=0))
        yield [n.payload for n in heard]


@same("large objects")
def large_objects(dsn: str) -> Iterator[Any]:
    with psycopg.connect(dsn) as connection:
        (oid,) = connection.execute(
            "SELECT lo_from_bytea(0, %s)", (b"\x00\xff" * 5000,)
        ).fetchone() or (0,)
        (handle,) = connection.execute("SELECT lo_open(%s, 393216)", (oid,)).fetchone() or (0,)
        yield connection.execute("SELECT lowrite(%s, %s)", (handle, b"abc")).fetchone()
        yield connection.execute(
            "SELECT lo_lseek(%s, 0, 0), loread(%s, 10)", (handle, handle)
        ).fetchone()
        yield connection.execute("SELECT length(lo_get(%s))", (oid,), binary=True).fetchone()
        yield connection.execute("SELECT lo_unlink(%s)", (oid,)).fetchone()


@same("read every type")
async def asynchronous(dsn: str) -> AsyncIterator[Any]:
    async with await psycopg.AsyncConnection.connect(dsn) as connection:
        async with connection.cursor() as cursor:
            await cursor.executemany(INSERT, [row(n) for n in range(1, 6)])
            await cursor.execute(f"{READ} ORDER BY id")
            yield await cursor.fetchall()
            await cursor.execute(
                "SELECT id FROM account WHERE email = %s", ("person4@quux.example",)
            )
            yield [found async for found in cursor]
        async with connection.pipeline():
            one = await connection.execute("SELECT email FROM account WHERE id = %s", (1,))
            two = await connection.execute(
                "UPDATE account SET ssn = %s RETURNING ssn", ("555-QX-a",)
            )
            yield await one.fetchall(), await two.fetchall()
        with pytest.raises(psycopg.errors.UniqueViolation):
            async with connection.transaction():
                await connection.execute(INSERT, row(1))
        yield connection.info.transaction_status
        await connection.rollback()


@same("rows in portions (cursors)")
async def asynchronous_cursor(dsn: str) -> AsyncIterator[Any]:
    async with await psycopg.AsyncConnection.connect(dsn) as connection:
        async with connection.cursor() as cursor:
            await cursor.executemany(INSERT, [row(n) for n in range(1, 20)])
        async with connection.cursor("portions") as portions:
            portions.itersize = 4
            await portions.execute(f"{READ} ORDER BY id")
            yield [found async for found in portions]


@same("COPY out")
async def asynchronous_copy(dsn: str) -> AsyncIterator[Any]:
    async with (
        await psycopg.AsyncConnection.connect(dsn) as connection,
        connection.cursor() as cursor,
    ):
        async with cursor.copy("COPY account (name, email) FROM STDIN") as copy:
            for number in range(20):
                await copy.write_row((f"A{number}", f"a{number}@quux.example"))
        async with cursor.copy("COPY account (id, email) TO STDOUT") as copy:
            yield [found async for found in copy.rows()]


@same("catalog queries of its own")
def types_by_name(dsn: str) -> Iterator[Any]:
    """psycopg looks types up by name in pg_type (TypeInfo.fetch), composites of sealed tables among them."""
    with psycopg.connect(dsn) as connection:
        for name in ("jsonb", "varchar", "nosuch"):
            yield psycopg.types.TypeInfo.fetch(connection, name)
        found = CompositeInfo.fetch(connection, "visit")
        yield found is not None and found.field_names


@pytest.mark.parametrize("case", CLIENT.cases, ids=str)
def test_same_as_the_plain_twin(twins: Twins, case: Case) -> None:
    """What psycopg 3 sees through the proxy is what it sees on a plain table around it."""
    twins.compare(case)
