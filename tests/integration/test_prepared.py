"""SQL's PREPARE, EXECUTE and DEALLOCATE on sealed columns, through the real proxy.

What would be silently wrong: an argument of EXECUTE in the server's log, a value sealed for what a name meant before,
a name that ROLLBACK or a failure should have taken back or left. Every plaintext in here begins with a mark that the
server's log is searched for.
"""

from __future__ import annotations

import datetime
import secrets
from collections.abc import Iterator
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
from tests.integration.shop import COLUMNS, Shop
from tests.integration.wire_client import WireClient, sqlstate

SYNC = SYNC_MESSAGE
MARK = "mark" + secrets.token_hex(8)


@pytest.fixture(scope="module", autouse=True)
def unlogged(shop: Shop) -> Iterator[None]:
    """Whatever a test in here sends: the server's log has none of it."""
    with shop.connect() as app:
        app.execute("INSERT INTO customers (name, email) VALUES ('M', %s)", (f"{MARK}-known",))
    yield
    log = shop.database.postgres.log_path.read_bytes()
    assert b"PREPARE" in log
    places = [log[max(0, at - 200) : at + 40] for at in _places(log, MARK.encode())]
    assert places == []
    assert MARK.encode() not in shop.audit_path.read_bytes()
    assert MARK.encode() not in shop.output_path.read_bytes()


def _places(text: bytes, sought: bytes) -> Iterator[int]:
    at = text.find(sought)
    while at >= 0:
        yield at
        at = text.find(sought, at + 1)


@pytest.fixture
def app(shop: Shop) -> Iterator[psycopg.Connection[Any]]:
    with shop.connect() as connection:
        yield connection


@pytest.fixture
def wire(shop: Shop) -> Iterator[WireClient]:
    with WireClient(shop.port) as wire:
        wire.start("shop_app", shop.database.name)
        yield wire


def kinds(messages: list[tuple[str, bytes]]) -> str:
    return "".join(kind for kind, _ in messages)


def error_of(messages: list[tuple[str, bytes]]) -> str:
    return sqlstate(dict(messages)["E"])


def simple(sql: str) -> bytes:
    return message(ord("Q"), sql.encode() + b"\0")


def events(shop: Shop, before: int) -> list[dict[str, Any]]:
    return [e["unmapped"]["sealgate"] for e in shop.events()[before:] if "database" in e]


def test_execute_writes_and_finds(shop: Shop, app: psycopg.Connection[Any]) -> None:
    """With types, with some, without; literals of every kind for the sealed parameters."""
    app.execute(
        "PREPARE ins (text, varchar(5), text, date) AS INSERT INTO customers (name, note, email, birth_date) VALUES ($1, $2, $3, $4)"
    )
    app.execute(f"EXECUTE ins('A', 'n', '{MARK}-a', '1999-12-31')")
    app.execute(rf"EXECUTE ins('A', 'n', E'{MARK}-\x62', DATE '2000-01-01')")
    app.execute(f"EXECUTE ins('A', 'n', $${MARK}-c$$::varchar, NULL::date)")
    app.execute("EXECUTE ins('A', 'n', NULL, CAST('2001-01-01' AS date))")
    app.execute(
        "PREPARE find AS SELECT email, birth_date FROM customers WHERE email = $1 AND name = $2"
    )
    app.execute("PREPARE many (text[]) AS SELECT count(*) FROM customers WHERE email = ANY($1)")
    day = datetime.date(1999, 12, 31)
    assert app.execute(f"EXECUTE find('{MARK}-a', 'A')").fetchall() == [(f"{MARK}-a", day)]
    assert app.execute(f"EXECUTE find('{MARK}-b', 'A')").fetchall()[0][1] == datetime.date(
        2000, 1, 1
    )
    assert app.execute(f"execute find ( '{MARK}-c' , 'A' )").fetchall() == [(f"{MARK}-c", None)]
    assert app.execute(f"EXECUTE many('{{{MARK}-a,{MARK}-b,none}}')").fetchone() == (2,)
    assert app.execute(f"EXECUTE many('{{{MARK}-a}}'::text[])").fetchone() == (1,)
    app.execute("PREPARE lit AS SELECT count(*) FROM customers WHERE email = 'ada@example.com'")
    assert app.execute("EXECUTE lit").fetchone() == (1,)


