"""The second reader: what it lets pass, and that nothing else passes."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Callable

import pytest
from sqlglot import exp

from proxy.sql.crosscheck import Disagreement, Statement, crosscheck, raw_statements
from proxy.sql.lexer import UnreadableSql, split_statements, tokenize
from proxy.sql.parse import UnparsedSql, parse
from tests.sql.corpus import corpus

DATA = frozenset({"select", "with", "values", "table", "insert", "update", "delete", "merge"})


def statements(sql: str) -> list[Statement]:
    """Each statement with its tree if it is a query or a write."""
    found = []
    for tokens in split_statements(tokenize(sql)):
        first = next((token.value for token in tokens if token.text != "("), "")
        found.append(Statement(tokens, parse(tokens) if first in DATA else None))
    return found


def confirmed(sql: str) -> None:
    crosscheck(sql, statements(sql))


def differs(sql: str, tamper: Callable[[exp.Expr], object] | None = None) -> Disagreement:
    """What crosscheck says of a statement, its tree tampered with."""
    (statement,) = statements(sql)
    assert statement.tree is not None
    if tamper is not None:
        crosscheck(sql, [statement])
        tamper(statement.tree)
    with pytest.raises(Disagreement) as caught:
        crosscheck(sql, [statement])
    assert caught.value.sqlstate == "0A000"
    return caught.value


# What applications send.


@pytest.mark.parametrize(("family", "sql"), corpus())
def test_corpus(family: str, sql: str) -> None:
    """Every statement of the corpus is read by sqlglot and confirmed by PostgreSQL's grammar."""
    confirmed(sql)


def test_corpus_is_large_enough_to_mean_something() -> None:
    """The numbers that the decision for sqlglot rests on: all of them pass."""
    data = [s for _, sql in corpus() for s in statements(sql) if s.tree is not None]
    assert len(corpus()) >= 280
    assert len(data) >= 240


# The rules: one thing in two parsers' words.


