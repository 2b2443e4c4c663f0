"""The whole of it with real clients: several workers and sessions, reconnecting, containment over processes and restarts."""

from __future__ import annotations

import json
import signal
import threading
import time
from collections.abc import Callable
from typing import Any

import psycopg
import pytest

from proxy.demo.shop import ProxyProcess
from proxy.detection.containment import ContainmentFile
from proxy.detection.restraint import Containment
from tests.cli.conftest import Project

LIMIT = 40
SESSIONS = 8


def settings(mode: str, more: str = "") -> str:
    return f"""
[detection]
mode = "{mode}"
exempt = ["cli_support"]
{more}
[detection.budget_cells]
cells = {LIMIT}
"""


def events(project: Project, *kinds: str) -> list[dict[str, Any]]:
    """Of these kinds, in the order of the log."""
    found = [json.loads(line) for line in project.audit_log.read_bytes().splitlines()]
    return [e for e in found if not kinds or e["metadata"]["event_code"] in kinds]


def until(condition: Callable[[], Any], seconds: float = 30) -> Any:
    deadline = time.monotonic() + seconds
    while not (found := condition()) and time.monotonic() < deadline:
        time.sleep(0.05)
    return found


@pytest.fixture
def shop(project: Project) -> Project:
    """Fifty customers, sealed."""
    project.sealed()
    return project


def fill(project: Project, proxy: ProxyProcess) -> None:
    with project.connect(proxy) as connection:
        for number in range(2, 51):
            connection.execute(
                "INSERT INTO customers VALUES (%s, 'X', %s, %s)",
                (number, f"c{number}@example.com", f"900-11-{number:04}"),
            )


def attack(project: Project, proxy: ProxyProcess, ways: list[str], seen: list[str]) -> None:
    """Reads what it can in every way, in a new connection whenever the last one was ended, until it is not let in."""
    number = 0
    while True:
        try:
            with project.connect(proxy) as connection:
                while True:
                    way = ways[number % len(ways)]
                    number += 1
                    if way == "copy":
                        with connection.cursor().copy("COPY customers (email) TO STDOUT") as copy:
                            seen += [row[0] for row in copy.rows()]
                    elif way == "cursor":
                        with connection.transaction(), connection.cursor(name="c") as cursor:
                            cursor.itersize = 1
                            for (email,) in cursor.execute("SELECT email FROM customers"):
                                seen.append(email)
                    elif way == "pipeline":
                        with connection.pipeline():
                            cursors = [
                                connection.execute(
                                    "SELECT email FROM customers WHERE id = %s", (one,)
                                )
                                for one in range(1, 9)
                            ]
                            for cursor in cursors:
                                seen += [email for (email,) in cursor.fetchall()]
                    else:
                        query = "SELECT email FROM customers ORDER BY id LIMIT 3"
                        seen += [email for (email,) in connection.execute(query)]
        except psycopg.OperationalError as ended:
            if "contained" in str(ended) and "FATAL" in str(ended):
                return
        except psycopg.Error:
            pass
        if number > 400:
            return


