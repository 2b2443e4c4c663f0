"""The chain of a log, checked by code that shares nothing with the one that writes it: json, hashlib, hmac and the contract.

hash = SHA-256(canonical JSON without integrity.hash), prev = the hash before, 64 zeros for the first
A_i = HMAC-SHA-256(k_i, A_{i-1} || h_i), k_{i+1} = SHA-256("sealgate seal v1" || k_i), A_0 = 32 zero bytes
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from proxy.audit.head import read_copy


def canonical(value: object) -> bytes:
    return json.dumps(
        value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    ).encode()


@dataclass
class Chained:
    """What the files of one chain hold. `gaps`: (last number before, first behind)."""

    events: list[dict[str, Any]] = field(default_factory=list)
    gaps: list[tuple[int, int]] = field(default_factory=list)
    torn: list[bytes] = field(default_factory=list)
    checkpoints: int = 0
    h: bytes = bytes(32)
    a: bytes = bytes(32)
    k: bytes = b""

    @property
    def kinds(self) -> list[str]:
        return [event["metadata"]["event_code"] for event in self.events]

    @property
    def sequences(self) -> list[int]:
        return [event["metadata"]["sequence"] for event in self.events]


def chained(path: Path, *before: Path, state: Path | None = None, at_rest: bool = True) -> Chained:
    """Asserts that every line of `before` (the oldest first) and of `path` is the chain's next, that every checkpoint holds,
    and, `at_rest`, that the head is where the lines end.

    A line that is no JSON is `torn`; behind a gap in the numbers, which is noted, the chain goes on.
    """
    state = state or Path(f"{path}.state")
    public = load_pem_public_key((state / "signing.pub").read_bytes())
    assert isinstance(public, Ed25519PublicKey)
    found = Chained(k=bytes.fromhex((state / "seal.key").read_text()))
    chain, certain, intended = read_copy((state / "head").read_bytes())
    sealed, last = True, 0
    for file in (*before, path):
        for line in file.read_bytes().split(b"\n"):
            if not line:
                continue
            try:
                event = json.loads(line)
            except ValueError:
                found.torn.append(line)
                continue
            assert canonical(event) == line
            integrity = event["unmapped"]["sealgate"]["integrity"]
            claimed = bytes.fromhex(integrity.pop("hash"))
            assert claimed == hashlib.sha256(canonical(event)).digest()
            assert integrity["chain"] == chain
            sequence = event["metadata"]["sequence"]
            if sequence != last + 1:
                assert sequence > last
                found.gaps.append((last, sequence))
                sealed = False
            else:
                assert integrity["prev"] == found.h.hex()
            found.events.append(event)
            if point := event["unmapped"]["sealgate"].get("checkpoint"):
                found.checkpoints += 1
                _check(point, chain, sequence, found if sealed else None, public)
            last, found.h = sequence, claimed
            found.a = hmac.new(found.k, found.a + claimed, "sha256").digest()
            found.k = hashlib.sha256(b"sealgate seal v1" + found.k).digest()
    if at_rest and sealed:
        assert certain.packed() == intended.packed()
        assert (certain.sequence, certain.h, certain.a, certain.k) == (
            last,
            found.h,
            found.a,
            found.k,
        )
        assert certain.offset == path.stat().st_size
    return found


def _check(
    point: dict[str, Any],
    chain: str,
    sequence: int,
    so_far: Chained | None,
    public: Ed25519PublicKey,
) -> None:
    assert point["size"] == sequence - 1
    assert point["key"] == hashlib.sha256(public.public_bytes_raw()).hexdigest()[:16]
    if so_far is not None:
        assert (point["head"], point["seal"]) == (so_far.h.hex(), so_far.a.hex())
    text = f"sealgate access log v1\n{chain}\n{point['size']}\n{point['head']}\n{point['seal']}\n"
    public.verify(base64.b64decode(point["signature"]), text.encode())
