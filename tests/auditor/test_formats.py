"""The receivers' forms: read by readers of their own, every event says what the log says and nothing can be forged.

`FORMATS_SEED=n` repeats a run; the seed is printed.
"""

from __future__ import annotations

import json
import os
import random
import re
from collections.abc import Iterator
from typing import Any

import orjson
import pytest

from proxy.audit.formats import otlp, splunk
from proxy.audit.formats.cef import cef
from proxy.audit.formats.ecs import bulk, ecs
from proxy.audit.formats.fields import Line
from proxy.audit.formats.syslog import ascii_json, framed, timestamp
from proxy.audit.ocsf import Event
from tests.audit.examples import examples
from tests.auditor import readers

SEED = int(os.environ.get("FORMATS_SEED", random.SystemRandom().randrange(10**6)))
HASH, PREV, CHAIN = "c0" * 32, "5b" * 32, "7e" * 16
EXAMPLES = examples()

# ECS 9: what event.category may be, and which event.type goes with it.
ECS_TYPES = {
    "authentication": {"start", "end", "info"},
    "configuration": {"access", "change", "creation", "deletion", "info"},
    "database": {"access", "change", "info", "error"},
    "iam": {"admin", "change", "creation", "deletion", "group", "info", "user"},
    "intrusion_detection": {"allowed", "denied", "info"},
    "process": {"access", "change", "end", "info", "start"},
    "session": {"start", "end", "info"},
}


def written(event: Event, sequence: int = 58) -> Line:
    """The event as a line of the log."""
    whole: dict[str, Any] = json.loads(json.dumps(event))
    whole["time"] = 1795364924120
    whole["metadata"] |= {"uid": "01KAPZ8RCR4X2V9QWM0000001T", "sequence": sequence}
    whole["metadata"]["log_source"] = "4X2V9QWM"
    ours = whole.setdefault("unmapped", {}).setdefault("sealgate", {})
    ours["integrity"] = {"chain": CHAIN, "hash": HASH, "prev": PREV}
    return line(whole)


def line(event: Any) -> Line:
    raw = orjson.dumps(event, option=orjson.OPT_SORT_KEYS)
    return Line(raw, orjson.loads(raw))


HOSTILE = (
    "\n", "\r\n", "\x00", "\x1b[2J", "\u202e", "\u2028", "\x85", "|", "=", "\\", '"', "]", " act=allowed ",
    "|9|act=allowed suser=root", "\\=", "\\|", "\\\\", "]x", '"]', "<14>1 - - - - - - forged", "é", "日本", "🦊",
    "CEF:0|a|b|1|2|3|4|", "\n<14>1 ", " ", "  ", "x=y z=w", "\u200b", "%s", "${jndi:x}", "</event>", "',\n", "\x7f",
)  # fmt: skip


def hostile(event: Event, rng: random.Random) -> Event:
    """The event with every text but its codes replaced by what somebody hostile would choose."""

    def changed(value: Any, key: str = "") -> Any:
        if isinstance(value, dict):
            return {k: changed(v, k) for k, v in value.items()}
        if isinstance(value, list):
            return [changed(item) for item in value]
        if isinstance(value, str) and key not in ("ip", "uid", "chain", "hash", "prev"):
            parts = [rng.choice([*HOSTILE, value[:8]]) for _ in range(rng.randrange(6))]
            return "".join(parts) * rng.choice((1, 1, 1, 300))
        return value

    made: Event = changed(event)
    return made


def hostile_lines(number: int) -> Iterator[Line]:
    rng = random.Random(SEED)
    print(f"FORMATS_SEED={SEED}")
    events = list(EXAMPLES.values())
    for count in range(number):
        found = written(events[count % len(events)])
        yield line(hostile(found.event, rng))


STRANGE = [
    {}, {"metadata": None}, {"metadata": {"event_code": 5, "uid": [], "sequence": "1"}}, {"time": -1}, {"time": 1e300},
    {"time": 10**18}, {"time": True}, {"unmapped": []}, {"unmapped": {"sealgate": {"columns": [1, {}, {"name": 2}]}}},
    {"class_uid": "6005", "actor": 3}, {"class_uid": 6005, "database": "x", "table": [], "query_info": 1},
    {"actor": {"user": {"name": 1, "groups": "x"}}, "src_endpoint": {"ip": "no", "port": 99999}},
    {"src_endpoint": {"ip": "fe80::1%eth0"}, "severity_id": 77}, {"a": [[[[1.5, None, -(10**15)]]]]},
    {"unmapped": {"sealgate": {"checkpoint": {"size": "x"}, "claimed": {"traceparent": "00-x"}, "rows": 1.5}}},
]  # fmt: skip


