"""Writes the golden reports: `python -m tests.report.golden`. Read the difference before it is committed.

What differs from run to run (the chain's name, the SHA-256 that rests on it, directories, who runs the tests, the version) is
replaced by words.
"""

from __future__ import annotations

import contextlib
import io
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import policy
from proxy.cli import main
from proxy.commands import reporting
from proxy.config import parse
from tests.report.a_log import (
    CONFIGURATION,
    DAY,
    EMAIL,
    HOUR,
    MONDAY,
    SSN,
    a_day,
    cell,
    origin,
)

DIRECTORY = Path(__file__).parent / "golden"
SEED = 7
NOW = MONDAY + 2 * DAY
REPORTS = {
    "incident": (
        *("--finding", "f" * 32, "--aware", "2026-11-16T19:30Z"),
        *("--note", "pci", "--note", "hipaa", "--no-database"),
    ),
    "access-review": ("--period", "1d", "--until", "2026-11-17", "--no-database"),
    "changes": ("--since", "2026-11-16"),
}
FORMS = ("md", "html", "json")


def golden() -> Iterator[tuple[str, str]]:
    """File name and content."""
    with tempfile.TemporaryDirectory() as directory:
        place = Path(directory)
        (place / "sealgate.toml").write_text(CONFIGURATION)
        _log(place / "audit.jsonl")
        who = reporting.Asker({"name": "auditor", "uid": 1001}, NOW)
        names = [
            f"proxy.commands.report_{n}.asker" for n in ("incident", "access_review", "changes")
        ]
        with contextlib.ExitStack() as stack:
            for name in names:
                stack.enter_context(mock.patch(name, return_value=who))
            for report, arguments in REPORTS.items():
                for form in FORMS:
                    said = _run(report, *arguments, "--format", form, directory=place)
                    yield f"{report}.{form}", _the_same(said, directory)


def _log(path: Path) -> None:
    """A period that the log covers, with a change of the policy in it."""
    before = CONFIGURATION.replace('clear = ["public.customers.email"]', "clear = []")
    old, new = (parse(text, Path("sealgate.toml")).policy for text in (before, CONFIGURATION))
    log = a_day(path, SEED, begins=lambda it: it.start(old.version, policy.summary(old)))
    log.at(MONDAY + 21 * HOUR).start(new.version, policy.summary(new))
    log.at(MONDAY + 22 * HOUR)
    who = origin("dot", "s-dot", roles=("support",), application="DBeaver <24>")
    log.opens(who)
    log.does(
        who,
        [
            (EMAIL, "withheld", "default.deny", [cell(1)]),
            (SSN, "masked", "roles.support.masked", [cell(2)]),
        ],
    )
    log.close()


def _run(report: str, *arguments: str, directory: Path) -> str:
    out = io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(io.StringIO()):
        main(["report", report, *arguments, "--config", str(directory / "sealgate.toml")])
    return out.getvalue()


def _the_same(text: str, directory: str) -> str:
    text = re.sub(r"\b[0-9a-f]{64}\b", "SHA256", text)
    text = re.sub(r"\b(?!f{32})[0-9a-f]{32}\b", "CHAIN", text)
    text = re.sub(r"sealgate \d+\.\d+\.\d+", "sealgate VERSION", text)
    return text.replace(re.sub("_", r"\\_", directory), "DIRECTORY").replace(directory, "DIRECTORY")


if __name__ == "__main__":
    DIRECTORY.mkdir(exist_ok=True)
    for file, content in golden():
        (DIRECTORY / file).write_text(content)
