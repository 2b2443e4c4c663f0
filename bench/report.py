"""Tables out of a result, for people: in a terminal and in Markdown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from bench import targets

Result = Mapping[str, Any]


def text(result: Result) -> str:
    """The targets, and what is missing or failed."""
    rows = [
        [
            t["what"],
            f"{t['sense']} {number(t['bound'])}",
            number(t["figure"]) + unit(t),
            t["verdict"],
        ]
        for t in targets.judge(result)
    ]
    return "\n" + table(["target", "bound", "this run", ""], rows)


def unit(target: Mapping[str, Any]) -> str:
    return f" {target['unit']}" if target["unit"] and target["figure"] is not None else ""


def number(value: float | None) -> str:
    """Three digits that matter, or all of a large one."""
    if value is None:
        return "-"
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.2f}" if abs(value) < 10 else f"{value:.1f}"


def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table, with its columns aligned."""
    cells = [list(heads), *[list(row) for row in rows]]
    widths = [max(len(row[i]) for row in cells) for i in range(len(heads))]
    lines = [
        "| " + " | ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)) + " |"
        for row in cells
    ]
    lines.insert(1, "|" + "|".join("-" * (w + 2) for w in widths) + "|")
    return "\n".join(lines)
