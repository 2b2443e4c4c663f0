"""Random GROUP BY, ORDER BY, DISTINCT, windows, min and max on twin tables: the same rows, or a documented refusal.

Which of equal values a group shows is open, in PostgreSQL too (1.0 or 1.00, 0 or -0, case): these are compared as equal.
Where the order is certain rows must come in it. `GROUPING_SEED=n` repeats a run, `GROUPING_SIZE=n` sets its length.
"""

from __future__ import annotations

import os
import random
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import psycopg
import pytest
from psycopg.types.numeric import NumericBinaryLoader

from proxy.cells.folding import lowered
from tests.conftest import Database
from tests.integration.shop import Shop
from tests.twins.test_search_predicates import (
    FOLDED_ONLY,
    ORDERED,
    POOLS,
    TYPES,
    Sql,
    Twins,
    answer,
    joined,
    new_shop,
)

SEED = int(os.environ.get("GROUPING_SEED", random.SystemRandom().randrange(10**6)))
SIZE = int(os.environ.get("GROUPING_SIZE", "400"))

DOCUMENTED = (
    "its search has no order",
    "in DISTINCT and in ORDER BY at once",
    "through a result column that is an expression of it",
    "to measure distances in a window",
    "behind UNION ALL",
    "cannot be deduplicated by UNION, INTERSECT or EXCEPT",
    "cannot be used in WITHIN GROUP",
    "would change it",
    "that is ordered by its first",
    "has a cast that Sealgate does not follow",
)
EXACT = [name for name in ORDERED if name not in ("name", "code")]
"""Columns that `=` and `<` agree about."""


@dataclass(frozen=True)
class Statement:
    sql: Sql
    ordered: bool = False
    """Rows come in a certain order."""
    folded: tuple[int, ...] = ()
    """Result columns whose case is open, and whose names are the test's own."""


@dataclass
class Key:
    """A column that is grouped or sorted by."""

    name: str
    alias: str = "p"

    @property
    def sealed(self) -> bool:
        return self.name in TYPES

    @property
    def sql(self) -> Sql:
        text = f"{self.alias}.{self.name}"
        return Sql(text, (), f"lower({text})" if self.name == FOLDED_ONLY else text)

    @property
    def sortable(self) -> bool:
        return not self.sealed or self.name in ORDERED


