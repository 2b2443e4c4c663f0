"""The comment behind a statement is in no plan, and no text means something else without it."""

from __future__ import annotations

import os
import random

import pytest

from proxy.sql.comments import LONGEST, comment_start
from proxy.sql.lexer import Kind, UnreadableSql, strip_literals, tokenize
from proxy.sql.planner import Planner
from tests.sql import shop


def tokens(sql: str) -> list[tuple[object, str]] | None:
    try:
        return [(token.kind, token.text) for token in tokenize(sql)]
    except UnreadableSql:
        return None


@pytest.mark.parametrize(
    ("sql", "start"),
    [
        ("SELECT 1 /*actor='a'*/", 9),
        ("SELECT 1/*actor='a'*/;", 8),
        ("SELECT 1 /**/", 9),
        ("/*actor='a'*/", 0),
        ("SELECT 1 /*a*/ /*b*/", 15),
        ("SELECT 1", -1),
        ("SELECT 1 */", -1),
        ("SELECT 1 /*/", -1),
        ("SELECT 1 -- /*\n, 'x' */", -1),
        ("SELECT 1 /* a /* b */ */", -1),
        ("SELECT 1 /*a*/ ", -1),
        ("*/", -1),
        ("", -1),
        (";", -1),
        ("SELECT 1 /*" + "a" * LONGEST + "*/", -1),
    ],
)
def test_where_it_begins(sql: str, start: int) -> None:
    """A block comment at the very end, or one semicolon before it, that nests with no other."""
    assert comment_start(sql) == start


def test_the_plan_is_that_of_the_text_in_front() -> None:
    """A thousand traces are one plan, and go along with what is sent."""
    planner = Planner(shop.CATALOG)
    first, stripped = planner.plan("SELECT email FROM customers /*traceparent='00-1'*/", shop.PATH)
    assert stripped.comment == "/*traceparent='00-1'*/"
    assert stripped.text == "SELECT email FROM customers "
    for number in range(1000):
        sql = f"SELECT email FROM customers /*traceparent='00-{number}'*/"
        again, _ = planner.plan(sql, shop.PATH)
        assert again is first


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT email FROM customers WHERE note = ' /*x' -- */",
        "SELECT email FROM customers WHERE note = $$ /*x*/",
        "SELECT email FROM customers WHERE note = '/*x*/",
        'SELECT email FROM customers AS "/*x*/',
        "SELECT email FROM customers /* /*x*/",
    ],
)
def test_what_begins_inside_of_something_is_no_comment(sql: str) -> None:
    """The whole text is planned then, as ever."""
    assert comment_start(sql) >= 0
    try:
        whole = strip_literals(sql)
    except UnreadableSql:
        whole = None
    plan, stripped = Planner(shop.CATALOG).plan(sql, shop.PATH)
    assert stripped.comment == ""
    if whole is None:
        assert plan.statements[0].refusal is not None
    else:
        assert stripped.text == whole.text


def test_backslashes_that_escape() -> None:
    """With standard_conforming_strings off, where a literal ends is not certain: nothing is cut."""
    sql = r"SELECT note FROM customers WHERE note = 'a\' /*x='y'*/"
    _, stripped = Planner(shop.CATALOG).plan(sql, shop.PATH, standard_conforming_strings=False)
    assert stripped.comment == ""


def test_random_texts_have_the_same_tokens_without_it() -> None:
    """Wherever the text in front can be read, it has the whole text's tokens: PostgreSQL's scanner skips comments."""
    seed = int(os.environ.get("STRIPPED_SEED") or random.randrange(1 << 32))
    print(f"STRIPPED_SEED={seed}")
    rng = random.Random(seed)
    pieces = ["SELECT ", "a", "'", "''", '"', "$$", "$t$", "--", "\n", "/*", "*/", "/", "*", ";"]
    pieces += ["E'", "\\", "U&'", "1", " ", "x='y'", "$1", "+", "/*actor='u'*/"]
    cut = 0
    for _ in range(60_000):
        sql = "".join(rng.choices(pieces, k=rng.randrange(1, 12))) + rng.choice(["*/", "*/;"])
        start = comment_start(sql)
        if start < 0:
            continue
        front = tokens(sql[:start])
        if front is None:
            continue
        cut += 1
        whole = tokens(sql)
        assert whole is not None, sql
        # A semicolon behind it ends what has ended anyway; in a line comment it is none.
        ends = [(Kind.PUNCTUATION, ";")] if sql.endswith(";") else []
        assert whole in (front, front + ends), sql
    assert cut > 3_000
