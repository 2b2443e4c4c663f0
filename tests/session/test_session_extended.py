"""The extended query protocol, as transcripts: pipelines, errors in every position, portals, reloads."""

from __future__ import annotations

import struct

import pytest

from proxy.snapshot import SnapshotSource
from proxy.wire.messages import (
    SYNC_MESSAGE,
    Bind,
    Parse,
    message,
    read_bind,
    write_bind,
    write_execute,
    write_parameter_description,
    write_parse,
    write_target,
)
from tests.session.transcript import (
    BYTEA,
    PLAIN,
    ROLES,
    Talk,
    done,
    error,
    fields,
    query,
    ready,
    reply,
    row,
    seal,
    snapshot,
    split,
)

SYNC = SYNC_MESSAGE
FLUSH = message(ord("H"), b"")
SELECT = b"SELECT email FROM customers WHERE id = $1"
INSERT = b"INSERT INTO customers (email) VALUES ($1)"
EXECUTE = write_execute(b"")
DESCRIBE = write_target(ord("D"), "P", b"")
EMPTY = Bind(b"", b"", (), (), ())


def parse(sql: bytes = SELECT, name: bytes = b"") -> bytes:
    return write_parse(Parse(name, sql, ()))


def bind(*values: bytes, statement: bytes = b"", portal: bytes = b"", form: int = 0) -> bytes:
    return write_bind(Bind(portal, statement, (), values, (form,)))


def one_select(talk: Talk) -> list[str]:
    talk.client(parse(), bind(b"1"), DESCRIBE, EXECUTE, SYNC)
    return talk.server(reply("12"), fields("email"), row(seal("ada")), done("SELECT 1"), ready())


def test_a_prepared_insert() -> None:
    """The parameter is declared bytea, described as text, sealed in binary; the event follows the command tag."""
    talk = Talk()
    talk.client(parse(INSERT, b"s"), write_target(ord("D"), "S", b"s"), SYNC)
    assert talk.to_server[0][1].endswith(struct.pack("!HI", 1, BYTEA))
    talk.server(reply("1"), write_parameter_description((BYTEA,)), reply("n"), ready())
    assert dict(talk.to_client)["t"] == struct.pack("!HI", 1, 25)
    talk.client(bind(b"ada@example.com", statement=b"s"), EXECUTE, SYNC)
    sent = read_bind(talk.to_server[0][1])
    assert sent.formats == (1,)
    assert sent.values[0] is not None
    assert sent.values[0].startswith(b"\x5e\xa1")
    assert talk.server(reply("2"), done("INSERT 0 1"), ready()) == [
        "record statement.write",
        "<- 2CZ",
    ]
    assert talk.events[0]["columns"][0]["cells"] == 1


def test_execute_without_describe_asks_for_it_and_hides_the_answer() -> None:
    """Once per portal: not again when the portal is executed again."""
    talk = Talk()
    assert talk.client(parse(), bind(b"1"), EXECUTE, EXECUTE, SYNC) == ["-> PBDEES"]
    words = talk.server(
        reply("12"), fields("email"), row(seal("a")), done("SELECT 1"), done("SELECT 0"), ready()
    )
    assert words == ["record statement.read", "record statement.read", "<- 12DCCZ"]


REPLIES = [reply("1"), reply("2"), fields("email"), row(seal("a")) + done("SELECT 1")]


@pytest.mark.parametrize("at", range(4))
def test_an_error_in_every_position_of_a_pipeline(at: int) -> None:
    """Whatever fails, the batch behind the Sync is matched to its own replies."""
    talk = Talk()
    batch = (parse(), bind(b"1"), DESCRIBE, EXECUTE, SYNC)
    talk.client(*batch, *batch)
    talk.server(*REPLIES[:at], error("22023"), ready())
    assert [kind for kind, _ in talk.to_client][-2:] == ["E", "Z"]
    assert talk.server(*REPLIES, ready()) == ["record statement.read", "<- 12TDCZ"]
    assert talk.session.idle


@pytest.mark.parametrize("at", range(4))
def test_an_error_before_the_sync_was_sent(at: int) -> None:
    """Flush, error, then more of the batch: nothing of it is announced, all of it is skipped."""
    talk = Talk()
    talk.client(*(parse(), bind(b"1"), DESCRIBE, EXECUTE)[: at + 1], FLUSH)
    talk.server(*REPLIES[:at], error("22023"))
    assert talk.client(parse(INSERT), bind(b"x"), query("SELECT 1"), EXECUTE) == []
    assert talk.client(SYNC) == ["-> S"]
    assert talk.server(ready()) == ["<- Z"]
    assert one_select(talk) == ["record statement.read", "<- 12TDCZ"]


