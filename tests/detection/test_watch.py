"""The detectors over the log: what each finds, what it leaves alone, what survives a restart, what cannot be filled up."""

from __future__ import annotations

import json
import os
import random
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import pytest

from proxy.audit.containment import containment_begun, containment_ended
from proxy.audit.event import Event, Origin, detected
from proxy.detection.finding import Finding
from proxy.detection.restraint import Containment
from proxy.detection.settings import (
    Detection,
    Enumeration,
    FailedLogins,
    NewNetwork,
    Volume,
)
from proxy.detection.watch import LOGINS, Watch
from tests.audit.examples import examples
from tests.audit.published import problems
from tests.detection.a_log import (
    ADA,
    DAY,
    HOUR,
    MINUTE,
    NOON,
    SECOND,
    ALog,
    checkpoint,
    login,
    read,
    refusal,
    stop,
)

SEED = int(os.environ.get("DETECTION_SEED", random.SystemRandom().randrange(10**6)))
_DRAW = random.Random(7)
CUSTOMERS = [_DRAW.randbytes(8) for _ in range(5000)]


class Watched:
    """A watch and the log it follows."""

    def __init__(self, settings: Detection | None = None) -> None:
        self.watch = Watch(settings or Detection())
        self.log = ALog()
        self.findings: list[Finding] = []

    def see(self, event: Event, ms: int) -> list[Finding]:
        found = self.watch.observe(self.log.put(event, ms))
        self.findings += found
        return found

    def see_all(self, events: Iterable[tuple[int, Event]]) -> list[Finding]:
        return [finding for ms, event in events for finding in self.see(event, ms)]

    def detectors(self) -> list[str]:
        return [finding.detector for finding in self.findings]


def settled(settings: Detection | None = None, origin: Origin = ADA) -> Watched:
    """20 working days on which Ada logs in at eight and looks up 40 customers, each of them twice, until five."""
    watched = Watched(settings)
    for day in range(-28, 0):
        if (day % 7) >= 5:
            continue
        start = NOON + day * DAY - 4 * HOUR
        watched.see(login(origin), start)
        for number in range(40):
            ms = start + number * 13 * MINUTE
            customer = [CUSTOMERS[(day * 40 + number) % 1000]]
            watched.see(read(origin, ids=customer), ms)
            watched.see(read(origin, ids=customer), ms + MINUTE)
    assert watched.findings == []
    return watched


def test_looking_up_many_people_is_found() -> None:
    """100 different customers one by one within five minutes, where 40 a day are usual: at the hundredth, by login and session."""
    watched = settled()
    found = watched.see_all((NOON + n * SECOND, read(ids=[CUSTOMERS[n]])) for n in range(150))
    [finding] = [f for f in found if f.detector == "enumeration"]
    assert (finding.login, finding.session, finding.client) == ("ada", "ses-ada", "10.1.4.7")
    assert finding.severity == "high"
    assert 98 <= finding.numbers["look_ups"] <= 102
    assert finding.table == "public.customers"


@pytest.mark.parametrize(("command", "found"), [("UPDATE", True), ("INSERT", False)])
def test_looking_up_by_changing_is_looking_up(command: str, found: bool) -> None:
    """UPDATE ... RETURNING shows a customer each time; INSERT ... RETURNING shows what the client has just said."""
    watched = settled()
    for n in range(120):
        shows = read(ids=[CUSTOMERS[n]], command=command)
        shows["metadata"]["event_code"] = "statement.write"
        watched.see(shows, NOON + n * SECOND)
    assert ("enumeration" in watched.detectors()) is found


def test_looking_at_the_same_people_again_and_again_is_not() -> None:
    """As many statements, on 30 customers."""
    watched = settled()
    watched.see_all((NOON + n * SECOND, read(ids=[CUSTOMERS[n % 30]])) for n in range(290))
    assert watched.findings == []


def test_guessing_who_is_in_a_column_is_found() -> None:
    """Look-ups that find nothing."""
    watched = settled()
    found = watched.see_all((NOON + n * SECOND, read(rows=0, cells=0)) for n in range(150))
    assert [f.title for f in found] == ["Look-ups that find nothing"]


def failures(number: int, **other: Any) -> list[tuple[int, Event]]:
    return [(NOON + n * SECOND, login(replace(ADA, **other), ok=False)) for n in range(number)]


