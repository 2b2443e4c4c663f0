"""What a detector says of one event; `watch` makes findings of it."""

from __future__ import annotations

from typing import NamedTuple

from proxy.detection.finding import Severity


class Signal(NamedTuple):
    """`key` names what is the same thing once more; `since` is where it began (epoch ms), 0: with this event.

    `guesses`: somebody tried to be the login, and is not. The login is never contained for it, or whoever knows its name could
    shut it out; and `anybody`: it is about no single login.
    """

    detector: str
    title: str
    severity: Severity
    numbers: dict[str, int]
    key: str = ""
    since: int = 0
    guesses: bool = False
    anybody: bool = False
