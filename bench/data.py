"""The tables: schema `plain` as an application has them, schema `sealed` with the same rows sealed. [io]

Plain rows are made in the server; sealed ones are these rows, copied out and in again through Sealgate, so both hold
the same data in the same order. Indexes are made after loading, on both.
"""

from __future__ import annotations

from collections.abc import Mapping

import psycopg

from bench.settings import Scale
from proxy.embedded import EmbeddedPostgres

TABLES = """
CREATE SCHEMA {schema};
CREATE TABLE {schema}.people (id int PRIMARY KEY, email text, phone text, born date, city text, visits int);
CREATE TABLE {schema}.accounts (id int PRIMARY KEY, email text, balance int) WITH (fillfactor = 50);
CREATE TABLE {schema}.sink (id bigserial PRIMARY KEY, email text, note text);
CREATE TABLE {schema}.orders (id bigserial PRIMARY KEY, person int, email text, amount int);
CREATE TABLE {schema}.intake (id int, email text, phone text, born date, city text, visits int);
CREATE TABLE {schema}.big (id int PRIMARY KEY, value text);
"""

PEOPLE = """
SELECT i, 'user' || i || '@example.com', '+49 30 ' || 1000000 + i, date '1950-01-01' + i % 20000,
       'City ' || i % 1000, i % 97
FROM generate_series(1, {rows}) i
"""

# label -> logical type, search
SEALED: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "sealed.people.email": ("text", ("equality",)),
    "sealed.people.phone": ("text", ()),
    "sealed.people.born": ("date", ()),
    "sealed.accounts.email": ("text", ()),
    "sealed.sink.email": ("text", ()),
    "sealed.orders.email": ("text", ()),
    "sealed.intake.email": ("text", ("equality",)),
    "sealed.intake.phone": ("text", ()),
    "sealed.intake.born": ("date", ()),
    "sealed.big.value": ("text", ()),
}
EMPTIED = ("sink", "orders", "intake")  # between rounds, so that they do not grow


def create(postgres: EmbeddedPostgres, database: str, login: str) -> None:
    """The tables of both schemas, empty and in plaintext: `sealgate apply` comes next."""
    for schema in ("plain", "sealed"):
        postgres.psql(TABLES.format(schema=schema), database, login)


def fill_plain(postgres: EmbeddedPostgres, database: str, login: str, scale: Scale) -> None:
    people = PEOPLE.format(rows=scale.people)
    postgres.psql(
        f"INSERT INTO plain.people {people};"
        f"INSERT INTO plain.accounts SELECT id, email, 1000 FROM ({people}) AS p"
        f"(id, email, phone, born, city, visits) WHERE id <= {scale.accounts};"
        "CREATE INDEX people_email ON plain.people (email);",
        database,
        login,
    )


def fill_sealed(direct: str, through: str) -> None:
    """Copies the plain rows through Sealgate. direct, through: connection strings."""
    with psycopg.connect(direct) as source, psycopg.connect(through, autocommit=True) as target:
        for table in ("people", "accounts"):
            read = f"COPY plain.{table} TO STDOUT"
            write = f"COPY sealed.{table} FROM STDIN"
            with (
                source.cursor().copy(read.encode()) as out,
                target.cursor().copy(write.encode()) as into,
            ):
                _pour(out, into)


def _pour(out: psycopg.Copy, into: psycopg.Copy, block: int = 1 << 16) -> None:
    held: list[bytes | bytearray | memoryview] = []
    size = 0
    for row in out:
        held.append(row)
        size += len(row)
        if size >= block:
            into.write(b"".join(held))
            held, size = [], 0
    into.write(b"".join(held))


def index_sealed(postgres: EmbeddedPostgres, database: str, login: str) -> None:
    sql = "CREATE INDEX sealed_people_email ON sealed.people (sealgate.eq(email));"
    postgres.psql(sql, database, login)
    postgres.psql("VACUUM (ANALYZE);", database)


def empty(postgres: EmbeddedPostgres, database: str, login: str, schema: str) -> None:
    postgres.psql("TRUNCATE " + ", ".join(f"{schema}.{t}" for t in EMPTIED), database, login)
