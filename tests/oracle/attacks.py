"""Statements that hide a column: every spelling of a name, in every clause, behind every name.

Nothing here says what a statement means. Most of them are valid by construction, some by luck; the
server decides, and says which columns it sees.
"""

from __future__ import annotations

import random
from typing import Any

SCHEMA = """
CREATE SCHEMA other; CREATE SCHEMA "Odd";
CREATE TABLE people (id text PRIMARY KEY, email text UNIQUE, ssn text, born text);
CREATE TABLE plain (id text PRIMARY KEY, email text, note text);
CREATE TABLE other.people (id text, email text, note text);
CREATE TABLE "Odd"."Sealed People" (id text, "E mail" text, email text);
CREATE TABLE child (extra text) INHERITS (people);
CREATE TABLE parts (id text, email text) PARTITION BY RANGE (id);
CREATE TABLE part1 PARTITION OF parts FOR VALUES FROM ('0') TO ('9');
CREATE TYPE person AS (email text, ssn text);
CREATE FUNCTION echo(text) RETURNS SETOF text LANGUAGE sql AS 'SELECT $1';
CREATE FUNCTION pair(text) RETURNS TABLE (email text, n text) LANGUAGE sql AS 'SELECT $1, $1';
"""

PATHS = ("public", "public, other", "other, public", '"Odd", other, public', "other")

_COLUMNS = {
    "people": ("email", "ssn", "born", "id"),
    "plain": ("email", "note", "id"),
    "other.people": ("email", "note", "id"),
    '"Odd"."Sealed People"': ("E mail", "email", "id"),
    "child": ("email", "extra", "ssn"),
    "parts": ("email", "id"),
    "part1": ("email", "id"),
}


