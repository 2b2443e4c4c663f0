"""`sealgate audit affected`: whose data did this login see, from when to when?

Exit codes: 0 the whole answer, 1 an answer with something missing (each thing is said) or refused, 2 usage.
"""

from __future__ import annotations

import argparse
import asyncio
import csv
import json
import sys
import time
from typing import Any

from proxy.audit.event import Query
from proxy.audit.text import clean
from proxy.commands.output import aligned
from proxy.commands.resources import connected
from proxy.config import Configuration, load
from proxy.disclosure.affected import gather, name
from proxy.disclosure.gathered import Gathered, Person, Seen, Total
from proxy.disclosure.log import write_query
from proxy.disclosure.question import Missing, Question
from proxy.report.times import BadTime, epoch, moment, rfc3339, said

_FOREVER = 1 << 53
_SAY_EVERY_SECONDS = 2.0


def add(parser: argparse.ArgumentParser) -> None:
    add_window(parser)
    parser.add_argument("--login", help="what this database login saw")
    parser.add_argument("--session", metavar="UID", help="what was seen in this session")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="the answer as JSON")
    form.add_argument("--csv", action="store_true", help="a line for each row, column and outcome")
    parser.set_defaults(parser=parser)


def add_window(parser: argparse.ArgumentParser) -> None:
    """What the questions to the log have in common."""
    parser.add_argument(
        "--from",
        dest="since",
        type=instant,
        metavar="TIME",
        help="2026-11-23T09:00Z or a date (UTC)",
    )
    parser.add_argument(
        "--to", dest="until", type=instant, metavar="TIME", help="not including it (default: now)"
    )
    parser.add_argument(
        "--dsn", metavar="DSN", help="connect with this login (default: [control] dsn)"
    )


def instant(text: str) -> int:
    try:
        return epoch(text)
    except BadTime as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def window(options: argparse.Namespace) -> tuple[int, int]:
    since = 0 if options.since is None else options.since
    until = _FOREVER if options.until is None else options.until
    if since >= until:
        options.parser.error("--from is not before --to")
    return since, until


def run(options: argparse.Namespace) -> int:
    if options.login is None and options.session is None:
        options.parser.error("say whose reading is meant: --login or --session")
    since, until = window(options)
    question = Question(since, until, options.login, options.session)
    configuration = load(options.config)
    missing = Missing()
    with Gathered() as gathered:
        events = gather(configuration.audit, question, gathered, missing, Teller())
        asyncio.run(_name(configuration, gathered, missing, options.dsn))
        reasons = list(missing)
        write_query(
            configuration.audit,
            Query("audit affected", asked(question), 0, events, gathered.cells),
        )
        say = _say_json if options.json else _say_csv if options.csv else _say
        say(question, events, gathered, reasons)
        if options.csv:
            for reason in reasons:
                print(f"sealgate: incomplete: {reason}", file=sys.stderr)
    return int(bool(reasons))


async def _name(
    configuration: Configuration, gathered: Gathered, missing: Missing, dsn: str | None
) -> None:
    async with connected(configuration.control, dsn) as connection:
        await name(connection, gathered, configuration.subjects, missing)


class Teller:
    """Says on stderr every two seconds how far the log is read."""

    def __init__(self) -> None:
        self._said = time.monotonic()

    def __call__(self, events: int) -> None:
        now = time.monotonic()
        if now - self._said >= _SAY_EVERY_SECONDS:
            self._said = now
            print(f"{events:,} events read", file=sys.stderr, flush=True)


def asked(question: Question) -> dict[str, str]:
    """The question as the log and the answer repeat it."""
    given = {
        "login": question.login,
        "session": question.session,
        "from": rfc3339(moment(question.since)) if question.since else None,
        "to": rfc3339(moment(question.until)) if question.until < _FOREVER else None,
    }
    return {name: value for name, value in given.items() if value is not None}


# -- for people ---------------------------------------------------------------------------------------------------


def _say(question: Question, events: int, gathered: Gathered, missing: list[str]) -> None:
    print(", ".join(f"{name} {value}" for name, value in asked(question).items()))
    least = "at least " if missing else ""
    print(
        f"{events:,} events tell of {gathered.cells:,} cells (stored values) of {least}{gathered.people_count:,} people"
    )
    for person in gathered.people():
        print()
        print(_title(person))
        print(aligned(_line(person, seen) for seen in person.seen))
    totals = gathered.totals()
    if totals:
        print()
        print("altogether")
        print(aligned(_total(total, whole=not missing) for total in totals))
    if missing:
        print()
        print("INCOMPLETE:")
        for reason in missing:
            print(f"  {reason}")


