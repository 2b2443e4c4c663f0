"""SQL's EXECUTE: its text, and what becomes of it once it is known what the name stands for."""

from __future__ import annotations

import pgparse
import pytest

from proxy.sql.execute import Executed, Executes, executed
from proxy.sql.lexer import tokenize
from proxy.sql.named import (
    Closes,
    Deallocates,
    Declares,
    Fetches,
    Prepares,
    Releases,
    RollsBackTo,
    Savepoint,
    read_named,
)
from proxy.sql.plan import Action, Run, Seal, StatementPlan
from proxy.sql.planner import Planner
from proxy.sql.refusals import Refused
from proxy.sql.rewrite import original_position, render
from tests.sql import shop

PLANNER = Planner(shop.CATALOG)
FIND = "PREPARE p (int, varchar, date) AS UPDATE customers SET birth_date = $3 WHERE id = $1 AND email = $2 RETURNING id, email"


def planned(sql: str) -> tuple[StatementPlan, tuple[str, ...]]:
    plan, stripped = PLANNER.plan(sql, shop.PATH)
    (statement,) = plan.statements
    return statement, stripped.literals


def found(prepare: str = FIND) -> Executed:
    statement, _ = planned(prepare)
    assert isinstance(statement.named, Prepares)
    return Executed(statement.named.statement, "PREPARE ...", statement.named.declared, 3)


def run(sql: str, prepare: str = FIND) -> tuple[StatementPlan, str]:
    """The plan of an EXECUTE, and the text that the server gets."""
    statement, literals = planned(sql)
    assert isinstance(statement.named, Executes)
    plan = executed(statement, statement.named, found(prepare))
    return plan, shop.readable(render(plan, literals, seal))


def seal(how: Seal, text: str) -> bytes:
    """Column, the argument's own cast, and its text."""
    assert how.argument is not None
    cast = f"({how.argument.cast})" if how.argument.cast else ""
    return f"{shop.short(how.column)}{cast}:{text}".encode()


@pytest.mark.parametrize(
    ("sql", "sent"),
    [
        (
            "EXECUTE p(1, 'x', '2000-01-01')",
            "EXECUTE p(1, {email:x}, {birth_date:2000-01-01})",
        ),
        (" execute p ( 1 ,'x' , NULL::date ) ;", " execute p ( 1 ,{email:x} , NULL ) ;"),
        (
            "EXECUTE p(f(1, '2'), -5, date 'x')",
            "EXECUTE p(f(1, '2'), {email:-5}, {birth_date(date):x})",
        ),
        (
            "EXECUTE p(1, ('x')::text, CAST('y' AS date))",
            "EXECUTE p(1, {email(text):x}, {birth_date(date):y})",
        ),
        ("EXECUTE p(1, true, $$d$$)", "EXECUTE p(1, {email:true}, {birth_date:d})"),
        (
            r"EXPLAIN (FORMAT 'json') EXECUTE p(1, E'\x41')",
            "EXPLAIN (FORMAT 'json') EXECUTE p(1, {email:A})",
        ),
    ],
)
def test_arguments_are_sealed_in_their_places(sql: str, sent: str) -> None:
    """Those for sealed parameters, without their casts and signs; the rest of the text is the client's own."""
    plan, text = run(sql)
    assert plan.action is Action.APPLY
    assert text == sent


def test_what_an_execution_is_for_the_access_log() -> None:
    """Command, columns and text are those of the prepared statement."""
    plan, _ = run("EXECUTE p(1, 'x', '2000-01-01')")
    assert (plan.command, plan.recorded_as, plan.run) == ("UPDATE", "PREPARE ...", Run.NOW)
    assert plan.outputs == (None, "public.customers.email")
    assert {touch.access.value for touch in plan.touches} == {"compare", "read", "write"}
    explained, _ = run("EXPLAIN EXECUTE p(1, 'x', '2000-01-01')")
    assert (explained.command, explained.run) == ("EXPLAIN", Run.PLANNED)
    assert {touch.access.value for touch in explained.touches} == {"compare", "write"}


@pytest.mark.parametrize(
    ("sql", "sqlstate"),
    [
        ("EXECUTE p(1, lower('x'), NULL)", "0A000"),
        ("EXECUTE p(1, 'x' || 'y', NULL)", "0A000"),
        ("EXECUTE p(1, $1, NULL)", "0A000"),
        ("EXECUTE p(1, ARRAY['x'], NULL)", "0A000"),
        ("EXECUTE p(1, 'x', NULL, 'secret')", "42601"),
        ("CREATE TABLE t AS EXECUTE p(1, 'x', NULL)", "0A000"),
    ],
)
def test_what_cannot_be_sealed_is_refused(sql: str, sqlstate: str) -> None:
    """An expression, a value too many, a table made of the result."""
    with pytest.raises(Refused) as refused:
        run(sql)
    assert refused.value.refusal.sqlstate == sqlstate
    assert "secret" not in refused.value.refusal.message


def test_a_plain_statement_is_executed_as_it_is() -> None:
    """Nothing of it is changed, whatever its arguments are."""
    sql = "EXECUTE p(lower('x'), ARRAY['y'])"
    plan, text = run(sql, "PREPARE p AS SELECT $1, $2 FROM orders")
    assert (plan.action, text) == (Action.FORWARD, sql)


