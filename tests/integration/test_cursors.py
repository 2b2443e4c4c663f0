"""Cursors and portals on sealed columns, through the real proxy.

What would be silently wrong: rows of one cursor shown as another's columns, a masked role that reads through FETCH,
rows released without an event, a cursor remembered after its transaction.
"""

from __future__ import annotations

import datetime
import struct
from collections.abc import Iterator
from typing import Any

import asyncpg
import psycopg
import pytest
import sqlalchemy as sa

from proxy.wire.messages import (
    SYNC_MESSAGE,
    Bind,
    Parse,
    read_row_description,
    write_bind,
    write_execute,
    write_parse,
    write_target,
)
from tests.integration.shop import Shop
from tests.integration.wire_client import WireClient, sqlstate

SYNC = SYNC_MESSAGE
EMAILS = [f"{n:02}@example.com" for n in range(20)]


@pytest.fixture(scope="module")
def filled(shop: Shop) -> Shop:
    """Twenty more customers, whose names are numbers."""
    with shop.connect() as app:
        for n, email in enumerate(EMAILS):
            app.execute(
                "INSERT INTO customers (name, email, ssn) VALUES (%s, %s, %s)",
                (f"{n:02}", email, f"ssn {n:02}"),
            )
    with shop.direct() as owner:
        owner.execute(
            "CREATE FUNCTION opened() RETURNS refcursor LANGUAGE plpgsql AS $$ DECLARE c refcursor := 'inner';"
            " BEGIN OPEN c FOR SELECT email, ssn, id FROM customers ORDER BY id; RETURN c; END $$"
        )
    return shop


@pytest.fixture
def app(filled: Shop) -> Iterator[psycopg.Connection[Any]]:
    with filled.connect() as connection:
        yield connection


@pytest.fixture
def wire(filled: Shop) -> Iterator[WireClient]:
    with WireClient(filled.port) as wire:
        wire.start("shop_app", filled.database.name)
        yield wire


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


def first_cells(messages: list[tuple[str, bytes]]) -> list[str]:
    return [(cells[0] or b"").decode() for cells in rows(messages)]


def kinds(messages: list[tuple[str, bytes]]) -> str:
    return "".join(kind for kind, _ in messages)


def reads(shop: Shop, before: int, command: str = "FETCH") -> list[dict[str, Any]]:
    """Product fields of the new events of one command."""
    events = [e["unmapped"]["sealgate"] for e in shop.events()[before:]]
    return [e for e in events if e.get("command") == command]


ALL = "SELECT email, ssn, id FROM customers WHERE name < 'A' ORDER BY name"


# SQL's cursors.


def test_fetch_in_every_direction(app: psycopg.Connection[Any]) -> None:
    """SCROLL cursors go forward, back and anywhere; each row is the row it would be."""
    with app.transaction():
        app.execute(f"DECLARE c SCROLL CURSOR FOR {ALL}")

        def fetched(direction: str) -> list[str]:
            return [row[0] for row in app.execute(f"FETCH {direction} c").fetchall()]

        assert fetched("") == EMAILS[:1]
        assert fetched("NEXT FROM") == EMAILS[1:2]
        assert fetched("3 IN") == EMAILS[2:5]
        assert fetched("PRIOR FROM") == EMAILS[3:4]
        assert fetched("BACKWARD 2 FROM") == [EMAILS[2], EMAILS[1]]
        assert fetched("ABSOLUTE 10 FROM") == EMAILS[9:10]
        assert fetched("RELATIVE -4 FROM") == EMAILS[5:6]
        assert fetched("ABSOLUTE -1 FROM") == EMAILS[-1:]
        assert fetched("FIRST FROM") == EMAILS[:1]
        assert fetched("LAST FROM") == EMAILS[-1:]
        assert fetched("FORWARD ALL FROM") == []
        assert fetched("BACKWARD ALL FROM") == EMAILS[::-1]
        assert app.execute("MOVE FORWARD 5 IN c").statusmessage == "MOVE 5"
        assert fetched("FORWARD FROM") == EMAILS[5:6]
        app.execute("CLOSE c")
        with pytest.raises(psycopg.errors.InvalidCursorName), app.transaction():
            app.execute("FETCH c")


