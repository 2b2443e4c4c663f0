"""Paths in a jsonb document, as `search` declares them: keys with dots between, `address.city`.

A key with a dot or a quote in it is quoted as SQL quotes names: `"a.b".c`, `"5"" disk".x`.
Elements of arrays have no path.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

LONGEST: Final = 32
"""Keys of one path."""

_KEY: Final = re.compile(r'"((?:[^"\0]|"")*)"|([^".\0]+)')


@lru_cache(maxsize=4096)
def path_keys(path: str) -> tuple[str, ...]:
    """The keys of a declared path, outermost first. Raises ValueError for what is none."""
    keys: list[str] = []
    at = 0
    while True:
        found = _KEY.match(path, at)
        if found is None or len(keys) == LONGEST:
            raise ValueError("not a path")
        keys.append(found[2] if found[1] is None else found[1].replace('""', '"'))
        at = found.end()
        if at == len(path):
            return tuple(keys)
        if path[at] != ".":
            raise ValueError("not a path")
        at += 1
