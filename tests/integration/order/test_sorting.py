"""What sorts, on columns of each type: the rows of the plain twin, in its order."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Final

import pytest

from proxy.cells.logical import TYPES
from tests.cells import ordered
from tests.integration.order.statements import SHAPES, Draw
from tests.integration.order.tables import (
    PREFIX,
    fill,
    is_refused,
    sampled,
    unlike,
)
from tests.integration.types.twins import Comparison, Statement, Twins


@pytest.mark.parametrize("name", ordered.NAMES)
def test_sorting(twins: Twins, rng: random.Random, name: str) -> None:
    """ORDER BY up and down, NULLs first and last, with LIMIT and OFFSET: the same rows in the same order."""
    fill(twins, name, unlike(name, sampled(TYPES[name], rng, 60)))
    comparison = Comparison(twins)
    for direction in ("", "ASC", "DESC"):
        for nulls in ("", "NULLS FIRST", "NULLS LAST"):
            order = f"ORDER BY c_{name} {direction} {nulls}, id"
            comparison.try_one(Statement(f"SELECT id, c_{name} FROM {{t}} {order}"))
            comparison.try_one(Statement(f"SELECT id FROM {{t}} {order} LIMIT 7 OFFSET 3"))
    comparison.try_one(Statement(f"SELECT min(c_{name}), max(c_{name}) FROM {{t}}"))
    comparison.check(comparison.tried)


@pytest.mark.parametrize("name", ordered.NAMES)
def test_pages_by_key(twins: Twins, rng: random.Random, name: str) -> None:
    """Keyset pagination: (c, id) > ($1, $2) ORDER BY c, id LIMIT 5 goes through all rows, once each."""
    logical = TYPES[name]
    values = [value for value in sampled(logical, rng, 30) if not is_refused(name, value)]
    fill(twins, name, values + values[:10])
    comparison = Comparison(twins)
    sql = f"SELECT c_{name}, id FROM {{t}} WHERE (c_{name}, id) > ($1, $2) ORDER BY c_{name}, id LIMIT 5"
    at: tuple[bytes | None, ...] = (logical.to_text(values[0], ordered.DEFAULTS), b"-1")
    for _ in range(12):
        answer = comparison.try_one(Statement(sql, at))
        if not answer.rows:
            break
        at = answer.rows[-1]
    comparison.check(comparison.tried)


def test_texts_are_sorted_by_their_first_bytes(twins: Twins, rng: random.Random) -> None:
    """By the bytes that are declared, those that go on behind them last; what then is equal is in any order."""
    fill(twins, "text", sampled(TYPES["text"], rng, 80))
    plain = f"substring(convert_to(c_text, 'UTF8') for {PREFIX}), octet_length(c_text) > {PREFIX}"
    expected = twins.server.run(Statement(f"SELECT id FROM {{t}} ORDER BY {plain}, id"), "plain")
    got = twins.proxy.run(Statement("SELECT id FROM {t} ORDER BY c_text, id"), "twin")
    assert expected.rows == got.rows
    assert len(got.rows) > 60


ROWS: Final = 60


@pytest.fixture
def pools(twins: Twins, rng: random.Random) -> dict[str, list[bytes]]:
    """Both twins hold rows of all types: few values of each, so that many are equal, and NULLs."""
    found = {}
    for name in ordered.NAMES:
        found[name] = unlike(name, sampled(TYPES[name], rng, 60))[:12]
    marks = ", ".join(f"${number}" for number in range(1, len(found) + 2))
    sql = f"INSERT INTO {{t}} VALUES ({marks})"
    types = (23, *(TYPES[name].oid for name in found))
    formats = (0, *(1 for _ in found))
    for number in range(ROWS):
        values = (rng.choice((*pool, None)) for pool in found.values())
        row = Statement(sql, (str(number).encode(), *values), types, formats)
        expected, got = twins.run(row)
        assert expected == got
    return found


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: str(shape.__name__))
def test_random_statements_that_sort(
    twins: Twins,
    pools: dict[str, list[bytes]],
    rng: random.Random,
    shape: Callable[[Draw], Statement],
    scale: int,
) -> None:
    """Row for row what the plain twin gives, in its order; none is refused."""
    comparison = Comparison(twins)
    draw = Draw(rng, pools)
    comparison.try_all(shape(draw) for _ in range(25 * scale))
    comparison.check(comparison.tried)
