"""`sealgate COMMAND`: one parser, one place where errors become a line and an exit code.

Exit codes: 0 done, 1 findings or refused, 2 usage or bad configuration. People's output (or JSON, with `--json`)
goes to stdout, diagnostics to stderr. An expected error is one line without a traceback; an unexpected one keeps its
traceback, because hiding it helps nobody.

Each command is a module of `proxy.commands` with `add(parser)` and `run(options) -> int`. They are imported when
they are called: `sealgate init` needs no asyncpg, `sealgate demo` no configuration.
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from proxy.compiled import mode, stale

DONE, REFUSED, USAGE = 0, 1, 2
INTERRUPTED = 130


@dataclass(frozen=True, slots=True)
class Command:
    """A command, or a group of them (`commands`) that has no module of its own.

    `configured`: it takes --config.
    """

    name: str
    summary: str
    example: str
    module: str = ""
    configured: bool = True
    commands: tuple[Command, ...] = ()


COMMANDS = (
    Command(
        "init",
        "create the root key and the keystore named in the configuration",
        "sealgate init --config sealgate.toml",
        "proxy.commands.init",
    ),
    Command(
        "apply",
        "bring the database in line with the configuration, and seal existing rows",
        "sealgate apply --dry-run\n  sealgate apply --dsn postgresql://owner@db.example.com/shop",
        "proxy.commands.apply",
    ),
    Command(
        "check",
        "compare the configuration with the database; each finding says what to do",
        "sealgate check --json",
        "proxy.commands.check",
    ),
    Command(
        "serve",
        "run the proxy until SIGTERM (drains); SIGHUP reloads the configuration",
        "sealgate serve --config /etc/sealgate/sealgate.toml",
        "proxy.commands.serve",
    ),
    Command(
        "explain",
        "say what the proxy would do with a statement, without executing it",
        'sealgate explain --role support "SELECT email FROM customers WHERE id = 7"',
        "proxy.commands.explain",
    ),
    Command(
        "audit",
        "ask the access log: is it whole, whose data was seen, who saw it",
        "sealgate audit verify",
        commands=(
            Command(
                "verify",
                "say whether the access log is what was written; if not, from which event on",
                "sealgate audit verify --config sealgate.toml --public-key signing.pub --seal-key seal.key\n"
                "  sealgate audit verify audit.jsonl.2026* audit.jsonl --copy siem-export.jsonl --json",
                "proxy.commands.audit_verify",
            ),
            Command(
                "affected",
                "whose data did a login see: people and rows, by column and outcome, values that are gone included",
                "sealgate audit affected --login support --from 2026-11-23T09:00Z --to 2026-11-23T17:00Z\n"
                "  sealgate audit affected --session ses-4f1c22 --json",
                "proxy.commands.audit_affected",
            ),
            Command(
                "who-saw",
                "who saw one person's data: every access, as the person may ask",
                "sealgate audit who-saw --table public.customers --key 42 --from 2026-01-01\n"
                "  sealgate audit who-saw --all --key 42 --json",
                "proxy.commands.audit_who_saw",
            ),
        ),
    ),
    Command(
        "report",
        "make a report of the access log for a person to sign",
        "sealgate report access-review --period 90d --out reports",
        commands=(
            Command(
                "incident",
                "say what logins and sessions saw in a window: data, people, timeline, keys, GDPR fields",
                "sealgate report incident --from 2026-11-22T18:00Z --to 2026-11-23T06:00Z --login bo --out case-7\n"
                "  sealgate report incident --finding 5f1c0a... --aware 2026-11-23T08:15+01:00 --format html > incident.html",
                "proxy.commands.report_incident",
            ),
            Command(
                "access-review",
                "compare what the policy grants with what was used, and suggest a narrower policy",
                "sealgate report access-review --period 90d --out reports\n"
                '  sealgate report access-review --sign-off "Grace Hopper" --decision "reduce as suggested" --out reports',
                "proxy.commands.report_access_review",
            ),
            Command(
                "changes",
                "list every change of policy, keys, configuration, schema and of the log itself",
                "sealgate report changes --since 2026-11-01 --format json",
                "proxy.commands.report_changes",
            ),
        ),
    ),
    Command(
        "honey",
        "rows and columns that no real use reads: whoever touches one is found out",
        "sealgate honey add --table public.customers --set name=Decoy --set email=decoy@example.com",
        commands=(
            Command(
                "add",
                "make a row or a column honey",
                "sealgate honey add --table public.customers --key id=4711\n"
                "  sealgate honey add --table public.customers --set name=Decoy --set email=decoy@example.com --dsn postgresql://owner@db/shop\n"
                "  sealgate honey add --table public.customers --column iban",
                "proxy.commands.honey_add",
            ),
            Command(
                "list",
                "say what is honey",
                "sealgate honey list --json",
                "proxy.commands.honey_list",
            ),
            Command(
                "remove",
                "take honey away",
                "sealgate honey remove honey-1",
                "proxy.commands.honey_remove",
            ),
            Command(
                "refresh",
                "read the honey rows again, after they were updated or sealed anew",
                "sealgate honey refresh",
                "proxy.commands.honey_refresh",
            ),
        ),
    ),
    Command(
        "release",
        "end the containment of a login or session, or say who is contained",
        'sealgate release --login support --reason "ticket 8812: nightly report"\n  sealgate release --list',
        "proxy.commands.release",
    ),
    Command(
        "demo",
        "a tour with an embedded PostgreSQL: nothing to configure, nothing left behind",
        "sealgate demo --keep",
        "proxy.demo.command",
        configured=False,
    ),
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command; the process's exit code."""
    try:
        return _run(arguments)
    except BrokenPipeError:
        # The reader of our output went away (`| head`): nothing more to say, nor at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return REFUSED
    except KeyboardInterrupt:
        return INTERRUPTED


def _run(arguments: Sequence[str] | None) -> int:
    given = list(sys.argv[1:] if arguments is None else arguments)
    if reason := stale():
        print(f"sealgate: {reason}", file=sys.stderr)
        return USAGE
    options = _parser(given).parse_args(given)
    from proxy.commands.errors import explained

    with explained() as outcome:
        outcome.code = int(options.run(options))
    return outcome.code


def _parser(given: Sequence[str]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="sealgate",
        description="A transparent encrypting proxy for PostgreSQL.",
        epilog="A tour that needs no configuration: sealgate demo",
    )
    parser.add_argument("--version", action="version", version=f"sealgate {_version()} ({mode()})")
    _add(parser, COMMANDS, given)
    return parser


def _add(
    parser: argparse.ArgumentParser, commands: Sequence[Command], given: Sequence[str]
) -> None:
    """The commands as subparsers; only those that are meant load their module."""
    subparsers = parser.add_subparsers(metavar="COMMAND", required=True)
    for command in commands:
        sub = subparsers.add_parser(
            command.name,
            help=command.summary,
            description=command.summary[0].upper() + command.summary[1:] + ".",
            epilog=f"example:\n  {command.example}",
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        if command.commands:
            _add(sub, command.commands, given)
        elif command.name in given:
            _fill(sub, command)


def _fill(parser: argparse.ArgumentParser, command: Command) -> None:
    if command.configured:
        parser.add_argument(
            "--config",
            type=Path,
            default=Path("sealgate.toml"),
            metavar="FILE",
            help="configuration file (default: %(default)s)",
        )
    module = importlib.import_module(command.module)
    module.add(parser)
    parser.set_defaults(run=module.run)


def _version() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("sealgate")
    except PackageNotFoundError:
        return "(not installed)"
