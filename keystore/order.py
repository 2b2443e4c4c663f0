"""Order terms: bytes that sort as the values do, so that bytea's own `<` and btree serve.

N. Chenette, K. Lewi, S. A. Weis, D. J. Wu: Practical Order-Revealing Encryption with Limited Leakage, FSE 2016
(https://eprint.iacr.org/2015/1125). A value is n bits b1 ... bn; its ciphertext is n numbers

    u_i = F(k, (i, b1 ... b_(i-1), zeros)) + b_i  mod M

F a pseudorandom function. Two ciphertexts are equal up to the first bit in which the values differ; there one number is
the other plus 1, and that one belongs to the greater value. In the paper numbers are taken modulo M (3 is the least), so
that a function of its own has to compare them: order-revealing.

Here F is in 0 ... 254 and nothing wraps around: u_i is one byte, 0 ... 255, and two terms compare as plain bytes:
order-preserving. F is AES-256 over i (2 bytes) and the bits before it (14 bytes, those to come zero), all blocks of a
value in one pass; its first 4 bytes modulo 255, which is uniform but for one part in 2^32. Forms longer than 14 bytes go
on in chunks of 14 bytes, each under a key of its own, HMAC-SHA-256(order key, all bytes before the chunk), which is a
pseudorandom function of (position, bits before it) again.

What a term gives away to whoever holds it and no key:
- of two values of a column, which is greater, and the first bit in which they differ (the paper's leakage; the bits
  behind it stay hidden). Of many values together that is much: of a dense column nearly everything;
- what the byte form adds: F + b is 0 only if b is 0, and 255 only if b is 1, so each bit of each value is there to
  read with probability 1/255. In the paper's form no single ciphertext shows anything;
- its length, which for forms of varying length (numeric) is the value's.
"""

from __future__ import annotations

from collections.abc import Callable
from struct import Struct
from typing import Final, final

from keystore._raw import Opaque, Secret

TERM_BYTES: Final = 8
"""Of a term, for a byte of the form."""
CHUNK: Final = 14
"""Bytes of a form that are masked under one key: a block of 16 less the position."""

LOWEST: Final = b""
"""Sorts below every term."""
HIGHEST: Final = b"\xff" * 64
"""Sorts above every term: one that began so would need 64 bits 1 and F 254 at each, which AES gives at odds of 2^-511."""

_BLOCK: Final = 128
_POSITION: Final = 8 * CHUNK
"""Bits of a block behind those that hold the position."""


@final
class OrderKey(Opaque):
    """Makes the order terms of one column, or of one search group."""

    __slots__ = ("_encrypt", "_secret")
    _encrypt: Callable[[bytes], bytes]
    _secret: Secret

    def __init__(self, secret: Secret) -> None:
        self._set(_encrypt=secret.of(b"").blocks().update, _secret=secret)

    def term(self, form: bytes) -> bytes:
        """8 bytes for each byte of `form`; terms sort, as bytes, as their forms do.

        Of two forms neither may be the start of the other, or only the plain order holds and `just_above` does not.
        """
        size = len(form)
        if size <= CHUNK:
            return _masked(form, self._encrypt)
        term = _masked(form[:CHUNK], self._encrypt)
        for start in range(CHUNK, size, CHUNK):
            encrypt = self._secret.of(form[:start]).blocks().update
            term += _masked(form[start : start + CHUNK], encrypt)
        return term


def just_above(term: bytes) -> bytes:
    """Sorts above `term` and below every term that is greater."""
    return term + b"\x01"


def truncated(term: bytes, size: int) -> bytes:
    """The term of a form's first `size` bytes, which is where the terms of all forms that begin so begin."""
    return term[: TERM_BYTES * size]


def _masked(chunk: bytes, encrypt: Callable[[bytes], bytes]) -> bytes:
    """F + bit for each bit of at most 14 bytes.

    All blocks are made at once, as one long number: `repeat` copies the bits into each block, `before` leaves those
    that come before the block's position, `positions` puts that in front.
    """
    size = len(chunk)
    count = 8 * size
    repeat, before, positions, length, numbers = _SHAPES[size]
    value = int.from_bytes(chunk, "big")
    blocks = ((value << _POSITION - count) * repeat & before | positions).to_bytes(length, "big")
    found = numbers(encrypt(blocks))
    term = bytearray(count)
    at = 0
    for byte in chunk:
        term[at] = found[at] % 255 + (byte >> 7)
        term[at + 1] = found[at + 1] % 255 + (byte >> 6 & 1)
        term[at + 2] = found[at + 2] % 255 + (byte >> 5 & 1)
        term[at + 3] = found[at + 3] % 255 + (byte >> 4 & 1)
        term[at + 4] = found[at + 4] % 255 + (byte >> 3 & 1)
        term[at + 5] = found[at + 5] % 255 + (byte >> 2 & 1)
        term[at + 6] = found[at + 6] % 255 + (byte >> 1 & 1)
        term[at + 7] = found[at + 7] % 255 + (byte & 1)
        at += 8
    return bytes(term)


def _shape(size: int) -> tuple[int, int, int, int, Callable[[bytes], tuple[int, ...]]]:
    count = 8 * size
    repeat = before = positions = 0
    for position in range(count):
        shift = _BLOCK * (count - 1 - position)
        repeat |= 1 << shift
        before |= ((1 << position) - 1) << (_POSITION - position) << shift
        positions |= position << _POSITION << shift
    return repeat, before, positions, 16 * count, Struct(">" + "I12x" * count).unpack


_SHAPES: Final = [_shape(size) for size in range(CHUNK + 1)]
