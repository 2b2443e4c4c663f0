"""A message as the server got it, for taking an error's position back into the client's own text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from proxy.sql.plan import LiteralSite, Piece, StatementPlan, Text
from proxy.sql.rewrite import original_position


@dataclass(frozen=True, slots=True)
class Part:
    """One statement: its plan and the text that was sent for it; `refused` when that is not an edited form of it."""

    plan: StatementPlan
    sent: str
    refused: bool = False


@dataclass(frozen=True, slots=True)
class Edited:
    """A message that was changed on its way to the server."""

    parts: tuple[Part, ...]
    literals: Sequence[str]

    def original_position(self, position: int) -> int:
        """Where in the client's message the server's `position` is; both count characters from 1 (field `P`)."""
        sent = original = 0
        for part in self.parts:
            if position <= sent + len(part.sent):
                if part.refused:
                    return original + 1
                return original + original_position(
                    part.plan, self.literals, part.sent, position - sent
                )
            sent += len(part.sent)
            original += sum(_original_length(piece, self.literals) for piece in part.plan.pieces)
        return original + 1


def _original_length(piece: Piece, literals: Sequence[str]) -> int:
    if isinstance(piece, str):
        return len(piece)
    if isinstance(piece, Text):
        return len(piece.original)
    return len(literals[piece.ordinal]) if isinstance(piece, LiteralSite) else len(piece.text)
