"""Pictures out of a result: what the tables of bench/README.md say, to see at a glance. Needs matplotlib."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("Agg")  # before pyplot: no screen is needed

from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from bench.report import number
from bench.sides import TITLES
from bench.targets import TARGETS, Quotient

Result = Mapping[str, Any]
COLORS = {
    "direct": "#9aa0a6",
    "pgbouncer": "#5f6368",
    "pgbouncer_sealed": "#5f6368",
    "sealgate": "#4c9be8",
    "sealed": "#0b4f9e",
}
MARK = "#d93025"
STYLE: dict[Any, Any] = {
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 11,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "legend.frameon": False,
}


def draw(result: Result, directory: Path) -> list[Path]:
    """Writes the PNGs for which the result has figures; returns them."""
    directory.mkdir(parents=True, exist_ok=True)
    makers: Mapping[str, Callable[[Result], Figure | None]] = {
        "ratios": ratios,
        "sealed_columns": sealed_columns,
        "latency": latency,
        "streaming": streaming,
    }
    written = []
    with mpl.rc_context(STYLE):
        for name, make in makers.items():
            figure = make(result)
            if figure is None:
                continue
            file = directory / f"{name}.png"
            # No Software entry: the same figures give the same file whatever the version.
            figure.savefig(file, dpi=120, metadata={"Software": None})
            plt.close(figure)
            written.append(file)
    return written


COMPARED = (
    ("sealgate", "pgbouncer", "#8ab8ea", "unprotected table / pgbouncer"),
    ("sealed", "pgbouncer", "#0b4f9e", "sealed columns / pgbouncer, plaintext"),
    ("sealed", "pgbouncer_sealed", "#c5a15a", "sealed columns / pgbouncer, sealed bytes"),
)
BAR = 0.27


def ratios(result: Result) -> Figure | None:
    """Throughput in units of pgbouncer's, with the targets: a group of bars per workload."""
    groups = []
    for name, entry in result["measured"].items():
        bars = [
            (value, color, _bound(Quotient(name, side, to)))
            for side, to, color, _ in COMPARED
            if (value := Quotient(name, side, to)(result)) is not None
        ]
        if bars:
            groups.append((_label(entry), bars))
    if not groups:
        return None
    height = sum(len(bars) * BAR + 0.3 for _, bars in groups)
    figure, axes = plt.subplots(figsize=(10, 2.4 + 0.5 * height), layout="constrained")
    y, ticks, most = 0.0, [], 1.0
    for _, bars in groups:
        ticks.append(y - (len(bars) - 1) * BAR / 2)
        for value, color, bound in bars:
            axes.barh(y, value, height=BAR, color=color)
            axes.text(value + 0.008, y, f"{value:.2f}", va="center", fontsize=7)
            if bound is not None:
                axes.plot([bound] * 2, [y - BAR * 0.6, y + BAR * 0.6], color=MARK, linewidth=2.4)
            most = max(most, value)
            y -= BAR
        y -= 0.3
    axes.set_yticks(ticks, [label for label, _ in groups])
    axes.tick_params(axis="y", length=0)
    axes.axvline(1.0, color=COLORS["pgbouncer"], linewidth=1, linestyle="--", zorder=0)
    axes.set_xlim(0, most * 1.06)
    axes.set_ylim(y, BAR)
    axes.set_xlabel("pgbouncer in the same run = 1")
    figure.suptitle("Throughput, in units of pgbouncer's", fontweight="bold", fontsize=12)
    marks = [Line2D([], [], color=color, linewidth=7, label=words) for *_, color, words in COMPARED]
    marks.append(Line2D([], [], color=MARK, linewidth=2.4, label="target (at least)"))
    figure.legend(handles=marks, loc="outside lower center", ncols=2)
    return figure


def sealed_columns(result: Result) -> Figure | None:
    """Rows per second by number of sealed columns, for the two sizes of a result."""
    sizes = [
        (size, clients)
        for size, clients in (("1k", 8), ("100k", 1))
        if _rows(result, size, 0, clients)
    ]
    if not sizes:
        return None
    figure, all_axes = plt.subplots(
        1, len(sizes), figsize=(5 * len(sizes), 3.9), squeeze=False, layout="constrained"
    )
    for axes, (size, clients) in zip(all_axes[0], sizes, strict=True):
        _grouped(axes, result, size, clients)
    figure.legend(
        *all_axes[0][0].get_legend_handles_labels(),
        loc="outside lower center",
        ncols=4,
        fontsize=8.5,
    )
    return figure


