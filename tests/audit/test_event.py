"""The events, against OCSF's published schema and against what they must never do."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.audit.event import (
    Attempt,
    Event,
    Origin,
    PolicyLoad,
    Refused,
    Tampered,
    authentication,
    policy_loaded,
    protocol_violation,
    refused,
    session_closed,
    session_opened,
    tampered,
)
from tests.audit.examples import (
    COMPARE,
    DAMAGED,
    FAILED,
    READ,
    REFUSED,
    SHOP,
    SUPPORT,
    UNREADABLE,
    WRITE,
    examples,
    executed,
)
from tests.audit.plain import ColumnUse, Executed
from tests.audit.published import problems


def sealgate(event: Event) -> dict[str, Any]:
    fields: dict[str, Any] = event["unmapped"]["sealgate"]
    return fields


def as_written(event: Event) -> Event:
    """The event as a reader of the log gets it."""
    stamped = event | {"time": 1795364924120}
    read: Event = orjson.loads(orjson.dumps(stamped))
    return read


@pytest.mark.parametrize("title", examples())
def test_every_kind_of_event_is_valid_ocsf(title: str) -> None:
    """The published schema of its class, with the profiles it claims, accepts every kind of event."""
    assert problems(as_written(examples()[title])) == []


def test_the_judge_is_awake() -> None:
    """The schema refuses an unknown field, a missing one and a value outside its enumeration."""
    event = as_written(executed(SUPPORT, READ))
    assert problems(event | {"sealgate": {}})
    assert problems(event | {"activity_id": 77})
    assert problems({name: value for name, value in event.items() if name != "actor"})


@pytest.mark.parametrize("title", examples())
def test_what_only_sealgate_says_is_under_unmapped(title: str) -> None:
    """`unmapped` holds one object, ours, and every event has it."""
    assert list(examples()[title]["unmapped"]) == ["sealgate"]


@pytest.mark.parametrize(
    ("outcomes", "type_uid"),
    [
        (("clear",), 600510),
        (("masked", "withheld"), 600510),
        (("withheld",), 600510),
        (("compared", "clear"), 600510),
        (("written",), 600509),
        (("written", "clear"), 600509),
        (("compared", "written"), 600509),
        (("compared",), 600504),
    ],
)
def test_the_activity_is_the_strongest_thing_done(outcomes: tuple[Any, ...], type_uid: int) -> None:
    """Encrypt for writes, also with RETURNING; Decrypt for reads of any outcome; Query for the rest."""
    uses = tuple(ColumnUse(f"public.t.c{n}", o, 1, "rule") for n, o in enumerate(outcomes))
    assert executed(SUPPORT, replace(READ, columns=uses))["type_uid"] == type_uid


@pytest.mark.parametrize(
    ("accesses", "type_uid"),
    [
        (("read", "compare"), 600510),
        (("write", "read"), 600509),
        (("compare",), 600504),
        (("presence",), 600504),
        ((), 600504),
    ],
)
def test_a_refusal_is_the_same_activity_failed(accesses: tuple[Any, ...], type_uid: int) -> None:
    """Status 2, the SQLSTATE as its code, action denied, disposition blocked."""
    attempts = tuple(Attempt("public.t.c", access, "default.deny", True) for access in accesses)
    event = refused(SUPPORT, replace(REFUSED, attempts=attempts))
    assert event["type_uid"] == type_uid
    assert (event["status_id"], event["status_code"]) == (2, "42501")
    assert (event["action_id"], event["disposition_id"]) == (2, 2)
    assert event["metadata"]["profiles"] == ["security_control"]


def test_reads_say_what_was_released_in_which_form() -> None:
    """Columns carry outcome, cells, rule and key versions; the message says it for people."""
    event = executed(SUPPORT, READ)
    assert event["message"] == (
        "3 rows of public.customers released to support: email clear, ssn masked"
    )
    assert sealgate(event)["columns"] == [
        {
            "name": "public.customers.email",
            "outcome": "clear",
            "cells": 3,
            "cell_ids": [f"1dc0ffee0000000{n}" for n in range(3)],
            "rule": "roles.support.clear",
            "key_versions": [1],
        },
        {
            "name": "public.customers.ssn",
            "outcome": "masked",
            "cells": 3,
            "cell_ids": [f"1dc0ffee0000000{n}" for n in range(3, 6)],
            "rule": "roles.support.masked",
            "key_versions": [1],
        },
    ]
    assert sealgate(event)["cells"] == 6
    assert sealgate(event)["rows"] == 3
    assert event["policy"] == {"name": "sealgate", "version": "9a4c1f0e22b7d381"}
    assert event["action_id"] == 4  # modified: the SSN was masked


def test_clear_only_is_allowed_and_not_modified() -> None:
    """action_id tells a SIEM whether anything was kept back."""
    assert executed(SUPPORT, replace(READ, columns=READ.columns[:1]))["action_id"] == 1


def test_who_and_where_from() -> None:
    """Login, groups, application, session, address and database are OCSF's own fields."""
    event = executed(SUPPORT, READ)
    assert event["actor"] == {
        "user": {"name": "support", "groups": [{"name": "staff"}]},
        "session": {"uid": "ses-4f1c22"},
        "app_name": "helpdesk",
    }
    assert event["src_endpoint"] == {"ip": "10.1.4.7", "port": 51122}
    assert event["database"] == {"name": "shop", "type_id": 1}
    assert event["metadata"]["correlation_uid"] == "ses-4f1c22-8"


