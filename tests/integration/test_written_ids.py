"""Writes of every shape: no sealed value gets into a table without its id being told, or being said not to be known."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from proxy.audit.cells_file import SideFiles
from proxy.audit.disclosed import disclosed
from tests.integration.schemas import Schemas
from tests.integration.shop import Shop
from tests.integration.test_writes import WITH_PARAMETERS, WRITES
from tests.integration.types.twins import Statement

TABLES = {
    "customers": ("email", "ssn", "born", "age"),
    "events": ("email",),
    "people": ("email",),
    "archive": ("email",),
}
STATEMENTS: list[tuple[str, tuple[bytes | None, ...] | None]] = [
    *((line, None) for line in WRITES.strip().splitlines()),
    *WITH_PARAMETERS,
    ("INSERT INTO customers (id, email) VALUES (7, 'a'), (8, 'b'), (9, NULL)", None),
    ("INSERT INTO customers (id, email) VALUES (1, 'a') ON CONFLICT DO NOTHING", None),
    ("UPDATE customers SET email = $1, ssn = $2", (None, b"7")),
    ("UPDATE customers SET email = 'nobody' WHERE id = 99", None),
    ("INSERT INTO customers (id, ssn) SELECT n, 's' FROM generate_series(100, 400) n", None),
    ("UPDATE customers SET ssn = NULL", None),
]
SPREAD = ("SELECT", "CONFLICT")
"""With these a value that was sealed may go into many rows, or none."""
Ids = Counter[bytes]


def stored(shop: Shop) -> dict[str, Ids]:
    """By column, the ids of all cells, read past the proxy: the first 8 of the 12 bytes before ciphertext and tag."""
    found: dict[str, Ids] = {}
    with shop.direct() as direct:
        for table, columns in TABLES.items():
            for column in columns:
                rows = direct.execute(f"SELECT {column}::bytea FROM sealed.{table}").fetchall()
                found[f"sealed.{table}.{column}"] = Counter(
                    identity(bytes(value)) for (value,) in rows if value is not None
                )
    return found


def identity(value: bytes) -> bytes:
    assert value[:3] == b"\x5e\xa1\x01"
    assert value[3] in (0, 1)
    at = 24 if value[3] else 8
    return value[at : at + 8]


def told(shop: Shop, events: list[dict[str, Any]]) -> tuple[dict[str, Ids], set[str]]:
    """By column, the ids of written cells; and the columns of which not all are known."""
    found: dict[str, Ids] = {}
    unknown = set()
    with SideFiles([shop.audit_path]) as files:
        for event in events:
            for one in disclosed(event, files):
                if one.outcome != "written":
                    assert one.ids is not None
                elif one.ids is None:
                    unknown.add(one.column)
                    columns = event["unmapped"]["sealgate"]["columns"]
                    (entry,) = (
                        c for c in columns if (c["name"], c["outcome"]) == (one.column, "written")
                    )
                    found.setdefault(one.column, Counter()).update(
                        bytes.fromhex(i) for i in entry["cell_ids"]
                    )
                else:
                    found.setdefault(one.column, Counter()).update(one.ids)
    return found, unknown


@pytest.mark.parametrize("way", ["extended", pytest.param("simple", marks=pytest.mark.long)])
def test_nothing_is_stored_whose_id_is_not_told(
    schemas: Schemas, schemas_shop: Shop, way: str
) -> None:
    """What is new in a table was told by its id. What was in the database before and is now in more rows: it is said that ids
    are not known. Where each value goes into one row, nothing else is told.
    """
    shop, client = schemas_shop, schemas.sealed
    with shop.direct() as direct:
        for table in TABLES:
            direct.execute(f"CREATE TABLE kept_{table} AS TABLE sealed.{table}")
    before = stored(shop)
    new = exact = copied = failed = 0
    try:
        for sql, values in STATEMENTS:
            if values is None and way == "simple":
                statement = Statement(sql)
            else:
                statement = Statement(sql, tuple(values or ()))
            seen = shop.clear_events()
            failed += client.run(statement, "").sqlstate is not None
            after = stored(shop)
            ids, unknown = told(shop, shop.events()[seen:])
            for column, now in after.items():
                more = now - before[column]
                fresh = {i for i in more if i not in before[column]}
                assert fresh <= set(ids.get(column, ())), f"{sql}: {column}"
                if set(more) - fresh:
                    assert column in unknown, f"{sql}: {column}"
                    copied += 1
                if sql.startswith("INSERT") and not any(word in sql for word in SPREAD):
                    assert ids.get(column, Counter()) == more, f"{sql}: {column}"
                    exact += len(more)
                new += len(fresh)
            if after != before:
                restore(shop)
    finally:
        restore(shop)
        with shop.direct() as direct:
            for table in TABLES:
                direct.execute(f"DROP TABLE kept_{table}")
    assert new > 40
    assert exact > 5
    assert copied > 3
    assert failed < len(STATEMENTS) / 3


def restore(shop: Shop) -> None:
    """The very same cells."""
    with shop.direct() as direct:
        for table in TABLES:
            direct.execute(f"DELETE FROM sealed.{table}")
            direct.execute(f"INSERT INTO sealed.{table} SELECT * FROM kept_{table}")