def test_arguments_are_coerced_as_the_server_does(app: psycopg.Connection[Any]) -> None:
    """Numbers, booleans, casts and lengths on their way to the parameter's type; what cannot be is refused."""
    app.execute("PREPARE bal AS UPDATE customers SET balance = $1 WHERE id = 1 RETURNING balance")
    for argument, stored in [
        ("12", "12.00"),
        ("-3.456", "-3.46"),
        ("'7.5'", "7.50"),
        ("'8'::int", "8.00"),
        ("(1.25)::numeric(3,1)", "1.30"),
        ("NULL", None),
        ("100.50", "100.50"),
    ]:
        row = app.execute(f"EXECUTE bal({argument})").fetchone()
        assert row is not None
        assert (row[0] if row[0] is None else str(row[0])) == stored
    app.execute(
        "PREPARE mail (text) AS UPDATE customers SET email = $1 WHERE id = 2 RETURNING email"
    )
    assert app.execute("EXECUTE mail(5)").fetchone() == ("5",)
    assert app.execute("EXECUTE mail('bob@example.com, cut'::varchar(15))").fetchone() == (
        "bob@example.com",
    )
    for argument, code in [
        ("'2020-02-30'::date", "22008"),
        (f"lower('{MARK}')", "0A000"),
        (f"'{MARK}' || 'x'", "0A000"),
        (f"'{MARK}', '{MARK}'", "42601"),
        (f"'{MARK}'::nosuchtype", "0A000"),
        (f"'{MARK}'::int", "22P02"),
        ("$1", "0A000"),
    ]:
        with pytest.raises(psycopg.Error) as raised:
            app.execute(f"EXECUTE mail({argument})")
        assert raised.value.sqlstate == code, argument
    app.execute("PREPARE num (int) AS UPDATE customers SET balance = $1 WHERE id = 1")
    for argument in ("TRUE", "'2020-01-01'::date"):
        with pytest.raises(psycopg.errors.DatatypeMismatch):
            app.execute(f"EXECUTE num({argument})")
    with pytest.raises(psycopg.errors.InvalidTextRepresentation):
        app.execute(f"EXECUTE num('{MARK}')")


def test_one_namespace_with_the_protocol(wire: WireClient) -> None:
    """PREPARE then Bind, Parse then EXECUTE; Describe tells logical types of both."""
    wire.query("PREPARE p AS SELECT email FROM customers WHERE email = $1 AND id > $2")
    wire.send(
        write_target(ord("D"), "S", b"p"),
        write_bind(Bind(b"", b"p", (0,), (f"{MARK}-known".encode(), b"0"), ())),
        write_execute(b""),
        SYNC,
    )
    answer = wire.until("Z")
    assert read_parameter_description(dict(answer)["t"]) == (25, 23)
    assert read_row_description(dict(answer)["T"])[0].type == 25
    assert f"{MARK}-known".encode() in dict(answer)["D"]
    wire.send(write_parse(Parse(b"q", b"SELECT id FROM customers WHERE email = $1", (1043,))), SYNC)
    wire.until("Z")
    assert "D" in kinds(wire.query(f"EXECUTE q('{MARK}-known')"))
    assert "D" not in kinds(wire.query(f"EXECUTE q('{MARK}-unknown')"))
    assert error_of(wire.query("PREPARE q AS SELECT 1")) == "42P05"
    assert "D" in kinds(wire.query(f"EXECUTE q('{MARK}-known')"))
    wire.send(write_target(ord("C"), "S", b"q"), SYNC)
    wire.until("Z")
    assert error_of(wire.query(f"EXECUTE q('{MARK}-known')")) == "26000"


def test_prepared_and_executed_in_one_message(wire: WireClient) -> None:
    """Each statement sees those before it; when one fails, those behind it have not happened."""
    answer = wire.query(
        "PREPARE a AS SELECT count(*) FROM customers WHERE email = $1;"
        f"EXECUTE a('{MARK}-known'); DEALLOCATE a;"
        "PREPARE a AS SELECT $1::int + 1; EXECUTE a(41)"
    )
    assert kinds(answer) == "CTDCCCTDCZ"
    assert dict(answer)["D"].endswith(b"42")
    answer = wire.query(
        "DEALLOCATE a; SELECT 1/0; PREPARE b AS SELECT id FROM customers WHERE email = $1;"
        f"EXECUTE b('{MARK}')"
    )
    assert "E" in kinds(answer)
    assert error_of(wire.query(f"EXECUTE b('{MARK}')")) == "26000"


