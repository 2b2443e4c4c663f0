"""What the two commands say when not all is well: nothing is left out in silence, and nothing is answered that is not logged."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from datetime import UTC, datetime
from io import StringIO
from pathlib import Path

import pytest

from proxy.cli import main
from tests.conftest import Database
from tests.disclosure.workload import COLUMNS, SCHEMA
from tests.integration.shop import Shop

PERSONAL = "4242"
"""A key that stands nowhere else."""


@dataclass
class Said:
    code: int
    out: str
    err: str


@pytest.fixture(scope="module")
def shop(
    make_database: Callable[[], Database], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Shop]:
    """A day that is over: support has seen two customers, one of whom is gone, and one value in two rows."""
    database = make_database()
    database.psql(SCHEMA + "CREATE TABLE archive AS SELECT * FROM customers WITH NO DATA;")
    shop = Shop(database, tmp_path_factory.mktemp("answers"), columns=COLUMNS)
    shop.prepare()
    shop.serve()
    with shop.connect() as app:
        app.execute(
            "INSERT INTO customers VALUES (1, 'ada@example.com', '1-2-3', 'Bonn'), (%s, 'bob@example.com', NULL, 'Cork')",
            (int(PERSONAL),),
        )
        app.execute("INSERT INTO orders VALUES (7, 1, 'a pen')")
    with shop.connect("support_login", application_name="desk") as support:
        support.execute("/*actor='grace'*/ SELECT email, ssn FROM customers ORDER BY id")
        support.execute("SELECT note FROM orders")
    with shop.connect() as app:
        app.execute("DELETE FROM customers WHERE id = %s", (int(PERSONAL),))
    shop.stop()
    yield shop
    database.postgres.drop_database(database.name)


def ask(shop: Shop, *arguments: str) -> Said:
    with redirect_stdout(StringIO()) as out, redirect_stderr(StringIO()) as err:
        try:
            code = main(["audit", arguments[0], "--config", str(shop.config), *arguments[1:]])
        except SystemExit as ended:
            code = int(ended.code or 0)
    return Said(code, out.getvalue(), err.getvalue())


AFFECTED = ("affected", "--login", "support_login")


def test_people_read_who_it_was(shop: Shop) -> None:
    """Whose, which column, how: the one who is gone as well, the withheld note under its person."""
    said = ask(shop, *AFFECTED)
    assert said.code == 0, said.out + said.err
    people = said.out.split("\n\n")
    assert people[0].splitlines()[1] == ("2 events tell of 4 cells (stored values) of 2 people")
    (ada,) = (part for part in people if part.startswith("public.customers 1\n"))
    assert [line.split()[:2] for line in ada.splitlines()[1:]] == [
        ["clear", "public.customers.email"],
        ["masked", "public.customers.ssn"],
        ["withheld", "public.orders.note"],
    ]
    (bob,) = (part for part in people if part.startswith(f"public.customers {PERSONAL}\n"))
    assert "1 cell no longer there" in bob
    assert "INCOMPLETE" not in said.out


def test_programs_read_the_same(shop: Shop) -> None:
    """JSON and CSV hold what people read."""
    told = json.loads(ask(shop, *AFFECTED, "--json").out)
    assert [person["key"] for person in told["people"]] == [["1"], [PERSONAL]]
    rows = list(csv.DictReader(StringIO(ask(shop, *AFFECTED, "--csv").out)))
    assert {(row["person_key"], row["column"], row["outcome"]) for row in rows} == {
        (json.dumps(person["key"]), seen["column"], seen["outcome"])
        for person in told["people"]
        for seen in person["seen"]
    }


def test_who_saw_says_who_when_and_with_what(shop: Shop) -> None:
    """Login, roles, session, application, address, what the client claims, the statement without its literals."""
    said = ask(shop, "who-saw", "--table", "public.customers", "--key", PERSONAL, "--json")
    assert said.code == 0, said.err
    accesses = json.loads(said.out)["accesses"]
    assert [(a["login"], a["outcome"], a["cells"]) for a in accesses] == [
        ("shop_app", "written", 1),
        ("support_login", "clear", 1),
    ]
    seen = accesses[1]
    assert seen["roles"] == ["support"]
    assert (seen["application"], seen["address"]) == ("desk", "127.0.0.1")
    (event,) = (e for e in shop.events() if e["metadata"]["sequence"] == seen["sequence"])
    assert seen["claimed"] == event["unmapped"]["sealgate"].get("claimed", {})
    assert seen["statement"] == "SELECT email, ssn FROM customers ORDER BY id"
    assert seen["fingerprint"].startswith("sha256:")
    people = ask(shop, "who-saw", "--all", "--key", "1").out
    assert "public.orders.note" in people


def test_the_question_is_in_the_log_and_no_key_is(shop: Shop) -> None:
    """audit.queried says who asked what, how many keys and how much was found."""
    before = shop.clear_events()
    ask(shop, "who-saw", "--table", "public.customers", "--key", PERSONAL)
    ask(shop, *AFFECTED)
    found = [e for e in shop.events()[before:] if e["metadata"]["event_code"] == "audit.queried"]
    who, affected = (event["unmapped"]["sealgate"] for event in found)
    assert (who["command"], who["keys"], who["events"], who["cells"]) == ("audit who-saw", 1, 2, 2)
    assert affected["arguments"] == ["login=support_login"]
    assert (affected["events"], affected["cells"]) == (2, 4)
    assert who["operator"]["uid"] == os.getuid()
    assert PERSONAL not in json.dumps(found)


def test_what_cannot_be_logged_is_not_answered(shop: Shop, tmp_path: Path) -> None:
    """The log's directory of state is somebody else's: the question is refused, nothing is said."""
    state = shop.audit_path.with_name("audit.jsonl.state")
    state.rename(tmp_path / "away")
    state.write_text("no directory")
    try:
        for question in (AFFECTED, ("who-saw", "--all", "--key", PERSONAL)):
            said = ask(shop, *question)
            assert (said.code, said.out) == (1, ""), said
            assert "is not answered" in said.err
    finally:
        state.unlink()
        (tmp_path / "away").rename(state)


DAMAGE = {
    "an unreadable line": (lambda text: text + b"no event\n", "1 lines are no events, the first of them audit.jsonl:"),
    "ids taken out": (lambda text: text.replace(b'"cell_ids":["', b'"cell_ids":["00'), "are known: event"),
    "a gap that the log tells of": (
        lambda text: text.rstrip(b"\n")
        + b'\n{"message":"12 events lost","metadata":{"event_code":"log.resumed","sequence":9},"time":1,"unmapped":{"sealgate":{"lost":12,"since":1}}}\n',
        "",
    ),
    "an event taken out": (lambda text: b"\n".join([*text.split(b"\n")[:4], *text.split(b"\n")[5:]]), "some are missing"),
    "earlier files gone": (lambda text: text.split(b"\n", 1)[1], "earlier ones are not there"),
}  # fmt: skip


@pytest.mark.parametrize("damage", DAMAGE, ids=list(DAMAGE))
def test_an_answer_that_is_not_whole_says_so(shop: Shop, damage: str) -> None:
    """Exit code 1, and what is missing by name; in the JSON as well."""
    alter, reason = DAMAGE[damage]
    whole = shop.audit_path.read_bytes()
    config = shop.config.read_text()
    copy = shop.directory / "copy" / "audit.jsonl"
    copy.parent.mkdir(exist_ok=True)
    altered = alter(whole)
    if damage.startswith("a gap"):
        now = json.loads(whole.rstrip(b"\n").rpartition(b"\n")[2])["time"]
        altered = altered.replace(b'"time":1,', b'"time":%d,' % now)
        reason = "12 events lost (event 9)"
    copy.write_bytes(altered)
    shop.config.write_text(
        config.replace('path = "audit.jsonl"', f'path = "{copy}"\nstate = "{copy}.state"')
    )
    try:
        if copy.with_name("audit.jsonl.state").exists():
            pytest.fail("a state that is not this log's")
        for question in (AFFECTED, ("who-saw", "--all", "--key", "1")):
            copy.write_bytes(altered)
            said = ask(shop, *question, "--json")
            assert said.code == 1, said
            told = json.loads(said.out)
            assert not told["complete"]
            assert any(reason in text for text in told["missing"]), told["missing"]
            people = ask(shop, *question)
            assert "INCOMPLETE:" in people.out
    finally:
        shop.config.write_text(config)
        for file in sorted(copy.parent.rglob("*"), reverse=True):
            file.rmdir() if file.is_dir() else file.unlink()


def test_a_table_that_may_not_be_read_is_named(shop: Shop) -> None:
    """So is the history: the login of --dsn is not the one that apply let read it."""
    shop.database.psql(
        "DO $$ BEGIN IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'clerk') THEN CREATE ROLE clerk LOGIN; END IF; END $$;"
        " REVOKE ALL ON orders FROM PUBLIC"
    )
    try:
        said = ask(shop, *AFFECTED, "--json", "--dsn", shop.database.dsn("clerk"))
    finally:
        shop.database.psql("GRANT ALL ON orders TO PUBLIC")
    assert said.code == 1
    told = json.loads(said.out)
    assert len(told["missing"]) == 2
    assert told["missing"][0].startswith("public.orders cannot be read")
    assert told["missing"][1].startswith("sealgate.cell_history cannot be read")
    assert {t["column"]: t["nowhere"] for t in told["totals"]}["public.orders.note"] == 1


@pytest.mark.parametrize(
    ("arguments", "code", "text"),
    [
        (("affected",), 2, "--login or --session"),
        (("affected", "--login", "x", "--from", "2026-01-01 10:00"), 2, "no time zone"),
        (("affected", "--login", "x", "--from", "yesterday"), 2, "is no time"),
        (("affected", "--login", "x", "--from", "2026-01-02", "--to", "2026-01-01"), 2, "not before"),
        (("who-saw", "--key", "1"), 2, "--table, or --all"),
        (("who-saw", "--key", "1", "--table", "public.none"), 1, "names nobody"),
        (("who-saw", "--key", "1", "2", "--table", "public.customers"), 1, "by id: give --key that many"),
        (("who-saw", "--key", "1", "2", "--all"), 1, "no table of [subjects]"),
    ],
)  # fmt: skip
def test_questions_that_mean_nothing(
    shop: Shop, arguments: tuple[str, ...], code: int, text: str
) -> None:
    """Are refused with what to write instead, and no traceback."""
    said = ask(shop, *arguments)
    assert (said.code, said.out) == (code, "")
    assert text in said.err


def test_nobody_has_seen_a_stranger(shop: Shop) -> None:
    """A key that no row has or had: no cells, no accesses, and that is the whole answer."""
    said = ask(shop, "who-saw", "--all", "--key", "987654")
    assert said.code == 0
    assert "0 cells (stored values) are or were this person's; 0 accesses" in said.out


def test_what_cannot_be_a_key_is_refused(shop: Shop) -> None:
    """A slip of the pen is not the answer that nobody has seen anything."""
    for tables in (("--all",), ("--table", "public.customers")):
        said = ask(shop, "who-saw", *tables, "--key", "it's not a number; --")
        assert (said.code, said.out) == (1, "")
        assert "is no value of column id (integer)" in said.err


@pytest.mark.parametrize("written", ["04242", " 4242 ", "+4242"])
def test_a_key_is_what_its_type_says(shop: Shop, written: str) -> None:
    """However it is written: of rows that are there and of rows that are gone."""
    said = ask(shop, "who-saw", "--all", "--key", written, "--json")
    assert said.code == 0, said
    assert len(json.loads(said.out)["accesses"]) == 2
    assert (
        len(json.loads(ask(shop, "who-saw", "--all", "--key", "01", "--json").out)["accesses"]) > 1
    )


def test_a_file_that_is_gone_is_said_where_it_was(shop: Shop, tmp_path: Path) -> None:
    """Rotated files before it and behind it are there, and the window begins within what is missing."""
    config = shop.config.read_text()
    whole = shop.audit_path.read_bytes().splitlines(keepends=True)
    third = len(whole) // 3
    moments = [json.loads(line)["time"] for line in whole]
    since = moments[third]
    behind = next(n for n, moment in enumerate(moments) if n > third + 1 and moment > since)
    copy = tmp_path / "audit.jsonl"
    earlier = "20990101T000000Z"
    copy.with_name(f"audit.jsonl.{earlier}-{third}").write_bytes(b"".join(whole[:third]))
    copy.write_bytes(b"".join(whole[behind:]))
    shop.config.write_text(
        config.replace('path = "audit.jsonl"', f'path = "{copy}"\nstate = "{tmp_path}/state"')
    )
    window = ("--from", datetime.fromtimestamp(since / 1000, UTC).isoformat())
    try:
        for question in (AFFECTED, ("who-saw", "--all", "--key", "1")):
            told = json.loads(ask(shop, *question, *window, "--json").out)
            assert f"event {third} is followed by event {behind + 1}: some are missing" in "".join(
                told["missing"]
            )
    finally:
        shop.config.write_text(config)


def test_an_end_that_is_gone_is_said(shop: Shop) -> None:
    """The newest events are cut off at a line's end: what is left looks whole, but the state knows of more."""
    whole = shop.audit_path.read_bytes()
    state = shop.audit_path.with_name("audit.jsonl.state")
    head = (state / "head").read_bytes()
    lines = whole.splitlines(keepends=True)
    try:
        for question in (AFFECTED, ("who-saw", "--all", "--key", "1")):
            shop.audit_path.write_bytes(b"".join(lines[:-3]))
            (state / "head").write_bytes(head)
            said = ask(shop, *question, "--json")
            assert said.code == 1
            assert "the end is missing" in "".join(json.loads(said.out)["missing"])
    finally:
        shop.audit_path.write_bytes(whole)
        (state / "head").write_bytes(head)