def _grouped(axes: Axes, result: Result, size: str, clients: int) -> None:
    counts = [0, 1, 3]
    names = ("direct", "pgbouncer", "pgbouncer_sealed", "ours")
    labels = (
        "direct, plaintext",
        "pgbouncer, plaintext",
        "pgbouncer, the sealed bytes",
        "Sealgate",
    )
    colors = (COLORS["direct"], COLORS["pgbouncer"], "#c5a15a", COLORS["sealed"])
    rows = 0
    for place, (name, label, color) in enumerate(zip(names, labels, colors, strict=True)):
        heights = []
        for sealed in counts:
            medians = _rows(result, size, sealed, clients)
            rows = 1000 if size == "1k" else int(result["settings"]["copied"])
            side = ("sealed" if sealed else "sealgate") if name == "ours" else name
            heights.append(medians.get(side, {}).get("rate", 0.0) * rows)
        places = [n + (place - 1.5) * 0.2 for n in range(len(counts))]
        drawn = axes.bar(places, [h / 1e6 for h in heights], width=0.19, color=color, label=label)
        texts = [f"{h / 1e6:.2f}" if h else "" for h in heights]
        axes.bar_label(drawn, labels=texts, fontsize=7, padding=1)
    axes.set_xticks(range(len(counts)), ["nothing sealed", "1 of 4 sealed", "3 of 4 sealed"])
    axes.set_ylabel("million rows/s")
    axes.set_title(f"{rows:,}-row SELECT, {clients} client{'s' if clients > 1 else ''}")


def latency(result: Result) -> Figure | None:
    """p50 and p99 of the point SELECT by number of clients."""
    panels = [
        (quantile, words)
        for quantile, words in (("p50_ms", "median (p50)"), ("p99_ms", "slowest hundredth (p99)"))
    ]
    lines = (
        ("point_select_prepared", "direct", "o"),
        ("point_select_prepared", "pgbouncer", "s"),
        ("point_select_prepared", "sealgate", "^"),
        ("point_select_sealed", "sealed", "D"),
    )
    clients = [n for n in (1, 8, 64) if all(f"{w}@{n}" in result["measured"] for w, _, _ in lines)]
    if not clients:
        return None
    figure, all_axes = plt.subplots(1, 2, figsize=(10, 3.9), layout="constrained", sharey=True)
    for axes, (quantile, words) in zip(all_axes, panels, strict=True):
        last = []
        for workload, side, marker in lines:
            entries = [result["measured"][f"{workload}@{n}"]["medians"] for n in clients]
            values = [medians.get(side, {}).get(quantile) for medians in entries]
            if None in values:
                continue
            axes.plot(
                range(len(clients)), values, marker=marker, color=COLORS[side], label=TITLES[side]
            )
            last.append((values[-1], COLORS[side]))
        places = _spread([math.log10(value) for value, _ in last], 0.16)
        for (value, color), place in zip(last, places, strict=True):
            axes.annotate(
                number(value),
                (len(clients) - 0.93, 10**place),
                va="center",
                fontsize=8,
                color=color,
                in_layout=False,
            )
        axes.set_yscale("log")
        axes.set_xticks(range(len(clients)), [str(n) for n in clients])
        axes.set_xlim(-0.2, len(clients) - 0.6)
        axes.set_xlabel("clients")
        axes.set_title(f"point SELECT, prepared: {words}")
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
        axes.grid(axis="y", color="#e8eaed")
    all_axes[0].set_ylabel("milliseconds (logarithmic)")
    figure.legend(*all_axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=4)
    return figure


def streaming(result: Result) -> Figure | None:
    """Memory over time while rows go to a slow reader."""
    cases = result["observed"].get("streaming", {}).get("cases", {})
    if not cases:
        return None
    figure, axes = plt.subplots(figsize=(8, 3.4), layout="constrained")
    rows = 0
    for case, values in cases.items():
        samples: Sequence[Sequence[float]] = values["samples"]
        rows = values["rows"]
        label = f"{TITLES[case]} ({values['answer_mb']:,.0f} MB sent)"
        axes.plot(
            [s[0] for s in samples],
            [s[1] for s in samples],
            color=COLORS[case],
            linewidth=1.4 if case == "sealed" else 4,  # they lie on each other
            label=label,
        )
        axes.axhline(values["before_mb"], color=COLORS[case], linewidth=0.8, linestyle=":")
    top = max(max(s[1] for s in values["samples"]) for values in cases.values())
    axes.set_ylim(0, top * 1.25)
    axes.set_xlabel("seconds")
    axes.set_ylabel("resident memory, MB")
    axes.set_title(f"{rows:,} rows to a slow reader (dotted: before)")
    axes.legend(loc="lower right")
    return figure


def _rows(
    result: Result, size: str, sealed: int, clients: int
) -> Mapping[str, Mapping[str, float]]:
    entry = result["measured"].get(f"rows_{size}_{sealed}@{clients}", {})
    medians: Mapping[str, Mapping[str, float]] = entry.get("medians", {})
    return medians


def _bound(quotient: Quotient) -> float | None:
    """The target, as the least ratio. The look-up's is of times: its inverse."""
    if quotient == Quotient("lookup@8", "sealed", "pgbouncer"):
        return 1 / 1.5
    return next((target.bound for target in TARGETS if target.figure == quotient), None)


def _label(entry: Mapping[str, Any]) -> str:
    """What a workload is, short enough for an axis."""
    words: str = entry["title"].partition(":")[0]
    words = words.replace(", prepared", "").replace(" with literals", "")
    words = words.replace("extended, parsed every time", "parsed every time")
    count = entry["clients"]
    return f"{words}; {count} client{'s' if count > 1 else ''}"


def _spread(places: Sequence[float], least: float) -> list[float]:
    """The places, moved up where one is nearer than `least` to the one below it."""
    moved = list(places)
    order = sorted(range(len(places)), key=lambda n: places[n])
    for below, above in pairwise(order):
        moved[above] = max(moved[above], moved[below] + least)
    return moved
