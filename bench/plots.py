"""Pictures out of a result: what the tables of bench/README.md say, to see at a glance. Needs matplotlib."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("Agg")  # before pyplot: no screen is needed

from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

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


def ratios(result: Result) -> Figure | None:
    """Throughput in units of pgbouncer's, with the targets."""
    bounds = {t.figure: t.bound for t in TARGETS if isinstance(t.figure, Quotient)}
    bars = []
    for name, entry in result["measured"].items():
        for side, to in (
            ("sealgate", "pgbouncer"),
            ("sealed", "pgbouncer"),
            ("sealed", "pgbouncer_sealed"),
        ):
            quotient = Quotient(name, side, to)
            value = quotient(result)
            sealed_too = (
                to == "pgbouncer" and side == "sealed" and "pgbouncer_sealed" in entry["medians"]
            )
            if value is None or (sealed_too and quotient not in bounds):
                continue
            against = " / pgbouncer with the sealed bytes" if to == "pgbouncer_sealed" else ""
            count = entry["clients"]
            words = (
                f"{_shortened(entry['title'])}, {count} client{'s' if count > 1 else ''}{against}"
            )
            bars.append((words, value, COLORS[side], _bound(quotient, bounds)))
    if not bars:
        return None
    bars.reverse()
    figure, axes = plt.subplots(figsize=(10, 1.4 + 0.24 * len(bars)), layout="constrained")
    axes.barh(range(len(bars)), [b[1] for b in bars], color=[b[2] for b in bars], height=0.72)
    axes.set_yticks(range(len(bars)), [b[0] for b in bars])
    for y, (_, value, _, bound) in enumerate(bars):
        axes.text(value + 0.008, y, f"{value:.2f}", va="center", fontsize=8)
        if bound is not None:
            axes.plot([bound, bound], [y - 0.45, y + 0.45], color=MARK, linewidth=2.2)
    axes.axvline(1.0, color=COLORS["pgbouncer"], linewidth=1, linestyle="--")
    axes.set_xlim(0, max(1.08, *(b[1] * 1.08 for b in bars)))
    axes.margins(y=0.01)
    axes.set_xlabel(
        "throughput in units of pgbouncer's, in the same run (dashed: as fast as pgbouncer)"
    )
    axes.set_title("Sealgate against pgbouncer")
    axes.legend(
        handles=[
            Line2D([], [], color=COLORS["sealgate"], linewidth=7, label="unprotected table"),
            Line2D([], [], color=COLORS["sealed"], linewidth=7, label="sealed columns"),
            Line2D([], [], color=MARK, linewidth=2.2, label="target"),
        ],
        loc="upper center",
        bbox_to_anchor=(0.3, -0.06 - 0.6 / len(bars)),
        ncols=3,
    )
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
    if len(clients) < 2:
        return None
    figure, all_axes = plt.subplots(1, 2, figsize=(10, 3.9), layout="constrained", sharey=True)
    for axes, (quantile, words) in zip(all_axes, panels, strict=True):
        for workload, side, marker in lines:
            values = [
                result["measured"][f"{workload}@{n}"]["medians"].get(side, {}).get(quantile)
                for n in clients
            ]
            if None in values:
                continue
            axes.plot(
                range(len(clients)), values, marker=marker, color=COLORS[side], label=TITLES[side]
            )
            axes.annotate(
                f"{values[-1]:.2g}",
                (len(clients) - 1, values[-1]),
                (6, -3),
                textcoords="offset points",
                fontsize=8,
            )
        axes.set_yscale("log")
        axes.set_xticks(range(len(clients)), [str(n) for n in clients])
        axes.set_xlim(-0.2, len(clients) - 0.7)
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
        axes.plot([s[0] for s in samples], [s[1] for s in samples], color=COLORS[case], label=label)
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


def _bound(quotient: Quotient, bounds: Mapping[Any, float]) -> float | None:
    """The target, as the least ratio. The look-up's is in time: its inverse."""
    if quotient in bounds:
        return bounds[quotient]
    if quotient == Quotient("lookup@8", "sealed", "pgbouncer"):
        return 1 / 1.5
    return None


def _shortened(title: str) -> str:
    return title.replace(", prepared", "").replace(
        "simple protocol with literals", "simple protocol"
    )