def test_a_guessed_password_is_found_and_success_behind_it_above_all() -> None:
    """Five failures are a finding; the success behind them is a high one; another's success is none."""
    watched = Watched()
    assert [f.title for f in watched.see_all(failures(5))] == ["Many failed logins of one name"]
    assert watched.see(login(replace(ADA, login="bob")), NOON + MINUTE) == []
    found = watched.see(login(), NOON + MINUTE)
    assert [(f.title, f.severity) for f in found] == [
        ("Login succeeded behind many failures", "high")
    ]


def test_mistyping_twice_is_nothing() -> None:
    """Nor is a server that has no connection left, however often it says so."""
    watched = Watched()
    watched.see_all(failures(4))
    watched.see(login(), NOON + MINUTE)
    for n in range(50):
        watched.see(login(ok=False, sqlstate="53300"), NOON + n * SECOND)
    assert watched.findings == []


def test_one_password_for_many_logins_is_found() -> None:
    """Five logins fail from one address, once each; from five addresses they do not."""
    watched = Watched()
    for n in range(5):
        watched.see(login(replace(ADA, login=f"u{n}"), ok=False), NOON)
    assert [f.title for f in watched.findings] == ["One address failed with many logins"]
    other = Watched()
    for n in range(5):
        who = replace(ADA, login=f"u{n}", client_host=f"10.2.{n}.1")
        other.see(login(who, ok=False), NOON)
    assert other.findings == []


def test_a_contained_application_that_comes_again_is_no_guesser() -> None:
    """Refused a hundred times while it is in quarantine, let in behind it: nothing; also when that is past the window's middle.

    Without containment, refusals for pg_hba.conf are told of the address, and do not make a success one behind failures.
    """
    watched = Watched(Detection(mode="quarantine"))
    kept_out = Containment("ada", None, "quarantine", NOON, NOON + HOUR, "volume", "uid")
    watched.see(containment_begun(kept_out), NOON)
    for n in range(100):
        watched.see(login(ok=False, sqlstate="28000"), NOON + 59 * MINUTE + n * 100)
    watched.see(containment_ended(kept_out, "released", "ticket"), NOON + 60 * MINUTE)
    watched.see(login(), NOON + 60 * MINUTE)
    assert watched.findings == []
    for n in range(20):
        watched.see(login(ok=False, sqlstate="28000"), NOON + 61 * MINUTE + n)
    watched.see(login(), NOON + 62 * MINUTE)
    assert [f.title for f in watched.findings] == ["Many failed logins from one address"]


def test_an_ipv6_attacker_with_many_addresses_is_one() -> None:
    """Ten addresses of one /64 count together."""
    watched = Watched()
    for n in range(10):
        who = replace(ADA, login=f"u{n}", client_host=f"2001:db8::{n:x}")
        watched.see(login(who, ok=False), NOON)
    assert "Many failed logins from one address" in [f.title for f in watched.findings]


def test_who_fills_the_tables_of_failures_is_found_by_the_total() -> None:
    """20,000 names from as many networks: what is kept is bounded, the total tells, and a name that was there still counts."""
    watched = Watched()
    watched.see_all(failures(3))
    for n in range(20_000):
        host = f"{11 + n // 65536}.{n // 256 % 256}.{n % 256}.9"
        watched.see(login(replace(ADA, login=f"n{n}", client_host=host), ok=False), NOON)
    assert [f.title for f in watched.findings] == ["Many failed logins altogether"]
    assert watched.watch.guessing.logins.full
    assert watched.see_all(failures(2))[0].title == "Many failed logins of one name"
    assert len(json.dumps(watched.watch.snapshot())) < 3_000_000
    assert not watched.watch.profiles


def test_trying_doors_is_found() -> None:
    """Three columns refused in two statements and more, or ten statements; not one statement that names three."""
    watched = Watched()
    columns = tuple(f"public.customers.c{n}" for n in range(3))
    watched.see(refusal(columns=columns), NOON)
    assert watched.findings == []
    watched.see(refusal(), NOON + SECOND)
    assert [f.title for f in watched.findings] == ["Many columns refused"]
    other = Watched()
    other.see_all((NOON + n * SECOND, refusal()) for n in range(10))
    assert [f.title for f in other.findings] == ["Many statements refused"]


