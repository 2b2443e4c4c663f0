"""The log's state: whatever becomes of it, the chain goes on or the log is not opened, and never in silence."""

from __future__ import annotations

import os
import shutil
import stat
from pathlib import Path

import pytest

from proxy.audit import head as heads
from proxy.audit.head import read_copy
from proxy.audit.log import AuditFailed, AuditLog, Keeping
from tests.audit.chained import chained
from tests.audit.examples import READ, SUPPORT, executed
from tests.audit.test_log import kinds, lines, said
from tests.audit.test_log_shared import put

EVENT = executed(SUPPORT, READ)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "audit.jsonl"


@pytest.fixture
def state(path: Path) -> Path:
    return Path(f"{path}.state")


def written(path: Path, count: int = 3) -> None:
    log = AuditLog(path)
    log.write_all([EVENT] * count)
    log.close()


def test_what_is_made_at_the_first_start(path: Path, state: Path) -> None:
    """A directory and keys that are their owner's alone; the seal key is to be moved away, and nobody needs it here."""
    written(path)
    modes = {p.name: oct(stat.S_IMODE(p.stat().st_mode)) for p in (state, *state.iterdir())}
    assert modes == {
        "audit.jsonl.state": "0o700",
        "head": "0o600",
        "seal.key": "0o600",
        "service.lock": "0o600",
        "signing.key": "0o600",
        "signing.pub": oct(0o644 & ~_umask()),
    }
    log = AuditLog(path)
    assert log.seal_key_is_here
    seal_key = (state / "seal.key").read_text()
    (state / "seal.key").unlink()
    assert not log.seal_key_is_here
    log.write(EVENT)
    log.close()
    (state / "seal.key").write_text(seal_key)
    assert chained(path).kinds.count("statement.read") == 4


def _umask() -> int:
    old = os.umask(0)
    os.umask(old)
    return old


def test_no_earlier_key_of_the_seal_is_left(path: Path, state: Path) -> None:
    """After a write neither slot has the key with which it was sealed, nor any before."""
    log = AuditLog(path)
    seen = []
    for _ in range(5):
        content = (state / "head").read_bytes()
        _, certain, _ = read_copy(content)
        assert not [key for key in seen if key in content]
        assert content.count(certain.k) == 2
        seen.append(certain.k)
        log.write(EVENT)


def test_a_state_that_is_gone_begins_a_chain(path: Path, state: Path) -> None:
    """The events before are another chain's; the first of the new one says that there were some."""
    written(path)
    first = lines(path)[0]["unmapped"]["sealgate"]["integrity"]["chain"]
    shutil.rmtree(state)
    written(path)
    events = [e["unmapped"]["sealgate"] for e in lines(path)]
    chains = [e["integrity"]["chain"] for e in events]
    assert chains[:3] == [first] * 3
    assert first not in chains[3:]
    begun = [line for line in path.read_bytes().splitlines() if b'"log.begun"' in line]
    assert [b'"log_existed":true' in line for line in begun] == [False, True]


def test_a_head_that_is_gone_keeps_the_signing_key(path: Path, state: Path) -> None:
    """A new chain, with a seal key of its own; that of the chain before, if nobody fetched it, is kept under another name."""
    written(path)
    seal_key, public = (state / "seal.key").read_text(), (state / "signing.pub").read_text()
    (state / "head").unlink()
    written(path)
    assert (state / "signing.pub").read_text() == public
    (kept,) = state.glob("seal.key.*")
    assert kept.read_text() == seal_key != (state / "seal.key").read_text()


@pytest.mark.parametrize("at", [0, 8, 50, heads._A + 1, heads._A + 190])
def test_a_damaged_head_opens_no_log(path: Path, state: Path, at: int) -> None:
    """Both slots, or what stands before them: refused with what to do, and the file stays as it is."""
    written(path)
    content = bytearray((state / "head").read_bytes())
    content[at] ^= 1
    if at > heads._A:
        content[at + heads._B - heads._A] ^= 1
    put(state / "head", bytes(content))
    before = path.read_bytes()
    with pytest.raises(AuditFailed, match=r"head is damaged\. Move .*state away"):
        AuditLog(path)
    assert path.read_bytes() == before


@pytest.mark.parametrize("at", [heads._A, heads._A + 99, heads._B, heads._B + 99])
def test_one_slot_is_enough(path: Path, state: Path, at: int) -> None:
    """Half of one is what a kill leaves: the other says where the chain stands."""
    written(path)
    content = bytearray((state / "head").read_bytes())
    content[at : at + 40] = bytes(40)
    put(state / "head", bytes(content))
    written(path)
    assert chained(path).kinds == ["log.begun"] + ["statement.read"] * 6


@pytest.mark.parametrize("content", [b"", b"x" * 100, b"\0" * heads.SIZE, b"\0" * 9999])
def test_a_head_that_is_none(path: Path, state: Path, content: bytes) -> None:
    """Refused, whatever its length."""
    written(path)
    (state / "head").write_bytes(content)
    with pytest.raises(AuditFailed, match="damaged"):
        AuditLog(path)


def test_state_that_others_may_write(path: Path, state: Path) -> None:
    """No evidence: refused with the command that mends it."""
    written(path)
    for part, mode in (("", 0o770), ("head", 0o640), ("signing.key", 0o604)):
        before = stat.S_IMODE((state / part).stat().st_mode)
        (state / part).chmod(mode)
        with pytest.raises(AuditFailed, match="chmod"):
            AuditLog(path)
        (state / part).chmod(before)
    written(path)


