"""What a dry run says that search would cost, against what it then costs."""

from __future__ import annotations

import pytest

from keystore import generate
from proxy.database.forecast import index_size, split_terms
from proxy.database.terms import EQUALITY, MATCH, ORDER, TERMS
from tests.database.conftest import Shop
from tests.database.measured import FILL, columns

ROWS = 3000


@pytest.mark.parametrize("passes", [False, True], ids=["sealed with terms", "terms by a pass"])
async def test_the_forecast_is_near_the_truth(shop: Shop, passes: bool) -> None:
    """Every kind of term: bytes a value to the half byte, tables and indexes within a third; nothing is changed by asking."""
    await shop.connection.execute(FILL.format(rows=ROWS))
    shop.keyset = generate(columns(search=True))
    if passes:
        shop.columns = columns(search=False)
        await shop.sealed()
    before = await shop.definition("people")
    shop.columns = columns(search=True)
    told = await shop.apply(dry_run=True)
    assert await shop.definition("people") == before
    real = (await shop.sealed()).tables[0]
    planned = told.tables[0]
    assert planned.rows == ROWS
    for reckoned, came in (
        (planned.table_bytes_after, real.table_bytes_after),
        (planned.index_bytes_after, real.index_bytes_after),
    ):
        assert reckoned is not None
        assert came is not None
        assert 0.67 < reckoned / came < 1.5
    kinds = {(t.column.rpartition(".")[2], t.term): t.value_bytes for t in planned.terms}
    rows = await shop.connection.fetch("SELECT email, name, born, at, price, doc FROM people")
    for (name, said), size in kinds.items():
        term = next(t for t in TERMS if t.said == said)
        if name == "city":
            continue
        stored = [len(split_terms(row[name])[term]) + (term is not EQUALITY) * 2 for row in rows]
        assert size == pytest.approx(sum(stored) / ROWS, abs=0.5), (name, said)
    assert kinds["email", "equality"] == 16
    assert kinds["name", "case-insensitive equality"] == 18
    assert kinds["born", "order"] == 2 + 32
    assert kinds["at", "order"] == 2 + 64
    assert kinds["name", "order"] == 2 + 8 * 17
    text = "\n".join(told.lines())
    assert "order terms take 34.0 bytes a value, their index" in text
    assert ("dead rows until VACUUM" in text) == passes
    assert ("locked for about" in text) == (not passes)


async def test_rows_that_are_right_are_not_counted(shop: Shop) -> None:
    """Only the server's word is missing, as after an upgrade: no row changes, and both reports say so."""
    await shop.connection.execute(FILL.format(rows=200))
    shop.columns = columns(search=True)
    shop.keyset = generate(shop.columns)
    await shop.sealed()
    for (name,) in await shop.connection.fetch(
        "SELECT conname FROM pg_constraint WHERE conname LIKE 'sealgate_terms_%'"
    ):
        await shop.connection.execute(f"ALTER TABLE people DROP CONSTRAINT {name}")
    told = await shop.apply(dry_run=True)
    assert told.tables[0].derived == told.tables[0].dead_bytes == 0
    assert "has order terms, for which the server would come to vouch" in "\n".join(told.lines())
    done = await shop.sealed()
    assert done.tables[0].derived == 0
    assert "has order terms, for which the server vouches" in "\n".join(done.lines())


async def test_without_keys_there_are_no_sizes(shop: Shop) -> None:
    """A dry run that lacks a key, or cannot open what is stored, still says what would be done."""
    await shop.connection.execute(FILL.format(rows=50))
    shop.columns = columns(search=False)
    shop.keyset = generate(())
    report = await shop.apply(dry_run=True)
    assert "no active keys" in report.obstacles[0].problem
    assert report.tables[0].rows is None
    shop.keyset = generate(shop.columns)
    await shop.sealed()
    shop.columns = columns(search=True)
    shop.keyset = generate(("public.other.x", *shop.columns))
    report = await shop.apply(dry_run=True)
    assert report.ok
    assert report.tables[0].rows is None
    assert "would be given equality terms" in "\n".join(report.lines())


def test_index_sizes_of_known_terms() -> None:
    """40 bytes a row for distinct equality terms; repeated ones share their key; nothing costs nothing."""
    distinct = [i.to_bytes(16, "big") for i in range(1000)]
    assert index_size(EQUALITY, distinct, 1000, 10) == 40_000
    assert index_size(EQUALITY, [b"x" * 16] * 1000, 1000, 10) < 8_000
    assert index_size(ORDER, [], 0, 0) == index_size(MATCH, [b""], 1, 1) == 0
