"""Text made to exhaust sqlglot: bounded work, whatever it is.

Work is counted, not timed: calls of the parser's `_advance`, through which every token read goes
(the compiled build does not call it through the class, so the counts are checked in the pure one).
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
import sqlglot.parser

from proxy.sql.crosscheck import Disagreement, Statement, crosscheck
from proxy.sql.lexer import Token, UnreadableSql, split_statements, tokenize
from proxy.sql.parse import UnparsedSql, parse

Pattern = Callable[[int], str]

NESTED: dict[str, Pattern] = {
    "parentheses": lambda n: "SELECT " + "(" * n + "1" + ")" * n,
    "sums": lambda n: "SELECT " + "(1+" * n + "1" + ")" * n,
    "functions": lambda n: "SELECT " + "f(" * n + "1" + ")" * n,
    "type-name calls": lambda n: "SELECT " + "text(" * n + "1" + ")" * n,
    "date calls": lambda n: "SELECT " + "date(" * n + "a" + ")" * n,
    "varchar calls": lambda n: "SELECT " + "varchar(" * n + "a" + ")" * n,
    "casts": lambda n: "SELECT " + "CAST(" * n + "1" + " AS int)" * n,
    "subselects": lambda n: "SELECT * FROM " + "(SELECT * FROM " * n + "t" + ") x" * n,
    "scalars": lambda n: "SELECT " + "(SELECT " * n + "1" + ")" * n,
    "exists": lambda n: "SELECT " + "EXISTS (SELECT 1 WHERE " * n + "a" + ")" * n,
    "in": lambda n: "SELECT 1 WHERE a IN " + "(SELECT a FROM t WHERE a IN " * n + "(1)" + ")" * n,
    "any": lambda n: "SELECT " + "a = ANY(" * n + "b" + ")" * n,
    "all": lambda n: "SELECT " + "a = ALL(" * n + "b" + ")" * n,
    "case": lambda n: "SELECT " + "CASE WHEN a THEN " * n + "1" + " END" * n,
    "case when": lambda n: "SELECT " + "CASE WHEN " * n + "a" + " THEN 1 END" * n,
    "lateral": lambda n: "SELECT * FROM " + "LATERAL (SELECT * FROM " * n + "t" + ") x" * n,
    "tuples": lambda n: "SELECT " + "(1," * n + "1" + ")" * n,
    "subscripts": lambda n: "SELECT " + "a[" * n + "1" + "]" * n,
    "join brackets": lambda n: "SELECT * FROM " + "(" * n + "a" + " JOIN b ON true)" * n,
    "unions": lambda n: "(" * n + "SELECT 1" + " UNION SELECT 1)" * n,
    "json calls": lambda n: "SELECT " + "json_object('k' : " * n + "1" + " ABSENT ON NULL)" * n,
    "json values": lambda n: "SELECT " + "json_value(a, '$' DEFAULT " * n + "1" + " ON EMPTY)" * n,
    "merges": lambda n: (
        "MERGE INTO t USING "
        + "(SELECT * FROM " * n
        + "t"
        + ") x" * n
        + " ON true WHEN MATCHED THEN DELETE"
    ),
    "kwargs": lambda n: "SELECT " + "f(a => " * n + "1" + ")" * n,
    "lists": lambda n: "SELECT f(" + "(a," * n + "a" + ")" * n + ")",
    "with": lambda n: "WITH x AS (" * n + "SELECT 1" + ") SELECT 1" * n,
    "grouping sets": lambda n: "SELECT 1 GROUP BY " + "GROUPING SETS (" * n + "a" + ")" * n,
}
ARRAYS: dict[str, Pattern] = {
    "ARRAY[": lambda n: "SELECT " + "ARRAY[" * n + "1" + "]" * n,
    "ARRAY[[": lambda n: "SELECT ARRAY" + "[" * n + "1" + "]" * n,
    "ARRAY[f(": lambda n: "SELECT " + "ARRAY[f(" * n + "1" + ")]" * n,
}
LONG: dict[str, Pattern] = {
    "not": lambda n: "SELECT " + "NOT " * n + "a",
    "minus": lambda n: "SELECT " + "- " * n + "a",
    "tilde": lambda n: "SELECT " + "~ " * n + "a",
    "at": lambda n: "SELECT " + "@ " * n + "a",
    "subscript chain": lambda n: "SELECT a" + "[1]" * n,
    "field chain": lambda n: "SELECT a" + ".b" * n,
    "cast chain": lambda n: "SELECT 1" + "::int" * n,
    "and": lambda n: "SELECT 1 WHERE a" + " AND a" * n,
    "equals": lambda n: "SELECT a" + " = b" * n,
    "joins": lambda n: "SELECT * FROM a" + " JOIN b ON true" * n,
    "joins, conditions last": lambda n: "SELECT * FROM a" + " JOIN b" * n + " ON true" * n,
    "joins without conditions": lambda n: "SELECT * FROM a" + " JOIN b" * n,
    "left joins without conditions": lambda n: "SELECT * FROM a" + " LEFT JOIN b" * n,
    "natural joins": lambda n: "SELECT * FROM a" + " NATURAL LEFT OUTER JOIN b" * n,
    "natural joins and others": lambda n: "SELECT * FROM a" + " NATURAL JOIN b JOIN c" * n,
    "commas": lambda n: "SELECT * FROM a" + ", b" * n,
    "unions": lambda n: "SELECT 1" + " UNION SELECT 1" * n,
    "zones": lambda n: "SELECT a" + " AT TIME ZONE 'x'" * n,
    "intervals": lambda n: "SELECT " + "interval '1' + " * n + "a",
    "interval interval": lambda n: "SELECT " + "interval " * n + "'1'",
    "between": lambda n: "SELECT a" + " BETWEEN 1 AND 2" * n,
    "rows": lambda n: "INSERT INTO t VALUES (1)" + ", (1)" * n,
    "in list": lambda n: "SELECT 1 WHERE a IN (1" + ", 1" * n + ")",
    "operators": lambda n: "SELECT a" + " @> @ b" * n,
    "colons": lambda n: "SELECT a[" + "1:" * n + "1]",
    "json pairs": lambda n: "SELECT json_object('k' : 1" + ", 'k' VALUE a FORMAT JSON" * n + ")",
    "merge joins": lambda n: (
        "MERGE INTO t USING a" + " JOIN b ON true" * n + " ON true WHEN MATCHED THEN DELETE"
    ),
    "merge whens": lambda n: "MERGE INTO t USING a ON true" + " WHEN MATCHED THEN DO NOTHING" * n,
    "with": lambda n: "WITH a AS (SELECT 1)" + ", a AS (SELECT 1)" * n + " SELECT 1",
}
DEPTH = 22
"""Every nesting of NESTED at this depth is within the limits (some nest two brackets at a time)."""
MOST_STEPS_PER_TOKEN = 4


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Counts tokens that the parser goes over, again and again included."""
    counter = [0]
    advance = sqlglot.parser.Parser._advance

    def counted(parser: sqlglot.parser.Parser, times: int = 1) -> None:
        counter[0] += 1
        advance(parser, times)

    if sqlglot.parser.__file__.endswith(".py"):
        monkeypatch.setattr(sqlglot.parser.Parser, "_advance", counted)
    return counter


