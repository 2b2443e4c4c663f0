"""The incident report says what the log shows: no more, no less, and what it cannot know."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from proxy.audit.finding import detected
from proxy.detection.finding import Finding
from proxy.disclosure.gathered import Gathered
from proxy.report import law
from proxy.report.incident import _traced
from proxy.report.persons import persons
from proxy.report.times import moment
from tests.report.a_log import (
    BIRTH,
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

WHOLE = ("--from", "2026-11-16", "--to", "2026-11-17")
FINDING = "f" * 32


def counted(
    events: list[dict[str, Any]], session: str = "", since: int = 0, until: int = 1 << 60
) -> dict[tuple[str, str], list[Any]]:
    """(column, outcome) -> cells, statements, rows, ids: by hand."""
    found: dict[tuple[str, str], list[Any]] = {}
    for event in events:
        if not event["metadata"]["event_code"].startswith("statement."):
            continue
        if event["metadata"]["event_code"] == "statement.refused":
            continue
        if not since <= event["time"] < until:
            continue
        if session and event["actor"]["session"]["uid"] != session:
            continue
        ours = event["unmapped"]["sealgate"]
        for column in ours["columns"]:
            entry = found.setdefault((column["name"], column["outcome"]), [0, 0, 0, set()])
            entry[0] += column["cells"]
            entry[1] += 1
            entry[2] += ours["rows"]
            entry[3] |= set(column.get("cell_ids", ()))
    return found


def test_the_numbers_are_those_of_the_log(a_shop: Office) -> None:
    """Cells, statements, rows and distinct values per column and outcome, counted independently."""
    report = a_shop.report("incident", *WHOLE)
    expected = counted(a_shop.events())
    told = {
        (one["column"], one["outcome"]): (one["cells"], one["events"], one["rows"])
        for one in report["columns"]
    }
    assert told == {key: tuple(entry[:3]) for key, entry in expected.items()}
    distinct = {
        (one["column"], one["outcome"]): one["distinct_values"] for one in report["columns"]
    }
    assert distinct[SSN, "masked"] == len(expected[SSN, "masked"][3])
    clear = sum(entry[0] for (_, outcome), entry in expected.items() if outcome == "clear")
    assert report["cells"]["clear"] == clear
    assert sum(one["cells"]["clear"] for one in report["logins"]) == clear
    assert sum(one["cells"]["clear"] for one in report["sessions"]) == clear
    assert sum(bucket["clear"] for bucket in report["activity"]) == clear
    assert report["evidence"]["whole"] is True


def test_values_in_a_side_file_are_counted(a_shop: Office) -> None:
    """Four reads of 300 values, of which 600 are different: the ids are beside the log, not in it."""
    report = a_shop.report("incident", *WHOLE, "--session", "s-thief")
    assert [(c["column"], c["cells"], c["distinct_values"]) for c in report["columns"]] == [
        (EMAIL, 1200, 600)
    ]
    assert report["cells_without_ids"] == 0


def test_a_side_file_that_is_gone_is_said(a_shop: Office) -> None:
    """Not fewer values, but not known which; and the log is not whole."""
    a_shop.path.with_name("audit.jsonl.cells").unlink()
    report = a_shop.report("incident", *WHOLE, "--session", "s-thief", code=1)
    assert report["cells_without_ids"] == 1200
    assert report["cells"]["clear"] == 1200
    assert report["evidence"]["verdict"]["result"] != "ok"


def test_only_what_was_selected_is_counted(a_shop: Office) -> None:
    """A window and a login: to the millisecond, end not included."""
    events = a_shop.events()
    mine = [
        event
        for event in events
        if event["metadata"]["event_code"] == "statement.read"
        and event["actor"]["user"]["name"] == "cy"
    ]
    since, until = mine[3]["time"], mine[9]["time"]
    expected = counted(mine, since=since, until=until)
    report = a_shop.report("incident", "--from", rfc(since), "--to", rfc(until), "--login", "cy")
    assert {(c["column"], c["outcome"]): c["cells"] for c in report["columns"]} == {
        key: entry[0] for key, entry in expected.items()
    }
    assert [one["login"] for one in report["logins"]] == ["cy"]


def rfc(milliseconds: int) -> str:
    from datetime import UTC, datetime, timedelta

    moment = datetime.fromtimestamp(0, UTC) + timedelta(milliseconds=milliseconds)
    return moment.isoformat(timespec="milliseconds")


def test_a_finding_selects_its_session_and_a_window(a_shop: Office) -> None:
    """The stolen login's session, not the rest of that login; from a day before to an hour behind."""
    report = a_shop.report("incident", "--finding", FINDING)
    assert {one["session"] for one in report["sessions"]} == {"s-thief"}
    assert report["detection"]["findings"] == 1
    assert report["detection"]["delay"] == "5 min"
    assert report["detection"]["shown_before_containment"] == 1200
    codes = [one["event_code"] for one in report["timeline"]]
    assert codes.index("detection.budget_cells") < codes.index("containment.begun")
    assert "containment.ended" in codes


