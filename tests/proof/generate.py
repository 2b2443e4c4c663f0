"""Random sessions over unprotected tables: seeded, and the same seed is the same session.

Statements come from small grammars over the tables of `twins`; they go out by the simple protocol, by the extended one
with whatever formats, names, limits and descriptions, or in pipelines with errors in them.
"""

from __future__ import annotations

import random
from collections.abc import Callable

from tests.proof.talk import (
    FLUSHED,
    READY,
    SYNC,
    Script,
    Step,
    Until,
    bind,
    close,
    describe,
    execute,
    parse,
    query,
)

COLUMNS = ("id", "b", "i2", "i8", "f8", "n", "t", "v", "c", "by", "d", "ts", "tz", "iv", "u", "jb")
CONDITIONS = (
    "id < {n}",
    "b",
    "t LIKE '%{n}%'",
    "n > {n}",
    "i2 IN (1, {n})",
    "t IS NULL",
    "id / ({n} - id) > 0",
)
VALUES = (
    "1",
    "'x'",
    "NULL",
    "now() IS NULL",
    "'é€'",
    "E'a\\nb'",
    "$$customers$$",
    "1.50",
    "ARRAY[1, NULL]",
    "ROW(1, 'a')",
)


def session(seed: int) -> Script:
    rng = random.Random(seed)
    steps: list[Step] = []
    for _ in range(rng.randint(3, 12)):
        steps += rng.choice(PARTS)(rng)
    return Script(f"random-{seed}", (query("BEGIN"), READY, *steps, query("ROLLBACK"), READY))


def select(rng: random.Random) -> str:
    listed = ", ".join(
        rng.sample(COLUMNS, rng.randint(1, 5)) + rng.sample(VALUES, rng.randint(0, 2))
    )
    text = f"SELECT {listed} FROM typed"
    if rng.random() < 0.6:
        text += " WHERE " + rng.choice(CONDITIONS).format(n=rng.randint(0, 22))
    if rng.random() < 0.5:
        text += f" ORDER BY id LIMIT {rng.randint(0, 30)}"
    return text


def statement(rng: random.Random) -> str:
    number = rng.randint(-99, -1)
    return rng.choice(
        (
            select(rng),
            select(rng),
            f"INSERT INTO plain (id, email, n) VALUES ({number}, 'customers {number}', {number}) RETURNING *",
            f"UPDATE plain SET n = n + 1, email = {rng.choice(VALUES[:3])} WHERE id < {number} RETURNING id, n",
            f"DELETE FROM plain WHERE id = {number}",
            f"WITH w AS ({select(rng)}) SELECT count(*) FROM w",
            f"SELECT say('{number}')",
            f"SELECT email FROM other.customers WHERE id = {abs(number) % 3}",
            f"VALUES ({number}, 'a'), (2, NULL)",
            f"SELECT 1 / ({number} + {rng.randint(1, 99)})",
            "SELECT nothing",
            "SELEC",
            "",
            "SHOW search_path",
            "SELECT * FROM plain_view",
        )
    )


def guarded(steps: list[Step], rng: random.Random) -> list[Step]:
    """Most errors are behind a savepoint, so that the transaction goes on."""
    if rng.random() < 0.2:
        return steps
    return [query("SAVEPOINT s"), READY, *steps, query("ROLLBACK TO s"), READY]


def simple(rng: random.Random) -> list[Step]:
    several = [statement(rng) for _ in range(rng.choice((1, 1, 1, 3)))]
    # Unreadable, and near a name like a sealed table's: that is another error's words (`test_differences`).
    text = "SELEC" if "SELEC" in several else "; ".join(several)
    return guarded([query(text), READY], rng)


def parameters(rng: random.Random) -> tuple[str, list[bytes | None]]:
    number = str(rng.randint(0, 25)).encode()
    found: tuple[tuple[str, list[bytes | None]], ...] = (
        ("SELECT id, t, n FROM typed WHERE id = $1", [number]),
        (
            "SELECT $1::text, $2::int8",
            [rng.choice((b"x", None, "é".encode(), b"\xff")), number],
        ),
        ("SELECT t FROM typed WHERE t = ANY($1)", [b"{text 1,customers}"]),
        (
            "INSERT INTO plain (id, email) VALUES ($1, $2) RETURNING email",
            [b"-5" + number, b"e"],
        ),
        ("SELECT $1::date + $2::int", [rng.choice((b"2024-01-01", b"never")), number]),
        ("SELECT repeat($1, $2)", [b"ab", number]),
    )
    return rng.choice(found)


def extended(rng: random.Random) -> list[Step]:
    text, values = parameters(rng) if rng.random() < 0.5 else (statement(rng), [])
    name, portal = rng.choice((("", ""), ("", "p"), ("s", ""), ("s", "p")))
    sent = parse(text, name)
    if rng.random() < 0.4:
        sent += describe(name, "S")
    formats = rng.choice(((), (0,), (0,) * len(values)))
    sent += bind(
        *values, portal=portal, name=name, formats=formats, results=rng.choice(((), (0,), (1,)))
    )
    if rng.random() < 0.5:
        sent += describe(portal)
    for _ in range(rng.choice((1, 1, 2))):
        sent += execute(portal, rng.choice((0, 0, 1, 3)))
    if rng.random() < 0.2:
        sent += FLUSHED
    closes = (close(portal) if portal else b"") + (close(name, "S") if name else b"")
    steps: list[Step] = [sent + SYNC, READY]
    if closes:
        steps += [closes + SYNC, READY]
    return guarded(steps, rng)


def pipeline(rng: random.Random) -> list[Step]:
    sent = b""
    syncs = 1
    for _ in range(rng.randint(2, 8)):
        text = statement(rng)
        sent += parse(text) + bind(results=rng.choice(((), (1,)))) + describe() + execute()
        if rng.random() < 0.3:
            sent += SYNC
            syncs += 1
    return guarded([sent + SYNC, Until("Z", syncs)], rng)


PARTS: tuple[Callable[[random.Random], list[Step]], ...] = (simple, extended, extended, pipeline)
