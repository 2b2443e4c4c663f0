"""What PostgreSQL's scanner calls a literal, and the value it stands for.

Theory: `src/backend/parser/scan.l` (states xq, xe, xb, xh, xus, xdolq and the rules for numbers),
`str_udeescape` in `parser.c` and `unescape_single_char`, as of PostgreSQL 18. The fragments below are
those flex rules as regular expressions in which every repetition is possessive: flex never backs up,
so neither do they, and each reads its input once. A repeated *group* is written `(?>(?:...)*)`, not
`(?:...)*+`: before CPython 3.11.5 the latter matches wrongly (gh-106052); Debian 12 has 3.11.2.

Two assumptions, both the session's to keep true: `standard_conforming_strings` is on, and the
database encoding is UTF-8 (`E'\\xC3\\xA9'` is bytes of the *server's* encoding).
"""

from __future__ import annotations

import re
from typing import Final

SYNTAX_ERROR: Final = "42601"
INVALID_ESCAPE_SEQUENCE: Final = "22025"
CHARACTER_NOT_IN_REPERTOIRE: Final = "22021"


class UnreadableSql(Exception):
    """The client's text is no SQL, or more of it than the proxy will read.

    Carries what a client may be told; never a piece of the text.
    """

    def __init__(self, sqlstate: str, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.sqlstate = sqlstate
        self.message = message
        self.hint = hint


# Identifiers: [A-Za-z\200-\377_] then also digits and $. Written as what they are not, because a
# negated class is one bitmap for re, and every code point past ASCII is high-bit bytes to flex.
IDENT_START: Final = r"[^\x00-@\[-^`{-\x7f]"
IDENT_CONT: Final = r"[^\x00-#%-/:-@\[-^`{-\x7f]"
IDENTIFIER: Final = rf"(?![eEbBxX]'|[uU]&[\"']){IDENT_START}{IDENT_CONT}*+"
QUOTED_IDENTIFIER: Final = r'"(?>(?:[^"]++|"")+)"'
PARAMETER: Final = rf"\$[0-9]++(?!{IDENT_START})"

# Strings. `CONTINUED` is {quotecontinue}: a newline among blanks and -- comments, then a quote.
CONTINUED: Final = (
    r"(?>(?:[ \t\f\v]|--[^\n\r]*+)*)[\n\r](?>(?:[ \t\n\r\f\v]++|--[^\n\r]*+[\n\r])*)(?=')"
)
PLAIN_SEGMENT: Final = r"'[^']*+(?>(?:''[^']*+)*)'"
ESCAPE_SEGMENT: Final = r"'[^'\\]*+(?>(?:(?:''|\\[\s\S])[^'\\]*+)*)'"
BIT_SEGMENT: Final = r"'[^']*+'"


def _continued(segment: str) -> str:
    # A string that goes on and never ends is an error, not a shorter string.
    return rf"{segment}(?>(?:{CONTINUED}{segment})*)(?!{CONTINUED})"


PLAIN_STRING: Final = _continued(PLAIN_SEGMENT)
ESCAPE_STRING: Final = "[eE]" + _continued(ESCAPE_SEGMENT)
BIT_STRING: Final = "[bBxX]" + _continued(BIT_SEGMENT)
UNICODE_STRING: Final = "[uU]&" + PLAIN_STRING
UNICODE_IDENTIFIER: Final = "[uU]&" + QUOTED_IDENTIFIER
_TAG: Final = r"\$(?:[^\x00-@\[-^`{-\x7f][^\x00-/:-@\[-^`{-\x7f]*+)?\$"


DOLLAR_TAG: Final = re.compile(_TAG)


def dollar_string(group: str) -> str:
    """The fragment for $tag$...$tag$; `group` names the tag's capturing group."""
    return rf"(?P<{group}>{_TAG})[\s\S]*?(?P={group})"


# Numbers. flex takes the longest match, and a number with an identifier behind it is "trailing junk"
# to PostgreSQL, so it is none here. $ begins no identifier (`1$2` is a number and a parameter) but
# goes on with one that began inside the number: `1_0$2` is 1 and junk, `1e5$2` too. Each digit run
# that could be such an identifier's end therefore refuses a $ behind it. `1..10` is 1, .., 10.
_DIGITS: Final = r"[0-9]++(?>(?:_[0-9]++(?!\$))*)"
_EXPONENT: Final = rf"(?>(?:[eE](?:[+-]{_DIGITS}|{_DIGITS}(?!\$)))?)"
RADIX_INTEGER: Final = (
    rf"0(?:[xX](?>(?:_?[0-9a-fA-F])+)|[oO](?>(?:_?[0-7])+)|[bB](?>(?:_?[01])+))(?!{IDENT_CONT})"
)
DECIMAL_NUMBER: Final = rf"(?:{_DIGITS}(?>(?:\.(?!\.)(?>(?:{_DIGITS})?))?)|\.{_DIGITS}){_EXPONENT}(?!{IDENT_START}|[0-9])"
NUMBER: Final = rf"(?:{RADIX_INTEGER}|{DECIMAL_NUMBER})"


def literal_value(raw: str) -> str:
    """The value of one string or number literal as it stands in the text.

    Strings are decoded; bit strings keep PostgreSQL's internal form (`b101`, `x1F`); numbers lose
    underscores, and hexadecimal, octal and binary ones are written in decimal. The text must be one
    literal of `strip_literals` or the lexer. Raises UnreadableSql for an escape PostgreSQL refuses.
    """
    first = raw[0]
    if first == "'":
        inner = raw[1:-1]
        return inner if "'" not in inner else _segments(_PLAIN, raw, 0).replace("''", "'")
    if first == "$":
        tag = raw.index("$", 1) + 1
        return raw[tag:-tag]
    if first in "eE":
        return "".join(_escaped(_parts(_ESCAPE, raw, 1)))
    if first in "bBxX":
        return first.lower() + _segments(_BIT, raw, 1)
    if first in "uU":
        return _unicode_literal(raw)
    return _number(raw)


_PLAIN: Final = re.compile(PLAIN_SEGMENT)
_ESCAPE: Final = re.compile(ESCAPE_SEGMENT)
_BIT: Final = re.compile(BIT_SEGMENT)
_GAP: Final = re.compile(CONTINUED)


def _parts(segment: re.Pattern[str], raw: str, position: int) -> list[str]:
    """The insides of a continued string's segments."""
    parts = []
    match = segment.match(raw, position)
    while match is not None:
        parts.append(match.group()[1:-1])
        gap = _GAP.match(raw, match.end())
        match = segment.match(raw, gap.end()) if gap else None
    return parts


def _segments(segment: re.Pattern[str], raw: str, position: int) -> str:
    return "".join(_parts(segment, raw, position))


def _number(raw: str) -> str:
    # int() is linear for these bases, str() is not: an absurdly long one stays as it is written.
    if raw[0] == "0" and raw[1:2] in ("x", "X", "o", "O", "b", "B") and len(raw) < 1000:
        return str(int(raw, 0))
    return raw.replace("_", "") if "_" in raw else raw


# Escapes of E'' work on bytes: \xC3\xA9 is one character, and PostgreSQL checks the whole string
# after the last escape. \u and \U are characters.
_ESCAPES: Final = re.compile(
    rb"''|\\(?:([0-7]{1,3})|x([0-9A-Fa-f]{1,2})|u([0-9A-Fa-f]{4})|U([0-9A-Fa-f]{8})|([\s\S]))"
)
_SINGLE: Final = {b"b": b"\b", b"f": b"\f", b"n": b"\n", b"r": b"\r", b"t": b"\t", b"v": b"\v"}


def _escaped(parts: list[str]) -> list[str]:
    decoded = b"".join(_unescape(part.encode()) for part in parts)
    if b"\x00" in decoded:
        raise UnreadableSql(CHARACTER_NOT_IN_REPERTOIRE, "zero byte in a string constant")
    try:
        return [decoded.decode()]
    except UnicodeDecodeError:
        message = 'invalid byte sequence for encoding "UTF8" in a string constant'
        raise UnreadableSql(CHARACTER_NOT_IN_REPERTOIRE, message) from None


def _unescape(inner: bytes) -> bytes:
    if b"\\" not in inner and b"'" not in inner:
        return inner
    out: list[bytes] = []
    position = 0
    pair = _SurrogatePair()
    for match in _ESCAPES.finditer(inner):
        literal = inner[position : match.start()]
        position = match.end()
        octal, hexadecimal, short, long, single = match.groups()
        if literal or not (short or long or single in (b"u", b"U")):
            pair.must_be_complete()
        out.append(literal)
        if octal:
            out.append(bytes([int(octal, 8) & 0xFF]))
        elif hexadecimal:
            out.append(bytes([int(hexadecimal, 16)]))
        elif short or long:
            out.append(pair.add(int(short or long, 16)).encode())
        elif single is None:
            out.append(b"'")
        elif single in b"uU":
            hint = r"Unicode escapes must be \uXXXX or \UXXXXXXXX."
            raise UnreadableSql(INVALID_ESCAPE_SEQUENCE, "invalid Unicode escape", hint)
        else:
            out.append(_SINGLE.get(single, single))
    if position < len(inner):
        pair.must_be_complete()
    out.append(inner[position:])
    pair.must_be_complete()
    return b"".join(out)


class _SurrogatePair:
    """UTF-16 surrogates in escapes: the first one waits for the second and nothing else."""

    def __init__(self) -> None:
        self._first = 0

    def add(self, code: int) -> str:
        if self._first:
            first, self._first = self._first, 0
            if not 0xDC00 <= code <= 0xDFFF:
                raise _invalid_pair()
            return chr(((first & 0x3FF) << 10) + 0x10000 + (code & 0x3FF))
        if 0xD800 <= code <= 0xDBFF:
            self._first = code
            return ""
        if 0xDC00 <= code <= 0xDFFF:
            raise _invalid_pair()
        if not 0 < code <= 0x10FFFF:
            raise UnreadableSql(SYNTAX_ERROR, "invalid Unicode escape value")
        return chr(code)

    def must_be_complete(self) -> None:
        if self._first:
            raise _invalid_pair()


def _invalid_pair() -> UnreadableSql:
    return UnreadableSql(SYNTAX_ERROR, "invalid Unicode surrogate pair")


# U&'...' and U&"..." with the default escape character. A UESCAPE clause is refused by the lexer:
# it would make the meaning of one token depend on the text of another.
def _unicode_literal(raw: str) -> str:
    return _unicode_escaped(_segments(_PLAIN, raw, 2).replace("''", "'"))


def unicode_identifier(raw: str) -> str:
    """The name that `U&"..."` spells (not yet truncated)."""
    return _unicode_escaped(raw[3:-1].replace('""', '"'))


_UNICODE_ESCAPES: Final = re.compile(r"\\(?:(\\)|([0-9A-Fa-f]{4})|\+([0-9A-Fa-f]{6})|())")


def _unicode_escaped(inner: str) -> str:
    """`str_udeescape` of parser.c."""
    out: list[str] = []
    position = 0
    pair = _SurrogatePair()
    for match in _UNICODE_ESCAPES.finditer(inner):
        literal = inner[position : match.start()]
        position = match.end()
        doubled, short, long, _ = match.groups()
        if literal or doubled:
            pair.must_be_complete()
        out.append(literal)
        if doubled:
            out.append("\\")
        elif short or long:
            out.append(pair.add(int(short or long, 16)))
        else:
            hint = r"Unicode escapes must be \XXXX or \+XXXXXX."
            raise UnreadableSql(SYNTAX_ERROR, "invalid Unicode escape", hint)
    if position < len(inner):
        pair.must_be_complete()
    out.append(inner[position:])
    pair.must_be_complete()
    return "".join(out)
