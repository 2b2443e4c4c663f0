"""The simple query protocol, as transcripts."""

from __future__ import annotations

import pytest

from proxy.snapshot import SnapshotSource
from proxy.wire.messages import SYNC_MESSAGE, message
from tests.session.transcript import (
    PLAIN,
    SSN,
    VIEW,
    Talk,
    done,
    error,
    fields,
    query,
    ready,
    row,
    seal,
    setting,
    snapshot,
)

COPY_IN = message(ord("G"), b"\0\0\0")
DATA, COPY_DONE = message(ord("d"), b"1\n"), message(ord("c"), b"")
ADA = "SELECT email FROM customers WHERE email = 'ada@example.com'"


def test_a_statement_of_no_concern_is_relayed_byte_for_byte() -> None:
    """Both ways, no event."""
    talk = Talk()
    sql = query("SELECT  note /* as it is */ FROM plain WHERE id = 1")
    assert talk.client(sql) == ["-> Q"]
    assert talk.effects[0].data == sql  # type: ignore[union-attr]
    assert talk.server(fields("note", table=PLAIN), row("x"), done("SELECT 1"), ready()) == [
        "<- TDCZ"
    ]


def test_rows_come_after_their_event() -> None:
    """One result, one event, then the rows."""
    talk = Talk()
    assert talk.client(query(ADA)) == ["-> Q"]
    assert b"ada@" not in talk.to_server[0][1]
    assert talk.server(fields("email"), row(seal("ada@example.com"))) == ["<- T"]
    assert talk.server(done("SELECT 1"), ready()) == ["record statement.read", "<- DCZ"]
    assert talk.to_client[0][1].endswith(b"ada@example.com")
    (event,) = talk.events
    assert [(c["outcome"], c["cells"]) for c in event["columns"]] == [("clear", 1), ("compared", 0)]


def test_what_a_comparison_found_waits_for_its_event_too() -> None:
    """A count or an id tells whether the value is there, sealed column in the result or not."""
    talk = Talk()
    talk.client(query("SELECT id FROM customers WHERE email = 'ada@example.com'"))
    assert talk.server(fields("id"), row("7")) == ["<- T"]
    assert talk.server(done("SELECT 1"), ready()) == ["record statement.compare", "<- DCZ"]
    assert talk.events[0]["rows"] == 1


def test_masked_and_withheld() -> None:
    """By role, whatever the statement."""
    stored = row(seal("ada@example.com"), seal("123-45-6789", SSN))
    for login, shown in (
        ("support", [b"a***@example.com", b"*******6789"]),
        ("nobody", [b"", b""]),
    ):
        talk = Talk(login)
        talk.client(query("SELECT email, ssn FROM customers"))
        talk.server(fields("email", "ssn"), stored, done("SELECT 1"), ready())
        (data,) = [body for kind, body in talk.to_client if kind == "D"]
        assert all(part in data for part in shown)
        outcomes = {c["outcome"] for c in talk.events[0]["columns"]}
        assert outcomes == ({"masked"} if login == "support" else {"withheld"})


def test_a_refusal_is_raised_by_the_server() -> None:
    """The event, then `sealgate.refuse` in the statement's place; its RowDescription is not shown."""
    talk = Talk("nobody")
    assert talk.client(query(ADA)) == ["record statement.refused 42501", "-> Q"]
    assert talk.to_server[0][1].startswith(b"SELECT sealgate.refuse(E'42501'")
    assert talk.server(fields("?"), error("42501"), ready()) == ["<- EZ"]


def test_a_refusal_that_the_server_does_not_raise_ends_the_session() -> None:
    """Somebody replaced the function."""
    talk = Talk("nobody")
    talk.client(query(ADA))
    assert talk.server(fields("?"), row("1"), done("SELECT 1"), ready()) == [
        "<- E",
        "record session.closed",
        "close",
    ]


def test_several_statements_and_an_error_in_the_middle() -> None:
    """Each has its event; what stands behind the error is not executed and not on record."""
    talk = Talk()
    talk.client(query(f"{ADA}; INSERT INTO customers (email) VALUES ('x'); {ADA}"))
    assert talk.server(fields("email"), row(seal("a")), done("SELECT 1")) == [
        "record statement.read",
        "<- TDC",
    ]
    assert talk.server(error("23505"), ready()) == ["record statement.write 23505", "<- EZ"]
    assert talk.session.client_gone()[0].event["metadata"]["event_code"] == "session.closed"  # type: ignore[union-attr]


def test_transactions_inside_one_query() -> None:
    """BEGIN and COMMIT complete like everything else."""
    talk = Talk()
    talk.client(query(f"BEGIN; {ADA}; COMMIT"))
    assert talk.server(
        done("BEGIN"), fields("email"), done("SELECT 0"), done("COMMIT"), ready()
    ) == ["record statement.read", "<- CTCCZ"]


def test_notices_and_settings_between_rows() -> None:
    """They pass at once; rows are still held."""
    talk = Talk()
    talk.client(query(ADA))
    notice = message(ord("N"), b"SNOTICE\0\0")
    assert talk.server(fields("email"), row(seal("a")), notice, row(seal("b"))) == ["<- TN"]
    assert talk.server(setting("TimeZone", "UTC"), done("SELECT 2"), ready()) == [
        "record statement.read",
        "<- SDDCZ",
    ]


