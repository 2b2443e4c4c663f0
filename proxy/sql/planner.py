"""SQL text to `Plan`, and the plans made so far.

Most messages are answered from the cache, by their text without literals: `strip_literals` and one
lookup. A new text is planned by `proxy.sql.message`. Plans for which a literal's value mattered
(ORDER BY 1, a type modifier, the body of DO) are kept under the full text instead, or under those literals where they are
known (the keys in data->>'city').

The planner never decides who may do what: it says what a statement does (`StatementPlan.touches`).
"""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass, replace
from threading import Lock
from typing import Final

from proxy.catalog import Catalog
from proxy.sql import refusals
from proxy.sql.comments import comment_start
from proxy.sql.lexer import (
    STATEMENT_TOO_COMPLEX,
    Stripped,
    UnreadableSql,
    literal_value,
    names,
    strip_literals,
)
from proxy.sql.message import Message, refused_message, untouched
from proxy.sql.named import MAY_EXECUTE
from proxy.sql.plan import Action, ConstantSite, LiteralSite, Piece, Plan, Refusal, Text
from proxy.sql.rows import shorten


class Planner:
    """Plans for one picture of the catalog; a new picture means a new planner."""

    def __init__(self, catalog: Catalog, cache_bytes: int = 16 * 1024 * 1024) -> None:
        self._catalog = catalog
        self._interesting = _pattern(catalog.interesting)
        self._cache = _Cache(cache_bytes)

    def plan(
        self,
        sql: str,
        search_path: tuple[str, ...] | None,
        standard_conforming_strings: bool = True,
    ) -> tuple[Plan, Stripped]:
        """What to do with a message. Never raises for what the text says: it is forwarded or refused.

        `search_path`: the schemas that unqualified names are looked up in, or None if not known.
        A comment behind the message is in `Stripped.comment` and in no plan.
        """
        start = comment_start(sql) if standard_conforming_strings else -1
        stripped = _in_front(sql, start) if start >= 0 else None
        if stripped is not None:
            sql = sql[:start]
        else:
            try:
                stripped = strip_literals(sql)
            except UnreadableSql as error:
                return self._unreadable(sql, error), Stripped("", ())
        if not standard_conforming_strings and _has_backslash(sql, stripped):
            return self._uncertain(sql), Stripped("", ())
        key = (stripped.text, search_path, standard_conforming_strings)
        entry = self._cache.get(key)
        if entry is not None and entry.by_full_text:
            entry = self._cache.get((sql, search_path, standard_conforming_strings, None))
        elif entry is not None and entry.by_literals:
            entry = self._cache.get((*key, entry.by_literals, _chosen(stripped, entry.by_literals)))
        if entry is None:
            plan = self._stretched(stripped, search_path, standard_conforming_strings)
            if plan is not None:
                return plan, stripped
            entry = self._make(sql, stripped, search_path, standard_conforming_strings)
        return _checked(entry, stripped) if entry.escapes else entry.plan, stripped

    def _stretched(
        self, stripped: Stripped, path: tuple[str, ...] | None, conforming: bool
    ) -> Plan | None:
        """The plan of a message with long lists, by one item of each shape; None for other messages,
        and where more than the shape decides."""
        if self._interesting is None or self._interesting.search(stripped.text) is None:
            return None
        short = shorten(stripped)
        if short is None:
            return None
        entry = self._cache.get((short.stripped.text, path, conforming))
        if entry is None:
            entry = self._make(short.sql, short.stripped, path, conforming)
        if entry.by_full_text or entry.by_literals or entry.shaped_by_literals:
            return None
        plan = short.stretched(entry.plan)
        escapes = _escaped_sites(plan, stripped) if entry.escapes else ()
        return _checked(_Entry(plan, escapes), stripped)

    def _make(
        self, sql: str, stripped: Stripped, path: tuple[str, ...] | None, conforming: bool
    ) -> _Entry:
        message = Message(self._catalog, self._interesting, sql, stripped, path)
        try:
            plan = message.plan()
        except RecursionError:
            # The tree of a chain (a AND b AND ..., UNION ALL ...) is as deep as the chain is long.
            plan = refused_message(_TOO_DEEP)
        if not conforming:
            plan = _without_literals(plan)
        shaped = message.literal_shaped or bool(message.deciding)
        entry = _Entry(plan, _escaped_sites(plan, stripped), shaped)
        key: Hashable = (stripped.text, path, conforming)
        if message.literal_shaped:
            self._cache.put(key, _BY_FULL_TEXT, _weight(stripped.text, _NO_PLAN))
            key = (sql, path, conforming, None)
        elif message.deciding:
            known = self._cache.get(key)
            # Which of them decide may depend on what they are: one text may be refused by its first key.
            by = tuple(sorted(message.deciding.union(known.by_literals if known else ())))
            self._cache.put(key, _Entry(_NO_PLAN, by_literals=by), _weight(stripped.text, _NO_PLAN))
            key = (stripped.text, path, conforming, by, _chosen(stripped, by))
        self._cache.put(key, entry, _weight(sql, plan))
        return entry

    def _uncertain(self, sql: str) -> Plan:
        """Where a literal ends is not certain: no part of the text may get into the access log, and names may be anywhere."""
        named = self._interesting is not None and self._interesting.search(sql) is not None
        if named or 'u&"' in sql.lower() or _DO.search(sql) or MAY_EXECUTE.search(sql):
            return refused_message(_BACKSLASH)
        plan = untouched(sql)
        return replace(plan, statements=(replace(plan.statements[0], pieces=()),))

    def _unreadable(self, sql: str, error: UnreadableSql) -> Plan:
        """What PostgreSQL's scanner would refuse is left to it, unless it may name a sealed table, or a
        statement that does: then the text must not get into the server's log."""
        try:
            harmless = not names(sql) & self._catalog.interesting
        except UnreadableSql:
            found = self._interesting is not None and self._interesting.search(sql)
            harmless = not found and 'u&"' not in sql.lower()
        if self._interesting is not None and MAY_EXECUTE.search(sql):
            harmless = False
        if harmless:
            return untouched("")
        return refused_message(Refusal(error.sqlstate, error.message, error.hint))


