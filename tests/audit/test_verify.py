"""Verifying the log: what is good is ok and no more than that, what is not is found at the first event, and nothing raises."""

from __future__ import annotations

import base64
import gzip
import json
import os
import random
import re
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import rfc8785

from proxy.audit.cells_file import SideFiles
from proxy.audit.chain import evolve
from proxy.audit.checkpoint import public_key
from proxy.audit.copies import Copied, Copies, links_in
from proxy.audit.event import stopped
from proxy.audit.link import _KEPT_AT_TOP, Link, link
from proxy.audit.log import AuditLog
from proxy.audit.reading import LogLine, lines, log_files
from proxy.audit.resealed import Resealed
from proxy.audit.trust import Trust, trusted_keys
from proxy.audit.verdict import Kind
from proxy.audit.verify import verify
from tests.audit.examples import examples
from tests.audit.tampering import (
    ATTACKS,
    LAYERS,
    Log,
    attacked,
    cell,
    changed,
    exported,
    found,
    hash_of_line,
    hashed,
    made,
    parsed,
    some_statement,
    trusts,
    verified,
)

DOCS = Path(__file__).parents[2] / "docs"
STOPPED = stopped("SIGTERM", 7)
SEED = int(os.environ.get("TAMPER_SEED", random.randrange(1 << 30)))


@pytest.fixture(autouse=True)
def printed_seed() -> None:
    print(f"TAMPER_SEED={SEED}")


@pytest.fixture(scope="module")
def log() -> Log:
    return made(SEED)


@pytest.fixture
def stored(log: Log, tmp_path: Path) -> Path:
    return log.write(tmp_path)


def trust_in(log: Log, layer: str) -> Trust:
    """A layer without copies."""
    return trusts(log, log, Path(os.devnull))[layer]


def everything(log: Log, tmp_path: Path) -> Trust:
    return trusts(log, log, exported(log, tmp_path))["all"]


# What is good.


def test_a_log_as_it_was_written_is_ok(log: Log, stored: Path, tmp_path: Path) -> None:
    """With whatever it is held against; and what is proven goes as far as it can, no further."""
    last_checkpoint = max(n for n, line in enumerate(log.all(), 1) if b'"log.checkpoint"' in line)
    end = len(log.all())
    proven = {}
    for layer, trust in trusts(log, log, exported(log, tmp_path)).items():
        verdict = verified(stored, trust)
        assert verdict.kind is Kind.OK, (layer, verdict.issues)
        (chain,) = verdict.chains
        assert (chain.first, chain.last, chain.chained) == (1, end, end)
        proven[layer] = (chain.signed, chain.sealed)
    at = last_checkpoint - 1
    assert proven == {
        "files alone": (0, 0),
        "public key": (at, 0),
        "and head": (at, 0),
        "and seal key": (at, at),
        "head and seal key": (at, end),
        "and copy": (at, 0),
        "all": (at, end),
    }


def test_ok_is_not_said_for_what_was_not_checked(log: Log, stored: Path) -> None:
    """Each key, head or copy that is not there is named, with what that leaves open."""
    nothing = " ".join(verified(stored, Trust()).unchecked)
    for option in ("--public-key", "--seal-key", "--head", "--copy"):
        assert option in nothing
    weak = replace(trust_in(log, "head and seal key"), host_keys=True)
    said = verified(stored, weak).unchecked
    assert any("read on this host" in text for text in said)
    assert any("--copy" in text for text in said)


def test_with_everything_only_what_no_copy_has_yet_is_open(
    log: Log, stored: Path, tmp_path: Path
) -> None:
    """The copy lacks the last checkpoint."""
    for text in verified(stored, everything(log, tmp_path)).unchecked:
        assert "the last one that a copy has" in text or "not signed yet" in text


def test_compressed_files_verify_like_plain_ones(log: Log, stored: Path, tmp_path: Path) -> None:
    """Lines and side files."""
    for file in tmp_path.iterdir():
        if file != stored:
            (tmp_path / f"{file.name}.gz").write_bytes(gzip.compress(file.read_bytes()))
            file.unlink()
    trust = trust_in(log, "head and seal key")
    verdict = verified(stored, trust)
    assert verdict.kind is Kind.OK
    assert verdict.events == len(log.all())


