"""The detectors over the log with all there is between: clients, proxy, log, auditor, containment, and back to the client."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

import psycopg
import pytest

from proxy.demo.shop import ProxyProcess
from tests.cli.conftest import Project
from tests.siem.rules import alerts

DETECTION = """
[detection]
mode = "observe"
[detection.enumeration]
mode = "quarantine"
distinct = 3
"""
COLD = 30
"""Different look-ups that the login, new as it is, may have: ten times the setting."""


def events(project: Project, *kinds: str) -> list[dict[str, Any]]:
    """Of these kinds (of all, without any), in the order of the log."""
    whole = project.audit_log.read_bytes().rpartition(b"\n")[0]
    found = [json.loads(line) for line in whole.splitlines()]
    return [e for e in found if not kinds or e["metadata"]["event_code"] in kinds]


def until(condition: Callable[[], Any], seconds: float = 20) -> Any:
    """What it says, as soon as it says something. The limit is only there for the test to end."""
    deadline = time.monotonic() + seconds
    while not (found := condition()) and time.monotonic() < deadline:
        time.sleep(0.05)
    return found


def fill(project: Project, proxy: ProxyProcess) -> None:
    with project.connect(proxy) as connection:
        for number in range(2, 61):
            row = (number, "X", f"c{number}@example.com", f"900-11-{number:04}")
            connection.execute("INSERT INTO customers VALUES (%s, %s, %s, %s)", row)


def test_who_reads_one_customer_after_the_other_is_quarantined_also_after_a_restart(
    project: Project,
) -> None:
    """Finding, then containment, in the log; the statements behind it are refused; another login reads on.

    The baselines are there after the end, and the next start goes on from them without finding the same again.
    """
    project.sealed()
    project.configure(DETECTION)
    proxy = project.serve()
    fill(project, proxy)
    with project.connect(proxy) as connection:
        for number in range(1, COLD):
            connection.execute("SELECT email FROM customers WHERE id = %s", (number,))
        time.sleep(1.5)  # the auditor has nothing to say to this, however long one waits
        assert not events(project, "detection.enumeration")
        for number in range(COLD, 61):
            connection.execute("SELECT email FROM customers WHERE id = %s", (number,))
        assert until(lambda: events(project, "containment.begun"))
        with pytest.raises(psycopg.Error, match=r"in quarantine|permission denied"):
            until(lambda: connection.execute("SELECT email FROM customers WHERE id = 1") is None)
    (finding,) = events(project, "detection.enumeration")
    (begun,) = events(project, "containment.begun")
    fields = finding["unmapped"]["sealgate"]
    assert (fields["mode"], fields["action"]) == ("quarantine", "quarantined")
    assert fields["numbers"]["distinct"] == fields["numbers"]["limit"] == COLD
    assert finding["evidences"][0]["actor"]["user"]["name"] == "cli_app"
    assert finding["metadata"]["sequence"] < begun["metadata"]["sequence"]
    assert begun["unmapped"]["sealgate"]["finding"] == finding["finding_info"]["uid"]
    with project.connect(proxy, "cli_support") as other:
        assert other.execute("SELECT email FROM customers WHERE id = 1").fetchone()
    assert not events(project, "detection.silence")
    proxy.stop()
    baselines = json.loads((project.directory / "audit.jsonl.state" / "baselines.json").read_text())
    assert "cli_app" in json.dumps(baselines)
    assert "example.com" not in json.dumps(baselines)
    proxy = project.serve()
    with pytest.raises(psycopg.OperationalError, match="contained"):
        project.connect(proxy)
    with project.connect(proxy, "cli_support") as other:
        other.execute("SELECT email FROM customers WHERE id = 2")
    proxy.stop()
    assert len(events(project, "detection.enumeration")) == 1
    assert not events(project, "detection.silence")
    # And what a SIEM with our Sigma rules would have told of all this: this, and nothing else.
    assert alerts(events(project)) == {"contained", "detector_alert", "policy_or_keys_changed"}
