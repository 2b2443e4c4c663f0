"""How sessions end: clients and servers that go, that break the protocol, and what must not be shown."""

from __future__ import annotations

import pytest

from proxy.audit.event import Origin
from proxy.cells import Settings
from proxy.effects import Close, Fault, ToServer
from proxy.execution import Tally
from proxy.rows import BadCell, RowProgram
from proxy.shape import read_shape
from proxy.snapshot import Authority
from proxy.sql.message import Message
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
    SSN,
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
    told,
)

WRITE = "INSERT INTO customers (email) VALUES ('ada@example.com')"
READ = "SELECT email FROM customers"
ENDED = ["record session.closed", "close"]


def test_a_write_whose_client_went_away_is_on_record() -> None:
    """The server will execute what it has been sent; nobody will tell us how that ended."""
    talk = Talk()
    talk.client(query(WRITE))
    assert told(talk.session.client_gone()) == ["record statement.write 08006", *ENDED]
    assert talk.session.client_gone() == []


def test_everything_in_flight_is_on_record() -> None:
    """A pipeline, and a query of several statements of which the first is done."""
    talk = Talk()
    insert = write_parse(Parse(b"", WRITE.encode(), ()))
    run = write_bind(Bind(b"", b"", (), (), ())) + write_execute(b"")
    talk.client(insert, run, run, SYNC_MESSAGE, query(f"{READ}; {WRITE}; SELECT 1"))
    talk.server(reply("12n"), done("INSERT 0 1"))
    assert told(talk.session.server_gone()) == [
        "record statement.write 08006",
        "record statement.read 08006",
        "record statement.write 08006",
        *ENDED,
    ]


def test_held_rows_are_dropped_with_the_client() -> None:
    """Nothing was released: the event says no cell."""
    talk = Talk()
    talk.client(query(READ))
    talk.server(fields("email"), row(seal("a")))
    effects = talk.session.client_gone()
    assert told(effects) == ["record statement.read 08006", *ENDED]
    assert effects[0].event["unmapped"]["sealgate"]["cells"] == 0  # type: ignore[union-attr]


def test_a_terminated_backend_has_one_event_for_its_statement() -> None:
    """FATAL reaches the client, then the connection ends."""
    talk = Talk()
    talk.client(query(READ))
    assert talk.server(fields("email"), row(seal("a")), error("57P01", S="FATAL")) == [
        "record statement.read 57P01",
        "<- TDE",
    ]
    assert told(talk.session.server_gone()) == ENDED


def test_shutting_down() -> None:
    """57P01, PostgreSQL's own words."""
    talk = Talk()
    assert told(talk.session.shut_down()) == ["<- E", *ENDED]
    assert talk.client(query(READ)) == []
    assert talk.server(ready()) == []


def test_an_event_that_cannot_be_written_ends_the_session() -> None:
    """58030, and nothing that came after."""
    talk = Talk()
    assert told(talk.session.record_failed()) == ["<- E", "close"]
    assert talk.client(query(WRITE)) == []
    assert talk.server(row(seal("a"))) == []


@pytest.mark.parametrize(
    "reply_to_nothing",
    [
        reply("1"),
        reply("2"),
        reply("3"),
        reply("n"),
        reply("s"),
        reply("I"),
        ready(),
        done("SELECT 1"),
        row("1"),
        fields("?"),
        message(ord("t"), b"\0\0"),
        message(ord("G"), b"\0\0\0"),
        message(ord("V"), b""),
    ],
)
def test_a_reply_that_answers_nothing_ends_the_session(reply_to_nothing: bytes) -> None:
    """The queue and the server disagree: what came next would be recorded under another statement."""
    talk = Talk()
    assert talk.server(reply_to_nothing) == ["record protocol.violated 08P01", "<- E", *ENDED]


def test_a_reply_to_another_message_records_what_was_in_flight() -> None:
    """A ReadyForQuery too many, while a write is under way."""
    talk = Talk()
    talk.client(query(WRITE))
    assert talk.server(ready()) == [
        "record statement.write 08006",
        "record protocol.violated 08P01",
        "<- E",
        *ENDED,
    ]


def test_what_was_complete_before_a_violation_is_on_record() -> None:
    """The good messages in front of a bad one, in the same read."""
    talk = Talk()
    talk.client(query(WRITE))
    words = talk.server(done("INSERT 0 1"), b"Z\0\0\0\0")
    assert words == ["record statement.write", "record protocol.violated 08P01", "<- E", *ENDED]
    talk = Talk("nobody")
    assert talk.client(query(READ + " WHERE email = 'x'"), b"Q\0\0\0\0") == [
        "record statement.refused 42501",
        "record protocol.violated 08P01",
        "<- E",
        *ENDED,
    ]


