"""Oracle A: the lexer cuts PostgreSQL's own SQL as PostgreSQL's scanner does."""

from __future__ import annotations

import random
from collections.abc import Sequence

import psycopg
import pytest

from proxy.sql.lexer import Kind, UnreadableSql, tokenize
from proxy.sql.planner import Planner
from tests.conftest import Database
from tests.oracle.corpora import Sample
from tests.oracle.mutate import message, mutated
from tests.oracle.scanner import UNREAD, boundary_difference, differences, scanned
from tests.sql import shop
from tests.sql.test_lexer_oracle import string_literal


def compare(samples: Sequence[str]) -> int:
    """How many of the texts both scanners cut alike; fails at the first that they do not."""
    agreed = 0
    for sql in samples:
        assert not list(differences(sql)), sql
        agreed += scanned(sql) is not None
    return agreed


def test_installed_statements(installed: Sequence[Sample]) -> None:
    """Kinds, places and literals of every token in what the server's package brings."""
    assert compare([sample.sql for sample in installed]) >= 2_700


def test_mutated_statements(installed: Sequence[Sample]) -> None:
    """The same after random edits, each with pieces on which scanners differ."""
    compare_mutated([s.sql for s in installed], 10_000)


def test_messages(installed: Sequence[Sample]) -> None:
    """Several statements in one text are told apart where PostgreSQL's parser does."""
    compare_messages([s.sql for s in installed], 2_000)


@pytest.mark.long
def test_regression_statements(regression: Sequence[Sample]) -> None:
    """Every statement of PostgreSQL's regression tests, its deliberate errors included."""
    assert compare([sample.sql for sample in regression]) >= 50_300


@pytest.mark.long
def test_mutated_regression_statements(regression: Sequence[Sample]) -> None:
    """Half a million random edits of them."""
    compare_mutated([s.sql for s in regression], 500_000)


@pytest.mark.long
def test_regression_messages(regression: Sequence[Sample]) -> None:
    """A hundred thousand messages of several of them."""
    compare_messages([s.sql for s in regression], 100_000)


@pytest.mark.parametrize("conforming", [True, False])
def test_strings_of_the_server(database: Database, conforming: bool) -> None:
    """Several random string constants in a row are what the server makes of them, with
    standard_conforming_strings off too, unless the planner refuses the text for its backslashes.
    (It must if the text names a sealed table.)"""
    seed = random.randrange(1 << 32)
    generator = random.Random(seed)
    planner = Planner(shop.CATALOG)
    compared = 0
    database.psql("CREATE TABLE customers (id int); INSERT INTO customers VALUES (1)")
    with psycopg.connect(database.dsn(), autocommit=True) as connection:
        connection.execute(f"SET standard_conforming_strings = {conforming}".encode())
        for _ in range(600):
            raw = [string_literal(generator) for _ in range(generator.randint(1, 3))]
            sql = f"SELECT {', '.join(raw)} /* ' */ FROM customers -- '"
            plan, _ = planner.plan(sql, shop.PATH, conforming)
            if any(statement.refusal is not None for statement in plan.statements):
                continue
            try:
                row = connection.execute(sql.encode(), prepare=False).fetchone()
                ours = [t.value for t in tokenize(sql) if t.kind is Kind.STRING]
            except (psycopg.Error, UnreadableSql):
                continue
            compared += 1
            assert row is not None
            assert list(row) == ours, (seed, sql)
    assert compared > 100, seed


def compare_mutated(samples: Sequence[str], count: int) -> None:
    seed = random.randrange(1 << 32)
    generator = random.Random(seed)
    short = [sql for sql in samples if len(sql) < 600]
    agreed = 0
    for _ in range(count):
        sql = mutated(generator, generator.choice(short))
        assert not list(differences(sql)), (seed, sql)
        agreed += scanned(sql) is not None
    assert agreed > count // 2, seed


def compare_messages(samples: Sequence[str], count: int) -> None:
    seed = random.randrange(1 << 32)
    generator = random.Random(seed)
    short = [sql for sql in samples if len(sql) < 600]
    agreed = 0
    for _ in range(count):
        sql = message(generator, short)
        difference = boundary_difference(sql)
        assert difference in (None, UNREAD), (seed, sql, difference)
        agreed += difference is None
    assert agreed > count // 2, seed
