"""Attacks on an access log, and what `sealgate audit verify` says of each with what is at hand.

    python -m tests.audit.tampering [SEEDS]        prints the table of docs/audit.md

A `Log` is in memory what an attacker finds on the host: the lines of the files, the side files, the head, the signing key;
never the seal key, which is with the auditor. An attack changes it as somebody would who has all of that, and computes
whatever can be computed from it. Then it is written to a folder and verified.
"""

from __future__ import annotations

import base64
import copy
import hashlib
import itertools
import json
import random
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from proxy.audit.cells_file import SideFiles, record, side_file
from proxy.audit.chain import NO_HASH, aggregate, evolve, signed_text
from proxy.audit.checkpoint import key_name
from proxy.audit.copies import Copies
from proxy.audit.entry import Entry, canonical, cut, slotted
from proxy.audit.head import read_copy
from proxy.audit.log import AuditLog, Keeping
from proxy.audit.reading import lines, log_files
from proxy.audit.trust import HeadCopy, Trust, trusted_keys
from proxy.audit.verdict import Kind, Verdict
from proxy.audit.verify import verify

Event = dict[str, Any]
NOON = 1_795_348_800_000
SEEDS = 20


@dataclass
class Seal:
    """Where the seal stands: the aggregate, and the key of the next event."""

    a: bytes
    k: bytes


@dataclass
class Log:
    """`files` are lists of lines without newlines, the live one last; `cells` the records of each file's side file.

    `history` is what an earlier intruder could have copied: the seal as it stood behind each event. `seal_key` is the auditor's.
    """

    chain: str
    files: list[list[bytes]]
    cells: list[list[bytes]]
    signing_key: Ed25519PrivateKey
    seal_key: bytes
    head: HeadCopy
    history: dict[int, Seal]
    torn_end: bool = False
    state_key: Ed25519PrivateKey | None = None
    """Whose public half is in the state directory now, if the attacker has changed it."""

    def duplicate(self) -> Log:
        """To be changed."""
        files, cells = [list(one) for one in self.files], [list(one) for one in self.cells]
        return replace(self, files=files, cells=cells, history=dict(self.history))

    def all(self) -> list[bytes]:
        return [line for file in self.files for line in file]

    def refill(self, lines_: Sequence[bytes]) -> None:
        """These lines in files of about the sizes of before: the last takes what is over."""
        sizes = [len(file) for file in self.files]
        rest = list(lines_)
        files = []
        for size in sizes[:-1]:
            files.append(rest[:size])
            rest = rest[size:]
        self.files = [*files, rest]

    def write(self, folder: Path) -> Path:
        path = folder / "audit.jsonl"
        for number, (file, records) in enumerate(zip(self.files, self.cells, strict=True)):
            live = number == len(self.files) - 1
            name = path.name if live else f"{path.name}.2026110{number + 1}T000000Z-{number + 1}"
            end = b"" if live and self.torn_end else b"\n"
            if file or live:
                (folder / name).write_bytes(b"\n".join(file) + (end if file else b""))
            if records:
                (folder / f"{name}.cells").write_bytes(b"".join(records))
        return path


def parsed(line: bytes) -> Event:
    event: Event = json.loads(line)
    return event


def sequence_of(line: bytes) -> int:
    number: int = parsed(line)["metadata"]["sequence"]
    return number


def ours(event: Event) -> Event:
    inner: Event = event["unmapped"]["sealgate"]
    return inner


def hashed(event: Event, chain: str, prev: bytes) -> tuple[bytes, bytes]:
    """The event as a line of the chain behind `prev`, and its hash."""
    event = copy.deepcopy(event)
    integrity = ours(event)["integrity"] = {"chain": chain, "prev": prev.hex()}
    digest = hashlib.sha256(canonical(event)).digest()
    integrity["hash"] = digest.hex()
    return canonical(event), digest


def checkpoint_of(chain: str, size: int, head: bytes, seal: bytes, key: Ed25519PrivateKey) -> Event:
    signature = key.sign(signed_text(chain, size, head, seal))
    return {
        "head": head.hex(),
        "key": key_name(key.public_key()),
        "seal": seal.hex(),
        "signature": base64.b64encode(signature).decode(),
        "size": size,
    }


