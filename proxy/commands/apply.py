"""`sealgate apply`: the database in line with the configuration, existing rows sealed. Idempotent.

Columns that were declared since `init` get their keys first: a key that is not used yet harms nobody, a sealed value
whose key was never written down is lost.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import time

import keystore
from keystore import Keyset
from proxy.audit.event import keys_added, schema_applied
from proxy.audit.operator import operator
from proxy.commands.output import say_json
from proxy.commands.recorded import tell
from proxy.commands.resources import connected
from proxy.config import Configuration, load
from proxy.database.apply import apply
from proxy.database.report import ApplyReport
from proxy.database.sealing import Progress

_SAY_EVERY_SECONDS = 2.0
_NOTICE_MARGIN_SECONDS = 2.0


def add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--dry-run", action="store_true", help="say what would be done, with sizes; change nothing"
    )
    parser.add_argument(
        "--dsn",
        metavar="DSN",
        help="connect with this login, which owns the tables (default: [control] dsn)",
    )
    parser.add_argument(
        "--fire-triggers",
        action="store_true",
        help="let a table's own UPDATE triggers act where its rows get other terms",
    )
    parser.add_argument("--json", action="store_true", help="the report as JSON")


def run(options: argparse.Namespace) -> int:
    configuration = load(options.config)
    keyset, added = _keys(configuration, dry_run=options.dry_run)
    if added and not options.dry_run:
        tell(configuration, keys_added(str(configuration.keystore.path), added, operator()))
    report = asyncio.run(_apply(configuration, keyset, options))
    if report.changed:
        database = configuration.control.database
        refused = len(report.obstacles)
        tell(configuration, schema_applied(database, list(report.changes()), refused, operator()))
    if options.json:
        say_json({**report.as_json(), "keys_added": added})
    else:
        would = "would add" if options.dry_run else "added"
        for column in added:
            print(f"{would} keys for {column} to {configuration.keystore.path}")
        for line in report.lines():
            print(line)
    return 0 if report.ok else 1


def _keys(configuration: Configuration, *, dry_run: bool) -> tuple[Keyset, list[str]]:
    """The keys, and the columns that were (in a dry run: would be) given some."""
    place = configuration.keystore
    root_key = keystore.load_root_key(place.root_key)
    groups = configuration.search_groups
    keyset = keystore.load(place.path, root_key, groups)
    missing = keyset.missing(configuration.columns)
    if not missing:
        return keyset, []
    if dry_run:  # nothing is sealed: keys that live in this process will do
        return keystore.generate(configuration.columns, groups), list(missing)
    added = keystore.add_columns(place.path, root_key, configuration.columns, groups)
    return keystore.load(place.path, root_key, groups), list(added)


async def _apply(
    configuration: Configuration, keyset: Keyset, options: argparse.Namespace
) -> ApplyReport:
    async with connected(configuration.control, options.dsn) as connection:
        return await apply(
            connection,
            configuration.policy.columns,
            keyset,
            dry_run=options.dry_run,
            progress=_Teller(),
            fire_triggers=options.fire_triggers,
            notice_seconds=configuration.control.refresh_seconds + _NOTICE_MARGIN_SECONDS,
            subjects=configuration.subjects,
            reader=configuration.control.login,
        )


class _Teller:
    """Says on stderr how far it is: each phase, and within a long one every two seconds."""

    def __init__(self) -> None:
        self._phase = ""
        self._said = time.monotonic()

    def __call__(self, progress: Progress) -> None:
        phase = f"{progress.table}: {_PHASES[progress.phase]}"
        now = time.monotonic()
        if phase == self._phase and now - self._said < _SAY_EVERY_SECONDS:
            return
        self._phase, self._said = phase, now
        share = f"{progress.done:,} of {progress.total:,}" if progress.total else ""
        print(f"{phase} {share}".rstrip(), file=sys.stderr, flush=True)


_PHASES = {
    "seal": "sealing rows",
    "rewrite": "rewriting the table",
    "verify": "reading back",
    "notice": "waiting until running proxies have seen that terms change",
    "derive": "deriving terms",
    "index": "creating indexes",
    "assure": "making sure that no row lacks terms",
}
