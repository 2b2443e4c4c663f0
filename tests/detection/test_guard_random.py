"""Random sessions of one login in two workers, however their bytes are cut: never more than the budget is shown."""

from __future__ import annotations

import os
import random
import struct
from typing import Any

import pytest

from proxy.detection.budget import Budgets
from proxy.detection.guard import Guards
from proxy.effects import Close, Delay, Effect, Record, ToClient
from proxy.wire.messages import SYNC_MESSAGE, Bind, Parse, message, write_bind, write_execute
from proxy.wire.messages import write_parse as parse
from tests.detection.guarded import Clock, Guarded, detection
from tests.session.transcript import done, error, fields, query, ready, reply, row, seal

SEED = int(os.environ.get("BUDGET_SEED") or random.randrange(1 << 32))
OUT = message(ord("H"), struct.pack("!bHHH", 0, 1, 0, 0))
SQL = "SELECT email FROM customers"


class Crowd:
    """Sessions of one login, in two workers that share the budgets."""

    def __init__(self, draw: random.Random, mode: Any, cells: int, subjects: int) -> None:
        self.draw = draw
        self.clock = Clock()
        settings = detection(mode, cells, subjects)
        self.budgets = Budgets(2, settings, self.clock)
        self.workers = [Guards(settings, self.budgets, lambda: 1_000_000) for _ in range(2)]
        self.sessions: list[tuple[int, Guarded]] = []
        self.number = 0
        self.values = [f"c{n}@example.com" for n in range(40)]
        self.sealed = {value: seal(value) for value in self.values}
        self.shown: list[str] = []
        self.recorded = 0
        self.delays = 0

    def session(self) -> tuple[int, Guarded]:
        if not self.sessions or (len(self.sessions) < 6 and self.draw.random() < 0.3):
            worker = self.draw.randrange(2)
            self.number += 1
            self.enter(worker)
            made = Guarded(guards=self.workers[worker], number=str(self.number))
            if any(isinstance(e, Close) for e in made.effects):
                return worker, made
            self.sessions.append((worker, made))
        return self.draw.choice(self.sessions)

    def enter(self, worker: int) -> None:
        """In one process the two are told apart by hand."""
        self.budgets.in_worker(worker)

    def receive(self, worker: int, session: Guarded, data: bytes) -> bool:
        """The server's bytes, cut anywhere. False: the session is over."""
        self.enter(worker)
        while data:
            size = self.draw.choice([1, 7, 60, len(data)])
            session.server(data[:size])
            data = data[size:]
            self.take(session.effects)
            if any(isinstance(effect, Close) for effect in session.effects):
                self.sessions = [(w, s) for w, s in self.sessions if s is not session]
                return False
        return True

    def take(self, effects: list[Effect]) -> None:
        for effect in effects:
            if isinstance(effect, Record):
                self.recorded += sum(
                    c["cells"]
                    for c in effect.event["unmapped"]["sealgate"].get("columns", ())
                    if c.get("outcome") == "clear"
                )
            elif isinstance(effect, ToClient):
                self.shown += [
                    v
                    for v in self.values
                    for _ in range(
                        effect.data.count(v.encode() + b"\n")
                        + effect.data.count(struct.pack("!I", len(v)) + v.encode())
                    )
                ]
                assert len(self.shown) <= self.recorded, "released before it was on record"
            elif isinstance(effect, Delay):
                self.delays += 1

    def step(self) -> None:
        draw = self.draw
        self.clock.now += draw.choice([0, 0.01, 1])
        worker, session = self.session()
        if session.session._over:
            return
        rows = [self.sealed[draw.choice(self.values)] for _ in range(draw.randint(0, 6))]
        way = draw.choice(["query", "prepared", "portal", "copy", "error"])
        if way == "portal":
            bind = write_bind(Bind(b"p", b"", (), (), ()))
            executes = [write_execute(b"p", 1) for _ in rows]
            session.client(parse(Parse(b"", SQL.encode(), ())), bind, *executes, SYNC_MESSAGE)
            said = reply("12") + (fields("email") if rows else b"")
            said += b"".join(row(value) + reply("s") for value in rows)
            self.receive(worker, session, said + ready())
        elif way == "prepared":
            bind = write_bind(Bind(b"", b"", (), (), ()))
            session.client(
                parse(Parse(b"", SQL.encode(), ())), bind, write_execute(b""), SYNC_MESSAGE
            )
            said = reply("12") + fields("email") + b"".join(map(row, rows))
            self.receive(worker, session, said + done(f"SELECT {len(rows)}") + ready())
        elif way == "copy":
            session.client(query("COPY customers (email) TO STDOUT"))
            lines = [message(ord("d"), b"\\\\x" + v.hex().encode() + b"\n") for v in rows]
            said = OUT + b"".join(lines) + message(ord("c"), b"") + done(f"COPY {len(rows)}")
            self.receive(worker, session, said + ready())
        else:
            session.client(query(SQL))
            end = error("57014") if way == "error" else done(f"SELECT {len(rows)}")
            self.receive(
                worker, session, fields("email") + b"".join(map(row, rows)) + end + ready()
            )


@pytest.mark.parametrize("mode", ["quarantine", "kill"])
@pytest.mark.parametrize("seed", range(3))
def test_what_is_shown_is_within_the_budget(seed: int, mode: Any) -> None:
    """Of cells, and of different subjects, whichever is spent first; every cell was on record before."""
    print(f"BUDGET_SEED={SEED} {seed}")
    draw = random.Random(f"{SEED} {seed}")
    cells, subjects = draw.choice([(60, 1000), (1000, 12), (37, 20), (1, 1)])
    crowd = Crowd(draw, mode, cells, subjects)
    for _ in range(80):
        crowd.step()
    assert len(crowd.shown) <= cells
    assert len(set(crowd.shown)) <= subjects
    assert crowd.shown or cells == 1
    # It was tried: without the budget much more would have been shown.
    free = Crowd(random.Random(f"{SEED} {seed}"), "observe", cells, subjects)
    for _ in range(80):
        free.step()
    assert len(free.shown) > cells or len(set(free.shown)) > subjects
    assert len(free.shown) == free.recorded