def test_prepare_survives_rollback(app: psycopg.Connection[Any]) -> None:
    """The server keeps it, and so do we; one that failed was never there."""
    app.execute("BEGIN")
    app.execute("PREPARE r AS SELECT count(*) FROM customers WHERE email = $1")
    app.execute("ROLLBACK")
    assert app.execute(f"EXECUTE r('{MARK}-known')").fetchone() == (1,)
    app.execute("BEGIN")
    app.execute("DEALLOCATE r")
    app.execute("ROLLBACK")
    with pytest.raises(psycopg.errors.InvalidSqlStatementName):
        app.execute(f"EXECUTE r('{MARK}-known')")
    with pytest.raises(psycopg.errors.UndefinedColumn):
        app.execute("PREPARE r AS SELECT id FROM customers WHERE email = $1 AND nosuch = 1")
    with pytest.raises(psycopg.errors.InvalidSqlStatementName):
        app.execute(f"EXECUTE r('{MARK}-known')")


@pytest.mark.parametrize(
    "drop",
    ["DEALLOCATE ALL", "DISCARD ALL", 'DEALLOCATE PREPARE "N m"', 'SELECT 1; DEALLOCATE "N m"'],
)
def test_a_name_is_free_again(wire: WireClient, drop: str) -> None:
    """Prepared, dropped, prepared as something else: arguments are sealed for what it means now."""
    wire.query('PREPARE "N m" AS SELECT $1::text')
    assert dict(wire.query("""EXECUTE "N m"('plain')"""))["D"].endswith(b"plain")
    assert "E" not in kinds(wire.query(drop))
    wire.query('PREPARE "N m" AS SELECT count(*) FROM customers WHERE email = $1')
    assert dict(wire.query(f"""EXECUTE "N m"('{MARK}-known')"""))["D"].endswith(b"1")
    wire.query(drop)
    assert error_of(wire.query(f"""EXECUTE "N m"('{MARK}-known')""")) == "26000"


@pytest.mark.parametrize("command", ["DEALLOCATE ALL", "DISCARD ALL"])
def test_the_unnamed_statement_stays(wire: WireClient, shop: Shop, command: str) -> None:
    """The server keeps it, whoever drops all others by the extended protocol: what it compares is recorded."""
    find = b"SELECT count(*) FROM customers WHERE email = $1"
    value = (f"{MARK}-known".encode(),)
    execute = (write_bind(Bind(b"", b"", (), value, ())), write_execute(b""), SYNC)
    wire.send(write_parse(Parse(b"", find, ())), SYNC)
    wire.until("Z")
    wire.send(write_parse(Parse(b"d", command.encode(), ())))
    wire.send(write_bind(Bind(b"d", b"d", (), (), ())), write_execute(b"d"), SYNC)
    assert "E" not in kinds(wire.until("Z"))
    before = shop.clear_events()
    wire.send(*execute)
    assert dict(wire.until("Z"))["D"].endswith(b"1")
    codes = [event["metadata"]["event_code"] for event in shop.events()[before:]]
    assert codes == ["statement.compare"]


def test_a_name_that_is_made_anew_and_stays(wire: WireClient) -> None:
    """Pipelined: PREPARE of a name that exists fails, and EXECUTE behind it must be sealed for the old meaning."""
    wire.query("PREPARE p AS SELECT count(*) FROM customers WHERE email = $1")
    wire.send(
        simple("PREPARE p AS SELECT $1::text"),
        simple(f"EXECUTE p('{MARK}-known')"),
        simple("PREPARE n AS SELECT 1"),
    )
    first, second, third = wire.until("Z"), wire.until("Z"), wire.until("Z")
    assert error_of(first) == "42P05"
    assert dict(second)["D"].endswith(b"1")
    assert kinds(third) == "CZ"
    wire.send(
        write_parse(Parse(b"p", b"SELECT $1::text", ())),
        SYNC,
        write_bind(Bind(b"", b"p", (), (f"{MARK}-known".encode(),), ())),
        write_execute(b""),
        SYNC,
    )
    assert error_of(wire.until("Z")) == "42P05"
    assert dict(wire.until("Z"))["D"].endswith(b"1")
    wire.send(
        simple("DEALLOCATE p"), simple("PREPARE p AS SELECT $1::text"), simple("EXECUTE p('x')")
    )
    for _ in range(2):
        wire.until("Z")
    assert dict(wire.until("Z"))["D"].endswith(b"x")


