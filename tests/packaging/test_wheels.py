"""What `pip install .` builds: a wheel for this Python and machine where there is a compiler, one for all where not."""

from __future__ import annotations

import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest

from tests.packaging.compiler import needs_compiler
from tests.packaging.conftest import NO_COMPILER, ROOT, Project

PURE = [
    "proxy/__init__.py",
    "proxy/compiled.py",
    "proxy/hot.py",
    "proxy/sizes.py",
    "sealgate-1.0.dist-info/METADATA",
    "sealgate-1.0.dist-info/RECORD",
    "sealgate-1.0.dist-info/WHEEL",
]


@needs_compiler
def test_with_a_compiler(project: Project, tmp_path: Path) -> None:
    """Sources and libraries side by side, under a tag of this Python and machine; the tree stays as it was."""
    before = sorted(project.root.rglob("*"))
    assert project.build("wheel", {"SEALGATE_COMPILE": "1"}).returncode == 0
    (wheel,) = (project.root / "dist").glob("*.whl")
    assert not wheel.name.endswith("-none-any.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        assert "Root-Is-Purelib: false" in archive.read("sealgate-1.0.dist-info/WHEEL").decode()
        archive.extractall(tmp_path / "installed")  # noqa: S202 - our own
    assert set(PURE) < set(names)
    added = sorted(name.split(".")[0] for name in set(names) - set(PURE))
    assert added == ["proxy/_compiled", "proxy/hot", "sealgate__mypyc"]
    left = [p for p in project.root.rglob("*") if "dist" not in p.parts]
    assert sorted(p for p in left if "__pycache__" not in p.parts) == before
    installed = Project(tmp_path / "installed")
    assert installed.asked("compiled.mode(), compiled.stale(), hot.doubled(4)") == (
        "('compiled', None, 9)"
    )


@pytest.mark.parametrize(
    "environment",
    [NO_COMPILER, {"SEALGATE_COMPILE": "0"}],
    ids=["no compiler", "not wanted"],
)
def test_without_a_compiler(project: Project, environment: dict[str, str]) -> None:
    """Plain Python, one wheel for every machine."""
    name, names = project.wheel(environment)
    assert name == "sealgate-1.0-py3-none-any.whl"
    assert sorted(names) == PURE


def test_the_reason_is_told(project: Project) -> None:
    """In one line of the build's output."""
    told = project.build("wheel", NO_COMPILER)
    lines = [line for line in (told.stdout + told.stderr).splitlines() if "Sealgate" in line]
    assert lines == [
        "Sealgate: a wheel of plain Python, slower: there is no C compiler (there-is-no-such-compiler)"
    ]


def test_a_compiler_may_be_demanded(project: Project) -> None:
    """SEALGATE_COMPILE=1: no wheel rather than a slow one."""
    built = project.build("wheel", {**NO_COMPILER, "SEALGATE_COMPILE": "1"})
    assert built.returncode != 0
    assert "there is no C compiler" in built.stderr
    assert not list(project.root.glob("dist/*.whl"))


@needs_compiler
def test_libraries_of_the_tree_are_in_no_distribution(compiled: Project) -> None:
    """What `make compile` left there may be of other sources, and is of one Python."""
    _, names = compiled.wheel({"SEALGATE_COMPILE": "0"})
    assert sorted(names) == PURE
    assert compiled.build("sdist").returncode == 0
    (path,) = (compiled.root / "dist").glob("*.tar.gz")
    with tarfile.open(path) as archive:
        held = [name.partition("/")[2] for name in archive.getnames()]
    assert "proxy/compiling/hook.py" in held
    assert not [name for name in held if name.endswith((".so", ".json"))]


def test_sealgate_itself(tmp_path: Path) -> None:
    """The pure wheel holds every source and template, and nothing that only building needs."""
    project = Project(ROOT)
    built = project.run(
        "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path),
        environment={"SEALGATE_COMPILE": "0"},
    )  # fmt: skip
    assert built.returncode == 0, built.stderr
    (wheel,) = tmp_path.glob("*-none-any.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}
    sources = {
        path.relative_to(ROOT).as_posix()
        for package in ("proxy", "policy", "keystore")
        for pattern in ("*.py", "templates/*.html")
        for path in (ROOT / package).rglob(pattern)
    }
    assert names == {path for path in sources if not path.startswith("proxy/compiling/")}


def test_one_version_of_the_compiler(project: Project) -> None:
    """mypyc is pinned exactly and librt, whose ABI compiled modules are bound to, to one minor version."""
    with (ROOT / "pyproject.toml").open("rb") as file:
        declared = tomllib.load(file)["project"]
    (compiler,) = declared["optional-dependencies"]["compile"]
    assert compiler.startswith("mypy[mypyc]==")
    (library,) = (d for d in declared["dependencies"] if d.startswith("librt"))
    assert library == "librt>=0.16,<0.17"