@pytest.mark.parametrize(
    ("rule", "sql"),
    [
        ("a negative number is located at its sign", "SELECT -1, - 1, -(1), - -1, -(-(2.5)), 3 - 1"),
        ("TRUE, FALSE and NULL are no literal tokens", "SELECT true, FALSE, NULL, a IS NULL, b IS TRUE"),
        ("the grammar adds constants of its own", "SELECT substring(a FOR 2) FROM t LIMIT ALL"),
        ("FETCH FIRST ROW has no number", "SELECT a FROM t FETCH FIRST ROW ONLY"),
        ("INTERVAL cuts up its text", "SELECT interval '1 day', interval '1' day, interval '1 2' day to hour"),
        ("an INTERVAL's precision is no value", "SELECT interval '1.234' second(2), a::interval"),
        ("the field of EXTRACT is a word", "SELECT extract(year FROM a), extract('year' FROM b)"),
        ("type modifiers are no values", "SELECT a::varchar(10), CAST(b AS numeric(10, 2)), c::timestamp(3)"),
        ("the precision of current_time is no value", "SELECT current_time(3), localtimestamp(2), current_timestamp"),
        ("count(*) has no column", "SELECT count(*), count(*) FILTER (WHERE a = 1) OVER () FROM t"),
        ("the star of (row).* has no place", "SELECT (t).*, (f(a)).*, t.*, * FROM t"),
        ("TABLE t has no star", "TABLE t"),
        ("sqlglot wraps VALUES", "WITH v AS (VALUES (1, 'a')) SELECT * FROM v UNION VALUES (2, 'b')"),
        ("columns in ON CONFLICT have no place", "INSERT INTO t (a) VALUES (1) ON CONFLICT (a, b) DO NOTHING"),
        ("expressions in ON CONFLICT have", "INSERT INTO t (a) VALUES (1) ON CONFLICT (lower(a), (b)) DO NOTHING"),
        ("columns in USING have no place", "SELECT * FROM a JOIN b USING (x, y) JOIN c USING (z)"),
        ("a collation is no column", "SELECT a COLLATE \"C\", b COLLATE pg_catalog.default FROM t"),
        ("DEFAULT is no column", "UPDATE t SET a = DEFAULT, (b, c) = (DEFAULT, 1)"),
        ("user and its like are no columns", "SELECT user, current_role, session_user, current_catalog"),
        ("an element is assigned to its column", "UPDATE t SET a[1] = 'x', b[1:2] = c"),
        ("several columns from one source", "UPDATE t SET (a, b) = (SELECT c, d FROM u WHERE u.e = t.a), f = 1"),
        ("a function declares columns", "SELECT * FROM f(1) AS x(a int, b text), g() AS y"),
        ("an order after brackets is the query's own", "(SELECT a FROM t) ORDER BY b LIMIT 1"),
        ("MERGE says what it does when",
         "MERGE INTO s.t AS x USING u ON x.a = u.a AND x.b = 'c' WHEN MATCHED AND x.d = 1 THEN UPDATE SET a = u.a, (b, c) = (2, 'e')"
         " WHEN NOT MATCHED BY SOURCE THEN DELETE WHEN NOT MATCHED BY TARGET AND u.f THEN INSERT (a, b) VALUES ($1, DEFAULT)"
         " WHEN MATCHED THEN DO NOTHING RETURNING merge_action(), x.a AS y, u.*"),
        ("MERGE may insert without columns",
         "MERGE INTO t USING u ON true WHEN NOT MATCHED AND u.a THEN INSERT VALUES (1, 'x') WHEN NOT MATCHED THEN INSERT DEFAULT VALUES"),
        ("MERGE may read a query or a join",
         "WITH w AS (SELECT 1) MERGE INTO ONLY t USING (SELECT a FROM u) AS s JOIN w ON s.a = w.b LEFT JOIN v USING (c) ON t.a = s.a"
         " WHEN NOT MATCHED THEN INSERT (a) OVERRIDING SYSTEM VALUE VALUES (s.a)"),
        ("WHERE CURRENT OF names a cursor", "UPDATE t SET a = 'x' WHERE CURRENT OF \"C d\" RETURNING b; DELETE FROM t WHERE CURRENT OF c"),
        ("IS JSON and the like are words",
         "SELECT a IS JSON, a IS NOT JSON OBJECT WITH UNIQUE KEYS, a IS JSON ARRAY WITHOUT UNIQUE, a IS DOCUMENT, a IS NOT NFC NORMALIZED, a IS NORMALIZED"),
        ("json_value says how in words",
         "SELECT json_value(a, '$.b' PASSING c AS x, 2 AS y RETURNING varchar(10) DEFAULT 'z' ON EMPTY ERROR ON ERROR),"
         " json_query(a, '$' RETURNING text WITH UNCONDITIONAL ARRAY WRAPPER KEEP QUOTES ON SCALAR STRING EMPTY ARRAY ON EMPTY),"
         " json_exists(a, '$.x' FALSE ON ERROR) FROM t"),
        ("json_object has pairs",
         "SELECT JSON_OBJECT('k' : a, 'l' VALUE b FORMAT JSON NULL ON NULL WITH UNIQUE KEYS RETURNING jsonb), json_object(value : 'v'),"
         " json_object('value' VALUE value), json_object(), json_object('{a,b}'), json_array(a, 'b', 3 RETURNING bytea FORMAT JSON ENCODING UTF8),"
         " json_arrayagg(a ORDER BY b DESC ABSENT ON NULL) FILTER (WHERE c = 'x') OVER (PARTITION BY d), json_objectagg(a : b),"
         " json(a WITH UNIQUE KEYS), json_scalar(1), json_serialize(a RETURNING bytea) FROM t"),
        ("NOT IN and IN are one", "SELECT 1 WHERE a NOT IN (1, 2) AND b IN (SELECT c FROM t)"),
        ("names are compared as PostgreSQL folds and cuts them", f'SELECT É, "A""b", {"x" * 70} FROM T'),
        ("offsets are bytes on one side", "SELECT 'é😀', a /* ж */ FROM \"ü\" WHERE 'ß' = b; SELECT 'x'"),
        ("empty statements vanish", ";; SELECT 1;; SELECT 2 ; -- c"),
        ("N'x' is located at its string", "SELECT N'x', B'1', x'1F', U&'\\0061', $$a$$, E'b'"),
    ],
)  # fmt: skip
def test_rules(rule: str, sql: str) -> None:
    """Statements that are described differently by the two parsers and mean the same to both."""
    confirmed(sql)


