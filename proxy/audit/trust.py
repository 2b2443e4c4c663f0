"""What the access log is held against when it is verified: keys, the head, copies. All of it may be left out."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from proxy.audit.checkpoint import key_name
from proxy.audit.copies import Copies


@dataclass(frozen=True, slots=True)
class HeadCopy:
    """The file `head`, or a copy of it: event `sequence` of `chain` has `hash`, `seal` is the aggregate, `key` the next key.

    `intended` is the number up to which lines were about to be written. `live`: it was read together with the log, so that
    nothing can rightly stand behind it.
    """

    chain: str
    sequence: int
    hash: bytes
    seal: bytes
    key: bytes
    intended: int
    live: bool


@dataclass(frozen=True, slots=True)
class Trust:
    """What the log is held against. All of it may be left out; the verdict says what that leaves open.

    public_keys    of the signing keys, by their name in checkpoints (`key_name`)
    seal_keys      k_1 of each chain, 32 bytes
    chains         chains known to be rightly there; none: the first one is, others need their seal key
    first          number of the first event that should be there: files before it are kept elsewhere
    host_keys      the keys were read on the host that wrote the log: who changed the one could change the other
    """

    public_keys: dict[str, Ed25519PublicKey] = field(default_factory=dict)
    seal_keys: tuple[bytes, ...] = ()
    head: HeadCopy | None = None
    copies: Copies | None = None
    chains: frozenset[str] = frozenset()
    first: int = 1
    checkpoint_events: int = 1000
    host_keys: bool = False


def trusted_keys(keys: Iterable[Ed25519PublicKey]) -> dict[str, Ed25519PublicKey]:
    """As `Trust` has them."""
    return {key_name(key): key for key in keys}
