"""The planner by example: `fixtures/*.sql`, one file per family of statements."""

from __future__ import annotations

import pytest

from proxy.sql.planner import Planner
from tests.sql import shop
from tests.sql.cases import Case, cases, outcome

PLANNER = Planner(shop.CATALOG)


@pytest.mark.parametrize("case", list(cases()), ids=str)
def test_a_statement_becomes_what_the_fixture_says(case: Case) -> None:
    """Each block of the fixture files holds."""
    assert outcome(PLANNER, case) == case.expected


@pytest.mark.parametrize("case", list(cases()), ids=str)
def test_a_cached_plan_is_the_same_plan(case: Case) -> None:
    """Asked a second time, the planner gives the same plan object."""
    first, _ = PLANNER.plan(case.sql, case.path)
    second, _ = PLANNER.plan(case.sql, case.path)
    assert first == second
