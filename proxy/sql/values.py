"""A value as the client's text writes it: a constant or parameter with its sign, casts and brackets.

sqlglot says *that* an operand is a value; where it stands, with what around it, is read here from
the tokens: `x`, `-5`, `$1::varchar(10)`, `CAST('x' AS text)`, `date '2020-01-01'`, `('x')::text`.
Both readings have to agree on how many casts, signs and brackets there are, so that an edit replaces
exactly what the parser took for the value.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from sqlglot import exp

from proxy.cells import LogicalType, TypeSpecError, logical_type
from proxy.sql.lexer import Kind, Token
from proxy.sql.parse import position

LONGEST_PREFIX: Final = 16
"""Tokens that may stand before the constant itself: brackets, CAST(, a type's name, a sign."""


@dataclass(frozen=True, slots=True)
class Value:
    """Token range [start, end) of a value whose constant or parameter is the token `leaf`."""

    start: int
    end: int
    leaf: int
    brackets: int = 0
    casts: int = 0
    signs: int = 0
    negative: bool = False
    cast: str | None = None
    """The cast's type, as `proxy.cells.logical_type` reads it; several casts do what this one does."""
    modified: bool = False
    """The type has a modifier, so its number is part of what the statement means."""


@dataclass(frozen=True, slots=True)
class Chain:
    """What sqlglot has around a constant."""

    leaf: exp.Expr
    brackets: int
    casts: int
    signs: int


LEAVES: Final = (exp.Literal, exp.Parameter, exp.Boolean, exp.Null)


def chain(node: exp.Expr) -> Chain | None:
    """The brackets, casts and signs around a constant or parameter; None if it is anything else."""
    brackets = casts = signs = 0
    while True:
        if type(node) is exp.Paren:
            brackets += 1
        elif type(node) is exp.Cast:
            casts += 1
        elif type(node) is exp.Neg:
            signs += 1
        else:
            break
        node = node.this
    return Chain(node, brackets, casts, signs) if isinstance(node, LEAVES) else None


def locate(tokens: Sequence[Token], found: Chain) -> Value | None:
    """Where the value of a chain stands. None: tokens and tree do not tell the same."""
    leaf = position(found.leaf)
    if leaf is None:
        return None
    if not (found.brackets or found.casts or found.signs):
        return Value(leaf, leaf + 1, leaf) if _text(tokens, leaf + 1) != "::" else None
    for start in range(max(0, leaf - LONGEST_PREFIX), leaf + 1):
        value = read_value(tokens, start)
        if (
            value is not None
            and value.leaf == leaf
            and (value.brackets, value.casts, value.signs)
            == (found.brackets, found.casts, found.signs)
        ):
            return value
    return None


def read_value(tokens: Sequence[Token], start: int) -> Value | None:
    """The value that begins at `start`, with the casts behind it."""
    value = _primary(tokens, start)
    while value is not None and _text(tokens, value.end) == "::":
        value = _cast(tokens, value, value.end + 1, closing=0)
    return value


def _primary(tokens: Sequence[Token], start: int) -> Value | None:
    text = _text(tokens, start)
    if text == "(":
        inner = read_value(tokens, start + 1)
        if inner is None or _text(tokens, inner.end) != ")":
            return None
        return replace(inner, start=start, end=inner.end + 1, brackets=inner.brackets + 1)
    if text == "-":
        inner = read_value(tokens, start + 1)
        if inner is None or tokens[inner.leaf].kind is not Kind.NUMBER:
            return None
        if inner.cast is not None and inner.cast.partition("(")[0] not in _NUMBERS:
            return None  # `-5::text` is -(5::text)
        negative = not inner.negative
        return replace(inner, start=start, signs=inner.signs + 1, negative=negative)
    if _is_constant(tokens, start):
        return Value(start, start + 1, start)
    if word(tokens, start) == "cast" and _text(tokens, start + 1) == "(":
        inner = read_value(tokens, start + 2)
        if inner is None or word(tokens, inner.end) != "as":
            return None
        value = _cast(tokens, inner, inner.end + 1, closing=1)
        return value and replace(value, start=start)
    return _typed_string(tokens, start)


def _typed_string(tokens: Sequence[Token], start: int) -> Value | None:
    """`date '2020-01-01'`"""
    found = read_type(tokens, start)
    if found is None or found.end >= len(tokens) or tokens[found.end].kind is not Kind.STRING:
        return None
    return Value(
        start,
        found.end + 1,
        found.end,
        casts=1,
        # Before a string, char without a length is of any length (ConstCharacter in gram.y).
        cast="bpchar" if found.name in _CHARACTER else found.name,
        modified=found.modified,
    )


_CHARACTER: Final = frozenset({"char", "character", "nchar"})


def _cast(tokens: Sequence[Token], inner: Value, at: int, *, closing: int) -> Value | None:
    found = read_type(tokens, at)
    if found is None or (closing and _text(tokens, found.end) != ")"):
        return None
    cast = one_cast(inner.cast, found.name)
    if cast is None:
        return None
    return replace(
        inner,
        end=found.end + closing,
        casts=inner.casts + 1,
        cast=cast,
        modified=inner.modified or found.modified,
    )


def one_cast(inner: str | None, outer: str) -> str | None:
    """The one cast that does what a cast to `inner` and then one to `outer` do; None: there is none.

    `'{1}'::int4[]::integer[]`, `'a'::text::varchar`, `1.5::numeric::numeric(12,2)`.
    """
    if inner is None or inner == outer:
        return outer
    if {inner, outer} <= {"text", "varchar", "character varying"}:
        return inner
    one, two = (_logical(name) for name in (inner, outer))
    if one is None or two is None or one.name != two.name:
        return None
    if inner.endswith("[]") != outer.endswith("[]"):
        return None
    if one.modifier == two.modifier or two.modifier == -1:
        return inner
    return outer if one.modifier == -1 else None


def _logical(name: str) -> LogicalType | None:
    try:
        return logical_type(name.removesuffix("[]"))
    except TypeSpecError:
        return None


def _is_constant(tokens: Sequence[Token], at: int) -> bool:
    if at >= len(tokens):
        return False
    token = tokens[at]
    return token.kind in _CONSTANTS or word(tokens, at) in ("true", "false", "null")


_CONSTANTS: Final = frozenset({Kind.STRING, Kind.NUMBER, Kind.PARAM})


@dataclass(frozen=True, slots=True)
class TypeName:
    name: str
    end: int
    modified: bool


def words(text: str) -> frozenset[str]:
    """A set of words written as text."""
    return frozenset(text.split())


_NUMBERS: Final = words(
    "int2 int4 int8 smallint int integer bigint numeric decimal dec float4 float8 real float"
) | {"double precision"}
_TWO_WORDS: Final = frozenset(
    {("double", "precision"), ("character", "varying"), ("char", "varying"), ("bit", "varying")}
)
_ZONED: Final = frozenset({"time", "timestamp"})

# PostgreSQL's reserved words: none is a type's name, and none a value's.
RESERVED: Final = words(
    """
    all analyse analyze and any array as asc asymmetric authorization binary both case cast check
    collate collation column concurrently constraint create cross current_catalog current_date
    current_role current_schema current_time current_timestamp current_user default deferrable desc
    distinct do else end except false fetch for foreign freeze from full grant group having ilike in
    initially inner intersect into is isnull join lateral leading left like limit localtime
    localtimestamp natural not notnull null offset on only or order outer overlaps placing primary
    references returning right select session_user similar some symmetric system_user table
    tablesample then to trailing true union unique user using variadic verbose when where window with
    """
)


def read_type(tokens: Sequence[Token], at: int) -> TypeName | None:
    """A type's name: `[schema.]name`, two words, modifier, time zone, array brackets."""
    if word(tokens, at) == "pg_catalog" and _text(tokens, at + 1) == ".":
        at += 2
    elif _text(tokens, at + 1) == ".":
        return None  # a schema of the user's: no type that a sealed column has
    if at >= len(tokens) or tokens[at].kind not in (Kind.IDENT, Kind.QUOTED_IDENT):
        return None
    if word(tokens, at) in RESERVED:
        return None
    name, end = tokens[at].value, at + 1
    if tokens[at].kind is Kind.QUOTED_IDENT and name == "char":
        return None  # "char" is another type than char
    if (name, word(tokens, end)) in _TWO_WORDS:
        name, end = f"{name} {tokens[end].value}", end + 1
    modifier, end = _modifier(tokens, end)
    name += modifier
    if tokens[at].value in _ZONED and word(tokens, end) in ("with", "without"):
        if (word(tokens, end + 1), word(tokens, end + 2)) != ("time", "zone"):
            return None
        name += f" {tokens[end].value} time zone"
        end += 3
    brackets, end = _array(tokens, end)
    return TypeName(name + brackets, end, bool(modifier))


def _modifier(tokens: Sequence[Token], at: int) -> tuple[str, int]:
    if _text(tokens, at) != "(":
        return "", at
    numbers: list[str] = []
    end = at + 1
    while end < len(tokens) and (tokens[end].kind is Kind.NUMBER or _text(tokens, end) == "-"):
        sign = _text(tokens, end) == "-"
        end += sign
        numbers.append(("-" if sign else "") + _text(tokens, end))
        if _text(tokens, end + 1) == ")":
            return f"({','.join(numbers)})", end + 2
        if _text(tokens, end + 1) != ",":
            break
        end += 2
    return "", at


def _array(tokens: Sequence[Token], at: int) -> tuple[str, int]:
    brackets = ""
    while _text(tokens, at) == "[":
        end = at + 1
        if end < len(tokens) and tokens[end].kind is Kind.NUMBER:
            end += 1
        if _text(tokens, end) != "]":
            break
        brackets, at = "[]", end + 1
    return brackets, at


def word(tokens: Sequence[Token], at: int) -> str:
    """The unquoted identifier or keyword at `at`, folded; else the empty string."""
    if 0 <= at < len(tokens) and tokens[at].kind is Kind.IDENT:
        return tokens[at].value
    return ""


def _text(tokens: Sequence[Token], at: int) -> str:
    return tokens[at].text if 0 <= at < len(tokens) else ""
