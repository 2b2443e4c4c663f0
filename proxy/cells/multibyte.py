"""The East Asian client encodings: Python's codecs with PostgreSQL's own choices on top.

PostgreSQL converts by src/backend/utils/mb/Unicode/*.map. Where its tables and Python's differ (vendor rows, wide
forms, user-defined areas), the differences are listed here; `tests/cells` compares all characters with the server.
Which byte sequences are characters at all is checked as src/common/wchar.c checks it (pg_*_verifychar).

EUC_JIS_2004, SHIFT_JIS_2004, EUC_TW and MULE_INTERNAL are not here: Python lacks them or differs too much.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import lru_cache


class IllFormed(Exception):
    """Bytes that are no characters of the encoding."""


class Untranslatable(Exception):
    """A character that the other encoding does not have."""


@dataclass(frozen=True, slots=True)
class Multibyte:
    codec: str
    character: bytes
    """A regular expression for one well-formed character."""
    read: Mapping[bytes, str | None] = field(default_factory=dict)
    """Characters that are read differently from Python's codec; None where the server reads none."""
    written: Mapping[str, bytes | None] = field(default_factory=dict)
    """Characters that are written differently; None where the server cannot write them."""
    divided: bytes = b"\0"
    """What starts a sequence of bytes that Python divides into other characters than the server does."""


