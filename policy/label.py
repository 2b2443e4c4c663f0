"""Labels: `schema.table.column`, each part quoted only if it is not `[a-z_][a-z0-9_$]*`.

A label has one spelling, so labels are compared as strings everywhere and a wildcard is a prefix:
`public.customers.*` covers what starts with `public.customers.`, and a quoted part, whatever dots
it holds, starts with a quote. That only holds for canonical labels: hence these checks at the edge.
"""

from __future__ import annotations

import re
from typing import Final

_PLAIN: Final = re.compile(r"[a-z_][a-z0-9_$]*")
_PART: Final = re.compile(r'"(?:[^"\0]|"")+"|[^".*\0]+')
_WILDCARD: Final = "*"
EVERYTHING: Final = "*"


def quoted(name: str) -> str:
    """One part of a label, from a name as the catalog has it."""
    if _PLAIN.fullmatch(name):
        return name
    return '"' + name.replace('"', '""') + '"'


def canonical(text: str) -> tuple[str, ...] | None:
    """The parts of a label or wildcard in their one spelling; None where it is neither.

    `*` may be the last part only. Text outside quotes is taken as it stands, not folded: whoever
    writes `public.Customers` means a name, and is told how it is spelled.
    """
    parts: list[str] = []
    at = 0
    while True:
        if text[at:] == _WILDCARD:
            return (*parts, _WILDCARD)
        part = _PART.match(text, at)
        if part is None:
            return None
        parts.append(quoted(_unquoted(part[0])))
        at = part.end()
        if at == len(text):
            return tuple(parts)
        if text[at] != ".":
            return None
        at += 1


def covers(pattern: str, column: str) -> bool:
    """Whether a grant's pattern (`*`, `schema.*`, `schema.table.*` or a label) means this column."""
    if pattern.endswith(_WILDCARD):
        return column.startswith(pattern[:-1])
    return pattern == column


def _unquoted(part: str) -> str:
    return part[1:-1].replace('""', '"') if part.startswith('"') else part
