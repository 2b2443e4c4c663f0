"""The protocol, message by message, on a protected database."""

from __future__ import annotations

import random
import struct
import threading
import time
from pathlib import Path
from typing import Any

import asyncpg
import psycopg
import pytest

from proxy.wire.messages import (
    SYNC_MESSAGE,
    Bind,
    Parse,
    message,
    read_parameter_description,
    read_row_description,
    write_bind,
    write_execute,
    write_parse,
    write_target,
)
from tests.integration.shop import Shop
from tests.integration.wire_client import WireClient, sqlstate

FLUSH = message(ord("H"), b"")


def kinds(messages: list[tuple[str, bytes]]) -> str:
    return "".join(kind for kind, _ in messages)


@pytest.fixture
def client(shop: Shop) -> Any:
    with WireClient(shop.port) as client:
        client.start("shop_app", shop.database.name)
        yield client


def test_ssl_and_gss_requests_in_either_order(shop: Shop) -> None:
    """No certificate configured: `N` to both, then the session starts on the same connection."""
    ssl_request, gss_request = struct.pack("!II", 8, 80877103), struct.pack("!II", 8, 80877104)
    for first, second in ((ssl_request, gss_request), (gss_request, ssl_request)):
        with WireClient(shop.port) as client:
            client.send(first)
            assert client.socket.recv(1) == b"N"
            client.send(second)
            assert client.socket.recv(1) == b"N"
            assert kinds(client.start("shop_app", shop.database.name)).endswith("Z")


def test_backend_key_data_and_parameter_status_are_the_servers(client: WireClient) -> None:
    """The real pid reaches the client: lock tools and LISTEN compare it."""
    (row,) = [body for kind, body in client.query("SELECT pg_backend_pid()::text") if kind == "D"]
    assert row[6:].isdigit()


def test_describe_before_any_value_is_known(client: WireClient) -> None:
    """ParameterDescription says the logical types; RowDescription coheres in OID, length, modifier."""
    client.send(
        write_parse(
            Parse(
                b"s",
                b"INSERT INTO customers (email, birth_date, note) VALUES ($1, $2, $3) RETURNING *",
                (),
            )
        ),
        write_target(ord("D"), "S", b"s"),
        SYNC_MESSAGE,
    )
    replies = dict(client.until("Z"))
    assert read_parameter_description(replies["t"]) == (25, 1082, 25)
    fields = {f.name: f for f in read_row_description(replies["T"])}
    assert [
        (fields[n].type, fields[n].length, fields[n].modifier)
        for n in (b"id", b"email", b"birth_date", b"balance")
    ] == [
        (23, 4, -1),
        (25, -1, -1),
        (1082, 4, -1),
        (1700, -1, ((12 << 16) | 2) + 4),
    ]
    assert fields[b"email"].table
    assert fields[b"email"].number == 3


def test_an_execute_without_describe_is_unsealed_all_the_same(client: WireClient) -> None:
    """Parse, Bind, Execute, Sync: the proxy asks for the description itself and hides the answer."""
    client.send(
        write_parse(Parse(b"", b"SELECT email, id FROM customers WHERE id = 1", ())),
        write_bind(Bind(b"", b"", (), (), (0, 1))),
        write_execute(b""),
        SYNC_MESSAGE,
    )
    replies = client.until("Z")
    assert kinds(replies) == "12DCZ"
    assert replies[2][1] == struct.pack("!HI", 2, 15) + b"ada@example.com" + struct.pack(
        "!II", 4, 1
    )


