"""libpg_query's scanner and parser (PostgreSQL 18's, bound by postgast), in the lexer's words."""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterator, Sequence
from typing import Any, Final, NamedTuple

from proxy.sql.lexer import (
    Kind,
    Limits,
    Token,
    UnreadableSql,
    split_statements,
    strip_literals,
    tokenize,
)

# Its type stubs are not valid Python to mypy.
postgast: Final[Any] = importlib.import_module("postgast")

UNLIMITED: Final = Limits(size=1 << 30, tokens=1 << 30, nesting=1 << 30, arrays=1 << 30)

_TOKEN: Final = postgast.pg_query_pb2.Token
_COMMENTS: Final = {_TOKEN.Value("SQL_COMMENT"), _TOKEN.Value("C_COMMENT")}
_KINDS: Final = {
    **dict.fromkeys(("ICONST", "FCONST"), Kind.NUMBER),
    **dict.fromkeys(("SCONST", "USCONST", "BCONST", "XCONST"), Kind.STRING),
    "PARAM": Kind.PARAM,
    **dict.fromkeys(("IDENT", "UIDENT"), Kind.IDENT),
    **dict.fromkeys(
        ("Op", "EQUALS_GREATER", "GREATER_EQUALS", "LESS_EQUALS", "NOT_EQUALS"), Kind.OPERATOR
    ),
    **dict.fromkeys(("TYPECAST", "COLON_EQUALS", "DOT_DOT"), Kind.PUNCTUATION),
    **{f"ASCII_{ord(c)}": Kind.OPERATOR for c in "+-*/%^<>="},
    **{f"ASCII_{ord(c)}": Kind.PUNCTUATION for c in ",()[].;:"},
}
_NUMBERS: Final = {_TOKEN.Value(n): k for n, k in _KINDS.items() if n in _TOKEN.keys()}  # noqa: SIM118


class Cut(NamedTuple):
    """One token: its kind (IDENT for names of all kinds and keywords) and UTF-8 byte offsets."""

    kind: Kind | None
    start: int
    end: int


def scanned(sql: str) -> list[Cut] | None:
    """What libpg_query's scanner makes of a text; None where it refuses."""
    try:
        tokens = postgast.scan(sql).tokens
    except postgast.PgQueryError:
        return None
    return [
        Cut(Kind.IDENT if t.keyword_kind else _NUMBERS.get(t.token), t.start, t.end)
        for t in tokens
        if t.token not in _COMMENTS
    ]


def lexed(sql: str) -> list[Cut] | str:
    """What our lexer makes of it; the message where it refuses."""
    try:
        tokens = tokenize(sql, UNLIMITED)
    except UnreadableSql as error:
        return error.message
    offsets = _Bytes(sql)
    return [
        Cut(
            Kind.IDENT if token.kind is Kind.QUOTED_IDENT else token.kind,
            offsets.at(token.start),
            offsets.at(token.end),
        )
        for token in tokens
    ]


class _Bytes:
    """Code point offsets in rising order as byte offsets."""

    def __init__(self, sql: str) -> None:
        self._sql = sql
        self._ascii = sql.isascii()
        self._seen = (0, 0)

    def at(self, offset: int) -> int:
        if self._ascii:
            return offset
        characters, found = self._seen
        found += len(self._sql[characters:offset].encode())
        self._seen = (offset, found)
        return found


# What the lexer refuses on purpose and libpg_query's scanner does not: characters that no grammar rule
# takes, UESCAPE, escapes that PostgreSQL checks behind its scanner, and three checks that libpg_query
# has patched out.
STRICTER: Final = (
    "syntax error",
    "UESCAPE",
    "invalid Unicode",
    "invalid byte sequence",
    "zero byte",
    "zero-length delimited identifier",
    "trailing junk after parameter",
    "parameter number too large",
)


def differences(sql: str) -> Iterator[str]:
    """In what the two scanners, and the lexer's faster half, do not agree about a text."""
    if _continues_past_a_comment(sql):
        return
    theirs, ours = scanned(sql), lexed(sql)
    if isinstance(ours, str):
        if theirs is not None and not ours.startswith(STRICTER):
            yield f"refused: {ours}"
        return
    if theirs != ours:
        yield "tokens" if theirs is not None else "accepted"
        return
    source = sql.encode()
    literals = [
        source[cut.start : cut.end].decode()
        for cut in theirs
        if cut.kind in (Kind.STRING, Kind.NUMBER)
    ]
    stripped = strip_literals(sql)
    if list(stripped.literals) != literals:
        yield "literals"
    elif _restored(stripped.text, literals) != sql:
        yield "places of literals"


_MARKER: Final = re.compile(r"\x00[a-z]")


def _restored(text: str, literals: Sequence[str]) -> str:
    rest = iter(literals)
    return _MARKER.sub(lambda _: next(rest, ""), text)


def _continues_past_a_comment(sql: str) -> bool:
    """libpg_query's scanner, which returns comments as tokens, ends a string before a comment that
    PostgreSQL reads over (`'a' --x`, newline, `'b'`)."""
    if "--" not in sql:
        return False
    try:
        return any("'" in t.text and "--" in t.text for t in tokenize(sql, UNLIMITED))
    except UnreadableSql:
        return "\n" in sql


UNREAD: Final = "unread"


def boundary_difference(sql: str) -> str | None:
    """In what the statements of a message differ from those of PostgreSQL's parser; None for nothing,
    UNREAD where one of the two cannot read it."""
    try:
        theirs = [
            (raw.stmt_location, raw.stmt_location + raw.stmt_len)
            for raw in postgast.parse(sql).stmts
            if raw.stmt.WhichOneof("node")
        ]
        ours = split_statements(tokenize(sql, UNLIMITED))
    except (postgast.PgQueryError, UnreadableSql):
        return UNREAD
    if len(theirs) != len(ours):
        return f"{len(ours)} statements, {len(theirs)} to PostgreSQL"
    for (begin, end), tokens in zip(theirs, ours, strict=True):
        if not _inside(sql, tokens, begin, end):
            return "a statement's place"
    return None


def _inside(sql: str, tokens: Sequence[Token], begin: int, end: int) -> bool:
    """PostgreSQL 18 gives the first token's byte, and blanks and comments before the `;` are the
    statement's; the length is 0 for a last statement without `;`."""
    first = len(sql[: tokens[0].start].encode())
    last = len(sql[: tokens[-1].end].encode())
    behind = sql.encode()[last:end].decode() if end > begin else ""
    return first == begin and (last <= end or begin == end) and not tokenize(behind)
