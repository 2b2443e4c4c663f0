"""Raw key bytes: the only module that holds them, and nothing outside `keystore` imports it.

A `Secret` is 32 bytes that can be put to use (cipher, MAC, derivation, wrapping) but not read. No
function here binds key bytes to a local name while it can raise, so that a traceback printed with
its frames' locals shows none either. What Python cannot do is erase memory: keys live in this
process's memory until it ends, and a core dump of it holds them.

Derivation is HKDF-SHA-256 (RFC 5869) with a purpose as `info`; ciphers are AES-256-GCM (NIST SP
800-38D) with a 96-bit random nonce; MACs are HMAC-SHA-256 (FIPS 198-1).
"""

from __future__ import annotations

import hashlib
import os
import re
from typing import BinaryIO, Final, NoReturn, final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers import (
    AEADDecryptionContext,
    AEADEncryptionContext,
    Cipher,
    CipherContext,
)
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import ECB, GCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.hmac import HMAC
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

KEY_SIZE: Final = 32
NONCE_SIZE: Final = 12
TAG_SIZE: Final = 16
WRAPPED_SIZE: Final = NONCE_SIZE + KEY_SIZE + TAG_SIZE

# A prefix that secret scanners and people recognise; the digest catches a bad paste before it is
# mistaken for another key. It stands beside the key itself, so it discloses nothing.
ROOT_KEY_PREFIX: Final = "sealgate-root-key-v1"
_ROOT_KEY_TEXT: Final = re.compile(rb"sealgate-root-key-v1:([0-9a-f]{64}):([0-9a-f]{8})\s*")


class Opaque:
    """A frozen object that cannot be copied, pickled or printed to show what it holds."""

    __slots__ = ()

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"{type(self).__name__} is frozen")

    def __delattr__(self, name: str) -> None:
        raise AttributeError(f"{type(self).__name__} is frozen")

    def __repr__(self) -> str:
        return f"<{type(self).__name__}>"

    # Without these, copy, pickle and dataclasses.asdict would reach into the slots.
    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError(f"{type(self).__name__} holds keys: it is not copied or pickled")

    def __getstate__(self) -> NoReturn:
        raise TypeError(f"{type(self).__name__} holds keys: it has no state to give away")

    def _set(self, **attributes: object) -> None:
        """For `__init__` only."""
        for name, value in attributes.items():
            object.__setattr__(self, name, value)


@final
class Secret(Opaque):
    """32 secret bytes, usable and not readable."""

    __slots__ = ("_bytes",)
    _bytes: bytes

    def __init__(self, material: bytes) -> None:
        if len(material) != KEY_SIZE:
            del material
            raise ValueError("a key is 32 bytes")
        self._set(_bytes=material)

    @classmethod
    def generate(cls) -> Secret:
        return cls(os.urandom(KEY_SIZE))

    def derive(self, info: str) -> Secret:
        """An independent key for another purpose."""
        return Secret(_hkdf(info).derive(self._bytes))

    def cipher(self) -> AESGCM:
        return AESGCM(self._bytes)

    def encryptor(self, nonce: bytes) -> AEADEncryptionContext:
        """The same cipher step by step, for long values."""
        return Cipher(AES(self._bytes), GCM(nonce)).encryptor()

    def decryptor(self, nonce: bytes, tag: bytes) -> AEADDecryptionContext:
        """What it gives is not to be used before `finalize` has verified the tag."""
        return Cipher(AES(self._bytes), GCM(nonce, tag)).decryptor()

    def blocks(self) -> CipherContext:
        """AES-256 (FIPS 197) on each block of 16 bytes by itself: a pseudorandom function, and no way to encrypt."""
        return Cipher(AES(self._bytes), ECB()).encryptor()  # noqa: S305 - what ECB shows, equal blocks, is asked for

    def keyed(self) -> HMAC:
        """HMAC-SHA-256 under this key, to be copied for each message: half the time of a keyed call each."""
        return HMAC(self._bytes, SHA256())

    def of(self, message: bytes) -> Secret:
        """An independent key for each message: HMAC-SHA-256 of it, for keys too many to name by a purpose."""
        state = self.keyed()
        state.update(message)
        return Secret(state.finalize())

    def check_value(self) -> str:
        """16 hex digits by which the key may be recognised, as ANSI X9.24's key check values are.

        Derived, instead of encrypting a zero block as X9.24 does, because GCM's hash key is that
        very block and an index key must never answer for a chosen message.
        """
        return _hkdf("sealgate key check value v1").derive(self._bytes)[:8].hex()

    def wrap(self, cipher: AESGCM, associated_data: bytes) -> bytes:
        """Nonce, ciphertext and tag of this key under `cipher`: 60 bytes."""
        nonce = os.urandom(NONCE_SIZE)
        return nonce + cipher.encrypt(nonce, self._bytes, associated_data)

    @staticmethod
    def unwrap(cipher: AESGCM, wrapped: bytes, associated_data: bytes) -> Secret | None:
        """The key in `wrapped`; None unless exactly this was wrapped with this associated data."""
        if len(wrapped) != WRAPPED_SIZE:
            return None
        try:
            return Secret(
                cipher.decrypt(wrapped[:NONCE_SIZE], wrapped[NONCE_SIZE:], associated_data)
            )
        except InvalidTag:
            return None

    def write_root_key(self, file: BinaryIO) -> None:
        """Write the text form of a root key: prefix, key, digest, one line."""
        file.write(
            f"{ROOT_KEY_PREFIX}:{self._bytes.hex()}:{_root_key_digest(self._bytes)}\n".encode()
        )

    @staticmethod
    def read_root_key(text: bytes) -> Secret | None:
        """The root key that `text` is; None where it is no root key or a mistyped one."""
        match = _ROOT_KEY_TEXT.fullmatch(text)
        if match is None or match[2].decode() != _root_key_digest(bytes.fromhex(match[1].decode())):
            return None
        return Secret(bytes.fromhex(match[1].decode()))


def _hkdf(info: str) -> HKDF:
    return HKDF(algorithm=SHA256(), length=KEY_SIZE, salt=None, info=info.encode())


def _root_key_digest(material: bytes) -> str:
    return hashlib.sha256(ROOT_KEY_PREFIX.encode() + material).hexdigest()[:8]
