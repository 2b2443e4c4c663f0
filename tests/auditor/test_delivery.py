"""A sink and its receiver: every event arrives, in order, whatever the receiver does; what it will not take is told.

The log, the follower and the receivers' sockets are real; only the pauses between attempts are shorter.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from proxy.audit.lifecycle import worker_started
from proxy.audit.log import AuditLog, Keeping
from proxy.audit.ocsf import Event
from proxy.audit.reading import lines, log_files
from proxy.audit.sinks import Sink
from proxy.auditor import delivery as module
from proxy.auditor.cursor import Cursor
from proxy.auditor.delivery import Delivery
from proxy.auditor.follow import End, Follower
from proxy.auditor.pulse import Pulse
from proxy.auditor.sinks import made
from tests.auditor.readers import syslog
from tests.auditor.stand_ins import (
    TOKEN,
    Collector,
    Elastic,
    Listener,
    Splunk,
    StandIn,
    hangs_up,
    says,
)
from tests.integration.certificates import make_certificates


@dataclass(slots=True)
class Stage:
    """A log that is written, and deliveries of it; `told` is what they say."""

    directory: Path
    keeping: Keeping = field(default_factory=Keeping)
    told: list[Event] = field(default_factory=list)
    deliveries: list[Delivery] = field(default_factory=list)
    log: AuditLog = field(init=False)
    pulse: Pulse = field(init=False)
    over: threading.Event = field(default_factory=threading.Event)
    count: int = 0

    @property
    def path(self) -> Path:
        return self.directory / "audit.jsonl"

    def begin(self) -> Stage:
        self.log = AuditLog(self.path, keeping=self.keeping)
        self.pulse = Pulse(self.end)
        threading.Thread(target=self._beat, daemon=True).start()
        return self

    def _beat(self) -> None:
        while not self.over.wait(0.01):
            self.pulse.beat()

    def end(self) -> End:
        return End(*self.log.committed, self.log.chain, self.log.status.sequence)

    def write(self, number: int = 1) -> None:
        for _ in range(number):
            self.count += 1
            self.log.write(worker_started(self.count, 1))

    @property
    def all(self) -> list[bytes]:
        return [line.raw for line in lines(log_files(self.path))]

    def deliver(self, sink: Sink) -> Delivery:
        file = self.directory / f"{sink.name}.cursor"
        delivery = Delivery(
            sink, made.receiver(sink), self._follower, file, self.pulse, self.told.append
        )
        self.deliveries.append(delivery)
        delivery.start()
        return delivery

    def _follower(self, cursor: Cursor | None, history: bool) -> Follower:
        return Follower(self.path, self.end, cursor, history=history)

    def finish(self, delivery: Delivery, seconds: float = 20.0) -> None:
        """Until it has delivered what is there: whoever is told to end gives a receiver that fails few more chances."""
        last = self.log.status.sequence
        follower, standing = delivery._follower, delivery.standing
        eventually(lambda: not standing.waiting_since and follower.cursor.sequence >= last, seconds)
        delivery.end(last)
        delivery.join(seconds)
        assert not delivery.is_alive(), delivery.standing

    def close(self) -> None:
        for delivery in self.deliveries:
            delivery.end(0)
        self.pulse.hurry()
        for delivery in self.deliveries:
            delivery.join(5)
        self.over.set()
        self.log.close()

    def codes(self) -> list[str]:
        return [event["metadata"]["event_code"] for event in self.told]


@pytest.fixture
def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stage]:
    monkeypatch.setattr(module, "_FIRST_PAUSE", 0.02)
    monkeypatch.setattr(module, "_LONGEST_PAUSE", 0.2)
    monkeypatch.setattr(module, "_OVERLAP", 0.3)
    monkeypatch.setattr(module, "_KEEP", 0.0)
    made_ = Stage(tmp_path).begin()
    yield made_
    made_.close()


@pytest.fixture
def token(tmp_path: Path) -> Path:
    file = tmp_path / "token"
    file.write_text(TOKEN + "\n")
    return file


def eventually(holds: Callable[[], object], seconds: float = 15.0) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "it did not come to pass"
        time.sleep(0.01)


KINDS: dict[str, tuple[type[StandIn], dict[str, Any]]] = {
    "splunk": (Splunk, {}),
    "elastic": (Elastic, {"path": "/es"}),
    "otlp": (Collector, {}),
    "protobuf": (Collector, {"encoding": "protobuf"}),
}


def sink_of(kind: str, port: int, token: Path, **more: Any) -> Sink:
    more = {**KINDS[kind][1], **more}
    path = more.pop("path", "")
    named: Any = "otlp" if kind == "protobuf" else kind
    url = f"http://127.0.0.1:{port}{path}"
    return Sink(name=kind, type=named, url=url, token_file=token, timeout_seconds=3, **more)


@pytest.mark.parametrize("kind", KINDS)
def test_everything_arrives_whatever_the_receiver_answers(
    stage: Stage, token: Path, kind: str
) -> None:
    """Errors, hang-ups before and after it took a batch, answers that are none, being busy, being gone."""
    receiver = KINDS[kind][0]()
    receiver.troubles += [
        says(500), hangs_up, says(503, Retry_After="0"), says(429, Retry_After="x"), says(200, b"garbage"),
        says(302, Location="http://evil.example"), says(200, b"[1,2]"), says(401),
    ]  # fmt: skip
    receiver.late += [hangs_up, says(500), says(200, b"\0" * 100), says(504)]
    delivery = stage.deliver(sink_of(kind, receiver.port, token, batch_events=7))
    for _ in range(6):
        stage.write(10)
        time.sleep(0.02)
    eventually(lambda: delivery.standing.sent >= 20)
    receiver.stop()
    stage.write(10)
    eventually(lambda: not delivery.standing.up)
    receiver.start()
    stage.write(10)
    stage.finish(delivery)
    receiver.stop()
    assert receiver.distinct == stage.all
    assert delivery.standing.failures >= 8
    assert delivery.standing.behind_events == 0
    failed, *others = [code for code in stage.codes() if code != "sink.rejected"]
    assert (failed, others) == (
        "sink.failed",
        ["sink.recovered"],
    )  # once per outage, and not each minute


@pytest.mark.parametrize("kind", KINDS)
def test_a_new_process_goes_on_where_the_old_one_was(stage: Stage, token: Path, kind: str) -> None:
    """The cursor: nothing is left out, and little comes twice."""
    receiver = KINDS[kind][0]()
    delivery = stage.deliver(sink_of(kind, receiver.port, token))
    stage.write(20)
    stage.finish(delivery)
    assert receiver.raws == stage.all
    stage.write(20)
    again = stage.deliver(sink_of(kind, receiver.port, token))
    stage.finish(again)
    receiver.stop()
    assert receiver.raws == stage.all


def test_a_token_is_read_anew_and_never_shown(
    stage: Stage, token: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """A wrong one stops the sink, not the log; the right one, put into the file, starts it again."""
    token.write_text("wrong-" + TOKEN)
    receiver = Splunk()
    stage.write(3)
    delivery = stage.deliver(sink_of("splunk", receiver.port, token))
    eventually(lambda: delivery.standing.failures >= 3)
    assert "refused our token" in stage.told[0]["message"]
    token.write_text("two\nlines")
    eventually(lambda: delivery.standing.failures >= 6)
    token.unlink()
    eventually(lambda: delivery.standing.failures >= 8)
    assert not receiver.uids
    token.write_text(TOKEN)
    stage.finish(delivery)
    receiver.stop()
    assert receiver.distinct == stage.all
    shown = json.dumps(stage.told) + "".join(capfd.readouterr())
    assert TOKEN not in shown


def test_an_event_that_is_never_taken_is_told_and_passed(stage: Stage, token: Path) -> None:
    """Elasticsearch says which document it does not take; the others arrive, and the log says what the copy lacks."""
    receiver = Elastic()
    stage.write(30)
    poison = json.loads(stage.all[11])["metadata"]["uid"]
    receiver.poison = {poison}
    delivery = stage.deliver(sink_of("elastic", receiver.port, token, batch_events=8))
    stage.finish(delivery)
    receiver.stop()
    assert receiver.distinct == [raw for n, raw in enumerate(stage.all) if n != 11]
    (rejected,) = [e for e in stage.told if e["metadata"]["event_code"] == "sink.rejected"]
    assert rejected["unmapped"]["sealgate"]["uids"] == [poison]
    assert rejected["unmapped"]["sealgate"]["rejected"] == 1
    assert delivery.standing.rejected == 1


def test_a_batch_that_is_refused_is_sent_in_parts(stage: Stage, token: Path) -> None:
    """A collector that says 413 to more than three events, and 400 to whatever holds one of them."""
    stage.write(40)
    poison = json.loads(stage.all[17])["metadata"]["uid"].encode()

    class Small(Collector):
        def accept(self, request: Any) -> Any:
            if request.body.count(b"timeUnixNano") > 3:
                return 413, {}, b""
            return (400, {}, b"") if poison in request.body else super().accept(request)

    receiver = Small()
    delivery = stage.deliver(sink_of("otlp", receiver.port, token))
    stage.finish(delivery)
    receiver.stop()
    assert receiver.raws == [raw for n, raw in enumerate(stage.all) if n != 17]
    assert stage.codes() == ["sink.rejected"]


def test_a_receiver_that_refuses_everything_is_not_believed(stage: Stage, token: Path) -> None:
    """Set up wrong, it says 400 to all: nothing is given up, and everything arrives once it is set up right."""
    receiver = Collector()
    receiver.troubles += [says(400)] * 40
    stage.write(25)
    delivery = stage.deliver(sink_of("otlp", receiver.port, token, batch_events=10))
    eventually(lambda: delivery.standing.failures >= 2)
    stage.finish(delivery)
    receiver.stop()
    assert receiver.distinct == stage.all
    assert delivery.standing.rejected == 0


def test_a_part_that_is_busy_is_sent_again(stage: Stage, token: Path) -> None:
    """429 for some documents of a batch: they come again, the others are there already (409)."""
    receiver = Elastic()
    receiver.busy_from = 4
    stage.write(20)
    delivery = stage.deliver(sink_of("elastic", receiver.port, token, batch_events=10))
    eventually(lambda: delivery.standing.failures >= 2)
    receiver.busy_from = 10**9
    stage.finish(delivery)
    receiver.stop()
    assert receiver.distinct == stage.all


def test_partial_success_of_a_collector_is_told(stage: Stage, token: Path) -> None:
    """OTLP says how many it dropped, not which: the log says that the copy lacks them."""
    receiver = Collector()
    receiver.late.append(says(200, b'{"partialSuccess":{"rejectedLogRecords":"2"}}'))
    stage.write(5)
    delivery = stage.deliver(sink_of("otlp", receiver.port, token))
    stage.finish(delivery)
    receiver.stop()
    assert delivery.standing.rejected == 2
    assert stage.codes() == ["sink.rejected"]


def test_only_what_was_chosen_and_every_checkpoint(stage: Stage, token: Path) -> None:
    """`events` leaves out the rest; checkpoints come, or the copy would prove nothing."""
    receiver = Splunk()
    stage.write(3)
    stage.log.checkpoint()
    stage.write(2)
    delivery = stage.deliver(sink_of("splunk", receiver.port, token, events=("log.begun",)))
    stage.finish(delivery)
    receiver.stop()
    codes = [json.loads(raw)["metadata"]["event_code"] for raw in receiver.raws]
    assert codes == ["log.begun", "log.checkpoint"]


def test_a_damaged_cursor_sends_everything_again(stage: Stage, token: Path) -> None:
    """Twice is better than not at all."""
    receiver = Splunk()
    stage.write(5)
    stage.finish(stage.deliver(sink_of("splunk", receiver.port, token)))
    (stage.directory / "splunk.cursor").write_bytes(b"\0\0")
    stage.finish(stage.deliver(sink_of("splunk", receiver.port, token)))
    receiver.stop()
    assert receiver.raws == stage.all * 2


def test_tls_is_verified(stage: Stage, token: Path, tmp_path: Path) -> None:
    """A certificate of another authority, or for another name, gets neither events nor the token."""
    (tmp_path / "one").mkdir()
    (tmp_path / "other").mkdir()
    ours = make_certificates(tmp_path / "one")
    theirs = make_certificates(tmp_path / "other")
    receiver = Splunk(tls=(theirs.cert, theirs.key))
    stage.write(2)
    url = f"https://127.0.0.1:{receiver.port}"
    other_name = f"https://localhost:{receiver.port}"
    for name, address, ca in (("a", url, ours.ca), ("n", other_name, theirs.ca)):
        sink = Sink(name=name, type="splunk", url=address, token_file=token, tls_ca=ca)
        standing = stage.deliver(sink).standing
        eventually(lambda standing=standing: standing.failures >= 2)
        assert "its certificate was not accepted" in stage.told[-1]["message"]
    assert not receiver.requests
    right = Sink(name="b", type="splunk", url=url, token_file=token, tls_ca=theirs.ca)
    stage.finish(stage.deliver(right))
    assert receiver.distinct == stage.all
    receiver.stop()


def uids_of(messages: list[bytes]) -> list[str]:
    found = [json.loads(syslog(message).message)["metadata"]["uid"] for message in messages]
    return list(dict.fromkeys(found))


def test_syslog_survives_a_receiver_that_vanishes(stage: Stage) -> None:
    """Bytes that another machine acknowledged and never read come again; without duplicates, everything is there in order."""
    receiver = Listener()
    receiver.start()
    sink = Sink(name="s", type="syslog", host="127.0.0.1", port=receiver.port, tls=False)
    delivery = stage.deliver(sink)
    for round_ in range(4):
        stage.write(10)
        eventually(
            lambda: delivery.standing.behind_events == 0 and not delivery.standing.waiting_since
        )
        kept = len(receiver.messages)
        receiver.vanish()
        if round_ % 2:  # what it had read, but not stored, goes with it
            del receiver.messages[kept - 3 :]
        stage.write(5)
        time.sleep(0.05)
        receiver.start()
    stage.finish(delivery)
    expected = [json.loads(raw)["metadata"]["uid"] for raw in stage.all]
    eventually(lambda: sorted(uids_of(receiver.messages)) == expected)
    receiver.vanish()


def test_syslog_ends_in_order(stage: Stage) -> None:
    """When the receiver has read to our end and closed, the cursor is at the end: the next start sends nothing twice."""
    receiver = Listener()
    receiver.start()
    sink = Sink(name="s", type="syslog", host="127.0.0.1", port=receiver.port, tls=False)
    stage.write(10)
    stage.finish(stage.deliver(sink))
    stage.write(1)
    stage.finish(stage.deliver(sink))
    eventually(lambda: len(receiver.messages) == len(stage.all))
    receiver.vanish()


def test_gaps_are_told(stage: Stage, token: Path) -> None:
    """A file that somebody took away before it was sent: the log says that the copy lacks its events."""
    stage.log.close()
    stage.log = AuditLog(stage.path, keeping=Keeping(rotate_bytes=3000))
    stage.write(3)
    receiver = Splunk()
    stage.finish(stage.deliver(sink_of("splunk", receiver.port, token)))
    stage.write(30)
    gone = log_files(stage.path)[2]
    missing = len(gone.read_bytes().splitlines())
    gone.unlink()
    stage.finish(stage.deliver(sink_of("splunk", receiver.port, token)))
    receiver.stop()
    (told,) = stage.told
    assert told["metadata"]["event_code"] == "sink.incomplete"
    assert told["unmapped"]["sealgate"]["missing"] == missing
