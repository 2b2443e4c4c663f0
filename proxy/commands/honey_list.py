"""`sealgate honey list`: what is honey. Not for the eyes of those it is for. [io]"""

from __future__ import annotations

import argparse

from proxy.audit.text import clean
from proxy.commands.audit_verify import state_of
from proxy.commands.errors import CommandRefused
from proxy.commands.output import aligned, say_json
from proxy.config import load
from proxy.detection.honey_file import HoneyFile
from proxy.detection.state_file import StateUnreadable


def add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="as JSON")


def run(options: argparse.Namespace) -> int:
    file = HoneyFile(state_of(load(options.config)))
    try:
        honey = file.read()
    except StateUnreadable as damaged:
        raise CommandRefused(f"{file.path} {damaged}") from None
    if options.json:
        rows = [{"name": r.name, "table": r.table, "key": dict(r.key)} for r in honey.rows]
        say_json({"rows": rows, "columns": sorted(honey.columns)})
        return 0
    if not honey.rows and not honey.columns:
        print("there is no honey")
        return 0
    table = [("NAME", "IN", "KEY")]
    for row in honey.rows:
        key = ", ".join(f"{name}={value}" for name, value in row.key.items())
        table.append((clean(row.name), clean(row.table), clean(key)))
    table += [(clean(column), "any use of the column", "") for column in sorted(honey.columns)]
    print(aligned(table, indent=""))
    return 0
