"""The READMEs show what the committed result says, and the tables are made right."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench import plots, report, results
from tests.bench.made import result

ROOT = Path(__file__).parents[2]


def test_the_readmes_show_the_committed_result() -> None:
    """Filling them again from the newest result file changes nothing: no figure is edited by hand."""
    committed = results.read(report.newest())
    readme = (ROOT / "README.md").read_text()
    page = (ROOT / "bench" / "README.md").read_text()
    assert report.filled(readme, {"": report.short(committed)}) == readme
    assert report.filled(page, report.tables(committed)) == page


def test_the_pictures_of_the_page_are_there() -> None:
    """Every picture that bench/README.md shows is committed, and none is left over."""
    page = (ROOT / "bench" / "README.md").read_text()
    drawn = {f"plots/{file.name}" for file in (ROOT / "bench" / "plots").glob("*.png")}
    shown = {part.split(")")[0] for part in page.split("](")[1:] if part.startswith("plots/")}
    assert shown == drawn
    assert shown


def test_filling_replaces_what_stands_between_the_markers() -> None:
    text = "a\n<!-- bench:begin x -->\nold\n<!-- bench:end -->\nb\n<!-- bench:begin y -->\n<!-- bench:end -->\n"
    filled = report.filled(text, {"x": "new", "y": "too"})
    assert filled == text.replace("old", "new").replace("y -->\n", "y -->\ntoo\n")
    assert report.filled(filled, {"x": "new", "y": "too"}) == filled
    with pytest.raises(KeyError):
        report.filled(text, {"z": "nowhere"})


def test_the_short_report_says_where_and_hides_nothing() -> None:
    told = report.short(result())
    assert told.startswith("Measured 2026-01-31 on 2 cores (A CPU), kernel 6.1, Python 3.11.7,")
    assert "pgbouncer missing; Sealgate interpreted, 0123456789;" in told
    assert told.count("\n| ") == 1 + 19
    assert "| longest block of the event loop | at most 50 ms | 50.5 ms | not met |" in told


def test_what_did_not_run_is_told() -> None:
    assert report.of_missing(result()) == (
        "- pgcrypto (raw AES-CBC): no PostgreSQL with pgcrypto\n"
        "- FAILED: storage: OSError: no space left"
    )


def test_added_latency_is_against_the_direct_connection() -> None:
    made = result()
    made["measured"]["point_select_prepared@8"]["medians"]["sealgate"] = {
        "p50_ms": 8.25,
        "p99_ms": 9.0,
    }
    row = report.of_latency(made).splitlines()[3]
    assert row.endswith("8 clients | 8.00 | 9.50 | +0.00 | +0.00 | +0.25 | -0.50 | - | - |")


def test_cpu_is_told_per_transaction_and_per_million_cells() -> None:
    """0.5 s for 200 transactions of 1,000 sealed cells: 2,500 us each, 2.5 s per million cells."""
    row = next(line for line in report.of_cpu(result()).splitlines() if "2,500" in line)
    assert row == "| 1,000-row SELECT; 8 clients | - | - | 2,500 | 2.50 |"


def test_rivals_are_shown_with_and_without_a_pooler() -> None:
    """Every workload has a quotient to each of them, beside the rates; what was not measured is a dash."""
    told = report.tables(result())
    assert "| look-up; 8 clients | 0.25 | 1.25 | - | 1,000 | 4,000 | 800 | - |" in told["pgcrypto"]
    assert "| look-up; 1 client | - | 1.00 | 1,000 | - | 1,000 |" in told["application"]


def test_what_workers_could_do_stands_beside_what_they_did() -> None:
    """Of 2,000 rows: 0.5 s of the proxy, 0.1 s of the server, 25 ms of the client; on two cores 1.6 is possible."""
    made = result()
    one, two = (
        made["measured"]["workers_rows@8"]["medians"][side] for side in ("sealed", "sealed_2")
    )
    one.update(server_cpu_s=0.1, client_cpu_s=0.025)
    row = report.of_workers(made).splitlines()[2]
    assert row == (
        "| rows, discarded; 8 clients | Sealgate, sealed columns | 2 | 1.59 | 1.60 | 1,000 | 1,590 "
        "| 250 | 62.5 | - | - | - |"
    )
    two.update(cpu_s=0.6, server_cpu_s=0.3, client_cpu_s=0.1)
    row = report.of_workers(made).splitlines()[2]
    assert row.endswith("| 250 | 62.5 | 189 | 126 | 0.50 |")
    assert "rows, discarded" not in report.of_rates(made)


@pytest.mark.parametrize(
    ("value", "shown"),
    [(None, "-"), (0.649, "0.65"), (9.994, "9.99"), (12.34, "12.3"), (150_000.4, "150,000")],
)
def test_numbers(value: float | None, shown: str) -> None:
    assert report.number(value) == shown


def test_a_result_survives_its_file(tmp_path: Path) -> None:
    """What is written is read back, to six digits; another format is refused."""
    file = tmp_path / "r.json"
    results.write({**result(), "exact": 1 / 3}, file)
    assert results.read(file) == {**result(), "exact": 0.333333}
    file.write_text('{"format": 2}')
    with pytest.raises(ValueError, match="format 1"):
        results.read(file)


def test_every_picture_is_drawn(tmp_path: Path) -> None:
    """From a result that has what they show; from one that has nothing, none."""
    drawn = plots.draw(result(), tmp_path)
    assert [file.name for file in drawn] == [
        "ratios.png",
        "sealed_columns.png",
        "latency.png",
        "streaming.png",
    ]
    assert all(file.read_bytes().startswith(b"\x89PNG") for file in drawn)
    nothing = {**result(), "measured": {}, "observed": {}}
    assert plots.draw(nothing, tmp_path) == []
