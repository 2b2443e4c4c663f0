"""Further search terms of a sealed value: each behind its length (2 bytes, big endian), in the order of their flags.

    flag   term
    0x04   case-folded equality: HMAC-SHA-256(key, simple lower-case form), first 16 bytes
    0x08   order: see `keystore.order`
    0x10   match: 4 bytes for each distinct gram, the first of HMAC-SHA-256(key, gram), sorted: `keystore.grams`
    0x20   paths: 16 bytes for each form at a declared path, the first of HMAC-SHA-256(key, form), sorted

0x02 stays unused: the first release's vectors say that it is unknown. Each kind has a key of its own, HKDF-SHA-256 (RFC 5869) of the column's index key.
"""

from __future__ import annotations

from typing import Final

CASEFOLD: Final = 0x04
ORDER: Final = 0x08
MATCH: Final = 0x10
PATHS: Final = 0x20
FURTHER: Final = CASEFOLD | ORDER | MATCH | PATHS

LENGTH_SIZE: Final = 2
LONGEST: Final = 0xFFFF
"""Bytes of a term."""
NO_TERMS: Final = b""


def further(
    casefold: bytes | None = None,
    order: bytes | None = None,
    match: bytes | None = None,
    paths: bytes | None = None,
) -> bytes:
    """A flags byte, and the terms that are given, for `ColumnKeys.seal`. Raises ValueError for one that is too long."""
    flags = 0
    found = b""
    for flag, term in ((CASEFOLD, casefold), (ORDER, order), (MATCH, match), (PATHS, paths)):
        if term is not None:
            if len(term) > LONGEST:
                raise ValueError("a search term has at most 65,535 bytes")
            flags |= flag
            found += len(term).to_bytes(LENGTH_SIZE, "big") + term
    return bytes((flags,)) + found if flags else NO_TERMS


def split(flags: int, block: bytes) -> dict[int, bytes]:
    """The terms in a block that these flags tell of, by flag, without their lengths. The block must be whole."""
    found: dict[int, bytes] = {}
    at = 0
    for flag in (CASEFOLD, ORDER, MATCH, PATHS):
        if flags & flag:
            start = at + LENGTH_SIZE
            at = start + int.from_bytes(block[at:start], "big")
            found[flag] = block[start:at]
    return found
