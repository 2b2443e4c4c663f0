"""Two tables with a column of each type that has an order, one plain and one sealed, and a table of visits.

The plain one's texts have collation C, which is what `order:C:8` declares of the sealed ones.
"""

from __future__ import annotations

import random
from typing import Final

from proxy.cells import LogicalType
from proxy.cells.logical import TYPES
from proxy.cells.order import order_form
from tests.cells import ordered
from tests.integration.types.twins import Statement, Twins

PREFIX: Final = ordered.PREFIX
OPERATORS: Final = ("<", "<=", ">", ">=")
TEXTS: Final = ("text", "varchar")

_PLAIN: Final = ", ".join(
    f"c_{name} {name}" + (' COLLATE "C"' if name in TEXTS else "") for name in ordered.NAMES
)
_SEALED: Final = ", ".join(f"c_{name} {name}" for name in ordered.NAMES)
SCHEMA: Final = f"""
CREATE TABLE plain (id int PRIMARY KEY, {_PLAIN});
CREATE TABLE twin (id int PRIMARY KEY, {_SEALED});
CREATE TABLE visits (id int PRIMARY KEY, day date, fee numeric(10,2), place text, n int);
GRANT ALL ON ALL TABLES IN SCHEMA public TO PUBLIC;
"""
"""Column c_TYPE of each type with an order."""
COLUMNS: Final = "\n".join(
    [
        *(
            f'[columns."public.twin.c_{name}"]\ntype = "{name}"\nsearch = '
            + (f'["equality", "order:C:{PREFIX}"]' if name in TEXTS else '["order"]')
            for name in ordered.NAMES
        ),
        '[columns."public.visits.day"]\ntype = "date"\nsearch = ["order"]',
        '[columns."public.visits.fee"]\ntype = "numeric(10,2)"\nsearch = ["order"]\nmask = "null"',
        '[columns."public.visits.place"]\ntype = "text"\nsearch = ["equality", "order:C:16"]',
        '[columns."public.visits.n"]\ntype = "int"\nsearch = ["equality"]',
        '[roles.shop_app]\nclear = ["public.twin.*", "public.visits.*"]\nwrite = ["public.twin.*", "public.visits.*"]',
        '[roles.support]\nmasked = ["public.visits.fee"]\nclear = ["public.visits.place"]',
    ]
)


def sampled(logical: LogicalType, rng: random.Random, count: int) -> list[bytes]:
    """Canonical: extremes as well as random values."""
    values = [value for value in ordered.samples(logical, rng, 300) if len(value) <= 88]
    return rng.sample(values, min(count, len(values)))


def fill(twins: Twins, name: str, values: list[bytes]) -> None:
    """The same in both twins, by parameters in binary, and a NULL."""
    oid = TYPES[name].oid
    sql = f"INSERT INTO {{t}} (id, c_{name}) VALUES ($1, $2)"
    for number, value in enumerate((*values, None)):
        statement = Statement(sql, (str(number).encode(), value), (23, oid), (0, 1))
        expected, got = twins.run(statement)
        assert expected == got


def found(name: str, condition: str) -> str:
    return f"SELECT id, c_{name} FROM {{t}} WHERE {condition} ORDER BY id".replace(
        "{c}", f"c_{name}"
    )


def is_refused(name: str, value: bytes) -> bool:
    return name in TEXTS and len(value) > PREFIX


def unlike(name: str, values: list[bytes]) -> list[bytes]:
    """Of those that are equal, 1.0 and 1.00, one: the two tables may show either as the greatest or as a group's."""
    read = order_form(TYPES[name], PREFIX if name in TEXTS else 0)
    found: dict[bytes, bytes] = {}
    for value in values:
        if not is_refused(name, value):
            found.setdefault(read(value), value)
    return list(found.values())