def test_a_cursor_compares(filled: Shop, app: psycopg.Connection[Any]) -> None:
    """Literals and parameters of a DECLARE are sealed; FETCH and MOVE are the executions that the log shows."""
    before = filled.clear_events()
    with app.transaction():
        app.execute(
            "DECLARE a CURSOR FOR SELECT id, email FROM customers WHERE email = '03@example.com'"
        )
        app.execute(
            "DECLARE b CURSOR FOR SELECT id FROM customers WHERE email = ANY(%s)", (EMAILS[:3],)
        )
        assert len(filled.events()) == before
        (row,) = app.execute("FETCH ALL a").fetchall()
        assert row[1] == EMAILS[3]
        assert app.execute("MOVE ALL b").statusmessage == "MOVE 3"
    fetch, move = reads(filled, before), reads(filled, before, "MOVE")
    assert {(c["name"], c["outcome"], c["cells"]) for c in fetch[0]["columns"]} == {
        ("public.customers.email", "clear", 1),
        ("public.customers.email", "compared", 0),
    }
    assert [c["outcome"] for c in move[0]["columns"]] == ["compared"]
    (event,) = [
        e for e in filled.events()[before:] if e["unmapped"]["sealgate"].get("command") == "FETCH"
    ]
    assert event["query_info"]["query_string"].startswith("DECLARE a CURSOR FOR SELECT id, email")
    assert "03@" not in str(event)


def test_where_nothing_tells_the_column_the_declared_query_does(
    app: psycopg.Connection[Any],
) -> None:
    """Set operations lose the column in RowDescription; the logical type comes from the DECLARE."""
    union = "SELECT email FROM customers WHERE id = 1 UNION ALL SELECT email FROM customers WHERE id = 2"
    with app.transaction():
        app.execute(f"DECLARE c CURSOR FOR {union}")
        cursor = app.execute("FETCH ALL c")
        assert cursor.description is not None
        assert cursor.description[0].type_code == 25
        assert cursor.fetchall() == [("ada@example.com",), ("bob@example.com",)]


def test_each_cursor_has_its_own_columns(app: psycopg.Connection[Any]) -> None:
    """A name that is declared again, with a savepoint rolled back between, means what the server means by it."""
    dates = "SELECT birth_date FROM customers WHERE id = 1 UNION ALL SELECT birth_date FROM customers WHERE id = 2"
    mails = "SELECT email FROM customers WHERE id = 1 UNION ALL SELECT email FROM customers WHERE id = 2"
    date = datetime.date(1985, 12, 10)
    app.execute("BEGIN")
    app.execute(f"DECLARE c CURSOR FOR {dates}")
    app.execute("SAVEPOINT s")
    app.execute("CLOSE c")
    app.execute(f"DECLARE c CURSOR FOR {mails}")
    assert app.execute("FETCH c").fetchone() == ("ada@example.com",)
    app.execute("ROLLBACK TO s")
    app.execute(f"DECLARE c CURSOR FOR {dates}")
    assert app.execute("FETCH c").fetchone() == (date,)
    app.execute("SAVEPOINT t")
    app.execute(f"DECLARE d CURSOR FOR {mails}")
    app.execute("RELEASE t")
    assert app.execute("FETCH d").fetchone() == ("ada@example.com",)
    app.execute("ROLLBACK TO SAVEPOINT s")
    app.execute(f"DECLARE d CURSOR FOR {dates}")
    assert app.execute("FETCH d").fetchone() == (date,)
    app.execute("ROLLBACK")
    with app.transaction():
        app.execute(f"DECLARE c CURSOR FOR {mails}")
        assert app.execute("FETCH c").fetchone() == ("ada@example.com",)


