"""One event for each execution and sealed table, exactly once, whatever becomes of the execution.

Every statement carries a number in a comment (`ticket`), by which its events are found again. What they must say is counted by
the client from what it received. What would be silently wrong: an execution without an event, one told of twice, cells counted
that nobody got, and cells that somebody got and nobody counted.
"""

from __future__ import annotations

import os
import random
import struct
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from proxy.wire.messages import (
    SYNC_MESSAGE,
    Bind,
    Parse,
    message,
    write_bind,
    write_execute,
    write_parse,
    write_target,
)
from tests.conftest import Database
from tests.integration.shop import Shop
from tests.integration.wire_client import WireClient

CUSTOMERS = 400
SCHEMA = f"""
CREATE TABLE customers (id int PRIMARY KEY, email text, ssn text, note text);
CREATE TABLE orders (id int PRIMARY KEY, customer int, item text);
CREATE TABLE scratch (id int, email text);
INSERT INTO customers SELECT n, 'e' || n || '@example.com', CASE WHEN n % 3 > 0 THEN 's' || n END,
  repeat('long ', 200) FROM generate_series(1, {CUSTOMERS}) n;
INSERT INTO orders SELECT n, n, 'item ' || n FROM generate_series(1, {CUSTOMERS}) n;
GRANT ALL ON ALL TABLES IN SCHEMA public TO PUBLIC;
"""
COLUMNS = """
[columns."public.customers.email"]
type = "text"
search = ["equality"]
[columns."public.customers.ssn"]
type = "text"
mask = "keep_last:1"
[columns."public.orders.item"]
type = "text"
[columns."public.scratch.email"]
type = "text"
[roles.shop_app]
clear = ["*"]
write = ["*"]
[roles.support]
clear = ["public.customers.email"]
masked = ["public.customers.ssn"]
"""
EMAIL, SSN, ITEM = "public.customers.email", "public.customers.ssn", "public.orders.item"
SCRATCH = "public.scratch.email"
SEES = {
    "shop_app": {EMAIL: "clear", SSN: "clear", ITEM: "clear"},
    "support_login": {EMAIL: "clear", SSN: "masked", ITEM: "withheld"},
}
WIDE = "SELECT email, ssn, id, note FROM customers ORDER BY id"
"""More than is held for one event: it goes out in parts."""
CUT_OFF = ("08006", "08003", "57P01")


@pytest.fixture(scope="module")
def shop(
    make_database: Callable[[], Database], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Shop]:
    database = make_database()
    database.psql(SCHEMA)
    shop = Shop(database, tmp_path_factory.mktemp("once"), columns=COLUMNS)
    shop.prepare()
    shop.serve()
    yield shop
    shop.stop()
    database.postgres.drop_database(database.name)


@dataclass
class Told:
    """What the events of one statement must say."""

    tables: set[str]
    cells: Counter[tuple[str, str]] = field(default_factory=Counter)
    """By column and outcome, exactly; of a client that left, at least."""
    at_most: Counter[tuple[str, str]] | None = None
    status: set[str] = field(default_factory=lambda: {"00000"})
    """SQLSTATEs that the last part may have."""
    refused: bool = False