# Everything else is a difference.


def first(kind: type[exp.Expr], number: int = 0) -> Callable[[exp.Expr], exp.Expr]:
    return lambda tree: list(tree.find_all(kind))[number]


def replace(kind: type[exp.Expr], other: exp.Expr, number: int = 0) -> Callable[[exp.Expr], object]:
    return lambda tree: first(kind, number)(tree).replace(other)


def swap(tree: exp.Expr, one: exp.Expr, other: exp.Expr) -> None:
    placeholder = exp.Null()
    one.replace(placeholder)
    other.replace(one)
    placeholder.replace(other)


def swap_all(kind: type[exp.Expr], one: int = 0, other: int = 1) -> Callable[[exp.Expr], object]:
    def tamper(tree: exp.Expr) -> None:
        nodes = list(tree.find_all(kind))
        swap(tree, nodes[one], nodes[other])

    return tamper


def pop(kind: type[exp.Expr]) -> Callable[[exp.Expr], object]:
    return lambda tree: first(kind)(tree).pop()


def rename(kind: type[exp.Expr]) -> Callable[[exp.Expr], object]:
    return lambda tree: first(kind)(tree).this.set("this", "other")


MERGE = (
    "MERGE INTO t USING u ON t.a = u.a WHEN MATCHED AND t.b = 1 THEN UPDATE SET c = 2, d = 3"
    " WHEN NOT MATCHED THEN INSERT (a, b) VALUES (4, 5) RETURNING t.b"
)


def whens(tree: exp.Expr) -> list[exp.Expr]:
    return list(tree.args["whens"].expressions)


