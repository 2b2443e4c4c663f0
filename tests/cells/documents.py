"""Random jsonb documents and operands, from so few keys and scalars that they meet."""

from __future__ import annotations

import json
import random

KEYS = ("a", "b", "c.d", 'q"', "0", "é")
SCALARS = (
    *('"x"', '"X"', '""', '"5"', '"true"', '"null"', '"1.50"', '"[1]"', '"[draft] x"', '"é"'),
    *('"e\u0301"', '"x "', '"{}"', '"a\\nb"', '"\\u00e9"', '"😀"'),
    *(
        "5",
        "5.0",
        "-5",
        "1.5",
        "1.50",
        "1e2",
        "100",
        "0.0",
        "-0",
        "1E-3",
        "12345678901234567890.10",
    ),
    *("true", "false", "null"),
)


def _key(rng: random.Random) -> str:
    return rng.choice(KEYS[:2] if rng.random() < 0.7 else KEYS)


def path(rng: random.Random) -> tuple[str, ...]:
    """Of one or two keys."""
    return tuple(_key(rng) for _ in range(rng.choice((1, 1, 2))))


def document(rng: random.Random, depth: int = 3) -> str:
    """A document as a client may write it: keys given twice, numbers in any notation."""
    kind = rng.random()
    if depth and kind < (0.9 if depth == 3 else 0.5):
        members = (
            f"{json.dumps(_key(rng), ensure_ascii=False)}:{document(rng, depth - 1)}"
            for _ in range(rng.randint(depth - 1, 4))
        )
        return "{" + ", ".join(members) + "}"
    if depth and kind < (0.95 if depth == 3 else 0.6):
        return "[" + ",".join(document(rng, depth - 1) for _ in range(rng.randint(0, 2))) + "]"
    return rng.choice(SCALARS)


def template(rng: random.Random, depth: int = 2) -> str:
    """An operand of `@>`: mostly an object of objects with scalars in it."""
    if rng.random() < 0.15:
        return document(rng)
    members = []
    for key in sorted({_key(rng) for _ in range(rng.choice((1, 1, 2)))}):
        inner = template(rng, depth - 1) if depth and rng.random() < 0.4 else rng.choice(SCALARS)
        members.append(f"{json.dumps(key, ensure_ascii=False)}: {inner}")
    return "{" + ", ".join(members) + "}"
