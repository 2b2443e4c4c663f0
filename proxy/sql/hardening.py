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
        ),
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