def test_a_function_that_closes_and_opens_is_unsealed_by_value(
    app: psycopg.Connection[Any],
) -> None:
    """A refcursor that a function has opened: nobody told us its query."""
    with app.transaction():
        assert app.execute("SELECT opened()").fetchone() == ("inner",)
        rows_ = app.execute('FETCH 2 FROM "inner"').fetchall()
        assert [row[0] for row in rows_] == ["ada@example.com", "bob@example.com"]


def test_a_cursor_with_hold_outlives_its_transaction(app: psycopg.Connection[Any]) -> None:
    """Also outside a transaction; CLOSE ALL and DISCARD ALL end it; a rolled-back one never was."""
    mails = "SELECT email FROM customers WHERE id = 1 UNION ALL SELECT email FROM customers WHERE id = 2"
    app.execute(f"DECLARE h SCROLL CURSOR WITH HOLD FOR {mails}")
    assert app.execute("FETCH h").fetchone() == ("ada@example.com",)
    with app.transaction():
        assert app.execute("FETCH h").fetchone() == ("bob@example.com",)
    assert app.execute("FETCH FIRST FROM h").fetchone() == ("ada@example.com",)
    app.execute("CLOSE ALL; UNLISTEN *; RESET ALL")
    with pytest.raises(psycopg.errors.InvalidCursorName):
        app.execute("FETCH h")
    app.execute("BEGIN")
    app.execute(f"DECLARE h CURSOR WITH HOLD FOR {mails}")
    app.execute("ROLLBACK AND CHAIN")
    app.execute("DECLARE h CURSOR FOR SELECT 'plain'::bytea UNION ALL SELECT 'p'")
    assert app.execute("FETCH h").fetchone() == (b"plain",)
    app.execute("COMMIT")


def test_a_cursor_that_failed_to_stay(wire: WireClient) -> None:
    """WITH HOLD in a message that fails afterwards: the name is free, and what it meant is forgotten."""
    mails = "SELECT email FROM customers WHERE id = 1 UNION ALL SELECT email FROM customers WHERE id = 2"
    wire.query(f"DECLARE h CURSOR WITH HOLD FOR {mails}; SELECT 1/0")
    answer = wire.query(
        "BEGIN; DECLARE h CURSOR FOR SELECT 'p'::bytea UNION ALL SELECT 'q'; FETCH h"
    )
    assert first_cells(answer) == [r"\x70"]


def test_a_binary_cursor(wire: WireClient) -> None:
    """Its rows are in binary, in a simple query too: the plaintext in the type's own form."""
    wire.query(
        "BEGIN; DECLARE c BINARY CURSOR FOR SELECT birth_date, email FROM customers WHERE id = 1"
    )
    answer = wire.query("FETCH ALL c")
    description = read_row_description(dict(answer)["T"])
    assert [(f.type, f.format) for f in description] == [(1082, 1), (25, 1)]
    days = (datetime.date(1985, 12, 10) - datetime.date(2000, 1, 1)).days
    assert rows(answer) == [[struct.pack("!i", days), b"ada@example.com"]]


def test_masked_and_ungranted_roles_fetch_what_they_may_see(filled: Shop) -> None:
    """The value decides, whatever it comes by: FETCH, a held cursor, a function's cursor."""
    expected = {"support_login": ("ada@example.com", "*******6789"), "analyst": (None, None)}
    for login, seen in expected.items():
        with filled.connect(login) as connection:
            connection.execute(
                "DECLARE h CURSOR WITH HOLD FOR SELECT email, ssn FROM customers WHERE id = 1"
            )
            assert connection.execute("FETCH h").fetchone() == seen
            with connection.transaction():
                connection.execute("SELECT opened()")
                row = connection.execute('FETCH "inner"').fetchone()
                assert row is not None
                assert row[:2] == seen
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(
                    "DECLARE c CURSOR WITH HOLD FOR SELECT id FROM customers WHERE birth_date = '2000-01-01'"
                )


