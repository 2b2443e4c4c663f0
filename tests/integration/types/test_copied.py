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


# What goes in.

ODD_TEXT = [
    b"1\tab\\tc\\\\d\\x41\\101\\N\tx\n",
    b"2\t\\N\t\\n\\r\\b\\f\\v\n3\tplain\t\\\tescaped delimiter\n",
    b"4\ta\\\nb\tc\\\rd\n",
    b"5\t\\.\tx\n",
    b"6\tx\\\\.\ty\n\\.\nignored\tafter\tthe marker",
    b"7\tlast line\twithout end",
    b"8\ta\tb\r\n9\tc\td\r\n\\.\r\n",
    b"8\ta\tb\r\n9\tc\td\n",
    b"8\ta\tb\n9\tc\td\r\n",
    b"10\ta\tb\r11\tc\td\r",
    b"10\ta\tb\r11\tc\td",
    b"10\ta\tb\r11\tc\td\n",
    b"12\ta\n",
    b"12\ta\tb\tc\n",
    b"12\ta\tb\n\n",
    b"\n",
    b"",
    b"13\t\\xe9\tx\n",
    b"13\t\\303\\251\tx\n",
    b"13\t\\0\tx\n",
    b"13\t\xff\tx\n",
    b"13\tx\t\xc3",
    b"14\ta\tb\\",
    b"14\ta\t\\N\\",
    b"15\ta\tb\n\\.",
    b"15\ta\tb\n\\.x\n",
    b"15\ta\tb\n\\.\r\n",
    b"15\ta\tb\r\n\\.\n",
    b"15\ta\tb\n  \\.\n",
    b"16\txx" + "é".encode() * 21 + b"\t" + b"y" * 21 + b"\n",
    b"17\tx\t" + b"y" * 20 + b"   \n",
    b"18\t" + b"long" * 50_000 + b"\t\\\n\\\n\\\n\n",
    b"19\tx",
    b"19",
    b"id\tc_text\tc_varchar\n20\ta\tb\n",
]
ODD_CSV = [
    b'1,"a,b","c""d"\n',
    b'2,,""\n3,"",\n',
    b'4,"line\nbreak","cr\rlf\r\n"\n5,x,y\n',
    b'6,a"b,c"d,e\n',
    b'7," x"" ",\'q\'\n8,"unterminated,x\n',
    b"9,a,b\r\n10,c,d\r\n",
    b"9,a,b\r\n10,c,d\n",
    b"9,a,b\n10,c\rx,d\n",
    b'9,"a\n\n\nb",bad\xff\n',
    b'11,"a\r\nb",c\r\n12,"d\ne",f\r\n13,g\n',
    b"\\.\n",
    b"14,a,b\n\\.\n15,c,d\n",
    b'14,"\\.",b\n',
    b"16,last,line",
    b'16,last,"quoted"',
    b"17,a\n",
    b"17,a,b,c\n",
    b"\n",
    b"",
    b'18,"a"b"c",""""\n',
    b'19,"a\nb\nc",' + b"y" * 21 + b"\n",
    b'20,x,y\n21,"a\nb",' + b"z" * 21 + b"\n",
    b"20,x,y\r\n21,\"a\r\nb\"," + b"z" * 21 + b"\r\n",
    b'22,"a\\"b","c\\\\d"\n23,"\\"",x\n',
    b"24;a;b\n",
    b"id,c_text,c_varchar\n25,a,b\n",
    b'"id","c_text",c_varchar\n26,a,b\n',
    b"id,c_text\n27,a\n",
    b"id,c_text,other\n28,a,b\n",
]
CSV_IN = (
    "(FORMAT csv)",
    "(FORMAT csv, ESCAPE '\\')",
    "(FORMAT csv, FORCE_NOT_NULL (c_text))",
    "(FORMAT csv, FORCE_NULL *)",
    "(FORMAT csv, FORCE_NOT_NULL *, FORCE_NULL (c_varchar), NULL 'x')",
    "(FORMAT csv, HEADER)",
    "(FORMAT csv, HEADER match)",
    "(FORMAT csv, QUOTE '''', DELIMITER ';')",
    "(FORMAT csv, DEFAULT 'x')",
    "CSV NULL AS 'a' QUOTE AS E'\\x01'",
)
TEXT_IN = (
    "",
    "(NULL 'a')",
    "(HEADER)",
    "(HEADER match)",
    "(DELIMITER '\t', DEFAULT 'x')",
    "(ENCODING 'LATIN1')",
)


@pytest.mark.parametrize("options", [*TEXT_IN, *CSV_IN])
def test_what_the_server_takes_and_what_it_refuses(
    pair: Pair, rng: random.Random, options: str
) -> None:
    """Escapes, line ends, markers, quotes, headers, right and wrong: the same rows, or the same SQLSTATE, line and column."""
    streams = ODD_CSV if "csv" in options.lower() else ODD_TEXT
    different = []
    for stream in streams:
        pair.clear()
        pieces = cut(rng, stream, rng.choice([1, 3, 100])) if len(stream) < 1000 else [stream]
        plain, sealed = pair.in_("{t} (id, c_text, c_varchar)", options, [stream], pieces)
        written, read = pair.rows()
        if read != written or not as_good(plain, sealed):
            different.append(f"{stream[:60]!r}\n   {plain}\n   {sealed}")
    assert not different, "\n".join(different)


def as_good(plain: Copied, sealed: Copied) -> bool:
    """The same outcome; or an error as well, found before the server is shown a row that is not what it should be: of a
    row with too few fields it would quote a field that may not be the one that it takes it for."""
    if sealed.sqlstate == plain.sqlstate == "22021":
        return True  # The server finds it in whatever it has converted at a time.
    if plain.sqlstate is not None and sealed.sqlstate == "22P04":
        if sealed.message.startswith((b"missing data for column", b"column name mismatch")):
            return True
    return sealed.outcome == plain.outcome and place(sealed) == place(plain)


def place(copied: Copied) -> bytes:
    """CONTEXT without the table's name and without the value: `line 3, column c_text`."""
    return copied.context.partition(b", ")[2].partition(b": ")[0]
