"""The lexer, rule by rule of PostgreSQL's scan.l."""

from __future__ import annotations

import pytest

from proxy.sql.lexer import (
    Kind,
    Limits,
    Token,
    UnreadableSql,
    literal_value,
    names,
    split_statements,
    strip_literals,
    tokenize,
)


def texts(sql: str) -> list[str]:
    return [token.text for token in tokenize(sql)]


def kinds(sql: str) -> list[tuple[str, str]]:
    return [(token.kind.name, token.value) for token in tokenize(sql)]


def refused(sql: str, limits: Limits | None = None) -> UnreadableSql:
    with pytest.raises(UnreadableSql) as caught:
        tokenize(sql, limits or Limits())
    return caught.value


def test_every_kind() -> None:
    """Each token says what it is, and its value is what it stands for."""
    assert kinds("SELECT \"A b\", 'x', 1.5, $12 || x.Y::Int[1:2] -- end") == [
        ("IDENT", "select"),
        ("QUOTED_IDENT", "A b"),
        ("PUNCTUATION", ","),
        ("STRING", "x"),
        ("PUNCTUATION", ","),
        ("NUMBER", "1.5"),
        ("PUNCTUATION", ","),
        ("PARAM", "12"),
        ("OPERATOR", "||"),
        ("IDENT", "x"),
        ("PUNCTUATION", "."),
        ("IDENT", "y"),
        ("PUNCTUATION", "::"),
        ("IDENT", "int"),
        ("PUNCTUATION", "["),
        ("NUMBER", "1"),
        ("PUNCTUATION", ":"),
        ("NUMBER", "2"),
        ("PUNCTUATION", "]"),
    ]


def test_offsets_are_code_points() -> None:
    """A token's text is the slice of the message between its offsets, past astral characters too."""
    sql = "SELECT '😀é', ü FROM \"😀\" /* ж */ WHERE a = $1"
    for token in tokenize(sql):
        assert sql[token.start : token.end] == token.text


@pytest.mark.parametrize(
    ("written", "name"),
    [
        ("Email", "email"),
        ("ÉÀ", "ÉÀ"),
        ("Straße", "straße"),
        ("İI", "İi"),
        ("a$1", "a$1"),
        ("_x", "_x"),
        ('"Em""ail"', 'Em"ail'),
        ('U&"\\0065mail"', "email"),
        ('u&"d\\+000061t\\0061"', "data"),
        ('U&"\\d83d\\de00"', "😀"),
        ("a" * 70, "a" * 63),
        ('"' + "a" * 70 + '"', "a" * 63),
        ("é" * 40, "é" * 31),
        ("a" + "é" * 40, "a" + "é" * 31),
        ('"' + "😀" * 20 + '"', "😀" * 15),
        ("a\u00a0b", "a\u00a0b"),
        ("\u3000", "\u3000"),
    ],
)
def test_identifiers(written: str, name: str) -> None:
    """ASCII letters are folded, no others; names end after 63 bytes and a whole character; spaces
    that are not ASCII are letters to PostgreSQL."""
    (token,) = tokenize(written)
    assert token.value == name


