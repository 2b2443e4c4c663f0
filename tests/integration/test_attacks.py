"""Attacks on the session core that have worked once: each ends with a value in the server's log, or a wrong one in a row.

The server looks names up anew when search_path or a table has changed, undoes settings with their transaction, and
reports neither SET ROLE nor what a pipeline has changed. Whatever the proxy believes instead is searched for here.
"""

from __future__ import annotations

import itertools
import struct
from collections.abc import Callable, Iterator

import pytest

from proxy.wire.messages import (
    SYNC_MESSAGE,
    Bind,
    Parse,
    message,
    write_bind,
    write_execute,
    write_parse,
)
from tests.conftest import Database
from tests.integration.shop import COLUMNS, SCHEMA, Shop
from tests.integration.wire_client import WireClient, sqlstate

MORE_TABLES = """
CREATE SCHEMA plain_one; CREATE TABLE plain_one.t (id int, email text, born date);
CREATE SCHEMA sealed_one; CREATE TABLE sealed_one.t (id int, email text, born date);
CREATE SCHEMA clerks; CREATE TABLE clerks.u (id int, email text);
CREATE TABLE public.u (id int, email text);
GRANT ALL ON SCHEMA plain_one, sealed_one, clerks TO PUBLIC;
GRANT ALL ON plain_one.t, sealed_one.t, clerks.u, public.u TO PUBLIC;
"""
MORE_COLUMNS = """
[columns."sealed_one.t.email"]
type = "text"
search = ["equality"]
[columns."sealed_one.t.born"]
type = "date"
[columns."clerks.u.email"]
type = "text"

[roles.shop_app]"""
CLEAR = '"public.customers.*", "sealed_one.t.*", "clerks.u.*"]'

_numbers = itertools.count(1)


@pytest.fixture(scope="module")
def shop(
    make_database: Callable[[], Database], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Shop]:
    database = make_database()
    database.psql(SCHEMA)
    database.psql(MORE_TABLES)
    columns = COLUMNS.replace("[roles.shop_app]", MORE_COLUMNS, 1)
    columns = columns.replace('"public.customers.*"]', CLEAR)
    shop = Shop(database, tmp_path_factory.mktemp("attacked"), columns=columns)
    shop.prepare()
    database.psql(
        "DO $$ BEGIN IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'clerks') "
        "THEN CREATE ROLE clerks; END IF; END $$; GRANT clerks TO shop_app"
    )
    shop.serve()
    yield shop
    shop.stop()
    database.postgres.drop_database(database.name)


@pytest.fixture
def wire(shop: Shop) -> Iterator[WireClient]:
    with WireClient(shop.port) as client:
        client.start("shop_app", shop.database.name)
        yield client
        assert in_sync(client)


@pytest.fixture
def secret() -> str:
    return f"attacked-{next(_numbers)}-canary"


def in_sync(client: WireClient) -> bool:
    kinds = [kind for kind, _ in client.query("SELECT 4711") if kind != "S"]
    return kinds == ["T", "D", "C", "Z"]


def run(sql: str, *values: str) -> bytes:
    """One statement of a pipeline."""
    return write_parse(Parse(b"", sql.encode(), ())) + bind(b"", *values) + write_execute(b"")


def bind(statement: bytes, *values: str, portal: bytes = b"") -> bytes:
    given = tuple(value.encode() for value in values)
    return write_bind(Bind(portal, statement, (), given, ()))


def errors(replies: list[tuple[str, bytes]]) -> list[str]:
    return [sqlstate(body) for kind, body in replies if kind == "E"]


def values(replies: list[tuple[str, bytes]]) -> list[bytes]:
    """The first cell of each row."""
    found = []
    for kind, body in replies:
        if kind == "D":
            (size,) = struct.unpack_from("!i", body, 2)
            found.append(body[6 : 6 + size])
    return found


def logged(shop: Shop, secret: str) -> bool:
    return secret in shop.database.postgres.log_text()


# Names that mean something else by now.


