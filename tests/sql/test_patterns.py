"""Plans of LIKE and the cache: a pattern is a value like any other, the wildcards around it and ESCAPE are part of the plan."""

from __future__ import annotations

import pytest

from proxy.sql.plan import Action, LiteralSite, Pattern, StatementPlan
from proxy.sql.planner import Planner
from tests.sql import shop


def planned(planner: Planner, sql: str) -> StatementPlan:
    plan, _ = planner.plan(sql, shop.PATH)
    return plan.statements[0]


def pattern(planner: Planner, sql: str) -> Pattern:
    """How the one pattern of a statement is read."""
    statement = planned(planner, sql)
    assert statement.action is Action.APPLY, statement.refusal
    seals = [p.seal for p in statement.pieces if isinstance(p, LiteralSite) and p.seal]
    (found,) = [seal.pattern for seal in (*seals, *statement.parameters.values()) if seal.pattern]
    return found


@pytest.mark.parametrize(
    ("sql", "before", "after", "escape", "function"),
    [
        ("$1", "", "", None, ""),
        ("'a%'", "", "", None, ""),
        ("'%' || $1", "%", "", None, ""),
        ("'%' || '_' || $1 || '%'", "%_", "%", None, ""),
        ("('%' || lower($1) || '%') ESCAPE '!'", "%", "%", "!", "lower"),
        ("UPPER('%a%') ESCAPE ''", "", "", "", "upper"),
        ("'%' || '%'", "", "%", None, ""),
        ("E'%' || $1", "%", "", None, ""),
    ],
)
def test_how_a_pattern_is_read(
    sql: str, before: str, after: str, escape: str | None, function: str
) -> None:
    """The value, what is done to it, the wildcards around it and the escape."""
    found = pattern(Planner(shop.CATALOG), f"SELECT body FROM notes WHERE body LIKE {sql}")
    assert (found.before, found.after, found.escape, found.function) == (
        before,
        after,
        escape,
        function,
    )


def test_a_literal_pattern_is_not_part_of_the_plan() -> None:
    """A driver that interpolates finds the plan again, whatever is looked for."""
    planner = Planner(shop.CATALOG)
    one, other = (
        planned(
            planner, f"SELECT body FROM notes WHERE body LIKE '%' || '{needle}' || '%' AND id = {n}"
        )
        for n, needle in enumerate(("ada", "%"))
    )
    assert one is other


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("'%' || $1", "'_' || $1"),
        ("$1 ESCAPE '!'", "$1 ESCAPE '?'"),
        ("'%' || 'a'", "'a' || '%'"),
        ("'%' || 'a' || '%'", "'a' || '%' || '%'"),
    ],
)
def test_what_stands_around_it_is(one: str, other: str) -> None:
    """Asked for in either order, each text gets its own plan."""
    sql = "SELECT body FROM notes WHERE body LIKE "
    for texts in ((one, other), (other, one)):
        planner = Planner(shop.CATALOG)
        for text in (*texts, *texts):
            assert pattern(planner, sql + text) == pattern(Planner(shop.CATALOG), sql + text)


def test_a_refusal_by_one_pattern_is_not_that_of_another() -> None:
    """Two values are no pattern; a wildcard and a value are one."""
    planner = Planner(shop.CATALOG)
    sql = "SELECT body FROM notes WHERE body LIKE '{}' || 'x'"
    assert planned(planner, sql.format("a")).refusal is not None
    assert planned(planner, sql.format("%")).refusal is None
    assert planned(planner, sql.format("a")).refusal is not None


def test_a_prefix_that_is_longer_than_the_order_tells_goes_by_grams() -> None:
    """The order has the first 16 bytes; where it tells enough nothing has to be tested."""
    planner = Planner(shop.CATALOG)
    sql = "SELECT author FROM notes WHERE author LIKE '{}%'"
    for needle, tested in (("a" * 16, False), ("a" * 17, True), ("é" * 8, False), ("é" * 9, True)):
        assert bool(planned(planner, sql.format(needle)).filters) is tested
