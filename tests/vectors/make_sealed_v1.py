"""Wrote `sealed_v1.json`, once: an implementation of the sealed value of its own, from interface.md.

It shares no code with `keystore`, so that a mistake would have to be made twice. The vectors never
change: a test runs this again and compares. Standard output only; there is no way to overwrite.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from typing import Any

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

KEYS = {
    "email": ("public.customers.email", 0x00000001),
    "ssn": ("public.customers.ssn", 0xFFFFFFFF),
    "odd": ('public."Odd.Name".email', 0x80000102),
}


def material(*words: str) -> bytes:
    return hashlib.sha256(" ".join(("sealgate test vectors v1", *words)).encode()).digest()


def sealed(
    key: str,
    plaintext: bytes,
    nonce: bytes,
    form: bytes | None = None,
    version: int = 1,
    flags: int | None = None,
    key_id: int | None = None,
    extra: bytes = b"",
    authenticated: bool = True,
) -> bytes:
    head = bytes.fromhex("5ea1") + bytes((version,))
    head += bytes(((0 if form is None else 1) if flags is None else flags,))
    head += (KEYS[key][1] if key_id is None else key_id).to_bytes(4, "big")
    if form is not None:
        head += hmac.new(material("index key", key), form, hashlib.sha256).digest()[:16]
    head += extra
    cipher = AESGCM(material("data key", key))
    return head + nonce + cipher.encrypt(nonce, plaintext, head if authenticated else None)


VALID: list[tuple[str, str, bytes, bytes | None]] = [
    ("empty text", "email", b"", None),
    ("empty text, with the term of an empty form", "email", b"", b""),
    ("ASCII text", "email", b"alice@example.com", None),
    ("ASCII text with term", "email", b"alice@example.com", b"alice@example.com"),
    (
        "the same text and form under another column's keys",
        "ssn",
        b"alice@example.com",
        b"alice@example.com",
    ),
    ("UTF-8 beyond the basic plane", "odd", "Zoë 漢字 🔒".encode(), "Zoë 漢字 🔒".encode()),
    (
        "plaintext that is not its own equality form: numeric 1.00 and 1",
        "odd",
        bytes.fromhex("00010000000000020001"),
        bytes.fromhex("00010000000000000001"),
    ),
    ("int4 -1", "ssn", b"\xff\xff\xff\xff", b"\xff\xff\xff\xff"),
    ("one zero byte", "ssn", b"\0", None),
    ("plaintext that looks sealed", "email", bytes.fromhex("5ea1010000000001") + bytes(40), None),
    ("an AES block less one byte", "ssn", b"x" * 15, None),
    ("an AES block", "ssn", b"x" * 16, None),
    ("an AES block and one byte", "ssn", b"x" * 17, None),
]
LARGE = [
    ("1 MB without term", "email", b"0123456789abcdef", 65536, False),
    ("1 MB with term", "odd", b"\x00\xff", 524288, True),
]  # fmt: skip


def vectors() -> dict[str, Any]:
    return {
        "format": "sealed value, version 1",
        "notes": [
            "All byte strings are hexadecimal. These vectors never change.",
            "valid: sealing the plaintext with the form and nonce gives the value, opening the value gives the plaintext.",
            "large: the plaintext is `unit` repeated `times`; its own bytes are the form where one is used; the value is given by length, SHA-256, start and tag.",
            "invalid: opening the value with the key named must fail. `looks_sealed` is what the format alone says.",
        ],
        "keys": {
            name: {
                "column": column,
                "id": number,
                "data_key": material("data key", name).hex(),
                "index_key": material("index key", name).hex(),
            }
            for name, (column, number) in KEYS.items()
        },
        "valid": [_valid(n, *vector) for n, vector in enumerate(VALID)],
        "large": [_large(n, *vector) for n, vector in enumerate(LARGE)],
        "invalid": [
            {"comment": comment, "key": "email", "sealed": value.hex(), "looks_sealed": looks}
            for comment, value, looks in _invalid()
        ],
    }


def _valid(
    number: int, comment: str, key: str, plaintext: bytes, form: bytes | None
) -> dict[str, Any]:
    nonce = material("nonce", str(number))[:12]
    return {
        "comment": comment,
        "key": key,
        "plaintext": plaintext.hex(),
        "equality_form": None if form is None else form.hex(),
        "nonce": nonce.hex(),
        "cell_id": nonce[:8].hex(),
        "sealed": sealed(key, plaintext, nonce, form).hex(),
    }


def _large(
    number: int, comment: str, key: str, unit: bytes, times: int, term: bool
) -> dict[str, Any]:
    nonce = material("large nonce", str(number))[:12]
    plaintext = unit * times
    value = sealed(key, plaintext, nonce, plaintext if term else None)
    return {
        "comment": comment,
        "key": key,
        "unit": unit.hex(),
        "times": times,
        "with_term": term,
        "nonce": nonce.hex(),
        "length": len(value),
        "sha256": hashlib.sha256(value).hexdigest(),
        "start": value[:64].hex(),
        "tag": value[-16:].hex(),
    }


def _invalid() -> list[tuple[str, bytes, bool]]:
    nonce = material("invalid nonce")[:12]
    text = b"alice@example.com"
    bare = sealed("email", text, nonce)
    term = sealed("email", text, nonce, text)
    other = sealed(
        "email", b"mallory@example.com", material("other nonce")[:12], b"mallory@example.com"
    )
    ssn = sealed("ssn", text, nonce, text)

    def flipped(value: bytes, at: int) -> bytes:
        at %= len(value)
        return value[:at] + bytes((value[at] ^ 1,)) + value[at + 1 :]

    def put(value: bytes, at: int, new: bytes) -> bytes:
        return value[:at] + new + value[at + len(new) :]

    return [
        ("no bytes at all", b"", False),
        ("magic, first byte altered", flipped(bare, 0), False),
        ("magic, second byte altered", flipped(bare, 1), False),
        ("version 0", put(bare, 2, b"\0"), False),
        ("version 2", put(bare, 2, b"\2"), False),
        ("version 2, authentic", sealed("email", text, nonce, version=2), False),
        ("version 0, authentic", sealed("email", text, nonce, version=0), False),
        ("padded flag", put(bare, 3, b"\x80"), False),
        ("padded flag, authentic", sealed("email", text, nonce, flags=0x80), False),
        ("padded flag with term, authentic", sealed("email", text, nonce, text, flags=0x81), False),
        ("unknown flag 0x02, authentic", sealed("email", text, nonce, flags=0x02), False),
        ("unknown flag 0x02 with an empty further term, authentic", sealed("email", text, nonce, text, flags=0x03, extra=b"\0\0"), False),
        ("all flags", put(term, 3, b"\xff"), False),
        ("term flag set where there is no term nor room for one", put(sealed("email", b"", nonce), 3, b"\x01"), False),
        ("term flag set where there is no term, long enough to hold one", put(sealed("email", text * 3, nonce), 3, b"\x01"), True),
        ("term flag cleared where there is a term", put(term, 3, b"\x00"), True),
        ("term flag cleared where there is a term, authentic for that header", sealed("email", text, nonce, text, flags=0), True),
        ("key id altered, first byte", flipped(bare, 4), True),
        ("key id altered, last byte", flipped(bare, 7), True),
        ("key id of another column, by its own key", ssn, True),
        ("this column's key id, sealed by another column's key", sealed("ssn", text, nonce, key_id=1), True),
        ("another column's key id, sealed by this column's key", sealed("email", text, nonce, key_id=0xFFFFFFFF), True),
        ("header of another column on this column's value", ssn[:8] + bare[8:], True),
        ("term, first byte altered", flipped(term, 8), True),
        ("term, last byte altered", flipped(term, 23), True),
        ("term of another value of the column", put(term, 8, other[8:24]), True),
        ("term removed, flag cleared", bare[:8] + term[24:], True),
        ("term added, flag set", term[:24] + bare[8:], True),
        ("nonce, first byte altered", flipped(bare, 8), True),
        ("nonce, last byte altered", flipped(bare, 19), True),
        ("nonce of another value", put(term, 24, other[24:36]), True),
        ("ciphertext, first byte altered", flipped(bare, 20), True),
        ("ciphertext, last byte altered", flipped(bare, -17), True),
        ("tag, first byte altered", flipped(bare, -16), True),
        ("tag, last byte altered", flipped(bare, -1), True),
        ("tag of zeros", bare[:-16] + bytes(16), True),
        ("header not authenticated", sealed("email", text, nonce, authenticated=False), True),
        ("one byte short", bare[:-1], True),
        ("tag cut off", bare[:-16], True),
        ("tag cut to 12 bytes, as GCM would allow", bare[:-4], True),
        ("one byte short of the least, without term", sealed("email", b"", nonce)[:-1], False),
        ("one byte short of the least, with term", sealed("email", b"", nonce, b"")[:-1], False),
        ("header only", bare[:8], False),
        ("header and term only", term[:24], False),
        ("header and nonce only", bare[:20], False),
        ("a byte behind the tag", bare + b"\0", True),
        ("twice in a row", bare + bare, True),
        ("the plaintext itself", text, False),
        ("the hexadecimal text of a sealed value", b"\\x" + bare.hex().encode(), False),
    ]  # fmt: skip


if __name__ == "__main__":
    print(json.dumps(vectors(), indent=1, ensure_ascii=False))
