"""COPY through the proxy: who may, what the access log says, what is refused, and what reaches the server."""

from __future__ import annotations

import random
import struct
from collections.abc import Callable, Iterator
from typing import Any

import asyncpg
import psycopg
import pytest

from proxy.wire.messages import (
    COPY_DATA,
    COPY_DONE,
    COPY_FAIL,
    QUERY,
    SYNC_MESSAGE,
    Bind,
    Parse,
    message,
    write_bind,
    write_execute,
    write_parse,
)
from tests.conftest import Database
from tests.integration.copies import Connection, connect, copy_in, copy_out, cut, run
from tests.integration.shop import Shop
from tests.integration.wire_client import WireClient, sqlstate

SECRET = "canary-7f3a"
ROW = (
    b"%d\tZoe\t"
    + SECRET.encode()
    + b"%d@example.com\t"
    + SECRET.encode()
    + b"\t1999-12-31\t7.50\t\\N\n"
)


def rows(*numbers: int) -> bytes:
    return b"".join(ROW % (n, n) for n in numbers)


def data(body: bytes) -> bytes:
    return message(COPY_DATA, body)


DONE = message(COPY_DONE, b"")


def query(sql: str) -> bytes:
    return message(QUERY, sql.encode() + b"\0")


@pytest.fixture
def app(shop: Shop) -> Iterator[Connection]:
    connection = connect(shop.dsn())
    yield connection
    run(connection, "ROLLBACK")
    run(connection, "DELETE FROM customers WHERE id > 1000")
    connection.finish()


@pytest.fixture
def wire(shop: Shop, app: Connection) -> Iterator[WireClient]:
    with WireClient(shop.port) as client:
        client.start("shop_app", shop.database.name)
        yield client


def new_events(shop: Shop, before: int) -> list[dict[str, Any]]:
    return [
        event
        for event in shop.events()[before:]
        if "statement" in event["metadata"].get("event_code", "")
    ]


def uses(event: dict[str, Any]) -> dict[str, tuple[str, int]]:
    found = event["unmapped"]["sealgate"]["columns"]
    return {c["name"].rpartition(".")[2]: (c["outcome"], c["cells"]) for c in found}


# In.


def test_a_copy_without_a_column_list(shop: Shop, app: Connection) -> None:
    """All columns: sealed on the server, the plaintexts back through the proxy, one event with what was written."""
    before = shop.clear_events()
    copied = copy_in(app, "COPY customers FROM STDIN", [rows(2001, 2002)])
    assert copied.tag == b"COPY 2"
    found = run(app, f"SELECT id, ssn FROM customers WHERE email = '{SECRET}2001@example.com'")
    assert found == [(b"2001", SECRET.encode())]
    with shop.direct() as direct:
        stored = direct.execute(
            "SELECT email, ssn, birth_date, balance FROM customers WHERE id > 2000"
        )
        assert all(v[:3] == b"\x5e\xa1\x01" for row in stored for v in row)
    event = new_events(shop, before)[0]["unmapped"]["sealgate"]
    assert event["rows"] == 2
    assert event["command"] == "COPY"
    assert uses(new_events(shop, before)[0]) == dict.fromkeys(
        ("email", "ssn", "birth_date", "balance"), ("written", 2)
    )


def test_generated_columns_are_left_out(shop: Shop, app: Connection) -> None:
    """As the server leaves them out, whether it knows how the proxy names the columns or not."""
    with shop.direct() as direct:
        direct.execute(
            "ALTER TABLE customers ADD shout text GENERATED ALWAYS AS (upper(name)) STORED"
        )
    shop.reload()
    try:
        copied = copy_in(app, "COPY customers FROM STDIN", [rows(2001)])
        assert copied.tag == b"COPY 1", copied
        out = copy_out(app, "COPY customers TO STDOUT (HEADER)")
        assert out.data[0] == b"id\tname\temail\tssn\tbirth_date\tbalance\tnote\n"
        assert rows(2001) in out.data
    finally:
        with shop.direct() as direct:
            direct.execute("ALTER TABLE customers DROP shout")
        shop.reload()


