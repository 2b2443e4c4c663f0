"""Reads corpus.sql: statements as applications send them."""

from __future__ import annotations

from pathlib import Path

_FILE = Path(__file__).with_name("corpus.sql")


def corpus() -> list[tuple[str, str]]:
    """(family, SQL text) of every message in corpus.sql."""
    messages = []
    family = ""
    for block in _FILE.read_text().split("\n\n"):
        lines = block.strip().splitlines()
        if lines and lines[0].startswith("--- "):
            family = lines.pop(0).removeprefix("--- ")
        if family and lines:
            messages.append((family, "\n".join(lines)))
    return messages
