"""Encryption in the application: SQLAlchemy types that seal with `cryptography`, and an index column for look-ups. [io]

What a team would write itself: AES-256-GCM with a random nonce of 96 bits, the column's name as associated data, and
an HMAC-SHA-256 of the e-mail in a column of its own. It has no grants, no masks and no access log.
"""

from __future__ import annotations

import hmac
import os
from datetime import date

import psycopg
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from sqlalchemy import Column, Date, Dialect, Integer, LargeBinary, MetaData, Table, Text
from sqlalchemy.types import TypeDecorator

from bench.servers import APPLICATION, DATABASE
from bench.settings import Scale
from proxy.embedded import EmbeddedPostgres

SIDES = ("application", "application_pgbouncer", "sealed_application")
ENCRYPTING = ("application", "application_pgbouncer")
NONCE = 12
_KEY = bytes(range(32))
_AEAD = AESGCM(_KEY)


def seal(text: str, label: bytes) -> bytes:
    nonce = os.urandom(NONCE)
    return nonce + _AEAD.encrypt(nonce, text.encode(), label)


def unseal(stored: bytes, label: bytes) -> str:
    return _AEAD.decrypt(stored[:NONCE], stored[NONCE:], label).decode()


def search_hash(text: str) -> bytes:
    return hmac.digest(_KEY, text.encode(), "sha256")


class EncryptedText(TypeDecorator[str]):
    """A text that the database holds encrypted."""

    impl = LargeBinary
    cache_ok = True

    def __init__(self, label: str) -> None:
        super().__init__()
        self.label = label
        self._associated = label.encode()

    def process_bind_param(self, value: str | None, dialect: Dialect) -> bytes | None:
        return None if value is None else seal(value, self._associated)

    def process_result_value(self, value: bytes | None, dialect: Dialect) -> str | None:
        return None if value is None else unseal(value, self._associated)


class EncryptedDate(TypeDecorator[date]):
    """A date that the database holds encrypted."""

    impl = LargeBinary
    cache_ok = True

    def __init__(self, label: str) -> None:
        super().__init__()
        self.label = label
        self._associated = label.encode()

    def process_bind_param(self, value: date | None, dialect: Dialect) -> bytes | None:
        return None if value is None else seal(value.isoformat(), self._associated)

    def process_result_value(self, value: bytes | None, dialect: Dialect) -> date | None:
        return None if value is None else date.fromisoformat(unseal(value, self._associated))


class Tables:
    """The tables as SQLAlchemy sees them. encrypted: by the application; else they look like plain ones."""

    def __init__(self, schema: str, *, encrypted: bool) -> None:
        self.encrypted = encrypted
        self.schema = schema
        held = MetaData(schema=schema)

        def text(name: str, label: str) -> Column[str]:
            return Column(name, EncryptedText(label) if encrypted else Text())

        self.people = Table(
            "people",
            held,
            Column("id", Integer, primary_key=True),
            text("email", "people.email"),
            text("phone", "people.phone"),
            Column("born", EncryptedDate("people.born") if encrypted else Date()),
            Column("city", Text),
            Column("visits", Integer),
            *([Column("email_hash", LargeBinary)] if encrypted else []),
        )
        self.sink = Table(
            "sink",
            held,
            Column("id", Integer, primary_key=True),
            text("email", "sink.email"),
            Column("note", Text),
        )
        self.orders = Table(
            "orders",
            held,
            Column("id", Integer, primary_key=True),
            Column("person", Integer),
            text("email", "orders.email"),
            Column("amount", Integer),
        )
        self.accounts = Table(
            "accounts",
            held,
            Column("id", Integer, primary_key=True),
            text("email", "accounts.email"),
            Column("balance", Integer),
        )


CREATE = """
CREATE SCHEMA application;
CREATE TABLE application.people (id int PRIMARY KEY, email bytea, phone bytea, born bytea, city text, visits int,
                                 email_hash bytea);
CREATE TABLE application.accounts (id int PRIMARY KEY, email bytea, balance int) WITH (fillfactor = 50);
CREATE TABLE application.sink (id bigserial PRIMARY KEY, email bytea, note text);
CREATE TABLE application.orders (id bigserial PRIMARY KEY, person int, email bytea, amount int);
CREATE TABLE application.intake (LIKE application.people);
"""


def create(postgres: EmbeddedPostgres, scale: Scale) -> None:
    """The tables, filled with the first rows of the plain ones."""
    postgres.psql(CREATE, DATABASE, APPLICATION)
    with psycopg.connect(postgres.dsn(DATABASE, APPLICATION)) as connection:
        rows = connection.execute(
            "SELECT * FROM plain.people WHERE id <= %s", (scale.encrypted,)
        ).fetchall()
        with connection.cursor().copy("COPY application.people FROM STDIN (FORMAT binary)") as copy:
            copy.set_types(["int4", "bytea", "bytea", "bytea", "text", "int4", "bytea"])
            for row in rows:
                copy.write_row(encrypted_row(*row))
    postgres.psql(
        "INSERT INTO application.accounts SELECT id, email, 1000 FROM application.people;"
        "CREATE INDEX ON application.people (email_hash);",
        DATABASE,
        APPLICATION,
    )
    postgres.psql("VACUUM ANALYZE application.people, application.accounts;", DATABASE)


def encrypted_row(
    key: int, email: str, phone: str, born: date, city: str, visits: int
) -> tuple[int, bytes, bytes, bytes, str, int, bytes]:
    return (
        key,
        seal(email, b"people.email"),
        seal(phone, b"people.phone"),
        seal(born.isoformat(), b"people.born"),
        city,
        visits,
        search_hash(email),
    )
