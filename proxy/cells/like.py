"""LIKE and ILIKE: whether a text matches a pattern, and which grams it must have to do so.

As src/backend/utils/adt/like_match.c and like_escape: `%` is any run of characters, `_` any one, and what follows the
escape character is itself. A pattern is cut at its `%` into segments. The first stands at the beginning of the text,
the last at its end, and each of the others is right where it is found first: a text that matches at all matches so.
Hence there is no going back. A segment with a few `_` is tried at each place of the text; one with many is refused, since of
an unfortunate text ('aaaa...') that would take as long as the product of both lengths.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from proxy.cells.errors import CellError
from proxy.cells.folding import folded, lowered
from proxy.cells.grams import MARK, distinct

_INVALID_ESCAPE: Final = "22025"
_ANY: Final = None
"""`_` in a segment."""

LONGEST_PATTERN: Final = 65_536
"""Characters."""
MOST_RUNS: Final = 8
"""Characters side by side, between `_`, of a segment that may stand anywhere."""

Segment = tuple[str | None, ...]
"""Characters, and None for any one."""


@dataclass(frozen=True, slots=True, repr=False)
class Like:
    """A pattern that was read. It holds what the client looks for, and does not print it."""

    segments: tuple[Segment, ...]
    """Between them is a `%`; an empty one stands for no characters."""
    insensitive: bool
    """ILIKE: both sides in lower case."""
    _sought: tuple[_Sought, ...] = field(init=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_sought", tuple(map(_sought, self.segments)))

    def __repr__(self) -> str:
        return "<Like>"

    def matches(self, text: str) -> bool:
        if self.insensitive:
            text = lowered(text)
        first, *others = self._sought
        if not first.at(text, 0):
            return False
        if not others:
            return len(text) == first.length
        at = first.length
        for sought in others[:-1]:
            found = sought.find(text, at)
            if found < 0:
                return False
            at = found + sought.length
        end = len(text) - others[-1].length
        return end >= at and others[-1].at(text, end)

    @property
    def anything(self) -> bool:
        """Every text matches: nothing but `%`."""
        return len(self.segments) > 1 and not any(self.segments)

    def grams(self, size: int) -> list[bytes]:
        """Those that every text that matches has, distinct; none where nothing is long enough to have one. Raises CellError
        if there are too many."""
        found: dict[bytes, None] = {}
        for run in self._runs():
            whole = run.startswith(MARK) and run.endswith(MARK) and len(run) > 1
            if whole or len(run) >= size:
                found.update(dict.fromkeys(distinct(run, size)))
        return list(found)

    def _runs(self) -> list[str]:
        """Characters that stand side by side in every text that matches, with the ends' marks; folded."""
        last = len(self.segments) - 1
        runs: list[str] = []
        for place, segment in enumerate(self.segments):
            cut = [
                folded(run)
                for run in "".join(MARK if c is _ANY else c for c in segment).split(MARK)
            ]
            if place == 0 and (cut[0] or last == 0 == len(segment)):
                cut[0] = MARK + cut[0]
            if place == last and (cut[-1] or last == 0 == len(segment)):
                cut[-1] += MARK
            runs += cut
        return runs


def read_pattern(pattern: str, escape: str | None = None, *, insensitive: bool = False) -> Like:
    """The pattern of `LIKE pattern [ESCAPE escape]`; `escape` "" for none, None for the backslash.

    Raises CellError 22025 for an escape of several characters, and for a pattern that ends with one: the server says so as
    well, once it comes to that with some row.
    """
    if len(pattern) > LONGEST_PATTERN:
        raise CellError("54000", f"a pattern of more than {LONGEST_PATTERN} characters")
    if escape is None:
        escape = "\\"
    elif len(escape) > 1:
        raise CellError(_INVALID_ESCAPE, "invalid escape string")
    segments: list[Segment] = []
    current: list[str | None] = []
    escaped = False
    for character in pattern:
        if escaped:
            current.append(character)
            escaped = False
        elif character == escape:
            escaped = True
        elif character == "%":
            segments.append(tuple(current))
            current = []
        else:
            current.append(_ANY if character == "_" else character)
    if escaped:
        raise CellError(_INVALID_ESCAPE, "LIKE pattern must not end with escape character")
    segments.append(tuple(current))
    if any(_runs_of(segment) > MOST_RUNS for segment in segments[1:-1]):
        raise CellError(
            "54000",
            f"a pattern with more than {MOST_RUNS} runs of characters, cut by _, between two %",
        )
    if insensitive:
        segments = [tuple(c if c is _ANY else lowered(c) for c in s) for s in segments]
    return Like(tuple(segments), insensitive)


def _runs_of(segment: Segment) -> int:
    return sum(
        c is not _ANY and (at == 0 or segment[at - 1] is _ANY) for at, c in enumerate(segment)
    )


class _Sought:
    """A segment as it is looked for: by its longest run of characters, which `str.find` finds."""

    __slots__ = ("_anchor", "_offset", "_others", "length")

    def __init__(self, length: int, runs: list[tuple[int, str]]) -> None:
        """`runs`: characters, and where in the segment they begin."""
        self.length = length
        self._offset, self._anchor = max(runs, key=lambda run: len(run[1]), default=(0, ""))
        self._others = [run for run in runs if run[0] != self._offset]

    def find(self, text: str, at: int) -> int:
        """Where it is first, from `at` on; -1: nowhere."""
        last = len(text) - self.length
        while at <= last:
            at = text.find(self._anchor, at + self._offset) - self._offset
            if at + self._offset < 0 or at > last:
                return -1
            for offset, run in self._others:
                if not text.startswith(run, at + offset):
                    break
            else:
                return at
            at += 1
        return -1

    def at(self, text: str, at: int) -> bool:
        return (
            at + self.length <= len(text)
            and text.startswith(self._anchor, at + self._offset)
            and all(text.startswith(run, at + offset) for offset, run in self._others)
        )


def _sought(segment: Segment) -> _Sought:
    runs: list[tuple[int, str]] = []
    begin = 0
    for end in range(len(segment) + 1):
        if end == len(segment) or segment[end] is _ANY:
            run = "".join(c for c in segment[begin:end] if c is not _ANY)
            if run:
                runs.append((begin, run))
            begin = end + 1
    return _Sought(len(segment), runs)