def test_a_fetch_is_recorded_before_its_rows(filled: Shop, wire: WireClient) -> None:
    """One event per FETCH that delivers rows, with the number of them."""
    before = filled.clear_events()
    wire.query(f"BEGIN; DECLARE c CURSOR FOR {ALL}; FETCH 5 FROM c; FETCH 7 FROM c; MOVE 1 IN c")
    fetches = reads(filled, before)
    assert [(e["rows"], e["part"], e["final"]) for e in fetches] == [(5, 1, True), (7, 1, True)]
    assert len({e["execution"] for e in fetches}) == 2
    assert {c["name"] for c in fetches[0]["columns"]} == {
        "public.customers.email",
        "public.customers.ssn",
    }
    assert reads(filled, before, "DECLARE") == []


def test_a_long_fetch_is_released_in_parts(filled: Shop, app: psycopg.Connection[Any]) -> None:
    """More than is held for one event: parts of one execution, the next FETCH is another."""
    before = filled.clear_events()
    with app.transaction():
        app.execute(
            "DECLARE c CURSOR FOR SELECT c.email, repeat('x', 5000) FROM customers c, generate_series(1, 10)"
            " WHERE c.name < 'A'"
        )
        assert len(app.execute("FETCH 150 c").fetchall()) == 150
        assert len(app.execute("FETCH ALL c").fetchall()) == 50
    fetches = reads(filled, before)
    uids = list(dict.fromkeys(e["execution"] for e in fetches))
    assert len(uids) == 2
    for uid, count in zip(uids, (150, 50), strict=True):
        parts = [e for e in fetches if e["execution"] == uid]
        assert sum(e["rows"] for e in parts) == count
        assert [e["final"] for e in parts] == [*[False] * (len(parts) - 1), True]


def test_a_refused_declare_in_a_pipeline(wire: WireClient) -> None:
    """What stands behind it up to Sync is not done; afterwards the transaction is the server's own."""
    wire.query("BEGIN")
    bad = b"DECLARE c CURSOR FOR SELECT id FROM customers WHERE ssn = 'x'"
    wire.send(
        write_parse(Parse(b"", bad, ())),
        write_bind(Bind(b"", b"", (), (), ())),
        write_execute(b""),
        write_parse(Parse(b"", b"FETCH c", ())),
        write_bind(Bind(b"", b"", (), (), ())),
        write_execute(b""),
        SYNC,
    )
    answer = wire.until("Z")
    assert kinds(answer) == "EZ"
    assert answer[-1][1] == b"E"
    assert sqlstate(answer[0][1]) == "0A000"
    wire.query("ROLLBACK")


def test_update_and_delete_where_current_of(app: psycopg.Connection[Any]) -> None:
    """The row that the cursor is at."""
    with app.transaction(force_rollback=True):
        app.execute(
            "DECLARE c CURSOR FOR SELECT id FROM customers WHERE email = '05@example.com' FOR UPDATE"
        )
        row = app.execute("FETCH c").fetchone()
        assert row is not None
        app.execute("UPDATE customers SET ssn = 'changed' WHERE CURRENT OF c")
        updated = app.execute(
            "UPDATE customers SET email = %s WHERE CURRENT OF c RETURNING email", ("new",)
        )
        assert updated.fetchone() == ("new",)
        stored = app.execute("SELECT email, ssn FROM customers WHERE id = %s", row).fetchone()
        assert stored == ("new", "changed")
        assert app.execute("DELETE FROM customers WHERE CURRENT OF c").rowcount == 1


# Cursors and portals share their names.


