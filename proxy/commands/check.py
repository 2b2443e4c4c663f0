"""`sealgate check`: the configuration against the database. Changes nothing.

Exit code 1 when a finding is an error: something is not protected as the configuration says. Warnings and notes leave
it at 0, or `check` could not stand in a deployment script.
"""

from __future__ import annotations

import argparse


def add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="the findings as JSON")
    parser.add_argument(
        "--dsn", metavar="DSN", help="connect with this login (default: [control] dsn)"
    )
