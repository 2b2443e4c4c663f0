"""What `apply --dry-run` says it would cost: bytes and seconds, reckoned from counts and from a sample. [io: asyncpg]

A sample of rows is sealed here, by keys that may be nobody's, and measured; nothing of it is sent anywhere. So a term's size is
what it is, for types and texts of any length. In general it is:

    term                  bytes in the value          key of its index
    equality              16                          btree, 16
    case-folded           2 + 16                      btree, 16
    order                 2 + 8 a byte of the form    btree, 8 a byte of the form: int2 16, int4 and date 32, int8, floats and
                                                      timestamps 64 (float4 32), text 8 (N + 1), numeric by its digits
    match                 2 + 4 a distinct group      GIN, an entry a group that occurs, a posting a group and value
    paths                 2 + 16 a form, 2 a scalar   GIN, likewise

How many distinct terms there are is guessed from the sample by Chao's estimator: d + f1^2 / 2 f2, of d distinct ones of which f1 occurred
once and f2 twice (A. Chao, Scandinavian Journal of Statistics, 1984).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import asyncpg

from keystore import Keyset
from keystore.sealed import OVERHEAD, TERM_SIZE, terms_by_flag
from keystore.terms import LENGTH_SIZE
from proxy.database.deriving import terms_of
from proxy.database.report import TermReport
from proxy.database.sealing import SEND, opener, plain_reader, sealer
from proxy.database.steps import Action, ColumnSteps, TableSteps
from proxy.database.terms import EQUALITY, MATCH, TERMS, Term, declared_terms

SAMPLE_ROWS: Final = 2000
CELLS_A_SECOND: Final = 33_000
"""A million rows of three columns took 54 s to seal on two shared cores at load 1 to 2, 89 s at 3 to 4: reckoned by the slower,
because downtime is planned with it."""
TERMS_A_SECOND: Final = 10_000
"""Other than those of equality, which come with the cell."""
DERIVED_A_SECOND: Final = 5_000
"""Values that a pass reads, computes and updates, with the indexes after it: 100,000 rows of seven columns with every kind of
term took 182 s on two cores at load 9. Order of texts and groups of characters cost most."""
STAGED_ROW: Final = 24 + 4 + 6 + 4 + 24
"""Tuple header, oid, tid, line pointer, and the row in the primary key's index."""
_PAGE: Final = 8192
_VARLENA: Final = 4
_LINE_POINTER: Final = 4
_INDEX_HEADER: Final = 8
_SHORT: Final = 126
"""Bytes with a header of one byte."""
_TID: Final = 6
_POSTING_BYTES: Final = 812
"""A btree that is built packs the rows of equal keys into lists of a tenth of a page (nbtsort.c)."""
_BTREE_FILL: Final = 0.9
_GIN_ENTRY_FILL: Final = 0.5
_GIN_POSTING_FILL: Final = 0.7
"""Measured: entries come in no order, so that their pages split; lists of postings stay as they are (100,000 names, 7,600 groups)."""
_FIRST_POSTING: Final = 8
_OFFSET_BITS: Final = 11
"""A tuple's number in its page, of the integer whose differences GIN stores seven bits a byte (ginpostinglist.c)."""


@dataclass(frozen=True, slots=True)
class Forecast:
    """Of one table. `live` is without dead rows; `dead` what a pass leaves of them until VACUUM."""

    rows: int
    live_bytes: int
    dead_bytes: int
    staging_bytes: int
    index_bytes: int
    seconds: float
    derived: int
    """Rows that a pass would update, where there is one."""
    derived_seconds: float
    terms: tuple[TermReport, ...]


@dataclass(frozen=True, slots=True)
class _Sampled:
    """Per value of the sample: bytes of the plaintext and of the terms it carries; and the terms it should carry."""

    plaintext: float
    carried: float
    stale: float
    """Share of those that carry others than they should."""
    terms: dict[Term, list[bytes]]


