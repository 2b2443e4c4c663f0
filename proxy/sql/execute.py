"""SQL's EXECUTE: its arguments are what Bind's values are, written as expressions.

Which of them are sealed, and how, says the plan of the statement that the name stands for in this session. A plan of
the text `EXECUTE p('x')` must not depend on that, so it holds the text cut at the arguments (`Executes`), and
`executed` makes the plan of one execution of the two.

Source: ExecuteQuery and EvaluateParams in src/backend/commands/prepare.c. An argument cannot hold columns, subqueries
or parameters; it is coerced to its parameter's type as an assignment is. Only a constant can be sealed: what a
function call gives is known to the server alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from policy import Access
from proxy.sql import refusals
from proxy.sql.commands import read_command
from proxy.sql.lexer import Kind, Token, literal_value
from proxy.sql.plan import (
    Action,
    Argument,
    Constant,
    ConstantSite,
    LiteralSite,
    Piece,
    Run,
    Seal,
    StatementPlan,
    Text,
)
from proxy.sql.rewrite import pieces
from proxy.sql.values import Value, read_value, word


@dataclass(frozen=True, slots=True)
class Given:
    """A constant that an argument is, and the text around it (signs, casts, brackets)."""

    before: str
    after: str
    ordinal: int | None
    """Of the literal in the message; None for a keyword."""
    keyword: str
    """TRUE, FALSE or NULL as written, else empty."""
    constant: Constant | None
    negative: bool
    cast: str | None

    @property
    def null(self) -> bool:
        return self.keyword.lower() == "null"

    def seal(self, seal: Seal, declared: int) -> Seal:
        """How the constant is sealed as the value of a parameter."""
        return replace(seal, constant=self.constant, argument=Argument(declared, self.cast))

    def sealed(self, seal: Seal, declared: int) -> tuple[Piece, ...]:
        """The same constant, sealed as the value of a parameter."""
        if self.null:
            return (Text("", self.before), self.keyword, Text("", self.after))
        by_argument = self.seal(seal, declared)
        site: Piece = (
            ConstantSite(self.keyword, by_argument)
            if self.ordinal is None
            else LiteralSite(self.ordinal, by_argument, self.negative)
        )
        return (Text("", self.before), site, Text("", self.after))


@dataclass(frozen=True, slots=True)
class Expression:
    """One argument as written. `given`: the constant that it is, if it is one."""

    pieces: tuple[Piece, ...]
    given: Given | None


@dataclass(frozen=True, slots=True)
class Executes:
    """EXECUTE name [(arguments)], by itself or behind EXPLAIN or CREATE TABLE AS."""

    name: str
    arguments: tuple[Expression, ...]
    gaps: tuple[tuple[Piece, ...], ...]
    """The text before, between and behind the arguments: one more than there are arguments."""
    wrapper: str = ""

    def pieces(self, instead: Sequence[tuple[Piece, ...] | None]) -> tuple[Piece, ...]:
        """The statement with some arguments replaced; `instead` is parallel to the arguments."""
        found = list(self.gaps[0])
        for argument, other, gap in zip(self.arguments, instead, self.gaps[1:], strict=True):
            found += argument.pieces if other is None else other
            found += gap
        return tuple(found)


@dataclass(frozen=True, slots=True)
class Executed:
    """A prepared statement as EXECUTE finds it."""

    plan: StatementPlan
    text: str
    """Its text without literals, for the access log."""
    declared: tuple[int, ...]
    """Parameter type OIDs as declared; 0 or absent: left to the server."""
    parameters: int
    """How many it has, at most."""

    def type_of(self, number: int) -> int:
        return self.declared[number - 1] if number <= len(self.declared) else 0


# From text.


def find_execute(tokens: Sequence[Token]) -> tuple[int, str] | None:
    """Where in a statement EXECUTE stands, and what is in front of it: nothing, EXPLAIN or CREATE TABLE AS."""
    at, wrapper = 0, ""
    while word(tokens, at) != "execute":
        command = read_command(tokens[at:])
        if not command.wrapper or command.inner is None or command.inner[0] == 0:
            return None
        at += command.inner[0]
        wrapper = wrapper if command.wrapper == "EXPLAIN" and wrapper else command.wrapper
    return at, wrapper


def read_execute(
    sql: str, tokens: Sequence[Token], at: int, extent: tuple[int, int], ordinal: int, wrapper: str
) -> tuple[Executes | None, bool]:
    """The EXECUTE at token `at` of a statement at `extent` in `sql` whose first literal is number `ordinal`;
    None for what the server would not take. True: a literal's value decided.
    """
    if at + 1 >= len(tokens) or tokens[at + 1].kind not in (Kind.IDENT, Kind.QUOTED_IDENT):
        return None, False
    ranges, end = _ranges(tokens, at + 2)
    if any(token.kind is not Kind.IDENT for token in tokens[end:]):
        raise refusals.Refused(refusals.SYNTAX_ERROR, "syntax error in EXECUTE", "Check it.")
    cut = _Cut(sql, tokens, ordinal)
    gaps: list[tuple[Piece, ...]] = []
    arguments: list[Expression] = []
    shaped = False
    position = extent[0]
    for first, last in ranges:
        begin, end = tokens[first].start, tokens[last - 1].end
        gaps.append(cut.between(position, begin))
        value = read_value(tokens, first)
        whole = value is not None and value.end == last
        given = cut.given(value, begin, end) if value is not None and whole else None
        shaped |= whole and value is not None and value.modified
        arguments.append(Expression(cut.between(begin, end), given))
        position = end
    gaps.append(cut.between(position, extent[1]))
    return Executes(tokens[at + 1].value, tuple(arguments), tuple(gaps), wrapper), shaped


def in_arguments(tokens: Sequence[Token], at: int) -> Sequence[Token]:
    """What stands behind the name of the EXECUTE at `at`."""
    return tokens[at + 2 :]


def _ranges(tokens: Sequence[Token], at: int) -> tuple[list[tuple[int, int]], int]:
    """Token ranges of the arguments in the brackets at `at`, and where what follows begins."""
    if at >= len(tokens) or tokens[at].text != "(":
        return [], at
    found: list[tuple[int, int]] = []
    start, depth = at + 1, 0
    for i in range(at, len(tokens)):
        text = tokens[i].text if tokens[i].kind is Kind.PUNCTUATION else ""
        depth += text in ("(", "[")
        if depth == 1 and text in (",", ")"):
            if start < i:
                found.append((start, i))
            start = i + 1
        depth -= text in (")", "]")
        if depth == 0:
            return found, i + 1
    return [], at


class _Cut:
    """Pieces of stretches of one statement."""

    def __init__(self, sql: str, tokens: Sequence[Token], ordinal: int) -> None:
        self._sql = sql
        self._tokens = tokens
        self._ordinal = ordinal
        self._ordinals: dict[int, int] = {}
        for token in tokens:
            if token.kind is Kind.STRING or token.kind is Kind.NUMBER:
                self._ordinals[token.start] = ordinal + len(self._ordinals)

    def between(self, start: int, end: int) -> tuple[Piece, ...]:
        inside = [token for token in self._tokens if start <= token.start and token.end <= end]
        first = next((self._ordinals[t.start] for t in inside if t.start in self._ordinals), 0)
        return pieces(self._sql, start, end, inside, first, None)

    def given(self, value: Value, begin: int, end: int) -> Given | None:
        leaf = self._tokens[value.leaf]
        if leaf.kind is Kind.PARAM:
            return None
        keyword = leaf.text if leaf.kind is Kind.IDENT else ""
        constant = None
        if leaf.kind is Kind.NUMBER:
            constant = Constant.NUMBER
        elif keyword:
            constant = Constant.BOOLEAN
        return Given(
            self._sql[begin : leaf.start],
            self._sql[leaf.end : end],
            self._ordinals.get(leaf.start),
            keyword,
            constant,
            value.negative,
            value.cast,
        )


# With what the name stands for.


def executed(plan: StatementPlan, executes: Executes, found: Executed) -> StatementPlan:
    """The plan of EXECUTE `plan` for the statement that it finds. Raises Refused."""
    target = found.plan
    explained = executes.wrapper == "EXPLAIN"
    known = replace(
        plan,
        command=plan.command if executes.wrapper else target.command,
        outputs=plan.outputs if executes.wrapper else target.outputs,
        shown=plan.shown if executes.wrapper else target.shown,
        changes=plan.changes | target.changes,
        changes_catalog=plan.changes_catalog or target.changes_catalog,
        copied=target.copied,
        recorded_as=found.text,
    )
    if target.action is Action.FORWARD:
        return known
    if executes.wrapper and not explained:
        raise refusals.unsupported(
            f"{executes.wrapper} EXECUTE", "Write the query itself, without the sealed columns."
        )
    touches = target.touches
    if explained and plan.run is Run.PLANNED:
        touches = tuple(touch for touch in touches if touch.access is not Access.READ)
    return replace(
        known,
        action=Action.APPLY,
        pieces=_pieces(executes, found),
        touches=touches,
        run=plan.run,
    )


def nulls(executes: Executes, found: Executed) -> tuple[Seal, ...]:
    """How the NULLs among the arguments would be sealed: the server looks at their types too."""
    return tuple(
        argument.given.seal(seal, found.type_of(number))
        for number, argument in enumerate(executes.arguments, 1)
        if (seal := found.plan.parameters.get(number)) and argument.given and argument.given.null
    )


def _pieces(executes: Executes, found: Executed) -> tuple[Piece, ...]:
    parameters = found.plan.parameters
    if parameters and len(executes.arguments) > found.parameters:
        # What the surplus is meant for is not known; the server would log it.
        raise refusals.Refused(
            refusals.SYNTAX_ERROR,
            f'wrong number of parameters for prepared statement "{executes.name}"',
            f"It has {found.parameters}.",
        )
    instead: list[tuple[Piece, ...] | None] = []
    for number, argument in enumerate(executes.arguments, 1):
        seal = parameters.get(number)
        if seal is None:
            instead.append(None)
            continue
        if argument.given is None:
            raise refusals.Refused(
                refusals.FEATURE_NOT_SUPPORTED,
                f"argument {number} of EXECUTE is for sealed column {seal.column} and is not a constant",
                _CONSTANT_HINT,
            )
        instead.append(argument.given.sealed(seal, found.type_of(number)))
    return executes.pieces(instead)


_CONSTANT_HINT: Final = (
    "Write a literal, with a cast if need be, or bind the statement by the protocol, as drivers do."
)


def readable(plan: StatementPlan, literals: Sequence[str]) -> None:
    """Raises UnreadableSql if a sealed literal's escapes make no string."""
    for piece in plan.pieces:
        if isinstance(piece, LiteralSite) and piece.seal is not None:
            literal_value(literals[piece.ordinal])
