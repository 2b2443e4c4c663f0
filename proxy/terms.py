"""The search terms of a column's values: of those that are stored all that the column declares, of others what is compared.

A stored value carries a term for each entry of the column's `search`. A value that is only compared carries the one
that the comparison looks at, and no plaintext. Terms are made of forms: bytes in which what SQL calls equal is equal
(`LogicalType.equality_form`), in lower case (`cells.folding`), sorted as the values are (`cells.order`), the groups of
characters of a text (`cells.grams`), what stands at paths of a document (`cells.paths`).
"""

from __future__ import annotations

from typing import Final, final

from keystore import ColumnKeys
from keystore.order import truncated
from keystore.terms import further, split
from proxy import coercion
from proxy.catalog import SealedColumn
from proxy.cells import CellError, LogicalType, Settings
from proxy.cells.folding import lowered
from proxy.cells.grams import grams
from proxy.cells.like import read_pattern
from proxy.cells.order import order_form
from proxy.cells.paths import path_forms
from proxy.cells.settings import Convert
from proxy.cut import edged, operand
from proxy.sql.plan import COMPARISONS, Use

_NO_TEXT: Final = b"\0"
"""A form that no text has."""


@final
class StoredTerms:
    """What is sealed with each of a column's values."""

    __slots__ = ("_casefold", "_gram", "_keys", "_order", "_paths", "equality", "plain")

    def __init__(self, column: SealedColumn, keys: ColumnKeys) -> None:
        search, logical = column.search, column.type
        self._keys = keys
        self.equality: Convert | None = logical.equality if search.equality else None
        self._casefold = search.casefold
        order = search.order
        self._order = order_form(logical, order.prefix) if order is not None else None
        self._gram = search.match
        self._paths = column.path_keys
        self.plain = not (search.casefold or order is not None or search.match or search.paths)
        """There are none but that of equality."""

    def further(self, canonical: bytes) -> bytes:
        """For `ColumnKeys.seal`. Raises CellError for a value that cannot have the terms it needs."""
        keys = self._keys
        order = self._order
        return further(
            casefold=keys.casefold_term(_lowered(canonical)) if self._casefold else None,
            order=keys.order_term(order(canonical)) if order is not None else None,
            match=keys.gram_terms(grams(canonical, self._gram)) if self._gram else None,
            paths=keys.path_terms(path_forms(canonical, self._paths)) if self._paths else None,
        )

    def seal(self, canonical: bytes) -> bytes:
        form = self.equality
        return self._keys.seal(
            canonical,
            form(canonical) if form is not None else None,
            b"" if self.plain else self.further(canonical),
        )


@final
class ComparedTerms:
    """The terms of values of type `source` that are compared with a column. Raises CellError where there is no such comparison."""

    __slots__ = (
        "_by_order",
        "_casefold",
        "_equality",
        "_exact",
        "_keys",
        "_order",
        "_prefix",
        "_prefixed",
        "_settings",
        "_source",
        "_target",
    )

    def __init__(
        self,
        column: SealedColumn,
        keys: ColumnKeys,
        use: Use,
        source: LogicalType,
        settings: Settings,
    ) -> None:
        search = column.search
        by = search.equality_function if Use.COMPARED in use else None
        self._keys = keys
        self._source, self._target, self._settings = source, column.type, settings
        self._equality = by == "eq"
        self._exact = Use.FOLDED_EXACT in use
        self._casefold = by == "eq_casefold" or bool(use & (Use.FOLDED | Use.FOLDED_EXACT))
        self._by_order = by == "ord"
        self._order = self._by_order or Use.ORDERED in use
        self._prefixed = Use.PREFIXED in use
        self._prefix = search.order.prefix if search.order is not None else 0
        if self._exact and (Use.FOLDED in use or by == "eq_casefold"):
            raise CellError("0A000", "one parameter is compared both with and without lower()")
        if self._prefixed and use & COMPARISONS != Use.PREFIXED:
            raise CellError("0A000", "one parameter is a pattern and a value")

    def seal(self, canonical: bytes) -> bytes:
        """The terms alone: nothing is in it to be unsealed."""
        equality = self._equality_form(canonical) if self._equality else None
        return self._keys.seal(b"", equality, self._further(canonical))

    def same(self, canonical: bytes, stored: StoredTerms, plaintext: bytes) -> bool:
        """Whether the value as it is compared has the terms that it has as it is stored."""
        alike = True
        if self._equality:
            form = stored.equality
            alike = form is not None and self._equality_form(canonical) == form(plaintext)
        if alike and (self._casefold or self._order):
            alike = _contains(stored.further(plaintext), self._further(canonical))
        return alike and not self._prefixed

    def term(self, canonical: bytes) -> bytes:
        """Of an item of an array: the bare term."""
        if self._equality:
            return self._keys.equality_term(self._equality_form(canonical))
        if self._casefold:
            return self._casefold_term(canonical)
        return self._order_term(canonical)

    def _further(self, canonical: bytes) -> bytes:
        order = None
        if self._order:
            order = self._order_term(canonical)
        elif self._prefixed:
            order = self._prefix_term(canonical)
        return further(
            casefold=self._casefold_term(canonical) if self._casefold else None, order=order
        )

    def _equality_form(self, canonical: bytes) -> bytes:
        return coercion.compared(self._source, self._target, canonical, self._settings)

    def _casefold_term(self, canonical: bytes) -> bytes:
        text = self._equality_form(canonical)
        form = _lowered(text)
        return self._keys.casefold_term(_NO_TEXT if self._exact and form != text else form)

    def _order_term(self, canonical: bytes) -> bytes:
        if self._by_order:
            # IN takes some values to the column's type first: what then parts from `=` is refused.
            self._equality_form(canonical)
        found = operand(self._source, self._target, self._prefix, canonical, self._settings)
        return edged(self._keys.order_term(found.form), found.edge)

    def _prefix_term(self, pattern: bytes) -> bytes:
        start = _beginning(pattern)
        if len(start) > self._prefix:
            raise CellError(
                "0A000",
                f"a pattern that begins with more than {self._prefix} bytes, by which its column is ordered",
            )
        form = order_form(self._target, self._prefix)(start)
        return truncated(self._keys.order_term(form), len(start))


def _beginning(pattern: bytes) -> bytes:
    """What stands before the `%` at the end of a pattern that has nothing else in it. Raises CellError for any other."""
    segments = read_pattern(pattern.decode()).segments
    first = [character for character in segments[0] if character is not None]
    if len(segments) != 2 or segments[1] or len(first) != len(segments[0]):
        raise CellError(
            "0A000",
            "a pattern other than characters and one % at the end, in a column that has an order alone",
        )
    return "".join(first).encode()


def _lowered(canonical: bytes) -> bytes:
    return lowered(canonical.decode()).encode()


def _contains(stored: bytes, compared: bytes) -> bool:
    """Both as `terms.further` gives them; the one has all that the other has."""
    if not compared:
        return True
    found = split(stored[0], stored[1:]) if stored else {}
    return all(found.get(flag) == term for flag, term in split(compared[0], compared[1:]).items())
