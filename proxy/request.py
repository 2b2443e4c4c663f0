"""Client to server: the plan applied to Query, Parse and Bind; everything else relayed as it came.

For each message the server answers, the queue in `proxy.inflight` learns what it will owe. A message whose plan
touches nothing is relayed byte for byte, in one run with its neighbours.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from proxy import naming
from proxy.audit.event import Protocol
from proxy.copying.copy_in import CopyIn
from proxy.copying.from_client import Sink, copy_data, copy_done, copy_fail
from proxy.edited import Edited, Part
from proxy.effects import Effect, Record, ToServer
from proxy.execution import Execution, SimpleQuery
from proxy.holding import Held, settled
from proxy.inflight import Kind, Owed
from proxy.inquiry import Inquiry
from proxy.pattern import Matchers
from proxy.refusal import refuse_extended, refuse_sql
from proxy.refused import refused_events
from proxy.seal import Sealers, StatementSealer, ValueRefused, check_parameters
from proxy.shape import (
    BYTEA_ARRAY_OID,
    BYTEA_OID,
    INT4_ARRAY_OID,
    TEXT_ARRAY_OID,
    TEXT_OID,
)
from proxy.snapshot import Authority
from proxy.sql.lexer import Stripped
from proxy.sql.plan import Action, Changes, Form, Refusal, StatementPlan
from proxy.sql.rewrite import render
from proxy.state import SqlText, State
from proxy.statements import Change, Portal, Prepared
from proxy.tally import Sealed, sealed_more
from proxy.wire.framing import HEADER_SIZE, LONG, BadMessage, MessageBuffer
from proxy.wire.long import LONG_COPY, cut, let_others_run
from proxy.wire.messages import (
    BIND,
    CLOSE,
    COPY_DATA,
    COPY_DONE,
    COPY_FAIL,
    DESCRIBE,
    EXECUTE,
    FLUSH,
    FUNCTION_CALL,
    PARSE,
    QUERY,
    SYNC,
    Bind,
    Parse,
    bind_names,
    bind_result_formats,
    message,
    one_cstring,
    read_bind,
    read_execute,
    read_parse,
    read_target,
    write_bind,
    write_bind_with,
    write_parse,
    write_target,
)

_DISCARDED: Final = frozenset(
    {
        QUERY,
        PARSE,
        BIND,
        DESCRIBE,
        EXECUTE,
        CLOSE,
        FLUSH,
        FUNCTION_CALL,
        COPY_DATA,
        COPY_DONE,
        COPY_FAIL,
    }
)
"""Between an error and Sync the server reads over these; a type that does not exist ends the session there too."""
_NO_COPY: Final = frozenset({QUERY, PARSE, BIND, DESCRIBE, EXECUTE, CLOSE, FUNCTION_CALL})
"""A client that sends these has done with any copy."""
_PORTAL: Final = ord("P")


class Request:
    """Reads what the client sends. `receive` returns effects: records first, then one write to the server."""

    __slots__ = (
        "_asks",
        "_buffer",
        "_out",
        "_passing",
        "_passing_on",
        "_records",
        "_refused_until_sync",
        "_sealers",
        "_state",
        "_until",
    )

    def __init__(self, state: State, max_message: int) -> None:
        self._state = state
        self._sealers = Sealers()
        self._buffer = MessageBuffer(max_message)
        self._passing = 0
        """Bytes of a CopyData message that are still to come."""
        self._passing_on = True
        """They are relayed; else something is sent in their place."""
        self._out: list[bytes] = []
        self._records: list[Effect] = []
        self._refused_until_sync = False
        """A refusal is on its way in place of an extended query's message: the server will read over all up to Sync."""
        self._asks = False
        """What it waits for has to be asked for if nobody tells."""
        self._until: Callable[[], bool] | None = None
        """What the first message of the buffer waits for (`proxy.holding`)."""

    @property
    def holding(self) -> bool:
        """A message waits for the server: `held` bytes with it."""
        return self._until is not None

    @property
    def held(self) -> int:
        """Bytes that were received and wait."""
        return len(self._buffer)

    @property
    def missing(self) -> int:
        """Of something long that has been received in part, or waits: the bytes with which it may be read. Else 0."""
        return self._buffer.missing

    def resume(self) -> list[Effect]:
        """The server has said something: go on with what waited for it, if it did."""
        return self.receive(b"") if self._until is not None else []

    def receive(self, data: bytes) -> list[Effect]:
        """Raises `BadMessage` when the bytes are not the protocol; the session then ends."""
        if self._until is not None:
            if not self._until():
                self._check_copy()
                self._buffer.add(data)
                if self._asks:
                    self._inquire()  # What was in flight when it was held has been answered, and that was not enough.
                return self._effects(b"")
            self._until = None
        if self._passing:
            passed, data = data[: self._passing], data[self._passing :]
            self._passing -= len(passed)
            self._out.append(passed if self._passing_on else self._copied(passed))
        data = self._buffer.feed(data)
        size = len(data)
        position = mark = 0
        while size - position >= HEADER_SIZE:
            kind = data[position]
            end = position + 1 + self._buffer.length(data, position)
            if end > size and kind == COPY_DATA:
                try:
                    instead = self._message(kind, data, position, size)
                except Held:
                    break  # Once it is whole, it waits.
                self._passing, self._passing_on = end - size, instead is None
                if instead is not None:
                    self._out += (data[mark:position], instead)
                    mark = size
                position = size
                break
            if end > size:
                break
            try:
                instead = self._message(kind, data, position, end)
            except Held as held:
                self._check_copy()
                self._until, self._asks = held.until, held.ask
                break
            if instead is not None:
                if mark < position:
                    self._out.append(data[mark:position])
                self._out.append(instead)
                mark = end
            position = end
        long = position - mark > LONG_COPY
        last = cut(data, mark, position) if long else data[mark:position]
        if self._until is not None and self._asks:
            self._out.append(last)
            last = b""
            self._inquire()
        if position < size:
            self._buffer.keep(data[position:])
        return self._effects(last)

    def interrupted(self) -> list[Effect]:
        """The session ends in the middle of what was received: its refusals are on record, nothing of it is sent."""
        records, self._records = self._records, []
        self._out.clear()
        return records

    def _effects(self, last: bytes) -> list[Effect]:
        """What has come of it; `last` is sent behind what is to be sent already."""
        effects, self._records = self._records, []
        sent = last
        if self._out:
            if last:
                self._out.append(last)
            sent = self._out[0] if len(self._out) == 1 else b"".join(self._out)
            self._out.clear()
        if sent:
            effects.append(ToServer(sent))
        return effects

    def _message(self, kind: int, data: bytes, position: int, end: int) -> bytes | None:
        """What to send instead of this message; None: the message itself."""
        state = self._state
        if (state.inflight.skipping or self._refused_until_sync) and kind in _DISCARDED:
            return b""  # The server discards it unread; so does the queue. It may hold what was refused.
        if state.refreshing:
            # What the server would say to it could not be released, nor held for ever.
            raise Held(self._refreshed)
        copy = state.copy_in
        if copy is not None:
            if copy is Sink.RELAYED and kind == COPY_DATA:
                return None
            if kind in _NO_COPY:
                state.copy_in = None
        start = position + HEADER_SIZE
        if end - start <= LONG_COPY:
            return self._read(kind, data[start:end])
        body = cut(data, start, end)
        instead = self._read(kind, body)
        let_others_run()
        del body
        let_others_run()
        return instead

    def _read(self, kind: int, body: bytes) -> bytes | None:
        """By how often they come: a chain of calls is compiled to jumps, a table of functions is not."""
        if kind == BIND:
            return self.bind(body)
        if kind == EXECUTE:
            return self.execute(body)
        if kind == SYNC:
            return self.sync()
        if kind == DESCRIBE:
            return self.describe(body)
        if kind == QUERY:
            return self.query(body)
        if kind == PARSE:
            return self.parse(body)
        if kind == COPY_DATA:
            return self._copy_data(body)
        if kind == CLOSE:
            return self.close(body)
        if kind == COPY_DONE:
            return copy_done(self._state)
        if kind == COPY_FAIL:
            return copy_fail(self._state)
        if kind == FUNCTION_CALL:
            return self.function_call()
        return None

    def _refreshed(self) -> bool:
        return not self._state.refreshing

    def _check_copy(self) -> None:
        """A message waits for the server: not while the server waits for the client's copy data, or both would for ever."""
        if self._state.inflight.copy_in:
            raise BadMessage("unexpected message type during COPY from stdin")

    def _inquire(self) -> None:
        """If nobody will tell what is waited for, ask: the server reports settings, and ends a transaction, at Sync."""
        state = self._state
        inflight = state.inflight
        if state.refreshing or inflight.inquiring or (len(inflight) and not inflight.pipelining):
            return
        unsettled = state.unsettled
        inquiry = Inquiry(
            catalog=bool(unsettled & Changes.CATALOG), claims=bool(unsettled & Changes.CLAIMS)
        )
        sent, owed = inquiry.messages(sync=not inflight.pipelining)
        for entry in owed:
            inflight.push(entry)
        self._out.append(sent)

    # Simple query.

    def query(self, body: bytes) -> bytes | None:
        state = self._state
        settled(state, Changes.CATALOG)
        try:
            raw = one_cstring(body)
        except BadMessage:
            if not body:
                raise
            # A NUL in the text. The server takes no such message, whatever it says, and need not see this one.
            state.inflight.push(Owed(Kind.QUERY))
            return message(QUERY, b"\x00\x00" if 0 in body else b"")
        text = state.read_sql(raw)
        authority = state.current_authority()
        plan, stripped = authority.snapshot.planner.plan(
            text.sql, state.search_path, state.conforming_strings
        )
        if plan.named or not text.sql.isascii() or "\\" in text.sql:
            settled(state, Changes.SETTINGS)
        if plan.untouched and not plan.by_name:
            state.synced()
            state.sent(plan.statements, stripped)
            query = SimpleQuery(plan.statements, stripped)
            state.inflight.push(Owed(Kind.QUERY, query=query, changes=self._unnamed_dropped()))
            return None
        if state.unsettled & Changes.CLAIMS:
            settled(state, Changes.CLAIMS)
        steps = naming.steps(state, plan, stripped, text.sql)
        plans = tuple([step.plan for step in steps])
        state.synced()
        state.sent(plans, stripped)
        changes = self._unnamed_dropped()
        parts: list[Part] = []
        matchers: dict[int, Matchers] = {}
        for step in steps:
            try:
                if step.refused is not None:
                    raise step.refused
                self._check(step.plan, authority, text, step.runs)
                if step.runs is not None:
                    sealed_more(step.sealed, step.runs.sealed)
                sent = self._rendered(step.plan, stripped, step.sealed)
                if step.plan.filters:
                    sealer = self._sealer(step.plan, ())
                    matchers[len(parts)] = sealer.matchers(stripped.literals, (), ())
                parts.append(Part(step.plan, sent))
            except ValueRefused as refusal:
                parts.append(Part(step.plan, refuse_sql(refusal.refusal) + ";", refused=True))
                attempted = naming.opened(state, step.plan, None) or step.plan
                self._refused(self._execution(attempted, stripped, "simple"), refusal.refusal)
        refused = frozenset([i for i, part in enumerate(parts) if part.refused])
        untouched = not refused and all(plan.action is Action.FORWARD for plan in plans)
        query = SimpleQuery(
            plans,
            stripped,
            refused,
            tuple([step.sealed for step in steps]),
            None if untouched else Edited(tuple(parts), stripped.literals),
            tuple([step.changes for step in steps]),
            matchers,
        )
        state.inflight.push(Owed(Kind.QUERY, query=query, changes=changes))
        if untouched:
            return None
        sent = "".join([part.sent for part in parts]) + stripped.comment
        return message(QUERY, text.encode(sent) + b"\x00")

    def _unnamed_dropped(self) -> tuple[Change[Any], ...]:
        """The server drops the unnamed statement and portal when it comes to a simple query; it may never."""
        state = self._state
        if not state.prepared.known(b"") and not state.portals.known(b""):
            return ()
        return (state.prepared.set(b"", None), state.portals.set(b"", None))

    def _check(
        self,
        statement: StatementPlan,
        authority: Authority,
        text: SqlText,
        runs: Prepared | None = None,
    ) -> None:
        asked = statement
        if runs is not None and runs.plan is not None and statement.action is Action.APPLY:
            asked = runs.plan  # As at Bind; a plan made for one EXECUTE is not asked about again.
        opened = naming.opened(self._state, statement, None)
        refusal = authority.refusal(opened or asked)
        if opened is not None and opened.filters:
            refusal = _FETCHED_BY_SQL
        if refusal is None and statement.action is not Action.FORWARD:
            refusal = text.refusal
        if refusal is not None:
            raise ValueRefused(refusal)

    def _rendered(self, statement: StatementPlan, stripped: Stripped, sealed: Sealed) -> str:
        sealer = self._sealer(statement, ())
        return render(statement, stripped.literals, sealer.literals(sealed).literal)

    def _sealer(self, plan: StatementPlan, declared: tuple[int, ...]) -> StatementSealer:
        state = self._state
        snapshot = state.current_authority().snapshot
        return self._sealers.get(plan, declared, snapshot, state.settings)

    # Extended query.

    def parse(self, body: bytes) -> bytes | None:
        state = self._state
        settled(state, Changes.CATALOG)
        parse = read_parse(body)
        text = state.read_sql(parse.query)
        authority = state.current_authority()
        plan, stripped = authority.snapshot.planner.plan(
            text.sql, state.search_path, state.conforming_strings
        )
        if plan.named or not text.sql.isascii() or "\\" in text.sql:
            settled(state, Changes.SETTINGS)
        statement = plan.statements[0] if plan.statements else None
        prepared = Prepared(statement, stripped, parse.types)
        if statement is not None:
            prepared.source = naming.source(state, plan, 0, text.sql)
        instead: bytes | None = None
        if statement is not None and (plan.by_name or not plan.untouched):
            step = naming.step(state, statement, stripped.literals)
            if step.runs is not None:
                sealed_more(step.sealed, step.runs.sealed)
            source = prepared.source
            prepared = Prepared(
                step.plan, stripped, parse.types, step.sealed, runs=step.runs, source=source
            )
            try:
                if len(plan.statements) > 1:
                    raise ValueRefused(_SEVERAL_COMMANDS)
                if step.refused is not None:
                    raise step.refused
                self._check(step.plan, authority, text, step.runs)
                if step.plan.action is not Action.FORWARD:
                    instead = self._rendered_parse(parse, step.plan, prepared, text)
            except ValueRefused as refused:
                return self._refuse(
                    prepared,
                    refused.refusal,
                    unnamed=not parse.name,
                    attempted=naming.opened(state, step.plan, None),
                )
        change = state.prepared.set(state.name(parse.name), prepared, state.inflight.unit)
        state.inflight.push(Owed(Kind.PARSE, prepared=prepared, changes=(change,)))
        return instead

    def _rendered_parse(
        self, parse: Parse, statement: StatementPlan, prepared: Prepared, text: SqlText
    ) -> bytes:
        check_parameters(self._state.current_authority().snapshot, statement, parse.types)
        sent = self._rendered(statement, prepared.stripped, prepared.sealed)
        query = text.encode(sent + prepared.stripped.comment)
        prepared.edited = Edited((Part(statement, sent),), prepared.stripped.literals)
        types = list(parse.types)
        if statement.parameters:
            if max(statement.parameters) > _MOST_PARAMETERS:
                raise ValueRefused(_TOO_MANY_PARAMETERS)
            types.extend([0] * (max(statement.parameters) - len(types)))
        for number, seal in statement.parameters.items():
            types[number - 1] = _SENT.get(seal.form, BYTEA_ARRAY_OID)
        return write_parse(Parse(parse.name, query, tuple(types)))

    def bind(self, body: bytes) -> bytes | None:
        state = self._state
        portal_raw, statement_raw, behind_names = bind_names(body)
        portal_name = state.name(portal_raw)
        prepared = naming.prepared(state, state.name(statement_raw))
        instead: bytes | None = None
        if prepared is not None:
            another = naming.runs_another(state, prepared) or naming.looked_up_anew(state, prepared)
            if another is not None:
                return self._refuse(prepared, another)
        if prepared is None or prepared.plan is None or prepared.plan.action is Action.FORWARD:
            result_formats = bind_result_formats(body, behind_names, strict=False)
            portal = Portal(prepared, portal_name, result_formats)
            if prepared is None:
                # Its Parse was refused, perhaps: the server has no such statement either, and need not see the values.
                instead = write_bind(Bind(portal_raw, statement_raw, (), (), result_formats))
        else:
            settled(state, Changes.SETTINGS)
            result_formats = bind_result_formats(body, behind_names, strict=True)
            sealed: Sealed = {}
            if prepared.sealed:
                sealed_more(sealed, prepared.sealed)
            matchers: Matchers | None = None
            try:
                # Asked again: the policy may have been reloaded since Parse.
                refusal = self._run_refused(prepared, None)
                if refusal is not None:
                    raise ValueRefused(refusal)
                if prepared.plan.filters:
                    matchers = self._matchers(body, prepared, prepared.plan)
                if prepared.plan.parameters:
                    instead = self._sealed_bind(body, prepared, prepared.plan, sealed)
            except ValueRefused as refused:
                return self._refuse(prepared, refused.refusal)
            portal = Portal(prepared, portal_name, result_formats, sealed)
            portal.matchers = matchers
        change = state.portals.set(portal_name, portal)
        state.inflight.push(Owed(Kind.BIND, portal=portal, changes=(change,)))
        return instead

    def _matchers(self, body: bytes, prepared: Prepared, plan: StatementPlan) -> Matchers:
        bind = read_bind(body)
        formats = [bind.format_of(i) for i in range(len(bind.values))]
        sealer = self._sealer(plan, prepared.declared)
        return sealer.matchers(prepared.stripped.literals, bind.values, formats)

    def _sealed_bind(
        self, body: bytes, prepared: Prepared, plan: StatementPlan, sealed: Sealed
    ) -> bytes:
        bind = read_bind(body)  # Here, so that nobody else keeps long values alive below.
        values = list(bind.values)
        formats = [bind.format_of(i) for i in range(len(values))]
        self._sealer(plan, prepared.declared).parameters(values, formats, sealed)
        sent = write_bind_with(bind, formats, values)
        if len(sent) > LONG_COPY:
            let_others_run()
            del bind, values
            let_others_run()
        return sent

    def describe(self, body: bytes) -> bytes | None:
        state = self._state
        target, name = read_target(body)
        if target == _PORTAL:
            name = state.name(name)
            portal = state.portals.get(name)
            if portal is not None:
                portal.described_in = state.inflight.unit
            else:
                portal = Portal(None, name)
            state.inflight.push(Owed(Kind.DESCRIBE_PORTAL, portal=portal))
        else:
            prepared = state.prepared.get(state.name(name))
            if prepared is not None:
                prepared.described_in = state.inflight.unit
            state.inflight.push(Owed(Kind.DESCRIBE_STATEMENT, prepared=prepared))
        return None

    def execute(self, body: bytes) -> bytes | None:
        state = self._state
        name, limit = read_execute(body)
        # A portal without Bind may be a cursor: SQL's DECLARE shares this namespace.
        known_as = state.name(name)
        portal = state.portals.get(known_as)
        if portal is None:
            portal = Portal(None, known_as)
        prepared = portal.prepared
        if state.unsettled & Changes.CLAIMS and (
            prepared is None or prepared.plan is None or prepared.plan.touches
        ):
            settled(state, Changes.CLAIMS)
        refusal = self._run_refused(prepared, portal)
        if refusal is not None:
            attempted = naming.opened(state, prepared.plan if prepared else None, portal)
            return self._refuse(prepared or _NOT_PREPARED, refusal, attempted=attempted)
        if portal.matchers is not None:
            if portal.limit >= 0:
                return self._refuse(prepared or _NOT_PREPARED, _EXECUTED_AGAIN)
            portal.limit = max(limit, 0)
            # The server is asked for all rows: it does not know which of them count.
            body = name + bytes(5)
        before = b""
        unit = state.inflight.unit
        known = portal.shape_known(unit) or (prepared is not None and prepared.shape_known(unit))
        if not known:
            before = write_target(DESCRIBE, "P", name)
            portal.described_in = unit
            state.inflight.push(Owed(Kind.DESCRIBE_PORTAL, portal=portal, hidden=True))
        changes: tuple[Change[Any], ...] = ()
        if prepared is not None and prepared.plan is not None:
            if prepared.plan.named is not None:
                text = prepared.stripped.text
                changes = naming.announce(
                    state, prepared.plan, text, prepared.sealed, prepared.source
                )
            if prepared.plan.changes:
                state.sent((prepared.plan,), prepared.stripped)
        state.inflight.push(Owed(Kind.EXECUTE, portal=portal, changes=changes))
        if portal.matchers is not None:
            return before + message(EXECUTE, body)
        return before + message(EXECUTE, body) if before else None

    def _run_refused(self, prepared: Prepared | None, portal: Portal | None) -> Refusal | None:
        """Why a statement that was parsed, or a portal that was bound, may not run now: the policy may have been
        reloaded, what EXECUTE was parsed for may have gone.
        """
        state = self._state
        plan = prepared.plan if prepared is not None else None
        asked = naming.opened(state, plan, portal)
        if asked is not None and asked.filters:
            return _FETCHED_BY_SQL
        if prepared is not None:
            another = naming.runs_another(state, prepared)
            if another is None and plan is not None and not _planned_at_bind(plan.command):
                another = naming.looked_up_anew(state, prepared)
            if another is not None:
                return another
            asked = prepared.runs.plan if prepared.runs is not None else asked
        asked = asked or plan
        if asked is not None and asked.action is Action.APPLY:
            settled(
                state, Changes.SETTINGS
            )  # Values are read and shown by the settings at Execute.
        return state.current_authority().refusal(asked) if asked is not None else None

    def close(self, body: bytes) -> bytes | None:
        state = self._state
        target, raw = read_target(body)
        name = state.name(raw)
        portal = None
        change: Change[Any]
        if target == _PORTAL:
            portal = state.portals.get(name) or Portal(None, name)
            change = state.portals.set(name, None, state.inflight.unit)
        else:
            change = state.prepared.set(name, None, state.inflight.unit)
        state.inflight.push(Owed(Kind.CLOSE, portal=portal, changes=(change,)))
        return None

    def sync(self) -> bytes | None:
        self._refused_until_sync = False
        self._state.synced()
        self._state.inflight.push(Owed(Kind.SYNC))
        return None

    def function_call(self) -> bytes | None:
        self._state.synced()
        self._state.inflight.push(Owed(Kind.FUNCTION))
        return None

    def _copy_data(self, body: bytes) -> bytes | None:
        """A long one part by part: while rows are taken apart they take ten times their bytes."""
        first = copy_data(self._state, body[:LONG])  # Raises Held, if anything does.
        self._note_copied()
        if first is None or len(body) <= LONG:
            return first
        parts = [first]
        parts += [self._copied(body[at : at + LONG]) for at in range(LONG, len(body), LONG)]
        return b"".join(parts)

    def _copied(self, part: bytes) -> bytes:
        """More of a CopyData that is not relayed as it is."""
        try:
            sent = copy_data(self._state, part) or b""
        except Held:
            return b""  # The copy it was for is over.
        self._note_copied()
        return sent

    def _note_copied(self) -> None:
        """What a long copy has sealed so far is on record before it is sent."""
        copy = self._state.copy_in
        if isinstance(copy, CopyIn) and copy.full and copy.execution is not None:
            for event in copy.execution.sealed_part(self._state.origin):
                self._records.append(Record(event))

    # Refusals and executions.

    def _refuse(
        self,
        prepared: Prepared,
        refusal: Refusal,
        *,
        unnamed: bool = False,
        attempted: StatementPlan | None = None,
    ) -> bytes:
        self._refused_until_sync = True
        execution = self._execution(attempted or prepared.plan, prepared.stripped, "extended")
        self._refused(execution, refusal)
        sent, owed = refuse_extended(refusal, unnamed=unnamed)
        if unnamed:
            owed[0].changes = self._unnamed_dropped()
        for entry in owed:
            self._state.inflight.push(entry)
        return sent

    def _refused(self, execution: Execution, refusal: Refusal) -> None:
        self._records.extend(
            Record(event) for event in refused_events(self._state.origin, execution, refusal)
        )

    def _execution(
        self, plan: StatementPlan | None, stripped: Stripped | None, protocol: Protocol
    ) -> Execution:
        state = self._state
        return Execution(
            state.next_execution(), plan, stripped, state.current_authority(), protocol
        )


