"""Server to client: replies matched to what is owed, descriptions re-typed, rows unsealed, and recorded first.

The head of `proxy.inflight` says which client message a reply answers. Descriptions become a `Shape`; rows of a
shape that can carry sealed values go through a `RowProgram` and are held until their event precedes them in the
list of effects. Everything else is relayed as it came, in one run with its neighbours: rows of an untouched
result are stepped over by their headers, and a long one is passed on without being collected.
"""

from __future__ import annotations

import contextlib
from typing import Final

from proxy.audit.containment import containment_begun
from proxy.audit.finding import detected
from proxy.cells.errors import alone
from proxy.copying.from_server import Copies, UnreadableCopy
from proxy.detection.guard import Guard, Verdict
from proxy.effects import Close, Contain, Delay, Effect, Record, RefreshCatalog, ToClient
from proxy.errors import presented
from proxy.execution import HELD_BYTES, Execution, SimpleQuery, recorded
from proxy.inflight import Kind, Owed
from proxy.inquiry import Inquiry
from proxy.matching import MOST_TESTED, Matching
from proxy.naming import closed, opened
from proxy.outgoing import Outgoing
from proxy.rows import BadCell, Programs, RowProgram, UnshowableCell, Withheld
from proxy.seal import ValueRefused, parameter_type
from proxy.shape import NO_ROWS, Shape
from proxy.sql.plan import Changes, StatementPlan
from proxy.state import FAILED, IDLE, State
from proxy.statements import Portal
from proxy.tampering import tampered_event
from proxy.wire.framing import HEADER_SIZE, BadMessage, MessageBuffer
from proxy.wire.messages import (
    BIND_COMPLETE,
    CLOSE_COMPLETE,
    COMMAND_COMPLETE,
    COPY_DATA,
    COPY_DONE,
    COPY_IN_RESPONSE,
    COPY_OUT_RESPONSE,
    DATA_ROW,
    EMPTY_QUERY_RESPONSE,
    ERROR_RESPONSE,
    FUNCTION_CALL_RESPONSE,
    NO_DATA,
    PARAMETER_DESCRIPTION,
    PARAMETER_STATUS,
    PARSE_COMPLETE,
    PORTAL_SUSPENDED,
    READY_FOR_QUERY,
    ROW_DESCRIPTION,
    error_response,
    message,
    one_cstring,
    read_fields,
    read_parameter_description,
    read_parameter_status,
    write_fields,
    write_parameter_description,
)

_SUSPENDED: Final = message(PORTAL_SUSPENDED, b"")
_AWAITED: Final = RefreshCatalog(awaited=True)
_IN_FAILED: Final = b"25P02"
CONNECTION_FAILURE: Final = "08006"


class SessionOver(Exception):
    """The session has to end here; `effects` is what happens last."""

    def __init__(self, effects: list[Effect]) -> None:
        super().__init__("session over")
        self.effects = effects


