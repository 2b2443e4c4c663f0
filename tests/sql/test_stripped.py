"""The short way to a text without its literals gives what the long way gives, or nothing."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from contextlib import suppress

import pytest

from proxy.compiled import compiled
from proxy.sql import lexer
from proxy.sql.lexer import UnreadableSql, strip_literals
from proxy.sql.stripped import Stripped, strip_plain
from tests.sql.mutated import mutated, plain_soup, statements
from tests.sql.soup import LITERALS, soup
from tests.sql.test_lexer_strip import LITERAL_KINDS, UNLIMITED, restored, shape

Shape = list[tuple[lexer.Kind, str | None]]

ROUNDS = 5_000
"""Of each kind of text."""
SEED = int(os.environ.get("STRIPPED_SEED") or random.randrange(1 << 32))


def texts(generator: random.Random, rounds: int = ROUNDS) -> Iterator[str]:
    known = statements()
    yield from known
    for _ in range(rounds):
        yield mutated(generator, generator.choice(known))
        yield plain_soup(generator)
        yield soup(generator)


def long_way(sql: str) -> Stripped | None:
    """What both other ways say; None if the text is refused."""
    try:
        by_expression = lexer._strip_by_expression(sql)
    except UnreadableSql:
        return None
    with suppress(UnreadableSql):  # a character that no statement can have
        assert lexer._strip_by_tokens(sql) == by_expression
    return by_expression


def meaning(sql: str) -> Shape | None:
    """The tokens without what the literals hold; None if the lexer refuses them."""
    try:
        return shape(sql)
    except UnreadableSql:
        return None


def test_the_same_or_nothing() -> None:
    """Of statements as they are, changed at random and of random tokens: never another text, another literal."""
    plain = 0
    for sql in texts(random.Random(SEED)):
        stripped = strip_plain(sql)
        if stripped is not None:
            plain += 1
            assert stripped == long_way(sql), (SEED, sql)
    assert plain > ROUNDS


def test_one_text_one_meaning() -> None:
    """Texts that are the same without literals have the same tokens, whichever way they were read: one plan serves them."""
    generator = random.Random(SEED)
    meanings: dict[str, Shape | None] = {}
    compared = 0
    for sql in texts(generator):
        stripped = strip_plain(sql)
        if stripped is None:
            continue
        kinds = [part[0] for part in stripped.text.split("\0")[1:]]
        others = restored(stripped.text, tuple(generator.choice(LITERALS[kind]) for kind in kinds))
        for text in (sql, others):
            for read in (strip_plain(text), long_way(text)):
                if read is not None:
                    known = meanings.setdefault(read.text, meaning(text))
                    assert meaning(text) == known, (SEED, sql, text)
                    compared += text is others and read.text == stripped.text
    assert compared > ROUNDS


def test_what_it_reads() -> None:
    """What applications send most is read the short way."""
    sql = (
        """SELECT c.id, "c"."first name", $1 FROM public.customers c WHERE id = 17 AND price < 19.99 AND name = 'O''Hara'"""
        """ AND (x / 2 - 1) * 3 <> ALL(a[1]) AND note::text LIKE '%\\x''; --' OR e = $12;"""
    )
    expected = ("17", "19.99", "'O''Hara'", "2", "1", "3", "1", "'%\\x''; --'")
    stripped = strip_plain(sql)
    assert stripped is not None
    assert stripped.literals == expected
    assert stripped.text.count("\0") == len(expected)
    assert strip_plain("SELECT a FROM t") == Stripped("SELECT a FROM t", ())
    assert strip_plain("") == Stripped("", ())


LEFT = {
    "a letter or & in front of a string": r"""e'a\'b' E'a' B'1' x'1' U&'a' u&"a" N'a' select'a' a&b""",
    "quotes": """'a''b 'a "a "" "a""b" """,
    "comments": "-- --a a--1 /* 1/*'*/",
    "dollars": "$$a$$ $a$b$a$ a$1 $1a $ $a a$$b$$",
    "numbers": "1e5 1a 0x1F 1_0 1. 1..2 .5 a.1 1.5.2 1.5.a 1$1 1.5e1",
    "characters": "é 'é' a\0 '\0' \"\0\" { \\ \x7f \x01",
}
"""By what makes them more than plain, with blanks between them."""
WITH_BLANKS = ["'a'\n'b'", "'a' 'b'", "'a'  \n\t 'b'", "'a' --\n'b'", "/* a */", "\u00a0", "\ud800"]


@pytest.mark.parametrize("sql", [*" ".join(LEFT.values()).split(), *WITH_BLANKS])
def test_what_it_leaves(sql: str) -> None:
    """Whatever has a rule of its own is left to the expression: the whole text, wherever it stands."""
    for text in (sql, f"SELECT 'x', {sql}", f"a = 1 AND {sql} AND b = 2 AND c = 'd'"):
        assert strip_plain(text) is None, text


def test_a_long_text_is_left() -> None:
    """More than 1 MiB is not copied to be read."""
    longest = "SELECT '" + "x" * (1024 * 1024 - 9) + "'"
    assert strip_plain(longest) == Stripped("SELECT \0s", (longest[7:],))
    assert strip_plain(longest + " ") is None


def test_where_it_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """`strip_literals` takes the short way where it is compiled, and only there; what that leaves, the expression reads."""
    assert lexer._COMPILED is compiled()
    asked: list[str] = []
    answer = Stripped("answer", ())

    def short(sql: str) -> Stripped | None:
        asked.append(sql)
        return answer if sql == "a" else None

    monkeypatch.setattr(lexer, "strip_plain", short)
    monkeypatch.setattr(lexer, "_COMPILED", True)
    assert strip_literals("a") is answer
    assert strip_literals("b = 1") == Stripped("b = \0i", ("1",))
    monkeypatch.setattr(lexer, "_COMPILED", False)
    assert strip_literals("a") == Stripped("a", ())
    assert asked == ["a", "b = 1"]


def test_no_literal_in_a_repr() -> None:
    """A literal may be a secret."""
    assert "secret" not in repr(strip_plain("SELECT 'secret'"))


def test_literals_are_the_lexers() -> None:
    """Of every statement of the corpora that is read the short way, the literals are the lexer's tokens."""
    read = 0
    for sql in statements():
        stripped = strip_plain(sql)
        if stripped is None:
            continue
        read += 1
        tokens = [t.text for t in lexer.tokenize(sql, UNLIMITED) if t.kind in LITERAL_KINDS]
        assert list(stripped.literals) == tokens, sql
        assert restored(stripped.text, stripped.literals) == sql
    assert read > len(statements()) / 2
