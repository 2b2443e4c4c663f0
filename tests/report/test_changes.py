"""The change report lists every change, with who, old and new, and what differs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import policy
from proxy.audit.event import (
    ConfigurationLoad,
    KeysLoad,
    PolicyLoad,
    configuration_loaded,
    keys_created,
    keys_loaded,
    policy_loaded,
    schema_applied,
)
from proxy.audit.ocsf import APPLICATION_LIFECYCLE, base, with_product
from proxy.report.difference import Given, changes, given
from tests.report.a_log import DAY, EMAIL, HOUR, MONDAY, OPERATOR, SSN, ALog, origin
from tests.report.conftest import Office

SINCE = ("--since", "2026-11-16")
COLUMNS = {EMAIL: {"type": "text", "search": ["equality"], "mask": "email"}, SSN: {"type": "text"}}
BEFORE = policy.load(COLUMNS, {"support": {"masked": [EMAIL]}, "old": {"clear": [SSN]}}, {})
AFTER = policy.load(
    {
        EMAIL: {"type": "text", "search": ["equality", "match"], "mask": "null"},
        SSN: {"type": "text"},
    },
    {"support": {"clear": ["public.customers.*"]}, "new": {"search": [EMAIL]}},
    {"denied_value": "error"},
)


def reloads(log: ALog, before: policy.Policy, after: policy.Policy, *, problem: str = "") -> None:
    """As `proxy.upkeep.tell` does it."""
    log.put(
        configuration_loaded(
            ConfigurationLoad("sealgate.toml", "new", "old", problem, "grace", MONDAY)
        )
    )
    if not problem:
        said = policy.summary(after)
        load = PolicyLoad(after.version, before.version, 2, 2, summary=said)
        log.put(policy_loaded(load))


def test_what_differs_is_told(office: Office, logged: Callable[[], ALog]) -> None:
    """A reload: columns, roles, grants with their wildcards resolved; who owns the file, not proven."""
    log = logged()
    log.at(MONDAY - DAY).start(BEFORE.version, policy.summary(BEFORE))
    log.at(MONDAY + HOUR)
    reloads(log, BEFORE, AFTER)
    log.close()
    report = office.report("changes", *SINCE)
    (entry,) = [e for e in report["entries"] if e["event_code"] == "policy.loaded"]
    assert (entry["old"], entry["new"]) == (BEFORE.version, AFTER.version)
    assert entry["who"] == "grace (owner of the file, not proven)"
    assert entry["proven"] is False
    assert {(d["what"], d["subject"], d["text"]) for d in entry["differences"]} == {
        ("widened", EMAIL, "search terms added: match"),
        ("changed", EMAIL, "mask: email becomes null"),
        ("added", "roles.new", "the role is new in the policy"),
        ("removed", "roles.old", "the role has left the policy"),
        ("widened", "roles.support", f"granted clear on {EMAIL}, {SSN}"),
        ("narrowed", "roles.support", f"no longer granted masked on {EMAIL}"),
        ("narrowed", "roles.old", f"no longer granted clear on {SSN}"),
        ("widened", "roles.new", f"granted search on {EMAIL}"),
        ("changed", "policy.denied_value", "the value: null becomes error"),
    }
    assert report["widening"] == 4
    office.run("changes", *SINCE, "--format", "html")
    assert "granted clear on" in office.out


def test_a_change_while_the_proxy_was_stopped_is_seen(
    office: Office, logged: Callable[[], ALog]
) -> None:
    """At a start no event names what was before: the log's last one does, also from before the window."""
    log = logged()
    log.at(MONDAY - DAY).start(BEFORE.version, policy.summary(BEFORE))
    log.at(MONDAY + HOUR).start(AFTER.version, policy.summary(AFTER))
    log.at(MONDAY + 2 * HOUR).start(AFTER.version, policy.summary(AFTER))
    log.close()
    report = office.report("changes", *SINCE)
    (entry,) = [e for e in report["entries"] if e["event_code"] == "policy.loaded"]
    assert entry["old"] == BEFORE.version
    assert entry["differences"]
    # the second start changed nothing: it is a start, by whom, and no change
    starts = [e["who"] for e in report["entries"] if e["event_code"] == "proxy.started"]
    assert starts == ["root (uid 0), by sudo from ada"] * 2


