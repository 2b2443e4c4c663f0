"""What sqlglot is kept from misreading: the tables of the facts page, row by row."""

from __future__ import annotations

import logging
import re
import subprocess
import sys

import pytest
from sqlglot import exp
from sqlglot.parsers.postgres import PostgresParser

from proxy.sql import parse as parse_module
from proxy.sql.crosscheck import Disagreement, Statement, crosscheck, raw_statements
from proxy.sql.lexer import Kind, split_statements, tokenize
from proxy.sql.parse import UnparsedSql, parse, position
from tests.conftest import Database


def read(sql: str) -> exp.Expr:
    """The tree of one statement, which libpg_query confirms."""
    tokens = tokenize(sql)
    tree = parse(tokens)
    crosscheck(sql, [Statement(tokens, tree)])
    return tree


def columns(tree: exp.Expr) -> list[str]:
    found = [".".join(part.name for part in node.parts) for node in tree.find_all(exp.Column)]
    return sorted(found)


def sources(tree: exp.Expr) -> list[str]:
    return sorted(f"{node.name} {node.alias}".strip() for node in tree.find_all(exp.Table))


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        # An arrow is an operator, never a lambda.
        ("SELECT f(data -> 'k')", ["data"]),
        ("SELECT coalesce(data -> 'k', u.data -> 'j')", ["data", "u.data"]),
        ("SELECT count(data ->> 'k') FILTER (WHERE (a, b) -> c)", ["a", "b", "c", "data"]),
        ("SELECT f((data) -> 'k')", ["data"]),
        # No function is special.
        ("SELECT date_trunc(email, x), date_part(email, x), date_bin(a, b, c)", "a b c email email x x"),
        ("SELECT to_char(a, b), to_date(a, b), to_timestamp(a, b)", "a a a b b b"),
        ("SELECT json_object(a, b), array_sort(a, b, c), unnest(d)", "a a b b c d"),
        ("SELECT text(email), date(email), uuid(email), point(email)", "email email email email"),
        ("SELECT if(a, b), decode(a, b), chr(c), convert(a, b)", "a a a b b b c"),
        ("SELECT f(a => email, b := name)", "email name"),
        ("SELECT f(*), count(*)", []),
        # Prefix operators.
        ("SELECT @email, @u.id, !! x, |/ y, ~ z", "email u.id x y z"),
        # U&"".
        ('SELECT U&"\\0065mail"', ["email"]),
        # Names that other dialects reserve.
        ("SELECT semi, anti, straight_join, qualify, div, xor", "anti div qualify semi straight_join xor"),
        ("SELECT rlike, glob, regexp, top, list, kill, pivot", "glob kill list pivot regexp rlike top"),
        ("SELECT date, interval, format, name, text, map, struct", "date format interval map name struct text"),
        ("SELECT settings, if, connect_by_root, apply, asof, use", "apply asof connect_by_root if settings use"),
        ("SELECT list[1], map[2], u.list[1:2]", "list map u.list"),
        ("SELECT t.true, t.null, t.select, t.case", "t.case t.null t.select t.true"),
        # Keywords that are values.
        ("SELECT user, current_role, system_user, session_user, localtime", []),
        ("SELECT a IS TRUE, b IS UNKNOWN, c IS NOT JSON OBJECT, d ISNULL", "a b c d"),
        ("UPDATE t SET a = DEFAULT, b = b", "a b b"),
        # Letters whose upper case is ASCII.
        ("SELECT lımıt, ſelect FROM t ıs", "lımıt ſelect"),
        # Spaces that are not ASCII are letters.
        ("SELECT email\u00a0x, a\u3000b", "a\u3000b email\u00a0x"),
        # Names are cut.
        ("SELECT " + "a" * 70, ["a" * 63]),
        ('SELECT "' + "A" * 70 + '"', ["A" * 63]),
        # Slices that begin with a colon are no placeholders.
        ("SELECT a[1:b]", "a b"),
        # Comments anywhere.
        ("SELECT a FROM t ORDER/**/BY b", "a b"),
        ("SELECT a FROM t GROUP /* x */ BY a HAVING a SIMILAR -- y\n TO b", "a a a b"),
        ("SELECT 'x' /* sqlglot.meta start=17, end=20 */, a", ["a"]),
        ("SELECT f(a) /* sqlglot.anonymous */", ["a"]),
        # Types.
        ("SELECT a::oid[], CAST(b AS regclass[]), timestamp with time zone '1', point '(1,2)'", "a b"),
        ("SELECT a::\"char\", b::pg_catalog.int4, c::character varying(3)[], d::bit varying(2)", "a b c d"),
        ("SELECT interval '1 day' AND (a)", ["a"]),
        ("SELECT extract(epoch FROM a), extract('year' FROM b)", "a b"),
    ],
)  # fmt: skip
def test_no_column_vanishes_or_appears(sql: str, expected: list[str] | str) -> None:
    """The columns are those that PostgreSQL sees."""
    names = expected.split(" ") if isinstance(expected, str) else expected
    assert columns(read(sql)) == sorted(names)


