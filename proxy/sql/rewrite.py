"""A plan applied to a message: pieces from edits, text from pieces, positions back to the original.

Nothing is ever generated from a syntax tree. `pieces` cuts the client's own text at the edits and
literals that the analysis found; `render` puts one statement together again, with sealed values in
the place of the literals that belong to sealed columns; `original_position` takes a position that
the server reports for the rendered text back to the text that the client wrote.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Iterable, Sequence
from typing import Final

from proxy.sql.draft import Draft
from proxy.sql.lexer import Kind, Token, literal_value
from proxy.sql.plan import ConstantSite, Form, LiteralSite, Piece, Seal, StatementPlan, Text

SealLiteral = Callable[[Seal, str], bytes]
"""(how, the literal's decoded text with its sign) -> a sealed value, or for `Form.TERMS` a bytea[]
of equality terms in binary form, for `Form.GRAMS` an int4[]."""


def pieces(
    sql: str, start: int, end: int, tokens: Sequence[Token], ordinal: int, draft: Draft | None
) -> tuple[Piece, ...]:
    """Cut `sql[start:end]`, whose tokens are `tokens` and whose first literal is number `ordinal`."""
    marks = {draft.tokens[i].start: mark for i, mark in draft.marks.items()} if draft else {}
    cuts: list[tuple[int, int, Piece]] = [
        (edit.start, edit.end, Text(edit.text, sql[edit.start : edit.end]))
        for edit in (draft.edits if draft else ())
    ]
    for token in tokens:
        mark = marks.get(token.start)
        if token.kind is Kind.STRING or token.kind is Kind.NUMBER:
            seal, negative = (mark.seal, mark.negative) if mark else (None, False)
            cuts.append((token.start, token.end, LiteralSite(ordinal, seal, negative)))
            ordinal += 1
        elif mark is not None:
            cuts.append((token.start, token.end, ConstantSite(token.text, mark.seal)))
    return tuple(_filled(sql, start, end, sorted(cuts, key=lambda cut: cut[:2])))


def _filled(
    sql: str, start: int, end: int, cuts: Iterable[tuple[int, int, Piece]]
) -> Iterable[Piece]:
    for first, last, piece in cuts:
        if first < start and isinstance(piece, LiteralSite):
            continue  # a type modifier inside a cast that was taken away
        if start < first:
            yield sql[start:first]
        yield piece
        start = last
    if start < end:
        yield sql[start:end]


def render(statement: StatementPlan, literals: Sequence[str], seal: SealLiteral) -> str:
    """The text of one statement as the server gets it.

    `literals` are those of the whole message. What `seal` raises passes through.
    """
    return "".join([_rendered(piece, literals, seal) for piece in statement.pieces])


def _rendered(piece: Piece, literals: Sequence[str], seal: SealLiteral) -> str:
    if isinstance(piece, str):
        return piece
    if isinstance(piece, Text):
        return piece.text
    if isinstance(piece, ConstantSite):
        return _sealed(piece.seal, seal(piece.seal, piece.text.lower()))
    raw = literals[piece.ordinal]
    if piece.seal is None:
        return raw
    value = literal_value(raw)
    return _sealed(piece.seal, seal(piece.seal, "-" + value if piece.negative else value))


def _sealed(how: Seal, value: bytes) -> str:
    if how.form is Form.VALUE:
        return rf"'\x{value.hex()}'::bytea"
    if how.form is Form.GRAMS:
        terms = (int.from_bytes(item or b"", "big", signed=True) for item in _array(value))
        return "'{" + ",".join(map(str, terms)) + "}'::int4[]"
    items = ("NULL" if item is None else rf'"\\x{item.hex()}"' for item in _array(value))
    return "'{" + ",".join(items) + "}'::bytea[]"


_DIMENSIONS: Final = struct.Struct("!iiI")
_LENGTH: Final = struct.Struct("!i")
_ITEMS_AT: Final = 20
"""Dimensions, flags, element type; then one dimension's length and lower bound."""


def _array(value: bytes) -> Iterable[bytes | None]:
    """The items of a one-dimensional array in binary form (array_send)."""
    dimensions, _, _ = _DIMENSIONS.unpack_from(value)
    if dimensions == 0:
        return
    (count,) = _LENGTH.unpack_from(value, _DIMENSIONS.size)
    at = _ITEMS_AT
    for _ in range(count):
        (length,) = _LENGTH.unpack_from(value, at)
        at += _LENGTH.size
        yield None if length < 0 else value[at : at + length]
        at += max(length, 0)


# A sealed site as `_sealed` writes it, to know its length in a rendered text.
_SEALED_SITE: Final = re.compile(r"'[^']*'::(?:int4\[\]|bytea(?:\[\])?)")


def original_position(
    statement: StatementPlan, literals: Sequence[str], rendered: str, position: int
) -> int:
    """Where in the client's text of the statement the server's `position` in `rendered` is.

    Both count characters from 1, as ErrorResponse's `P` field does, from the beginning of this
    statement's text. A position in what was put in or replaced becomes the place where it stands.
    """
    sent = original = 0
    for piece in statement.pieces:
        sent_length, original_length = _lengths(piece, literals, rendered, sent)
        if position - 1 < sent + sent_length:
            inside = position - 1 - sent if _is_unchanged(piece) else 0
            return original + inside + 1
        sent += sent_length
        original += original_length
    return original + max(position - sent, 1)


def _lengths(piece: Piece, literals: Sequence[str], rendered: str, at: int) -> tuple[int, int]:
    """How long a piece is as sent, and what it stands for in the original."""
    if isinstance(piece, str):
        return len(piece), len(piece)
    if isinstance(piece, Text):
        return len(piece.text), len(piece.original)
    length = len(piece.text) if isinstance(piece, ConstantSite) else len(literals[piece.ordinal])
    if piece.seal is None:
        return length, length
    site = _SEALED_SITE.match(rendered, at)
    return (site.end() - at if site else length), length


def _is_unchanged(piece: Piece) -> bool:
    return isinstance(piece, str) or (isinstance(piece, LiteralSite) and piece.seal is None)
