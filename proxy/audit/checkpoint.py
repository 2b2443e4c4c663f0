"""A checkpoint read: what it signs (`chain`), and whether the signature is good (Ed25519, RFC 8032)."""

from __future__ import annotations

import base64
import binascii
import hashlib
from typing import Final, NamedTuple

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_public_key,
)

from proxy.audit.chain import HASH_BYTES, signed_text
from proxy.audit.ocsf import Event

CHECKPOINT: Final = "log.checkpoint"
_NAME_CHARACTERS: Final = 16


class Checkpoint(NamedTuple):
    """`size` events, the last with hash `head`, under the aggregate `seal`, signed by the key called `key`."""

    size: int
    head: bytes
    seal: bytes
    key: str
    signature: bytes


def checkpoint(event: Event) -> Checkpoint | None:
    """What a checkpoint event says; None: it is not of that form."""
    try:
        said = event["unmapped"]["sealgate"]["checkpoint"]
        size, key = said["size"], said["key"]
        head, seal = bytes.fromhex(said["head"]), bytes.fromhex(said["seal"])
        signature = base64.b64decode(said["signature"], validate=True)
    except (LookupError, TypeError, ValueError, binascii.Error):
        return None
    if (
        type(size) is not int
        or size < 0
        or not isinstance(key, str)
        or len(key) != _NAME_CHARACTERS
        or len(head) != HASH_BYTES
        or len(seal) != HASH_BYTES
    ):
        return None
    return Checkpoint(size, head, seal, key, signature)


def signed_by(chain: str, found: Checkpoint, key: Ed25519PublicKey) -> bool:
    """Is this key's signature of it good?"""
    try:
        key.verify(found.signature, signed_text(chain, found.size, found.head, found.seal))
    except InvalidSignature:
        return False
    return True


def key_name(key: Ed25519PublicKey) -> str:
    """What checkpoints call the key: the first 16 hexadecimal digits of the SHA-256 of its 32 bytes."""
    raw = key.public_bytes(Encoding.Raw, PublicFormat.Raw)
    return hashlib.sha256(raw).hexdigest()[:_NAME_CHARACTERS]


def public_key(pem: bytes) -> Ed25519PublicKey:
    """Of a PEM file (SubjectPublicKeyInfo, RFC 8410). Raises ValueError, in words for people."""
    try:
        key = load_pem_public_key(pem)
    except Exception:  # what cryptography raises for junk is not one class
        key = None
    if not isinstance(key, Ed25519PublicKey):
        raise ValueError("it is not an Ed25519 public key in PEM (signing.pub)")
    return key
