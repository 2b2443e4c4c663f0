"""A document as Markdown (CommonMark with GitHub's tables).

Names come from clients and from the log. Whatever could be markup in them is escaped: brackets of HTML as entities, which
every dialect reads, the rest with a backslash. So a cell stays a cell and a name shows as it is.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from proxy.report.document import (
    Alert,
    Bars,
    Block,
    Bullets,
    Cell,
    Document,
    Facts,
    Listing,
    Paragraph,
    Table,
    Text,
)
from proxy.report.human import Human

_ENTITIES: Final = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}
_SPECIAL: Final = re.compile(r"[\\`*_\[\]{}#!$|~^@+=&<>]")
_OPENS: Final = re.compile(r"^(\s*)([-:]|\d+[.)])")
"""What would make a list, or a table's rule, of a line."""
_LINKS: Final = re.compile(r"(?i)(https?|ftp|mailto|xmpp)(:)|(www)(\.)")
"""What GitHub makes links of by itself."""
_BREAK: Final = re.compile(r"[\x00-\x1f\x7f\x85\u2028\u2029]+")
_WIDTH: Final = 40


def markdown(document: Document) -> str:
    """The whole report."""
    lines = [f"# {escaped(document.title)}", "", *_block(document.facts)]
    for section in document.sections:
        lines += ["", f"## {escaped(section.title)}"]
        for block in section.blocks:
            lines += ["", *_block(block)]
    return "\n".join(lines) + "\n"


def escaped(text: str) -> str:
    """`text` as one line that shows as it is."""
    text = _SPECIAL.sub(_escape, _BREAK.sub(" ", text))
    return _LINKS.sub(lambda m: f"{m[1] or m[3]}\\{m[2] or m[4]}", text)


def _escape(found: re.Match[str]) -> str:
    return _ENTITIES.get(found[0]) or "\\" + found[0]


def _block(block: Block) -> Iterator[str]:
    match block:
        case Paragraph():
            yield _line(block.text)
        case Alert():
            yield f"> **Attention.** {_text(block.text)}"
        case Bullets():
            yield from (f"- {_line(item)}" for item in block.items)
        case Facts():
            yield from _table(("", ""), tuple(block.rows))
        case Table():
            if not block.rows:
                yield _line((block.empty,))
            else:
                yield from _table(block.head, block.rows)
            if block.left_out:
                yield from ("", f"… and {block.left_out} more that are not shown.")
        case Listing():
            yield from (f"    {_BREAK.sub(' ', line)}" for line in block.text.split("\n"))
        case Bars():
            yield from _bars(block)


def _table(head: tuple[str, ...], rows: tuple[tuple[Cell, ...], ...]) -> Iterator[str]:
    yield _row(head)
    yield _row(tuple("---" for _ in head), raw=True)
    yield from (_row(row) for row in rows)


def _row(cells: tuple[Cell, ...], *, raw: bool = False) -> str:
    shown = [str(cell) if raw else _cell(cell) for cell in cells]
    return f"| {' | '.join(shown)} |"


def _cell(cell: Cell) -> str:
    if cell is None:
        return "—"
    if isinstance(cell, int):
        return f"{cell:,}"
    return _text(cell) if isinstance(cell, tuple) else _part(cell)


def _part(part: str | Human) -> str:
    return f"**{escaped(str(part))}**" if isinstance(part, Human) else escaped(part)


def _text(text: Text) -> str:
    """What a person fills in stands apart: within a word, Markdown's stars would be stars."""
    shown = ""
    apart = False
    for part in text:
        new = _part(part)
        if shown and (apart or isinstance(part, Human)) and not shown.endswith(" "):
            shown += "" if new.startswith((" ", ".", ",", ";", ":")) else " "
        shown += new
        apart = isinstance(part, Human)
    return shown.strip()


def _line(text: Text) -> str:
    """A line of its own."""
    return _OPENS.sub(lambda m: f"{m[1]}{m[2][:-1]}\\{m[2][-1]}", _text(text) or "—")


def _bars(plot: Bars) -> Iterator[str]:
    """Bars of characters: a code block, so nothing in it is markup."""
    yield _line((f"{plot.title} ({', '.join(plot.series)})",))
    yield ""
    most = max((sum(values) for _, values in plot.bars), default=0)
    wide = max((len(label) for label, _ in plot.bars), default=0)
    for label, values in plot.bars:
        total = sum(values)
        if not total:
            continue
        drawn = "█" * max(round(_WIDTH * total / most), 1)
        line = f"{_BREAK.sub(' ', label).ljust(wide)}  {drawn} {total:,}"
        yield f"    {line.rstrip()}"
