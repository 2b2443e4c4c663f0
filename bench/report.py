"""`python -m bench.report RESULT.json`: the tables of both READMEs and the pictures, from a result file.

Prints what README.md shows; writes it between the markers of README.md, every table of bench/README.md between its
own, and the PNGs. With `--print` it writes nothing.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from bench import results, targets
from bench.cost import cost
from bench.sides import TITLES
from bench.targets import Quotient

Result = Mapping[str, Any]
BENCH = Path(__file__).resolve().parent
README = BENCH.parent / "README.md"
NONE = "-"
ELSEWHERE = ("pgcrypto_", "application_", "workers_")  # these workloads have tables of their own
BOUNCERS = ("pgbouncer", "pgcrypto_pgbouncer", "application_pgbouncer")


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.report", description=__doc__)
    parser.add_argument("result", type=Path, metavar="RESULT.json")
    parser.add_argument("--print", action="store_true", help="only print")
    options = parser.parse_args(arguments)
    result = results.read(options.result)
    print(short(result))
    if not options.print:
        from bench import plots

        for file, marked in ((README, {"": short(result)}), (BENCH / "README.md", tables(result))):
            file.write_text(filled(file.read_text(), marked))
        plots.draw(result, BENCH / "plots")
    return 0


def newest() -> Path:
    """The result file that the READMEs show: the last by name, which begins with the date."""
    return max((BENCH / "results").glob("*.json"))


def filled(text: str, marked: Mapping[str, str]) -> str:
    """The text with everything between `<!-- bench:begin NAME -->` and its end replaced. KeyError: no such marker."""
    for name, content in marked.items():
        begin = f"<!-- bench:begin {name} -->".replace("  ", " ")
        end = "<!-- bench:end -->"
        pattern = re.compile(f"{re.escape(begin)}\n.*?{re.escape(end)}", re.DOTALL)
        if not pattern.search(text):
            raise KeyError(begin)
        before, after = pattern.split(text, maxsplit=1)
        text = f"{before}{begin}\n{content}\n{end}{after}"
    return text


# -- README.md, and the terminal ------------------------------------------------------------------


def short(result: Result) -> str:
    """Date, machine and targets."""
    return f"{origin(result)}\n\n{of_targets(result)}"


def text(result: Result) -> str:
    """For a terminal, after a run: the targets, and what was not measured or failed."""
    rows = target_rows(result)
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = ["", *("  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)) for row in rows)]
    lines += [f"not available: {name}: {why}" for name, why in missing(result)]
    lines += [f"FAILED: {what}" for what in results.failures(dict(result))]
    return "\n".join(lines)


def origin(result: Result) -> str:
    machine, settings = result["machine"], result["settings"]
    built = "compiled" if machine["compiled"] else "interpreted"
    changed = " with changes" if machine["changed_since_commit"] else ""
    count = settings["rounds"]
    rounds = "one round" if count == 1 else f"medians of {count} rounds"
    commit = (machine["commit"] or "")[:10] or "no commit"
    return (
        f"Measured {result['date'][:10]} on {machine['cores']} cores ({machine['cpu']}), kernel {machine['kernel']}, "
        f"Python {machine['python']}, PostgreSQL {machine['postgresql']}, pgbouncer {machine['pgbouncer'] or 'missing'}; "
        f"Sealgate {built}, {commit}{changed}; scale {settings['name']}, {rounds} of "
        f"{settings['seconds']:g} s."
    )


def of_targets(result: Result) -> str:
    return table(["what", "target", "measured", ""], target_rows(result))


def target_rows(result: Result) -> list[list[str]]:
    return [
        [
            one["what"],
            f"{one['sense']} {bound(one['bound'])}{_unit(one)}",
            number(one["figure"]) + (_unit(one) if one["figure"] is not None else ""),
            one["verdict"],
        ]
        for one in targets.judge(result)
    ]


# -- bench/README.md ------------------------------------------------------------------------------


def tables(result: Result) -> dict[str, str]:
    """Name of a marker -> what stands there."""
    makers: Mapping[str, Callable[[Result], str]] = {
        "origin": origin,
        "targets": of_targets,
        "rates": of_rates,
        "latency": of_latency,
        "cpu": of_cpu,
        "workers": of_workers,
        "pgcrypto": lambda r: of_rivals(
            r,
            "pgcrypto_",
            ("pgcrypto", "pgcrypto_pgbouncer", "pgcrypto_raw"),
            "sealed_pgcrypto",
        ),
        "application": lambda r: of_rivals(
            r, "application_", ("application", "application_pgbouncer"), "sealed_application"
        ),
        "storage": of_storage,
        "plans": of_plans,
        "memory": of_memory,
        "streaming": of_streaming,
        "blocks": of_blocks,
        "missing": of_missing,
    }
    return {name: make(result) for name, make in makers.items()}


def of_rates(result: Result) -> str:
    """Ratios first, then the rates they are made of."""
    rows = []
    for name, entry in _measured(result):
        medians = entry["medians"]
        ours = "sealed" if "sealed" in medians else "sealgate"
        if ours not in medians or name.startswith(ELSEWHERE):
            continue
        rows.append(
            [
                f"{entry['title']}; {_clients(entry)}",
                *(number(Quotient(name, s, "pgbouncer")(result)) for s in ("sealgate", "sealed")),
                number(Quotient(name, "sealed", "pgbouncer_sealed")(result)),
                *(
                    number(medians.get(side, {}).get("rate"))
                    for side in ("direct", "pgbouncer", "pgbouncer_sealed", "sealgate", "sealed")
                ),
            ]
        )
    heads = [
        "workload",
        "unprotected / pgbouncer",
        "sealed / pgbouncer",
        "sealed / pgbouncer with the sealed bytes",
        "direct",
        "pgbouncer",
        "pgbouncer, sealed bytes",
        "Sealgate, unprotected",
        "Sealgate, sealed",
    ]
    return table(heads, rows)


def of_latency(result: Result) -> str:
    rows = []
    for _, entry in _measured(result):
        medians = entry["medians"]
        if "p50_ms" not in medians.get("direct", {}):
            continue
        cells = []
        for side in ("pgbouncer", "sealgate", "sealed"):
            for quantile in ("p50_ms", "p99_ms"):
                value = medians.get(side, {}).get(quantile)
                base = medians["direct"][quantile]
                cells.append(NONE if value is None else f"{value - base:+,.2f}")
        direct = [number(medians["direct"][q]) for q in ("p50_ms", "p99_ms")]
        rows.append([f"{entry['title']}; {_clients(entry)}", *direct, *cells])
    heads = ["workload, ms", "direct p50", "direct p99"]
    for side in ("pgbouncer", "unprotected", "sealed"):
        heads += [f"{side} p50", f"{side} p99"]
    return table(heads, rows)


def of_cpu(result: Result) -> str:
    rows = []
    for _, entry in _measured(result):
        each = {
            side: figures["cpu_s"] / figures["count"] * 1e6
            for side, figures in entry["medians"].items()
            if "cpu_s" in figures and figures["count"]
        }
        sealed = next(
            (each[s] for s in ("sealed", "sealed_pgcrypto", "sealed_application") if s in each),
            None,
        )
        if not each:
            continue
        bouncer = next((each[side] for side in BOUNCERS if side in each), None)
        cells = entry["cells"]
        rows.append(
            [
                f"{entry['title']}; {_clients(entry)}",
                number(bouncer),
                number(each.get("sealgate")),
                number(sealed),
                number(sealed / cells if sealed is not None and cells else None),
            ]
        )
    heads = [
        "workload",
        "pgbouncer, us each",
        "Sealgate unprotected",
        "Sealgate sealed",
        "s per million sealed cells",
    ]
    return table(heads, rows)


def of_workers(result: Result) -> str:
    """What several workers do beside one, beside what the CPU time of everybody lets them do."""
    rows = []
    for name, entry in _measured(result):
        medians = entry["medians"]
        for side in medians:
            one, _, count = side.partition("_")
            if one not in ("sealgate", "sealed") or not count.isdigit():
                continue
            alone, several = cost(medians.get(one, {})), cost(medians[side])
            cores = result["machine"]["cores"]
            rows.append(
                [
                    f"{entry['title']}; {_clients(entry)}",
                    TITLES.get(one, one),
                    count,
                    number(Quotient(name, side, one)(result)),
                    number(alone.possible(int(count), cores) if alone else None),
                    number(medians.get(one, {}).get("rate")),
                    number(medians[side]["rate"]),
                    number(alone.proxy if alone else None),
                    number(alone.others if alone else None),
                    number(several.proxy if several else None),
                    number(several.others if several else None),
                    number(several.cores if several else None),
                ]
            )
    if not rows:
        return "More than one worker was not measured."
    heads = [
        *("workload", "side", "workers", "against one", "possible", "one", "several"),
        *("one: proxy, us each", "server and client"),
        *("several: proxy, us each", "server and client", "cores at work"),
    ]
    return table(heads, rows)


def of_rivals(result: Result, prefix: str, rivals: Sequence[str], ours: str) -> str:
    rows = []
    for name, entry in _measured(result):
        if name.startswith(prefix):
            medians = entry["medians"]
            rows.append(
                [
                    f"{entry['title']}; {_clients(entry)}",
                    *(number(Quotient(name, ours, rival)(result)) for rival in rivals),
                    *(number(medians.get(side, {}).get("rate")) for side in (ours, *rivals)),
                ]
            )
    if not rows:
        return "Not measured."
    heads = [
        "workload",
        *(f"Sealgate / {TITLES[r]}" for r in rivals),
        *(TITLES[s] for s in (ours, *rivals)),
    ]
    return table(heads, rows)


def of_storage(result: Result) -> str:
    cases = _cases(result, "storage")
    names = list(next(iter(cases.values()), {}))
    rows = [
        [name.removesuffix("_bytes").replace("_", " "), *(number(cases[c][name]) for c in cases)]
        for name in names
    ]
    return table(["average bytes", *cases], rows)


def of_plans(result: Result) -> str:
    cases = _cases(result, "plans")
    return table(
        ["side", "index scan", "plan"],
        [
            [TITLES[c], "yes" if v["index_scan"] else "no", f"`{v['plan']}`"]
            for c, v in cases.items()
        ],
    )


def of_memory(result: Result) -> str:
    heads = [
        "proxy",
        "connections",
        "MB before",
        "kB per idle connection",
        "kB more after a statement each",
    ]
    rows = [
        [
            TITLES.get(case, case).partition(",")[0],
            f"{v['connections']:,}",
            number(v["before_mb"]),
            number(v["per_connection_kb"]),
            number(v["more_after_a_statement_kb"]),
        ]
        for case, v in _cases(result, "idle").items()
    ]
    return table(heads, rows)


def of_streaming(result: Result) -> str:
    heads = [
        "side",
        "rows",
        "seconds",
        "MB before",
        "MB at the peak",
        "MB of growth after the first fifth",
    ]
    rows = [
        [
            TITLES[case],
            f"{v['rows']:,}",
            number(v["seconds"]),
            *(number(v[name]) for name in ("before_mb", "peak_mb", "growth_mb")),
        ]
        for case, v in _cases(result, "streaming").items()
    ]
    return table(heads, rows)


def of_blocks(result: Result) -> str:
    heads = [
        "while",
        "longest, ms",
        "of it on a core, ms",
        "blocks over 10 ms",
        "longest with waiting for a core, ms",
        "seconds in all",
    ]
    rows = [
        [
            case,
            number(v["longest_ms"]),
            number(v["of_it_on_core_ms"]),
            f"{v['over_10_ms']}",
            number(v["longest_with_waiting_for_a_core_ms"]),
            number(v["seconds"]),
        ]
        for case, v in _cases(result, "blocks").items()
    ]
    return table(heads, rows)


def of_missing(result: Result) -> str:
    lines = [f"- {TITLES.get(name, name)}: {why}" for name, why in missing(result)]
    lines += [f"- FAILED: {what}" for what in results.failures(dict(result))]
    return "\n".join(lines) or "Every side ran, and none failed."


def missing(result: Result) -> list[tuple[str, str]]:
    """(side, why), each once."""
    found = dict(result.get("missing", {}))
    for kind in ("measured", "observed"):
        for entry in result[kind].values():
            found.update(entry["missing"])
    return list(found.items())


# -- words ----------------------------------------------------------------------------------------


def _measured(result: Result) -> Iterator[tuple[str, Mapping[str, Any]]]:
    yield from result["measured"].items()


def _cases(result: Result, name: str) -> Mapping[str, Mapping[str, Any]]:
    found: Mapping[str, Mapping[str, Any]] = result["observed"].get(name, {}).get("cases", {})
    return found


def _clients(entry: Mapping[str, Any]) -> str:
    count = entry["clients"]
    return "1 client" if count == 1 else f"{count} clients"


def _unit(target: Mapping[str, Any]) -> str:
    return f" {target['unit']}" if target["unit"] else ""


def bound(value: float) -> str:
    return f"{value:,.2f}" if value < 2 and value != int(value) else f"{value:,g}"


def number(value: float | None) -> str:
    """Three digits that matter, or all of a large one."""
    if value is None:
        return NONE
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.2f}" if abs(value) < 10 else f"{value:.1f}"


def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table."""
    if not rows:
        return "Not measured."
    lines = ["| " + " | ".join(row) + " |" for row in (heads, *rows)]
    return "\n".join([lines[0], "|" + "---|" * len(heads), *lines[1:]])


if __name__ == "__main__":
    sys.exit(main())