class Response:
    """Reads what the server sends. `receive` returns effects in the order in which they must happen."""

    __slots__ = (
        "_behind",
        "_buffer",
        "_copies",
        "_effects",
        "_failed",
        "_inquiry",
        "_matching",
        "_opened",
        "_out",
        "_passing",
        "_program",
        "_programs",
        "_running",
        "_state",
        "_suspended",
    )

    def __init__(self, state: State, max_message: int) -> None:
        self._state = state
        self._buffer = MessageBuffer(max_message)
        self._passing = 0
        """Bytes of an untouched DataRow or CopyData that are still to be relayed."""
        self._out = Outgoing()
        self._effects: list[Effect] = []
        self._copies = Copies(state)
        self._opened = False
        """`_program` and `_running` are those of the result whose rows are arriving."""
        self._program: RowProgram | None = None
        self._running: Execution | None = None
        self._matching: Matching | None = None
        """The rows are tested, and it uses `_program`."""
        self._programs = Programs()
        self._suspended: dict[Portal, Execution] = {}
        """Portals that have more rows, as far as the client wants them."""
        self._failed = False
        """There was an error since the last ReadyForQuery."""
        self._inquiry: Inquiry | None = None
        """The question of ours whose row is arriving."""
        self._behind: list[Effect] = []
        """What must not happen before the catalog has been looked at again."""

    def receive(self, data: bytes) -> list[Effect]:
        """Raises `BadMessage` when the bytes are not the protocol; the session then ends."""
        if self._passing:
            passed, data = data[: self._passing], data[self._passing :]
            self._passing -= len(passed)
            self._out.append(passed)
        data = self._buffer.feed(data)
        self._out.begin(data)
        try:
            self._buffer.keep(data[self._messages(data) :])
        except SessionOver as over:
            self._out.drop()
            effects, self._effects = self._effects + over.effects, []
            return effects
        self._flush()
        self._out.begin(b"")
        return self._taken()

    @property
    def missing(self) -> int:
        """Of something long that has been received in part, or waits: the bytes with which it may be read. Else 0."""
        return self._buffer.missing

    def _taken(self) -> list[Effect]:
        """The effects so far; while a new picture of the catalog is awaited, those before that."""
        effects, self._effects = self._effects, []
        if self._state.refreshing:
            cut = next((i + 1 for i, e in enumerate(effects) if e == _AWAITED), 0)
            self._behind += effects[cut:]
            del effects[cut:]
        return effects

    def catalog_refreshed(self, *, taken: bool) -> list[Effect]:
        """The next statement is planned by the new picture: the client may know that its DDL is done. If none could be
        taken, the session itself is asked before the next statement, and the picture is tried again behind it.
        """
        self._state.refreshing = False
        if taken:
            self._state.settle(Changes.CATALOG)
        else:
            self._state.changed |= Changes.CATALOG
        behind, self._behind = self._behind, []
        return behind

    def interrupted(self) -> list[Effect]:
        """The session ends in the middle: what had been read completely, then an event for each statement that the
        server may still execute. Rows that were held are not released.
        """
        effects, self._effects, self._behind = self._behind + self._effects, [], []
        if self._running is not None:
            self._running.release()
            self._suspended = {p: e for p, e in self._suspended.items() if e is not self._running}
        for running in self._suspended.values():
            effects += map(Record, running.events(self._state.origin, final=True))
        for owed in self._state.inflight.take_all():
            effects += self._cut_short(owed)
        self._running = None
        return effects

    def _cut_short(self, owed: Owed) -> list[Effect]:
        """Nobody will learn from the server what became of it; that it was sent is on record."""
        records: list[Effect] = []
        if owed.query is None and owed.kind != Kind.EXECUTE:
            return records
        while (plan := self._plan(owed)) is not None and not owed.refused:
            if self._running is not None or recorded(plan):
                running = self._running or self._execution_of(owed)
                events = running.events(self._state.origin, final=True, sqlstate=CONNECTION_FAILURE)
                records += map(Record, events)
            self._running = None
            if owed.query is None:
                break
            owed.query.completed()
        return records

    def _messages(self, data: bytes) -> int:
        """Act on every whole message; return where the incomplete rest begins."""
        size = len(data)
        out = self._out
        position = 0
        while size - position >= HEADER_SIZE:
            kind = data[position]
            end = position + 1 + self._buffer.length(data, position)
            if kind == DATA_ROW:
                if not self._opened:
                    self._open_rows()
                if self._program is not None:
                    out.at = position
                    behind = self._rows(self._program, data, position)
                    if behind == position:
                        break
                    out.skip(behind)
                    position = behind
                    continue
                if self._inquiry is None:
                    position = end
                    continue
            elif kind == COPY_DATA and self._relays_copy(data, position, end):
                position = end
                continue
            if end > size:
                break
            if _LOOKED_AT[kind]:
                out.at = position
                if kind == COPY_DATA and self._copies.strict and self._running is not None:
                    position = self._copy_rows(self._running, data, position)
                    out.skip(position)
                    continue
                instead = self._read(kind, data, position, end)
                if instead is not None:
                    if instead:
                        out.append(instead)
                    out.skip(end)
            position = end
        if position > size:
            self._passing = position - size
            position = size
        out.at = position
        return position

    def _read(self, kind: int, data: bytes, position: int, end: int) -> bytes | None:
        """What the client gets instead of the message at [position, end); None: the message itself. Written as a chain because that
        is compiled to jumps, in the order of how often they come.
        """
        if kind == READY_FOR_QUERY:
            return self.ready(data, position, end)
        if kind == COMMAND_COMPLETE:
            return self.command_complete(data, position, end)
        if kind in (BIND_COMPLETE, PARSE_COMPLETE, CLOSE_COMPLETE):
            return self.confirmed(kind)
        if kind == ROW_DESCRIPTION:
            return self.row_description(data, position, end)
        if kind == NO_DATA:
            return self.no_data()
        if kind == PARAMETER_DESCRIPTION:
            return self.parameter_description(data, position, end)
        if kind == ERROR_RESPONSE:
            return self.error(data, position, end)
        if kind == COPY_DATA:
            return self.copy_row(data, position, end)
        if kind == DATA_ROW:
            return self.answer(data, position, end)
        if kind == PORTAL_SUSPENDED:
            return self.portal_suspended()
        if kind == PARAMETER_STATUS:
            return self.parameter_status(data, position, end)
        if kind == EMPTY_QUERY_RESPONSE:
            return self.empty_query()
        if kind == COPY_IN_RESPONSE:
            return self.copy_in()
        if kind == COPY_OUT_RESPONSE:
            return self.copy_out(data, position, end)
        if kind == COPY_DONE:
            return self.copy_done(data, position, end)
        return self.function_result()

    def _flush(self) -> None:
        """What is to go out so far becomes one effect."""
        data = self._out.take()
        if data:
            self._effects.append(ToClient(data))

    # Descriptions.

    def row_description(self, data: bytes, position: int, end: int) -> bytes | None:
        head = self._state.inflight.expect(ROW_DESCRIPTION)
        body = data[position + HEADER_SIZE : end]
        plan = self._plan(head)
        shape = self._state.current_authority().shape(body, plan)
        if head.query is not None:
            return self._simple_result(head, head.query, shape, plan)
        self._described(head, shape)
        if head.hidden:
            return b""
        return shape.described if shape.sealed else None

    def _simple_result(
        self, head: Owed, query: SimpleQuery, shape: Shape, plan: StatementPlan | None
    ) -> bytes | None:
        """A simple query describes each result just before its rows."""
        if query.current_refused:
            return b""
        if self._running is not None:  # A rule's SELECT: two results of one statement.
            self._release(self._running, final=False)
            self._running = None
        self._open(head, shape, shape.formats, plan)
        return shape.described if shape.sealed else None

    def no_data(self) -> bytes | None:
        head = self._state.inflight.expect(NO_DATA)
        self._described(head, NO_ROWS)
        return b"" if head.hidden else None

    def _described(self, head: Owed, shape: Shape) -> None:
        if head.prepared is not None:
            head.prepared.shape = shape
        if head.portal is not None:
            prepared = head.portal.prepared
            if head.hidden and prepared is not None and prepared.shape is not None:
                shape = shape.told_as(prepared.shape)  # The client knows that one.
            head.portal.shape = shape
        self._state.inflight.pop()

    def parameter_description(self, data: bytes, position: int, end: int) -> bytes | None:
        head = self._state.inflight.expect(PARAMETER_DESCRIPTION)
        prepared = head.prepared
        if prepared is None or prepared.plan is None or not prepared.plan.parameters:
            return None
        types = list(read_parameter_description(data[position + HEADER_SIZE : end]))
        snapshot = self._state.current_authority().snapshot
        for number, seal in prepared.plan.parameters.items():
            if number <= len(types):
                declared = prepared.declared_type(number)
                with contextlib.suppress(ValueRefused):  # Bind will be refused, with the reason.
                    types[number - 1] = parameter_type(snapshot, seal, declared)
        return write_parameter_description(tuple(types))

    # Rows.

    def _open_rows(self) -> None:
        """The first DataRow of a result: is it to be looked at?"""
        head = self._state.inflight.expect(DATA_ROW)
        if head.inquiry is not None:
            self._opened, self._program, self._inquiry = True, None, head.inquiry
            return
        if head.refused:
            raise self._not_refused()
        portal = head.portal
        if portal is None:
            raise BadMessage("rows of a result that was never described")
        if portal.shape is not None:
            shape, formats = portal.shape, portal.shape.formats
        elif portal.prepared is not None and portal.prepared.shape is not None:
            shape, formats = portal.prepared.shape, portal.result_formats
        else:
            raise BadMessage("rows of a result that was never described")
        self._open(head, shape, formats, self._plan(head))

    def _open(
        self,
        head: Owed,
        shape: Shape,
        formats: tuple[int, ...],
        plan: StatementPlan | None,
    ) -> None:
        """Rows are held if they can carry sealed values, or answer a comparison with some."""
        self._opened, self._program, self._matching = True, None, None
        if not shape.sealed and (plan is None or not plan.touches or not recorded(plan)):
            return
        authority = self._state.current_authority()
        self._running = self._execution_of(head)
        self._running.authority = authority
        self._program = self._programs.get(shape, formats, authority, self._state.settings)
        if plan is not None and plan.filters:
            self._matching = self._tested(head, shape, formats, plan, self._program)

    def _tested(
        self,
        head: Owed,
        shape: Shape,
        formats: tuple[int, ...],
        plan: StatementPlan,
        program: RowProgram,
    ) -> Matching:
        portal = head.portal
        query = head.query
        matchers = None
        if query is not None:
            matchers = query.current_matchers
        elif portal is not None:
            matchers = portal.matchers
        if matchers is None:
            # FETCH of a portal that was bound in the same pipeline, or something else that should have been refused.
            raise BadMessage("rows that have to be tested, and by what is not known")
        if plan.outputs is not None and len(plan.outputs) != len(shape.fields):
            raise BadMessage(
                "rows that have to be tested, and have not the columns that were planned"
            )
        limit = portal.limit if portal is not None else 0
        authority = self._state.current_authority()
        return Matching(program, shape, formats, plan.filters, matchers, authority, max(limit, 0))

    def answer(self, data: bytes, position: int, end: int) -> bytes:
        """A row of what we have asked ourselves."""
        assert self._inquiry is not None  # noqa: S101 - other rows are read by `_rows`, or relayed
        self._inquiry.row(data, position, end)
        return b""

    def _rows(self, program: RowProgram, data: bytes, position: int) -> int:
        """Unseal the rows that are whole from `position` on, as far as they may be held; return where the rest begins."""
        running = self._running
        assert running is not None  # noqa: S101 - set with the program
        room = HELD_BYTES - running.held_size
        try:
            matching = self._matching
            if matching is not None:
                position, added, rows = matching.unseal_rows(
                    data, position, len(data), running.tally, running.held, room, self._buffer.limit
                )
            else:
                position, added, rows = program.unseal_rows(
                    data, position, len(data), running.tally, running.held, room, self._buffer.limit
                )
        except (BadCell, Withheld, UnshowableCell) as bad:
            raise alone(self._row_refused(running, bad)) from None
        running.held_size += added
        running.rows += rows
        if added >= room or (matching is not None and matching.tested >= MOST_TESTED):
            self._release(running, final=False)
            if matching is not None:
                matching.tested = 0
        return position

    def _release(
        self,
        running: Execution,
        *,
        final: bool,
        sqlstate: str | None = None,
        affected: int | None = None,
    ) -> None:
        """Events first, then the rows they speak of, together with what was read before them; and before all of it a judgement.

        `sqlstate`: of the server's error.
        """
        delay = 0.0
        guard = self._state.guard
        if guard is not None and (running.tally.uses or guard.watches_columns):
            delay = self._judged(guard, running)
        events = running.events(
            self._state.origin,
            final=final,
            sqlstate=sqlstate,
            affected=affected,
            undone=sqlstate is not None,
        )
        for event in events:
            self._effects.append(Record(event))
        if delay:
            self._effects.append(Delay(delay))
        self._out.append(running.release())

    def _judged(self, guard: Guard, running: Execution) -> float:
        """The seconds that the part has to wait. Raises SessionOver where it must not be released."""
        plan = running.plan
        touches = plan.touches if plan is not None and not running.part else ()
        origin = self._state.origin
        verdict = guard.judge(origin, running.tally, touches, running.authority.restraint)
        if verdict is None:
            return 0.0
        effects: list[Effect] = [Record(detected(finding)) for finding in verdict.findings]
        if verdict.containment is not None:
            effects.append(Record(containment_begun(verdict.containment)))
            effects.append(Contain(verdict.containment))
        if verdict.refused:
            raise self._part_refused(running, verdict, effects)
        self._effects += effects
        return verdict.delay

    def _part_refused(
        self, running: Execution, verdict: Verdict, effects: list[Effect]
    ) -> SessionOver:
        """What was held is not released, and the session ends: nobody could go on in the middle of a result."""
        self._flush()
        running.release()
        head = self._state.inflight.head
        if head is not None:
            portal, query = head.portal, head.query
            if (query is not None and query.execution is running) or (
                portal is not None and portal.execution is running
            ):
                self._advance(head)
        self._suspended = {p: e for p, e in self._suspended.items() if e is not running}
        effects += map(
            Record, running.events(self._state.origin, final=True, sqlstate=verdict.sqlstate)
        )
        self._running = None
        return _over(effects, verdict.sqlstate, verdict.text, verdict.hint)

    @property
    def releasing(self) -> bool:
        """A result or a copy that sealed values are in is on its way."""
        return self._running is not None or self._copies.outgoing is not None

    def _row_refused(
        self, running: Execution, bad: BadCell | Withheld | UnshowableCell | UnreadableCopy
    ) -> SessionOver:
        """A cell that must not be shown ends the session: rows that were held with it are not released."""
        self._flush()
        running.release()
        self._advance(self._state.inflight.expect(DATA_ROW))
        origin = self._state.origin
        records: list[Effect] = []
        if isinstance(bad, BadCell):
            records.append(
                Record(tampered_event(origin, running, bad, self._state.current_authority()))
            )
        records += map(Record, running.events(origin, final=True, sqlstate=bad.sqlstate))
        self._running = None
        return _over(records, bad.sqlstate, str(bad), _HINTS.get(bad.sqlstate, ""))

    def _not_refused(self) -> SessionOver:
        """`sealgate.refuse` returned: somebody replaced it. The refused statement was not executed."""
        text = "sealgate.refuse() did not raise an error"
        return _over(
            [], "XX000", text, "Run sealgate apply: it restores the functions of schema sealgate."
        )

    # Ends of statements.

    def command_complete(self, data: bytes, position: int, end: int) -> bytes | None:
        head = self._state.inflight.expect(COMMAND_COMPLETE)
        if head.inquiry is not None:
            self._answered(head.inquiry)
            return b""
        tag = one_cstring(data[position + HEADER_SIZE : end])
        plan = head.plan
        text = _text(head) if plan is not None and plan.named is not None else ""
        instead: bytes | None = None
        matching, self._matching = self._matching, None
        if matching is not None:
            tag = b"SELECT %d" % matching.shown
            instead = _SUSPENDED if matching.more else message(COMMAND_COMPLETE, tag + b"\0")
        self._completed(head, tag)
        self._end_suspended(every=closed(self._state, plan, text, tag))
        return instead

    def _answered(self, inquiry: Inquiry) -> None:
        self._inquiry = None
        self._opened = False
        self._state.inflight.pop()
        self._state.told(inquiry)

    def empty_query(self) -> bytes | None:
        self._completed(self._state.inflight.expect(EMPTY_QUERY_RESPONSE), b"")
        return None

    def _completed(self, head: Owed, tag: bytes) -> None:
        if head.refused:
            raise self._not_refused()
        plan = self._plan(head)
        self._copies.ended()
        self._finish(head, plan, tag=tag)
        self._advance(head)
        if plan is not None and plan.changes_catalog and not plan.changes & Changes.CATALOG:
            self._effects.append(RefreshCatalog())

    def _advance(self, head: Owed) -> None:
        """The head's current statement has come to its end."""
        if head.query is not None:
            head.query.completed()
            return
        self._state.inflight.pop()
        head.keep()
        if head.portal is not None:
            head.portal.execution = None
            if self._suspended:
                self._suspended.pop(head.portal, None)

    def portal_suspended(self) -> bytes | None:
        head = self._state.inflight.expect(PORTAL_SUSPENDED)
        plan, portal = self._plan(head), head.portal
        running, self._running = self._running, None
        self._opened = False
        if running is None and plan is not None and recorded(plan):
            running = self._execution_of(head)
        self._state.inflight.pop()
        if running is None or portal is None:
            return None
        # Each Execute of one of SQL's cursors is like a FETCH: an execution of its own.
        cursor = portal.prepared is None
        self._release(running, final=cursor)
        if cursor:
            portal.execution = None
        else:
            self._suspended[portal] = running
        return None

    def _end_suspended(self, *, every: bool = False) -> None:
        """Portals that were closed before their last row: the access log says that no more comes."""
        if not self._suspended:
            return
        for portal, running in list(self._suspended.items()):
            if every or self._state.portals.settled(portal.name) is not portal:
                del self._suspended[portal]
                portal.execution = None
                self._release(running, final=True)

    def _finish(
        self,
        head: Owed,
        plan: StatementPlan | None,
        *,
        sqlstate: str | None = None,
        tag: bytes = b"",
    ) -> None:
        running, self._running = self._running, None
        self._opened = False
        if running is None and plan is not None and plan.touches and recorded(plan):
            running = self._execution_of(head)
        if running is not None:
            self._release(running, final=True, sqlstate=sqlstate, affected=_affected(tag))

    def error(self, data: bytes, position: int, end: int) -> bytes | None:
        inflight = self._state.inflight
        head = inflight.head
        fields = read_fields(data[position + HEADER_SIZE : end])
        self._inquiry = None
        if inflight.inquiring:
            self._not_told(fields)
        instead: bytes | None = None
        executing = head is not None and (head.query is not None or head.kind == Kind.EXECUTE)
        if head is not None and executing and not head.refused:
            given = fields
            fields = self._copies.failed(self._plan(head), given)
            sqlstate = fields.get("C", b"").decode("ascii", "replace")
            if fields is not given:
                instead = write_fields(ERROR_RESPONSE, fields)
            self._finish(head, self._plan(head), sqlstate=sqlstate)
            if head.portal is not None:
                self._suspended.pop(head.portal, None)
        self._opened, self._running, self._matching = False, None, None
        edited = head.edited if head is not None and not head.hidden else None
        if self._state.unasked and fields.get("C") == _IN_FAILED:
            instead = write_fields(ERROR_RESPONSE, {**fields, "H": self._state.unasked})
        instead = instead or presented(fields, edited)
        if inflight.private:
            # Nothing of the client's has failed; its transaction has, as it will be told.
            instead = b""
        if head is not None and head.query is not None:
            head.query.abandon()
        inflight.fail()
        self._failed = True
        return instead

    def _not_told(self, fields: dict[str, bytes]) -> None:
        """A question of ours has failed. The client learns of it from what it sent next; unless there is no transaction
        that could fail: then nothing could be planned with certainty any more.
        """
        state = self._state
        state.not_told()
        if not state.inflight.private:
            return
        if state.transaction_status == IDLE and state.unsettled & Changes.CATALOG:
            text = "Sealgate cannot see what DDL has changed"
            raise _over(
                [],
                "58000",
                text,
                "Neither its own login nor sealgate.catalog() could be asked: run sealgate check.",
            )
        if fields.get("C") == _IN_FAILED:
            return  # It had failed before: the client's next error is the server's own.
        reason = b"%s: %s" % (fields.get("C", b""), fields.get("M", b""))
        state.unasked = (
            b"Sealgate could not ask what this statement depends on ("
            + reason
            + b"). Does sealgate check find anything?"
        )

    def ready(self, data: bytes, position: int, end: int) -> bytes | None:
        state = self._state
        answered = state.inflight.ready()
        state.as_reported()
        self._opened, self._running, self._matching = False, None, None
        if end == position + HEADER_SIZE + 1:
            state.transaction_status = data[end - 1]
        if state.transaction_status == IDLE:
            state.cursors.transaction_ended(committed=not self._failed)
        self._end_suspended(every=state.transaction_status == IDLE)
        self._failed = False
        refresh = False
        if not len(state.inflight):
            if state.transaction_status == IDLE:
                state.portals.clear()  # The end of a transaction closes them.
                told = answered is not None and answered.hidden and state.own_catalog is not None
                refresh = not told and state.idle()
            elif state.transaction_status == FAILED:
                state.settle(~Changes.ROLE)  # Nothing is executed before it is rolled back.
            else:
                state.settle(Changes.SETTINGS)  # The server has reported them.
            state.ended = False
        if state.transaction_status != FAILED:
            state.unasked = b""
        if refresh:
            self._flush()
            self._effects.append(_AWAITED)
            state.refreshing = True
        return b"" if answered is not None and answered.hidden else None

    # Confirmations and settings.

    def confirmed(self, reply: int) -> bytes | None:
        head = self._state.inflight.expect(reply)
        self._state.inflight.pop()
        head.keep()
        if head.portal is not None and head.portal.name:
            # Bound, or closed: no cursor of SQL's has the name now.
            self._state.cursors.drop(head.portal.name.decode(errors="surrogateescape"))
        if self._suspended:
            self._end_suspended()
        return b"" if head.hidden else None

    def function_result(self) -> bytes | None:
        self._state.inflight.expect(FUNCTION_CALL_RESPONSE)
        return None

    def copy_in(self) -> bytes | None:
        head = self._state.inflight.expect(COPY_IN_RESPONSE)
        if head.refused:
            raise self._not_refused()
        self._state.inflight.begin_copy_in()
        copy = self._copies.begin_in(head.plan)
        if copy is not None:
            self._running = copy.execution = self._execution_of(head)
            self._running.sealed = copy.sealed
        return None

    def copy_out(self, data: bytes, position: int, end: int) -> bytes | None:
        head = self._state.inflight.expect(COPY_OUT_RESPONSE)
        if head.refused:
            raise self._not_refused()
        try:
            copy = self._copies.begin_out(head.plan, data[position:end])
        except UnreadableCopy as bad:
            raise alone(self._row_refused(self._execution_of(head), bad)) from None
        if copy is not None and (copy.strict or (head.plan is not None and recorded(head.plan))):
            self._running = self._execution_of(head)
        return None

    def _relays_copy(self, data: bytes, position: int, end: int) -> bool:
        """Rows are held from the first one on that has to be."""
        return self._running is None and self._copies.relays(data, position, end)

    def copy_row(self, data: bytes, position: int, end: int) -> bytes | None:
        head = self._state.inflight.expect(COPY_OUT_RESPONSE)
        running = self._running or self._execution_of(head)
        try:
            shown, rows = self._copies.row(data[position + HEADER_SIZE : end], running.tally)
        except (BadCell, Withheld, UnshowableCell, UnreadableCopy) as bad:
            raise alone(self._row_refused(running, bad)) from None
        if self._running is None and not running.tally.uses:
            return None  # It only looked like a sealed value.
        self._running = running
        if shown and running.hold(shown, rows):
            self._release(running, final=False)
        return b""

    def _copy_rows(self, running: Execution, data: bytes, position: int) -> int:
        """Unseal the CopyData messages that are whole from `position` on, one at least; return where the rest begins."""
        try:
            position, shown, rows = self._copies.run(
                data, position, self._buffer.limit, running.tally
            )
        except (BadCell, Withheld, UnshowableCell, UnreadableCopy) as bad:
            raise alone(self._row_refused(running, bad)) from None
        if shown and running.hold(shown, rows):
            self._release(running, final=False)
        return position

    def copy_done(self, data: bytes, position: int, end: int) -> bytes | None:
        running = self._running
        if running is None:
            self._copies.ended()
            return None
        try:
            shown, rows = self._copies.rest(running.tally)
        except (BadCell, Withheld, UnshowableCell, UnreadableCopy) as bad:
            raise alone(self._row_refused(running, bad)) from None
        running.hold(shown + data[position:end], rows)
        return b""

    def parameter_status(self, data: bytes, position: int, end: int) -> bytes | None:
        self._state.parameter_status(*read_parameter_status(data[position + HEADER_SIZE : end]))
        return None

    # Whose reply is it?

    def _plan(self, head: Owed) -> StatementPlan | None:
        """The plan of the statement that the server is at; for FETCH, that of its cursor."""
        plan = head.plan
        if plan is not None and plan.named is None:
            return plan
        return opened(self._state, plan, head.portal) or plan

    def _execution_of(self, head: Owed) -> Execution:
        """The run that the head is about, begun if this is the first word on it."""
        state = self._state
        authority = state.current_authority()
        if head.query is not None:
            query = head.query
            if query.execution is None:
                query.execution = Execution(
                    state.next_execution(),
                    self._plan(head),
                    query.stripped,
                    authority,
                    "simple",
                    query.current_sealed,
                )
            return query.execution
        portal = head.portal
        prepared = portal.prepared if portal is not None else None
        if portal is not None and portal.execution is not None:
            return portal.execution
        execution = Execution(
            state.next_execution(),
            self._plan(head),
            prepared.stripped if prepared is not None else None,
            authority,
            "extended",
            portal.sealed if portal is not None else None,
        )
        if portal is not None:
            portal.execution = execution
        return execution


