"""COPY of twin tables: the sealed one takes what the plain one takes, and gives what it gives, byte for byte."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.integration.copies import Connection, Copied, connect, copy_in, copy_out, cut, run
from tests.integration.shop import Shop
from tests.integration.types.test_written import texts
from tests.integration.types.twins import COLUMNS, Statement, Twins

ALL = ", ".join(COLUMNS)
SIGNATURE = b"PGCOPY\n\xff\r\n\0"
STRINGS = ("c_text", "c_varchar", "c_bpchar")

TEXT_OPTIONS = (
    "",
    "(FORMAT text, HEADER)",
    "(DELIMITER '|', NULL '')",
    "(DELIMITER ',', NULL 'nil', HEADER true)",
    "(DELIMITER E'\\x01', NULL '\\\\N')",
    "DELIMITER AS ';' NULL AS '-'",
)
CSV_OPTIONS = (
    "(FORMAT csv)",
    "(FORMAT csv, HEADER, DELIMITER ';', QUOTE '''', NULL 'nil')",
    "(FORMAT csv, DELIMITER E'\\t', QUOTE '\"', ESCAPE '\\')",
    "(FORMAT csv, FORCE_QUOTE *, NULL 'x')",
    "(FORMAT csv, QUOTE 'a', DELIMITER '5')",
    "(FORMAT csv, QUOTE '|', ESCAPE 'e', DELIMITER 'x', NULL 'nu')",
    "WITH CSV HEADER QUOTE AS '\"' FORCE QUOTE c_text, c_date",
)


@dataclass
class Pair:
    """A plain session on the plain twin, one through the proxy on the sealed one."""

    plain: Connection
    sealed: Connection

    def out(self, what: str, options: str) -> tuple[Copied, Copied]:
        return tuple(
            copy_out(connection, f"COPY {what.replace('{t}', twin)} TO STDOUT {options}")
            for connection, twin in ((self.plain, "plain"), (self.sealed, "twin"))
        )  # type: ignore[return-value]

    def in_(self, what: str, options: str, *chunks: list[bytes]) -> tuple[Copied, Copied]:
        return tuple(
            copy_in(connection, f"COPY {what.replace('{t}', twin)} FROM STDIN {options}", data)
            for connection, twin, data in (
                (self.plain, "plain", chunks[0]),
                (self.sealed, "twin", chunks[-1]),
            )
        )  # type: ignore[return-value]

    def rows(self) -> tuple[list[object], list[object]]:
        return (
            run(self.plain, f"SELECT id, {ALL} FROM plain ORDER BY id"),  # type: ignore[return-value]
            run(self.sealed, f"SELECT id, {ALL} FROM twin ORDER BY id"),
        )

    def clear(self) -> None:
        run(self.plain, "DELETE FROM plain")
        run(self.sealed, "DELETE FROM twin")

    def use(self, setting: str) -> None:
        run(self.plain, setting)
        run(self.sealed, setting)


@pytest.fixture
def pair(twins: Twins, twin_shop: Shop) -> Iterator[Pair]:
    """Both twins, empty."""
    found = Pair(connect(twin_shop.database.dsn("shop_app")), connect(twin_shop.dsn()))
    yield found
    found.plain.finish()
    found.sealed.finish()


def fill(twins: Twins, rng: random.Random, count: int) -> None:
    """The same rows in both twins: what the plain one takes of many values, in every column."""
    values = {column: iter(_taken(twins, column, texts(column, rng, 2))) for column in COLUMNS}
    for _ in range(count):
        row = tuple(None if rng.random() < 0.15 else next(values[c], None) for c in COLUMNS)
        if all(value is None for value in row) and len(row) > 1:
            break
        places = ", ".join(f"${i + 2}" for i in range(len(COLUMNS)))
        number = str(rng.getrandbits(31)).encode()
        statement = Statement(
            f"INSERT INTO {{t}} (id, {ALL}) VALUES ($1, {places})", (number, *row)
        )
        expected, got = twins.run(statement)
        assert expected == got, (row, expected, got)


def _taken(twins: Twins, column: str, candidates: list[str]) -> list[bytes]:
    """Values of which the plain twin says that they are of the type."""
    found = []
    for text in candidates:
        if "\0" in text:
            continue
        statement = Statement(f"INSERT INTO {{t}} (id, {column}) VALUES (0, $1)", (text.encode(),))
        if twins.server.run(statement, "plain").sqlstate is None:
            # 294276-12-31 23:59:59.9999995 is shown as what the server does not take.
            again = Statement(f"SELECT {column}::text::{COLUMNS[column]} FROM plain")
            if twins.server.run(again, "plain").sqlstate is None:
                found.append(text.encode())
            twins.server.must("DELETE FROM plain")
    return found


@pytest.mark.parametrize("options", [*TEXT_OPTIONS, *CSV_OPTIONS, "(FORMAT binary)", "BINARY"])
def test_what_comes_out_goes_in_again(
    twins: Twins, pair: Pair, rng: random.Random, options: str
) -> None:
    """All types, all options: the same bytes out of both; in again through any chunks, the same rows."""
    fill(twins, rng, 40)
    for column in ("id", ALL, f"id, {ALL}"):
        plain, sealed = pair.out(f"{{t}} ({column})", options if "c_text" in column else _all(options))
        assert plain.sqlstate is None, plain
        assert in_any_order(sealed) == in_any_order(plain)
    plain, sealed = pair.out(f"(SELECT id, {ALL} FROM {{t}} ORDER BY id)", options)
    assert sealed == plain
    assert plain.sqlstate is None
    expected, _ = pair.rows()
    pair.clear()
    again = options.replace("FORCE_QUOTE *, ", "").replace(" FORCE QUOTE c_text, c_date", "")
    stream = b"".join(sealed.data)
    size = rng.choice([1, 7, 100, 5000, len(stream)]) if len(stream) < 20000 else 5000
    plain, got = pair.in_(f"{{t}} (id, {ALL})", again, [stream], cut(rng, stream, size))
    assert got == plain
    assert plain.sqlstate is None, plain
    written, read = pair.rows()
    assert read == written
    if "NULL ''" not in options:  # Of which text format cannot tell the empty string.
        assert read == expected


def in_any_order(copied: Copied) -> tuple[object, ...]:
    """A table's rows come in the order of its pages, which is each twin's own."""
    data = list(copied.data)
    if data and data[0].startswith(SIGNATURE):
        data[0] = data[0][19:]
    return copied.outcome, sorted(data)


def _all(options: str) -> str:
    return options.replace(" FORCE QUOTE c_text, c_date", "")
