"""Client encodings: text between client_encoding and UTF-8, the encoding of canonical plaintext.

PostgreSQL converts every text-form parameter from client_encoding before the type sees it, and every text
result back (src/backend/utils/mb/mbutils.c). Two errors are told apart: bytes that are no character of the
encoding (22021), and characters that the other encoding does not have (22P05). Python's codecs know the
second only; for the multibyte encodings `multibyte` repeats the server's shape checks and its own tables.
"""

from __future__ import annotations

import codecs
from collections.abc import Callable
from contextlib import suppress
from functools import lru_cache

from proxy.cells import multibyte
from proxy.cells.errors import CellError
from proxy.cells.settings import Convert

_SINGLE_BYTE = {
    "LATIN1": "latin-1",
    "LATIN2": "iso8859-2",
    "LATIN3": "iso8859-3",
    "LATIN4": "iso8859-4",
    "LATIN5": "iso8859-9",
    "LATIN6": "iso8859-10",
    "LATIN7": "iso8859-13",
    "LATIN8": "iso8859-14",
    "LATIN9": "iso8859-15",
    "LATIN10": "iso8859-16",
    "ISO_8859_5": "iso8859-5",
    "ISO_8859_6": "iso8859-6",
    "ISO_8859_7": "iso8859-7",
    "ISO_8859_8": "iso8859-8",
    "KOI8R": "koi8-r",
    "KOI8U": "koi8-u",
    "WIN866": "cp866",
    "WIN874": "cp874",
    "WIN1250": "cp1250",
    "WIN1251": "cp1251",
    "WIN1252": "cp1252",
    "WIN1253": "cp1253",
    "WIN1254": "cp1254",
    "WIN1255": "cp1255",
    "WIN1256": "cp1256",
    "WIN1257": "cp1257",
    "WIN1258": "cp1258",
}
_UTF8_NAMES = frozenset({"UTF8", "UNICODE", "SQLASCII"})
_BY_LETTERS = {name.replace("_", ""): name for name in (*_SINGLE_BYTE, *multibyte.NAMES)}


def _invalid(name: str) -> CellError:
    return CellError("22021", f'invalid byte sequence for encoding "{name}"')


def _untranslatable(source: str, target: str) -> CellError:
    return CellError(
        "22P05",
        f'character in encoding "{source}" has no equivalent in encoding "{target}"',
    )


def utf8(value: bytes) -> bytes:
    """`value` itself, once it is known to be UTF-8 without NUL: PostgreSQL's UTF8 and, in a UTF8 database, SQL_ASCII."""
    if 0 in value or not (value.isascii() or is_utf8(value)):
        raise _invalid("UTF8")  # not in a handler: the codec's exception holds the value
    return value


def is_utf8(value: bytes) -> bool:
    """UTF-8, and without NUL. Texts that stand between ASCII characters are so if the whole is."""
    if not value.isascii():
        try:
            value.decode()
        except UnicodeDecodeError:
            return False
    return 0 not in value


def is_ascii(value: bytes) -> bool:
    """ASCII without NUL: of the same bytes in every encoding."""
    return value.isascii() and 0 not in value


@lru_cache(maxsize=64)
def to_utf8(encoding: str) -> Convert:
    """The function that turns client bytes into canonical UTF-8."""
    name = _name(encoding)
    if name is None:
        return utf8
    read = _reader(name)

    def convert(value: bytes) -> bytes:
        end = value.find(b"\0")
        if end >= 0:
            convert(value[:end])  # what cannot be translated before it is met first
            raise _invalid(name)
        if value.isascii():
            return value
        ill_formed = False
        try:
            return read(value).encode()
        except multibyte.IllFormed:
            ill_formed = True
        except (multibyte.Untranslatable, UnicodeError):
            pass
        # Outside the handler: the codec's exception holds the value and must not become this one's context.
        raise _invalid(name) if ill_formed else _untranslatable(name, "UTF8")

    return convert


def _reader(name: str) -> Callable[[bytes], str]:
    codec = multibyte.codec(name)
    if codec is not None:
        return codec.read
    decode = codecs.getdecoder(_SINGLE_BYTE[name])
    return lambda value: decode(value)[0]


@lru_cache(maxsize=64)
def from_utf8(encoding: str) -> Convert | None:
    """The function that turns canonical UTF-8 into client bytes; None when they are the same bytes."""
    name = _name(encoding)
    if name is None:
        return None
    codec = multibyte.codec(name)
    single = _SINGLE_BYTE.get(name)

    def convert(value: bytes) -> bytes:
        if value.isascii():
            return value
        with suppress(multibyte.Untranslatable, UnicodeError):
            text = value.decode()
            return codec.write(text) if codec is not None else text.encode(single or "ascii")
        raise _untranslatable("UTF8", name)

    return convert


def _name(encoding: str) -> str | None:
    """PostgreSQL's name of an encoding that needs conversion, None for those whose bytes are UTF-8 already."""
    letters = "".join(c for c in encoding.upper() if c.isalnum())
    if letters in _UTF8_NAMES:
        return None
    name = _BY_LETTERS.get(letters)
    if name is None:
        raise CellError("0A000", "the session's client_encoding is not supported on sealed columns")
    return name


def ascii_form(parse: Convert, encoding: str) -> Convert:
    """`parse` for a type whose text form is ASCII: the server reports bad encoding before bad syntax."""
    verify = to_utf8(encoding)

    def convert(value: bytes) -> bytes:
        try:
            return parse(value)
        except CellError as error:
            sqlstate, message = error.sqlstate, error.message
        verify(value)
        raise CellError(sqlstate, message)

    return convert
