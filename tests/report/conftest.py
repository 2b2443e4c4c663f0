"""A day of the shop, logged and configured, and the commands run on it."""

from __future__ import annotations

import json
import os
import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from proxy.cli import main
from tests.report.a_log import CONFIGURATION, ALog, a_day

SEED = "REPORT_SEED"


@dataclass(slots=True)
class Office:
    """`run` is the command line; what was printed is in `out` and `err`."""

    directory: Path
    capsys: pytest.CaptureFixture[str]
    database: bool = False
    out: str = ""
    err: str = ""

    @property
    def file(self) -> Path:
        return self.directory / "sealgate.toml"

    @property
    def path(self) -> Path:
        return self.directory / "audit.jsonl"

    def run(self, *arguments: str) -> int:
        alone = [] if arguments[0] == "changes" or self.database else ["--no-database"]
        code = main(["report", *arguments, *alone, "--config", str(self.file)])
        self.out, self.err = self.capsys.readouterr()
        return code

    def report(self, *arguments: str, code: int = 0) -> Any:
        """The report as JSON."""
        assert self.run(*arguments, "--format", "json") == code, self.err
        return json.loads(self.out)

    def events(self) -> list[dict[str, Any]]:
        """What is in the live file, read by nothing of ours."""
        return [json.loads(line) for line in self.path.read_text().splitlines()]


@pytest.fixture
def seed(request: pytest.FixtureRequest) -> int:
    """A failure shows it: REPORT_SEED=... repeats it."""
    drawn = int(os.environ.get(SEED, random.SystemRandom().getrandbits(32)))
    request.node.add_report_section("setup", "seed", f"{SEED}={drawn}")  # output is the command's
    return drawn


@pytest.fixture
def office(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Office:
    made = Office(tmp_path, capsys)
    made.file.write_text(CONFIGURATION)
    return made


@pytest.fixture
def a_shop(office: Office, seed: int) -> Office:
    """With a day in its log."""
    a_day(office.path, seed).close()
    return office


@pytest.fixture
def logged(office: Office) -> Callable[[], ALog]:
    """An empty log, to be written and closed."""
    return lambda: ALog(office.path)
