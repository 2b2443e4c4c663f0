"""What supervisor and workers are made of, without processes: the channel, the crowd, a look, a reload."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from keystore import Keyset
from proxy.audit.log import AuditLog
from proxy.auditor.child import AuditorProcess
from proxy.config import parse
from proxy.upkeep import Loaded, NotReloaded
from proxy.workers import reload as reloading
from proxy.workers.channel import Channel, Message
from proxy.workers.crowd import Crowd
from proxy.workers.looks import Looks
from proxy.workers.reload import Reload
from proxy.workers.seat import Seat
from proxy.workers.supervisor import Supervisor

BIG = {"text": "x" * 1_000_000}


@pytest.fixture
def channels() -> Iterator[tuple[Channel, Channel]]:
    one, other = (Channel(sock) for sock in socket.socketpair())
    yield one, other
    one.close()
    other.close()


def test_messages_arrive_whole_and_in_order(channels: tuple[Channel, Channel]) -> None:
    """Also one that is longer than what the socket takes at once: the rest is sent with flush."""
    one, other = channels
    one.send({"n": 1})
    one.send(BIG)
    one.send({"n": 2})
    assert one.waits
    got: list[Message] = []
    while len(got) < 3:
        got += other.receive() or []
        one.flush()
    assert got == [{"n": 1}, BIG, {"n": 2}]
    assert not one.waits
    assert other.receive() == []


def test_a_channel_ends_after_its_last_message(channels: tuple[Channel, Channel]) -> None:
    """What was said before the end is heard; to one that has ended nothing can be said, and nothing is kept."""
    one, other = channels
    one.send({"n": 1})
    one.close()
    assert other.receive() == [{"n": 1}]
    assert other.receive() is None
    other.send(BIG)
    assert not other.waits


def test_the_crowd_counts_for_all() -> None:
    """Who was handed over and has not left; a worker that is no more has none."""
    crowd = Crowd(3)
    for worker, count in ((0, 3), (1, 2), (2, 1)):
        crowd.handed(worker, count)
    crowd.left(0)
    crowd.handed(1, -1)
    assert [crowd.of(worker) for worker in range(3)] == [2, 1, 1]
    assert crowd.total == 4
    crowd.ended(0)
    assert crowd.total == 2


@pytest.fixture
def heard() -> Iterator[tuple[list[Seat], list[Channel]]]:
    """Three seats, and the workers' ends of their channels."""
    pairs = [socket.socketpair() for _ in range(3)]
    seats = [Seat(number, channel=Channel(own)) for number, (own, _) in enumerate(pairs)]
    theirs = [Channel(other) for _, other in pairs]
    yield seats, theirs
    for sock in (sock for pair in pairs for sock in pair):
        sock.close()


def hears(worker: Channel) -> Message:
    """The one message that is there."""
    messages = worker.receive()
    assert messages is not None
    assert len(messages) == 1
    return messages[0]


def test_a_look_is_over_when_all_others_have_looked(
    heard: tuple[list[Seat], list[Channel]],
) -> None:
    """The asking worker hears of it by the number it gave, once; and whether all could."""
    seats, workers = heard
    looks = Looks(seats)
    for taken in (True, False):
        looks.begin(seats[1], 7)
        first, second = hears(workers[0]), hears(workers[2])
        assert first == second
        looks.answer(seats[0], first["number"], taken=taken)
        assert workers[1].receive() == []
        looks.answer(seats[2], first["number"], taken=True)
        assert workers[1].receive() == [{"ask": "looked", "number": 7, "taken": taken}]
        looks.answer(seats[2], first["number"], taken=True)  # nobody asks any more
        assert workers[1].receive() == []


def test_a_look_does_not_wait_for_who_is_gone(heard: tuple[list[Seat], list[Channel]]) -> None:
    """Neither where it was there at first nor where it was not; and nobody waits where the asking one is gone."""
    seats, workers = heard
    looks = Looks(seats)
    looks.begin(seats[0], 1)
    looks.answer(seats[1], hears(workers[1])["number"], taken=True)
    seats[2].channel = None
    looks.gone(seats[2])
    assert workers[0].receive() == [{"ask": "looked", "number": 1, "taken": True}]
    looks.begin(seats[0], 2)
    seats[0].channel = None
    looks.gone(seats[0])
    looks.answer(seats[1], 2, taken=True)
    looks.begin(seats[1], 3)  # alone
    assert (workers[1].receive() or [])[-1] == {"ask": "looked", "number": 3, "taken": True}


def test_a_look_that_nobody_waits_for(heard: tuple[list[Seat], list[Channel]]) -> None:
    """The others are told, and say nothing."""
    seats, workers = heard
    Looks(seats).begin(seats[0], 0)
    told = [worker.receive() for worker in workers]
    assert told == [[], [{"ask": "look", "number": 0}], [{"ask": "look", "number": 0}]]


TEXT = '[control]\ndsn = "postgresql://sealgate@127.0.0.1:5432/shop"\n'


