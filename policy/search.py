"""What a column's `search` declares: which questions the database may answer on its sealed values, by which terms.

    "equality"            equal or not
    "equality:casefold"   equal or not, upper and lower case alike (citext)
    "order"               which of two is less; of texts: "order:C:16", by collation C and the first 16 bytes
    "match", "match:4"    LIKE, by groups of 3 (4) characters
    "path:address.city"   equality of what stands at that path of a jsonb

Nothing is searchable unless it is declared here. What each costs is in docs/leakage.md.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from policy.errors import PolicyError
from policy.paths import path_keys

EXAMPLES: Final = '"equality", "equality:casefold", "order", "order:C:16" (texts), "match", "match:4", "path:key.key" (jsonb)'
DEFAULT_GRAM: Final = 3
LONGEST_GRAM: Final = 8
LONGEST_PREFIX: Final = 64
"""Bytes; a term has 8 times as many, and an entry of a btree at most some 2,700."""
MOST_PATHS: Final = 64

TEXTS: Final = frozenset(
    {
        *("text", "varchar", "character varying", "char varying", "nchar varying"),
        *("national character varying", "national char varying"),
    }
)
_ORDERED: Final = frozenset(
    {
        *(
            "smallint",
            "int2",
            "integer",
            "int",
            "int4",
            "bigint",
            "int8",
            "numeric",
            "decimal",
            "dec",
        ),
        *(
            "real",
            "float4",
            "float",
            "float8",
            "double precision",
            "date",
            "timestamp",
            "timestamptz",
        ),
        *("timestamp without time zone", "timestamp with time zone"),
    }
)
_NUMBER: Final = re.compile(r"[1-9][0-9]{0,3}")


@dataclass(frozen=True, slots=True)
class Order:
    """prefix: bytes of a text by which it is sorted, 0 for types whose every value has a place of its own."""

    collation: str = ""
    prefix: int = 0

    @property
    def exact(self) -> bool:
        """Two values have the same term only if they are equal."""
        return not self.prefix


@dataclass(frozen=True, slots=True)
class Search:
    """What is declared. A false one declares nothing."""

    equality: bool = False
    casefold: bool = False
    order: Order | None = None
    match: int = 0
    """Characters of a group; 0: not declared."""
    paths: tuple[str, ...] = ()
    """As declared, sorted."""

    def __bool__(self) -> bool:
        return self != _NOTHING

    @property
    def equality_function(self) -> str | None:
        """The function of schema sealgate whose terms `=` compares; None: it may not be compared."""
        if self.equality:
            return "eq"
        if self.casefold:
            return "eq_casefold"
        return "ord" if self.order is not None and self.order.exact else None

    @property
    def declared(self) -> tuple[str, ...]:
        """As in the configuration, in one order."""
        found = ["equality"] if self.equality else []
        if self.casefold:
            found.append("equality:casefold")
        if self.order is not None:
            text = f":{self.order.collation}:{self.order.prefix}" if self.order.prefix else ""
            found.append(f"order{text}")
        if self.match:
            found.append("match" if self.match == DEFAULT_GRAM else f"match:{self.match}")
        return (*found, *(f"path:{path}" for path in self.paths))


_NOTHING: Final = Search()


def read_search(declared: Iterable[str], key: str) -> Search:
    """What the strings declare. Raises PolicyError, at `key`, for one that is none or that contradicts another."""
    equality = casefold = False
    order: Order | None = None
    match = 0
    paths: list[str] = []
    for entry in declared:
        kind, _, argument = entry.partition(":")
        if entry == "equality":
            equality = True
        elif entry == "equality:casefold":
            casefold = True
        elif kind == "order":
            found = _order(argument, entry, key)
            if order not in (None, found):
                raise PolicyError(key, "declares two orders", "Keep one of them.")
            order = found
        elif kind == "match":
            length = _gram(argument, entry, key)
            if match not in (0, length):
                raise PolicyError(key, "declares match twice", "Keep one of them.")
            match = length
        elif kind == "path" and argument:
            paths.append(_path(argument, entry, key))
        else:
            raise PolicyError(key, f"{entry!r} is no search", f"Known: {EXAMPLES}.")
    if len(set(paths)) > MOST_PATHS:
        raise PolicyError(key, f"declares more than {MOST_PATHS} paths", "Declare fewer.")
    return Search(equality, casefold, order, match, tuple(sorted(set(paths))))


def _order(argument: str, entry: str, key: str) -> Order:
    if not argument:
        return Order()
    collation, _, prefix = argument.partition(":")
    if collation != "C" or not _NUMBER.fullmatch(prefix) or int(prefix) > LONGEST_PREFIX:
        raise PolicyError(
            key,
            f"{entry!r} is no order",
            f'Write "order", or for texts "order:C:16": collation C, and the first bytes (at most {LONGEST_PREFIX}).',
        )
    return Order(collation, int(prefix))


def _gram(argument: str, entry: str, key: str) -> int:
    if not argument and entry == "match":
        return DEFAULT_GRAM
    length = int(argument) if _NUMBER.fullmatch(argument) else 0
    if not 2 <= length <= LONGEST_GRAM:
        raise PolicyError(
            key, f"{entry!r} is no match", f'Write "match", or "match:2" to "match:{LONGEST_GRAM}".'
        )
    return length


def _path(argument: str, entry: str, key: str) -> str:
    problem = False
    try:
        path_keys(argument)
    except ValueError:
        problem = True
    if problem:
        raise PolicyError(
            key,
            f"{entry!r} is no path",
            'Write keys with dots between, "path:address.city"; a key with a dot or a quote in it in quotes.',
        )
    return argument


def check_search(search: Search, name: str, key: str) -> None:
    """Raises PolicyError where the type of this name, without modifiers, has no such search."""
    if not search:
        return
    if name == "json":
        raise PolicyError(key, "json has no equality in PostgreSQL", "Use jsonb.")
    order = search.order
    is_text = name in TEXTS
    if order is not None and is_text and not order.prefix:
        raise PolicyError(
            key,
            "the order of texts depends on a collation and on how much of them is looked at",
            'Write "order:C:16": collation C, and the first 16 bytes.',
        )
    if order is not None and not is_text and (order.prefix or name not in _ORDERED):
        raise PolicyError(
            key,
            f"there is no such order for type {name}",
            'Numbers, dates and timestamps have "order", text and varchar "order:C:16".',
        )
    for declares, what in ((search.casefold, "equality:casefold"), (search.match, "match")):
        if declares and not is_text:
            raise PolicyError(key, f"{what} is for text and varchar, not for {name}", "Remove it.")
    if search.paths and name != "jsonb":
        raise PolicyError(key, f"paths are for jsonb, not for {name}", "Remove them.")
