"""`sealgate honey add`: a row or column that no real use reads; whoever touches it is found out. [io]"""

from __future__ import annotations

import argparse
import asyncio
from dataclasses import replace

from proxy.audit.containment import honey_changed
from proxy.audit.operator import operator
from proxy.commands.audit_verify import state_of
from proxy.commands.errors import CommandRefused
from proxy.commands.honey_rows import cells_of, columns_of, insert, pairs
from proxy.commands.output import say_json
from proxy.commands.recorded import tell
from proxy.commands.resources import connected, open_keyset
from proxy.config import Configuration, load
from proxy.detection.honey import Honey, HoneyRow
from proxy.detection.honey_file import HoneyFile
from proxy.detection.state_file import StateUnreadable


def add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--table", required=True, metavar="SCHEMA.TABLE")
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--column", help="any use of this sealed column is found")
    what.add_argument(
        "--key",
        action="append",
        metavar="COLUMN=VALUE",
        help="the row that is there already; repeat for a key of several columns",
    )
    what.add_argument(
        "--set",
        action="append",
        metavar="COLUMN=VALUE",
        help="insert a row with these values, sealed where the column is; repeat",
    )
    parser.add_argument("--name", help="what findings call it (default: honey-1, honey-2, ...)")
    parser.add_argument(
        "--dsn", help="connect as a login that may read and insert (default: control.dsn)"
    )
    parser.add_argument("--json", action="store_true", help="what was added, as JSON")


def run(options: argparse.Namespace) -> int:
    configuration = load(options.config)
    file = HoneyFile(state_of(configuration))
    columns = columns_of(configuration.columns, options.table)
    try:
        if options.column is not None:
            if options.column not in columns:
                raise CommandRefused(f"{options.table}.{options.column} is not a sealed column")
            name = place = columns[options.column].label
            file.change(lambda honey: replace(honey, columns=honey.columns | {name}))
        else:
            place = options.table
            row = asyncio.run(_row(configuration, options))
            name = row.name or _free(file.read())
            row = replace(row, name=name)
            file.change(lambda honey: _with(honey, row))
    except StateUnreadable as damaged:
        raise CommandRefused(f"{file.path} {damaged}") from None
    tell(configuration, honey_changed("added", name, place, operator()))
    if options.json:
        say_json({"name": name, "place": place})
    else:
        print(f"{name}: honey in {place}. The proxy heeds it within a second.")
    return 0


async def _row(configuration: Configuration, options: argparse.Namespace) -> HoneyRow:
    table = options.table
    columns = columns_of(configuration.columns, table)
    async with connected(configuration.control, options.dsn) as connection:
        if options.key is not None:
            key = pairs(options.key, "--key")
        else:
            values = pairs(options.set, "--set")
            key = await insert(connection, table, columns, open_keyset(configuration), values)
        cells = await cells_of(connection, table, columns, key)
    return HoneyRow(options.name or "", table, key, {k: (v,) for k, v in cells.items()})


def _with(honey: Honey, row: HoneyRow) -> Honey:
    if any(known.name == row.name for known in honey.rows):
        raise CommandRefused(f"there is honey with the name {row.name} already")
    return replace(honey, rows=(*honey.rows, row))


def _free(honey: Honey) -> str:
    taken = {row.name for row in honey.rows}
    return next(
        name for number in range(1, len(taken) + 2) if (name := f"honey-{number}") not in taken
    )
