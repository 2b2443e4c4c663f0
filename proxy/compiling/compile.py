"""Compiles the modules that pyproject.toml lists with mypyc, from the sources that run without it as well.

    compile.py                   in place, .so files beside the sources: for working on Sealgate
    compile.py --into DIRECTORY  for a wheel: what it holds beside the sources (hook.py)
    compile.py --remove          back to plain Python

In place, nothing happens while what is there was made from the same sources by the same Python and compiler. What was
compiled from what is kept in `proxy/_compiled.json`: `proxy.compiled` reads it, so that a module compiled from other
sources than those that lie beside it is never run unnoticed.

SEALGATE_COMPILE=0 leaves plain Python, =1 makes it an error if compiling fails. Otherwise one line says why it did, and
plain Python does the same work more slowly.
"""

from __future__ import annotations

import argparse
import ast
import importlib.metadata
import json
import os
import shlex
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import tomllib
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("proxy", "policy", "keystore")
GROUP = "sealgate"
"""One shared library, sealgate__mypyc, holds the code of all modules; each has a small .so that points into it."""
RECORD = Path("proxy/_compiled.json")
SUFFIX = sysconfig.get_config_var("EXT_SUFFIX") or ".so"


class CannotCompile(Exception):
    """Why, in one line."""


def wanted() -> str:
    """SEALGATE_COMPILE: "0" no, "1" or else fail, "" if possible."""
    return os.environ.get("SEALGATE_COMPILE", "")


def listed(root: Path) -> list[str]:
    """The modules to compile, as paths below the root."""
    with (root / "pyproject.toml").open("rb") as file:
        paths: list[str] = tomllib.load(file)["tool"]["sealgate"]["compile"]["modules"]
    return sorted(paths)


