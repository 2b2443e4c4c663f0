"""Blocks of rows against rows by themselves: what is done by columns is what is done one by one, right or wrong.

A stream that comes byte by byte never has two rows at once, so it takes the other way.
"""

from __future__ import annotations

import random
import struct
from collections import Counter
from dataclasses import dataclass, replace

import pytest

import policy
from keystore import cell_id, generate, key_id
from policy import Search
from proxy.catalog import Catalog, SealedColumn
from proxy.cells import Settings, logical_type
from proxy.copying import binary
from proxy.copying.copy_in import CopyIn
from proxy.copying.copy_out import CopyOut
from proxy.copying.errors import CopyError
from proxy.copying.sealed_rows import Failure
from proxy.rows import BadCell, UnshowableCell, Withheld
from proxy.snapshot import Authority, Snapshot
from proxy.sql.copy_plan import CopyColumn, CopyFormat, CopyOptions, CopyPlan, Header
from proxy.tally import Tally
from tests.copying.test_rows import rng

__all__ = ["rng"]

LIMIT = 1 << 20
SEALED = {
    "public.t.email": ("text", True),
    "public.t.short": ("varchar(6)", False),
    "public.t.amount": ("numeric(10,2)", True),
    "public.t.born": ("date", False),
}
COLUMNS = {
    name: SealedColumn(
        name,
        "public.t",
        name.rsplit(".", 1)[1],
        logical_type(spec),
        Search(equality=bool(searchable)),
    )
    for name, (spec, searchable) in SEALED.items()
}
RULES = {
    "all": {"clear": ["public.t.*"], "write": ["public.t.*"]},
    "some": {"clear": ["public.t.email"]},
}
KEYS = generate(tuple(SEALED))


def snapshot(denied_value: str = "null") -> Snapshot:
    columns = {
        name: {"type": spec, "search": ["equality"] if searchable else []}
        for name, (spec, searchable) in SEALED.items()
    }
    rules = policy.load(columns, RULES, {"denied_value": denied_value})
    return Snapshot(rules, Catalog("d", 180004, (), COLUMNS), KEYS)


SNAPSHOT = snapshot()
FIELDS = (
    CopyColumn("id", plain=True),
    *(
        column
        for name, sealed in COLUMNS.items()
        for column in (
            CopyColumn(sealed.name, label=name, declared=True, logical=sealed.type),
            CopyColumn("p_" + sealed.name, plain=True),
        )
    ),
)
PLACES = [i for i, column in enumerate(FIELDS) if column.label]


def plan(incoming: bool, options: CopyOptions, version: int = 180004) -> CopyPlan:
    return CopyPlan(incoming, "t", FIELDS, options, version)


@dataclass
class Sent:
    """What a copy came to. Sealed values opened: the terms of two copies are equal, their nonces are not."""

    data: list[object]
    sealed: dict[str, int]
    failure: Failure | None


def opened(value: bytes) -> tuple[str, bytes, bytes]:
    key = KEYS.data_keys[key_id(value)]
    return key.column, value[8:24] if value[3] else b"", key.open(value)


def copy_data(messages: bytes) -> bytes:
    """What is in CopyData messages; CopyFail says nothing here."""
    found = b""
    while messages:
        end = 1 + int.from_bytes(messages[1:5], "big")
        found += messages[5:end] if messages[:1] == b"d" else b""
        messages = messages[end:]
    return found


def in_lines(data: bytes, marker: bytes, sealed: list[bytes]) -> list[object]:
    """Text or CSV with sealed values opened: they stand behind `marker`, in hexadecimal digits."""
    first, *others = data.split(marker + b"5ea1")
    found: list[object] = [first]
    for other in others:
        digits = other[: len(other) - len(other.lstrip(b"0123456789abcdef"))]
        if len(digits) > 2 * 32:
            sealed.append(bytes.fromhex("5ea1" + digits.decode()))
            found += [opened(sealed[-1]), other[len(digits) :]]
        else:
            found.append(other)
    return found


