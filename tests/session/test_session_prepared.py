"""Names in a session: prepared statements of SQL and the protocol, cursors and portals, as transcripts and against a
real server's own catalog of them.
"""

from __future__ import annotations

import random
import re
import struct

import psycopg
import pytest

from proxy.cursors import Cursors
from proxy.sql.planner import Planner
from proxy.statements import Names
from proxy.wire.messages import (
    SYNC_MESSAGE,
    Bind,
    Field,
    Parse,
    read_bind,
    write_bind,
    write_execute,
    write_parameter_description,
    write_parse,
    write_row_description,
    write_target,
)
from tests.conftest import Database
from tests.session.transcript import (
    BYTEA,
    CATALOG,
    Talk,
    done,
    error,
    fields,
    query,
    ready,
    reply,
    row,
    seal,
)

SYNC = SYNC_MESSAGE
FIND = "PREPARE p AS SELECT id FROM customers WHERE email = $1"


def sent(talk: Talk) -> str:
    return talk.to_server[-1][1].decode("latin-1")


def run(statement: bytes, *values: bytes) -> tuple[bytes, ...]:
    return (write_bind(Bind(b"", statement, (), values, ())), write_execute(b""), SYNC)


def test_execute_is_sealed_as_prepare_says() -> None:
    """The server sees neither the literal of EXECUTE nor, in the log, does anybody."""
    talk = Talk()
    assert talk.client(query(FIND)) == ["-> Q"]
    assert "PREPARE p (bytea) AS" in sent(talk)
    assert talk.server(done("PREPARE"), ready()) == ["<- CZ"]
    talk.client(query("EXECUTE p('secret')"))
    assert re.fullmatch(r"EXECUTE p\('\\x5ea1[0-9a-f]+'::bytea\)\x00", sent(talk))
    assert talk.server(fields("id"), row("1"), done("SELECT 1"), ready()) == [
        "record statement.compare",
        "<- TDCZ",
    ]


def test_a_name_made_anew_is_waited_for() -> None:
    """EXECUTE behind a PREPARE of the same name in another message: if that fails, the old meaning holds."""
    talk = Talk()
    talk.client(query(FIND))
    talk.server(done("PREPARE"), ready())
    assert talk.client(query("PREPARE p AS SELECT $1::text")) == ["-> Q"]
    assert talk.client(query("EXECUTE p('secret')"), query("SELECT 1")) == []
    assert talk.server(error("42P05"), ready()) == ["<- EZ", "-> QQ"]
    assert b"secret" not in talk.to_server[0][1]
    assert b"EXECUTE p('\\x5ea1" in talk.to_server[0][1]


def test_a_name_that_was_given_up_is_not_waited_for_long() -> None:
    """Once DEALLOCATE is answered nothing but the new meaning is left."""
    talk = Talk()
    talk.client(query(FIND))
    talk.server(done("PREPARE"), ready())
    assert talk.client(
        query("DEALLOCATE p"), query("PREPARE p AS SELECT $1::text"), query("EXECUTE p('word')")
    ) == ["-> QQ"]
    assert talk.server(done("DEALLOCATE"), ready()) == ["<- CZ", "-> Q"]
    assert talk.to_server[0][1] == b"EXECUTE p('word')\x00"


def test_in_one_message_the_newest_meaning_holds() -> None:
    """If the PREPARE fails, the EXECUTE behind it is not run: nothing has to be waited for."""
    talk = Talk()
    talk.client(query("PREPARE p AS SELECT $1::text"))
    talk.server(done("PREPARE"), ready())
    talk.client(query(f"DEALLOCATE p; {FIND}; EXECUTE p('secret')"))
    assert "secret" not in sent(talk)
    talk.server(done("DEALLOCATE"), error("42P05"), ready())
    assert talk.session._state is not None
    assert talk.session._state.prepared.get(b"p") is None
    talk.client(query("EXECUTE p('secret')"))
    assert "26000" in sent(talk)


def test_a_bind_waits_for_its_name_too() -> None:
    """Parse of a name that exists fails; Bind behind the Sync is for the old statement."""
    talk = Talk()
    talk.client(query(FIND))
    talk.server(done("PREPARE"), ready())
    assert talk.client(write_parse(Parse(b"p", b"SELECT $1::text", ())), SYNC) == ["-> PS"]
    assert talk.client(*run(b"p", b"secret")) == []
    talk.server(error("42P05"), ready())
    (value,) = read_bind(talk.to_server[0][1]).values
    assert value is not None
    assert value[:2] == b"\x5e\xa1"


def test_names_are_one_however_they_are_spelled() -> None:
    """Folded, quoted, in another encoding, longer than PostgreSQL keeps."""
    talk = Talk()
    for prepare, protocol in [
        ('PREPARE "Käse" AS SELECT id FROM customers WHERE email = $1', "Käse"),
        (f"PREPARE {'N' * 70} AS SELECT id FROM customers WHERE email = $1", "n" * 63),
        (FIND.replace(" p ", " PQ "), "pq"),
    ]:
        talk.client(query(prepare))
        talk.server(done("PREPARE"), ready())
        talk.client(*run(protocol.encode(), b"secret"))
        (value,) = read_bind(talk.to_server[0][1]).values
        assert value is not None
        assert value[:2] == b"\x5e\xa1", protocol
        talk.server(reply("2"), fields("id"), done("SELECT 0"), ready())


