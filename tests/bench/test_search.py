"""The benchmark of search: both sides answer alike, on servers of its own, and every index is there to be measured."""

from __future__ import annotations

from pathlib import Path

from bench import report
from bench.search import PLAIN_INDEXES, QUERIES, measure, newest, table


def test_a_small_run() -> None:
    """Each query is answered alike by both sides (measure checks it); a sealed value and its index entries have a size."""
    result = measure(1500, 0.02, Path.cwd(), lambda _: None)
    assert [query["name"] for query in result["queries"]] == [query.name for query in QUERIES]
    assert all(query["times"] >= 5 and query["sealed_ms"] > 0 for query in result["queries"])
    sizes = {size["what"]: size for size in result["sizes"]}
    assert len(sizes) == 4 + len(PLAIN_INDEXES)
    assert all(size["sealed"] for size in sizes.values())
    # 36 bytes and a term of 32 over a date, and what the table adds to a value of that length.
    assert 36 + 34 + 4 <= sizes["value of born"]["sealed"] <= 36 + 34 + 4 + 4
    assert 36 + 16 <= sizes["value of email"]["sealed"] - sizes["value of email"]["plain"] <= 60
    text = "\n".join(table(result))
    assert all(f"| {query.name} |" in text for query in QUERIES)


def test_the_readme_shows_the_newest_result() -> None:
    """If this fails, run `python -m bench.search --report`."""
    text = (report.BENCH / "README.md").read_text()
    assert report.filled(text, {"search": newest()}) == text
