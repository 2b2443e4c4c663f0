"""Planning one message that is not in the cache.

Stages, each of which may decide:

1. none of the interesting names is in the text (one regular expression): forwarded unread;
2. no identifier token of a statement spells one: that statement is forwarded;
3. a query or write, or a wrapper around one, is analysed; a utility command is looked up
   (`commands`); what is not understood for certain is refused;
4. libpg_query reads the same text; where the two readings differ, the statement is refused.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from policy import Access
from proxy.catalog import SCHEMA, Catalog
from proxy.sql import refusals
from proxy.sql.analysis import Analysis, analyse, touches_of_copy
from proxy.sql.bodies import check_routine, is_routine
from proxy.sql.commands import (
    Command,
    check_temporary,
    check_utility,
    is_name,
    main_command,
    read_command,
)
from proxy.sql.copy import TableCopy, plan_plain_copy, plan_query_copy, plan_table_copy
from proxy.sql.copy_plan import CopyPlan
from proxy.sql.crosscheck import Disagreement, Statement, crosscheck, raw_statements
from proxy.sql.draft import Draft
from proxy.sql.execute import Executes, find_execute, in_arguments, read_execute
from proxy.sql.explain import explained_run
from proxy.sql.lexer import Kind, Stripped, Token, UnreadableSql, split_statements, tokenize
from proxy.sql.named import MAY_BE_NAMED, MAY_EXECUTE, Declares, read_named
from proxy.sql.parse import UnparsedSql
from proxy.sql.plan import (
    Action,
    Changes,
    LiteralSite,
    Piece,
    Plan,
    Refusal,
    Run,
    StatementPlan,
    Test,
    Touch,
)
from proxy.sql.prepare import PreparedText, read_prepare
from proxy.sql.refusals import Refused
from proxy.sql.rewrite import pieces
from proxy.sql.values import word

LONGEST_SPLIT: Final = 256 * 1024
"""Characters of a message without interesting names that is still cut into its statements."""
MOST_SITES: Final = 1000
"""Literals of such a message that its pieces still list."""

SCS: Final = "standard_conforming_strings"


def refused_message(refusal: Refusal) -> Plan:
    """One refusal for a message whose statements are not told apart. None of it is sent, so its one
    statement has no text."""
    return Plan((StatementPlan(Action.REFUSE, (), "OTHER", refusal=refusal),), untouched=False)


def untouched(text: str) -> Plan:
    """A message that is relayed; `text` without its literals."""
    found = _FIRST_WORD.match(text)
    command = found.group(1).upper() if found is not None else "OTHER"
    catalog = _CHANGES_CATALOG.search(text) is not None
    changes = Changes.NOTHING
    if _CHANGES_SETTINGS.search(text):
        changes |= Changes.SETTINGS
    if changes and _CHANGES_ROLE.search(text):
        changes |= Changes.ROLE
    if _ENDS_TRANSACTION.search(text):
        changes |= Changes.TRANSACTION
    if catalog and _CONCERNS_SEALED.search(text):
        changes |= Changes.CATALOG
    statement = StatementPlan(
        Action.FORWARD, _copied(text), command, changes_catalog=catalog, changes=changes
    )
    return Plan((statement,), untouched=True, named=False)


def _copied(text: str) -> tuple[Piece, ...]:
    parts = _MARKER.split(text)
    if len(parts) > MOST_SITES:
        return ()
    found: list[Piece] = [parts[0]] if parts[0] else []
    for ordinal, part in enumerate(parts[1:]):
        found.append(LiteralSite(ordinal, None))
        if part:
            found.append(part)
    return tuple(found)


_MARKER: Final = re.compile(r"\x00[a-z]")
_SKIPPED: Final = r"(?:\s|--[^\n]*+|/\*.*?\*/)"
_FIRST_WORD: Final = re.compile(rf"(?>(?:{_SKIPPED}|\()*)([A-Za-z]+)", re.DOTALL)
_CHANGES_CATALOG: Final = re.compile(
    rf"\b(?:CREATE|ALTER|DROP){_SKIPPED}+(?:OR{_SKIPPED}+REPLACE{_SKIPPED}+)?"
    r"(?:UNLOGGED|RECURSIVE|TABLE|VIEW|MATERIALIZED|FOREIGN|SCHEMA|TYPE|DOMAIN|EXTENSION|RULE|OWNED|FUNCTION|PROCEDURE|ROUTINE)\b"
    rf"|\b(?:IMPORT{_SKIPPED}+FOREIGN|COMMIT{_SKIPPED}+PREPARED)\b|^{_SKIPPED}*(?:DO\b|(?:SELECT|WITH|TABLE)\b.*\bINTO\b)",
    re.IGNORECASE | re.DOTALL,
)
_FIRST: Final = rf"(?:\A|;)(?>{_SKIPPED}*)"
_CHANGES_SETTINGS: Final = re.compile(
    rf"{_FIRST}(?:SET|RESET|DISCARD|DO|CALL)\b|\bset_config\b", re.IGNORECASE | re.DOTALL
)
_CHANGES_ROLE: Final = re.compile(
    rf"\b(?:ROLE|AUTHORIZATION|set_config)\b|{_FIRST}(?:DISCARD|DO|CALL)\b",
    re.IGNORECASE | re.DOTALL,
)
_ENDS_TRANSACTION: Final = re.compile(
    rf"{_FIRST}(?:COMMIT|END|ROLLBACK|ABORT|RELEASE)\b", re.IGNORECASE | re.DOTALL
)
# DDL without the name of anything sealed that may still make something sealed, or name it anew.
_CONCERNS_SEALED: Final = re.compile(
    rf"\b{SCHEMA}\b|\bSCHEMA\b|\bEXTENSION\b|\bCOMMIT{_SKIPPED}+PREPARED\b|{_FIRST}DO\b",
    re.IGNORECASE | re.DOTALL,
)
_SEVERAL: Final = re.compile(r";\s*+[^\s;]")
# Decided by what a literal holds, so no name need be in the text.
_BY_LITERAL_OR_COPY: Final = re.compile(
    rf"\bDO\b|\bFUNCTION\b|\bPROCEDURE\b|_to_xml|\bts_stat\b|\bdblink|u&\"|{_FIRST}COPY\b",
    re.IGNORECASE | re.DOTALL,
)
_RUNS_TEXT: Final = re.compile(r"[a-z]+_to_xml[a-z_]*|ts_stat|dblink[a-z_]*")
"""Functions that take a query, or a table's name, as text."""


