"""The terms of sealed values, as the database sees them: functions of schema sealgate, indexes on them, and an assurance. Pure.

An index finds the rows that carry a term; a row without it is not found, and nobody is told. So before anybody may
compare by a term every value has to carry it, and `apply` leaves the server's own word for that: a CHECK on the column
whose name holds a digest of what is declared (`assurance`). While it is missing, not valid or of another name, the terms are
not those of the configuration. The CHECK also keeps a proxy that still runs with the configuration from before from
writing values that would not be found: its statement fails, SQLSTATE 23514, instead of a comparison missing rows.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Final

from keystore import sealed, terms
from policy import Search
from proxy.catalog import SCHEMA, SealedColumn
from proxy.database.tables import ColumnFacts, IndexFacts

ASSURANCE_PREFIX: Final = "sealgate_terms_"
_DIGEST_LENGTH: Final = 16
# Raise it when the same declaration comes to mean other terms.
_MEANING: Final = 1


@dataclass(frozen=True, slots=True)
class Term:
    """One kind of term: its function, its flag in the sealed value's fourth byte, the index that serves it."""

    function: str
    flag: int
    method: str
    said: str

    def expression(self, quoted: str) -> str:
        """The key of its index as pg_get_indexdef prints it."""
        return f"{SCHEMA}.{self.function}(({quoted})::bytea)"


EQUALITY: Final = Term("eq", sealed.EQUALITY, "btree", "equality")
CASEFOLD: Final = Term("eq_casefold", terms.CASEFOLD, "btree", "case-insensitive equality")
ORDER: Final = Term("ord", terms.ORDER, "btree", "order")
MATCH: Final = Term("match", terms.MATCH, "gin", "match")
PATHS: Final = Term("paths", terms.PATHS, "gin", "path")
TERMS: Final = (EQUALITY, CASEFOLD, ORDER, MATCH, PATHS)


def declared_terms(search: Search) -> tuple[Term, ...]:
    """In flag order."""
    declared = (
        search.equality,
        search.casefold,
        search.order is not None,
        search.match,
        search.paths,
    )
    return tuple(term for term, is_declared in zip(TERMS, declared, strict=True) if is_declared)


def flags(search: Search) -> int:
    return sum(term.flag for term in declared_terms(search))


def comparing(search: Search) -> Term | None:
    """What takes the place of an index on the plain column: the term that `=` compares, else the one that sorts."""
    named = search.equality_function
    if named is None and search.order is not None:
        return ORDER
    return next((term for term in TERMS if term.function == named), None)


def said(search: Search) -> str:
    """`equality and order`, for people."""
    names = [term.said for term in declared_terms(search)]
    return " and ".join((", ".join(names[:-1]), names[-1]) if len(names) > 1 else names)


def serves(column: ColumnFacts, index: IndexFacts, term: Term) -> bool:
    """Does the index answer the term's comparisons over all rows?

    One WHERE column IS NOT NULL does not: the functions are inlined, and of their CASE the planner does not see that a NULL has no term.
    """
    methods = ("btree", "hash") if term in (EQUALITY, CASEFOLD) else (term.method,)
    return (
        index.keys == (term.expression(column.quoted),)
        and index.method in methods
        and index.default_operators
        and index.valid
        and index.predicate is None
    )


@dataclass(frozen=True, slots=True)
class Assurance:
    """The CHECK that says: every value of the column carries the terms that are declared."""

    name: str
    expression: str
    printed: str
    """As pg_get_constraintdef prints it."""

    def stated(self, facts: ColumnFacts) -> bool:
        """The server has it, and no other, whether or not it has been validated."""
        return [(a.name, a.definition) for a in facts.assurances] == [(self.name, self.printed)]


def assurance(column: SealedColumn, quoted: str) -> Assurance | None:
    """None for a column that declares no search."""
    mask = flags(column.search)
    if not mask:
        return None
    return Assurance(
        name=f"{ASSURANCE_PREFIX}{digest(column)}",
        expression=f"get_byte(substring({quoted}, 1, 4), 3) & {mask} = {mask}",
        printed=f'CHECK (((get_byte("substring"(({quoted})::bytea, 1, 4), 3) & {mask}) = {mask}))',
    )


def assured(column: SealedColumn, facts: ColumnFacts) -> bool:
    """Does the server say that every value carries exactly the terms that are declared? True where none is."""
    wanted = assurance(column, facts.quoted)
    if wanted is None:
        return not facts.assurances
    return wanted.stated(facts) and all(a.valid for a in facts.assurances)


def digest(column: SealedColumn) -> str:
    """Of everything that the terms depend on but the keys: what is declared, for which column or group, as which type."""
    meaning = [
        _MEANING,
        ["group", column.search_group] if column.search_group else ["column", column.label],
        column.type.name,
        column.search.declared,
    ]
    text = json.dumps(meaning, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:_DIGEST_LENGTH]
