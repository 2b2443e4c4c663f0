"""The command line: help, exit codes, one line for an expected error."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from proxy.cli import COMMANDS, Command, main


def named(commands: Sequence[Command], before: str = "") -> Iterator[tuple[str, Command]]:
    """Every command with its name in full; a group's own commands behind it."""
    for command in commands:
        yield before + command.name, command
        yield from named(command.commands, f"{before}{command.name} ")


@pytest.mark.parametrize(
    ("command", "described"), list(named(COMMANDS)), ids=[name for name, _ in named(COMMANDS)]
)
def test_every_command_has_help_with_an_example(
    command: str, described: Command, capsys: pytest.CaptureFixture[str]
) -> None:
    """--help exits 0, on stdout, and shows how the command is used."""
    with pytest.raises(SystemExit) as ended:
        main([*command.split(), "--help"])
    assert ended.value.code == 0
    help_text = capsys.readouterr().out
    assert f"usage: sealgate {command}" in help_text
    assert f"example:\n  sealgate {command}" in help_text
    if described.module:
        assert ("--config FILE" in help_text) == described.configured


@pytest.mark.parametrize(
    "arguments", [[], ["nonsense"], ["init", "--no-such-option"], ["explain", "SELECT 1"]]
)
def test_usage_errors_exit_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """argparse's own: usage on stderr, nothing on stdout."""
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    said = capsys.readouterr()
    assert "usage: sealgate" in said.err
    assert said.out == ""


@pytest.mark.parametrize("command", ["init", "apply", "check", "serve"])
def test_bad_configuration_exits_2_in_one_line(
    command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """File, key and fix on stderr; no traceback, nothing on stdout."""
    file = tmp_path / "sealgate.toml"
    file.write_text("[listen]\nprot = 1\n")
    assert main([command, "--config", str(file)]) == 2
    said = capsys.readouterr()
    assert said.err == f"sealgate: {file}: listen.prot: is not a known key. Did you mean port?\n"
    assert said.out == ""


def test_a_missing_configuration_exits_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The default file is named, and where to begin."""
    assert main(["check", "--config", str(tmp_path / "sealgate.toml")]) == 2
    assert "does not exist. Copy config.example.toml" in capsys.readouterr().err


def test_runs_as_a_module() -> None:
    """`python -m proxy` is `sealgate`; --version answers without a configuration."""
    result = subprocess.run(
        [sys.executable, "-m", "proxy", "--version"], capture_output=True, text=True, check=True
    )
    assert result.stdout.startswith("sealgate ")


def test_a_reader_that_goes_away_is_no_error() -> None:
    """`sealgate ... | head -0` leaves no traceback."""
    process = subprocess.Popen(
        [sys.executable, "-m", "proxy", "init", "--help"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    complaint = process.stderr.read()
    process.wait(10)
    process.stderr.close()
    assert "Traceback" not in complaint
