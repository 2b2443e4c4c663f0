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
        plain, sealed = pair.out(
            f"{{t}} ({column})", options if "c_text" in column else _all(options)
        )
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
    b'20,x,y\r\n21,"a\r\nb",' + b"z" * 21 + b"\r\n",
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
    early = sealed.message.startswith((b"missing data for column", b"column name mismatch"))
    if plain.sqlstate is not None and sealed.sqlstate == "22P04" and early:
        return True
    return sealed.outcome == plain.outcome and place(sealed) == place(plain)


def place(copied: Copied) -> bytes:
    """CONTEXT without the table's name and without the value: `line 3, column c_text`."""
    line = next((line for line in copied.context.split(b"\n") if line.startswith(b"COPY ")), b"")
    return line.partition(b", ")[2].partition(b": ")[0]


# Values.


def csv_field(value: str) -> bytes:
    return b'"' + value.encode().replace(b'"', b'""') + b'"'


@pytest.mark.parametrize("column", COLUMNS)
def test_every_value_the_server_takes_and_no_other(
    pair: Pair, rng: random.Random, column: str
) -> None:
    """Right and wrong forms of each type: the same stored value, or the same SQLSTATE, line and column."""
    candidates = [text for text in texts(column, rng, 6) if "\0" not in text]
    rng.shuffle(candidates)
    good = []
    for number, text in enumerate(candidates[:60]):
        row = b"%d," % number + csv_field(text) + b"\n"
        plain, sealed = pair.in_(f"{{t}} (id, {column})", "(FORMAT csv)", [row])
        if b"value overflows numeric format" in sealed.message and plain.sqlstate is None:
            # More than 16,383 digits behind the point, which COPY rounds before it looks (docs/types.md).
            run(pair.plain, f"DELETE FROM plain WHERE id = {number}")
            continue
        assert as_good(plain, sealed), (text, plain, sealed)
        if plain.sqlstate is None:
            good.append(row)
    query = f"SELECT id, {column} FROM {{t}} ORDER BY id"
    stored = [
        run(c, query.replace("{t}", t)) for c, t in ((pair.plain, "plain"), (pair.sealed, "twin"))
    ]
    assert stored[0] == stored[1]
    assert len(stored[0]) == len(good) > 0


@pytest.mark.parametrize("verbosity", ["default", "verbose", "silent"])
@pytest.mark.parametrize("format_", ["text", "csv", "csv, DELIMITER 'n'"])
def test_rows_skipped_on_error(
    pair: Pair, rng: random.Random, format_: str, verbosity: str
) -> None:
    """ON_ERROR ignore: the same rows skipped and counted; REJECT_LIMIT works by itself; the notices hold no value."""
    separator = b"n" if "'n'" in format_ else b"\t" if format_ == "text" else b","
    columns = "c_int4", "c_date", "c_varchar"
    fields = [
        (
            str(number).encode(),
            rng.choice([b"17", b"18", b"x17", b"99999999999"]),
            rng.choice([b"2020-01-01", b"2020-02-30", b"soo1"]),
            rng.choice([b"short", b"very long value indeed!", b"y"]).replace(b"n", b"N"),
        )
        for number in range(200)
    ]
    stream = b"".join(separator.join(row) + b"\n" for row in fields)
    options = f"(FORMAT {format_}, ON_ERROR ignore, LOG_VERBOSITY {verbosity}"
    what = f"{{t}} (id, {', '.join(columns)})"
    plain, sealed = pair.in_(what, options + ")", [stream], cut(rng, stream, 50))
    assert plain.sqlstate is None
    assert sealed == plain
    written, read = pair.rows()
    assert read == written
    pair.clear()
    plain, sealed = pair.in_(what, options + ", REJECT_LIMIT 5)", [stream])
    assert plain.sqlstate == "22P02"
    assert sealed.outcome == plain.outcome
    assert place(sealed) == place(plain)


def test_bytes_that_are_no_characters_are_an_error_even_if_errors_are_skipped(pair: Pair) -> None:
    """As on the server, which converts the stream before it looks at values."""
    for row in (b"1\t\xff\n", b"1\t\\xff\n"):
        plain, sealed = pair.in_("{t} (id, c_text)", "(ON_ERROR ignore)", [row])
        assert sealed.outcome == plain.outcome == ("22021", None)