def test_only_who_may_write_copies_in(shop: Shop) -> None:
    """42501 for the sealed columns, with nothing of the data on its way; other columns may be copied by anybody."""
    before = shop.clear_events()
    support = connect(shop.dsn("support_login"))
    refused = copy_in(support, "COPY customers FROM STDIN", [rows(2005)])
    assert refused.sqlstate == "42501"
    assert b"permission denied to write sealed column" in refused.message
    (event,) = new_events(shop, before)
    assert event["unmapped"]["sealgate"]["command"] == "COPY"
    assert (
        copy_in(support, "COPY customers (id, name) FROM STDIN", [b"2005\tYan\n"]).tag == b"COPY 1"
    )
    run(support, "DELETE FROM customers WHERE id = 2005")
    support.finish()


def test_nothing_of_a_row_that_is_wrong_reaches_the_server(shop: Shop, app: Connection) -> None:
    """The client gets the server's own SQLSTATE, line and column; its log has no word of the row."""
    good = rows(2001)
    for wrong, state, place in (
        (
            ROW.replace(b"1999-12-31", b"2020-13-" + SECRET.encode()) % (2002, 2),
            "22008",
            "birth_date",
        ),
        (ROW.replace(b"7.50", b"7" * 12) % (2002, 2), "22003", "balance"),
        (ROW.replace(b"7.50", SECRET.encode()) % (2002, 2), "22P02", "balance"),
        (b"2002\t" + SECRET.encode() + b"\n", "22P04", ""),
        (rows(2002)[:-1] + b"\t" + SECRET.encode() + b"\n", "22P04", ""),
        (b"2002\tx\t" + SECRET.encode() + b"\r\t\\N\n", "22P04", ""),
        (SECRET.encode() + b"\\.\n", "22P04", ""),
        (b"2002\tx\t" + SECRET.encode() + b"\xff\t\\N\n", "22P04", ""),
    ):
        run(app, "BEGIN")
        copied = copy_in(app, "COPY customers FROM STDIN", [good + wrong + good])
        assert copied.sqlstate in (state, "22007"), copied
        assert copied.context.startswith(b"COPY customers, line 2"), copied
        assert copied.context.endswith(place.encode()) or not place
        assert SECRET.encode() not in copied.context + copied.message
        with pytest.raises(AssertionError, match="current transaction is aborted"):
            run(app, "SELECT 1")
        run(app, "ROLLBACK")
    log = shop.database.postgres.log_path.read_text(errors="replace")
    assert "COPY from stdin failed" in log
    assert SECRET not in log


def test_headers_hold_values_when_there_is_none(shop: Shop, app: Connection) -> None:
    """HEADER match compares in the proxy: the server would quote what it finds instead."""
    sql = "COPY customers (name, email) FROM STDIN (HEADER match)"
    copied = copy_in(app, sql, [b"name\t" + SECRET.encode() + b"\n"])
    assert copied.sqlstate == "22P04"
    assert b'expected "email"' in copied.message
    assert SECRET not in shop.database.postgres.log_path.read_text(errors="replace")


def test_where_and_files(shop: Shop, app: Connection) -> None:
    """WHERE on other columns is the server's; on sealed ones, a file and a program are refused with the reason."""
    where = "COPY customers FROM STDIN WHERE customers.id > 2001 AND name <> 'x'"
    assert copy_in(app, where, [rows(2001, 2002)]).tag == b"COPY 1"
    for condition in (
        "email = 'x'",
        "customers IS NOT NULL",
        "length(ssn) > 3",
        "customers.email <> ''",
    ):
        refused = copy_in(app, f"COPY customers FROM STDIN WHERE {condition}", [rows(2003)])
        assert refused.sqlstate == "0A000", condition
    for sql in (
        "COPY customers FROM '/tmp/x'",
        "COPY customers TO '/tmp/x'",
        "COPY customers (email) TO PROGRAM 'cat'",
        "COPY customers FROM PROGRAM 'cat'",
        "COPY (SELECT email FROM customers) TO '/tmp/x'",
    ):
        refused = copy_in(app, sql, [])
        assert refused.sqlstate == "0A000", sql
        assert b"the server itself" in refused.message
    # The server's own word on those that concern no sealed column.
    assert copy_in(app, "COPY customers (id) TO '/tmp/x'", []).sqlstate == "42501"


