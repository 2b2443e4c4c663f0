"""What a name stands for in this session, combined with the plans of statements that use it.

SQL's PREPARE and the protocol's Parse share one namespace (`prepared_queries` in src/backend/commands/prepare.c), so
PREPARE announces the same `Prepared` as Parse, and EXECUTE finds what Parse has made. A name is set when the statement
is sent and taken back when the server has not run it: PREPARE is not undone by ROLLBACK, but by the failure of a
statement in front of it.

EXECUTE with values for a name that we do not know is refused as the server would refuse it: if it has the statement
after all (a function has prepared it), the values might be for a sealed column, and would be logged.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from proxy.cells.errors import alone
from proxy.cursors import fetching, moving
from proxy.holding import Held, settled
from proxy.seal import ValueRefused, check_null_argument, check_parameters
from proxy.sql.execute import Executed, Executes, executed, nulls, readable
from proxy.sql.lexer import Stripped, UnreadableSql
from proxy.sql.named import Closes, Deallocates, Declares, Fetches, Prepares, RollsBackTo
from proxy.sql.plan import (
    Action,
    Changes,
    ConstantSite,
    LiteralSite,
    Piece,
    Plan,
    Refusal,
    StatementPlan,
)
from proxy.sql.refusals import Refused
from proxy.state import State
from proxy.statements import Change, Portal, Prepared, Source
from proxy.tally import Sealed


@dataclass(slots=True)
class Step:
    """One statement of a message as this session runs it."""

    plan: StatementPlan
    sealed: Sealed = field(default_factory=dict)
    """What its literals seal; filled when it is rendered."""
    runs: Prepared | None = None
    """What EXECUTE finds."""
    refused: ValueRefused | None = None
    changes: tuple[Change[Any], ...] = ()
    """Names that it gives."""


def steps(state: State, plan: Plan, stripped: Stripped, sql: str) -> list[Step]:
    """The statements of a simple query, each seeing the names that those before it give. Raises Held."""
    found: list[Step] = []
    try:
        forms = Changes.NOTHING
        for i, statement in enumerate(plan.statements):
            found.append(step(state, statement, stripped.literals))
            found[-1].refused = found[-1].refused or behind_settings(state, found[-1].plan, forms)
            forms |= statement.changes
            if statement.changes & Changes.TRANSACTION:
                forms |= state.changed
            made = source(state, plan, i, sql)
            found[-1].changes = announce(state, statement, stripped.text, found[-1].sealed, made)
    except Held:
        for one in found[::-1]:
            for change in one.changes:
                change.undo()
        raise
    return found


def behind_settings(state: State, plan: StatementPlan, changed: int) -> ValueRefused | None:
    """What other statements of the same message have changed is not known when this one is read and written."""
    plan = opened(state, plan, None) or plan
    if plan.action is not Action.APPLY or not changed & (Changes.DATES | Changes.ENCODING):
        return None
    if changed & Changes.ENCODING or plan.copy is not None or _has_dates(state, plan):
        return ValueRefused(_BEHIND_SETTINGS)
    return None


def _has_dates(state: State, plan: StatementPlan) -> bool:
    type_of = state.current_authority().snapshot.type_of
    types = (type_of(touch.column) for touch in plan.touches)
    return any(logical is not None and logical.name in _DATES for logical in types)


def step(state: State, statement: StatementPlan, literals: Sequence[str]) -> Step:
    """One statement; its names are not given yet. Raises Held."""
    try:
        check(state, statement)
        plan, runs = resolved(state, statement, literals)
    except ValueRefused as refused:
        return Step(_attempted(state, statement), refused=refused)
    return Step(plan, runs=runs)


def _attempted(state: State, statement: StatementPlan) -> StatementPlan:
    """For the access log: what a refused EXECUTE would have run."""
    named = statement.named
    found = state.prepared.get(named.name.encode()) if isinstance(named, Executes) else None
    if found is None or found.plan is None:
        return statement
    return replace(
        statement,
        command=found.plan.command,
        touches=found.plan.touches,
        recorded_as=found.stripped.text,
    )


def resolved(
    state: State, statement: StatementPlan, literals: Sequence[str]
) -> tuple[StatementPlan, Prepared | None]:
    """The plan of a statement as this session runs it; for EXECUTE, what it runs. Raises ValueRefused, Held."""
    named = statement.named
    if not isinstance(named, Executes):
        return statement, None
    found = prepared(state, named.name.encode())
    if found is not None:
        look_up_anew(state, found)
    if found is None:
        if named.arguments and state.current_authority().snapshot.catalog.interesting:
            raise ValueRefused(_unknown(named.name))
        return statement, None
    if found.plan is None:
        return statement, found
    if found.plan.filters:
        raise ValueRefused(_TESTED)
    target = Executed(found.plan, found.stripped.text, found.declared, _parameters(found))
    try:
        plan = executed(statement, named, target)
        readable(plan, literals)
        for seal in nulls(named, target):
            check_null_argument(state.current_authority().snapshot, seal)
    except Refused as refused:
        raise alone(ValueRefused(refused.refusal)) from None
    except UnreadableSql as error:
        raise alone(ValueRefused(Refusal(error.sqlstate, error.message, error.hint))) from None
    if plan.action is Action.APPLY and not state.conforming_strings and plan.seals_literals:
        raise ValueRefused(_NOT_CONFORMING)
    return plan, found


def prepared(state: State, name: bytes) -> Prepared | None:
    """What the name stands for when the server comes to the next message. Raises Held where only the server can tell:
    the name is being made anew over one that stays if that fails.
    """
    change = state.prepared.newest(name)
    if change is None:
        return None
    if change.unsettled(state.inflight.unit):
        raise _unsettled(state, name, change)
    return change.value


def _unsettled(state: State, name: bytes, change: Change[Prepared]) -> Held:
    def until() -> bool:
        newest = state.prepared.newest(name)
        return newest is not change or not change.unsettled(state.inflight.unit)

    return Held(until)


def source(state: State, plan: Plan, ordinal: int, sql: str) -> Source | None:
    """What a statement of a message is planned from now. Nothing stands in EXECUTE and its like that could be looked up."""
    statement = plan.statements[ordinal]
    if statement.named is not None and not isinstance(statement.named, Prepares):
        return None
    snapshot = state.current_authority().snapshot
    path, conforming = state.search_path, state.conforming_strings
    return Source(sql, ordinal, statement, plan.named, snapshot, path, conforming)


def look_up_anew(state: State, found: Prepared) -> None:
    """Plan a prepared statement by what its names mean now, as the server does. What was sent for it cannot be changed
    any more: raises ValueRefused if it would have to be. Raises Held.
    """
    source = found.source
    if source is None:
        return
    settled(state, Changes.CATALOG | (Changes.SETTINGS if source.named else Changes.NOTHING))
    snapshot, path = state.current_authority().snapshot, state.search_path
    if source.snapshot is snapshot and (not source.named or source.search_path == path):
        return
    plan, _ = snapshot.planner.plan(source.sql, path, source.conforming)
    if source.ordinal >= len(plan.statements):
        raise ValueRefused(_OTHER_TABLES)
    now, before = plan.statements[source.ordinal], source.statement
    plain = now.action is before.action is Action.FORWARD
    if not plain and _sent(now) != _sent(before):
        raise ValueRefused(now.refusal or _OTHER_TABLES)
    found.plan = now.named.statement if isinstance(now.named, Prepares) else now
    found.source = replace(
        source, statement=now, named=plan.named, snapshot=snapshot, search_path=path
    )


def looked_up_anew(state: State, found: Prepared) -> Refusal | None:
    """`look_up_anew`; why it may not run now. Raises Held."""
    try:
        look_up_anew(state, found)
    except ValueRefused as refused:
        return refused.refusal
    return None


def _sent(plan: StatementPlan) -> tuple[object, ...]:
    """What the server got of a statement, and what it is still to get."""
    run = plan.named.statement if isinstance(plan.named, Prepares) else plan
    refused = Action.REFUSE in (plan.action, run.action)
    return refused, _written(plan.pieces), dict(run.parameters), run.copy


def _written(pieces: Sequence[Piece]) -> list[object]:
    """The text that is sent, however it was cut: what is sealed in it stands for itself."""
    found: list[object] = [""]
    for piece in pieces:
        if isinstance(piece, ConstantSite) or (isinstance(piece, LiteralSite) and piece.seal):
            found += (piece, "")
        elif isinstance(piece, LiteralSite):
            found[-1] = f"{found[-1]}\0{piece.ordinal}\0"
        else:
            found[-1] = f"{found[-1]}{piece}"
    return found


def runs_another(state: State, found: Prepared) -> Refusal | None:
    """If EXECUTE, sent by Parse, would not find any more what its arguments were sealed for. Raises Held."""
    plan = found.plan
    if plan is None or plan.named is None or not isinstance(plan.named, Executes):
        return None
    now = prepared(state, plan.named.name.encode())
    if now is None:
        return None
    if now is found.runs:
        return looked_up_anew(state, now)
    plain = now.plan is None or now.plan.action is Action.FORWARD
    return None if plain and plan.action is Action.FORWARD else _ANOTHER


def check(state: State, statement: StatementPlan) -> None:
    """Raises ValueRefused if PREPARE declares types that cannot be."""
    if isinstance(statement.named, Prepares):
        snapshot = state.current_authority().snapshot
        check_parameters(snapshot, statement.named.statement, statement.named.declared)


def opened(
    state: State, statement: StatementPlan | None, portal: Portal | None
) -> StatementPlan | None:
    """The cursor that FETCH, or Execute of a portal without a Bind, reads: as far as the server has answered."""
    if statement is None:
        if portal is not None and portal.prepared is None:
            return fetched(state, portal.name.decode(errors="surrogateescape"), moves=False)
        return None
    named = statement.named
    if named is None or not isinstance(named, Fetches):
        return None
    return fetched(state, named.name, moves=statement.command == "MOVE")


def fetched(state: State, name: str, *, moves: bool) -> StatementPlan | None:
    """The plan of FETCH from an open cursor, SQL's or a portal of the protocol; None for one that we do not know."""
    cursor = state.cursors.get(name)
    if cursor is not None:
        return cursor.move if moves else cursor.fetch
    portal = state.portals.settled(name.encode(errors="surrogateescape"))
    prepared = portal.prepared if portal is not None else None
    if prepared is None or prepared.plan is None:
        return None
    fetch = fetching(prepared.plan, prepared.stripped.text)
    return moving(fetch) if moves else fetch


