"""COPY as transcripts: what waits, what is dropped, what reaches the server."""

from __future__ import annotations

import struct
from dataclasses import replace

import pytest

import policy
from proxy.snapshot import Snapshot, SnapshotSource
from proxy.wire.messages import (
    SYNC_MESSAGE,
    Bind,
    Parse,
    message,
    write_bind,
    write_execute,
    write_parse,
)
from tests.session.transcript import (
    CATALOG,
    EMAIL,
    KEYS,
    Talk,
    done,
    error,
    query,
    ready,
    reply,
    seal,
    snapshot,
)

COPY = "COPY customers (id, email) FROM STDIN"
IN = message(ord("G"), struct.pack("!bHHH", 0, 2, 0, 0))
OUT = message(ord("H"), struct.pack("!bHHH", 0, 2, 0, 0))
DONE = message(ord("c"), b"")
FAIL = message(ord("f"), b"enough\0")
VALUE = b"ada@example.com"


def data(body: bytes) -> bytes:
    return message(ord("d"), body)


def row(number: int = 1) -> bytes:
    return data(b"%d\t%s\n" % (number, VALUE))


def sent(talk: Talk) -> bytes:
    return b"".join(body for kind, body in talk.to_server if kind == "d")


def test_data_waits_for_the_server_to_take_it() -> None:
    """Behind the statement at once: nothing of it is sent before CopyInResponse, all of it after."""
    talk = Talk()
    assert talk.client(query(COPY), row(), row(2), DONE) == ["-> Q"]
    assert talk.server(IN) == ["<- G", "-> ddc"]
    assert VALUE not in sent(talk)
    assert sent(talk).count(b"\\\\x5ea101") == 2
    assert talk.server(done("COPY 2"), ready()) == ["record statement.write", "<- CZ"]
    (event,) = talk.events
    assert (event["rows"], event["columns"][0]["cells"]) == (2, 2)


def test_a_column_list_that_the_client_did_not_write() -> None:
    """The server learns how the proxy reads the fields."""
    talk = Talk()
    talk.client(query("COPY customers FROM STDIN"))
    assert talk.to_server[0][1] == b'COPY customers ("id", "email", "ssn") FROM STDIN\0'


@pytest.mark.parametrize("cut", [3, 4, 9, 20])
def test_data_that_comes_in_pieces(cut: int) -> None:
    """A message whose rest is not there yet is converted as far as it goes."""
    talk = Talk()
    talk.client(query(COPY))
    talk.server(IN)
    whole = data(b"1\tx@example.com\n2\t" + VALUE + b"\n") + DONE
    first = talk.client(whole[:cut])
    sent_first = sent(talk)
    second = talk.client(whole[cut:])
    assert "".join(first + second).replace("-> ", "").count("c") == 1
    body = sent_first + sent(talk)
    assert VALUE not in body
    assert body.count(b"5ea101") == 2


def test_a_copy_that_the_server_refuses() -> None:
    """Data that was sent along goes nowhere; the next statement is answered as itself."""
    talk = Talk()
    assert talk.client(query(COPY), row(), DONE, query("SELECT 1")) == ["-> Q"]
    words = talk.server(error("42501"), ready())
    assert words[0] == "record statement.write 42501"
    assert VALUE not in b"".join(body for _, body in talk.to_server)
    assert [kind for kind, _ in talk.to_server if kind == "Q"] == ["Q"]


def test_late_data_of_a_failed_copy_is_dropped() -> None:
    """The client does not know yet that the server has given up."""
    talk = Talk()
    talk.client(query(COPY))
    talk.server(IN)
    talk.client(row())
    assert talk.server(error("23505"), ready()) == ["record statement.write 23505", "<- EZ"]
    assert talk.client(row(2), row(3)) == []
    assert talk.client(DONE) == []
    assert talk.client(row(4)) == []
    assert talk.client(query("SELECT 1")) == ["-> Q"]