def test_constraints_and_triggers_are_the_servers(shop: Shop, app: Connection) -> None:
    """A unique violation in the middle of a copy: its error, without the line as it was sent."""
    copied = copy_in(app, "COPY customers FROM STDIN", [rows(2001), rows(2002, 2001)])
    assert copied.sqlstate == "23505"
    assert copied.context.startswith(b"COPY customers, line 3")
    assert b"5ea1" not in copied.context
    assert run(app, "SELECT count(*) FROM customers WHERE id > 2000") == [(b"0",)]


def test_the_client_gives_up(shop: Shop, app: Connection) -> None:
    """CopyFail: the server's 57014, nothing written, an event that says so."""
    before = shop.clear_events()
    copied = copy_in(app, "COPY customers FROM STDIN", [rows(2001)], fail=b"no more")
    assert copied.sqlstate == "57014"
    assert b"no more" in copied.message
    event = new_events(shop, before)[0]
    assert event["status_code"] == "57014"
    assert all(use == ("written", 0) for use in uses(event).values())


def test_a_client_that_is_gone_in_the_middle(shop: Shop, app: Connection) -> None:
    """The server rolls back; the event says that nobody knows."""
    before = shop.clear_events()
    with WireClient(shop.port) as client:
        client.start("shop_app", shop.database.name)
        client.send(query("COPY customers FROM STDIN"))
        client.until("G")
        client.send(data(rows(2001)))
    for _ in range(200):
        if len(events := new_events(shop, before)):
            break
        run(app, "SELECT pg_sleep(0.02)")
    assert events[0]["status_code"] == "08006"
    assert run(app, "SELECT count(*) FROM customers WHERE id > 2000") == [(b"0",)]


# Pipelines.


def test_data_right_behind_the_statement(wire: WireClient, app: Connection) -> None:
    """Nothing waits for CopyInResponse: simple and extended protocol, several copies in one message, a refused one."""
    wire.send(query("COPY customers FROM STDIN"), data(rows(2001)), DONE)
    assert [k for k, _ in wire.until("Z")] == ["G", "C", "Z"]
    wire.send(
        query(
            "COPY plain (id, n) FROM STDIN; COPY customers FROM STDIN; COPY plain (id, n) FROM STDIN"
        ),
        *(data(b"77\t1\n"), DONE, data(rows(2002)), data(rows(2003)), DONE, data(b"78\t2\n"), DONE),
    )
    assert [k for k, _ in wire.until("Z")] == ["G", "C", "G", "C", "G", "C", "Z"]
    extended = [
        write_parse(Parse(b"", b"COPY customers FROM STDIN", ())),
        write_bind(Bind(b"", b"", (), (), ())),
        write_execute(b""),
    ]
    wire.send(*extended, data(rows(2004)), DONE, SYNC_MESSAGE)
    assert [k for k, _ in wire.until("Z")] == ["1", "2", "G", "C", "Z"]
    wire.send(*extended, SYNC_MESSAGE, data(rows(2005)), DONE, SYNC_MESSAGE)
    assert [k for k, _ in wire.until("Z")] == ["1", "2", "G", "C", "Z"]
    wire.send(*extended, data(rows(2006) + b"x\n"), data(rows(2007)), DONE, SYNC_MESSAGE)
    replies = wire.until("Z")
    assert [k for k, _ in replies] == ["1", "2", "G", "E", "Z"]
    assert sqlstate(replies[3][1]) == "22P04"
    wire.send(query("COPY customers FROM STDIN WHERE email = 'x'"), data(rows(2008)), DONE)
    assert [k for k, _ in wire.until("Z")] == ["E", "Z"]
    wire.send(*extended[:2], SYNC_MESSAGE, query("SELECT 1"))
    wire.until("Z")
    assert [k for k, _ in wire.until("Z")] == ["T", "D", "C", "Z"]
    found = run(app, "SELECT id, ssn FROM customers WHERE id > 2000 ORDER BY id")
    assert found == [(str(i).encode(), SECRET.encode()) for i in range(2001, 2006)]
    run(app, "DELETE FROM plain WHERE id IN (77, 78)")


