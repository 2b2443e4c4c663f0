"""Random predicates on twin tables whose sealed columns declare every search that compares: the same rows, or a documented refusal.

A predicate is a result column as well as a condition, so that NULL is told from false. `PREDICATES_SEED=n` repeats a run,
`PREDICATES_SIZE=n` sets its length; the seed is printed.
"""

from __future__ import annotations

import datetime
import os
import random
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.conftest import Database
from tests.integration.shop import Shop

SEED = int(os.environ.get("PREDICATES_SEED", random.SystemRandom().randrange(10**6)))
SIZE = int(os.environ.get("PREDICATES_SIZE", "400"))

# In the plain twin texts have a collation that sorts as their bytes do, and whose lower() is Unicode's.
TABLES = """
CREATE TABLE {schema}.person (
    id int PRIMARY KEY, city text, email text {c}, nick text {c}, name text {c}, code varchar(12) {c},
    born date, at timestamp, seen timestamptz, small int2, height int4, big int8, score numeric, price numeric(8,2),
    ratio float8, single float4
);
CREATE TABLE {schema}.member (id int PRIMARY KEY, email text {c}, born date, height int4, name text {c}, room int);
"""
SEARCH = {
    "person.email": ("text", ["equality", "equality:casefold"], "mail"),
    "person.nick": ("text", ["equality:casefold"], None),
    "person.name": ("text", ["equality", "order:C:8"], "name"),
    "person.code": ("varchar(12)", ["order:C:12", "equality"], None),
    "person.born": ("date", ["order"], "born"),
    "person.at": ("timestamp", ["order"], None),
    "person.seen": ("timestamptz", ["equality", "order"], None),
    "person.small": ("int2", ["order"], None),
    "person.height": ("int4", ["equality", "order"], "height"),
    "person.big": ("int8", ["order"], None),
    "person.score": ("numeric", ["order"], None),
    "person.price": ("numeric(8,2)", ["equality", "order"], None),
    "person.ratio": ("float8", ["order"], None),
    "person.single": ("float4", ["order"], None),
    "member.email": ("text", ["equality", "equality:casefold"], "mail"),
    "member.born": ("date", ["order"], "born"),
    "member.height": ("int4", ["equality", "order"], "height"),
    "member.name": ("text", ["equality", "order:C:8"], "name"),
}
TYPES = {name.partition(".")[2]: kind.partition("(")[0] for name, (kind, _, _) in SEARCH.items()}
FOLDED_ONLY = "nick"
ORDERED = [name for name in TYPES if name not in ("email", "nick")]
SHARED = ("email", "born", "height", "name")

D, T, Z = datetime.date, datetime.datetime, datetime.UTC
POOLS: dict[str, tuple[Any, ...]] = {
    "text": ("ada@x.example", "Ada@X.example", "ADA", "ada", "", "b", "B", "zoë", "ZOË", "İ", "ß", "a ", "abcdefgh", "abcdefghi",
             "😀", "é", "e\u0301", "a%b", "\\", "'"),
    "varchar": ("in", "out", "in ", "", "ÿ", "In", "abcdefghijkl"),
    "date": (D(1985, 12, 10), D(1990, 1, 2), D(2020, 1, 1), "infinity", "-infinity", "0044-03-15 BC", "5874897-12-31"),
    "timestamp": (T(1985, 12, 10), T(2020, 1, 1, 12, 30, 0, 1), "infinity", "-infinity", "0001-01-01 BC"),
    "timestamptz": (T(1985, 12, 10, tzinfo=Z), T(2020, 1, 1, 12, 30, tzinfo=Z), "infinity", "2020-01-01 14:30+02"),
    "int2": (0, 1, -1, 36, -(2**15), 2**15 - 1),
    "int4": (0, 1, -1, 36, 180, -(2**31), 2**31 - 1),
    "int8": (0, 1, -1, 36, -(2**63), 2**63 - 1),
    "numeric": (Decimal(0), Decimal("1.0"), Decimal("1.00"), Decimal("-1.5"), Decimal("NaN"), Decimal("Infinity"),
                Decimal("-Infinity"), Decimal("1e20"), Decimal("-1e-20"), Decimal("0.00000001"), 36, 10**12),
    "float8": (0.0, -0.0, 1.5, float("nan"), float("inf"), float("-inf"), 1e-300, 5e-324, -36.0),
    "float4": (0.0, -0.0, 1.5, float("nan"), float("inf"), float("-inf"), 1e-30, -36.0),
}  # fmt: skip
PRICES = (Decimal("100.50"), Decimal(0), Decimal("-1.5"), Decimal("999999.99"), Decimal("NaN"), 36)
"""What fits the modifier; operands need not."""
# What else stands beside a column of a type: values of other types, which fall between two of the column's.
CASTS = {
    "int2": ("int4", "int8", "numeric"),
    "int4": ("int2", "int8", "numeric"),
    "int8": ("int4", "int2", "numeric"),
    "numeric": ("int4", "int8"),
    "float8": ("int4", "numeric", "float4"),
    "float4": ("float8", "int4"),
    "date": ("timestamp",),
    "timestamp": ("date",),
    "timestamptz": ("timestamp", "date"),
    "text": ("varchar",),
    "varchar": ("text",),
}

