"""Wrote `order_v1.json`, once: order terms by an implementation of its own, bit by bit, from what keystore/order.py says,
and the forms that they are made of, from what proxy/cells/order.py says.

It shares no code with either. The vectors never change: a test runs this again and compares. Standard output only.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from decimal import Decimal
from math import copysign, isnan
from struct import pack
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

INTEGERS = {"int2": 2, "int4": 4, "int8": 8, "date": 4, "timestamp": 8, "timestamptz": 8}
VALUES: list[tuple[str, str, int | float | str]] = [
    ("int2", "-32768", -32768),
    ("int2", "32767", 32767),
    ("int4", "-1", -1),
    ("int4", "0", 0),
    ("int8", "9223372036854775807", 2**63 - 1),
    ("date", "2000-01-01", 0),
    ("date", "1999-12-31", -1),
    ("date", "4714-11-24 BC", -2451545),
    ("date", "-infinity", -(2**31)),
    ("date", "infinity", 2**31 - 1),
    ("timestamp", "2000-01-01 00:00:00.000001", 1),
    ("timestamp", "infinity", 2**63 - 1),
    ("timestamptz", "2000-01-01 01:00:00+01", 0),
    ("timestamptz", "-infinity", -(2**63)),
    *(
        (name, text, float(text))
        for name in ("float4", "float8")
        for text in ("-Infinity", "-1.5", "-0", "0", "1.5", "Infinity", "NaN")
    ),
    ("float4", "1e-45", 2.0**-149),
    ("float8", "4.9e-324", 5e-324),
    *(
        ("numeric", text, text)
        for text in (
            *(
                "0",
                "-0.00",
                "1",
                "-1",
                "1.00",
                "12.34",
                "-12.34",
                "9999",
                "10000",
                "0.0001",
                "0.00001",
            ),
            *("1.00010001", "-1.00010001", "1e244", "1e247", "1e248", "-1e248", "1e-244", "1e-245"),
            *("1e131071", "1e-16383", "-Infinity", "Infinity", "NaN", "1" * 160),
        )
    ),
    ("text", "", ""),
    ("text", "ada", "ada"),
    ("text", "12345678", "12345678"),
    ("text", "123456789", "123456789"),
    ("varchar", "1234567\u00e9", "1234567\u00e9"),
]
PREFIX = 8
"""Bytes of the texts above."""


def form(name: str, value: float | str) -> bytes:
    if name in INTEGERS:
        assert isinstance(value, int)
        return (value + (1 << 8 * INTEGERS[name] - 1)).to_bytes(INTEGERS[name], "big")
    if isinstance(value, float):
        return floating(value, 4 if name == "float4" else 8)
    assert isinstance(value, str)
    if name == "numeric":
        return numeric(value)
    text = value.encode()
    return (text + bytes(PREFIX))[:PREFIX] + bytes((len(text) > PREFIX,))


def floating(value: float, size: int) -> bytes:
    if isnan(value):
        return b"\xff" * size
    bits = int.from_bytes(pack(">f" if size == 4 else ">d", abs(value)), "big")
    negative = copysign(1, value) < 0 and value != 0
    return ((1 << 8 * size - 1) + (-1 - bits if negative else bits)).to_bytes(size, "big")


def numeric(text: str) -> bytes:
    special = {"-Infinity": b"\x00", "Infinity": b"\xfe", "NaN": b"\xff"}.get(text)
    number = Decimal(0 if special else text)
    if special or not number:
        return special or b"\x80"
    if number < 0:
        return bytes(255 - byte for byte in numeric(text.removeprefix("-")))
    _, digits, exponent = number.as_tuple()
    assert isinstance(exponent, int)
    places = "".join(map(str, digits)) + "0" * (exponent % 4)
    low = exponent // 4  # the power of 10000 of the last group
    places = places.rjust(-(-len(places) // 4) * 4, "0")
    groups = [int(places[at : at + 4]) for at in range(0, len(places), 4)]
    weight = low + len(groups) - 1
    while not groups[-1]:
        groups.pop()
    while not groups[0]:
        weight -= 1
        del groups[0]
    if -61 <= weight <= 61:
        found = bytes((0xBF + weight,))
    else:
        found = (b"\x81" if weight < 0 else b"\xfd") + (weight + 2**15).to_bytes(2, "big")
    for group in groups[:-1]:
        found += (2 * group + 1).to_bytes(2, "big")
    return found + (2 * groups[-1]).to_bytes(2, "big")


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
            "terms: the term of the form under the order key. Terms sort as their forms.",
            "forms: that of a value, in PostgreSQL's text form (UTC, ISO); texts by collation C and their first 8 bytes. Forms of a type sort as its values.",
        ],
        "keys": {name: material("order key", name).hex() for name in KEYS},
        "terms": [
            {
                "comment": comment,
                "key": key,
                "form": given.hex(),
                "term": term(material("order key", key), given).hex(),
            }
            for comment, key, given in FORMS
        ],
        "forms": [
            {"type": name, "value": text, "form": form(name, value).hex()}
            for name, text, value in VALUES
        ],
    }


if __name__ == "__main__":
    print(json.dumps(vectors(), indent=1, ensure_ascii=False))
