"""docs/siem/sigma: valid Sigma, which alerts on the events it is meant for and on no others."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from sigma.plugins import InstalledSigmaPlugins
from sigma.validation import SigmaValidator

from proxy.audit.event import Event, Origin, detected, session_opened
from proxy.detection.finding import Finding
from tests.audit.examples import SUPPORT, examples
from tests.detection.a_log import ADA, MINUTE, NOON, SECOND, ALog, login, read, refusal
from tests.siem.rules import FIELDS, FOLDER, alerts, collection, queries

NEEDS_A_NETWORK = {"attacktag", "d3_fendtag"}
"""Validators of pySigma that fetch MITRE's lists."""
MATTERS_NOT = {"NumberAsStringIssue"}
"""SQLSTATEs are strings of digits."""
Timed = list[tuple[int, Event]]


def put(events: Timed) -> list[Event]:
    log = ALog()
    return [log.put(event, ms) for ms, event in events]


def every(seconds: float, number: int, make: Callable[[int], Event]) -> Timed:
    return [(NOON + round(n * seconds * SECOND), make(n)) for n in range(number)]


def titled(*titles: str) -> Timed:
    return [(NOON, examples()[title]) for title in titles]


def failing(n: int = 0, **other: Any) -> Event:
    return login(replace(ADA, **other), ok=False)


def opened(host: str, tls: bool, passthrough: str = "") -> Event:
    return session_opened(replace(ADA, client_host=host, tls=tls), passthrough)


def using(application: str) -> Origin:
    return replace(ADA, application_name=application)


FOUND: dict[str, Timed] = {
    "auditor_or_sink_failed": titled("Auditor lost"),
    "contained": titled("Login contained"),
    "copy_out": [(NOON, read(rows=100, cells=100, command="COPY"))],
    "detector_alert": [(NOON, detected(Finding("honey", "H", "ada", "alert", "alerted", "high")))],
    "interactive_client": [(NOON, read(using("psql")))],
    "large_result": every(10, 20, lambda n: read(rows=100, cells=100)),
    "log_broken": titled("Log repaired"),
    "log_queried": titled("Log queried"),
    "login_guessed": [*every(1, 5, failing), (NOON + MINUTE, login())],
    "login_guessing": every(10, 10, failing),
    "not_encrypted": [(NOON, opened("10.1.1.1", tls=False))],
    "passed_through": [(NOON, opened("10.1.1.1", True, "not the protected database"))],
    "password_spraying": every(60, 5, lambda n: failing(login=f"u{n}")),
    "policy_or_keys_changed": titled("Configuration reloaded"),
    "protocol_violated": titled("Protocol violated"),
    "refusal_burst": every(10, 10, lambda n: refusal()),
    "released_by_hand": titled("Containment released"),
    "value_tampered": titled("Stored value damaged"),
}
"""By rule: events on which it alerts."""
NOT_FOUND: dict[str, list[Timed]] = {
    "auditor_or_sink_failed": [titled("Auditor started", "Sink recovered")],
    "contained": [titled("Containment over")],
    "copy_out": [
        [(NOON, read(rows=99, cells=99, command="COPY"))],
        [(NOON, read(rows=1000, cells=1000))],
    ],
    "detector_alert": [
        [(NOON, detected(Finding("volume", "V", "ada", "observe", "observed", "low")))]
    ],
    "interactive_client": [[(NOON, read(using("shop")))], [(NOON, login(using("psql")))]],
    "large_result": [
        every(10, 19, lambda n: read(rows=100, cells=100)),
        every(10, 40, lambda n: read(rows=99, cells=99)),
        every(60, 20, lambda n: read(rows=100, cells=100)),
        every(10, 40, lambda n: read(replace(ADA, login=f"u{n % 3}"), rows=100, cells=100)),
    ],
    "log_broken": [titled("Proxy started", "Proxy stopped")],
    "login_guessed": [
        [*every(1, 4, failing), (NOON + MINUTE, login())],
        [(NOON - MINUTE, login()), *every(1, 5, failing)],
        [*every(1, 5, failing), (NOON + MINUTE, login(replace(ADA, login="bob")))],
    ],
    "login_guessing": [every(10, 9, failing), every(60, 10, failing)],
    "not_encrypted": [
        [(NOON, opened("10.1.1.1", tls=True))],
        [(NOON, opened("127.0.0.1", tls=False))],
        [(NOON, opened("::1", tls=False))],
    ],
    "passed_through": [[(NOON, opened("10.1.1.1", True))]],
    "password_spraying": [
        every(60, 5, failing),
        every(60, 5, lambda n: failing(login=f"u{n}", client_host=f"10.1.1.{n}")),
    ],
    "policy_or_keys_changed": [titled("Policy in force", "Keys in force")],
    "refusal_burst": [every(10, 9, lambda n: refusal()), every(60, 10, lambda n: refusal())],
    "released_by_hand": [titled("Containment over")],
}
"""By rule: events that are near, and on which it does not."""


def test_every_rule_is_tried() -> None:
    """No rule without events that it finds; every field that a rule names is listed."""
    assert set(FOUND) == set(queries())
    assert {*FOUND, *(path.stem for path in FOLDER.glob("base_*"))} == {
        path.stem for path in FOLDER.iterdir()
    }
    text = "".join(path.read_text() for path in FOLDER.iterdir())
    assert all(field in text for field in FIELDS)


def test_the_rules_are_valid_sigma() -> None:
    """pySigma reads them without error, and its validators have nothing to say."""
    assert collection().errors == []
    known = InstalledSigmaPlugins.autodiscover().validators
    assert set(known) > NEEDS_A_NETWORK
    validators: list[Any] = [check for name, check in known.items() if name not in NEEDS_A_NETWORK]
    issues = SigmaValidator(validators).validate_rules(collection().rules)
    assert [i for i in issues if type(i).__name__ not in MATTERS_NOT] == []


@pytest.mark.parametrize("rule", FOUND)
def test_a_rule_alerts_on_what_it_is_for(rule: str) -> None:
    """On its own events, among all the other rules'."""
    assert rule in alerts(put(FOUND[rule]))


@pytest.mark.parametrize("rule", NOT_FOUND)
def test_a_rule_leaves_alone_what_is_near(rule: str) -> None:
    """One fewer, slower, of another login, the other way round."""
    for events in NOT_FOUND[rule]:
        assert rule not in alerts(put(events))


def test_an_ordinary_hour_alerts_nobody() -> None:
    """Logins, reads, writes, one mistyped password: no rule."""
    quiet = titled("Proxy started", "Login succeeded", "Login failed", "Session opened")
    quiet += titled("Sealed columns read", "Sealed columns written", "Sealed columns compared")
    quiet += titled("Statement refused", "Statement not understood", "Session closed")
    quiet += titled("Policy in force", "Keys in force", "Proxy stopped")
    assert SUPPORT.tls
    assert alerts(put(quiet)) == set()