def test_a_client_without_an_address_is_named() -> None:
    """A socket directory is no IP, and OCSF would refuse it as one."""
    event = session_opened(replace(SUPPORT, client_host="/run/postgresql", client_port=0))
    assert event["src_endpoint"] == {"name": "/run/postgresql"}
    assert problems(as_written(event)) == []


def test_before_the_startup_packet_there_is_no_user() -> None:
    """A violation on a fresh connection still says where from, and is valid."""
    stranger = replace(SUPPORT, login="", roles=(), database="", application_name="")
    event = protocol_violation(stranger, "first message is longer than 10000 bytes")
    assert "user" not in event["evidences"][0]["actor"]
    assert event["message"].startswith("protocol violation by an unknown login at 10.1.4.7")
    assert problems(as_written(event)) == []


def test_what_the_server_failed_is_not_what_we_refused() -> None:
    """A unique violation has status 2 and the SQLSTATE, but the action was allowed."""
    event = executed(SHOP, FAILED)
    assert (event["status_id"], event["status_code"], event["action_id"]) == (2, "23505", 1)
    assert event["message"].endswith("; the server failed it (23505)")


def test_many_columns_do_not_make_a_long_message() -> None:
    """The message names eight and counts the rest; `columns` has them all."""
    uses = tuple(ColumnUse(f"public.customers.c{n}", "clear", 1, "r") for n in range(1600))
    event = executed(SUPPORT, replace(READ, columns=uses))
    assert event["message"].endswith("c7 clear, 1592 more")
    assert len(sealgate(event)["columns"]) == 1600


def test_statements_are_shown_with_numbers_for_literals() -> None:
    """Literals follow the real parameters, the comment is gone, the fingerprint is of this text."""
    query = executed(SUPPORT, READ)["query_info"]
    assert query["query_string"] == "SELECT email, ssn FROM customers WHERE city = $2 LIMIT $1"
    assert query["uid"].startswith("sha256:")


def test_an_unreadable_statement_is_dropped_and_said_so() -> None:
    """No query_info, and a flag; also where a text still holds something like a literal."""
    for statement in (None, "", "SELECT 'canary'"):
        event = refused(SUPPORT, replace(UNREADABLE, statement=statement))
        assert "query_info" not in event
        assert sealgate(event)["statement_unreadable"] is True
        assert b"canary" not in orjson.dumps(event)


def test_a_copied_value_names_both_columns() -> None:
    """Where it was found and what it was sealed for, severity high, an alert."""
    event = tampered(SUPPORT, replace(DAMAGED, key_column="public.customers.email", key_id=3))
    assert (event["severity_id"], event["is_alert"]) == (4, True)
    assert event["finding_info"]["title"] == "Sealed value copied from another column"
    assert "public.customers.email" in event["message"]
    assert event["status_code"] == "XX001"


def test_a_finding_repeated_is_the_same_finding() -> None:
    """A loop over one bad row is one finding for a SIEM, another column is another."""
    first, again = tampered(SUPPORT, DAMAGED), tampered(SUPPORT, DAMAGED)
    other = tampered(SUPPORT, replace(DAMAGED, column="public.customers.email"))
    assert first["finding_info"]["uid"] == again["finding_info"]["uid"]
    assert first["finding_info"]["uid"] != other["finding_info"]["uid"]


def test_a_refused_policy_leaves_the_old_one() -> None:
    """Loaded: activated at start, updated later; refused: failed with the reason."""
    at_start = policy_loaded(PolicyLoad("v2", "", 1, 1))
    later = policy_loaded(PolicyLoad("v2", "v1", 1, 1))
    bad = policy_loaded(PolicyLoad("v2", "v1", 1, 1, problem="unknown column"))
    assert (at_start["type_uid"], later["type_uid"]) == (300410, 300403)
    assert (bad["metadata"]["event_code"], bad["status_id"]) == ("policy.refused", 2)
    assert bad["status_detail"] == "unknown column"


def test_events_of_a_session_share_their_parts_and_stay_apart() -> None:
    """Building an event does not change one built before."""
    first = executed(SUPPORT, READ)
    before = orjson.dumps(first)
    for event in examples().values():
        assert event["metadata"] is not first["metadata"]
    assert orjson.dumps(first) == before