def _planned_at_bind(command: str) -> bool:
    """All others look their names up when they are executed."""
    return command in ("SELECT", "INSERT", "UPDATE", "DELETE", "MERGE")


_NOT_PREPARED: Final = Prepared(None, Stripped("", ()), ())
"""Stands for the statement of a cursor that Execute names."""
_SEVERAL_COMMANDS: Final = Refusal(
    "42601",
    "cannot insert multiple commands into a prepared statement",
    "Send one statement per Parse.",
)

_EXECUTED_AGAIN: Final = Refusal(
    "0A000",
    "a portal with LIKE on a sealed column can be executed once",
    "Fetch all of its rows at once, or as many as are wanted.",
)
_FETCHED_BY_SQL: Final = Refusal(
    "0A000",
    "FETCH and MOVE are not supported on a portal with LIKE on a sealed column",
    "Execute it by the protocol: Sealgate leaves out what does not match.",
)
_SENT: Final = {
    Form.VALUE: BYTEA_OID,
    Form.GRAMS: INT4_ARRAY_OID,
    Form.KEY: TEXT_OID,
    Form.KEYS: TEXT_ARRAY_OID,
}
"""Types of parameters that are sent in place of the client's."""
_MOST_PARAMETERS: Final = 65_535
"""What Bind can count."""
_TOO_MANY_PARAMETERS: Final = Refusal(
    "42P02",
    f"there is no parameter above ${_MOST_PARAMETERS}",
    "Number the parameters from $1.",
)