def test_an_error_between_messages() -> None:
    """The server skips to Sync without an entry of ours."""
    talk = Talk()
    talk.client(parse(), FLUSH)
    talk.server(reply("1"))
    assert talk.server(error("57014")) == ["<- E"]
    assert talk.client(bind(b"1"), EXECUTE, SYNC) == ["-> S"]
    assert talk.server(ready("I")) == ["<- Z"]
    assert one_select(talk)[0] == "record statement.read"


def test_a_query_that_was_skipped_leaves_the_unnamed_statement() -> None:
    """It would have replaced it. The parameter of the next Bind is still sealed."""
    talk = Talk()
    talk.client(parse(INSERT), SYNC)
    talk.server(reply("1"), ready())
    talk.client(parse(b"nonsense", b"n"), query("SELECT 1"), SYNC)
    talk.server(error("42601"), ready())
    talk.client(bind(b"ada@example.com"), EXECUTE, SYNC)
    assert b"ada@example.com" not in b"".join(body for _, body in talk.to_server)


def test_a_query_in_the_middle_of_a_batch() -> None:
    """A simple query needs no Sync, and answers with its own ReadyForQuery."""
    talk = Talk()
    talk.client(parse(), bind(b"1"), DESCRIBE, EXECUTE, query("SELECT email FROM customers"))
    assert talk.server(*REPLIES, fields("email"), row(seal("b")), done("SELECT 1"), ready()) == [
        "record statement.read",
        "record statement.read",
        "<- 12TDCTDCZ",
    ]
    assert talk.session.idle


def test_a_deferred_constraint_fails_at_sync() -> None:
    """The Sync is answered by error and ReadyForQuery; nothing behind it is skipped."""
    talk = Talk()
    talk.client(parse(INSERT), bind(b"x"), EXECUTE, SYNC, parse(), SYNC)
    talk.server(reply("12n"), done("INSERT 0 1"), error("23503"), ready())
    assert talk.server(reply("1"), ready()) == ["<- 1Z"]
    assert talk.session.idle


def test_a_refusal_inside_a_pipeline() -> None:
    """Recorded before anything goes out; its hidden replies are not seen, what the server would skip is not sent."""
    talk = Talk()
    refused = parse(b"SELECT lower(email) FROM customers", b"r")
    assert talk.client(parse(), bind(b"1"), DESCRIBE, EXECUTE, refused, EXECUTE, SYNC) == [
        "record statement.refused 0A000",
        "-> PBDECCPBES",
    ]
    assert talk.server(*REPLIES, reply("3312"), error("0A000"), ready()) == [
        "record statement.read",
        "<- 12TDCEZ",
    ]


def test_a_refused_unnamed_parse_loses_the_old_one() -> None:
    """As a Parse does: the client's next Bind is not matched to the statement from before."""
    talk = Talk()
    talk.client(parse(), SYNC)
    talk.server(reply("1"), ready())
    talk.client(parse(b"SELECT lower(email) FROM customers"), SYNC)
    talk.server(reply("12"), error("0A000"), ready())
    assert talk.session._state is not None
    assert talk.session._state.prepared.get(b"") is None


def test_a_suspended_portal_is_one_execution() -> None:
    """Parts 1 and 2, the event before each part's rows."""
    talk = Talk()
    talk.client(parse(), bind(b"1", portal=b"p"), write_execute(b"p", 1), FLUSH)
    first = talk.server(reply("12"), fields("email"), row(seal("a")), reply("s"))
    assert first == ["record statement.read", "<- 12Ds"]
    uid = talk.events[0]["execution"]
    assert talk.client(write_execute(b"p", 1), SYNC) == ["-> ES"]
    assert talk.server(row(seal("b")), done("SELECT 1"), ready()) == [
        "record statement.read",
        "<- DCZ",
    ]
    (event,) = talk.events
    assert (event["execution"], event["part"], event["final"]) == (uid, 2, True)


