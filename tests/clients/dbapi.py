"""Scripts that every DB-API 2.0 client runs (PEP 249, `%s` placeholders)."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from tests.clients.matrix import Case, Client
from tests.clients.people import COLUMNS, EDGES, MEGABYTE, person


@dataclass(frozen=True, slots=True)
class Interface:
    """What PEP 249 leaves to each client."""

    connect: Callable[[str], contextlib.AbstractContextManager[Any]]
    """DSN -> a context that closes the connection; not in autocommit mode."""
    error: type[Exception]
    json: Callable[[Any], Any]
    status: Callable[[Any], Any]
    """The connection's transaction status, as the client keeps it."""

    def row(self, number: int) -> tuple[Any, ...]:
        return tuple(self.json(v) if k == "profile" else v for k, v in person(number).items())


INSERT: Final = (
    f"INSERT INTO account ({', '.join(COLUMNS)}) VALUES ({', '.join(['%s'] * len(COLUMNS))})"
)
READ: Final = f"SELECT id, {', '.join(COLUMNS)} FROM account"


def fill(api: Interface, connection: Any, count: int) -> Any:
    cursor = connection.cursor()
    cursor.executemany(INSERT, [api.row(n) for n in range(1, count + 1)])
    connection.commit()
    return cursor


def insert(api: Interface, dsn: str) -> Iterator[Any]:
    with api.connect(dsn) as connection:
        cursor = connection.cursor()
        cursor.execute(f"{INSERT} RETURNING *", api.row(1))
        yield cursor.fetchone(), cursor.rowcount, described(cursor)
        cursor.execute(INSERT, api.row(2))
        yield cursor.rowcount
        cursor.execute(
            "INSERT INTO account (name, email, visits) VALUES ('L', 'l@quux.example', -7), "
            "('M', %s, DEFAULT) RETURNING id, email, visits, note",
            ("m@quux.example",),
        )
        yield cursor.fetchall(), described(cursor)
        connection.commit()
        cursor.execute("SELECT * FROM account ORDER BY id")
        yield cursor.fetchall()


def described(cursor: Any) -> list[Any]:
    """Names, type OIDs, sizes, precisions."""
    return [tuple(column) for column in cursor.description]


def read(api: Interface, dsn: str) -> Iterator[Any]:
    with api.connect(dsn) as connection:
        cursor = fill(api, connection, 5)
        for sql in (
            f"{READ} ORDER BY id",
            "SELECT *, id AS again, email AS mail FROM account WHERE id < 3 ORDER BY id",
            "SELECT a.*, v.place FROM account a LEFT JOIN visit v ON v.account = a.id WHERE a.id = 2",
            "WITH c AS (SELECT id, email, born FROM account) SELECT * FROM c WHERE id = 1",
            "SELECT x.email, (SELECT b.born FROM account b WHERE b.id = x.id) FROM account x WHERE id = 1",
            "SELECT count(*), count(ssn) FROM account",
            "SELECT id, email FROM account WHERE email IS NULL",
        ):
            cursor.execute(sql)
            yield cursor.fetchall(), described(cursor)
        cursor.execute(f"{READ} WHERE id = %s", (4,))
        yield cursor.fetchone(), cursor.fetchone()
        cursor.execute(
            "SELECT id, name, detail, %s::text FROM account LEFT JOIN visit USING (id)", ("x",)
        )
        yield sorted(cursor.fetchmany(3))


def edges(api: Interface, dsn: str) -> Iterator[Any]:
    with api.connect(dsn) as connection:
        cursor = connection.cursor()
        for column, values in {**EDGES, **{k: [v] for k, v in MEGABYTE.items()}}.items():
            for value in values:
                given = api.json(value) if column == "profile" and value is not None else value
                cursor.execute(
                    f"INSERT INTO account (name, {column}) VALUES ('edge', %s) RETURNING {column}",
                    (given,),
                )
                yield column, cursor.fetchone()
        connection.commit()
        cursor.execute(f"{READ} ORDER BY id")
        yield cursor.fetchall()