# A log as it should be.


def event_of(rng: random.Random, code: str, number: int, **fields: Any) -> Event:
    return {
        "activity_id": rng.randrange(12),
        "message": f'{code} of somebody: ä\u2028"\\ {rng.randrange(1 << 30)}',
        "metadata": {"event_code": code, "log_source": "MADE", "sequence": number},
        "severity_id": 1,
        "time": NOON + 250 * number,
        "unmapped": {"sealgate": {**fields, "integrity": {}}},
    }


class Made:
    """A chain of somebody's own, from the description of the format in docs/audit.md."""

    def __init__(self, rng: random.Random, seal_key: bytes, chain: str) -> None:
        self.rng = rng
        self.chain = chain
        self.key = Ed25519PrivateKey.from_private_bytes(rng.randbytes(32))
        self.seal_key = seal_key
        self.sequence, self.hash = 0, NO_HASH
        self.seal = Seal(NO_HASH, seal_key)
        self.lines: list[bytes] = []

    def add(self, code: str, **fields: Any) -> None:
        self.sequence += 1
        event = event_of(self.rng, code, self.sequence, **fields)
        line, self.hash = hashed(event, self.chain, self.hash)
        self.seal = Seal(aggregate(self.seal.k, self.seal.a, self.hash), evolve(self.seal.k))
        self.lines.append(line)

    def checkpoint(self) -> None:
        said = checkpoint_of(self.chain, self.sequence, self.hash, self.seal.a, self.key)
        self.add("log.checkpoint", checkpoint=said)

    @property
    def head(self) -> HeadCopy:
        return head_at(self.chain, self.sequence, self.hash, self.seal)


def head_at(chain: str, sequence: int, digest: bytes, seal: Seal) -> HeadCopy:
    return HeadCopy(chain, sequence, digest, seal.a, seal.k, sequence, live=True)


@lru_cache(maxsize=64)
def made(seed: int) -> Log:
    """Not to be changed (`duplicate`). A log that `AuditLog` has written: some files, side files, checkpoints; stopped, or still running."""
    rng = random.Random(seed)
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "audit.jsonl"
        keeping = Keeping(rotate_bytes=rng.randrange(18_000, 22_000), checkpoint_events=10)
        log = AuditLog(path, keeping=keeping, clock=itertools.count(NOON, 250).__next__)
        for _ in range(rng.randrange(110, 130)):
            log.write_entries([statement(rng)])
        if rng.random() < 0.5:
            log.checkpoint()
        log.close()
        return found(path, log.state_path)


