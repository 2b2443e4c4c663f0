"""Statements about things that have a name in the session: cursors, prepared statements, savepoints.

What such a statement means depends on what the name stands for, which no text tells and no plan may know:
plans are cached for all sessions. So a plan says what it found (`StatementPlan.named`), and the session combines
that with what it remembers: `proxy.cursors` for DECLARE, FETCH and what closes cursors, `proxy.statements` for
PREPARE and DEALLOCATE, `proxy.sql.execute` for EXECUTE.

Grammar: PrepareStmt, ExecuteStmt, DeallocateStmt, DeclareCursorStmt, FetchStmt, ClosePortalStmt and TransactionStmt
in src/backend/parser/gram.y. Where the last word of a statement is a name, everything before it is keywords and numbers.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeAlias

from proxy.cells import TypeSpecError, logical_type
from proxy.sql.lexer import Kind, Token
from proxy.sql.values import read_type, word

if TYPE_CHECKING:
    from proxy.sql.execute import Executes
    from proxy.sql.plan import StatementPlan

MAY_BE_NAMED: Final = re.compile(
    r"\b(?:declare|fetch|move|close|prepare|execute|deallocate|savepoint|release|rollback)\b",
    re.IGNORECASE,
)
"""A text without any of these words holds no such statement."""
MAY_EXECUTE: Final = re.compile(r"\bexecute\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Prepares:
    """PREPARE name [(types)] AS statement"""

    name: str
    statement: StatementPlan
    """What EXECUTE and Bind run; it has no pieces."""
    declared: tuple[int, ...]
    """Parameter type OIDs as the client wrote them: 0 for `unknown`, and for types that nothing here reads."""


@dataclass(frozen=True, slots=True)
class Deallocates:
    """DEALLOCATE; None: ALL"""

    name: str | None


@dataclass(frozen=True, slots=True)
class Declares:
    """DECLARE name CURSOR: the plan that this belongs to is the cursor's."""

    name: str
    hold: bool


@dataclass(frozen=True, slots=True)
class Fetches:
    """FETCH and MOVE"""

    name: str


@dataclass(frozen=True, slots=True)
class Closes:
    """CLOSE; None: ALL"""

    name: str | None


@dataclass(frozen=True, slots=True)
class Savepoint:
    name: str


@dataclass(frozen=True, slots=True)
class Releases:
    """RELEASE SAVEPOINT"""

    name: str


@dataclass(frozen=True, slots=True)
class RollsBackTo:
    """ROLLBACK TO SAVEPOINT; its command tag is that of ROLLBACK."""

    name: str


Named: TypeAlias = (
    "Prepares | Executes | Deallocates | Declares | Fetches | Closes"
    " | Savepoint | Releases | RollsBackTo"
)


def read_named(
    tokens: Sequence[Token],
) -> Deallocates | Declares | Fetches | Closes | Savepoint | Releases | RollsBackTo | None:
    """What one statement says about a name; PREPARE and EXECUTE aside, which say more."""
    if word(tokens, 0) == "declare":
        return _declare(tokens)
    last = _name(tokens, len(tokens) - 1)
    if len(tokens) < 2 or last is None:
        return None
    every = word(tokens, len(tokens) - 1) == "all"
    match word(tokens, 0):
        case "fetch" | "move":
            return Fetches(last)
        case "close":
            return Closes(None if every else last)
        case "deallocate":
            return Deallocates(None if every else last)
        case "savepoint":
            return Savepoint(last)
        case "release":
            return Releases(last)
        case "rollback" if "to" in (word(tokens, 1), word(tokens, 2)):
            return RollsBackTo(last)
    return None


def _declare(tokens: Sequence[Token]) -> Declares | None:
    name = _name(tokens, 1)
    if name is None:
        return None
    words = [word(tokens, i) for i in range(2, min(len(tokens), _LONGEST_OPTIONS))]
    options = words[: words.index("for")] if "for" in words else []
    return Declares(name, options[-2:] == ["with", "hold"])


_LONGEST_OPTIONS: Final = 64
"""Words between DECLARE and FOR; options may be repeated."""


def prepared_name(tokens: Sequence[Token]) -> str | None:
    """The name that PREPARE gives; None: PREPARE TRANSACTION, or nothing that the server would take."""
    if len(tokens) < 3 or tokens[2].kind is Kind.STRING:
        return None
    return _name(tokens, 1)


def _name(tokens: Sequence[Token], at: int) -> str | None:
    if 0 <= at < len(tokens) and tokens[at].kind in (Kind.IDENT, Kind.QUOTED_IDENT):
        return tokens[at].value
    return None


# The parameter types of PREPARE.


@dataclass(frozen=True, slots=True)
class TypeItem:
    """One type of the list: its tokens [start, end), and its OID where it is a type that values are read as."""

    start: int
    end: int
    oid: int | None


def type_list(tokens: Sequence[Token]) -> tuple[TypeItem, ...]:
    """The items between the brackets behind the name; () for no list."""
    if len(tokens) < 3 or tokens[2].text != "(":
        return ()
    items: list[TypeItem] = []
    start, depth = 3, 0
    for at in range(2, len(tokens)):
        text = tokens[at].text if tokens[at].kind is Kind.PUNCTUATION else ""
        depth += text in ("(", "[")
        if (text == "," and depth == 1) or (text == ")" and depth == 1):
            items.append(TypeItem(start, at, _oid(tokens, start, at)))
            start = at + 1
        depth -= text in (")", "]")
        if depth == 0:
            break
    return tuple(items)


def _oid(tokens: Sequence[Token], start: int, end: int) -> int | None:
    """0 for `unknown`, which leaves the type to the statement; None for a type that nothing here reads."""
    if end == start + 1 and tokens[start].value == "unknown":
        return 0
    found = read_type(tokens, start)
    if found is None or found.end != end:
        return None
    name = found.name.removesuffix("[]")
    try:
        logical = logical_type(name)
    except TypeSpecError:
        return None
    # A modifier is read and dropped, as by the server (typenameTypeId in src/backend/commands/prepare.c).
    return logical.oid if name == found.name else logical.array_oid
