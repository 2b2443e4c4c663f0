"""SQL text as PostgreSQL's scanner cuts it.

Theory: `src/backend/parser/scan.l` and `scansup.c` of PostgreSQL 18, the rules one by one:

- blanks are space, tab, newline, return, form feed and vertical tab, nothing Unicode; comments are
  `--` to the end of the line and nested `/* */`, and both begin inside an operator as well;
- an identifier is folded in ASCII only and cut to 63 bytes, every code point past ASCII may stand
  in it, `$` too, but not first; `U&"..."` is decoded;
- a string that goes on after a newline is one token; `N'x'` is the keyword NCHAR and a string;
- an operator of several characters gives trailing `+` and `-` back unless it holds one of
  `~ ! @ # ^ & | ` ? %`;
- what flex hands to the grammar as a stray character (`{`, a lone `$`, control characters) cannot
  occur in a statement: it is an error here.

What PostgreSQL's scanner refuses is refused with its SQLSTATE and message, without the text. Two
things are refused that it would read: `UESCAPE`, and text beyond the limits that protect the
parsers behind this module. Offsets are code points of the `str`.

`strip_literals` is the same reading at a tenth of the cost, for the plan cache: it finds the
literals and nothing else. Its property, tested: two texts with the same `Stripped.text` have the
same tokens apart from what the literals hold. What is simple is read faster by `proxy.sql.stripped`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import Enum, auto
from types import BuiltinFunctionType
from typing import Final, NamedTuple

from proxy.sql import literals
from proxy.sql.literals import SYNTAX_ERROR, UnreadableSql, literal_value
from proxy.sql.stripped import Stripped, strip_plain

__all__ = [
    "DEFAULT_LIMITS",
    "Kind",
    "Limits",
    "Stripped",
    "Token",
    "UnreadableSql",
    "literal_value",
    "names",
    "split_statements",
    "strip_literals",
    "tokenize",
]

FEATURE_NOT_SUPPORTED: Final = "0A000"
STATEMENT_TOO_COMPLEX: Final = "54001"
PROGRAM_LIMIT_EXCEEDED: Final = "54000"


class Kind(Enum):
    """What a token is to the scanner; keywords are identifiers."""

    IDENT = auto()
    QUOTED_IDENT = auto()
    STRING = auto()
    NUMBER = auto()
    PARAM = auto()
    OPERATOR = auto()
    PUNCTUATION = auto()
    """One of `, ( ) [ ] . ; : :: := ..`"""


class Token(NamedTuple):
    """One token and where it stands: `sql[start:end] == text`. (A tuple: half a dataclass's price.)"""

    kind: Kind
    start: int
    end: int
    text: str
    value: str
    """Name for identifiers (folded, decoded, cut to 63 bytes), `literal_value` for literals, the
    number for parameters, else the text."""

    def __repr__(self) -> str:
        # The text may be a client's secret.
        return f"Token({self.kind.name}, {self.start}, {self.end})"


@dataclass(frozen=True, slots=True)
class Limits:
    """How much SQL the parsers behind the lexer are given."""

    size: int = 4 * 1024 * 1024
    """UTF-8 bytes."""
    tokens: int = 20_000
    nesting: int = 24
    """Brackets and CASE ... END inside one another."""
    arrays: int = 6
    """ARRAY[ inside one another: PostgreSQL's own MAXDIM, and sqlglot needs 2^n for them."""


DEFAULT_LIMITS: Final = Limits()


# Blanks and comments. A comment that nests is left to `_end_of_comment`.
_BLANKS: Final = r"[ \t\n\r\f\v]++|--[^\n\r]*+"
_FLAT_COMMENT: Final = r"/\*(?>(?:[^*/]++|\*(?!/)|/(?!\*))*)\*/"
_SKIPPED: Final = rf"(?>(?:{_BLANKS}|{_FLAT_COMMENT})*)"

# Group numbers of _TOKEN, in the order of how often they occur.
_IDENT, _PUNCTUATION, _OPERATOR, _NUMBER, _STRING, _PARAM, _QUOTED, _SPECIAL = range(1, 9)
_UNICODE_IDENT, _COMMENT, _STRAY = 10, 11, 12
_TOKEN: Final = re.compile(
    rf"{_SKIPPED}(?:({literals.IDENTIFIER})"
    r"|([,()\[\];]|::|:=|:|\.\.|\.(?![0-9]))"
    r"|((?>(?:[~!@#^&|`?+*%<>=]|-(?!-)|/(?!\*))+))"
    rf"|({literals.NUMBER})"
    rf"|({literals.PLAIN_STRING})"
    rf"|({literals.PARAMETER})"
    rf"|({literals.QUOTED_IDENTIFIER})"
    rf"|({literals.ESCAPE_STRING}|{literals.BIT_STRING}|{literals.UNICODE_STRING}"
    rf"|{literals.dollar_string('tag')})"
    rf"|({literals.UNICODE_IDENTIFIER})"
    r"|(/\*)"
    r"|([\s\S])"
    # blanks or a comment end the text: without this, search would look for a token inside them
    r"|\Z)"
)


def tokenize(sql: str, limits: Limits = DEFAULT_LIMITS) -> list[Token]:
    """The tokens of `sql`, without blanks and comments. Raises UnreadableSql."""
    _check_text(sql, limits.size)
    nesting = _Nesting(limits)
    tokens: list[Token] = []
    for token in _tokens(sql):
        if len(tokens) >= limits.tokens:
            message = f"statement has more than {limits.tokens} tokens"
            raise UnreadableSql(
                PROGRAM_LIMIT_EXCEEDED, message, "Use parameters or smaller batches."
            )
        nesting.see(token)
        tokens.append(token)
    return tokens


def _check_text(sql: str, size: int) -> None:
    if "\x00" in sql:
        raise _zero_byte()
    try:
        length = len(sql) if sql.isascii() else len(sql.encode())
    except UnicodeEncodeError:
        message = 'invalid byte sequence for encoding "UTF8"'
        raise UnreadableSql(literals.CHARACTER_NOT_IN_REPERTOIRE, message) from None
    if length > size:
        message = f"statement is longer than {size} bytes"
        raise UnreadableSql(PROGRAM_LIMIT_EXCEEDED, message, "Use parameters, or COPY.")


def _zero_byte() -> UnreadableSql:
    message = 'invalid byte sequence for encoding "UTF8": 0x00'
    return UnreadableSql(literals.CHARACTER_NOT_IN_REPERTOIRE, message)


def _tokens(sql: str) -> Iterator[Token]:
    for group, start, text in _matches(sql):
        if group == _OPERATOR:
            for operator in _operators(text):
                yield Token(Kind.OPERATOR, start, start + len(operator), operator, operator)
                start += len(operator)
        else:
            kind, value = _kind_and_value(group, text)
            if value == "n" and kind is Kind.IDENT and sql.startswith("'", start + 1):
                value = "nchar"  # N'x': scan.l returns the keyword, then the string
            yield Token(kind, start, start + len(text), text, value)


def _matches(sql: str) -> Iterator[tuple[int, int, str]]:
    """(group of _TOKEN, offset, text) of every token; the operators still uncut."""
    position: int | None = 0
    after_unicode = False
    while position is not None:
        begin, position = position, None
        for match in _TOKEN.finditer(sql, begin):
            group = match.lastindex
            if group is None:
                return
            if group == _COMMENT:
                position = _end_of_comment(sql, match.start(group))
                break
            if group == _STRAY:
                raise _stray(sql, match.start(group))
            text = match.group(group)
            if after_unicode and text.lower() == "uescape":
                hint = "Write the characters themselves, or use the default escape character."
                raise UnreadableSql(FEATURE_NOT_SUPPORTED, "UESCAPE is not supported", hint)
            after_unicode = text[1:2] == "&" and text[0] in "uU"
            yield group, match.start(group), text


def _kind_and_value(group: int, text: str) -> tuple[Kind, str]:
    if group == _IDENT:
        return Kind.IDENT, _folded(text)
    if group == _PUNCTUATION:
        return Kind.PUNCTUATION, text
    if group == _NUMBER:
        return Kind.NUMBER, literal_value(text)
    if group == _PARAM:
        return Kind.PARAM, _parameter_number(text)
    if group == _QUOTED:
        return Kind.QUOTED_IDENT, _truncated(text[1:-1].replace('""', '"'))
    if group == _UNICODE_IDENT:
        return Kind.QUOTED_IDENT, _truncated(literals.unicode_identifier(text))
    return Kind.STRING, literal_value(text)


_ASCII_FOLD: Final = {upper: upper + 32 for upper in range(ord("A"), ord("Z") + 1)}


def _folded(identifier: str) -> str:
    """`downcase_truncate_identifier`."""
    if identifier.isascii():
        return identifier.lower()[:63]
    return _truncated(identifier.translate(_ASCII_FOLD))


def _truncated(name: str) -> str:
    """`truncate_identifier`: at most 63 bytes (NAMEDATALEN - 1), whole characters."""
    if len(name) * 4 < 64:
        return name
    return name.encode()[:63].decode(errors="ignore")


def _parameter_number(text: str) -> str:
    if len(text) > 10 and int(text[1:20]) > 0x7FFFFFFF:
        raise UnreadableSql(SYNTAX_ERROR, "parameter number too large")
    return text[1:].lstrip("0") or "0"


def _operators(run: str) -> list[str]:
    """The operators in a run of operator characters: trailing + and - stand alone unless the
    operator has a character that SQL's own operators have not."""
    length = len(run)
    if length > 1 and run[-1] in "+-" and not any(c in "~!@#^&|`?%" for c in run):
        length = max(len(run.rstrip("+-")), 1)
    if length > 63:
        raise UnreadableSql(SYNTAX_ERROR, "operator too long")
    return [run[:length], *run[length:]]


_COMMENT_MARK: Final = re.compile(r"/\*|\*/")


def _end_of_comment(sql: str, start: int) -> int:
    depth = 0
    for mark in _COMMENT_MARK.finditer(sql, start):
        depth += 1 if mark.group() == "/*" else -1
        if depth == 0:
            return mark.end()
    raise UnreadableSql(SYNTAX_ERROR, "unterminated /* comment")


def _stray(sql: str, position: int) -> UnreadableSql:
    """Why no token begins here: scan.l's own words for it."""
    first, second = sql[position], sql[position + 1 : position + 2]
    if first in "eEbBxXuU" and second in ("'", "&"):
        first = sql[position + 2 : position + 3] if second == "&" else second
    if first == "'":
        message = "unterminated quoted string"
    elif first == '"':
        empty = sql.startswith('""', position) and sql[position + 2 : position + 3] != '"'
        message = "zero-length delimited identifier" if empty else "unterminated quoted identifier"
    elif first == "$" and second.isdigit():
        message = "trailing junk after parameter"
    elif first == "$" and literals.DOLLAR_TAG.match(sql, position):
        message = "unterminated dollar-quoted string"
    elif first.isdigit() or (first == "." and second.isdigit()):
        message = "trailing junk after numeric literal"
    else:
        message = "syntax error"
    return UnreadableSql(SYNTAX_ERROR, message)


class _Nesting:
    """How deep brackets, CASE and ARRAY[ stand in one another.

    sqlglot recurses for each of them, and tries twice for each ARRAY[: `ARRAY[ARRAY[...` twenty
    deep takes it half a minute.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._open: list[str] = []
        self._arrays = 0
        self._previous = ""

    def see(self, token: Token) -> None:
        text = token.value if token.kind is Kind.IDENT else token.text
        if text in _OPENS:
            self._push("array" if text == "[" and self._arrays_at_bracket() else text)
        elif text in _CLOSES and self._open and self._open.pop() == "array":
            self._arrays -= 1
        self._previous = text

    def _arrays_at_bracket(self) -> bool:
        # ARRAY[[1], [2]] nests arrays without the word.
        return self._previous == "array" or (bool(self._open) and self._open[-1] == "array")

    def _push(self, what: str) -> None:
        self._open.append(what)
        self._arrays += what == "array"
        if len(self._open) > self._limits.nesting or self._arrays > self._limits.arrays:
            hint = "Break the statement up, for instance with WITH."
            raise UnreadableSql(STATEMENT_TOO_COMPLEX, "statement is nested too deeply", hint)


_OPENS: Final = frozenset({"(", "[", "case"})
_CLOSES: Final = frozenset({")", "]", "end"})


def names(sql: str) -> frozenset[str]:
    """The name of every identifier in `sql`, keywords included. No limit applies but time is linear,
    so this answers "could it touch X?" for text that is too long to parse. Raises UnreadableSql."""
    _check_text(sql, len(sql) * 4)
    return frozenset(
        _kind_and_value(group, text)[1]
        for group, _, text in _matches(sql)
        if group in (_IDENT, _QUOTED, _UNICODE_IDENT)
    )


def split_statements(tokens: Iterable[Token]) -> list[list[Token]]:
    """The tokens of each statement, without the `;` between them; empty statements vanish.

    A `;` separates at the top level only: not in brackets (CREATE RULE ... DO (a; b)), not in the
    BEGIN ATOMIC body of a function.
    """
    statements: list[list[Token]] = [[]]
    brackets = body = 0
    for token in tokens:
        statement = statements[-1]
        if token.kind is Kind.PUNCTUATION:
            if token.text in "([":
                brackets += 1
            elif token.text in ")]":
                brackets = max(brackets - 1, 0)
            elif token.text == ";" and not brackets and not body:
                statements.append([])
                continue
        elif token.kind is Kind.IDENT:
            body = _body_depth(body, token, statement)
        statement.append(token)
    return [statement for statement in statements if statement]


def _body_depth(depth: int, token: Token, statement: list[Token]) -> int:
    """How many END close the function body that the statement is in, after `token`."""
    if not depth:
        opens = token.value == "atomic" and _words(statement[-1:]) == ["begin"]
        return int(opens and _creates_routine(statement))
    if statement[-1].text == "." or _words(statement[-1:]) == ["as"]:
        return depth  # a name or a label
    return depth + (token.value == "case") - (token.value == "end")


def _creates_routine(statement: list[Token]) -> bool:
    words = _words(statement[:4])
    if words[1:3] == ["or", "replace"]:
        del words[1:3]
    return words[:1] == ["create"] and words[1:2] in (["function"], ["procedure"])


def _words(tokens: list[Token]) -> list[str]:
    return [token.value if token.kind is Kind.IDENT else "" for token in tokens]


# strip_literals: gap, then a literal, or whatever this expression does not know (a nested comment,
# U&, an error), in which case the lexer decides. Each alternative of the gap is a token or a stretch of
# characters that no token with a literal in it begins with; the repetition is atomic.
_GAP: Final = (
    r"(?>(?:[^\x00'\"$./\-0-9A-Za-z_\x80-\U0010ffff]++"
    rf"|{literals.IDENTIFIER}"
    rf"|{literals.PARAMETER}"
    r"|\.(?:\.|(?![0-9]))"
    rf"|{literals.QUOTED_IDENTIFIER}"
    r"|-(?>(?:-[^\n\r]*+)?)"
    rf"|/(?!\*)|{_FLAT_COMMENT})*)"
)
_GAP_AND_LITERAL: Final = re.compile(
    rf"({_GAP})(?:({literals.PLAIN_STRING}|{literals.NUMBER}|{literals.ESCAPE_STRING}"
    rf"|{literals.BIT_STRING}|{literals.dollar_string('tag')})"
    r"|([\s\S]*+))"
)


def strip_literals(sql: str) -> Stripped:
    """`sql` with markers for its literals. Raises UnreadableSql where `tokenize` does for other
    reasons than limits or the escapes inside a literal."""
    plain = strip_plain(sql) if _COMPILED else None
    return _strip_by_expression(sql) if plain is None else plain


_COMPILED: Final = isinstance(strip_plain, BuiltinFunctionType)
"""As a Python function it would win nothing, and be lost time where a text is not plain."""


def _strip_by_expression(sql: str) -> Stripped:
    if "\x00" in sql:
        raise _zero_byte()
    pieces: list[str] = []
    found: list[str] = []
    for gap, literal, _, rest in _GAP_AND_LITERAL.findall(sql):
        if rest:
            return _strip_by_tokens(sql)
        pieces.append(gap)
        if literal:
            pieces.append(_MARKERS.get(literal[0]) or _number_marker(literal))
            found.append(literal)
    return Stripped("".join(pieces), tuple(found))


_MARKERS: Final = {
    "'": "\x00s",
    "$": "\x00d",
    **{letter: "\x00" + letter.lower() for letter in "eEbBxXuU"},
}


def _number_marker(literal: str) -> str:
    return "\x00i" if literal.isdigit() or literal[1:2] in tuple("xXoObB") else "\x00n"


def _strip_by_tokens(sql: str) -> Stripped:
    pieces: list[str] = []
    found: list[str] = []
    position = 0
    for token in _tokens(sql):
        if token.kind is Kind.STRING or token.kind is Kind.NUMBER:
            pieces.append(sql[position : token.start])
            pieces.append(_MARKERS.get(token.text[0]) or _number_marker(token.text))
            found.append(token.text)
            position = token.end
    pieces.append(sql[position:])
    return Stripped("".join(pieces), tuple(found))
