"""docs/reports.md: its keys are those of the reports, and what it tells people to type is understood."""

from __future__ import annotations

import dataclasses
import re
import shlex
from pathlib import Path
from typing import Any, get_type_hints

import pytest

from proxy.cli import _parser
from proxy.report.changes import Changes
from proxy.report.incident import Incident
from proxy.report.review import AccessReview

PAGE = (Path(__file__).parents[2] / "docs" / "reports.md").read_text()
REPORTS: dict[str, Any] = {
    "incident": Incident,
    "access-review": AccessReview,
    "changes": Changes,
}


def table() -> str:
    """The keys of each report, and of what is in them."""
    lines = ["| report | keys |", "|---|---|"]
    nested: dict[str, Any] = {}
    for name, report in REPORTS.items():
        lines.append(f"| {name} | {_keys(report, nested)} |")
    lines += ["", "| in them | keys |", "|---|---|"]
    done: dict[str, str] = {}
    while nested:
        name, kind = nested.popitem()
        if name not in done:
            done[name] = f"| {name} | {_keys(kind, nested)} |"
    return "\n".join([*lines, *(done[name] for name in sorted(done))])


def _keys(kind: Any, nested: dict[str, Any]) -> str:
    shown = []
    hints = get_type_hints(kind)
    for field in dataclasses.fields(kind):
        inner = _dataclasses(hints[field.name])
        nested |= {_named(one): one for one in inner}
        shown.append(f"`{field.name}`" + "".join(f" ({_named(one)})" for one in inner))
    return ", ".join(shown)


def _dataclasses(hint: Any) -> list[Any]:
    if dataclasses.is_dataclass(hint):
        return [] if hint.__name__ == "Human" else [hint]  # type: ignore[union-attr]
    return [found for part in getattr(hint, "__args__", ()) for found in _dataclasses(part)]


def _named(kind: Any) -> str:
    """`a ColumnUse` of one report is no `a ColumnUse` of another: by words, in lower case."""
    words = re.sub(r"(?<!^)(?=[A-Z])", " ", kind.__name__).lower()
    return f"{words} of {kind.__module__.rpartition('.')[2]}"


def test_the_keys_are_those_of_the_reports() -> None:
    """If this fails, put what `table()` gives behind the mark."""
    assert PAGE.split("<!-- keys: tests/report/test_page.py -->\n\n", 1)[1].strip() == table()


@pytest.mark.parametrize(
    "line", re.findall(r"^sealgate report .*$", PAGE, re.MULTILINE), ids=lambda line: line[:40]
)
def test_commands_on_the_page_are_understood(line: str) -> None:
    """By the parser that people meet."""
    _, *arguments = shlex.split(line)
    assert _parser(arguments).parse_args(arguments).run