def test_a_reload_that_changes_nothing_is_no_change(
    office: Office, logged: Callable[[], ALog]
) -> None:
    """As after rotation by another program: told among the starts."""
    log = logged()
    load = ConfigurationLoad("sealgate.toml", "same", "same", owner="grace", modified=MONDAY)
    log.at(MONDAY + HOUR).put(configuration_loaded(load))
    log.close()
    report = office.report("changes", *SINCE)
    assert dict(report["counts"]).get("configuration") is None
    assert [e["note"].split(";")[0] for e in report["entries"] if e["kind"] == "process"] == [
        "asked to reload"
    ]


def test_what_the_log_does_not_hold_is_not_made_up(
    office: Office, logged: Callable[[], ALog]
) -> None:
    """A policy that came without a summary: said, and not shown as no difference."""
    log = logged()
    log.at(MONDAY - DAY).start(BEFORE.version)
    log.at(MONDAY + HOUR).start(AFTER.version, policy.summary(AFTER))
    log.close()
    report = office.report("changes", *SINCE)
    (entry,) = [e for e in report["entries"] if e["event_code"] == "policy.loaded"]
    assert entry["differences"] == []
    assert "not in the log" in entry["note"]


def test_operators_are_proven_and_reloads_are_not(
    office: Office, logged: Callable[[], ALog]
) -> None:
    """Commands say who ran them; a signal does not."""
    log = logged()
    log.at(MONDAY + HOUR).put(
        keys_created("keystore.json", [EMAIL], OPERATOR),
        schema_applied("shop", [f"seal {EMAIL}"], 0, OPERATOR),
        keys_loaded(KeysLoad("b", "a", 3, 4)),
    )
    reloads(log, BEFORE, AFTER, problem="listn: is not a known key")
    log.contains(origin("bo", "s1"), "f" * 32)
    log.contains(origin("bo", "s1"), "f" * 32, release=True)
    log.close()
    entries = {e["event_code"]: e for e in office.report("changes", *SINCE)["entries"]}
    for code in ("keys.created", "schema.applied", "containment.ended"):
        assert entries[code]["who"] == "root (uid 0), by sudo from ada"
        assert entries[code]["proven"] is True
    assert "human" in entries["keys.loaded"]["who"]
    assert (entries["keys.loaded"]["old"], entries["keys.loaded"]["new"]) == ("a", "b")
    assert entries["configuration.refused"]["refused"] is True
    assert entries["containment.begun"]["who"] == "Sealgate itself"
    assert "it was a test" in entries["containment.ended"]["note"]


def test_another_signing_key_is_a_change(office: Office, logged: Callable[[], ALog]) -> None:
    """Checkpoints are no changes, but a checkpoint by another key is."""
    log = logged()

    def checkpoint(key: str) -> dict[str, Any]:
        event = base("log.checkpoint", APPLICATION_LIFECYCLE, 99, "checkpoint")
        return with_product(event, {"checkpoint": {"key": key, "size": 1}})

    log.at(MONDAY - DAY).put(checkpoint("a" * 16))
    for number, key in enumerate("aab"):
        log.at(MONDAY + number * HOUR).put(checkpoint(key * 16))
    log.close()
    report = office.report("changes", *SINCE, code=1)  # nobody signed these
    entry, _ = [e for e in report["entries"] if e["event_code"] == "log.checkpoint"]
    assert (entry["old"], entry["new"]) == ("a" * 16, "b" * 16)


def test_changes_of_every_grant_are_found() -> None:
    """A policy against itself differs in nothing; given one grant more, in that."""
    base_roles = {"r": {"masked": [EMAIL]}}

    def of(roles: dict[str, dict[str, list[str]]]) -> Given:
        found = given(policy.summary(policy.load(COLUMNS, roles, {})))
        assert found is not None
        return found

    here = of(base_roles)
    assert changes(here, here) == []
    for grant in ("clear", "search", "write"):
        there = of({"r": {"masked": [EMAIL], grant: [EMAIL]}})
        (change,) = changes(here, there)
        assert (change.what, change.widens) == ("widened", True)
        (back,) = changes(there, here)
        assert (back.what, back.widens) == ("narrowed", False)
