"""`sealgate demo`: what it keeps, what it leaves, and how it fails. The whole tour runs in tests/docs."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from proxy.cli import main
from proxy.demo import steps
from proxy.demo.page import Page
from proxy.demo.shop import Shop


def test_keep_stays_up_and_prints_lines_that_work() -> None:
    """Each psql line connects, each login sees what its policy says; SIGTERM ends it, nothing is left."""
    process = subprocess.Popen(
        [sys.executable, "-m", "proxy", "demo", "--keep"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert process.stdout is not None
    printed = []
    for line in process.stdout:
        printed.append(line.strip())
        if "Ctrl-C" in line:
            break
    try:
        lines = [line for line in printed if "postgresql://" in line]
        assert len(lines) == 4, printed
        for line, expected in zip(
            lines,
            ("900-22-7001", "*******7001", "4 | Grace Okafor |  |  |", "\\x5ea10101"),
            strict=True,
        ):
            command = line + " -XAt -F ' | '"
            result = subprocess.run(
                ["bash", "-c", command], capture_output=True, text=True, check=False
            )
            assert expected in result.stdout, (result.stdout, result.stderr)
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=60)
    assert process.returncode == 0
    place = next(line for line in printed if "access log" in line).rpartition(" ")[2]
    assert not Path(place).exists()


def test_dir_keeps_configuration_keys_and_logs(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The files stay where they were asked for; a directory with something in it is not touched."""
    monkeypatch.setattr(steps, "STEPS", steps.STEPS[:4])
    with tempfile.TemporaryDirectory() as parent:
        os.chmod(parent, 0o711)  # noqa: S103 - the server runs as another user
        directory = Path(parent) / "tour"
        assert main(["demo", "--dir", str(directory)]) == 0
        for name in ("sealgate.toml", "root.key", "keystore.json", "audit.jsonl", "proxy.log"):
            assert (directory / name).exists(), name
        events = [json.loads(line) for line in (directory / "audit.jsonl").read_text().splitlines()]
        kinds = [event["metadata"]["event_code"] for event in events]
        assert kinds[-2:] == ["proxy.stopped", "log.checkpoint"]
        capsys.readouterr()
        assert main(["demo", "--dir", str(directory)]) == 1
        assert "is not empty" in capsys.readouterr().err


def test_a_step_that_does_not_hold_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 1, the step's title, what was seen; and the servers are gone."""
    shops = []

    def broken(shop: Shop, page: Page) -> None:
        shops.append(shop)
        page.fact("what was seen so far")
        raise steps.StepFailed("the analyst sees more than nothing")

    monkeypatch.setattr(steps, "STEPS", (steps.STEPS[0], ("Each role sees its own", broken)))
    assert main(["demo"]) == 1
    said = capsys.readouterr().out
    assert "the analyst sees more than nothing" in said
    assert "what was seen so far" in said
    assert said.rstrip().endswith("Step 2 did not hold: Each role sees its own")
    assert not shops[0].postgres.running
    assert not shops[0].directory.exists()
