"""Client encodings: text between client_encoding and UTF-8, the encoding of canonical plaintext.

PostgreSQL converts every text-form parameter from client_encoding before the type sees it, and every text
result back (src/backend/utils/mb/mbutils.c). Two errors are told apart: bytes that are no character of the
encoding (22021), and characters that the other encoding does not have (22P05). Python's codecs know the
second only; `_WELL_FORMED` repeats the shape checks of src/common/wchar.c for the multibyte encodings.
"""

from __future__ import annotations

import re
from functools import lru_cache

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
_MULTIBYTE = {
    "EUC_JP": "euc_jp",
    "EUC_JIS_2004": "euc_jis_2004",
    "EUC_CN": "gb2312",
    "EUC_KR": "euc_kr",
    "SJIS": "cp932",
    "SHIFT_JIS_2004": "shift_jis_2004",
    "BIG5": "cp950",
    "GBK": "cp936",
    "UHC": "cp949",
    "GB18030": "gb18030",
    "JOHAB": "johab",
}
_EUC = rb"[\x01-\x7f]|[\xa1-\xfe]{2}"
_WELL_FORMED = {
    "EUC_JP": rb"[\x01-\x7f]|\x8e[\xa1-\xdf]|\x8f[\xa1-\xfe]{2}|[\xa1-\xfe]{2}",
    "EUC_JIS_2004": rb"[\x01-\x7f]|\x8e[\xa1-\xdf]|\x8f[\xa1-\xfe]{2}|[\xa1-\xfe]{2}",
    "EUC_CN": _EUC,
    "EUC_KR": _EUC,
    "SJIS": rb"[\x01-\x7f]|[\xa1-\xdf]|[\x81-\x9f\xe0-\xfc][\x40-\x7e\x80-\xfc]",
    "SHIFT_JIS_2004": rb"[\x01-\x7f]|[\xa1-\xdf]|[\x81-\x9f\xe0-\xfc][\x40-\x7e\x80-\xfc]",
    "BIG5": rb"[\x01-\x7f]|[\x80-\xff][\x01-\xff]",
    "GBK": rb"[\x01-\x7f]|[\x80-\xff][\x01-\xff]",
    "UHC": rb"[\x01-\x7f]|[\x80-\xff][\x01-\xff]",
    "GB18030": rb"[\x01-\x7f]|[\x81-\xfe](?:[\x40-\x7e\x80-\xfe]|[\x30-\x39][\x81-\xfe][\x30-\x39])",
    "JOHAB": rb"[\x01-\x7f]|\x8f[\xa1-\xfe]{2}|[\xa1-\xfe]{2}",
}
_UTF8_NAMES = frozenset({"UTF8", "UNICODE", "SQLASCII"})
_BY_LETTERS = {
    name.replace("_", ""): name for name in (*_SINGLE_BYTE, *_MULTIBYTE, "EUC_TW", "MULE_INTERNAL")
}


def _invalid(name: str) -> CellError:
    return CellError("22021", f'invalid byte sequence for encoding "{name}"')


def _untranslatable(source: str, target: str) -> CellError:
    return CellError(
        "22P05",
        f'character in encoding "{source}" has no equivalent in encoding "{target}"',
    )


def utf8(value: bytes) -> bytes:
    """`value` itself, once it is known to be UTF-8 without NUL: PostgreSQL's UTF8 and, in a UTF8 database, SQL_ASCII."""
    if value.isascii():
        if b"\0" in value:
            raise _invalid("UTF8")
        return value
    try:
        value.decode()
    except UnicodeDecodeError:
        raise _invalid("UTF8") from None
    if b"\0" in value:
        raise _invalid("UTF8")
    return value


@lru_cache(maxsize=64)
def to_utf8(encoding: str) -> Convert:
    """The function that turns client bytes into canonical UTF-8."""
    name = _name(encoding)
    if name is None:
        return utf8
    codec = _SINGLE_BYTE.get(name) or _MULTIBYTE[name]
    well_formed = re.compile(b"(?:" + _WELL_FORMED.get(name, rb"[\x01-\xff]") + b")*")

    def convert(value: bytes) -> bytes:
        if b"\0" in value:
            raise _invalid(name)
        if value.isascii():
            return value
        try:
            return value.decode(codec).encode()
        except UnicodeError:
            if well_formed.fullmatch(value) is None:
                raise _invalid(name) from None
            raise _untranslatable(name, "UTF8") from None

    return convert


@lru_cache(maxsize=64)
def from_utf8(encoding: str) -> Convert | None:
    """The function that turns canonical UTF-8 into client bytes; None when they are the same bytes."""
    name = _name(encoding)
    if name is None:
        return None
    codec = _SINGLE_BYTE.get(name) or _MULTIBYTE[name]

    def convert(value: bytes) -> bytes:
        if value.isascii():
            return value
        try:
            return value.decode().encode(codec)
        except UnicodeError:
            raise _untranslatable("UTF8", name) from None

    return convert


def _name(encoding: str) -> str | None:
    """PostgreSQL's name of an encoding that needs conversion, None for those whose bytes are UTF-8 already."""
    letters = "".join(c for c in encoding.upper() if c.isalnum())
    if letters in _UTF8_NAMES:
        return None
    name = _BY_LETTERS.get(letters)
    if name not in _SINGLE_BYTE and name not in _MULTIBYTE:
        raise CellError(
            "0A000", f'client_encoding "{name or "?"}" is not supported on sealed columns'
        )
    return name


def ascii_form(parse: Convert, encoding: str) -> Convert:
    """`parse` for a type whose text form is ASCII: the server reports bad encoding before bad syntax."""
    verify = to_utf8(encoding)

    def convert(value: bytes) -> bytes:
        try:
            return parse(value)
        except CellError:
            verify(value)
            raise

    return convert