# What a refusal may say. Anything else is a defect.
DOCUMENTED = (
    "of its texts the first bytes alone are in order",
    "cannot be made on sealed values",
    "its search has no",
    "it can be compared with parameters, literals and itself",
    "values of several types side by side",
    "has a cast that Sealgate does not follow",
    "and cannot be used in USING",
    "that is ordered by its first",
    "would change it",
    "cannot be understood for certain",
)


@dataclass(frozen=True)
class Sql:
    """`%s` for each value; `plain`: as the other twin is asked, where that differs."""

    text: str
    values: tuple[Any, ...] = ()
    plain: str = ""

    def __post_init__(self) -> None:
        if not self.plain:
            object.__setattr__(self, "plain", self.text)

    def __add__(self, other: Sql | str) -> Sql:
        other = Sql(other) if isinstance(other, str) else other
        return Sql(self.text + other.text, self.values + other.values, self.plain + other.plain)

    def __radd__(self, other: str) -> Sql:
        return Sql(other) + self


def joined(parts: list[Sql], separator: str) -> Sql:
    result = parts[0]
    for part in parts[1:]:
        result = result + separator + part
    return result


@dataclass
class Predicates:
    """Draws predicates about the columns of the aliases `p` (person) and, where it is there, `m` (member)."""

    random: random.Random
    member: bool = False

    def one(self, *choices: Any) -> Any:
        return self.random.choice(choices)

    def column(self, names: list[str] | None = None) -> tuple[Sql, str]:
        name = self.random.choice(names or list(TYPES))
        alias = "m" if self.member and name in SHARED and self.one(0, 1) else "p"
        plain = f"lower({alias}.{name})" if name == FOLDED_ONLY else f"{alias}.{name}"
        return Sql(f"{alias}.{name}", (), plain), name

    def value(self, name: str) -> Sql:
        """An operand beside a column: of its type mostly, with a cast sometimes, NULL now and then."""
        kind = TYPES[name]
        value = Sql("%s", (self.random.choice(POOLS[kind]),))
        how = self.random.randrange(10)
        if how == 0:
            return Sql("NULL")
        if how < 3:
            value = self.cast(value, kind)
        elif how == 3:
            other = self.random.choice(CASTS[kind])
            value = self.cast(Sql("%s", (self.random.choice(POOLS[other]),)), other)
        if name == FOLDED_ONLY:
            return Sql(value.text, value.values, f"lower({value.plain})")
        return value

    def cast(self, value: Sql, kind: str) -> Sql:
        # Without the brackets -1::int2 is -(1::int2), and the least integer is none.
        return self.one("(" + value + f")::{kind}", "CAST(" + value + f" AS {kind})")  # type: ignore[no-any-return]

    def predicate(self, depth: int = 2) -> Sql:
        if depth and self.one(0, 0, 1):
            how = self.one(" AND ", " OR ")
            return "(" + self.predicate(depth - 1) + how + self.predicate(depth - 1) + ")"
        if depth and self.one(0, 0, 0, 1):
            return self.one(
                lambda: "NOT (" + self.predicate(depth - 1) + ")",
                lambda: "((" + self.predicate(depth - 1) + ") IS NOT TRUE)",
                lambda: "CASE WHEN " + self.predicate(0) + " THEN " + self.predicate(0) + " END",
            )()  # type: ignore[no-any-return]
        kinds = [
            self.equal, self.equal, self.less, self.less, self.between, self.listed, self.any,
            self.rows, self.row_list, self.queried, self.lowered, self.computed, self.tested,
        ]  # fmt: skip
        return self.random.choice(kinds)()

    def either_way(self, column: Sql, operator: str, value: Sql) -> Sql:
        return self.one(
            column + operator + value, column + operator + value, value + operator + column
        )  # type: ignore[no-any-return]

    def equal(self) -> Sql:
        column, name = self.column()
        operator = self.one(" = ", " = ", " <> ", " IS DISTINCT FROM ", " IS NOT DISTINCT FROM ")
        return self.either_way(column, operator, self.beside(name))

    def beside(self, name: str) -> Sql:
        """A value, or the same column of another row or table."""
        if self.one(0, 0, 0, 1):
            other, _ = self.column([name])
            return other
        return self.value(name)

    def less(self) -> Sql:
        column, name = self.column(ORDERED)
        operator = self.one(" < ", " <= ", " > ", " >= ")
        return self.either_way(column, operator, self.beside(name))

    def between(self) -> Sql:
        column, name = self.column(ORDERED)
        parts = [column, self.beside(name), self.value(name)]
        if self.one(0, 0, 0, 1):
            # Two values without a type, side by side, would be texts to the server.
            value = Sql("%s", (self.random.choice(POOLS[TYPES[name]]),))
            parts = [column, self.cast(value, TYPES[name]), self.beside(name)]
            self.random.shuffle(parts)
        how = self.one(" BETWEEN ", " NOT BETWEEN ", " BETWEEN SYMMETRIC ")
        return parts[0] + how + parts[1] + " AND " + parts[2]

    def listed(self) -> Sql:
        column, name = self.column()
        items = [self.beside(name) for _ in range(self.one(1, 2, 3))]
        return column + self.one(" IN (", " NOT IN (") + joined(items, ", ") + ")"

    def any(self) -> Sql:
        names = [name for name in TYPES if name != FOLDED_ONLY]
        column, name = self.column(names)
        operators = ["= ANY", "<> ALL", "<> ANY", "= ALL"]
        if name in ORDERED:
            operators += ["< ANY", ">= ALL", "> ANY", "<= ALL"]
        kind = TYPES[name]
        raw = [self.random.choice([*POOLS[kind], None]) for _ in range(self.one(0, 1, 3))]
        if self.one(0, 1):
            texts = [None if item is None else str(item) for item in raw]
            return (
                column
                + f" {self.random.choice(operators)} ("
                + Sql(f"%s::{kind}[]", (texts,))
                + ")"
            )
        items = [Sql("NULL") if item is None else Sql("%s", (item,)) for item in raw or [None]]
        array = "ARRAY[" + joined(items, ", ") + f"]::{kind}[]"
        return column + f" {self.random.choice(operators)} (" + array + ")"

    def rows(self) -> Sql:
        """Rows of sealed and plain fields: keyset pagination and its relatives."""
        operator = self.one(" = ", " <> ", " < ", " <= ", " > ", " >= ")
        names = (
            ORDERED if operator not in (" = ", " <> ") else [n for n in TYPES if n != FOLDED_ONLY]
        )
        fields, values = [], []
        for _ in range(self.one(1, 2, 2, 3)):
            if self.one(0, 0, 1):
                fields.append(Sql("p.id"))
                values.append(Sql("%s", (self.one(1, 5, 9),)))
            else:
                column, name = self.column(names)
                fields.append(column)
                values.append(self.beside(name))
        row = self.one("(", "ROW(") if len(fields) > 1 else "ROW("
        left, right = (row + joined(parts, ", ") + ")" for parts in (fields, values))
        if operator in (" < ", " >= ") and self.one(0, 0, 1):
            return left + " BETWEEN " + right + " AND " + left
        return left + operator + right

    def row_list(self) -> Sql:
        (one, first), (two, second) = self.column(), self.column()
        rows = ["(" + self.value(first) + ", " + self.value(second) + ")" for _ in range(2)]
        return (
            "(" + one + ", " + two + ")" + self.one(" IN (", " NOT IN (") + joined(rows, ", ") + ")"
        )

    def queried(self) -> Sql:
        """Values that a subquery gives, of the same column or of one of its group."""
        name = self.one(*SHARED)
        column, _ = self.column([name])
        table = self.one("person", "member")
        inner = f"SELECT q.{name} FROM {table} q WHERE q.id {self.one('<', '>', '=')} {self.one(3, 7, 99)}"
        if self.one(0, 0, 1):
            where = self.one(f"q.{name} = ", f"q.{name} <> ") + column
            return f"EXISTS (SELECT 1 FROM {table} q WHERE " + where + " AND q.id < 8)"
        operators = [" IN (", " NOT IN (", " = ANY (", " <> ALL ("]
        if name in ORDERED and name != "name":
            operators += [" < ANY (", " >= ALL (", " > ALL ("]
        if self.one(0, 0, 0, 1):
            kind = TYPES[name]
            first = self.cast(Sql("%s", (self.random.choice(POOLS[kind]),)), kind)
            other = Sql("%s", (self.random.choice(POOLS[kind]),))
            return (
                column + self.one(" IN (", " NOT IN (") + "VALUES (" + first + "), (" + other + "))"
            )
        if self.one(0, 0, 1):
            return column + self.one(" = (", " <> (") + inner + " ORDER BY q.id LIMIT 1)"
        return column + self.random.choice(operators) + inner + ")"

    def lowered(self) -> Sql:
        column, _ = self.column(["email"])
        value = Sql("%s", (self.random.choice(POOLS["text"]),))
        plain = value.plain + '::text COLLATE "pg_c_utf8"'
        folded = Sql(f"lower({value.text})", value.values, f"lower({plain})")
        operator = self.one(" = ", " <> ", " IS DISTINCT FROM ")
        left = "lower(" + column + ")"
        if self.one(0, 0, 1):
            return left + " IN (" + folded + ", " + value + ")"
        if self.one(0, 0, 1):
            other, _ = self.column(["email"])
            return left + operator + "lower(" + other + ")"
        return self.either_way(left, operator, self.one(folded, folded, value))

    def computed(self) -> Sql:
        """CASE, COALESCE and subqueries beside a value, a column or one another."""
        name = self.one("email", "born", "height", "score", "price", "seen", "ratio", "code")
        kind = TYPES[name]

        def value() -> Sql:
            return self.cast(Sql("%s", (self.random.choice(POOLS[kind]),)), kind)

        def operand() -> Sql:
            column, _ = self.column([name])
            return self.one(  # type: ignore[no-any-return]
                lambda: "coalesce(" + column + ", " + value() + ")",
                lambda: "CASE WHEN " + self.predicate(0) + " THEN " + column + " END",
                lambda: "CASE p.id WHEN 3 THEN " + value() + " ELSE " + column + " END",
                lambda: Sql(f"(SELECT q.{name} FROM person q WHERE q.id = {self.one(2, 5, 99)})"),
            )()

        other = self.one(lambda: self.column([name])[0], value, value, operand)
        ordered = name in ORDERED
        operators = [" = ", " <> ", " IS DISTINCT FROM ", *([" < ", " >= "] if ordered else [])]
        if ordered and self.one(0, 0, 1):
            return operand() + " BETWEEN " + other() + " AND " + value()
        return self.either_way(operand(), self.random.choice(operators), other())

    def tested(self) -> Sql:
        column, _ = self.column()
        return Sql(column.text + self.one(" IS NULL", " IS NOT NULL"))

    def statement(self) -> Sql:
        """One SELECT whose order is certain."""
        kind = self.one(
            "table", "table", "join", "left", "using", "natural", "filter", "page", "grouped"
        )
        self.member = kind in ("join", "left")
        if kind == "using":
            name = self.one(*SHARED)
            side = self.one("JOIN", "LEFT JOIN", "RIGHT JOIN", "INNER JOIN")
            star = self.one("*", f"{name}, room, p.id", f"{name}, p.id IS NULL")
            text = f"SELECT {star} FROM person p {side} member m USING ({name}) WHERE "
            return text + self.predicate(1) + " ORDER BY m.id, p.id"
        if kind == "natural":
            how = self.one("NATURAL JOIN", "NATURAL LEFT JOIN")
            text = f"SELECT {self.one('*', 'id, email', 'p.*, room')} FROM person p {how} member WHERE "
            return text + self.predicate(1) + " ORDER BY p.id"
        if kind == "grouped":
            name = self.one("born", "height", "score", "seen", "ratio")
            having = f" HAVING {self.one('min', 'max')}(p.{name}) {self.one('<', '>=')} "
            text = "SELECT mod(p.id, 4), count(*) FROM person p WHERE " + self.predicate(1)
            return text + " GROUP BY 1" + having + self.value(name) + " ORDER BY 1"
        if kind == "filter":
            return "SELECT count(*) FILTER (WHERE " + self.predicate(1) + ") FROM person p"
        if kind == "page":
            name = self.one("born", "height", "score", "ratio", "seen", "small")
            row = f"(p.{name}, p.id) {self.one('>', '<=')} (" + self.value(name) + ", %s)"
            return (
                "SELECT p.id FROM person p WHERE "
                + (row + Sql("", (self.one(1, 8),)))
                + " ORDER BY p.id LIMIT 5"
            )
        shown = self.predicate(1)
        where = self.predicate()
        source, order = "person p", "p.id"
        if self.member:
            how = {"join": "JOIN", "left": "LEFT JOIN"}[kind]
            on = self.one(
                "m.email = p.email", "m.born < p.born", "m.height = p.height", "m.id = p.id"
            )
            source, order = f"person p {how} member m ON {on}", "p.id, m.id"
        return (
            f"SELECT {order}, (" + shown + f") FROM {source} WHERE " + where + f" ORDER BY {order}"
        )