def test_what_is_new_for_a_login_is_told_once_and_low() -> None:
    """A network, an application name, a statement shape: one finding each; not the second time, not in the same /24."""
    watched = settled()
    watched.see(login(replace(ADA, client_host="10.1.4.200")), NOON)
    assert watched.findings == []
    strange = replace(ADA, client_host="192.0.2.1")
    watched.see(login(strange), NOON)
    watched.see(login(ADA), NOON + DAY)
    watched.see(login(strange), NOON + DAY)
    watched.see(login(replace(ADA, application_name="psql")), NOON + 2 * DAY)
    watched.see(read(statement="SELECT email FROM customers", ids=CUSTOMERS[:1]), NOON + 4 * DAY)
    assert watched.detectors() == ["new_network", "new_application", "new_statement"]
    assert {f.severity for f in watched.findings} == {"low"}


def test_nothing_is_new_while_a_login_is() -> None:
    """Its first two weeks are learned from; a setting of 0 days learns from nothing but the first."""
    watched = Watched()
    for day in range(13):
        watched.see(login(replace(ADA, client_host=f"192.0.{day}.1")), NOON + day * DAY)
    assert watched.findings == []
    strict = Watched(Detection(new_network=NewNetwork(learn_days=0)))
    strict.see(login(ADA), NOON)
    strict.see(login(replace(ADA, client_host="192.0.2.1")), NOON + 1)
    assert "new_network" in strict.detectors()


def test_a_stolen_password_is_found_by_what_comes_together() -> None:
    """Network, application and statement are new within an hour: a high finding; days apart they are not."""
    thief = replace(ADA, client_host="192.0.2.1", application_name="psql", session="ses-thief")
    watched = settled()
    watched.see(login(thief), NOON)
    dump = read(thief, statement="SELECT * FROM customers", ids=CUSTOMERS[:1])
    found = watched.see(dump, NOON + MINUTE)
    assert [(f.detector, f.severity) for f in found] == [
        ("new_statement", "low"),
        ("stolen_login", "high"),
    ]
    assert found[-1].session == "ses-thief"
    assert found[-1].numbers["score"] == 80


def test_an_hour_that_is_not_hers_counts() -> None:
    """Network and application are not enough at noon, and are at midnight, with a statement of hers that is new."""
    thief = replace(ADA, client_host="192.0.2.1")
    for ms, expected in ((NOON, False), (NOON + 11 * HOUR, True)):
        watched = settled(Detection(stolen_login=replace(Detection().stolen_login, score=60)))
        watched.see(login(thief), ms)
        assert ("stolen_login" in watched.detectors()) is expected


