"""A pattern of LIKE as a client gives it: the terms that the server looks for, and the test of what it finds.

What a text must have to match is in the grams of the pattern (`cells.like`). A pattern in which nothing is as long as a
gram would make the server show every row, to be tested one by one: it is refused. Only `%` alone needs no gram, and no test.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from typing import Final, final

from keystore import ColumnKeys
from keystore.grams import GRAM_TERM_SIZE
from proxy.catalog import SealedColumn
from proxy.cells import CellError, LogicalType, sql_name
from proxy.cells.folding import lowered, uppered
from proxy.cells.like import Like, read_pattern
from proxy.given import ValueRefused
from proxy.shape import INT4_OID
from proxy.sql.plan import Pattern, Refusal

_HEADER: Final = struct.Struct("!iiIii")
_EMPTY: Final = struct.pack("!iiI", 0, 0, INT4_OID)
_TERM_LENGTH: Final = GRAM_TERM_SIZE.to_bytes(4, "big")
_FUNCTIONS: Final[dict[str, Callable[[str], str]]] = {"": str, "lower": lowered, "upper": uppered}
_TEXTS: Final = ("text", "varchar")


@final
class Matcher:
    """Whether a value matches. It holds what the client looks for, and does not print it."""

    __slots__ = ("_like", "_of_column")

    def __init__(self, like: Like, of_column: str) -> None:
        self._like = like
        self._of_column = _FUNCTIONS[of_column]

    def __repr__(self) -> str:
        return "<Matcher>"

    def matches(self, canonical: bytes) -> bool:
        """`canonical`: of a text."""
        return self._like.matches(self._of_column(canonical.decode()))


Matchers = Mapping[int, Matcher | None]
"""Those of one execution, by `Test.source`; None: the pattern is NULL, and nothing matches."""


@final
class PatternTerms:
    """Patterns given as type `source`. Raises CellError for a type that has no LIKE, or that is read as another one."""

    __slots__ = ("_column", "_keys", "_pattern", "_size")

    def __init__(
        self, column: SealedColumn, keys: ColumnKeys, pattern: Pattern, source: LogicalType
    ) -> None:
        if source.name not in _TEXTS:
            raise CellError("0A000", f"a pattern of type {sql_name(source)}, which is no text")
        self._column = column.label
        self._keys = keys
        self._pattern = pattern
        self._size = column.search.match

    def matcher(self, canonical: bytes) -> Matcher:
        """Raises CellError for what is no pattern."""
        return Matcher(self._read(canonical), self._pattern.of_column)

    def array(self, canonical: bytes) -> bytes:
        """The terms of all grams that the pattern requires: an int4[] in binary form (array_send).

        Raises ValueRefused where it requires none, CellError for what is no pattern.
        """
        like = self._read(canonical)
        grams = like.grams(self._size) if self._size else []
        if not grams:
            if like.anything and self._size:
                return _EMPTY
            raise ValueRefused(_too_short(self._column, self._size))
        terms = self._keys.gram_terms(grams)
        count = len(terms) // GRAM_TERM_SIZE
        parts = [_HEADER.pack(1, 0, INT4_OID, count, 1)]
        for at in range(0, len(terms), GRAM_TERM_SIZE):
            parts.append(_TERM_LENGTH)
            parts.append(terms[at : at + GRAM_TERM_SIZE])
        return b"".join(parts)

    def _read(self, canonical: bytes) -> Like:
        how = self._pattern
        text = _FUNCTIONS[how.function](canonical.decode())
        whole = how.before + text + how.after
        return read_pattern(whole, how.escape, insensitive=how.insensitive)


def _too_short(column: str, size: int) -> Refusal:
    if not size:
        return Refusal(
            "0A000",
            f"sealed column {column} is not declared for LIKE any more",
            'Add "match" to the column\'s search.',
        )
    return Refusal(
        "0A000",
        f"the pattern is too short to look for in sealed column {column}",
        f"Look for at least {size} characters side by side, one less at the beginning or the end of the text"
        + ('; or declare "match:2".' if size > 2 else "."),
    )
