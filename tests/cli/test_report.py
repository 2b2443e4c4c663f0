"""`sealgate report` on a real proxy and database: what was seen, whose data it was, who may what, who changed what."""

from __future__ import annotations

import json
import signal
from typing import Any

from tests.cli.conftest import Project
from tests.cli.test_serve import events, eventually

SUBJECTS = '\n[subjects]\n"public.customers" = "id"\n'


def report(project: Project, *arguments: str, code: int = 0) -> Any:
    assert project.run("report", *arguments, "--format", "json") == code, project.err
    return json.loads(project.out)


def test_reports_of_a_day(project: Project) -> None:
    """Two of three customers are shown, one of them only masked; every report agrees with what the clients got."""
    project.configure(SUBJECTS)
    project.sealed()
    proxy = project.serve()
    with project.connect(proxy) as app:
        app.execute("INSERT INTO customers VALUES (2, 'Bo', 'bo@example.com', '900-11-0002')")
        app.execute("INSERT INTO customers VALUES (3, 'Cy', 'cy@example.com', '900-11-0003')")
        assert len(app.execute("SELECT email, ssn FROM customers WHERE id = 1").fetchall()) == 1
        # by another column, and gone since
        app.execute("SELECT email FROM customers WHERE name = 'Bo'").fetchall()
        app.execute("UPDATE customers SET email = 'b@example.com' WHERE id = 2")
    with project.connect(proxy, "cli_support") as support:
        support.execute("SELECT ssn FROM customers WHERE id = 3").fetchall()
    with project.connect(proxy, "cli_stranger") as stranger:
        stranger.execute("SELECT ssn FROM customers WHERE id = 3").fetchall()
    eventually(lambda: len(events(project, "session.closed")) == 3)
    owner = ("--dsn", project.database.dsn())

    incident = report(project, "incident", "--from", "2020-01-01", "--subjects", *owner)
    assert incident["evidence"]["whole"] is True
    shown = {(c["column"], c["outcome"]): c["cells"] for c in incident["columns"]}
    assert shown["public.customers.email", "clear"] == 2
    assert shown["public.customers.ssn", "clear"] == 1
    assert shown["public.customers.ssn", "masked"] == 1
    assert shown["public.customers.ssn", "withheld"] == 1
    (people,) = incident["subjects"]["counts"]
    assert people["table"] == "public.customers"
    assert (people["clear"], people["masked"], people["any_shown"]) == (2, 1, 3)
    assert incident["subjects"]["named"] == [["public.customers", key] for key in "123"]
    assert incident["subjects"]["complete"] is True
    assert {key["column"] for key in incident["keys"]} == {
        "public.customers.email",
        "public.customers.ssn",
    }
    assert all(isinstance(key["key_id"], int) for key in incident["keys"])

    thief = report(project, "incident", "--from", "2020-01-01", "--login", "cli_support", *owner)
    assert thief["subjects"]["persons_shown"] == 1
    assert thief["subjects"]["named"] == []
    assert thief["never_released"] == ["public.customers.email"]

    review = report(project, "access-review", "--period", "1d", *owner, code=0)
    used = {(g["role"], g["grant"], g["column"]): g for g in review["grants"]}
    assert used["cli_support", "masked", "public.customers.ssn"]["events"] == 1
    assert used["cli_support", "clear", "public.customers.email"]["state"] == "not seen"
    assert review["covered"] is False  # the log is some seconds old
    assert "postgres" in {way["who"] for way in review["ways_around"]} or any(
        "postgres" in way["who"] for way in review["ways_around"]
    )
    assert "cli_stranger" in review["logins_without_policy"]
    logins = {one["login"]: one for one in review["logins"]}
    assert logins["cli_support"]["dormant"] is False
    assert logins["cli_support"]["roles"] == ["cli_support"]

    changes = report(project, "changes", "--since", "2020-01-01")
    by_code = {entry["event_code"]: entry for entry in changes["entries"]}
    assert by_code["keys.created"]["proven"] is True
    assert by_code["schema.applied"]["proven"] is True
    assert by_code["policy.loaded"]["note"].startswith("the first policy in the log")

    project.configure(SUBJECTS, ('clear = ["public.customers.email"]', "clear = []"))
    proxy.send(signal.SIGHUP)
    eventually(lambda: events(project, "configuration.loaded"))
    changes = report(project, "changes", "--since", "2020-01-01")
    loaded = [e for e in changes["entries"] if e["event_code"] == "policy.loaded"][-1]
    assert [d["text"] for d in loaded["differences"]] == [
        "no longer granted clear on public.customers.email"
    ]
    assert "owner of the file, not proven" in loaded["who"]
    assert changes["widening"] == 0

    # what was asked of the log is in it
    asked = [e["unmapped"]["sealgate"]["command"] for e in events(project, "audit.queried")]
    assert asked == [
        "report incident",
        "report incident",
        "report access-review",
        "report changes",
        "report changes",
    ]


def test_no_database_is_said(project: Project) -> None:
    """A server that is away: refused with what to do; with --no-database the report says what it does not know."""
    project.sealed()
    project.configure(
        change=(
            f'dsn = "{project.database.dsn("cli_control")}"',
            'dsn = "postgresql://x@127.0.0.1:1/shop"',
        )
    )
    assert project.run("report", "incident", "--from", "2020-01-01") == 1
    assert "--no-database" in project.err
    assert project.out == ""
    # the log has what init and apply said, and no proxy has signed it yet
    found = report(project, "incident", "--from", "2020-01-01", "--no-database", code=1)
    assert "human" in found["subjects"]
