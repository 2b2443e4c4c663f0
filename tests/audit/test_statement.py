"""Statements in the log: no literal, no comment, one line, always with certainty or not at all."""

from __future__ import annotations

import random
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.audit.statement import (
    STATEMENT_CAP,
    STATEMENT_READ,
    Unreadable,
    query_info,
    statement_text,
)
from proxy.sql.lexer import Kind, UnreadableSql, strip_literals, tokenize


def shown(sql: str) -> str:
    return statement_text(strip_literals(sql).text)


@pytest.mark.parametrize(
    ("sql", "text"),
    [
        ("SELECT 1", "SELECT $1"),
        ("SELECT 'a', $2, 3.5e1", "SELECT $3, $2, $4"),
        ("SELECT $1 -- canary\nFROM t", "SELECT $1 FROM t"),
        ("SELECT/* a /* canary */ b */email FROM t", "SELECT email FROM t"),
        ("  SELECT\n\t  a,\r\n b ;  ", "SELECT a, b ;"),
        ("SELECT E'a\\'b', $$x$$, U&'\\0041', X'1F', N'n'", "SELECT $1, $2, $3, $4, N $5"),
        ("SELECT date'2020-01-01'", "SELECT date $1"),
        ("SELECT 'a'FROM t", "SELECT $1 FROM t"),
        ("SELECT 1$1", "SELECT $2 $1"),
        ("SELECT 'a'\n  'b'", "SELECT $1"),
        (
            'SELECT "a""b -- no comment", "$9" FROM "T"',
            'SELECT "a""b -- no comment", "$9" FROM "T"',
        ),
        ("SELECT a$9, -1, a.b[2]", "SELECT a$9, -$1, a.b[$2]"),
        ("SELECT a->>'k' FROM t WHERE b@>'{}'", "SELECT a->>$1 FROM t WHERE b@>$2"),
        ("SELECT $1||'a$ --' ", "SELECT $1||$2"),
        ("SELECT 1; SELECT 'x';", "SELECT $1; SELECT $2;"),
        ("SELECT имя FROM т WHERE x = 'я'", "SELECT имя FROM т WHERE x = $1"),
    ],
)
def test_statements_as_shown(sql: str, text: str) -> None:
    """Literals are numbered after the real parameters; names, quoted or not, stay."""
    assert shown(sql) == text


def test_declared_parameters_count_even_if_unused() -> None:
    """`parameters` is the least number from which literals are counted on."""
    assert statement_text("SELECT \x00s, $1", parameters=3) == "SELECT $4, $1"


@pytest.mark.parametrize(
    "text",
    [
        "SELECT 'canary'",
        "SELECT 'canary",
        "SELECT $$canary$$",
        "SELECT $canary$x$canary$",
        "SELECT 42",
        "SELECT .5",
        "SELECT 0xCAFE",
        "SELECT $1canary",
        "SELECT /* canary",
        'SELECT "canary',
        'SELECT ""',
        "SELECT canary\\",
        "SELECT {canary}",
        "SELECT \x00z",
        "SELECT \x00",
        "SELECT \x01",
        'SELECT "a\x00s"',
        "SELECT E'canary'",
    ],
)
def test_what_may_still_hold_a_literal_is_not_shown(text: str) -> None:
    """A quote, a digit or a dollar on its own, an open comment or name, an unknown marker: dropped."""
    with pytest.raises(Unreadable):
        statement_text(text)
    assert query_info(text) == (None, {"statement_unreadable": True})


SQL_PIECES = [
    "SELECT", " ", "  ", "\n", "email", '"Odd ""Name"', "$1", "$22", ",", "(", ")", "=", "||", "::", ".",
    "'canary'", "E'can\\'ary'", "$$canary$$", "$t$canary$t$", "U&'canary'", "X'CA'", "12345", "1e5", ".5",
    "-- canary\n", "/* canary */", "/*/* canary */*/", "-", "/", "*", "a$b", "'can''ary'", "0x1F", "[", "]", ";",
    "'", '"', "$", "\\", "{", "/*", "*/", "--", "\x00", "\u00a0", "é", "U&\"x\"", "1_000",
]  # fmt: skip


