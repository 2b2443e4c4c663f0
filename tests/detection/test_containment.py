"""Who is contained, in a file: by several processes, over damage, until its time is over."""

from __future__ import annotations

import errno
import json
import multiprocessing
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from proxy.audit.log import AuditLog
from proxy.detection import force as force_module
from proxy.detection.budget import Budgets
from proxy.detection.containment import ContainmentFile
from proxy.detection.force import Force
from proxy.detection.restraint import Contained, Containment, merged, stricter
from proxy.detection.settings import CONTAINING
from proxy.detection.state_file import StateUnreadable
from tests.detection.guarded import Clock, detection

ADA = Containment("ada", None, "mask", 1_000, 61_000, "why", "f" * 32)


def test_what_is_written_is_read(tmp_path: Path) -> None:
    """Any login, whatever is in its name; a session and its login are two."""
    file = ContainmentFile(tmp_path)
    assert file.read() == Contained()
    whole = [
        replace(ADA, login=login, session=session)
        for login in ("ada", 'a"\n\x00}', "é\u202e", "\udcff")
        for session in (None,)
    ] + [replace(ADA, session="run-1")]
    for one in whole:
        assert file.contain(one) == one
    assert set(file.read().entries.values()) == set(whole)
    assert file.path.stat().st_mode & 0o777 == 0o600
    assert file.read().restraint("ada", "run-1") == "mask"
    assert file.read().restraint("bob", "run-1") == "mask"
    assert file.read().restraint("bob", "run-2") is None


@pytest.mark.parametrize("one", CONTAINING)
@pytest.mark.parametrize("other", CONTAINING)
def test_of_two_the_stricter_and_the_longer_hold(one: Any, other: Any, tmp_path: Path) -> None:
    """In whatever order they come."""
    first, second = replace(ADA, mode=one, until=5_000), replace(ADA, mode=other, until=9_000)
    for pair in ((first, second), (second, first)):
        both = merged(*pair)
        assert both.mode == stricter(one, other) == max(one, other, key=CONTAINING.index)
        assert both.until == 9_000
        assert Contained.of(pair).entries[both.who] == both
    file = ContainmentFile(tmp_path)
    file.contain(second)
    stronger = CONTAINING.index(one) > CONTAINING.index(other)
    assert (file.contain(first) is not None) is stronger  # what says nothing new is not told again


@pytest.mark.parametrize(
    "damage",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"\xff",
        b"[" * 100_000,
        b'{"version":2,"containments":[]}',
        b'{"version":1}',
        b'{"version":1,"containments":[{}]}',
        b'{"version":1,"containments":[{"login":"a","session":null,"mode":"observe","begun":1,"until":2,"reason":"","finding":""}]}',
        b'{"version":1,"containments":[{"login":7,"session":null,"mode":"kill","begun":1,"until":2,"reason":"","finding":""}]}',
        b'{"version":1,"containments":[{"login":"a","session":null,"mode":"kill","begun":1,"until":"x","reason":"","finding":""}]}',
    ],
)
def test_damage_is_said_and_never_taken_for_nobody(damage: bytes, tmp_path: Path) -> None:
    """Neither read, nor written over by somebody who does not know what was in it."""
    file = ContainmentFile(tmp_path)
    file.path.write_bytes(damage)
    for attempt in (file.read, lambda: file.contain(ADA), lambda: file.end(lambda _: True)):
        with pytest.raises(StateUnreadable):
            attempt()
    assert file.path.read_bytes() == damage
    bob = replace(ADA, login="bob")
    assert file.contain(ADA, Contained.of([bob])) == ADA
    assert set(file.read().entries.values()) == {ADA, bob}
    file.path.write_bytes(damage)
    file.clear()
    assert file.read() == Contained()


def add(state: Path, process: int) -> None:
    file = ContainmentFile(state)
    for number in range(20):
        file.contain(replace(ADA, login=f"{process}-{number}"))