@pytest.mark.parametrize("name", EXAMPLES)
def test_syslog_carries_the_event(name: str) -> None:
    """The message's JSON is the event; severity, time, code and number stand in RFC 5424's own fields."""
    found = written(EXAMPLES[name], 2147483648)
    (message,) = readers.frames(framed(found, ascii_json(found), "proxy-1", 4711))
    read = readers.syslog(message)
    assert json.loads(read.message) == found.event
    assert (read.hostname, read.app_name, read.process) == ("proxy-1", "sealgate", "4711")
    assert read.message_id == found.code
    assert read.timestamp == "2026-11-22T16:28:44.120Z"
    assert read.data == {"meta": {"sequenceId": "1"}}
    assert read.priority // 8 == 13
    assert read.priority % 8 == {1: 6, 2: 5, 3: 4, 4: 3, 5: 2}[found.event["severity_id"]]


@pytest.mark.parametrize("name", EXAMPLES)
def test_cef_says_who_what_and_how_it_went(name: str) -> None:
    """Header and fields as the specification has them."""
    found = written(EXAMPLES[name])
    read = readers.cef(cef(found))
    event, ours = found.event, found.event["unmapped"]["sealgate"]
    assert read.header[:3] == ["0", "sealgate", "sealgate"]
    assert read.header[4] == found.code
    assert 0 <= int(read.header[6]) <= 10
    fields = read.extension
    assert fields["rt"] == "1795364924120"
    assert fields["externalId"] == event["metadata"]["uid"]
    assert fields["outcome"] == {1: "success", 2: "failure"}[event["status_id"]]
    assert (fields["cs5"], fields["cs5Label"]) == (HASH, "hash")
    assert (fields["cn3"], fields["cn3Label"]) == ("58", "sequence")
    if "actor" in event:
        assert fields["suser"] == event["actor"]["user"]["name"]
    if event["class_uid"] == 6005 and "rows" in ours:
        assert fields["cn1"] == str(ours["rows"])
        assert fields["cs1"] == event["table"]["name"]
    for label in fields:
        if label.endswith("Label"):
            assert label.removesuffix("Label") in fields


def test_cef_has_a_checkpoint_whole() -> None:
    """What it takes to compare a copy in CEF with the file: size, head, seal, signature, key and chain."""
    checkpoint = {"head": "aa" * 32, "key": "0123456789abcdef", "seal": "bb" * 32}
    checkpoint |= {"signature": "Zm9v==", "size": 57}
    event = {"metadata": {"event_code": "log.checkpoint"}, "class_uid": 6002, "status_id": 1}
    event["unmapped"] = {"sealgate": {"checkpoint": checkpoint}}
    fields = readers.cef(cef(written(event))).extension
    labelled = {
        fields[f"{key}Label"]: value for key, value in fields.items() if f"{key}Label" in fields
    }
    assert labelled["checkpoint head"] == "aa" * 32
    assert labelled["checkpoint seal"] == "bb" * 32
    assert labelled["checkpoint signature"] == "Zm9v=="
    assert labelled["checkpoint key"] == "0123456789abcdef"
    assert labelled["checkpoint size"] == "57"
    assert labelled["chain"] == CHAIN


@pytest.mark.parametrize("name", EXAMPLES)
def test_ecs_keeps_to_its_vocabulary(name: str) -> None:
    """Kind, category, type and outcome are values that ECS allows together; the original is the line."""
    found = written(EXAMPLES[name])
    document = ecs(found)
    about = document["event"]
    assert about["kind"] in ("event", "alert")
    assert about["outcome"] in ("success", "failure", "unknown")
    for category in about["category"]:
        assert set(about["type"]) & ECS_TYPES[category]
    assert all(any(t in ECS_TYPES[c] for c in about["category"]) for t in about["type"])
    assert about["original"].encode() == found.raw
    assert document["sealgate"] == found.event["unmapped"]["sealgate"]
    assert (about["kind"] == "alert") == (found.event.get("is_alert") is True)
    action, copy = map(json.loads, bulk(found, "logs-sealgate.audit-default").splitlines())
    assert action == {
        "create": {"_index": "logs-sealgate.audit-default", "_id": found.event["metadata"]["uid"]}
    }
    assert copy == document


