"""`sealgate honey refresh`: reads the honey rows again by their keys, since a value that is sealed anew has another id. [io]

Ids that a row had before stay: a copy of the old value may still be somewhere.
"""

from __future__ import annotations

import argparse
import asyncio
from dataclasses import replace

from proxy.commands.audit_verify import state_of
from proxy.commands.errors import CommandRefused
from proxy.commands.honey_rows import cells_of, columns_of
from proxy.commands.resources import connected
from proxy.config import Configuration, load
from proxy.detection.honey import Honey, HoneyRow
from proxy.detection.honey_file import HoneyFile
from proxy.detection.state_file import StateUnreadable


def add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--dsn", help="connect as a login that may read (default: control.dsn)")


def run(options: argparse.Namespace) -> int:
    configuration = load(options.config)
    file = HoneyFile(state_of(configuration))
    try:
        found, lost = asyncio.run(_look(configuration, file.read(), options.dsn))
        file.change(lambda honey: _with(honey, found))
    except StateUnreadable as damaged:
        raise CommandRefused(f"{file.path} {damaged}") from None
    print(f"{len(found)} honey rows read again")
    for text in lost:
        print(text)
    return 1 if lost else 0


async def _look(
    configuration: Configuration, honey: Honey, dsn: str | None
) -> tuple[dict[str, dict[str, str]], list[str]]:
    """By name, the ids of now; and what could not be found, in words."""
    found: dict[str, dict[str, str]] = {}
    lost: list[str] = []
    async with connected(configuration.control, dsn) as connection:
        for row in honey.rows:
            try:
                columns = columns_of(configuration.columns, row.table)
                found[row.name] = await cells_of(connection, row.table, columns, row.key)
            except CommandRefused as refused:
                lost.append(f"{row.name}: {refused}")
    return found, lost


def _with(honey: Honey, found: dict[str, dict[str, str]]) -> Honey:
    return replace(honey, rows=tuple(_told(row, found.get(row.name, {})) for row in honey.rows))


def _told(row: HoneyRow, now: dict[str, str]) -> HoneyRow:
    cells = dict(row.cells)
    for label, cell in now.items():
        known = cells.get(label, ())
        cells[label] = known if cell in known else (*known, cell)
    return replace(row, cells=cells)