@pytest.mark.parametrize("workers", [pytest.param(1, marks=pytest.mark.long), 2])
def test_never_more_than_the_limit_is_released(shop: Project, workers: int) -> None:
    """Eight sessions at once, each in its own way, that come again when they are ended: their sum is within the budget.

    And the log says it in order: the finding, the containment, the statement that was ended for it; one finding of all
    workers, and nothing was shown behind it.
    """
    shop.configure(change=("port = 0", f"port = 0\nworkers = {workers}"))
    first = shop.serve()
    fill(shop, first)
    first.stop()
    shop.configure(settings("kill"), change=("port = 0", f"port = 0\nworkers = {workers}"))
    proxy = shop.serve()
    seen: list[list[str]] = [[] for _ in range(SESSIONS)]
    ways = [["point"], ["pipeline"], ["cursor"], ["copy"], ["point", "copy", "cursor", "pipeline"]]
    threads = [
        threading.Thread(target=attack, args=(shop, proxy, ways[i % len(ways)], seen[i]))
        for i in range(SESSIONS)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not any(thread.is_alive() for thread in threads)
    released = sum(map(len, seen))
    print(f"released {released} of {LIMIT}")
    assert released <= LIMIT
    (finding,) = events(shop, "detection.budget_cells")
    (begun,) = events(shop, "containment.begun")
    assert finding["metadata"]["sequence"] + 1 == begun["metadata"]["sequence"]
    assert begun["unmapped"]["sealgate"]["finding"] == finding["finding_info"]["uid"]
    shown = [
        e
        for e in events(shop, "statement.read")
        if e["time"] >= proxy_started(shop) and e["unmapped"]["sealgate"]["cells"]
    ]
    assert released <= sum(e["unmapped"]["sealgate"]["cells"] for e in shown) <= LIMIT
    assert any(e["status_code"] == "57P01" for e in events(shop, "statement.read"))
    time.sleep(1)  # every worker has read the file anew by then
    with pytest.raises(psycopg.OperationalError, match="contained"):
        shop.connect(proxy).close()
    with shop.connect(proxy, "cli_support") as other:
        assert other.execute("SELECT email FROM customers LIMIT 1").fetchone()


def spend(project: Project, proxy: ProxyProcess) -> str:
    """Reads one row again and again, until the budget is spent; what the client is told then."""
    with project.connect(proxy) as connection:
        for _ in range(LIMIT):
            rows = connection.execute("SELECT email FROM customers WHERE id = 1").fetchall()
            assert rows == [("amina@example.com",)]
        with pytest.raises(psycopg.OperationalError) as ended:
            connection.execute("SELECT email FROM customers WHERE id = 1")
        return str(ended.value)


def proxy_started(project: Project) -> int:
    return int(events(project, "proxy.started")[-1]["time"])


def test_containment_outlives_the_service_and_ends_by_release(shop: Project) -> None:
    """Still contained after a restart; released by a person, who is named in the log with the reason; then counted anew."""
    shop.configure(settings("mask"))
    proxy = shop.serve()
    assert "budget of cells" in spend(shop, proxy)
    with shop.connect(proxy) as c:
        assert c.execute("SELECT email FROM customers").fetchall() == [("a***@example.com",)]
    proxy.stop()
    proxy = shop.serve()
    with shop.connect(proxy) as c:
        assert c.execute("SELECT email FROM customers").fetchall() == [("a***@example.com",)]
        assert shop.run("release", "--list", "--json") == 0
        (listed,) = json.loads(shop.out)
        assert (listed["login"], listed["mode"]) == ("cli_app", "mask")
        assert shop.run("release", "--login", "cli_app") == 1
        assert "--reason" in shop.err
        assert shop.run("release", "--login", "nobody", "--reason", "x") == 1
        session = ContainmentFile(shop.directory / "audit.jsonl.state")
        assert session.contain(Containment("other", "run-1", "kill", 0, 1 << 50, "by hand", "f"))
        assert shop.run("release", "--session", "run-1", "--reason", "it was me") == 0
        assert "run-1" in shop.out
        assert shop.run("release", "--login", "cli_app", "--reason", "ticket 8812") == 0
        clear = [("amina@example.com",)]
        assert until(lambda: c.execute("SELECT email FROM customers").fetchall() == clear)
    _, ended = events(shop, "containment.ended")
    fields = ended["unmapped"]["sealgate"]
    assert fields["ended"] == "released"
    assert fields["reason"] == "ticket 8812"
    assert fields["operator"]["uid"] >= 0


def test_idle_sessions_are_ended_in_all_workers(shop: Project) -> None:
    """Two workers, an idle session in each: the one that did not decide hears of it by the file."""
    shop.configure(settings("kill"), change=("port = 0", "port = 0\nworkers = 2"))
    proxy = shop.serve()
    idle = [shop.connect(proxy) for _ in range(4)]
    pids = {c.info.backend_pid for c in idle}
    spend(shop, proxy)
    decided = events(shop, "containment.begun")[0]["time"]
    closed = until(
        lambda: (
            len([e for e in events(shop, "session.closed") if e["time"] >= decided]) == 5
            and events(shop, "session.closed")
        )
    )
    assert closed
    for one in idle:
        with pytest.raises(psycopg.OperationalError):
            one.execute("SELECT 1")
        one.close()
    assert len(pids) == 4


def test_honey(shop: Project) -> None:
    """A row that is made, one that is there and a column: touched, each is a finding; and they do not stop anybody by default."""
    shop.configure('[detection]\nmode = "observe"\n')
    dsn = shop.database.dsn()
    assert shop.run("honey", "list") == 0
    assert "no honey" in shop.out
    given = ["--set", "id=77", "--set", "email=decoy@example.com", "--set", "ssn=900-77-7777"]
    assert shop.run("honey", "add", "--table", "public.customers", *given, "--dsn", dsn) == 0, (
        shop.err
    )
    proxy = shop.serve()
    with shop.connect(proxy) as c:
        c.execute("SELECT email FROM customers WHERE id = 1")
        assert not events(shop, "detection.honey")
        # The row reads as any other: what was sealed here is what an application would have sealed.
        found = c.execute("SELECT ssn FROM customers WHERE email = 'decoy@example.com'").fetchall()
        assert found == [("900-77-7777",)]
    (finding,) = events(shop, "detection.honey")
    assert finding["severity_id"] == 4
    assert finding["is_alert"]
    read = next(e for e in events(shop, "statement.read") if e["time"] >= finding["time"])
    assert finding["metadata"]["sequence"] < read["metadata"]["sequence"]
    assert (
        shop.run("honey", "add", "--table", "public.customers", "--key", "id=99", "--dsn", dsn) == 1
    )
    assert "no row" in shop.err
    assert shop.run("honey", "add", "--table", "public.customers", "--column", "ssn") == 0
    with shop.connect(proxy, "cli_support") as c:
        assert until(
            lambda: (
                c.execute("SELECT ssn FROM customers WHERE id = 1")
                and len(events(shop, "detection.honey")) == 2
            )
        )
        c.execute("UPDATE customers SET name = 'Y' WHERE id = 77")
    with shop.connect(proxy) as c:
        c.execute("UPDATE customers SET email = 'new@example.com' WHERE id = 77")
    assert shop.run("honey", "refresh", "--dsn", dsn) == 0
    assert shop.run("honey", "remove", "public.customers.ssn") == 0
    assert shop.run("honey", "list", "--json") == 0
    assert [row["key"] for row in json.loads(shop.out)["rows"]] == [{"id": "77"}]
    honey = json.loads((shop.directory / "audit.jsonl.state" / "honey.json").read_text())
    assert len(honey["rows"][0]["cells"]["public.customers.email"]) == 2
    assert (shop.directory / "audit.jsonl.state" / "honey.json").stat().st_mode & 0o777 == 0o600
    log = shop.audit_log.read_text()
    assert "decoy@example.com" not in log
    assert "900-77-7777" not in log


def test_a_damaged_file_sets_nobody_free(shop: Project) -> None:
    """While it runs, what was known holds; at the start it is refused, with what to do; and that does it."""
    shop.configure(settings("mask"))
    proxy = shop.serve()
    spend(shop, proxy)
    file = shop.directory / "audit.jsonl.state" / "containment.json"
    assert until(file.exists)
    whole = file.read_text()
    masked = [("a***@example.com",)]
    for damage in (whole[: len(whole) // 2].encode(), b'{"version":1,"containments":[{}]}'):
        file.write_bytes(damage)
        time.sleep(0.8)
        with shop.connect(proxy) as c:
            assert c.execute("SELECT email FROM customers").fetchall() == masked
    file.unlink()
    assert until(lambda: file.exists() and file.read_text() == whole)
    file.write_bytes(b"{")
    proxy.stop()
    assert shop.run_process("serve") == 2
    assert "containment.json" in shop.err
    assert "sealgate release --all" in shop.err
    assert shop.run("release", "--login", "cli_app", "--reason", "x") == 1
    assert shop.run("release", "--all", "--reason", "file damaged") == 0
    with shop.connect(shop.serve()) as c:
        assert c.execute("SELECT email FROM customers").fetchall() == [("amina@example.com",)]


def test_throttled_it_waits_and_may_be_ended_while_it_does(shop: Project) -> None:
    """Cells come at the rate that is set; a client that leaves, or is contained more strictly, gets none of what waits."""
    shop.configure(settings("throttle", "throttle_cells_per_second = 40"))
    proxy = shop.serve()
    one = "SELECT email FROM customers WHERE id = 1"
    with shop.connect(proxy) as c:
        for _ in range(LIMIT):
            c.execute(one)
        began = time.monotonic()
        for _ in range(20):
            assert c.execute(one).fetchall() == [("amina@example.com",)]
        assert time.monotonic() - began >= 0.4  # twenty cells at forty a second take half of one
        assert c.execute("SELECT 1").fetchone() == (1,)
    shop.configure(settings("throttle", "throttle_cells_per_second = 1"))
    proxy.send(signal.SIGHUP)
    assert until(lambda: events(shop, "configuration.loaded"))
    waiting = shop.connect(proxy)
    got: list[Any] = []

    def wait() -> None:
        with pytest.raises(psycopg.OperationalError):
            got.extend(waiting.execute("SELECT email FROM customers, generate_series(1, 30)"))

    thread = threading.Thread(target=wait)
    thread.start()
    assert until(lambda: sum(e["unmapped"]["sealgate"]["cells"] for e in reads(shop)) >= LIMIT + 50)
    path = shop.directory / "audit.jsonl.state"
    login = Containment("cli_app", None, "kill", 0, 1 << 50, "by hand", "f")
    assert ContainmentFile(path).contain(login)
    thread.join(30)
    assert not thread.is_alive()
    assert not got
    waiting.close()


def reads(project: Project) -> list[dict[str, Any]]:
    return events(project, "statement.read")