def test_a_wrong_row_ends_the_copy() -> None:
    """CopyFail in place of it; the server's answer gets the code, words and place of the error; the rest is dropped."""
    talk = Talk()
    talk.client(query("COPY customers (id, email) FROM STDIN (FORMAT csv)"))
    talk.server(IN)
    assert talk.client(data(b"1,a@b.c\n2,x,y\n3,c@d.e\n")) == ["-> df"]
    assert sent(talk).count(b"5ea101") == 1
    assert talk.client(data(b"4,e@f.g\n"), DONE) == []
    failed = talk.to_server
    assert failed == []
    told = "COPY from stdin failed: extra data after last expected column"
    words = talk.server(error("57014", M=told, W="COPY customers, line 2"), ready())
    assert words == ["record statement.write 22P04", "<- EZ"]
    shown = talk.to_client[0][1]
    assert b"C22P04\0" in shown
    assert b"Mextra data after last expected column\0" in shown
    assert b"WCOPY customers, line 2\0" in shown


def test_a_cancelled_copy_keeps_its_own_error() -> None:
    """57014 of somebody's cancel is not taken for the answer to our CopyFail."""
    talk = Talk()
    talk.client(query(COPY))
    talk.server(IN)
    talk.client(data(b"1\n"))
    talk.server(error("57014", M="canceling statement due to user request"), ready())
    assert b"C57014\0" in talk.to_client[0][1]


def test_what_a_refused_copy_was_to_get() -> None:
    """Policy says no: the data behind the statement is dropped."""
    talk = Talk("support")
    assert talk.client(query(COPY), row(), DONE) == ["record statement.refused 42501", "-> Q"]
    talk.server(error("42501"), ready())
    assert not any(kind == "d" for kind, _ in talk.to_server)
    assert talk.client(query("SELECT 1")) == ["-> Q"]


def test_several_copies_in_one_message() -> None:
    """Each takes its own data, sealed or not."""
    talk = Talk()
    plain = "COPY plain FROM STDIN"
    talk.client(query(f"{plain}; {COPY}; {plain}"))
    assert talk.client(data(b"1\tn\n"), DONE, row(), DONE, data(b"2\tm\n"), DONE) == []
    assert talk.server(IN) == ["<- G", "-> dc"]
    assert sent(talk) == b"1\tn\n"
    assert talk.server(done("COPY 1"), IN)[-1] == "-> dc"
    assert b"5ea101" in sent(talk)
    assert talk.server(done("COPY 1"), IN)[-1] == "-> dc"
    assert sent(talk) == b"2\tm\n"
    talk.server(done("COPY 1"), ready())


def test_the_extended_protocol() -> None:
    """Parse, Bind, Execute and the data in one go, with a Sync that the server reads over."""
    talk = Talk()
    sequence = (
        write_parse(Parse(b"", COPY.encode(), ())),
        write_bind(Bind(b"", b"", (), (), ())),
        write_execute(b""),
    )
    assert talk.client(*sequence, SYNC_MESSAGE, row(), DONE, SYNC_MESSAGE) == ["-> PBDES"]
    assert talk.server(reply("12n"), IN)[-1] == "-> dcS"
    assert VALUE not in sent(talk)
    words = talk.server(done("COPY 1"), ready())
    assert words == ["record statement.write", "<- CZ"]


@pytest.mark.parametrize("login", ["shop_app", "support"])
@pytest.mark.parametrize(
    ("sql", "said"),
    [
        (COPY, error("57014")),
        (COPY, done("COPY 0")),
        (f"{COPY}; SELECT 1", error("57014")),
        (f"{COPY}; SELECT 1", done("COPY 0")),
    ],
)
def test_a_server_that_asks_for_data_when_the_copy_is_over(
    login: str, sql: str, said: bytes
) -> None:
    """Behind an error, or at a statement that is no COPY, nothing is read: what the client would send is for sealed columns."""
    talk = Talk(login)
    talk.client(query(sql))
    words = talk.server(said) + talk.server(IN)
    assert words[-1] == "close"
    assert "<- G" not in words
    assert talk.client(row(), DONE) == []


def test_data_for_nobody() -> None:
    """The server would read over it; a value in it has no business there."""
    talk = Talk()
    assert talk.client(row()) == []
    assert talk.client(query("SELECT 1")) == ["-> Q"]