# Encodings.

ENCODINGS = {
    "LATIN1": "äöüÿ\\é|x",
    "WIN1252": "€š\\Ÿ",
    "EUC_JP": "表ソ能申|x",
    "SJIS": "表ソ能申暴ゾ|x,ｱｲ",
    "BIG5": "功許蓋|a,",
    "GBK": "乗乕乣|a\\誠",
    "UHC": "가각갂|똠x",
    "GB18030": "㐀乗ꀀ0|1,é",
    "SQL_ASCII": "äö",
}
"""Of some, the second byte looks like a backslash, a delimiter, a letter or a digit."""
ENCODED_OPTIONS = (
    "",
    "(DELIMITER '|')",
    "(FORMAT csv, DELIMITER '|')",
    "(FORMAT csv, QUOTE '\\', DELIMITER 'a')",
    "(FORMAT csv, DELIMITER '0', QUOTE '|', FORCE_QUOTE *)",
    "(FORMAT binary)",
)


@pytest.mark.parametrize(
    ("encoding", "characters", "options"),
    [
        pytest.param(
            encoding,
            characters,
            options,
            # Two of six by default, another two for each encoding.
            marks=[] if (place + at) % 3 == 0 else pytest.mark.long,
        )
        for place, (encoding, characters) in enumerate(ENCODINGS.items())
        for at, options in enumerate(ENCODED_OPTIONS)
    ],
)
def test_encodings(
    pair: Pair, rng: random.Random, encoding: str, characters: str, options: str
) -> None:
    """client_encoding and ENCODING, also those whose second bytes look like backslash, quote or delimiter."""
    values = ["".join(rng.choices(characters, k=rng.randint(0, 8))) for _ in range(30)]
    python = {"WIN1252": "cp1252", "UHC": "cp949", "GBK": "gbk", "BIG5": "big5", "SJIS": "cp932"}
    codec = python.get(encoding, "utf-8" if encoding == "SQL_ASCII" else encoding)
    for values_at in range(0, len(values), 2):
        for connection, twin in ((pair.plain, "plain"), (pair.sealed, "twin")):
            a, b = (v.replace("'", "''") for v in values[values_at : values_at + 2])
            run(
                connection,
                f"INSERT INTO {twin} (id, c_text, c_varchar) VALUES ({values_at}, '{a}', '{b}')",
            )
    query = "(SELECT id, c_text, c_varchar, c_int4 FROM {t} ORDER BY id)"
    own = options[:-1] + f", ENCODING '{encoding}')" if options else f"(ENCODING '{encoding}')"
    plain, sealed = pair.out(query, own)
    assert sealed == plain
    pair.use(f"SET client_encoding = '{encoding}'")
    plain, sealed = pair.out(query, options)
    assert sealed == plain
    assert plain.sqlstate is None, (plain, codec)
    stream = b"".join(sealed.data)
    again = options.replace(", FORCE_QUOTE *", "")
    for size, given in ((3, again), (1000, again)):
        pair.clear()
        plain, got = pair.in_(
            "{t} (id, c_text, c_varchar, c_int4)", given, [stream], cut(rng, stream, size)
        )
        assert got == plain
        written, read = pair.rows()
        assert read == written
        assert plain.sqlstate is None
    pair.clear()
    if "binary" not in options:
        pair.use("SET client_encoding = 'UTF8'")
        given = own.replace(", FORCE_QUOTE *", "")
        plain, got = pair.in_(
            "{t} (id, c_text, c_varchar, c_int4)", given, [stream], cut(rng, stream, 7)
        )
        assert got == plain
        written, read = pair.rows()
        assert read == written


# Binary.


