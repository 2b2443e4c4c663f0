"""What a machine cannot know. A type of its own, so that no client's text can pass for such a mark, nor hide one."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Human:
    """A field that a person fills in: what is asked for."""

    what: str

    def __str__(self) -> str:
        return f"[HUMAN: {self.what}]"


def asked(value: object) -> list[str]:
    """Every such field within a report's JSON form (`plain`), in the order of the report."""
    if isinstance(value, dict):
        if value.keys() == {"human"}:
            return [str(value["human"])]
        return [what for item in value.values() for what in asked(item)]
    if isinstance(value, list):
        return [what for item in value for what in asked(item)]
    return []