def test_a_log_over_restarts_is_one_chain(tmp_path: Path) -> None:
    """Stopped in order and begun again: no issue, nothing told."""
    path = tmp_path / "audit.jsonl"
    for _ in range(3):
        log = AuditLog(path)
        log.write(STOPPED)
        log.checkpoint()
        log.close()
    verdict = real(path)
    assert verdict.kind is Kind.OK, verdict.issues
    assert len(verdict.chains) == 1


def real(path: Path, **changes: Any) -> Any:
    """What is said of a log that is on disk, with all its keys and its head."""
    log = found(path, path.with_name(path.name + ".state"))
    return verified(path, replace(trust_in(log, "head and seal key"), **changes))


# What a crash leaves.


def test_a_torn_line_that_the_log_tells_of_is_no_issue(tmp_path: Path) -> None:
    """log.repaired names it by offset and size; another torn line is not excused by it."""
    path = tmp_path / "audit.jsonl"
    log = AuditLog(path)
    log.write(STOPPED)
    os.write(log._fd, path.read_bytes().splitlines()[-1][:99])  # killed in the middle of a write
    log.close()
    again = AuditLog(path)
    again.write(STOPPED)
    again.close()
    verdict = verified(path, Trust())
    assert verdict.kind is Kind.OK, verdict.issues
    assert any("log.repaired" in note for note in verdict.notes)
    with path.open("ab") as file:
        file.write(b'{"action_id":1\n')
    assert verified(path, Trust()).kind is Kind.UNDECIDED


def test_a_write_that_was_cut_short_is_told_by_the_head(log: Log, tmp_path: Path) -> None:
    """A writer killed in the middle: the live head says what it was about to write. A torn end without that is undecided."""
    cut = log.duplicate()
    cut.refill([*cut.all(), b'{"activity_id":'])
    cut.torn_end = True
    path = cut.write(tmp_path)
    trust = trust_in(log, "head and seal key")
    assert trust.head is not None
    about_to = replace(trust.head, intended=trust.head.sequence + 3)
    verdict = verified(path, replace(trust, head=about_to))
    assert (verdict.kind, len(verdict.notes)) == (Kind.OK, 2)
    assert verified(path, trust).kind is Kind.UNDECIDED
    old = replace(about_to, live=False)
    assert verified(path, replace(trust, head=old)).kind is Kind.UNDECIDED


def test_events_that_a_crash_took_are_missing_and_told(tmp_path: Path) -> None:
    """The file ends before the head: log.unclean says so, and the verdict says that it does; it stays a finding."""
    path = tmp_path / "audit.jsonl"
    log = AuditLog(path)
    for _ in range(9):
        log.write(STOPPED)
    log.close()
    whole = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(whole[:-3]))
    again = AuditLog(path)
    again.write(STOPPED)
    again.checkpoint()
    again.close()
    verdict = real(path)
    assert verdict.kind is Kind.MISSING, verdict.issues
    (issue,) = verdict.issues
    assert (issue.sequence, issue.last, issue.told) == (len(whole) - 2, len(whole), True)


def test_a_gap_of_which_nobody_tells_is_not_excused(log: Log, tmp_path: Path) -> None:
    """`told` is for the gap that a log.unclean speaks of."""
    cut = log.duplicate()
    lines_ = cut.all()
    at = some_statement(log, random.Random(SEED))
    cut.refill(lines_[:at] + lines_[at + 2 :])
    (issue, *_) = verified(cut.write(tmp_path), Trust()).issues
    assert (issue.kind, issue.sequence, issue.last, issue.told) == (
        Kind.MISSING,
        at + 1,
        at + 2,
        False,
    )


