"""Upper and lower case, one character at a time: against the server's collation pg_c_utf8, and among themselves."""

from __future__ import annotations

import sys
import unicodedata

from proxy.cells.folding import folded, lowered, uppered
from tests.cells.oracle import Oracle

NEWER = "\N{LATIN SMALL LETTER LAMBDA WITH STROKE}\N{LATIN SMALL LETTER RAMS HORN}"
"""They got an upper case with Unicode 16, which the server has and not every Python."""
EVERY = [chr(i) for i in range(1, sys.maxunicode + 1) if not 0xD800 <= i < 0xE000]


def test_lower_and_upper_case_are_those_of_pg_c_utf8(oracle: Oracle) -> None:
    """Every character that this Python's Unicode knows is lowered and uppered as the server's simple mappings do."""
    known = [c for c in EVERY if unicodedata.category(c) != "Cn" and c not in NEWER]
    text = "".join(known)
    ours = (lowered(text), uppered(text))
    sql = 'SELECT lower($1::text COLLATE "pg_c_utf8"), upper($1::text COLLATE "pg_c_utf8")'
    theirs = [cell.decode() for cell in oracle.row(sql, [text.encode()]) if cell is not None]
    for mine, servers in zip(ours, theirs, strict=True):
        differing = [c for c, a, b in zip(known, mine, servers, strict=True) if a != b]
        assert differing == []


def test_what_case_makes_alike_is_folded_alike() -> None:
    """A character, its lower case and its upper case have one fold, which is a single character and its own fold."""
    text = "".join(EVERY)
    fold = folded(text)
    assert len(fold) == len(text)
    assert folded(lowered(text)) == fold
    assert folded(uppered(text)) == fold
    assert folded(fold) == fold


def test_a_fold_does_not_depend_on_the_neighbours() -> None:
    """Grams are cut from folded texts: the fold of a text is that of its characters side by side."""
    assert folded("".join(EVERY)) == "".join(map(folded, EVERY))
    assert lowered("".join(EVERY)) == "".join(map(lowered, EVERY))


def test_no_more_is_folded_than_case_makes_alike() -> None:
    """Two characters with one fold are joined by a chain of lower and upper cases: a gram finds no other letters."""
    parent = {c: c for c in EVERY}

    def root(c: str) -> str:
        while parent[c] != c:
            c = parent[c]
        return c

    for c in EVERY:
        for other in (lowered(c), uppered(c)):
            parent[root(c)] = root(other)
    assert [c for c in EVERY if root(c) != root(folded(c))] == []