def _in_front(sql: str, start: int) -> Stripped | None:
    """The text in front of what seems to be a comment; None if that begins inside of something."""
    try:
        stripped = strip_literals(sql[:start])
    except UnreadableSql:
        return None
    stripped.comment = sql[start:]
    return stripped


def _pattern(interesting: frozenset[str]) -> re.Pattern[str] | None:
    """Finds every spelling of these names, U&"..." excepted, and more than those. (PostgreSQL cuts
    names at 63 bytes, so what follows is not looked at.)"""
    spelled = (re.escape(name.replace('"', '""')) for name in sorted(interesting))
    return re.compile("|".join(spelled), re.IGNORECASE) if interesting else None


_TOO_DEEP: Final = Refusal(
    STATEMENT_TOO_COMPLEX,
    "statement is too deep to be understood for certain",
    "Use fewer terms: IN (...) or = ANY(...) instead of a long chain of OR, for instance.",
)

# standard_conforming_strings = off.

_DO: Final = re.compile(r"\bDO\b", re.IGNORECASE)
_BACKSLASH: Final = Refusal(
    refusals.FEATURE_NOT_SUPPORTED,
    "a backslash in a string literal is not supported while standard_conforming_strings is off",
    "SET standard_conforming_strings = on, or send the value as a parameter.",
)
_SEALED_LITERALS: Final = Refusal(
    refusals.FEATURE_NOT_SUPPORTED,
    "literals for sealed columns are not supported while standard_conforming_strings is off",
    "SET standard_conforming_strings = on, or send the value as a parameter.",
)


def _has_backslash(sql: str, stripped: Stripped) -> bool:
    return "\\" in sql and any(raw[0] == "'" and "\\" in raw for raw in stripped.literals)


def _without_literals(plan: Plan) -> Plan:
    """With the setting off, '\\x...' is not the bytea that a sealed literal is written as."""
    statements = tuple(
        replace(statement, action=Action.REFUSE, refusal=_SEALED_LITERALS)
        if statement.action is Action.APPLY and any(map(_is_sealed, statement.pieces))
        else statement
        for statement in plan.statements
    )
    return Plan(statements, plan.untouched)


def _is_sealed(piece: Piece) -> bool:
    return isinstance(piece, (LiteralSite, ConstantSite)) and piece.seal is not None


# Plans kept.


@dataclass(frozen=True, slots=True)
class _Entry:
    plan: Plan
    escapes: tuple[int, ...] = ()
    """Ordinals of sealed E'...' and U&'...': what such a literal holds may be no string at all."""
    shaped_by_literals: bool = False
    by_full_text: bool = False
    """Nothing but a note: look under the full text."""
    by_literals: tuple[int, ...] = ()
    """Nothing but a note: look under the literals with these ordinals as well."""


_NO_PLAN: Final = Plan((), untouched=False)
_BY_FULL_TEXT: Final = _Entry(_NO_PLAN, by_full_text=True)


def _chosen(stripped: Stripped, ordinals: tuple[int, ...]) -> tuple[str, ...]:
    return tuple(stripped.literals[ordinal] for ordinal in ordinals)


def _escaped_sites(plan: Plan, stripped: Stripped) -> tuple[int, ...]:
    return tuple(
        piece.ordinal
        for statement in plan.statements
        for piece in statement.pieces
        if isinstance(piece, LiteralSite)
        and piece.seal is not None
        and stripped.literals[piece.ordinal][0] in "eEuU"
    )


def _checked(entry: _Entry, stripped: Stripped) -> Plan:
    try:
        for ordinal in entry.escapes:
            literal_value(stripped.literals[ordinal])
    except UnreadableSql as error:
        return refused_message(Refusal(error.sqlstate, error.message, error.hint))
    return entry.plan


def _weight(text: str, plan: Plan) -> int:
    """About how many bytes an entry takes."""
    weight = 500 + 2 * len(text)
    for statement in plan.statements:
        weight += 500 + 150 * (len(statement.touches) + len(statement.parameters))
        for piece in statement.pieces:
            length = len(piece) if isinstance(piece, str) else 0
            weight += 80 + (length or len(piece.text) * 2 if isinstance(piece, Text) else length)
    return weight


class _Cache:
    """Least recently used entries go first; bounded by weight. One entry takes 1/64 at most, so a
    bulk INSERT does not drive the others out.

    Long statements are planned in other threads: each operation on the dictionary is atomic, the account of the weight is
    not and has a lock.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._weight = 0
        self._lock = Lock()
        self._entries: OrderedDict[Hashable, tuple[_Entry, int]] = OrderedDict()

    def get(self, key: Hashable) -> _Entry | None:
        found = self._entries.get(key)
        if found is None:
            return None
        try:  # noqa: SIM105 - suppress() takes longer than the look-up
            self._entries.move_to_end(key)
        except KeyError:  # Another thread has put one in meanwhile, and this one was the oldest.
            pass
        return found[0]

    def put(self, key: Hashable, entry: _Entry, weight: int) -> None:
        if weight * 64 > self._limit:
            return
        with self._lock:
            replaced = self._entries.pop(key, None)
            if replaced is not None:
                self._weight -= replaced[1]
            self._entries[key] = (entry, weight)
            self._weight += weight
            while self._weight > self._limit:
                _, (_, gone) = self._entries.popitem(last=False)
                self._weight -= gone