@dataclass(slots=True)
class _Part:
    """One statement of the message while it is planned."""

    tokens: list[Token]
    start: int
    end: int
    ordinal: int
    """Of its first literal in the message."""
    command: Command
    analysis: Analysis | None = None
    copied: tuple[Touch, ...] | None = None
    """It makes a table of the query's result: what that touches."""
    wrapper: str = ""
    refusal: Refusal | None = None
    unparsed: bool = False
    run: Run = Run.NOW
    prepares: PreparedText | None = None
    executes: Executes | None = None
    table_copy: TableCopy | None = None
    copy: CopyPlan | None = None


class Message:
    """The stages for one text."""

    def __init__(
        self,
        catalog: Catalog,
        interesting: re.Pattern[str] | None,
        sql: str,
        stripped: Stripped,
        path: tuple[str, ...] | None,
    ) -> None:
        self._catalog = catalog
        self._interesting = interesting
        self._sql = sql
        self._stripped = stripped
        self._path = path
        self._strings_uncertain = False
        """Something before it in the message may have changed standard_conforming_strings."""
        self.literal_shaped = False
        """A literal decided something: the plan is good for this very text only."""
        self.deciding: set[int] = set()
        """Ordinals of literals that did: the plan is good for texts that have the same ones there."""

    def plan(self) -> Plan:
        text = self._stripped.text
        named = self._interesting is not None and self._interesting.search(text) is not None
        several = len(text) <= LONGEST_SPLIT and _SEVERAL.search(text) is not None
        by_name = MAY_BE_NAMED.search(text) is not None
        if not named and not several and not by_name and not _BY_LITERAL_OR_COPY.search(text):
            return untouched(text)
        try:
            tokens = tokenize(self._sql)
        except UnreadableSql as error:
            executes = self._interesting is not None and MAY_EXECUTE.search(text)
            if not named and not executes and 'u&"' not in text.lower():
                return untouched(text)
            return refused_message(Refusal(error.sqlstate, error.message, error.hint))
        parts = self._parts(tokens)
        for part in parts:
            self._plan_part(part)
        self._crosscheck(parts)
        self._refuse_behind_ddl(parts)
        statements = tuple(
            self._with_name(part, self._with_changes(part, self._statement(part))) for part in parts
        )
        return Plan(statements, all(s.action is Action.FORWARD for s in statements))

    def _parts(self, tokens: list[Token]) -> list[_Part]:
        """The statements, each with the text around it: together they are the whole message."""
        statements = split_statements(tokens)
        parts: list[_Part] = []
        start = ordinal = 0
        for number, statement in enumerate(statements):
            last = number + 1 == len(statements)
            end = len(self._sql) if last else self._behind(statement, statements[number + 1])
            parts.append(_Part(statement, start, end, ordinal, read_command(statement)))
            ordinal += sum(t.kind is Kind.STRING or t.kind is Kind.NUMBER for t in statement)
            start = end
        return parts

    def _behind(self, statement: list[Token], following: list[Token]) -> int:
        """The offset after the `;` that ends a statement; comments may hold others."""
        between = tokenize(self._sql[statement[-1].end : following[0].start])
        return statement[-1].end + between[0].end

    # One statement.

    def _plan_part(self, part: _Part) -> None:
        self.literal_shaped |= part.command.name == "COPY"  # Its options say how data is read.
        try:
            self._look_at_literals(part)
            found = find_execute(part.tokens)
            if word(part.tokens, 0) == "explain":
                part.run, shaped = explained_run(part.tokens)
                self.literal_shaped |= shaped
            if found is not None:
                self._plan_execute(part, *found)
            elif self._is_interesting(part.tokens):
                self._plan_interesting(part, part.command, part.tokens)
        except Refused as refused:
            part.refusal = refused.refusal
            part.unparsed = part.command.inner is None  # It may be no SQL at all.
            self.literal_shaped |= refused.literal_shaped
        except UnparsedSql:
            part.unparsed = True
            part.refusal = refusals.not_understood().refusal
        if _may_change_path(part.tokens):
            # Statements behind it in this message are looked up by another search_path.
            self._path = None

    def _plan_execute(self, part: _Part, at: int, wrapper: str) -> None:
        """EXECUTE: what its arguments are for, the session knows."""
        part.wrapper = wrapper
        if wrapper and wrapper != "EXPLAIN":
            check_temporary(self._catalog, part.tokens)
        if self._is_interesting(in_arguments(part.tokens, at)):
            raise refusals.not_understood("an argument of EXECUTE")
        extent = (part.start, part.end)
        part.executes, shaped = read_execute(
            self._sql, part.tokens, at, extent, part.ordinal, wrapper
        )
        self.literal_shaped |= shaped

    def _is_interesting(self, tokens: Sequence[Token]) -> bool:
        names = self._catalog.interesting
        return any(token.value in names and is_name(token) for token in tokens)

    def _look_at_literals(self, part: _Part) -> None:
        """DO, and strings behind what may change how they are read."""
        words = {token.value for token in part.tokens if is_name(token)}
        if word(part.tokens, 0) == "do":
            self.literal_shaped = True
            found = self._interesting
            if found and any(t.kind is Kind.STRING and found.search(t.value) for t in part.tokens):
                raise refusals.unsupported("a DO block that names a sealed table", _DO_HINT)
        if any(_RUNS_TEXT.fullmatch(name) for name in words):
            self.literal_shaped = True
            found = self._interesting
            if found and any(t.kind is Kind.STRING and found.search(t.value) for t in part.tokens):
                raise refusals.unsupported(
                    "a query on a sealed table inside the text of another", "Send it by itself."
                )
        if is_routine(part.tokens):
            self.literal_shaped = True
            check_routine(self._catalog, part.tokens)
        if self._strings_uncertain and self._is_interesting(part.tokens) and _backslashes(part):
            raise refusals.Refused(
                refusals.FEATURE_NOT_SUPPORTED,
                f"a backslash in a string literal behind a change of {SCS} in the same message is not supported",
                _SCS_HINT,
            )
        self._strings_uncertain |= SCS in words or _may_change_path(part.tokens)

    def _plan_interesting(self, part: _Part, command: Command, tokens: Sequence[Token]) -> None:
        if command.inner is None:
            if command.name == "COPY":
                text = self._text(part)
                part.table_copy = plan_table_copy(self._catalog, self._path, tokens, text)
            else:
                check_utility(self._catalog, tokens)
            return
        if command.name == "CREATE":
            check_temporary(self._catalog, tokens)
        inner = tokens[slice(*command.inner)]
        if command.wrapper == "PREPARE" and self._is_interesting(tokens[2 : command.inner[0]]):
            raise refusals.not_understood("the type list of PREPARE")
        if not self._is_interesting(inner):
            return
        if command.wrapper:
            part.wrapper = part.wrapper or command.wrapper
            nested = read_command(inner)
            if nested.wrapper or nested.inner is None:
                # EXPLAIN CREATE TABLE ... AS, PREPARE p AS EXECUTE ...
                if command.wrapper != "EXPLAIN" or nested.inner is None:
                    raise refusals.not_understood()
                # EXPLAIN DECLARE opens no cursor.
                part.wrapper = nested.wrapper if nested.name == "CREATE" else "EXPLAIN"
                self._plan_interesting(part, nested, inner)
                return
        part.analysis = analyse(self._catalog, self._path, inner)
        self.literal_shaped |= part.analysis.draft.literal_shaped
        self.deciding |= _ordinals(part, part.analysis.draft.deciding)
        _check_wrapper(part)
        if part.wrapper == "COPY" and not part.analysis.touches_nothing:
            closing_bracket, shape = command.inner[1], part.analysis.shape
            outputs = None if shape.open else shape.fields
            part.copy = plan_query_copy(
                self._catalog, tokens, closing_bracket, self._text(part), outputs
            )
        if part.wrapper == "PREPARE":
            part.prepares = read_prepare(part.tokens)
            if part.prepares is not None:
                self.literal_shaped |= part.prepares.retype(part.analysis.draft)

    def _text(self, part: _Part) -> str:
        return self._sql[part.tokens[0].start : part.tokens[-1].end]

    # All of them.

    def _crosscheck(self, parts: list[_Part]) -> None:
        """Nothing that was analysed is believed unless PostgreSQL's own grammar agrees."""
        if not any(part.analysis or part.unparsed or part.executes for part in parts):
            return
        try:
            if any(part.unparsed or part.executes for part in parts):
                raw_statements(self._sql)
            crosscheck(self._unwrapped(parts), [_as_read(part) for part in parts])
        except Disagreement as found:
            for part in parts:
                if part.analysis or part.unparsed or part.executes:
                    hint = found.hint or "Check the statement's syntax."
                    part.refusal = part.refusal or Refusal(found.sqlstate, found.message, hint)
                    if found.sqlstate == refusals.SYNTAX_ERROR:
                        part.refusal = Refusal(found.sqlstate, found.message, hint)

    def _unwrapped(self, parts: list[_Part]) -> str:
        """The message with blanks in place of what is wrapped around analysed queries."""
        text = self._sql
        for part in parts:
            if part.analysis is None or not part.wrapper:
                continue
            inner = part.analysis.draft.tokens
            for first, last in (
                (part.tokens[0].start, inner[0].start),
                (inner[-1].end, part.tokens[-1].end),
            ):
                text = text[:first] + " " * (last - first) + text[last:]
        return text

    def _statement(self, part: _Part) -> StatementPlan:
        analysis = part.analysis
        name, changes = part.command.name, part.command.changes_catalog
        if name == "SELECT":
            name = main_command(part.tokens)
        if part.refusal is not None:
            return StatementPlan(
                Action.REFUSE, self._pieces(part, None), name, refusal=part.refusal
            )
        if part.table_copy is not None:
            copy = part.table_copy
            return StatementPlan(
                Action.APPLY,
                self._pieces(part, copy.draft),
                name,
                touches=copy.draft.touches,
                copy=copy.plan,
            )
        if analysis is None or analysis.touches_nothing:
            known = analysis.outputs if analysis is not None and not part.wrapper else None
            changes = changes or (analysis is not None and analysis.creates)
            copied = self._pieces(part, None)
            return StatementPlan(
                Action.FORWARD,
                copied,
                name,
                outputs=known,
                copy=self._plain_copy(part),
                changes_catalog=changes,
            )
        touches = analysis.draft.touches
        if part.copied is not None:
            touches, changes = part.copied, True
        if part.wrapper == "CREATE VIEW" or (part.wrapper == "EXPLAIN" and part.run is Run.PLANNED):
            # Nothing is read; what a view tests, whoever reads the view learns.
            touches = tuple(touch for touch in touches if touch.access is not Access.READ)
            if not touches and not analysis.draft.changed:
                copied = self._pieces(part, None)
                return StatementPlan(Action.FORWARD, copied, name, changes_catalog=changes)
        return StatementPlan(
            Action.APPLY,
            self._pieces(part, analysis.draft),
            name,
            copy=part.copy,
            parameters=analysis.draft.parameters,
            touches=touches,
            copied=frozenset(analysis.draft.copied),
            outputs=(None,) if part.wrapper not in _OPENED else analysis.outputs,
            shown=() if part.wrapper not in _OPENED else analysis.shown,
            filters=() if part.wrapper else _filters(analysis.draft),
            changes_catalog=changes,
        )

    def _with_name(self, part: _Part, plan: StatementPlan) -> StatementPlan:
        """The plan of a statement, with the cursor, prepared statement or savepoint that it is about."""
        if plan.action is Action.REFUSE:
            return plan
        if part.executes is not None:
            return replace(plan, named=part.executes, run=part.run)
        if word(part.tokens, 0) == "prepare":
            prepares = part.prepares or read_prepare(part.tokens)
            return prepares.plan(plan) if prepares is not None else plan
        named = read_named(part.tokens)
        run = Run.LATER if isinstance(named, Declares) else part.run
        return replace(plan, named=named, run=run) if named or run is not Run.NOW else plan

    def _refuse_behind_ddl(self, parts: list[_Part]) -> None:
        """What DDL renames or creates is not in the catalog yet when the next statement of the same message is planned."""
        fresh: set[str] = set()
        for part in parts:
            named = {token.value for token in part.tokens if is_name(token)}
            if part.refusal is None and part.command.name in _PLANNED and named & fresh:
                part.refusal = Refusal(
                    refusals.FEATURE_NOT_SUPPORTED,
                    "a statement behind DDL on a sealed table in the same message is not supported",
                    "Send the DDL as a message of its own.",
                )
            creates = part.analysis is not None and part.analysis.creates
            if self._changes_sealed(part, part.command.changes_catalog or creates):
                fresh |= named

    def _changes_sealed(self, part: _Part, changes_catalog: bool) -> bool:
        if not changes_catalog:
            return False
        names = {token.value for token in part.tokens if is_name(token)}
        first = word(part.tokens, 0)
        return first == "do" or bool(names & (self._catalog.interesting | _SEALED_DDL))

    def _with_changes(self, part: _Part, plan: StatementPlan) -> StatementPlan:
        first = word(part.tokens, 0)
        changes = Changes.NOTHING
        if first in _SETTING_WORDS or any(t.value == "set_config" for t in part.tokens):
            changes |= Changes.SETTINGS
            if first in _ROLE_WORDS or any(t.value in _ROLE_NAMES for t in part.tokens):
                changes |= Changes.ROLE
            changes |= _forms_changed(part.tokens)
        if first in _ENDING_WORDS:
            changes |= Changes.TRANSACTION
        if (first, word(part.tokens, 1)) == ("commit", "prepared"):
            # What it has done, another transaction said; of that nothing is known here.
            changes |= Changes.CATALOG
        if self._changes_sealed(part, plan.changes_catalog):
            changes |= Changes.CATALOG
        return replace(plan, changes=changes) if changes else plan

    def _plain_copy(self, part: _Part) -> CopyPlan | None:
        if part.command.name != "COPY":
            return None
        closing_bracket = part.command.inner[1] if part.command.inner is not None else None
        return plan_plain_copy(self._catalog, part.tokens, closing_bracket)

    def _pieces(self, part: _Part, draft: Draft | None) -> tuple[Piece, ...]:
        return pieces(self._sql, part.start, part.end, part.tokens, part.ordinal, draft)


