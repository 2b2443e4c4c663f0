"""A statement's text as the log may show it: literals as `$n`, no comments, one line, capped.

The text comes from `proxy.sql` with each string and number literal already replaced by a marker. This
reads it once more by the rules of PostgreSQL's scanner (scan.l), knowing only what is *not* a literal:
white space, comments, quoted and plain identifiers, `$n`, operators, markers. A quote, a digit or a
dollar where none of these can stand means that a literal may still be in the text, so the text is
dropped (`statement_unreadable`) instead of logged: a wrong or missing marker shows as a gap, never as
a value. The fingerprint is the SHA-256 of the whole normalised text, so it says nothing about literals
either.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Container
from functools import lru_cache
from typing import Any, Final, NamedTuple

from proxy.audit.text import clean

STATEMENT_CAP: Final = 4096
"""Characters of a statement that an event shows."""
STATEMENT_READ: Final = 1 << 18
"""Characters beyond which a statement is not read at all."""
_CACHED: Final = 16 * 1024  # longer texts are rare and would make the cache large

# Classes as proxy.sql.literals writes them: what they are not, everything past ASCII is a letter.
_WORD_START: Final = r"[^\x00-@\[-^`{-\x7f]"
_WORD_CHARACTER: Final = r"[^\x00-#%-/:-@\[-^`{-\x7f]"
_WORD: Final = rf"{_WORD_START}{_WORD_CHARACTER}*+"
_PARAMETER: Final = rf"\$[0-9]++(?!{_WORD_CHARACTER})"
_QUOTED: Final = r'"(?>(?:[^"\x00]++|"")+)"'
_SPACE: Final = r"[ \t\n\r\f\v]"
_COMMENT: Final = r"--|/\*"
_OPERATOR: Final = rf"(?!{_COMMENT})[-+*/<>=~!@#%^&|`?,()\[\].;:]"
_KEPT: Final = re.compile(
    rf"(?>(?:{_WORD}|{_PARAMETER}|{_QUOTED}|{_OPERATOR}| (?!{_SPACE}|{_COMMENT}))+)"
)
_GAP: Final = re.compile(rf"(?>(?:{_SPACE}|--[^\n\r]*+)+)")
_MARKER: Final = re.compile(r"\x00[sebxudin]")  # see proxy.sql.lexer.Stripped
_ANY_MARKER: Final = "\x00s"
_QUOTED_NAME: Final = re.compile(_QUOTED)
_NESTING: Final = re.compile(r"/\*|\*/")
_NUMBERED: Final = re.compile(rf"{_QUOTED}|{_WORD}|\$([0-9]++)")
_GLUED: Final = re.compile(rf"{_WORD_CHARACTER}|\"")


class Unreadable(Exception):
    """The text may hold something that is neither syntax nor a name."""


class Readable(NamedTuple):
    """A normalised statement: `text` is escaped and capped, the other two are of the whole."""

    text: str
    fingerprint: str
    length: int


def statement_text(stripped: str, parameters: int = 0) -> str:
    """The whole text with its markers as `$n`, numbered after the statement's own parameters (at
    least `parameters` of them). Raises Unreadable.
    """
    pieces = _pieces(stripped)
    number = max(parameters, _highest_parameter(pieces))
    for index, piece in enumerate(pieces):
        if piece is None:
            number += 1
            pieces[index] = f"${number}"
    return "".join(map(str, pieces)).strip(" ")


def without_strange_names(stripped: str, known: Container[str]) -> str | None:
    """The text with `"…"` for every quoted name that is not `known`; None if it cannot be read.

    People write `WHERE email = "ada@example.com"`: to PostgreSQL that is a column's name, to them a value.
    """
    try:
        pieces = _pieces(stripped)
    except Unreadable:
        return None

    def shown(match: re.Match[str]) -> str:
        quoted = match.group()
        return quoted if quoted[1:-1].replace('""', '"') in known else '"…"'

    return "".join(_ANY_MARKER if p is None else _QUOTED_NAME.sub(shown, p) for p in pieces)


def query_info(stripped: str | None) -> tuple[dict[str, Any] | None, dict[str, Any]]:
    """OCSF's query_info (None without a readable text), and what Sealgate has to add to it."""
    known = _readable(stripped) if stripped else None
    if known is None:
        return None, {"statement_unreadable": True}
    query = {"query_string": known.text, "uid": known.fingerprint}
    if known.length <= STATEMENT_CAP:
        return query, {}
    return query, {"statement_truncated": True, "statement_length": known.length}


def _readable(stripped: str) -> Readable | None:
    return _remembered(stripped) if len(stripped) <= _CACHED else _read(stripped)


def _read(stripped: str) -> Readable | None:
    try:
        text = statement_text(stripped)
    except Unreadable:
        return None
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
    shown = clean(text[:STATEMENT_CAP], STATEMENT_CAP)
    return Readable(shown, f"sha256:{digest}", len(text))


_remembered = lru_cache(maxsize=256)(_read)


def _pieces(text: str) -> list[str | None]:
    """Kept text, None for each literal, and a space for each stretch of white space and comments."""
    if len(text) > STATEMENT_READ:
        raise Unreadable
    pieces: list[str | None] = []
    position = 0
    while position < len(text):
        if kept := _KEPT.match(text, position):
            pieces.append(kept.group())
            position = kept.end()
        elif marker := _MARKER.match(text, position):
            if position and _GLUED.match(text, position - 1):
                pieces.append(" ")  # date'2020-01-01'
            pieces.append(None)
            position = marker.end()
            if _GLUED.match(text, position) or text.startswith("$", position):
                pieces.append(" ")  # 'x'FROM
        else:
            position = _gap_end(text, position)
            pieces.append(" ")
    return pieces


def _gap_end(text: str, position: int) -> int:
    """The end of the white space and comments that start here; Unreadable if none do."""
    start = position
    while True:
        if gap := _GAP.match(text, position):
            position = gap.end()
        elif text.startswith("/*", position):
            position = _comment_end(text, position)
        elif position == start:
            raise Unreadable
        else:
            return position


def _comment_end(text: str, position: int) -> int:
    depth = 0
    for bracket in _NESTING.finditer(text, position):
        depth += 1 if bracket.group() == "/*" else -1
        if depth == 0:
            return bracket.end()
    raise Unreadable


def _highest_parameter(pieces: list[str | None]) -> int:
    highest = 0
    for piece in pieces:
        if piece is not None and "$" in piece:
            for number in _NUMBERED.findall(piece):
                # PostgreSQL takes parameter numbers up to 65535; a longer one is an error anyway
                highest = max(highest, int(number[:5] or 0))
    return highest
