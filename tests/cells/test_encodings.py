"""Client encodings against the server's conversions, character by character."""

from __future__ import annotations

import random

import pytest

from proxy.cells import CellError, Settings
from proxy.cells.encoding import _SINGLE_BYTE as SINGLE_BYTE
from proxy.cells.logical import TYPES
from proxy.cells.multibyte import NAMES
from tests.cells.oracle import Oracle, decoding, encoding

TEXT = TYPES["text"]
BASIC_PLANE = [chr(code).encode() for code in range(0x80, 0x10000) if not 0xD800 <= code < 0xE000]
BEYOND = [
    chr(code).encode() for code in (*range(0x1F300, 0x1F320), *range(0x20000, 0x20400), 0x10FFFF)
]


def codes(name: str) -> list[bytes]:
    """Every byte and pair of bytes from the upper half on, and the longer forms that the encoding has."""
    found = [bytes((lead,)) for lead in range(0x80, 256)]
    found += [bytes((lead, trail)) for lead in range(0x80, 256) for trail in range(1, 256)]
    if name == "EUC_JP":
        found += [bytes((0x8F, row, cell)) for row in range(0xA0, 256) for cell in range(0xA0, 256)]
    if name == "GB18030":
        found += [
            bytes((a, b, c, d))
            for a in range(0x81, 0xFF, 5)
            for b in range(0x30, 0x3A, 2)
            for c in range(0x81, 0xFF, 3)
            for d in (0x30, 0x39)
        ]
    return found


@pytest.mark.parametrize("name", SINGLE_BYTE)
def test_single_byte_encodings(name: str, oracle: Oracle, rng: random.Random) -> None:
    """Every byte is read, and characters are written, as the server does."""
    settings = Settings(encoding=name)
    assert decoding(oracle, TEXT, [bytes((code,)) for code in range(1, 256)], settings) == []
    characters = BASIC_PLANE[:0x600] + rng.sample(BASIC_PLANE, 200)
    assert encoding(oracle, TEXT, characters, settings) == []


@pytest.mark.parametrize("name", NAMES)
def test_multibyte_encodings(name: str, oracle: Oracle, rng: random.Random) -> None:
    """A sample of codes and characters, alone and in strings, goes through as on the server."""
    settings = Settings(encoding=name)
    every = codes(name)
    some = rng.sample(every, 1500)
    strings = [
        b"".join(rng.choice((b"a", b"\\", rng.choice(every))) for _ in range(6)) for _ in range(500)
    ]
    assert decoding(oracle, TEXT, some + strings, settings) == []
    characters = rng.sample(BASIC_PLANE, 1500)
    mixed = [
        b"".join(rng.choice((b"a", rng.choice(BASIC_PLANE))) for _ in range(4)) for _ in range(500)
    ]
    assert encoding(oracle, TEXT, characters + mixed, settings) == []


@pytest.mark.long
@pytest.mark.parametrize("name", NAMES)
def test_whole_multibyte_encodings(name: str, oracle: Oracle) -> None:
    """All codes and all characters."""
    settings = Settings(encoding=name)
    assert decoding(oracle, TEXT, codes(name), settings) == []
    assert encoding(oracle, TEXT, BASIC_PLANE + BEYOND, settings) == []


@pytest.mark.parametrize("name", ["UTF8", "SQL_ASCII", "LATIN1", "SJIS", "EUC_KR"])
def test_jamo_and_nul(name: str, oracle: Oracle, rng: random.Random) -> None:
    """Codes that Python composes, NUL, and bytes that are no characters have the server's outcome."""
    settings = Settings(encoding=name)
    strings = [b"\xa4\xd4" + bytes((0xA4, rng.randint(0xA1, 0xFE))) * 3 for _ in range(100)]
    strings += [rng.randbytes(rng.randint(1, 5)).replace(b"\0", b"") for _ in range(300)]
    assert decoding(oracle, TEXT, strings, settings) == []
    if name in ("UTF8", "SQL_ASCII"):
        with pytest.raises(CellError) as caught:
            TEXT.from_text(b"a\0b", settings)
        assert caught.value.sqlstate == "22021"


def test_encoding_is_checked_before_the_type(oracle: Oracle) -> None:
    """Bytes that are no text are 22021 for every type, as on the server."""
    for name, logical in TYPES.items():
        for text in (b"\xff", b"1\xc3"):
            with pytest.raises(CellError) as caught:
                logical.from_text(text, Settings())
            assert caught.value.sqlstate == "22021", name


@pytest.mark.parametrize(
    "name", ["EUC_TW", "MULE_INTERNAL", "EUC_JIS_2004", "SHIFT_JIS_2004", "nonsense"]
)
def test_unknown_encodings_are_refused(name: str) -> None:
    """An encoding that cannot be converted exactly is refused, not approximated."""
    with pytest.raises(CellError) as caught:
        TEXT.decoder(0, Settings(encoding=name))
    assert caught.value.sqlstate == "0A000"


def test_characters_that_the_client_cannot_show() -> None:
    """A character without a place in client_encoding is 22P05 on the way out, in json too."""
    for name in ("text", "json", "jsonb"):
        canonical = TYPES[name].from_text('"中"'.encode(), Settings())
        with pytest.raises(CellError) as caught:
            TYPES[name].to_text(canonical, Settings(encoding="LATIN1"))
        assert caught.value.sqlstate == "22P05"