async def forecast(connection: asyncpg.Connection, steps: TableSteps, keyset: Keyset) -> Forecast:
    """Reads every row once in the server for counts, and a sample of them here. Raises CannotSeal as sealing would."""
    changing = [c for c in steps.columns if _readable(c)]
    rows, cells, stored = await _counted(connection, steps, changing)
    live, index = steps.table.table_bytes, steps.table.index_bytes
    sealed = derived = looked_at = further = 0
    told: list[TermReport] = []
    for n, column in enumerate(changing):
        sampled = await _sampled(connection, steps, column, keyset)
        terms = {t: _mean(len(v) for v in values) for t, values in sampled.terms.items()}
        carrying = sum(size + _overhead(t) for t, size in terms.items())
        after = round(cells[n] * (OVERHEAD + _VARLENA + sampled.plaintext + carrying))
        before = (
            stored[n]
            if column.action is Action.SEAL
            else round(cells[n] * (OVERHEAD + _VARLENA + sampled.plaintext + sampled.carried))
        )
        live += after - before
        if column.action is Action.SEAL:
            sealed += after
            further += cells[n] * len(terms.keys() - {EQUALITY})
        else:
            derived = max(derived, round(cells[n] * sampled.stale))
            looked_at = max(looked_at, cells[n])
        replaced = {i.function for i in column.created}
        for term, values in sampled.terms.items():
            size = index_size(term, values, cells[n], live / _PAGE)
            told.append(
                TermReport(
                    column=column.declared.label,
                    term=term.said,
                    value_bytes=round(terms[term] + _overhead(term), 1),
                    index_bytes=size,
                    entry_bytes=round(size / cells[n], 1) if cells[n] else 0.0,
                )
            )
            if term in column.unserved and term.function not in replaced:
                index += size
    rewritten = len([c for c in changing if c.action is Action.SEAL])
    return Forecast(
        rows=rows,
        live_bytes=live,
        dead_bytes=round(min(steps.table.table_bytes, live) * derived / rows) if derived else 0,
        staging_bytes=sealed + rows * STAGED_ROW if rewritten else 0,
        index_bytes=index,
        seconds=round(rows * rewritten / CELLS_A_SECOND + further / TERMS_A_SECOND, 1),
        derived=derived,
        derived_seconds=round((looked_at + derived) / 2 * len(steps.derived) / DERIVED_A_SECOND, 1),
        terms=tuple(told),
    )


def index_size(term: Term, values: Sequence[bytes], rows: int, pages: float) -> int:
    """Bytes of an index on the term over `rows` values of which `values` are a sample, in a table of so many pages."""
    if not values or not rows:
        return 0
    if term.method == "gin":
        return _gin_size(4 if term is MATCH else TERM_SIZE, values, rows, pages)
    entry = _entry(_mean(map(len, values)))
    duplicates = rows / _distinct(values, len(values), rows)
    packed = min(duplicates, max((_POSTING_BYTES - entry) / _TID, 1.0))
    each = entry if duplicates < 1.5 else entry / packed + _TID
    return round(rows * each / _BTREE_FILL)


def _gin_size(width: int, values: Sequence[bytes], rows: int, pages: float) -> int:
    """An entry for each that occurs, and a posting for each value that it occurs in: the distance from the one before."""
    split = [v[i : i + width] for v in values for i in range(0, len(v), width)]
    if not split:
        return 0
    distinct = _distinct(split, len(values), rows)
    postings = len(split) / len(values) * rows
    entry = _entry(width) + _FIRST_POSTING
    # Each group's postings are spread over the table; what occurs in the sample stands for the rest.
    bytes_a_posting = _mean(
        _varbytes(pages * len(values) / (count * rows)) * count for count in Counter(split).values()
    ) / _mean(Counter(split).values())
    further = max(postings - distinct, 0) * bytes_a_posting
    return round(distinct * entry / _GIN_ENTRY_FILL + further / _GIN_POSTING_FILL)


