"""SQL text without its literals: the key of the plan cache.

`strip_plain` reads what most statements of applications consist of: words, integers and decimal numbers, '...' strings,
"..." names, parameters, operators, all in ASCII. What else may be in a text it does not judge: it gives the whole text back
unread, and the expression in `proxy.sql.lexer` decides, which knows PostgreSQL's rules (the theory is there). What it reads
it must read as that does: of two statements that mean different things and had one text without literals, one would get the
other's plan. So it gives up early: at comments, at strings with a letter in front, at a string that might go on behind blanks,
at numbers that are anything but digits with a point between them, at &, $tag$ and {, at a byte past ASCII.

It is for mypyc: a look-up in a byte string for each character, a sixth of the expression's time. As Python it takes as long
as the expression, so `strip_literals` asks it only where it is compiled.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, final


@final
@dataclass(slots=True, init=False)
class Stripped:
    """SQL text without the contents of its literals.

    Not frozen and with an `__init__` of its own, because a dataclass's is not compiled; nobody changes one.
    """

    text: str
    """Each string and number replaced by NUL and a letter for its kind: `s` 'x', `e` E'x', `b`, `x`,
    `u` U&'x', `d` $$x$$, `i` integer, `n` other number. NUL cannot occur in SQL."""
    literals: tuple[str, ...] = field(repr=False)
    """The literals as written, in order."""
    comment: str = field(repr=False)
    """What stood behind `text` and was left out for planning (`proxy.sql.comments`): a comment, to the end."""

    def __init__(self, text: str, literals: tuple[str, ...], comment: str = "") -> None:
        self.text = text
        self.literals = literals
        self.comment = comment


_LONGEST: Final = 1024 * 1024
"""Characters. What is longer holds long values rather than much SQL, and is not copied for this."""

# What a character is. The first two are what a word goes on with.
_LETTER: Final = 0
_DIGIT: Final = 1
_BLANK: Final = 2
_OTHER: Final = 3
"""Stands for itself: brackets, commas, most characters of operators."""
_QUOTE: Final = 4
_DOUBLE_QUOTE: Final = 5
_DOT: Final = 6
_DOLLAR: Final = 7
_MINUS: Final = 8
_SLASH: Final = 9
_STAR: Final = 10
_END: Final = 11
"""NUL, which is put behind the text."""
_UNKNOWN: Final = 12

_CHARACTERS: Final = {
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_": _LETTER,
    "0123456789": _DIGIT,
    " \t\n\r\f\v": _BLANK,
    "!#%()+,:;<=>?@[]^`|~": _OTHER,
    "'": _QUOTE,
    '"': _DOUBLE_QUOTE,
    ".": _DOT,
    "$": _DOLLAR,
    "-": _MINUS,
    "/": _SLASH,
    "*": _STAR,
    "\0": _END,
}


def _table() -> bytes:
    """The kind of each byte. & is unknown, because of U&'...'."""
    kinds = bytearray([_UNKNOWN]) * 256
    for characters, kind in _CHARACTERS.items():
        for character in characters:
            kinds[ord(character)] = kind
    return bytes(kinds)


_TABLE: Final = _table()

_NOT_PLAIN: Final = -1
"""In place of where a token ends."""


def strip_plain(sql: str) -> Stripped | None:
    """What `strip_literals` says of this text; None if there is anything in it that is not plain."""
    if len(sql) > _LONGEST or not sql.isascii() or "\0" in sql:
        return None
    kinds = (sql + "\0").encode().translate(_TABLE)
    pieces: list[str] = []
    literals: list[str] = []
    copied = position = 0
    kind = kinds[0]
    while kind != _END:
        if kind == _LETTER:
            position = _past_word(kinds, position)
        elif kind in (_BLANK, _OTHER):
            position += 1
        elif kind in (_QUOTE, _DIGIT):
            begin = position
            position = (
                _past_string(sql, kinds, begin) if kind == _QUOTE else _past_number(kinds, begin)
            )
            if position == _NOT_PLAIN:
                return None
            literal = sql[begin:position]
            pieces.append(sql[copied:begin])
            pieces.append("\0s" if kind == _QUOTE else "\0n" if "." in literal else "\0i")
            literals.append(literal)
            copied = position
        else:
            position = _past_other(sql, kinds, position)
        if position == _NOT_PLAIN:
            return None
        kind = kinds[position]
    if not literals:
        return Stripped(sql, ())
    pieces.append(sql[copied:])
    return Stripped("".join(pieces), tuple(literals))


def _past_word(kinds: bytes, position: int) -> int:
    position += 1
    while kinds[position] <= _DIGIT:
        position += 1
    behind = kinds[position]
    # E'...', B'...', a$1
    return _NOT_PLAIN if behind in (_QUOTE, _DOLLAR) else position


def _past_number(kinds: bytes, position: int) -> int:
    """`17` or `1.5`."""
    position = _past_digits(kinds, position)
    if kinds[position] == _DOT:
        if kinds[position + 1] != _DIGIT:
            return _NOT_PLAIN
        position = _past_digits(kinds, position + 1)
    behind = kinds[position]
    # 1e5, 0x1F, 1_000, and what is no number
    return _NOT_PLAIN if behind in (_LETTER, _DOT, _DOLLAR) else position


def _past_digits(kinds: bytes, position: int) -> int:
    while kinds[position] == _DIGIT:
        position += 1
    return position


def _past_string(sql: str, kinds: bytes, position: int) -> int:
    end = sql.find("'", position + 1) + 1
    while end and kinds[end] == _QUOTE:  # a doubled one
        end = sql.find("'", end + 1) + 1
    if not end:
        return _NOT_PLAIN
    ahead = end
    while kinds[ahead] == _BLANK:
        ahead += 1
    # With a newline between them, two strings are one.
    return _NOT_PLAIN if kinds[ahead] == _QUOTE else end


def _past_other(sql: str, kinds: bytes, position: int) -> int:
    """Behind a character that may begin more than itself."""
    kind = kinds[position]
    behind = kinds[position + 1]
    if kind == _DOUBLE_QUOTE:
        end = sql.find('"', position + 1) + 1
        empty = end == position + 2
        return _NOT_PLAIN if not end or empty or kinds[end] == _DOUBLE_QUOTE else end
    if kind == _DOLLAR and behind == _DIGIT:
        end = _past_digits(kinds, position + 1)
        return _NOT_PLAIN if kinds[end] == _LETTER else end
    if (
        kind == _STAR
        or (kind == _DOT and behind != _DIGIT)
        or (kind == _MINUS and behind != _MINUS)
        or (kind == _SLASH and behind != _STAR)
    ):
        return position + 1
    return _NOT_PLAIN