@pytest.mark.parametrize(
    ("raw", "value"),
    [
        ("'it''s'", "it's"),
        ("'a\\'", "a\\"),
        ("'a'\n'b'", "ab"),
        ("'a' \t\n \n  'b'", "ab"),
        ("'a' --it's\n--it's\n'b''c'", "ab'c"),
        ("'a'\r'b'", "ab"),
        ("E'\\n\\t\\b\\f\\r\\v\\q\\\\\\''", "\n\t\b\f\r\vq\\'"),
        ("E'it''s'", "it's"),
        ("e'\\101\\x42\\x4'", "AB\x04"),
        ("E'\\xC3\\xA9\\303\\251'", "éé"),
        ("E'\\u00e9\\U0001F600\\ud83d\\ude00'", "é😀😀"),
        ("E'a'\n'\\'b'", "a'b"),
        ("E'\\é'", "é"),
        ("$$a'b$$", "a'b"),
        ("$t$a$$b$x$t$", "a$$b$x"),
        ("$é$a$é$", "a"),
        ("$$$$", ""),
        ("B'101'", "b101"),
        ("x'1F'", "x1F"),
        ("X'1'\n'F'", "x1F"),
        ("U&'d\\0061t\\+000061\\\\'", "data\\"),
        ("u&'it''s'\n'\\d83d\\de00'", "it's😀"),
        ("0x1F", "31"),
        ("0o17", "15"),
        ("0b101", "5"),
        ("1_000.5_0e1_0", "1000.50e10"),
        (".5", ".5"),
        ("1.", "1."),
        ("1e10", "1e10"),
    ],
)
def test_literals(raw: str, value: str) -> None:
    """One literal is one token, and stands for the value that PostgreSQL reads."""
    (token,) = tokenize(raw)
    assert (token.text, token.value, literal_value(raw)) == (raw, value, value)
    assert strip_literals(raw).literals == (raw,)


@pytest.mark.parametrize(
    ("sql", "tokens"),
    [
        ("$1,$2", ["$1", ",", "$2"]),
        ("$1$2", ["$1", "$2"]),
        ("1$2", ["1", "$2"]),
        ("1.5$2", ["1.5", "$2"]),
        ("1e+5$2", ["1e+5", "$2"]),
        ("$1$$a$$", ["$1", "$$a$$"]),
        ("a$$b$$", ["a$$b$$"]),
        ("1..10", ["1", "..", "10"]),
        ("1...5", ["1", "..", ".5"]),
        ("1.5.5", ["1.5", ".5"]),
        ("0x1F.5", ["0x1F", ".5"]),
        ("a.5", ["a", ".5"]),
        ("a..b", ["a", "..", "b"]),
        (":=:::", [":=", "::", ":"]),
        ("a=-1", ["a", "=", "-", "1"]),
        ("a=--1\n2", ["a", "=", "2"]),
        ("a@-1", ["a", "@-", "1"]),
        ("a=+-+1", ["a", "=", "+", "-", "+", "1"]),
        ("a+-1", ["a", "+", "-", "1"]),
        ("a*/*c*/b", ["a", "*", "b"]),
        ("a</*-- */>b", ["a", "<", ">", "b"]),
        ("a/* /* */ */b", ["a", "b"]),
        ("a/*/*/**/*/*/b", ["a", "b"]),
        ("a/***/b", ["a", "b"]),
        ("a//*x*/b", ["a", "/", "b"]),
        ("a -- b", ["a"]),
        ("a --b\rc", ["a", "c"]),
        ("a--b\u2028c", ["a"]),
        ("a\v\f\tb", ["a", "b"]),
        ("a<=>b", ["a", "<=>", "b"]),
        ("a|>b ?| c #>> d", ["a", "|>", "b", "?|", "c", "#>>", "d"]),
        ("u&1 U&x", ["u", "&", "1", "U", "&", "x"]),
        ("B'0''1'", ["B'0'", "'1'"]),
        ("ab'c'", ["ab", "'c'"]),
        ("N'a'", ["N", "'a'"]),
        ("'a' 'b'", ["'a'", "'b'"]),
        ("'a'/*x*/\n'b'", ["'a'", "'b'"]),
        ("e 'a'", ["e", "'a'"]),
        ("", []),
        (" /* */ -- ", []),
    ],
)
def test_boundaries(sql: str, tokens: list[str]) -> None:
    """Tokens end where PostgreSQL's end."""
    assert texts(sql) == tokens


