"""The functions that take terms out of a sealed value, against the value's own layout: every set of terms, stored out of line too."""

from __future__ import annotations

import random

from keystore import cell_id, generate, looks_sealed
from keystore.terms import further
from tests.database.conftest import Shop

LABEL = "public.t.c"
KEYS = generate([LABEL]).column(LABEL)
FUNCTIONS = ("eq", "eq_casefold", "ord", "match", "paths", "cell_id")


def numbers(terms: bytes) -> list[int]:
    return [
        int.from_bytes(terms[at : at + 4], "big", signed=True) for at in range(0, len(terms), 4)
    ]


async def test_each_function_finds_its_term_and_no_other(empty: Shop) -> None:
    """All 32 sets of terms, of random lengths (none at all, one, many), in short values and in ones of 100 kB."""
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    rng = random.Random(seed)
    await empty.sealed()
    await empty.connection.execute("CREATE TABLE t (n int, c bytea)")
    await empty.connection.execute("ALTER TABLE t ALTER c SET STORAGE EXTERNAL")
    expected = []
    for n in range(128):
        order = rng.randbytes(rng.choice((0, 1, 32, 300, 520)))
        match = rng.randbytes(4 * rng.choice((0, 1, 7, 200)))
        paths = rng.randbytes(16 * rng.choice((0, 1, 5)))
        terms = further(
            casefold=KEYS.casefold_term(b"x") if n & 2 else None,
            order=order if n & 4 else None,
            match=match if n & 8 else None,
            paths=paths if n & 16 else None,
        )
        plaintext = rng.randbytes(100_000 if n >= 96 else rng.randrange(50))
        value = KEYS.seal(plaintext, b"x" if n & 1 else None, terms)
        assert looks_sealed(value)
        await empty.connection.execute("INSERT INTO t VALUES ($1, $2)", n, value)
        expected.append(
            (
                KEYS.equality_term(b"x") if n & 1 else None,
                KEYS.casefold_term(b"x") if n & 2 else None,
                order if n & 4 else None,
                numbers(match) if n & 8 else None,
                [paths[at : at + 16] for at in range(0, len(paths), 16)] if n & 16 else None,
                cell_id(value),
            )
        )
    asked = ", ".join(f"sealgate.{name}(c)" for name in FUNCTIONS)
    rows = await empty.connection.fetch(f"SELECT {asked} FROM t ORDER BY n")
    assert [tuple(row) for row in rows] == expected


async def test_what_is_too_short_has_no_term(empty: Shop) -> None:
    """NULL, and no error, for bytes that are shorter than any sealed value."""
    await empty.sealed()
    asked = ", ".join(f"sealgate.{name}($1)" for name in FUNCTIONS)
    for value in (None, b"", b"\x5e\xa1\x01\x3d", bytes(37)):
        assert tuple(await empty.connection.fetchrow(f"SELECT {asked}", value))[:5] == (None,) * 5
        if value is None or len(value) < 36:
            assert await empty.connection.fetchval("SELECT sealgate.cell_id($1)", value) is None


async def test_a_length_that_lies_is_no_error(empty: Shop) -> None:
    """A trigger asks for the cell id of whatever is there: a DELETE must not fail for a value that was made up."""
    await empty.sealed()
    for flags in range(64):
        value = b"\x5e\xa1\x01" + bytes([flags & 0x3D]) + b"\xff" * 40
        await empty.connection.fetchval("SELECT sealgate.cell_id($1)", value)
