"""psycopg 2: interpolates every value into the text, simple protocol throughout."""

from __future__ import annotations

import contextlib
import io
import select
from collections.abc import Iterator
from typing import Any, Final

import psycopg2
import psycopg2.extensions
import psycopg2.extras
import psycopg2.pool
import psycopg2.sql
import pytest

from tests.clients import dbapi
from tests.clients.dbapi import INSERT, READ, Interface
from tests.clients.matrix import Case, Client
from tests.clients.people import COLUMNS, person
from tests.clients.twins import Twins

CLIENT: Final = Client(
    "psycopg 2",
    "psycopg2-binary",
    "simple protocol with literals; extras, named cursors, pool",
    "none",
)
same = CLIENT.same


def connecting(dsn: str) -> Any:
    return contextlib.closing(psycopg2.connect(dsn))


dbapi.register(
    CLIENT,
    Interface(
        connecting, psycopg2.Error, psycopg2.extras.Json, lambda c: c.get_transaction_status()
    ),
)


def row(number: int) -> tuple[Any, ...]:
    return tuple(
        psycopg2.extras.Json(v) if k == "profile" else v for k, v in person(number).items()
    )


@contextlib.contextmanager
def filled(dsn: str, count: int) -> Iterator[Any]:
    with connecting(dsn) as connection:
        connection.autocommit = True
        with connection.cursor() as cursor:
            psycopg2.extras.execute_values(
                cursor,
                f"INSERT INTO account ({', '.join(COLUMNS)}) VALUES %s",
                [row(n) for n in range(1, count + 1)],
            )
        yield connection


@same("bulk insert")
def execute_values(dsn: str) -> Iterator[Any]:
    with filled(dsn, 60) as connection, connection.cursor() as cursor:
        yield psycopg2.extras.execute_values(
            cursor,
            "INSERT INTO account (name, email, born) VALUES %s RETURNING id, email, born",
            [(f"V{n}", f"v{n}@quux.example", person(n)["born"]) for n in range(50)],
            page_size=20,
            fetch=True,
        )
        psycopg2.extras.execute_batch(
            cursor,
            "UPDATE account SET ssn = %s WHERE email = %s",
            [(f"555-QX-b{n}", f"v{n}@quux.example") for n in range(50)],
        )
        cursor.execute(f"{READ} ORDER BY id")
        yield cursor.fetchall()


@same("bulk insert")
def update_from_values(dsn: str) -> Iterator[Any]:
    """UPDATE ... FROM (VALUES ...) by id; the values come from a derived table."""
    with filled(dsn, 5) as connection, connection.cursor() as cursor:
        cursor.execute(
            "UPDATE account SET note = d.note FROM (VALUES (1, 'a'), (2, 'b')) AS d (id, note) "
            "WHERE d.id = account.id RETURNING account.id, account.email, account.note"
        )
        yield sorted(cursor.fetchall())


@same("read every type")
def cursor_factories(dsn: str) -> Iterator[Any]:
    with filled(dsn, 3) as connection:
        for factory in (
            psycopg2.extras.RealDictCursor,
            psycopg2.extras.NamedTupleCursor,
            psycopg2.extras.DictCursor,
        ):
            with connection.cursor(cursor_factory=factory) as cursor:
                cursor.execute(f"{READ} ORDER BY id")
                yield cursor.fetchall()
                yield [tuple(column) for column in cursor.description]


@same("read every type")
def adapters(dsn: str) -> Iterator[Any]:
    """Casters by OID, adapters for parameters, composed SQL, mogrify."""
    with filled(dsn, 3) as connection, connection.cursor() as cursor:
        caster = psycopg2.extensions.new_type((1700,), "MONEY", lambda v, _: v and f"{v} EUR")
        psycopg2.extensions.register_type(caster, cursor)
        cursor.execute("SELECT balance FROM account WHERE id = 1")
        yield cursor.fetchall()
        query = psycopg2.sql.SQL("SELECT {} FROM {} WHERE {} = {}").format(
            psycopg2.sql.Identifier("ssn"),
            psycopg2.sql.Identifier("public", "account"),
            psycopg2.sql.Identifier("email"),
            psycopg2.sql.Literal("person2@quux.example"),
        )
        cursor.execute(query)
        yield cursor.fetchall()
        cursor.execute(
            "INSERT INTO account (name, photo, born, profile) VALUES (%s, %s, %s, %s) RETURNING photo, profile",
            (
                "a",
                psycopg2.Binary(b"\x00zqzqz'\\"),
                psycopg2.Date(2001, 2, 3),
                psycopg2.extras.Json({"a": "'\\"}),
            ),
        )
        yield cursor.fetchall()
        cursor.execute(
            "UPDATE account SET visits = %(visits)s WHERE email = %(email)s RETURNING visits",
            {"visits": 77, "email": "person3@quux.example"},
        )
        yield cursor.fetchall(), cursor.statusmessage
        yield cursor.mogrify("SELECT 1 WHERE %s = %s", ("a'b", "c\\d"))