def test_files_that_are_kept_elsewhere_are_not_missing(log: Log, tmp_path: Path) -> None:
    """--first: the chain begins with a later event, and the seal is followed from its first checkpoint on."""
    later = log.duplicate()
    first = len(later.files[0]) + 1
    later.files, later.cells = later.files[1:], later.cells[1:]
    path = later.write(tmp_path)
    trust = trust_in(log, "head and seal key")
    verdict = verified(path, replace(trust, first=first))
    assert verdict.kind is Kind.OK, verdict.issues
    assert (verdict.chains[0].first, verdict.chains[0].sealed) == (first, len(log.all()))
    assert verified(path, trust).kind is Kind.MISSING


def test_a_chain_without_a_checkpoint_is_not_ok_by_its_public_key(tmp_path: Path) -> None:
    """Nothing is signed: anybody could have written it. Without the key nothing was asked of signatures."""
    path = tmp_path / "audit.jsonl"
    log = AuditLog(path)
    log.write(STOPPED)
    log.close()
    lines_ = [one for one in path.read_bytes().splitlines(True) if b"log.checkpoint" not in one]
    path.write_bytes(b"".join(lines_))
    keys, _ = found_keys(log.state_path)
    assert verified(path, Trust()).kind is Kind.OK
    assert verified(path, Trust(public_keys=keys)).kind is Kind.UNDECIDED


# Where it begins.


def test_the_first_event_is_named_and_what_is_proven_before_it(log: Log, tmp_path: Path) -> None:
    """An event edited at random: its number, file and line; the chain is proven up to the one before it."""
    rng = random.Random(SEED)
    at = some_statement(log, rng)
    edited = log.duplicate()
    lines_ = edited.all()
    lines_[at] = rfc8785.dumps(changed(parsed(lines_[at])))
    edited.refill(lines_)
    path = edited.write(tmp_path)
    verdict = verified(path, everything(log, tmp_path))
    first = verdict.first
    assert first is not None
    assert (first.kind, first.sequence) == (Kind.ALTERED, at + 1)
    assert first.file is not None
    assert first.line is not None
    assert first.file.read_bytes().splitlines()[first.line - 1] == lines_[at]
    (proven,) = verdict.chains
    assert proven.chained == at
    before = [n for n, line in enumerate(log.all()[:at], 1) if b'"log.checkpoint"' in line]
    assert proven.signed == proven.sealed == before[-1] - 1


def test_junk_in_front_does_not_hide_what_is_forged(log: Log, tmp_path: Path) -> None:
    """The exit code is that of the gravest issue, the first issue is the first."""
    bad = log.duplicate()
    lines_ = bad.all()
    event = parsed(lines_[-1])
    del event["unmapped"]["sealgate"]["integrity"]
    bad.refill([lines_[0], b"junk", *lines_[1:], rfc8785.dumps(event)])
    verdict = verified(bad.write(tmp_path), Trust())
    assert verdict.kind is Kind.FORGED
    assert verdict.first is not None
    assert verdict.first.kind is Kind.UNDECIDED


# The tamper table.


def documented() -> dict[str, dict[str, str]]:
    """The table of docs/audit.md: what each layer says of each attack."""
    rows = re.findall(r"^\| (.+) \|$", (DOCS / "audit.md").read_text(), re.MULTILINE)
    cells = [row.split(" | ") for row in rows]
    head = next(n for n, row in enumerate(cells) if row[0] == "attack")
    assert tuple(cells[head][1:]) == LAYERS
    return {
        row[0]: dict(zip(LAYERS, row[1:], strict=True))
        for row in cells[head + 1 :]
        if len(row) == len(LAYERS) + 1
    }


def test_the_table_has_every_attack() -> None:
    """No row without a run, no attack without a row; and no attack is found by luck."""
    table = documented()
    assert list(table) == [what for what, _ in ATTACKS]
    words = {kind.word for kind in Kind} - {"ok"} | {"-"}
    assert {word for row in table.values() for word in row.values()} <= words


@pytest.mark.parametrize("what", [what for what, _ in ATTACKS])
def test_each_layer_says_what_the_table_says(what: str) -> None:
    """On logs of two seeds."""
    as_documented(what, range(SEED, SEED + 2))