class Player:
    """One session that does things at random and keeps account of what it got."""

    def __init__(self, shop: Shop, login: str, rng: random.Random, numbers: Iterator[int]) -> None:
        self.shop = shop
        self.login = login
        self.rng = rng
        self.numbers = numbers
        self.expected: dict[str, Told] = {}
        self.wire = WireClient(shop.port, timeout=30)
        key = self.wire.start(login, shop.database.name)
        self.key = next(body for kind, body in key if kind == "K")
        self.gone = False

    def ticket(self) -> tuple[str, str]:
        number = str(next(self.numbers))
        return number, f" /*ticket='{number}'*/"

    def saw(self, cells: list[list[bytes | None]], columns: list[str | None]) -> Counter[Any]:
        """What was delivered, by what these rows hold; a withheld value is NULL and cannot be seen so."""
        counts: Counter[Any] = Counter()
        for row in cells:
            for value, column in zip(row, columns, strict=True):
                if column is not None and value is not None:
                    counts[column, SEES[self.login][column]] += 1
        return counts

    # What it does.

    def simple(self) -> None:
        """A whole result by the simple protocol, in parts where it is long."""
        number, comment = self.ticket()
        got = rows(self.wire.query(WIDE + comment))
        assert len(got) == CUSTOMERS
        self.expected[number] = Told({"customers"}, self.saw(got, [EMAIL, SSN, None, None]))

    def two_tables(self) -> None:
        """A statement on two sealed tables makes two events."""
        number, comment = self.ticket()
        sql = "SELECT c.email, o.item FROM customers c JOIN orders o ON o.customer = c.id WHERE c.id <= 20"
        got = rows(self.wire.query(sql + comment))
        cells = self.saw(got, [EMAIL, ITEM])
        if SEES[self.login][ITEM] == "withheld":
            assert all(row[1] is None for row in got)
            cells[ITEM, "withheld"] = len(got)
        self.expected[number] = Told({"customers", "orders"}, cells)

    def portal(self) -> None:
        """A portal in portions, to its end or not; then closed, or ended by Sync."""
        number, comment = self.ticket()
        portion = self.rng.choice((1, 7, 150, 399, 400, 1000))
        fetches = self.rng.randrange(1, 5)
        self.wire.send(
            write_parse(Parse(b"", (WIDE + comment).encode(), ())),
            write_bind(Bind(b"p", b"", (), (), ())),
        )
        got: list[list[bytes | None]] = []
        done = False
        for _ in range(fetches):
            self.wire.send(write_execute(b"p", portion), FLUSH)
            answer = []
            while not answer or answer[-1][0] not in "sC":
                one = self.wire.read()
                assert one is not None
                answer.append(one)
            got += rows(answer)
            if answer[-1][0] == "C":
                done = True
                break
        if self.rng.random() < 0.5:
            self.wire.send(write_target(ord("C"), "P", b"p"))
        self.wire.send(SYNC_MESSAGE)
        self.wire.until("Z")
        told = Told({"customers"}, self.saw(got, [EMAIL, SSN, None, None]))
        assert done or len(got) == fetches * portion
        self.expected[number] = told

    def pipeline(self) -> None:
        """Three statements in one go, the second of which fails: the third is not executed, nor told of."""
        sqls = [
            "SELECT email FROM customers WHERE id <= 3",
            "SELECT email, 1 / (id - 5) FROM customers WHERE id = 5",
            "SELECT email FROM customers WHERE id <= 9",
        ]
        tickets = [self.ticket() for _ in sqls]
        for sql, (_, comment) in zip(sqls, tickets, strict=True):
            self.wire.send(
                write_parse(Parse(b"", (sql + comment).encode(), ())),
                write_bind(Bind(b"", b"", (), (), ())),
                write_execute(b""),
            )
        self.wire.send(SYNC_MESSAGE)
        got = rows(self.wire.until("Z"))
        assert len(got) == 3
        self.expected[tickets[0][0]] = Told({"customers"}, self.saw(got, [EMAIL]))
        self.expected[tickets[1][0]] = Told({"customers"}, status={"22012"})

    def fails_late(self) -> None:
        """An error behind rows that were sent already."""
        number, comment = self.ticket()
        stop = self.rng.randrange(2, CUSTOMERS)
        sql = f"SELECT email, ssn, 1 / (id - {stop}), note FROM customers WHERE id > 0 ORDER BY id"
        got = rows(self.wire.query(sql + comment))
        assert len(got) <= stop
        cells = self.saw(got, [EMAIL, SSN, None, None])
        self.expected[number] = Told({"customers"}, cells, status={"22012"})

    def cancelled(self) -> None:
        """A cancel request in the middle of a result."""
        number, comment = self.ticket()
        sql = "SELECT email, ssn, note, pg_sleep(0.001) FROM customers a, generate_series(1, 50)"
        self.wire.send(message(ord("Q"), (sql + comment).encode() + b"\0"))
        time.sleep(self.rng.random() * 0.2)
        with WireClient(self.shop.port) as other:
            other.send(struct.pack("!II", 16, 80877102) + self.key)
            other.closed()
        got = rows(self.wire.until("Z"))
        cells = self.saw(got, [EMAIL, SSN, None, None])
        self.expected[number] = Told({"customers"}, cells, status={"57014"})

    def rolled_back(self) -> None:
        """What a transaction did is told of, though it is undone."""
        assert not rows(self.wire.query("BEGIN"))
        number, comment = self.ticket()
        got = rows(self.wire.query("SELECT email FROM customers WHERE id <= 4" + comment))
        self.expected[number] = Told({"customers"}, self.saw(got, [EMAIL]))
        number, comment = self.ticket()
        insert = "INSERT INTO scratch SELECT n, 'x' FROM generate_series(1, 3) n"
        if self.login == "shop_app":
            insert = "INSERT INTO scratch VALUES (1, 'one'), (2, 'two'), (3, NULL)"
            self.expected[number] = Told({"scratch"}, Counter({(SCRATCH, "written"): 2}))
        else:
            self.expected[number] = Told({"scratch"}, status={"42501"}, refused=True)
        self.wire.query(insert + comment)
        self.wire.query("ROLLBACK")

    def cursor(self) -> None:
        """Each FETCH is an execution."""
        self.wire.query("BEGIN")
        self.wire.query(f"DECLARE c SCROLL CURSOR FOR {WIDE}")
        for _ in range(self.rng.randrange(1, 5)):
            number, comment = self.ticket()
            how = self.rng.choice(("NEXT", "5", "BACKWARD 3", "ALL", "ABSOLUTE 17", "FORWARD 130"))
            got = rows(self.wire.query(f"FETCH {how} FROM c" + comment))
            self.expected[number] = Told({"customers"}, self.saw(got, [EMAIL, SSN, None, None]))
        self.wire.query("COMMIT")

    def compared(self) -> None:
        """A look-up: compared, and read if anything was found."""
        number, comment = self.ticket()
        wanted = self.rng.choice(("e7@example.com", "nobody@example.com"))
        self.wire.send(
            write_parse(
                Parse(b"", ("SELECT id FROM customers WHERE email = $1" + comment).encode(), ())
            ),
            write_bind(Bind(b"", b"", (), (wanted.encode(),), ())),
            write_execute(b""),
            SYNC_MESSAGE,
        )
        got = rows(self.wire.until("Z"))
        assert len(got) == (wanted[0] == "e")
        self.expected[number] = Told({"customers"})

    def copied(self) -> None:
        """COPY out, in parts where it is long."""
        number, comment = self.ticket()
        sql = "COPY (SELECT email, ssn, note FROM customers) TO STDOUT"
        answer = self.wire.query(sql + comment)
        data = [body for kind, body in answer if kind == "d"]
        got = [line.rstrip(b"\n").split(b"\t") for line in data]
        cells = [[None if cell == rb"\N" else cell for cell in row] for row in got]
        self.expected[number] = Told({"customers"}, self.saw(cells, [EMAIL, SSN, None]))

    def copied_in(self) -> None:
        """COPY in; given up in the middle as well."""
        number, comment = self.ticket()
        self.wire.query("BEGIN")
        self.wire.send(message(ord("Q"), f"COPY scratch FROM STDIN{comment}".encode() + b"\0"))
        first = self.wire.read()
        assert first is not None
        if first[0] != "G":
            self.wire.until("Z")
            self.wire.query("ROLLBACK")
            self.expected[number] = Told({"scratch"}, status={"42501"}, refused=True)
            return
        self.wire.send(message(ord("d"), b"1\tone\n2\t\\N\n3\tthree\n"))
        given_up = self.rng.random() < 0.5
        self.wire.send(message(ord("f"), b"no\0") if given_up else message(ord("c"), b""))
        self.wire.until("Z")
        self.wire.query("ROLLBACK")
        if given_up:
            self.expected[number] = Told({"scratch"}, status={"57014"})
        else:
            self.expected[number] = Told({"scratch"}, Counter({(SCRATCH, "written"): 2}))

    def leaves(self) -> None:
        """The client is gone in the middle of a result."""
        number, comment = self.ticket()
        sql = "SELECT email, ssn, note FROM customers, generate_series(1, 20) ORDER BY id"
        self.wire.send(message(ord("Q"), (sql + comment).encode() + b"\0"))
        got = []
        for _ in range(self.rng.randrange(600)):
            one = self.wire.read()
            assert one is not None
            got.append(one)
        cells = self.saw(rows(got), [EMAIL, SSN, None])
        most = Counter(
            {(EMAIL, SEES[self.login][EMAIL]): 20 * 400, (SSN, SEES[self.login][SSN]): 20 * 267}
        )
        self.expected[number] = Told({"customers"}, cells, most, {"00000", *CUT_OFF})
        self.wire.socket.close()
        self.gone = True


