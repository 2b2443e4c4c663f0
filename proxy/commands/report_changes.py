"""`sealgate report changes`: every change of policy, keys, configuration, schema, honey, containment and of the log.

Exit codes: 0 made, 1 made but the log is not known to be whole (or refused), 2 usage.
"""

from __future__ import annotations

import argparse
import sys
from functools import partial

from proxy.audit.queried import Query
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
from proxy.config import load
from proxy.report.changes import KINDS, Changed
from proxy.report.changes_page import page
from proxy.report.evidence import Reading
from proxy.report.times import moment, rfc3339


def add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--since", type=at, required=True, metavar="TIME", help="2026-11-01, or 2026-11-01T08:00Z"
    )
    parser.add_argument("--until", type=at, metavar="TIME", help="default: now")
    add_output(parser)


def run(options: argparse.Namespace) -> int:
    configuration = load(options.config)
    who = asker()
    until = who.now if options.until is None else options.until
    if options.since >= until:
        print("sealgate: --since is not before --until (or now)", file=sys.stderr)
        return 2
    of = verdict(configuration, options)
    reading = Reading(options.since, until)
    changed = Changed(options.since, until)
    kinds = tuple(KINDS)

    def wanted(code: str, time: int) -> bool:
        return time >= options.since or code.startswith(kinds)

    read, seen = scan(configuration, None, until, wanted)
    for one in seen:
        changed.see(one)
        if one.time >= options.since:
            reading.see(one)
    found = evidence(reading, read, of)
    report = changed.report(who.generated, who.name, found)
    arguments = {"since": rfc3339(moment(options.since)), "until": rfc3339(moment(until))}
    record(configuration, who, Query("report changes", arguments, events=found.events))
    publish(options, f"changes-{who.generated:%Y%m%dT%H%M%SZ}", report, partial(page, report))
    return finished(found)