def test_a_suspended_portal_resumes_and_is_one_execution(shop: Shop, client: WireClient) -> None:
    """Execute with a row limit: PortalSuspended, then the rest; the events share their execution uid."""
    before = shop.clear_events()
    client.send(
        write_parse(Parse(b"", b"SELECT email FROM customers WHERE id <= 3 ORDER BY id", ())),
        write_bind(Bind(b"p", b"", (), (), ())),
        write_execute(b"p", 2),
        FLUSH,
    )
    assert kinds(client.until("s")) == "12DDs"
    client.send(write_execute(b"p", 2), SYNC_MESSAGE)
    assert kinds(client.until("Z")) == "DCZ"
    events = [e["unmapped"]["sealgate"] for e in shop.events()[before:] if e["type_uid"] == 600510]
    assert [(e["part"], e["final"]) for e in events] == [(1, False), (2, True)]
    assert len({e["execution"] for e in events}) == 1


def test_a_pipeline_with_an_error_skips_to_sync_and_goes_on(client: WireClient) -> None:
    """Replies after an error belong to the batch behind the Sync, not to the statements that were skipped."""
    one = write_parse(Parse(b"", b"SELECT email FROM customers WHERE id = 1", ()))
    bind, execute = write_bind(Bind(b"", b"", (), (), ())), write_execute(b"")
    bad = write_parse(Parse(b"", b"SELECT lower(email) FROM customers", ()))
    client.send(
        one, bind, execute, bad, bind, execute, SYNC_MESSAGE, one, bind, execute, SYNC_MESSAGE
    )
    first, second = client.until("Z"), client.until("Z")
    assert kinds(first) == "12DCEZ"
    assert sqlstate(first[4][1]) == "0A000"
    assert kinds(second) == "12DCZ"
    assert b"ada@example.com" in second[2][1]


def test_a_refused_parse_with_flush_answers_at_once(client: WireClient) -> None:
    """No Sync needed to see the error; what follows is skipped until it comes."""
    client.send(write_parse(Parse(b"x", b"SELECT lower(email) FROM customers", ())), FLUSH)
    assert kinds(client.until("E")) == "E"
    client.send(write_bind(Bind(b"", b"x", (), (), ())), write_execute(b""), SYNC_MESSAGE)
    assert kinds(client.until("Z")) == "Z"
    assert kinds(client.query("SELECT 1")) == "TDCZ"


def test_a_refused_parse_leaves_the_clients_other_statements_alone(client: WireClient) -> None:
    """A named statement is refused; the unnamed one still works, as it would in PostgreSQL."""
    client.send(
        write_parse(Parse(b"", b"SELECT email FROM customers WHERE id = 2", ())), SYNC_MESSAGE
    )
    client.until("Z")
    client.send(write_parse(Parse(b"named", b"SELECT max(email) FROM customers", ())), SYNC_MESSAGE)
    assert kinds(client.until("Z")) == "EZ"
    client.send(write_bind(Bind(b"", b"", (), (), ())), write_execute(b""), SYNC_MESSAGE)
    replies = client.until("Z")
    assert kinds(replies) == "2DCZ"
    assert b"bob@example.com" in replies[1][1]


def test_a_name_keeps_its_meaning_when_parsing_it_again_fails(client: WireClient) -> None:
    """42P05 for a name in use: the first statement is still the one that is bound."""
    good = write_parse(Parse(b"s", b"SELECT email FROM customers WHERE id = $1", (23,)))
    other = write_parse(Parse(b"s", b"SELECT id FROM orders", ()))
    client.send(good, SYNC_MESSAGE)
    client.until("Z")
    client.send(other, SYNC_MESSAGE)
    assert kinds(client.until("Z")) == "EZ"
    client.send(write_bind(Bind(b"", b"s", (), (b"1",), ())), write_execute(b""), SYNC_MESSAGE)
    assert b"ada@example.com" in client.until("Z")[1][1]


