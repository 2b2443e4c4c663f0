"""The change report: every change of policy, keys, configuration, schema, honey, containment and of the log itself.

Who: the operator where the event has one. A reload is asked for by a signal, which does not say who sent it: then the owner
of the configuration file is shown, marked as not proven.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from proxy.audit.text import LABEL_CAP
from proxy.report import difference
from proxy.report.difference import Change, Given
from proxy.report.evidence import Evidence
from proxy.report.human import Human
from proxy.report.read import Seen, listed, mapping, text
from proxy.report.times import moment, said

VERSION: Final = 1
ENTRIES: Final = 5000
KINDS: Final = {
    "policy.": "policy",
    "keys.": "keys",
    "configuration.": "configuration",
    "schema.": "schema",
    "honey.": "honey",
    "containment.": "containment",
    "log.": "log",
    "proxy.": "process",
    "worker.": "process",
    "auditor.": "process",
}
_QUIET: Final = frozenset({"log.checkpoint"})
_TOLD: Final = 20
_BESIDE: Final = 3
"""Events from configuration.read to proxy.started, which are written together."""
NOT_PROVEN: Final = "owner of the file, not proven"
NO_SUMMARY: Final = "what differs is not in the log: of one of the two policies it has no summary"
ITSELF: Final = "Sealgate itself"


@dataclass(frozen=True, slots=True)
class Entry:
    """One change, or attempt. `old` and `new` are versions or fingerprints, "" where there is none."""

    time: datetime
    kind: str
    event_code: str
    who: str | Human
    proven: bool
    """The operating system said who ran the command. Never true of a reload."""
    old: str
    new: str
    text: str
    refused: bool
    differences: tuple[Change, ...]
    note: str


@dataclass(frozen=True, slots=True)
class Changes:
    report: str
    version: int
    generated: datetime
    prepared_by: str
    since: datetime
    until: datetime
    evidence: Evidence
    counts: tuple[tuple[str, int], ...]
    """Of each kind, how many."""
    widening: int
    """Changes of the policy after which somebody could do more."""
    entries: tuple[Entry, ...]
    left_out: int


@dataclass(slots=True)
class Changed:
    """Fed with the log's events in order, those before the window too, as far back as it goes: what was in force when the
    window began is needed to tell what differs."""

    since: int
    until: int
    entries: list[Entry] = field(default_factory=list)
    left_out: int = 0
    counts: dict[str, int] = field(default_factory=dict)
    widening: int = 0
    _policy: Given | None = None
    _policy_version: str = ""
    _configuration: str = ""
    _owner: tuple[int, str] = (-1, "")
    """Sequence of the last event about the configuration, and the owner of its file."""
    _keys: str = ""
    _started: tuple[int, str] = (-10, "")
    """Sequence of the last configuration.read, and who started the proxy that read it."""
    _signing_key: dict[str, str] = field(default_factory=dict)

    def see(self, one: Seen) -> None:
        entry = self._entry(one)
        if entry is None or not self.since <= one.time < self.until:
            return
        self.counts[entry.kind] = self.counts.get(entry.kind, 0) + 1
        self.widening += sum(change.widens for change in entry.differences)
        if len(self.entries) < ENTRIES:
            self.entries.append(entry)
        else:
            self.left_out += 1

    def report(self, generated: datetime, prepared_by: str, evidence: Evidence) -> Changes:
        return Changes(
            report="changes",
            version=VERSION,
            generated=generated,
            prepared_by=prepared_by,
            since=moment(self.since),
            until=moment(self.until),
            evidence=evidence,
            counts=tuple(sorted(self.counts.items())),
            widening=self.widening,
            entries=tuple(sorted(self.entries, key=lambda entry: entry.time)),
            left_out=self.left_out,
        )

    def _entry(self, one: Seen) -> Entry | None:
        if one.code == "log.checkpoint":
            return self._checkpoint(one)
        kind = next((kind for prefix, kind in KINDS.items() if one.code.startswith(prefix)), None)
        if kind is None or one.code in _QUIET:
            return None
        version = text(mapping(one.raw.get("entity")).get("version"))
        old, new, note = one.field("previous"), version, ""
        differences: tuple[Change, ...] = ()
        if one.code == "policy.loaded":
            old = old or self._policy_version
            differences, note = self._differences(one, old, version)
            self._policy_version = version
        elif one.code in ("configuration.loaded", "configuration.read"):
            old = old or self._configuration
            self._configuration = version
        elif one.code == "keys.loaded":
            old = old or self._keys
            self._keys = version
        if kind == "configuration":
            self._owner = (one.sequence, one.field("file_owner"))
        # a policy that comes into force is told right behind the configuration that it is of
        owner = self._owner[1] if one.sequence - self._owner[0] <= 1 else ""
        same = bool(old) and old == new and one.ok
        if one.code == "configuration.read":
            self._started = (one.sequence, one.operator)
        if same and one.code != "configuration.loaded":
            return None  # a restart: proxy.started tells of it
        if same:
            kind, note = "process", "asked to reload; the file had not changed"
        who, proven = _who(one, owner)
        if one.code == "proxy.started" and one.sequence - self._started[0] <= _BESIDE:
            who, proven = self._started[1] or who, bool(self._started[1])
        note = "; ".join(filter(None, (note, *_notes(one))))
        return Entry(
            time=moment(one.time),
            kind=kind,
            event_code=one.code,
            who=who,
            proven=proven,
            old=old,
            new=new,
            text=one.message,
            refused=not one.ok,
            differences=differences,
            note=note,
        )

    def _differences(self, one: Seen, old: str, new: str) -> tuple[tuple[Change, ...], str]:
        before, after = self._policy, difference.given(one.sealgate.get("policy_summary"))
        self._policy = after
        if old == new:
            return (), ""
        if after is None or (before is None and old):
            return (), NO_SUMMARY
        if before is None:
            return (), "the first policy in the log"
        found = tuple(difference.changes(before, after))
        return (
            found,
            "" if found else "only the text of a mask differs, which the log does not hold",
        )

    def _checkpoint(self, one: Seen) -> Entry | None:
        """Another key signs the log."""
        key = text(mapping(one.sealgate.get("checkpoint")).get("key"))
        before = self._signing_key.get(one.chain, "")
        if len(self._signing_key) < 1000:
            self._signing_key[one.chain] = key
        if not before or before == key:
            return None
        return Entry(
            moment(one.time),
            "log",
            one.code,
            Human("who replaced the key that signs the log?"),
            False,
            before,
            key,
            "another key signs the log's checkpoints",
            False,
            (),
            "",
        )


def _who(one: Seen, owner: str) -> tuple[str | Human, bool]:
    """`owner`: of the configuration file that the event comes of."""
    if operator := one.operator:
        return operator, True
    if one.code.startswith(("policy.", "configuration.")) and owner:
        return f"{owner} ({NOT_PROVEN})", False
    if one.code.startswith(("policy.", "keys.", "configuration.")):
        return Human("who changed it, and who asked for the reload?"), False
    return ITSELF, False


def _notes(one: Seen) -> Iterator[str]:
    """What the event says besides its message."""
    if one.code == "configuration.read" and (owner := one.field("file_owner")):
        yield f"who started the proxy; the file is owned by {owner}"
    if modified := one.count("file_modified"):
        yield f"file last modified {said(moment(modified))}"
    for name in ("changes", "added_columns"):
        told = [text(item, LABEL_CAP) for item in listed(one.sealgate.get(name))]
        if told:
            more = f" and {len(told) - _TOLD} more" if len(told) > _TOLD else ""
            yield ", ".join(told[:_TOLD]) + more
    if one.code.startswith(("containment.", "honey.")) and (reason := one.field("reason")):
        yield f"reason: {reason}"
