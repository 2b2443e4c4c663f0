"""`sealgate check`: the configuration against the database. Changes nothing.

Exit code 1 when there is an error (something is not protected as the configuration says) or a warning (it leaks, or
nobody can use it). What is only good to know leaves it at 0.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections import Counter
from dataclasses import asdict

from keystore import Keyset, KeystoreError
from proxy.commands.output import say_json
from proxy.commands.resources import connected, open_keyset
from proxy.config import Configuration, load
from proxy.database.check import check
from proxy.database.findings import Finding


def add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="the findings as JSON")
    parser.add_argument(
        "--dsn", metavar="DSN", help="connect with this login (default: [control] dsn)"
    )


def run(options: argparse.Namespace) -> int:
    configuration = load(options.config)
    keyset = _keyset(configuration)
    findings = asyncio.run(_findings(configuration, keyset, options.dsn))
    if options.json:
        say_json([asdict(finding) for finding in findings])
    else:
        print(_for_people(findings, configuration))
    serious = any(finding.severity != "info" for finding in findings)
    return int(serious or keyset is None)


def _keyset(configuration: Configuration) -> Keyset | None:
    """Without the keys everything else can still be checked."""
    try:
        return open_keyset(configuration)
    except KeystoreError as error:
        print(f"sealgate: {error}", file=sys.stderr)
        return None


async def _findings(
    configuration: Configuration, keyset: Keyset | None, dsn: str | None
) -> list[Finding]:
    async with connected(configuration.control, dsn) as connection:
        return await check(
            connection,
            configuration.policy,
            keyset,
            configuration.subjects,
            configuration.control.login,
        )


def _for_people(findings: list[Finding], configuration: Configuration) -> str:
    if not findings:
        return f"{configuration.control.database} is as {configuration.file} says."
    lines = []
    for finding in findings:
        lines.append(f"{finding.code} {finding.severity}: {finding.subject}: {finding.message}")
        lines.append(f"    {finding.fix}")
    counts = Counter(finding.severity for finding in findings)
    lines.append(", ".join(f"{number} {severity}" for severity, number in counts.items()))
    return "\n".join(lines)