def test_a_statement_prepared_for_another_search_path(
    shop: Shop, wire: WireClient, secret: str
) -> None:
    """The server plans it anew, for the sealed table: its value was bound for the plain one."""
    wire.query("SET search_path = plain_one")
    wire.send(write_parse(Parse(b"p", b"INSERT INTO t VALUES (1, $1)", ())), SYNC_MESSAGE)
    assert errors(wire.until("Z")) == []
    wire.query("PREPARE q AS INSERT INTO t VALUES (1, $1)")
    wire.query("SET search_path = sealed_one")
    wire.send(bind(b"p", secret), write_execute(b""), SYNC_MESSAGE)
    assert errors(wire.until("Z")) == ["0A000"]
    assert errors(wire.query(f"EXECUTE q('{secret}')")) == ["0A000"]
    wire.send(run(f"EXECUTE q('{secret}')"), SYNC_MESSAGE)
    assert errors(wire.until("Z")) == ["0A000"]
    assert not logged(shop, secret)
    wire.query("SET search_path = plain_one")
    wire.send(bind(b"p", "back"), write_execute(b""), SYNC_MESSAGE)
    assert errors(wire.until("Z")) == []
    assert errors(wire.query("EXECUTE q('back')")) == []


def test_a_statement_prepared_in_the_same_pipeline_as_the_search_path(
    shop: Shop, wire: WireClient, secret: str
) -> None:
    """Nothing has told the proxy of the new path when it comes to Bind: it asks."""
    wire.query("SET search_path = plain_one")
    wire.send(
        write_parse(Parse(b"p", b"INSERT INTO t VALUES (1, $1)", ())),
        run("SET search_path = sealed_one"),
        bind(b"p", secret),
        write_execute(b""),
        SYNC_MESSAGE,
    )
    assert errors(wire.until("Z")) == ["0A000"]
    assert not logged(shop, secret)


def test_a_sealed_statement_is_as_good_as_before_where_its_names_mean_the_same(
    shop: Shop, wire: WireClient
) -> None:
    """Another search_path that leads to the same table, and DDL elsewhere, end no prepared statement."""
    wire.send(write_parse(Parse(b"p", b"INSERT INTO customers (name, email) VALUES ('s', $1)", ())))
    wire.send(SYNC_MESSAGE)
    wire.until("Z")
    wire.query("SET search_path = sealed_one, public")
    wire.query("CREATE TABLE elsewhere (id int)")
    wire.query("PREPARE q AS SELECT email FROM customers WHERE email = $1")
    wire.send(bind(b"p", "same@example.com"), write_execute(b""), SYNC_MESSAGE)
    assert errors(wire.until("Z")) == []
    wire.query("DROP TABLE elsewhere; SET search_path = public")
    assert values(wire.query("EXECUTE q('same@example.com')")) == [b"same@example.com"]


def test_a_view_that_is_made_under_a_prepared_statement(shop: Shop, wire: WireClient) -> None:
    """What is sent for it is the same before and after: it goes on, and its values are typed from then on."""
    select = b"SELECT email FROM made_later WHERE id = 1"
    wire.query("CREATE TABLE made_later (id int, email text)")
    wire.send(write_parse(Parse(b"p", select, ())), SYNC_MESSAGE)
    wire.until("Z")
    wire.query("DROP TABLE made_later")
    wire.query("CREATE VIEW made_later AS SELECT id, email FROM customers")
    wire.send(bind(b"p"), write_execute(b""), SYNC_MESSAGE)
    assert errors(wire.until("Z")) == ["0A000"]  # The server's own: the result has another type.
    wire.send(write_parse(Parse(b"q", select, ())), SYNC_MESSAGE)
    wire.until("Z")
    wire.query("CREATE TABLE made_meanwhile (id int)")
    wire.send(bind(b"q"), write_execute(b""), SYNC_MESSAGE)
    assert values(wire.until("Z")) == [b"ada@example.com"]
    wire.query("DROP VIEW made_later; DROP TABLE made_meanwhile")


def test_a_table_renamed_under_a_prepared_statement(shop: Shop, secret: str) -> None:
    """`plain` is the sealed table when the statement is planned anew."""
    with WireClient(shop.port) as wire:
        wire.start("postgres", shop.database.name)
        insert = b"INSERT INTO plain (id, email) VALUES (1, $1)"
        wire.send(write_parse(Parse(b"p", insert, ())), SYNC_MESSAGE)
        wire.until("Z")
        wire.query("BEGIN")
        wire.query("ALTER TABLE plain RENAME TO plainer")
        wire.query("ALTER TABLE customers RENAME TO plain")
        wire.send(bind(b"p", secret), write_execute(b""), SYNC_MESSAGE)
        assert len(errors(wire.until("Z"))) == 1
        wire.query("ROLLBACK")
        assert in_sync(wire)
    assert not logged(shop, secret)


