"""EXPLAIN: is the statement executed?

Options as ExplainStmt in src/backend/parser/gram.y and ParseExplainOptionList in src/backend/commands/explain_state.c
read them: `EXPLAIN ANALYZE ...`, or a list in brackets in which the last ANALYZE counts.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from proxy.sql.commands import closing
from proxy.sql.lexer import Kind, Token
from proxy.sql.plan import Run
from proxy.sql.values import word

_ANALYZE: Final = ("analyze", "analyse")
_OFF: Final = frozenset({"off", "false", "0"})


def explained_run(tokens: Sequence[Token]) -> tuple[Run, bool]:
    """Whether EXPLAIN executes the statement; True: because a literal says so or not."""
    if word(tokens, 1) in _ANALYZE:
        return Run.NOW, False
    run, shaped = Run.PLANNED, False
    if len(tokens) > 1 and tokens[1].text == "(":
        for at in range(2, closing(tokens, 1)):
            if tokens[at - 1].text not in ("(", ",") or word(tokens, at) not in _ANALYZE:
                continue
            value = tokens[at + 1]
            run = Run.PLANNED if value.value.lower() in _OFF else Run.NOW
            shaped |= value.kind in (Kind.STRING, Kind.NUMBER)
    return run, shaped