def test_formats_mix_per_parameter_and_per_column(client: WireClient) -> None:
    """A sealed parameter in text beside one in binary; results likewise."""
    sql = (
        b"SELECT birth_date, email, birth_date FROM customers WHERE email = $1 AND birth_date = $2"
    )
    day = struct.pack("!i", -5135)  # 1985-12-10
    client.send(
        write_parse(Parse(b"", sql, ())),
        write_bind(Bind(b"", b"", (0, 1), (b"ada@example.com", day), (1, 0, 0))),
        write_target(ord("D"), "P", b""),
        write_execute(b""),
        SYNC_MESSAGE,
    )
    replies = dict(client.until("Z"))
    assert [f.format for f in read_row_description(replies["T"])] == [1, 0, 0]
    assert replies["D"] == (
        struct.pack("!HI", 3, 4)
        + day
        + struct.pack("!I", 15)
        + b"ada@example.com"
        + struct.pack("!I", 10)
        + b"1985-12-10"
    )


def test_sql_execute_of_a_statement_with_sealed_parameters(client: WireClient) -> None:
    """Prepared by the protocol, executed by SQL: the value is sealed in the text, or the statement refused."""
    assert kinds(client.query("EXECUTE nothing('x')")) == "EZ"
    insert = b"INSERT INTO customers (name, ssn) VALUES ('X', $1)"
    client.send(write_parse(Parse(b"s1", insert, ())), SYNC_MESSAGE)
    client.until("Z")
    for sql in (
        "EXECUTE s1(upper('secret'))",
        "/* x */ explain (costs off) execute s1('secret' || '')",
        "SELECT 1; EXECUTE s1('x' COLLATE \"C\")",
    ):
        (error,) = [body for kind, body in client.query(sql) if kind == "E"]
        assert sqlstate(error) == "0A000"
    assert kinds(client.query("EXECUTE s1('secret')")) == "CZ"
    assert kinds(client.query("/* x */ explain (costs off) execute s1('secret')")) == "TDDCZ"
    assert kinds(client.query("GRANT EXECUTE ON FUNCTION now() TO PUBLIC")) in ("CZ", "NCZ", "EZ")
    assert kinds(client.query("SELECT 'execute s1' /* execute s1 */")) == "TDCZ"


def test_a_refusal_looks_like_any_other_error(client: WireClient) -> None:
    """Message and hint, and nothing of the function that raises it."""
    (error,) = [
        body for kind, body in client.query("SELECT lower(email) FROM customers") if kind == "E"
    ]
    assert {field[:1] for field in error.split(b"\0") if field} == {b"S", b"V", b"C", b"M", b"H"}


def test_several_results_in_one_simple_query(client: WireClient) -> None:
    """One ReadyForQuery; the refused statement's RowDescription is not shown."""
    replies = client.query(
        "SELECT email FROM customers WHERE id = 1; SELECT lower(email) FROM customers; SELECT 1"
    )
    assert kinds(replies) == "TDCEZ"
    assert kinds(client.query("")) == "IZ"
    assert kinds(client.query("SELECT 1; ; SELECT email FROM customers WHERE id = 2;")) == "TDCTDCZ"


def test_error_positions_point_into_the_clients_text(client: WireClient) -> None:
    """The statement that reaches the server is edited; the caret is not off."""
    sql = "SELECT 1; SELECT id FROM customers WHERE email = 'ada@example.com' AND id = 'x'"
    (error,) = [body for kind, body in client.query(sql) if kind == "E"]
    fields = {f[:1]: f[1:] for f in error.split(b"\0")}
    assert fields[b"C"] == b"22P02"
    assert int(fields[b"P"]) == sql.index("'x'") + 1


def test_notifications_arrive_between_statements(shop: Shop) -> None:
    """LISTEN and NOTIFY through the proxy."""
    with shop.connect() as listening, shop.connect() as speaking:
        listening.execute("LISTEN news")
        speaking.execute("NOTIFY news, 'hello'")
        assert [n.payload for n in listening.notifies(timeout=5, stop_after=1)] == ["hello"]


def test_cancel_reaches_the_right_backend(shop: Shop) -> None:
    """CancelRequest on its own connection: 57014, and the session goes on."""
    with shop.connect() as app:
        threading.Timer(0.3, app.cancel_safe).start()
        with pytest.raises(psycopg.errors.QueryCanceled):
            app.execute("SELECT pg_sleep(20)")
        assert app.execute("SELECT email FROM customers WHERE id = 1").fetchone() == (
            "ada@example.com",
        )