def test_ecs_of_a_read() -> None:
    """Who, from where, which statement on which table, by the names of ECS and OpenTelemetry."""
    document = ecs(written(EXAMPLES["Sealed columns read"]))
    assert document["@timestamp"] == "2026-11-22T16:28:44.120Z"
    assert document["user"] == {"name": "support", "roles": ["staff"]}
    assert document["source"] == {"ip": "10.1.4.7", "address": "10.1.4.7", "port": 51122}
    assert document["related"] == {"user": ["support"], "ip": ["10.1.4.7"]}
    assert document["db"]["collection"] == {"name": "public.customers"}
    assert document["db"]["response"]["returned_rows"] == 3
    assert document["event"]["category"] == ["database"]


@pytest.mark.parametrize("encoding", ["json", "protobuf"])
def test_otlp_by_the_official_protobufs(encoding: str) -> None:
    """The body is the whole event as a map, and the conventions' attributes stand beside it."""
    lines = [written(event, n) for n, event in enumerate(EXAMPLES.values(), 1)]
    request = readers.otlp(*otlp.encoded(otlp.export(lines, "proxy-1", 1795364924200), encoding))
    (resource,) = request.resource_logs
    named = {a.key: readers.plain(a.value) for a in resource.resource.attributes}
    assert named["service.name"] == "sealgate"
    assert named["host.name"] == "proxy-1"
    (scope,) = resource.scope_logs
    assert [readers.plain(record.body) for record in scope.log_records] == [x.event for x in lines]
    for found, record in zip(lines, scope.log_records, strict=True):
        assert record.time_unix_nano == 1795364924120 * 10**6
        assert record.observed_time_unix_nano == 1795364924200 * 10**6
        assert record.event_name == found.code
        attributes = {a.key: readers.plain(a.value) for a in record.attributes}
        assert attributes["log.record.uid"] == found.event["metadata"]["uid"]
        assert ("db.system.name" in attributes) == (found.event["class_uid"] == 6005)
    # And the chain can be verified from it: the map's canonical JSON is the line.
    body = readers.plain(scope.log_records[0].body)
    assert orjson.dumps(body, option=orjson.OPT_SORT_KEYS) == lines[0].raw


@pytest.mark.parametrize("encoding", ["json", "protobuf"])
def test_otlp_has_the_trace_that_the_client_claimed(encoding: str) -> None:
    """A valid traceparent becomes trace and span; anything else is none."""
    ids = ("0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331")
    for claimed, expected in (
        (f"00-{ids[0]}-{ids[1]}-01", (ids[0], ids[1], 1)),
        (f"00-{'0' * 32}-{ids[1]}-01", ("", "", 0)),
        (f"00-{ids[0]}-{ids[1]}-01\n", ("", "", 0)),
        ("00-XYZ", ("", "", 0)),
    ):
        event = written(EXAMPLES["Sealed columns read"]).event
        event["unmapped"]["sealgate"]["claimed"] = {"traceparent": claimed}
        made = otlp.encoded(otlp.export([line(event)], "h", 0), encoding)
        record = readers.otlp(*made).resource_logs[0].scope_logs[0].log_records[0]
        assert (record.trace_id.hex(), record.span_id.hex(), record.flags) == expected


def test_splunk_has_the_line_byte_for_byte() -> None:
    """Several events one behind the other, as the collector takes them; time in seconds."""
    lines = [written(event) for event in EXAMPLES.values()]
    body = b"".join(splunk.hec(found, "proxy-1", "sealgate") for found in lines)
    decoder, at, text = json.JSONDecoder(), 0, body.decode()
    for found in lines:
        assert text[at:].startswith(f'{{"time":1795364924.120,"event":{found.raw.decode()},')
        read, end = decoder.raw_decode(text, at)
        assert read["event"] == found.event
        assert (read["host"], read["index"], read["source"]) == ("proxy-1", "sealgate", "sealgate")
        at = end
    assert at == len(text)