def test_an_unknown_name(shop: Shop, wire: WireClient) -> None:
    """A function has prepared it, so only the server knows: values for it are refused as if it were not there."""
    with shop.direct() as owner:
        owner.execute(
            "CREATE OR REPLACE FUNCTION secretly() RETURNS void LANGUAGE plpgsql AS $$ BEGIN EXECUTE"
            " 'PREPARE hidden AS SELECT id FROM customers WHERE note = $1'; EXECUTE 'PREPARE bare AS SELECT 7'; END $$"
        )
    wire.query("SELECT secretly()")
    answer = wire.query(f"EXECUTE hidden('{MARK}')")
    assert error_of(answer) == "26000"
    assert dict(wire.query("EXECUTE bare"))["D"].endswith(b"7")
    assert error_of(wire.query("EXECUTE nosuch")) == "26000"
    for trick in (
        f"EXECUTE hidden(U&'{MARK}' UESCAPE '!')",
        f"EXECUTE hidden('{MARK}'",
        f"EXECUTE hidden '{MARK}'",
        f"EXPLAIN ANALYZE EXECUTE hidden('{MARK}')",
        f"CREATE TABLE leak AS EXECUTE hidden('{MARK}')",
        f"SELECT 1; EXECUTE hidden('{MARK}')",
        f"/* x */ EXECUTE/**/hidden('{MARK}')",
        f"EXECUTE U&\"hidden\"('{MARK}')",
        f"PREPARE x AS EXECUTE hidden('{MARK}')",
        f"DECLARE c CURSOR FOR EXECUTE hidden('{MARK}')",
    ):
        assert "E" in kinds(wire.query(trick)), trick
        wire.send(write_parse(Parse(b"", trick.encode(), ())), SYNC)
        assert "E" in kinds(wire.until("Z")), trick


def test_execute_by_the_extended_protocol(shop: Shop, wire: WireClient) -> None:
    """Sealed at Parse for what the name means; if it means something else at Bind, refused."""
    wire.query("PREPARE p AS SELECT email FROM customers WHERE email = $1")
    before = shop.clear_events()
    run = (write_bind(Bind(b"", b"x", (), (), (1,))), write_execute(b""), SYNC)
    wire.send(
        write_parse(Parse(b"x", f"EXECUTE p('{MARK}-known')".encode(), ())),
        write_target(ord("D"), "S", b"x"),
        *run,
    )
    answer = wire.until("Z")
    assert kinds(answer) == "1tT2DCZ"
    assert f"{MARK}-known".encode() in dict(answer)["D"]
    (event,) = events(shop, before)
    assert (event["command"], event["protocol"], event["rows"]) == ("SELECT", "extended", 1)
    wire.query("DEALLOCATE p; PREPARE p AS SELECT $1::text")
    wire.send(*run)
    answer = wire.until("Z")
    assert (kinds(answer), error_of(answer)) == ("EZ", "0A000")


def test_prepare_by_the_extended_protocol(wire: WireClient) -> None:
    """PREPARE parsed, bound and executed; in a pipeline that fails before it, it is not there."""
    sql = b"PREPARE e AS SELECT count(*) FROM customers WHERE email = $1"
    run = (
        write_parse(Parse(b"", sql, ())),
        write_bind(Bind(b"", b"", (), (), ())),
        write_execute(b""),
    )
    failing = (
        write_parse(Parse(b"", b"SELECT 1/0", ())),
        write_bind(Bind(b"", b"", (), (), ())),
        write_execute(b""),
    )
    wire.send(*failing, *run, SYNC)
    assert "E" in kinds(wire.until("Z"))
    assert error_of(wire.query(f"EXECUTE e('{MARK}-known')")) == "26000"
    wire.send(*run, SYNC)
    assert kinds(wire.until("Z")) == "12CZ"
    assert dict(wire.query(f"EXECUTE e('{MARK}-known')"))["D"].endswith(b"1")
    wire.send(*run, *failing, SYNC)
    assert error_of(wire.until("Z")) == "42P05"
    assert dict(wire.query(f"EXECUTE e('{MARK}-known')"))["D"].endswith(b"1")


