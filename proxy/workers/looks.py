"""DDL went through one worker: the others look at the catalog too. [io]

Where the session waits for the new picture (docs/adr/0012), it waits for all workers', since a client that has heard of the
DDL may send its next statement to any of them. A worker that has ended is waited for no more: its sessions are gone,
and the one in its place begins with a picture of its own.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

from proxy.workers.seat import Seat


@dataclass(slots=True)
class _Look:
    """Asked for by `seat`, which calls it `number`."""

    seat: Seat
    number: int
    waiting: set[int]
    taken: bool = True


class Looks:
    """Those that are under way."""

    def __init__(self, seats: Sequence[Seat]) -> None:
        self._seats = seats
        self._numbers = itertools.count(1)
        self._open: dict[int, _Look] = {}

    def begin(self, asking: Seat, number: int) -> None:
        """All but this worker; 0: it does not wait for them."""
        others = [seat for seat in self._seats if seat.channel is not None and seat is not asking]
        key = next(self._numbers) if number else 0
        for seat in others:
            seat.tell({"ask": "look", "number": key})
        if number:
            self._open[key] = _Look(asking, number, {seat.number for seat in others})
            self._end_if_answered(key)

    def answer(self, seat: Seat, key: int, *, taken: bool) -> None:
        look = self._open.get(key)
        if look is not None:
            look.waiting.discard(seat.number)
            look.taken = look.taken and taken
            self._end_if_answered(key)

    def gone(self, seat: Seat) -> None:
        """It will neither answer nor hear an answer."""
        for key, look in list(self._open.items()):
            look.waiting.discard(seat.number)
            if look.seat is seat:
                del self._open[key]
            else:
                self._end_if_answered(key)

    def _end_if_answered(self, key: int) -> None:
        look = self._open[key]
        if not look.waiting:
            del self._open[key]
            look.seat.tell({"ask": "looked", "number": look.number, "taken": look.taken})
