"""The replay oracle: a random day through the real proxy, and every answer about it against what the test knows by itself.

Whose data did this login, this session see, from when to when; and who saw this customer's: the answers equal the model's exactly, cell by cell.
"""

from __future__ import annotations

import json
import os
import random
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

import pytest

from proxy.cli import main
from tests.conftest import Database
from tests.disclosure.model import GRANTS
from tests.disclosure.workload import AFTER, COLUMNS, SCHEMA, Day
from tests.integration.shop import Shop

pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning")


@pytest.fixture
def day(
    make_database: Callable[[], Database], tmp_path: Path, request: pytest.FixtureRequest
) -> Iterator[Day]:
    """The shop behind its proxy. DISCLOSURE_SEED=... repeats a day."""
    seed = int(os.environ.get("DISCLOSURE_SEED", random.SystemRandom().getrandbits(32)))
    print(f"DISCLOSURE_SEED={seed} for {request.node.nodeid}")
    database = make_database()
    database.psql(SCHEMA)
    shop = Shop(database, tmp_path, columns=COLUMNS)
    shop.prepare()
    database.psql(AFTER)
    shop.serve()
    day = Day(shop, random.Random(seed))
    yield day
    day.close()
    shop.stop()
    database.postgres.drop_database(database.name)


def test_the_answers_are_what_happened(day: Day) -> None:
    """A small day."""
    hold_to_account(day, steps=120, windows=4, questions=12, customers=6)


@pytest.mark.long
def test_fifty_questions_about_a_long_day(day: Day) -> None:
    """A long one, fifty questions, and every customer there ever was."""
    hold_to_account(day, steps=1500, windows=12, questions=50, customers=100_000)


def hold_to_account(day: Day, steps: int, windows: int, questions: int, customers: int) -> None:
    marks = [mark()]
    begun = [1]
    for number in range(steps):
        day.act()
        if number % (steps // windows) == 0:
            marks.append(mark())
            begun.append(day.model.step + 1)
    marks.append(mark())
    begun.append(day.model.step + 1)
    assert len({one.outcome for one in day.model.shown}) == 4
    names = sessions(day.shop)
    for _ in range(questions):
        first = day.rng.randrange(len(marks) - 1)
        last = day.rng.randrange(first + 1, len(marks))
        login = day.rng.choice(sorted(GRANTS))
        session = day.rng.choice([s.name for s in day.sessions if s.login == login] + [None] * 2)  # type: ignore[list-item]
        arguments = ["--login", login, "--from", marks[first], "--to", marks[last]]
        if session is not None:
            arguments += ["--session", names[session]]
        expected = day.model.affected(login, session, range(begun[first], begun[last]))
        assert affected(day.shop, *arguments) == expected, arguments
    people = {person for one in day.model.shown for person in one.cell.people}
    for person in day.rng.sample(sorted(people), min(customers, len(people))):
        table = day.rng.choice([["--table", "public.customers"], ["--all"]])
        tables = {"public.customers", "public.orders"} if table == ["--all"] else {table[1]}
        told = ask(day.shop, "who-saw", "--key", str(person), *table)
        assert by_execution(told, names) == day.model.who_saw(person, tables), person


def mark() -> str:
    """A moment between two statements, with a millisecond on either side that is nobody's."""
    time.sleep(0.003)
    now = time.time_ns() // 1_000_000
    time.sleep(0.003)
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now // 1000)) + f".{now % 1000:03}Z"


def sessions(shop: Shop) -> dict[str, str]:
    """What a session is called in the log, by the name that the test gave it."""
    return {
        event["actor"].get("app_name", ""): event["actor"]["session"]["uid"]
        for event in shop.events()
        if event["metadata"]["event_code"] == "session.opened"
    }


def ask(shop: Shop, *arguments: str) -> dict[str, Any]:
    command, *rest = arguments
    with redirect_stdout(StringIO()) as said:
        main(["audit", command, "--config", str(shop.config), *rest, "--json"])
    found: dict[str, Any] = json.loads(said.getvalue())
    assert found["complete"], found["missing"]
    return found


def affected(
    shop: Shop, *arguments: str
) -> tuple[dict[int, set[tuple[object, ...]]], dict[tuple[str, str], int]]:
    told = ask(shop, "affected", *arguments)
    people: dict[int, set[tuple[object, ...]]] = {}
    for person in told["people"]:
        assert person["table"] == "public.customers"
        seen = {
            (
                s["relation"],
                json.dumps(s["row"], sort_keys=True),
                s["column"],
                s["outcome"],
                s["cells"],
                s["times"],
                s["gone"],
                s["shared"],
            )
            for s in person["seen"]
        }
        people[int(person["key"][0])] = seen
    totals = told["totals"]
    return people, {(t["column"], t["outcome"]): t["nowhere"] for t in totals if t["nowhere"]}


def by_execution(told: dict[str, Any], names: dict[str, str]) -> list[tuple[object, ...]]:
    """In the model's order: statements in theirs, within one by column and outcome. Parts of one execution together."""
    called = {uid: name for name, uid in names.items()}
    executions: dict[str, Counter[tuple[str, ...]]] = defaultdict(Counter)
    for access in told["accesses"]:
        session = called.get(access["session"], "")
        at = (access["login"], session, access["column"], access["outcome"])
        executions[access["execution"]][at] += access["cells"]
    return [(*at, count) for lines in executions.values() for at, count in sorted(lines.items())]