def test_a_statement_of_prepare_is_described_with_logical_types() -> None:
    """ParameterDescription and RowDescription of a statement that SQL has prepared."""
    talk = Talk()
    talk.client(query("PREPARE p AS SELECT email FROM customers WHERE email = $1"))
    talk.server(done("PREPARE"), ready())
    talk.client(write_target(ord("D"), "S", b"p"), SYNC)
    talk.server(write_parameter_description((BYTEA,)), fields("email"), ready())
    assert dict(talk.to_client)["t"] == struct.pack("!HI", 1, 25)
    assert b"\x00\x00\x00\x19\xff\xff" in dict(talk.to_client)["T"]


def test_a_cursor_is_known_from_the_declare() -> None:
    """Its columns, in FETCH and in Execute of its name; each is an execution of its own."""
    talk = Talk()
    union = "SELECT email FROM customers UNION ALL SELECT email FROM customers"
    talk.client(query(f"BEGIN; DECLARE c CURSOR FOR {union}; FETCH c"))
    described = _bytea_field()
    assert talk.server(
        done("BEGIN"), done("DECLARE CURSOR"), described, row(seal("a")), done("FETCH 1")
    ) == ["record statement.read", "<- CCTDC"]
    assert b"\x00\x00\x00\x19\xff\xff" in dict(talk.to_client)["T"]
    talk.server(ready("T"))
    talk.client(write_execute(b"c", 1), SYNC)
    talk.server(_bytea_field(), row(seal("b")), reply("s"), ready("T"))
    (event,) = talk.events
    assert (event["command"], event["part"], event["final"]) == ("FETCH", 1, True)
    talk.client(query("ROLLBACK"), query("BEGIN; FETCH c"))
    talk.server(
        done("ROLLBACK"), ready(), done("BEGIN"), _bytea_field(), row(b"x"), done("FETCH 1")
    )
    assert dict(talk.to_client)["D"].endswith(rb"\x78")  # bytea, as the server says


def _bytea_field() -> bytes:
    """A field of no table."""
    return write_row_description((Field(b"email", 0, 0, BYTEA, -1, -1, 0),))


def test_a_session_that_ends_says_what_was_suspended() -> None:
    """The portal's rows so far are on record; its last event says that no more come."""
    talk = Talk()
    parse = write_parse(Parse(b"", b"SELECT email FROM customers", ()))
    bind = write_bind(Bind(b"p", b"", (), (), ()))
    talk.client(query("BEGIN"))
    talk.server(done("BEGIN"), ready("T"))
    talk.client(parse, bind, write_execute(b"p", 1), SYNC)
    talk.server(reply("12"), fields("email"), row(seal("a")), reply("s"), ready("T"))
    told = talk._did(talk.session.client_gone())
    assert told[0] == "record statement.read"
    assert (talk.events[0]["part"], talk.events[0]["final"]) == (2, True)


# What a name stands for once some announcements have been answered.


def test_an_unsettled_name() -> None:
    """Only an announcement in another unit, over something that would stay if it failed."""
    names: Names[str] = Names()
    first = names.set(b"p", "a", 1)
    assert not first.unsettled(2)
    first.keep()
    second = names.set(b"p", "b", 2)
    assert names.newest(b"p") is second
    assert not second.unsettled(2)
    assert second.unsettled(3)
    assert (names.get(b"p"), names.settled(b"p")) == ("b", "a")
    second.undo()
    assert names.newest(b"p") is first
    assert not first.unsettled(3)
    assert names.get(b"p") == "a"


# Cursors against the server's own list of them.

STATEMENTS = [
    "BEGIN", "BEGIN", "COMMIT", "ROLLBACK", "ROLLBACK AND CHAIN", "COMMIT AND CHAIN", "SAVEPOINT s", "SAVEPOINT t",
    "SAVEPOINT S", "ROLLBACK TO s", "ROLLBACK TO SAVEPOINT t", "RELEASE s", "RELEASE SAVEPOINT t", "CLOSE a", "CLOSE b",
    "CLOSE ALL", "SELECT 1/0", "DECLARE a CURSOR FOR SELECT 1", "DECLARE b CURSOR FOR SELECT 1",
    "DECLARE c CURSOR FOR SELECT 1", "DECLARE b CURSOR WITH HOLD FOR SELECT 1", "DECLARE d CURSOR WITH HOLD FOR SELECT 1",
    "DISCARD ALL", "END", "ABORT",
]  # fmt: skip


@pytest.mark.parametrize("seed", range(6))
def test_the_cursors_that_are_remembered_are_the_servers(database: Database, seed: int) -> None:
    """A random walk through transactions, savepoints and cursors; after each step the same names are open."""
    chosen = random.Random(seed)
    planner = Planner(CATALOG)
    cursors = Cursors()
    opened = 0
    with psycopg.connect(database.dsn(), autocommit=True, prepare_threshold=None) as connection:
        for step in range(250):
            sql = chosen.choice(STATEMENTS)
            failed = False
            try:
                tag = connection.execute(sql).statusmessage or ""
            except psycopg.Error:
                failed = True
            else:
                (plan,) = planner.plan(sql, ("public",))[0].statements
                cursors.completed(plan, sql, tag.encode())
            status = connection.info.transaction_status
            if status == psycopg.pq.TransactionStatus.IDLE:
                cursors.transaction_ended(committed=not failed)
            if status == psycopg.pq.TransactionStatus.INERROR:
                continue
            known = {name for name in "abcd" if cursors.get(name) is not None}
            listed = connection.execute("SELECT name FROM pg_cursors WHERE name <> ''").fetchall()
            assert known == {name for (name,) in listed}, f"seed {seed}, step {step}: {sql}"
            opened += len(known)
    assert opened > 50
