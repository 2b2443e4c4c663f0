"""Wrote `order_v1.json`, once: order terms by an implementation of its own, bit by bit, from what keystore/order.py says.

It shares no code with `keystore`. The vectors never change: a test runs this again and compares. Standard output only.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from typing import Any

from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import ECB

KEYS = ("birth", "salary")
FORMS: list[tuple[str, str, bytes]] = [
    ("no bytes", "birth", b""),
    ("one zero byte", "birth", b"\0"),
    ("one byte, all bits set", "birth", b"\xff"),
    ("int2 0", "birth", bytes.fromhex("8000")),
    ("int4 -1", "birth", bytes.fromhex("7fffffff")),
    ("int4 0", "birth", bytes.fromhex("80000000")),
    ("int4 0 under another column's key", "salary", bytes.fromhex("80000000")),
    ("int8, the greatest", "salary", b"\xff" * 8),
    ("14 bytes, one whole chunk", "salary", bytes(range(14))),
    ("15 bytes, the second chunk of one", "salary", bytes(range(15))),
    ("text ada, 16 bytes and the byte of what is longer", "birth", b"ada".ljust(16, b"\0") + b"\0"),
    ("text of 17 bytes, cut to 16", "birth", b"ada lovelace, ma" + b"\1"),
    ("28 bytes, two whole chunks", "salary", bytes(range(28))),
    ("29 bytes that differ from them in none of these", "salary", bytes(range(29))),
    ("83 bytes, the longest numeric", "salary", hashlib.sha512(b"order").digest() + bytes(19)),
]  # fmt: skip


def material(*words: str) -> bytes:
    return hashlib.sha256(" ".join(("sealgate order vectors v1", *words)).encode()).digest()


def term(order_key: bytes, form: bytes) -> bytes:
    bits = "".join(f"{byte:08b}" for byte in form)
    found = bytearray()
    for number, bit in enumerate(bits):
        chunk, position = divmod(number, 14 * 8)
        before = bits[chunk * 14 * 8 : number]
        block = position.to_bytes(2, "big") + int(before.ljust(112, "0"), 2).to_bytes(14, "big")
        key = hmac.new(order_key, form[: 14 * chunk], hashlib.sha256).digest()
        encrypted = Cipher(AES(key), ECB()).encryptor().update(block)  # noqa: S305 - of one block
        found.append(int.from_bytes(encrypted[:4], "big") % 255 + int(bit))
    return bytes(found)


def vectors() -> dict[str, Any]:
    return {
        "format": "order term, version 1",
        "notes": [
            "All byte strings are hexadecimal. These vectors never change.",
            "The term of the form under the order key. Forms sort as their values; terms sort as their forms.",
        ],
        "keys": {name: material("order key", name).hex() for name in KEYS},
        "terms": [
            {
                "comment": comment,
                "key": key,
                "form": form.hex(),
                "term": term(material("order key", key), form).hex(),
            }
            for comment, key, form in FORMS
        ],
    }


if __name__ == "__main__":
    print(json.dumps(vectors(), indent=1, ensure_ascii=False))
