"""Rows, fields and values of the three formats: wherever a stream is cut, and back again."""

from __future__ import annotations

import os
import random
import re
import struct

import pytest

from proxy.copying import binary
from proxy.copying.armour import Armour, take_off
from proxy.copying.csv import CsvFields, CsvRows
from proxy.copying.errors import CopyError
from proxy.copying.lines import Lines
from proxy.copying.stream import Rest
from proxy.copying.text import TextRows, TextWriter, split, unescape

LIMIT = 1 << 20
ENDS = (b"\n", b"\r\n", b"\r")


@pytest.fixture
def rng(request: pytest.FixtureRequest) -> random.Random:
    """Randomness whose seed a failure shows: COPYING_SEED=... repeats it."""
    seed = int(os.environ.get("COPYING_SEED", random.SystemRandom().getrandbits(32)))
    print(f"COPYING_SEED={seed} for {request.node.nodeid}")
    return random.Random(seed)


def fed(rows: Lines, stream: bytes, rng: random.Random, most: int) -> list[bytes]:
    found = []
    while stream:
        size = rng.randint(1, most)
        found += rows.feed(stream[:size])
        stream = stream[size:]
    return found + rows.finish()


def some_bytes(rng: random.Random, alphabet: bytes, most: int = 12) -> bytes:
    return bytes(rng.choices(alphabet, k=rng.randint(0, most)))


def test_text_that_was_written_is_read(rng: random.Random) -> None:
    """Any bytes, any delimiter, any line end, cut anywhere: the same fields."""
    for _ in range(400):
        delimiter = rng.choice([b"\t", b"|", b",", b"\x01", b"A", b" "])
        end = rng.choice(ENDS)
        alphabet = b"abNx.01\\\n\r\t\x01|, A\xc3\xa9"
        written = TextWriter(delimiter)
        table = [[some_bytes(rng, alphabet) for _ in range(3)] for _ in range(rng.randint(1, 6))]
        stream = b"".join(delimiter.join(map(written.write, row)) + end for row in table)
        if rng.random() < 0.3:
            stream = stream[: -len(end)]
        if stream in (b"", b"\r") or stream.startswith(b"\n"):
            continue
        rows = TextRows(LIMIT)
        found = fed(rows, stream, rng, rng.choice([1, 2, 10, 1000]))
        assert rows.error is None
        assert [[unescape(f) for f in split(row, delimiter)] for row in found] == table


def test_csv_that_was_written_is_read(rng: random.Random) -> None:
    """With any quote and escape."""
    for _ in range(400):
        delimiter, quote, escape = rng.choice(
            [(b",", b'"', b'"'), (b";", b"'", b"\\"), (b"\t", b"|", b"e"), (b"x", b"a", b"a")]
        )
        end = rng.choice(ENDS)
        fields = CsvFields(delimiter, quote, escape, b"")
        alphabet = b"abex.\\\n\r\t|,;\"' \xc3\xa9"
        table = [[some_bytes(rng, alphabet) for _ in range(3)] for _ in range(rng.randint(1, 6))]
        forced = rng.random() < 0.3
        stream = b"".join(
            delimiter.join(fields.write(value, quoted=forced) for value in row) + end
            for row in table
        )
        rows = CsvRows(LIMIT, quote, escape)
        found = fed(rows, stream, rng, rng.choice([1, 2, 10, 1000]))
        assert rows.error is None
        assert [[fields.read(f) for f in fields.split(row)] for row in found] == table


def test_any_junk_is_the_same_wherever_it_is_cut(rng: random.Random) -> None:
    """Rows, error and end do not depend on the pieces in which a stream comes."""
    for _ in range(1500):
        stream = some_bytes(rng, b'a"\\\n\r.,', 40)
        for make in (
            lambda: TextRows(LIMIT),
            lambda: TextRows(LIMIT, b"\n", marker=False),
            lambda: CsvRows(LIMIT, b'"', b'"'),
            lambda: CsvRows(LIMIT, b'"', b"\\"),
            lambda: CsvRows(LIMIT, b'"', b'"', marker=True),
        ):
            whole, cut = make(), make()
            expected = fed(whole, stream, random.Random(1), len(stream) + 1)
            found = fed(cut, stream, rng, 3)
            told = [
                (rows.ended, rows.end, rows.unterminated, rows.error and rows.error.message)
                for rows in (whole, cut)
            ]
            assert found == expected
            assert told[0] == told[1]