def announce(
    state: State,
    statement: StatementPlan,
    text: str,
    sealed: Sealed,
    source: Source | None,
) -> tuple[Change[Any], ...]:
    """The names that a statement gives, now that it is sent. `sealed`: by its literals."""
    named = statement.named
    if not isinstance(named, Prepares):
        return ()
    made = Prepared(named.statement, Stripped(text, ()), named.declared, sealed, source=source)
    return (state.prepared.set(named.name.encode(), made, state.inflight.unit),)


def closed(state: State, plan: StatementPlan | None, text: str, tag: bytes) -> bool:
    """A statement is complete: what it opened and closed. `text` is its message's, without literals.

    True: it has ended its transaction, and every portal of the protocol with it.
    """
    named = plan.named if plan is not None else None
    if named is None and tag not in _CLOSING:
        return False
    state.cursors.completed(plan, text, tag)
    match named:
        case Deallocates(str(name)):
            state.prepared.dropped(name.encode())
        case Closes(None):
            state.portals.all_dropped(unnamed=True)
        case Closes(str(name)) | Declares(name, _):
            # A portal of that name is closed, or could not be there.
            state.portals.dropped(name.encode())
    if tag in (b"DEALLOCATE ALL", b"DISCARD ALL"):
        # The unnamed statement stays (DropAllPreparedStatements, src/backend/commands/prepare.c).
        state.prepared.all_dropped(unnamed=False)
    if tag == b"DISCARD ALL":
        state.portals.all_dropped(unnamed=True)
    return tag in _ENDS and not isinstance(named, RollsBackTo)