def test_execute_of_a_cursor_by_the_protocol(filled: Shop, wire: WireClient) -> None:
    """Describe and Execute name SQL's cursor; what it carries is known from the DECLARE."""
    before = filled.clear_events()
    mails = "SELECT email FROM customers WHERE id = 1 UNION ALL SELECT email FROM customers WHERE id = 2"
    wire.query(f"BEGIN; DECLARE c CURSOR FOR {mails}")
    wire.send(write_target(ord("D"), "P", b"c"), write_execute(b"c", 1), SYNC)
    answer = wire.until("Z")
    assert read_row_description(dict(answer)["T"])[0].type == 25
    assert first_cells(answer) == ["ada@example.com"]
    wire.send(write_execute(b"c", 5), SYNC)
    answer = wire.until("Z")
    assert (kinds(answer), first_cells(answer)) == ("DCZ", ["bob@example.com"])
    assert [e["final"] for e in reads(filled, before)] == [True, True]
    wire.send(write_target(ord("C"), "P", b"c"), SYNC)
    assert kinds(wire.until("Z")) == "3Z"
    answer = wire.query("DECLARE c CURSOR FOR SELECT 'p'::bytea UNION ALL SELECT 'q'; FETCH c")
    assert first_cells(answer) == [r"\x70"]


def test_fetch_of_a_portal_by_sql(filled: Shop, wire: WireClient) -> None:
    """FETCH and MOVE of a portal that Bind has made; SQL's CLOSE closes it."""
    before = filled.clear_events()
    wire.query("BEGIN")
    wire.send(
        write_parse(Parse(b"s", f"{ALL}".encode(), ())),
        write_bind(Bind(b"p", b"s", (), (), ())),
        SYNC,
    )
    assert kinds(wire.until("Z")) == "12Z"
    assert first_cells(wire.query("FETCH 2 FROM p")) == EMAILS[:2]
    wire.query("MOVE 3 IN p")
    assert first_cells(wire.query("FETCH p")) == EMAILS[5:6]
    assert [e["rows"] for e in reads(filled, before)] == [2, 1]
    answer = wire.query("CLOSE p; DECLARE p CURSOR FOR SELECT 'p'::bytea UNION ALL SELECT 'q'")
    assert kinds(answer) == "CCZ"
    wire.send(write_execute(b"p", 1), SYNC)
    assert first_cells(wire.until("Z")) == [r"\x70"]


def test_a_prepared_fetch_serves_one_cursor_after_another(wire: WireClient) -> None:
    """FETCH prepared once: the columns are those of the cursor that has the name now."""
    wire.query("BEGIN; DECLARE c CURSOR FOR SELECT email FROM customers WHERE id = 1")
    wire.send(write_parse(Parse(b"f", b"FETCH c", ())), write_target(ord("D"), "S", b"f"), SYNC)
    assert read_row_description(dict(wire.until("Z"))["T"])[0].type == 25
    run = (write_bind(Bind(b"", b"f", (), (), ())), write_execute(b""), SYNC)
    wire.send(*run)
    assert first_cells(wire.until("Z")) == ["ada@example.com"]
    wire.query("CLOSE c; DECLARE c CURSOR FOR SELECT ssn FROM customers WHERE id = 2")
    wire.send(*run)
    answer = wire.until("Z")
    assert (kinds(answer), first_cells(answer)) == ("2DCZ", ["987-65-4321"])


# Portals of the protocol.


