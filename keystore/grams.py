"""Terms of n-grams: what a column with search = ["match"] stores for LIKE.

A term is the first 4 bytes of HMAC-SHA-256 over a gram under the column's match key, as a signed int32: what PostgreSQL
keeps in an int4[] with a GIN index. Short on purpose. Two grams of 2^32 share a term now and then, so what the database
finds by terms is more than what matches, and has to be tested once it is unsealed; and who reads the index learns less of
a rare gram. The terms of a value are sorted, so that they tell nothing of where its grams stand.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from typing import Final

from cryptography.hazmat.primitives.hmac import HMAC

GRAM_TERM_SIZE: Final = 4


def gram_terms(keyed: HMAC, grams: Iterable[bytes]) -> bytes:
    """The distinct terms of the grams, ascending as signed numbers, 4 bytes big endian each.

    `keyed`: HMAC-SHA-256 under the match key, nothing hashed yet; it is copied, not used up.
    """
    terms = sorted({_term(keyed, gram) for gram in grams})
    return struct.pack(f"!{len(terms)}i", *terms)


def _term(keyed: HMAC, gram: bytes) -> int:
    state = keyed.copy()
    state.update(gram)
    return int.from_bytes(state.finalize()[:GRAM_TERM_SIZE], "big", signed=True)
