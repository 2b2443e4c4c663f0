"""The access review: what is used, what is not, and what the log cannot say; a narrower policy that denies nothing used."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import pytest

import policy
from policy import Access, Grant, Outcome, decide
from proxy.config import parse
from proxy.report.suggestion import STAYS, apply_steps, suggest
from tests.report.a_log import (
    BIRTH,
    CONFIGURATION,
    DAY,
    EMAIL,
    HOUR,
    MONDAY,
    SSN,
    ALog,
    cell,
    origin,
)
from tests.report.conftest import Office

UNTIL = ("--until", "2026-11-17")
PERIOD = ("access-review", "--period", "1d", *UNTIL)
FILE = Path("sealgate.toml")


def states(report: dict[str, list[dict[str, str]]]) -> dict[tuple[str, str, str], str]:
    return {(g["role"], g["grant"], g["column"]): g["state"] for g in report["grants"]}


@pytest.fixture
def used(office: Office, logged: Callable[[], ALog]) -> Office:
    """A log that begins before the period: the application reads email and compares ssn by its `clear`; support does little."""
    log = logged()
    loaded = parse(CONFIGURATION, FILE).policy
    log.at(MONDAY - DAY).start(loaded.version, policy.summary(loaded))
    app, support = origin("shop_app", "s1"), origin("bo", "s2", roles=("support",))
    log.at(MONDAY + HOUR).opens(app)
    for number in range(20):
        rule = "roles.shop_app.clear"
        log.does(app, [(EMAIL, "clear", rule, [cell(number)]), (SSN, "compared", rule, [])])
        log.does(app, [(EMAIL, "written", "roles.shop_app.write", [cell(number)])])
    log.opens(support)
    log.does(support, [(SSN, "masked", "roles.support.masked", [cell(1)])])
    log.close()
    return office


def test_states_of_grants(used: Office) -> None:
    """Used, rare, never used."""
    report = used.report(*PERIOD)
    assert report["covered"] is True
    assert states(report) == {
        ("shop_app", "clear", EMAIL): "used",
        ("shop_app", "clear", SSN): "used",
        ("shop_app", "clear", BIRTH): "unused",
        ("shop_app", "write", EMAIL): "used",
        ("shop_app", "write", SSN): "unused",
        ("shop_app", "write", BIRTH): "unused",
        ("support", "clear", EMAIL): "unused",
        ("support", "masked", SSN): "rare",
        ("support", "masked", BIRTH): "unused",
    }


def test_the_suggestion_loads_and_keeps_what_was_used(used: Office) -> None:
    """The diff applied to the file: ssn may still be masked for support, email read by the application; no context, no secret."""
    report = used.report(*PERIOD)
    suggestion = report["suggestion"]
    assert {(s["role"], s["grant"], tuple(s["left"])) for s in suggestion["steps"]} >= {
        ("shop_app", "clear", (EMAIL, SSN)),
        ("shop_app", "write", (EMAIL,)),
        ("support", "masked", (SSN,)),
        ("support", "clear", ()),
    }
    assert "s3cret-in-dsn" not in used.out
    assert "# the application" not in suggestion["diff"]


def test_a_clear_grant_that_only_compares_becomes_search() -> None:
    """Least privilege: what was only searched for need not be read."""
    content = CONFIGURATION
    loaded = parse(content, FILE).policy
    kept = {("shop_app", Grant.CLEAR, EMAIL): frozenset({"compared"})}
    found = suggest(content, FILE, loaded, kept)
    assert found.note == ""
    narrower = parse(apply_steps(content, found.steps), FILE).policy
    assert decide(narrower, {"shop_app"}, EMAIL, Access.COMPARE).outcome is Outcome.ALLOWED
    assert decide(narrower, {"shop_app"}, EMAIL, Access.READ).outcome is Outcome.WITHHELD


def test_no_claim_for_a_time_without_log(a_shop: Office) -> None:
    """The log begins within the period: loud, nothing is `unused`, nothing is suggested."""
    report = a_shop.report("access-review", "--period", "30d", *UNTIL)
    assert report["covered"] is False
    assert "unused" not in states(report).values()
    assert "not seen" in states(report).values()
    assert report["suggestion"]["steps"] == []
    assert report["suggestion"]["diff"] == ""
    a_shop.run("access-review", "--period", "30d", *UNTIL)
    assert "Nothing below may be read as never used" in a_shop.out
    assert "never used" not in a_shop.out.replace("read as never used", "")


@pytest.mark.parametrize("harm", ["line gone", "junk", "not verified"])
def test_no_claim_by_a_log_that_is_not_whole(used: Office, harm: str) -> None:
    """A line taken out, junk, or nobody looked: what is not there may have been taken out."""
    lines = used.path.read_bytes().splitlines(keepends=True)
    if harm == "line gone":
        used.path.write_bytes(b"".join(lines[:20] + lines[21:]))
    if harm == "junk":
        used.path.write_bytes(b"".join([*lines, b"junk\n"]))
    more = ("--no-verify",) if harm == "not verified" else ()
    report = used.report(*PERIOD, *more, code=1)
    assert report["covered"] is False
    assert "unused" not in states(report).values()
    assert report["suggestion"]["diff"] == ""


def test_what_was_granted_within_the_period_is_new(
    office: Office, logged: Callable[[], ALog]
) -> None:
    """It could not be used for the whole of it: not unused, and not suggested away."""
    before = CONFIGURATION.replace('clear = ["public.customers.email"]', "clear = []")
    log = logged()
    log.at(MONDAY - DAY).start("v1", policy.summary(parse(before, FILE).policy))
    log.at(MONDAY + HOUR).start("v2", policy.summary(parse(CONFIGURATION, FILE).policy))
    log.close()
    report = office.report(*PERIOD)
    assert states(report)["support", "clear", EMAIL] == "new"
    (grant,) = [g for g in report["grants"] if (g["role"], g["grant"]) == ("support", "clear")]
    assert grant["since"] == "2026-11-16T01:00:00.000Z"
    assert ("support", "clear") not in {
        (s["role"], s["grant"]) for s in report["suggestion"]["steps"]
    }


def test_another_policy_than_the_one_in_force_is_said(used: Office) -> None:
    """The file was edited and not loaded: grants and use are of two policies."""
    report = used.report(*PERIOD)
    assert report["policy"] == report["policy_in_force"]
    used.file.write_text(CONFIGURATION.replace('clear = ["public.customers.email"]', "clear = []"))
    used.run(*PERIOD)
    assert "is not what was last in force" in used.out


def test_people_and_logins(a_shop: Office) -> None:
    """A login on two hosts at once; names in several duties; findings with a disposition to be filled in."""
    report = a_shop.report(*PERIOD)
    assert [(s["login"], s["hosts_at_once"]) for s in report["shared_logins"]] == [("bo", 2)]
    assert [(d["name"], d["duties"]) for d in report["several_duties"]] == [
        ("ada", ["detection operator", "policy author"])
    ]
    assert "human" in report["findings"][0]["disposition"]
    assert [c["event_code"] for c in report["containments"]] == [
        "containment.begun",
        "containment.ended",
    ]


def test_a_service_login_used_by_hand(office: Office, logged: Callable[[], ALog]) -> None:
    """Twenty sessions of the application, one of psql."""
    log = logged()
    for number in range(20):
        log.at(MONDAY + HOUR).opens(origin("shop_app", f"s{number}", application="shop"))
    log.opens(origin("shop_app", "s-psql", application="psql"))
    log.opens(origin("bo", "s-bo", application="DBeaver 24"))
    log.close()
    report = office.report(*PERIOD)
    assert report["service_by_hand"] == [
        {"login": "shop_app", "service": "shop", "tools": [["psql", 1]]}
    ]


def test_hosts_at_once_are_not_hosts_in_turn(office: Office, logged: Callable[[], ALog]) -> None:
    """Closed before the next is opened; or cut off by a restart, which nobody could say."""
    log = logged()
    log.at(MONDAY + HOUR)
    here, there = origin("bo", "s1", host="10.0.0.1"), origin("bo", "s2", host="10.0.0.2")
    log.opens(here)
    log.closes(here)
    log.opens(there)
    log.start()
    log.opens(origin("bo", "s3", host="10.0.0.3"))
    log.close()
    assert office.report(*PERIOD)["shared_logins"] == []


def test_a_review_is_remembered_by_the_next(used: Office) -> None:
    """Signed off, with its decision and the report's SHA-256; the next one knows."""
    assert used.report(*PERIOD)["last_review"] is None
    signed = ("--sign-off", "Grace Hopper", "--decision", "reduce as suggested")
    assert used.run("access-review", "--period", "9d", *signed) == 0
    said = used.events()[-1]["unmapped"]["sealgate"]
    assert "signed_by=Grace Hopper" in said["arguments"]
    assert any(argument.startswith("sha256=") for argument in said["arguments"])
    report = used.report("access-review", "--period", "9d")
    assert report["last_review"]["signed_by"] == "Grace Hopper"
    assert report["last_review"]["decision"] == "reduce as suggested"
    assert used.run("access-review", "--sign-off", "X") == 1