def test_a_portal_in_portions(filled: Shop, wire: WireClient) -> None:
    """The shape of pgjdbc's fetch size: each portion is a part of one execution, the last one final."""
    before = filled.clear_events()
    wire.query("BEGIN")
    wire.send(
        write_parse(Parse(b"", ALL.encode(), ())),
        write_bind(Bind(b"C_1", b"", (), (), ())),
        write_target(ord("D"), "P", b"C_1"),
        write_execute(b"C_1", 8),
        SYNC,
    )
    answer = wire.until("Z")
    got = first_cells(answer)
    assert kinds(answer) == "12T" + "D" * 8 + "sZ"
    for expected in ("D" * 8 + "sZ", "D" * 4 + "CZ"):
        wire.send(write_execute(b"C_1", 8), SYNC)
        answer = wire.until("Z")
        assert kinds(answer) == expected
        got += first_cells(answer)
    assert got == EMAILS
    parts = reads(filled, before, "SELECT")
    assert [(e["part"], e["rows"], e["final"]) for e in parts] == [
        (1, 8, False),
        (2, 8, False),
        (3, 4, True),
    ]
    assert len({e["execution"] for e in parts}) == 1


def test_interleaved_portals(wire: WireClient) -> None:
    """Two suspended portals of one statement, and of two; each keeps its own formats and place."""
    wire.query("BEGIN")
    wire.send(
        write_parse(Parse(b"a", ALL.encode(), ())),
        write_parse(Parse(b"b", b"SELECT birth_date, email FROM customers ORDER BY id", ())),
        write_bind(Bind(b"one", b"a", (), (), ())),
        write_bind(Bind(b"two", b"a", (), (), (0, 1, 0))),
        write_bind(Bind(b"three", b"b", (), (), (1,))),
        SYNC,
    )
    wire.until("Z")
    seen: dict[bytes, list[list[bytes | None]]] = {b"one": [], b"two": [], b"three": []}
    for portal in (b"one", b"three", b"two", b"one", b"three", b"one"):
        wire.send(write_execute(portal, 1), SYNC)
        seen[portal] += rows(wire.until("Z"))
    assert [(c[0] or b"").decode() for c in seen[b"one"]] == EMAILS[:3]
    assert [(c[0] or b"").decode() for c in seen[b"two"]] == EMAILS[:1]
    assert [c[1] for c in seen[b"three"]] == [b"ada@example.com", b"bob@example.com"]
    assert [len(c[0] or b"") for c in seen[b"three"]] == [4, 4]


@pytest.mark.parametrize(
    "end",
    [
        [write_target(ord("C"), "P", b"p"), SYNC],
        [
            write_parse(Parse(b"", b"ROLLBACK", ())),
            write_bind(Bind(b"", b"", (), (), ())),
            write_execute(b""),
            SYNC,
        ],
        [
            write_parse(Parse(b"", b"CLOSE p", ())),
            write_bind(Bind(b"", b"", (), (), ())),
            write_execute(b""),
            SYNC,
        ],
        [
            write_parse(Parse(b"", b"SELECT 1/0", ())),
            write_bind(Bind(b"", b"", (), (), ())),
            write_execute(b""),
            SYNC,
        ],
    ],
    ids=["close", "rollback", "sql-close", "error"],
)
def test_a_suspended_portal_that_is_closed_has_a_last_event(
    filled: Shop, wire: WireClient, end: list[bytes]
) -> None:
    """The access log says that no more rows of this execution come."""
    before = filled.clear_events()
    wire.query("BEGIN")
    wire.send(
        write_parse(Parse(b"s", ALL.encode(), ())),
        write_bind(Bind(b"p", b"s", (), (), ())),
        write_execute(b"p", 2),
        SYNC,
    )
    assert kinds(wire.until("Z")) == "12DDsZ"
    wire.send(*end)
    if wire.until("Z")[-1][1] == b"E":
        wire.query("ROLLBACK")
    parts = reads(filled, before, "SELECT")
    assert [(e["part"], e["rows"], e["final"]) for e in parts] == [(1, 2, False), (2, 0, True)]