def test_chunks_and_packets_of_any_size(wire: WireClient, app: Connection) -> None:
    """A row, a character and a message cut anywhere, on the wire as well: seeded."""
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    rng = random.Random(seed)
    for _ in range(6):
        stream = rows(*range(2001, 2030)).replace(b"Zoe", "Zoé\\\\".encode())
        sent = b"".join(map(data, cut(rng, stream, rng.choice([3, 60, 900]))))
        wire.send(query("COPY customers FROM STDIN"))
        wire.until("G")
        for packet in cut(rng, sent + DONE, rng.choice([5, 50, 5000])):
            wire.send(packet)
        assert [k for k, _ in wire.until("Z")] == ["C", "Z"]
        assert run(app, "SELECT count(*) FROM customers WHERE name = 'Zoé\\'") == [(b"29",)]
        run(app, "DELETE FROM customers WHERE id > 2000")


def test_the_server_ends_a_copy_that_the_client_goes_on_with(
    wire: WireClient, app: Connection
) -> None:
    """What the client still sends is dropped; the next statement is answered."""
    sql = "COPY customers FROM STDIN WHERE 1 / (2003 - id) > 0"
    wire.send(query(sql))
    wire.until("G")
    wire.send(*(data(rows(*range(n, n + 200))) for n in range(2001, 5000, 200)))
    replies = wire.until("Z")
    assert sqlstate(replies[0][1]) == "22012"
    wire.send(data(rows(6000)), DONE, query("SELECT count(*) FROM customers WHERE id > 2000"))
    assert [k for k, _ in wire.until("Z")] == ["T", "D", "C", "Z"]


# Out.


def test_what_each_role_gets(shop: Shop) -> None:
    """Clear, masked, NULL; one event, with cells and ids; the header and other columns as they are."""
    expected = {
        "shop_app": b"1\tAda\tada@example.com\t123-45-6789\t1985-12-10\t100.50\n",
        "support_login": b"1\tAda\tada@example.com\t*******6789\t1985-01-01\t\\N\n",
        "analyst": b"1\tAda\t\\N\t\\N\t\\N\t\\N\n",
    }
    columns = "id, name, email, ssn, birth_date, balance"
    for login, row in expected.items():
        client = connect(shop.dsn(login))
        for sql in (
            f"COPY customers ({columns}) TO STDOUT (HEADER)",
            f"COPY (SELECT {columns} FROM customers) TO STDOUT WITH (HEADER)",
        ):
            before = shop.clear_events()
            copied = copy_out(client, sql)
            assert copied.tag == b"COPY 3"
            assert copied.data[0] == columns.replace(", ", "\t").encode() + b"\n"
            assert copied.data[1] == row
            (event,) = new_events(shop, before)
            sealgate = event["unmapped"]["sealgate"]
            assert sealgate["rows"] == 3
            assert {cells for _, cells in uses(event).values()} == {2}
            assert {len(column["cell_ids"]) for column in sealgate["columns"]} == {2}
            assert sealgate["final"] is True
        client.finish()


def test_comparisons_and_returning(shop: Shop, app: Connection) -> None:
    """COPY (query): searched by the value, and what a write returns."""
    copied = copy_out(
        app, "COPY (SELECT id, email FROM customers WHERE email = 'bob@example.com') TO STDOUT CSV"
    )
    assert copied.data == (b"2,bob@example.com\n",)
    sql = "COPY (INSERT INTO customers (id, name, email) VALUES (3001, 'x', 'new@example.com') RETURNING email) TO STDOUT"
    assert copy_out(app, sql).data == (b"new@example.com\n",)
    sql = "COPY (UPDATE customers SET ssn = 'a\tb' WHERE id = 3001 RETURNING ssn, NULL) TO STDOUT"
    assert copy_out(app, sql).data == (b"a\\tb\t\\N\n",)
    assert (
        copy_out(app, "COPY (DELETE FROM customers WHERE id = 3001 RETURNING *) TO STDOUT").tag
        == b"COPY 1"
    )
    assert copy_out(app, "COPY (VALUES (1, 'x')) TO STDOUT").data == (b"1\tx\n",)


