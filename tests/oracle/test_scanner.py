"""Oracle A: the lexer cuts PostgreSQL's own SQL as PostgreSQL's scanner does."""

from __future__ import annotations

import random
from collections.abc import Sequence

import pytest

from tests.oracle.corpora import Sample
from tests.oracle.mutate import message, mutated
from tests.oracle.scanner import UNREAD, boundary_difference, differences, scanned


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
