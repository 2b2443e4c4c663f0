"""LIKE and ILIKE against the server's own, and the grams that a pattern requires."""

from __future__ import annotations

import random

import pytest

from proxy.cells import CellError
from proxy.cells.folding import lowered, uppered
from proxy.cells.grams import MOST_GRAMS, grams
from proxy.cells.like import LONGEST_PATTERN, MOST_RUNS, Like, read_pattern
from tests.cells.oracle import Oracle

LETTERS = "aabbA\N{LATIN SMALL LETTER E WITH ACUTE}\N{LATIN CAPITAL LETTER E WITH ACUTE}\N{GRINNING FACE} "
SPECIAL = "%%%__\\!"
PAIRS = 12_000


def text(rng: random.Random, letters: str, most: int) -> str:
    return "".join(rng.choices(letters, k=rng.randint(0, most)))


def related(rng: random.Random, value: str) -> str:
    """A pattern that has a chance: the value with pieces made wild."""
    pattern = []
    for character in value:
        kind = rng.random()
        if kind < 0.15:
            pattern.append("_")
        elif kind < 0.3:
            pattern.append("%")
        elif kind < 0.35:
            pattern.append("\\" + character)
        else:
            pattern.append(character.swapcase() if kind < 0.4 else character)
    return "".join(pattern)


def pairs(rng: random.Random) -> list[tuple[str, str]]:
    found = []
    for _ in range(PAIRS):
        value = text(rng, LETTERS + "%_\\", 9)
        pattern = text(rng, LETTERS + SPECIAL, 7) if rng.random() < 0.4 else related(rng, value)
        found.append((value, pattern))
    return found


def ours(value: str, pattern: str, escape: str | None, *, insensitive: bool) -> bool | str:
    try:
        return read_pattern(pattern, escape, insensitive=insensitive).matches(value)
    except CellError as error:
        return error.sqlstate


FUNCTION = """
CREATE OR REPLACE FUNCTION pg_temp.matches(value text, pattern text, escape text, insensitive bool) RETURNS text
LANGUAGE plpgsql AS $$
BEGIN
    IF escape IS NOT NULL THEN pattern := like_escape(pattern, escape); END IF;
    IF insensitive THEN RETURN value COLLATE "pg_c_utf8" ILIKE pattern; END IF;
    RETURN value COLLATE "pg_c_utf8" LIKE pattern;
EXCEPTION WHEN OTHERS THEN RETURN SQLSTATE;
END $$
"""


@pytest.mark.parametrize("insensitive", [False, True])
@pytest.mark.parametrize("escape", [None, "", "!", "a"])
def test_patterns_match_as_the_server_says(
    oracle: Oracle, rng: random.Random, escape: str | None, insensitive: bool
) -> None:
    """Random patterns over a small alphabet; where the server finds a trailing escape, so do we (it may not come so far)."""
    oracle._run(FUNCTION.encode())
    found = pairs(rng)
    joined = "".join(f"{v}\x01{p}\x02" for v, p in found)
    sql = """
        SELECT string_agg(pg_temp.matches(split_part(pair, E'\\x01', 1), split_part(pair, E'\\x01', 2), $2, $3::bool), ' ' ORDER BY n)
        FROM regexp_split_to_table(rtrim($1, E'\\x02'), E'\\x02') WITH ORDINALITY AS t(pair, n)
    """
    given = None if escape is None else escape.encode()
    (theirs,) = oracle.row(sql, [joined.encode(), given, b"t" if insensitive else b"f"])
    assert theirs is not None
    answers = theirs.decode().split(" ")
    assert len(answers) == PAIRS
    matched = 0
    for (value, pattern), said in zip(found, answers, strict=True):
        expected: bool | str = {"true": True, "false": False}.get(said, said)
        got = ours(value, pattern, escape, insensitive=insensitive)
        matched += got is True
        if got == "22025" and expected is False:
            continue
        assert got == expected, (value, pattern)
    assert matched > PAIRS / 10


@pytest.mark.parametrize("size", [2, 3, 4])
def test_what_matches_has_all_grams_of_the_pattern(rng: random.Random, size: int) -> None:
    """No false negatives: whatever upper or lower case either side is compared in."""
    required = 0
    for value, pattern in pairs(rng):
        stored = set(grams(value.encode(), size))
        for change in (str, lowered, uppered):
            for insensitive in (False, True):
                try:
                    like = read_pattern(pattern, insensitive=insensitive)
                except CellError:
                    continue
                if like.matches(change(value)):
                    found = like.grams(size)
                    required += len(found)
                    assert stored.issuperset(found), (value, pattern)
    assert required > PAIRS


