"""One shop in two schemas of a database, plain and sealed: the same text runs in both.

`Schemas.run` sends a statement to the server itself with search_path = plain, and through the
proxy with search_path = sealed, in the simple protocol or the extended one, with results in text or
binary. What a client gets has to be the same, and so have the tables afterwards. Each statement runs
in a transaction that is rolled back.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from tests.integration.types.twins import Answer, Client, Statement

_TABLES: Final = """
CREATE TABLE customers (
  id int PRIMARY KEY, email text UNIQUE, ssn varchar(20), born date, age int, name text,
  city text DEFAULT 'Oslo');
CREATE TABLE orders (id int PRIMARY KEY, customer int, total numeric, note text);
CREATE TABLE events (id int, email text, region text) PARTITION BY LIST (region);
CREATE TABLE events_eu PARTITION OF events FOR VALUES IN ('eu');
CREATE TABLE events_us PARTITION OF events DEFAULT;
CREATE TABLE people (id int, email text);
CREATE TABLE staff (badge int) INHERITS (people);
CREATE TABLE archive (id int, email text);
INSERT INTO customers VALUES
  (1, 'ann@x', '111', '1990-01-01', 42, 'ann', 'Rome'),
  (2, 'bob@x', '222', '1991-02-02', 31, 'bob', 'Oslo'),
  (3, NULL, NULL, NULL, NULL, 'cid', 'Rome'),
  (4, 'dan@x', '', '1990-01-01', 42, NULL, NULL);
INSERT INTO orders VALUES (1, 1, 5, 'pen'), (2, 1, 7, 'ann@x'), (3, 2, 9, NULL), (4, 9, 1, 'x');
INSERT INTO events VALUES (1, 'ann@x', 'eu'), (2, 'bob@x', 'us'), (3, NULL, 'eu');
INSERT INTO people VALUES (1, 'ann@x');
INSERT INTO staff VALUES (2, 'bob@x', 7);
INSERT INTO archive SELECT id, email FROM customers;
"""
SCHEMA: Final = "".join(
    f"CREATE SCHEMA {name}; GRANT ALL ON SCHEMA {name} TO PUBLIC; SET search_path = {name};{_TABLES}"
    f"GRANT ALL ON ALL TABLES IN SCHEMA {name} TO PUBLIC;\n"
    for name in ("plain", "sealed")
)
VIEWS: Final = "".join(
    f"CREATE VIEW {name}.contacts AS SELECT id, email, name FROM {name}.customers;"
    f"GRANT ALL ON {name}.contacts TO PUBLIC;\n"
    for name in ("plain", "sealed")
)
"""Created after the columns are sealed."""

_SEARCHABLE: Final = 'search = ["equality"]\nmask = "null"\n'
COLUMNS: Final = f"""
[columns."sealed.customers.email"]
type = "text"
{_SEARCHABLE}
[columns."sealed.customers.ssn"]
type = "varchar(20)"
mask = "keep_last:1"
[columns."sealed.customers.born"]
type = "date"
{_SEARCHABLE}
[columns."sealed.customers.age"]
type = "int4"
{_SEARCHABLE}
[columns."sealed.events.email"]
type = "text"
{_SEARCHABLE}
[columns."sealed.people.email"]
type = "text"
{_SEARCHABLE}
[columns."sealed.archive.email"]
type = "text"
{_SEARCHABLE}
[roles.shop_app]
clear = ["sealed.*"]
write = ["sealed.*"]
[roles.support]
masked = ["sealed.customers.*"]
"""

WAYS: Final = ("simple", "extended", "binary")
_AFTER: Final = "SELECT * FROM customers ORDER BY id"


@dataclass(slots=True)
class Schemas:
    """The plain schema around the proxy, the sealed one through it."""

    plain: Client
    sealed: Client

    def close(self) -> None:
        self.plain.close()
        self.sealed.close()

    def run(
        self, sql: str, values: Sequence[bytes | None] | None = None, *, way: str
    ) -> tuple[Outcome, Outcome]:
        """(of the plain schema, of the sealed one)"""
        statement = Statement(sql)
        if values is not None or way != "simple":
            statement = Statement(sql, tuple(values or ()), result=int(way == "binary"))
        return _rolled_back(self.plain, statement), _rolled_back(self.sealed, statement)

    def check(
        self, statements: Iterable[str | tuple[str, tuple[bytes | None, ...]]], *, way: str
    ) -> None:
        """All of them have the same outcome in both schemas."""
        differences = []
        for given in statements:
            sql, values = (given, None) if isinstance(given, str) else given
            expected, got = self.run(sql, values, way=way)
            if expected != got:
                differences.append(f"{sql}\n  plain:  {expected}\n  sealed: {got}")
        assert not differences, "\n".join(differences)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a client gets, and what is in the customers' table then."""

    answer: Answer
    after: Answer | None = None

    def __str__(self) -> str:
        columns = [(c.name, c.type, c.modifier) for c in self.answer.columns]
        after = self.after.rows if self.after is not None else None
        return f"{self.answer} {columns} {after}"


def _rolled_back(client: Client, statement: Statement) -> Outcome:
    client.must("BEGIN")
    try:
        answer = client.run(statement, "")
        if answer.sqlstate is not None:
            return Outcome(answer)
        shown = replace(answer, rows=_in_some_order(answer))
        return Outcome(shown, client.run(Statement(_AFTER), ""))
    finally:
        client.must("ROLLBACK")


def _in_some_order(answer: Answer) -> tuple[tuple[bytes | None, ...], ...]:
    """Without ORDER BY, rows come in the order of a plan, which differs for differing types."""
    return tuple(sorted(answer.rows, key=lambda row: [(cell is None, cell or b"") for cell in row]))