_PLANNED: Final = frozenset({"SELECT", "COPY", "DECLARE", "PREPARE", "EXPLAIN"})
_SETTING_WORDS: Final = frozenset({"set", "reset", "discard", "do", "call"})
_ROLE_WORDS: Final = frozenset({"discard", "do", "call"})
_ROLE_NAMES: Final = frozenset({"role", "authorization", "set_config"})
_ENDING_WORDS: Final = frozenset({"commit", "end", "rollback", "abort", "release"})
_SEALED_DDL: Final = frozenset({SCHEMA, "schema", "extension"})
_OPENED: Final = ("", "DECLARE CURSOR", "PREPARE")
"""Wrappers whose query's own columns are the result, then or later."""
_DO_HINT: Final = "Send the statements themselves."
_SCS_HINT: Final = "Send the statement as a message of its own, or the value as a parameter."


def _backslashes(part: _Part) -> bool:
    return any(t.kind is Kind.STRING and t.text[:1] == "'" and "\\" in t.text for t in part.tokens)


def _forms_changed(tokens: Sequence[Token]) -> int:
    """What SET, RESET and DISCARD ALL change of how values are written."""
    named = {token.value.lower() for token in tokens[:4] if is_name(token)}
    changes = Changes.NOTHING
    if word(tokens, 0) not in ("set", "reset", "discard"):
        return changes
    if named & {"datestyle", "timezone", "time", "all"}:
        changes |= Changes.DATES
    if named & {"client_encoding", "names", "all"}:
        changes |= Changes.ENCODING
    return changes