def test_values_say_what_they_are(shop: Shop, app: Connection) -> None:
    """Views, functions, other tables: unsealed by the value; bytea that only looks sealed is somebody's data."""
    with shop.direct() as direct:
        direct.execute("CREATE VIEW mails AS SELECT id, email AS mail FROM customers")
        direct.execute(
            "CREATE TABLE hoard AS SELECT id, email::bytea AS b, 'x' AS t FROM customers"
        )
        direct.execute(
            "CREATE FUNCTION mail() RETURNS bytea LANGUAGE sql AS 'SELECT email::bytea FROM customers WHERE id = 1'"
        )
        direct.execute("GRANT SELECT ON mails, hoard TO PUBLIC")
    shop.reload()
    try:
        mail = b"ada@example.com"
        for sql in (
            "COPY (SELECT mail FROM mails WHERE id = 1) TO STDOUT",
            "COPY (SELECT b FROM hoard WHERE id = 1) TO STDOUT",
            "COPY (SELECT mail()) TO STDOUT",
            "COPY (SELECT mail()) TO STDOUT (FORMAT csv, DELIMITER 'e')",
        ):
            shown = copy_out(app, sql).data[0]
            assert shown.strip().strip(b'"') == mail, sql
        assert mail in b"".join(copy_out(app, "COPY hoard TO STDOUT (FORMAT binary)").data)
        run(app, "SET bytea_output = 'escape'")
        assert copy_out(app, "COPY (SELECT mail()) TO STDOUT").data == (mail + b"\n",)
        assert copy_out(app, "COPY customers (email) TO STDOUT CSV").data[0] == mail + b"\n"
        run(app, "RESET bytea_output")
        assert copy_out(app, "COPY orders (blob) TO STDOUT").data[0] == b"\\\\x5ea101ff\n"
        nobody = connect(shop.dsn("analyst"))
        assert copy_out(nobody, "COPY (SELECT mail()) TO STDOUT").data == (b"\\N\n",)
        nobody.finish()
    finally:
        with shop.direct() as direct:
            direct.execute("DROP VIEW mails; DROP TABLE hoard; DROP FUNCTION mail()")
        shop.reload()


def test_a_long_result_comes_in_parts(shop: Shop, app: Connection) -> None:
    """Each with its event before it; together they count every row."""
    copy_in(app, "COPY customers FROM STDIN", [rows(*range(2001, 7001))])
    before = shop.clear_events()
    copied = copy_out(app, "COPY customers TO STDOUT")
    assert copied.tag == b"COPY 5003"
    assert len(copied.data) == 5003
    events = [e["unmapped"]["sealgate"] for e in new_events(shop, before)]
    assert len(events) > 1
    assert sum(e["rows"] for e in events) == 5003
    assert [e["part"] for e in events] == list(range(1, len(events) + 1))
    assert [e["final"] for e in events] == [False] * (len(events) - 1) + [True]
    assert len({e["execution"] for e in events}) == 1


def test_a_copy_out_that_fails(shop: Shop, app: Connection) -> None:
    """What came before the error is on record, and the error too."""
    before = shop.clear_events()
    series = "customers, generate_series(1, 5) n WHERE id = 1"
    copied = copy_out(app, f"COPY (SELECT email, 1 / (3 - n) FROM {series}) TO STDOUT")
    assert copied.sqlstate == "22012"
    (event,) = new_events(shop, before)
    assert event["status_code"] == "22012"
    assert uses(event) == {"email": ("clear", 2)}
    assert len(copied.data) == 2


def test_a_value_of_another_column_ends_the_session(shop: Shop, app: Connection) -> None:
    """ADR 1 holds for COPY: it is not shown as a number."""
    with shop.direct() as direct:
        direct.execute("UPDATE customers SET ssn = email WHERE id = 2")
    try:
        before = shop.clear_events()
        with WireClient(shop.port) as wire:
            wire.start("shop_app", shop.database.name)
            wire.send(query("COPY customers TO STDOUT"))
            replies = wire.until("Z")
        assert [kind for kind, _ in replies] == ["H", "E"]
        assert sqlstate(replies[1][1]) == "XX001"
        codes = [e["metadata"]["event_code"] for e in shop.events()[before:]]
        assert "value.tampered" in codes, codes
    finally:
        run(app, "UPDATE customers SET ssn = '987-65-4321' WHERE id = 2")


# Drivers.


