"""strip_literals: the same reading as the lexer's, for a fraction of the cost."""

from __future__ import annotations

import random
import time

import pytest

from proxy.sql.lexer import Kind, Limits, UnreadableSql, strip_literals, tokenize
from tests.sql.corpus import corpus
from tests.sql.soup import LITERALS, soup

UNLIMITED = Limits(size=1 << 30, tokens=1 << 30, nesting=1 << 30, arrays=1 << 30)
ROUNDS = 20_000
LITERAL_KINDS = (Kind.STRING, Kind.NUMBER)


def literals(sql: str) -> tuple[str, ...]:
    return tuple(t.text for t in tokenize(sql, UNLIMITED) if t.kind in LITERAL_KINDS)


def shape(sql: str) -> list[tuple[Kind, str | None]]:
    """The tokens without what the literals hold."""
    return [
        (token.kind, None if token.kind in LITERAL_KINDS else token.value)
        for token in tokenize(sql, UNLIMITED)
    ]


def restored(text: str, found: tuple[str, ...]) -> str:
    """Text and literals put together again."""
    first, *others = text.split("\0")
    return first + "".join(raw + part[1:] for raw, part in zip(found, others, strict=True))


@pytest.mark.parametrize(
    ("sql", "text"),
    [
        ("SELECT 'a', E'b', $$c$$, 1, 1.5", "SELECT \0s, \0e, \0d, \0i, \0n"),
        ("a1 = 15 AND b2=1.5e3", "a1 = \0i AND b2=\0n"),
        ("x'1F' b'1' U&'a' N'a' U&\"b\"", '\0x \0b \0u N\0s U&"b"'),
        ("-1 - .5 1..2", "-\0i - \0n \0i..\0i"),
        ('$1,$2 a$3 "b\'c"', '$1,$2 a$3 "b\'c"'),
        ("/* 'x' 1 */ -- '2'\n'a'--\n'b'", "/* 'x' 1 */ -- '2'\n\0s"),
        ("/* /* nested */ '1' */ '2'", "/* /* nested */ '1' */ \0s"),
        ("0x1F 0b1 0o7 1_0", "\0i \0i \0i \0n"),
    ],
)
def test_markers(sql: str, text: str) -> None:
    """A literal leaves a marker with its kind; everything else stays, comments too."""
    stripped = strip_literals(sql)
    assert stripped.text == text
    assert stripped.literals == literals(sql)
    assert restored(*_parts(sql)) == sql


def _parts(sql: str) -> tuple[str, tuple[str, ...]]:
    stripped = strip_literals(sql)
    return stripped.text, stripped.literals


def test_kinds_do_not_mix() -> None:
    """Literals that are read differently never share a text."""
    texts = {strip_literals(f"SELECT {raw}").text for raws in LITERALS.values() for raw in raws[:1]}
    assert len(texts) == len(LITERALS)


def test_corpus() -> None:
    """Literals of every corpus statement are those that the lexer finds, and no text is lost."""
    for _, sql in corpus():
        assert strip_literals(sql).literals == literals(sql), sql
        assert restored(*_parts(sql)) == sql


def test_soup() -> None:
    """The same for random text that is readable at all."""
    seed = random.randrange(1 << 32)
    generator = random.Random(seed)
    for _ in range(ROUNDS):
        sql = soup(generator)
        try:
            expected = literals(sql)
        except UnreadableSql:
            continue
        assert strip_literals(sql).literals == expected, (seed, sql)
        assert restored(*_parts(sql)) == sql, (seed, sql)


def test_equal_text_means_equal_tokens() -> None:
    """What makes it a cache key: texts with the same Stripped.text have the same tokens, whatever
    their literals hold."""
    seed = random.randrange(1 << 32)
    generator = random.Random(seed)
    compared = 0
    for _ in range(ROUNDS):
        sql = soup(generator)
        try:
            expected = shape(sql)
        except UnreadableSql:
            continue
        stripped = strip_literals(sql)
        kinds = [part[0] for part in stripped.text.split("\0")[1:]]
        others = tuple(generator.choice(LITERALS[kind]) for kind in kinds)
        changed = restored(stripped.text, others)
        try:
            same = strip_literals(changed).text == stripped.text
        except UnreadableSql:
            continue
        if same:
            compared += 1
            assert shape(changed) == expected, (seed, sql, changed)
    assert compared > ROUNDS / 10


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT 'a",
        "SELECT $a$ x",
        "SELECT 1a",
        "/* /* */",
        "SELECT U&'a' UESCAPE '!'",
        "'\0'",
        'a "',
    ],
)
def test_errors(sql: str) -> None:
    """What the lexer refuses for more than a literal's contents is refused here too."""
    with pytest.raises(UnreadableSql):
        strip_literals(sql)


HOSTILE = [
    *"'\"$/*-\\ae0._ (\n&[é",
    *("''a", "'\n", "'a'\n", "'a'--\n", "e'\\", "$a", "$a$", "/*", "/**/", "*/", "1_", "1.", "1e"),
    *("u&'", '""', "--\n", "$1", "$1a", "a.1", "'a'\n ", "E'\\'"),
]


@pytest.mark.parametrize("unit", [*HOSTILE, "numbered dollar tags"])
def test_time_is_linear(unit: str) -> None:
    """A megabyte of anything takes a fraction of a second, not minutes. (The bound is fifty times
    what it takes.)"""
    if unit == "numbered dollar tags":
        sql = "".join(f"$a{number}$" for number in range(120_000))
    else:
        sql = unit * (1_000_000 // len(unit))
    started = time.process_time()
    for read in (strip_literals, tokenize):
        try:
            read(sql)
        except UnreadableSql:
            continue
    assert time.process_time() - started < 15