def test_psycopg_pipeline_mode(shop: Shop) -> None:
    """A pipeline of sealed inserts and selects, and one error in the middle."""
    with shop.connect() as app:
        with app.pipeline():
            cursors = [
                app.execute("SELECT email FROM customers WHERE id = %s", (i,)) for i in (1, 2, 3)
            ]
        assert [c.fetchone() for c in cursors] == [
            ("ada@example.com",),
            ("bob@example.com",),
            (None,),
        ]
        with pytest.raises(psycopg.errors.FeatureNotSupported):
            in_a_pipeline(app, "SELECT 1", "SELECT lower(email) FROM customers", "SELECT 2")
        assert app.execute("SELECT email FROM customers WHERE id = 1").fetchone() == (
            "ada@example.com",
        )


def in_a_pipeline(app: psycopg.Connection[Any], *statements: str) -> None:
    with app.pipeline():
        for statement in statements:
            app.execute(statement)


async def test_asyncpg_cursors_copy_and_large_values(shop: Shop) -> None:
    """Portals in a transaction, COPY of an unprotected table, a value of a megabyte."""
    app = await asyncpg.connect(shop.dsn())
    try:
        async with app.transaction():
            emails = [
                r["email"]
                async for r in app.cursor(
                    "SELECT email FROM customers WHERE id <= 3 ORDER BY id", prefetch=1
                )
            ]
        assert emails == ["ada@example.com", "bob@example.com", None]
        await app.copy_records_to_table(
            "plain", records=[(i, f"m{i}", None, i) for i in range(1000, 3000)]
        )
        assert await app.fetchval("SELECT count(*) FROM plain WHERE id >= 1000") == 2000
        await app.execute("DELETE FROM plain WHERE id >= 1000")
        huge = "é" * 600_000
        number = await app.fetchval(
            "INSERT INTO customers (name, ssn) VALUES ('Big', $1) RETURNING id", huge
        )
        assert await app.fetchval("SELECT ssn FROM customers WHERE id = $1", number) == huge
        await app.execute("DELETE FROM customers WHERE id = $1", number)
        for _ in range(3):
            await app.execute("CLOSE ALL; UNLISTEN *; RESET ALL;")
    finally:
        await app.close()


def test_other_databases_pass_through(shop: Shop) -> None:
    """A session on another database is relayed as it is."""
    with psycopg.connect(
        f"postgresql://shop_app@127.0.0.1:{shop.port}/postgres", autocommit=True
    ) as other:
        assert other.execute("SELECT current_database()").fetchone() == ("postgres",)


def test_a_terminated_backend_says_so(shop: Shop) -> None:
    """FATAL 57P01 reaches the client before the end."""
    with shop.connect() as app, shop.direct() as admin:
        admin.execute("SELECT pg_terminate_backend(%s)", (app.info.backend_pid,))
        with pytest.raises(psycopg.errors.AdminShutdown):
            app.execute("SELECT 1")


def test_wrong_password_keeps_the_servers_error_and_is_recorded(shop: Shop) -> None:
    """No such role: 28000 from the server, an authentication event that failed."""
    before = shop.clear_events()
    with pytest.raises(psycopg.OperationalError, match="does not exist"):
        shop.connect("nobody_here")
    (event,) = [e for e in shop.events()[before:] if e["class_uid"] == 3002]
    assert (event["status_id"], event["status_code"]) == (2, "28000")


# Bad input.

GARBAGE = [
    b"",
    b"GET / HTTP/1.1\r\n\r\n",
    struct.pack("!I", 0xFFFFFFFF) + b"x" * 100,
    struct.pack("!II", 8, 0x00020000),
    struct.pack("!II", 9, 196608) + b"x",
    struct.pack("!II", 8, 80877103) + b"Q\0\0\0\4",
    b"\x16\x03\x01\x02\x00\x01\x00",
]