@pytest.mark.long
@pytest.mark.parametrize("what", [what for what, _ in ATTACKS])
def test_each_layer_says_what_the_table_says_often(what: str) -> None:
    """On logs of twenty seeds."""
    as_documented(what, range(SEED, SEED + 20))


def as_documented(what: str, seeds: range) -> None:
    attack = dict(ATTACKS)[what]
    verdicts = [attacked(attack, seed) for seed in seeds]
    said = {layer: cell([one[layer].kind for one in verdicts]) for layer in LAYERS}
    assert said == documented()[what]


@pytest.mark.parametrize("times", [60, pytest.param(20_000, marks=pytest.mark.long)])
def test_a_byte_changed_anywhere_is_found(log: Log, tmp_path: Path, times: int) -> None:
    """In the lines or in the side files, with the public key, head and seal key: never ok, never an exception."""
    rng = random.Random(SEED)
    stored = log.write(tmp_path)
    trust = trust_in(log, "head and seal key")
    files = [file for file in tmp_path.iterdir() if file.stat().st_size]
    alone = 0
    for _ in range(times):
        file = rng.choice(files)
        before = file.read_bytes()
        after = bytearray(before)
        after[rng.randrange(len(after))] ^= 1 << rng.randrange(8)
        file.write_bytes(after)
        assert verified(stored, trust).kind is not Kind.OK
        alone += verified(stored, Trust()).kind is not Kind.OK
        file.write_bytes(before)
    assert alone == times  # hashes alone suffice for that


@pytest.mark.parametrize("times", [60, pytest.param(3000, marks=pytest.mark.long)])
def test_random_damage_never_raises_and_is_never_ok(log: Log, tmp_path: Path, times: int) -> None:
    """Stretches taken out, doubled, overwritten or moved, in all files, compressed ones too."""
    rng = random.Random(SEED)
    stored = log.write(tmp_path)
    trust = everything(log, tmp_path)
    contents = {
        file: file.read_bytes() for file in tmp_path.iterdir() if file.name.startswith("audit")
    }
    for _ in range(times):
        damaged = dict(contents)
        for _ in range(rng.randrange(1, 4)):
            file = rng.choice([file for file in damaged if damaged[file]])
            damaged[file] = damage(damaged[file], rng, 2 if ".cells" in file.name else 4)
        if damaged == contents:
            continue
        for file, content in damaged.items():
            file.write_bytes(content)
        assert verified(stored, trust).kind is not Kind.OK


def damage(content: bytes, rng: random.Random, kinds: int) -> bytes:
    """One of the first `kinds`: a record of a side file may stand in another place, or twice."""
    start = rng.randrange(len(content))
    end = min(len(content), start + rng.choice([1, 7, 600, 5000]))
    stretch = content[start:end]
    match rng.randrange(kinds):
        case 0:
            return content[:start] + content[end:]
        case 1:
            return content[:start] + rng.randbytes(len(stretch)) + content[end:]
        case 2:
            return content[:end] + stretch + content[end:]
        case _:
            rest = content[:start] + content[end:]
            at = rng.randrange(len(rest) + 1)
            return rest[:at] + stretch + rest[at:]


# Chains.


def test_a_chain_begun_anew_is_fine_only_if_somebody_knows_it(tmp_path: Path) -> None:
    """State lost: the seal keys of both chains, or their names, vouch for it; the signing key, which may have been stolen,
    does not."""
    path = tmp_path / "audit.jsonl"
    state = tmp_path / "audit.jsonl.state"
    logs = []
    for _ in range(2):
        log = AuditLog(path)
        log.write(STOPPED)
        log.checkpoint()
        log.close()
        logs.append(found_keys(state))
        for name in ("head", "service.lock"):
            (state / name).unlink(missing_ok=True)
    public, (first, second) = logs[0][0], (logs[0][1], logs[1][1])
    assert verified(path, Trust(public_keys=public)).kind is Kind.FORGED
    assert verified(path, Trust(public_keys=public, seal_keys=(first,))).kind is Kind.FORGED
    both = verified(path, Trust(public_keys=public, seal_keys=(second, first)))
    assert both.kind is Kind.OK, both.issues
    assert all(chain.sealed for chain in both.chains)
    names = frozenset(chain.chain for chain in both.chains)
    assert verified(path, Trust(public_keys=public, chains=names)).kind is Kind.OK
    other = frozenset(["0" * 32])
    assert verified(path, Trust(public_keys=public, chains=other)).kind is Kind.FORGED


