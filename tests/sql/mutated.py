"""Statements of the corpora, changed at random: what is nearly plain SQL, and what only looks like it."""

from __future__ import annotations

import random

from tests.sql.cases import cases
from tests.sql.corpus import corpus
from tests.sql.soup import FRAGMENTS, LITERALS

PIECES = [*FRAGMENTS, *(raw for raws in LITERALS.values() for raw in raws)]
"""Put in anywhere."""
PLAIN = [
    *("select", "a", "e", "E", "u", "b1", "_x", "N", '"a b"', '"q\'"', '"-1"', "$1", "$12", "t.c"),
    *("'a'", "''", "'it''s'", "'--'", "'/*'", "'\\'", "'a\nb'", "'\"'", "'$1'", "'.5'"),
    *("0", "17", "1.5", "007", "0.0", "'1'", "'\x01'"),
    *" \n\t\r\f\v(),;:=<>+-*/%[]@#~!|^`?.",
]
"""Tokens of a text that is read the short way, often enough; next to one another they may be no such text."""


def statements() -> list[str]:
    """Every text of the corpora."""
    return [*(sql for _, sql in corpus()), *(case.sql for case in cases())]


def mutated(generator: random.Random, sql: str) -> str:
    """With a few characters lost, doubled, exchanged, or something put in between."""
    for _ in range(generator.randint(1, 3)):
        at = generator.randrange(len(sql) + 1)
        end = min(at + generator.choice((0, 0, 1, 1, 2, 8)), len(sql))
        between = generator.choice(
            ("", generator.choice(PIECES), generator.choice(PLAIN), sql[at:end] * 2)
        )
        sql = sql[:at] + between + sql[end:]
    return sql


def plain_soup(generator: random.Random, length: int = 10) -> str:
    """Tokens of plain SQL with and without blanks between them."""
    blank = generator.choice(("", " ", " ", "\n"))
    return blank.join(generator.choice(PLAIN) for _ in range(generator.randint(1, length)))