def test_events_name_the_prepared_statement(shop: Shop, app: psycopg.Connection[Any]) -> None:
    """Not PREPARE but each EXECUTE is on record, as a Bind and Execute would be."""
    before = shop.clear_events()
    app.execute(
        "PREPARE ev AS UPDATE customers SET ssn = $1, balance = 5 WHERE email = 'ada@example.com'"
    )
    assert len(shop.events()) == before
    app.execute(f"EXECUTE ev('{MARK}')")
    event = shop.events()[before]
    fields = event["unmapped"]["sealgate"]
    assert event["query_info"]["query_string"].startswith(
        "PREPARE ev AS UPDATE customers SET ssn = $1"
    )
    assert (fields["command"], fields["protocol"]) == ("UPDATE", "simple")
    assert {
        (c["name"].rpartition(".")[2], c["outcome"], c["cells"]) for c in fields["columns"]
    } == {
        ("ssn", "written", 1),
        ("balance", "written", 1),
        ("email", "compared", 0),
    }


def test_names_and_values_in_another_encoding(app: psycopg.Connection[Any]) -> None:
    """LATIN1: names are the same names, values the same values, in UTF8 afterwards too."""
    app.execute("SET client_encoding = 'LATIN1'")
    app.execute('PREPARE "käse" AS INSERT INTO customers (name, email) VALUES ($1, $2)')
    app.execute(f"""EXECUTE "käse"('Jürgen', '{MARK}-jürgen')""")
    app.execute('PREPARE "lös" AS SELECT name, email FROM customers WHERE email = $1')
    found = [("Jürgen", f"{MARK}-jürgen")]
    assert app.execute(f"""EXECUTE "lös"('{MARK}-jürgen')""").fetchall() == found
    app.execute(
        f"""DECLARE "crö" CURSOR WITH HOLD FOR SELECT name FROM customers WHERE email = '{MARK}-jürgen'"""
    )
    assert app.execute('FETCH "crö"').fetchall() == [("Jürgen",)]
    app.execute("SET client_encoding = 'UTF8'")
    assert app.execute(f"""EXECUTE "lös"('{MARK}-jürgen')""").fetchall() == found


@pytest.mark.parametrize(
    ("sql", "at"),
    [
        (
            f"PREPARE z (nosuchtype, text) AS SELECT id FROM customers WHERE email = $2 OR email = '{MARK}'",
            "nosuchtype",
        ),
        (
            f"PREPARE z (int) AS SELECT id FROM customers WHERE email = '{MARK}' AND nosuch(id)",
            "nosuch",
        ),
        (f"DECLARE c FOO CURSOR FOR SELECT id FROM customers WHERE email = '{MARK}'", "FOO"),
        (
            f"DECLARE c CURSOR FOR SELECT id FROM customers WHERE email = '{MARK}' AND nosuch(id)",
            "nosuch",
        ),
        (f"EXPLAIN (FOO) SELECT id FROM customers WHERE email = '{MARK}'", "FOO"),
        (f"EXECUTE pos(('{MARK}')::text, nosuch)", "nosuch"),
        ("FETCH 5 FROM", ""),
    ],
    ids=lambda value: value.replace(MARK, "mark") if isinstance(value, str) else None,
)
def test_errors_point_into_the_clients_text(
    app: psycopg.Connection[Any], sql: str, at: str
) -> None:
    """The position of the server's error, in front of and behind what was sealed."""
    app.execute("PREPARE pos AS SELECT id FROM customers WHERE email = $1 AND name = $2")
    with pytest.raises(psycopg.Error) as raised:
        app.execute(sql)
    assert int(raised.value.diag.statement_position or 0) - 1 == (sql.index(at) if at else len(sql))


