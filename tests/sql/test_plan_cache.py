"""The plan cache: what shares a plan, what must not, and what it costs."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable

import pytest

from proxy.sql.plan import Action, Plan
from proxy.sql.planner import Planner
from proxy.sql.rewrite import render
from tests.sql import shop


@pytest.fixture
def planner() -> Planner:
    return Planner(shop.CATALOG)


def _plan(planner: Planner, sql: str) -> Plan:
    return planner.plan(sql, shop.PATH)[0]


def _text(planner: Planner, sql: str) -> str:
    plan, stripped = planner.plan(sql, shop.PATH)
    return shop.readable("".join(render(s, stripped.literals, shop.seal) for s in plan.statements))


def test_statements_that_differ_in_literals_share_a_plan(planner: Planner) -> None:
    """A driver that interpolates values plans once."""
    one = _plan(planner, "SELECT id FROM customers WHERE email = 'a'")
    assert _plan(planner, "SELECT id FROM customers WHERE email = 'b''c'") is one
    assert _text(planner, "SELECT id FROM customers WHERE email = 'b''c'").endswith("{email:b'c})")


def test_refusals_are_kept_as_well(planner: Planner) -> None:
    """A statement that is refused again is not analysed again."""
    refused = _plan(planner, "SELECT lower(email) FROM customers WHERE id = 1")
    assert refused.statements[0].action is Action.REFUSE
    assert _plan(planner, "SELECT lower(email) FROM customers WHERE id = 2") is refused


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("SELECT id, email FROM customers ORDER BY 1", "SELECT id, email FROM customers ORDER BY 2"),
        ("SELECT id, ssn FROM customers GROUP BY 1", "SELECT id, ssn FROM customers GROUP BY 2"),
        (
            "SELECT DISTINCT email, id + 1 FROM customers ORDER BY id + 1",
            "SELECT DISTINCT email, id + 1 FROM customers ORDER BY id + 2",
        ),
        ("DO $$ SELECT 1 $$", "DO $$ SELECT 1 FROM customers $$"),
        ("SELECT NULLIF(age, 1) FROM customers", "SELECT NULLIF(age, 1.5) FROM customers"),
        (
            "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'",
            "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS $$SELECT id FROM customers WHERE email = 'x'$$",
        ),
    ],
)  # fmt: skip
def test_a_literal_that_decides_is_part_of_the_key(planner: Planner, one: str, other: str) -> None:
    """Texts that differ in such a literal alone get different plans, in either order."""
    for first, second in ((one, other), (other, one)):
        planner = Planner(shop.CATALOG)
        actions = {sql: _plan(planner, sql).statements[0].action for sql in (first, second, first)}
        assert actions[one] is not Action.REFUSE
        assert actions[other] is Action.REFUSE


def test_the_number_of_a_grouped_column_is_part_of_the_key(planner: Planner) -> None:
    """GROUP BY 1 and GROUP BY 2 reach the server as different texts, in either order."""
    texts = {
        1: "SELECT id, email FROM customers GROUP BY 1",
        2: 'SELECT id, sealgate.any_value(email) AS "email" FROM customers GROUP BY sealgate.eq(email)',
    }
    for number in (1, 2, 1):
        sql = f"SELECT id, email FROM customers GROUP BY {number}"
        assert _text(planner, sql) == texts[number]


def test_a_type_modifier_is_part_of_the_key(planner: Planner) -> None:
    """'x'::varchar(3) and 'x'::varchar(4) are different values."""
    for length in (3, 4, 3):
        sql = f"UPDATE customers SET email = 'x'::varchar({length})"
        assert _text(planner, sql) == f"UPDATE customers SET email = {{email(varchar({length})):x}}"


def test_the_search_path_is_part_of_the_key(planner: Planner) -> None:
    """The same text means another table on another search_path."""
    sql = "SELECT email FROM customers"
    actions = [
        planner.plan(sql, path)[0].statements[0].action
        for path in (("public",), ("archive",), None)
    ]
    assert actions == [Action.APPLY, Action.FORWARD, Action.REFUSE]


def test_an_escape_that_is_none_is_refused_on_a_cached_plan_too(planner: Planner) -> None:
    """The plan for E'...' is cached; what the next one holds is still looked at."""
    good, bad = r"UPDATE customers SET email = E'\x41'", r"UPDATE customers SET email = E'\xff'"
    assert _plan(planner, good).statements[0].action is Action.APPLY
    (refused,) = _plan(planner, bad).statements
    assert refused.refusal is not None
    assert refused.refusal.sqlstate == "22021"
    assert _plan(planner, good).statements[0].action is Action.APPLY


def test_the_cache_is_bounded_by_bytes() -> None:
    """However many statements there are, the cache stays within its limit and still answers."""
    planner = Planner(shop.CATALOG, cache_bytes=200_000)
    for n in range(2000):
        _plan(planner, f"SELECT email AS c{n} FROM customers WHERE id = 1")
    assert planner._cache._weight <= 200_000
    assert 10 < len(planner._cache._entries) < 2000
    last = _plan(planner, "SELECT email AS c1999 FROM customers WHERE id = 1")
    assert _plan(planner, "SELECT email AS c1999 FROM customers WHERE id = 2") is last


def test_bulk_inserts_of_any_length_take_one_entry(planner: Planner) -> None:
    """INSERTs of 8 to 500 rows and IN lists of any length share their plans."""
    _plan(planner, _insert(8))
    entries = len(planner._cache._entries)
    for rows in range(9, 500, 7):
        _plan(planner, _insert(rows))
    assert len(planner._cache._entries) == entries


def _insert(rows: int) -> str:
    return "INSERT INTO customers (id, email) VALUES " + ", ".join(
        f"({n}, 'm{n}')" for n in range(rows)
    )


@pytest.mark.parametrize(
    "sql",
    ["SELECT id, email FROM customers WHERE email = 'somebody@example.com'", "SELECT note FROM orders WHERE id = 5"],
)  # fmt: skip
def test_a_hit_costs_little(planner: Planner, sql: str) -> None:
    """A cached point query is answered in tens of microseconds at the very worst (2-5 in fact)."""
    _plan(planner, sql)
    assert _best(lambda: planner.plan(sql, shop.PATH)) < 100e-6


def _best(call: Callable[[], object]) -> float:
    gc.disable()
    try:
        return min(_seconds(call) for _ in range(200))
    finally:
        gc.enable()


def _seconds(call: Callable[[], object]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start
