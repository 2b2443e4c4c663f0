"""What people and programs read: aligned columns, or JSON."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence


def say_json(value: object) -> None:
    print(json.dumps(value, indent=2, ensure_ascii=False, default=str))


def aligned(rows: Iterable[Sequence[str]], indent: str = "  ", gap: str = "  ") -> str:
    """Rows as lines whose cells stand under each other; no trailing blanks."""
    table = [list(row) for row in rows]
    if not table:
        return ""
    widths = [
        max(len(row[i]) for row in table if i < len(row)) for i in range(max(map(len, table)))
    ]
    return "\n".join(
        (
            indent + gap.join(cell.ljust(width) for cell, width in zip(row, widths, strict=False))
        ).rstrip()
        for row in table
    )