def test_a_portal_that_is_bound_again_is_another_execution() -> None:
    """Suspended, rebound, executed: part 1 again."""
    talk = Talk()
    talk.client(parse(), bind(b"1"), write_execute(b"", 1), bind(b"2"), EXECUTE, SYNC)
    talk.server(reply("12"), fields("email"), row(seal("a")), reply("s"))
    talk.server(reply("2"), fields("email"), row(seal("b")), done("SELECT 1"), ready())
    told = [(event["execution"], event["part"], event["final"]) for event in talk.events]
    assert told == [("s-1", 2, True), ("s-2", 1, True)]


def test_a_cursor_of_sql_is_described_before_its_rows() -> None:
    """Execute of a portal that no Bind made."""
    talk = Talk()
    assert talk.client(write_execute(b"c", 5), SYNC) == ["-> DES"]
    assert talk.server(fields("email"), row(seal("a")), done("FETCH 1"), ready("T")) == [
        "record statement.read",
        "<- DCZ",
    ]


def test_a_cached_plan_that_must_not_change_is_the_servers_error() -> None:
    """After DDL: 0A000 to Bind, and the statement parsed anew works."""
    talk = Talk()
    talk.client(parse(name=b"s"), write_target(ord("D"), "S", b"s"), SYNC)
    talk.server(reply("1"), write_parameter_description((23,)), fields("email"), ready())
    talk.client(bind(b"1", statement=b"s"), EXECUTE, SYNC)
    assert talk.server(error("0A000"), ready()) == ["<- EZ"]
    assert one_select(talk)[0] == "record statement.read"


def test_copy_in_with_a_sync_pipelined_behind_execute() -> None:
    """libpq: the first Sync is read over, the one behind CopyDone answered."""
    talk = Talk()
    talk.client(parse(b"COPY plain FROM STDIN"), write_bind(EMPTY), EXECUTE, SYNC)
    talk.server(reply("12n"), message(ord("G"), b"\0\0\0"))
    talk.client(message(ord("d"), b"1\n"), message(ord("c"), b""), SYNC)
    assert talk.server(done("COPY 1"), ready()) == ["<- CZ"]
    assert one_select(talk)[0] == "record statement.read"


@pytest.mark.parametrize("first_sync_was_read", [True, False])
def test_copy_in_that_fails_before_or_after_it_read_the_sync(first_sync_was_read: bool) -> None:
    """A statement trigger fails before the first read: then both Syncs are answered. The next statement is itself."""
    talk = Talk()
    talk.client(parse(b"COPY plain FROM STDIN"), write_bind(EMPTY), EXECUTE, SYNC)
    talk.server(reply("12n"), message(ord("G"), b"\0\0\0"))
    talk.server(error("P0001"), *([] if first_sync_was_read else [ready()]))
    talk.client(message(ord("c"), b""), SYNC)
    assert talk.server(ready()) == ["<- Z"]
    assert one_select(talk) == ["record statement.read", "<- 12TDCZ"]


def test_a_function_call() -> None:
    """libpq's fast path: FunctionCallResponse, ReadyForQuery; relayed as it is."""
    talk = Talk()
    call = message(ord("F"), struct.pack("!IHHH", 1, 0, 0, 0))
    assert talk.client(call) == ["-> F"]
    assert talk.server(message(ord("V"), b"\xff\xff\xff\xff"), ready()) == ["<- VZ"]
    assert talk.session.idle


@pytest.mark.parametrize("number", [65536, 2_000_000_000])
def test_a_parameter_that_no_bind_can_carry(number: int) -> None:
    """Refused: nothing is allocated for the numbers below it."""
    talk = Talk()
    words = talk.client(parse(b"SELECT id FROM customers WHERE email = $%d" % number))
    assert words == ["record statement.refused 42P02", "-> PBE"]


def test_a_reloaded_policy_decides_on_open_statements_and_portals() -> None:
    """Bound before, executed after the grant was taken away: refused, and nothing was written."""
    source = SnapshotSource(snapshot())
    talk = Talk(source=source)
    talk.client(parse(INSERT), bind(b"x"), SYNC)
    talk.server(reply("12"), ready("T"))
    source.current = snapshot({})
    assert talk.client(EXECUTE, SYNC)[0] == "record statement.refused 42501"
    sent = b"".join(body for _, body in talk.to_server)
    assert b"sealgate.refuse(E'42501'" in sent


