"""What stored terms tell somebody who has a copy of the database, as numbers. Pure.

**Equal terms are equal values.** `Spread` is all that equality terms tell by themselves: how often each value
occurs, not which value it is. Who knows how often the values occur (a census, last year's leak, the public web site)
puts both lists in order of frequency and reads one off the other: frequency analysis, Naveed, Kamara and Wright,
"Inference Attacks on Property-Preserving Encrypted Databases" (CCS 2015). `guessed` is what that attack gets
right on average, by an attacker who knows the frequencies exactly: of the values that occur n times, whose order cannot
be told, one on average is named rightly (a random permutation has one fixed point), and n rows with it.

**Order terms** tell the order besides, and where two values first differ (Chenette, Lewi, Weis and Wu, FSE 2016): there
the larger has a one and the smaller a zero. `settled_bits` counts, for each value, the bits that comparing it with the others
settles. One bit of a term is one byte, so the terms are the trie that it is counted in.

**The coincidence rule** is CipherSweet's (docs/SECURITY.md, "Blind Index Information Leaks"): for C rows a term and R rows, 2 <= C < sqrt(R).
Below, a term names one row's value; above, so many rows share one that the index selects little and tells much.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise


@dataclass(frozen=True, slots=True)
class Spread:
    """How often values occur: how many distinct values there are of each number of rows. No values."""

    sizes: Mapping[int, int]

    @property
    def rows(self) -> int:
        return sum(size * values for size, values in self.sizes.items())

    @property
    def distinct(self) -> int:
        return sum(self.sizes.values())

    def share(self, most: int) -> float:
        """Of all rows, those with one of the `most` most frequent values: 0 to 1."""
        rows, left = 0, most
        for size in sorted(self.sizes, reverse=True):
            taken = min(left, self.sizes[size])
            rows, left = rows + taken * size, left - taken
        return rows / self.rows if rows else 0.0

    @property
    def entropy(self) -> float:
        """Shannon's, in bits: of the value of a row drawn at random."""
        total = self.rows
        bits = sum(
            values * size / total * math.log2(total / size) for size, values in self.sizes.items()
        )
        return float(bits)

    @property
    def min_entropy(self) -> float:
        """In bits: one guess, the most frequent value, is right with probability 2 to the minus this."""
        return math.log2(self.rows / max(self.sizes)) if self.sizes else 0.0

    @property
    def guessed(self) -> int:
        """Rows that frequency analysis names rightly, on average, by who knows how often each value occurs."""
        return sum(self.sizes)

    @property
    def coincidences(self) -> float:
        """Rows a term."""
        return self.rows / self.distinct if self.distinct else 0.0

    @property
    def most_coincidences(self) -> float:
        """Where the rule's upper bound is."""
        return math.sqrt(self.rows)

    @property
    def term_bits(self) -> tuple[int, int] | None:
        """Lengths of truncated terms, in bits, for which the rule would hold: from, to. None: there are too few rows."""
        if self.rows < 2:
            return None
        least = math.floor(math.log2(self.most_coincidences)) + 1
        most = math.floor(math.log2(self.rows / 2))
        return (least, most) if least <= most else None


def spread(counts: Iterable[int]) -> Spread:
    """Of the numbers of rows, one for each distinct value."""
    sizes: dict[int, int] = {}
    for count in counts:
        sizes[count] = sizes.get(count, 0) + 1
    return Spread(sizes)


def settled_bits(terms: Sequence[bytes]) -> float:
    """Bits of a value that comparing the others with it settles, on average. `terms` are distinct and sorted.

    Each pair of neighbours is one branching of the trie, since a bit has two values; a value is settled at each branching
    that is above it. The branchings are the nodes of the Cartesian tree over the neighbours' common prefixes; the values
    below each are counted by a stack.
    """
    if len(terms) < 2:
        return 0.0
    total = 0
    stack: list[tuple[int, int]] = []  # branchings: depth, how many values are below its left side
    for depth in (*(_common(a, b) for a, b in pairwise(terms)), -1):
        values = 1
        while stack and stack[-1][0] > depth:
            values += stack.pop()[1]
            total += values
        stack.append((depth, values))
    return total / len(terms)


def bare_bits(terms: Iterable[bytes]) -> float:
    """Of all bits, those that stand outright in the term: a byte is F + bit with F from 0 to 254, so 0 is a zero, 255 a one."""
    bits = bare = 0
    for term in terms:
        bits += len(term)
        bare += term.count(0) + term.count(255)
    return bare / bits if bits else 0.0


def _common(one: bytes, other: bytes) -> int:
    """Bytes that both begin with."""
    length = min(len(one), len(other))
    differing = int.from_bytes(one[:length], "big") ^ int.from_bytes(other[:length], "big")
    return length - (differing.bit_length() + 7) // 8