def written(fields: list[bytes | None]) -> bytes:
    return struct.pack("!h", len(fields)) + b"".join(
        struct.pack("!i", -1 if field is None else len(field)) + (field or b"") for field in fields
    )


def test_tuples_wherever_they_are_cut(rng: random.Random) -> None:
    """NULL, empty and long fields; the header extension; the trailer. The fields asked for, and the tuple as it was."""
    for _ in range(200):
        table: list[list[bytes | None]] = [
            [
                None if rng.random() < 0.2 else rng.randbytes(rng.choice([0, 1, 50]))
                for _ in range(4)
            ]
            for _ in range(rng.randint(0, 8))
        ]
        header = binary.SIGNATURE + bytes(4) + b"\0\0\0\5hello"
        stream = header + b"".join(map(written, table)) + binary.TRAILER
        places = sorted(rng.sample(range(4), rng.randint(0, 4)))
        rows = binary.BinaryRows(LIMIT, 4, places)
        found: list[binary.Tuple] = []
        while stream:
            size = rng.randint(1, 30)
            found += rows.feed(stream[:size])
            stream = stream[size:]
        found += rows.finish()
        assert rows.error is None
        assert rows.ended
        assert rows.header == header
        assert [row[1::2] for row in found] == [[row[i] for i in places] for row in table]
        assert [b"".join(binary.written(row)) for row in found] == list(map(written, table))


def test_a_row_is_bounded() -> None:
    """54000 before more than the limit of one row is kept."""
    for rows in (TextRows(1000), CsvRows(1000, b'"', b'"')):
        assert rows.feed(b"a,b\n" * 1000) == [b"a,b"] * 1000
        for _ in range(200):
            rows.feed(b"x" * 20)
        assert isinstance(rows.error, CopyError)
        assert rows.error.sqlstate == "54000"
    tuples = binary.BinaryRows(1000, 1, [0])
    tuples.feed(binary.SIGNATURE + bytes(8) + b"\0\1\x7f\xff\xff\xff")
    assert tuples.error is not None
    assert tuples.error.sqlstate == "54000"


def test_a_row_of_many_pieces_is_read_in_linear_time() -> None:
    """A row of 8 MB with escaped line ends, in pieces of 1 KB: looked at again only when it has doubled."""
    rows, rest = TextRows(1 << 30), Rest(1 << 30)
    piece = b"x" * 1022 + b"\\\n"
    looked = 0
    for _ in range(8192):
        assert rows.feed(piece) == []
        block = rest.add(
            piece
        )  # What `rows` looks at: a class that counts cannot be derived from a compiled one.
        looked += len(block)
        if block:
            rest.keep(block)
    assert len(rows.feed(b"\nrest")) + len(rows.finish()) == 2
    assert 8192 * 1024 < looked < 5 * 8192 * 1024


@pytest.mark.parametrize(
    ("encoding", "codec"),
    [("SJIS", "cp932"), ("BIG5", "big5"), ("GBK", "gbk"), ("UHC", "cp949"), ("GB18030", "gb18030")],
)
def test_armour(encoding: str, codec: str, rng: random.Random) -> None:
    """No byte of a character is ASCII under it; taken off, the bytes are the client's; cut anywhere."""
    characters = [
        c
        for c in map(chr, [*range(0x20, 0x7F), *range(0xA0, 0x3000), *range(0x4E00, 0x9FA0)])
        if _encodes(c, codec)
    ]
    assert len(characters) > 2000
    for _ in range(100):
        text = "".join(rng.choices(characters, k=30))
        stream = text.encode(codec)
        armour = Armour(encoding)
        pieces = []
        rest = stream
        while rest:
            size = rng.randint(1, 5)
            pieces.append(armour.put_on(rest[:size]))
            rest = rest[size:]
        armour.finish()
        worn = b"".join(pieces)
        assert take_off(worn) == stream
        assert re.sub(rb"[\x80-\xff]", b"", worn).decode() == "".join(filter(str.isascii, text))


def _encodes(character: str, codec: str) -> bool:
    try:
        return len(character.encode(codec)) > 0
    except UnicodeEncodeError:
        return False


def test_armour_refuses_what_cannot_be() -> None:
    """A character that the end cuts off, and the byte that no such encoding has."""
    armour = Armour("SJIS")
    assert armour.put_on(b"ab\x95") == b"ab"
    with pytest.raises(CopyError):
        armour.finish()
    with pytest.raises(CopyError):
        Armour("GBK").put_on(b"\xff\\")
