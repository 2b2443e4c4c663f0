"""Findings about search: SG03x, what terms there are, and what they tell somebody with a copy of the database. Pure.

What is counted is defined in `leakage`; docs/leakage.md says what it means and whose work it is.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from proxy.catalog import SCHEMA, SealedColumn
from proxy.database.finding import Finding, Learned, Stored, error, info, listed, warning
from proxy.database.leakage import Spread
from proxy.database.tables import ColumnFacts, TableFacts
from proxy.database.terms import (
    CASEFOLD,
    EQUALITY,
    MATCH,
    ORDER,
    PATHS,
    TERMS,
    Term,
    declared_terms,
    serves,
    stale,
    unassured,
)

APPLY: Final = "Run `sealgate apply`."
ENOUGH_ROWS: Final = 50
"""Fewer say nothing of a distribution."""
ENUM_VALUES: Final = 16
"""So many distinct values and no more: an enum. A booleans' two, genders, states of an order, blood groups."""
FEW_VALUES: Final = 256
REPEATED: Final = 4
"""Rows a value from which on values count as few."""
LARGE_SHARE: Final = 0.2
"""Of rows with the most frequent value, or that frequency analysis names."""
_COMPARED: Final = (EQUALITY, CASEFOLD, ORDER)


def searching(
    tables: Mapping[str, TableFacts],
    stored: Mapping[str, Stored | None],
    declared: Mapping[str, SealedColumn],
) -> Iterator[Finding]:
    for column in declared.values():
        table = tables.get(column.table)
        facts = table.column(column.label) if table else None
        held = stored.get(column.label)
        if table is not None and facts is not None and facts.sealed is not None:
            yield from _of_indexes(table, facts, column)
            yield from _of_assurance(facts, column)
        if held is not None:
            yield from _of_flags(held, column)
        yield from _of_leakage(held, column)


# -- what there is ----------------------------------------------------------------------------------------------------


def _of_indexes(table: TableFacts, facts: ColumnFacts, column: SealedColumn) -> Iterator[Finding]:
    wanted = declared_terms(column.search)
    for term in TERMS:
        on_term = [i for i in facts.indexes if i.keys == (term.expression(facts.quoted),)]
        if term not in wanted:
            for index in on_term:
                yield info(
                    "SG035",
                    column.label,
                    f"index {index.name} is on its {term.said} term, though it declares no {term.said}",
                    f"{APPLY} It drops the index.",
                )
        elif not any(serves(facts, i, term) and i.table == column.table for i in on_term):
            yield warning(
                "SG030",
                column.label,
                f"it declares {term.said} but has no index on {SCHEMA}.{term.function}:"
                " every such comparison reads the whole table",
                APPLY,
            )


def _of_assurance(facts: ColumnFacts, column: SealedColumn) -> Iterator[Finding]:
    missing = [wanted.name for wanted in unassured(column, facts)]
    if missing:
        yield error(
            "SG038",
            column.label,
            "the server does not vouch that every value carries the terms that are declared, so the proxy refuses to compare"
            f" it (no valid CHECK {listed(missing)})",
            f"{APPLY} If it is at work already, wait for it.",
        )
    old = [found.name for found in stale(column, facts)]
    if old:
        yield info(
            "SG039",
            column.label,
            f"the server still vouches for terms that are not declared: {listed(old)}",
            f"{APPLY} Until then what has no such terms cannot be written.",
        )


def _of_flags(held: Stored, column: SealedColumn) -> Iterator[Finding]:
    among = f" of {held.cells:,}{' sampled' if held.sampled else ''}"
    wanted = declared_terms(column.search)
    for term in TERMS:
        carrying = held.carrying(term.flag)
        lacking = held.cells - carrying
        if term in wanted and lacking:
            yield error(
                "SG031",
                column.label,
                f"{_values(lacking)}{among} carry no {term.said} term: comparisons miss them",
                f"{APPLY} It gives them terms.",
            )
        if term not in wanted and carrying:
            yield warning(
                "SG032",
                column.label,
                f"{_values(carrying)}{among} carry {term.said} terms, though it declares no {term.said}",
                f"{APPLY} It takes the terms away.",
            )


# -- what it tells ----------------------------------------------------------------------------------------------------


def _of_leakage(held: Stored | None, column: SealedColumn) -> Iterator[Finding]:
    for term in declared_terms(column.search):
        learned = held.learned.get(term.function) if held is not None else None
        sampled = held is not None and held.sampled
        if column.type.name == "bool" and term in _COMPARED:
            yield error(
                "SG034",
                column.label,
                "a boolean has two values: terms say which rows are alike, so all but say which is which"
                + (f" ({_spread(learned.spread, sampled)})" if learned else ""),
                _DROP,
            )
        if learned is None:
            continue
        yield _told(column, term, learned, sampled)
        if term in _COMPARED and column.type.name != "bool":
            yield from _of_spread(column, term, learned.spread, sampled)