def wrong_values(api: Interface, dsn: str) -> Iterator[Any]:
    with api.connect(dsn) as connection:
        for column, value in (
            ("ssn", "a\0b"),
            ("email", "x" * 121),
            ("born", "2001-02-30"),
            ("visits", 2**31),
            ("visits", "twelve"),
            ("balance", "12345678901.00"),
            ("profile", "{"),
        ):
            cursor = connection.cursor()
            try:
                cursor.execute(f"INSERT INTO account (name, {column}) VALUES ('w', %s)", (value,))
            except (api.error, ValueError) as error:
                yield column, error, api.status(connection)
            else:
                yield column, "taken"
            connection.rollback()
        cursor = connection.cursor()
        cursor.execute("SELECT count(*) FROM account")
        yield cursor.fetchall()


def by_parameter(api: Interface, dsn: str) -> Iterator[Any]:
    with api.connect(dsn) as connection:
        cursor = fill(api, connection, 4)
        for sql in (
            "SELECT id, ssn FROM account WHERE email = %s",
            "SELECT id FROM account WHERE %s = email AND id > 0",
            "SELECT id FROM account WHERE email <> %s ORDER BY id",
            "SELECT id FROM account a WHERE a.email = %s AND a.name LIKE 'Person%%'",
            "SELECT id FROM account WHERE email = %s::varchar",
            "SELECT id FROM account WHERE email = CAST(%s AS text) LIMIT 1",
            "SELECT EXISTS (SELECT 1 FROM account WHERE email = %s)",
            "SELECT count(*) FROM account WHERE email = %s",
        ):
            for email in ("person3@quux.example", "nobody@quux.example", None):
                cursor.execute(sql, (email,))
                yield cursor.fetchall()


def by_literal(api: Interface, dsn: str) -> Iterator[Any]:
    with api.connect(dsn) as connection:
        cursor = fill(api, connection, 4)
        for condition in (
            "email = 'person3@quux.example'",
            "email = 'nobody@quux.example'",
            "email = E'person\\x33@quux.example'",
            "email = $q$person3@quux.example$q$",
            "'person3@quux.example' = email",
            "email = 'person3@quux.example'::varchar",
            "email != 'person3@quux.example' AND id = 1",
        ):
            cursor.execute(f"SELECT id, email FROM account WHERE {condition} ORDER BY id")
            yield cursor.fetchall()


def by_several(api: Interface, dsn: str) -> Iterator[Any]:
    two = ["person3@quux.example", "nobody@quux.example"]
    with api.connect(dsn) as connection:
        cursor = fill(api, connection, 4)
        cursor.execute("SELECT id FROM account WHERE email IN (%s, %s) ORDER BY id", two)
        yield cursor.fetchall()
        cursor.execute("SELECT id FROM account WHERE email NOT IN (%s, %s) ORDER BY id", two)
        yield cursor.fetchall()
        cursor.execute("SELECT id FROM account WHERE email = ANY(%s) ORDER BY id", (two,))
        yield cursor.fetchall()
        cursor.execute(
            "SELECT id FROM account WHERE email = %s OR email = %s OR id = %s ORDER BY id",
            (*two, 1),
        )
        yield cursor.fetchall()


def change(api: Interface, dsn: str) -> Iterator[Any]:
    with api.connect(dsn) as connection:
        cursor = fill(api, connection, 4)
        cursor.execute(
            "UPDATE account SET ssn = %s, visits = %s, born = DATE '1999-12-31' WHERE email = %s "
            "RETURNING id, ssn, visits, born",
            ("555-QX-new", 5, "person2@quux.example"),
        )
        yield cursor.fetchall(), cursor.rowcount
        cursor.execute("UPDATE account SET email = NULL, balance = '1.5' WHERE id = 1")
        yield cursor.rowcount
        cursor.execute(
            "UPDATE account SET note = v.place FROM visit v WHERE v.account = account.id AND email = %s",
            ("person3@quux.example",),
        )
        yield cursor.rowcount
        cursor.execute(
            "DELETE FROM account WHERE email = %s RETURNING *", ("person4@quux.example",)
        )
        yield cursor.fetchall(), cursor.rowcount
        connection.commit()
        cursor.execute(f"{READ} ORDER BY id")
        yield cursor.fetchall()