_ENDS: Final = frozenset({b"COMMIT", b"ROLLBACK", b"PREPARE TRANSACTION"})
_CLOSING: Final = _ENDS | {b"DEALLOCATE ALL", b"DISCARD ALL"}
"""What closes something whatever the plan says."""
_PARAMETER: Final = re.compile(r"(?<![\w$])\$([0-9]{1,5})(?![0-9])")


def _parameters(found: Prepared) -> int:
    """How many parameters it has, at most: those in its text, those declared."""
    highest = max(map(int, _PARAMETER.findall(found.stripped.text)), default=0)
    return max(highest, len(found.declared))


def _unknown(name: str) -> Refusal:
    return Refusal(
        "26000",
        f'prepared statement "{name}" does not exist',
        "Sealgate has not seen it being prepared: use PREPARE, or the driver's own prepared statements.",
    )


_DATES: Final = frozenset({"date", "timestamp", "timestamptz"})
_TESTED: Final = Refusal(
    "0A000",
    "EXECUTE of a statement with LIKE on a sealed column is not supported",
    "Bind and execute it by the protocol, or send the query itself.",
)
_BEHIND_SETTINGS: Final = Refusal(
    "0A000",
    "a statement on sealed columns behind a change of DateStyle, TimeZone or client_encoding in the same message"
    " is not supported",
    "Send the SET as a message of its own.",
)
_OTHER_TABLES: Final = Refusal(
    "0A000",
    "the prepared statement's names mean other tables than when it was prepared",
    "Prepare it again: search_path, or a table with sealed columns, has changed.",
)
_ANOTHER: Final = Refusal(
    "0A000",
    "the prepared statement that EXECUTE was parsed for is another one now",
    "Parse the EXECUTE again.",
)
_NOT_CONFORMING: Final = Refusal(
    "0A000",
    "literals for sealed columns are not supported while standard_conforming_strings is off",
    "SET standard_conforming_strings = on, or bind the statement by the protocol.",
)
