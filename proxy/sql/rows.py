"""Long lists of literals: a plan for each shape of row, not for each number of rows.

`INSERT INTO t VALUES ('a', 1), ('b', 2), ...` without its literals is the same row again and again.
What the planner finds out about a row does not depend on how many there are, so a text with such a
list (VALUES rows, or the items of IN) is planned with one row of each shape, and the plan is
stretched over the rows that are there. A bulk INSERT then costs a pass over its text, and one entry
of the plan cache serves every length.

Lists are found in the text without literals. A quoted name cannot look like one (a list has
literals in it, a name has not), and texts with comments are left alone, because a keyword in a
comment could stand before brackets that are no list.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

from proxy.sql.lexer import Stripped
from proxy.sql.plan import LiteralSite, Piece, Plan, StatementPlan, Text

FEWEST_ITEMS: Final = 8
"""Items of a list that is worth the trouble."""
MOST_SHAPES: Final = 32

_MARKER: Final = re.compile(r"\x00[a-z]")
_ROW: Final = r"\((?>(?:[^()\"\x00]++|\x00[a-z]|\([^()\"]*+\))*)\)"
_ITEM: Final = r"[^(),\"\x00]*+\x00[a-z][^(),\"\x00]*+"
_LIST: Final = re.compile(
    rf"(?<![\w$\".])(?:VALUES(?P<rows>(?:\s*+{_ROW}\s*+,)+\s*+{_ROW})"
    rf"|IN\s*+\((?P<items>(?:{_ITEM},)+{_ITEM})(?=\)))",
    re.IGNORECASE,
)
_ROWS: Final = re.compile(rf"\s*+{_ROW}\s*+(?:,|\Z)")


@dataclass(frozen=True, slots=True)
class _List:
    """One list: its place in the text and in the shortened text, and its items."""

    start: int
    end: int
    items: tuple[int, ...]
    """Of each item, which shape it has."""
    shapes: tuple[str, ...]
    first: tuple[int, ...]
    """Of each shape, the first item that has it."""


@dataclass(frozen=True, slots=True)
class Shortened:
    """A message with one item of each shape in its lists."""

    sql: str
    stripped: Stripped
    lists: tuple[_List, ...]

    def stretched(self, plan: Plan) -> Plan:
        """The plan of the shortened message for the message as it is."""
        cutter = _Cutter(self)
        statements = tuple(cutter.statement(statement) for statement in plan.statements)
        return Plan(statements, plan.untouched)


def shorten(stripped: Stripped) -> Shortened | None:
    """None: the message has no long list of literals, or one that is not to be trusted."""
    text = stripped.text
    if len(stripped.literals) < FEWEST_ITEMS or "--" in text or "/*" in text:
        return None
    lists = tuple(_lists(text))
    if not lists:
        return None
    kept: list[str] = []
    literals: list[str] = []
    at = ordinal = 0
    for found in lists:
        before = text[at : found.start]
        ordinal = _keep(stripped, literals, ordinal, before)
        kept += [before, ",".join(found.shapes)]
        counts = [_MARKER.subn("", shape)[1] for shape in found.shapes]
        for item, shape in enumerate(found.items):
            if found.first[shape] == item:
                literals += stripped.literals[ordinal : ordinal + counts[shape]]
            ordinal += counts[shape]
        at = found.end
    _keep(stripped, literals, ordinal, text[at:])
    short = Stripped("".join([*kept, text[at:]]), tuple(literals))
    return Shortened(_with_literals(short), short, lists)


def _keep(stripped: Stripped, literals: list[str], ordinal: int, text: str) -> int:
    count = _MARKER.subn("", text)[1]
    literals += stripped.literals[ordinal : ordinal + count]
    return ordinal + count


def _with_literals(stripped: Stripped) -> str:
    literals = iter(stripped.literals)
    return _MARKER.sub(lambda _: next(literals), stripped.text)


def _lists(text: str) -> Iterator[_List]:
    for match in _LIST.finditer(text):
        group = "rows" if match["rows"] else "items"
        items = _ROWS.findall(match["rows"]) if match["rows"] else match["items"].split(",")
        items = [item.removesuffix(",") for item in items]
        # `s . values (...)` and `s . in (...)` are calls.
        if len(items) < FEWEST_ITEMS or text[: match.start()].rstrip().endswith("."):
            continue
        shapes: dict[str, int] = {}
        numbers = tuple(shapes.setdefault(item, len(shapes)) for item in items)
        if len(shapes) > MOST_SHAPES or len(shapes) * 2 > len(items):
            continue
        first = tuple(numbers.index(shape) for shape in range(len(shapes)))
        yield _List(match.start(group), match.end(group), numbers, tuple(shapes), first)


class _Cutter:
    """Cuts the pieces of the shortened message at its items, and puts them down for each item."""

    def __init__(self, shortened: Shortened) -> None:
        self._at = 0
        """Offset in the shortened text without literals."""
        self._ordinal = 0
        """Of the next literal in the whole message."""
        self._lists = list(_places(shortened))

    def statement(self, statement: StatementPlan) -> StatementPlan:
        out: list[Piece] = []
        pieces = list(reversed(statement.pieces))
        end = self._at + sum(map(_length, pieces))
        while self._lists and self._lists[0][1][0][0] < end:
            found, places = self._lists.pop(0)
            self._put(out, _take(pieces, places[0][0] - self._at, edits=False))
            shapes = []
            for number, (start, stop) in enumerate(places):
                shapes.append(_take(pieces, stop - start, edits=True))
                if number + 1 < len(places):
                    _take(pieces, 1, edits=False)  # the comma
            for number, shape in enumerate(found.items):
                if number:
                    out.append(",")
                self._put(out, shapes[shape])
            self._at = places[-1][1]
        self._put(out, _take(pieces, end - self._at, edits=True))
        self._at = end
        return replace(statement, pieces=tuple(out))

    def _put(self, out: list[Piece], pieces: Sequence[Piece]) -> None:
        for piece in pieces:
            if isinstance(piece, LiteralSite):
                out.append(LiteralSite(self._ordinal, piece.seal, piece.negative))
                self._ordinal += 1
            else:
                out.append(piece)


def _places(shortened: Shortened) -> Iterator[tuple[_List, list[tuple[int, int]]]]:
    """Each list with the places of its shapes in the shortened text."""
    shift = 0
    for found in shortened.lists:
        at = found.start - shift
        places = []
        for shape in found.shapes:
            places.append((at, at + len(shape)))
            at += len(shape) + 1
        shift += found.end - found.start - (places[-1][1] - places[0][0])
        yield found, places


def _length(piece: Piece) -> int:
    """Of what a piece stands for, in the text without literals."""
    if isinstance(piece, LiteralSite):
        return 2
    if isinstance(piece, Text):
        return len(piece.original)
    return len(piece) if isinstance(piece, str) else len(piece.text)


def _take(pieces: list[Piece], length: int, *, edits: bool) -> list[Piece]:
    """Takes pieces that stand for `length` characters from the end of the reversed list. `edits`:
    insertions at the end of the stretch belong to it."""
    taken: list[Piece] = []
    while pieces and (length > 0 or (edits and _length(pieces[-1]) == 0)):
        piece = pieces.pop()
        size = _length(piece)
        if size > length:
            if not isinstance(piece, str):
                raise ValueError("an edit reaches over the end of a row")
            pieces.append(piece[length:])
            piece, size = piece[:length], length
        taken.append(piece)
        length -= size
    return taken