class Hup:
    """A reload of two workers, of a file that has changed, with an access log."""

    def __init__(self, directory: Path, seats: list[Seat], workers: list[Channel]) -> None:
        self.path = directory / "audit.jsonl"
        self.seats, self.workers = seats[:2], workers
        configuration = parse(TEXT, directory / "sealgate.toml")
        self.before = Loaded(configuration, Keyset({}), "aaaa", TEXT)
        self.after = replace(self.before, fingerprint="bbbb")
        for seat in seats:
            seat.loaded = self.before
        self.audit = AuditLog(self.path)
        self.reload = Reload(self.before, self.audit, self.seats)

    def begin(self) -> int:
        self.reload.begin()
        asked = [self.hears(number) for number in (0, 1)]
        assert asked[0] == asked[1]
        assert [message["ask"] for message in asked[0]] == ["prepare"]
        return int(asked[0][0]["number"])

    def hears(self, worker: int) -> list[Message]:
        return self.workers[worker].receive() or []

    def says(self, worker: int, what: str, number: int, **more: Any) -> None:
        self.reload.hear(self.seats[worker], {"say": what, "number": number, **more})

    @property
    def told(self) -> list[str]:
        lines = self.path.read_text().splitlines()
        kinds = [json.loads(line)["metadata"]["event_code"] for line in lines]
        return [kind for kind in kinds if not kind.startswith("log.")]


@pytest.fixture
def hup(
    tmp_path: Path, heard: tuple[list[Seat], list[Channel]], monkeypatch: pytest.MonkeyPatch
) -> Hup:
    made = Hup(tmp_path, *heard)
    monkeypatch.setattr(reloading, "read_again", lambda before: made.after)
    return made


def test_a_reload_switches_when_all_have_prepared(hup: Hup) -> None:
    """Not before; and it is told when all have switched."""
    number = hup.begin()
    hup.says(0, "prepared", number)
    assert hup.hears(0) == []
    hup.says(1, "prepared", number)
    for worker in (0, 1):
        assert hup.hears(worker) == [{"ask": "switch", "number": number}]
    hup.says(0, "switched", number)
    assert hup.told == []
    hup.says(1, "switched", number)
    assert hup.told == ["configuration.loaded"]
    assert hup.reload.over
    assert hup.reload.in_force is hup.after
    assert all(seat.loaded is hup.after for seat in hup.seats)


@pytest.mark.parametrize("how", ["unable", "gone", "late", "stopping"])
@pytest.mark.parametrize("first_has_prepared", [True, False])
def test_one_that_cannot_keeps_all_from_it(hup: Hup, how: str, first_has_prepared: bool) -> None:
    """Unable, ended, late, or the service stops: all are told to forget, and an event says why."""
    number = hup.begin()
    if first_has_prepared:
        hup.says(0, "prepared", number)
    match how:
        case "unable":
            hup.says(1, "unable", number, problem="no keys")
        case "gone":
            hup.reload.gone(hup.seats[1])
        case "late":
            hup.reload.late()
        case "stopping":
            hup.reload.abandon("the service is stopping")
    for worker in (0, 1):
        assert hup.hears(worker) == [{"ask": "forget", "number": number}]
    assert hup.reload.over
    assert hup.reload.in_force is hup.before
    assert all(seat.loaded is hup.before for seat in hup.seats)
    assert hup.told == ["configuration.refused"]
    hup.says(0, "prepared", number)  # these were on their way
    hup.says(0, "unable", number, problem="no keys")
    hup.reload.gone(hup.seats[0])
    hup.reload.late()
    assert hup.told == ["configuration.refused"]
    assert hup.hears(0) == []


def test_a_reload_that_is_over_at_once_holds_up_nothing(
    hup: Hup, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two signals at a time and a file that cannot be used: both are told of, and no reload is under way any more."""

    def refuse(before: Loaded) -> Loaded:
        raise NotReloaded("not this one")

    monkeypatch.setattr(reloading, "read_again", refuse)
    auditor = AuditorProcess(hup.before, hup.audit, "json")
    supervisor = Supervisor(hup.before, hup.audit, [], auditor)
    vars(supervisor)["_serving"] = True
    for step in ("_ask_for_reload", "_ask_for_reload", "_what_is_due"):
        getattr(supervisor, step)()
    assert hup.told == ["configuration.refused"] * 2
    assert vars(supervisor)["_reload"] is None


def test_answers_to_an_earlier_reload_do_not_count(hup: Hup) -> None:
    """One that was given up may still be answered."""
    number = hup.begin()
    hup.says(0, "prepared", number - 1)
    hup.says(1, "prepared", number)
    assert hup.hears(1) == []
    hup.says(0, "unable", number - 1, problem="old")
    assert not hup.reload.over


def test_a_worker_that_ends_while_switching_changes_nothing(hup: Hup) -> None:
    """There is no way back: the others have switched."""
    number = hup.begin()
    for worker in (0, 1):
        hup.says(worker, "prepared", number)
    hup.says(0, "switched", number)
    hup.seats[1].channel = None
    hup.reload.gone(hup.seats[1])
    assert hup.reload.over
    assert hup.reload.in_force is hup.after
    assert hup.told == ["configuration.loaded"]


def test_a_worker_that_does_not_switch_is_known_by_what_it_decides_by(hup: Hup) -> None:
    """The supervisor ends it for that."""
    number = hup.begin()
    for worker in (0, 1):
        hup.says(worker, "prepared", number)
    hup.says(0, "switched", number)
    hup.reload.late()
    assert hup.reload.over
    assert [seat.loaded is hup.reload.in_force for seat in hup.seats] == [True, False]


def test_a_log_that_cannot_be_reopened_keeps_all_from_it(hup: Hup) -> None:
    """Before anybody switches."""
    number = hup.begin()
    moved = hup.path.with_suffix(".1")
    hup.path.rename(moved)
    hup.path.mkdir()
    for worker in (0, 1):
        hup.says(worker, "prepared", number)
    for worker in (0, 1):
        assert hup.hears(worker) == [{"ask": "forget", "number": number}]
    assert hup.reload.in_force is hup.before
    assert "configuration.refused" in moved.read_text()
