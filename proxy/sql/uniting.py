"""UNION of sealed columns, and ORDER BY behind a set operation, which knows its result's names and numbers alone.

The whole goes into FROM, where its columns have terms:

    SELECT email FROM a UNION SELECT email FROM b ORDER BY email
    SELECT DISTINCT ON (sealgate.ord(r."email")) r.* FROM (SELECT email FROM a UNION ALL SELECT email FROM b) AS r
      ORDER BY sealgate.ord(r."email")

Done for a statement that is nothing but SELECTs and UNION; anything else is refused.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from sqlglot import exp

from proxy.sql import distinct, ordering, refusals, selection
from proxy.sql.draft import Draft
from proxy.sql.scope import Scope, Shape
from proxy.sql.selection import Item, Result
from proxy.sql.tree import text_at
from proxy.sql.values import word

_NAME: Final = "r"
_FIRST: Final = frozenset({"select", "values", "table"})
_BEHIND: Final = frozenset({"order", "limit", "offset", "fetch", "for"})


def is_absorbed(node: exp.SetOperation) -> bool:
    """`a UNION b` in front of `UNION c`, which tells all of it apart anyway."""
    above = node
    while isinstance(above.parent, exp.Union) and above is above.parent.this:
        above = above.parent
        if above.args.get("distinct"):
            return True
    return False


def unite(draft: Draft, node: exp.SetOperation, shape: Shape) -> None:
    """The set operation goes into FROM. Raises Refused where that cannot be done."""
    sealed = shape.sealed
    if sealed is None:
        raise refusals.not_understood("UNION")
    tells = bool(node.args.get("distinct"))
    refusal = refusals.deduplicated if tells else refusals.united_order
    if shape.open or node.parent is not None or not all(_is_union(one) for one in _chain(node)):
        raise refusal(sealed.label)
    start = _start(draft)
    end = _end(draft, start)
    operators = list(_operators(draft, start, end))
    if len(operators) != len(list(_chain(node))):
        raise refusal(sealed.label)
    names = [field.name for field in shape.fields]
    items = [
        Item(f, None, f, None if f.name is None else f"{_NAME}.{selection.quoted(f.name)}")
        for f in shape.fields
    ]
    if any(f.sealed and (f.name is None or names.count(f.name) != 1) for f in shape.fields):
        raise refusal(sealed.label)
    result = Result(items)
    select = f"SELECT {_NAME}.* FROM ("  # noqa: S608 - nothing of the client's
    orders = ordering.order(draft, Scope(), node.args.get("order"), result)
    if any(one.place is None for one in orders):
        # The server takes no expression here, and would where the result is that of a SELECT.
        raise refusals.not_understood("ORDER BY")
    if ordering.with_ties(node):
        ordering.tell_peers(draft, orders)
    if tells:
        terms = distinct.terms(draft, Scope(), result, orders)
        select = select.replace("SELECT", f"SELECT DISTINCT ON ({', '.join(terms)})", 1)
        for at in operators:
            if word(draft.tokens, at + 1) == "distinct":
                draft.edit(draft.tokens[at + 1].start, draft.tokens[at + 1].end, "ALL")
            elif word(draft.tokens, at + 1) != "all":
                draft.edit(draft.tokens[at].end, draft.tokens[at].end, " ALL")
    draft.edit(draft.tokens[start].start, draft.tokens[start].start, select)
    draft.edit(draft.tokens[end - 1].end, draft.tokens[end - 1].end, f") AS {_NAME}")


def _chain(node: exp.Expr) -> Iterator[exp.SetOperation]:
    while isinstance(node, exp.SetOperation):
        yield node
        node = node.this


def _is_union(node: exp.SetOperation) -> bool:
    return isinstance(node, exp.Union) and not isinstance(node.expression, exp.SetOperation)


def _start(draft: Draft) -> int:
    """The first token of the statement, behind its WITH."""
    if word(draft.tokens, 0) != "with":
        return 0
    depth = 0
    for at in range(1, len(draft.tokens)):
        text = text_at(draft, at)
        if depth == 0 and (
            (word(draft.tokens, at) in _FIRST and distinct.is_keyword(draft, at))
            or (text == "(" and text_at(draft, at - 1) == ")")
        ):
            return at
        depth += (text in ("(", "[")) - (text in (")", "]"))
    raise refusals.not_understood("WITH")


def _end(draft: Draft, start: int) -> int:
    """The token behind the last operand."""
    return next(
        (at for at in _outside(draft, start) if word(draft.tokens, at) in _BEHIND),
        len(draft.tokens),
    )


def _operators(draft: Draft, start: int, end: int) -> Iterator[int]:
    for at in _outside(draft, start):
        if at < end and word(draft.tokens, at) in ("union", "intersect", "except"):
            yield at


def _outside(draft: Draft, start: int) -> Iterator[int]:
    """Tokens that are keywords in no brackets, from `start` on."""
    depth = 0
    for at in range(start, len(draft.tokens)):
        text = text_at(draft, at)
        depth += (text in ("(", "[")) - (text in (")", "]"))
        if depth == 0 and distinct.is_keyword(draft, at):
            yield at
