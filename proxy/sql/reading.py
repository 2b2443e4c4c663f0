"""What a parser saw in one statement, in words that two parsers share.

A *place* is the index of a token in its statement. An *extent* is the places of the first and last
leaf of a subtree (leaves: column references, constants, parameters), None for a subtree without any.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

Extent = tuple[int, int] | None


@dataclass(slots=True)
class Reading:
    """Facts about one statement; filled by one of the two readers."""

    names: set[tuple[int, tuple[str, ...]]] = field(default_factory=set)
    """Column references and assignment targets: (place of the first part, parts; `*` for a star)."""
    tables: set[tuple[int, tuple[str, ...]]] = field(default_factory=set)
    """(place of the first part, parts)"""
    constants: set[int] = field(default_factory=set)
    """String and number tokens that are constants; not those in type modifiers."""
    uncounted: set[int] = field(default_factory=set)
    """Those of the constants that the other reader may not see."""
    parameters: set[tuple[int, int]] = field(default_factory=set)
    """(place, number)"""
    words: Counter[tuple[str, ...]] = field(default_factory=Counter)
    """Names whose place one reader does not tell: aliases of row sources with their columns, columns
    of USING, plain columns of ON CONFLICT."""
    structure: Counter[tuple[object, ...]] = field(default_factory=Counter)
    """A word for the construct, then places and extents."""
    predicates: set[tuple[str, Extent, Extent]] = field(default_factory=set)
    """(operator, left operand, right operand)"""

    def leaves(self) -> set[int]:
        places = {place for place, _ in self.names}
        return places | self.constants | {place for place, _ in self.parameters}


class Extents:
    """A tree as a list in preorder, and the extent of every node in it."""

    def __init__(self) -> None:
        self._parents: list[int] = []
        self._places: list[int] = []
        self._first: list[int] = []
        self._last: list[int] = []
        self._index: dict[int, int] = {}

    def add(self, node: object, parent: int, place: int = -1) -> int:
        """Append a node; the tree must stay alive, because it is known by its id()."""
        index = len(self._parents)
        self._parents.append(parent)
        self._places.append(place)
        self._index[id(node)] = index
        return index

    def same(self, node: object, index: int) -> None:
        """`node` is another object for the node at `index`."""
        self._index[id(node)] = index

    def leaf(self, index: int, place: int) -> None:
        self._places[index] = place

    def measure(self, leaves: set[int]) -> None:
        """Compute all extents, counting these places only."""
        first = [place if place in leaves else -1 for place in self._places]
        last = first.copy()
        parents = self._parents
        for node in range(len(parents) - 1, 0, -1):
            if last[node] < 0:
                continue
            parent = parents[node]
            if first[parent] < 0 or first[node] < first[parent]:
                first[parent] = first[node]
            if last[node] > last[parent]:
                last[parent] = last[node]
        self._first, self._last = first, last

    def extent(self, node: object) -> Extent:
        index = self._index.get(id(node))
        if node is None or index is None or self._last[index] < 0:
            return None
        return self._first[index], self._last[index]