@pytest.mark.parametrize(
    ("sql", "sqlstate", "message"),
    [
        ("SELECT 'abc", "42601", "unterminated quoted string"),
        ("SELECT E'abc\\'", "42601", "unterminated quoted string"),
        ("SELECT E'a'\n'\\'", "42601", "unterminated quoted string"),
        ("SELECT B'1", "42601", "unterminated quoted string"),
        ("SELECT U&'a", "42601", "unterminated quoted string"),
        ('SELECT "abc', "42601", "unterminated quoted identifier"),
        ('SELECT ""', "42601", "zero-length delimited identifier"),
        ("SELECT $a$ $b$", "42601", "unterminated dollar-quoted string"),
        ("SELECT /* /* */", "42601", "unterminated /* comment"),
        ("SELECT $1a", "42601", "trailing junk after parameter"),
        ("SELECT $2147483648", "42601", "parameter number too large"),
        ("SELECT 1a", "42601", "trailing junk after numeric literal"),
        ("SELECT 1_", "42601", "trailing junk after numeric literal"),
        ("SELECT 1__0", "42601", "trailing junk after numeric literal"),
        ("SELECT 1_0$1", "42601", "trailing junk after numeric literal"),
        ("SELECT 1e5$1", "42601", "trailing junk after numeric literal"),
        ("SELECT 1e", "42601", "trailing junk after numeric literal"),
        ("SELECT 1e+", "42601", "trailing junk after numeric literal"),
        ("SELECT 0x", "42601", "trailing junk after numeric literal"),
        ("SELECT 0b12", "42601", "trailing junk after numeric literal"),
        ("SELECT 0x1F$", "42601", "trailing junk after numeric literal"),
        ("SELECT 1é", "42601", "trailing junk after numeric literal"),
        ("SELECT {", "42601", "syntax error"),
        ("SELECT $ 1", "42601", "syntax error"),
        ("SELECT $a", "42601", "syntax error"),
        ("SELECT \x1c", "42601", "syntax error"),
        ("SELECT \\", "42601", "syntax error"),
        ("SELECT " + "<" * 64, "42601", "operator too long"),
        ("SELECT E'\\u12'", "22025", "invalid Unicode escape"),
        ("SELECT E'\\ud83d'", "42601", "invalid Unicode surrogate pair"),
        ("SELECT E'\\ude00'", "42601", "invalid Unicode surrogate pair"),
        ("SELECT E'\\ud83dx\\ude00'", "42601", "invalid Unicode surrogate pair"),
        ("SELECT E'\\u0000'", "42601", "invalid Unicode escape value"),
        ("SELECT E'\\U00110000'", "42601", "invalid Unicode escape value"),
        ("SELECT U&'\\12'", "42601", "invalid Unicode escape"),
        ('SELECT U&"\\d83d"', "42601", "invalid Unicode surrogate pair"),
        ("SELECT E'\\0'", "22021", "zero byte in a string constant"),
        ("SELECT E'\\xff'", "22021", 'invalid byte sequence for encoding "UTF8"'),
        ("SELECT '\x00'", "22021", 'invalid byte sequence for encoding "UTF8": 0x00'),
        ("SELECT '\ud800'", "22021", 'invalid byte sequence for encoding "UTF8"'),
        ("SELECT U&'a' UESCAPE '!'", "0A000", "UESCAPE is not supported"),
        ("SELECT U&\"a\" /* */ uescape '!'", "0A000", "UESCAPE is not supported"),
    ],
)
def test_errors(sql: str, sqlstate: str, message: str) -> None:
    """What PostgreSQL's scanner refuses is refused with its SQLSTATE, never with the text."""
    error = refused(sql)
    assert (error.sqlstate, error.message) == (sqlstate, error.message)
    assert error.message.startswith(message)


def test_errors_and_tokens_hold_no_text() -> None:
    """Neither an exception nor a repr shows what the client wrote."""
    for sql in (
        "SELECT 'canary",
        "SELECT 1canary",
        "SELECT E'canary\\xff'",
        'SELECT U&"canary\\1"',
    ):
        error = refused(sql)
        assert "canary" not in repr(error) + error.message + error.hint
        assert error.__cause__ is None
        assert error.__context__ is None or error.__suppress_context__
    assert "canary" not in repr(tokenize("SELECT 'canary', canary"))