def upsert(api: Interface, dsn: str) -> Iterator[Any]:
    assignments = ", ".join(f"{c} = EXCLUDED.{c}" for c in COLUMNS)
    places = ", ".join(["%s"] * (len(COLUMNS) + 1))
    by_id = (
        f"INSERT INTO account (id, {', '.join(COLUMNS)}) VALUES ({places}) "
        f"ON CONFLICT (id) DO UPDATE SET {assignments} RETURNING *"
    )
    by_email = (
        f"{INSERT} ON CONFLICT (email) DO UPDATE SET ssn = EXCLUDED.ssn, visits = account.visits "
        "WHERE account.id > 0 RETURNING id, email, ssn, visits"
    )
    with api.connect(dsn) as connection:
        cursor = fill(api, connection, 2)
        for row in (api.row(7), api.row(8)):
            cursor.execute(by_id, (2, *row))
            yield cursor.fetchall(), cursor.rowcount
        changed = list(api.row(8))
        changed[2] = "555-QX-upsert"
        for given in (changed, api.row(9)):
            cursor.execute(by_email, given)
            yield cursor.fetchall(), cursor.rowcount
        cursor.execute(f"{INSERT} ON CONFLICT DO NOTHING", api.row(9))
        yield cursor.rowcount
        cursor.execute(f"{INSERT} ON CONFLICT (email) DO NOTHING RETURNING id", api.row(9))
        yield cursor.fetchall()
        connection.commit()
        cursor.execute(f"{READ} ORDER BY id")
        yield cursor.fetchall()


def bulk(api: Interface, dsn: str) -> Iterator[Any]:
    with api.connect(dsn) as connection:
        cursor = fill(api, connection, 60)
        yield cursor.rowcount
        cursor.executemany(
            "UPDATE account SET ssn = %s WHERE email = %s",
            [(f"555-QX-b{n}", f"person{n}@quux.example") for n in range(20)],
        )
        yield cursor.rowcount
        values = ", ".join(["(%s, %s, %s)"] * 30)
        parameters = [v for n in range(30) for v in (f"V{n}", f"v{n}@quux.example", n)]
        cursor.execute(f"INSERT INTO account (name, email, visits) VALUES {values}", parameters)
        yield cursor.rowcount
        cursor.execute(f"{READ} ORDER BY id")
        yield cursor.fetchall()


def pages(api: Interface, dsn: str) -> Iterator[Any]:
    with api.connect(dsn) as connection:
        cursor = fill(api, connection, 25)
        for page in range(4):
            cursor.execute(f"{READ} ORDER BY id LIMIT %s OFFSET %s", (10, page * 10))
            yield cursor.fetchall()
        last = 0
        while True:
            cursor.execute(f"{READ} WHERE id > %s ORDER BY id LIMIT 7", (last,))
            rows = cursor.fetchall()
            yield rows
            if not rows:
                return
            last = rows[-1][0]


def transactions(api: Interface, dsn: str) -> Iterator[Any]:
    with api.connect(dsn) as connection, api.connect(dsn) as other:
        cursor, outside = connection.cursor(), other.cursor()
        yield api.status(connection)
        cursor.execute(INSERT, api.row(1))
        yield api.status(connection)
        outside.execute("SELECT count(*) FROM account")
        yield outside.fetchall()
        connection.rollback()
        yield api.status(connection)
        cursor.execute(INSERT, api.row(2))
        connection.commit()
        yield api.status(connection)
        outside.execute("SELECT id, email, born FROM account")
        yield outside.fetchall()
        cursor.execute("SET TRANSACTION ISOLATION LEVEL SERIALIZABLE READ ONLY")
        try:
            cursor.execute("DELETE FROM account WHERE email = %s", ("person2@quux.example",))
        except api.error as error:
            yield error, api.status(connection)
        connection.rollback()
        cursor.execute("SELECT email FROM account WHERE id > 0 FOR UPDATE")
        yield cursor.fetchall()


def savepoints(api: Interface, dsn: str) -> Iterator[Any]:
    with api.connect(dsn) as connection:
        cursor = connection.cursor()
        cursor.execute(INSERT, api.row(1))
        cursor.execute("SAVEPOINT one")
        cursor.execute("UPDATE account SET email = %s", ("lost@quux.example",))
        cursor.execute("SAVEPOINT two")
        try:
            cursor.execute("INSERT INTO account (id, name) VALUES (1, 'again')")
        except api.error as error:
            yield error, api.status(connection)
        cursor.execute("ROLLBACK TO SAVEPOINT two")
        cursor.execute("SELECT email FROM account")
        yield cursor.fetchall(), api.status(connection)
        cursor.execute("ROLLBACK TO one")
        cursor.execute("RELEASE SAVEPOINT one")
        cursor.execute("SELECT email FROM account WHERE email = %s", ("person1@quux.example",))
        yield cursor.fetchall()
        connection.commit()
        cursor.execute(f"{READ} ORDER BY id")
        yield cursor.fetchall(), api.status(connection)


