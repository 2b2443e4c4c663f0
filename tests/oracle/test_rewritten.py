"""Oracle C: what is sent is the client's statement, but for what was sealed in it.

`test_nothing_missed` asks the same of every plan that it makes.
"""

from __future__ import annotations

import random
from collections import Counter

import pytest

from proxy.sql.planner import Planner
from tests.oracle.rewritten import faults
from tests.oracle.trees import Comparison
from tests.sql import shop
from tests.sql.cases import cases
from tests.sql.test_plan_random import Grammar

PLANNER = Planner(shop.CATALOG)


def test_planner_fixtures() -> None:
    """Every case of the planner's own fixtures that is not refused."""
    wrong = {}
    for case in cases():
        plan, stripped = PLANNER.plan(case.sql, case.path)
        if found := list(faults(case.sql, plan, stripped)):
            wrong[str(case)] = found
    assert not wrong


def test_random_statements() -> None:
    """Statements with literals for sealed and plain columns in every place that the planner knows."""
    seed = random.randrange(1 << 32)
    grammar = Grammar(random.Random(seed))
    for _ in range(400):
        sql = grammar.statement()
        plan, stripped = PLANNER.plan(sql, shop.PATH)
        assert not list(faults(sql, plan, stripped)), (seed, sql)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("SELECT a FROM t", "SELECT b FROM t"),
        ("SELECT a FROM t WHERE b", "SELECT a FROM t"),
        ("SELECT a = 'x'", "SELECT a = '\\x00'::bytea OR true"),
        ("SELECT a = b", "SELECT a = '\\x00'::bytea"),
        ("SELECT a = f('x')", "SELECT a = '\\x00'::bytea"),
        ("SELECT a = 'x'", "SELECT sealgate.eq(b) = 'x'"),
        ("SELECT a IN (SELECT b FROM t)", "SELECT a IN (SELECT sealgate.eq(r.c) FROM (SELECT c FROM t) r(c))"),
        ("INSERT INTO t VALUES (1) ON CONFLICT (a) DO NOTHING",
         "INSERT INTO t VALUES (1) ON CONFLICT (sealgate.eq(b)) DO NOTHING"),
        ("INSERT INTO t (a, b) VALUES (1, 2)", "INSERT INTO t (b, a) VALUES (1, 2)"),
        ("SELECT 1", "SELECT 1; SELECT 2"),
        ("SELECT nullif(a, 'x')", "SELECT nullif(a, CASE WHEN a = 'x' THEN b END)"),
        ("SELECT 'x'", "SELECT '\\x00'::bytea AS other"),
        ("SELECT nullif(a, 'x')", "SELECT nullif(b, CASE WHEN a = 'x' THEN a END)"),
        ("SELECT nullif(a, 'x')", "SELECT nullif(a, CASE WHEN a = 'x' THEN a ELSE a END)"),
        ("SELECT a < 'x'", "SELECT sealgate.ord(b) < 'x'"),
        ("SELECT a < 'x'", "SELECT sealgate.ord(a) > 'x'"),
        ("SELECT upper(a) = b", "SELECT sealgate.eq_casefold(a) = b"),
        ("SELECT a COLLATE x < b", "SELECT sealgate.ord(a) < b"),
        ("SELECT a->>'k' = 'x'", "SELECT sealgate.paths(b) @> '{}'::bytea[]"),
        ("SELECT a->>'k' = 'x'", "SELECT sealgate.paths(a) && '{}'::bytea[]"),
        ("SELECT a->>'k' = 'x'", "SELECT sealgate.paths(a) @> '{}'::bytea[] OR true"),
        ("SELECT a->>'k' <> 'x'", "SELECT sealgate.paths(a) @> '{}'::bytea[]"),
        ("SELECT a->>'k' = b", "SELECT sealgate.paths(a) @> '{}'::bytea[]"),
        ("SELECT a->>b = 'x'", "SELECT sealgate.paths(a) @> '{}'::bytea[]"),
        ("SELECT a||'k' = 'x'", "SELECT sealgate.paths(a) @> '{}'::bytea[]"),
        ("SELECT a->>'k' IN ('x', 'y')", "SELECT sealgate.paths(a) && '{}'::bytea[]"),
        ("SELECT a->>'k' = $1", "SELECT sealgate.paths(a) @> $2"),
        ("SELECT 'x' <@ a", "SELECT sealgate.paths(a) @> '{}'::bytea[]"),
        ("SELECT a FROM t", "SELECT t.a FROM t"),
        ("SELECT a FROM t JOIN u USING (a)", "SELECT t.b FROM t JOIN u ON t.a = u.a"),
        ("SELECT a FROM t JOIN u USING (a, b)", "SELECT t.a FROM t JOIN u ON t.a = u.a"),
        ("SELECT a FROM t JOIN u USING (a)", "SELECT t.a FROM t JOIN u ON t.a = u.b"),
        ("SELECT a FROM t JOIN u USING (a)", "SELECT t.a FROM t JOIN u ON t.a = u.a OR true"),
        ("SELECT a FROM t JOIN u USING (a)", "SELECT t.a FROM t LEFT JOIN u ON t.a = u.a"),
        ("SELECT * FROM t JOIN u USING (a)", "SELECT t.a, f(t.b) FROM t JOIN u ON t.a = u.a"),
        ("SELECT min(a)", "SELECT sealgate.max(a)"),
        ("SELECT DISTINCT a, b FROM t", "SELECT DISTINCT ON (1) a, b FROM t"),
        ("SELECT a FROM t UNION SELECT a FROM u", "SELECT r.* FROM (SELECT a FROM t UNION ALL SELECT a FROM u) AS r"),
        ("SELECT a FROM t UNION SELECT a FROM u",
         "SELECT DISTINCT ON (1) r.* FROM (SELECT a FROM t UNION ALL SELECT b FROM u) AS r"),
        ("SELECT a FROM t UNION SELECT a FROM u ORDER BY a",
         "SELECT DISTINCT ON (1) r.* FROM (SELECT a FROM t UNION ALL SELECT a FROM u) AS r ORDER BY sealgate.ord(r.b)"),
        ("SELECT DISTINCT a, b FROM t", "SELECT DISTINCT ON (1, sealgate.eq(c)) a, b FROM t"),
        ("SELECT a, b FROM t ORDER BY 2", "SELECT a, b FROM t ORDER BY sealgate.ord(a)"),
        ("SELECT a AS x, b FROM t ORDER BY x", "SELECT a AS x, b FROM t ORDER BY sealgate.ord(b)"),
        ("SELECT a FROM t ORDER BY a", "SELECT a FROM t ORDER BY sealgate.ord(a) DESC"),
        ("SELECT a FROM t ORDER BY a", "SELECT a FROM t ORDER BY sealgate.ord(a), sealgate.eq(b)"),
        ("SELECT a FROM t GROUP BY a", "SELECT sealgate.any_value(b) AS a FROM t GROUP BY sealgate.eq(a)"),
        ("SELECT a FROM t GROUP BY a", "SELECT sealgate.any_value(a) AS b FROM t GROUP BY sealgate.eq(a)"),
        ("SELECT * FROM t", "SELECT sealgate.any_value(a) AS b FROM t"),
        ("SELECT 1 FROM t JOIN u USING (a)", "SELECT 1 FROM t JOIN u ON t.a = u.a AND t.b = u.b"),
    ],
)  # fmt: skip
def test_other_changes_are_differences(before: str, after: str) -> None:
    """The comparison allows nothing else."""
    assert Comparison(before, after).differences