def _codes(first: str, count: int) -> Iterator[bytes]:
    start = int(first, 16)
    return (code.to_bytes(len(first) // 2, "big") for code in range(start, start + count))


def _decoded(code: bytes, codec: str) -> str | None:
    """The character of a code in Python's codec, None if it has none."""
    try:
        return code.decode(codec)
    except UnicodeError:
        return None


def _read(*runs: tuple[str, str]) -> dict[bytes, str | None]:
    """Runs of characters by the code of their first."""
    return {
        code: character
        for first, run in runs
        for code, character in zip(_codes(first, len(run)), run, strict=True)
    }


def _euc_jp() -> Multibyte:
    read = _read(
        ("8fa2c3", "￤"),
        ("8ff3f3", "ⅰⅱⅲⅳⅴⅵⅶⅷⅸⅹⅠⅡ"),
        (
            "8ff4a1",
            "ⅢⅣⅤⅥⅦⅧⅨⅩ＇＂㈱№℡炻仼僴凬匇匤\ufa0e咊坙\ufa0f\ufa10增寬峵嵓\ufa11德悅愠"
            "敎昻晥\ufa12\uf929栁\ufa13\ufa14橫櫢淸淲瀨\ufa15\ufa16甁皂皞\ufa17礰\ufa18\ufa19\ufa1a\ufa1b竧\ufa1c\ufa1d綠緖\ufa1e荢\ufa1f"
            "薰\ufa20\ufa21蠇\ufa22譿賴赶\ufa23\ufa24\ufa25郞\ufa26鄕\ufa27\ufa28閒\uf9dc\ufa29霻靍靑\ufa2a\ufa2b\ufa2c馞髙魲\ufa2d黑",
        ),
        ("a1c1", "～∥"),
        ("a1dd", "－"),
        ("a1f1", "￠￡"),
        ("a2cc", "￢"),
        ("ada1", "①②③④⑤⑥⑦⑧⑨⑩⑪⑫⑬⑭⑮⑯⑰⑱⑲⑳ⅠⅡⅢⅣⅤⅥⅦⅧⅨⅩ"),
        ("adc0", "㍉㌔㌢㍍㌘㌧㌃㌶㍑㍗㌍㌦㌣㌫㍊㌻㎜㎝㎞㎎㎏㏄㎡"),
        ("addf", "㍻〝〟№㏍℡㊤㊥㊦㊧㊨㈱㈲㈹㍾㍽㍼≒≡∫∮∑√⊥∠∟⊿∵∩∪"),
    )
    written: dict[str, bytes | None] = dict.fromkeys("¢£¥¬‖‾−〜")
    # The symbols that JIS X 0208 has too are written by its codes, as Python's codec does.
    written |= {
        character: code
        for code, character in read.items()
        if character is not None and not (len(code) == 2 and character in "≒≡∫√⊥∠∵∩∪")
    }
    read[bytes.fromhex("8fa2b7")] = None
    shape = rb"[\x01-\x7f]|\x8e[\xa1-\xdf]|\x8f[\xa1-\xfe]{2}|[\xa1-\xfe]{2}"
    return Multibyte("euc_jp", shape, read, written)


def _sjis() -> Multibyte:
    user_defined = {
        bytes((lead, trail)): None
        for lead in range(0xF0, 0xFA)
        for trail in range(0x40, 0xFD)
        if trail != 0x7F
    }
    written: dict[str, bytes | None] = {chr(code): None for code in (0x80, *range(0xE000, 0xF900))}
    # Of two codes for one character the server takes IBM's, except for two that JIS has too.
    for lead in (0xFA, 0xFB, 0xFC):
        for trail in range(0x40, 0xFD):
            code = bytes((lead, trail))
            character = _decoded(code, "cp932")
            if character is not None and character not in "￢∵":
                written[character] = code
    written |= {"¥": b"\\", "‾": b"~"}
    shape = rb"[\x01-\x7f]|[\xa1-\xdf]|[\x81-\x9f\xe0-\xfc][\x40-\x7e\x80-\xfc]"
    return Multibyte("cp932", shape, user_defined, written)


def _big5() -> Multibyte:
    read = _read(
        ("a145", "•"),
        ("a14e", "､"),
        ("a15a", "�"),
        ("a1c2", "‾�"),
        ("a1c5", "�"),
        ("a1e3", "∼"),
        ("a1f2", "♁☉"),
        ("a1fe", "�"),
        ("a240", "�／＼"),
        ("a244", "¥"),
        ("a246", "¢£"),
        ("a2cc", "�"),
        ("a2ce", "�"),
    )
    absent = "¯ˍ‧€∕⊕⊙║╒╓╔╕╖╗╘╙╚╛╜╝╟╠╢╣╤╥╦╧╨╩╫╬╴▓﹑﹨～￠￡￣￥"
    written: dict[str, bytes | None] = dict.fromkeys(absent)
    written |= {character: code for code, character in read.items() if character}
    written["�"] = bytes.fromhex("a15a")
    read |= dict.fromkeys((b"\xa3\xe1", *_codes("f9dd", 34)))
    return Multibyte("cp950", _ANY_TWO, read, written)


def _uhc() -> Multibyte:
    private = "".join(map(chr, range(0xE000, 0xE0BC)))
    read = _read(("a2e8", "㉾"), ("c9a1", private[:94]), ("fea1", private[94:]))
    return Multibyte("cp949", _ANY_TWO, read, _inverse(read))


def _inverse(read: Mapping[bytes, str | None]) -> dict[str, bytes | None]:
    return {character: code for code, character in read.items() if character is not None}


_EUC = rb"[\x01-\x7f]|[\xa1-\xfe]{2}"
_ANY_TWO = rb"[\x01-\x7f]|(?!\x8d\x20)[\x80-\xff][\x01-\xff]"


@lru_cache(maxsize=16)
def multibyte(name: str) -> Multibyte | None:
    """The encoding by PostgreSQL's name."""
    if name in ("EUC_JP", "SJIS", "BIG5", "UHC"):
        return {"EUC_JP": _euc_jp, "SJIS": _sjis, "BIG5": _big5, "UHC": _uhc}[name]()
    if name == "EUC_KR":
        read = _read(("a2e8", "㉾"), ("a4d4", "\u3164"))
        return Multibyte("euc_kr", _EUC, read, _inverse(read), divided=b"\xa4\xd4")
    if name == "JOHAB":
        shape = rb"[\x01-\x7f]|\x8f[\xa1-\xfe]{2}|[\x80-\x8e\x90-\xff][\xa1-\xfe]"
        return Multibyte("johab", shape, {b"\xd9\xe8": "㉾"}, {"㉾": b"\xd9\xe8"}, divided=b"\x8f")
    if name == "GBK":
        return Multibyte("cp936", _ANY_TWO, {}, {"€": b"\x80"})
    if name == "EUC_CN":
        return Multibyte("gb2312", _EUC)
    if name == "GB18030":
        shape = rb"[\x01-\x7f]|[\x81-\xfe](?:[\x40-\x7e\x80-\xfe]|[0-9][\x81-\xfe][0-9])"
        return Multibyte("gb18030", shape)
    return None


NAMES = ("EUC_JP", "EUC_CN", "EUC_KR", "SJIS", "BIG5", "GBK", "UHC", "GB18030", "JOHAB")


class Codec:
    """Conversion of whole values; characters are looked at one by one only where a difference may be among them."""

    __slots__ = ("_characters", "_form", "_odd_read", "_odd_written", "_well_formed")

    def __init__(self, form: Multibyte) -> None:
        self._form = form
        self._characters = re.compile(form.character)
        self._well_formed = re.compile(b"(?>(?:" + form.character + b")*)")
        misread = {_decoded(code, form.codec) or "" for code in form.read}
        self._odd_read = _any_of(misread)
        self._odd_written = _any_of(set(form.written))

    def read(self, value: bytes) -> str:
        match = self._well_formed.match(value)
        end = match.end() if match is not None else 0
        if end != len(value):
            self.read(
                value[:end]
            )  # what cannot be translated before the ill-formed part is met first
            raise IllFormed
        text = None if self._form.divided in value else _decoded(value, self._form.codec)
        if text is not None and not (self._odd_read and self._odd_read.search(text)):
            return text
        return "".join(map(self._read_one, self._characters.findall(value)))

    def _read_one(self, code: bytes) -> str:
        if code in self._form.read:
            character = self._form.read[code]
        else:
            character = _decoded(code, self._form.codec)
        if not character:
            raise Untranslatable
        return character

    def write(self, text: str) -> bytes:
        if self._odd_written and self._odd_written.search(text):
            return b"".join(map(self._write_one, text))
        return self._write_some(text)

    def _write_one(self, character: str) -> bytes:
        if character not in self._form.written:
            return self._write_some(character)
        code = self._form.written[character]
        if code is None:
            raise Untranslatable
        return code

    def _write_some(self, text: str) -> bytes:
        value = None
        with suppress(UnicodeError):
            value = text.encode(self._form.codec)
        if value is None:
            raise Untranslatable
        if self._form.divided in value and len(value) > 2 * len(text) - sum(map(str.isascii, text)):
            raise Untranslatable
        return value


def _any_of(characters: set[str]) -> re.Pattern[str] | None:
    single = sorted(c for c in characters if len(c) == 1)
    return re.compile("[" + "".join(map(re.escape, single)) + "]") if single else None


@lru_cache(maxsize=16)
def codec(name: str) -> Codec | None:
    form = multibyte(name)
    return None if form is None else Codec(form)