def test_a_rules_second_result_does_not_overtake_the_first() -> None:
    """ON INSERT DO ALSO SELECT: two RowDescriptions before one CommandComplete."""
    talk = Talk()
    talk.client(query("INSERT INTO customers (email) VALUES ('x') RETURNING email"))
    words = talk.server(
        fields("email"), row(seal("x")), fields("?"), row("1"), done("INSERT 0 1"), ready()
    )
    assert [kind for kind, _ in talk.to_client] == list("TDTDCZ")
    assert words[0] == "record statement.write"


def test_an_empty_query() -> None:
    """EmptyQueryResponse."""
    talk = Talk()
    talk.client(query("  -- nothing"))
    assert talk.server(message(ord("I"), b""), ready()) == ["<- IZ"]


def test_error_positions_are_the_clients() -> None:
    """The server counts in what it got."""
    talk = Talk()
    sql = f"{ADA} AND id = 'x'"
    talk.client(query(sql))
    sent = talk.to_server[0][1].decode()
    talk.server(error("22P02", P=str(sent.index("'x'") + 1)), ready())
    assert f"P{sql.index(chr(39) + 'x') + 1}".encode() in talk.to_client[0][1]


def test_a_sync_inside_copy_in_is_not_owed() -> None:
    """The server reads over it in copy-in mode, in a simple query as well; the next statement is matched to itself."""
    talk = Talk()
    talk.client(query("COPY plain FROM STDIN"))
    talk.server(COPY_IN)
    assert talk.client(DATA, SYNC_MESSAGE, COPY_DONE) == ["-> dSc"]
    assert talk.server(done("COPY 1"), ready()) == ["<- CZ"]
    talk.client(query(ADA))
    assert talk.server(fields("email"), row(seal("a")), done("SELECT 1"), ready()) == [
        "record statement.read",
        "<- TDCZ",
    ]


@pytest.mark.parametrize("answered", [0, 1])
def test_a_sync_that_a_failed_copy_may_or_may_not_have_read(answered: int) -> None:
    """Either way the next statement's replies are its own."""
    talk = Talk()
    talk.client(query("COPY plain FROM STDIN"))
    talk.server(COPY_IN)
    talk.client(DATA, SYNC_MESSAGE, DATA)
    assert talk.server(error("22P04"), ready()) == ["<- EZ"]
    talk.client(COPY_DONE, query("SELECT id FROM customers WHERE email = 'a'"))
    assert talk.server(*[ready()] * answered, fields("id"), row("1")) == [
        "<- " + "Z" * answered + "T"
    ]
    assert talk.server(done("SELECT 1"), ready()) == ["record statement.compare", "<- DCZ"]


def test_two_copies_in_one_query() -> None:
    """Each consumes its own CopyDone."""
    talk = Talk()
    talk.client(query("COPY plain FROM STDIN; COPY plain FROM STDIN"))
    talk.client(DATA, COPY_DONE, SYNC_MESSAGE, DATA, COPY_DONE)
    talk.server(COPY_IN)
    talk.server(done("COPY 1"), COPY_IN)
    assert talk.server(done("COPY 1"), ready()) == ["<- CZ"]
    assert talk.session.idle


def test_a_view_shows_a_sealed_value_or_nothing() -> None:
    """A stored value that is cut short is an error also where the server names only the view."""
    talk = Talk()
    talk.client(query("SELECT email FROM customer_view"))
    talk.server(fields("email", table=VIEW), row(seal("ada")), done("SELECT 1"), ready())
    assert talk.to_client[1][1].endswith(b"ada")
    for broken in (seal("ada")[:20], seal("ada")[:4] + b"\0\0\0\x63" + seal("ada")[8:]):
        talk = Talk()
        talk.client(query("SELECT email FROM customer_view"))
        words = talk.server(fields("email", table=VIEW), row(broken), done("SELECT 1"), ready())
        assert words[-3:] == ["<- E", "record session.closed", "close"]
        assert words[1] == "record value.tampered XX001"


def test_a_long_result_is_released_in_parts() -> None:
    """Every part behind its event, one execution, the last one final."""
    talk = Talk()
    talk.client(query("SELECT email FROM customers"))
    big = row(seal("x" * 60_000))
    words = talk.server(fields("email"), *[big] * 12, done("SELECT 12"), ready())
    assert words == [
        "record statement.read",
        "record statement.read",
        "record statement.read",
        "<- TDDDDDDDDDDDDCZ",
    ]
    assert [(e["part"], e["final"], e["rows"]) for e in talk.events] == [
        (1, False, 5),
        (2, False, 5),
        (3, True, 2),
    ]
    assert len({e["execution"] for e in talk.events}) == 1


def test_withheld_as_an_error_ends_the_session_where_the_statement_did_not_show_it() -> None:
    """denied_value = "error", and a function that returns sealed values: nothing of the result goes out."""
    talk = Talk("nobody", SnapshotSource(snapshot(denied_value="error")))
    talk.client(query("SELECT leak()"))
    words = talk.server(fields("email", table=VIEW), row(seal("ada")), done("SELECT 1"), ready())
    assert words[-3:] == ["<- E", "record session.closed", "close"]
    assert not any(kind == "D" for kind, _ in talk.to_client)