def test_findings_about_nobody_are_in_the_timeline(
    office: Office, logged: Callable[[], ALog]
) -> None:
    """A silent log, an address that tries passwords: told whatever is selected, counted where everybody is."""
    log = logged()
    log.at(MONDAY + HOUR).put(
        detected(
            Finding("silence", "The log is silent", "", "alert", "alerted", "high", uid="e" * 32)
        )
    )
    log.does(origin("bo", "s1"), [(EMAIL, "clear", "r", [cell(1)])])
    log.close()
    for more, count in (((), 1), (("--login", "bo"), 0)):
        report = office.report("incident", *WHOLE, *more)
        assert "detection.silence" in [one["event_code"] for one in report["timeline"]]
        assert report["detection"]["findings"] == count


def test_a_finding_that_is_not_in_the_log_is_refused(a_shop: Office) -> None:
    """No report about something else."""
    assert a_shop.run("incident", "--finding", "0" * 32) == 1
    assert "no finding" in a_shop.err


def test_only_sealed_is_what_was_never_released(a_shop: Office) -> None:
    """birth_date was compared only: nobody got any of it, and yet a guess could be tried (Art. 34(3)(a) does not hold)."""
    report = a_shop.report("incident", *WHOLE)
    assert report["never_released"] == [BIRTH]
    assert {one["column"]: one["holds"] for one in report["unintelligible"]} == {
        EMAIL: False,
        SSN: False,
        BIRTH: False,
    }
    thief = a_shop.report("incident", *WHOLE, "--session", "s-thief")
    assert thief["never_released"] == [BIRTH, SSN]
    assert {one["column"]: one["holds"] for one in thief["unintelligible"]} == {
        EMAIL: False,
        SSN: True,
        BIRTH: True,
    }


def test_nothing_is_called_unintelligible_by_a_broken_log(a_shop: Office) -> None:
    """A line altered: the log can no longer prove that nothing was released."""
    lines = a_shop.path.read_bytes().splitlines(keepends=True)
    a_shop.path.write_bytes(b"".join(lines[:50] + lines[51:]))
    report = a_shop.report("incident", *WHOLE, "--session", "s-thief", code=1)
    assert report["evidence"]["whole"] is False
    assert not any(one["holds"] for one in report["unintelligible"])
    assert any("follows" in gap["text"] for gap in report["evidence"]["gaps"])
    assert "may be incomplete" in a_shop.err
    a_shop.run("incident", *WHOLE, "--format", "md")
    assert "This report may be incomplete" in a_shop.out


def test_lines_that_are_no_event_are_counted(a_shop: Office) -> None:
    """Junk in the log is said."""
    with a_shop.path.open("ab") as file:
        file.write(b"{junk\n\xff\xfe\n")
    report = a_shop.report("incident", *WHOLE, code=1)
    assert report["evidence"]["unreadable"] == 2
    assert report["evidence"]["whole"] is False


def test_an_empty_log_makes_an_empty_report(office: Office) -> None:
    """Not an error, and no claim that all is well: there is nothing that was verified."""
    report = office.report("incident", *WHOLE, code=1)
    assert (report["columns"], report["logins"], report["keys"]) == ([], [], [])
    assert report["never_released"] == sorted([EMAIL, SSN, BIRTH])
    assert report["evidence"]["events"] == 0
    for form in ("md", "html"):
        office.run("incident", *WHOLE, "--format", form)
        assert "touched no sealed column" in office.out


def test_the_clock_of_72_hours(a_shop: Office) -> None:
    """From when the controller became aware; over is over; unknown is a person's to say."""
    report = a_shop.report("incident", *WHOLE, "--aware", "2026-11-16T20:00+01:00")
    assert report["clock"]["aware"] == "2026-11-16T19:00:00.000Z"
    assert report["clock"]["deadline"] == "2026-11-19T19:00:00.000Z"
    assert report["clock"]["over"] is True
    assert report["clock"]["remaining_seconds"] < 0
    late = next(f for f in report["gdpr_33"] if f["article"] == "33(1)")
    assert late["answer"] == [{"human": "reasons for the delay: the 72 hours are over"}]
    unknown = a_shop.report("incident", *WHOLE)
    assert "human" in unknown["clock"]["deadline"]


