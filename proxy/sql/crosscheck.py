"""PostgreSQL's own grammar as the second reader of a statement.

sqlglot's tree (`proxy.sql.parse`) decides what is sealed and edited. Before it is believed,
libpg_query (PostgreSQL 17's parser, bound by `pgparse`) reads the same text, and both must have seen
the same statements and, in each, the same columns, assignment targets, tables, constants and
parameters at the same tokens; and the same structure around them: operands of every comparison,
value of every assignment, columns of every result and row, sides of every set operation, tables,
joins, conditions and order of every query. Otherwise `Disagreement`, and the statement is refused.

Both sides become a `Reading` (`postgres_reading`, `sqlglot_reading`), where the rules stand that say
one thing in the same words; each has a test of its name. All the rest must be equal in both
directions: what only PostgreSQL sees would escape us, what only sqlglot sees could be edited where
there is nothing to edit. Comparisons alone are checked in one direction: sqlglot may call a
comparison something else, which is then refused on a sealed column, but not the other way round.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pgparse
from sqlglot import exp

from proxy.sql.lexer import Token
from proxy.sql.literals import SYNTAX_ERROR
from proxy.sql.postgres_reading import PostgresTree
from proxy.sql.reading import Reading
from proxy.sql.sqlglot_reading import SqlglotTree


class Disagreement(Exception):
    """PostgreSQL's parser does not confirm what we read. Carries no text of the statement."""

    def __init__(
        self, sqlstate: str, message: str, hint: str = "", offset: int | None = None
    ) -> None:
        super().__init__(message)
        self.sqlstate = sqlstate
        self.message = message
        self.hint = hint
        self.offset = offset
        """For a syntax error, where PostgreSQL's parser stopped: code points from 0."""


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement as we read it: its tokens, and the tree if it was parsed."""

    tokens: Sequence[Token]
    tree: exp.Expr | None


def crosscheck(sql: str, statements: Sequence[Statement]) -> None:
    """Raises Disagreement unless PostgreSQL's grammar sees in `sql` what `statements` say.

    A statement without a tree is compared for its boundaries only.
    """
    raws = raw_statements(sql)
    if len(raws) != len(statements):
        raise _disagreement("statement boundaries")
    offset = _ByteOffsets(sql)
    for raw, statement in zip(raws, statements, strict=True):
        starts = [offset.of(token.start) for token in statement.tokens]
        end = starts[-1] + len(statement.tokens[-1].text.encode())
        begin = raw.get("stmt_location", 0)
        if starts[0] < begin or ("stmt_len" in raw and end > begin + raw["stmt_len"]):
            raise _disagreement("statement boundaries")
        if statement.tree is not None:
            _compare(raw["stmt"], statement.tokens, statement.tree, starts)


def raw_statements(sql: str) -> list[dict[str, Any]]:
    """libpg_query's trees of the statements in `sql`, empty ones left out."""
    try:
        return [raw for raw in pgparse.parse(sql) if raw.get("stmt")]
    except pgparse.PGQueryError as error:
        position = getattr(error, "position", None) or 0
        raise Disagreement(SYNTAX_ERROR, "syntax error", offset=max(position - 1, 0)) from None
    except Exception:  # json's RecursionError, UnicodeEncodeError
        raise _disagreement("nodes") from None


class _ByteOffsets:
    """Code point offsets to UTF-8 byte offsets, for offsets that never decrease."""

    def __init__(self, sql: str) -> None:
        self._sql = "" if sql.isascii() else sql
        self._characters = 0
        self._bytes = 0

    def of(self, characters: int) -> int:
        if not self._sql:
            return characters
        self._bytes += len(self._sql[self._characters : characters].encode())
        self._characters = characters
        return self._bytes


def _compare(
    raw: dict[str, Any], tokens: Sequence[Token], tree: exp.Expr, starts: list[int]
) -> None:
    places = {start: index for index, start in enumerate(starts)}
    try:
        postgres = PostgresTree(raw, tokens, places)
        ours = SqlglotTree(tree, tokens)
        difference = _leaf_difference(postgres.reading, ours.reading)
        if difference is None:
            leaves = postgres.reading.leaves() & ours.reading.leaves()
            postgres.fill_structure(leaves)
            ours.fill_structure(leaves)
            difference = _structure_difference(postgres.reading, ours.reading)
    except (LookupError, AttributeError, TypeError, ValueError):
        # One of the trees is not of the shape that the readers know.
        raise _disagreement("nodes") from None
    if difference is not None:
        raise _disagreement(difference)


def _leaf_difference(postgres: Reading, ours: Reading) -> str | None:
    if postgres.names != ours.names:
        return "columns"
    if postgres.tables != ours.tables:
        return "tables"
    if postgres.parameters != ours.parameters:
        return "parameters"
    if postgres.words != ours.words:
        return "aliases"
    if not ours.constants <= postgres.constants <= ours.constants | postgres.uncounted:
        return "constants"
    return None


def _structure_difference(postgres: Reading, ours: Reading) -> str | None:
    if postgres.structure != ours.structure:
        return "structure"
    if not ours.predicates <= postgres.predicates:
        return "comparisons"
    return None


def _disagreement(what: str) -> Disagreement:
    message = f"two parsers read the {what} of this statement differently"
    return Disagreement("0A000", message, "Rewrite the statement in a simpler form.")