def prerequisites() -> None:
    """Raises CannotCompile if there is no C compiler, or nothing to compile against."""
    if sys.implementation.name != "cpython":
        raise CannotCompile(f"{sys.implementation.name} is not CPython")
    if os.name == "nt":
        return  # setuptools finds Visual C++, which is on no PATH
    compiler = shlex.split(os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc")[0]
    if shutil.which(compiler) is None:
        raise CannotCompile(f"there is no C compiler ({compiler})")
    if not Path(sysconfig.get_path("include"), "Python.h").is_file():
        raise CannotCompile("Python.h is missing (on Debian and Ubuntu: apt install python3-dev)")


def sources(root: Path, modules: list[str]) -> dict[str, str]:
    """SHA-256 of the modules and of all that they import of ours, whose constants mypyc copies into them."""
    found: dict[str, str] = {}
    waiting = list(modules)
    while waiting:
        path = waiting.pop()
        if path in found:
            continue
        content = (root / path).read_bytes()
        found[path] = sha256(content).hexdigest()
        waiting += [p for p in _imports(path, content) if (root / p).is_file()]
    return dict(sorted(found.items()))


def _imports(path: str, content: bytes) -> Iterator[str]:
    yield f"{path.rpartition('/')[0]}/__init__.py"
    for node in ast.walk(ast.parse(content)):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        else:
            continue
        for name in names:
            if name.split(".")[0] in PACKAGES:
                yield f"{name.replace('.', '/')}.py"
                yield f"{name.replace('.', '/')}/__init__.py"


def record(root: Path, modules: list[str]) -> str:
    """What `proxy/_compiled.json` says if these modules are compiled now, by this Python."""
    versions = {name: _version(name) for name in ("mypy", "librt")}
    made = {"by": {"python": sys.version.split()[0], "suffix": SUFFIX, **versions}}
    return json.dumps({**made, "modules": modules, "sources": sources(root, modules)}, indent=1)


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def in_place(root: Path) -> str:
    """Compiles what is not compiled yet; one line for whoever waits."""
    modules = listed(root)
    now = record(root, modules)
    if _is(root / RECORD, now) and all(_so(root / module).is_file() for module in modules):
        return f"{len(modules)} modules are compiled"
    remove(root)
    prerequisites()
    print(f"Compiling {len(modules)} modules (a minute the first time) ...", flush=True)
    work = root / "build" / "native"
    library = work / "library"
    shutil.rmtree(library, ignore_errors=True)
    _compile(root, modules, library, work)
    for made in library.rglob(f"*{SUFFIX}"):
        shutil.copyfile(made, root / made.relative_to(library))
    # Last: whatever ends this before leaves modules that no record vouches for, which `proxy.compiled` reports.
    (root / RECORD).write_text(now)
    return f"{len(modules)} modules are compiled"


def into(root: Path, directory: Path) -> None:
    """What a wheel holds beside the sources, laid out as in the wheel; leaves nothing in the tree."""
    prerequisites()
    modules = listed(root)
    with tempfile.TemporaryDirectory(prefix="sealgate-compile-") as work:
        _compile(root, modules, directory, Path(work))
    (directory / RECORD).write_text(record(root, modules))


def remove(root: Path) -> None:
    """Leaves plain Python: no compiled module of any Python in the tree, and no record of one."""
    (root / RECORD).unlink(missing_ok=True)
    for kind in ("*.so", "*.pyd"):
        for package in PACKAGES:
            for path in (root / package).rglob(kind):
                path.unlink()
        for path in root.glob(f"{GROUP}__mypyc{kind}"):
            path.unlink()


def _is(path: Path, content: str) -> bool:
    return path.is_file() and path.read_text() == content


def _so(module: Path) -> Path:
    return module.with_name(module.stem + SUFFIX)


def _compile(root: Path, modules: list[str], library: Path, work: Path) -> None:
    """mypyc and the C compiler, in a process of their own: they print, and exit."""
    command = [sys.executable, str(Path(__file__).resolve()), "--run", str(library), str(work)]
    ran = subprocess.run(
        [*command, *modules],
        cwd=root,
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
    )
    if ran.returncode == 0:
        return
    said = (ran.stdout + ran.stderr).strip().splitlines() or ["no output"]
    if wanted() == "1":
        print("\n".join(said), file=sys.stderr)
    telling = [line for line in said if "error" in line.lower()]
    raise CannotCompile((telling or said)[-1].strip())


def _run(library: str, work: str, modules: list[str]) -> None:
    try:
        from mypyc.build import mypycify
        from setuptools import Distribution
        from setuptools.command.build_ext import build_ext
    except ImportError as error:
        raise SystemExit(f"error: {error} (pip install 'mypy[mypyc]')") from None

    extensions = mypycify(
        [
            "--config-file=",  # style is `make check`'s business, not an installation's
            "--no-site-packages",  # the same code whatever else is installed
            "--ignore-missing-imports",
            "--follow-imports=silent",
            f"--cache-dir={work}/mypy",
            *modules,
        ],
        # One group. mypyc keeps its cache between runs only if it is told the groups.
        separate=[(modules, GROUP)],
        target_dir=f"{work}/c",
        debug_level="0",
    )
    command = build_ext(Distribution({"name": GROUP, "ext_modules": extensions}))
    command.build_lib, command.build_temp = library, f"{work}/objects"
    command.ensure_finalized()
    command.run()


def main() -> int:
    parser = argparse.ArgumentParser(description="Compiles Sealgate's hot modules.")
    parser.add_argument("--into", type=Path, metavar="DIRECTORY")
    parser.add_argument("--remove", action="store_true")
    parser.add_argument("--run", nargs="+", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.run:
        _run(options.run[0], options.run[1], options.run[2:])
    elif options.remove or wanted() == "0":
        remove(ROOT)
    else:
        try:
            if options.into:
                into(ROOT, options.into)
            else:
                print(in_place(ROOT))
        except CannotCompile as reason:
            print(f"Not compiled, plain Python runs instead: {reason}", file=sys.stderr)
            return 1 if wanted() == "1" else 0
    return 0


if __name__ == "__main__":
    sys.exit(main())
