"""`sealgate report access-review`: what the policy grants against what the log shows to be used.

Exit codes: 0 made, 1 made but the log is not known to be whole (or refused), 2 usage.
"""

from __future__ import annotations

import argparse
import asyncio
from functools import partial

from proxy.audit.queried import Query
from proxy.commands.errors import CommandRefused
from proxy.commands.reporting import (
    add_output,
    asker,
    at,
    evidence,
    finished,
    log_begins,
    publish,
    record,
    scan,
    verdict,
)
from proxy.commands.resources import connected
from proxy.config import Configuration, parse, read_text
from proxy.report.document import digest
from proxy.report.evidence import Reading
from proxy.report.logins import Roles
from proxy.report.review import Subject, review
from proxy.report.review_page import page
from proxy.report.roles import look
from proxy.report.times import BadTime, moment, period, rfc3339
from proxy.report.use import REVIEW, Use

_BEFORE = ("policy.loaded", "audit.queried")
_DAY = 86_400_000


def add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--period",
        type=_period,
        default=90 * _DAY,
        metavar="90d",
        help="how far back (default: 90d)",
    )
    parser.add_argument("--until", type=at, metavar="TIME", help="end of the period (default: now)")
    parser.add_argument(
        "--rare",
        type=int,
        default=10,
        metavar="N",
        help="fewer events than this are called rare (default: %(default)s)",
    )
    parser.add_argument(
        "--dsn", metavar="DSN", help="connect with this login (default: [control] dsn)"
    )
    parser.add_argument(
        "--no-database", action="store_true", help="do not ask the database about its roles"
    )
    parser.add_argument(
        "--sign-off", metavar="NAME", help="record in the log that NAME has reviewed this"
    )
    parser.add_argument(
        "--decision",
        metavar="TEXT",
        help="with --sign-off: keep, revoke, reduce, exception until ...",
    )
    add_output(parser)


def run(options: argparse.Namespace) -> int:
    if (options.sign_off is None) != (options.decision is None):
        raise CommandRefused("--sign-off and --decision come together: who decided what.")
    content = read_text(options.config)
    configuration = parse(content, options.config)
    who = asker()
    until = who.now if options.until is None else options.until
    since = max(0, until - options.period)
    roles, database = _roles(configuration, options)
    of = verdict(configuration, options)
    reading, use = Reading(since, until), Use(since)

    def wanted(code: str, time: int) -> bool:
        return time >= since or code in _BEFORE

    read, seen = scan(configuration, None, until, wanted)
    for one in seen:
        if one.time >= since:
            reading.see(one)
            use.see(one)
        else:
            use.before(one)
    found = evidence(reading, read, of)
    subject = Subject(
        since=since,
        until=until,
        covered_since=log_begins(configuration.audit.path),
        generated=who.generated,
        prepared_by=who.name,
        policy=configuration.policy,
        content=content,
        file=options.config,
        roles=roles,
        database=database,
        rare_below=max(1, options.rare),
        signed_by=options.sign_off or "",
        decision=options.decision or "",
    )
    report = review(subject, use, found)
    arguments = {
        "since": rfc3339(moment(since)),
        "until": rfc3339(moment(until)),
        "policy": configuration.policy.version,
        "sha256": digest(report),
    }
    if options.sign_off is not None:
        arguments |= {"signed_by": options.sign_off, "decision": options.decision}
    record(configuration, who, Query(REVIEW, arguments, events=found.events))
    publish(options, f"access-review-{who.generated:%Y%m%dT%H%M%SZ}", report, partial(page, report))
    return finished(found)


def _roles(configuration: Configuration, options: argparse.Namespace) -> tuple[Roles | None, str]:
    if options.no_database:
        return None, "--no-database was given"

    async def asked() -> Roles:
        async with connected(configuration.control, options.dsn) as connection:
            return await look(connection, configuration.policy)

    try:
        return asyncio.run(asked()), "read"
    except CommandRefused as refused:
        raise CommandRefused(f"{refused} Or give --no-database.") from None


def _period(text: str) -> int:
    try:
        return period(text)
    except BadTime as error:
        raise argparse.ArgumentTypeError(str(error)) from None