@dataclass
class Queries:
    """Draws queries over person p."""

    random: random.Random
    output: list[str] = field(default_factory=list)

    def one(self, *choices: Any) -> Any:
        return self.random.choice(choices)

    def keys(self, most: int, names: list[str] | None = None) -> list[Key]:
        chosen = names or [*TYPES, "city", "id"]
        count = self.one(*range(1, min(most, len(chosen)) + 1))
        return [Key(name) for name in self.random.sample(chosen, count)]

    def value(self, name: str) -> Sql:
        kind = TYPES.get(name, "text")
        value = Sql("%s", (self.random.choice(POOLS[kind]),))
        if kind in ("float4", "float8", "numeric", "int2", "int4", "int8"):
            value = "(" + value + f")::{kind}"
        return (
            Sql(value.text, value.values, f"lower({value.plain})") if name == FOLDED_ONLY else value
        )

    def direction(self) -> str:
        return str(self.one("", "", " ASC", " DESC", " NULLS FIRST", " DESC NULLS LAST"))

    def condition(self) -> Sql:
        key = self.keys(1, list(TYPES))[0]
        how = self.one(" = ", " <> ", " IS NOT DISTINCT FROM ")
        if key.name in ORDERED and self.one(0, 1):
            how = self.one(" < ", " >= ")
        return self.one(
            key.sql + how + self.value(key.name),
            key.sql + how + self.value(key.name),
            Sql(f"p.{key.name} IS NULL"),
            Sql("p.id < 20"),
        )  # type: ignore[no-any-return]

    def aggregate(self) -> Sql:
        key = self.keys(1)[0]
        ordered = Key(self.random.choice(ORDERED))
        text = self.one(
            lambda: Sql("count(*)"),
            lambda: Sql(f"count(p.{key.name})"),
            lambda: "count(DISTINCT " + key.sql + ")",
            lambda: "count(DISTINCT (" + key.sql + ", p.id))",
            lambda: self.one("min(", "max(") + ordered.sql + ")",
            lambda: self.one("min(", "max(") + ordered.sql + ")",
            lambda: Sql(f"array_agg(p.id ORDER BY p.{ordered.name}{self.direction()}, p.id)"),
            lambda: Sql("sum(p.id)"),
            lambda: "bool_or(" + self.condition() + ")",
            lambda: "count(CASE WHEN " + self.condition() + " THEN 1 END)",
            lambda: "count(DISTINCT lower(p.email" + Sql(")", (), ' COLLATE "pg_c_utf8")') + ")",
        )()
        if self.one(0, 0, 1):
            text = text + " FILTER (WHERE " + self.condition() + ")"
        return text  # type: ignore[no-any-return]

    # GROUP BY.

    def grouped(self) -> Statement:
        keys = self.keys(3)
        shown, outputs = self.shown(keys)
        aggregates = [self.aggregate() for _ in range(self.one(0, 1, 2))]
        stranger = Key(
            self.random.choice(
                [n for n in TYPES if n not in [*(k.name for k in keys), FOLDED_ONLY]]
            )
        )
        if self.one(0, 0, 0, 0, 0, 0, 1):
            aggregates.append(stranger.sql)  # the server's own 42803
        listed = [*shown, *aggregates] or [Sql("count(*)")]
        text = "SELECT " + joined(listed, ", ") + " FROM " + self.source()
        if self.one(0, 0, 1):
            text = text + " WHERE " + self.condition()
        text = text + " GROUP BY " + self.group_by(keys, outputs)
        if self.one(0, 0, 1):
            text = text + " HAVING " + self.having(keys)
        folded = tuple(
            outputs[i] for i, k in enumerate(keys) if k.name == FOLDED_ONLY and i in outputs
        )
        sorts = [i for i, key in enumerate(keys) if key.sortable]
        if len(sorts) < len(keys) or self.sets:
            if sorts and not self.sets and self.one(0, 1):
                text = (
                    text + " ORDER BY " + joined([self.sort(keys, i, outputs) for i in sorts], ", ")
                )
            return Statement(text, False, folded)
        self.random.shuffle(sorts)
        text = text + " ORDER BY " + joined([self.sort(keys, i, outputs) for i in sorts], ", ")
        return Statement(text + self.one("", " LIMIT 3", " LIMIT 4 OFFSET 1"), True, folded)

    def source(self) -> str:
        return str(
            self.one(
                "person p", "person p", "person AS p", "(SELECT * FROM person) p",
                "person p LEFT JOIN member m ON m.id = p.id", "(SELECT * FROM person UNION ALL SELECT * FROM person) p",
            )
        )  # fmt: skip

    def shown(self, keys: list[Key]) -> tuple[list[Sql], dict[int, int]]:
        """Some of the keys in the select list, and at which places."""
        shown: list[Sql] = []
        outputs: dict[int, int] = {}
        for index, key in enumerate(keys):
            if self.one(0, 0, 0, 1) and len(keys) > 1:
                continue
            outputs[index] = len(shown)
            named = key.name == FOLDED_ONLY or self.one(0, 1)
            shown.append(key.sql + (f" AS o{index}" if named else ""))
        self.output = [f"o{i}" if " AS o" in shown[outputs[i]].text else "" for i in outputs]
        self.named = {i: name for i, name in zip(outputs, self.output, strict=True) if name}
        return shown, outputs

    sets: bool = False
    named: dict[int, str] = field(default_factory=dict)

    def group_by(self, keys: list[Key], outputs: dict[int, int]) -> Sql:
        items = []
        for index, key in enumerate(keys):
            forms = [key.sql, "(" + key.sql + ")"]
            if index in outputs:
                forms.append(Sql(str(outputs[index] + 1)))
            if index in self.named:
                forms.append(Sql(self.named[index]))
            items.append(self.random.choice(forms))
        self.sets = False
        if self.one(0, 0, 0, 1):
            self.sets = True
            how = self.one("ROLLUP", "CUBE", "GROUPING SETS")
            if how == "GROUPING SETS":
                items = ["(" + item + ")" for item in items] + [Sql("()")]
            return how + " (" + joined(items, ", ") + ")"
        return joined(items, ", ")

    def having(self, keys: list[Key]) -> Sql:
        key = self.random.choice(keys)
        ordered = Key(self.random.choice(ORDERED))
        choices: list[Callable[[], Sql]] = [
            lambda: Sql(f"count(*) {self.one('>', '<')} 2"),
            lambda: self.one("min(", "max(") + ordered.sql + ") < " + self.value(ordered.name),
            lambda: self.one("min(", "max(") + ordered.sql + ") IS NOT NULL",
            lambda: "count(DISTINCT " + key.sql + ") < 2",
        ]
        if key.sealed:
            choices += [
                lambda: key.sql + self.one(" = ", " <> ") + self.value(key.name),
                lambda: key.sql + " IS NOT NULL",
                lambda: (
                    key.sql + " IN (" + self.value(key.name) + ", " + self.value(key.name) + ")"
                ),
            ]
        if key.name in ORDERED:
            choices.append(lambda: key.sql + self.one(" < ", " >= ") + self.value(key.name))
        return self.random.choice(choices)()

    def sort(self, keys: list[Key], index: int, outputs: dict[int, int]) -> Sql:
        forms = [keys[index].sql]
        if index in outputs:
            forms.append(Sql(str(outputs[index] + 1)))
        if index in self.named:
            forms.append(Sql(self.named[index]))
        return self.random.choice(forms) + self.direction()  # type: ignore[no-any-return]

    # DISTINCT.

    def distinct(self) -> Statement:
        keys = self.keys(3)
        shown, outputs = [], {}
        for index, key in enumerate(keys):
            outputs[index] = index
            shown.append(key.sql + (f" AS o{index}" if key.name == FOLDED_ONLY else ""))
        self.named = {i: f"o{i}" for i, key in enumerate(keys) if key.name == FOLDED_ONLY}
        folded = tuple(self.named)
        text = "SELECT DISTINCT " + joined(shown, ", ") + " FROM " + self.source()
        if self.one(0, 0, 1):
            text = text + " WHERE " + self.condition()
        sorts = [i for i, key in enumerate(keys) if key.sortable]
        self.random.shuffle(sorts)
        if self.one(0, 1) and sorts:
            text = text + " ORDER BY " + joined([self.sort(keys, i, outputs) for i in sorts], ", ")
            if len(sorts) == len(keys):
                return Statement(text + self.one("", " LIMIT 3"), True, folded)
        return Statement(text, False, folded)

    def distinct_on(self) -> Statement:
        """One row of each kind, which one ORDER BY says."""
        keys = self.keys(2, [n for n in [*ORDERED, "city"] if self.one(0, 1)] or ["born"])
        on = joined([self.one(key.sql, "(" + key.sql + ")", key.sql) for key in keys], ", ")
        order = joined([key.sql + self.direction() for key in keys], ", ")
        shown = joined([key.sql for key in keys], ", ")
        text = "SELECT DISTINCT ON (" + on + ") " + shown + ", p.id FROM person p ORDER BY " + order
        return Statement(text + ", p.id", True)

    def united(self) -> Statement:
        """UNION and UNION ALL, sorted by names and numbers of the result."""
        keys = self.keys(2)
        shown = joined([key.sql + f" AS o{n}" for n, key in enumerate(keys)], ", ")
        selects = [
            "SELECT "
            + shown
            + f" FROM person p WHERE p.id {self.one('<', '>')} {self.one(5, 15, 25)}"
            for _ in range(self.one(2, 2, 3))
        ]
        operators = [self.one(" UNION ", " UNION ", " UNION ALL ") for _ in selects[1:]]
        text = selects[0]
        for operator, select in zip(operators, selects[1:], strict=True):
            text = text + operator + self.one(select, "(" + select + ")")
        folded = tuple(n for n, key in enumerate(keys) if key.name == FOLDED_ONLY)
        sorts = [n for n, key in enumerate(keys) if key.sortable]
        self.random.shuffle(sorts)
        if not sorts or self.one(0, 0, 1):
            return Statement(text, False, folded)
        items = [self.one(f"o{n}", str(n + 1)) + self.direction() for n in sorts]
        text = text + " ORDER BY " + ", ".join(items)
        if len(sorts) < len(keys):
            return Statement(text, False, folded)
        return Statement(text + self.one("", " LIMIT 4"), True, folded)

    # ORDER BY.

    def sorted(self) -> Statement:
        keys = self.keys(3, [*ORDERED, "city"])
        shown, outputs = self.shown(keys)
        listed = [*shown, Sql("p.id")]
        text = "SELECT " + joined(listed, ", ") + " FROM person p"
        if self.one(0, 0, 1):
            text = self.one(
                "WITH q AS (SELECT * FROM person) SELECT " + joined(listed, ", ") + " FROM q AS p",
                "SELECT "
                + joined(listed, ", ")
                + " FROM (SELECT * FROM person ORDER BY born) AS p",
                "SELECT p.* FROM person p",
                "SELECT *, 1 FROM person p",
            )
            text = text if isinstance(text, Sql) else Sql(text)
            if "*," in text.text or "p.*" in text.text:
                outputs, self.named = {}, {}
        if self.one(0, 0, 1):
            text = text + " WHERE " + self.condition()
        parts = [self.sort(keys, index, outputs) for index in range(len(keys))]
        if self.one(0, 0, 0, 1):
            parts.insert(0, Sql(f"p.{self.random.choice(list(TYPES))} IS NULL"))
        text = text + " ORDER BY " + joined(parts, ", ") + ", p.id"
        return Statement(
            text + self.one("", " LIMIT 5", " OFFSET 3", " FETCH FIRST 3 ROWS ONLY"), True
        )

    # Windows.

    def window(self) -> Statement:
        parts, orders = self.keys(1), self.keys(1, ORDERED)
        over = "PARTITION BY " + parts[0].sql if self.one(0, 1) else Sql("")
        order = " ORDER BY " + orders[0].sql + self.direction()
        shown = Key(self.random.choice(ORDERED))
        total = order + ", p.id"
        frame = self.one("", "", " ROWS 1 PRECEDING", " GROUPS BETWEEN 1 PRECEDING AND CURRENT ROW")
        call = self.one(
            lambda: "rank() OVER (" + over + order + ")",
            lambda: "dense_rank() OVER (" + over + order + ")",
            lambda: "row_number() OVER (" + over + total + ")",
            lambda: "count(*) OVER (" + over + order + ")",
            lambda: "count(*) OVER (" + over + total + frame + ")",
            lambda: "lag(" + shown.sql + ") OVER (" + over + total + ")",
            lambda: "first_value(" + shown.sql + ") OVER (" + over + total + frame + ")",
            lambda: self.one("min(", "max(") + shown.sql + ") OVER (" + over + total + frame + ")",
            lambda: "count(*) OVER (" + over + ")",
            lambda: Sql("sum(p.id) OVER w"),
        )()
        text = "SELECT p.id, " + call + " FROM person p"
        if " OVER w" in call.text:
            text = text + " WINDOW w AS (" + over + order + ")"
        return Statement(text + " ORDER BY p.id", True)

    def windowed_groups(self) -> Statement:
        key = Key(self.random.choice(EXACT))
        call = self.one(
            "rank() OVER (ORDER BY count(*) DESC, " + key.sql + ")",
            "sum(count(*)) OVER (ORDER BY " + key.sql + ")",
            "lag(" + key.sql + ") OVER (ORDER BY " + key.sql + ")",
            "max(" + "min(p.born)) OVER (PARTITION BY " + key.sql + ")",
        )
        text = "SELECT " + key.sql + ", " + call + " FROM person p GROUP BY " + key.sql
        return Statement(text + " ORDER BY " + key.sql, True)

    # Groups inside other queries.

    def nested(self) -> Statement:
        key = Key(self.random.choice([n for n in ORDERED if n != "code"]))
        shared = Key(self.one("email", "born", "height", "name"))
        inner = "SELECT " + key.sql + " AS k, count(*) AS n FROM person p GROUP BY " + key.sql
        return self.one(
            lambda: Statement(
                "SELECT s.k, s.n FROM ("
                + inner
                + ") s WHERE s.k "
                + self.one("=", "<>", ">", "<=")
                + " "
                + self.value(key.name)
                + " ORDER BY s.k",
                True,
            ),
            lambda: Statement(
                "WITH s AS (" + inner + ") SELECT p.id, s.n FROM person p JOIN s ON s.k = " + key.sql
                + " ORDER BY p.id", True,
            ),
            lambda: Statement(
                "SELECT p.id FROM person p WHERE " + key.sql + " = (SELECT " + self.one("min", "max")
                + f"(q.{key.name}) FROM person q) ORDER BY p.id", True,
            ),
            lambda: Statement(
                "SELECT "
                + shared.sql
                + f", (SELECT count(*) FROM member m WHERE m.{shared.name} = "
                + shared.sql
                + ") FROM person p GROUP BY "
                + shared.sql
            ),
            lambda: Statement(
                f"SELECT {shared.name}, count(*) FROM person p JOIN member m USING ({shared.name}) GROUP BY {shared.name}"
                + Sql("")
            ),
            lambda: Statement(
                "SELECT p.id FROM person p WHERE " + shared.sql
                + f" IN (SELECT m.{shared.name} FROM member m GROUP BY m.{shared.name} HAVING count(*) > 1) ORDER BY p.id",
                True,
            ),
            lambda: Statement(
                "SELECT p.id FROM person p WHERE p.id IN (SELECT q.id FROM person q ORDER BY q."
                + key.name + " DESC NULLS LAST, q.id LIMIT 5) ORDER BY p.id" + Sql(""), True,
            ),
            lambda: Statement("SELECT count(DISTINCT " + key.sql + "), min(" + key.sql + ") FROM person p"),
        )()  # fmt: skip  # type: ignore[no-any-return]

    def statement(self) -> Statement:
        kinds = [
            self.grouped, self.grouped, self.grouped, self.distinct, self.distinct_on, self.sorted, self.window,
            self.windowed_groups, self.nested, self.united,
        ]  # fmt: skip
        return self.random.choice(kinds)()