@pytest.mark.parametrize(
    ("what", "sql", "tamper"),
    [
        ("columns", "SELECT a, b FROM t", replace(exp.Column, exp.Null())),
        ("columns", "SELECT a FROM t WHERE b = 1", pop(exp.Where)),
        ("columns", "SELECT a FROM t", rename(exp.Column)),
        ("columns", "SELECT * FROM t", replace(exp.Star, exp.Null())),
        ("columns", "UPDATE t SET a = 1, b = 2", lambda t: t.expressions[0].pop()),
        ("columns", "INSERT INTO t (a, b) VALUES (1, 2)", lambda t: t.this.expressions[0].pop()),
        ("tables", "SELECT 1 FROM t, u", lambda t: t.args["joins"][0].pop()),
        ("tables", "SELECT 1 FROM t", rename(exp.Table)),
        ("tables", "SELECT 1 FROM s.t", lambda t: first(exp.Table)(t).set("db", None)),
        ("parameters", "SELECT $1, $2", replace(exp.Parameter, exp.Null())),
        ("constants", "SELECT 'a', 'b'", replace(exp.Literal, exp.Null())),
        ("constants", "SELECT 1 LIMIT 5", lambda t: t.args["limit"].pop()),
        ("aliases", "SELECT 1 FROM t AS x", lambda t: first(exp.Table)(t).set("alias", None)),
        ("aliases", "SELECT 1 FROM t x(a, b)", lambda t: first(exp.TableAlias)(t).set("columns", None)),
        ("aliases", "SELECT 1 FROM (SELECT 1) x", rename(exp.TableAlias)),
        ("aliases", "WITH x AS (SELECT 1) SELECT 1", rename(exp.TableAlias)),
        ("aliases", "SELECT 1 FROM t JOIN u USING (a)", lambda t: first(exp.Join)(t).set("using", [])),
        ("aliases", "INSERT INTO t VALUES (1) ON CONFLICT (a) DO NOTHING",
         lambda t: first(exp.OnConflict)(t).set("conflict_keys", [])),
        ("structure", "SELECT a, b FROM t", swap_all(exp.Column)),
        ("structure", "SELECT a AS x FROM t", lambda t: first(exp.Alias)(t).set("alias", None)),
        ("structure", "SELECT a FROM t WHERE b", lambda t: t.set("having", t.args["where"].pop())),
        ("structure", "SELECT a FROM t ORDER BY b", lambda t: t.set("group", t.args["order"].pop())),
        ("structure", "INSERT INTO t (a, b) VALUES (1, 2)", swap_all(exp.Literal)),
        ("structure", "INSERT INTO t (a, b) VALUES (1, 2)",
         lambda t: t.this.set("expressions", t.this.expressions[::-1])),
        ("structure", "INSERT INTO t VALUES (1), (2)", lambda t: first(exp.Values)(t).set(
            "expressions", [exp.Tuple(expressions=list(t.find_all(exp.Literal)))])),
        ("structure", "UPDATE t SET a = 1, b = 2", swap_all(exp.Literal)),
        ("structure", MERGE, lambda t: swap(t, t.this, t.args["using"])),
        ("structure", MERGE, lambda t: whens(t)[0].set("matched", False)),
        ("structure", MERGE, lambda t: whens(t)[1].set("source", True)),
        ("structure", MERGE, lambda t: swap(t, whens(t)[0], whens(t)[1])),
        ("structure", MERGE, lambda t: whens(t)[0].set("then", exp.Var(this="DO NOTHING"))),
        ("structure", MERGE, lambda t: swap(t, t.args["on"], whens(t)[0].args["condition"])),
        ("structure", MERGE, lambda t: swap(t, *whens(t)[0].args["then"].find_all(exp.Literal))),
        ("structure", MERGE, lambda t: swap(t, *whens(t)[1].args["then"].expression.expressions)),
        ("structure", MERGE, lambda t: swap(t, *whens(t)[1].args["then"].this.expressions)),
        ("columns", MERGE, lambda t: t.args["returning"].pop()),
        ("structure", "UPDATE t SET a = $1, b = $2", swap_all(exp.Parameter)),
        ("structure", "INSERT INTO t VALUES (1) ON CONFLICT (a) DO UPDATE SET b = 1, c = 2",
         swap_all(exp.Literal, 1, 2)),
        ("structure", "DELETE FROM t WHERE a RETURNING b", swap_all(exp.Column)),
        ("structure", "SELECT 1 FROM t JOIN u ON a JOIN v ON b", swap_all(exp.Column)),
        ("structure", "SELECT a FROM t UNION SELECT b FROM u", swap_all(exp.Column)),
        ("structure", "SELECT a FROM t EXCEPT SELECT b FROM u",
         lambda t: t.replace(exp.Union(this=t.this, expression=t.expression)) or t),
        ("structure", "SELECT a FROM t WHERE EXISTS (SELECT b FROM u WHERE c)", swap_all(exp.Column, 0, 1)),
        ("comparisons", "SELECT 1 WHERE a < b", lambda t: first(exp.LT)(t).replace(
            exp.EQ(this=first(exp.LT)(t).this, expression=first(exp.LT)(t).expression))),
        ("comparisons", "SELECT 1 WHERE a = b", lambda t: first(exp.EQ)(t).replace(
            exp.NEQ(this=first(exp.EQ)(t).this, expression=first(exp.EQ)(t).expression))),
        ("comparisons", "SELECT 1 WHERE a = ANY (b)", lambda t: first(exp.Any)(t).replace(
            first(exp.Any)(t).this)),
        ("comparisons", "SELECT 1 WHERE a = b + c", lambda t: t.args["where"].set("this", exp.Add(
            this=exp.EQ(this=first(exp.EQ)(t).this, expression=first(exp.Add)(t).this),
            expression=first(exp.Add)(t).expression))),
        ("comparisons", "SELECT 1 WHERE a = b AND c = d", swap_all(exp.Column, 1, 2)),
    ],
)  # fmt: skip
def test_differences(what: str, sql: str, tamper: Callable[[exp.Expr], object]) -> None:
    """A tree that lost, moved, renamed or rearranged anything is not confirmed."""
    (statement,) = statements(sql)
    assert statement.tree is not None
    crosscheck(sql, [statement])
    # Roots that are replaced come back through a parent.
    holder = exp.Paren(this=statement.tree)
    tamper(statement.tree)
    with pytest.raises(Disagreement) as caught:
        crosscheck(sql, [Statement(statement.tokens, holder.this)])
    assert caught.value.sqlstate == "0A000"
    assert what in caught.value.message or what == "structure"