def parts(rows: int, each: int, command: str = "SELECT") -> list[Event]:
    return [
        read(rows=each, cells=each, part=n + 1, final=(n + 1) * each >= rows, command=command)
        for n in range(rows // each)
    ]


@pytest.mark.parametrize("each", [100, 2000])
def test_a_bulk_export_is_found_whether_it_comes_in_parts_or_whole(each: int) -> None:
    """2,000 rows of one execution, where one is usual."""
    watched = settled()
    watched.see_all((NOON + n, event) for n, event in enumerate(parts(2000, each)))
    assert "bulk_export" in watched.detectors()


def test_a_job_that_exports_every_night_is_usual_and_its_first_copy_by_another_is_not() -> None:
    """The job is learned; a person who never copied the table is told of at a tenth of the rows."""
    job = replace(ADA, login="job", session="ses-job")
    watched = settled()
    for day in range(-20, 1):
        for n, event in enumerate(
            [
                read(
                    job,
                    rows=500,
                    cells=500,
                    part=k + 1,
                    final=k == 4,
                    command="COPY",
                    execution="j",
                )
                for k in range(5)
            ]
        ):
            watched.see(event, NOON + day * DAY + n)
    assert watched.findings == []
    watched.see(read(rows=200, cells=200, command="COPY"), NOON + HOUR)
    assert "bulk_export" in watched.detectors()


def test_more_than_usual_is_found_in_a_window_and_in_a_day() -> None:
    """Ten times a day's cells at once, and three times over the whole day in small bites."""
    watched = settled()
    watched.see_all((NOON + n * SECOND, read(rows=20, cells=20)) for n in range(30))
    assert watched.detectors() == ["volume"]
    slow = settled()
    slow.see_all((NOON + n * 4 * MINUTE, read(rows=20, cells=20)) for n in range(100))
    assert {f.title for f in slow.findings} == {"Many more cells in a day than usual"}


def test_a_slow_poisoner_gains_a_tenth_in_two_days() -> None:
    """Each day just below the limit for two weeks: the limit has not doubled."""
    watched = settled(Detection(volume=Volume(day_cells=10, cells=10**9)))
    shown = watched.watch.profiles["ada"].shown
    before = shown.usual_day.limit(300)
    for day in range(14):
        most = shown.usual_day.limit(300)
        watched.see(read(rows=20, cells=most, statement="S"), NOON + day * DAY)
    assert before < shown.usual_day.limit(300) < 2 * before


def test_what_was_found_is_not_learned() -> None:
    """A window of a finding, its own or an inline detector's, does not become usual."""
    for inline in (False, True):
        watched = settled(Detection(volume=Volume(cells=50, day_cells=10**9)))
        peaks = watched.watch.profiles["ada"].shown.usual
        if inline:
            finding = Finding("honey", "Honey", "ada", "alert", "alerted", "high", session="s")
            watched.see(detected(finding), NOON)
            watched.see(read(rows=40, cells=40), NOON + MINUTE)
        else:
            watched.see(read(rows=500, cells=900), NOON)
            watched.see(read(rows=40, cells=40), NOON + MINUTE)
        assert peaks.today < 40


def test_the_same_is_told_once_an_hour() -> None:
    """An attack that goes on is one finding an hour, of each kind."""
    watched = settled()
    watched.see_all((NOON + n * SECOND, refusal()) for n in range(2 * 3600))
    assert watched.detectors() == ["refusals", "refusals"]


def test_a_containment_that_is_over_is_not_the_end_of_finding() -> None:
    """Contained for ten minutes: an attack that goes on is found again behind them, not an hour later."""
    watched = Watched(Detection(mode="throttle", ttl_minutes=10))
    watched.see_all((NOON + n * SECOND, refusal()) for n in range(1900))
    times = [(f.last - NOON) // MINUTE for f in watched.findings]
    assert times == [0, 10, 20, 30]


def test_missing_events_and_a_chain_that_changed_are_found() -> None:
    """Numbers left out, numbers used twice by later events, another chain; events read twice are none of it."""
    watched = Watched()
    events = [watched.log.put(login(), NOON + n) for n in range(10)]
    for event in [*events[:5], *events[:5], *events[4:5]]:
        assert watched.watch.observe(event) == []
    [gap] = watched.watch.observe(events[7])
    assert (gap.title, gap.numbers) == ("Events are missing", {"expected": 6, "found": 8})
    again = ALog()
    [twice] = watched.watch.observe(again.put(login(), NOON + HOUR))
    assert twice.title == "Sequence numbers used twice"
    [other] = watched.watch.observe(ALog("0" * 32).put(login(), NOON + 2 * HOUR))
    assert other.title == "The log goes on as another chain"
    assert {f.severity for f in (gap, twice, other)} == {"high"}
    assert gap.login == ""


def test_a_silent_log_is_found_and_a_stopped_one_is_not() -> None:
    """No checkpoint for three intervals; but not behind a clean stop, nor before the first."""
    watched = Watched()
    assert watched.watch.tick(NOON) == []
    watched.see(checkpoint(), NOON)
    assert watched.watch.tick(NOON + 30 * SECOND) == []
    [finding] = watched.watch.tick(NOON + 31 * SECOND)
    assert (finding.detector, finding.severity) == ("silence", "high")
    assert watched.watch.tick(NOON + 32 * SECOND) == []
    watched.see(stop(), NOON + 40 * SECOND)
    watched.see(checkpoint(), NOON + 41 * SECOND)
    assert watched.watch.tick(NOON + 2 * HOUR) == []


def test_modes_are_those_of_the_configuration_and_exempt_logins_are_never_contained() -> None:
    """A detector's own mode, else that of all; who is exempt gets an alert that says so."""
    settings = Detection(
        mode="alert", exempt=("root",), failed_logins=FailedLogins(mode="quarantine")
    )
    watched = Watched(settings)
    watched.see_all(failures(5))
    watched.see(login(), NOON + MINUTE)
    watched.see_all(failures(5, login="root", client_host="10.9.9.9"))
    watched.see(login(replace(ADA, login="root", client_host="10.9.9.9")), NOON + MINUTE)
    watched.see_all((NOON + n, refusal()) for n in range(10))
    assert [(f.detector, f.login, f.mode, f.action) for f in watched.findings] == [
        ("failed_logins", "ada", "alert", "alerted"),
        ("failed_logins", "ada", "quarantine", "quarantined"),
        ("failed_logins", "root", "alert", "alerted"),
        ("failed_logins", "root", "alert", "exempt"),
        ("refusals", "ada", "alert", "alerted"),
    ]


def test_nobody_is_shut_out_by_guesses_at_his_password() -> None:
    """Failures alone contain no login, whatever the mode: or its name would be enough to stop an application."""
    watched = Watched(Detection(mode="kill"))
    for n in range(300):
        watched.see(login(replace(ADA, client_host=f"10.7.{n}.1"[:9]), ok=False), NOON + n)
    assert watched.findings
    assert {f.action for f in watched.findings} == {"alerted"}


def random_day(draw: random.Random, log: ALog) -> list[Event]:
    """Logins and statements of four logins that set off most detectors."""
    events, ms = [], NOON
    for _ in range(1500):
        ms += round(draw.expovariate(1 / 3000))
        who = replace(
            ADA,
            login=draw.choice("abcd"),
            client_host=f"10.{draw.randrange(3)}.1.1",
            application_name=f"app{draw.randrange(70)}",
        )
        kind = draw.random()
        if kind < 0.1:
            made = login(who, ok=draw.random() < 0.3)
        elif kind < 0.15:
            made = refusal(who, (f"t.c{draw.randrange(5)}",))
        elif kind < 0.3:
            made = read(who, rows=draw.randrange(400), final=draw.random() < 0.5)
        else:
            made = read(who, ids=[draw.choice(CUSTOMERS)], statement=f"S{draw.randrange(9)}")
        events.append(log.put(made, ms))
        if draw.random() < 0.01:
            log.sequence += 1
    return events


def test_a_restart_changes_nothing() -> None:
    """A snapshot, through JSON, and the events behind it give the findings of a watch that never stopped, uid by uid; also
    when some events before it are read once more.
    """
    print(f"DETECTION_SEED={SEED}")
    draw = random.Random(SEED)
    settings = Detection(
        new_network=NewNetwork(learn_days=0), enumeration=Enumeration(distinct=2, new_percent=1)
    )
    events = random_day(draw, ALog())
    straight = Watch(settings)
    expected = [finding for event in events for finding in straight.observe(event)]
    assert len({finding.detector for finding in expected}) >= 6
    for _ in range(5):
        cut = draw.randrange(len(events))
        first = Watch(settings)
        told = [finding for event in events[:cut] for finding in first.observe(event)]
        second = Watch(settings, json.loads(json.dumps(first.snapshot())))
        rest = events[max(0, cut - draw.randrange(50)) :]
        told += [finding for event in rest for finding in second.observe(event)]
        assert told == expected
        assert second.snapshot() == straight.snapshot()


def test_a_damaged_snapshot_is_said_and_never_stops_the_watch() -> None:
    """Anything in its place, anywhere in it: either it is as good as whole, or the detectors begin anew and say so."""
    print(f"DETECTION_SEED={SEED}")
    draw = random.Random(SEED)
    log = ALog()
    events = random_day(draw, log)
    watch = Watch(Detection())
    for event in events:
        watch.observe(event)
    whole, last = json.dumps(watch.snapshot()), log.put(login(), NOON + DAY)
    junk: list[Any] = [None, -1, 2**70, 1.5, "", "x", [], {}, [1, 2], {"a": None}, True]
    said = 0
    for _ in range(400):
        place: Any = (snapshot := json.loads(whole))
        while True:
            key = draw.choice(list(place) if isinstance(place, dict) else list(range(len(place))))
            if not isinstance(place[key], dict | list) or not place[key] or draw.random() < 0.1:
                break
            place = place[key]
        place[key] = draw.choice(junk)
        damaged = Watch(Detection(), snapshot)
        titles = [finding.title for finding in damaged.observe(last)]
        said += "The baselines could not be read: detectors begin anew" in titles
        for event in events[-20:]:
            damaged.observe(event)
        damaged.tick(NOON)
        json.dumps(damaged.snapshot())
    assert said > 100
    nothings: list[Any] = ["", [], {}, 7, {"version": 2}]
    for nothing in nothings:
        titles = [f.title for f in Watch(Detection(), nothing).tick(NOON)]
        assert titles == ["The baselines could not be read: detectors begin anew"]


def test_events_that_are_none_are_counted_and_the_watch_goes_on() -> None:
    """Junk in any place of any event: counted, never raised; and what follows is still found."""
    print(f"DETECTION_SEED={SEED}")
    draw, watched = random.Random(SEED), Watched()
    junk: list[Any] = [None, -1, 2**70, 1.5, "zz", "x" * 5000, [], {}, [[]], {"a": None}, True]
    kinds = [*examples().values(), read(ids=[b"12345678"]), login(ok=False)]
    for _ in range(3000):
        place: Any = (event := watched.log.put(draw.choice(kinds), NOON))
        while True:
            key = draw.choice(list(place) if isinstance(place, dict) else list(range(len(place))))
            if not isinstance(place[key], dict | list) or not place[key] or draw.random() < 0.1:
                break
            place = place[key]
        place[key] = draw.choice(junk)
        watched.watch.observe(event)
    assert watched.watch.unreadable > 100
    watched.log.sequence += 2**20
    watched.log.chain = "ab" * 16
    watched.see_all((NOON + DAY + n, refusal()) for n in range(10))
    assert "refusals" in watched.detectors()


def test_however_many_logins_and_names_there_are_what_is_kept_is_bounded() -> None:
    """5,000 logins that got in, 500 applications and 3,000 statements of one: bounded, and the restless login is told of."""
    watched = Watched(Detection(new_network=NewNetwork(learn_days=0)))
    for n in range(5000):
        watched.see(login(replace(ADA, login=f"u{n}")), NOON + n)
    assert len(watched.watch.profiles) == LOGINS
    for n in range(3000):
        who = replace(ADA, application_name=f"a{n % 500}")
        watched.see(read(who, ids=CUSTOMERS[:1], statement=f"SELECT {'x' * (n % 50)}, c{n}"), NOON)
    habits = watched.watch.profiles["ada"].habits
    assert len(habits.applications.things) == 64
    assert len(habits.shapes.things) == 512
    titles = [f.title for f in watched.findings if f.login == "ada"]
    assert "Too many of them to know a new application name" in titles
    # What may be kept of all logins fits into baselines.json, of which 64 MiB are read: names as long as there are.
    full = Watched(Detection(new_network=NewNetwork(learn_days=0)))
    for n in range(700):
        who = replace(ADA, application_name=f"{n}{'x' * 300}", client_host=f"2001:db8:{n}::1")
        full.see(login(who), NOON)
        full.see(refusal(who, (f"{n}{'y' * 900}",)), NOON + (n % 2) * 6 * MINUTE)
        copied = {"table": f"{'z' * 900}{n}", "execution": f"{n}{'e' * 200}", "final": False}
        full.see(read(who, rows=200, command="COPY", statement=f"SELECT x{n}", **copied), NOON)
        full.see(read(who, ids=CUSTOMERS[:1]), NOON + (n % 2) * 6 * MINUTE)
    kept = len(json.dumps(full.watch.snapshot()["profiles"]["ada"]))
    print(kept)
    failing = 4 * 2 * 4096 * 80 + 2 * 16384 * 80
    assert LOGINS * kept + failing < 60 << 20
    assert "Too many of them to know a new statement shape" in titles


def test_findings_are_valid_ocsf_and_the_watch_leaves_them_alone() -> None:
    """Every finding of a day that sets off most detectors, as an event: valid; and no finding comes of findings."""
    print(f"DETECTION_SEED={SEED}")
    watch, log = Watch(Detection(new_network=NewNetwork(learn_days=0))), ALog()
    findings = [f for e in random_day(random.Random(SEED), log) for f in watch.observe(e)]
    assert len(findings) > 20
    for finding in findings:
        event = log.put(detected(finding), finding.last)
        del event["unmapped"]["sealgate"]["integrity"]
        assert problems(event) == []
    quiet, log = Watch(Detection()), ALog()
    for _ in range(100):
        assert quiet.observe(log.put(detected(findings[0]), NOON)) == []
