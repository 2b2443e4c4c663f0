"""sqlglot's Postgres parser without what misreads PostgreSQL.

Class attributes are replaced when this module is imported; a subclass would not do, because the
compiled build (sqlglotc) refuses them. Each table below loses what belongs to other dialects, what
rewrites for prettier output (constants lose their place), and what turns a column into something
else. `proxy.sql.parse` says what kinds of tokens the parser ever sees.
"""
# ruff: noqa: SLF001 - sqlglot's extension points are its underscored methods

from __future__ import annotations

from typing import Any, Final

from sqlglot import exp
from sqlglot._version import __version__
from sqlglot.dialects.postgres import Postgres
from sqlglot.parsers.postgres import PostgresParser
from sqlglot.tokenizer_core import TokenType

GENERIC_OPERATOR: Final = TokenType.DAMP
"""Kind of every operator that has no rule of its own in PostgreSQL's grammar ("Op")."""


def _prefix_operator(parser: Any) -> exp.Expr:
    # `@ a + b` is `@ (a + b)`: PostgreSQL's prefix operators bind weaker than + and -.
    operand = parser._parse_term()
    return parser.expression(exp.Anonymous(this="operator", expressions=[operand]))  # type: ignore[no-any-return]


def _plus(parser: Any) -> exp.Expr:
    operand = parser._parse_unary()
    return parser.expression(exp.Anonymous(this="operator", expressions=[operand]))  # type: ignore[no-any-return]


def _generic_operator(parser: Any, left: exp.Expr, right: exp.Expr) -> exp.Expr:
    return parser.expression(exp.Operator(this=left, operator="operator", expression=right))  # type: ignore[no-any-return]


def _merge(parser: Any) -> exp.Expr:
    """MERGE whose source may be a join; RETURNING behind it."""
    parser._match(TokenType.INTO)
    target = parser._parse_table()
    if not parser._match(TokenType.USING):
        parser.raise_error("Expected USING")
    source = parser._parse_table(joins=True)
    if not parser._match(TokenType.ON):
        parser.raise_error("Expected ON")
    return parser.expression(  # type: ignore[no-any-return]
        exp.Merge(
            this=target,
            using=source,
            on=parser._parse_disjunction(),
            whens=parser._parse_when_matched(),
            returning=parser._parse_returning(),
        )
    )


JSON_FUNCTIONS: Final = frozenset(
    [
        "json",
        "json_array",
        "json_arrayagg",
        "json_exists",
        "json_object",
        "json_objectagg",
        "json_query",
        "json_scalar",
        "json_serialize",
        "json_value",
    ]
)


def _json_function(parser: Any) -> exp.Expr:
    """A function of SQL/JSON: all its values are arguments, in order; its words say how.

    Which words may follow which is libpg_query's to check, and that no value was taken for a word."""
    call = parser._tokens[parser._index - 2]
    values: list[exp.Expr] = []
    wanted = True
    while parser._curr and parser._curr.token_type is not TokenType.R_PAREN:
        if not wanted and (parser._match_set(_JSON_MARKS) or parser._match_texts(_JSON_WORDS)):
            wanted = True
        elif not _json_clause(parser):
            value = parser._parse_disjunction()
            if value is None:
                parser.raise_error("Expected a value")
            values.append(parser._parse_order(value))
            wanted = False
    node = exp.Anonymous(this=call.text, expressions=values)
    return parser.expression(node).update_positions(call)  # type: ignore[no-any-return]


# In PostgreSQL's order of clauses; the longest of each kind first.
_JSON_CLAUSES: Final = (
    *(("FORMAT", "JSON", "ENCODING", "UTF8"), ("FORMAT", "JSON")),
    *(("NULL", "ON", "NULL"), ("ABSENT", "ON", "NULL")),
    *((w, "UNIQUE", "KEYS") for w in ("WITH", "WITHOUT")),
    *((w, "UNIQUE") for w in ("WITH", "WITHOUT")),
    *(("WITHOUT", "ARRAY", "WRAPPER"), ("WITHOUT", "WRAPPER")),
    *(("WITH", w, "ARRAY", "WRAPPER") for w in ("CONDITIONAL", "UNCONDITIONAL")),
    *(("WITH", w, "WRAPPER") for w in ("CONDITIONAL", "UNCONDITIONAL")),
    *(("WITH", "ARRAY", "WRAPPER"), ("WITH", "WRAPPER")),
    *((w, "QUOTES", "ON", "SCALAR", "STRING") for w in ("KEEP", "OMIT")),
    *((w, "QUOTES") for w in ("KEEP", "OMIT")),
    *(
        (what, "ON", when)
        for what in ("NULL", "ERROR", "EMPTY", "TRUE", "FALSE", "UNKNOWN")
        for when in ("EMPTY", "ERROR")
    ),
    *(("EMPTY", w, "ON", when) for w in ("ARRAY", "OBJECT") for when in ("EMPTY", "ERROR")),
    *(("ON", "EMPTY"), ("ON", "ERROR")),
)
_JSON_MARKS: Final = (TokenType.COMMA, TokenType.COLON)
_JSON_WORDS: Final = ("VALUE", "PASSING", "DEFAULT")


