"""What detection over the log finds is put in force, also where that cannot be written at once."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from proxy.audit.log import AuditLog
from proxy.audit.ocsf import Event
from proxy.auditor.census import Census
from proxy.auditor.cursor import Cursor
from proxy.auditor.follow import End, Follower
from proxy.auditor.observation import Observation
from proxy.auditor.pulse import Pulse
from proxy.detection.containment import ContainmentFile
from proxy.detection.finding import Finding
from proxy.detection.restraint import Containment
from tests.detection.guarded import detection

FOUND = Finding(
    detector="volume",
    title="More than usual",
    login="ada",
    session=None,
    client=None,
    mode="kill",
    action="killed",
    severity="high",
    numbers={},
    first=1,
    last=2,
    table=None,
    uid="f" * 32,
)


class Watching(Observation):
    """Of a log in `directory`; `told`: what it writes."""

    def __init__(self, directory: Path) -> None:
        self.audit = AuditLog(directory / "audit.jsonl")
        self.told: list[Event] = []

        def end() -> End:
            return End(*self.audit.committed, self.audit.chain, self.audit.status.sequence)

        def follower(cursor: Cursor | None, history: bool) -> Follower:
            return Follower(directory / "audit.jsonl", end, cursor, history=history)

        pulse, census = Pulse(end), Census({})
        state = self.audit.state_path
        super().__init__(detection(), state, follower, pulse, census, self.told.append, 10)

    @property
    def begun(self) -> list[str]:
        codes = [(e["metadata"]["event_code"], e["user"]["name"]) for e in self.told if "user" in e]
        return [name for code, name in codes if code == "containment.begun"]


@pytest.fixture
def watching(tmp_path: Path) -> Any:
    made = Watching(tmp_path)
    yield made
    made._follower.close()
    made.audit.close()


def full(*_: object) -> None:
    raise OSError(28, "No space left on device")


def test_a_disk_that_is_full_for_a_moment_lets_nobody_go(
    watching: Watching, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The finding is told once; the containment is in force, and on record, as soon as it can be written."""
    with monkeypatch.context() as patch:
        patch.setattr(ContainmentFile, "write", full)
        watching._act(FOUND)
        watching._act(replace(FOUND, login="bob"))
        watching._step()
        assert not watching.begun
    watching._step()
    file = ContainmentFile(watching.audit.state_path).read()
    assert {login for login, _ in file.entries} == {"ada", "bob"}
    assert watching.begun == ["ada", "bob"]
    watching._step()
    assert watching.begun == ["ada", "bob"]


@pytest.mark.parametrize("damaged", [True, False])
def test_a_file_that_was_damaged_or_taken_away_hinders_nothing(
    watching: Watching, damaged: bool
) -> None:
    """Whom others had contained stays so when the auditor contains somebody, and whom they released is free."""
    file = ContainmentFile(watching.audit.state_path)
    for login in ("bob", "eve"):
        file.contain(Containment(login, None, "mask", 1, 1 << 50, "by a worker", "e" * 32))
    watching._step()
    assert file.end(lambda one: one.login == "eve")
    watching._step()
    if damaged:
        file.path.write_bytes(b"{")
    else:
        file.path.unlink()
    watching._act(FOUND)
    assert {login for login, _ in file.read().entries} == {"ada", "bob"}
    assert watching.begun == ["ada"]
