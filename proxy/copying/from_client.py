"""CopyData, CopyDone and CopyFail from the client: for which copy they are, and what the server gets of them.

A client may send them right behind the statement (pipelining). Whether and how the server takes them is not known
before it has said CopyInResponse, so in front of a copy into sealed columns they wait (`proxy.holding`).

Data that no copy takes is dropped: after an error, the client may still be sending rows that hold values for sealed
columns. The server would read over them.
"""

from __future__ import annotations

from enum import Enum, auto
from typing import TYPE_CHECKING, Final

from proxy.copying.copy_in import CopyIn
from proxy.holding import Held
from proxy.inflight import Kind, Owed
from proxy.wire.messages import COPY_DONE, message

if TYPE_CHECKING:
    from proxy.state import State


class Sink(Enum):
    """What becomes of copy data that is not sealed."""

    RELAYED = auto()
    DROPPED = auto()


CopyTarget = CopyIn | Sink
COPY_DONE_MESSAGE: Final = message(COPY_DONE, b"")


def target(state: State) -> CopyTarget:
    """Where copy data goes now. Raises Held."""
    if state.copy_in is not None:
        return state.copy_in
    inflight = state.inflight
    if inflight.awaits_copy:
        raise Held(lambda: state.copy_in is not None or not inflight.awaits_copy)
    return Sink.RELAYED if inflight.may_relay_copy else Sink.DROPPED


def copy_data(state: State, body: bytes) -> bytes | None:
    """What to send in place of (a part of) a CopyData; None: itself. Raises Held."""
    to = target(state)
    if to is Sink.RELAYED:
        return None
    if to is Sink.DROPPED or to.over:
        return b""
    sent = to.data(body)
    if to.over:
        state.inflight.push(Owed(Kind.COPY_END))
    return sent


def copy_done(state: State) -> bytes | None:
    """The same for CopyDone."""
    to = target(state)
    state.copy_in = None
    if isinstance(to, CopyIn):
        if to.over:
            return b""  # The server has had its CopyFail, or has ended the copy itself.
        sent = to.finish()
        state.inflight.push(Owed(Kind.COPY_END))
        return sent if to.over else sent + COPY_DONE_MESSAGE
    state.inflight.push(Owed(Kind.COPY_END))
    return None


def copy_fail(state: State) -> bytes | None:
    """The same for CopyFail."""
    to = target(state)
    state.copy_in = None
    if isinstance(to, CopyIn) and to.over:
        return b""
    state.inflight.push(Owed(Kind.COPY_END))
    return None
