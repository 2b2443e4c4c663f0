"""Random statements that sort, over columns of every type: what they give is the same on both tables, row for row.

Each ends in an order that leaves nothing open, or gives one row.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from proxy.cells.logical import TYPES
from tests.cells import ordered
from tests.integration.types.twins import Statement, quoted

DIRECTIONS: Final = ("", " ASC", " DESC")
NULLS: Final = ("", "", " NULLS FIRST", " NULLS LAST")
EXACT: Final = tuple(name for name in ordered.NAMES if name not in ("text", "varchar"))


@dataclass(frozen=True, slots=True)
class Draw:
    """Chance, and the values that the columns hold."""

    rng: random.Random
    pools: Mapping[str, list[bytes]]

    def name(self) -> str:
        return self.rng.choice(ordered.NAMES)

    def exact(self) -> str:
        """Of a type whose values all have a place of their own."""
        return self.rng.choice(EXACT)

    def column(self) -> str:
        return f"c_{self.name()}"

    def way(self) -> str:
        return self.rng.choice(DIRECTIONS) + self.rng.choice(NULLS)

    def keys(self, prefix: str = "") -> str:
        """One to three columns, each its own way, and the id."""
        names = self.rng.sample(ordered.NAMES, self.rng.randint(1, 3))
        return ", ".join([*(f"{prefix}c_{name}{self.way()}" for name in names), f"{prefix}id"])

    def value(self, name: str) -> str:
        return TYPES[name].to_text(self.rng.choice(self.pools[name]), ordered.DEFAULTS).decode()

    def where(self) -> str:
        """A range, or nothing."""
        name = self.name()
        op = self.rng.choice(("<", "<=", ">", ">=", "<>", "="))
        return self.rng.choice(("", f" WHERE c_{name} {op} {quoted(self.value(name))}"))

    def limit(self) -> str:
        r = self.rng
        return r.choice(("", f" LIMIT {r.randint(0, 9)}", f" LIMIT 7 OFFSET {r.randint(0, 20)}"))


def plain(d: Draw) -> Statement:
    return Statement(
        f"SELECT id, {d.column()} FROM {{t}}{d.where()} ORDER BY {d.keys()}{d.limit()}"
    )


def ordinals(d: Draw) -> Statement:
    return Statement(
        f"SELECT {d.column()}, {d.column()} AS x, id FROM {{t}}{d.where()}"
        f" ORDER BY 2{d.way()}, 1{d.way()}, 3{d.limit()}"
    )


def output_names(d: Draw) -> Statement:
    return Statement(
        f"SELECT {d.column()} AS key, id FROM {{t}} ORDER BY key{d.way()}, id{d.limit()}"
    )


def ties(d: Draw) -> Statement:
    """All that tie with the last one, in any order: sorted again by id."""
    inner = f"SELECT id FROM {{t}}{d.where()} ORDER BY {d.column()}{d.way()} FETCH FIRST 5 ROWS WITH TIES"
    return Statement(f"SELECT id FROM ({inner}) AS s ORDER BY id")


def page(d: Draw) -> Statement:
    """The rows behind a row, up or down, by a row comparison or spelled out, by parameters."""
    name = d.name()
    op, way = d.rng.choice(((">", ""), ("<", " DESC")))
    behind = d.rng.choice(
        (f"(c_{name}, id) {op} ($1, $2)", f"(c_{name} {op} $1 OR (c_{name} = $1 AND id {op} $2))")
    )
    values = (d.value(name).encode(), str(d.rng.randint(0, 60)).encode())
    order = f"ORDER BY c_{name}{way}, id{way}"
    return Statement(f"SELECT id, c_{name} FROM {{t}} WHERE {behind} {order} LIMIT 6", values)


def extremes(d: Draw) -> Statement:
    one, two = d.exact(), d.exact()
    least = quoted(d.value(two))
    return Statement(
        f"SELECT min(c_{one}), max(c_{two}) FILTER (WHERE c_{two} < {least}), count(*) FROM {{t}}{d.where()}"
    )


def extremes_of_groups(d: Draw) -> Statement:
    return Statement(
        f"SELECT id % 5, max(c_{d.exact()}), min(c_{d.exact()}) FROM {{t}} GROUP BY 1 ORDER BY 1"
    )


def at_the_extreme(d: Draw) -> Statement:
    name = d.exact()
    condition = d.rng.choice(
        (
            f"c_{name} = (SELECT max(c_{name}) FROM {{t}})",
            f"c_{name} <= ALL (SELECT c_{name} FROM {{t}} WHERE c_{name} IS NOT NULL)",
            f"NOT EXISTS (SELECT FROM {{t}} AS o WHERE o.c_{name} > {{t}}.c_{name})",
        )
    )
    return Statement(f"SELECT id, c_{name} FROM {{t}} WHERE {condition} ORDER BY id")


def grouped(d: Draw) -> Statement:
    name = d.exact()
    having = d.rng.choice(("", " HAVING count(*) > 2"))
    return Statement(
        f"SELECT c_{name}, count(*) FROM {{t}}{d.where()} GROUP BY c_{name}{having} ORDER BY c_{name}{d.way()}{d.limit()}"
    )


def distinct(d: Draw) -> Statement:
    name = d.exact()
    return Statement(
        f"SELECT DISTINCT c_{name} FROM {{t}}{d.where()} ORDER BY c_{name}{d.way()}{d.limit()}"
    )


def distinct_on(d: Draw) -> Statement:
    name = d.exact()
    return Statement(
        f"SELECT DISTINCT ON (c_{name}) id, c_{name} FROM {{t}} ORDER BY c_{name}{d.way()}, {d.keys()}"
    )


def counted(d: Draw) -> Statement:
    return Statement(f"SELECT count(DISTINCT {d.column()}) FROM {{t}}{d.where()}")


def windows(d: Draw) -> Statement:
    return Statement(
        f"SELECT id, row_number() OVER (ORDER BY {d.keys()}), rank() OVER w, dense_rank() OVER w,"
        f" count(*) OVER (PARTITION BY {d.column()}), lag(id) OVER (PARTITION BY {d.column()} ORDER BY {d.keys()})"
        f" FROM {{t}} WINDOW w AS (ORDER BY {d.column()}{d.way()}) ORDER BY id"
    )


def extreme_windows(d: Draw) -> Statement:
    return Statement(
        f"SELECT id, max(c_{d.exact()}) OVER (PARTITION BY id % 3),"
        f" min(c_{d.exact()}) OVER (ORDER BY {d.keys()}) FROM {{t}} ORDER BY id"
    )


def collected(d: Draw) -> Statement:
    return Statement(f"SELECT array_agg(id ORDER BY {d.keys()}) FROM {{t}}{d.where()}")


def derived(d: Draw) -> Statement:
    inner = f"SELECT id, {d.column()} AS k FROM {{t}} ORDER BY {d.keys()} LIMIT 20"
    return Statement(f"SELECT id, k FROM ({inner}) AS s ORDER BY k{d.way()}, id{d.limit()}")


def named_query(d: Draw) -> Statement:
    return Statement(
        f"WITH w AS (SELECT id, {d.column()} AS k FROM {{t}}{d.where()}) SELECT * FROM w ORDER BY 2{d.way()}, 1"
    )


def joined(d: Draw) -> Statement:
    name = d.exact()
    op = d.rng.choice(("<", "<=", ">", ">=", "="))
    return Statement(
        f"SELECT a.id, b.id FROM {{t}} AS a JOIN {{t}} AS b ON a.c_{name} {op} b.c_{name} AND a.id < b.id"
        f" ORDER BY a.c_{name}{d.way()}, a.id, b.id LIMIT 40"
    )


SHAPES: Final[tuple[Callable[[Draw], Statement], ...]] = (
    *(plain, ordinals, output_names, ties, page, extremes, extremes_of_groups, at_the_extreme),
    *(grouped, distinct, distinct_on, counted, windows, extreme_windows, collected),
    *(derived, named_query, joined),
)
