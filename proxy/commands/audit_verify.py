"""`sealgate audit verify`: is the access log what was written, and if not, from which event on?

Without FILES it takes the log, the head and the keys from where the configuration says, the head and the end of the log at
one moment (under the log's lock), so that it can be asked while the proxy runs. With FILES it reads nothing else: an auditor
needs no configuration. That the configured log was verified, and was ok, is an event of it; a log that is not ok is
evidence, and nothing is written to it.

Exit codes: 0 ok, 10 altered, 11 missing, 12 cut off, 13 forged, 14 undecided (`Kind`), of several the gravest: forged,
altered, cut off, missing, undecided; 2 usage, or a key or head that cannot be read.
"""

from __future__ import annotations

import argparse
import itertools
import os
import re
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Any, Final

from proxy.audit.cells_file import SideFiles
from proxy.audit.checkpoint import public_key
from proxy.audit.copies import Copies
from proxy.audit.event import Query, queried
from proxy.audit.head import HeadDamaged, read_copy
from proxy.audit.keys import PUBLIC_KEY, SEAL_KEY
from proxy.audit.log import AuditFailed, AuditLog
from proxy.audit.log_file import lock, unlock
from proxy.audit.operator import operator
from proxy.audit.reading import LogLine, at_once, in_order, lines
from proxy.audit.text import clean, counted
from proxy.audit.trust import HeadCopy, Trust, trusted_keys
from proxy.audit.verdict import Issue, Kind, Proven, Verdict
from proxy.audit.verify import verify
from proxy.commands.output import aligned, say_json
from proxy.config import Configuration, load

_USAGE: Final = 2
_SAY_EVERY_SECONDS: Final = 2
_LOCK_PATIENCE: Final = 2.0
_LARGEST_KEY_FILE: Final = 1 << 16
_ISSUES_SHOWN: Final = 20
_HEX: Final = re.compile(rb"[0-9a-fA-F]{64}")