FLUSH = message(ord("H"), b"")
ACTIONS = (
    *(Player.simple, Player.two_tables, Player.portal, Player.pipeline, Player.fails_late),
    *(Player.cancelled, Player.rolled_back, Player.cursor, Player.compared, Player.copied),
    *(Player.copied_in, Player.leaves),
)


def rows(messages: list[tuple[str, bytes]]) -> list[list[bytes | None]]:
    """The cells of every DataRow."""
    found = []
    for kind, body in messages:
        if kind != "D":
            continue
        (count,) = struct.unpack_from("!H", body)
        at, cells = 2, []
        for _ in range(count):
            (length,) = struct.unpack_from("!i", body, at)
            at += 4
            cells.append(body[at : at + length] if length >= 0 else None)
            at += max(length, 0)
        found.append(cells)
    return found


def by_ticket(events: list[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    found = defaultdict(list)
    for event in events:
        claimed = event.get("unmapped", {}).get("sealgate", {}).get("claimed", {})
        if "ticket" in claimed:
            found[claimed["ticket"]].append(event)
    return found


def check(number: str, told: Told, events: list[dict[str, Any]]) -> None:
    assert events, f"statement {number} has no event"
    executions = {event["unmapped"]["sealgate"]["execution"] for event in events}
    assert len(executions) == 1, number
    by_table = defaultdict(list)
    for event in events:
        by_table[event["table"]["name"]].append(event)
    assert set(by_table) == {f"public.{table}" for table in told.tables}, number
    cells: Counter[tuple[str, str]] = Counter()
    for table, of_table in by_table.items():
        if told.refused:
            (event,) = of_table
            assert event["metadata"]["event_code"] == "statement.refused"
            assert event["status_code"] in told.status
            continue
        said = [event["unmapped"]["sealgate"] for event in of_table]
        assert [one["part"] for one in said] == list(range(1, len(said) + 1)), (number, table)
        assert [one["final"] for one in said] == [False] * (len(said) - 1) + [True], number
        assert of_table[-1]["status_code"] in told.status, (number, of_table[-1]["status_code"])
        for one in said:
            for column in one["columns"]:
                if column["outcome"] != "compared":
                    cells[column["name"], column["outcome"]] += column["cells"]
                    assert len(column.get("cell_ids", ())) in (0, column["cells"])
            assert one["cells"] == sum(column["cells"] for column in one["columns"])
    if told.at_most is None:
        assert +cells == +told.cells, number
    else:
        assert told.cells <= cells <= told.at_most, number


@pytest.mark.parametrize("sessions", [12, pytest.param(300, marks=pytest.mark.long)])
def test_random_sessions(shop: Shop, sessions: int) -> None:
    """Portals resumed, pipelines, errors, cancels, rollbacks, disconnects, COPY, cursors: each execution once."""
    seed = int(os.environ.get("ONCE_SEED") or random.randrange(1 << 32))
    print(f"ONCE_SEED={seed}")
    rng = random.Random(seed)
    numbers = iter(range(rng.randrange(1 << 40) << 20, 1 << 62))
    expected: dict[str, Told] = {}
    done: Counter[str] = Counter()
    for session in range(sessions):
        player = Player(shop, rng.choice(tuple(SEES)), rng, numbers)
        with player.wire:
            queue = [ACTIONS[session % len(ACTIONS)], *rng.choices(ACTIONS[:-1], k=5)]
            if queue[0] is Player.leaves:
                queue.append(queue.pop(0))
            for action in queue:
                action(player)
                done[action.__name__] += 1
        expected |= player.expected
    assert set(done) == {action.__name__ for action in ACTIONS}
    events = settled(shop, expected)
    found = by_ticket(events)
    assert set(found) == set(expected)
    for number, told in expected.items():
        check(number, told, found[number])
    uids = [event["metadata"]["uid"] for event in events]
    assert len(set(uids)) == len(uids)


def settled(shop: Shop, expected: dict[str, Told]) -> list[dict[str, Any]]:
    """The events, once those of clients that left are there."""
    deadline = time.monotonic() + 20
    while True:
        events = shop.events()
        found = by_ticket(events)
        last = [found[number][-1] for number in expected if found.get(number)]
        final = [e for e in last if e["unmapped"]["sealgate"].get("final", True)]
        if len(final) == len(expected) or time.monotonic() > deadline:
            return events
        time.sleep(0.1)
