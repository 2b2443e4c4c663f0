"""`make compile` and `make pure`: what lies beside the sources, and when it must not be run."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from proxy.compiling.compile import CannotCompile, prerequisites
from tests.packaging.compiler import needs_compiler
from tests.packaging.conftest import NO_COMPILER, Project

pytestmark = needs_compiler


def test_in_place(compiled: Project) -> None:
    """The module that is listed is compiled, gives the same results, and the others are not."""
    assert compiled.asked("hot.__file__").endswith(".so")
    assert compiled.asked("compiled.mode(), compiled.stale(), hot.doubled(4)") == (
        "('compiled', None, 9)"
    )
    assert [path.split(".")[0] for path in compiled.libraries()] == [
        "build/native/library/proxy/hot",
        "build/native/library/sealgate__mypyc",
        "proxy/hot",
        "sealgate__mypyc",
    ]


def test_nothing_to_do(compiled: Project) -> None:
    """A second time does not compile: whoever has no compiler by then is not told so."""
    ran = compiled.compile(environment=NO_COMPILER)
    assert ran.stdout == "1 modules are compiled\n"
    assert ran.stderr == ""


@pytest.mark.parametrize("path", ["proxy/hot.py", "proxy/sizes.py"])
def test_a_changed_source_is_noticed(compiled: Project, path: str) -> None:
    """The module itself, and what it imports, whose constants are in the compiled code."""
    source = compiled.root / path
    source.write_text(source.read_text().replace("2", "3").replace("= 1", "= 2"))
    assert compiled.asked("compiled.stale()") == (
        f"{path} was compiled from another text than is there now: "
        "run `make compile` (or `make pure`), or install Sealgate again"
    )
    assert compiled.asked("hot.doubled(4)") == "9"  # what the check is for


def test_a_changed_source_is_compiled_again(compiled: Project) -> None:
    """What the module imports as well: the constant is the new one."""
    (compiled.root / "proxy/sizes.py").write_text("SIZE = 2\n")
    assert compiled.compile().returncode == 0
    assert compiled.asked("compiled.mode(), compiled.stale(), hot.doubled(4)") == (
        "('compiled', None, 10)"
    )


def test_an_unrelated_source_may_change(compiled: Project) -> None:
    """What no compiled module imports has no part in it."""
    (compiled.root / "proxy/other.py").write_text("")
    assert sorted(compiled.recorded()) == ["proxy/__init__.py", "proxy/hot.py", "proxy/sizes.py"]
    assert compiled.asked("compiled.stale()") == "None"


def test_a_library_without_a_record(compiled: Project) -> None:
    """Compiling was interrupted, or somebody copied files."""
    (compiled.root / "proxy/_compiled.json").unlink()
    assert "without a record" in compiled.asked("compiled.stale()")


def test_a_library_that_is_missing(compiled: Project) -> None:
    """Some modules of a group interpreted, some compiled, is nothing that was ever tested."""
    (library,) = (compiled.root / "proxy").glob("hot*.so")
    library.rename(library.with_name(library.name.replace("hot", "sizes")))
    assert "not all that belong together" in compiled.asked("compiled.stale()")


def test_back_to_plain_python(compiled: Project) -> None:
    """No library stays, nor a record of one; what was changed meanwhile is what runs."""
    (compiled.root / "proxy/hot.py").write_text(HOT_CHANGED)
    assert compiled.compile("--remove").returncode == 0
    assert not [path for path in compiled.libraries() if not path.startswith("build/")]
    assert compiled.asked("compiled.mode(), compiled.stale(), hot.doubled(4)") == (
        "('interpreted', None, 4)"
    )


def test_the_environment_asks_for_plain_python(compiled: Project) -> None:
    """SEALGATE_COMPILE=0 is `make pure`."""
    assert compiled.compile(environment={"SEALGATE_COMPILE": "0"}).returncode == 0
    assert compiled.asked("compiled.mode()") == "interpreted"


def test_what_cannot_be_compiled(project: Project) -> None:
    """One line says why; SEALGATE_COMPILE=1 makes it an error. Nothing half-made is left."""
    (project.root / "proxy/hot.py").write_text("def doubled(number: int) -> int:\n    return 'x'\n")
    ran = project.compile()
    assert ran.returncode == 0
    assert re.fullmatch(
        r"Not compiled, plain Python runs instead: proxy/hot\.py:2: error: .*\n", ran.stderr
    )
    assert project.asked("compiled.mode(), compiled.stale()") == "('interpreted', None)"
    assert project.compile(environment={"SEALGATE_COMPILE": "1"}).returncode == 1


def test_what_is_missing_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The compiler, Python's headers, or the right Python."""
    prerequisites()
    monkeypatch.setattr("sysconfig.get_path", lambda name: str(tmp_path))
    with pytest.raises(CannotCompile, match=r"^Python\.h is missing \(on Debian and Ubuntu: "):
        prerequisites()
    monkeypatch.setenv("CC", "no-such-compiler -pthread")
    with pytest.raises(CannotCompile, match=r"^there is no C compiler \(no-such-compiler\)$"):
        prerequisites()
    monkeypatch.setattr("sys.implementation.name", "pypy")
    with pytest.raises(CannotCompile, match=r"^pypy is not CPython$"):
        prerequisites()


def test_a_source_that_stopped_compiling(compiled: Project) -> None:
    """What was compiled before is not left beside it."""
    (compiled.root / "proxy/hot.py").write_text("def doubled(number: int) -> int:\n    return ''\n")
    assert compiled.compile().returncode == 0
    assert compiled.asked("compiled.mode(), compiled.stale()") == "('interpreted', None)"


HOT_CHANGED = "def doubled(number: int) -> int:\n    return number\n"
