"""Whether the hot modules run compiled, and whether what is compiled is what the sources beside it say.

`proxy/compiling` leaves a record of what it compiled from what. Without it, or for another Python, the sources run.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from hashlib import sha256
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path
from typing import Any

_ROOT = Path(__file__).resolve().parent.parent
_RECORD = "proxy/_compiled.json"


def compiled() -> bool:
    """Whether the modules that are meant to be compiled are, for this Python."""
    return any(_libraries(_ROOT))


def mode() -> str:
    """The same in a word, for people and logs."""
    return "compiled" if compiled() else "interpreted"


def stale(root: Path = _ROOT) -> str | None:
    """Why what is compiled must not be run in place of these sources, in one line; None if it may."""
    found = {path.relative_to(root).as_posix() for path in _libraries(root)}
    if not found:
        return None
    try:
        record: dict[str, Any] = json.loads((root / _RECORD).read_bytes())
    except (OSError, ValueError):
        return _line("modules", "without a record of their sources")
    expected = {path.removesuffix(".py") + record["by"]["suffix"] for path in record["modules"]}
    if found != expected:
        return _line("modules", "not all that belong together")
    for path, digest in record["sources"].items():
        try:
            same = sha256((root / path).read_bytes()).hexdigest() == digest
        except OSError:
            same = False
        if not same:
            return _line(path, "from another text than is there now")
    return None


def _line(what: str, how: str) -> str:
    return (
        f"{what} was compiled {how}: run `make compile` (or `make pure`), or install Sealgate again"
    )


def _libraries(root: Path) -> Iterator[Path]:
    """The compiled modules that this Python would import, without the library behind them."""
    for package in ("proxy", "policy", "keystore"):
        for path in (root / package).rglob("*"):
            if path.name.endswith(tuple(EXTENSION_SUFFIXES)):
                yield path
