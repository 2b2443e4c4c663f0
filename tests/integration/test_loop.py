"""Large values, long results, slow readers: what they are worth to others, in order and in memory.

Nothing here measures time (`bench/` does): while one session has something long in flight, another one's queries are
answered; and what was long arrives as it was sent.
"""

from __future__ import annotations

import re
import select
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

from proxy.wire.messages import COPY_DATA, COPY_DONE, QUERY, SYNC, message
from tests.integration.shop import Shop
from tests.integration.wire_client import WireClient, sqlstate

MB = 1 << 20


def resident(shop: Shop) -> int:
    """Bytes of memory of the proxy's process."""
    assert shop.process is not None
    status = Path(f"/proc/{shop.process.pid}/status").read_text()
    found = re.search(r"^VmRSS:\s+(\d+) kB$", status, re.MULTILINE)
    assert found is not None
    return int(found[1]) * 1024


@contextmanager
def meanwhile(work: Callable[[], object]) -> Iterator[Callable[[], bool]]:
    """Does `work` in a thread; gives a function that says whether it is still under way. Its failure is the test's."""
    failures: list[BaseException] = []

    def run() -> None:
        try:
            work()
        except BaseException as failure:
            failures.append(failure)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield thread.is_alive
    finally:
        thread.join(120)
        assert not thread.is_alive()
    assert failures == []


def answered_while(shop: Shop, under_way: Callable[[], bool]) -> int:
    """Queries on a sealed column that another session had answered meanwhile."""
    answered = 0
    with shop.connect() as other:
        while under_way():
            row = other.execute("SELECT email FROM customers WHERE id = 1").fetchone()
            assert row == ("ada@example.com",)
            answered += 1
    return answered


def test_others_are_served_while_a_large_value_is_sealed(shop: Shop) -> None:
    """50 MB, with characters of several bytes at every boundary; it comes back as it was, in both formats."""
    value = "aé漢𝄞" * (5 * MB)
    with shop.connect() as connection:

        def write() -> None:
            connection.execute(
                "INSERT INTO customers (id, name, ssn) VALUES (5000, 'big', %s)", (value,)
            )

        with meanwhile(write) as under_way:
            assert answered_while(shop, under_way) > 10
        read = "SELECT ssn FROM customers WHERE id = 5000"
        for binary in (False, True):
            assert connection.execute(read, binary=binary).fetchone() == (value,)
        connection.execute("DELETE FROM customers WHERE id = 5000")


def test_others_are_served_while_a_large_value_is_relayed(shop: Shop) -> None:
    """40 MB in a table that has nothing to do with sealing, to the server and back."""
    value = bytes(range(256)) * (160 * 1024)
    with shop.connect() as connection:

        def write() -> None:
            connection.execute("INSERT INTO orders (id, blob) VALUES (5000, %b)", (value,))

        with meanwhile(write) as under_way:
            assert answered_while(shop, under_way) > 5
        read = "SELECT blob FROM orders WHERE id = 5000"
        for binary in (False, True):
            assert connection.execute(read, binary=binary).fetchone() == (value,)
        connection.execute("DELETE FROM orders WHERE id = 5000")


def test_a_client_that_leaves_in_the_middle_of_a_large_value(shop: Shop) -> None:
    """Nothing is stored, its session's end is on record, and others go on."""
    before = shop.clear_events()
    with WireClient(shop.port) as wire:
        wire.start("shop_app", shop.database.name)
        sql = b"INSERT INTO customers (id, name, ssn) VALUES (5001, 'left', '" + b"x" * (3 * MB)
        wire.send(message(QUERY, sql + b"')\x00")[: 2 * MB])
    deadline = time.monotonic() + 20
    while all(e["metadata"]["event_code"] != "session.closed" for e in shop.events()[before:]):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    with shop.direct() as direct:
        assert direct.execute("SELECT FROM customers WHERE id = 5001").fetchall() == []


