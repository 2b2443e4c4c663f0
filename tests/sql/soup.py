"""Random text made of the pieces on which scanners differ."""

from __future__ import annotations

import random

FRAGMENTS = [
    *("'", "''", "'a'", "E'", "e'x\\'", "\\", "\\'", "\\\\", "B'01", "x'1F'", "N'", "n", "' 'b'"),
    *("U&'", 'u&"', 'U&"a"', "U&", "uescape", "'!'", "'\n'", "'\n--x\n'", "e'\n'\\"),
    *("$$", "$a$", "$b$", "$1", "$12", "$", "$a", "a$", "$$a", "$é$", "$1a"),
    *('"', '""', '"a b"', '"a"', "--", "--c\n", "/*", "*/", "/**/", "/", "/*/", "**/"),
    *"*-+@#<>=~!%^&|`?:;,.()[]{} \n\r\t\f\v",
    *("::", ":=", "..", "=-", "?-", "=>", "<>", "!=", "@-", "+-+"),
    *("1", "1.5", ".5", "1e5", "1e", "1e+", "1e+5", "0x1F", "0x", "0b1", "0b2", "0o7", "1_0", "1_"),
    *("_1", "1.", "a", "e", "b", "x", "u", "é", "ı", "ſ", "É", "\u00a0", "\u3000", "A" * 70),
    *("SELECT", "end", "case", "\x7f", "\x01", "\x1c", "😀"),
]

LITERALS = {
    "s": ["'a'", "''", "'it''s'", "'--'", "'/*'", "'$$'", "'a'\n'b'", "'a' --c'\n--d\n'b'", "'\\'"],
    "e": ["E'a'", "e'\\''", "E'a\\\\'", "e''\n'\\'x'", "E'\\u00e9'"],
    "b": ["B'1'", "b''"],
    "x": ["x'1F'", "X''\n''"],
    "u": ["U&'a'", "u&'\\0041'", "U&'it''s'"],
    "d": ["$$a$$", "$a$'$a$", "$é$$$ --$é$", "$$$$"],
    "i": ["1", "0x1F", "1_000", "0b1", "0", "12345"],
    "n": ["1.5", ".5", "1.", "1e5", "1.5e-3", "1E+5", "1_0.0_1"],
}
"""Literals by the letter of their kind in Stripped.text."""


def soup(generator: random.Random, length: int = 12) -> str:
    """A few fragments and literals in a row."""
    parts = []
    for _ in range(generator.randint(1, length)):
        literal = generator.random() < 0.3
        parts.append(
            generator.choice(generator.choice(list(LITERALS.values())))
            if literal
            else generator.choice(FRAGMENTS)
        )
    return "".join(parts)
