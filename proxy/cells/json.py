"""json: the text as the client sent it, once it is known to be JSON.

Mirrors src/common/jsonapi.c as json_in uses it: escapes are checked for shape only (`\\u0000` and lone surrogates
pass), any scalar is a document, depth is bounded (the server's bound is max_stack_depth). What orjson reads is
taken at its word; what it refuses (depth, lone surrogates, errors) is decided by `tokens` below, without recursion.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Final

import orjson

from proxy.cells import encoding
from proxy.cells.errors import CellError
from proxy.cells.settings import Convert, Family, Settings, identity, unmodified

MAX_DEPTH = 10_000
"""The server stops at about 14,500 with its usual max_stack_depth of 2 MB."""

_RUN = rb'[^"\\\x00-\x1f]*+'
_TOKEN = re.compile(
    rb"[ \t\n\r]*+(?:([{}\[\],:])"
    rb'|(")' + _RUN + rb'(?>(?:\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4})' + _RUN + rb')*)("?)'
    rb"|(-?(?:0|[1-9][0-9]*+)(?:\.[0-9]++)?(?:[eE][+-]?[0-9]++)?(?![0-9A-Za-z_.\x80-\xff]))"
    rb"|(true|false|null)|(\Z))"
)


def syntax_error() -> CellError:
    return CellError("22P02", "invalid input syntax for type json")


def too_deep() -> CellError:
    return CellError("54001", "stack depth limit exceeded")


def tokens(text: bytes) -> Iterator[tuple[int, bytes]]:
    """(group of _TOKEN, token) for each token; raises 22P02 where none fits. Yields a broken string before it raises."""
    position = 0
    match = _TOKEN.match
    while True:
        found = match(text, position)
        if found is None:
            raise syntax_error()
        group = found.lastindex
        if group is None or group == 6:
            return
        if group == 3:
            yield 2, text[found.start(2) : found.end()]
            if not found[3]:
                raise syntax_error()
        else:
            yield group, found[group]
        position = found.end()


PUNCTUATION, STRING, NUMBER, WORD = 1, 2, 4, 5

# What may come next: a value, a value or ], a key or }, a key, a colon, a separator after a value.
_VALUE, _VALUE_OR_END, _KEY_OR_END, _KEY, _COLON, _AFTER = range(6)


def check(text: bytes) -> None:
    """Raises unless `text` (valid UTF-8) is one JSON document."""
    for _ in events(text):
        pass


def _lexemes(text: bytes, lexed: Callable[[bytes], object] | None) -> Iterator[tuple[int, bytes]]:
    for kind, token in tokens(text):
        if kind == STRING and lexed is not None:
            lexed(token)
        yield kind, token


def events(
    text: bytes, lexed: Callable[[bytes], object] | None = None
) -> Iterator[tuple[int, bytes]]:
    """The tokens of one JSON document, each once it is known to stand where the grammar allows it.

    `lexed` sees each string before that is known, as the server's lexer does: its errors come first.
    """
    nesting = bytearray()
    expected = _VALUE
    lexemes = _lexemes(text, lexed)
    following = next(lexemes, None)
    while following is not None:
        kind, token = following
        if kind != PUNCTUATION:
            if expected in (_VALUE, _VALUE_OR_END):
                expected = _AFTER
            elif kind == STRING and expected in (_KEY, _KEY_OR_END):
                expected = _COLON
            else:
                raise syntax_error()
        elif token in b"[{":
            if expected not in (_VALUE, _VALUE_OR_END):
                raise syntax_error()
            if len(nesting) >= MAX_DEPTH:
                raise too_deep()
            nesting += token
            expected = _VALUE_OR_END if token == b"[" else _KEY_OR_END
        elif token in b"]}":
            opened = b"[" if token == b"]" else b"{"
            allowed = (_AFTER, _VALUE_OR_END) if token == b"]" else (_AFTER, _KEY_OR_END)
            if not nesting.endswith(opened) or expected not in allowed:
                raise syntax_error()
            nesting.pop()
            expected = _AFTER
        elif token == b":" and expected == _COLON:
            expected = _VALUE
        elif token == b"," and expected == _AFTER and nesting:
            expected = _VALUE if nesting.endswith(b"[") else _KEY
        else:
            raise syntax_error()
        if kind == NUMBER:
            # The server lexes what stands behind a value before it looks at the value (parse_scalar).
            following = next(lexemes, None)
            yield kind, token
        else:
            yield kind, token
            following = next(lexemes, None)
    if nesting or expected != _AFTER:
        raise syntax_error()


def _parse(text: bytes) -> bytes:
    try:
        orjson.loads(text)
    except orjson.JSONDecodeError:
        sure = False  # decided below: the exception holds the text and must not become a context
    else:
        sure = True
    if not sure:
        check(text)
    return text


def _decoder(settings: Settings) -> Convert:
    to_utf8 = encoding.to_utf8(settings.encoding)
    return lambda value: _parse(to_utf8(value))


def _encoder(settings: Settings) -> Convert:
    return encoding.from_utf8(settings.encoding) or identity


JSON: Final[Family] = Family(_decoder, _decoder, _encoder, _encoder, unmodified, unmodified, None)
