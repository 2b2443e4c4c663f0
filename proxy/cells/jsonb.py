"""jsonb: JSON normalised as the server does; the binary form is a version byte, 1, and the text that jsonb_out gives.

Mirrors src/backend/utils/adt/jsonb.c and jsonb_util.c: escapes are resolved (`\\u0000` is 22P05, a lone surrogate
22P02), numbers are numerics (exponents expanded, trailing zeros kept, no minus on zero), of equal keys the last
wins, keys are ordered by length and then by bytes, and the text has one space after each comma and colon.

Python's C scanner reads the usual case; what it refuses is read again without recursion by `_build`, which also
knows the error to raise.
"""

from __future__ import annotations

import json as stdlib_json
import re
from contextlib import suppress
from typing import Final, TypeAlias, cast

from proxy.cells import encoding, numeric
from proxy.cells import json as json_text
from proxy.cells.errors import CellError, corrupt, short_message
from proxy.cells.settings import Convert, Family, Settings, unmodified

# A string is str; a number and a separator are the bytes they are written as, true, false and null those or Python's.
Node: TypeAlias = "str | bytes | list[Node] | dict[str, Node] | bool | None"

_EXACT_NUMBER = re.compile(r"-?[0-9]{1,200}(?:\.[0-9]{1,200})?")
_MINUS_ZERO = re.compile(r"-[0.]+")
_SPECIAL = re.compile(r'["\\\x00-\x1f]')
_ESCAPE = re.compile(r"\\(?:u([0-9a-fA-F]{4})(?:\\u([dD][c-fC-F][0-9a-fA-F]{2}))?|(.))", re.DOTALL)
_SHORT = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", '"': '"', "\\": "\\", "/": "/"}
_ESCAPED = {character: "\\" + letter for letter, character in _SHORT.items() if letter != "/"}
_PART = re.compile(rb'"(?>(?:[^"\\]++|\\.)*)"|-?[0-9]++\.[0-9]++', re.DOTALL)


def _number(token: str) -> bytes:
    if _EXACT_NUMBER.fullmatch(token) and not _MINUS_ZERO.fullmatch(token):
        return token.encode()
    return numeric.render(numeric.parse(token.encode()))


def _refuse_constant(_name: str) -> Node:
    raise json_text.syntax_error()


def _object(members: list[tuple[str, Node]]) -> Node:
    """The members of an object; keys given twice are left to `_build`, which looks at what they drop too."""
    found = dict(members)
    if len(found) != len(members):
        raise json_text.syntax_error()
    return found


_scanner = stdlib_json.JSONDecoder(
    object_pairs_hook=_object,
    parse_float=_number,
    parse_int=_number,
    parse_constant=_refuse_constant,
)

_canonical_scanner = stdlib_json.JSONDecoder(parse_float=str.encode, parse_int=str.encode)
"""Of what is normalised already."""


def normalise(text: bytes) -> bytes:
    """What jsonb_out gives for the JSON document `text` (valid UTF-8)."""
    with suppress(ValueError, RecursionError, CellError):
        return render(cast(Node, _scanner.decode(text.decode())))
    return render(_build(text))


def document(canonical: bytes) -> Node:
    """A canonical jsonb as nodes: of objects, arrays and strings; numbers, true, false and null as they are written."""
    text = _body(canonical)
    with suppress(ValueError, RecursionError):
        return cast(Node, _canonical_scanner.decode(text.decode()))
    return _build(text)


def render(document: Node) -> bytes:
    """The text of a document, without recursion: `pending` is what is still to be written, last first."""
    if isinstance(document, str):
        return _quote(document)
    out: list[bytes] = []
    pending: list[Node] = [document]
    while pending:
        node = pending.pop()
        if isinstance(node, bytes):
            out.append(node)
        elif isinstance(node, str):
            out.append(_quote(node))
        elif isinstance(node, list):
            _open_array(node, pending)
        elif isinstance(node, dict):
            _open_object(node, pending)
        else:
            out.append(b"null" if node is None else b"true" if node else b"false")
    return b"".join(out)


def _open_array(items: list[Node], pending: list[Node]) -> None:
    pending.append(b"]")
    for item in reversed(items):
        pending += (item, b", ")
    if items:
        pending.pop()
    pending.append(b"[")


def _open_object(members: dict[str, Node], pending: list[Node]) -> None:
    pending.append(b"}")
    keyed = [(_utf8(key), key) for key in members]
    keyed.sort(key=lambda pair: (len(pair[0]), pair[0]), reverse=True)
    for _, key in keyed:
        pending += (members[key], b": ", key, b", ")
    if members:
        pending.pop()
    pending.append(b"{")


