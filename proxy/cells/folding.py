"""Upper and lower case, one character at a time: Unicode's simple mappings.

PostgreSQL has as many answers to `lower(x)` as it has collations. These are those of the collation pg_c_utf8 and, but for
a few letters, of every libc's: a character becomes one character, wherever it stands. (ICU and pg_unicode_fast know
that a sigma at the end of a word is another one, and give some letters two.) Which letters there are is as Unicode
14 or later has it, by the version of Python.
"""

from __future__ import annotations

import re
from typing import Final

_DOTTED_I: Final = "\N{LATIN CAPITAL LETTER I WITH DOT ABOVE}"
_SIGMA: Final = "\N{GREEK CAPITAL LETTER SIGMA}"


def lowered(text: str) -> str:
    """Of the same length. The two letters are those for which `str.lower` looks at more than a character, or gives more."""
    if not text.isascii():
        text = text.replace(_SIGMA, "\N{GREEK SMALL LETTER SIGMA}").replace(_DOTTED_I, "i")
    return text.lower()


def uppered(text: str) -> str:
    """Of the same length."""
    if text.isascii():
        return text.upper()
    return "".join([_upper(character) for character in text])


def _upper(character: str) -> str:
    """`str.upper` spells some letters with two or three (STRASSE); the title case of these is the simple mapping, or two as well."""
    for found in (character.upper(), character.title()):
        if len(found) == 1:
            return found
    return character


_ODD: Final = {
    "\N{MICRO SIGN}": "\N{GREEK SMALL LETTER MU}",
    _DOTTED_I: "i",
    "\N{LATIN SMALL LETTER DOTLESS I}": "i",
    "\N{LATIN SMALL LETTER LONG S}": "s",
    "\N{COMBINING GREEK YPOGEGRAMMENI}": "\N{GREEK SMALL LETTER IOTA}",
    _SIGMA: "\N{GREEK SMALL LETTER SIGMA}",
    "\N{GREEK SMALL LETTER FINAL SIGMA}": "\N{GREEK SMALL LETTER SIGMA}",
    "\N{GREEK BETA SYMBOL}": "\N{GREEK SMALL LETTER BETA}",
    "\N{GREEK THETA SYMBOL}": "\N{GREEK SMALL LETTER THETA}",
    "\N{GREEK PHI SYMBOL}": "\N{GREEK SMALL LETTER PHI}",
    "\N{GREEK PI SYMBOL}": "\N{GREEK SMALL LETTER PI}",
    "\N{GREEK KAPPA SYMBOL}": "\N{GREEK SMALL LETTER KAPPA}",
    "\N{GREEK RHO SYMBOL}": "\N{GREEK SMALL LETTER RHO}",
    "\N{GREEK LUNATE EPSILON SYMBOL}": "\N{GREEK SMALL LETTER EPSILON}",
    "\N{CYRILLIC SMALL LETTER ROUNDED VE}": "\N{CYRILLIC SMALL LETTER VE}",
    "\N{CYRILLIC SMALL LETTER LONG-LEGGED DE}": "\N{CYRILLIC SMALL LETTER DE}",
    "\N{CYRILLIC SMALL LETTER NARROW O}": "\N{CYRILLIC SMALL LETTER O}",
    "\N{CYRILLIC SMALL LETTER WIDE ES}": "\N{CYRILLIC SMALL LETTER ES}",
    "\N{CYRILLIC SMALL LETTER TALL TE}": "\N{CYRILLIC SMALL LETTER TE}",
    "\N{CYRILLIC SMALL LETTER THREE-LEGGED TE}": "\N{CYRILLIC SMALL LETTER TE}",
    "\N{CYRILLIC SMALL LETTER TALL HARD SIGN}": "\N{CYRILLIC SMALL LETTER HARD SIGN}",
    "\N{CYRILLIC SMALL LETTER TALL YAT}": "\N{CYRILLIC SMALL LETTER YAT}",
    "\N{CYRILLIC SMALL LETTER UNBLENDED UK}": "\N{CYRILLIC SMALL LETTER MONOGRAPH UK}",
    "\N{LATIN SMALL LETTER LONG S WITH DOT ABOVE}": "\N{LATIN SMALL LETTER S WITH DOT ABOVE}",
    "\N{GREEK PROSGEGRAMMENI}": "\N{GREEK SMALL LETTER IOTA}",
}
"""Letters that upper and lower case confuse with others."""
_ODD_LETTER: Final = re.compile(f"[{''.join(_ODD)}]")


def folded(text: str) -> str:
    """Of the same length; alike for whatever `lowered` or `uppered` makes alike, and for no more than that entails."""
    if not text.isascii():
        text = _ODD_LETTER.sub(lambda found: _ODD[found[0]], text)
    return text.lower()
