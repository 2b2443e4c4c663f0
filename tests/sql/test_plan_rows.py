"""Long lists planned by their shapes give the plan that the whole text gives."""

from __future__ import annotations

import random

import pytest

from proxy.sql.lexer import strip_literals
from proxy.sql.message import Message
from proxy.sql.plan import Plan
from proxy.sql.planner import Planner
from proxy.sql.rewrite import render
from proxy.sql.rows import shorten
from tests.sql import shop

PLANNER = Planner(shop.CATALOG)


def _rows(chance: random.Random, count: int) -> str:
    shapes = (
        lambda n: f"({n}, 'mail{n}', 'name{n}')",
        lambda n: f"({n},NULL,'name{n}')",
        lambda n: f"(DEFAULT, ('mail{n}'::text), $${n}$$)",
        lambda n: f"( -{n}, E'mail{n}' , lower('name') )",
    )
    chosen = chance.sample(shapes, chance.randint(1, 4))
    separator = chance.choice([",", ", ", ",\n  "])
    return separator.join(chance.choice(chosen)(n) for n in range(count))


def _statements(chance: random.Random) -> str:
    insert = (
        f"INSERT INTO customers (id, email, name) VALUES {_rows(chance, chance.randint(8, 60))}"
    )
    items = ", ".join(
        chance.choice([f"'x{n}'", f"'y{n}'::text"]) for n in range(chance.randint(8, 40))
    )
    select = f"SELECT email, 'before' FROM customers WHERE email IN ({items}) AND name = 'after'"
    ages = ",".join(str(chance.choice([n, -n])) for n in range(1, 20))
    update = f"UPDATE customers SET email = 'z' WHERE age NOT IN ({ages}) AND id IN ({ages})"
    joined = f"UPDATE customers SET email = v.e FROM (VALUES {_rows(chance, 12)}) AS v(i, e, n) WHERE id = v.i"
    chosen = chance.sample([insert, select, update, joined], chance.randint(1, 4))
    return "; ".join(chosen)


def _said(plan: Plan, literals: tuple[str, ...]) -> list[object]:
    return [
        (
            s.action,
            s.refusal,
            s.touches,
            s.outputs,
            dict(s.parameters),
            render(s, literals, shop.seal),
        )
        for s in plan.statements
    ]


@pytest.mark.parametrize("seed", range(40))
def test_a_stretched_plan_is_the_plan_of_the_whole_text(seed: int) -> None:
    """Same actions, touches, outputs, and the same text, for statements with lists of mixed shapes."""
    sql = _statements(random.Random(seed))
    stripped = strip_literals(sql)
    whole = Message(shop.CATALOG, PLANNER._interesting, sql, stripped, shop.PATH).plan()
    plan, _ = PLANNER.plan(sql, shop.PATH)
    assert _said(plan, stripped.literals) == _said(whole, stripped.literals), seed
    again, _ = PLANNER.plan(sql, shop.PATH)
    assert _said(again, stripped.literals) == _said(whole, stripped.literals), seed


@pytest.mark.parametrize(
    "sql",
    [
        # The select list of an INSERT ... SELECT is no list of rows, whatever stands before it.
        "INSERT INTO customers (name, email, ssn) SELECT -- VALUES\n{}",
        "INSERT INTO customers (name, email, ssn) SELECT /* VALUES */ {}",
        "SELECT s . values {} FROM customers",
        "SELECT s.in {} FROM customers",
        'SELECT "values" {} FROM customers',
        'SELECT "a VALUES" {} FROM customers',
        "SELECT xvalues {} FROM customers",
        "SELECT $$VALUES$$ {} FROM customers",
        "SELECT 'a', {} FROM customers",
    ],
)
def test_what_only_looks_like_a_list_is_left_alone(sql: str) -> None:
    """Brackets in a row are rows behind the keyword VALUES alone, and nowhere near a comment."""
    text = sql.format(", ".join(f"('{n}')" for n in range(20)))
    assert shorten(strip_literals(text)) is None


def test_a_bulk_insert_keeps_every_other_byte() -> None:
    """Ten thousand rows with odd spacing: all values sealed, the rest of the text as it was."""
    rows = ",\n".join(f"( {n},'mail {n}'  , 'n' )" for n in range(10_000))
    sql = f"INSERT INTO customers (id, email, name)\nVALUES {rows}\nRETURNING id, 'end'"
    plan, stripped = PLANNER.plan(sql, shop.PATH)
    (statement,) = plan.statements
    text = shop.readable(render(statement, stripped.literals, shop.seal))
    assert text.replace("{email:", "'").replace("}", "'") == sql
