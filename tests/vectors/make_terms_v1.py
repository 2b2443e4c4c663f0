"""Wrote `terms_v1.json`, once: sealed values with further search terms, by an implementation of its own.

It shares no code with `keystore`: HKDF (RFC 5869) and HMAC are spelled out. The vectors never change: a test runs this
again and compares. Order terms have vectors of their own (`order_v1.json`); here they are taken as given bytes.
Standard output only.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import struct
from typing import Any

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

COLUMN, KEY_ID = "public.customers.email", 0x01020304
FLAGS = {"casefold": 0x04, "order": 0x08, "match": 0x10, "paths": 0x20}

Terms = dict[str, Any]
VALUES: list[tuple[str, bytes, bytes | None, Terms]] = [
    ("case-folded alone", b"Ada", None, {"casefold": b"ada"}),
    ("equality and case-folded", b"Ada", b"Ada", {"casefold": b"ada"}),
    ("an order term", b"\0\0\0\1", None, {"order": bytes(range(32))}),
    ("equality and an order term", b"\0\0\0\1", b"\0\0\0\1", {"order": bytes(range(32))}),
    ("grams, two of them twice", b"adada", None, {"match": [b"\0ad", b"ada", b"dad", b"ada", b"da\0", b"ada"]}),
    ("no grams", b"", None, {"match": []}),
    ("paths, in no order that tells", b"\1{}", None, {"paths": [b"t1", b"v1", b"t2"]}),
    (
        "all of them",
        b"Ada",
        b"Ada",
        {"casefold": b"ada", "order": b"\xff" * 136, "match": [b"\0ad", b"ada", b"da\0"], "paths": [b"v1"]},
    ),
    ("order and paths, nothing between", b"", None, {"order": b"", "paths": [b"v"]}),
]  # fmt: skip


def material(*words: str) -> bytes:
    return hashlib.sha256(" ".join(("sealgate term vectors v1", *words)).encode()).digest()


def mac(key: bytes, message: bytes) -> bytes:
    return hmac.new(key, message, hashlib.sha256).digest()


def derived(kind: str) -> bytes:
    """HKDF-SHA-256 without a salt; 32 bytes are one block."""
    extracted = mac(bytes(32), material("index key"))
    return mac(extracted, f"sealgate {kind} term v1".encode() + b"\1")


def term(kind: str, given: Any) -> bytes:
    if kind == "casefold":
        return mac(derived("casefold"), given)[:16]
    if kind == "order":
        return bytes(given)
    if kind == "match":
        numbers = {struct.unpack(">i", mac(derived("match"), gram)[:4])[0] for gram in given}
        return b"".join(struct.pack(">i", number) for number in sorted(numbers))
    return b"".join(sorted({mac(derived("path"), form)[:16] for form in given}))


def sealed(number: int, plaintext: bytes, equality: bytes | None, given: Terms) -> bytes:
    flags = (equality is not None) | sum(FLAGS[kind] for kind in given)
    head = bytes((0x5E, 0xA1, 1, flags)) + KEY_ID.to_bytes(4, "big")
    if equality is not None:
        head += mac(material("index key"), equality)[:16]
    for kind in FLAGS:
        if kind in given:
            found = term(kind, given[kind])
            head += len(found).to_bytes(2, "big") + found
    nonce = material("nonce", str(number))[:12]
    return head + nonce + AESGCM(material("data key")).encrypt(nonce, plaintext, head)


def shown(given: Any) -> Any:
    return [item.hex() for item in given] if isinstance(given, list) else given.hex()


def vectors() -> dict[str, Any]:
    return {
        "format": "sealed value, version 1, with further search terms",
        "notes": [
            "All byte strings are hexadecimal. These vectors never change.",
            "casefold: a form; match: grams; paths: forms; order: the term itself. Sealing with them and the nonce gives the value.",
        ],
        "column": COLUMN,
        "id": KEY_ID,
        "data_key": material("data key").hex(),
        "index_key": material("index key").hex(),
        "valid": [
            {
                "comment": comment,
                "plaintext": plaintext.hex(),
                "equality_form": None if equality is None else equality.hex(),
                "further": {kind: shown(value) for kind, value in given.items()},
                "nonce": material("nonce", str(number))[:12].hex(),
                "sealed": sealed(number, plaintext, equality, given).hex(),
            }
            for number, (comment, plaintext, equality, given) in enumerate(VALUES)
        ],
    }


if __name__ == "__main__":
    print(json.dumps(vectors(), indent=1))
