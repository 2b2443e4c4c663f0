"""`sealgate honey remove`: it is honey no more. A row that was made for it stays in the table. [io]"""

from __future__ import annotations

import argparse
from dataclasses import replace

from proxy.audit.containment import honey_changed
from proxy.audit.operator import operator
from proxy.commands.audit_verify import state_of
from proxy.commands.errors import CommandRefused
from proxy.commands.recorded import tell
from proxy.config import load
from proxy.detection.honey import Honey
from proxy.detection.honey_file import HoneyFile
from proxy.detection.state_file import StateUnreadable


def add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", help="as `sealgate honey list` shows it")


def run(options: argparse.Namespace) -> int:
    configuration = load(options.config)
    file = HoneyFile(state_of(configuration))
    place = ""

    def without(honey: Honey) -> Honey:
        nonlocal place
        rows = tuple(row for row in honey.rows if row.name != options.name)
        columns = honey.columns - {options.name}
        if rows == honey.rows and columns == honey.columns:
            raise CommandRefused(f"there is no honey with the name {options.name}")
        place = next((row.table for row in honey.rows if row.name == options.name), options.name)
        return replace(honey, rows=rows, columns=columns)

    try:
        file.change(without)
    except StateUnreadable as damaged:
        raise CommandRefused(f"{file.path} {damaged}") from None
    tell(configuration, honey_changed("removed", options.name, place, operator()))
    print(f"{options.name}: removed")
    return 0