def test_grants_hold_for_execute(shop: Shop) -> None:
    """Comparisons and writes are refused at PREPARE; rows of EXECUTE are masked like any."""
    with shop.connect("support_login") as support:
        support.execute("PREPARE s AS SELECT ssn FROM customers WHERE email = $1")
        assert support.execute("EXECUTE s('bob@example.com')").fetchone() == ("*******4321",)
        for refused in (
            "PREPARE b AS SELECT id FROM customers WHERE birth_date = $1",
            "PREPARE w AS UPDATE customers SET email = $1",
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                support.execute(refused)
        with pytest.raises(psycopg.errors.InvalidSqlStatementName):
            support.execute(f"EXECUTE w('{MARK}')")


def test_the_policy_is_asked_again_at_execute(shop: Shop, app: psycopg.Connection[Any]) -> None:
    """A reload between PREPARE and EXECUTE, DECLARE and FETCH."""
    app.execute("PREPARE s AS SELECT id FROM customers WHERE email = $1")
    app.execute(
        "DECLARE h CURSOR WITH HOLD FOR SELECT id FROM customers WHERE email = 'ada@example.com'"
    )
    columns = shop.columns
    shop.columns = COLUMNS.replace(
        'clear = ["public.customers.*"]', 'clear = ["public.customers.ssn"]'
    )
    try:
        shop.write_config()
        shop.reload()
        before = shop.clear_events()
        for sql in (f"EXECUTE s('{MARK}')", "FETCH h", "MOVE h"):
            for prepare in (False, True):
                with pytest.raises(psycopg.errors.InsufficientPrivilege):
                    app.execute(sql, prepare=prepare)
        refused = [e for e in shop.events()[before:] if e["status_id"] == 2]
        assert len(refused) == 6
        for event in refused:
            assert event["table"]["name"] == "public.customers"
            assert event["query_info"]["query_string"].startswith(("PREPARE s AS", "DECLARE h"))
    finally:
        shop.columns = columns
        shop.write_config()
        shop.reload()
    assert app.execute("FETCH h").fetchone() == (1,)


def test_what_execute_would_carry_elsewhere(app: psycopg.Connection[Any]) -> None:
    """CREATE TABLE AS EXECUTE of a sealed statement is refused, of another one not."""
    app.execute("PREPARE s AS SELECT email FROM customers; PREPARE t (int) AS SELECT $1 AS n")
    with pytest.raises(psycopg.errors.FeatureNotSupported):
        app.execute("CREATE TEMP TABLE copied AS EXECUTE s")
    app.execute("CREATE TEMP TABLE copied AS EXECUTE t(3) WITH DATA")
    assert app.execute("SELECT n FROM copied").fetchone() == (3,)


def test_refused_parameter_types(app: psycopg.Connection[Any]) -> None:
    """Declared types that a sealed column's parameter cannot have."""
    for types, code in [
        ("int", "42883"),
        ("customers", "0A000"),
        ("point", "0A000"),
        ("text[]", "0A000"),
    ]:
        with pytest.raises(psycopg.Error) as raised:
            app.execute(f"PREPARE p ({types}) AS SELECT id FROM customers WHERE email = $1")
        assert raised.value.sqlstate == code, types
    app.execute("PREPARE p (unknown, int) AS SELECT id FROM customers WHERE email = $1 AND id = $2")
    assert app.execute("EXECUTE p('ada@example.com', 1)").fetchone() == (1,)


def test_arrays_that_are_rows(app: psycopg.Connection[Any]) -> None:
    """unnest of an argument: each element is sealed; NULL elements stay NULL."""
    app.execute(
        "PREPARE un (text[]) AS INSERT INTO customers (name, email) SELECT 'un', e FROM unnest($1) AS e"
    )
    app.execute(f"EXECUTE un('{{{MARK}-u1,NULL,{MARK}-u2}}')")
    found = app.execute("SELECT email FROM customers WHERE name = 'un' ORDER BY id").fetchall()
    assert found == [(f"{MARK}-u1",), (None,), (f"{MARK}-u2",)]


def test_an_execute_of_a_plain_statement_stays_as_it_was_parsed(wire: WireClient) -> None:
    """Parsed once for one plain statement, run for another; and before its name was there at all."""
    wire.query("PREPARE pl AS SELECT 1")
    run = (write_bind(Bind(b"", b"x", (), (), ())), write_execute(b""), SYNC)
    wire.send(write_parse(Parse(b"x", b"EXECUTE pl", ())), *run)
    assert dict(wire.until("Z"))["D"].endswith(b"1")
    wire.query("DEALLOCATE pl; PREPARE pl AS SELECT 2")
    wire.send(*run)
    assert dict(wire.until("Z"))["D"].endswith(b"2")
    wire.query(
        "DEALLOCATE pl; PREPARE pl AS SELECT id FROM customers WHERE email = 'ada@example.com'"
    )
    wire.send(*run)
    assert error_of(wire.until("Z")) == "0A000"


async def test_drivers_statements_by_sql(shop: Shop) -> None:
    """What a driver has prepared, under the driver's own names."""
    connection = await asyncpg.connect(shop.dsn())
    try:
        statement = await connection.prepare(
            "SELECT id FROM customers WHERE email = $1 AND id > $2", name="drv"
        )
        assert await statement.fetchval("ada@example.com", 0) == 1
        assert await connection.fetch("EXECUTE drv('ada@example.com', 0)") == [(1,)]
        assert "drv" in str(
            await connection.fetch("SELECT name, statement FROM pg_prepared_statements")
        )
    finally:
        await connection.close()
