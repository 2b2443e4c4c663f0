"""Positions in the rendered text and in the client's; refusals and shapes of odd messages."""

from __future__ import annotations

import pytest

from proxy.sql.plan import Action, LiteralSite, Text
from proxy.sql.planner import Planner
from proxy.sql.rewrite import original_position, render
from tests.sql import shop

PLANNER = Planner(shop.CATALOG)


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT id FROM customers WHERE email = 'x'::text AND name = 'é' AND email IN ('a', 'bb')",
        "UPDATE customers SET email = CAST('x' AS varchar), active = TRUE, age = - 5 WHERE name = 'z'",
        "SELECT id FROM customers WHERE email = ANY('{a,b}'::text[]) AND name = 'y'",
        "INSERT INTO customers (id, email) VALUES (1, $1::text), (2, 'b') RETURNING name",
    ],
)
def test_every_unchanged_word_is_found_again(sql: str) -> None:
    """The position of a word in what is sent maps to the same word in what the client wrote."""
    plan, stripped = PLANNER.plan(sql, shop.PATH)
    (statement,) = plan.statements
    sent = render(statement, stripped.literals, shop.seal)
    for word in ("customers", "name", "WHERE", "RETURNING", "'é'", "'y'", "'z'", "email IN"):
        if word in sent and word in sql:
            position = sent.rindex(word) + 1
            found = original_position(statement, stripped.literals, sent, position)
            assert found == sql.rindex(word) + 1


def test_a_position_in_a_sealed_literal_is_the_literals() -> None:
    """An error inside what was put in points at what stood there."""
    sql = "SELECT id FROM customers WHERE email = 'x' AND name = 'y'"
    plan, stripped = PLANNER.plan(sql, shop.PATH)
    (statement,) = plan.statements
    sent = render(statement, stripped.literals, shop.seal)
    for offset in range(1, 12):
        position = sent.index("'\\x") + offset
        found = original_position(statement, stripped.literals, sent, position)
        assert sql[found - 1 :].startswith("'x'")
    end = original_position(statement, stripped.literals, sent, len(sent) + 1)
    assert end == len(sql) + 1


def test_terms_are_written_as_an_array() -> None:
    """Form.TERMS comes in binary and goes out as a bytea[] literal; NULL and empty arrays too."""
    sql = "SELECT id FROM customers WHERE email = ANY('{a}')"
    plan, stripped = PLANNER.plan(sql, shop.PATH)
    arrays = {
        "{}": b"\0\0\0\0" + b"\0\0\0\0" + b"\0\0\0\x11",
        r'{"\\x0102",NULL}': b"\0\0\0\1\0\0\0\1\0\0\0\x11\0\0\0\2\0\0\0\1\0\0\0\2\1\2\xff\xff\xff\xff",
    }
    for text, array in arrays.items():
        sent = render(plan.statements[0], stripped.literals, lambda _, __, array=array: array)
        assert sent.endswith(f"= ANY('{text}'::bytea[])")


def test_no_plan_holds_a_value() -> None:
    """Neither the plan of a statement with literals nor its refusal shows one."""
    for sql in (
        "SELECT id FROM customers WHERE email = 'S3CRET'::text AND name = 'S3CRET'",
        "SELECT id FROM customers WHERE ssn = 'S3CRET'",
        "SELECT 'S3CRET' FROM customers WHERE email LIKE 'S3CRET'",
        "UPDATE customers SET email = 'S3CRET' || 'S3CRET'",
        "SELECT 'S3CRET' FROM customers WHERE email = 'S3CRET",
        "SELECT email FROM customers WHERE email = 'S3CRET' 'S3CRET'",
        "SELECT email FROM customers WHERE 'S3CRET' email",
    ):
        plan, _ = PLANNER.plan(sql, shop.PATH)
        assert "S3CRET" not in repr(plan)


def test_an_untouched_message_is_not_taken_apart() -> None:
    """A message without interesting names is forwarded, however strange or long it is."""
    for sql in (
        "",
        ";",
        "-- nothing",
        "SELECT 1",
        "nonsense (",
        "SELECT 'unterminated",
        "INSERT INTO orders VALUES " + ", ".join(f"({n}, 'n')" for n in range(50_000)),
        "SELECT " + "(" * 500 + "1" + ")" * 500,
    ):
        plan, _ = PLANNER.plan(sql, shop.PATH)
        assert plan.untouched
        assert all(s.action is Action.FORWARD for s in plan.statements)


@pytest.mark.parametrize(
    ("sql", "changes"),
    [
        ("CREATE TABLE x (id int)", True),
        ("/* migration */ create unlogged table x (id int)", True),
        ("BEGIN; ALTER TABLE x ADD y int; COMMIT", True),
        ("DROP VIEW IF EXISTS v", True),
        ("DO $$ BEGIN CREATE TABLE x (); END $$", True),
        ("SELECT * INTO x FROM orders", True),
        ("ALTER TABLE customers ADD y int", True),
        ("CREATE TEMP TABLE x (id int)", False),
        ("CREATE INDEX ON orders (id)", False),
        ("INSERT INTO orders VALUES (1)", False),
        ("SELECT created FROM orders", False),
        ("CREATE TEMP TABLE y (LIKE customers)", False),
    ],
)
def test_ddl_asks_for_a_new_picture(sql: str, changes: bool) -> None:
    """Statements that change tables, views or types say so; temporary tables and indexes do not."""
    plan, _ = PLANNER.plan(sql, shop.PATH)
    assert any(s.changes_catalog for s in plan.statements) == changes


def test_strings_that_do_not_conform_are_refused_when_they_could_differ() -> None:
    """With standard_conforming_strings off, a backslash in '...' is refused where the name of a sealed table may be
    meant; a sealed literal too, which could not be written as it is; the rest goes its way."""
    for sql, action in (
        (r"SELECT 'a\' FROM customers", Action.REFUSE),
        (r"SELECT 'a\' FROM orders", Action.FORWARD),
        (r"SELECT 'a\'' , email FROM customers --'", Action.REFUSE),
        (r"EXECUTE p('a\b')", Action.REFUSE),
        (r"SELECT E'a\'' FROM orders", Action.FORWARD),
        ("UPDATE customers SET email = 'x'", Action.REFUSE),
        ("UPDATE customers SET email = $1", Action.APPLY),
        ("SELECT email FROM customers WHERE id = 1", Action.APPLY),
    ):
        plan, _ = PLANNER.plan(sql, shop.PATH, standard_conforming_strings=False)
        assert plan.statements[0].action is action


def test_pieces_are_what_the_contract_says() -> None:
    """Text between literals, edits with what they replace, one site per literal in order."""
    plan, _ = PLANNER.plan("SELECT 1 FROM customers WHERE email='x'::text", shop.PATH)
    seal = next(p.seal for p in plan.statements[0].pieces if isinstance(p, LiteralSite) and p.seal)
    assert plan.statements[0].pieces == (
        "SELECT ",
        LiteralSite(0, None),
        " FROM customers WHERE ",
        Text("sealgate.eq(", ""),
        "email",
        Text(")", ""),
        "=",
        Text("sealgate.eq(", ""),
        LiteralSite(1, seal),
        Text(")", "::text"),
    )
