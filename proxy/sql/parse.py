"""sqlglot's Postgres parser, fed with our own tokens and freed of what misreads PostgreSQL.

Theory: `facts` about sqlglot 30.30 show two sources of silent misreadings: its tokenizer (which is
not used: `proxy.sql.lexer` is), and parser rules made for other dialects or for pretty output. The
second kind is removed here, by three means:

- the kind of each token is decided here: a word is a keyword to the parser only if it is one of
  PostgreSQL's, a type name is a type only where a type can stand, every operator that is not one of
  `= <> < > <= >= + - * / % ^` is the same generic operator at PostgreSQL's "any other operator" level;
- class attributes of the parser are replaced (never a subclass: the compiled build refuses those):
  no function is special, no lambda, no join kind, no placeholder that PostgreSQL has not;
- what remains is checked by `proxy.sql.crosscheck` against libpg_query.

Identifiers come out of the tree folded and cut as PostgreSQL does. The tree is for reading: SQL is
never generated from it. Errors carry no text.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Final

from sqlglot import exp
from sqlglot.dialects.postgres import Postgres
from sqlglot.parsers.postgres import PostgresParser
from sqlglot.tokenizer_core import Token as SqlglotToken
from sqlglot.tokenizer_core import TokenType

from proxy.sql.hardening import GENERIC_OPERATOR, JSON_FUNCTIONS
from proxy.sql.lexer import Kind, Token

# sqlglot logs the statement, literals and all, when it falls back to a Command. A level stays where `disabled` does not:
# logging.config.dictConfig enables all loggers again.
logging.getLogger("sqlglot").disabled = True
logging.getLogger("sqlglot").setLevel(logging.CRITICAL + 1)
logging.getLogger("sqlglot").propagate = False


class UnparsedSql(Exception):
    """sqlglot cannot read the statement. Nothing more is known, and nothing of it is told."""


def parse(tokens: Sequence[Token]) -> exp.Expr:
    """The syntax tree of one statement (no `;` among its tokens). Raises UnparsedSql."""
    try:
        # A tree has about a node per token; more means that the parser tries things again and again.
        parser = PostgresParser(dialect=_DIALECT, max_nodes=3 * len(tokens) + 50)
        trees = parser.parse(_sqlglot_tokens(tokens), "")
    except Exception:  # ParseError, but also TypeError, RecursionError, ...: all of them mean this
        raise UnparsedSql from None
    tree = trees[0] if len(trees) == 1 else None
    if tree is None or isinstance(tree, _UNREAD):
        raise UnparsedSql
    for star in tree.find_all(exp.Star):
        # sqlglot puts `SELECT *` around VALUES in some places; that star is in nobody's text.
        place = position(star)
        if place is not None and tokens[place].text != "*":
            star.meta.clear()
    return tree


def position(node: exp.Expr) -> int | None:
    """Index of the token that a leaf (Identifier, Literal, Parameter, Star, bit string, function
    call by its name) came from, in the list given to `parse`; None for nodes without a place."""
    if isinstance(node, exp.Parameter):
        node = node.this
    start = node.meta.get("start")
    return start // _STRIDE if isinstance(start, int) else None


# Only these are read. The rest (utility commands, DDL) is for whoever calls to recognise by its
# tokens; sqlglot would make Commands or guesses of it.
_READ: Final = frozenset(
    {"select", "with", "values", "table", "insert", "update", "delete", "merge"}
)

# What the parser returns when it gave up without saying so.
_UNREAD: Final = (exp.Command, exp.MultitableInserts, exp.Semicolon)

# Offsets of sqlglot tokens: the index of ours, spread so that no two tokens look adjacent to the
# parser but the two it is given for a parameter.
_STRIDE: Final = 4

_T = TokenType

# Words that the parser is to see as keywords. Every one is a keyword of PostgreSQL (a test holds
# that); whatever sqlglot reserves besides (semi, qualify, rlike, list, ...) is a name here.
_WORDS: Final = """
    all and any as asc between case collate cross cube current_catalog current_date current_schema
    current_time current_timestamp current_user default delete desc distinct else end escape except
    exists false fetch filter first for from full having ilike in inner insert intersect into is
    isnull join lateral left like limit localtime localtimestamp merge natural next not notnull null
    offset on only operator or ordinality outer over overlaps partition range recursive returning
    right rollup row rows select session_user set some table tablesample then true union update
    using values variadic when where window with