def test_processes_lose_nothing_of_each_other(tmp_path: Path) -> None:
    """Four that write at the same time: all of it is there, and each ended entry goes to one caller."""
    context = multiprocessing.get_context("fork")
    processes = [context.Process(target=add, args=(tmp_path, n)) for n in range(4)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    file = ContainmentFile(tmp_path)
    assert len(file.read().entries) == 80
    assert len(file.end(lambda one: one.login.startswith("1-"))) == 20
    assert file.end(lambda one: one.login.startswith("1-")) == []
    assert len(file.read().entries) == 60


@pytest.fixture
def time(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The clock that does not step; the time of day is `wall`."""
    clock = Clock()
    monkeypatch.setattr(force_module, "monotonic", clock)
    return clock


def forces(tmp_path: Path, count: int) -> tuple[list[Force], AuditLog]:
    log = AuditLog(tmp_path / "audit.jsonl")
    made = []
    for _ in range(count):
        settings = detection("kill", cells=1)
        force = Force(log.state_path, settings, Budgets(1, settings, Clock()), log)
        force.begin()
        made.append(force)
    return made, log


def look(force: Force) -> None:
    force._put_in_force(force._look())


@pytest.mark.parametrize("step", [0, -3_600_000, 3_600_000])
def test_it_ends_when_its_time_is_over(
    step: int, time: Clock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the clock that does not step, whatever the time of day does; in all processes, and one of them says so."""
    now = [1_795_364_000_000]
    monkeypatch.setattr(force_module, "wall", lambda: now[0])
    (one, other), log = forces(tmp_path, 2)
    containment = replace(ADA, begun=now[0], until=now[0] + 60_000)
    ContainmentFile(log.state_path).contain(containment)
    for force in (one, other):
        look(force)
        assert force.guards.restraint("ada", "s") == "mask"
    now[0] += step
    time.now += 59
    for force in (one, other):
        look(force)
        assert force.guards.restraint("ada", "s") == "mask"
    time.now += 2
    for force in (one, other):
        look(force)
        look(force)
        assert force.guards.restraint("ada", "s") is None
    log.close()
    ended = [e for e in events(tmp_path) if e["metadata"]["event_code"] == "containment.ended"]
    assert [e["unmapped"]["sealgate"]["ended"] for e in ended] == ["expired"]


def events(tmp_path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (tmp_path / "audit.jsonl").read_bytes().splitlines()]


def test_what_is_decided_here_is_not_lost_to_what_is_read(time: Clock, tmp_path: Path) -> None:
    """A containment that is not yet in the file stays in force when somebody else changes the file."""
    (force,), log = forces(tmp_path, 1)
    told: list[None] = []
    force.changed = lambda: told.append(None)
    force.guards.contain(ADA)
    force._unsaved.append(ADA)
    ContainmentFile(log.state_path).contain(replace(ADA, login="bob"))
    look(force)
    assert force.guards.restraint("ada", "s") == "mask"
    assert force.guards.restraint("bob", "s") == "mask"
    assert told
    log.close()


@pytest.mark.parametrize("damage", [lambda p: p.write_bytes(b"{"), lambda p: p.unlink()])
def test_damage_while_it_runs_frees_nobody(
    damage: Callable[[Path], None], time: Clock, tmp_path: Path
) -> None:
    """The last known picture holds, and a file that has gone comes back."""
    (force,), log = forces(tmp_path, 1)
    file = ContainmentFile(log.state_path)
    file.contain(replace(ADA, until=force_module.wall() + 60_000, begun=force_module.wall()))
    look(force)
    damage(file.path)
    for _ in range(3):
        look(force)
        assert force.guards.restraint("ada", "s") == "mask"
    assert file.path.exists()
    time.now += (
        3600  # Its time is over: a file that is damaged cannot say so, and must not end the watch.
    )
    look(force)
    expected = "mask" if file.path.read_bytes() == b"{" else None
    assert force.guards.restraint("ada", "s") == expected
    log.close()


def test_an_exempt_login_is_free_whatever_the_file_says(tmp_path: Path) -> None:
    """It has to get in."""
    log = AuditLog(tmp_path / "audit.jsonl")
    settings = detection("kill", exempt=("ada",))
    ContainmentFile(log.state_path).contain(replace(ADA, mode="kill"))
    force = Force(log.state_path, settings, Budgets(1, settings, Clock()), log)
    force.begin()
    assert force.guards.restraint("ada", "s") is None
    assert force.guards.contained.restraint("ada", "s") == "kill"
    log.close()


def test_a_file_that_cannot_be_read_for_a_moment_is_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Too many open files, at the very moment at which another worker contains somebody: it is heeded a look later."""
    (force,), log = forces(tmp_path, 1)
    file = ContainmentFile(log.state_path)
    file.contain(replace(ADA, until=force_module.wall() + 60_000, begun=force_module.wall()))

    def out_of_files(*_: object, **__: object) -> None:
        raise OSError(errno.EMFILE, "Too many open files")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "open", out_of_files)
        look(force)
    look(force)
    assert force.guards.restraint("ada", "s") == "mask"
    log.close()


def test_what_cannot_be_ended_hides_no_other(
    time: Clock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A containment whose end cannot be written stays; whom another process contains meanwhile is contained here as well."""
    (force,), log = forces(tmp_path, 1)
    file = ContainmentFile(log.state_path)
    now = force_module.wall()
    file.contain(replace(ADA, begun=now, until=now + 60_000))
    look(force)
    file.contain(replace(ADA, login="bob", begun=now, until=now + 600_000))
    time.now += 61

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(ContainmentFile, "write", full)
        look(force)
        assert force.guards.restraint("ada", "s") == "mask"
        assert force.guards.restraint("bob", "s") == "mask"
    look(force)
    assert force.guards.restraint("ada", "s") is None
    assert force.guards.restraint("bob", "s") == "mask"
    log.close()
