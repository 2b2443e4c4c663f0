"""The lexer against PostgreSQL's own scanner: libpg_query's, and the running server."""

from __future__ import annotations

import random
from types import ModuleType

import psycopg
import pytest

from proxy.sql.lexer import Limits, UnreadableSql, literal_value, tokenize
from tests.conftest import Database
from tests.sql.corpus import corpus
from tests.sql.soup import soup

UNLIMITED = Limits(size=1 << 30, tokens=1 << 30, nesting=1 << 30, arrays=1 << 30)
SOUPS = 8_000

# What the lexer refuses on purpose, and libpg_query's scanner does not: characters that no grammar
# rule takes, UESCAPE, escapes that are checked after the scanner, and three checks that libpg_query
# has patched out of it.
STRICTER = (
    "syntax error",
    "UESCAPE",
    "invalid Unicode",
    "invalid byte sequence",
    "zero byte",
    "zero-length delimited identifier",
    "trailing junk after parameter",
    "parameter number too large",
)


@pytest.fixture(scope="module")
def scanner() -> ModuleType:
    """postgast, a development-only binding with a scan function."""
    return pytest.importorskip("postgast")


def scanned(scanner: ModuleType, sql: str) -> list[tuple[int, int]] | None:
    """Byte offsets of libpg_query's tokens, None for text that it refuses."""
    comments = {scanner.pg_query_pb2.Token.Value(name) for name in ("SQL_COMMENT", "C_COMMENT")}
    try:
        result = scanner.scan(sql)
    except scanner.PgQueryError:
        return None
    return [(token.start, token.end) for token in result.tokens if token.token not in comments]


def lexed(sql: str) -> list[tuple[int, int]]:
    """Byte offsets of our tokens."""
    return [
        (len(sql[: token.start].encode()), len(sql[: token.end].encode()))
        for token in tokenize(sql, UNLIMITED)
    ]


def continues_past_a_comment(sql: str) -> bool:
    """libpg_query's scanner, which returns comments as tokens, ends a string before a comment that
    PostgreSQL reads over (`'a' --x`, newline, `'b'`)."""
    try:
        return any("'" in t.text and "--" in t.text for t in tokenize(sql, UNLIMITED))
    except UnreadableSql:
        return "--" in sql and "\n" in sql


def test_corpus(scanner: ModuleType) -> None:
    """Both scanners cut every statement of the corpus at the same places."""
    for _, sql in corpus():
        assert lexed(sql) == scanned(scanner, sql), sql


def test_soup(scanner: ModuleType) -> None:
    """Both cut random text at the same places, or both refuse it."""
    seed = random.randrange(1 << 32)
    generator = random.Random(seed)
    for _ in range(SOUPS):
        sql = soup(generator)
        if continues_past_a_comment(sql):
            continue
        expected = scanned(scanner, sql)
        found = lexed_or_refused(sql)
        if isinstance(found, str):
            assert expected is None or found.startswith(STRICTER), (seed, sql)
        else:
            assert found == expected, (seed, sql)


def lexed_or_refused(sql: str) -> list[tuple[int, int]] | str:
    try:
        return lexed(sql)
    except UnreadableSql as error:
        return error.message


def test_strings_of_the_server(database: Database) -> None:
    """`literal_value` is the text that the server makes of a string literal, or its SQLSTATE."""
    seed = random.randrange(1 << 32)
    generator = random.Random(seed)
    with psycopg.connect(database.dsn(), autocommit=True) as connection:
        for _ in range(1500):
            raw = string_literal(generator)
            try:
                ours: str = literal_value(raw) if len(tokenize(raw)) == 1 else "not one literal"
            except UnreadableSql as error:
                ours = error.sqlstate
            servers = selected(connection, raw)
            if raw[:2] == "U&" and ours == "42601" and servers == "22021":
                continue  # the server's own slip: it cuts its message inside a character
            assert ours == servers, (seed, raw)


def selected(connection: psycopg.Connection, raw: str) -> str:
    """The server's reading of one literal: its text, or an SQLSTATE."""
    try:
        row = connection.execute(f"SELECT {raw}::text".encode(), prepare=False).fetchone()
    except psycopg.Error as error:
        return error.sqlstate or ""
    assert row is not None
    return str(row[0])


def string_literal(generator: random.Random) -> str:
    """A plain, E'', U&'' or $$ string of one or two segments, of pieces that matter to it."""
    prefix = generator.choice(["", "E", "e", "U&", "$"])
    pieces = ["a", "''", "é", "😀", " ", "\n", '"', "$", "--", "/*", "*", "1"]
    if prefix == "$":
        tag = generator.choice(["$$", "$t$", "$é1$"])
        inner = "".join(generator.choice([*pieces, "\\", "'", "$x", "$t", "t$x"]) for _ in range(5))
        return tag + (inner if tag not in inner + tag[:-1] else "x") + tag
    if prefix in ("E", "e"):
        pieces += [r"\n", r"\v", r"\101", r"\7", r"\x41", r"\xC3\xA9", r"\xff", r"\u00e9", r"\\"]
        pieces += [
            r"\'",
            r"\U0001F600",
            r"\ud83d\ude00",
            r"\ud83d",
            r"\ude00",
            r"\u12",
            r"\0",
            r"\é",
        ]
    if prefix == "U&":
        pieces += [r"\0041", r"\+01F600", r"\\", r"\d83d\de00", r"\d83d", r"\12", r"\0000"]
    if not prefix:
        pieces += ["\\"]
    segments = [
        "'" + "".join(generator.choice(pieces) for _ in range(generator.randint(0, 5))) + "'"
        for _ in range(generator.choice([1, 1, 1, 2]))
    ]
    return prefix + generator.choice(["\n", "\r ", " --it's\n ", "\v\n"]).join(segments)


@pytest.mark.parametrize(
    "number", ["0x1F", "0o17", "0b101", "1_000", "1_0.0_1", "1e1_0", ".5", "1.", "1.5E+3", "00012"]
)
def test_numbers_of_the_server(database: Database, number: str) -> None:
    """`literal_value` of a number is a number that the server calls equal."""
    assert database.psql(f"SELECT {number} = {literal_value(number)}") == "t"


@pytest.mark.parametrize(
    "identifier", ["Ä", "É_x", '"Q""q"', "a" * 80, "é" * 50, '"' + "😀" * 30 + '"', 'U&"\\0041b"']
)
def test_names_of_the_server(database: Database, identifier: str) -> None:
    """The value of an identifier is the name that the server gives a column."""
    (token,) = tokenize(identifier)
    with psycopg.connect(database.dsn()) as connection:
        cursor = connection.execute(f"SELECT 1 AS {identifier}".encode())
        assert cursor.description is not None
        assert cursor.description[0].name == token.value