@pytest.mark.parametrize(
    "word", ["semi", "anti", "straight_join", "asof", "apply", "pivot", "qualify"]
)
def test_no_word_is_a_join_kind(word: str) -> None:
    """`FROM users semi JOIN o` is table users, alias semi."""
    assert sources(read(f"SELECT * FROM users {word} JOIN o ON true")) == ["o", f"users {word}"]


@pytest.mark.parametrize(
    "operator",
    ["<=>", "==", "??", "|>", "?#", "<<=", "~=", "<->", "@@", "?", "^@", "!", "!=-"],
)
def test_other_operators_are_no_comparisons(operator: str) -> None:
    """Only `=`, `<>` and `!=` are equality; every other operator is the same unknown one."""
    tree = read(f"SELECT a {operator} b")
    assert columns(tree) == ["a", "b"]
    assert not list(tree.find_all(exp.EQ, exp.NEQ, exp.NullSafeEQ, exp.Not))
    assert isinstance(tree.expressions[0], exp.Operator)


@pytest.mark.parametrize(
    ("sql", "kind"),
    [
        ("SELECT a = b", exp.EQ),
        ("SELECT a <> b", exp.NEQ),
        ("SELECT a != b", exp.NEQ),
        ("SELECT a IN (b)", exp.In),
        ("SELECT a IS NOT DISTINCT FROM b", exp.NullSafeEQ),
        ("SELECT a IS DISTINCT FROM b", exp.NullSafeNEQ),
        ("SELECT a = ANY (b)", exp.Any),
        ("SELECT a = SOME (b)", exp.Any),
        ("SELECT a = ALL (b)", exp.All),
        ("SELECT a <> ALL (ARRAY[b])", exp.All),
    ],
)
def test_comparisons(sql: str, kind: type[exp.Expr]) -> None:
    """Comparisons that may be sealed are told apart."""
    assert len(list(read(sql).find_all(kind))) == 1


def test_numbers_of_new_forms() -> None:
    """1_000, 0o17 and 0x1F are numbers, not a name or a bit string."""
    tree = read("SELECT 1_000, 0o17, 0x1F, 1e1_0")
    assert [node.name for node in tree.find_all(exp.Literal)] == ["1000", "15", "31", "1e10"]


def test_strings_are_decoded() -> None:
    """E'', U&'', $$ and continued strings come out as what they stand for."""
    tree = read("SELECT E'a\\n', U&'\\0062', $$c'$$, 'd'\n'e', N'f'")
    assert [node.name for node in tree.find_all(exp.Literal)] == ["a\n", "b", "c'", "de", "f"]


def test_dollar_parameters_without_spaces() -> None:
    """`$1,$2` are parameters, and the dollar-quote trick hides no column and no table."""
    tree = read("INSERT INTO t(a,b)VALUES($1,$2)")
    assert [node.name for node in tree.find_all(exp.Parameter)] == ["1", "2"]
    trick = "SELECT $1||'a$ --', email FROM users WHERE ''<>$1||'a$ --'"
    tree = read(trick)
    assert columns(tree) == ["email"]
    assert sources(tree) == ["users"]
    assert columns(read("UPDATE t SET a = $1||'a$ --', email=name WHERE ''<>$1||'a$ --'")) == [
        "a",
        "email",
        "name",
    ]


def test_places() -> None:
    """Every leaf knows its token: names, stars, literals, parameters, TRUE, FALSE and NULL."""
    sql = "SELECT u.*, a, 'x', 1.5, $2, f(b), TRUE, NULL, x'1F', count(*) FROM users WHERE c IN (E'y')"
    tokens = tokenize(sql)
    tree = parse(tokens)
    leaves = (exp.Identifier, exp.Literal, exp.Star, exp.Parameter, exp.Boolean, exp.Null)
    found = {}
    for node in tree.find_all(*leaves, exp.HexString, exp.Anonymous):
        place = position(node)
        if place is not None:
            found[tokens[place].text] = type(node)
    assert found["'x'"] is found["1.5"] is found["E'y'"] is exp.Literal
    assert found["$2"] in (exp.Parameter, exp.Literal)
    assert (found["TRUE"], found["NULL"], found["x'1F'"]) == (exp.Boolean, exp.Null, exp.HexString)
    assert (found["f"], found["users"], found["*"]) == (exp.Anonymous, exp.Identifier, exp.Star)
    literals = [token.text for token in tokens if token.kind in (Kind.STRING, Kind.NUMBER)]
    assert set(literals) <= set(found)


def test_stars_that_nobody_wrote_have_no_place() -> None:
    """sqlglot wraps VALUES in SELECT * here and there; that star is nowhere in the text."""
    for sql in ("WITH v AS (VALUES (1)) SELECT a FROM v", "VALUES (1) UNION VALUES (2)", "TABLE t"):
        for star in read(sql).find_all(exp.Star):
            assert position(star) is None