@pytest.fixture(scope="module")
def shop(
    make_database: Callable[[], Database], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Shop]:
    database = make_database()
    shop = new_shop(database, tmp_path_factory.mktemp("grouping"), SEED)
    yield shop
    shop.stop()
    database.postgres.drop_database(database.name)


@pytest.fixture(params=["extended", "simple", "binary"])
def twins(shop: Shop, request: pytest.FixtureRequest) -> Iterator[Twins]:
    with shop.twins(request.param) as (plain, sealed):
        yield Twins(plain, sealed, request.param == "binary")


SHAPES = [
    # Levels of aggregates: what is of the outer query inside one of the inner, and the other way round.
    "SELECT name, (SELECT count(*) FILTER (WHERE m.name = p.name) FROM member m) FROM person p GROUP BY name ORDER BY name",
    "SELECT name, (SELECT count(*) FROM member m WHERE m.name = p.name GROUP BY m.name) FROM person p GROUP BY name ORDER BY name",
    "SELECT name, (SELECT max(p.born)) FROM person p GROUP BY name ORDER BY name",
    "SELECT born FROM person p GROUP BY born HAVING EXISTS (SELECT 1 FROM member m WHERE m.born = p.born) ORDER BY born",
    "SELECT born FROM person p GROUP BY born HAVING born IN (SELECT born FROM member) ORDER BY born",
    "SELECT (SELECT p.born) AS b FROM person p GROUP BY born ORDER BY born",
    "SELECT born, (SELECT min(q.id) FROM person q WHERE q.born = p.born GROUP BY q.born) FROM person p GROUP BY born ORDER BY 1",
    "SELECT max(min(born)) OVER (), count(*) FROM person GROUP BY height ORDER BY height",
    "SELECT height, sum(count(*)) OVER (PARTITION BY height ORDER BY height) FROM person GROUP BY height ORDER BY 1",
    "SELECT height, row_number() OVER (ORDER BY min(born), height) FROM person GROUP BY height ORDER BY height",
    # What stands for a group.
    "SELECT CASE WHEN count(*) > 1 THEN born ELSE NULL END FROM person GROUP BY born ORDER BY born",
    "SELECT CASE born WHEN '2020-01-01' THEN 1 ELSE 2 END, born FROM person GROUP BY born ORDER BY born",
    "SELECT coalesce(name, 'none'), nullif(name, 'b') FROM person GROUP BY name ORDER BY name",
    "SELECT lag(name, 1, 'none') OVER (ORDER BY name) FROM person GROUP BY name ORDER BY name",
    "SELECT * FROM (SELECT name, height FROM person) s GROUP BY name, height ORDER BY name, height",
    "SELECT s.* FROM (SELECT born, id FROM person) s GROUP BY s.born, id ORDER BY s.id",
    "SELECT p.born, m.born FROM person p JOIN member m USING (born) GROUP BY p.born, m.born ORDER BY 1",
    "SELECT born FROM person p JOIN member m USING (born) GROUP BY born ORDER BY born",
    "SELECT a.born FROM person a JOIN person b ON a.born = b.born GROUP BY a.born ORDER BY a.born",
    "WITH w AS (SELECT born, height FROM person) SELECT x.born, count(*) FROM w x, w y WHERE x.height = y.height"
    " GROUP BY x.born ORDER BY x.born",
    "SELECT id, born, height FROM person GROUP BY id, born ORDER BY id",
    "SELECT height + 0 FROM (SELECT id AS height FROM person) s GROUP BY height ORDER BY 1",
    # What PostgreSQL refuses.
    "SELECT name, born FROM person GROUP BY name",
    "SELECT name FROM person GROUP BY name ORDER BY born",
    "SELECT name FROM person GROUP BY name HAVING born = '2020-01-01'",
    "SELECT a.born, b.born FROM person a, person b GROUP BY a.born",
    "SELECT DISTINCT born FROM person ORDER BY id",
    "SELECT DISTINCT ON (born) born, id FROM person ORDER BY id",
    "SELECT count(*) FROM person GROUP BY min(born)",
    "SELECT count(*) FROM person WHERE min(born) = '2020-01-01'",
    "SELECT min(max(born)) FROM person",
    "SELECT born AS b, height AS b FROM person ORDER BY b",
    "SELECT born FROM person GROUP BY 3",
    "SELECT born FROM person ORDER BY 0",
    "SELECT name FROM person GROUP BY name FOR UPDATE",
    "SELECT born FROM person UNION SELECT born FROM person ORDER BY id",
    "SELECT born FROM person UNION SELECT born FROM person ORDER BY born IS NULL",
    # Names and numbers.
    "SELECT born AS id FROM person GROUP BY id ORDER BY 1",
    "SELECT born AS city, count(*) FROM person GROUP BY born, city ORDER BY 1, 2, person.city",
    "SELECT born AS height FROM person ORDER BY height, id",
    "SELECT p.*, born AS b FROM person p ORDER BY b NULLS FIRST, id LIMIT 3",
    "SELECT born, born FROM person ORDER BY born, 1, id",
    "SELECT DISTINCT born, * FROM (SELECT born, height FROM person) s ORDER BY born, height",
    "SELECT DISTINCT height, height AS h FROM person ORDER BY h DESC",
    "SELECT DISTINCT ON (2) id, born FROM person ORDER BY 2 DESC NULLS LAST, 1",
    "SELECT id FROM person ORDER BY coalesce(born, '2000-01-01'), id",
    "SELECT id FROM person ORDER BY CASE WHEN name = 'b' THEN 0 ELSE 1 END, born IS NULL, id",
    "SELECT id FROM person ORDER BY min(born) OVER (PARTITION BY height), id",
    "SELECT id, lag(born) OVER (ORDER BY id) AS before FROM person ORDER BY before, id",
    "SELECT name FROM person ORDER BY name COLLATE \"C\" DESC, id",
    "SELECT id FROM person ORDER BY born DESC, id FETCH FIRST 4 ROWS WITH TIES",
    # Other statements around them.
    "SELECT s.b FROM (SELECT min(born) AS b, height FROM person GROUP BY height) s WHERE s.b < '2020-01-01' ORDER BY s.b, s.height",
    "SELECT id FROM person p WHERE (height, born) IN (SELECT height, max(born) FROM person GROUP BY height) ORDER BY id",
    "SELECT id FROM person p WHERE born = (SELECT max(q.born) FROM person q WHERE q.height = p.height) ORDER BY id",
    "SELECT t.id FROM (SELECT *, row_number() OVER (PARTITION BY height ORDER BY born DESC, id) AS n FROM person) t"
    " WHERE n = 1 ORDER BY t.id",
    "SELECT count(DISTINCT (email, born)), count(DISTINCT coalesce(name, 'x')) FROM person",
    "SELECT min(born), max(born), min(code), max(code), min(price), max(score), min(single) FROM person WHERE id < 0",
    "WITH RECURSIVE r (b, n) AS (SELECT min(born), 1 FROM person UNION ALL SELECT b, n + 1 FROM r WHERE n < 3) SELECT * FROM r",
]  # fmt: skip


