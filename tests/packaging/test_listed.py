"""The modules that are compiled: what mypyc does to Python unnoticed is not in them."""

from __future__ import annotations

import ast
import subprocess
import sys
from importlib import import_module

import pytest

from proxy.compiled import compiled
from proxy.compiling.compile import listed
from tests.packaging.conftest import ROOT

MODULES = listed(ROOT)


def tree(path: str) -> ast.Module:
    return ast.parse((ROOT / path).read_text())


def test_there_is_something_to_look_at() -> None:
    assert "proxy/session.py" in MODULES
    assert len(MODULES) == len(set(MODULES))


@pytest.mark.parametrize("path", MODULES)
def test_no_context_that_is_meant_to_be_hidden_shows(path: str) -> None:
    """mypyc drops `from None`, and an error's context may quote a value: `raise alone(...) from None`."""
    for node in ast.walk(tree(path)):
        if not isinstance(node, ast.Raise) or node.cause is None:
            continue
        assert isinstance(node.cause, ast.Constant), f"line {node.lineno}: the cause would be lost"
        assert isinstance(node.exc, ast.Call), f"line {node.lineno}: raise alone(...) from None"
        assert isinstance(node.exc.func, ast.Name), (
            f"line {node.lineno}: raise alone(...) from None"
        )
        assert node.exc.func.id == "alone", f"line {node.lineno}: raise alone(...) from None"


@pytest.mark.parametrize("path", MODULES)
def test_attributes_of_errors_are_of_the_class(path: str) -> None:
    """mypyc loses the value of a class attribute of an exception that is not a ClassVar."""
    for node in ast.walk(tree(path)):
        if not isinstance(node, ast.ClassDef):
            continue
        module = import_module(path.removesuffix(".py").replace("/", "."))
        if not issubclass(getattr(module, node.name, object), BaseException):
            continue
        for line in node.body:
            assert not isinstance(line, ast.Assign), f"line {line.lineno}: say ClassVar"
            if isinstance(line, ast.AnnAssign) and line.value is not None:
                assert ast.unparse(line.annotation).startswith("ClassVar"), f"line {line.lineno}"


@pytest.mark.parametrize("path", MODULES)
def test_what_is_imported_is_what_is_said(path: str) -> None:
    """All listed modules run compiled, or none does."""
    name = path.removesuffix(".py").replace("/", ".")
    import_module(name)
    file = sys.modules[name].__file__
    assert file is not None
    assert file.endswith(".py") is not compiled()


@pytest.mark.parametrize("path", MODULES)
def test_any_of_them_may_be_imported_first(path: str) -> None:
    """Compiled modules that import each other in a circle crash the interpreter, depending on which comes first."""
    name = path.removesuffix(".py").replace("/", ".")
    done = subprocess.run([sys.executable, "-c", f"import {name}"], cwd=ROOT, capture_output=True)
    assert done.returncode == 0, done.stderr.decode()[-500:]
