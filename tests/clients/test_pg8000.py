"""pg8000: pure Python, extended protocol in text form, its own and its DB-API interface."""

from __future__ import annotations

import contextlib
import io
import json
import urllib.parse
from collections.abc import Iterator
from typing import Any, Final

import pg8000.dbapi
import pg8000.exceptions
import pg8000.native
import pytest

from tests.clients import dbapi
from tests.clients.dbapi import Interface
from tests.clients.matrix import Case, Client
from tests.clients.people import COLUMNS, person
from tests.clients.twins import Twins

CLIENT: Final = Client(
    "pg8000", "pg8000", "native and DB-API interface; simple and extended protocol in text", "none"
)
same = CLIENT.same


def address(dsn: str) -> dict[str, Any]:
    parts = urllib.parse.urlsplit(dsn)
    return {
        "user": parts.username,
        "host": parts.hostname,
        "port": parts.port,
        "database": parts.path[1:],
    }


@contextlib.contextmanager
def connecting(dsn: str) -> Iterator[Any]:
    connection = pg8000.dbapi.connect(**address(dsn))
    try:
        yield connection
    finally:
        with contextlib.suppress(pg8000.exceptions.InterfaceError):  # ended by the server before
            connection.close()


def described(connection: Any) -> list[Any]:
    """RowDescription, less the table's OID: each twin has its own."""
    return [{k: v for k, v in c.items() if k != "table_oid"} for c in connection.columns]


def as_json(value: Any) -> Any:
    """pg8000 sends a dict as jsonb; other JSON values have to come as their text."""
    return value if isinstance(value, dict) else json.dumps(value)


dbapi.register(
    CLIENT,
    Interface(
        connecting,
        pg8000.exceptions.Error,
        as_json,
        lambda c: c._transaction_status,
    ),
)


@contextlib.contextmanager
def native(dsn: str, count: int = 0) -> Iterator[Any]:
    connection = pg8000.native.Connection(**address(dsn))
    try:
        names = ", ".join(f":{name}" for name in COLUMNS)
        for number in range(1, count + 1):
            connection.run(
                f"INSERT INTO account ({', '.join(COLUMNS)}) VALUES ({names})", **person(number)
            )
        yield connection
    finally:
        connection.close()


@same("insert with RETURNING")
def native_insert(dsn: str) -> Iterator[Any]:
    with native(dsn, 3) as connection:
        yield connection.run("SELECT * FROM account ORDER BY id"), described(connection)
        yield connection.run(
            "INSERT INTO account (name, email) VALUES (:name, :email) RETURNING id, email",
            name="n",
            email="n@quux.example",
        )
        yield connection.row_count


@same("find by sealed e-mail: parameter")
def native_find(dsn: str) -> Iterator[Any]:
    with native(dsn, 4) as connection:
        for email in ("person3@quux.example", "nobody@quux.example", None):
            yield connection.run("SELECT id, ssn FROM account WHERE email = :email", email=email)
            yield connection.run(
                "SELECT id FROM account WHERE email = :email::varchar", email=email
            )


@same("prepared statements")
def native_prepared(dsn: str) -> Iterator[Any]:
    with native(dsn, 4) as connection:
        statement = connection.prepare("SELECT id, ssn, born FROM account WHERE email = :email")
        for number in (1, 4, 9):
            yield statement.run(email=f"person{number}@quux.example"), described(statement)
        statement.close()


@same("COPY in")
def copy_in(dsn: str) -> Iterator[Any]:
    with native(dsn, 1) as connection:
        connection.run(
            "COPY account (name, email, born) FROM STDIN WITH (FORMAT csv)",
            stream=io.StringIO("A,a@quux.example,2001-02-03\nB,,\n"),
        )
        yield connection.row_count
        connection.run(
            "COPY account (name, ssn) FROM STDIN",
            stream=["C\t555-QX-c\n", "D\t\\N\n"],
        )
        yield connection.run("SELECT * FROM account ORDER BY id")


@same("COPY out")
def copy_out(dsn: str) -> Iterator[Any]:
    with native(dsn, 12) as connection:
        for options in ("", "(FORMAT csv, HEADER)", "(FORMAT binary)"):
            target = io.BytesIO()
            connection.run(
                f"COPY (SELECT * FROM account ORDER BY id) TO STDOUT {options}", stream=target
            )
            yield target.getvalue()


@same("rows in portions (cursors)")
def declared(dsn: str) -> Iterator[Any]:
    with native(dsn, 20) as connection:
        connection.run("START TRANSACTION")
        connection.run(
            "DECLARE portions CURSOR FOR SELECT id, email, born FROM account ORDER BY id"
        )
        while rows := connection.run("FETCH FORWARD 7 FROM portions"):
            yield rows
        connection.run("CLOSE portions")
        connection.run("COMMIT")


@same("savepoints")
def native_savepoints(dsn: str) -> Iterator[Any]:
    with native(dsn, 1) as connection:
        connection.run("BEGIN")
        connection.run("SAVEPOINT s")
        with pytest.raises(pg8000.exceptions.DatabaseError) as caught:
            connection.run(
                "INSERT INTO account (name, email) VALUES ('x', :email)",
                email="person1@quux.example",
            )
        yield caught.value
        connection.run("ROLLBACK TO s")
        yield connection.run("SELECT email FROM account")
        connection.run("COMMIT")


@same("cancel of a running query")
def cancel(dsn: str) -> Iterator[Any]:
    """pg8000 has no cancel of its own: pg_cancel_backend from another session."""
    with native(dsn, 1) as connection, native(dsn) as other:
        ((pid,),) = connection.run("SELECT pg_backend_pid()")
        yield dbapi.cancelled(
            lambda: connection.run("SELECT email, pg_sleep(30) FROM account"),
            lambda: other.run("SELECT pg_cancel_backend(:pid)", pid=pid),
            pg8000.exceptions.DatabaseError,
        )
        yield connection.run("SELECT email FROM account")


@same("LISTEN and NOTIFY")
def notifications(dsn: str) -> Iterator[Any]:
    with native(dsn, 1) as connection, native(dsn) as other:
        connection.run("LISTEN news")
        other.run("SELECT pg_notify('news', 'x')")
        yield connection.run("SELECT email FROM account")
        yield [(channel, payload) for _, channel, payload in connection.notifications]


@same("large objects")
def large_objects(dsn: str) -> Iterator[Any]:
    with native(dsn) as connection:
        ((oid,),) = connection.run("SELECT lo_from_bytea(0, :data)", data=b"\x00\xff" * 5000)
        yield connection.run("SELECT length(lo_get(:oid))", oid=oid)
        yield connection.run("SELECT lo_get(:oid, 2, 4)", oid=oid)
        yield connection.run("SELECT lo_unlink(:oid)", oid=oid)


@pytest.mark.parametrize("case", CLIENT.cases, ids=str)
def test_same_as_the_plain_twin(twins: Twins, case: Case) -> None:
    """What pg8000 sees through the proxy is what it sees on a plain table around it."""
    twins.compare(case)
