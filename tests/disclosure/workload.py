"""A shop's day through the proxy: random statements of several logins and sessions, each entered into a `Model` by what it means.

Whatever is not in the statement's words is decided here first and given to it: which rows, which values. So the model needs neither the
server's answer nor the log to know what was shown.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from typing import Any

import asyncpg
import psycopg

from tests.disclosure.model import Cell, Model
from tests.integration.shop import Shop

SCHEMA = """
CREATE TABLE customers (id int PRIMARY KEY, email text, ssn text, city text NOT NULL, tier int NOT NULL DEFAULT 0);
CREATE TABLE orders (
    nr int PRIMARY KEY, customer_id int NOT NULL REFERENCES customers ON DELETE CASCADE ON UPDATE CASCADE, note text);
CREATE VIEW contacts AS SELECT id, city FROM customers;
GRANT ALL ON ALL TABLES IN SCHEMA public TO PUBLIC;
"""
AFTER = "CREATE VIEW letters AS SELECT c.city, c.email, o.note FROM customers c JOIN orders o ON o.customer_id = c.id; GRANT ALL ON letters TO PUBLIC"
COLUMNS = """
[columns."public.customers.email"]
type = "text"
search = ["equality"]
mask = "email"

[columns."public.customers.ssn"]
type = "text"
mask = "keep_last:4"

[columns."public.orders.note"]
type = "text"

[subjects]
"public.customers" = "id"
"public.orders" = "customer_id"

[roles.shop_app]
clear = ["public.*"]
write = ["public.*"]

[roles.support]
clear = ["public.customers.email"]
masked = ["public.customers.ssn"]
"""
CITIES = ("Ada", "Bonn", "Cork", "Delft")
Row = dict[str, Any]


class Session:
    """One connection: its login, and the name by which the test finds it in the log."""

    def __init__(self, shop: Shop, login: str, name: str) -> None:
        self.login, self.name = login, name
        self.dsn = f"{shop.dsn(login)}?application_name={name}"
        self.connection = psycopg.connect(self.dsn, autocommit=True)

    def run(self, statement: str, given: Any = (), **options: Any) -> list[Any]:
        cursor = self.connection.execute(statement, given, **options)
        return cursor.fetchall() if cursor.description else []


class Day:
    """Executes random steps. `steps` of the model are the statements that the log has events of."""

    def __init__(self, shop: Shop, rng: random.Random) -> None:
        self.shop, self.rng, self.model = shop, rng, Model()
        self.sessions = [
            Session(shop, login, f"{login}-{n}")
            for login in ("shop_app", "support_login", "analyst")
            for n in range(2)
        ]
        self.writers = [s for s in self.sessions if s.login == "shop_app"]
        self.values = 0
        self.keys = 0

    def close(self) -> None:
        for session in self.sessions:
            session.connection.close()

    def act(self) -> None:
        self.rng.choice(READS if self.rng.random() < 0.6 else WRITES)(self)

    # -- what a step is made of ---------------------------------------------------------------------------------------

    def value(self, column: str) -> tuple[str | None, Cell | None]:
        """A value that no other is like, and its cell; at times NULL."""
        if self.rng.random() < 0.1:
            return None, None
        self.values += 1
        return f"{self.values}-12-{self.values:04}@example.com", Cell(column)

    def city(self) -> tuple[str, list[Row]]:
        """One, and its customers in the order of their ids."""
        city = self.rng.choice(CITIES)
        return city, [r for _, r in sorted(self.model.customers.items()) if r["city"] == city]

    def reader(self) -> Session:
        return self.rng.choice(self.sessions)

    def deliver(self, session: Session, cells: list[Any]) -> None:
        self.model.deliver(session.login, session.name, cells)

    def wrote(self, session: Session, *cells: Cell | None) -> None:
        self.model.wrote(session.login, session.name, cells)

    def orders_of(self, customers: list[Row]) -> list[tuple[Row, Row]]:
        mine = {id(row) for row in customers}
        return [
            (self.model.customers[order["customer_id"]], order)  # type: ignore[index]
            for order in self.model.orders.values()
            if id(self.model.customers[order["customer_id"]]) in mine  # type: ignore[index]
        ]

    def new_customer(self) -> tuple[int, Row, tuple[Any, ...]]:
        self.keys += 1
        (email, e), (ssn, s) = self.value("email"), self.value("ssn")
        row: Row = {"email": e, "ssn": s, "city": self.rng.choice(CITIES)}
        return self.keys, row, (self.keys, email, ssn, row["city"])


# -- reads ------------------------------------------------------------------------------------------------------------


def without_the_key(day: Day) -> None:
    session, (city, rows) = day.reader(), day.city()
    day.model.begin()
    got = session.run("SELECT email, ssn FROM customers WHERE city = %s", (city,))
    assert len(got) == len(rows)
    day.deliver(session, [r[c] for r in rows for c in ("email", "ssn")])


def prepared(day: Day) -> None:
    session, (city, rows) = day.reader(), day.city()
    day.model.begin()
    session.run("SELECT ssn FROM customers WHERE city = %s", (city,), prepare=True)
    day.deliver(session, [r["ssn"] for r in rows])


def joined(day: Day) -> None:
    """A customer's address as often as there are orders."""
    session, (city, rows) = day.reader(), day.city()
    day.model.begin()
    session.run(
        "SELECT o.note, c.email FROM customers c JOIN orders o ON o.customer_id = c.id WHERE c.city = %s",
        (city,),
    )
    pairs = day.orders_of(rows)
    day.deliver(session, [v for c, o in pairs for v in (o["note"], c["email"])])


