"""A cast around CASE: `SET ssn = (CASE WHEN id = 1 THEN $1 ELSE NULL END)::text`, as Django's bulk_update writes it.

The values of the branches are sealed where they stand, so the server has bytea there and the cast's type in the text
becomes bytea; each branch's value is cast in its own place. That is the same only where all branches are of one type
before the cast as well: strings and parameters without a type, values cast to that very type, numbers under a cast to a
type of numbers.
"""

from __future__ import annotations

from typing import Final

from sqlglot import exp

from proxy.cells import TypeSpecError, logical_type
from proxy.sql import refusals
from proxy.sql.draft import Draft
from proxy.sql.lexer import Kind
from proxy.sql.parse import position
from proxy.sql.tree import text_at, unbracketed
from proxy.sql.values import Value, one_cast, word

_NUMBERS: Final = frozenset({"int2", "int4", "int8", "numeric", "float4", "float8"})


def cast_case(node: exp.Expr) -> exp.Case | None:
    """The CASE that a cast is around, brackets aside."""
    inner = unbracketed(node.this) if type(node) is exp.Cast else None
    return inner if isinstance(inner, exp.Case) else None


def take_over(draft: Draft, case: exp.Case) -> str:
    """Makes the cast around a CASE one to bytea; returns the type it was to, for the branches."""
    end = _behind(draft, case)
    while text_at(draft, end) == ")":
        end += 1
    if text_at(draft, end) != "::" and word(draft.tokens, end) != "as":
        raise refusals.not_understood("a cast")
    found = draft.type_at(end + 1)
    if found is None or found.name.endswith("[]"):
        raise refusals.not_understood("a cast")
    draft.literal_shaped |= found.modified
    draft.edit(draft.tokens[end + 1].start, draft.tokens[found.end - 1].end, "bytea")
    return found.name


def branch_cast(draft: Draft, value: Value, cast: str) -> str | None:
    """The one cast of a branch's value with the one around the CASE; None: not followed."""
    if draft.tokens[value.leaf].kind is Kind.NUMBER and value.cast is None:
        return cast if _type_name(cast) in _NUMBERS else None
    return one_cast(value.cast, cast)


def _type_name(cast: str) -> str | None:
    try:
        return logical_type(cast).name
    except TypeSpecError:
        return None


def _behind(draft: Draft, case: exp.Case) -> int:
    """The index of the token behind a CASE's END: of as many ENDs as CASEs hold the last of its names and constants."""
    places = [(place, node) for node in case.walk() if (place := position(node)) is not None]
    if not places:
        raise refusals.not_understood("CASE")
    at, node = max(places, key=lambda found: found[0])
    open_cases = 1
    parent = node.parent
    while parent is not None and parent is not case:
        open_cases += isinstance(parent, exp.Case)
        parent = parent.parent
    while open_cases:
        at += 1
        if at >= len(draft.tokens):
            raise refusals.not_understood("CASE")
        open_cases -= word(draft.tokens, at) == "end"
    return at + 1
