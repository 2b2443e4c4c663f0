"""What the server still owes the client, in order.

Every client message that the server answers is one `Owed` at the end of the queue; the server's answers
come in the same order, so the answer at hand belongs to the head. Which answers end which entry (manual,
"Message Flow"):

    PARSE               ParseComplete
    BIND                BindComplete
    CLOSE               CloseComplete
    DESCRIBE_STATEMENT  ParameterDescription, then RowDescription or NoData
    DESCRIBE_PORTAL     RowDescription or NoData
    EXECUTE             CommandComplete, EmptyQueryResponse or PortalSuspended
    SYNC                ReadyForQuery
    QUERY, FUNCTION     ReadyForQuery
    COPY_END            nothing: it marks where the client's CopyDone or CopyFail stands

A reply that the head does not admit means that this queue and the server disagree. Nothing after it could be
attributed with certainty, so `expect` and `ready` end the session: fail closed, and the shell records what was in
flight.

An ErrorResponse to an extended-query entry makes the server discard everything up to the next Sync
(`ignore_till_sync` in src/backend/tcop/postgres.c); `fail` does the same to the queue and undoes what the discarded
messages had announced. While no Sync has come yet, `skipping` is set and the request side announces nothing. An
error between two messages has no entry and the same effect.

In copy-in mode the server ignores Sync (CopyGetData in src/backend/commands/copyfromparse.c): `begin_copy_in` takes
those out that the client had pipelined, and `push` queues none until the client's CopyDone or CopyFail. A copy that
fails may have done so before it read them; then they are answered after all. Nobody but the server can know, so that
many ReadyForQuery without an entry are taken as they come.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

from proxy.sql.plan import Action
from proxy.wire.framing import BadMessage
from proxy.wire.messages import (
    BIND_COMPLETE,
    CLOSE_COMPLETE,
    COMMAND_COMPLETE,
    COPY_IN_RESPONSE,
    COPY_OUT_RESPONSE,
    DATA_ROW,
    EMPTY_QUERY_RESPONSE,
    FUNCTION_CALL_RESPONSE,
    NO_DATA,
    PARAMETER_DESCRIPTION,
    PARSE_COMPLETE,
    PORTAL_SUSPENDED,
    ROW_DESCRIPTION,
)

if TYPE_CHECKING:
    from proxy.edited import Edited
    from proxy.execution import SimpleQuery
    from proxy.inquiry import Inquiry
    from proxy.sql.plan import StatementPlan
    from proxy.statements import Change, Portal, Prepared


class Kind:
    """What the client's message was. One bit each: a set of them is an int."""

    PARSE: Final = 1
    BIND: Final = 2
    CLOSE: Final = 4
    DESCRIBE_STATEMENT: Final = 8
    DESCRIBE_PORTAL: Final = 16
    EXECUTE: Final = 32
    SYNC: Final = 64
    QUERY: Final = 128
    FUNCTION: Final = 256
    COPY_END: Final = 512


_DESCRIPTIONS: Final = Kind.DESCRIBE_STATEMENT | Kind.DESCRIBE_PORTAL
_ENDS_WITH_READY: Final = Kind.SYNC | Kind.QUERY | Kind.FUNCTION
_RUNS: Final = Kind.EXECUTE | Kind.QUERY
_ADMITS: Final[dict[int, int]] = {
    PARSE_COMPLETE: Kind.PARSE,
    BIND_COMPLETE: Kind.BIND,
    CLOSE_COMPLETE: Kind.CLOSE,
    PARAMETER_DESCRIPTION: Kind.DESCRIBE_STATEMENT,
    ROW_DESCRIPTION: _DESCRIPTIONS | Kind.QUERY,
    NO_DATA: _DESCRIPTIONS,
    DATA_ROW: _RUNS,
    COMMAND_COMPLETE: _RUNS,
    EMPTY_QUERY_RESPONSE: _RUNS,
    COPY_IN_RESPONSE: _RUNS,
    COPY_OUT_RESPONSE: _RUNS,
    PORTAL_SUSPENDED: Kind.EXECUTE,
    FUNCTION_CALL_RESPONSE: Kind.FUNCTION,
}
"""Reply -> the entries it can answer. Those that are not here may come at any time, or are not looked at."""
_ADMITTED: Final[tuple[int, ...]] = tuple([_ADMITS.get(reply, 0) for reply in range(256)])
"""The same by position: compiled, that is looked up in no time."""
_MANY: Final = 65_536
"""Entries, some 100 bytes each: the shortest message that adds one has five."""
_COPY: Final = re.compile(r"\bcopy\b", re.IGNORECASE)