def rows_of(generator: random.Random) -> Iterator[tuple[str, list[Any]]]:
    """INSERT statements that give both twins the same rows: the values of the pools, and NULLs."""

    def value(name: str) -> Any:
        pool = PRICES if name == "price" else POOLS[TYPES[name]]
        return None if generator.random() < 0.15 else generator.choice(pool)

    person = [name.partition(".")[2] for name in SEARCH if name.startswith("person.")]
    for table, plain, names, rows in (
        ("person", "city", person, 30),
        ("member", "room", list(SHARED), 12),
    ):
        marks = ", ".join("%s" for _ in names)
        for number in range(1, rows + 1):
            text = f"INSERT INTO {table} (id, {plain}, {', '.join(names)}) VALUES ({number}, {number}, {marks})"
            yield text, [value(name) for name in names]


@dataclass
class Twins:
    """Two connections that see the same names: the plain tables directly, the sealed ones through the proxy."""

    plain: psycopg.Connection[Any]
    sealed: psycopg.Connection[Any]
    binary: bool
    seen: Counter[str] = field(default_factory=Counter)


def new_shop(database: Database, directory: Path, seed: int) -> Shop:
    """The twin tables with the same random rows, behind a proxy."""
    declared = "".join(
        f'[columns."public.{name}"]\ntype = "{kind}"\nsearch = {search}\n'.replace("'", '"')
        + (f'search_group = "{group}"\n' if group else "")
        for name, (kind, search, group) in SEARCH.items()
    )
    roles = '[roles.shop_app]\nclear = ["*"]\nwrite = ["*"]\n'
    database.psql(
        TABLES.format(schema="public", c="")
        + "CREATE SCHEMA plain;"
        + TABLES.format(schema="plain", c='COLLATE "pg_c_utf8"')
        + "GRANT ALL ON SCHEMA plain TO PUBLIC; GRANT ALL ON ALL TABLES IN SCHEMA public, plain TO PUBLIC"
    )
    shop = Shop(database, directory, columns=declared + roles)
    shop.prepare()
    shop.serve()
    with shop.direct() as plain, shop.connect() as sealed:
        plain.execute("SET search_path = plain")
        for connection in (plain, sealed):
            connection.execute("SET timezone = 'UTC'")
        for text, values in rows_of(random.Random(seed)):
            for connection in (plain, sealed):
                connection.execute(text.encode(), values)
    return shop