def found_keys(state: Path) -> tuple[Any, bytes]:
    keys = trusted_keys([public_key((state / "signing.pub").read_bytes())])
    return keys, bytes.fromhex((state / "seal.key").read_text())


def test_seal_keys_of_the_host_vouch_for_no_chain(tmp_path: Path) -> None:
    """Who begins a chain anew leaves its key there."""
    path = tmp_path / "audit.jsonl"
    state = tmp_path / "audit.jsonl.state"
    seals = []
    for _ in range(2):
        log = AuditLog(path)
        log.write(STOPPED)
        log.checkpoint()
        log.close()
        seals.append(found_keys(state)[1])
        (state / "head").unlink()
    trust = Trust(seal_keys=tuple(seals), host_keys=True)
    assert verified(path, trust).kind is Kind.FORGED


# Copies.


def envelopes(line: bytes) -> Iterator[bytes]:
    """As receivers keep an event, or give it back."""
    event = parsed(line)
    backwards = dict(reversed(event.items()))
    yield line
    yield json.dumps(event, indent=None, sort_keys=False, ensure_ascii=True).encode()
    yield json.dumps(backwards, ensure_ascii=False, separators=(" , ", " :  ")).encode()
    yield json.dumps({"@timestamp": "2026-11-22T12:00:00Z", "host": "a", **event}).encode()
    yield json.dumps(
        {"_index": "audit", "_id": "1", "_source": {**event, "@version": "1"}}
    ).encode()
    yield json.dumps({"_source": {"event": {"original": line.decode()}}}).encode()
    yield json.dumps({"preview": False, "result": {"_raw": line.decode(), "_time": "1"}}).encode()
    yield json.dumps({"time": 1.5, "source": "sealgate", "event": event}).encode()
    yield b"<134>1 2026-11-22T12:00:00Z host sealgate 7 audit - " + line
    yield b"\xef\xbb\xbf<134>1 - - - - - - " + line


def test_a_copy_is_read_whatever_stands_around_it(log: Log) -> None:
    """Other order, blanks, escapes, fields of the receiver's, envelopes: it is the event that was written."""
    for line in log.all()[:30]:
        original = link(line)
        assert isinstance(original, Link)
        for envelope in envelopes(line):
            (copy,) = links_in(envelope)
            assert copy.genuine, envelope
            assert (copy.chain, copy.sequence, copy.hash) == (
                original.chain,
                original.sequence,
                original.hash,
            )


def test_every_field_that_events_have_at_the_top_is_known() -> None:
    """What a receiver adds is told from what is ours by this list."""
    assert {key for event in examples().values() for key in event} <= _KEPT_AT_TOP


def test_a_log_that_was_written_anew_by_a_receiver_verifies(log: Log, tmp_path: Path) -> None:
    """A SIEM's export as the log itself: same content, other bytes."""
    path = tmp_path / "export.jsonl"
    exported_lines = [json.dumps(dict(reversed(parsed(line).items()))) for line in log.all()]
    path.write_text("\n".join(exported_lines) + "\n")
    log.write(tmp_path)  # for the side files
    with SideFiles(log_files(tmp_path / "audit.jsonl")) as side_files:
        verdict = verify(lines([path]), trust_in(log, "head and seal key"), side_files)
    assert verdict.kind is Kind.OK, verdict.issues
    assert any("written anew" in note for note in verdict.notes)


