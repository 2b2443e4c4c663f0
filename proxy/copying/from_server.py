"""CopyInResponse, CopyOutResponse and what follows them: which copy a session is in."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Final

from proxy.cells import CellError
from proxy.cells.errors import alone
from proxy.copying.copy_in import CopyIn
from proxy.copying.copy_out import CopyOut
from proxy.copying.errors import CopyError
from proxy.copying.from_client import Sink
from proxy.execution import Tally
from proxy.inflight import withholds_data
from proxy.sql.copy_plan import CopyFormat, CopyPlan
from proxy.sql.plan import StatementPlan
from proxy.wire.framing import HEADER_SIZE, UINT16, BadMessage, int32_at
from proxy.wire.messages import COPY_DATA

if TYPE_CHECKING:
    from proxy.state import State

_SEEN_UP_TO: Final = 256 * 1024
"""Bytes of a row of a copy in which nothing is known to be sealed that is still searched for a sealed value."""
_FIELDS_AT: Final = HEADER_SIZE + 1


class UnreadableCopy(Exception):
    """The server sends something else than what was planned; nothing of it can be shown."""

    sqlstate: ClassVar[str] = "0A000"

    def __init__(self, text: str) -> None:
        super().__init__(f"COPY TO cannot be read for certain: {text}")


class Copies:
    """One session's. At most one copy is under way."""

    __slots__ = ("_clean", "_incoming", "_state", "outgoing")

    def __init__(self, state: State) -> None:
        self._state = state
        self._incoming: CopyIn | None = None
        self.outgoing: CopyOut | None = None
        self._clean: bytes | None = None
        """Received bytes in which no sealed value begins."""

    @property
    def strict(self) -> bool:
        """Every row of the COPY TO under way is read."""
        return self.outgoing is not None and self.outgoing.strict

    # In.

    def begin_in(self, plan: StatementPlan | None) -> CopyIn | None:
        """CopyInResponse, `inflight` knows. None: its data is relayed."""
        state = self._state
        if plan is not None and plan.copy is not None and withholds_data(plan):
            snapshot = state.current_authority().snapshot
            self._incoming = CopyIn(
                plan.copy, snapshot, state.settings, state.server_encoding, state.message_limit
            )
            state.copy_in = self._incoming
        elif state.inflight.copy_in:
            state.copy_in = Sink.RELAYED
        return self._incoming

    def failed(self, plan: StatementPlan | None, fields: dict[str, bytes]) -> dict[str, bytes]:
        """ErrorResponse to a statement: its fields as the client is to see them. Data that still comes is dropped."""
        state = self._state
        copy = self._incoming
        self.ended()
        if copy is not None:
            copy.over = True
            return copy.explained(fields) or fields
        if state.copy_in is Sink.RELAYED:
            state.copy_in = None
        elif plan is not None and withholds_data(plan) and state.inflight.executing == 1:
            state.copy_in = Sink.DROPPED
        return fields

    def ended(self) -> None:
        """The statement is over, one way or the other."""
        self._incoming = self.outgoing = self._clean = None

    # Out.

    def begin_out(self, plan: StatementPlan | None, response: bytes) -> CopyOut | None:
        """CopyOutResponse. None: its data is relayed unseen. Raises UnreadableCopy."""
        copy = plan.copy if plan is not None else None
        if copy is None or copy.incoming:
            return None
        try:
            self.outgoing = self._copy_out(copy, response)
        except CopyError as error:
            raise alone(UnreadableCopy(error.message)) from None
        except CellError as error:
            if copy.sealed:
                raise alone(UnreadableCopy(error.message)) from None
        return self.outgoing

    def _copy_out(self, plan: CopyPlan, response: bytes) -> CopyOut:
        if len(response) < _FIELDS_AT + UINT16.size:
            raise BadMessage("invalid CopyOutResponse message")
        (fields,) = UINT16.unpack_from(response, _FIELDS_AT)
        options, state = plan.options, self._state
        binary = options is not None and options.format is CopyFormat.BINARY
        if options is None or binary != bool(response[HEADER_SIZE]):
            raise CopyError("its options were not understood")
        return CopyOut(
            plan,
            options,
            fields,
            state.current_authority(),
            state.settings,
            state.server_encoding,
            0x3FFFFFFF,
        )

    def relays(self, data: bytes, position: int, end: int) -> bool:
        """The CopyData at [position, end) need not be read; `data` may not hold all of it yet."""
        copy = self.outgoing
        if copy is None:
            return True
        if copy.strict:
            return False
        if end <= len(data) and data is self._clean:
            return True
        if end - position > _SEEN_UP_TO:
            return True
        if end > len(data):
            return False
        if not copy.suspicious(data):
            self._clean = data
            return True
        return not copy.suspicious(data[position:end])

    def row(self, body: bytes, tally: Tally) -> tuple[bytes, int]:
        """CopyData messages for the client, and how many rows are in them. Raises what cells raise, and UnreadableCopy."""
        if self.outgoing is None:
            raise BadMessage("copy data that was not announced")
        try:
            bodies, rows = self.outgoing.convert(body, tally)
        except CopyError as error:
            raise alone(UnreadableCopy(error.message)) from None
        return _messages(bodies), rows

    def run(self, data: bytes, position: int, longest: int, tally: Tally) -> tuple[int, bytes, int]:
        """The same for all CopyData messages from `position` on that are whole, and not longer than `longest`.

        Returns (position behind the last of them, messages, rows).
        """
        bodies: list[bytes] = []
        size = len(data)
        while position + HEADER_SIZE <= size and data[position] == COPY_DATA:
            length = int32_at(data, position + 1)
            end = position + 1 + length
            if not 4 <= length <= longest or end > size:
                break
            bodies.append(data[position + HEADER_SIZE : end])
            position = end
        return position, *self.row(b"".join(bodies), tally)

    def rest(self, tally: Tally) -> tuple[bytes, int]:
        """CopyDone: the same for what was left."""
        copy, self.outgoing = self.outgoing, None
        if copy is None:
            return b"", 0
        try:
            bodies, rows = copy.finish(tally)
        except CopyError as error:
            raise alone(UnreadableCopy(error.message)) from None
        return _messages(bodies), rows


def _messages(bodies: list[bytes]) -> bytes:
    """One for each of them: clients may take every CopyData for a row."""
    parts: list[bytes] = []
    for body in bodies:
        if body:
            parts.append(b"d" + (len(body) + 4).to_bytes(4, "big"))
            parts.append(body)
    return b"".join(parts)