def test_people_that_cannot_be_named_any_more(shop: Shop) -> None:
    """The subject's table was renamed past everything: nobody is counted, and that is said."""
    shop.database.psql("ALTER TABLE orders RENAME TO purchases")
    try:
        said = ask(shop, *AFFECTED, "--json")
    finally:
        shop.database.psql("ALTER TABLE purchases RENAME TO orders")
    assert said.code == 1
    assert "public.orders of [subjects] is not there" in "".join(json.loads(said.out)["missing"])


def test_values_that_were_replaced_before_a_rename_are_said(shop: Shop) -> None:
    """The history has them under the old name: they are not left out of an answer about the new one in silence."""
    shop.database.psql(
        "UPDATE sealgate.cell_history SET relation = 'public.patrons' WHERE relation = 'public.customers'"
    )
    try:
        for question in (
            AFFECTED,
            ("who-saw", "--table", "public.customers", "--key", "0" + PERSONAL),
        ):
            said = ask(shop, *question, "--json")
            assert said.code == 1
            assert "values of public.patrons, which is no sealed table now" in "".join(
                json.loads(said.out)["missing"]
            )
        assert ask(shop, "who-saw", "--all", "--key", "1").code == 0
    finally:
        shop.database.psql(
            "UPDATE sealgate.cell_history SET relation = 'public.customers' WHERE relation = 'public.patrons'"
        )