def _title(person: Person) -> str:
    if not person.named:
        return f"{person.table}: a row that names nobody"
    return clean(f"{person.table} {', '.join(str(value) for value in person.key)}")


def _line(person: Person, seen: Seen) -> tuple[str, ...]:
    notes = []
    if seen.gone:
        notes.append(f"{_cells(seen.gone)} no longer there")
    if seen.shared:
        notes.append(f"shared: {_cells(seen.shared)} lead to others as well")
    return (
        f"{seen.outcome}",
        seen.column,
        f"row {_row(seen.row)}",
        f"{_cells(seen.cells)}, {_times(seen.times)}",
        f"{_between(seen.first, seen.last)}",
        "; ".join(notes),
    )


def _total(total: Total, *, whole: bool) -> tuple[str, ...]:
    notes = []
    if total.nowhere and whole:
        notes.append(f"{_cells(total.nowhere)} that no row has, or had")
    elif total.nowhere:
        notes.append(f"{_cells(total.nowhere)} in no row that could be asked for")
    if total.shared:
        notes.append(f"{_cells(total.shared)} shared")
    return (
        total.outcome,
        total.column,
        f"{_cells(total.cells)}, {_times(total.times)}",
        f"{total.people:,} people or rows without a name",
        _between(total.first, total.last),
        "; ".join(notes),
    )


def _row(row: dict[str, object]) -> str:
    return clean(", ".join(f"{name} {value}" for name, value in row.items())) or "without a key"


def _cells(number: int) -> str:
    return "1 cell" if number == 1 else f"{number:,} cells"


def _times(number: int) -> str:
    return "once" if number == 1 else f"{number:,} times"


def _between(first: int, last: int) -> str:
    one, other = said(moment(first)), said(moment(last))
    return one if one == other else f"{one} to {other}"


# -- for programs -------------------------------------------------------------------------------------------------


def _say_json(question: Question, events: int, gathered: Gathered, missing: list[str]) -> None:
    """Written person by person: there may be a million."""
    head = {"asked": asked(question), "events": events, "cells": gathered.cells}
    print(json.dumps(head, ensure_ascii=False)[:-1] + ', "people": [')
    comma = ""
    for person in gathered.people():
        print(comma + json.dumps(_as_json(person), ensure_ascii=False, default=str), end="")
        comma = ",\n"
    tail = {
        "totals": [_times_shown(total._asdict()) for total in gathered.totals()],
        "complete": not missing,
        "missing": missing,
    }
    print("],\n" + json.dumps(tail, indent=1, ensure_ascii=False)[1:])


def _as_json(person: Person) -> dict[str, Any]:
    seen = [_times_shown(one._asdict()) for one in person.seen]
    if not person.named:
        return {"table": person.table, "key": None, "seen": seen}
    return {"table": person.table, "key": list(person.key), "seen": seen}


def _times_shown(fields: dict[str, Any]) -> dict[str, Any]:
    return fields | {name: rfc3339(moment(fields[name])) for name in ("first", "last")}


_HEADINGS = (
    *("person_table", "person_key", "row_table", "row_key", "column", "outcome", "cells", "times"),
    *("first", "last", "gone", "shared"),
)


def _say_csv(question: Question, events: int, gathered: Gathered, missing: list[str]) -> None:
    out = csv.writer(sys.stdout)
    out.writerow(_HEADINGS)
    for person in gathered.people():
        key = json.dumps(person.key, ensure_ascii=False) if person.named else ""
        for one in person.seen:
            row = json.dumps(one.row, ensure_ascii=False)
            ends = (rfc3339(moment(one.first)), rfc3339(moment(one.last)))
            out.writerow(
                (
                    person.table,
                    key,
                    one.relation,
                    row,
                    one.column,
                    one.outcome,
                    one.cells,
                    one.times,
                    *ends,
                    one.gone,
                    one.shared,
                )
            )
    for total in gathered.totals():
        if total.nowhere:
            ends = (rfc3339(moment(total.first)), rfc3339(moment(total.last)))
            out.writerow(
                ("", "", "", "", total.column, total.outcome, total.nowhere, "", *ends, "", "")
            )
