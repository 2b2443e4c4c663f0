"""Bodies of functions, procedures and DO: statements inside a literal, or behind RETURN and BEGIN ATOMIC.

They run later, in the server, where nothing is sealed on the way. What they hand on (rows of NEW, columns of a query) is
sealed as it was. A constant for a sealed column would stand in the catalog and the server's log as it is, and would
never be equal to what is stored; so a body that has one beside such a column is refused. So is one that sorts or groups
by such a column: it would do so by what is stored, in silence. Neither may it take the terms
of a sealed table: what it finds or sorts by them, it would tell roles that may not compare. What is put together at run
time (EXECUTE 'SELECT ...' || ...) nobody can see; the column's domain refuses it as a value.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from proxy.catalog import SCHEMA, Catalog
from proxy.sql import refusals
from proxy.sql.commands import is_name, sealed_names
from proxy.sql.lexer import Kind, Token, UnreadableSql, tokenize
from proxy.sql.values import word

_OPERATORS: Final = frozenset(
    {
        *("=", "<>", "!=", "<", ">", "<=", ">=", ":=", "like", "ilike", "in", "between", "is"),
        *("similar", "~", "~*", "!~", "~~", "~~*", "!~~", "!~~*", "^@", "->", "->>", "#>", "#>>"),
        *("@>", "<@"),
    }
)
_CONSTANTS: Final = frozenset({Kind.STRING, Kind.NUMBER})
_BETWEEN: Final = frozenset({"(", "not", "-", "distinct", "from", "to", "symmetric"})
_HINT: Final = (
    "Give the value to the function as an argument, and compare in a statement of the application."
)


def is_routine(tokens: Sequence[Token]) -> bool:
    """CREATE [OR REPLACE] { FUNCTION | PROCEDURE }"""
    at = 3 if word(tokens, 1) == "or" else 1
    return word(tokens, 0) == "create" and word(tokens, at) in ("function", "procedure")


def check_routine(catalog: Catalog, tokens: Sequence[Token]) -> None:
    """Raises Refused if a body has a constant beside a sealed column of a relation that it names."""
    for token in tokens:
        if token.kind is Kind.STRING:
            try:
                _check(catalog, tokenize(token.value))
            except UnreadableSql:
                continue  # No SQL: a library's name, a body in another language.
    for at in range(len(tokens)):
        if word(tokens, at) == "return" or word(tokens, at) == "atomic":
            _check(catalog, tokens[at:])
            return


def _check(catalog: Catalog, tokens: Sequence[Token]) -> None:
    sealed = sealed_names(catalog, tokens)
    if sealed and _calls_ours(tokens):
        raise refusals.terms_are_internal()
    for at, token in enumerate(tokens):
        if is_name(token) and token.value in sealed and _beside_constant(tokens, at):
            raise refusals.unsupported(
                "a function whose body has a constant for a sealed column", _HINT
            )
        if is_name(token) and token.value in sealed and _in_list_of_by(tokens, at):
            raise refusals.unsupported(
                "a function whose body sorts or groups by a sealed column",
                "Sort and group in a statement of the application: there Sealgate puts the terms in.",
            )


def _calls_ours(tokens: Sequence[Token]) -> bool:
    """`sealgate.ord(...)`: a function of ours, not one of our types."""
    return any(
        is_name(token)
        and token.value == SCHEMA
        and [t.text for t in tokens[at + 1 : at + 4 : 2]] == [".", "("]
        for at, token in enumerate(tokens)
    )


def _in_list_of_by(tokens: Sequence[Token], at: int) -> bool:
    """`ORDER BY email`, `GROUP BY id, c.email`, `PARTITION BY (email)`, `DISTINCT email`, `DISTINCT ON (email)`"""
    while at > 0:
        at -= 1
        if word(tokens, at) in ("by", "distinct"):
            return True
        behind = tokens[at + 1].text in (",", ".") or word(tokens, at + 1) in _DIRECTIONS
        listed = tokens[at].text in (",", ".", "(") or word(tokens, at) in _DIRECTIONS | {"on"}
        if not listed and not (is_name(tokens[at]) and behind):
            return False
    return False


_DIRECTIONS: Final = frozenset({"asc", "desc", "nulls", "first", "last"})


def _beside_constant(tokens: Sequence[Token], at: int) -> bool:
    """`email = 'x'`, `NEW.email := 'x'`, `'x' = c.email`, `email NOT IN ('x', ...)`, `(email, id) > ('x', 1)`"""
    behind = _behind_row(tokens, at + 1)
    while behind < len(tokens) and tokens[behind].value in _BETWEEN | {")"}:
        behind += 1
    if behind < len(tokens) and tokens[behind].value in _OPERATORS:
        behind += 1
        while behind < len(tokens) and tokens[behind].value in _BETWEEN:
            behind += 1
        if behind < len(tokens) and tokens[behind].kind in _CONSTANTS:
            return True
    before = at - 1
    while before > 0 and tokens[before].text == ".":
        before -= 2
    while before > 0 and tokens[before].text == "(":
        before -= 1
    if before > 0 and tokens[before].value in _OPERATORS:
        return tokens[before - 1].kind in _CONSTANTS
    return False


def _behind_row(tokens: Sequence[Token], at: int) -> int:
    """The bracket that ends a row of names, where `at` is a comma in one; else `at`."""
    behind = at
    while behind < len(tokens) and (tokens[behind].text in (",", ".") or is_name(tokens[behind])):
        behind += 1
    is_row = tokens[at : at + 1] and tokens[at].text == "," and tokens[behind : behind + 1]
    return behind if is_row and tokens[behind].text == ")" else at
