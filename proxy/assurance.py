"""Whether the server vouches that every stored value of a column carries the search terms that are declared.

Comparing by a term finds the rows that carry it; a row without it, or with one that was made by another declaration, is
missed, and nobody is told. So `sealgate apply` leaves a CHECK on the column for each of its terms when all rows have
them, and its name says which: the function of schema sealgate that takes the term out, and a digest of all that the term
depends on but the keys. Where one of them is missing, or not validated, the column is `incomplete`: it is written with its
terms, and not compared. Before apply changes what a CHECK speaks of it gives it another name (`receding`): proxies no longer
find it and refuse, while the server still holds every writer to it; once all have seen that it is dropped.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection
from typing import Final

from policy import Search
from proxy.catalog import SealedColumn

PREFIX: Final = "sealgate_terms_"
_DIGEST_LENGTH: Final = 16
_GOING: Final = "x"
_MEANING: Final = 1
"""Raise it when a declaration comes to mean other terms than before."""


def declared_functions(search: Search) -> tuple[str, ...]:
    """The functions of schema sealgate that take declared terms out of a value, in the order in which these are stored."""
    return tuple(function for function, said in _declared(search).items() if said)


def name(column: SealedColumn, function: str) -> str:
    """Of the CHECK for one of the column's terms: a name of its own among those of the table."""
    meaning = [
        _MEANING,
        function,
        _declared(column.search)[function],
        column.label,
        column.search_group,
        column.type.name,
    ]
    text = json.dumps(meaning, ensure_ascii=False, separators=(",", ":"))
    digest = hashlib.sha256(text.encode()).hexdigest()[:_DIGEST_LENGTH]
    return f"{PREFIX}{function}_{digest}"


def receding(constraint: str) -> str:
    """The name of one that goes: no digest begins so."""
    head, _, digest = constraint.rpartition("_")
    return f"{head}_{_GOING}{digest[1:]}"


def is_complete(column: SealedColumn, validated: Collection[str]) -> bool:
    """`validated`: the names of the column's valid CHECKs."""
    return all(
        name(column, function) in validated for function in declared_functions(column.search)
    )


def _declared(search: Search) -> dict[str, list[str]]:
    """Function -> the entries of `search` that its terms are made for."""
    kinds: dict[str, list[str]] = {"eq": [], "eq_casefold": [], "ord": [], "match": [], "paths": []}
    for entry in search.declared:
        kind = entry.partition(":")[0]
        function = "eq_casefold" if entry == "equality:casefold" else _FUNCTIONS[kind]
        kinds[function].append(entry)
    return kinds


_FUNCTIONS: Final = {"equality": "eq", "order": "ord", "match": "match", "path": "paths"}
