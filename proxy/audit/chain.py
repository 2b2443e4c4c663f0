"""What makes the access log evidence: a hash chain over canonical lines, and a seal that only goes forward.

A line is its event's canonical JSON (RFC 8785). Its hash is SHA-256 of the line without `"hash":"…",`; `prev` is the hash
of the line before it in the chain, so that no line is altered, moved or taken out without a break.

Who has the file and can write it makes a chain without a break anew. Against that is the seal (Schneier and Kelsey,
"Secure audit logs to support computer forensics", 1999; Ma and Tsudik, "A new approach to secure logging", 2009,
FssAgg-MAC). Of line i with hash h_i:

    A_i = HMAC-SHA-256(k_i, A_{i-1} || h_i)        A_0 = 32 zero bytes
    k_{i+1} = SHA-256("sealgate seal v1" || k_i)   k_1 = the seal key, which the auditor keeps off the host

Only k_{i+1} and A_i of now are kept. Who takes them makes up a future, but not another past: that takes the keys before,
and SHA-256 does not run backwards; nor can the aggregate go back to an earlier line.

Checkpoints sign what was reached (Ed25519, RFC 8032), for those who have no seal key.
"""

from __future__ import annotations

import hashlib
from typing import Final

HASH_BYTES: Final = 32
NO_HASH: Final = bytes(HASH_BYTES)
"""`prev` of a chain's first event, and A_0."""
SEAL_LABEL: Final = b"sealgate seal v1"
SIGNED_LABEL: Final = b"sealgate access log v1\n"
CHAIN_CHARACTERS: Final = 32
"""A chain's name: a random UUID as lower-case hexadecimal digits."""

_sha256: Final = hashlib.sha256
# HMAC of RFC 2104 with a key of 32 bytes, half a block: as hmac.digest has it, a third of the time for so short a message.
_INNER: Final = bytes([byte ^ 0x36 for byte in range(256)])
_OUTER: Final = bytes([byte ^ 0x5C for byte in range(256)])
_INNER_REST: Final = _INNER[:1] * 32
_OUTER_REST: Final = _OUTER[:1] * 32


def hash_of(before: bytes, after: bytes) -> bytes:
    """h_i, 32 bytes: of the line's bytes before and after `"hash":"…",`."""
    return _sha256(before + after).digest()


def evolve(k: bytes) -> bytes:
    """k_{i+1} of k_i. The caller forgets k_i."""
    return _sha256(SEAL_LABEL + k).digest()


def aggregate(k: bytes, a: bytes, h: bytes) -> bytes:
    """A_i of k_i, A_{i-1} and h_i."""
    inner = _sha256(b"".join((k.translate(_INNER), _INNER_REST, a, h))).digest()
    return _sha256(b"".join((k.translate(_OUTER), _OUTER_REST, inner))).digest()


def signed_text(chain: str, size: int, head: bytes, seal: bytes) -> bytes:
    """What a checkpoint signs: `size` events, the last with hash `head`, under the aggregate `seal`."""
    return b"%b%b\n%d\n%b\n%b\n" % (
        SIGNED_LABEL,
        chain.encode(),
        size,
        head.hex().encode(),
        seal.hex().encode(),
    )
