"""By which of its terms a sealed column is compared, as its `search` declares, and whose terms are alike.

    email = 'x'                  sealgate.eq(email) = sealgate.eq(...)                      "equality"
    birth < '2000-01-01'         sealgate.ord(birth) < sealgate.ord(...)                    "order"
    lower(email) = lower('X')    sealgate.eq_casefold(email) = sealgate.eq_casefold(...)    "equality:casefold"

A column without "equality" is compared by its case-folded terms where it has these, else by those of an order that tells
all values apart. What is not declared is refused, with the entry that is missing. Every use is a touch: Access.COMPARE.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from policy import Access
from proxy.catalog import SCHEMA, SealedColumn
from proxy.sql import refusals
from proxy.sql.draft import Draft
from proxy.sql.plan import Use
from proxy.sql.scope import SealedRef


@dataclass(frozen=True, slots=True)
class By:
    """The terms that stand for a column's values in one comparison."""

    function: str
    """Of schema sealgate: takes the term out of a sealed value."""
    use: Use
    """Of a value that is compared with the column: which term it needs."""
    prefix: int = 0
    """Bytes of a text that its term tells; 0: all that there is to compare."""
    collation: str = ""
    """Of the order that the terms are in, for texts."""

    @property
    def of_value(self) -> Use:
        """Of one that stands there as it is: what lower() gives is compared with it, not with what lower() makes of it."""
        return Use.FOLDED_EXACT if self.use is Use.FOLDED else self.use

    @property
    def opening(self) -> str:
        return f"{SCHEMA}.{self.function}("


Pick = Callable[[Draft, SealedRef], By]
"""What a column is compared by; raises Refused for a column that may not be."""

FOLDED: Final = By("eq_casefold", Use.FOLDED)


def equality(draft: Draft, ref: SealedRef) -> By:
    """For `=` and what means the same."""
    function = _declared(ref).search.equality_function
    if function is None:
        raise refusals.not_searchable(ref.label)
    draft.touch(ref, Access.COMPARE)
    return By(function, Use.COMPARED)


def order(draft: Draft, ref: SealedRef) -> By:
    """For `<` and its like, and for ORDER BY."""
    declared = _declared(ref).search.order
    if declared is None:
        raise refusals.not_ordered(ref.label, ref.type or "")
    draft.touch(ref, Access.COMPARE)
    return By("ord", Use.ORDERED, declared.prefix, declared.collation)


def folded(draft: Draft, ref: SealedRef) -> By:
    """For `=` of what lower() gives."""
    if not _declared(ref).search.casefold:
        raise refusals.not_folded(ref.label)
    draft.touch(ref, Access.COMPARE)
    return FOLDED


def require_comparable(draft: Draft, ref: SealedRef, other: SealedRef) -> None:
    """Raises Refused where equal values of two columns have different terms."""
    if not comparable(ref, other):
        raise refusals.other_key_comparison(ref.label, other.label)
    draft.touch(other, Access.COMPARE)


def comparable(ref: SealedRef, other: SealedRef) -> bool:
    """One column, or two of one search_group."""
    if ref.column is None or other.column is None:
        return ref.label == other.label
    return ref.column.comparable_with(other.column)


def _declared(ref: SealedRef) -> SealedColumn:
    if ref.column is None:
        raise refusals.undeclared(ref.label)
    return ref.column
