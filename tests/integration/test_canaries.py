"""No plaintext, literal or key in any log: canaries through every path, then a search of every output.

A canary is a random value that occurs nowhere else. It goes in as literal and parameter, in text and binary, through
statements that work, that are refused, that fail in the server and that are not even SQL. Afterwards the access log,
the operations log, PostgreSQL's own log (every statement, with parameters) and the data directory are searched for it
in every spelling we could think of.
"""

from __future__ import annotations

import base64
import contextlib
import secrets
import urllib.parse
from pathlib import Path

import asyncpg
import psycopg
import pytest
from psycopg import ClientCursor

from tests.integration.shop import Shop
from tests.integration.wire_client import WireClient

STATEMENTS = [
    # What works.
    "INSERT INTO customers (name, email, ssn) VALUES ('C', '{c}', '{c}2')",
    "SELECT id FROM customers WHERE email = '{c}'",
    "SELECT id FROM customers WHERE email IN ('{c}', E'{c}\\n', $${c}$$)",
    "SELECT id FROM customers WHERE email = ANY('{{{c}}}'::text[])",
    "UPDATE customers SET ssn = '{c}' WHERE email = '{c}'",
    "INSERT INTO customers (name, email) VALUES ('C', '{c}') ON CONFLICT (email) DO UPDATE SET ssn = '{c}'",
    # What the server refuses.
    "INSERT INTO customers (name, email) VALUES ('C', '{c}')",
    "INSERT INTO customers (id, name, email) VALUES (1, 'C', '{c}')",
    "INSERT INTO customers (name, email) VALUES (NULL, '{c}x')",
    "SELECT id FROM customers WHERE email = '{c}' AND nosuch = 1",
    # What Sealgate refuses.
    "SELECT id FROM customers WHERE email LIKE '{c}%'",
    "SELECT id FROM customers WHERE ssn = '{c}'",
    "SELECT id FROM customers WHERE email > '{c}'",
    "UPDATE customers SET email = lower('{c}')",
    "UPDATE customers SET email = '{c}' || ssn",
    "UPDATE customers SET birth_date = '{c}' WHERE id = 1",
    "UPDATE customers SET balance = '{c}' WHERE id = 1",
    "SELECT id FROM customers WHERE birth_date = '{c}'",
    "DO $$ BEGIN UPDATE customers SET email = '{c}'; END $$",
    "PREPARE x AS SELECT id FROM customers WHERE email = '{c}'",
    "PREPARE y AS UPDATE customers SET ssn = $1 WHERE email = $2; EXECUTE y('{c}', E'{c}'); EXECUTE y(lower('{c}'), '{c}')",
    "PREPARE y AS UPDATE customers SET ssn = $1 WHERE email = $2; EXPLAIN ANALYZE EXECUTE y('{c}'::varchar, '{c}')",
    "EXECUTE nosuch('{c}')",
    "EXECUTE nosuch('{c}', (U&'{c}' UESCAPE '!'))",
    "DECLARE k CURSOR WITH HOLD FOR SELECT email FROM customers WHERE email = '{c}'; FETCH k",
    "EXPLAIN (ANALYZE, VERBOSE) SELECT email FROM customers WHERE email = '{c}'",
    "COPY (SELECT id FROM customers WHERE email = '{c}') TO STDOUT",
    "CREATE TABLE leak AS SELECT email FROM customers WHERE ssn = '{c}'",
    # What nobody understands.
    "SELECT id FROM customers WHERE email = '{c}' AND (",
    "INSERT INTO customers (email) VALUES ('{c}'",
    "SELECT 'unterminated {c} FROM customers",
    'SELECT "{c}" FROM customers',
    "SELECT id FROM customers WHERE email = U&'{c}\\zzzz'",
    "SELECT id FROM customers WHERE email = $1||'a$ --' AND email = '{c}'",
]