def _may_change_path(tokens: Sequence[Token]) -> bool:
    words = {token.value for token in tokens if is_name(token)}
    if "set_config" in words or word(tokens, 0) in (
        "rollback",
        "abort",
        "reset",
        "discard",
        "do",
        "call",
    ):
        return True
    return word(tokens, 0) == "set" and bool(words & {"search_path", "schema", "role", "session"})


def _as_read(part: _Part) -> Statement:
    if part.analysis is None:
        return Statement(part.tokens, None)
    return Statement(part.analysis.draft.tokens, part.analysis.tree)


def _ordinals(part: _Part, offsets: set[int]) -> set[int]:
    """Of the literals at these offsets, in the message."""
    literals = [t for t in part.tokens if t.kind is Kind.STRING or t.kind is Kind.NUMBER]
    return {part.ordinal + i for i, token in enumerate(literals) if token.start in offsets}


def _check_wrapper(part: _Part) -> None:
    """Raises Refused unless the query may stand in its wrapper."""
    analysis = part.analysis
    if analysis is not None and analysis.creates and not part.wrapper:
        _check_copied(part, analysis)
    if analysis is not None and analysis.draft.tests and part.wrapper not in ("", "EXPLAIN"):
        raise refusals.unsupported(f"LIKE in {part.wrapper}", "Send the query itself.")
    if analysis is None or part.wrapper in ("COPY", "EXPLAIN", *_OPENED):
        return
    if part.wrapper == "CREATE VIEW":
        # Sealed values keep their authority under any name; a value in the view's text does not.
        if analysis.draft.changed:
            raise refusals.unsupported(
                "CREATE VIEW that compares", "Leave comparisons to queries on the view's tables."
            )
        lost = next((f for f in analysis.shape.fields if f.sealed and not f.domain), None)
        if lost is not None and lost.sealed is not None:
            # A bytea to the server, and to Sealgate when it reads of the view: no sealed column any more.
            raise refusals.type_lost(lost.sealed.label, "CREATE VIEW")
    elif part.wrapper in _COPYING:
        _check_copied(part, analysis)
    elif not analysis.touches_nothing:
        raise refusals.unsupported(part.wrapper, "Send the query itself.")


def _check_copied(part: _Part, analysis: Analysis) -> None:
    """CREATE TABLE AS, SELECT INTO, CREATE MATERIALIZED VIEW."""
    if part.wrapper == "CREATE MATERIALIZED VIEW" and (
        analysis.draft.marks or analysis.draft.parameters
    ):
        raise refusals.unsupported(
            "CREATE MATERIALIZED VIEW that compares",
            "Leave comparisons to queries on the view, whose column is sealed as well.",
        )
    sealed = analysis.shape.sealed
    if sealed is not None and part.command.name == "EXPLAIN":
        raise refusals.unsupported(f"EXPLAIN of {part.wrapper}", "Explain the query itself.")
    temporary = any(is_name(t) and t.value.startswith("pg_temp") for t in part.tokens)
    if part.wrapper and not part.command.changes_catalog:
        temporary = True
    if sealed is not None and temporary:
        raise refusals.temporary_copy(sealed.label)
    part.copied = touches_of_copy(analysis, part.wrapper or "SELECT INTO")


def _filters(draft: Draft) -> tuple[tuple[Test, ...], ...]:
    return tuple(tuple(group) for group in draft.tests.values())


_COPYING: Final = ("CREATE TABLE AS", "CREATE MATERIALIZED VIEW")
