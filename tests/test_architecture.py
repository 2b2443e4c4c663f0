"""The layout's promises: imports point one way, and the core does no I/O."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = ("keystore", "policy", "proxy")
FILES = sorted(p for package in PACKAGES for p in (ROOT / package).rglob("*.py"))

SHELL = {
    "proxy/__main__.py",
    "proxy/cli.py",
    "proxy/connection.py",
    "proxy/control.py",
    "proxy/embedded.py",
    "proxy/group_commit.py",
    "proxy/introspect.py",
    "proxy/listener.py",
    "proxy/outlet.py",
    "proxy/programs.py",
    "proxy/tls.py",
    "proxy/turns.py",
    "proxy/upkeep.py",
    "proxy/upstream.py",
    "proxy/audit/catch_up.py",
    "proxy/audit/head.py",
    "proxy/audit/keys.py",
    "proxy/report/roles.py",
    "proxy/audit/log.py",
    "proxy/audit/log_file.py",
    "proxy/audit/log_state.py",
    "proxy/audit/operations.py",
    "proxy/audit/rotation.py",
    "proxy/detection/containment.py",
    "proxy/detection/force.py",
    "proxy/detection/honey_file.py",
    "proxy/detection/state_file.py",
}
SHELL_FOLDERS = (
    "proxy/auditor/",
    "proxy/commands/",
    "proxy/compiling/",
    "proxy/database/",
    "proxy/demo/",
    "proxy/disclosure/",
    "proxy/workers/",
)
IO = {
    "asyncio",
    "socket",
    "ssl",
    "asyncpg",
    "structlog",
    "time",
    "selectors",
    "subprocess",
    "uvloop",
}

# Who may import what of ours: a prefix of the importing file, and the prefixes it may import.
LAYERS = {
    "keystore/": ("keystore",),
    "policy/": ("policy",),
    "proxy/wire/": ("proxy.wire",),
    "proxy/cells/": ("proxy.cells",),
    "proxy/sql/": ("proxy.sql", "proxy.catalog", "proxy.cells", "policy"),
    "proxy/catalog.py": ("proxy.cells", "policy"),
}


def name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def imports(path: Path) -> set[str]:
    """Modules imported anywhere in the file, except for type checking only."""
    found: set[str] = set()
    tree = ast.parse(path.read_text())
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and getattr(node.test, "id", "") == "TYPE_CHECKING":
            node.body = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.add(node.module)
    return found


def test_there_is_something_to_look_at() -> None:
    """The lists below name files that exist."""
    names = {name(p) for p in FILES}
    assert names >= SHELL
    assert all(any(n.startswith(prefix) for n in names) for prefix in LAYERS)


@pytest.mark.parametrize("path", FILES, ids=name)
def test_the_core_imports_no_io(path: Path) -> None:
    """asyncio, sockets, clocks and logs belong to the shell."""
    if name(path) in SHELL or name(path).startswith(SHELL_FOLDERS):
        return
    used = {module.split(".")[0] for module in imports(path)} & IO
    assert not used, f"{name(path)} imports {used}"


@pytest.mark.parametrize("path", FILES, ids=name)
def test_imports_point_one_way(path: Path) -> None:
    """keystore, policy, wire and cells know nothing of the rest; sql knows policy, cells and the catalog."""
    for prefix, allowed in LAYERS.items():
        if not name(path).startswith(prefix):
            continue
        for module in imports(path):
            if module.split(".")[0] in PACKAGES:
                assert module.startswith(allowed), f"{name(path)} imports {module}"


@pytest.mark.parametrize("path", FILES, ids=name)
def test_the_core_does_not_import_the_shell(path: Path) -> None:
    """Nothing below the shell imports a file of it."""
    shell = {n.removesuffix(".py").replace("/", ".") for n in SHELL}
    if name(path) in SHELL or name(path).startswith(SHELL_FOLDERS):
        return
    assert not imports(path) & shell


@pytest.mark.parametrize("path", FILES, ids=name)
def test_raw_keys_stay_in_the_keystore(path: Path) -> None:
    """`keystore._raw` holds key bytes; nobody outside the package imports it."""
    if name(path).startswith("keystore/"):
        return
    assert not any(module.startswith("keystore._") for module in imports(path))