@pytest.mark.parametrize(
    "sql",
    [
        "",
        "EXPLAIN SELECT 1",
        "COPY t FROM STDIN WHERE email <> 'x'",
        "SHOW x",
        "CREATE TABLE t AS SELECT 1",
        "DO $$ $$",
        "DECLARE c CURSOR FOR SELECT 1",
        "SELECT 'a' 'b' 'c' x y z",
        "SELECT FROM FROM",
        "SELECT 1 +",
        "PIVOT t ON a",
        "FROM t SELECT a b c d",
        "FROM t",
        "KILL 1",
        "SELECT a @> FROM t",
        "INSERT INTO t VALUES (1",
        "SELECT * FROM a JOIN b",
    ],
)
def test_unparsed(sql: str) -> None:
    """Anything but a query or a write, and anything unreadable, is UnparsedSql."""
    with pytest.raises(UnparsedSql):
        parse(tokenize(sql))


def test_errors_and_logs_hold_no_text(caplog: pytest.LogCaptureFixture) -> None:
    """Neither the exception, nor its context, nor the sqlglot logger tells what was written."""
    with caplog.at_level(logging.DEBUG), pytest.raises(UnparsedSql) as caught:
        parse(tokenize("SELECT 'canary', canary +"))
    error: BaseException | None = caught.value
    assert error is not None
    assert "canary" not in f"{error!r} {error}"
    assert error.__cause__ is None
    assert error.__suppress_context__
    assert "canary" not in caplog.text
    assert not logging.getLogger("sqlglot").isEnabledFor(logging.CRITICAL)


def test_any_exception_of_the_parser_is_unparsed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A TypeError or RecursionError inside sqlglot is no different from its own errors."""
    for raised in (TypeError("canary"), RecursionError("canary"), KeyError("canary")):

        def fail(*_: object, error: Exception = raised) -> None:
            raise error

        monkeypatch.setattr(parse_module.PostgresParser, "parse", fail)
        with pytest.raises(UnparsedSql):
            parse(tokenize("SELECT 1"))


def test_keywords_are_postgresqls(database: Database) -> None:
    """No word is a keyword to the parser that is none to PostgreSQL."""
    keywords = set(database.psql("SELECT word FROM pg_get_keywords()").split())
    assert set(parse_module._KEYWORDS) <= keywords
    assert {word for pair in parse_module._PAIRS for word in pair} <= keywords


@pytest.mark.parametrize(
    ("template", "unread"),
    [
        ("SELECT {} FROM t", "between insert"),
        ("SELECT a.{}, b AS c FROM t", ""),
        ("SELECT a FROM t ORDER BY {} DESC", "between insert"),
        ("SELECT {}.a FROM s.{} WHERE {} = 'x' AND b IN (1)", "between insert values"),
        ("SELECT 1 FROM t {}", "between insert values"),
        ("SELECT 1 FROM t AS {} WHERE {}.x = 1", "between insert"),
        ("UPDATE t SET {} = 1, b = {}", "between insert"),
        ("INSERT INTO t ({}, b) VALUES (1, 2)", "exclude"),
        ("INSERT INTO t (a) VALUES (1) ON CONFLICT (a) DO UPDATE SET b = EXCLUDED.{}", ""),
        ("DELETE FROM {} WHERE {}.a = 1 RETURNING {}", "between insert values"),
        ("SELECT a::{} FROM t", ""),
        ("WITH {} AS (SELECT 1) SELECT * FROM {}", "between insert recursive values"),
    ],
)
def test_keywords_as_names(database: Database, template: str, unread: str) -> None:
    """Wherever PostgreSQL takes one of its keywords as a name, so do we, but for these."""
    refused = set()
    for word in database.psql("SELECT word FROM pg_get_keywords()").split():
        sql = template.replace("{}", word)
        try:
            raw_statements(sql)
        except Disagreement:
            continue
        try:
            read(sql)
        except (UnparsedSql, Disagreement):
            refused.add(word)
    assert refused <= set(unread.split())


def test_missing_attributes_stop_the_import() -> None:
    """If an upgrade of sqlglot drops what is patched, nothing starts."""
    script = (
        "from sqlglot.parsers.postgres import PostgresParser as P\n"
        "import sqlglot.parser\n"
        "del sqlglot.parser.Parser.ARRAY_CONSTRUCTORS\n"
        "import proxy.sql.parse\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )
    assert run.returncode == 1
    assert re.search(r"ImportError|AttributeError", run.stderr)


def test_function_tables_are_empty() -> None:
    """The patches are in place on the class itself: the compiled build allows no subclass."""
    assert PostgresParser.FUNCTIONS == {}
    assert set(PostgresParser.LAMBDAS) == {parse_module.TokenType.FARROW}


def test_statements_apart() -> None:
    """Bodies of SQL-standard functions are one statement, and nothing parses across a `;`."""
    sql = "CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT email FROM users; END; SELECT 1"
    body, query = split_statements(tokenize(sql))
    with pytest.raises(UnparsedSql):
        parse(body)
    assert isinstance(parse(query), exp.Select)
