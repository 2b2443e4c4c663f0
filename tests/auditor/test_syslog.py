"""rsyslog as the receiver, over TLS: every event arrives through restarts of it, and its own reading of it is the event."""

from __future__ import annotations

import json
import random
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from proxy.audit.event import session_opened
from proxy.audit.sinks import Sink
from proxy.audit.values import Origin
from tests.auditor.readers import cef
from tests.auditor.rsyslog import Rsyslogd
from tests.auditor.test_delivery import Stage, eventually, stage
from tests.auditor.test_formats import HOSTILE, SEED
from tests.integration.certificates import make_certificates

__all__ = ["stage"]


@pytest.fixture
def port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        found: int = server.getsockname()[1]
    return found


@pytest.fixture
def receiver(tmp_path: Path, port: int) -> Iterator[Rsyslogd]:
    (tmp_path / "tls").mkdir()
    made = Rsyslogd(tmp_path, port, make_certificates(tmp_path / "tls"))
    made.start()
    yield made
    made.stop()


def sink(receiver: Rsyslogd, **more: Any) -> Sink:
    tls: dict[str, Any] = {"tls": False}
    if receiver.tls is not None:
        tls = {"tls_ca": receiver.tls.ca}
    return Sink(name="s", type="syslog", host="127.0.0.1", port=receiver.port, **tls, **more)


def messages(receiver: Rsyslogd) -> list[dict[str, Any]]:
    if not receiver.received.exists():
        return []
    return [json.loads(line) for line in receiver.received.read_text().splitlines()]


def uids(receiver: Rsyslogd) -> list[str]:
    """Each once, in the order of first arrival."""
    found = [json.loads(message["msg"])["metadata"]["uid"] for message in messages(receiver)]
    return list(dict.fromkeys(found))


# CPython's wrap_socket forgets to close what it made if the peer resets the connection before the handshake.
@pytest.mark.filterwarnings("ignore:unclosed <ssl.SSLSocket:ResourceWarning")
def test_every_event_through_restarts(stage: Stage, receiver: Rsyslogd) -> None:
    """It is stopped and started while events come: without duplicates, all are there; its fields are ours."""
    delivery = stage.deliver(sink(receiver))
    for _ in range(3):
        stage.write(20)
        eventually(lambda: delivery.standing.sent >= 20)
        receiver.stop()
        stage.write(10)
        time.sleep(0.1)
        receiver.start()
    stage.finish(delivery)
    expected = [json.loads(raw) for raw in stage.all]
    eventually(lambda: sorted(uids(receiver)) == [e["metadata"]["uid"] for e in expected])
    seen = {json.loads(m["msg"])["metadata"]["uid"]: m for m in messages(receiver)}
    for event in expected:
        message = seen[event["metadata"]["uid"]]
        assert json.loads(message["msg"]) == event
        assert message["app"] == "sealgate"
        assert message["id"] == event["metadata"]["event_code"]
        assert message["data"] == f'[meta sequenceId="{event["metadata"]["sequence"]}"]'
        assert int(message["pri"]) // 8 == 13


@pytest.mark.parametrize("form", ["ocsf", "cef", "ecs"])
def test_what_a_client_calls_itself_forges_nothing(
    stage: Stage, receiver: Rsyslogd, form: Any
) -> None:
    """Hostile names, through the real builders, the log and rsyslog: one event is one message, with that name in it."""
    rng = random.Random(SEED)
    print(f"FORMATS_SEED={SEED}")
    for number in range(60):
        name = "".join(rng.choice(HOSTILE) for _ in range(rng.randrange(1, 5)))
        origin = Origin(f"u{number}", (), "10.1.4.7", 1, name, "ses-1", "shop", tls=True)
        stage.log.write(session_opened(origin))
    delivery = stage.deliver(sink(receiver, format=form, hostname='h] "x"\n<1>'))
    stage.finish(delivery)
    expected = [json.loads(raw) for raw in stage.all]
    eventually(lambda: len(messages(receiver)) >= len(expected))
    found = messages(receiver)
    assert len(found) == len(expected)
    for message, event in zip(found, expected, strict=True):
        assert message["host"] == 'h]?"x"?<1>'
        assert message["id"] == event["metadata"]["event_code"]
        text = message["msg"]
        if form == "cef":
            assert cef(text).extension["externalId"] == event["metadata"]["uid"]
            assert cef(text).extension.get("suser", "") == event.get("actor", {}).get(
                "user", {}
            ).get("name", "")
        elif form == "ecs":
            assert json.loads(json.loads(text)["event"]["original"]) == event
        else:
            assert json.loads(text) == event


def test_another_authority_gets_nothing(stage: Stage, receiver: Rsyslogd, tmp_path: Path) -> None:
    """A receiver whose certificate somebody else signed is sent no byte of an event."""
    (tmp_path / "other").mkdir()
    other = make_certificates(tmp_path / "other")
    stage.write(3)
    wrong = Sink(name="w", type="syslog", host="127.0.0.1", port=receiver.port, tls_ca=other.ca)
    delivery = stage.deliver(wrong)
    eventually(lambda: delivery.standing.failures >= 2)
    assert "its certificate was not accepted" in stage.told[0]["message"]
    assert messages(receiver) == []