@pytest.mark.parametrize("garbage", GARBAGE)
def test_strangers_are_turned_away(shop: Shop, garbage: bytes) -> None:
    """Whatever comes first instead of a startup packet ends that connection only."""
    with WireClient(shop.port) as client:
        client.send(garbage)
        client.socket.shutdown(1)
        assert client.closed()
    with shop.connect() as app:
        assert app.execute("SELECT 1").fetchone() == (1,)


def test_impossible_lengths_end_the_connection_with_08p01_and_an_event(
    shop: Shop, client: WireClient
) -> None:
    """A length shorter than itself; a Query of 3 GB by its header."""
    before = shop.clear_events()
    client.send(b"Q" + struct.pack("!I", 2))
    replies = client.until("E")
    assert sqlstate(replies[-1][1]) == "08P01"
    assert client.closed()
    with WireClient(shop.port) as second:
        second.start("shop_app", shop.database.name)
        second.send(b"Q" + struct.pack("!I", 0xC0000000))
        assert sqlstate(second.until("E")[-1][1]) == "08P01"
    codes = [e["metadata"]["event_code"] for e in shop.events()[before:]]
    assert codes.count("protocol.violated") == 2, codes


def test_random_bytes_after_login_never_stop_the_proxy(shop: Shop) -> None:
    """Mutated sessions: cut, repeated, flipped; the next client is served every time."""
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    rng = random.Random(seed)
    session = (
        write_parse(
            Parse(b"s", b"INSERT INTO customers (email) VALUES ($1) RETURNING email", (25,))
        )
        + write_bind(Bind(b"p", b"s", (1,), (b"x@example.com",), (1,)))
        + write_target(ord("D"), "P", b"p")
        + write_execute(b"p")
        + SYNC_MESSAGE
        + message(ord("Q"), b"SELECT email FROM customers WHERE email = 'x'\0")
    )
    for _ in range(60):
        data = bytearray(session)
        for _ in range(rng.randint(1, 6)):
            at = rng.randrange(len(data))
            match rng.randrange(4):
                case 0:
                    data[at] = rng.randrange(256)
                case 1:
                    del data[at : at + rng.randint(1, 9)]
                case 2:
                    data[at:at] = data[at : at + rng.randint(1, 30)]
                case _:
                    data[at:at] = rng.randbytes(rng.randint(1, 9))
        with WireClient(shop.port, timeout=2) as client:
            client.start("shop_app", shop.database.name)
            client.send(bytes(data))
            client.socket.shutdown(1)
            try:
                client.closed()
            except TimeoutError:
                pytest.fail("the proxy neither answered nor closed")
    with shop.connect() as app:
        app.execute("DELETE FROM customers WHERE id > 3")
        assert app.execute("SELECT email FROM customers WHERE id = 1").fetchone() == (
            "ada@example.com",
        )


def test_a_slow_reader_costs_bounded_memory(shop: Shop) -> None:
    """300 MB of rows that nobody reads: the proxy stops reading the server."""
    assert shop.process is not None
    with WireClient(shop.port) as client:
        client.start("shop_app", shop.database.name)
        client.send(
            message(ord("Q"), b"SELECT repeat('x', 1000) FROM generate_series(1, 300000)\0")
        )
        time.sleep(1.5)
        status = Path(f"/proc/{shop.process.pid}/status").read_text()
        resident = int(status.split("VmRSS:")[1].split()[0])
    assert resident < 200_000, f"{resident} kB"


def test_bytes_one_at_a_time(shop: Shop) -> None:
    """A session delivered byte by byte is the same session."""
    with WireClient(shop.port) as client:
        client.start("shop_app", shop.database.name)
        for byte in message(
            ord("Q"), b"SELECT email FROM customers WHERE email = 'ada@example.com'\0"
        ):
            client.send(bytes([byte]))
        replies = client.until("Z")
    assert kinds(replies) == "TDCZ"
    assert b"ada@example.com" in replies[1][1]
