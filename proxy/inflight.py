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

An ErrorResponse to an extended-query entry makes the server discard everything up to the next Sync;
`fail` does the same to the queue and undoes what the discarded messages had announced. While no Sync has
come yet, `skipping` is set and the request side announces nothing.

In copy-in mode the server ignores Sync ("Flush and Sync messages in copy-in mode"): `begin_copy_in` takes
those out that the client had pipelined behind the Execute.
"""

from __future__ import annotations

from collections import deque
from enum import Enum, auto
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from proxy.execution import Execution, SimpleQuery
    from proxy.statements import Change, Portal, Prepared


class Kind(Enum):
    PARSE = auto()
    BIND = auto()
    CLOSE = auto()
    DESCRIBE_STATEMENT = auto()
    DESCRIBE_PORTAL = auto()
    EXECUTE = auto()
    SYNC = auto()
    QUERY = auto()
    FUNCTION = auto()
    COPY_END = auto()


_DESCRIPTIONS = frozenset({Kind.DESCRIBE_STATEMENT, Kind.DESCRIBE_PORTAL})
_ENDS_WITH_READY = frozenset({Kind.SYNC, Kind.QUERY, Kind.FUNCTION})


class Owed:
    """One message the server has not finished answering. `hidden`: ours, the client did not send it."""

    __slots__ = ("change", "execution", "hidden", "kind", "portal", "prepared", "query")

    def __init__(
        self,
        kind: Kind,
        *,
        hidden: bool = False,
        prepared: Prepared | None = None,
        portal: Portal | None = None,
        execution: Execution | None = None,
        query: SimpleQuery | None = None,
        change: Change[Any] | None = None,
    ) -> None:
        self.kind = kind
        self.hidden = hidden
        self.prepared = prepared
        self.portal = portal
        self.execution = execution
        self.query = query
        self.change = change

    def __repr__(self) -> str:
        return f"<Owed {self.kind.name}{' hidden' if self.hidden else ''}>"


class Inflight:
    """The queue; `push` on the request side, the rest on the response side."""

    __slots__ = ("_queue", "copy_in", "skipping")

    def __init__(self) -> None:
        self._queue: deque[Owed] = deque()
        self.skipping = False
        self.copy_in = False

    def __len__(self) -> int:
        return len(self._queue)

    @property
    def head(self) -> Owed | None:
        """The entry that the server is answering."""
        queue = self._queue
        while queue and queue[0].kind is Kind.COPY_END:
            queue.popleft()
        return queue[0] if queue else None

    def push(self, owed: Owed) -> None:
        """The client sent a message that the server will answer."""
        if owed.kind is Kind.SYNC:
            if self.copy_in:
                return
            self.skipping = False
        elif owed.kind is Kind.COPY_END:
            self.copy_in = False
        self._queue.append(owed)

    def pop(self) -> Owed | None:
        """The server has answered the head."""
        head = self.head
        if head is not None:
            self._queue.popleft()
        return head

    def ready(self) -> Owed | None:
        """ReadyForQuery: the head that it ends, and everything before it that stayed unanswered."""
        while (head := self.pop()) is not None:
            if head.kind in _ENDS_WITH_READY:
                return head
        return None

    def fail(self) -> None:
        """ErrorResponse: drop what the server discards, newest first, undoing its announcements."""
        head = self.head
        if head is None or head.kind in _ENDS_WITH_READY:
            return
        dropped: list[Owed] = []
        while self._queue and self._queue[0].kind is not Kind.SYNC:
            dropped.append(self._queue.popleft())
        for owed in reversed(dropped):
            if owed.change is not None:
                owed.change.undo()
            described = owed.portal or owed.prepared
            if described is not None and owed.kind in _DESCRIPTIONS:
                described.described = described.shape is not None
        self.copy_in = False
        self.skipping = not self._queue

    def begin_copy_in(self) -> None:
        """CopyInResponse to the head: Syncs up to the client's CopyDone or CopyFail go unanswered."""
        head = self.head
        if head is None or head.kind is Kind.QUERY:
            return
        kept: deque[Owed] = deque([self._queue.popleft()])
        while self._queue and self._queue[0].kind is not Kind.COPY_END:
            owed = self._queue.popleft()
            if owed.kind is not Kind.SYNC:
                kept.append(owed)
        self.copy_in = not self._queue
        kept.extend(self._queue)
        self._queue = kept