def test_random_policies_are_only_ever_narrowed(seed: int) -> None:
    """Whatever was used of whatever policy: the suggestion loads, gives nobody more and denies nothing that was used."""
    rng = random.Random(seed)
    for _ in range(40):
        content, kept = random_case(rng)
        before = parse(content, FILE).policy
        found = suggest(content, FILE, before, kept)
        assert found.note in ("", "every grant was used: nothing to suggest"), found.note
        narrower = parse(apply_steps(content, found.steps), FILE).policy if found.steps else before
        rank = [Outcome.WITHHELD, Outcome.DENIED, Outcome.MASKED, Outcome.CLEAR, Outcome.ALLOWED]
        for role in before.roles:
            for column in before.columns:
                for access in Access:
                    was = decide(before, {role}, column, access).outcome
                    now = decide(narrower, {role}, column, access).outcome
                    assert rank.index(now) <= rank.index(was)
        for (role, grant, column), outcomes in kept.items():
            for outcome, access in (
                ("clear", Access.READ),
                ("masked", Access.READ),
                ("compared", Access.COMPARE),
                ("written", Access.WRITE),
            ):
                if outcome in outcomes:
                    was = decide(before, {role}, column, access).outcome
                    assert decide(narrower, {role}, column, access).outcome is was, (grant, column)
            if STAYS in outcomes and grant is Grant.CLEAR:
                assert decide(narrower, {role}, column, Access.READ).outcome is Outcome.CLEAR