@pytest.mark.parametrize("rounds", [2, pytest.param(12, marks=pytest.mark.long)])
def test_nothing_hostile_forges_a_line_or_a_field(rounds: int) -> None:
    """Whatever stands in names, statements, addresses and codes: one event is one line, and the fields are the event's."""
    for found in hostile_lines(len(EXAMPLES) * rounds):
        event = found.event
        made = cef(found)
        assert made.isascii()
        assert made.isprintable()
        read = readers.cef(made)
        expected = {"externalId": event["metadata"]["uid"], "cs5": HASH, "cn3": "58"}
        assert {key: read.extension[key] for key in expected} == expected
        assert read.extension.get("act") == {
            1: "allowed",
            2: "denied",
            3: "observed",
            4: "modified",
        }.get(event.get("action_id", 0))
        for text in (made, ascii_json(found)):
            framed_ = framed(found, text, "host\n<14>1 x", 1)
            (message,) = readers.frames(framed_)
            got = readers.syslog(message)
            assert got.message == text.encode()
            assert b"\n" not in message
            assert set(got.data) <= {"meta"}
        assert json.loads(ascii_json(found)) == event
        assert len(bulk(found, "i").splitlines()) == 2
        (copy,) = [json.loads(x) for x in bulk(found, "i").split(b"\n")[1:2]]
        assert copy["event"]["original"].encode() == found.raw
        assert b"\n" not in splunk.hec(found, "h", None)
        assert json.loads(splunk.hec(found, "h", None))["event"] == event
        made_otlp = otlp.encoded(otlp.export([found], "h", 0), "json")
        record = readers.otlp(*made_otlp).resource_logs[0].scope_logs[0].log_records[0]
        assert readers.plain(record.body) == event


@pytest.mark.parametrize("event", STRANGE, ids=lambda e: json.dumps(e)[:40])
def test_a_line_that_is_no_event_of_ours_is_no_error(event: dict[str, Any]) -> None:
    """Somebody else's JSON in the file is sent like any event: the receiver gets what the file has."""
    found = line(event)
    readers.cef(cef(found))
    (message,) = readers.frames(framed(found, ascii_json(found), "h", 1))
    assert json.loads(readers.syslog(message).message) == found.event
    assert json.loads(bulk(found, "i").split(b"\n")[1])["event"]["original"].encode() == found.raw
    assert json.loads(splunk.hec(found, "h", None))["event"] == found.event
    for encoding in ("json", "protobuf"):
        request = readers.otlp(*otlp.encoded(otlp.export([found], "h", 0), encoding))
        assert len(request.resource_logs[0].scope_logs[0].log_records) == 1


def test_deep_json_is_no_error() -> None:
    """Nested as deep as the parser takes it."""
    found = Line(
        b'{"a":' * 900 + b"1" + b"}" * 900, orjson.loads(b'{"a":' * 900 + b"1" + b"}" * 900)
    )
    cef(found)
    splunk.hec(found, "h", None)
    otlp.encoded(otlp.export([found], "h", 0), "json")
    framed(found, ascii_json(found), "h", 1)


def test_long_values_are_cut_where_a_receiver_would() -> None:
    """CEF's limits count characters before escapes, and no escape is cut in two."""
    event = written(EXAMPLES["Sealed columns read"]).event
    for text in ("=" * 5000, "\\" * 5000, "a\n" * 5000, "é" * 5000):
        event["actor"]["app_name"] = event["message"] = event["table"]["name"] = text
        read = readers.cef(cef(line(event)))
        assert len(read.extension["msg"]) == 1023
        assert len(read.extension["sproc"]) == 1023
        assert len(read.extension["cs1"]) <= 4000
        assert read.extension["cn3"] == "58"


def test_times_by_rfc_3339() -> None:
    """Milliseconds, UTC, from the first to the last that a calendar has."""
    assert timestamp(0) == "1970-01-01T00:00:00.000Z"
    assert timestamp(253_402_300_799_999) == "9999-12-31T23:59:59.999Z"
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", timestamp(1795364924120))
