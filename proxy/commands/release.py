"""`sealgate release`: ends the containment of a login or session, or says who is contained. [io]

Nobody is released before the access log is there to be told of it. The proxy heeds it within a second; the login's budgets
begin anew.
"""

from __future__ import annotations

import argparse
from datetime import UTC, datetime

from proxy.audit.containment import containment_ended
from proxy.audit.log import AuditFailed, AuditLog
from proxy.audit.operator import operator
from proxy.audit.text import REASON_CAP, clean
from proxy.commands.audit_verify import state_of
from proxy.commands.errors import CommandRefused
from proxy.commands.output import aligned, say_json
from proxy.config import load
from proxy.detection.containment import ContainmentFile
from proxy.detection.restraint import Containment
from proxy.detection.state_file import StateUnreadable


def add(parser: argparse.ArgumentParser) -> None:
    whom = parser.add_mutually_exclusive_group(required=True)
    whom.add_argument("--login", help="release this login")
    whom.add_argument("--session", help="release this session, as the access log names it")
    whom.add_argument("--all", action="store_true", help="release everybody")
    whom.add_argument(
        "--list", action="store_true", help="say who is contained, until when and why"
    )
    parser.add_argument("--reason", default="", metavar="TEXT", help="why, for the access log")
    parser.add_argument("--json", action="store_true", help="who was released, or is contained")


def run(options: argparse.Namespace) -> int:
    configuration = load(options.config)
    file = ContainmentFile(state_of(configuration))
    if options.list:
        _say(_contained(file), as_json=options.json)
        return 0
    if not options.reason.strip():
        raise CommandRefused("--reason is missing: the access log says why somebody was released.")
    try:
        log = AuditLog.join(configuration.audit.path, state_of(configuration))
    except AuditFailed as failed:
        raise CommandRefused(
            f"nobody was released, since the access log cannot be told: {failed}"
        ) from None
    try:
        ended, damaged = _end(file, options)
        reason = options.reason + (" (containment.json was damaged)" if damaged else "")
        log.write_all([containment_ended(one, "released", reason, operator()) for one in ended])
    except AuditFailed as failed:
        raise CommandRefused(
            f"released, but the access log does not tell of it: {failed}"
        ) from None
    finally:
        log.close()
    _say(ended, as_json=options.json)
    return 0 if ended or damaged else 1


def _contained(file: ContainmentFile) -> list[Containment]:
    try:
        return list(file.read().entries.values())
    except StateUnreadable as damaged:
        raise CommandRefused(_damaged(file, damaged)) from None


def _end(file: ContainmentFile, options: argparse.Namespace) -> tuple[list[Containment], bool]:
    """Who was released; and whether the file was damaged and had to be made anew."""

    def asked_for(one: Containment) -> bool:
        if options.all:
            return True
        whom = (options.login, None) if options.session is None else ("", options.session)
        return one.who == whom

    try:
        return file.end(asked_for), False
    except StateUnreadable as damaged:
        if not options.all:
            raise CommandRefused(_damaged(file, damaged)) from None
    file.clear()
    nobody = Containment("", None, "kill", 0, 0, "not known: the file was damaged", "")
    return [nobody], True


def _damaged(file: ContainmentFile, damaged: StateUnreadable) -> str:
    return (
        f"{file.path} {damaged}: who is contained is not known. Restore it, or release everybody: "
        "sealgate release --all --reason TEXT."
    )


def _say(containments: list[Containment], *, as_json: bool) -> None:
    if as_json:
        return say_json(
            [
                {
                    "login": one.login,
                    "session": one.session,
                    "mode": one.mode,
                    "begun": one.begun,
                    "until": one.until,
                    "reason": one.reason,
                    "finding": one.finding,
                }
                for one in containments
            ]
        )
    if not containments:
        print("nobody is contained")
        return None
    rows = [("LOGIN", "SESSION", "MODE", "UNTIL", "REASON", "FINDING")]
    rows += [
        (
            clean(one.login),
            clean(one.session or "-"),
            one.mode,
            _time(one.until),
            clean(one.reason, REASON_CAP),
            clean(one.finding),
        )
        for one in containments
    ]
    print(aligned(rows, indent=""))
    return None


def _time(milliseconds: int) -> str:
    try:
        return datetime.fromtimestamp(milliseconds / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    except (OverflowError, OSError, ValueError):
        return str(milliseconds)