def spellings(canary: str) -> list[bytes]:
    raw = canary.encode()
    return [
        raw,
        raw.hex().encode(),
        base64.b64encode(raw).rstrip(b"="),
        urllib.parse.quote(canary).encode(),
        raw[::-1],
        canary.upper().encode(),
    ]


async def through_every_path(shop: Shop, canary: str) -> None:
    for login in ("shop_app", "support_login", "analyst"):
        for statement in STATEMENTS:
            sql = statement.replace("{{", "{").replace("}}", "}").replace("{c}", canary)
            with WireClient(shop.port) as wire:
                wire.start(login, shop.database.name)
                wire.query(sql)
            for factory in (ClientCursor, psycopg.Cursor):
                with (
                    contextlib.suppress(psycopg.Error),
                    shop.connect(login, cursor_factory=factory) as connection,
                ):
                    connection.execute(sql.replace("%", "%%"), prepare=True)
        with shop.connect(login) as connection:
            for sql in (
                "INSERT INTO customers (name, email) VALUES ('P', %s)",
                "SELECT id FROM customers WHERE email = %s",
                "SELECT id FROM customers WHERE birth_date = %s",
                "UPDATE customers SET balance = %s",
                "SELECT lower(email) FROM customers WHERE email = %s",
            ):
                for binary in ("%s", "%b", "%t"):
                    with contextlib.suppress(psycopg.Error):
                        connection.execute(sql.replace("%s", binary), (canary,))
        driver = await asyncpg.connect(shop.dsn(login))
        for sql in (
            "INSERT INTO customers (name, email) VALUES ('A', $1)",
            "SELECT id FROM customers WHERE email = ANY($1::text[])",
            "UPDATE customers SET ssn = $1",
        ):
            with contextlib.suppress(asyncpg.PostgresError, asyncpg.InterfaceError):
                await driver.fetch(sql, [canary] if "ANY" in sql else canary)
        await driver.close()


@pytest.fixture(scope="module")
async def canary(shop: Shop) -> str:
    """Sent through everything once; the tests then look."""
    canary = "canary-" + secrets.token_hex(12)
    await through_every_path(shop, canary)
    with shop.direct() as direct:
        direct.execute("CHECKPOINT")
    return canary


def search(path: Path, canary: str) -> list[bytes]:
    content = path.read_bytes()
    return [
        content[max(0, at - 120) : at + 60]
        for s in spellings(canary)
        if (at := content.find(s)) >= 0
    ]


def test_it_was_there(shop: Shop, canary: str) -> None:
    """The search would find it: the application reads it back through the proxy."""
    with shop.connect() as app:
        assert app.execute(
            "SELECT count(*) FROM customers WHERE email = %s", (canary,)
        ).fetchone() == (1,)
    assert len(shop.events()) > 100


def test_not_in_the_access_log(shop: Shop, canary: str) -> None:
    """Statements are there with their literals as $n; nor is it in what is kept beside the log: state, baselines, side file."""
    assert search(shop.audit_path, canary) == []
    state = shop.directory / "audit.jsonl.state"
    kept = [path for path in state.rglob("*") if path.is_file()]
    assert {path.name for path in kept} >= {"head", "signing.pub"}
    for path in (*kept, *shop.directory.glob("audit.jsonl.cells")):
        assert search(path, canary) == []


def test_not_in_the_operations_log(shop: Shop, canary: str) -> None:
    """Errors and tracebacks included."""
    assert search(shop.output_path, canary) == []


def test_not_in_the_servers_log(shop: Shop, canary: str) -> None:
    """log_statement = all, parameters included: the server only ever saw sealed values."""
    log = shop.database.postgres.log_path
    assert b"sealgate.eq" in log.read_bytes()
    assert search(log, canary) == []


def test_not_in_the_data_directory(shop: Shop, canary: str) -> None:
    """Tables, indexes, WAL: what a stolen disk or a backup would hold."""
    for path in shop.database.postgres.data.rglob("*"):
        if path.is_file():
            assert search(path, canary) == [], path
