"""The n-grams of a text: what must be in it for a LIKE to match.

A text is folded (`folding.folded`, so that one set of grams serves LIKE, ILIKE, and LIKE of upper() and lower()) and
gets a mark at either end, a NUL, which no text of PostgreSQL's contains; its grams are all runs of n characters in that.
By the mark, 'ada%' and '%ada' have a gram more than '%ada%': where a mark stands in a gram tells which end it is. What is
too short to have a gram is one itself, marks included, so that it may be found by a pattern without wildcards.
"""

from __future__ import annotations

from typing import Final

from proxy.cells.errors import CellError
from proxy.cells.folding import folded

MARK: Final = "\0"
MOST_GRAMS: Final = 16_000
"""Of one value: their terms have to fit a field whose length is written in two bytes."""


def grams(canonical: bytes, size: int) -> list[bytes]:
    """The distinct grams of `size` characters of a text's canonical form, as UTF-8.

    Raises CellError if there are more than MOST_GRAMS.
    """
    return distinct(MARK + folded(canonical.decode()) + MARK, size)


def distinct(marked: str, size: int) -> list[bytes]:
    """The same of a text that is folded and has its marks."""
    last = len(marked) - size
    if last <= 0:
        return [marked.encode()]
    found: set[str] = set()
    for at in range(last + 1):
        found.add(marked[at : at + size])
        if len(found) > MOST_GRAMS:
            raise CellError(
                "54000", f"a text with more than {MOST_GRAMS} different groups of {size} characters"
            )
    return [gram.encode() for gram in found]