def test_psycopg(shop: Shop, app: Connection) -> None:
    """write_row and rows(), in text and in binary."""
    with shop.connect() as connection:
        for format_, types in (
            ("", []),
            (" (FORMAT binary)", ["int4", "text", "text", "date", "numeric"]),
        ):
            with connection.cursor().copy(
                f"COPY customers (id, name, email, birth_date, balance) FROM STDIN{format_}"
            ) as copy:
                if types:
                    copy.set_types(types)
                import datetime
                import decimal

                number = 2100 + len(types)
                copy.write_row(
                    (
                        number,
                        "Pia",
                        f"pia{number}@example.com",
                        datetime.date(2001, 2, 3),
                        decimal.Decimal("1.25"),
                    )
                )
            with connection.cursor().copy(
                f"COPY (SELECT email, birth_date FROM customers WHERE id = {number}) TO STDOUT{format_}"
            ) as copy:
                copy.set_types(["text", "date"])
                assert list(copy.rows()) == [
                    (f"pia{number}@example.com", datetime.date(2001, 2, 3))
                ]
        with (
            pytest.raises(psycopg.errors.InvalidDatetimeFormat),
            connection.cursor().copy("COPY customers (birth_date) FROM STDIN") as copy,
        ):
            copy.write(b"not a date\n")


async def test_asyncpg(shop: Shop, app: Connection) -> None:
    """copy_records_to_table writes binary of the types it asks the catalog for; copy_from_query gives the bytes."""
    connection = await asyncpg.connect(shop.dsn())
    try:
        output: list[bytes] = []

        async def keep(chunk: bytes) -> None:
            output.append(chunk)

        source = b"2201,Quin,quin@example.com\n"
        await connection.copy_to_table(
            "customers", source=_chunks(source), columns=["id", "name", "email"], format="csv"
        )
        await connection.copy_from_query(
            "SELECT name, email FROM customers WHERE id = $1", 2201, output=keep, format="csv"
        )
        assert b"".join(output) == b"Quin,quin@example.com\n"
        output.clear()
        await connection.copy_from_table("customers", columns=["email"], output=keep)
        assert b"quin@example.com\n" in b"".join(output)
    finally:
        await connection.close()


async def _chunks(source: bytes) -> Any:
    for byte in source:
        yield bytes((byte,))


def test_copy_fail_message_of_a_pipeline(wire: WireClient) -> None:
    """CopyFail right behind the data."""
    wire.send(query("COPY customers FROM STDIN"), data(rows(2001)), message(COPY_FAIL, b"enough\0"))
    replies = wire.until("Z")
    assert [k for k, _ in replies] == ["G", "E", "Z"]
    assert sqlstate(replies[1][1]) == "57014"
    assert struct.unpack("!B", replies[2][1]) == (ord("I"),)


# Names and kinds of tables.

NAMES_SCHEMA = """
CREATE SCHEMA "Odd";
CREATE TABLE "Odd"."T x" ("Id" int, "Se cret" text, "from" text);
CREATE TABLE public.two (id int, secret text);
CREATE SCHEMA other;
CREATE TABLE other.two (id int, secret text);
CREATE TABLE measures (id int, secret text) PARTITION BY RANGE (id);
CREATE TABLE measures_low PARTITION OF measures FOR VALUES FROM (0) TO (100);
CREATE TABLE measures_high (secret text, extra int, id int);
ALTER TABLE measures_high DROP extra;
ALTER TABLE measures ATTACH PARTITION measures_high FOR VALUES FROM (100) TO (1000);
CREATE TABLE defaults (id int DEFAULT 7, secret text, n int DEFAULT 5);
GRANT USAGE ON SCHEMA "Odd", other TO PUBLIC;
GRANT ALL ON ALL TABLES IN SCHEMA public TO PUBLIC;
GRANT ALL ON ALL TABLES IN SCHEMA "Odd" TO PUBLIC;
GRANT ALL ON ALL TABLES IN SCHEMA other TO PUBLIC;
"""
NAMES_COLUMNS = """
[columns.'"Odd"."T x"."Se cret"']
type = "text"
[columns."public.two.secret"]
type = "text"
[columns."public.measures.secret"]
type = "text"
[columns."public.defaults.secret"]
type = "text"
[roles.shop_app]
clear = ["*"]
write = ["*"]
"""


@pytest.fixture(scope="module")
def named(
    make_database: Callable[[], Database], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Shop]:
    database = make_database()
    database.psql(NAMES_SCHEMA)
    shop = Shop(database, tmp_path_factory.mktemp("named"), columns=NAMES_COLUMNS)
    shop.prepare()
    shop.serve()
    yield shop
    shop.stop()
    database.postgres.drop_database(database.name)


