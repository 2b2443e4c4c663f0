"""The same work by an application that encrypts, and by one that speaks through Sealgate and does not. [io]

All use SQLAlchemy with psycopg 3, one client in this process, the same statements. `client_cpu_s` is the CPU that
the application's process used: encryption moves work there.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from datetime import date

import sqlalchemy as sa
from sqlalchemy import insert, select, update

from bench.application import ENCRYPTING, SIDES, Tables, encrypted_row, search_hash, unseal
from bench.measure import Figures, Measured, interleave
from bench.pgbench import percentiles
from bench.processes import cpu_seconds
from bench.settings import Scale
from bench.stage import Stage
from bench.workloads.load import reachable

ROWS = 1000
WARM = 20
SEED = 4
Operation = Callable[[sa.Connection, Tables, random.Random, int], object]


def email_of(number: int) -> str:
    return f"user{number}@example.com"


def point(c: sa.Connection, t: Tables, rng: random.Random, rows: int) -> object:
    number = rng.randint(1, rows)
    found = c.execute(select(t.people.c.email).where(t.people.c.id == number)).scalar_one()
    if found != email_of(number):
        raise ValueError("the e-mail that came back is another one")
    return found


def rows_1(c: sa.Connection, t: Tables, rng: random.Random, rows: int) -> object:
    p = t.people.c
    return c.execute(select(p.id, p.email, p.city, p.visits).where(p.id <= ROWS)).fetchall()


def rows_3(c: sa.Connection, t: Tables, rng: random.Random, rows: int) -> object:
    p = t.people.c
    return c.execute(select(p.id, p.email, p.phone, p.born).where(p.id <= ROWS)).fetchall()


def lookup(c: sa.Connection, t: Tables, rng: random.Random, rows: int) -> object:
    email = email_of(rng.randint(1, rows))
    p = t.people.c
    condition = p.email_hash == search_hash(email) if t.encrypted else p.email == email
    return c.execute(select(p.city).where(condition)).scalar_one()


def insert_one(c: sa.Connection, t: Tables, rng: random.Random, rows: int) -> object:
    return c.execute(insert(t.sink), {"email": email_of(rng.randint(1, rows)), "note": "a note"})


def insert_hundred(c: sa.Connection, t: Tables, rng: random.Random, rows: int) -> object:
    new = [{"email": email_of(rng.randint(1, rows)), "note": "a note"} for _ in range(100)]
    return c.execute(insert(t.sink).values(new))


def update_one(c: sa.Connection, t: Tables, rng: random.Random, rows: int) -> object:
    number = rng.randint(1, rows)
    return c.execute(
        update(t.accounts).where(t.accounts.c.id == number).values(email=email_of(number))
    )


def shop(c: sa.Connection, t: Tables, rng: random.Random, rows: int) -> object:
    number = rng.randint(1, rows)
    c.execute(sa.text("BEGIN"))
    lookup(c, t, rng, rows)
    c.execute(insert(t.orders), {"person": number, "email": email_of(number), "amount": 3})
    a, p = t.accounts.c, t.people.c
    c.execute(update(t.accounts).where(a.id == number).values(balance=a.balance - 3))
    found = c.execute(select(p.email, p.phone, p.born).where(p.id == number)).one()
    c.execute(sa.text("COMMIT"))
    return found


def copy_in(c: sa.Connection, t: Tables, rng: random.Random, rows: int) -> object:
    people = [
        (n, email_of(n), f"+49 30 {1000000 + n}", date(1950, 1, 1), "City 7", n % 97)
        for n in range(rows)
    ]
    cursor = c.connection.cursor()
    hidden = ("bytea", "bytea", "bytea") if t.encrypted else ("text", "text", "date")
    with cursor.copy(f"COPY {t.schema}.intake FROM STDIN (FORMAT binary)") as copy:
        copy.set_types(["int4", *hidden, "text", "int4", *(["bytea"] if t.encrypted else [])])
        for row in people:
            copy.write_row(encrypted_row(*row) if t.encrypted else row)
    return cursor.rowcount


def copy_out(c: sa.Connection, t: Tables, rng: random.Random, rows: int) -> object:
    hidden = ("bytea", "bytea", "bytea") if t.encrypted else ("text", "text", "date")
    columns = "id, email, phone, born, city, visits"
    sql = f"COPY (SELECT {columns} FROM {t.schema}.people WHERE id <= {rows}) TO STDOUT (FORMAT binary)"
    people = []
    with c.connection.cursor().copy(sql) as copy:
        copy.set_types(["int4", *hidden, "text", "int4"])
        for key, email, phone, born, city, visits in copy.rows():
            if t.encrypted:
                people.append(
                    (
                        key,
                        unseal(email, b"people.email"),
                        unseal(phone, b"people.phone"),
                        date.fromisoformat(unseal(born, b"people.born")),
                        city,
                        visits,
                    )
                )
            else:
                people.append((key, email, phone, born, city, visits))
    if len(people) != rows:
        raise ValueError(f"{len(people)} rows came")
    return people


OPERATIONS: tuple[tuple[str, str, Operation, int], ...] = (
    ("point_select", "point SELECT of one encrypted column", point, 1),
    ("rows_1k_1", "1,000-row SELECT, one column of four encrypted", rows_1, ROWS),
    ("rows_1k_3", "1,000-row SELECT, three columns of four encrypted", rows_3, 3 * ROWS),
    ("lookup", "look-up by e-mail", lookup, 0),
    ("insert", "INSERT of one row", insert_one, 1),
    ("insert_100", "INSERT of 100 rows", insert_hundred, 100),
    ("update", "UPDATE of one encrypted column", update_one, 1),
    ("shop", "a shop's transaction", shop, 4),
    ("copy_in", "COPY in, three of six columns encrypted", copy_in, 0),
    ("copy_out", "COPY out, three of six columns encrypted", copy_out, 0),
)


class Work:
    """One operation, again and again, on all sides."""

    def __init__(self, name: str, title: str, operation: Operation, cells: int) -> None:
        self.name = f"application_{name}"
        self.title = f"{title}, SQLAlchemy"
        self.cells = cells
        self._operation = operation

    def runs(self) -> list[tuple[str, Callable[[Stage], Measured]]]:
        return [(self.name, self._run)]

    def _run(self, stage: Stage) -> Measured:
        measured = Measured(self.name, self.title, "operations/s", 1, self.cells)
        available = reachable(stage, SIDES, measured)
        interleave(measured, available, stage.scale.rounds, lambda name: self._once(stage, name))
        return measured

    def _once(self, stage: Stage, name: str) -> Figures:
        side = stage.side(name)
        stage.empty(side)
        tables = Tables(side.schema, encrypted=name in ENCRYPTING)
        engine = sa.create_engine(
            stage.dsn(name).replace("postgresql://", "postgresql+psycopg://"),
            isolation_level="AUTOCOMMIT",
        )
        rng = random.Random(SEED)  # noqa: S311 - the same work on both sides
        rows = stage.scale.encrypted
        try:
            with engine.connect() as connection:
                for _ in range(1 if "copy" in self.name else WARM):
                    self._operation(connection, tables, rng, rows)
                pids = side.server.pids if side.server is not None else []
                before = cpu_seconds(pids)
                figures = self._repeat(connection, tables, rng, stage.scale)
                if pids:
                    figures["cpu_s"] = cpu_seconds(pids) - before
                return figures
        finally:
            engine.dispose()

    def _repeat(
        self, connection: sa.Connection, tables: Tables, rng: random.Random, scale: Scale
    ) -> dict[str, float]:
        times: list[float] = []
        client = time.process_time()
        began = now = time.perf_counter()
        while not times or now - began < scale.seconds:
            self._operation(connection, tables, rng, scale.encrypted)
            last, now = now, time.perf_counter()
            times.append((now - last) * 1000)
        return {
            "rate": len(times) / (now - began),
            "count": float(len(times)),
            "client_cpu_s": time.process_time() - client,
            **percentiles(times),
        }


WORKS = tuple(Work(*operation) for operation in OPERATIONS)
