"""Arguments of SQL's EXECUTE: what the sealed twin makes of them is what the plain one does.

An argument has a type of its own (a constant's, a cast's), is coerced to the type that PREPARE declares or leaves
open, and goes from there to the column. Random triples of the three, stored and compared.
"""

from __future__ import annotations

import random

from tests.cells import values
from tests.integration.types.extremes import EXTREMES
from tests.integration.types.twins import (
    COLUMNS,
    SEARCHABLE,
    TYPES,
    Comparison,
    Statement,
    Twins,
    dollars,
    escaped,
    quoted,
)

DECLARED = sorted({*COLUMNS.values(), "unknown", "varchar", "char", "bpchar"})
CASTS = sorted({*COLUMNS.values(), "varchar(3)", "char(5)", "numeric(4,1)", "text", "timestamp(0)"})
NUMBERS = (
    "0",
    "1",
    "-7",
    "42",
    "1.5",
    "-0.25",
    "32768",
    "2147483648",
    "1e3",
    "9223372036854775808",
)


def argument(rng: random.Random, column: str) -> str:
    """A constant in one of its spellings, in three of four cases one that the column may hold."""
    name = TYPES[rng.choice((column, column, column, rng.choice(tuple(COLUMNS))))].name
    texts = [*EXTREMES[name], *(t.decode() for t in values.texts(name, rng, 4))]
    text = rng.choice([t for t in texts if "\0" not in t and len(t) < 400])
    spelled = rng.choice((quoted, quoted, escaped, dollars))(text)
    match rng.randrange(8):
        case 0:
            return rng.choice(NUMBERS)
        case 1:
            return rng.choice(("TRUE", "false", "NULL", "null::text", f"NULL::{COLUMNS[column]}"))
        case 2:
            return f"{spelled}::{rng.choice(CASTS)}"
        case 3:
            return f"CAST({rng.choice((spelled, *NUMBERS))} AS {COLUMNS[column]})"
        case 4:
            return f"({rng.choice(NUMBERS)})::{rng.choice(CASTS)}"
    return spelled


def prepared(rng: random.Random, column: str, statement: str) -> str:
    """PREPARE with a declared type, or without a list; twice in three times a type that fits."""
    types = rng.choice(("", f" ({COLUMNS[column]})", f" ({rng.choice(DECLARED)})"))
    return f"PREPARE e{types} AS {statement}"


def test_arguments_that_are_stored(twins: Twins, rng: random.Random, scale: int) -> None:
    """INSERT ... RETURNING: the value and its type, or the server's own refusal."""
    comparison = Comparison(twins)
    for number in range(350 * scale):
        column = rng.choice(tuple(COLUMNS))
        insert = f"INSERT INTO {{t}} (id, {column}) VALUES ({number}, $1) RETURNING {column}"
        _run(comparison, prepared(rng, column, insert), argument(rng, column))
    comparison.check(least=500 * scale)


def test_arguments_that_are_compared(twins: Twins, rng: random.Random, scale: int) -> None:
    """`column = $1` finds the rows that it finds on the plain twin."""
    comparison = Comparison(twins)
    for number, column in enumerate(SEARCHABLE * 3):
        text = rng.choice([t.decode() for t in values.texts(TYPES[column].name, rng, 8)])
        insert = f"INSERT INTO {{t}} (id, {column}) VALUES ({number}, {quoted(text)})"
        comparison.try_one(Statement(insert))
    for _ in range(350 * scale):
        column = rng.choice(SEARCHABLE)
        select = f"SELECT id FROM {{t}} WHERE {column} = $1 ORDER BY id"
        _run(comparison, prepared(rng, column, select), argument(rng, column))
    comparison.check(least=500 * scale)


def _run(comparison: Comparison, prepare: str, argument_: str) -> None:
    """One PREPARE and its EXECUTE on both; where the sealed twin refuses PREPARE nothing is executed."""
    refused = len(comparison.refused or ())
    made = comparison.try_one(Statement(prepare))
    if len(comparison.refused or ()) == refused and made.sqlstate is None:
        comparison.try_one(Statement(f"EXECUTE e({argument_})"))
    comparison.twins.server.answer(comparison.twins.server.connection.exec_(b"DEALLOCATE ALL"))
    comparison.twins.proxy.answer(comparison.twins.proxy.connection.exec_(b"DEALLOCATE ALL"))
