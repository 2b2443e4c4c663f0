r"""psql's statements and backslash commands: on sealed tables through the proxy they print what they print on plain
tables on the server itself, on both output streams."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.tools.programs import Said, Stage, Tools
from tests.tools.scripts import COPY, CURSORS, PREPARED, QUERIES

SCRIPTS = QUERIES | COPY | CURSORS | PREPARED

CHANGING = re.compile(r"(?m)^.{20,40} \(every 0.1s\)$|(?<=server process with PID )\d+")
"""\\watch's clock, and the process id of a notification."""


def played(tools: Tools, script: str, directory: Path) -> Said:
    directory.mkdir()
    (directory / "large.bin").write_bytes(bytes(range(256)) * 700)
    (directory / "part.sql").write_text("SELECT ssn FROM customers WHERE id = 2;\n")
    said = tools.psql(script, cwd=directory)
    return Said(CHANGING.sub("*", said.out), CHANGING.sub("*", said.err), said.code)


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_script_prints_what_it_prints_on_plain_tables(
    stage: Stage, tmp_path: Path, name: str
) -> None:
    """Values, alignment (psql aligns by type), command tags, errors and the state after them."""
    script, expected = SCRIPTS[name]
    sealed = played(stage.proxied(), script, tmp_path / "sealed")
    plain = played(stage.unsealed(), script, tmp_path / "plain")
    assert sealed.err == plain.err
    assert sealed.out == plain.out
    assert sealed.code == plain.code
    assert expected in plain.out, "the script reached what it is about"
    assert (sealed.err == "") == (name not in WITH_ERRORS)


WITH_ERRORS = frozenset(
    {
        "gset", "bind", "named statements", "pipeline", "fetch count", "rollback on error", "transactions",
        "several statements", "errors", "large objects",
        "copy in a transaction, after an error", "cursors", "prepare",
    }
)  # fmt: skip