@settings(max_examples=1500, deadline=None)
@given(st.lists(st.sampled_from(SQL_PIECES), max_size=14).map("".join))
def test_no_literal_survives_whatever_the_text(sql: str) -> None:
    """Of any text: shown as the lexer's tokens with `$n` for literals, or not shown. Never a value."""
    try:
        stripped = strip_literals(sql).text
        tokens = tokenize(sql)
    except UnreadableSql:
        return
    try:
        text = statement_text(stripped)
    except Unreadable:
        return
    literal = (Kind.STRING, Kind.NUMBER)
    expected = [None if t.kind in literal else t.text for t in tokens]
    got = [None if w is None else t.text for t, w in zip(tokenize(text), expected, strict=True)]
    assert got == expected
    names = "".join(t.text for t in tokens if t.kind in (Kind.IDENT, Kind.QUOTED_IDENT))
    assert "canary" in names or "canary" not in text


@settings(max_examples=500, deadline=None)
@given(st.text(max_size=60) | st.lists(st.sampled_from(SQL_PIECES), max_size=14).map("".join))
def test_raw_text_by_mistake_shows_no_literal(sql: str) -> None:
    """Even text that nobody stripped has no string and no number in what is shown."""
    try:
        text = statement_text(sql)
    except Unreadable:
        return
    # `$1$1` is two parameters to the lexer as well; nothing else may need it
    assert all(t.kind not in (Kind.STRING, Kind.NUMBER) for t in tokenize(text))


def test_the_fingerprint_is_of_the_shape() -> None:
    """Other literals, comments and spacing: same fingerprint. Another column: another one."""

    def fingerprint(sql: str) -> str:
        query, _ = query_info(strip_literals(sql).text)
        assert query is not None
        return str(query["uid"])

    one = fingerprint("SELECT a FROM t WHERE b = 'x'")
    assert one == fingerprint("SELECT a  FROM t /* hi */ WHERE b = 'yyy'")
    assert one == fingerprint("SELECT a FROM t WHERE b = 17")
    assert one != fingerprint("SELECT b FROM t WHERE b = 'x'")


def test_long_statements_are_cut_and_say_so() -> None:
    """The text ends at the cap, the fingerprint is of the whole, the length is given."""
    rows = ", ".join("($1, $2)" for _ in range(2000))
    query, flags = query_info(f"INSERT INTO t VALUES {rows}")
    other, _ = query_info(f"INSERT INTO t VALUES {rows}, ($3, $4)")
    assert query is not None
    assert other is not None
    assert query["query_string"].startswith("INSERT INTO t VALUES ($1, $2)")
    assert query["query_string"] == other["query_string"]
    assert query["uid"] != other["uid"]
    assert len(query["query_string"]) == STATEMENT_CAP
    assert flags == {"statement_truncated": True, "statement_length": 21 + 10 * 2000 - 2}


def test_enormous_statements_are_not_read() -> None:
    """Past the limit the text is left out, and said to be."""
    assert query_info("a " * STATEMENT_READ) == (None, {"statement_unreadable": True})


def test_reading_takes_linear_time() -> None:
    """The worst texts of the allowed length take a fraction of a second."""
    for bad in ("/*", "/*/", "a ", "a  ", "\x00s", "-", "$1", '""', '"', "/ *", "(", "\x00s,"):
        text = bad * (STATEMENT_READ // len(bad))
        begun = time.perf_counter()
        query_info(text)
        assert time.perf_counter() - begun < 2, bad


def test_names_that_do_not_print_are_spelled_out() -> None:
    """An override in a quoted identifier is visible, and so is an unpaired surrogate."""
    query, _ = query_info('SELECT "a\u202eb", "\ud800"')
    assert query is not None
    assert query["query_string"] == 'SELECT "a\\u{202e}b", "\\u{d800}"'


def test_secrets_in_every_kind_of_literal_stay_out() -> None:
    """Random secrets in literals of every kind, at every place, in comments too: never in the text."""
    seed = random.randrange(2**32)
    draw = random.Random(seed)
    for _ in range(300):
        secret = f"{draw.randrange(10**8, 10**9)}"
        forms = [
            f"'{secret}'", f"E'{secret}\\n'", f"$${secret}$$", f"$x${secret}$x$", secret, f"-{secret}.5",
            f"/* {secret} */", f"-- {secret}\n", f"B'{int(secret) % 2:b}'", f"N'{secret}'", f"{secret}e1",
        ]  # fmt: skip
        sql = "SELECT a FROM t WHERE " + " AND b = ".join(draw.choices(forms, k=6)) + " LIMIT $1"
        query, _ = query_info(strip_literals(sql).text)
        assert query is None or secret not in query["query_string"], f"seed {seed}"