def by_view(day: Day) -> None:
    session, (city, rows) = day.reader(), day.city()
    day.model.begin()
    session.run("SELECT note, email FROM letters WHERE city = %s", (city,))
    day.deliver(session, [v for c, o in day.orders_of(rows) for v in (o["note"], c["email"])])


def subquery(day: Day) -> None:
    session, (city, rows) = day.reader(), day.city()
    day.model.begin()
    session.run(
        "SELECT ssn FROM customers WHERE id IN (SELECT customer_id FROM orders) AND id IN (SELECT id FROM contacts WHERE city = %s)",
        (city,),
    )
    buyers = {id(c) for c, _ in day.orders_of(rows)}
    day.deliver(session, [r["ssn"] for r in rows if id(r) in buyers])


def grouped(day: Day) -> None:
    """Addresses are unique, so each group is one row; the NULLs' group shows nobody's."""
    session, (city, rows) = day.rng.choice(day.writers), day.city()
    day.model.begin()
    session.run("SELECT email, count(*) FROM customers WHERE city = %s GROUP BY email", (city,))
    shared = {id(cell) for cell in (r["email"] for r in rows)}
    day.deliver(session, [cell for cell in _once(r["email"] for r in rows) if id(cell) in shared])


def counted(day: Day) -> None:
    """How many there are shows no value."""
    session, (city, _) = day.rng.choice(day.writers), day.city()
    day.model.begin()
    session.run("SELECT count(email), count(*) FROM customers WHERE city = %s", (city,))


def copied_out(day: Day) -> None:
    session, (city, rows) = day.reader(), day.city()
    day.model.begin()
    with session.connection.cursor().copy(
        f"COPY (SELECT email, tier FROM customers WHERE city = '{city}') TO STDOUT"
    ) as copy:
        list(copy)
    day.deliver(session, [r["email"] for r in rows])


def cursor(day: Day) -> None:
    """What was not fetched was not shown."""
    session, (city, rows) = day.reader(), day.city()
    with session.connection.transaction():
        session.run(
            f"DECLARE c CURSOR FOR SELECT email, ssn FROM customers WHERE city = '{city}' ORDER BY id"
        )
        at = 0
        for _ in range(2):
            count = day.rng.randrange(1, 4)
            day.model.begin()
            session.run(f"FETCH {count} FROM c")
            day.deliver(session, [r[c] for r in rows[at : at + count] for c in ("email", "ssn")])
            at += count


def portal(day: Day) -> None:
    """A portal that is fetched in parts, and not to its end."""
    (city, rows), count, n = day.city(), day.rng.randrange(1, 4), day.rng.randrange(2)
    session = [s for s in day.sessions if s.login == "support_login"][n]

    async def fetch() -> None:
        connection = await asyncpg.connect(day.shop.dsn(session.login))
        async with connection.transaction():
            found = await connection.cursor(
                "SELECT email, ssn FROM customers WHERE city = $1 ORDER BY id", city
            )
            for _ in range(2):
                await found.fetch(count)
        await connection.close()

    day.model.begin()
    asyncio.run(fetch())
    shown = [r[c] for r in rows[: 2 * count] for c in ("email", "ssn")]
    day.model.deliver(session.login, "", shown)


def rolled_back_read(day: Day) -> None:
    """What was seen was seen."""
    session, (city, rows) = day.reader(), day.city()
    day.model.begin()
    with session.connection.transaction(force_rollback=True):
        session.run("SELECT email FROM customers WHERE city = %s", (city,))
    day.deliver(session, [r["email"] for r in rows])


# -- writes -----------------------------------------------------------------------------------------------------------


def inserted(day: Day) -> None:
    session = day.rng.choice(day.writers)
    key, row, given = day.new_customer()
    day.model.begin()
    session.run("INSERT INTO customers VALUES (%s, %s, %s, %s)", given)
    day.model.put("customers", key, row)
    day.wrote(session, row["email"], row["ssn"])


def copied_in(day: Day) -> None:
    session = day.rng.choice(day.writers)
    new = [day.new_customer() for _ in range(3)]
    day.model.begin()
    with session.connection.cursor().copy(
        "COPY customers (id, email, ssn, city) FROM STDIN"
    ) as copy:
        for _, _, given in new:
            copy.write_row(given)
    for key, row, _ in new:
        day.model.put("customers", key, row)
        day.wrote(session, row["email"], row["ssn"])