def test_allowed_changes_are_counted() -> None:
    """What it allows, it names."""
    found = Comparison(
        "SELECT a FROM t WHERE a = 'x' AND a IN (SELECT b FROM u)",
        "SELECT a FROM t WHERE sealgate.eq(a) = sealgate.eq('\\x00'::bytea)"
        " AND sealgate.eq(a) IN (SELECT sealgate.eq(r.c1) FROM (SELECT b FROM u) AS r(c1))",
    )
    assert not found.differences
    assert found.edits == Counter({"term": 3, "sealed": 1, "terms of a query": 1})


def test_allowed_changes_inside_a_union_are_counted() -> None:
    """Each side of a set operation is a SELECT of its own."""
    found = Comparison(
        "SELECT DISTINCT * FROM t UNION ALL SELECT DISTINCT * FROM u",
        "SELECT DISTINCT ON (1, sealgate.eq(t.b)) * FROM t"
        " UNION ALL SELECT DISTINCT ON (1, sealgate.eq(u.b)) * FROM u",
    )
    assert not found.differences
    assert found.edits == Counter({"distinct": 2})


def test_allowed_changes_of_groups_are_counted() -> None:
    """What sorting and grouping change, it names."""
    found = Comparison(
        "SELECT DISTINCT a, b, min(c) FROM t GROUP BY 1, b ORDER BY a DESC, 3",
        "SELECT DISTINCT ON (sealgate.ord(sealgate.any_value(a)), sealgate.eq(sealgate.any_value(a)), 2,"
        " sealgate.ord(sealgate.min(c))) sealgate.any_value(a) AS a, b, sealgate.min(c) FROM t"
        " GROUP BY sealgate.eq(a), b ORDER BY sealgate.ord(sealgate.any_value(a)) DESC,"
        " sealgate.eq(sealgate.any_value(a)), sealgate.ord(sealgate.min(c))",
    )
    assert not found.differences
    assert found.edits == Counter({"distinct": 1, "term": 3, "group": 2, "extreme": 2, "name": 1})
