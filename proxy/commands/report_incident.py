"""`sealgate report incident`: what logins and sessions saw in a window, and what the law asks about it.

Exit codes: 0 made, 1 made but the log is not known to be whole (or refused), 2 usage.
"""

from __future__ import annotations

import argparse
import asyncio
import re
import sys
from collections.abc import Mapping
from functools import partial
from typing import Final

from proxy.audit.cells_file import SideFiles
from proxy.audit.disclosed import disclosed
from proxy.audit.queried import Query
from proxy.audit.reading import log_files
from proxy.audit.text import clean
from proxy.commands.errors import CommandRefused
from proxy.commands.reporting import (
    add_output,
    asker,
    at,
    evidence,
    finished,
    publish,
    record,
    scan,
    verdict,
)
from proxy.commands.resources import connected
from proxy.config import Configuration, load
from proxy.disclosure import naming
from proxy.disclosure.gathered import Gathered
from proxy.disclosure.question import Missing
from proxy.report.evidence import Reading
from proxy.report.exposure import KeyFacts, key_list
from proxy.report.human import Human
from proxy.report.incident import Case, Selected, Subjects, incident
from proxy.report.incident_page import page
from proxy.report.observed import Observed
from proxy.report.persons import persons
from proxy.report.selection import Found, Selection, Selector, find
from proxy.report.times import moment, rfc3339

_CASE: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", re.ASCII)
_LARGEST_KEYSTORE: Final = 64 << 20


def add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--from", dest="since", type=at, metavar="TIME", help="2026-11-23T09:00Z")
    parser.add_argument("--to", dest="until", type=at, metavar="TIME", help="default: now")
    for name, text in (
        ("--login", "only this login; may be given again"),
        ("--session", "only this session; may be given again"),
        ("--finding", "what this finding is about, by its uid; may be given again"),
    ):
        parser.add_argument(name, action="append", default=[], metavar="NAME", help=text)
    parser.add_argument(
        "--aware", type=at, metavar="TIME", help="when the controller became aware: the 72 hours"
    )
    parser.add_argument(
        "--case", default="", metavar="ID", help="default: made from day and content"
    )
    parser.add_argument(
        "--note",
        action="append",
        default=[],
        choices=("pci", "hipaa"),
        help="what these rules ask as well; may be given again",
    )
    parser.add_argument(
        "--subjects",
        action="store_true",
        help="name the persons, by their keys; else they are counted",
    )
    parser.add_argument(
        "--dsn", metavar="DSN", help="ask the database as this login (default: [control] dsn)"
    )
    parser.add_argument(
        "--no-database", action="store_true", help="do not ask the database whose data it was"
    )
    add_output(parser)


def run(options: argparse.Namespace) -> int:
    if options.case and not _CASE.fullmatch(options.case):
        raise CommandRefused("--case: write letters, digits, dot, hyphen and _, at most 64.")
    if options.since is None and not options.finding:
        print("sealgate: say --from TIME, or --finding UID", file=sys.stderr)
        return 2
    configuration = load(options.config)
    who = asker()
    found = _found(configuration, options, who.now)
    since = found.window[0] if options.since is None else options.since
    until = options.until if options.until is not None else who.now
    if options.since is None and options.until is None:
        until = found.window[1]
    if since >= until:
        print("sealgate: --from is not before --to (or now)", file=sys.stderr)
        return 2
    selection = _selection(options, found)
    of = verdict(configuration, options)
    reading, observed = Reading(since, until), Observed(selection, since, until)
    read, seen = scan(configuration, since, until, lambda code, time: True)
    log = configuration.audit.path
    with SideFiles(log_files(log), log) as side_files, Gathered() as gathered:
        for one in seen:
            reading.see(one)
            if not observed.see(one):
                continue
            for told in disclosed(one.raw, side_files):
                if told.ids is None:
                    observed.unlisted_cells += told.cells
                else:
                    gathered.add(told.column, told.outcome, told.ids, one.time)
        subjects = _subjects(configuration, options, gathered, observed)
        distinct = {(one.column, one.outcome): one.cells for one in gathered.totals()}
    known = evidence(reading, read, of)
    case = Case(
        selected=Selected(
            moment(since),
            moment(until),
            tuple(options.login),
            tuple(options.session),
            tuple(options.finding),
        ),
        generated=who.generated,
        prepared_by=who.name,
        aware=options.aware,
        case=options.case,
        declared=tuple(configuration.columns),
        keys=_keys(configuration),
        root_key=_root_key(configuration),
        subjects=subjects,
        distinct=distinct,
        notes=tuple(dict.fromkeys(options.note)),
    )
    report = incident(case, observed, known)
    arguments = {
        "from": rfc3339(moment(since)),
        "to": rfc3339(moment(until)),
        **_numbered("login", options.login),
        **_numbered("session", options.session),
        **_numbered("finding", options.finding),
        "case": report.case,
    }
    cells = report.cells.clear + report.cells.masked
    record(
        configuration,
        who,
        Query("report incident", arguments, events=observed.span.events, cells=cells),
    )
    publish(options, f"incident-{report.case}", report, partial(page, report))
    return finished(known)


def _found(configuration: Configuration, options: argparse.Namespace, now: int) -> Found:
    if not options.finding:
        return Found((), 0, 0, ())

    def wanted(code: str, time: int) -> bool:
        return code.startswith(("detection.", "value.", "protocol."))

    _, seen = scan(configuration, None, now, wanted)
    found = find(seen, options.finding)
    if found.missing:
        raise CommandRefused(f"the log has no finding {', '.join(map(clean, found.missing))}")
    return found


def _selection(options: argparse.Namespace, found: Found) -> Selection:
    selectors = list(found.selectors)
    if options.login or options.session:
        logins = frozenset(map(clean, options.login))  # as the log spells them
        selectors.insert(0, Selector(logins, frozenset(map(clean, options.session))))
    return Selection(tuple(selectors), frozenset(options.finding))


def _keys(configuration: Configuration) -> Mapping[tuple[str, int], KeyFacts]:
    """What the keystore's file says; nothing where it is not on this host."""
    try:
        with configuration.keystore.path.open("rb") as file:
            return key_list(file.read(_LARGEST_KEYSTORE))
    except OSError:
        return {}


def _root_key(configuration: Configuration) -> str:
    source = configuration.keystore.root_key
    if source.path is not None:
        return f"file {clean(str(source.path), 1024)} on the proxy's host"
    return f"environment variable {clean(source.name or '')} of the proxy's processes"


def _subjects(
    configuration: Configuration,
    options: argparse.Namespace,
    gathered: Gathered,
    observed: Observed,
) -> Subjects | Human:
    """Whose data it was, asked of the database."""
    if options.no_database:
        return Human("whose data it was: the database was not asked (--no-database)")

    missing = Missing()

    async def asked() -> list[str]:
        async with (
            connected(configuration.control, options.dsn) as connection,
            naming.snapshot(connection),
        ):
            known = await naming.relations(connection, configuration.subjects)
            await naming.hold(connection, gathered, known, missing)
            return sorted(one.label for one in known.values() if one.sealed and not one.readable)

    try:
        not_asked = asyncio.run(asked())
    except CommandRefused as refused:
        raise CommandRefused(f"{refused} Or give --no-database.") from None
    unlisted = observed.unlisted_cells
    return persons(gathered, list(missing), not_asked, unlisted, named=options.subjects)


def _numbered(name: str, values: list[str]) -> dict[str, str]:
    """Several values of one argument, each under a name of its own."""
    if len(values) == 1:
        return {name: values[0]}
    return {f"{name}_{index}": value for index, value in enumerate(values, 1)}
