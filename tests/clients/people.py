"""Rows for the scripts. Every value that goes into a sealed column holds a canary: a text that occurs nowhere else."""

from __future__ import annotations

import datetime
import decimal
from typing import Any, Final

COLUMNS: Final = ("name", "email", "ssn", "born", "visits", "balance", "profile", "photo")
CANARIES: Final = ("@quux.example", "555-QX-", "Kwyjibo", "zqzqz")
"""In every e-mail, number, profile and photo: looked for in the server's log."""


def person(number: int) -> dict[str, Any]:
    """A row by its number, always the same."""
    return {
        "name": f"Person {number}",
        "email": f"person{number}@quux.example",
        "ssn": f"555-QX-{number:04}",
        "born": datetime.date(1950 + number % 60, 1 + number % 12, 1 + number % 28),
        "visits": number * 1_000_003 % 2_000_000_011,
        "balance": decimal.Decimal(number * 7919 % 1_000_000).scaleb(-2),
        "profile": {"town": "Kwyjibo", "tags": ["é", number, None], "deep": {"a": [True, 1.5]}},
        "photo": b"\x00\xff zqzqz" + bytes([number % 256]),
    }


EDGES: Final[dict[str, list[Any]]] = {
    "email": [
        None,
        "",
        "ü@quux.example",
        "e\u0301 👩‍👩‍👧 @quux.example",
        "x" * 107 + "@quux.example",
    ],
    "ssn": [
        None,
        "",
        " 555-QX-blank ",
        "555-QX-𝔘𝔫𝔦𝔠𝔬𝔡𝔢 \U0010ffff",
        "555-QX-e\u0301 \u202eabc",
        'it\'s 555-QX-\\ "quoted" $$ %s %% :name ?',
        "555-QX-\n\r\t\x01",
        "\\N",
        "NULL",
    ],
    "born": [None, datetime.date.min, datetime.date.max, datetime.date(2000, 2, 29)],
    "visits": [None, 0, -(2**31), 2**31 - 1],
    "balance": [
        None,
        decimal.Decimal("0"),
        decimal.Decimal("-9999999999.99"),
        decimal.Decimal("1.50"),
        decimal.Decimal("NaN"),
    ],
    "profile": [None, {}, [], "Kwyjibo", 1.5, True, {"é": "👩‍👩‍👧 Kwyjibo", "n": None}],
    "photo": [None, b"", b"\x00", b"\x5e\xa1\x01zqzqz", bytes(range(256))],
}
"""Column -> values at the edges of its type."""

MEGABYTE: Final[dict[str, Any]] = {
    "ssn": "555-QX-" + "é𝔘x" * 150_000,
    "photo": b"zqzqz" + bytes(range(256)) * 4096,
}
