"""Strings that a client chose, made fit for a log that people and machines read.

Two dangers: a string that ends the line or the field it stands in, and one that shows as something
else (a right-to-left override turns `gpj.exe` around, a zero-width space makes two logins look alike).
So every character that is not printable, or prints as nothing, is written as `\\u{202e}`, visible in the parsed value and not
only in its JSON. The spelling is one to one: a client's own `\\u{` becomes `\\u{5c}u{`. Strings over
their cap end with `…(+744)`, the number of characters left out.
"""

from __future__ import annotations

import re

NAME_CAP = 256  # logins, application names, hosts: PostgreSQL itself stops at 63 bytes
LABEL_CAP = 1024  # schema.table.column, each part up to 63 bytes, quoted
REASON_CAP = 1024

_ESCAPE = "\\u{"
_ESCAPED_ESCAPE = "\\u{5c}u{"
# Unicode's default ignorables that Python calls printable: fillers, joiners, variation selectors.
_BLANK = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef]"
)
_BARE_NAME = re.compile(r"[\w.@-]+", re.ASCII)


def clean(text: str, cap: int = NAME_CAP) -> str:
    """`text` on one line, every character visible, at most `cap` characters of it."""
    if len(text) <= cap and text.isascii() and text.isprintable() and _ESCAPE not in text:
        return text
    kept = "".join(map(_visible, text[:cap].replace(_ESCAPE, _ESCAPED_ESCAPE)))
    return kept if len(text) <= cap else f"{kept}…(+{len(text) - cap})"


def _visible(character: str) -> str:
    if character.isprintable() and not _BLANK.match(character):
        return character
    return f"\\u{{{ord(character):x}}}"


def quoted(name: str) -> str:
    """A cleaned name as it stands in a sentence: in double quotes unless it is one plain word."""
    if _BARE_NAME.fullmatch(name):
        return name
    return '"' + name.replace('"', '""') + '"'


def counted(number: int, noun: str) -> str:
    """`1 row`, `3 rows`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
