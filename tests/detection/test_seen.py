"""What detectors look at of an event."""

from __future__ import annotations

import os
import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.audit.text import clean
from proxy.detection.seen import Seen, Strange, as_given, places
from tests.audit.examples import examples
from tests.detection.a_log import NOON, ALog, read

SEED = int(os.environ.get("DETECTION_SEED", random.SystemRandom().randrange(10**6)))


@pytest.mark.parametrize(
    ("client", "source", "network"),
    [
        ("10.1.4.7", "10.1.4.7", "10.1.4.0/24"),
        ("::ffff:10.1.4.7", "10.1.4.7", "10.1.4.0/24"),
        ("2001:db8:1:2:aaaa::1", "2001:db8:1:2::/64", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64", "fe80::/64"),
        ("local", "local", "local"),
        ("", "", ""),
    ],
)
def test_networks(client: str, source: str, network: str) -> None:
    """IPv4 is known by its /24 and counted by address; IPv6 is its /64 in both, for whoever has one address has them all."""
    assert places(client) == (source, network)


@given(st.text(max_size=63))
def test_a_login_is_known_by_its_own_name(login: str) -> None:
    """Containment needs the name as the client gave it: cleaning is undone."""
    assert as_given(clean(login)) == login


@pytest.mark.parametrize("title", examples())
def test_every_kind_of_event_is_understood(title: str) -> None:
    """All events that Sealgate writes can be looked at."""
    Seen(ALog().put(examples()[title], NOON))


def test_events_that_are_none_are_strange_and_nothing_else() -> None:
    """Any value of any event replaced by anything: it is looked at, or it is strange; no other error."""
    print(f"DETECTION_SEED={SEED}")
    draw = random.Random(SEED)
    junk: list[Any] = [None, -1, 2**70, 1.5, "", "x" * 5000, [], {}, [[]], {"a": None}, True]
    strange = 0
    for _ in range(3000):
        event = ALog().put(read(ids=[b"12345678"]), NOON)
        place: Any = event
        while True:
            key = draw.choice(list(place) if isinstance(place, dict) else list(range(len(place))))
            if not isinstance(place[key], dict | list) or not place[key] or draw.random() < 0.2:
                break
            place = place[key]
        place[key] = draw.choice(junk)
        try:
            Seen(event)
        except Strange:
            strange += 1
    assert strange > 300