def statement(rng: random.Random) -> Entry:
    """An execution; one in seven has its cell ids in the side file."""
    payload = rng.randbytes(8 * rng.randrange(257, 300)) if rng.random() < 0.15 else b""
    fields: Event = {"cells": rng.randrange(9), "rows": 1}
    if payload:
        digest = hashlib.sha256(payload).hexdigest()
        fields["cell_ids_file"] = {"count": len(payload) // 8, "sha256": digest}
    event = event_of(rng, "statement.read", 0, **fields)
    return Entry(cut(slotted(event)), payload)


def found(path: Path, state: Path) -> Log:
    """What is on the host, and the key that the auditor has taken from there."""
    files = [file.read_bytes().splitlines() for file in log_files(path)]
    cells = [[one.read_bytes()] if one.exists() else [] for one in map(side_file, log_files(path))]
    signing_key = load_pem_private_key((state / "signing.key").read_bytes(), None)
    assert isinstance(signing_key, Ed25519PrivateKey)
    seal_key = bytes.fromhex((state / "seal.key").read_text())
    chain, at, intended = read_copy((state / "head").read_bytes())
    seal = Seal(NO_HASH, seal_key)
    history = {0: seal}
    for number, line in enumerate(itertools.chain.from_iterable(files), 1):
        seal = Seal(aggregate(seal.k, seal.a, hash_of_line(line)), evolve(seal.k))
        history[number] = seal
    head = HeadCopy(chain, at.sequence, at.h, at.a, at.k, intended.sequence, live=True)
    if sum(map(len, files)) == at.sequence:  # a crash has taken none
        assert history[at.sequence] == Seal(at.a, at.k)
    return Log(chain, files, [split(one) for one in cells], signing_key, seal_key, head, history)


def split(cells: list[bytes]) -> list[bytes]:
    """A side file as its records."""
    records = []
    rest = b"".join(cells)
    while rest:
        size = 40 + int.from_bytes(rest[4:8], "big")
        records.append(rest[:size])
        rest = rest[size:]
    return records


# What the attacker can do: everything but evolve the seal backwards.


def rechained(
    log: Log,
    events: Sequence[Event],
    start: int,
    prev: bytes,
    *,
    sign: bool,
    seal: Seal | None = None,
) -> list[bytes]:
    """The events numbered and chained anew from `start` on, checkpoints too. `seal`: as it stood before `start`, if it is known."""
    found = []
    key = log.state_key or log.signing_key
    for number, event in enumerate(events, start):
        event = copy.deepcopy(event)
        event["metadata"]["sequence"] = number
        inner = ours(event)
        if "checkpoint" in inner:
            old = inner["checkpoint"]
            best = seal.a if seal is not None else bytes.fromhex(old["seal"])
            if sign:
                inner["checkpoint"] = checkpoint_of(log.chain, number - 1, prev, best, key)
            else:
                inner["checkpoint"] = {**old, "head": prev.hex(), "size": number - 1}
        line, prev = hashed(event, log.chain, prev)
        if seal is not None:
            seal = Seal(aggregate(seal.k, seal.a, prev), evolve(seal.k))
        found.append(line)
    if sign:
        now = seal or Seal(log.head.seal, log.head.key)
        log.head = head_at(log.chain, start + len(found) - 1, prev, now)
    return found


def rewrite(
    log: Log, at: int, events: Sequence[Event], *, sign: bool, seal: Seal | None = None
) -> None:
    """The lines from index `at` on are these events now, in a chain without a break."""
    kept = log.all()[:at]
    prev = hash_of_line(kept[-1]) if kept else NO_HASH
    log.refill([*kept, *rechained(log, events, at + 1, prev, sign=sign, seal=seal)])


def hash_of_line(line: bytes) -> bytes:
    return bytes.fromhex(ours(parsed(line))["integrity"]["hash"])


def some_statement(log: Log, rng: random.Random, before: int = 2) -> int:
    """The index of a statement that is behind the first checkpoint, and has `before` behind it."""
    checkpoints = [n for n, line in enumerate(log.all()) if b'"log.checkpoint"' in line]
    inside = range(checkpoints[0] + 1, checkpoints[-before])
    return rng.choice([n for n in inside if b'"statement.read"' in log.all()[n]])


def changed(event: Event) -> Event:
    event = copy.deepcopy(event)
    event["message"] = "nothing of interest"
    return event


def other_log(log: Log, rng: random.Random) -> Log:
    return made(rng.randrange(1 << 30))


# The attacks. Each changes the log in place.

Attack = Callable[[Log, random.Random], None]


def edit(log: Log, rng: random.Random) -> None:
    lines_, at = log.all(), some_statement(log, rng)
    event = changed(parsed(lines_[at]))
    lines_[at] = canonical(event)
    log.refill(lines_)


def edit_with_hash(log: Log, rng: random.Random) -> None:
    lines_, at = log.all(), some_statement(log, rng)
    lines_[at], _ = hashed(changed(parsed(lines_[at])), log.chain, hash_of_line(lines_[at - 1]))
    log.refill(lines_)


def edit_unsigned(log: Log, rng: random.Random) -> None:
    lines_, at = log.all(), some_statement(log, rng)
    events = [parsed(line) for line in lines_[at:]]
    rewrite(log, at, [changed(events[0]), *events[1:]], sign=False)


def edit_without_checkpoints(log: Log, rng: random.Random) -> None:
    """Who cannot sign leaves out what would have to be signed, and makes the rest anew."""
    lines_, at = log.all(), some_statement(log, rng)
    events = [parsed(line) for line in lines_[at:] if b'"log.checkpoint"' not in line]
    head = log.head
    rewrite(log, at, [changed(events[0]), *events[1:]], sign=True)
    log.head = replace(log.head, seal=head.seal, key=head.key)


def rewrite_without_checkpoints(log: Log, rng: random.Random) -> None:
    """The same, from the first event on."""
    events = [parsed(line) for line in log.all() if b'"log.checkpoint"' not in line]
    rewrite(log, 0, [changed(event) for event in events], sign=True)


def edit_signed(log: Log, rng: random.Random) -> None:
    lines_, at = log.all(), some_statement(log, rng)
    events = [parsed(line) for line in lines_[at:]]
    rewrite(log, at, [changed(events[0]), *events[1:]], sign=True)


def edit_unsigned_end(log: Log, rng: random.Random) -> None:
    """Behind the last checkpoint nothing is signed."""
    without_stop(log, rng)
    lines_ = log.all()
    events = [changed(parsed(lines_[-1]))]
    head = log.head
    rewrite(log, len(lines_) - 1, events, sign=True)
    log.head = replace(log.head, seal=head.seal, key=head.key)


def delete(log: Log, rng: random.Random) -> None:
    lines_ = log.all()
    del lines_[some_statement(log, rng)]
    log.refill(lines_)


def delete_signed(log: Log, rng: random.Random) -> None:
    lines_, at = log.all(), some_statement(log, rng)
    rewrite(log, at, [parsed(line) for line in lines_[at + 1 :]], sign=True)


def delete_explained(log: Log, rng: random.Random) -> None:
    """In place of the events one that says that a crash has lost them."""
    lines_, at = log.all(), some_statement(log, rng, before=4)
    missing = 3
    told = event_of(
        rng,
        "log.unclean",
        at + 1,
        last_sequence=at + missing,
        found_sequence=at,
        lost=missing,
        reason="",
    )
    rest = [parsed(line) for line in lines_[at + missing :]]
    kept = lines_[:at]
    prev = hashlib.sha256(b"lost").digest()
    log.refill([*kept, *rechained(log, [told, *rest], at + missing + 1, prev, sign=True)])


def insert_untagged(log: Log, rng: random.Random) -> None:
    lines_, at = log.all(), some_statement(log, rng)
    event = parsed(lines_[at])
    del ours(event)["integrity"]
    lines_.insert(at, canonical(event))
    log.refill(lines_)


def insert_junk(log: Log, rng: random.Random) -> None:
    lines_ = log.all()
    lines_.insert(some_statement(log, rng), b"-- rotated by cron --")
    log.refill(lines_)


def insert_twice(log: Log, rng: random.Random) -> None:
    lines_, at = log.all(), some_statement(log, rng)
    lines_.insert(rng.randrange(at + 1, len(lines_)), lines_[at])
    log.refill(lines_)


def insert_signed(log: Log, rng: random.Random) -> None:
    lines_, at = log.all(), some_statement(log, rng)
    events = [parsed(line) for line in lines_[at:]]
    rewrite(log, at, [event_of(rng, "statement.read", at + 1, cells=1), *events], sign=True)


def append_behind_head(log: Log, rng: random.Random) -> None:
    lines_, head = log.all(), log.head
    event = event_of(rng, "statement.read", head.sequence + 1, cells=1)
    rewrite(log, len(lines_), [event], sign=True)
    log.head = head


def append_with_todays_keys(log: Log, rng: random.Random) -> None:
    now = Seal(log.head.seal, log.head.key)
    event = event_of(rng, "statement.read", log.head.sequence + 1, cells=1)
    rewrite(log, len(log.all()), [event], sign=True, seal=now)


def swap(log: Log, rng: random.Random) -> None:
    lines_, at = log.all(), some_statement(log, rng)
    lines_[at], lines_[at + 1] = lines_[at + 1], lines_[at]
    log.refill(lines_)


def move(log: Log, rng: random.Random) -> None:
    lines_, at = log.all(), some_statement(log, rng)
    line = lines_.pop(at)
    lines_.insert(rng.randrange(at + 2, len(lines_)), line)
    log.refill(lines_)


def truncate(log: Log, rng: random.Random) -> None:
    log.refill(log.all()[: some_statement(log, rng)])


def truncate_inside_a_line(log: Log, rng: random.Random) -> None:
    lines_ = log.all()[: some_statement(log, rng)]
    lines_[-1] = lines_[-1][: rng.randrange(1, len(lines_[-1]))]
    log.refill(lines_)
    log.torn_end = True


def truncate_to_checkpoint(log: Log, rng: random.Random) -> None:
    """At a place where a stop could have been; the head made to fit with the keys of today."""
    lines_, at = log.all(), some_statement(log, rng)
    while b'"log.checkpoint"' not in lines_[at - 1]:
        at -= 1
    log.refill(lines_[:at])
    log.head = replace(log.head, sequence=at, hash=hash_of_line(lines_[at - 1]), intended=at)


def truncate_to_old_head(log: Log, rng: random.Random) -> None:
    """By an intruder who was there before, and has kept the head of that time."""
    lines_, at = log.all(), some_statement(log, rng)
    log.refill(lines_[:at])
    log.head = head_at(log.chain, at, hash_of_line(lines_[at - 1]), log.history[at])


def truncate_unexported(log: Log, rng: random.Random) -> None:
    """The same, but no copy has anything of what was behind it."""
    without_stop(log, rng)
    lines_ = log.all()
    at = len(lines_) - 1
    log.refill(lines_[:at])
    log.head = head_at(log.chain, at, hash_of_line(lines_[at - 1]), log.history[at])


def rewrite_from_old_head(log: Log, rng: random.Random) -> None:
    """Everything since the intruder came, made anew with the keys that were there when it came."""
    lines_, at = log.all(), some_statement(log, rng)
    events = [parsed(line) for line in lines_[at:]]
    rewrite(log, at, [changed(events[0]), *events[1:]], sign=True, seal=log.history[at])


def replay_restart(log: Log, rng: random.Random) -> None:
    """Files and state of an earlier moment put back, and the proxy started: it goes on from there."""
    at = some_statement(log, rng)
    kept = log.all()[:at]
    rest = [event_of(rng, "statement.read", 0, cells=1) for _ in range(20)]
    rest.insert(7, event_of(rng, "log.checkpoint", 0, checkpoint={"seal": ""}))
    rest.append(event_of(rng, "log.checkpoint", 0, checkpoint={"seal": ""}))
    prev = hash_of_line(kept[-1])
    log.refill([*kept, *rechained(log, rest, at + 1, prev, sign=True, seal=log.history[at])])


def drop_first_file(log: Log, rng: random.Random) -> None:
    log.files, log.cells = log.files[1:], log.cells[1:]


def drop_middle_file(log: Log, rng: random.Random) -> None:
    del log.files[1], log.cells[1]


def drop_middle_file_signed(log: Log, rng: random.Random) -> None:
    first, _, *rest = log.files
    del log.files[1], log.cells[1]
    events = [parsed(line) for file in rest for line in file]
    log.refill(
        [*first, *rechained(log, events, len(first) + 1, hash_of_line(first[-1]), sign=True)]
    )


def drop_newest_files(log: Log, rng: random.Random) -> None:
    """What is live then is empty."""
    log.files, log.cells = [*log.files[:-2], []], [*log.cells[:-2], []]


def splice(log: Log, rng: random.Random) -> None:
    """Lines of another host's log in place of ours."""
    lines_, at = log.all(), some_statement(log, rng)
    lines_[at : at + 3] = other_log(log, rng).all()[at : at + 3]
    log.refill(lines_)


def splice_signed(log: Log, rng: random.Random) -> None:
    lines_, at = log.all(), some_statement(log, rng)
    others = [parsed(line) for line in other_log(log, rng).all() if b"cell_ids_file" not in line]
    rewrite(log, at, [*others[3:5], *(parsed(line) for line in lines_[at + 2 :])], sign=True)


def own_key(log: Log, rng: random.Random) -> None:
    """All of it made anew and signed with the attacker's key, whose public half is put into the state directory."""
    log.state_key = Ed25519PrivateKey.from_private_bytes(rng.randbytes(32))
    rewrite(log, 0, [changed(parsed(line)) for line in log.all()], sign=True)


def side_file_altered(log: Log, rng: random.Random) -> None:
    file, at = some_record(log, rng)
    altered = bytearray(log.cells[file][at])
    altered[rng.randrange(40, len(altered))] ^= 1 << rng.randrange(8)
    log.cells[file][at] = bytes(altered)


def side_file_altered_with_hash(log: Log, rng: random.Random) -> None:
    file, at = some_record(log, rng)
    log.cells[file][at] = record(bytes(len(log.cells[file][at]) - 40))


def side_file_record_removed(log: Log, rng: random.Random) -> None:
    file, at = some_record(log, rng)
    del log.cells[file][at]


def side_file_removed(log: Log, rng: random.Random) -> None:
    file, _ = some_record(log, rng)
    log.cells[file] = []


def some_record(log: Log, rng: random.Random) -> tuple[int, int]:
    return rng.choice([(n, at) for n, file in enumerate(log.cells) for at in range(len(file))])


def state_deleted(log: Log, rng: random.Random) -> None:
    """The proxy begins a new chain behind the old one; the signing key was left."""
    log.files[-1] += begun_anew(log, rng, existed=True)


def log_and_state_deleted(log: Log, rng: random.Random) -> None:
    """A new log with a new chain, and new keys."""
    log.state_key = Ed25519PrivateKey.from_private_bytes(rng.randbytes(32))
    log.files, log.cells = [begun_anew(log, rng, existed=False)], [[]]


def log_and_head_deleted(log: Log, rng: random.Random) -> None:
    """The same, but the signing key was left, so that the new chain is signed as the old one was."""
    log.files, log.cells = [begun_anew(log, rng, existed=False)], [[]]


def begun_anew(log: Log, rng: random.Random, *, existed: bool) -> list[bytes]:
    maker = Made(rng, rng.randbytes(32), rng.randbytes(16).hex())
    maker.key = log.state_key or log.signing_key
    maker.add("log.begun", log_existed=existed)
    for _ in range(20):
        maker.add("statement.read", cells=1)
    maker.checkpoint()
    log.head = maker.head
    return maker.lines


def without_stop(log: Log, rng: random.Random) -> None:
    """No attack: the log's last events are behind its last checkpoint."""
    events = [event_of(rng, "statement.read", 0, cells=1) for _ in range(3)]
    now, start = Seal(log.head.seal, log.head.key), log.head.sequence + 1
    rewrite(log, len(log.all()), events, sign=True, seal=now)
    for number, line in enumerate(log.all()[start - 1 :], start):
        digest = hash_of_line(line)
        now = Seal(aggregate(now.k, now.a, digest), evolve(now.k))
        log.history[number] = now


ATTACKS: tuple[tuple[str, Attack], ...] = (
    ("an event edited", edit),
    ("edited, its own hash made anew", edit_with_hash),
    ("edited, chain made anew without the signing key", edit_unsigned),
    ("edited, the rest and the head made anew without checkpoints", edit_without_checkpoints),
    ("all made anew without checkpoints", rewrite_without_checkpoints),
    ("edited, chain, signatures and head made anew", edit_signed),
    ("edited behind the last checkpoint, chain and head made anew", edit_unsigned_end),
    ("an event deleted", delete),
    ("deleted, chain, signatures and head made anew", delete_signed),
    ("deleted, and a `log.unclean` that explains it, made anew", delete_explained),
    ("an event put in that is in no chain", insert_untagged),
    ("a line put in that is no event", insert_junk),
    ("an event put in a second time", insert_twice),
    ("put in, chain, signatures and head made anew", insert_signed),
    ("an event appended, head left as it is", append_behind_head),
    ("an event appended with the keys of today", append_with_todays_keys),
    ("two events swapped", swap),
    ("an event moved", move),
    ("the end cut off", truncate),
    ("cut off inside a line", truncate_inside_a_line),
    ("cut off behind a checkpoint, head made to fit", truncate_to_checkpoint),
    ("cut off, with the head of that time, kept since then", truncate_to_old_head),
    ("the same, behind what was last exported", truncate_unexported),
    ("made anew since an earlier theft, with the keys of then", rewrite_from_old_head),
    ("log and state put back, the proxy goes on from there", replay_restart),
    ("the first file dropped", drop_first_file),
    ("a file in between dropped", drop_middle_file),
    ("dropped, chain, signatures and head made anew", drop_middle_file_signed),
    ("the newest files dropped", drop_newest_files),
    ("lines of another log in place of ours", splice),
    ("events of another log, made anew as ours", splice_signed),
    ("all made anew with a key pair of one's own", own_key),
    ("a record of a side file edited", side_file_altered),
    ("edited, its hash made anew", side_file_altered_with_hash),
    ("a record of a side file taken out", side_file_record_removed),
    ("a side file deleted", side_file_removed),
    ("state deleted: a new chain behind the old", state_deleted),
    ("log and state deleted: a new log, new keys", log_and_state_deleted),
    ("log and head deleted, signing key left: a new log", log_and_head_deleted),
)

LAYERS = (
    "files alone",
    "public key",
    "and head",
    "and seal key",
    "head and seal key",
    "and copy",
    "all",
)


def exported(log: Log, folder: Path) -> Path:
    """What the SIEM has: all checkpoints but the last one, which was not yet sent."""
    checkpoints = [line for line in log.all() if b'"log.checkpoint"' in line]
    path = folder / "copy.jsonl"
    path.write_bytes(b"".join(line + b"\n" for line in checkpoints[:-1]))
    return path


def trusts(before: Log, after: Log, copy_: Path) -> dict[str, Trust]:
    """By layer. What the auditor has is from before the attack, the head is what is found on the host."""
    keys = trusted_keys([before.signing_key.public_key()])
    seal = (before.seal_key,)
    few = Trust(checkpoint_events=10)
    return {
        "files alone": few,
        "public key": replace(few, public_keys=keys),
        "and head": replace(few, public_keys=keys, head=after.head),
        "and seal key": replace(few, public_keys=keys, seal_keys=seal),
        "head and seal key": replace(few, public_keys=keys, seal_keys=seal, head=after.head),
        "and copy": replace(few, public_keys=keys, copies=Copies([copy_])),
        "all": replace(
            few, public_keys=keys, seal_keys=seal, head=after.head, copies=Copies([copy_])
        ),
    }


def verified(path: Path, trust: Trust) -> Verdict:
    files = log_files(path)
    with SideFiles(files) as side_files:
        return verify(lines(files), trust, side_files)


def attacked(attack: Attack, seed: int) -> dict[str, Verdict]:
    """What each layer says of this attack, on the log of this seed."""
    before = made(seed)
    log = before.duplicate()
    attack(log, random.Random(~seed))  # not the seed that the log's own keys come from
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        path = log.write(folder)
        copy_ = exported(before, folder)
        return {layer: verified(path, trust) for layer, trust in trusts(before, log, copy_).items()}


def cell(kinds: Sequence[Kind]) -> str:
    """What the layer says, over all seeds."""
    words = sorted({kind.word for kind in kinds if kind is not Kind.OK})
    if not words:
        return "-"
    if Kind.OK in kinds:
        return (
            f"{' or '.join(words)} in {sum(kind is not Kind.OK for kind in kinds)} of {len(kinds)}"
        )
    return " or ".join(words)


def table(seeds: Sequence[int]) -> str:
    rows = ["| attack | " + " | ".join(LAYERS) + " |", "|---" * (len(LAYERS) + 1) + "|"]
    for what, attack in ATTACKS:
        verdicts = [attacked(attack, seed) for seed in seeds]
        cells = [cell([one[layer].kind for one in verdicts]) for layer in LAYERS]
        rows.append(f"| {what} | " + " | ".join(cells) + " |")
    return "\n".join(rows)


if __name__ == "__main__":
    print(table(range(int(sys.argv[1]) if len(sys.argv) > 1 else SEEDS)))