def errors(api: Interface, dsn: str) -> Iterator[Any]:
    with api.connect(dsn) as connection:
        cursor = fill(api, connection, 2)
        for sql, parameters in (
            ("SELECT nosuch FROM account", ()),
            ("SELECT email FROM nosuch", ()),
            ("INSERT INTO account (name, email) VALUES ('x', %s)", ("person1@quux.example",)),
            ("INSERT INTO account (name, email) VALUES (NULL, %s)", ("new@quux.example",)),
            ("INSERT INTO account (id, name) VALUES (1, %s)", ("x",)),
            ("INSERT INTO visit (account, place) VALUES (99, %s)", ("x",)),
            ("SELECT 1 / %s FROM account", (0,)),
            ("UPDATE account SET born = 'not a date' WHERE id = 1", ()),
        ):
            try:
                cursor.execute(sql, parameters)
            except api.error as error:
                yield sql, error, api.status(connection)
            try:
                cursor.execute("SELECT email FROM account WHERE id = %s", (1,))
            except api.error as error:
                yield error, api.status(connection)
            connection.rollback()
            cursor = connection.cursor()
            cursor.execute("SELECT email FROM account WHERE email = %s", ("person1@quux.example",))
            yield cursor.fetchall(), api.status(connection)
            connection.rollback()


def reconnect(api: Interface, dsn: str) -> Iterator[Any]:
    with contextlib.ExitStack() as stack:
        connection = stack.enter_context(api.connect(dsn))
        other = stack.enter_context(api.connect(dsn))
        cursor = fill(api, connection, 1)
        cursor.execute("SELECT pg_backend_pid()")
        (pid,) = cursor.fetchone()
        other.cursor().execute("SELECT pg_terminate_backend(%s, 5000)", (pid,))
        other.commit()
        try:
            cursor.execute("SELECT email FROM account")
        except (api.error, OSError) as error:
            yield type(error).__name__
        again = stack.enter_context(api.connect(dsn))
        cursor = again.cursor()
        cursor.execute("SELECT email FROM account WHERE email = %s", ("person1@quux.example",))
        yield cursor.fetchall()


SCRIPTS: Final[dict[str, Callable[[Interface, str], Iterator[Any]]]] = {
    "insert with RETURNING": insert,
    "read every type": read,
    "NULL, empty, 1 MB and unicode values": edges,
    "values the server does not take": wrong_values,
    "find by sealed e-mail: parameter": by_parameter,
    "find by sealed e-mail: literal": by_literal,
    "find by sealed e-mail: IN, ANY": by_several,
    "update and delete by sealed e-mail": change,
    "upsert with EXCLUDED": upsert,
    "bulk insert": bulk,
    "page by LIMIT/OFFSET and by key": pages,
    "transactions": transactions,
    "savepoints": savepoints,
    "errors inside transactions": errors,
    "reconnect after the server ended the session": reconnect,
}


def register(
    client: Client, api: Interface, mode: str = "", *, without: tuple[str, ...] = ()
) -> None:
    """Adds every script of this file to a client's, less the abilities it has none of."""
    for ability, script in SCRIPTS.items():
        if ability not in without:
            client.cases.append(Case(client.name, ability, _bound(script, api), mode))


def _bound(script: Callable[[Interface, str], Iterator[Any]], api: Interface) -> Any:
    def run(dsn: str) -> Iterator[Any]:
        return script(api, dsn)

    run.__name__ = script.__name__
    return run


def cancelled(run: Callable[[], Any], cancel: Callable[[], Any], error: type[Exception]) -> Any:
    """The exception that a sleeping statement ends with when another thread cancels it, and whether it was early."""
    done = threading.Event()

    def repeat() -> None:
        # A cancel that arrives before the statement has started is lost, as on any server: try again.
        while not done.wait(0.1):
            cancel()

    thread = threading.Thread(target=repeat)
    thread.start()
    start = time.monotonic()
    try:
        run()
    except error as caught:
        return caught, time.monotonic() - start < 20
    finally:
        done.set()
        thread.join()
    return "not cancelled"
