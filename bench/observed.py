"""What is looked at once and not compared in rounds: memory, bytes stored, the longest block."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

Value = float | int | str | bool | None | list[list[float]]


@dataclass(frozen=True, slots=True)
class Observed:
    """cases: what was looked at -> its figures, whose names end in their unit."""

    name: str
    title: str
    cases: dict[str, Mapping[str, Value]] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)