# Strings as bad as clients come: quotes, newlines, JSON, line separators, overrides, lone surrogates.
HOSTILE = st.one_of(
    st.text(max_size=40),
    st.text(
        alphabet=st.sampled_from(
            '"\\\n\r\t\x00\x1b\x7f\x85\u2028\u2029\u202e\u2066\u200b\u3164\ufe0f\ud800}{,:'
        ),
        max_size=40,
    ),
    st.sampled_from(
        [
            '","status_id":1,"x":"',
            '"}\n{"class_uid":6005,"message":"forged"}',
            "x\u2028{}",
            "a" * 5000,
            "\ud83d",
            "\\u{202e}",
        ]
    ),
)
ORIGINS = st.builds(
    Origin,
    login=HOSTILE,
    roles=st.lists(HOSTILE, max_size=3).map(tuple),
    client_host=HOSTILE,
    client_port=st.integers(-1, 70000),
    application_name=HOSTILE,
    session=HOSTILE,
    database=HOSTILE,
    tls=st.booleans(),
)
USES = st.builds(
    ColumnUse,
    column=HOSTILE,
    outcome=st.sampled_from(["clear", "masked", "withheld", "written", "compared"]),
    cells=st.integers(0, 2**40),
    rule=HOSTILE,
    key_versions=st.lists(st.integers(1, 9), max_size=2).map(sorted).map(tuple),
    cell_ids=st.lists(st.binary(min_size=8, max_size=8), max_size=3).map(tuple)
    | st.integers(84, 300).map(lambda count: tuple([bytes([count % 256]) * 8] * count)),
    complete=st.booleans(),
)
STATEMENTS = st.none() | HOSTILE
EXECUTIONS = st.builds(
    Executed,
    table=HOSTILE,
    columns=st.lists(USES, max_size=3).map(tuple),
    statement=STATEMENTS,
    command=HOSTILE,
    rows=st.integers(0, 2**40),
    execution=HOSTILE.filter(bool),
    part=st.integers(1, 9),
    final=st.booleans(),
    protocol=st.sampled_from(["simple", "extended"]),
    sqlstate=st.none() | HOSTILE,
    policy_version=HOSTILE,
)
ATTEMPTS = st.builds(
    Attempt,
    column=HOSTILE,
    access=st.sampled_from(["read", "compare", "write", "presence"]),
    rule=HOSTILE,
    denied=st.booleans(),
)
REFUSALS = st.builds(
    Refused,
    table=st.none() | HOSTILE,
    attempts=st.lists(ATTEMPTS, max_size=3).map(tuple),
    statement=STATEMENTS,
    command=HOSTILE,
    execution=HOSTILE,
    protocol=st.sampled_from(["simple", "extended"]),
    sqlstate=HOSTILE,
    reason=HOSTILE,
    policy_version=HOSTILE,
)
TAMPERED = st.builds(
    Tampered,
    table=HOSTILE,
    column=HOSTILE,
    key_column=st.none() | HOSTILE,
    key_id=st.none() | st.integers(0, 2**32 - 1),
    cell_id=st.none() | st.binary(min_size=8, max_size=8),
    execution=HOSTILE,
    statement=STATEMENTS,
)
EVENTS = st.one_of(
    st.builds(executed, ORIGINS, EXECUTIONS),
    st.builds(refused, ORIGINS, REFUSALS),
    st.builds(tampered, ORIGINS, TAMPERED),
    st.builds(session_opened, ORIGINS, HOSTILE),
    st.builds(session_closed, ORIGINS, HOSTILE, sqlstate=st.none() | HOSTILE),
    st.builds(authentication, ORIGINS, st.booleans(), st.none() | HOSTILE, st.none() | HOSTILE),
    st.builds(protocol_violation, ORIGINS, HOSTILE, side=st.sampled_from(["client", "server"])),
)


@settings(max_examples=400, deadline=None)
@given(event=EVENTS)
def test_hostile_strings_forge_nothing(event: Event) -> None:
    """Whatever a client calls itself: one line, every character of it printable, valid, and the same
    fields as from a polite one.
    """
    line = orjson.dumps(event | {"time": 1795364924120}).decode()
    assert line.isprintable()
    assert not set(line) & {"\u3164", "\ufe0f"}
    read = orjson.loads(line)
    assert problems(read) == []
    assert read == as_written(event)
    assert set(read) <= KNOWN
    assert max(map(len, strings(read))) <= 10 * 4096


KNOWN = {name for event in examples().values() for name in event} | {"time"}


def strings(value: Any) -> list[str]:
    if isinstance(value, dict):
        return [s for item in value.items() for part in item for s in strings(part)]
    if isinstance(value, list):
        return [s for item in value for s in strings(item)]
    return [value] if isinstance(value, str) else []


def test_compare_only_statements_are_queries() -> None:
    """Nothing was unsealed for the client, so it is no Decrypt."""
    event = executed(SHOP, COMPARE)
    assert event["type_uid"] == 600504
    assert event["message"] == "1 row of public.customers searched by shop_app: email compared"


def test_writes_are_encrypt() -> None:
    """One row written, and how."""
    event = executed(SHOP, WRITE)
    assert event["type_uid"] == 600509
    assert event["message"] == (
        "1 row of public.customers written by shop_app: email written, ssn written"
    )
