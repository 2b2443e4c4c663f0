"""Statements whose meaning grows faster than their text are planned by their text."""

from __future__ import annotations

from itertools import pairwise

from proxy.sql.plan import Action, StatementPlan
from proxy.sql.planner import Planner
from tests.sql import shop


def planned(sql: str) -> StatementPlan:
    plan, _ = Planner(shop.CATALOG).plan(sql, shop.PATH)
    return plan.statements[0]


def chain(first: str, step: str, length: int) -> str:
    """WITH queries each of which names the one before it twice."""
    names = [f"c{n}" for n in range(length)]
    steps = [f"{name} AS ({step.format(before)})" for before, name in pairwise(names)]
    return f"WITH c0(e) AS ({first}), {', '.join(steps)} SELECT id FROM customers JOIN {names[-1]} q ON email = q.e"


def test_a_list_that_is_doubled_forty_times() -> None:
    """Its values are those that are written, however often they are named."""
    plan = planned(
        chain("VALUES ('x')", "SELECT a.e FROM {0} a UNION ALL SELECT b.e FROM {0} b", 40)
    )
    assert plan.action is Action.APPLY


def test_columns_that_are_doubled_forty_times() -> None:
    """PostgreSQL refuses more than 1664 columns, and so does the planner, before it has many more."""
    plan = planned(chain("SELECT email FROM customers", "SELECT a.*, b.* FROM {0} a, {0} b", 40))
    assert plan.refusal is not None
    assert plan.refusal.sqlstate == "54011"
