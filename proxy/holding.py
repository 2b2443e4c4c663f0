"""Why the request side stops in front of a message.

What a message means may depend on what the server has not said yet: the catalog after DDL, a setting that was changed
in the same pipeline, whether it takes the data of a COPY. Then the message, and all behind it, wait.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from proxy.state import State


class Held(Exception):
    """Raised while a message is read, before anything was changed for it.

    `until`: it may be read again. `ask`: if the server will not tell by itself, ask it (`proxy.inquiry`).
    """

    def __init__(self, until: Callable[[], bool], *, ask: bool = False) -> None:
        super().__init__("held")
        self.until = until
        self.ask = ask


def settled(state: State, changes: int) -> None:
    """Raises Held while something under way may change what the next step depends on."""
    if state.unsettled and state.undecided(changes):
        raise _undecided(state, changes)


def _undecided(state: State, changes: int) -> Held:
    # Apart: a function that has a lambda in it makes what that refers to anew whenever it is called.
    return Held(lambda: not state.undecided(changes) or state.inflight.skipping, ask=True)