"""
_KEYWORDS: Final[dict[str, TokenType]] = {
    **{word: Postgres.Tokenizer.KEYWORDS[word.upper()] for word in _WORDS.split()},
    "array": _T.ARRAY,
    # One function to the parser; PostgreSQL has five names for who one is.
    "current_role": _T.CURRENT_USER,
    "system_user": _T.CURRENT_USER,
    "user": _T.CURRENT_USER,
}
_PAIRS: Final = {
    ("group", "by"): _T.GROUP_BY,
    ("order", "by"): _T.ORDER_BY,
    ("partition", "by"): _T.PARTITION_BY,
    ("grouping", "sets"): _T.GROUPING_SETS,
    ("similar", "to"): _T.SIMILAR_TO,
}

# Type names, which are types after `::` and in CAST(... AS, and before a string.
_TYPE_NAMES: Final = """
    bigint bit bool boolean bpchar bytea char character date daterange dec decimal float float4
    float8 int int2 int4 int4range int8 int8range integer interval json jsonb money name nchar
    numeric numrange real smallint text time timestamp timestamptz timetz tsrange tstzrange uuid
    varchar xml
"""
# Types that sqlglot does not know, or knows without their arrays: names to it, in places where only
# a type can stand.
_OTHER_TYPES: Final = """
    box cidr circle citext cube hstore inet jsonpath line lquery lseg ltree ltxtquery macaddr macaddr8
    oid path pg_lsn point polygon regclass regcollation regconfig regdictionary regnamespace regoper
    regoperator regproc regprocedure regrole regtype seg tsmultirange tsquery tsvector tstzmultirange
    xid xid8