class Attack:
    """One random statement at a time."""

    def __init__(self, generator: random.Random) -> None:
        self._random = generator
        self._depth = 0
        self._names = 0

    def statement(self) -> str:
        self._depth = 0
        inner = self.one(
            *[self._select] * 6, self._insert, self._update, self._delete, self._merge, self._values
        )()
        return self._wrapped(inner)

    def one(self, *choices: Any) -> Any:
        return self._random.choice(choices)

    def chance(self, probability: float) -> bool:
        return self._random.random() < probability

    # Names.

    def name(self, name: str) -> str:
        """A spelling of an identifier."""
        escaped = "".join(f"\\{ord(c):04x}" if self.chance(0.3) else c for c in name)
        wide = "".join(f"\\+{ord(c):06X}" if self.chance(0.2) else c for c in name)
        spelled = [f'"{name}"', f'U&"{escaped}"', f'u&"{wide}"']
        if name.isidentifier() and name.islower():
            spelled += [name] * 4 + [name.upper(), name.title(), f"{name}/**/", f"/*;*/{name}"]
        return str(self._random.choice(spelled))

    def table(self) -> tuple[str, tuple[str, ...], str]:
        """(text of a row source, its columns, the name it goes by)"""
        plain = self._random.choice(list(_COLUMNS))
        parts = [part.strip('"') for part in plain.split(".")]
        if len(parts) == 1 and self.chance(0.3):
            parts.insert(0, "public")
        text = self.one(".", " . ", "./**/").join(self.name(part) for part in parts)
        text = self.one(*[text] * 6, f"ONLY {text}", f"ONLY ({text})", f"{text} *")
        columns, known = _COLUMNS[plain], parts[-1]
        if self.chance(0.6):
            known = self.one("p", "people", "plain", "email", "Q r")
            text += self.one(" ", " AS ") + self.name(known)
            if self.chance(0.2):
                columns = tuple(
                    self._random.sample(("a", "b", "email", "id", "note"), len(columns))
                )
                text += f"({', '.join(map(self.name, columns))})"
        if self.chance(0.05):
            text += " TABLESAMPLE system (50)"
        return text, columns, known

    def source(self) -> tuple[str, tuple[str, ...], str]:
        """A table, a join, a subquery, a function over one, or VALUES."""
        text, columns, known = self.table()
        self._depth += 1
        if self._depth < 4 and self.chance(0.55):
            how = self._random.randrange(8)
            if how < 2:
                text, columns, known = (
                    f"({self._select()}) {self.name('s')}",
                    ("email", "id", "people"),
                    "s",
                )
            elif how == 2:
                other, _, by = self.table()
                text += f" JOIN {other} USING ({self.name(self.one('id', 'email'))})"
                known = self.one(known, by)
            elif how == 3:
                other, columns, known = self.table()
                text = self.one(f"{text} NATURAL JOIN {other}", f"{text} CROSS JOIN {other}")
            elif how == 4:
                other, more, by = self.table()
                one, two = self.reference(columns, known), self.reference(more, by)
                text += f" {self.one('', 'LEFT ', 'FULL ')}JOIN {other} ON {one} = {two}"
            elif how == 5:
                text += f", LATERAL ({self._bare(columns, known)}) l"
            elif how == 6:
                text += f", {self.one('echo', 'pair')}({self.reference(columns, known)}) f"
            else:
                text += (
                    f", ROWS FROM (echo({self.reference(columns, known)})) WITH ORDINALITY r(e, o)"
                )
        self._depth -= 1
        return text, columns, known

    def reference(self, columns: tuple[str, ...], known: str) -> str:
        """A column of a source, however it may be written."""
        column, source = self.name(self._random.choice(columns)), self.name(known)
        return str(
            self.one(
                *[column] * 4,
                *[f"{source}.{column}"] * 3,
                f"({source}).{column}",
                f"({source}.*).{column}",
                f"{column}({source})",
                f"(({column}))",
            )
        )

    # Expressions.

    def expression(self, columns: tuple[str, ...], known: str) -> str:
        c = self.reference(columns, known)
        return str(
            self.one(
                *[c] * 4,
                *(f"{c} = 'x'", f"'x' = {c}", f"{c} <> {c}", f"{c} IS NULL", f"lower({c})"),
                *(
                    f"{c} || 'y'",
                    f"CASE {c} WHEN 'a' THEN 'v' END",
                    f"CASE WHEN {c} = 'b' THEN 'w' END",
                ),
                *(f"coalesce({c}, 'z')", f"ARRAY[{c}]", f"ROW({c}, 1)", f"({c}, 1) = ('a', 1)"),
                *(f'{c} COLLATE "C"', f"{c} LIKE 'a%'", f"{c} IS DISTINCT FROM 'q'", f"{c}::text"),
                *(
                    f"{c} IN ('a', 'b')",
                    f"{c} = ANY (ARRAY['a', 'b'])",
                    f"NOT ({c} = 'x')",
                    f"({c} > 'a')",
                ),
                *(f"{c} BETWEEN 'a' AND 'b'", f"greatest({c}, 'a')", f"nullif({c}, 'x')"),
                *(f"(SELECT {c})", f"EXISTS (SELECT 1 WHERE {c} = 'x')", f"ARRAY(SELECT {c})"),
                *(f"({self._scalar()})", f"'a' IN ({self._scalar()})", f"{c} = ({self._scalar()})"),
                *(f"to_jsonb({self.name(known)})", f"{self.name(known)} IS NULL"),
                *(f"jsonb_build_object('k', {c})", f"json_object('k' VALUE {c})"),
                *(f"overlay({c} PLACING 'a' FROM 1)", f"substring({c} FROM 1 FOR 2)", f"trim({c})"),
                f"position({c} IN 'abc')",
            )
        )

    def aggregate(self, columns: tuple[str, ...], known: str) -> str:
        c, e = self.reference(columns, known), self.expression(columns, known)
        return str(
            self.one(
                *(
                    f"count({c})",
                    f"count(DISTINCT {c})",
                    f"max({e})",
                    f"string_agg({c}, ',' ORDER BY {c})",
                ),
                *(f"count(*) FILTER (WHERE {e} IS NULL)", f"array_agg({e})"),
                *(f"count(*) OVER (ORDER BY {c})", f"first_value({e}) OVER (PARTITION BY {c})"),
                *(f"mode() WITHIN GROUP (ORDER BY {c})", f"lag({c}) OVER w"),
            )
        )

    # Queries.

    def _scalar(self) -> str:
        self._depth += 1
        text, columns, known = self.table()
        where = f" WHERE {self.expression(columns, known)} IS NOT NULL" if self._depth < 4 else ""
        self._depth -= 1
        return f"SELECT {self.reference(columns, known)} FROM {text}{where} LIMIT 1"

    def _bare(self, columns: tuple[str, ...], known: str) -> str:
        row = self.one("SELECT", "VALUES ('v'),")
        return f"{row} ({self.reference(columns, known)})"

    def _values(self) -> str:
        return f"VALUES (({self._scalar()}), 1), ('x', length(({self._scalar()})))"

    def _select(self) -> str:
        self._depth += 1
        text, columns, known = self.source()
        items = [self.expression(columns, known) for _ in range(self._random.randint(1, 2))]
        items[0] = self.one(items[0], "*", f"{self.name(known)}.*", self.name(known), "1", "1")
        if self.chance(0.15):
            items = [self.aggregate(columns, known)]
        names = ["", " AS email", ' "id"', " AS people"]
        listed = ", ".join(
            item + ("" if item.endswith("*") else self.one(*names)) for item in items
        )
        distinct = self.one(
            *[""] * 8, "DISTINCT ", f"DISTINCT ON ({self.reference(columns, known)}) "
        )
        query = f"SELECT {distinct}{listed} FROM {text}{self._clauses(columns, known)}"
        self._depth -= 1
        return self._with(query)

    def _clauses(self, columns: tuple[str, ...], known: str) -> str:
        c = self.reference(columns, known)
        condition = f"{self.expression(columns, known)} IS NOT NULL"
        clauses = [
            (0.4, f" WHERE {condition}"),
            (0.1, self.one(f" GROUP BY {c}", f" GROUP BY ROLLUP ({c})", f" GROUP BY GROUPING SETS (({c}), ())")),
            (0.05, f" HAVING count({c}) > 1"),
            (0.2, f" WINDOW w AS (PARTITION BY {c} ORDER BY {self.expression(columns, known)})"),
            (0.15, f" ORDER BY {self.expression(columns, known)}"),
            (0.1, f" LIMIT length(({self._scalar()}))"),
            (0.1, f" OFFSET (SELECT count(*) FROM {self.table()[0]})"),
            (0.05, f" FOR UPDATE OF {self.name(known)}"),
        ]  # fmt: skip
        found = "".join(text for probability, text in clauses if self.chance(probability))
        return found + (f" UNION ALL {self._scalar()}" if self.chance(0.05) and not found else "")

    def _with(self, query: str) -> str:
        """A CTE by the name of a table, before a query or write."""
        if self._depth > 1 or self.chance(0.75):
            return query
        name = self.name(self.one("people", "plain", "email", "parts"))
        self._depth += 1
        constant = "'a' AS email, 'b' AS id"
        inner = self.one(
            f"SELECT {constant} WHERE ({self._scalar()}) IS NOT NULL",
            f"VALUES ('c', 'd'), (({self._scalar()}), 'e')",
            f"{self._delete()} RETURNING {constant}",
            f"{self._update()} RETURNING {constant}",
        )
        self._depth -= 1
        how = self.one("", "", "MATERIALIZED ", "NOT MATERIALIZED ")
        listed = self.one("(email, id)", "(id, email)")
        return f"WITH {name}{listed} AS {how}({inner}) {query}"

    # Writes.

    def _insert(self) -> str:
        table = self._random.choice(list(_COLUMNS))
        columns = self._random.sample(_COLUMNS[table], 2)
        listed = ", ".join(map(self.name, columns))
        values = self.one("VALUES (NULL, DEFAULT)", "VALUES ($1, NULL)", self._bare_pair())
        conflict = f"ON CONFLICT (id) DO UPDATE SET {self.name(columns[0])} = EXCLUDED.{self.name(columns[1])}"
        conflict += f" WHERE {self.expression(_COLUMNS[table], self.one('excluded', 'n'))} IS NULL"
        action = conflict if table == "people" and self.chance(0.5) else ""
        returning = (
            f" RETURNING {self.expression(_COLUMNS[table], 'n')}" if self.chance(0.3) else ""
        )
        return self._with(f"INSERT INTO {table} AS n ({listed}) {values} {action}{returning}")

    def _bare_pair(self) -> str:
        text, columns, known = self.source()
        return f"SELECT {self.reference(columns, known)}, NULL FROM {text}"

    def _update(self) -> str:
        text, columns, known = self._target()
        one, two = self._random.sample(columns, 2)
        value = self.one("NULL", "DEFAULT", "$1", self.reference(columns, known))
        sets = self.one(
            f"{self.name(one)} = {value}",
            f"({self.name(one)}, {self.name(two)}) = ({value}, NULL)",
            f"({self.name(one)}, {self.name(two)}) = (SELECT {self.reference(columns, known)}, NULL)",
        )
        source, more, by = self.table()
        extra = f" FROM {source}" if self.chance(0.3) else ""
        where = self.expression(more if extra else columns, by if extra else known)
        return f"UPDATE {text} SET {sets}{extra} WHERE {where} IS NULL"

    def _delete(self) -> str:
        text, columns, known = self._target()
        return f"DELETE FROM {text} WHERE {self.expression(columns, known)} IS NULL"

    def _target(self) -> tuple[str, tuple[str, ...], str]:
        table = self._random.choice(list(_COLUMNS))
        return f"{self.one('', 'ONLY ')}{table} AS {self.name('t')}", _COLUMNS[table], "t"

    def _merge(self) -> str:
        text, columns, known = self._target()
        source, more, by = self.source()
        one, two = self.reference(columns, known), self.reference(more, by)
        whens = [
            f"WHEN MATCHED AND {self.expression(columns, known)} IS NULL THEN UPDATE SET {self.name(columns[0])} = {two}",
            "WHEN MATCHED THEN DELETE",
            f"WHEN NOT MATCHED THEN INSERT ({self.name(columns[0])}) VALUES ({two})",
            f"WHEN NOT MATCHED BY SOURCE AND {one} IS NULL THEN DO NOTHING",
            "WHEN NOT MATCHED THEN INSERT DEFAULT VALUES",
        ]
        chosen = " ".join(self._random.sample(whens, 2))
        returning = f" RETURNING merge_action(), {one}" if self.chance(0.3) else ""
        return self._with(f"MERGE INTO {text} USING {source} ON {one} = {two} {chosen}{returning}")

    def _wrapped(self, inner: str) -> str:
        self._names += 1
        name = f"n{self._names}"
        if "$1" in inner or self.chance(0.7):
            return inner
        explain = self.one("EXPLAIN", "EXPLAIN (VERBOSE, FORMAT JSON)", "EXPLAIN ANALYZE VERBOSE")
        if not inner.startswith(("SELECT", "VALUES")):
            return f"{self.one(explain, f'PREPARE {name} AS')} {inner}"
        return str(
            self.one(
                *[f"{explain} {inner}"] * 3,
                *(
                    f"DECLARE {name} CURSOR FOR {inner}",
                    f"DECLARE {name} NO SCROLL CURSOR WITH HOLD FOR {inner}",
                ),
                *(f"PREPARE {name} AS {inner}", f"COPY ({inner}) TO STDOUT"),
                *(
                    f"CREATE TABLE {name} AS {inner}",
                    f"CREATE TEMP TABLE {name} AS {inner} WITH NO DATA",
                ),
            )
        )
