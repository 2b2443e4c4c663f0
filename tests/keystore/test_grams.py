"""Terms of n-grams: 4 bytes of an HMAC each, sorted as the server sorts int4."""

from __future__ import annotations

import hashlib
import hmac
import random
import struct

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.hmac import HMAC

from keystore.grams import gram_terms

KEY = bytes(range(32))


def by_definition(grams: list[bytes]) -> bytes:
    """Written from the definition, by another implementation of HMAC."""
    digests = {hmac.new(KEY, gram, hashlib.sha256).digest()[:4] for gram in grams}
    return b"".join(sorted(digests, key=lambda digest: struct.unpack("!i", digest)))


def test_terms_are_the_first_bytes_of_the_hmac() -> None:
    """Sorted as signed numbers, each once; a gram is any bytes."""
    rng = random.Random(20)
    found = [rng.randbytes(rng.randint(1, 12)) for _ in range(500)]
    keyed = HMAC(KEY, SHA256())
    terms = gram_terms(keyed, found + found[:100])
    assert terms == by_definition(found)
    numbers = struct.unpack(f"!{len(terms) // 4}i", terms)
    assert list(numbers) == sorted(set(numbers))
    assert min(numbers) < 0 < max(numbers)
    assert gram_terms(keyed, found) == terms, "the keyed hash is not used up"


def test_no_grams_have_no_terms() -> None:
    """An empty list is an empty array, which contains nothing and is contained in all."""
    assert gram_terms(HMAC(KEY, SHA256()), []) == b""


def test_a_known_term() -> None:
    """The same for ever: the terms stand in databases."""
    assert gram_terms(HMAC(KEY, SHA256()), [b"ada", b"\x00ad", b"da\x00"]).hex() == (
        "9556fd53da954f172bfce298"
    )