def in_tuples(data: bytes, sealed: list[bytes]) -> list[object]:
    rows = binary.BinaryRows(LIMIT, len(FIELDS), PLACES)
    cut = rows.feed(data)
    assert rows.error is None
    sealed += [part for row in cut for i, part in enumerate(row) if i % 2 and part]
    return [opened(part) if i % 2 and part else part for row in cut for i, part in enumerate(row)]


def copied_in(
    stream: bytes,
    options: CopyOptions,
    settings: Settings,
    version: int,
    sizes: random.Random | None,
) -> Sent:
    copy = CopyIn(plan(True, options, version), SNAPSHOT, settings, "UTF8", LIMIT)
    data = b""
    whole = stream
    while stream and not copy.over:
        size = 1 if sizes is None else sizes.choice((40, 300, 2000, len(whole)))
        data += copy_data(copy.data(stream[:size]))
        stream = stream[size:]
    if not copy.over:
        data += copy_data(copy.finish())
    marker = b"\\x" if options.format is CopyFormat.CSV else b"\\\\x"
    is_binary = options.format is CopyFormat.BINARY
    values: list[bytes] = []
    found = in_tuples(data, values) if is_binary else in_lines(data, marker, values)
    if not options.skips_errors:
        ids: dict[str, list[bytes]] = {}
        for value in values:
            ids.setdefault(KEYS.data_keys[key_id(value)].column, []).append(cell_id(value))
        assert copy.sealed == ids
    return Sent(found, {c: len(ids) for c, ids in copy.sealed.items()}, copy.failure)


TEXTS = (
    b"ada@example.com",
    b"",
    b"  ",
    "Žofie Müller".encode(),
    "日本語".encode(),
    b"x.y",
    b"\\.x",
    b"a, \"b\"; 'c'",
    b"NULL",
    b"\\\\x5ea10100",
)
NUMBERS = (b"0", b"1.5", b"-12.30", b"99999999.99", b" 7 ", b"+5", b"1e3", b".5", b"0.005", b"NaN")
DATES = (b"2020-01-01", b"1999-12-31", b"infinity", b"Jan 5 2001", b"20200101", b"0044-03-15 BC")
ODD = (
    b"100000000",
    b"12a",
    b"2020-02-30",
    b"\xff",
    b"\xc3",
    b"too long for it",
    b"\\x41",
    b"\\303\\251",
    b"\\303",
    b"\\",
    b"a\\\tb",
    b"\\\n",
    b"\r",
    b"\0",
    b'"',
    b'"q""q"',
    b'"two\nlines"',
    b'"\r\n"',
    b"\\N",
    b"\\.",
    b"'1.5'",
    b"DEF",
    b"",
    b"1,2",
    b"1\t2",
)


def some_row(rng: random.Random, odd: float) -> list[bytes]:
    row = []
    for column in FIELDS:
        kind = column.logical.name if column.logical else rng.choice(("text", "date", "numeric"))
        usual = {"numeric": NUMBERS, "date": DATES, "varchar": (b"abc", b"\xc3\xa9t\xc3\xa9", b"")}
        row.append(rng.choice(ODD if rng.random() < odd else usual.get(kind, TEXTS)))
    if rng.random() < odd / 4:
        row = rng.choice((row[:-1], [*row, b"x"], row[:1]))
    return row


def some_options(rng: random.Random) -> CopyOptions:
    default = rng.choice((None, "DEF"))
    skips = rng.random() < 0.3
    encoding = rng.choice((None, None, None, "LATIN1", "SJIS"))
    header = rng.choice((Header.ABSENT, Header.ABSENT, Header.PRESENT))
    if rng.random() < 0.5:
        return CopyOptions(
            delimiter=rng.choice(("\t", "\t", "|", ",")),
            null=rng.choice(("\\N", "\\N", "", "NULL")),
            default=default,
            skips_errors=skips,
            encoding=encoding,
            header=header,
        )
    return CopyOptions(
        format=CopyFormat.CSV,
        delimiter=rng.choice((",", ",", ";", "\t", "5")),
        null=rng.choice(("", "", "NULL", "\\N")),
        quote=rng.choice(('"', '"', "'")),
        escape=rng.choice(('"', '"', "\\")),
        default=default,
        force_not_null=frozenset(rng.choice(((), ("email",), ("amount",)))),
        force_null=frozenset(rng.choice(((), ("email", "amount")))),
        skips_errors=skips,
        encoding=encoding,
        header=header,
    )