_HINTS: Final = {
    "XX001": "The value in the database was altered, or copied from another column. The access log names the cell.",
    "22P05": "Use a client_encoding that has the character, UTF8 for instance.",
}


def _over(records: list[Effect], sqlstate: str, text: str, hint: str) -> SessionOver:
    return SessionOver(
        [*records, ToClient(error_response("FATAL", sqlstate, text, hint)), Close(text)]
    )


def _text(head: Owed) -> str:
    """The text of the statement, "" where it is one of several."""
    if head.query is not None:
        return head.query.stripped.text if len(head.query.plans) == 1 else ""
    prepared = head.portal.prepared if head.portal is not None else None
    return prepared.stripped.text if prepared is not None else ""


_DIGITS: Final = 20
"""Of a number in a message that the server counts in 64 bits."""


def _affected(tag: bytes) -> int | None:
    """The row count at the end of a command tag: `INSERT 0 5`, `SELECT 3`."""
    size = len(tag)
    at = size
    while at > 0 and 0x30 <= tag[at - 1] <= 0x39 and size - at <= _DIGITS:
        at -= 1
    if not 0 < size - at <= _DIGITS or (at > 0 and tag[at - 1] != 0x20):
        return None
    count = 0
    for i in range(at, size):
        count = 10 * count + tag[i] - 0x30
    return count


_KINDS: Final = frozenset(
    {
        BIND_COMPLETE,
        CLOSE_COMPLETE,
        COMMAND_COMPLETE,
        COPY_DATA,
        COPY_DONE,
        COPY_IN_RESPONSE,
        COPY_OUT_RESPONSE,
        DATA_ROW,
        EMPTY_QUERY_RESPONSE,
        ERROR_RESPONSE,
        FUNCTION_CALL_RESPONSE,
        NO_DATA,
        PARAMETER_DESCRIPTION,
        PARAMETER_STATUS,
        PARSE_COMPLETE,
        PORTAL_SUSPENDED,
        READY_FOR_QUERY,
        ROW_DESCRIPTION,
    }
)
_LOOKED_AT: Final = bytes([kind in _KINDS for kind in range(256)])
"""By kind, 1 or 0: all others are relayed unread."""
