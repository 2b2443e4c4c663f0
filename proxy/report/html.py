"""A document as one HTML file: no scripts, nothing loaded from elsewhere, plots as inline SVG.

Names come from clients and from the log: Jinja2 escapes whatever the template shows, and the page forbids by its own
Content-Security-Policy what an escaped name could not do anyway.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template

from proxy.report.document import Bars, Document
from proxy.report.human import Human

WIDTH: Final = 960
HEIGHT: Final = 180
_BASE: Final = HEIGHT - 22
_TOP: Final = 18


@dataclass(frozen=True, slots=True)
class Bar:
    series: int
    label: str
    value: int
    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True, slots=True)
class Tick:
    x: float
    label: str
    anchor: str


@dataclass(frozen=True, slots=True)
class Plot:
    """Bars in the units of the picture."""

    width: int
    height: int
    base: int
    most: int
    bars: tuple[Bar, ...]
    ticks: tuple[Tick, ...]


def html(document: Document) -> str:
    """The whole report."""
    return _template().render(document=document)


@cache
def _template() -> Template:
    environment = Environment(
        autoescape=True,
        undefined=StrictUndefined,
        loader=FileSystemLoader(Path(__file__).parent / "templates"),
        keep_trailing_newline=True,
    )
    environment.globals.update(
        is_human=lambda value: isinstance(value, Human),
        is_text=lambda value: isinstance(value, tuple),
        kind_of=lambda block: type(block).__name__,
        drawn=drawn,
    )
    return environment.get_template("page.html")


def drawn(plot: Bars) -> Plot:
    """Where each bar stands."""
    most = max((sum(values) for _, values in plot.bars), default=0)
    step = WIDTH / max(len(plot.bars), 1)
    scale = (_BASE - _TOP) / max(most, 1)
    bars = []
    for index, (label, values) in enumerate(plot.bars):
        top = float(_BASE)
        for series, value in enumerate(values):
            if value:
                tall = max(value * scale, 1.0)
                top -= tall
                name = f"{label}, {plot.series[series]}"
                bars.append(
                    Bar(series, name, value, *_rounded(index * step, top, step * 0.8, tall))
                )
    ends = {0: "start", len(plot.bars) - 1: "end"} if len(plot.bars) > 1 else {0: "start"}
    ticks = tuple(
        Tick(round(index * step if anchor == "start" else WIDTH, 1), plot.bars[index][0], anchor)
        for index, anchor in ends.items()
        if plot.bars
    )
    return Plot(WIDTH, HEIGHT, _BASE, most, tuple(bars), ticks)


def _rounded(*numbers: float) -> tuple[float, ...]:
    return tuple(round(number, 1) for number in numbers)