def random_case(rng: random.Random) -> tuple[str, dict[tuple[str, Grant, str], frozenset[str]]]:
    """A configuration, and what was used of it: per role, grant and column, by the decisions of its policy."""
    columns = [f"public.t{t}.c{c}" for t in range(2) for c in range(rng.randrange(1, 4))]
    patterns = [*columns, "public.t0.*", "public.*", "*"]
    lines = ['[control]\ndsn = "postgresql://x@127.0.0.1/shop"']
    declared = 'type = "text"\nmask = "email"\nsearch = ["equality"]'
    lines += [f'[columns."{column}"]\n{declared}' for column in columns]
    for role in ("one", "two", '"odd role"'):
        lines.append(f"[roles.{role}] # {role}")
        for grant in Grant:
            chosen = rng.sample(patterns, rng.randrange(0, 3))
            if chosen or rng.random() < 0.3:
                lines.append(f"{grant.value} = {chosen}".replace("'", '"') + "  # as agreed")
    content = "\n".join(lines) + "\n"
    loaded = parse(content, FILE).policy
    proves = {
        Grant.CLEAR: ["clear", "compared"],
        Grant.MASKED: ["masked"],
        Grant.SEARCH: ["compared"],
        Grant.WRITE: ["written"],
    }
    kept = {}
    for column, holders in loaded.holders.items():
        for grant, roles in holders.items():
            for role in roles:
                moot = grant in (Grant.MASKED, Grant.SEARCH) and role in holders[Grant.CLEAR]
                outcomes = [] if moot else [o for o in proves[grant] if rng.random() < 0.4]
                if rng.random() < 0.1:
                    outcomes.append(STAYS)
                if outcomes:
                    kept[role, grant, column] = frozenset(outcomes)
    return content, kept