def test_names_as_they_may_be_written(named: Shop) -> None:
    """Quoted, with blanks, keywords, a database in front; the table that search_path finds, changed in mid-session."""
    app = connect(named.dsn())
    for table in ('"Odd"."T x"', f'{named.database.name}."Odd"."T x"', 'U&"\\004Fdd"."T x"'):
        for columns in ("", ' ("Se cret", "from", "Id")', ' ( "Id" , "Se cret","from" )'):
            row = b"a\tb\t1\n" if columns.startswith(' ("Se') else b"1\ta\tb\n"
            copied = copy_in(app, f"COPY {table}{columns} FROM STDIN", [row])
            assert copied.tag == b"COPY 1", (table, columns, copied)
            shown = copy_out(
                app, f'copy {table}{columns} to stdout (force_quote ("Se cret"), format csv)'
            )
            expected = b'"a",b,1\n' if columns.startswith(' ("Se') else b'1,"a",b\n'
            assert shown.data == (expected,)
            run(app, 'DELETE FROM "Odd"."T x"')
    run(app, "SET search_path = other, public")
    assert copy_in(app, "COPY two FROM STDIN", [b"1\tplain\n"]).tag == b"COPY 1"
    run(app, "SET search_path = public, other")
    assert copy_in(app, "COPY two FROM STDIN", [b"1\tsealed\n"]).tag == b"COPY 1"
    with named.direct() as direct:
        assert direct.execute("SELECT secret FROM other.two").fetchone() == ("plain",)
        (stored,) = direct.execute("SELECT secret FROM public.two").fetchone() or ()
        assert stored[:3] == b"\x5e\xa1\x01"
    assert copy_out(app, "COPY two TO STDOUT").data == (b"1\tsealed\n",)
    app.finish()


def test_partitions(named: Shop) -> None:
    """Through the parent, whatever the order of a partition's own columns; into and out of a partition itself."""
    app = connect(named.dsn())
    assert copy_in(app, "COPY measures FROM STDIN", [b"1\tlow\n200\thigh\n"]).tag == b"COPY 2"
    shown = copy_out(app, "COPY (SELECT * FROM measures ORDER BY id) TO STDOUT")
    assert shown.data == (b"1\tlow\n", b"200\thigh\n")
    # Before PostgreSQL 19 not from the parent itself.
    assert copy_out(app, "COPY measures TO STDOUT").sqlstate == "42809"
    assert copy_out(app, "COPY measures_high TO STDOUT").data == (b"high\t200\n",)
    assert copy_in(app, "COPY measures_high FROM STDIN", [b"x\t201\n"]).tag == b"COPY 1"
    assert run(app, "SELECT secret FROM measures WHERE id = 201") == [(b"x",)]
    app.finish()


def test_defaults(named: Shop) -> None:
    """The DEFAULT marker stays what it is, for other columns too; a sealed column has none to give."""
    app = connect(named.dsn())
    for options, stream in (
        ("(DEFAULT '\\D')", b"\\D\tx\t\\D\n"),
        ("(FORMAT csv, DEFAULT '*')", b'*,"x",*\n'),
    ):
        assert copy_in(app, f"COPY defaults FROM STDIN {options}", [stream]).tag == b"COPY 1"
    assert run(app, "SELECT id, secret, n FROM defaults") == [(b"7", b"x", b"5")] * 2
    copied = copy_in(app, "COPY defaults FROM STDIN (DEFAULT '\\D')", [b"1\t\\D\t2\n"])
    assert copied.sqlstate == "22P04"
    assert b"5ea1" not in copied.context
    app.finish()


def test_freeze_and_temporary_tables(named: Shop) -> None:
    """FREEZE is the server's; a temporary table of another name is nobody's concern."""
    app = connect(named.dsn())
    run(app, "BEGIN")
    run(app, "CREATE TEMP TABLE scratch (id int, secret text)")
    assert copy_in(app, "COPY scratch FROM STDIN (FREEZE)", [b"1\tx\n"]).tag == b"COPY 1"
    copied = copy_in(app, "COPY two FROM STDIN (FREEZE)", [b"1\tx\n"])
    assert copied.sqlstate == "55000"
    run(app, "ROLLBACK")
    app.finish()