class Owed:
    """One message the server has not finished answering. `hidden`: ours, the client did not send it."""

    __slots__ = (
        "answered",
        "behind",
        "changes",
        "copies",
        "hidden",
        "inquiry",
        "kind",
        "portal",
        "prepared",
        "query",
    )

    def __init__(
        self,
        kind: int,
        *,
        hidden: bool = False,
        prepared: Prepared | None = None,
        portal: Portal | None = None,
        query: SimpleQuery | None = None,
        changes: tuple[Change[Any], ...] = (),
    ) -> None:
        self.kind = kind
        """`Kind`"""
        self.hidden = hidden
        self.prepared = prepared
        self.portal = portal
        self.query = query
        self.changes = changes
        self.inquiry: Inquiry | None = None
        """The question that this hidden Execute asks."""
        self.answered = kind == Kind.SYNC
        """ReadyForQuery may end it."""
        self.behind: Owed | None = None
        """The next in the queue."""
        self.copies = False
        """In the queue, and `withholds_copy` before the server has begun with it."""

    def __repr__(self) -> str:
        name = next(name for name, kind in vars(Kind).items() if kind == self.kind)
        return f"<Owed {name}{' hidden' if self.hidden else ''}>"

    @property
    def refused(self) -> bool:
        """`sealgate.refuse` stands in for the client's statement."""
        return self.hidden or (self.query is not None and self.query.current_refused)

    @property
    def may_copy_in(self) -> bool:
        """COPY FROM STDIN may be among its statements: only as such, nothing that SQL or a function executes can be one."""
        text, plans = self._copying
        if text and _COPY.search(text) is None:  # "": it was not read.
            return False
        return any(plan.copy is None or plan.copy.incoming for plan in plans)

    @property
    def begins_copy_in(self) -> bool:
        """The server may be at a COPY FROM STDIN. Where data of one is withheld, it is at that or another one: not behind an
        error, nor behind the last statement. What such a copy reads would be nobody's, and relayed.
        """
        query = self.query
        if query is not None and any(withholds_data(plan) for plan in query.plans):
            plan = query.plan
            return plan is not None and plan.command == "COPY" and self.may_copy_in
        return self.may_copy_in

    @property
    def may_relay_copy(self) -> bool:
        """COPY FROM STDIN of an unprotected table may be among its statements."""
        plans = self._copying[1]
        forwarded = (plan for plan in plans if plan.action is Action.FORWARD)
        several = len(plans) > 1
        return self.may_copy_in and any(not several or p.command == "COPY" for p in forwarded)

    @property
    def _copying(self) -> tuple[str, tuple[StatementPlan, ...]]:
        if self.kind == Kind.QUERY and self.query is not None:
            return self.query.stripped.text, self.query.plans
        prepared = self._statement
        if self.kind != Kind.EXECUTE or prepared is None or prepared.plan is None:
            return "", ()
        return prepared.stripped.text, (prepared.plan,)

    @property
    def plan(self) -> StatementPlan | None:
        """The plan of the statement that the server is at; None where there was no text to plan."""
        if self.query is not None:
            return self.query.plan
        prepared = self._statement
        return prepared.plan if prepared is not None else None

    @property
    def edited(self) -> Edited | None:
        """What was sent in place of the client's text, if anything was."""
        if self.query is not None:
            return self.query.edited
        prepared = self._statement
        return prepared.edited if prepared is not None else None

    @property
    def _statement(self) -> Prepared | None:
        return self.portal.prepared if self.portal is not None else self.prepared

    @property
    def withholds_copy(self) -> bool:
        """It has a COPY FROM before it whose data is not to reach the server as it is: into sealed columns, or refused."""
        if self.query is not None:
            return any(withholds_data(plan) for plan in self.query.to_come)
        run = self.plan if self.kind == Kind.EXECUTE else None
        return run is not None and withholds_data(run)

    def keep(self) -> None:
        """The server has acted on the message."""
        for change in self.changes:
            change.keep()

    def undo(self) -> None:
        """The server has discarded it."""
        if self.query is not None:
            self.query.abandon()
        for change in self.changes[::-1]:
            change.undo()