def _json_clause(parser: Any) -> bool:
    """Takes the next words that say how, not what."""
    if parser._match_text_seq("RETURNING"):
        parser._parse_types()
        return True
    if parser._match(TokenType.ALIAS):
        parser._advance()  # PASSING value AS name
        return True
    return any(parser._match_text_seq(*clause) for clause in _JSON_CLAUSES)


def _constant(kind: type[exp.Expr], **args: Any) -> Any:
    """A parser for a constant's keyword that keeps its place: sealing TRUE replaces the word."""
    return lambda parser, token: parser.expression(kind(**args)).update_positions(token)


def _only(table: dict[Any, Any], *keys: Any) -> dict[Any, Any]:
    return {key: table[key] for key in keys}


def _hardened() -> dict[str, Any]:
    """Replacements for class attributes of the parser."""
    parser = PostgresParser
    return {
        "FUNCTIONS": {},
        "FUNCTION_PARSERS": _only(
            parser.FUNCTION_PARSERS, "CAST", "EXTRACT", "OVERLAY", "POSITION", "SUBSTRING", "TRIM"
        )
        | dict.fromkeys(map(str.upper, JSON_FUNCTIONS), _json_function),
        "NO_PAREN_FUNCTION_PARSERS": {
            **_only(parser.NO_PAREN_FUNCTION_PARSERS, "ANY", "CASE", "VARIADIC"),
            "SOME": parser.NO_PAREN_FUNCTION_PARSERS["ANY"],
            "ALL": lambda self: self.expression(exp.All(this=self._parse_bitwise())),
        },
        "NO_PAREN_FUNCTIONS": {
            **parser.NO_PAREN_FUNCTIONS,
            # SET a = DEFAULT: no column of that name.
            TokenType.DEFAULT: lambda: exp.Var(this="DEFAULT"),
        },
        "LAMBDAS": _only(parser.LAMBDAS, TokenType.FARROW),
        "JOIN_METHODS": {TokenType.NATURAL},
        "JOIN_KINDS": {TokenType.CROSS, TokenType.INNER, TokenType.OUTER},
        "EQUALITY": _only(parser.EQUALITY, TokenType.EQ, TokenType.NEQ),
        "BITWISE": {},
        "FACTOR": _only(parser.FACTOR, TokenType.MOD, TokenType.SLASH, TokenType.STAR),
        "JSON_OPERATORS": {GENERIC_OPERATOR: _generic_operator},
        "UNARY_PARSERS": {
            **_only(parser.UNARY_PARSERS, TokenType.NOT, TokenType.DASH),
            TokenType.PLUS: _plus,
            GENERIC_OPERATOR: _prefix_operator,
        },
        "RANGE_PARSERS": _only(
            parser.RANGE_PARSERS,
            TokenType.BETWEEN,
            TokenType.ILIKE,
            TokenType.IN,
            TokenType.IS,
            TokenType.LIKE,
            TokenType.OPERATOR,
            TokenType.OVERLAPS,
            TokenType.SIMILAR_TO,
        ),
        "PRIMARY_PARSERS": {
            **parser.PRIMARY_PARSERS,
            TokenType.NULL: _constant(exp.Null),
            TokenType.TRUE: _constant(exp.Boolean, this=True),
            TokenType.FALSE: _constant(exp.Boolean, this=False),
        },
        "PLACEHOLDER_PARSERS": _only(parser.PLACEHOLDER_PARSERS, TokenType.PARAMETER),
        "QUERY_MODIFIER_PARSERS": _only(
            parser.QUERY_MODIFIER_PARSERS,
            TokenType.WHERE,
            TokenType.GROUP_BY,
            TokenType.HAVING,
            TokenType.WINDOW,
            TokenType.ORDER_BY,
            TokenType.LIMIT,
            TokenType.FETCH,
            TokenType.OFFSET,
            TokenType.FOR,
        ),
        "ARRAY_CONSTRUCTORS": {"ARRAY": exp.Array},
        "TYPE_LITERAL_PARSERS": {},
        "STATEMENT_PARSERS": {**parser.STATEMENT_PARSERS, TokenType.MERGE: _merge},
    }


for _name, _value in _hardened().items():
    if not hasattr(PostgresParser, _name):  # pragma: no cover - the version is pinned
        raise ImportError(f"sqlglot {__version__} has no PostgresParser.{_name}")
    setattr(PostgresParser, _name, _value)
Postgres.INDEX_OFFSET = 0
