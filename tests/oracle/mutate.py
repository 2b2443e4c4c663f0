"""SQL with something wrong in it: random edits with the pieces on which scanners differ."""

from __future__ import annotations

import random
from collections.abc import Sequence

from tests.sql.soup import FRAGMENTS, soup

_SEPARATORS = ("; ", ";", "\n;\n", ";;", "; -- x;\n", ";/*;*/", ";\t;")


def mutated(generator: random.Random, sql: str) -> str:
    """One to three edits: a piece put in, a stretch taken out or copied elsewhere."""
    for _ in range(generator.choice((1, 1, 2, 3))):
        at = generator.randint(0, len(sql))
        before, behind = sql[:at], sql[at:]
        chance = generator.random()
        if chance < 0.6:
            sql = before + generator.choice(FRAGMENTS) + behind
        elif chance < 0.75:
            sql = before + soup(generator, 4) + behind
        elif chance < 0.9:
            sql = before + behind[generator.randint(1, 4) :]
        else:
            begin = generator.randint(0, len(sql))
            sql = before + sql[begin : begin + generator.randint(1, 12)] + behind
    return sql


def message(generator: random.Random, statements: Sequence[str]) -> str:
    """Several statements in one text."""
    drawn = (generator.choice(statements) for _ in range(generator.randint(1, 5)))
    return generator.choice(_SEPARATORS).join(drawn) + generator.choice(("", ";"))
