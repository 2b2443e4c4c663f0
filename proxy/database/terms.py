"""The terms of sealed values, as the database sees them: functions of schema sealgate, indexes on them, assurances. Pure.

An index finds the rows that carry a term. That every row does is what an assurance says (`proxy.assurance`): a CHECK on
the column, one for each kind of term. It also keeps a proxy that still runs with the configuration from before from
writing values that would not be found: its statement fails, SQLSTATE 23514, instead of a comparison missing rows.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from keystore import sealed, terms
from policy import Search
from proxy.assurance import PREFIX, declared_functions, name, receding
from proxy.catalog import SCHEMA, SealedColumn
from proxy.database.tables import AssuranceFacts, ColumnFacts, IndexFacts


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
    functions = declared_functions(search)
    return tuple(term for term in TERMS if term.function in functions)


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
    """The CHECK that says: every value of the column carries this term."""

    name: str
    expression: str
    printed: str
    """As pg_get_constraintdef prints it."""

    def states(self, facts: AssuranceFacts) -> bool:
        """It is there, whether or not it has been validated."""
        return (facts.name, facts.definition) == (self.name, self.printed)


def assurances(column: SealedColumn, quoted: str) -> tuple[Assurance, ...]:
    """One for each declared term."""
    return tuple(
        Assurance(
            name=name(column, term.function),
            expression=f"get_byte(substring({quoted}, 1, 4), 3) & {term.flag} = {term.flag}",
            printed=f'CHECK (((get_byte("substring"(({quoted})::bytea, 1, 4), 3) & {term.flag}) = {term.flag}))',
        )
        for term in declared_terms(column.search)
    )


def unassured(column: SealedColumn, facts: ColumnFacts) -> tuple[Assurance, ...]:
    """Those that the server does not give, or has not validated."""
    return tuple(
        wanted
        for wanted in assurances(column, facts.quoted)
        if not any(wanted.states(found) and found.valid for found in facts.assurances)
    )


def stale(column: SealedColumn, facts: ColumnFacts) -> tuple[AssuranceFacts, ...]:
    """Those that speak of what is not declared, or say something else than they should."""
    wanted = assurances(column, facts.quoted)
    return tuple(f for f in facts.assurances if not any(w.states(f) for w in wanted))


def changed(column: SealedColumn, facts: ColumnFacts) -> tuple[Term, ...]:
    """Terms that are declared, and of which the server vouches for another meaning: groups of another length, say."""
    # What was about to go, and is declared again, has not changed; nor has what says something else under the right name.
    wanted = {assurance.name for assurance in assurances(column, facts.quoted)}
    same = wanted | {receding(name) for name in wanted}
    others = {found.name for found in stale(column, facts)} - same
    held = {other.removeprefix(PREFIX).rpartition("_")[0] for other in others}
    return tuple(term for term in declared_terms(column.search) if term.function in held)