def ordered(day: Day) -> None:
    session = day.rng.choice(day.writers)
    if not day.model.customers:
        return
    customer = day.rng.choice(sorted(day.model.customers))
    note, cell = day.value("note")
    day.keys += 1
    day.model.begin()
    session.run("INSERT INTO orders VALUES (%s, %s, %s)", (day.keys, customer, note))
    day.model.put("orders", day.keys, {"customer_id": customer, "note": cell})
    day.wrote(session, cell)


def updated(day: Day) -> None:
    """One value for all of a city: one stored value in many rows. RETURNING shows it, and what was not touched."""
    session, (city, _) = day.rng.choice(day.writers), day.city()
    keys = [k for k, r in sorted(day.model.customers.items()) if r["city"] == city][:2]
    if day.rng.random() < 0.7:
        keys = keys[:1]
    ssn, cell = day.value("ssn")
    day.model.begin()
    session.run(
        "UPDATE customers SET ssn = %s WHERE id = ANY (%s) RETURNING ssn, email", (ssn, keys)
    )
    for key in keys:
        day.model.change("customers", key, ssn=cell)
    day.wrote(session, *([cell] if cell is not None else []))
    day.deliver(session, [day.model.customers[k][c] for k in keys for c in ("ssn", "email")])


def touched(day: Day) -> None:
    """Another column: what is sealed stays the same stored value."""
    session, (city, rows) = day.reader(), day.city()
    day.model.begin()
    session.run("UPDATE customers SET tier = tier + 1 WHERE city = %s RETURNING email", (city,))
    day.deliver(session, [r["email"] for r in rows])


def upserted(day: Day) -> None:
    """On a conflict the values that were given are in no row."""
    session = day.rng.choice(day.writers)
    key, row, given = day.new_customer()
    if day.model.customers and day.rng.random() < 0.7:
        key = day.rng.choice(sorted(day.model.customers))
    day.model.begin()
    session.run(
        "INSERT INTO customers VALUES (%s, %s, %s, %s) ON CONFLICT (id) DO UPDATE SET tier = 1",
        (key, *given[1:]),
    )
    if key not in day.model.customers:
        day.model.put("customers", key, row)
    day.wrote(session, row["email"], row["ssn"])


def renumbered(day: Day) -> None:
    if not day.model.customers:
        return
    session, key = day.reader(), day.rng.choice(sorted(day.model.customers))
    day.keys += 1
    session.run("UPDATE customers SET id = %s WHERE id = %s", (day.keys, key))
    day.model.renumber(key, day.keys)


def deleted(day: Day) -> None:
    """And the orders with the customer; RETURNING shows the last of it."""
    session, (_city, rows) = day.reader(), day.city()
    if not rows:
        return
    key = next(k for k, r in day.model.customers.items() if r is rows[0])
    day.model.begin()
    session.run("DELETE FROM customers WHERE id = %s RETURNING email", (key,))
    day.deliver(session, [rows[0]["email"]])
    day.model.remove("customers", key)


def past_the_proxy(day: Day) -> None:
    """A DBA's statement: no event, but the history knows."""
    if not day.model.orders:
        return
    nr = day.rng.choice(sorted(day.model.orders))
    day.shop.database.psql(f"DELETE FROM orders WHERE nr = {nr}")
    day.model.remove("orders", nr)


def put_back(day: Day) -> None:
    """Deleted and restored by a DBA: the same stored value in the same row, which is not gone."""
    if not day.model.orders:
        return
    nr = day.rng.choice(sorted(day.model.orders))
    day.shop.database.psql(
        f"BEGIN; CREATE TEMP TABLE kept ON COMMIT DROP AS SELECT * FROM orders WHERE nr = {nr};"
        f" DELETE FROM orders WHERE nr = {nr}; INSERT INTO orders SELECT * FROM kept; COMMIT"
    )


def rolled_back_write(day: Day) -> None:
    """It was given to be written, and is in no row."""
    session, (city, _rows) = day.rng.choice(day.writers), day.city()
    note, cell = day.value("ssn")
    day.model.begin()
    with session.connection.transaction(force_rollback=True):
        session.run("UPDATE customers SET ssn = %s WHERE city = %s", (note, city))
    day.wrote(session, cell)


def _once(cells: Any) -> list[Any]:
    return list({id(cell): cell for cell in cells}.values())


Step = Callable[[Day], None]
READS: tuple[Step, ...] = (
    *(without_the_key, prepared, joined, by_view, subquery, grouped, counted, copied_out),
    *(cursor, portal, rolled_back_read),
)
WRITES: tuple[Step, ...] = (
    *(inserted, copied_in, ordered, ordered, updated, touched, upserted, renumbered, deleted),
    *(past_the_proxy, put_back, rolled_back_write),
)
