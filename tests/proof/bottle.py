"""A session's core between a client's bytes and the toy server: everything it asks for happens at once.

`Bottle.client` hands bytes to the session and lets server and session talk until nothing more happens. The list of
effects is the whole story; `check` says what must hold of any story, whatever was sent.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

import orjson

from proxy.effects import (
    Close,
    ConnectServer,
    Effect,
    Fault,
    LookUpRoles,
    Record,
    RefreshCatalog,
    ToClient,
    ToServer,
)
from proxy.snapshot import SnapshotSource
from tests.proof.toy_server import CANARY, ToyServer
from tests.session.transcript import session, snapshot, startup

SOURCE = SnapshotSource(snapshot())
Cut = Callable[[bytes], list[bytes]]


def whole(data: bytes) -> list[bytes]:
    return [data]


def cutter(rng: random.Random, most: int) -> Cut:
    """Pieces of 1 to `most` bytes."""

    def cut(data: bytes) -> list[bytes]:
        pieces = []
        position = 0
        while position < len(data):
            size = rng.randint(1, most)
            pieces.append(data[position : position + size])
            position += size
        return pieces

    return cut


Happening = Callable[[], list[Effect]]


@dataclass
class Bottle:
    """One session past its login. `cut` splits both directions, `tamper` changes what the server says, `late` keeps some of
    what happens waiting while the client sends on.
    """

    login: str = "shop_app"
    cut: Cut = whole
    tamper: Callable[[bytes], bytes] | None = None
    late: random.Random | None = None
    server: ToyServer = field(default_factory=ToyServer)
    effects: list[Effect] = field(default_factory=list)
    _waiting: deque[Happening] = field(default_factory=deque)

    def __post_init__(self) -> None:
        self.session = session(SOURCE)
        packet = startup(user=self.login, database="shop")
        self._perform(self.session.client_data(packet))
        self.settle()

    @property
    def over(self) -> bool:
        return any(isinstance(effect, Close) for effect in self.effects[-1:])

    def client(self, data: bytes) -> None:
        for piece in self.cut(data):
            self._perform(self.session.client_data(piece))
            if self.late is None:
                self.settle()
            else:
                self.settle(self.late.choice((0, 0, 1, 2, 9)))

    def settle(self, most: int = 1 << 30) -> None:
        """What waits happens, in its order, and what it causes behind it."""
        while self._waiting and most:
            self._perform(self._waiting.popleft()())
            most -= 1

    def leave(self) -> None:
        """The client closes its connection."""
        self._perform(self.session.client_gone())
        self.settle()

    def _perform(self, effects: list[Effect]) -> None:
        """All of them in their order; what they cause has to wait, as it has in the shell."""
        self.effects += effects
        for effect in effects:
            match effect:
                case ToServer(data):
                    self._waiting += self._answers(self.server.feed(data))
                case ConnectServer():
                    self._waiting.append(self.session.server_connected)
                case LookUpRoles(login):
                    roles = frozenset({login})
                    self._waiting.append(partial(self.session.roles_known, roles))
                case RefreshCatalog(awaited=True):
                    self._waiting.append(self.session.catalog_refreshed)
                case _:
                    pass

    def _answers(self, answer: bytes) -> list[Happening]:
        if self.tamper is not None and answer:
            answer = self.tamper(answer)
        pieces = self.cut(answer) if answer else []
        found: list[Happening] = [partial(self.session.server_data, piece) for piece in pieces]
        if self.server.over:
            found.append(self.session.server_gone)
        return found

    # What was said.

    @property
    def heard(self) -> bytes:
        return b"".join(e.data for e in self.effects if isinstance(e, ToClient))

    @property
    def sent(self) -> bytes:
        return b"".join(e.data for e in self.effects if isinstance(e, ToServer))

    @property
    def story(self) -> tuple[bytes, list[object]]:
        """What the client heard, and what was recorded. Values are sealed anew each time: of those the ids are counted."""
        events = [e.event for e in self.effects if isinstance(e, Record)]
        for event in events:
            for column in event["unmapped"]["sealgate"].get("columns", ()):
                if column.get("outcome") == "written" and "cell_ids" in column:
                    column["cell_ids"] = len(column["cell_ids"])
        return self.heard, list(events)

    @property
    def heard_before_events(self) -> list[int]:
        """Bytes that the client had when each event was written."""
        found, size = [], 0
        for effect in self.effects:
            if isinstance(effect, ToClient):
                size += len(effect.data)
            elif isinstance(effect, Record):
                found.append(size)
        return found

    @property
    def events(self) -> bytes:
        return b"".join(orjson.dumps(e.event) for e in self.effects if isinstance(e, Record))


def check(bottle: Bottle, *, sealed_text: bool = True) -> None:
    """What holds of every session. `sealed_text`: the messages' contents are the corpus's own, so whatever the canary stands in is sealed
    or compared, and must not reach the server.
    """
    faults = [effect.error for effect in bottle.effects if isinstance(effect, Fault)]
    assert not faults, f"a fault of ours: {faults[0]!r}"
    closes = [i for i, effect in enumerate(bottle.effects) if isinstance(effect, Close)]
    assert closes in ([], [len(bottle.effects) - 1]), "nothing happens behind Close"
    canary = CANARY.encode()
    assert canary not in bottle.events, "plaintext in an event"
    if sealed_text:
        assert canary not in bottle.sent, "plaintext sent to the server"
    if bottle.login == "analyst":
        assert canary not in bottle.heard, "a role without grant read a value"
    recorded = False
    for effect in bottle.effects:
        recorded |= isinstance(effect, Record) and effect.event["class_uid"] == 6005
        if isinstance(effect, ToClient) and canary in effect.data:
            assert recorded, "released before it was recorded"