_DROP: Final = (
    "Remove that search: search by another column, and read the value once the row is found."
)


def _of_spread(
    column: SealedColumn, term: Term, spread: Spread, sampled: bool
) -> Iterator[Finding]:
    said = _spread(spread, sampled)
    if spread.rows < ENOUGH_ROWS:
        yield info(
            "SG037",
            column.label,
            f"{spread.rows} {term.said} terms are too few to judge by, and few rows hide nobody ({said})",
            "Look again when there are more.",
        )
        return
    repeated = spread.rows >= REPEATED * spread.distinct
    if repeated and spread.distinct <= ENUM_VALUES:
        yield error(
            "SG034",
            column.label,
            f"it has so few values that its {term.said} terms all but name them ({said})",
            _DROP,
        )
    elif repeated and (
        spread.distinct < FEW_VALUES or spread.coincidences >= spread.most_coincidences
    ):
        yield warning(
            "SG033",
            column.label,
            f"its {term.said} terms are few and repeat: {spread.distinct:,} of them, {spread.coincidences:,.1f} rows each (the rule of"
            f" coincidences: fewer than {spread.most_coincidences:,.0f}), and frequencies name many of them ({said})",
            f"{_DROP} Shorter terms would not help: the values themselves are few.",
        )
    elif max(spread.share(1), spread.guessed / spread.rows) >= LARGE_SHARE:
        yield warning(
            "SG033",
            column.label,
            f"its {term.said} terms are skewed: frequencies name what is frequent ({said})",
            _DROP,
        )
    elif spread.coincidences < 2 and spread.term_bits is not None:
        low, high = spread.term_bits
        yield info(
            "SG037",
            column.label,
            f"nearly every {term.said} term is one row's: whoever can have a value sealed, or sees it asked for, finds its row",
            f"Terms cut to {low} to {high} bits would be shared by 2 to {spread.most_coincidences:,.0f} rows each;"
            " Sealgate has none yet. Keep the search if rows may be recognised.",
        )


def _told(column: SealedColumn, term: Term, learned: Learned, sampled: bool) -> Finding:
    spread = learned.spread
    measured = _numbers(learned)
    if term is MATCH:
        said = (
            f"{spread.distinct:,} different groups of characters, {spread.rows / max(learned.values, 1):.1f} a value;"
            f" {measured['counts_of_their_own']:,.0f} of them stand in a number of values that no other does, by which"
            " whoever knows the texts names them"
        )
    elif term is PATHS:
        said = (
            f"of what stands at the declared paths, all paths together: {_spread(spread, sampled)}"
        )
    elif term is ORDER and learned.order is not None:
        bits = learned.order
        said = (
            f"the whole order, so whoever knows which values occur reads them off: {_spread(spread, sampled)};"
            f" without knowing, {bits.settled:.1f} of {bits.length:.0f} bits a value by comparing {bits.compared:,} terms,"
            f" and {bits.bare:.2%} of bits outright"
        )
    else:
        said = _spread(spread, sampled)
    return info(
        "SG036",
        column.label,
        f"whoever has a copy of the database learns from its {term.said} terms: {said}",
        "See docs/leakage.md for what can be made of that.",
        measured,
    )


def _numbers(learned: Learned) -> dict[str, float]:
    spread = learned.spread
    found: dict[str, float] = {
        "values": learned.values,
        "terms": spread.rows,
        "distinct": spread.distinct,
        "share_of_most_frequent": round(spread.share(1), 6),
        "share_of_ten_most_frequent": round(spread.share(10), 6),
        "entropy_bits": round(spread.entropy, 3),
        "min_entropy_bits": round(spread.min_entropy, 3),
        "named_by_frequency": spread.guessed,
        "terms_a_distinct_one": round(spread.coincidences, 3),
        "counts_of_their_own": sum(1 for values in spread.sizes.values() if values == 1),
    }
    if learned.order is not None:
        found["order_compared"] = learned.order.compared
        found["order_bits"] = round(learned.order.length, 1)
        found["order_bits_settled"] = round(learned.order.settled, 2)
        found["order_bits_outright"] = round(learned.order.bare, 5)
    return found


def _spread(spread: Spread, sampled: bool) -> str:
    if not spread.rows:
        return "no rows"
    return (
        f"{spread.distinct:,} distinct among {spread.rows:,}{' sampled' if sampled else ''},"
        f" the most frequent {spread.share(1):.2g}, the ten most frequent {spread.share(10):.2g} of them,"
        f" entropy {spread.entropy:.1f} bits (min-entropy {spread.min_entropy:.1f}),"
        f" named by frequency {spread.guessed:,} ({spread.guessed / spread.rows:.1%})"
    )


def _values(count: int) -> str:
    return "1 value" if count == 1 else f"{count:,} values"
