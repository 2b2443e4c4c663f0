"""Small readings of sqlglot's tree, and of the tokens beside it.

`only` is how everybody who reads a node makes sure that no clause of it is overlooked.
"""

from __future__ import annotations

from sqlglot import exp

from proxy.sql import refusals
from proxy.sql.draft import Draft
from proxy.sql.parse import position
from proxy.sql.values import word


def only(node: exp.Expr, *known: str) -> None:
    """Refuses a clause that nobody here reads."""
    for key, argument in node.args.items():
        if argument and key not in known:
            raise refusals.not_understood()


def unbracketed(node: exp.Expr) -> exp.Expr:
    while isinstance(node, exp.Paren):
        node = node.this
    return node


def row(node: exp.Expr) -> list[exp.Expr] | None:
    """The fields of (a, b) or ROW(a, b)."""
    if isinstance(node, exp.Tuple) or (isinstance(node, exp.Anonymous) and node.name == "row"):
        return list(node.expressions)
    return None


def case_branches(node: exp.Expr) -> list[exp.Expr]:
    default = node.args.get("default")
    return [branch.args["true"] for branch in node.args["ifs"]] + ([default] if default else [])


def keyword(draft: Draft, node: exp.Anonymous) -> str:
    """A function's name if it is not quoted: "coalesce"(...) would be a function of that name."""
    return word(draft.tokens, place_of(node))


def place_of(node: exp.Expr) -> int:
    index = position(node)
    return -1 if index is None else index


def text_at(draft: Draft, index: int) -> str:
    return draft.tokens[index].text if 0 <= index < len(draft.tokens) else ""