@pytest.mark.parametrize(
    "pipeline",
    [
        ("SET search_path = plain_one", "SELECT count(*) FROM t", "SELECT 1/0"),
        ("SET LOCAL search_path = plain_one", "SELECT count(*) FROM t"),
    ],
)
def test_a_path_that_a_pipeline_has_set_and_undone(
    shop: Shop, wire: WireClient, secret: str, pipeline: tuple[str, ...]
) -> None:
    """Asked for in the middle of the pipeline, undone by its end: the server never says so."""
    wire.query("SET search_path = sealed_one")
    insert = run(f"INSERT INTO t VALUES (1, '{secret}')")
    wire.send(*map(run, pipeline), SYNC_MESSAGE, insert, SYNC_MESSAGE)
    wire.until("Z")
    assert errors(wire.until("Z")) == []
    assert not logged(shop, secret)


def test_the_users_own_schema_after_set_role(shop: Shop, wire: WireClient, secret: str) -> None:
    """`$user` in search_path is another schema after SET ROLE; search_path itself is as before."""
    wire.query('SET search_path = "$user", public')
    assert errors(wire.query("INSERT INTO u VALUES (1, 'public')")) == []
    wire.query("SET ROLE clerks")
    assert errors(wire.query(f"INSERT INTO u VALUES (1, '{secret}')")) == []
    wire.query("BEGIN")
    wire.query("RESET ROLE")
    wire.query("ROLLBACK")
    assert errors(wire.query(f"INSERT INTO u VALUES (2, '{secret}')")) == []
    assert not logged(shop, secret)
    wire.query("RESET ROLE")
    assert values(wire.query("SELECT email FROM u")) == [b"public"]


def test_a_question_that_fails_is_not_asked_for_ever(shop: Shop, wire: WireClient) -> None:
    """A statement timeout of 1 ms in which whom `$user` means cannot be told: the client has its answer, or an error."""
    wire.query("SET ROLE clerks")
    wire.query("SET statement_timeout = 1")
    wire.query("INSERT INTO u VALUES (3, 'x')")
    wire.query("BEGIN")
    wire.query("RESET ROLE")
    wire.query("INSERT INTO u VALUES (3, 'x')")
    wire.query("ROLLBACK")
    wire.query("SET statement_timeout = 0")


def test_strings_in_a_pipeline_that_changes_how_they_are_read(
    shop: Shop, wire: WireClient, secret: str
) -> None:
    """standard_conforming_strings is asked for with the other settings: refused for what it is, not by the domain."""
    insert = f"INSERT INTO customers (name, email) VALUES ('a', '{secret}')"
    wire.send(run("SET standard_conforming_strings = off") + run(insert) + SYNC_MESSAGE)
    assert errors(wire.until("Z")) == ["0A000"]
    assert not logged(shop, secret)


# Settings of the same message, and of the same pipeline.


@pytest.mark.parametrize(
    ("setting", "statement"),
    [
        ("SET datestyle = 'ISO, DMY'", "INSERT INTO sealed_one.t (born) VALUES ('01/02/2003')"),
        ("SET datestyle = 'German'", "SELECT birth_date FROM customers"),
        ("SET TIME ZONE 'UTC'", "COPY sealed_one.t FROM STDIN"),
        ("SET client_encoding = LATIN1", "SELECT email FROM customers"),
        ("SET NAMES 'LATIN1'", "COPY customers (name, email) FROM STDIN"),
        ("RESET ALL", "EXECUTE born"),
        ("DISCARD PLANS; RESET ALL", "FETCH born"),
    ],
)
def test_forms_that_change_within_a_message(
    shop: Shop, wire: WireClient, setting: str, statement: str
) -> None:
    """Nobody knows how the second statement's values are written when the message is sent: refused, not guessed."""
    wire.query("PREPARE born AS SELECT birth_date FROM customers")
    wire.query("BEGIN; DECLARE born CURSOR FOR SELECT birth_date FROM customers")
    assert errors(wire.query(f"{setting}; {statement}")) == ["0A000"]
    wire.query("ROLLBACK")


def test_settings_that_do_not_matter_within_a_message(shop: Shop, wire: WireClient) -> None:
    """Text has no DateStyle; work_mem shapes nothing."""
    both = "SET datestyle = 'German'; SELECT email FROM customers WHERE id = 1"
    assert errors(wire.query(both)) == []
    both = "SET work_mem = '1MB'; SELECT birth_date FROM customers WHERE id = 1"
    assert errors(wire.query(both)) == []