def parsed(tokens: list[Token]) -> bool:
    try:
        parse(tokens)
    except UnparsedSql:
        return False
    return True


@pytest.mark.parametrize("name", NESTED)
def test_nesting_within_the_limits(name: str, steps: list[int]) -> None:
    """What the limits admit is read, under Python's default recursion limit, in linear work."""
    depth = DEPTH // 2 if name in ("in", "with", "lists") else DEPTH
    tokens = tokenize(NESTED[name](depth))
    assert parsed(tokens)
    assert steps[0] <= MOST_STEPS_PER_TOKEN * len(tokens)


@pytest.mark.parametrize("name", [*NESTED, *ARRAYS])
def test_deeper_nesting_is_refused(name: str) -> None:
    """Deeper text never reaches a parser."""
    with pytest.raises(UnreadableSql) as caught:
        tokenize({**NESTED, **ARRAYS}[name](3000))
    assert caught.value.sqlstate == "54001"


@pytest.mark.parametrize("name", ARRAYS)
def test_arrays(name: str, steps: list[int]) -> None:
    """Six ARRAYs in one another are read in linear work (stock sqlglot: 2^n)."""
    tokens = tokenize(ARRAYS[name](6))
    assert parsed(tokens)
    assert steps[0] <= MOST_STEPS_PER_TOKEN * len(tokens)
    with pytest.raises(UnreadableSql):
        tokenize(ARRAYS[name](7))


@pytest.mark.parametrize("name", LONG)
@pytest.mark.parametrize("length", [10, 30, 300, 2500])
def test_length(name: str, length: int, steps: list[int]) -> None:
    """Long text is read or refused in work that is linear in its length."""
    tokens = tokenize(LONG[name](length))
    parsed(tokens)
    assert steps[0] <= 3 * MOST_STEPS_PER_TOKEN * len(tokens) + 300


@pytest.mark.parametrize("name", LONG)
def test_both_parsers_survive(name: str) -> None:
    """What is read is also cross-checked, or refused; nothing else happens at any length."""
    sql = LONG[name](2000)
    statements = split_statements(tokenize(sql))
    try:
        trees = [Statement(tokens, parse(tokens)) for tokens in statements]
        crosscheck(sql, trees)
    except (UnparsedSql, Disagreement):
        return


def test_the_largest_statement() -> None:
    """The token limit keeps the longest parse short; one more row is refused."""
    row = "('a', 1, $1, NULL), "
    sql = "INSERT INTO t VALUES " + row * 1990 + "(1)"
    assert parsed(tokenize(sql))
    with pytest.raises(UnreadableSql) as caught:
        tokenize("INSERT INTO t VALUES " + row * 2010 + "(1)")
    assert caught.value.sqlstate == "54000"
