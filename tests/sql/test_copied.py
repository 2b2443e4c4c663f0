"""Which columns get values that are in the database already: of these no cell ids can be told."""

from __future__ import annotations

import pytest

from proxy.sql.plan import Action
from proxy.sql.planner import Planner
from tests.sql import shop

PLANNER = Planner(shop.CATALOG)
INSERT = "INSERT INTO customers (id, email) VALUES (1, $1) ON CONFLICT (id) DO UPDATE SET email = "
EMAIL = frozenset({"public.customers.email"})


@pytest.mark.parametrize(
    ("sql", "copied"),
    [
        ("INSERT INTO customers (email) VALUES ($1)", frozenset()),
        (INSERT + "excluded.email", frozenset()),
        (INSERT + '(("excluded".email))', frozenset()),
        (INSERT + "$1", frozenset()),
        (INSERT + "customers.email", EMAIL),
        (INSERT + "coalesce(excluded.email, customers.email)", EMAIL),
        ("INSERT INTO customers (email) SELECT email FROM customers", EMAIL),
        (
            "INSERT INTO customers (id, email) SELECT id, email FROM customers"
            " ON CONFLICT (id) DO UPDATE SET email = excluded.email",
            EMAIL,
        ),
        ("UPDATE customers SET email = excluded.email FROM customers AS excluded", EMAIL),
        ("UPDATE customers SET email = email", EMAIL),
    ],
)
def test_copied(sql: str, copied: frozenset[str]) -> None:
    """A value that the statement brings along is not copied, also where ON CONFLICT takes it from `excluded`."""
    plan, _ = PLANNER.plan(sql, shop.PATH)
    (statement,) = plan.statements
    assert statement.action is not Action.REFUSE
    assert statement.copied == copied