def test_settings_between_bind_and_execute(shop: Shop, wire: WireClient) -> None:
    """The server reads and writes values by what is set when it executes; so does the proxy."""
    select = b"SELECT birth_date FROM customers WHERE id = 1"
    copy = b"COPY customers (name, email) FROM STDIN"
    wire.send(
        write_parse(Parse(b"p", select, ())),
        bind(b"p", portal=b"p"),
        run("SET datestyle = 'German'"),
        write_execute(b"p"),
        write_parse(Parse(b"c", copy, ())),
        bind(b"c", portal=b"c"),
        run("SET client_encoding = LATIN1"),
        write_execute(b"c"),
        message(ord("d"), b"L\tcaf\xe9-of-the-attacks\n"),
        message(ord("c"), b""),
        SYNC_MESSAGE,
    )
    assert values(wire.until("Z")) == [b"10.12.1985"]
    wire.query("RESET ALL")
    found = wire.query("SELECT email FROM customers WHERE email = 'caf\xe9-of-the-attacks'")
    assert values(found) == ["caf\xe9-of-the-attacks".encode()]


# Names and rows that are cut elsewhere than one would think.


def test_a_long_name_is_cut_within_a_character(shop: Shop, wire: WireClient, secret: str) -> None:
    """The protocol's names are cut at 63 bytes, SQL's between characters: two statements, not one."""
    name = "n" * 62
    wire.query(f"PREPARE {name} AS INSERT INTO customers (name, email) VALUES ('n', $1)")
    insert = b"INSERT INTO plain (id, email) VALUES (7, $1)"
    longer = f"{name}\xe9".encode()
    wire.send(write_parse(Parse(longer, insert, ())), SYNC_MESSAGE)
    wire.until("Z")
    assert errors(wire.query(f"EXECUTE {name}('{secret}')")) == []
    wire.send(bind(longer, "plain", portal=longer), write_execute(longer), SYNC_MESSAGE)
    assert errors(wire.until("Z")) == []
    assert not logged(shop, secret)


@pytest.mark.parametrize("form", ["text", "csv"])
def test_a_row_for_more_columns_than_copy_names(
    shop: Shop, wire: WireClient, secret: str, form: str
) -> None:
    """The whole row is in the server's error; what is too much in it may be for a sealed column."""
    wire.send(
        message(ord("Q"), f"COPY customers (name, note) FROM STDIN (FORMAT {form})\0".encode())
    )
    wire.until("G")
    separator = "\t" if form == "text" else ","
    rows = f"a{separator}b\nn{separator}x{separator}{secret}\n"
    wire.send(message(ord("d"), rows.encode()), message(ord("c"), b""))
    assert errors(wire.until("Z")) == ["22P04"]
    assert not logged(shop, secret)


# A schema from before.


def test_a_function_that_is_missing(shop: Shop) -> None:
    """`sealgate apply` was not run after an update: no hang and no guess, and it is said why, in three places."""
    shop.database.psql("ALTER FUNCTION sealgate.catalog() RENAME TO catalog_of_old")
    try:
        found = shop.sealgate("check", ok=False).stdout
        assert "sealgate.catalog()" in found
        assert "sealgate apply" in found
        with WireClient(shop.port) as wire:
            wire.start("shop_app", shop.database.name)
            wire.query("BEGIN")
            wire.query("CREATE TABLE old_one (v sealgate.sealed_text)")
            ((_, error), _) = wire.query("SELECT email FROM customers")
            assert sqlstate(error) == "25P02"
            assert b"sealgate.catalog() does not exist" in error
            assert b"sealgate check" in error
            wire.query("ROLLBACK")
            assert errors(wire.query("SELECT email FROM customers")) == []
            assert in_sync(wire)
        shop.stop()
        shop.serve()
        assert "schema sealgate is not up to date" in shop.output_path.read_text()
    finally:
        shop.database.psql("ALTER FUNCTION sealgate.catalog_of_old() RENAME TO catalog")


def test_ddl_while_the_control_connection_fails(shop: Shop, secret: str) -> None:
    """The picture cannot be taken: what the session itself sees decides, not what was before."""
    role = f"ALTER ROLE postgres IN DATABASE {shop.database.name}"
    others = (
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'sealgate'"
    )
    with WireClient(shop.port) as wire, shop.direct() as direct:
        wire.start("postgres", shop.database.name)
        direct.execute(f"{role} SET statement_timeout = '1ms'")
        direct.execute(others)
        try:
            assert errors(wire.query("ALTER TABLE sealed_one.t RENAME TO tt")) == []
            replies = wire.query(f"INSERT INTO sealed_one.tt (email) VALUES ('{secret}')")
            assert errors(replies) == ["0A000"]
        finally:
            direct.execute(f"{role} RESET statement_timeout")
            direct.execute(others)
        wire.query("ALTER TABLE sealed_one.tt RENAME TO t")
        assert in_sync(wire)
    assert not logged(shop, secret)