def test_lines_into_sealed_columns(rng: random.Random) -> None:
    """Text and CSV with any options: the same values, terms, counts; the same error at the same line and column."""
    outcomes: Counter[str] = Counter()
    for _ in range(600):
        options = some_options(rng)
        odd = rng.choice((0, 0, 0.002, 0.01, 0.1))
        end = rng.choice((b"\n", b"\n", b"\r\n", b"\r"))
        delimiter = options.delimiter.encode()
        rows = [delimiter.join(some_row(rng, odd)) for _ in range(rng.randint(1, 30))]
        if options.format is CopyFormat.CSV and rng.random() < 0.5:
            quoted = options.quote.encode()
            rows = [
                delimiter.join(
                    quoted + field + quoted if quoted not in field else field
                    for field in some_row(rng, odd)
                )
                for _ in rows
            ]
        stream = end.join(rows) + rng.choice((end, end, b"", end + b"\\." + end))
        if not stream.isascii() and options.encoding == "SJIS":
            options = replace(
                options, encoding="LATIN1"
            )  # Nothing in a piece that is no SJIS is read.
        settings = Settings(encoding=rng.choice(("UTF8", "UTF8", "LATIN1")))
        version = rng.choice((170000, 180004))
        one_by_one = copied_in(stream, options, settings, version, None)
        assert copied_in(stream, options, settings, version, rng) == one_by_one
        outcomes[one_by_one.failure.sqlstate if one_by_one.failure else "sent"] += 1
    assert outcomes["sent"] > 50
    assert len(outcomes) > 5


def test_tuples_into_sealed_columns(rng: random.Random) -> None:
    """Binary: the same, with NULL and values that are of no type."""
    outcomes: Counter[str] = Counter()
    decoders = {c.label: c.logical.decoder(0, Settings()) for c in FIELDS if c.logical}
    for _ in range(200):
        odd = rng.choice((0, 0, 0.01, 0.1))
        stream = binary.SIGNATURE + bytes(8)
        for _ in range(rng.randint(1, 30)):
            fields = []
            for column in FIELDS:
                value = rng.choice(TEXTS)
                if column.logical is not None and column.logical.name == "numeric":
                    value = decoders[column.label](rng.choice(NUMBERS[:-1]))
                elif column.logical is not None and column.logical.name == "date":
                    value = decoders[column.label](rng.choice(DATES))
                elif column.logical is not None and column.logical.name == "varchar":
                    value = b"abc"
                if rng.random() < odd:
                    value = rng.choice((*ODD, rng.randbytes(rng.choice((3, 4, 8, 12)))))
                absent = rng.random() < 0.1
                fields.append(struct.pack("!i", -1 if absent else len(value)))
                fields.append(b"" if absent else value)
            stream += struct.pack("!h", len(FIELDS)) + b"".join(fields)
        stream += rng.choice((binary.TRAILER, b""))
        options = CopyOptions(format=CopyFormat.BINARY)
        one_by_one = copied_in(stream, options, Settings(), 180004, None)
        assert copied_in(stream, options, Settings(), 180004, rng) == one_by_one
        outcomes[one_by_one.failure.sqlstate if one_by_one.failure else "sent"] += 1
    assert outcomes["sent"] > 20
    assert len(outcomes) > 3


@dataclass
class Shown:
    bodies: list[bytes]
    rows: int
    cells: dict[tuple[str, str], int]
    error: str


def copied_out(
    bodies: list[bytes],
    options: CopyOptions,
    authority: Authority,
    settings: Settings,
    sizes: random.Random | None,
) -> Shown:
    copy = CopyOut(plan(False, options), options, len(FIELDS), authority, settings, "UTF8", LIMIT)
    tally = Tally()
    found = Shown([], 0, {}, "")
    try:
        while bodies:
            size = 1 if sizes is None else sizes.choice((2, 5, len(bodies)))
            shown, rows = copy.convert(b"".join(bodies[:size]), tally)
            found.bodies += shown
            found.rows += rows
            bodies = bodies[size:]
        shown, rows = copy.finish(tally)
        found.bodies += shown
        found.rows += rows
    except (BadCell, Withheld, UnshowableCell, CopyError) as error:
        found.error = repr(error)
        found.bodies, found.rows = (
            [],
            0,
        )  # What was converted with the bad row depends on the pieces.
    found.cells = {pair: use.cells for pair, use in tally.uses.items() if use.cells}
    return found