@same("COPY in")
def copy_in(dsn: str) -> Iterator[Any]:
    with filled(dsn, 1) as connection, connection.cursor() as cursor:
        cursor.copy_expert(
            "COPY account (name, email, born) FROM STDIN WITH CSV HEADER",
            io.StringIO("name,email,born\nA,a@quux.example,2001-02-03\nB,,\n"),
        )
        yield cursor.rowcount
        cursor.copy_from(
            io.StringIO("C\tc@quux.example\t\\N\nD\t\\N\t555-QX-\\\\x\n"),
            "account",
            columns=("name", "email", "ssn"),
        )
        yield cursor.rowcount
        with contextlib.suppress(psycopg2.Error):
            cursor.copy_expert(
                "COPY account (name, email) FROM STDIN", io.StringIO("E\ta@quux.example\n")
            )
            yield "taken twice"
        cursor.execute(f"{READ} ORDER BY id")
        yield cursor.fetchall()


@same("COPY out")
def copy_out(dsn: str) -> Iterator[Any]:
    with filled(dsn, 12) as connection, connection.cursor() as cursor:
        target = io.StringIO()
        cursor.copy_expert(
            "COPY (SELECT * FROM account ORDER BY id) TO STDOUT WITH CSV HEADER", target
        )
        cursor.copy_to(target, "account", columns=("id", "email", "profile"), sep="|")
        yield target.getvalue()


@same("rows in portions (cursors)")
def named_cursors(dsn: str) -> Iterator[Any]:
    with filled(dsn, 60) as connection:
        connection.autocommit = False
        with connection.cursor("portions") as cursor:
            cursor.itersize = 7
            cursor.execute(f"{READ} WHERE id > %s ORDER BY id", (2,))
            yield list(cursor)
        with connection.cursor("there", scrollable=True) as cursor:
            cursor.execute("SELECT id, email FROM account WHERE email IS NOT NULL ORDER BY id")
            cursor.scroll(10)
            yield cursor.fetchone()
            cursor.scroll(2, mode="absolute")
            yield cursor.fetchmany(2), [tuple(c) for c in cursor.description]
        connection.commit()
        with connection.cursor("held", withhold=True) as cursor:
            cursor.execute("SELECT ssn FROM account WHERE email = %s", ("person5@quux.example",))
            connection.commit()
            yield cursor.fetchall()


@same("savepoints")
def context_managers(dsn: str) -> Iterator[Any]:
    with connecting(dsn) as connection:
        with connection, connection.cursor() as cursor:
            cursor.execute(INSERT, row(1))
        with pytest.raises(psycopg2.errors.UniqueViolation) as caught, connection:
            connection.cursor().execute(INSERT, row(1))
        yield caught.value, caught.value.diag.constraint_name, connection.status
        with connection, connection.cursor() as cursor:
            cursor.execute("SELECT count(*), count(email) FROM account")
            yield cursor.fetchall()


@same("cancel of a running query")
def cancel(dsn: str) -> Iterator[Any]:
    with filled(dsn, 1) as connection, connection.cursor() as cursor:
        yield dbapi.cancelled(
            lambda: cursor.execute("SELECT email, pg_sleep(30) FROM account"),
            connection.cancel,
            psycopg2.errors.QueryCanceled,
        )
        cursor.execute("SELECT email FROM account")
        yield cursor.fetchall()


@same("LISTEN and NOTIFY")
def notifications(dsn: str) -> Iterator[Any]:
    with filled(dsn, 1) as connection, filled(dsn, 0) as other, connection.cursor() as cursor:
        cursor.execute("LISTEN news")
        other.cursor().execute("NOTIFY news, 'é'")
        select.select([connection], [], [], 10)
        connection.poll()
        yield [(n.channel, n.payload) for n in connection.notifies]
        cursor.execute("SELECT email FROM account")
        yield cursor.fetchall()


@same("large objects")
def large_objects(dsn: str) -> Iterator[Any]:
    """The client library's own interface: fast-path function calls (FunctionCall)."""
    with connecting(dsn) as connection:
        large = connection.lobject(0, "wb")
        yield large.write(b"\x00\xff" * 5000)
        large.close()
        again = connection.lobject(large.oid, "rb")
        yield again.seek(9990), again.read(5), again.read(), again.tell()
        again.unlink()
        connection.commit()


@same("connection pool")
def pool(dsn: str) -> Iterator[Any]:
    connections = psycopg2.pool.SimpleConnectionPool(1, 2, dsn)
    for number in range(1, 5):
        connection = connections.getconn()
        with connection.cursor() as cursor:
            cursor.execute(f"{INSERT} RETURNING email", row(number))
            yield cursor.fetchall()
        if number % 2:
            connection.commit()
        connections.putconn(connection)
    connection = connections.getconn()
    with connection.cursor() as cursor:
        cursor.execute("SELECT id, email FROM account ORDER BY id")
        yield cursor.fetchall()
    connections.closeall()


@same("catalog queries of its own")
def composites(dsn: str) -> Iterator[Any]:
    with filled(dsn, 1) as connection, connection.cursor() as cursor:
        caster = psycopg2.extras.register_composite("visit", cursor)
        yield caster.attnames
        cursor.execute("INSERT INTO visit (account, place) VALUES (1, 'there')")
        cursor.execute("SELECT v FROM visit v")
        yield cursor.fetchall()


@pytest.mark.parametrize("case", CLIENT.cases, ids=str)
def test_same_as_the_plain_twin(twins: Twins, case: Case) -> None:
    """What psycopg 2 sees through the proxy is what it sees on a plain table around it."""
    twins.compare(case)