@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE t SET c.field = 'x'",
        "UPDATE t SET t.email = 'x'",
        "UPDATE t SET c[1].field = 'x'",
        "SELECT normalize(a, nfd)",
    ],
)
def test_known_differences_are_refused(sql: str) -> None:
    """Where sqlglot sees a column that is none, the statement is refused rather than guessed at."""
    differs(sql)


def test_mutated_statements() -> None:
    """Statements with tokens lost, doubled and swapped end in one of the three declared errors, or
    are confirmed; nothing else is ever raised."""
    seed = random.randrange(1 << 32)
    generator = random.Random(seed)
    texts = [[token.text for token in tokenize(sql)] for _, sql in corpus()]
    words = [text for found in texts for text in found]
    for _ in range(3000):
        mutated = list(generator.choice(texts))
        for _ in range(generator.randint(1, 3)):
            place = generator.randrange(len(mutated) + 1)
            mutated[place : place + generator.randint(0, 2)] = generator.choices(
                words, k=generator.randint(0, 2)
            )
        sql = " ".join(mutated)
        try:
            confirmed(sql)
        except (UnreadableSql, UnparsedSql, Disagreement):
            continue
        except Exception as error:  # whatever else it is, it is a bug
            raise AssertionError((seed, sql)) from error


# Whole messages.


def test_boundaries() -> None:
    """PostgreSQL must cut the message into the same statements."""
    sql = "SELECT 1; SELECT 2"
    one, two = statements(sql)
    with pytest.raises(Disagreement):
        crosscheck(sql, [one])
    with pytest.raises(Disagreement):
        crosscheck(sql, [two, one])
    with pytest.raises(Disagreement):
        crosscheck(sql, [Statement([*one.tokens, *two.tokens], None), two])
    crosscheck(sql, [Statement(one.tokens, None), Statement(two.tokens, None)])


def test_boundaries_in_function_bodies() -> None:
    """`CASE` and `END` as bare labels move our end of a BEGIN ATOMIC body; then it is refused."""
    body = "CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT 1 {}; SELECT 2; END; SELECT email FROM users"
    confirmed(body.format("AS end"))
    with pytest.raises((Disagreement, UnparsedSql)):
        confirmed(body.format("end"))
    with pytest.raises(Disagreement):
        confirmed(body.format("case"))


def test_syntax_errors() -> None:
    """What PostgreSQL's grammar refuses is a syntax error with a place, and no text."""
    sql = "SELECT 'é', email FROM users WHERE WHERE 'canary'"
    with pytest.raises(Disagreement) as caught:
        raw_statements(sql)
    error = caught.value
    assert (error.sqlstate, error.message) == ("42601", "syntax error")
    assert error.offset == sql.index("WHERE 'canary'")
    assert error.__suppress_context__
    assert "canary" not in repr(error) + error.message + error.hint


def test_differences_hold_no_text() -> None:
    """Nothing of the statement is in the error."""
    error = differs("UPDATE canary SET canary.canary = 'canary'")
    assert "canary" not in repr(error) + error.message + error.hint
    assert error.__cause__ is None


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT " + "(" * 3000 + "1" + ")" * 3000,
        "SELECT " + "(" * 60000 + "1",
        "SELECT 1" + "::int" * 15000,
        "SELECT '\ud800'",
        "SELECT 1 WHERE a" + " AND a" * 20000,
    ],
)
def test_hostile_text(sql: str) -> None:
    """Text that libpg_query, its JSON or its walk cannot take is a Disagreement, or is read."""
    with contextlib.suppress(Disagreement):
        raw_statements(sql)


def test_deep_trees_are_walked_without_recursion() -> None:
    """A thousand ANDs are a thousand levels; both walks are loops."""
    confirmed("SELECT 1 FROM t WHERE a = 1" + " AND b = $1" * 900)