def test_a_suspended_portal_behind_which_a_savepoint_is_rolled_back(
    filled: Shop, wire: WireClient
) -> None:
    """An error in between is not its end: it goes on, one execution with one last event."""
    before = filled.clear_events()
    wire.query("BEGIN")
    wire.send(
        write_parse(Parse(b"s", ALL.encode(), ())),
        write_bind(Bind(b"p", b"s", (), (), ())),
        write_execute(b"p", 2),
        SYNC,
    )
    wire.until("Z")
    wire.query("SAVEPOINT x")
    wire.query("SELECT 1/0")
    wire.query("ROLLBACK TO x")
    wire.send(write_execute(b"p", 0), SYNC)
    assert first_cells(wire.until("Z")) == EMAILS[2:]
    parts = reads(filled, before, "SELECT")
    assert [(e["part"], e["rows"], e["final"]) for e in parts] == [(1, 2, False), (2, 18, True)]


def test_a_suspended_portal_outside_a_transaction_ends_at_sync(
    filled: Shop, wire: WireClient
) -> None:
    """Two Executes before Sync, then the implicit transaction is over."""
    before = filled.clear_events()
    wire.send(
        write_parse(Parse(b"", ALL.encode(), ())),
        write_bind(Bind(b"", b"", (), (), ())),
        write_execute(b"", 2),
        write_execute(b"", 3),
        SYNC,
    )
    assert kinds(wire.until("Z")) == "12DDsDDDsZ"
    parts = reads(filled, before, "SELECT")
    assert [(e["rows"], e["final"]) for e in parts] == [(2, False), (3, False), (0, True)]


# Drivers.


async def test_asyncpg_cursors(filled: Shop) -> None:
    """Iteration with prefetch, and a cursor object that is moved by hand."""
    connection = await asyncpg.connect(filled.dsn())
    try:
        async with connection.transaction():
            got = [row["email"] async for row in connection.cursor(ALL, prefetch=3)]
            assert got == EMAILS
            cursor = await connection.cursor(
                "SELECT email FROM customers WHERE email = $1", EMAILS[4]
            )
            assert [tuple(row) for row in await cursor.fetch(5)] == [(EMAILS[4],)]
            cursor = await connection.cursor(ALL)
            assert await cursor.forward(4) == 4
            assert (await cursor.fetchrow())["email"] == EMAILS[4]
    finally:
        await connection.close()


@pytest.mark.parametrize("binary", [False, True])
def test_psycopg_server_cursors(filled: Shop, binary: bool) -> None:
    """Named, scrollable, held over the commit; with parameters in the DECLARE."""
    with psycopg.connect(filled.dsn()) as connection:
        query = "SELECT email, ssn FROM customers WHERE name < %s ORDER BY name"
        with connection.cursor("named", binary=binary, scrollable=True, withhold=True) as cursor:
            cursor.itersize = 6
            cursor.execute(query, ("A",))
            assert [row[0] for row in cursor] == EMAILS
            cursor.scroll(0, mode="absolute")
            connection.commit()
            assert cursor.fetchone() == (EMAILS[0], "ssn 00")
            assert [row[0] for row in cursor.fetchmany(3)] == EMAILS[1:4]
            cursor.scroll(-2)
            assert cursor.fetchone() == (EMAILS[2], "ssn 02")
        with connection.cursor("other", binary=binary) as cursor:
            cursor.execute("SELECT id, email FROM customers WHERE email = %s", (EMAILS[7],))
            assert [row[1] for row in cursor.fetchall()] == [EMAILS[7]]


def test_sqlalchemy_streams(filled: Shop) -> None:
    """yield_per and stream_results: server-side cursors of psycopg."""
    engine = sa.create_engine(filled.dsn().replace("postgresql://", "postgresql+psycopg://"))
    with engine.connect() as connection:
        streamed = connection.execution_options(yield_per=7).execute(sa.text(ALL))
        assert [row.email for row in streamed] == EMAILS
        streamed = connection.execution_options(stream_results=True, max_row_buffer=4).execute(
            sa.text("SELECT email FROM customers WHERE email = :email"), {"email": EMAILS[2]}
        )
        assert [row.email for row in streamed] == [EMAILS[2]]
    engine.dispose()
