"""Long values, sealed and opened in steps.

Python lets another thread run between two operations, not within one: encrypting 200 MB in one call keeps every other thread
waiting for 150 ms. So it is done in short steps, which `b"".join` puts together without the interpreter's lock. The result is
the same, byte for byte.

This file is not to be compiled: compiled loops do not let other threads run.
"""

from __future__ import annotations

from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.hmac import HMAC

from keystore._raw import NONCE_SIZE, TAG_SIZE, Secret

LONG: Final = 4 << 20
"""Bytes; up to here one operation will do: 2 or 3 ms."""
_STEP: Final = 1 << 18


def seal(secret: Secret, nonce: bytes, plaintext: bytes, prefix: bytes) -> bytes:
    """Prefix, nonce, ciphertext and tag; the prefix is the associated data."""
    encryptor = secret.encryptor(nonce)
    encryptor.authenticate_additional_data(prefix)
    view = memoryview(plaintext)
    pieces = [prefix, nonce]
    pieces += [encryptor.update(view[at : at + _STEP]) for at in range(0, len(plaintext), _STEP)]
    pieces.append(encryptor.finalize())
    pieces.append(encryptor.tag)
    return b"".join(pieces)


def unseal(secret: Secret, value: bytes, split: int) -> bytes | None:
    """The plaintext behind the nonce at `split`; None, and nothing of it, unless the tag matches."""
    end = len(value) - TAG_SIZE
    decryptor = secret.decryptor(value[split : split + NONCE_SIZE], value[end:])
    decryptor.authenticate_additional_data(value[:split])
    view = memoryview(value)
    pieces = [
        decryptor.update(view[at : min(at + _STEP, end)])
        for at in range(split + NONCE_SIZE, end, _STEP)
    ]
    try:
        pieces.append(decryptor.finalize())
    except InvalidTag:
        return None
    return b"".join(pieces)


def update(state: HMAC, message: bytes) -> None:
    view = memoryview(message)
    for at in range(0, len(message), _STEP):
        state.update(view[at : at + _STEP])