def test_a_fault_of_ours_ends_one_session(monkeypatch: pytest.MonkeyPatch) -> None:
    """XX000 to the client, the exception to the operations log, its text to nobody; the statement is on record."""
    talk = Talk()
    talk.client(query(WRITE))

    def fail(self: Message) -> None:
        raise KeyError("canary")

    monkeypatch.setattr(Message, "plan", fail)
    effects = talk.session.client_data(query("SELECT 1"))
    assert told(effects) == ["record statement.write 08006", "Fault", "<- E", *ENDED]
    assert "canary" not in str([e for e in effects if not isinstance(e, Fault)])
    assert b"XX000" in effects[2].data  # type: ignore[union-attr]


# Values that must not be shown.

GOOD = seal("ada@example.com")
BAD = {
    "flipped": GOOD[:-1] + bytes([GOOD[-1] ^ 1]),
    "cut": GOOD[:-9],
    "cut short": GOOD[:20],
    "nothing": b"",
    "plain": b"ada@example.com",
    "another key": GOOD[:4] + b"\0\0\0\x63" + GOOD[8:],
    "another column": seal("123-45-6789", SSN),
    "another column's key": GOOD[:7] + seal("x", SSN)[7:8] + GOOD[8:],
    "another version": GOOD[:2] + b"\x02" + GOOD[3:],
    "other flags": GOOD[:3] + b"\x00" + GOOD[4:],
}


@pytest.mark.parametrize("login", ["shop_app", "support"])
@pytest.mark.parametrize("form", [0, 1])
@pytest.mark.parametrize("bad", BAD)
def test_a_tampered_value_ends_the_session(login: str, form: int, bad: str) -> None:
    """XX001, a finding; rows that were held with it are not released, and the stored value is in no effect."""
    talk = Talk(login)
    talk.client(
        write_parse(Parse(b"", READ.encode(), ())),
        write_bind(Bind(b"", b"", (), (), (form,))),
        message(ord("D"), b"P\0"),
        write_execute(b""),
        SYNC_MESSAGE,
    )
    rows = [row(GOOD, form=form), row(BAD[bad], form=form), row(GOOD, form=form)]
    words = talk.server(reply("12"), fields("email", form=form), *rows, done("SELECT 3"), ready())
    assert words == [
        "<- 12T",
        "record value.tampered XX001",
        "record statement.read XX001",
        "<- E",
        *ENDED,
    ], words
    assert BAD[bad].hex() not in str(talk.effects) or not BAD[bad]


def test_the_row_program_by_itself() -> None:
    """Tampered, truncated, swapped: BadCell names column and key, never a value."""
    now = snapshot()
    shape = read_shape(fields("id", "email")[5:], CATALOG, None, now.type_of)
    program = RowProgram(shape, (1,), Authority(now, frozenset({"shop_app"})), Settings())
    tally, out = Tally(), list[bytes]()
    whole = row("\0\0\0\1", GOOD, form=1)
    program.unseal_rows(whole, 0, len(whole), tally, out, 1 << 20)
    assert out[0].endswith(b"ada@example.com")
    assert tally.uses[EMAIL, "clear"].cells == 1
    for bad in BAD.values():
        whole = row("\0\0\0\1", bad, form=1)
        with pytest.raises(BadCell) as caught:
            program.unseal_rows(whole, 0, len(whole), tally, out, 1 << 20)
        assert caught.value.column.label == EMAIL
        assert caught.value.sqlstate == "XX001"
        assert not bad or bad.hex() not in str(caught.value)
        assert caught.value.__context__ is None or caught.value.__suppress_context__
    assert KEYS.columns  # the keys stay as they were


def test_the_origin_of_a_session() -> None:
    """Before a startup packet there is nobody."""
    talk = Talk()
    assert isinstance(talk.session.origin, Origin)
    assert talk.session.origin.login == "shop_app"


@pytest.mark.parametrize(
    "text",
    ["SELECT 1 FROM customers WHERE email = $0", "INSERT INTO customers (email) VALUES ($0)"],
)
def test_there_is_no_parameter_0(text: str) -> None:
    """As the server says it; it has no place among the parameter types."""
    talk = Talk()
    talk.client(write_parse(Parse(b"", text.encode(), ())), SYNC_MESSAGE)
    assert not any(isinstance(effect, Close) for effect in talk.effects)
    assert b"there is no parameter $0" in b"".join(
        effect.data for effect in talk.effects if isinstance(effect, ToServer)
    )
