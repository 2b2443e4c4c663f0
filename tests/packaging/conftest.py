"""A small project with Sealgate's build hook: compiled in seconds, where the real one takes a minute."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

PYPROJECT = """
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"

[project]
name = "sealgate"
version = "1.0"
requires-python = ">=3.11"

[project.optional-dependencies]
compile = ["mypy[mypyc]"]

[tool.hatch.build.targets.wheel]
packages = ["proxy"]
exclude = ["proxy/compiling"]

[tool.hatch.build.targets.wheel.hooks.custom]
path = "proxy/compiling/hook.py"

[tool.sealgate.compile]
modules = ["proxy/hot.py"]
"""
HOT = """
from proxy.sizes import SIZE

def doubled(number: int) -> int:
    return number * 2 + SIZE
"""
SIZES = """
from typing import Final

SIZE: Final = 1
"""
NO_COMPILER = {"CC": "there-is-no-such-compiler"}


@dataclass(frozen=True, slots=True)
class Project:
    """The tree, and the commands that users run in it."""

    root: Path

    def run(
        self, *command: str, environment: dict[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        unset = {k: v for k, v in os.environ.items() if k not in ("SEALGATE_COMPILE", "CC")}
        return subprocess.run(
            [sys.executable, *command],
            cwd=self.root,
            env={**unset, **(environment or {})},
            capture_output=True,
            text=True,
            check=False,
        )

    def compile(
        self, *options: str, environment: dict[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        return self.run("proxy/compiling/compile.py", *options, environment=environment)

    def build(
        self, target: str, environment: dict[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        return self.run("-m", "hatchling", "build", "-t", target, environment=environment)

    def wheel(self, environment: dict[str, str] | None = None) -> tuple[str, list[str]]:
        """The wheel's name and what is in it."""
        built = self.build("wheel", environment)
        assert built.returncode == 0, built.stderr
        (path,) = (self.root / "dist").glob("*.whl")
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
        path.unlink()
        return path.name, names

    def libraries(self) -> list[str]:
        return sorted(p.relative_to(self.root).as_posix() for p in self.root.glob("**/*.so"))

    def asked(self, question: str) -> str:
        """What a fresh Python says to an expression over `proxy.compiled` and `proxy.hot`."""
        imports = "import proxy.compiled as compiled" + (
            "; from proxy import hot" * ("hot" in question)
        )
        ran = self.run("-c", f"{imports}; print(({question}))")
        return (ran.stdout or ran.stderr).strip()

    def recorded(self) -> dict[str, str]:
        record: dict[str, dict[str, str]] = json.loads(
            (self.root / "proxy/_compiled.json").read_text()
        )
        return record["sources"]


def fresh(root: Path) -> Project:
    (root / "proxy").mkdir(parents=True)
    shutil.copytree(
        ROOT / "proxy/compiling",
        root / "proxy/compiling",
        ignore=shutil.ignore_patterns("__pycache__"),
    )
    shutil.copy(ROOT / "proxy/compiled.py", root / "proxy")
    shutil.copy(ROOT / ".gitignore", root)
    (root / "pyproject.toml").write_text(PYPROJECT)
    (root / "proxy/__init__.py").write_text("")
    (root / "proxy/hot.py").write_text(HOT)
    (root / "proxy/sizes.py").write_text(SIZES)
    return Project(root)


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """Not compiled."""
    return fresh(tmp_path / "project")


@pytest.fixture(scope="session")
def _compiled_once(tmp_path_factory: pytest.TempPathFactory) -> Project:
    project = fresh(tmp_path_factory.mktemp("compiled") / "project")
    ran = project.compile(environment={"SEALGATE_COMPILE": "1"})
    assert ran.returncode == 0, ran.stderr
    return project


@pytest.fixture
def compiled(_compiled_once: Project, tmp_path: Path) -> Project:
    """Compiled in place; needs a compiler."""
    shutil.copytree(_compiled_once.root, tmp_path / "project")
    return Project(tmp_path / "project")