@pytest.mark.parametrize(
    ("sql", "limits"),
    [
        ("SELECT 'é'", Limits(size=10)),
        ("SELECT 1, 2", Limits(tokens=3)),
        ("SELECT ((1))", Limits(nesting=1)),
        ("SELECT f(a[1])", Limits(nesting=1)),
        ("SELECT CASE WHEN a THEN CASE WHEN b THEN 1 END END", Limits(nesting=1)),
        ("SELECT ) ) ) ((1))", Limits(nesting=1)),
        ("SELECT ARRAY[ARRAY[1]]", Limits(arrays=1)),
        ("SELECT ARRAY[[1]]", Limits(arrays=1)),
        ("SELECT array /* */ [ 1, array[2] ]", Limits(arrays=1)),
    ],
)
def test_limits(sql: str, limits: Limits) -> None:
    """Bytes, tokens, nesting and ARRAY nesting end with 54000 or 54001, before any parser."""
    assert refused(sql, limits).sqlstate in ("54000", "54001")
    tokenize(sql)


def test_limits_count_what_is_open() -> None:
    """Brackets that closed do not count; ARRAYs side by side do not either."""
    tokenize(
        "SELECT " + "(1)," * 100 + "ARRAY[1]," * 100 + "a[1][2], 1", Limits(nesting=1, arrays=1)
    )


def test_names_have_no_limits() -> None:
    """The names in a text too long to parse can still be told, each once."""
    sql = "INSERT INTO T VALUES " + ",".join(['(\'email\', "A", U&"\\0062")'] * 10_000)
    assert names(sql) == {"insert", "into", "t", "values", "A", "b"}


@pytest.mark.parametrize(
    ("sql", "statements"),
    [
        ("SELECT 1; SELECT 2", ["SELECT 1", "SELECT 2"]),
        (";; SELECT 1;;", ["SELECT 1"]),
        ("SELECT ';'; --;\nSELECT $$;$$, \";\" /*;*/", ["SELECT ';'", 'SELECT $$;$$ , ";"']),
        ("", []),
        ("CREATE RULE r AS ON UPDATE TO v DO (a; b); c", None),
        (
            "CREATE OR REPLACE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT CASE WHEN a THEN 1 END;"
            " SELECT b AS end; SELECT 2; END; SELECT 3",
            None,
        ),
        ("CREATE PROCEDURE p() BEGIN ATOMIC SELECT x.case; END; SELECT 3", None),
        ("BEGIN; SELECT 1; END; SELECT 2", ["BEGIN", "SELECT 1", "END", "SELECT 2"]),
        ("SELECT begin atomic; SELECT 2", ["SELECT begin atomic", "SELECT 2"]),
    ],
)
def test_statements(sql: str, statements: list[str] | None) -> None:
    """`;` separates at the top level only; bodies of SQL-standard functions stay whole."""
    found = [" ".join(token.text for token in part) for part in split_statements(tokenize(sql))]
    if statements is None:
        assert len(found) == 2
    else:
        assert found == statements


def test_names_in_unicode_escapes_are_never_overlooked() -> None:
    """A name spelled with UESCAPE is no name to us: the whole text is unreadable."""
    assert names('SELECT U&"\\0065mail"') == {"select", "email"}
    with pytest.raises(UnreadableSql):
        names("SELECT U&\"!0065mail\" -- x\n UESCAPE '!'")


def test_national_strings() -> None:
    """N'x' is the keyword NCHAR and a string, as scan.l has it; `n` alone is a name."""
    assert kinds("N'x' n, n 'x'")[:2] == [("IDENT", "nchar"), ("STRING", "x")]
    assert [value for _, value in kinds("N'x' n, n 'x'")].count("n") == 2


def test_tokens_are_values() -> None:
    """Equal text gives equal tokens."""
    assert tokenize("a")[0] == Token(Kind.IDENT, 0, 1, "a", "a")
