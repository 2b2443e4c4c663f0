"""What the three report commands share: the log read once, the verdict, the event about it, the files. [io]

The event `audit.queried` is written before anything of the report is shown; where it cannot be written, nothing is.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from proxy.audit.log import AuditFailed, AuditLog
from proxy.audit.operator import operator
from proxy.audit.queried import Query, queried
from proxy.audit.reading import Events, events, lines, log_files, parsed
from proxy.commands.audit_verify import Unusable, state_of, verdict_of
from proxy.commands.errors import CommandRefused
from proxy.config import Configuration
from proxy.report.document import Document, canonical, digest
from proxy.report.evidence import NOT_VERIFIED, Evidence, Reading, Verdict
from proxy.report.html import html
from proxy.report.markdown import markdown
from proxy.report.read import Seen, number, seen, spoken_operator
from proxy.report.times import BadTime, epoch

DONE, INCOMPLETE = 0, 1
_PROBLEMS: Final = 20
_SAY_EVERY_SECONDS: Final = 2.0


@dataclass(frozen=True, slots=True)
class Asker:
    """Who has the report made, and when."""

    operator: Mapping[str, Any]
    now: int

    @property
    def name(self) -> str:
        return spoken_operator(dict(self.operator))

    @property
    def generated(self) -> datetime:
        return datetime.fromtimestamp(self.now // 1000, UTC)


def asker() -> Asker:
    return Asker(operator(), time.time_ns() // 1_000_000)


def add_output(parser: argparse.ArgumentParser) -> None:
    where = parser.add_mutually_exclusive_group()
    where.add_argument(
        "--format",
        choices=("md", "html", "json"),
        default="md",
        help="what to print (default: %(default)s)",
    )
    where.add_argument(
        "--out",
        type=Path,
        metavar="DIR",
        help="write all three forms into this directory instead, readable by you only",
    )
    where.add_argument(
        "--json",
        action="store_const",
        const="json",
        dest="format",
        help="the same as --format json",
    )
    parser.add_argument(
        "--no-verify",
        action="store_true",
        help="do not verify the log first; the report says so and claims less",
    )


def at(text: str) -> int:
    """A time on the command line, for argparse."""
    try:
        return epoch(text)
    except BadTime as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def scan(
    configuration: Configuration, since: int | None, until: int, wanted: Callable[[str, int], bool]
) -> tuple[Events, Iterator[Seen]]:
    """The log's events before `until`, those that are `wanted` by code and time. Says on stderr how far it is."""
    read = events(configuration.audit.path, since, until)
    return read, _seen(read, wanted)


def _seen(read: Events, wanted: Callable[[str, int], bool]) -> Iterator[Seen]:
    told = time.monotonic()
    for count, event in enumerate(read, 1):
        if not count & 0xFFF and time.monotonic() - told > _SAY_EVERY_SECONDS:
            told = time.monotonic()
            print(f"{count:,} events read", file=sys.stderr, flush=True)
        metadata = event.get("metadata")
        code = metadata.get("event_code") if isinstance(metadata, dict) else None
        if wanted(code if isinstance(code, str) else "", number(event.get("time"))):
            yield seen(event)


def log_begins(path: Path) -> int | None:
    """Time of the first event of the log's oldest file; None: there is none."""
    for line in lines(log_files(path)):
        event = None if line.damage else parsed(line.raw)
        if event is not None and number(event.get("time")):
            return number(event.get("time"))
    return None


def verdict(configuration: Configuration, options: argparse.Namespace) -> Verdict:
    """What `sealgate audit verify` says."""
    if options.no_verify:
        return Verdict(NOT_VERIFIED, (), ("everything: --no-verify was given",))
    try:
        found = verdict_of(configuration)
    except Unusable as unusable:
        return Verdict(NOT_VERIFIED, (str(unusable),))
    problems = [
        f"{one.kind.word}: {f'event {one.sequence}: ' if one.sequence is not None else ''}{one.text}"
        for one in found.issues[:_PROBLEMS]
    ]
    more = sum(found.counts.values()) - len(problems)
    if more > 0:
        problems.append(f"and {more} more: see `sealgate audit verify`")
    return Verdict(found.kind.word, tuple(problems), tuple(found.unchecked))


def evidence(reading: Reading, read: Events, of: Verdict) -> Evidence:
    return reading.evidence(of, read.unreadable)


def record(configuration: Configuration, who: Asker, query: Query) -> None:
    """The report's own event. Raises CommandRefused: what is not recorded is not shown."""
    try:
        log = AuditLog.join(configuration.audit.path, state_of(configuration))
        try:
            log.write(queried(query, who.operator))
        finally:
            log.close()
    except AuditFailed as failed:
        raise CommandRefused(
            f"the report is not shown, because that cannot be recorded: {failed}"
        ) from None


def publish(
    options: argparse.Namespace, name: str, report: object, page: Callable[[str], Document]
) -> None:
    """Prints the report, or writes its three files. `page` lays it out, given its SHA-256."""
    if options.out is None:
        sys.stdout.write(_form(options.format, report, page))
        return
    options.out.mkdir(mode=0o700, parents=True, exist_ok=True)
    for form in ("json", "md", "html"):
        file = options.out / f"{name}.{form}"
        try:
            descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            raise CommandRefused(f"{file} exists and is not overwritten.") from None
        with os.fdopen(descriptor, "w", encoding="utf-8") as out:
            out.write(_form(form, report, page))
        print(file)


def _form(form: str, report: object, page: Callable[[str], Document]) -> str:
    if form == "json":
        return canonical(report).decode()
    document = page(digest(report))
    return html(document) if form == "html" else markdown(document)


def finished(found: Evidence) -> int:
    """The exit code; says on stderr why it is not 0."""
    if found.whole:
        return DONE
    print(
        f"sealgate: the report may be incomplete (log: {found.verdict.result}, {found.unreadable} unreadable lines);"
        " it says so",
        file=sys.stderr,
    )
    return INCOMPLETE