def withholds_data(plan: StatementPlan) -> bool:
    """A COPY FROM whose data must not reach the server as it is: into sealed columns, or refused."""
    if plan.command != "COPY" or plan.action is Action.FORWARD:
        return False
    return plan.copy is None or plan.copy.incoming


class Inflight:
    """The queue; `push` on the request side, the rest on the response side."""

    __slots__ = (
        "_copying",
        "_doubtful",
        "_extended",
        "_last",
        "_questions",
        "_relays_not",
        "_size",
        "_swallowed",
        "_withholding",
        "copy_in",
        "executing",
        "head",
        "skipping",
        "unit",
    )

    def __init__(self) -> None:
        self.head: Owed | None = None
        """The entry that the server is answering: never a COPY_END, which nothing answers."""
        self._last: Owed | None = None
        self._size = 0
        """Entries from `head` to `_last`, each `behind` the other."""
        self._questions = 0
        """Those of them that are questions of ours."""
        self.executing = 0
        """Those that run statements."""
        self._withholding = 0
        """Those that `Owed.copies`."""
        self._relays_not: Owed | None = None
        """Up to here no entry `may_relay_copy`. A client may send CopyData by the thousand behind entries by the thousand."""
        self._extended = False
        """The client's last message was of an extended query, not the Sync behind it."""
        self._copying = False
        """The head has had its CopyInResponse."""
        self._swallowed = 0
        """Syncs that the copy at the head reads over, if it lives to read them."""
        self._doubtful = 0
        """Syncs sent into copies that failed: answered or not."""
        self.skipping = False
        self.copy_in = False
        """The client has not ended the copy yet."""
        self.unit = 0
        """Number of the Query, or of the messages up to a Sync, that the client is sending: done as a whole or not."""

    def __len__(self) -> int:
        return self._size

    def __iter__(self) -> Iterator[Owed]:
        """Oldest first."""
        owed = self.head
        while owed is not None:
            yield owed
            owed = owed.behind

    def push(self, owed: Owed) -> None:
        """The client sent a message that the server will answer."""
        last = self._last
        if owed.kind == Kind.COPY_END:
            self.copy_in = False
            if last is None:
                return
        else:
            self._extended = not owed.kind & _ENDS_WITH_READY
            self.unit += not self._extended
        if owed.kind == Kind.SYNC:
            if self.copy_in:
                self._swallowed += 1
                return
            self.skipping = False
        if last is None:
            self.head = owed
        else:
            last.behind = owed
        self._last = owed
        self._size += 1
        if owed.kind & _RUNS:
            self.executing += 1
            if owed.inquiry is not None:
                self._questions += 1
            if owed.withholds_copy:
                owed.copies = True
                self._withholding += 1

    def _drop_head(self) -> None:
        """It is done with, and so is a COPY_END that would take its place."""
        head = self.head
        while head is not None:
            behind = head.behind
            head.behind = None
            self._dropped(head)
            head = behind
            if head is None or head.kind != Kind.COPY_END:
                break
        self.head = head
        if head is None:
            self._last = None

    def _drop_behind(self, owed: Owed) -> None:
        dropped = owed.behind
        if dropped is None:
            return
        owed.behind, dropped.behind = dropped.behind, None
        self._dropped(dropped)
        if owed.behind is None:
            self._last = owed

    def _dropped(self, owed: Owed) -> None:
        self._size -= 1
        if owed.kind & _RUNS:
            self.executing -= 1
            if owed.inquiry is not None:
                self._questions -= 1
            if owed.copies:
                self._withholding -= 1
        if owed is self._relays_not:
            self._relays_not = None

    @property
    def deep(self) -> bool:
        """The client is so far ahead of the server that no more of it should be read."""
        return self._size > _MANY

    @property
    def inquiring(self) -> bool:
        """A question of ours is not answered yet."""
        return self._questions > 0

    @property
    def private(self) -> bool:
        """The server is at messages of ours, and so is the Sync behind them."""
        sync = next((owed for owed in self if owed.kind & _ENDS_WITH_READY), None)
        return sync is not None and sync.hidden

    @property
    def pipelining(self) -> bool:
        """No Sync has come behind the last message of the extended query."""
        return self._extended

    def expect(self, reply: int) -> Owed:
        """The head, which this reply must be able to answer; raises `BadMessage` if it is not."""
        head = self.head
        if (
            head is None
            or not head.kind & _ADMITTED[reply]
            or (reply == COPY_IN_RESPONSE and not head.begins_copy_in)
        ):
            raise BadMessage(f"message type {chr(reply)!r} answers nothing that was asked")
        if reply in (COMMAND_COMPLETE, EMPTY_QUERY_RESPONSE, FUNCTION_CALL_RESPONSE):
            head.answered = True
            self._end_copy(failed=False)
        return head

    @property
    def awaits_copy(self) -> bool:
        """A COPY FROM is under way whose data must not be relayed."""
        head = self.head
        # The server has begun with the head alone: its COPY may be over.
        return head is not None and (head.withholds_copy or self._withholding > head.copies)

    @property
    def may_relay_copy(self) -> bool:
        """A COPY FROM of an unprotected table may be under way."""
        owed = self._relays_not.behind if self._relays_not is not None else self.head
        while owed is not None:
            if owed.may_relay_copy:
                return True
            self._relays_not = owed
            owed = owed.behind
        return False

    def pop(self) -> Owed | None:
        """The server has answered the head."""
        head = self.head
        self._drop_head()
        return head

    def ready(self) -> Owed | None:
        """ReadyForQuery: the head that it ends. Raises `BadMessage` if there is none."""
        self.skipping = False
        head = self.head
        if head is not None and head.kind & _ENDS_WITH_READY and head.answered:
            head.keep()
            self._drop_head()
            return head
        if not self._doubtful:
            raise BadMessage("ReadyForQuery answers nothing that was asked")
        self._doubtful -= 1
        return None

    def fail(self) -> None:
        """ErrorResponse: drop what the server discards, newest first, undoing its announcements."""
        self._end_copy(failed=True)
        head = self.head
        if head is None:
            self.skipping = self._extended
            return
        if head.kind & _ENDS_WITH_READY:
            head.answered = True
            return
        dropped: list[Owed] = []
        while head is not None and head.kind != Kind.SYNC:
            dropped.append(head)
            self._drop_head()
            head = self.head
        for owed in dropped[::-1]:
            owed.undo()
        self.skipping = head is None

    def begin_copy_in(self) -> None:
        """CopyInResponse to the head: Syncs up to the client's CopyDone or CopyFail go unanswered."""
        self._copying = True
        at = self.head
        while at is not None and at.behind is not None and at.behind.kind != Kind.COPY_END:
            if at.behind.kind == Kind.SYNC:
                self._swallowed += 1
                self._drop_behind(at)
            else:
                at = at.behind
        self.copy_in = at is not None and at.behind is None

    def _end_copy(self, *, failed: bool) -> None:
        """The head's copy is over. A complete one has read the client's CopyDone and the Syncs before it."""
        if not self._copying:
            return
        if failed:
            self._doubtful += self._swallowed
        else:
            head = self.head
            if head is not None and head.behind is not None and head.behind.kind == Kind.COPY_END:
                self._drop_behind(head)
        self._copying = self.copy_in = False
        self._swallowed = 0

    def take_all(self) -> list[Owed]:
        """The connection has ended: everything that was in flight, oldest first."""
        taken: list[Owed] = []
        while self.head is not None:
            taken.append(self.head)
            self._drop_head()
        return taken