@pytest.fixture(scope="module")
def shop(
    make_database: Callable[[], Database], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Shop]:
    database = make_database()
    shop = new_shop(database, tmp_path_factory.mktemp("predicates"), SEED)
    yield shop
    shop.stop()
    database.postgres.drop_database(database.name)


@pytest.fixture(params=["extended", "simple", "binary"])
def twins(shop: Shop, request: pytest.FixtureRequest) -> Iterator[Twins]:
    with shop.twins(request.param) as (plain, sealed):
        yield Twins(plain, sealed, request.param == "binary")


def answer(
    connection: psycopg.Connection[Any], text: str, values: tuple[Any, ...], *, binary: bool
) -> Any:
    """Columns with their types, and rows as they are on the wire; or the error."""
    try:
        cursor = connection.cursor(binary=binary)
        cursor.execute(text.encode(), values or None)
        result = cursor.pgresult
        assert result is not None
        across = range(result.nfields)
        columns = [(result.fname(i), result.ftype(i), result.fmod(i)) for i in across]
        down = range(result.ntuples)
        return columns, [tuple(result.get_value(row, i) for i in across) for row in down]
    except psycopg.Error as error:
        return error


def check(twins: Twins, sql: Sql) -> None:
    sealed = answer(twins.sealed, sql.text, sql.values, binary=twins.binary)
    if isinstance(sealed, psycopg.Error) and sealed.diag.sqlstate == "0A000":
        message = sealed.diag.message_primary or ""
        reason = next((reason for reason in DOCUMENTED if reason in message), None)
        assert reason is not None, f"refused for no documented reason: {message}\n{sql}"
        twins.seen[reason] += 1
        return
    plain = answer(twins.plain, sql.plain, sql.values, binary=twins.binary)
    if isinstance(plain, psycopg.Error) or isinstance(sealed, psycopg.Error):
        assert isinstance(plain, psycopg.Error), f"only sealed fails: {sealed}\n{sql}"
        assert isinstance(sealed, psycopg.Error), f"only plain fails: {plain}\n{sql}"
        assert plain.diag.sqlstate == sealed.diag.sqlstate, f"{plain} / {sealed}\n{sql}"
        twins.seen["failed alike"] += 1
        return
    assert plain == sealed, sql
    twins.seen["equal"] += 1
    twins.seen["rows"] += len(plain[1])


def run(twins: Twins, size: int) -> None:
    generator = random.Random(SEED + 1)
    try:
        for _ in range(size):
            check(twins, Predicates(generator).statement())
    finally:
        print(f"PREDICATES_SEED={SEED} size={size}", dict(twins.seen))
    assert twins.seen["equal"] > size * 0.5
    assert twins.seen["rows"] > size


def test_random_predicates(twins: Twins) -> None:
    """The same columns, types, rows in the same order and SQLSTATEs, or a documented refusal."""
    run(twins, SIZE)


@pytest.mark.long
def test_many_random_predicates(twins: Twins) -> None:
    """The same, for minutes."""
    run(twins, SIZE * 20)
