"""`sealgate audit who-saw`: every access to one person's data, as the person may ask (GDPR Art. 15).

Exit codes: 0 the whole answer, 1 an answer with something missing (each thing is said) or refused, 2 usage.
"""

from __future__ import annotations

import argparse
import asyncio
import json
from collections.abc import Sequence
from typing import Any

from proxy.audit.event import Query
from proxy.audit.text import clean
from proxy.commands.audit_affected import Teller, add_window, asked, window
from proxy.commands.errors import CommandRefused
from proxy.commands.output import aligned
from proxy.commands.resources import connected
from proxy.config import Configuration, load
from proxy.disclosure.log import write_query
from proxy.disclosure.question import Missing, Question
from proxy.disclosure.who_saw import Accesses, accesses, cells_of


def add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--table",
        action="append",
        default=[],
        metavar="TABLE",
        help="schema.table, which [subjects] has; may be given again",
    )
    parser.add_argument(
        "--all", action="store_true", help="every table of [subjects] in which that key can stand"
    )
    parser.add_argument(
        "--key",
        nargs="+",
        required=True,
        metavar="VALUE",
        help="the person: a value for each column of [subjects]",
    )
    add_window(parser)
    parser.add_argument("--json", action="store_true", help="the answer as JSON")
    parser.set_defaults(parser=parser)


def run(options: argparse.Namespace) -> int:
    if bool(options.table) == options.all:
        options.parser.error("say where the person is: --table, or --all")
    since, until = window(options)
    question = Question(since, until)
    configuration = load(options.config)
    tables = _tables(configuration, options.table, len(options.key))
    missing = Missing()
    cells = asyncio.run(_cells(configuration, tables, options.key, missing, options.dsn))
    with Accesses() as found:
        accesses(configuration.audit, question, cells, missing, found, Teller())
        reasons = list(missing)
        arguments = asked(question) | {"tables": ", ".join(tables)}
        write_query(
            configuration.audit, Query("audit who-saw", arguments, 1, found.count, found.cells)
        )
        if options.json:
            _say_json(question, tables, options.key, len(cells), found, reasons)
        else:
            _say(tables, options.key, len(cells), found, reasons)
    return int(bool(reasons))


def _tables(configuration: Configuration, named: Sequence[str], values: int) -> list[str]:
    if named:
        return list(dict.fromkeys(named))
    found = [table for table, columns in configuration.subjects.items() if len(columns) == values]
    if not found:
        raise CommandRefused(
            f"no table of [subjects] names a person by {values} columns. Add the table to [subjects]."
        )
    return found


async def _cells(
    configuration: Configuration,
    tables: Sequence[str],
    key: Sequence[str],
    missing: Missing,
    dsn: str | None,
) -> dict[bytes, str]:
    async with connected(configuration.control, dsn) as connection:
        return await cells_of(connection, configuration.subjects, tables, key, missing)


def _say(
    tables: list[str], key: Sequence[str], cells: int, found: Accesses, missing: list[str]
) -> None:
    print(clean(f"{', '.join(tables)}: {', '.join(key)}"))
    print(f"{cells:,} cells (stored values) are or were this person's; {found.count:,} accesses")
    for access in found:
        print()
        print(f"{access['time']}  {access['outcome']}  {access['column']}")
        print(aligned(_lines(access)))
    if missing:
        print()
        print("INCOMPLETE:")
        for reason in missing:
            print(f"  {reason}")


def _lines(access: dict[str, Any]) -> list[tuple[str, str]]:
    claimed = ", ".join(f"{name} {value}" for name, value in access["claimed"].items())
    others = [role for role in access["roles"] if role != access["login"]]
    lines = [
        ("login", access["login"] + (f", member of {', '.join(others)}" if others else "")),
        ("session", access["session"]),
        ("from", " ".join(part for part in (access["address"], access["application"]) if part)),
        ("claimed", f"{claimed} (by the client, not verified)" if claimed else ""),
        ("statement", access["statement"]),
        ("fingerprint", access["fingerprint"]),
        ("event", str(access["sequence"])),
    ]
    return [line for line in lines if line[1]]


def _say_json(
    question: Question,
    tables: list[str],
    key: Sequence[str],
    cells: int,
    found: Accesses,
    missing: list[str],
) -> None:
    head = {"asked": asked(question), "tables": tables, "key": list(key), "cells": cells}
    print(json.dumps(head, ensure_ascii=False)[:-1] + ', "accesses": [')
    comma = ""
    for access in found:
        print(comma + json.dumps(access, ensure_ascii=False), end="")
        comma = ",\n"
    tail = {"complete": not missing, "missing": missing}
    print("],\n" + json.dumps(tail, indent=1, ensure_ascii=False)[1:])