@pytest.mark.parametrize(
    ("pattern", "size", "expected"),
    [
        ("%ada%", 3, {"ada"}),
        ("ADA%", 3, {"\0ad", "ada"}),
        ("%ada", 3, {"ada", "da\0"}),
        ("ad", 3, {"\0ad", "ad\0"}),
        ("a", 4, {"\0a\0"}),
        ("", 3, {"\0\0"}),
        ("ab%", 3, {"\0ab"}),
        ("%a_b%", 3, set()),
        ("%abc_def%", 3, {"abc", "def"}),
        ("_bc%", 3, set()),
        ("%abcd%bcde%", 4, {"abcd", "bcde"}),
        (r"%a\%b%", 3, {"a%b"}),
        (r"%\_a\_%", 3, {"_a_"}),
        ("%a%", 3, set()),
        ("%", 3, set()),
        ("%\N{KELVIN SIGN}\N{LATIN SMALL LETTER LONG S}x%", 3, {"ksx"}),
    ],
)
def test_grams_of_a_pattern(pattern: str, size: int, expected: set[str]) -> None:
    """Those of each run of characters between wildcards, with the mark of the end that it stands at."""
    assert {gram.decode() for gram in read_pattern(pattern).grams(size)} == expected


def test_grams_of_a_text() -> None:
    """All groups of n characters, folded, with a mark at either end; a text that is too short is one gram."""
    assert {g.decode() for g in grams(b"Ada", 3)} == {"\0ad", "ada", "da\0"}
    assert {g.decode() for g in grams(b"a", 4)} == {"\0a\0"}
    assert {g.decode() for g in grams(b"", 3)} == {"\0\0"}
    assert {g.decode() for g in grams(b"aaaa", 2)} == {"\0a", "aa", "a\0"}


def test_a_text_with_too_many_grams_is_refused() -> None:
    """The bound is on different groups, and the message has no part of the text."""
    many = "".join(chr(0x4E00 + i) for i in range(MOST_GRAMS - 1))
    assert len(grams(many[:-1].encode(), 3)) == MOST_GRAMS - 2
    with pytest.raises(CellError) as refused:
        grams((many + "xyz").encode(), 3)
    assert refused.value.sqlstate == "54000"
    assert many[0] not in str(refused.value)
    assert len(grams(b"abc" * 100_000, 3)) == 5


@pytest.mark.parametrize("pattern", ["%", "%%"])
def test_percent_signs_alone_match_anything(pattern: str) -> None:
    """Such a pattern needs no grams; one with `_` asks for a length, which no gram tells."""
    assert read_pattern(pattern).anything
    assert not read_pattern("_%").anything
    assert not read_pattern("").anything


@pytest.mark.parametrize(
    ("pattern", "escape", "sqlstate"),
    [
        ("abc\\", None, "22025"),
        ("abc", "xy", "22025"),
        ("x" * (LONGEST_PATTERN + 1), None, "54000"),
        ("%abc" + "_a" * MOST_RUNS + "%", None, "54000"),
    ],
)
def test_what_is_no_pattern(pattern: str, escape: str | None, sqlstate: str) -> None:
    """An escape without a character behind it, one of two characters, a pattern without end, one that would be tried without end."""
    with pytest.raises(CellError) as refused:
        read_pattern(pattern, escape)
    assert refused.value.sqlstate == sqlstate
    assert "abc" not in refused.value.message


def test_wildcards_do_not_multiply() -> None:
    """Twenty `%` with as many near misses are read in one pass: with going back this would never end."""
    pattern = "%".join(["a_a"] * 20) + "%b"
    assert not read_pattern("%" + pattern).matches("a" * 20_000 + "c")


def test_many_underscores_where_the_place_is_known() -> None:
    """At the beginning and at the end of the text a segment is tried once, however it is cut; so are `_` side by side."""
    many = "a_" * 1000
    assert read_pattern(many + "%").matches("ab" * 1000 + "c")
    assert read_pattern("%" + many).matches("c" + "ab" * 1000)
    assert read_pattern("%b" + "_" * 1000 + "c%").matches("ab" + "x" * 1000 + "cd")


def test_a_pattern_prints_nothing() -> None:
    """What the client looks for stays out of reprs."""
    assert repr(read_pattern("%secret%")) == "<Like>"
    assert isinstance(read_pattern(""), Like)
