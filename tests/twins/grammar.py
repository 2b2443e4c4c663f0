"""Random statements over twin tables: a grammar that hypothesis draws from, and so shrinks.

A statement is text with `%s` for each value, and the values. It is valid SQL for the plain tables; most of it is what
Sealgate protects, some is what it refuses. Names are the same in both schemas, rows are few and values come from small
pools, so that comparisons find something.
"""

from __future__ import annotations

import datetime
import decimal
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st

TABLES = """
CREATE TABLE account (
    id int PRIMARY KEY,
    name text,
    email text,
    ssn text,
    born date,
    age int,
    balance numeric(12,2),
    active boolean,
    seen timestamptz
);
CREATE TABLE visit (id int PRIMARY KEY, account int, place text, contact text, at date);
INSERT INTO account VALUES
    (1, 'ada', 'ada@x.example', '111', '1985-12-10', 36, 100.50, true, '2020-01-02 03:04:05+00'),
    (2, 'bob', 'bob@x.example', '222', '1990-01-02', 30, -3.00, false, NULL),
    (3, 'cyd', NULL, NULL, NULL, NULL, NULL, NULL, NULL),
    (4, 'ada', 'dee@x.example', '111', '1985-12-10', 36, 0.00, true, '2021-01-02 03:04:05+00'),
    (5, NULL, '', '', '0001-01-01 BC', -1, 1e9, false, 'infinity');
INSERT INTO visit VALUES
    (1, 1, 'oslo', 'ada@x.example', '2020-01-01'), (2, 1, 'rome', NULL, '2020-01-02'), (3, 2, 'oslo', 'x', NULL),
    (4, 9, NULL, 'bob@x.example', '1990-01-02');
CREATE TABLE event (id int PRIMARY KEY, email text, at date, kind varchar(4)) PARTITION BY RANGE (id);
CREATE TABLE event_low PARTITION OF event FOR VALUES FROM (0) TO (100);
CREATE TABLE event_high PARTITION OF event FOR VALUES FROM (100) TO (1000);
INSERT INTO event VALUES (1, 'ada@x.example', '1985-12-10', 'in'), (2, NULL, NULL, 'out'), (101, 'bob@x.example', '1990-01-02', NULL);
"""
VIEW = "CREATE VIEW {0}.seen AS SELECT id, name, email, born AS day FROM {0}.account; GRANT ALL ON {0}.seen TO PUBLIC;"
"""After the columns are sealed: apply does not change what a view reads."""
SEALED = {
    "account.email": ("text", True),
    "account.ssn": ("text", False),
    "account.born": ("date", True),
    "account.age": ("int4", True),
    "account.balance": ("numeric(12,2)", False),
    "account.active": ("bool", True),
    "account.seen": ("timestamptz", False),
    "visit.contact": ("text", True),
    "event.email": ("text", True),
    "event.kind": ("varchar(4)", True),
}
COLUMNS = {
    "account": {
        "id": "int", "name": "text", "email": "text", "ssn": "text", "born": "date", "age": "int",
        "balance": "numeric", "active": "boolean", "seen": "timestamptz",
    },
    "visit": {"id": "int", "account": "int", "place": "text", "contact": "text", "at": "date"},
    "event": {"id": "int", "email": "text", "at": "date", "kind": "varchar"},
}  # fmt: skip
POOLS: dict[str, tuple[Any, ...]] = {
    "int": (0, 1, 2, 3, 30, 36, -1),
    "text": ("ada@x.example", "bob@x.example", "", "111", "ada", "oslo", "ÿ 'quoted' \\ €", "x" * 300),
    "varchar": ("in", "out", "in  ", "", "x     "),
    "date": (datetime.date(1985, 12, 10), datetime.date(1990, 1, 2), datetime.date(2020, 1, 1)),
    "numeric": (decimal.Decimal("100.50"), decimal.Decimal("0"), decimal.Decimal("-3"), decimal.Decimal("7.125")),
    "boolean": (True, False),
    "timestamptz": (datetime.datetime(2020, 1, 2, 3, 4, 5, tzinfo=datetime.UTC),),
}  # fmt: skip


