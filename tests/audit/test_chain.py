"""The chain's functions, against the standard library and against numbers that were worked out once."""

from __future__ import annotations

import hashlib
import hmac
import os
import random

import orjson
import pytest
import rfc8785

from proxy.audit import chain
from proxy.audit.entry import Entry, canonical, encode
from tests.audit.examples import examples

SEED = int(os.environ.get("CHAIN_SEED") or random.randrange(2**32))


def test_the_aggregate_is_hmac() -> None:
    """HMAC-SHA-256 of RFC 2104, as the standard library computes it."""
    draw = random.Random(SEED)
    for _ in range(2000):
        k, a, h = (draw.randbytes(32) for _ in range(3))
        assert chain.aggregate(k, a, h) == hmac.digest(k, a + h, "sha256"), f"CHAIN_SEED={SEED}"


def test_the_seal_of_three_events() -> None:
    """Fixed: another implementation must come to the same."""
    k, a = bytes(range(32)), chain.NO_HASH
    for n in range(3):
        a = chain.aggregate(k, a, chain.hash_of(b"event ", b"%d" % n))
        k = chain.evolve(k)
    assert k == hashlib.sha256(b"sealgate seal v1" + _evolved(2)).digest()
    assert a.hex() == "279cd6224e80e7d40bc66ee9e0d4e40d7140e84cedc8046dfdb76097bec75023"


def _evolved(times: int) -> bytes:
    k = bytes(range(32))
    for _ in range(times):
        k = hashlib.sha256(b"sealgate seal v1" + k).digest()
    return k


def test_what_a_checkpoint_signs() -> None:
    """Five lines of text."""
    text = chain.signed_text("ab" * 16, 12, bytes(32), b"\xff" * 32)
    assert text.decode().split("\n") == [
        "sealgate access log v1",
        "ab" * 16,
        "12",
        "00" * 32,
        "ff" * 32,
        "",
    ]


def _value(draw: random.Random, deep: int = 3) -> object:
    match draw.randrange(7 if deep else 5):
        case 0:
            return draw.choice([True, False, None])
        case 1:
            return draw.randint(-(2**53) + 1, 2**53 - 1)
        case 2:
            return draw.randint(-99, 99)
        case 3 | 4:
            return "".join(chr(draw.choice([draw.randrange(128), draw.randrange(0xD800), 0x1F600])) for _ in range(draw.randrange(9)))  # fmt: skip
        case 5:
            return [_value(draw, deep - 1) for _ in range(draw.randrange(4))]
    keys = ["".join(draw.choices("abz_09AZ~", k=draw.randrange(1, 5))) for _ in range(draw.randrange(5))]  # fmt: skip
    return {key: _value(draw, deep - 1) for key in keys}


def test_canonical_is_rfc_8785() -> None:
    """As the published package has it, for all that an event may hold."""
    draw = random.Random(SEED)
    for _ in range(3000):
        value = _value(draw)
        assert canonical(value) == rfc8785.dumps(value), f"CHAIN_SEED={SEED}"  # type: ignore[arg-type]


@pytest.mark.parametrize("value", [1.5, -0.0, 1e300, 2**53, -(2**53), {"\u00e9": 1}, {"a": [2.0]}])
def test_what_has_no_canonical_form_is_refused(value: object) -> None:
    """Wherever it stands: floats, integers that are floats to some, keys that sort otherwise elsewhere."""
    for event in ({"x": value}, {"x": ["1.5e3", ":2.5", value]}, {"x": {"y": {"z": [value]}}}):
        with pytest.raises(orjson.JSONEncodeError):
            canonical(event)


def test_an_entry_is_its_event() -> None:
    """Every kind: with what the log adds it is canonical, without it is what was built."""
    for event in examples().values():
        entry = encode(event) if isinstance(event, dict) else event
        assert isinstance(entry, Entry)
        p0, p1, p2, p3, p4 = entry.pieces
        line = b"".join((p0, b'"S"', p1, b'7,"uid":"U"', p2, b"1", p3, b'{"chain":"c"}', p4))
        assert rfc8785.dumps(orjson.loads(line)) == line
        written = orjson.loads(line)
        assert [written["metadata"][k] for k in ("log_source", "sequence", "uid")] == ["S", 7, "U"]
        assert written["unmapped"]["sealgate"]["integrity"] == {"chain": "c"}


def test_a_text_that_was_not_cleaned_forges_no_place() -> None:
    """The mark of a place to fill in cannot come from a text; where it does, the event is refused."""
    event = (
        examples()["log.repaired"]
        if "log.repaired" in examples()
        else next(e for e in examples().values() if isinstance(e, dict))
    )
    with pytest.raises(orjson.JSONEncodeError, match="not clean"):
        encode({**event, "message": "\0"})
    for text in ('"\\u0000"', "\\u0000", "\0\0", '"integrity":', '{"chain":'):
        assert encode({**event, "message": text}).event["message"] == text