def test_key_exposure_names_the_versions_that_opened(
    office: Office, logged: Callable[[], ALog]
) -> None:
    """Per column and version; masked opens as well as clear; withheld and compared open nothing."""
    log = logged()
    who = origin("bo", "s1")
    log.at(MONDAY + HOUR)
    log.does(who, [(EMAIL, "clear", "r", [cell(1), cell(2)])], version=1)
    log.does(who, [(EMAIL, "clear", "r", [cell(3)]), (SSN, "masked", "r", [cell(4)])], version=2)
    log.does(who, [(BIRTH, "withheld", "default.deny", [cell(5)])], version=3)
    log.close()
    (office.directory / "keystore.json").write_text(
        '{"keys": [{"id": 77, "column": "public.customers.email", "purpose": "data", "version": 2,'
        ' "created": "2026-01-01T00:00:00Z", "state": "active", "wrapped": "c2VjcmV0"}]}'
    )
    report = office.report("incident", *WHOLE)
    keys = [(k["column"], k["version"], k["cells"]) for k in report["keys"]]
    assert keys == [(EMAIL, 1, 2), (EMAIL, 2, 1), (SSN, 2, 1)]
    assert report["keys"][1]["key_id"] == 77
    assert "human" in report["keys"][0]["key_id"]
    assert all("human" in key["unknown"] for key in report["keys"])
    assert "root.key" in report["root_key"]


def test_persons_that_were_not_found_are_not_none() -> None:
    """Nobody traced is no zero: Art. 33(3)(a) says at least, and asks; so it does of rows that name nobody."""
    for held, expected in (
        ([], "At least 0. "),
        ([(cell(1), "public.customers", '["7"]', True)], "At least 1. "),
        ([(cell(n), "public.customers", '["7"]', False) for n in (1, 2)], "At least 0. "),
        ([(cell(n), "public.customers", f'["{n}"]', True) for n in (1, 2)], "2, by the subject"),
    ):
        with Gathered() as gathered:
            gathered.add(EMAIL, "clear", [cell(1), cell(2)], MONDAY)
            gathered.hold([(*one, "public.customers", '{"id": "7"}', True) for one in held])
            found = persons(gathered, [], [], 0, named=True)
        known = law.Known(
            *(moment(0), moment(1), 1, 2, 0, (EMAIL,), (), (), ()),
            *(found.persons_shown, not _traced(found), 2, False, 0, 0, True),
        )
        assert str(law._persons(known)[0]).startswith(expected)


def test_a_table_that_was_not_asked_is_not_one_without_rows() -> None:
    """Its values are not said to be gone, and the number of persons is not said to be known."""
    with Gathered() as gathered:
        gathered.add(EMAIL, "clear", [cell(1)], MONDAY)
        gathered.add("public.orders.note", "clear", [cell(2)], MONDAY)
        found = persons(gathered, ["why"], ["public.customers"], 0, named=False)
    assert (found.cells_without_row, found.complete) == (1, False)
    assert found.not_asked == ("public.customers",)


def test_who_is_told_with_what_clients_claim(a_shop: Office) -> None:
    """Actors of comments, addresses, failed logins, refusals."""
    report = a_shop.report("incident", *WHOLE, "--login", "bo")
    (bo,) = report["logins"]
    assert set(bo["addresses"]) == {"10.1.4.8", "203.0.113.9"}
    assert bo["failed_logins"] == 3
    assert set(bo["claimed_actors"]) <= {"u0", "u1", "u2"}
    assert bo["sessions"] == 2
    refused = Counter(
        event["actor"]["user"]["name"]
        for event in a_shop.events()
        if event["metadata"]["event_code"] == "statement.refused"
    )
    assert bo["refused"] == refused["bo"] == sum(one["times"] for one in report["refused"])


def test_the_report_is_recorded_before_it_is_shown(a_shop: Office) -> None:
    """Who asked for what; and a log that cannot be written shows nothing."""
    a_shop.run("incident", *WHOLE, "--login", "bo")
    last = a_shop.events()[-1]
    assert last["metadata"]["event_code"] == "audit.queried"
    assert last["unmapped"]["sealgate"]["command"] == "report incident"
    assert "login=bo" in last["unmapped"]["sealgate"]["arguments"]
    state = a_shop.path.with_name("audit.jsonl.state")
    (state / "head").write_bytes(b"broken")
    code = a_shop.run("incident", *WHOLE, "--no-verify")
    assert code == 1
    assert a_shop.out == ""
    assert "cannot be recorded" in a_shop.err