def _varbytes(pages: float) -> int:
    """Of a difference of so many pages."""
    return max(1, -(-max(int(pages * (1 << _OFFSET_BITS)), 1).bit_length() // 7))


def _entry(key: float) -> float:
    """A btree's tuple for one row with its line pointer; lengths are multiples of eight."""
    varlena = key + (1 if key <= _SHORT else _VARLENA)
    return _INDEX_HEADER + -(-varlena // 8) * 8 + _LINE_POINTER


def _distinct(sample: Iterable[bytes], sampled: int, rows: int) -> float:
    """Distinct ones among all rows, by those in the sample."""
    occurring = Counter(sample)
    if sampled >= rows:
        return max(len(occurring), 1)
    of = Counter(occurring.values())
    unseen = of[1] ** 2 / (2 * of[2]) if of[2] else of[1] * (of[1] - 1) / 2
    # Where some are frequent and some unique, the estimate is too high: no more than all that were met once are unique.
    most = len(occurring) - of[1] + of[1] * rows / sampled
    return max(min(len(occurring) + unseen, most), 1)


def _overhead(term: Term) -> int:
    return 0 if term is EQUALITY else LENGTH_SIZE


def _mean(sizes: Iterable[float]) -> float:
    found = list(sizes)
    return sum(found) / len(found) if found else 0.0


def _readable(column: ColumnSteps) -> bool:
    if column.action is Action.SEAL:
        return column.facts.type_oid == column.declared.type.oid
    return column.action is Action.DERIVE


async def _counted(
    connection: asyncpg.Connection, steps: TableSteps, columns: Sequence[ColumnSteps]
) -> tuple[int, list[int], list[int]]:
    """Rows, and per column its values and the bytes that they take now."""
    reads = ["count(*)"]
    for c in columns:
        reads += [
            f"count({c.facts.quoted})",
            f"coalesce(sum(pg_catalog.pg_column_size({c.facts.quoted})), 0)",
        ]
    row = await connection.fetchrow(f"SELECT {', '.join(reads)} FROM {steps.table.qualified}")  # noqa: S608
    rows, *sums = (int(value) for value in row)
    return rows, sums[::2], sums[1::2]


async def _sampled(
    connection: asyncpg.Connection, steps: TableSteps, column: ColumnSteps, keyset: Keyset
) -> _Sampled:
    quoted, declared = column.facts.quoted, column.declared
    keys = keyset.column(declared.label)
    seal = sealer(declared, keys)
    plain: Callable[[bytes], bytes]
    if column.action is Action.SEAL:
        read = f"pg_catalog.{SEND[declared.type.name]}({quoted})"
        plain = plain_reader(declared.label, declared.type)
    else:
        read, plain = f"{quoted}::pg_catalog.bytea", opener(declared.label, keyset.data_keys)
    values = await connection.fetch(
        f"SELECT {read} FROM {steps.table.qualified} WHERE {quoted} IS NOT NULL"  # noqa: S608
        f" ORDER BY pg_catalog.random() LIMIT {SAMPLE_ROWS}"
    )
    terms: dict[Term, list[bytes]] = {term: [] for term in declared_terms(declared.search)}
    plaintext, carried, stale = [], [], []
    for (value,) in values:
        opened = plain(value)
        plaintext.append(len(opened))
        fresh = seal(opened)
        if column.action is not Action.SEAL:
            carried.append(len(value) - OVERHEAD - len(opened))
            stale.append(terms_of(value) != terms_of(fresh))
        for term, found in split_terms(fresh).items():
            terms[term].append(found)
    return _Sampled(_mean(plaintext), _mean(carried), _mean(stale), terms)


def split_terms(value: bytes) -> dict[Term, bytes]:
    """The terms of a sealed value, each without its length."""
    found = terms_by_flag(value)
    return {term: found[term.flag] for term in TERMS if term.flag in found}