@pytest.mark.parametrize("text", SHAPES)
def test_shapes(twins: Twins, text: str) -> None:
    """What is easy to get wrong: as on the plain twin, refusals of the server's included."""
    check(twins, Statement(Sql(text), ordered=" ORDER BY " in text))


NUMERIC, FLOAT4, FLOAT8 = 1700, 700, 701


def same(
    columns: list[tuple[str, int, int]], row: tuple[Any, ...], twins: Twins, folded: tuple[int, ...]
) -> Any:
    """A row with equal values made alike."""
    cells: list[Any] = []
    for place, ((_, oid, _), cell) in enumerate(zip(columns, row, strict=True)):
        if cell is None:
            cells.append(None)
        elif oid == NUMERIC:
            number = NumericBinaryLoader(oid).load(cell) if twins.binary else Decimal(cell.decode())
            cells.append(str(number) if number.is_nan() else number)
        elif oid in (FLOAT4, FLOAT8):
            negative_zero = (b"\x80\0\0\0", b"\x80\0\0\0\0\0\0\0", b"-0")
            cells.append(0 if cell in (*negative_zero, bytes(4), bytes(8), b"0") else cell)
        elif place in folded:
            cells.append(lowered(cell.decode()))
        else:
            cells.append(cell)
    return tuple(cells)