def test_one_cached_plan_for_every_name_and_value() -> None:
    """The text's plan does not depend on the session: the same object for other literals."""
    first, _ = PLANNER.plan("EXECUTE p(1, 'x')", shop.PATH)
    second, _ = PLANNER.plan("EXECUTE p(2, 'another')", shop.PATH)
    assert first is second
    assert first.untouched
    assert first.by_name


def test_a_length_in_a_cast_is_part_of_the_plan() -> None:
    """`varchar(3)` and `varchar(4)` differ in a number only."""
    first, _ = planned("EXECUTE p('abcd'::varchar(3))")
    second, _ = planned("EXECUTE p('abcd'::varchar(4))")
    assert first.named != second.named


def test_an_errors_position_is_the_clients() -> None:
    """What the server finds behind a sealed argument is where the client wrote it."""
    sql = "EXECUTE p(1, ('x')::varchar, nosuch)"
    statement, literals = planned(sql)
    assert isinstance(statement.named, Executes)
    prepare = "PREPARE p AS SELECT id FROM customers WHERE id = $1 AND email = $2 AND name = $3"
    plan = executed(statement, statement.named, found(prepare))
    text = render(plan, literals, seal)
    assert (
        original_position(plan, literals, text, text.index("nosuch") + 1) == sql.index("nosuch") + 1
    )


# Names, as PostgreSQL's own parser reads them.

NAMED = [
    "FETCH c", "FETCH NEXT FROM c", 'FETCH ABSOLUTE -5 IN "C x"', "FETCH FORWARD ALL all_", "FETCH ALL c",
    "MOVE BACKWARD 3 FROM c", "CLOSE c", "CLOSE ALL", 'CLOSE "ALL"', "DEALLOCATE p", "DEALLOCATE PREPARE p",
    "DEALLOCATE PREPARE", "DEALLOCATE ALL", "DEALLOCATE PREPARE ALL", 'DEALLOCATE "all"', "SAVEPOINT s",
    "RELEASE s", "RELEASE SAVEPOINT S", "RELEASE SAVEPOINT savepoint", "ROLLBACK TO s", "ROLLBACK WORK TO SAVEPOINT s",
    "ROLLBACK TRANSACTION TO to_", 'ROLLBACK TO "To"', "DECLARE c CURSOR FOR SELECT 1",
    "DECLARE hold BINARY SCROLL CURSOR WITH HOLD FOR VALUES (1)", "DECLARE c CURSOR WITHOUT HOLD FOR SELECT 'x'",
    "DECLARE É CURSOR FOR TABLE x", 'DECLARE U&"d\\0061t" CURSOR FOR SELECT 1',
    "FETCH " + "n" * 70,
]  # fmt: skip


@pytest.mark.parametrize("sql", NAMED)
def test_names_are_those_that_postgresql_reads(sql: str) -> None:
    """Each statement about a name: the name, ALL, and WITH HOLD."""
    (raw,) = pgparse.parse(sql)
    ((kind, node),) = raw["stmt"].items()
    named = read_named(tokenize(sql))
    match kind:
        case "FetchStmt":
            expected: object = Fetches(node["portalname"])
        case "ClosePortalStmt":
            expected = Closes(node.get("portalname"))
        case "DeallocateStmt":
            expected = Deallocates(node.get("name"))
        case "DeclareCursorStmt":
            expected = Declares(node["portalname"], bool(node["options"] & 0x20))
        case "TransactionStmt":
            made = {"SAVEPOINT": Savepoint, "RELEASE": Releases, "ROLLBACK_TO": RollsBackTo}
            expected = made[node["kind"].removeprefix("TRANS_STMT_")](node["savepoint_name"])
        case _:
            raise AssertionError(kind)
    assert named == expected


@pytest.mark.parametrize(
    "sql",
    [
        "EXECUTE p", "EXECUTE p(1)", "EXECUTE p(1, (2), (f(3, 4))[5], ARRAY[6, 7])", 'EXPLAIN EXECUTE "P q"(1, \'a,b\')',
        "EXPLAIN (ANALYZE, FORMAT JSON) EXECUTE p('x')", "CREATE TEMP TABLE t (a, b) AS EXECUTE p(1) WITH NO DATA",
        "EXPLAIN ANALYZE CREATE TABLE t AS EXECUTE p(1, 2)", "EXECUTE execute('x')", "EXECUTE p((1, 2), ROW(3))",
    ],
)  # fmt: skip
def test_arguments_are_those_that_postgresql_reads(sql: str) -> None:
    """Name and number of arguments, wherever EXECUTE stands."""
    (raw,) = pgparse.parse(sql)
    node = raw["stmt"]
    while "ExecuteStmt" not in node:
        node = next(n for n in next(iter(node.values())).values() if isinstance(n, dict))
    node = node["ExecuteStmt"]
    statement, _ = planned(sql)
    assert isinstance(statement.named, Executes)
    assert statement.named.name == node["name"]
    assert len(statement.named.arguments) == len(node.get("params", ()))