@pytest.mark.parametrize("content", [None, b"", b"x" * 5000])
def test_no_signing_key_no_log(path: Path, state: Path, content: bytes | None) -> None:
    """A checkpoint that cannot be signed is none, so the service does not start; the error shows nothing of the file."""
    written(path)
    (state / "signing.key").unlink()
    if content is not None:
        (state / "signing.key").touch(0o600)
        (state / "signing.key").write_bytes(content)
    with pytest.raises(AuditFailed) as failed:
        AuditLog(path)
    assert "xxx" not in str(failed.value)
    log = AuditLog.join(path)  # a guest signs nothing
    log.write(EVENT)
    log.close()
    assert kinds(path) == ["statement.read"] * 4


def test_state_and_file_rolled_back_together_go_on(path: Path, state: Path) -> None:
    """Nobody can see that here: copies elsewhere show it. The state alone, rolled back, changes nothing: see test_log_crash."""
    written(path)
    copies = path.read_bytes(), (state / "head").read_bytes()
    written(path)
    path.write_bytes(copies[0])
    put(state / "head", copies[1])
    written(path)
    assert chained(path).kinds == ["log.begun"] + ["statement.read"] * 6


def test_the_state_of_another_log(path: Path, state: Path, tmp_path: Path) -> None:
    """Refused: two logs with one state would break both chains."""
    written(path)
    other = tmp_path / "other.jsonl"
    with pytest.raises(AuditFailed, match=f"belongs to {path}"):
        AuditLog(other, state=state)
    written(other)
    with pytest.raises(AuditFailed, match="belongs to"):
        AuditLog(other, state=state)
    path.unlink()
    with pytest.raises(AuditFailed, match="of another chain than its state"):
        AuditLog(other, state=state)


def test_a_log_that_was_moved_away_while_nobody_wrote(path: Path, tmp_path: Path) -> None:
    """In its directory: rotated, and the new file says under which name. Gone: an unclean end that says what is missing."""
    written(path)
    path.rename(tmp_path / "audit.1")
    written(path)
    assert chained(path, tmp_path / "audit.1").sequences == list(range(1, 9))
    assert kinds(path)[0] == "log.rotated"
    assert said(lines(path)[0]) == {"file": "audit.1"}
    path.rename(tmp_path.parent / f"{tmp_path.name}.elsewhere")
    written(path)
    assert kinds(path)[0] == "log.unclean"
    assert said(lines(path)[0]) == {
        "last_sequence": 8,
        "found_sequence": 0,
        "lost": 4,
        "reason": "the file is not the one that was written last",
    }


def test_an_older_copy_of_the_log(path: Path) -> None:
    """Put in its place: what it does not have is told of as missing."""
    written(path)
    content = path.read_bytes()
    written(path)
    path.unlink()
    path.touch(0o600)
    path.write_bytes(content)
    written(path)
    assert chained(path).gaps == [(4, 8)]
    assert said(lines(path)[3])["lost"] == 3


@pytest.mark.parametrize("cut", [5, -5])
def test_an_altered_last_line_is_noticed_at_the_start(path: Path, cut: int) -> None:
    """Longer, shorter or of the same length."""
    written(path)
    content = path.read_bytes()
    path.write_bytes(content.replace(b"SELECT", b"DELETE")[:-1] + b"\n")
    written(path)
    unclean = next(e for e in lines(path) if e["metadata"]["event_code"] == "log.unclean")
    assert said(unclean)["reason"] == "the last line is not the one that was written"
    again = path.read_bytes()
    path.write_bytes(again + b" " * cut + b"\n" if cut > 0 else again[:cut] + b"\n")
    written(path)
    assert kinds_of_whole(path).count("log.unclean") == 2


def kinds_of_whole(path: Path) -> list[str]:
    return [
        kind
        for line in path.read_bytes().splitlines()
        for kind in ("log.unclean", "statement.read")
        if f'"event_code":"{kind}"'.encode() in line
    ]


def test_a_guest_joins_while_a_service_runs(path: Path) -> None:
    """One chain, whoever writes; the guest's coming and going is nobody's unclean end."""
    log = AuditLog(path, writers=2, keeping=Keeping(checkpoint_events=5))
    for _ in range(6):
        log.write(EVENT)
        guest = AuditLog.join(path)
        guest.write(EVENT)
        guest.close()
    log.close()
    AuditLog.join(path).write(EVENT)
    AuditLog(path).close()
    found = chained(path)
    assert found.kinds.count("statement.read") == 13
    assert "log.unclean" not in found.kinds
    assert found.checkpoints == 2


def test_a_checkpoint_signs_what_was_reached(path: Path) -> None:
    """Every so many events, in the same write; and whenever it is asked for, also if nothing has happened."""
    log = AuditLog(path, keeping=Keeping(checkpoint_events=10))
    for _ in range(25):
        log.write(EVENT)
    log.checkpoint()
    log.checkpoint()
    found = chained(path)
    assert [n for n, kind in enumerate(found.kinds, 1) if kind == "log.checkpoint"] == [11, 22, 29, 30]  # fmt: skip


def test_committed_is_what_is_in_the_file_for_certain(path: Path) -> None:
    """For who follows the log: device, inode and length, without the lock."""
    log = AuditLog(path)
    log.write(EVENT)
    status = path.stat()
    assert log.committed == (status.st_dev, status.st_ino, status.st_size)
