"""What is judged before it is released, as transcripts: budgets, containment on every path, order of events and effects."""

from __future__ import annotations

import struct
from typing import Any

import pytest

from policy import Access, Outcome
from proxy.detection.restraint import Contained, Containment, restrained
from proxy.detection.settings import Containing
from proxy.effects import Close, Contain, Delay, Record, ToClient
from proxy.snapshot import Authority, SnapshotSource
from proxy.wire.messages import SYNC_MESSAGE, Bind, Parse, message, write_bind, write_parse
from proxy.wire.messages import write_execute as execute
from tests.detection.guarded import Clock, Guarded, detection, guards
from tests.session.transcript import (
    EMAIL,
    SSN,
    done,
    fields,
    query,
    ready,
    reply,
    row,
    seal,
    snapshot,
)

SELECT = "SELECT email FROM customers"
ROWS = fields("email"), row(seal("ada")), row(seal("bob")), done("SELECT 2"), ready()
OUT = message(ord("H"), struct.pack("!bHHH", 0, 2, 0, 0))


def contained(mode: Containing, login: str = "shop_app", session: str | None = None) -> Contained:
    return Contained.of([Containment(login, session, mode, 0, 1 << 50, "test", "f")])


def shown(talk: Guarded) -> list[bytes]:
    return [body for kind, body in talk.to_client if kind == "D"]


def findings(talk: Guarded) -> list[dict[str, Any]]:
    return [event for event in talk.events if "detector" in event]


def test_what_is_within_the_budget_is_released() -> None:
    """And nothing else happens: the effects are those of a session that nobody judges."""
    talk = Guarded(guards=guards(detection(cells=2), Clock()))
    talk.client(query(SELECT))
    assert talk.server(*ROWS) == ["record statement.read", "<- TDDCZ"]


def test_kill_the_part_that_is_too_much_is_not_released() -> None:
    """Finding, containment, the statement that failed: in this order, and then nothing but the farewell."""
    talk = Guarded(guards=guards(detection("kill", cells=1), Clock()))
    talk.client(query(SELECT))
    assert talk.server(*ROWS) == [
        "<- T",
        "record detection.budget_cells",
        "record containment.begun",
        "Contain",
        "record statement.read 57P01",
        "<- E",
        "record session.closed",
        "close",
    ]
    assert not shown(talk)
    assert findings(talk)[0]["numbers"] == {"shown": 2, "limit": 1, "seconds": 300}
    read = next(e for e in talk.events if "columns" in e)
    assert read["cells"] == 0


@pytest.mark.parametrize("mode", ["observe", "alert"])
def test_observe_and_alert_only_say_it(mode: Any) -> None:
    """Once per window and login, whatever the session; the rows are released."""
    clock = Clock()
    shared = guards(detection(mode, cells=1), clock)
    talk, other = Guarded(guards=shared), Guarded(guards=shared, number="t")
    talk.client(query(SELECT))
    assert talk.server(*ROWS)[0] == "record detection.budget_cells"
    assert len(shown(talk)) == 2
    for one in (talk, other):
        one.client(query(SELECT))
        assert one.server(*ROWS) == ["record statement.read", "<- TDDCZ"]
    clock.now += 451  # beyond the bin it was said in and the two behind it
    talk.client(query(SELECT))
    assert talk.server(*ROWS)[0] == "record detection.budget_cells"


def test_throttle_delays_what_is_released() -> None:
    """The rows come behind a delay that grows with the cells; the event is written before it."""
    talk = Guarded(guards=guards(detection("throttle", cells=1), Clock()))
    talk.client(query(SELECT))
    assert talk.server(*ROWS) == [
        "record detection.budget_cells",
        "record containment.begun",
        "Contain",
        "record statement.read",
        "Delay",
        "<- TDDCZ",
    ]
    (delay,) = [e for e in talk.effects if isinstance(e, Delay)]
    assert delay.seconds == pytest.approx(2 / 20)
    talk._did(talk.session.heed())
    talk.client(query(SELECT))
    assert talk.server(*ROWS) == ["record statement.read", "Delay", "<- TDDCZ"]
    (delay,) = [e for e in talk.effects if isinstance(e, Delay)]
    assert delay.seconds == pytest.approx(4 / 20)


def test_mask_the_next_session_sees_masks() -> None:
    """The session that went too far ends; whatever is shown afterwards is masked, by the containment's rule, and counted no more."""
    shared = guards(detection("mask", cells=1), Clock())
    talk = Guarded(guards=shared)
    talk.client(query(SELECT))
    assert "record statement.read 53400" in talk.server(*ROWS)
    assert not shown(talk)
    again = Guarded(guards=shared, number="t")
    for _ in range(3):
        again.client(query(SELECT))
        assert again.server(*ROWS) == ["record statement.read", "<- TDDCZ"]
        assert all(b"***" in body for body in shown(again))
        assert [c["rule"] for c in again.events[0]["columns"]] == ["containment.mask"]