def check(twins: Twins, statement: Statement) -> None:
    sql, folded = statement.sql, statement.folded
    sealed = answer(twins.sealed, sql.text, sql.values, binary=twins.binary)
    plain = answer(twins.plain, sql.plain, sql.values, binary=twins.binary)
    if isinstance(sealed, psycopg.Error) and sealed.diag.sqlstate == "0A000":
        message = sealed.diag.message_primary or ""
        reason = next((reason for reason in DOCUMENTED if reason in message), None)
        # What PostgreSQL does not take either needs no reason.
        assert reason is not None or isinstance(plain, psycopg.Error), f"{message}\n{sql}"
        twins.seen[reason or "refused and no SQL"] += 1
        return
    if isinstance(plain, psycopg.Error) or isinstance(sealed, psycopg.Error):
        assert isinstance(plain, psycopg.Error), f"only sealed fails: {sealed}\n{sql}"
        assert isinstance(sealed, psycopg.Error), f"only plain fails: {plain}\n{sql}"
        assert plain.diag.sqlstate == sealed.diag.sqlstate, f"{plain} / {sealed}\n{sql}"
        twins.seen["failed alike"] += 1
        return
    assert plain[0] == sealed[0], sql
    rows = [
        [same(columns, row, twins, folded) for row in rows] for columns, rows in (plain, sealed)
    ]
    if statement.ordered:
        assert rows[0] == rows[1], sql
    else:
        assert Counter(rows[0]) == Counter(rows[1]), sql
    twins.seen["ordered" if statement.ordered else "equal"] += 1
    twins.seen["rows"] += len(plain[1])


def run(twins: Twins, size: int) -> None:
    generator = random.Random(SEED + 1)
    try:
        for _ in range(size):
            check(twins, Queries(generator).statement())
    finally:
        print(f"GROUPING_SEED={SEED} size={size}", dict(twins.seen))
    assert twins.seen["equal"] + twins.seen["ordered"] > size * 0.6
    assert twins.seen["rows"] > size


def test_random_groups_and_orders(twins: Twins) -> None:
    """The same columns, types, rows (in the same order where it is certain) and SQLSTATEs, or a documented refusal."""
    run(twins, SIZE)


@pytest.mark.long
def test_many_random_groups_and_orders(twins: Twins) -> None:
    """The same, for minutes."""
    run(twins, SIZE * 20)