def test_a_reloaded_policy_decides_on_the_rows_of_a_suspended_portal() -> None:
    """The second part is withheld, and its event names the policy that did it."""
    source = SnapshotSource(snapshot())
    talk = Talk(source=source)
    talk.client(parse(), bind(b"1", portal=b"p"), write_execute(b"p", 1), FLUSH)
    talk.server(reply("12"), fields("email"), row(seal("a")), reply("s"))
    before = talk.events[0], talk.policies
    source.current = snapshot({k: v for k, v in ROLES.items() if k != "shop_app"})
    talk.client(write_execute(b"p", 1), SYNC)
    talk.server(row(seal("b")), done("SELECT 1"), ready())
    after = talk.events[0], talk.policies
    assert [e["columns"][0]["outcome"] for e, _ in (before, after)] == ["clear", "withheld"]
    assert before[1] != after[1]


def test_plain_statements_are_relayed_byte_for_byte() -> None:
    """The extended protocol on a table of no concern: bytes as they came, but for the hidden Describe."""
    talk = Talk()
    sent = [parse(b"SELECT note FROM plain", b"s"), bind(statement=b"s"), DESCRIBE, EXECUTE, SYNC]
    talk.client(*sent)
    assert talk.to_server == split(b"".join(sent))
    received = [reply("12"), fields("note", table=PLAIN), row("x"), done("SELECT 1"), ready()]
    talk.server(*received)
    assert talk.to_client == split(b"".join(received))


@pytest.mark.parametrize(
    ("sql", "tag"),
    [
        ("DEALLOCATE s", "DEALLOCATE"),
        ('deallocate prepare "s";', "DEALLOCATE"),
        ("DEALLOCATE ALL", "DEALLOCATE ALL"),
        ("DISCARD ALL", "DISCARD ALL"),
    ],
)
def test_statements_dropped_by_sql_are_forgotten(sql: str, tag: str) -> None:
    """psycopg drops them so, without end; one that is announced behind it stays."""
    talk = Talk()
    talk.client(parse(name=b"s"), SYNC, query(sql), parse(INSERT, b"t"), SYNC)
    talk.server(reply("1"), ready(), done(tag), ready())
    assert talk.session._state is not None
    names = talk.session._state.prepared
    assert names.get(b"s") is None
    assert names.get(b"t") is not None
    talk.server(error("42P05"), ready())
    assert len(names) == 0


@pytest.mark.parametrize("command", ["DEALLOCATE ALL", "DISCARD ALL"])
def test_the_unnamed_statement_outlives_deallocate_all(command: str) -> None:
    """The server keeps it when the extended protocol runs these: its executions are asked about and recorded as before."""
    talk = Talk()
    talk.client(parse(b"SELECT id FROM customers WHERE email = 'a@b'"), SYNC)
    talk.server(reply("1"), ready())
    talk.client(parse(command.encode(), b"d"), bind(statement=b"d"), EXECUTE, SYNC)
    talk.server(reply("12n"), done(command), ready())
    talk.client(bind(), EXECUTE, SYNC)
    answer = reply("2"), fields("id"), row("1"), done("SELECT 1"), ready()
    assert talk.server(*answer) == ["record statement.compare", "<- 2DCZ"]


@pytest.mark.parametrize(
    ("statement", "count"),
    [
        ("INSERT INTO customers (id, email) VALUES " + ",".join(["(1, 'a@b')"] * 300), 0),
        (f"UPDATE customers SET email = 'a@b' WHERE id = {' ' * 9000} id", 0),
        ("INSERT INTO customers (id, email) VALUES (1, 'a@b')", 1),
    ],
    ids=["many-rows", "long-text", "small"],
)
def test_long_statements_are_not_kept_by_sessions(statement: str, count: int) -> None:
    """Their plans are made anew each time: what a session has found out about each would keep it, without end."""
    talk = Talk()
    for _ in range(3):
        talk.client(query(statement))
        talk.server(done(f"{statement[:6]} 0 1"), ready())
    session = talk.session
    assert session._state is not None
    assert session._request is not None
    assert len(session._state.authority._verdicts) == count
    assert len(session._request._sealers) == count


def test_wide_results_without_number_do_not_fill_the_memory() -> None:
    """Descriptions are remembered by their size."""
    source = SnapshotSource(snapshot())
    talk = Talk(source=source)
    for number in range(400):
        talk.client(query(f"SELECT {number}"))
        names = [f"c{number}_{i}" for i in range(800)]
        talk.server(fields(*names), done("SELECT 0"), ready())
    assert sum(len(body) for body, *_ in source.current.shapes) <= 4 << 20
