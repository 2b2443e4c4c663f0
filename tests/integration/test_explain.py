"""EXPLAIN in all its forms on sealed columns, through the real proxy.

What would be silently wrong: a statement that ANALYZE executes and nobody records, a write or comparison that the
policy forbids, a plaintext constant in the plan, or a stored value that somebody may not see.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from proxy.wire.messages import SYNC_MESSAGE, Bind, Parse, write_bind, write_execute, write_parse
from tests.integration.shop import Shop
from tests.integration.wire_client import WireClient

EMAIL = "ada@example.com"
SECRETS = (EMAIL, "bob@example.com", "123-45-6789", "987-65-4321", "1985-12-10")


@pytest.fixture
def app(shop: Shop) -> Iterator[psycopg.Connection[Any]]:
    with shop.connect() as connection:
        yield connection


def told(shop: Shop, before: int) -> list[tuple[str, set[tuple[str, str, int]], int]]:
    """(command, {(column, outcome, cells)}, rows) of each new event."""
    return [
        (
            e["unmapped"]["sealgate"]["command"],
            {
                (c["name"].rpartition(".")[2], c["outcome"], c["cells"])
                for c in e["unmapped"]["sealgate"]["columns"]
            },
            e["unmapped"]["sealgate"]["rows"],
        )
        for e in shop.events()[before:]
        if "rows" in e.get("unmapped", {}).get("sealgate", {})
    ]


def plan(rows: list[tuple[Any, ...]]) -> str:
    return "\n".join(str(row[0]) for row in rows)


STATEMENTS = {
    "select": f"SELECT email, ssn FROM customers WHERE email = '{EMAIL}'",
    "in": f"SELECT id FROM customers WHERE email IN ('{EMAIL}', 'bob@example.com')",
    "any": f"SELECT id FROM customers WHERE email = ANY('{{{EMAIL}}}')",
    "values": "VALUES (1), (2)",
    "insert": f"INSERT INTO customers (name, email) VALUES ('X', '{EMAIL}x')",
    "update": f"UPDATE customers SET ssn = '123-45-6789' WHERE email = '{EMAIL}'",
    "delete": f"DELETE FROM customers WHERE email = '{EMAIL}y'",
    "execute": f"EXECUTE p('{EMAIL}')",
    "declare": f"DECLARE c CURSOR FOR SELECT email FROM customers WHERE email = '{EMAIL}'",
    "with": f"WITH found AS (SELECT email FROM customers WHERE email = '{EMAIL}') SELECT * FROM found",
    "union": f"SELECT email FROM customers WHERE email = '{EMAIL}' UNION ALL SELECT email FROM customers",
}
OPTIONS = [
    "",
    "VERBOSE",
    "(VERBOSE, FORMAT JSON)",
    "(FORMAT XML, SETTINGS)",
    "(FORMAT YAML, VERBOSE, COSTS OFF)",
    "(GENERIC_PLAN)",
    "(MEMORY, SUMMARY)",
    "ANALYZE",
    "ANALYZE VERBOSE",
    "(ANALYZE, BUFFERS, WAL, TIMING OFF, FORMAT JSON)",
    "(ANALYZE, SERIALIZE BINARY, VERBOSE)",
    "(ANALYSE TRUE, FORMAT TEXT)",
]


FORMS = [
    (kind, options)
    for kind in STATEMENTS
    for options in (OPTIONS if kind in ("select", "update", "execute") else OPTIONS[2::4])
]


@pytest.mark.parametrize(("kind", "options"), FORMS)
def test_the_plan_holds_no_plaintext(
    shop: Shop, app: psycopg.Connection[Any], kind: str, options: str
) -> None:
    """Every form of EXPLAIN of every kind of statement works, and shows sealed constants only."""
    app.execute("BEGIN")
    app.execute("PREPARE p AS SELECT email, ssn FROM customers WHERE email = $1")
    try:
        rows = app.execute(f"EXPLAIN {options} {STATEMENTS[kind]}").fetchall()
    finally:
        app.execute("ROLLBACK")
        app.execute("DEALLOCATE p")
    text = plan(rows)
    assert text
    assert not [secret for secret in SECRETS if secret in text]
    with pytest.raises(psycopg.errors.InvalidCursorName):
        app.execute("FETCH c")


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        (f"EXPLAIN {STATEMENTS['select']}", [{("email", "compared", 0)}]),
        (
            f"EXPLAIN ANALYZE {STATEMENTS['select']}",
            [{("email", "compared", 0), ("email", "clear", 0), ("ssn", "clear", 0)}],
        ),
        ("EXPLAIN SELECT email FROM customers", []),
        ("EXPLAIN (ANALYZE false) SELECT email FROM customers", []),
        ("EXPLAIN (ANALYZE 'off') SELECT email FROM customers", []),
        ("EXPLAIN (ANALYZE 1) SELECT email FROM customers", [{("email", "clear", 0)}]),
        (f"EXPLAIN {STATEMENTS['insert']}", []),
        (f"EXPLAIN ANALYZE {STATEMENTS['insert']}", [{("email", "written", 1)}]),
        (f"EXPLAIN {STATEMENTS['update']}", [{("email", "compared", 0)}]),
        (
            f"EXPLAIN (ANALYZE) {STATEMENTS['update']}",
            [{("ssn", "written", 1), ("email", "compared", 0)}],
        ),
        (f"EXPLAIN EXECUTE p('{EMAIL}')", [{("email", "compared", 0)}]),
        (
            f"EXPLAIN ANALYZE EXECUTE p('{EMAIL}')",
            [{("email", "compared", 0), ("email", "clear", 0), ("ssn", "clear", 0)}],
        ),
        (
            f"EXPLAIN ANALYZE {STATEMENTS['declare']}",
            [{("email", "compared", 0), ("email", "clear", 0)}],
        ),
    ],
)
def test_what_analyze_executes_is_on_record(
    shop: Shop,
    app: psycopg.Connection[Any],
    sql: str,
    expected: list[set[tuple[str, str, int]]],
) -> None:
    """With ANALYZE as the statement itself, its own rows aside; without, the comparison that the estimates answer."""
    app.execute("BEGIN")
    app.execute("PREPARE p AS SELECT email, ssn FROM customers WHERE email = $1")
    before = shop.clear_events()
    app.execute(sql)
    assert told(shop, before) == [("EXPLAIN", columns, 0) for columns in expected]
    app.execute("ROLLBACK")


def test_the_policy_holds_for_explain(shop: Shop) -> None:
    """What a role may not compare or write it may not have explained either: estimates and row counts answer."""
    with shop.connect("support_login") as support:
        for sql in (
            "EXPLAIN SELECT id FROM customers WHERE birth_date = '2000-01-01'",
            "EXPLAIN UPDATE customers SET email = 'x'",
            "EXPLAIN ANALYZE INSERT INTO customers (name, ssn) VALUES ('X', 'x')",
            "EXPLAIN ANALYZE DECLARE c CURSOR FOR SELECT id FROM customers WHERE birth_date = '2000-01-01'",
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                support.execute(sql)
        before = shop.clear_events()
        support.execute("EXPLAIN ANALYZE SELECT ssn FROM customers")
        assert told(shop, before) == [("EXPLAIN", {("ssn", "masked", 0)}, 0)]


def test_no_form_of_explain_shows_a_stored_value(shop: Shop) -> None:
    """Statistics, constants that a function folds in, views, defaults: what the plan holds of a row is sealed."""
    with shop.direct() as owner:
        owner.execute("ANALYZE customers")
        owner.execute(
            "CREATE OR REPLACE FUNCTION folded() RETURNS bytea LANGUAGE sql IMMUTABLE AS"
            " 'SELECT email::bytea FROM customers WHERE id = 1'"
        )
        owner.execute(
            "CREATE OR REPLACE VIEW shown AS SELECT email, ssn FROM customers WHERE id < 3"
        )
        stored = owner.execute(
            "SELECT email::bytea, ssn::bytea FROM customers WHERE id = 1"
        ).fetchone()
    assert stored is not None
    statements = (
        "SELECT folded()",
        "SELECT id FROM plain WHERE blob = folded()",
        "SELECT * FROM shown",
        "SELECT email, ssn FROM customers WHERE email IS NOT NULL",
        "SELECT c.email FROM customers c JOIN customers d ON c.email = d.email",
    )
    for login in ("support_login", "analyst"):
        with shop.connect(login) as connection:
            for statement, options in itertools.product(statements, OPTIONS):
                try:
                    text = plan(connection.execute(f"EXPLAIN {options} {statement}").fetchall())
                except psycopg.errors.InsufficientPrivilege:
                    continue
                assert not [secret for secret in SECRETS if secret in text], statement
            # A sealed value that was read off a plan is shown under the grants of its own column.
            text = plan(connection.execute("EXPLAIN VERBOSE SELECT folded()").fetchall())
            found = re.search(r"\\x5ea1[0-9a-f]+", text)
            assert found is not None
            row = connection.execute(f"SELECT '{found.group()}'::bytea").fetchone()
            assert row == ((EMAIL.encode() if login == "support_login" else None),)


def test_explain_by_the_extended_protocol(shop: Shop) -> None:
    """Parameters of the explained statement are sealed at Bind."""
    before = shop.clear_events()
    with WireClient(shop.port) as wire:
        wire.start("shop_app", shop.database.name)
        sql = b"EXPLAIN (ANALYZE, VERBOSE) SELECT id FROM customers WHERE email = $1"
        wire.send(
            write_parse(Parse(b"", sql, ())),
            write_bind(Bind(b"", b"", (), (EMAIL.encode(),), ())),
            write_execute(b""),
            SYNC_MESSAGE,
        )
        answer = wire.until("Z")
    text = b"".join(body for kind, body in answer if kind == "D")
    assert b"rows=1" in text
    assert EMAIL.encode() not in text
    assert told(shop, before) == [("EXPLAIN", {("email", "compared", 0)}, 0)]


def test_generic_plan_in_a_simple_query(app: psycopg.Connection[Any], shop: Shop) -> None:
    """Parameters without values: the server infers the type of the sealed value."""
    with WireClient(shop.port) as wire:
        wire.start("shop_app", shop.database.name)
        for sql in (
            "SELECT id FROM customers WHERE email = $1 AND id = $2",
            "SELECT id FROM customers WHERE email = ANY($1)",
            "INSERT INTO customers (name, email) VALUES ($2, $1)",
        ):
            kinds = "".join(kind for kind, _ in wire.query(f"EXPLAIN (GENERIC_PLAN) {sql}"))
            assert "E" not in kinds, sql