"""
_TYPES: Final[dict[str, TokenType]] = {
    **{word: Postgres.Tokenizer.KEYWORDS[word.upper()] for word in _TYPE_NAMES.split()},
    **dict.fromkeys(_OTHER_TYPES.split(), _T.USERDEFINED),
}
_TYPE_PAIRS: Final = {
    ("double", "precision"): _T.DOUBLE,
    ("character", "varying"): _T.VARCHAR,
    ("char", "varying"): _T.VARCHAR,
    ("bit", "varying"): _T.BIT,
}

_SYMBOLS: Final[dict[str, TokenType]] = {
    "(": _T.L_PAREN,
    ")": _T.R_PAREN,
    "[": _T.L_BRACKET,
    "]": _T.R_BRACKET,
    ",": _T.COMMA,
    ".": _T.DOT,
    ":": _T.COLON,
    "::": _T.DCOLON,
    # Both name an argument: f(a => 1), f(a := 1).
    "=>": _T.FARROW,
    ":=": _T.FARROW,
    "=": _T.EQ,
    "<>": _T.NEQ,
    "!=": _T.NEQ,
    "<": _T.LT,
    ">": _T.GT,
    "<=": _T.LTE,
    ">=": _T.GTE,
    "+": _T.PLUS,
    "-": _T.DASH,
    "*": _T.STAR,
    "/": _T.SLASH,
    "%": _T.MOD,
    "^": _T.CARET,
}


def _sqlglot_tokens(tokens: Sequence[Token]) -> list[SqlglotToken]:
    first = next((token for token in tokens if token.text != "("), None)
    if first is None or first.kind is not Kind.IDENT or first.value not in _READ:
        raise UnparsedSql
    words = [token.value if token.kind is Kind.IDENT else "" for token in tokens]
    if _runs_away(tokens, words):
        raise UnparsedSql
    out: list[SqlglotToken] = []
    casts = _casts(tokens, words)
    skip = 0
    for index, token in enumerate(tokens):
        if index < skip:
            continue
        place = index * _STRIDE
        kind = token.kind
        if words[index : index + 3] in _OVERRIDING:
            skip = index + 3  # INSERT ... OVERRIDING SYSTEM VALUE: sqlglot does not know it
        elif words[index : index + 2] == ["current", "of"] and words[index - 1] == "where":
            # WHERE CURRENT OF cursor: a condition that names nothing but the cursor.
            skip = index + 3
            out.append(SqlglotToken(_T.TRUE, "true", start=place, end=place))
        elif kind is Kind.IDENT:
            token_type = _word(index, token, words, tokens, casts)
            pair = (token.value, words[index + 1] if index + 1 < len(words) else "")
            if pair in _PAIRS or (pair in _TYPE_PAIRS and index in casts):
                token_type = _PAIRS.get(pair) or _TYPE_PAIRS[pair]
                skip = index + 2
            if token.value in _PREDICATES and _after_is(index, words):
                skip = index + _predicate_length(words, index)
            out.append(SqlglotToken(token_type, token.value, start=place, end=place))
        elif kind is Kind.PARAM:
            out.append(SqlglotToken(_T.PARAMETER, "$", start=place, end=place))
            out.append(SqlglotToken(_T.NUMBER, token.value, start=place + 1, end=place + 1))
        else:
            token_type = _other(token, kind)
            out.append(SqlglotToken(token_type, token.value, start=place, end=place))
    return out


_OVERRIDING: Final = (["overriding", "system", "value"], ["overriding", "user", "value"])

_LONGEST_PREFIX: Final = 32


def _runs_away(tokens: Sequence[Token], words: list[str]) -> bool:
    """Is this text for which sqlglot's time or stack grows beyond its length?

    A JOIN without its ON or USING (no SQL, but sqlglot tries the rest twice for each), and long
    rows of prefix operators (it recurses, and the compiled build has no recursion limit).
    """
    joins = [0]
    prefix = 0
    for index, token in enumerate(tokens):
        word = words[index]
        prefix = prefix + 1 if token.kind is Kind.OPERATOR or word == "not" else 0
        if prefix > _LONGEST_PREFIX:
            return True
        if (
            word == "join"
            and tokens[index - 1].text not in (".", "::")
            and words[index - 1] != "as"
        ):
            # Only where neither CROSS nor NATURAL stands before it; then it needs a condition.
            before = words[max(index - 3, 0) : index]
            joins[-1] += not {"cross", "natural"}.intersection(before)
        elif word in ("on", "using"):
            joins[-1] = max(joins[-1] - 1, 0)
        elif token.text == "(":
            joins.append(0)
        elif token.text == ")" and len(joins) > 1 and joins.pop():
            return True
    return joins[0] > 0


def _casts(tokens: Sequence[Token], words: list[str]) -> set[int]:
    """Indexes of the tokens where a type name begins: after `::`, in CAST(... AS, before a string, and
    in json_value(... RETURNING."""
    places: set[int] = set()
    brackets: list[str] = []
    for index, token in enumerate(tokens):
        text = token.text
        if text == "::":
            places.add(index + 1)
        elif text in ("(", "["):
            brackets.append(words[index - 1] if text == "(" and index > 0 else "")
        elif text in (")", "]"):
            if brackets:
                brackets.pop()
        elif (words[index] == "as" and brackets and brackets[-1] == "cast") or (
            words[index] == "returning" and brackets and brackets[-1] in JSON_FUNCTIONS
        ):
            places.add(index + 1)
        elif token.kind is Kind.STRING and index > 0:
            if words[index - 1] in _TYPES:
                places.add(index - 1)
            elif words[index - 3 : index] in _TIME_ZONES and index > 3:
                places.add(index - 4)
    return places


_TIME_ZONES: Final = (["with", "time", "zone"], ["without", "time", "zone"])


def _word(
    index: int, token: Token, words: list[str], tokens: Sequence[Token], casts: set[int]
) -> TokenType:
    word = token.value
    if index > 0 and tokens[index - 1].text == ".":
        return _T.VAR  # after a dot every word is a name
    if index in casts:
        return _TYPES.get(word, _T.VAR)
    if word in _PREDICATES and _after_is(index, words):
        return _PREDICATES[word]
    if word == "array" and index + 1 < len(tokens) and tokens[index + 1].text == "[":
        # As a type it is tried twice at every level: 2^n for ARRAY[ARRAY[... As a name followed by a
        # bracket it becomes the same exp.Array at once.
        return _T.VAR
    if word in ("cube", "rollup") and words[index - 1] != "by" and tokens[index - 1].text != ",":
        return _T.VAR
    if not word.isascii() or len(token.text) > 63:
        return _T.IDENTIFIER  # str.upper() would make keywords of some of these
    return _KEYWORDS.get(word, _T.VAR)


# IS UNKNOWN, IS JSON OBJECT WITH UNIQUE KEYS, IS NFC NORMALIZED: no columns of these names.
_PREDICATES: Final = {
    "unknown": _T.NULL,
    "json": _T.JSON,
    "document": _T.JSON,
    "normalized": _T.JSON,
    **dict.fromkeys(("nfc", "nfd", "nfkc", "nfkd"), _T.JSON),
}
_JSON_KINDS: Final = frozenset({"value", "object", "array", "scalar"})


def _predicate_length(words: list[str], index: int) -> int:
    """How many words of an IS predicate stand for the first of them."""
    if words[index] != "json":
        return 1 + (words[index + 1 : index + 2] == ["normalized"])
    end = index + 1
    end += words[end : end + 1] != [] and words[end] in _JSON_KINDS
    if words[end : end + 2] in (["with", "unique"], ["without", "unique"]):
        end += 2 + (words[end + 2 : end + 3] == ["keys"])
    return end - index


def _after_is(index: int, words: list[str]) -> bool:
    if index and words[index - 1] == "not":
        index -= 1
    return index > 0 and words[index - 1] == "is"


def _other(token: Token, kind: Kind) -> TokenType:
    if kind is Kind.QUOTED_IDENT:
        return _T.IDENTIFIER
    if kind is Kind.NUMBER:
        return _T.NUMBER
    if kind is Kind.STRING:
        return {"b": _T.BIT_STRING, "x": _T.HEX_STRING}.get(token.text[0].lower(), _T.STRING)
    symbol = _SYMBOLS.get(token.text)
    if symbol is not None:
        return symbol
    if kind is Kind.OPERATOR:
        return GENERIC_OPERATOR
    raise UnparsedSql


_DIALECT: Final = Postgres()