@dataclass(frozen=True)
class Sql:
    """Text with `%s` for each value."""

    text: str
    values: tuple[Any, ...] = ()
    literal: bool = False
    """The values are written into the text in every mode: a utility command takes no parameters."""

    def __add__(self, other: Sql | str) -> Sql:
        if isinstance(other, str):
            return Sql(self.text + other, self.values)
        return Sql(self.text + other.text, self.values + other.values)

    def __radd__(self, other: str) -> Sql:
        return Sql(other + self.text, self.values)


def joined(parts: list[Sql], separator: str) -> Sql:
    result = parts[0]
    for part in parts[1:]:
        result = result + separator + part
    return result


Draw = Callable[[st.SearchStrategy[Any]], Any]


@dataclass
class Grammar:
    """One statement's choices. `sources`: alias -> table, of the query at hand."""

    draw: Draw

    def one(self, *choices: Any) -> Any:
        return self.draw(st.sampled_from(choices))

    def some(self, choices: list[Any], most: int) -> list[Any]:
        return list(
            self.draw(st.lists(st.sampled_from(choices), min_size=1, max_size=most, unique=True))
        )

    def maybe(self) -> bool:
        return bool(self.draw(st.booleans()))

    # Values and columns.

    def value(self, kind: str) -> Sql:
        value = Sql("%s", (self.one(*POOLS[kind]),))
        return self.one(value, value, value, Sql("NULL"), value + f"::{kind}")

    def column(self, sources: dict[str, str]) -> tuple[str, str]:
        """A qualified column and its type."""
        alias = self.one(*sources)
        name = self.one(*COLUMNS[sources[alias]])
        return f"{alias}.{name}", COLUMNS[sources[alias]][name]

    def plain(self, sources: dict[str, str]) -> tuple[str, str]:
        alias = self.one(*sources)
        names = [n for n in COLUMNS[sources[alias]] if f"{sources[alias]}.{n}" not in SEALED]
        name = self.one(*names)
        return f"{alias}.{name}", COLUMNS[sources[alias]][name]

    # Conditions.

    def condition(self, sources: dict[str, str], depth: int = 2) -> Sql:
        if depth and self.one(0, 0, 1):
            left, right = self.condition(sources, depth - 1), self.condition(sources, depth - 1)
            return "(" + left + self.one(" AND ", " OR ") + right + ")"
        if depth and self.one(0, 0, 0, 1):
            return "NOT (" + self.condition(sources, depth - 1) + ")"
        return self.one(
            self._compared, self._compared, self._listed, self._tested, self._rows, self._queried
        )(sources)

    def _compared(self, sources: dict[str, str]) -> Sql:
        column, kind = self.column(sources)
        operator = self.one(" = ", " = ", " <> ", " IS DISTINCT FROM ", " IS NOT DISTINCT FROM ")
        if self.one(0, 0, 0, 1):
            operator = self.one(" < ", " >= ")
        if self.one(0, 0, 0, 0, 1):
            return column + operator + Sql(self.column(sources)[0])
        value = self.value(kind)
        return self.one(column + operator + value, value + operator + column)

    def _listed(self, sources: dict[str, str]) -> Sql:
        column, kind = self.column(sources)
        items = [self.value(kind) for _ in range(self.one(1, 2, 3))]
        if self.maybe():
            return Sql(column + self.one(" IN (", " NOT IN (")) + joined(items, ", ") + ")"
        how = self.one(" = ANY (ARRAY[", " <> ALL (ARRAY[")
        return Sql(column + how) + joined(items, ", ") + f"]::{kind}[])"

    def _tested(self, sources: dict[str, str]) -> Sql:
        return Sql(self.column(sources)[0] + self.one(" IS NULL", " IS NOT NULL"))

    def _rows(self, sources: dict[str, str]) -> Sql:
        one, first = self.column(sources)
        two, second = self.column(sources)
        if self.maybe():
            return f"({one}, {two}) = (" + self.value(first) + ", " + self.value(second) + ")"
        rows = ["(" + self.value(first) + ", " + self.value(second) + ")" for _ in range(2)]
        return f"({one}, {two}) IN (" + joined(rows, ", ") + ")"

    def _queried(self, sources: dict[str, str]) -> Sql:
        column, _ = self.column(sources)
        inner, _ = self.column({"q": self.one(*COLUMNS)})
        table = self.one(*COLUMNS)
        if self.maybe():
            other, kind = self.column({"q": table})
            where = other + " = " + self.value(kind)
            return f"EXISTS (SELECT 1 FROM {table} q WHERE {other} = {column} AND " + where + ")"
        del inner
        chosen, kind = self.column({"q": table})
        return f"{column} IN (SELECT {chosen} FROM {table} q WHERE q.id < 4)" + Sql("")

    # Queries.

    def targets(self, sources: dict[str, str]) -> Sql:
        if self.one(0, 0, 1):
            return Sql(self.one("*", f"{next(iter(sources))}.*"))
        targets = [self.target(sources) for _ in range(self.one(1, 2, 3))]
        if self.one(0, 0, 0, 1):
            column, _ = self.column(sources)
            order = ", ".join(f"{alias}.id" for alias in sources)
            how = self.one("lag", "first_value", "count", "last_value")
            targets.append(Sql(f"{how}({column}) OVER (ORDER BY {order})"))
        return joined(targets, ", ")

    def target(self, sources: dict[str, str]) -> Sql:
        column, kind = self.column(sources)
        return self.one(
            lambda: Sql(column),
            lambda: Sql(column),
            lambda: Sql(f"{column} AS renamed"),
            lambda: "coalesce(" + (Sql(column) + ", " + self.value(kind)) + ")",
            lambda: "CASE WHEN " + self.condition(sources, 0) + f" THEN {column} END",
            lambda: Sql(f"{column}::{kind}"),
            lambda: Sql(f"(SELECT {column} LIMIT 1)"),
            lambda: "(" + self.condition(sources, 0) + ")",
            lambda: Sql(f"{column} IS NULL"),
            lambda: Sql(f"lower({column}::text)"),
            lambda: self.value(kind) + f"::{kind}",
            lambda: self.nested(sources, column, kind, 2),
        )()

    def nested(self, sources: dict[str, str], column: str, kind: str, depth: int) -> Sql:
        """CASE, NULLIF and COALESCE inside one another, around one column and values of its type."""
        if not depth:
            return self.one(Sql(column), self.value(kind))
        inner = [self.nested(sources, column, kind, depth - 1) for _ in range(2)]
        return self.one(
            lambda: "coalesce(" + inner[0] + ", " + inner[1] + ")",
            lambda: "nullif(" + inner[0] + ", " + self.value(kind) + ")",
            lambda: (
                "CASE WHEN "
                + self.condition(sources, 0)
                + " THEN "
                + inner[0]
                + " ELSE "
                + inner[1]
                + " END"
            ),
            lambda: f"CASE {column} WHEN " + self.value(kind) + " THEN " + inner[0] + " END",
        )()

    def source(self) -> tuple[Sql, dict[str, str]]:
        """A FROM clause's content and its aliases."""
        kind = self.one("one", "one", "join", "left", "comma", "derived", "lateral", "cte")
        if kind == "one":
            table = self.one(*COLUMNS)
            if table == "event" and self.maybe():
                return Sql(self.one("event_low AS a", "event_high AS a")), {"a": table}
            return Sql(f"{table} AS a"), {"a": table}
        if kind in ("join", "left"):
            on = self.one(Sql("b.account = a.id"), Sql("b.contact = a.email"), Sql("b.at = a.born"))
            how = {"join": "JOIN", "left": "LEFT JOIN"}[kind]
            return Sql(f"account AS a {how} visit AS b ON ") + on, {"a": "account", "b": "visit"}
        if kind == "comma":
            return Sql("account AS a, visit AS b"), {"a": "account", "b": "visit"}
        table = self.one(*COLUMNS)
        if kind == "lateral":
            where = self.one("b.account = a.id", "b.contact = a.email")
            lateral = f"account AS a, LATERAL (SELECT * FROM visit b WHERE {where}) AS b"
            return Sql(lateral), {"a": "account", "b": "visit"}
        where = self.condition({"i": table}, 1)
        return f"(SELECT i.* FROM {table} AS i WHERE " + where + ") AS a", {"a": table}

    def select(self) -> tuple[Sql, bool]:
        """A query, and whether its order is certain."""
        source, sources = self.source()
        query = "SELECT " + self.targets(sources) + " FROM " + source
        if self.maybe():
            query = query + " WHERE " + self.condition(sources)
        shape = self.one("plain", "plain", "ordered", "union", "grouped")
        if shape == "ordered":
            keys = ", ".join(f"{alias}.id" for alias in sources)
            query = query + f" ORDER BY {keys}"
            query = query + self.one("", " LIMIT 2", " LIMIT 2 OFFSET 1")
            return query, len(sources) == 1
        if shape == "union":
            one, two = (self.select_one_column(self.one(*COLUMNS)) for _ in range(2))
            return one + self.one(" UNION ALL ", " UNION ") + two, False
        if shape == "grouped":
            key, _ = self.plain(sources)
            counted, _ = self.column(sources)
            grouped = f"SELECT {key}, count({counted}) FROM " + source
            if self.maybe():
                grouped = grouped + " WHERE " + self.condition(sources, 1)
            by = self.one(key, f"ROLLUP ({key})", f"GROUPING SETS (({key}), ())")
            return grouped + f" GROUP BY {by}", False
        return query, False

    # Lists of values, chains of WITH, DISTINCT ON, views.

    def listed_join(self) -> tuple[Sql, bool]:
        """A table and a list of values: VALUES, a query's own list, or unnest."""
        table = self.one(*COLUMNS)
        name = self.one(*[n for n in COLUMNS[table] if n != "id"])
        kind = COLUMNS[table][name]
        items = [self.value(kind) for _ in range(self.one(1, 2, 3))]
        rows = [
            f"({n}, " + item + (f"::{kind})" if n == 0 else ")") for n, item in enumerate(items)
        ]
        values = "(VALUES " + joined(rows, ", ") + ")"
        raw = [self.one(*POOLS[kind], None) for _ in items]
        source = self.one(
            values + " AS l (k, v)",
            "(SELECT w.k, w.v FROM " + values + " AS w (k, v) WHERE w.k < 2) AS l",
            Sql(f"unnest(%s::{kind}[]) WITH ORDINALITY AS l (v, k)", (raw,)),
            "(SELECT "
            + items[0]
            + f"::{kind} AS v, 1 AS k UNION ALL SELECT "
            + items[-1]
            + ", 2) AS l",
        )
        on = self.one(f"a.{name} = l.v", f"l.v = a.{name}", f"a.{name} IS NOT DISTINCT FROM l.v")
        how = self.one("JOIN", "JOIN", "LEFT JOIN")
        shown = self.one("a.id, l.k", "a.id, l.k", f"a.id, l.k, a.{name}", "l.v, a.id", "l.*, a.id")
        query = f"SELECT {shown} FROM {table} AS a {how} " + source + f" ON {on}"
        if self.one(0, 0, 1):
            query = query + " WHERE " + self.condition({"a": table}, 1)
        return query, False

    def chained(self) -> tuple[Sql, bool]:
        """WITH queries that build on one another, with names that shadow tables and columns."""
        table = self.one(*COLUMNS)
        name = self.one(*COLUMNS[table])
        kind = COLUMNS[table][name]
        first = f"SELECT i.* FROM {table} AS i WHERE " + self.condition({"i": table}, 1)
        one = self.one("one", "visit" if table != "visit" else "account")
        column = self.one("v", "name", "email")
        last = self.one(
            Sql(f"SELECT two.k, two.{column} FROM two"),
            f"SELECT k FROM two WHERE {column} = " + self.value(kind),
            Sql(f"SELECT two.k, o.id FROM two JOIN {one} AS o ON o.{name} = two.{column}"),
            Sql(f"SELECT count({column}), count(*) FROM two"),
            f"SELECT k FROM two WHERE {column} IN (SELECT {name} FROM {one}) AND k < "
            + Sql("%s", (3,)),
        )
        return (
            f"WITH {one} AS ("
            + first
            + f"), two (k, {column}) AS (SELECT id, {name} FROM {one}) "
            + last
        ), False

    def distinct_on(self) -> tuple[Sql, bool]:
        table = self.one(*COLUMNS)
        key, _ = self.plain({"a": table})
        targets = [Sql(key), self.target({"a": table})]
        return (
            f"SELECT DISTINCT ON ({key}) "
            + joined(targets, ", ")
            + f" FROM {table} AS a WHERE "
            + self.condition({"a": table}, 1)
            + f" ORDER BY {key}, a.id"
        ), True

    def viewed(self) -> tuple[Sql, bool]:
        shown = self.one(
            "*", "email", "id, day", "s.email AS e, s.name", "count(*)", "count(email)"
        )
        where = self.one(
            Sql("s.id < 4"),
            "s.name = " + self.value("text"),
            Sql("s.email IS NULL"),
            Sql("NOT s.day IS NULL"),
        )
        return f"SELECT {shown} FROM seen AS s WHERE " + where, False

    def query(self) -> tuple[Sql, bool]:
        return self.one(
            *(self.select,) * 5,
            self.listed_join,
            self.listed_join,
            self.chained,
            self.distinct_on,
            self.viewed,
        )()

    # What runs a query in several statements, or in another.

    def cursor(self) -> tuple[Sql, ...]:
        query, ordered = self.query()
        scroll, fetch = ("", "FETCH ALL FROM c")
        if ordered:
            scroll, fetch = self.one(
                ("", "FETCH 2 FROM c"),
                ("SCROLL ", "FETCH ABSOLUTE 2 FROM c"),
                ("SCROLL ", "FETCH LAST FROM c"),
            )
        declare = f"DECLARE c {scroll}CURSOR FOR " + query
        return (
            Sql(declare.text, declare.values, literal=True), Sql(fetch), Sql("FETCH FROM c"), Sql("CLOSE c")
        )  # fmt: skip

    def prepared(self) -> tuple[Sql, ...]:
        query = self.one(
            lambda: self.query()[0], lambda: self.query()[0], self.insert, self.update, self.delete
        )()
        parts = query.text.split("%s")
        text = parts[0] + "".join(f"${n}{part}" for n, part in enumerate(parts[1:], 1))
        arguments = f"({', '.join(['%s'] * len(query.values))})" if query.values else ""
        return (
            Sql(f"PREPARE p AS {text}"),
            Sql(f"EXECUTE p {arguments}", query.values, literal=True),
        )

    def copied(self) -> tuple[Sql, ...]:
        query, _ = self.query()
        copy = (
            "COPY ("
            + query
            + ") TO STDOUT"
            + self.one("", " (FORMAT csv)", " (FORMAT csv, HEADER)")
        )
        return (Sql(copy.text, copy.values, literal=True),)

    def select_one_column(self, table: str) -> Sql:
        names = {
            "account": ("email", "name", "ssn"),
            "visit": ("contact", "place"),
            "event": ("email", "kind"),
        }[table]
        where = self.condition({"u": table}, 1)
        return f"SELECT u.{self.one(*names)} FROM {table} u WHERE " + where

    # Writes.

    def assignments(self, table: str, sources: dict[str, str]) -> Sql:
        names = self.some([n for n in COLUMNS[table] if n != "id"], 3)
        parts = []
        for name in names:
            kind = COLUMNS[table][name]
            value = self.one(
                self.value(kind),
                self.value(kind),
                Sql("DEFAULT"),
                "CASE WHEN " + self.condition(sources, 0) + " THEN " + self.value(kind)
                + f" ELSE {next(iter(sources))}.{name} END",
                Sql(self.column(sources)[0]),
            )  # fmt: skip
            parts.append(f"{name} = " + value)
        return joined(parts, ", ")

    def returning(self, table: str, alias: str) -> Sql:
        if self.maybe():
            return Sql("")
        return " RETURNING " + self.one(Sql(f"{alias}.*"), self.target({alias: table}))

    def insert(self) -> Sql:
        table = self.one(*COLUMNS)
        names = ["id", *self.some([n for n in COLUMNS[table] if n != "id"], 4)]
        head = f"INSERT INTO {table} AS a ({', '.join(names)}) "
        kind = self.one("values", "values", "select", "list", "unnest")
        if kind == "values":
            rows = [self._row(table, names, 100 + n) for n in range(self.one(1, 2))]
            body = "VALUES " + joined(rows, ", ")
        elif kind == "select":
            picked = ", ".join(["s.id + 100", *names[1:]])
            body = Sql(f"SELECT {picked} FROM {table} s WHERE s.id < 3")
        elif kind == "list":
            rows = [self._row(table, names, 100 + n) for n in range(2)]
            body = "SELECT * FROM (VALUES " + joined(rows, ", ") + f") AS v ({', '.join(names)})"
        else:
            arrays = [Sql("%s::int[]", ([100, 101],))]
            for name in names[1:]:
                items = [self.one(*POOLS[COLUMNS[table][name]], None) for _ in range(2)]
                arrays.append(Sql(f"%s::{COLUMNS[table][name]}[]", (items,)))
            body = "SELECT * FROM unnest(" + joined(arrays, ", ") + ")"
        if self.one(0, 0, 1):
            body = body + self.one(
                Sql(" ON CONFLICT DO NOTHING"),
                Sql(f" ON CONFLICT (id) DO UPDATE SET {names[1]} = EXCLUDED.{names[1]}"),
                f" ON CONFLICT (id) DO UPDATE SET {names[1]} = "
                + self.value(COLUMNS[table][names[1]]),
            )
        return head + body + self.returning(table, "a")

    def _row(self, table: str, names: list[str], number: int) -> Sql:
        first = Sql("%s", (self.one(number, 1),))
        return (
            "(" + joined([first, *(self.value(COLUMNS[table][n]) for n in names[1:])], ", ") + ")"
        )

    def update(self) -> Sql:
        table = self.one(*COLUMNS)
        other = {"account": "visit", "visit": "account", "event": "account"}[table]
        if self.one(0, 0, 0, 1):
            name = self.one(*[n for n in COLUMNS[table] if n != "id"])
            rows = [
                "(" + Sql("%s", (n,)) + ", " + self.value(COLUMNS[table][name]) + ")"
                for n in (1, 2)
            ]
            head = f"UPDATE {table} AS a SET {name} = v.b FROM (VALUES "
            return (
                head
                + joined(rows, ", ")
                + ") AS v (a, b) WHERE v.a = a.id"
                + self.returning(table, "a")
            )
        sources = {"a": table}
        source = Sql("")
        if self.one(0, 0, 1):
            source, sources = Sql(f" FROM {other} AS b"), {"a": table, "b": other}
        statement = f"UPDATE {table} AS a SET " + self.assignments(table, sources) + source
        if len(sources) > 1:
            # One row to join with, so that which one is taken is certain.
            statement = statement + " WHERE b.id = 1 AND " + self.condition(sources, 1)
        elif self.maybe():
            statement = statement + " WHERE " + self.condition(sources, 1)
        return statement + self.returning(table, "a")

    def delete(self) -> Sql:
        table = self.one(*COLUMNS)
        statement = f"DELETE FROM {table} AS a WHERE " + self.condition({"a": table}, 1)
        return statement + self.returning(table, "a")

    def merge(self) -> Sql:
        name = self.one(*[n for n in COLUMNS["account"] if n != "id"])
        kind = COLUMNS["account"][name]
        rows = ["(" + Sql("%s", (n,)) + ", " + self.value(kind) + f"::{kind})" for n in (1, 100)]
        source = self.one(
            "(VALUES " + joined(rows, ", ") + ") AS s (id, v)",
            Sql(f"(SELECT id + 99, {name} FROM account WHERE id < 3) AS s (id, v)"),
        )
        extra = self.one(Sql(""), " AND " + self.condition({"a": "account"}, 0))
        statement = "MERGE INTO account AS a USING " + source + " ON a.id = s.id"
        statement = statement + " WHEN MATCHED" + extra
        statement = statement + self.one(
            " THEN DELETE", f" THEN UPDATE SET {name} = s.v", " THEN DO NOTHING"
        )
        statement = statement + f" WHEN NOT MATCHED THEN INSERT (id, {name}) VALUES (s.id, s.v)"
        if self.one(0, 0, 1):
            listed = "WITH m (id, v) AS (VALUES " + joined(rows, ", ") + ") "
            statement = listed + Sql(
                statement.text.replace(source.text, "m AS s", 1),
                statement.values[len(source.values) :],
            )
        return statement + self.one("", " RETURNING merge_action(), a.*")

    def statement(self) -> tuple[str, tuple[Sql, ...], bool]:
        """A family, statements of it, and whether the order of their rows is certain."""
        family = self.one(
            *("query",) * 7, "insert", "insert", "update", "update", "delete", "merge", "cte",
            "cursor", "prepared", "copied",
        )  # fmt: skip
        if family == "query":
            query, ordered = self.query()
            return family, (query,), ordered
        if family in ("cursor", "prepared", "copied"):
            return family, getattr(self, family)(), False
        if family == "cte":
            write = self.one(self.insert, self.update, self.delete)()
            inner = write if " RETURNING " in write.text else write + " RETURNING a.*"
            return family, ("WITH w AS (" + inner + ") SELECT * FROM w",), False
        return family, (getattr(self, family)(),), False