@pytest.mark.parametrize("exempt", [True, False])
def test_an_exempt_login_is_only_reported(exempt: bool) -> None:
    """The login that must get in is never contained."""
    settings = detection("kill", cells=1, exempt=("shop_app",) if exempt else ())
    talk = Guarded(guards=guards(settings, Clock()))
    talk.client(query(SELECT))
    talk.server(*ROWS)
    assert (len(shown(talk)) == 2) is exempt
    assert findings(talk)[0]["action"] == ("exempt" if exempt else "killed")


def test_the_sum_over_sessions_and_paths_is_what_counts() -> None:
    """Simple and extended queries, portals of one row, COPY, in sessions that come and go: never more than the limit."""
    shared = guards(detection("kill", cells=10), Clock())
    released = 0
    for number in range(40):
        talk = Guarded(guards=shared, number=str(number))
        if number % 3 == 0:
            talk.client(query(SELECT))
            talk.server(*ROWS)
            released += len(shown(talk))
        elif number % 3 == 1:
            parse = write_parse(Parse(b"", SELECT.encode(), ()))
            bind = write_bind(Bind(b"p", b"", (), (), ()))
            talk.client(parse, bind, execute(b"p", 1), execute(b"p", 1), SYNC_MESSAGE)
            talk.server(reply("12"), fields("email"), row(seal("a")), reply("s"))
            released += len(shown(talk))
            if not talk.session._over:
                talk.server(row(seal("b")), reply("s"), ready())
                released += len(shown(talk))
        else:
            talk.client(query("COPY customers (id, email) TO STDOUT"))
            copied = message(ord("d"), b"1\t\\\\x" + seal("ada").hex().encode() + b"\n")
            talk.server(OUT, copied, message(ord("c"), b""), done("COPY 1"), ready())
            released += sum(b"ada" in body for kind, body in talk.to_client if kind == "d")
    assert released == 10


def test_a_portal_half_read_goes_on_under_containment() -> None:
    """Rows that come after the login was contained are masked, in the portal that showed them clear before."""
    shared = guards(detection("observe"), Clock())
    talk = Guarded(guards=shared)
    parse = write_parse(Parse(b"", SELECT.encode(), ()))
    bind = write_bind(Bind(b"p", b"", (), (), ()))
    talk.client(parse, bind, execute(b"p", 1), SYNC_MESSAGE)
    talk.server(reply("12"), fields("email"), row(seal("ada@x.org")), reply("s"), ready("T"))
    assert b"ada@x.org" in shown(talk)[0]
    shared.contained = contained("mask")
    assert talk._did(talk.session.heed()) == []
    talk.client(execute(b"p", 1), SYNC_MESSAGE)
    talk.server(row(seal("bob@x.org")), reply("s"), ready("T"))
    assert b"bob@" not in shown(talk)[0]
    assert b"b***@x.org" in shown(talk)[0]


@pytest.mark.parametrize("sent", ["execute", "bind", "query", "parse"])
@pytest.mark.parametrize("mode", ["quarantine", "kill"])
def test_a_statement_is_refused_in_quarantine(sent: str, mode: Containing) -> None:
    """Parsed or bound before, or new: the server is told to refuse it."""
    shared = guards(detection("observe"), Clock())
    talk = Guarded(guards=shared)
    parse = write_parse(Parse(b"s", SELECT.encode(), ()))
    bind = write_bind(Bind(b"p", b"s", (), (), ()))
    talk.client(parse, bind, SYNC_MESSAGE)
    talk.server(reply("12"), ready("T"))
    shared.contained = contained(mode)
    assert talk._state_restrained() == mode
    talk.client(
        {
            "execute": execute(b"p") + SYNC_MESSAGE,
            "bind": write_bind(Bind(b"", b"s", (), (), ())) + SYNC_MESSAGE,
            "query": query(SELECT),
            "parse": write_parse(Parse(b"", SELECT.encode(), ())) + SYNC_MESSAGE,
        }[sent]
    )
    asked = b"".join(body for _, body in talk.to_server)
    assert b"sealgate.refuse" in asked
    assert b"42501" in asked


def test_a_result_on_its_way_ends_with_the_session() -> None:
    """Nothing of what was held is released when the login is contained in the middle of a result."""
    for mode in ("mask", "quarantine", "kill"):
        shared = guards(detection("observe"), Clock())
        talk = Guarded(guards=shared)
        talk.client(query(SELECT))
        talk.server(fields("email"), row(seal("ada")))
        shared.contained = contained(mode)  # type: ignore[arg-type]
        talk._did(talk.session.heed())
        assert isinstance(talk.effects[-1], Close)
        assert not shown(talk)
        assert talk.server(row(seal("bob")), done("SELECT 2"), ready()) == []


