"""What is counted is the proxy's work: each statement, run without valgrind, does what its name says."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from bench.instructions import ROUNDS, SESSIONS, WARM, Stage, Statement, counted, statements
from proxy.wire.messages import COMMAND_COMPLETE, DATA_ROW
from tests.session.transcript import row, seal, split

PLAIN_SELECT = "SELECT, nothing sealed, prepared"
SIMPLE_SELECT = "SELECT, nothing sealed, simple protocol"
SEALED_SELECT = "SELECT of one sealed column, prepared"
SEALED_INSERT = "INSERT of one sealed, searchable value, prepared"


def staged(statement: Statement, log: Path, rounds: int) -> Stage:
    """After so many rounds."""

    async def run() -> Stage:
        stage = Stage(statement, log)
        await stage.run(rounds)
        return stage

    return asyncio.run(run())


def rows(stage: Stage) -> list[list[bytes]]:
    """Of each client, the DataRows it was sent last."""
    return [
        [body for kind, body in split(near.written) if ord(kind) == DATA_ROW] for near in stage.near
    ]


def events(log: Path) -> list[dict[str, Any]]:
    """One of each statement that touched sealed columns."""
    found = [json.loads(line) for line in log.read_text().splitlines()]
    return [event for event in found if event["metadata"]["event_code"].startswith("statement.")]


def test_all_are_looked_at() -> None:
    """The names below are all there is."""
    assert list(statements()) == [PLAIN_SELECT, SIMPLE_SELECT, SEALED_SELECT, SEALED_INSERT]


@pytest.mark.parametrize("name", [PLAIN_SELECT, SIMPLE_SELECT])
def test_nothing_sealed(name: str, tmp_path: Path) -> None:
    """Both sides are sent what the other said, byte for byte, and nothing is recorded."""
    statement = statements()[name]
    stage = staged(statement, tmp_path / "log", 3)
    assert [far.written for far in stage.far] == [statement.asked] * SESSIONS
    assert [near.written for near in stage.near] == [statement.answered] * SESSIONS
    assert rows(stage) == [[row("x")[5:]]] * SESSIONS
    assert events(tmp_path / "log") == []


def test_a_sealed_column_is_read(tmp_path: Path) -> None:
    """The server answers with a sealed value, the client is shown what it holds, and each execution is one event."""
    statement = statements()[SEALED_SELECT]
    assert b"ada" not in statement.answered
    stage = staged(statement, tmp_path / "log", 3)
    assert rows(stage) == [[row("ada")[5:]]] * SESSIONS
    recorded = events(tmp_path / "log")
    assert [event["metadata"]["event_code"] for event in recorded] == ["statement.read"] * (
        3 * SESSIONS
    )


def test_a_sealed_value_is_written(tmp_path: Path) -> None:
    """The client sends a value, the server gets it sealed, and each execution is one event."""
    statement = statements()[SEALED_INSERT]
    assert b"ada" in statement.asked
    stage = staged(statement, tmp_path / "log", 3)
    sealed_alike = len(seal("ada"))
    for far in stage.far:
        assert b"ada" not in far.written
        assert far.written.startswith(b"B")
        assert b"\x5e\xa1" in far.written or b"5ea1" in far.written
        assert len(far.written) >= len(statement.asked) - len("ada") + sealed_alike
    tags = [
        body
        for near in stage.near
        for kind, body in split(near.written)
        if ord(kind) == COMMAND_COMPLETE
    ]
    assert tags == [b"INSERT 0 1\0"] * SESSIONS
    recorded = events(tmp_path / "log")
    assert [event["metadata"]["event_code"] for event in recorded] == ["statement.write"] * (
        3 * SESSIONS
    )


def test_what_is_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between "on" and "off" every session executes its statement so often, once it has done so before."""
    monkeypatch.setattr("bench.instructions.settle", lambda: None)  # it is for the whole process
    seen: list[tuple[str, int]] = []

    def switch(state: str) -> None:
        seen.append((state, len(events(tmp_path / "log"))))

    asyncio.run(counted(statements()[SEALED_SELECT], tmp_path / "log", switch))
    before = WARM * SESSIONS
    assert seen == [("on", before), ("off", before + ROUNDS * SESSIONS)]


def test_a_failed_session_is_no_result(tmp_path: Path) -> None:
    """A session that does not answer its client is an error, not a statement that costs nothing."""
    statement = statements()[SEALED_SELECT]
    broken = Statement(statement.sql, statement.asked, statement.answered[:-6])
    with pytest.raises(RuntimeError, match="the sessions failed"):
        staged(broken, tmp_path / "log", 1)
