"""The access log's keys in its state directory. [io]

    signing.key   Ed25519, PKCS#8 PEM: signs checkpoints; stays with the proxy
    signing.pub   its public half, SubjectPublicKeyInfo PEM: for whoever verifies
    seal.key      k_1 of the seal, hexadecimal: belongs to the auditor, on another machine

Whoever has seal.key can make up any past of the chain. So it is written once, when the chain begins, and the proxy never
reads it again: it is to be moved away, and `serve` warns as long as it is there.
"""

from __future__ import annotations

import base64
import hashlib
import os
import secrets
import stat
import time
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from proxy.audit.chain import HASH_BYTES
from proxy.audit.log_file import write_new

SIGNING_KEY: Final = "signing.key"
PUBLIC_KEY: Final = "signing.pub"
SEAL_KEY: Final = "seal.key"
_LONGEST: Final = 4096


class KeyUnusable(OSError):
    """A key file that is missing or is not one. `strerror` says what to do, and holds nothing of the key."""

    def __init__(self, problem: str) -> None:
        super().__init__(0, problem)


class SigningKey:
    """`name` is what checkpoints call its public half: 16 hexadecimal digits of its SHA-256."""

    __slots__ = ("_key", "name")

    def __init__(self, key: Ed25519PrivateKey) -> None:
        self._key = key
        public = key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        self.name = hashlib.sha256(public).hexdigest()[:16]

    def sign(self, text: bytes) -> str:
        """Base64."""
        return base64.b64encode(self._key.sign(text)).decode()


def load_signing_key(state: Path) -> SigningKey:
    """Raises OSError, KeyUnusable."""
    path = state / SIGNING_KEY
    fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode) or status.st_mode & (stat.S_IRWXG | stat.S_IRWXO):
            raise KeyUnusable(f"{path} is open to others (chmod go= {path})")
        pem = os.read(fd, _LONGEST)
    finally:
        os.close(fd)
    try:
        key = load_pem_private_key(pem, None)
    except (ValueError, TypeError):
        key = None
    if not isinstance(key, Ed25519PrivateKey):
        raise KeyUnusable(f"{path} is not an Ed25519 key: restore it, or move {state} away")
    return SigningKey(key)


def make_state_directory(state: Path) -> None:
    """There it is, its owner's alone. Raises OSError."""
    try:
        state.mkdir(mode=0o700)
    except FileExistsError:
        mode = state.stat().st_mode
        if not stat.S_ISDIR(mode):
            raise
        if mode & (stat.S_IWGRP | stat.S_IWOTH):
            problem = f"others than its owner may write to {state} (chmod go-w {state})"
            raise PermissionError(1, problem) from None


def make_signing_key(state: Path) -> None:
    """Unless there is one. Raises OSError."""
    key = Ed25519PrivateKey.generate()
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    if not (state / SIGNING_KEY).exists():
        (state / PUBLIC_KEY).unlink(missing_ok=True)
        write_new(state / PUBLIC_KEY, public, 0o644)
        write_new(state / SIGNING_KEY, pem, 0o600)


def make_seal_key(state: Path) -> bytes:
    """k_1 of a new chain. The one of an earlier chain, if it is still there, gets another name. Raises OSError."""
    path = state / SEAL_KEY
    if path.exists():
        path.rename(f"{path}.{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}")
    key = secrets.token_bytes(HASH_BYTES)
    write_new(path, key.hex().encode() + b"\n", 0o600)
    return key


def seal_key_is_here(state: Path) -> bool:
    """It should be with the auditor."""
    return any(state.glob(SEAL_KEY + "*"))