def sealed_bodies(rng: random.Random, options: CopyOptions) -> list[bytes]:
    """What the server would send of a table: one message for each row."""
    count = rng.randint(1, 12)
    stream = b""
    for _ in range(count):
        fields = []
        for column in FIELDS:
            kind = column.logical.name if column.logical else "text"
            value: bytes | None = rng.choice(
                {"numeric": NUMBERS, "date": DATES, "varchar": (b"abc", b"a\tb,", b'"q"')}.get(
                    kind, (*TEXTS, b"a\tb", b"two\nlines", b"\\", b",")
                )
            )
            if rng.random() < 0.1:
                value = None
            fields.append(value)
        stream += (
            b"\t".join(
                b"\\N"
                if field is None
                else field.replace(b"\\", b"\\\\").replace(b"\t", b"\\t").replace(b"\n", b"\\n")
                for field in fields
            )
            + b"\n"
        )
    copy = CopyIn(plan(True, CopyOptions()), SNAPSHOT, Settings(), "UTF8", LIMIT)
    rows = (copy_data(copy.data(stream) + copy.finish())).split(b"\n")[:-1]
    assert copy.failure is None
    assert len(rows) == count
    table = [row.split(b"\t") for row in rows]
    if options.format is CopyFormat.TEXT:
        return [b"\t".join(row) + b"\n" for row in table]
    values = [
        [None if f == b"\\N" else f.replace(b"\\\\", b"\\").replace(b"\\t", b"\t") for f in row]
        for row in table
    ]
    if options.format is CopyFormat.CSV:
        return [
            b",".join(
                b""
                if f is None
                else b'"' + f.replace(b'"', b'""') + b'"'
                if f == b"" or any(c in f for c in b',"\n')
                else f
                for f in row
            )
            + b"\n"
            for row in values
        ]
    bodies = []
    for row in values:
        body = struct.pack("!h", len(row))
        for f in row:
            plain = bytes.fromhex(f[2:].decode()) if f and f[:6] == b"\\x5ea1" else f
            body += struct.pack("!i", -1 if plain is None else len(plain)) + (plain or b"")
        bodies.append(body)
    bodies[0] = binary.SIGNATURE + bytes(8) + bodies[0]
    return [*bodies, binary.TRAILER]


@pytest.mark.parametrize("format_", CopyFormat)
def test_rows_out_of_sealed_columns(format_: CopyFormat, rng: random.Random) -> None:
    """The same bodies, one for each row, and counts; the same error, with the cells counted that were met before it."""
    outcomes: Counter[str] = Counter()
    for _ in range(150):
        options = CopyOptions(format=format_)
        if format_ is CopyFormat.CSV:
            forced = rng.choice((frozenset(), frozenset({"email"})))
            options = replace(options, delimiter=",", null="", force_quote=forced)
        bodies = sealed_bodies(rng, options)
        damaged = rng.random() < 0.3
        if damaged:
            i = rng.randrange(len(bodies))
            at = rng.randrange(len(bodies[i]))
            bodies[i] = bodies[i][:at] + rng.choice((b"0", b"f", b"\\", b",")) + bodies[i][at + 1 :]
        principal = frozenset(rng.choice((("all",), ("all",), ("some",), ())))
        authority = Authority(snapshot(rng.choice(("null", "error"))), principal)
        settings = Settings(encoding=rng.choice(("UTF8", "UTF8", "LATIN1")))
        one_by_one = copied_out(bodies, options, authority, settings, None)
        assert copied_out(bodies, options, authority, settings, rng) == one_by_one
        if not one_by_one.error and not damaged:
            assert len(one_by_one.bodies) == len(bodies)
        outcomes[one_by_one.error[:10]] += 1
    assert outcomes[""] > 20
    assert len(outcomes) > 2