def test_what_the_server_was_asked_before_quarantine_shows_nothing() -> None:
    """A statement on its way when the login was contained: its rows end the session instead of showing NULL."""
    shared = guards(detection("observe"), Clock())
    talk = Guarded(guards=shared)
    talk.client(query(SELECT))
    shared.contained = contained("quarantine")
    assert talk._did(talk.session.heed()) == []
    talk.server(*ROWS)
    assert not shown(talk)
    assert isinstance(talk.effects[-1], Close)


@pytest.mark.parametrize("mode", ["quarantine", "kill"])
def test_a_new_session_is_not_let_in(mode: Containing) -> None:
    """The server has let it in; Sealgate does not, and says so in the log."""
    shared = guards(detection("observe"), Clock())
    shared.contained = contained(mode)
    talk = Guarded(guards=shared)
    (failed, told, _) = talk.effects
    assert isinstance(failed, Record)
    assert failed.event["status_code"] == "28000"
    assert isinstance(told, ToClient)
    assert b"contained" in told.data
    assert Guarded(login="support", guards=shared).client(query("SELECT 1"))


def test_one_session_is_contained_and_no_other() -> None:
    """Also where both are the same login's."""
    shared = guards(detection("observe"), Clock())
    one, other = Guarded(guards=shared, number="1"), Guarded(guards=shared, number="2")
    shared.contained = contained("kill", session="1")
    one._did(one.session.heed())
    assert isinstance(one.effects[-1], Close)
    assert other._did(other.session.heed()) == []


def test_released_it_is_as_before() -> None:
    """Masks in a session that stays open, and then the values again."""
    shared = guards(detection("observe"), Clock())
    talk = Guarded(guards=shared)
    for now, seen in ((contained("mask"), False), (Contained(), True)):
        shared.contained = now
        talk._did(talk.session.heed())
        talk.client(query(SELECT))
        talk.server(fields("email"), row(seal("ada@x.org")), done("SELECT 1"), ready())
        assert (b"ada@x.org" in shown(talk)[0]) is seen
        rule = talk.events[0]["columns"][0]["rule"]
        assert rule == ("roles.shop_app.clear" if seen else "containment.mask")


@pytest.mark.parametrize("restraint", [None, "throttle", "mask", "quarantine", "kill"])
def test_containment_never_widens(restraint: Any) -> None:
    """For every role, column and access: what is left is at most what the policy gave."""
    width = {
        Outcome.WITHHELD: 0,
        Outcome.MASKED: 1,
        Outcome.CLEAR: 2,
        Outcome.DENIED: 0,
        Outcome.ALLOWED: 2,
    }
    for roles in ({"shop_app"}, {"support"}, {"nobody"}, {"shop_app", "support"}):
        free = Authority(snapshot(), frozenset(roles))
        bound = Authority(snapshot(), frozenset(roles), restraint)
        for column in (EMAIL, SSN, "public.customers.other"):
            for access in Access:
                before, after = free.decide(column, access), bound.decide(column, access)
                assert width[after.outcome] <= width[before.outcome]
                if restraint in ("quarantine", "kill"):
                    assert width[after.outcome] == 0
                    assert after.rule == f"containment.{restraint}"
                has_mask = column in bound.snapshot.masks
                assert after == restrained(before, restraint, access, has_mask=has_mask)


def test_a_column_without_a_mask_is_withheld_in_mask_mode() -> None:
    """Clear is never what remains."""
    decision = Authority(snapshot(), frozenset({"shop_app"})).decide(EMAIL, Access.READ)
    assert decision.outcome is Outcome.CLEAR
    assert restrained(decision, "mask", Access.READ, has_mask=False).outcome is Outcome.WITHHELD


def test_nothing_remembered_outlives_a_containment() -> None:
    """One source, one statement, asked by a contained and a free session in turn: each event has its own rule."""
    source = SnapshotSource(snapshot())
    shared = guards(detection("observe"), Clock())
    shared.contained = contained("mask", session="1")
    one = Guarded(guards=shared, number="1", source=source)
    other = Guarded(guards=shared, number="2", source=source)
    for _ in range(3):
        for talk, rule in ((one, "containment.mask"), (other, "roles.shop_app.clear")):
            talk.client(query(SELECT))
            talk.server(*ROWS)
            assert talk.events[0]["columns"][0]["rule"] == rule
            assert talk.events[0]["columns"][0]["outcome"] == ("masked" if talk is one else "clear")
    assert not any(isinstance(e, Contain) for e in one.effects)
