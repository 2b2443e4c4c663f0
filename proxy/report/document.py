"""A report as blocks that know nothing of how they look. `markdown` and `html` each render all of them."""

from __future__ import annotations

import dataclasses
import hashlib
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson

from proxy.report.human import Human
from proxy.report.times import rfc3339

Part = str | Human
Text = tuple[Part, ...]
"""Words of ours, of clients and of the log, in one line; and what a person has to add."""
Cell = str | int | Human | Text | None


@dataclass(frozen=True, slots=True)
class Paragraph:
    text: Text


@dataclass(frozen=True, slots=True)
class Alert:
    """What must not be overlooked."""

    text: Text


@dataclass(frozen=True, slots=True)
class Bullets:
    items: tuple[Text, ...]


@dataclass(frozen=True, slots=True)
class Facts:
    """Names and values."""

    rows: tuple[tuple[str, Cell], ...]


@dataclass(frozen=True, slots=True)
class Table:
    head: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    left_out: int = 0
    """Rows that are not shown."""
    empty: str = "None."


@dataclass(frozen=True, slots=True)
class Listing:
    """Text that stands as it is, such as a diff."""

    text: str


@dataclass(frozen=True, slots=True)
class Bars:
    """A plot: one bar for each label, stacked by series."""

    title: str
    series: tuple[str, ...]
    bars: tuple[tuple[str, tuple[int, ...]], ...]


Block = Paragraph | Alert | Bullets | Facts | Table | Listing | Bars


@dataclass(frozen=True, slots=True)
class Section:
    title: str
    blocks: tuple[Block, ...]


@dataclass(frozen=True, slots=True)
class Document:
    title: str
    facts: Facts
    sections: tuple[Section, ...]
    sha256: str
    """Of the report's JSON."""


def plain(value: object) -> Any:
    """A model in JSON's types. Times are RFC 3339 in UTC; what a person has to fill in is `{"human": what}`."""
    if isinstance(value, Human):
        return {"human": value.what}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, datetime):
        return rfc3339(value)
    if isinstance(value, tuple | list | frozenset):
        items = sorted(value) if isinstance(value, frozenset) else value
        return [plain(item) for item in items]
    if isinstance(value, dict):
        return {str(name): plain(item) for name, item in value.items()}
    return value


def canonical(model: object) -> bytes:
    """The report itself: JSON with sorted keys and a newline, the bytes that its SHA-256 is of."""
    return orjson.dumps(plain(model), option=orjson.OPT_SORT_KEYS) + b"\n"


def digest(model: object) -> str:
    return hashlib.sha256(canonical(model)).hexdigest()


def signature(sha256: str, role: str) -> Section:
    """Where a person signs."""
    text = (
        "With my signature I confirm that I have read this report, that the fields above marked for a person are filled"
        " in as far as they are known, and what I decided."
    )
    return Section(
        "Signature",
        (
            Paragraph((text,)),
            Facts(
                (
                    ("Name", Human("name")),
                    ("Role", Human(role)),
                    ("Date and place", Human("date and place")),
                    ("Signature", Human("signature")),
                    ("SHA-256 of the report (its JSON file)", sha256),
                )
            ),
        ),
    )