def test_broken_binary_streams(pair: Pair, rng: random.Random) -> None:
    """Cut anywhere, one byte changed, too many fields: the server's own SQLSTATE, or the same rows."""
    header = SIGNATURE + bytes(8)
    row = b"\0\2" + b"\0\0\0\4\0\0\0\7" + b"\0\0\0\5hello"
    whole = header + row + row[:9] + b"\x08" + row[10:] + b"\xff\xff"
    streams = [whole[:size] for size in range(len(whole) + 1)]
    for _ in range(60):
        at = rng.randrange(len(whole))
        streams.append(whole[:at] + rng.randbytes(1) + whole[at + 1 :])
    streams += [
        whole + b"x",
        SIGNATURE + b"\0\0\0\0\0\0\0\3abc" + row + b"\xff\xff",
        SIGNATURE + b"\0\1\0\0" + bytes(4),
        header + b"\0\3" + row[2:] + b"\0\0\0\0\xff\xff",
        header + b"\0\2" + b"\0\0\0\4\0\0\0\7" + b"\xff\xff\xff\xff" + b"\xff\xff",
        header + b"\0\2" + b"\0\0\0\4\0\0\0\7" + b"\xff\xff\xff\xfe" + b"\xff\xff",
    ]
    different = []
    for stream in streams:
        pair.clear()
        plain, sealed = pair.in_(
            "{t} (id, c_text)", "(FORMAT binary)", [stream], cut(rng, stream, 9) if stream else []
        )
        written, read = pair.rows()
        # A wrong length moves what follows: the server finds a field wrong, the proxy the row that is too long.
        both = plain.sqlstate is not None and sealed.sqlstate in ("54000", "22P04")
        if read != written or (sealed.outcome != plain.outcome and not both):
            different.append(f"{stream!r}\n   {plain}\n   {sealed}")
    assert not different, "\n".join(different)


@pytest.mark.parametrize("column", COLUMNS)
def test_wrong_binary_values(pair: Pair, rng: random.Random, column: str) -> None:
    """Of random bytes, in every type: the same values taken, the same SQLSTATE for the others."""
    for size in (0, 1, 2, 3, 4, 5, 8, 9, 12, 16, 17):
        value = rng.randbytes(size)
        stream = SIGNATURE + bytes(8) + b"\0\2\0\0\0\4\0\0\0\7" + size.to_bytes(4, "big") + value
        plain, sealed = pair.in_(f"{{t}} (id, {column})", "(FORMAT binary)", [stream + b"\xff\xff"])
        assert sealed.outcome == plain.outcome, (value, plain, sealed)
        written, read = pair.rows()
        assert read == written
        pair.clear()


# Sizes.


@pytest.mark.parametrize("options", ["", "(FORMAT csv)", "(FORMAT binary)"])
def test_large_values(pair: Pair, rng: random.Random, options: str) -> None:
    """A value of a megabyte, with everything in it that is escaped, in chunks of any size."""
    text = ("a\\\t\n\"'\r\u00e9," * 120_000)[:1_000_000]
    for connection, twin in ((pair.plain, "plain"), (pair.sealed, "twin")):
        connection.exec_params(
            f"INSERT INTO {twin} (id, c_text, c_int4) VALUES (1, $1, 5)".encode(), [text.encode()]
        )
    plain, sealed = pair.out("{t} (id, c_text, c_int4)", options)
    assert sealed == plain
    stream = b"".join(sealed.data)
    pair.clear()
    plain, got = pair.in_("{t} (id, c_text, c_int4)", options, [stream], cut(rng, stream, 100_000))
    assert got == plain
    written, read = pair.rows()
    assert read == written
    assert read[0][1] == text.encode()  # type: ignore[index]


@pytest.mark.parametrize(
    "options",
    ["", *(pytest.param(o, marks=pytest.mark.long) for o in ("(FORMAT csv)", "(FORMAT binary)"))],
)
def test_a_hundred_thousand_rows(pair: Pair, rng: random.Random, options: str) -> None:
    """In and out; the sealed rows are the plain ones."""
    lines = b"".join(b"%d\tvalue %d\t%d\n" % (i, i % 1000, i * 7) for i in range(100_000))
    plain, sealed = pair.in_("{t} (id, c_text, c_int8)", "", [lines], cut(rng, lines, 200_000))
    assert plain.tag == sealed.tag == b"COPY 100000"
    plain, sealed = pair.out("(SELECT id, c_text, c_int8 FROM {t} ORDER BY id)", options)
    assert plain.tag == sealed.tag == b"COPY 100000"
    assert plain.data == sealed.data