class Unusable(Exception):
    """What was given cannot be used; the text names it, and says nothing of what is in it."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """What is verified, and what it is held against."""

    files: tuple[Path, ...]
    trust: Trust
    live: IO[bytes] | None = None
    """The last file, open since the head was read."""
    end: int | None = None
    """Its bytes at that moment; None: all of the file."""


def add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "files", nargs="*", type=Path, metavar="FILE", help="the log's files, instead of --config's"
    )
    for name, metavar, text in (
        ("--public-key", "FILE", "signing.pub as it was kept elsewhere; may be given again"),
        ("--seal-key", "FILE", "seal.key, which the auditor keeps; may be given again"),
        ("--copy", "FILE", "JSON lines that a receiver has kept, any part; may be given again"),
    ):
        parser.add_argument(
            name, action="append", default=[], type=Path, metavar=metavar, help=text
        )
    parser.add_argument("--head", type=Path, metavar="FILE", help="a copy of the file head")
    parser.add_argument(
        "--chain",
        action="append",
        default=[],
        metavar="ID",
        help="a chain that is rightly there; may be given again",
    )
    parser.add_argument(
        "--first",
        type=int,
        default=1,
        metavar="N",
        help="number of the first event, where earlier files are kept elsewhere (default: 1)",
    )
    parser.add_argument("--json", action="store_true", help="the verdict as JSON")


def run(options: argparse.Namespace) -> int:
    configuration = None if options.files else load(options.config)
    try:
        evidence = _configured(configuration, options) if configuration else _given(options)
        verdict = _verdict(evidence, _Teller())
    except Unusable as unusable:
        print(f"sealgate: {unusable}", file=sys.stderr)
        return _USAGE
    if options.json:
        say_json(as_json(verdict))
    else:
        print(for_people(verdict))
    if configuration:
        _record(configuration, verdict)
    return verdict.kind.value


def verdict_of(configuration: Configuration) -> Verdict:
    """Of the configured log, with the keys that are on this host. Raises Unusable. Says nothing, for other commands."""
    return _verdict(evidence_of(configuration))


def evidence_of(configuration: Configuration) -> Evidence:
    """The configured log as it is now. Raises Unusable."""
    path = configuration.audit.path
    state = state_of(configuration)
    public, seal = state / PUBLIC_KEY, state / SEAL_KEY
    trust = Trust(
        public_keys=_public_keys([public] if public.exists() else []),
        seal_keys=_seal_keys([seal] if seal.exists() else []),
        checkpoint_events=configuration.audit.checkpoint_events,
        host_keys=True,
    )
    try:
        return _at_one_moment(path, state / "head", trust)
    except OSError as error:
        raise Unusable(f"{error.filename or path}: {error.strerror}") from None


def state_of(configuration: Configuration) -> Path:
    """The state directory of the configured log."""
    audit = configuration.audit
    return audit.state or audit.path.with_name(audit.path.name + ".state")


def _configured(configuration: Configuration, options: argparse.Namespace) -> Evidence:
    given = _trust(options)
    evidence = evidence_of(configuration)
    trust = replace(evidence.trust, copies=given.copies, chains=given.chains, first=given.first)
    if options.public_key or options.seal_key:  # the host's own would weaken what they prove
        trust = replace(
            trust, public_keys=given.public_keys, seal_keys=given.seal_keys, host_keys=False
        )
    if options.head is not None:
        trust = replace(trust, head=given.head)
    return replace(evidence, trust=trust)


def _record(configuration: Configuration, verdict: Verdict) -> None:
    """That somebody has asked is an event of the log. A log that is not as it should be stays as it was found."""
    if verdict.kind is not Kind.OK:
        print("sealgate: the log is left as it is; that you asked is not in it", file=sys.stderr)
        return
    asked = Query("audit verify", {"verdict": verdict.kind.word}, events=verdict.events)
    try:
        log = AuditLog.join(configuration.audit.path, configuration.audit.state)
        try:
            log.write(queried(asked, operator()))
        finally:
            log.close()
    except AuditFailed as failed:
        print(f"sealgate: that you asked is not in the log: {failed}", file=sys.stderr)


def _given(options: argparse.Namespace) -> Evidence:
    files = [file for file in options.files if not _beside_the_log(file, options.files)]
    for file in files:
        if not file.is_file():
            raise Unusable(f"{file} is not a file")
    if not files:
        raise Unusable("none of these is a file of a log")
    return Evidence(tuple(in_order(files)), _trust(options))


def _beside_the_log(file: Path, named: Sequence[Path]) -> bool:
    """`audit.jsonl*` also names what is not the log: side files, state, what is being compressed or has been."""
    whole = file.name.removesuffix(".gz")
    twice = whole != file.name and file.with_name(whole) in named
    return (
        twice or whole.endswith((".cells", ".tmp")) or (file.suffix == ".state" and file.is_dir())
    )


def _trust(options: argparse.Namespace) -> Trust:
    if options.first < 1:
        raise Unusable("--first counts from 1")
    for file in options.copy:
        if not file.is_file():
            raise Unusable(f"--copy: {file} is not a file")
    return Trust(
        public_keys=_public_keys(options.public_key),
        seal_keys=_seal_keys(options.seal_key),
        head=_head(_content(options.head), options.head, live=False) if options.head else None,
        copies=Copies(options.copy) if options.copy else None,
        chains=frozenset(options.chain),
        first=options.first,
    )


def _public_keys(files: Sequence[Path]) -> dict[str, Any]:
    try:
        return trusted_keys([public_key(_content(file)) for file in files])
    except ValueError as error:
        raise Unusable(f"--public-key: {error}") from None


def _seal_keys(files: Sequence[Path]) -> tuple[bytes, ...]:
    found = []
    for file in files:
        text = _content(file).strip()
        if not _HEX.fullmatch(text):
            raise Unusable(f"--seal-key: {file} is not a seal key (64 hexadecimal digits)")
        found.append(bytes.fromhex(text.decode()))
    return tuple(found)


def _content(file: Path) -> bytes:
    try:
        with file.open("rb") as opened:
            return opened.read(_LARGEST_KEY_FILE)
    except OSError as error:
        raise Unusable(f"{file}: {error.strerror}") from None


def _head(content: bytes, file: Path, *, live: bool) -> HeadCopy:
    try:
        chain, at, intended = read_copy(content)
    except HeadDamaged:
        raise Unusable(f"{file} is damaged, or no head of an access log") from None
    return HeadCopy(chain, at.sequence, at.h, at.a, at.k, intended.sequence, live)


def _at_one_moment(path: Path, head: Path, trust: Trust) -> Evidence:
    """The files, the head, and how long the live file is, while nobody writes. Raises OSError, Unusable."""
    files, live = at_once(path, lambda opened: lock(opened.fileno(), _LOCK_PATIENCE))
    if live is None:
        return Evidence(tuple(files), replace(trust, head=_live_head(head)))
    try:
        trust = replace(trust, head=_live_head(head))
        end = os.fstat(live.fileno()).st_size
        unlock(live.fileno())
    except BaseException:
        live.close()
        raise
    return Evidence(tuple(files), trust, live, end)


def _live_head(head: Path) -> HeadCopy | None:
    return _head(_content(head), head, live=True) if head.exists() else None


def _verdict(evidence: Evidence, progress: Callable[[int], None] = lambda _: None) -> Verdict:
    read: Iterator[LogLine] = lines(evidence.files, evidence.live)
    if evidence.end is not None:
        read = _up_to(read, evidence.files[-1], evidence.end)
    live = evidence.files[-1] if evidence.live is not None else None
    with SideFiles(evidence.files, live) as side_files:
        return verify(read, evidence.trust, side_files, progress)


def _up_to(read: Iterator[LogLine], live: Path, end: int) -> Iterator[LogLine]:
    """Leaves out what was appended to the live file since the head was read."""
    return itertools.takewhile(lambda line: line.file != live or line.offset < end, read)


class _Teller:
    """Says on stderr how far it is, every two seconds."""

    def __init__(self) -> None:
        self._said = time.monotonic()

    def __call__(self, count: int) -> None:
        now = time.monotonic()
        if now - self._said >= _SAY_EVERY_SECONDS:
            self._said = now
            print(f"{counted(count, 'line')} read", file=sys.stderr, flush=True)


def as_json(verdict: Verdict) -> dict[str, Any]:
    """The verdict for programs."""
    first = verdict.first
    return {
        "verdict": verdict.kind.word,
        "first": _issue(first) if first else None,
        "issues": [_issue(issue) for issue in verdict.issues],
        "counts": {kind.word: count for kind, count in verdict.counts.items() if count},
        "chains": [
            {
                "chain": proven.chain,
                "first": proven.first,
                "last": proven.last,
                "chained_to": proven.chained,
                "signed_to": proven.signed,
                "sealed_to": proven.sealed,
            }
            for proven in verdict.chains
        ],
        "unchecked": verdict.unchecked,
        "notes": verdict.notes,
        "lines": verdict.lines,
        "events": verdict.events,
        "checkpoints": verdict.checkpoints,
    }


def _issue(issue: Issue) -> dict[str, Any]:
    return {
        "kind": issue.kind.word,
        "text": issue.text,
        "chain": issue.chain or None,
        "sequence": issue.sequence,
        "last": issue.last,
        "file": str(issue.file) if issue.file else None,
        "line": issue.line,
        "told_by_the_log": issue.told,
    }


def for_people(verdict: Verdict) -> str:
    """The verdict, what is proven, the first issues, and what was not checked."""
    out = [
        f"{verdict.kind.word}: {counted(verdict.events, 'event')} in {counted(verdict.lines, 'line')}, "
        f"{counted(verdict.checkpoints, 'checkpoint')}"
    ]
    if verdict.first is not None:
        out.append(f"from here on: {_place(verdict.first)}: {verdict.first.text}")
    for proven in verdict.chains:
        out += ["", *_proven(proven)]
    if verdict.issues:
        out += ["", "Issues:", aligned([_row(one) for one in verdict.issues[:_ISSUES_SHOWN]])]
        more = sum(verdict.counts.values()) - len(verdict.issues[:_ISSUES_SHOWN])
        if more:
            out.append(f"  and {more} more")
    for title, texts in (("Not checked:", verdict.unchecked), ("Notes:", verdict.notes)):
        if texts:
            out += ["", title, *(f"  {text}" for text in texts)]
    return "\n".join(out)


def _proven(proven: Proven) -> list[str]:
    up_to = [
        ("in one chain", proven.chained),
        ("signed", proven.signed),
        ("sealed", proven.sealed),
    ]
    rows = [(what, f"events {proven.first} to {to}" if to else "nothing") for what, to in up_to]
    return [f"Chain {proven.chain}, events {proven.first} to {proven.last}; proven:", aligned(rows)]


def _row(issue: Issue) -> tuple[str, ...]:
    told = "; the log itself tells of it" if issue.told else ""
    return issue.kind.word, _place(issue), issue.text + told


def _place(issue: Issue) -> str:
    events = ""
    if issue.sequence is not None:
        several = issue.last is not None and issue.last > issue.sequence
        events = (
            f"events {issue.sequence} to {issue.last}" if several else f"event {issue.sequence}"
        )
    where = f"{clean(issue.file.name)}:{issue.line}" if issue.file is not None else ""
    return ", ".join(filter(None, (events, where))) or "the log"
