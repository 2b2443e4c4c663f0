"""README.md: what it tells people to type works, and what it shows is what they see."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import proxy
from proxy.demo.page import TITLE_WIDTH
from proxy.demo.steps import STEPS
from proxy.embedded import EmbeddedPostgres, free_port

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
WALK = README.split("## Protect a column", 1)[1].split("\n## ", 1)[0]
BREACH = README.split("## After a breach", 1)[1].split("\n## ", 1)[0]

SHOP = """
CREATE TABLE customers (id integer PRIMARY KEY, name text, email text UNIQUE);
INSERT INTO customers VALUES (1, 'Amina', 'amina@example.com'), (2, 'Bruno', 'bruno@example.com');
GRANT SELECT, INSERT, UPDATE ON customers TO shop_app;
GRANT SELECT ON customers TO support;
"""


@pytest.fixture
def shop() -> Iterator[EmbeddedPostgres]:
    """The database that the walk begins with."""
    with EmbeddedPostgres() as server:
        for login in ("shop_owner", "shop_app"):
            server.create_role(login)
        server.create_role("support", login=False)
        server.create_role("support_login", member_of=("support",))
        server.create_database("shop", owner="shop_owner")
        server.psql("ALTER SCHEMA public OWNER TO shop_owner", "shop")
        server.psql(SHOP, "shop", user="shop_owner")
        yield server


def blocks(server: EmbeddedPostgres, proxy_port: int) -> list[str]:
    """The shell blocks of the walk but the installation, with this machine's ports."""
    install, *rest = re.findall(r"```sh\n(.*?)```", WALK + BREACH, re.DOTALL)
    assert "pip install" in install
    ports = {"5432": str(server.port), "6432": str(proxy_port)}
    return [re.sub(r"\b[56]432\b", lambda port: ports[port[0]], block) for block in rest]


def programs(directory: Path, server: EmbeddedPostgres) -> Path:
    """A directory with `sealgate` and `psql`, as an installation has them."""
    directory.mkdir()
    for name, run in (
        ("sealgate", f'PYTHONPATH="{ROOT}" exec "{sys.executable}" -m proxy "$@"'),
        ("psql", f'exec "{server.bin / "psql"}" -X "$@"'),
    ):
        (directory / name).write_text(f"#!/bin/sh\n{run}\n")
        (directory / name).chmod(0o755)
    return directory


def test_the_walk_protects_a_column(shop: EmbeddedPostgres, tmp_path: Path) -> None:
    """Pasted as it is (ports apart), the five-minute walk ends as its last paragraph says; and a breach is answered for."""
    path = f"{programs(tmp_path / 'bin', shop)}:{os.environ['PATH']}"
    work = tmp_path / "work"
    work.mkdir()
    typed = blocks(shop, free_port())
    serve = next(number for number, block in enumerate(typed) if block == "sealgate serve\n")
    preparation = "\n".join(["set -euo pipefail", *typed[:serve], "exec sealgate serve"])
    environment = {**os.environ, "PATH": path, "HOME": str(tmp_path)}
    with (tmp_path / "stderr").open("wb") as diagnostics:
        first = subprocess.Popen(
            ["bash", "-c", preparation],
            cwd=work,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=diagnostics,
            text=True,
        )
    assert first.stdout is not None
    said = ""
    for line in first.stdout:
        said += line
        if line.startswith("listening on"):
            break
    second = subprocess.run(
        ["bash", "-c", "set -euo pipefail\n" + "\n".join(typed[serve + 1 :])],
        cwd=work,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        stdin=subprocess.DEVNULL,
        check=False,
    )
    first.terminate()
    assert first.wait(30) == 0, said + (tmp_path / "stderr").read_text()
    first.stdout.close()
    assert "would seal" in said
    assert "masked" in said  # explain
    assert second.returncode == 0, second.stderr
    assert "amina@example.com" in second.stdout  # shop_app
    assert "a***@example.com" in second.stdout  # support
    assert "\\x5ea10101" in second.stdout  # the owner
    assert second.stdout.count('"event_code":"statement.read"') == 2
    assert "ok: " in second.stdout  # verify
    assert "2 people" in second.stdout  # affected
    assert "support_login, member of support" in second.stdout  # who-saw
    assert len(list((work / "reports").iterdir())) == 3


def test_the_transcript_is_the_demo() -> None:
    """Thirteen lines, one a step, with the demo's own titles."""
    transcript = README.split("<!-- transcript", 1)[1].split("```text\n", 1)[1].split("```", 1)[0]
    lines = transcript.splitlines()
    assert len(lines) == 13
    for number, (line, (title, _)) in enumerate(zip(lines, STEPS, strict=True), 1):
        assert line.startswith(f"{number:2} {title} ".ljust(TITLE_WIDTH, ".") + " ok"), line


def test_the_demo_runs_without_a_terminal(tmp_path: Path) -> None:
    """`sealgate demo` as a process: every step holds, no colour in a pipe, nothing left running."""
    process = subprocess.Popen(
        [sys.executable, "-m", "proxy", "demo"],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "TMPDIR": "/tmp", "HOME": str(tmp_path)},  # noqa: S108
    )
    try:
        said, _ = process.communicate(timeout=120)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGTERM)
        raise
    assert process.returncode == 0, said
    assert said.count(" ok ") == len(STEPS)
    assert "\x1b" not in said


def test_every_file_it_links_to_exists() -> None:
    """No dead links."""
    for target in re.findall(r"\]\(([^)h#][^)]*)\)", README):
        assert (ROOT / target).exists(), target


def test_the_reading_order_names_every_file() -> None:
    """proxy/__init__.py leads to all modules and packages beside it."""
    order = (proxy.__doc__ or "").split("Glossary")[0]
    for path in (ROOT / "proxy").iterdir():
        if not path.name.startswith("__") and (path.suffix == ".py" or path.is_dir()):
            assert re.search(rf"\b{path.stem}\b", order), path.name