def test_a_pipeline_that_is_cut_into_pieces_keeps_its_order(shop: Shop) -> None:
    """Thousands of statements in one stream: every answer comes, each on its place, errors included."""
    count = 3000
    sql = "".join(f"SELECT {i}, email FROM customers WHERE id = 1;" for i in range(40))
    with WireClient(shop.port, 60) as wire:
        wire.start("shop_app", shop.database.name)
        one = [
            message(QUERY, f"SELECT {i}, ssn FROM customers WHERE id = 1".encode() + b"\x00")
            for i in range(count)
        ]
        one[count // 2] = message(QUERY, b"SELECT 1/0\x00")
        sender = threading.Thread(
            target=lambda: wire.send(*one, message(QUERY, sql.encode() + b"\x00"))
        )
        sender.start()
        got = [wire.until("Z") for _ in range(count + 1)]
        sender.join()
    for i, answer in enumerate(got[:count]):
        if i == count // 2:
            assert sqlstate(answer[0][1]) == "22012"
        else:
            assert [body for kind, body in answer if kind == "D"] == [
                b"\x00\x02" + field(str(i)) + field("123-45-6789")
            ]
    assert sum(kind == "D" for kind, _ in got[count]) == 40


def field(text: str) -> bytes:
    return len(text).to_bytes(4, "big") + text.encode()


def test_nested_arrays_cost_nothing(shop: Shop) -> None:
    """20 times `ARRAY[`, for which sqlglot would need 2^20 steps: refused where a sealed column is in them, else relayed."""
    nested = "ARRAY[" * 20 + "%s" + "]" * 20
    with shop.connect() as connection:
        for _ in range(20):
            with pytest.raises(psycopg.errors.StatementTooComplex):
                connection.execute("SELECT " + nested.replace("%s", "email") + " FROM customers")
            relayed = connection.execute("SELECT " + nested.replace("%s", "n") + " FROM plain")
            assert relayed.fetchall() == []
        assert connection.execute("SELECT 1").fetchone() == (1,)


def test_a_statement_of_thousands_of_tokens_keeps_its_place(shop: Shop) -> None:
    """It is read in another thread; what is pipelined behind it is answered behind it."""
    items = ",".join(f"{i} + 0" for i in range(4000))
    sql = f"SELECT count(*) FROM customers WHERE email = 'ada@example.com' AND id IN ({items})"
    with WireClient(shop.port, 60) as wire:
        wire.start("shop_app", shop.database.name)
        wire.send(
            message(QUERY, b"SELECT 'before'\x00"),
            message(QUERY, sql.encode() + b"\x00"),
            message(QUERY, b"SELECT 'behind'\x00"),
        )
        answers = [wire.until("Z") for _ in range(3)]
    rows = [[body[6:] for kind, body in answer if kind == "D"] for answer in answers]
    assert rows == [[b"before"], [b"1"], [b"behind"]]


def test_one_long_copy_message_takes_memory_in_proportion(shop: Shop) -> None:
    """A CopyData of 8 MB that waits for CopyInResponse: sealed row by row, not taken apart as a whole."""
    with WireClient(shop.port, 120) as wire:
        wire.start("shop_app", shop.database.name)
        wire.query("CREATE TEMP TABLE unused (n int)")
        rows = 40_000
        body = "".join(f"{100_000 + i}\tname\t{'9' * 180}\n" for i in range(rows)).encode()
        before = resident(shop)
        wire.send(
            message(QUERY, b"COPY customers (id, name, ssn) FROM STDIN\x00")
            + message(COPY_DATA, body)
            + message(COPY_DONE, b"")
        )
        tags = [answer for kind, answer in wire.until("Z") if kind == "C"]
        assert tags == [b"COPY %d\x00" % rows]
        assert resident(shop) - before < 20 * len(body)
    with shop.direct() as direct:
        found = direct.execute("SELECT count(*) FROM customers WHERE id >= 100000").fetchone()
        assert found == (rows,)
    with shop.connect() as connection:
        wanted = "SELECT ssn FROM customers WHERE id IN (100000, 120000, 139999)"
        assert connection.execute(wanted).fetchall() == [("9" * 180,)] * 3
        connection.execute("DELETE FROM customers WHERE id >= 100000")


@pytest.mark.parametrize(
    ("rows", "sealed"),
    [
        pytest.param(300_000, False, id="untouched"),
        pytest.param(60_000, True, id="sealed"),
        pytest.param(5_000_000, False, id="untouched, 5 million rows", marks=pytest.mark.long),
        pytest.param(5_000_000, True, id="sealed, 5 million rows", marks=pytest.mark.long),
    ],
)
def test_memory_is_flat_while_a_slow_reader_takes_a_long_result(
    shop: Shop, rows: int, sealed: bool
) -> None:
    """The server waits for the client; the proxy holds a few buffers, however long the result is."""
    column = "c.ssn" if sealed else "repeat('x', 200)"
    sql = f"SELECT n, {column} FROM customers c, generate_series(1, {rows}) n WHERE c.id = 1"
    with WireClient(shop.port, 600) as wire:
        wire.start("shop_app", shop.database.name)
        wire.query("SELECT 1")
        before = peak = resident(shop)
        wire.send(message(QUERY, sql.encode() + b"\x00"))
        time.sleep(1)  # The reader sleeps: whoever buffers without bound does it now.
        peak = max(peak, resident(shop))
        got = size = 0
        tail = b""
        while not tail.endswith(b"Z\x00\x00\x00\x05I"):
            data = wire.socket.recv(1 << 18)
            assert data
            size += len(data)
            tail = (tail + data)[-6:]
            got += 1
            if got % 64 == 0:
                time.sleep(0.005)
                peak = max(peak, resident(shop))
    assert size > rows * 25
    assert peak - before < 16 * MB


def test_an_idle_connection_costs_little(shop: Shop) -> None:
    """Under 60 kB each, for 50 connections that have had a query answered."""
    connections = [WireClient(shop.port) for _ in range(10)]
    try:
        for wire in connections:
            wire.start("shop_app", shop.database.name)
            wire.query("SELECT email FROM customers WHERE id = 1")
        before = resident(shop)
        more = [WireClient(shop.port) for _ in range(50)]
        connections += more
        for wire in more:
            wire.start("shop_app", shop.database.name)
            wire.query("SELECT email FROM customers WHERE id = 1")
        assert resident(shop) - before < 50 * 60 * 1024
    finally:
        for wire in connections:
            wire.socket.close()


def test_statements_of_a_client_that_reads_nothing_do_not_pile_up(shop: Shop) -> None:
    """Sealgate reads no more of it, as PostgreSQL does; once the client reads, it gets every answer."""
    several, sent = 10_000, 0
    sync = message(SYNC, b"")
    with WireClient(shop.port) as client:
        client.start("shop_app", shop.database.name)
        client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 64 * 1024)
        client.socket.setblocking(False)
        before, rest = resident(shop), b""
        while select.select([], [client.socket], [], 2)[1] and sent < 50_000_000:
            rest = rest or sync * several
            taken = client.socket.send(rest)
            sent, rest = sent + taken, rest[taken:]
        assert resident(shop) - before < 64 * MB
        client.socket.settimeout(30)
        answers = (sent // len(sync)) * len(message(ord("Z"), b"I"))
        while answers > 0:
            answers -= len(client.socket.recv(1 << 20))
        assert answers == 0
