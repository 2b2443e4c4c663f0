"""What a plan sends: the same statement, and none of the literals that belong to a sealed column."""

from __future__ import annotations

from collections.abc import Iterator

from proxy.sql.lexer import Stripped, strip_literals
from proxy.sql.plan import Action, Form, LiteralSite, Plan, Seal, StatementPlan, Text
from proxy.sql.rewrite import render
from tests.oracle.trees import Comparison

SEALED = b"the sealed value"
_WRITTEN = (SEALED.hex(), str(int.from_bytes(SEALED)))
"""As a bytea, and as a number among the terms of a pattern."""

# One element of type bytea, not NULL, as array_send writes it.
_ARRAY = b"".join(number.to_bytes(4) for number in (1, 0, 17, 1, 1, len(SEALED))) + SEALED


def seal(how: Seal, _text: str) -> bytes:
    return SEALED if how.form is Form.VALUE else _ARRAY


def faults(sql: str, plan: Plan, stripped: Stripped) -> Iterator[str]:
    """What is wrong with the text that the server would get; nothing, if all is well. For plans that
    refuse no statement."""
    if any(statement.action is Action.REFUSE for statement in plan.statements):
        return
    texts = [render(statement, stripped.literals, seal) for statement in plan.statements]
    if plan.untouched:
        return
    for statement, text in zip(plan.statements, texts, strict=True):
        yield from _literals(statement, text, stripped)
    for difference in Comparison(sql, "".join(texts)).differences:
        yield f"tree: {difference}"


def _literals(statement: StatementPlan, text: str, stripped: Stripped) -> Iterator[str]:
    """In order: each sealed site one sealed literal, each other site what the client wrote. Besides, numbers of columns."""
    kept = []
    for piece in statement.pieces:
        if isinstance(piece, LiteralSite) and piece.seal is None:
            kept.append(stripped.literals[piece.ordinal])
        elif isinstance(piece, Text):
            kept += [
                literal for literal in strip_literals(piece.text).literals if literal.isdigit()
            ]
    sent = [
        literal
        for literal in strip_literals(text).literals
        if not any(sealed in literal for sealed in _WRITTEN)
    ]
    if sent != kept:
        yield "literals"