def _utf8(string: str) -> bytes:
    with suppress(UnicodeEncodeError):
        return string.encode()
    raise json_text.syntax_error()  # a lone surrogate


def _quote(string: str) -> bytes:
    if _SPECIAL.search(string) is None:
        return b'"' + _utf8(string) + b'"'
    if "\0" in string:
        raise _zero_escape()
    return b'"' + _utf8(_SPECIAL.sub(_escape, string)) + b'"'


def _escape(match: re.Match[str]) -> str:
    character = match[0]
    return _ESCAPED.get(character) or f"\\u{ord(character):04x}"


def _zero_escape() -> CellError:
    return CellError("22P05", "unsupported Unicode escape sequence")


def _build(text: bytes) -> Node:
    """The document as nodes, by an explicit stack; raises the error that the server meets first."""
    stack: list[list[Node] | dict[str, Node]] = []
    keys: list[str | None] = []
    root: list[Node] = []
    container: list[Node] | dict[str, Node] = root
    for kind, token in json_text.events(text, lexed=_unescape):
        if kind == json_text.PUNCTUATION:
            if token in b"[{":
                child: list[Node] | dict[str, Node] = [] if token == b"[" else {}
                _attach(container, keys, child)
                stack.append(container)
                keys.append(None)
                container = child
            elif token in b"]}":
                container = stack.pop()
                keys.pop()
            continue
        node: Node
        if kind == json_text.STRING:
            node = _unescape(token)
            if isinstance(container, dict) and keys[-1] is None:
                keys[-1] = node
                continue
        else:
            node = token if kind == json_text.WORD else _number(token.decode())
        _attach(container, keys, node)
    return root[0]


def _attach(container: list[Node] | dict[str, Node], keys: list[str | None], node: Node) -> None:
    if isinstance(container, list):
        container.append(node)
    else:
        container[cast(str, keys[-1])] = node
        keys[-1] = None


def _unescape(token: bytes) -> str:
    """The value of a string token, which may lack its closing quote."""
    body = token[1:].removesuffix(b'"').decode()
    return _ESCAPE.sub(_resolve, body) if "\\" in body else body


def _resolve(match: re.Match[str]) -> str:
    if match[3] is not None:
        return _SHORT[match[3]]
    code = int(match[1], 16)
    if code == 0:
        raise _zero_escape()
    if match[2] is not None:
        if not 0xD800 <= code < 0xDC00:
            raise json_text.syntax_error()
        return chr(0x10000 + ((code - 0xD800) << 10) + int(match[2], 16) - 0xDC00)
    if 0xD800 <= code < 0xE000:
        raise json_text.syntax_error()
    return chr(code)


def equality_form(canonical: bytes) -> bytes:
    """Canonical form without trailing zeros in numbers: jsonb compares 1.0 and 1.00 as equal."""

    def trim(match: re.Match[bytes]) -> bytes:
        part = match[0]
        if part.startswith(b'"'):
            return part
        return part.rstrip(b"0").removesuffix(b".")

    return canonical[:1] + _PART.sub(trim, canonical[1:])


def _from_text(settings: Settings) -> Convert:
    to_utf8 = encoding.to_utf8(settings.encoding)
    return lambda value: b"\x01" + normalise(to_utf8(value))


def _from_binary(settings: Settings) -> Convert:
    from_text = _from_text(settings)

    def convert(value: bytes) -> bytes:
        if not value:
            raise short_message()
        if value[0] != 1:
            raise CellError("XX000", "unsupported jsonb version number")
        return from_text(value[1:])

    return convert


def _body(canonical: bytes) -> bytes:
    if not canonical.startswith(b"\x01"):
        raise corrupt("jsonb")
    return canonical[1:]


def _to_text(settings: Settings) -> Convert:
    from_utf8 = encoding.from_utf8(settings.encoding)
    if from_utf8 is None:
        return _body
    return lambda canonical: from_utf8(_body(canonical))


def _to_binary(settings: Settings) -> Convert:
    from_utf8 = encoding.from_utf8(settings.encoding)
    if from_utf8 is None:
        return lambda canonical: canonical
    return lambda canonical: b"\x01" + from_utf8(_body(canonical))


JSONB: Final[Family] = Family(
    _from_text, _from_binary, _to_text, _to_binary, unmodified, unmodified, equality_form
)