def test_three_files_that_belong_together(a_shop: Office) -> None:
    """All name the SHA-256 of the JSON file; only the owner may read them; none is overwritten."""
    out = a_shop.directory / "case"
    arguments = ("incident", *WHOLE, "--case", "C-7", "--out", str(out))
    assert a_shop.run(*arguments) == 0
    digest = hashlib.sha256((out / "incident-C-7.json").read_bytes()).hexdigest()
    for form in ("md", "html"):
        assert digest in (out / f"incident-C-7.{form}").read_text()
    assert {file.stat().st_mode & 0o777 for file in out.iterdir()} == {0o600}
    assert a_shop.run(*arguments) == 1
    assert "not overwritten" in a_shop.err


def test_more_than_is_listed_is_still_counted(office: Office, logged: Callable[[], ALog]) -> None:
    """600 sessions: 500 listed, the others counted, the sums of all."""
    log = logged()
    log.at(MONDAY + HOUR)
    for number in range(600):
        log.does(origin("bo", f"s{number}"), [(EMAIL, "clear", "r", [cell(number)])])
    log.close()
    report = office.report("incident", *WHOLE)
    assert len(report["sessions"]) == 500
    assert report["sessions_left_out"] == 100
    assert report["cells"]["clear"] == 600
    assert report["logins"][0]["sessions"] == 600


def test_who_only_tries_hides_nobody(
    office: Office, logged: Callable[[], ALog], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Made-up names by the thousand before the theft: who got in is told all the same, in both reports, and is not dormant."""
    monkeypatch.setattr("proxy.report.tallies.Tallies.__init__.__defaults__", (50,))
    log = logged()
    thief = origin("bo", "s-thief", roles=("support",), host="203.0.113.9")
    log.at(MONDAY + HOUR).fails(thief)
    for number in range(200):
        log.fails(origin(f"made up {number}", f"f{number}"))
    log.opens(thief)
    log.does(thief, [(EMAIL, "clear", "roles.support.clear", [cell(1)])])
    log.close()
    report = office.report("incident", *WHOLE)
    assert report["logins"][0]["login"] == "bo"
    assert report["logins"][0]["failed_logins"] == 1
    assert report["logins"][0]["cells"]["clear"] == 1
    assert [one["session"] for one in report["sessions"]] == ["s-thief"]
    assert report["not_told_apart"] == ["failed logins"]
    review = office.report("access-review", "--period", "1d", "--until", "2026-11-17")
    (bo,) = [one for one in review["logins"] if one["login"] == "bo"]
    assert (bo["dormant"], bo["failed"]) == (False, 1)


def test_more_than_is_told_apart_is_said(
    office: Office, logged: Callable[[], ALog], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Past the bound the sums still hold, and the report says of what there was more."""
    monkeypatch.setattr("proxy.report.tallies.Tallies.__init__.__defaults__", (3,))
    log = logged()
    log.at(MONDAY + HOUR)
    for number in range(5):
        log.does(origin(f"u{number}", "s1"), [(f"public.t.c{number}", "clear", "r", [cell(1)])])
    log.close()
    report = office.report("incident", *WHOLE)
    assert report["cells"]["clear"] == 5
    assert set(report["not_told_apart"]) == {"logins", "columns", "keys"}
    office.run("incident", *WHOLE)
    assert "than are told apart" in office.out


def test_what_is_missing_on_the_command_line_is_said(office: Office) -> None:
    """A window without a time zone, no window, a strange case id."""
    assert office.run("incident") == 2
    for time in ("2026-11-16T08:00", "yesterday"):
        with pytest.raises(SystemExit, match="2"):
            office.run("incident", "--from", time)
    assert office.run("incident", "--from", "2026-11-17", "--to", "2026-11-16") == 2
    assert office.run("changes", "--since", "2126-01-01") == 2
    assert office.run("incident", *WHOLE, "--case", "../x") == 1


def test_times_before_and_behind_midnight(office: Office, logged: Callable[[], ALog]) -> None:
    """The first millisecond of the window is in it, its end is not."""
    log = logged()
    who = origin("bo", "s1")
    for number, time in enumerate((MONDAY - 1, MONDAY, MONDAY + DAY - 1, MONDAY + DAY)):
        log.at(time).does(who, [(EMAIL, "clear", "r", [cell(number)])])
    log.close()
    report = office.report("incident", *WHOLE)
    assert report["cells"]["clear"] == 2
    assert report["logins"][0]["first"] == "2026-11-16T00:00:00.000Z"
    assert report["logins"][0]["last"] == "2026-11-16T23:59:59.999Z"


def test_no_path_of_the_report_names_a_value(a_shop: Office) -> None:
    """The control dsn's password is in the configuration and in no report."""
    for form in ("md", "html", "json"):
        a_shop.run("incident", *WHOLE, "--format", form)
        assert "s3cret-in-dsn" not in a_shop.out