def test_the_client_fails_it() -> None:
    """Its CopyFail goes on, its answer is the server's."""
    talk = Talk()
    talk.client(query(COPY))
    talk.server(IN)
    assert talk.client(row(), FAIL) == ["-> df"]
    words = talk.server(error("57014", M="COPY from stdin failed: enough"), ready())
    assert words == ["record statement.write 57014", "<- EZ"]
    assert b"enough" in talk.to_client[0][1]


def test_a_session_that_ends_in_a_copy() -> None:
    """What became of it nobody knows; that it was sent is on record."""
    talk = Talk()
    talk.client(query(COPY))
    talk.server(IN)
    talk.client(row())
    effects = talk.session.client_gone()
    codes = [getattr(e, "event", {}).get("status_code") for e in effects]
    assert "08006" in codes


# Out.


def stored(value: str) -> bytes:
    return b"\\\\x" + seal(value).hex().encode()


def test_rows_come_after_their_event() -> None:
    """CopyDone as well; one message per row."""
    talk = Talk()
    talk.client(query("COPY customers (id, email) TO STDOUT"))
    assert talk.server(OUT, data(b"1\t" + stored("ada") + b"\n"), data(b"2\t\\N\n"), DONE) == [
        "<- H"
    ]
    assert talk.server(done("COPY 2"), ready()) == ["record statement.read", "<- ddcCZ"]
    assert [body for kind, body in talk.to_client if kind == "d"] == [b"1\tada\n", b"2\t\\N\n"]
    (event,) = talk.events
    assert (event["rows"], event["columns"][0]["cells"]) == (2, 1)


def test_rows_that_messages_cut() -> None:
    """The protocol allows it, though PostgreSQL does not do it."""
    talk = Talk()
    talk.client(query("COPY customers (id, email) TO STDOUT CSV"))
    stream = b'1,"x"\n'.replace(b'"x"', b"\\x" + seal('q"\n').hex().encode()) * 3
    talk.server(OUT, *(data(stream[i : i + 50]) for i in range(0, len(stream), 50)), DONE)
    talk.server(done("COPY 3"), ready())
    shown = b"".join(body for kind, body in talk.to_client if kind == "d")
    assert shown == b'1,"q""\n"\n' * 3


def test_a_copy_of_no_concern_is_relayed_byte_for_byte() -> None:
    """Both ways, without waiting for its end."""
    talk = Talk()
    talk.client(query("COPY plain TO STDOUT"))
    rows = data(b"1\tx\n"), data(b"2\ty\n")
    assert talk.server(OUT, *rows) == ["<- Hdd"]
    assert talk.server(rows[0][:7]) == []
    assert talk.server(rows[0][7:], DONE, done("COPY 3"), ready()) == ["<- dcCZ"]


def test_a_sealed_value_where_nobody_knew_of_one() -> None:
    """A function's result, say: unsealed, and on record."""
    talk = Talk()
    talk.client(query("COPY (SELECT 1, f()) TO STDOUT"))
    assert talk.server(OUT, data(b"1\tx\n")) == ["<- Hd"]
    assert talk.server(data(b"1\t" + stored("ada") + b"\n"), DONE) == []
    assert talk.server(done("COPY 2"), ready()) == ["record statement.read", "<- dcCZ"]
    assert talk.to_client[0][1] == b"1\tada\n"
    assert talk.events[0]["columns"][0]["name"] == EMAIL


def test_a_shape_that_was_not_planned() -> None:
    """The table has changed meanwhile: nothing is shown."""
    talk = Talk()
    talk.client(query("COPY customers TO STDOUT"))
    words = talk.server(OUT)
    assert words[-1] == "close"
    assert not any(kind == "d" for kind, _ in talk.to_client)


def test_a_column_that_a_reload_has_taken_away() -> None:
    """Between the statement and its data: the copy ends, and no plaintext is on its way."""
    source = SnapshotSource(snapshot())
    talk = Talk(source=source)
    talk.client(query(COPY))
    catalog = replace(CATALOG, sealed={})
    source.current = Snapshot(policy.load({}, {}, {}), catalog, KEYS)
    talk.server(IN)
    assert talk.client(row(), DONE) == ["-> f"]
    told = f"COPY from stdin failed: column {EMAIL} is not declared any more"
    talk.server(error("57014", M=told), ready())
    assert b"C0A000\0" in talk.to_client[0][1]
