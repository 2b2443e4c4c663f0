"""Comparisons with what a subquery gives: IN, = ANY, = (SELECT ...), of single columns and of rows.

The values that a subquery gives become terms outside of it, whatever it looks like inside:

    email IN (SELECT ...)    sealgate.eq(email) IN (SELECT sealgate.eq(r.c1) FROM (SELECT ...) AS r(c1))

Which PostgreSQL flattens again (pull_up_subqueries), so that the index on the terms serves it. Inside,
constants in the column's place are sealed, and every other value must be the same column's.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from sqlglot import exp

from proxy.sql import comparisons, computed, expressions, refusals, resolve
from proxy.sql.capability import By, Pick
from proxy.sql.columns import sealed_column
from proxy.sql.draft import Draft
from proxy.sql.parse import position
from proxy.sql.plan import Use
from proxy.sql.scope import Scope, Targets
from proxy.sql.tree import row, text_at
from proxy.sql.values import word

_QUERY_WORDS: Final = frozenset({"select", "with", "values", "table"})


def is_query(node: exp.Expr) -> bool:
    return isinstance(node, (exp.Subquery, exp.Values))


def compared(
    draft: Draft,
    scope: Scope,
    operand: exp.Expr,
    query: exp.Expr,
    operators: frozenset[str],
    pick: Pick,
) -> bool:
    """`operand operator (query)`; False if nothing in it is sealed. `operators`: what may stand
    before the bracket; none: the query is the left side, and stands for itself."""
    fields = row(operand) or [operand]
    refs = [
        sealed_column(draft, scope, field) or computed.column(draft, scope, field)
        for field in fields
    ]
    if not any(refs):
        refs = [field.sealed for field in resolve.query(draft, scope, query).fields]
    label = next((ref.label for ref in refs if ref is not None), None)
    if label is None:
        return False
    if len(refs) != len(fields):
        raise refusals.misuse(label, "in a row comparison with something else than rows")
    terms = [pick(draft, ref) if ref is not None else None for ref in refs]
    use = Use(0)
    for field, ref, by in zip(fields, refs, terms, strict=True):
        if ref is None or by is None:
            expressions.walk(draft, scope, field, "in a row comparison")
            continue
        if by.prefix:
            raise refusals.first_bytes_only(ref.label)
        comparisons.term(draft, scope, ref, field, by)
        use |= by.use
    columns = all(
        ref is None or sealed_column(draft, scope, f) for f, ref in zip(fields, refs, strict=True)
    )
    if not columns:  # Value against value: not only unlike every value of the column, but itself.
        use |= Use.STORED
    shape = resolve.query(draft, scope, query, Targets(tuple(refs), use, "text"))
    if shape.open or len(shape.fields) != len(refs):
        raise refusals.misuse(label, "in a row comparison with something else than rows")
    _as_terms(draft, query, terms, operators)
    return True


def _as_terms(
    draft: Draft, query: exp.Expr, terms: list[By | None], operators: frozenset[str]
) -> None:
    opening, closing = brackets(draft, query, operators)
    names = [f"c{n + 1}" for n in range(len(terms))]
    columns = [
        f"r.{name}" if by is None else f"{by.opening}r.{name})"
        for name, by in zip(names, terms, strict=True)
    ]
    start, end = draft.tokens[opening].end, draft.tokens[closing].start
    draft.edit(start, start, f"SELECT {', '.join(columns)} FROM (")  # noqa: S608 - nothing of the client's
    draft.edit(end, end, f") AS r({', '.join(names)})")


def brackets(draft: Draft, query: exp.Expr, operators: frozenset[str]) -> tuple[int, int]:
    """The tokens of the brackets around a subquery."""
    places = [place for node in query.walk() if (place := position(node)) is not None]
    if not places:
        raise refusals.not_understood()
    for opening in _openings(draft, min(places)):
        closing = _closing(draft, opening)
        behind = opening
        while text_at(draft, behind) == "(":
            behind += 1
        is_its_own = closing > max(places) and word(draft.tokens, behind) in _QUERY_WORDS
        if is_its_own and (not operators or _before(draft, opening) in operators):
            return opening, closing
    raise refusals.not_understood()


def _before(draft: Draft, opening: int) -> str:
    return draft.tokens[opening - 1].value if opening else ""


def _openings(draft: Draft, at: int) -> Iterator[int]:
    """The brackets that are open before a token, the innermost first."""
    depth = 0
    for index in range(at - 1, -1, -1):
        text = text_at(draft, index)
        depth += (text in (")", "]")) - (text in ("(", "["))
        if depth < 0:
            depth = 0
            if text == "(":
                yield index


def _closing(draft: Draft, opening: int) -> int:
    depth = 0
    for index in range(opening, len(draft.tokens)):
        text = text_at(draft, index)
        depth += (text in ("(", "[")) - (text in (")", "]"))
        if depth == 0:
            return index
    raise refusals.not_understood()