def test_a_copy_in_any_order_and_of_any_part_will_do(log: Log, tmp_path: Path) -> None:
    """A tenth of the lines, shuffled, some of them twice: what is cut off is found."""
    rng = random.Random(SEED)
    some = rng.sample(log.all(), len(log.all()) // 10) + log.all()[-2:]
    rng.shuffle(some)
    copy = tmp_path / "copy"
    copy.write_bytes(b"\n".join([*some, *some[:5]]))
    trust = Trust(copies=Copies([copy]))
    cut = log.duplicate()
    assert verified(cut.write(tmp_path), trust).kind is Kind.OK
    cut.refill(cut.all()[:-1])
    verdict = verified(cut.write(tmp_path), Trust(copies=Copies([copy])))
    assert verdict.kind is Kind.CUT_OFF
    assert (verdict.issues[0].sequence, verdict.issues[0].last) == (len(log.all()),) * 2


@pytest.mark.parametrize(
    "content",
    [b"", b"{}\n[]\n", b"\0\xff\n", b"junk\n", b'{"a":' * 5000 + b"\n"],
    ids=["empty", "no events", "no text", "junk", "deep"],
)
def test_a_copy_without_an_event_is_not_taken_for_one(
    log: Log, stored: Path, tmp_path: Path, content: bytes
) -> None:
    """An export that went wrong must not pass for a comparison."""
    copy = tmp_path / "copy"
    copy.write_bytes(content)
    assert verified(stored, Trust(copies=Copies([copy]))).kind is Kind.UNDECIDED


def test_an_event_of_a_copy_that_was_altered_is_no_evidence(
    log: Log, stored: Path, tmp_path: Path
) -> None:
    """A receiver that rounds numbers or cuts texts is told of; the log is not blamed for it."""
    copy = tmp_path / "copy"
    copy.write_bytes(log.all()[0] + b"\n" + json.dumps(changed(parsed(log.all()[1]))).encode())
    verdict = verified(stored, Trust(copies=Copies([copy])))
    assert verdict.kind is Kind.UNDECIDED
    assert "no use as evidence" in verdict.issues[0].text


def test_a_key_that_stands_twice_is_not_the_event(log: Log) -> None:
    """Readers differ in which of the two they take."""
    line = log.all()[3]
    twice = b'{"message":"harmless",' + line[1:]
    found_ = link(twice)
    assert isinstance(found_, Link)
    assert not found_.genuine
    assert not any(one.genuine for one in links_in(twice))


def test_copied_events_are_found_in_any_order() -> None:
    """Against a dict, with numbers asked for up, down and twice; what was not asked for is left over."""
    rng = random.Random(SEED)
    for _ in range(50):
        known: dict[int, set[bytes]] = {}
        copies = Copied()
        for _ in range(rng.randrange(40)):
            number, digest = rng.randrange(1, 60), rng.choice([b"a", b"b"]) * 32
            known.setdefault(number, set()).add(digest)
            copies.add(number, digest)
        copies.sort()
        asked = [rng.randrange(1, 60) for _ in range(30)] + list(range(1, 20))
        for number in asked:
            assert set(copies.find(number)) == known.get(number, set())
        left = {n for first, last in copies.unseen() for n in range(first, last + 1)}
        assert left >= set(known) - set(asked)
        assert not left & (set(known) & set(asked))


# Hostile lines.


def numbered(log: Log, at: int, number: int) -> bytes:
    event = parsed(log.all()[at])
    event["metadata"]["sequence"] = number
    return json.dumps(event).encode()


def test_a_number_far_away_does_not_take_for_ever(log: Log, tmp_path: Path) -> None:
    """The seal's key is not evolved 2^52 times; that it cannot be followed is said."""
    bad = log.duplicate()
    bad.refill([*bad.all(), numbered(log, 5, (1 << 53) - 1), numbered(log, 6, 1 << 53)])
    verdict = verified(bad.write(tmp_path), trust_in(log, "and seal key"))
    assert verdict.kind is Kind.FORGED  # a number that JSON cannot hold is in no chain
    assert verdict.counts[Kind.MISSING] == 1
    assert any("follow the seal" in issue.text for issue in verdict.issues)


def test_issues_are_bounded(log: Log) -> None:
    """A log in which every line is bad is counted, and not kept."""
    raw = log.all()[4]
    many = [LogLine(Path("a"), n, 0, raw) for n in range(1, 5000)]
    junk = [LogLine(Path("a"), n, 0, b"{}") for n in range(5000)]
    with SideFiles([]) as side_files:
        verdict = verify(iter([*many, *junk]), Trust(), side_files)
    assert verdict.counts[Kind.FORGED] > 9000
    assert len(verdict.issues) <= 3000


def test_any_number_of_chains_is_bounded(log: Log) -> None:
    """A new chain in every line."""
    rng = random.Random(SEED)
    raw = log.all()[4]
    chain = log.chain.encode()
    many = [
        LogLine(Path("a"), n, 0, raw.replace(chain, rng.randbytes(16).hex().encode()))
        for n in range(1, 2000)
    ]
    with SideFiles([]) as side_files:
        verdict = verify(iter(many), Trust(seal_keys=(bytes(32),)), side_files)
    assert verdict.kind is Kind.FORGED
    assert len(verdict.chains) <= 100


def test_integrity_of_other_forms_is_in_no_chain(log: Log) -> None:
    """Types, lengths, upper case: nothing but the one form is a link, and nothing raises."""
    event = parsed(log.all()[2])
    integrity = event["unmapped"]["sealgate"]["integrity"]
    bad: list[Any] = [None, 1, True, [], {}, "", "g" * 64, integrity["hash"].upper(), "0" * 63]
    for key in ("chain", "hash", "prev"):
        for value in bad:
            changed_ = parsed(log.all()[2])
            changed_["unmapped"]["sealgate"]["integrity"][key] = value
            assert not isinstance(link(rfc8785.dumps(changed_)), Link)
    for sequence in (None, "1", True, 0, -1, 1.5, 1 << 53):
        changed_ = parsed(log.all()[2])
        changed_["metadata"]["sequence"] = sequence
        assert not isinstance(link(json.dumps(changed_).encode()), Link)


def test_a_checkpoint_of_another_form_is_forged(log: Log, tmp_path: Path) -> None:
    """Whatever stands in it, and with a chain around it that fits."""
    at = max(n for n, line in enumerate(log.all()) if b'"log.checkpoint"' in line)
    good = parsed(log.all()[at])["unmapped"]["sealgate"]["checkpoint"]
    bad: list[Any] = [None, [], {}, *({**good, key: None} for key in good)]
    bad += [{**good, "signature": base64.b64encode(b"0" * 64).decode()}, {**good, "key": "0" * 16}]
    for number, said in enumerate(bad):
        events = [parsed(line) for line in log.all()[at:]]
        events[0]["unmapped"]["sealgate"]["checkpoint"] = said
        forged = log.duplicate()
        forged.refill([*log.all()[:at], *as_they_are(log, at, events)])
        with tempfile.TemporaryDirectory() as name:
            verdict = verified(forged.write(Path(name)), trust_in(log, "public key"))
        assert verdict.kind is Kind.FORGED, number


def as_they_are(log: Log, at: int, events: list[dict[str, Any]]) -> Iterator[bytes]:
    """Chained anew, nothing signed and nothing corrected."""
    prev = hash_of_line(log.all()[at - 1])
    for event in events:
        line, prev = hashed(event, log.chain, prev)
        yield line


def test_the_seal_is_followed_over_a_gap() -> None:
    """Behind missing events the key is right, the aggregate unknown until a checkpoint; then it is checked again."""
    key = bytes(range(32))
    good, gap = Resealed([key]), Resealed([key])
    hashes = [bytes([n]) * 32 for n in range(10)]
    for number, digest in enumerate(hashes, 1):
        good.add(number, digest)
        if number not in (3, 4):
            gap.add(number, digest)
    k = key
    for _ in range(10):
        k = evolve(k)
    a = next(one.a for one in good._candidates)
    assert a is not None
    assert good.agrees(10, a, k)
    assert gap.agrees(10, a) is None
    assert gap.agrees(10, a, bytes(32)) is False
    for resealed in (good, gap):
        resealed.add(11, b"x" * 32)
        assert resealed.agrees(11, b"?" * 32) is False
